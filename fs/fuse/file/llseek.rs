// SPDX-License-Identifier: GPL-2.0

//! `lseek(2)`.
//!
//! The VFS calls [`llseek`]. The server knows where data and holes are; for one that does not know
//! LSEEK, the file is all data up to its size.
//!
//! Locks: the inode's, around accesses that depend on its size, so that it does not change.

use crate::{
    fuse::{
        abi::file::{
            LseekIn,
            LseekOut, //
        },
        attr::getattr::update_attributes,
        op,
        Fuse, //
    },
    vfs::{
        file::open::{
            File,
            Whence, //
        },
        node::attr::Statx, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Moves the position of `file`. May sleep.
///
/// # Errors
///
/// `EINVAL` for an invalid position, `ENXIO` for data beyond the end; the server's error.
pub(super) fn llseek(file: &File<Fuse>, offset: i64, whence: Whence) -> Result<i64> {
    match whence {
        Whence::Set | Whence::Cur => file.generic_llseek(offset, whence),
        Whence::End => {
            let _lock = file.inode().lock();
            by_size(file, offset, whence)
        }
        Whence::Data | Whence::Hole => {
            let _lock = file.inode().lock();
            match ask(file, offset, whence)? {
                Some(found) => file.set_pos(i64::try_from(found.offset).map_err(|_| EINVAL)?),
                None => by_size(file, offset, whence),
            }
        }
    }
}

/// Moves the position with the known size of the file, which is fetched first.
fn by_size(file: &File<Fuse>, offset: i64, whence: Whence) -> Result<i64> {
    update_attributes(file.inode(), Some(file.data()), Statx::Size.into())?;
    file.generic_llseek(offset, whence)
}

/// Asks the server; [`None`] if it does not know LSEEK.
fn ask(file: &File<Fuse>, offset: i64, whence: Whence) -> Result<Option<LseekOut>> {
    let handle = file.data();
    let query = op::Lseek {
        node: handle.inode().data().node_id(),
        args: LseekIn {
            fh: handle.fh(),
            // A negative one is for the server to refuse.
            offset: offset as u64,
            whence: whence as u32,
            ..LseekIn::default()
        },
    };
    handle.mount().call_or_abandon(query, || Arc::from(handle))
}
