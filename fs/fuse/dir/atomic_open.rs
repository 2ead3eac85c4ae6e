// SPDX-License-Identifier: GPL-2.0

//! CREATE and TMPFILE: a new file, created and opened by one request.
//!
//! The VFS calls [`atomic_open`] for every name that it opens and that is not in the dentry cache.
//! An existing file is left to the VFS, as after a LOOKUP; a new one is created here, and opened
//! with the same request. A server that answers ENOSYS gets MKNOD instead, and OPEN from the VFS.
//! For a file without a name the VFS calls [`tmpfile`], and there is no other way.
//!
//! The node of the reply is a debt, as that of a LOOKUP is (`inode/lookup_count.rs`), and its
//! handle has to be released, as that of an OPEN (`inode/handle.rs`). The directory is locked by
//! the VFS, exclusively if something is to be created. Takes no lock of its own, but waits for
//! abandoned lookups (`inode/dirops.rs`).

use super::{
    create::{
        masked,
        mknod, //
    },
    create_ext::extensions,
    entry::{
        believe,
        invalidate,
        Asked, //
    },
    lookup::lookup, //
};
use crate::{
    fuse::{
        abi::{
            attr::EntryOut,
            file::{
                CreateIn,
                OpenOut,
                ReleaseIn, //
            },
            NodeId, //
        },
        channel::forget::ForgetTicket,
        conn::{
            mount::Mount,
            Connection, //
        },
        file::open,
        inode::{
            attr_cache::{
                self,
                CheckedAttr,
                Sample, //
            },
            check_good,
            dirops::wait_for_turn,
            handle::OpenHandle,
            iget,
            lookup_count::{
                new_ticket,
                Debt, //
            },
            mount,
            opened::Kind, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::Idmap,
        file::open::Opening,
        node::{
            atomic_open::{
                AtomicOpen,
                Done,
                NewFile,
                TmpFile, //
            },
            dentry::LookupFlags,
            held::Held,
            inode::{
                Dev,
                FileType,
                INode, //
            }, //
        },
    },
};
use core::mem::MaybeUninit;
use kernel::{
    fs::file::flags,
    prelude::*,
    sync::UniqueArc, //
};

/// Opens a name in `dir` that is not in the dentry cache. May sleep.
///
/// # Errors
///
/// Those of [`lookup`], [`make`] and [`mknod`]; `EINTR`; the server's error.
pub(super) fn atomic_open<'a>(
    dir: &INode<Fuse>,
    mut call: AtomicOpen<'a, Fuse>,
) -> Result<Done<'a, Fuse>> {
    check_good(dir)?;
    if let Some(entry) = call.lookup() {
        let other = lookup(dir, entry, LookupFlags::default())?;
        if other.is_some() || call.dentry().inode().is_some() {
            return Ok(Done::Found(other));
        }
    }
    let Some(entry) = call.vacant() else {
        // It is only looked up.
        return Ok(Done::Found(None));
    };

    wait_for_turn(dir)?;
    call.set_created();
    let mount = mount(dir);
    let before = Before::new(dir)?;
    let flags = call.flags() & !flags::O_NOCTTY;
    let idmap = call.idmap();
    let ext = extensions(idmap, dir, || entry.security_context(call.mode()))?;
    let reply = mount
        .call_mapped(
            idmap,
            op::Create {
                dir: dir.data().node_id(),
                args: args(mount.conn(), flags, call.mode()),
                name: entry.name(),
                ext: &ext,
            },
        )
        .inspect_err(|error| {
            if *error == EEXIST {
                invalidate(entry.dentry());
            }
        })?;
    let Some(reply) = reply else {
        mknod(idmap, dir, entry, call.mode(), Dev::default())?;
        return Ok(Done::Found(None));
    };
    let give = |inode: Held<'_, INode<Fuse>>| entry.instantiate(inode);
    make(dir, before, reply, flags, give, call.into_file()).map(Done::Opened)
}

/// Opens a new file in `dir` that gets no name. May sleep.
///
/// # Errors
///
/// `EOPNOTSUPP` if the server has no such files, otherwise as [`make`].
pub(super) fn tmpfile<'a>(
    idmap: &Idmap,
    dir: &INode<Fuse>,
    call: TmpFile<'a, Fuse>,
) -> Result<Opening<'a, Fuse>> {
    check_good(dir)?;
    let mount = mount(dir);
    let before = Before::new(dir)?;
    let flags = call.flags() & !flags::O_NOCTTY;
    let mode = call.mode();
    let (entry, file) = call.into_parts();
    let ext = extensions(idmap, dir, || entry.security_context(mode))?;
    let reply = mount.call_mapped(
        idmap,
        op::Tmpfile {
            dir: dir.data().node_id(),
            args: args(mount.conn(), flags, mode),
            name: entry.name(),
            ext: &ext,
        },
    )?;
    make(
        dir,
        before,
        reply,
        flags,
        |inode| entry.instantiate(inode),
        file,
    )
}

/// The state before the server is asked.
struct Before {
    asked: Asked,
    ticket: Option<ForgetTicket>,
    handle: UniqueArc<MaybeUninit<OpenHandle>>,
}

impl Before {
    fn new(dir: &INode<Fuse>) -> Result<Self> {
        Ok(Self {
            asked: Asked::now(dir),
            ticket: Some(new_ticket()?),
            handle: OpenHandle::reserve()?,
        })
    }
}

fn args(conn: &Connection, flags: u32, mode: u16) -> CreateIn {
    let (mode, umask) = masked(conn, mode);
    let truncates = flags & flags::O_TRUNC != 0 && flags & flags::O_EXCL == 0;
    CreateIn {
        flags,
        mode,
        umask,
        open_flags: open::kill_id_bits(conn, truncates),
    }
}

/// Opens the file that the server has created: `give` gives its inode to the dentry of `file`.
///
/// # Errors
///
/// `EIO` for a reply that does not name a new regular file; `ENOMEM`; those of [`finish`].
fn make<'a>(
    dir: &INode<Fuse>,
    mut before: Before,
    (node, opened): (EntryOut, OpenOut),
    flags: u32,
    give: impl FnOnce(Held<'_, INode<Fuse>>) -> Result,
    file: NewFile<'a, Fuse>,
) -> Result<Opening<'a, Fuse>> {
    let mount = mount(dir);
    let attr = CheckedAttr::new(&node.attr)?;
    if node.nodeid == NodeId::NONE
        || node.nodeid == NodeId::ROOT
        || attr.file_type() != FileType::Regular
    {
        return Err(EIO);
    }
    let inode = iget(
        dir.sb(),
        Debt::new(mount, node.nodeid, &mut before.ticket),
        node.nodeid,
        node.generation,
        &attr,
        node.attr_valid_until(),
        Sample::FIRST,
    )
    .inspect_err(|_| release(mount, &node, &opened, flags))?;
    let handle = OpenHandle::new(&inode, Kind::File, Some(opened));
    let handle = before.handle.write(handle);

    let dentry = file.dentry();
    give(inode)?;
    believe(dentry, dir, before.asked, node.entry_valid_until());
    attr_cache::dir_changed(dir);
    finish(file, handle, flags)
}

/// Opens the file that was created.
///
/// # Errors
///
/// `EOVERFLOW` if the file is too large for the opener; those of [`open::finish`] and of the VFS.
fn finish<'a>(
    file: NewFile<'a, Fuse>,
    mut handle: UniqueArc<OpenHandle>,
    flags: u32,
) -> Result<Opening<'a, Fuse>> {
    // The flags for RELEASE, until the file is open and sets others when it is closed.
    handle.close(flags);
    file.finish(|file| {
        if let Err(error) = file.check_large_file() {
            handle.release_now(flags);
            return Err(error);
        }
        let handle = open::finish(file, handle, flags)?;
        if flags & flags::O_TRUNC != 0 && handle.mount().conn().features().atomic_o_trunc {
            // The server has truncated an existing file.
            handle.inode().truncate_pagecache(0);
        } else {
            open::forget_cached(&handle);
        }
        Ok(handle)
    })
}

/// Closes an opened file for which there is no inode.
fn release(mount: &Mount, node: &EntryOut, opened: &OpenOut, flags: u32) {
    // An error of the server has no consequence.
    let _ = mount.call(op::Release {
        node: node.nodeid,
        args: ReleaseIn {
            fh: opened.fh,
            flags: flags & !(flags::O_CREAT | flags::O_EXCL | flags::O_TRUNC),
            ..ReleaseIn::default()
        },
    });
}
