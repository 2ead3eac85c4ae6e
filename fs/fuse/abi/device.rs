// SPDX-License-Identifier: GPL-2.0

//! The device `/dev/fuse` itself: its ioctls and the minimum buffer for a read.
//!
//! The dev transport uses it. No locks, no logic.

use super::wire::*;
use kernel::ioctl::{
    _IO,
    _IOR,
    _IOW, //
};

/// The minimum length of a read of the device, in bytes (`FUSE_MIN_READ_BUFFER`).
pub(crate) const MIN_READ_BUFFER: usize = 8192;

/// Magic of the ioctls below.
const IOC_MAGIC: u32 = 229;

/// Joins this open device to the connection of the device whose descriptor is given.
pub(crate) const IOC_CLONE: u32 = _IOR::<u32>(IOC_MAGIC, 0);

/// Registers a backing file; the result is its id.
pub(crate) const IOC_BACKING_OPEN: u32 = _IOW::<BackingMap>(IOC_MAGIC, 1);

/// Drops the backing file whose id is given.
pub(crate) const IOC_BACKING_CLOSE: u32 = _IOW::<u32>(IOC_MAGIC, 2);

/// Makes the mount wait for the reply to INIT.
pub(crate) const IOC_SYNC_INIT: u32 = _IO(IOC_MAGIC, 3);

/// Argument of [`IOC_BACKING_OPEN`] (`fuse_backing_map`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct BackingMap {
    /// Descriptor of the file in the server.
    pub(crate) fd: i32,
    /// Must be zero.
    pub(crate) flags: u32,
    /// Must be zero.
    pub(crate) padding: u64,
}
