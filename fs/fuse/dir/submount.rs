// SPDX-License-Identifier: GPL-2.0

//! Submounts: file systems on the server's side that are file systems here, too.
//!
//! A server of a tree with other file systems in it announces the root of each
//! (`FUSE_ATTR_SUBMOUNT`), so that it gets a device number of its own: two files with the same
//! inode number are then not taken for one. `inode` marks the announced directory as an automount
//! point, and a walk that reaches it makes the mount here: another super block of the same
//! connection. `vfs/mount/submount.rs` calls this.
//!
//! The mount is removed by an unmount, with the directory, or with the mount it is in.
//! `fstype/super_block.rs` handles that.
//!
//! Only some transports have submounts; none of the existing ones does. Locks: the VFS holds
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

/// Mounts the node of an announced directory. May sleep.
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

/// Sets up the super block for `point`.
fn fill_super<'a>(sb: NewSuper<'a, Fuse>, point: &INode<Fuse>) -> Result<&'a SuperBlock<Fuse>> {
    sb.take_after(point.sb())?;
    let root = sb.make_root(inode::submount_root(&sb, point)?)?;
    let sb = sb.set_root(root)?;
    sb.data().conn().mounts().add(sb.handle())?;
    Ok(sb)
}
