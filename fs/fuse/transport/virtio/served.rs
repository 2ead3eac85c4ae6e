// SPDX-License-Identifier: GPL-2.0

//! The mount that a device serves, as its queues and their workers know it.
//!
//! Locks: `Served::channel`, a leaf.

use crate::{
    fuse::channel::Channel,
    vfs::sync::wait::{
        new_wait_queue,
        WaitQueue, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

/// The mount that a device serves.
#[pin_data]
pub(super) struct Served {
    /// That of the mount, while there is one.
    #[pin]
    channel: SpinLock<Option<Arc<Channel>>>,
    /// Where an unmount waits until the device has nothing any more.
    #[pin]
    pub(super) idle: WaitQueue,
}

impl Served {
    /// No mount.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            channel <- new_spinlock!(None, "FuseServed::channel"),
            idle <- new_wait_queue!("FuseServed::idle"),
        })
    }

    /// The channel of the mount, if there is one.
    pub(super) fn channel(&self) -> Option<Arc<Channel>> {
        self.channel.lock().clone()
    }

    /// It is this one, or none, from now on; returns which it was.
    pub(super) fn replace(&self, channel: Option<Arc<Channel>>) -> Option<Arc<Channel>> {
        core::mem::replace(&mut *self.channel.lock(), channel)
    }

    /// The device may have nothing any more: an unmount that waits for that looks.
    pub(super) fn look(&self) {
        self.idle.wake_up_if_waiting();
    }
}
