// SPDX-License-Identifier: GPL-2.0

//! Folios: none. No server gives a page away, and pieces are of no folio.

/// A folio that is referred to: none is.
pub(crate) enum Folio {}

/// A page that was given away: none is.
pub(crate) enum FreePage {}
