// SPDX-License-Identifier: GPL-2.0

//! The wire format: every structure of protocol 7.46.
//!
//! The source of all of it is `include/uapi/linux/fuse.h`; `layout_test` checks sizes and offsets
//! against it at compile time. Structures are `#[repr(C)]`, have no implicit padding (`IntoBytes`
//! would not derive) and accept any bytes (`FromBytes`), because a server can write any: a value
//! here need not make sense. Bytes that the protocol leaves unused are zero when the kernel sends
//! and ignored when it receives, so every structure has a zero `Default`.
//!
//! Each flag word is a type of its own. Words whose bits belong to the VFS (`O_*`, `MAY_*`,
//! `RENAME_*`, file modes) stay plain integers.
//!
//! [`op`](super::op) puts these structures into requests. No locks, no logic.

/// Imports of every file that declares wire structures, and the two macros they share.
mod wire {
    pub(super) use super::{
        FileHandle,
        Generation,
        KernelHandle,
        LockOwner,
        NodeId,
        Unique, //
    };
    pub(super) use kernel::prelude::{
        FromBytes,
        IntoBytes, //
    };
    pub(super) use zerocopy_derive::{
        Immutable,
        KnownLayout, //
    };

    /// Declares the flags of one wire field: the word as a type, and its bits as an enum, each with
    /// its bit number.
    ///
    /// Unnamed bits stay in the word: the other side may be newer.
    macro_rules! wire_flags {
        (
            $(#[$flags_doc:meta])*
            $flags:ident($ty:ty);
            $(#[$flag_doc:meta])*
            $flag:ident {
                $( $(#[$doc:meta])* $name:ident = $bit:literal, )+
            }
        ) => {
            ::kernel::impl_flags!(
                $(#[$flags_doc])*
                #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
                #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
                pub(crate) struct $flags($ty);

                $(#[$flag_doc])*
                #[derive(Clone, Copy, Debug, PartialEq, Eq)]
                pub(crate) enum $flag {
                    $( $(#[$doc])* $name = 1 << $bit, )+
                }
            );

            #[allow(dead_code, reason = "the kernel only sends some words, and only gets others")]
            impl $flags {
                /// The word as received, unnamed bits included.
                #[inline]
                pub(crate) const fn from_bits(bits: $ty) -> Self {
                    Self(bits)
                }

                /// The word to send.
                #[inline]
                pub(crate) const fn bits(self) -> $ty {
                    self.0
                }
            }
        };
    }
    pub(super) use wire_flags;
}

pub(crate) mod attr;
pub(crate) mod cuse;
pub(crate) mod device;
pub(crate) mod file;
pub(crate) mod header;
pub(crate) mod init;
mod layout_test;
pub(crate) mod node;
pub(crate) mod notify;
pub(crate) mod uring;

use wire::*;

/// Major version of the protocol; both sides must agree on it.
pub(crate) const KERNEL_VERSION: u32 = 7;

/// Minor version that this kernel offers. The minimum of both sides is used.
pub(crate) const KERNEL_MINOR_VERSION: u32 = 46;

/// Declares an identifier of the protocol: 64 bits that are only compared and passed back.
macro_rules! id {
    ($( $(#[$doc:meta])* $name:ident; )+) => {$(
        $(#[$doc])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub(crate) struct $name(u64);

        impl $name {
            /// The identifier with this value.
            #[inline]
            pub(crate) const fn new(value: u64) -> Self {
                Self(value)
            }

            /// Its value, for hashing, printing and tracing.
            #[allow(dead_code, reason = "nothing but the server looks into a file handle")]
            #[inline]
            pub(crate) const fn get(self) -> u64 {
                self.0
            }
        }
    )+};
}

id! {
    /// A request, from the time when it is queued until its reply.
    ///
    /// Issued by the kernel's input queue, in steps of two: bit 0 marks the INTERRUPT of a request,
    /// bit 63 a request that is sent again. Zero is never issued; a "reply" to it is a
    /// notification.
    Unique;

    /// A node of the server's tree.
    ///
    /// Issued by the server in the reply to LOOKUP and to every operation that creates a node, and
    /// valid until the kernel has sent FORGET for as many lookups as it was given. Only the root is
    /// known beforehand. With [`Generation`] it is unique for the life of the file system.
    NodeId;

    /// Distinguishes the nodes that had the same [`NodeId`] at different times.
    ///
    /// Issued by the server with each node; it becomes part of NFS file handles.
    Generation;

    /// An open file or directory (`fh`).
    ///
    /// Issued by the server in the reply to OPEN, OPENDIR or CREATE, valid until the kernel has
    /// sent RELEASE or RELEASEDIR. Files and directories have separate spaces.
    FileHandle;

    /// The owner of a lock: the address of an opened file table, scrambled.
    ///
    /// Issued by the kernel, the same for the life of the table. The server only compares it.
    LockOwner;

    /// An open file as the kernel names it to the server (`kh`).
    ///
    /// Issued by the kernel, sent with POLL, and returned by the server when the file becomes
    /// ready. Valid as long as the file is open.
    KernelHandle;
}

impl Unique {
    /// Marks the INTERRUPT request that belongs to a request, and the answer to it.
    pub(crate) const INTERRUPT: u64 = 1 << 0;

    /// Marks a request that is sent again after NOTIFY_RESEND (`FUSE_UNIQUE_RESEND`).
    pub(crate) const RESEND: u64 = 1 << 63;
}

impl NodeId {
    /// No node: in connection-wide operations, and in a negative LOOKUP reply.
    pub(crate) const NONE: Self = Self(0);

    /// The root, which needs no LOOKUP (`FUSE_ROOT_ID`).
    pub(crate) const ROOT: Self = Self(1);
}

/// Sent as uid and gid when the caller's cannot be expressed there (`FUSE_INVALID_UIDGID`).
///
/// Only to servers that negotiated `FUSE_ALLOW_IDMAP`, and never with operations that create an
/// inode.
pub(crate) const INVALID_UIDGID: u32 = u32::MAX;
