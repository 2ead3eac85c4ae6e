// SPDX-License-Identifier: GPL-2.0

//! Who is told of the end of a request that nobody waits for.

use super::{
    args::Data,
    outcome::Outcome, //
};
use crate::fuse::op::OutArgs;
use kernel::prelude::*;

/// A finished request, taken apart.
pub(crate) struct Ended {
    /// How it ended.
    pub(crate) outcome: Outcome,
    /// The reply, as far as it was filled.
    pub(crate) output: OutArgs,
    /// What was lent, always handed back.
    pub(crate) data: Data,
    /// Bytes that the reply wrote into its data.
    pub(crate) written: usize,
}

/// Runs when a background request ends: exactly once, whatever ends it, without any spinlock, in
/// the context of whoever ended it (a server's thread, an aborter, the sender itself).
pub(crate) trait Completion: Send {
    /// Takes the finished request.
    fn complete(self: KBox<Self>, ended: Ended);
}
