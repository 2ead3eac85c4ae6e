// SPDX-License-Identifier: GPL-2.0

//! One super block of a connection (`struct fuse_mount`); [`call`](super::call) is its verb.
//!
//! A connection has one super block, and one more for each submount that a walk has found
//! (`dir/submount.rs`), which come and go by themselves. The last one to go ends the connection, and
//! with it every request. Before that, requests end when the server says so, and what they keep of
//! a super block, inodes most of all, has to be gone when that goes: [`Kept`] counts them.
//!
//! Locks: none, but that of the wait queue.

use super::Connection;
use crate::{
    fuse::Fuse,
    vfs::{
        node::inode::INodeView,
        sync::wait::{
            new_wait_queue,
            WaitQueue, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
};

/// One super block of a connection; what `s_fs_info` holds.
pub(crate) struct Mount {
    conn: Arc<Connection>,
    /// Whether a walk has made it, within another one of the connection.
    submount: bool,
    /// What requests keep of it; [`None`] if it is the only one that the connection can have.
    kept: Option<Arc<Kept>>,
}

impl Mount {
    /// The mount that `inode` belongs to.
    pub(crate) fn of(inode: &INodeView<Fuse>) -> &Arc<Self> {
        inode.sb().data()
    }

    /// The first mount of `conn`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(conn: Arc<Connection>) -> Result<Self> {
        Self::make(conn, false)
    }

    /// Another mount of the connection, that a walk makes.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new_submount(&self) -> Result<Self> {
        Self::make(self.conn.clone(), true)
    }

    fn make(conn: Arc<Connection>, submount: bool) -> Result<Self> {
        let kept = match conn.options().auto_submounts {
            true => Some(Arc::pin_init(Kept::new(), GFP_KERNEL)?),
            false => None,
        };
        Ok(Self {
            conn,
            submount,
            kept,
        })
    }

    /// The connection.
    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The connection, to keep.
    pub(crate) fn conn_arc(&self) -> &Arc<Connection> {
        &self.conn
    }

    /// Whether a walk has made it, within another one of the connection.
    pub(crate) fn is_submount(&self) -> bool {
        self.submount
    }

    /// For a request that outlives the call of the VFS that has made it: what it holds of the super
    /// block stays good until this is dropped.
    pub(super) fn keep(&self) -> Option<Keeper> {
        self.kept.as_ref().map(|kept| {
            kept.count.add(1, Relaxed);
            Keeper(kept.clone())
        })
    }

    /// Waits until no request holds anything of the super block. Only useful when nobody can make
    /// new ones. Sleeps, for as long as the server takes.
    pub(crate) fn wait_unkept(&self) {
        if let Some(kept) = &self.kept {
            kept.gone.wait(|| kept.count.load(Acquire) == 0);
        }
    }
}

/// Counts the requests that keep something of a super block.
#[pin_data]
struct Kept {
    count: Atomic<i32>,
    #[pin]
    gone: WaitQueue,
}

impl Kept {
    fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            count: Atomic::new(0),
            gone <- new_wait_queue!("FuseMount::kept"),
        })
    }
}

/// One count of [`Kept`].
pub(super) struct Keeper(Arc<Kept>);

impl Drop for Keeper {
    fn drop(&mut self) {
        // A full barrier: who waits sees the count, or is seen to wait. It also sees all that was
        // done to the super block before.
        if self.0.count.fetch_sub(1, Full) == 1 {
            self.0.gone.wake_up_all();
        }
    }
}
