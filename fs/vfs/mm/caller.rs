// SPDX-License-Identifier: GPL-2.0

//! Pages of a caller's memory, for transfers directly into it or out of it.
//!
//! [`CallerBuffer`] is the memory of one read or write call. It returns its next pages as
//! [`CallerPages`], which own them: user memory is pinned, so that it is not moved or freed
//! whatever the process does, and other pages are referenced. Pages that a reader gets are marked
//! dirty when they are dropped.
//!
//! The process may use its memory meanwhile. So the bytes are only lent as a [`Piece`], as
//! [`SharedBytes`] and as [`Room`], which C copies. A copy gets pages that happen to lie together at
//! once; a piece, whose page others may hold, is in one page.
//!
//! Locks: none; dropping pages that were read into takes folio locks.
//!
//! C headers: `include/linux/uio.h`.

#[cfg(CONFIG_VIRTIO)]
use crate::vfs::mm::piece::{
    in_turn,
    PieceMut, //
};
use crate::vfs::{
    bindings,
    mm::{
        iov::{
            Room,
            Rooms,
            SharedBytes, //
        },
        piece::{
            Cursor,
            Piece, //
        },
    },
};
use core::marker::PhantomData;
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
    prelude::*, //
};

/// Bytes in consecutive entries of the list of pages.
struct Run {
    /// The index of its first page.
    first: usize,
    /// Its offset in that page.
    offset: usize,
    /// Number of bytes.
    len: usize,
}

/// Maximum bytes that a copy gets at once, beyond the first page: about as many as it takes.
const TOGETHER_MAX: usize = 32 * 1024;

/// A place in the pages.
struct Place {
    /// The index of its page.
    index: usize,
    page: *mut bindings::page,
    /// The offset of its byte in that page.
    in_page: usize,
    /// Number of bytes from there on in its run, one or more.
    left: usize,
}

impl Place {
    /// Number of bytes from there on in its page.
    #[inline]
    fn in_one_page(&self) -> usize {
        self.left.min(PAGE_SIZE - self.in_page)
    }
}

/// How pages are kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Pinned: user memory.
    Pin,
    /// By references to their folios.
    Reference,
}

/// Pages of a caller's memory.
///
/// # Invariants
///
/// - `pages` are valid and kept as `hold` tells; only this value gives them back.
/// - The bytes of each run are in the pages from its `first` on.
/// - If `writable`, they may be written.
pub(crate) struct CallerPages {
    pages: KVVec<*mut bindings::page>,
    runs: KVVec<Run>,
    /// Number of bytes of all.
    len: usize,
    hold: Hold,
    writable: bool,
    cursor: Cursor,
}

// SAFETY: Pages are used through C functions only, by any task; pins and references can be given
// back by any.
unsafe impl Send for CallerPages {}

impl Default for CallerPages {
    /// No pages.
    fn default() -> Self {
        // INVARIANT: There are none.
        Self {
            pages: KVVec::new(),
            runs: KVVec::new(),
            len: 0,
            hold: Hold::Reference,
            writable: false,
            cursor: Cursor::default(),
        }
    }
}

impl CallerPages {
    /// Number of bytes of all pages.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of bytes of all pages that may be written: all or none.
    pub(crate) fn room(&self) -> usize {
        if self.writable {
            self.len
        } else {
            0
        }
    }

    /// The place of byte `at`.
    #[inline]
    fn locate(&self, at: usize) -> Option<Place> {
        let (index, start) = self
            .cursor
            .locate(at, |index| self.runs.get(index).map(|run| run.len))?;
        let run = self.runs.get(index)?;
        let pos = run.offset.saturating_add(at - start);
        let index = run.first.saturating_add(pos / PAGE_SIZE);
        Some(Place {
            index,
            page: *self.pages.get(index)?,
            in_page: pos % PAGE_SIZE,
            left: run.len - (at - start),
        })
    }

    /// The number of bytes from `place` on that are mapped with its page: at least those in it.
    #[inline]
    fn together(&self, place: &Place) -> usize {
        let want = place.left.min(TOGETHER_MAX);
        let mut len = place.in_one_page();
        let rest = self.pages.get(place.index..).unwrap_or(&[]);
        for pair in rest.windows(2) {
            let [page, next] = *pair else { break };
            // SAFETY: Both pages are valid by the type invariant.
            if len >= want || !unsafe { bindings::pages_map_together(page, next) } {
                break;
            }
            len = len.saturating_add(PAGE_SIZE);
        }
        len.min(place.left)
    }

    /// Calls `f` with bytes from `at` on: as many as are mapped at once. `f` may run with them
    /// mapped for this CPU's task only. [`None`] if all pages end at or before `at`.
    #[inline]
    pub(crate) fn with_bytes<R>(
        &self,
        at: usize,
        f: impl FnOnce(SharedBytes<'_>) -> R,
    ) -> Option<R> {
        self.mapped(at, |_, start, len| {
            // SAFETY: `len` bytes are mapped until after the call, and are those of the pages.
            f(unsafe { SharedBytes::new(start, len) })
        })
    }

    /// Calls `f` with the place of byte `at`, where it is mapped, and how many bytes are mapped from
    /// there on: in its page, and in those of the run that are mapped with it. They are mapped until
    /// `f` returns. [`None`] if all pages end at or before `at`.
    #[inline]
    fn mapped<R>(&self, at: usize, f: impl FnOnce(&Place, *mut u8, usize) -> R) -> Option<R> {
        let place = self.locate(at)?;
        let len = self.together(&place);
        // SAFETY: The page is valid by the type invariant.
        let mapped = unsafe { bindings::kmap_local_page(place.page) };
        // SAFETY: Within the page that is mapped.
        let start = unsafe { mapped.cast::<u8>().add(place.in_page) };
        let result = f(&place, start, len);
        // SAFETY: Mapped above, and the last mapping of this task: `f` has undone its own.
        unsafe { bindings::kunmap_local(mapped) };
        Some(result)
    }

    /// The bytes at `at` that are in one page. [`None`] if all pages end at or before it.
    #[inline]
    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let place = self.locate(at)?;
        // SAFETY: Within the page, which is valid by the type invariant.
        unsafe { Piece::of_page(place.page, place.in_page, place.in_one_page()) }
    }

    /// As [`Self::piece`], of memory that is to be written; [`None`] also if it must not be.
    pub(crate) fn room_piece(&self, at: usize) -> Option<Piece<'_>> {
        self.piece(at).filter(|_| self.writable)
    }

    /// Room for all bytes, if they may be written.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn room_pieces(&mut self) -> impl Iterator<Item = PieceMut<'_>> {
        let this = &*self;
        let pieces = in_turn(move |at| this.room_piece(at));
        // SAFETY: They are borrowed exclusively and may be written by the type invariant; other
        // users of the pages are the caller's matter.
        pieces.map(|piece| unsafe { PieceMut::new(piece) })
    }
}

impl Rooms for CallerPages {
    /// As many as are mapped at once, if they may be written. Never sleeps, and nor may `f`.
    fn with_room<R>(&mut self, at: usize, f: impl FnOnce(Room<'_>) -> R) -> Option<R> {
        if !self.writable {
            return None;
        }
        self.mapped(at, |place, start, len| {
            // SAFETY: `len` bytes are mapped until after the call, are those of the pages, and may
            // be written by the type invariant.
            let result = f(unsafe { Room::new(start, len) });
            let touched = place.in_page.saturating_add(len).div_ceil(PAGE_SIZE);
            for page in self.pages.iter().skip(place.index).take(touched) {
                // SAFETY: The page is valid by the type invariant.
                unsafe { bindings::flush_dcache_page(*page) };
            }
            result
        })
    }
}

impl Drop for CallerPages {
    fn drop(&mut self) {
        match self.hold {
            // SAFETY: The pages are pinned by the type invariant, and this gives that back.
            Hold::Pin => unsafe {
                bindings::unpin_user_pages_dirty_lock(
                    self.pages.as_mut_ptr(),
                    self.pages.len(),
                    self.writable,
                )
            },
            Hold::Reference => {
                for page in self.pages.iter() {
                    // SAFETY: A reference of ours by the type invariant.
                    unsafe { bindings::page_folio_put(*page) };
                }
            }
        }
    }
}

/// The memory of a read or write call.
///
/// # Invariants
///
/// - `iter` is valid for `'a`, and only this uses it; it is of user memory, or of pages that have
///   references.
/// - It has advanced by `taken` bytes or more since this value was made.
pub(crate) struct CallerBuffer<'a> {
    iter: *mut bindings::iov_iter,
    /// Number of bytes that may still be taken.
    left: usize,
    taken: usize,
    writable: bool,
    _call: PhantomData<&'a mut bindings::iov_iter>,
}

impl<'a> CallerBuffer<'a> {
    /// The destination of a read call. [`None`] if that is memory of the kernel that does not
    /// consist of pages, or whose pages cannot be referenced.
    pub(crate) fn of_dest(to: &'a mut IovIterDest<'_>) -> Option<Self> {
        let len = to.len();
        // SAFETY: The iterator is valid, and borrowed for `'a`.
        unsafe { Self::new(to.as_raw(), len, true) }
    }

    /// The source of a write call. [`None`] as for [`Self::of_dest`].
    pub(crate) fn of_source(from: &'a mut IovIterSource<'_>) -> Option<Self> {
        let len = from.len();
        // SAFETY: As in `of_dest()`.
        unsafe { Self::new(from.as_raw(), len, false) }
    }

    /// # Safety
    ///
    /// `iter` is valid for `'a` and only the caller uses it; it is a destination if `writable`.
    unsafe fn new(iter: *mut bindings::iov_iter, left: usize, writable: bool) -> Option<Self> {
        // SAFETY: Valid by the safety requirement.
        if !unsafe { bindings::iov_iter_has_counted_pages(iter) } {
            return None;
        }
        // INVARIANT: Checked above; not advanced yet.
        Some(Self {
            iter,
            left,
            taken: 0,
            writable,
            _call: PhantomData,
        })
    }

    /// Number of bytes that may still be taken.
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Limits the bytes that may be taken to `len` from here on.
    pub(crate) fn limit(&mut self, len: usize) {
        self.left = self.left.min(len);
    }

    /// Takes the next pages, up to `max_bytes` and `max_pages`, and advances. Sleeps, and faults
    /// them in.
    ///
    /// # Errors
    ///
    /// `EFAULT` if not even the first byte is accessible, `ENOMEM`.
    pub(crate) fn pages(&mut self, max_bytes: usize, max_pages: usize) -> Result<CallerPages> {
        let max_bytes = max_bytes.min(self.left);
        let max_pages = i32::try_from(max_pages).unwrap_or(i32::MAX);
        // SAFETY: Valid by the type invariant.
        let max_pages = unsafe { bindings::iov_iter_npages(self.iter, max_pages) };
        let max_pages = usize::try_from(max_pages)?;

        let mut list = KVVec::new();
        list.extend_with(max_pages, core::ptr::null_mut(), GFP_KERNEL)?;
        let mut runs = KVVec::with_capacity(1, GFP_KERNEL)?;
        let mut pages = 0usize;
        let mut len = 0usize;
        let mut failure = EFAULT;
        while len < max_bytes && pages < max_pages {
            // Room for one more, before there are pages that could be lost.
            if let Err(error) = runs.reserve(1, GFP_KERNEL) {
                failure = error.into();
                break;
            }
            let Some(room) = list.get_mut(pages..) else {
                break;
            };
            let mut place = room.as_mut_ptr();
            let mut offset = 0usize;
            // SAFETY: The iterator is valid by the type invariant, and there is room for that many
            // pages at `place`.
            let taken = unsafe {
                bindings::iov_iter_extract_pages(
                    self.iter,
                    &mut place,
                    max_bytes - len,
                    // The maximum is that of an `i32`.
                    room.len() as u32,
                    0,
                    &mut offset,
                )
            };
            let taken = match usize::try_from(taken) {
                Ok(0) => break,
                Ok(taken) => taken,
                Err(_) => {
                    failure = Error::from_errno(taken as i32);
                    break;
                }
            };
            let run = Run {
                first: pages,
                offset,
                len: taken,
            };
            // There is room, as reserved above.
            let _ = runs.push_within_capacity(run);
            pages = pages.saturating_add(offset.saturating_add(taken).div_ceil(PAGE_SIZE));
            len = len.saturating_add(taken);
        }
        list.truncate(pages);
        // SAFETY: Valid by the type invariant.
        let hold = if unsafe { bindings::iov_iter_extract_will_pin(self.iter) } {
            Hold::Pin
        } else {
            for page in list.iter() {
                // SAFETY: Their owner keeps them until the call has ended, by references: that they
                // have references was checked when this value was made.
                unsafe { bindings::page_folio_get(*page) };
            }
            Hold::Reference
        };
        // INVARIANT: The iterator has advanced so far.
        self.taken = len;
        self.left = self.left.saturating_sub(len);
        // INVARIANT: Pinned, or referenced above. User memory that is a destination was pinned for
        // writing, and the caller may write other destinations.
        let pages = CallerPages {
            pages: list,
            runs,
            len,
            hold,
            writable: self.writable,
            cursor: Cursor::default(),
        };
        if len == 0 {
            return Err(failure);
        }
        Ok(pages)
    }

    /// Goes back by `len` unused bytes, which are limited to the last pages.
    pub(crate) fn give_back(&mut self, len: usize) {
        let len = len.min(self.taken);
        // SAFETY: The iterator is valid and has advanced so far, by the type invariant.
        unsafe { bindings::iov_iter_revert(self.iter, len) };
        // INVARIANT: The iterator went back by `len`.
        self.taken -= len;
        self.left = self.left.saturating_add(len);
    }
}
