// SPDX-License-Identifier: GPL-2.0

//! Backing files: files that the server registers, so that reads and writes of files of the mount
//! are passed through to them (`fuse_backing`).
//!
//! A registered file has an id, by which the server names it when it answers an OPEN. It is kept as
//! long as it is registered or backs an open file; files that are still registered are dropped with
//! the connection. The transport's ioctl registers them through `notify`; `file/passthrough.rs`
//! finds them.
//!
//! Locks: `files`, a leaf. No reference to a file is dropped inside.

use crate::{
    fuse::abi::device::BackingMap,
    vfs::{
        cred::{
            capable,
            Capability, //
        },
        io::backing::Backing, //
    },
};
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

/// The backing files of one connection (`backing_files_map`).
#[pin_data]
pub(super) struct BackingFiles {
    #[pin]
    files: SpinLock<Files>,
}

struct Files {
    by_id: RBTree<i32, Arc<Backing>>,
    /// Start of the search for a free id, so that an id is reused late.
    next: i32,
}

impl Files {
    /// The first free id at or behind [`Self::next`], or else from the start.
    ///
    /// # Errors
    ///
    /// `ENOSPC`.
    fn free_id(&self) -> Result<i32> {
        let mut behind = Iterator::chain(self.next..=i32::MAX, 1..self.next);
        behind.find(|id| self.by_id.get(id).is_none()).ok_or(ENOSPC)
    }
}

impl BackingFiles {
    /// An empty set.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            files <- new_spinlock!(
                Files {
                    by_id: RBTree::new(),
                    next: 1,
                },
                "FuseBackingFiles::files"
            ),
        })
    }

    /// Registers the file that the caller asks for, of a mount that is stacked on maximum `depth`
    /// file systems, and returns its id. May sleep.
    ///
    /// # Errors
    ///
    /// `EPERM` without a depth, or if the caller is not privileged; `EINVAL` for unknown flags, and
    /// for a file that is not a regular one; `EISDIR`, `EBADF`; `ELOOP` if its file system is
    /// stacked on too many others itself; `ENOSPC` if there is no id; `ENOMEM`.
    pub(super) fn open(&self, depth: Option<u32>, map: BackingMap) -> Result<i32> {
        let depth = may_back(depth)?;
        if map.flags != 0 || map.padding != 0 {
            return Err(EINVAL);
        }
        let backing = Backing::of_caller(map.fd)?;
        if backing.stack_depth() >= depth {
            return Err(ELOOP);
        }
        self.add(backing)
    }

    fn add(&self, backing: Backing) -> Result<i32> {
        let backing = Arc::new(backing, GFP_KERNEL_ACCOUNT)?;
        let room = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
        let mut files = self.files.lock();
        let id = files.free_id()?;
        files.next = id.checked_add(1).unwrap_or(1);
        files.by_id.insert(room.into_node(id, backing));
        Ok(id)
    }

    /// Unregisters the file with this id. Open files keep it.
    ///
    /// # Errors
    ///
    /// `EPERM` as [`Self::open`]; `EINVAL` for a number that is not an id; `ENOENT`.
    pub(super) fn close(&self, depth: Option<u32>, id: i32) -> Result {
        may_back(depth)?;
        if id <= 0 {
            return Err(EINVAL);
        }
        let removed = self.files.lock().by_id.remove_node(&id);
        removed.map(drop).ok_or(ENOENT)
    }

    /// The file that the server has registered with this id.
    ///
    /// # Errors
    ///
    /// `EINVAL` without a depth, or for a number that is not an id; `ENOENT`.
    pub(super) fn get(&self, depth: Option<u32>, id: i32) -> Result<Arc<Backing>> {
        if depth.is_none() || id <= 0 {
            return Err(EINVAL);
        }
        self.files.lock().by_id.get(&id).cloned().ok_or(ENOENT)
    }
}

/// Checks that the caller may change backing files of a mount; returns the depth of the mount above
/// them.
///
/// # Errors
///
/// `EPERM`. No tool lists these open files as those of a process, so it takes an administrator.
fn may_back(depth: Option<u32>) -> Result<u32> {
    depth.filter(|_| capable(Capability::SysAdmin)).ok_or(EPERM)
}
