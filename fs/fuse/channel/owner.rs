// SPDX-License-Identifier: GPL-2.0

//! What a transport tells the file-system side without being asked.
//!
//! Implemented in `notify`, so that a transport knows no connection.

use crate::fuse::abi::device::BackingMap;
use kernel::prelude::*;

/// What follows the header of a notification.
pub(crate) trait Payload {
    /// Bytes that are left to take.
    fn len(&self) -> usize;

    /// Takes the next bytes, as many as `bytes` holds. May fault and sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` if there are fewer.
    fn take(&mut self, bytes: &mut [u8]) -> Result;
}

/// Who hears the notifications of a server, and what else it says about its connection.
pub(crate) trait ChannelOwner: Send + Sync {
    /// The server sent a notification with this code. Called in the server's context, after INIT,
    /// without a lock; may sleep.
    ///
    /// # Errors
    ///
    /// What the server's write returns: `EINVAL` if the notification is unknown or malformed, and
    /// whatever came of it.
    fn notify(&self, code: i32, payload: &mut dyn Payload) -> Result;

    /// The server registers a file of its own to stand behind files of the mount; returns the id
    /// that it gets. Called in the server's context, without a lock; may sleep.
    ///
    /// # Errors
    ///
    /// What the server's ioctl returns.
    fn backing_open(&self, map: BackingMap) -> Result<i32>;

    /// The server takes back a file that it has registered. As [`Self::backing_open`].
    ///
    /// # Errors
    ///
    /// What the server's ioctl returns.
    fn backing_close(&self, id: i32) -> Result;
}
