// SPDX-License-Identifier: GPL-2.0

//! Who is told of the end of a request that nobody waits for.

use super::{
    outcome::Outcome,
    Request, //
};
use crate::fuse::op::{
    data::OpData,
    OutArgs, //
};
use kernel::prelude::*;

/// A request that has ended, in the hands of its completion.
pub(crate) struct Ended<'a>(&'a Request);

impl<'a> Ended<'a> {
    pub(super) fn new(request: &'a Request) -> Self {
        Self(request)
    }

    /// Reads the reply where it is, and gives back what was lent. `read` runs under the lock of the
    /// request's body, and must not sleep.
    #[inline]
    pub(crate) fn read<D: OpData, R>(
        self,
        read: impl FnOnce(Outcome, &mut OutArgs) -> R,
    ) -> (R, D) {
        self.0.with_reply(read)
    }
}

/// Runs when a background request ends: exactly once, whatever ends it, without any spinlock, in
/// the context of whoever ended it (a server's thread, an aborter, the sender itself).
pub(crate) trait Completion: Send {
    /// Takes the finished request.
    fn complete(self: KBox<Self>, ended: Ended<'_>);
}
