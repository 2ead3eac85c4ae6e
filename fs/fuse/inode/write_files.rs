// SPDX-License-Identifier: GPL-2.0

//! The open handles through which the dirty pages of a file may be written.
//!
//! A dirty page does not name the file that dirtied it, and the server wants a handle opened for
//! writing. [`WriteFiles`] knows those of an inode: a file is added when it is opened for writing
//! and its writes may stay in the cache, or when a mapping of it can be stored to; it is removed
//! when it is closed, after everything was written. On the walk: `file/open.rs` and `file/mmap.rs`
//! add, `file/writeback.rs` takes one.
//!
//! The set shares the handle with the open file. A handle that is still in here when its file is
//! gone would never be released; so `file` removes it in `release`, and nowhere is a handle added
//! that no file has.
//!
//! Locks: the set's, a leaf; no handle is dropped under it.

use super::handle::OpenHandle;
use crate::vfs::sync::insist;
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        Arc,
        SpinLock, //
    },
};

struct Files {
    /// By the order in which they came, the last one first.
    by_age: RBTree<u64, Arc<OpenHandle>>,
    /// The key of the last one.
    last: u64,
}

/// The open handles of an inode that its dirty pages may be written through (`fi->write_files`).
#[pin_data]
pub(crate) struct WriteFiles {
    #[pin]
    files: SpinLock<Files>,
}

impl WriteFiles {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            files <- new_spinlock!(
                Files {
                    by_age: RBTree::new(),
                    last: u64::MAX,
                },
                "WriteFiles::files"
            ),
        })
    }

    /// Adds the handle of an open file, if it is not here already. May sleep.
    pub(crate) fn add(&self, handle: &Arc<OpenHandle>) {
        // Without memory for it nothing could be written; this waits for it.
        let mut room = Some(insist(RBTreeNodeReservation::new));
        let mut files = self.files.lock();
        if handle.write_key().is_none() {
            // There are not so many files.
            let key = files.last.saturating_sub(1);
            files.last = key;
            handle.set_write_key(Some(key));
            if let Some(room) = room.take() {
                // No other one has this key.
                let _none = files.by_age.insert(room.into_node(key, handle.clone()));
            }
        }
        drop(files);
    }

    /// Removes a handle whose file is being closed.
    pub(crate) fn remove(&self, handle: &OpenHandle) {
        let mut files = self.files.lock();
        let removed = handle
            .write_key()
            .and_then(|key| files.by_age.remove_node(&key));
        handle.set_write_key(None);
        drop(files);
        drop(removed);
    }

    /// The one that was opened last, if there is one.
    pub(crate) fn newest(&self) -> Option<Arc<OpenHandle>> {
        let files = self.files.lock();
        let newest = files.by_age.values().next().cloned();
        drop(files);
        newest
    }
}
