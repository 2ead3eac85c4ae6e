// SPDX-License-Identifier: GPL-2.0

//! Parts of the page cache: bytes of our own.

use super::piece::Piece;

/// Bytes.
#[derive(Default)]
pub(crate) struct CachedRanges(pub(crate) Vec<u8>);

impl CachedRanges {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        Piece::of_bytes(self.0.get(at..)?)
    }
}
