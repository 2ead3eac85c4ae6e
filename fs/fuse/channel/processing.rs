// SPDX-License-Identifier: GPL-2.0

//! What one opened device has taken: requests that are being copied, and requests that its server
//! owes an answer to (`struct fuse_pqueue`).
//!
//! A reply has to come through the device that read the request.
//!
//! Locks: `inner`; outside a request's body. No request ends under it.

use crate::fuse::{
    abi::Unique,
    request::{
        outcome::Outcome,
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
    sync::SpinLock, //
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
        }))
    }

    /// From now on it is that of this device of its connection.
    pub(crate) fn set_device(&self, device: u32) {
        if let Some(open) = self.inner.lock().0.as_mut() {
            open.copying.set_device(device);
        }
    }

    /// A reader has taken the request: it may now be lent. `None` if closed; the request has
    /// ended then.
    pub(crate) fn start(&self, request: Pending) -> Option<Copying> {
        let mut inner = self.inner.lock();
        match inner.0.as_mut() {
            Some(open) => Some(request.start(&mut open.copying)),
            None => {
                drop(inner);
                request.refuse(Outcome::Aborted);
                None
            }
        }
    }

    /// The server has all of it: parks it under its id. Gives the token back if closed meanwhile.
    pub(crate) fn park(&self, copying: Copying) -> Result<Handle, Copying> {
        match self.inner.lock().0.as_mut() {
            Some(open) => copying.sent(&mut open.copying, &mut open.sent),
            None => Err(copying),
        }
    }

    /// Ends the time in which an abort may find the request here; `false` if closed.
    pub(crate) fn end_copying(&self, copying: &Copying) -> bool {
        match self.inner.lock().0.as_mut() {
            Some(open) => copying.detach(&mut open.copying),
            None => false,
        }
    }

    /// An answer for this id has come: takes the request out, to be lent.
    pub(crate) fn take(&self, unique: Unique) -> Option<Replying> {
        let mut inner = self.inner.lock();
        let open = inner.0.as_mut()?;
        Some(open.sent.take(unique)?.reply(&mut open.copying))
    }

    /// Ends the time in which an abort may find the request here; `false` if closed.
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
            let place = Place::Device(open.copying.device());
            open.copying.look(seen, place);
            open.sent.look(seen, place);
        }
    }

    /// Moves all sent requests to `queue`, oldest first.
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
