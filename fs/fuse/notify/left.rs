// SPDX-License-Identifier: GPL-2.0

//! Pages that a notification could not drop, because they are being read or written.
//!
//! They are marked, and the next user of the page cache drops them (`file/outdated.rs`). If there
//! is none, a worker does, so that dirty pages are written, outdated pages do not stay mapped, and
//! their memory is freed soon. The worker does not wait either: it tries periodically, and gives up
//! after a while.
//!
//! Locks: [`LeftFiles::files`], a leaf.

use crate::{
    fuse::{
        file::outdated,
        Fuse, //
    },
    vfs::{
        node::inode::{
            INode,
            Kept, //
        },
        sync::watchdog::Check, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// Maximum number of files of one connection that the worker handles. Others are left to their
/// users.
const MAX: usize = 64;

/// Number of times that it tries a file.
const LOOKS: u32 = 100;

/// Milliseconds between two tries.
pub(super) const PERIOD: u32 = 100;

/// Files with pages that are left.
pub(super) struct LeftFiles {
    files: Pin<KBox<SpinLock<KVec<File>>>>,
}

struct File {
    inode: Kept<Fuse>,
    /// Number of times that the worker has tried it.
    looks: u32,
}

impl LeftFiles {
    /// No files.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        let files = KVec::with_capacity(MAX, GFP_KERNEL)?;
        Ok(Self {
            files: KBox::pin_init(new_spinlock!(files, "LeftFiles::files"), GFP_KERNEL)?,
        })
    }

    /// Adds `inode` to the worker's files, if there is room. The caller has to wake the worker.
    pub(super) fn add(&self, inode: &INode<Fuse>) {
        let file = File {
            inode: inode.into(),
            looks: 0,
        };
        let full = {
            let mut files = self.files.lock();
            if files.iter().any(|file| core::ptr::eq(&*file.inode, inode)) {
                Some(file)
            } else {
                files.push_within_capacity(file).err().map(|full| full.0)
            }
        };
        // After the unlock, where it may sleep.
        drop(full);
    }

    /// Takes one of the files out.
    fn take(&self) -> Option<File> {
        self.files.lock().pop()
    }

    /// Puts a file back that was taken out; returns it if there is no room any more.
    fn put(&self, file: File) -> Option<File> {
        let mut files = self.files.lock();
        files.push_within_capacity(file).err().map(|full| full.0)
    }
}

impl Check for LeftFiles {
    fn check(&self) -> bool {
        // The maximum number of files, those that are added meanwhile included.
        let mut again = [const { None }; MAX];
        for slot in &mut again {
            let Some(mut file) = self.take() else {
                break;
            };
            let left = outdated::drop_marked(&file.inode);
            file.looks += 1;
            // There is no use in waiting for pages that cannot be written.
            if (left.locked.is_some() || left.written) && file.looks < LOOKS {
                *slot = Some(file);
            }
        }
        let mut any = false;
        for file in again.into_iter().flatten() {
            any = true;
            drop(self.put(file));
        }
        any
    }
}
