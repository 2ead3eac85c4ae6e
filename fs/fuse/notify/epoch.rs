// SPDX-License-Identifier: GPL-2.0

//! INC_EPOCH: invalidates all cached names (`fuse_epoch_work()`).
//!
//! `dir/revalidate.rs` looks a name of an earlier epoch up anew when it is used, and a directory's
//! cached stream is dropped when it is read. If the administrator wants expired names to be dropped
//! early, a worker does that: it may wait for the server, whose thread sent this notification.
//!
//! Locks: those of the super blocks' handles.

use crate::{
    fuse::conn::mount::Mount,
    vfs::{
        node::dentry_expiry,
        sync::watchdog::{
            Check,
            Watchdog, //
        }, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The cached names of one connection.
pub(super) struct OldNames {
    mount: Arc<Mount>,
    /// Drops names of earlier epochs.
    worker: Pin<KBox<Watchdog<ThrowOut>>>,
}

impl OldNames {
    /// Those of the connection of `mount`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(mount: Arc<Mount>) -> Result<Self> {
        let worker = Watchdog::idle(ThrowOut(mount.clone()), 0)?;
        Ok(Self { mount, worker })
    }

    /// Begins a new epoch.
    pub(super) fn inc_epoch(&self) {
        self.mount.conn().inc_epoch();
        if dentry_expiry::is_wanted() {
            self.worker.look();
        }
    }
}

/// Drops the names of earlier epochs of this mount's connection.
struct ThrowOut(Arc<Mount>);

impl Check for ThrowOut {
    fn check(&self) -> bool {
        self.0.conn().mounts().for_each(|sb| sb.shrink_dcache());
        false
    }
}
