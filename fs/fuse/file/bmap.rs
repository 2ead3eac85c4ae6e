// SPDX-License-Identifier: GPL-2.0

//! BMAP: where a block of a file is on the block device that is mounted (`fuse_bmap()`).
//!
//! Neighbours: `vfs/mm/mapping.rs` calls it for `FIBMAP` and for swap files. No locks.

use crate::{
    fuse::{
        abi::file::BmapIn,
        inode,
        op,
        Fuse, //
    },
    vfs::node::inode::INode, //
};
/// The block of the device; 0 if there is none, or if the server does not say. Sleeps.
pub(super) fn bmap(inode: &INode<Fuse>, block: u64) -> u64 {
    let sb = inode.sb();
    if !sb.has_bdev() {
        return 0;
    }
    let answer = inode::mount(inode).call(op::Bmap {
        node: inode.data().node_id(),
        args: BmapIn {
            block,
            // Block sizes are at most a page.
            blocksize: sb.blocksize() as u32,
            ..BmapIn::default()
        },
    });
    match answer {
        Ok(Some(out)) => out.block,
        // It lacks BMAP, or failed: the VFS has no other answer than that for a hole.
        Ok(None) | Err(_) => 0,
    }
}
