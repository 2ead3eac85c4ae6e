// SPDX-License-Identifier: GPL-2.0

//! One queue of a ring: assigns requests to entries.

use super::{
    entry::{
        self,
        Stack,
        Table, //
    },
    memory::answered,
    pool::Pool, //
};
use crate::fuse::{
    abi::{
        header::OutHeader,
        Unique, //
    },
    channel::unique::UniqueIds,
    request::{
        outcome::{
            Outcome,
            ServerErrno, //
        },
        snapshot::{
            Place,
            Snapshot, //
        },
        state::{
            CopySet,
            Copying,
            Pending,
            PendingQueue,
            Replying, //
        },
        Handle,
        Request, //
    },
    transport::copy::Lent,
};
use crate::vfs::io::{
    uring::{
        Access,
        Command,
        CommandId,
        Commands,
        Issue,
        Parked,
        Verdict, //
    },
    uring_pages::Anchor, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
};

/// An entry of a queue.
pub(super) type Entry = entry::Entry<Parked<Queue>>;

/// Added to the number of a queue in tracepoints, whose field otherwise has a device's number.
const TRACED_AS: u32 = 1 << 16;

/// Where the payload of messages goes (`enum fuse_queue_payload_mode`).
pub(super) enum Mode {
    /// Not settled.
    Unset,
    /// Each entry has its own room.
    PerEntry,
    /// The entries share these buffers.
    Pool(Pool),
}

/// One queue (`struct fuse_ring_queue`).
#[pin_data]
pub(crate) struct Queue {
    number: u16,
    /// Whether the server gets pages of data instead of a copy, and what that takes.
    zero_copy: Option<Anchor>,
    /// Whether an entry waits for a request: written under `inner`, read without the lock.
    idle: Atomic<bool>,
    /// Whether requests wait for an entry: as `idle`, and a hint only. What it may miss is found
    /// under the lock, before an entry waits.
    crowded: Atomic<bool>,
    /// `None` once the connection is gone.
    #[pin]
    inner: SpinLock<Option<Open>>,
}

/// The content of an open queue.
struct Open {
    /// The number of the device in tracepoints.
    device: u32,
    mode: Mode,
    /// Entries whose commands wait. It is empty while requests wait, unless these wait for a buffer
    /// of the pool.
    available: Stack<Parked<Queue>>,
    /// Requests that wait for an entry.
    pending: PendingQueue,
    /// Requests on their way to a task, or being copied.
    copying: CopySet,
    /// Entries in which the server has a request.
    lent: Table<Parked<Queue>>,
    /// How many entries were registered.
    entries: u32,
    /// How many of them are left. A queue without any accepts no request.
    living: u32,
}

/// Why an entry failed to bring a request to the server.
enum Failed {
    /// The request could not be copied: the entry takes the next one.
    Request(KBox<Entry>),
    /// The connection is gone.
    Closed,
}

/// The next step of an entry after its reply.
enum Next {
    /// This request. Whether others may go on: a buffer was returned, or the request that blocked
    /// them has got one.
    Request(Copying, bool),
    /// No request is there.
    Wait,
    /// The connection is gone.
    Closed,
}

impl Queue {
    /// A queue without entries, with an anchor if it gives pages away.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(number: u16, zero_copy: Option<Anchor>) -> Result<Arc<Self>> {
        let device = TRACED_AS | u32::from(number);
        Arc::pin_init(
            pin_init!(Self {
                number,
                zero_copy,
                idle: Atomic::new(false),
                crowded: Atomic::new(false),
                inner <- new_spinlock!(
                    Some(Open {
                        device,
                        mode: Mode::Unset,
                        available: Stack::default(),
                        pending: PendingQueue::default(),
                        copying: CopySet::default(),
                        lent: Table::default(),
                        entries: 0,
                        living: 0,
                    }),
                    "FuseRingQueue::inner"
                ),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Checks the payload room of an entry, and settles the mode of the queue, unless it is
    /// settled. `fixed` is the registered buffer that the command names. Returns the room that the
    /// entry has for itself.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the entry lacks `max` bytes of room that this queue requires, or has room or
    /// another registered buffer although the queue has a pool, or if the queue gives pages away and
    /// has no pool; `ECONNABORTED` if the connection is gone.
    pub(super) fn settle(
        &self,
        payload: (usize, usize),
        max: usize,
        fixed: Option<u16>,
    ) -> Result<Option<(usize, usize)>> {
        let mut inner = self.inner.lock();
        let open = Option::as_mut(&mut inner).ok_or(ECONNABORTED)?;
        match &open.mode {
            Mode::Pool(pool) if payload == (0, 0) && pool.is_named(fixed) => Ok(None),
            Mode::Pool(_) => Err(EINVAL),
            _ if payload.1 < max || self.zero_copy.is_some() => Err(EINVAL),
            _ => {
                open.mode = Mode::PerEntry;
                Ok(Some(payload))
            }
        }
    }

    /// What entries need that give pages of requests away, if those of this queue do.
    pub(super) fn zero_copy(&self) -> Option<&Anchor> {
        self.zero_copy.as_ref()
    }

    /// Gives the queue a pool of buffers, which the entries share.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the mode of the queue is settled, `ENOTCONN` if the connection is gone.
    pub(super) fn add_pool(&self, pool: Pool) -> Result {
        let mut inner = self.inner.lock();
        let open = Option::as_mut(&mut inner).ok_or(ENOTCONN)?;
        if !matches!(open.mode, Mode::Unset) {
            // The caller frees the pool after the lock is dropped.
            return Err(EINVAL);
        }
        open.mode = Mode::Pool(pool);
        Ok(())
    }

    /// Whether an entry waits for a request. Another caller may get it first.
    pub(super) fn is_idle(&self) -> bool {
        self.idle.load(Relaxed)
    }

    /// Notes whether an entry waits, and whether requests do.
    #[inline]
    fn note(&self, open: &Open) {
        self.idle.store(!open.available.is_empty(), Relaxed);
        self.crowded.store(!open.pending.is_empty(), Relaxed);
    }

    /// Starts the oldest waiting request in a waiting entry.
    #[inline(always)]
    fn pair(&self, open: &mut Open) -> Option<(KBox<Entry>, Parked<Self>)> {
        let ready = open.pair();
        self.note(open);
        ready
    }

    /// Queues a request, and dispatches it if an entry waits; returns it if the queue is closed or
    /// has no entry. Never sleeps.
    pub(super) fn send(&self, request: Pending, ids: &UniqueIds) -> Result<(), Pending> {
        let ready = {
            let mut inner = self.inner.lock();
            let open = Option::as_mut(&mut inner).filter(|open| open.living > 0);
            let Some(open) = open else {
                return Err(request);
            };
            request.request().assign_unique(ids.next());
            open.pending.push_back(request);
            self.pair(open)
        };
        if let Some((entry, command)) = ready {
            command.dispatch(entry);
        }
        Ok(())
    }

    /// Dispatches the requests that can go after a buffer was returned.
    fn pump(&self) {
        loop {
            let ready = match Option::as_mut(&mut self.inner.lock()) {
                Some(open) => self.pair(open),
                None => None,
            };
            match ready {
                Some((entry, command)) => command.dispatch(entry),
                None => return,
            }
        }
    }

    /// Cancels a request that waits for an entry.
    pub(super) fn cancel_request(&self, request: &Handle) -> Option<Pending> {
        Option::as_mut(&mut self.inner.lock())?
            .pending
            .remove(request)
    }

    /// Whether one of its requests was made more than `age` jiffies ago.
    pub(super) fn has_older(&self, age: u64) -> bool {
        self.inner.lock().as_ref().is_some_and(|open| {
            open.pending.has_older(age)
                || open.copying.has_older(age)
                || open.lent.requests().any(|(_, sent)| sent.is_older(age))
        })
    }

    /// Notes its requests in `seen`.
    pub(super) fn look(&self, seen: &mut Snapshot) {
        if let Some(open) = self.inner.lock().as_ref() {
            open.pending.look(seen, Place::Ring(self.number));
            open.copying.look(seen, Place::Ring(self.number));
            for (entry, sent) in open.lent.requests() {
                if !seen.add(sent, Place::RingEntry(self.number, entry)) {
                    return;
                }
            }
        }
    }

    /// Closes the queue: ends every request, and every waiting command.
    pub(super) fn close(&self) {
        // Bound to a variable, so that the lock is dropped before its content is.
        let open = self.inner.lock().take();
        let Some(mut open) = open else { return };
        drop(open.lent);
        open.copying.abort_all();
        open.pending.refuse_all(Outcome::Aborted);
        // In their tasks: another task of the server may be copying under the lock of the ring, as
        // long as a page fault lasts.
        while let Some((entry, command)) = open.available.pop() {
            command.end(Err(ENOTCONN));
            drop(entry);
        }
    }

    /// Copies a request into the memory of its entry, and parks both. In the server's task; sleeps.
    fn fill(
        &self,
        mut entry: KBox<Entry>,
        mut request: Copying,
        access: &Access<'_>,
    ) -> Result<(), Failed> {
        if request.request().clock().runs() {
            entry.host.latency().taken(request.request());
        }
        let mut filling = Filling {
            queue: self,
            copying: &mut request,
        };
        if let Err(error) = entry.area.put(&mut filling, access) {
            let connected = {
                let mut inner = self.inner.lock();
                Option::as_mut(&mut inner).is_some_and(|open| request.detach(&mut open.copying))
            };
            request.fail(Outcome::not_copied(error));
            return Err(if connected {
                Failed::Request(entry)
            } else {
                Failed::Closed
            });
        }
        let parked = {
            let mut inner = self.inner.lock();
            match Option::as_mut(&mut inner) {
                Some(open) => match request.hand_over(&mut open.copying) {
                    Ok((sent, interrupted)) => {
                        let interrupted = interrupted.map(|sent| (entry.host.clone(), sent));
                        open.lent.insert(entry, sent);
                        Ok(interrupted)
                    }
                    Err(request) => Err((request, entry)),
                },
                None => Err((request, entry)),
            }
        };
        match parked {
            Ok(interrupted) => {
                if let Some((host, request)) = interrupted {
                    host.interrupt(&request);
                }
                Ok(())
            }
            Err((request, mut entry)) => {
                entry.area.take_pages_back(access);
                request.fail(Outcome::Aborted);
                Err(Failed::Closed)
            }
        }
    }

    /// The next request for an idle entry.
    fn next(&self, entry: &mut Entry) -> Next {
        let mut inner = self.inner.lock();
        match Option::as_mut(&mut inner) {
            Some(open) => {
                let next = open.next(entry);
                self.note(open);
                next
            }
            None => Next::Closed,
        }
    }

    /// Copies a request into an entry, and the next one if that fails; returns the entry if none is
    /// left. `others` as in [`Next::Request`].
    ///
    /// # Errors
    ///
    /// `ENOTCONN` if the connection is gone.
    fn fetch(
        &self,
        mut entry: KBox<Entry>,
        mut request: Copying,
        mut others: bool,
        access: &Access<'_>,
    ) -> Result<Option<KBox<Entry>>> {
        loop {
            if others {
                self.pump();
            }
            match self.fill(entry, request, access) {
                Ok(()) => return Ok(None),
                Err(Failed::Closed) => return Err(ENOTCONN),
                Err(Failed::Request(again)) => entry = again,
            }
            (request, others) = match self.next(&mut entry) {
                Next::Request(request, others) => (request, others),
                Next::Wait => return Ok(Some(entry)),
                Next::Closed => return Err(ENOTCONN),
            };
        }
    }

    /// Makes an entry wait, unless a request has come meanwhile.
    #[inline]
    fn offer(&self, mut entry: KBox<Entry>, command: Parked<Self>) -> Option<Offered> {
        let mut inner = self.inner.lock();
        match Option::as_mut(&mut inner) {
            Some(open) => {
                entry.admit(&mut open.entries, &mut open.living);
                match open.next(&mut entry) {
                    Next::Wait => {
                        open.available.push(entry, command);
                        self.note(open);
                        None
                    }
                    next => Some((entry, command, next)),
                }
            }
            None => Some((entry, command, Next::Closed)),
        }
    }

    /// Makes the entry of a command wait for a request, or completes the command.
    fn wait(&self, mut entry: KBox<Entry>, mut command: Parked<Self>, issue: &Issue<'_>) {
        while let Some((back, parked, next)) = self.offer(entry, command) {
            command = parked;
            let (request, others) = match next {
                Next::Request(request, others) => (request, others),
                Next::Wait | Next::Closed => return command.complete(Err(ENOTCONN), issue),
            };
            match self.fetch(back, request, others, &command.access(issue)) {
                Ok(Some(back)) => entry = back,
                Ok(None) => return command.complete(Ok(()), issue),
                Err(error) => return command.complete(Err(error), issue),
            }
        }
    }

    /// A new entry: it waits for a request.
    pub(super) fn register<'a>(
        self: &Arc<Self>,
        entry: KBox<Entry>,
        command: Command<'a, Self>,
    ) -> Verdict<'a> {
        let (parked, issue, verdict) = command.park(self.clone());
        self.wait(entry, parked, &issue);
        verdict
    }

    /// Takes an answer, and gives the entry its next request.
    pub(super) fn commit<'a>(
        self: &Arc<Self>,
        id: Unique,
        command: Command<'a, Self>,
    ) -> Verdict<'a> {
        let (mut entry, replying) = match self.take(id, command.fixed_buffer()) {
            Ok(taken) => taken,
            Err(error) => return command.done(Err(error)),
        };
        let (request, others) = match self.answer(&mut entry, replying, &command.access()) {
            Next::Request(request, others) => (request, others),
            Next::Wait => return self.register(entry, command),
            Next::Closed => return command.done(Err(ENOTCONN)),
        };
        match self.fetch(entry, request, others, &command.access()) {
            // Usual under load: the command need not wait.
            Ok(None) => command.done(Ok(())),
            Err(error) => command.done(Err(error)),
            Ok(Some(entry)) => self.register(entry, command),
        }
    }

    /// Takes a request that the server has, and its entry.
    ///
    /// # Errors
    ///
    /// `ENOTCONN` if the connection is gone; `EINVAL` if the command does not name the registered
    /// buffer of the queue's pool; `ENOENT` if the server does not have the request.
    fn take(&self, id: Unique, fixed: Option<u16>) -> Result<(KBox<Entry>, Replying)> {
        let mut inner = self.inner.lock();
        let open = Option::as_mut(&mut inner).ok_or(ENOTCONN)?;
        if matches!(&open.mode, Mode::Pool(pool) if !pool.is_named(fixed)) {
            return Err(EINVAL);
        }
        let (entry, sent) = open.lent.take(id).ok_or(ENOENT)?;
        Ok((entry, sent.reply(open.device)))
    }

    /// Ends a request with the reply in its entry.
    fn answer(&self, entry: &mut Entry, mut replying: Replying, access: &Access<'_>) -> Next {
        let measured = replying.request().clock().runs();
        if measured {
            entry.host.latency().answered(replying.request());
        }
        let mut taking = Taking {
            queue: self,
            replying: &mut replying,
        };
        let mut outcome = match entry.area.answer(&mut taking) {
            Ok(header) => outcome(entry, &header, &mut taking, access),
            Err(error) => Outcome::not_copied(error),
        };
        if entry.area.has_lent_pages() {
            // That sleeps.
            if taking.show().is_err() {
                outcome = Outcome::Aborted;
            }
            entry.area.take_pages_back(access);
        }
        if measured {
            entry.host.latency().ending(replying.request());
        }
        // No other thread can have ended a request that was never shown, and usually none waits.
        if !replying.is_shown() && !self.crowded.load(Relaxed) {
            replying.finish(outcome);
            return Next::Wait;
        }
        let (connected, next) = {
            let mut inner = self.inner.lock();
            match Option::as_mut(&mut inner) {
                Some(open) => {
                    let next = open.next(entry);
                    self.note(open);
                    (replying.detach(&mut open.copying), next)
                }
                None => (false, Next::Closed),
            }
        };
        replying.finish(if connected { outcome } else { Outcome::Aborted });
        next
    }

    /// Calls `show` with the set that an abort looks at.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the connection has ended.
    fn show(&self, show: impl FnOnce(&mut CopySet)) -> Result {
        let mut inner = self.inner.lock();
        let open = Option::as_mut(&mut inner).ok_or(ENOENT)?;
        show(&mut open.copying);
        Ok(())
    }
}

/// A request that is copied to the memory of an entry.
struct Filling<'a> {
    queue: &'a Queue,
    copying: &'a mut Copying,
}

impl Lent for Filling<'_> {
    fn request(&self) -> &Request {
        self.copying.request()
    }

    fn show(&mut self) -> Result {
        self.queue.show(|copying| self.copying.show(copying))
    }
}

/// A request whose reply is taken from the memory of an entry.
struct Taking<'a> {
    queue: &'a Queue,
    replying: &'a mut Replying,
}

impl Lent for Taking<'_> {
    fn request(&self) -> &Request {
        self.replying.request()
    }

    fn show(&mut self) -> Result {
        self.queue.show(|copying| self.replying.show(copying))
    }
}

/// An entry and its command that cannot wait, because there is a next step.
type Offered = (KBox<Entry>, Parked<Queue>, Next);

impl Open {
    /// Starts the oldest waiting request in this entry; if none can go, the entry returns its
    /// buffer.
    #[inline(always)]
    fn next(&mut self, entry: &mut Entry) -> Next {
        let equipped = match self.pending.front() {
            Some(request) => {
                let needs_place = entry.area.needs_place(request);
                equip(&mut self.mode, entry, needs_place)
            }
            None => None,
        };
        match equipped.and_then(|others| Some((self.pending.pop_front()?, others))) {
            Some((request, others)) => {
                let others = others || (!self.pending.is_empty() && !self.available.is_empty());
                Next::Request(request.start(self.device), others)
            }
            None => {
                equip(&mut self.mode, entry, false);
                Next::Wait
            }
        }
    }

    /// One of its entries is gone; the last one returns the requests that wait.
    fn leave(&mut self) -> PendingQueue {
        self.living = self.living.saturating_sub(1);
        match self.living {
            0 => core::mem::take(&mut self.pending),
            _ => PendingQueue::default(),
        }
    }

    /// Starts the oldest waiting request in a waiting entry.
    #[inline(always)]
    fn pair(&mut self) -> Option<(KBox<Entry>, Parked<Queue>)> {
        if self.pending.is_empty() {
            return None;
        }
        let (mut entry, command) = self.available.pop()?;
        match self.next(&mut entry) {
            Next::Request(mut request, _) => {
                // It waits for the server's task.
                request.show(&mut self.copying);
                entry.assign(request);
                Some((entry, command))
            }
            _ => {
                self.available.push(entry, command);
                None
            }
        }
    }
}

/// Gives an entry a buffer of the pool, or takes it away. `None` if no buffer is free; otherwise
/// whether a buffer was returned to the pool.
fn equip(mode: &mut Mode, entry: &mut Entry, has_payload: bool) -> Option<bool> {
    let Mode::Pool(pool) = mode else {
        return Some(false);
    };
    if has_payload && !entry.area.is_leased() {
        let lease = pool.take()?;
        entry.area.set_lease(pool, lease);
    } else if !has_payload {
        if let Some(lease) = entry.area.take_lease() {
            pool.put(lease);
            return Some(true);
        }
    }
    Some(false)
}

/// The outcome that a reply tells (`fuse_uring_out_header_has_err()`).
fn outcome(
    entry: &Entry,
    header: &OutHeader,
    taking: &mut Taking<'_>,
    access: &Access<'_>,
) -> Outcome {
    // A ring carries no notifications.
    if header.unique.get() == 0 {
        return Outcome::Malformed;
    }
    let Ok(errno) = ServerErrno::new(header.error) else {
        return Outcome::Malformed;
    };
    if errno != ServerErrno::OK {
        return Outcome::answered(errno, header);
    }
    if answered(header) != taking.request().unique() {
        return Outcome::Misdirected;
    }
    match entry.area.take(taking, access) {
        Ok(()) => Outcome::answered(errno, header),
        Err(error) => Outcome::not_copied(error),
    }
}

impl Commands for Queue {
    type Filled = KBox<Entry>;

    fn cancel(&self, id: CommandId) -> Option<Parked<Self>> {
        let (entry, command, left) = {
            let mut inner = self.inner.lock();
            let open = Option::as_mut(&mut inner)?;
            let (entry, command) = open.available.remove(|command| command.id() == id)?;
            let left = open.leave();
            self.note(open);
            (entry, command, left)
        };
        entry.host.send_elsewhere(left);
        Some(command)
    }

    fn in_task(
        &self,
        command: Parked<Self>,
        mut entry: KBox<Entry>,
        issue: &Issue<'_>,
        cancelled: bool,
    ) {
        let Some(request) = entry.take_request() else {
            return command.complete(Err(EIO), issue);
        };
        if cancelled {
            let (detached, others, left) = match Option::as_mut(&mut self.inner.lock()) {
                Some(open) => {
                    let others = equip(&mut open.mode, &mut entry, false);
                    let detached = request.detach(&mut open.copying);
                    (detached, others == Some(true), open.leave())
                }
                None => (false, false, PendingQueue::default()),
            };
            if others {
                self.pump();
            }
            entry.host.send_elsewhere(left);
            command.complete(Err(ECANCELED), issue);
            request.fail(if detached {
                Outcome::Canceled
            } else {
                Outcome::Aborted
            });
            return;
        }
        match self.fetch(entry, request, false, &command.access(issue)) {
            Ok(None) => command.complete(Ok(()), issue),
            Ok(Some(entry)) => self.wait(entry, command, issue),
            Err(error) => command.complete(Err(error), issue),
        }
    }
}
