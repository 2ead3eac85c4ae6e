// SPDX-License-Identifier: GPL-2.0

//! CREATE: a new file, made and opened by one request.
//!
//! The VFS comes in through [`atomic_open`] with every name that it opens and does not know. A name
//! that is found is left to it, as after a LOOKUP; one that is to be made is made here, and opened
//! with it. A server that answers ENOSYS gets MKNOD instead, and OPEN from the VFS.
//!
//! The reply's node is a debt as that of a LOOKUP is (`inode/lookup_count.rs`), and its handle is
//! one as that of an OPEN is (`inode/handle.rs`). The directory is locked by the VFS, exclusively
//! if something is to be made. Takes no lock of its own.

use super::{
    create::{
        masked,
        mknod, //
    },
    lookup::{
        entry_valid_until,
        lookup, //
    },
    revalidate::{
        invalidate,
        set_epoch,
        set_valid_until, //
    },
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
        conn::mount::Mount,
        file::open,
        inode::{
            attr_cache::{
                self,
                CheckedAttr,
                Sample, //
            },
            check_good,
            handle::{
                Kind,
                OpenHandle, //
            },
            iget,
            lookup_count::{
                new_ticket,
                Debt, //
            },
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        atomic_open::{
            AtomicOpen,
            Done, //
        },
        dentry::LookupFlags,
        inode::{
            Dev,
            FileType,
            INode, //
        },
        sync::deadline::Deadline,
    },
};
use kernel::{
    fs::file::flags,
    prelude::*,
    sync::Arc, //
};

/// The VFS opens a name in `dir` that it does not know. May sleep.
///
/// # Errors
///
/// Those of [`lookup`], [`create`] and [`mknod`].
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
        // Only asked about.
        return Ok(Done::Found(None));
    };

    call.set_created();
    let mount = mount(dir);
    let epoch = mount.conn().epoch();
    let ticket = new_ticket()?;
    let flags = call.flags() & !flags::O_NOCTTY;
    let (mode, umask) = masked(mount.conn(), call.mode());
    let reply = mount
        .call(op::Create {
            dir: dir.data().node_id(),
            args: CreateIn {
                flags,
                mode,
                umask,
                ..CreateIn::default()
            },
            name: entry.name(),
            ext: &[],
        })
        .inspect_err(|error| {
            if *error == EEXIST {
                invalidate(entry.dentry());
            }
        })?;
    let Some((node, opened)) = reply else {
        mknod(dir, entry, call.mode(), Dev::default())?;
        return Ok(Done::Found(None));
    };

    let attr = CheckedAttr::new(node.attr)?;
    if node.nodeid == NodeId::NONE
        || node.nodeid == NodeId::ROOT
        || attr.file_type() != FileType::Regular
    {
        return Err(EIO);
    }
    let inode = iget(
        dir.sb(),
        Debt::new(mount, node.nodeid, ticket),
        node.nodeid,
        node.generation,
        &attr,
        Deadline::after(node.attr_valid, node.attr_valid_nsec),
        Sample::FIRST,
    )
    .inspect_err(|_| release(mount, &node, &opened, flags))?;
    let handle = OpenHandle::new(&inode, Kind::File, Some(opened));

    let dentry = entry.dentry();
    entry.instantiate(inode)?;
    set_epoch(dentry, epoch);
    set_valid_until(dentry, entry_valid_until(&node));
    attr_cache::dir_changed(dir);
    finish(call, handle, flags)
}

/// Opens the file that was made.
///
/// # Errors
///
/// `EOVERFLOW` if the file is too large for the opener; `EIO` if the server wants it used in a way
/// that was not agreed on; `ENOMEM`; those of the VFS.
fn finish<'a>(
    call: AtomicOpen<'a, Fuse>,
    handle: OpenHandle,
    flags: u32,
) -> Result<Done<'a, Fuse>> {
    if let Err(error) = call
        .check_large_file()
        .and_then(|()| open::check_agreed(&handle))
    {
        handle.release_now(flags);
        return Err(error);
    }
    // Until the file is open, and says otherwise when it is closed.
    handle.close(flags);
    let handle = Arc::new(handle, GFP_KERNEL)?;
    let file = call.finish(handle.clone())?;
    open::begin(&file, &handle);
    let inode = handle.inode();
    if flags & flags::O_TRUNC != 0 && handle.mount().conn().features().atomic_o_trunc {
        // What the server had there it has truncated.
        inode.truncate_pagecache(0);
    } else {
        open::forget_cached(&handle);
    }
    Ok(Done::Opened(file))
}

/// There is no inode for what was opened: closes it again.
fn release(mount: &Mount, node: &EntryOut, opened: &OpenOut, flags: u32) {
    // What the server says to that helps nobody.
    let _ = mount.call(op::Release {
        node: node.nodeid,
        args: ReleaseIn {
            fh: opened.fh,
            flags: flags & !(flags::O_CREAT | flags::O_EXCL | flags::O_TRUNC),
            ..ReleaseIn::default()
        },
    });
}
