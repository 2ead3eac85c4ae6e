// SPDX-License-Identifier: GPL-2.0

//! READLINK: where a symbolic link points.
//!
//! The VFS comes in through [`get_link`]; the target is read from the server each time, and the
//! memory it is in belongs to the VFS until the link has been followed. Takes no lock.

use crate::{
    fuse::{
        inode::{
            attr_cache::invalidate_atime,
            check_good,
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        inode::INode,
        inode_ops::Link,
        Walk, //
    },
};
use kernel::prelude::*;

/// The VFS follows the link `inode`.
///
/// # Errors
///
/// `EIO` for a bad inode, `ECHILD` in RCU walk, since the server has to be asked, `ENOMEM`, else
/// what the server answers.
pub(crate) fn get_link(inode: Walk<'_, INode<Fuse>>) -> Result<Link> {
    check_good(inode.view())?;
    let inode = inode.may_block()?;
    let target = mount(inode).call(op::Readlink {
        node: inode.data().node_id(),
    });
    // Reading a link changes its access time, on the server that we do not see.
    invalidate_atime(inode);
    Link::owned(target?)
}
