// SPDX-License-Identifier: GPL-2.0

//! READLINK: where a symbolic link points.
//!
//! The VFS comes in through [`get_link`]. Once the server has said that its links may be cached, a
//! target is read from it into the page cache of the link ([`Targets`]), and stays there until the
//! server invalidates it. Otherwise it is read each time, and the memory it is in belongs to the
//! VFS until the link has been followed. Takes no lock; the VFS locks the folio.

use crate::{
    fuse::{
        conn::mount::Mount,
        inode::{
            attr_cache::invalidate_atime,
            check_good,
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        mm::mapping,
        node::{
            inode::{
                INode,
                Kept, //
            },
            inode_ops::Link,
            walk::Walk, //
        },
    },
};
use kernel::prelude::*;

/// The VFS follows the link `inode`.
///
/// # Errors
///
/// `EIO` for a bad inode, `ECHILD` in RCU walk if the server has to be asked, `ENOMEM`, else what
/// the server answers.
pub(crate) fn get_link(inode: Walk<'_, INode<Fuse>>) -> Result<Link> {
    let view = inode.view();
    check_good(view)?;
    if mount(view).conn().features().cache_symlinks {
        return Ok(Link::cached());
    }
    let inode = inode.may_block()?;
    Link::owned(read(inode, |mount, query| {
        mount.call_or_abandon(query, || Kept::from(inode))
    })?)
}

/// What the page cache of a link gets.
pub(super) struct Targets;

impl mapping::Targets<Fuse> for Targets {
    fn read_target(inode: &INode<Fuse>) -> Result<KVVec<u8>> {
        // The folio that the target goes to is locked until then.
        read(inode, |mount, query| mount.call(query))
    }
}

/// Asks the server by `call` where `inode` points. May sleep.
fn read(
    inode: &INode<Fuse>,
    call: impl FnOnce(&Mount, op::Readlink) -> Result<KVVec<u8>>,
) -> Result<KVVec<u8>> {
    let query = op::Readlink {
        node: inode.data().node_id(),
    };
    let target = call(mount(inode), query);
    // Reading a link changes its access time, on the server that we do not see.
    invalidate_atime(inode);
    target
}
