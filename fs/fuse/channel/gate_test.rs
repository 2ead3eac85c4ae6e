// SPDX-License-Identifier: GPL-2.0

//! The gate: which requests are counted, wait and are sent.

use super::{
    credits::Credits,
    forget::{
        Forget,
        ForgetTicket, //
    },
    pass::{
        Pass,
        Reaches,
        Slot,
        Turn, //
    },
    transport::{
        Transport,
        Wake, //
    },
    unique::UniqueIds,
    Channel,
    Limits, //
};
use crate::fuse::request::{
    completion::{
        Completion,
        Ended, //
    },
    outcome::Outcome,
    snapshot::Snapshot,
    state::{
        Pending,
        PendingQueue, //
    },
    Handle,
    Request, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
};

const LIMITS: Limits = Limits {
    minor: 46,
    max_write: 4096,
};

impl Reaches for Arc<Channel> {
    fn channel(&self) -> &Channel {
        self
    }
}

/// A transport whose server takes the sent requests when the test says so.
#[pin_data]
struct Line {
    /// The sent requests.
    #[pin]
    sent: SpinLock<PendingQueue>,
    /// Background requests on the transport's own queue.
    #[pin]
    own: SpinLock<PendingQueue>,
}

impl Line {
    /// The oldest request that was sent.
    fn next(&self) -> Option<Pending> {
        self.sent.lock().pop_front()
    }
}

impl Transport for Line {
    fn send_request(&self, request: Pending, ids: &UniqueIds, _wake: Wake) -> Result<(), Pending> {
        request.request().assign_unique(ids.next());
        self.sent.lock().push_back(request);
        Ok(())
    }

    fn queue_background(&self, request: Pending) -> Result<(), Pending> {
        self.own.lock().push_back(request);
        Ok(())
    }

    fn flush_background(&self, ids: &UniqueIds, credits: &mut Credits<'_>) -> PendingQueue {
        let mut own = self.own.lock();
        while !own.is_empty() && credits.take() {
            if let Some(request) = own.pop_front() {
                let _ = self.send_request(request, ids, Wake::Normal);
            }
        }
        PendingQueue::default()
    }

    fn send_forget(&self, _ticket: ForgetTicket, _forget: Forget) {}

    fn send_interrupt(&self, _request: &Handle) {}

    fn cancel_interrupt(&self, _request: &Handle) {}

    fn cancel_request(&self, request: &Handle) -> Option<Pending> {
        self.sent.lock().remove(request)
    }

    fn resend(&self) {}

    fn has_older(&self, _age: u64) -> bool {
        false
    }

    fn look(&self, _seen: &mut Snapshot) {}

    fn set_abort_error(&self, _with_error: bool) {}

    fn abort(&self) {
        let sent = core::mem::take(&mut *self.sent.lock());
        sent.refuse_all(Outcome::Aborted);
    }
}

fn channel() -> Result<(Arc<Channel>, Arc<Line>)> {
    let line = Arc::pin_init(
        pin_init!(Line {
            sent <- new_spinlock!(PendingQueue::default()),
            own <- new_spinlock!(PendingQueue::default()),
        }),
        GFP_KERNEL,
    )?;
    let channel = Arc::pin_init(Channel::new(line.clone()), GFP_KERNEL)?;
    Ok((channel, line))
}

/// Has the slot until the request ends.
struct Holds(#[expect(dead_code, reason = "held for its drop")] Slot<Arc<Channel>>);

impl Completion for Holds {
    fn complete(self: KBox<Self>, _ended: Ended<'_>) {}
}

/// Sends a request in the background.
fn send(channel: &Arc<Channel>) -> Result {
    let turn = Turn::enter(channel, true)?;
    let memory = KBox::<Holds>::new_uninit(GFP_KERNEL)?;
    turn.send(Request::sample()?, |slot| memory.write(Holds(slot)));
    Ok(())
}

#[kernel::macros::kunit_tests(ferrofuse_gate)]
mod tests {
    use super::*;

    /// A pass counts from the gate until it is dropped, whichever task holds it.
    #[test]
    fn a_pass_counts() -> Result {
        let (channel, _line) = channel()?;
        let pass = Pass::enter(&channel, true)?;
        assert_eq!(channel.num_waiting(), 1);
        let owned = pass.into_owned();
        let other = Pass::enter(&channel, true)?;
        assert_eq!(channel.num_waiting(), 2);
        drop(other);
        drop(owned);
        assert_eq!(channel.num_waiting(), 0);
        Ok(())
    }

    /// A caller that the gate turns away is not counted.
    #[test]
    fn who_is_turned_away_is_not_counted() -> Result {
        let (channel, _line) = channel()?;
        channel.abort(false);
        assert_eq!(Pass::enter(&channel, false).err(), Some(ENOTCONN));
        assert_eq!(Turn::enter(&channel, false).err(), Some(ENOTCONN));
        assert_eq!(channel.num_waiting(), 0);
        Ok(())
    }

    /// The pass has what INIT settled.
    #[test]
    fn shut_until_init() -> Result {
        let (channel, _line) = channel()?;
        assert!(channel.is_shut(false) && !channel.is_initialized());
        channel.set_initialized(LIMITS);
        assert!(!channel.is_shut(false) && channel.is_initialized());
        assert_eq!(Pass::enter(&channel, false)?.limits().minor, LIMITS.minor);
        Ok(())
    }

    /// While rings are built, INIT is answered and the gate is shut.
    #[test]
    fn shut_while_rings_are_built() -> Result {
        let (channel, _line) = channel()?;
        let building = channel.set_initialized_building(LIMITS);
        assert!(channel.is_shut(false) && channel.is_initialized());
        assert_eq!(channel.limits().minor, LIMITS.minor);
        drop(building);
        assert!(!channel.is_shut(false));
        Ok(())
    }

    /// An abort opens the gate, even when rings are being built or begin to be.
    #[test]
    fn an_abort_opens() -> Result {
        let (one, _line) = channel()?;
        let building = one.set_initialized_building(LIMITS);
        one.abort(false);
        assert!(!one.is_shut(false));
        drop(building);
        assert!(!one.is_shut(false));

        let (other, _line) = channel()?;
        other.abort(false);
        let building = other.set_initialized_building(LIMITS);
        assert!(!other.is_shut(false));
        drop(building);
        Ok(())
    }

    /// Background requests are sent up to the limit; the next one when one has ended.
    #[test]
    fn slots() -> Result {
        let (channel, line) = channel()?;
        channel.set_initialized(LIMITS);
        channel.set_max_background(2);
        for _ in 0..3 {
            send(&channel)?;
        }
        assert_eq!((channel.num_background(), channel.num_waiting()), (3, 3));
        assert!(channel.is_shut(true) && !channel.is_shut(false));
        let first = line.next().ok_or(EINVAL)?;
        let second = line.next().ok_or(EINVAL)?;
        assert!(line.next().is_none());
        drop(first);
        drop(second);
        assert_eq!((channel.num_background(), channel.num_waiting()), (1, 1));
        drop(line.next().ok_or(EINVAL)?);
        assert!(line.next().is_none());
        assert_eq!((channel.num_background(), channel.num_waiting()), (0, 0));
        assert!(!channel.is_shut(true));
        Ok(())
    }

    /// A turn that is not used does not count in the background.
    #[test]
    fn a_turn_that_is_not_used() -> Result {
        let (channel, _line) = channel()?;
        let turn = Turn::enter(&channel, true)?;
        assert_eq!((channel.num_background(), channel.num_waiting()), (0, 1));
        drop(turn);
        assert_eq!((channel.num_background(), channel.num_waiting()), (0, 0));
        Ok(())
    }

    /// A transport with its own background queue has the same limit, and none after an abort.
    #[test]
    fn the_transport_queues() -> Result {
        let (channel, line) = channel()?;
        channel.set_initialized(LIMITS);
        channel.set_max_background(1);
        channel.let_transport_queue_background();
        for _ in 0..3 {
            send(&channel)?;
        }
        let first = line.next().ok_or(EINVAL)?;
        assert!(line.next().is_none() && !line.own.lock().is_empty());
        drop(first);
        let second = line.next().ok_or(EINVAL)?;
        assert!(line.next().is_none() && !line.own.lock().is_empty());
        assert_eq!(channel.num_background(), 2);
        channel.abort(false);
        assert!(line.own.lock().is_empty());
        drop(second);
        assert_eq!((channel.num_background(), channel.num_waiting()), (0, 0));
        Ok(())
    }
}
