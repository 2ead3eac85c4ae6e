// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of requests: queued, handed to the server, ended.
//!
//! `trace.h` defines them for C. They are called by helpers, not through `declare_trace!`, which
//! knows the kernel's own tracepoints only; where helpers are inlined (`CONFIG_RUST_INLINE_HELPERS`)
//! a tracepoint that is off costs one patched no-op, as it does in C.
//!
//! May be called in any context, with any lock held.

use super::bindings;

/// A request was queued: the device number of its connection, its id and operation, and its length
/// in bytes, header included.
#[inline(always)]
pub(crate) fn request_send(connection: u32, unique: u64, opcode: u32, len: u32) {
    // SAFETY: The tracepoint takes values only, and its C side is in this module.
    unsafe { bindings::trace_request_send(connection, unique, opcode, len) }
}

/// A request was handed to the server: the device number of its connection, its id and operation.
#[inline(always)]
pub(crate) fn request_sent(connection: u32, unique: u64, opcode: u32) {
    // SAFETY: The tracepoint takes values only, and its C side is in this module.
    unsafe { bindings::trace_request_sent(connection, unique, opcode) }
}

/// A request ended: the device number of its connection, its id, the length of the reply in bytes
/// (0 if there was none), and zero or a negative errno.
#[inline(always)]
pub(crate) fn request_end(connection: u32, unique: u64, len: u32, error: i32) {
    // SAFETY: The tracepoint takes values only, and its C side is in this module.
    unsafe { bindings::trace_request_end(connection, unique, len, error) }
}
