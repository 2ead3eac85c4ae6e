// SPDX-License-Identifier: GPL-2.0

//! Read and write calls that end after the function that serves them has returned.
//!
//! [`Kiocb::defer`](crate::vfs::file::open::Kiocb::defer) gives a [`Deferred`], the right and the
//! duty to say what came of the call. If the function then returns `EIOCBQUEUED`, the caller is
//! told by its own callback, as soon as both are there: the result, and the return to the
//! trampoline. So the call is valid as long as any function of the file system sees it.
//!
//! A call that the file system has [passed on](crate::vfs::file::open::Kiocb::pass_on) is not its
//! own any more: whoever it went to tells the caller, and nothing here looks at it again.
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

/// How far a call is.
#[repr(i32)]
enum State {
    /// The function that serves it runs.
    Open = 0,
    /// The function has returned `EIOCBQUEUED`, and there is no result yet.
    Queued = 1,
    /// There is a result, and the function still runs.
    Done = 2,
    /// The function has returned something else, which is the result.
    Returned = 3,
}

/// What the two sides share.
///
/// # Invariants
///
/// `iocb` is valid until one side has told its caller the result: whoever comes second.
struct Call {
    iocb: *mut bindings::kiocb,
    state: Atomic<i32>,
    /// What the caller gets; valid in [`State::Done`].
    result: Atomic<i64>,
}

// SAFETY: The call may be completed by any task.
unsafe impl Send for Call {}
// SAFETY: Its state is atomic.
unsafe impl Sync for Call {}

impl Call {
    /// Changes the state from [`State::Open`]; returns the other side's if that was first.
    fn change(&self, to: State) -> Result<(), i32> {
        self.state
            .cmpxchg(State::Open as i32, to as i32, Full)
            .map(|_| ())
    }

    /// # Safety
    ///
    /// The function has returned `EIOCBQUEUED`, and nobody else tells the caller.
    unsafe fn tell(&self, result: i64) {
        // SAFETY: Valid by the type invariant, since nobody has told the caller yet.
        if let Some(complete) = unsafe { (*self.iocb).ki_complete } {
            // SAFETY: As above; may be called in any context, once.
            unsafe { complete(self.iocb, result as isize) };
        }
    }
}

/// The result of a call is owed. Dropped without one, the call fails with `EIO`.
pub(crate) struct Deferred {
    call: Option<Arc<Call>>,
}

impl Deferred {
    /// Lets the call end later. The trampoline finds what the sides share in the call itself.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the caller waits; `EBUSY` if the call is deferred already; `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `iocb` is a call that is served now, from [`Served::begin`] to [`Served::end`].
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
        // SAFETY: As above; the field is for who serves the call.
        unsafe { (*iocb).private = Arc::into_raw(call.clone()).cast_mut().cast() };
        Ok(Self { call: Some(call) })
    }

    /// The call has ended. The caller may be told here, and does with that what it wants; no lock
    /// may be held.
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
                // SAFETY: The function has returned so, and left the telling to us.
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

/// What the trampoline of a call and its [`Kiocb`](crate::vfs::file::open::Kiocb) share.
pub(in crate::vfs) struct Served {
    /// What the caller has in the field that is used here.
    private: *mut c_void,
    /// Whether the call is somebody else's.
    passed_on: Cell<bool>,
}

impl Served {
    /// A call begins to be served.
    ///
    /// # Safety
    ///
    /// `iocb` is a valid call, the caller's own until [`Self::end`].
    pub(super) unsafe fn begin(iocb: *mut bindings::kiocb) -> Self {
        // SAFETY: Valid by the safety requirement. What the caller has in there is given back,
        // unless the call is not ours any more by then.
        let private = unsafe { core::mem::replace(&mut (*iocb).private, core::ptr::null_mut()) };
        Self {
            private,
            passed_on: Cell::new(false),
        }
    }

    /// The function that serves it has returned `result`; returns what C gets.
    ///
    /// # Safety
    ///
    /// `iocb` is the call of [`Self::begin`], and was served with this value.
    pub(super) unsafe fn end(self, iocb: *mut bindings::kiocb, result: Result<usize>) -> isize {
        if self.passed_on.get() {
            return count_of(result);
        }
        // SAFETY: Still valid: nobody tells the caller before this function lets them.
        let call = unsafe { core::mem::replace(&mut (*iocb).private, self.private) };
        if call.is_null() {
            // Nobody would ever tell the caller, and one that waits could not be told at all.
            return count_of(match result {
                Err(EIOCBQUEUED) => Err(EIO),
                result => result,
            });
        }
        // SAFETY: Only `Deferred::new()` has put something in there, a reference to its call.
        let call: Arc<Call> = unsafe { Arc::from_raw(call.cast()) };
        if result != Err(EIOCBQUEUED) {
            // Who has a result already, or comes with one later, tells it to nobody.
            let _ = call.change(State::Returned);
            return count_of(result);
        }
        if call.change(State::Queued).is_err() {
            // SAFETY: The function has returned so, and the other side was first and has told
            // nobody.
            unsafe { call.tell(call.result.load(Relaxed)) };
        }
        count_of(Err(EIOCBQUEUED))
    }

    /// The call becomes somebody else's: gives back what the caller has in it.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the call was deferred.
    ///
    /// # Safety
    ///
    /// `iocb` is the call that is served now with this value, and is not touched any more by
    /// who serves it.
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
