// SPDX-License-Identifier: GPL-2.0

//! Files of a device, as `fs/vfs/io/miscdev.rs` has them: a scenario calls the methods itself.

use super::{
    pipe::{
        PipeDest,
        PipeSource, //
    },
    uring::{
        self,
        Command,
        Commands,
        Verdict, //
    },
};
use crate::vfs::{
    file::poll::PollEvents,
    sync::{
        fasync::Fasync,
        wait::WaitQueue, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    bindings::{
        io_uring_cmd,
        IO_URING_F_CANCEL, //
    },
    fs::{
        File,
        LocalFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    seq_file::SeqFile,
    sync::{
        Arc,
        ArcBorrow, //
    },
};

/// What an open file of the device can do.
pub(crate) trait Device: Sized + Send + Sync + 'static {
    const NAME: &'static CStr;
    const MINOR: i32;

    fn table() -> &'static FileOps<Self>;
    fn open(file: &File) -> Result<Arc<Self>>;
    fn release(device: Arc<Self>, flags: u32);
    fn read_iter(
        device: ArcBorrow<'_, Self>,
        file: &File,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize>;
    fn write_iter(
        device: ArcBorrow<'_, Self>,
        file: &File,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize>;
    fn splice_read(
        device: ArcBorrow<'_, Self>,
        file: &File,
        to: &mut PipeDest<'_>,
    ) -> Result<usize>;
    fn splice_write(
        device: ArcBorrow<'_, Self>,
        file: &File,
        from: &mut PipeSource<'_>,
    ) -> Result<usize>;
    fn check_write(device: ArcBorrow<'_, Self>) -> Result;
    fn pollers(&self) -> Result<&WaitQueue>;
    fn poll(&self) -> PollEvents;
    fn fasync(&self) -> Result<&Fasync>;
    fn ioctl(
        device: ArcBorrow<'_, Self>,
        file: &File,
        command: u32,
        argument: usize,
    ) -> Result<isize>;
    fn show_fdinfo(device: ArcBorrow<'_, Self>, m: &SeqFile, file: &File);
}

/// A device whose files take commands by io_uring.
pub(crate) trait UringDevice: Device {
    type Queue: Commands;

    fn uring_cmd<'a>(
        device: ArcBorrow<'_, Self>,
        file: &File,
        command: Command<'a, Self::Queue>,
    ) -> Verdict<'a>;
}

/// The table of a device's files: it is told by its address.
pub(crate) struct FileOps<T: Device> {
    /// So that no two tables are at one address.
    _table: [usize; 4],
    _device: PhantomData<fn() -> T>,
}

impl<T: Device> FileOps<T> {
    pub(crate) const fn new() -> Self {
        Self {
            _table: [0; 4],
            _device: PhantomData,
        }
    }

    pub(crate) const fn with_uring() -> Self {
        Self::new()
    }

    /// Its address.
    pub(crate) fn address(&'static self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// The device behind `file`, if it is one of these.
    pub(crate) fn device_of<'a>(&'static self, file: &'a LocalFile) -> Option<ArcBorrow<'a, T>> {
        file.device::<T>(self.address()).map(Arc::as_arc_borrow)
    }
}

impl<T: UringDevice> FileOps<T> {
    /// A command of a file, as io_uring makes it; with `IO_URING_F_CANCEL` it is to be cancelled.
    pub(crate) fn uring_cmd(
        &'static self,
        device: ArcBorrow<'_, T>,
        file: &File,
        cmd: NonNull<io_uring_cmd>,
        flags: u32,
    ) -> c_int {
        if flags & IO_URING_F_CANCEL != 0 {
            // SAFETY: The ring cancels a command that was parked, in a call of its own.
            unsafe { uring::cancel::<T::Queue>(cmd, flags) };
            return 0;
        }
        // SAFETY: The ring submits the command, in a call of its own, and cancels it as above.
        T::uring_cmd(device, file, unsafe { Command::new(cmd, flags) }).code()
    }
}
