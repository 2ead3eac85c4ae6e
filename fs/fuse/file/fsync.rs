// SPDX-License-Identifier: GPL-2.0

//! FLUSH: a descriptor of an open file is closed.
//!
//! The VFS comes in through [`flush`]. FSYNC comes with writing. No locks.

use crate::{
    fuse::{
        abi::file::{
            FlushIn,
            FopenFlag, //
        },
        inode::check_good,
        op,
        Fuse, //
    },
    vfs::file::{
        File,
        FilesId, //
    },
};
use kernel::prelude::*;

/// A descriptor of `file` is closed by `owner`. Sleeps, and cannot be killed: the server gives up
/// the owner's locks here.
///
/// # Errors
///
/// `EIO` for a bad inode; what the server answers, unless it does not know FLUSH.
pub(super) fn flush(file: &File<Fuse>, owner: FilesId) -> Result {
    let handle = file.data();
    let inode = handle.inode();
    check_good(inode)?;
    if handle.wants(FopenFlag::Noflush) {
        return Ok(());
    }
    let mount = handle.mount();
    mount.call(op::Flush {
        node: inode.data().node_id(),
        args: FlushIn {
            fh: handle.fh(),
            lock_owner: mount.conn().lock_owner_key().scramble(owner),
            ..FlushIn::default()
        },
    })
}
