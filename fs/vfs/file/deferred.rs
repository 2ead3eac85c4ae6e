// SPDX-License-Identifier: GPL-2.0

//! Read and write calls that complete after the function that serves them has returned.
//!
//! [`Kiocb::defer`](crate::vfs::file::open::Kiocb::defer) returns a [`Deferred`], which has to
//! complete the call. If the function then returns `EIOCBQUEUED`, the caller's completion callback
//! runs when both have happened: [`Deferred::complete`], and the return to the trampoline. So the
//! call stays valid while any function of the file system can see it.
//!
//! A call that the file system has [passed on](crate::vfs::file::open::Kiocb::pass_on) belongs to
//! the callee, which completes it; nothing here accesses it again.
//!
//! Locks: none.

use crate::vfs::{
    bindings,
    file::count::count_of, //
};
use core::{
    cell::Cell,
    ffi::c_void, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
};

/// The progress of a call.
#[repr(i32)]
enum State {
    /// The function that serves it is running.
    Open = 0,
    /// The function has returned `EIOCBQUEUED`, and there is no result yet.
    Queued = 1,
    /// There is a result, and the function still runs.
    Done = 2,
    /// The function has returned something else, which is the result.
    Returned = 3,
}

/// The state that the trampoline and the [`Deferred`] share.
///
/// # Invariants
///
/// `iocb` is valid until the completion callback was called, which the second of the two sides
/// does.
struct Call {
    iocb: *mut bindings::kiocb,
    state: Atomic<i32>,
    /// The result for the caller; valid in [`State::Done`].
    result: Atomic<i64>,
}

// SAFETY: The call may be completed by any task.
unsafe impl Send for Call {}
// SAFETY: Its state is atomic.
unsafe impl Sync for Call {}

impl Call {
    /// Changes the state from [`State::Open`]; returns the other side's state if that side was
    /// first.
    fn change(&self, to: State) -> Result<(), i32> {
        self.state
            .cmpxchg(State::Open as i32, to as i32, Full)
            .map(|_| ())
    }

    /// # Safety
    ///
    /// The function has returned `EIOCBQUEUED`, and no other task completes the call.
    unsafe fn tell(&self, result: i64) {
        // SAFETY: Valid by the type invariant, since the call has not been completed yet.
        if let Some(complete) = unsafe { (*self.iocb).ki_complete } {
            // SAFETY: As above; the callback may be called in any context, once.
            unsafe { complete(self.iocb, result as isize) };
        }
    }
}

/// The obligation to complete a call. Dropped without a result, it fails the call with `EIO`.
pub(crate) struct Deferred {
    call: Option<Arc<Call>>,
}

impl Deferred {
    /// Defers a call. The trampoline finds the shared state in the call itself.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the caller waits; `EBUSY` if the call is deferred already; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `iocb` is a call that is being served, between [`Served::begin`] and [`Served::end`].
    pub(in crate::vfs) unsafe fn new(iocb: *mut bindings::kiocb) -> Result<Self> {
        // SAFETY: Valid by the safety requirement.
        if unsafe { (*iocb).ki_complete.is_none() } {
            return Err(EINVAL);
        }
        // SAFETY: As above.
        if unsafe { !(*iocb).private.is_null() } {
            return Err(EBUSY);
        }
        let call = Arc::new(
            // INVARIANT: It is being served.
            Call {
                iocb,
                state: Atomic::new(State::Open as i32),
                result: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        // SAFETY: As above; the field belongs to the code that serves the call.
        unsafe { (*iocb).private = Arc::into_raw(call.clone()).cast_mut().cast() };
        Ok(Self { call: Some(call) })
    }

    /// Completes the call. This may run the caller's completion callback, which may do anything; no
    /// lock may be held.
    pub(crate) fn complete(mut self, result: Result<usize>) {
        self.end(result);
    }

    fn end(&mut self, result: Result<usize>) {
        let Some(call) = self.call.take() else {
            return;
        };
        let result = count_of(result) as i64;
        call.result.store(result, Relaxed);
        if let Err(state) = call.change(State::Done) {
            if state == State::Queued as i32 {
                // SAFETY: The function has returned `EIOCBQUEUED`, and left the completion to this
                // side.
                unsafe { call.tell(result) };
            }
        }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        self.end(Err(EIO));
    }
}

/// The state that the trampoline of a call and its [`Kiocb`](crate::vfs::file::open::Kiocb) share.
pub(in crate::vfs) struct Served {
    /// The caller's value of the field that is used here.
    private: *mut c_void,
    /// Whether the call was passed on.
    passed_on: Cell<bool>,
}

impl Served {
    /// Begins to serve a call.
    ///
    /// # Safety
    ///
    /// `iocb` is a valid call that only the caller uses until [`Self::end`].
    pub(super) unsafe fn begin(iocb: *mut bindings::kiocb) -> Self {
        // SAFETY: Valid by the safety requirement. `end` restores the caller's value, unless the
        // call was passed on by then.
        let private = unsafe { core::mem::replace(&mut (*iocb).private, core::ptr::null_mut()) };
        Self {
            private,
            passed_on: Cell::new(false),
        }
    }

    /// Ends the service with `result`, which the function returned; returns the value for C.
    ///
    /// # Safety
    ///
    /// `iocb` is the call of [`Self::begin`], and was served with this value.
    pub(super) unsafe fn end(self, iocb: *mut bindings::kiocb, result: Result<usize>) -> isize {
        if self.passed_on.get() {
            return count_of(result);
        }
        // SAFETY: Still valid: the call is not completed before this function permits it.
        let call = unsafe { core::mem::replace(&mut (*iocb).private, self.private) };
        if call.is_null() {
            // Without a `Deferred` nothing would ever complete the call, and a caller that waits
            // has no callback.
            return count_of(match result {
                Err(EIOCBQUEUED) => Err(EIO),
                result => result,
            });
        }
        // SAFETY: Only `Deferred::new()` sets the field, to a reference to its `Call`.
        let call: Arc<Call> = unsafe { Arc::from_raw(call.cast()) };
        if result != Err(EIOCBQUEUED) {
            // The result of the `Deferred`, whether given before or after this, is ignored.
            let _ = call.change(State::Returned);
            return count_of(result);
        }
        if call.change(State::Queued).is_err() {
            // SAFETY: The function has returned `EIOCBQUEUED`; the other side was first and has not
            // completed the call.
            unsafe { call.tell(call.result.load(Relaxed)) };
        }
        count_of(Err(EIOCBQUEUED))
    }

    /// Passes the call on: restores the caller's value of the field.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the call was deferred.
    ///
    /// # Safety
    ///
    /// `iocb` is the call that is being served with this value, and its server does not access it
    /// any more.
    pub(in crate::vfs) unsafe fn pass_on(&self, iocb: *mut bindings::kiocb) -> Result {
        // SAFETY: Valid by the safety requirement.
        if unsafe { !(*iocb).private.is_null() } {
            return Err(EBUSY);
        }
        // SAFETY: As above.
        unsafe { (*iocb).private = self.private };
        self.passed_on.set(true);
        Ok(())
    }
}
