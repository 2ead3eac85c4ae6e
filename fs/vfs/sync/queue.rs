// SPDX-License-Identifier: GPL-2.0

//! Intrusive queues whose items can be removed from the middle, safely.
//!
//! `kernel::list::List::remove` is unsafe because an item may be on another list. Here every item
//! carries the number of the queue it is on, so that asking the wrong queue is a `None`.

use core::{
    mem::MaybeUninit,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::{AllocError, Flags},
    list::{
        AtomicTracker,
        List,
        ListArc,
        ListLinks,
        TryNewListArc, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, UniqueArc,
    },
};

/// Link of an [`Entry`] that passes from queue to queue with the entry's ownership.
pub(crate) const MAIN: u64 = 0;
/// Second link, for a queue that lists entries which are owned elsewhere.
pub(crate) const SIDE: u64 = 1;

/// A shared value that can be on one [`Queue`] by each of its two links.
///
/// # Invariants
///
/// `on_main` (`on_side`) is the number of the queue that this entry is on by its main (side)
/// link, or 0. Only [`Queue`] changes them.
#[pin_data]
pub(crate) struct Entry<T> {
    #[pin]
    main: ListLinks<MAIN>,
    #[pin]
    side: ListLinks<SIDE>,
    #[pin]
    side_tracker: AtomicTracker<SIDE>,
    on_main: Atomic<u64>,
    on_side: Atomic<u64>,
    #[pin]
    value: T,
}

kernel::list::impl_list_arc_safe! {
    impl{T} ListArcSafe<0> for Entry<T> {
        untracked;
    }
    impl{T} ListArcSafe<1> for Entry<T> {
        tracked_by side_tracker: AtomicTracker<1>;
    }
}
kernel::list::impl_list_item! {
    impl{T} ListItem<0> for Entry<T> {
        using ListLinks { self.main };
    }
    impl{T} ListItem<1> for Entry<T> {
        using ListLinks { self.side };
    }
}

impl<T> Entry<T> {
    /// Allocates memory for an entry, to be filled without another way to fail.
    ///
    /// # Errors
    ///
    /// `AllocError` if there is no memory.
    pub(crate) fn reserve(flags: Flags) -> Result<Vacant<T>, AllocError> {
        Ok(Vacant(UniqueArc::new_uninit(flags)?))
    }
}

/// Memory for an [`Entry`].
pub(crate) struct Vacant<T>(UniqueArc<MaybeUninit<Entry<T>>>);

impl<T> Vacant<T> {
    /// Makes the entry. The returned `ListArc` is the right to put it on queues by its main link;
    /// further references come from `clone_arc`.
    pub(crate) fn fill(self, value: impl PinInit<T>) -> ListArc<Entry<T>, MAIN> {
        // INVARIANT: A new entry is on no queue.
        let filled = self.0.pin_init_with(pin_init!(Entry {
            main <- ListLinks::new(),
            side <- ListLinks::new(),
            side_tracker <- AtomicTracker::new(),
            on_main: Atomic::new(0),
            on_side: Atomic::new(0),
            value <- value,
        }));
        match filled {
            Ok(unique) => ListArc::from(unique),
            Err(never) => match never {},
        }
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Gives each queue a number that is never used twice: 2^64 queues are never made.
static NEXT_QUEUE: Atomic<u64> = Atomic::new(1);

/// A first-in-first-out queue of [`Entry`]s by one of their links; owns a reference to each.
///
/// Not locked: put it inside the lock that guards it. Dropping it drops the references.
///
/// # Invariants
///
/// An entry is in `list` exactly if its field for this link holds `number`.
pub(crate) struct Queue<T, const ID: u64>
where
    Entry<T>: Link<ID>,
{
    list: List<Entry<T>, ID>,
    number: u64,
}

/// The two links of an entry, as the queue of that link sees them.
pub(crate) trait Link<const ID: u64>: kernel::list::ListItem<ID> + sealed::Sealed {
    /// The number of the queue that the entry is on by this link.
    fn on(&self) -> &Atomic<u64>;
}

mod sealed {
    /// Only [`super::Entry`] has links.
    pub(crate) trait Sealed {}
    impl<T> Sealed for super::Entry<T> {}
}

impl<T> Link<MAIN> for Entry<T> {
    fn on(&self) -> &Atomic<u64> {
        &self.on_main
    }
}

impl<T> Link<SIDE> for Entry<T> {
    fn on(&self) -> &Atomic<u64> {
        &self.on_side
    }
}

impl<T, const ID: u64> Queue<T, ID>
where
    Entry<T>: Link<ID>,
{
    /// An empty queue.
    pub(crate) fn new() -> Self {
        // INVARIANT: The queue is empty and no entry has its new number.
        Self {
            list: List::new(),
            number: NEXT_QUEUE.fetch_add(1u64, Relaxed),
        }
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts the entry at the end.
    pub(crate) fn push_back(&mut self, entry: ListArc<Entry<T>, ID>) {
        entry.on().store(self.number, Relaxed);
        self.list.push_back(entry);
    }

    /// Takes the oldest entry.
    pub(crate) fn pop_front(&mut self) -> Option<ListArc<Entry<T>, ID>> {
        let entry = self.list.pop_front()?;
        entry.on().store(0, Relaxed);
        Some(entry)
    }

    /// Takes `entry` off, if it is on this queue.
    pub(crate) fn remove(&mut self, entry: &Entry<T>) -> Option<ListArc<Entry<T>, ID>> {
        if entry.on().load(Relaxed) != self.number {
            return None;
        }
        // SAFETY: The entry is in `self.list` by the type invariant, hence in no other list of
        // this link. The field cannot change meanwhile: only a method of the queue with that
        // number changes it, and `self` is borrowed exclusively.
        let entry = unsafe { self.list.remove(entry) }?;
        entry.on().store(0, Relaxed);
        Some(entry)
    }

    /// The entries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = kernel::sync::ArcBorrow<'_, Entry<T>>> {
        self.list.iter()
    }
}

impl<T> Queue<T, SIDE> {
    /// Lists a shared entry by its side link; `false` if it already is on some side queue.
    pub(crate) fn push_shared(&mut self, entry: &Arc<Entry<T>>) -> bool {
        match ListArc::try_from_arc_borrow(entry.as_arc_borrow()) {
            Some(entry) => {
                self.push_back(entry);
                true
            }
            None => false,
        }
    }
}

impl<T, const ID: u64> Default for Queue<T, ID>
where
    Entry<T>: Link<ID>,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const ID: u64> Drop for Queue<T, ID>
where
    Entry<T>: Link<ID>,
{
    fn drop(&mut self) {
        // Entries that outlive the queue must not look queued.
        while self.pop_front().is_some() {}
    }
}

/// A box that can be put on a [`BoxQueue`]; allocated ahead, so that queueing cannot fail.
///
/// # Invariants
///
/// `next` is null unless the box is on a queue.
pub(crate) struct QueueBox<T> {
    node: KBox<Node<T>>,
}

struct Node<T> {
    next: *mut Node<T>,
    value: T,
}

impl<T> QueueBox<T> {
    /// Allocates the box.
    ///
    /// # Errors
    ///
    /// `AllocError` if there is no memory.
    pub(crate) fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        // INVARIANT: The box is on no queue.
        Ok(Self {
            node: KBox::new(
                Node {
                    next: core::ptr::null_mut(),
                    value,
                },
                flags,
            )?,
        })
    }
}

impl<T> core::ops::Deref for QueueBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.node.value
    }
}

impl<T> core::ops::DerefMut for QueueBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.node.value
    }
}

// SAFETY: The pointer in the node is owned like a box, and is null while the box can be sent.
unsafe impl<T: Send> Send for QueueBox<T> {}
// SAFETY: A shared box gives only shared access to the value.
unsafe impl<T: Sync> Sync for QueueBox<T> {}

/// A first-in-first-out queue of owned boxes: one pointer each, no allocation when queueing.
///
/// # Invariants
///
/// `head` is null, or the first of a chain of nodes from `KBox::into_raw` that ends with a null
/// `next`; `tail` is the last of them. The queue owns the chain.
pub(crate) struct BoxQueue<T> {
    head: *mut Node<T>,
    tail: *mut Node<T>,
}

// SAFETY: The queue owns its nodes.
unsafe impl<T: Send> Send for BoxQueue<T> {}

impl<T> BoxQueue<T> {
    /// An empty queue.
    pub(crate) const fn new() -> Self {
        // INVARIANT: The chain is empty.
        Self {
            head: core::ptr::null_mut(),
            tail: core::ptr::null_mut(),
        }
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Whether exactly one box is queued.
    pub(crate) fn is_single(&self) -> bool {
        !self.head.is_null() && self.head == self.tail
    }

    /// Puts the box at the end.
    pub(crate) fn push_back(&mut self, item: QueueBox<T>) {
        let node = KBox::into_raw(item.node);
        // INVARIANT: `node` becomes the last of the chain; its `next` is null by the invariant of
        // `QueueBox`.
        match NonNull::new(self.tail) {
            None => self.head = node,
            // SAFETY: `tail` is a node that this queue owns, by the type invariant.
            Some(tail) => unsafe { (*tail.as_ptr()).next = node },
        }
        self.tail = node;
    }

    /// Takes the oldest box.
    pub(crate) fn pop_front(&mut self) -> Option<QueueBox<T>> {
        let head = NonNull::new(self.head)?;
        // SAFETY: `head` comes from `KBox::into_raw` and is owned by this queue.
        let mut node = unsafe { KBox::from_raw(head.as_ptr()) };
        // INVARIANT: The chain now starts with the second node, and the first is on no queue.
        self.head = core::mem::replace(&mut node.next, core::ptr::null_mut());
        if self.head.is_null() {
            self.tail = core::ptr::null_mut();
        }
        Some(QueueBox { node })
    }

    /// Takes up to `count` of the oldest boxes, without allocating or freeing; returns them with
    /// their number.
    pub(crate) fn take_front(&mut self, count: usize) -> (BoxQueue<T>, usize) {
        let mut taken = BoxQueue::new();
        let mut number = 0;
        while number < count {
            let Some(item) = self.pop_front() else { break };
            taken.push_back(item);
            number += 1;
        }
        (taken, number)
    }
}

impl<T> Default for BoxQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for BoxQueue<T> {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}
