// SPDX-License-Identifier: GPL-2.0

//! Nodes and names: inodes and dentries, and what can be done with them.

pub(crate) mod acl;
pub(crate) mod atomic_open;
pub(crate) mod attr;
pub(crate) mod dentry;
pub(crate) mod dentry_expiry;
pub(crate) mod entry_name;
pub(crate) mod held;
pub(crate) mod inode;
pub(crate) mod inode_ops;
pub(crate) mod walk;
pub(crate) mod xattr;
