// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of the life of a request.
//!
//! `trace.h` defines them for C. They are called by helpers, not through `declare_trace!`, which
//! knows only the kernel's own tracepoints; where helpers are inlined
//! (`CONFIG_RUST_INLINE_HELPERS`) a disabled tracepoint costs one patched no-op, as it does in C.
//! Its arguments come from a closure, which runs only if the tracepoint is enabled, out of line.
//!
//! May be called in any context, with any lock held.

use crate::vfs::bindings;

/// The fields that every event of a request has.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    /// Device number of its connection.
    pub(crate) connection: u32,
    /// Its id; 0 as long as it has none.
    pub(crate) unique: u64,
    /// Its operation.
    pub(crate) opcode: u32,
    /// Its node.
    pub(crate) nodeid: u64,
    /// The calling thread, as the server sees it.
    pub(crate) pid: u32,
    /// Length of the message to the server in bytes, header included.
    pub(crate) len: u32,
    /// Its address, to distinguish requests without id.
    pub(crate) address: usize,
}

impl From<Request> for bindings::vfs_trace_request {
    fn from(request: Request) -> Self {
        Self {
            unique: request.unique,
            nodeid: request.nodeid,
            address: request.address,
            connection: request.connection,
            opcode: request.opcode,
            pid: request.pid,
            len: request.len,
        }
    }
}

/// The path of an enabled tracepoint.
#[cold]
#[inline(never)]
fn fire(event: impl FnOnce()) {
    event();
}

/// Declares tracepoints: those whose first argument is a request, and those that take plain values.
macro_rules! tracepoints {
    (
        request { $(
            $(#[$request_doc:meta])*
            $request_event:ident($($request_arg:ident: $request_ty:ty),*);
        )* }
        plain { $(
            $(#[$doc:meta])*
            $event:ident($($arg:ident: $ty:ty),*);
        )* }
    ) => { kernel::macros::paste! {
        $(
            $(#[$request_doc])*
            #[inline(always)]
            pub(crate) fn $request_event(event: impl FnOnce() -> (Request, $($request_ty,)*)) {
                // SAFETY: Looking at the tracepoint's switch has no precondition.
                if unsafe { bindings::[<trace_ $request_event _enabled>]() } {
                    fire(|| {
                        let (request, $($request_arg,)*) = event();
                        let request: bindings::vfs_trace_request = request.into();
                        // SAFETY: `request` is valid for the call; the rest are plain values.
                        unsafe { bindings::[<trace_ $request_event>](&request, $($request_arg),*) };
                    });
                }
            }
        )*
        $(
            $(#[$doc])*
            #[inline(always)]
            pub(crate) fn $event(event: impl FnOnce() -> ($($ty,)*)) {
                // SAFETY: Looking at the tracepoint's switch has no precondition.
                if unsafe { bindings::[<trace_ $event _enabled>]() } {
                    fire(|| {
                        let ($($arg,)*) = event();
                        // SAFETY: The tracepoint takes plain values.
                        unsafe { bindings::[<trace_ $event>]($($arg),*) };
                    });
                }
            }
        )*
    } };
}

tracepoints! {
    request {
        /// It waits for a slot in the background.
        request_background();
        /// It waits to be read.
        request_queue();
        /// A thread that reads this device of the connection has taken it.
        request_start(device: u32);
        /// A copy to the server (`out`) or from it has ended, after so many bytes, with zero or a
        /// negative errno.
        request_copy(out: bool, bytes: u32, error: i32);
        /// Its answer has come by this device.
        request_reply(device: u32);
        /// The caller that waited for it runs again, with zero or a negative errno.
        request_wake(error: i32);
        /// The caller that waits for it got a signal.
        request_interrupt();
        /// An INTERRUPT for it was queued.
        interrupt_queue();
        /// The caller that waits for it is being killed.
        request_kill();
        /// It was cancelled.
        request_cancel();
        /// The caller that waited for it has abandoned it.
        request_abandon();
        /// It is to be sent once more.
        request_resend();
        /// It is too old, by its age in milliseconds.
        request_timeout(age: u64);
    }
    plain {
        /// A request was queued: its connection, id and operation, and its length in bytes, header
        /// included.
        request_send(connection: u32, unique: u64, opcode: u32, len: u32);
        /// A request was handed to the server: its connection, id and operation.
        request_sent(connection: u32, unique: u64, opcode: u32);
        /// A request ended: its connection and id, the length of the reply in bytes (0 if there was
        /// none), and zero or a negative errno.
        request_end(connection: u32, unique: u64, len: u32, error: i32);
        /// The server has read an INTERRUPT for the request with this id.
        interrupt_sent(connection: u32, unique: u64);
        /// A caller has to wait before it may make a request.
        gate_wait(connection: u32, background: bool, initialized: bool);
        /// It does not wait any more: zero or a negative errno.
        gate_pass(connection: u32, background: bool, error: i32);
        /// The abort of a connection begins, with so many requests.
        connection_abort(connection: u32, waiting: u32);
        /// Lookups of a node are returned.
        forget_queue(connection: u32, nodeid: u64, nlookup: u64);
        /// The server has read FORGETs of so many nodes.
        forget_sent(connection: u32, unique: u64, count: u32);
        /// The server sent a notification: its code, and number of bytes that follow.
        notify(connection: u32, code: i32, len: u32);
        /// It was processed.
        notify_end(connection: u32, code: i32, error: i32);
    }
}
