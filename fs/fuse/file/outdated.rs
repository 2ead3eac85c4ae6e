// SPDX-License-Identifier: GPL-2.0

//! Pages that the server has invalidated: they are dropped, or marked.
//!
//! `notify` calls [`invalidate`], in a thread of the server, which does not wait for anything that
//! this server may have to do. Pages that are left (`inode/outdated.rs`) are dropped by the next
//! user of the page cache: reads, writes, faults and splices call [`settle`] first, and wait for
//! pages that are being read in. They do not wait for dirty pages, whose contents the file is going
//! to have.
//!
//! Locks: those of folios, with trylock.

use super::writeback;
use crate::{
    fuse::Fuse,
    vfs::{
        mm::outdated::Left,
        node::inode::INode, //
    },
};
use kernel::prelude::*;

/// The server has invalidated the pages `first` to `last` of the file. Returns the pages that could
/// not be dropped at once, which are marked. Waits for no lock of a folio.
pub(crate) fn invalidate(inode: &INode<Fuse>, first: u64, last: u64) -> Left {
    // Before pages are dropped: those that are read in from now on are newer.
    inode.data().mark_outdated(first, last);
    drop_marked(inode)
}

/// Drops the marked pages of the file, and returns those that could not be dropped. Waits for no
/// lock of a folio.
pub(crate) fn drop_marked(inode: &INode<Fuse>) -> Left {
    let Some(mark) = inode.data().outdated() else {
        return Left::default();
    };
    let left = inode.drop_idle(mark.first, mark.last, writeback::writepages);
    if left.is_nothing() {
        inode.data().unmark_outdated(mark);
    }
    left
}

/// Makes sure that the page cache of the file, which is about to be used, has no pages from before
/// the server has invalidated them. Sleeps, if pages are marked.
///
/// # Errors
///
/// `EINTR` if the caller is being killed.
#[inline]
pub(super) fn settle(inode: &INode<Fuse>) -> Result {
    if inode.data().is_outdated() {
        return wait(inode);
    }
    Ok(())
}

#[cold]
fn wait(inode: &INode<Fuse>) -> Result {
    while let Some(folio) = drop_marked(inode).locked {
        folio.wait_unlocked()?;
    }
    Ok(())
}
