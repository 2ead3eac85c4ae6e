// SPDX-License-Identifier: GPL-2.0

//! `lseek(2)`.
//!
//! The VFS comes in through [`llseek`]. Data and holes are told apart by the file's size alone:
//! LSEEK is not sent yet.
//!
//! Locks: the inode's, around what depends on its size, so that it does not change in between.

use crate::{
    fuse::{
        attr::getattr::update_attributes,
        Fuse, //
    },
    vfs::{
        file::{
            File,
            Whence, //
        },
        inode_ops::Statx,
    },
};
use kernel::prelude::*;

/// Moves the position of `file`. May sleep.
///
/// # Errors
///
/// `EINVAL` for a position that no file can have, `ENXIO` for data beyond the end; what the server
/// answers when it is asked for the size.
pub(super) fn llseek(file: &File<Fuse>, offset: i64, whence: Whence) -> Result<i64> {
    match whence {
        Whence::Set | Whence::Cur => file.generic_llseek(offset, whence),
        Whence::End | Whence::Data | Whence::Hole => {
            let inode = file.inode();
            let _lock = inode.lock();
            update_attributes(inode, Some(file.data().fh()), Statx::Size.into())?;
            file.generic_llseek(offset, whence)
        }
    }
}
