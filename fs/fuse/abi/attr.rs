// SPDX-License-Identifier: GPL-2.0

//! Attributes: of a node, of a name, of the file system.
//!
//! Times are seconds since 1970 in 64 bits (negative ones in two's complement) and nanoseconds.
//! Timeouts are relative, from the moment the reply is handled.
//!
//! `inode` and `attr` check the values. No locks, no logic.

use super::wire::*;

wire_flags! {
    /// Flags of a node ([`Attr::flags`], `FUSE_ATTR_*`).
    AttrFlags(u32);
    /// One of [`AttrFlags`].
    AttrFlag {
        /// The node is the root of a submount.
        Submount = 0,
        /// With per-inode DAX: use it for this file.
        Dax = 1,
    }
}

/// Attributes of a node (`fuse_attr`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Attr {
    /// Inode number to show; any 64 bits, not the [`NodeId`].
    pub(crate) ino: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Space used, in units of 512 bytes.
    pub(crate) blocks: u64,
    /// Last access, seconds.
    pub(crate) atime: u64,
    /// Last change of content, seconds.
    pub(crate) mtime: u64,
    /// Last change of the node, seconds.
    pub(crate) ctime: u64,
    /// Last access, nanoseconds.
    pub(crate) atimensec: u32,
    /// Last change of content, nanoseconds.
    pub(crate) mtimensec: u32,
    /// Last change of the node, nanoseconds.
    pub(crate) ctimensec: u32,
    /// Type and permissions, `S_I*`.
    pub(crate) mode: u32,
    /// Number of names.
    pub(crate) nlink: u32,
    /// Owner, in the user namespace of the mount.
    pub(crate) uid: u32,
    /// Group, in the user namespace of the mount.
    pub(crate) gid: u32,
    /// Device number of a device node, in `new_encode_dev()` form.
    pub(crate) rdev: u32,
    /// Preferred size of I/O in bytes, 0 for the default; since 7.9.
    pub(crate) blksize: u32,
    /// Since 7.32.
    pub(crate) flags: AttrFlags,
}

/// A time of STATX (`fuse_sx_time`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SxTime {
    /// Seconds.
    pub(crate) tv_sec: i64,
    /// Nanoseconds.
    pub(crate) tv_nsec: u32,
    /// Unused.
    pub(crate) reserved: i32,
}

/// Attributes of a node in the form of statx(2) (`fuse_statx`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Statx {
    /// Which fields are valid, `STATX_*`.
    pub(crate) mask: u32,
    /// Preferred size of I/O in bytes.
    pub(crate) blksize: u32,
    /// `STATX_ATTR_*`.
    pub(crate) attributes: u64,
    /// Number of names.
    pub(crate) nlink: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Type and permissions.
    pub(crate) mode: u16,
    /// Unused.
    pub(crate) spare0: [u16; 1],
    /// Inode number to show.
    pub(crate) ino: u64,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Space used, in units of 512 bytes.
    pub(crate) blocks: u64,
    /// Which of `attributes` the server supports.
    pub(crate) attributes_mask: u64,
    /// Last access.
    pub(crate) atime: SxTime,
    /// Creation.
    pub(crate) btime: SxTime,
    /// Last change of the node.
    pub(crate) ctime: SxTime,
    /// Last change of content.
    pub(crate) mtime: SxTime,
    /// Major device number of a device node.
    pub(crate) rdev_major: u32,
    /// Minor device number of a device node.
    pub(crate) rdev_minor: u32,
    /// Major number of the device it is on; not used, the kernel knows.
    pub(crate) dev_major: u32,
    /// Minor number of the device it is on; not used, the kernel knows.
    pub(crate) dev_minor: u32,
    /// Unused.
    pub(crate) spare2: [u64; 14],
}

/// The file system as statfs(2) shows it (`fuse_kstatfs`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct Kstatfs {
    /// Size in units of `frsize`.
    pub(crate) blocks: u64,
    /// Free space in units of `frsize`.
    pub(crate) bfree: u64,
    /// Free space for users, in units of `frsize`.
    pub(crate) bavail: u64,
    /// Number of inodes.
    pub(crate) files: u64,
    /// Number of free inodes.
    pub(crate) ffree: u64,
    /// Preferred size of I/O in bytes.
    pub(crate) bsize: u32,
    /// Maximum length of a name in bytes.
    pub(crate) namelen: u32,
    /// Unit of the sizes above in bytes; since 7.4.
    pub(crate) frsize: u32,
    /// Unused.
    pub(crate) padding: u32,
    /// Unused.
    pub(crate) spare: [u32; 6],
}

/// Reply to STATFS (`fuse_statfs_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct StatfsOut {
    /// The whole reply.
    pub(crate) st: Kstatfs,
}

/// Length of [`StatfsOut`] before 7.4 (`FUSE_COMPAT_STATFS_SIZE`).
pub(crate) const COMPAT_STATFS_SIZE: usize = 48;

/// Reply to every operation that returns a node (`fuse_entry_out`).
///
/// The kernel owes one more FORGET of `nodeid`, unless that is zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct EntryOut {
    /// The node; [`NodeId::NONE`] tells that the name does not exist and that this may be cached.
    pub(crate) nodeid: NodeId,
    /// Its generation.
    pub(crate) generation: Generation,
    /// How long the name may be cached, seconds.
    pub(crate) entry_valid: u64,
    /// How long the attributes may be cached, seconds.
    pub(crate) attr_valid: u64,
    /// How long the name may be cached, nanoseconds.
    pub(crate) entry_valid_nsec: u32,
    /// How long the attributes may be cached, nanoseconds.
    pub(crate) attr_valid_nsec: u32,
    /// The attributes.
    pub(crate) attr: Attr,
}

/// Length of [`EntryOut`] before 7.9 (`FUSE_COMPAT_ENTRY_OUT_SIZE`).
pub(crate) const COMPAT_ENTRY_OUT_SIZE: usize = 120;

wire_flags! {
    /// Flags of GETATTR and STATX ([`GetattrIn::getattr_flags`]).
    GetattrFlags(u32);
    /// One of [`GetattrFlags`].
    GetattrFlag {
        /// `fh` is valid (`FUSE_GETATTR_FH`).
        Fh = 0,
    }
}

/// Request GETATTR (`fuse_getattr_in`); since 7.9, sent to older servers too.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct GetattrIn {
    /// Which fields are valid.
    pub(crate) getattr_flags: GetattrFlags,
    /// Unused.
    pub(crate) dummy: u32,
    /// The open file that is asked about.
    pub(crate) fh: FileHandle,
}

/// Reply to GETATTR and SETATTR (`fuse_attr_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct AttrOut {
    /// How long the attributes may be cached, seconds.
    pub(crate) attr_valid: u64,
    /// How long the attributes may be cached, nanoseconds.
    pub(crate) attr_valid_nsec: u32,
    /// Unused.
    pub(crate) dummy: u32,
    /// The attributes.
    pub(crate) attr: Attr,
}

/// Length of [`AttrOut`] before 7.9 (`FUSE_COMPAT_ATTR_OUT_SIZE`).
pub(crate) const COMPAT_ATTR_OUT_SIZE: usize = 96;

/// Request STATX (`fuse_statx_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct StatxIn {
    /// Which fields are valid.
    pub(crate) getattr_flags: GetattrFlags,
    /// Unused.
    pub(crate) reserved: u32,
    /// The open file that is asked about.
    pub(crate) fh: FileHandle,
    /// `AT_STATX_*`.
    pub(crate) sx_flags: u32,
    /// Which attributes are wanted, `STATX_*`.
    pub(crate) sx_mask: u32,
}

/// Reply to STATX (`fuse_statx_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct StatxOut {
    /// How long the attributes may be cached, seconds.
    pub(crate) attr_valid: u64,
    /// How long the attributes may be cached, nanoseconds.
    pub(crate) attr_valid_nsec: u32,
    /// Unused.
    pub(crate) flags: u32,
    /// Unused.
    pub(crate) spare: [u64; 2],
    /// The attributes.
    pub(crate) stat: Statx,
}

wire_flags! {
    /// Which fields of SETATTR are to be set ([`SetattrIn::valid`], `FATTR_*`).
    SetattrFlags(u32);
    /// One of [`SetattrFlags`].
    SetattrFlag {
        /// Set `mode`.
        Mode = 0,
        /// Set `uid`.
        Uid = 1,
        /// Set `gid`.
        Gid = 2,
        /// Set `size`.
        Size = 3,
        /// Set the time of last access.
        Atime = 4,
        /// Set the time of last change of content.
        Mtime = 5,
        /// `fh` is valid.
        Fh = 6,
        /// The time of last access is the time of the call.
        AtimeNow = 7,
        /// The time of last change of content is the time of the call.
        MtimeNow = 8,
        /// `lock_owner` is valid.
        LockOwner = 9,
        /// Set the time of last change of the node.
        Ctime = 10,
        /// Clear the set-user-id and set-group-id bits.
        KillSuidgid = 11,
    }
}

/// Request SETATTR (`fuse_setattr_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SetattrIn {
    /// What to set.
    pub(crate) valid: SetattrFlags,
    /// Unused.
    pub(crate) padding: u32,
    /// The open file through which it is set.
    pub(crate) fh: FileHandle,
    /// New size in bytes.
    pub(crate) size: u64,
    /// The lock owner that changes the size.
    pub(crate) lock_owner: LockOwner,
    /// Last access, seconds.
    pub(crate) atime: u64,
    /// Last change of content, seconds.
    pub(crate) mtime: u64,
    /// Last change of the node, seconds.
    pub(crate) ctime: u64,
    /// Last access, nanoseconds.
    pub(crate) atimensec: u32,
    /// Last change of content, nanoseconds.
    pub(crate) mtimensec: u32,
    /// Last change of the node, nanoseconds.
    pub(crate) ctimensec: u32,
    /// Type and permissions.
    pub(crate) mode: u32,
    /// Unused.
    pub(crate) unused4: u32,
    /// Owner.
    pub(crate) uid: u32,
    /// Group.
    pub(crate) gid: u32,
    /// Unused.
    pub(crate) unused5: u32,
}
