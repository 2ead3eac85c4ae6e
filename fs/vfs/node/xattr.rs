// SPDX-License-Identifier: GPL-2.0

//! Extended attributes: one handler for all names.
//!
//! Owns the path from the VFS's handler and `listxattr` to a file system, which answers with bytes
//! of its own; they are copied into the caller's buffer here. The VFS and the file system know
//! which names there are, and check which tasks may use them.
//!
//! Locks: the VFS holds the inode's lock exclusively around a change, and nothing around a read.
//!
//! C header: `include/linux/xattr.h`.

use crate::vfs::{
    bindings,
    mount::sb::FileSystem,
    node::inode::INode,
    tables::Handlers, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_result,
    prelude::*,
    str::CStr, //
};

/// The answer about an attribute, or about the list of them.
pub(crate) enum Answer {
    /// Its number of bytes, for callers that offer no room.
    Length(usize),
    /// The bytes.
    Bytes(KVVec<u8>),
}

impl Answer {
    /// Gives it to a caller of the VFS: returns the number of bytes.
    ///
    /// # Errors
    ///
    /// `ERANGE` if there are more bytes than room; `EIO` if there is room and only a length.
    ///
    /// # Safety
    ///
    /// `buffer` must be valid for writes of `room` bytes that only the caller uses, unless `room`
    /// is 0.
    unsafe fn give(self, buffer: *mut u8, room: usize) -> Result<c_int> {
        let len = match &self {
            Self::Length(len) => *len,
            Self::Bytes(bytes) => bytes.len(),
        };
        if room > 0 {
            let Self::Bytes(bytes) = self else {
                return Err(EIO);
            };
            if len > room {
                return Err(ERANGE);
            }
            // SAFETY: There is room for `len` bytes, and the two do not overlap: one is ours.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, len) };
        }
        Ok(c_int::try_from(len)?)
    }
}

/// The extended attributes of all inodes of `T`. All methods may sleep.
pub(crate) trait Handler<T: FileSystem> {
    /// The value of `name`, up to `room` bytes, or its length if `room` is 0.
    fn get(inode: &INode<T>, name: &[u8], room: usize) -> Result<Answer>;

    /// Sets `name`; `flags` are those of `setxattr(2)`. The inode is locked exclusively.
    fn set(inode: &INode<T>, name: &[u8], value: &[u8], flags: u32) -> Result;

    /// Removes `name`. The inode is locked exclusively.
    fn remove(inode: &INode<T>, name: &[u8]) -> Result;
}

impl<T: FileSystem> Handlers<T> {
    /// The table in which `U` handles every name.
    pub(crate) const fn new<U: Handler<T>>() -> Self {
        // SAFETY: The functions require what the VFS promises for an inode of `T`; the list ends
        // with a null.
        unsafe { Self::from_table(Table::<T, U>::HANDLERS) }
    }
}

struct Table<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Handler<T>> Table<T, U> {
    const HANDLER: &'static bindings::xattr_handler = &bindings::xattr_handler {
        prefix: c"".to_bytes_with_nul().as_ptr().cast(),
        get: Some(Self::get),
        set: Some(Self::set),
        ..pin_init::zeroed()
    };

    const HANDLERS: &'static [*const bindings::xattr_handler; 2] =
        &[Self::HANDLER, core::ptr::null()];

    /// # Safety
    ///
    /// Called by `__vfs_getxattr` with an inode of `T` that the caller holds a reference to, a
    /// name, and room for `size` bytes at `buffer`.
    unsafe extern "C" fn get(
        _handler: *const bindings::xattr_handler,
        _dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        name: *const c_char,
        buffer: *mut c_void,
        size: usize,
    ) -> c_int {
        // SAFETY: The caller holds a reference, and the name lives until the return.
        let (inode, name) = unsafe { (INode::from_raw(inode), CStr::from_char_ptr(name)) };
        from_result(|| {
            let answer = U::get(inode, name.to_bytes(), size)?;
            // SAFETY: The caller promises the room.
            unsafe { answer.give(buffer.cast(), size) }
        })
    }

    /// # Safety
    ///
    /// Called by `__vfs_setxattr` and `__vfs_removexattr` with an inode of `T` that the caller
    /// holds a reference to and has locked, a name, and `size` bytes at `value`, which is null to
    /// remove the attribute.
    unsafe extern "C" fn set(
        _handler: *const bindings::xattr_handler,
        _idmap: *mut bindings::mnt_idmap,
        _dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        name: *const c_char,
        value: *const c_void,
        size: usize,
        flags: c_int,
    ) -> c_int {
        // SAFETY: The caller holds a reference, and the name lives until the return.
        let (inode, name) = unsafe { (INode::from_raw(inode), CStr::from_char_ptr(name)) };
        from_result(|| {
            if value.is_null() {
                U::remove(inode, name.to_bytes())?;
            } else {
                // SAFETY: The value has `size` bytes, which do not change until the return.
                let value = unsafe { core::slice::from_raw_parts(value.cast(), size) };
                U::set(inode, name.to_bytes(), value, flags as u32)?;
            }
            Ok(0)
        })
    }
}

/// # Safety
///
/// As of `listxattr` of `inode_operations`: called by `vfs_listxattr` with room for `size` bytes at
/// `list`.
pub(in crate::vfs) unsafe fn list(
    answer: impl FnOnce() -> Result<Answer>,
    list: *mut c_char,
    size: usize,
) -> isize {
    let result = from_result(|| {
        let answer = answer()?;
        // SAFETY: The caller promises the room.
        unsafe { answer.give(list.cast(), size) }
    });
    result as isize
}
