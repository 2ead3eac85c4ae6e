// SPDX-License-Identifier: GPL-2.0

//! Pages of the page cache of a directory, which only the file system fills and reads.
//!
//! User space can neither map nor read a directory, and the VFS does not access its pages: the
//! holder of a page's lock owns its bytes. Memory reclaim and invalidations of the directory may
//! drop an unlocked page at any time.
//!
//! Locks: folio locks.

use crate::vfs::{
    bindings,
    mm::folio::{
        Folio,
        Locked,
        Mapped, //
    },
    mount::sb::FileSystem,
    node::inode::INode, //
};
use core::ptr::NonNull;
use kernel::{
    page::PAGE_SIZE,
    sync::aref::ARef, //
};

/// One page of the page cache of a directory, locked.
///
/// # Invariants
///
/// The folio is in the page cache of a directory, which has folios of one page only. If it is up to
/// date its bytes are initialised.
pub(crate) struct DirPage(Locked<ARef<Folio>>);

impl<T: FileSystem> INode<T> {
    /// The page with this index, if it exists and was filled; never if this is not a directory. May
    /// sleep.
    pub(crate) fn find_dir_page(&self, index: usize) -> Option<DirPage> {
        // SAFETY: The mapping is that of a referenced inode.
        self.dir_page(|mapping| unsafe { bindings::find_lock_folio(mapping, index) })
            .filter(|page| page.0.is_uptodate())
    }

    /// The page with this index, made if necessary; never if this is not a directory. May sleep.
    pub(crate) fn make_dir_page(&self, index: usize) -> Option<DirPage> {
        // SAFETY: The mapping is that of a referenced inode.
        self.dir_page(|mapping| unsafe { bindings::grab_folio(mapping, index) })
    }

    fn dir_page(
        &self,
        get: impl FnOnce(*mut bindings::address_space) -> *mut bindings::folio,
    ) -> Option<DirPage> {
        if !self.is_dir() {
            return None;
        }
        // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
        let mapping = unsafe { (*self.as_ptr()).i_mapping };
        let folio = NonNull::new(get(mapping).cast())?;
        // SAFETY: The folio comes with a reference, which the `ARef` takes over.
        let folio: ARef<Folio> = unsafe { ARef::from_raw(folio) };
        // SAFETY: The folio comes locked, and is ours to unlock.
        let folio = unsafe { Locked::from_locked(folio) };
        // INVARIANT: The inode is a directory. Only `clear` fills its folios, which initialises
        // them.
        Some(DirPage(folio))
    }
}

impl DirPage {
    /// Fills the page with zeroes. Never sleeps.
    pub(crate) fn clear(&mut self) {
        // SAFETY: A folio has a first byte. Nothing else is mapped here.
        let page = unsafe { Mapped::new(&self.0, 0) };
        // SAFETY: The page is mapped, and only this uses the bytes, by the type invariant.
        unsafe { core::ptr::write_bytes(page.addr, 0, PAGE_SIZE) };
        // SAFETY: The folio is locked, and all of it was filled just now.
        unsafe { bindings::folio_mark_uptodate(self.0.as_ptr()) };
    }

    /// Lends the bytes to `f`, which must not sleep; [`None`] if the page was never filled.
    pub(crate) fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        if !self.0.is_uptodate() {
            return None;
        }
        // SAFETY: A folio has a first byte. `f` cannot keep the mapping.
        let page = unsafe { Mapped::new(&self.0, 0) };
        // SAFETY: The page is mapped and initialised, and its bytes are not written while it is
        // locked, by the type invariant.
        Some(f(unsafe {
            core::slice::from_raw_parts(page.addr, PAGE_SIZE)
        }))
    }

    /// Lends the bytes to `f`, which must not sleep; [`None`] if the page was never filled.
    pub(crate) fn with_bytes_mut<R>(&mut self, f: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        if !self.0.is_uptodate() {
            return None;
        }
        // SAFETY: A folio has a first byte. `f` cannot keep the mapping.
        let page = unsafe { Mapped::new(&self.0, 0) };
        // SAFETY: The page is mapped and initialised, and only the holder of the lock uses the
        // bytes, by the type invariant.
        Some(f(unsafe {
            core::slice::from_raw_parts_mut(page.addr, PAGE_SIZE)
        }))
    }
}
