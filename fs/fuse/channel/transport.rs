// SPDX-License-Identifier: GPL-2.0

//! What a transport does for a channel (`struct fuse_iqueue_ops`).

use super::{
    credits::Credits,
    forget::{
        Forget,
        ForgetTicket, //
    },
    unique::UniqueIds, //
};
use crate::fuse::request::{
    snapshot::Snapshot,
    state::{
        Pending,
        PendingQueue, //
    },
    Handle, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// How the reader of a request is woken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// The sender continues.
    Normal,
    /// The sender is about to sleep: the scheduler may run the reader in its place.
    Sync,
}

/// The gate of a channel, for a transport that builds rings.
pub(crate) trait Gate: Send + Sync {
    /// Opens the gate for requests.
    fn open(&self);
}

/// Rings are being built: no request is made until this is dropped, when the rings are ready or
/// were abandoned.
#[must_use = "dropping it opens the gate"]
pub(crate) struct Building(Arc<dyn Gate>);

impl Building {
    /// `gate` is shut until this is dropped.
    pub(super) fn new(gate: Arc<dyn Gate>) -> Self {
        Self(gate)
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// Moves requests to a server and replies back. Methods never sleep unless documented.
pub(crate) trait Transport: Send + Sync {
    /// Queues the request under an id of `ids`, unless it has one; returns the request if the
    /// connection is closed. May be called under the background queue's lock, so it must not end
    /// the request itself.
    fn send_request(&self, request: Pending, ids: &UniqueIds, wake: Wake) -> Result<(), Pending>;

    /// Takes a background request onto one of the transport's own queues, or returns it for the
    /// channel to queue. Called under the background queue's lock, after
    /// [`Channel::let_transport_queue_background`](super::Channel::let_transport_queue_background).
    fn queue_background(&self, request: Pending) -> Result<(), Pending> {
        Err(request)
    }

    /// Sends as many of the requests that [`Self::queue_background`] took as there are credits,
    /// after an abort all of them; returns those that a closed queue refuses. Called under the
    /// background queue's lock, when a request was queued and when one has ended.
    fn flush_background(&self, _ids: &UniqueIds, _credits: &mut Credits<'_>) -> PendingQueue {
        PendingQueue::default()
    }

    /// Queues one FORGET; drops it if the connection is closed.
    fn send_forget(&self, ticket: ForgetTicket, forget: Forget);

    /// Tells the server that the caller of this request got a signal, if the server has it.
    fn send_interrupt(&self, request: &Handle);

    /// Cancels an INTERRUPT that the server has not read.
    fn cancel_interrupt(&self, request: &Handle);

    /// Cancels a request that the server has not read.
    fn cancel_request(&self, request: &Handle) -> Option<Pending>;

    /// Queues every request that a server has to answer once more, before all others.
    fn resend(&self);

    /// Whether a request that is queued, lent or sent was made more than `age` jiffies ago, judged
    /// by the oldest of each queue. Sleeps.
    fn has_older(&self, age: u64) -> bool;

    /// Notes every request that is queued, lent or sent in `seen`, in this order. Sleeps.
    fn look(&self, seen: &mut Snapshot);

    /// Makes a ring whose entries have room for `max_payload` bytes; requests use it as soon as the
    /// server has set it up. Sleeps; never called twice.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if this transport has none, `ENOMEM`.
    fn build_ring(&self, _max_payload: usize) -> Result {
        Err(EOPNOTSUPP)
    }

    /// Drops `building` when it is settled whether requests use that ring, or at the abort.
    fn settle_later(&self, building: Building) {
        drop(building);
    }

    /// Chooses the error of device reads after the abort: `ECONNABORTED` or `ENODEV`.
    fn set_abort_error(&self, with_error: bool);

    /// Whether its server is the device at this address.
    fn is_of_device(&self, _device: usize) -> bool {
        false
    }

    /// Waits until the server has nothing of it any more, or the caller is killed; for an unmount, before
    /// [`Self::abort`], of a transport that cannot take back what the server has. Sleeps.
    fn settle(&self) {}

    /// Closes everything and ends every request that is queued, lent or sent. Sleeps; never
    /// called twice.
    fn abort(&self);
}
