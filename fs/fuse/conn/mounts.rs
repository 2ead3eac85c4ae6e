// SPDX-License-Identifier: GPL-2.0

//! The super blocks of one connection, to find a node in.
//!
//! The server's notifications name nodes (`notify`), without a super block. Usually a node is in
//! only one super block, and if it is in several, the first one found will do.
//!
//! Locks: that of the list, which is a leaf; it is not held while a super block is accessed.

use crate::{
    fuse::Fuse,
    vfs::mount::sb::{
        SuperBlock,
        SuperHandle, //
    },
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    },
};

/// The super blocks of one connection.
#[pin_data]
pub(crate) struct Mounts {
    #[pin]
    list: Mutex<List>,
}

struct List {
    /// Those that are mounted, in the order of their numbers.
    entries: KVec<(u64, Arc<SuperHandle<Fuse>>)>,
    /// The number of the next one.
    next: u64,
}

impl Mounts {
    /// An empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            list <- new_mutex!(List {
                entries: KVec::new(),
                next: 0,
            }),
        })
    }

    /// Adds a super block. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn add(&self, mount: Arc<SuperHandle<Fuse>>) -> Result {
        let mut list = self.list.lock();
        let number = list.next;
        list.entries.push((number, mount), GFP_KERNEL)?;
        list.next = number.wrapping_add(1);
        Ok(())
    }

    /// Removes a super block, if it is there; returns whether none is left. Sleeps.
    pub(crate) fn remove(&self, mount: &Arc<SuperHandle<Fuse>>) -> bool {
        let mut list = self.list.lock();
        list.entries.retain(|(_, other)| !Arc::ptr_eq(mount, other));
        list.entries.is_empty()
    }

    /// Runs `f` with each super block until it returns a value, and returns that. One that is being
    /// shut down is skipped, and the shutdown waits for `f`. Sleeps.
    pub(crate) fn find<R, F>(&self, mut f: F) -> Option<R>
    where
        F: FnMut(&SuperBlock<Fuse>) -> Option<R>,
    {
        let mut from = 0;
        while let Some((number, mount)) = self.first_from(from) {
            if let Some(found) = mount.with(&mut f).flatten() {
                return Some(found);
            }
            from = number.wrapping_add(1);
        }
        None
    }

    /// Runs `f` with each super block. Sleeps.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&SuperBlock<Fuse>)) {
        self.find(|sb| {
            f(sb);
            None::<()>
        });
    }

    fn first_from(&self, from: u64) -> Option<(u64, Arc<SuperHandle<Fuse>>)> {
        let list = self.list.lock();
        list.entries
            .iter()
            .find(|(number, _)| *number >= from)
            .cloned()
    }
}
