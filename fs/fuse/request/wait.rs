// SPDX-License-Identifier: GPL-2.0

//! The caller's side: sleeping until the request ends (`request_wait_answer()`).
//!
//! Three phases. Any signal ends the first: the server is told by an INTERRUPT, once it has the
//! request. A fatal signal ends the second: a request that no server has read is taken back. One
//! that the server has is abandoned, if the operation allows that; else the third phase waits for
//! its end, whatever comes.

use super::{
    completion::{
        Completion,
        Ended, //
    },
    outcome::Outcome,
    state::Pending,
    Handle, //
};
use crate::fuse::{
    op::{
        data::OpData,
        OutArgs, //
    },
    trace, //
};
use kernel::prelude::*;

/// What the waiter needs of the channel.
pub(crate) trait Canceller {
    /// Whether the server does not know INTERRUPT.
    fn no_interrupt(&self) -> bool;

    /// Tells the server that the caller of a sent request got a signal.
    fn interrupt(&self, request: &Handle);

    /// Takes an INTERRUPT that was not read yet off its queue.
    fn forget_interrupt(&self, request: &Handle);

    /// Takes the request back, if no server has read it.
    fn cancel(&self, request: &Handle) -> Option<Pending>;

    /// Ends every request of the connection. Sleeps.
    fn abort(&self);

    /// Who waited for the request runs.
    fn woken(&self, request: &Handle);
}

/// How a caller meets a fatal signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It leaves if the server has not read the request.
    Killable,
    /// It waits: the request has to reach the server (FLUSH, RELEASE).
    Forced,
    /// It ends the whole connection (INIT that the mount waits for).
    AbortsConnection,
}

impl Pending {
    /// The right to wait for the end; take it before the token is queued.
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

        if channel.no_interrupt() || request.ended.wait_interruptible(finished).is_err() {
            if !channel.no_interrupt() {
                request.mark_interrupted();
                trace::request_interrupt(&**request);
                if request.is_sent() {
                    channel.interrupt(request);
                }
            }
            if patience == Patience::Forced
                || request
                    .ended
                    .wait_killable(finished)
                    .inspect_err(|_| trace::request_kill(&**request))
                    .is_err()
            {
                match patience {
                    Patience::Killable => match channel.cancel(request) {
                        Some(pending) => pending.cancel(),
                        None => return Err(Killed(self)),
                    },
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

/// The caller was killed, and the server has its request.
#[must_use = "the request has to be waited for, or abandoned"]
pub(crate) struct Killed(Waiter);

impl Killed {
    /// Sleeps until the request has ended, whatever comes.
    pub(crate) fn wait(self, channel: &impl Canceller) -> Finished {
        let Self(waiter) = self;
        waiter.request.ended.wait(|| waiter.request.is_finished());
        waiter.done(channel)
    }

    /// Abandons the request: the completion that `complete` makes is told of its end. It comes back
    /// if the request has ended already: then `complete` is not called. That runs under the lock of
    /// the body, and must not sleep.
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

/// A request that has ended, in the hands of who waited for that.
pub(crate) struct Finished(Handle);

impl Finished {
    /// Reads the reply where it is, and gives back what was lent. `read` runs under the lock of the
    /// request's body, and must not sleep.
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
