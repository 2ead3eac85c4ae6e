// SPDX-License-Identifier: GPL-2.0

//! Sleeping, queueing and deadlines: additions to `kernel::sync`.

pub(crate) mod deadline;
pub(crate) mod entry;
pub(crate) mod fasync;
pub(crate) mod give_lock;
pub(crate) mod guard;
pub(crate) mod queue;
#[cfg(CONFIG_KUNIT = "y")]
mod queue_test;
pub(crate) mod signal;
pub(in crate::vfs) mod static_mutex;
pub(crate) mod wait;
pub(crate) mod watchdog;

use kernel::{
    alloc::Flags,
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    }, //
};

/// Changes a word of bits in one step. A full barrier.
pub(crate) fn change_bits(word: &Atomic<u32>, change: impl Fn(u32) -> u32) {
    let mut old = word.load(Relaxed);
    while let Err(now) = word.cmpxchg(old, change(old), Full) {
        old = now;
    }
}

/// Jiffies between two attempts of [`retry`].
const RETRY_DELAY: kernel::ffi::c_long = 1;

/// Runs `attempt`; if `insist`, repeatedly while it fails for lack of memory. Sleeps.
///
/// For an allocation that must not fail and cannot be made ahead: `kernel::alloc` has no
/// `__GFP_NOFAIL`.
///
/// # Errors
///
/// Those of `attempt`, but not `ENOMEM` if `insist`.
pub(crate) fn retry<R>(insist: bool, mut attempt: impl FnMut() -> Result<R>) -> Result<R> {
    loop {
        match attempt() {
            Err(ENOMEM) if insist => wait_for_memory(),
            result => return result,
        }
    }
}

/// Allocates an object that is kept and must not fail, charged to the caller's memory cgroup if
/// possible. `allocate` gets the flags, and fails for lack of memory only; it is repeated while it
/// does. Sleeps.
pub(crate) fn insist<R, E>(allocate: impl Fn(Flags) -> Result<R, E>) -> R {
    // A task that the OOM killer of its cgroup has chosen cannot charge more, and gives nothing
    // back before it has left the kernel: waiting for its cgroup here would be waiting for itself.
    let mut flags = GFP_KERNEL_ACCOUNT;
    loop {
        match allocate(flags) {
            Ok(memory) => return memory,
            Err(_) if flags == GFP_KERNEL_ACCOUNT => flags = GFP_KERNEL,
            Err(_) => wait_for_memory(),
        }
    }
}

/// Sleeps until there may be more memory.
fn wait_for_memory() {
    // SAFETY: May be called in any context that sleeps.
    unsafe { super::bindings::schedule_timeout_uninterruptible(RETRY_DELAY) };
}
