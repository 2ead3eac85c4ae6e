// SPDX-License-Identifier: GPL-2.0

//! The ids of one connection's messages.
//!
//! They belong to the channel, because requests may be queued in several places that share no lock.
//! A queue that takes an id under its own lock keeps its requests in the order of their ids.
//!
//! No locks.

use crate::fuse::abi::Unique;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Ids step by two: the odd id after each names its INTERRUPT.
const STEP: u64 = 2;

/// Generates ids (`fiq->reqctr`).
pub(crate) struct UniqueIds {
    last: Atomic<u64>,
}

impl UniqueIds {
    /// No id is assigned yet.
    pub(crate) const fn new() -> Self {
        Self {
            last: Atomic::new(0),
        }
    }

    /// The next id: even, and not 0 before all are used up.
    #[inline]
    pub(crate) fn next(&self) -> Unique {
        Unique::new(self.last.fetch_add(STEP, Relaxed).wrapping_add(STEP))
    }
}
