// SPDX-License-Identifier: GPL-2.0

//! The header of every message, and the extensions that may follow a request.
//!
//! [`request`](super::super::request) fills the in-header, the transports check the out-header. No
//! locks, no logic.

use super::wire::*;

/// In front of every request (`fuse_in_header`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct InHeader {
    /// Length in bytes of the whole request, header included.
    pub(crate) len: u32,
    /// An [`Opcode`](super::super::op::Opcode), as number.
    pub(crate) opcode: u32,
    /// Id of the request, which the reply repeats.
    pub(crate) unique: Unique,
    /// The node of the operation; [`NodeId::NONE`] if it is on the connection.
    pub(crate) nodeid: NodeId,
    /// The caller's fsuid, in the user namespace of the mount.
    pub(crate) uid: u32,
    /// The caller's fsgid, in the user namespace of the mount.
    pub(crate) gid: u32,
    /// The caller's thread id, in the pid namespace of the mount; 0 if it is not visible there.
    pub(crate) pid: u32,
    /// Length of the extensions at the end, in units of 8 bytes.
    pub(crate) total_extlen: u16,
    /// Unused.
    pub(crate) padding: u16,
}

/// In front of every reply and notification (`fuse_out_header`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct OutHeader {
    /// Length in bytes of the whole message, header included; must be what was written.
    pub(crate) len: u32,
    /// Zero, or a negative errno; in a notification its code.
    pub(crate) error: i32,
    /// The request that is answered; zero in a notification.
    pub(crate) unique: Unique,
}

/// Rounds the length of a record up to the alignment of the next one (`FUSE_REC_ALIGN`).
///
/// Returns `None` if the result does not fit.
#[inline]
pub(crate) const fn rec_align(len: usize) -> Option<usize> {
    len.checked_next_multiple_of(size_of::<u64>())
}

/// Type of the extension with supplementary groups ([`SuppGroups`]).
pub(crate) const EXT_GROUPS: u32 = 32;

/// In front of an extension other than security contexts (`fuse_ext_header`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct ExtHeader {
    /// Length in bytes, this header and the padding to 8 bytes included.
    pub(crate) size: u32,
    /// Type, above 31, the maximum `nr_secctx` of security contexts (`FUSE_MAX_NR_SECCTX`).
    pub(crate) kind: u32,
}

/// In front of the security contexts of a new file (`fuse_secctx_header`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SecctxHeader {
    /// Length in bytes of all contexts, this header included.
    pub(crate) size: u32,
    /// Number of contexts.
    pub(crate) nr_secctx: u32,
}

/// One security context; its name with NUL and its value follow (`fuse_secctx`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Secctx {
    /// Length in bytes of the value.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Supplementary groups of the caller; the gids follow as 32-bit numbers (`fuse_supp_groups`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SuppGroups {
    /// Number of groups.
    pub(crate) nr_groups: u32,
}
