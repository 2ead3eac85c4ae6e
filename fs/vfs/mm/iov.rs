// SPDX-License-Identifier: GPL-2.0

//! Copies between kernel bytes and a user buffer that cannot fault, and faulting the buffer in.
//!
//! Whoever lends memory that somebody else may take back (under a spinlock, say) must not take a
//! page fault meanwhile: the fault may wait for the very file system that is lending. So a copy is
//! done with page faults disabled and may be short; the caller then ends its loan, faults the
//! buffer in, and goes on.

use super::super::bindings;
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    task::might_sleep, //
};

/// Page faults of this task are disabled while this lives.
///
/// # Invariants
///
/// Each value stands for one call of `pagefault_disable()` by the current task.
struct NoFault {
    _not_send: core::marker::PhantomData<*mut ()>,
}

impl NoFault {
    fn new() -> Self {
        // SAFETY: May be called in any context; undone by the drop on this same task, since the
        // type is not `Send`.
        unsafe { bindings::pagefault_disable() };
        // INVARIANT: Disabled just now.
        Self {
            _not_send: core::marker::PhantomData,
        }
    }
}

impl Drop for NoFault {
    fn drop(&mut self) {
        // SAFETY: Pairs with the `pagefault_disable()` of the type invariant.
        unsafe { bindings::pagefault_enable() };
    }
}

/// A reader's buffer in user memory.
pub(crate) struct UserDest<'a, 'data> {
    iter: &'a mut IovIterDest<'data>,
}

impl<'a, 'data> UserDest<'a, 'data> {
    /// Takes the buffer of a `read_iter` call.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not user memory.
    pub(crate) fn new(iter: &'a mut IovIterDest<'data>) -> Result<Self> {
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        if !unsafe { bindings::user_backed_iter(iter.as_raw()) } {
            return Err(EINVAL);
        }
        Ok(Self { iter })
    }

    /// Bytes of room left.
    pub(crate) fn len(&self) -> usize {
        self.iter.len()
    }

    /// Copies as much as is present in memory; returns the bytes copied. Never sleeps.
    pub(crate) fn copy_nofault(&mut self, bytes: &[u8]) -> usize {
        let _no_fault = NoFault::new();
        self.iter.copy_to_iter(bytes)
    }

    /// Makes the next `len` bytes of the buffer present, or at least the first of them. Sleeps.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not even the first byte can be written.
    pub(crate) fn fault_in(&mut self, len: usize) -> Result {
        might_sleep();
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        let missing = unsafe { bindings::fault_in_iov_iter_writeable(self.iter.as_raw(), len) };
        if missing >= len && len != 0 {
            return Err(EFAULT);
        }
        Ok(())
    }
}

/// A writer's buffer in user memory.
pub(crate) struct UserSource<'a, 'data> {
    iter: &'a mut IovIterSource<'data>,
}

impl<'a, 'data> UserSource<'a, 'data> {
    /// Takes the buffer of a `write_iter` call.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not user memory.
    pub(crate) fn new(iter: &'a mut IovIterSource<'data>) -> Result<Self> {
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        if !unsafe { bindings::user_backed_iter(iter.as_raw()) } {
            return Err(EINVAL);
        }
        Ok(Self { iter })
    }

    /// Bytes that are left to take.
    pub(crate) fn len(&self) -> usize {
        self.iter.len()
    }

    /// Copies as much as is present in memory; returns the bytes copied. Never sleeps.
    pub(crate) fn copy_nofault(&mut self, bytes: &mut [u8]) -> usize {
        let _no_fault = NoFault::new();
        self.iter.copy_from_iter(bytes)
    }

    /// Makes the next `len` bytes of the buffer present, or at least the first of them. Sleeps.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not even the first byte can be read.
    pub(crate) fn fault_in(&mut self, len: usize) -> Result {
        might_sleep();
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        let missing = unsafe { bindings::fault_in_iov_iter_readable(self.iter.as_raw(), len) };
        if missing >= len && len != 0 {
            return Err(EFAULT);
        }
        Ok(())
    }
}
