// SPDX-License-Identifier: GPL-2.0

//! Submounts: mounts that a file system makes by itself when a walk reaches one of its directories.
//!
//! The walk asks for one (`dentry.rs`) where the inode has it set. [`Automount::mount`] makes a
//! super block of the same type, which the VFS then mounts on the directory. There are no options,
//! and the walk needs no permission for the mount.
//!
//! Locks: none are held around it; `s_umount` of the new super block is held for writing during its
//! setup.
//!
//! C headers: `include/linux/fs_context.h`, `include/linux/mount.h`.

use crate::vfs::{
    bindings,
    mount::{
        pools::Pools,
        sb::{
            get_super,
            FileSystem,
            NewSuper,
            SuperBlock,
            SuperTable, //
        },
    },
    node::dentry::{
        Automount,
        Mounted, //
    },
};
use core::ptr::NonNull;
use kernel::{
    error::{
        from_err_ptr,
        from_result, //
    },
    prelude::*, //
};

/// The operations of a new submount context before its job is set.
pub(in crate::vfs) static SUBMOUNT: bindings::fs_context_operations =
    bindings::fs_context_operations {
        free: None,
        dup: None,
        parse_param: None,
        parse_monolithic: None,
        get_tree: Some(mount_nothing),
        reconfigure: None,
    };

/// # Safety
///
/// Called by `vfs_get_tree`.
unsafe extern "C" fn mount_nothing(_fc: *mut bindings::fs_context) -> c_int {
    EINVAL.to_errno()
}

impl<T: FileSystem> Automount<'_, T> {
    /// Mounts a new super block of the walk's type. It owns `data`, and `fill` sets it up, as
    /// `Mounting::fill_super` (`mount/fs_type.rs`) does. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `fill`; `ENOMEM`; those of the security modules.
    pub(crate) fn mount<F>(self, data: T::SuperData, fill: F) -> Result<Mounted>
    where
        F: for<'b> FnOnce(NewSuper<'b, T>) -> Result<&'b SuperBlock<T>>,
    {
        let mut job: Job<T, F> = Job {
            data: Some(data),
            pools: self.point().sb().pools(),
            fill: Some(fill),
        };
        // SAFETY: By the type invariant, the dentry has a super block of a type of `T`.
        let fc = unsafe {
            let dentry = (*self.path.as_ptr()).dentry;
            from_err_ptr(bindings::fs_context_for_submount(
                (*(*dentry).d_sb).s_type,
                dentry,
            ))
        }?;
        // SAFETY: The context is new, and only this uses it. The job lives until the context is
        // put.
        unsafe {
            (*fc).fs_private = (&raw mut job).cast();
            (*fc).ops = &Job::<T, F>::TABLE;
        }
        // SAFETY: The context is valid; the table and the private data belong together.
        let mount = from_err_ptr(unsafe { bindings::fc_mount(fc) });
        // SAFETY: Only this uses the context. The table has no `free` for the private data.
        unsafe { bindings::put_fs_context(fc) };
        // INVARIANT: The caller of `fc_mount` owns the reference.
        Ok(Mounted(NonNull::new(mount?).ok_or(EINVAL)?))
    }
}

/// The data of the new super block and its `fill`: the private data of the context.
struct Job<T: FileSystem, F> {
    data: Option<T::SuperData>,
    pools: &'static Pools<T>,
    fill: Option<F>,
}

impl<T, F> Job<T, F>
where
    T: FileSystem,
    F: for<'b> FnOnce(NewSuper<'b, T>) -> Result<&'b SuperBlock<T>>,
{
    const TABLE: bindings::fs_context_operations = bindings::fs_context_operations {
        free: None,
        dup: None,
        parse_param: None,
        parse_monolithic: None,
        get_tree: Some(Self::get_tree),
        reconfigure: None,
    };

    /// # Safety
    ///
    /// `fc` must be a context of [`Automount::mount`] with this job, to which there must be no
    /// other reference for `'b`.
    unsafe fn of<'b>(fc: *mut bindings::fs_context) -> &'b mut Self {
        // SAFETY: The caller promises that the job is there.
        unsafe { &mut *(*fc).fs_private.cast() }
    }

    /// # Safety
    ///
    /// Called by `vfs_get_tree` with a context of [`Automount::mount`] with this job, that no other
    /// task uses; may sleep.
    unsafe extern "C" fn get_tree(fc: *mut bindings::fs_context) -> c_int {
        // SAFETY: The caller promises it; the reference is not used after the statement.
        let (data, pools) = unsafe {
            let job = Self::of(fc);
            (job.data.take(), job.pools)
        };
        // SAFETY: The context is valid, with an `s_fs_info` as `fill_super` requires.
        let get = |fc| unsafe { bindings::get_tree_nodev(fc, Some(Self::fill_super)) };
        from_result(|| {
            // SAFETY: No other task uses the context, which is of the type of the walk's super
            // block.
            unsafe { get_super::<T>(fc, data.ok_or(EINVAL)?, pools, get) }?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `vfs_get_super` with `s_umount` held for writing, with a new super block of a type
    /// of `T` whose `s_fs_info` is the `SuperInfo<T>` that `get_super` made, and with a context of
    /// [`Automount::mount`] with this job.
    unsafe extern "C" fn fill_super(
        sb: *mut bindings::super_block,
        fc: *mut bindings::fs_context,
    ) -> c_int {
        // SAFETY: The caller promises it.
        let sb = unsafe { SuperTable::<T>::begin(sb) };
        // SAFETY: As above; the reference is not used after the statement.
        let fill = unsafe { Self::of(fc) }.fill.take();
        let raw = sb.as_ptr();
        from_result(|| {
            let filled = fill.ok_or(EINVAL)?(sb)?;
            // The caller needs the root to be set on this super block.
            if filled.as_ptr() != raw {
                return Err(EINVAL);
            }
            Ok(0)
        })
    }
}
