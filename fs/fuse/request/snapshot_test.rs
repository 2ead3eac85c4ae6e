// SPDX-License-Identifier: GPL-2.0

//! The result of a pass: each request once, where it was seen last, and no more than fit.

use super::{
    snapshot::{
        Place,
        Snapshot,
        BOUND, //
    },
    state::{
        CopySet,
        Pending,
        PendingQueue,
        SentTable, //
    },
    Request, //
};
use crate::fuse::abi::Unique;
use kernel::prelude::*;

fn request(unique: u64) -> Result<Pending> {
    let pending = Request::sample()?;
    pending.request().assign_unique(Unique::new(unique));
    Ok(pending)
}

/// A queue of `count` requests, and another that is passed first.
fn queue(count: usize) -> Result<PendingQueue> {
    let mut queue = PendingQueue::default();
    for i in 0..count {
        queue.push_back(request(2 + 2 * i as u64)?);
    }
    Ok(queue)
}

#[kernel::macros::kunit_tests(ferrofuse_snapshot)]
mod tests {
    use super::*;

    /// Empty queues give an empty snapshot.
    #[test]
    fn empty() -> Result {
        let mut seen = Snapshot::new()?;
        seen.begin_unread();
        queue(0)?.look(&mut seen, Place::Input);
        assert_eq!(seen.sorted().count(), 0);
        assert!(!seen.is_incomplete());
        Ok(())
    }

    /// A request that was seen twice is shown where it was seen last.
    #[test]
    fn moves_on() -> Result {
        let mut seen = Snapshot::new()?;
        let mut queue = queue(3)?;
        let (mut set, mut table) = (CopySet::default(), SentTable::new()?);
        seen.begin_unread();
        queue.look(&mut seen, Place::Input);
        let first = queue.pop_front().ok_or(EINVAL)?;
        let mut copying = first.start(7);
        copying.show(&mut set);
        seen.begin_devices();
        set.look(&mut seen, Place::Device(7));
        table.look(&mut seen, Place::Device(7));
        assert_eq!(seen.sorted().count(), 3);
        let moved = seen.sorted().find(|sight| sight.unique.get() == 2);
        assert!(moved.is_some_and(|sight| sight.place == Place::Device(7)));
        assert!(moved.is_some_and(|sight| sight.state == "copying"));

        assert!(copying.sent(&mut set, &mut table).is_ok());
        set.look(&mut seen, Place::Device(7));
        table.look(&mut seen, Place::Device(7));
        let moved = seen.sorted().find(|sight| sight.unique.get() == 2);
        assert!(moved.is_some_and(|sight| sight.state == "sent"));
        let others = seen.sorted().filter(|sight| sight.place == Place::Input);
        assert_eq!(others.count(), 2);
        table.abort_all();
        Ok(())
    }

    /// A queue that no server has read fills a quarter of the bound; the snapshot is then
    /// incomplete.
    #[test]
    fn bound_of_a_queue() -> Result {
        let mut seen = Snapshot::new()?;
        let queue = queue(BOUND / 4)?;
        seen.begin_unread();
        queue.look(&mut seen, Place::Background);
        assert_eq!(seen.sorted().count(), BOUND / 4);
        assert!(!seen.is_incomplete());
        queue.look(&mut seen, Place::Input);
        assert_eq!(seen.sorted().count(), BOUND / 4);
        assert!(seen.is_incomplete());
        Ok(())
    }

    /// The requests of a device fill the rest, the oldest of each chain first.
    #[test]
    fn bound_of_a_device() -> Result {
        let mut seen = Snapshot::new()?;
        let (mut set, mut table) = (CopySet::default(), SentTable::new()?);
        let count = BOUND + 1;
        for i in 0..count {
            let copying = request(2 + 2 * i as u64)?.start(7);
            assert!(copying.sent(&mut set, &mut table).is_ok());
        }
        seen.begin_devices();
        table.look(&mut seen, Place::Device(0));
        assert_eq!(seen.sorted().count(), BOUND);
        assert!(seen.is_incomplete());
        // The very last request is the missing one.
        let last = 2 * count as u64;
        assert!(seen.sorted().all(|sight| sight.unique.get() < last));
        table.abort_all();
        Ok(())
    }
}
