// SPDX-License-Identifier: GPL-2.0

//! Request timeout: a server that leaves a request unanswered for too long loses its connection.
//!
//! Every [`PERIOD`] it checks the first request of each queue, where requests are in the order in
//! which they were made, and all requests that a server has: there a resent request may be behind
//! younger ones.
//!
//! Locks: those of the queues, one after the other.

use super::Channel;
use crate::vfs::sync::watchdog::{
    Check,
    Watchdog, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::{
        msecs_to_jiffies,
        Jiffies, //
    },
};

/// Seconds between two checks, and the minimum timeout.
pub(crate) const PERIOD: u32 = 15;

/// Checks one channel.
pub(crate) struct Expiry {
    channel: Arc<Channel>,
    /// Maximum age of a request, in jiffies.
    max_age: Jiffies,
}

/// Aborts `channel` when a request is not answered within `seconds`, until the result is dropped.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn watch(channel: Arc<Channel>, seconds: u32) -> Result<Pin<KBox<Watchdog<Expiry>>>> {
    let expiry = Expiry {
        channel,
        max_age: msecs_to_jiffies(seconds.saturating_mul(1000)),
    };
    Watchdog::start(expiry, msecs_to_jiffies(PERIOD * 1000))
}

impl Check for Expiry {
    fn check(&self) -> bool {
        if !self.channel.is_connected() {
            return false;
        }
        if !self.channel.has_older(self.max_age as u64) {
            return true;
        }
        self.channel.abort(false);
        false
    }
}
