// SPDX-License-Identifier: GPL-2.0

//! Sleeping, queueing and deadlines: what `kernel::sync` does not have yet.

pub(crate) mod deadline;
pub(crate) mod entry;
pub(crate) mod fasync;
pub(crate) mod give_lock;
pub(crate) mod guard;
pub(crate) mod queue;
#[cfg(CONFIG_KUNIT = "y")]
mod queue_test;
pub(in crate::vfs) mod static_mutex;
pub(crate) mod wait;
pub(crate) mod watchdog;

use kernel::prelude::*;

/// Jiffies between two attempts of [`retry`].
const RETRY_DELAY: kernel::ffi::c_long = 1;

/// Runs `attempt`; if `insist`, again and again while it fails for want of memory. Sleeps.
///
/// For what must not fail and cannot be allocated ahead: `kernel::alloc` has no `__GFP_NOFAIL`.
///
/// # Errors
///
/// Those of `attempt`, but not `ENOMEM` if `insist`.
pub(crate) fn retry<R>(insist: bool, mut attempt: impl FnMut() -> Result<R>) -> Result<R> {
    loop {
        match attempt() {
            Err(ENOMEM) if insist => {
                // SAFETY: Called in process context without a spinlock, as the documentation asks.
                unsafe { super::bindings::schedule_timeout_uninterruptible(RETRY_DELAY) };
            }
            result => return result,
        }
    }
}
