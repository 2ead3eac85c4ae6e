// SPDX-License-Identifier: GPL-2.0

//! A directory in sysfs to mount a file system on.
//!
//! C headers: `include/linux/kobject.h`, `include/linux/sysfs.h`.

use crate::vfs::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// `/sys/fs/DIR/NAME`, an empty directory; dropping it removes both directories.
///
/// # Invariants
///
/// `dir` is a reference to a kobject in sysfs; `has_name` says whether it has the mount point.
pub(crate) struct MountPoint {
    dir: NonNull<bindings::kobject>,
    name: &'static CStr,
    has_name: bool,
}

// SAFETY: A kobject may be used and given back in any thread.
unsafe impl Send for MountPoint {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for MountPoint {}

impl MountPoint {
    /// Makes `/sys/fs/DIR` and `NAME` in it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if there is such a directory.
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
        // SAFETY: It owns the reference, and the last one removes the directory.
        unsafe { bindings::kobject_put(self.dir.as_ptr()) };
    }
}
