// SPDX-License-Identifier: GPL-2.0

//! READ through the page cache, and one folio at a time for a caller that waits.
//!
//! `file/mod.rs` calls [`read_iter`], unless the read [is plain](is_plain), and the page cache calls
//! [`read_folio`]; `readahead` fills most of the cache. One folio is read synchronously, because
//! servers may rely on seeing the reads of a file in order.
//!
//! Locks: none; the folio is locked until its read has ended.

use super::{
    outdated::settle,
    range::read_args, //
};
use crate::{
    fuse::{
        attr::getattr::update_attributes,
        conn::call::{
            Abandoned,
            OnAnswer, //
        },
        inode::{
            attr_cache::{
                self,
                Sample, //
            },
            check_good,
            handle::OpenHandle, //
        },
        op,
        Fuse, //
    },
    vfs::{
        file::open::{
            File,
            Kiocb, //
        },
        mm::{
            folio::{
                Folio,
                Locked, //
            },
            iomap::{
                self,
                Ahead, //
            },
            segment::{
                FolioSegment,
                FolioSegments, //
            }, //
        },
        node::attr::Statx, //
    },
};
use kernel::{
    iov::IovIterDest,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// Whether a read goes to the page cache without a request before: the result of the checks in
/// [`read_iter`], in a bit that the open has set.
#[inline]
pub(super) fn is_plain(file: &File<Fuse>, pos: i64, len: usize) -> bool {
    let handle = file.data();
    let inode = handle.inode();
    handle.reads_plainly()
        && inode.data().is_untroubled()
        && i64::try_from(len).is_ok_and(|len| pos.saturating_add(len) <= inode.size())
}

/// `read(2)` and the like through the page cache, except for a read that [`is_plain`]. May sleep.
///
/// The inode's size determines the end of the file, so it is fetched first: always if the server
/// wants its changes noticed, otherwise when the read would reach the end.
///
/// # Errors
///
/// `EFAULT`, the server's error.
#[inline]
pub(super) fn read_iter(
    handle: ArcBorrow<'_, OpenHandle>,
    iocb: &mut Kiocb<'_, Fuse>,
    to: &mut IovIterDest<'_>,
) -> Result<usize> {
    let inode = handle.inode();
    settle(inode)?;
    let len = i64::try_from(to.len()).unwrap_or(i64::MAX);
    let end = iocb.pos().saturating_add(len);

    if handle.mount().conn().features().auto_inval_data || end > inode.size() {
        update_attributes(inode, Some(handle), Statx::Size.into())?;
    }
    iocb.generic_read(to)
}

/// Reads one folio for the page cache, because a task waits for it. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode. If the server fails, the folio does not become up to date, which the
/// waiting task checks.
pub(super) fn read_folio(file: &File<Fuse>, folio: Locked<&Folio>) -> Result {
    let handle = file.data();
    let inode = handle.inode();
    check_good(inode)?;

    iomap::read_folio(
        folio,
        &mut OneFolio {
            handle,
            flags: file.flags(),
        },
    );
    attr_cache::invalidate_atime(inode);
    Ok(())
}

/// How many of `len` bytes at `pos` are requested: a server must not compute an end beyond the
/// maximum file offset. The byte that is left out reads as zero.
pub(super) fn askable(pos: i64, len: usize) -> usize {
    let last = i64::try_from(len)
        .ok()
        .and_then(|len| pos.checked_add(len.checked_sub(1)?));
    if last == Some(i64::MAX) {
        len.saturating_sub(1)
    } else {
        len
    }
}

/// Reads `len` bytes at `pos` that are about to be partly overwritten, and waits for them.
///
/// # Errors
///
/// `ENOMEM`, the server's error; `EINTR` if the caller is killed.
pub(super) fn read_range(
    handle: ArcBorrow<'_, OpenHandle>,
    pos: i64,
    len: usize,
    flags: u32,
) -> Result<FolioSegments> {
    let asked = askable(pos, len);
    let memory = FolioSegments::alloc(len)?;
    let sample = Sample::of_attributes(handle.mount().conn());
    let query = op::Read {
        node: handle.inode().data().node_id(),
        args: read_args(&handle, pos, asked, flags),
        data: memory,
        zero_copy: handle.shares_pages(),
    };
    let (result, mut memory) = handle.mount().call_or_abandon(query, || Arc::from(handle));
    take_read(&handle, &mut memory, pos, asked, result?, sample);
    Ok(memory)
}

/// A READ for the page cache has ended: its length may show the end of the file.
///
/// `asked` bytes at `pos` were requested after `sample`. Zeroes the bytes that the server left out,
/// as the owner of the folios is about to mark them up to date.
pub(super) fn take_read(
    handle: &OpenHandle,
    segments: &mut FolioSegments,
    pos: i64,
    asked: usize,
    read: usize,
    sample: Sample,
) {
    if read < asked {
        // A short read means that the file ends there, whatever its attributes said.
        let end = i64::try_from(read)
            .ok()
            .and_then(|read| pos.checked_add(read));
        if let Some(end) = end {
            attr_cache::found_end(handle.inode(), end, sample);
        }
    }
    segments.zero_from(read);
}

/// Reads one folio in, and waits for it.
struct OneFolio<'a> {
    handle: ArcBorrow<'a, OpenHandle>,
    /// `O_*` of the reader's file.
    flags: u32,
}

impl iomap::Reader for OneFolio<'_> {
    fn read_folio_range(
        &mut self,
        segment: FolioSegment,
        pos: i64,
        _ahead: Option<Ahead>,
    ) -> Result<(), (Error, FolioSegment)> {
        let handle = self.handle;
        let asked = askable(pos, segment.len());
        let sample = Sample::of_attributes(handle.mount().conn());
        let mut segments = match FolioSegments::with_capacity(1) {
            Ok(segments) => segments,
            Err(error) => return Err((error, segment)),
        };
        if let Err(segment) = segments.push(segment) {
            return Err((ENOMEM, segment));
        }

        let query = op::Read {
            node: handle.inode().data().node_id(),
            args: read_args(&handle, pos, asked, self.flags),
            data: segments,
            zero_copy: handle.shares_pages(),
        };
        // A reader that is killed leaves the folio to the request: it waits for that, but can be
        // killed.
        let (result, mut segments) = handle.mount().call_or_abandon(query, || BatchRead {
            handle: handle.into(),
            pos,
            asked,
            sample,
        });
        match result {
            Ok(read) => {
                take_read(&handle, &mut segments, pos, asked, read, sample);
                segments.finish(Ok(()));
            }
            Err(error) => {
                if let Some(segment) = segments.pop() {
                    return Err((error, segment));
                }
            }
        }
        Ok(())
    }
}

/// A READ of adjacent folios that the server is processing, which may outlive its caller.
#[derive(Clone)]
pub(super) struct BatchRead {
    pub(super) handle: Arc<OpenHandle>,
    /// Where in the file it begins, in bytes.
    pub(super) pos: i64,
    /// How many bytes the server was asked for.
    pub(super) asked: usize,
    /// The attributes' version when it was sent.
    pub(super) sample: Sample,
}

impl Abandoned<(Result<usize>, FolioSegments)> for BatchRead {
    fn answered(self, answer: (Result<usize>, FolioSegments)) {
        OnAnswer::answered(self, answer);
    }
}

impl OnAnswer<op::Read<FolioSegments>> for BatchRead {
    fn answered(self, (result, mut segments): (Result<usize>, FolioSegments)) {
        let ended = result.map(|read| {
            take_read(
                &self.handle,
                &mut segments,
                self.pos,
                self.asked,
                read,
                self.sample,
            );
        });
        attr_cache::invalidate_atime(self.handle.inode());
        segments.finish(ended);
    }
}
