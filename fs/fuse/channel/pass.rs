// SPDX-License-Identifier: GPL-2.0

//! The right to make one request, from the gate to the request's end.
//!
//! A [`Pass`] counts its request in. Its drop counts the request out: by the caller that has
//! waited, by the completion, or by the code that ends a request whose caller was killed. A
//! background request has a [`Turn`] while it is made, and a [`Slot`] once it is queued.
//!
//! On the walk: taken by `conn/call.rs` before the request is made, because the request depends on
//! what INIT settled. No locks of its own.

use super::{
    Channel,
    Limits, //
};
use crate::{
    fuse::request::{
        completion::Completion,
        state::Pending, //
    },
    vfs::sync::guard::{
        Guard,
        OnDrop, //
    },
};
use kernel::prelude::*;

/// A reference that leads to a channel.
pub(crate) trait Reaches {
    /// The channel.
    fn channel(&self) -> &Channel;
}

impl<C: Reaches> Reaches for &C {
    #[inline]
    fn channel(&self) -> &Channel {
        C::channel(self)
    }
}

/// Counts a request out.
struct CountOut;

impl<C: Reaches> OnDrop<C> for CountOut {
    #[inline]
    fn run(via: C) {
        via.channel().count_out();
    }
}

/// A request, or a caller at the gate, that is counted in; its drop counts it out.
#[must_use = "dropping it counts the request out"]
pub(crate) struct Pass<C: Reaches> {
    via: Guard<C, CountOut>,
    limits: Limits,
}

impl<C: Reaches> Pass<C> {
    /// Counts a request in and, unless it is `forced`, waits until the gate is open.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed, `ENOTCONN`.
    #[inline]
    pub(crate) fn enter(via: C, forced: bool) -> Result<Self> {
        Self::enter_for(via, forced, false)
    }

    #[inline]
    fn enter_for(via: C, forced: bool, background: bool) -> Result<Self> {
        via.channel().count_in();
        let via = Guard::new(via);
        if !forced {
            via.channel().pass_gate(background)?;
        }
        let limits = via.channel().limits();
        Ok(Self { via, limits })
    }

    /// The reference to the channel.
    #[inline]
    pub(crate) fn via(&self) -> &C {
        &self.via
    }

    /// The limits from INIT, as of when the gate was passed.
    #[inline]
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }
}

impl<C: Reaches + Clone> Pass<&C> {
    /// The same pass, in a form that outlives the call.
    pub(crate) fn into_owned(self) -> Pass<C> {
        let Self { via, limits } = self;
        Pass {
            via: Guard::new(via.dismiss().clone()),
            limits,
        }
    }
}

/// Lets the next caller at the gate go instead.
struct PassOn;

impl<C: Reaches> OnDrop<Pass<C>> for PassOn {
    fn run(pass: Pass<C>) {
        pass.via().channel().pass_on();
    }
}

/// The right to queue one background request; its drop passes the right on.
#[must_use = "dropping it passes the turn on"]
pub(crate) struct Turn<C: Reaches>(Guard<Pass<C>, PassOn>);

impl<C: Reaches> Turn<C> {
    /// Counts a background request in and, unless it is `forced`, waits until the gate is open and
    /// a slot is free.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is being killed, `ENOTCONN`.
    pub(crate) fn enter(via: C, forced: bool) -> Result<Self> {
        Pass::enter_for(via, forced, true).map(|pass| Self(Guard::new(pass)))
    }

    /// The pass of the request.
    pub(crate) fn pass(&self) -> &Pass<C> {
        &self.0
    }
}

impl<C: Reaches + Clone> Turn<&C> {
    /// Queues the request. `complete` makes its completion, which owns the slot and runs in any
    /// case; it is called under the lock of the background queue and must not sleep.
    pub(crate) fn send(
        self,
        request: Pending,
        complete: impl FnOnce(Slot<C>) -> KBox<dyn Completion>,
    ) {
        let pass = self.0.dismiss();
        let via = *pass.via();
        via.channel()
            .send_background(request, || complete(Slot(Guard::new(pass.into_owned()))));
    }
}

/// Passes the slot to the next background request.
struct FreeSlot;

impl<C: Reaches> OnDrop<Pass<C>> for FreeSlot {
    fn run(pass: Pass<C>) {
        pass.via().channel().free_slot();
    }
}

/// The slot of a background request that is queued or with the server. Its drop passes the slot to
/// the next request.
#[must_use = "dropping it frees the slot"]
pub(crate) struct Slot<C: Reaches>(Guard<Pass<C>, FreeSlot>);

impl<C: Reaches> Slot<C> {
    /// Frees the slot; the request stays counted.
    pub(crate) fn free(self) -> Pass<C> {
        let pass = self.0.dismiss();
        pass.via().channel().free_slot();
        pass
    }
}
