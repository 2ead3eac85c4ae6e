// SPDX-License-Identifier: GPL-2.0

//! Whether a name in the dentry cache still stands for the same node.
//!
//! [`Entry`](super::entry::Entry) has the deadline until which the server lets the name be used
//! without asking. After that a positive entry is looked up again, and is kept if it is the same
//! node; a negative one is dropped, and the VFS looks its name up anew.
//!
//! Called in RCU walk too, where an entry that needs the server ends the walk (`ECHILD`). Takes no
//! lock of its own.

use super::entry::{
    believe,
    Asked, //
};
use crate::{
    fuse::{
        abi::{
            attr::AttrFlag,
            NodeId, //
        },
        inode::{
            self,
            attr_cache::{
                self,
                CheckedAttr,
                Sample, //
            },
            lookup_count::{
                new_ticket,
                AbandonedLookup,
                Debt, //
            },
        },
        op,
        Fuse, //
    },
    vfs::node::{
        dentry::{
            DEntry,
            LookupFlag,
            LookupFlags, //
        },
        inode::INode,
        walk::Walk, //
    },
};
use kernel::prelude::*;

/// Whether `entry` still stands for `name` in `dir`; `false` makes the VFS look it up again.
///
/// # Errors
///
/// `ECHILD` in RCU walk if the server has to be asked; `ENOMEM` and `EINTR` from the request, which
/// say nothing about the entry. Every other error makes the entry invalid.
#[inline]
pub(crate) fn d_revalidate(
    dir: Walk<'_, INode<Fuse>>,
    name: &[u8],
    entry: Walk<'_, DEntry<Fuse>>,
    flags: LookupFlags,
) -> Result<bool> {
    let view = entry.view();
    let inode = view.inode();
    if inode.is_some_and(|inode| inode.data().is_bad()) {
        return Ok(false);
    }
    if !view
        .data()
        .is_of(view.sb().data().conn().epoch(), dir.view())
    {
        return Ok(false);
    }
    // A caller that creates or replaces the name needs the current state.
    let insists =
        flags.contains_any(LookupFlag::Excl | LookupFlag::Reval | LookupFlag::RenameTarget);
    if !insists && !view.data().valid_until.load().has_passed() {
        if let Some(inode) = inode.filter(|inode| inode.data().is_prefetched()) {
            // Reading the directory has saved this lookup, so the next reading should, too. The
            // directory may be accessed in ref walk only.
            let dir = dir.may_block()?;
            if inode.data().take_prefetched() {
                dir.data().advise_readdirplus();
            }
        }
        return Ok(true);
    }
    if inode.is_none() {
        return Ok(false);
    }
    ask(dir, name, entry)
}

/// Asks the server whether `name` is still the same node. The rare case: it needs stack space and
/// registers that a walk of cached entries should not save.
///
/// # Errors
///
/// As [`d_revalidate`].
#[inline(never)]
fn ask(dir: Walk<'_, INode<Fuse>>, name: &[u8], entry: Walk<'_, DEntry<Fuse>>) -> Result<bool> {
    let dir = dir.may_block()?;
    let entry = entry.may_block()?;
    let Some(inode) = entry.inode() else {
        return Ok(false);
    };
    match look_again(dir, name, entry, inode) {
        Err(error) if [ENOMEM, EINTR, ERESTARTNOINTR].contains(&error) => Err(error),
        Err(_) => Ok(false),
        Ok(same) => Ok(same),
    }
}

/// Looks `name` up again; returns whether it is still `inode`, whose attributes are then fresh too.
fn look_again(
    dir: &INode<Fuse>,
    name: &[u8],
    entry: &DEntry<Fuse>,
    inode: &INode<Fuse>,
) -> Result<bool> {
    let mount = inode::mount(inode);
    let mut ticket = Some(new_ticket()?);
    let asked = Asked::now(dir);
    let sample = Sample::of_attributes(mount.conn());
    let query = op::Lookup {
        dir: dir.data().node_id(),
        name,
    };
    let reply = mount.call_or_abandon(query, || AbandonedLookup::new(dir, &mut ticket, None))?;
    if reply.nodeid == NodeId::NONE {
        return Ok(false);
    }

    let debt = Debt::new(mount, reply.nodeid, &mut ticket);
    let is_submount = reply.attr.flags.contains(AttrFlag::Submount);
    if reply.nodeid != inode.data().node_id() || is_submount != inode.is_automount() {
        return Ok(false);
    }
    debt.credit(&inode.data().lookups);

    let attr = CheckedAttr::new(&reply.attr)?;
    if inode::is_reused(inode, reply.generation, &attr) {
        return Ok(false);
    }
    inode.forget_cached_acls();
    attr_cache::update(inode, &attr, reply.attr_valid_until(), sample);
    Ok(believe(entry, dir, asked, reply.entry_valid_until()))
}
