// SPDX-License-Identifier: GPL-2.0

//! `poll(2)` and its kin on open files: events, and the queues on which callers wait for them.
//!
//! `file_ops` or `io/chrdev` makes a [`Polling`] of a `poll` call, and the file system registers
//! the caller on the queue of the file.
//!
//! C headers: `include/linux/poll.h`, `include/uapi/linux/eventpoll.h`.

use crate::vfs::{
    bindings,
    sync::wait::WaitQueue, //
};
use kernel::{
    prelude::*,
    sync::Arc,
    types::ForeignOwnable, //
};

/// Events of a polled file (`EPOLL*`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PollEvents(u32);

impl PollEvents {
    /// `EPOLLIN | EPOLLRDNORM`: a read will not block.
    pub(crate) const READABLE: Self = Self(0x0001 | 0x0040);
    /// `EPOLLOUT | EPOLLWRNORM`: a write will not block.
    pub(crate) const WRITABLE: Self = Self(0x0004 | 0x0100);
    /// `EPOLLERR`: the file only returns errors.
    pub(crate) const ERROR: Self = Self(0x0008);
    /// The events of a file that cannot tell (`DEFAULT_POLLMASK`).
    pub(crate) const ALWAYS: Self = Self(Self::READABLE.0 | Self::WRITABLE.0);

    /// As the kernel represents them.
    pub(in crate::vfs) fn into_raw(self) -> bindings::__poll_t {
        self.0
    }

    /// Converts `POLL*` numbers of `poll(2)`; unknown ones are left out.
    pub(crate) fn from_user(events: u32) -> Self {
        // SAFETY: Calculates. There are no events in the upper half.
        Self(unsafe { bindings::demangle_poll(events as u16) })
    }

    /// Converts to `POLL*` numbers.
    pub(crate) fn to_user(self) -> u32 {
        // SAFETY: Calculates.
        u32::from(unsafe { bindings::mangle_poll(self.0) })
    }
}

impl core::ops::BitOr for PollEvents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The data of a file that can be polled.
pub(crate) trait Pollable: 'static {
    /// The queue on which its pollers wait. May sleep.
    ///
    /// The queue lives as long as the data: this is why it is borrowed from it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn pollers(&self) -> Result<&WaitQueue>;
}

/// A `poll` call in progress, on a file with `F` as its data.
///
/// # Invariants
///
/// `file` is valid for `'a`, and has an `F` of which `data` is borrowed. `table` is null or valid
/// for `'a`. The call is on `file`.
pub(crate) struct Polling<'a, F: ForeignOwnable + 'a> {
    file: *mut bindings::file,
    data: F::Borrowed<'a>,
    table: *mut bindings::poll_table_struct,
}

impl<'a, F: ForeignOwnable> Polling<'a, F> {
    /// # Safety
    ///
    /// The type invariant holds.
    pub(in crate::vfs) unsafe fn new(
        file: *mut bindings::file,
        data: F::Borrowed<'a>,
        table: *mut bindings::poll_table_struct,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self { file, data, table }
    }

    /// The data of the file.
    pub(crate) fn data(&self) -> &F::Borrowed<'a> {
        &self.data
    }

    /// The events that the caller wants.
    pub(crate) fn wanted(&self) -> PollEvents {
        // SAFETY: The table is null or valid by the type invariant.
        PollEvents(unsafe { bindings::poll_requested_events(self.table) })
    }
}

impl<D: Pollable> Polling<'_, Arc<D>> {
    /// Makes a wake-up of the file's pollers reach the caller, if it is going to wait. Returns
    /// whether any task is waiting.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn register(&self) -> Result<bool> {
        let queue = self.data.pollers()?.as_ptr();
        // SAFETY: File and table are valid by the type invariant. The queue is borrowed from the
        // data of the file, which the file keeps until it is released. Pollers leave the queue
        // before that: a poller holds a reference to the file, or (epoll) `__fput()` removes it.
        unsafe { bindings::poll_wait(self.file, queue, self.table) };
        // SAFETY: The queue is valid, as explained above.
        Ok(unsafe { bindings::waitqueue_active(queue) })
    }
}
