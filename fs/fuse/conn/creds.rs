// SPDX-License-Identifier: GPL-2.0

//! The caller's ids: uid, gid and pid in a request's header (`fuse_fill_creds()`).

use super::Connection;
use crate::fuse::{
    abi::INVALID_UIDGID,
    op::{
        Creds,
        Gate, //
    }, //
};
use crate::vfs::cred::{
    self,
    Idmap, //
};
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
    /// The current task as the server of `conn` sees it.
    ///
    /// A server that lets mounts map ids gets the ids of the mount with operations that make a
    /// node, for its owner, and no ids with other operations: `idmap` is that of the mount, or the
    /// invalid one.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW` if its ids have no number in the mount's user namespace; a forced operation has
    /// the overflow id instead.
    pub(super) fn current(
        conn: &Connection,
        creds: Creds,
        gate: Gate,
        idmap: &Idmap,
    ) -> Result<Self> {
        let pid = u32::try_from(cred::current_pid_in(conn.pid_ns())).unwrap_or(0);
        let user_ns = conn.user_ns();
        let forced = gate != Gate::Normal;
        let (uid, gid) = match (creds, conn.features().allow_idmap) {
            (Creds::Nobody, _) => (0, 0),
            (_, true) if forced => (INVALID_UIDGID, INVALID_UIDGID),
            (_, true) => (
                idmap
                    .mapped_fsuid(user_ns)
                    .in_ns(user_ns)
                    .unwrap_or(INVALID_UIDGID),
                idmap
                    .mapped_fsgid(user_ns)
                    .in_ns(user_ns)
                    .unwrap_or(INVALID_UIDGID),
            ),
            (_, false) if forced => (
                cred::current_fsuid().in_ns_munged(user_ns),
                cred::current_fsgid().in_ns_munged(user_ns),
            ),
            (_, false) => (
                cred::current_fsuid().in_ns(user_ns).ok_or(EOVERFLOW)?,
                cred::current_fsgid().in_ns(user_ns).ok_or(EOVERFLOW)?,
            ),
        };
        Ok(Self { uid, gid, pid })
    }
}
