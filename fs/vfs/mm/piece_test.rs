// SPDX-License-Identifier: GPL-2.0

//! Pieces of each kind of memory: their ends, and which ones are joined.

use crate::vfs::{
    bindings,
    mm::{
        folio::Folio,
        iov::Rooms,
        piece::{
            in_turn,
            merged,
            Cursor,
            Piece, //
        },
        segment::FolioSegments, //
    },
};
use core::ptr::NonNull;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// A folio of so many pages (as a power of two), with a pattern in it.
fn folio(order: u32) -> Result<ARef<Folio>> {
    // SAFETY: May be called in any context that may sleep.
    let folio = unsafe { bindings::folio_alloc(bindings::GFP_KERNEL, order) };
    let folio = NonNull::new(folio.cast()).ok_or(ENOMEM)?;
    // SAFETY: The allocation returned one reference, which the `ARef` takes over.
    let folio: ARef<Folio> = unsafe { ARef::from_raw(folio) };
    let bytes: KVVec<u8> = pattern(folio.size())?;
    // SAFETY: The folio is as long as the bytes, and only this has it.
    unsafe {
        bindings::memcpy_to_folio(folio.as_ptr(), 0, bytes.as_ptr().cast(), bytes.len());
    }
    Ok(folio)
}

fn pattern(len: usize) -> Result<KVVec<u8>> {
    let mut bytes = KVVec::with_capacity(len, GFP_KERNEL)?;
    for at in 0..len {
        bytes.push((at / 7 + at / PAGE_SIZE) as u8, GFP_KERNEL)?;
    }
    Ok(bytes)
}

/// The pieces of a part of a folio, cut every `step` bytes.
fn cut(folio: &Folio, start: usize, len: usize, step: usize) -> impl Iterator<Item = Piece<'_>> {
    let end = folio.size().min(start + len);
    in_turn(move |at| {
        let left = end.checked_sub(start + at)?;
        // SAFETY: They end at `end` or before, which is within the folio.
        unsafe { Piece::of_folio(folio, start + at, left.min(step), false) }
    })
}

/// Number of pieces, number of bytes, and whether these are those of the pattern from `start` on.
/// They are read as a copy reads them.
fn look<'a>(pieces: impl Iterator<Item = Piece<'a>>, start: usize) -> Result<(usize, usize, bool)> {
    let (mut count, mut len, mut right) = (0, 0, true);
    for piece in pieces {
        count += 1;
        let mut rest = piece;
        loop {
            let mut seen = KVVec::with_capacity(PAGE_SIZE, GFP_KERNEL)?;
            rest.with_bytes(|bytes| {
                for at in 0..bytes.len() {
                    // SAFETY: Within the bytes, which do not change.
                    let byte = unsafe { *bytes.as_ptr().add(at) };
                    // A byte that does not fit is read in the next turn.
                    let _ = seen.push_within_capacity(byte);
                }
            });
            for byte in seen.iter() {
                let at = start + len;
                right &= *byte == (at / 7 + at / PAGE_SIZE) as u8;
                len += 1;
            }
            match rest.behind(seen.len()) {
                Some(more) => rest = more,
                None => break,
            }
        }
    }
    Ok((count, len, right))
}

#[kunit_tests(vfs_piece)]
mod tests {
    use super::*;

    /// Neighbours in one folio are one piece, however they were cut.
    #[test]
    fn one_folio() -> Result {
        let folio = folio(2)?;
        for (start, len) in [
            (0, 1),
            (0, 4 * PAGE_SIZE),
            (100, 2 * PAGE_SIZE),
            (PAGE_SIZE, 5000),
        ] {
            for step in [1000, PAGE_SIZE, usize::MAX] {
                let cuts = len.div_ceil(step);
                assert_eq!(
                    look(cut(&folio, start, len, step), start)?,
                    (cuts, len, true)
                );
                let whole = merged(cut(&folio, start, len, step));
                assert_eq!(look(whole, start)?, (1, len, true));
            }
        }
        Ok(())
    }

    /// Pieces that are not in order, have a gap, or are in another folio stay apart.
    #[test]
    fn apart() -> Result {
        let (one, other) = (folio(1)?, folio(1)?);
        let page = |folio, nth| cut(folio, nth * PAGE_SIZE, PAGE_SIZE, PAGE_SIZE);
        assert_eq!(
            merged(Iterator::chain(page(&one, 1), page(&one, 0))).count(),
            2
        );
        assert_eq!(
            merged(Iterator::chain(page(&one, 0), page(&one, 0))).count(),
            2
        );
        assert_eq!(
            merged(Iterator::chain(page(&one, 1), page(&other, 0))).count(),
            2
        );
        assert_eq!(
            merged(Iterator::chain(page(&one, 0), page(&other, 1))).count(),
            2
        );
        assert_eq!(
            merged(Iterator::chain(page(&one, 0), page(&one, 1))).count(),
            1
        );
        let gap = Iterator::chain(cut(&one, 0, 10, 10), cut(&one, 11, 10, 10));
        assert_eq!(merged(gap).count(), 2);
        // Bytes that may be referred to are not joined with others.
        // SAFETY: The second page of the folio.
        let shared = unsafe { Piece::of_folio(&one, PAGE_SIZE, PAGE_SIZE, true) };
        assert_eq!(merged(Iterator::chain(page(&one, 0), shared)).count(), 2);
        Ok(())
    }

    /// Memory of the slab is contiguous; that of vmalloc() is so page by page.
    #[test]
    fn vectors() -> Result {
        let of = |bytes: &[u8]| -> Result<(usize, usize, bool)> {
            let pieces = in_turn(|at| Piece::of_bytes(bytes.get(at..)?));
            look(merged(pieces), 0)
        };
        for len in [1, 300, 3000] {
            assert_eq!(of(&pattern(len)?)?, (1, len, true));
        }
        let len = 5 * PAGE_SIZE + 10;
        let mut large = VVec::with_capacity(len, GFP_KERNEL)?;
        for byte in pattern(len)?.iter() {
            large.push(*byte, GFP_KERNEL)?;
        }
        let pages = in_turn(|at| Piece::of_bytes(large.get(at..)?));
        assert_eq!(look(pages, 0)?, (6, len, true));
        assert_eq!(of(&[])?, (0, 0, true));
        Ok(())
    }

    /// The pages of a request's own memory are pieces, from any byte on.
    #[test]
    fn segments() -> Result {
        let len = 3 * PAGE_SIZE - 100;
        let bytes = pattern(len)?;
        let mut all = FolioSegments::alloc(len)?;
        let mut done = 0;
        all.fill(0, len, |room| {
            let copied = room.copy_from(bytes.get(done..).unwrap_or(&[]).into());
            done += copied;
            copied
        });
        assert_eq!(look(in_turn(|at| all.piece(at)), 0)?, (3, len, true));
        for at in [0, 1, PAGE_SIZE - 1, PAGE_SIZE, len - 1] {
            let piece = all.piece(at).ok_or(EINVAL)?;
            assert_eq!(piece.len(), (len - at).min(PAGE_SIZE - at % PAGE_SIZE));
        }
        assert!(all.piece(len).is_none());
        Ok(())
    }

    /// A place is found forwards, backwards, and behind empty ranges.
    #[test]
    fn cursor() {
        let (cursor, lengths) = (Cursor::default(), [3usize, 0, 4, 1]);
        let find = |at| cursor.locate(at, |index| lengths.get(index).copied());
        for _ in 0..2 {
            assert_eq!(find(0), Some((0, 0)));
            assert_eq!(find(7), Some((3, 7)));
            assert_eq!(find(8), None);
            assert_eq!(find(3), Some((2, 3)));
            assert_eq!(find(6), Some((2, 3)));
            assert_eq!(find(2), Some((0, 0)));
        }
        cursor.reset();
        assert_eq!(find(3), Some((2, 3)));
    }
}
