// SPDX-License-Identifier: GPL-2.0

//! Pieces: where the bytes of a message lie, as pages.
//!
//! A message is spread over vectors, folios of the page cache, memory of its own and pages of the
//! caller. A [`Piece`] is as much of it as lies together: a first page, an offset and a length. A
//! device, or another subsystem, is given whole pieces; a copy maps them, as far as that goes at once. [`merged`]
//! makes one piece of neighbours, so that a folio of several pages is one entry of a list, however
//! many ranges of it a request has.
//!
//! Locks: none.

use crate::vfs::{
    bindings,
    mm::{
        folio::Folio,
        iov::SharedBytes, //
    },
};
use core::{
    cell::Cell,
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::page::PAGE_SIZE;

/// Bytes that lie together.
///
/// # Invariants
///
/// `len` bytes, at least one, begin `offset` bytes behind the start of `page`. Their pages lie
/// together, in memory and in the kernel's map of pages, and are valid for `'a`. They are in one page,
/// in one folio, or in the direct mapping. If there is a folio, `page` is its first page, and they are
/// within it.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    page: NonNull<bindings::page>,
    offset: usize,
    len: usize,
    /// The folio, if it may be referred to instead of a copy of it.
    folio: Option<&'a Folio>,
    _memory: PhantomData<&'a [u8]>,
}

impl<'a> Piece<'a> {
    /// `len` bytes at `offset` of a folio, which a reader may refer to instead of a copy if they are
    /// `shareable`; [`None`] if that is nothing.
    ///
    /// # Safety
    ///
    /// They are within the folio.
    pub(super) unsafe fn of_folio(
        folio: &'a Folio,
        offset: usize,
        len: usize,
        shareable: bool,
    ) -> Option<Self> {
        // SAFETY: The folio is valid, and the offset 0 is within it.
        let page = NonNull::new(unsafe { bindings::folio_page_at(folio.as_ptr(), 0) })?;
        // INVARIANT: By the safety requirement.
        (len != 0).then_some(Self {
            page,
            offset,
            len,
            folio: shareable.then_some(folio),
            _memory: PhantomData,
        })
    }

    /// `len` bytes at `offset` of a page; [`None`] if that is nothing.
    ///
    /// # Safety
    ///
    /// They are within the page, which is valid for `'a`.
    pub(super) unsafe fn of_page(
        page: *mut bindings::page,
        offset: usize,
        len: usize,
    ) -> Option<Self> {
        // INVARIANT: By the safety requirement.
        (len != 0).then_some(Self {
            page: NonNull::new(page)?,
            offset,
            len,
            folio: None,
            _memory: PhantomData,
        })
    }
}

impl<'a> Piece<'a> {
    /// As many of `bytes` as lie together: one page of memory of `vmalloc()`, all of what the slab
    /// has. [`None`] if there are none, or if they are in memory of another kind.
    #[cfg_attr(
        not(CONFIG_KUNIT = "y"),
        expect(dead_code, reason = "/dev/fuse copies, and gives no pages away")
    )]
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        let start = bytes.as_ptr();
        // SAFETY: Looks at the address only.
        let scattered = unsafe { bindings::is_vmalloc_addr(start.cast()) };
        // SAFETY: As long as the bytes are borrowed, their page does not change.
        let page = unsafe { bindings::page_of_memory(start.cast()) };
        let offset = start.addr() % PAGE_SIZE;
        let max = if scattered {
            PAGE_SIZE - offset
        } else {
            usize::MAX
        };
        // INVARIANT: Memory of the direct mapping lies together, and so does a page.
        (!bytes.is_empty()).then_some(Self {
            page: NonNull::new(page)?,
            offset,
            len: bytes.len().min(max),
            folio: None,
            _memory: PhantomData,
        })
    }

    /// How many bytes there are; not 0.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first of them, `len` at most, and one in any case.
    pub(crate) fn first(self, len: usize) -> Self {
        // INVARIANT: No more than there were.
        Self {
            len: self.len.min(len.max(1)),
            ..self
        }
    }

    /// What is left behind the first `len` bytes, if there is more.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn behind(self, len: usize) -> Option<Self> {
        let left = self.len.checked_sub(len).filter(|left| *left != 0)?;
        // INVARIANT: The last of those that there were.
        Some(Self {
            offset: self.offset.saturating_add(len),
            len: left,
            ..self
        })
    }

    /// The page of byte `at` of it, and where the byte is in that.
    fn place(&self, at: usize) -> (*mut bindings::page, usize) {
        let pos = self.offset.saturating_add(at);
        let page = self.page.as_ptr().wrapping_add(pos / PAGE_SIZE);
        (page, pos % PAGE_SIZE)
    }

    /// This and `next`, if they lie together in one folio and may be used in the same ways.
    fn joined(&self, next: &Self) -> Option<Self> {
        let len = self.len.checked_add(next.len)?;
        // Entries of lists have 32 bits for a length.
        u32::try_from(self.offset.checked_add(len)?).ok()?;
        if self.place(self.len) != next.place(0) || self.folio.is_some() != next.folio.is_some() {
            return None;
        }
        // SAFETY: The pages of both are valid by the type invariant.
        let together = unsafe {
            bindings::page_folio(self.place(0).0) == bindings::page_folio(next.place(0).0)
        };
        // INVARIANT: The pages of a folio lie together.
        together.then_some(Self { len, ..*self })
    }

    /// How many of the bytes one mapping has: all of them, or, on a machine that maps its memory page
    /// by page, those in the first page.
    fn reach(&self) -> usize {
        let (page, in_page) = self.place(0);
        let in_first = PAGE_SIZE - in_page;
        if self.len <= in_first {
            return self.len;
        }
        // SAFETY: The page is valid by the type invariant.
        let folio = unsafe { bindings::page_folio(page) };
        // SAFETY: That page keeps it alive.
        if unsafe { bindings::folio_test_partial_kmap(folio) } {
            in_first
        } else {
            self.len
        }
    }

    /// Calls `f` with as many of the bytes as can be mapped at once; the first of them in any case.
    /// `f` may run with them mapped for this CPU's task only, so it should be short.
    pub(crate) fn with_bytes<R>(&self, f: impl FnOnce(SharedBytes<'_>) -> R) -> R {
        let (page, in_page) = self.place(0);
        let len = self.reach();
        // SAFETY: The page is valid by the type invariant.
        let mapped = unsafe { bindings::kmap_local_page(page) };
        // SAFETY: Within the page that is mapped.
        let start = unsafe { mapped.cast::<u8>().add(in_page) };
        // SAFETY: So many are mapped until after `f`.
        let bytes = unsafe { SharedBytes::new(start, len) };
        let result = f(match self.folio {
            // SAFETY: They are at this offset of the folio, by the type invariant.
            Some(folio) => unsafe { bytes.in_folio(folio, self.offset) },
            None => bytes,
        });
        // SAFETY: Mapped above, and the last mapping of this task: `f` has undone its own.
        unsafe { bindings::kunmap_local(mapped) };
        result
    }
}

/// Pieces one after the other, where `piece` has the one that begins with a byte; from byte 0 on.
#[cfg_attr(
    not(CONFIG_KUNIT = "y"),
    expect(dead_code, reason = "/dev/fuse copies, and gives no pages away")
)]
pub(crate) fn in_turn<'a>(
    piece: impl Fn(usize) -> Option<Piece<'a>>,
) -> impl Iterator<Item = Piece<'a>> {
    let mut at = 0usize;
    core::iter::from_fn(move || {
        let next = piece(at)?;
        at = at.saturating_add(next.len());
        Some(next)
    })
}

/// The same bytes in as few pieces as possible: neighbours in one folio are one.
#[cfg_attr(
    not(CONFIG_KUNIT = "y"),
    expect(dead_code, reason = "/dev/fuse copies, and gives no pages away")
)]
pub(crate) fn merged<'a>(
    pieces: impl Iterator<Item = Piece<'a>>,
) -> impl Iterator<Item = Piece<'a>> {
    let mut pieces = pieces.peekable();
    core::iter::from_fn(move || {
        let mut piece = pieces.next()?;
        while let Some(more) = pieces.peek().and_then(|next| piece.joined(next)) {
            piece = more;
            pieces.next();
        }
        Some(piece)
    })
}

/// Where a list of ranges was used last: most accesses go on from there.
#[derive(Default)]
pub(super) struct Cursor(Cell<(usize, usize)>);

impl Cursor {
    /// The index of the range that byte `at` of all is in, and where that range starts; `len` has
    /// the length of each.
    pub(super) fn locate(
        &self,
        at: usize,
        len: impl Fn(usize) -> Option<usize>,
    ) -> Option<(usize, usize)> {
        let (mut index, mut start) = self.0.get();
        if at < start {
            (index, start) = (0, 0);
        }
        loop {
            let end = start.saturating_add(len(index)?);
            if at < end {
                self.0.set((index, start));
                return Some((index, start));
            }
            (index, start) = (index + 1, end);
        }
    }

    /// The list has changed.
    pub(super) fn reset(&self) {
        self.0.set((0, 0));
    }
}
