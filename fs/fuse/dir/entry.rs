// SPDX-License-Identifier: GPL-2.0

//! The state of a directory entry: its deadline, and the epoch of its lookup.
//!
//! A server can invalidate a name while it has a request that names it, and the notification does
//! not wait. So its answer counts as one of the time of the request ([`Asked`]), which is compared
//! once more when the entry can be found by its name: then either the notification finds the entry,
//! or the answer is known to be too old. Until then the entry is *unconfirmed*.
//!
//! Takes only `d_lock`, and the lock of `vfs/node/dentry_expiry.rs`.

use crate::{
    fuse::{
        inode::mount,
        Fuse, //
    },
    vfs::{
        node::{
            dentry::{
                DEntry,
                DEntryView, //
            },
            inode::{
                INode,
                INodeView, //
            }, //
        },
        sync::deadline::{
            AtomicDeadline,
            Deadline, //
        },
    },
};
use kernel::sync::{
    atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
    barrier::smp_mb, //
};

/// The private part of a directory entry.
pub(crate) struct Entry {
    /// Until when the entry may be used without asking the server.
    pub(super) valid_until: AtomicDeadline,
    /// The epoch in which the name was looked up; 0 while it is unconfirmed.
    epoch: Atomic<u32>,
    /// If it is unconfirmed, the time of the request: the parts of an [`Asked`].
    asked: (Atomic<u32>, Atomic<u32>),
}

impl Entry {
    /// An entry of which nothing is known yet.
    pub(crate) fn new() -> Self {
        Self {
            valid_until: AtomicDeadline::new(Deadline::PAST),
            // The first epoch is 1: the name was not looked up yet.
            epoch: Atomic::new(0),
            asked: (Atomic::new(0), Atomic::new(0)),
        }
    }

    /// Whether it is not older than `epoch` and, if it is unconfirmed, no name in `dir` was
    /// invalidated since the request.
    pub(super) fn is_of(&self, epoch: u32, dir: &INodeView<Fuse>) -> bool {
        match self.epoch.load(Relaxed) {
            0 => {
                let (asked_epoch, invalidated) = &self.asked;
                asked_epoch.load(Relaxed) >= epoch
                    && invalidated.load(Relaxed) == dir.data().names_invalidated()
            }
            confirmed => confirmed >= epoch,
        }
    }
}

/// The state before a request for a name in a directory: the answer may be older than a later
/// epoch, or than a later invalidation of a name there.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    epoch: u32,
    invalidated: u32,
}

impl Asked {
    /// Samples the state before a request for a name in `dir`.
    pub(super) fn now(dir: &INode<Fuse>) -> Self {
        Self {
            epoch: mount(dir).conn().epoch(),
            invalidated: dir.data().names_invalidated(),
        }
    }
}

/// Notes that `entry`, which cannot be found yet, may be used without asking the server until
/// `deadline`. It is confirmed when it can be found ([`confirm`]).
pub(super) fn promise(entry: &DEntry<Fuse>, asked: Asked, deadline: Deadline) {
    let data = entry.data();
    data.asked.0.store(asked.epoch, Relaxed);
    data.asked.1.store(asked.invalidated, Relaxed);
    data.epoch.store(0, Relaxed);
    set_deadline(entry, deadline);
}

/// `entry` may be used until `deadline`.
fn set_deadline(entry: &DEntry<Fuse>, deadline: Deadline) {
    // The VFS drops the last reference faster if it need not ask whether to keep the entry. From
    // now on this entry is kept: only one of which nothing is known is not, and, where the mount
    // wants that, one that the server has to be asked about in any case.
    entry.ask_d_delete(
        deadline == Deadline::PAST && entry.sb().data().conn().options().delete_stale,
    );
    entry.data().valid_until.store(deadline);
    entry.expire_at(deadline);
}

/// Confirms `entry`, which can be found by its name in `dir` now. It is dropped if the server has
/// invalidated a name there meanwhile; returns whether it was not.
pub(super) fn confirm(entry: &DEntry<Fuse>, dir: &INode<Fuse>, asked: Asked) -> bool {
    // The notification increments the counter first, and then searches for the entry.
    smp_mb(Full);
    let same = dir.data().names_invalidated() == asked.invalidated;
    if same {
        entry.data().epoch.store(asked.epoch, Relaxed);
    } else {
        entry.invalidate();
    }
    same
}

/// As [`promise`] and [`confirm`], for an entry of `dir` that can be found already, or need not be.
pub(super) fn believe(
    entry: &DEntry<Fuse>,
    dir: &INode<Fuse>,
    asked: Asked,
    deadline: Deadline,
) -> bool {
    promise(entry, asked, deadline);
    confirm(entry, dir, asked)
}

/// Notes that `entry` of `from` is about to be moved to another name or directory; `asked` was
/// sampled before the request for that. It stays unconfirmed until it is looked up again, because
/// the VFS gives it that name only later.
pub(super) fn moved(entry: &DEntry<Fuse>, from: &INode<Fuse>, asked: Asked) {
    let data = entry.data();
    if !data.is_of(mount(from).conn().epoch(), from) {
        expire(entry);
    }
    let confirmed = data.epoch.load(Relaxed);
    if confirmed != 0 {
        data.asked.0.store(confirmed, Relaxed);
    }
    data.asked.1.store(asked.invalidated, Relaxed);
    data.epoch.store(0, Relaxed);
}

/// From now on the server is asked about `entry`.
pub(crate) fn expire(entry: &DEntry<Fuse>) {
    set_deadline(entry, Deadline::PAST);
}

/// Has the name of `entry` looked up again, as it may stand for another node; by a new entry if
/// this one is unused. May sleep.
pub(super) fn invalidate(entry: &DEntry<Fuse>) {
    entry.invalidate();
    expire(entry);
}

/// Whether the VFS throws `entry` out at once when its last user is gone.
pub(crate) fn d_delete(entry: &DEntryView<Fuse>) -> bool {
    entry.data().valid_until.load().has_passed()
}
