// SPDX-License-Identifier: GPL-2.0

//! LINK: another name for a node.
//!
//! This gives an inode to an entry as for a new node (`dir/create.rs`), but the reply has to name a
//! node that the kernel knows, whose attributes it also has. A server that answers ENOSYS has no
//! hard links, and its callers get `EPERM`.
//!
//! Directory and inode are locked exclusively by the VFS. Takes no lock of its own.

use super::create::new_entry;
use crate::{
    fuse::{
        abi::node::LinkIn,
        inode::attr_cache,
        op,
        Fuse, //
    },
    vfs::{
        cred::Idmap,
        node::{
            dentry::Vacant,
            inode::INode, //
        },
    },
};
use kernel::prelude::*;

/// Gives `inode` the name `entry` in `dir`. May sleep.
///
/// # Errors
///
/// `EPERM` if the server has no hard links, otherwise as [`new_entry`]. After `EINTR` the link may
/// or may not exist, and the attributes are fetched again.
pub(super) fn link(inode: &INode<Fuse>, dir: &INode<Fuse>, entry: Vacant<'_, Fuse>) -> Result {
    let op = op::Link {
        dir: dir.data().node_id(),
        args: LinkIn {
            oldnodeid: inode.data().node_id(),
        },
        name: entry.name(),
    };
    // Only a directory can have another entry already, and there are no links to those.
    let file_type = inode.file_type().ok_or(EIO)?;
    // The node exists already, and keeps its owner.
    new_entry(Idmap::invalid(), dir, entry, file_type, op).inspect_err(|error| {
        if *error == EINTR {
            attr_cache::invalidate(inode);
        }
    })?;
    // The reply has the server's change time, but the kernel may own that.
    attr_cache::touch_owned_ctime(inode);
    Ok(())
}
