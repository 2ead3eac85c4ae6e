// SPDX-License-Identifier: GPL-2.0

//! SIGIO for files with `O_ASYNC`: a `struct fasync_struct` list.

use crate::vfs::bindings;
use core::cell::UnsafeCell;
use kernel::{
    error::to_result,
    fs::File,
    prelude::*, //
};

/// The files that asked for SIGIO.
///
/// # Invariants
///
/// `head` is only changed by `fasync_helper()`, which takes `fasync_lock`. Each file on it is
/// valid: it is taken off before it is freed, and keeps this list until then.
pub(crate) struct Fasync {
    head: UnsafeCell<*mut bindings::fasync_struct>,
}

// SAFETY: The list may be changed from any thread, see the type invariant.
unsafe impl Send for Fasync {}
// SAFETY: `fasync_helper()` and `kill_fasync()` do their own locking.
unsafe impl Sync for Fasync {}

impl Fasync {
    /// An empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The list is empty.
        Self {
            head: UnsafeCell::new(core::ptr::null_mut()),
        }
    }

    /// Adds the file to the list, or takes it off; the result is the return value for the VFS.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// A file that was added must be taken off this list before it is freed (`__fput` calls the
    /// `fasync` method for that), and the list must live until then.
    pub(in crate::vfs) unsafe fn set(&self, fd: i32, file: &File, on: bool) -> Result<i32> {
        // INVARIANT: As the caller promises.
        // SAFETY: `file` is valid, and `head` points to a list head by the type invariant.
        let ret =
            unsafe { bindings::fasync_helper(fd, file.as_ptr(), i32::from(on), self.head.get()) };
        to_result(ret)?;
        Ok(ret)
    }

    /// Sends SIGIO with `POLL_IN` to every registered file's owner. Never sleeps.
    pub(crate) fn notify_readable(&self) {
        // SAFETY: `head` points to a list head by the type invariant.
        unsafe {
            bindings::kill_fasync(
                self.head.get(),
                bindings::SIGIO as i32,
                bindings::POLL_IN as i32,
            )
        };
    }
}
