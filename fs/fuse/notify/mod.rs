// SPDX-License-Identifier: GPL-2.0

//! Notifications of the server: implements the transport's `ChannelOwner`. The files that a server
//! registers belong to the connection (`conn/backing.rs`).
//!
//! Runs in the server's own thread. The super block is accessed through its handle, whose lock
//! prevents its shutdown meanwhile; that lock is outside inode, dentry and folio locks.

mod epoch;
mod inval;
mod left;
mod message;
mod prune;
mod retrieve;
mod store;

use self::{
    epoch::OldNames,
    left::LeftFiles,
    message::{
        Bounds,
        Message, //
    }, //
};
use crate::{
    fuse::{
        abi::{
            device::BackingMap,
            NodeId, //
        },
        channel::owner::{
            ChannelOwner,
            Payload, //
        },
        conn::mount::Mount,
        inode,
        Fuse, //
    },
    vfs::{
        mount::sb::{
            New,
            SuperBlock, //
        },
        node::{
            held::Held,
            inode::INode, //
        },
        sync::watchdog::Watchdog, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc,
    time::msecs_to_jiffies, //
};

/// Handles the notifications for one connection.
pub(crate) struct Notifications {
    /// Its first mount.
    mount: Arc<Mount>,
    /// The names that may be of an earlier epoch.
    old_names: OldNames,
    /// Drops outdated pages that are left.
    left: Pin<KBox<Watchdog<LeftFiles>>>,
}

impl Notifications {
    /// For the connection of `mount`, which is its first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(mount: Arc<Mount>) -> Result<Self> {
        let old_names = OldNames::new(mount.clone())?;
        let left = Watchdog::idle(LeftFiles::new()?, msecs_to_jiffies(left::PERIOD))?;
        Ok(Self {
            mount,
            old_names,
            left,
        })
    }

    /// Runs `f` with each super block of the connection until it finds the node there.
    ///
    /// # Errors
    ///
    /// `ENOENT` if none has it, and the other errors of `f`.
    fn with_super(&self, mut f: impl FnMut(&SuperBlock<Fuse>) -> Result) -> Result {
        let found = self.mount.conn().mounts().find(|sb| match f(sb) {
            Err(error) if error == ENOENT => None,
            found => Some(found),
        });
        found.unwrap_or(Err(ENOENT))
    }
}

impl ChannelOwner for Notifications {
    fn notify(&self, code: i32, payload: &mut dyn Payload) -> Result {
        let bounds = Bounds {
            name: self.mount.conn().name_max(),
            file: SuperBlock::<Fuse, New>::MAX_LFS_FILESIZE as u64,
        };
        match Message::take(code, payload, bounds)? {
            Message::InvalInode { node, pages } => self.inval_inode(node, pages),
            Message::InvalEntry { name, expire_only } => self.inval(&name, None, expire_only),
            Message::Delete { name, child } => self.inval(&name, child, false),
            Message::Prune { count } => self.prune(count, payload),
            Message::Resend => {
                self.mount.conn().channel().resend();
                Ok(())
            }
            Message::IncEpoch => {
                self.old_names.inc_epoch();
                Ok(())
            }
            Message::Store { node, pos } => self.store(node, pos, payload),
            Message::Retrieve {
                unique,
                node,
                offset,
                size,
            } => self.retrieve(unique, node, offset, size),
            Message::Poll(file) => {
                self.mount.conn().channel().polled().wake(file);
                Ok(())
            }
        }
    }

    fn backing_open(&self, map: BackingMap) -> Result<i32> {
        self.mount.conn().backing_open(map)
    }

    fn backing_close(&self, id: i32) -> Result {
        self.mount.conn().backing_close(id)
    }
}

/// The inode of a cached regular file.
///
/// # Errors
///
/// `ENOENT` if it is not cached, `EINVAL` if it is another kind of node.
fn cached_file(sb: &SuperBlock<Fuse>, node: NodeId) -> Result<Held<'_, INode<Fuse>>> {
    let inode = inode::cached(sb, node).ok_or(ENOENT)?;
    if !inode.is_reg() {
        return Err(EINVAL);
    }
    Ok(inode)
}
