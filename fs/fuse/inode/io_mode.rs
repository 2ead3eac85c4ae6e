// SPDX-License-Identifier: GPL-2.0

//! How the bytes of an inode are used: through the page cache, or past it by writers side by side.
//!
//! Direct writes of one file may run in parallel if the server has said so, but not while anybody
//! may use the page cache: a reader could bring in what one of them has half written. So files that
//! are open for cached use, and parallel writes, keep each other out. A cached open waits for the
//! writes that run, and those that come after it take turns.
//!
//! So does the first shared mapping of a file, and that waits with its address space locked. A write
//! is therefore in parallel while it waits for the server, and not while it waits for memory of its
//! caller: that may need the same address space. (In C it is, and the two wait for each other.)
//!
//! Locks: one spinlock, a leaf.

use crate::vfs::sync::wait::{
    new_wait_queue,
    WaitQueue, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    },
};

/// Who uses an inode. One of the two is always 0.
#[derive(Default)]
struct Users {
    /// Open files that may use the page cache.
    cached: u32,
    /// Direct writes that run in parallel.
    parallel: u32,
}

/// How the bytes of one inode are used.
#[pin_data]
pub(crate) struct IoMode {
    #[pin]
    users: SpinLock<Users>,
    /// Somebody uses the page cache, or waits for that: no more writes in parallel.
    caching: Atomic<bool>,
    /// Where cached opens wait for the last parallel write.
    #[pin]
    idle: WaitQueue,
}

/// Whether one open file is a cached user of its inode; changed under the lock of [`IoMode`].
pub(crate) struct CachedUse(Atomic<bool>);

impl CachedUse {
    /// It is none yet.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(false))
    }
}

impl IoMode {
    /// Nobody uses it.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            users <- new_spinlock!(Users::default(), "IoMode::users"),
            caching: Atomic::new(false),
            idle <- new_wait_queue!("IoMode::idle"),
        })
    }

    /// An open file is going to use the page cache, until [`Self::leave_cached`]. Waits for parallel
    /// writes that run. An open file that does so already may come again.
    pub(crate) fn enter_cached(&self, by: &CachedUse) {
        loop {
            {
                let mut users = self.users.lock();
                // From here on writers take turns, so that the wait ends.
                self.caching.store(true, Relaxed);
                if users.parallel == 0 {
                    if !by.0.xchg(true, Relaxed) {
                        users.cached = users.cached.saturating_add(1);
                    }
                    return;
                }
            }
            self.idle.wait(|| self.users.lock().parallel == 0);
        }
    }

    /// The open file is closed, or has never used the page cache.
    pub(crate) fn leave_cached(&self, by: &CachedUse) {
        let mut users = self.users.lock();
        if by.0.xchg(false, Relaxed) {
            users.cached = users.cached.saturating_sub(1);
            if users.cached == 0 {
                self.caching.store(false, Relaxed);
            }
        }
    }

    /// Whether parallel writes are out of the question just now.
    pub(crate) fn is_caching(&self) -> bool {
        self.caching.load(Relaxed)
    }

    /// Begins a write beside others; [`None`] if somebody may use the page cache, or waits for that.
    /// Until it is dropped, its owner must not fault in memory of user space.
    pub(crate) fn enter_parallel(&self) -> Option<ParallelWrite<'_>> {
        let mut users = self.users.lock();
        if self.is_caching() {
            return None;
        }
        users.parallel = users.parallel.checked_add(1)?;
        Some(ParallelWrite(self))
    }
}

/// A direct write beside others.
pub(crate) struct ParallelWrite<'a>(&'a IoMode);

impl Drop for ParallelWrite<'_> {
    fn drop(&mut self) {
        let last = {
            let mut users = self.0.users.lock();
            users.parallel = users.parallel.saturating_sub(1);
            users.parallel == 0
        };
        if last {
            self.0.idle.wake_up_all();
        }
    }
}
