// SPDX-License-Identifier: GPL-2.0

//! Pieces of messages: bytes of our own.

use super::iov::SharedBytes;

/// Bytes; not none.
pub(crate) struct Piece<'a>(&'a [u8]);

impl<'a> Piece<'a> {
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    pub(crate) fn with_bytes<R>(&self, f: impl FnOnce(SharedBytes<'_>) -> R) -> R {
        f(self.0.into())
    }
}
