// SPDX-License-Identifier: GPL-2.0

//! Pages that the server has said are not true any more: they are dropped, or marked.
//!
//! `notify` comes in through [`invalidate`], in a thread of the server, and waits for nothing that this
//! server may have to do. What it leaves (`inode/outdated.rs`) is dropped by the next user of the page
//! cache: reads, writes, faults and splices ask [`settle`] first, and wait for what is being read in.
//! They do not wait for dirty pages: these are what the file is going to have.
//!
//! Locks: those of folios, by trying.

use super::writeback;
use crate::{
    fuse::Fuse,
    vfs::{
        mm::outdated::Left,
        node::inode::INode, //
    },
};
use kernel::prelude::*;

/// The server says that the pages `first` to `last` of the file are not true any more. Returns what could
/// not be dropped at once; it is marked. Waits for no lock of a folio.
pub(crate) fn invalidate(inode: &INode<Fuse>, first: u64, last: u64) -> Left {
    // Before anything is dropped: what is read in from now on is newer.
    inode.data().mark_outdated(first, last);
    drop_marked(inode)
}

/// Drops what is marked of the file, and returns what could not be. Waits for no lock of a folio.
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

/// The page cache of the file is about to be used: nothing is in it from before the server has said that
/// it is not true. Sleeps, if something is marked.
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
