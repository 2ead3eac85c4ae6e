// SPDX-License-Identifier: GPL-2.0

//! Processors, by number.

use crate::vfs::bindings;
use kernel::cpu::CpuId;

/// The processor that this runs on, or has just run on.
pub(crate) fn current() -> usize {
    CpuId::current().as_u32() as usize
}

/// The number of possible processors (`num_possible_cpus()`).
pub(crate) fn num_possible() -> usize {
    // SAFETY: It may be called in any context.
    unsafe { bindings::num_possible_cpus() as usize }
}
