// SPDX-License-Identifier: GPL-2.0

//! The transport-neutral queues of one connection (`struct fuse_chan`).
//!
//! The gate that every request passes (INIT answered? too many in the background? connected?), the
//! background queue, and the abort. On the walk: called by `conn/call.rs`, calls the transport.
//!
//! Locks: `background`, outside the transport's locks.

pub(crate) mod background;
mod credits;
pub(crate) mod forget;
#[cfg(CONFIG_KUNIT = "y")]
mod gate_test;
pub(crate) mod input_queue;
#[cfg(CONFIG_KUNIT = "y")]
mod input_queue_test;
pub(crate) mod latency;
pub(crate) mod owner;
pub(crate) mod pass;
pub(crate) mod polled;
pub(crate) mod processing;
pub(crate) mod sync_writes;
pub(crate) mod timeout;
pub(crate) mod transport;
pub(crate) mod unique;

pub(crate) use self::transport::Building;
use self::{
    background::Background,
    forget::{
        Forget,
        ForgetTicket, //
    },
    latency::Latency,
    polled::PolledFiles,
    sync_writes::SyncWrites,
    transport::{
        Gate,
        Transport,
        Wake, //
    },
    unique::UniqueIds, //
};
use crate::fuse::{
    request::{
        completion::Completion,
        outcome::Outcome,
        snapshot::Snapshot,
        state::Pending,
        wait::Canceller,
        Handle, //
    },
    trace, //
};
use crate::vfs::sync::wait::{
    new_wait_queue,
    WaitQueue, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        SetOnce,
        SpinLock, //
    },
};

/// What INIT settled for the transport's part (`struct fuse_chan_param`).
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Minor version of the protocol that the server speaks.
    pub(crate) minor: u32,
    /// Maximum number of data bytes in one WRITE.
    pub(crate) max_write: u32,
}

impl Limits {
    /// The limits until INIT is answered.
    pub(crate) const UNTIL_INIT: Self = Self {
        minor: 0,
        max_write: 0,
    };
}

/// How far the gate is open.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum Opening {
    /// INIT is not answered.
    Init = 0,
    /// INIT is answered, but the transport builds rings first.
    Building = 1,
    /// Requests may be made. Also after an abort.
    Open = 2,
}

/// Queues and state of one connection.
#[pin_data]
pub(crate) struct Channel {
    transport: Arc<dyn Transport>,
    /// The ids of its messages.
    ids: UniqueIds,
    /// Device number of the mount; 0 until it has one.
    connection: Atomic<u32>,
    /// An [`Opening`].
    opening: Atomic<i32>,
    limits: SetOnce<Limits>,
    connected: Atomic<bool>,
    /// The background queue is full. Changed under `background`, read without the lock.
    blocked: Atomic<bool>,
    /// The server does not know INTERRUPT.
    no_interrupt: Atomic<bool>,
    /// Requests between the gate and their end, plus callers at the gate.
    waiting: Atomic<i32>,
    /// Where callers at the gate sleep, and the unmount until `waiting` is 0.
    #[pin]
    gate: WaitQueue,
    #[pin]
    background: SpinLock<Background>,
    #[pin]
    polled: PolledFiles,
    #[pin]
    latency: Latency,
    /// The writes of dirty pages, for SYNCFS.
    pub(crate) sync_writes: Arc<SyncWrites>,
}

impl Channel {
    /// A channel over `transport`; its gate is shut until INIT is answered.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(transport: Arc<dyn Transport>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            transport,
            ids: UniqueIds::new(),
            connection: Atomic::new(0),
            opening: Atomic::new(Opening::Init as i32),
            limits: SetOnce::new(),
            connected: Atomic::new(true),
            blocked: Atomic::new(false),
            no_interrupt: Atomic::new(false),
            waiting: Atomic::new(0),
            gate <- new_wait_queue!("FuseChannel::gate"),
            background <- new_spinlock!(Background::new(), "FuseChannel::background"),
            polled <- PolledFiles::new(),
            latency <- Latency::new(),
            sync_writes: Arc::pin_init(SyncWrites::new(), GFP_KERNEL)?,
        })
    }

    /// The polled files.
    pub(crate) fn polled(&self) -> &PolledFiles {
        &self.polled
    }

    /// The ids of its messages.
    pub(crate) fn ids(&self) -> &UniqueIds {
        &self.ids
    }

    /// How long its requests take.
    pub(crate) fn latency(&self) -> &Latency {
        &self.latency
    }

    /// Device number of the mount, by which traces and users know the connection.
    pub(crate) fn connection(&self) -> u32 {
        self.connection.load(Relaxed)
    }

    /// Names the connection after the device number of its mount.
    pub(crate) fn set_connection(&self, dev: u32) {
        self.connection.store(dev, Relaxed);
    }

    /// What INIT settled; the defaults before.
    pub(crate) fn limits(&self) -> Limits {
        self.limits.copy().unwrap_or(Limits::UNTIL_INIT)
    }

    /// Whether the connection is up.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Whether INIT was answered; if so, the values it stored are visible.
    pub(crate) fn is_initialized(&self) -> bool {
        self.opening.load(Acquire) != Opening::Init as i32
    }

    /// Requests between the gate and their end.
    pub(crate) fn num_waiting(&self) -> u32 {
        self.waiting.load(Relaxed).try_into().unwrap_or(0)
    }

    /// INIT was answered: stores the limits and opens the gate.
    pub(crate) fn set_initialized(&self, limits: Limits) {
        self.limits.populate(limits);
        self.open_gate();
    }

    /// INIT was answered, and the transport builds rings: stores the limits, but the gate stays
    /// shut until the returned value is dropped or the connection is aborted.
    pub(crate) fn set_initialized_building(self: &Arc<Self>, limits: Limits) -> Building {
        self.limits.populate(limits);
        // Fails after an abort, which leaves the gate open.
        let _ = self
            .opening
            .cmpxchg(Opening::Init as i32, Opening::Building as i32, Release);
        Building::new(self.clone())
    }

    /// INIT was answered, and the server has agreed to a ring whose entries have room for
    /// `max_payload` bytes: the gate stays shut until the server has set up the ring or has failed
    /// to. Without memory for a ring the connection has none.
    pub(crate) fn set_initialized_with_ring(self: &Arc<Self>, limits: Limits, max_payload: usize) {
        match self.transport.build_ring(max_payload) {
            Ok(()) => {
                let building = self.set_initialized_building(limits);
                self.transport.settle_later(building);
            }
            Err(_) => self.set_initialized(limits),
        }
    }

    fn open_gate(&self) {
        self.opening.store(Opening::Open as i32, Release);
        self.gate.wake_up_all();
    }

    /// How many background requests may be outstanding.
    pub(crate) fn max_background(&self) -> u32 {
        self.background.lock().max
    }

    /// Sets how many background requests may be outstanding.
    pub(crate) fn set_max_background(&self, max: u32) {
        let free = {
            let mut background = self.background.lock();
            background.max = max;
            self.blocked.store(background.outstanding >= max, Relaxed);
            max.saturating_sub(background.outstanding)
        };
        self.gate.wake_up_nr(free);
    }

    /// The server does not know INTERRUPT: it is never sent again.
    pub(crate) fn set_no_interrupt(&self) {
        self.no_interrupt.store(true, Relaxed);
    }

    /// Counts a request or a caller at the gate in; for [`pass`].
    fn count_in(&self) {
        self.waiting.add(1, Relaxed);
    }

    /// Counts it out; for [`pass`].
    fn count_out(&self) {
        // A full barrier, pairs with the one in `abort`: either the waiter for the end sees the
        // count 0, or the disconnect is seen here.
        if self.waiting.fetch_sub(1, Full) == 1 && !self.is_connected() {
            self.gate.wake_up_all();
        }
    }

    fn is_shut(&self, for_background: bool) -> bool {
        // A limit that is set after the abort stops no caller.
        self.opening.load(Acquire) != Opening::Open as i32
            || (for_background && self.blocked.load(Relaxed) && self.is_connected())
    }

    /// Waits until a request may be made.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed, `ENOTCONN`.
    fn pass_gate(&self, for_background: bool) -> Result {
        if self.is_shut(for_background) {
            self.wait_at_gate(for_background)?;
        }
        if !self.is_connected() {
            return Err(ENOTCONN);
        }
        Ok(())
    }

    /// Waits until the gate is open.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    #[cold]
    fn wait_at_gate(&self, for_background: bool) -> Result {
        trace::gate_wait(self.connection(), for_background, self.is_initialized());
        let passed = self
            .gate
            .wait_killable_freezable_exclusive(|| !self.is_shut(for_background))
            .map_err(|_| EINTR);
        trace::gate_pass(self.connection(), for_background, &passed);
        passed
    }

    /// Queues a request that needs no background slot; ends it if the connection is closed. `wake`
    /// says how the server's reader is woken.
    pub(crate) fn send(&self, request: Pending, wake: Wake) {
        self.latency.queued(request.request());
        if let Err(refused) = self.transport.send_request(request, &self.ids, wake) {
            refused.refuse(Outcome::NotConnected);
        }
    }

    /// Number of outstanding background requests; a racy read.
    pub(crate) fn num_background(&self) -> u32 {
        self.background.lock().outstanding
    }

    /// A caller that has passed the gate makes no background request; for [`pass`].
    fn pass_on(&self) {
        self.gate.wake_up();
    }

    /// Queues a background request and counts its slot, which its completion owns; for [`pass`].
    fn send_background(&self, request: Pending, complete: impl FnOnce() -> KBox<dyn Completion>) {
        trace::request_background(request.request());
        self.latency.queued(request.request());
        let refused = {
            let mut background = self.background.lock();
            // Called here, so that each slot is counted.
            request.tell(complete());
            if background.push(request, &*self.transport) {
                self.blocked.store(true, Relaxed);
            }
            background.flush(&*self.transport, &self.ids)
        };
        refused.refuse_all(Outcome::NotConnected);
    }

    /// From now on the transport is asked first to queue a background request on its own queues.
    #[cfg_attr(
        not(CONFIG_KUNIT = "y"),
        expect(dead_code, reason = "for transports with several queues")
    )]
    pub(crate) fn let_transport_queue_background(&self) {
        self.background.lock().transport_queues = true;
    }

    /// A background request has ended: passes its slot to the next; for [`pass`].
    fn free_slot(&self) {
        let refused = {
            let mut background = self.background.lock();
            if background.outstanding == background.max {
                self.blocked.store(false, Relaxed);
            }
            background.finish();
            background.flush(&*self.transport, &self.ids)
        };
        // Waiters at the gate check `blocked` again; one of them may go. Usually there is none.
        if !self.blocked.load(Relaxed) {
            self.gate.wake_up_if_waiting();
        }
        refused.refuse_all(Outcome::NotConnected);
    }

    /// The server has lost its requests: sends every unanswered request again.
    pub(crate) fn resend(&self) {
        if self.is_connected() {
            self.transport.resend();
        }
    }

    /// Queues a FORGET. Never blocks, never fails.
    pub(crate) fn forget(&self, ticket: ForgetTicket, forget: Forget) {
        trace::forget_queue(self.connection(), forget.node, forget.nlookup);
        self.transport.send_forget(ticket, forget);
    }

    /// Ends the connection: every request, at the gate, queued, lent or sent, ends now, and no new
    /// one can be made. With `with_error`, reads of the device return `ECONNABORTED`; the last call
    /// decides that. Sleeps. Only the first call does the rest.
    pub(crate) fn abort(&self, with_error: bool) {
        self.transport.set_abort_error(with_error);
        {
            let mut background = self.background.lock();
            if !background.connected {
                return;
            }
            background.connected = false;
            // A full barrier: pairs with the one in `count_out`.
            self.connected.xchg(false, Full);
        }
        trace::connection_abort(self.connection(), self.num_waiting());
        self.open_gate();
        let refused = {
            let mut background = self.background.lock();
            // Everything goes to the transport, which then ends it.
            background.max = u32::MAX;
            self.blocked.store(false, Relaxed);
            background.flush(&*self.transport, &self.ids)
        };
        refused.refuse_all(Outcome::Aborted);
        self.transport.abort();
        self.polled.wake_all();
        self.gate.wake_up_all();
    }

    /// Whether the server is the device at this address. Does not sleep.
    pub(crate) fn is_of_device(&self, device: usize) -> bool {
        self.transport.is_of_device(device)
    }

    /// The last mount goes: waits until the server has nothing, if that cannot be taken back, or the
    /// caller is killed. Sleeps.
    pub(crate) fn settle(&self) {
        self.transport.settle();
    }

    /// Whether a request was made more than `age` jiffies ago, judged by the oldest of each queue.
    /// Sleeps.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.num_waiting() != 0
            && (self.background.lock().has_older(age) || self.transport.has_older(age))
    }

    /// The requests in flight, without callers at the gate. Sleeps. Each queue is read separately,
    /// and requests go on meanwhile.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn look(&self) -> Result<Snapshot> {
        let mut seen = Snapshot::new()?;
        self.background.lock().look(&mut seen);
        self.transport.look(&mut seen);
        Ok(seen)
    }

    /// Waits until every request has ended; only useful after [`Self::abort`].
    pub(crate) fn wait_aborted(&self) {
        self.gate.wait(|| self.waiting.load(Acquire) == 0);
    }
}

impl Gate for Channel {
    fn open(&self) {
        self.open_gate();
    }
}

impl Canceller for Channel {
    fn no_interrupt(&self) -> bool {
        self.no_interrupt.load(Relaxed)
    }

    fn interrupt(&self, request: &Handle) {
        self.transport.send_interrupt(request);
    }

    fn forget_interrupt(&self, request: &Handle) {
        self.transport.cancel_interrupt(request);
    }

    fn cancel(&self, request: &Handle) -> Option<Pending> {
        self.transport.cancel_request(request)
    }

    fn abort(&self) {
        Channel::abort(self, false);
    }

    fn woken(&self, request: &Handle) {
        self.latency.woken(request);
    }
}
