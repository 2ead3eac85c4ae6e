// SPDX-License-Identifier: GPL-2.0

//! POSIX ACLs: two extended attributes that the kernel understands.
//!
//! The VFS calls [`get_inode_acl`] to check an access, and [`get_acl`] and [`set_acl`] for callers
//! that name a list; the lists travel in GETXATTR, SETXATTR and REMOVEXATTR (`attr/xattr.rs`), with
//! ids as in the mount's user namespace.
//!
//! A server that asked for it at INIT leaves the checks to the kernel, which keeps the lists until
//! the attributes are fetched again. With any other server the lists are opaque bytes, as those of
//! any attribute: nothing is checked or cached, as they may have a meaning for the server.
//!
//! The VFS holds the inode's lock around a change. No lock is taken here.

use super::xattr::{
    self,
    Xattrs, //
};
use crate::{
    fuse::{
        abi::node::{
            SetxattrFlag,
            SetxattrFlags, //
        },
        inode::{
            attr_cache,
            check_good,
            mount, //
        },
        op::Opcode,
        Fuse, //
    },
    vfs::{
        cred::{
            Idmap,
            UserNs, //
        },
        node::{
            acl::{
                is_in_group_or_capable,
                Acl,
                Kind, //
            },
            inode::INode,
            walk::Walk,
            xattr::{
                Answer,
                Handler, //
            }, //
        },
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// The list that the VFS checks an access against. May sleep in ref walk.
///
/// # Errors
///
/// `ECHILD` in RCU walk if the server has to be asked, else those of [`get_acl`].
pub(crate) fn get_inode_acl(inode: Walk<'_, INode<Fuse>>, kind: Kind) -> Result<Option<ARef<Acl>>> {
    if !mount(inode.view()).conn().features().posix_acl {
        return Ok(None);
    }
    fetch(inode.may_block()?, kind)
}

/// The list that a caller asks for by name. May sleep.
///
/// # Errors
///
/// `EIO` for a bad inode, `EOPNOTSUPP` if ids would have to be translated for a server that does
/// not expect it, `E2BIG` if the list is longer than a page, otherwise the server's error.
pub(crate) fn get_acl(inode: &INode<Fuse>, kind: Kind) -> Result<Option<ARef<Acl>>> {
    if must_not_translate(inode) {
        return Err(EOPNOTSUPP);
    }
    fetch(inode, kind)
}

/// Sets, or without `acl` removes, a list. May sleep.
///
/// The server changes the mode with the list, if necessary.
///
/// # Errors
///
/// As [`get_acl`]; `ENOMEM`.
pub(crate) fn set_acl(idmap: &Idmap, inode: &INode<Fuse>, acl: Option<&Acl>, kind: Kind) -> Result {
    check_good(inode)?;
    let conn = mount(inode).conn();
    if conn.unimplemented().contains(Opcode::Setxattr) || must_not_translate(inode) {
        return Err(EOPNOTSUPP);
    }
    let checks = conn.features().posix_acl;
    let result = match acl {
        Some(acl) => {
            let value = acl.to_xattr(conn.user_ns())?;
            if value.len() > PAGE_SIZE {
                return Err(E2BIG);
            }
            let mut flags = SetxattrFlags::default();
            // Other servers are not told, and keep the bit.
            if checks && !is_in_group_or_capable(idmap, inode) {
                flags |= SetxattrFlag::AclKillSgid;
            }
            xattr::set(inode, kind.xattr_name(), &value, 0, flags)
        }
        None => Xattrs::remove(inode, kind.xattr_name()),
    };
    if checks {
        // After an error as well: the list may have been changed.
        inode.forget_cached_acls();
        attr_cache::invalidate(inode);
    }
    result
}

/// Whether the server does not know of lists with ids other than those of the system.
fn must_not_translate(inode: &INode<Fuse>) -> bool {
    !mount(inode).conn().features().posix_acl && inode.sb().user_ns() != UserNs::init()
}

/// Asks the server.
fn fetch(inode: &INode<Fuse>, kind: Kind) -> Result<Option<ARef<Acl>>> {
    let conn = mount(inode).conn();
    match Xattrs::get(inode, kind.xattr_name(), PAGE_SIZE) {
        Ok(Answer::Bytes(value)) if !value.is_empty() => Acl::from_xattr(conn.user_ns(), &value),
        Ok(_) => Ok(None),
        Err(error) if error == ENODATA => Ok(None),
        Err(error) if error == ERANGE => Err(E2BIG),
        Err(error) if error == EOPNOTSUPP && conn.unimplemented().contains(Opcode::Getxattr) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
