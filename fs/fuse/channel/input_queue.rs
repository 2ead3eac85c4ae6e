// SPDX-License-Identifier: GPL-2.0

//! What waits to be read: requests, INTERRUPTs and FORGETs (`struct fuse_iqueue`).
//!
//! Senders push, one reader at a time takes. INTERRUPTs go first; FORGETs and requests alternate
//! in the proportion 16 to 8 when there are both, so that neither starves.
//!
//! A reader looks at `has_work` before it locks: one that finds nothing, which is twice as a rule
//! before it sleeps, does not lock at all.
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

/// What a reader gets.
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

/// How a reader of FORGETs wants them.
#[derive(Clone, Copy)]
pub(crate) struct ForgetRoom {
    /// Most FORGETs that fit the reader's buffer in one batch; 1 if the server does not know
    /// BATCH_FORGET.
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
    /// Whether nothing is on it, be it worth a message or not.
    fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.forgets.is_empty() && self.interrupts.is_empty()
    }

    fn has_work(&self) -> bool {
        !self.pending.is_empty()
            || !self.forgets.is_empty()
            // As `take()` sees it: who polls must find what it was woken for.
            || self.interrupts.iter().any(|request| !request.is_finished())
    }

    fn take(&mut self, ids: &UniqueIds, room: ForgetRoom) -> Option<Work> {
        while let Some(interrupted) = self.interrupts.pop_front() {
            // One that ended before its INTERRUPT was read is not worth a message.
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
    /// Whether something is queued, or the queue closed. Changed under `inner`, read without.
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

    /// Who wants SIGIO.
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

    /// Readers have to look, and find what is in `inner`.
    fn note_work(&self, _inner: &mut Inner) {
        self.has_work.store(true, Relaxed);
    }

    /// Queues a request and gives it its id, unless it brings one; gives it back if closed.
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

    /// Queues requests that were sent before once more, ahead of all others, marked as such. Those
    /// of a closed queue end.
    pub(crate) fn push_again(&self, lost: SentQueue) {
        {
            let mut inner = self.inner.lock();
            if !inner.connected {
                drop(inner);
                return lost.resend().refuse_all(Outcome::Aborted);
            }
            // An INTERRUPT that was not read yet would name a request the server has not; so it
            // goes before the id changes.
            for request in lost.iter() {
                inner.interrupts.remove(request);
            }
            let mut resent = lost.resend();
            resent.append(&mut inner.pending);
            inner.pending = resent;
            self.note_work(&mut inner);
        }
        // As many as there are requests: who reads one may not come back before another is
        // answered.
        self.readers.wake_up_all();
        self.fasync.notify_readable();
    }

    /// Queues a FORGET; if closed, the debt is gone with the server.
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
            // Pairs with the full barrier of the request's end: either that sees ... the waiter
            // takes the entry off, or the end is seen here.
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

    /// Takes an INTERRUPT off.
    pub(crate) fn remove_interrupt(&self, request: &Handle) {
        self.inner.lock().interrupts.remove(request);
    }

    /// Takes a request off that no reader has taken.
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

    /// Takes the next piece of work, with an id of `ids` if it needs one; waits for it unless
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
            // A sender wakes a reader after its store, so one that misses it here is woken.
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
            // Off the queue of readers again before it takes: a reader that took while it was there
            // would get the wake-up for what is queued next, and another reader would sleep on.
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
