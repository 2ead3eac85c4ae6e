// SPDX-License-Identifier: GPL-2.0

//! Extended attributes: GETXATTR, SETXATTR, LISTXATTR and REMOVEXATTR.
//!
//! The VFS calls [`Xattrs`] and [`listxattr`], and `attr/acl.rs` for ACLs; every name goes to the
//! server unchanged. The only thing that is cached is that a file has no capability
//! (`security.capability`): before each write the VFS checks whether there is one to remove.
//! `inode/attr_cache.rs` knows for how long that is valid. The VFS holds the inode's lock around a
//! change; no lock is taken here.

use crate::{
    fuse::{
        abi::node::{
            CompatSetxattrIn,
            GetxattrIn,
            SetxattrFlags,
            SetxattrIn, //
        },
        conn::access::is_caller_allowed,
        inode::{
            attr_cache::{
                self,
                ctime_changed,
                Sample, //
            },
            check_good,
            dirops::wait_for_turn,
            mount, //
        },
        op::{
            self,
            Operation, //
        },
        Fuse, //
    },
    glue::params,
    vfs::node::{
        inode::{
            INode,
            Kept, //
        },
        xattr::{
            self,
            Answer, //
        },
    },
};
use kernel::prelude::*;

/// Maximum length of an attribute's value, in bytes (`XATTR_SIZE_MAX`).
const SIZE_MAX: usize = 65536;
/// Maximum length of the list of names, in bytes (`XATTR_LIST_MAX`).
const LIST_MAX: usize = 65536;

/// The name of the file capability (`XATTR_NAME_CAPS`).
const CAPABILITY: &[u8] = b"security.capability";

/// The extended attributes of the server.
pub(crate) struct Xattrs;

impl xattr::Handler<Fuse> for Xattrs {
    /// The value of `name`.
    ///
    /// # Errors
    ///
    /// `EIO` for a bad inode, `EOPNOTSUPP` if the server has no attributes, otherwise the server's
    /// error.
    #[inline]
    fn get(inode: &INode<Fuse>, name: &[u8], room: usize) -> Result<Answer> {
        check_good(inode)?;
        // Every write comes here, to see whether it has to remove privileges: it does no more than
        // it must, and does not take the stack space of a request.
        let known = mount(inode).conn().unimplemented();
        if known.contains(op::Opcode::Getxattr) {
            return op::Getxattr::lacking().map(|reply| answer(reply, SIZE_MAX));
        }
        if room == 0 && name == CAPABILITY {
            return ask_for_caps(inode);
        }
        ask(inode, name, room)
    }

    /// Sets `name` to `value`.
    ///
    /// # Errors
    ///
    /// As of `get`.
    fn set(inode: &INode<Fuse>, name: &[u8], value: &[u8], flags: u32) -> Result {
        self::set(inode, name, value, flags, SetxattrFlags::default())
    }

    /// Removes `name`.
    ///
    /// # Errors
    ///
    /// As of `get`.
    fn remove(inode: &INode<Fuse>, name: &[u8]) -> Result {
        check_good(inode)?;
        wait_for_turn(inode)?;
        let removed = mount(inode).call(op::Removexattr {
            node: inode.data().node_id(),
            name,
        });
        attr_cache::xattrs_changed(inode);
        removed?;
        ctime_changed(inode);
        Ok(())
    }
}

/// Requests the value of `name` from the server. May sleep.
#[inline(never)]
fn ask(inode: &INode<Fuse>, name: &[u8], room: usize) -> Result<Answer> {
    let query = op::Getxattr {
        node: inode.data().node_id(),
        args: room_for(room),
        name,
    };
    let reply = mount(inode).call_or_abandon(query, || Kept::from(inode))?;
    Ok(answer(reply, SIZE_MAX))
}

/// Whether the file has a capability, as a writer asks, which offers no room for it. Asks the
/// server unless it is known to have none. May sleep.
#[inline(never)]
fn ask_for_caps(inode: &INode<Fuse>) -> Result<Answer> {
    if !params::cache_no_caps() {
        return ask(inode, CAPABILITY, 0);
    }
    if attr_cache::has_no_caps(inode) {
        return Err(ENODATA);
    }
    let sample = Sample::of_attributes(mount(inode).conn());
    ask(inode, CAPABILITY, 0).inspect_err(|error| {
        if *error == ENODATA {
            attr_cache::found_no_caps(inode, sample);
        }
    })
}

/// Sets `name` to `value`; `flags` are those of `setxattr(2)`, `more` are for servers that know
/// them. May sleep.
///
/// # Errors
///
/// As of [`xattr::Handler::get`].
pub(super) fn set(
    inode: &INode<Fuse>,
    name: &[u8],
    value: &[u8],
    flags: u32,
    more: SetxattrFlags,
) -> Result {
    check_good(inode)?;
    wait_for_turn(inode)?;
    let mount = mount(inode);
    let size = value.len().try_into().map_err(|_| E2BIG)?;
    let set = mount.call(op::Setxattr {
        node: inode.data().node_id(),
        args: if mount.conn().features().setxattr_ext {
            op::SetxattrHead::Ext(SetxattrIn {
                size,
                flags,
                setxattr_flags: more,
                ..SetxattrIn::default()
            })
        } else {
            op::SetxattrHead::Compat(CompatSetxattrIn { size, flags })
        },
        name,
        value,
    });
    attr_cache::xattrs_changed(inode);
    set?;
    ctime_changed(inode);
    Ok(())
}

/// The names of all attributes of `inode`, each followed by a NUL.
///
/// # Errors
///
/// `EIO` for a bad inode and for an invalid list, `EACCES` for callers that may not use the mount,
/// `EOPNOTSUPP` if the server has no attributes, otherwise the server's error.
pub(crate) fn listxattr(inode: &INode<Fuse>, room: usize) -> Result<Answer> {
    check_good(inode)?;
    let mount = mount(inode);
    if !is_caller_allowed(mount.conn()) {
        return Err(EACCES);
    }
    let query = op::Listxattr {
        node: inode.data().node_id(),
        args: room_for(room),
    };
    let reply = mount.call_or_abandon(query, || Kept::from(inode))?;
    if let op::Xattr::Value(list) = &reply {
        if !is_list(list) {
            return Err(EIO);
        }
    }
    Ok(answer(reply, LIST_MAX))
}

/// A request for up to `room` bytes; no answer is longer than 32 bits can tell.
fn room_for(room: usize) -> GetxattrIn {
    GetxattrIn {
        size: room.try_into().unwrap_or(u32::MAX),
        ..GetxattrIn::default()
    }
}

/// Limits a length to the maximum that the caller can have, so that its next call has enough room.
fn answer(reply: op::Xattr, max: usize) -> Answer {
    match reply {
        op::Xattr::Size(len) => Answer::Length((len as usize).min(max)),
        op::Xattr::Value(bytes) => Answer::Bytes(bytes),
    }
}

/// Whether `list` is a sequence of names, each of them not empty and followed by a NUL.
fn is_list(list: &[u8]) -> bool {
    let Some((last, names)) = list.split_last() else {
        return true;
    };
    *last == 0 && names.split(|byte| *byte == 0).all(|name| !name.is_empty())
}

#[kunit_tests(ferrofuse_xattr)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_nul_after_each_name() {
        assert!(is_list(b""));
        assert!(is_list(b"user.a\0"));
        assert!(is_list(b"user.a\0user.b\0"));
    }

    #[test]
    fn anything_else_is_no_list() {
        assert!(!is_list(b"\0"));
        assert!(!is_list(b"user.a"));
        assert!(!is_list(b"user.a\0user.b"));
        assert!(!is_list(b"\0user.a\0"));
        assert!(!is_list(b"user.a\0\0user.b\0"));
        assert!(!is_list(b"user.a\0\0"));
    }
}
