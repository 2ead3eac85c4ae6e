// SPDX-License-Identifier: GPL-2.0

//! Barriers.

pub use super::atomic::Full;

/// A full barrier.
pub fn smp_mb(_: Full) {
    crate::rt::full_barrier();
}
