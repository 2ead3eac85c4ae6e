// SPDX-License-Identifier: GPL-2.0

//! Folios: references, the folio lock, mappings, and free pages.
//!
//! Locks: the folio lock, as a type ([`Locked`]). Nothing here sleeps. Lookups are in
//! [`super::mapping`], ranges with an owner in [`super::segment`], writeback in
//! [`super::writeback`].

use crate::vfs::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    }, //
};

/// A folio: one or more pages that are cached, locked and referenced as one.
///
/// # Invariants
///
/// Instances are reference-counted by the folio's own count.
#[repr(transparent)]
pub(crate) struct Folio {
    inner: Opaque<bindings::folio>,
}

// SAFETY: The reference count is atomic and may be dropped by any task; all other access goes
// through `Locked` or `FolioSegment`.
unsafe impl Send for Folio {}

// SAFETY: `&Folio` gives access to constant properties only.
unsafe impl Sync for Folio {}

// SAFETY: By the type invariant the folio lives as long as its count is not zero.
unsafe impl AlwaysRefCounted for Folio {
    fn inc_ref(&self) {
        // SAFETY: The shared reference proves that the count is not zero.
        unsafe { bindings::folio_get(self.as_ptr()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a reference of its own.
        unsafe { bindings::folio_put(obj.as_ptr().cast()) };
    }
}

impl Folio {
    /// Borrows a folio of C.
    ///
    /// # Safety
    ///
    /// `ptr` is a folio (not a tail page) whose reference count stays above zero during `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(ptr: *mut bindings::folio) -> &'a Self {
        // SAFETY: The type is transparent, and the caller keeps the folio alive.
        unsafe { &*ptr.cast() }
    }

    /// Takes over a reference of C, or returns the error in its place.
    ///
    /// # Errors
    ///
    /// That error; `ENOMEM` for a null pointer.
    ///
    /// # Safety
    ///
    /// `ptr` is an error, null, or a folio, and then the caller passes a reference to it.
    pub(super) unsafe fn referenced(ptr: *mut bindings::folio) -> Result<ARef<Self>> {
        let folio = NonNull::new(from_err_ptr(ptr)?).ok_or(ENOMEM)?;
        // SAFETY: The caller passes the reference.
        Ok(unsafe { ARef::from_raw(folio.cast()) })
    }

    /// Locks it, unless it is locked: then the reference is returned. Never sleeps.
    pub(super) fn try_lock(this: ARef<Self>) -> Result<Locked<ARef<Self>>, ARef<Self>> {
        // SAFETY: The folio is alive while it is referenced.
        if !unsafe { bindings::folio_trylock(this.as_ptr()) } {
            return Err(this);
        }
        // SAFETY: It was locked just now.
        Ok(unsafe { Locked::from_locked(this) })
    }

    /// The C object.
    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::folio {
        self.inner.get()
    }

    /// Size of this folio in bytes. Constant while it is referenced and either locked or private to
    /// its holder (only then it cannot be split).
    pub(crate) fn size(&self) -> usize {
        // SAFETY: The folio is alive while it is borrowed.
        unsafe { bindings::folio_size(self.as_ptr()) }
    }

    /// Whether all of it has the contents of the file, which are visible then.
    pub(crate) fn is_uptodate(&self) -> bool {
        // SAFETY: The folio is alive while it is borrowed.
        unsafe { bindings::folio_test_uptodate(self.as_ptr()) }
    }
}

/// The lock of a folio, held. Dropping it unlocks the folio.
///
/// `F` is how the folio is held: a borrow, or a reference of its own.
///
/// # Invariants
///
/// The folio is locked, and this value alone is responsible for unlocking it.
pub(crate) struct Locked<F: Deref<Target = Folio>> {
    folio: F,
}

impl<F: Deref<Target = Folio>> Locked<F> {
    /// Takes over a folio lock from C.
    ///
    /// # Safety
    ///
    /// The folio is locked and the caller passes the obligation to unlock it.
    pub(in crate::vfs) unsafe fn from_locked(folio: F) -> Self {
        // INVARIANT: By the safety requirement.
        Self { folio }
    }
}

impl<F: Deref<Target = Folio>> Locked<F> {
    /// Whether it is in this mapping, and stays there while it is locked.
    pub(super) fn is_in(&self, mapping: *mut bindings::address_space) -> bool {
        // SAFETY: A locked folio keeps its mapping.
        let its = unsafe { (*self.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.mapping };
        its == mapping
    }
}

impl Locked<ARef<Folio>> {
    /// Passes the lock on to the holder of the returned reference.
    pub(super) fn into_locked_ref(self) -> ARef<Folio> {
        let this = core::mem::ManuallyDrop::new(self);
        // SAFETY: The reference is valid, and the one in `this` is not used or dropped.
        unsafe { core::ptr::read(&this.folio) }
    }

    /// Unlocks the folio and keeps the reference.
    pub(crate) fn unlock(self) -> ARef<Folio> {
        self.folio.clone()
    }
}

impl<'a> Locked<&'a Folio> {
    /// Passes the lock to C, which becomes responsible for unlocking.
    pub(in crate::vfs) fn into_locked(self) -> &'a Folio {
        core::mem::ManuallyDrop::new(self).folio
    }
}

impl<F: Deref<Target = Folio>> Deref for Locked<F> {
    type Target = Folio;

    fn deref(&self) -> &Folio {
        &self.folio
    }
}

impl<F: Deref<Target = Folio>> Drop for Locked<F> {
    fn drop(&mut self) {
        // SAFETY: Locked, and ours to unlock, by the type invariant.
        unsafe { bindings::folio_unlock(self.folio.as_ptr()) };
    }
}

/// Bytes of a folio, mapped.
///
/// # Invariants
///
/// `addr` is a live mapping of this task that `kmap_local_folio()` made, and the last one of those
/// that are live when it ends. The number of bytes mapped there is that of [`Mapped::reach`].
pub(super) struct Mapped {
    pub(super) addr: *mut u8,
    _task: NotThreadSafe,
}

impl Mapped {
    /// The number of bytes from `offset` of `folio` on in one mapping: those to the end of the
    /// folio, or, on a machine that maps its memory page by page, to the end of the page. `offset`
    /// is within the folio.
    #[inline]
    pub(super) fn reach(folio: &Folio, offset: usize) -> usize {
        // SAFETY: The folio is alive while it is borrowed.
        if unsafe { bindings::folio_test_partial_kmap(folio.as_ptr()) } {
            PAGE_SIZE - offset % PAGE_SIZE
        } else {
            folio.size().saturating_sub(offset)
        }
    }

    /// Maps the byte at `offset`, to which `addr` points, and those behind it.
    ///
    /// # Safety
    ///
    /// `offset` must be within the folio, and stay so. This must be dropped before every mapping
    /// that was made before it.
    pub(super) unsafe fn new(folio: &Folio, offset: usize) -> Self {
        // SAFETY: The folio is alive, and has such a page.
        let addr = unsafe { bindings::kmap_local_folio(folio.as_ptr(), offset) };
        // INVARIANT: Made just now; the caller promises the rest.
        Self {
            addr: addr.cast(),
            _task: NotThreadSafe,
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: Made by `kmap_local_folio()`, and the last one of this task, by the type
        // invariant.
        unsafe { bindings::kunmap_local(self.addr.cast()) };
    }
}

/// A page of memory that has no other user, for the page cache.
///
/// # Invariants
///
/// The folio is one page, locked by this value, in no mapping, mapped nowhere, not up to date, and
/// has no flags that a folio of the page cache must not start with. It has no other user. `on_lru`
/// tells whether it is on an LRU list.
pub(crate) struct FreePage {
    pub(super) folio: Locked<ARef<Folio>>,
    pub(super) on_lru: bool,
}

impl FreePage {
    /// Takes over a locked folio that its owner gave up. [`None`], with the folio unlocked, if it
    /// is not one page or is not suitable for the page cache.
    ///
    /// # Safety
    ///
    /// The folio is in no mapping, locked, and the caller passes the obligation to unlock it. Its
    /// bytes have no other user while it is locked. `on_lru` tells whether it is on a list.
    pub(in crate::vfs) unsafe fn from_locked(folio: ARef<Folio>, on_lru: bool) -> Option<Self> {
        // SAFETY: As the caller promises.
        let folio = unsafe { Locked::from_locked(folio) };
        let raw = folio.as_ptr();
        // SAFETY: The folio is alive and locked.
        unsafe { bindings::folio_clear_uptodate(raw) };
        // SAFETY: As above.
        unsafe { bindings::folio_clear_mappedtodisk(raw) };
        // SAFETY: As above.
        let fit = !unsafe {
            bindings::folio_mapped(raw)
                || bindings::folio_is_in_mapping(raw)
                || bindings::folio_flags_of(raw) & bindings::folio_flags_unfit() != 0
        };
        // INVARIANT: All of it was checked, or is the caller's promise.
        (fit && folio.size() == PAGE_SIZE).then_some(Self { folio, on_lru })
    }
}
