// SPDX-License-Identifier: GPL-2.0

//! Messages by `splice(2)`: pages put into a pipe, and pages taken out of one.
//!
//! Bytes of the page cache are not copied into a pipe: it refers to their folio, and a later reader
//! of the pipe sees the contents at that time. Buffers put into a pipe have the kernel's own buffer
//! operations, because they may outlive this module.
//!
//! C header: `include/linux/pipe_fs_i.h`.

use crate::vfs::{
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

/// One page of a message that is being put into a pipe.
enum Piece {
    /// A page of our own, and the number of bytes in it, from its start.
    Own(Page, usize),
    /// Bytes of a folio that others may change: offset and length. All are in one page.
    Shared(ARef<Folio>, usize, usize),
}

/// A pipe that a reader wants one message in.
///
/// # Invariants
///
/// - `pipe` is valid for `'a`, and the current task has locked it or is the only one that can reach
///   it.
/// - `used` is not more than the number of pieces; those behind are empty pages of our own.
pub(crate) struct PipeDest<'a> {
    pipe: *mut bindings::pipe_inode_info,
    /// There is room for the maximum number of buffers of the pipe. The first `used` are the
    /// message.
    pieces: KVVec<Piece>,
    used: usize,
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
        // SAFETY: `pipe` is valid, and no other task changes it.
        let max = unsafe { (*pipe).max_usage } as usize;
        // INVARIANT: As the caller promises.
        Ok(Self {
            pipe,
            pieces: KVVec::with_capacity(max, GFP_KERNEL)?,
            used: 0,
            room,
            _pipe: PhantomData,
            _locked: NotThreadSafe,
        })
    }

    /// The last piece, if there is one.
    fn last(&mut self) -> Option<&mut Piece> {
        self.pieces.get_mut(self.used.checked_sub(1)?)
    }

    /// The page of our own for the next bytes, and the number of bytes in it, which is less than a
    /// page, and 0 if an `empty` one is required; [`None`] if `fault_in` has to make it first.
    fn open_page(&mut self, empty: bool) -> Option<(&Page, &mut usize)> {
        let goes_on = matches!(self.last(), Some(Piece::Own(_, filled)) if *filled < PAGE_SIZE);
        if empty || !goes_on {
            self.pieces.get(self.used)?;
            // INVARIANT: There is one more, as checked above.
            self.used += 1;
        }
        match self.last()? {
            Piece::Own(page, filled) => Some((page, filled)),
            Piece::Shared(..) => None,
        }
    }

    /// Refers to a part of a folio that is in one page; returns whether there was room for that.
    fn share(&mut self, folio: ARef<Folio>, offset: usize, len: usize) -> bool {
        // The folio has other references: if there is no room, this was not its last one.
        let piece = Piece::Shared(folio, offset, len);
        let shared = self.pieces.push_within_capacity(piece).is_ok();
        if shared {
            // Empty pages go behind it.
            if let Some([first, .., last]) = self.pieces.get_mut(self.used..) {
                core::mem::swap(first, last);
            }
            // INVARIANT: It is the first of those behind now, and full.
            self.used += 1;
        }
        shared
    }

    /// Refers to a part of a folio, page by page, as far as there is room; returns the length done.
    fn share_all(&mut self, folio: &Folio, offset: usize, len: usize) -> usize {
        let mut done = 0usize;
        while done < len {
            let at = offset.saturating_add(done);
            let part = (len - done).min(PAGE_SIZE - at % PAGE_SIZE);
            if !self.share(folio.into(), at, part) {
                break;
            }
            done += part;
        }
        self.room = self.room.saturating_sub(done);
        done
    }

    /// Puts the whole message into the pipe; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// `EIO` if the pipe has no room for it; `EPIPE` if it has no reader.
    pub(super) fn commit(mut self) -> Result<usize> {
        // SAFETY: The pipe is valid and locked by the type invariant.
        let (used, max) = unsafe { (bindings::pipe_buf_usage(self.pipe), (*self.pipe).max_usage) };
        if used as usize + self.used > max as usize {
            return Err(EIO);
        }
        let mut total = 0;
        self.pieces.truncate(self.used);
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
            // Usually all goes well, and a comparison is cheaper than a call.
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
        let (mut from, len) = (bytes.as_ptr(), bytes.len().min(self.room));
        if let Some((folio, offset)) = bytes.folio() {
            return self.share_all(folio, offset, len);
        }
        let mut left = len;
        while left != 0 {
            // Whole pages of data can be moved on into a file, or written to one unchanged.
            let begins_page = bytes.begins_page() && left == len;
            let Some((page, filled)) = self.open_page(begins_page) else {
                break;
            };
            let part = left.min(PAGE_SIZE - *filled);
            // SAFETY: `bytes` has `left` more bytes at `from`, and the page has room for as many as
            // are copied. It is not in the pipe yet, so nothing else accesses it. Concurrent
            // changes of `bytes` affect only the copied data.
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
        let free = self.pieces.capacity().saturating_sub(self.used);
        if free == 0 || self.room == 0 {
            return Err(EIO);
        }
        if self.pieces.len() == self.pieces.capacity() {
            // An empty page takes the room that a shared piece would need.
            self.pieces.pop();
            return Ok(());
        }
        // After a full page the next bytes usually have to be copied, too. Before the first one,
        // and behind a shared piece, this is unknown.
        let copying = self.used > 1 && matches!(self.last(), Some(Piece::Own(..)));
        let wanted = if copying { len.div_ceil(PAGE_SIZE) } else { 1 };
        let end = self.used.saturating_add(wanted.min(free));
        while self.pieces.len() < end {
            let page = match Page::alloc_page(GFP_KERNEL) {
                Ok(page) => page,
                // Fewer are enough.
                Err(_) if self.pieces.len() > self.used => break,
                Err(error) => return Err(error.into()),
            };
            self.pieces.push(Piece::Own(page, 0), GFP_KERNEL)?;
        }
        Ok(())
    }
}

/// One message that was taken out of a pipe.
///
/// # Invariants
///
/// `pipe` is valid for `'a`, and not locked by the current task. Each element of `buffers` is a
/// buffer of it, and owns a reference to its page, or has no operations any more. The bytes of a
/// buffer begin `offset` bytes behind the start of its page, which may be beyond the end of that,
/// and are contiguous in the folio of the page.
pub(crate) struct PipeSource<'a> {
    pipe: *mut bindings::pipe_inode_info,
    buffers: KVVec<bindings::pipe_buffer>,
    /// The buffer to copy from next, and the first one whose content is not confirmed.
    at: usize,
    confirmed: usize,
    /// Whether the writer gives pages away (`SPLICE_F_MOVE`), and all so far could be taken.
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
                // SAFETY: The buffer is in use; from here on only `taken` owns it.
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
        let mut done = 0;
        while done < room.len() && self.at < self.confirmed {
            let Some(buffer) = self.buffers.get_mut(self.at) else {
                break;
            };
            // The bytes of a buffer may be in several pages: those of a socket are a part of a
            // larger folio.
            let offset = buffer.offset as usize % PAGE_SIZE;
            let len = (room.len() - done)
                .min(buffer.len as usize)
                .min(PAGE_SIZE - offset);
            if len != 0 {
                // SAFETY: The buffer has a next byte. By the type invariant that is in a page of
                // the folio that the buffer owns a reference to.
                let page = unsafe { bindings::pipe_buf_page(buffer) };
                // SAFETY: Room for `len` more bytes is left behind the first `done`.
                let to = unsafe { room.as_mut_ptr().add(done) };
                // SAFETY: `len` bytes of the buffer follow `offset` in the page, and there is room
                // for them. Concurrent changes of the page affect only the copied data.
                unsafe { bindings::memcpy_from_page(to.cast(), page, offset, len) };
            }
            buffer.offset += len as u32;
            buffer.len -= len as u32;
            done += len;
            if buffer.len == 0 {
                self.at += 1;
            }
        }
        self.left -= done;
        done
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
            // The others are usually of the same kind: all are copied, many at once.
            self.moves = false;
            return Ok(None);
        }
        // SAFETY: The buffer has a reference to its page.
        let folio = unsafe { Folio::from_raw(bindings::page_folio(buffer.page)) };
        let on_lru = buffer.flags & bindings::PIPE_BUF_FLAG_LRU != 0;
        // SAFETY: A writer that gives a page away has locked it, owns it alone, has taken it out of
        // its mapping, and tells whether it is on a list. The buffer's bytes are not accessed while
        // it is locked.
        let Some(page) = (unsafe { FreePage::from_locked(folio.into(), on_lru) }) else {
            return Ok(None);
        };
        // The reference of the buffer is dropped first, while there is another: a pipe keeps a page
        // of its own for later when it drops the last reference.
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
