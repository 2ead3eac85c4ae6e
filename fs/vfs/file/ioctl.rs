// SPDX-License-Identifier: GPL-2.0

//! `ioctl(2)`, and the file attributes that have become operations of their own.
//!
//! Owns the arguments of an ioctl ([`Ioctl`]), and [`FileAttr`], the flags and extended attributes
//! of `FS_IOC_{GET,SET}FLAGS` and `FS_IOC_FS{GET,SET}XATTR`, which the VFS checks before it passes
//! them on. The argument of an ioctl is a number here; `kernel::uaccess` accesses the memory that
//! it may point to.
//!
//! Locks: none of its own.
//!
//! C headers: `include/linux/fs.h`, `include/linux/fileattr.h`.

use crate::vfs::{
    bindings,
    cred::Idmap,
    file::open::File,
    mount::sb::FileSystem,
    node::{
        dentry::DEntry,
        inode::INode, //
    }, //
};
use kernel::{
    error::from_result,
    prelude::*, //
};

/// The system call interface of an ioctl.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Abi {
    /// That of the kernel.
    Native,
    /// That of a 32-bit kernel.
    Compat,
    /// 32-bit pointers, and 64-bit registers.
    X32,
}

/// The arguments of `ioctl(2)`.
#[derive(Clone, Copy)]
pub(crate) struct Ioctl {
    /// Its number.
    pub(crate) cmd: u32,
    /// A number, or an address in the caller's memory.
    pub(crate) arg: usize,
    /// The interface of the call.
    pub(crate) abi: Abi,
}

impl Ioctl {
    pub(in crate::vfs) fn native(cmd: c_uint, arg: c_ulong) -> Self {
        Self {
            cmd,
            arg,
            abi: Abi::Native,
        }
    }

    pub(in crate::vfs) fn compat(cmd: c_uint, arg: c_ulong) -> Self {
        Self {
            cmd,
            arg,
            // SAFETY: May be called in any system call.
            abi: if unsafe { bindings::is_x32_syscall() } {
                Abi::X32
            } else {
                Abi::Compat
            },
        }
    }
}

/// # Safety
///
/// Called by `vfs_ioctl` with an open file of `T`.
pub(in crate::vfs) unsafe fn ioctl<T: FileSystem>(
    method: impl FnOnce(&File<T>, Ioctl) -> Result<i32>,
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: The caller has a reference to the open file.
    let file = unsafe { File::from_raw(file) };
    result(method(file, Ioctl::native(cmd, arg)))
}

/// # Safety
///
/// Called by `ioctl(2)` of a 32-bit interface with an open file of `T`.
pub(in crate::vfs) unsafe fn compat_ioctl<T: FileSystem>(
    method: impl FnOnce(&File<T>, Ioctl) -> Result<i32>,
    file: *mut bindings::file,
    cmd: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: The caller has a reference to the open file.
    let file = unsafe { File::from_raw(file) };
    result(method(file, Ioctl::compat(cmd, arg)))
}

/// Converts to the return value of the system call.
pub(in crate::vfs) fn result(result: Result<i32>) -> c_long {
    match result {
        Ok(value) => value as c_long,
        Err(error) => error.to_errno() as c_long,
    }
}

/// The attributes of a file beyond those of `stat(2)` (`struct file_kattr`), in one of two forms.
#[derive(Clone, Copy)]
pub(crate) enum FileAttr {
    /// The word of `FS_IOC_GETFLAGS`.
    Flags(u32),
    /// The structure of `FS_IOC_FSGETXATTR`.
    Extended(ExtendedAttr),
}

/// The contents of `struct fsxattr`.
#[derive(Clone, Copy, Default)]
pub(crate) struct ExtendedAttr {
    /// Flags.
    pub(crate) xflags: u32,
    /// Preferred size of an extent, in bytes.
    pub(crate) extsize: u32,
    /// Number of extents, which cannot be set.
    pub(crate) nextents: u32,
    /// Project, for quotas.
    pub(crate) projid: u32,
    /// Preferred size of an extent that is copied on write, in bytes.
    pub(crate) cowextsize: u32,
}

/// One of the forms of [`FileAttr`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// [`FileAttr::Flags`].
    Flags,
    /// [`FileAttr::Extended`].
    Extended,
}

/// # Safety
///
/// Called by `vfs_fileattr_get` with a positive dentry of `T` that the caller has a reference to,
/// and with a `fa` that only the caller uses.
pub(in crate::vfs) unsafe fn fileattr_get<T: FileSystem>(
    method: impl FnOnce(&INode<T>, Form) -> Result<FileAttr>,
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> c_int {
    let fa: *mut bindings::file_kattr = fa.cast();
    // SAFETY: The caller holds a reference.
    let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
    from_result(|| {
        let inode = dentry.inode().ok_or(ENOENT)?;
        // SAFETY: `fa` is valid, and ours for the call.
        let form = unsafe { form(fa) };
        match method(inode, form)? {
            FileAttr::Flags(flags) => {
                // SAFETY: As above.
                unsafe { bindings::fileattr_fill_flags(fa, flags) };
            }
            FileAttr::Extended(attr) => {
                // SAFETY: As above.
                unsafe { bindings::fileattr_fill_xflags(fa, attr.xflags) };
                // SAFETY: As above.
                unsafe {
                    (*fa).fsx_extsize = attr.extsize;
                    (*fa).fsx_nextents = attr.nextents;
                    (*fa).fsx_projid = attr.projid;
                    (*fa).fsx_cowextsize = attr.cowextsize;
                }
            }
        }
        Ok(0)
    })
}

/// # Safety
///
/// Called by `vfs_fileattr_set` with a positive dentry of `T` that the caller has a reference to
/// and whose inode is locked exclusively, and with a valid `fa` that does not change.
pub(in crate::vfs) unsafe fn fileattr_set<T: FileSystem>(
    method: impl FnOnce(&Idmap, &INode<T>, FileAttr) -> Result,
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> c_int {
    let fa: *mut bindings::file_kattr = fa.cast();
    // SAFETY: The mount keeps its map for the call.
    let idmap = unsafe { Idmap::from_ptr(idmap) };
    // SAFETY: The caller holds a reference.
    let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
    from_result(|| {
        let inode = dentry.inode().ok_or(ENOENT)?;
        // SAFETY: `fa` is valid for the call.
        let attr = unsafe {
            match form(fa) {
                Form::Flags => FileAttr::Flags((*fa).flags),
                Form::Extended => FileAttr::Extended(ExtendedAttr {
                    xflags: (*fa).fsx_xflags,
                    extsize: (*fa).fsx_extsize,
                    nextents: (*fa).fsx_nextents,
                    projid: (*fa).fsx_projid,
                    cowextsize: (*fa).fsx_cowextsize,
                }),
            }
        };
        method(idmap, inode, attr)?;
        Ok(0)
    })
}

/// # Safety
///
/// `fa` must be valid.
unsafe fn form(fa: *const bindings::file_kattr) -> Form {
    // SAFETY: Promised by the caller.
    if unsafe { (*fa).flags_valid() } {
        Form::Flags
    } else {
        Form::Extended
    }
}
