// SPDX-License-Identifier: GPL-2.0

//! INVAL_INODE, INVAL_ENTRY, DELETE: invalidation of cached attributes, data and names.
//!
//! INVAL_ENTRY and DELETE do not wait for a lock of a directory or a node: its holder may be
//! waiting for the server that sends them.

use super::{
    take,
    take_all,
    Notifications, //
};
use crate::fuse::{
    abi::{
        notify::{
            InvalEntryFlag,
            NotifyDeleteOut,
            NotifyInvalEntryOut,
            NotifyInvalInodeOut, //
        },
        NodeId, //
    },
    channel::owner::Payload,
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
use kernel::{
    page::PAGE_SHIFT,
    prelude::*, //
};

impl Notifications {
    /// The attributes of a node, and a range of its data unless `off` is negative, have changed.
    pub(super) fn inval_inode(&self, payload: &mut dyn Payload) -> Result {
        let out: NotifyInvalInodeOut = take_all(payload)?;
        self.with_super(|sb| {
            let inode = inode::cached(sb, out.nodeid).ok_or(ENOENT)?;
            attr_cache::changed_by_server(&inode);
            inode.forget_cached_acls();
            if let Ok(first) = u64::try_from(out.off) {
                // No length means up to the end, and so does one that is too large.
                let last = match u64::try_from(out.len) {
                    Ok(len @ 1..) => first
                        .checked_add(len - 1)
                        .map_or(u64::MAX, |last| last >> PAGE_SHIFT),
                    _ => u64::MAX,
                };
                self.inval_data(&inode, first >> PAGE_SHIFT, last);
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

    /// A name stands for another node, or does not exist any more.
    pub(super) fn inval_entry(&self, payload: &mut dyn Payload) -> Result {
        let out: NotifyInvalEntryOut = take(payload)?;
        let name = self.take_name(payload, out.namelen)?;
        let expire_only = out.flags.contains(InvalEntryFlag::ExpireOnly);
        self.inval(out.parent, None, &name, expire_only)
    }

    /// A name was removed, and with it this child.
    pub(super) fn delete(&self, payload: &mut dyn Payload) -> Result {
        let out: NotifyDeleteOut = take(payload)?;
        let name = self.take_name(payload, out.namelen)?;
        let child = (out.child != NodeId::NONE).then_some(out.child);
        self.inval(out.parent, child, &name, false)
    }

    /// Takes the name at the end of the payload, with its NUL.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG`; `EINVAL` if the payload is longer or shorter; `ENOMEM`; `EFAULT`.
    fn take_name(&self, payload: &mut dyn Payload, len: u32) -> Result<KVVec<u8>> {
        let len = len as usize;
        if len > self.mount.conn().name_max() {
            return Err(ENAMETOOLONG);
        }
        if payload.len() != len + 1 {
            return Err(EINVAL);
        }
        let mut name = KVVec::zeroed(len + 1, GFP_KERNEL)?;
        payload.take(&mut name)?;
        name.truncate(len);
        Ok(name)
    }

    /// Invalidates the cached entry for `name` in `parent`; with `child`, it was removed.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the name is not cached, or is not `child`; `ENOTDIR`; `EBUSY` if something is
    /// mounted there; `ENOTEMPTY`.
    fn inval(&self, parent: NodeId, child: Option<NodeId>, name: &[u8], expire: bool) -> Result {
        self.with_super(|sb| {
            let parent = inode::cached(sb, parent).ok_or(ENOENT)?;
            if !parent.is_dir() {
                return Err(ENOTDIR);
            }
            // The lock of the directory is not taken, as its holder may be waiting for this server.
            // Answers to earlier requests for names there are too old from here on.
            parent.data().invalidate_names();
            let entry = parent
                .find_alias()
                .and_then(|dir| dir.find_child(name))
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
