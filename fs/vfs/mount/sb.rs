// SPDX-License-Identifier: GPL-2.0

//! Super blocks and their operations.
//!
//! Owns `s_fs_info`: a [`SuperInfo`] that moves from the mount context to the super block and is
//! dropped one RCU grace period after the shutdown. `fs_type` makes super blocks; `inode` and
//! `dentry` have the objects in them.
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

/// The maximum depth of stacked file systems.
pub(crate) const MAX_STACK_DEPTH: u32 = bindings::FILESYSTEM_MAX_STACK_DEPTH;

/// A file system: the types of its data in the VFS's objects, and the methods of its super blocks.
///
/// References to inodes and dentries do not keep their super block, so a file system has them only
/// during a call of the VFS. References that it keeps for longer are [`inode::Kept`].
pub(crate) trait FileSystem: Sized + Send + Sync + 'static {
    /// The module with this code, which is kept while a super block or an open file exists.
    type OwnerModule: ModuleMetadata;

    /// The data of a super block (`s_fs_info`). Dropped in a work item, one RCU grace period after
    /// the super block was shut down, because the RCU walk reads it.
    type SuperData: Send + Sync;

    /// The data of an inode, placed behind the C inode. Its drop runs in an RCU callback: it must
    /// not sleep.
    type InodeData: Send + Sync;

    /// State that the lock of an inode's attributes guards, besides them.
    type AttrState: Default + Send + Unpin;

    /// The data of a dentry (`d_fsdata`). It is freed without being dropped, after an RCU grace
    /// period; a type that needs to be dropped does not compile.
    type DentryData: Send + Sync;

    /// The data of an open file (`private_data`): made by `open`, dropped after `release`.
    type FileData: ForeignOwnable + Send + Sync;

    /// The operations of all dentries.
    type Dentries: dentry::Operations<Self>;

    /// Called before the super block is shut down; all its inodes are still there. The VFS waits
    /// for references that [keep](inode::Kept) it after this. Called once, or not at all if it
    /// never had a root. `s_umount` is held for writing. May sleep.
    fn kill_sb(sb: &SuperBlock<Self>);

    /// Makes the data of a new inode. May sleep.
    fn alloc_inode(sb: &SuperBlock<Self, Seen>) -> impl PinInit<Self::InodeData, Error>;

    /// Writes the dirty attributes of an inode. The caller keeps the inode from being freed, but
    /// need not hold a reference. May sleep.
    fn write_inode(inode: &INodeView<Self>) -> Result;

    /// Called when an inode leaves the cache: it has no reference, its pages are gone, and its data
    /// will be dropped after an RCU grace period. May sleep.
    fn evict_inode(inode: &INodeView<Self>);

    /// Makes everything that was written durable; the dirty pages have been written. `s_umount` is
    /// held. May sleep.
    fn sync_fs(sb: &SuperBlock<Self>) -> Result;

    /// Called for `umount2(2)` with `MNT_FORCE`, at any time after the mount, concurrently with
    /// every other method. May sleep.
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
/// State of a [`SuperBlock`] in any phase, which may be shut down already: as the RCU walk sees it.
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

/// A super block that its `fill_super` is setting up, and the only way to give it a root. Nothing
/// else uses it until it has one; that consumes this, and with it the methods for the setup.
///
/// # Invariants
///
/// The super block has no root, and this is its only instance.
pub(crate) struct NewSuper<'a, T: FileSystem>(&'a SuperBlock<T, New>);

impl<T: FileSystem> Deref for NewSuper<'_, T> {
    type Target = SuperBlock<T, New>;

    fn deref(&self) -> &SuperBlock<T, New> {
        self.0
    }
}

/// The target of `s_fs_info`.
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
    /// The caller gives up the ownership of `this`. Other users must be in an RCU read-side
    /// critical section that has begun. The super block must exist.
    unsafe fn release(this: *mut Self) {
        // SAFETY: `this` is valid, and only its owner uses `release`.
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
        // SAFETY: The `rcu_work` is in a `SuperInfo<T>`.
        let this = unsafe { kernel::container_of!(release, Self, release) };
        // SAFETY: `this` came from a `KBox`, and `release` took its ownership.
        drop(unsafe { KBox::from_raw(this) });
    }
}

/// Access to a super block for tasks that the VFS has not called: it works from the time when the
/// super block has a root until it is shut down.
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

    /// Runs `f` with the super block, unless that has no root yet or is shut down already. The
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
/// `word` must be valid, and concurrent accesses must be of the whole word.
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
        /// The mounting task has no privilege outside of a user namespace.
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

/// The settings of a backing device for [`SuperBlock::setup_bdi`].
pub(crate) struct Bdi {
    /// Count its dirty pages against its own limit even while the system is below the global one.
    pub(crate) strict_limit: bool,
    /// Its maximum share of the dirty pages, in percent.
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

    /// The pools of its type.
    pub(in crate::vfs) fn pools(&self) -> &'static Pools<T> {
        self.info().pools
    }

    /// The file system's data in it.
    pub(crate) fn data(&self) -> &T::SuperData {
        &self.info().data
    }

    /// The user namespace of the ids of this file system.
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

    /// Whether it is mounted and not yet being shut down (`SB_ACTIVE`).
    pub(crate) fn is_active(&self) -> bool {
        self.flags().contains(SbFlag::Active)
    }

    /// Whether it can be stacked on another of the same type, so that lockdep has to distinguish
    /// the locks of the two.
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
    /// Counts a reference that keeps the super block: it is not shut down before [`Self::unkeep`]
    /// was called as often as this.
    pub(in crate::vfs) fn keep(&self) {
        // Ordering is not needed: the shutdown does not wait before this borrow has ended.
        self.info().kept.add(1, Relaxed);
    }

    /// # Safety
    ///
    /// `sb` must be a super block of `T` that the caller has kept once with [`Self::keep`].
    pub(in crate::vfs) unsafe fn unkeep(sb: *mut bindings::super_block) {
        let _rcu = rcu::read_lock();
        // SAFETY: It is not shut down before the count is given up. `s_fs_info` is released a
        // minimum of one grace period after that.
        let info: &SuperInfo<T> = unsafe { &*(*sb).s_fs_info.cast() };
        // A full barrier: the waiter sees the count, or this sees the waiter. The waiter also sees
        // all earlier accesses to the super block.
        if info.kept.fetch_sub(1, Full) == 1 {
            info.unkept.wake_up_all();
        }
    }
}

impl<T: FileSystem, S: Live> SuperBlock<T, S> {
    /// A handle to it that may be kept for any time.
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

    /// Drops all unused dentries, and the inodes that only they have kept. May sleep.
    pub(crate) fn shrink_dcache(&self) {
        // SAFETY: The super block is valid.
        unsafe { bindings::shrink_dcache_sb(self.as_ptr()) };
    }

    /// Writes dirty data, and waits for it. `s_umount` must be held, as it is in
    /// `Mounting::reconfigure` (`mount/fs_type.rs`) and [`FileSystem::kill_sb`]; otherwise the kernel
    /// warns and the result may not hold. May sleep.
    pub(crate) fn sync_filesystem(&self) -> Result {
        // SAFETY: The super block is valid; the lock is only asserted, and safety does not depend
        // on it.
        to_result(unsafe { bindings::sync_filesystem(self.as_ptr()) })
    }

    /// Sets flags; not [`SbFlag::Active`], which only the VFS sets.
    ///
    /// The change is atomic, so it loses no concurrent change of another task: without `SB_BORN`,
    /// waiters for the mount would wait forever. The VFS changes flags without this care after
    /// `fill_super`, and may lose a change made here.
    pub(crate) fn add_flags(&self, flags: SbFlags) {
        let flags = usize::from(flags) & !bindings::SB_ACTIVE;
        // SAFETY: The super block is valid.
        unsafe { change_flags(&raw mut (*self.as_ptr()).s_flags, |old| old | flags) };
    }

    /// Clears flags, except for [`SbFlag::Active`]. As [`Self::add_flags`].
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

    /// Sets the granularity of time stamps, from one nanosecond to one second.
    pub(crate) fn set_time_gran(&self, ns: u32) {
        let ns = ns.clamp(1, bindings::NSEC_PER_SEC);
        // SAFETY: The super block is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).s_time_gran, ns) };
    }

    /// Sets how many file systems this one is stacked on, up to [`MAX_STACK_DEPTH`]. Inodes that
    /// are made later get the lockdep class for it.
    pub(crate) fn set_stack_depth(&self, depth: u32) {
        let depth = depth.min(MAX_STACK_DEPTH) as c_int;
        // SAFETY: The super block is valid.
        unsafe { write_once(&raw mut (*self.as_ptr()).s_stack_depth, depth) };
        if self.may_be_above_its_kind() {
            let key = static_lock_class!();
            // SAFETY: The super block is valid, and a task that holds the lock now still releases
            // this one; name and key are static.
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

    /// Sets how file handles are made and found. Existing handles are not affected.
    pub(crate) fn set_export_ops(&self, ops: ExportOps<T>) {
        let table = core::ptr::from_ref(ops.table()).cast();
        // SAFETY: The super block is valid, and the table is static.
        unsafe { write_once(&raw mut (*self.as_ptr()).s_export_op, table) };
    }

    fn bdi(&self) -> *mut bindings::backing_dev_info {
        // SAFETY: The super block is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).s_bdi) }
    }

    /// The default number of pages that the kernel reads ahead.
    pub(crate) fn ra_pages(&self) -> usize {
        // SAFETY: The super block has a backing device until it is shut down.
        unsafe { read_once(&raw const (*self.bdi()).ra_pages) }
    }

    /// Sets the default number of pages that the kernel reads ahead. Does nothing before
    /// [`SuperBlock::setup_bdi`].
    pub(crate) fn set_ra_pages(&self, pages: usize) {
        if self.has_own_bdi() {
            // SAFETY: The super block keeps its own backing device until it is shut down.
            unsafe { write_once(&raw mut (*self.bdi()).ra_pages, pages) };
        }
    }

    /// The queue for completions of direct writes that must not run in the context of their
    /// submitter's interrupt; made on the first call. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, only if it is not made yet.
    pub(crate) fn dio_done_queue(&self) -> Result<&Queue> {
        // SAFETY: The super block is valid.
        let place = unsafe { &raw const (*self.as_ptr()).s_dio_done_wq };
        // SAFETY: As above.
        if unsafe { read_once(place) }.is_null() {
            // SAFETY: The super block is live; of two concurrent calls, one makes the queue for
            // both.
            to_result(unsafe { bindings::sb_init_dio_done_wq(self.as_ptr()) })?;
        }
        // SAFETY: Made above, or before; it is destroyed when the super block is shut down, after
        // the last reference to an inode.
        Ok(unsafe { Queue::from_raw(read_once(place).cast_const()) })
    }

    /// Sets the maximum size of an I/O, in pages. Does nothing before [`SuperBlock::setup_bdi`].
    pub(crate) fn set_io_pages(&self, pages: usize) {
        if self.has_own_bdi() {
            // SAFETY: The super block keeps its own backing device until it is shut down.
            unsafe { write_once(&raw mut (*self.bdi()).io_pages, pages) };
        }
    }

    /// Hides it from new mounts of its block device. Does nothing without one. Waits for
    /// `s_umount`, which the caller must not hold.
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
    /// The maximum size of a file in the page cache, in bytes.
    pub(crate) const MAX_LFS_FILESIZE: i64 = bindings::MAX_LFS_FILESIZE as i64;

    /// Log2 of the page size, the natural block size without a block device.
    pub(crate) const PAGE_SHIFT: u8 = bindings::VFS_PAGE_SHIFT as u8;

    /// Sets the magic number of the file system, which `statfs` returns.
    pub(crate) fn set_magic(&self, magic: u32) {
        // SAFETY: The super block is valid, and only `fill_super` uses this field now.
        unsafe { (*self.as_ptr()).s_magic = magic as usize };
    }

    /// Sets the maximum size of a file, in bytes, which is limited to [`Self::MAX_LFS_FILESIZE`].
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
        // SAFETY: The super block is valid; other tasks may read these fields through its handle.
        unsafe {
            write_once(&raw mut (*self.as_ptr()).s_blocksize, 1 << bits);
            write_once(&raw mut (*self.as_ptr()).s_blocksize_bits, bits);
        }
        Ok(())
    }

    /// Sets the handlers of extended attributes. Only inodes that are made after this have any.
    pub(crate) fn set_xattr_handlers(&self, handlers: Handlers<T>) {
        // SAFETY: As in `set_magic`; the table is static.
        unsafe { (*self.as_ptr()).s_xattr = handlers.table().as_ptr() };
    }

    /// Sets the subtype, which `/proc/PID/mounts` shows behind the type and a dot.
    pub(crate) fn set_subtype(&self, subtype: OwnedStr) {
        // SAFETY: As in `set_magic`. The super block frees `s_subtype` by kfree.
        unsafe {
            bindings::kfree((*self.as_ptr()).s_subtype.cast());
            (*self.as_ptr()).s_subtype = subtype.into_raw();
        }
    }

    /// Sets the block size of the super block and of its block device, in bytes. `EINVAL` if it has
    /// none, or if the device does not support this size.
    pub(crate) fn set_bdev_blocksize(&self, bytes: u32) -> Result {
        if !self.has_bdev() {
            return Err(EINVAL);
        }
        let bytes = c_int::try_from(bytes)?;
        // SAFETY: The super block has a block device, and nothing else uses it yet.
        match unsafe { bindings::sb_set_blocksize(self.as_ptr(), bytes) } {
            0 => Err(EINVAL),
            _ => Ok(()),
        }
    }

    /// Gives the super block a backing device of its own, which replaces that of its block device.
    /// `EEXIST` if it has its own already, or if the name is in use.
    pub(crate) fn setup_bdi(&self, name: fmt::Arguments<'_>, bdi: Bdi) -> Result {
        if self.has_own_bdi() {
            return Err(EEXIST);
        }
        if self.has_bdev() {
            // SAFETY: As in `set_magic`; the super block owned a reference to the backing device of
            // its block device, and owns none to `noop_backing_dev_info`.
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
            // SAFETY: The super block has its own backing device now, and nothing else uses it.
            unsafe { (*self.bdi()).capabilities |= bindings::BDI_CAP_STRICTLIMIT };
        }
        // SAFETY: As above.
        to_result(unsafe { bindings::bdi_set_max_ratio(self.bdi(), bdi.max_ratio) })
    }

    /// Makes it a submount of `parent`: of the same kind, with the same limits, on the same backing
    /// device, and with the same restrictions. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EEXIST` if it has a backing device.
    pub(crate) fn take_after(&self, parent: &SuperBlock<T>) -> Result {
        /// Flags from the mount options, and what the file system has promised since.
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
        /// All flags of [`SbIFlag`].
        const IFLAGS: u32 = bindings::SB_I_NOEXEC
            | bindings::SB_I_NODEV
            | bindings::SB_I_IMA_UNVERIFIABLE_SIGNATURE
            | bindings::SB_I_UNTRUSTED_MOUNTER
            | bindings::SB_I_NOIDMAP
            | bindings::SB_I_NO_DATA_INTEGRITY;

        if self.has_bdev() || self.bdi() != &raw mut bindings::noop_backing_dev_info {
            return Err(EEXIST);
        }
        // SAFETY: The parent is set up: its subtype, and the fields below that are read without an
        // annotation, were last set through its `NewSuper`. It is not shut down while it is
        // borrowed.
        let subtype = unsafe { (*parent.as_ptr()).s_subtype };
        if !subtype.is_null() {
            // SAFETY: It is a string.
            let copy = unsafe { bindings::kstrdup_kernel(subtype) };
            if copy.is_null() {
                return Err(ENOMEM);
            }
            // SAFETY: As in `set_magic`. The super block frees `s_subtype` with kfree.
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
    /// Makes the root dentry of `inode`. `EXDEV` if it belongs to another super block.
    pub(crate) fn make_root(&self, inode: Held<'_, INode<T>>) -> Result<Held<'a, DEntry<T>>> {
        // SAFETY: `i_sb` never changes.
        if unsafe { (*inode.as_ptr()).i_sb } != self.as_ptr() {
            return Err(EXDEV);
        }
        // SAFETY: `d_make_root` consumes the reference to the inode, also on failure.
        let root = unsafe { bindings::d_make_root(inode.into_raw().as_ptr().cast()) };
        let root = NonNull::new(root).ok_or(ENOMEM)?;
        // SAFETY: The caller of `d_make_root` owns the reference to the new dentry. The super block
        // is not shut down for `'a`.
        Ok(unsafe { Held::from_raw(root.cast()) })
    }

    /// Sets the root, which ends the setup: the [`SuperHandle`] works from now on, and a failure of
    /// `fill_super` is followed by `kill_sb`. `EINVAL` if this is the root of another super block.
    /// May sleep.
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
        // SAFETY: It has a root, this is consumed, and `kill_sb`, without which it is not shut
        // down, clears the handle.
        unsafe { self.info().handle.set(self.as_ptr()) };
        // SAFETY: The super block is not shut down while `fill_super` borrows it.
        Ok(unsafe { SuperBlock::from_raw(self.as_ptr()) })
    }
}

/// The answer to `statfs(2)`. The file system id is left zero.
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
    /// Maximum length of a name, in bytes.
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
    // A new super block has taken `s_fs_info` over; if none was made, it is still here.
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

    /// Begins the setup of a super block.
    ///
    /// # Safety
    ///
    /// Called by the `fill_super` of a new super block of a type of `T` whose `s_fs_info` is a
    /// `SuperInfo<T>`, with `s_umount` held for writing during `'a`.
    pub(in crate::vfs) unsafe fn begin<'a>(sb: *mut bindings::super_block) -> NewSuper<'a, T> {
        // SAFETY: Nothing else uses the fields of a super block that is being set up.
        unsafe { (*sb).s_op = &Self::TABLE };
        // SAFETY: The super block is valid, and the table is static.
        unsafe { bindings::set_default_d_op(sb, DentryTable::<T>::get()) };
        // INVARIANT: It is new.
        // SAFETY: The type's invariants hold now.
        NewSuper(unsafe { SuperBlock::from_raw(sb) })
    }

    /// Marks a super block active that was set up without the help of the VFS.
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
        // SAFETY: The caller promises it; `kill_anon_super` is for a super block without a device.
        unsafe { Self::kill(sb, |sb| bindings::kill_anon_super(sb)) };
    }

    /// The `kill_sb` of a file system type with a block device.
    ///
    /// # Safety
    ///
    /// As [`Self::kill`].
    pub(in crate::vfs) unsafe extern "C" fn kill_block(sb: *mut bindings::super_block) {
        // A submount has an anonymous device number instead, which `kill_anon` gives back.
        // SAFETY: The caller promises that the super block is valid; `s_dev` does not change.
        let is_anon = unsafe { bindings::major((*sb).s_dev) } == 0;
        if is_anon {
            // SAFETY: As of this function.
            return unsafe { Self::kill_anon(sb) };
        }
        // SAFETY: The caller promises it; `kill_block_super` is for a super block with a device.
        unsafe { Self::kill(sb, |sb| bindings::kill_block_super(sb)) };
    }

    /// Shuts a super block down with `shut_down`, the function of the VFS for its type.
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
        // Only the writeback of the shutdown itself uses the super block from here on.
        // SAFETY: As above.
        unsafe { (*info).wait_unkept() };
        shut_down(sb);
        // A mount that searches the super blocks still finds this one until the VFS marks it dead,
        // after the return from here. It must not use `s_fs_info` any more.
        // SAFETY: The VFS keeps the super block until the return.
        unsafe {
            change_flags(&raw mut (*sb).s_iflags, |old| {
                old | bindings::SB_I_RETIRED as usize
            })
        };
        // SAFETY: The super block was the owner. Only the RCU walk, and a search of the super
        // blocks that did not see the mark, still use it.
        unsafe { SuperInfo::release(info) };
    }

    /// The data of a super block that a search of the super blocks finds.
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
        // the mark was read.
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
    /// Called by `generic_shutdown_super` with a super block of `T` whose inodes were evicted,
    /// except for those with references.
    unsafe extern "C" fn put_super(sb: *mut bindings::super_block) {
        // SAFETY: `s_fs_info` is released after the super block was shut down.
        let info: &SuperInfo<T> = unsafe { &*(*sb).s_fs_info.cast() };
        // The last writeback may have taken such references. Their inodes are evicted when they are
        // dropped.
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
        // SAFETY: It has a root, so it is mounted, and the lock keeps it mounted.
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
        // SAFETY: `m` is valid for the call, and only the caller uses it.
        let m = unsafe { SeqFile::from_raw(m) };
        from_result(|| {
            T::show_options(sb, m)?;
            Ok(0)
        })
    }
}
