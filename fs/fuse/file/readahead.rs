// SPDX-License-Identifier: GPL-2.0

//! READ ahead of the reader: adjacent folios in one request, in the background.
//!
//! The page cache calls [`readahead`]; iomap passes the folios one by one, they are gathered in a
//! [`Batch`], and the batch goes to `conn/call.rs`. [`BatchRead`] takes the answer, in the context
//! of the server or of the task that aborts the connection.
//!
//! Locks: none; the folios stay locked until their read has ended. The request owns them, and a
//! reference to the open handle, because the file may be closed meanwhile.

use super::{
    range::read_args,
    read::{
        askable,
        BatchRead, //
    },
};
use crate::{
    fuse::{
        conn::{
            call::OnAnswer,
            Connection, //
        },
        inode::{
            attr_cache::Sample,
            check_good,
            handle::OpenHandle, //
        },
        op,
        Fuse, //
    },
    vfs::mm::{
        iomap::{
            self,
            Ahead, //
        },
        mapping::Readahead,
        segment::{
            FolioSegment,
            FolioSegments, //
        }, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// Reads folios that are likely to be needed. May sleep.
///
/// On any failure, the folios that were not read are read by `read_folio` when they are needed.
pub(super) fn readahead(ahead: Readahead<'_, Fuse>) {
    let file = ahead.file();
    let handle: Arc<OpenHandle> = file.data().into();
    if check_good(handle.inode()).is_err() {
        return;
    }
    let mut gatherer = Gatherer {
        flags: file.flags(),
        handle,
        batch: None,
    };
    ahead.read(&mut gatherer);
    gatherer.flush();
}

/// Adjacent folios for one READ.
struct Batch {
    /// The position where it begins in the file, in bytes.
    pos: i64,
    segments: FolioSegments,
}

impl Batch {
    /// Whether `len` bytes at `pos` can be added.
    fn takes(&self, conn: &Connection, pos: i64, len: usize) -> bool {
        let max_pages = conn.features().max_pages as usize;
        let max_read = conn.features().max_read as usize;
        let Some(bytes) = self.segments.len().checked_add(len) else {
            return false;
        };
        let end = i64::try_from(self.segments.len())
            .ok()
            .and_then(|len| self.pos.checked_add(len));

        self.segments.segments() < max_pages
            && bytes.div_ceil(PAGE_SIZE) <= max_pages
            && bytes <= max_read
            && end == Some(pos)
    }
}

/// Gathers the folios of one readahead.
struct Gatherer {
    handle: Arc<OpenHandle>,
    /// `O_*` of the reader's file.
    flags: u32,
    batch: Option<Batch>,
}

impl Gatherer {
    /// A batch for the rest of the readahead.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the server is busy and no task waits for these folios; `ENOMEM`.
    fn begin(&self, pos: i64, ahead: Option<Ahead>) -> Result<Batch> {
        let conn = self.handle.mount().conn();
        let only_async = ahead.is_some_and(|ahead| ahead.only_async);
        if only_async && conn.num_background() >= conn.congestion_threshold() {
            return Err(EAGAIN);
        }
        let left = ahead.map_or(1, |ahead| ahead.pages).max(1);
        let room = conn.features().max_pages.min(left) as usize;
        Ok(Batch {
            pos,
            segments: FolioSegments::with_capacity(room)?,
        })
    }

    /// Sends the gathered folios.
    fn flush(&mut self) {
        let Some(Batch { pos, segments }) = self.batch.take() else {
            return;
        };
        let handle = &self.handle;
        let mount = handle.mount();
        let asked = askable(pos, segments.len());
        let read = op::Read {
            node: handle.inode().data().node_id(),
            args: read_args(handle, pos, asked, self.flags),
            data: segments,
            zero_copy: handle.shares_pages(),
        };
        let reading = BatchRead {
            handle: handle.clone(),
            pos,
            asked,
            sample: Sample::of_attributes(mount.conn()),
        };
        if mount.conn().features().async_read {
            mount.call_background(read, reading);
        } else {
            let answer = mount.call_or_abandon(read, || reading.clone());
            reading.answered(answer);
        }
    }
}

impl iomap::Reader for Gatherer {
    fn read_folio_range(
        &mut self,
        segment: FolioSegment,
        pos: i64,
        ahead: Option<Ahead>,
    ) -> Result<(), (Error, FolioSegment)> {
        let conn = self.handle.mount().conn();
        if self
            .batch
            .as_ref()
            .is_some_and(|batch| !batch.takes(conn, pos, segment.len()))
        {
            self.flush();
        }
        let mut segment = segment;
        // A folio that is read in pieces may use up the room for its neighbours. They go into a
        // batch of their own then.
        if let Some(batch) = &mut self.batch {
            match batch.segments.push(segment) {
                Ok(()) => return Ok(()),
                Err(back) => segment = back,
            }
            self.flush();
        }
        match self.begin(pos, ahead) {
            Ok(mut batch) => {
                batch
                    .segments
                    .push(segment)
                    .map_err(|segment| (ENOMEM, segment))?;
                self.batch = Some(batch);
                Ok(())
            }
            Err(error) => Err((error, segment)),
        }
    }
}
