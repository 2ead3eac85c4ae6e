// SPDX-License-Identifier: GPL-2.0

//! Attributes of inodes, as callers ask for them, file systems fill them in and callers change
//! them; and what an access check is for.
//!
//! Locks: none of its own.
//!
//! C header: `include/linux/stat.h`, `include/linux/fs.h`.

use crate::vfs::{
    bindings,
    cred::{
        Idmap,
        Kgid,
        Kuid,
        UserNs, //
    },
    file::open::File,
    mount::sb::{
        FileSystem,
        SuperBlock, //
    },
    node::{
        dentry::DEntry,
        inode::{
            Dev,
            INode,
            Timespec, //
        },
        walk::Walk, //
    },
};
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    impl_flags,
    prelude::*, //
};

impl_flags!(
    /// What a permission check is for (`MAY_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct Access(u32);

    /// One thing that a permission check is for.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum May {
        /// Execute a file, search a directory.
        Exec = bindings::MAY_EXEC,
        /// Write.
        Write = bindings::MAY_WRITE,
        /// Read.
        Read = bindings::MAY_READ,
        /// Append.
        Append = bindings::MAY_APPEND,
        /// It comes from `access(2)`.
        Access = bindings::MAY_ACCESS,
        /// It comes from `open(2)`.
        Open = bindings::MAY_OPEN,
        /// It comes from `chdir(2)` or the like.
        Chdir = bindings::MAY_CHDIR,
        /// RCU walk.
        NotBlock = bindings::MAY_NOT_BLOCK,
    }
);

impl Access {
    pub(super) fn from_c(mask: u32) -> Self {
        Self(mask)
    }
}

impl_flags!(
    /// Attributes (`STATX_*`) that are asked for, or that are known.
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct StatxMask(u32);

    /// One attribute.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Statx {
        /// Kind of file.
        Type = bindings::STATX_TYPE,
        /// Permissions.
        Mode = bindings::STATX_MODE,
        /// Number of links.
        Nlink = bindings::STATX_NLINK,
        /// Owner.
        Uid = bindings::STATX_UID,
        /// Owning group.
        Gid = bindings::STATX_GID,
        /// Time of the last access.
        Atime = bindings::STATX_ATIME,
        /// Time of the last change of the contents.
        Mtime = bindings::STATX_MTIME,
        /// Time of the last change.
        Ctime = bindings::STATX_CTIME,
        /// Inode number.
        Ino = bindings::STATX_INO,
        /// Size.
        Size = bindings::STATX_SIZE,
        /// Space taken.
        Blocks = bindings::STATX_BLOCKS,
        /// Time of birth.
        Btime = bindings::STATX_BTIME,
    }
);

impl StatxMask {
    /// All that `stat(2)` tells.
    pub(crate) const BASIC: Self = Self(bindings::STATX_BASIC_STATS);

    /// The attributes of `bits`, also those that have no name here.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

/// How fresh the attributes have to be (`AT_STATX_*`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatSync {
    /// As `stat(2)` has them.
    AsStat,
    /// Ask the server of a network file system.
    Force,
    /// What is cached is good enough.
    Dont,
}

impl StatSync {
    pub(super) fn from_c(flags: c_uint) -> Self {
        // Both at once are refused by `statx(2)`; if they come from elsewhere, freshness wins.
        if flags & bindings::AT_STATX_FORCE_SYNC != 0 {
            Self::Force
        } else if flags & bindings::AT_STATX_DONT_SYNC != 0 {
            Self::Dont
        } else {
            Self::AsStat
        }
    }
}

/// The attributes that `getattr` fills in (`struct kstat`).
#[repr(transparent)]
pub(crate) struct KStat(bindings::kstat);

impl KStat {
    /// Sets which attributes are known.
    pub(crate) fn set_result_mask(&mut self, mask: StatxMask) {
        self.0.result_mask = mask.bits();
    }

    /// Adds to the attributes that are known.
    pub(crate) fn add_result_mask(&mut self, mask: StatxMask) {
        self.0.result_mask |= mask.bits();
    }

    /// Sets the device that the file is on.
    pub(crate) fn set_dev<T: FileSystem, S>(&mut self, sb: &SuperBlock<T, S>) {
        // SAFETY: `s_dev` is set before the super block is published and never changes.
        self.0.dev = unsafe { (*sb.as_ptr()).s_dev };
    }

    /// Sets the inode number.
    pub(crate) fn set_ino(&mut self, ino: u64) {
        self.0.ino = ino;
    }

    /// Sets kind of file and permissions.
    pub(crate) fn set_mode(&mut self, mode: u16) {
        self.0.mode = mode;
    }

    /// Sets the number of links.
    pub(crate) fn set_nlink(&mut self, nlink: u32) {
        self.0.nlink = nlink;
    }

    /// Sets owner and owning group, as seen through the mount.
    pub(crate) fn set_owner(&mut self, uid: Kuid, gid: Kgid) {
        self.0.uid = uid.into_c();
        self.0.gid = gid.into_c();
    }

    /// Sets the device that a device node stands for.
    pub(crate) fn set_rdev(&mut self, dev: Dev) {
        self.0.rdev = dev.into_c();
    }

    /// Sets the size in bytes.
    pub(crate) fn set_size(&mut self, size: i64) {
        self.0.size = size;
    }

    /// Sets the space taken, in units of 512 bytes.
    pub(crate) fn set_blocks(&mut self, blocks: u64) {
        self.0.blocks = blocks;
    }

    /// Sets the preferred size of I/O, in bytes.
    pub(crate) fn set_blksize(&mut self, blksize: u32) {
        self.0.blksize = blksize;
    }

    /// Sets the time of the last access.
    pub(crate) fn set_atime(&mut self, time: Timespec) {
        self.0.atime = time.into_c();
    }

    /// Sets the time of the last change of the contents.
    pub(crate) fn set_mtime(&mut self, time: Timespec) {
        self.0.mtime = time.into_c();
    }

    /// Sets the time of the last change.
    pub(crate) fn set_ctime(&mut self, time: Timespec) {
        self.0.ctime = time.into_c();
    }

    /// Sets the time of birth, which makes it known.
    pub(crate) fn set_btime(&mut self, time: Timespec) {
        self.0.btime = time.into_c();
        self.add_result_mask(Statx::Btime.into());
    }
}

impl_flags!(
    /// What a change of attributes changes, and how (`ATTR_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct AttrChanges(u32);

    /// One thing about a change of attributes.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum AttrChange {
        /// The permissions change.
        Mode = bindings::ATTR_MODE,
        /// The owner changes.
        Uid = bindings::ATTR_UID,
        /// The owning group changes.
        Gid = bindings::ATTR_GID,
        /// The size changes.
        Size = bindings::ATTR_SIZE,
        /// The time of the last access changes.
        Atime = bindings::ATTR_ATIME,
        /// The time of the last change of the contents changes.
        Mtime = bindings::ATTR_MTIME,
        /// The time of the last change changes.
        Ctime = bindings::ATTR_CTIME,
        /// The time of the last access is one that the caller chose.
        AtimeSet = bindings::ATTR_ATIME_SET,
        /// The time of the last change of the contents is one that the caller chose.
        MtimeSet = bindings::ATTR_MTIME_SET,
        /// The caller sets both, and has to be allowed to choose them.
        TimesSet = bindings::ATTR_TIMES_SET,
        /// The VFS does not check whether the caller may change this.
        Force = bindings::ATTR_FORCE,
        /// The set-user-id bit is to be cleared.
        KillSuid = bindings::ATTR_KILL_SUID,
        /// The set-group-id bit is to be cleared.
        KillSgid = bindings::ATTR_KILL_SGID,
        /// The change comes through an open file.
        File = bindings::ATTR_FILE,
        /// The change comes from `open(2)` with `O_TRUNC`.
        Open = bindings::ATTR_OPEN,
    }
);

impl AttrChanges {
    /// All of `changes`.
    pub(crate) const fn all_of(changes: &[AttrChange]) -> Self {
        let mut bits = 0;
        let mut rest = changes;
        while let [first, others @ ..] = rest {
            bits |= *first as u32;
            rest = others;
        }
        Self(bits)
    }
}

/// A change of attributes (`struct iattr`).
///
/// # Invariants
///
/// With `ATTR_FILE` set, `ia_file` is an open regular file of `T` that is kept while this is
/// borrowed.
#[repr(transparent)]
pub(crate) struct IAttr<T>(bindings::iattr, PhantomData<T>);

impl<T: FileSystem> IAttr<T> {
    /// What changes.
    pub(crate) fn changes(&self) -> AttrChanges {
        AttrChanges(self.0.ia_valid)
    }

    /// Adds to what changes; not [`AttrChange::File`], which only the VFS can set.
    pub(crate) fn add(&mut self, change: AttrChange) {
        // INVARIANT: `ATTR_FILE` is masked out, so `ia_file` is not used where there is none.
        self.0.ia_valid |= change as u32 & !bindings::ATTR_FILE;
    }

    /// Removes from what changes.
    pub(crate) fn remove(&mut self, changes: AttrChanges) {
        self.0.ia_valid &= !u32::from(changes);
    }

    /// The new permissions, and the kind of file.
    pub(crate) fn mode(&self) -> u16 {
        self.0.ia_mode
    }

    /// Sets the new permissions.
    pub(crate) fn set_mode(&mut self, mode: u16) {
        self.0.ia_mode = mode;
    }

    /// The new owner, as a file system of `ns` sees it below the mount of `idmap`.
    pub(crate) fn uid(&self, idmap: &Idmap, ns: &UserNs) -> Kuid {
        // SAFETY: Both members of the union are the same number.
        idmap.uid_from_mnt(ns, unsafe { self.0.__bindgen_anon_1.ia_vfsuid })
    }

    /// The new owning group, as a file system of `ns` sees it below the mount of `idmap`.
    pub(crate) fn gid(&self, idmap: &Idmap, ns: &UserNs) -> Kgid {
        // SAFETY: Both members of the union are the same number.
        idmap.gid_from_mnt(ns, unsafe { self.0.__bindgen_anon_2.ia_vfsgid })
    }

    /// The new size in bytes.
    pub(crate) fn size(&self) -> i64 {
        self.0.ia_size
    }

    /// The new time of the last access.
    pub(crate) fn atime(&self) -> Timespec {
        Timespec::from_c(self.0.ia_atime)
    }

    /// The new time of the last change of the contents.
    pub(crate) fn mtime(&self) -> Timespec {
        Timespec::from_c(self.0.ia_mtime)
    }

    /// The new time of the last change.
    pub(crate) fn ctime(&self) -> Timespec {
        Timespec::from_c(self.0.ia_ctime)
    }

    /// The open file that it comes through, if there is one.
    pub(crate) fn file(&self) -> Option<&File<T>> {
        if !self.changes().contains(AttrChange::File) {
            return None;
        }
        // SAFETY: By the type invariant.
        Some(unsafe { File::from_raw(self.0.ia_file) })
    }

    /// Checks that the caller may change this, unless [`AttrChange::Force`] is set, and that the
    /// new size is one that a file can have.
    ///
    /// # Errors
    ///
    /// `EPERM`, `EACCES`; `EFBIG` and `EINVAL` for the size; `EOVERFLOW` for ids that the file
    /// system cannot keep; `ENOENT` if the dentry is negative.
    pub(crate) fn prepare(&mut self, idmap: &Idmap, dentry: &DEntry<T>) -> Result {
        dentry.inode().ok_or(ENOENT)?;
        // SAFETY: All of them are valid, the dentry keeps its inode, and the change is borrowed
        // exclusively.
        to_result(unsafe {
            bindings::setattr_prepare(idmap.as_ptr(), dentry.as_ptr(), &mut self.0)
        })
    }
}

/// Fills `stat` from the attributes that the VFS has of `inode`.
pub(crate) fn generic_fillattr<T: FileSystem>(
    idmap: &Idmap,
    request: StatxMask,
    inode: &INode<T>,
    stat: &mut KStat,
) {
    // SAFETY: All of them are valid, and `stat` is borrowed exclusively.
    unsafe {
        bindings::generic_fillattr(idmap.as_ptr(), request.bits(), inode.as_ptr(), &mut stat.0)
    };
}

/// Checks `mask` against the attributes that the VFS has of `inode`. It sleeps only in ref walk:
/// the walk decides that, not [`May::NotBlock`].
///
/// # Errors
///
/// `EACCES` if the caller may not; `ECHILD` if the check would have to sleep.
pub(crate) fn generic_permission<T: FileSystem>(
    idmap: &Idmap,
    inode: Walk<'_, INode<T>>,
    mask: Access,
) -> Result {
    let mask = match inode {
        Walk::Rcu(_) => u32::from(mask) | bindings::MAY_NOT_BLOCK,
        Walk::Ref(_) => u32::from(mask) & !bindings::MAY_NOT_BLOCK,
    };
    // SAFETY: Map and inode are valid for the call. The mask says that it is in an RCU read-side
    // critical section if, and only if, it is in one.
    to_result(unsafe {
        bindings::generic_permission(idmap.as_ptr(), inode.view().as_ptr(), mask as c_int)
    })
}
