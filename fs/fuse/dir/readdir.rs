// SPDX-License-Identifier: GPL-2.0

//! READDIR: the names in a directory.
//!
//! The VFS calls [`iterate_shared`]; the server fills a buffer with records, and each is passed to
//! the reader. The position in a directory is the server's: the `off` of the last record that the
//! reader took, or 0. The table of open directories is here, too, because it is made of this and of
//! `file/open.rs`.
//!
//! Locks: the VFS holds the inode's lock shared; servers that cannot run requests on one directory
//! in parallel get them one by one ([`dirops`]).
//!
//! If the server allows it, names come from the page cache instead (`dir/readdir_cache.rs`).
//! `dir/readdirplus.rs` handles what READDIRPLUS returns in addition.

use super::{
    emit::emit,
    entry::Asked,
    readdir_cache,
    readdirplus,
    records::{
        PlusRecord,
        PlusRecords,
        Record,
        Records, //
    }, //
};
use crate::{
    fuse::{
        abi::{
            file::{
                FopenFlag,
                ReadIn, //
            },
            node::Dirent, //
        },
        file::{
            fsync::fsync_dir,
            ioctl::dir_ioctl,
            open::open_dir, //
        },
        inode::{
            attr_cache::{
                self,
                Sample, //
            },
            check_good,
            dirops::{
                self,
                DirTurn, //
            },
            handle::{
                AbandonedDir,
                OpenHandle, //
            }, //
        },
        op,
        Fuse, //
    },
    vfs::{
        file::{
            dir_context::{
                DirContext,
                SharedDir, //
            },
            file_ops,
            ioctl::Ioctl,
            open::{
                File,
                Opening,
                SyncRange, //
            }, //
        },
        node::inode::INode,
        tables::FileOps, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

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
        OpenHandle::close_file(handle, flags);
    }

    fn iterate_shared(dir: &SharedDir<'_, Fuse>, ctx: &mut DirContext) -> Result {
        iterate_shared(dir, ctx)
    }

    fn ioctl(file: &File<Fuse>, call: Ioctl) -> Result<i32> {
        dir_ioctl(file, call)
    }

    fn fsync(file: &File<Fuse>, range: SyncRange) -> Result {
        fsync_dir(file, range)
    }
}

/// Passes the next names of a directory to its reader. Sleeps.
///
/// # Errors
///
/// `EIO` for a bad inode and for a record that cannot be a name; `ENOMEM`; `EINTR` if the reader is
/// killed; the server's error.
fn iterate_shared(dir: &SharedDir<'_, Fuse>, ctx: &mut DirContext) -> Result {
    let handle = dir.data();
    let inode = handle.inode();
    check_good(inode)?;

    let cache = handle.wants(FopenFlag::CacheDir).then_some(inode);
    if cache.is_some() && readdir_cache::read(&handle, ctx)? {
        return Ok(());
    }
    let conn = handle.mount().conn();
    let plus = readdirplus::is_useful(inode, ctx.pos());
    // Sampled before the request: the answer may be older than changes meanwhile.
    let (asked, sample) = (Asked::now(inode), Sample::of_entry(conn));
    let result = {
        let mut turn = dirops::turn(inode)?;
        ask(handle, ctx, dir.flags(), plus, &mut turn)
    };
    let result = result.and_then(|records| {
        if let Some(cached) = cache.filter(|_| records.is_empty()) {
            readdir_cache::end(cached, ctx.pos());
        }
        if plus {
            emit_and_link(&records, dir, ctx, cache, asked, sample)
        } else {
            emit_all(&records, ctx, cache)
        }
    });
    attr_cache::invalidate_atime(inode);
    result
}

/// Requests records from the reader's position on, as many as the reader seems to have room for;
/// with `plus`, those of READDIRPLUS. An abandoned request keeps `turn`.
fn ask(
    handle: ArcBorrow<'_, OpenHandle>,
    ctx: &DirContext,
    flags: u32,
    plus: bool,
    turn: &mut Option<DirTurn<&INode<Fuse>>>,
) -> Result<KVVec<u8>> {
    let mount = handle.mount();
    let max_pages = mount.conn().features().max_pages.max(1) as usize;
    let max = max_pages.saturating_mul(PAGE_SIZE);
    let size = ctx.count().clamp(PAGE_SIZE, max);

    let node = handle.inode().data().node_id();
    let args = ReadIn {
        fh: handle.fh(),
        // To the VFS a position is a signed number, to the server a bit pattern.
        offset: ctx.pos() as u64,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        flags,
        ..ReadIn::default()
    };
    let mut abandoned = || AbandonedDir::new(handle, turn.take());
    if plus {
        mount.call_or_abandon(op::Readdirplus { node, args }, || {
            readdirplus::AbandonedReading(abandoned())
        })
    } else {
        mount.call_or_abandon(op::Readdir { node, args }, abandoned)
    }
}

/// Passes records on until the reader is full; they also go into the cache of `cache`.
///
/// # Errors
///
/// Those of [`Records`]; the records before were passed on.
fn emit_all(records: &[u8], ctx: &mut DirContext, cache: Option<&INode<Fuse>>) -> Result {
    for record in Records(records) {
        let Record { entry, name } = record?;
        if !emit_and_cache(&entry, name, ctx, cache) {
            break;
        }
    }
    Ok(())
}

/// Passes records of READDIRPLUS on until the reader is full, and caches the nodes of all of them.
///
/// # Errors
///
/// Those of [`PlusRecords`]; the records before were passed on, and their nodes cached.
fn emit_and_link(
    records: &[u8],
    dir: &SharedDir<'_, Fuse>,
    ctx: &mut DirContext,
    cache: Option<&INode<Fuse>>,
    asked: Asked,
    sample: Sample,
) -> Result {
    let (mut full, mut spare) = (false, None);
    for record in PlusRecords(records) {
        let PlusRecord { entry, name } = record?;
        full = full || !emit_and_cache(&entry.dirent, name.as_bytes(), ctx, cache);
        // The server has counted a lookup of those that the reader had no room for, too.
        readdirplus::link(dir, name, &entry.entry_out, asked, sample, &mut spare);
    }
    Ok(())
}

/// [`emit`], also into the cache of `cache`.
fn emit_and_cache(
    entry: &Dirent,
    name: &[u8],
    ctx: &mut DirContext,
    cache: Option<&INode<Fuse>>,
) -> bool {
    if let Some(dir) = cache {
        readdir_cache::append(dir, ctx.pos(), entry, name);
    }
    emit(entry, name, ctx)
}
