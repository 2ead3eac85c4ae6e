// SPDX-License-Identifier: GPL-2.0

//! Points in time after which a cached fact is no longer trusted.
//!
//! Owns the kernel's coarse clock, 64-bit jiffies, as a type ([`Jiffies`]), and [`Deadline`] on
//! top of it; and reads the fine clock. It does not sleep and starts no timer.

use crate::vfs::bindings;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// One second, in nanoseconds.
const NSEC_PER_SEC: u32 = 1_000_000_000;

/// The fine clock: nanoseconds since boot, while the machine runs.
pub(crate) fn nanoseconds() -> u64 {
    // SAFETY: Reading the clock has no precondition. It is never negative.
    unsafe { bindings::ktime_get() as u64 }
}

/// A time of the coarse clock: 64-bit jiffies since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Jiffies(u64);

impl Jiffies {
    /// The present time.
    pub(crate) fn now() -> Self {
        // SAFETY: Reading the clock has no precondition.
        Self(unsafe { bindings::get_jiffies_64() })
    }

    /// Whether this time is before `other`; the clock may wrap around between the two.
    pub(crate) fn is_before(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i64) < 0
    }

    /// Jiffies since this time.
    pub(crate) fn elapsed(self) -> u64 {
        Self::now().0.wrapping_sub(self.0)
    }

    /// Milliseconds since this time.
    pub(crate) fn elapsed_ms(self) -> u64 {
        // SAFETY: It only computes.
        unsafe { bindings::jiffies64_to_msecs(self.elapsed()) }
    }
}

/// A point in time until which something is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Jiffies);

impl Deadline {
    /// A deadline that has always passed.
    pub(crate) const PAST: Self = Self(Jiffies(0));

    /// The point `secs` seconds and `nsecs` nanoseconds from now.
    ///
    /// A span of 0 is [`Deadline::PAST`]. `nsecs` is limited to less than a second, and a time that
    /// does not fit becomes the maximum that the kernel's timers can express.
    pub(crate) fn after(secs: u64, nsecs: u32) -> Self {
        if secs == 0 && nsecs == 0 {
            return Self::PAST;
        }
        let span = bindings::timespec64 {
            tv_sec: secs as i64,
            // Less than a second fits.
            tv_nsec: nsecs.min(NSEC_PER_SEC - 1) as c_long,
        };
        // SAFETY: `span` is valid for the call, which only reads it.
        let jiffies = unsafe { bindings::timespec64_to_jiffies(&span) };
        Self(Jiffies(Jiffies::now().0.wrapping_add(jiffies as u64)))
    }

    /// Whether the point is before `other`; [`Deadline::PAST`] is before all others.
    pub(crate) fn is_before(self, other: Self) -> bool {
        self.0 .0 < other.0 .0
    }

    /// Whether the point is before now.
    pub(crate) fn has_passed(self) -> bool {
        self.0.is_before(Jiffies::now())
    }
}

/// A [`Deadline`] that is read and replaced without a lock.
pub(crate) struct AtomicDeadline(Atomic<u64>);

impl AtomicDeadline {
    /// Starts at `deadline`.
    pub(crate) const fn new(deadline: Deadline) -> Self {
        Self(Atomic::new(deadline.0 .0))
    }

    /// The deadline; nothing else is ordered by this read.
    pub(crate) fn load(&self) -> Deadline {
        Deadline(Jiffies(self.0.load(Relaxed)))
    }

    /// Replaces the deadline; nothing else is ordered by this write.
    pub(crate) fn store(&self, deadline: Deadline) {
        self.0.store(deadline.0 .0, Relaxed);
    }
}

#[kunit_tests(vfs_deadline)]
mod tests {
    use crate::vfs::sync::deadline::*;

    #[test]
    fn no_time_has_passed_at_once() {
        assert_eq!(Deadline::after(0, 0), Deadline::PAST);
        assert!(Deadline::PAST.has_passed());
    }

    #[test]
    fn a_future_deadline_has_not_passed() {
        assert!(!Deadline::after(1000, 0).has_passed());
        // The minimum time is still a time.
        assert_ne!(Deadline::after(0, 1), Deadline::PAST);
    }

    #[test]
    fn no_time_is_too_long() {
        assert!(!Deadline::after(u64::MAX, u32::MAX).has_passed());
        assert!(!Deadline::after(i64::MAX as u64, 0).has_passed());
    }

    #[test]
    fn nanoseconds_are_less_than_a_second() {
        let Deadline(at_most) = Deadline::after(1, u32::MAX);
        let Deadline(two) = Deadline::after(3, 0);

        assert!(at_most.is_before(two));
    }

    #[test]
    fn the_clock_may_wrap() {
        let before = Jiffies(u64::MAX);
        let after = Jiffies(5);

        assert!(before.is_before(after));
        assert!(!after.is_before(before));
        assert!(!after.is_before(after));
    }

    #[test]
    fn an_atomic_deadline_keeps_what_it_was_given() {
        let deadline = Deadline::after(1000, 0);
        let atomic = AtomicDeadline::new(Deadline::PAST);

        assert!(atomic.load().has_passed());
        atomic.store(deadline);
        assert_eq!(atomic.load(), deadline);
    }
}
