// SPDX-License-Identifier: GPL-2.0

//! READDIR: the names in a directory.
//!
//! The VFS comes in through [`iterate_shared`]; the server fills a buffer with records, and each
//! goes to the reader. The position of a directory is the server's own: it is the `off` of the last
//! record that the reader took, or 0. The table of open directories is here, too, because it is
//! made of this and of `file/open.rs`.
//!
//! Locks: the VFS holds the inode's lock shared; servers that cannot run requests on one directory
//! at the same time get them one by one ([`inode::lock_dirops`]).
//!
//! Records are not cached, and READDIRPLUS is not sent.

use crate::{
    fuse::{
        abi::{
            file::ReadIn,
            header::rec_align,
            node::Dirent, //
        },
        file::{
            fsync::fsync_dir,
            ioctl::dir_ioctl,
            open::open_dir, //
        },
        inode::{
            self,
            attr_cache,
            check_good,
            handle::OpenHandle, //
        },
        op,
        Fuse, //
    },
    vfs::{
        dir_context::DirContext,
        file::{
            File,
            Opening,
            SyncRange, //
        },
        file_ops,
        inode::{
            FileOps,
            INode, //
        },
        ioctl::Ioctl,
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// Longest name that a server may send, in bytes (`FUSE_NAME_MAX`).
const NAME_MAX: usize = 4095;

/// The table of open directories.
pub(crate) const fn dir_ops() -> FileOps<Fuse> {
    FileOps::dir::<Directory>()
}

/// The operations of open directories.
struct Directory;

#[vtable]
impl file_ops::Dir<Fuse> for Directory {
    fn open(file: &Opening<'_, Fuse>) -> Result<Arc<OpenHandle>> {
        open_dir(file)
    }

    fn release(_inode: &INode<Fuse>, flags: u32, handle: Arc<OpenHandle>) {
        handle.close(flags);
    }

    fn iterate_shared(file: &File<Fuse>, ctx: &mut DirContext) -> Result {
        iterate_shared(file, ctx)
    }

    fn ioctl(file: &File<Fuse>, call: Ioctl) -> Result<i32> {
        dir_ioctl(file, call)
    }

    fn fsync(file: &File<Fuse>, range: SyncRange) -> Result {
        fsync_dir(file, range)
    }
}

/// Hands the next names of a directory to its reader. Sleeps.
///
/// # Errors
///
/// `EIO` for a bad inode and for a record that cannot be a name; `ENOMEM`; what the server answers.
fn iterate_shared(file: &File<Fuse>, ctx: &mut DirContext) -> Result {
    let handle = file.data();
    let inode = handle.inode();
    check_good(inode)?;

    let result = {
        let _lock = inode::lock_dirops(inode);
        ask(&handle, ctx, file.flags())
    };
    let result = result.and_then(|records| emit_all(&records, ctx));
    attr_cache::invalidate_atime(inode);
    result
}

/// The records from the reader's position on, as many as the reader seems to have room for.
fn ask(handle: &OpenHandle, ctx: &DirContext, flags: u32) -> Result<KVVec<u8>> {
    let mount = handle.mount();
    let max_pages = mount.conn().features().max_pages.max(1) as usize;
    let max = max_pages.saturating_mul(PAGE_SIZE);
    let size = ctx.count().clamp(PAGE_SIZE, max);

    mount.call(op::Readdir {
        node: handle.inode().data().node_id(),
        args: ReadIn {
            fh: handle.fh(),
            // To the VFS a position is a signed number, to the server a bit pattern.
            offset: ctx.pos() as u64,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            flags,
            ..ReadIn::default()
        },
    })
}

/// Hands records over until the reader is full.
///
/// # Errors
///
/// Those of [`Records`]; what came before has been handed over.
fn emit_all(records: &[u8], ctx: &mut DirContext) -> Result {
    for record in Records(records) {
        let Record { entry, name } = record?;
        if !ctx.emit(name, entry.ino, entry.kind) {
            break;
        }
        ctx.set_pos(entry.off as i64);
    }
    Ok(())
}

/// One record.
pub(super) struct Record<'a> {
    /// The record without its name.
    pub(super) entry: Dirent,
    /// The name.
    pub(super) name: &'a [u8],
}

/// The records in a buffer.
///
/// One that does not end within the buffer, padding included, ends it: the server ran out of room,
/// and sends it again when it is asked to go on after the one before.
///
/// # Errors
///
/// `EIO` for a name that is empty, too long or a path.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, after) = Dirent::read_from_prefix(self.0).ok()?;
        let namelen = entry.namelen as usize;
        if namelen == 0 || namelen > NAME_MAX {
            return Some(Err(EIO));
        }
        let end = rec_align(size_of::<Dirent>().checked_add(namelen)?)?;
        let rest = self.0.get(end..)?;
        let name = after.get(..namelen)?;
        if name.contains(&b'/') {
            return Some(Err(EIO));
        }
        self.0 = rest;
        Some(Ok(Record { entry, name }))
    }
}
