// SPDX-License-Identifier: GPL-2.0

//! DAX: which parts of which files a device shows in its window of memory.
//!
//! Owns the bookkeeping. The window is cut into ranges of [`LEN`] bytes ([`ranges`]). A range is
//! free, or maps the part of a file that [`tree`] has it for, or has left a file and waits for the
//! server's answer to REMOVEMAPPING. [`reclaim`] says which ranges leave when few are free. Nothing
//! here touches the window or a page: [`Server`] asks the server, and its caller cleans the pages.
//!
//! A mount does not have a window yet, so only the unit tests use this.
//!
//! Locks: that of [`ranges::Pool`], a leaf. A tree has none: `&mut Tree` is the exclusive side of
//! the lock around it, `&Tree` the shared side.

mod ranges;
mod reclaim;
mod tree;
mod tree_test;

use crate::fuse::abi::file::{
    RemovemappingOne,
    SetupmappingIn, //
};
use kernel::prelude::*;

/// log2 of [`LEN`] (`FUSE_DAX_SHIFT`).
const SHIFT: u32 = 21;

/// Length of a range, in bytes (`FUSE_DAX_SZ`).
const LEN: u64 = 1 << SHIFT;

/// Why a part of a file was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// The server has answered so: it has mapped nothing.
    Refused(Error),
    /// The caller does not wait for the answer, or there will be none. The server may map the part
    /// at any time.
    Unanswered(Error),
}

/// The server of one file.
trait Server {
    /// Sends SETUPMAPPING. Sleeps.
    ///
    /// # Errors
    ///
    /// See [`Failed`].
    fn set_up(&self, args: SetupmappingIn) -> Result<(), Failed>;

    /// Sends REMOVEMAPPING; returns when the server has answered that it was done. Sleeps.
    ///
    /// # Errors
    ///
    /// The server's, or why there is no answer. The server may still have some of them mapped.
    fn remove(&self, mappings: &[RemovemappingOne]) -> Result;
}
