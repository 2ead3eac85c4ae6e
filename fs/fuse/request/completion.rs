// SPDX-License-Identifier: GPL-2.0

//! Who is told of the end of a request that nobody waits for.

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

/// A request that has ended, in the hands of what takes it apart.
pub(crate) struct Ended<'a>(&'a GiveLock<End, Body>);

impl<'a> Ended<'a> {
    /// The request that has this body, and has ended.
    pub(super) fn new(body: &'a GiveLock<End, Body>) -> Self {
        Self(body)
    }

    /// Shows what the reply brought to `read`, which runs under the lock of the body and must not
    /// sleep, and gives back what was lent: that may be memory whose freeing sleeps.
    #[inline]
    pub(crate) fn read<D: OpData, R>(
        self,
        read: impl FnOnce(Outcome, &mut OutArgs) -> R,
    ) -> (R, D) {
        let (read, data) = {
            let mut body = self.0.lock();
            // Only a request that has ended is taken apart.
            let outcome = body.state().outcome().unwrap_or(Outcome::Io);
            match body.value() {
                Some(body) => {
                    let (output, data) = body.reply();
                    (read(outcome, output), D::take(data))
                }
                // No request has ended that a device has: there is nothing to be read of one.
                None => (read(Outcome::Io, &mut OutArgs::empty()), None),
            }
        };
        (read, D::restore(data))
    }
}

/// Runs when a background request ends: exactly once, whatever ends it, without any spinlock, in
/// the context of whoever ended it (a server's thread, an aborter, the sender itself).
pub(crate) trait Completion: Send {
    /// Takes the finished request.
    fn complete(self: KBox<Self>, ended: Ended<'_>);
}

/// How a request ends, and what is told of it.
///
/// # Invariants
///
/// `outcome` changes once, from `None`; after that the body is not lent any more.
#[derive(Default)]
pub(super) struct End {
    outcome: Option<Outcome>,
    completion: Option<KBox<dyn Completion>>,
}

impl End {
    /// Sets the outcome; the first one stays. Returns whether this was it.
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

    /// What is told of the end, instead of a waiter.
    pub(super) fn set_completion(&mut self, completion: KBox<dyn Completion>) {
        self.completion = Some(completion);
    }

    /// The completion; `None` if a waiter waits instead.
    pub(super) fn take_completion(&mut self) -> Option<KBox<dyn Completion>> {
        self.completion.take()
    }
}
