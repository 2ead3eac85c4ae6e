// SPDX-License-Identifier: GPL-2.0

//! File system types, their registration, and the context of a mount.
//!
//! The VFS enters a file system here: `mount(2)` and `fsopen(2)` find an [`FsType`] by name, make
//! an [`FsContext`], give it options, and ask for a super block. `fs_param` has the options, `sb`
//! the super block. Mounts that a file system makes by itself come in through `submount`.
//!
//! Locks: a context is used by one task at a time (under its `uapi_mutex`, or because no other task
//! has it); the spinlock of all super blocks is held during a search for one.
//!
//! C headers: `include/linux/fs_context.h`, `include/linux/fs.h`.

use crate::vfs::{
    bindings,
    cred::UserNs,
    mount::{
        fs_param::{
            OwnedStr,
            Param,
            ParamList,
            ParamTable,
            Value, //
        },
        pools::Pools,
        sb::{
            get_super,
            FileSystem,
            NewSuper,
            SuperBlock,
            SuperTable, //
        },
        submount::SUBMOUNT, //
    },
    node::inode::Slab, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    fmt,
    impl_flags,
    module::this_module,
    prelude::*,
    types::Opaque, //
};

impl_flags!(
    /// Flags of a file system type (`FS_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct FsFlags(u32);

    /// One flag of a file system type.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum FsFlag {
        /// Every mount is of a block device.
        RequiresDev = bindings::FS_REQUIRES_DEV,
        /// A mount can have a subtype.
        HasSubtype = bindings::FS_HAS_SUBTYPE,
        /// It can be mounted in a user namespace by a task that is privileged there.
        UsernsMount = bindings::FS_USERNS_MOUNT,
        /// A mount can have an id map, as far as its super block allows it.
        AllowIdmap = bindings::FS_ALLOW_IDMAP,
    }
);

impl FsFlags {
    /// The union of `flags`.
    pub(crate) const fn of(flags: &[FsFlag]) -> Self {
        let mut all = 0;
        let mut i = 0;
        while i < flags.len() {
            all |= flags[i] as u32;
            i += 1;
        }
        Self(all)
    }

    const fn has(self, flag: FsFlag) -> bool {
        self.0 & flag as u32 != 0
    }
}

/// How a file system is mounted under one name. A file system with several ways implements this for
/// a separate type for each: they differ only in this implementation, and in what it puts into
/// [`FileSystem::SuperData`].
pub(crate) trait Mounting: Sized + 'static {
    /// The file system.
    type Fs: FileSystem;

    /// What a mount context owns (`fs_private`).
    type Context: Send;

    /// The key that finds an existing super block; an uninhabited type if none is looked for.
    type Key: Send + Sync;

    /// The name of the type. It has no dot: the VFS takes the part behind a dot as a subtype.
    const NAME: &'static CStr;

    /// The flags of the type.
    const FLAGS: FsFlags;

    /// Its options.
    const PARAMS: ParamList;

    /// Whether a super block belongs to the block device that is the source of its mount.
    const ON_BLOCK_DEVICE: bool;

    /// Starts a mount or a reconfiguration. May sleep.
    fn init_fs_context(fc: &FsContext<Self>) -> Result<Self::Context>;

    /// Parses one option of a mount or of a reconfiguration. `ENOPARAM` leaves it to the VFS, which
    /// knows `source`. May sleep.
    fn parse_param(ctx: &mut Self::Context, fc: &FsContext<Self>, param: Param<'_>) -> Result;

    /// Applies the options to the mounted `sb`. `s_umount` is held for writing.
    fn reconfigure(
        ctx: &mut Self::Context,
        fc: &FsContext<Self>,
        sb: &SuperBlock<Self::Fs>,
    ) -> Result;

    /// Chooses the super block, after all options have been given. May sleep.
    fn get_tree(ctx: &mut Self::Context, fc: &FsContext<Self>) -> Result<Tree<Self>>;

    /// Whether the super block that owns `data` is the one of `key`. Called with the spinlock of
    /// all super blocks held, for super blocks of this type only, which may be being set up or shut
    /// down.
    fn test_super(data: &<Self::Fs as FileSystem>::SuperData, key: &Self::Key) -> bool;

    /// Sets up a new super block, and returns the result of [`NewSuper::set_root`]. `s_umount` is
    /// held for writing. May sleep. After an error [`FileSystem::kill_sb`] is called if the root
    /// was set.
    fn fill_super<'a>(
        sb: NewSuper<'a, Self::Fs>,
        ctx: &mut Self::Context,
        fc: &FsContext<Self>,
    ) -> Result<&'a SuperBlock<Self::Fs>>;
}

/// A file system type: a name under which `T` can be mounted by a [`Mounting`]. A `static`.
///
/// # Invariants
///
/// `fs_type` has the functions of one `Mounting` of `T` and of `T`, and is part of an `FsType<T>`.
/// The VFS changes it while it is registered; it is registered only while `pools` are created.
#[repr(C)]
pub(crate) struct FsType<T: FileSystem> {
    /// First, so that `pools_of` can find this from the type of a super block.
    fs_type: Opaque<bindings::file_system_type>,
    pools: &'static Pools<T>,
    _p: PhantomData<fn(T)>,
}

// SAFETY: Only the VFS changes it, under its own locks.
unsafe impl<T: FileSystem> Sync for FsType<T> {}

impl<T: FileSystem> FsType<T> {
    /// The type that `M` describes.
    pub(crate) const fn new<M: Mounting<Fs = T>>(pools: &'static Pools<T>) -> Self {
        // The VFS has a BUG for a name with a dot.
        let bytes = M::NAME.to_bytes();
        let mut i = 0;
        while i < bytes.len() {
            assert!(bytes[i] != b'.');
            i += 1;
        }
        // Otherwise `mount(2)` would not open the device.
        assert!(M::ON_BLOCK_DEVICE == M::FLAGS.has(FsFlag::RequiresDev));
        // The function that shuts down a super block has to give back its kind of device number.
        let kill_sb: unsafe extern "C" fn(*mut bindings::super_block) = match M::ON_BLOCK_DEVICE {
            true => SuperTable::<T>::kill_block,
            false => SuperTable::<T>::kill_anon,
        };
        Self {
            fs_type: Opaque::new(bindings::file_system_type {
                owner: this_module::<T::OwnerModule>().as_ptr(),
                name: M::NAME.to_bytes_with_nul().as_ptr().cast(),
                fs_flags: M::FLAGS.0 as c_int,
                init_fs_context: Some(ContextTable::<M>::init_fs_context),
                parameters: M::PARAMS.as_ptr().cast(),
                kill_sb: Some(kill_sb),
                ..pin_init::zeroed()
            }),
            pools,
            _p: PhantomData,
        }
    }

    /// The pools of the super blocks of `fs_type`.
    ///
    /// # Safety
    ///
    /// `fs_type` must be a type of `T`.
    pub(in crate::vfs) unsafe fn pools_of(
        fs_type: *mut bindings::file_system_type,
    ) -> &'static Pools<T> {
        // SAFETY: By the type invariant it is the first field of an `FsType<T>`; only static ones
        // are registered.
        unsafe { (*fs_type.cast::<Self>()).pools }
    }
}

/// The types of `T`, registered; dropping it unregisters them.
///
/// # Invariants
///
/// `pools` are created; all of `types` are registered and use them.
pub(crate) struct Registration<T: FileSystem> {
    pools: &'static Pools<T>,
    types: &'static [FsType<T>],
}

impl<T: FileSystem> Registration<T> {
    /// Registers `types`, in this order.
    ///
    /// # Errors
    ///
    /// `EBUSY` if this was called before, or if there is a type with one of the names; `EINVAL` if
    /// `types` is empty, or not all of them have the same [`Pools`].
    ///
    /// # Safety
    ///
    /// The return value must be dropped only when the module is unloaded or fails to load: a super
    /// block keeps the module, but not this.
    pub(crate) unsafe fn new(types: &'static [FsType<T>]) -> Result<Self> {
        let pools = types.first().ok_or(EINVAL)?.pools;
        if !types.iter().all(|other| core::ptr::eq(other.pools, pools)) {
            return Err(EINVAL);
        }
        pools.create(Slab::<T>::create)?;
        // If it fails midway, the drop undoes the steps so far.
        let mut this = Self { pools, types: &[] };
        for (i, fs_type) in types.iter().enumerate() {
            // SAFETY: The type is static, and its functions can be called from now on.
            to_result(unsafe { bindings::register_filesystem(fs_type.fs_type.get()) })?;
            this.types = types.get(..=i).unwrap_or(types);
        }
        Ok(this)
    }
}

impl<T: FileSystem> Drop for Registration<T> {
    fn drop(&mut self) {
        for fs_type in self.types.iter().rev() {
            // SAFETY: It is registered.
            unsafe { bindings::unregister_filesystem(fs_type.fs_type.get()) };
        }
        // SAFETY: By the type invariant they are created, and all types are unregistered. There are
        // no super blocks: those keep the module, which is being unloaded, as the caller of `new`
        // has promised.
        unsafe { self.pools.destroy() };
    }
}

/// The super block that a mount gets.
pub(crate) enum Tree<M: Mounting> {
    /// A new one that owns this. If the type requires a block device, it is the one of the source
    /// device, and a super block of that device that exists already does not get this.
    New(<M::Fs as FileSystem>::SuperData),
    /// The one that [`Mounting::test_super`] finds by `key`.
    Keyed {
        /// The key to find it by.
        key: M::Key,
        /// If there is none: the data of a new one, which has no device, or the error to return.
        otherwise: Result<<M::Fs as FileSystem>::SuperData>,
    },
}

/// The context of a mount or of a reconfiguration (`struct fs_context`) of the type that `M`
/// describes.
///
/// # Invariants
///
/// It is a valid context while it is borrowed, and no other task uses it for as long. Its
/// `fs_private` is null, or a `KBox<M::Context>` that it owns.
#[repr(transparent)]
pub(crate) struct FsContext<M: Mounting> {
    fc: Opaque<bindings::fs_context>,
    _p: PhantomData<M>,
}

impl<M: Mounting> FsContext<M> {
    /// # Safety
    ///
    /// The type's invariants must hold for `fc` for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(fc: *mut bindings::fs_context) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*fc.cast() }
    }

    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::fs_context {
        self.fc.get()
    }

    /// The file system's data in it; `None` before `init_fs_context` has returned.
    ///
    /// # Safety
    ///
    /// There must be no other reference to it for `'a`.
    pub(in crate::vfs) unsafe fn private<'a>(&self) -> Option<&'a mut M::Context> {
        // SAFETY: By the type invariant it is null or valid; the caller promises the rest.
        unsafe { (*self.as_ptr()).fs_private.cast::<M::Context>().as_mut() }
    }

    fn pools(&self) -> &'static Pools<M::Fs> {
        // SAFETY: The context is of a type of `M::Fs`.
        unsafe { FsType::pools_of((*self.as_ptr()).fs_type) }
    }

    /// Finds which option of `table` a parameter is, and its value.
    ///
    /// # Errors
    ///
    /// `ENOPARAM` if the table does not have it; `EINVAL`, with a message in the context's log, if
    /// the value is not of the option's kind; `EBADF` for a number that is not an open file's.
    pub(crate) fn parse<O: Copy, const N: usize>(
        &self,
        param: Param<'_>,
        table: &'static ParamTable<O, N>,
    ) -> Result<(O, Value)> {
        // SAFETY: The context is valid.
        unsafe { param.parse(self.as_ptr(), table) }
    }

    /// The user namespace that the mount is for.
    pub(crate) fn user_ns(&self) -> &UserNs {
        // SAFETY: The context keeps it.
        unsafe { UserNs::from_ptr((*self.as_ptr()).user_ns) }
    }

    fn purpose(&self) -> bindings::fs_context_purpose {
        // SAFETY: The context is valid, and no other task uses it.
        unsafe { bindings::fs_context::purpose_raw(self.as_ptr()) }
    }

    /// Whether it is for a super block that is mounted already.
    pub(crate) fn is_reconfigure(&self) -> bool {
        self.purpose() == bindings::fs_context_purpose_FS_CONTEXT_FOR_RECONFIGURE
    }

    /// Whether it belongs to a call of `mount(2)`.
    pub(crate) fn is_oldapi(&self) -> bool {
        // SAFETY: As in `is_reconfigure`.
        unsafe { bindings::fs_context::oldapi_raw(self.as_ptr()) }
    }

    /// The flags that the super block is to have.
    pub(crate) fn sb_flags(&self) -> crate::vfs::mount::sb::SbFlags {
        // SAFETY: As in `is_reconfigure`.
        crate::vfs::mount::sb::SbFlags::from_c(unsafe { (*self.as_ptr()).sb_flags })
    }

    /// Whether the source has been set.
    pub(crate) fn has_source(&self) -> bool {
        // SAFETY: As in `is_reconfigure`.
        !unsafe { (*self.as_ptr()).source }.is_null()
    }

    /// The source, if it is known.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn source(&self) -> Option<&CStr> {
        // SAFETY: As in `is_reconfigure`.
        let source = unsafe { (*self.as_ptr()).source };
        // SAFETY: A string that the context owns, and that is not replaced while it is borrowed.
        (!source.is_null()).then(|| unsafe { CStr::from_char_ptr(source) })
    }

    /// Sets the source, the first column of `/proc/PID/mounts`.
    pub(crate) fn set_source(&self, source: OwnedStr) {
        // SAFETY: As in `is_reconfigure`. The context frees it with kfree.
        unsafe {
            bindings::kfree((*self.as_ptr()).source.cast());
            (*self.as_ptr()).source = source.into_raw();
        }
    }

    /// Tells the mounting task about an error: in the log of `fsopen(2)`, or in the kernel's for
    /// `mount(2)`.
    pub(crate) fn errorf(&self, message: fmt::Arguments<'_>) {
        // SAFETY: The context's log is null or valid; `%pA` prints a `fmt::Arguments`.
        unsafe {
            let log = &raw const (*self.as_ptr()).log;
            bindings::logfc(
                (*log).log,
                (*log).prefix,
                b'e',
                c"%pA".as_char_ptr(),
                (&raw const message).cast::<c_void>(),
            );
        }
    }

    /// As [`Self::errorf`]; the error is `EINVAL`.
    pub(crate) fn invalf(&self, message: fmt::Arguments<'_>) -> Error {
        self.errorf(message);
        EINVAL
    }
}

/// What a search for an existing super block is given.
struct Wanted<'a, M: Mounting> {
    key: &'a M::Key,
    /// The error if there is none; `None` if a new one is made then.
    otherwise: Option<Error>,
}

/// The mount context operations of `M`.
struct ContextTable<M>(PhantomData<M>);

impl<M: Mounting> ContextTable<M> {
    const TABLE: bindings::fs_context_operations = bindings::fs_context_operations {
        free: Some(Self::free),
        dup: None,
        parse_param: Some(Self::parse_param),
        parse_monolithic: None,
        get_tree: Some(Self::get_tree),
        reconfigure: Some(Self::reconfigure),
    };

    /// # Safety
    ///
    /// Called by `alloc_fs_context` with a new context of the type of `M`; may sleep.
    unsafe extern "C" fn init_fs_context(fc: *mut kernel::bindings::fs_context) -> c_int {
        // SAFETY: The context is new: its private data is null.
        let fc = unsafe { FsContext::<M>::from_raw(fc.cast()) };
        if fc.purpose() == bindings::fs_context_purpose_FS_CONTEXT_FOR_SUBMOUNT {
            // A submount has no options, and owns nothing: `submount` replaces the operations.
            // SAFETY: Only this call uses the context.
            unsafe { (*fc.as_ptr()).ops = &SUBMOUNT };
            return 0;
        }
        from_result(|| {
            let ctx = KBox::new(M::init_fs_context(fc)?, GFP_KERNEL)?;
            // SAFETY: Only this call uses the context.
            unsafe {
                (*fc.as_ptr()).fs_private = KBox::into_raw(ctx).cast();
                (*fc.as_ptr()).ops = &Self::TABLE;
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `put_fs_context` with a context of `M` that has no user any more; may sleep.
    unsafe extern "C" fn free(fc: *mut bindings::fs_context) {
        // SAFETY: The context is valid.
        let fc = unsafe { FsContext::<M>::from_raw(fc) };
        // SAFETY: Only this call uses the context.
        let ctx =
            unsafe { core::mem::replace(&mut (*fc.as_ptr()).fs_private, core::ptr::null_mut()) };
        if !ctx.is_null() {
            // SAFETY: By the type invariant it is a `KBox`, and it was taken out of the context.
            drop(unsafe { KBox::<M::Context>::from_raw(ctx.cast()) });
        }
    }

    /// # Safety
    ///
    /// Called by `vfs_parse_fs_param` with a context of `M` that no other task uses, and with a
    /// parameter of the caller; may sleep.
    unsafe extern "C" fn parse_param(
        fc: *mut bindings::fs_context,
        param: *mut bindings::fs_parameter,
    ) -> c_int {
        // SAFETY: The caller promises what the type's invariant asks for.
        let fc = unsafe { FsContext::<M>::from_raw(fc) };
        from_result(|| {
            // SAFETY: No other task uses the context, and this task has no other reference.
            let ctx = unsafe { fc.private() }.ok_or(EINVAL)?;
            let param = NonNull::new(param).ok_or(EINVAL)?;
            // SAFETY: The caller lends the parameter for the call.
            M::parse_param(ctx, fc, unsafe { Param::from_raw(param) })?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `reconfigure_super` with a context of `M` that no other task uses, whose root is
    /// that of a super block of that type with `s_umount` held for writing; may sleep.
    unsafe extern "C" fn reconfigure(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The caller promises what the type's invariant asks for.
        let fc = unsafe { FsContext::<M>::from_raw(fc) };
        from_result(|| {
            // SAFETY: As in `parse_param`.
            let ctx = unsafe { fc.private() }.ok_or(EINVAL)?;
            // SAFETY: The context keeps the root, and the lock keeps the super block.
            let sb = unsafe { SuperBlock::<M::Fs>::from_raw((*(*fc.as_ptr()).root).d_sb) };
            M::reconfigure(ctx, fc, sb)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `vfs_get_tree` with a context of `M` that no other task uses; may sleep.
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The caller promises what the type's invariant asks for.
        let fc = unsafe { FsContext::<M>::from_raw(fc) };
        from_result(|| {
            // SAFETY: As in `parse_param`; it is not used after the call.
            let ctx = unsafe { fc.private() }.ok_or(EINVAL)?;
            let get = |fc| {
                // SAFETY: The context is valid, with an `s_fs_info` as `fill_super` requires, and
                // there is no reference to its private data.
                unsafe {
                    match M::ON_BLOCK_DEVICE {
                        true => bindings::get_tree_bdev(fc, Some(Self::fill_super)),
                        false => bindings::get_tree_nodev(fc, Some(Self::fill_super)),
                    }
                }
            };
            match M::get_tree(ctx, fc)? {
                // SAFETY: No other task uses the context.
                Tree::New(data) => unsafe { get_super(fc.as_ptr(), data, fc.pools(), get) },
                Tree::Keyed { key, otherwise } => Self::keyed(fc, &key, otherwise),
            }?;
            Ok(0)
        })
    }

    /// The `fill_super` of `get_tree_nodev` and `get_tree_bdev`, and of [`Self::find`].
    ///
    /// # Safety
    ///
    /// Called by `vfs_get_super`, `get_tree_bdev` and [`Self::find`] with `s_umount` held for
    /// writing, with a new super block of the type of `M` whose `s_fs_info` is the `SuperInfo`
    /// that `get_super` made, and with the mount context of a `get_tree` of `M` that holds no
    /// reference to its `M::Context` now.
    unsafe extern "C" fn fill_super(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
    ) -> c_int {
        // SAFETY: The caller promises it.
        let sb = unsafe { SuperTable::<M::Fs>::begin(sb) };
        // SAFETY: The caller promises that it is a context of `M`.
        let fc = unsafe { FsContext::<M>::from_raw(fc) };
        // SAFETY: No other reference to the private data exists.
        let Some(ctx) = (unsafe { fc.private() }) else {
            return EINVAL.to_errno();
        };
        let raw = sb.as_ptr();
        from_result(|| {
            let filled = M::fill_super(sb, ctx, fc)?;
            // The caller needs the root to be set on this super block.
            if filled.as_ptr() != raw {
                return Err(EINVAL);
            }
            Ok(0)
        })
    }

    /// Gives `fc` the super block that `key` finds, or follows `otherwise`.
    fn keyed(
        fc: &FsContext<M>,
        key: &M::Key,
        otherwise: Result<<M::Fs as FileSystem>::SuperData>,
    ) -> Result {
        let wanted = Wanted::<'_, M> {
            key,
            otherwise: otherwise.as_ref().err().copied(),
        };
        let find = |fc: *mut bindings::fs_context| {
            // SAFETY: No other task uses the context.
            unsafe { (*fc).sget_key = (&raw const wanted).cast_mut().cast() };
            // SAFETY: The context is valid, with the `sget_key` that this requires, and there is no
            // reference to its private data. If a super block can be made of it, it has an
            // `s_fs_info`.
            let result = from_result(|| unsafe { Self::find(fc) });
            // SAFETY: As above.
            unsafe { (*fc).sget_key = core::ptr::null_mut() };
            result
        };
        match otherwise {
            // SAFETY: No other task uses the context, and the pools are those of its type.
            Ok(data) => unsafe { get_super(fc.as_ptr(), data, fc.pools(), find) },
            Err(_) => to_result(find(fc.as_ptr())),
        }
    }

    /// Gives the context a super block as its [`Wanted`] says, with `s_umount` held for writing, as
    /// the VFS's `vfs_get_super()` does.
    ///
    /// # Safety
    ///
    /// `fc` must be a context of `M` that no other task uses, to whose private data there is no
    /// reference. Its `sget_key` must be a [`Wanted`], which lives for the call; if that lets a new
    /// super block be made, `s_fs_info` must be as [`Self::fill_super`] requires.
    unsafe fn find(fc: *mut bindings::fs_context) -> Result<c_int> {
        // SAFETY: The caller promises what both functions require.
        let sb = from_err_ptr(unsafe {
            bindings::sget_fc(fc.cast(), Some(Self::test), Some(Self::set))
        })?;
        // SAFETY: `s_umount` is held for writing now. A super block that was found has a root.
        if unsafe { (*sb).s_root }.is_null() {
            // SAFETY: The super block is new, `s_umount` is held, and the caller promises the rest.
            let result = to_result(unsafe { Self::fill_super(sb, fc) });
            if let Err(error) = result {
                // SAFETY: The reference that `sget_fc` gave, with `s_umount` held.
                unsafe { bindings::deactivate_locked_super(sb) };
                return Err(error);
            }
            // SAFETY: It is set up, and `s_umount` is held.
            unsafe { SuperTable::<M::Fs>::activate(sb) };
        }
        // SAFETY: It has a root, and it is not shut down while `s_umount` is held.
        let root = unsafe { bindings::dget((*sb).s_root) };
        // SAFETY: No other task uses the context, which owns a reference to its root.
        unsafe { (*fc).root = root };
        Ok(0)
    }

    /// # Safety
    ///
    /// Called by `sget_fc` with the lock of the list of super blocks held, with a super block of
    /// the type and with the context that `keyed` gave it.
    unsafe extern "C" fn test(
        sb: *mut bindings::super_block,
        fc: *mut kernel::bindings::fs_context,
    ) -> c_int {
        // SAFETY: `keyed` set the key, and it lives for the call.
        let wanted: &Wanted<'_, M> =
            unsafe { &*(*fc.cast::<bindings::fs_context>()).sget_key.cast() };
        // SAFETY: The super block is on the list, whose lock is held.
        let data = unsafe { SuperTable::<M::Fs>::listed_data(sb) };
        data.is_some_and(|data| M::test_super(data, wanted.key))
            .into()
    }

    /// # Safety
    ///
    /// As [`Self::test`], with a new super block of no list, which `sget_fc` frees if this fails.
    unsafe extern "C" fn set(
        sb: *mut bindings::super_block,
        fc: *mut kernel::bindings::fs_context,
    ) -> c_int {
        // SAFETY: As in `test`.
        let wanted: &Wanted<'_, M> =
            unsafe { &*(*fc.cast::<bindings::fs_context>()).sget_key.cast() };
        match wanted.otherwise {
            Some(error) => error.to_errno(),
            // SAFETY: The caller promises that the super block is new.
            None => unsafe { bindings::set_anon_super_fc(sb, fc) },
        }
    }
}
