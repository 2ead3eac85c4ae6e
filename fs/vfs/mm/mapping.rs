// SPDX-License-Identifier: GPL-2.0

//! `address_space_operations`: filling the page cache of an inode.
//!
//! There are two kinds of mapping. Those of files are served by iomap, which keeps its state in a
//! folio's private data, so the methods that concern that are always its own. The VFS's readers
//! (`filemap_read()`, faults) call these; these call [`super::iomap`] and the file system's reader.
//! Those of symbolic links have one folio with the target.
//!
//! Locks: folio locks, taken by the VFS before it calls; the mapping's `invalidate_lock`, which it
//! holds shared.
//!
//! C headers: `include/linux/fs.h`, `include/linux/pagemap.h`.

use crate::vfs::{
    bindings,
    file::{
        count::count_of,
        open::{
            File,
            Kiocb, //
        },
    },
    mm::{
        folio::{
            Folio,
            Locked,
            Mapped, //
        },
        iomap::{
            self,
            Control, //
        },
        writeback::{
            without_fs_recursion,
            DirtyPages, //
        },
    },
    mount::sb::FileSystem,
    node::inode::{
        INode,
        INodeView, //
    },
    tables::{
        AddressSpaceOps,
        TargetOps, //
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
    page::PAGE_SIZE,
    prelude::*, //
};

/// The page cache of an inode, filled by iomap.
#[vtable]
pub(crate) trait Operations<T: FileSystem> {
    /// Reads one folio in, because a task waits for it. Ends in [`iomap::read_folio`]; a `folio`
    /// that is dropped stays as it is, and the waiting task gets `EIO`.
    ///
    /// # Errors
    ///
    /// The reader does not see which: it gets `EIO`.
    fn read_folio(file: &File<T>, folio: Locked<&Folio>) -> Result;

    /// Reads folios in that are likely to be needed. Ends in [`Readahead::read`].
    ///
    /// The caller has made sure that allocations do not recurse into file systems.
    fn readahead(ahead: Readahead<'_, T>);

    /// `read(2)` past the page cache, for `O_DIRECT`. The position is not moved: the caller does
    /// that, by the return value. The range has been written back.
    fn direct_read(iocb: &mut Kiocb<'_, T>, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// `write(2)` past the page cache, for `O_DIRECT`. The position is not moved: the caller does
    /// that, by the return value, and advances the source as well. The inode is locked, and the
    /// range is not cached.
    fn direct_write(iocb: &mut Kiocb<'_, T>, from: &mut IovIterSource<'_>) -> Result<usize>;

    /// Writes dirty pages. Ends in [`DirtyPages::write`]; pages that it does not get stay dirty.
    ///
    /// The caller has made sure that allocations do not recurse into file systems. The current task
    /// may be unrelated to the file, and hold any lock that is taken outside of a folio's.
    fn writepages(pages: DirtyPages<'_, T>) -> Result;

    /// The block of the block device for block `block` of the file; 0 if there is none. Blocks are
    /// those of the super block. No lock is held; may sleep.
    fn bmap(inode: &INode<T>, block: u64) -> u64;
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

    /// Reads the folios in with `reader`, as far as it takes them; the rest is left out.
    pub(crate) fn read<R: iomap::Reader>(mut self, reader: &mut R) {
        iomap::readahead(&mut self.control, reader);
    }
}

impl<T: FileSystem> AddressSpaceOps<T> {
    /// The table of mappings that iomap serves.
    pub(crate) const fn iomap<U: Operations<T>>() -> Self {
        // SAFETY: The trampolines require what the VFS promises for the mapping of an inode of `T`.
        unsafe { Self::from_table(&Table::<T, U>::TABLE) }
    }
}

/// The targets of symbolic links, for the page cache.
pub(crate) trait Targets<T: FileSystem> {
    /// Reads the target of `inode`. Its one folio is locked. May sleep.
    ///
    /// # Errors
    ///
    /// Those that the reader of the link gets.
    fn read_target(inode: &INode<T>) -> Result<KVVec<u8>>;
}

impl<T: FileSystem> TargetOps<T> {
    /// The table of mappings with the targets that `U` reads.
    pub(crate) const fn new<U: Targets<T>>() -> Self {
        // SAFETY: The trampoline requires what the VFS promises for the mapping of an inode of `T`,
        // and terminates the target with a NUL.
        unsafe { Self::from_table(&TargetTable::<T, U>::TABLE) }
    }
}

struct TargetTable<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Targets<T>> TargetTable<T, U> {
    const TABLE: bindings::address_space_operations = bindings::address_space_operations {
        read_folio: Some(Self::read_folio),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by `page_get_link_raw()` with the locked folio of a symbolic link of `T`, which is
    /// not up to date, and which it does not unlock.
    unsafe extern "C" fn read_folio(
        _file: *mut bindings::file,
        folio: *mut bindings::folio,
    ) -> c_int {
        // SAFETY: A locked folio of the page cache keeps its mapping, and the reader of the link
        // holds a reference to the inode.
        let inode = unsafe {
            let mapping = (*folio).__bindgen_anon_1.__bindgen_anon_1.mapping;
            INode::from_raw((*mapping).host)
        };
        // SAFETY: The page cache references its locked folios.
        let result = unsafe { Self::fill(inode, Folio::from_raw(folio)) };
        // SAFETY: The folio is locked and not up to date, and this unlocks it.
        unsafe { bindings::folio_end_read(folio, result.is_ok()) };
        from_result(|| result.map(|()| 0))
    }

    /// Fills the folio with the target and one zero or more.
    ///
    /// # Safety
    ///
    /// Only the caller may use the bytes of the folio.
    unsafe fn fill(inode: &INode<T>, folio: &Folio) -> Result {
        let target = U::read_target(inode)?;
        let len = target.len();
        // Mappings of links have folios of one page, of which one byte is for the NUL.
        if len >= PAGE_SIZE || folio.size() < PAGE_SIZE {
            return Err(EIO);
        }
        // SAFETY: A folio has a first byte. Nothing else is mapped here.
        let page = unsafe { Mapped::new(folio, 0) };
        // SAFETY: The page is mapped, the caller promises that it is the only user, and `len` bytes
        // and the zeroes behind them are within it.
        unsafe {
            core::ptr::copy_nonoverlapping(target.as_ptr(), page.addr, len);
            core::ptr::write_bytes(page.addr.add(len), 0, PAGE_SIZE - len);
        }
        Ok(())
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
        writepages: if U::HAS_WRITEPAGES {
            Some(Self::writepages)
        } else {
            None
        },
        launder_folio: if U::HAS_WRITEPAGES {
            Some(Self::launder_folio)
        } else {
            None
        },
        bmap: if U::HAS_BMAP { Some(Self::bmap) } else { None },
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
        // SAFETY: Locked by the caller, which leaves the unlock to us.
        let folio = unsafe { Locked::from_locked(folio) };
        if file.is_null() {
            // The kernel reads a file that it has not opened.
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
    /// Called by `do_writepages()` with the mapping of an inode of `T` that is not freed meanwhile,
    /// and with a control block of its own.
    unsafe extern "C" fn writepages(
        mapping: *mut bindings::address_space,
        control: *mut bindings::writeback_control,
    ) -> c_int {
        // SAFETY: The inode is pinned by the caller: by a reference, or because it is marked as
        // being synced, which its eviction waits for.
        let inode = unsafe { INodeView::from_raw((*mapping).host) };
        // SAFETY: The control block is ours for the call, and this is a table of iomap's.
        let pages = unsafe { DirtyPages::controlled(inode, control) };
        without_fs_recursion(|| from_result(|| U::writepages(pages).map(|()| 0)))
    }

    /// # Safety
    ///
    /// Called by `invalidate_inode_pages2_range()` with a locked folio of an inode of `T` that its
    /// caller has a reference to, and that is not under writeback.
    unsafe extern "C" fn launder_folio(folio: *mut bindings::folio) -> c_int {
        // SAFETY: A locked folio of the page cache keeps its mapping, whose inode is referenced.
        let inode = unsafe {
            let mapping = (*folio).__bindgen_anon_1.__bindgen_anon_1.mapping;
            INodeView::from_raw((*mapping).host)
        };
        // SAFETY: The folio is locked for the call, and this is a table of iomap's.
        let pages = unsafe { DirtyPages::one(inode, folio) };
        without_fs_recursion(|| {
            from_result(|| {
                U::writepages(pages)?;
                // SAFETY: The page cache references its locked folios.
                unsafe { bindings::folio_wait_writeback(folio) };
                Ok(0)
            })
        })
    }

    /// # Safety
    ///
    /// Called by `bmap()` with the mapping of a referenced inode of `T`.
    unsafe extern "C" fn bmap(
        mapping: *mut bindings::address_space,
        block: bindings::sector_t,
    ) -> bindings::sector_t {
        // SAFETY: The caller has a reference to the inode that the mapping is of.
        U::bmap(unsafe { INode::from_raw((*mapping).host) }, block)
    }

    /// # Safety
    ///
    /// Called by `generic_file_read_iter()` with a request on an open file and a destination, or by
    /// `generic_file_direct_write()` with one and a source.
    unsafe extern "C" fn direct_io(
        iocb: *mut bindings::kiocb,
        iter: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The request is valid and ours for the call; `read_iter` or `write_iter` of the
        // same file serves it.
        let mut iocb = unsafe { Kiocb::from_raw(iocb, None) };
        // SAFETY: The iterator is valid.
        if unsafe { (*iter).data_source } == (bindings::ITER_DEST != 0) {
            // SAFETY: A destination, as checked above, and ours for the call.
            let to = unsafe { IovIterDest::from_raw(iter) };
            count_of(U::direct_read(&mut iocb, to))
        } else {
            // SAFETY: A source, as it is not a destination, and ours for the call.
            let from = unsafe { IovIterSource::from_raw(iter) };
            count_of(U::direct_write(&mut iocb, from))
        }
    }
}
