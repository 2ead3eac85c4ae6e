// SPDX-License-Identifier: GPL-2.0

//! What signals mean for the task that runs.
//!
//! Locks: none. What is seen may be old by the time that it is used, which the callers can stand.

use crate::vfs::bindings;
use kernel::prelude::*;

/// Whether the current task exits because a signal has killed its process: no other signal reaches
/// it any more.
pub(crate) fn is_current_killed() -> bool {
    // SAFETY: There is a current task.
    unsafe { bindings::current_is_killed() }
}

/// Whether the current task was woken as by a signal, but has none to handle: it is to be frozen or
/// stopped, or another thread has got the signal. Its system call should go back to user space, and
/// begin again ([`again`]). Never a task that has no user space to go back to.
pub(crate) fn is_current_to_stop() -> bool {
    // SAFETY: There is a current task, with signals of its own and of its process.
    unsafe { bindings::current_is_to_stop() }
}

/// The error by which the system call of the current task begins again, once that has frozen or
/// stopped (`restart_syscall()`). Only for calls that have done nothing yet.
pub(crate) fn again() -> Error {
    // SAFETY: There is a current task.
    unsafe { bindings::restart_syscall() };
    ERESTARTNOINTR
}
