// SPDX-License-Identifier: GPL-2.0

//! How the bytes of an inode are used: through the page cache, past it by parallel writers, or
//! passed through to a backing file.
//!
//! Direct writes of one file may run in parallel if the server has said so, but not while an open
//! file may use the page cache: a reader could cache the half-written data of one. So files that
//! are open for cached use, and parallel writes, exclude each other. A cached open waits for the
//! writes that run, and later writes take turns.
//!
//! So does the first shared mapping of a file, and that waits with its address space locked. A
//! write is therefore parallel while it waits for the server, but not while it waits for memory of
//! its caller, which may need the same address space. (In C it is, and the two deadlock.)
//!
//! The page cache does not know the data that is passed through, so an inode is open either for the
//! one or for the other. All open files are passed through to the same backing file, which the
//! inode keeps for as long. Neither side waits for the other: the server has to open a file in one
//! way only.
//!
//! Locks: one spinlock, a leaf. No reference to a backing file is dropped inside.

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

/// The users of an inode. Users of the page cache and other users exclude each other.
#[derive(Default)]
struct Users {
    /// Open files that may use the page cache or, if there is a backing file, pass through to that.
    open: u32,
    /// Direct writes that run in parallel.
    parallel: u32,
    /// The file that all open files pass through to; [`None`] if they do not.
    backing: Option<Arc<Backing>>,
}

/// How the bytes of one inode are used.
#[pin_data]
pub(crate) struct IoMode {
    #[pin]
    users: SpinLock<Users>,
    /// A file uses the page cache, or waits for that: no more parallel writes.
    caching: Atomic<bool>,
    /// The queue on which cached opens wait for the last parallel write, or for the first file that
    /// passes through.
    #[pin]
    idle: WaitQueue,
}

/// How an open file uses its inode; changed under the lock of [`IoMode`].
pub(crate) struct Use(Atomic<i8>);

impl Use {
    /// In no way that affects other files.
    const NONE: i8 = 0;
    /// It may use the page cache.
    const CACHED: i8 = 1;
    /// It passes through to a backing file.
    const PASSING: i8 = 2;

    /// Not used yet.
    pub(crate) fn new() -> Self {
        Self(Atomic::new(Self::NONE))
    }
}

impl IoMode {
    /// An inode without users.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            users <- new_spinlock!(Users::default(), "IoMode::users"),
            caching: Atomic::new(false),
            idle <- new_wait_queue!("IoMode::idle"),
        })
    }

    /// Marks an open file as a user of the page cache, until [`Self::leave`]. Waits for parallel
    /// writes that run. Does nothing for a file that is one already.
    ///
    /// # Errors
    ///
    /// `ETXTBSY` if the inode is passed through.
    pub(crate) fn enter_cached(&self, by: &Use) -> Result {
        loop {
            {
                let mut users = self.users.lock();
                if users.backing.is_some() {
                    // No file uses the page cache, so the task that set this was waiting here.
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

    /// Passes an open file that has used the inode in no other way through to `backing`, until
    /// [`Self::leave`].
    ///
    /// # Errors
    ///
    /// `EBUSY` if others pass through to another file; `ETXTBSY` if a file may use the page cache.
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
            // Waiters for the page cache have to see that they wait in vain.
            self.idle.wake_up_all();
        }
        Ok(())
    }

    /// The open file is closed, or has never used the inode.
    pub(crate) fn leave(&self, by: &Use) {
        // Dropped without the lock.
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

    /// Whether parallel writes are impossible at present.
    pub(crate) fn is_caching(&self) -> bool {
        self.caching.load(Relaxed)
    }

    /// Begins a parallel write; [`None`] if a file may use the page cache, or waits for that. Until
    /// it is dropped, its owner must not fault in memory of user space.
    pub(crate) fn enter_parallel(&self) -> Option<ParallelWrite<'_>> {
        let mut users = self.users.lock();
        if self.is_caching() {
            return None;
        }
        users.parallel = users.parallel.checked_add(1)?;
        Some(ParallelWrite(self))
    }
}

/// A direct write in parallel with others.
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
