// SPDX-License-Identifier: GPL-2.0

//! The order in which readers are served.

use super::{
    forget::{
        Forget,
        ForgetTicket, //
    },
    input_queue::{
        ForgetRoom,
        InputQueue,
        Work, //
    },
    transport::Wake,
    unique::UniqueIds, //
};
use crate::fuse::{
    abi::NodeId,
    request::Request, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

static IDS: UniqueIds = UniqueIds::new();

fn queue(requests: usize, forgets: usize) -> Result<Arc<InputQueue>> {
    let queue = Arc::pin_init(InputQueue::new(), GFP_KERNEL)?;
    for _ in 0..requests {
        queue
            .push(Request::sample()?, &IDS, Wake::Normal)
            .map_err(|_| ENOTCONN)?;
    }
    for nlookup in 0..forgets as u64 {
        let forget = Forget {
            node: NodeId::ROOT,
            nlookup,
        };
        queue.push_forget(ForgetTicket::new()?, forget);
    }
    Ok(queue)
}

/// One letter for each message that a reader with this room gets, until nothing is left.
fn served(queue: &InputQueue, room: usize) -> Result<KVec<u8>> {
    let mut letters = KVec::new();
    loop {
        match queue.next(&IDS, ForgetRoom { max: room }, true) {
            Ok(Work::Forgets { list, count, .. }) => {
                assert_eq!(list.count(), count);
                letters.push(b'f', GFP_KERNEL)?;
            }
            Ok(Work::Request(_)) => letters.push(b'r', GFP_KERNEL)?,
            Ok(Work::Interrupt(_)) => letters.push(b'i', GFP_KERNEL)?,
            Err(EAGAIN) => return Ok(letters),
            Err(error) => return Err(error),
        }
    }
}

#[kernel::macros::kunit_tests(ferrofuse_input_queue)]
mod tests {
    use super::*;

    /// FORGETs and requests take turns: 8 requests first, then 16 FORGETs.
    #[test]
    fn forgets_and_requests_take_turns() -> Result {
        let letters = served(&*queue(20, 20)?, 1)?;
        assert_eq!(
            &letters[..],
            b"rrrrrrrrffffffffffffffffrrrrrrrrffffrrrr".as_slice()
        );
        Ok(())
    }

    /// FORGETs that are queued together are read together, as many as fit.
    #[test]
    fn forgets_are_batched() -> Result {
        assert_eq!(&served(&*queue(0, 10)?, 4)?[..], b"fff".as_slice());
        assert_eq!(&served(&*queue(0, 10)?, 1)?[..], b"ffffffffff".as_slice());
        Ok(())
    }

    /// Requests are read in the order in which they got their ids.
    #[test]
    fn ids_grow_in_queue_order() -> Result {
        let queue = queue(3, 0)?;
        let mut last = 0;
        while let Ok(Work::Request(request)) = queue.next(&IDS, ForgetRoom { max: 1 }, true) {
            let unique = request.request().unique().get();
            assert!(unique > last && unique % 2 == 0);
            last = unique;
        }
        assert_ne!(last, 0);
        Ok(())
    }

    /// Two queues of one channel never assign the same id.
    #[test]
    fn ids_are_of_the_channel() -> Result {
        let (one, other) = (queue(3, 0)?, queue(3, 1)?);
        let mut last = 0;
        for queue in [one, other] {
            while let Ok(Work::Request(request)) = queue.next(&IDS, ForgetRoom { max: 1 }, true) {
                let unique = request.request().unique().get();
                assert!(unique > last);
                last = unique;
            }
        }
        Ok(())
    }

    /// A closed queue accepts and returns nothing.
    #[test]
    fn closed() -> Result {
        let queue = queue(1, 1)?;
        drop(queue.close());
        assert!(matches!(
            queue.next(&IDS, ForgetRoom { max: 1 }, true),
            Err(ENODEV)
        ));
        assert!(queue.push(Request::sample()?, &IDS, Wake::Normal).is_err());
        Ok(())
    }
}
