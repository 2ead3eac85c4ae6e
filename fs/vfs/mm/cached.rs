// SPDX-License-Identifier: GPL-2.0

//! Ranges of the page cache: written ones on their way to the file, and cached ones.
//!
//! A folio of the cache is taken with [`begin_write`], filled by [`Filling`], and kept as a
//! [`CachedRange`] until the file's storage has its bytes. A folio of which every byte has the
//! contents of the file is unlocked as soon as it is filled; one that was never read in and is
//! written in part stays locked, because a read of the rest must not overtake the write.
//!
//! [`find`] takes cached bytes, and [`try_store`] caches bytes of the file.
//!
//! Locks: folio locks, in the order of the file; the caller holds the inode's lock, which excludes
//! other writers. An unlocked folio may still be changed (by truncation), so its bytes are only
//! lent as a [`Piece`].

use crate::vfs::{
    bindings,
    mm::{
        folio::{
            Folio,
            Locked, //
        },
        piece::{
            Cursor,
            Piece, //
        },
    },
    mount::sb::FileSystem,
    node::inode::INode, //
};
use kernel::{
    iov::IovIterSource,
    page::PAGE_SHIFT,
    prelude::*,
    sync::aref::ARef, //
};

/// A folio of the page cache that is about to be written from one position on.
pub(crate) struct Filling {
    folio: Locked<ARef<Folio>>,
    /// The offset of the position in the folio, in bytes.
    offset: usize,
    /// Whether user space has a shared mapping through which it could store to the file.
    writably_mapped: bool,
}

/// The folio of `inode` with the byte at `pos`, which is made if necessary: for `len` bytes from
/// there on, if the mapping has folios of several pages. May sleep.
///
/// # Errors
///
/// `EINVAL` if it is not a regular file, as the pages of others have owners (see
/// [`super::dir_page`]), or if there is no such position. `ENOMEM`.
pub(crate) fn begin_write<T: FileSystem>(
    inode: &INode<T>,
    pos: i64,
    len: usize,
) -> Result<Filling> {
    if !inode.is_reg() || pos < 0 {
        return Err(EINVAL);
    }
    // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
    let mapping = unsafe { (*inode.as_ptr()).i_mapping };
    // SAFETY: The mapping is that of a referenced inode.
    let folio = unsafe { bindings::write_begin_folio(mapping, pos, len) };
    // SAFETY: The folio comes with a reference.
    let folio = unsafe { Folio::referenced(folio) }?;
    let offset = pos as usize & folio.size().wrapping_sub(1);
    Ok(Filling {
        // SAFETY: The folio comes locked, and is ours to unlock.
        folio: unsafe { Locked::from_locked(folio) },
        offset,
        // SAFETY: As above.
        writably_mapped: unsafe { bindings::mapping_writably_mapped(mapping) },
    })
}

/// The index of the page with the byte at `pos`.
fn index_of(pos: u64) -> usize {
    // The maximum file size is limited so that the page cache can number the pages.
    (pos >> PAGE_SHIFT) as usize
}

/// The cached bytes of `inode` from `pos` on: up to `max` bytes, all in one folio.
///
/// [`None`] if there is no folio, or if it does not have the contents of the file: its bytes are
/// arbitrary then.
pub(crate) fn find<T: FileSystem>(inode: &INode<T>, pos: u64, max: usize) -> Option<CachedRange> {
    // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
    let mapping = unsafe { (*inode.as_ptr()).i_mapping };
    // SAFETY: The mapping is that of a referenced inode.
    let folio = unsafe { bindings::filemap_get_folio(mapping, index_of(pos)) };
    // SAFETY: The folio comes with a reference.
    let folio = unsafe { Folio::referenced(folio) }.ok()?;
    if !folio.is_uptodate() {
        return None;
    }
    let size = folio.size();
    let offset = pos as usize & size.wrapping_sub(1);
    let len = size.saturating_sub(offset).min(max);
    // INVARIANT: Within the folio, which is referenced.
    Some(CachedRange {
        held: Held::Unlocked(folio),
        offset,
        len,
        at_end: offset.saturating_add(len) == size,
    })
}

/// The result of storing bytes.
pub(crate) enum Stored {
    /// So many of them are in the cache.
    Bytes(usize),
    /// None of them is: the folio is locked.
    Busy,
}

/// Puts `bytes`, which the file has at `pos`, into the cache of `inode`; `at_end` tells that the
/// file ends behind them. Stores all of them that go into the folio of `pos`, unless that is
/// locked. May sleep, but does not wait for the lock.
///
/// The folio becomes readable if all of it is known then. The bytes behind the end of the file are
/// zero.
///
/// # Errors
///
/// `ENOMEM`; `EINVAL` if it is not a regular file: only those have these bytes in the cache.
pub(crate) fn try_store<T: FileSystem>(
    inode: &INode<T>,
    pos: u64,
    bytes: &[u8],
    at_end: bool,
) -> Result<Stored> {
    if !inode.is_reg() {
        return Err(EINVAL);
    }
    // SAFETY: There is a reference; `i_mapping` does not change once the inode is in use.
    let mapping = unsafe { (*inode.as_ptr()).i_mapping };
    // SAFETY: The mapping is that of a referenced inode.
    let folio = unsafe { bindings::filemap_make_folio(mapping, index_of(pos)) };
    // SAFETY: The folio comes with a reference.
    let folio = unsafe { Folio::referenced(folio) }?;
    let Ok(folio) = Folio::try_lock(folio) else {
        return Ok(Stored::Busy);
    };
    if !folio.is_in(mapping) {
        // It was dropped meanwhile.
        return Ok(Stored::Busy);
    }
    let size = folio.size();
    let offset = pos as usize & size.wrapping_sub(1);
    let len = size.saturating_sub(offset).min(bytes.len());

    // SAFETY: Both ranges have `len` bytes. The folio is locked; other accesses to its bytes are
    // those of user space or C.
    unsafe { bindings::memcpy_to_folio(folio.as_ptr(), offset, bytes.as_ptr().cast(), len) };
    let all = len == size || (at_end && len == bytes.len());
    if offset == 0 && all && !folio.is_uptodate() {
        // SAFETY: The range is within the folio, which is locked and which is not read yet.
        unsafe { bindings::folio_zero_segment(folio.as_ptr(), len, size) };
        // SAFETY: The folio is locked, and every byte of it was set just now.
        unsafe { bindings::iomap_folio_mark_uptodate(folio.as_ptr()) };
    }
    Ok(Stored::Bytes(len))
}

impl Filling {
    /// Number of bytes from the position to the end of the folio.
    pub(crate) fn room(&self) -> usize {
        self.folio.size().saturating_sub(self.offset)
    }

    /// Copies up to `max` bytes from `from`, as far as they are present in memory; [`None`] if
    /// there are none: they have to be faulted in, by a task that does not hold the folio.
    ///
    /// Never sleeps.
    pub(crate) fn fill(self, max: usize, from: &mut IovIterSource<'_>) -> Option<CachedRange> {
        let Self {
            folio,
            offset,
            writably_mapped,
        } = self;
        let size = folio.size();
        let room = size.saturating_sub(offset).min(max);
        if writably_mapped {
            // SAFETY: The folio is alive.
            unsafe { bindings::flush_dcache_folio(folio.as_ptr()) };
        }
        // SAFETY: The range is within the folio, which is locked; other accesses to the bytes are
        // those of user space or C. The source is valid.
        let copied = unsafe {
            bindings::copy_folio_from_iter_atomic(folio.as_ptr(), offset, room, from.as_raw())
        };
        // SAFETY: The folio is alive.
        unsafe { bindings::flush_dcache_folio(folio.as_ptr()) };
        if copied == 0 {
            return None;
        }
        if copied == size {
            // SAFETY: The folio is locked, and all of it was written just now.
            unsafe { bindings::iomap_folio_mark_uptodate(folio.as_ptr()) };
        }
        let held = if folio.is_uptodate() {
            Held::Unlocked(folio.unlock())
        } else {
            Held::Locked(folio)
        };
        Some(CachedRange {
            held,
            offset,
            len: copied,
            at_end: offset.saturating_add(copied) == size,
        })
    }
}

/// How a folio is held until its bytes have been stored.
enum Held {
    /// Its contents are those of the file, and every task may read them.
    Unlocked(ARef<Folio>),
    /// Only a part of it is known; it is unlocked when this is dropped.
    Locked(Locked<ARef<Folio>>),
}

impl Held {
    fn folio(&self) -> &Folio {
        match self {
            Self::Unlocked(folio) => folio,
            Self::Locked(folio) => folio,
        }
    }
}

/// Bytes of the page cache to be stored, in the file or elsewhere.
///
/// # Invariants
///
/// `offset + len` is within the folio. That is referenced; its size does not change, since a folio
/// with other references is not split.
pub(crate) struct CachedRange {
    held: Held,
    offset: usize,
    len: usize,
    at_end: bool,
}

impl CachedRange {
    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether the folio is still locked, because only a part of it is known.
    pub(crate) fn is_locked(&self) -> bool {
        matches!(self.held, Held::Locked(_))
    }

    /// Whether the range ends where its folio ends.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// The bytes from `at` on, which may be referred to. [`None`] if the range ends at or before
    /// it.
    fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let left = self.len.checked_sub(at)?;
        let offset = self.offset.saturating_add(at);
        // SAFETY: Within the range, so by the type invariant within the folio.
        unsafe { Piece::of_folio(self.held.folio(), offset, left, true) }
    }

    /// Waits until the folio is not being written back. Sleeps.
    fn wait_writeback(&self) {
        // SAFETY: The folio is alive.
        unsafe { bindings::folio_wait_writeback(self.held.folio().as_ptr()) };
    }
}

/// Written ranges, one after the other: the data of a write request.
#[derive(Default)]
pub(crate) struct CachedRanges {
    list: KVVec<CachedRange>,
    /// Number of bytes of all.
    len: usize,
    cursor: Cursor,
}

impl CachedRanges {
    /// Room for `max` ranges. May sleep.
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

    /// Adds a range at the end, within the initial room.
    ///
    /// # Errors
    ///
    /// The range is returned when the room is used up.
    pub(crate) fn push(&mut self, range: CachedRange) -> Result<(), CachedRange> {
        let Some(len) = self.len.checked_add(range.len()) else {
            return Err(range);
        };
        self.list
            .push_within_capacity(range)
            .map_err(|full| full.0)?;
        self.len = len;
        Ok(())
    }

    /// Number of bytes of all ranges.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of ranges.
    pub(crate) fn ranges(&self) -> usize {
        self.list.len()
    }

    /// Waits until none of the folios is being written back. Sleeps.
    pub(crate) fn wait_writeback(&self) {
        for range in self.list.iter() {
            range.wait_writeback();
        }
    }

    /// The contiguous bytes at `at`. [`None`] if all ranges end at or before it.
    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let (index, start) = self
            .cursor
            .locate(at, |index| self.list.get(index).map(CachedRange::len))?;
        self.list.get(index)?.piece(at - start)
    }
}
