// SPDX-License-Identifier: GPL-2.0

//! The writes of dirty pages that a SYNCFS must follow.
//!
//! The VFS does not wait for the dirty pages of a file system that cannot promise to keep them
//! (`SB_I_NO_DATA_INTEGRITY`), but SYNCFS is meaningless before the server has them. So each WRITE
//! of dirty pages holds a [`Counted`] of the epoch that it began in. A sync begins a new epoch and
//! waits for the old one. Two counters suffice, because only one sync runs at a time.
//!
//! Locks: `turn`, held while the old epoch drains; inside it the lock of the counters, a leaf.

use crate::vfs::sync::wait::{
    new_wait_queue,
    WaitQueue, //
};
use kernel::{
    new_mutex, new_spinlock,
    prelude::*,
    sync::{
        Arc,
        Mutex,
        SpinLock, //
    },
};

/// One of the two epochs.
#[derive(Clone, Copy)]
enum Epoch {
    Even,
    Odd,
}

struct Epochs {
    now: Epoch,
    even: u32,
    odd: u32,
}

impl Epochs {
    fn count(&mut self, epoch: Epoch) -> &mut u32 {
        match epoch {
            Epoch::Even => &mut self.even,
            Epoch::Odd => &mut self.odd,
        }
    }
}

/// The writes of dirty pages that have begun, by epoch (`fc->curr_bucket`).
#[pin_data]
pub(crate) struct SyncWrites {
    #[pin]
    turn: Mutex<()>,
    #[pin]
    epochs: SpinLock<Epochs>,
    /// Where a sync waits for the old epoch.
    #[pin]
    drained: WaitQueue,
}

impl SyncWrites {
    /// No write has begun.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            turn <- new_mutex!((), "SyncWrites::turn"),
            epochs <- new_spinlock!(
                Epochs {
                    now: Epoch::Even,
                    even: 0,
                    odd: 0,
                },
                "SyncWrites::epochs"
            ),
            drained <- new_wait_queue!("SyncWrites::drained"),
        })
    }

    /// Waits for all writes that began before the call. Sleeps.
    pub(crate) fn wait(&self) {
        let _turn = self.turn.lock();
        let old = {
            let mut epochs = self.epochs.lock();
            let old = epochs.now;
            epochs.now = match old {
                Epoch::Even => Epoch::Odd,
                Epoch::Odd => Epoch::Even,
            };
            old
        };
        self.drained.wait(|| *self.epochs.lock().count(old) == 0);
    }
}

/// A write of dirty pages, counted until this is dropped.
pub(crate) struct Counted {
    writes: Arc<SyncWrites>,
    epoch: Epoch,
}

impl Counted {
    /// Counts a write that begins, in `writes`.
    pub(crate) fn new(writes: &Arc<SyncWrites>) -> Self {
        let mut epochs = writes.epochs.lock();
        let epoch = epochs.now;
        let count = epochs.count(epoch);
        *count = count.saturating_add(1);
        drop(epochs);
        Self {
            writes: writes.clone(),
            epoch,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let writes = &self.writes;
        let drained = {
            let mut epochs = writes.epochs.lock();
            let count = epochs.count(self.epoch);
            *count = count.saturating_sub(1);
            *count == 0
        };
        if drained {
            writes.drained.wake_up_all();
        }
    }
}
