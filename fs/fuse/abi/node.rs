// SPDX-License-Identifier: GPL-2.0

//! Operations on nodes and names: forget, create, link, rename, extended attributes, locks, and
//! the records of a directory.
//!
//! Neighbours: the dir, attr and file rooms. No locks, no logic.

use super::attr::EntryOut;
use super::wire::*;

/// Request FORGET (`fuse_forget_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct ForgetIn {
    /// How many lookups of the node are given back.
    pub(crate) nlookup: u64,
}

/// One node of BATCH_FORGET (`fuse_forget_one`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct ForgetOne {
    /// The node.
    pub(crate) nodeid: NodeId,
    /// How many lookups of it are given back.
    pub(crate) nlookup: u64,
}

/// Request BATCH_FORGET; so many [`ForgetOne`] follow (`fuse_batch_forget_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct BatchForgetIn {
    /// How many follow.
    pub(crate) count: u32,
    /// Unused.
    pub(crate) dummy: u32,
}

/// Request INTERRUPT (`fuse_interrupt_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct InterruptIn {
    /// The request that no caller waits for any more.
    pub(crate) unique: Unique,
}

/// Request ACCESS (`fuse_access_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct AccessIn {
    /// The access to check, `MAY_*` as of access(2).
    pub(crate) mask: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request MKNOD (`fuse_mknod_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct MknodIn {
    /// Type and permissions.
    pub(crate) mode: u32,
    /// Device number, in `new_encode_dev()` form.
    pub(crate) rdev: u32,
    /// The caller's umask; since 7.12.
    pub(crate) umask: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Length of [`MknodIn`] before 7.12 (`FUSE_COMPAT_MKNOD_IN_SIZE`).
pub(crate) const COMPAT_MKNOD_IN_SIZE: usize = 8;

/// Request MKDIR (`fuse_mkdir_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct MkdirIn {
    /// Permissions; servers have never been given the type here.
    pub(crate) mode: u32,
    /// The caller's umask.
    pub(crate) umask: u32,
}

/// Request RENAME (`fuse_rename_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RenameIn {
    /// Directory of the new name.
    pub(crate) newdir: NodeId,
}

/// Request RENAME2 (`fuse_rename2_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Rename2In {
    /// Directory of the new name.
    pub(crate) newdir: NodeId,
    /// `RENAME_*`.
    pub(crate) flags: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request LINK (`fuse_link_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct LinkIn {
    /// The node that gets one more name.
    pub(crate) oldnodeid: NodeId,
}

wire_flags! {
    /// Flags of SETXATTR beyond those of the system call ([`SetxattrIn::setxattr_flags`]).
    SetxattrFlags(u32);
    /// One of [`SetxattrFlags`].
    SetxattrFlag {
        /// Drop set-group-id, because an access ACL is set (`FUSE_SETXATTR_ACL_KILL_SGID`).
        AclKillSgid = 0,
    }
}

/// Request SETXATTR to servers without `FUSE_SETXATTR_EXT`: the first half of [`SetxattrIn`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct CompatSetxattrIn {
    /// Length of the value in bytes.
    pub(crate) size: u32,
    /// `XATTR_CREATE`, `XATTR_REPLACE`.
    pub(crate) flags: u32,
}

/// Request SETXATTR (`fuse_setxattr_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SetxattrIn {
    /// Length of the value in bytes.
    pub(crate) size: u32,
    /// `XATTR_CREATE`, `XATTR_REPLACE`.
    pub(crate) flags: u32,
    /// More of them.
    pub(crate) setxattr_flags: SetxattrFlags,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request GETXATTR and LISTXATTR (`fuse_getxattr_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct GetxattrIn {
    /// Space for the value in bytes; zero asks for its length instead.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Reply to GETXATTR and LISTXATTR that asked for the length (`fuse_getxattr_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct GetxattrOut {
    /// Length in bytes.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// A range that is locked (`fuse_file_lock`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct FileLock {
    /// First byte.
    pub(crate) start: u64,
    /// Last byte.
    pub(crate) end: u64,
    /// `F_RDLCK`, `F_WRLCK`, `F_UNLCK`.
    pub(crate) kind: u32,
    /// The process that holds it, in the pid namespace of the mount.
    pub(crate) pid: u32,
}

wire_flags! {
    /// Flags of GETLK, SETLK and SETLKW ([`LkIn::lk_flags`]).
    LkFlags(u32);
    /// One of [`LkFlags`].
    LkFlag {
        /// A BSD lock, on the whole file and owned by the open file (`FUSE_LK_FLOCK`).
        Flock = 0,
    }
}

/// Request GETLK, SETLK and SETLKW (`fuse_lk_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct LkIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// The owner of the lock.
    pub(crate) owner: LockOwner,
    /// The lock.
    pub(crate) lk: FileLock,
    /// Flags; since 7.9.
    pub(crate) lk_flags: LkFlags,
    /// Unused.
    pub(crate) padding: u32,
}

/// Reply to GETLK (`fuse_lk_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct LkOut {
    /// A conflicting lock, or one of type `F_UNLCK`.
    pub(crate) lk: FileLock,
}

/// Request SYNCFS (`fuse_syncfs_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SyncfsIn {
    /// Unused.
    pub(crate) padding: u64,
}

/// A record of READDIR, without the name that follows it (`fuse_dirent`).
///
/// The next record begins at the next multiple of 8 bytes, see
/// [`rec_align`](super::header::rec_align).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Dirent {
    /// Inode number to show.
    pub(crate) ino: u64,
    /// Offset at which to continue after this record.
    pub(crate) off: u64,
    /// Length of the name in bytes, without NUL.
    pub(crate) namelen: u32,
    /// `DT_*`.
    pub(crate) kind: u32,
}

/// A record of READDIRPLUS, without the name that follows it (`fuse_direntplus`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Direntplus {
    /// As the reply to LOOKUP, with the same obligation.
    pub(crate) entry_out: EntryOut,
    /// As of READDIR.
    pub(crate) dirent: Dirent,
}
