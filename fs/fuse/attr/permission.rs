// SPDX-License-Identifier: GPL-2.0

//! Permissions of callers.
//!
//! [`permission`] answers two questions. *May the caller use the mount at all?* The server of a
//! mount sees and can delay everything its users do, as a debugger can; so only tasks that its
//! owner could trace may use it, unless the owner was allowed to open it to others. *May the caller
//! access this inode?* With `default_permissions` the kernel decides by the mode. Otherwise the
//! server decides within each operation, and gets ACCESS when a caller only wants to know; the
//! kernel makes sure that no file without an execute bit is executed.
//!
//! Called in RCU walk too, where nothing may block. Takes no lock.

use super::getattr;
use crate::{
    fuse::{
        abi::node::AccessIn,
        conn::access::is_caller_allowed,
        inode::{
            attr_cache::{
                is_stale,
                mask, //
            },
            check_good,
            mount, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::Idmap,
        node::{
            attr::{
                generic_permission,
                Access,
                May, //
            },
            inode::{
                INode,
                Kept, //
            },
            walk::Walk, //
        },
    },
};
use kernel::prelude::*;

/// Any execute bit of a mode.
const ANY_EXEC: u16 = 0o111;

/// Checks whether the caller may access `inode` as `wanted`.
///
/// # Errors
///
/// `EIO` for a bad inode, `EACCES` if not, `ECHILD` in RCU walk if the server has to be asked,
/// otherwise the server's error.
pub(crate) fn permission(idmap: &Idmap, inode: Walk<'_, INode<Fuse>>, wanted: Access) -> Result {
    let view = inode.view();
    check_good(view)?;
    let conn = mount(view).conn();
    if !is_caller_allowed(conn) {
        return Err(EACCES);
    }

    let by_mode = conn.default_permissions();
    let executes_file = wanted.contains(May::Exec) && view.is_reg();
    let mut refreshed = false;
    if (by_mode || executes_file) && is_stale(view, mask::PERMISSION) {
        refresh(inode)?;
        refreshed = true;
    }

    if by_mode {
        match generic_permission(idmap, inode, wanted) {
            // The root of a new mount permits nothing until its attributes have been fetched, and
            // what was denied may be permitted by now. What was permitted stays permitted until the
            // attributes time out.
            Err(error) if error == EACCES && !refreshed => {
                refresh(inode)?;
                generic_permission(idmap, inode, wanted)
            }
            result => result,
        }
    } else if wanted.contains_any(May::Access | May::Chdir) {
        ask(inode.may_block()?, wanted)
    } else if executes_file && view.mode() & ANY_EXEC == 0 {
        if !refreshed {
            refresh(inode)?;
        }
        if view.mode() & ANY_EXEC == 0 {
            return Err(EACCES);
        }
        Ok(())
    } else {
        Ok(())
    }
}

/// Fetches the attributes, if the walk may block.
fn refresh(inode: Walk<'_, INode<Fuse>>) -> Result {
    let inode = inode.may_block()?;
    inode.forget_cached_acls();
    getattr::fetch(inode, None, |_| ())
}

/// Sends ACCESS to the server; one that does not know the request permits everything.
fn ask(inode: &INode<Fuse>, wanted: Access) -> Result {
    let query = op::Access {
        node: inode.data().node_id(),
        args: AccessIn {
            mask: (wanted & (May::Read | May::Write | May::Exec)).into(),
            ..AccessIn::default()
        },
    };
    mount(inode).call_or_abandon(query, || Kept::from(inode))
}
