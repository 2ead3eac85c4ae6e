// SPDX-License-Identifier: GPL-2.0

//! Memory of requests: bytes of our own.

use super::{
    folio::FreePage,
    iov::Room,
    piece::Piece, //
};

/// A page that was used: none is.
pub(crate) enum UsedPage {}

/// Bytes.
#[derive(Default)]
pub(crate) struct FolioSegments(pub(crate) Vec<u8>);

impl FolioSegments {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        Piece::of_bytes(self.0.get(at..)?)
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
        if want == 0 {
            return 0;
        }
        source((&mut room[..want]).into()).min(want)
    }

    pub(crate) fn is_replaceable(&mut self, _at: usize) -> bool {
        false
    }

    pub(crate) fn take_page(&mut self, _at: usize, page: FreePage) -> Result<UsedPage, FreePage> {
        match page {}
    }
}
