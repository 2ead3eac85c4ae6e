// SPDX-License-Identifier: GPL-2.0

//! One queue for requests of a device: how requests go to it, and come back.
//!
//! A request is given to the device as a list of its own pieces, so nothing is copied. When there is no
//! room it waits, and those that come after it wait behind it. The device gives requests back by an
//! interrupt, upon which the queue's worker checks what it has written, ends them, and gives it those
//! that wait.
//!
//! Locks: that of the `VirtQueue`; below it that of a request's body.

use super::{
    judge::judge,
    late::Late,
    served::Served, //
};
use crate::fuse::{
    channel::{
        unique::UniqueIds,
        Channel, //
    },
    request::{
        outcome::Outcome,
        snapshot::{
            Place,
            Snapshot, //
        },
        state::{
            Given,
            Pending,
            PendingQueue, //
        },
        Handle, //
    }, //
};
use crate::vfs::{
    io::virtqueue::{
        Queue,
        QueueGuard,
        Refused,
        VirtQueue, //
    },
    sync::watchdog::{
        Check,
        Watchdog, //
    },
};
use kernel::{
    prelude::*,
    str::CString,
    sync::Arc, //
};

/// Jiffies until a request is tried again for which there was no memory.
const RETRY_DELAY: kernel::time::Jiffies = 1;

/// What the lock of a queue guards.
pub(super) struct Waiting {
    /// Whether a mount uses it.
    serving: bool,
    /// Requests for which there is no room.
    requests: PendingQueue,
    /// Requests that no queue has room for ever.
    refused: PendingQueue,
}

/// One queue for requests.
struct Core {
    number: u32,
    queue: Arc<VirtQueue<Given, Waiting>>,
    served: Arc<Served>,
    late: Arc<Late>,
}

/// What has become of a request that was to be added.
enum Added {
    /// The device has it.
    Yes,
    /// There is no room.
    Full(Pending),
    /// There will never be.
    Never(Pending),
    /// The queue is closed.
    Closed(Pending),
}

impl Core {
    /// Gives a request to the device.
    fn add(&self, queue: &mut QueueGuard<'_, Given, Waiting>, request: Pending) -> Added {
        let given = match request.give() {
            Ok(given) => given,
            // No device has one that is on its way to one.
            Err(request) => return Added::Never(request),
        };
        let number = self.number;
        let added = queue.add(given, |given| Given::given_to(given, number));
        let (given, make): (_, fn(Pending) -> Added) = match added {
            Ok(()) => return Added::Yes,
            Err(Refused::Full(given)) => (given, Added::Full),
            Err(Refused::TooLarge(given)) => (given, Added::Never),
            Err(Refused::Closed(given)) => (given, Added::Closed),
        };
        given.withdraw().map_or(Added::Yes, make)
    }

    /// Gives those that wait to the device, as far as there is room. Returns whether nothing will tell
    /// when there is more, for want of memory; and whether the device has broken the rules of a queue,
    /// which is not used any more then.
    fn add_waiting(&self) -> (bool, bool) {
        let (refused, again, broken) = {
            let mut queue = self.queue.lock();
            while let Some(request) = queue.state().requests.pop_front() {
                match self.add(&mut queue, request) {
                    Added::Yes => {}
                    Added::Full(request) | Added::Closed(request) => {
                        queue.state().requests.push_front(request);
                        break;
                    }
                    Added::Never(request) => queue.state().refused.push_back(request),
                }
            }
            let again = queue.is_open() && queue.in_flight() == 0;
            let broken = queue.is_broken();
            let state = queue.state();
            (
                core::mem::take(&mut state.refused),
                again && !state.requests.is_empty(),
                broken,
            )
        };
        refused.refuse_all(Outcome::Io);
        (again, broken)
    }

    /// Ends a request that the device has given back, having written `len` bytes.
    fn end(&self, given: Given, len: u32, channel: Option<&Channel>) {
        let Some((replying, header)) = given.take_back(self.number) else {
            return;
        };
        let request = replying.request();
        if let Some(channel) = channel {
            channel.latency().answered(request);
        }
        let (outcome, waits) = judge(request, &header, len);
        if let Some(channel) = channel {
            channel.latency().ending(request);
        }
        match waits {
            true => self.late.end(replying, outcome),
            false => replying.finish(outcome),
        }
    }
}

impl Check for Core {
    fn check(&self) -> bool {
        let channel = self.served.channel();
        self.queue
            .take_all_used(|given, len| self.end(given, len, channel.as_deref()));
        let (again, broken) = self.add_waiting();
        if broken {
            // What it has it will not give back.
            if let Some(channel) = channel {
                channel.abort(false);
            }
        }
        self.served.look();
        again && !broken
    }
}

/// One queue for requests, and its worker.
pub(super) struct RequestQueue {
    number: u32,
    queue: Arc<VirtQueue<Given, Waiting>>,
    worker: Pin<KBox<Watchdog<Core>>>,
}

impl RequestQueue {
    /// A queue that is not open.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(
        number: u32,
        name: CString,
        served: &Arc<Served>,
        late: &Arc<Late>,
    ) -> Result<Self> {
        let waiting = Waiting {
            serving: false,
            requests: PendingQueue::default(),
            refused: PendingQueue::default(),
        };
        let queue = Arc::pin_init(VirtQueue::new(name, waiting), GFP_KERNEL)?;
        let core = Core {
            number,
            queue: queue.clone(),
            served: served.clone(),
            late: late.clone(),
        };
        Ok(Self {
            number,
            queue,
            worker: Watchdog::idle(core, RETRY_DELAY)?,
        })
    }

    /// The queue, for the device.
    pub(super) fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    /// How many pieces a request can have.
    pub(super) fn max_pieces(&self) -> usize {
        self.queue.lock().max_parts()
    }

    /// Its name.
    pub(super) fn name(&self) -> &CStr {
        self.queue.name()
    }

    /// The device is gone: the worker has nothing to do any more, and has ended when this returns.
    pub(super) fn stop_worker(&self) {
        self.worker.stop();
    }

    /// Has the worker look what the device has given back. Called by an interrupt.
    pub(super) fn look(&self) {
        self.worker.look();
    }

    /// A mount uses it from now on; `false` if it is not open.
    pub(super) fn serve(&self) -> bool {
        let mut queue = self.queue.lock();
        let open = queue.is_open();
        queue.state().serving = open;
        open
    }

    /// Nothing is sent any more; those that wait end so.
    pub(super) fn stop(&self, outcome: Outcome) {
        let waiting = {
            let mut queue = self.queue.lock();
            let state = queue.state();
            state.serving = false;
            core::mem::take(&mut state.requests)
        };
        waiting.refuse_all(outcome);
    }

    /// Whether the device has nothing, and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        let mut queue = self.queue.lock();
        queue.in_flight() == 0 && queue.state().requests.is_empty()
    }

    /// Whether the device has something.
    pub(super) fn is_given(&self) -> bool {
        self.queue.lock().in_flight() != 0
    }

    /// Sends a request, or gives it back if no mount uses the queue. Never sleeps.
    pub(super) fn send(&self, request: Pending, ids: &UniqueIds) -> Result<(), Pending> {
        let core = self.worker.check();
        let mut queue = self.queue.lock();
        if !queue.is_open() || !queue.state().serving {
            return Err(request);
        }
        request.request().assign_unique(ids.next());
        // No request is overtaken.
        if !queue.state().requests.is_empty() {
            queue.state().requests.push_back(request);
            return Ok(());
        }
        let look = match core.add(&mut queue, request) {
            Added::Yes => false,
            Added::Full(request) => {
                queue.state().requests.push_back(request);
                // Or the worker finds it when the device gives something back.
                queue.in_flight() == 0
            }
            Added::Never(request) => {
                queue.state().refused.push_back(request);
                true
            }
            Added::Closed(request) => return Err(request),
        };
        drop(queue);
        if look {
            self.worker.look();
        }
        Ok(())
    }

    /// Takes a request back that waits for room.
    pub(super) fn cancel(&self, request: &Handle) -> Option<Pending> {
        self.queue.lock().state().requests.remove(request)
    }

    /// Whether some request was made more than `age` jiffies ago.
    pub(super) fn has_older(&self, age: u64) -> bool {
        let mut queue = self.queue.lock();
        queue.state().requests.has_older(age) || queue.given().any(|request| request.is_older(age))
    }

    /// Notes what waits for room.
    pub(super) fn look_waiting(&self, seen: &mut Snapshot) {
        let mut queue = self.queue.lock();
        queue.state().requests.look(seen, Place::Queue(self.number));
    }

    /// Notes what the device has.
    pub(super) fn look_given(&self, seen: &mut Snapshot) {
        let queue = self.queue.lock();
        for request in queue.given() {
            if !seen.add(request, Place::Queue(self.number)) {
                return;
            }
        }
    }
}
