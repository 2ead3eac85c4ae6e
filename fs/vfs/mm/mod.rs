// SPDX-License-Identifier: GPL-2.0

//! Memory: user buffers, folios, the page cache.

pub(crate) mod folio;
pub(crate) mod iomap;
pub(crate) mod iov;
