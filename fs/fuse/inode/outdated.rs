// SPDX-License-Identifier: GPL-2.0

//! Which pages of a file are not true any more, and could not be dropped when the server said so.
//!
//! An operation under way may have them, and wait for the very server that has said so; so nothing is
//! waited for then. What is left is marked here as one range, which grows over all that is added to it:
//! to drop more than that costs a READ. The next user of the page cache drops it first
//! (`file/outdated.rs`), so that no later caller sees it.
//!
//! Locks: that of one [`Outdated`], a leaf.

use kernel::{
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// The pages of a file that have to be dropped before its page cache is used.
#[pin_data]
pub(crate) struct Outdated {
    #[pin]
    state: SpinLock<State>,
}

struct State {
    /// The first and the last page.
    pages: Option<(u64, u64)>,
    /// How often something was added.
    added: u64,
}

/// What was marked at a time.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    /// The first page.
    pub(crate) first: u64,
    /// The last page.
    pub(crate) last: u64,
    added: u64,
}

impl Outdated {
    /// None.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(
                State {
                    pages: None,
                    added: 0,
                },
                "Outdated::state"
            ),
        })
    }

    /// Marks the pages `first` to `last`. `then` runs under the lock.
    pub(super) fn add(&self, first: u64, last: u64, then: impl FnOnce()) {
        let mut state = self.state.lock();
        state.pages = Some(match state.pages {
            Some((old_first, old_last)) => (old_first.min(first), old_last.max(last)),
            None => (first, last),
        });
        state.added = state.added.wrapping_add(1);
        then();
    }

    /// What is marked.
    pub(super) fn get(&self) -> Option<Mark> {
        let state = self.state.lock();
        state.pages.map(|(first, last)| Mark {
            first,
            last,
            added: state.added,
        })
    }

    /// Nothing is marked any more, unless something was added after `mark`. `then` runs under the lock if
    /// so.
    pub(super) fn remove(&self, mark: Mark, then: impl FnOnce()) {
        let mut state = self.state.lock();
        if state.added == mark.added {
            state.pages = None;
            then();
        }
    }
}
