// SPDX-License-Identifier: GPL-2.0

//! The pages of a file that the server has invalidated, but that could not be dropped at once.
//!
//! An operation in progress may hold such a page while it waits for the very server that
//! invalidates it, so the notification waits for none. The remaining pages are marked here as one
//! range, which grows to cover each addition: dropping too many costs only a READ. The next user of
//! the page cache drops them first (`file/outdated.rs`), so that no later caller sees them.
//!
//! Locks: the one of [`Outdated`], a leaf.

use kernel::{
    new_spinlock,
    prelude::*,
    sync::SpinLock, //
};

/// The pages of a file that must be dropped before its page cache is used.
#[pin_data]
pub(crate) struct Outdated {
    #[pin]
    state: SpinLock<State>,
}

struct State {
    /// The first and the last page of the range.
    pages: Option<(u64, u64)>,
    /// Number of additions.
    added: u64,
}

/// The range as it was at one time.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    /// The first page.
    pub(crate) first: u64,
    /// The last page.
    pub(crate) last: u64,
    added: u64,
}

impl Outdated {
    /// No pages.
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

    /// The marked range.
    pub(super) fn get(&self) -> Option<Mark> {
        let state = self.state.lock();
        state.pages.map(|(first, last)| Mark {
            first,
            last,
            added: state.added,
        })
    }

    /// Clears the range, and then runs `then` under the lock; does neither if pages were added
    /// after `mark`.
    pub(super) fn remove(&self, mark: Mark, then: impl FnOnce()) {
        let mut state = self.state.lock();
        if state.added == mark.added {
            state.pages = None;
            then();
        }
    }
}
