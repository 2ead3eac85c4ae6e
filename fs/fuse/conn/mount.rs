// SPDX-License-Identifier: GPL-2.0

//! One super block of a connection (`struct fuse_mount`); [`call`](super::call) is its verb.

use super::Connection;
use kernel::sync::Arc;

/// One super block of a connection; what `s_fs_info` holds.
pub(crate) struct Mount {
    conn: Arc<Connection>,
}

impl Mount {
    /// The first mount of `conn`.
    pub(crate) fn new(conn: Arc<Connection>) -> Self {
        Self { conn }
    }

    /// The connection.
    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    /// The connection, to keep.
    pub(crate) fn conn_arc(&self) -> &Arc<Connection> {
        &self.conn
    }
}
