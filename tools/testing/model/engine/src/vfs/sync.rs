// SPDX-License-Identifier: GPL-2.0

//! Sleeping and queueing: the files of the tree.

#[path = "../../../../../../fs/vfs/sync/deadline.rs"]
pub(crate) mod deadline;
#[path = "../../../../../../fs/vfs/sync/entry.rs"]
pub(crate) mod entry;
#[path = "../../../../../../fs/vfs/sync/fasync.rs"]
pub(crate) mod fasync;
#[path = "../../../../../../fs/vfs/sync/guard.rs"]
pub(crate) mod guard;
#[path = "../../../../../../fs/vfs/sync/queue.rs"]
pub(crate) mod queue;
#[path = "../../../../../../fs/vfs/sync/wait.rs"]
pub(crate) mod wait;
pub(crate) mod watchdog;
