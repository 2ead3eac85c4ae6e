// SPDX-License-Identifier: GPL-2.0

//! Entries, and the queues that they are on.

use crate::vfs::sync::{
    entry::{
        Entry,
        Owned,
        Pool,
        Pooled,
        Registration,
        Side, //
    },
    queue::{
        Chain,
        Queue, //
    },
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

static POOL: Pool<Number> = Pool::new(c"vfs_queue_test");
/// Number of existing entries.
static ALIVE: Atomic<i32> = Atomic::new(0);

/// An entry that counts itself.
struct Number(i32);

impl Pooled for Number {
    fn pool() -> &'static Pool<Self> {
        &POOL
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Relaxed);
    }
}

fn make(number: i32) -> Result<Owned<Number>> {
    let vacant = Entry::reserve()?;
    ALIVE.fetch_add(1, Relaxed);
    Ok(vacant.fill(Number(number)))
}

fn numbers<'a>(entries: impl Iterator<Item = &'a Entry<Number>>) -> Result<KVec<i32>> {
    let mut numbers = KVec::new();
    for entry in entries {
        numbers.push(entry.0, GFP_KERNEL)?;
    }
    Ok(numbers)
}

/// The pool of [`Number`], made for one test.
fn slab() -> Result<Registration<Number>> {
    // SAFETY: Each test drops it when it has dropped its numbers, and only it reserves any.
    unsafe { Registration::new() }
}

#[kunit_tests(vfs_queue)]
mod tests {
    use crate::vfs::sync::queue_test::*;

    /// What is put back comes first, and can be taken like any other.
    #[cfg(CONFIG_VIRTIO)]
    #[test]
    fn put_back_in_front() -> Result {
        let _slab = slab()?;
        let mut queue = Queue::<Number>::new();
        for number in [3, 2, 1] {
            queue.push_front(make(number)?);
        }
        queue.push_back(make(4)?);
        assert_eq!(*numbers(queue.iter())?, [1, 2, 3, 4]);
        let first = queue.pop_front().ok_or(EINVAL)?;
        let handle = first.share();
        queue.push_front(first);
        assert!(queue.remove(&handle).is_some());
        assert_eq!(*numbers(queue.iter())?, [2, 3, 4]);
        while queue.pop_front().is_some() {}
        drop(handle);
        assert_eq!(ALIVE.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn no_entry_without_a_slab_and_one_slab_only() -> Result {
        assert!(make(0).is_err());
        let made = slab()?;
        assert!(slab().is_err());
        // Unfilled memory is freed.
        drop(Entry::<Number>::reserve()?);
        drop(make(1)?);
        assert_eq!(ALIVE.load(Relaxed), 0);
        drop(made);
        assert!(make(2).is_err());
        Ok(())
    }

    #[test]
    fn the_last_reference_ends_it() -> Result {
        let _slab = slab()?;
        let owned = make(5)?;
        let (one, other) = (owned.share(), owned.share());
        drop(owned);
        drop(one);
        assert_eq!((ALIVE.load(Relaxed), other.0), (1, 5));
        drop(other);
        assert_eq!(ALIVE.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn a_chain_keeps_the_order_and_gives_what_is_looked_for() -> Result {
        let _slab = slab()?;
        let mut chain = Chain::<Number>::new();
        assert!(chain.is_empty() && chain.pop_front().is_none());
        for number in 0..6 {
            chain.push_back(make(number)?);
        }
        // From the middle, the front and the end.
        for number in [2, 0, 5] {
            let taken = chain.take_first(|entry| entry.0 == number).ok_or(ENOENT)?;
            assert_eq!(taken.0, number);
        }
        assert!(chain.take_first(|entry| entry.0 == 2).is_none());
        assert_eq!(*numbers(chain.iter())?, [1, 3, 4]);
        assert_eq!(chain.pop_front().ok_or(ENOENT)?.0, 1);
        chain.push_back(make(7)?);
        assert_eq!(*numbers(chain.iter())?, [3, 4, 7]);
        assert_eq!(ALIVE.load(Relaxed), 3);
        drop(chain);
        assert_eq!(ALIVE.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn only_the_queue_that_it_is_on_gives_an_entry() -> Result {
        let _slab = slab()?;
        let (mut one, mut other) = (Queue::<Number>::new(), Queue::<Number>::new());
        let (first, second) = (make(1)?, make(2)?);
        let (a, b) = (first.share(), second.share());
        assert!(one.remove(&a).is_none());
        one.push_back(first);
        one.push_back(second);
        assert!(other.remove(&a).is_none());
        let first = one.remove(&a).ok_or(ENOENT)?;
        assert!(one.remove(&a).is_none());
        other.push_back(first);
        assert!(one.remove(&a).is_none());
        assert_eq!(*numbers(one.iter())?, [2]);
        assert_eq!(*numbers(other.iter())?, [1]);
        assert_eq!(one.pop_front().ok_or(ENOENT)?.0, 2);
        assert!(one.is_empty() && one.remove(&b).is_none());
        drop(other);
        // It outlives the queue, and is on none.
        assert!(one.remove(&a).is_none());
        drop((a, b));
        assert_eq!(ALIVE.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn by_its_side_an_entry_is_on_one_queue_at_a_time() -> Result {
        let _slab = slab()?;
        let mut main = Queue::<Number>::new();
        let (mut one, mut other) = (Queue::<Number, Side>::new(), Queue::<Number, Side>::new());
        let owned = make(1)?;
        let entry = owned.share();
        main.push_back(owned);
        assert!(one.push_shared(&entry));
        assert!(!one.push_shared(&entry) && !other.push_shared(&entry));
        assert!(other.remove(&entry).is_none());
        // The main link is independent of it.
        drop(main.pop_front().ok_or(ENOENT)?);
        assert_eq!(one.remove(&entry).ok_or(ENOENT)?.0, 1);
        assert!(other.push_shared(&entry) && !one.push_shared(&entry));
        drop(other);
        assert!(one.push_shared(&entry));
        drop(entry);
        assert_eq!(ALIVE.load(Relaxed), 1);
        assert_eq!(one.pop_front().ok_or(ENOENT)?.0, 1);
        assert_eq!(ALIVE.load(Relaxed), 0);
        Ok(())
    }
}
