// SPDX-License-Identifier: GPL-2.0

//! Wait queues with a condition of the caller.
//!
//! `kernel::sync::CondVar` always waits exclusively and only under its own lock; a file system
//! also needs killable and shared waits on a condition that is read without a lock. The semantics
//! are those of the `wait_event*()` macros of `include/linux/wait.h`.

use crate::vfs::{
    bindings,
    sync::signal::{
        again,
        is_current_to_stop, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::LockClassKey,
    task::might_sleep,
    types::Opaque, //
};

/// A `struct wait_queue_head`.
///
/// Takes no lock of the caller. A wake-up takes the queue's own spinlock, which is not irq-safe
/// here: wake and wait in process context only.
///
/// # Invariants
///
/// `head` is initialised and is never moved.
#[pin_data]
pub(crate) struct WaitQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A wait queue head may be used from any thread.
unsafe impl Send for WaitQueue {}
// SAFETY: Every operation on a wait queue head takes the lock inside it.
unsafe impl Sync for WaitQueue {}

impl WaitQueue {
    /// Initialises an empty queue; `new_wait_queue!` gives it a lock class.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        // INVARIANT: `head` is initialised in its final place.
        pin_init!(Self {
            // SAFETY: `slot` is valid for the call; `name` and `key` are static.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// The C queue, for `vfs` code that registers it elsewhere (poll).
    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::wait_queue_head {
        self.head.get()
    }

    /// One `___wait_event()`: sleeps in `state` until `condition` is true.
    ///
    /// `condition` runs with the task state already set, so it must not sleep.
    fn wait_event(&self, state: u32, flags: u32, mut condition: impl FnMut() -> bool) -> Result {
        might_sleep();
        if condition() {
            return Ok(());
        }
        let entry = Opaque::<bindings::wait_queue_entry>::uninit();
        // SAFETY: `entry` is memory for a wait queue entry; it stays in this frame.
        unsafe { bindings::init_wait_entry(entry.get(), flags as i32) };
        loop {
            // SAFETY: The head is initialised by the type invariant and the entry by the line
            // above; the entry is taken off the queue below before this frame ends.
            let signal = unsafe {
                bindings::prepare_to_wait_event(self.head.get(), entry.get(), state as i32)
            };
            if condition() {
                break;
            }
            // On a signal the entry is off the queue already, and if it was woken exclusively the
            // wake-up went to the next waiter.
            to_result(signal as i32)?;
            // SAFETY: Called in process context; the task state is set, so it may sleep.
            unsafe { bindings::schedule() };
            if condition() {
                break;
            }
        }
        // SAFETY: As for `prepare_to_wait_event`.
        unsafe { bindings::finish_wait(self.head.get(), entry.get()) };
        Ok(())
    }

    /// Sleeps until `condition` is true, ignoring signals.
    pub(crate) fn wait(&self, condition: impl FnMut() -> bool) {
        // An uninterruptible wait has no error to return.
        let _ = self.wait_event(bindings::TASK_UNINTERRUPTIBLE, 0, condition);
    }

    /// Sleeps until `condition` is true or any signal comes.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when a signal is pending.
    pub(crate) fn wait_interruptible(&self, condition: impl FnMut() -> bool) -> Result {
        self.wait_event(bindings::TASK_INTERRUPTIBLE, 0, condition)
    }

    /// Sleeps until `condition` is true or a fatal signal comes.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when the task is being killed.
    pub(crate) fn wait_killable(&self, condition: impl FnMut() -> bool) -> Result {
        self.wait_event(bindings::TASK_KILLABLE, 0, condition)
    }

    /// Like [`Self::wait_interruptible`], but a wake-up of one wakes only one such waiter.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when a signal is pending; a wake-up that this waiter got is passed on.
    pub(crate) fn wait_interruptible_exclusive(&self, condition: impl FnMut() -> bool) -> Result {
        self.wait_event(
            bindings::TASK_INTERRUPTIBLE,
            bindings::WQ_FLAG_EXCLUSIVE,
            condition,
        )
    }

    /// Like [`Self::wait_killable`], but a wake-up of one wakes only one such waiter.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when the task is being killed; a wake-up that this waiter took is passed on.
    pub(crate) fn wait_killable_exclusive(&self, condition: impl FnMut() -> bool) -> Result {
        self.wait_event(
            bindings::TASK_KILLABLE,
            bindings::WQ_FLAG_EXCLUSIVE,
            condition,
        )
    }

    /// Like [`Self::wait_killable_exclusive`], but the wait ends to have the task frozen or
    /// stopped, too.
    ///
    /// # Errors
    ///
    /// `EINTR` when the task is being killed, `ERESTARTNOINTR` when it is to stop; a wake-up that
    /// this waiter took is passed on.
    pub(crate) fn wait_stoppable_exclusive(&self, mut condition: impl FnMut() -> bool) -> Result {
        if self.wait_interruptible_exclusive(&mut condition).is_ok() {
            return Ok(());
        }
        if is_current_to_stop() {
            return Err(again());
        }
        self.wait_killable_exclusive(condition).map_err(|_| EINTR)
    }

    /// An exclusive wait that only a fatal signal ends and that the freezer may freeze.
    ///
    /// # Errors
    ///
    /// `ERESTARTSYS` when the task is being killed; a wake-up that this waiter took is passed on.
    pub(crate) fn wait_killable_freezable_exclusive(
        &self,
        condition: impl FnMut() -> bool,
    ) -> Result {
        self.wait_event(
            bindings::TASK_KILLABLE | bindings::TASK_FREEZABLE,
            bindings::WQ_FLAG_EXCLUSIVE,
            condition,
        )
    }

    fn wake(&self, exclusive: i32) {
        // SAFETY: The head is initialised by the type invariant.
        unsafe {
            bindings::__wake_up(
                self.head.get(),
                bindings::TASK_NORMAL,
                exclusive,
                core::ptr::null_mut(),
            )
        };
    }

    /// Wakes all shared waiters and one exclusive waiter.
    pub(crate) fn wake_up(&self) {
        self.wake(1);
    }

    /// Like [`Self::wake_up`], without a lock if there is no waiter.
    ///
    /// A full barrier comes first: a waiter that is not seen here sees what the caller has stored
    /// before, because a waiter goes on the queue before it reads its condition.
    pub(crate) fn wake_up_if_waiting(&self) {
        // SAFETY: The head is initialised by the type invariant.
        if unsafe { bindings::wq_has_sleeper(self.head.get()) } {
            self.wake_up();
        }
    }

    /// Like [`Self::wake_up`], telling the scheduler that the waker is about to sleep.
    pub(crate) fn wake_up_sync(&self) {
        // SAFETY: The head is initialised by the type invariant.
        unsafe { bindings::__wake_up_sync(self.head.get(), bindings::TASK_NORMAL) };
    }

    /// Wakes all shared waiters and up to `count` exclusive ones; none when `count` is 0.
    pub(crate) fn wake_up_nr(&self, count: u32) {
        if let (1.., Ok(count)) = (count, i32::try_from(count)) {
            self.wake(count);
        }
    }

    /// Wakes every waiter.
    pub(crate) fn wake_up_all(&self) {
        self.wake(0);
    }
}

/// Creates a [`WaitQueue`] initialiser with a lock class of its own.
macro_rules! new_wait_queue {
    ($name:literal) => {
        $crate::vfs::sync::wait::WaitQueue::new(kernel::c_str!($name), kernel::static_lock_class!())
    };
}
pub(crate) use new_wait_queue;
