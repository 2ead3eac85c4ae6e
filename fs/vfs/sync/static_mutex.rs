// SPDX-License-Identifier: GPL-2.0

//! A mutex in a `static` of a generic type.
//!
//! `kernel::sync::global_lock!` declares the `static` itself, so it can have no type parameter, and
//! leaves to its user that it is initialised before it is used.

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

/// A mutex that cannot be locked until it has been made ready.
///
/// # Invariants
///
/// `lock` is initialised once `ready` is set, by whoever has set `started`.
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
    /// `B` must be of no other lock.
    pub(in crate::vfs) const unsafe fn new(data: B::Item) -> Self {
        // INVARIANT: Neither is set.
        Self {
            started: Atomic::new(false),
            ready: Atomic::new(false),
            // SAFETY: By the type invariant it is initialised before it is locked; `B` is the
            // caller's promise.
            lock: unsafe { GlobalLock::new(data) },
        }
    }

    /// Makes it ready, once in the life of the module.
    ///
    /// # Errors
    ///
    /// `EBUSY` if that was done before.
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
    /// `ENODEV` if it was never made ready.
    pub(in crate::vfs) fn lock(&'static self) -> Result<GlobalGuard<B>> {
        if !self.ready.load(Acquire) {
            return Err(ENODEV);
        }
        Ok(self.lock.lock())
    }
}
