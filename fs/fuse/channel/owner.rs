// SPDX-License-Identifier: GPL-2.0

//! What a transport reports to the file-system side on its own.
//!
//! Implemented in `notify`, so that a transport does not depend on the connection.

use crate::fuse::abi::device::BackingMap;
use kernel::prelude::*;

/// The bytes after the header of a notification.
pub(crate) trait Payload {
    /// Bytes that are left to take.
    fn len(&self) -> usize;

    /// Takes the next bytes and fills `bytes` with them. May fault and sleep.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` if there are fewer.
    fn take(&mut self, bytes: &mut [u8]) -> Result;
}

/// The receiver of a server's notifications and of its calls about the connection.
pub(crate) trait ChannelOwner: Send + Sync {
    /// The server sent a notification with this code. Called in the server's context, after INIT,
    /// without a lock; may sleep.
    ///
    /// # Errors
    ///
    /// The value that the server's write returns: `EINVAL` if the notification is unknown or
    /// malformed, otherwise the error of handling it.
    fn notify(&self, code: i32, payload: &mut dyn Payload) -> Result;

    /// The server registers one of its own files to back files of the mount; returns the id that
    /// the file gets. Called in the server's context, without a lock; may sleep.
    ///
    /// # Errors
    ///
    /// The error that the server's ioctl returns.
    fn backing_open(&self, map: BackingMap) -> Result<i32>;

    /// The server unregisters a file. As [`Self::backing_open`].
    ///
    /// # Errors
    ///
    /// The error that the server's ioctl returns.
    fn backing_close(&self, id: i32) -> Result;
}
