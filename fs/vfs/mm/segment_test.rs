// SPDX-License-Identifier: GPL-2.0

//! Ranges of folios, one after the other.

use crate::vfs::mm::{
    iov::{
        Room,
        Rooms, //
    },
    segment::{
        FolioSegment,
        FolioSegments, //
    }, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// The value of the byte at `at`.
fn pattern(at: usize) -> u8 {
    (at / 3) as u8
}

/// Fills `len` bytes from `at` on, in pieces of maximum `piece` bytes.
fn fill(all: &mut FolioSegments, at: usize, len: usize, piece: usize) -> usize {
    let mut done = 0;
    while done < len {
        let want = piece.min(len - done);
        let mut pos = at + done;
        let filled = all.fill(pos, want, |room| {
            let mut bytes = KVVec::new();
            while bytes.len() < room.len() && bytes.push(pattern(pos), GFP_KERNEL).is_ok() {
                pos += 1;
            }
            room.copy_from(bytes.as_slice().into())
        });
        done += filled;
        if filled < want {
            break;
        }
    }
    done
}

/// A page of other bytes.
static OTHER: [u8; PAGE_SIZE] = [0xaa; PAGE_SIZE];

/// The byte at `at`.
fn byte(all: &mut FolioSegments, at: usize) -> Option<u8> {
    all.with_bytes(at, |bytes| {
        let mut byte = [0];
        (Room::from(&mut byte[..]).copy_from(bytes) == 1).then_some(byte[0])
    })?
}

#[kunit_tests(vfs_segment)]
mod tests {
    use crate::vfs::mm::segment_test::*;

    #[test]
    fn as_long_as_asked_for() -> Result {
        for len in [1, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, 5 * PAGE_SIZE] {
            let mut all = FolioSegments::alloc(len)?;
            assert_eq!(all.len(), len);
            assert_eq!(all.segments(), len.div_ceil(PAGE_SIZE));
            assert_eq!(fill(&mut all, 0, len + 1, usize::MAX), len);
            assert!(byte(&mut all, len).is_none());
        }
        Ok(())
    }

    /// A partial allocation fails, except for a caller that accepts it.
    #[test]
    fn as_many_pages_as_there_are() -> Result {
        for there in 0..4 {
            let mut left = there;
            let (some, failure) = FolioSegments::from_pages(3 * PAGE_SIZE - 1, || {
                if left == 0 {
                    return Err(ENOMEM);
                }
                left -= 1;
                FolioSegment::alloc()
            })?;
            assert_eq!(some.len(), (there * PAGE_SIZE).min(3 * PAGE_SIZE - 1));
            assert_eq!(failure, (there < 3).then_some(ENOMEM));
        }
        assert_eq!(
            FolioSegments::alloc_some(PAGE_SIZE + 1)?.len(),
            PAGE_SIZE + 1
        );
        assert_eq!(FolioSegments::alloc_some(0)?.len(), 0);
        assert_eq!(FolioSegments::alloc(0)?.len(), 0);
        Ok(())
    }

    #[test]
    fn filled_across_pages_in_any_pieces() -> Result {
        let len = 3 * PAGE_SIZE - 100;
        for piece in [7, 1000, PAGE_SIZE, len] {
            let mut all = FolioSegments::alloc(len)?;
            assert_eq!(fill(&mut all, 0, len, piece), len);
            // Backwards, so that the cached place of the last access does not help.
            for at in (0..len).rev().step_by(37) {
                assert_eq!(byte(&mut all, at), Some(pattern(at)));
            }
        }
        Ok(())
    }

    #[test]
    fn source_that_runs_dry() -> Result {
        let mut all = FolioSegments::alloc(2 * PAGE_SIZE)?;
        let mut left = PAGE_SIZE + 10;
        let filled = all.fill(0, 2 * PAGE_SIZE, |bytes| {
            let given = left.min(bytes.len());
            left -= given;
            given
        });
        assert_eq!(filled, PAGE_SIZE + 10);
        Ok(())
    }

    #[test]
    fn zeroed_tail() -> Result {
        let len = 3 * PAGE_SIZE;
        for from in [0, 5, PAGE_SIZE, PAGE_SIZE + 7, len] {
            let mut all = FolioSegments::alloc(len)?;
            assert_eq!(
                all.fill(0, len, |room| room.copy_from(OTHER[..].into())),
                len
            );
            all.zero_from(from);
            for at in 0..len {
                let expected = if at < from { 0xaa } else { 0 };
                assert_eq!(byte(&mut all, at), Some(expected));
            }
        }
        Ok(())
    }

    #[test]
    fn no_more_than_there_is_room_for() -> Result {
        let mut all = FolioSegments::with_capacity(1)?;
        assert_eq!(all.segments(), 0);
        assert!(all.push(FolioSegment::alloc()?).is_ok());
        let back = all.push(FolioSegment::alloc()?);
        assert!(back.is_err_and(|segment| segment.len() == PAGE_SIZE));
        assert!(all.pop().is_some() && all.len() == 0 && all.pop().is_none());
        Ok(())
    }
}
