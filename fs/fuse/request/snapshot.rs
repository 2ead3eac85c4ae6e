// SPDX-License-Identifier: GPL-2.0

//! The requests in flight, collected in one pass over the queues.
//!
//! The pass follows the way of a request (background queue, input queue, devices), so that a
//! request that moves meanwhile is seen twice rather than missed; [`Snapshot::sorted`] keeps the
//! later sight. Each queue is locked only while its own requests are noted. Their number is
//! bounded, as is the memory, which is allocated before the first lock is taken.
//!
//! Neighbours: the channel and the transport call the containers of [`state`](super::state), which
//! add their requests. No locks here.

use super::{
    phase::Phase,
    Request, //
};
use crate::fuse::{
    abi::{
        NodeId,
        Unique, //
    },
    op::Opcode, //
};
use crate::vfs::sync::entry::Entry;
use core::cell::Cell;
use kernel::prelude::*;

/// Maximum number of shown requests.
pub(crate) const BOUND: usize = 1024;

/// Maximum number from each of the two queues that no server has read; the devices get the rest.
const UNREAD: usize = BOUND / 4;

/// Where a request is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the background queue.
    Background,
    /// On the input queue.
    Input,
    /// With this device of the connection.
    Device(u32),
    /// With this queue of its ring.
    Ring(u16),
    /// In this entry of this queue of its ring.
    RingEntry(u16, u32),
    /// With, or waiting for, this queue of the device that serves it.
    #[cfg(CONFIG_VIRTIO)]
    Queue(u32),
}

/// One request as the pass found it.
#[derive(Clone, Copy)]
pub(crate) struct Sight {
    /// Its id; 0 until it has one.
    pub(crate) unique: Unique,
    /// Its operation.
    pub(crate) opcode: Opcode,
    /// Its node.
    pub(crate) node: NodeId,
    /// The calling thread, as the server sees it.
    pub(crate) pid: u32,
    /// Its token.
    pub(crate) state: &'static str,
    /// Where it was.
    pub(crate) place: Place,
    /// Milliseconds since it was made.
    pub(crate) age: u64,
    /// Whether its caller got a signal.
    pub(crate) interrupted: bool,
    /// Length of the message to the server, header included.
    pub(crate) len: usize,
    /// Distinguishes the request from others that were seen.
    address: usize,
}

impl Sight {
    fn of(request: &Request, place: Place) -> Option<Self> {
        let state = match request.phase() {
            Phase::Pending => "pending",
            Phase::Copying => "copying",
            Phase::Sent => "sent",
            Phase::Replying => "replying",
            Phase::Given => "given",
            Phase::Finished => return None,
        };
        Some(Self {
            unique: request.unique(),
            opcode: request.opcode,
            node: request.nodeid,
            pid: request.pid,
            state,
            place,
            age: request.created.elapsed_ms(),
            interrupted: request.is_interrupted(),
            len: request.len(),
            address: core::ptr::from_ref(request).addr(),
        })
    }
}

/// The result of a pass.
pub(crate) struct Snapshot {
    sights: KVVec<Sight>,
    /// Scratch for `sorted`: the order of the sights, and which of them count.
    order: KVVec<(u64, usize)>,
    /// Maximum length of `sights` for the current queue.
    limit: usize,
    incomplete: bool,
}

impl Snapshot {
    /// Allocates memory for the maximum.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            sights: KVVec::with_capacity(BOUND, GFP_KERNEL)?,
            order: KVVec::with_capacity(BOUND, GFP_KERNEL)?,
            limit: 0,
            incomplete: false,
        })
    }

    /// The next requests are from a queue that no server has read.
    pub(crate) fn begin_unread(&mut self) {
        self.limit = self.sights.len().saturating_add(UNREAD).min(BOUND);
    }

    /// The next requests are from the devices.
    pub(crate) fn begin_devices(&mut self) {
        self.limit = BOUND;
    }

    /// Number of requests that still fit.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.sights.len())
    }

    /// Notes a request; `false` if it does not fit. Does not allocate.
    pub(crate) fn add(&mut self, request: &Request, place: Place) -> bool {
        if self.room() == 0 {
            self.incomplete = true;
            return false;
        }
        // A request that has just ended is not in flight.
        if let Some(sight) = Sight::of(request, place) {
            self.incomplete |= self.sights.push_within_capacity(sight).is_err();
        }
        true
    }

    /// Notes as many of these as fit.
    pub(super) fn add_all<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a Entry<Request>>,
        place: Place,
    ) {
        for request in requests {
            if !self.add(request, place) {
                return;
            }
        }
    }

    /// Whether some requests did not fit.
    pub(crate) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// The requests, each once, the oldest first.
    pub(crate) fn sorted(&mut self) -> impl Iterator<Item = &Sight> {
        let Self { sights, order, .. } = self;
        order.clear();
        for (at, sight) in sights.iter().enumerate() {
            // The capacity equals the number of sights.
            let _ = order.push_within_capacity((sight.address as u64, at));
        }
        sort(order);
        // Of the sights of one request only the last counts, and it comes last here.
        let mut kept = 0;
        for i in 0..order.len() {
            let next = order.get(i + 1).map(|(address, _)| *address);
            match (order.get(i).copied(), next) {
                (Some((address, _)), Some(same)) if same == address => (),
                (Some((_, at)), _) => {
                    let age = sights.get(at).map_or(0, |sight| sight.age);
                    if let Some(place) = order.get_mut(kept) {
                        *place = (u64::MAX - age, at);
                    }
                    kept += 1;
                }
                (None, _) => (),
            }
        }
        order.truncate(kept);
        sort(order);
        let sights = &*sights;
        order.iter().filter_map(|&(_, at)| sights.get(at))
    }
}

/// Sorts (Shell sort: the sort functions of `core` may panic).
fn sort(order: &mut [(u64, usize)]) {
    let order = Cell::from_mut(order).as_slice_of_cells();
    for gap in [701, 301, 132, 57, 23, 10, 4, 1] {
        for end in gap..order.len() {
            let mut at = end;
            while let Some(before) = at.checked_sub(gap) {
                match (order.get(before), order.get(at)) {
                    (Some(low), Some(high)) if low.get() > high.get() => low.swap(high),
                    _ => break,
                }
                at = before;
            }
        }
    }
}
