// SPDX-License-Identifier: GPL-2.0

//! Queues of a device of virtio: messages are given to the device, which gives them back.
//!
//! A [`VirtQueue`] owns each message from the moment in which it is added until the device has used it,
//! or was reset. In between the device reads and writes the message's memory, which it was told of as
//! [`Parts`]; so what a queue takes is [`DeviceMemory`].
//!
//! A queue is open from the moment in which its device is, until it is closed. Then nothing is added or
//! taken any more, and what the device has stays with the queue until that was reset.
//!
//! Locks: that of the queue. The device is told of new messages without it, in a read-side section of
//! RCU: closing the queue waits for those.
//!
//! C header: `include/linux/virtio.h`.

use crate::vfs::{
    bindings,
    mm::piece::{
        in_turn,
        Piece,
        PieceMut, //
    },
    sync::{
        give_lock::{
            Giver,
            Handed, //
        },
        guard::{
            Guard,
            OnDrop, //
        },
    },
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    ffi,
    new_spinlock,
    prelude::*,
    str::CString,
    sync::{
        rcu,
        SpinLock,
        SpinLockGuard, //
    },
    types::Opaque, //
};
use zerocopy::Immutable;

/// What a message consists of, for a device: pieces that it reads, then pieces that it writes.
///
/// # Invariants
///
/// The first `used` entries are pieces that are valid for `'a`; `read` of them, the first, are for the
/// device to read.
pub(crate) struct Parts<'l, 'a> {
    entries: &'l mut [Opaque<bindings::scatterlist>],
    used: usize,
    read: usize,
    /// There were more than entries, or out of order.
    failed: bool,
    _pieces: PhantomData<&'a mut [u8]>,
}

impl<'l, 'a> Parts<'l, 'a> {
    /// None yet, with room for as many as there are entries.
    fn new(entries: &'l mut [Opaque<bindings::scatterlist>]) -> Self {
        // INVARIANT: None is used.
        Self {
            entries,
            used: 0,
            read: 0,
            failed: false,
            _pieces: PhantomData,
        }
    }

    fn push(&mut self, piece: &Piece<'a>) {
        match self.entries.get(self.used) {
            Some(entry) => {
                // SAFETY: The entry is borrowed exclusively.
                unsafe { piece.fill_entry(entry.get()) };
                self.used += 1;
            }
            None => self.failed = true,
        }
    }

    /// The device reads these pieces next.
    pub(crate) fn device_reads(&mut self, pieces: impl Iterator<Item = Piece<'a>>) {
        self.failed |= self.read != self.used;
        for piece in pieces {
            self.push(&piece);
        }
        // INVARIANT: All of them.
        self.read = self.used;
    }

    /// The device writes these pieces next.
    pub(crate) fn device_writes(&mut self, pieces: impl Iterator<Item = PieceMut<'a>>) {
        for piece in pieces {
            self.push(piece.as_piece());
        }
    }
}

/// The lengths of the parts of `memory`, and how many of them the device reads; [`None`] if they are
/// more than `room`. For tests, which give it to no device.
///
/// # Errors
///
/// `ENOMEM`.
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) fn lengths(
    memory: &mut impl DeviceMemory,
    room: usize,
) -> Result<Option<(KVec<u32>, usize)>> {
    let mut entries = KVec::with_capacity(room, GFP_KERNEL)?;
    for _ in 0..room {
        entries.push(Opaque::<bindings::scatterlist>::zeroed(), GFP_KERNEL)?;
    }
    let mut parts = Parts::new(&mut entries);
    memory.list(&mut parts);
    let (used, read, failed) = (parts.used, parts.read, parts.failed);
    let mut lengths = KVec::with_capacity(used, GFP_KERNEL)?;
    for entry in entries.iter().take(used) {
        // SAFETY: It is filled, and nothing else uses it.
        lengths.push(unsafe { (*entry.get()).length }, GFP_KERNEL)?;
    }
    Ok((!failed).then_some((lengths, read)))
}

/// Memory that a device may read and write.
///
/// # Safety
///
/// What [`Self::list`] tells of stays valid, and nothing else accesses it (what the device reads may be
/// read), until the value is dropped or otherwise used, wherever it is moved.
pub(crate) unsafe trait DeviceMemory: Send {
    /// Tells what it consists of. Never sleeps.
    fn list(&mut self, parts: &mut Parts<'_, '_>);
}

/// A value that can tell a device what it consists of.
pub(crate) trait Scatter {
    /// Tells it: what the device reads, then what it writes. Never sleeps.
    fn scatter<'a>(&'a mut self, parts: &mut Parts<'_, 'a>);
}

// SAFETY: No code accesses the value as long as it is given away, and what is told of it is borrowed from
// it, or stays for ever.
unsafe impl<T: Giver> DeviceMemory for Handed<T>
where
    T::Value: Scatter + 'static,
{
    fn list(&mut self, parts: &mut Parts<'_, '_>) {
        // SAFETY: It stays where it is, and no code accesses it, until this is dropped or used otherwise:
        // by then the parts are not used any more, as the trait says.
        unsafe { &mut *self.value() }.scatter(parts);
    }
}

// SAFETY: Only the owner of a box accesses what it has, which stays where it is when the box is moved.
unsafe impl<T: IntoBytes + Immutable + Send> DeviceMemory for KBox<T> {
    fn list(&mut self, parts: &mut Parts<'_, '_>) {
        let bytes = (**self).as_bytes();
        // SAFETY: The box has them until it is dropped, by when the parts are not used any more, as the
        // trait says.
        let bytes = unsafe { core::slice::from_raw_parts(bytes.as_ptr(), bytes.len()) };
        parts.device_reads(in_turn(move |at| Piece::of_bytes(bytes.get(at..)?)));
    }
}

// SAFETY: A guard keeps the value until it is dropped.
unsafe impl<T: DeviceMemory, D: OnDrop<T>> DeviceMemory for Guard<T, D> {
    fn list(&mut self, parts: &mut Parts<'_, '_>) {
        (**self).list(parts);
    }
}

/// What is added to a queue, and comes back.
pub(crate) trait Message: Sized {
    /// What of it the queue keeps, which is all.
    type Memory: DeviceMemory;

    /// Becomes that.
    fn into_memory(self) -> Self::Memory;

    /// The message of it.
    fn from_memory(memory: Self::Memory) -> Self;
}

impl<T: IntoBytes + Immutable + Send> Message for KBox<T> {
    type Memory = Self;

    fn into_memory(self) -> Self {
        self
    }

    fn from_memory(memory: Self) -> Self {
        memory
    }
}

/// Why a message was not added.
pub(crate) enum Refused<M> {
    /// There is no room now, or no memory.
    Full(M),
    /// It has more parts than the queue has room for at any time.
    TooLarge(M),
    /// The queue is closed.
    Closed(M),
}

/// What a queue has while the device has it.
///
/// # Invariants
///
/// `queue` exists. The device, unless it was reset, may access the memory of the messages in `slots`, the
/// free ones of which are those whose indices are in `free`.
struct Ring<M: Message> {
    queue: NonNull<bindings::virtqueue>,
    slots: KVec<Option<M::Memory>>,
    free: KVec<usize>,
    /// For the parts of the message that is being added.
    entries: KVec<Opaque<bindings::scatterlist>>,
}

// SAFETY: A queue belongs to no thread; its lock is that of the `VirtQueue`.
unsafe impl<M: Message> Send for Ring<M> {}

impl<M: Message> Ring<M> {
    /// # Errors
    ///
    /// `ENOMEM`; `EINVAL` if it has room for nothing.
    ///
    /// # Safety
    ///
    /// `queue` is new, and exists until this is dropped.
    unsafe fn new(queue: NonNull<bindings::virtqueue>) -> Result<Self> {
        // SAFETY: By the safety requirement.
        let size = unsafe { bindings::virtqueue_get_vring_size(queue.as_ptr()) } as usize;
        let mut slots = KVec::with_capacity(size, GFP_KERNEL)?;
        let mut free = KVec::with_capacity(size, GFP_KERNEL)?;
        let mut entries = KVec::with_capacity(size, GFP_KERNEL)?;
        for slot in 0..size {
            slots.push(None, GFP_KERNEL)?;
            free.push(slot, GFP_KERNEL)?;
            entries.push(Opaque::zeroed(), GFP_KERNEL)?;
        }
        // INVARIANT: The device has nothing.
        Ok(Self {
            queue,
            slots,
            free,
            entries,
        })
    }

    fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn add(&mut self, mut memory: M::Memory) -> Result<&M::Memory, Refused<M>> {
        let mut parts = Parts::new(&mut self.entries);
        memory.list(&mut parts);
        let (used, read, failed) = (parts.used, parts.read, parts.failed);
        if failed || used == 0 {
            return Err(Refused::TooLarge(M::from_memory(memory)));
        }
        let Some(slot) = self.free.pop() else {
            return Err(Refused::Full(M::from_memory(memory)));
        };
        // SAFETY: The queue exists, and its lock is held. So many entries are filled, with pieces of the
        // message; that is put into a slot below, from where it is taken only when the device has used
        // it or was reset. A slot's number is not null.
        let added = unsafe {
            bindings::virtqueue_add(
                self.queue.as_ptr(),
                self.entries.as_mut_ptr().cast(),
                read as u32,
                (used - read) as u32,
                core::ptr::without_provenance_mut(slot + 1),
            )
        };
        let place = self.slots.get_mut(slot);
        match (added, place) {
            // INVARIANT: It is in a slot that is not free any more.
            (0, Some(place)) => Ok(&*place.insert(memory)),
            (error, _) => {
                // There is room, as it was there before.
                let _ = self.free.push_within_capacity(slot);
                let message = M::from_memory(memory);
                Err(match Error::from_errno(error) {
                    EIO => Refused::Closed(message),
                    _ => Refused::Full(message),
                })
            }
        }
    }

    /// What is in the slot of which the device was told by `token`.
    fn take(&mut self, token: *mut ffi::c_void) -> Option<M::Memory> {
        let slot = token.addr().checked_sub(1)?;
        let memory = self.slots.get_mut(slot)?.take()?;
        // INVARIANT: It is empty. There is room, as it was there before.
        let _ = self.free.push_within_capacity(slot);
        Some(memory)
    }

    /// The next that the device has used, and how many bytes it says it has written.
    fn take_used(&mut self) -> Option<(M::Memory, u32)> {
        let mut len = 0;
        // SAFETY: The queue exists, and its lock is held.
        let token = unsafe { bindings::virtqueue_get_buf(self.queue.as_ptr(), &mut len) };
        Some((self.take(token)?, len))
    }
}

/// What the lock of a queue guards.
struct Inner<M: Message, S> {
    open: bool,
    ring: Option<Ring<M>>,
    /// Of a device that was reset.
    left: KVec<Option<M::Memory>>,
    state: S,
}

/// A queue, and a state `S` that its lock guards, too.
#[pin_data]
pub(crate) struct VirtQueue<M: Message, S> {
    name: CString,
    #[pin]
    inner: SpinLock<Inner<M, S>>,
}

impl<M: Message, S> VirtQueue<M, S> {
    /// A queue that is closed.
    pub(crate) fn new(name: CString, state: S) -> impl PinInit<Self> {
        pin_init!(Self {
            name,
            inner <- new_spinlock!(
                Inner {
                    open: false,
                    ring: None,
                    left: KVec::new(),
                    state,
                },
                "VirtQueue::inner"
            ),
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    /// Locks it.
    pub(crate) fn lock(&self) -> QueueGuard<'_, M, S> {
        let section = rcu::read_lock();
        QueueGuard {
            inner: ManuallyDrop::new(self.inner.lock()),
            added: false,
            _section: section,
        }
    }
}

impl<M: Message, S: Unpin> VirtQueue<M, S> {
    /// Calls `each` with every message that the device has used, and the number of bytes that it
    /// says it has written, until there is none and an interrupt tells of the next. The queue is not
    /// locked during the calls.
    pub(crate) fn take_all_used(&self, mut each: impl FnMut(M, u32)) {
        loop {
            let mut queue = self.lock();
            queue.disable_interrupts();
            let used = queue.take_used();
            let is_last = used.is_none() && queue.enable_interrupts();
            drop(queue);
            match used {
                Some((message, len)) => each(message, len),
                None if is_last => return,
                None => {}
            }
        }
    }
}

/// A queue that is locked. If messages were added, the device is told when this is dropped.
pub(crate) struct QueueGuard<'a, M: Message, S> {
    inner: ManuallyDrop<SpinLockGuard<'a, Inner<M, S>>>,
    added: bool,
    /// Ends last.
    _section: rcu::Guard,
}

impl<M: Message, S: Unpin> QueueGuard<'_, M, S> {
    /// The state.
    pub(crate) fn state(&mut self) -> &mut S {
        &mut self.inner().state
    }

    fn inner(&mut self) -> &mut Inner<M, S> {
        &mut self.inner
    }

    fn ring(&mut self) -> Option<&mut Ring<M>> {
        let inner = self.inner();
        inner.ring.as_mut().filter(|_| inner.open)
    }

    /// Whether it is open.
    pub(crate) fn is_open(&self) -> bool {
        self.inner.open
    }

    /// How many messages the device has, or had when it was reset.
    pub(crate) fn in_flight(&self) -> usize {
        self.inner.ring.as_ref().map_or(0, Ring::in_flight)
    }

    /// How many parts a message can have; 0 if there is no device.
    pub(crate) fn max_parts(&self) -> usize {
        self.inner
            .ring
            .as_ref()
            .map_or(0, |ring| ring.entries.len())
    }

    /// The messages that the device has, in no order.
    pub(crate) fn given(&self) -> impl Iterator<Item = &M::Memory> {
        let slots = self.inner.ring.as_ref().map(|ring| ring.slots.iter());
        slots.into_iter().flatten().flatten()
    }

    /// Gives a message to the device; shows it to `added` then.
    ///
    /// # Errors
    ///
    /// The message, and why not.
    pub(crate) fn add(
        &mut self,
        message: M,
        added: impl FnOnce(&M::Memory),
    ) -> Result<(), Refused<M>> {
        let Some(ring) = self.ring() else {
            return Err(Refused::Closed(message));
        };
        added(ring.add(message.into_memory())?);
        self.added = true;
        Ok(())
    }

    /// The next message that the device has used, and how many bytes it says that it has written.
    fn take_used(&mut self) -> Option<(M, u32)> {
        let (memory, len) = self.ring()?.take_used()?;
        Some((M::from_memory(memory), len))
    }

    /// Whether the device has used what it was not given, or is gone: the queue is of no use then.
    pub(crate) fn is_broken(&mut self) -> bool {
        self.ring().is_some_and(|ring| {
            // SAFETY: The queue exists.
            unsafe { bindings::virtqueue_is_broken(ring.queue.as_ptr()) }
        })
    }

    /// There are no interrupts until [`Self::enable_interrupts`]; a hint.
    fn disable_interrupts(&mut self) {
        if let Some(ring) = self.ring() {
            // SAFETY: The queue exists, and its lock is held.
            unsafe { bindings::virtqueue_disable_cb(ring.queue.as_ptr()) };
        }
    }

    /// There is an interrupt when the device uses a message from now on; `false` if it has used some
    /// already.
    fn enable_interrupts(&mut self) -> bool {
        match self.ring() {
            // SAFETY: The queue exists, and its lock is held.
            Some(ring) => unsafe { bindings::virtqueue_enable_cb(ring.queue.as_ptr()) },
            None => true,
        }
    }
}

impl<M: Message, S> Drop for QueueGuard<'_, M, S> {
    fn drop(&mut self) {
        let ring = self.inner.ring.as_ref().filter(|_| self.added);
        let told = ring.map(|ring| ring.queue).filter(|queue| {
            // SAFETY: The queue exists, and its lock is held.
            unsafe { bindings::virtqueue_kick_prepare(queue.as_ptr()) }
        });
        // SAFETY: It is not used any more.
        unsafe { ManuallyDrop::drop(&mut self.inner) };
        if let Some(queue) = told {
            // SAFETY: The queue was open. To close it waits for this section, before it is deleted.
            unsafe { bindings::virtqueue_notify(queue.as_ptr()) };
        }
    }
}

/// A [`VirtQueue`] of any messages, for the device that it is of.
///
/// # Safety
///
/// After [`Self::close`] and a grace period of RCU nothing here uses the queue, but [`Self::drain`].
pub(crate) unsafe trait Queue: Send + Sync {
    /// Its name, which does not change.
    fn name(&self) -> &CStr;

    /// It is this one from now on, and open. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EBUSY` if it is one already.
    ///
    /// # Safety
    ///
    /// `queue` is new, and exists until [`Self::drain`].
    unsafe fn open(&self, queue: NonNull<bindings::virtqueue>) -> Result;

    /// Nothing is added or taken any more.
    fn close(&self);

    /// What the device had is its no more.
    ///
    /// # Safety
    ///
    /// It is closed, and the device was reset.
    unsafe fn drain(&self);

    /// Drops what [`Self::drain`] has found. Sleeps.
    fn drop_left(&self);
}

// SAFETY: A closed queue is used by no method but `drain`, and a guard that was taken while it was open
// uses it within a read-side section.
unsafe impl<M: Message, S: Send + Unpin> Queue for VirtQueue<M, S> {
    fn name(&self) -> &CStr {
        &self.name
    }

    unsafe fn open(&self, queue: NonNull<bindings::virtqueue>) -> Result {
        // SAFETY: By the safety requirement.
        let ring = unsafe { Ring::new(queue) }?;
        let refused = {
            let mut inner = self.inner.lock();
            match &mut inner.ring {
                Some(_) => Some(ring),
                none => {
                    *none = Some(ring);
                    inner.open = true;
                    None
                }
            }
        };
        refused.map_or(Ok(()), |_| Err(EBUSY))
    }

    fn close(&self) {
        self.inner.lock().open = false;
    }

    unsafe fn drain(&self) {
        let ring = self.inner.lock().ring.take();
        let Some(ring) = ring else {
            return;
        };
        // SAFETY: The queue still exists, nothing else uses it, and the device does not.
        while !unsafe { bindings::virtqueue_detach_unused_buf(ring.queue.as_ptr()) }.is_null() {}
        self.inner.lock().left = ring.slots;
    }

    fn drop_left(&self) {
        let left = core::mem::take(&mut self.inner.lock().left);
        drop(left);
    }
}
