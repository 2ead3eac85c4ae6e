// SPDX-License-Identifier: GPL-2.0

//! Inodes and the file system's data in them.
//!
//! Owns the slab object of an inode: the C inode, and behind it `T::InodeData`, which lives from
//! `alloc_inode` to `free_inode` (an RCU grace period after the eviction). The constructor of the
//! slab runs once for each object and touches the C inode alone.
//!
//! The RCU walk and an eviction have a view ([`INodeView`]); an [`INode`] has a reference; a
//! [`NewInode`] is still locked, and only it can set the kind of file.
//!
//! Locks: attributes that change are read and written one at a time; a file system that changes
//! several of them together does so under a lock of its own, which may be a spinlock: only the
//! methods that say so sleep. The lookups take the spinlock of the inode cache and call the key's
//! methods under it.
//!
//! C header: `include/linux/fs.h`.

use crate::vfs::{
    bindings,
    cred::{
        Kgid,
        Kuid, //
    },
    mount::sb::{
        FileSystem,
        Live,
        Ready,
        Seen,
        SuperBlock, //
    },
    node::{
        dentry::{
            DEntry,
            Operations, //
        },
        held::{
            Counted,
            Held, //
        },
        walk::{
            InRcu,
            Walk, //
        },
    },
    once::{
        read_once,
        write_once, //
    },
    tables::{
        AddressSpaceOps,
        CommonOps,
        DirOps,
        FileOps,
        SymlinkOps,
        TargetOps, //
    },
};
use core::{
    marker::PhantomData,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    impl_flags,
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    static_lock_class,
    sync::{
        SpinLock,
        SpinLockGuard, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// The slab object of an inode of `T`. The C inode comes first, so both have one address.
#[repr(C)]
pub(in crate::vfs) struct Slot<T: FileSystem> {
    inode: bindings::inode,
    data: T::InodeData,
    attrs: SpinLock<T::AttrState>,
}

/// The part of an inode (`struct inode`) of `T` that may be used without a reference to it.
///
/// # Invariants
///
/// It is the inode of a [`Slot`] of `T` that is not freed while it is borrowed, with its data and
/// its lock initialised; `i_sb` is a super block of `T` that is not freed either.
#[repr(transparent)]
pub(crate) struct INodeView<T: FileSystem> {
    inode: Opaque<bindings::inode>,
    _p: PhantomData<T>,
}

// SAFETY: An inode belongs to no thread, and the data that `T` hangs on it can be shared.
unsafe impl<T: FileSystem> Sync for INodeView<T> {}

/// An inode of `T` with a reference to it.
///
/// # Invariants
///
/// As of [`INodeView`]; and its count is not zero while it is borrowed.
#[repr(transparent)]
pub(crate) struct INode<T: FileSystem>(INodeView<T>);

// SAFETY: A reference to an inode can be given back by any thread that may sleep.
unsafe impl<T: FileSystem> Send for INode<T> {}
// SAFETY: As for `INodeView`.
unsafe impl<T: FileSystem> Sync for INode<T> {}

// SAFETY: `ihold` and `iput` count references, and an inode is not evicted while there is one.
unsafe impl<T: FileSystem> Counted for INode<T> {
    fn get(&self) {
        // SAFETY: There is a reference, by the type invariant.
        unsafe { bindings::ihold(self.as_ptr()) };
    }

    unsafe fn put(object: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { bindings::iput(object.as_ptr().cast()) };
    }
}

impl<T: FileSystem> Deref for INode<T> {
    type Target = INodeView<T>;

    fn deref(&self) -> &INodeView<T> {
        &self.0
    }
}

/// A reference to an inode that may be kept for any time: the super block is not shut down before
/// it is dropped. Dropping it may sleep.
///
/// # Invariants
///
/// It owns one reference to `inode` and one to its super block ([`SuperBlock::keep`]), which was
/// not shut down when that was taken.
pub(crate) struct Kept<T: FileSystem>(NonNull<INode<T>>);

// SAFETY: As for `INode`.
unsafe impl<T: FileSystem> Send for Kept<T> {}
// SAFETY: As for `INode`.
unsafe impl<T: FileSystem> Sync for Kept<T> {}

impl<T: FileSystem> From<&INode<T>> for Kept<T> {
    fn from(inode: &INode<T>) -> Self {
        inode.get();
        // INVARIANT: Both references are taken here. The borrow keeps the super block until then.
        inode.sb().keep();
        Self(inode.into())
    }
}

impl<T: FileSystem> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self::from(&**self)
    }
}

impl<T: FileSystem> Deref for Kept<T> {
    type Target = INode<T>;

    fn deref(&self) -> &INode<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T: FileSystem> Drop for Kept<T> {
    fn drop(&mut self) {
        let sb = self.sb().as_ptr();
        // SAFETY: The value owns the reference.
        unsafe { INode::put(self.0) };
        // SAFETY: The value owns the reference to the super block, which is not used here after
        // this.
        unsafe { SuperBlock::<T>::unkeep(sb) };
    }
}

impl<T: FileSystem> PartialEq for INodeView<T> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

/// A point in time, as inodes keep it.
///
/// # Invariants
///
/// `nsec` is less than a second.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Timespec {
    sec: i64,
    nsec: u32,
}

impl Timespec {
    /// The maximum number of nanoseconds within a second.
    const NSEC_MAX: u32 = 999_999_999;

    /// `sec` seconds since the epoch and `nsec` nanoseconds, clamped to less than a second.
    pub(crate) const fn new(sec: i64, nsec: u32) -> Self {
        let nsec = if nsec > Self::NSEC_MAX {
            Self::NSEC_MAX
        } else {
            nsec
        };
        Self { sec, nsec }
    }

    /// Seconds since the epoch.
    pub(crate) const fn sec(self) -> i64 {
        self.sec
    }

    /// Nanoseconds within the second.
    pub(crate) const fn nsec(self) -> u32 {
        self.nsec
    }

    pub(in crate::vfs) fn from_c(time: bindings::timespec64) -> Self {
        Self::new(time.tv_sec, time.tv_nsec as u32)
    }

    pub(in crate::vfs) fn into_c(self) -> bindings::timespec64 {
        bindings::timespec64 {
            tv_sec: self.sec,
            tv_nsec: self.nsec as c_long,
        }
    }
}

/// A device number (`dev_t`).
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dev(u32);

impl Dev {
    /// The device with these numbers; bits above 12 and 20 are cut off.
    pub(crate) fn new(major: u32, minor: u32) -> Self {
        let minor_bits = bindings::MINORBITS;
        Self((major << minor_bits) | (minor & ((1 << minor_bits) - 1)))
    }

    /// Decodes the 32-bit number that user space and wire formats have.
    pub(crate) fn from_encoded(dev: u32) -> Self {
        // SAFETY: It takes a plain number.
        Self(unsafe { bindings::new_decode_dev(dev) })
    }

    /// Encodes it as the 32-bit number that user space and wire formats have.
    pub(crate) fn encoded(self) -> u32 {
        // SAFETY: It takes a plain number.
        unsafe { bindings::new_encode_dev(self.0) }
    }

    pub(in crate::vfs) fn from_c(dev: bindings::dev_t) -> Self {
        Self(dev)
    }

    pub(in crate::vfs) fn into_c(self) -> bindings::dev_t {
        self.0
    }
}

/// The kind of file, from the `S_IFMT` bits of a mode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileType {
    /// `S_IFREG`
    Regular,
    /// `S_IFDIR`
    Directory,
    /// `S_IFLNK`
    Symlink,
    /// `S_IFCHR`
    CharDevice,
    /// `S_IFBLK`
    BlockDevice,
    /// `S_IFIFO`
    Fifo,
    /// `S_IFSOCK`
    Socket,
}

impl FileType {
    /// The bits of a mode that tell the kind of file.
    pub(crate) const MASK: u16 = bindings::S_IFMT as u16;

    /// The kind of file in `mode`; `None` if it has none.
    pub(crate) fn of(mode: u32) -> Option<Self> {
        Some(match mode & bindings::S_IFMT {
            bindings::S_IFREG => Self::Regular,
            bindings::S_IFDIR => Self::Directory,
            bindings::S_IFLNK => Self::Symlink,
            bindings::S_IFCHR => Self::CharDevice,
            bindings::S_IFBLK => Self::BlockDevice,
            bindings::S_IFIFO => Self::Fifo,
            bindings::S_IFSOCK => Self::Socket,
            _ => return None,
        })
    }

    /// The bits of a mode for this kind.
    pub(crate) fn bits(self) -> u16 {
        (match self {
            Self::Regular => bindings::S_IFREG,
            Self::Directory => bindings::S_IFDIR,
            Self::Symlink => bindings::S_IFLNK,
            Self::CharDevice => bindings::S_IFCHR,
            Self::BlockDevice => bindings::S_IFBLK,
            Self::Fifo => bindings::S_IFIFO,
            Self::Socket => bindings::S_IFSOCK,
        }) as u16
    }
}

impl_flags!(
    /// Flags of an inode (`S_*` of `i_flags`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct INodeFlags(u32);

    /// One flag of an inode.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum INodeFlag {
        /// The VFS does not update the access time.
        NoAtime = bindings::S_NOATIME,
        /// The VFS does not update change and modification time.
        NoCmtime = bindings::S_NOCMTIME,
        /// A walk that reaches the inode makes a mount.
        Automount = bindings::S_AUTOMOUNT,
        /// The file has no privileges to remove before a write.
        NoSec = bindings::S_NOSEC,
    }
);

impl<T: FileSystem> INodeView<T> {
    /// The view of `inode`.
    ///
    /// # Safety
    ///
    /// The type's invariants must hold for `inode` for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*inode.cast() }
    }

    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::inode {
        self.inode.get()
    }

    /// The file system's data in it.
    pub(crate) fn data(&self) -> &T::InodeData {
        let slot: *const Slot<T> = self.as_ptr().cast();
        // SAFETY: It is the first field of a `Slot` whose data is initialised, and of which there
        // are only shared references once the inode is not new any more.
        unsafe { &(*slot).data }
    }

    /// Its super block, which may be going away.
    pub(crate) fn sb(&self) -> &SuperBlock<T, Seen> {
        // SAFETY: `i_sb` never changes, and is valid by the type invariant.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).i_sb) }
    }

    /// Sets its number.
    pub(crate) fn set_ino(&self, ino: u64) {
        // SAFETY: The inode is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_ino, ino) };
    }

    /// Kind of file and permissions.
    pub(crate) fn mode(&self) -> u16 {
        // SAFETY: The inode is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).i_mode) }
    }

    /// Sets the permissions. The kind of file cannot change: it determines the operations.
    pub(crate) fn set_permissions(&self, mode: u16) {
        let mode = (self.mode() & FileType::MASK) | (mode & !FileType::MASK);
        // SAFETY: The inode is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_mode, mode) };
    }

    /// The kind of file; `None` before it is known.
    pub(crate) fn file_type(&self) -> Option<FileType> {
        FileType::of(self.mode().into())
    }

    /// Whether it is a regular file.
    pub(crate) fn is_reg(&self) -> bool {
        self.file_type() == Some(FileType::Regular)
    }

    /// Whether it is a directory.
    pub(crate) fn is_dir(&self) -> bool {
        self.file_type() == Some(FileType::Directory)
    }

    /// Whether `mode` has another kind of file.
    pub(crate) fn wrong_type(&self, mode: u32) -> bool {
        (u32::from(self.mode()) ^ mode) & bindings::S_IFMT != 0
    }

    /// Number of links.
    pub(crate) fn nlink(&self) -> u32 {
        // SAFETY: The inode is valid; both members of the union are the same number.
        unsafe { read_once(&raw const (*self.as_ptr()).__bindgen_anon_1.__i_nlink) }
    }

    /// The owner.
    pub(crate) fn uid(&self) -> Kuid {
        // SAFETY: The inode is valid.
        Kuid::from_c(unsafe { read_once(&raw const (*self.as_ptr()).i_uid) })
    }

    /// Sets the owner.
    pub(crate) fn set_uid(&self, uid: Kuid) {
        // SAFETY: The inode is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_uid, uid.into_c()) };
    }

    /// The owning group.
    pub(crate) fn gid(&self) -> Kgid {
        // SAFETY: The inode is valid.
        Kgid::from_c(unsafe { read_once(&raw const (*self.as_ptr()).i_gid) })
    }

    /// Sets the owning group.
    pub(crate) fn set_gid(&self, gid: Kgid) {
        // SAFETY: The inode is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_gid, gid.into_c()) };
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> i64 {
        // SAFETY: The inode is valid.
        unsafe { bindings::i_size_read(self.as_ptr()) }
    }

    /// Takes the lock of its attributes, a spinlock.
    pub(crate) fn lock_attrs(&self) -> Attrs<'_, T> {
        let slot: *const Slot<T> = self.as_ptr().cast();
        // SAFETY: As in `data`.
        let lock = unsafe { &(*slot).attrs };
        // INVARIANT: It is the one of this inode.
        Attrs {
            inode: self,
            state: lock.lock(),
        }
    }

    /// Space used, in units of 512 bytes.
    pub(crate) fn blocks(&self) -> u64 {
        // SAFETY: The inode is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).i_blocks) }
    }

    /// Sets the space used, in units of 512 bytes.
    pub(crate) fn set_blocks(&self, blocks: u64) {
        // SAFETY: The inode is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_blocks, blocks) };
    }

    /// Its generation, which distinguishes files that had the same number.
    pub(crate) fn generation(&self) -> u32 {
        // SAFETY: The inode is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).i_generation) }
    }

    /// Its change counter (`i_version`), and has the next [`Self::inc_version`] change it.
    pub(crate) fn query_version(&self) -> u64 {
        // SAFETY: The inode is valid; the counter is atomic.
        unsafe { bindings::inode_query_iversion(self.as_ptr()) }
    }

    /// Counts a change, if the counter was queried since the last one.
    pub(crate) fn inc_version(&self) {
        // SAFETY: As above.
        unsafe { bindings::inode_maybe_inc_iversion(self.as_ptr(), false) };
    }

    /// The device that a device node stands for.
    pub(crate) fn rdev(&self) -> Dev {
        // SAFETY: The inode is valid.
        Dev(unsafe { read_once(&raw const (*self.as_ptr()).i_rdev) })
    }

    /// When it was last read.
    pub(crate) fn atime(&self) -> Timespec {
        // SAFETY: The inode is valid.
        Timespec::from_c(unsafe { bindings::inode_get_atime(self.as_ptr()) })
    }

    /// Sets when it was last read.
    pub(crate) fn set_atime(&self, time: Timespec) {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_set_atime(self.as_ptr(), time.sec, time.nsec as c_long) };
    }

    /// When its contents last changed.
    pub(crate) fn mtime(&self) -> Timespec {
        // SAFETY: The inode is valid.
        Timespec::from_c(unsafe { bindings::inode_get_mtime(self.as_ptr()) })
    }

    /// Sets when its contents last changed.
    pub(crate) fn set_mtime(&self, time: Timespec) {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_set_mtime(self.as_ptr(), time.sec, time.nsec as c_long) };
    }

    /// When it last changed at all.
    pub(crate) fn ctime(&self) -> Timespec {
        // SAFETY: The inode is valid.
        Timespec::from_c(unsafe { bindings::inode_get_ctime(self.as_ptr()) })
    }

    /// Sets when it last changed at all.
    pub(crate) fn set_ctime(&self, time: Timespec) {
        // SAFETY: The inode is valid.
        unsafe { bindings::inode_set_ctime(self.as_ptr(), time.sec, time.nsec as c_long) };
    }

    /// Its flags.
    pub(crate) fn flags(&self) -> INodeFlags {
        // SAFETY: The inode is valid.
        INodeFlags(unsafe { read_once(&raw const (*self.as_ptr()).i_flags) })
    }

    /// Clears [`INodeFlag::NoSec`]: the file may have privileges again. Not atomic with changes of
    /// other flags.
    pub(crate) fn clear_nosec(&self) {
        let flags = u32::from(self.flags());
        if flags & bindings::S_NOSEC != 0 {
            // SAFETY: The inode is valid.
            unsafe {
                write_once(
                    &raw mut (*self.as_ptr()).i_flags,
                    flags & !bindings::S_NOSEC,
                )
            };
        }
    }

    /// Whether its super block is read-only (`IS_RDONLY`).
    pub(crate) fn is_rdonly(&self) -> bool {
        // SAFETY: The inode is valid.
        unsafe { bindings::is_rdonly(self.as_ptr()) }
    }

    /// Whether a walk that reaches it makes a mount (`IS_AUTOMOUNT`).
    pub(crate) fn is_automount(&self) -> bool {
        self.flags().contains(INodeFlag::Automount)
    }
}

/// The lock of an inode's attributes, held: it orders the changes of those that are larger than a
/// word, or that are counted elsewhere as well. It contains what the file system keeps under it.
///
/// # Invariants
///
/// `state` is that of `inode`.
pub(crate) struct Attrs<'a, T: FileSystem> {
    inode: &'a INodeView<T>,
    state: SpinLockGuard<'a, T::AttrState>,
}

impl<T: FileSystem> Deref for Attrs<'_, T> {
    type Target = T::AttrState;

    fn deref(&self) -> &T::AttrState {
        &self.state
    }
}

impl<T: FileSystem> DerefMut for Attrs<'_, T> {
    fn deref_mut(&mut self) -> &mut T::AttrState {
        &mut self.state
    }
}

impl<T: FileSystem> Attrs<'_, T> {
    /// Sets the size, in bytes.
    pub(crate) fn set_size(&mut self, size: i64) {
        // SAFETY: The inode is valid, and by the type invariant nothing else of `T` sets its size.
        unsafe { bindings::i_size_write(self.inode.as_ptr(), size) };
    }

    /// Sets the number of links.
    pub(crate) fn set_nlink(&mut self, nlink: u32) {
        // SAFETY: The inode is valid, and by the type invariant nothing else of `T` sets it: the
        // super block counts the inodes whose number of links becomes zero.
        unsafe { bindings::set_nlink(self.inode.as_ptr(), nlink) };
    }
}

impl<T: FileSystem> INode<T> {
    /// The inode behind `inode`.
    ///
    /// # Safety
    ///
    /// The type's invariants must hold for `inode` for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*inode.cast() }
    }

    /// The inode behind `inode`, as the RCU walk sees it.
    ///
    /// # Safety
    ///
    /// The current task must be in an RCU read-side critical section for `'a`, and have found the
    /// inode, one of `T`, in a dentry since that began.
    pub(in crate::vfs) unsafe fn in_rcu<'a>(inode: *mut bindings::inode) -> Walk<'a, Self> {
        // SAFETY: A dentry is given an inode whose data is initialised. It was not destroyed when
        // the section began, and after that its memory and its data stay for a grace period. So do
        // its super block and the data of that, which are destroyed later.
        let view = unsafe { INodeView::from_raw(inode) };
        // SAFETY: The caller promises it.
        Walk::Rcu(unsafe { InRcu::new(view) })
    }

    /// Its super block.
    pub(crate) fn sb(&self) -> &SuperBlock<T, Ready> {
        // SAFETY: `i_sb` never changes. The source of the borrow keeps the super block: a call of
        // the VFS, a `Held`, or a `Kept`.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).i_sb) }
    }

    /// Whether it is the root of its super block.
    pub(crate) fn is_root(&self) -> bool {
        self.sb()
            .root()
            .and_then(|root| root.inode())
            .is_some_and(|inode| core::ptr::eq(self, inode))
    }

    /// Removes the pages behind `size` from the page cache and from all mappings. May sleep.
    pub(crate) fn truncate_pagecache(&self, size: i64) {
        // SAFETY: There is a reference.
        unsafe { bindings::truncate_pagecache(self.as_ptr(), size.max(0)) };
    }

    /// Removes the bytes `first` to `last` from the page cache and from all mappings: whole pages
    /// are removed, and parts of pages zeroed. Does nothing if no file can have this range. May
    /// sleep.
    pub(crate) fn truncate_pagecache_range(&self, first: i64, last: i64) {
        if is_range(first, last) {
            // SAFETY: There is a reference, and the range does not end before it begins: C takes
            // the difference of the two as the number of bytes to zero.
            unsafe { bindings::truncate_pagecache_range(self.as_ptr(), first, last) };
        }
    }

    /// Drops the pages with the bytes `first` to `last` from the page cache and from all mappings,
    /// dirty data included. Does nothing if no file can have this range. May sleep.
    pub(crate) fn drop_pages(&self, first: i64, last: i64) {
        if !is_range(first, last) {
            return;
        }
        let in_page = PAGE_SIZE as i64 - 1;
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use. The
        // range does not end before it begins.
        unsafe {
            bindings::truncate_inode_pages_range(
                (*self.as_ptr()).i_mapping,
                first & !in_page,
                // Not negative, as checked above.
                (last | in_page) as u64,
            )
        };
    }

    /// Writes the dirty pages with the bytes `first` to `last` back, and waits for that. May sleep.
    ///
    /// # Errors
    ///
    /// Those of writing back.
    pub(crate) fn write_and_wait_range(&self, first: i64, last: i64) -> Result {
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        to_result(unsafe {
            bindings::filemap_write_and_wait_range((*self.as_ptr()).i_mapping, first, last)
        })
    }

    /// Removes all pages from the page cache, after writing dirty ones back. `EBUSY` if one could
    /// not be removed. May sleep.
    pub(crate) fn invalidate_pages(&self) -> Result {
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        to_result(unsafe { bindings::invalidate_inode_pages2((*self.as_ptr()).i_mapping) })
    }

    /// Removes the pages with index `first` to `last` from the page cache and from all mappings,
    /// after writing dirty ones back. `EBUSY` if one could not be removed. May sleep.
    pub(crate) fn invalidate_range(&self, first: u64, last: u64) -> Result {
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        to_result(unsafe {
            bindings::invalidate_inode_pages2_range(
                (*self.as_ptr()).i_mapping,
                first as usize,
                last as usize,
            )
        })
    }

    /// Drops its unused names from the dentry cache. May sleep.
    pub(crate) fn prune_aliases(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::d_prune_aliases(self.as_ptr()) };
    }

    /// A name of it in the dentry cache, preferably a hashed one.
    pub(crate) fn find_alias(&self) -> Option<Held<'_, DEntry<T>>> {
        // SAFETY: There is a reference.
        let alias = NonNull::new(unsafe { bindings::d_find_alias(self.as_ptr()) })?;
        // SAFETY: The dentry is of the same super block, and its reference is the caller's.
        Some(unsafe { Held::from_raw(alias.cast()) })
    }

    /// Takes the inode's lock for writing, with the lockdep class of a parent: locks of the
    /// directory's entries, or of another file system's inode, may be taken inside. Sleeps.
    pub(crate) fn lock_parent(&self) -> INodeLock<'_, T> {
        // SAFETY: There is a reference.
        unsafe {
            bindings::inode_lock_nested(
                self.as_ptr(),
                bindings::inode_i_mutex_lock_class_I_MUTEX_PARENT,
            )
        };
        // INVARIANT: Taken just now.
        INodeLock {
            inode: self,
            _task: NotThreadSafe,
        }
    }

    /// Drops the ACLs that the VFS has cached, and lets none that tasks are reading be cached.
    pub(crate) fn forget_cached_acls(&self) {
        let inode = self.as_ptr();
        // Usually there is none, because the file system has none (`ACL_DONT_CACHE`) or none was
        // read (`ACL_NOT_CACHED`). Two loads cost less than a call and two exchanges. A task that
        // starts to read one right after them gets the current one.
        #[cfg(CONFIG_FS_POSIX_ACL)]
        {
            // SAFETY: There is a reference; these are only addresses of two fields.
            let fields = unsafe { [&raw const (*inode).i_acl, &raw const (*inode).i_default_acl] };
            // SAFETY: A field of an inode to which there is a reference.
            let [access, default] = fields.map(|acl| unsafe { read_once(acl) }.addr());
            // Apart from bit 1, both marks are all ones.
            if (access & default) | 2 == usize::MAX {
                return;
            }
        }
        // SAFETY: There is a reference.
        unsafe { bindings::forget_all_cached_acls(inode) };
    }

    /// Takes the inode's lock for writing (`i_rwsem`), as the VFS does around changes. Sleeps.
    pub(crate) fn lock(&self) -> INodeLock<'_, T> {
        // SAFETY: There is a reference.
        unsafe { bindings::inode_lock(self.as_ptr()) };
        // INVARIANT: Taken just now.
        INodeLock {
            inode: self,
            _task: NotThreadSafe,
        }
    }

    /// Takes the inode's lock for writing, if it is free. Does not sleep.
    pub(crate) fn try_lock(&self) -> Option<INodeLock<'_, T>> {
        // SAFETY: There is a reference.
        let locked = unsafe { bindings::inode_trylock(self.as_ptr()) };
        // INVARIANT: Taken just now.
        locked.then(|| INodeLock {
            inode: self,
            _task: NotThreadSafe,
        })
    }

    /// Takes the inode's lock for reading, which other readers may hold as well. Sleeps.
    pub(crate) fn lock_shared(&self) -> INodeSharedLock<'_, T> {
        // SAFETY: There is a reference.
        unsafe { bindings::inode_lock_shared(self.as_ptr()) };
        // INVARIANT: Taken just now.
        INodeSharedLock {
            inode: self,
            _task: NotThreadSafe,
        }
    }

    /// Whether the page cache has pages of it at present.
    pub(crate) fn has_cached_pages(&self) -> bool {
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        unsafe { read_once(&raw const (*(*self.as_ptr()).i_mapping).nrpages) != 0 }
    }

    /// Whether the caller may make the file `size` bytes long.
    ///
    /// # Errors
    ///
    /// `EFBIG`; `ETXTBSY`. If the caller's own limit is exceeded, it gets the signal `SIGXFSZ`.
    pub(crate) fn check_new_size(&self, size: i64) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::inode_newsize_ok(self.as_ptr(), size) })
    }

    /// Makes the file system write dirty attributes, and waits for it. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the file system's `write_inode`.
    pub(crate) fn sync_metadata(&self) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::sync_inode_metadata(self.as_ptr(), 1) })
    }

    /// Writes the dirty pages and the dirty attributes, and waits for it. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the file system's `writepages` and `write_inode`. [`Self::check_writeback`] has the
    /// errors of the writeback itself.
    pub(crate) fn write_now(&self) -> Result {
        // SAFETY: There is a reference.
        to_result(unsafe { bindings::write_inode_now(self.as_ptr(), 1) })
    }

    /// Whether writeback of pages has failed since the last check.
    ///
    /// # Errors
    ///
    /// `ENOSPC`, or `EIO` for everything else.
    pub(crate) fn check_writeback(&self) -> Result {
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        to_result(unsafe { bindings::filemap_check_errors((*self.as_ptr()).i_mapping) })
    }

    /// Records that a write has failed: the next `fsync` of each open file reports it.
    pub(crate) fn set_writeback_error(&self, error: Error) {
        // SAFETY: As in `check_writeback`.
        unsafe { bindings::mapping_set_error((*self.as_ptr()).i_mapping, error.to_errno()) };
    }

    /// Sets the time of the last change to now, and makes the attributes dirty. May sleep.
    pub(crate) fn touch_ctime(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::inode_set_ctime_current(self.as_ptr()) };
        // SAFETY: As above.
        unsafe { bindings::mark_inode_dirty_sync(self.as_ptr()) };
    }

    /// See the function [`keep_times_dirty`].
    pub(crate) fn keep_times_dirty(&self) {
        // SAFETY: There is a reference.
        unsafe { keep_times_dirty(self.as_ptr()) };
    }

    /// Removes it from the inode cache: lookups do not find it any more.
    pub(crate) fn remove_hash(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::remove_inode_hash(self.as_ptr()) };
    }
}

/// Whether a file can have the bytes `first` to `last`, both included.
fn is_range(first: i64, last: i64) -> bool {
    0 <= first && first <= last
}

/// The lock of an inode, held for writing; dropping it releases it.
///
/// # Invariants
///
/// `i_rwsem` of `inode` is held by the current task, on behalf of this value.
pub(crate) struct INodeLock<'a, T: FileSystem> {
    inode: &'a INode<T>,
    _task: NotThreadSafe,
}

impl<T: FileSystem> INodeLock<'_, T> {
    /// Checks that it is the lock of `inode`: `EINVAL` if not.
    pub(in crate::vfs) fn check(&self, inode: &INode<T>) -> Result {
        check_lock(self.inode, inode)
    }
}

impl<T: FileSystem> Drop for INodeLock<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Held by this task by the type invariant.
        unsafe { bindings::inode_unlock(self.inode.as_ptr()) };
    }
}

/// The lock of an inode, held for reading; dropping it releases it.
///
/// # Invariants
///
/// `i_rwsem` of `inode` is held shared by the current task, on behalf of this value.
pub(crate) struct INodeSharedLock<'a, T: FileSystem> {
    inode: &'a INode<T>,
    _task: NotThreadSafe,
}

impl<T: FileSystem> INodeSharedLock<'_, T> {
    /// Checks that it is the lock of `inode`: `EINVAL` if not.
    pub(in crate::vfs) fn check(&self, inode: &INode<T>) -> Result {
        check_lock(self.inode, inode)
    }
}

/// Checks that `locked` is `inode`: a lock covers only its own inode.
fn check_lock<T: FileSystem>(locked: &INode<T>, inode: &INode<T>) -> Result {
    if core::ptr::eq(locked, inode) {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

impl<T: FileSystem> Drop for INodeSharedLock<'_, T> {
    fn drop(&mut self) {
        // SAFETY: Held by this task by the type invariant.
        unsafe { bindings::inode_unlock_shared(self.inode.as_ptr()) };
    }
}

/// An inode that is being set up: other tasks only wait until it is unlocked or, if it is dropped
/// instead, made bad. No reference can be taken from it before.
///
/// # Invariants
///
/// If `locked`, the inode has `I_NEW` set, and this value will clear it; if not, it is not hashed
/// and was just made. It has no other user: the super block may be
/// [`New`](crate::vfs::mount::sb::New).
pub(crate) struct NewInode<'a, T: FileSystem> {
    inode: core::mem::ManuallyDrop<Held<'a, INode<T>>>,
    locked: bool,
}

impl<T: FileSystem> Deref for NewInode<'_, T> {
    type Target = INodeView<T>;

    fn deref(&self) -> &INodeView<T> {
        &self.inode
    }
}

impl<T: FileSystem> Drop for NewInode<'_, T> {
    fn drop(&mut self) {
        if self.locked {
            // SAFETY: It is locked, and the reference is given up.
            unsafe { bindings::iget_failed(self.as_ptr()) };
        } else {
            // SAFETY: The field is not used after this.
            unsafe { core::mem::ManuallyDrop::drop(&mut self.inode) };
        }
    }
}

impl<'a, T: FileSystem> NewInode<'a, T> {
    fn set_mode(&mut self, mode: u16) {
        // SAFETY: By the type invariant nothing else changes the inode, or relies on more of it
        // than a view does.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_mode, mode) };
    }

    fn set_ops(&mut self, table: &'static bindings::inode_operations) {
        // SAFETY: As in `set_mode`.
        unsafe { (*self.as_ptr()).i_op = table };
    }

    fn set_fops(&mut self, ops: FileOps<T>) {
        // SAFETY: As in `set_mode`; the union is `i_fop` until the inode is destroyed.
        unsafe { (*self.as_ptr()).__bindgen_anon_3.i_fop = ops.table() };
    }

    /// Makes it a directory.
    pub(crate) fn init_dir(&mut self, ops: DirOps<T>, files: FileOps<T>) {
        self.set_mode(FileType::Directory.bits());
        self.set_ops(ops.table());
        self.set_fops(files);
    }

    /// Makes it a regular file.
    pub(crate) fn init_regular(
        &mut self,
        ops: CommonOps<T>,
        files: FileOps<T>,
        pages: AddressSpaceOps<T>,
    ) {
        self.set_mode(FileType::Regular.bits());
        self.set_ops(ops.table());
        self.set_fops(files);
        // SAFETY: As in `set_mode`.
        unsafe { (*self.as_ptr()).i_data.a_ops = pages.table() };
    }

    /// Makes it a symbolic link.
    pub(crate) fn init_symlink(&mut self, ops: SymlinkOps<T>, targets: TargetOps<T>) {
        self.set_mode(FileType::Symlink.bits());
        self.set_ops(ops.table());
        // SAFETY: As in `set_mode`. Following a link needs its folio mapped at an address.
        unsafe {
            (*self.as_ptr()).i_data.a_ops = targets.table();
            bindings::inode_nohighmem(self.as_ptr());
        }
    }

    /// Makes it a device node, a fifo or a socket; the VFS has the file operations. `EINVAL` for
    /// another kind of file.
    pub(crate) fn init_special(&mut self, kind: FileType, ops: CommonOps<T>, dev: Dev) -> Result {
        match kind {
            FileType::Regular | FileType::Directory | FileType::Symlink => return Err(EINVAL),
            FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => (),
        }
        self.set_ops(ops.table());
        // SAFETY: As in `set_mode`.
        unsafe { bindings::init_special_inode(self.as_ptr(), kind.bits(), dev.into_c()) };
        Ok(())
    }

    /// Sets the size, in bytes.
    pub(crate) fn set_size(&mut self, size: i64) {
        self.lock_attrs().set_size(size);
    }

    /// Sets the generation.
    pub(crate) fn set_generation(&mut self, generation: u32) {
        // SAFETY: As in `set_mode`.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_generation, generation) };
    }

    /// Sets flags, except for [`INodeFlag::Automount`], which [`Self::set_automount`] sets.
    pub(crate) fn add_flags(&mut self, flags: INodeFlags) {
        let flags = u32::from(flags) & !bindings::S_AUTOMOUNT;
        // SAFETY: As in `set_mode`.
        unsafe {
            write_once(
                &raw mut (*self.as_ptr()).i_flags,
                u32::from(self.flags()) | flags,
            )
        };
    }

    /// Has a walk that reaches it ask
    /// [`Operations::d_automount`](crate::vfs::node::dentry::Operations) for what is to be mounted.
    pub(crate) fn set_automount(&mut self) {
        const { assert!(T::Dentries::HAS_D_AUTOMOUNT) };
        let flags = u32::from(self.flags()) | bindings::S_AUTOMOUNT;
        // SAFETY: As in `set_mode`.
        unsafe { write_once(&raw mut (*self.as_ptr()).i_flags, flags) };
    }

    /// Allows folios of up to 2^`order` pages in its page cache.
    pub(crate) fn set_max_folio_order(&mut self, order: u32) {
        // SAFETY: As in `set_mode`; nothing is cached yet.
        unsafe {
            bindings::mapping_set_folio_order_range(&raw mut (*self.as_ptr()).i_data, 0, order)
        };
    }

    /// Tells reclaim not to wait until a page of it is written.
    pub(crate) fn writeback_may_deadlock_on_reclaim(&mut self) {
        // SAFETY: As in `set_mode`.
        unsafe {
            bindings::mapping_set_writeback_may_deadlock_on_reclaim(
                &raw mut (*self.as_ptr()).i_data,
            )
        };
    }

    /// Tells the VFS not to cache its ACLs.
    pub(crate) fn dont_cache_acls(&mut self) {
        // SAFETY: As in `set_mode`; no ACL is cached yet.
        unsafe { bindings::inode_dont_cache_acls(self.as_ptr()) };
    }

    /// Ends the setup: makes it usable by all tasks.
    pub(crate) fn unlock(self) -> Held<'a, INode<T>> {
        let mut this = core::mem::ManuallyDrop::new(self);
        if this.is_reg() && this.sb().may_be_above_its_kind() {
            let key = static_lock_class!();
            // SAFETY: No other task uses the inode yet; name and key are static.
            unsafe {
                bindings::lockdep_name_rwsem(
                    &raw mut (*this.as_ptr()).i_rwsem,
                    c"i_rwsem of a stack".as_char_ptr(),
                    key.as_ptr(),
                );
            }
        }
        if this.locked {
            // SAFETY: It is locked.
            unsafe { bindings::unlock_new_inode(this.as_ptr()) };
        }
        // SAFETY: The field is not used after this, nor is this dropped.
        unsafe { core::mem::ManuallyDrop::take(&mut this.inode) }
    }
}

/// What an inode is looked up by. All methods are called under a spinlock.
pub(crate) trait INodeKey<T: FileSystem> {
    /// Its hash in the inode cache; equal keys have the same.
    fn hash(&self) -> u64;

    /// Whether `data` is the data of the inode of this key.
    fn matches(&self, data: &T::InodeData) -> bool;

    /// Makes `data` the data of a new inode of this key, which no other task sees yet.
    fn set(&self, data: Pin<&mut T::InodeData>);
}

/// The result of [`SuperBlock::iget5_locked`].
pub(crate) enum IGet<'a, T: FileSystem> {
    /// There was none; the caller has to set up this one.
    New(NewInode<'a, T>),
    /// It was in the inode cache.
    Cached(Held<'a, INode<T>>),
}

impl<T: FileSystem, S: Live> SuperBlock<T, S> {
    /// Finds or makes the inode of `key`. May sleep.
    pub(crate) fn iget5_locked<K: INodeKey<T>>(&self, key: &K) -> Result<IGet<'_, T>> {
        // SAFETY: The super block is set up far enough to have inodes. The callbacks are those of
        // `T` and `K`, and `key` is valid for the call.
        let inode = unsafe {
            bindings::iget5_locked(
                self.as_ptr(),
                key.hash(),
                Some(test::<T, K>),
                Some(set::<T, K>),
                core::ptr::from_ref(key).cast_mut().cast(),
            )
        };
        let inode = NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: The caller of `iget5_locked` owns a reference; `iget5_locked` has waited until an
        // inode that another task made was unlocked.
        let (is_new, inode) = unsafe {
            (
                bindings::inode_is_new(inode.as_ptr()),
                Held::from_raw(inode.cast::<INode<T>>()),
            )
        };
        Ok(if is_new {
            IGet::New(NewInode {
                inode: core::mem::ManuallyDrop::new(inode),
                locked: true,
            })
        } else {
            IGet::Cached(inode)
        })
    }

    /// Finds the inode of `key` if it is in the inode cache. May sleep.
    pub(crate) fn ilookup5<K: INodeKey<T>>(&self, key: &K) -> Option<Held<'_, INode<T>>> {
        // SAFETY: As in `iget5_locked`.
        let inode = unsafe {
            bindings::ilookup5(
                self.as_ptr(),
                key.hash(),
                Some(test::<T, K>),
                core::ptr::from_ref(key).cast_mut().cast(),
            )
        };
        // SAFETY: The caller of `ilookup5` owns the reference.
        NonNull::new(inode).map(|inode| unsafe { Held::from_raw(inode.cast()) })
    }

    /// Makes an inode of `key` that no lookup finds. May sleep.
    pub(crate) fn new_inode<K: INodeKey<T>>(&self, key: &K) -> Result<NewInode<'_, T>> {
        // SAFETY: The super block is set up far enough to have inodes.
        let inode = unsafe { bindings::new_inode(self.as_ptr()) };
        let inode = NonNull::new(inode).ok_or(ENOMEM)?;
        // SAFETY: It was made by `alloc_inode` just now. It is not hashed, and the VFS, which can
        // find it in the list of its super block, calls no function of `T` for an inode that is
        // neither dirty nor without a reference.
        unsafe { set::<T, K>(inode.as_ptr(), core::ptr::from_ref(key).cast_mut().cast()) };
        Ok(NewInode {
            // SAFETY: The caller of `new_inode` owns the reference.
            inode: core::mem::ManuallyDrop::new(unsafe { Held::from_raw(inode.cast()) }),
            locked: false,
        })
    }
}

/// # Safety
///
/// Called by `find_inode` in an RCU read-side critical section, with a hashed inode of a super
/// block of `T` and the key that `iget5_locked` or `ilookup5` was given.
unsafe extern "C" fn test<T: FileSystem, K: INodeKey<T>>(
    inode: *mut bindings::inode,
    key: *mut c_void,
) -> c_int {
    // SAFETY: The inode was hashed when the section had begun, so it is not freed before its end;
    // its data was set before that, and its super block outlives the call.
    let inode = unsafe { INodeView::<T>::from_raw(inode) };
    // SAFETY: The key outlives the call.
    let key: &K = unsafe { &*key.cast() };
    key.matches(inode.data()).into()
}

/// # Safety
///
/// Called by `inode_insert5` with the lock of the inode cache held, with an inode of a super block
/// of `T` that `alloc_inode` just made and only the caller uses, and the key that `iget5_locked`
/// was given.
unsafe extern "C" fn set<T: FileSystem, K: INodeKey<T>>(
    inode: *mut bindings::inode,
    key: *mut c_void,
) -> c_int {
    let slot: *mut Slot<T> = inode.cast();
    // SAFETY: The inode was just made, and there is no other reference to its data.
    let data = unsafe { &mut (*slot).data };
    // SAFETY: The key outlives the call.
    let key: &K = unsafe { &*key.cast() };
    // SAFETY: The data stays where it is until it is dropped.
    key.set(unsafe { Pin::new_unchecked(data) });
    0
}

/// Size and constructor of the inode slab of `T`.
pub(in crate::vfs) struct Slab<T>(PhantomData<T>);

impl<T: FileSystem> Slab<T> {
    /// Makes the slab that inodes of `T` are allocated from.
    pub(in crate::vfs) fn create(name: &'static CStr) -> Result<NonNull<bindings::kmem_cache>> {
        const { assert!(core::mem::offset_of!(Slot<T>, inode) == 0) };
        let size = u32::try_from(size_of::<Slot<T>>())?;
        // SAFETY: The name is static, and the constructor is the one of this slab's objects.
        let cache = unsafe {
            bindings::inode_cache_create(
                name.as_char_ptr(),
                size,
                align_of::<Slot<T>>() as u32,
                Some(Self::init_once),
            )
        };
        NonNull::new(cache).ok_or(ENOMEM)
    }

    /// # Safety
    ///
    /// Called by the slab allocator for each new object of the slab that `create` made.
    unsafe extern "C" fn init_once(object: *mut c_void) {
        // SAFETY: The object is a `Slot<T>`, which begins with the inode.
        unsafe { bindings::inode_init_once(object.cast()) };
    }
}

/// # Safety
///
/// Called by the VFS's `alloc_inode`, with a super block of `T` that is not shut down; may sleep.
pub(in crate::vfs) unsafe extern "C" fn alloc_inode<T: FileSystem>(
    sb: *mut bindings::super_block,
) -> *mut bindings::inode {
    // SAFETY: It is one of `T`, valid for the call.
    let cache = unsafe { SuperBlock::<T, Seen>::from_raw(sb) }
        .pools()
        .inode_cache();
    // SAFETY: The slab lives while the type is registered, and a super block keeps it registered.
    let slot: *mut Slot<T> = unsafe { bindings::alloc_inode_sb(sb, cache) }.cast();
    if slot.is_null() {
        return core::ptr::null_mut();
    }
    // SAFETY: The super block is valid for the call.
    let init = T::alloc_inode(unsafe { SuperBlock::from_raw(sb) });
    // SAFETY: The data of a new object is memory that nothing else uses and that does not move.
    if unsafe { pin_init::raw_try_init(&raw mut (*slot).data, init) }.is_err() {
        // SAFETY: The object was allocated above, and its data is not initialised.
        unsafe { bindings::kfree(slot.cast()) };
        return core::ptr::null_mut();
    }
    let attrs = new_spinlock!(T::AttrState::default(), "INode::attrs");
    // SAFETY: As for the data.
    unsafe { pin_init::raw_init(&raw mut (*slot).attrs, attrs) };
    // SAFETY: `slot` is valid.
    unsafe { &raw mut (*slot).inode }
}

/// # Safety
///
/// Called by `i_callback`, an RCU grace period after the inode of `alloc_inode::<T>` was destroyed,
/// or at once if it was never used; there is no reference to it any more.
pub(in crate::vfs) unsafe extern "C" fn free_inode<T: FileSystem>(inode: *mut bindings::inode) {
    let slot: *mut Slot<T> = inode.cast();
    // SAFETY: The data was initialised by `alloc_inode`, and is not used after this.
    unsafe { core::ptr::drop_in_place(&raw mut (*slot).data) };
    // SAFETY: As above.
    unsafe { core::ptr::drop_in_place(&raw mut (*slot).attrs) };
    // SAFETY: The object is of a slab, which is destroyed only after all RCU callbacks. `kfree`
    // finds the slab without the super block, which may be gone.
    unsafe { bindings::kfree(slot.cast()) };
}

/// Marks the times dirty if the VFS keeps them and they are clean: [`write_inode`] is then called
/// for them even if a change of the contents left them as they were, because the clock had not
/// moved on. The server sees the change later than the VFS, by its own clock. Costs two loads if
/// there is nothing to do. May sleep.
///
/// [`write_inode`]: crate::vfs::mount::sb::FileSystem::write_inode
///
/// # Safety
///
/// There must be a reference to the inode.
pub(in crate::vfs) unsafe fn keep_times_dirty(inode: *mut bindings::inode) {
    // SAFETY: The caller's promise; the flags are only read.
    if unsafe { bindings::inode_times_clean(inode) } {
        // SAFETY: The caller's promise.
        unsafe { bindings::mark_inode_dirty_sync(inode) };
    }
}
