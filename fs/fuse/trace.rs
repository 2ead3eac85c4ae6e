// SPDX-License-Identifier: GPL-2.0

//! The trace events of requests, under the system `fuse`.
//!
//! One function for each tracepoint, of the same name without `fuse_`. Three of them are the C
//! module's, with its fields and text. A connection is named by its device number, as under
//! `/sys/fs/fuse/connections`. `Documentation/observing.rst` tells the context in which each fires,
//! and `Documentation/lifecycle.rst` the transition that it belongs to.
//!
//! `request`, `channel` and the transports call these where a request changes its state. No locks;
//! any may be held.

use super::abi::{
    NodeId,
    Unique, //
};
use crate::glue;
use kernel::error::Result;

/// The fields of a request that its events share.
pub(crate) type Subject = glue::trace::Request;

/// A request that can be traced.
pub(crate) trait Traced {
    /// The fields for its events; called only while an event is enabled.
    fn subject(&self) -> Subject;
}

/// The direction of a copy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the server.
    In,
    /// To the server.
    Out,
}

fn errno<T>(result: &Result<T>) -> i32 {
    match result {
        Ok(_) => 0,
        Err(error) => error.to_errno(),
    }
}

/// A caller has to wait at the gate of `connection`: INIT is not answered, or too many requests are
/// in the background.
#[inline(always)]
pub(crate) fn gate_wait(connection: u32, background: bool, initialized: bool) {
    glue::trace::gate_wait(move || (connection, background, initialized));
}

/// A caller that waited at the gate has passed it, or given up.
#[inline(always)]
pub(crate) fn gate_pass(connection: u32, background: bool, result: &Result) {
    glue::trace::gate_pass(move || (connection, background, errno(result)));
}

/// The request was put on the background queue. It has no id yet.
#[inline(always)]
pub(crate) fn request_background(request: &impl Traced) {
    glue::trace::request_background(move || (request.subject(),));
}

/// The request was queued for the server and has got its id (what C shows of it).
#[inline(always)]
pub(crate) fn request_send(request: &impl Traced) {
    glue::trace::request_send(move || {
        let s = request.subject();
        (s.connection, s.unique, s.opcode, s.len)
    });
}

/// The request was queued for the server and has got its id.
#[inline(always)]
pub(crate) fn request_queue(request: &impl Traced) {
    glue::trace::request_queue(move || (request.subject(),));
}

/// A reader of this device took the request.
#[inline(always)]
pub(crate) fn request_start(request: &impl Traced, device: u32) {
    glue::trace::request_start(move || (request.subject(), device));
}

/// The copy of a message has ended, with `result` and after `bytes` bytes.
#[inline(always)]
pub(crate) fn request_copy(
    request: &impl Traced,
    direction: Direction,
    bytes: usize,
    result: &Result,
) {
    glue::trace::request_copy(move || {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let out = direction == Direction::Out;
        (request.subject(), out, bytes, errno(result))
    });
}

/// The server has the whole request.
#[inline(always)]
pub(crate) fn request_sent(request: &impl Traced) {
    glue::trace::request_sent(move || {
        let s = request.subject();
        (s.connection, s.unique, s.opcode)
    });
}

/// An answer to the request has come by this device.
#[inline(always)]
pub(crate) fn request_reply(request: &impl Traced, device: u32) {
    glue::trace::request_reply(move || (request.subject(), device));
}

/// The request ended with a reply of `len` bytes, header included (0 if there was none), and
/// `error`, zero or a negative errno.
#[inline(always)]
pub(crate) fn request_end(request: &impl Traced, len: u32, error: i32) {
    glue::trace::request_end(move || {
        let s = request.subject();
        (s.connection, s.unique, len, error)
    });
}

/// The caller that waited for the request runs again, with `error`, zero or a negative errno.
#[inline(always)]
pub(crate) fn request_wake(request: &impl Traced, error: i32) {
    glue::trace::request_wake(move || (request.subject(), error));
}

/// The caller that waits for the request got a signal.
#[inline(always)]
pub(crate) fn request_interrupt(request: &impl Traced) {
    glue::trace::request_interrupt(move || (request.subject(),));
}

/// An INTERRUPT for the request was queued.
#[inline(always)]
pub(crate) fn interrupt_queue(request: &impl Traced) {
    glue::trace::interrupt_queue(move || (request.subject(),));
}

/// The server has read the INTERRUPT for this request.
#[inline(always)]
pub(crate) fn interrupt_sent(connection: u32, unique: Unique) {
    glue::trace::interrupt_sent(move || (connection, unique.get()));
}

/// The caller that waits for the request got a fatal signal.
#[inline(always)]
pub(crate) fn request_kill(request: &impl Traced) {
    glue::trace::request_kill(move || (request.subject(),));
}

/// The request was taken back before a server read it.
#[inline(always)]
pub(crate) fn request_cancel(request: &impl Traced) {
    glue::trace::request_cancel(move || (request.subject(),));
}

/// The caller was killed, and has abandoned the request.
#[inline(always)]
pub(crate) fn request_abandon(request: &impl Traced) {
    glue::trace::request_abandon(move || (request.subject(),));
}

/// The request is to be sent once more, under the id that it has now.
#[inline(always)]
pub(crate) fn request_resend(request: &impl Traced) {
    glue::trace::request_resend(move || (request.subject(),));
}

/// The request was not answered in time; `age` returns its age in milliseconds.
#[inline(always)]
pub(crate) fn request_timeout(request: &impl Traced, age: impl FnOnce() -> u64) {
    glue::trace::request_timeout(move || (request.subject(), age()));
}

/// The abort of `connection` begins, with `waiting` requests in flight.
#[inline(always)]
pub(crate) fn connection_abort(connection: u32, waiting: u32) {
    glue::trace::connection_abort(move || (connection, waiting));
}

/// A FORGET was queued.
#[inline(always)]
pub(crate) fn forget_queue(connection: u32, node: NodeId, nlookup: u64) {
    glue::trace::forget_queue(move || (connection, node.get(), nlookup));
}

/// The server has read `count` FORGETs under this id.
#[inline(always)]
pub(crate) fn forget_sent(connection: u32, unique: Unique, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    glue::trace::forget_sent(move || (connection, unique.get(), count));
}

/// The server sent a notification with this code and `len` bytes of data.
#[inline(always)]
pub(crate) fn notify(connection: u32, code: i32, len: usize) {
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    glue::trace::notify(move || (connection, code, len));
}

/// The notification was processed.
#[inline(always)]
pub(crate) fn notify_end(connection: u32, code: i32, result: &Result) {
    glue::trace::notify_end(move || (connection, code, errno(result)));
}
