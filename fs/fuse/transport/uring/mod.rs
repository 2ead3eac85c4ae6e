// SPDX-License-Identifier: GPL-2.0

//! FUSE over io_uring: one command answers a request and fetches the next.
//!
//! The server registers *entries*, each with memory for a message, on a queue for each processor.
//! An entry waits as a parked command until a request comes; the request is copied into its memory
//! in the server's task, and the command completes. The reply comes with the next command, which
//! also fetches the next request. FORGET, INTERRUPT, INIT and notifications stay with `/dev/fuse`.
//!
//! On the walk: `transport/dev` passes requests on to the ring once an entry was registered.
//!
//! Locks: `Queue::inner`; inside the background queue's, outside a request's body. No request and
//! no command ends under it.

mod command;
mod entry;
mod host;
mod memory;
mod pool;
mod queue;

pub(crate) use self::{
    host::Host,
    queue::Queue, //
};

use crate::fuse::{
    channel::{
        transport::Wake,
        unique::UniqueIds,
        Building, //
    },
    request::{
        snapshot::Snapshot,
        state::Pending,
        Handle, //
    },
};
use crate::vfs::cpu;
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        barrier,
        Arc,
        Mutex,
        SetOnce,
        SpinLock, //
    },
};

/// The server registers entries.
const BUILDING: i32 = 0;
/// Requests use the ring, as long as it has entries.
const READY: i32 = 1;
/// The server could not set the ring up: requests use `/dev/fuse` from then on.
const GIVEN_UP: i32 = 2;

/// The ring of a connection: one queue for each possible processor.
#[pin_data]
pub(crate) struct Ring {
    queues: KVec<SetOnce<Arc<Queue>>>,
    /// Minimum payload bytes of an entry, without its headers.
    max_payload: usize,
    /// [`BUILDING`], [`READY`] or [`GIVEN_UP`]; it changes once, from [`BUILDING`].
    state: Atomic<i32>,
    closed: Atomic<bool>,
    /// Serialises adding queues: a command that finds a queue's place taken finds the queue.
    #[pin]
    adding: Mutex<()>,
    /// Keeps the gate shut while the state is [`BUILDING`].
    #[pin]
    building: SpinLock<Option<Building>>,
}

impl Ring {
    /// A ring without queues; each entry will have room for `max_payload` bytes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(max_payload: usize) -> Result<Arc<Self>> {
        let count = cpu::num_possible();
        let mut queues = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..count {
            queues.push(SetOnce::new(), GFP_KERNEL_ACCOUNT)?;
        }
        Arc::pin_init(
            pin_init!(Self {
                queues,
                max_payload,
                state: Atomic::new(BUILDING),
                closed: Atomic::new(false),
                adding <- new_mutex!((), "FuseRing::adding"),
                building <- new_spinlock!(None, "FuseRing::building"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Keeps the gate shut until the ring is settled; opens it if that has happened already.
    pub(crate) fn hold(&self, building: Building) {
        *self.building.lock() = Some(building);
        // A full barrier: pairs with the one in `settle_as`.
        barrier::smp_mb(Full);
        if self.state.load(Relaxed) != BUILDING || self.closed.load(Relaxed) {
            self.let_go();
        }
    }

    /// Opens the gate.
    fn let_go(&self) {
        // Bound to a variable, so that the lock is dropped before the gate is opened.
        let building = self.building.lock().take();
        drop(building);
    }

    /// Whether requests use the ring.
    pub(crate) fn is_ready(&self) -> bool {
        self.state.load(Acquire) == READY
    }

    /// Whether the server has failed to set the ring up.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state.load(Relaxed) == GIVEN_UP
    }

    fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues.iter().filter_map(SetOnce::as_ref)
    }

    /// Queues a request for the caller's processor, or the next one whose queue has entries;
    /// returns it if there is none. If the caller continues meanwhile, as for read-ahead, queues
    /// with a waiting entry come first: their server can start at once.
    pub(crate) fn send(
        &self,
        mut request: Pending,
        ids: &UniqueIds,
        wake: Wake,
    ) -> Result<(), Pending> {
        let here = cpu::current();
        if wake == Wake::Normal {
            if let Some(queue) = self.queues_from(here).find(|queue| queue.is_idle()) {
                request = match queue.send(request, ids) {
                    Ok(()) => return Ok(()),
                    Err(request) => request,
                };
            }
        } else if let Some(queue) = self.queues.get(here).and_then(SetOnce::as_ref) {
            request = match queue.send(request, ids) {
                Ok(()) => return Ok(()),
                Err(request) => request,
            };
        }
        for queue in self.queues_from(here) {
            request = match queue.send(request, ids) {
                Ok(()) => return Ok(()),
                Err(request) => request,
            };
        }
        Err(request)
    }

    /// The queues, starting with that of this processor.
    fn queues_from(&self, cpu: usize) -> impl Iterator<Item = &Arc<Queue>> {
        let (before, from) = self
            .queues
            .split_at_checked(cpu)
            .unwrap_or((&[], &self.queues));
        let queues = [from, before].into_iter().flatten();
        queues.filter_map(SetOnce::as_ref)
    }

    /// Cancels a request that no entry has.
    pub(crate) fn cancel(&self, request: &Handle) -> Option<Pending> {
        self.queues()
            .find_map(|queue| queue.cancel_request(request))
    }

    /// Whether one of its requests was made more than `age` jiffies ago.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        self.queues().any(|queue| queue.has_older(age))
    }

    /// Notes its requests in `seen`.
    pub(crate) fn look(&self, seen: &mut Snapshot) {
        for queue in self.queues() {
            queue.look(seen);
        }
    }

    /// Ends every request and every command. Sleeps.
    pub(crate) fn abort(&self) {
        // A full barrier: pairs with the one in `add`. Either the new queue is seen here, or the
        // server's thread that adds it closes it.
        self.closed.xchg(true, Full);
        for queue in self.queues() {
            queue.close();
        }
        self.let_go();
    }
}
