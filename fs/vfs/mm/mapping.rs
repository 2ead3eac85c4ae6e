// SPDX-License-Identifier: GPL-2.0

//! `address_space_operations`: how the page cache of an inode gets its data.
//!
//! Only mappings that iomap serves are here: iomap keeps its state in a folio's private data, so
//! the methods that have to do with that are always its own. Before it on the walk are the VFS's
//! readers (`filemap_read()`, faults), behind it [`super::iomap`] and the file system's reader.
//!
//! Locks: folio locks, taken by the VFS before it calls; the mapping's `invalidate_lock`, which it
//! holds shared.
//!
//! C headers: `include/linux/fs.h`, `include/linux/pagemap.h`.

use super::{
    super::{
        bindings,
        file::{
            count_of,
            File,
            Kiocb, //
        },
        inode::AddressSpaceOps,
        FileSystem, //
    },
    folio::{
        Folio,
        Locked, //
    },
    iomap::{
        self,
        Control, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData, //
};
use kernel::{
    error::from_result,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*, //
};

/// The page cache of an inode, filled by iomap.
#[vtable]
pub(crate) trait Operations<T: FileSystem> {
    /// Reads one folio in, because somebody waits for it. Ends in [`iomap::read_folio`]; a
    /// `folio` that is dropped stays as it is, and who waits gets `EIO`.
    ///
    /// # Errors
    ///
    /// None of them reaches the reader as it is: that gets `EIO`.
    fn read_folio(file: &File<T>, folio: Locked<&Folio>) -> Result;

    /// Reads folios in that somebody will probably want. Ends in [`Readahead::read`].
    ///
    /// Memory is allocated without recursion into file systems, which the caller has seen to.
    fn readahead(ahead: Readahead<'_, T>);

    /// `read(2)` past the page cache, for `O_DIRECT`. The position is not moved: the caller does,
    /// by what is returned. The range has been written back.
    fn direct_read(iocb: &Kiocb<'_, T>, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// `write(2)` past the page cache, for `O_DIRECT`. The position is not moved: the caller does,
    /// by what is returned, and takes the source there, too. The inode is locked, and the range is
    /// not cached.
    fn direct_write(iocb: &Kiocb<'_, T>, from: &mut IovIterSource<'_>) -> Result<usize>;
}

/// A readahead on an open file of `T`.
pub(crate) struct Readahead<'a, T: FileSystem> {
    control: Control<'a>,
    file: &'a File<T>,
}

impl<'a, T: FileSystem> Readahead<'a, T> {
    /// The file that is read.
    pub(crate) fn file(&self) -> &'a File<T> {
        self.file
    }

    /// Reads the folios in by `reader`, as far as it takes them; the rest is left out.
    pub(crate) fn read<R: iomap::Reader>(mut self, reader: &mut R) {
        iomap::readahead(&mut self.control, reader);
    }
}

impl<T: FileSystem> AddressSpaceOps<T> {
    /// The table of mappings that iomap serves.
    pub(crate) const fn iomap<U: Operations<T>>() -> Self {
        // SAFETY: The trampolines ask for what the VFS promises to the mapping of an inode of `T`.
        unsafe { Self::from_table(&Table::<T, U>::TABLE) }
    }
}

struct Table<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Operations<T>> Table<T, U> {
    const TABLE: bindings::address_space_operations = bindings::address_space_operations {
        read_folio: Some(Self::read_folio),
        readahead: Some(Self::readahead),
        direct_IO: if U::HAS_DIRECT_READ && U::HAS_DIRECT_WRITE {
            Some(Self::direct_io)
        } else {
            None
        },
        dirty_folio: Some(bindings::iomap_dirty_folio),
        release_folio: Some(bindings::iomap_release_folio),
        invalidate_folio: Some(bindings::iomap_invalidate_folio),
        is_partially_uptodate: Some(bindings::iomap_is_partially_uptodate),
        migrate_folio: Some(bindings::filemap_migrate_folio),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by the page cache with a locked folio of an inode of `T`, which it does not unlock,
    /// and with an open file of that inode or NULL.
    unsafe extern "C" fn read_folio(
        file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> c_int {
        // SAFETY: The page cache references its locked folios.
        let folio = unsafe { Folio::from_raw(folio) };
        // SAFETY: Locked by the caller, who leaves the unlock to us.
        let folio = unsafe { Locked::from_locked(folio) };
        if file.is_null() {
            // Somebody in the kernel reads a file that it has not opened.
            return EIO.to_errno();
        }
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        from_result(|| U::read_folio(file, folio).map(|()| 0))
    }

    /// # Safety
    ///
    /// Called by `read_pages()` with a control block of its own, for an inode of `T` and an open
    /// file of it or NULL.
    unsafe extern "C" fn readahead(rac: *mut bindings::readahead_control) {
        // SAFETY: The control block is valid.
        let file = unsafe { (*rac).file };
        if file.is_null() {
            // As above; readahead is a hint.
            return;
        }
        U::readahead(Readahead {
            // SAFETY: The control block is ours for the call.
            control: unsafe { Control::from_raw(rac) },
            // SAFETY: The caller has a reference to the open file.
            file: unsafe { File::from_raw(file) },
        });
    }

    /// # Safety
    ///
    /// Called by `generic_file_read_iter()` with a request on an open file and a destination, or by
    /// `generic_file_direct_write()` with one and a source.
    unsafe extern "C" fn direct_io(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The request is valid and ours for the call.
        let iocb = unsafe { Kiocb::from_raw(iocb) };
        // SAFETY: The iterator is valid.
        if unsafe { (*iter).data_source } == (bindings::ITER_DEST != 0) {
            // SAFETY: A destination, as was just looked at, and ours for the call.
            let to = unsafe { IovIterDest::from_raw(iter) };
            count_of(U::direct_read(&iocb, to))
        } else {
            // SAFETY: A source, since there is nothing else, and ours for the call.
            let from = unsafe { IovIterSource::from_raw(iter) };
            count_of(U::direct_write(&iocb, from))
        }
    }
}
