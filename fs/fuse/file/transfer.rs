// SPDX-License-Identifier: GPL-2.0

//! Direct transfers in parts that are all sent at once.
//!
//! A [`Transfer`] counts the requests of one call (`struct fuse_io_priv`). A caller that waits gets
//! the result of all; for one that does not, the end of the last part completes the call, in the
//! context of the server or of the task that aborts the connection.
//!
//! Locks: one spinlock, a leaf. When a write ends late, old pages may be cached; a worker drops
//! them, because that may have to wait for the very server that ends the write.

use super::range::page_of;
use crate::{
    fuse::{
        abi::file::WriteOut,
        conn::call::OnAnswer,
        inode::{
            attr_cache,
            handle::OpenHandle, //
        },
        op,
    },
    vfs::{
        file::deferred::Deferred,
        mm::caller::CallerPages,
        sync::wait::{
            new_wait_queue,
            WaitQueue, //
        },
    },
};
use kernel::{
    impl_has_work, new_spinlock, new_work,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow,
        SpinLock, //
    },
    workqueue::{
        Work,
        WorkItem, //
    },
};

/// A caller that does not wait.
pub(super) struct Absent {
    /// Completes its call.
    pub(super) deferred: Deferred,
    /// Its file. The caller's own reference may be gone after the completion, so this one is
    /// dropped before.
    pub(super) handle: Arc<OpenHandle>,
}

/// The progress of a transfer.
struct State {
    /// Parts that have not ended, and one for the caller until it has sent all of them.
    parts: u32,
    /// Bytes of all parts.
    size: usize,
    /// The end of the first short part, in bytes from the start.
    end: Option<usize>,
    /// The first error.
    error: Option<Error>,
    absent: Option<Absent>,
    /// The file of a caller that has left without waiting for the last part.
    left: Option<Arc<OpenHandle>>,
}

/// One call, in parts.
#[pin_data]
pub(super) struct Transfer {
    #[pin]
    state: SpinLock<State>,
    /// The queue on which the caller waits for the last part.
    #[pin]
    ended: WaitQueue,
    #[pin]
    work: Work<Transfer>,
    writes: bool,
    /// The position where it begins in the file, in bytes; not negative.
    start: i64,
}

impl_has_work! {
    impl HasWork<Self> for Transfer { self.work }
}

impl Transfer {
    /// A transfer without parts. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the absent caller gets no other completion then.
    pub(super) fn new(writes: bool, start: i64, absent: Option<Absent>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_spinlock!(
                    State {
                        parts: 1,
                        size: 0,
                        end: None,
                        error: None,
                        absent,
                        left: None,
                    },
                    "Transfer::state"
                ),
                ended <- new_wait_queue!("Transfer::ended"),
                work <- new_work!("Transfer::work"),
                writes,
                start,
            }),
            GFP_KERNEL,
        )
    }

    /// A part of `len` bytes, `at` bytes from the start, that is about to be sent.
    pub(super) fn part(self: &Arc<Self>, at: usize, len: usize) -> Part {
        let mut state = self.state.lock();
        state.parts = state.parts.saturating_add(1);
        state.size = state.size.saturating_add(len);
        Part {
            transfer: self.clone(),
            at,
            len,
        }
    }

    /// The caller waits after all: its call is not completed. Before [`Self::all_sent`].
    pub(super) fn take_absent(&self) -> Option<Absent> {
        self.state.lock().absent.take()
    }

    /// All parts were sent, or `error` has prevented the rest. Returns the number of bytes done.
    pub(super) fn all_sent(self: &Arc<Self>, error: Option<Error>) -> usize {
        let size = self.state.lock().size;
        self.end_part(error, None);
        size
    }

    /// Waits for the last part. For a caller that is not absent.
    ///
    /// # Errors
    ///
    /// The first error of a part; `EIO` if a part was not written to its end.
    pub(super) fn wait(&self) -> Result<usize> {
        self.ended.wait(|| self.state.lock().parts == 0);
        self.result(&self.state.lock())
    }

    /// As [`Self::wait`], for reads: a caller that is killed leaves the rest to the requests, which
    /// have its pages. The file of `handle` stays open until they have ended.
    ///
    /// # Errors
    ///
    /// Those of [`Self::wait`]; `EINTR` if the caller is killed.
    pub(super) fn wait_or_leave(&self, handle: ArcBorrow<'_, OpenHandle>) -> Result<usize> {
        let killed = self
            .ended
            .wait_killable(|| self.state.lock().parts == 0)
            .is_err();
        let mut state = self.state.lock();
        if killed && state.parts != 0 {
            state.left = Some(handle.into());
            return Err(EINTR);
        }
        self.result(&state)
    }

    fn result(&self, state: &State) -> Result<usize> {
        match (state.error, state.end) {
            (Some(error), _) => Err(error),
            // Parts behind it may have been written, but it is unknown which.
            (None, Some(_)) if self.writes => Err(EIO),
            (None, Some(end)) => Ok(end),
            (None, None) => Ok(state.size),
        }
    }

    /// A part has ended: with an error, or at `end` before all of it was done.
    fn end_part(self: &Arc<Self>, error: Option<Error>, end: Option<usize>) {
        let (result, absent, left) = {
            let mut state = self.state.lock();
            match error {
                Some(_) if state.error.is_none() => state.error = error,
                Some(_) => (),
                None => {
                    if end.is_some_and(|end| state.end.is_none_or(|old| end < old)) {
                        state.end = end;
                    }
                }
            }
            state.parts = state.parts.saturating_sub(1);
            if state.parts != 0 {
                return;
            }
            (self.result(&state), state.absent.take(), state.left.take())
        };
        drop(left);
        match absent {
            None => self.ended.wake_up_all(),
            Some(absent) => self.tell(absent, result),
        }
    }

    /// Completes the call of a caller that does not wait.
    fn tell(self: &Arc<Self>, absent: Absent, result: Result<usize>) {
        let inode = absent.handle.inode();
        if self.writes && result.is_ok() {
            // A write without waiting does not change the size; this makes running replies too old.
            attr_cache::written(inode, None);
            if result != Ok(0) && inode.has_cached_pages() {
                // The queue exists: it was made before the first part was sent.
                let handle = absent.handle.clone();
                if let Ok(queue) = handle.inode().sb().dio_done_queue() {
                    self.state.lock().absent = Some(absent);
                    let _ = queue.enqueue(self.clone());
                    return;
                }
            }
        }
        let Absent { deferred, handle } = absent;
        drop(handle);
        deferred.complete(result);
    }
}

impl WorkItem for Transfer {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let (result, absent) = {
            let mut state = this.state.lock();
            (this.result(&state), state.absent.take())
        };
        let Some(Absent { deferred, handle }) = absent else {
            return;
        };
        if let Ok(len @ 1..) = result {
            let last = i64::try_from(len - 1)
                .ok()
                .and_then(|len| this.start.checked_add(len))
                .unwrap_or(i64::MAX);
            // Pages in use stay: their users see what they saw when they began.
            let _ = handle
                .inode()
                .invalidate_range(page_of(this.start), page_of(last));
        }
        drop(handle);
        deferred.complete(result);
    }
}

/// One request of a transfer.
pub(super) struct Part {
    transfer: Arc<Transfer>,
    /// Bytes before it.
    at: usize,
    len: usize,
}

impl Part {
    /// `done` bytes of it were transferred.
    fn done(&self, done: usize) {
        let end = (done < self.len).then(|| self.at.saturating_add(done));
        self.transfer.end_part(None, end);
    }
}

impl OnAnswer<op::Read<CallerPages>> for Part {
    fn answered(self, (result, pages): (Result<usize>, CallerPages)) {
        // Before the caller accesses its pages.
        drop(pages);
        match result {
            Ok(read) => self.done(read),
            Err(error) => self.transfer.end_part(Some(error), None),
        }
    }
}

impl OnAnswer<op::Write<CallerPages>> for Part {
    fn answered(self, (result, pages): (Result<WriteOut>, CallerPages)) {
        drop(pages);
        match result {
            Ok(reply) if reply.size as usize > self.len => {
                self.transfer.end_part(Some(EIO), None);
            }
            Ok(reply) => self.done(reply.size as usize),
            Err(error) => self.transfer.end_part(Some(error), None),
        }
    }
}
