// SPDX-License-Identifier: GPL-2.0

//! Submounts: file systems of the server's side that are file systems here, too.
//!
//! A server that serves a tree with other file systems in it announces the root of each
//! (`FUSE_ATTR_SUBMOUNT`), so that it gets a device number of its own: two files with the same
//! inode number are then not taken for one. `inode` makes the announced directory one that has to
//! be mounted on, and a walk that comes there makes the mount, here: one more super block of the
//! same connection. Before it on the walk is `vfs/mount/submount.rs`.
//!
//! The mount goes when somebody unmounts it, with the directory, or with the mount it is in.
//! `fstype/super_block.rs` says what that takes.
//!
//! Only some transports have submounts: of those that there are, none. Locks: the VFS holds
//! `s_umount` of the new super block. Takes that of `conn/mounts.rs`, a leaf.

use crate::{
    fuse::{
        inode,
        Fuse, //
    },
    vfs::{
        mount::sb::{
            NewSuper,
            SuperBlock, //
        },
        node::{
            dentry::{
                Automount,
                Mounted, //
            },
            inode::INode, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The VFS has come to an announced directory. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode; `ENOMEM`; those of the security modules.
pub(super) fn d_automount(at: Automount<'_, Fuse>) -> Result<Mounted> {
    let point = at.point().inode().ok_or(ENOENT)?;
    inode::check_good(point)?;
    let mount = Arc::new(inode::mount(point).new_submount(), GFP_KERNEL)?;
    at.mount(mount, |sb| fill_super(sb, point))
}

/// Sets up the super block that belongs on `point`.
fn fill_super<'a>(sb: NewSuper<'a, Fuse>, point: &INode<Fuse>) -> Result<&'a SuperBlock<Fuse>> {
    sb.take_after(point.sb())?;
    let root = sb.make_root(inode::submount_root(&sb, point)?)?;
    let sb = sb.set_root(root)?;
    sb.data().conn().mounts().add(sb.handle())?;
    Ok(sb)
}
