// SPDX-License-Identifier: GPL-2.0

//! A mutex in a `static` of a generic type.
//!
//! `kernel::sync::global_lock!` declares the `static` itself, so it can have no type parameter, and
//! leaves it to its user to initialise it before the first use.

use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        GlobalGuard,
        GlobalLock,
        GlobalLockBackend, //
    },
};

/// A mutex that cannot be locked until it has been started.
///
/// # Invariants
///
/// `lock` is initialised once `ready` is set, by the task that has set `started`.
pub(in crate::vfs) struct StaticMutex<B: GlobalLockBackend> {
    started: Atomic<bool>,
    ready: Atomic<bool>,
    lock: GlobalLock<B>,
}

impl<B: GlobalLockBackend> StaticMutex<B> {
    /// A mutex around `data`.
    ///
    /// # Safety
    ///
    /// `B` must not be of another lock.
    pub(in crate::vfs) const unsafe fn new(data: B::Item) -> Self {
        // INVARIANT: Neither is set.
        Self {
            started: Atomic::new(false),
            ready: Atomic::new(false),
            // SAFETY: By the type invariant it is initialised before it is locked; the caller
            // promises the rest for `B`.
            lock: unsafe { GlobalLock::new(data) },
        }
    }

    /// Initialises it, once in the life of the module.
    ///
    /// # Errors
    ///
    /// `EBUSY` on a second call.
    pub(in crate::vfs) fn start(&'static self) -> Result {
        if self.started.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: `started` was not set, so this is the first time.
        unsafe { self.lock.init() };
        // INVARIANT: It is initialised.
        self.ready.store(true, Release);
        Ok(())
    }

    /// Locks it. May sleep.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it was never started.
    pub(in crate::vfs) fn lock(&'static self) -> Result<GlobalGuard<B>> {
        if !self.ready.load(Acquire) {
            return Err(ENODEV);
        }
        Ok(self.lock.lock())
    }
}
