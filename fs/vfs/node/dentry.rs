// SPDX-License-Identifier: GPL-2.0

//! Dentries and their operations.
//!
//! Owns `d_fsdata`: every dentry of a file system has its `T::DentryData`, from `d_init` until an
//! RCU grace period after `d_release`. As with inodes, the RCU walk and callbacks under `d_lock`
//! have a view ([`DEntryView`]), and a [`DEntry`] has a reference. An [`Unhashed`] is the dentry of
//! a lookup: its name cannot change, and it can be spliced once. The name of a [`Named`] is to be
//! removed or moved, that of a [`Vacant`] is to be given to something.
//!
//! Locks: `d_lock` is held around `d_delete`. Splicing takes `i_lock`, `rename_lock` and `d_lock`.
//!
//! C header: `include/linux/dcache.h`.

use crate::vfs::{
    bindings,
    mount::sb::{
        FileSystem,
        Seen,
        SuperBlock, //
    },
    node::{
        dentry_expiry::ExpiryNode,
        entry_name::EntryName,
        held::{
            Counted,
            Held, //
        },
        inode::{
            INode,
            INodeView, //
        },
        walk::{
            InRcu,
            Walk, //
        },
    },
    once::read_once,
    sync::{
        deadline::Deadline,
        guard::{
            Guard,
            OnDrop, //
        }, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    impl_flags,
    prelude::*,
    types::Opaque, //
};

/// What `d_fsdata` points to.
#[repr(C)]
struct Slot<D> {
    rcu: bindings::callback_head,
    expiry: ExpiryNode,
    data: D,
}

/// What may be used of a dentry (`struct dentry`) of `T` without a reference to it.
///
/// # Invariants
///
/// It is a dentry of a super block of `T`, neither of which is freed while it is borrowed; its
/// `d_fsdata` is an initialised [`Slot`] that is not freed either.
#[repr(transparent)]
pub(crate) struct DEntryView<T: FileSystem> {
    dentry: Opaque<bindings::dentry>,
    _p: PhantomData<T>,
}

// SAFETY: A dentry belongs to no thread, and the data that `T` hangs on it can be shared.
unsafe impl<T: FileSystem> Sync for DEntryView<T> {}

/// A dentry of `T` with a reference to it.
///
/// # Invariants
///
/// As of [`DEntryView`]; and its count is not zero while it is borrowed. If it has an inode, it
/// keeps that for as long: only the holder of the last reference parts a dentry from its inode.
#[repr(transparent)]
pub(crate) struct DEntry<T: FileSystem>(DEntryView<T>);

// SAFETY: A reference to a dentry can be given back by any thread that may sleep.
unsafe impl<T: FileSystem> Send for DEntry<T> {}
// SAFETY: As for `DEntryView`.
unsafe impl<T: FileSystem> Sync for DEntry<T> {}

// SAFETY: `dget` and `dput` count references, and a dentry is not freed while there is one.
unsafe impl<T: FileSystem> Counted for DEntry<T> {
    fn get(&self) {
        // SAFETY: There is a reference, by the type invariant.
        unsafe { bindings::dget(self.as_ptr()) };
    }

    unsafe fn put(object: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { bindings::dput(object.as_ptr().cast()) };
    }
}

impl<T: FileSystem> Deref for DEntry<T> {
    type Target = DEntryView<T>;

    fn deref(&self) -> &DEntryView<T> {
        &self.0
    }
}

impl<T: FileSystem> DEntryView<T> {
    /// The view of `dentry`.
    ///
    /// # Safety
    ///
    /// The type's invariants must hold for `dentry` for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(dentry: *mut bindings::dentry) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*dentry.cast() }
    }

    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::dentry {
        self.dentry.get()
    }

    /// The file system's data in it.
    pub(crate) fn data(&self) -> &T::DentryData {
        // SAFETY: `d_fsdata` is set by `d_init` and never changes.
        let slot: *const Slot<T::DentryData> = unsafe { (*self.as_ptr()).d_fsdata.cast() };
        // SAFETY: The slot is valid by the type invariant. Only the data is borrowed: the rest of
        // the slot changes under other locks.
        unsafe { &(*slot).data }
    }

    /// Its inode at present, which may be going away; `None` if it is negative.
    pub(crate) fn inode(&self) -> Option<&INodeView<T>> {
        // SAFETY: The dentry is valid.
        let inode = unsafe { read_once(&raw const (*self.as_ptr()).d_inode) };
        // SAFETY: What gives access to the dentry (a reference, its lock, or the RCU walk) keeps
        // the inode from being freed: inodes are freed an RCU grace period later.
        NonNull::new(inode).map(|inode| unsafe { INodeView::from_raw(inode.as_ptr()) })
    }

    /// Its super block, which may be going away.
    pub(crate) fn sb(&self) -> &SuperBlock<T, Seen> {
        // SAFETY: `d_sb` never changes, and is valid by the type invariant.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).d_sb) }
    }
}

impl<T: FileSystem> DEntry<T> {
    /// The dentry behind `dentry`.
    ///
    /// # Safety
    ///
    /// The type's invariants must hold for `dentry` for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(dentry: *mut bindings::dentry) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*dentry.cast() }
    }

    /// Its inode; `None` if it is negative.
    pub(crate) fn inode(&self) -> Option<&INode<T>> {
        // SAFETY: The dentry is valid.
        let inode = unsafe { read_once(&raw const (*self.as_ptr()).d_inode) };
        // SAFETY: The dentry holds a reference to its inode, and keeps that by the type invariant.
        NonNull::new(inode).map(|inode| unsafe { INode::from_raw(inode.as_ptr()) })
    }

    /// Its super block.
    pub(crate) fn sb(&self) -> &SuperBlock<T> {
        // SAFETY: `d_sb` never changes. What lends the dentry keeps the super block: a call of the
        // VFS, or a `Held`.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).d_sb) }
    }

    /// Its parent, or itself if it is a root.
    pub(crate) fn parent(&self) -> Held<'_, Self> {
        // SAFETY: There is a reference.
        let parent = unsafe { bindings::dget_parent(self.as_ptr()) };
        // SAFETY: A dentry has a parent, and the caller of `dget_parent` owns the reference.
        unsafe { Held::from_raw(NonNull::new_unchecked(parent.cast())) }
    }

    /// Whether it has the same parent as `other` at present. That cannot change while the parent is
    /// locked.
    pub(in crate::vfs) fn is_sibling(&self, other: &Self) -> bool {
        // SAFETY: Both dentries are valid, and the parents are only compared.
        unsafe {
            read_once(&raw const (*self.as_ptr()).d_parent)
                == read_once(&raw const (*other.as_ptr()).d_parent)
        }
    }

    /// Removes it and everything unused below it from the dentry cache, and unmounts what is
    /// mounted on those. May sleep.
    pub(crate) fn invalidate(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::d_invalidate(self.as_ptr()) };
    }

    /// `name` as that of a child, valid for as long as `name` is.
    fn child_name(&self, name: &[u8]) -> Option<bindings::qstr> {
        let len = u32::try_from(name.len()).ok()?;
        // SAFETY: `name` has `len` bytes; the dentry only salts the hash.
        let hash =
            unsafe { bindings::full_name_hash(self.as_ptr().cast(), name.as_ptr().cast(), len) };
        let mut child = bindings::qstr {
            name: name.as_ptr(),
            ..Default::default()
        };
        child.__bindgen_anon_1.__bindgen_anon_1 =
            bindings::qstr__bindgen_ty_1__bindgen_ty_1 { hash, len };
        Some(child)
    }

    /// The child with this name: the one in the dentry cache, or a new one that the caller looks
    /// up. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not a name, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// This must be a directory whose `i_rwsem` is held, shared or exclusively, for `'a`.
    pub(in crate::vfs) unsafe fn alloc_parallel<'a>(
        &'a self,
        name: EntryName<'_>,
    ) -> Result<Child<'a, T>> {
        if name.is_dots() {
            return Err(EINVAL);
        }
        let name = self.child_name(name.as_bytes()).ok_or(EINVAL)?;
        // SAFETY: There is a reference, the name is valid for the call and one that a child can
        // have, and the caller promises the lock.
        let child = from_err_ptr(unsafe { bindings::d_alloc_parallel(self.as_ptr(), &name) })?;
        let child = NonNull::new(child.cast()).ok_or(ENOMEM)?;
        // SAFETY: The reference to the child is the caller's.
        let child: Held<'a, Self> = unsafe { Held::from_raw(child) };
        Ok(if child.in_lookup() {
            // INVARIANT: `d_alloc_parallel` waits for the lookups of other tasks, so this one is
            // ours.
            Child::InLookup(InLookup {
                dentry: Guard::new(child),
                _parent: PhantomData,
            })
        } else {
            Child::Cached(child)
        })
    }

    /// Makes the cache forget a positive entry of the directory `parent` that was removed on the
    /// server. Takes the locks of both inodes only if they are free, and never waits for one. If
    /// the directory is locked, the entry is only unhashed. If the removed entry is a directory
    /// that is locked, its users are not told that it is dead. May sleep.
    ///
    /// It consumes the reference, because it may part the entry from its inode, which cannot be
    /// borrowed through the entry then.
    ///
    /// # Errors
    ///
    /// `ENOENT` if it is negative or not in that directory; `EBUSY` if something is mounted on it;
    /// `ENOTEMPTY` if it is a directory in which names are in use.
    pub(crate) fn delete_removed(this: Held<'_, Self>, parent: &INode<T>) -> Result {
        let inode = this.inode().ok_or(ENOENT)?;
        let parent_lock = parent.try_lock();
        // While the lock of the parent is held, it stays the parent. A root is its own parent.
        let is_there = this
            .parent()
            .inode()
            .is_some_and(|inode| core::ptr::eq(inode, parent));
        if !is_there || core::ptr::eq(inode, parent) {
            return Err(ENOENT);
        }
        {
            let lock = inode.try_lock();
            // SAFETY: There is a reference.
            if unsafe { bindings::d_mountpoint(this.as_ptr()) } {
                return Err(EBUSY);
            }
            if inode.is_dir() {
                // SAFETY: There is a reference.
                unsafe { bindings::shrink_dcache_parent(this.as_ptr()) };
                // SAFETY: There is a reference.
                if unsafe { bindings::simple_empty(this.as_ptr()) } == 0 {
                    return Err(ENOTEMPTY);
                }
                if lock.is_some() {
                    // SAFETY: The inode is locked, which guards this flag.
                    unsafe { (*inode.as_ptr()).i_flags |= bindings::S_DEAD };
                }
            }
            // SAFETY: There is a reference.
            unsafe { bindings::dont_mount(this.as_ptr()) };
            inode.lock_attrs().set_nlink(0);
        }
        if parent_lock.is_some() {
            // SAFETY: There is a reference, and the parent is locked.
            unsafe { bindings::d_delete(this.as_ptr()) };
        } else {
            this.unhash();
        }
        Ok(())
    }

    /// Throws it out some time after `deadline` if it is unused, while the worker has a period (see
    /// [`crate::vfs::node::dentry_expiry`]). Takes a spinlock then.
    pub(crate) fn expire_at(&self, deadline: Deadline) {
        const { assert!(T::Dentries::HAS_D_DELETE) };
        // SAFETY: `d_fsdata` is set by `d_init`, never changes, and is valid by the type invariant.
        let slot: *mut Slot<T::DentryData> = unsafe { (*self.as_ptr()).d_fsdata.cast() };
        // SAFETY: There is a reference.
        unsafe { ExpiryNode::set(&raw mut (*slot).expiry, deadline) };
    }

    /// Whether [`Operations::d_delete`] is asked when the last reference goes. A new dentry asks,
    /// if there is such a method; one that does not ask is put faster. Takes `d_lock`, unless there
    /// is nothing to change.
    pub(crate) fn ask_d_delete(&self, ask: bool) {
        let bit = bindings::dentry_flags_DCACHE_OP_DELETE;
        // SAFETY: The dentry is valid.
        let asks = unsafe { read_once(&raw const (*self.as_ptr()).d_flags) } & bit != 0;
        if T::Dentries::HAS_D_DELETE && asks != ask {
            // SAFETY: There is a reference, and the table has the method if `ask` is set.
            unsafe { bindings::d_set_op_delete(self.as_ptr(), ask) };
        }
    }

    /// Whether it is being looked up: only tasks that look up the same name can find it.
    pub(in crate::vfs) fn in_lookup(&self) -> bool {
        let bit = bindings::dentry_flags_DCACHE_PAR_LOOKUP;
        // SAFETY: The dentry is valid.
        unsafe { read_once(&raw const (*self.as_ptr()).d_flags) & bit != 0 }
    }

    /// Removes it from the dentry cache: a walk does not find it any more.
    pub(crate) fn unhash(&self) {
        // SAFETY: There is a reference.
        unsafe { bindings::d_drop(self.as_ptr()) };
    }
}

impl<'a, T: FileSystem> Held<'a, DEntry<T>> {
    /// The child with this name, if it is in the dentry cache.
    pub(crate) fn find_child(&self, name: &[u8]) -> Option<Self> {
        let name = self.child_name(name)?;
        // SAFETY: There is a reference, and the name is valid for the call.
        let child = NonNull::new(unsafe { bindings::d_lookup(self.as_ptr(), &name) })?;
        // SAFETY: The reference to the child is the caller's; it is of the same super block.
        Some(unsafe { Held::from_raw(child.cast()) })
    }
}

/// The dentry of a name that is being looked up: negative, and not in the cache.
///
/// # Invariants
///
/// It is not hashed, it has no inode, and its parent is locked, shared or exclusively, for `'a`: it
/// keeps its name and parent, and only the holder of this value splices it.
pub(crate) struct Unhashed<'a, T: FileSystem>(&'a DEntry<T>);

impl<'a, T: FileSystem> Unhashed<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `dentry`, and there must be no other instance for it.
    pub(in crate::vfs) unsafe fn new(dentry: &'a DEntry<T>) -> Self {
        Self(dentry)
    }

    /// The name.
    pub(crate) fn name(&self) -> &'a [u8] {
        let dentry = self.0.as_ptr();
        // SAFETY: The name does not change, by the type invariant.
        unsafe { qstr_bytes(&raw const (*dentry).__bindgen_anon_1.d_name) }
    }

    /// The dentry, usable after the splice as well.
    pub(crate) fn dentry(&self) -> &'a DEntry<T> {
        self.0
    }

    /// Gives it `inode`, or makes it negative, and puts it into the cache.
    ///
    /// A directory has only one dentry: if `inode` has it at another place, that dentry is moved
    /// here and returned, and the lookup has to return it.
    ///
    /// # Errors
    ///
    /// `ELOOP` if the directory would come below itself; `ESTALE` if it is at another place that
    /// cannot be locked now; `EXDEV` if the inode belongs to another super block.
    pub(crate) fn splice_alias(
        self,
        inode: Option<Held<'_, INode<T>>>,
    ) -> Result<Option<Held<'a, DEntry<T>>>> {
        // SAFETY: The dentry can be spliced, by the type invariant.
        unsafe { splice_alias(self.0, inode) }
    }
}

/// A directory that a walk has reached, and that something is to be mounted on.
///
/// # Invariants
///
/// The walk holds a reference to the path for `'a`, and its dentry is one of `T`.
pub(crate) struct Automount<'a, T: FileSystem> {
    pub(in crate::vfs) path: NonNull<bindings::path>,
    _p: PhantomData<&'a DEntry<T>>,
}

/// A mount that is not attached yet; dropping it unmounts it.
///
/// # Invariants
///
/// It owns a reference to the mount.
pub(crate) struct Mounted(pub(in crate::vfs) NonNull<bindings::vfsmount>);

impl Mounted {
    /// The mount; its reference goes to the caller.
    pub(in crate::vfs) fn into_raw(self) -> *mut bindings::vfsmount {
        core::mem::ManuallyDrop::new(self).0.as_ptr()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::mntput(self.0.as_ptr()) };
    }
}

impl<'a, T: FileSystem> Automount<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `path`, which must not be null.
    pub(in crate::vfs) unsafe fn from_raw(path: *mut bindings::path) -> Self {
        Self {
            // SAFETY: The caller promises it.
            path: unsafe { NonNull::new_unchecked(path) },
            _p: PhantomData,
        }
    }

    /// The directory.
    pub(crate) fn point(&self) -> &'a DEntry<T> {
        // SAFETY: The path keeps its dentry, by the type invariant.
        unsafe { DEntry::from_raw((*self.path.as_ptr()).dentry) }
    }
}

/// A child that [`SharedDir::child`](crate::vfs::file::dir_context::SharedDir::child) found or
/// made.
pub(crate) enum Child<'a, T: FileSystem> {
    /// It was in the cache. The file system's answer about it went to another task.
    Cached(Held<'a, DEntry<T>>),
    /// It is new; other tasks that look up the name wait until it is spliced or dropped.
    InLookup(InLookup<'a, T>),
}

/// A new dentry in lookup. Dropping it ends the lookup without a result: the name stays unknown.
///
/// # Invariants
///
/// The dentry is in lookup, it has no inode, and its parent is locked, shared or exclusively, for
/// `'a`: it keeps its name and parent, and only the holder of this value splices it.
pub(crate) struct InLookup<'a, T: FileSystem> {
    dentry: Guard<Held<'a, DEntry<T>>, LookupDone>,
    _parent: PhantomData<&'a DEntry<T>>,
}

/// Ends the lookup of a dentry, if it is still in lookup.
struct LookupDone;

impl<T: FileSystem> OnDrop<Held<'_, DEntry<T>>> for LookupDone {
    fn run(dentry: Held<'_, DEntry<T>>) {
        // SAFETY: There is a reference, and if it is still in lookup, the lookup is that of the
        // `InLookup` whose guard this is.
        unsafe { bindings::d_lookup_done(dentry.as_ptr()) };
    }
}

impl<'a, T: FileSystem> InLookup<'a, T> {
    /// The dentry.
    pub(crate) fn dentry(&self) -> &DEntry<T> {
        &self.dentry
    }

    /// Gives it `inode` and puts it into the cache; returns the dentry that has the name
    /// afterwards, which may be another one.
    ///
    /// # Errors
    ///
    /// Those of [`Unhashed::splice_alias`].
    pub(crate) fn splice_alias(self, inode: Held<'_, INode<T>>) -> Result<Held<'a, DEntry<T>>> {
        // SAFETY: A dentry in lookup is not hashed; the rest is the invariant of this type. After
        // this the value only ends the lookup.
        let other = unsafe { splice_alias(&self.dentry, Some(inode)) }?;
        // If it is this dentry, the splice has ended its lookup, and only the reference is left.
        Ok(other.unwrap_or_else(|| self.dentry.dismiss()))
    }
}

/// The dentry of a name that is being removed or moved.
///
/// # Invariants
///
/// Its parent is locked exclusively for `'a`: it keeps its name and parent.
pub(crate) struct Named<'a, T: FileSystem>(&'a DEntry<T>);

impl<'a, T: FileSystem> Named<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `dentry`.
    pub(in crate::vfs) unsafe fn new(dentry: &'a DEntry<T>) -> Self {
        Self(dentry)
    }

    /// The name.
    pub(crate) fn name(&self) -> &'a [u8] {
        let dentry = self.0.as_ptr();
        // SAFETY: The name does not change, by the type invariant.
        unsafe { qstr_bytes(&raw const (*dentry).__bindgen_anon_1.d_name) }
    }

    /// The dentry.
    pub(crate) fn dentry(&self) -> &'a DEntry<T> {
        self.0
    }
}

/// The dentry of a name that stands for nothing, and for which something is being made.
///
/// # Invariants
///
/// It has no inode, and its parent is locked exclusively for `'a`: it keeps its name and parent,
/// and only the holder of this value splices it.
pub(crate) struct Vacant<'a, T: FileSystem>(&'a DEntry<T>);

impl<'a, T: FileSystem> Vacant<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `dentry`, and there must be no other instance for it.
    pub(in crate::vfs) unsafe fn new(dentry: &'a DEntry<T>) -> Self {
        Self(dentry)
    }

    /// The name.
    pub(crate) fn name(&self) -> &'a [u8] {
        let dentry = self.0.as_ptr();
        // SAFETY: The name does not change, by the type invariant.
        unsafe { qstr_bytes(&raw const (*dentry).__bindgen_anon_1.d_name) }
    }

    /// The dentry, usable after the splice as well.
    pub(crate) fn dentry(&self) -> &'a DEntry<T> {
        self.0
    }

    /// The security context of a file of type `mode` that gets this name. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the security modules.
    pub(crate) fn security_context(&self, mode: u16) -> Result<Option<SecurityContext>> {
        // SAFETY: It keeps its name and parent, by the type invariant.
        unsafe { SecurityContext::of_new(self.0, mode) }
    }

    /// Removes it from the cache, to be spliced.
    pub(crate) fn unhash(self) -> Unhashed<'a, T> {
        self.0.unhash();
        // INVARIANT: It was unhashed just now, and no task hashes it again while its parent is
        // locked; the rest is the invariant of this type.
        Unhashed(self.0)
    }

    /// Gives it `inode`, which must not be a directory. A dentry in the cache stays there.
    ///
    /// # Errors
    ///
    /// `EXDEV` if the inode belongs to another super block, `EISDIR` if it is a directory.
    pub(crate) fn instantiate(self, inode: Held<'_, INode<T>>) -> Result {
        // SAFETY: The dentry has no inode and is ours, by the type invariant.
        unsafe { instantiate(self.0, inode) }
    }
}

/// The dentry of something that is being made without a name.
///
/// # Invariants
///
/// It has no inode, it is not hashed, and no other task can reach it for `'a`.
pub(crate) struct Unnamed<'a, T: FileSystem>(&'a DEntry<T>);

impl<'a, T: FileSystem> Unnamed<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `dentry`, and there must be no other instance for it.
    pub(in crate::vfs) unsafe fn new(dentry: &'a DEntry<T>) -> Self {
        Self(dentry)
    }

    /// The placeholder for the name that it does not have.
    pub(crate) fn name(&self) -> &'a [u8] {
        let dentry = self.0.as_ptr();
        // SAFETY: No other task can reach the dentry, by the type invariant, so the name does not
        // change.
        unsafe { qstr_bytes(&raw const (*dentry).__bindgen_anon_1.d_name) }
    }

    /// As [`Vacant::security_context`].
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn security_context(&self, mode: u16) -> Result<Option<SecurityContext>> {
        // SAFETY: No other task can reach the dentry, by the type invariant, so its name stays.
        unsafe { SecurityContext::of_new(self.0, mode) }
    }

    /// As [`Vacant::instantiate`].
    ///
    /// # Errors
    ///
    /// The same.
    pub(crate) fn instantiate(self, inode: Held<'_, INode<T>>) -> Result {
        // SAFETY: The dentry has no inode and is ours, by the type invariant.
        unsafe { instantiate(self.0, inode) }
    }
}

/// The security context of a new file, as an extended attribute.
///
/// # Invariants
///
/// `name` is the name of an attribute; `context` was filled by a security module, which frees it
/// when this is dropped.
pub(crate) struct SecurityContext {
    name: &'static CStr,
    context: bindings::lsm_context,
}

impl SecurityContext {
    /// The context of a file of type `mode` that is about to be made for `dentry`; [`None`] if no
    /// security module has contexts.
    ///
    /// # Safety
    ///
    /// The name and the parent of `dentry` must not change during the call.
    unsafe fn of_new<T: FileSystem>(dentry: &DEntry<T>, mode: u16) -> Result<Option<Self>> {
        let mut name = core::ptr::null();
        let mut context = bindings::lsm_context::default();
        let dentry = dentry.as_ptr();
        // SAFETY: There is a reference, the caller promises that its name stays, and the rest is
        // ours.
        let result = to_result(unsafe {
            bindings::security_dentry_init_security(
                dentry,
                mode.into(),
                &raw const (*dentry).__bindgen_anon_1.d_name,
                &mut name,
                &mut context,
            )
        });
        match result {
            Err(error) if error == EOPNOTSUPP => return Ok(None),
            result => result?,
        }
        if name.is_null() || context.context.is_null() {
            return Ok(None);
        }
        Ok(Some(Self {
            // SAFETY: A security module's name of an attribute is a static string.
            name: unsafe { CStr::from_char_ptr(name) },
            context,
        }))
    }

    /// The name of the attribute.
    pub(crate) fn name(&self) -> &CStr {
        self.name
    }

    /// Its value.
    pub(crate) fn value(&self) -> &[u8] {
        // SAFETY: The security module filled in `context` with `len` bytes.
        unsafe {
            core::slice::from_raw_parts(self.context.context.cast(), self.context.len as usize)
        }
    }
}

impl Drop for SecurityContext {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::security_release_secctx(&mut self.context) };
    }
}

/// Gives `dentry` its `inode`, or makes it negative; see [`Unhashed::splice_alias`].
///
/// # Safety
///
/// The dentry must not be hashed, have no inode, and keep its name and parent; only the caller may
/// splice it. Its super block must not be shut down for `'a`.
unsafe fn splice_alias<'a, T: FileSystem>(
    dentry: &DEntry<T>,
    inode: Option<Held<'_, INode<T>>>,
) -> Result<Option<Held<'a, DEntry<T>>>> {
    if let Some(inode) = &inode {
        // The dentry keeps the inode until its own super block is shut down.
        if !core::ptr::eq(inode.sb(), dentry.sb()) {
            return Err(EXDEV);
        }
    }
    let inode = inode.map_or(core::ptr::null_mut(), |inode| {
        inode.into_raw().as_ptr().cast()
    });
    // SAFETY: The caller promises it. `d_splice_alias` consumes the inode's reference, also on
    // failure.
    let alias = from_err_ptr(unsafe { bindings::d_splice_alias(inode, dentry.as_ptr()) })?;
    // SAFETY: The caller of `d_splice_alias` owns the reference to the alias, which is a dentry of
    // the same super block.
    Ok(NonNull::new(alias).map(|alias| unsafe { Held::from_raw(alias.cast()) }))
}

/// Gives `dentry` its `inode`.
///
/// # Safety
///
/// The dentry must have no inode, and only the caller may give it one.
unsafe fn instantiate<T: FileSystem>(dentry: &DEntry<T>, inode: Held<'_, INode<T>>) -> Result {
    if !core::ptr::eq(inode.sb(), dentry.sb()) {
        return Err(EXDEV);
    }
    if inode.is_dir() {
        return Err(EISDIR);
    }
    // SAFETY: The caller promises it. `d_instantiate` consumes the inode's reference.
    unsafe { bindings::d_instantiate(dentry.as_ptr(), inode.into_raw().as_ptr().cast()) };
    Ok(())
}

/// The bytes of a name.
///
/// # Safety
///
/// `name` must be valid and not change for `'a`.
unsafe fn qstr_bytes<'a>(name: *const bindings::qstr) -> &'a [u8] {
    // SAFETY: The caller promises validity; a `qstr` has `len` bytes at `name`.
    unsafe {
        let len = (*name).__bindgen_anon_1.__bindgen_anon_1.len;
        core::slice::from_raw_parts((*name).name, len as usize)
    }
}

impl_flags!(
    /// The purposes of a walk (`LOOKUP_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct LookupFlags(u32);

    /// One purpose of a walk.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum LookupFlag {
        /// The caches are not to be trusted.
        Reval = bindings::LOOKUP_REVAL,
        /// RCU walk.
        Rcu = bindings::LOOKUP_RCU,
        /// The last name will be opened.
        Open = bindings::LOOKUP_OPEN,
        /// The last name will be created.
        Create = bindings::LOOKUP_CREATE,
        /// The last name must not exist.
        Excl = bindings::LOOKUP_EXCL,
        /// The last name is the target of a rename.
        RenameTarget = bindings::LOOKUP_RENAME_TARGET,
    }
);

impl LookupFlags {
    pub(in crate::vfs) fn from_c(flags: c_uint) -> Self {
        Self(flags)
    }
}

/// The operations of all dentries of `T`.
#[vtable]
pub(crate) trait Operations<T: FileSystem> {
    /// Makes the data of a new dentry. May sleep.
    fn d_init(sb: &SuperBlock<T, Seen>) -> Result<T::DentryData>;

    /// Whether `dentry`, found as `name` in `dir`, is still valid; if not, the VFS invalidates it
    /// and looks the name up. May sleep in ref walk. `name` is the name asked for; that of the
    /// dentry can change meanwhile.
    fn d_revalidate(
        _dir: Walk<'_, INode<T>>,
        _name: &[u8],
        _dentry: Walk<'_, DEntry<T>>,
        _flags: LookupFlags,
    ) -> Result<bool> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Whether `dentry`, whose last reference is gone, should leave the cache. `d_lock` is held.
    fn d_delete(_dentry: &DEntryView<T>) -> bool {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Returns what is to be mounted on a directory that a walk has reached and whose inode asks
    /// for this ([`NewInode::set_automount`](crate::vfs::node::inode::NewInode::set_automount)).
    /// May sleep.
    fn d_automount(_at: Automount<'_, T>) -> Result<Mounted> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The dentry operations of `T`.
pub(in crate::vfs) struct DentryTable<T>(PhantomData<T>);

impl<T: FileSystem> DentryTable<T> {
    const TABLE: bindings::dentry_operations = bindings::dentry_operations {
        d_init: Some(Self::d_init),
        d_release: Some(Self::d_release),
        d_revalidate: if T::Dentries::HAS_D_REVALIDATE {
            Some(Self::d_revalidate)
        } else {
            None
        },
        d_delete: if T::Dentries::HAS_D_DELETE {
            Some(Self::d_delete)
        } else {
            None
        },
        d_automount: if T::Dentries::HAS_D_AUTOMOUNT {
            Some(Self::d_automount)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    pub(in crate::vfs) fn get() -> &'static bindings::dentry_operations {
        &Self::TABLE
    }

    /// # Safety
    ///
    /// Called by `__d_alloc` with a new dentry of a super block of `T`; may sleep.
    unsafe extern "C" fn d_init(dentry: *mut bindings::dentry) -> c_int {
        const {
            assert!(!core::mem::needs_drop::<T::DentryData>());
            assert!(align_of::<Slot<T::DentryData>>() <= align_of::<u64>());
        }
        // SAFETY: `d_sb` is set already, and the caller keeps the super block.
        let sb = unsafe { SuperBlock::<T, Seen>::from_raw((*dentry).d_sb) };
        from_result(|| {
            let data = T::Dentries::d_init(sb)?;
            let size = size_of::<Slot<T::DentryData>>();
            // SAFETY: It takes a plain number.
            let slot = unsafe { bindings::kzalloc_dentry_data(size) };
            let slot: *mut Slot<T::DentryData> = slot.cast();
            if slot.is_null() {
                return Err(ENOMEM);
            }
            // SAFETY: The memory is new, large enough, and aligned as any of kmalloc is.
            unsafe { (&raw mut (*slot).data).write(data) };
            // SAFETY: The memory is zeroed, which is a valid value, and not published yet.
            unsafe { (*slot).expiry.init(dentry) };
            // SAFETY: `__d_alloc` has not published the dentry yet.
            unsafe { (*dentry).d_fsdata = slot.cast() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `__dentry_kill` with a dentry of a super block of `T` that has no reference; only
    /// the RCU walk and [`crate::vfs::node::dentry_expiry`], also under RCU, may still read it.
    unsafe extern "C" fn d_release(dentry: *mut bindings::dentry) {
        // SAFETY: `d_init` set it, and it does not change.
        let slot: *mut Slot<T::DentryData> = unsafe { (*dentry).d_fsdata }.cast();
        // SAFETY: It is being released.
        unsafe { ExpiryNode::release(&raw mut (*slot).expiry) };
        // SAFETY: The data needs no drop, and the memory came from kmalloc. It is freed after a
        // grace period, when the RCU walk cannot read it any more.
        unsafe { bindings::kfree_rcu(&raw mut (*slot).rcu, slot.cast()) };
    }

    /// # Safety
    ///
    /// Called by the walk with a name in an inode of a super block of `T`, and the dentry found for
    /// it; in an RCU read-side critical section if `LOOKUP_RCU` is set, and with references to both
    /// otherwise.
    unsafe extern "C" fn d_revalidate(
        dir: *mut bindings::inode,
        name: *const bindings::qstr,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        let flags = LookupFlags::from_c(flags);
        let (dir, dentry) = if flags.contains(LookupFlag::Rcu) {
            // SAFETY: In the section of the walk, which has found the inode in a dentry, and this
            // dentry in the cache. What `d_fsdata` points to stays for a grace period as well.
            unsafe {
                (
                    INode::in_rcu(dir),
                    Walk::Rcu(InRcu::new(DEntryView::from_raw(dentry))),
                )
            }
        } else {
            // SAFETY: The caller holds references.
            unsafe {
                (
                    Walk::Ref(INode::from_raw(dir)),
                    Walk::Ref(DEntry::from_raw(dentry)),
                )
            }
        };
        // SAFETY: The name is the walk's own.
        let name = unsafe { qstr_bytes(name) };
        from_result(|| T::Dentries::d_revalidate(dir, name, dentry, flags).map(c_int::from))
    }

    /// # Safety
    ///
    /// Called by `retain_dentry` with `d_lock` of a dentry of a super block of `T` held.
    unsafe extern "C" fn d_delete(dentry: *const bindings::dentry) -> c_int {
        // SAFETY: The lock keeps it for the call.
        T::Dentries::d_delete(unsafe { DEntryView::from_raw(dentry.cast_mut()) }).into()
    }

    /// # Safety
    ///
    /// Called by `follow_automount` with a path that it holds a reference to, whose dentry is one
    /// of a super block of `T` and has an inode; no locks are held, and it may sleep.
    unsafe extern "C" fn d_automount(path: *mut bindings::path) -> *mut bindings::vfsmount {
        // SAFETY: The caller promises it.
        match T::Dentries::d_automount(unsafe { Automount::from_raw(path) }) {
            Ok(mounted) => mounted.into_raw(),
            Err(error) => error.to_ptr(),
        }
    }
}
