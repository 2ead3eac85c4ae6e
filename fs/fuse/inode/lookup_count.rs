// SPDX-License-Identifier: GPL-2.0

//! How many lookups of a node the server has counted, and the FORGET that pays them back.
//!
//! A server keeps a node for as long as the kernel holds lookups of it. Each successful LOOKUP
//! reply is therefore a debt of one, which ends in exactly one of three ways: it is credited to
//! the inode that was found and paid when that inode is evicted, it is paid at once because no
//! inode took it, or it is written off because the reply was not a valid one. [`Debt`] is that
//! rule as a type; it is left of the walk's `dir/lookup.rs` and right of `channel/forget.rs`.
//!
//! A directory on which a submount stands and the root of that are one node, and one lookup of it
//! ([`SharedLookup`]): it is paid when both are gone.
//!
//! Takes the lock of one [`LookupCount`], with no other lock taken inside it. The memory of the
//! FORGET is allocated before the debt is made, so paying cannot fail.

use super::dirops::DirTurn;
use crate::{
    fuse::{
        abi::{
            attr::EntryOut,
            NodeId, //
        },
        channel::{
            forget::{
                Forget,
                ForgetTicket, //
            },
            Channel, //
        },
        conn::{
            call::Abandoned,
            mount::Mount, //
        },
        Fuse, //
    },
    vfs::{
        node::inode::{
            INode,
            Kept, //
        },
        sync::guard::{
            Guard,
            OnDrop, //
        },
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    }, //
};

/// The lookups that the server has counted of one node.
#[pin_data]
pub(crate) struct LookupCount {
    #[pin]
    owed: SpinLock<Owed>,
}

struct Owed {
    /// The right to send the one FORGET of this inode; gone once it is sent.
    ticket: Option<ForgetTicket>,
    lookups: u64,
    /// If the node stands in two places, the lookup of both.
    shared: Option<Arc<SharedLookup>>,
}

impl LookupCount {
    /// No lookups yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory for the FORGET that will be owed.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            owed <- new_spinlock!(Owed {
                ticket: Some(ForgetTicket::new()?),
                lookups: 0,
                shared: None,
            }),
        })
    }

    fn add_one(&self) {
        let mut owed = self.owed.lock();
        owed.lookups = owed.lookups.saturating_add(1);
    }

    /// The inode stands in one of two places for its node.
    pub(super) fn set_shared(&self, shared: Arc<SharedLookup>) {
        let before = self.owed.lock().shared.replace(shared);
        // Without the lock, as in `drop_shared()`.
        drop(before);
    }

    /// The lookup of both places, if the node stands in two.
    pub(super) fn shared(&self) -> Option<Arc<SharedLookup>> {
        self.owed.lock().shared.clone()
    }

    /// The inode does not stand for its node any more.
    pub(super) fn drop_shared(&self) {
        let shared = self.owed.lock().shared.take();
        // Without the lock: it may send a FORGET.
        drop(shared);
    }

    /// Sends the FORGET for all lookups counted so far.
    ///
    /// Called when the inode is evicted, after which nobody can look it up. Never blocks.
    pub(crate) fn forget(&self, mount: &Mount, node: NodeId) {
        let (ticket, lookups) = {
            let mut owed = self.owed.lock();
            if owed.lookups == 0 {
                return;
            }
            let lookups = core::mem::take(&mut owed.lookups);
            (owed.ticket.take(), lookups)
        };
        if let Some(ticket) = ticket {
            mount.forget(ticket, node, lookups);
        }
    }
}

/// One lookup that the server has counted.
struct Lookup<'a> {
    mount: &'a Mount,
    node: NodeId,
    ticket: &'a mut Option<ForgetTicket>,
}

/// Pays a lookup back with a FORGET.
struct PayBack;

impl OnDrop<Lookup<'_>> for PayBack {
    fn run(lookup: Lookup<'_>) {
        if let Some(ticket) = lookup.ticket.take() {
            lookup.mount.forget(ticket, lookup.node, 1);
        }
    }
}

/// One lookup that the server has counted and that no inode has taken yet.
///
/// Dropping it pays it back with a FORGET.
#[must_use]
pub(crate) struct Debt<'a>(Guard<Lookup<'a>, PayBack>);

impl<'a> Debt<'a> {
    /// The debt that a reply naming `node` makes; `ticket` was allocated before the request, and is
    /// missing only if an [`AbandonedLookup`] has taken it over, which then gets the reply, too.
    /// It is taken only if the debt is paid, and else serves the next one.
    pub(crate) fn new(
        mount: &'a Mount,
        node: NodeId,
        ticket: &'a mut Option<ForgetTicket>,
    ) -> Self {
        Self(Guard::new(Lookup {
            mount,
            node,
            ticket,
        }))
    }

    /// Credits the lookup to the inode of the node, which will pay it when it is evicted.
    pub(crate) fn credit(self, count: &LookupCount) {
        count.add_one();
        self.write_off();
    }

    /// Makes the lookup one for two inodes, which will pay it when both are evicted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; the debt is then paid at once.
    pub(super) fn share(self) -> Result<Arc<SharedLookup>> {
        let lookup = self.0.dismiss();
        let shared = SharedLookup {
            channel: lookup.mount.conn().channel().clone(),
            node: lookup.node,
            ticket: lookup.ticket.take(),
        };
        Ok(Arc::new(shared, GFP_KERNEL_ACCOUNT)?)
    }

    /// Drops the debt unpaid: the reply did not describe a node, so nothing was looked up.
    pub(crate) fn write_off(self) {
        self.0.dismiss();
    }
}

/// One lookup that the server has counted of a node that stands in two places. Dropping the last
/// reference pays it back with a FORGET.
pub(super) struct SharedLookup {
    channel: Arc<Channel>,
    node: NodeId,
    ticket: Option<ForgetTicket>,
}

impl Drop for SharedLookup {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let node = self.node;
            self.channel.forget(ticket, Forget { node, nlookup: 1 });
        }
    }
}

/// A LOOKUP whose caller was killed: what it finds is given back at once.
pub(crate) struct AbandonedLookup {
    dir: Kept<Fuse>,
    ticket: Option<ForgetTicket>,
    /// The directory is the LOOKUP's until it is answered.
    _turn: Option<DirTurn<Kept<Fuse>>>,
}

impl AbandonedLookup {
    /// Of a LOOKUP in `dir` that `ticket` was allocated for, and whose turn it was. Does not sleep.
    pub(crate) fn new(
        dir: &INode<Fuse>,
        ticket: &mut Option<ForgetTicket>,
        turn: Option<DirTurn<&INode<Fuse>>>,
    ) -> Self {
        Self {
            dir: dir.into(),
            ticket: ticket.take(),
            _turn: turn.map(DirTurn::keep),
        }
    }
}

impl Abandoned<EntryOut> for AbandonedLookup {
    fn answered(self, result: Result<EntryOut>) {
        match result {
            Ok(reply) if reply.nodeid != NodeId::NONE => {
                let mut ticket = self.ticket;
                drop(Debt::new(Mount::of(&self.dir), reply.nodeid, &mut ticket));
            }
            _ => {}
        }
    }
}

/// Memory for the FORGET that a LOOKUP may make necessary; taken before it is sent.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn new_ticket() -> Result<ForgetTicket> {
    ForgetTicket::new()
}
