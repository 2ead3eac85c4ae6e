// SPDX-License-Identifier: GPL-2.0

//! Pages of a caller: bytes of our own.

use super::{
    iov::{
        Room,
        Rooms,
        SharedBytes, //
    },
    piece::Piece, //
};

/// Bytes.
#[derive(Default)]
pub(crate) struct CallerPages(pub(crate) Vec<u8>);

impl CallerPages {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn room(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        Piece::of_bytes(self.0.get(at..)?)
    }

    pub(crate) fn with_bytes<R>(
        &self,
        at: usize,
        f: impl FnOnce(SharedBytes<'_>) -> R,
    ) -> Option<R> {
        self.piece(at).map(|piece| piece.with_bytes(f))
    }

    pub(crate) fn room_piece(&self, at: usize) -> Option<Piece<'_>> {
        self.piece(at)
    }
}

impl Rooms for CallerPages {
    fn with_room<R>(&mut self, at: usize, f: impl FnOnce(Room<'_>) -> R) -> Option<R> {
        let room = self.0.get_mut(at..).filter(|room| !room.is_empty())?;
        Some(f(room.into()))
    }
}
