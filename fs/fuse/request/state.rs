// SPDX-License-Identifier: GPL-2.0

//! The states of a request, as tokens.
//!
//! The holder of a request's token acts on the request next; a transition takes the token and
//! returns the next one. Dropping a token ends its request, so none can be lost.
//!
//! | Token        | Held by                      | Next                        | Ends if dropped |
//! |--------------|------------------------------|-----------------------------|-----------------|
//! | [`Pending`]  | a queue                      | `start`, `cancel`, `refuse` | `ENOTCONN`      |
//! | [`Copying`]  | the device's reader          | `sent`, `delivered`, `fail` | `EIO`           |
//! | [`Sent`]     | processing table, ring entry | `reply`                     | `ECONNABORTED`  |
//! | [`Replying`] | the device's writer          | `finish`                    | `EIO`           |
//! | [`Given`]    | a device's queue             | `take_back`                 | `ECONNABORTED`  |
//!
//! A copier owns its request exclusively: no other thread can end it. Before the copier faults or
//! sleeps, it shows the request (`show`): from then on the [`CopySet`] of the processing table has
//! it, and an abort can end it although the copier may be stuck in a page fault.
//!
//! The containers here are not locked; `channel` puts them inside its locks. A dropped token ends
//! its request, which must not happen under a spinlock: take tokens out first.

use super::{
    completion::Completion,
    outcome::Outcome,
    phase::Phase,
    snapshot::{
        Place,
        Snapshot, //
    },
    Handle,
    Request, //
};
use crate::fuse::{
    abi::{
        header::OutHeader,
        Unique, //
    },
    trace, //
};
#[cfg(CONFIG_VIRTIO)]
use crate::vfs::io::virtqueue::Message;
use crate::vfs::sync::{
    entry::{
        Entry,
        Owned, //
    },
    give_lock::Handed,
    guard::{
        Guard,
        OnDrop, //
    },
    queue::{
        Chain,
        Queue, //
    },
};
use core::ops::Deref;
use kernel::prelude::*;

/// A request that no server has seen.
#[must_use = "dropping it ends the request"]
pub(crate) struct Pending(Guard<Owned<Request>, NotConnected>);

impl Pending {
    pub(super) fn new(entry: Owned<Request>) -> Self {
        Self(Guard::new(entry))
    }

    /// The request, while the token is held.
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// A shared reference to the request.
    pub(super) fn share(&self) -> Handle {
        self.0.share()
    }

    /// Sets the completion that runs at the end, instead of a waiter.
    pub(crate) fn tell(&self, completion: KBox<dyn Completion>) {
        self.request().tell(completion);
    }

    /// A reader of `device` takes the request.
    pub(crate) fn start(self, device: u32) -> Copying {
        let entry = self.0.dismiss();
        entry.set_phase(Phase::Copying);
        trace::request_start(&*entry, device);
        Copying(Guard::new(Lent::Alone(entry)))
    }

    /// Gives the request to a device, which accesses its memory on its own, under the id that it has
    /// now. Returns the token if a device has it already.
    #[cfg_attr(
        not(any(CONFIG_KUNIT = "y", CONFIG_VIRTIO)),
        expect(dead_code, reason = "for virtiofs")
    )]
    pub(crate) fn give(self) -> Result<Given, Pending> {
        let unique = self.request().unique();
        match Handed::new(self.0.dismiss(), |body| body.set_unique(unique)) {
            Ok(handed) => {
                handed.set_phase(Phase::Given);
                Ok(Given(Guard::new(handed)))
            }
            Err(entry) => Err(Self::new(entry)),
        }
    }

    /// Ends the request; no server has seen it.
    pub(crate) fn refuse(self, outcome: Outcome) {
        self.0.dismiss().end(outcome);
    }

    /// The waiter was killed before a server read the request.
    pub(crate) fn cancel(self) {
        trace::request_cancel(self.request());
        self.refuse(Outcome::Interrupted);
    }
}

/// How a copier owns its request.
enum Lent {
    /// Exclusively. The copier neither faults nor sleeps before it shows the request.
    Alone(Owned<Request>),
    /// Visible to an abort: the entry is on a [`CopySet`], unless an abort has taken it.
    Shown(Handle),
}

impl Lent {
    /// Puts the request on `set`, unless it was shown before.
    fn show(&mut self, set: &mut CopySet) {
        let Self::Alone(entry) = self else { return };
        let shown = Self::Shown(entry.share());
        if let Self::Alone(entry) = core::mem::replace(self, shown) {
            set.queue.push_back(entry);
        }
    }

    /// Removes the request from `set`, if it was shown. `false` if an abort was first.
    fn hide(&self, set: &mut CopySet) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Shown(handle) => set.queue.remove(handle).is_some(),
        }
    }

    /// The entry, removed from `set`; returns `self` if an abort was first.
    fn take(self, set: &mut CopySet) -> Result<Owned<Request>, Self> {
        match self {
            Self::Alone(entry) => Ok(entry),
            Self::Shown(handle) => set.queue.remove(&handle).ok_or(Self::Shown(handle)),
        }
    }
}

impl Deref for Lent {
    type Target = Request;

    fn deref(&self) -> &Request {
        match self {
            Self::Alone(entry) => entry,
            Self::Shown(handle) => handle,
        }
    }
}

/// A request that is being copied to a server.
#[must_use = "dropping it ends the request"]
pub(crate) struct Copying(Guard<Lent, Failed>);

impl Copying {
    /// The request, while the token is held.
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// The copier may fault or sleep: from now on an abort finds the request in `set`.
    pub(crate) fn show(&mut self, set: &mut CopySet) {
        self.0.show(set);
    }

    /// The server has the whole request: parks it in `table`. Returns the token if an abort took
    /// the request out of `set` meanwhile.
    ///
    /// Returns the request if its waiter got a signal before it was sent, when the waiter could not
    /// tell the server.
    pub(crate) fn sent(
        self,
        set: &mut CopySet,
        table: &mut SentTable,
    ) -> Result<Option<Handle>, Copying> {
        let (sent, interrupted) = self.hand_over(set)?;
        table.insert(sent);
        Ok(interrupted)
    }

    /// As [`Self::sent`], but the caller keeps the token, under the lock of `set`.
    #[inline]
    pub(crate) fn hand_over(self, set: &mut CopySet) -> Result<(Sent, Option<Handle>), Copying> {
        let entry = self
            .0
            .dismiss()
            .take(set)
            .map_err(|shown| Copying(Guard::new(shown)))?;
        trace::request_sent(&*entry);
        // Pairs with the waiter's check of the request after its signal.
        entry.mark_sent();
        let interrupted = entry.is_interrupted().then(|| entry.share());
        Ok((Sent(Guard::new(entry)), interrupted))
    }

    /// Hides the request from an abort, before the token ends it. `false` if an abort was first.
    pub(crate) fn detach(&self, set: &mut CopySet) -> bool {
        self.0.hide(set)
    }

    /// The server has it and need not reply.
    pub(crate) fn delivered(self) {
        self.fail(Outcome::Delivered);
    }

    /// The request could not be copied, or must not be sent.
    pub(crate) fn fail(self, outcome: Outcome) {
        self.0.dismiss().end(outcome);
    }
}

/// A request that a server has and must reply to.
#[must_use = "dropping it ends the request"]
pub(crate) struct Sent(Guard<Owned<Request>, ServerGone>);

impl Sent {
    /// The request, while the token is held.
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// The reply has come, through `device`.
    pub(crate) fn reply(self, device: u32) -> Replying {
        let entry = self.0.dismiss();
        entry.set_phase(Phase::Replying);
        trace::request_reply(&*entry, device);
        Replying(Guard::new(Lent::Alone(entry)))
    }
}

/// A request whose reply is being copied.
#[must_use = "dropping it ends the request"]
pub(crate) struct Replying(Guard<Lent, Failed>);

impl Replying {
    /// The request, while the token is held.
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// The copier may fault or sleep: from now on an abort finds the request in `set`.
    pub(crate) fn show(&mut self, set: &mut CopySet) {
        self.0.show(set);
    }

    /// Whether an abort may have ended the request meanwhile.
    pub(crate) fn is_shown(&self) -> bool {
        matches!(&*self.0, Lent::Shown(_))
    }

    /// Hides the request from an abort, before [`Self::finish`]. `false` if an abort was first.
    pub(crate) fn detach(&self, set: &mut CopySet) -> bool {
        self.0.hide(set)
    }

    /// The reply is complete.
    pub(crate) fn finish(self, outcome: Outcome) {
        self.0.dismiss().end(outcome);
    }
}

/// What of a given request a device's queue keeps: all of it.
pub(crate) type GivenMemory = Guard<Handed<Request>, DeviceReset>;

/// A request whose memory a device has. None of it is lent, and no reference to it exists.
///
/// Its end is deferred: the outcome is only noted while this exists. Code that gives the memory to
/// a device owns this for as long as the device may access it; dropping it asserts that the device
/// was reset.
#[must_use = "dropping it ends the request"]
pub(crate) struct Given(Guard<Handed<Request>, DeviceReset>);

#[cfg_attr(
    not(any(CONFIG_KUNIT = "y", CONFIG_VIRTIO)),
    expect(dead_code, reason = "for virtiofs")
)]
impl Given {
    /// The request, without the memory that the device has.
    #[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code, reason = "for tests"))]
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// Sets the outcome for when the device has returned the request, unless one is set.
    #[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code, reason = "for tests"))]
    pub(crate) fn end_when_back(&self, outcome: Outcome) {
        self.0.end(outcome);
    }

    /// `device` has returned it, with this header of a reply. `None` if the request has ended now.
    ///
    /// The reply is processed without faults, so an abort need not find it. Call it without a lock.
    pub(crate) fn take_back(self, device: u32) -> Option<(Replying, OutHeader)> {
        let (entry, gift) = self.0.dismiss().into_parts();
        let header = entry.take_back(gift)?;
        entry.set_phase(Phase::Replying);
        trace::request_reply(&*entry, device);
        Some((Replying(Guard::new(Lent::Alone(entry))), header))
    }

    /// `device` has it.
    pub(crate) fn given_to(given: &GivenMemory, device: u32) {
        trace::request_start(&***given, device);
    }

    /// No device has got it after all. `None` if the request has ended now.
    pub(crate) fn withdraw(self) -> Option<Pending> {
        let (entry, gift) = self.0.dismiss().into_parts();
        entry.take_back(gift)?;
        entry.set_phase(Phase::Pending);
        Some(Pending::new(entry))
    }

    /// Acts as the device in tests: writes the header of a reply.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn write_header(&mut self, header: OutHeader) -> Result {
        let written = self.0.as_device(|body| *body.reply_header() = header);
        written.ok_or(EINVAL)
    }
}

#[cfg(CONFIG_VIRTIO)]
impl Message for Given {
    type Memory = GivenMemory;

    fn into_memory(self) -> GivenMemory {
        self.0
    }

    fn from_memory(memory: GivenMemory) -> Self {
        Self(memory)
    }
}

/// What a token holds.
trait Held {
    /// Ends the request, whose token no code holds any more.
    fn end_as(self, outcome: Outcome);
}

impl Held for Owned<Request> {
    fn end_as(self, outcome: Outcome) {
        self.end(outcome);
    }
}

impl Held for Lent {
    fn end_as(self, outcome: Outcome) {
        self.end(outcome);
    }
}

impl Held for Handed<Request> {
    fn end_as(self, outcome: Outcome) {
        // As was known before, if it was.
        self.end(outcome);
        let (entry, gift) = self.into_parts();
        entry.take_back(gift);
    }
}

/// Declares the outcome of a request whose token is dropped.
macro_rules! drops {
    ($( $(#[$doc:meta])* $name:ident($token:ty) = $outcome:ident; )+) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl OnDrop<$token> for $name {
            fn run(request: $token) {
                request.end_as(Outcome::$outcome);
            }
        }
    )+};
}

drops! {
    /// No server has seen it.
    NotConnected(Owned<Request>) = NotConnected;
    /// The copier dropped it.
    Failed(Lent) = Io;
    /// The server dropped it.
    ServerGone(Owned<Request>) = Aborted;
    /// The device was reset.
    DeviceReset(Handed<Request>) = Aborted;
}

/// Requests that wait to be read, oldest first.
#[derive(Default)]
pub(crate) struct PendingQueue {
    queue: Queue<Request>,
}

impl PendingQueue {
    /// Whether the queue is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The oldest request, which stays queued.
    pub(crate) fn front(&self) -> Option<&Request> {
        self.queue.iter().next().map(|entry| &**entry)
    }

    /// Queues a request.
    pub(crate) fn push_back(&mut self, pending: Pending) {
        self.queue.push_back(pending.0.dismiss());
    }

    /// Takes the oldest request.
    pub(crate) fn pop_front(&mut self) -> Option<Pending> {
        self.queue.pop_front().map(Pending::new)
    }

    /// Puts one back that was the oldest.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn push_front(&mut self, pending: Pending) {
        self.queue.push_front(pending.0.dismiss());
    }

    /// Takes this request, if it is on this queue.
    pub(crate) fn remove(&mut self, handle: &Handle) -> Option<Pending> {
        self.queue.remove(handle).map(Pending::new)
    }

    /// Moves all of `later` to the end of this queue.
    pub(crate) fn append(&mut self, later: &mut PendingQueue) {
        while let Some(pending) = later.pop_front() {
            self.push_back(pending);
        }
    }

    /// Whether the oldest request was made more than `age` jiffies ago.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.queue
            .iter()
            .next()
            .is_some_and(|request| request.is_older(age))
    }

    /// Notes the requests in `seen`, oldest first.
    pub(crate) fn look(&self, seen: &mut Snapshot, place: Place) {
        seen.add_all(self.queue.iter(), place);
    }

    /// Ends all requests; call it without a lock.
    pub(crate) fn refuse_all(mut self, outcome: Outcome) {
        while let Some(pending) = self.pop_front() {
            pending.refuse(outcome);
        }
    }
}

impl Drop for PendingQueue {
    fn drop(&mut self) {
        while let Some(pending) = self.pop_front() {
            drop(pending);
        }
    }
}

/// The requests of one device whose copiers may be asleep.
#[derive(Default)]
pub(crate) struct CopySet {
    queue: Queue<Request>,
}

impl CopySet {
    /// Whether one was made more than `age` jiffies ago; the first need not be the oldest.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.queue.iter().any(|request| request.is_older(age))
    }

    /// Notes the requests in `seen`, at `place`.
    pub(crate) fn look(&self, seen: &mut Snapshot, place: Place) {
        seen.add_all(self.queue.iter(), place);
    }

    /// Ends all requests, whatever their copiers do; call it without a lock.
    pub(crate) fn abort_all(mut self) {
        while let Some(entry) = self.queue.pop_front() {
            entry.end(Outcome::Aborted);
        }
    }
}

/// Chains of a [`SentTable`]; a power of two.
const BUCKETS: usize = 256;

/// The requests that the server of one device must reply to, by id (`fpq->processing`).
pub(crate) struct SentTable {
    buckets: KVec<Chain<Request>>,
}

impl SentTable {
    /// An empty table.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let mut buckets = KVec::with_capacity(BUCKETS, GFP_KERNEL)?;
        for _ in 0..BUCKETS {
            buckets.push(Chain::new(), GFP_KERNEL)?;
        }
        Ok(Self { buckets })
    }

    /// Ids step by two and grow in one sequence, so their low bits spread evenly without a hash.
    fn bucket(unique: Unique) -> usize {
        (unique.get() >> 1) as usize % BUCKETS
    }

    fn insert(&mut self, sent: Sent) {
        let bucket = Self::bucket(sent.0.unique());
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.push_back(sent.0.dismiss());
        }
    }

    /// Takes the request with this id.
    pub(crate) fn take(&mut self, unique: Unique) -> Option<Sent> {
        let bucket = self.buckets.get_mut(Self::bucket(unique))?;
        let found = bucket.take_first(|request| request.unique() == unique);
        found.map(|entry| Sent(Guard::new(entry)))
    }

    /// Finds the request with this id and leaves it in the table.
    pub(crate) fn find(&self, unique: Unique) -> Option<Handle> {
        self.buckets
            .get(Self::bucket(unique))?
            .iter()
            .find(|entry| entry.unique() == unique)
            .map(Handle::from)
    }

    /// Whether one was made more than `age` jiffies ago. A resent request may be behind younger
    /// ones.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.buckets
            .iter()
            .any(|bucket| bucket.iter().any(|request| request.is_older(age)))
    }

    /// Notes the requests in `seen`. If not all fit, the oldest of each chain come first, which are
    /// about the oldest of all.
    pub(crate) fn look(&self, seen: &mut Snapshot, place: Place) {
        let first = (seen.room() / BUCKETS).max(1);
        for bucket in &self.buckets {
            seen.add_all(bucket.iter().take(first), place);
        }
        for bucket in &self.buckets {
            seen.add_all(bucket.iter().skip(first), place);
        }
    }

    /// Ends all requests; call it without a lock.
    pub(crate) fn abort_all(mut self) {
        self.drain();
    }

    /// Moves all requests to `queue`, bucket by bucket; each bucket is in the order of sending.
    pub(crate) fn drain_into(&mut self, queue: &mut SentQueue) {
        for bucket in self.buckets.iter_mut() {
            while let Some(entry) = bucket.pop_front() {
                // From now on no INTERRUPT may be queued for it.
                entry.set_phase(Phase::Pending);
                queue.queue.push_back(entry);
            }
        }
    }

    fn drain(&mut self) {
        for bucket in self.buckets.iter_mut() {
            while let Some(entry) = bucket.pop_front() {
                drop(Sent(Guard::new(entry)));
            }
        }
    }
}

/// Sent requests that were taken out of their tables, in the order of the buckets.
#[derive(Default)]
pub(crate) struct SentQueue {
    queue: Queue<Request>,
}

impl SentQueue {
    /// The requests, in that order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<Request>> {
        self.queue.iter()
    }

    /// Marks the ids of the requests as resent and makes them pending again. Their INTERRUPTs must
    /// be off the input queue before.
    pub(crate) fn resend(mut self) -> PendingQueue {
        let mut pending = PendingQueue::default();
        while let Some(entry) = self.queue.pop_front() {
            entry.mark_resent();
            pending.push_back(Pending::new(entry));
        }
        pending
    }
}

impl Drop for SentQueue {
    fn drop(&mut self) {
        while let Some(entry) = self.queue.pop_front() {
            drop(Sent(Guard::new(entry)));
        }
    }
}

impl Drop for SentTable {
    fn drop(&mut self) {
        self.drain();
    }
}
