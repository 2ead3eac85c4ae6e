// SPDX-License-Identifier: GPL-2.0

//! Byte ranges of folios that one holder owns.
//!
//! A [`FolioSegment`] is the exclusive right to write a range of a folio: it is either a range of
//! the page cache that is being read in (made by [`super::iomap`], and it ends that read), or
//! private memory. So a request can own the memory for its reply. The initial bytes are arbitrary,
//! so they are lent as [`Room`] and as [`Piece`], never as a slice.
//!
//! Locks: none of its own. Only the allocations sleep here.

#[cfg(CONFIG_VIRTIO)]
use crate::vfs::mm::piece::{
    in_turn,
    PieceMut, //
};
use crate::vfs::{
    bindings,
    mm::{
        folio::{
            Folio,
            FreePage,
            Mapped, //
        },
        iov::{
            Room,
            Rooms,
            SharedBytes, //
        },
        piece::{
            Cursor,
            Piece, //
        }, //
    }, //
};
use core::ptr::NonNull;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// The rest of a [`FreePage`] that was used, and of the folio that it was used for.
#[must_use = "drop it where a folio may be freed"]
pub(crate) enum UsedPage {
    /// Its bytes were copied.
    Copied(
        /// The page.
        #[expect(dead_code, reason = "it is there to be dropped")]
        FreePage,
    ),
    /// It is in the page cache.
    Replaced(
        /// The folio that was there before.
        #[expect(dead_code, reason = "it is there to be dropped")]
        ARef<Folio>,
    ),
}

/// The obligation of a segment's holder.
enum Duty {
    /// The folio is private memory: only its reference has to be dropped.
    Memory,
    /// The range is counted as pending in a page-cache read: it must be finished, once.
    Read {
        /// Whether the reader looks the folio up again when the read has ended, so that it may have
        /// been replaced by then.
        ahead: bool,
    },
}

/// The exclusive right to a byte range of a folio.
///
/// If the range is part of a page-cache read, the segment also has the obligation to end it: by
/// [`FolioSegment::finish`], or with `EIO` when it is dropped. So a folio whose read gets lost does
/// not stay locked.
///
/// # Invariants
///
/// - `offset + len` is within the folio, which cannot be split or freed meanwhile.
/// - The bytes of the range are read and written only through this value while it lives.
/// - With [`Duty::Read`], `iomap_finish_folio_read()` has to be called for exactly this range, and
///   the folio is in the page cache and locked until all reads of it have ended.
pub(crate) struct FolioSegment {
    folio: ARef<Folio>,
    offset: u32,
    len: u32,
    duty: Duty,
}

impl FolioSegment {
    /// A page of private memory; its bytes are arbitrary. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn alloc() -> Result<Self> {
        // SAFETY: May be called in any context that may sleep; order 0 is valid.
        let ptr = unsafe { bindings::folio_alloc(bindings::GFP_KERNEL, 0) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // INVARIANT: A new folio of one page that only this has.
        Ok(Self {
            // SAFETY: The allocation returned one reference, which the `ARef` takes over.
            folio: unsafe { ARef::from_raw(ptr.cast()) },
            offset: 0,
            len: PAGE_SIZE as u32,
            duty: Duty::Memory,
        })
    }

    /// Takes over a range that iomap has just counted as being read.
    ///
    /// # Safety
    ///
    /// - `offset + len` is within `folio`, which is locked until the read of it has ended.
    /// - The range is not up to date, and the obligation to call `iomap_finish_folio_read()` for it
    ///   is passed.
    /// - If it is read `ahead`, `folio` is not used without a reference after the read has ended.
    pub(in crate::vfs) unsafe fn pending_read(
        folio: &Folio,
        offset: u32,
        len: u32,
        ahead: bool,
    ) -> Self {
        // INVARIANT: By the safety requirements; a range that is not up to date is not read, and
        // the folio lock excludes other writers.
        Self {
            folio: folio.into(),
            offset,
            len,
            duty: Duty::Read { ahead },
        }
    }

    /// Gives the obligation of a page-cache read back to iomap, which has not counted it after all.
    ///
    /// Returns whether this was the segment of that folio and offset. If not, it is dropped as any
    /// other.
    pub(in crate::vfs) fn refuse(mut self, folio: *mut bindings::folio, offset: u32) -> bool {
        let same = self.folio.as_ptr() == folio
            && self.offset == offset
            && matches!(self.duty, Duty::Read { .. });
        if same {
            self.duty = Duty::Memory;
        }
        same
    }

    /// Number of bytes of the range.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Shortens a range of private memory to its first `len` bytes.
    ///
    /// A range under read keeps its length: the whole of it has to be finished.
    pub(crate) fn truncate(&mut self, len: usize) {
        if matches!(self.duty, Duty::Memory) && len < self.len() {
            self.len = len as u32;
        }
    }

    /// The offset of byte `at` of the range in the folio, and how many bytes follow it in the range
    /// and can be mapped with it. [`None`] if the range ends before it.
    fn piece(&self, at: usize) -> Option<(usize, usize)> {
        let left = self.len().checked_sub(at).filter(|left| *left != 0)?;
        let offset = self.offset as usize + at;
        Some((offset, left.min(Mapped::reach(&self.folio, offset))))
    }

    /// The bytes from `at` on. [`None`] if the range ends at or before it.
    fn shared_piece(&self, at: usize) -> Option<Piece<'_>> {
        let left = self.len().checked_sub(at)?;
        // SAFETY: Within the range, so by the type invariant within the folio.
        unsafe { Piece::of_folio(&self.folio, self.offset as usize + at, left, false) }
    }

    /// Calls `f` with the room from `at` to the end of the range, as far as that can be mapped at
    /// once. The bytes there are arbitrary, so it is not a slice.
    ///
    /// [`None`] if the range ends at or before `at`. `f` may run with the folio mapped for this
    /// CPU's task only, so it should be short; it may sleep if the caller may.
    fn with_room<R>(&mut self, at: usize, f: impl FnOnce(Room<'_>) -> R) -> Option<R> {
        let (offset, len) = self.piece(at)?;
        // SAFETY: Within the range, and so within the folio. `f` cannot keep the mapping.
        let mapped = unsafe { Mapped::new(&self.folio, offset) };
        // SAFETY: `piece()` stays within the range, and within the mapping, which lasts until after
        // `f`.
        let result = f(unsafe { Room::new(mapped.addr, len) });
        drop(mapped);
        Some(result)
    }

    /// Whether the range is a whole page of a readahead, which another page may replace.
    pub(crate) fn is_replaceable(&self) -> bool {
        let folio = self.folio.as_ptr();
        matches!(self.duty, Duty::Read { ahead: true })
            && (self.offset, self.len()) == (0, PAGE_SIZE)
            && self.folio.size() == PAGE_SIZE
            // SAFETY: The folio is alive. It is locked by the type invariant, so that none of this
            // becomes true later. A folio that is being read in has none of these, except private
            // data, in which iomap counts the blocks of a folio.
            && !unsafe {
                bindings::folio_has_private(folio)
                    || bindings::folio_mapped(folio)
                    || bindings::folio_test_dirty(folio)
                    || bindings::folio_test_writeback(folio)
                    || bindings::folio_test_mlocked(folio)
            }
    }

    /// Fills the range with a whole page: puts it into the page cache in place of the folio if
    /// possible, and copies it otherwise. Never sleeps. The return value has to be dropped where
    /// that is allowed.
    ///
    /// Bytes that do not fit into the range are left out.
    pub(crate) fn take_page(&mut self, page: FreePage) -> UsedPage {
        if !self.is_replaceable() {
            // SAFETY: A folio has a first byte. The mapping of `with_room` ends before.
            let from = unsafe { Mapped::new(&page.folio, 0) };
            // SAFETY: One page, which is mapped until after the copy.
            let bytes = unsafe { SharedBytes::new(from.addr, PAGE_SIZE) };
            // The range is a whole page, or the copy ends where the range does.
            self.with_room(0, |room| room.copy_from(bytes));
            drop(from);
            return UsedPage::Copied(page);
        }
        let FreePage { folio, on_lru } = page;
        // The new folio stays locked, as the one that it replaces.
        let folio = folio.into_locked_ref();
        // SAFETY: Both are locked: ours by the type invariant, which also says that it is in the
        // page cache; the new one by that of `FreePage`, which also says that it is suitable for
        // it.
        unsafe { bindings::replace_page_cache_folio(self.folio.as_ptr(), folio.as_ptr()) };
        if !on_lru {
            // SAFETY: The folio is referenced, in the page cache, and not on the list.
            unsafe { bindings::folio_add_lru(folio.as_ptr()) };
        }
        // INVARIANT: The new folio has the place of the old one: it is locked, not up to date, and
        // its read has to be ended.
        let old = core::mem::replace(&mut self.folio, folio);
        // SAFETY: The old folio was locked, and only this unlocks it: its reads are now those of
        // the new one.
        unsafe { bindings::folio_unlock(old.as_ptr()) };
        UsedPage::Replaced(old)
    }

    /// Zeroes the range from `at` on.
    pub(crate) fn zero_from(&mut self, mut at: usize) {
        while let Some(done) = self.with_room(at, |room| room.zero()) {
            at += done;
        }
        // SAFETY: The folio is alive. (Nothing but a hint on architectures whose data caches are
        // coherent.)
        unsafe { bindings::flush_dcache_folio(self.folio.as_ptr()) };
    }

    /// Ends the page-cache read of this range with `result`.
    ///
    /// After the last range of a folio, readers that wait for the folio run; on an error they get
    /// `EIO`. Private memory is just freed.
    pub(crate) fn finish(mut self, result: Result) {
        self.end(result);
    }

    fn end(&mut self, result: Result) {
        if !matches!(self.duty, Duty::Read { .. }) {
            return;
        }
        self.duty = Duty::Memory;
        let error = result.err().map_or(0, Error::to_errno);
        if error == 0 {
            // SAFETY: As in `zero_from()`.
            unsafe { bindings::flush_dcache_folio(self.folio.as_ptr()) };
        }
        // SAFETY: It has to be called for exactly this range by the type invariant, and not again.
        // The reference that this holds keeps the folio alive across its unlock.
        unsafe {
            bindings::iomap_finish_folio_read(
                self.folio.as_ptr(),
                self.offset as usize,
                self.len as usize,
                error,
            )
        };
    }
}

impl Drop for FolioSegment {
    fn drop(&mut self) {
        self.end(Err(EIO));
    }
}

/// Segments, one after the other: the memory for a reply's data.
#[derive(Default)]
pub(crate) struct FolioSegments {
    list: KVVec<FolioSegment>,
    /// Number of bytes of all.
    len: usize,
    cursor: Cursor,
}

impl FolioSegments {
    /// Room for `max` segments. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_capacity(max: usize) -> Result<Self> {
        Ok(Self {
            list: KVVec::with_capacity(max, GFP_KERNEL)?,
            len: 0,
            cursor: Cursor::default(),
        })
    }

    /// Private memory of exactly `len` bytes, page by page; the bytes are arbitrary. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn alloc(len: usize) -> Result<Self> {
        let (all, failure) = Self::from_pages(len, FolioSegment::alloc)?;
        failure.map_or(Ok(all), Err)
    }

    /// Private memory of `max` bytes, or of fewer if there are not enough pages: for a transfer
    /// that continues with the rest. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if not even one page is available.
    pub(crate) fn alloc_some(max: usize) -> Result<Self> {
        match Self::from_pages(max, FolioSegment::alloc)? {
            (none, Some(error)) if none.len == 0 => Err(error),
            (some, _) => Ok(some),
        }
    }

    /// Memory of `len` bytes from `alloc`, as far as that has pages, and the error that ended it.
    pub(super) fn from_pages(
        len: usize,
        mut alloc: impl FnMut() -> Result<FolioSegment>,
    ) -> Result<(Self, Option<Error>)> {
        let mut all = Self::with_capacity(len.div_ceil(PAGE_SIZE))?;
        while all.len < len {
            let mut page = match alloc() {
                Ok(page) => page,
                Err(error) => return Ok((all, Some(error))),
            };
            page.truncate(len - all.len);
            if all.push(page).is_err() {
                return Ok((all, Some(ENOMEM)));
            }
        }
        Ok((all, None))
    }

    /// Adds a segment at the end, within the initial room.
    ///
    /// # Errors
    ///
    /// The segment is returned when the room is used up.
    pub(crate) fn push(&mut self, segment: FolioSegment) -> Result<(), FolioSegment> {
        let Some(len) = self.len.checked_add(segment.len()) else {
            return Err(segment);
        };
        match self.list.push_within_capacity(segment) {
            Ok(()) => {
                self.len = len;
                Ok(())
            }
            Err(full) => Err(full.0),
        }
    }

    /// Takes the last segment out.
    pub(crate) fn pop(&mut self) -> Option<FolioSegment> {
        let last = self.list.pop()?;
        self.len -= last.len();
        self.cursor.reset();
        Some(last)
    }

    /// Number of bytes of all segments.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of segments.
    pub(crate) fn segments(&self) -> usize {
        self.list.len()
    }

    /// The index of the segment with byte `at`, and the start of that segment.
    fn locate(&self, at: usize) -> Option<(usize, usize)> {
        self.cursor
            .locate(at, |index| self.list.get(index).map(FolioSegment::len))
    }

    /// The contiguous bytes at `at`. [`None`] if all segments end at or before it.
    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let (index, start) = self.locate(at)?;
        self.list.get(index)?.shared_piece(at - start)
    }

    /// Room for all bytes.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn room_pieces(&mut self) -> impl Iterator<Item = PieceMut<'_>> {
        let this = &*self;
        // SAFETY: They are borrowed exclusively, and nothing else reads or writes the ranges of the
        // segments, by their invariant.
        in_turn(move |at| this.piece(at)).map(|piece| unsafe { PieceMut::new(piece) })
    }

    /// Shortens private memory to its first `len` bytes. Page-cache reads are left as they are.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.cursor.reset();
        while len < self.len {
            let excess = self.len - len;
            let Some(last) = self.list.last_mut() else {
                break;
            };
            let old = last.len();
            last.truncate(old.saturating_sub(excess));
            let new = last.len();
            self.len -= old - new;
            if new == old {
                break;
            }
            if new == 0 {
                self.list.pop();
            }
        }
    }

    /// Calls `f` with the contiguous bytes at `at`: those that they were filled with, or arbitrary
    /// ones.
    ///
    /// [`None`] if all segments end at or before `at`.
    pub(crate) fn with_bytes<R>(
        &self,
        at: usize,
        f: impl FnOnce(SharedBytes<'_>) -> R,
    ) -> Option<R> {
        self.piece(at).map(|piece| piece.with_bytes(f))
    }

    /// Whether a whole page may replace the folio whose first byte is `at`; see
    /// [`FolioSegment::is_replaceable`].
    pub(crate) fn is_replaceable(&mut self, at: usize) -> bool {
        let found = self.locate(at).filter(|(_, start)| *start == at);
        found
            .and_then(|(index, _)| self.list.get(index))
            .is_some_and(FolioSegment::is_replaceable)
    }

    /// Fills the segment whose first byte is `at` with a page; see [`FolioSegment::take_page`].
    ///
    /// # Errors
    ///
    /// The page is returned if no segment begins there.
    pub(crate) fn take_page(&mut self, at: usize, page: FreePage) -> Result<UsedPage, FreePage> {
        let found = self.locate(at).filter(|(_, start)| *start == at);
        match found.and_then(|(index, _)| self.list.get_mut(index)) {
            Some(segment) if segment.len() == PAGE_SIZE => Ok(segment.take_page(page)),
            _ => Err(page),
        }
    }

    /// Zeroes everything from `at` on: the tail of a short reply.
    pub(crate) fn zero_from(&mut self, at: usize) {
        let mut start = 0usize;
        for segment in self.list.iter_mut() {
            let end = start + segment.len();
            if at < end {
                segment.zero_from(at.saturating_sub(start));
            }
            start = end;
        }
    }

    /// Ends the page-cache reads of all segments; see [`FolioSegment::finish`].
    pub(crate) fn finish(mut self, result: Result) {
        for segment in self.list.drain_all() {
            segment.finish(result);
        }
    }
}

impl Rooms for FolioSegments {
    fn with_room<R>(&mut self, at: usize, f: impl FnOnce(Room<'_>) -> R) -> Option<R> {
        let (index, start) = self.locate(at)?;
        self.list.get_mut(index)?.with_room(at - start, f)
    }
}
