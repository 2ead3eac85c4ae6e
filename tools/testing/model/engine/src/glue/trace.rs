// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: what `Documentation/lifecycle.rst` says of each goes to the steps of the run, and
//! the rules of the life of a request are held where they are told of it.

use crate::witness;
use kernel::{
    error::code::name as errno,
    rt::step, //
};

/// What every event of one request says of it.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) connection: u32,
    pub(crate) unique: u64,
    pub(crate) opcode: u32,
    pub(crate) nodeid: u64,
    pub(crate) pid: u32,
    pub(crate) len: u32,
    pub(crate) address: usize,
}

impl Request {
    /// As the steps name it: by the thread that asked.
    fn name(&self) -> String {
        match self.unique {
            0 => format!("request of {}", self.pid),
            unique => format!("request {}", id(unique)),
        }
    }
}

/// An id as people read it.
fn id(unique: u64) -> String {
    let again = unique >> 63 != 0;
    format!(
        "{}{}",
        unique & !(1 << 63),
        if again { " (sent again)" } else { "" }
    )
}

pub(crate) fn gate_wait(event: impl FnOnce() -> (u32, bool, bool)) {
    let (_, background, initialized) = event();
    step(|| match (initialized, background) {
        (false, _) => "waits at the gate: INIT is not answered".into(),
        (true, _) => "waits at the gate: too many requests in the background".into(),
    });
}

pub(crate) fn gate_pass(event: impl FnOnce() -> (u32, bool, i32)) {
    let (_, _, error) = event();
    step(|| format!("is through with the gate: {}", errno(error)));
}

pub(crate) fn request_background(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| {
        format!(
            "{}: made, onto the background queue: Pending",
            request.name()
        )
    });
}

pub(crate) fn request_queue(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: onto the input queue: Pending", request.name()));
    witness::queued(request.address, request.unique);
}

pub(crate) fn request_start(event: impl FnOnce() -> (Request, u32)) {
    let (request, device) = event();
    step(|| format!("{}: Pending to Copying, by device {device}", request.name()));
    witness::lent(request.address);
}

pub(crate) fn request_copy(event: impl FnOnce() -> (Request, bool, u32, i32)) {
    let (request, out, bytes, error) = event();
    step(|| {
        let what = if out {
            "the message is copied"
        } else {
            "the answer is copied"
        };
        format!(
            "{}: {what}: {bytes} bytes, {}",
            request.name(),
            errno(error)
        )
    });
}

pub(crate) fn request_reply(event: impl FnOnce() -> (Request, u32)) {
    let (request, device) = event();
    step(|| format!("{}: Sent to Replying, by device {device}", request.name()));
    witness::lent(request.address);
}

pub(crate) fn request_wake(event: impl FnOnce() -> (Request, i32)) {
    let (request, error) = event();
    step(|| {
        format!(
            "{}: the waiter runs again: {}",
            request.name(),
            errno(error)
        )
    });
}

pub(crate) fn request_interrupt(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: the waiter gets a signal", request.name()));
}

pub(crate) fn interrupt_queue(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: an INTERRUPT is queued", request.name()));
}

pub(crate) fn request_kill(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: the waiter gets a fatal signal", request.name()));
}

pub(crate) fn request_cancel(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: Pending, is cancelled", request.name()));
}

pub(crate) fn request_abandon(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: the killed caller abandons it", request.name()));
}

pub(crate) fn request_resend(event: impl FnOnce() -> (Request,)) {
    let (request,) = event();
    step(|| format!("{}: Sent to Pending", request.name()));
    witness::queued(request.address, request.unique);
}

pub(crate) fn request_timeout(event: impl FnOnce() -> (Request, u64)) {
    let (request, age) = event();
    step(|| format!("{}: is too old: {age} ms", request.name()));
}

pub(crate) fn request_send(_: impl FnOnce() -> (u32, u64, u32, u32)) {}

pub(crate) fn request_sent(event: impl FnOnce() -> (u32, u64, u32)) {
    let (_, unique, _) = event();
    step(|| format!("request {}: Copying to Sent", id(unique)));
    witness::sent(unique);
}

pub(crate) fn request_end(event: impl FnOnce() -> (u32, u64, u32, i32)) {
    let (_, unique, _, error) = event();
    step(|| format!("request {}: ends: {}", id(unique), errno(error)));
    witness::ended(unique, error);
}

pub(crate) fn interrupt_sent(event: impl FnOnce() -> (u32, u64)) {
    let (_, unique) = event();
    step(|| format!("the INTERRUPT of request {} is read", id(unique)));
}

pub(crate) fn connection_abort(event: impl FnOnce() -> (u32, u32)) {
    let (_, waiting) = event();
    step(|| format!("aborts the connection, with {waiting} waiting"));
}

pub(crate) fn forget_queue(event: impl FnOnce() -> (u32, u64, u64)) {
    let (_, node, _) = event();
    step(|| format!("a FORGET of node {node} is queued"));
}

pub(crate) fn forget_sent(event: impl FnOnce() -> (u32, u64, u32)) {
    let (_, _, count) = event();
    step(|| format!("{count} FORGETs are read"));
}

pub(crate) fn notify(event: impl FnOnce() -> (u32, i32, u32)) {
    let (_, code, _) = event();
    step(|| format!("the notification {code} comes"));
}

pub(crate) fn notify_end(event: impl FnOnce() -> (u32, i32, i32)) {
    let (_, code, error) = event();
    step(|| format!("the notification {code} was dealt with: {}", errno(error)));
}
