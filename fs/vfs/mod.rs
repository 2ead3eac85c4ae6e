// SPDX-License-Identifier: GPL-2.0

//! The foundation: what a file system needs of the VFS, as safe types.
//!
//! Everything `unsafe` in this crate is here, and no word of FUSE. A file system is an
//! implementation of the traits of this module; each trait method is the C method of the same
//! name, with the same calling context.
//!
//! [`FileSystem`] names the types that a file system hangs on the VFS's objects, and holds the
//! methods that are not of one kind of object: of the mount context and of the super block. The
//! tables of inodes, dentries and files are traits of `inode_ops`, `dentry` and `file_ops`.
//!
//! Some objects are seen in two ways. The RCU walk, and callbacks under a spinlock, see an inode or
//! a dentry that nobody holds a reference to for them: they get a *view* ([`node::inode::INodeView`],
//! [`node::dentry::DEntryView`]), whose methods are the ones that are sound on an object which may be
//! going away. Whoever holds a reference gets the object itself ([`node::inode::INode`],
//! [`node::dentry::DEntry`]), which derefs to its view.
//!
//! # What the types hold, and what they do not
//!
//! Safe code outside of this layer cannot cause undefined behaviour. What that needs of it is a type:
//! a reference that outlives the call of the VFS is counted and waited for ([`node::inode::Kept`]), what
//! only `fill_super` may do needs its [`mount::sb::NewSuper`], what only the RCU walk has comes as an
//! [`InRcu`]. Or it is `unsafe` to accept, as a registration that must stay as long as the module is;
//! `scripts/check-unsafe` looks for what is neither.
//!
//! Safe code can make the kernel wait for ever, and has to keep these rules by itself; the methods
//! they are about say so:
//!
//! - What is called under a spinlock, in RCU walk or in an RCU callback does not sleep, and locks
//!   are taken in the order of `Documentation/locking.rst`.
//! - What a file system keeps of its super block is given back after [`FileSystem::kill_sb`], whose
//!   caller waits for that.
//! - A duty is not forgotten (`core::mem::forget`): a folio would stay locked or under writeback,
//!   a name in lookup, and a super block kept.

use core::ops::Deref;
use kernel::{
    module::ModuleMetadata,
    prelude::*,
    seq_file::SeqFile,
    types::{
        ForeignOwnable,
        NotThreadSafe, //
    }, //
};

pub(crate) mod bindings;

pub(crate) mod control;
pub(crate) mod cpu;
pub(crate) mod cred;
pub(crate) mod file;
pub(crate) mod io;
pub(crate) mod mm;
pub(crate) mod mount;
pub(crate) mod node;
pub(crate) mod random;
pub(crate) mod sync;

use crate::vfs::{
    mount::{
        fs_param::Param,
        fs_type::{
            FsContext,
            Tree, //
        },
        sb::{
            NewSuper,
            Seen,
            StatFs,
            SuperBlock, //
        },
    },
    node::inode::INodeView, //
};

/// A file system: the types it hangs on the VFS's objects, and the methods of its mount context
/// and its super blocks.
///
/// References to inodes and dentries do not keep their super block, so a file system has them for the
/// time of a call of the VFS only. What it keeps for longer is an [`node::inode::Kept`].
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

    /// What a mount context owns (`fs_private`).
    type Context: Send;

    /// What an existing super block is looked for by.
    type Key: Send + Sync;

    /// The operations of all dentries.
    type Dentries: node::dentry::Operations<Self>;

    /// Starts a mount or a reconfiguration. May sleep.
    fn init_fs_context(fc: &FsContext<Self>) -> Result<Self::Context>;

    /// One option of a mount or of a reconfiguration. `ENOPARAM` leaves it to the VFS, which knows
    /// `source`. May sleep.
    fn parse_param(ctx: &mut Self::Context, fc: &FsContext<Self>, param: Param<'_>) -> Result;

    /// The options are to take effect on the mounted `sb`. `s_umount` is held for writing.
    fn reconfigure(ctx: &mut Self::Context, fc: &FsContext<Self>, sb: &SuperBlock<Self>) -> Result;

    /// All options are there: which super block shall it be? May sleep.
    fn get_tree(ctx: &mut Self::Context, fc: &FsContext<Self>) -> Result<Tree<Self>>;

    /// Whether the super block that owns `data` is the one of `key`. Called with the spinlock of
    /// all super blocks held, also for super blocks that are being set up or shut down.
    fn test_super(data: &Self::SuperData, key: &Self::Key) -> bool;

    /// Sets up a new super block; [`NewSuper::set_root`] gives what is to be returned.
    /// `s_umount` is held for writing. May sleep. After an error [`FileSystem::kill_sb`] is called
    /// if the root was set.
    fn fill_super<'a>(
        sb: NewSuper<'a, Self>,
        ctx: &mut Self::Context,
        fc: &FsContext<Self>,
    ) -> Result<&'a SuperBlock<Self>>;

    /// The super block is about to be shut down; all its inodes are still there. What it is
    /// [kept](inode::Kept) by is waited for after this. Called at most once, and not if it never had
    /// a root. `s_umount` is held for writing. May sleep.
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
    fn statfs(dentry: &node::dentry::DEntry<Self>) -> Result<StatFs>;

    /// Prints the options for `/proc/PID/mounts`, each with a comma before it. May sleep.
    fn show_options(sb: &SuperBlock<Self>, m: &SeqFile) -> Result;
}

/// An object as a path walk sees it: in RCU walk only the view of it, in ref walk the object
/// itself.
pub(crate) enum Walk<'a, O: Deref> {
    /// RCU walk: nothing may sleep, and the object may be going away.
    Rcu(InRcu<'a, O::Target>),
    /// Ref walk: the walk holds a reference.
    Ref(&'a O),
}

/// A view that the RCU walk has: only the VFS, which is in one, can give it.
///
/// # Invariants
///
/// There is an RCU read-side critical section for `'a`, of the current task.
pub(crate) struct InRcu<'a, V: ?Sized> {
    view: &'a V,
    _task: NotThreadSafe,
}

impl<'a, V: ?Sized> InRcu<'a, V> {
    /// # Safety
    ///
    /// The current task must be in an RCU read-side critical section for `'a`.
    unsafe fn new(view: &'a V) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            view,
            _task: NotThreadSafe,
        }
    }
}

impl<V: ?Sized> Clone for InRcu<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: ?Sized> Copy for InRcu<'_, V> {}

impl<O: Deref> Clone for Walk<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Deref> Copy for Walk<'_, O> {}

impl<'a, O: Deref> Walk<'a, O> {
    /// What both walks may use.
    pub(crate) fn view(self) -> &'a O::Target {
        match self {
            Self::Rcu(InRcu { view, .. }) => view,
            Self::Ref(object) => object,
        }
    }

    /// The object, of which references can be taken, and permission to sleep; `ECHILD` in RCU
    /// walk, which makes the VFS start again in ref walk.
    pub(crate) fn may_block(self) -> Result<&'a O> {
        match self {
            Self::Rcu(_) => Err(ECHILD),
            Self::Ref(object) => Ok(object),
        }
    }
}

/// Reads a field that others may be changing, whole and once, as `READ_ONCE` does.
///
/// # Safety
///
/// `field` must be valid for reads; only writes of the whole field may happen at the same time.
pub(crate) unsafe fn read_once<F: Copy>(field: *const F) -> F {
    // SAFETY: The caller promises validity. A volatile access is what the kernel's memory model
    // takes for a marked one.
    unsafe { field.read_volatile() }
}

/// Writes a field that others may be reading, whole and once, as `WRITE_ONCE` does.
///
/// # Safety
///
/// `field` must be valid for writes, and be accessed at the same time only as a whole.
unsafe fn write_once<F: Copy>(field: *mut F, value: F) {
    // SAFETY: As in `read_once`.
    unsafe { field.write_volatile(value) }
}
