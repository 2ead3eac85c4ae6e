// SPDX-License-Identifier: GPL-2.0

//! How many lookups of a node the server has counted, and the FORGET that pays them back.
//!
//! A server keeps a node for as long as the kernel holds lookups of it. Each successful LOOKUP
//! reply is therefore a debt of one, which ends in exactly one of three ways: it is credited to the
//! inode that was found and paid when that inode is evicted, it is paid at once because no inode
//! took it, or it is written off because the reply was invalid. [`Debt`] is that rule as a type.
//! `dir/lookup.rs` makes debts, and `channel/forget.rs` sends the FORGET.
//!
//! A directory with a submount and the root of that submount are one node, with one lookup of it
//! ([`SharedLookup`]): it is paid when both inodes are gone.
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
    /// The right to send the one FORGET of this inode; `None` once it is sent.
    ticket: Option<ForgetTicket>,
    lookups: u64,
    /// If two inodes stand for the node, the lookup of both.
    shared: Option<Arc<SharedLookup>>,
}

impl LookupCount {
    /// A node without lookups.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory for the FORGET.
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

    /// Notes that two inodes stand for the node, of which this is one.
    pub(super) fn set_shared(&self, shared: Arc<SharedLookup>) {
        let before = self.owed.lock().shared.replace(shared);
        // After the unlock, as in `drop_shared()`.
        drop(before);
    }

    /// The lookup of both inodes, if two stand for the node.
    pub(super) fn shared(&self) -> Option<Arc<SharedLookup>> {
        self.owed.lock().shared.clone()
    }

    /// The inode does not stand for its node any more.
    pub(super) fn drop_shared(&self) {
        let shared = self.owed.lock().shared.take();
        // After the unlock: the drop may send a FORGET.
        drop(shared);
    }

    /// Sends the FORGET for all lookups counted so far.
    ///
    /// Called when the inode is evicted, after which it cannot be looked up. Never blocks.
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
    /// The debt of a reply that names `node`. `ticket` was allocated before the request, and is
    /// missing only if an [`AbandonedLookup`] has taken it over, which then gets the reply, too. It
    /// is taken only if the debt is paid, and otherwise serves the next one.
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

    /// Makes the lookup one of two inodes, which will pay it when both are evicted.
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

/// One lookup that the server has counted of a node with two inodes. Dropping the last reference
/// pays it back with a FORGET.
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

/// A LOOKUP whose caller was killed: a node that it finds is forgotten at once.
pub(crate) struct AbandonedLookup {
    dir: Kept<Fuse>,
    ticket: Option<ForgetTicket>,
    /// The turn in the directory, until the LOOKUP is answered.
    _turn: Option<DirTurn<Kept<Fuse>>>,
}

impl AbandonedLookup {
    /// For a LOOKUP in `dir` that `ticket` was allocated for, and that has `turn`. Does not sleep.
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

impl Abandoned<Result<EntryOut>> for AbandonedLookup {
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

/// Memory for the FORGET that a LOOKUP may make necessary; allocated before it is sent.
///
/// # Errors
///
/// `ENOMEM`.
pub(crate) fn new_ticket() -> Result<ForgetTicket> {
    ForgetTicket::new()
}
