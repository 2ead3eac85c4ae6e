// SPDX-License-Identifier: GPL-2.0

//! Random numbers, fit for keys.

use crate::vfs::bindings;

/// A random number. May be called anywhere.
pub(crate) fn random_u32() -> u32 {
    // SAFETY: No requirements.
    unsafe { bindings::get_random_u32() }
}
