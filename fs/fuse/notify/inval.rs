// SPDX-License-Identifier: GPL-2.0

//! INVAL_INODE, INVAL_ENTRY, DELETE: invalidation of cached attributes, data and names.
//!
//! INVAL_ENTRY and DELETE do not wait for a lock of a directory or a node: its holder may be
//! waiting for the server that sends them.

use super::{
    message::NameOf,
    Notifications, //
};
use crate::fuse::{
    abi::NodeId,
    dir::entry,
    file::outdated,
    inode::{
        self,
        attr_cache, //
    },
    Fuse, //
};
use crate::vfs::node::{
    dentry::DEntry,
    inode::{
        FileType,
        INode, //
    }, //
};
use core::ops::RangeInclusive;
use kernel::prelude::*;

impl Notifications {
    /// The attributes of a node, and a range of its data unless `off` is negative, have changed.
    pub(super) fn inval_inode(&self, node: NodeId, pages: Option<RangeInclusive<u64>>) -> Result {
        self.with_super(|sb| {
            let inode = inode::cached(sb, node).ok_or(ENOENT)?;
            attr_cache::changed_by_server(&inode);
            inode.forget_cached_acls();
            if let Some(pages) = &pages {
                self.inval_data(&inode, *pages.start(), *pages.end());
            }
            Ok(())
        })
    }

    /// Invalidates the pages `first` to `last`, or the target of a link.
    pub(super) fn inval_data(&self, inode: &INode<Fuse>, first: u64, last: u64) {
        match inode.file_type() {
            Some(FileType::Regular) => {
                let left = outdated::invalidate(inode, first, last);
                if left.locked.is_some() || left.written {
                    self.left.check().add(inode);
                    self.left.look_later();
                }
            }
            Some(FileType::Symlink) => {
                inode.data().invalidate_names();
                inode.forget_target();
            }
            // The pages of directories are locked for moments only. Pages in use stay, and C does
            // not report them either.
            _ => {
                let _ = inode.invalidate_range(first, last);
            }
        }
    }

    /// INVAL_ENTRY and DELETE: invalidates the cached entry for a name; with `child`, it was removed.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the name is not cached, or is not `child`; `ENOTDIR`; `EBUSY` if something is
    /// mounted there; `ENOTEMPTY`.
    pub(super) fn inval(&self, name: &NameOf, child: Option<NodeId>, expire: bool) -> Result {
        self.with_super(|sb| {
            let parent = inode::cached(sb, name.parent).ok_or(ENOENT)?;
            if !parent.is_dir() {
                return Err(ENOTDIR);
            }
            // The lock of the directory is not taken, as its holder may be waiting for this server.
            // Answers to earlier requests for names there are too old from here on.
            parent.data().invalidate_names();
            let entry = parent
                .find_alias()
                .and_then(|dir| dir.find_child(&name.name))
                .ok_or(ENOENT)?;
            attr_cache::dir_changed(&parent);
            if !expire {
                entry.invalidate();
            }
            entry::expire(&entry);

            match (child, entry.inode()) {
                (Some(child), Some(inode)) => {
                    if inode.data().node_id() != child {
                        return Err(ENOENT);
                    }
                    DEntry::delete_removed(entry, &parent)
                }
                _ => Ok(()),
            }
        })
    }
}
