// SPDX-License-Identifier: GPL-2.0

//! Spin locks and mutexes: the same lock, but for what their holder may do.

use super::LockClassKey;
use crate::rt::{
    self,
    raw, //
};
use core::{
    cell::UnsafeCell,
    ffi::CStr,
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
    pin::Pin,
};
use pin_init::{
    pin_data,
    pin_init,
    PinInit,
    Wrapper, //
};

macro_rules! lock {
    ($(#[$doc:meta])* $name:ident, $guard:ident, $before:path, $after:path) => {
        $(#[$doc])*
        #[pin_data]
        pub struct $name<T> {
            raw: ManuallyDrop<raw::Mutex<()>>,
            name: &'static str,
            #[pin]
            data: UnsafeCell<T>,
        }

        // SAFETY: The content is accessed under the lock.
        unsafe impl<T: Send> Send for $name<T> {}
        // SAFETY: As above.
        unsafe impl<T: Send> Sync for $name<T> {}

        impl<T> $name<T> {
            pub fn new(
                data: impl PinInit<T>,
                name: &'static CStr,
                _key: Pin<&'static LockClassKey>,
            ) -> impl PinInit<Self> {
                pin_init!(Self {
                    raw: ManuallyDrop::new(raw::Mutex::new(())),
                    name: name.to_str().unwrap_or("?"),
                    data <- UnsafeCell::pin_init(data),
                })
            }

            #[track_caller]
            pub fn lock(&self) -> $guard<'_, T> {
                $before(self.name);
                $guard {
                    _raw: raw::lock(&self.raw),
                    _depth: $after(self.name),
                    data: &self.data,
                }
            }
        }

        /// The lock is held. Fields are dropped in this order: the lock is free before the task
        /// counts as without it.
        pub struct $guard<'a, T> {
            data: &'a UnsafeCell<T>,
            _raw: raw::MutexGuard<'a, ()>,
            _depth: rt::Held,
        }

        impl<T> Deref for $guard<'_, T> {
            type Target = T;
            fn deref(&self) -> &T {
                // SAFETY: The lock is held.
                unsafe { &*self.data.get() }
            }
        }

        impl<T> DerefMut for $guard<'_, T> {
            fn deref_mut(&mut self) -> &mut T {
                // SAFETY: The lock is held.
                unsafe { &mut *self.data.get() }
            }
        }
    };
}

lock! {
    /// Its holder must not sleep.
    SpinLock, SpinLockGuard, rt::before_spinlock, rt::Held::spin
}

lock! {
    /// Its holder may sleep.
    Mutex, MutexGuard, rt::before_mutex, rt::Held::mutex
}
