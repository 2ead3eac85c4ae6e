// SPDX-License-Identifier: GPL-2.0

//! Bytes: the VFS's operations on open files.
//!
//! Owns the operations of regular files and of their page cache; `fstype/super_block.rs` passes the
//! tables to the VFS. `vfs/file/file_ops.rs` and `vfs/mm/mapping.rs` call these; these call
//! `inode/handle.rs` and `conn/call.rs`. Directories are opened here, too, but read in
//! `dir/readdir.rs`.
//!
//! A write goes to the server at once, or stays in the page cache as dirty pages, if that was
//! agreed on in INIT; a store to a mapping always stays there for a while. If the server has named
//! a backing file, all data goes there instead. [`Way`] decides.

mod bmap;
mod copy_range;
pub(crate) mod device;
mod direct;
mod fallocate;
pub(crate) mod fileattr;
pub(crate) mod fsync;
pub(crate) mod ioctl;
mod llseek;
mod lock;
mod mmap;
pub(crate) mod open;
pub(crate) mod outdated;
mod passthrough;
mod poll;
mod range;
mod read;
mod readahead;
mod transfer;
mod write;
mod writeback;

use super::{
    abi::file::FopenFlag,
    inode::{
        check_good,
        handle::OpenHandle, //
    },
    Fuse, //
};
use crate::vfs::{
    file::{
        file_ops,
        ioctl::Ioctl,
        lock::{
            LockCommand,
            LockRequest,
            Locking, //
        },
        open::{
            CopyRange,
            FallocateMode,
            File,
            FilesId,
            Kiocb,
            Opening,
            SpliceRead,
            SpliceWrite,
            SyncRange,
            Whence, //
        },
        poll::{
            PollEvents,
            Polling, //
        }, //
    },
    io::backing::BackingFile,
    mm::{
        folio::{
            Folio,
            Locked, //
        },
        mapping::{
            self,
            Readahead, //
        },
        vm::NewArea,
        writeback::DirtyPages, //
    },
    node::inode::INode,
    tables::{
        AddressSpaceOps,
        FileOps, //
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    sync::Arc, //
};

/// Where `read(2)`, `write(2)` and splices find the bytes of an open file.
enum Way<'a> {
    /// In the page cache.
    Cached,
    /// At the server, past the page cache.
    Direct,
    /// In the file that the server has named.
    PassedThrough(&'a BackingFile),
}

impl<'a> Way<'a> {
    /// The way of a file with this handle. If the server asks for both, it serves the bytes itself.
    #[inline]
    fn of(handle: &'a OpenHandle) -> Self {
        if handle.wants(FopenFlag::DirectIo) {
            Self::Direct
        } else if let Some(backing) = handle.backing() {
            Self::PassedThrough(backing)
        } else {
            Self::Cached
        }
    }
}

/// The table of open regular files.
pub(crate) const fn regular_ops() -> FileOps<Fuse> {
    FileOps::regular::<Regular>()
}

/// The table of the page cache of regular files.
pub(crate) const fn mapping_ops() -> AddressSpaceOps<Fuse> {
    AddressSpaceOps::iomap::<Cache>()
}

/// The operations of open regular files.
struct Regular;

#[vtable]
impl file_ops::Regular<Fuse> for Regular {
    fn open(file: &Opening<'_, Fuse>) -> Result<Arc<OpenHandle>> {
        open::open(file)
    }

    fn release(inode: &INode<Fuse>, flags: u32, handle: Arc<OpenHandle>) {
        open::release(inode, flags, handle);
    }

    fn flush(file: &File<Fuse>, owner: FilesId) -> Result {
        fsync::flush(file, owner)
    }

    #[inline]
    fn read_iter(mut iocb: Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
        let handle = iocb.file().data();
        check_good(handle.inode())?;
        match Way::of(&handle) {
            Way::Direct => direct::read_iter(&mut iocb, to),
            Way::PassedThrough(backing) => passthrough::read_iter(backing, iocb, to),
            Way::Cached => read::read_iter(handle, &mut iocb, to),
        }
    }

    #[inline]
    fn reads_cache(file: &File<Fuse>, pos: i64, len: usize) -> bool {
        read::is_plain(file, pos, len)
    }

    #[inline]
    fn write_iter(mut iocb: Kiocb<'_, Fuse>, from: &mut IovIterSource<'_>) -> Result<usize> {
        let handle = iocb.file().data();
        check_good(handle.inode())?;
        match Way::of(&handle) {
            Way::Direct => direct::write_iter(&mut iocb, from),
            Way::PassedThrough(backing) => passthrough::write_iter(backing, iocb, from),
            Way::Cached => write::write_iter(handle, &mut iocb, from),
        }
    }

    fn llseek(file: &File<Fuse>, offset: i64, whence: Whence) -> Result<i64> {
        llseek::llseek(file, offset, whence)
    }

    fn mmap(area: NewArea<'_, Fuse>) -> Result {
        let handle = area.file().data();
        // A mapping has no way past the page cache: the file that the server has named comes first.
        match handle.backing() {
            Some(backing) => passthrough::mmap(backing, area),
            None => mmap::mmap(area),
        }
    }

    fn fallocate(file: &File<Fuse>, mode: FallocateMode, offset: i64, len: i64) -> Result {
        fallocate::fallocate(file, mode, offset, len)
    }

    fn fsync(file: &File<Fuse>, range: SyncRange) -> Result {
        fsync::fsync(file, range)
    }

    fn copy_file_range(range: CopyRange<'_, Fuse>) -> Result<usize> {
        copy_range::copy_file_range(range)
    }

    fn lock(request: &mut LockRequest<'_, Fuse>, command: LockCommand) -> Result<Locking> {
        lock::lock(request, command)
    }

    fn flock(request: &mut LockRequest<'_, Fuse>) -> Result {
        lock::flock(request)
    }

    fn ioctl(file: &File<Fuse>, call: Ioctl) -> Result<i32> {
        ioctl::ioctl(file, call)
    }

    fn poll(polling: &Polling<'_, Arc<OpenHandle>>) -> PollEvents {
        poll::poll(polling, polling.data())
    }

    fn splice_read(splice: SpliceRead<'_, Fuse>) -> Result<usize> {
        match Way::of(&splice.file().data()) {
            // The contents of such a file may be generated on a read, and be longer than its size.
            // With `O_DIRECT` the VFS does not call this.
            Way::Direct => splice.copy(),
            Way::PassedThrough(backing) => passthrough::splice_read(backing, splice),
            Way::Cached => {
                outdated::settle(splice.file().inode())?;
                splice.filemap()
            }
        }
    }

    fn splice_write(splice: SpliceWrite<'_, Fuse>) -> Result<usize> {
        match Way::of(&splice.file().data()) {
            Way::PassedThrough(backing) => passthrough::splice_write(backing, splice),
            // By way of `write_iter`.
            Way::Direct | Way::Cached => splice.iter_file(),
        }
    }
}

/// The operations of the page cache.
struct Cache;

#[vtable]
impl mapping::Operations<Fuse> for Cache {
    fn read_folio(file: &File<Fuse>, folio: Locked<&Folio>) -> Result {
        read::read_folio(file, folio)
    }

    fn readahead(ahead: Readahead<'_, Fuse>) {
        readahead::readahead(ahead);
    }

    fn direct_read(iocb: &mut Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
        direct::direct_read(iocb, to)
    }

    fn direct_write(iocb: &mut Kiocb<'_, Fuse>, from: &mut IovIterSource<'_>) -> Result<usize> {
        direct::direct_write(iocb, from)
    }

    fn writepages(pages: DirtyPages<'_, Fuse>) -> Result {
        writeback::writepages(pages)
    }

    fn bmap(inode: &INode<Fuse>, block: u64) -> u64 {
        bmap::bmap(inode, block)
    }
}
