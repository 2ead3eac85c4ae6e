// SPDX-License-Identifier: GPL-2.0

//! FUSE, without `unsafe`.
//!
//! Modules in dependency order; each imports only those above it, and `vfs`.

pub(crate) mod abi;
pub(crate) mod op;
pub(crate) mod trace;

pub(crate) mod request;

pub(crate) mod channel;

pub(crate) mod transport;

pub(crate) mod attr;
pub(crate) mod conn;
#[cfg(CONFIG_KUNIT = "y")]
mod dax;
pub(crate) mod dir;
pub(crate) mod file;
pub(crate) mod inode;

pub(crate) mod notify;

pub(crate) mod fstype;

/// The file system, as `vfs` knows it: a name for the types and methods that
/// [`fstype`] gives to the VFS.
pub(crate) struct Fuse;
