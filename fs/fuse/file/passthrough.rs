// SPDX-License-Identifier: GPL-2.0

//! Passthrough: what is read, written, spliced and mapped goes straight to a backing file, without
//! a request.
//!
//! The server has registered that file (`conn/backing.rs`) and names it when it answers the OPEN
//! ([`open`]). Everything else about the file is still asked of the server, its size and times
//! included: what a write has made of them is asked for anew. With FOPEN_DIRECT_IO as well, reads
//! and writes go to the server, and mappings to the backing file.
//!
//! On the walk: `read.rs`, `write.rs`, `mmap.rs` and the splices of the room turn off here; behind
//! it is `vfs/io/backing.rs`. All is done with the credentials of whoever registered the file.
//!
//! Locks: the inode's, for writes; inside of it the other file system takes its own.

use crate::{
    fuse::{
        abi::file::{
            FopenFlag,
            FopenFlags, //
        },
        inode::{
            attr_cache,
            handle::OpenHandle, //
        },
        Fuse, //
    },
    vfs::{
        file::open::{
            Kiocb,
            Opening,
            SpliceRead,
            SpliceWrite, //
        },
        io::backing::{
            Backed,
            BackingFile, //
        },
        mm::vm::NewArea,
        node::inode::INode, //
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*, //
};

/// What a server can ask for together with passthrough: nothing that has to do with the page cache
/// or with the position.
fn allowed() -> FopenFlags {
    FopenFlag::Passthrough
        | FopenFlag::DirectIo
        | FopenFlag::ParallelDirectWrites
        | FopenFlag::Noflush
}

/// Opens the file that the server has named behind `file`, whose handle is new. May sleep.
///
/// # Errors
///
/// `EINVAL` if the server asks for what does not go together or was not agreed on; `ENOENT` for an
/// unknown file; those of opening it; `EBUSY` and `ETXTBSY` if the inode is open in another way.
pub(super) fn open(file: &Opening<'_, Fuse>, handle: &mut OpenHandle) -> Result {
    if handle.wants_more_than(allowed()) {
        return Err(EINVAL);
    }
    let backing = handle.mount().conn().backing(handle.backing_id())?;
    let opened = backing.open(file)?;
    handle.pass_through(&backing, opened)
}

/// What is read and written of a file with this handle is passed through to this, if to anything.
#[inline]
pub(super) fn of_data(handle: &OpenHandle) -> Option<&BackingFile> {
    handle
        .backing()
        .filter(|_| !handle.wants(FopenFlag::DirectIo))
}

/// Reads. May sleep.
///
/// # Errors
///
/// Those of the backing file; `EIOCBQUEUED` if the caller is told later.
pub(super) fn read_iter(
    backing: &BackingFile,
    iocb: Kiocb<'_, Fuse>,
    to: &mut IovIterDest<'_>,
) -> Result<usize> {
    backing.read_iter::<_, Passthrough>(iocb, to)
}

/// Writes. Sleeps.
///
/// # Errors
///
/// Those of the backing file, and of the server if it is asked for privileges of the file;
/// `EIOCBQUEUED` if the caller is told later.
pub(super) fn write_iter(
    backing: &BackingFile,
    iocb: Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    if from.is_empty() {
        return Ok(0);
    }
    let lock = iocb.file().inode().lock_parent();
    backing.write_iter::<_, Passthrough>(&lock, iocb, from)
}

/// Splices out of the file. May sleep.
///
/// # Errors
///
/// Those of the backing file.
pub(super) fn splice_read(backing: &BackingFile, splice: SpliceRead<'_, Fuse>) -> Result<usize> {
    backing.splice_read::<_, Passthrough>(splice)
}

/// Splices into the file. Sleeps.
///
/// # Errors
///
/// As [`write_iter`].
pub(super) fn splice_write(backing: &BackingFile, splice: SpliceWrite<'_, Fuse>) -> Result<usize> {
    let lock = splice.file().inode().lock_parent();
    backing.splice_write::<_, Passthrough>(&lock, splice)
}

/// Maps the file of `area`. The address space is locked for writing.
///
/// # Errors
///
/// Those of the backing file.
pub(super) fn mmap(backing: &BackingFile, area: NewArea<'_, Fuse>) -> Result {
    backing.mmap::<_, Passthrough>(area)
}

/// What the attributes of the inode have to do with the backing file.
struct Passthrough;

impl Backed<Fuse> for Passthrough {
    fn accessed(inode: &INode<Fuse>) {
        attr_cache::invalidate_atime(inode);
    }

    fn written(inode: &INode<Fuse>, end: Option<i64>) {
        attr_cache::written(inode, end);
    }
}
