// SPDX-License-Identifier: GPL-2.0

//! Attributes: one VFS operation per file, on top of the attributes that `inode` caches.

pub(crate) mod acl;
pub(crate) mod getattr;
pub(crate) mod permission;
pub(crate) mod setattr;
pub(crate) mod xattr;
