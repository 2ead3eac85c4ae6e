// SPDX-License-Identifier: GPL-2.0

//! Who is asking: the uid, gid and pid of a request's header (`fuse_fill_creds()`).

use super::Connection;
use crate::fuse::op::{
    Creds,
    Gate, //
};
use crate::vfs::cred;
use kernel::prelude::*;

/// The caller, in the namespaces of the mount.
#[derive(Clone, Copy, Default)]
pub(super) struct Caller {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// 0 if the caller is not visible in the mount's pid namespace.
    pub(super) pid: u32,
}

impl Caller {
    /// The current task as the server of `conn` shall see it.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` if its ids have no number in the mount's user namespace; a forced operation
    /// carries the overflow id instead.
    pub(super) fn current(conn: &Connection, creds: Creds, gate: Gate) -> Result<Self> {
        let pid = u32::try_from(cred::current_pid_in(conn.pid_ns())).unwrap_or(0);
        let user_ns = conn.user_ns();
        let (uid, gid) = match (creds, gate) {
            (Creds::Nobody, _) => (0, 0),
            (_, Gate::Normal) => (
                cred::current_fsuid().in_ns(user_ns).ok_or(EOVERFLOW)?,
                cred::current_fsgid().in_ns(user_ns).ok_or(EOVERFLOW)?,
            ),
            (_, Gate::Force | Gate::HighPriority) => (
                cred::current_fsuid().in_ns_munged(user_ns),
                cred::current_fsgid().in_ns_munged(user_ns),
            ),
        };
        Ok(Self { uid, gid, pid })
    }
}
