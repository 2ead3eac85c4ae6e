// SPDX-License-Identifier: GPL-2.0

//! Misc devices with a fixed minor, whose files can be polled and can send SIGIO.
//!
//! `kernel::miscdevice` always takes a dynamic minor and has no poll or fasync. The file operations
//! are one `static` of the driver, because its address identifies the device's files.

use crate::vfs::{
    bindings,
    file::poll::PollEvents,
    io::{
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
    },
    once::read_once,
    sync::{
        fasync::Fasync,
        wait::WaitQueue, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    ffi,
    fs::{
        File,
        LocalFile, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    module::this_module,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full, //
        },
        Arc,
        ArcBorrow, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    }, //
};

/// The operations of an open file of the device; each method is the `file_operations` member of its
/// name. All run in process context and may sleep, and may run concurrently.
#[vtable]
pub(crate) trait Device: Sized + Send + Sync + 'static {
    /// Name under `/dev`.
    const NAME: &'static CStr;

    /// The minor number; the major is `MISC_MAJOR`.
    const MINOR: i32;

    /// The one table of this device's files.
    fn table() -> &'static FileOps<Self>;

    /// Makes the device of a file that is being opened.
    fn open(file: &File) -> Result<Arc<Self>>;

    /// The last reference to the file with `flags` (`O_*`) is gone.
    fn release(device: Arc<Self>, _flags: u32) {
        drop(device);
    }

    /// Reads; returns the bytes read.
    fn read_iter(
        _device: ArcBorrow<'_, Self>,
        _file: &File,
        _to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes; returns the bytes written.
    fn write_iter(
        _device: ArcBorrow<'_, Self>,
        _file: &File,
        _from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Reads one message into a pipe that has room for `to.len()` bytes; returns its length.
    fn splice_read(
        _device: ArcBorrow<'_, Self>,
        _file: &File,
        _to: &mut PipeDest<'_>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Writes one message that was taken out of a pipe; returns the bytes written.
    fn splice_write(
        _device: ArcBorrow<'_, Self>,
        _file: &File,
        _from: &mut PipeSource<'_>,
    ) -> Result<usize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Whether a write is possible at present: called before anything is taken out of a pipe.
    ///
    /// # Errors
    ///
    /// The error that the write would return.
    fn check_write(_device: ArcBorrow<'_, Self>) -> Result {
        Ok(())
    }

    /// The queue of tasks that poll the file. With an error the file has `EPOLLERR`, and there is
    /// no wait.
    ///
    /// The queue lives as long as the device, which the file keeps: this is why it is borrowed from
    /// that.
    fn pollers(&self) -> Result<&WaitQueue> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The current events. The polling task is on the queue already.
    fn poll(&self) -> PollEvents {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The list of the files that get SIGIO, for a file that asks for that.
    ///
    /// The list lives as long as the device, which the file keeps: this is why it is borrowed from
    /// that.
    fn fasync(&self) -> Result<&Fasync> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// `ioctl(2)`; 32-bit callers get here with `argument` widened as a pointer.
    fn ioctl(
        _device: ArcBorrow<'_, Self>,
        _file: &File,
        _command: u32,
        _argument: usize,
    ) -> Result<isize> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Prints lines into `/proc/PID/fdinfo/FD`.
    fn show_fdinfo(_device: ArcBorrow<'_, Self>, _m: &SeqFile, _file: &File) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A device whose files take commands of io_uring.
pub(crate) trait UringDevice: Device {
    /// The queues that park them.
    type Queue: Commands;

    /// A command (`file_operations::uring_cmd`). Usually the lock of its ring is held.
    fn uring_cmd<'a>(
        device: ArcBorrow<'_, Self>,
        file: &File,
        command: Command<'a, Self::Queue>,
    ) -> Verdict<'a>;
}

/// The target of an open file's private data.
///
/// # Invariants
///
/// `device` came from `into_foreign` of the device's `Arc`. `fasync` is null, or a list that was
/// borrowed from the device, and the only one that the file may be on.
struct Open {
    device: *mut c_void,
    fasync: Atomic<*mut Fasync>,
}

/// The `struct file_operations` of `T`'s files.
///
/// # Invariants
///
/// `table` holds the functions of this module for `T` and nothing else, so a file that has it as
/// its `f_op` has an [`Open`] with the result of `T::open` as its private data, from when it is
/// open (`FMODE_OPENED`) until it is released; it has null there after that.
#[repr(transparent)]
pub(crate) struct FileOps<T: Device> {
    table: bindings::file_operations,
    _device: PhantomData<fn() -> T>,
}

// SAFETY: The table is never changed.
unsafe impl<T: Device> Sync for FileOps<T> {}

impl<T: Device> FileOps<T> {
    /// Builds the table; put it in a `static` and return it from [`Device::table`].
    pub(crate) const fn new() -> Self {
        // INVARIANT: Only functions of this `impl`, which are for `T`.
        Self {
            table: bindings::file_operations {
                owner: this_module::<T::OwnerModule>().as_ptr(),
                open: Some(Self::open),
                release: Some(Self::release),
                read_iter: if T::HAS_READ_ITER {
                    Some(Self::read_iter)
                } else {
                    None
                },
                write_iter: if T::HAS_WRITE_ITER {
                    Some(Self::write_iter)
                } else {
                    None
                },
                splice_read: if T::HAS_SPLICE_READ {
                    Some(Self::splice_read)
                } else {
                    None
                },
                splice_write: if T::HAS_SPLICE_WRITE {
                    Some(Self::splice_write)
                } else {
                    None
                },
                poll: if T::HAS_POLL && T::HAS_POLLERS {
                    Some(Self::poll)
                } else {
                    None
                },
                fasync: if T::HAS_FASYNC {
                    Some(Self::fasync)
                } else {
                    None
                },
                unlocked_ioctl: if T::HAS_IOCTL {
                    Some(Self::ioctl)
                } else {
                    None
                },
                compat_ioctl: if T::HAS_IOCTL {
                    bindings::compat_ptr_ioctl
                } else {
                    None
                },
                show_fdinfo: if T::HAS_SHOW_FDINFO {
                    Some(Self::show_fdinfo)
                } else {
                    None
                },
                ..pin_init::zeroed()
            },
            _device: PhantomData,
        }
    }

    /// As [`Self::new`], for a device that takes commands by io_uring.
    pub(crate) const fn with_uring() -> Self
    where
        T: UringDevice,
    {
        // INVARIANT: As for `new`.
        Self {
            table: bindings::file_operations {
                uring_cmd: Some(Self::uring_cmd),
                ..Self::new().table
            },
            _device: PhantomData,
        }
    }

    /// The device behind `file`, if it is an open file of this device.
    pub(crate) fn device_of<'a>(&'static self, file: &'a LocalFile) -> Option<ArcBorrow<'a, T>> {
        // SAFETY: `file` is valid, and its `f_op` does not change once it is open.
        let ops = unsafe { (*file.as_ptr()).f_op };
        // SAFETY: `file` is valid. While it is being opened, only the opening task has it.
        let mode = unsafe { read_once(&raw const (*file.as_ptr()).f_mode) };
        if !core::ptr::eq(ops, &self.table) || mode & bindings::FMODE_OPENED == 0 {
            return None;
        }
        // SAFETY: `file` is valid.
        let open = NonNull::new(unsafe { (*file.as_ptr()).private_data }.cast::<Open>());
        // It is null when the device has been released.
        // SAFETY: By the type invariant it is an `Open` with what comes from `T::open`; it stays
        // until `release`, which the reference to the file excludes.
        open.map(|open| unsafe { <Arc<T> as ForeignOwnable>::borrow((*open.as_ptr()).device) })
    }

    /// # Safety
    ///
    /// `file` is being opened; `chrdev_open` through `misc_open` calls this once, with no lock.
    unsafe extern "C" fn open(
        inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        from_result(|| {
            // SAFETY: The caller passes valid pointers.
            to_result(unsafe { bindings::generic_file_open(inode, file) })?;
            // First: only a release undoes `T::open`. Charged to the caller's memory cgroup, as the
            // file itself is.
            let open = KBox::<Open>::new_uninit(GFP_KERNEL_ACCOUNT)?;
            // SAFETY: The file is valid for the call, and no other task holds its position lock.
            let device = T::open(unsafe { File::from_raw_file(file) })?;
            // INVARIANT: The file is on no list.
            let open = open.write(Open {
                device: device.into_foreign(),
                fasync: Atomic::new(core::ptr::null_mut()),
            });
            // SAFETY: The file is not visible to other tasks yet. `misc_open` left its own pointer
            // there, which is not needed.
            unsafe { (*file).private_data = KBox::into_raw(open).cast() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `__fput` calls this once for a file that [`Self::open`] opened, after its last use.
    unsafe extern "C" fn release(
        _inode: *mut bindings::inode,
        file: *mut bindings::file,
    ) -> ffi::c_int {
        // SAFETY: The file is valid for the call, and has no other user any more.
        let private =
            unsafe { core::mem::replace(&mut (*file).private_data, core::ptr::null_mut()) };
        // SAFETY: `open` put the pointer there, and this is its last use. The file is on no list
        // any more: `__fput` has called `fasync` before.
        let open = unsafe { KBox::<Open>::from_raw(private.cast()) };
        // SAFETY: By the type invariant, and this is its last use.
        let device = unsafe { <Arc<T> as ForeignOwnable>::from_foreign(open.device) };
        // SAFETY: The file is valid for the call.
        T::release(device, unsafe { (*file).f_flags });
        0
    }

    /// # Safety
    ///
    /// io_uring calls this for a file that [`Self::open`] opened and the command keeps.
    unsafe extern "C" fn uring_cmd(
        cmd: *mut kernel::bindings::io_uring_cmd,
        flags: ffi::c_uint,
    ) -> ffi::c_int
    where
        T: UringDevice,
    {
        // SAFETY: The caller passes a valid pointer.
        let cmd = unsafe { NonNull::new_unchecked(cmd.cast()) };
        if flags & bindings::IO_URING_F_CANCEL != 0 {
            // SAFETY: By this function's contract; only `T::uring_cmd` below parks commands, and
            // only on a `T::Queue`.
            unsafe { uring::cancel::<T::Queue>(cmd, flags) };
            return 0;
        }
        // SAFETY: The command keeps its file, which is open.
        let (device, file) = unsafe { Self::parts((*cmd.as_ptr()).file) };
        // SAFETY: By this function's contract.
        T::uring_cmd(device, file, unsafe { Command::new(cmd, flags) }).code()
    }

    /// Borrows the data that [`Self::open`] put into the file.
    ///
    /// # Safety
    ///
    /// `file` is open by [`Self::open`] and stays so for `'a`.
    unsafe fn private<'a>(file: *mut bindings::file) -> &'a Open {
        // SAFETY: The file is valid by this function's contract; `open` put the pointer there, and
        // `release` has not run.
        unsafe { &*(*file).private_data.cast() }
    }

    /// Borrows the device and the file itself.
    ///
    /// # Safety
    ///
    /// As [`Self::private`].
    unsafe fn parts<'a>(file: *mut bindings::file) -> (ArcBorrow<'a, T>, &'a File) {
        // SAFETY: By this function's contract.
        let open = unsafe { Self::private(file) };
        // SAFETY: By the type invariant, and `release` has not run.
        let device = unsafe { <Arc<T> as ForeignOwnable>::borrow(open.device) };
        // SAFETY: The file is valid by this function's contract.
        (device, unsafe { File::from_raw_file(file) })
    }

    /// # Safety
    ///
    /// The VFS (`new_sync_read`, `io_read`, ...) calls this with a valid iocb of an open file of
    /// this device and an iterator to write into.
    unsafe extern "C" fn read_iter(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The caller passes a valid iocb.
        let file = unsafe { (*iocb).ki_filp };
        // SAFETY: The iocb holds its file open.
        let (device, file) = unsafe { Self::parts(file) };
        // SAFETY: The caller passes an iterator that is a destination.
        let iter = unsafe { IovIterDest::from_raw(iter) };
        from_result(|| Ok(T::read_iter(device, file, iter)? as isize))
    }

    /// # Safety
    ///
    /// As [`Self::read_iter`], with an iterator to read from.
    unsafe extern "C" fn write_iter(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The caller passes a valid iocb.
        let file = unsafe { (*iocb).ki_filp };
        // SAFETY: The iocb holds its file open.
        let (device, file) = unsafe { Self::parts(file) };
        // SAFETY: The caller passes an iterator that is a source.
        let iter = unsafe { IovIterSource::from_raw(iter) };
        from_result(|| Ok(T::write_iter(device, file, iter)? as isize))
    }

    /// # Safety
    ///
    /// `do_splice_read` calls this with an open file of this device and a pipe that the current
    /// task has locked, or that only it can reach (`splice_direct_to_actor`).
    unsafe extern "C" fn splice_read(
        file: *mut bindings::file,
        _pos: *mut bindings::loff_t,
        pipe: *mut kernel::bindings::pipe_inode_info,
        len: usize,
        _flags: ffi::c_uint,
    ) -> isize {
        // SAFETY: The caller holds the file open.
        let (device, file) = unsafe { Self::parts(file) };
        from_result(|| {
            // SAFETY: Only the caller uses the pipe during the call.
            let mut to = unsafe { PipeDest::new(pipe.cast(), len) }?;
            T::splice_read(device, file, &mut to)?;
            Ok(to.commit()? as isize)
        })
    }

    /// # Safety
    ///
    /// `do_splice_from` calls this with an open file of this device and a pipe that is not locked.
    unsafe extern "C" fn splice_write(
        pipe: *mut kernel::bindings::pipe_inode_info,
        file: *mut bindings::file,
        _pos: *mut bindings::loff_t,
        len: usize,
        flags: ffi::c_uint,
    ) -> isize {
        // SAFETY: The caller holds the file open.
        let (device, open) = unsafe { Self::parts(file) };
        let moves = flags & bindings::SPLICE_F_MOVE != 0;
        from_result(|| {
            T::check_write(device)?;
            // SAFETY: As above.
            let (device, _) = unsafe { Self::parts(file) };
            // SAFETY: The caller holds a reference to the pipe and has not locked it.
            let mut from = unsafe { PipeSource::new(pipe.cast(), len, moves) }?;
            Ok(T::splice_write(device, open, &mut from)? as isize)
        })
    }

    /// # Safety
    ///
    /// `vfs_poll` calls this with an open file of this device and a valid table, or none.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller holds the file open.
        let (device, _) = unsafe { Self::parts(file) };
        let Ok(queue) = device.pollers() else {
            return PollEvents::ERROR.into_raw();
        };
        // SAFETY: File and table are valid for the call. The queue is borrowed from the device,
        // which the file keeps until it is released. Pollers leave the queue before that: a poller
        // holds a reference to the file, or (epoll) `__fput()` removes it.
        unsafe { bindings::poll_wait(file, queue.as_ptr(), table) };
        device.poll().into_raw()
    }

    /// # Safety
    ///
    /// `fcntl`, `ioctl(FIOASYNC)` and `__fput` call this with an open file of this device.
    unsafe extern "C" fn fasync(
        fd: ffi::c_int,
        file: *mut bindings::file,
        on: ffi::c_int,
    ) -> ffi::c_int {
        // SAFETY: The caller holds the file open.
        let open = unsafe { Self::private(file) };
        // SAFETY: As above.
        let (device, file) = unsafe { Self::parts(file) };
        from_result(|| {
            let known = open.fasync.load(Acquire);
            let list = if on == 0 {
                known
            } else {
                let list = core::ptr::from_ref(device.fasync()?).cast_mut();
                // INVARIANT: Borrowed from the device, which outlives the file.
                match open.fasync.cmpxchg(core::ptr::null_mut(), list, Full) {
                    Err(other) if other != list => return Err(EBUSY),
                    _ => list,
                }
            };
            // SAFETY: By the type invariant it is null, or a list that lives until the file is
            // released.
            match unsafe { list.as_ref() } {
                // SAFETY: It is the only list of this file, which `__fput` takes off it.
                Some(list) => unsafe { list.set(fd, file, on != 0) },
                None => Ok(0),
            }
        })
    }

    /// # Safety
    ///
    /// `vfs_ioctl` and `compat_ptr_ioctl` call this with an open file of this device.
    unsafe extern "C" fn ioctl(
        file: *mut bindings::file,
        command: ffi::c_uint,
        argument: ffi::c_ulong,
    ) -> ffi::c_long {
        // SAFETY: The caller holds the file open.
        let (device, file) = unsafe { Self::parts(file) };
        from_result(|| T::ioctl(device, file, command, argument))
    }

    /// # Safety
    ///
    /// `proc/fd.c` calls this with a valid seq file and an open file of this device.
    unsafe extern "C" fn show_fdinfo(m: *mut bindings::seq_file, file: *mut bindings::file) {
        // SAFETY: The caller holds the file open.
        let (device, file) = unsafe { Self::parts(file) };
        // SAFETY: The caller passes a seq file that is ours for the call.
        T::show_fdinfo(device, unsafe { SeqFile::from_raw(m) }, file);
    }
}

/// A registered device; dropping it removes the device.
///
/// # Invariants
///
/// `inner` is registered with `misc_register()`.
#[pin_data(PinnedDrop)]
pub(crate) struct Registration<T: Device> {
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    _device: PhantomData<fn() -> T>,
}

// SAFETY: Any thread may remove a device.
unsafe impl<T: Device> Send for Registration<T> {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl<T: Device> Sync for Registration<T> {}

impl<T: Device> Registration<T> {
    /// Registers the device.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the minor is in use, `ENOMEM`.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            inner <- Opaque::try_ffi_init(|slot: *mut bindings::miscdevice| {
                let device = bindings::miscdevice {
                    minor: T::MINOR,
                    name: T::NAME.as_char_ptr(),
                    fops: &T::table().table,
                    ..pin_init::zeroed()
                };
                // SAFETY: The initialiser may write to `slot`.
                unsafe { slot.write(device) };
                // INVARIANT: Registered if this succeeds.
                // SAFETY: `slot` is initialised and pinned, and is unregistered before it is
                // dropped.
                to_result(unsafe { bindings::misc_register(slot) })
            }),
            _device: PhantomData,
        })
    }
}

#[pinned_drop]
impl<T: Device> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant. It may be removed at any time: this waits for a
        // running open, and an open file needs only the static table, and the module, which it
        // keeps.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}
