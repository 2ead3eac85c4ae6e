// SPDX-License-Identifier: GPL-2.0

//! Events of a polled file.

/// Some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PollEvents(u32);

impl PollEvents {
    pub(crate) const READABLE: Self = Self(1);
    pub(crate) const WRITABLE: Self = Self(4);
    pub(crate) const ERROR: Self = Self(8);
}

impl core::ops::BitOr for PollEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
