// SPDX-License-Identifier: GPL-2.0

//! RETRIEVE: the server wants cached data of a file (`fuse_notify_retrieve()`).
//!
//! The answer is a request, NOTIFY_REPLY, under the id that the server gave. It owns references to
//! its folios, and is sent by `conn/call.rs`.
//!
//! Locks: the super block's handle.

use super::{
    cached_file,
    Notifications, //
};
use crate::{
    fuse::{
        abi::{
            notify::NotifyRetrieveIn,
            NodeId,
            Unique, //
        },
        file::outdated::drop_marked,
        op::{
            self,
            Unsplit, //
        },
        Fuse, //
    },
    vfs::{
        mm::cached::{
            self,
            CachedRanges, //
        },
        node::inode::INode, //
    },
};
use kernel::prelude::*;

impl Notifications {
    /// Sends cached data of a file, from an offset on.
    pub(super) fn retrieve(
        &self,
        unique: Unique,
        node: NodeId,
        offset: u64,
        size: usize,
    ) -> Result {
        self.with_super(|sb| {
            let inode = cached_file(sb, node)?;
            // Pages that the server has invalidated do not count as cached.
            drop_marked(&inode);
            let ranges = self.cached_ranges(&inode, offset, size)?;
            let answer = op::NotifyReply {
                node,
                args: Unsplit(NotifyRetrieveIn {
                    offset,
                    // The maximum is the requested size.
                    size: ranges.len() as u32,
                    ..NotifyRetrieveIn::default()
                }),
                data: ranges,
            };
            self.mount.post_reply(unique, answer)
        })
    }

    /// The cached data without a gap from `pos` on: up to `size` bytes of the file, and as much as
    /// one request can carry.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn cached_ranges(&self, inode: &INode<Fuse>, pos: u64, size: usize) -> Result<CachedRanges> {
        let features = self.mount.conn().features();
        let behind = (inode.size().max(0) as u64).saturating_sub(pos);
        let max_bytes = size
            .min(features.max_write as usize)
            .min(usize::try_from(behind).unwrap_or(usize::MAX));
        let (max_pages, max_bytes) = features.within_pages(pos, max_bytes);

        let mut ranges = CachedRanges::with_capacity(max_pages)?;
        while ranges.ranges() < max_pages {
            let left = max_bytes.saturating_sub(ranges.len());
            if left == 0 {
                break;
            }
            let Some(range) = cached::find(inode, pos + ranges.len() as u64, left) else {
                break;
            };
            if ranges.push(range).is_err() {
                break;
            }
        }
        Ok(ranges)
    }
}
