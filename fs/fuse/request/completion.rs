// SPDX-License-Identifier: GPL-2.0

//! The code that runs at the end of a request that has no waiter.

use super::{
    args::Body,
    outcome::Outcome, //
};
use crate::{
    fuse::op::{
        data::OpData,
        OutArgs, //
    },
    vfs::sync::give_lock::GiveLock, //
};
use kernel::prelude::*;

/// A request that has ended, for the code that takes it apart.
pub(crate) struct Ended<'a>(&'a GiveLock<End, Body>);

impl<'a> Ended<'a> {
    /// The ended request that has this body.
    pub(super) fn new(body: &'a GiveLock<End, Body>) -> Self {
        Self(body)
    }

    /// Passes the reply to `read`, which runs under the lock of the body and must not sleep.
    /// Returns the lent data, because freeing it may sleep.
    #[inline]
    pub(crate) fn read<D: OpData, R>(
        self,
        read: impl FnOnce(Outcome, &mut OutArgs) -> R,
    ) -> (R, D) {
        let (read, data) = {
            let mut body = self.0.lock();
            // Only an ended request is taken apart.
            let outcome = body.state().outcome().unwrap_or(Outcome::Io);
            match body.value() {
                Some(body) => {
                    let (output, data) = body.reply();
                    (read(outcome, output), D::take(data))
                }
                // A request cannot end while a device has it: nothing can be read.
                None => (read(Outcome::Io, &mut OutArgs::empty()), None),
            }
        };
        (read, D::restore(data))
    }
}

/// Runs exactly once when a background request ends, in any case, without a spinlock, in the
/// context that ends it (a server's thread, an aborter, the sender itself).
pub(crate) trait Completion: Send {
    /// Takes the finished request.
    fn complete(self: KBox<Self>, ended: Ended<'_>);
}

/// How a request ends, and which completion then runs.
///
/// # Invariants
///
/// `outcome` changes once, from `None`; after that the body is not lent.
#[derive(Default)]
pub(crate) struct End {
    outcome: Option<Outcome>,
    completion: Option<KBox<dyn Completion>>,
}

impl End {
    /// Sets the outcome, unless it is set. Returns whether this call set it.
    pub(super) fn set(&mut self, outcome: Outcome) -> bool {
        let first = self.outcome.is_none();
        if first {
            self.outcome = Some(outcome);
        }
        first
    }

    /// The outcome, if it is set.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Sets the completion that runs at the end instead of waking a waiter.
    pub(super) fn set_completion(&mut self, completion: KBox<dyn Completion>) {
        self.completion = Some(completion);
    }

    /// Whether a completion is told of the end, and no caller waits.
    #[cfg(CONFIG_VIRTIO)]
    pub(super) fn has_completion(&self) -> bool {
        self.completion.is_some()
    }

    /// The completion; `None` if a waiter waits.
    pub(super) fn take_completion(&mut self) -> Option<KBox<dyn Completion>> {
        self.completion.take()
    }
}
