// SPDX-License-Identifier: GPL-2.0

//! The right to send background requests: the background queue lends it to a transport with its own
//! queues.

/// How many more background requests may go to the server.
pub(crate) struct Credits<'a> {
    active: &'a mut u32,
    max: u32,
}

impl<'a> Credits<'a> {
    /// As many credits as `active`, the number of requests with the server, is below `max`.
    #[inline]
    pub(super) fn new(active: &'a mut u32, max: u32) -> Self {
        Self { active, max }
    }

    /// Takes a credit, if one is left: a request may go.
    #[inline]
    pub(crate) fn take(&mut self) -> bool {
        let free = *self.active < self.max;
        if free {
            self.take_anyway();
        }
        free
    }

    /// Takes a credit even if none is left: a queue none of whose requests is with the server may
    /// always send one.
    #[inline]
    pub(crate) fn take_anyway(&mut self) {
        *self.active = self.active.saturating_add(1);
    }
}
