// SPDX-License-Identifier: GPL-2.0

//! Sleeping and queueing: the files of the tree.

#[path = "../../../../../../fs/vfs/sync/deadline.rs"]
pub(crate) mod deadline;
#[path = "../../../../../../fs/vfs/sync/entry.rs"]
pub(crate) mod entry;
#[path = "../../../../../../fs/vfs/sync/fasync.rs"]
pub(crate) mod fasync;
#[path = "../../../../../../fs/vfs/sync/give_lock.rs"]
pub(crate) mod give_lock;
#[path = "../../../../../../fs/vfs/sync/guard.rs"]
pub(crate) mod guard;
#[path = "../../../../../../fs/vfs/sync/queue.rs"]
pub(crate) mod queue;
#[path = "../../../../../../fs/vfs/sync/signal.rs"]
pub(crate) mod signal;
#[path = "../../../../../../fs/vfs/sync/wait.rs"]
pub(crate) mod wait;
pub(crate) mod watchdog;

use kernel::prelude::*;

/// Allocates what must not fail: memory is never short here.
pub(crate) fn insist<R, E>(allocate: impl Fn(kernel::alloc::Flags) -> Result<R, E>) -> R {
    match allocate(GFP_KERNEL_ACCOUNT) {
        Ok(memory) => memory,
        Err(_) => unreachable!("memory is never short"),
    }
}
