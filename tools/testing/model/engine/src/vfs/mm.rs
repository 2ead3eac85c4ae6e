// SPDX-License-Identifier: GPL-2.0

//! Memory: copies to and from users as in the tree, and stand-ins for pages.

pub(crate) mod cached;
pub(crate) mod caller;
pub(crate) mod folio;
#[path = "../../../../../../fs/vfs/mm/iov.rs"]
pub(crate) mod iov;
pub(crate) mod piece;
pub(crate) mod segment;
pub(crate) mod writeback;
