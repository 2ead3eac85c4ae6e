// SPDX-License-Identifier: GPL-2.0

//! Copies between kernel bytes and a user buffer without page faults, and faulting the buffer in.
//!
//! A holder of memory that can be taken back (under a spinlock, say) must not take a page fault
//! while it lends that: the fault may wait for the very file system that is lending. So a copy is
//! done with page faults disabled and may be short; the caller then ends its loan, faults the
//! buffer in, and goes on.

use crate::vfs::{
    bindings,
    mm::folio::{
        Folio,
        FreePage, //
    },
};
use kernel::{
    error::to_result,
    ffi,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
    prelude::*,
    task::might_sleep, //
};

/// Page faults of this task are disabled while this lives.
///
/// # Invariants
///
/// Each value stands for one call of `pagefault_disable()` by the current task.
struct NoFault {
    _not_send: core::marker::PhantomData<*mut ()>,
}

impl NoFault {
    fn new() -> Self {
        // SAFETY: May be called in any context; undone by the drop on this same task, since the
        // type is not `Send`.
        unsafe { bindings::pagefault_disable() };
        // INVARIANT: Disabled above.
        Self {
            _not_send: core::marker::PhantomData,
        }
    }
}

impl Drop for NoFault {
    fn drop(&mut self) {
        // SAFETY: Pairs with the `pagefault_disable()` of the type invariant.
        unsafe { bindings::pagefault_enable() };
    }
}

/// Bytes that can be read, but may be changed concurrently: those of a page in the page cache. So
/// they are never a slice; C copies them, and gets the current ones.
///
/// # Invariants
///
/// `len` bytes at `start` are valid for reads during `'a`. If there is a folio, they are at that
/// offset of it.
#[derive(Clone, Copy)]
pub(crate) struct SharedBytes<'a> {
    start: *const u8,
    len: usize,
    /// The folio with the bytes and their offset, if the bytes may be referred to there.
    folio: Option<(&'a Folio, usize)>,
    begins_page: bool,
}

impl<'a> SharedBytes<'a> {
    /// # Safety
    ///
    /// The type invariant holds.
    pub(super) unsafe fn new(start: *const u8, len: usize) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            start,
            len,
            folio: None,
            begins_page: false,
        }
    }

    /// The same bytes, which are at `offset` of `folio`: a user may refer to them there, and then
    /// sees later changes.
    ///
    /// # Safety
    ///
    /// All of them are in the folio, at `offset`.
    pub(super) unsafe fn in_folio(self, folio: &'a Folio, offset: usize) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            folio: Some((folio, offset)),
            ..self
        }
    }

    /// The same bytes, which should be copied to the start of a page, if there are pages: they are
    /// data that is likely to be passed on without a copy.
    pub(crate) fn beginning_page(self) -> Self {
        // INVARIANT: The same bytes.
        Self {
            begins_page: true,
            ..self
        }
    }

    /// Whether a copy of them begins a page; see [`Self::beginning_page`].
    pub(in crate::vfs) fn begins_page(self) -> bool {
        self.begins_page
    }

    /// The folio with the bytes and their offset, if the bytes may be referred to there.
    pub(in crate::vfs) fn folio(self) -> Option<(&'a Folio, usize)> {
        self.folio
    }

    /// The address of the first byte, for C to copy from.
    pub(in crate::vfs) fn as_ptr(self) -> *const u8 {
        self.start
    }

    /// Number of bytes.
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The first bytes, up to `len`.
    pub(crate) fn first(self, len: usize) -> Self {
        // INVARIANT: Not more than before.
        Self {
            len: self.len.min(len),
            ..self
        }
    }

    /// The first bytes, up to the end of the page of the byte before `len`.
    pub(crate) fn first_pages(self, len: usize) -> Self {
        // Mappings begin at the same offset of a page as the memory.
        let before = self.start.addr() % PAGE_SIZE;
        let end = before.saturating_add(len).div_ceil(PAGE_SIZE);
        self.first(end.saturating_mul(PAGE_SIZE).saturating_sub(before))
    }

    /// All bytes except the first `len`.
    pub(crate) fn after(self, len: usize) -> Self {
        let len = len.min(self.len);
        // INVARIANT: The rest of the bytes, in the same folio.
        Self {
            start: self.start.wrapping_add(len),
            len: self.len - len,
            folio: self
                .folio
                .map(|(folio, offset)| (folio, offset.wrapping_add(len))),
            begins_page: self.begins_page && len == 0,
        }
    }
}

impl<'a> From<&'a [u8]> for SharedBytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        // SAFETY: A slice is valid for reads while it is borrowed.
        unsafe { Self::new(bytes.as_ptr(), bytes.len()) }
    }
}

/// Memory that is filled room by room.
pub(crate) trait Rooms {
    /// Calls `f` with room for the bytes from `at` on, as many as are contiguous. [`None`] if there
    /// is none.
    fn with_room<R>(&mut self, at: usize, f: impl FnOnce(Room<'_>) -> R) -> Option<R>;

    /// Fills up to `want` bytes from `at` on with `source`, which gets room and returns the number
    /// of bytes used; a short one ends it. Returns the number of bytes filled.
    fn fill(&mut self, at: usize, want: usize, mut source: impl FnMut(Room<'_>) -> usize) -> usize {
        let mut done = 0usize;
        while done < want {
            let Some((given, used)) = self.with_room(at.saturating_add(done), |room| {
                let room = room.first(want - done);
                let given = room.len();
                (given, source(room).min(given))
            }) else {
                break;
            };
            done += used;
            if used < given {
                break;
            }
        }
        done
    }
}

/// Bytes that are to be written, and that may be read or changed concurrently: those of a page of
/// user memory. So they are never a slice; C fills them.
///
/// # Invariants
///
/// `len` bytes at `start` are valid for writes during `'a`.
pub(crate) struct Room<'a> {
    start: *mut u8,
    len: usize,
    _bytes: core::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> Room<'a> {
    /// # Safety
    ///
    /// The type invariant holds.
    pub(super) unsafe fn new(start: *mut u8, len: usize) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            start,
            len,
            _bytes: core::marker::PhantomData,
        }
    }

    /// The address of the first byte, for C to fill.
    pub(in crate::vfs) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first bytes, up to `len`.
    pub(crate) fn first(self, len: usize) -> Self {
        // INVARIANT: Not more than before.
        Self {
            len: self.len.min(len),
            ..self
        }
    }

    /// Fills it from the beginning with the current contents of `bytes`; returns the number of
    /// bytes.
    pub(crate) fn copy_from(self, bytes: SharedBytes<'_>) -> usize {
        let len = self.len.min(bytes.len);
        // SAFETY: Both have `len` bytes or more, by the type invariants. They are different memory:
        // room is lent exclusively. No value of the bytes is invalid.
        unsafe { core::ptr::copy_nonoverlapping(bytes.start, self.start, len) };
        len
    }

    /// Fills it with zeroes; returns the number of bytes.
    pub(crate) fn zero(self) -> usize {
        // SAFETY: By the type invariant.
        unsafe { core::ptr::write_bytes(self.start, 0, self.len) };
        self.len
    }
}

impl<'a> From<&'a mut [u8]> for Room<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        // SAFETY: A slice is valid for writes while it is borrowed.
        unsafe { Self::new(bytes.as_mut_ptr(), bytes.len()) }
    }
}

/// Takes bytes from a source, of which some may turn out to be unused.
///
/// # Invariants
///
/// `from` was advanced by `taken` bytes or more since this value was made.
pub(crate) struct Taking<'a, 'data> {
    from: &'a mut IovIterSource<'data>,
    taken: usize,
}

impl<'a, 'data> Taking<'a, 'data> {
    /// Nothing is taken yet.
    pub(crate) fn new(from: &'a mut IovIterSource<'data>) -> Self {
        // INVARIANT: Not advanced yet.
        Self { from, taken: 0 }
    }

    /// Fills `room`, as far as the source can be read; returns the number of bytes. May sleep and
    /// fault.
    pub(crate) fn copy(&mut self, mut room: Room<'_>) -> usize {
        // SAFETY: The room is valid for writes by its type invariant, and the source is valid.
        let copied = unsafe {
            bindings::_copy_from_iter(room.as_mut_ptr().cast(), room.len(), self.from.as_raw())
        };
        // INVARIANT: The source has advanced by `copied`.
        self.taken = self.taken.saturating_add(copied);
        copied
    }

    /// The first `used` bytes were used. The source goes on behind them.
    pub(crate) fn keep(mut self, used: usize) {
        // INVARIANT: Fewer than before.
        self.taken = self.taken.saturating_sub(used);
    }
}

impl Drop for Taking<'_, '_> {
    /// Gives back the bytes that were not kept.
    fn drop(&mut self) {
        // SAFETY: The source is valid and has advanced so far, by the type invariant.
        unsafe { bindings::iov_iter_revert(self.from.as_raw(), self.taken) };
    }
}

/// Copies `bytes` to a destination; returns the number of bytes copied. May sleep and fault.
pub(crate) fn copy_to_iter(to: &mut IovIterDest<'_>, bytes: SharedBytes<'_>) -> usize {
    // SAFETY: The bytes are valid for reads by their type invariant, and the destination is valid.
    unsafe { bindings::_copy_to_iter(bytes.start.cast(), bytes.len, to.as_raw()) }
}

/// As [`copy_to_iter`], as far as the destination needs no page fault. Never sleeps.
pub(in crate::vfs) fn copy_to_iter_nofault(
    to: &mut IovIterDest<'_>,
    bytes: SharedBytes<'_>,
) -> usize {
    let _no_fault = NoFault::new();
    copy_to_iter(to, bytes)
}

/// Fills `room` as far as the source needs no page fault; returns the number of bytes. Never
/// sleeps.
pub(in crate::vfs) fn copy_from_iter_nofault(
    from: &mut IovIterSource<'_>,
    mut room: Room<'_>,
) -> usize {
    let _no_fault = NoFault::new();
    // SAFETY: The room is valid for writes by its type invariant, and the source is valid.
    unsafe { bindings::_copy_from_iter(room.as_mut_ptr().cast(), room.len(), from.as_raw()) }
}

/// Memory of the current task, by its address. It need not be mapped, and may be no memory of a
/// user: then nothing can be copied, and faulting it in fails.
#[derive(Clone, Copy)]
pub(crate) struct UserRange {
    start: usize,
    len: usize,
}

impl UserRange {
    /// `len` bytes at `start`.
    pub(crate) fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    /// The address of the first byte.
    fn address(self) -> *mut ffi::c_void {
        core::ptr::with_exposed_provenance_mut(self.start)
    }

    /// The first `len` bytes are done.
    fn advance(&mut self, len: usize) {
        self.start = self.start.wrapping_add(len);
        self.len = self.len.saturating_sub(len);
    }

    /// An iterator over the first `len` bytes.
    ///
    /// # Errors
    ///
    /// `EFAULT` if it cannot be user memory.
    fn iter(self, direction: u32, len: usize) -> Result<bindings::iov_iter> {
        let mut iter = bindings::iov_iter::default();
        let len = len.min(self.len);
        // SAFETY: There is room for the iterator, which has only the address.
        to_result(unsafe {
            bindings::import_ubuf(direction as ffi::c_int, self.address(), len, &mut iter)
        })?;
        Ok(iter)
    }
}

impl Dest for UserRange {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        let len = bytes.len.min(self.len);
        let _no_fault = NoFault::new();
        // SAFETY: The bytes are valid for reads by their type invariant. The address is checked to
        // be a user's, and page faults are disabled.
        let left =
            unsafe { bindings::copy_to_user_present(self.address(), bytes.start.cast(), len) };
        let copied = len.saturating_sub(left);
        self.advance(copied);
        copied
    }

    fn fault_in(&mut self, len: usize) -> Result {
        let mut iter = self.iter(bindings::ITER_DEST, len)?;
        // SAFETY: The iterator is a valid destination.
        let iter = unsafe { IovIterDest::from_raw(&raw mut iter) };
        UserDest::new(iter)?.fault_in(len)
    }
}

impl Source for UserRange {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn copy_nofault(&mut self, mut room: Room<'_>) -> usize {
        let len = room.len.min(self.len);
        let _no_fault = NoFault::new();
        // SAFETY: The room is valid for writes by its type invariant. The address is checked to be
        // a user's, and page faults are disabled.
        let left = unsafe {
            bindings::copy_from_user_present(room.as_mut_ptr().cast(), self.address(), len)
        };
        let copied = len.saturating_sub(left);
        self.advance(copied);
        copied
    }

    fn fault_in(&mut self, len: usize) -> Result {
        let mut iter = self.iter(bindings::ITER_SOURCE, len)?;
        // SAFETY: The iterator is a valid source.
        let iter = unsafe { IovIterSource::from_raw(&raw mut iter) };
        UserSource::new(iter)?.fault_in(len)
    }
}

/// The destination of a message.
pub(crate) trait Dest {
    /// Number of bytes of room left.
    fn len(&self) -> usize;

    /// Copies as much as fits at present; returns the number of bytes copied. Never sleeps.
    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize;

    /// Makes room for the next `len` bytes, or for the first of them. Sleeps.
    ///
    /// # Errors
    ///
    /// `EFAULT`, or another error for the first byte.
    fn fault_in(&mut self, len: usize) -> Result;
}

/// The origin of a message.
pub(crate) trait Source {
    /// Number of bytes left.
    fn len(&self) -> usize;

    /// Copies as much as is present; returns the number of bytes copied. Never sleeps.
    fn copy_nofault(&mut self, room: Room<'_>) -> usize;

    /// Makes the next `len` bytes present, or the first of them. Sleeps.
    ///
    /// # Errors
    ///
    /// `EFAULT`, or another error for the first byte.
    fn fault_in(&mut self, len: usize) -> Result;

    /// Whether the next bytes may be a page that can be taken.
    fn has_page(&self) -> bool {
        false
    }

    /// Takes the next bytes as a page, if they are one and it can be taken: page and bytes are
    /// removed from the source then. Sleeps.
    ///
    /// # Errors
    ///
    /// As [`Self::fault_in`].
    fn take_page(&mut self) -> Result<Option<FreePage>> {
        Ok(None)
    }
}

/// A reader's buffer in user memory.
pub(crate) struct UserDest<'a, 'data> {
    iter: &'a mut IovIterDest<'data>,
}

impl<'a, 'data> UserDest<'a, 'data> {
    /// Takes the buffer of a `read_iter` call.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not user memory.
    pub(crate) fn new(iter: &'a mut IovIterDest<'data>) -> Result<Self> {
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        if !unsafe { bindings::user_backed_iter(iter.as_raw()) } {
            return Err(EINVAL);
        }
        Ok(Self { iter })
    }
}

impl Dest for UserDest<'_, '_> {
    fn len(&self) -> usize {
        self.iter.len()
    }

    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        copy_to_iter_nofault(self.iter, bytes)
    }

    fn fault_in(&mut self, len: usize) -> Result {
        might_sleep();
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        let missing = unsafe { bindings::fault_in_iov_iter_writeable(self.iter.as_raw(), len) };
        if missing >= len && len != 0 {
            return Err(EFAULT);
        }
        Ok(())
    }
}

/// A writer's buffer in user memory.
pub(crate) struct UserSource<'a, 'data> {
    iter: &'a mut IovIterSource<'data>,
}

impl<'a, 'data> UserSource<'a, 'data> {
    /// Takes the buffer of a `write_iter` call.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is not user memory.
    pub(crate) fn new(iter: &'a mut IovIterSource<'data>) -> Result<Self> {
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        if !unsafe { bindings::user_backed_iter(iter.as_raw()) } {
            return Err(EINVAL);
        }
        Ok(Self { iter })
    }
}

impl Source for UserSource<'_, '_> {
    fn len(&self) -> usize {
        self.iter.len()
    }

    fn copy_nofault(&mut self, room: Room<'_>) -> usize {
        copy_from_iter_nofault(self.iter, room)
    }

    fn fault_in(&mut self, len: usize) -> Result {
        might_sleep();
        // SAFETY: The pointer is valid for the lifetime of `iter`.
        let missing = unsafe { bindings::fault_in_iov_iter_readable(self.iter.as_raw(), len) };
        if missing >= len && len != 0 {
            return Err(EFAULT);
        }
        Ok(())
    }
}
