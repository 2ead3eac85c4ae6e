// SPDX-License-Identifier: GPL-2.0

//! The first exchange of a character device in user space.
//!
//! `fstype/cuse.rs` uses it. No locks, no logic.

use super::wire::*;

wire_flags! {
    /// The flags that are offered and accepted ([`CuseInitIn::flags`], [`CuseInitOut::flags`]).
    CuseInitFlags(u32);
    /// One of [`CuseInitFlags`].
    CuseInitFlag {
        /// Ioctls may ask for data that their number does not tell (`CUSE_UNRESTRICTED_IOCTL`).
        UnrestrictedIoctl = 0,
    }
}

/// Maximum number of bytes of device information after [`CuseInitOut`] (`CUSE_INIT_INFO_MAX`).
pub(crate) const CUSE_INIT_INFO_MAX: u32 = 4096;

/// Request CUSE_INIT (`cuse_init_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct CuseInitIn {
    /// Major version of the protocol.
    pub(crate) major: u32,
    /// Minor version of the protocol.
    pub(crate) minor: u32,
    /// Unused.
    pub(crate) unused: u32,
    /// Offer.
    pub(crate) flags: CuseInitFlags,
}

/// Reply to CUSE_INIT; device information follows (`cuse_init_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct CuseInitOut {
    /// Major version of the server.
    pub(crate) major: u32,
    /// Minor version of the server.
    pub(crate) minor: u32,
    /// Unused.
    pub(crate) unused: u32,
    /// What is accepted.
    pub(crate) flags: CuseInitFlags,
    /// Maximum length of a READ in bytes.
    pub(crate) max_read: u32,
    /// Maximum length of a WRITE in bytes.
    pub(crate) max_write: u32,
    /// Major number of the device, 0 for any.
    pub(crate) dev_major: u32,
    /// Minor number of the device.
    pub(crate) dev_minor: u32,
    /// Unused.
    pub(crate) spare: [u32; 10],
}
