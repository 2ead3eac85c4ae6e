// SPDX-License-Identifier: GPL-2.0

//! Pieces of messages: bytes of our own.

use super::iov::SharedBytes;
use kernel::prelude::*;

/// Bytes; not none.
pub(crate) struct Piece<'a>(&'a [u8]);

impl<'a> Piece<'a> {
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn with_bytes<R>(&self, f: impl FnOnce(SharedBytes<'_>) -> R) -> R {
        f(self.0.into())
    }
}

pub(crate) fn in_turn<'a>(
    piece: impl Fn(usize) -> Option<Piece<'a>>,
) -> impl Iterator<Item = Piece<'a>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let next = piece(at)?;
        at += next.len();
        Some(next)
    })
}

/// Pieces of our own lie apart.
pub(crate) fn merged<'a>(
    pieces: impl Iterator<Item = Piece<'a>>,
) -> impl Iterator<Item = Piece<'a>> {
    pieces
}

/// Holds nothing: no scenario gives pages away.
pub(crate) struct HeldPieces;

impl HeldPieces {
    pub(crate) fn with_capacity(_max: usize) -> Result<Self> {
        Ok(Self)
    }

    pub(crate) fn push(&mut self, _piece: &Piece<'_>) -> Result {
        Ok(())
    }
}
