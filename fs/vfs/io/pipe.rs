// SPDX-License-Identifier: GPL-2.0

//! Messages by `splice(2)`: pages put into a pipe, and pages taken out of one.
//!
//! Bytes of the page cache are not copied into a pipe: it refers to their folio. Who reads the pipe
//! later sees what is there then. What is put into a pipe has the kernel's own buffer operations,
//! because it may outlive this module.
//!
//! C header: `include/linux/pipe_fs_i.h`.

use super::super::{
    bindings,
    mm::{
        folio::{
            Folio,
            FreePage, //
        },
        iov::{
            Dest,
            Room,
            SharedBytes,
            Source, //
        },
    },
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop, //
};
use kernel::{
    error::to_result,
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::aref::ARef,
    types::NotThreadSafe, //
};

/// One page of a message that is on its way into a pipe.
enum Piece {
    /// A page of our own, and how many bytes are in it, from its start.
    Own(Page, usize),
    /// Bytes of a folio that others may change: where, and how many. All are in one page.
    Shared(ARef<Folio>, usize, usize),
}

/// A pipe that a reader wants one message in.
///
/// # Invariants
///
/// `pipe` is valid for `'a`, and the current task has locked it or is the only one that knows it.
pub(crate) struct PipeDest<'a> {
    pipe: *mut bindings::pipe_inode_info,
    /// As many as the pipe may have buffers have room here.
    pieces: KVVec<Piece>,
    /// Pages for the next pieces of our own.
    spare: Spare,
    /// Bytes that the reader asked for and that are not there yet.
    room: usize,
    _pipe: PhantomData<&'a ()>,
    _locked: NotThreadSafe,
}

impl PipeDest<'_> {
    /// # Safety
    ///
    /// The type invariant holds while the value lives.
    pub(super) unsafe fn new(pipe: *mut bindings::pipe_inode_info, room: usize) -> Result<Self> {
        // SAFETY: `pipe` is valid, and nobody else changes it.
        let max = unsafe { (*pipe).max_usage } as usize;
        // INVARIANT: As the caller promises.
        Ok(Self {
            pipe,
            pieces: KVVec::with_capacity(max, GFP_KERNEL)?,
            spare: Spare::default(),
            room,
            _pipe: PhantomData,
            _locked: NotThreadSafe,
        })
    }

    /// The page of our own that the next bytes are copied to, and how many are in it, less than
    /// all; [`None`] if it has to be made by `fault_in` first.
    fn last_own(&mut self) -> Option<(&Page, &mut usize)> {
        let full =
            !matches!(self.pieces.last(), Some(Piece::Own(_, filled)) if *filled < PAGE_SIZE);
        if full {
            let page = self.spare.take()?;
            if let Err(full) = self.pieces.push_within_capacity(Piece::Own(page, 0)) {
                // Kept, because nothing is freed here.
                if let Piece::Own(page, _) = full.0 {
                    self.spare.put_back(page);
                }
                return None;
            }
        }
        match self.pieces.last_mut() {
            Some(Piece::Own(page, filled)) => Some((page, filled)),
            _ => None,
        }
    }

    /// Puts the whole message into the pipe; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// `EIO` if the pipe has no room for it; `EPIPE` if nobody reads it.
    pub(super) fn commit(mut self) -> Result<usize> {
        // SAFETY: The pipe is valid and locked by the type invariant.
        let (used, max) = unsafe { (bindings::pipe_buf_usage(self.pipe), (*self.pipe).max_usage) };
        if used as usize + self.pieces.len() > max as usize {
            return Err(EIO);
        }
        let mut total = 0;
        for piece in core::mem::take(&mut self.pieces) {
            let (page, offset, len) = match piece {
                Piece::Own(page, len) => (ManuallyDrop::new(page).as_ptr(), 0, len),
                Piece::Shared(folio, offset, len) => {
                    let folio = ARef::into_raw(folio).as_ptr().cast();
                    // SAFETY: The folio is alive, and the offset within it.
                    let page = unsafe { bindings::folio_page_at(folio, offset) };
                    (page, offset % PAGE_SIZE, len)
                }
            };
            let mut buffer = bindings::pipe_buffer {
                page,
                offset: offset as u32,
                len: len as u32,
                ops: &raw const bindings::nosteal_pipe_buf_ops,
                ..Default::default()
            };
            // SAFETY: The pipe is valid and locked; the buffer's reference to its page is that of
            // the piece, which the call takes over in any case.
            let added = unsafe { bindings::add_to_pipe(self.pipe, &mut buffer) };
            // As a rule all goes well: nobody is called to find that out.
            if added < 0 {
                if total == 0 {
                    return Err(Error::from_errno(added as i32));
                }
                break;
            }
            total += len;
        }
        Ok(total)
    }
}

impl Dest for PipeDest<'_> {
    fn len(&self) -> usize {
        self.room
    }

    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        let room = self.room;
        if let Some((folio, offset)) = bytes.folio() {
            let len = bytes.len().min(room);
            let piece = Piece::Shared(folio.into(), offset, len);
            return match self.pieces.push_within_capacity(piece) {
                Ok(()) => {
                    self.room -= len;
                    len
                }
                // The folio is not ours alone, so this is not its last reference.
                Err(_full) => 0,
            };
        }
        let (mut from, len) = (bytes.as_ptr(), bytes.len().min(room));
        let mut left = len;
        while left != 0 {
            let Some((page, filled)) = self.last_own() else {
                break;
            };
            let part = left.min(PAGE_SIZE - *filled);
            // SAFETY: `bytes` has `left` more bytes at `from`, and room for as many as are copied is
            // left of the page, which is not in the pipe yet, so that nobody else accesses it. What
            // others may do to `bytes` meanwhile changes only what is copied.
            unsafe { bindings::memcpy_to_page(page.as_ptr(), *filled, from.cast(), part) };
            *filled += part;
            left -= part;
            // SAFETY: Within the bytes, or just behind them.
            from = unsafe { from.add(part) };
        }
        self.room -= len - left;
        len - left
    }

    fn fault_in(&mut self, len: usize) -> Result {
        let free = self.pieces.capacity().saturating_sub(self.pieces.len());
        if free == 0 || self.room == 0 {
            return Err(EIO);
        }
        // Who has filled a page goes on as a rule with bytes that have to be copied. Before that,
        // and behind a piece that is shared, it is not known.
        let copying = self.pieces.len() > 1 && matches!(self.pieces.last(), Some(Piece::Own(..)));
        let pages = if copying { len.div_ceil(PAGE_SIZE) } else { 1 };
        self.spare.fill(pages.min(free))
    }
}

/// Empty pages, allocated while that may sleep.
///
/// # Invariants
///
/// The first `count` of `pages` are there, the others are not.
#[derive(Default)]
struct Spare {
    pages: [Option<Page>; Self::MAX],
    count: usize,
}

impl Spare {
    const MAX: usize = 16;

    /// Allocates what is missing to `count` pages, or to as many as it keeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is none then.
    fn fill(&mut self, count: usize) -> Result {
        while self.count < count {
            let Some(place) = self.pages.get_mut(self.count) else {
                break;
            };
            match Page::alloc_page(GFP_KERNEL) {
                Ok(page) => *place = Some(page),
                Err(_) if self.count > 0 => break,
                Err(error) => return Err(error.into()),
            }
            // INVARIANT: The page at the old count was just put there.
            self.count += 1;
        }
        Ok(())
    }

    fn take(&mut self) -> Option<Page> {
        let last = self.count.checked_sub(1)?;
        // INVARIANT: What is at the new count is taken.
        self.count = last;
        self.pages.get_mut(last)?.take()
    }

    /// Puts one back that was taken.
    fn put_back(&mut self, page: Page) {
        if let Some(place) = self.pages.get_mut(self.count) {
            // INVARIANT: The page at the old count is there now.
            *place = Some(page);
            self.count += 1;
        }
    }
}

/// One message that was taken out of a pipe.
///
/// # Invariants
///
/// `pipe` is valid for `'a`, and not locked by the current task. Each element of `buffers` is a
/// buffer of it, and owns a reference to its page, or has no operations any more.
pub(crate) struct PipeSource<'a> {
    pipe: *mut bindings::pipe_inode_info,
    buffers: KVVec<bindings::pipe_buffer>,
    /// The buffer to copy from next, and the first one whose content is not confirmed.
    at: usize,
    confirmed: usize,
    /// Whether the writer gives pages away (`SPLICE_F_MOVE`), and none was held back so far.
    moves: bool,
    left: usize,
    _pipe: PhantomData<&'a ()>,
}

impl PipeSource<'_> {
    /// Takes `len` bytes out of the pipe.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are fewer in it, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `pipe` is valid while the value lives, and not locked by the current task.
    pub(super) unsafe fn new(
        pipe: *mut bindings::pipe_inode_info,
        len: usize,
        moves: bool,
    ) -> Result<Self> {
        // INVARIANT: As the caller promises; there are no buffers yet.
        let mut source = Self {
            pipe,
            buffers: KVVec::new(),
            at: 0,
            confirmed: 0,
            moves,
            left: len,
            _pipe: PhantomData,
        };
        // SAFETY: The pipe is valid.
        unsafe { bindings::pipe_lock(pipe) };
        let taken = source.take(len);
        // SAFETY: Locked above.
        unsafe { bindings::pipe_unlock(pipe) };
        taken?;
        Ok(source)
    }

    /// Moves the first `len` bytes from the locked pipe to `buffers`.
    fn take(&mut self, len: usize) -> Result {
        // SAFETY: The pipe is valid and locked.
        let count = unsafe { bindings::pipe_buf_usage(self.pipe) };
        self.buffers = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
        let mut there = 0usize;
        for nth in 0..count {
            // SAFETY: There are `count` buffers in the pipe, which is locked.
            let buffer = unsafe { bindings::pipe_tail_buf(self.pipe, nth) };
            // SAFETY: The buffer is in use.
            there += unsafe { (*buffer).len } as usize;
        }
        if there < len {
            return Err(EINVAL);
        }
        let mut left = len;
        while left != 0 {
            // SAFETY: The pipe is locked, and `left` bytes are still in it.
            let buffer = unsafe { bindings::pipe_tail_buf(self.pipe, 0) };
            // SAFETY: The buffer is in use.
            let mut taken = unsafe { *buffer };
            if taken.len as usize <= left {
                // SAFETY: The buffer is in use; from here on it is `taken`'s alone.
                unsafe { (*buffer).ops = core::ptr::null() };
                // SAFETY: The pipe is locked, and its first buffer was taken.
                unsafe { bindings::pipe_tail_advance(self.pipe) };
            } else {
                // SAFETY: The pipe is locked and the buffer in use.
                if !unsafe { bindings::pipe_buf_get(self.pipe, buffer) } {
                    return Err(EINVAL);
                }
                taken.flags &= !bindings::PIPE_BUF_FLAG_GIFT;
                taken.len = left as u32;
                // SAFETY: The buffer is in use, and longer than what is taken from it.
                unsafe { (*buffer).offset += taken.len };
                // SAFETY: As above.
                unsafe { (*buffer).len -= taken.len };
            }
            left -= taken.len as usize;
            // INVARIANT: `taken` has a reference of its own, moved or made above.
            self.buffers.push(taken, GFP_KERNEL)?;
        }
        Ok(())
    }
}

impl Source for PipeSource<'_> {
    fn len(&self) -> usize {
        self.left
    }

    fn copy_nofault(&mut self, mut room: Room<'_>) -> usize {
        if self.at >= self.confirmed {
            return 0;
        }
        let Some(buffer) = self.buffers.get_mut(self.at) else {
            return 0;
        };
        let len = room.len().min(buffer.len as usize);
        // SAFETY: The buffer owns a reference to its page, and its range lies within it; there
        // is room for `len` bytes. What others may do to the page meanwhile changes only what is
        // copied.
        unsafe {
            bindings::memcpy_from_page(
                room.as_mut_ptr().cast(),
                buffer.page,
                buffer.offset as usize,
                len,
            )
        };
        buffer.offset += len as u32;
        buffer.len -= len as u32;
        self.left -= len;
        if buffer.len == 0 {
            self.at += 1;
        }
        len
    }

    fn fault_in(&mut self, len: usize) -> Result {
        let mut left = len;
        self.confirmed = self.at;
        loop {
            let buffer = self.buffers.get_mut(self.confirmed).ok_or(EIO)?;
            // SAFETY: The buffer is valid by the type invariant.
            to_result(unsafe { bindings::pipe_buf_confirm(self.pipe, buffer) })?;
            self.confirmed += 1;
            left = left.saturating_sub(buffer.len as usize);
            if left == 0 {
                return Ok(());
            }
        }
    }

    fn has_page(&self) -> bool {
        let next = self.buffers.get(self.at);
        self.moves && next.is_some_and(|next| (next.offset, next.len as usize) == (0, PAGE_SIZE))
    }

    fn take_page(&mut self) -> Result<Option<FreePage>> {
        if !self.has_page() {
            return Ok(None);
        }
        self.fault_in(PAGE_SIZE)?;
        let Some(buffer) = self.buffers.get_mut(self.at) else {
            return Ok(None);
        };
        // SAFETY: The buffer is valid by the type invariant, and its content is confirmed.
        if !unsafe { bindings::pipe_buf_try_steal(self.pipe, buffer) } {
            // The others are of the same kind as a rule: all are copied, many at once.
            self.moves = false;
            return Ok(None);
        }
        // SAFETY: The buffer has a reference to its page.
        let folio = unsafe { Folio::from_raw(bindings::page_folio(buffer.page)) };
        let on_lru = buffer.flags & bindings::PIPE_BUF_FLAG_LRU != 0;
        // SAFETY: Who gives a page away has locked it, owns it alone, has taken it out of its
        // mapping, and says whether it is on a list. Nobody looks at the buffer's bytes while it
        // is locked.
        let Some(page) = (unsafe { FreePage::from_locked(folio.into(), on_lru) }) else {
            return Ok(None);
        };
        // The reference of the buffer goes first, while there is another: a pipe keeps a page of
        // its own for later when it is the last to use it.
        // SAFETY: The buffer owns a reference by the type invariant; this is its last use, because
        // it has no operations then.
        unsafe { bindings::pipe_buf_release(self.pipe, buffer) };
        self.at += 1;
        self.left = self.left.saturating_sub(PAGE_SIZE);
        Ok(Some(page))
    }
}

impl Drop for PipeSource<'_> {
    fn drop(&mut self) {
        // SAFETY: The pipe is valid and not locked by the type invariant.
        unsafe { bindings::pipe_lock(self.pipe) };
        for buffer in self.buffers.iter_mut() {
            if buffer.ops.is_null() {
                continue;
            }
            // SAFETY: The buffer owns a reference by the type invariant; this is its last use.
            unsafe { bindings::pipe_buf_release(self.pipe, buffer) };
        }
        // SAFETY: Locked above.
        unsafe { bindings::pipe_unlock(self.pipe) };
    }
}
