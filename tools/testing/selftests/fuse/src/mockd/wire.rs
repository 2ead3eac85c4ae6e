// SPDX-License-Identifier: GPL-2.0

//! The wire format of protocol 7.46, as a server sees it.
//!
//! Own definitions, so that a mistake in the module's cannot hide here. Only
//! what the tests use; layouts are checked at the bottom of the file.

/// A value that crosses the device as its own bytes.
///
/// # Safety
///
/// The type must be `repr(C)`, without padding, and valid for any bytes.
pub unsafe trait Wire: Copy {
    fn bytes(&self) -> Vec<u8> {
        let p = (self as *const Self).cast::<u8>();
        // SAFETY: `Self` has no padding, so all of its bytes are initialised.
        unsafe { std::slice::from_raw_parts(p, size_of::<Self>()) }.to_vec()
    }

    /// The value at the start of `b`; panics if `b` is too short, which fails the test.
    fn from_bytes(b: &[u8]) -> Self {
        assert!(
            b.len() >= size_of::<Self>(),
            "{} bytes where {} needs {}",
            b.len(),
            std::any::type_name::<Self>(),
            size_of::<Self>()
        );
        // SAFETY: long enough as just checked, and any bytes are a valid `Self`.
        unsafe { b.as_ptr().cast::<Self>().read_unaligned() }
    }
}

macro_rules! wire {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $ty:ty),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $(pub $field: $ty),* }
        // SAFETY: `repr(C)` of plain integers; the assertions below show that there is no padding.
        unsafe impl Wire for $name {}
        const _: () = assert!(size_of::<$name>() == 0 $(+ size_of::<$ty>())*);
    )*};
}

wire! {
    InHeader { len: u32, opcode: u32, unique: u64, nodeid: u64, uid: u32, gid: u32, pid: u32, total_extlen: u16, padding: u16 }
    OutHeader { len: u32, error: i32, unique: u64 }
    InitIn { major: u32, minor: u32, max_readahead: u32, flags: u32, flags2: u32, unused: [u32; 11] }
    InitOut {
        major: u32, minor: u32, max_readahead: u32, flags: u32, max_background: u16, congestion_threshold: u16,
        max_write: u32, time_gran: u32, max_pages: u16, map_alignment: u16, flags2: u32, max_stack_depth: u32,
        request_timeout: u16, unused: [u16; 11],
    }
    Attr {
        ino: u64, size: u64, blocks: u64, atime: u64, mtime: u64, ctime: u64, atimensec: u32, mtimensec: u32,
        ctimensec: u32, mode: u32, nlink: u32, uid: u32, gid: u32, rdev: u32, blksize: u32, flags: u32,
    }
    EntryOut {
        nodeid: u64, generation: u64, entry_valid: u64, attr_valid: u64, entry_valid_nsec: u32, attr_valid_nsec: u32,
        attr: Attr,
    }
    AttrOut { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: Attr }
    GetattrIn { getattr_flags: u32, dummy: u32, fh: u64 }
    ForgetIn { nlookup: u64 }
    ForgetOne { nodeid: u64, nlookup: u64 }
    BatchForgetIn { count: u32, dummy: u32 }
    GetxattrIn { size: u32, padding: u32 }
    SetxattrIn { size: u32, flags: u32, setxattr_flags: u32, padding: u32 }
    AccessIn { mask: u32, padding: u32 }
    OpenIn { flags: u32, open_flags: u32 }
    OpenOut { fh: u64, open_flags: u32, backing_id: i32 }
    ReadIn { fh: u64, offset: u64, size: u32, read_flags: u32, lock_owner: u64, flags: u32, padding: u32 }
    WriteIn { fh: u64, offset: u64, size: u32, write_flags: u32, lock_owner: u64, flags: u32, padding: u32 }
    WriteOut { size: u32, padding: u32 }
    FileLock { start: u64, end: u64, kind: u32, pid: u32 }
    LkIn { fh: u64, owner: u64, lk: FileLock, lk_flags: u32, padding: u32 }
    LkOut { lk: FileLock }
    CopyFileRangeIn {
        fh_in: u64, off_in: u64, nodeid_out: u64, fh_out: u64, off_out: u64, len: u64, flags: u64,
    }
    CopyFileRangeOut { bytes_copied: u64 }
    SetattrIn {
        valid: u32, padding: u32, fh: u64, size: u64, lock_owner: u64, atime: u64, mtime: u64, ctime: u64,
        atimensec: u32, mtimensec: u32, ctimensec: u32, mode: u32, unused4: u32, uid: u32, gid: u32, unused5: u32,
    }
    IoctlIn { fh: u64, flags: u32, cmd: u32, arg: u64, in_size: u32, out_size: u32 }
    IoctlOut { result: i32, flags: u32, in_iovs: u32, out_iovs: u32 }
    IoctlIovec { base: u64, len: u64 }
    CuseInitIn { major: u32, minor: u32, unused: u32, flags: u32 }
    /// Followed by what the server says of the device.
    CuseInitOut {
        major: u32, minor: u32, unused: u32, flags: u32, max_read: u32, max_write: u32, dev_major: u32, dev_minor: u32,
        spare: [u32; 10],
    }
    FsyncIn { fh: u64, fsync_flags: u32, padding: u32 }
    FlushIn { fh: u64, unused: u32, padding: u32, lock_owner: u64 }
    ReleaseIn { fh: u64, flags: u32, release_flags: u32, lock_owner: u64 }
    PollIn { fh: u64, kh: u64, flags: u32, events: u32 }
    PollOut { revents: u32, padding: u32 }
    FallocateIn { fh: u64, offset: u64, length: u64, mode: u32, padding: u32 }
    LseekIn { fh: u64, offset: u64, whence: u32, padding: u32 }
    LseekOut { offset: u64 }
    BmapIn { block: u64, blocksize: u32, padding: u32 }
    BmapOut { block: u64 }
    StatfsOut {
        blocks: u64, bfree: u64, bavail: u64, files: u64, ffree: u64, bsize: u32, namelen: u32, frsize: u32,
        padding: u32, spare: [u32; 6],
    }
    InterruptIn { unique: u64 }
    /// Followed by the data.
    NotifyStoreOut { nodeid: u64, offset: u64, size: u32, padding: u32 }
    NotifyRetrieveOut { notify_unique: u64, nodeid: u64, offset: u64, size: u32, padding: u32 }
    /// Followed by the data.
    NotifyRetrieveIn { dummy1: u64, offset: u64, size: u32, dummy2: u32, dummy3: u64, dummy4: u64 }
    /// What is specific to the ring in the header area of an entry.
    RingEntInOut { flags: u64, commit_id: u64, payload_sz: u32, offset: u32, reserved: u64 }
    /// The bytes of a command; `uaddr`, `len` and `reserved` are ADD_BUFPOOL's, and the low half of the first REGISTER's.
    RingCmdReq { flags: u64, commit_id: u64, qid: u16, padding: [u16; 3], uaddr: u64, len: u32, reserved: u32 }
    /// Followed by the name, then by zeros up to a multiple of 8 bytes.
    DirentHead { ino: u64, off: u64, namelen: u32, kind: u32 }
}

const _: () = {
    assert!(size_of::<InHeader>() == 40 && size_of::<OutHeader>() == 16);
    assert!(size_of::<InitIn>() == 64 && size_of::<InitOut>() == 64);
    assert!(size_of::<Attr>() == 88 && size_of::<EntryOut>() == 128 && size_of::<AttrOut>() == 104);
    assert!(size_of::<StatfsOut>() == 80 && size_of::<ReadIn>() == 40);
};

macro_rules! numbers {
    ($(#[$doc:meta])* $table:ident: $ty:ty { $($name:ident = $value:expr),* $(,)? }) => {
        $(#[allow(dead_code)] pub const $name: $ty = $value;)*
        $(#[$doc])*
        pub const $table: &[($ty, &str)] = &[$(($name, stringify!($name))),*];
    };
}

numbers! {
    /// Names of the opcodes, for diagnostics.
    OPCODES: u32 {
        LOOKUP = 1, FORGET = 2, GETATTR = 3, SETATTR = 4, READLINK = 5, SYMLINK = 6, MKNOD = 8, MKDIR = 9,
        UNLINK = 10, RMDIR = 11, RENAME = 12, LINK = 13, OPEN = 14, READ = 15, WRITE = 16, STATFS = 17,
        RELEASE = 18, FSYNC = 20, SETXATTR = 21, GETXATTR = 22, LISTXATTR = 23, REMOVEXATTR = 24, FLUSH = 25,
        INIT = 26, OPENDIR = 27, READDIR = 28, RELEASEDIR = 29, FSYNCDIR = 30, GETLK = 31, SETLK = 32,
        SETLKW = 33, ACCESS = 34, CREATE = 35, INTERRUPT = 36, BMAP = 37, DESTROY = 38, IOCTL = 39, POLL = 40,
        NOTIFY_REPLY = 41, BATCH_FORGET = 42, FALLOCATE = 43, READDIRPLUS = 44, RENAME2 = 45, LSEEK = 46,
        COPY_FILE_RANGE = 47, SYNCFS = 50, TMPFILE = 51, STATX = 52, COPY_FILE_RANGE_64 = 53, CUSE_INIT = 4096,
    }
}

/// Name of an opcode.
pub fn opcode_name(op: u32) -> String {
    match OPCODES.iter().find(|(n, _)| *n == op) {
        Some((_, name)) => (*name).to_string(),
        None => format!("opcode {op}"),
    }
}

/// What a notification says (`FUSE_NOTIFY_*`), where a reply has its error.
pub mod notice {
    pub const POLL: i32 = 1;
    pub const INVAL_INODE: i32 = 2;
    pub const INVAL_ENTRY: i32 = 3;
    pub const STORE: i32 = 4;
    pub const RETRIEVE: i32 = 5;
    pub const DELETE: i32 = 6;
    pub const RESEND: i32 = 7;
    pub const INC_EPOCH: i32 = 8;
    pub const PRUNE: i32 = 9;
}

/// Flags of INIT, both words as one number.
pub mod init {
    pub const ASYNC_READ: u64 = 1 << 0;
    pub const POSIX_LOCKS: u64 = 1 << 1;
    pub const ATOMIC_O_TRUNC: u64 = 1 << 3;
    pub const EXPORT_SUPPORT: u64 = 1 << 4;
    pub const BIG_WRITES: u64 = 1 << 5;
    pub const DONT_MASK: u64 = 1 << 6;
    pub const SPLICE_WRITE: u64 = 1 << 7;
    pub const SPLICE_MOVE: u64 = 1 << 8;
    pub const SPLICE_READ: u64 = 1 << 9;
    pub const FLOCK_LOCKS: u64 = 1 << 10;
    pub const HAS_IOCTL_DIR: u64 = 1 << 11;
    pub const AUTO_INVAL_DATA: u64 = 1 << 12;
    pub const DO_READDIRPLUS: u64 = 1 << 13;
    pub const READDIRPLUS_AUTO: u64 = 1 << 14;
    pub const ASYNC_DIO: u64 = 1 << 15;
    pub const WRITEBACK_CACHE: u64 = 1 << 16;
    pub const NO_OPEN_SUPPORT: u64 = 1 << 17;
    pub const PARALLEL_DIROPS: u64 = 1 << 18;
    pub const HANDLE_KILLPRIV: u64 = 1 << 19;
    pub const POSIX_ACL: u64 = 1 << 20;
    pub const ABORT_ERROR: u64 = 1 << 21;
    pub const MAX_PAGES: u64 = 1 << 22;
    pub const CACHE_SYMLINKS: u64 = 1 << 23;
    pub const NO_OPENDIR_SUPPORT: u64 = 1 << 24;
    pub const EXPLICIT_INVAL_DATA: u64 = 1 << 25;
    pub const HANDLE_KILLPRIV_V2: u64 = 1 << 28;
    pub const SETXATTR_EXT: u64 = 1 << 29;
    pub const INIT_EXT: u64 = 1 << 30;
    pub const SECURITY_CTX: u64 = 1 << 32;
    pub const HAS_INODE_DAX: u64 = 1 << 33;
    pub const CREATE_SUPP_GROUP: u64 = 1 << 34;
    pub const SUBMOUNTS: u64 = 1 << 27;
    pub const HAS_EXPIRE_ONLY: u64 = 1 << 35;
    pub const DIRECT_IO_ALLOW_MMAP: u64 = 1 << 36;
    pub const PASSTHROUGH: u64 = 1 << 37;
    pub const NO_EXPORT_SUPPORT: u64 = 1 << 38;
    pub const HAS_RESEND: u64 = 1 << 39;
    pub const ALLOW_IDMAP: u64 = 1 << 40;
    pub const OVER_IO_URING: u64 = 1 << 41;
    pub const REQUEST_TIMEOUT: u64 = 1 << 42;
    pub const HAS_IO_URING_BUFPOOL: u64 = 1 << 43;
}

pub const FOPEN_DIRECT_IO: u32 = 1 << 0;
pub const FOPEN_KEEP_CACHE: u32 = 1 << 1;
pub const FOPEN_NONSEEKABLE: u32 = 1 << 2;
pub const FOPEN_STREAM: u32 = 1 << 4;
pub const FOPEN_NOFLUSH: u32 = 1 << 5;
pub const FOPEN_PARALLEL_DIRECT_WRITES: u32 = 1 << 6;
pub const FOPEN_PASSTHROUGH: u32 = 1 << 7;
pub const FOPEN_IO_URING_ZERO_COPY: u32 = 1 << 8;

pub const SETXATTR_ACL_KILL_SGID: u32 = 1 << 0;

/// In CUSE_INIT: ioctls may ask for memory that their number does not tell.
pub const CUSE_UNRESTRICTED_IOCTL: u32 = 1 << 0;

pub const IOCTL_COMPAT: u32 = 1 << 0;
pub const IOCTL_UNRESTRICTED: u32 = 1 << 1;
pub const IOCTL_RETRY: u32 = 1 << 2;
pub const IOCTL_32BIT: u32 = 1 << 3;
pub const IOCTL_DIR: u32 = 1 << 4;

pub const POLL_SCHEDULE_NOTIFY: u32 = 1 << 0;

pub const GETATTR_FH: u32 = 1 << 0;
pub const READ_LOCKOWNER: u32 = 1 << 1;
pub const WRITE_CACHE: u32 = 1 << 0;
pub const WRITE_LOCKOWNER: u32 = 1 << 1;
pub const LK_FLOCK: u32 = 1 << 0;
pub const RELEASE_FLOCK_UNLOCK: u32 = 1 << 1;

/// The node of the root directory.
pub const ROOT: u64 = 1;
/// In `unique`: an answer to, or the message of, an interrupt.
pub const INTERRUPT_BIT: u64 = 1;
/// `f_type` of every FUSE file system.
pub const SUPER_MAGIC: i64 = 0x6573_5546;
/// Longest name that READDIR may carry.
pub const NAME_MAX: usize = 4095;
pub const IN_HEADER: usize = size_of::<InHeader>();
pub const OUT_HEADER: usize = size_of::<OutHeader>();

/// The bytes of a READDIR reply, built entry by entry.
#[derive(Clone, Default)]
pub struct Dirents(pub Vec<u8>);

impl Dirents {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry whose successor is at offset `off`.
    pub fn add(mut self, ino: u64, off: u64, kind: u8, name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref();
        let head = DirentHead {
            ino,
            off,
            namelen: name.len() as u32,
            kind: kind.into(),
        };
        self.0.extend(head.bytes());
        self.0.extend(name);
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self
    }

    /// Adds an entry of READDIRPLUS, whose successor is at offset `off`.
    pub fn plus(mut self, entry: EntryOut, ino: u64, off: u64, name: impl AsRef<[u8]>) -> Self {
        self.0.extend(entry.bytes());
        let kind = ((entry.attr.mode >> 12) & 15) as u8;
        self.add(ino, off, kind, name)
    }

    /// Adds a header that claims `namelen`, whatever `name` is.
    pub fn add_claiming(mut self, namelen: u32, off: u64, name: &[u8]) -> Self {
        let head = DirentHead {
            ino: 99,
            off,
            namelen,
            kind: libc::DT_REG.into(),
        };
        self.0.extend(head.bytes());
        self.0.extend(name);
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self
    }
}
