// SPDX-License-Identifier: GPL-2.0

//! Mappings of the page cache that can be stored to.
//!
//! The VFS maps a file by [`File::mmap_page_cache`], faults go to the page cache. A store to a page
//! that is being written back waits until that is over: the file system, or whoever serves it,
//! takes the bytes straight out of the page. When a mapping goes, what was stored through it is
//! written, because there may be no open file to write it by afterwards.
//!
//! Locks: the folio lock, in the context of a fault; `mmap_lock` is held.

use super::super::{
    bindings,
    file::File,
    inode::keep_times_dirty,
    FileSystem, //
};
use kernel::{
    bindings::{
        vm_area_struct,
        vm_fault,
        vm_fault_t,
        vm_operations_struct, //
    },
    mm::virt::VmaNew,
    prelude::*,
};

impl<T: FileSystem> File<T> {
    /// Maps the file through the page cache, for stores, too.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is not a regular file.
    pub(crate) fn mmap_page_cache(&self, vma: &VmaNew) -> Result {
        if !self.inode().is_reg() {
            return Err(ENODEV);
        }
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::file_accessed(self.as_ptr()) };
        // SAFETY: The area is being set up for this file by the caller's `mmap`. The table is
        // static; the area keeps the file, and that keeps the module.
        unsafe { (*vma.as_ptr()).vm_ops = &OPERATIONS };
        Ok(())
    }
}

const OPERATIONS: vm_operations_struct = vm_operations_struct {
    close: Some(close),
    fault: Some(bindings::filemap_fault),
    map_pages: Some(bindings::filemap_map_pages),
    page_mkwrite: Some(page_mkwrite),
    ..pin_init::zeroed()
};

/// # Safety
///
/// Called by `remove_vma()` with an area of a regular file that has the operations above.
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
    // SAFETY: The caller has a reference to the page.
    unsafe { bindings::folio_lock(folio) };
    // SAFETY: The folio is locked, so its mapping does not change; the file keeps its own.
    let gone = unsafe {
        (*folio).__bindgen_anon_1.__bindgen_anon_1.mapping != (*(*file).f_inode).i_mapping
    };
    if gone {
        // SAFETY: Locked just now.
        unsafe { bindings::folio_unlock(folio) };
        return bindings::vm_fault_reason_VM_FAULT_NOPAGE;
    }
    // Here, where only those wait who store to this file: nobody else shall depend on its server.
    // SAFETY: The caller has a reference to the page.
    unsafe { bindings::folio_wait_writeback(folio) };
    bindings::vm_fault_reason_VM_FAULT_LOCKED
}
