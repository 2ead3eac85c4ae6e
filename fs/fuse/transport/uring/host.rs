// SPDX-License-Identifier: GPL-2.0

//! The services of a device for the rings whose entries were registered on it.
//!
//! Locks: none.

use crate::fuse::{
    channel::latency::Latency,
    request::{
        state::PendingQueue,
        Handle, //
    },
};

/// The services that a ring needs of the device that its entries were registered on.
pub(crate) trait Host: Send + Sync {
    /// Queues the INTERRUPT of a request whose caller got a signal while it was copied.
    fn interrupt(&self, request: &Handle);

    /// Sends requests whose queue has lost its last entry some other way. Never sleeps.
    fn send_elsewhere(&self, requests: PendingQueue);

    /// The clock of the connection.
    fn latency(&self) -> &Latency;
}
