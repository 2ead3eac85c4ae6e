// SPDX-License-Identifier: GPL-2.0

//! What a notification could not drop, because it is being read or written.
//!
//! It is marked, and the next user of the page cache drops it (`file/outdated.rs`). If there is none, a
//! worker does, so that dirty pages are written, pages that show what is not true are not mapped for long,
//! and their memory is free soon. The worker does not wait either: it looks again and again, and gives up
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

/// Files that the worker looks after, for one connection. Those beyond are left to their users.
const MAX: usize = 64;

/// How often it looks after a file.
const LOOKS: u32 = 100;

/// Milliseconds between two looks.
pub(super) const PERIOD: u32 = 100;

/// Files of which something is left.
pub(super) struct LeftFiles {
    files: Pin<KBox<SpinLock<KVec<File>>>>,
}

struct File {
    inode: Kept<Fuse>,
    /// How often the worker has looked after it.
    looks: u32,
}

impl LeftFiles {
    /// None.
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

    /// Has the worker look after `inode`, if there is room. The worker has to be told.
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
        // Where that may sleep.
        drop(full);
    }

    /// Takes one of the files out.
    fn take(&self) -> Option<File> {
        self.files.lock().pop()
    }

    /// Puts one back that was taken out; it comes back if there is no room any more.
    fn put(&self, file: File) -> Option<File> {
        let mut files = self.files.lock();
        files.push_within_capacity(file).err().map(|full| full.0)
    }
}

impl Check for LeftFiles {
    fn check(&self) -> bool {
        // At the maximum as many as there may be, those that are added meanwhile included.
        let mut again = [const { None }; MAX];
        for slot in &mut again {
            let Some(mut file) = self.take() else {
                break;
            };
            let left = outdated::drop_marked(&file.inode);
            file.looks += 1;
            // There is no use in waiting for what cannot be written.
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
