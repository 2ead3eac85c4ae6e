// SPDX-License-Identifier: GPL-2.0

//! A spinlock over a value that can be given away, to a device that reads and writes it at any
//! time.
//!
//! A [`GiveLock`] guards a state, which is always accessible, and a value. While the value is given
//! away no reference to it exists: the lock does not return one, and the value is in a cell of its
//! own, so that references to the state, or to the object with the lock, do not cover its bytes.

use crate::vfs::sync::entry::{
    Entry,
    Owned, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        LockClassKey,
        SpinLock,
        SpinLockGuard, //
    },
};
use pin_init::Wrapper;

/// Number of the last gift; 64 bits do not run out.
static LAST: Atomic<u64> = Atomic::new(0);

struct State<S> {
    /// Number of the [`Gift`]; 0 if there is none.
    given: u64,
    state: S,
}

/// A state and a value behind one spinlock; the value can be given away.
///
/// # Invariants
///
/// Only the holder of `lock`, while `given` is 0, or the owner of the [`Gift`] accesses `value`.
#[pin_data]
pub(crate) struct GiveLock<S, V> {
    #[pin]
    lock: SpinLock<State<S>>,
    #[pin]
    value: UnsafeCell<V>,
}

// SAFETY: By the type invariant one thread at a time accesses the value, which may be sent.
unsafe impl<S: Send, V: Send> Sync for GiveLock<S, V> {}

impl<S, V> GiveLock<S, V> {
    /// A lock over these; use [`new_give_lock`].
    #[inline]
    pub(crate) fn new(
        state: S,
        value: impl PinInit<V>,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self> {
        // INVARIANT: It is not given away, and only this has it.
        pin_init!(Self {
            value <- UnsafeCell::pin_init(value),
            lock <- SpinLock::new(
                State {
                    given: 0,
                    state,
                },
                name,
                key,
            ),
        })
    }

    /// Locks both.
    #[inline]
    pub(crate) fn lock(&self) -> GiveGuard<'_, S, V> {
        GiveGuard {
            guard: self.lock.lock(),
            of: self,
        }
    }

    /// Acts as the device that has `gift`, in tests. `None` if that belongs to another lock.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn as_device<R>(
        &self,
        gift: &mut Gift<V>,
        f: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        if self.lock.lock().given != gift.number {
            return None;
        }
        // SAFETY: The gift is of this lock and borrowed exclusively, and tests give it to no
        // device, so by the type invariant nothing else accesses the value.
        Some(f(unsafe { &mut *self.value.get() }))
    }
}

/// Both, locked.
pub(crate) struct GiveGuard<'a, S, V> {
    guard: SpinLockGuard<'a, State<S>>,
    of: &'a GiveLock<S, V>,
}

impl<S: Unpin, V> GiveGuard<'_, S, V> {
    /// The state.
    #[inline]
    pub(crate) fn state(&mut self) -> &mut S {
        &mut self.guard.state
    }

    /// The value, unless it is given away.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<&mut V> {
        if self.is_given() {
            return None;
        }
        // SAFETY: By the type invariant of the lock, which is held while this guard is borrowed
        // exclusively.
        Some(unsafe { &mut *self.of.value.get() })
    }

    /// Whether the value is given away.
    #[inline]
    pub(crate) fn is_given(&self) -> bool {
        self.guard.given != 0
    }

    /// Gives the value away; `None` if it is given away already.
    pub(crate) fn give(&mut self) -> Option<Gift<V>> {
        if self.is_given() {
            return None;
        }
        let number = LAST.fetch_add(1, Relaxed) + 1;
        self.guard.given = number;
        // INVARIANT: There was no gift, and this is the only one now.
        Some(Gift {
            number,
            _value: PhantomData,
        })
    }

    /// Takes the value back. The gift of another lock is returned.
    pub(crate) fn take_back(&mut self, gift: Gift<V>) -> Result<(), Gift<V>> {
        if self.guard.given != gift.number {
            return Err(gift);
        }
        self.guard.given = 0;
        Ok(())
    }
}

/// The right to let a device have the value of one [`GiveLock`].
///
/// Code that maps the value for a device owns the gift, and a reference to the object with the
/// lock, for as long as the device may access it. If the gift is dropped, the value stays away
/// forever.
///
/// # Invariants
///
/// It is the only one with its number, which is the `given` of its lock.
#[must_use = "the value is away until it is taken back"]
pub(crate) struct Gift<V> {
    number: u64,
    _value: PhantomData<fn(V)>,
}

/// A shared value that has a [`GiveLock`].
pub(crate) trait Giver: Sized + Send + Sync + 'static {
    /// The state of the lock.
    type State: Send + Unpin;
    /// The value that is given away.
    type Value: Send;

    /// The lock.
    fn give_lock(&self) -> &GiveLock<Self::State, Self::Value>;
}

/// An entry whose value is given away: what a device has, and all that it needs to stay.
///
/// # Invariants
///
/// `lock` is part of what `entry` keeps, and `gift` is of it.
pub(crate) struct Handed<T: Giver> {
    entry: Owned<T>,
    gift: Gift<T::Value>,
    lock: NonNull<GiveLock<T::State, T::Value>>,
}

// SAFETY: A reference to an entry that may be sent, the right to its value, which may be, too, and a
// pointer to what both are about.
unsafe impl<T: Giver> Send for Handed<T> {}
// SAFETY: Nothing can be done through a shared reference that the entry does not allow.
unsafe impl<T: Giver> Sync for Handed<T> {}

impl<T: Giver> Handed<T> {
    /// Gives the value of `entry` away, when `prepare` has seen it under the lock. It comes back if that
    /// is done already.
    pub(crate) fn new(
        entry: Owned<T>,
        prepare: impl FnOnce(&mut T::Value),
    ) -> Result<Self, Owned<T>> {
        let lock = entry.give_lock();
        let mut guard = lock.lock();
        if let Some(value) = guard.value() {
            prepare(value);
        }
        let gift = guard.give();
        drop(guard);
        let lock = NonNull::from(lock);
        match gift {
            // INVARIANT: It was borrowed from the entry, and made the gift.
            Some(gift) => Ok(Self { entry, gift, lock }),
            None => Err(entry),
        }
    }

    /// The entry, and the gift that [`GiveGuard::take_back`] of its lock takes.
    pub(crate) fn into_parts(self) -> (Owned<T>, Gift<T::Value>) {
        (self.entry, self.gift)
    }

    /// Where the value is. It stays there, and no code accesses it, as long as this exists.
    #[cfg(CONFIG_VIRTIO)]
    pub(in crate::vfs) fn value(&mut self) -> *mut T::Value {
        // SAFETY: By the type invariant.
        unsafe { self.lock.as_ref() }.value.get()
    }

    /// As [`GiveLock::as_device`].
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn as_device<R>(&mut self, f: impl FnOnce(&mut T::Value) -> R) -> Option<R> {
        // SAFETY: By the type invariant.
        unsafe { self.lock.as_ref() }.as_device(&mut self.gift, f)
    }
}

impl<T: Giver> Deref for Handed<T> {
    type Target = Entry<T>;

    fn deref(&self) -> &Entry<T> {
        &self.entry
    }
}

/// Creates a [`GiveLock`] initialiser with a lock class of its own.
macro_rules! new_give_lock {
    ($state:expr, $value:expr, $name:literal $(,)?) => {
        $crate::vfs::sync::give_lock::GiveLock::new(
            $state,
            $value,
            kernel::c_str!($name),
            kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_give_lock;

#[kernel::macros::kunit_tests(vfs_give_lock)]
mod tests {
    use super::*;

    fn lock(state: u32, value: u64) -> Result<Pin<KBox<GiveLock<u32, u64>>>> {
        KBox::pin_init(new_give_lock!(state, value, "tests::lock"), GFP_KERNEL)
    }

    #[test]
    fn what_is_given_away_is_not_there() -> Result {
        let lock = lock(1, 2)?;
        let mut guard = lock.lock();
        assert_eq!(guard.value().copied(), Some(2));
        let mut gift = guard.give().ok_or(EINVAL)?;
        assert!(guard.is_given() && guard.value().is_none() && guard.give().is_none());
        *guard.state() += 1;
        drop(guard);
        assert!(lock.as_device(&mut gift, |value| *value = 3).is_some());
        let mut guard = lock.lock();
        assert!(guard.take_back(gift).is_ok());
        assert_eq!((*guard.state(), guard.value().copied()), (2, Some(3)));
        Ok(())
    }

    #[test]
    fn the_gift_of_another_lock_is_refused() -> Result {
        let (one, other) = (lock(1, 2)?, lock(3, 4)?);
        let mut gift = one.lock().give().ok_or(EINVAL)?;
        assert!(other.as_device(&mut gift, |_| ()).is_none());
        let gift = match other.lock().take_back(gift) {
            Ok(()) => return Err(EINVAL),
            Err(gift) => gift,
        };
        assert!(one.lock().value().is_none());
        assert!(one.lock().take_back(gift).is_ok());
        assert!(one.lock().value().is_some());
        Ok(())
    }
}
