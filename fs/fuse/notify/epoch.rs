// SPDX-License-Identifier: GPL-2.0

//! INC_EPOCH: nothing that is cached of names is true any more (`fuse_epoch_work()`).
//!
//! On the walk: a name of an earlier epoch is looked up anew by `dir/revalidate.rs` when somebody asks for it, and
//! a directory's cached stream is dropped when it is read. If the administrator wants names that may not be used
//! thrown out, a worker does that here: it may wait for the server, whose thread has sent this notification.
//!
//! Locks: the super block's handle.

use super::Notifications;
use crate::{
    fuse::Fuse,
    vfs::{
        dentry_expiry,
        sb::SuperHandle,
        sync::watchdog::Check, //
    },
};
use kernel::sync::Arc;

/// The names that are cached of one mount.
pub(super) struct OldNames {
    sb: Arc<SuperHandle<Fuse>>,
}

impl OldNames {
    /// Those of the mount whose super block `sb` leads to.
    pub(super) fn new(sb: Arc<SuperHandle<Fuse>>) -> Self {
        Self { sb }
    }
}

impl Check for OldNames {
    fn check(&self) -> bool {
        // Without a super block there are no names.
        let _ = self.sb.with(|sb| sb.shrink_dcache());
        false
    }
}

impl Notifications {
    /// Begins a new epoch.
    pub(super) fn inc_epoch(&self) {
        self.mount.conn().inc_epoch();
        if dentry_expiry::is_wanted() {
            self.old_names.look();
        }
    }
}
