// SPDX-License-Identifier: GPL-2.0

//! Pieces: the bytes of a message, as pages.
//!
//! A message is spread over vectors, folios of the page cache, memory of its own and pages of the
//! caller. A [`Piece`] is a contiguous part of it: a first page, an offset and a length. A device,
//! or another subsystem, gets whole pieces; a copy maps them, as far as possible at once.
//! [`merged`] joins neighbours, so that a folio of several pages is one entry of a list, however
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
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Contiguous bytes.
///
/// # Invariants
///
/// `len` bytes, one or more, begin `offset` bytes behind the start of `page`. Their pages are
/// contiguous, in memory and in the kernel's map of pages, and are valid for `'a`. They are in one
/// page, in one folio, or in the direct mapping. If there is a folio, `page` is its first page, and
/// they are within it.
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
    /// `len` bytes at `offset` of a folio, which a reader may refer to instead of a copy if they
    /// are `shareable`; [`None`] if `len` is 0.
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

    /// `len` bytes at `offset` of a page; [`None`] if `len` is 0.
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
    /// The contiguous bytes at the start of `bytes`: one page of memory of `vmalloc()`, all bytes
    /// of slab memory. [`None`] if there are none, or if they are in memory of another kind.
    #[cfg_attr(
        not(any(CONFIG_KUNIT = "y", CONFIG_VIRTIO)),
        expect(dead_code, reason = "/dev/fuse copies, and gives no pages away")
    )]
    pub(crate) fn of_bytes(bytes: &'a [u8]) -> Option<Self> {
        let start = bytes.as_ptr();
        // SAFETY: Looks at the address only.
        let scattered = unsafe { bindings::is_vmalloc_addr(start.cast()) };
        // SAFETY: While the bytes are borrowed, their page does not change.
        let page = unsafe { bindings::page_of_memory(start.cast()) };
        let offset = start.addr() % PAGE_SIZE;
        let max = if scattered {
            PAGE_SIZE - offset
        } else {
            usize::MAX
        };
        // INVARIANT: Memory of the direct mapping is contiguous, and so is a page.
        (!bytes.is_empty()).then_some(Self {
            page: NonNull::new(page)?,
            offset,
            len: bytes.len().min(max),
            folio: None,
            _memory: PhantomData,
        })
    }

    /// Number of bytes; not 0.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The first bytes: up to `len`, and one in any case.
    pub(crate) fn first(self, len: usize) -> Self {
        // INVARIANT: Not more than before.
        Self {
            len: self.len.min(len.max(1)),
            ..self
        }
    }

    /// The bytes behind the first `len`, if there are any.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn behind(self, len: usize) -> Option<Self> {
        let left = self.len.checked_sub(len).filter(|left| *left != 0)?;
        // INVARIANT: The last of the bytes.
        Some(Self {
            offset: self.offset.saturating_add(len),
            len: left,
            ..self
        })
    }

    /// The page of byte `at` of it, and the offset of the byte in that.
    fn place(&self, at: usize) -> (*mut bindings::page, usize) {
        let pos = self.offset.saturating_add(at);
        let page = self.page.as_ptr().wrapping_add(pos / PAGE_SIZE);
        (page, pos % PAGE_SIZE)
    }

    /// Makes `entry` one of a list for a device, with all of it.
    ///
    /// # Safety
    ///
    /// `entry` is valid, and nothing else uses it.
    #[cfg(CONFIG_VIRTIO)]
    pub(in crate::vfs) unsafe fn fill_entry(&self, entry: *mut bindings::scatterlist) {
        let (page, in_page) = self.place(0);
        // A piece is no longer than a request, whose length has 32 bits.
        let len = u32::try_from(self.len).unwrap_or(u32::MAX);
        // SAFETY: By the safety requirement; the page is valid by the type invariant.
        unsafe { bindings::sg_fill(entry, page, len, in_page as u32) };
    }

    /// This and `next` as one, if they are contiguous in one folio and may be used in the same
    /// ways.
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
        // INVARIANT: The pages of a folio are contiguous.
        together.then_some(Self { len, ..*self })
    }

    /// The number of bytes in one mapping: all of them, or, on a machine that maps its memory page
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

    /// Calls `f` with as many of the bytes as can be mapped at once, one or more. `f` may run with
    /// them mapped for this CPU's task only, so it should be short.
    pub(crate) fn with_bytes<R>(&self, f: impl FnOnce(SharedBytes<'_>) -> R) -> R {
        let (page, in_page) = self.place(0);
        let len = self.reach();
        // SAFETY: The page is valid by the type invariant.
        let mapped = unsafe { bindings::kmap_local_page(page) };
        // SAFETY: Within the page that is mapped.
        let start = unsafe { mapped.cast::<u8>().add(in_page) };
        // SAFETY: `len` bytes are mapped until after `f`.
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

/// A piece that may be written.
///
/// # Invariants
///
/// Nothing else accesses its bytes for `'a`, but user space, if they are in pages of the caller.
#[cfg(CONFIG_VIRTIO)]
pub(crate) struct PieceMut<'a>(Piece<'a>);

#[cfg(CONFIG_VIRTIO)]
impl<'a> PieceMut<'a> {
    /// # Safety
    ///
    /// By the type invariant.
    pub(super) unsafe fn new(piece: Piece<'a>) -> Self {
        // INVARIANT: By the safety requirement.
        Self(piece)
    }

    /// All of `bytes`.
    pub(crate) fn of_bytes(bytes: &'a mut [u8]) -> impl Iterator<Item = PieceMut<'a>> {
        let bytes: &'a [u8] = bytes;
        // INVARIANT: They were borrowed exclusively, and each is in one of the pieces.
        in_turn(move |at| Piece::of_bytes(bytes.get(at..)?)).map(Self)
    }

    /// The same bytes.
    pub(in crate::vfs) fn as_piece(&self) -> &Piece<'a> {
        &self.0
    }

    /// The first of these pieces that are `len` bytes together.
    pub(crate) fn first(
        pieces: impl Iterator<Item = Self>,
        len: usize,
    ) -> impl Iterator<Item = Self> {
        let mut left = len;
        pieces.map_while(move |piece| {
            if left == 0 {
                return None;
            }
            // INVARIANT: No more than there were.
            let piece = Self(piece.0.first(left));
            left -= piece.0.len();
            Some(piece)
        })
    }
}

/// Pieces whose pages another subsystem may use for as long as it likes.
///
/// # Invariants
///
/// The folio of each page in `list` has a reference for this value to give back.
pub(crate) struct HeldPieces {
    list: KVVec<bindings::bio_vec>,
}

// SAFETY: References to folios can be given back by any task.
unsafe impl Send for HeldPieces {}

impl HeldPieces {
    /// Room for `max` pieces. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn with_capacity(max: usize) -> Result<Self> {
        // INVARIANT: There are none.
        Ok(Self {
            list: KVVec::with_capacity(max, GFP_KERNEL_ACCOUNT)?,
        })
    }

    /// Adds a piece, within the room asked for at first.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if the room is used up; `EFAULT` if the memory is not counted by pages.
    pub(crate) fn push(&mut self, piece: &Piece<'_>) -> Result {
        let (page, offset) = piece.place(0);
        let vector = bindings::bio_vec {
            bv_page: page,
            bv_len: u32::try_from(piece.len).map_err(|_| EFAULT)?,
            bv_offset: offset as u32,
        };
        if self.list.len() == self.list.capacity() {
            return Err(ENOMEM);
        }
        // SAFETY: The page is valid by the type invariant of the piece.
        if !unsafe { bindings::hold_page(page) } {
            return Err(EFAULT);
        }
        // INVARIANT: The reference was just taken; there is room.
        let _ = self.list.push_within_capacity(vector);
        Ok(())
    }

    /// The list, as C has it.
    pub(in crate::vfs) fn vectors(&self) -> &[bindings::bio_vec] {
        &self.list
    }
}

impl Drop for HeldPieces {
    fn drop(&mut self) {
        for vector in &self.list {
            // SAFETY: By the type invariant the reference is this value's.
            unsafe { bindings::put_held_page(vector.bv_page) };
        }
    }
}

/// Pieces one after the other, from byte 0 on; `piece` returns the one that begins with a byte.
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

/// The place of the last use of a list of ranges: most accesses continue there.
#[derive(Default)]
pub(super) struct Cursor(Cell<(usize, usize)>);

impl Cursor {
    /// The index of the range with byte `at` of all, and the start of that range; `len` returns the
    /// length of each.
    #[inline]
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
