// SPDX-License-Identifier: GPL-2.0

//! GETATTR: `stat(2)`, and attributes for those inside the client who need them fresh.
//!
//! The VFS comes in through [`getattr`]; `inode/attr_cache.rs` says whether the cached attributes
//! will do, and takes the reply over. Takes no lock while the server is asked. It changes no
//! attribute: that is SETATTR.

use super::permission::is_caller_allowed;
use crate::{
    fuse::{
        abi::{
            attr::{
                GetattrFlag,
                GetattrIn, //
            },
            FileHandle, //
        },
        inode::{
            attr_cache::{
                self,
                CheckedAttr,
                Sample, //
            },
            check_good,
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::{
            Idmap,
            Kgid,
            Kuid, //
        },
        inode::INode,
        inode_ops::{
            generic_fillattr,
            KStat,
            StatSync,
            StatxMask, //
        },
        sync::deadline::Deadline,
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// The VFS asks for the attributes in `request`. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode or a reply that describes another one, `EACCES` for callers who may not
/// use the mount, else what the server answers.
pub(crate) fn getattr(
    idmap: &Idmap,
    inode: &INode<Fuse>,
    stat: &mut KStat,
    request: StatxMask,
    sync: StatSync,
) -> Result {
    check_good(inode)?;
    if !is_caller_allowed(mount(inode).conn()) {
        if request != StatxMask::default() {
            return Err(EACCES);
        }
        // Somebody who asks for nothing may know which device this is.
        stat.set_result_mask(StatxMask::default());
        stat.set_dev(inode.sb());
        return Ok(());
    }

    // Nothing beyond the basic attributes is known.
    let request = request & StatxMask::BASIC;
    if must_ask(inode, request, sync) {
        inode.forget_cached_acls();
        let attr = fetch(inode, None)?;
        fill(stat, idmap, inode, &attr);
    } else {
        let attrs = &inode.data().attrs;
        generic_fillattr(idmap, request, inode, stat);
        stat.set_mode(attrs.mode());
        stat.set_ino(attrs.ino());
        stat.set_blksize(attrs.block_size());
    }
    Ok(())
}

/// Makes the attributes in `wanted` fresh. `handle` is an open file of the inode, if
/// there is one. May sleep.
///
/// # Errors
///
/// As [`fetch`].
pub(crate) fn update_attributes(
    inode: &INode<Fuse>,
    handle: Option<FileHandle>,
    wanted: StatxMask,
) -> Result {
    if must_ask(inode, wanted, StatSync::AsStat) {
        inode.forget_cached_acls();
        fetch(inode, handle)?;
    }
    Ok(())
}

fn must_ask(inode: &INode<Fuse>, request: StatxMask, sync: StatSync) -> bool {
    if request == StatxMask::default() {
        return false;
    }
    match sync {
        StatSync::Force => true,
        StatSync::Dont => false,
        StatSync::AsStat => attr_cache::is_stale(inode, request),
    }
}

/// Asks the server, and takes its answer over. May sleep.
///
/// Directories have handles of their own kind, which the server does not expect here: `handle`
/// counts for regular files only.
///
/// # Errors
///
/// `EIO` if the answer is not one of this inode, which is bad from then on; else what the server
/// answers.
pub(crate) fn fetch(inode: &INode<Fuse>, handle: Option<FileHandle>) -> Result<CheckedAttr> {
    let mount = mount(inode);
    let sample = Sample::of_attributes(mount.conn());
    let mut args = GetattrIn::default();
    if let Some(fh) = handle.filter(|_| inode.is_reg()) {
        args.getattr_flags = GetattrFlag::Fh.into();
        args.fh = fh;
    }
    let query = op::Getattr {
        node: inode.data().node_id(),
        args,
    };
    let reply = match handle {
        // The file, whose handle the request names, must stay open until the answer.
        Some(_) => mount.call(query)?,
        None => mount.call_or_leave(query, || ARef::from(inode))?,
    };
    let attr = CheckedAttr::new(reply.attr)
        .and_then(|attr| {
            if inode.wrong_type(attr.wire().mode) {
                return Err(EIO);
            }
            Ok(attr)
        })
        .inspect_err(|_| inode.data().make_bad())?;
    let valid_until = Deadline::after(reply.attr_valid, reply.attr_valid_nsec);
    attr_cache::update(inode, &attr, valid_until, sample);
    Ok(attr)
}

/// Fills `stat` from a reply, which may be newer than the inode.
fn fill(stat: &mut KStat, idmap: &Idmap, inode: &INode<Fuse>, attr: &CheckedAttr) {
    let ns = mount(inode).conn().user_ns();
    let wire = attr.wire();
    stat.set_dev(inode.sb());
    stat.set_ino(wire.ino);
    stat.set_mode(attr.mode());
    stat.set_nlink(wire.nlink);
    stat.set_owner(
        idmap.uid_into_mnt(ns, Kuid::new(ns, wire.uid)),
        idmap.gid_into_mnt(ns, Kgid::new(ns, wire.gid)),
    );
    stat.set_rdev(inode.rdev());
    stat.set_atime(attr.atime());
    if attr_cache::owns_times(inode) {
        stat.set_mtime(inode.mtime());
        stat.set_ctime(inode.ctime());
        stat.set_size(inode.size());
    } else {
        stat.set_mtime(attr.mtime());
        stat.set_ctime(attr.ctime());
        stat.set_size(attr.size());
    }
    stat.set_blocks(wire.blocks);
    let bits = attr.block_bits(inode.sb().blocksize_bits().into());
    stat.set_blksize(1u32.checked_shl(bits).unwrap_or(0));
}
