// SPDX-License-Identifier: GPL-2.0

//! Memory: user buffers, folios, the page cache.

pub(crate) mod cached;
pub(crate) mod caller;
#[cfg(CONFIG_KUNIT = "y")]
mod caller_test;
pub(crate) mod dir_page;
pub(crate) mod folio;
pub(crate) mod iomap;
pub(crate) mod iov;
pub(crate) mod mapping;
pub(crate) mod outdated;
pub(crate) mod piece;
#[cfg(CONFIG_KUNIT = "y")]
mod piece_test;
pub(crate) mod segment;
#[cfg(CONFIG_KUNIT = "y")]
mod segment_test;
pub(crate) mod vm;
pub(crate) mod writeback;
