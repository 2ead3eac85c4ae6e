// SPDX-License-Identifier: GPL-2.0

//! Character devices that are added and removed while the module is loaded, and their class.
//!
//! A [`Class`] is a directory in sysfs with its devices, each of which has the same attributes. A
//! [`Registration`] is one device: its number, its node in `/dev`, and the target of an `open`. An
//! open file does not keep its device there: it only has the data that `open` gave it.
//!
//! C allocates and frees device and cdev, so one with remaining references needs nothing of this
//! module.
//!
//! Locks: a class has one, for the list of its devices. It is not held while a device is made,
//! removed or opened.
//!
//! C headers: `include/linux/cdev.h`, `include/linux/device.h`, `include/linux/sysfs.h`.

use crate::vfs::{
    bindings,
    file::{
        count::count_of,
        ioctl::{
            self,
            Ioctl, //
        },
        open::write_flags,
        poll::{
            PollEvents,
            Pollable,
            Polling, //
        },
    },
    once::read_once,
    sync::static_mutex::StaticMutex, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    module::{
        this_module,
        ModuleMetadata, //
    },
    prelude::*,
    static_lock_class,
    sync::{
        lock::mutex::MutexBackend,
        Arc,
        ArcBorrow,
        GlobalLockBackend,
        LockClassKey, //
    },
    types::ForeignOwnable, //
};

/// Bits of the minor number in a device number of the kernel (`MINORBITS`).
const MINOR_BITS: u32 = 20;
/// Bits of the major number.
const MAJOR_BITS: u32 = u32::BITS - MINOR_BITS;

/// Maximum length of a device's name, in bytes: that of a file name. An event does not have room
/// for a longer one.
const NAME_MAX: usize = 255;

/// A device, and the operations of its files. Methods may sleep.
pub(crate) trait Device: Sized + Send + Sync + 'static {
    /// The module with this code, which is kept while a file is open.
    type OwnerModule: ModuleMetadata;

    /// The data of an open file.
    type File: Pollable + Send + Sync;

    /// The one class of these devices.
    fn class() -> &'static Class<Self>;

    /// Opens the device with `flags` (`O_*`).
    fn open(device: &Arc<Self>, flags: u32) -> Result<Arc<Self::File>>;

    /// The last reference to a file with `flags` (`O_*`) is gone.
    fn release(file: Arc<Self::File>, flags: u32);

    /// Reads, from a file with `flags` (`O_*`); returns the bytes read. There is no position.
    fn read_iter(file: &Self::File, flags: u32, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// Writes, with the `flags` (`O_*`) of the call; returns the bytes written.
    fn write_iter(file: &Self::File, flags: u32, from: &mut IovIterSource<'_>) -> Result<usize>;

    /// `ioctl(2)`; the system call returns the value, even a negative one.
    fn ioctl(file: &Self::File, call: Ioctl) -> Result<i32>;

    /// `poll(2)` and its kin: returns the current events. To be woken for later ones, the caller is
    /// registered with [`Polling::register`] first.
    fn poll(polling: &Polling<'_, Arc<Self::File>>) -> PollEvents;
}

/// A sysfs file of each device of a class, as an uninhabited type. Methods may sleep; the device is
/// not removed while one runs.
#[vtable]
pub(crate) trait Attribute<T: Device> {
    /// Its name.
    const NAME: &'static CStr;

    /// Its permissions.
    const MODE: u16;

    /// The value, shown as a decimal number.
    fn show(_device: &T) -> u32 {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// A process has written to it.
    fn store(_device: &T) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

type Show = unsafe extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *mut c_char,
) -> isize;
type Store = unsafe extern "C" fn(
    *mut bindings::device,
    *mut bindings::device_attribute,
    *const c_char,
    usize,
) -> isize;

/// An [`Attribute`] in the table of a class.
///
/// # Invariants
///
/// The functions are those of this module for `T`.
pub(crate) struct AttributeEntry<T: Device> {
    name: &'static CStr,
    mode: u16,
    show: Option<Show>,
    store: Option<Store>,
    _device: PhantomData<fn(T)>,
}

impl<T: Device> AttributeEntry<T> {
    /// The entry of `A`.
    pub(crate) const fn new<A: Attribute<T>>() -> Self {
        Self {
            name: A::NAME,
            mode: A::MODE,
            show: if A::HAS_SHOW {
                Some(show::<T, A>)
            } else {
                None
            },
            store: if A::HAS_STORE {
                Some(store::<T, A>)
            } else {
                None
            },
            _device: PhantomData,
        }
    }
}

/// The device data behind `dev`.
///
/// # Safety
///
/// `dev` must be a device that a [`Registration`] of `T` has made and not removed, for `'a`.
unsafe fn data_of<'a, T: Device>(dev: *mut bindings::device) -> &'a T {
    // SAFETY: The device is valid; a registration has set its data, and keeps that.
    unsafe { &*(*dev).driver_data.cast::<T>() }
}

/// # Safety
///
/// Called by sysfs on a file of a device of `T`, which is not removed before this has returned;
/// with a buffer of a page.
unsafe extern "C" fn show<T: Device, A: Attribute<T>>(
    dev: *mut bindings::device,
    _attr: *mut bindings::device_attribute,
    buf: *mut c_char,
) -> isize {
    // SAFETY: Promised by the caller.
    let value = A::show(unsafe { data_of::<T>(dev) });
    // SAFETY: The buffer is a page, and the format takes a number.
    let len = unsafe { bindings::sysfs_emit(buf, c"%u\n".as_char_ptr(), value) };
    len as isize
}

/// # Safety
///
/// As [`show`], with `count` bytes that a process has written.
unsafe extern "C" fn store<T: Device, A: Attribute<T>>(
    dev: *mut bindings::device,
    _attr: *mut bindings::device_attribute,
    _buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: Promised by the caller.
    let stored = A::store(unsafe { data_of::<T>(dev) });
    count_of(stored.map(|()| count))
}

/// The attributes of a class, in the form that sysfs takes.
///
/// # Invariants
///
/// `groups` is a list of groups with a null at its end, and so on down to `attributes`; none of
/// them moves.
struct Groups {
    _attributes: KVec<bindings::device_attribute>,
    _pointers: KVec<*mut bindings::attribute>,
    _group: KBox<bindings::attribute_group>,
    groups: KBox<[*const bindings::attribute_group; 2]>,
}

impl Groups {
    /// # Errors
    ///
    /// `ENOMEM`.
    fn new<T: Device>(entries: &'static [AttributeEntry<T>]) -> Result<Self> {
        let mut attributes = KVec::with_capacity(entries.len(), GFP_KERNEL)?;
        let mut pointers = KVec::with_capacity(entries.len() + 1, GFP_KERNEL)?;
        for _ in entries {
            attributes.push(pin_init::zeroed::<bindings::device_attribute>(), GFP_KERNEL)?;
        }
        for (entry, attribute) in entries.iter().zip(attributes.iter_mut()) {
            // SAFETY: The attribute is valid, and the name is static.
            unsafe {
                bindings::device_attr_init(
                    attribute,
                    entry.name.as_char_ptr(),
                    entry.mode,
                    entry.show,
                    entry.store,
                )
            };
            pointers.push(&raw mut attribute.attr, GFP_KERNEL)?;
        }
        pointers.push(core::ptr::null_mut(), GFP_KERNEL)?;
        let mut group = KBox::new(pin_init::zeroed::<bindings::attribute_group>(), GFP_KERNEL)?;
        // SAFETY: The group is valid.
        unsafe { bindings::attribute_group_init(&mut *group, pointers.as_mut_ptr()) };
        let groups = KBox::new([&raw const *group, core::ptr::null()], GFP_KERNEL)?;
        // INVARIANT: The pointers point to the heap, to objects that are not changed any more.
        Ok(Self {
            _attributes: attributes,
            _pointers: pointers,
            _group: group,
            groups,
        })
    }
}

/// One device of a class.
struct Entry<T> {
    number: bindings::dev_t,
    /// Its name in sysfs.
    name: KVec<u8>,
    device: Arc<T>,
}

/// The state of a registered class.
///
/// # Invariants
///
/// `class` is null, or a class of C.
struct State<T> {
    class: *mut bindings::class,
    groups: Option<Groups>,
    devices: KVec<Entry<T>>,
}

// SAFETY: The objects behind the pointers belong to no thread, and any thread may have a reference
// to a device.
unsafe impl<T: Send + Sync> Send for State<T> {}

/// The lock around a [`State`].
struct Table<T>(PhantomData<T>);

impl<T: Device> GlobalLockBackend for Table<T> {
    const NAME: &'static CStr = c"chrdev::Class::state";
    type Item = State<T>;
    type Backend = MutexBackend;

    fn get_lock_class() -> Pin<&'static LockClassKey> {
        static_lock_class!()
    }
}

/// A class of devices (`/sys/class/NAME`). One `static` for each type of device.
pub(crate) struct Class<T: Device> {
    name: &'static CStr,
    attributes: &'static [AttributeEntry<T>],
    state: StaticMutex<Table<T>>,
}

impl<T: Device> Class<T> {
    /// The class `name`, whose devices have these attributes.
    pub(crate) const fn new(name: &'static CStr, attributes: &'static [AttributeEntry<T>]) -> Self {
        Self {
            name,
            attributes,
            // SAFETY: The marker is private to this module, which guards no other data with it.
            state: unsafe {
                StaticMutex::new(State {
                    class: core::ptr::null_mut(),
                    groups: None,
                    devices: KVec::new(),
                })
            },
        }
    }

    /// The device with this number.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none.
    fn find(&'static self, number: bindings::dev_t) -> Result<Arc<T>> {
        let state = self.state.lock()?;
        let mut devices = state.devices.iter();
        let found = devices.find(|entry| entry.number == number);
        found.map(|entry| entry.device.clone()).ok_or(ENODEV)
    }

    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(Self::open),
        release: Some(Self::release),
        read_iter: Some(Self::read_iter),
        write_iter: Some(Self::write_iter),
        unlocked_ioctl: Some(Self::ioctl),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: Some(Self::compat_ioctl),
        poll: Some(Self::poll),
        llseek: Some(bindings::noop_llseek),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// `chrdev_open` calls this once for a file that is being opened, with no lock, on a node with
    /// the number of a device of this class.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        from_result(|| {
            // SAFETY: The inode is valid, and its number never changes.
            let device = T::class().find(unsafe { (*inode).i_rdev })?;
            // SAFETY: The file is valid, and only the caller uses it yet.
            let opened = T::open(&device, unsafe { (*file).f_flags })?;
            // SAFETY: As above.
            unsafe { (*file).private_data = opened.into_foreign() };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// `__fput` calls this once for a file that [`Self::open`] opened, after its last use.
    unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open` put it there, and this is its last use.
        let opened =
            unsafe { <Arc<T::File> as ForeignOwnable>::from_foreign((*file).private_data) };
        // SAFETY: The file is still valid.
        T::release(opened, unsafe { (*file).f_flags });
        0
    }

    /// The data that [`Self::open`] put into the file.
    ///
    /// # Safety
    ///
    /// `file` must be open by [`Self::open`], and stay open for `'a`.
    unsafe fn data<'a>(file: *mut bindings::file) -> ArcBorrow<'a, T::File> {
        // SAFETY: By this function's contract; `release` has not run.
        unsafe { <Arc<T::File> as ForeignOwnable>::borrow((*file).private_data) }
    }

    /// # Safety
    ///
    /// The VFS calls this with a valid iocb of an open file of this class and an iterator to write
    /// into.
    unsafe extern "C" fn read_iter(
        iocb: *mut bindings::kiocb,
        to: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The caller passes a valid iocb.
        let file = unsafe { (*iocb).ki_filp };
        // SAFETY: The iocb holds its file open.
        let data = unsafe { Self::data(file) };
        // SAFETY: As above; `fcntl(F_SETFL)` may change the flags concurrently.
        let flags = unsafe { read_once(&raw const (*file).f_flags) };
        // SAFETY: The caller passes an iterator that is a destination.
        let to = unsafe { IovIterDest::from_raw(to) };
        count_of(T::read_iter(&data, flags, to))
    }

    /// # Safety
    ///
    /// As [`Self::read_iter`], with an iterator to read from.
    unsafe extern "C" fn write_iter(
        iocb: *mut bindings::kiocb,
        from: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The iocb is valid, and holds its file open.
        let data = unsafe { Self::data((*iocb).ki_filp) };
        // SAFETY: The caller passes a valid iocb.
        let flags = unsafe { write_flags(iocb) };
        // SAFETY: The caller passes an iterator that is a source.
        let from = unsafe { IovIterSource::from_raw(from) };
        count_of(T::write_iter(&data, flags, from))
    }

    /// # Safety
    ///
    /// `vfs_ioctl` calls this with an open file of this class.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller holds the file open.
        let data = unsafe { Self::data(file) };
        ioctl::result(T::ioctl(&data, Ioctl::native(cmd, arg)))
    }

    /// # Safety
    ///
    /// `ioctl(2)` of a 32-bit interface calls this with an open file of this class.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The caller holds the file open.
        let data = unsafe { Self::data(file) };
        ioctl::result(T::ioctl(&data, Ioctl::compat(cmd, arg)))
    }

    /// # Safety
    ///
    /// `vfs_poll` calls this with an open file of this class and a valid table, or none.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller holds the file open.
        let data = unsafe { Self::data(file) };
        // SAFETY: The table is null or valid, and this is a call on the file, whose data it is.
        T::poll(&unsafe { Polling::new(file, data, table) }).into_raw()
    }
}

/// A registered [`Class`]; dropping it removes the class.
pub(crate) struct ClassRegistration<T: Device>(&'static Class<T>);

impl<T: Device> ClassRegistration<T> {
    /// Registers the class, once in the life of the module.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was registered before, `EEXIST` if there is a class with the name, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The return value must be dropped only when the module is unloaded or fails to load, with no
    /// [`Registration`] of the class left: a device does not keep its class.
    pub(crate) unsafe fn new(class: &'static Class<T>) -> Result<Self> {
        class.state.start()?;
        let groups = Groups::new(class.attributes)?;
        let mut state = class.state.lock()?;
        // INVARIANT: It is a class of C.
        // SAFETY: The name is static.
        state.class = from_err_ptr(unsafe { bindings::class_create(class.name.as_char_ptr()) })?;
        state.groups = Some(groups);
        Ok(Self(class))
    }
}

impl<T: Device> Drop for ClassRegistration<T> {
    fn drop(&mut self) {
        let Ok(mut state) = self.0.state.lock() else {
            return;
        };
        let class = core::mem::replace(&mut state.class, core::ptr::null_mut());
        let groups = state.groups.take();
        drop(state);
        // SAFETY: It is a class of C, or null. There are no devices of it any more, as the caller
        // of `new` has promised.
        unsafe { bindings::class_destroy(class) };
        drop(groups);
    }
}

/// The number that a device asks for.
#[derive(Clone, Copy)]
pub(crate) struct Number {
    /// 0 for any.
    major: u32,
    minor: u32,
}

impl Number {
    /// This number; any major number if that is 0.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such number.
    pub(crate) fn new(major: u32, minor: u32) -> Result<Self> {
        if major >> MAJOR_BITS != 0 || minor >> MINOR_BITS != 0 {
            return Err(EINVAL);
        }
        Ok(Self { major, minor })
    }
}

/// A reserved device number; dropping it frees it.
///
/// # Invariants
///
/// It owns a region of this one number.
struct Region(bindings::dev_t);

impl Region {
    /// # Errors
    ///
    /// `EBUSY` if the number is in use, `EINVAL` if it is invalid, `ENOMEM`.
    fn new(number: Number, name: &CStr) -> Result<Self> {
        let mut reserved = number.major << MINOR_BITS | number.minor;
        let name = name.as_char_ptr();
        to_result(match number.major {
            // SAFETY: The pointers are valid for the call, which copies the name.
            0 => unsafe { bindings::alloc_chrdev_region(&mut reserved, number.minor, 1, name) },
            // SAFETY: As above.
            _ => unsafe { bindings::register_chrdev_region(reserved, 1, name) },
        })?;
        // INVARIANT: It is reserved.
        Ok(Self(reserved))
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::unregister_chrdev_region(self.0, 1) };
    }
}

/// An entry in the list of a class; dropping it removes that.
struct Listed<T: Device> {
    class: &'static Class<T>,
    number: bindings::dev_t,
}

impl<T: Device> Listed<T> {
    /// # Errors
    ///
    /// `EEXIST` if there is a device of this name, `ENOMEM`, `ENODEV` without a class.
    fn new(
        class: &'static Class<T>,
        number: bindings::dev_t,
        name: &CStr,
        device: &Arc<T>,
    ) -> Result<Self> {
        // A slash makes a directory of `/dev`; sysfs replaces it.
        let mut known = KVec::with_capacity(name.count_bytes(), GFP_KERNEL)?;
        for byte in name.to_bytes() {
            known.push(if *byte == b'/' { b'!' } else { *byte }, GFP_KERNEL)?;
        }
        let mut state = class.state.lock()?;
        if state.devices.iter().any(|entry| *entry.name == *known) {
            return Err(EEXIST);
        }
        state.devices.push(
            Entry {
                number,
                name: known,
                device: device.clone(),
            },
            GFP_KERNEL,
        )?;
        Ok(Self { class, number })
    }
}

impl<T: Device> Drop for Listed<T> {
    fn drop(&mut self) {
        let Ok(mut state) = self.class.state.lock() else {
            return;
        };
        let at = state
            .devices
            .iter()
            .position(|entry| entry.number == self.number);
        let entry = at.and_then(|at| state.devices.remove(at).ok());
        drop(state);
        // This may drop the last reference to the device, so after the unlock.
        drop(entry);
    }
}

/// The target of an open of the number; dropping it makes opens fail.
///
/// # Invariants
///
/// It is a cdev from `cdev_alloc`.
struct Cdev(NonNull<bindings::cdev>);

impl Cdev {
    /// # Errors
    ///
    /// `ENOMEM`.
    fn new<T: Device>(region: &Region) -> Result<Self> {
        // SAFETY: May be called in any context that may sleep.
        let cdev = NonNull::new(unsafe { bindings::cdev_alloc() }).ok_or(ENOMEM)?;
        // INVARIANT: It is new. One that was not added may be deleted as well.
        let this = Self(cdev);
        // SAFETY: Only this has it yet.
        unsafe {
            (*cdev.as_ptr()).owner = this_module::<T::OwnerModule>().as_ptr();
            (*cdev.as_ptr()).ops = Class::<T>::TABLE;
        }
        // SAFETY: The number is reserved, and the table lives as long as the module, which the cdev
        // keeps while it is used.
        to_result(unsafe { bindings::cdev_add(cdev.as_ptr(), region.0, 1) })?;
        Ok(this)
    }
}

impl Drop for Cdev {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this owns the reference of `cdev_alloc`.
        unsafe { bindings::cdev_del(self.0.as_ptr()) };
    }
}

/// A device in sysfs and its node in `/dev`; dropping it removes both, and waits for users of its
/// attributes.
///
/// # Invariants
///
/// It is a device from `device_create`.
struct Shown(NonNull<bindings::device>);

impl Shown {
    /// # Errors
    ///
    /// `ENOMEM`, `ENODEV` without a class, those of sysfs.
    ///
    /// # Safety
    ///
    /// `device` must outlive the result.
    unsafe fn new<T: Device>(
        class: &'static Class<T>,
        region: &Region,
        name: &CStr,
        device: &Arc<T>,
    ) -> Result<Self> {
        let (raw, groups) = {
            let state = class.state.lock()?;
            let groups = state.groups.as_ref().ok_or(ENODEV)?;
            (state.class, groups.groups.as_ptr().cast_mut())
        };
        // SAFETY: Class and attributes stay until the exit of the module. The name is copied. The
        // data has the type that the attributes expect, and stays by this function's contract.
        let shown = from_err_ptr(unsafe {
            bindings::device_create_with_groups(
                raw,
                core::ptr::null_mut(),
                region.0,
                core::ptr::from_ref::<T>(device).cast_mut().cast(),
                groups,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;
        // INVARIANT: It was just made.
        Ok(Self(NonNull::new(shown).ok_or(ENOMEM)?))
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; this owns the reference of `device_create`.
        unsafe { bindings::device_unregister(self.0.as_ptr()) };
    }
}

/// A registered device; dropping it removes the device. Open files stay open.
///
/// The fields are dropped in this order: the name is free again when nothing uses it any more.
pub(crate) struct Registration<T: Device> {
    _shown: Shown,
    _cdev: Cdev,
    _listed: Listed<T>,
    _region: Region,
}

// SAFETY: Any thread may remove a device.
unsafe impl<T: Device> Send for Registration<T> {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl<T: Device> Sync for Registration<T> {}

impl<T: Device> Registration<T> {
    /// Makes `device` available as `name` of its class, which may contain directories. It can be
    /// opened before the event for it is sent, and before this returns. Sleeps.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is a device of this name in the class; `EBUSY` if the number is in use;
    /// `EINVAL` if it is invalid; `ENAMETOOLONG`; `ENOMEM`; those of sysfs.
    pub(crate) fn new(name: &CStr, number: Number, device: &Arc<T>) -> Result<Self> {
        if name.count_bytes() > NAME_MAX {
            return Err(ENAMETOOLONG);
        }
        let class = T::class();
        let region = Region::new(number, name)?;
        let listed = Listed::new(class, region.0, name, device)?;
        let cdev = Cdev::new::<T>(&region)?;
        // SAFETY: The entry in the list has a reference to the device, and is dropped later.
        let shown = unsafe { Shown::new(class, &region, name, device) }?;
        Ok(Self {
            _shown: shown,
            _cdev: cdev,
            _listed: listed,
            _region: region,
        })
    }
}
