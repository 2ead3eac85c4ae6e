// SPDX-License-Identifier: GPL-2.0

//! Pending FORGETs: allocated before the lookup that they undo, batched when they are read.

use crate::fuse::abi::NodeId;
use crate::vfs::sync::{
    insist,
    queue::{
        BoxQueue,
        QueueBox, //
    },
};
use kernel::prelude::*;

/// One FORGET.
#[derive(Clone, Copy)]
pub(crate) struct Forget {
    /// The node.
    pub(crate) node: NodeId,
    /// How many lookups the server may forget.
    pub(crate) nlookup: u64,
}

/// The right to send one FORGET: its memory, allocated before the LOOKUP that it undoes, so that
/// sending it never fails.
pub(crate) struct ForgetTicket(QueueBox<Option<Forget>>);

impl ForgetTicket {
    /// Allocates the ticket, charged to the caller's memory cgroup: there is one for each known
    /// inode. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(QueueBox::new(None, GFP_KERNEL_ACCOUNT)?))
    }

    /// Allocates the ticket for a lookup that has been counted already. Sleeps until memory is
    /// available.
    pub(crate) fn insist() -> Self {
        Self(insist(|flags| QueueBox::new(None, flags)))
    }
}

/// FORGETs in the order they were sent.
#[derive(Default)]
pub(crate) struct ForgetList(BoxQueue<Option<Forget>>);

impl ForgetList {
    /// Whether the list is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the list has exactly one entry.
    pub(crate) fn is_single(&self) -> bool {
        self.0.is_single()
    }

    /// Appends a FORGET.
    pub(crate) fn push(&mut self, ticket: ForgetTicket, forget: Forget) {
        let mut item = ticket.0;
        *item = Some(forget);
        self.0.push_back(item);
    }

    /// Takes the oldest entries, up to `max`, and returns how many they are. Frees nothing.
    pub(crate) fn split_front(&mut self, max: usize) -> (ForgetList, usize) {
        let (taken, count) = self.0.take_front(max);
        (ForgetList(taken), count)
    }
}

impl Iterator for ForgetList {
    type Item = Forget;

    fn next(&mut self) -> Option<Forget> {
        self.0.pop_front().and_then(|item| *item)
    }
}
