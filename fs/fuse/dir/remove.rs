// SPDX-License-Identifier: GPL-2.0

//! UNLINK and RMDIR: a name is removed.
//!
//! The node stays until its last user and its last name are gone; only the number of links is known
//! at once. The VFS makes the entry negative, or drops it.
//!
//! Directory and inode are locked exclusively by the VFS. Takes no lock of its own, but waits for
//! abandoned lookups (`inode/dirops.rs`).

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

/// Removes the name `entry` of `inode` from `dir`. May sleep.
///
/// # Errors
///
/// `EIO` for a bad directory, `EINTR`, otherwise the server's error.
pub(super) fn unlink(dir: &INode<Fuse>, entry: Named<'_, Fuse>, inode: &INode<Fuse>) -> Result {
    check_good(dir)?;
    wait_for_turn(dir)?;
    let result = mount(dir).call(op::Unlink {
        dir: dir.data().node_id(),
        name: entry.name(),
    });
    finish(dir, entry.dentry(), inode, result)
}

/// Removes the directory `inode`, which is `entry` in `dir`. May sleep.
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

/// Notes that `entry` does not stand for `inode` any more.
pub(super) fn unlinked(entry: &DEntry<Fuse>, inode: &INode<Fuse>) {
    attr_cache::unlinked(inode);
    // The entry becomes negative, with no deadline from the server.
    expire(entry);
}

/// Whether after this error it is unknown what the names stand for: the request may have been
/// carried out, or another client may have changed them before.
pub(super) fn is_doubtful(error: Error) -> bool {
    error == EINTR || error == ENOENT
}
