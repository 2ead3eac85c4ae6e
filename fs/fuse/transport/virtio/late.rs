// SPDX-License-Identifier: GPL-2.0

//! Requests whose end has to wait for locks of others, as of the folios that a read has filled.
//!
//! A task may hold such a lock and wait for another request of the same queue. So they are not ended by
//! the queue's worker, but by this one.
//!
//! Locks: that of the list, a leaf.

use super::served::Served;
use crate::fuse::request::{
    outcome::Outcome,
    state::Replying, //
};
use crate::vfs::sync::watchdog::{
    Check,
    Watchdog, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// Those that are to be ended.
#[pin_data]
struct List {
    #[pin]
    requests: SpinLock<KVec<(Replying, Outcome)>>,
}

struct Worker {
    list: Arc<List>,
    served: Arc<Served>,
}

impl List {
    /// Ends all of them.
    fn end_all(&self) {
        let requests = core::mem::take(&mut *self.requests.lock());
        for (request, outcome) in requests {
            request.finish(outcome);
        }
    }
}

impl Check for Worker {
    fn check(&self) -> bool {
        self.list.end_all();
        self.served.look();
        false
    }
}

/// Ends requests in a worker of its own.
pub(super) struct Late {
    list: Arc<List>,
    worker: Pin<KBox<Watchdog<Worker>>>,
}

impl Late {
    /// None.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(served: &Arc<Served>) -> Result<Arc<Self>> {
        let list = Arc::pin_init(
            pin_init!(List {
                requests <- new_spinlock!(KVec::new(), "FuseLate::requests"),
            }),
            GFP_KERNEL,
        )?;
        let worker = Watchdog::idle(
            Worker {
                list: list.clone(),
                served: served.clone(),
            },
            0,
        )?;
        Ok(Arc::new(Self { list, worker }, GFP_KERNEL)?)
    }

    /// The device is gone: ends what is left, without the worker.
    pub(super) fn stop_worker(&self) {
        self.worker.stop();
        self.list.end_all();
    }

    /// Ends a request so. May sleep.
    pub(super) fn end(&self, request: Replying, outcome: Outcome) {
        let mut list = self.list.requests.lock();
        match list.reserve(1, GFP_ATOMIC) {
            Ok(()) => {
                // There is room.
                let _ = list.push_within_capacity((request, outcome));
                drop(list);
                self.worker.look();
            }
            Err(_) => {
                drop(list);
                // Without memory the queue waits.
                request.finish(outcome);
            }
        }
    }
}
