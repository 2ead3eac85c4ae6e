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

/// How often a target is read that the server says is not true while it has the READLINK.
const MAX_TRIES: u32 = 8;

/// What the page cache of a link gets.
pub(super) struct Targets;

impl mapping::Targets<Fuse> for Targets {
    fn read_target(inode: &INode<Fuse>) -> Result<KVVec<u8>> {
        let mut tries = 0;
        loop {
            let before = inode.data().names_invalidated();
            // The folio that the target goes to is locked until then.
            let target = read(inode, |mount, query| mount.call(query))?;
            tries += 1;
            // The server may say meanwhile that it is not true, and the notification does not wait for
            // the folio.
            if inode.data().names_invalidated() == before || tries == MAX_TRIES {
                return Ok(target);
            }
        }
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
