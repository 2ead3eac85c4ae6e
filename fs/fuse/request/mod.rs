// SPDX-License-Identifier: GPL-2.0

//! One request's life.
//!
//! A [`Request`] is one allocation that owns everything it needs: the header, the input (fixed
//! struct and names, copied in), the space for the reply, and references to the folios that it
//! carries or the reply fills. No part is on the caller's stack, so no lifetime crosses threads.
//!
//! It is shared (the waiter reads it while a server's thread copies it), so its state is not a type
//! parameter but a move-only token with exactly one holder: see [`state`]. The outcome is set once,
//! under the lock of the body; a second end changes nothing.
//!
//! On the walk: made by `conn/call.rs`, sent by `channel`, moved by a `transport`, ended there,
//! and taken apart by [`wait::Waiter`] or a [`completion::Completion`].
//!
//! Locks: `body`, innermost of all; nothing sleeps or faults while it is held. A device that
//! accesses the request's memory on its own takes no lock: see [`state::Given`].

pub(crate) mod args;
#[cfg(CONFIG_KUNIT = "y")]
mod args_test;
pub(crate) mod clock;
pub(crate) mod completion;
pub(crate) mod make;
pub(crate) mod outcome;
mod phase;
pub(crate) mod snapshot;
#[cfg(CONFIG_KUNIT = "y")]
mod snapshot_test;
pub(crate) mod state;
#[cfg(CONFIG_KUNIT = "y")]
mod state_test;
pub(crate) mod wait;

use self::{
    args::{
        Body,
        LoanEnd,
        Progress, //
    },
    clock::Clock,
    completion::{
        Completion,
        End,
        Ended, //
    },
    outcome::Outcome,
    phase::Phase, //
};
use crate::fuse::{
    abi::{
        header::{
            InHeader,
            OutHeader, //
        },
        NodeId,
        Unique, //
    },
    op::Opcode,
    trace::{
        self,
        Subject,
        Traced, //
    },
};
use crate::vfs::{
    mm::{
        folio::FreePage,
        iov::{
            Room,
            SharedBytes, //
        },
        piece::HeldPieces, //
    },
    sync::{
        deadline::Jiffies,
        entry::{
            Entry,
            Pool,
            Pooled, //
        },
        give_lock::{
            Gift,
            GiveGuard,
            GiveLock,
            Giver, //
        },
        wait::WaitQueue, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        }, //
    },
};

/// A shared reference to a request.
pub(crate) type Handle = ARef<Entry<Request>>;

/// The slab cache of requests, with the same name in `/proc/slabinfo` as in C.
static POOL: Pool<Request> = Pool::new(c"fuse_request");

impl Pooled for Request {
    fn pool() -> &'static Pool<Self> {
        &POOL
    }
}

/// A request from its queueing to its end (`struct fuse_req`).
///
/// # Invariants
///
/// - `phase` is changed only by the holder of the request's token, except that the thread that sets
///   the outcome makes it `Finished`.
/// - The outcome changes once, from none.
#[pin_data]
pub(crate) struct Request {
    /// Length of the message to the server, header included, in bytes.
    len: u32,
    /// The node, the caller's pid and the operation, as in the header.
    nodeid: NodeId,
    pid: u32,
    opcode: Opcode,
    /// When the request was made.
    created: Jiffies,
    /// Runs if the connection measures.
    clock: Clock,
    /// 0 until queued, unless the request has its own id.
    unique: Atomic<u64>,
    /// Device number of the mount, as the tracepoints show it.
    connection: u32,
    /// Length of the first structure behind the header, in bytes.
    head_len: u8,
    /// Whether a reply has more than a header.
    has_reply_body: bool,
    /// Whether a server over io_uring may have the pages of its data.
    shares_pages: bool,
    /// Whether the server has to answer.
    expects_reply: bool,
    phase: Atomic<i32>,
    /// The waiter got a signal.
    interrupted: Atomic<bool>,
    /// Where the waiter sleeps until `phase` is `Finished`.
    #[pin]
    ended: WaitQueue,
    #[pin]
    body: GiveLock<End, Body>,
}

impl Request {
    /// The operation.
    pub(crate) fn opcode(&self) -> Opcode {
        self.opcode
    }

    /// Length of the message to the server, header included, in bytes.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The clock of the request.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the request was made more than `age` jiffies ago: it has timed out.
    pub(crate) fn is_older(&self, age: u64) -> bool {
        let older = self.created.elapsed() > age;
        if older {
            trace::request_timeout(self, || self.created.elapsed_ms());
        }
        older
    }

    /// Whether its id is the server's, because it answers a notification.
    pub(crate) fn brings_unique(&self) -> bool {
        self.opcode == Opcode::NotifyReply
    }

    /// Whether it may use a ring; the answer to a notification does not.
    pub(crate) fn goes_over_ring(&self) -> bool {
        self.expects_reply
    }

    /// Whether it or its reply needs a ring's payload buffer.
    pub(crate) fn has_payload(&self) -> bool {
        self.has_reply_body || self.len() > size_of::<InHeader>() + self.head_len()
    }

    /// Whether a server that takes pages gets those of its data, READ's or WRITE's, instead of a copy
    /// (`fuse_args::zero_copy`).
    pub(crate) fn shares_pages(&self) -> bool {
        self.shares_pages
    }

    /// As [`Self::has_payload`], where the server gets the pages of its data.
    pub(crate) fn has_payload_beside_pages(&self) -> bool {
        // READ sends a structure that has a place of its own, and the answer is all data. The answer
        // to WRITE is a structure.
        self.opcode != Opcode::Read
    }

    /// The pages of its data, with a reference each, and whether the server is to fill them. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended; `ENOMEM`; `EFAULT` for memory that is not counted by pages.
    pub(crate) fn hold_pages(&self) -> Result<(HeldPieces, bool)> {
        let fills = self.opcode == Opcode::Read;
        let count = self.lend(|body| Ok(body.data_pieces(fills).count()))?;
        let mut held = HeldPieces::with_capacity(count)?;
        self.lend(|body| {
            body.data_pieces(fills)
                .try_for_each(|piece| held.push(&piece))
        })?;
        Ok((held, fills))
    }

    /// The server has put `len` bytes of the answer into the pages of the data: they are not copied.
    /// What is left of the pages is zeroed where a copy would do so.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the operation's reply cannot have that length; `ENOENT` if it has ended.
    pub(crate) fn filled_in_place(&self, len: usize) -> Result {
        let is_short = self.lend(|body| {
            body.expect(len)?;
            body.filled_in_place();
            Ok(body.is_short())
        })?;
        if is_short {
            self.zero_rest()?;
        }
        Ok(())
    }

    /// Length of the structure behind the header, in bytes; a ring has a separate place for it.
    pub(crate) fn head_len(&self) -> usize {
        self.head_len.into()
    }

    /// The id; 0 before the request is queued.
    pub(crate) fn unique(&self) -> Unique {
        Unique::new(self.unique.load(Relaxed))
    }

    /// Whether the server has to reply.
    pub(crate) fn expects_reply(&self) -> bool {
        self.expects_reply
    }

    /// Assigns the id and emits the tracepoint; a queue calls this under its lock, so that ids grow
    /// in queue order. A request that has its own id keeps it.
    pub(crate) fn assign_unique(&self, unique: Unique) {
        self.unique.store(unique.get(), Relaxed);
        trace::request_send(self);
        trace::request_queue(self);
    }

    /// The request is sent again: its id is marked, and its phase says that no server has it.
    fn mark_resent(&self) {
        let unique = self.unique().get() | Unique::RESEND;
        self.unique.store(unique, Relaxed);
        self.set_phase(Phase::Pending);
        trace::request_resend(self);
    }

    fn phase(&self) -> Phase {
        Phase::from(self.phase.load(Acquire))
    }

    fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as i32, Release);
    }

    /// Whether it has ended. Acquires the stores of the thread that ended it.
    pub(crate) fn is_finished(&self) -> bool {
        self.phase() == Phase::Finished
    }

    /// Whether the server has it and must reply.
    pub(crate) fn is_sent(&self) -> bool {
        self.phase() == Phase::Sent
    }

    /// Whether its waiter got a signal.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Relaxed)
    }

    /// Notes the signal. A full barrier: pairs with [`Self::mark_sent`], so that either the waiter
    /// sees the request sent or the reader sees it interrupted.
    fn mark_interrupted(&self) {
        self.interrupted.xchg(true, Full);
    }

    /// The reader is done. A full barrier: pairs with [`Self::mark_interrupted`].
    fn mark_sent(&self) {
        self.phase.xchg(Phase::Sent as i32, Full);
    }

    /// Ends the request unless it has ended already; returns whether this call did.
    ///
    /// Call it without any spinlock: a completion runs here, and it may sleep.
    fn end(&self, outcome: Outcome) -> bool {
        let mut body = self.body.lock();
        if !body.state().set(outcome) {
            return false;
        }
        // If a device has it, it ends when the device returns it.
        if !body.is_given() {
            self.conclude(body, outcome);
        }
        true
    }

    /// The outcome takes effect.
    #[inline]
    fn conclude(&self, mut body: GiveGuard<'_, End, Body>, outcome: Outcome) {
        // Before a waiter can run. A cancelled request has reached no server, and C emits no end
        // for it.
        if outcome != Outcome::Interrupted {
            trace::request_end(self, outcome.reply_len(), outcome.errno());
        }
        // Full barrier against the waiter that puts itself on the interrupt list and then checks
        // whether the request has ended.
        self.phase.xchg(Phase::Finished as i32, Full);
        let completion = body.state().take_completion();
        drop(body);
        match completion {
            Some(completion) => completion.complete(Ended::new(&self.body)),
            None => self.ended.wake_up(),
        }
    }

    /// The device has returned the body, with this header of a reply. `None` if the outcome was set
    /// before: the request has ended now.
    fn take_back(&self, gift: Gift<Body>) -> Option<OutHeader> {
        let mut body = self.body.lock();
        // The gift is always this request's; otherwise its memory would be lost.
        let _ = body.take_back(gift);
        match body.state().outcome() {
            Some(outcome) => {
                self.conclude(body, outcome);
                None
            }
            None => body.value().map(|body| *body.reply_header()),
        }
    }

    /// A device has filled the reply space with a payload of `len` bytes. Says whether the reply leaves
    /// out data that [`Self::zero_rest`] has to zero, and whether the end of the request takes locks of
    /// others, so that it is not for a thread that others wait for.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the operation's reply cannot have that length; `ENOENT` if it has ended.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn filled(&self, len: usize) -> Result<(bool, bool)> {
        let mut body = self.body.lock();
        let told = body.state().has_completion();
        let body = body.value().ok_or(ENOENT)?;
        Ok((body.filled(len)?, told && body.has_pages_of_caller()))
    }

    /// Lends the body to `f`, which must neither fault nor sleep.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended, or a device has it.
    #[inline]
    fn lend<R>(&self, f: impl FnOnce(&mut Body) -> Result<R>) -> Result<R> {
        let mut body = self.body.lock();
        if body.state().outcome().is_some() {
            return Err(ENOENT);
        }
        f(body.value().ok_or(ENOENT)?)
    }

    /// One outgoing loan: copies the next piece of the message into `sink`, which must neither
    /// fault nor sleep. Returns why the loan ended.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended.
    pub(crate) fn lend_input(
        &self,
        progress: &mut Progress,
        sink: impl FnMut(SharedBytes<'_>) -> usize,
    ) -> Result<LoanEnd> {
        let unique = self.unique();
        self.lend(|body| body.send(unique, progress, sink))
    }

    /// Prepares the reply space for a payload of `len` bytes, and with a `source` makes the first
    /// incoming loan, see [`Self::lend_output`]. Returns why that ended (as full without a
    /// `source`), and whether the reply omits data that [`Self::zero_rest`] has to zero.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the operation does not allow that length; `ENOENT` if the request has ended.
    pub(crate) fn begin_output(
        &self,
        len: usize,
        progress: &mut Progress,
        source: Option<impl FnMut(Room<'_>) -> usize>,
    ) -> Result<(LoanEnd, bool)> {
        self.lend(|body| {
            body.expect(len)?;
            let end = match source {
                Some(source) => body.receive(progress, source)?,
                None => LoanEnd::Full,
            };
            Ok((end, body.is_short()))
        })
    }

    /// One incoming loan: fills the next piece of the reply space from `source`, which must neither
    /// fault nor sleep. Returns why the loan ended.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended.
    pub(crate) fn lend_output(
        &self,
        progress: &mut Progress,
        source: impl FnMut(Room<'_>) -> usize,
    ) -> Result<LoanEnd> {
        self.lend(|body| body.receive(progress, source))
    }

    /// Whether a server that gives pages away may give the next bytes as a page: they are for a
    /// page of the page cache that no reader has seen yet.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended.
    pub(crate) fn takes_page(&self, progress: &Progress) -> Result<bool> {
        self.lend(|body| body.takes_page(progress))
    }

    /// One incoming loan of a whole page: puts it where the reply's next bytes belong.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended; `EIO` if the page has no place.
    pub(crate) fn lend_page(&self, progress: &mut Progress, page: FreePage) -> Result {
        // Declared first, so that the lock is dropped before the returned pages are.
        let (mut page, mut back) = (Some(page), None);
        let lent = self.lend(|body| {
            back = page.take().map(|page| body.receive_page(progress, page));
            Ok(())
        });
        lent?;
        match back {
            Some(Ok(used)) => {
                drop(used);
                Ok(())
            }
            Some(Err((error, page))) => {
                drop(page);
                Err(error)
            }
            None => Ok(()),
        }
    }

    /// Zeroes the part of the data that the reply omitted.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the request has ended.
    pub(crate) fn zero_rest(&self) -> Result {
        let mut done = 0;
        // One loan after the other: the data may be as large as the mount's limits allow.
        while self.lend(|body| body.zero_piece(&mut done))? {}
        Ok(())
    }

    /// The request has no waiter: `completion` runs at its end.
    fn tell(&self, completion: KBox<dyn Completion>) {
        self.body.lock().state().set_completion(completion);
    }

    /// The waiter leaves and never accesses the request again: the completion that `complete` makes
    /// runs at the end. `false` if the request has ended already: then `complete` is not called.
    /// `complete` runs under the lock of the body and must not sleep.
    fn abandon(&self, complete: impl FnOnce() -> KBox<dyn Completion>) -> bool {
        let mut body = self.body.lock();
        // A request that a device has is not over when its outcome is known.
        let abandoned = !self.is_finished();
        if abandoned {
            body.state().set_completion(complete());
            trace::request_abandon(self);
        }
        abandoned
    }
}

impl Giver for Request {
    type State = End;
    type Value = Body;

    fn give_lock(&self) -> &GiveLock<End, Body> {
        &self.body
    }
}

impl Traced for Request {
    fn subject(&self) -> Subject {
        Subject {
            connection: self.connection,
            unique: self.unique().get(),
            opcode: self.opcode as u32,
            nodeid: self.nodeid.get(),
            pid: self.pid,
            len: self.len,
            address: core::ptr::from_ref(self).addr(),
        }
    }
}

/// Trace events of a handle show its request.
impl Traced for Entry<Request> {
    fn subject(&self) -> Subject {
        Request::subject(self)
    }
}
