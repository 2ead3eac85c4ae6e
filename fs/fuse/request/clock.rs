// SPDX-License-Identifier: GPL-2.0

//! The clock of one request: when it entered the current part of its life.
//!
//! The clock is stopped unless the connection measures; it then costs the read of one word. One
//! word suffices, because a part ends where the next begins. The word names its part, so that a
//! request that was in flight when the measuring began or ended is not counted wrongly.
//!
//! No locks: the holder of the request's token writes, and the waiter after the request's end.

use crate::vfs::sync::deadline::nanoseconds;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    }, //
};

/// A part of the life of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Part {
    /// From its queueing, in the background or for a reader, until a reader takes it.
    Queue = 1,
    /// From then until its reply comes.
    Service = 2,
    /// From its end until its waiter runs.
    Wakeup = 3,
}

/// Bits that name the part, below those of the time.
const PART_BITS: u32 = 2;

/// A clock that may be stopped.
pub(crate) struct Clock(Atomic<u64>);

impl Clock {
    /// A stopped clock.
    pub(super) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Whether the clock runs.
    #[inline(always)]
    pub(crate) fn runs(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// `part` begins now.
    pub(crate) fn begin(&self, part: Part) {
        self.set(part, nanoseconds());
    }

    fn set(&self, part: Part, now: u64) {
        self.0.store((now << PART_BITS) | part as u64, Relaxed);
    }

    /// `part` ends now: returns its duration in nanoseconds, or [`None`] if the clock was not in
    /// that part. `next` begins, if there is one.
    pub(crate) fn end(&self, part: Part, next: Option<Part>) -> Option<u64> {
        let then = self.0.load(Relaxed);
        let now = nanoseconds();
        if let Some(next) = next {
            self.set(next, now);
        }
        let was_in = then & ((1 << PART_BITS) - 1) == part as u64;
        was_in.then(|| now.saturating_sub(then >> PART_BITS))
    }
}

#[kunit_tests(ferrofuse_clock)]
mod tests {
    use super::*;

    #[test]
    fn stands_still() {
        let clock = Clock::new();
        assert!(!clock.runs());
        assert_eq!(clock.end(Part::Queue, None), None);
        assert!(!clock.runs());
    }

    #[test]
    fn a_part_ends_where_the_next_begins() {
        let clock = Clock::new();
        let start = nanoseconds();
        clock.begin(Part::Queue);
        assert!(clock.runs());
        let queue = clock.end(Part::Queue, Some(Part::Service));
        let service = clock.end(Part::Service, Some(Part::Wakeup));
        let all = nanoseconds() - start;
        let sum = queue.unwrap_or(all).saturating_add(service.unwrap_or(all));
        assert!(sum <= all);
    }

    #[test]
    fn it_is_in_one_part() {
        let clock = Clock::new();
        clock.begin(Part::Queue);
        assert_eq!(clock.end(Part::Service, None), None);
        assert!(clock.end(Part::Queue, None).is_some());
        assert_eq!(clock.end(Part::Wakeup, Some(Part::Service)), None);
        assert!(clock.end(Part::Service, None).is_some());
    }
}
