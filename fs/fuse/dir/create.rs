// SPDX-License-Identifier: GPL-2.0

//! MKNOD, MKDIR and SYMLINK: new nodes, each with its first name.
//!
//! The VFS passes an entry whose name stands for nothing; the reply names the node as that of a
//! LOOKUP does, and the node's inode is given to the entry. [`new_entry`] is that part, which LINK
//! shares. The node of the reply is a debt, as that of a LOOKUP is (`inode/lookup_count.rs`).
//!
//! The directory is locked exclusively by the VFS. Takes no lock of its own, but waits for
//! abandoned lookups (`inode/dirops.rs`).

use super::{
    create_ext::extensions,
    entry::{
        believe,
        invalidate,
        Asked, //
    },
};
use crate::{
    fuse::{
        abi::{
            attr::EntryOut,
            node::{
                MkdirIn,
                MknodIn, //
            },
            NodeId, //
        },
        conn::Connection,
        inode::{
            attr_cache::{
                self,
                CheckedAttr,
                Sample, //
            },
            check_good,
            dirops::wait_for_turn,
            iget,
            lookup_count::{
                new_ticket,
                Debt, //
            },
            mount, //
        },
        op::{
            self,
            Operation, //
        },
        Fuse, //
    },
    vfs::{
        cred::{
            current_umask,
            Idmap, //
        },
        node::{
            dentry::{
                DEntry,
                Vacant, //
            },
            held::Held,
            inode::{
                Dev,
                FileType,
                INode, //
            },
        },
    },
};
use kernel::prelude::*;

/// Makes a regular or special file; `mode` has its kind. May sleep.
///
/// # Errors
///
/// As [`new_entry`]; `EINVAL` if `mode` has no kind of file.
pub(super) fn mknod(
    idmap: &Idmap,
    dir: &INode<Fuse>,
    entry: Vacant<'_, Fuse>,
    mode: u16,
    device: Dev,
) -> Result {
    let ext = extensions(idmap, dir, || entry.security_context(mode))?;
    let (mode, umask) = masked(mount(dir).conn(), mode);
    let op = op::Mknod {
        dir: dir.data().node_id(),
        args: MknodIn {
            mode,
            rdev: device.encoded(),
            umask,
            ..MknodIn::default()
        },
        name: entry.name(),
        ext: &ext,
    };
    // Only a directory can have another entry already.
    new_entry(idmap, dir, entry, FileType::of(mode).ok_or(EINVAL)?, op)?;
    Ok(())
}

/// Makes a directory; returns the entry to use instead of `entry`, if there is one. May sleep.
///
/// # Errors
///
/// As [`new_entry`].
pub(super) fn mkdir<'a>(
    idmap: &Idmap,
    dir: &INode<Fuse>,
    entry: Vacant<'a, Fuse>,
    mode: u16,
) -> Result<Option<Held<'a, DEntry<Fuse>>>> {
    let ext = extensions(idmap, dir, || {
        entry.security_context(FileType::Directory.bits())
    })?;
    // By convention, MKDIR does not tell servers the kind of file.
    let (mode, umask) = masked(mount(dir).conn(), mode & !FileType::Directory.bits());
    let op = op::Mkdir {
        dir: dir.data().node_id(),
        args: MkdirIn { mode, umask },
        name: entry.name(),
        ext: &ext,
    };
    new_entry(idmap, dir, entry, FileType::Directory, op)
}

/// Makes a symbolic link to `target`. May sleep.
///
/// # Errors
///
/// As [`new_entry`].
pub(super) fn symlink(
    idmap: &Idmap,
    dir: &INode<Fuse>,
    entry: Vacant<'_, Fuse>,
    target: &[u8],
) -> Result {
    let ext = extensions(idmap, dir, || {
        entry.security_context(FileType::Symlink.bits())
    })?;
    let op = op::Symlink {
        dir: dir.data().node_id(),
        name: entry.name(),
        target,
        ext: &ext,
    };
    new_entry(idmap, dir, entry, FileType::Symlink, op)?;
    Ok(())
}

/// The mode for the request, and the umask of the caller.
pub(super) fn masked(conn: &Connection, mode: u16) -> (u32, u32) {
    let umask = current_umask();
    let mode = if conn.dont_mask() {
        mode
    } else {
        mode & !umask
    };
    (mode.into(), umask.into())
}

/// Sends `op`, which makes a node of `file_type` in `dir` through a mount with this id map, and
/// gives its inode to `entry`; returns the entry to use instead of it, if there is one. May sleep.
///
/// # Errors
///
/// `EIO` for a bad directory and for a reply that does not name a new node of that type, `ENOMEM`,
/// `EINTR`, otherwise the server's error. After `EEXIST` the name is looked up again.
pub(super) fn new_entry<'a, O: Operation<Data = (), Out = EntryOut>>(
    idmap: &Idmap,
    dir: &INode<Fuse>,
    entry: Vacant<'a, Fuse>,
    file_type: FileType,
    op: O,
) -> Result<Option<Held<'a, DEntry<Fuse>>>> {
    check_good(dir)?;
    wait_for_turn(dir)?;
    let mount = mount(dir);
    let asked = Asked::now(dir);
    let mut ticket = Some(new_ticket()?);
    let dentry = entry.dentry();
    let reply = mount.call_mapped(idmap, op).inspect_err(|error| {
        if *error == EEXIST {
            invalidate(dentry);
        }
    })?;

    let attr = CheckedAttr::new(&reply.attr)?;
    if reply.nodeid == NodeId::NONE || reply.nodeid == NodeId::ROOT || attr.file_type() != file_type
    {
        return Err(EIO);
    }
    let inode = iget(
        dir.sb(),
        Debt::new(mount, reply.nodeid, &mut ticket),
        reply.nodeid,
        reply.generation,
        &attr,
        reply.attr_valid_until(),
        Sample::FIRST,
    )?;

    let other = entry.unhash().splice_alias(Some(inode))?;
    let kept = other.as_deref().unwrap_or(dentry);
    believe(kept, dir, asked, reply.entry_valid_until());
    attr_cache::dir_changed(dir);
    Ok(other)
}
