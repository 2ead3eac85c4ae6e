// SPDX-License-Identifier: GPL-2.0

//! Passthrough: reads, writes, splices and mappings go straight to a backing file, without a
//! request.
//!
//! The server has registered that file (`conn/backing.rs`) and names it when it answers the OPEN
//! ([`open`]). All other operations still go to the server, size and times included: after a write
//! they are fetched anew. With FOPEN_DIRECT_IO as well, reads and writes go to the server, and
//! mappings to the backing file.
//!
//! `file/mod.rs` calls this; this calls `vfs/io/backing.rs`. It uses the credentials of the task that
//! registered the file.
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

/// The flags that a server can combine with passthrough: none that concern the page cache or the
/// position.
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
/// `EINVAL` for a combination of flags that is invalid or was not agreed on; `ENOENT` for an
/// unknown file; those of opening it; `EBUSY` and `ETXTBSY` if the inode is open in another way.
pub(super) fn open(file: &Opening<'_, Fuse>, handle: &mut OpenHandle) -> Result {
    if handle.wants_more_than(allowed()) {
        return Err(EINVAL);
    }
    let backing = handle.mount().conn().backing(handle.backing_id())?;
    let opened = backing.open(file)?;
    handle.pass_through(&backing, opened)
}

/// Reads. May sleep.
///
/// # Errors
///
/// Those of the backing file; `EIOCBQUEUED` if the call completes later.
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
/// Those of the backing file, and of the server when it is asked for privileges of the file;
/// `EIOCBQUEUED` if the call completes later.
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

/// The effects of accesses to the backing file on the attributes of the inode.
struct Passthrough;

impl Backed<Fuse> for Passthrough {
    fn accessed(inode: &INode<Fuse>) {
        attr_cache::invalidate_atime(inode);
    }

    fn written(inode: &INode<Fuse>, end: Option<i64>) {
        attr_cache::written(inode, end);
    }
}
