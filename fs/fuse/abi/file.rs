// SPDX-License-Identifier: GPL-2.0

//! Operations on open files.
//!
//! `file` uses them, and DAX the mappings. No locks, no logic.

use super::wire::*;

wire_flags! {
    /// Flags of OPEN and CREATE beyond those of the system call ([`OpenIn::open_flags`]).
    OpenFlags(u32);
    /// One of [`OpenFlags`].
    OpenFlag {
        /// Clear set-user-id and set-group-id if executable (`FUSE_OPEN_KILL_SUIDGID`).
        KillSuidgid = 0,
    }
}

/// Request OPEN and OPENDIR (`fuse_open_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct OpenIn {
    /// `O_*`.
    pub(crate) flags: u32,
    /// More flags.
    pub(crate) open_flags: OpenFlags,
}

/// Request CREATE and TMPFILE (`fuse_create_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct CreateIn {
    /// `O_*`.
    pub(crate) flags: u32,
    /// Type and permissions.
    pub(crate) mode: u32,
    /// The caller's umask; since 7.12.
    pub(crate) umask: u32,
    /// More flags.
    pub(crate) open_flags: OpenFlags,
}

/// Length of [`CreateIn`] before 7.12.
pub(crate) const COMPAT_CREATE_IN_SIZE: usize = size_of::<OpenIn>();

wire_flags! {
    /// How an open file is to be used ([`OpenOut::open_flags`], `FOPEN_*`).
    FopenFlags(u32);
    /// One of [`FopenFlags`].
    FopenFlag {
        /// Bypass the page cache.
        DirectIo = 0,
        /// Keep what is cached of the file.
        KeepCache = 1,
        /// The file cannot be seeked.
        Nonseekable = 2,
        /// The content of this directory may be cached.
        CacheDir = 3,
        /// The file has no position at all.
        Stream = 4,
        /// No FLUSH on close, unless writes are cached.
        Noflush = 5,
        /// Direct writes to the inode may run at the same time.
        ParallelDirectWrites = 6,
        /// Reads and writes go to the backing file `backing_id`.
        Passthrough = 7,
        /// Reads and writes over io_uring need not be copied.
        IoUringZeroCopy = 8,
    }
}

/// Reply to OPEN, OPENDIR, and second half of that to CREATE and TMPFILE (`fuse_open_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct OpenOut {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// How to use it.
    pub(crate) open_flags: FopenFlags,
    /// Backing file, with [`FopenFlag::Passthrough`].
    pub(crate) backing_id: i32,
}

wire_flags! {
    /// Flags of RELEASE ([`ReleaseIn::release_flags`]).
    ReleaseFlags(u32);
    /// One of [`ReleaseFlags`].
    ReleaseFlag {
        /// Do what FLUSH does (`FUSE_RELEASE_FLUSH`); never sent.
        Flush = 0,
        /// Release the BSD lock of the open file (`FUSE_RELEASE_FLOCK_UNLOCK`).
        FlockUnlock = 1,
    }
}

/// Request RELEASE and RELEASEDIR (`fuse_release_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct ReleaseIn {
    /// The open file, for the last time.
    pub(crate) fh: FileHandle,
    /// `O_*`, as it was opened.
    pub(crate) flags: u32,
    /// More flags; since 7.8.
    pub(crate) release_flags: ReleaseFlags,
    /// Owner of the lock that is released; since 7.8.
    pub(crate) lock_owner: LockOwner,
}

/// Request FLUSH (`fuse_flush_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct FlushIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Unused.
    pub(crate) unused: u32,
    /// Unused.
    pub(crate) padding: u32,
    /// The lock owner that closes.
    pub(crate) lock_owner: LockOwner,
}

wire_flags! {
    /// Flags of READ ([`ReadIn::read_flags`]).
    ReadFlags(u32);
    /// One of [`ReadFlags`].
    ReadFlag {
        /// `lock_owner` is valid (`FUSE_READ_LOCKOWNER`).
        LockOwner = 1,
    }
}

/// Request READ, READDIR and READDIRPLUS (`fuse_read_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct ReadIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Offset in bytes; in a directory the `off` of a record.
    pub(crate) offset: u64,
    /// Maximum length in bytes.
    pub(crate) size: u32,
    /// Flags.
    pub(crate) read_flags: ReadFlags,
    /// The lock owner that reads.
    pub(crate) lock_owner: LockOwner,
    /// The current `O_*` of the open file.
    pub(crate) flags: u32,
    /// Unused.
    pub(crate) padding: u32,
}

wire_flags! {
    /// Flags of WRITE ([`WriteIn::write_flags`]).
    WriteFlags(u32);
    /// One of [`WriteFlags`].
    WriteFlag {
        /// From the page cache; the file handle is one that was open for writing
        /// (`FUSE_WRITE_CACHE`).
        Cache = 0,
        /// `lock_owner` is valid (`FUSE_WRITE_LOCKOWNER`).
        LockOwner = 1,
        /// Clear set-user-id and set-group-id (`FUSE_WRITE_KILL_SUIDGID`).
        KillSuidgid = 2,
    }
}

/// Request WRITE (`fuse_write_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct WriteIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Offset in bytes.
    pub(crate) offset: u64,
    /// Length of the data that follows, in bytes.
    pub(crate) size: u32,
    /// Flags.
    pub(crate) write_flags: WriteFlags,
    /// The lock owner that writes; since 7.9.
    pub(crate) lock_owner: LockOwner,
    /// The current `O_*` of the open file; since 7.9.
    pub(crate) flags: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Length of [`WriteIn`] before 7.9 (`FUSE_COMPAT_WRITE_IN_SIZE`).
pub(crate) const COMPAT_WRITE_IN_SIZE: usize = 24;

/// Reply to WRITE and COPY_FILE_RANGE (`fuse_write_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct WriteOut {
    /// Number of bytes written.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) padding: u32,
}

wire_flags! {
    /// Flags of FSYNC and FSYNCDIR ([`FsyncIn::fsync_flags`]).
    FsyncFlags(u32);
    /// One of [`FsyncFlags`].
    FsyncFlag {
        /// Content only (`FUSE_FSYNC_FDATASYNC`).
        Fdatasync = 0,
    }
}

/// Request FSYNC and FSYNCDIR (`fuse_fsync_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct FsyncIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Flags.
    pub(crate) fsync_flags: FsyncFlags,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request BMAP (`fuse_bmap_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct BmapIn {
    /// Block of the file.
    pub(crate) block: u64,
    /// Size of a block in bytes.
    pub(crate) blocksize: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Reply to BMAP (`fuse_bmap_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct BmapOut {
    /// Block of the device.
    pub(crate) block: u64,
}

wire_flags! {
    /// Flags of IOCTL, in both directions ([`IoctlIn::flags`], [`IoctlOut::flags`]).
    IoctlFlags(u32);
    /// One of [`IoctlFlags`].
    IoctlFlag {
        /// A 32-bit caller on a 64-bit kernel (`FUSE_IOCTL_COMPAT`).
        Compat = 0,
        /// The number does not describe the data; the server may ask for it
        /// (`FUSE_IOCTL_UNRESTRICTED`).
        Unrestricted = 1,
        /// The server asks for other data (`FUSE_IOCTL_RETRY`).
        Retry = 2,
        /// A 32-bit ioctl (`FUSE_IOCTL_32BIT`).
        Bits32 = 3,
        /// On a directory (`FUSE_IOCTL_DIR`).
        Dir = 4,
        /// An x32 caller (`FUSE_IOCTL_COMPAT_X32`).
        CompatX32 = 5,
    }
}

/// Maximum number of iovecs, in and out together, that a server may ask for (`FUSE_IOCTL_MAX_IOV`).
pub(crate) const IOCTL_MAX_IOV: u32 = 256;

/// Request IOCTL (`fuse_ioctl_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct IoctlIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Flags.
    pub(crate) flags: IoctlFlags,
    /// Number of the ioctl.
    pub(crate) cmd: u32,
    /// Its argument as the caller gave it.
    pub(crate) arg: u64,
    /// Length of the data that follows, in bytes.
    pub(crate) in_size: u32,
    /// Space for the data of the reply, in bytes.
    pub(crate) out_size: u32,
}

/// Data of IOCTL for `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR` (`struct fsxattr`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct FsXattr {
    /// Flags.
    pub(crate) xflags: u32,
    /// Preferred size of an extent, in bytes.
    pub(crate) extsize: u32,
    /// Number of extents.
    pub(crate) nextents: u32,
    /// Project.
    pub(crate) projid: u32,
    /// Preferred size of an extent that is copied on write, in bytes.
    pub(crate) cowextsize: u32,
    /// Unused.
    pub(crate) pad: [u8; 8],
}

/// An area of the caller's memory that the server asks for (`fuse_ioctl_iovec`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct IoctlIovec {
    /// Address.
    pub(crate) base: u64,
    /// Length in bytes.
    pub(crate) len: u64,
}

/// Reply to IOCTL (`fuse_ioctl_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct IoctlOut {
    /// Result of the ioctl.
    pub(crate) result: i32,
    /// Flags.
    pub(crate) flags: IoctlFlags,
    /// With [`IoctlFlag::Retry`]: number of iovecs to read.
    pub(crate) in_iovs: u32,
    /// With [`IoctlFlag::Retry`]: number of iovecs to write.
    pub(crate) out_iovs: u32,
}

wire_flags! {
    /// Flags of POLL ([`PollIn::flags`]).
    PollFlags(u32);
    /// One of [`PollFlags`].
    PollFlag {
        /// A task waits: notify (`FUSE_POLL_SCHEDULE_NOTIFY`).
        ScheduleNotify = 0,
    }
}

/// Request POLL (`fuse_poll_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct PollIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Handle for the notification.
    pub(crate) kh: KernelHandle,
    /// Flags.
    pub(crate) flags: PollFlags,
    /// `EPOLL*` that a task waits for, in the form of the system call.
    pub(crate) events: u32,
}

/// Reply to POLL (`fuse_poll_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct PollOut {
    /// Current `EPOLL*`, in the form of the system call.
    pub(crate) revents: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request FALLOCATE (`fuse_fallocate_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct FallocateIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Offset in bytes.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) length: u64,
    /// `FALLOC_FL_*`.
    pub(crate) mode: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request LSEEK (`fuse_lseek_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct LseekIn {
    /// The open file.
    pub(crate) fh: FileHandle,
    /// Start offset in bytes.
    pub(crate) offset: u64,
    /// `SEEK_DATA` or `SEEK_HOLE`.
    pub(crate) whence: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Reply to LSEEK (`fuse_lseek_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct LseekOut {
    /// Offset in bytes.
    pub(crate) offset: u64,
}

/// Request COPY_FILE_RANGE and COPY_FILE_RANGE_64 (`fuse_copy_file_range_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct CopyFileRangeIn {
    /// The open file to read.
    pub(crate) fh_in: FileHandle,
    /// Offset in bytes.
    pub(crate) off_in: u64,
    /// The node to write.
    pub(crate) nodeid_out: NodeId,
    /// The open file to write.
    pub(crate) fh_out: FileHandle,
    /// Offset in bytes.
    pub(crate) off_out: u64,
    /// Length in bytes.
    pub(crate) len: u64,
    /// Flags of copy_file_range(2).
    pub(crate) flags: u64,
}

/// Reply to COPY_FILE_RANGE_64 (`fuse_copy_file_range_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct CopyFileRangeOut {
    /// Number of bytes copied.
    pub(crate) bytes_copied: u64,
}

wire_flags! {
    /// Flags of SETUPMAPPING ([`SetupmappingIn::flags`]).
    SetupmappingFlags(u64);
    /// One of [`SetupmappingFlags`].
    SetupmappingFlag {
        /// Writable (`FUSE_SETUPMAPPING_FLAG_WRITE`).
        Write = 0,
        /// Readable (`FUSE_SETUPMAPPING_FLAG_READ`).
        Read = 1,
    }
}

/// Request SETUPMAPPING (`fuse_setupmapping_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct SetupmappingIn {
    /// An open file; all ones for none.
    pub(crate) fh: FileHandle,
    /// Offset in the file, in bytes.
    pub(crate) foffset: u64,
    /// Length in bytes.
    pub(crate) len: u64,
    /// Flags.
    pub(crate) flags: SetupmappingFlags,
    /// Offset in the DAX window, in bytes.
    pub(crate) moffset: u64,
}

/// Request REMOVEMAPPING; `count` [`RemovemappingOne`] follow (`fuse_removemapping_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RemovemappingIn {
    /// Number of mappings.
    pub(crate) count: u32,
}

/// One mapping of REMOVEMAPPING (`fuse_removemapping_one`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RemovemappingOne {
    /// Offset in the DAX window, in bytes.
    pub(crate) moffset: u64,
    /// Length in bytes.
    pub(crate) len: u64,
}
