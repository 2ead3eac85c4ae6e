// SPDX-License-Identifier: GPL-2.0

//! Dirty pages: adjacent ones become one WRITE, in the background.
//!
//! The page cache calls [`writepages`]; iomap passes the dirty ranges one by one, they are gathered
//! in a [`CacheWrite`], and that goes through the gate of the inode (`inode/write_gate.rs`) to the
//! server. Any open handle that may write is suitable.
//!
//! Locks: each folio is locked while it is passed. Nothing waits for the server here.

use crate::{
    fuse::{
        conn::Connection,
        inode::{
            check_good,
            handle::OpenHandle,
            mount,
            write_gate::CacheWrite, //
        },
        Fuse, //
    },
    vfs::{
        mm::writeback::{
            DirtyPages,
            DirtyRange,
            Writer, //
        },
        node::inode::INodeView, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// Writes dirty pages. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode, or if no open file may write; `ENOMEM`. The server's errors are reported
/// as errors of writeback.
pub(super) fn writepages(pages: DirtyPages<'_, Fuse>) -> Result {
    let inode = pages.inode();
    check_good(inode)?;
    let conn = mount(inode).conn();
    if pages.is_background() && conn.num_background() >= conn.congestion_threshold() {
        // They stay dirty, and are written later.
        return Ok(());
    }
    let mut gatherer = Gatherer {
        inode,
        handle: None,
        batch: None,
    };
    let result = pages.write(&mut gatherer);
    gatherer.flush();
    result
}

/// Gathers the dirty ranges of one inode.
struct Gatherer<'a> {
    inode: &'a INodeView<Fuse>,
    /// Taken with the first range.
    handle: Option<Arc<OpenHandle>>,
    batch: Option<KBox<CacheWrite>>,
}

impl Gatherer<'_> {
    /// Sends the gathered ranges.
    fn flush(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.inode.data().writes.submit(batch);
        }
    }

    /// Begins a batch.
    ///
    /// # Errors
    ///
    /// `EIO` if no open file may write; `ENOMEM`.
    fn begin(&mut self, pos: i64) -> Result<KBox<CacheWrite>> {
        let handle = match &self.handle {
            Some(handle) => handle.clone(),
            None => {
                let handle = self.inode.data().write_files.newest().ok_or(EIO)?;
                self.handle = Some(handle.clone());
                handle
            }
        };
        CacheWrite::new(handle, pos)
    }
}

/// Whether `len` bytes at `pos` can be added to `batch`.
fn takes(conn: &Connection, batch: &mut CacheWrite, pos: i64, len: usize) -> bool {
    let features = conn.features();
    let max_pages = features.max_pages as usize;
    let end = batch.end();
    let ranges = batch.ranges();
    let Some(bytes) = ranges.len().checked_add(len) else {
        return false;
    };
    ranges.ranges() < max_pages
        && bytes.div_ceil(PAGE_SIZE) <= max_pages
        && bytes <= features.max_write as usize
        && end == Some(pos)
}

impl Writer for Gatherer<'_> {
    fn writeback_range(&mut self, range: DirtyRange, pos: i64) -> Result<(), (Error, DirtyRange)> {
        let conn = mount(self.inode).conn();
        let mut range = range;
        if let Some(batch) = &mut self.batch {
            if takes(conn, batch, pos, range.len()) {
                match batch.ranges().push(range) {
                    Ok(()) => return Ok(()),
                    // No memory for a longer list: this one is sent as it is.
                    Err(back) => range = back,
                }
            }
            self.flush();
        }
        match self.begin(pos) {
            Ok(mut batch) => {
                batch
                    .ranges()
                    .push(range)
                    .map_err(|range| (ENOMEM, range))?;
                self.batch = Some(batch);
                Ok(())
            }
            Err(error) => Err((error, range)),
        }
    }
}
