// SPDX-License-Identifier: GPL-2.0

//! READDIRPLUS: the names in a directory together with their nodes.
//!
//! Each record is a READDIR record and a LOOKUP reply. `dir/readdir.rs` passes the former to the
//! reader; the latter goes into the dentry cache here, so that no more requests are needed when the
//! reader stats what it has listed. Every node that is named is a lookup that the server has
//! counted, even if the reader had no room for the name: it is credited to an inode, or paid back
//! at once.
//!
//! A server may leave the choice to the kernel (`FUSE_READDIRPLUS_AUTO`): READDIRPLUS is sent for
//! the start of a directory, and from there on while names that it returned, or names of that
//! directory in general, are being looked up.
//!
//! Calling context: `iterate_shared`, with the directory locked shared. Takes no lock of its own.

use super::{
    entry::{
        believe,
        confirm,
        promise,
        Asked, //
    },
    records::{
        PlusRecord,
        PlusRecords, //
    }, //
};
use crate::{
    fuse::{
        abi::{
            attr::EntryOut,
            NodeId, //
        },
        channel::forget::ForgetTicket,
        conn::call::Abandoned,
        inode::{
            self,
            attr_cache::{
                self,
                CheckedAttr,
                Sample, //
            },
            handle::AbandonedDir,
            iget,
            lookup_count::Debt,
            mount, //
        },
        Fuse, //
    },
    vfs::{
        file::dir_context::SharedDir,
        node::{
            dentry::{
                Child,
                DEntry,
                InLookup, //
            },
            entry_name::EntryName,
            held::Held,
            inode::INode, //
        },
    },
};
use kernel::prelude::*;

/// Whether READDIRPLUS is used for the names in `dir` from `pos` on.
pub(super) fn is_useful(dir: &INode<Fuse>, pos: i64) -> bool {
    let features = mount(dir).conn().features();
    features.readdirplus
        && (!features.readdirplus_auto || dir.data().take_readdirplus_advice() || pos == 0)
}

/// A READDIRPLUS whose reader was killed: the nodes that it brings are given back.
pub(super) struct AbandonedReading(pub(super) AbandonedDir);

impl Abandoned<Result<KVVec<u8>>> for AbandonedReading {
    fn answered(self, answer: Result<KVVec<u8>>) {
        let Ok(records) = answer else {
            return;
        };
        let mount = self.0.handle().mount();
        for PlusRecord { entry, name } in PlusRecords(&records).map_while(Result::ok) {
            let node = entry.entry_out.nodeid;
            if node != NodeId::NONE && !name.is_dots() {
                let mut ticket = Some(ForgetTicket::insist());
                drop(Debt::new(mount, node, &mut ticket));
            }
        }
    }
}

/// Caches the node that `name` in `dir` stands for. `asked` and `sample` are from before the
/// request; `spare` keeps a ticket that a record did not need for the next one. May sleep.
///
/// A lookup that cannot be used is paid back; the reader gets no error, because the name was
/// listed.
pub(super) fn link(
    dir: &SharedDir<'_, Fuse>,
    name: EntryName<'_>,
    reply: &EntryOut,
    asked: Asked,
    sample: Sample,
    spare: &mut Option<ForgetTicket>,
) {
    // Without a node the server only wanted to list the name. It does not count lookups of these
    // two names, and they have no dentries.
    if reply.nodeid == NodeId::NONE || name.is_dots() {
        return;
    }
    let mount = mount(dir.inode());
    if spare.is_none() {
        *spare = Some(ForgetTicket::insist());
    }
    let debt = Debt::new(mount, reply.nodeid, spare);
    // An invalid reply, or a lack of memory, does not matter to a reader that lists names; the debt
    // is paid in any case.
    let _ = cache(dir, name, reply, debt, asked, sample);
}

/// Notes that the attributes of `inode` came without a request for them.
fn prefetched(inode: &INode<Fuse>) {
    if mount(inode).conn().features().readdirplus_auto {
        inode.data().set_prefetched();
    }
}

/// Makes `name` stand for the node of `reply`.
///
/// # Errors
///
/// `EIO` for an invalid reply and for a bad inode, `ENOMEM`; those of [`InLookup::splice_alias`].
/// [`InLookup::splice_alias`].
fn cache(
    dir: &SharedDir<'_, Fuse>,
    name: EntryName<'_>,
    reply: &EntryOut,
    debt: Debt<'_>,
    asked: Asked,
    sample: Sample,
) -> Result {
    if reply.nodeid == NodeId::ROOT {
        return Err(EIO);
    }
    let attr = CheckedAttr::new(&reply.attr)?;
    loop {
        let entry = match dir.child(name)? {
            Child::InLookup(entry) => {
                let valid_until = reply.entry_valid_until();
                let promised = core::ptr::from_ref(entry.dentry());
                // Before it is hashed: waiters for the lookup use the entry at once.
                promise(entry.dentry(), asked, valid_until);
                let new = look_up(dir, entry, reply, &attr, debt, sample)?;
                if core::ptr::eq(&*new, promised) {
                    confirm(&new, dir.inode(), asked);
                } else {
                    believe(&new, dir.inode(), asked, valid_until);
                }
                return Ok(());
            }
            Child::Cached(entry) => entry,
        };
        let inode = match entry.inode() {
            Some(inode) if inode.data().node_id() == reply.nodeid => inode,
            _ => {
                entry.invalidate();
                continue;
            }
        };
        if inode::is_reused(inode, reply.generation, &attr) {
            inode.data().make_bad();
            entry.invalidate();
            continue;
        }
        inode::check_good(inode)?;
        debt.credit(&inode.data().lookups);
        inode.forget_cached_acls();
        attr_cache::update(inode, &attr, reply.attr_valid_until(), sample);
        prefetched(inode);
        believe(&entry, dir.inode(), asked, reply.entry_valid_until());
        return Ok(());
    }
}

/// Ends the lookup of a name that was not in the dentry cache; returns the entry that has it now.
fn look_up<'a>(
    dir: &SharedDir<'_, Fuse>,
    entry: InLookup<'a, Fuse>,
    reply: &EntryOut,
    attr: &CheckedAttr<'_>,
    debt: Debt<'_>,
    sample: Sample,
) -> Result<Held<'a, DEntry<Fuse>>> {
    let inode = iget(
        dir.inode().sb(),
        debt,
        reply.nodeid,
        reply.generation,
        attr,
        reply.attr_valid_until(),
        sample,
    )?;
    prefetched(&inode);
    // If that fails the lookup stays credited to the inode, which pays it when it is evicted.
    entry.splice_alias(inode)
}
