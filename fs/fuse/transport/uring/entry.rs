// SPDX-License-Identifier: GPL-2.0

//! Entries of a ring, and their containers.
//!
//! An entry is one allocation that moves between containers, and its state says what it holds.
//! Dropping it ends its command and its request. The command of an entry that waits is a `C`: the
//! queue says which type that is.

use super::{
    host::Host,
    memory::Area, //
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
use core::iter::successors;
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What an entry holds (`enum fuse_ring_req_state`).
pub(super) enum State<C> {
    /// Its command waits for a request.
    Available(C),
    /// A request is on its way to its command's task.
    Assigned(Copying),
    /// The server has the request in this entry.
    Lent(Sent),
    /// A thread of the server works on it.
    Held,
}

/// An entry that a server has registered (`struct fuse_ring_ent`).
pub(crate) struct Entry<C> {
    pub(super) area: Area,
    pub(super) host: Arc<dyn Host>,
    /// How many were registered on its queue before; `None` until it is admitted to the queue.
    number: Option<u32>,
    state: State<C>,
    /// The next entry in its stack or chain.
    next: Option<KBox<Entry<C>>>,
}

impl<C> Entry<C> {
    /// An entry whose command is being processed.
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

    /// Counts a new entry among the `entries` that were registered and the `living` ones.
    pub(super) fn admit(&mut self, entries: &mut u32, living: &mut u32) {
        if self.number.is_none() {
            self.number = Some(*entries);
            *entries = entries.wrapping_add(1);
            *living = living.saturating_add(1);
        }
    }

    /// Sets the state of an entry that a thread holds. An assignment would call the code that drops
    /// what the entry held.
    #[inline]
    fn set_state(&mut self, state: State<C>) {
        match core::mem::replace(&mut self.state, state) {
            State::Held => {}
            other => drop(other),
        }
    }

    /// Assigns a request on the way to its task.
    pub(super) fn assign(&mut self, request: Copying) {
        self.set_state(State::Assigned(request));
    }

    /// The request that the server has in this entry.
    fn request(&self) -> Option<&Request> {
        match &self.state {
            State::Lent(sent) => Some(sent.request()),
            _ => None,
        }
    }

    /// Takes that request; the server has answered it.
    fn take_sent(&mut self) -> Option<Sent> {
        match core::mem::replace(&mut self.state, State::Held) {
            State::Lent(sent) => Some(sent),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Takes the request that was assigned.
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

/// Makes an entry the first of a chain.
#[inline]
fn link<C>(chain: &mut Option<KBox<Entry<C>>>, mut entry: KBox<Entry<C>>) {
    set(&mut entry.next, chain.take());
    set(chain, Some(entry));
}

/// Removes the first entry of a chain.
#[inline]
fn unlink<C>(chain: &mut Option<KBox<Entry<C>>>) -> Option<KBox<Entry<C>>> {
    let mut entry = chain.take()?;
    set(chain, entry.next.take());
    Some(entry)
}

/// Sets a place that is empty. An assignment would call the code that drops what was there.
#[inline]
fn set<C>(place: &mut Option<KBox<Entry<C>>>, entry: Option<KBox<Entry<C>>>) {
    if let Some(other) = core::mem::replace(place, entry) {
        drop(other);
    }
}

/// Entries whose commands wait; the last one in is the first one out, because its memory is warm.
pub(super) struct Stack<C> {
    first: Option<KBox<Entry<C>>>,
}

impl<C> Default for Stack<C> {
    fn default() -> Self {
        Self { first: None }
    }
}

impl<C> Stack<C> {
    /// Whether the stack is empty.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Pushes an entry, whose command waits from now on.
    #[inline(always)]
    pub(super) fn push(&mut self, mut entry: KBox<Entry<C>>, command: C) {
        entry.set_state(State::Available(command));
        link(&mut self.first, entry);
    }

    /// Pops an entry and its command.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<(KBox<Entry<C>>, C)> {
        loop {
            let mut entry = unlink(&mut self.first)?;
            if let State::Available(command) = core::mem::replace(&mut entry.state, State::Held) {
                return Some((entry, command));
            }
        }
    }

    /// Removes the entry with this command.
    pub(super) fn remove(&mut self, is_it: impl Fn(&C) -> bool) -> Option<(KBox<Entry<C>>, C)> {
        let mut found = None;
        let mut others = Stack::default();
        while let Some((entry, command)) = self.pop() {
            if is_it(&command) {
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

/// Entries in which the server has a request, by the request's id.
pub(super) struct Table<C> {
    chains: [Option<KBox<Entry<C>>>; CHAINS],
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self {
            chains: [const { None }; CHAINS],
        }
    }
}

impl<C> Table<C> {
    fn chain(&mut self, unique: Unique) -> Option<&mut Option<KBox<Entry<C>>>> {
        self.chains.get_mut((unique.get() >> 1) as usize % CHAINS)
    }

    /// Inserts an entry, in which the server has this request.
    #[inline(always)]
    pub(super) fn insert(&mut self, mut entry: KBox<Entry<C>>, sent: Sent) {
        let chain = self.chain(sent.request().unique());
        entry.set_state(State::Lent(sent));
        if let Some(chain) = chain {
            link(chain, entry);
        }
    }

    /// Removes the entry that has the request with this id; returns both.
    pub(super) fn take(&mut self, unique: Unique) -> Option<(KBox<Entry<C>>, Sent)> {
        let mut chain = self.chain(unique)?;
        while chain.as_ref()?.request()?.unique() != unique {
            chain = &mut chain.as_mut()?.next;
        }
        let mut entry = unlink(chain)?;
        let sent = entry.take_sent()?;
        Some((entry, sent))
    }

    /// Removes any entry.
    fn pop(&mut self) -> Option<KBox<Entry<C>>> {
        unlink(self.chains.iter_mut().find(|chain| chain.is_some())?)
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

impl<C> Drop for Stack<C> {
    fn drop(&mut self) {
        // One by one: dropping a chain of boxes would recurse.
        while self.pop().is_some() {}
    }
}

impl<C> Drop for Table<C> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
