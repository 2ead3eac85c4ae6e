// SPDX-License-Identifier: GPL-2.0

//! What of `dir` needs no inode: the records of directories.

#[path = "../../../../../../fs/fuse/dir/records.rs"]
mod records;

use self::records::{
    PlusRecords,
    Records, //
};
use kernel::error::Result;

/// The names up to the first that is none, with that.
fn up_to_error<'a>(names: impl Iterator<Item = Result<&'a [u8]>>) -> Vec<Result<&'a [u8]>> {
    let mut found = Vec::new();
    for name in names {
        found.push(name);
        if name.is_err() {
            break;
        }
    }
    found
}

/// The names that READDIR has brought.
pub(crate) fn names(bytes: &[u8]) -> Vec<Result<&[u8]>> {
    up_to_error(Records(bytes).map(|record| record.map(|record| record.name)))
}

/// The names that READDIRPLUS has brought.
pub(crate) fn plus_names(bytes: &[u8]) -> Vec<Result<&[u8]>> {
    up_to_error(PlusRecords(bytes).map(|record| record.map(|record| record.name.as_bytes())))
}
