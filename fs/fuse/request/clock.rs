// SPDX-License-Identifier: GPL-2.0

//! The clock of one request: when it entered the part of its life that it is in.
//!
//! It stands still, and costs a look at one word, unless the connection measures. One word is
//! enough: a part ends where the next begins. It says which part it is, so that a request which
//! was on its way when the measuring began or ended is not counted for what it is not.
//!
//! No locks: who holds the request's token writes, and the waiter after its end.

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
    /// From when it is queued, in the background or for a reader, until a reader takes it.
    Queue = 1,
    /// From then until its answer comes.
    Service = 2,
    /// From its end until the one who waits runs.
    Wakeup = 3,
}

/// Bits that say which part it is, below those of the time.
const PART_BITS: u32 = 2;

/// A clock that may stand still.
pub(crate) struct Clock(Atomic<u64>);

impl Clock {
    /// One that stands still.
    pub(super) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Whether it runs.
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

    /// `part` ends now, and what it took, in nanoseconds; [`None`] if it was not in that part.
    /// `next` begins, if there is one.
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
