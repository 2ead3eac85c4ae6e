// SPDX-License-Identifier: GPL-2.0

//! LOOKUP: from a name in a directory to an inode.
//!
//! The VFS calls [`lookup`] with an entry it has just made; the reply gives the entry an inode, or
//! makes it negative, each with a deadline (`dir/revalidate.rs`). Every reply that names a node is
//! a lookup that the server has counted, and that has to be paid back (`inode/lookup_count.rs`).
//!
//! The directory is locked shared by the VFS. A server that needs one operation at a time gets them
//! in turn (`inode/dirops.rs`).

use super::entry::{
    believe,
    confirm,
    promise,
    Asked, //
};
use crate::{
    fuse::{
        abi::{
            Generation,
            NodeId, //
        },
        inode::{
            attr_cache::{
                CheckedAttr,
                Sample, //
            },
            check_good,
            dirops::{
                self,
                DirTurn, //
            },
            iget,
            lookup_count::{
                new_ticket,
                AbandonedLookup,
                Debt, //
            },
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        node::{
            dentry::{
                DEntry,
                LookupFlags,
                Unhashed, //
            },
            held::Held,
            inode::INode, //
        },
        sync::deadline::Deadline, //
    },
};
use kernel::{
    pr_warn_once,
    prelude::*, //
};

/// The server's answer about a name.
struct Found<'a> {
    /// The inode, or `None` if the name does not exist.
    inode: Option<Held<'a, INode<Fuse>>>,
    /// The deadline of the answer.
    valid_until: Deadline,
}

/// Looks `entry` up in `dir`; returns the entry to use instead of it, if there is one.
///
/// # Errors
///
/// `EIO` for a bad directory and for invalid replies, `ENAMETOOLONG`, `ENOMEM`, `EINTR` if the
/// caller is killed, otherwise the server's error, except that "no such entry" is not an error.
pub(crate) fn lookup<'a>(
    dir: &INode<Fuse>,
    entry: Unhashed<'a, Fuse>,
    _flags: LookupFlags,
) -> Result<Option<Held<'a, DEntry<Fuse>>>> {
    check_good(dir)?;
    let asked = Asked::now(dir);
    let found = {
        let mut turn = dirops::turn(dir)?;
        lookup_name(dir, dir.data().node_id(), entry.name(), &mut turn)
    };
    let found = match found {
        // An error has no deadline.
        Err(error) if error == ENOENT => Found {
            inode: None,
            valid_until: Deadline::PAST,
        },
        found => found?,
    };
    // The root has no name, and one inode of a directory can have only one.
    if let Some(inode) = &found.inode {
        if inode.data().node_id() == NodeId::ROOT {
            return Err(EIO);
        }
    }

    if found.inode.is_some() {
        dir.data().advise_readdirplus();
    }
    let dentry = entry.dentry();
    // Before it is hashed: waiters for this lookup use the entry as soon as it is.
    promise(dentry, asked, found.valid_until);
    let other = entry.splice_alias(found.inode)?;
    match &other {
        Some(kept) => believe(kept, dir, asked, found.valid_until),
        None => confirm(dentry, dir, asked),
    };
    Ok(other)
}

/// The node that the server finds as `name` in `dir`, which may be "." or "..". `anchor` is any
/// inode of the mount. May sleep.
///
/// # Errors
///
/// As [`lookup`], and `ENOENT`.
pub(crate) fn lookup_node<'a>(
    anchor: &'a INode<Fuse>,
    dir: NodeId,
    name: &[u8],
) -> Result<Option<Held<'a, INode<Fuse>>>> {
    lookup_name(anchor, dir, name, &mut None).map(|found| found.inode)
}

/// Asks the server for `name` in `dir`. A LOOKUP that is abandoned keeps `turn`. May sleep.
fn lookup_name<'a>(
    anchor: &'a INode<Fuse>,
    dir: NodeId,
    name: &[u8],
    turn: &mut Option<DirTurn<&INode<Fuse>>>,
) -> Result<Found<'a>> {
    let mount = mount(anchor);
    let conn = mount.conn();
    if name.len() > conn.name_max() {
        return Err(ENAMETOOLONG);
    }
    let mut ticket = Some(new_ticket()?);
    let sample = Sample::of_entry(conn);
    let query = op::Lookup { dir, name };
    let reply = mount.call_or_abandon(query, || {
        AbandonedLookup::new(anchor, &mut ticket, turn.take())
    })?;
    let valid_until = reply.entry_valid_until();
    if reply.nodeid == NodeId::NONE {
        return Ok(Found {
            inode: None,
            valid_until,
        });
    }

    let debt = Debt::new(mount, reply.nodeid, &mut ticket);
    let attr = match CheckedAttr::new(&reply.attr) {
        Ok(attr) => attr,
        Err(error) => {
            debt.write_off();
            return Err(error);
        }
    };
    let mut generation = reply.generation;
    if reply.nodeid == NodeId::ROOT && generation != Generation::new(0) {
        pr_warn_once!("root generation should be zero\n");
        generation = Generation::new(0);
    }
    let inode = iget(
        anchor.sb(),
        debt,
        reply.nodeid,
        generation,
        &attr,
        reply.attr_valid_until(),
        sample,
    )?;
    Ok(Found {
        inode: Some(inode),
        valid_until,
    })
}
