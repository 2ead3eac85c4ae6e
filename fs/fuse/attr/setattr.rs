// SPDX-License-Identifier: GPL-2.0

//! SETATTR: chmod, chown, truncate and utimes.
//!
//! The VFS calls [`setattr`], which sends the change to the server and stores the attributes of the
//! reply. Nothing is changed in the inode before.
//!
//! While the size changes, other replies leave the size alone (`inode/attr_cache.rs`): the pages
//! behind a new end are dropped only after the server has agreed. The inode is locked exclusively
//! by the VFS. Takes no lock of its own, but shuts the gate of the file's dirty pages around a
//! change of the size (`inode/write_gate.rs`).
//!
//! If writes stay in the page cache, the kernel owns the times of a file: they are sent with the
//! change, and [`write_times`] sends those that a write has set.

use super::getattr::{
    self,
    of_this, //
};
use crate::{
    fuse::{
        abi::{
            attr::{
                AttrOut,
                SetattrFlag,
                SetattrIn, //
            },
            FileHandle, //
        },
        conn::{
            access::is_caller_allowed,
            Connection, //
        },
        inode::{
            attr_cache::{
                self,
                Changed,
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
            capable,
            Capability,
            Idmap, //
        },
        file::open::FilesId,
        node::{
            attr::{
                AttrChange,
                AttrChanges,
                IAttr, //
            },
            dentry::DEntry,
            inode::{
                INode,
                INodeView, //
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

/// Changes that must not be followed by a write that began before them.
const BARRED_TO_WRITES: AttrChanges = AttrChanges::all_of(&[
    AttrChange::Mode,
    AttrChange::Uid,
    AttrChange::Gid,
    AttrChange::MtimeSet,
    AttrChange::TimesSet,
]);
/// The first minor version whose SETATTR sets the change time.
const CTIME_MINOR: u32 = 23;
/// The set-user-id bit of a mode.
const SET_UID: u16 = 0o4000;
/// The set-group-id bit of a mode.
const SET_GID: u16 = 0o2000;
/// The bit of a mode that lets the group execute; without it, [`SET_GID`] is not a privilege.
const GROUP_EXEC: u16 = 0o0010;

/// Changes the attributes of the inode behind `entry`. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode or a reply that describes another one, `EACCES` for callers that may not
/// use the mount, those of [`IAttr::prepare`], otherwise the server's error.
pub(crate) fn setattr(idmap: &Idmap, entry: &DEntry<Fuse>, attr: &mut IAttr<Fuse>) -> Result {
    let inode = entry.inode().ok_or(ENOENT)?;
    check_good(inode)?;
    if !is_caller_allowed(mount(inode).conn()) {
        return Err(EACCES);
    }

    let handle = attr.file().map(|file| file.data().fh());
    if attr
        .changes()
        .contains_any(AttrChange::KillSuid | AttrChange::KillSgid)
    {
        let features = mount(inode).conn().features();
        attr.remove(AttrChange::KillSuid | AttrChange::KillSgid | AttrChange::Mode);
        if !features.handle_killpriv && !features.handle_killpriv_v2 {
            let file: Option<Arc<OpenHandle>> = attr.file().map(|file| file.data().into());
            kill_id_bits(inode, attr, file.as_ref().map(Arc::as_arc_borrow))?;
        }
    }
    if attr.changes() == AttrChanges::default() {
        return Ok(());
    }
    change(idmap, entry, inode, attr, handle)?;
    if mount(inode).conn().features().posix_acl {
        // The server may have changed them with the mode.
        inode.forget_cached_acls();
    }
    Ok(())
}

/// Turns "clear the id bits" into a mode. The server has the authoritative mode, so it is asked
/// first.
fn kill_id_bits(
    inode: &INode<Fuse>,
    attr: &mut IAttr<Fuse>,
    handle: Option<ArcBorrow<'_, OpenHandle>>,
) -> Result {
    getattr::fetch(inode, handle, |_| ())?;
    let old = inode.mode();
    let new = without_id_bits(old);
    attr.set_mode(new);
    if new != old {
        attr.add(AttrChange::Mode);
    }
    Ok(())
}

/// `mode` without the id bits that are privileges.
fn without_id_bits(mode: u16) -> u16 {
    let runs_as_group = mode & (SET_GID | GROUP_EXEC) == SET_GID | GROUP_EXEC;
    mode & !SET_UID & !(if runs_as_group { SET_GID } else { 0 })
}

fn change(
    idmap: &Idmap,
    entry: &DEntry<Fuse>,
    inode: &INode<Fuse>,
    attr: &mut IAttr<Fuse>,
    handle: Option<FileHandle>,
) -> Result {
    let mount = mount(inode);
    let conn = mount.conn();
    if !conn.default_permissions() {
        // The server decides.
        attr.add(AttrChange::Force);
    }
    attr.prepare(idmap, entry)?;

    let changes = attr.changes();
    let truncates = changes.contains(AttrChange::Size);
    if truncates && !inode.is_reg() {
        return Err(EIO);
    }
    let mut handle = handle;
    if changes.contains(AttrChange::Open) {
        if conn.features().atomic_o_trunc {
            // OPEN has done it.
            attr_cache::truncated_by_open(inode);
            inode.truncate_pagecache(0);
            return Ok(());
        }
        // By convention, servers do not get the handle here.
        handle = None;
    }

    let owned = attr_cache::owns_times(inode);
    if owned && changes.contains_any(BARRED_TO_WRITES) {
        // Late writes could undo it.
        inode.write_now()?;
        inode.data().writes.wait();
    }
    let _size = truncates.then(|| attr_cache::hold_size(inode));
    let gate = truncates.then(|| inode.data().writes.shut());
    if owned && truncates && attr.size() != inode.size() {
        attr.add(AttrChange::Mtime);
        attr.add(AttrChange::Ctime);
    }
    let changes = attr.changes();
    let mut args = wire(idmap, conn, attr, owned);
    if let Some(fh) = handle {
        args.valid |= SetattrFlag::Fh;
        args.fh = fh;
    }
    if truncates {
        args.valid |= SetattrFlag::LockOwner;
        args.lock_owner = conn.lock_owner_key().scramble(FilesId::current());
    }
    if conn.features().handle_killpriv_v2 && drops_id_bits(inode, changes) {
        args.valid |= SetattrFlag::KillSuidgid;
    }
    let sample = Sample::of_attributes(conn);
    let reply = send(inode, args)?;
    let changed = Changed {
        truncated: truncates,
        mtime: changes.contains(AttrChange::Mtime).then(|| attr.mtime()),
        ctime: changes.contains(AttrChange::Ctime).then(|| attr.ctime()),
    };
    take_over(inode, changed, &reply, sample, gate)
}

/// Sets the file of `handle`, whose inode is locked, to the known size on the server: a write
/// behind its end has failed, and may have been done in part. Sleeps.
///
/// # Errors
///
/// The server's error; `EIO` for a reply that describes another inode.
pub(crate) fn truncate_to_size(handle: &OpenHandle) -> Result {
    let inode = handle.inode();
    let conn = handle.mount().conn();
    let _size = attr_cache::hold_size(inode);
    let gate = inode.data().writes.shut();
    let mut args = SetattrIn {
        // Sizes are not negative.
        size: inode.size() as u64,
        fh: handle.fh(),
        lock_owner: conn.lock_owner_key().scramble(FilesId::current()),
        ..SetattrIn::default()
    };
    args.valid |= SetattrFlag::Size;
    args.valid |= SetattrFlag::Fh;
    args.valid |= SetattrFlag::LockOwner;
    if conn.features().handle_killpriv_v2 && drops_id_bits(inode, AttrChange::Size.into()) {
        args.valid |= SetattrFlag::KillSuidgid;
    }
    let sample = Sample::of_attributes(conn);
    let reply = send(inode, args)?;
    let changed = Changed {
        truncated: true,
        mtime: None,
        ctime: None,
    };
    take_over(inode, changed, &reply, sample, gate)
}

/// Sends a change of attributes that are known here to the server. Sleeps.
///
/// # Errors
///
/// The server's error; `EINTR` if the caller is killed before the server has the request.
fn send(inode: &INode<Fuse>, args: SetattrIn) -> Result<AttrOut> {
    let node = inode.data().node_id();
    mount(inode)
        .call(op::Setattr { node, args })
        .inspect_err(|error| {
            if *error == EINTR {
                // It may or may not have been done.
                attr_cache::invalidate(inode);
            }
        })
}

/// Stores the attributes of a SETATTR reply. `gate` keeps writes back meanwhile.
fn take_over(
    inode: &INode<Fuse>,
    changed: Changed,
    reply: &AttrOut,
    sample: Sample,
    gate: impl Sized,
) -> Result {
    let new = CheckedAttr::new(&reply.attr);
    let new = of_this(inode, &new)?;
    let resized =
        attr_cache::changed_by_setattr(inode, changed, new, reply.attr_valid_until(), sample);
    drop(gate);
    if let Some(resized) = resized {
        resized.drop_pages();
    }
    Ok(())
}

/// Sends the times of a file that the kernel has changed (`write_inode`). May sleep.
///
/// # Errors
///
/// The server's error.
pub(crate) fn write_times(inode: &INodeView<Fuse>) -> Result {
    let mount = mount(inode);
    let mtime = inode.mtime();
    let mut args = SetattrIn {
        valid: SetattrFlag::Mtime.into(),
        // The seconds of a time are signed.
        mtime: mtime.sec() as u64,
        mtimensec: mtime.nsec(),
        ..SetattrIn::default()
    };
    if mount.conn().features().minor >= CTIME_MINOR {
        let ctime = inode.ctime();
        args.valid |= SetattrFlag::Ctime;
        args.ctime = ctime.sec() as u64;
        args.ctimensec = ctime.nsec();
    }
    let handle = inode.data().write_files.newest();
    if let Some(handle) = &handle {
        args.valid |= SetattrFlag::Fh;
        args.fh = handle.fh();
    }
    // The attributes of the answer do not include the writes that are still in the page cache.
    mount
        .call(op::Setattr {
            node: inode.data().node_id(),
            args,
        })
        .map(|_| ())
}

/// Whether `changes` clear the id bits of the file: changes of owner do, and changes of size if the
/// caller may not keep them.
fn drops_id_bits(inode: &INode<Fuse>, changes: AttrChanges) -> bool {
    (!inode.is_dir() && changes.contains_any(AttrChange::Uid | AttrChange::Gid))
        || (changes.contains(AttrChange::Size) && !capable(Capability::Fsetid))
}

/// Encodes the change for the server. `owned` says that the kernel owns the times.
fn wire(idmap: &Idmap, conn: &Connection, attr: &IAttr<Fuse>, owned: bool) -> SetattrIn {
    let changes = attr.changes();
    let ns = conn.user_ns();
    let mut args = SetattrIn::default();
    if changes.contains(AttrChange::Mode) {
        args.valid |= SetattrFlag::Mode;
        args.mode = attr.mode().into();
    }
    if changes.contains(AttrChange::Uid) {
        args.valid |= SetattrFlag::Uid;
        args.uid = attr.uid(idmap, ns).in_ns(ns).unwrap_or(u32::MAX);
    }
    if changes.contains(AttrChange::Gid) {
        args.valid |= SetattrFlag::Gid;
        args.gid = attr.gid(idmap, ns).in_ns(ns).unwrap_or(u32::MAX);
    }
    if changes.contains(AttrChange::Size) {
        args.valid |= SetattrFlag::Size;
        // Checked by `prepare`: it is not negative.
        args.size = attr.size() as u64;
    }
    if changes.contains(AttrChange::Atime) {
        let time = attr.atime();
        args.valid |= SetattrFlag::Atime;
        // The seconds of a time are signed.
        args.atime = time.sec() as u64;
        args.atimensec = time.nsec();
        if !changes.contains(AttrChange::AtimeSet) {
            args.valid |= SetattrFlag::AtimeNow;
        }
    }
    if changes_mtime(changes, owned) {
        let time = attr.mtime();
        args.valid |= SetattrFlag::Mtime;
        args.mtime = time.sec() as u64;
        args.mtimensec = time.nsec();
        if !changes.contains(AttrChange::MtimeSet) && !owned {
            args.valid |= SetattrFlag::MtimeNow;
        }
    }
    if changes.contains(AttrChange::Ctime) && owned {
        let time = attr.ctime();
        args.valid |= SetattrFlag::Ctime;
        args.ctime = time.sec() as u64;
        args.ctimensec = time.nsec();
    }
    args
}

/// Whether the server gets a new modification time.
fn changes_mtime(changes: AttrChanges, owned: bool) -> bool {
    let by_size = changes.contains(AttrChange::Size)
        && changes.contains_any(AttrChange::Open | AttrChange::File);
    // The server sets the time when a file changes its size through a handle.
    changes.contains(AttrChange::Mtime)
        && (owned || changes.contains(AttrChange::MtimeSet) || !by_size)
}

#[kunit_tests(ferrofuse_setattr)]
mod tests {
    use super::*;

    #[test]
    fn id_bits_that_give_privileges_go() {
        assert_eq!(without_id_bits(0o106755), 0o100755);
        assert_eq!(without_id_bits(0o102755), 0o100755);
    }

    #[test]
    fn set_gid_without_group_exec_stays() {
        assert_eq!(without_id_bits(0o106745), 0o102745);
    }

    #[test]
    fn truncation_by_handle_leaves_mtime_to_the_server() {
        let by_handle = AttrChange::Size | AttrChange::Mtime | AttrChange::File;
        assert!(!changes_mtime(by_handle, false));
        assert!(changes_mtime(by_handle | AttrChange::MtimeSet, false));
        assert!(changes_mtime(AttrChange::Size | AttrChange::Mtime, false));
        assert!(!changes_mtime(AttrChange::Size.into(), false));
    }

    #[test]
    fn the_kernel_sends_the_mtime_that_it_keeps() {
        let by_handle = AttrChange::Size | AttrChange::Mtime | AttrChange::File;
        assert!(changes_mtime(by_handle, true));
        assert!(!changes_mtime(AttrChange::Size.into(), true));
    }
}
