// SPDX-License-Identifier: GPL-2.0

//! Directories in sysfs: mount points, and objects with their files.
//!
//! A [`MountPoint`] is an empty directory. A [`Set`] has [`Object`]s, which have files and further
//! objects, and about which the kernel sends events; each shows a [`Node`], which is shared. A
//! dropped object is removed, and no reader of its files is left.
//!
//! Locks: none. Dropping an object waits for readers of its files.
//!
//! C headers: `include/linux/kobject.h`, `include/linux/sysfs.h`.

use crate::vfs::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    container_of,
    error::to_result,
    fmt,
    page::PAGE_SIZE,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        Completion, //
    },
    types::Opaque, //
};

/// Permissions of a file that all tasks may read.
const READABLE: u16 = 0o444;

/// `/sys/fs/DIR/NAME`, an empty directory; dropping it removes both directories.
///
/// # Invariants
///
/// `dir` is a reference to a kobject in sysfs; `has_name` tells whether it has the mount point.
pub(crate) struct MountPoint {
    dir: NonNull<bindings::kobject>,
    name: &'static CStr,
    has_name: bool,
}

// SAFETY: Any thread may use a kobject and give it back.
unsafe impl Send for MountPoint {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for MountPoint {}

impl MountPoint {
    /// Makes `/sys/fs/DIR` and `NAME` in it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if the directory exists already.
    pub(crate) fn new(dir: &CStr, name: &'static CStr) -> Result<Self> {
        // SAFETY: The parent is set once at boot; the name is valid for the call.
        let dir = unsafe { bindings::kobject_create_and_add(dir.as_char_ptr(), bindings::fs_kobj) };
        let mut this = Self {
            dir: NonNull::new(dir).ok_or(ENOMEM)?,
            name,
            has_name: false,
        };
        // SAFETY: The directory is in sysfs.
        to_result(unsafe {
            bindings::sysfs_create_mount_point(this.dir.as_ptr(), name.as_char_ptr())
        })?;
        this.has_name = true;
        Ok(this)
    }
}

impl Drop for MountPoint {
    fn drop(&mut self) {
        if self.has_name {
            // SAFETY: The mount point is there.
            unsafe {
                bindings::sysfs_remove_mount_point(self.dir.as_ptr(), self.name.as_char_ptr())
            };
        }
        // SAFETY: It owns the reference, and dropping the last one removes the directory.
        unsafe { bindings::kobject_put(self.dir.as_ptr()) };
    }
}

/// The maximum number of bytes that a read of a sysfs file returns: a page.
const TEXT_MAX: usize = PAGE_SIZE;

/// The data behind an object of sysfs. Methods may sleep.
pub(crate) trait Node: Send + Sync + 'static {
    /// The names of its files, which all tasks may read.
    fn files(&self) -> &'static [&'static CStr] {
        &[]
    }

    /// Writes the contents of the file with this index.
    ///
    /// # Errors
    ///
    /// Those that the read returns.
    fn show(&self, _file: usize, _text: &mut Text<'_>) -> Result {
        Err(EIO)
    }

    /// Adds the object's own variables to an event.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no room: the event is then sent without them.
    fn describe(&self, _event: &mut Event<'_>) -> Result {
        Ok(())
    }
}

/// The contents of a sysfs file. What does not fit into a page is left out.
pub(crate) struct Text<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl Text<'_> {
    /// Appends bytes unchanged.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = self.room.get_mut(self.len..).unwrap_or_default();
        let len = bytes.len().min(room.len());
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.len += len;
    }
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// An event about an object (`struct kobj_uevent_env`).
///
/// # Invariants
///
/// `env` is valid for `'a`, and only this uses it.
pub(crate) struct Event<'a> {
    env: NonNull<bindings::kobj_uevent_env>,
    _call: PhantomData<&'a mut ()>,
}

impl Event<'_> {
    /// Adds `KEY=VALUE`.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no room.
    pub(crate) fn set(&mut self, key: &CStr, value: &CStr) -> Result {
        // SAFETY: By the type invariant; the format takes two strings, which are copied.
        to_result(unsafe {
            bindings::add_uevent_var(
                self.env.as_ptr(),
                c"%s=%s".as_char_ptr(),
                key.as_char_ptr(),
                value.as_char_ptr(),
            )
        })
    }
}

/// `/sys/fs/NAME`, a directory of objects, about which events are sent; dropping it removes it.
///
/// # Invariants
///
/// A set that this owns.
pub(crate) struct Set(NonNull<bindings::kset>);

// SAFETY: Any thread may use a set and give it back.
unsafe impl Send for Set {}
// SAFETY: C locks what is done through a shared reference.
unsafe impl Sync for Set {}

impl Set {
    const EVENTS: &'static bindings::kset_uevent_ops = &bindings::kset_uevent_ops {
        filter: None,
        name: None,
        uevent: Some(Object::uevent),
    };

    /// Makes the directory.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if the directory exists already.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        // SAFETY: The parent is set once at boot, and the name is copied. All objects that are
        // added to the set are of the type that the operations are for.
        let set = unsafe {
            bindings::kset_create_and_add(name.as_char_ptr(), Self::EVENTS, bindings::fs_kobj)
        };
        NonNull::new(set).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kset_unregister(self.0.as_ptr()) };
    }
}

/// The place of an object.
pub(crate) enum Parent<'a> {
    /// In a set; events about it are sent.
    Set(&'a Set),
    /// In another object, which lives as long as this one, or longer.
    Object(Arc<Object>),
}

/// A directory in sysfs with the files of a [`Node`]; dropping it removes it.
///
/// # Invariants
///
/// `kobj` is initialised with the table of this type, and in sysfs. The attributes are those of the
/// files of `node`, in their order, and do not move.
#[pin_data(PinnedDrop)]
pub(crate) struct Object {
    #[pin]
    kobj: Opaque<bindings::kobject>,
    /// Completed when C has no reference to `kobj` any more.
    #[pin]
    released: Completion,
    attributes: KVec<Opaque<bindings::attribute>>,
    node: Arc<dyn Node>,
    _parent: Option<Arc<Object>>,
}

// SAFETY: C locks what is done with its object, which any thread may do.
unsafe impl Send for Object {}
// SAFETY: As above.
unsafe impl Sync for Object {}

impl Object {
    const OPS: &'static bindings::sysfs_ops = &bindings::sysfs_ops {
        show: Some(Self::show),
        store: None,
    };

    const TYPE: &'static bindings::kobj_type = &bindings::kobj_type {
        release: Some(Self::release),
        sysfs_ops: Self::OPS,
        default_groups: core::ptr::null_mut(),
        child_ns_type: None,
        namespace: None,
        get_ownership: None,
    };

    /// Makes `parent/NAME`, with its files. May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` if it exists already, `ENOMEM`.
    pub(crate) fn new(
        parent: Parent<'_>,
        name: fmt::Arguments<'_>,
        node: Arc<dyn Node>,
    ) -> Result<Arc<Self>> {
        let name = CString::try_from_fmt(name)?;
        let mut attributes = KVec::with_capacity(node.files().len(), GFP_KERNEL)?;
        for file in node.files() {
            let attribute = Opaque::new(pin_init::zeroed::<bindings::attribute>());
            // SAFETY: The attribute is valid, and the name is static.
            unsafe { bindings::attribute_init(attribute.get(), file.as_char_ptr(), READABLE) };
            attributes.push(attribute, GFP_KERNEL)?;
        }
        let (set, parent) = match parent {
            Parent::Set(set) => (set.0.as_ptr(), None),
            Parent::Object(object) => (core::ptr::null_mut(), Some(object)),
        };
        let parent_kobj = parent
            .as_ref()
            .map_or(core::ptr::null_mut(), |object| object.kobj.get());
        let this = Arc::pin_init(
            // INVARIANT: It is initialised here, and added below; if that fails, it is dropped
            // before any caller has it. C does not know the attributes before, and the vector does
            // not grow.
            pin_init!(Self {
                kobj <- Opaque::ffi_init(|kobj: *mut bindings::kobject| {
                    // SAFETY: There is room for one, which is zeroed as required, and the table is
                    // static. The set is null or valid.
                    unsafe {
                        kobj.write_bytes(0, 1);
                        bindings::kobject_init(kobj, Self::TYPE);
                        (*kobj).kset = set;
                    }
                }),
                released <- Completion::new(),
                attributes,
                node,
                _parent: parent,
            }),
            GFP_KERNEL,
        )?;
        // SAFETY: It is initialised; the parent is null or in sysfs. The format takes one string,
        // which is copied.
        to_result(unsafe {
            bindings::kobject_add(
                this.kobj.get(),
                parent_kobj,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;
        for attribute in this.attributes.iter() {
            // SAFETY: It is in sysfs; the attribute is valid until it is removed.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(this.kobj.get(), attribute.get(), core::ptr::null())
            })?;
        }
        Ok(this)
    }

    /// Makes a link `NAME` in it.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is such a file, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `target` is an object in sysfs.
    pub(in crate::vfs) unsafe fn link(
        &self,
        name: &CStr,
        target: *mut bindings::kobject,
    ) -> Result {
        // SAFETY: By the type invariant and the safety requirement.
        to_result(unsafe {
            bindings::sysfs_create_link(self.kobj.get(), target, name.as_char_ptr())
        })
    }

    /// Sends the event that it was added. Its removal then sends an event by itself.
    pub(crate) fn announce(&self) {
        // An event that cannot be sent is lost; nothing depends on it.
        // SAFETY: By the type invariant.
        let _ =
            unsafe { bindings::kobject_uevent(self.kobj.get(), bindings::kobject_action_KOBJ_ADD) };
    }

    /// # Safety
    ///
    /// `kobj` is that of an object, which is not dropped for `'a`.
    unsafe fn from_raw<'a>(kobj: *const bindings::kobject) -> &'a Self {
        let kobj: *const Opaque<bindings::kobject> = kobj.cast();
        // SAFETY: By the safety requirement it is the field of an `Object`.
        unsafe { &*container_of!(kobj, Self, kobj) }
    }

    /// # Safety
    ///
    /// C calls this with the kobject of an object, to which it has no reference any more.
    unsafe extern "C" fn release(kobj: *mut bindings::kobject) {
        // SAFETY: The drop waits for this.
        unsafe { Self::from_raw(kobj) }.released.complete_all();
    }

    /// # Safety
    ///
    /// sysfs calls this with one of the attributes of an object, which is not removed before this
    /// has returned, and with a buffer of a page.
    unsafe extern "C" fn show(
        kobj: *mut bindings::kobject,
        attribute: *mut bindings::attribute,
        buf: *mut c_char,
    ) -> isize {
        // SAFETY: The drop removes the attribute first.
        let this = unsafe { Self::from_raw(kobj) };
        // SAFETY: The buffer is a page that is initialised, and only the caller uses it.
        let room = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), TEXT_MAX) };
        let mut text = Text { room, len: 0 };
        let mut attributes = this.attributes.iter();
        let shown = attributes
            .position(|other| core::ptr::eq(other.get(), attribute))
            .ok_or(EIO)
            .and_then(|file| this.node.show(file, &mut text));
        match shown {
            // Maximum one page.
            Ok(()) => text.len as isize,
            Err(error) => error.to_errno() as isize,
        }
    }

    /// # Safety
    ///
    /// C calls this for an event about an object in a [`Set`], with an event that is being made.
    unsafe extern "C" fn uevent(
        kobj: *const bindings::kobject,
        env: *mut bindings::kobj_uevent_env,
    ) -> c_int {
        // SAFETY: All kobjects of a set are those of `Object`s.
        let this = unsafe { Self::from_raw(kobj) };
        if let Some(env) = NonNull::new(env) {
            // INVARIANT: The caller lends it for the call.
            let mut event = Event {
                env,
                _call: PhantomData,
            };
            // The event is sent on failure as well, as its receivers know the object by its path.
            let _ = this.node.describe(&mut event);
        }
        0
    }
}

#[pinned_drop]
impl PinnedDrop for Object {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariant it is in sysfs, or it could not be added, which this
        // checks. No reader of its files is left when this returns.
        unsafe { bindings::kobject_unlink(self.kobj.get()) };
        // SAFETY: This owns the reference of `kobject_init`.
        unsafe { bindings::kobject_put(self.kobj.get()) };
        self.released.wait_for_completion();
    }
}
