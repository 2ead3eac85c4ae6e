// SPDX-License-Identifier: GPL-2.0

//! `mmap(2)`.
//!
//! `file/mod.rs` calls [`mmap`]; faults go to the page cache. Stores to a shared mapping are written
//! back through the file that was mapped, or another one that is open for writing.
//!
//! Locks: the address space is locked for writing. No request is sent here, as the server could
//! wait for that lock, except to write the dirty pages of a file that bypasses the page cache; its
//! parallel direct writes are waited for: those that the server has, never one that waits for the
//! lock itself (`inode/io_mode.rs`).

use super::outdated;
use crate::{
    fuse::{
        abi::file::FopenFlag,
        Fuse, //
    },
    vfs::{
        mm::vm::{
            Faults,
            NewArea, //
        },
        node::inode::INode, //
    },
};
use kernel::{
    mm::virt::flags,
    prelude::*, //
};

/// Maps the file of `area`. May sleep.
///
/// # Errors
///
/// `ENODEV` for a shared mapping of a file whose server bypasses the page cache, unless it has
/// agreed to that in INIT, and for any mapping of a file that is passed through for another open;
/// `ETXTBSY` if it has just become one.
pub(super) fn mmap(area: NewArea<'_, Fuse>) -> Result {
    let handle = area.file().data();
    if handle.inode().data().io_mode.is_passed_through() {
        // The page cache does not have the data that is passed through.
        return Err(ENODEV);
    }
    if handle.wants(FopenFlag::DirectIo) {
        let shared = area.flags() & flags::MAYSHARE != 0;
        if shared && !handle.mount().conn().features().direct_io_allow_mmap {
            // Without agreement with the server such a mapping is not coherent.
            return Err(ENODEV);
        }
        // Pages in use stay: their users see what they saw when they began.
        let _ = handle.inode().invalidate_pages();
        if !shared {
            return area.map_readonly();
        }
        handle.use_cache()?;
    }
    let stored_to = flags::SHARED | flags::MAYWRITE;
    if area.flags() & stored_to == stored_to {
        handle.inode().data().write_files.add(&handle.into());
    }
    area.map_page_cache::<Mapped>()
}

/// The operations of a mapping, whose pages are not older than the last invalidation of the server.
struct Mapped;

impl Faults<Fuse> for Mapped {
    #[inline]
    fn is_ready(inode: &INode<Fuse>) -> bool {
        !inode.data().is_outdated()
    }

    fn make_ready(inode: &INode<Fuse>) -> Result {
        outdated::settle(inode)
    }
}
