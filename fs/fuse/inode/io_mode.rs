// SPDX-License-Identifier: GPL-2.0

//! How the bytes of an inode are used: through the page cache, past it by writers side by side, or
//! passed through to a backing file.
//!
//! Direct writes of one file may run in parallel if the server has said so, but not while anybody
//! may use the page cache: a reader could bring in what one of them has half written. So files that
//! are open for cached use, and parallel writes, keep each other out. A cached open waits for the
//! writes that run, and those that come after it take turns.
//!
//! So does the first shared mapping of a file, and that waits with its address space locked. A
//! write is therefore in parallel while it waits for the server, and not while it waits for memory
//! of its caller: that may need the same address space. (In C it is, and the two wait for each
//! other.)
//!
//! The page cache knows nothing of what is passed through, so an inode is open for the one or for
//! the other. All that is passed through goes to the same backing file, which the inode keeps as
//! long. Neither side waits for the other: it is the server that has to open a file in one way
//! only.
//!
//! Locks: one spinlock, a leaf. No backing file is let go of inside.

use crate::vfs::{
    io::backing::Backing,
    sync::wait::{
        new_wait_queue,
        WaitQueue, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
};

/// Who uses an inode. Those who use the page cache, and the others, are never there together.
#[derive(Default)]
struct Users {
    /// Open files that may use the page cache or, if there is a backing file, pass through to that.
    open: u32,
    /// Direct writes that run in parallel.
    parallel: u32,
    /// What all of the open files pass through to; [`None`] if there are no such.
    backing: Option<Arc<Backing>>,
}

/// How the bytes of one inode are used.
#[pin_data]
pub(crate) struct IoMode {
    #[pin]
    users: SpinLock<Users>,
    /// Somebody uses the page cache, or waits for that: no more writes in parallel.
    caching: Atomic<bool>,
    /// Where cached opens wait for the last parallel write, or for the first that passes through.
    #[pin]
    idle: WaitQueue,
}

/// How one open file uses its inode; changed under the lock of [`IoMode`].
pub(crate) struct Use(Atomic<i8>);

impl Use {
    /// In no way that others have to know of.
    const NONE: i8 = 0;
    /// It may use the page cache.
    const CACHED: i8 = 1;
    /// It passes through to a backing file.
    const PASSING: i8 = 2;

    /// In none yet.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(Self::NONE))
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

    /// An open file is going to use the page cache, until [`Self::leave`]. Waits for parallel
    /// writes that run. An open file that does so already may come again.
    ///
    /// # Errors
    ///
    /// `ETXTBSY` if the inode is passed through.
    pub(crate) fn enter_cached(&self, by: &Use) -> Result {
        loop {
            {
                let mut users = self.users.lock();
                if users.backing.is_some() {
                    // Nobody uses the page cache, so whoever said so was waiting here.
                    self.caching.store(false, Relaxed);
                    return Err(ETXTBSY);
                }
                // From here on writers take turns, so that the wait ends.
                self.caching.store(true, Relaxed);
                if users.parallel == 0 {
                    if by.0.xchg(Use::CACHED, Relaxed) != Use::CACHED {
                        users.open = users.open.saturating_add(1);
                    }
                    return Ok(());
                }
            }
            self.idle.wait(|| {
                let users = self.users.lock();
                users.parallel == 0 || users.backing.is_some()
            });
        }
    }

    /// An open file that has used the inode in no other way is going to pass through to `backing`,
    /// until [`Self::leave`].
    ///
    /// # Errors
    ///
    /// `EBUSY` if others pass through to another file; `ETXTBSY` if somebody may use the page
    /// cache.
    pub(crate) fn enter_passing(&self, by: &Use, backing: &Arc<Backing>) -> Result {
        let first = {
            let mut users = self.users.lock();
            let first = match &users.backing {
                Some(other) if !Arc::ptr_eq(other, backing) => return Err(EBUSY),
                Some(_) => false,
                None if users.open != 0 => return Err(ETXTBSY),
                None => true,
            };
            if first {
                users.backing = Some(backing.clone());
            }
            users.open = users.open.saturating_add(1);
            by.0.store(Use::PASSING, Relaxed);
            first
        };
        if first {
            // Those who wait to use the page cache shall know that it is in vain.
            self.idle.wake_up_all();
        }
        Ok(())
    }

    /// The open file is closed, or has never used the inode.
    pub(crate) fn leave(&self, by: &Use) {
        // Given back without the lock.
        let unused = {
            let mut users = self.users.lock();
            if by.0.xchg(Use::NONE, Relaxed) == Use::NONE {
                return;
            }
            users.open = users.open.saturating_sub(1);
            if users.open != 0 {
                return;
            }
            let unused = users.backing.take();
            if unused.is_none() {
                self.caching.store(false, Relaxed);
            }
            unused
        };
        drop(unused);
    }

    /// Whether the inode is passed through.
    pub(crate) fn is_passed_through(&self) -> bool {
        self.users.lock().backing.is_some()
    }

    /// Whether parallel writes are out of the question just now.
    pub(crate) fn is_caching(&self) -> bool {
        self.caching.load(Relaxed)
    }

    /// Begins a write beside others; [`None`] if somebody may use the page cache, or waits for
    /// that. Until it is dropped, its owner must not fault in memory of user space.
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
