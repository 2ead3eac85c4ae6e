// SPDX-License-Identifier: GPL-2.0

//! `write(2)`: data goes to the server at once, or stays in the page cache.
//!
//! `file/mod.rs` calls [`write_iter`]. A cached file is written through: folios of the page cache
//! are filled and sent to the server, and only then the next ones are filled. If INIT has agreed on
//! writeback they are only filled, and `writeback` sends them later.
//!
//! Locks: the inode's, for the whole of a write. A folio that is partly written and was never read
//! in stays locked until the server has answered (see `vfs/mm/cached.rs`), or while the rest of it
//! is read in.

use super::{
    outdated::settle,
    range::{
        advanced,
        write_args,
        zero_gap, //
    },
    read::read_range, //
};
use crate::{
    fuse::{
        abi::file::WriteFlag,
        attr::getattr::update_attributes,
        inode::{
            attr_cache,
            handle::OpenHandle, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::{
            capable,
            Capability, //
        },
        file::open::{
            account_write,
            fault_in_source,
            Kiocb, //
        },
        mm::{
            cached::{
                begin_write,
                CachedRanges, //
            },
            iomap::RangeReader,
            segment::FolioSegments, //
        },
        node::{
            attr::Statx,
            inode::INodeLock, //
        },
    },
};
use kernel::{
    iov::IovIterSource,
    prelude::*,
    sync::ArcBorrow, //
};

/// `write(2)` and the like on a regular file that may be cached. Sleeps.
///
/// # Errors
///
/// `EFAULT`; `EFBIG` and the like; the server's error, or `EIO` if it claims to have written more
/// than it was sent.
#[inline]
pub(super) fn write_iter(
    handle: ArcBorrow<'_, OpenHandle>,
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    let features = handle.mount().conn().features();
    let mut written_back = features.writeback_cache;
    if written_back {
        // The kernel owns the times and fetches the size only once, but the server owns the id bits
        // that a write clears.
        update_attributes(handle.inode(), Some(handle), Statx::Size | Statx::Mode)?;
        // If the server clears them on a flag of the write, this has to be a write that goes to it.
        written_back = !(features.handle_killpriv_v2 && iocb.drops_id_bits());
    }
    let written = {
        let lock = handle.inode().lock();
        cached(handle, &lock, iocb, from, written_back)?
    };
    if written == 0 {
        return Ok(0);
    }
    iocb.write_sync(written)
}

/// Writes to a file that may be cached, with its inode locked; with `written_back` the data stays
/// in the page cache for now.
#[inline]
fn cached(
    handle: ArcBorrow<'_, OpenHandle>,
    lock: &INodeLock<'_, Fuse>,
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
    written_back: bool,
) -> Result<usize> {
    let count = iocb.write_checks(lock, from)?;
    if count == 0 {
        return Ok(0);
    }
    // The old contents of a page are written with it.
    settle(handle.inode())?;
    account_write(count);
    iocb.modified(lock)?;
    zero_gap(handle.inode(), iocb.pos());

    if !iocb.is_direct() {
        return if written_back {
            let mut reader = PartReader {
                handle,
                flags: iocb.file().flags(),
            };
            let written = iocb.write_page_cache(lock, from, &mut reader);
            // A write in the same tick as the last change leaves the times as they were, but
            // sending the data to the server changes its times: the kernel's have to be sent once
            // more.
            handle.inode().keep_times_dirty();
            written
        } else {
            through_cache(&handle, iocb, from)
        };
    }
    let direct = iocb.generic_direct_write(lock, from)?;
    if from.is_empty() {
        return Ok(direct);
    }
    let rest = through_cache(&handle, iocb, from);
    iocb.direct_write_fallback(from, direct, rest)
}

/// Reads in the part of a page that a write does not overwrite.
struct PartReader<'a> {
    handle: ArcBorrow<'a, OpenHandle>,
    /// `O_*` of the writer's file.
    flags: u32,
}

impl RangeReader for PartReader<'_> {
    fn read_range(&mut self, pos: i64, len: usize) -> Result<FolioSegments> {
        read_range(self.handle, pos, len, self.flags)
    }
}

/// Writes through the page cache, request by request, and moves the position. The inode is locked.
fn through_cache(
    handle: &OpenHandle,
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    let inode = handle.inode();
    let start = iocb.pos();
    let old_size = inode.size();

    let _size = match advanced(start, from.len()) {
        Ok(end) if end <= old_size => None,
        _ => Some(attr_cache::hold_size(inode)),
    };
    let mut pos = start;
    let mut done = 0usize;
    let mut result = Ok(());
    while result.is_ok() && !from.is_empty() {
        result = write_some(handle, iocb, pos, from).and_then(|one| {
            done = done.saturating_add(one.written);
            pos = advanced(pos, one.written)?;
            // The server has less than the page cache. Going on would leave a hole.
            if one.written < one.sent {
                Err(EIO)
            } else {
                Ok(())
            }
        });
    }

    attr_cache::written(inode, (done != 0).then_some(pos));
    if done == 0 {
        return result.map(|()| 0);
    }
    iocb.set_pos(pos);
    Ok(done)
}

/// One WRITE.
struct OneWrite {
    sent: usize,
    written: usize,
}

/// Sends as much as one WRITE can carry.
fn write_some(
    handle: &OpenHandle,
    iocb: &Kiocb<'_, Fuse>,
    pos: i64,
    from: &mut IovIterSource<'_>,
) -> Result<OneWrite> {
    let ranges = fill(handle, pos, from)?;
    ranges.wait_writeback();

    let sent = ranges.len();
    let mut args = write_args(handle, pos, sent, iocb.write_flags());
    if handle.mount().conn().features().handle_killpriv_v2 && !capable(Capability::Fsetid) {
        args.write_flags |= WriteFlag::KillSuidgid;
    }
    let (result, _ranges) = handle.mount().call(op::Write {
        node: handle.inode().data().node_id(),
        args,
        data: ranges,
        zero_copy: handle.shares_pages(),
    });
    let written = result?.size as usize;
    if written > sent {
        return Err(EIO);
    }
    Ok(OneWrite { sent, written })
}

/// Fills folios from `pos` on with the data for one WRITE: minimum one byte.
///
/// # Errors
///
/// `EFAULT`, `ENOMEM`.
fn fill(handle: &OpenHandle, pos: i64, from: &mut IovIterSource<'_>) -> Result<CachedRanges> {
    let features = handle.mount().conn().features();
    let wanted = from.len().min(features.max_write as usize);
    let (max_pages, max_bytes) = features.within_pages(pos as u64, wanted);

    let mut ranges = CachedRanges::with_capacity(max_pages)?;
    while ranges.ranges() < max_pages {
        let left = max_bytes.saturating_sub(ranges.len());
        if left == 0 {
            break;
        }
        let filling = match begin_write(handle.inode(), advanced(pos, ranges.len())?, left) {
            Ok(filling) => filling,
            Err(_) if ranges.len() != 0 => break,
            Err(error) => return Err(error),
        };
        let wanted = filling.room().min(left);
        let Some(range) = filling.fill(wanted, from) else {
            // Not while the folio is locked: the fault may read that very folio in.
            if fault_in_source(from, wanted) < wanted {
                if ranges.len() == 0 {
                    return Err(EFAULT);
                }
                break;
            }
            continue;
        };
        let last = range.is_locked() || !range.is_at_end() || !features.big_writes;
        if ranges.push(range).is_err() || last {
            break;
        }
    }
    Ok(ranges)
}
