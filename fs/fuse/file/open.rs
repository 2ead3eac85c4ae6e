// SPDX-License-Identifier: GPL-2.0

//! OPEN and OPENDIR: opening a file on the server, and using it as the server wants.
//!
//! The VFS calls [`open`] and [`open_dir`]; the answer goes into an [`OpenHandle`], which also
//! sends RELEASE. A server that answers ENOSYS does not get OPEN again: all its files can be used,
//! and cached. No locks.

use super::passthrough;
use crate::{
    fuse::{
        abi::{
            file::{
                FopenFlag,
                OpenFlag,
                OpenFlags,
                OpenIn,
                OpenOut, //
            },
            NodeId, //
        },
        conn::{
            call::Abandoned,
            mount::Mount,
            Connection, //
        },
        inode::{
            attr_cache,
            check_good,
            handle::OpenHandle,
            mount,
            opened::{
                Kind,
                Opened, //
            }, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::{
            capable,
            Capability, //
        },
        file::open::Opening,
        node::inode::{
            INode,
            Kept, //
        },
    },
};
use kernel::{
    fs::file::flags,
    prelude::*,
    sync::{
        Arc,
        UniqueArc, //
    }, //
};

/// Opens a regular file. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode, or if the server wants the file used in a way that was not agreed on;
/// `EOVERFLOW` if the file is too large for the opener; `ENOMEM`; the server's error.
pub(crate) fn open(file: &Opening<'_, Fuse>) -> Result<Arc<OpenHandle>> {
    let inode = file.inode();
    check_good(inode)?;
    file.check_large_file()?;

    let conn = mount(inode).conn();
    let truncates = server_truncates(conn, file.flags());
    // Older dirty pages must not make the file longer again.
    let lock = (truncates && conn.features().writeback_cache).then(|| inode.lock());
    let gate = lock.as_ref().map(|_| inode.data().writes.shut());

    let handle = finish(file, send(file, Kind::File)?, file.flags())?;
    if truncates {
        attr_cache::truncated_by_open(inode);
        file.update_time();
    }
    drop(gate);
    if truncates {
        inode.truncate_pagecache(0);
    } else {
        forget_cached(&handle);
    }
    Ok(handle)
}

/// Finishes the open of a regular file that the server has opened, for `flags` (`O_*`). On failure
/// it is closed again. May sleep.
///
/// # Errors
///
/// `EIO` if the server wants the file used in a way that was not agreed on, or that conflicts with
/// other open files of it; `ENOMEM` if it is to be passed through.
pub(crate) fn finish(
    file: &Opening<'_, Fuse>,
    mut handle: UniqueArc<OpenHandle>,
    flags: u32,
) -> Result<Arc<OpenHandle>> {
    if let Err(error) = settle_io_mode(file, &mut handle) {
        handle.release_now(flags);
        return Err(error);
    }
    let handle = Arc::from(handle);
    set_position(file, &handle);
    if file.may_write() && handle.mount().conn().features().writeback_cache {
        handle.inode().data().write_files.add(&handle);
    }
    Ok(handle)
}

/// The last reference to a regular file is gone; it had `flags` (`O_*`). Sleeps.
pub(super) fn release(inode: &INode<Fuse>, flags: u32, handle: Arc<OpenHandle>) {
    if handle.mount().conn().features().writeback_cache {
        // Pages that were written since `flush`. There may be no other file to write them through;
        // a failure is reported to other open files of the inode.
        let _ = inode.write_now();
    }
    inode.data().write_files.remove(&handle);
    OpenHandle::close_file(handle, flags);
}

/// Opens a directory. May sleep.
///
/// # Errors
///
/// As [`open`].
pub(crate) fn open_dir(file: &Opening<'_, Fuse>) -> Result<Arc<OpenHandle>> {
    check_good(file.inode())?;
    file.check_large_file()?;

    let handle = send(file, Kind::Directory)?;
    // Old servers may set either; a directory without a position could not be read at all.
    if handle.wants(FopenFlag::Stream) || handle.wants(FopenFlag::Nonseekable) {
        file.set_nonseekable();
    }
    forget_cached(&handle);
    Ok(handle.into())
}

/// Decides how the inode of a newly opened regular file is used. Waits for direct writes of the
/// inode if it will be cached.
///
/// # Errors
///
/// `EIO`: all failures are the server's fault, and not the opener's.
fn settle_io_mode(file: &Opening<'_, Fuse>, handle: &mut OpenHandle) -> Result {
    let settled = if handle.wants(FopenFlag::Passthrough) {
        passthrough::open(file, handle)
    } else if !handle.wants(FopenFlag::DirectIo) {
        // With `O_DIRECT` as well, which the opener can clear later.
        handle.use_cache()
    } else if handle.inode().data().io_mode.is_passed_through() {
        Err(EINVAL)
    } else {
        Ok(())
    };
    settled.map_err(|_| EIO)
}

/// Sets whether the newly opened regular file has a position, and whether that can be moved.
fn set_position(file: &Opening<'_, Fuse>, handle: &OpenHandle) {
    if handle.wants(FopenFlag::Stream) {
        file.set_stream();
    } else if handle.wants(FopenFlag::Nonseekable) {
        file.set_nonseekable();
    }
}

/// Whether a server that `truncates` a file at the open has to clear its id bits: if it does that
/// at all, and unless the caller may keep them.
pub(crate) fn kill_id_bits(conn: &Connection, truncates: bool) -> OpenFlags {
    if truncates && conn.features().handle_killpriv_v2 && !capable(Capability::Fsetid) {
        OpenFlag::KillSuidgid.into()
    } else {
        OpenFlags::default()
    }
}

/// Whether OPEN with these flags truncates the file, so that the VFS need not ask for it.
fn server_truncates(conn: &Connection, flags: u32) -> bool {
    flags & flags::O_TRUNC != 0 && conn.features().atomic_o_trunc
}

/// Drops cached pages of a newly opened file, unless the server says that they are valid.
pub(crate) fn forget_cached(handle: &OpenHandle) {
    if !handle.wants(FopenFlag::KeepCache) {
        // Pages in use stay; their users opened the file before.
        let _ = handle.inode().invalidate_pages();
    }
}

/// The arguments of OPEN and OPENDIR for a file that is opened with `flags` (`O_*`).
fn open_args(conn: &Connection, flags: u32) -> OpenIn {
    let mut flags = flags & !(flags::O_CREAT | flags::O_EXCL | flags::O_NOCTTY);
    if !conn.features().atomic_o_trunc {
        flags &= !flags::O_TRUNC;
    }
    OpenIn {
        flags,
        open_flags: kill_id_bits(conn, flags & flags::O_TRUNC != 0),
    }
}

/// Opens a file of a device, which has no node. May sleep.
///
/// # Errors
///
/// `ENOMEM`; the server's error.
pub(super) fn open_device(mount: &Arc<Mount>, flags: u32) -> Result<Opened> {
    let open = op::Open {
        node: NodeId::NONE,
        args: open_args(mount.conn(), flags),
    };
    let answer = mount.call_or_abandon(open, || AbandonedDeviceOpen {
        mount: mount.clone(),
        flags,
    })?;
    Ok(Opened::new(mount.clone(), NodeId::NONE, Kind::File, answer))
}

fn send(file: &Opening<'_, Fuse>, kind: Kind) -> Result<UniqueArc<OpenHandle>> {
    let inode = file.inode();
    let memory = OpenHandle::reserve()?;
    let mount = mount(inode);
    let node = inode.data().node_id();
    let args = open_args(mount.conn(), file.flags());
    let abandoned = || AbandonedOpen {
        inode: inode.into(),
        kind,
        flags: file.flags(),
    };
    let answer = match kind {
        // The inode is locked, so that the file does not change while it is truncated.
        Kind::File if args.flags & flags::O_TRUNC != 0 => mount.call(op::Open { node, args })?,
        Kind::File => mount.call_or_abandon(op::Open { node, args }, abandoned)?,
        Kind::Directory => mount.call_or_abandon(op::Opendir { node, args }, abandoned)?,
    };
    Ok(memory.write(OpenHandle::new(inode, kind, answer)))
}

/// An OPEN or OPENDIR whose caller was killed: a file that it opens is released at once.
struct AbandonedOpen {
    inode: Kept<Fuse>,
    kind: Kind,
    /// The `O_*` of the open.
    flags: u32,
}

impl Abandoned<Result<Option<OpenOut>>> for AbandonedOpen {
    fn answered(self, result: Result<Option<OpenOut>>) {
        if let Ok(answer) = result {
            OpenHandle::new(&self.inode, self.kind, answer).close(self.flags);
        }
    }
}

/// As [`AbandonedOpen`], for a file of a device.
struct AbandonedDeviceOpen {
    mount: Arc<Mount>,
    flags: u32,
}

impl Abandoned<Result<Option<OpenOut>>> for AbandonedDeviceOpen {
    fn answered(self, result: Result<Option<OpenOut>>) {
        if let Ok(answer) = result {
            Opened::new(self.mount, NodeId::NONE, Kind::File, answer).close(self.flags);
        }
    }
}
