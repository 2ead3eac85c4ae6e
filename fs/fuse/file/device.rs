// SPDX-License-Identifier: GPL-2.0

//! Open files of a character device: bytes without an inode.
//!
//! `fstype/cuse.rs` calls these. Such a file has only the server's part ([`Opened`]), so every
//! operation goes to the server: nothing is cached, every read and write begins at 0, and every
//! task that may open the device may do what the server permits.
//!
//! Locks: none.

use super::{
    direct,
    ioctl,
    open,
    poll, //
};
use crate::{
    fuse::{
        conn::mount::Mount,
        inode::opened::Opened, //
    },
    vfs::file::{
        ioctl::Ioctl,
        poll::{
            PollEvents,
            Polling, //
        },
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    sync::Arc, //
};

/// Opens a file with `flags` (`O_*`). May sleep.
///
/// # Errors
///
/// `ENOMEM`; the server's error.
pub(crate) fn open(mount: &Arc<Mount>, flags: u32) -> Result<Arc<Opened>> {
    Ok(Arc::new(
        open::open_device(mount, flags)?,
        GFP_KERNEL_ACCOUNT,
    )?)
}

/// The last reference to a file with `flags` (`O_*`) is gone: waits for the server's answer.
/// Sleeps.
pub(crate) fn release(opened: Arc<Opened>, flags: u32) {
    opened.close(flags);
    // There is no other reference: no request of such a file outlives its call.
    if let Some(opened) = Arc::into_unique_or_drop(opened) {
        Pin::into_inner(opened).release_and_wait();
    }
}

/// `read(2)` and the like, of a file with `flags` (`O_*`). Sleeps.
///
/// # Errors
///
/// `EFAULT`, `ENOMEM`, the server's error.
pub(crate) fn read_iter(opened: &Opened, flags: u32, to: &mut IovIterDest<'_>) -> Result<usize> {
    direct::read_from_start(opened, flags, to)
}

/// `write(2)` and the like, with the `flags` (`O_*`) of the call. The server orders concurrent
/// writers. Sleeps.
///
/// # Errors
///
/// `EFAULT`, `ENOMEM`, the server's error.
pub(crate) fn write_iter(
    opened: &Opened,
    flags: u32,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    direct::write_from_start(opened, flags, from)
}

/// `ioctl(2)`. Sleeps.
///
/// # Errors
///
/// Those of [`ioctl::device_ioctl`].
pub(crate) fn ioctl(opened: &Opened, call: Ioctl) -> Result<i32> {
    ioctl::device_ioctl(opened, call)
}

/// `poll(2)` and its kin. Sleeps.
pub(crate) fn poll(polling: &Polling<'_, Arc<Opened>>) -> PollEvents {
    poll::poll(polling, polling.data())
}
