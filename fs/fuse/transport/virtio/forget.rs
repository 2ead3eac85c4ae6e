// SPDX-License-Identifier: GPL-2.0

//! The queue for FORGETs: one message each, which the device does not answer.
//!
//! They are listed, which needs no memory, and the queue's worker makes the messages. What the server
//! forgets late does no harm; but no FORGET is lost as long as a mount uses the queue.
//!
//! Locks: that of the `VirtQueue`.

use super::served::Served;
use crate::fuse::{
    abi::{
        header::InHeader,
        node::ForgetIn, //
    },
    channel::forget::{
        Forget,
        ForgetList,
        ForgetTicket, //
    },
    op::Opcode,
    trace, //
};
use crate::vfs::{
    io::virtqueue::{
        Queue,
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
    sync::Arc,
    time::Jiffies, //
};
use zerocopy_derive::{
    Immutable,
    IntoBytes, //
};

/// Jiffies until it is tried again what there was no memory for.
const RETRY_DELAY: Jiffies = 1;

/// A FORGET as the device has it.
#[repr(C)]
#[derive(Clone, Copy, Immutable, IntoBytes)]
struct Message {
    header: InHeader,
    args: ForgetIn,
}

/// What the lock of the queue guards.
pub(super) struct Waiting {
    /// Whether a mount uses it.
    serving: bool,
    forgets: ForgetList,
    /// One for which there was no room, or no memory.
    next: Option<Forget>,
}

/// The queue.
struct Core {
    queue: Arc<VirtQueue<KBox<Message>, Waiting>>,
    served: Arc<Served>,
}

impl Core {
    /// Sends the next. `None` if there is none, or no room for it; `Some(false)` if it has to be tried
    /// again, as nothing will tell when there is memory.
    fn send_next(&self) -> Option<bool> {
        let channel = self.served.channel()?;
        let forget = {
            let mut queue = self.queue.lock();
            let state = queue.state();
            match state.next.take() {
                Some(forget) => forget,
                None => {
                    let (mut first, _) = state.forgets.split_front(1);
                    drop(queue);
                    first.next()?
                }
            }
        };
        let unique = channel.ids().next();
        let message = Message {
            header: InHeader {
                len: size_of::<Message>() as u32,
                opcode: Opcode::Forget as u32,
                unique,
                nodeid: forget.node,
                ..InHeader::default()
            },
            args: ForgetIn {
                nlookup: forget.nlookup,
            },
        };
        let message = KBox::new(message, GFP_KERNEL);
        let mut queue = self.queue.lock();
        let refused = match message {
            Ok(message) => match queue.add(message, |_| ()) {
                Ok(()) => {
                    drop(queue);
                    trace::forget_sent(channel.connection(), unique, 1);
                    return Some(true);
                }
                Err(Refused::Full(message)) => Some(message),
                // No mount uses the device any more, or can.
                Err(Refused::TooLarge(message) | Refused::Closed(message)) => {
                    drop(queue);
                    drop(message);
                    return None;
                }
            },
            Err(_) => None,
        };
        queue.state().next = Some(forget);
        let is_lost = queue.in_flight() == 0;
        drop(queue);
        drop(refused);
        is_lost.then_some(false)
    }
}

impl Check for Core {
    fn check(&self) -> bool {
        // What the device has used is done with.
        self.queue.take_all_used(|message, _| drop(message));
        let again = loop {
            match self.send_next() {
                Some(true) => {}
                Some(false) => break true,
                None => break false,
            }
        };
        // What it has it will not give back.
        let broken = self.queue.lock().is_broken();
        if let Some(channel) = broken.then(|| self.served.channel()).flatten() {
            channel.abort(false);
        }
        self.served.look();
        again && !broken
    }
}

/// The queue for FORGETs, and its worker.
pub(super) struct ForgetQueue {
    queue: Arc<VirtQueue<KBox<Message>, Waiting>>,
    worker: Pin<KBox<Watchdog<Core>>>,
}

impl ForgetQueue {
    /// A queue that is not open.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new(name: CString, served: &Arc<Served>) -> Result<Self> {
        let waiting = Waiting {
            serving: false,
            forgets: ForgetList::default(),
            next: None,
        };
        let queue = Arc::pin_init(VirtQueue::new(name, waiting), GFP_KERNEL)?;
        let core = Core {
            queue: queue.clone(),
            served: served.clone(),
        };
        Ok(Self {
            queue,
            worker: Watchdog::idle(core, RETRY_DELAY)?,
        })
    }

    /// The queue, for the device.
    pub(super) fn queue(&self) -> Arc<dyn Queue> {
        self.queue.clone()
    }

    /// Its name.
    pub(super) fn name(&self) -> &CStr {
        self.queue.name()
    }

    /// The device is gone: the worker has nothing to do any more, and has ended when this returns.
    pub(super) fn stop_worker(&self) {
        self.worker.stop();
    }

    /// Has the worker look what the device has used. Called by an interrupt.
    pub(super) fn look(&self) {
        self.worker.look();
    }

    /// A mount uses it from now on.
    pub(super) fn serve(&self) {
        let mut queue = self.queue.lock();
        queue.state().serving = queue.is_open();
    }

    /// Nothing is sent any more.
    pub(super) fn stop(&self) {
        let forgets = {
            let mut queue = self.queue.lock();
            let state = queue.state();
            state.serving = false;
            state.next = None;
            core::mem::take(&mut state.forgets)
        };
        drop(forgets);
    }

    /// Whether the device has nothing, and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        let mut queue = self.queue.lock();
        let given = queue.in_flight() != 0;
        let state = queue.state();
        !given && state.next.is_none() && state.forgets.is_empty()
    }

    /// Whether the device has something.
    pub(super) fn is_given(&self) -> bool {
        self.queue.lock().in_flight() != 0
    }

    /// Sends a FORGET; drops it if no mount uses the queue. Never sleeps.
    pub(super) fn send(&self, ticket: ForgetTicket, forget: Forget) {
        {
            let mut queue = self.queue.lock();
            let state = queue.state();
            if !state.serving {
                drop(queue);
                return;
            }
            state.forgets.push(ticket, forget);
        }
        self.worker.look();
    }
}
