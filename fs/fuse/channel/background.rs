// SPDX-License-Identifier: GPL-2.0

//! Background requests: how many may be with the server, and which of them wait for a slot.
//!
//! Locks: the queue lives in the channel's background lock, outside the input queue's lock.

use super::{
    credits::Credits,
    transport::{
        Transport,
        Wake, //
    },
    unique::UniqueIds, //
};
use crate::fuse::request::{
    snapshot::{
        Place,
        Snapshot, //
    },
    state::{
        Pending,
        PendingQueue, //
    },
};

/// Background requests that may be outstanding unless the server says otherwise.
pub(crate) const DEFAULT_MAX_BACKGROUND: u32 = 12;

/// The background queue (`bg_queue` and its counters).
pub(crate) struct Background {
    /// Cleared by an abort.
    pub(super) connected: bool,
    /// Maximum of `outstanding`.
    pub(super) max: u32,
    /// Outstanding requests, those queued here included.
    pub(super) outstanding: u32,
    /// Requests passed to the transport.
    active: u32,
    /// Requests that wait for a slot.
    queue: PendingQueue,
    /// Whether the transport may have its own queues for those that wait.
    pub(super) transport_queues: bool,
}

impl Background {
    pub(super) fn new() -> Self {
        Self {
            connected: true,
            max: DEFAULT_MAX_BACKGROUND,
            outstanding: 0,
            active: 0,
            queue: PendingQueue::default(),
            transport_queues: false,
        }
    }

    /// Counts and queues a request. Returns whether the queue is full now.
    pub(super) fn push(&mut self, request: Pending, transport: &dyn Transport) -> bool {
        self.outstanding = self.outstanding.saturating_add(1);
        let left = match self.transport_queues {
            true => transport.queue_background(request),
            false => Err(request),
        };
        if let Err(request) = left {
            self.queue.push_back(request);
        }
        self.outstanding == self.max
    }

    /// Passes the requests that have a slot to the transport; after an abort these are all,
    /// whatever the limit is set to then. Returns the requests that a closed transport refused, for
    /// the caller to end without the lock.
    pub(super) fn flush(&mut self, transport: &dyn Transport, ids: &UniqueIds) -> PendingQueue {
        let mut refused = PendingQueue::default();
        let max = match self.connected {
            true => self.max,
            false => u32::MAX,
        };
        let mut credits = Credits::new(&mut self.active, max);
        while !self.queue.is_empty() && credits.take() {
            let Some(request) = self.queue.pop_front() else {
                break;
            };
            if let Err(request) = transport.send_request(request, ids, Wake::Normal) {
                refused.push_back(request);
            }
        }
        if self.transport_queues {
            refused.append(&mut transport.flush_background(ids, &mut credits));
        }
        refused
    }

    /// Whether the oldest request that waits here was made more than `age` jiffies ago.
    pub(super) fn has_older(&self, age: u64) -> bool {
        self.queue.has_older(age)
    }

    /// Notes the requests that wait here in `seen`.
    pub(super) fn look(&self, seen: &mut Snapshot) {
        seen.begin_unread();
        self.queue.look(seen, Place::Background);
    }

    /// A request has ended.
    pub(super) fn finish(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.active = self.active.saturating_sub(1);
    }
}
