// SPDX-License-Identifier: GPL-2.0

//! `mmap(2)`, for mappings that are not stored to.
//!
//! The VFS comes in through [`mmap`], faults go to the page cache. Shared mappings of a file that
//! is open for writing come with writing.
//!
//! Locks: the address space is locked for writing. No server is asked anything here: it could be
//! waiting for that lock.

use crate::{
    fuse::{
        abi::file::FopenFlag,
        Fuse, //
    },
    vfs::file::File,
};
use kernel::{
    mm::virt::{
        flags,
        VmaNew, //
    },
    prelude::*,
};

/// Maps `file`. May sleep.
///
/// # Errors
///
/// `EINVAL` for a shared mapping of a file that is open for writing; `ENODEV` for a shared mapping
/// of a file that the server wants read past the page cache.
pub(super) fn mmap(file: &File<Fuse>, vma: &VmaNew) -> Result {
    let handle = file.data();
    if handle.wants(FopenFlag::DirectIo) {
        if vma.flags() & flags::MAYSHARE != 0 {
            // Without agreement with the server nothing keeps such a mapping coherent.
            return Err(ENODEV);
        }
        // Pages that are busy stay: a private mapping may show any state of the file.
        let _ = handle.inode().invalidate_pages();
    }
    file.generic_readonly_mmap(vma)
}
