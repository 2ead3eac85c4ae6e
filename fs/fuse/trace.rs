// SPDX-License-Identifier: GPL-2.0

//! What a request leaves in the trace, under the system `fuse`.
//!
//! Names, fields and text are those of the C module. The connection is named by its device number,
//! as under `/sys/fs/fuse/connections`.
//!
//! Neighbours on the walk: the channel calls [`request_send`] when it gives a request its id,
//! a transport [`request_sent`] when the server has got it, and the end of a request
//! [`request_end`]. No locks; any may be held.

use super::abi::{
    header::InHeader,
    Unique, //
};
use crate::vfs;

/// `fuse_request_send`: the request with this header was queued on `connection`.
#[inline]
pub(crate) fn request_send(connection: u32, header: &InHeader) {
    vfs::trace::request_send(connection, header.unique.get(), header.opcode, header.len);
}

/// `fuse_request_sent`: the request with this header was handed to the server.
#[inline]
pub(crate) fn request_sent(connection: u32, header: &InHeader) {
    vfs::trace::request_sent(connection, header.unique.get(), header.opcode);
}

/// `fuse_request_end`: the request `unique` ended with a reply of `len` bytes, header included (0 if
/// there was none), and `error`, zero or a negative errno.
#[inline]
pub(crate) fn request_end(connection: u32, unique: Unique, len: u32, error: i32) {
    vfs::trace::request_end(connection, unique.get(), len, error);
}
