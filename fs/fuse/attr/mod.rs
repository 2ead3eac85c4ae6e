// SPDX-License-Identifier: GPL-2.0

//! Attributes: one VFS verb each, on top of what `inode` keeps of them.

pub(crate) mod acl;
pub(crate) mod getattr;
pub(crate) mod permission;
pub(crate) mod setattr;
pub(crate) mod xattr;
