// SPDX-License-Identifier: GPL-2.0

//! Folios: bytes of our own. No server gives a page away.

use super::iov::{
    Room,
    SharedBytes, //
};

/// A folio that is referred to: none is.
pub(crate) enum Folio {}

/// A page that was given away: none is.
pub(crate) enum FreePage {}

/// A page that was used: none is.
pub(crate) enum UsedPage {}

/// Bytes.
#[derive(Default)]
pub(crate) struct FolioSegments(pub(crate) Vec<u8>);

impl FolioSegments {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn with_bytes<R>(
        &mut self,
        at: usize,
        f: impl FnOnce(SharedBytes<'_>) -> R,
    ) -> Option<R> {
        let bytes = self.0.get(at..).filter(|bytes| !bytes.is_empty())?;
        Some(f(bytes.into()))
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
