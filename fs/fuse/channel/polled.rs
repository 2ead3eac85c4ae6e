// SPDX-License-Identifier: GPL-2.0

//! Polled open files: the server names a file by its number to wake its pollers.
//!
//! A file gets its number and its entry in the table when it is polled for the first time, and
//! keeps both until it is released. On the walk: entered by `file/poll.rs` before it asks the
//! server, found by `notify` when the server reports an event, and all are woken by an abort.
//!
//! Locks: `files`; pollers are woken without it.

use crate::{
    fuse::abi::KernelHandle,
    vfs::sync::wait::{
        new_wait_queue,
        WaitQueue, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SetOnce,
        SpinLock, //
    },
};

/// The pollers of one open file.
#[pin_data]
pub(crate) struct Pollers {
    kh: KernelHandle,
    #[pin]
    queue: WaitQueue,
}

impl Pollers {
    /// The number of the file.
    pub(crate) fn kh(&self) -> KernelHandle {
        self.kh
    }

    /// Where the pollers wait.
    pub(crate) fn queue(&self) -> &WaitQueue {
        &self.queue
    }
}

/// Where an open file keeps its pollers, from the first time it is polled.
pub(crate) type PollersSlot = SetOnce<Arc<Pollers>>;

/// The polled files of one connection (`polled_files`).
#[pin_data]
pub(crate) struct PolledFiles {
    /// The last number that was assigned.
    last: Atomic<u64>,
    #[pin]
    files: SpinLock<RBTree<KernelHandle, Arc<Pollers>>>,
}

impl PolledFiles {
    /// An empty table.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            last: Atomic::new(0),
            files <- new_spinlock!(RBTree::new(), "FusePolledFiles::files"),
        })
    }

    /// The pollers of the file with this slot, charged to the caller's memory cgroup. May sleep.
    /// The file must be removed by [`Self::remove`] before its slot is dropped.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn enter<'a>(&self, slot: &'a PollersSlot) -> Result<&'a Pollers> {
        if let Some(pollers) = slot.as_ref() {
            return Ok(pollers);
        }
        let kh = KernelHandle::new(self.last.fetch_add(1, Relaxed).wrapping_add(1));
        let mut pollers = Some(Arc::pin_init(
            pin_init!(Pollers {
                kh,
                queue <- new_wait_queue!("FusePollers::queue"),
            }),
            GFP_KERNEL_ACCOUNT,
        )?);
        let mut room = Some(RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?);
        {
            // Two callers may poll the file for the first time at once; the second one's
            // allocations are dropped without the lock.
            let mut files = self.files.lock();
            if slot.as_ref().is_none() {
                if let (Some(pollers), Some(room)) = (pollers.take(), room.take()) {
                    files.insert(room.into_node(kh, pollers.clone()));
                    slot.populate(pollers);
                }
            }
        }
        slot.as_ref().map(|pollers| &**pollers).ok_or(ENOMEM)
    }

    /// The file is released.
    pub(crate) fn remove(&self, slot: &PollersSlot) {
        if let Some(pollers) = slot.as_ref() {
            let node = self.files.lock().remove_node(&pollers.kh);
            drop(node);
        }
    }

    /// The server reports an event for the file with this number, if there is one.
    pub(crate) fn wake(&self, kh: KernelHandle) {
        let pollers = self.files.lock().get(&kh).cloned();
        if let Some(pollers) = pollers {
            pollers.queue.wake_up_sync();
        }
    }

    /// The server is gone: wakes all pollers to check again.
    pub(super) fn wake_all(&self) {
        let mut next = KernelHandle::new(0);
        loop {
            let found = {
                let files = self.files.lock();
                let found = files.cursor_lower_bound(&next);
                found.map(|cursor| cursor.current().1.clone())
            };
            let Some(pollers) = found else {
                return;
            };
            pollers.queue.wake_up_all();
            next = KernelHandle::new(pollers.kh.get().saturating_add(1));
        }
    }
}
