// SPDX-License-Identifier: GPL-2.0

//! Atomics, with the orderings of the kernel's memory model.
//!
//! `Full` is a full barrier on both sides of the operation. One that lies in a `static`, or was made
//! in a `const`, is no point of scheduling: those only number queues and count.

use crate::rt::{
    self,
    raw::{
        AtomicU64,
        Ordering as Raw, //
    },
};
use core::{
    cell::UnsafeCell,
    intrinsics::const_eval_select,
    mem::ManuallyDrop, //
};
use std::sync::Mutex;

/// The orderings.
pub mod ordering {
    use super::Raw;

    /// None.
    pub struct Relaxed;
    /// What comes after stays after.
    pub struct Acquire;
    /// What comes before stays before.
    pub struct Release;
    /// Both, for everybody.
    pub struct Full;

    /// One of them.
    pub trait Any {
        const LOAD: Raw;
        const STORE: Raw;
        const BOTH: Raw;
        const FULL: bool = false;
    }

    impl Any for Relaxed {
        const LOAD: Raw = Raw::Relaxed;
        const STORE: Raw = Raw::Relaxed;
        const BOTH: Raw = Raw::Relaxed;
    }
    impl Any for Acquire {
        const LOAD: Raw = Raw::Acquire;
        const STORE: Raw = Raw::Relaxed;
        const BOTH: Raw = Raw::Acquire;
    }
    impl Any for Release {
        const LOAD: Raw = Raw::Relaxed;
        const STORE: Raw = Raw::Release;
        const BOTH: Raw = Raw::Release;
    }
    impl Any for Full {
        const LOAD: Raw = Raw::Acquire;
        const STORE: Raw = Raw::Release;
        const BOTH: Raw = Raw::AcqRel;
        const FULL: bool = true;
    }
}

pub use self::ordering::{
    Acquire,
    Full,
    Relaxed,
    Release, //
};

/// What an atomic can hold.
pub trait AtomicType: Copy + PartialEq {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

impl AtomicType for bool {
    fn to_bits(self) -> u64 {
        self.into()
    }
    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

macro_rules! integer {
    ($($ty:ty)+) => {$(
        impl AtomicType for $ty {
            fn to_bits(self) -> u64 {
                self as u64
            }
            fn from_bits(bits: u64) -> Self {
                bits as Self
            }
        }
    )+};
}
integer!(i32 u32 u64 usize i64);

impl<T> AtomicType for *mut T {
    fn to_bits(self) -> u64 {
        self.expose_provenance() as u64
    }
    fn from_bits(bits: u64) -> Self {
        core::ptr::with_exposed_provenance_mut(bits as usize)
    }
}

enum Repr<T> {
    /// Of the scheduler.
    Model {
        raw: ManuallyDrop<AtomicU64>,
        /// What was stored last, for who has it to itself.
        last: UnsafeCell<T>,
    },
    Plain(Mutex<T>),
}

/// An atomic.
pub struct Atomic<T: AtomicType>(Repr<T>);

// SAFETY: It is one of the scheduler's, or in a mutex; `last` is accessed where those are.
unsafe impl<T: AtomicType> Send for Atomic<T> {}
// SAFETY: As above.
unsafe impl<T: AtomicType> Sync for Atomic<T> {}

const fn plain<T: AtomicType>(value: T) -> Repr<T> {
    Repr::Plain(Mutex::new(value))
}

fn model<T: AtomicType>(value: T) -> Repr<T> {
    if !rt::is_running() {
        return plain(value);
    }
    Repr::Model {
        raw: ManuallyDrop::new(AtomicU64::new(value.to_bits())),
        last: UnsafeCell::new(value),
    }
}

impl<T: AtomicType> Atomic<T> {
    pub const fn new(value: T) -> Self {
        Self(const_eval_select((value,), plain, model))
    }

    fn plain<R>(value: &Mutex<T>, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut value
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    #[track_caller]
    pub fn load<O: ordering::Any>(&self, _: O) -> T {
        match &self.0 {
            Repr::Model { raw, .. } => T::from_bits(raw.load(O::LOAD)),
            Repr::Plain(value) => Self::plain(value, |value| *value),
        }
    }

    #[track_caller]
    pub fn store<O: ordering::Any>(&self, new: T, _: O) {
        match &self.0 {
            Repr::Model { raw, last } => {
                raw.store(new.to_bits(), O::STORE);
                rt::note(last, new);
            }
            Repr::Plain(value) => Self::plain(value, |value| *value = new),
        }
    }

    #[track_caller]
    pub fn xchg<O: ordering::Any>(&self, new: T, _: O) -> T {
        match &self.0 {
            Repr::Model { raw, last } => {
                if O::FULL {
                    rt::full_barrier();
                }
                let old = raw.swap(new.to_bits(), O::BOTH);
                if O::FULL {
                    rt::full_barrier();
                }
                rt::note(last, new);
                T::from_bits(old)
            }
            Repr::Plain(value) => Self::plain(value, |value| core::mem::replace(value, new)),
        }
    }

    #[track_caller]
    pub fn cmpxchg<O: ordering::Any>(&self, old: T, new: T, _: O) -> Result<T, T> {
        match &self.0 {
            Repr::Model { raw, last } => {
                if O::FULL {
                    rt::full_barrier();
                }
                let swapped = raw.compare_exchange(old.to_bits(), new.to_bits(), O::BOTH, O::LOAD);
                if swapped.is_ok() {
                    if O::FULL {
                        rt::full_barrier();
                    }
                    rt::note(last, new);
                }
                swapped.map(T::from_bits).map_err(T::from_bits)
            }
            Repr::Plain(value) => Self::plain(value, |value| {
                let before = *value;
                if before == old {
                    *value = new;
                    Ok(before)
                } else {
                    Err(before)
                }
            }),
        }
    }

    /// The value, for who has the atomic to itself.
    pub fn get_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Repr::Model { raw, last } => {
                if cfg!(not(any(feature = "loom", feature = "shuttle"))) {
                    // Without a scheduler, nothing is noted.
                    *last.get_mut() = T::from_bits(raw.load(<Acquire as ordering::Any>::LOAD));
                }
                last.get_mut()
            }
            Repr::Plain(value) => value
                .get_mut()
                .unwrap_or_else(|poisoned| poisoned.into_inner()),
        }
    }
}

/// Sums that wrap around.
pub trait Number: AtomicType {
    fn plus(self, other: Self) -> Self;
    fn minus(self, other: Self) -> Self;
}

macro_rules! number {
    ($($ty:ty)+) => {$(
        impl Number for $ty {
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn minus(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
        }
    )+};
}
number!(i32 u32 u64 usize i64);

impl<T: Number> Atomic<T> {
    #[track_caller]
    fn sum<O: ordering::Any>(&self, add: impl Fn(&AtomicU64) -> u64, sum: impl Fn(T) -> T) -> T {
        match &self.0 {
            Repr::Model { raw, last } => {
                if O::FULL {
                    rt::full_barrier();
                }
                let old = T::from_bits(add(raw));
                if O::FULL {
                    rt::full_barrier();
                }
                rt::note(last, sum(old));
                old
            }
            Repr::Plain(value) => Self::plain(value, |value| {
                let new = sum(*value);
                core::mem::replace(value, new)
            }),
        }
    }

    // Bits above those of `T` are garbage after these, and nobody looks at them.

    #[track_caller]
    pub fn fetch_add<O: ordering::Any>(&self, value: T, _: O) -> T {
        self.sum::<O>(
            |raw| raw.fetch_add(value.to_bits(), O::BOTH),
            |old| old.plus(value),
        )
    }

    #[track_caller]
    pub fn fetch_sub<O: ordering::Any>(&self, value: T, _: O) -> T {
        self.sum::<O>(
            |raw| raw.fetch_sub(value.to_bits(), O::BOTH),
            |old| old.minus(value),
        )
    }

    #[track_caller]
    pub fn add<O: ordering::Any>(&self, value: T, order: O) {
        self.fetch_add(value, order);
    }
}
