// SPDX-License-Identifier: GPL-2.0

//! The ranges of a window.
//!
//! A [`Range`] is owned, and can neither be copied nor made by another than the [`Pool`]. A caller
//! that maps it gives it to a `Tree`. When it leaves the tree it is a [`Leaving`], which becomes a
//! `Range` again only by the server's answer that it is unmapped. Without such an answer the server
//! may still show a file there, so the pool gives the range to no file any more: that costs a part
//! of the window, where C would show one file's bytes as another's.
//!
//! A [`Use`] counts one access to a mapped range, which stays mapped meanwhile.
//!
//! Locks: the state's, a spinlock and a leaf.

use super::{
    LEN,
    SHIFT, //
};
use crate::{
    fuse::abi::file::RemovemappingOne,
    vfs::sync::wait::{
        new_wait_queue,
        WaitQueue, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::RBTreeNodeReservation,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        SpinLock, //
    },
};

/// Percentage of the ranges that should be free (`FUSE_DAX_RECLAIM_THRESHOLD`).
const FREE_PERCENT: usize = 20;

/// What a tree has of a mapped range.
pub(super) struct Mapping {
    pub(super) number: u32,
    pub(super) writable: bool,
}

/// A range that the server has not mapped, with the memory for its place in a tree.
pub(super) struct Range {
    number: u32,
    node: RBTreeNodeReservation<u64, Mapping>,
}

impl Range {
    /// Where it begins in the window, in bytes.
    pub(super) fn offset(&self) -> u64 {
        offset(self.number)
    }

    /// Its number, and the memory for its place.
    pub(super) fn into_parts(self) -> (u32, RBTreeNodeReservation<u64, Mapping>) {
        (self.number, self.node)
    }
}

/// A range that no file has any more, but which the server may still have mapped.
#[must_use]
pub(super) struct Leaving(Range);

impl Leaving {
    /// Range `number`, whose place in a tree was `node`.
    pub(super) fn new(number: u32, node: RBTreeNodeReservation<u64, Mapping>) -> Self {
        Self(Range { number, node })
    }

    /// How REMOVEMAPPING names it.
    pub(super) fn named(&self) -> RemovemappingOne {
        RemovemappingOne {
            moffset: self.0.offset(),
            len: LEN,
        }
    }

    /// The range, if the server has answered that it is unmapped; otherwise `pool` loses it.
    ///
    /// # Errors
    ///
    /// `answer`.
    pub(super) fn removed<O>(self, answer: Result, pool: &Pool<O>) -> Result<Range> {
        match answer {
            Ok(()) => Ok(self.0),
            Err(error) => {
                pool.lose(self.0);
                Err(error)
            }
        }
    }
}

/// Where range `number` begins in the window, in bytes.
fn offset(number: u32) -> u64 {
    u64::from(number) << SHIFT
}

/// An access to a mapped range, until this is dropped.
pub(super) struct Use<'a> {
    users: &'a Atomic<u32>,
    number: u32,
}

impl Use<'_> {
    /// Where the range begins in the window, in bytes.
    pub(super) fn offset(&self) -> u64 {
        offset(self.number)
    }
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        // What the access did comes before the range leaves.
        self.users.fetch_sub(1, Release);
    }
}

/// A mapped range's file, as the pool names it, and the number of the part that it maps.
type Owner<O> = Option<(O, u64)>;

struct State<O> {
    /// Has room for all.
    free: KVVec<Range>,
    /// By number.
    owners: KVVec<Owner<O>>,
    /// Where [`Pool::next_idle`] goes on.
    hand: usize,
    /// How many are lost.
    lost: usize,
}

/// The ranges of one window. `O` names a file.
#[pin_data]
pub(super) struct Pool<O> {
    /// How many accesses each range has now, by number.
    users: KVVec<Atomic<u32>>,
    #[pin]
    state: SpinLock<State<O>>,
    /// Where callers wait for a free range.
    #[pin]
    freed: WaitQueue,
}

impl<O> Pool<O> {
    /// The ranges of a window of `len` bytes. A part at its end that is too short for a range is
    /// not used.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it has not even one range, `EINVAL` if more than can be numbered, `ENOMEM`.
    pub(super) fn new(len: u64) -> Result<impl PinInit<Self>> {
        let count = u32::try_from(len >> SHIFT)?;
        if count == 0 {
            return Err(ENODEV);
        }
        let mut users = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        let mut free = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        let mut owners = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        // From the end, which is taken first.
        for number in (0..count).rev() {
            let node = RBTreeNodeReservation::new(GFP_KERNEL)?;
            users.push(Atomic::new(0), GFP_KERNEL)?;
            free.push(Range { number, node }, GFP_KERNEL)?;
            owners.push(None, GFP_KERNEL)?;
        }
        let state = State {
            free,
            owners,
            hand: 0,
            lost: 0,
        };
        Ok(pin_init!(Self {
            users,
            state <- new_spinlock!(state, "dax::Pool::state"),
            freed <- new_wait_queue!("dax::Pool::freed"),
        }))
    }

    /// A free range, if there is one.
    pub(super) fn take(&self) -> Option<Range> {
        self.state.lock().free.pop()
    }

    /// A free range. Waits for one; the caller must not hold what a reclaim needs. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINTR` if the caller is killed; `EIO` if all ranges are lost.
    pub(super) fn wait(&self) -> Result<Range> {
        let mut found = Err(EINTR);
        // `found` says whether it was killed.
        let _ = self.freed.wait_killable_exclusive(|| {
            let mut state = self.state.lock();
            found = match state.free.pop() {
                Some(range) => Ok(range),
                None if state.lost == state.owners.len() => Err(EIO),
                None => return false,
            };
            true
        });
        found
    }

    /// Takes a range back.
    pub(super) fn give(&self, range: Range) {
        let kept = self.state.lock().free.push_within_capacity(range);
        // There is room for all; a range that is not of this pool is dropped without the lock.
        drop(kept);
        self.freed.wake_up();
    }

    /// The server may have this range mapped for ever.
    pub(super) fn lose(&self, range: Range) {
        {
            let mut state = self.state.lock();
            state.lost = state.lost.saturating_add(1);
        }
        drop(range);
        // If it was the last one, all of them have to know.
        self.freed.wake_up_all();
    }

    /// Whether so few are free that others should leave their files.
    pub(super) fn is_low(&self) -> bool {
        let state = self.state.lock();
        let usable = state.owners.len().saturating_sub(state.lost);
        state.free.len() < (usable * FREE_PERCENT / 100).max(1)
    }

    /// How many ranges are lost.
    pub(super) fn lost(&self) -> usize {
        self.state.lock().lost
    }

    /// Range `number` maps a part of a file from now on.
    pub(super) fn enter(&self, number: u32, owner: O, part: u64) {
        self.own(number, Some((owner, part)));
    }

    /// Range `number` does not any more.
    pub(super) fn leave(&self, number: u32) {
        self.own(number, None);
    }

    fn own(&self, number: u32, owner: Owner<O>) {
        let mut state = self.state.lock();
        let slot = state.owners.get_mut(number as usize);
        let old = slot.map(|slot| core::mem::replace(slot, owner));
        drop(state);
        // Without the lock.
        drop(old);
    }

    /// Counts an access to range `number`, which must not leave meanwhile: the caller has the tree
    /// that it is in. `None` if there is no such range.
    pub(super) fn hold(&self, number: u32) -> Option<Use<'_>> {
        let users = self.users.get(number as usize)?;
        users.fetch_add(1, Relaxed);
        Some(Use { users, number })
    }

    /// Whether range `number` has no access now. New ones begin only with the tree, so this stays
    /// true for a caller that has the tree exclusively.
    pub(super) fn is_idle(&self, number: u32) -> bool {
        let users = self.users.get(number as usize);
        users.is_some_and(|users| users.load(Acquire) == 0)
    }

    /// The next mapped range that has no access now, in turn: its file and the part. It may be
    /// another range's by the time the caller has the file's tree.
    pub(super) fn next_idle(&self) -> Option<(O, u64)>
    where
        O: Copy,
    {
        let mut state = self.state.lock();
        let count = u32::try_from(state.owners.len()).ok()?;
        for _ in 0..count {
            let number = u32::try_from(state.hand).ok()?;
            state.hand = if number + 1 < count {
                state.hand + 1
            } else {
                0
            };
            if let Some(owner) = state.owners.get(number as usize).copied().flatten() {
                if self.is_idle(number) {
                    return Some(owner);
                }
            }
        }
        None
    }
}

#[kunit_tests(ferrofuse_dax_ranges)]
mod tests {
    use super::*;
    use kernel::sync::Arc;

    fn pool(count: u64) -> Result<Arc<Pool<u64>>> {
        Arc::pin_init(Pool::new(count * LEN)?, GFP_KERNEL)
    }

    fn mapped(pool: &Pool<u64>, owner: u64, part: u64) -> Result<u32> {
        let (number, node) = pool.take().ok_or(ENOSPC)?.into_parts();
        drop(node);
        pool.enter(number, owner, part);
        Ok(number)
    }

    #[test]
    fn a_window_is_cut_into_whole_ranges() -> Result {
        assert_eq!(Pool::<u64>::new(0).err(), Some(ENODEV));
        assert_eq!(Pool::<u64>::new(LEN - 1).err(), Some(ENODEV));
        assert_eq!(Pool::<u64>::new(u64::MAX).err(), Some(EINVAL));
        let pool = Arc::pin_init(Pool::<u64>::new(3 * LEN - 1)?, GFP_KERNEL)?;
        assert_eq!(pool.take().map(|range| range.offset()), Some(0));
        assert_eq!(pool.take().map(|range| range.offset()), Some(LEN));
        assert!(pool.take().is_none());
        Ok(())
    }

    #[test]
    fn a_range_comes_back_only_by_an_answer() -> Result {
        let pool = pool(2)?;
        for answer in [Ok(()), Err(ENOTCONN)] {
            let (number, node) = pool.take().ok_or(ENOSPC)?.into_parts();
            let leaving = Leaving::new(number, node);
            assert_eq!(leaving.named().moffset, 0);
            assert_eq!(leaving.named().len, LEN);
            let range = leaving.removed(answer, &pool);
            assert_eq!(range.as_ref().err().copied(), answer.err());
            if let Ok(range) = range {
                pool.give(range);
            }
        }
        assert_eq!(pool.lost(), 1);
        assert_eq!(pool.take().map(|range| range.offset()), Some(LEN));
        assert!(pool.take().is_none());
        Ok(())
    }

    #[test]
    fn a_wait_for_ranges_that_are_lost_ends() -> Result {
        let pool = pool(1)?;
        let range = pool.wait()?;
        pool.give(range);
        pool.lose(pool.wait()?);
        assert_eq!(pool.wait().err(), Some(EIO));
        Ok(())
    }

    #[test]
    fn a_fifth_of_the_ranges_should_be_free() -> Result {
        for (count, at_least) in [(1, 1), (4, 1), (9, 1), (10, 2), (512, 102)] {
            let pool = pool(count)?;
            let mut free = count;
            while !pool.is_low() {
                drop(pool.take().ok_or(ENOSPC)?);
                free -= 1;
            }
            assert_eq!(free, at_least - 1);
        }
        Ok(())
    }

    #[test]
    fn ranges_in_use_are_passed_over_and_others_take_turns() -> Result {
        let pool = pool(4)?;
        assert_eq!(pool.next_idle(), None);
        let first = mapped(&pool, 10, 0)?;
        let second = mapped(&pool, 10, 7)?;
        mapped(&pool, 11, 0)?;
        let access = pool.hold(first).ok_or(EIO)?;
        assert_eq!(access.offset(), 0);
        assert!(!pool.is_idle(first));
        for expected in [(10, 7), (11, 0), (10, 7)] {
            assert_eq!(pool.next_idle(), Some(expected));
        }
        drop(access);
        pool.leave(second);
        for expected in [(11, 0), (10, 0), (11, 0)] {
            assert_eq!(pool.next_idle(), Some(expected));
        }
        assert!(pool.hold(4).is_none());
        assert!(!pool.is_idle(4));
        Ok(())
    }
}
