// SPDX-License-Identifier: GPL-2.0

//! Memory of requests: bytes of our own.

use super::{
    folio::FreePage,
    iov::{
        Room,
        Rooms, //
    },
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

    pub(crate) fn is_replaceable(&mut self, _at: usize) -> bool {
        false
    }

    pub(crate) fn take_page(&mut self, _at: usize, page: FreePage) -> Result<UsedPage, FreePage> {
        match page {}
    }
}

impl Rooms for FolioSegments {
    fn with_room<R>(&mut self, at: usize, f: impl FnOnce(Room<'_>) -> R) -> Option<R> {
        let room = self.0.get_mut(at..).filter(|room| !room.is_empty())?;
        Some(f(room.into()))
    }
}
