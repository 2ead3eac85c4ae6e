// SPDX-License-Identifier: GPL-2.0

//! Pages of a caller: bytes of our own.

use super::{
    iov::Room,
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

    pub(crate) fn room_piece(&self, at: usize) -> Option<Piece<'_>> {
        self.piece(at)
    }

    pub(crate) fn fill(
        &mut self,
        at: usize,
        want: usize,
        mut source: impl FnMut(Room<'_>) -> usize,
    ) -> usize {
        let Some(room) = self.0.get_mut(at..) else {
            return 0;
        };
        let want = want.min(room.len());
        source((&mut room[..want]).into()).min(want)
    }
}
