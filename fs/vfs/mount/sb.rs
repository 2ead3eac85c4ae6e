// SPDX-License-Identifier: GPL-2.0

//! Super blocks and their operations.
//!
//! Owns `s_fs_info`: a [`SuperInfo`] that goes from the mount context to the super block and is
//! dropped one RCU grace period after the shutdown. Before it on the walk is `fs_type`, which makes
//! super blocks; behind it are `inode` and `dentry`.
//!
//! Locks: `s_umount` (held for writing by the VFS around `fill_super`, `kill_sb` and
//! reconfiguration), then the semaphore of [`SuperHandle`], then inode and folio locks.
//!
//! C headers: `include/linux/fs/super_types.h`, `include/linux/backing-dev.h`.

use crate::vfs::{
    bindings,
    cred::UserNs,
    mount::{
        fs_param::OwnedStr,
        pools::Pools, //
    },
    node::{
        dentry::{
            self,
            DEntry,
            DentryTable, //
        },
        held::Held,
        inode::{
            self,
            INode,
            INodeView, //
        },
    },
    once::{
        read_once,
        write_once, //
    },
    sync::wait::{
        new_wait_queue,
        WaitQueue, //
    },
    tables::{
        ExportOps,
        Handlers, //
    }, //
};
use core::{
    cell::UnsafeCell,
    ffi::c_int,
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_result,
        to_result, //
    },
    fmt,
    impl_flags,
    module::ModuleMetadata,
    prelude::*,
    seq_file::SeqFile,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        rcu,
        Arc, //
    },
    types::{
        ForeignOwnable,
        Opaque, //
    },
    workqueue::Queue, //
};

/// How deep file systems can be stacked on each other at most.
pub(crate) const MAX_STACK_DEPTH: u32 = bindings::FILESYSTEM_MAX_STACK_DEPTH;

/// A file system: the types it hangs on the VFS's objects, and the methods of its super blocks.
///
/// References to inodes and dentries do not keep their super block, so a file system has them for
/// the time of a call of the VFS only. What it keeps for longer is an [`inode::Kept`].
pub(crate) trait FileSystem: Sized + Send + Sync + 'static {
    /// The module whose code this is; it is kept while a super block or an open file exists.
    type OwnerModule: ModuleMetadata;

    /// What a super block owns (`s_fs_info`). Dropped in a work item, one RCU grace period after
    /// the super block was shut down, because the RCU walk reads it.
    type SuperData: Send + Sync;

    /// What an inode owns, placed behind the C inode. Its drop runs in an RCU callback: it must
    /// not sleep.
    type InodeData: Send + Sync;

    /// What the lock of an inode's attributes guards, besides them.
    type AttrState: Default + Send + Unpin;

    /// What a dentry owns (`d_fsdata`). It is freed without being dropped, after an RCU grace
    /// period; a type that needs to be dropped does not compile.
    type DentryData: Send + Sync;

    /// What an open file owns (`private_data`): made by `open`, dropped after `release`.
    type FileData: ForeignOwnable + Send + Sync;

    /// The operations of all dentries.
    type Dentries: dentry::Operations<Self>;

    /// The super block is about to be shut down; all its inodes are still there. What it is
    /// [kept](inode::Kept) by is waited for after this. Called at most once, and not if it never
    /// had a root. `s_umount` is held for writing. May sleep.
    fn kill_sb(sb: &SuperBlock<Self>);

    /// Makes what a new inode owns. May sleep.
    fn alloc_inode(sb: &SuperBlock<Self, Seen>) -> impl PinInit<Self::InodeData, Error>;

    /// The attributes of an inode are dirty, and are to be written. Nobody need hold a reference to
    /// the inode but this call. May sleep.
    fn write_inode(inode: &INodeView<Self>) -> Result;

    /// An inode leaves the cache: it has no reference, its pages are gone, and its data will be
    /// dropped after an RCU grace period. May sleep.
    fn evict_inode(inode: &INodeView<Self>);

    /// Everything that was written is to be made durable; the dirty pages have been written.
    /// `s_umount` is held. May sleep.
    fn sync_fs(sb: &SuperBlock<Self>) -> Result;

    /// Somebody wants to unmount by force. May run at any time after the mount, also together with
    /// everything else. May sleep.
    fn umount_begin(sb: &SuperBlock<Self>);

    /// `statfs(2)` on `dentry`. May sleep.
    fn statfs(dentry: &DEntry<Self>) -> Result<StatFs>;

    /// Prints the options for `/proc/PID/mounts`, each with a comma before it. May sleep.
    fn show_options(sb: &SuperBlock<Self>, m: &SeqFile) -> Result;
}

/// State of a [`SuperBlock`] that `fill_super` is setting up.
pub(crate) struct New;
/// State of a [`SuperBlock`] that is mounted, for as long as it is borrowed.
pub(crate) struct Ready;
/// State of a [`SuperBlock`] that may be anything, also be going away: what the RCU walk sees.
pub(crate) struct Seen;

/// A state in which the super block is not shut down for as long as it is borrowed.
pub(crate) trait Live {}
impl Live for New {}
impl Live for Ready {}

/// A super block (`struct super_block`) of the file system `T`.
///
/// # Invariants
///
/// - It is a valid super block of a type that `T` registered, whose memory and whose `s_fs_info`,
///   a [`SuperInfo`] of `T`, stay valid while it is borrowed.
/// - In state [`New`], it is borrowed by its `fill_super`, with `s_umount` held for writing.
/// - In a state that is [`Live`], `s_op` is the table of `T`, and neither it nor its `s_bdi` is
///   shut down while it is borrowed.
#[repr(transparent)]
pub(crate) struct SuperBlock<T: FileSystem, S = Ready> {
    sb: Opaque<bindings::super_block>,
    _p: PhantomData<(T, S)>,
}

// SAFETY: A super block belongs to no thread, and the data that `T` hangs on it can be shared.
unsafe impl<T: FileSystem, S> Sync for SuperBlock<T, S> {}

/// A super block that its `fill_super` is setting up, and the one way to give it a root. Nobody
/// else uses it until it has one; then this is gone, and with it what may only be done before.
///
/// # Invariants
///
/// The super block has no root, and there is no other of it.
pub(crate) struct NewSuper<'a, T: FileSystem>(&'a SuperBlock<T, New>);

impl<T: FileSystem> Deref for NewSuper<'_, T> {
    type Target = SuperBlock<T, New>;

    fn deref(&self) -> &SuperBlock<T, New> {
        self.0
    }
}

/// What `s_fs_info` points to.
///
/// # Invariants
///
/// `pools` are those of the super block's type, which are created as long as that exists.
#[pin_data]
pub(in crate::vfs) struct SuperInfo<T: FileSystem> {
    data: T::SuperData,
    handle: Arc<SuperHandle<T>>,
    pools: &'static Pools<T>,
    /// How often the super block is kept; see [`SuperBlock::keep`].
    kept: Atomic<i64>,
    #[pin]
    unkept: WaitQueue,
    #[pin]
    release: Opaque<bindings::rcu_work>,
}

impl<T: FileSystem> SuperInfo<T> {
    /// Makes the `s_fs_info` of a super block that does not exist yet; `pools` are to be those of
    /// its type.
    pub(in crate::vfs) fn new(
        data: T::SuperData,
        pools: &'static Pools<T>,
    ) -> Result<Pin<KBox<Self>>> {
        let handle = Arc::pin_init(SuperHandle::new(), GFP_KERNEL)?;
        KBox::pin_init(
            pin_init!(Self {
                data,
                handle,
                pools,
                kept: Atomic::new(0),
                unkept <- new_wait_queue!("SuperInfo::unkept"),
                release: Opaque::uninit(),
            }),
            GFP_KERNEL,
        )
    }

    /// Waits until the super block is not kept any more. Sleeps.
    fn wait_unkept(&self) {
        self.unkept.wait(|| self.kept.load(Acquire) == 0);
    }

    /// Drops `this` in a work item after an RCU grace period.
    ///
    /// # Safety
    ///
    /// The caller gives up the ownership of `this`, and whoever still uses it does so in an RCU
    /// read-side critical section that has begun. The super block must exist.
    unsafe fn release(this: *mut Self) {
        // SAFETY: `this` is valid, and nobody else touches `release`.
        let release = unsafe { Opaque::cast_into(&raw const (*this).release) };
        // SAFETY: `release` is memory for a work item that is not in use.
        unsafe { bindings::init_rcu_work(release, Some(Self::released)) };
        // SAFETY: `this` is valid.
        let queue = unsafe { (*this).pools }.release_queue();
        // SAFETY: The queue is destroyed after the super block, when it has run its items, and the
        // item lives until `released` runs.
        unsafe { bindings::queue_rcu_work(queue, release) };
    }

    /// # Safety
    ///
    /// Called by the release queue, in process context, with the work item of a `SuperInfo<T>`
    /// that `release` gave to it.
    unsafe extern "C" fn released(work: *mut bindings::work_struct) {
        // SAFETY: `work` is the work item in the `rcu_work` that `release` queued.
        let release = unsafe { kernel::container_of!(work, bindings::rcu_work, work) };
        let release = Opaque::cast_from(release).cast_mut();
        // SAFETY: That one is in a `SuperInfo<T>`.
        let this = unsafe { kernel::container_of!(release, Self, release) };
        // SAFETY: `this` came from a `KBox`, and `release` took its ownership.
        drop(unsafe { KBox::from_raw(this) });
    }
}

/// A way to a super block for those that the VFS has not called: it works from when the super block
/// has a root until it is shut down.
///
/// # Invariants
///
/// `sb` is changed with `sem` held for writing. While it is not null, it points to a super block
/// of `T` that has a root and is not shut down.
#[pin_data]
pub(crate) struct SuperHandle<T: FileSystem> {
    #[pin]
    sem: Opaque<bindings::rw_semaphore>,
    sb: UnsafeCell<*mut bindings::super_block>,
    _p: PhantomData<fn(T)>,
}

// SAFETY: A handle belongs to no thread.
unsafe impl<T: FileSystem> Send for SuperHandle<T> {}
// SAFETY: `sem` guards `sb`, and a super block can be used from everywhere.
unsafe impl<T: FileSystem> Sync for SuperHandle<T> {}

impl<T: FileSystem> SuperHandle<T> {
    fn new() -> impl PinInit<Self> {
        let key = static_lock_class!();
        pin_init!(Self {
            sem <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is memory for a semaphore; name and key are static.
                unsafe {
                    bindings::init_rwsem(slot, c"SuperHandle::sem".as_char_ptr(), key.as_ptr())
                }
            }),
            sb: UnsafeCell::new(core::ptr::null_mut()),
            _p: PhantomData,
        })
    }

    /// Runs `f` with the super block, unless that has no root yet or is shut down already. Its
    /// shutdown waits for `f`. May sleep.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&SuperBlock<T>) -> R) -> Option<R> {
        // SAFETY: `sem` is initialised.
        unsafe { bindings::down_read(self.sem.get()) };
        // SAFETY: Reading is allowed with the semaphore held.
        let sb = unsafe { *self.sb.get() };
        let result = NonNull::new(sb).map(|sb| {
            // SAFETY: By the invariant it is of `T`, and `kill_sb` waits for the semaphore before
            // it shuts it down.
            f(unsafe { SuperBlock::from_raw(sb.as_ptr()) })
        });
        // SAFETY: Taken above.
        unsafe { bindings::up_read(self.sem.get()) };
        result
    }

    /// # Safety
    ///
    /// `sb` must be null, or a super block of `T` that has a root, of which there is no
    /// [`NewSuper`] any more, and that is not shut down before this is called again with null.
    unsafe fn set(&self, sb: *mut bindings::super_block) {
        // SAFETY: `sem` is initialised.
        unsafe { bindings::down_write(self.sem.get()) };
        // SAFETY: Writing is allowed with the semaphore held for writing.
        unsafe { *self.sb.get() = sb };
        // SAFETY: Taken above.
        unsafe { bindings::up_write(self.sem.get()) };
    }
}

/// Changes a word of flags of a super block in one step.
///
/// # Safety
///
/// `word` must be valid, and be accessed at the same time only as a whole.
unsafe fn change_flags(word: *mut usize, change: impl Fn(usize) -> usize) {
    // SAFETY: The caller promises it.
    let word = unsafe { Atomic::from_ptr(word) };
    let mut old = word.load(Relaxed);
    while let Err(now) = word.cmpxchg(old, change(old), Relaxed) {
        old = now;
    }
}

impl_flags!(
    /// Flags of a super block (`SB_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct SbFlags(usize);

    /// One flag of a super block.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum SbFlag {
        /// Mounted read-only.
        Rdonly = bindings::SB_RDONLY,
        /// Set-id bits are ignored.
        NoSuid = bindings::SB_NOSUID,
        /// Device nodes are ignored.
        NoDev = bindings::SB_NODEV,
        /// Nothing can be executed.
        NoExec = bindings::SB_NOEXEC,
        /// Writes are synchronous.
        Synchronous = bindings::SB_SYNCHRONOUS,
        /// Mandatory locks.
        MandLock = bindings::SB_MANDLOCK,
        /// Changes of directories are synchronous.
        DirSync = bindings::SB_DIRSYNC,
        /// Access times are not updated.
        NoAtime = bindings::SB_NOATIME,
        /// Access times of directories are not updated.
        NoDirAtime = bindings::SB_NODIRATIME,
        /// The file system has POSIX ACLs, and applies the umask itself.
        PosixAcl = bindings::SB_POSIXACL,
        /// The VFS keeps `i_version`.
        IVersion = bindings::SB_I_VERSION,
        /// Time stamps are written lazily.
        LazyTime = bindings::SB_LAZYTIME,
        /// `S_NOSEC` may be set on inodes.
        NoSec = bindings::SB_NOSEC,
        /// Mounted and not yet being shut down.
        Active = bindings::SB_ACTIVE,
    }
);

impl_flags!(
    /// Internal flags of a super block (`SB_I_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct SbIFlags(usize);

    /// One internal flag of a super block.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum SbIFlag {
        /// Nothing can be executed.
        NoExec = bindings::SB_I_NOEXEC as usize,
        /// Device nodes are ignored.
        NoDev = bindings::SB_I_NODEV as usize,
        /// IMA must not trust the signatures found here.
        ImaUnverifiableSignature = bindings::SB_I_IMA_UNVERIFIABLE_SIGNATURE as usize,
        /// Whoever mounted it has no privilege outside of a user namespace.
        UntrustedMounter = bindings::SB_I_UNTRUSTED_MOUNTER as usize,
        /// It cannot be mounted with an id map.
        NoIdmap = bindings::SB_I_NOIDMAP as usize,
        /// Sync does not promise that data is on stable storage.
        NoDataIntegrity = bindings::SB_I_NO_DATA_INTEGRITY as usize,
    }
);

impl SbFlags {
    pub(in crate::vfs) fn from_c(flags: c_uint) -> Self {
        Self(flags as usize)
    }
}

/// What [`SuperBlock::setup_bdi`] sets of a backing device.
pub(crate) struct Bdi {
    /// Count its dirty pages against its own limit even while the system is below the global one.
    pub(crate) strict_limit: bool,
    /// Share of the dirty pages that it may have at most, in percent.
    pub(crate) max_ratio: u32,
}

impl<T: FileSystem, S> SuperBlock<T, S> {
    /// The super block behind `sb`.
    ///
    /// # Safety
    ///
    /// The type's invariants must hold for `sb` in state `S` for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(sb: *mut bindings::super_block) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*sb.cast() }
    }

    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::super_block {
        self.sb.get()
    }

    fn info(&self) -> &SuperInfo<T> {
        // SAFETY: `s_fs_info` is set before the super block is published, never changes, and stays
        // valid while the super block is borrowed, by the type invariant.
        unsafe { &*(*self.as_ptr()).s_fs_info.cast() }
    }

    /// What is kept for the super blocks of its type.
    pub(in crate::vfs) fn pools(&self) -> &'static Pools<T> {
        self.info().pools
    }

    /// What the file system hung on it.
    pub(crate) fn data(&self) -> &T::SuperData {
        &self.info().data
    }

    /// The user namespace that ids of this file system are of.
    pub(crate) fn user_ns(&self) -> &UserNs {
        // SAFETY: `s_user_ns` never changes, and the super block keeps it until it is freed.
        unsafe { UserNs::from_ptr((*self.as_ptr()).s_user_ns) }
    }

    /// Its device number, as major and minor.
    pub(crate) fn dev(&self) -> (u32, u32) {
        // SAFETY: `s_dev` is set before the super block is published and never changes.
        let dev = unsafe { (*self.as_ptr()).s_dev };
        // SAFETY: These take plain numbers.
        unsafe { (bindings::major(dev), bindings::minor(dev)) }
    }

    /// Its flags.
    pub(crate) fn flags(&self) -> SbFlags {
        // SAFETY: The super block is valid.
        SbFlags(unsafe { read_once(&raw const (*self.as_ptr()).s_flags) })
    }

    /// Its internal flags.
    pub(crate) fn iflags(&self) -> SbIFlags {
        // SAFETY: The super block is valid.
        SbIFlags(unsafe { read_once(&raw const (*self.as_ptr()).s_iflags) })
    }

    /// Mounted and not yet being shut down (`SB_ACTIVE`).
    pub(crate) fn is_active(&self) -> bool {
        self.flags().contains(SbFlag::Active)
    }

    /// Whether it can be stacked on another of the same type, so that lockdep has to be told the
    /// locks of the two apart.
    pub(in crate::vfs) fn may_be_above_its_kind(&self) -> bool {
        // SAFETY: The super block is valid.
        cfg!(CONFIG_LOCKDEP) && unsafe { read_once(&raw const (*self.as_ptr()).s_stack_depth) } > 1
    }

    /// Whether it is on a block device.
    pub(crate) fn has_bdev(&self) -> bool {
        // SAFETY: `s_bdev` is set before `fill_super` is called and does not change before the
        // super block is freed.
        !unsafe { read_once(&raw const (*self.as_ptr()).s_bdev) }.is_null()
    }

    /// Log2 of the block size.
    pub(crate) fn blocksize_bits(&self) -> u8 {
        // SAFETY: The super block is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).s_blocksize_bits) }
    }

    /// The block size in bytes.
    pub(crate) fn blocksize(&self) -> usize {
        // SAFETY: The super block is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).s_blocksize) }
    }
}

impl<T: FileSystem> SuperBlock<T> {
    /// Counts something that keeps the super block: it is not shut down before [`Self::unkeep`] was
    /// called as often as this.
    pub(in crate::vfs) fn keep(&self) {
        // Nobody waits for it before the super block is given up by what lends it here.
        self.info().kept.add(1, Relaxed);
    }

    /// # Safety
    ///
    /// `sb` must be a super block of `T` that [`Self::keep`] has counted for this call.
    pub(in crate::vfs) unsafe fn unkeep(sb: *mut bindings::super_block) {
        let _rcu = rcu::read_lock();
        // SAFETY: It is not shut down before the count is given up. `s_fs_info` is released a grace
        // period after that at the earliest.
        let info: &SuperInfo<T> = unsafe { &*(*sb).s_fs_info.cast() };
        // A full barrier: what waits sees the count, or is seen to wait. It also sees all that was
        // done to the super block before.
        if info.kept.fetch_sub(1, Full) == 1 {
            info.unkept.wake_up_all();
        }
    }
}

impl<T: FileSystem, S: Live> SuperBlock<T, S> {
    /// A way to it that can be kept.
    pub(crate) fn handle(&self) -> Arc<SuperHandle<T>> {
        self.info().handle.clone()
    }

    /// Its root, if that is set.
    pub(crate) fn root(&self) -> Option<&DEntry<T>> {
        // SAFETY: The super block is valid.
        let root = unsafe { read_once(&raw const (*self.as_ptr()).s_root) };
        // SAFETY: The super block keeps a reference to its root until it is shut down.
        NonNull::new(root).map(|root| unsafe { DEntry::from_raw(root.as_ptr()) })
    }

    /// Throws out every dentry that nobody uses, and the inodes that only those have kept. May
    /// sleep.
    pub(crate) fn shrink_dcache(&self) {
        // SAFETY: The super block is valid.
        unsafe { bindings::shrink_dcache_sb(self.as_ptr()) };
    }

    /// Writes what is dirty, and waits for it. `s_umount` must be held, as it is in
    /// [`FileSystem::reconfigure`] and [`FileSystem::kill_sb`]; if it is not, the kernel warns and
    /// the result may not hold. May sleep.
    pub(crate) fn sync_filesystem(&self) -> Result {
        // SAFETY: The super block is valid; the lock is only asked for, not relied on.
        to_result(unsafe { bindings::sync_filesystem(self.as_ptr()) })
    }

    /// Sets flags; not [`SbFlag::Active`], which is the VFS's.
    ///
    /// Nothing that others change at the same time is lost: whoever waits for the mount would wait
    /// for `SB_BORN` for ever. But the VFS does not take the same care of what is set here, after
    /// `fill_super`.
    pub(crate) fn add_flags(&self, flags: SbFlags) {
        let flags = usize::from(flags) & !bindings::SB_ACTIVE;
        // SAFETY: The super block is valid.
        unsafe { change_flags(&raw mut (*self.as_ptr()).s_flags, |old| old | flags) };
    }

    /// Clears flags, but for [`SbFlag::Active`]. As [`Self::add_flags`].
    pub(crate) fn clear_flags(&self, flags: SbFlags) {
        let keep = !usize::from(flags) | bindings::SB_ACTIVE;
        // SAFETY: The super block is valid.
        unsafe { change_flags(&raw mut (*self.as_ptr()).s_flags, |old| old & keep) };
    }

    /// Sets internal flags. As [`Self::add_flags`].
    pub(crate) fn add_iflags(&self, flags: SbIFlags) {
        let flags = usize::from(flags);
        // SAFETY: The super block is valid.
        unsafe { change_flags(&raw mut (*self.as_ptr()).s_iflags, |old| old | flags) };
    }

    /// Clears internal flags. As [`Self::add_flags`].
    pub(crate) fn clear_iflags(&self, flags: SbIFlags) {
        let keep = !usize::from(flags);
        // SAFETY: The super block is valid.
        unsafe { change_flags(&raw mut (*self.as_ptr()).s_iflags, |old| old & keep) };
    }

    /// Sets the granularity of time stamps, in ns: from one to a whole second.
    pub(crate) fn set_time_gran(&self, ns: u32) {
        let ns = ns.clamp(1, bindings::NSEC_PER_SEC);
        // SAFETY: The super block is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).s_time_gran, ns) };
    }

    /// Sets how many file systems this one is stacked on, at most [`MAX_STACK_DEPTH`]. The inodes
    /// that are made from then on belong to it as well, for lockdep.
    pub(crate) fn set_stack_depth(&self, depth: u32) {
        let depth = depth.min(MAX_STACK_DEPTH) as c_int;
        // SAFETY: The super block is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).s_stack_depth, depth) };
        if self.may_be_above_its_kind() {
            let key = static_lock_class!();
            // SAFETY: The super block is valid, and whoever has the lock now still gives this one
            // back; name and key are static.
            unsafe {
                let writers = &raw mut (*self.as_ptr()).s_writers.rw_sem;
                bindings::lockdep_name_percpu_rwsem(
                    writers.cast(),
                    c"sb_writers of a stack".as_char_ptr(),
                    key.as_ptr(),
                );
            }
        }
    }

    /// Sets how file handles are made and found. Handles that are in use are not affected.
    pub(crate) fn set_export_ops(&self, ops: ExportOps<T>) {
        let table = core::ptr::from_ref(ops.table()).cast();
        // SAFETY: The super block is valid, and the table is static.
        unsafe { write_once(&raw mut (*self.as_ptr()).s_export_op, table) };
    }

    fn bdi(&self) -> *mut bindings::backing_dev_info {
        // SAFETY: The super block is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).s_bdi) }
    }

    /// How many pages the kernel reads ahead by default.
    pub(crate) fn ra_pages(&self) -> usize {
        // SAFETY: The super block has a backing device until it is shut down.
        unsafe { read_once(&raw const (*self.bdi()).ra_pages) }
    }

    /// Sets how many pages the kernel reads ahead by default. Does nothing before
    /// [`SuperBlock::setup_bdi`].
    pub(crate) fn set_ra_pages(&self, pages: usize) {
        if self.has_own_bdi() {
            // SAFETY: The super block keeps its own backing device until it is shut down.
            unsafe { write_once(&raw mut (*self.bdi()).ra_pages, pages) };
        }
    }

    /// Where direct writes end that must not end in the context of who did them; made when it is
    /// first asked for. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, not after it was made.
    pub(crate) fn dio_done_queue(&self) -> Result<&Queue> {
        // SAFETY: The super block is valid.
        let place = unsafe { &raw const (*self.as_ptr()).s_dio_done_wq };
        // SAFETY: As above.
        if unsafe { read_once(place) }.is_null() {
            // SAFETY: The super block is live; two who do this at once end up with one.
            to_result(unsafe { bindings::sb_init_dio_done_wq(self.as_ptr()) })?;
        }
        // SAFETY: Made above if not before; it goes when the super block is shut down, after the
        // last reference to an inode.
        Ok(unsafe { Queue::from_raw(read_once(place).cast_const()) })
    }

    /// Sets the largest I/O, in pages. Does nothing before [`SuperBlock::setup_bdi`].
    pub(crate) fn set_io_pages(&self, pages: usize) {
        if self.has_own_bdi() {
            // SAFETY: The super block keeps its own backing device until it is shut down.
            unsafe { write_once(&raw mut (*self.bdi()).io_pages, pages) };
        }
    }

    /// Takes it out of the way of a new mount of its block device. Does nothing without one. Waits
    /// for `s_umount`, which the caller must not hold.
    pub(crate) fn retire(&self) {
        if self.has_bdev() {
            // SAFETY: The super block is not shut down while it is borrowed.
            unsafe { bindings::retire_super(self.as_ptr()) };
        }
    }

    fn has_own_bdi(&self) -> bool {
        usize::from(self.iflags()) & bindings::SB_I_PERSB_BDI as usize != 0
    }
}

impl<T: FileSystem> SuperBlock<T, New> {
    /// The largest file that the page cache can hold, in bytes.
    pub(crate) const MAX_LFS_FILESIZE: i64 = bindings::MAX_LFS_FILESIZE as i64;

    /// Log2 of the page size, the natural block size without a block device.
    pub(crate) const PAGE_SHIFT: u8 = bindings::VFS_PAGE_SHIFT as u8;

    /// Sets the number that `statfs` and others know the file system by.
    pub(crate) fn set_magic(&self, magic: u32) {
        // SAFETY: The super block is valid, and only `fill_super` uses this field now.
        unsafe { (*self.as_ptr()).s_magic = magic as usize };
    }

    /// Sets the largest size of a file, in bytes; at most [`Self::MAX_LFS_FILESIZE`].
    pub(crate) fn set_maxbytes(&self, bytes: i64) {
        let bytes = bytes.clamp(0, Self::MAX_LFS_FILESIZE);
        // SAFETY: As in `set_magic`.
        unsafe { (*self.as_ptr()).s_maxbytes = bytes };
    }

    /// Sets the block size, as its log2. `EINVAL` if it is not between 512 bytes and a page.
    pub(crate) fn set_blocksize_bits(&self, bits: u8) -> Result {
        if !(9..=Self::PAGE_SHIFT).contains(&bits) {
            return Err(EINVAL);
        }
        // SAFETY: The super block is valid; others may see it by its handle, and read these.
        unsafe {
            write_once(&raw mut (*self.as_ptr()).s_blocksize, 1 << bits);
            write_once(&raw mut (*self.as_ptr()).s_blocksize_bits, bits);
        }
        Ok(())
    }

    /// Sets who handles extended attributes. Only inodes that are made after this have any.
    pub(crate) fn set_xattr_handlers(&self, handlers: Handlers<T>) {
        // SAFETY: As in `set_magic`; the table is static.
        unsafe { (*self.as_ptr()).s_xattr = handlers.table().as_ptr() };
    }

    /// Sets the name behind the dot in the type that `/proc/PID/mounts` shows.
    pub(crate) fn set_subtype(&self, subtype: OwnedStr) {
        // SAFETY: As in `set_magic`. The super block frees `s_subtype` by kfree.
        unsafe {
            bindings::kfree((*self.as_ptr()).s_subtype.cast());
            (*self.as_ptr()).s_subtype = subtype.into_raw();
        }
    }

    /// Sets the block size of the super block and of its block device, in bytes. `EINVAL` without
    /// one, or if it cannot have blocks of this size.
    pub(crate) fn set_bdev_blocksize(&self, bytes: u32) -> Result {
        if !self.has_bdev() {
            return Err(EINVAL);
        }
        let bytes = c_int::try_from(bytes)?;
        // SAFETY: The super block has a block device, and nobody else uses it yet.
        match unsafe { bindings::sb_set_blocksize(self.as_ptr(), bytes) } {
            0 => Err(EINVAL),
            _ => Ok(()),
        }
    }

    /// Gives the super block a backing device of its own, also instead of that of its block
    /// device. `EEXIST` if it has one, or if there is one of that name.
    pub(crate) fn setup_bdi(&self, name: fmt::Arguments<'_>, bdi: Bdi) -> Result {
        if self.has_own_bdi() {
            return Err(EEXIST);
        }
        if self.has_bdev() {
            // SAFETY: As in `set_magic`; the super block owned a reference to the backing device
            // of its block device, and owns none to the one of those that have none.
            unsafe {
                bindings::bdi_put(self.bdi());
                (*self.as_ptr()).s_bdi = &raw mut bindings::noop_backing_dev_info;
            }
        }
        // SAFETY: The super block has no backing device yet. `%pA` prints a `fmt::Arguments`.
        to_result(unsafe {
            bindings::super_setup_bdi_name(
                self.as_ptr(),
                c"%pA".as_char_ptr().cast_mut(),
                (&raw const name).cast::<c_void>(),
            )
        })?;
        if bdi.strict_limit {
            // SAFETY: The super block has its own backing device now, and nobody else uses it.
            unsafe { (*self.bdi()).capabilities |= bindings::BDI_CAP_STRICTLIMIT };
        }
        // SAFETY: As above.
        to_result(unsafe { bindings::bdi_set_max_ratio(self.bdi(), bdi.max_ratio) })
    }

    /// Makes it one that a walk mounts within `parent`: of the same kind, with the same limits, on
    /// the same backing device, and with the same restrictions. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST` if it has a backing device.
    pub(crate) fn take_after(&self, parent: &SuperBlock<T>) -> Result {
        /// What the mounter asked for, and what the file system has promised since.
        const FLAGS: usize = bindings::SB_RDONLY
            | bindings::SB_NOSUID
            | bindings::SB_NODEV
            | bindings::SB_NOEXEC
            | bindings::SB_SYNCHRONOUS
            | bindings::SB_DIRSYNC
            | bindings::SB_NOATIME
            | bindings::SB_NODIRATIME
            | bindings::SB_POSIXACL
            | bindings::SB_NOSEC;
        /// All that [`SbIFlag`] names.
        const IFLAGS: u32 = bindings::SB_I_NOEXEC
            | bindings::SB_I_NODEV
            | bindings::SB_I_IMA_UNVERIFIABLE_SIGNATURE
            | bindings::SB_I_UNTRUSTED_MOUNTER
            | bindings::SB_I_NOIDMAP
            | bindings::SB_I_NO_DATA_INTEGRITY;

        if self.has_bdev() || self.bdi() != &raw mut bindings::noop_backing_dev_info {
            return Err(EEXIST);
        }
        // SAFETY: The parent is set up: what could still set its subtype, or its parts below that
        // are read without a mark, was a `NewSuper` of it. It is not shut down while it is
        // borrowed.
        let subtype = unsafe { (*parent.as_ptr()).s_subtype };
        if !subtype.is_null() {
            // SAFETY: It is a string.
            let copy = unsafe { bindings::kstrdup_kernel(subtype) };
            if copy.is_null() {
                return Err(ENOMEM);
            }
            // SAFETY: As in `set_magic`. The super block frees `s_subtype` by kfree.
            unsafe { (*self.as_ptr()).s_subtype = copy.cast_const() };
        }
        let (to, from) = (self.as_ptr(), parent.as_ptr());
        // SAFETY: As in `set_magic`, and as above. The tables that these point to are static.
        unsafe {
            (*to).s_magic = (*from).s_magic;
            (*to).s_maxbytes = (*from).s_maxbytes;
            (*to).s_xattr = (*from).s_xattr;
            (*to).s_export_op = read_once(&raw const (*from).s_export_op);
            (*to).s_time_gran = read_once(&raw const (*from).s_time_gran);
            (*to).s_stack_depth = read_once(&raw const (*from).s_stack_depth);
            (*to).s_blocksize = (*from).s_blocksize;
            (*to).s_blocksize_bits = (*from).s_blocksize_bits;
        }
        self.add_flags(SbFlags(usize::from(parent.flags()) & FLAGS));
        self.add_iflags(SbIFlags(usize::from(parent.iflags()) & IFLAGS as usize));
        // SAFETY: The parent keeps its backing device; the new reference is the super block's.
        unsafe { (*to).s_bdi = bindings::bdi_get(parent.bdi()) };
        Ok(())
    }
}

impl<'a, T: FileSystem> NewSuper<'a, T> {
    /// Makes the root dentry of `inode`. `EXDEV` if that is one of another super block.
    pub(crate) fn make_root(&self, inode: Held<'_, INode<T>>) -> Result<Held<'a, DEntry<T>>> {
        // SAFETY: `i_sb` never changes.
        if unsafe { (*inode.as_ptr()).i_sb } != self.as_ptr() {
            return Err(EXDEV);
        }
        // SAFETY: `d_make_root` takes over the reference to the inode, also when it fails.
        let root = unsafe { bindings::d_make_root(inode.into_raw().as_ptr().cast()) };
        let root = NonNull::new(root).ok_or(ENOMEM)?;
        // SAFETY: The caller of `d_make_root` owns the reference to the new dentry. The super block
        // is not shut down for `'a`.
        Ok(unsafe { Held::from_raw(root.cast()) })
    }

    /// Sets the root, and the super block is set up: its [`SuperHandle`] works from now on, and a
    /// failure of `fill_super` is followed by `kill_sb`. `EINVAL` if this is the root of another
    /// super block. May sleep.
    pub(crate) fn set_root(self, root: Held<'_, DEntry<T>>) -> Result<&'a SuperBlock<T>> {
        // SAFETY: `d_sb` never changes.
        if unsafe { (*root.as_ptr()).d_sb } != self.as_ptr() {
            return Err(EINVAL);
        }
        // SAFETY: As in `set_magic`. The super block owns a reference to its root.
        unsafe {
            write_once(
                &raw mut (*self.as_ptr()).s_root,
                root.into_raw().as_ptr().cast(),
            )
        };
        // SAFETY: It has a root, this is gone when it returns, and `kill_sb`, without which it is
        // not shut down, clears the handle.
        unsafe { self.info().handle.set(self.as_ptr()) };
        // SAFETY: The super block is not shut down while `fill_super` borrows it.
        Ok(unsafe { SuperBlock::from_raw(self.as_ptr()) })
    }
}

/// What `statfs(2)` tells. The file system id is left zero.
#[derive(Default)]
pub(crate) struct StatFs {
    /// Kind of file system, its magic number.
    pub(crate) magic: u32,
    /// Optimal transfer size, in bytes.
    pub(crate) bsize: u32,
    /// Size of a block, in bytes.
    pub(crate) frsize: u32,
    /// All blocks.
    pub(crate) blocks: u64,
    /// Free blocks.
    pub(crate) bfree: u64,
    /// Blocks free for the unprivileged.
    pub(crate) bavail: u64,
    /// All inodes.
    pub(crate) files: u64,
    /// Free inodes.
    pub(crate) ffree: u64,
    /// Longest name, in bytes.
    pub(crate) namelen: u32,
}

/// Lets `get` make or find a super block; a new one gets `data`.
///
/// # Safety
///
/// `fc` must be a context of a type of `T` that no other task uses, and `pools` be those of its
/// type.
pub(in crate::vfs) unsafe fn get_super<T: FileSystem>(
    fc: *mut bindings::fs_context,
    data: T::SuperData,
    pools: &'static Pools<T>,
    get: impl FnOnce(*mut bindings::fs_context) -> c_int,
) -> Result {
    let info = SuperInfo::<T>::new(data, pools)?;
    // SAFETY: It stays where it is until the box is made again.
    let info = KBox::into_raw(unsafe { Pin::into_inner_unchecked(info) });
    // SAFETY: No other task uses the context.
    unsafe { (*fc).s_fs_info = info.cast() };
    let result = to_result(get(fc));
    // The super block took it over, if one was made; else it is still here.
    // SAFETY: No other task uses the context.
    let left = unsafe { core::mem::replace(&mut (*fc).s_fs_info, core::ptr::null_mut()) };
    if !left.is_null() {
        // SAFETY: It is `info`, which no super block has.
        drop(unsafe { KBox::<SuperInfo<T>>::from_raw(left.cast()) });
    }
    result
}

/// The super operations of `T`.
pub(in crate::vfs) struct SuperTable<T>(PhantomData<T>);

impl<T: FileSystem> SuperTable<T> {
    const TABLE: bindings::super_operations = bindings::super_operations {
        alloc_inode: Some(inode::alloc_inode::<T>),
        free_inode: Some(inode::free_inode::<T>),
        drop_inode: Some(bindings::inode_just_drop),
        write_inode: Some(Self::write_inode),
        evict_inode: Some(Self::evict_inode),
        statfs: Some(Self::statfs),
        put_super: Some(Self::put_super),
        sync_fs: Some(Self::sync_fs),
        umount_begin: Some(Self::umount_begin),
        show_options: Some(Self::show_options),
        ..pin_init::zeroed()
    };

    /// What comes first of setting up a super block.
    ///
    /// # Safety
    ///
    /// Called by the `fill_super` of a new super block of a type of `T` whose `s_fs_info` is a
    /// `SuperInfo<T>`, with `s_umount` held for writing during `'a`.
    pub(in crate::vfs) unsafe fn begin<'a>(sb: *mut bindings::super_block) -> NewSuper<'a, T> {
        // SAFETY: Nobody else uses the fields of a super block that is being set up.
        unsafe { (*sb).s_op = &Self::TABLE };
        // SAFETY: The super block is valid, and the table is static.
        unsafe { bindings::set_default_d_op(sb, DentryTable::<T>::get()) };
        // INVARIANT: It is new.
        // SAFETY: The type's invariants hold now.
        NewSuper(unsafe { SuperBlock::from_raw(sb) })
    }

    /// The VFS may use a super block that was set up without it.
    ///
    /// # Safety
    ///
    /// `sb` must be a super block of `T` that has a root, with `s_umount` held for writing.
    pub(super) unsafe fn activate(sb: *mut bindings::super_block) {
        // SAFETY: The caller promises that it is valid.
        unsafe { change_flags(&raw mut (*sb).s_flags, |old| old | bindings::SB_ACTIVE) };
    }

    /// The `kill_sb` of a file system type without a device.
    ///
    /// # Safety
    ///
    /// As [`Self::kill`].
    pub(in crate::vfs) unsafe extern "C" fn kill_anon(sb: *mut bindings::super_block) {
        // SAFETY: The caller promises it; a super block without a device is shut down like that.
        unsafe { Self::kill(sb, |sb| bindings::kill_anon_super(sb)) };
    }

    /// The `kill_sb` of a file system type with a block device.
    ///
    /// # Safety
    ///
    /// As [`Self::kill`].
    pub(in crate::vfs) unsafe extern "C" fn kill_block(sb: *mut bindings::super_block) {
        // A submount has a number of its own instead, which is given back by the other function.
        // SAFETY: The caller promises that the super block is valid; `s_dev` does not change.
        let is_anon = unsafe { bindings::major((*sb).s_dev) } == 0;
        if is_anon {
            // SAFETY: As of this function.
            return unsafe { Self::kill_anon(sb) };
        }
        // SAFETY: The caller promises it; a super block with a device is shut down like that.
        unsafe { Self::kill(sb, |sb| bindings::kill_block_super(sb)) };
    }

    /// Shuts a super block down by `shut_down`, which is what the VFS has for its type.
    ///
    /// # Safety
    ///
    /// Called by `deactivate_locked_super`, with `s_umount` held for writing, with a super block of
    /// a type of `T` that has an `s_fs_info`; the VFS drops its last reference to it.
    unsafe fn kill(
        sb: *mut bindings::super_block,
        shut_down: impl FnOnce(*mut bindings::super_block),
    ) {
        // SAFETY: The caller promises that it is a super block of `T`.
        let info: *mut SuperInfo<T> = unsafe { (*sb).s_fs_info.cast() };
        // SAFETY: `s_umount` is held, so `s_root` does not change.
        if !unsafe { (*sb).s_root }.is_null() {
            // SAFETY: It had a root, so it was set up, and it is shut down only below.
            T::kill_sb(unsafe { SuperBlock::from_raw(sb) });
        }
        // SAFETY: `info` is valid until it is released below.
        unsafe { (*info).handle.set(core::ptr::null_mut()) };
        // Nothing lends the super block any more but the writeback of the shutdown itself.
        // SAFETY: As above.
        unsafe { (*info).wait_unkept() };
        shut_down(sb);
        // A mount that looks for super blocks goes on seeing this one until the VFS marks it dead,
        // which happens after the return from here. It must not look at `s_fs_info` any more.
        // SAFETY: The VFS keeps the super block until the return.
        unsafe {
            change_flags(&raw mut (*sb).s_iflags, |old| {
                old | bindings::SB_I_RETIRED as usize
            })
        };
        // SAFETY: The super block was the owner. Only the RCU walk, and a lookup of super blocks
        // that did not see the mark, still use it.
        unsafe { SuperInfo::release(info) };
    }

    /// The data of a super block that a lookup of super blocks meets.
    ///
    /// # Safety
    ///
    /// `sb` must be a super block of a type of `T` that is on the type's list, with the lock of
    /// that list held for `'a`.
    pub(in crate::vfs) unsafe fn listed_data<'a>(
        sb: *mut bindings::super_block,
    ) -> Option<&'a T::SuperData> {
        // SAFETY: A listed super block is valid.
        let iflags = unsafe { read_once(&raw const (*sb).s_iflags) };
        if iflags & bindings::SB_I_RETIRED as usize != 0 {
            return None;
        }
        // SAFETY: `s_fs_info` is set before a super block is listed. The list's spinlock is an RCU
        // read-side critical section, and the release, which waits for those, had not begun when
        // the mark was looked at.
        let info: &SuperInfo<T> = unsafe { &*(*sb).s_fs_info.cast() };
        Some(&info.data)
    }

    /// # Safety
    ///
    /// Called by `write_inode` of the VFS with an inode of a super block of `T` that is marked as
    /// being synced, so that it is not freed.
    unsafe extern "C" fn write_inode(
        inode: *mut bindings::inode,
        _control: *mut bindings::writeback_control,
    ) -> c_int {
        from_result(|| {
            // SAFETY: It is an inode of `T` that stays valid for the call.
            T::write_inode(unsafe { inode::INodeView::from_raw(inode) })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `evict` with `I_FREEING` set, no reference and no locks held, on an inode of a
    /// super block of `T`.
    unsafe extern "C" fn evict_inode(inode: *mut bindings::inode) {
        // SAFETY: An inode that is being evicted is valid.
        unsafe { bindings::truncate_inode_pages_final(&raw mut (*inode).i_data) };
        // SAFETY: Its pages are gone.
        unsafe { bindings::clear_inode(inode) };
        // SAFETY: It is an inode of `T` that stays valid for the call.
        T::evict_inode(unsafe { inode::INodeView::from_raw(inode) });
    }

    /// # Safety
    ///
    /// Called by `statfs_by_dentry` with a dentry of a super block of `T` that it holds a reference
    /// to, and with `buf` zeroed.
    unsafe extern "C" fn statfs(
        dentry: *mut bindings::dentry,
        buf: *mut kernel::bindings::kstatfs,
    ) -> c_int {
        let buf: *mut bindings::kstatfs = buf.cast();
        // SAFETY: The caller holds a reference.
        let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
        from_result(|| {
            let stat = T::statfs(dentry)?;
            // SAFETY: The caller gives `buf` to be filled.
            unsafe {
                (*buf).f_type = stat.magic as c_long;
                (*buf).f_bsize = stat.bsize as c_long;
                (*buf).f_frsize = stat.frsize as c_long;
                (*buf).f_blocks = stat.blocks;
                (*buf).f_bfree = stat.bfree;
                (*buf).f_bavail = stat.bavail;
                (*buf).f_files = stat.files;
                (*buf).f_ffree = stat.ffree;
                (*buf).f_namelen = stat.namelen as c_long;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `generic_shutdown_super` with a super block of `T` whose inodes were evicted, but
    /// for those that have references.
    unsafe extern "C" fn put_super(sb: *mut bindings::super_block) {
        // SAFETY: `s_fs_info` is released when the super block was shut down.
        let info: &SuperInfo<T> = unsafe { &*(*sb).s_fs_info.cast() };
        // Of these the last writeback may have made some. They go when they are given back.
        info.wait_unkept();
    }

    /// # Safety
    ///
    /// Called by `sync_filesystem` and `iterate_supers` with `s_umount` of a super block of `T`
    /// held.
    unsafe extern "C" fn sync_fs(sb: *mut bindings::super_block, wait: c_int) -> c_int {
        // SAFETY: `s_umount` is held, so `s_root` does not change.
        if wait == 0 || unsafe { (*sb).s_root }.is_null() {
            return 0;
        }
        // SAFETY: It has a root, so it is mounted, and the lock keeps it so.
        let sb = unsafe { SuperBlock::<T>::from_raw(sb) };
        from_result(|| {
            T::sync_fs(sb)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `do_umount` with a mounted super block of `T`.
    unsafe extern "C" fn umount_begin(sb: *mut bindings::super_block) {
        // SAFETY: The mount keeps it for the call.
        T::umount_begin(unsafe { SuperBlock::from_raw(sb) });
    }

    /// # Safety
    ///
    /// Called by `show_vfsmnt` and `show_mountinfo` with the root of a mount of `T`.
    unsafe extern "C" fn show_options(
        m: *mut bindings::seq_file,
        root: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: `d_sb` never changes, and the mount keeps the super block for the call.
        let sb = unsafe { SuperBlock::<T>::from_raw((*root).d_sb) };
        // SAFETY: `m` is valid for the call, and used by nobody else.
        let m = unsafe { SeqFile::from_raw(m) };
        from_result(|| {
            T::show_options(sb, m)?;
            Ok(0)
        })
    }
}
