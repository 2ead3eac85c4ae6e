// SPDX-License-Identifier: GPL-2.0

//! READLINK: the target of a symbolic link.
//!
//! The VFS calls [`get_link`]. If the server has said that its links may be cached, a target is
//! read into the page cache of the link ([`Targets`]), and stays there until the server invalidates
//! it. Otherwise it is requested each time, and its memory belongs to the VFS until the link has
//! been followed. Takes no lock; the VFS locks the folio.

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

/// Returns the target of the link `inode` for the VFS to follow.
///
/// # Errors
///
/// `EIO` for a bad inode, `ECHILD` in RCU walk if the server has to be asked, `ENOMEM`, otherwise
/// the server's error.
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

/// Maximum number of times that a target is read which the server invalidates during the READLINK.
const MAX_TRIES: u32 = 8;

/// Reads targets into the page cache of a link.
pub(super) struct Targets;

impl mapping::Targets<Fuse> for Targets {
    fn read_target(inode: &INode<Fuse>) -> Result<KVVec<u8>> {
        let mut tries = 0;
        loop {
            let before = inode.data().names_invalidated();
            // The folio for the target is locked until then.
            let target = read(inode, |mount, query| mount.call(query))?;
            tries += 1;
            // The server may invalidate it meanwhile, and the notification does not wait for the
            // folio.
            if inode.data().names_invalidated() == before || tries == MAX_TRIES {
                return Ok(target);
            }
        }
    }
}

/// Requests the target of `inode` through `call`. May sleep.
fn read(
    inode: &INode<Fuse>,
    call: impl FnOnce(&Mount, op::Readlink) -> Result<KVVec<u8>>,
) -> Result<KVVec<u8>> {
    let query = op::Readlink {
        node: inode.data().node_id(),
    };
    let target = call(mount(inode), query);
    // Reading a link changes its access time on the server, unseen by the kernel.
    invalidate_atime(inode);
    target
}
