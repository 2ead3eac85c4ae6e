// SPDX-License-Identifier: GPL-2.0

//! The gate through which the dirty pages of a file go to the server.
//!
//! `file/writeback.rs` gathers adjacent dirty ranges as a [`CacheWrite`] and gives it to the
//! inode's [`WriteGate`], which sends it as a WRITE in the background. A caller that is about to
//! change the size of the file shuts the gate ([`WriteGate::shut`]): that waits for the writes that
//! are with the server, and later ones queue up, so that none of them makes the file longer again.
//! When the gate opens they are sent, as far as they are still within the file.
//!
//! A write owns the obligation to end the folios' writeback (`vfs/mm/writeback.rs`), and the open
//! handle it goes through, which keeps the inode. The completion drops both, whatever ends the
//! request.
//!
//! Locks: the state's, a leaf; nothing is sent, ended or dropped under it. A caller that shuts the
//! gate has the inode locked, and must open it before it drops pages from the cache: that writes
//! them first.

use super::{
    attr_cache::{
        self,
        mask, //
    },
    handle::OpenHandle, //
};
use crate::{
    fuse::{
        abi::file::{
            WriteFlag,
            WriteIn,
            WriteOut, //
        },
        channel::sync_writes::Counted,
        conn::call::OnAnswer,
        op,
    },
    vfs::{
        mm::writeback::{
            without_fs_recursion,
            DirtyRanges, //
        },
        sync::wait::{
            new_wait_queue,
            WaitQueue, //
        },
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// Adjacent dirty ranges that one WRITE writes.
pub(crate) struct CacheWrite {
    handle: Arc<OpenHandle>,
    /// Their position in the file, in bytes.
    pos: i64,
    ranges: DirtyRanges,
    /// Counts it for SYNCFS, if the server gets that.
    counted: Option<Counted>,
    /// The write that was queued before this one.
    next: Option<KBox<CacheWrite>>,
}

impl CacheWrite {
    /// A write for ranges from `pos` on. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(handle: Arc<OpenHandle>, pos: i64) -> Result<KBox<Self>> {
        let synced = handle.mount().conn().options().sync_fs;
        let counted = synced.then(|| Counted::new(&handle.mount().conn().channel().sync_writes));
        Ok(KBox::new(
            Self {
                handle,
                pos,
                ranges: DirtyRanges::new()?,
                counted,
                next: None,
            },
            GFP_KERNEL,
        )?)
    }

    /// The gathered ranges.
    pub(crate) fn ranges(&mut self) -> &mut DirtyRanges {
        &mut self.ranges
    }

    /// The position behind its last byte; [`None`] beyond the maximum file offset.
    pub(crate) fn end(&self) -> Option<i64> {
        self.pos.checked_add(i64::try_from(self.ranges.len()).ok()?)
    }

    /// Sends it. It was counted as sent, and its completion subtracts it.
    fn send(self: KBox<Self>) {
        let Self {
            handle,
            pos,
            mut ranges,
            counted,
            ..
        } = KBox::into_inner(self);
        let inode = handle.inode();
        // The file is not made shorter while this is counted.
        let left = inode.size().saturating_sub(pos);
        ranges.crop(usize::try_from(left).unwrap_or(0));
        let len = ranges.len();
        if len == 0 {
            // The file ends before it.
            ranges.finish(Ok(()));
            inode.data().writes.ended();
            return;
        }
        let write = op::Writeback(op::Write {
            node: inode.data().node_id(),
            args: WriteIn {
                fh: handle.fh(),
                // Positions are never negative, and no WRITE is longer than `max_write`.
                offset: pos as u64,
                size: u32::try_from(len).unwrap_or(u32::MAX),
                write_flags: WriteFlag::Cache.into(),
                ..WriteIn::default()
            },
            data: ranges,
            zero_copy: handle.shares_pages(),
        });
        let done = Written {
            handle: handle.clone(),
            len,
            _counted: counted,
        };
        // Memory reclaim may have to wait for these very pages.
        without_fs_recursion(|| handle.mount().call_background(write, done));
    }
}

/// Ends the writeback when the server has answered.
struct Written {
    handle: Arc<OpenHandle>,
    /// The number of bytes to be written.
    len: usize,
    _counted: Option<Counted>,
}

impl OnAnswer<op::Writeback> for Written {
    fn answered(self, (result, ranges): (Result<WriteOut>, DirtyRanges)) {
        let inode = self.handle.inode();
        // The cache does not write again what the server left out: that data is lost. (C does not
        // check the size, and no caller gets an error.)
        let result = result.and_then(|out| match out.size as usize == self.len {
            true => Ok(()),
            false => Err(EIO),
        });
        if !attr_cache::owns_times(inode) {
            // The server has set the times by this.
            inode.data().attrs.invalidate(mask::DATA_WRITTEN);
        }
        ranges.finish(result);
        inode.data().writes.ended();
    }
}

struct State {
    /// The number of callers that keep the gate shut.
    shut: u32,
    /// Writes that are with the server, or on their way there.
    sent: u32,
    /// Writes that wait for the gate to open, the last one first.
    queued: Option<KBox<CacheWrite>>,
}

/// The gate for the dirty pages of a file (`fi->writectr`, `fi->queued_writes`).
#[pin_data]
pub(crate) struct WriteGate {
    #[pin]
    state: SpinLock<State>,
    /// The callers that wait until no write is with the server.
    #[pin]
    idle: WaitQueue,
}

impl WriteGate {
    /// An open gate.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(
                State {
                    shut: 0,
                    sent: 0,
                    queued: None,
                },
                "WriteGate::state"
            ),
            idle <- new_wait_queue!("WriteGate::idle"),
        })
    }

    /// Sends a write, or queues it while the gate is shut. May sleep.
    pub(crate) fn submit(&self, mut write: KBox<CacheWrite>) {
        {
            let mut state = self.state.lock();
            if state.shut != 0 {
                write.next = state.queued.take();
                state.queued = Some(write);
                return;
            }
            state.sent = state.sent.saturating_add(1);
        }
        write.send();
    }

    /// Shuts the gate until the return value is dropped, and waits for the writes that are with the
    /// server. The inode is locked. Sleeps.
    pub(crate) fn shut(&self) -> Shut<'_> {
        {
            let mut state = self.state.lock();
            state.shut = state.shut.saturating_add(1);
        }
        self.idle.wait(|| self.state.lock().sent == 0);
        Shut(self)
    }

    /// Waits for the writes that were sent before. The inode is locked. Sleeps.
    pub(crate) fn wait(&self) {
        drop(self.shut());
    }

    /// Notes the end of a write.
    fn ended(&self) {
        let idle = {
            let mut state = self.state.lock();
            state.sent = state.sent.saturating_sub(1);
            state.sent == 0
        };
        if idle {
            self.idle.wake_up_all();
        }
    }

    /// Opens the gate after the last caller that kept it shut: sends the queued writes.
    fn open(&self) {
        let mut queued = {
            let mut state = self.state.lock();
            state.shut = state.shut.saturating_sub(1);
            if state.shut != 0 {
                return;
            }
            let queued = state.queued.take();
            let mut next = queued.as_ref();
            while let Some(write) = next {
                state.sent = state.sent.saturating_add(1);
                next = write.next.as_ref();
            }
            queued
        };
        let mut first = None;
        while let Some(mut write) = queued {
            queued = write.next.take();
            write.next = first;
            first = Some(write);
        }
        while let Some(mut write) = first {
            first = write.next.take();
            write.send();
        }
    }
}

/// While it exists, no dirty page of the file goes to the server. Dropping it sends those that were
/// queued meanwhile.
pub(crate) struct Shut<'a>(&'a WriteGate);

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}
