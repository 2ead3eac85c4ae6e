// SPDX-License-Identifier: GPL-2.0

//! Writable mappings of the page cache.
//!
//! [`NewArea::map_page_cache`] maps a file; faults go to the page cache. A store to a page that is
//! being written back waits until that has ended: the file system, or its server, takes the bytes
//! straight out of the page. When a mapping is removed, pages that were stored through it are
//! written, because there may be no open file to write them by afterwards.
//!
//! Locks: the folio lock, in the context of a fault; `mmap_lock` is held.

use crate::vfs::{
    bindings,
    file::open::File,
    mount::sb::FileSystem,
    node::inode::{
        keep_times_dirty,
        INode, //
    },
};
use core::marker::PhantomData;
use kernel::{
    bindings::{
        vm_area_struct,
        vm_fault,
        vm_fault_t,
        vm_operations_struct, //
    },
    error::to_result,
    mm::virt::{
        vm_flags_t,
        VmaNew, //
    },
    prelude::*, //
};

/// An area of memory that is being set up to map a file. It can be mapped in one way, once.
///
/// # Invariants
///
/// `vma` is the argument of a running `mmap` of `file`, which is its `vm_file`.
pub(crate) struct NewArea<'a, T: FileSystem> {
    file: &'a File<T>,
    vma: &'a VmaNew,
}

impl<'a, T: FileSystem> NewArea<'a, T> {
    /// # Safety
    ///
    /// The type invariant holds.
    pub(in crate::vfs) unsafe fn new(file: &'a File<T>, vma: &'a VmaNew) -> Self {
        // INVARIANT: By the safety requirement.
        Self { file, vma }
    }

    /// The file.
    pub(crate) fn file(&self) -> &'a File<T> {
        self.file
    }

    /// Flags of the area (`VM_*`).
    pub(crate) fn flags(&self) -> vm_flags_t {
        self.vma.flags()
    }

    /// Returns the area, for another way to map it.
    pub(in crate::vfs) fn into_raw(self) -> *mut vm_area_struct {
        self.vma.as_ptr()
    }

    /// Maps the file through the page cache, writable as well. `F` is called before pages are
    /// mapped.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is not a regular file.
    pub(crate) fn map_page_cache<F: Faults<T>>(self) -> Result {
        if !self.file.inode().is_reg() {
            return Err(ENODEV);
        }
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::file_accessed(self.file.as_ptr()) };
        // SAFETY: The area is being set up for this file, by the type invariant. The table is
        // static; the area keeps the file, and that keeps the module.
        unsafe { (*self.vma.as_ptr()).vm_ops = &Table::<T, F>::OPERATIONS };
        Ok(())
    }

    /// Maps the file through the page cache, as long as no store can reach the file through it.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the mapping is shared and could become writable.
    pub(crate) fn map_readonly(self) -> Result {
        // SAFETY: The area is being set up for this file, by the type invariant.
        to_result(unsafe {
            bindings::generic_file_readonly_mmap(self.file.as_ptr(), self.vma.as_ptr())
        })
    }
}

/// What a file system does before pages of a file are mapped.
pub(crate) trait Faults<T: FileSystem> {
    /// Whether there is nothing to do. Must not sleep.
    fn is_ready(inode: &INode<T>) -> bool;

    /// Does it. The address space, or the area, is locked, unless the fault can be begun again. May
    /// sleep.
    ///
    /// # Errors
    ///
    /// Any error: the task that faults gets `SIGBUS`, unless it is being killed.
    fn make_ready(inode: &INode<T>) -> Result;
}

struct Table<T, F>(PhantomData<(T, F)>);

impl<T: FileSystem, F: Faults<T>> Table<T, F> {
    const OPERATIONS: vm_operations_struct = vm_operations_struct {
        close: Some(close),
        fault: Some(Self::fault),
        map_pages: Some(Self::map_pages),
        page_mkwrite: Some(page_mkwrite),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by `__do_fault()` with a fault on an area that has the operations above.
    unsafe extern "C" fn fault(vmf: *mut vm_fault) -> vm_fault_t {
        // SAFETY: The fault is valid for the call, and its area keeps its file, which is one of
        // `T`; where the area is unlocked below, a reference does.
        let inode = unsafe { inode_of(vmf) };
        if !F::is_ready(inode) {
            // SAFETY: The fault is valid, and its area shows a file.
            let file = unsafe { bindings::unlock_fault(vmf) };
            let result = F::make_ready(inode);
            if !file.is_null() {
                // The area may be gone: the caller looks it up again.
                // SAFETY: The reference is that of `unlock_fault()`. The inode is not used after
                // it.
                unsafe { bindings::fput(file) };
                return bindings::vm_fault_reason_VM_FAULT_RETRY;
            }
            if result.is_err() {
                return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
            }
        }
        // SAFETY: The fault is passed on unchanged.
        unsafe { bindings::filemap_fault(vmf) }
    }

    /// # Safety
    ///
    /// Called by `do_fault_around()` with a fault on an area that has the operations above, in an
    /// RCU read-side critical section.
    unsafe extern "C" fn map_pages(
        vmf: *mut vm_fault,
        first: c_ulong,
        last: c_ulong,
    ) -> vm_fault_t {
        // SAFETY: As in `fault()`.
        if !F::is_ready(unsafe { inode_of(vmf) }) {
            // No page is mapped: then `fault()` is called.
            return 0;
        }
        // SAFETY: The fault is passed on unchanged.
        unsafe { bindings::filemap_map_pages(vmf, first, last) }
    }
}

/// The inode of the file that a fault is on.
///
/// # Safety
///
/// The fault is valid for `'a`, and its area maps an open file of `T`.
unsafe fn inode_of<'a, T: FileSystem>(vmf: *const vm_fault) -> &'a INode<T> {
    // SAFETY: By the safety requirement; the area keeps its file.
    unsafe { File::<T>::from_raw((*(*vmf).__bindgen_anon_1.vma).vm_file) }.inode()
}

/// # Safety
///
/// Called by `remove_vma()` with an area that has the operations above: [`NewArea`] gives them only
/// to those of a regular file of a [`FileSystem`], which they keep as their `vm_file`.
unsafe extern "C" fn close(vma: *mut vm_area_struct) {
    // SAFETY: The area is valid, and keeps its file, which keeps its inode. `f_mapping` does not
    // change once the file is open.
    unsafe {
        let mapping = (*(*vma).vm_file).f_mapping;
        let error = bindings::write_inode_now((*mapping).host, 1);
        bindings::mapping_set_error(mapping, error);
    }
}

/// # Safety
///
/// Called by `do_page_mkwrite()` with a fault on an area that has the operations above, and with a
/// reference to its page.
unsafe extern "C" fn page_mkwrite(vmf: *mut vm_fault) -> vm_fault_t {
    // SAFETY: The fault is valid for the call, and its area keeps its file.
    let (file, folio) = unsafe {
        (
            (*(*vmf).__bindgen_anon_1.vma).vm_file,
            bindings::page_folio((*vmf).page),
        )
    };
    // SAFETY: The file is valid. The store goes on if the times cannot be updated.
    unsafe { bindings::file_update_time(file) };
    // SAFETY: The file has a reference to its inode.
    unsafe { keep_times_dirty((*file).f_inode) };
    // `do_page_mkwrite()` lets nothing be given up that the fault holds; but a killed caller
    // leaves.
    // SAFETY: The caller has a reference to the page.
    if unsafe { bindings::folio_lock_killable(folio) } != 0 {
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    }
    // SAFETY: The folio is locked, so its mapping does not change; the file keeps its own.
    let gone = unsafe {
        (*folio).__bindgen_anon_1.__bindgen_anon_1.mapping != (*(*file).f_inode).i_mapping
    };
    if gone {
        // SAFETY: Locked just now.
        unsafe { bindings::folio_unlock(folio) };
        return bindings::vm_fault_reason_VM_FAULT_NOPAGE;
    }
    // Here, where only tasks that store to this file wait: no other task should depend on its
    // server.
    // SAFETY: The caller has a reference to the page.
    if unsafe { bindings::folio_wait_writeback_killable(folio) } != 0 {
        // SAFETY: Locked above.
        unsafe { bindings::folio_unlock(folio) };
        return bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    }
    bindings::vm_fault_reason_VM_FAULT_LOCKED
}
