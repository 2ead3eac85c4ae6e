// SPDX-License-Identifier: GPL-2.0

//! Random numbers, of which there is one: two keys are the same.

pub(crate) fn random_u32() -> u32 {
    4
}
