// SPDX-License-Identifier: GPL-2.0

//! Intrusive queues whose items can be removed from the middle, safely.
//!
//! Each item of a [`Queue`] has the number of the queue it is on, so that asking the wrong queue
//! returns `None`. A [`Chain`] has no number and is only one pointer: its entries are found by
//! searching.

use crate::vfs::sync::entry::{
    Entry,
    Links,
    Main,
    Owned,
    Side, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
    },
};

/// One of the two links of an entry.
pub(crate) trait By: sealed::Sealed + Sized {
    /// The item that is put into a chain by this link, and taken from it.
    type Item<T>;

    /// The rest of an item that a queue has released.
    type Taken<T>;

    /// The link.
    fn links<T>(entry: &Entry<T>) -> &Links<T, Self>;

    /// The reference that the queue keeps.
    fn into_shared<T>(item: Self::Item<T>) -> ARef<Entry<T>>;

    /// # Safety
    ///
    /// The reference came from [`Self::into_shared`], and the entry has left its chain.
    unsafe fn from_shared<T>(entry: ARef<Entry<T>>) -> Self::Item<T>;

    /// Takes the number of its queue from an item that has left it.
    fn let_go<T>(item: Self::Item<T>) -> Self::Taken<T>;
}

mod sealed {
    /// An entry has no other links.
    pub(crate) trait Sealed {}
    impl Sealed for super::Main {}
    impl Sealed for super::Side {}
}

impl By for Main {
    type Item<T> = Owned<T>;
    type Taken<T> = Owned<T>;

    #[inline]
    fn links<T>(entry: &Entry<T>) -> &Links<T, Self> {
        &entry.main
    }

    #[inline]
    fn into_shared<T>(item: Owned<T>) -> ARef<Entry<T>> {
        item.into_shared()
    }

    #[inline]
    unsafe fn from_shared<T>(entry: ARef<Entry<T>>) -> Owned<T> {
        // SAFETY: There was one, which went into the chain that the entry has left, and no other is
        // made from a reference.
        unsafe { Owned::new(entry) }
    }

    #[inline]
    fn let_go<T>(item: Owned<T>) -> Owned<T> {
        item.main.on.store(0, Relaxed);
        item
    }
}

impl By for Side {
    type Item<T> = Claimed<T>;
    type Taken<T> = ARef<Entry<T>>;

    #[inline]
    fn links<T>(entry: &Entry<T>) -> &Links<T, Self> {
        &entry.side
    }

    #[inline]
    fn into_shared<T>(item: Claimed<T>) -> ARef<Entry<T>> {
        item.0
    }

    #[inline]
    unsafe fn from_shared<T>(entry: ARef<Entry<T>>) -> Claimed<T> {
        // INVARIANT: Its number stays until it is released.
        Claimed(entry)
    }

    #[inline]
    fn let_go<T>(item: Claimed<T>) -> ARef<Entry<T>> {
        // Other queues may claim it from here on.
        item.0.side.on.store(0, Release);
        item.0
    }
}

/// An entry whose side link is reserved for one queue, by that queue's number.
///
/// # Invariants
///
/// It is the only one of its entry, whose side link is in no chain; the number at the link is not
/// 0.
pub(crate) struct Claimed<T>(ARef<Entry<T>>);

impl<T> Claimed<T> {
    /// Reserves the side link for the queue with this number, if it is free.
    #[inline]
    fn claim(entry: &ARef<Entry<T>>, number: u64) -> Option<Self> {
        // INVARIANT: The number was 0, so there is no other, and it is in no chain.
        let free = entry.side.on.cmpxchg(0, number, Acquire).is_ok();
        free.then(|| Self(entry.clone()))
    }
}

/// Entries in order, by one of their links; owns a reference to each. One pointer.
///
/// Not locked: put it inside the lock that guards it. Dropping it drops the references.
///
/// # Invariants
///
/// `first` is the first of a ring of entries, whose links `B` refer to each other, if there is one.
/// Each of them was an item that was pushed, and the chain owns its reference.
pub(crate) struct Chain<T, B: By = Main> {
    first: Option<NonNull<Entry<T>>>,
    _items: PhantomData<(ARef<Entry<T>>, B)>,
}

// SAFETY: The chain owns references to its entries, and the right to their links.
unsafe impl<T, B: By> Send for Chain<T, B> where ARef<Entry<T>>: Send {}
// SAFETY: A shared chain gives shared access to its entries, and only reads their links.
unsafe impl<T, B: By> Sync for Chain<T, B> where ARef<Entry<T>>: Sync {}

impl<T, B: By> Chain<T, B> {
    /// An empty chain.
    #[inline]
    pub(crate) const fn new() -> Self {
        // INVARIANT: There is none.
        Self {
            first: None,
            _items: PhantomData,
        }
    }

    /// Whether it is empty.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Puts an item at the end.
    #[inline]
    pub(crate) fn push_back(&mut self, item: B::Item<T>) {
        let added = ARef::into_raw(B::into_shared(item));
        // SAFETY: The chain owns the reference from now on.
        let links = B::links(unsafe { added.as_ref() });
        // INVARIANT: The new one is between the last and the first, in a ring of its own if there
        // is none. Only this accesses its links, which come with the item.
        let Some(first) = self.first else {
            links.next.set(added);
            links.prev.set(added);
            self.first = Some(added);
            return;
        };
        // SAFETY: In the ring, so the chain has a reference to it.
        let first_links = B::links(unsafe { first.as_ref() });
        let last = first_links.prev.get();
        links.prev.set(last);
        links.next.set(first);
        first_links.prev.set(added);
        // SAFETY: As above.
        B::links(unsafe { last.as_ref() }).next.set(added);
    }

    /// Puts one at the beginning.
    #[cfg(CONFIG_VIRTIO)]
    fn push_front(&mut self, item: B::Item<T>) {
        self.push_back(item);
        // INVARIANT: A ring has no end but by which entry is the first.
        self.first = self.first.map(|first| {
            // SAFETY: In the ring, so the chain has a reference to it.
            B::links(unsafe { first.as_ref() }).prev.get()
        });
    }

    /// Takes the first item.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<B::Item<T>> {
        let first = self.first?;
        // SAFETY: It is in this chain.
        Some(unsafe { self.unlink(first) })
    }

    /// Takes the first item that is `wanted`.
    #[inline]
    pub(crate) fn take_first(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Option<B::Item<T>> {
        let found = NonNull::from(self.iter().find(|entry| wanted(entry))?);
        // SAFETY: It is in this chain.
        Some(unsafe { self.unlink(found) })
    }

    /// # Safety
    ///
    /// `entry` is in this chain.
    #[inline]
    unsafe fn unlink(&mut self, entry: NonNull<Entry<T>>) -> B::Item<T> {
        // SAFETY: In the ring, so the chain has a reference to it.
        let links = B::links(unsafe { entry.as_ref() });
        let (next, prev) = (links.next.get(), links.prev.get());
        // INVARIANT: Its neighbours become each other's. If it was alone, it was its own neighbour.
        if next == entry {
            self.first = None;
        } else {
            // SAFETY: As above.
            B::links(unsafe { next.as_ref() }).prev.set(prev);
            // SAFETY: As above.
            B::links(unsafe { prev.as_ref() }).next.set(next);
            if self.first == Some(entry) {
                self.first = Some(next);
            }
        }
        // SAFETY: The reference that `push_back` put in, which the chain gives away.
        let shared = unsafe { ARef::from_raw(entry) };
        // SAFETY: It came from an item, and has left the chain.
        unsafe { B::from_shared(shared) }
    }

    /// The entries, in order.
    #[inline]
    pub(crate) fn iter(&self) -> Iter<'_, T, B> {
        Iter {
            next: self.first,
            chain: self,
        }
    }
}

impl<T, B: By> Default for Chain<T, B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, B: By> Drop for Chain<T, B> {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}

/// The entries of a chain.
///
/// # Invariants
///
/// `next` is in the chain.
pub(crate) struct Iter<'a, T, B: By> {
    next: Option<NonNull<Entry<T>>>,
    chain: &'a Chain<T, B>,
}

impl<'a, T, B: By> Iterator for Iter<'a, T, B> {
    type Item = &'a Entry<T>;

    #[inline]
    fn next(&mut self) -> Option<&'a Entry<T>> {
        // SAFETY: The chain has a reference to it, and keeps it while it is borrowed.
        let entry = unsafe { self.next?.as_ref() };
        // INVARIANT: The neighbour of one in the chain is in it, too.
        let next = Some(B::links(entry).next.get());
        self.next = if next == self.chain.first { None } else { next };
        Some(entry)
    }
}

/// Gives each queue a number that is never reused: 2^64 queues are never made.
static NEXT_QUEUE: Atomic<u64> = Atomic::new(1);

/// A first-in-first-out queue of [`Entry`]s by one of their links; owns a reference to each.
///
/// Not locked: put it inside the lock that guards it. Dropping it drops the references.
///
/// # Invariants
///
/// An entry is in `chain` exactly if its number for this link is `number`.
pub(crate) struct Queue<T, B: By = Main> {
    chain: Chain<T, B>,
    number: u64,
}

impl<T, B: By> Queue<T, B> {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        // INVARIANT: The queue is empty and no entry has its new number.
        Self {
            chain: Chain::new(),
            number: NEXT_QUEUE.fetch_add(1u64, Relaxed),
        }
    }

    /// Whether nothing is queued.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// The entries, oldest first.
    #[inline]
    pub(crate) fn iter(&self) -> Iter<'_, T, B> {
        self.chain.iter()
    }

    /// Takes the oldest entry.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<B::Taken<T>> {
        // INVARIANT: Here and below the number comes and goes with the place in the chain.
        self.chain.pop_front().map(B::let_go)
    }

    /// Takes `entry` off, if it is on this queue.
    #[inline]
    pub(crate) fn remove(&mut self, entry: &Entry<T>) -> Option<B::Taken<T>> {
        if B::links(entry).on.load(Relaxed) != self.number {
            return None;
        }
        // SAFETY: It is in the chain by the type invariant. The number cannot change meanwhile:
        // only a method of the queue with that number changes it, and `self` is borrowed
        // exclusively.
        Some(B::let_go(unsafe {
            self.chain.unlink(NonNull::from(entry))
        }))
    }
}

impl<T> Queue<T, Main> {
    /// Puts the entry at the end.
    #[inline]
    pub(crate) fn push_back(&mut self, entry: Owned<T>) {
        entry.main.on.store(self.number, Relaxed);
        self.chain.push_back(entry);
    }

    /// Puts the entry at the beginning.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn push_front(&mut self, entry: Owned<T>) {
        entry.main.on.store(self.number, Relaxed);
        self.chain.push_front(entry);
    }
}

impl<T> Queue<T, Side> {
    /// Lists a shared entry; `false` if it is on a side queue already.
    #[inline]
    pub(crate) fn push_shared(&mut self, entry: &ARef<Entry<T>>) -> bool {
        let claimed = Claimed::claim(entry, self.number);
        let free = claimed.is_some();
        if let Some(claimed) = claimed {
            self.chain.push_back(claimed);
        }
        free
    }
}

impl<T, B: By> Default for Queue<T, B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, B: By> Drop for Queue<T, B> {
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
