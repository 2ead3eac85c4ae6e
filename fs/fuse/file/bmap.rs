// SPDX-License-Identifier: GPL-2.0

//! BMAP: the block of a file on the block device that is mounted (`fuse_bmap()`).
//!
//! `vfs/mm/mapping.rs` calls this for `FIBMAP` and for swap files. No locks.

use crate::{
    fuse::{
        abi::file::BmapIn,
        inode,
        op,
        Fuse, //
    },
    vfs::node::inode::{
        INode,
        Kept, //
    },
};
/// The block of the device; 0 if there is none, or if the server does not answer. Sleeps.
pub(super) fn bmap(inode: &INode<Fuse>, block: u64) -> u64 {
    let sb = inode.sb();
    if !sb.has_bdev() {
        return 0;
    }
    let query = op::Bmap {
        node: inode.data().node_id(),
        args: BmapIn {
            block,
            // The maximum block size is a page.
            blocksize: sb.blocksize() as u32,
            ..BmapIn::default()
        },
    };
    let answer = inode::mount(inode).call_or_abandon(query, || Kept::from(inode));
    match answer {
        Ok(Some(out)) => out.block,
        // It lacks BMAP, or failed: the VFS has only the answer for a hole.
        Ok(None) | Err(_) => 0,
    }
}
