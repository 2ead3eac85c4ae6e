// SPDX-License-Identifier: GPL-2.0

//! The rooms of `fs/fuse` that are checked: the files of the tree, unchanged.

#[path = "../../../../../fs/fuse/abi/mod.rs"]
pub(crate) mod abi;
#[path = "../../../../../fs/fuse/channel/mod.rs"]
pub(crate) mod channel;
pub(crate) mod conn;
pub(crate) mod dir;
pub(crate) mod notify;
#[path = "../../../../../fs/fuse/op/mod.rs"]
pub(crate) mod op;
#[path = "../../../../../fs/fuse/request/mod.rs"]
pub(crate) mod request;
#[path = "../../../../../fs/fuse/trace.rs"]
pub(crate) mod trace;
#[path = "../../../../../fs/fuse/transport/mod.rs"]
pub(crate) mod transport;
