// SPDX-License-Identifier: GPL-2.0

//! Values with an obligation when they are dropped.
//!
//! `kernel::types::ScopeGuard` does this for a scope: its closure has no type that a struct could
//! name. A [`Guard`] can be a field, and the obligation is a type.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
};

/// What is done with a value whose guard is dropped.
pub(crate) trait OnDrop<T> {
    /// Takes the value.
    fn run(value: T);
}

/// A value that goes to `D` when it is dropped, unless the guard is dismissed.
pub(crate) struct Guard<T, D: OnDrop<T>> {
    value: ManuallyDrop<T>,
    _on_drop: PhantomData<fn() -> D>,
}

impl<T, D: OnDrop<T>> Guard<T, D> {
    /// Guards `value`.
    #[inline]
    pub(crate) fn new(value: T) -> Self {
        Self {
            value: ManuallyDrop::new(value),
            _on_drop: PhantomData,
        }
    }

    /// Returns the value, whose obligation is fulfilled.
    #[inline]
    pub(crate) fn dismiss(self) -> T {
        let mut guard = ManuallyDrop::new(self);
        // SAFETY: `drop` does not run for this guard, so the value is taken only here.
        unsafe { ManuallyDrop::take(&mut guard.value) }
    }
}

impl<T, D: OnDrop<T>> Deref for Guard<T, D> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T, D: OnDrop<T>> DerefMut for Guard<T, D> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T, D: OnDrop<T>> Drop for Guard<T, D> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: This runs once, and not for a guard that was dismissed: the value is still there.
        D::run(unsafe { ManuallyDrop::take(&mut self.value) });
    }
}

#[kernel::macros::kunit_tests(vfs_guard)]
mod tests {
    use crate::vfs::sync::guard::*;
    use core::cell::Cell;

    struct Add;

    impl OnDrop<(&Cell<u32>, u32)> for Add {
        fn run((sum, value): (&Cell<u32>, u32)) {
            sum.set(sum.get() + value);
        }
    }

    #[test]
    fn a_dropped_one_pays() {
        let sum = Cell::new(1);
        let guard = Guard::<_, Add>::new((&sum, 2));
        assert_eq!(guard.1, 2);
        assert_eq!(sum.get(), 1);
        drop(guard);
        assert_eq!(sum.get(), 3);
    }

    #[test]
    fn a_dismissed_one_does_not() {
        let sum = Cell::new(1);
        let (_, value) = Guard::<_, Add>::new((&sum, 2)).dismiss();
        assert_eq!(value, 2);
        assert_eq!(sum.get(), 1);
    }
}
