// SPDX-License-Identifier: GPL-2.0

//! Barriers.

pub use super::atomic::Full;
use crate::rt::raw::{
    fence,
    Ordering, //
};

/// Between loads.
pub struct Read;

/// Between stores.
pub struct Write;

/// What a barrier is between.
pub trait Between {
    fn barrier();
}

impl Between for Full {
    #[track_caller]
    fn barrier() {
        crate::rt::full_barrier();
    }
}

impl Between for Read {
    #[track_caller]
    fn barrier() {
        fence(Ordering::Acquire);
    }
}

impl Between for Write {
    #[track_caller]
    fn barrier() {
        fence(Ordering::Release);
    }
}

/// A barrier of this kind.
#[track_caller]
pub fn smp_mb<B: Between>(_: B) {
    B::barrier();
}
