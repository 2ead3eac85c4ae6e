// SPDX-License-Identifier: GPL-2.0

//! The states of a request, as tokens.
//!
//! Whoever may act on a request next holds its token; a transition takes the token and gives the
//! next one. A token that is dropped ends its request, so none can be lost.
//!
//! | Token        | Held by                            | Next                          | If dropped       |
//! |--------------|------------------------------------|-------------------------------|------------------|
//! | [`Pending`]  | a queue                            | `start`, `cancel`, `refuse`   | ends `ENOTCONN`  |
//! | [`Copying`]  | the thread that reads the device   | `sent`, `delivered`, `fail`   | ends `EIO`       |
//! | [`Sent`]     | a processing table, a ring's entry | `reply`                       | ends `ECONNABORTED` |
//! | [`Replying`] | the thread that writes the device  | `finish`                      | ends `EIO`       |
//! | [`Given`]    | the queue of a device              | `take_back`                   | ends `ECONNABORTED` |
//!
//! A copier has its request alone: nobody else can end it. Before the copier faults or sleeps, it
//! shows the request (`show`): from then on the [`CopySet`] of the processing table has it, and an
//! abort can end it although the copier may be stuck in a page fault.
//!
//! The containers here are not locked; `channel` puts them inside their locks. Tokens end requests
//! when dropped, and that must not happen under a spinlock: take them out first.

use super::{
    args::Body,
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
use crate::vfs::sync::{
    entry::{
        Entry,
        Owned, //
    },
    give_lock::Gift,
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

    /// The request, to share.
    pub(super) fn share(&self) -> Handle {
        self.0.share()
    }

    /// Instead of a waiter: what is told of the end.
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

    /// Gives the request to `device`, which reads and writes its memory without asking. It comes back
    /// if a device has it.
    #[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code, reason = "for virtiofs"))]
    pub(crate) fn give(self, device: u32) -> Result<Given, Pending> {
        let Some(gift) = self.request().give() else {
            return Err(self);
        };
        let entry = self.0.dismiss();
        entry.set_phase(Phase::Given);
        trace::request_start(&*entry, device);
        Ok(Given(Guard::new(Away {
            entry,
            gift,
            device,
        })))
    }

    /// Ends it without ever showing it to a server.
    pub(crate) fn refuse(self, outcome: Outcome) {
        self.0.dismiss().end(outcome);
    }

    /// Its waiter was killed before a server read it.
    pub(crate) fn cancel(self) {
        trace::request_cancel(self.request());
        self.refuse(Outcome::Interrupted);
    }
}

/// How a copier has its request.
enum Lent {
    /// Alone. It neither faults nor sleeps before it shows the request.
    Alone(Owned<Request>),
    /// In sight of an abort: the entry is on a [`CopySet`], unless an abort was there.
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

    /// Takes the request off `set`, if it was shown. `false` if an abort was first.
    fn hide(&self, set: &mut CopySet) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Shown(handle) => set.queue.remove(handle).is_some(),
        }
    }

    /// The entry, off `set`; comes back if an abort was first.
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

    /// The copier may fault or sleep: `set` keeps the request in sight of an abort from now on.
    pub(crate) fn show(&mut self, set: &mut CopySet) {
        self.0.show(set);
    }

    /// The server has all of it: parks it in `table`. Gives the token back if an abort took the
    /// request out of `set` meanwhile.
    ///
    /// Returns the request if its waiter got a signal before it was sent: the waiter could not tell
    /// the server.
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
    pub(crate) fn hand_over(self, set: &mut CopySet) -> Result<(Sent, Option<Handle>), Copying> {
        let entry = self
            .0
            .dismiss()
            .take(set)
            .map_err(|shown| Copying(Guard::new(shown)))?;
        trace::request_sent(&*entry);
        // Pairs with the waiter's look at the request after its signal.
        entry.mark_sent();
        let interrupted = entry.is_interrupted().then(|| entry.share());
        Ok((Sent(Guard::new(entry)), interrupted))
    }

    /// Takes the request out of the sight of an abort, before the token ends it. `false` if an
    /// abort was first.
    pub(crate) fn detach(&self, set: &mut CopySet) -> bool {
        self.0.hide(set)
    }

    /// The server has it and owes no answer.
    pub(crate) fn delivered(self) {
        self.fail(Outcome::Delivered);
    }

    /// It could not be copied, or must not be sent any more.
    pub(crate) fn fail(self, outcome: Outcome) {
        self.0.dismiss().end(outcome);
    }
}

/// A request that a server has and owes an answer to.
#[must_use = "dropping it ends the request"]
pub(crate) struct Sent(Guard<Owned<Request>, ServerGone>);

impl Sent {
    /// The request, while the token is held.
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// The answer has come, through `device`.
    pub(crate) fn reply(self, device: u32) -> Replying {
        let entry = self.0.dismiss();
        entry.set_phase(Phase::Replying);
        trace::request_reply(&*entry, device);
        Replying(Guard::new(Lent::Alone(entry)))
    }
}

/// A request whose answer is being copied.
#[must_use = "dropping it ends the request"]
pub(crate) struct Replying(Guard<Lent, Failed>);

impl Replying {
    /// The request, while the token is held.
    pub(crate) fn request(&self) -> &Request {
        &self.0
    }

    /// The copier may fault or sleep: `set` keeps the request in sight of an abort from now on.
    pub(crate) fn show(&mut self, set: &mut CopySet) {
        self.0.show(set);
    }

    /// Whether an abort could have ended the request meanwhile.
    pub(crate) fn is_shown(&self) -> bool {
        matches!(&*self.0, Lent::Shown(_))
    }

    /// Takes the request out of the sight of an abort, before [`Self::finish`]. `false` if an
    /// abort was first.
    pub(crate) fn detach(&self, set: &mut CopySet) -> bool {
        self.0.hide(set)
    }

    /// The answer is in.
    pub(crate) fn finish(self, outcome: Outcome) {
        self.0.dismiss().end(outcome);
    }
}

/// A request that is given to a device.
struct Away {
    entry: Owned<Request>,
    gift: Gift<Body>,
    device: u32,
}

impl Away {
    /// The device gives it back, and it ends; as was known before, if it was.
    fn end(self, outcome: Outcome) {
        self.entry.end(outcome);
        self.entry.take_back(self.gift);
    }
}

/// A request whose memory a device has. Nothing is lent of it, and no reference to it exists.
///
/// It cannot end as long as this is there: how it ends is only noted. Code that lets a device have the
/// memory owns this for as long as the device may access it; to drop it says that the device was
/// reset.
#[must_use = "dropping it ends the request"]
pub(crate) struct Given(Guard<Away, DeviceReset>);

impl Given {
    /// The request, but for what the device has.
    #[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code, reason = "for virtiofs"))]
    pub(crate) fn request(&self) -> &Request {
        &self.0.entry
    }

    /// It ends so when the device has given it back, unless that was known before.
    #[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code, reason = "for virtiofs"))]
    pub(crate) fn end_when_back(&self, outcome: Outcome) {
        self.0.entry.end(outcome);
    }

    /// The device has given it back, with this header of a reply. `None` if it has ended with that.
    ///
    /// Its answer is worked in without a fault, and so an abort need not find it. Call it without a
    /// lock.
    #[cfg_attr(not(CONFIG_KUNIT = "y"), expect(dead_code, reason = "for virtiofs"))]
    pub(crate) fn take_back(self) -> Option<(Replying, OutHeader)> {
        let Away {
            entry,
            gift,
            device,
        } = self.0.dismiss();
        let header = entry.take_back(gift)?;
        entry.set_phase(Phase::Replying);
        trace::request_reply(&*entry, device);
        Some((Replying(Guard::new(Lent::Alone(entry))), header))
    }

    /// Stands in for the device: writes the header of a reply.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn write_header(&mut self, header: OutHeader) -> Result {
        let Away { entry, gift, .. } = &mut *self.0;
        let written = entry
            .body
            .as_device(gift, |body| *body.reply_header() = header);
        written.ok_or(EINVAL)
    }
}

/// Declares how a request ends whose token is dropped.
macro_rules! drops {
    ($( $(#[$doc:meta])* $name:ident($token:ty) = $outcome:ident; )+) => {$(
        $(#[$doc])*
        struct $name;

        impl OnDrop<$token> for $name {
            fn run(request: $token) {
                request.end(Outcome::$outcome);
            }
        }
    )+};
}

drops! {
    /// No server has got it.
    NotConnected(Owned<Request>) = NotConnected;
    /// Its copier has lost it.
    Failed(Lent) = Io;
    /// Its server has lost it.
    ServerGone(Owned<Request>) = Aborted;
    /// Its device was reset.
    DeviceReset(Away) = Aborted;
}

/// Requests that wait to be read, oldest first.
#[derive(Default)]
pub(crate) struct PendingQueue {
    queue: Queue<Request>,
}

impl PendingQueue {
    /// Whether none waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The oldest, which stays.
    pub(crate) fn front(&self) -> Option<&Request> {
        self.queue.iter().next().map(|entry| &**entry)
    }

    /// Queues a request.
    pub(crate) fn push_back(&mut self, pending: Pending) {
        self.queue.push_back(pending.0.dismiss());
    }

    /// Takes the oldest.
    pub(crate) fn pop_front(&mut self) -> Option<Pending> {
        self.queue.pop_front().map(Pending::new)
    }

    /// Takes this one, if it is on this queue.
    pub(crate) fn remove(&mut self, handle: &Handle) -> Option<Pending> {
        self.queue.remove(handle).map(Pending::new)
    }

    /// Puts all of `later` behind these.
    pub(crate) fn append(&mut self, later: &mut PendingQueue) {
        while let Some(pending) = later.pop_front() {
            self.push_back(pending);
        }
    }

    /// Whether the oldest was made more than `age` jiffies ago.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.queue
            .iter()
            .next()
            .is_some_and(|request| request.is_older(age))
    }

    /// Notes them in `seen`, oldest first.
    pub(crate) fn look(&self, seen: &mut Snapshot, place: Place) {
        seen.add_all(self.queue.iter(), place);
    }

    /// Ends all of them; call it without a lock.
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

/// The requests of one device whose copiers may sleep just now.
#[derive(Default)]
pub(crate) struct CopySet {
    queue: Queue<Request>,
}

impl CopySet {
    /// Whether one was made more than `age` jiffies ago; who came first need not be the oldest.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.queue.iter().any(|request| request.is_older(age))
    }

    /// Notes them in `seen`, at `place`.
    pub(crate) fn look(&self, seen: &mut Snapshot, place: Place) {
        seen.add_all(self.queue.iter(), place);
    }

    /// Ends all of them, whatever their copiers do; call it without a lock.
    pub(crate) fn abort_all(mut self) {
        while let Some(entry) = self.queue.pop_front() {
            entry.end(Outcome::Aborted);
        }
    }
}

/// Chains of a [`SentTable`]; a power of two.
const BUCKETS: usize = 256;

/// The requests that the server of one device owes an answer to, by id (`fpq->processing`).
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

    /// Ids step by two and grow by one queue, so their low bits spread evenly as they are.
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

    /// Finds the request with this id and leaves it there.
    pub(crate) fn find(&self, unique: Unique) -> Option<Handle> {
        self.buckets
            .get(Self::bucket(unique))?
            .iter()
            .find(|entry| entry.unique() == unique)
            .map(Handle::from)
    }

    /// Whether one was made more than `age` jiffies ago. One that was sent again is behind others that
    /// are younger.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.buckets
            .iter()
            .any(|bucket| bucket.iter().any(|request| request.is_older(age)))
    }

    /// Notes them in `seen`. If there is no room for all, the oldest of each chain come first,
    /// which are about the oldest of all.
    pub(crate) fn look(&self, seen: &mut Snapshot, place: Place) {
        let first = (seen.room() / BUCKETS).max(1);
        for bucket in &self.buckets {
            seen.add_all(bucket.iter().take(first), place);
        }
        for bucket in &self.buckets {
            seen.add_all(bucket.iter().skip(first), place);
        }
    }

    /// Ends all of them; call it without a lock.
    pub(crate) fn abort_all(mut self) {
        self.drain();
    }

    /// Moves all of them to `queue`. Those of one bucket are in order; ids tell of the others.
    pub(crate) fn drain_into(&mut self, queue: &mut SentQueue) {
        for bucket in self.buckets.iter_mut() {
            while let Some(entry) = bucket.pop_front() {
                // No INTERRUPT may be queued for it from now on.
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

/// Sent requests that were taken out of their tables, oldest first.
#[derive(Default)]
pub(crate) struct SentQueue {
    queue: Queue<Request>,
}

impl SentQueue {
    /// The requests, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<Request>> {
        self.queue.iter()
    }

    /// They shall be sent again: their ids say so from now on. Their INTERRUPTs must be off the
    /// input queue before.
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
