// SPDX-License-Identifier: GPL-2.0

//! One super block of a connection (`struct fuse_mount`); [`call`](super::call) has its operations.
//!
//! A connection has one super block, and one more for each submount that a walk has found
//! (`dir/submount.rs`), which are mounted and unmounted independently. Shutting down the last one
//! ends the connection, and with it every request. Before that, only the server ends requests. They
//! refer to a super block by a [`Kept`](crate::vfs::node::inode::Kept) inode, and the VFS side does
//! not shut the super block down before those are dropped.

use super::Connection;
use crate::{
    fuse::Fuse,
    vfs::node::inode::INodeView, //
};
use kernel::sync::Arc;

/// One super block of a connection; the data in `s_fs_info`.
pub(crate) struct Mount {
    conn: Arc<Connection>,
    /// Whether a walk has made it, within another one of the connection.
    submount: bool,
}

impl Mount {
    /// The mount that `inode` belongs to.
    pub(crate) fn of(inode: &INodeView<Fuse>) -> &Arc<Self> {
        inode.sb().data()
    }

    /// The first mount of `conn`.
    pub(crate) fn new(conn: Arc<Connection>) -> Self {
        Self {
            conn,
            submount: false,
        }
    }

    /// Another mount of the connection, which a walk makes.
    pub(crate) fn new_submount(&self) -> Self {
        Self {
            conn: self.conn.clone(),
            submount: true,
        }
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
}
