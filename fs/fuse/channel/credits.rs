// SPDX-License-Identifier: GPL-2.0

//! The right to send background requests: what the background queue hands to a transport with
//! queues of its own.

/// How many more background requests may go to the server.
pub(crate) struct Credits<'a> {
    active: &'a mut u32,
    max: u32,
}

impl<'a> Credits<'a> {
    /// As many as `active`, those that are with the server, is short of `max`.
    #[inline]
    pub(super) fn new(active: &'a mut u32, max: u32) -> Self {
        Self { active, max }
    }

    /// Takes one, if there is one left: a request may go.
    #[inline]
    pub(crate) fn take(&mut self) -> bool {
        let free = *self.active < self.max;
        if free {
            self.take_anyway();
        }
        free
    }

    /// Takes one more than there are: a queue none of whose requests is with the server may always
    /// send one.
    #[inline]
    pub(crate) fn take_anyway(&mut self) {
        *self.active = self.active.saturating_add(1);
    }
}
