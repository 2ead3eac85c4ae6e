// SPDX-License-Identifier: GPL-2.0

//! virtiofs: the server is a virtio device.
//!
//! [`instance`] has the device: its tag, by which it is mounted, its queues, and what sysfs shows
//! of both. A mount begins to use it ([`VirtioTransport::begin`]), and is its only user until it ends;
//! the device itself knows nothing of mounts.
//!
//! There is a queue for FORGETs ([`forget`]) and one or more for requests ([`queue`]), of which a request
//! takes the one of the processor that it is sent on. What a device has cannot be taken back: an abort
//! resets the device, if it has something. It is dead then, until a driver is bound to it anew.
//!
//! There are no INTERRUPTs, no notifications and no resending: C has none, and a device could not say
//! anything without being asked.
//!
//! Locks: those of the queues, and that of [`served`].

mod forget;
pub(crate) mod instance;
mod judge;
#[cfg(CONFIG_KUNIT = "y")]
mod judge_test;
mod late;
mod queue;
mod served;

use self::instance::Instance;
use crate::fuse::{
    channel::{
        forget::{
            Forget,
            ForgetTicket, //
        },
        transport::{
            Transport,
            Wake, //
        },
        unique::UniqueIds,
        Channel, //
    },
    request::{
        outcome::Outcome,
        snapshot::Snapshot,
        state::Pending,
        Handle, //
    },
};
use crate::vfs::io::virtio::Bound;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// The transport of one mount of a device.
pub(crate) struct VirtioTransport {
    device: Arc<Bound<Instance>>,
    /// Whether the mount uses it.
    begun: Atomic<bool>,
}

impl VirtioTransport {
    /// That of a mount of `device`, which does not use it yet.
    pub(crate) fn new(device: Arc<Bound<Instance>>) -> Self {
        Self {
            device,
            begun: Atomic::new(false),
        }
    }

    /// The mount uses the device from now on, by this channel.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another does; `EINVAL` if the device is gone, or was reset.
    pub(crate) fn begin(&self, channel: Arc<Channel>) -> Result {
        channel.set_no_interrupt();
        self.device.begin(channel)?;
        self.begun.store(true, Relaxed);
        Ok(())
    }
}

impl Transport for VirtioTransport {
    fn send_request(&self, request: Pending, ids: &UniqueIds, _wake: Wake) -> Result<(), Pending> {
        match self.device.request_queue() {
            Some(queue) => queue.send(request, ids),
            None => Err(request),
        }
    }

    fn send_forget(&self, ticket: ForgetTicket, forget: Forget) {
        self.device.forgets().send(ticket, forget);
    }

    fn send_interrupt(&self, _request: &Handle) {}

    fn cancel_interrupt(&self, _request: &Handle) {}

    fn cancel_request(&self, request: &Handle) -> Option<Pending> {
        let mut queues = self.device.requests().iter();
        queues.find_map(|queue| queue.cancel(request))
    }

    fn resend(&self) {}

    fn has_older(&self, age: u64) -> bool {
        let mut queues = self.device.requests().iter();
        queues.any(|queue| queue.has_older(age))
    }

    fn look(&self, seen: &mut Snapshot) {
        seen.begin_unread();
        for queue in self.device.requests() {
            queue.look_waiting(seen);
        }
        seen.begin_devices();
        for queue in self.device.requests() {
            queue.look_given(seen);
        }
    }

    fn set_abort_error(&self, _with_error: bool) {}

    fn is_of_device(&self, device: usize) -> bool {
        Arc::as_ptr(&self.device).addr() == device
    }

    fn settle(&self) {
        self.device.settle();
    }

    fn abort(&self) {
        // Another mount may use it.
        if !self.begun.load(Relaxed) {
            return;
        }
        self.device.stop(Outcome::Aborted);
        if self.device.is_given() {
            self.device.kill();
        }
        self.device.end_service();
    }
}
