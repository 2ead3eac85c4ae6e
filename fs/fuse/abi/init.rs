// SPDX-License-Identifier: GPL-2.0

//! The first exchange: the features of each side.
//!
//! [`conn::init`](super::super::conn) makes the offer and reads the answer. No locks, no logic
//! except the split of the flags into two words.

use super::wire::*;
use kernel::prelude::*;

wire_flags! {
    /// The flags that the kernel offers and the server accepts (`FUSE_*` of the INIT message).
    ///
    /// On the wire the low 32 bits are `flags`; the high ones are `flags2`, which counts only if
    /// [`InitFlag::InitExt`] is set.
    InitFlags(u64);
    /// One of [`InitFlags`].
    InitFlag {
        /// Several reads of a file may be under way at a time.
        AsyncRead = 0,
        /// The server keeps POSIX locks.
        PosixLocks = 1,
        /// Not supported.
        FileOps = 2,
        /// OPEN gets `O_TRUNC`, no SETATTR is sent for it.
        AtomicOTrunc = 3,
        /// The server answers LOOKUP of "." and "..", so that it can be exported by NFS.
        ExportSupport = 4,
        /// The server takes writes of more than a page.
        BigWrites = 5,
        /// The server applies the umask.
        DontMask = 6,
        /// The kernel can splice from a pipe to the device.
        SpliceWrite = 7,
        /// The kernel can move pages when splicing.
        SpliceMove = 8,
        /// The kernel can splice from the device to a pipe.
        SpliceRead = 9,
        /// The server keeps BSD locks.
        FlockLocks = 10,
        /// The kernel sends ioctls on directories.
        HasIoctlDir = 11,
        /// Cached data is dropped when size or mtime turn out to have changed.
        AutoInvalData = 12,
        /// The server has READDIRPLUS.
        DoReaddirplus = 13,
        /// READDIRPLUS only where it seems useful.
        ReaddirplusAuto = 14,
        /// Direct I/O may be asynchronous.
        AsyncDio = 15,
        /// Writes stay in the page cache; the kernel owns size and times.
        WritebackCache = 16,
        /// The kernel takes ENOSYS from OPEN as "no need to open".
        NoOpenSupport = 17,
        /// LOOKUP and READDIR in one directory may run at the same time.
        ParallelDirops = 18,
        /// The server clears set-id bits and capabilities on write, chown and truncate.
        HandleKillpriv = 19,
        /// The server has POSIX ACLs, which the kernel checks.
        PosixAcl = 20,
        /// Reading the device after an abort gives ECONNABORTED.
        AbortError = 21,
        /// `max_pages` is valid.
        MaxPages = 22,
        /// Targets of symbolic links may be cached.
        CacheSymlinks = 23,
        /// The kernel takes ENOSYS from OPENDIR as "no need to open".
        NoOpendirSupport = 24,
        /// Cached data is dropped on the server's request only.
        ExplicitInvalData = 25,
        /// `map_alignment` is valid.
        MapAlignment = 26,
        /// The kernel mounts submounts by itself.
        Submounts = 27,
        /// Like [`InitFlag::HandleKillpriv`], with the exact rules of the VFS.
        HandleKillprivV2 = 28,
        /// SETXATTR has the long form.
        SetxattrExt = 29,
        /// `flags2` is valid.
        InitExt = 30,
        /// Reserved, never set.
        InitReserved = 31,
        /// New files get a security context.
        SecurityCtx = 32,
        /// DAX is chosen per inode.
        HasInodeDax = 33,
        /// Operations that create have the group of the parent if the caller is in it.
        CreateSuppGroup = 34,
        /// The kernel knows [`InvalEntryFlag::ExpireOnly`](super::notify::InvalEntryFlag).
        HasExpireOnly = 35,
        /// Shared mappings are allowed on files opened for direct I/O.
        DirectIoAllowMmap = 36,
        /// Reads and writes may go straight to a backing file.
        Passthrough = 37,
        /// The file system cannot be exported.
        NoExportSupport = 38,
        /// The kernel can send requests again.
        HasResend = 39,
        /// Idmapped mounts are allowed.
        AllowIdmap = 40,
        /// Requests may go over io_uring.
        OverIoUring = 41,
        /// `request_timeout` is valid.
        RequestTimeout = 42,
        /// The kernel knows buffer pools of io_uring.
        HasIoUringBufpool = 43,
    }
}

/// Request INIT (`fuse_init_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct InitIn {
    /// [`KERNEL_VERSION`](super::KERNEL_VERSION).
    pub(crate) major: u32,
    /// [`KERNEL_MINOR_VERSION`](super::KERNEL_MINOR_VERSION).
    pub(crate) minor: u32,
    /// Maximum readahead in bytes.
    pub(crate) max_readahead: u32,
    pub(super) flags: u32,
    pub(super) flags2: u32,
    /// Unused.
    pub(crate) unused: [u32; 11],
}

impl InitIn {
    /// The offer of this kernel.
    pub(crate) fn new(max_readahead: u32, flags: InitFlags) -> Self {
        Self {
            major: super::KERNEL_VERSION,
            minor: super::KERNEL_MINOR_VERSION,
            max_readahead,
            flags: flags.bits() as u32,
            flags2: (flags.bits() >> 32) as u32,
            unused: [0; 11],
        }
    }
}

/// Reply to INIT (`fuse_init_out`).
///
/// Servers may answer with less: the first 8 bytes before 7.5, the first 24 before 7.23. The rest
/// reads as zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct InitOut {
    /// Major version of the server. If it is smaller than ours the server cannot be used.
    pub(crate) major: u32,
    /// Minor version of the server.
    pub(crate) minor: u32,
    /// Maximum readahead in bytes.
    pub(crate) max_readahead: u32,
    pub(super) flags: u32,
    /// Maximum number of background requests at a time, 0 for the default.
    pub(crate) max_background: u16,
    /// Number of background requests that counts as congestion, 0 for the default.
    pub(crate) congestion_threshold: u16,
    /// Maximum length of a WRITE in bytes.
    pub(crate) max_write: u32,
    /// Granularity of times in nanoseconds, 0 for the default.
    pub(crate) time_gran: u32,
    /// Maximum number of pages of a request.
    pub(crate) max_pages: u16,
    /// log2 of the alignment of DAX mappings.
    pub(crate) map_alignment: u16,
    pub(super) flags2: u32,
    /// Maximum depth of file systems stacked on backing files.
    pub(crate) max_stack_depth: u32,
    /// Seconds after which an unanswered request ends the connection.
    pub(crate) request_timeout: u16,
    /// Unused.
    pub(crate) unused: [u16; 11],
}

impl InitOut {
    /// The flags that the server accepted.
    pub(crate) fn flags(&self) -> InitFlags {
        let low = InitFlags::from_bits(u64::from(self.flags));

        if low.contains(InitFlag::InitExt) {
            low | InitFlags::from_bits(u64::from(self.flags2) << 32)
        } else {
            low
        }
    }

    /// An answer of this version that accepts `flags`, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn accepting(minor: u32, flags: InitFlags) -> Self {
        Self {
            major: super::KERNEL_VERSION,
            minor,
            flags: flags.bits() as u32,
            flags2: (flags.bits() >> 32) as u32,
            ..Self::default()
        }
    }
}

#[kunit_tests(ferrofuse_abi)]
mod tests {
    use super::super::header::rec_align;
    use super::super::notify::NotifyCode;
    use super::super::uring::{
        RingCmd,
        RingCmdReq, //
    };
    use super::*;

    #[test]
    fn flags_are_split_into_two_words() {
        let init = InitIn::new(
            4096,
            InitFlag::AsyncRead | InitFlag::InitExt | InitFlag::RequestTimeout,
        );

        assert_eq!(init.major, 7);
        assert_eq!(init.minor, 46);
        assert_eq!(init.max_readahead, 4096);
        assert_eq!(init.flags, (1 << 0) | (1 << 30));
        assert_eq!(init.flags2, 1 << (42 - 32));
    }

    #[test]
    fn the_second_word_counts_only_if_announced() {
        let high = InitFlags::from_bits(1 << 42);
        let silent = InitOut::accepting(46, high);
        let announced = InitOut::accepting(46, high | InitFlag::InitExt);

        assert!(!silent.flags().contains(InitFlag::RequestTimeout));
        assert!(announced.flags().contains(InitFlag::RequestTimeout));
    }

    #[test]
    fn unnamed_flags_survive() {
        let flags = InitFlags::from_bits(1 << 63) | InitFlag::AsyncRead;

        assert_eq!(flags.bits(), (1 << 63) | 1);
        assert!(!(flags & InitFlag::AsyncRead).contains(InitFlag::PosixLocks));
    }

    #[test]
    fn records_are_aligned_without_overflow() {
        assert_eq!(rec_align(0), Some(0));
        assert_eq!(rec_align(25), Some(32));
        assert_eq!(rec_align(32), Some(32));
        assert_eq!(rec_align(usize::MAX - 6), None);
    }

    #[test]
    fn codes_are_known_or_not() {
        for number in 1..=9 {
            assert!(NotifyCode::from_number(number).is_some_and(|code| code as i32 == number));
        }
        assert_eq!(NotifyCode::from_number(0), None);
        assert_eq!(NotifyCode::from_number(10), None);
        for number in 1..=4 {
            assert!(RingCmd::from_number(number).is_some_and(|cmd| cmd as u32 == number));
        }
        assert_eq!(RingCmd::from_number(0), None);
        assert_eq!(RingCmd::from_number(5), None);
    }

    #[test]
    fn the_last_bytes_of_a_ring_command_are_a_union() -> Result {
        let mut bytes = [0; 40];

        bytes[24] = 0x34;
        bytes[25] = 0x12;
        bytes[32] = 0x56;

        let req = RingCmdReq::read_from_bytes(&bytes).map_err(|_| EINVAL)?;

        assert_eq!(
            req.ent_zero_copy_buf_index(),
            u16::from_ne_bytes([0x34, 0x12])
        );
        assert_eq!(
            req.bufpool().uaddr,
            u64::from_ne_bytes([0x34, 0x12, 0, 0, 0, 0, 0, 0])
        );
        assert_eq!(req.bufpool().len, u32::from_ne_bytes([0x56, 0, 0, 0]));
        Ok(())
    }
}
