// SPDX-License-Identifier: GPL-2.0

//! The ids of tasks: user and pid namespaces, credentials and mount id maps.
//!
//! Ids of the kernel ([`Kuid`], [`Kgid`]) and plain numbers are different types, and only a
//! [`UserNs`] converts between them. Nothing here sleeps or takes a lock. What the ids mean is up
//! to the file system. [`thread_name`] finds the name of the thread with an id.
//!
//! C headers: `include/linux/{cred,uidgid,user_namespace,mnt_idmapping,capability}.h`.

use crate::vfs::{
    bindings,
    once::read_once, //
};
use core::ptr::NonNull;
use kernel::{
    cred::Credential,
    fs::File,
    pid_namespace::PidNamespace,
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        rcu, //
    },
    types::Opaque, //
};

/// A user namespace (`struct user_namespace`).
///
/// # Invariants
///
/// An instance is a valid `struct user_namespace` whose count is not zero while it is borrowed.
#[repr(transparent)]
pub(crate) struct UserNs(Opaque<bindings::user_namespace>);

// SAFETY: A user namespace has no owner thread; its reference can be put anywhere.
unsafe impl Send for UserNs {}
// SAFETY: The methods below only read what never changes after the namespace is made, or call C
// functions that do their own locking.
unsafe impl Sync for UserNs {}

// SAFETY: `get_user_ns` and `put_user_ns` count references, and the object lives while the count
// is not zero.
unsafe impl AlwaysRefCounted for UserNs {
    fn inc_ref(&self) {
        // SAFETY: `self` is a valid namespace with a reference, by the type invariant.
        unsafe { bindings::get_user_ns(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { bindings::put_user_ns(obj.as_ptr().cast()) };
    }
}

impl UserNs {
    /// The namespace behind `ptr`.
    ///
    /// # Safety
    ///
    /// `ptr` must point to a namespace that keeps a reference for `'a`.
    pub(in crate::vfs) unsafe fn from_ptr<'a>(ptr: *mut bindings::user_namespace) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::user_namespace {
        self.0.get()
    }

    /// The initial user namespace.
    pub(crate) fn init() -> &'static Self {
        // SAFETY: `init_user_ns` is a static object and is never freed.
        unsafe { Self::from_ptr(&raw mut bindings::init_user_ns) }
    }

    /// The namespace of the task that opened `file` (`file->f_cred->user_ns`).
    pub(crate) fn of_opener(file: &File) -> &Self {
        // SAFETY: The credentials of an open file are set before it is published and never change.
        // The file keeps them, and they keep their namespace.
        unsafe { Self::from_ptr((*(*file.as_ptr()).f_cred).user_ns) }
    }
}

impl PartialEq for UserNs {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

impl Eq for UserNs {}

macro_rules! kernel_id {
    (
        $(#[$doc:meta])*
        $name:ident($ctype:ident), make: $make:ident, from: $from:ident,
        munged: $munged:ident, has_mapping: $has:ident
    ) => {
        $(#[$doc])*
        ///
        /// It may be invalid: an id that no namespace maps.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $name(u32);

        impl $name {
            /// The id that `id` is in `ns`; invalid if `ns` does not map it.
            pub(crate) fn new(ns: &UserNs, id: u32) -> Self {
                // SAFETY: `ns` is valid.
                Self::from_c(unsafe { bindings::$make(ns.as_ptr(), id) })
            }

            pub(in crate::vfs) fn from_c(id: bindings::$ctype) -> Self {
                Self(id.val)
            }

            pub(in crate::vfs) fn into_c(self) -> bindings::$ctype {
                bindings::$ctype { val: self.0 }
            }

            /// Whether `ns` maps it.
            pub(crate) fn has_mapping(self, ns: &UserNs) -> bool {
                // SAFETY: `ns` is valid.
                unsafe { bindings::$has(ns.as_ptr(), self.into_c()) }
            }

            /// Its number in `ns`; `None` if it has none there.
            pub(crate) fn in_ns(self, ns: &UserNs) -> Option<u32> {
                // SAFETY: `ns` is valid.
                let id = unsafe { bindings::$from(ns.as_ptr(), self.into_c()) };
                (id != u32::MAX).then_some(id)
            }

            /// Its number in `ns`, or the overflow id if it has none there.
            pub(crate) fn in_ns_munged(self, ns: &UserNs) -> u32 {
                // SAFETY: `ns` is valid.
                unsafe { bindings::$munged(ns.as_ptr(), self.into_c()) }
            }
        }
    };
}

kernel_id! {
    /// A user id as the kernel keeps it (`kuid_t`).
    Kuid(kuid_t), make: make_kuid, from: from_kuid,
    munged: from_kuid_munged, has_mapping: kuid_has_mapping
}

kernel_id! {
    /// A group id as the kernel keeps it (`kgid_t`).
    Kgid(kgid_t), make: make_kgid, from: from_kgid,
    munged: from_kgid_munged, has_mapping: kgid_has_mapping
}

/// The ids of a process's credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Real user id.
    pub(crate) uid: Kuid,
    /// Effective user id.
    pub(crate) euid: Kuid,
    /// Saved user id.
    pub(crate) suid: Kuid,
    /// User id for file system access.
    pub(crate) fsuid: Kuid,
    /// Real group id.
    pub(crate) gid: Kgid,
    /// Effective group id.
    pub(crate) egid: Kgid,
    /// Saved group id.
    pub(crate) sgid: Kgid,
    /// Group id for file system access.
    pub(crate) fsgid: Kgid,
}

impl Ids {
    /// The ids of the caller's (subjective) credentials.
    pub(crate) fn current() -> Self {
        let cred = current_cred();
        // SAFETY: The current task's credentials are valid until it changes them itself, which it
        // cannot do in here, and their ids never change.
        unsafe {
            Self {
                uid: Kuid::from_c((*cred).uid),
                euid: Kuid::from_c((*cred).euid),
                suid: Kuid::from_c((*cred).suid),
                fsuid: Kuid::from_c((*cred).fsuid),
                gid: Kgid::from_c((*cred).gid),
                egid: Kgid::from_c((*cred).egid),
                sgid: Kgid::from_c((*cred).sgid),
                fsgid: Kgid::from_c((*cred).fsgid),
            }
        }
    }
}

/// The caller's (subjective) credentials, for later use.
pub(in crate::vfs) fn current() -> ARef<Credential> {
    // SAFETY: As in `Ids::current`.
    unsafe { Credential::from_ptr(current_cred()) }.into()
}

fn current_cred() -> *const bindings::cred {
    // SAFETY: May be called in any task.
    unsafe { bindings::current_cred() }
}

/// The caller's user id for file system access.
pub(crate) fn current_fsuid() -> Kuid {
    // SAFETY: As in `Ids::current`.
    Kuid::from_c(unsafe { (*current_cred()).fsuid })
}

/// The caller's group id for file system access.
pub(crate) fn current_fsgid() -> Kgid {
    // SAFETY: As in `Ids::current`.
    Kgid::from_c(unsafe { (*current_cred()).fsgid })
}

/// Whether the caller is in `group`.
pub(crate) fn in_group(group: Kgid) -> bool {
    // SAFETY: May be called in any task.
    unsafe { bindings::in_group_p(group.into_c()) != 0 }
}

/// The permissions that the caller removes from files that it makes (umask).
pub(crate) fn current_umask() -> u16 {
    // SAFETY: The current task has its `fs` until it has exited.
    unsafe { bindings::current_umask() as u16 }
}

/// Whether the caller is in `ns` or in one that descends from it.
pub(crate) fn current_in_userns(ns: &UserNs) -> bool {
    // SAFETY: `ns` is valid.
    unsafe { bindings::current_in_userns(ns.as_ptr()) }
}

/// A capability (`CAP_*`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Capability {
    /// `CAP_FSETID`
    Fsetid,
    /// `CAP_SYS_ADMIN`
    SysAdmin,
}

/// Whether the caller has `cap` in the initial user namespace. Marks the caller as having used it.
pub(crate) fn capable(cap: Capability) -> bool {
    let cap = match cap {
        Capability::Fsetid => bindings::CAP_FSETID,
        Capability::SysAdmin => bindings::CAP_SYS_ADMIN,
    };
    // SAFETY: May be called in any task.
    unsafe { bindings::capable(cap as c_int) }
}

/// The pid namespace of the caller.
pub(crate) fn current_pid_ns() -> Option<ARef<PidNamespace>> {
    kernel::current!().active_pid_ns().map(ARef::from)
}

/// The caller's thread id in `ns`; 0 if it has none there.
pub(crate) fn current_pid_in(ns: &PidNamespace) -> i32 {
    // SAFETY: `ns` is valid, and the current task has its pid until it has exited.
    unsafe { bindings::current_pid_nr_ns(ns.as_ptr()) }
}

/// The id of the caller's process in `ns`; 0 if it has none there.
pub(crate) fn current_tgid_in(ns: &PidNamespace) -> i32 {
    // SAFETY: As in `current_pid_in`.
    unsafe { bindings::current_tgid_nr_ns(ns.as_ptr()) }
}

/// The name of a thread, NUL-terminated unless it fills the space.
pub(crate) type ThreadName = [u8; bindings::TASK_COMM_LEN as usize];

/// The name of the thread that has this id in `ns` at present, if there is one.
pub(crate) fn thread_name(pid: u32, ns: &PidNamespace) -> Option<ThreadName> {
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0)?;
    let guard = rcu::read_lock();
    // SAFETY: `ns` is valid. The result stays valid until the end of the read-side section.
    let found = unsafe { bindings::find_pid_ns(pid, ns.as_ptr()) };
    // SAFETY: The function takes a null pointer, and its result is valid for as long.
    let task = unsafe { bindings::pid_task(found, bindings::pid_type_PIDTYPE_PID) };
    if task.is_null() {
        return None;
    }
    let mut name = ThreadName::default();
    for (at, byte) in name.iter_mut().enumerate() {
        // SAFETY: The task is valid, and its name has as many bytes. It may be changing: the result
        // is then a mixture of both names, whose last byte is NUL in any case.
        *byte = unsafe { read_once((&raw const (*task).comm).cast::<u8>().add(at)) };
    }
    drop(guard);
    Some(name)
}

/// The id map of the mount that an operation came through (`struct mnt_idmap`).
///
/// # Invariants
///
/// An instance is a valid `struct mnt_idmap` while it is borrowed.
#[repr(transparent)]
pub(crate) struct Idmap(Opaque<bindings::mnt_idmap>);

// SAFETY: An id map never changes once a mount has it.
unsafe impl Sync for Idmap {}

impl Idmap {
    /// The id map behind `ptr`.
    ///
    /// # Safety
    ///
    /// `ptr` must point to an id map that stays valid for `'a`.
    pub(in crate::vfs) unsafe fn from_ptr<'a>(ptr: *mut bindings::mnt_idmap) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*ptr.cast() }
    }

    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::mnt_idmap {
        self.0.get()
    }

    /// The map that maps nothing: for operations that must not see their caller's ids.
    pub(crate) fn invalid() -> &'static Self {
        // SAFETY: `invalid_mnt_idmap` is a static object.
        unsafe { Self::from_ptr(&raw mut bindings::invalid_mnt_idmap) }
    }

    /// `uid` of a file system of `ns`, as seen through the mount.
    pub(crate) fn uid_into_mnt(&self, ns: &UserNs, uid: Kuid) -> Kuid {
        // SAFETY: Map and namespace are valid.
        Kuid(unsafe { bindings::make_vfsuid(self.as_ptr(), ns.as_ptr(), uid.into_c()) }.val)
    }

    /// `gid` of a file system of `ns`, as seen through the mount.
    pub(crate) fn gid_into_mnt(&self, ns: &UserNs, gid: Kgid) -> Kgid {
        // SAFETY: Map and namespace are valid.
        Kgid(unsafe { bindings::make_vfsgid(self.as_ptr(), ns.as_ptr(), gid.into_c()) }.val)
    }

    /// `uid`, as seen through the mount, converted for a file system of `ns`.
    pub(in crate::vfs) fn uid_from_mnt(&self, ns: &UserNs, uid: bindings::vfsuid_t) -> Kuid {
        // SAFETY: Map and namespace are valid.
        Kuid::from_c(unsafe { bindings::from_vfsuid(self.as_ptr(), ns.as_ptr(), uid) })
    }

    /// `gid`, as seen through the mount, converted for a file system of `ns`.
    pub(in crate::vfs) fn gid_from_mnt(&self, ns: &UserNs, gid: bindings::vfsgid_t) -> Kgid {
        // SAFETY: Map and namespace are valid.
        Kgid::from_c(unsafe { bindings::from_vfsgid(self.as_ptr(), ns.as_ptr(), gid) })
    }

    /// The caller's [`current_fsuid`] as the file system of `ns` sees it below the mount.
    pub(crate) fn mapped_fsuid(&self, ns: &UserNs) -> Kuid {
        // SAFETY: Map and namespace are valid.
        Kuid::from_c(unsafe { bindings::mapped_fsuid(self.as_ptr(), ns.as_ptr()) })
    }

    /// The caller's [`current_fsgid`] as the file system of `ns` sees it below the mount.
    pub(crate) fn mapped_fsgid(&self, ns: &UserNs) -> Kgid {
        // SAFETY: Map and namespace are valid.
        Kgid::from_c(unsafe { bindings::mapped_fsgid(self.as_ptr(), ns.as_ptr()) })
    }
}
