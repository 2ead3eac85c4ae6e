// SPDX-License-Identifier: GPL-2.0

//! GETATTR and STATX: `stat(2)`, and fresh attributes for other code of the client.
//!
//! STATX is used only for what GETATTR does not have: the time of birth. A server that answers it
//! with ENOSYS has none.
//!
//! The VFS calls [`getattr`]; `inode/attr_cache.rs` decides whether the cached attributes are fresh
//! enough, and stores the reply. Takes no lock while the server is asked. Attributes are changed by
//! SETATTR, not here.

use crate::{
    fuse::{
        abi::attr::{
            GetattrFlag,
            GetattrIn,
            StatxIn, //
        },
        conn::{
            access::is_caller_allowed,
            Connection, //
        },
        inode::{
            attr_cache::{
                self,
                Birth,
                CheckedAttr,
                Sample, //
            },
            check_good,
            handle::OpenHandle,
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
        node::{
            attr::{
                generic_fillattr,
                KStat,
                StatSync,
                Statx,
                StatxMask, //
            },
            inode::{
                INode,
                Kept, //
            },
        },
    },
};
use kernel::{
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

/// Fills in the attributes of `request`. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode or a reply that describes another one, `EACCES` for callers that may not
/// use the mount, otherwise the server's error.
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
        // A caller that requests no attributes still gets the device.
        stat.set_result_mask(StatxMask::default());
        stat.set_dev(inode.sb());
        return Ok(());
    }

    loop {
        let request = request & known(mount(inode).conn());
        if !must_ask(inode, request, sync) {
            fill_from_cache(stat, idmap, inode, request);
            return Ok(());
        }
        inode.forget_cached_acls();
        if !request.contains(Statx::Btime) {
            return fetch(inode, None, |attr| fill(stat, idmap, inode, attr));
        }
        // A server that turns out to lack STATX has no time of birth, so it is not requested.
        let known = fetch_statx(inode, |attr, mask| {
            fill(stat, idmap, inode, attr);
            stat.set_result_mask((mask & (StatxMask::BASIC | Statx::Btime)) | Statx::Type);
        })?;
        if known.is_some() {
            return Ok(());
        }
    }
}

/// The attributes that the server may know.
fn known(conn: &Connection) -> StatxMask {
    if conn.unimplemented().contains(op::Opcode::Statx) {
        StatxMask::BASIC
    } else {
        StatxMask::BASIC | Statx::Btime
    }
}

/// Makes the attributes in `wanted` fresh. `handle` is an open file of the inode, if there is one.
/// May sleep.
///
/// # Errors
///
/// As [`fetch`].
#[inline]
pub(crate) fn update_attributes(
    inode: &INode<Fuse>,
    handle: Option<ArcBorrow<'_, OpenHandle>>,
    wanted: StatxMask,
) -> Result {
    if must_ask(inode, wanted, StatSync::AsStat) {
        return refresh(inode, handle);
    }
    Ok(())
}

/// The request is the rare case, and needs stack space that a read of cached attributes should not
/// take.
#[cold]
fn refresh(inode: &INode<Fuse>, handle: Option<ArcBorrow<'_, OpenHandle>>) -> Result {
    inode.forget_cached_acls();
    fetch(inode, handle, |_| ())
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

/// Asks the server, and stores its answer, which `then` gets, too. May sleep.
///
/// Directories have handles of a separate kind, which the server does not expect here: `handle` is
/// for regular files only.
///
/// # Errors
///
/// `EIO` if the answer describes another inode, which makes this one bad; otherwise the server's
/// error.
pub(crate) fn fetch<R>(
    inode: &INode<Fuse>,
    handle: Option<ArcBorrow<'_, OpenHandle>>,
    then: impl FnOnce(&CheckedAttr<'_>) -> R,
) -> Result<R> {
    let mount = mount(inode);
    let sample = Sample::of_attributes(mount.conn());
    let mut args = GetattrIn::default();
    if let Some(handle) = handle.filter(|_| inode.is_reg()) {
        args.getattr_flags = GetattrFlag::Fh.into();
        args.fh = handle.fh();
    }
    let query = op::Getattr {
        node: inode.data().node_id(),
        args,
    };
    let reply = match handle {
        Some(handle) => mount.call_or_abandon(query, || Arc::from(handle))?,
        None => mount.call_or_abandon(query, || Kept::from(inode))?,
    };
    let attr = CheckedAttr::new(&reply.attr);
    let attr = of_this(inode, &attr)?;
    attr_cache::update(inode, attr, reply.attr_valid_until(), sample);
    Ok(then(attr))
}

/// Asks the server for all attributes that it knows, and stores its answer if it has all that
/// GETATTR returns. `then` gets it, and which attributes are in it. [`None`] if the server has no
/// STATX. May sleep.
///
/// # Errors
///
/// As [`fetch`].
fn fetch_statx<R>(
    inode: &INode<Fuse>,
    then: impl FnOnce(&CheckedAttr<'_>, StatxMask) -> R,
) -> Result<Option<R>> {
    let mount = mount(inode);
    let sample = Sample::of_attributes(mount.conn());
    let query = op::Statx {
        node: inode.data().node_id(),
        args: StatxIn {
            sx_mask: (StatxMask::BASIC | Statx::Btime).bits(),
            ..StatxIn::default()
        },
    };
    let reply = mount.call_or_abandon(query, || Kept::from(inode))?;
    let Some(reply) = reply else {
        return Ok(None);
    };
    let mask = StatxMask::from_bits(reply.stat.mask);
    let wire = CheckedAttr::wire_of_statx(&reply.stat, inode.mode());
    let attr = CheckedAttr::from_statx(&reply.stat, &wire);
    let attr = of_this(inode, &attr)?;
    if mask & StatxMask::BASIC == StatxMask::BASIC {
        let valid_until = reply.attr_valid_until();
        attr_cache::update(inode, attr, valid_until, sample);
    }
    Ok(Some(then(attr, mask)))
}

/// The attributes that a reply has of `inode`. If they are none, or those of another type of node,
/// the inode is bad from then on.
///
/// # Errors
///
/// `EIO` in both cases.
#[inline]
pub(super) fn of_this<'a>(
    inode: &INode<Fuse>,
    attr: &'a Result<CheckedAttr<'a>>,
) -> Result<&'a CheckedAttr<'a>> {
    match attr {
        Ok(attr) if !inode.wrong_type(attr.wire().mode) => Ok(attr),
        _ => {
            inode.data().make_bad();
            Err(EIO)
        }
    }
}

/// Fills `stat` with the cached attributes of the inode.
fn fill_from_cache(stat: &mut KStat, idmap: &Idmap, inode: &INode<Fuse>, request: StatxMask) {
    let attrs = &inode.data().attrs;
    generic_fillattr(idmap, request, inode, stat);
    stat.set_mode(attrs.mode());
    stat.set_ino(attrs.ino());
    stat.set_blksize(attrs.block_size());
    if let Some(birth) = attrs.birth() {
        stat.set_btime(birth);
    }
}

/// Fills `stat` from a reply, which may be newer than the inode.
fn fill(stat: &mut KStat, idmap: &Idmap, inode: &INode<Fuse>, attr: &CheckedAttr<'_>) {
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
    if let Birth::Known(time) = attr.birth() {
        stat.set_btime(time);
    }
}
