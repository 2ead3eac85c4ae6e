// SPDX-License-Identifier: GPL-2.0

//! RENAME and RENAME2: a name is moved, or two names are exchanged.
//!
//! RENAME2 is for renames with flags, and for servers that know it. The VFS moves the entries when
//! the server has done it.
//!
//! Both directories are locked exclusively by the VFS, and so is a replaced inode. Takes no lock of
//! its own, but waits for abandoned lookups (`inode/dirops.rs`).

use super::{
    entry::{
        invalidate,
        moved,
        Asked, //
    },
    remove::{
        is_doubtful,
        unlinked, //
    },
};
use crate::{
    fuse::{
        abi::node::{
            Rename2In,
            RenameIn, //
        },
        inode::{
            attr_cache,
            check_good,
            dirops::wait_for_turn,
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::Idmap,
        node::inode_ops::{
            Rename,
            RenameFlag, //
        },
    },
};
use kernel::prelude::*;

/// The first minor version of the protocol that has RENAME2.
const RENAME2_MINOR: u32 = 23;

/// Moves a name. May sleep.
///
/// # Errors
///
/// `EIO` for a bad directory, `EINVAL` for flags that the server does not know, `EINTR`, otherwise
/// the server's error.
pub(super) fn rename(idmap: &Idmap, rename: Rename<'_, Fuse>) -> Result {
    check_good(rename.old_dir)?;
    let flags = u32::from(rename.flags);
    if flags & !KNOWN_FLAGS != 0 {
        return Err(EINVAL);
    }

    wait_for_turn(rename.old_dir)?;
    wait_for_turn(rename.new_dir)?;
    if let Some(replaced) = rename.replaced {
        wait_for_turn(replaced)?;
    }
    if !core::ptr::eq(rename.old_dir, rename.new_dir) {
        // The VFS has locked it only in this case.
        wait_for_turn(rename.moved)?;
    }
    let (old_asked, new_asked) = (Asked::now(rename.old_dir), Asked::now(rename.new_dir));
    let result = send(idmap, &rename, flags);
    let exchange = rename.flags.contains(RenameFlag::Exchange);
    match result {
        Ok(()) => {
            attr_cache::ctime_changed(rename.moved);
            attr_cache::dir_changed(rename.old_dir);
            attr_cache::dir_changed(rename.new_dir);
            moved(rename.old.dentry(), rename.old_dir, new_asked);
            match rename.replaced {
                Some(other) if exchange => {
                    attr_cache::ctime_changed(other);
                    moved(rename.new.dentry(), rename.new_dir, old_asked);
                }
                Some(gone) => unlinked(rename.new.dentry(), gone),
                None => (),
            }
        }
        Err(error) if is_doubtful(error) => {
            // Entries in use stay, right or wrong.
            invalidate(rename.old.dentry());
            if rename.replaced.is_some() {
                invalidate(rename.new.dentry());
            }
        }
        Err(_) => (),
    }
    result
}

/// All flags that exist.
const KNOWN_FLAGS: u32 =
    RenameFlag::NoReplace as u32 | RenameFlag::Exchange as u32 | RenameFlag::Whiteout as u32;

fn send(idmap: &Idmap, rename: &Rename<'_, Fuse>, flags: u32) -> Result {
    let mount = mount(rename.old_dir);
    let dir = rename.old_dir.data().node_id();
    let newdir = rename.new_dir.data().node_id();
    let (old_name, new_name) = (rename.old.name(), rename.new.name());
    if flags == 0 {
        return mount.call(op::Rename {
            dir,
            args: RenameIn { newdir },
            old_name,
            new_name,
        });
    }
    if mount.conn().features().minor < RENAME2_MINOR {
        return Err(EINVAL);
    }
    // A whiteout is a new node, which has an owner.
    let idmap = if rename.flags.contains(RenameFlag::Whiteout) {
        idmap
    } else {
        Idmap::invalid()
    };
    mount.call_mapped(
        idmap,
        op::Rename2 {
            dir,
            args: Rename2In {
                newdir,
                flags,
                ..Rename2In::default()
            },
            old_name,
            new_name,
        },
    )
}
