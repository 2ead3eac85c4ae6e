// SPDX-License-Identifier: GPL-2.0

//! Locks, counted references and atomics.

pub mod aref;
pub mod atomic;
pub mod barrier;
mod lock;
#[path = "/usr/src/linux-source-7.3/rust/kernel/sync/set_once.rs"]
mod set_once;

pub use self::{
    lock::{
        Mutex,
        SpinLock,
        SpinLockGuard, //
    },
    set_once::SetOnce,
};

use crate::alloc::{
    AllocError,
    Flags, //
};
use core::{
    marker::Unsize,
    ops::{
        CoerceUnsized,
        Deref, //
    },
};
use pin_init::PinInit;

/// What lockdep tells locks apart by.
pub struct LockClassKey;

impl LockClassKey {
    pub fn as_ptr(&self) -> *const Self {
        self
    }
}

/// A spin lock with this content and name.
#[macro_export]
macro_rules! new_spinlock {
    ($inner:expr, $name:literal) => {
        $crate::sync::SpinLock::new($inner, $crate::c_str!($name), $crate::static_lock_class!())
    };
}

/// A mutex with this content and name.
#[macro_export]
macro_rules! new_mutex {
    ($inner:expr, $name:literal) => {
        $crate::sync::Mutex::new($inner, $crate::c_str!($name), $crate::static_lock_class!())
    };
}

/// A shared reference; its count is no point of scheduling.
pub struct Arc<T: ?Sized>(std::sync::Arc<T>);

impl<T: ?Sized + Unsize<U>, U: ?Sized> CoerceUnsized<Arc<U>> for Arc<T> {}

impl<T> Arc<T> {
    pub fn new(value: T, _: Flags) -> Result<Self, AllocError> {
        Ok(Self(std::sync::Arc::new(value)))
    }

    pub fn as_arc_borrow(&self) -> ArcBorrow<'_, T> {
        ArcBorrow(&self.0)
    }
}

impl<T: ?Sized> Arc<T> {
    pub(crate) fn place<E>(init: impl PinInit<T, E>) -> Result<Self, E>
    where
        T: Sized,
    {
        let mut memory = std::sync::Arc::<T>::new_uninit();
        let slot = std::sync::Arc::get_mut(&mut memory).map_or_else(
            || unreachable!("it was made just now"),
            |memory| memory.as_mut_ptr(),
        );
        // SAFETY: The memory is that of the new `Arc`, whose content is not moved.
        unsafe { pin_init::raw_try_init(slot, init) }?;
        // SAFETY: Initialised just now.
        Ok(Self(unsafe { memory.assume_init() }))
    }

    pub fn into_raw(this: Self) -> *const T {
        std::sync::Arc::into_raw(this.0)
    }

    /// # Safety
    ///
    /// It came from [`Self::into_raw`], and comes back once.
    pub unsafe fn from_raw(raw: *const T) -> Self {
        // SAFETY: As the caller says.
        Self(unsafe { std::sync::Arc::from_raw(raw) })
    }

    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        core::ptr::addr_eq(
            std::sync::Arc::as_ptr(&this.0),
            std::sync::Arc::as_ptr(&other.0),
        )
    }
}

impl<T: ?Sized> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> Deref for Arc<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

/// A borrowed shared reference.
pub struct ArcBorrow<'a, T>(&'a std::sync::Arc<T>);

impl<T> Clone for ArcBorrow<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for ArcBorrow<'_, T> {}

impl<T> Deref for ArcBorrow<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0
    }
}

impl<T> From<ArcBorrow<'_, T>> for Arc<T> {
    fn from(borrow: ArcBorrow<'_, T>) -> Self {
        Self(borrow.0.clone())
    }
}

/// A count of references; it is no point of scheduling.
pub struct Refcount(std::sync::atomic::AtomicI32);

impl Refcount {
    pub fn new(value: i32) -> Self {
        Self(value.into())
    }

    /// One more.
    pub fn inc(&self) {
        let before = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert!(before > 0, "a reference was taken to what is gone");
    }

    /// One less; whether that was the last.
    pub fn dec_and_test(&self) -> bool {
        let before = self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        assert!(before > 0, "a reference was given back twice");
        before == 1
    }
}
