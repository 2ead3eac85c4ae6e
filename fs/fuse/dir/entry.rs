// SPDX-License-Identifier: GPL-2.0

//! What the kernel knows of a directory entry: until when it holds, and since which epoch.
//!
//! Takes no lock but `d_lock`, and that of `vfs/node/dentry_expiry.rs`.

use crate::{
    fuse::{
        abi::attr::EntryOut,
        Fuse, //
    },
    vfs::{
        node::dentry::{
            DEntry,
            DEntryView, //
        },
        sync::deadline::{
            AtomicDeadline,
            Deadline, //
        },
    },
};
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The private part of a directory entry.
pub(crate) struct Entry {
    /// Until when the entry may be used without asking the server.
    pub(super) valid_until: AtomicDeadline,
    /// The epoch in which the name was looked up.
    pub(super) epoch: Atomic<u32>,
}

impl Entry {
    /// An entry about which the server has said nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            valid_until: AtomicDeadline::new(Deadline::PAST),
            // The first epoch is 1: nobody has looked the name up yet.
            epoch: Atomic::new(0),
        }
    }
}

/// Notes until when `entry` may be used without asking the server.
pub(super) fn set_valid_until(entry: &DEntry<Fuse>, deadline: Deadline) {
    // Dropping the last reference is quicker for the VFS if it need not ask whether to keep the
    // entry, and from now on an entry is kept: only one of which nothing is known is not.
    entry.ask_d_delete(false);
    entry.data().valid_until.store(deadline);
    entry.expire_at(deadline);
}

/// Notes in which epoch the name of `entry` was looked up.
pub(super) fn set_epoch(entry: &DEntry<Fuse>, epoch: u32) {
    entry.data().epoch.store(epoch, Relaxed);
}

/// From now on the server is asked about `entry`.
pub(crate) fn expire(entry: &DEntry<Fuse>) {
    entry.data().valid_until.store(Deadline::PAST);
    entry.expire_at(Deadline::PAST);
}

/// `entry` may not stand any more for what it stood for: it is looked up again, by a new entry if
/// nobody uses this one. May sleep.
pub(super) fn invalidate(entry: &DEntry<Fuse>) {
    entry.invalidate();
    expire(entry);
}

/// Whether the VFS throws `entry` out at once when its last user is gone.
pub(crate) fn d_delete(entry: &DEntryView<Fuse>) -> bool {
    entry.data().valid_until.load().has_passed()
}

/// Until when a reply lets its name be used without asking again.
pub(super) fn entry_valid_until(reply: &EntryOut) -> Deadline {
    Deadline::after(reply.entry_valid, reply.entry_valid_nsec)
}
