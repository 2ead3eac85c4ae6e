// SPDX-License-Identifier: GPL-2.0

//! The token that a request has, for code that does not hold it.

/// The token as the waiter sees it: whether it can still cancel or must interrupt the request.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Phase {
    /// On a queue.
    Pending = 0,
    /// On its way to the server.
    Copying = 1,
    /// With the server.
    Sent = 2,
    /// Its reply is being copied.
    Replying = 3,
    /// A device has its memory.
    Given = 4,
    /// Ended.
    Finished = 5,
}

impl From<i32> for Phase {
    fn from(value: i32) -> Self {
        match value {
            0 => Self::Pending,
            1 => Self::Copying,
            2 => Self::Sent,
            3 => Self::Replying,
            4 => Self::Given,
            _ => Self::Finished,
        }
    }
}
