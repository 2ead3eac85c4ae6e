// SPDX-License-Identifier: GPL-2.0

//! Shared values that come from a slab of their own and can be queued.
//!
//! An [`Entry`] counts its references and has two links, by which a [`queue`](super::queue) refers
//! to it. `kernel::sync::Arc` and `kernel::list` offer nearly that, but only the general allocator
//! can make an `Arc`: that takes more instructions, and rounds the size up to a power of two.

use crate::vfs::bindings;
use core::{
    cell::Cell,
    marker::{
        PhantomData,
        PhantomPinned, //
    },
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Refcount, //
    },
};

/// Number of free objects that a processor keeps to itself instead of returning them to their
/// slabs: as for small objects. Otherwise objects that are freed in bulk cost twice as much.
const AT_HAND: u32 = 60;

/// The allocator of the entries of a type. One `static` for a type; empty while the module is not
/// loaded.
pub(crate) struct Pool<T> {
    name: &'static CStr,
    slab: Atomic<*mut bindings::kmem_cache>,
    _p: PhantomData<fn(T)>,
}

impl<T> Pool<T> {
    /// An empty pool; `name` will be the name of the slab.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            slab: Atomic::new(core::ptr::null_mut()),
            _p: PhantomData,
        }
    }
}

/// A type whose entries have a pool.
pub(crate) trait Pooled: Sized + 'static {
    /// Its pool.
    fn pool() -> &'static Pool<Self>;
}

/// The pool of `T`, made; dropping it destroys its slab, in which no objects may be left.
pub(crate) struct Registration<T: Pooled>(PhantomData<fn(T)>);

impl<T: Pooled> Registration<T> {
    /// Makes the slab of the pool of `T`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` if it exists already.
    ///
    /// # Safety
    ///
    /// The return value must be dropped only when the module is unloaded or fails to load, and no
    /// task can reserve an entry any more.
    pub(crate) unsafe fn new() -> Result<Self> {
        let pool = T::pool();
        // Checked first, because two slabs must not have one name.
        if !pool.slab.load(Relaxed).is_null() {
            return Err(EBUSY);
        }
        // SAFETY: The name is static, and the rest are numbers, which the kernel checks.
        let slab = unsafe {
            bindings::slab_create(
                pool.name.as_char_ptr(),
                u32::try_from(size_of::<Entry<T>>())?,
                u32::try_from(align_of::<Entry<T>>())?,
                AT_HAND,
            )
        };
        let slab = NonNull::new(slab).ok_or(ENOMEM)?.as_ptr();
        let placed = pool.slab.cmpxchg(core::ptr::null_mut(), slab, Full);
        if placed.is_err() {
            // SAFETY: Nothing was allocated from it.
            unsafe { bindings::kmem_cache_destroy(slab) };
            return Err(EBUSY);
        }
        Ok(Self(PhantomData))
    }
}

impl<T: Pooled> Drop for Registration<T> {
    fn drop(&mut self) {
        let slab = T::pool().slab.xchg(core::ptr::null_mut(), Full);
        // SAFETY: It was made in `new`, and nothing is about to allocate from it, as the caller of
        // `new` has promised. If objects are left, the kernel warns and keeps it.
        unsafe { bindings::kmem_cache_destroy(slab) };
    }
}

/// By the link that moves from queue to queue with the right to queue the entry.
pub(crate) struct Main;
/// By the second link, of a queue that lists entries with owners elsewhere.
pub(crate) struct Side;

/// The place of an entry in a chain by one of its links.
///
/// # Invariants
///
/// - While the entry is in a chain, `next` and `prev` are its neighbours in the ring of that chain;
///   only the exclusive holder of the chain may access them.
/// - `on` is the number of the [`Queue`](super::queue::Queue) that it is on, or 0; only that queue
///   changes it then.
pub(crate) struct Links<T, B> {
    pub(super) next: Cell<NonNull<Entry<T>>>,
    pub(super) prev: Cell<NonNull<Entry<T>>>,
    pub(super) on: Atomic<u64>,
    _by: PhantomData<B>,
}

impl<T, B> Links<T, B> {
    /// In no chain.
    #[inline]
    fn new() -> Self {
        // INVARIANT: On no queue.
        Self {
            next: Cell::new(NonNull::dangling()),
            prev: Cell::new(NonNull::dangling()),
            on: Atomic::new(0),
            _by: PhantomData,
        }
    }
}

/// A shared value that can be on one queue by each of its two links.
///
/// # Invariants
///
/// - It is in memory that `kfree` frees, and the last of its counted references does so.
/// - There is one [`Owned`] of it, or it is in one chain by its main link, or neither.
#[pin_data]
pub(crate) struct Entry<T> {
    refs: Refcount,
    pub(super) main: Links<T, Main>,
    pub(super) side: Links<T, Side>,
    #[pin]
    value: T,
    #[pin]
    _pin: PhantomPinned,
}

// SAFETY: It has a value of `T`, and pointers that move with references to others of the kind.
unsafe impl<T: Send + Sync> Send for Entry<T> {}
// SAFETY: A shared entry gives shared access to the value; only the owner of the right to queue it,
// or the exclusive holder of its queue, accesses its links.
unsafe impl<T: Send + Sync> Sync for Entry<T> {}

// SAFETY: There is a count, and the entry lives while that is not zero.
unsafe impl<T> AlwaysRefCounted for Entry<T> {
    #[inline]
    fn inc_ref(&self) {
        self.refs.inc();
    }

    #[inline]
    unsafe fn dec_ref(entry: NonNull<Self>) {
        // SAFETY: The caller has a reference, so the entry is alive.
        if unsafe { entry.as_ref() }.refs.dec_and_test() {
            // SAFETY: That was the last reference: the entry has no other user any more.
            unsafe { core::ptr::drop_in_place(entry.as_ptr()) };
            // SAFETY: By the type invariant, and its content was dropped.
            unsafe { bindings::kfree(entry.as_ptr().cast()) };
        }
    }
}

impl<T: Pooled> Entry<T> {
    /// Allocates memory for an entry, so that filling it cannot fail. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also while its pool does not exist.
    #[inline]
    pub(crate) fn reserve() -> Result<Reserved<T>> {
        let slab = T::pool().slab.load(Relaxed);
        if slab.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: The slab is destroyed only when no task can reserve an entry any more.
        let memory = unsafe { bindings::kmem_cache_alloc_noprof(slab, bindings::GFP_KERNEL) };
        // INVARIANT: Of the slab of `T`, whose objects have the size and alignment of an entry.
        Ok(Reserved(NonNull::new(memory.cast()).ok_or(ENOMEM)?))
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

/// Memory for an [`Entry`].
///
/// # Invariants
///
/// Memory for one entry, without content, that `kfree` frees; owned by this.
pub(crate) struct Reserved<T>(NonNull<Entry<T>>);

// SAFETY: There is nothing of `T` in it yet.
unsafe impl<T> Send for Reserved<T> {}

impl<T> Reserved<T> {
    /// Makes the entry. The return value is the right to put it on queues by its main link; further
    /// references come from [`Owned::share`].
    #[inline]
    pub(crate) fn fill(self, value: impl PinInit<T>) -> Owned<T> {
        let entry = core::mem::ManuallyDrop::new(self).0;
        let made = pin_init!(Entry {
            refs: Refcount::new(1),
            main: Links::new(),
            side: Links::new(),
            value <- value,
            _pin: PhantomPinned,
        });
        // SAFETY: The memory is for one entry, only this accesses it, and it is not moved.
        unsafe { pin_init::raw_init(entry.as_ptr(), made) };
        // SAFETY: The count of the new entry is this one reference.
        let entry = unsafe { ARef::from_raw(entry) };
        // INVARIANT: It is in no chain, and there is no other `Owned`.
        Owned(entry)
    }
}

impl<T> Drop for Reserved<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kfree(self.0.as_ptr().cast()) };
    }
}

/// An entry that is on no queue by its main link, and the right to put it on one.
///
/// # Invariants
///
/// It is the only one of its entry, which is in no chain by its main link.
pub(crate) struct Owned<T>(ARef<Entry<T>>);

impl<T> Owned<T> {
    /// # Safety
    ///
    /// The type invariant holds.
    #[inline]
    pub(super) unsafe fn new(entry: ARef<Entry<T>>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(entry)
    }

    /// The entry, without the right.
    #[inline]
    pub(super) fn into_shared(self) -> ARef<Entry<T>> {
        self.0
    }

    /// A reference to the entry, for other users.
    #[inline]
    pub(crate) fn share(&self) -> ARef<Entry<T>> {
        self.0.clone()
    }
}

impl<T> Deref for Owned<T> {
    type Target = Entry<T>;

    #[inline]
    fn deref(&self) -> &Entry<T> {
        &self.0
    }
}
