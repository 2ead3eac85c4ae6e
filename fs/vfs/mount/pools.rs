// SPDX-License-Identifier: GPL-2.0

//! Resources that the types of a file system share while they are registered.

use crate::vfs::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
};

/// Resources that exist once while `T` is registered: the slab of its inodes, and the queue on
/// which the data of dead super blocks is dropped. One `static`, which all types of `T` name.
pub(crate) struct Pools<T> {
    name: &'static CStr,
    inodes: Atomic<*mut bindings::kmem_cache>,
    release: Atomic<*mut bindings::workqueue_struct>,
    _p: PhantomData<fn(T)>,
}

impl<T> Pools<T> {
    /// Empty pools; `name` will be the name of the inode slab.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            inodes: Atomic::new(core::ptr::null_mut()),
            release: Atomic::new(core::ptr::null_mut()),
            _p: PhantomData,
        }
    }

    /// The slab of inodes; null before a type of these is registered.
    pub(in crate::vfs) fn inode_cache(&self) -> *mut bindings::kmem_cache {
        self.inodes.load(Relaxed)
    }

    /// The queue for dead super blocks; null before a type of these is registered.
    pub(in crate::vfs) fn release_queue(&self) -> *mut bindings::workqueue_struct {
        self.release.load(Relaxed)
    }

    /// Makes both, the slab with `inodes`, which gets the name. `EBUSY` if they exist already.
    pub(super) fn create(
        &self,
        inodes: fn(&'static CStr) -> Result<NonNull<bindings::kmem_cache>>,
    ) -> Result {
        let inodes = inodes(self.name)?;
        // SAFETY: The format takes one string. Nothing of memory reclaim waits for this queue.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                bindings::wq_flags_WQ_UNBOUND,
                0,
                self.name.as_char_ptr(),
            )
        };
        let result = if queue.is_null() {
            Err(ENOMEM)
        } else {
            self.inodes
                .cmpxchg(core::ptr::null_mut(), inodes.as_ptr(), Full)
                .map_err(|_| EBUSY)
        };
        if let Err(error) = result {
            // SAFETY: No object was allocated from it.
            unsafe { bindings::kmem_cache_destroy(inodes.as_ptr()) };
            if !queue.is_null() {
                // SAFETY: Nothing was queued.
                unsafe { bindings::destroy_workqueue(queue) };
            }
            return Err(error);
        }
        self.release.store(queue, Relaxed);
        Ok(())
    }

    /// # Safety
    ///
    /// `create` must have succeeded, no type of these may be registered any more, and no super
    /// block of them may be left. No task may call this or `create` at the same time.
    pub(super) unsafe fn destroy(&self) {
        // The last reference to the module is given up before the data of the super block is
        // queued, and before its inodes are freed.
        // SAFETY: May be called anywhere that may sleep.
        unsafe { bindings::rcu_barrier() };
        // SAFETY: Nothing is queued any more; queued items run before this returns.
        unsafe { bindings::destroy_workqueue(self.release_queue()) };
        // SAFETY: All objects were freed above, as there is no super block left that could have
        // one.
        unsafe { bindings::kmem_cache_destroy(self.inode_cache()) };
        self.release.store(core::ptr::null_mut(), Relaxed);
        self.inodes.store(core::ptr::null_mut(), Relaxed);
    }
}
