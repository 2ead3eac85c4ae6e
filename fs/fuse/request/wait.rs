// SPDX-License-Identifier: GPL-2.0

//! The caller's side: sleeping until the request ends (`request_wait_answer()`).
//!
//! Three phases. Any signal ends the first: an INTERRUPT tells the server, once it has the request.
//! A caller that is only to be frozen or stopped leaves then as if it were killed, if its call can
//! begin again later. A fatal signal ends the second: a request that no server has read is
//! cancelled. A request that the server has, or has to get, is abandoned, if the operation allows
//! that; otherwise the third phase waits for its end, uninterruptibly.

use super::{
    completion::{
        Completion,
        Ended, //
    },
    outcome::Outcome,
    state::Pending,
    Handle, //
};
use crate::{
    fuse::{
        op::{
            data::OpData,
            OutArgs, //
        },
        trace, //
    },
    vfs::sync::signal::is_current_to_stop, //
};
use kernel::prelude::*;

/// The channel as the waiter uses it.
pub(crate) trait Canceller {
    /// Whether the server does not know INTERRUPT.
    fn no_interrupt(&self) -> bool;

    /// Tells the server that the caller of a sent request got a signal.
    fn interrupt(&self, request: &Handle);

    /// Removes an unread INTERRUPT from its queue.
    fn forget_interrupt(&self, request: &Handle);

    /// Cancels the request and returns it, if no server has read it.
    fn cancel(&self, request: &Handle) -> Option<Pending>;

    /// Ends every request of the connection. Sleeps.
    fn abort(&self);

    /// The waiter of the request runs.
    fn woken(&self, request: &Handle);
}

/// What a caller does on a fatal signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It leaves if the server has not read the request.
    Killable,
    /// As [`Self::Killable`]; it leaves to be frozen or stopped, too, because it may ask again
    /// later.
    Again,
    /// It waits: the request has to reach the server (RELEASE).
    Forced,
    /// It leaves, and the request reaches the server all the same (FLUSH).
    Leaves,
    /// It ends the whole connection (INIT that the mount waits for).
    AbortsConnection,
}

impl Pending {
    /// The right to wait for the end; take it before queueing the token.
    pub(crate) fn waiter(&self) -> Waiter {
        Waiter {
            request: self.share(),
        }
    }
}

/// The right to wait for the end of one request and to take the reply.
pub(crate) struct Waiter {
    request: Handle,
}

impl Waiter {
    /// Sleeps until the request has ended, or the caller is killed while the server has it.
    pub(crate) fn wait(
        self,
        channel: &impl Canceller,
        patience: Patience,
    ) -> Result<Finished, Killed> {
        let request = &self.request;
        let finished = || request.is_finished();

        // Only an interruptible sleep ends to be frozen.
        let forced = channel.no_interrupt() && patience != Patience::Again;
        if forced || request.ended.wait_interruptible(finished).is_err() {
            if !channel.no_interrupt() {
                request.mark_interrupted();
                trace::request_interrupt(&**request);
                if request.is_sent() {
                    channel.interrupt(request);
                }
            }
            if patience == Patience::Forced
                || patience == Patience::Again && is_current_to_stop()
                || request
                    .ended
                    .wait_killable(finished)
                    .inspect_err(|_| trace::request_kill(&**request))
                    .is_err()
            {
                match patience {
                    Patience::Killable | Patience::Again => match channel.cancel(request) {
                        Some(pending) => pending.cancel(),
                        None => return Err(Killed(self)),
                    },
                    Patience::Leaves => return Err(Killed(self)),
                    Patience::Forced => request.ended.wait(finished),
                    Patience::AbortsConnection => {
                        channel.abort();
                        request.ended.wait(finished);
                    }
                }
            }
        }
        Ok(self.done(channel))
    }

    /// The request has ended.
    #[inline]
    fn done(self, channel: &impl Canceller) -> Finished {
        if self.request.is_interrupted() {
            channel.forget_interrupt(&self.request);
        }
        channel.woken(&self.request);
        Finished(self.request)
    }
}

/// The caller was killed, and the server has its request, or is going to get it.
#[must_use = "the request has to be waited for, or abandoned"]
pub(crate) struct Killed(Waiter);

impl Killed {
    /// Sleeps uninterruptibly until the request has ended.
    pub(crate) fn wait(self, channel: &impl Canceller) -> Finished {
        let Self(waiter) = self;
        waiter.request.ended.wait(|| waiter.request.is_finished());
        waiter.done(channel)
    }

    /// Abandons the request: the completion that `complete` makes runs at its end. Returns `self`
    /// if the request has ended already: then `complete` is not called. `complete` runs under the
    /// lock of the body and must not sleep.
    pub(crate) fn abandon(
        self,
        complete: impl FnOnce(Handle) -> KBox<dyn Completion>,
    ) -> Result<(), Self> {
        let request = &self.0.request;
        match request.abandon(|| complete(request.clone())) {
            true => Ok(()),
            false => Err(self),
        }
    }
}

/// A request that has ended, for its waiter.
pub(crate) struct Finished(Handle);

impl Finished {
    /// Reads the reply in place, and returns the lent data. `read` runs under the lock of the
    /// request's body and must not sleep.
    #[inline]
    pub(crate) fn read<D: OpData, R>(
        self,
        read: impl FnOnce(Outcome, &mut OutArgs) -> R,
    ) -> (R, D) {
        Ended::new(&self.0.body).read(|outcome, output| {
            trace::request_wake(&**self.0, outcome.errno());
            read(outcome, output)
        })
    }
}
