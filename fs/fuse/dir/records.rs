// SPDX-License-Identifier: GPL-2.0

//! The records of a READDIR or READDIRPLUS reply, which may be arbitrary bytes.
//!
//! `dir/readdir.rs` passes them to the reader, and `dir/readdirplus.rs` caches the nodes of those
//! of READDIRPLUS. No locks.

use crate::{
    fuse::abi::{
        header::rec_align,
        node::{
            Dirent,
            Direntplus, //
        }, //
    },
    vfs::node::entry_name::EntryName, //
};
use kernel::prelude::*;

/// Maximum length of a name from a server, in bytes (`FUSE_NAME_MAX`).
const NAME_MAX: usize = 4095;

/// One record.
pub(super) struct Record<'a> {
    /// The record without its name.
    pub(super) entry: Dirent,
    /// The name.
    pub(super) name: &'a [u8],
}

/// The records in a buffer.
///
/// One that does not end within the buffer, padding included, ends it: the server ran out of room,
/// and sends it again in reply to the request after the one before.
///
/// # Errors
///
/// `EIO` for a name that is empty, too long or a path.
pub(super) struct Records<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, after) = Dirent::read_from_prefix(self.0).ok()?;
        let namelen = entry.namelen as usize;
        let end = rec_align(size_of::<Dirent>().checked_add(namelen)?)?;
        let name = match check_name(after, namelen, self.0.len() >= end)? {
            Ok(name) => name.as_bytes(),
            Err(error) => return Some(Err(error)),
        };
        self.0 = self.0.get(end..)?;
        Some(Ok(Record { entry, name }))
    }
}

/// One record of READDIRPLUS.
pub(super) struct PlusRecord<'a> {
    /// The record without its name.
    pub(super) entry: &'a Direntplus,
    /// The name.
    pub(super) name: EntryName<'a>,
}

/// The records of READDIRPLUS in a buffer; it ends as that of [`Records`] does. They are read in
/// place, so the buffer has to have the alignment of allocated memory; otherwise there are none.
///
/// # Errors
///
/// `EIO` for a name that is empty, too long or a path.
pub(super) struct PlusRecords<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for PlusRecords<'a> {
    type Item = Result<PlusRecord<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (entry, after) = Direntplus::ref_from_prefix(self.0).ok()?;
        let namelen = entry.dirent.namelen as usize;
        let end = rec_align(size_of::<Direntplus>().checked_add(namelen)?)?;
        let name = match check_name(after, namelen, self.0.len() >= end)? {
            Ok(name) => name,
            Err(error) => return Some(Err(error)),
        };
        self.0 = self.0.get(end..)?;
        Some(Ok(PlusRecord { entry, name }))
    }
}

/// The name of `namelen` bytes at the start of `after`; `None` if the record is not `complete`.
///
/// # Errors
///
/// `EIO` for a name that is empty, too long or a path.
fn check_name(after: &[u8], namelen: usize, complete: bool) -> Option<Result<EntryName<'_>>> {
    if namelen == 0 || namelen > NAME_MAX {
        return Some(Err(EIO));
    }
    let name = after.get(..namelen).filter(|_| complete)?;
    Some(EntryName::new(name).ok_or(EIO))
}
