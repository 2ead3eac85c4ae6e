// SPDX-License-Identifier: GPL-2.0

//! A control file system: one directory for each object that was added, named by a number, with the
//! same few files in each.
//!
//! It has one super block, which exists while it is mounted. Objects are added and removed
//! independently of that; the files of a removed object are empty, and ignore what is written.
//!
//! Locks: one mutex for the super block and the list of objects, outside the locks of the VFS's
//! directories. An object is added and removed with it held; a method of a file runs without it,
//! on a reference of its own.
//!
//! C headers: `include/linux/fs.h`, `include/linux/fs_context.h`.

use crate::vfs::{
    bindings,
    cred::{
        Kgid,
        Kuid, //
    },
    sync::static_mutex::StaticMutex, //
};
use core::{
    marker::PhantomData,
    pin::Pin,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    module::{
        this_module,
        ModuleMetadata, //
    },
    prelude::*,
    seq_file::SeqFile,
    static_lock_class,
    str::NullTerminatedFormatter,
    sync::{
        lock::mutex::MutexBackend,
        Arc,
        ArcBorrow,
        GlobalLockBackend,
        LockClassKey, //
    },
    types::Opaque, //
};

/// Permissions of a directory: only its owner may list and search it.
const DIR_MODE: u32 = bindings::S_IFDIR | 0o500;

/// An object that has a directory in the file system.
pub(crate) trait Object: Sized + Send + Sync + 'static {
    /// The module with this code, which is kept while the file system is mounted.
    type OwnerModule: ModuleMetadata;

    /// The name of its directory. Called once each time the directory is made; two objects with the
    /// same number have two directories of one name.
    fn number(&self) -> u32;

    /// The owner of its directory and the files there; called when the directory is made.
    fn owner(&self) -> (Kuid, Kgid);
}

/// A file of each directory, as an uninhabited type. Methods may sleep.
#[vtable]
pub(crate) trait Knob<T: Object> {
    /// Its name.
    const NAME: &'static CStr;

    /// Its permissions.
    const MODE: u32;

    /// Whether a reader gets the value of its first read until it starts again.
    const STEADY: bool = false;

    /// The value, shown as a decimal number.
    fn read(_object: &T) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Prints the contents of a file that is text instead of a number. It is called again, from the
    /// beginning, if the output was longer than expected.
    fn show(_object: &T, _m: &SeqFile) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Parses a written value; called even if the object is gone.
    fn parse(_text: &Written<'_>) -> Result<u32> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the value.
    fn write(_object: &T, _value: u32) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The data that a process writes to a file.
///
/// # Invariants
///
/// `position` is valid, and `text` is an address in the process's memory, for `len` bytes.
pub(crate) struct Written<'a> {
    text: *const c_char,
    len: usize,
    position: &'a bindings::loff_t,
}

impl Written<'_> {
    /// Parses it as a number: decimal, octal or hexadecimal as in C, optionally with a newline.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not a number or is not written at the beginning of the file, `ERANGE`,
    /// `EFAULT`.
    pub(crate) fn number(&self) -> Result<u64> {
        if *self.position != 0 {
            return Err(EINVAL);
        }
        let mut number: c_ulong = 0;
        // SAFETY: The function checks the user's pointer; `number` is valid for the call.
        to_result(unsafe { bindings::kstrtoul_from_user(self.text, self.len, 0, &mut number) })?;
        Ok(number as u64)
    }
}

/// A file of each directory.
pub(crate) struct File<T: Object> {
    name: &'static CStr,
    mode: u32,
    table: bindings::file_operations,
    _p: PhantomData<fn(T)>,
}

// SAFETY: It is never changed.
unsafe impl<T: Object> Sync for File<T> {}

impl<T: Object> File<T> {
    /// The file of `K`.
    pub(crate) const fn new<K: Knob<T>>() -> Self {
        Self {
            name: K::NAME,
            mode: bindings::S_IFREG | K::MODE,
            table: bindings::file_operations {
                open: if K::HAS_SHOW {
                    Some(open_text::<T, K>)
                } else {
                    Some(bindings::nonseekable_open)
                },
                read: if K::HAS_SHOW {
                    Some(bindings::seq_read)
                } else if K::HAS_READ {
                    Some(read::<T, K>)
                } else {
                    None
                },
                llseek: if K::HAS_SHOW {
                    Some(bindings::seq_lseek)
                } else {
                    None
                },
                release: if K::HAS_SHOW {
                    Some(bindings::single_release)
                } else {
                    None
                },
                write: if K::HAS_WRITE {
                    Some(write::<T, K>)
                } else {
                    None
                },
                ..pin_init::zeroed()
            },
            _p: PhantomData,
        }
    }
}

/// An object, and its directory.
///
/// # Invariants
///
/// `dir` is null, or the object's directory in the super block, which stays until [`Shown::hide`].
struct Shown<T: Object> {
    object: Arc<T>,
    dir: *mut bindings::dentry,
}

/// The objects, and the super block that shows them.
///
/// # Invariants
///
/// `sb` is null, or the super block, from when it is filled until it is killed. While there is one,
/// each of `objects`, and nothing else, has a directory there; the private data of a directory and
/// of its files is null, or the pointer of an `Arc` that is in `objects`.
struct State<T: Object> {
    sb: *mut bindings::super_block,
    objects: KVec<Shown<T>>,
}

// SAFETY: The pointer may be used in any thread that holds the lock.
unsafe impl<T: Object> Send for State<T> {}

/// The lock around a [`State`].
struct Table<T>(PhantomData<T>);

impl<T: Object> GlobalLockBackend for Table<T> {
    const NAME: &'static CStr = c"ControlFs::state";
    type Item = State<T>;
    type Backend = MutexBackend;

    fn get_lock_class() -> Pin<&'static LockClassKey> {
        static_lock_class!()
    }
}

/// The file system type and its objects. One `static` for each.
///
/// # Invariants
///
/// The functions of `fs_type` are those of this module for `T`, and it is part of a `ControlFs<T>`.
#[repr(C)]
pub(crate) struct ControlFs<T: Object> {
    /// First, so that `of` can find this from the type of a super block.
    fs_type: Opaque<bindings::file_system_type>,
    magic: u32,
    files: &'static [File<T>],
    state: StaticMutex<Table<T>>,
}

// SAFETY: Only the VFS changes the type, under its own locks; the rest is locked.
unsafe impl<T: Object> Sync for ControlFs<T> {}

impl<T: Object> ControlFs<T> {
    /// The file system of `name`, with `magic` for `statfs(2)`.
    pub(crate) const fn new(name: &'static CStr, magic: u32, files: &'static [File<T>]) -> Self {
        Self {
            fs_type: Opaque::new(bindings::file_system_type {
                owner: this_module::<T::OwnerModule>().as_ptr(),
                name: name.to_bytes_with_nul().as_ptr().cast(),
                init_fs_context: Some(Self::init_fs_context),
                kill_sb: Some(Self::kill_sb),
                ..pin_init::zeroed()
            }),
            magic,
            files,
            // SAFETY: The marker is private to this module, which guards no other data with it.
            state: unsafe {
                StaticMutex::new(State {
                    sb: core::ptr::null_mut(),
                    objects: KVec::new(),
                })
            },
        }
    }

    /// Adds an object, and its directory if the file system is mounted. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` if the file system was never registered.
    pub(crate) fn add(&'static self, object: Arc<T>) -> Result {
        let mut state = self.state.lock()?;
        state.objects.reserve(1, GFP_KERNEL)?;
        // INVARIANT: It has no directory yet.
        let mut shown = Shown {
            object,
            dir: core::ptr::null_mut(),
        };
        if !state.sb.is_null() {
            // SAFETY: The lock is held, the super block is there, and the push below cannot fail.
            unsafe { shown.show(state.sb, self.files) }?;
        }
        state.objects.push(shown, GFP_KERNEL)?;
        Ok(())
    }

    /// Removes an object, if it was added, and its directory. May sleep.
    pub(crate) fn remove(&'static self, object: &T) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        let mut objects = state.objects.iter();
        let Some(at) = objects.position(|other| core::ptr::eq(&*other.object, object)) else {
            return;
        };
        if let Some(shown) = state.objects.get_mut(at) {
            // SAFETY: The lock is held.
            unsafe { shown.hide() };
        }
        // The last reference may be this one: it is dropped after the unlock.
        let removed = state.objects.remove(at);
        drop(state);
        drop(removed);
    }

    /// # Safety
    ///
    /// Called by `alloc_fs_context` with a new context of such a type.
    unsafe extern "C" fn init_fs_context(fc: *mut kernel::bindings::fs_context) -> c_int {
        let fc: *mut bindings::fs_context = fc.cast();
        // SAFETY: The context is valid, and only the caller uses it.
        unsafe { (*fc).ops = &Self::CONTEXT };
        0
    }

    const CONTEXT: bindings::fs_context_operations = bindings::fs_context_operations {
        free: None,
        dup: None,
        parse_param: None,
        parse_monolithic: None,
        get_tree: Some(Self::get_tree),
        reconfigure: None,
    };

    /// # Safety
    ///
    /// Called by `vfs_get_tree` with a context of such a type that no other task uses.
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The context is valid.
        unsafe { bindings::get_tree_single(fc, Some(Self::fill_super)) }
    }

    /// The file system of `sb`.
    ///
    /// # Safety
    ///
    /// `sb` must be valid, and of a type of this `T`.
    unsafe fn of(sb: *mut bindings::super_block) -> &'static Self {
        // SAFETY: By the type invariant the type is the first field of a `ControlFs<T>`, and those
        // are static.
        unsafe { &*(*sb).s_type.cast::<Self>() }
    }

    /// # Safety
    ///
    /// Called by `vfs_get_super` with the new super block of such a type, `s_umount` held for
    /// writing.
    unsafe extern "C" fn fill_super(
        sb: *mut bindings::super_block,
        _fc: *mut bindings::fs_context,
    ) -> c_int {
        // SAFETY: The super block is valid, and of such a type.
        let this = unsafe { Self::of(sb) };
        let none = bindings::tree_descr {
            name: c"".as_char_ptr(),
            ops: core::ptr::null(),
            mode: 0,
        };
        from_result(|| {
            // SAFETY: The super block is new. A file without a name ends the list of files.
            to_result(unsafe { bindings::simple_fill_super(sb, this.magic as c_ulong, &none) })?;
            let mut state = this.state.lock()?;
            for shown in &mut state.objects {
                // INVARIANT: If one fails, the super block is killed before any task has seen it.
                // SAFETY: The lock is held, and the object is in the list.
                unsafe { shown.show(sb, this.files) }?;
            }
            // INVARIANT: All objects have a directory now.
            state.sb = sb;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `deactivate_locked_super` with a super block of such a type that has no user any
    /// more, `s_umount` held for writing.
    unsafe extern "C" fn kill_sb(sb: *mut bindings::super_block) {
        // SAFETY: The super block is valid, and of such a type.
        if let Ok(mut state) = unsafe { Self::of(sb) }.state.lock() {
            state.sb = core::ptr::null_mut();
            for shown in &mut state.objects {
                // INVARIANT: The directory is removed with the super block.
                shown.dir = core::ptr::null_mut();
            }
        }
        // SAFETY: The super block has an anonymous device.
        unsafe { bindings::kill_anon_super(sb) };
    }
}

impl<T: Object> Shown<T> {
    /// Makes the directory, with `files` in it; if that fails there is none.
    ///
    /// # Safety
    ///
    /// The lock around the [`State`] must be held, `sb` be the super block for the directory, in
    /// which the object has none yet, and this be in the list of objects at the unlock, if this
    /// succeeds.
    unsafe fn show(&mut self, sb: *mut bindings::super_block, files: &'static [File<T>]) -> Result {
        let mut name = [0; 12];
        let name = number_name(&mut name, self.object.number())?;
        // SAFETY: A filled super block has a root.
        let root = unsafe { (*sb).s_root };
        // SAFETY: Other tasks change the root directory only with the lock held.
        let dir = unsafe { Entry::new(root, name, &self.object)?.dir() }?;
        // INVARIANT: Only `hide` removes it.
        self.dir = dir.as_ptr();
        let made = files.iter().try_for_each(|file| {
            // SAFETY: As above, for the directory that was just made.
            unsafe { Entry::new(self.dir, file.name, &self.object)?.regular(file) }
        });
        if made.is_err() {
            // SAFETY: The lock is held.
            unsafe { self.hide() };
        }
        made
    }

    /// Removes the directory, if there is one.
    ///
    /// # Safety
    ///
    /// The lock around the [`State`] must be held.
    unsafe fn hide(&mut self) {
        // INVARIANT: The directory is removed below.
        let dir = core::mem::replace(&mut self.dir, core::ptr::null_mut());
        if !dir.is_null() {
            // SAFETY: By the type invariant it is there, and the callback is for directories and
            // files of a `ControlFs`.
            unsafe { bindings::simple_recursive_removal(dir, Some(forget_object)) };
        }
    }
}

/// A registered [`ControlFs`]; dropping it unregisters the type.
///
/// # Invariants
///
/// The type of `fs` is registered.
pub(crate) struct Registration<T: Object> {
    fs: &'static ControlFs<T>,
}

impl<T: Object> Registration<T> {
    /// Registers the file system, once in the life of the module.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was registered before, or if there is a type with the name.
    ///
    /// # Safety
    ///
    /// The return value must be dropped only when the module is unloaded or fails to load: a super
    /// block keeps the module, but not this.
    pub(crate) unsafe fn new(fs: &'static ControlFs<T>) -> Result<Self> {
        fs.state.start()?;
        // SAFETY: The type is static, and its functions can be called from now on.
        to_result(unsafe { bindings::register_filesystem(fs.fs_type.get()) })?;
        // INVARIANT: It is registered.
        Ok(Self { fs })
    }
}

impl<T: Object> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: It is registered. There is no super block of it: that keeps the module, which is
        // being unloaded, as the caller of `new` has promised.
        unsafe { bindings::unregister_filesystem(self.fs.fs_type.get()) };
        if let Ok(mut state) = self.fs.state.lock() {
            state.objects = KVec::new();
        }
    }
}

/// The decimal name of a number, in `buffer`.
fn number_name(buffer: &mut [u8; 12], number: u32) -> Result<&CStr> {
    let mut name = NullTerminatedFormatter::new(buffer).ok_or(EINVAL)?;
    core::fmt::Write::write_fmt(&mut name, core::format_args!("{number}")).map_err(|_| EINVAL)?;
    CStr::from_bytes_until_nul(buffer).map_err(|_| EINVAL)
}

/// A dentry and an inode of an object that are not connected yet; dropping it drops both.
///
/// # Invariants
///
/// It owns a reference to each; the dentry is not in its directory yet, and only this has the
/// inode.
struct Entry {
    dentry: NonNull<bindings::dentry>,
    inode: NonNull<bindings::inode>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: It owns both references.
        unsafe {
            bindings::iput(self.inode.as_ptr());
            bindings::dput(self.dentry.as_ptr());
        }
    }
}

impl Entry {
    /// Makes an entry for `name` in `parent`, of `object`.
    ///
    /// # Safety
    ///
    /// `parent` must be a directory of a super block of a [`ControlFs`] for objects of type `T`,
    /// and the lock of that must be held.
    unsafe fn new<T: Object>(
        parent: *mut bindings::dentry,
        name: &CStr,
        object: &Arc<T>,
    ) -> Result<Self> {
        // SAFETY: The parent is valid.
        let dentry = unsafe { bindings::d_alloc_name(parent, name.as_char_ptr()) };
        let dentry = NonNull::new(dentry).ok_or(ENOMEM)?;
        // SAFETY: The parent is valid, and its super block is set up.
        let inode = unsafe { bindings::new_inode((*parent).d_sb) };
        let Some(inode) = NonNull::new(inode) else {
            // SAFETY: This owns the reference that `d_alloc_name` returned.
            unsafe { bindings::dput(dentry.as_ptr()) };
            return Err(ENOMEM);
        };
        let (uid, gid) = object.owner();
        // SAFETY: The inode is new, and only this has it.
        unsafe {
            let inode = inode.as_ptr();
            (*inode).i_ino = bindings::get_next_ino().into();
            (*inode).i_uid = uid.into_c();
            (*inode).i_gid = gid.into_c();
            (*inode).i_private = Arc::as_ptr(object).cast_mut().cast();
            bindings::simple_inode_init_ts(inode);
        }
        Ok(Self { dentry, inode })
    }

    /// Makes it a directory, which stays until it is removed.
    fn dir(self) -> Result<NonNull<bindings::dentry>> {
        let inode = self.inode.as_ptr();
        // SAFETY: Only this has the inode; the parent is valid as long as the dentry.
        unsafe {
            (*inode).i_mode = DIR_MODE as u16;
            (*inode).i_op = &raw const bindings::simple_dir_inode_operations;
            (*inode).__bindgen_anon_3.i_fop = &raw const bindings::simple_dir_operations;
            let parent = (*self.dentry.as_ptr()).d_parent;
            bindings::inc_nlink((*parent).d_inode);
            bindings::inc_nlink(inode);
        }
        self.persist()
    }

    /// Makes it a file, which stays until it is removed.
    fn regular<T: Object>(self, file: &'static File<T>) -> Result {
        let inode = self.inode.as_ptr();
        // SAFETY: Only this has the inode. The table is static, and its functions are for the files
        // of objects of this type.
        unsafe {
            (*inode).i_mode = file.mode as u16;
            (*inode).__bindgen_anon_3.i_fop = &raw const file.table;
        }
        self.persist()?;
        Ok(())
    }

    /// Connects the two. The dentry stays valid until the name is removed.
    fn persist(self) -> Result<NonNull<bindings::dentry>> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: The dentry takes the reference to the inode over, and keeps itself from now on;
        // our own reference to it is dropped.
        unsafe {
            bindings::d_make_persistent(this.dentry.as_ptr(), this.inode.as_ptr());
            bindings::dput(this.dentry.as_ptr());
        }
        Ok(this.dentry)
    }
}

/// # Safety
///
/// Called by `simple_recursive_removal`, with the lock of the [`ControlFs`] held, with each dentry
/// that is removed; they have inodes.
unsafe extern "C" fn forget_object(dentry: *mut bindings::dentry) {
    // SAFETY: The inode is valid; its private data is read and written with the lock held.
    unsafe { (*(*dentry).d_inode).i_private = core::ptr::null_mut() };
}

/// The object of an open file, unless it was removed.
///
/// # Safety
///
/// `file` must be an open file of a super block of a `ControlFs<T>`.
unsafe fn object_of<T: Object>(file: *mut bindings::file) -> Option<Arc<T>> {
    // SAFETY: An open file has an inode, and keeps its super block.
    let (inode, this) = unsafe { ((*file).f_inode, ControlFs::<T>::of((*(*file).f_inode).i_sb)) };
    let _state = this.state.lock().ok()?;
    // SAFETY: The inode is valid, and the lock is held.
    let object = unsafe { (*inode).i_private }.cast::<T>();
    if object.is_null() {
        return None;
    }
    // SAFETY: By the invariant of `State` it is the pointer of an `Arc` that the list keeps while
    // the lock is held.
    Some(unsafe { ArcBorrow::from_raw(object.cast_const()) }.into())
}

/// # Safety
///
/// Called by `vfs_read` with an open file of a super block of a `ControlFs<T>`, a buffer of the
/// caller, and a valid position.
unsafe extern "C" fn read<T: Object, K: Knob<T>>(
    file: *mut bindings::file,
    buffer: *mut c_char,
    len: usize,
    position: *mut bindings::loff_t,
) -> isize {
    // SAFETY: The position is valid.
    let at_start = unsafe { *position } == 0;
    let value = if at_start || !K::STEADY {
        // SAFETY: The file is one of such a super block.
        let Some(object) = (unsafe { object_of::<T>(file) }) else {
            return 0;
        };
        let value = K::read(&object);
        // SAFETY: The file is valid. Concurrent readers may overwrite each other's value, as a
        // whole.
        unsafe {
            crate::vfs::once::write_once(
                &raw mut (*file).private_data,
                value as usize as *mut c_void,
            )
        };
        value
    } else {
        // SAFETY: As above.
        unsafe { crate::vfs::once::read_once(&raw const (*file).private_data) as usize as u32 }
    };
    let mut text = [0; 12];
    let Ok(text) = number_name(&mut text, value) else {
        return 0;
    };
    let mut line = [0; 12];
    let text = text.to_bytes();
    let Some((place, rest)) = line.split_at_mut_checked(text.len()) else {
        return 0;
    };
    place.copy_from_slice(text);
    if let Some(end) = rest.first_mut() {
        *end = b'\n';
    }
    // SAFETY: Position and text are valid, and the function checks the user's pointer.
    unsafe {
        bindings::simple_read_from_buffer(
            buffer.cast(),
            len,
            position,
            line.as_ptr().cast(),
            text.len() + 1,
        )
    }
}

/// # Safety
///
/// Called by `do_dentry_open` with a file of a super block of a `ControlFs<T>` that only the caller
/// uses.
unsafe extern "C" fn open_text<T: Object, K: Knob<T>>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: The file is valid and has no private data yet. It keeps the `seq_file` that this
    // makes until its release, so the pointer to it is valid whenever `show_text` is called.
    unsafe { bindings::single_open(file, Some(show_text::<T, K>), file.cast()) }
}

/// # Safety
///
/// Called by `seq_read` for a file that [`open_text`] has opened, with its lock held.
unsafe extern "C" fn show_text<T: Object, K: Knob<T>>(
    m: *mut bindings::seq_file,
    _v: *mut c_void,
) -> c_int {
    from_result(|| {
        // SAFETY: The sequence is valid, and `open_text` set its private data to the open file.
        if let Some(object) = unsafe { object_of::<T>((*m).private.cast()) } {
            // SAFETY: The sequence is valid during the call, and its lock is held.
            K::show(&object, unsafe { SeqFile::from_raw(m) })?;
        }
        Ok(0)
    })
}

/// # Safety
///
/// Called by `vfs_write`, as [`read`].
unsafe extern "C" fn write<T: Object, K: Knob<T>>(
    file: *mut bindings::file,
    text: *const c_char,
    len: usize,
    position: *mut bindings::loff_t,
) -> isize {
    from_result(|| {
        // INVARIANT: By the safety requirement.
        let value = K::parse(&Written {
            text,
            len,
            // SAFETY: The position is valid, and does not change during the call.
            position: unsafe { &*position },
        })?;
        // SAFETY: The file is one of such a super block.
        if let Some(object) = unsafe { object_of::<T>(file) } {
            K::write(&object, value)?;
        }
        Ok(len as isize)
    })
}
