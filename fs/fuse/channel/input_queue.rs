// SPDX-License-Identifier: GPL-2.0

//! The queued requests, INTERRUPTs and FORGETs that readers take (`struct fuse_iqueue`).
//!
//! Senders push; one reader at a time takes. INTERRUPTs go first. While both FORGETs and requests
//! are queued, 16 FORGETs alternate with 8 requests, so that neither starves.
//!
//! A reader checks `has_work` before it locks: a reader that finds nothing, usually twice before it
//! sleeps, takes no lock.
//!
//! Locks: `inner`; under the background queue's lock, outside a request's body. Readers are woken
//! after it is dropped.

use super::{
    forget::{
        Forget,
        ForgetList,
        ForgetTicket, //
    },
    transport::Wake,
    unique::UniqueIds, //
};
use crate::fuse::{
    abi::Unique,
    request::{
        outcome::Outcome,
        snapshot::{
            Place,
            Snapshot, //
        },
        state::{
            Pending,
            PendingQueue,
            SentQueue, //
        },
        Handle,
        Request, //
    },
    trace, //
};
use crate::vfs::sync::{
    entry::Side,
    fasync::Fasync,
    queue::Queue,
    wait::{
        new_wait_queue,
        WaitQueue, //
    }, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        barrier::{
            smp_mb,
            Full, //
        },
        SpinLock, //
    },
};

/// FORGETs that are read before requests get their turn.
const FORGET_BATCH: i32 = 16;
/// Requests that are read before FORGETs get their turn again.
const REQUEST_BATCH: i32 = 8;

/// What a reader takes.
pub(crate) enum Work {
    /// An INTERRUPT for the request with this id.
    Interrupt(Unique),
    /// `count` FORGETs, to be sent under this id.
    Forgets {
        /// Id of the message.
        unique: Unique,
        /// The FORGETs.
        list: ForgetList,
        /// How many.
        count: usize,
    },
    /// A request.
    Request(Pending),
}

/// How many FORGETs a reader accepts.
#[derive(Clone, Copy)]
pub(crate) struct ForgetRoom {
    /// Maximum number of FORGETs that fit the reader's buffer in one batch; 1 if the server does
    /// not know BATCH_FORGET.
    pub(crate) max: usize,
}

struct Inner {
    connected: bool,
    pending: PendingQueue,
    interrupts: Queue<Request, Side>,
    forgets: ForgetList,
    /// FORGETs left of this turn while positive, requests of this turn while not.
    forget_turn: i32,
}

impl Inner {
    /// Whether nothing is queued, not even an entry that needs no message.
    fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.forgets.is_empty() && self.interrupts.is_empty()
    }

    fn has_work(&self) -> bool {
        !self.pending.is_empty()
            || !self.forgets.is_empty()
            // Matches `take()`: a poller that is woken must find something to read.
            || self.interrupts.iter().any(|request| !request.is_finished())
    }

    fn take(&mut self, ids: &UniqueIds, room: ForgetRoom) -> Option<Work> {
        while let Some(interrupted) = self.interrupts.pop_front() {
            // A request that ended before its INTERRUPT was read needs no message.
            if !interrupted.is_finished() {
                return Some(Work::Interrupt(interrupted.unique()));
            }
        }
        if !self.forgets.is_empty() {
            if self.pending.is_empty() {
                return Some(self.take_forgets(ids, room));
            }
            self.forget_turn = self.forget_turn.wrapping_sub(1);
            if self.forget_turn >= 0 {
                return Some(self.take_forgets(ids, room));
            }
            if self.forget_turn <= -REQUEST_BATCH {
                self.forget_turn = FORGET_BATCH;
            }
        }
        self.pending.pop_front().map(Work::Request)
    }

    fn take_forgets(&mut self, ids: &UniqueIds, room: ForgetRoom) -> Work {
        let unique = ids.next();
        let max = if self.forgets.is_single() {
            1
        } else {
            room.max
        };
        let (list, count) = self.forgets.split_front(max);
        Work::Forgets {
            unique,
            list,
            count,
        }
    }
}

/// The input queue of one connection.
#[pin_data]
pub(crate) struct InputQueue {
    #[pin]
    inner: SpinLock<Inner>,
    /// Whether something is queued, or the queue closed. Changed under `inner`, read without the
    /// lock.
    has_work: Atomic<bool>,
    #[pin]
    readers: WaitQueue,
    fasync: Fasync,
}

impl InputQueue {
    /// An empty, open queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_spinlock!(
                Inner {
                    connected: true,
                    pending: PendingQueue::default(),
                    interrupts: Queue::new(),
                    forgets: ForgetList::default(),
                    forget_turn: 0,
                },
                "FuseInputQueue::inner"
            ),
            has_work: Atomic::new(false),
            readers <- new_wait_queue!("FuseInputQueue::readers"),
            fasync: Fasync::new(),
        })
    }

    /// Where readers sleep and pollers register.
    pub(crate) fn readers(&self) -> &WaitQueue {
        &self.readers
    }

    /// The processes that want SIGIO.
    pub(crate) fn fasync(&self) -> &Fasync {
        &self.fasync
    }

    fn wake(&self, wake: Wake) {
        match wake {
            Wake::Normal => self.readers.wake_up(),
            Wake::Sync => self.readers.wake_up_sync(),
        }
        self.fasync.notify_readable();
    }

    /// Makes readers check `inner`.
    fn note_work(&self, _inner: &mut Inner) {
        self.has_work.store(true, Relaxed);
    }

    /// Queues a request and assigns its id, unless it has one; returns the request if closed.
    pub(crate) fn push(
        &self,
        request: Pending,
        ids: &UniqueIds,
        wake: Wake,
    ) -> Result<(), Pending> {
        {
            let mut inner = self.inner.lock();
            if !inner.connected {
                return Err(request);
            }
            let unique = match request.request().brings_unique() {
                true => request.request().unique(),
                false => ids.next(),
            };
            request.request().assign_unique(unique);
            inner.pending.push_back(request);
            self.note_work(&mut inner);
        }
        self.wake(wake);
        Ok(())
    }

    /// Queues requests that were sent before once more, ahead of all others, marked as resent. If
    /// the queue is closed, the requests end.
    pub(crate) fn push_again(&self, lost: SentQueue) {
        {
            let mut inner = self.inner.lock();
            if !inner.connected {
                drop(inner);
                return lost.resend().refuse_all(Outcome::Aborted);
            }
            // An unread INTERRUPT would name a request that the server does not have, so it is
            // removed before the id changes.
            for request in lost.iter() {
                inner.interrupts.remove(request);
            }
            let mut resent = lost.resend();
            resent.append(&mut inner.pending);
            inner.pending = resent;
            self.note_work(&mut inner);
        }
        // Wakes all readers: a reader may not return for the next request before another is
        // answered.
        self.readers.wake_up_all();
        self.fasync.notify_readable();
    }

    /// Queues a FORGET; drops it if closed, because the server is gone.
    pub(crate) fn push_forget(&self, ticket: ForgetTicket, forget: Forget) {
        {
            let mut inner = self.inner.lock();
            if !inner.connected {
                drop(inner);
                return;
            }
            inner.forgets.push(ticket, forget);
            self.note_work(&mut inner);
        }
        self.wake(Wake::Normal);
    }

    /// Queues an INTERRUPT, if the server has the request and none is queued already.
    pub(crate) fn push_interrupt(&self, request: &Handle) {
        {
            let mut inner = self.inner.lock();
            if !inner.connected || !request.is_sent() || !inner.interrupts.push_shared(request) {
                return;
            }
            // Pairs with the full barrier of the request's end: either the waiter sees the entry
            // and removes it, or the end is seen here.
            smp_mb(Full);
            if request.is_finished() {
                // The waiter holds the last reference that matters.
                inner.interrupts.remove(request);
                return;
            }
            trace::interrupt_queue(&**request);
            self.note_work(&mut inner);
        }
        self.wake(Wake::Normal);
    }

    /// Removes an INTERRUPT.
    pub(crate) fn remove_interrupt(&self, request: &Handle) {
        self.inner.lock().interrupts.remove(request);
    }

    /// Removes a request that no reader has taken.
    pub(crate) fn remove(&self, request: &Handle) -> Option<Pending> {
        self.inner.lock().pending.remove(request)
    }

    /// Whether the oldest request that no reader has taken was made more than `age` jiffies ago.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.inner.lock().pending.has_older(age)
    }

    /// Notes the requests that no reader has taken in `seen`.
    pub(crate) fn look(&self, seen: &mut Snapshot) {
        seen.begin_unread();
        self.inner.lock().pending.look(seen, Place::Input);
    }

    /// Whether a read would find something, and whether the queue is open.
    pub(crate) fn status(&self) -> (bool, bool) {
        let inner = self.inner.lock();
        (inner.has_work(), inner.connected)
    }

    /// Takes the next piece of work, with an id of `ids` if it needs one; waits for work unless
    /// `nonblocking`.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the queue is closed, `EAGAIN`, `ERESTARTSYS`.
    pub(crate) fn next(
        &self,
        ids: &UniqueIds,
        room: ForgetRoom,
        nonblocking: bool,
    ) -> Result<Work> {
        let take = || {
            // A sender wakes a reader after its store, so a reader that misses the store here is
            // woken.
            if !self.has_work.load(Relaxed) {
                return None;
            }
            let mut inner = self.inner.lock();
            if !inner.connected {
                return Some(Err(ENODEV));
            }
            let work = inner.take(ids, room);
            if inner.is_empty() {
                self.has_work.store(false, Relaxed);
            }
            work.map(Ok)
        };
        loop {
            if let Some(work) = take() {
                return work;
            }
            if nonblocking {
                return Err(EAGAIN);
            }
            // A reader leaves the wait queue before it takes: a reader that took while on it would
            // get the wake-up for the next request, and another reader would keep sleeping.
            self.readers
                .wait_interruptible_exclusive(|| self.has_work.load(Relaxed))?;
        }
    }

    /// Closes the queue and returns the requests that were on it; wakes every reader.
    pub(crate) fn close(&self) -> PendingQueue {
        let (pending, forgets, interrupts) = {
            let mut inner = self.inner.lock();
            inner.connected = false;
            self.note_work(&mut inner);
            (
                core::mem::take(&mut inner.pending),
                core::mem::take(&mut inner.forgets),
                core::mem::take(&mut inner.interrupts),
            )
        };
        drop((forgets, interrupts));
        self.readers.wake_up_all();
        self.fasync.notify_readable();
        pending
    }
}
