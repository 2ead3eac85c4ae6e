// SPDX-License-Identifier: GPL-2.0

//! Outdated pages of the page cache, dropped without waiting for their users.
//!
//! `invalidate_inode_pages2_range()` waits for the lock of each folio and for its writeback. The
//! holder of such a lock may be waiting for a server, which may be the one that has invalidated the
//! pages: so [`INode::drop_idle`] drops idle ones, and tells which ones it left.
//!
//! Locks: folio locks, with trylock. Only [`Folio::wait_unlocked`] sleeps until a lock is free.

use crate::vfs::{
    bindings,
    mm::{
        folio::Folio,
        writeback::{
            without_fs_recursion,
            DirtyPages, //
        }, //
    },
    mount::sb::FileSystem,
    node::inode::{
        FileType,
        INode, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// The pages that could not be dropped.
#[derive(Default)]
pub(crate) struct Left {
    /// A locked one, if there is one.
    pub(crate) locked: Option<ARef<Folio>>,
    /// Whether some are being written.
    pub(crate) written: bool,
    /// Whether some are dirty, and cannot be written.
    pub(crate) dirty: bool,
}

impl Left {
    /// Whether nothing is left.
    pub(crate) fn is_nothing(&self) -> bool {
        self.locked.is_none() && !self.written && !self.dirty
    }
}

impl Folio {
    /// Waits until it was unlocked once. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed.
    pub(crate) fn wait_unlocked(&self) -> Result {
        // SAFETY: The folio is alive while it is borrowed.
        to_result(unsafe { bindings::folio_wait_locked_killable(self.as_ptr()) })
    }
}

impl<T: FileSystem> INode<T> {
    /// Removes the pages with index `first` to `last` from the page cache, and from all mappings,
    /// except for locked ones. Dirty ones are passed to `write`, and stay until they are written.
    /// Does nothing if this is not a regular file. Does not wait for the lock of a folio, or for
    /// writeback.
    pub(crate) fn drop_idle(
        &self,
        first: u64,
        last: u64,
        mut write: impl FnMut(DirtyPages<'_, T>) -> Result,
    ) -> Left {
        let mut left = Left::default();
        if !self.is_reg() {
            return left;
        }
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        let mapping = unsafe { (*self.as_ptr()).i_mapping };
        let mut start = first as usize;
        let mut batch = bindings::folio_batch::default();
        loop {
            batch.nr = 0;
            // SAFETY: The mapping is that of a referenced inode, and the batch is empty.
            let found = unsafe {
                bindings::filemap_get_folios(mapping, &mut start, last as usize, &mut batch)
            };
            if found == 0 {
                return left;
            }
            for folio in batch.folios.iter().take(found as usize) {
                let Some(folio) = NonNull::new(folio.cast()) else {
                    continue;
                };
                // SAFETY: Each folio of the batch comes with a reference, which the `ARef` takes
                // over.
                self.drop_one(unsafe { ARef::from_raw(folio) }, &mut write, &mut left);
            }
            // SAFETY: This may sleep.
            unsafe { bindings::might_resched() };
        }
    }

    fn drop_one(
        &self,
        folio: ARef<Folio>,
        write: &mut impl FnMut(DirtyPages<'_, T>) -> Result,
        left: &mut Left,
    ) {
        let raw = folio.as_ptr();
        let folio = match Folio::try_lock(folio) {
            Ok(folio) => folio,
            Err(folio) => {
                left.locked.get_or_insert(folio);
                return;
            }
        };
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        let mapping = unsafe { (*self.as_ptr()).i_mapping };
        if !folio.is_in(mapping) {
            return;
        }
        // SAFETY: A locked folio keeps its index.
        let index = unsafe {
            (*raw)
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_2
                .index
        };
        // SAFETY: The folio is alive and locked.
        if unsafe { bindings::folio_test_writeback(raw) } {
            left.written = true;
            return;
        }
        // SAFETY: As above.
        if unsafe { bindings::folio_mapped(raw) } {
            // It is not mapped again while it is locked, so that no task stores to it from here on.
            // SAFETY: The mapping is that of a referenced inode.
            unsafe {
                bindings::unmap_mapping_pages(mapping, index, folio.size() / PAGE_SIZE, false)
            };
        }
        // SAFETY: As above.
        if unsafe { bindings::folio_test_dirty(raw) } {
            // SAFETY: The folio is locked, in the page cache of this inode, which is that of a
            // regular file and so one of iomap's, and not under writeback.
            let dirty = unsafe { DirtyPages::one(self, raw) };
            // An error is one of writeback: the next fsync(2) reports it.
            let _ = without_fs_recursion(|| write(dirty));
            // SAFETY: As above.
            if unsafe { bindings::folio_test_writeback(raw) } {
                left.written = true;
                return;
            }
            // SAFETY: As above.
            if unsafe { bindings::folio_test_dirty(raw) } {
                left.dirty = true;
                return;
            }
        }
        // SAFETY: The folio is locked, in the page cache of a regular file, mapped nowhere, and
        // neither dirty nor under writeback. It cannot fail then.
        unsafe { bindings::generic_error_remove_folio(mapping, raw) };
    }

    /// Has the target of a symbolic link read again the next time it is followed, unless it is
    /// being read. Does nothing if this is not a symbolic link. Does not sleep.
    pub(crate) fn forget_target(&self) {
        if self.file_type() != Some(FileType::Symlink) {
            return;
        }
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        let mapping = unsafe { (*self.as_ptr()).i_mapping };
        // SAFETY: The mapping is that of a referenced inode.
        let folio = unsafe { bindings::filemap_get_folio(mapping, 0) };
        // SAFETY: The folio comes with a reference.
        let Ok(folio) = (unsafe { Folio::referenced(folio) }) else {
            return;
        };
        if let Ok(folio) = Folio::try_lock(folio) {
            // A walk that is following the link goes on with the target it found.
            // SAFETY: The folio is alive and locked. It is that of a link: never dirty, nor mapped.
            unsafe { bindings::folio_clear_uptodate(folio.as_ptr()) };
        }
    }
}
