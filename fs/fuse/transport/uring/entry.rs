// SPDX-License-Identifier: GPL-2.0

//! Entries of a ring, and where they are kept.
//!
//! An entry is one allocation that goes from place to place, and its state says what it holds. One
//! that is dropped ends what it holds: its command, its request.

use super::{
    memory::Area,
    queue::Queue,
    Host, //
};
use crate::fuse::{
    abi::Unique,
    request::{
        state::{
            Copying,
            Sent, //
        },
        Request, //
    }, //
};
use crate::vfs::io::uring::{
    CommandId,
    Parked, //
};
use core::iter::successors;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What an entry is about (`enum fuse_ring_req_state`).
pub(super) enum State {
    /// Its command waits for a request.
    Available(Parked<Queue>),
    /// A request is on its way to its command's task.
    Assigned(Copying),
    /// The server has a request in it.
    Lent(Sent),
    /// A thread of the server is at it.
    Held,
}

/// An entry that a server has registered (`struct fuse_ring_ent`).
pub(crate) struct Entry {
    pub(super) area: Area,
    pub(super) host: Arc<dyn Host>,
    /// How many were registered on its queue before; `None` until it is one of the queue's.
    number: Option<u32>,
    state: State,
    /// Behind it in its stack or chain.
    next: Option<KBox<Entry>>,
}

impl Entry {
    /// An entry whose command is being looked at.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(area: Area, host: Arc<dyn Host>) -> Result<KBox<Self>> {
        Ok(KBox::new(
            Self {
                area,
                host,
                number: None,
                state: State::Held,
                next: None,
            },
            GFP_KERNEL_ACCOUNT,
        )?)
    }

    /// Counts it among the `entries` that were registered and the `living` that there are, if it is
    /// new.
    pub(super) fn admit(&mut self, entries: &mut u32, living: &mut u32) {
        if self.number.is_none() {
            self.number = Some(*entries);
            *entries = entries.wrapping_add(1);
            *living = living.saturating_add(1);
        }
    }

    /// Takes a request on the way to its task.
    pub(super) fn assign(&mut self, request: Copying) {
        self.state = State::Assigned(request);
    }

    /// The request that the server has in it.
    fn request(&self) -> Option<&Request> {
        match &self.state {
            State::Lent(sent) => Some(sent.request()),
            _ => None,
        }
    }

    /// That request, which the server has answered.
    fn take_sent(&mut self) -> Option<Sent> {
        match core::mem::replace(&mut self.state, State::Held) {
            State::Lent(sent) => Some(sent),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The request that it was assigned.
    pub(super) fn take_request(&mut self) -> Option<Copying> {
        match core::mem::replace(&mut self.state, State::Held) {
            State::Assigned(request) => Some(request),
            other => {
                self.state = other;
                None
            }
        }
    }
}

/// Entries whose commands wait; the last that came is the first that goes, as its memory is warm.
#[derive(Default)]
pub(super) struct Stack {
    first: Option<KBox<Entry>>,
}

impl Stack {
    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Puts an entry on it, whose command waits from now on.
    pub(super) fn push(&mut self, mut entry: KBox<Entry>, command: Parked<Queue>) {
        entry.state = State::Available(command);
        entry.next = self.first.take();
        self.first = Some(entry);
    }

    /// Takes one, and its command.
    pub(super) fn pop(&mut self) -> Option<(KBox<Entry>, Parked<Queue>)> {
        loop {
            let mut entry = self.first.take()?;
            self.first = entry.next.take();
            if let State::Available(command) = core::mem::replace(&mut entry.state, State::Held) {
                return Some((entry, command));
            }
        }
    }

    /// Takes the one with this command.
    pub(super) fn remove(&mut self, id: CommandId) -> Option<(KBox<Entry>, Parked<Queue>)> {
        let mut found = None;
        let mut others = Stack::default();
        while let Some((entry, command)) = self.pop() {
            if command.id() == id {
                found = Some((entry, command));
                break;
            }
            others.push(entry, command);
        }
        while let Some((entry, command)) = others.pop() {
            self.push(entry, command);
        }
        found
    }
}

/// Chains of a [`Table`]; a power of two.
const CHAINS: usize = 16;

/// Entries that the server has a request in, by its id.
#[derive(Default)]
pub(super) struct Table {
    chains: [Option<KBox<Entry>>; CHAINS],
}

impl Table {
    fn chain(&mut self, unique: Unique) -> Option<&mut Option<KBox<Entry>>> {
        self.chains.get_mut((unique.get() >> 1) as usize % CHAINS)
    }

    /// Puts an entry into it, in which the server has this request.
    pub(super) fn insert(&mut self, mut entry: KBox<Entry>, sent: Sent) {
        let chain = self.chain(sent.request().unique());
        entry.state = State::Lent(sent);
        if let Some(chain) = chain {
            entry.next = chain.take();
            *chain = Some(entry);
        }
    }

    /// Takes the entry that has the request with this id, and the request.
    pub(super) fn take(&mut self, unique: Unique) -> Option<(KBox<Entry>, Sent)> {
        let mut link = self.chain(unique)?;
        while link.as_ref()?.request()?.unique() != unique {
            link = &mut link.as_mut()?.next;
        }
        let mut entry = link.take()?;
        *link = entry.next.take();
        let sent = entry.take_sent()?;
        Some((entry, sent))
    }

    /// Takes any of them.
    fn pop(&mut self) -> Option<KBox<Entry>> {
        let chain = self.chains.iter_mut().find(|chain| chain.is_some())?;
        let mut entry = chain.take()?;
        *chain = entry.next.take();
        Some(entry)
    }

    /// The requests, with the number of the entry that has each.
    pub(super) fn requests(&self) -> impl Iterator<Item = (u32, &Request)> {
        let entries = self
            .chains
            .iter()
            .flat_map(|chain| successors(chain.as_deref(), |entry| entry.next.as_deref()));
        entries.filter_map(|entry| Some((entry.number?, entry.request()?)))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // One by one: a chain of boxes would be dropped by recursion.
        while self.pop().is_some() {}
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
