// SPDX-License-Identifier: GPL-2.0

//! UNLINK and RMDIR: a name goes.
//!
//! The node stays until the last user and the last name of it are gone; what is known at once is
//! that it has one name less. The VFS makes the entry negative, or drops it.
//!
//! Directory and inode are locked exclusively by the VFS. Takes no lock of its own, but waits for
//! lookups that were abandoned (`inode/dirops.rs`).

use super::entry::{
    expire,
    invalidate, //
};
use crate::{
    fuse::{
        inode::{
            attr_cache,
            check_good,
            dirops::wait_for_turn,
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::node::{
        dentry::{
            DEntry,
            Named, //
        },
        inode::INode, //
    },
};
use kernel::prelude::*;

/// The VFS removes the name `entry` of `inode` from `dir`. May sleep.
///
/// # Errors
///
/// `EIO` for a bad directory, `EINTR`, else what the server answers.
pub(super) fn unlink(dir: &INode<Fuse>, entry: Named<'_, Fuse>, inode: &INode<Fuse>) -> Result {
    check_good(dir)?;
    wait_for_turn(dir)?;
    let result = mount(dir).call(op::Unlink {
        dir: dir.data().node_id(),
        name: entry.name(),
    });
    finish(dir, entry.dentry(), inode, result)
}

/// The VFS removes the directory `inode`, which is `entry` in `dir`. May sleep.
///
/// # Errors
///
/// As [`unlink`].
pub(super) fn rmdir(dir: &INode<Fuse>, entry: Named<'_, Fuse>, inode: &INode<Fuse>) -> Result {
    check_good(dir)?;
    wait_for_turn(dir)?;
    wait_for_turn(inode)?;
    let result = mount(dir).call(op::Rmdir {
        dir: dir.data().node_id(),
        name: entry.name(),
    });
    finish(dir, entry.dentry(), inode, result)
}

fn finish(dir: &INode<Fuse>, entry: &DEntry<Fuse>, inode: &INode<Fuse>, result: Result) -> Result {
    match result {
        Ok(()) => {
            attr_cache::dir_changed(dir);
            unlinked(entry, inode);
        }
        Err(error) if is_doubtful(error) => invalidate(entry),
        Err(_) => (),
    }
    result
}

/// `entry` does not stand for `inode` any more.
pub(super) fn unlinked(entry: &DEntry<Fuse>, inode: &INode<Fuse>) {
    attr_cache::unlinked(inode);
    // The entry is about to say that there is nothing, for how long nobody knows.
    expire(entry);
}

/// Whether after this error nobody knows what the names stand for: the request may have been
/// carried out, or somebody else may have been faster.
pub(super) fn is_doubtful(error: Error) -> bool {
    error == EINTR || error == ENOENT
}
