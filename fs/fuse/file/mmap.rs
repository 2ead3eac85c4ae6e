// SPDX-License-Identifier: GPL-2.0

//! `mmap(2)`.
//!
//! The VFS comes in through [`mmap`], faults go to the page cache, or to a backing file. What is stored to a shared mapping
//! is written through the file that was mapped, or another one that may write.
//!
//! Locks: the address space is locked for writing. No server is asked anything here, as it could be
//! waiting for that lock, but to write the dirty pages of a file that is used past the page cache;
//! and its direct writes that run side by side are waited for: those that the server has, never one
//! that waits for the lock itself (`inode/io_mode.rs`).

use super::{
    outdated,
    passthrough, //
};
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
/// `ENODEV` for a shared mapping of a file that the server wants read past the page cache, unless
/// it has agreed to that in INIT, and for any of a file that others have open to be passed through;
/// `ETXTBSY` if it has just become one; those of the backing file.
pub(super) fn mmap(area: NewArea<'_, Fuse>) -> Result {
    let handle = area.file().data();
    if let Some(backing) = handle.backing() {
        return passthrough::mmap(backing, area);
    }
    if handle.inode().data().io_mode.is_passed_through() {
        // The page cache has nothing of what others read and write.
        return Err(ENODEV);
    }
    if handle.wants(FopenFlag::DirectIo) {
        let shared = area.flags() & flags::MAYSHARE != 0;
        if shared && !handle.mount().conn().features().direct_io_allow_mmap {
            // Without agreement with the server nothing keeps such a mapping coherent.
            return Err(ENODEV);
        }
        // Pages that are busy stay: their users see what they saw when they began.
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

/// What is mapped is not older than what the server has said of it.
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
