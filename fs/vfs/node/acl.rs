// SPDX-License-Identifier: GPL-2.0

//! POSIX ACLs.
//!
//! Owns [`Acl`], a counted list that never changes, its form as an extended attribute, and the path
//! from the VFS's `get_acl`, `get_inode_acl` and `set_acl` to a file system. The VFS caches the
//! lists that were asked for in the inode, unless the inode is told not to
//! ([`NewInode::dont_cache_acls`](crate::vfs::node::inode::NewInode::dont_cache_acls)), and checks
//! accesses against them.
//!
//! Locks: the VFS holds the inode's lock exclusively around a change, and nothing around a read.
//!
//! C headers: `include/linux/{posix_acl,posix_acl_xattr}.h`.

use crate::vfs::{
    bindings,
    cred::{
        Idmap,
        UserNs, //
    },
    mount::sb::FileSystem,
    node::{
        dentry::DEntry,
        inode::INode,
        walk::Walk, //
    },
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        from_result, //
    },
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// One of the two lists of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The users that may access the file (`ACL_TYPE_ACCESS`).
    Access,
    /// The list that files made in the directory get (`ACL_TYPE_DEFAULT`).
    Default,
}

impl Kind {
    /// `EINVAL` for anything else.
    fn from_c(kind: c_int) -> Result<Self> {
        match u32::try_from(kind)? {
            bindings::VFS_ACL_TYPE_ACCESS => Ok(Self::Access),
            bindings::VFS_ACL_TYPE_DEFAULT => Ok(Self::Default),
            _ => Err(EINVAL),
        }
    }

    /// The name of its extended attribute (`posix_acl_xattr_name()`).
    pub(crate) fn xattr_name(self) -> &'static [u8] {
        match self {
            Self::Access => b"system.posix_acl_access",
            Self::Default => b"system.posix_acl_default",
        }
    }
}

/// A POSIX ACL (`struct posix_acl`).
///
/// # Invariants
///
/// An instance is a valid `struct posix_acl` whose count is not zero while it is borrowed.
#[repr(transparent)]
pub(crate) struct Acl(Opaque<bindings::posix_acl>);

// SAFETY: A list belongs to no thread, and the last reference frees it from everywhere.
unsafe impl Send for Acl {}
// SAFETY: A list does not change once it can be seen by others.
unsafe impl Sync for Acl {}

// SAFETY: `posix_acl_dup` and `posix_acl_release` count references, and the list lives while the
// count is not zero.
unsafe impl AlwaysRefCounted for Acl {
    fn inc_ref(&self) {
        // SAFETY: `self` is a valid list with a reference, by the type invariant.
        unsafe { bindings::posix_acl_dup(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference that it owns.
        unsafe { bindings::posix_acl_release(obj.as_ptr().cast()) };
    }
}

impl Acl {
    /// # Safety
    ///
    /// `ptr` must point to a list that keeps a reference for `'a`.
    unsafe fn from_raw<'a>(ptr: *mut bindings::posix_acl) -> &'a Self {
        // SAFETY: The caller promises validity, and the type is transparent.
        unsafe { &*ptr.cast() }
    }

    fn as_ptr(&self) -> *mut bindings::posix_acl {
        self.0.get()
    }

    /// Decodes `value`, with ids as in `ns`; `None` if it has no entries. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` and `EOPNOTSUPP` for a value that is not a list, `ENOMEM`.
    pub(crate) fn from_xattr(ns: &UserNs, value: &[u8]) -> Result<Option<ARef<Self>>> {
        // SAFETY: The namespace is valid, and pointer and length are those of `value`.
        let acl = from_err_ptr(unsafe {
            bindings::posix_acl_from_xattr(ns.as_ptr(), value.as_ptr().cast(), value.len())
        })?;
        // SAFETY: The caller of `posix_acl_from_xattr` owns the reference.
        Ok(NonNull::new(acl).map(|acl| unsafe { ARef::from_raw(acl.cast()) }))
    }

    /// Encodes the list as the value of an extended attribute, with ids as in `ns`. `ENOMEM`. May
    /// sleep.
    pub(crate) fn to_xattr(&self, ns: &UserNs) -> Result<KVVec<u8>> {
        let mut len = 0;
        // SAFETY: Namespace and list are valid, and `len` is there for the length.
        let value =
            unsafe { bindings::posix_acl_to_xattr_gfp(ns.as_ptr(), self.as_ptr(), &mut len) };
        let value = NonNull::new(value.cast::<u8>()).ok_or(ENOMEM)?;
        let mut bytes = KVVec::new();
        // SAFETY: The value has `len` bytes, and is ours.
        let written = unsafe { core::slice::from_raw_parts(value.as_ptr(), len) };
        let copied = bytes.extend_from_slice(written, GFP_KERNEL);
        // SAFETY: The caller of `posix_acl_to_xattr` owns the value, and `written` is not used any
        // more.
        unsafe { bindings::kfree(value.as_ptr().cast()) };
        copied?;
        Ok(bytes)
    }
}

/// Whether the caller is in the group of `inode` or has `CAP_FSETID` over it, and so may set its
/// set-group-id bit (`in_group_or_capable()`).
pub(crate) fn is_in_group_or_capable<T: FileSystem>(idmap: &Idmap, inode: &INode<T>) -> bool {
    // SAFETY: There is a reference to the inode, and the map is valid.
    unsafe { bindings::inode_in_group_or_capable(idmap.as_ptr(), inode.as_ptr()) }
}

/// # Safety
///
/// Called by `__get_acl` with an inode of `T` that it has a reference to, or by
/// `get_cached_acl_rcu` in an RCU read-side critical section; `rcu` tells which.
pub(in crate::vfs) unsafe fn get_inode_acl<T: FileSystem>(
    method: impl FnOnce(Walk<'_, INode<T>>, Kind) -> Result<Option<ARef<Acl>>>,
    inode: *mut bindings::inode,
    kind: c_int,
    rcu: bool,
) -> *mut kernel::bindings::posix_acl {
    let inode = if rcu {
        // SAFETY: In the section of the caller, which has found the inode in a dentry.
        unsafe { INode::in_rcu(inode) }
    } else {
        // SAFETY: The caller holds a reference.
        Walk::Ref(unsafe { INode::from_raw(inode) })
    };
    let result = Kind::from_c(kind).and_then(|kind| method(inode, kind));
    acl_or_error(match result {
        // In RCU walk the VFS reads the list and does not drop its reference.
        Ok(Some(_)) if rcu => Err(ECHILD),
        result => result,
    })
}

/// # Safety
///
/// Called by `__get_acl` with a positive dentry of `T` that it has a reference to.
pub(in crate::vfs) unsafe fn get_acl<T: FileSystem>(
    method: impl FnOnce(&INode<T>, Kind) -> Result<Option<ARef<Acl>>>,
    dentry: *mut bindings::dentry,
    kind: c_int,
) -> *mut kernel::bindings::posix_acl {
    // SAFETY: The caller holds a reference.
    let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
    acl_or_error(Kind::from_c(kind).and_then(|kind| method(dentry.inode().ok_or(ENOENT)?, kind)))
}

/// # Safety
///
/// Called by `set_posix_acl` with the map of a mount, with a positive dentry of `T` that it has a
/// reference to and whose inode is locked exclusively, and with a valid list or null.
pub(in crate::vfs) unsafe fn set_acl<T: FileSystem>(
    method: impl FnOnce(&Idmap, &INode<T>, Option<&Acl>, Kind) -> Result,
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    acl: *mut kernel::bindings::posix_acl,
    kind: c_int,
) -> c_int {
    // SAFETY: The mount keeps its map for the call.
    let idmap = unsafe { Idmap::from_ptr(idmap) };
    // SAFETY: The caller holds a reference.
    let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
    // SAFETY: The caller has a reference to the list.
    let acl = NonNull::new(acl).map(|acl| unsafe { Acl::from_raw(acl.as_ptr().cast()) });
    from_result(|| {
        method(
            idmap,
            dentry.inode().ok_or(ENOENT)?,
            acl,
            Kind::from_c(kind)?,
        )?;
        Ok(0)
    })
}

/// Converts to the C return value: the reference goes to the caller.
fn acl_or_error(result: Result<Option<ARef<Acl>>>) -> *mut kernel::bindings::posix_acl {
    match result {
        Ok(None) => core::ptr::null_mut(),
        Ok(Some(acl)) => ARef::into_raw(acl).as_ptr().cast(),
        Err(error) => error.to_ptr(),
    }
}
