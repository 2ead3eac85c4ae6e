// SPDX-License-Identifier: GPL-2.0

//! Whether a task may use a mount at all.
//!
//! The server of a mount sees and can delay everything its users do, as a debugger can; so only
//! tasks that its owner could trace may use it, unless the owner was allowed to open it to others.
//! Takes no lock, and does not sleep.

use super::Connection;
use crate::{
    glue::params,
    vfs::cred::{
        capable,
        current_in_userns,
        Capability,
        Ids, //
    },
};

/// Whether the calling task may use the mount.
///
/// Without `allow_other` only the owner may, and not through a program with an id bit: all six ids
/// have to be the owner's. A module parameter can let all tasks with `CAP_SYS_ADMIN` in.
pub(crate) fn is_caller_allowed(conn: &Connection) -> bool {
    is_user(conn) || (params::allow_sys_admin_access() && capable(Capability::SysAdmin))
}

/// Whether the calling task is one of the users that the mount is for.
fn is_user(conn: &Connection) -> bool {
    let options = conn.options();
    if options.allow_other {
        return current_in_userns(conn.user_ns());
    }
    let ids = Ids::current();
    [ids.uid, ids.euid, ids.suid]
        .iter()
        .all(|id| *id == options.user_id)
        && [ids.gid, ids.egid, ids.sgid]
            .iter()
            .all(|id| *id == options.group_id)
}
