// SPDX-License-Identifier: GPL-2.0

//! PRUNE: the server wants cached nodes that are not in use to be forgotten.

use super::Notifications;
use crate::fuse::{abi::NodeId, channel::owner::Payload, inode};
use kernel::prelude::*;
use zerocopy::IntoBytes;

/// Number of nodes that are taken from the payload at once.
const BATCH: usize = 64;

impl Notifications {
    /// Drops the unused names of each node of a list, so that it can be forgotten.
    pub(super) fn prune(&self, count: usize, payload: &mut dyn Payload) -> Result {
        let mut left = count;
        let mut nodes = [NodeId::NONE; BATCH];
        while left != 0 {
            let batch = nodes.get_mut(..left.min(BATCH)).ok_or(EINVAL)?;
            payload.take(batch.as_mut_bytes())?;
            left -= batch.len();
            self.mount.conn().mounts().for_each(|sb| {
                for node in batch.iter() {
                    if let Some(inode) = inode::cached(sb, *node) {
                        inode.prune_aliases();
                    }
                }
            });
        }
        Ok(())
    }
}
