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
            Err(ENOMEM) if insist => wait_for_memory(),
            result => return result,
        }
    }
}

/// Allocates what is kept and must not fail, at the charge of the caller's memory cgroup if that
/// can be had. `allocate` is told how, and fails for want of memory only; it runs again and again
/// while it does. Sleeps.
pub(crate) fn insist<R, E>(allocate: impl Fn(Flags) -> Result<R, E>) -> R {
    // A task that the OOM killer of its cgroup has chosen is charged nothing more, and gives
    // nothing back before it has left the kernel: to wait here for its cgroup would be to wait for
    // itself.
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
