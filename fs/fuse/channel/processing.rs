// SPDX-License-Identifier: GPL-2.0

//! The requests that one opened device has taken: those being copied, and those that its server has
//! to answer (`struct fuse_pqueue`).
//!
//! A reply must come through the device that read the request. A copier registers the request here
//! before it faults or sleeps, so that an abort finds it; usually it does neither and does not
//! register.
//!
//! Locks: `inner`; outside a request's body. No request ends under it.

use crate::fuse::{
    abi::Unique,
    request::{
        snapshot::{
            Place,
            Snapshot, //
        },
        state::{
            CopySet,
            Copying,
            Pending,
            Replying,
            SentQueue,
            SentTable, //
        },
        Handle, //
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
        SpinLock, //
    },
};

/// `None` once closed.
struct Inner(Option<Open>);

struct Open {
    copying: CopySet,
    sent: SentTable,
}

/// The processing queue of one device.
#[pin_data]
pub(crate) struct Processing {
    #[pin]
    inner: SpinLock<Inner>,
    /// Number of the device within its connection.
    device: Atomic<u32>,
}

impl Processing {
    /// An empty, open queue.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<impl PinInit<Self>> {
        let open = Open {
            copying: CopySet::default(),
            sent: SentTable::new()?,
        };
        Ok(pin_init!(Self {
            inner <- new_spinlock!(Inner(Some(open)), "FuseProcessing::inner"),
            device: Atomic::new(0),
        }))
    }

    /// Sets the number of the device that this queue belongs to.
    pub(crate) fn set_device(&self, device: u32) {
        self.device.store(device, Relaxed);
    }

    /// A reader has taken the request, which may now be lent.
    pub(crate) fn start(&self, request: Pending) -> Copying {
        request.start(self.device.load(Relaxed))
    }

    /// The copier may fault or sleep: from now on an abort finds the request here.
    ///
    /// # Errors
    ///
    /// `ENOENT` if closed.
    pub(crate) fn show_copying(&self, copying: &mut Copying) -> Result {
        let mut inner = self.inner.lock();
        let open = inner.0.as_mut().ok_or(ENOENT)?;
        copying.show(&mut open.copying);
        Ok(())
    }

    /// As [`Self::show_copying`], for a reply.
    ///
    /// # Errors
    ///
    /// As [`Self::show_copying`].
    pub(crate) fn show_replying(&self, replying: &mut Replying) -> Result {
        let mut inner = self.inner.lock();
        let open = inner.0.as_mut().ok_or(ENOENT)?;
        replying.show(&mut open.copying);
        Ok(())
    }

    /// The server has the whole request: parks it under its id. Returns the token if closed
    /// meanwhile. Returns the request if its waiter got a signal before: an INTERRUPT must be
    /// queued.
    pub(crate) fn park(&self, copying: Copying) -> Result<Option<Handle>, Copying> {
        match self.inner.lock().0.as_mut() {
            Some(open) => copying.sent(&mut open.copying, &mut open.sent),
            None => Err(copying),
        }
    }

    /// An abort no longer finds the request here; `false` if closed.
    pub(crate) fn end_copying(&self, copying: &Copying) -> bool {
        match self.inner.lock().0.as_mut() {
            Some(open) => copying.detach(&mut open.copying),
            None => false,
        }
    }

    /// A reply for this id has come: takes the request out, to be lent.
    pub(crate) fn take(&self, unique: Unique) -> Option<Replying> {
        let mut inner = self.inner.lock();
        let open = inner.0.as_mut()?;
        Some(open.sent.take(unique)?.reply(self.device.load(Relaxed)))
    }

    /// An abort no longer finds the request here; `false` if closed.
    pub(crate) fn end_replying(&self, replying: &Replying) -> bool {
        match self.inner.lock().0.as_mut() {
            Some(open) => replying.detach(&mut open.copying),
            None => false,
        }
    }

    /// The sent request with this id.
    pub(crate) fn find(&self, unique: Unique) -> Option<Handle> {
        self.inner.lock().0.as_ref()?.sent.find(unique)
    }

    /// Whether a request here was made more than `age` jiffies ago.
    pub(crate) fn has_older(&self, age: u64) -> bool {
        match self.inner.lock().0.as_ref() {
            Some(open) => open.copying.has_older(age) || open.sent.has_older(age),
            None => false,
        }
    }

    /// Notes every request here in `seen`.
    pub(crate) fn look(&self, seen: &mut Snapshot) {
        if let Some(open) = self.inner.lock().0.as_ref() {
            let place = Place::Device(self.device.load(Relaxed));
            open.copying.look(seen, place);
            open.sent.look(seen, place);
        }
    }

    /// Moves all sent requests to `queue`.
    pub(crate) fn drain_sent(&self, queue: &mut SentQueue) {
        if let Some(open) = self.inner.lock().0.as_mut() {
            open.sent.drain_into(queue);
        }
    }

    /// Closes the queue and ends everything on it with `ECONNABORTED`. Sleeps.
    pub(crate) fn close(&self) {
        let open = self.inner.lock().0.take();
        if let Some(open) = open {
            open.copying.abort_all();
            open.sent.abort_all();
        }
    }
}
