// SPDX-License-Identifier: GPL-2.0

//! Pages that a server gets: the servers of the scenarios have copies only.

use super::uring::Access;
use crate::vfs::mm::piece::HeldPieces;
use kernel::prelude::*;

/// Keeps nothing.
#[derive(Clone)]
pub(crate) struct Anchor;

impl Anchor {
    pub(crate) fn new<M>() -> Result<Self> {
        Ok(Self)
    }
}

/// Is never made.
pub(crate) enum Slot {}

impl Access<'_> {
    pub(crate) fn lend_pages(
        &self,
        _index: u16,
        _pages: HeldPieces,
        _fills: bool,
        _anchor: &Anchor,
    ) -> Result<Slot> {
        Err(EINVAL)
    }

    pub(crate) fn take_pages_back(&self, slot: Slot) {
        match slot {}
    }
}
