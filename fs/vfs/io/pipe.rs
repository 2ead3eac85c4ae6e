// SPDX-License-Identifier: GPL-2.0

//! Messages by `splice(2)`: pages put into a pipe, and pages taken out of one.
//!
//! Both ends copy; a message never shares pages with the page cache. What is put into a pipe has
//! the kernel's own buffer operations, because it may outlive this module.
//!
//! C header: `include/linux/pipe_fs_i.h`.

use super::super::{
    bindings,
    mm::iov::{
        Dest,
        SharedBytes,
        Source, //
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
    types::NotThreadSafe, //
};

/// One page of a message that is on its way into a pipe.
struct Piece {
    page: Page,
    /// Bytes that are in it.
    len: usize,
}

/// A pipe that a reader wants one message in.
///
/// # Invariants
///
/// `pipe` is valid and locked by the current task for `'a`.
pub(crate) struct PipeDest<'a> {
    pipe: *mut bindings::pipe_inode_info,
    pieces: KVVec<Piece>,
    /// Bytes that the reader asked for and that are not there yet.
    room: usize,
    _pipe: PhantomData<&'a ()>,
    _locked: NotThreadSafe,
}

impl PipeDest<'_> {
    /// # Safety
    ///
    /// `pipe` is valid and locked by the current task while the value lives.
    pub(super) unsafe fn new(pipe: *mut bindings::pipe_inode_info, room: usize) -> Result<Self> {
        // SAFETY: `pipe` is valid and locked.
        let max = unsafe { (*pipe).max_usage } as usize;
        // INVARIANT: As the caller promises.
        Ok(Self {
            pipe,
            pieces: KVVec::with_capacity(max, GFP_KERNEL)?,
            room,
            _pipe: PhantomData,
            _locked: NotThreadSafe,
        })
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
            let page = ManuallyDrop::new(piece.page);
            let mut buffer = bindings::pipe_buffer {
                page: page.as_ptr(),
                offset: 0,
                len: piece.len as u32,
                ops: &raw const bindings::nosteal_pipe_buf_ops,
                ..Default::default()
            };
            // SAFETY: The pipe is valid and locked; the buffer's reference to its page is that of
            // `page`, which the call takes over in any case.
            let added = unsafe { bindings::add_to_pipe(self.pipe, &mut buffer) };
            match to_result(added as i32) {
                Ok(()) => total += piece.len,
                Err(error) if total == 0 => return Err(error),
                Err(_) => break,
            }
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
        let Some(piece) = self.pieces.last_mut() else {
            return 0;
        };
        let len = bytes.len().min(PAGE_SIZE - piece.len).min(room);
        // SAFETY: `bytes` holds `len` bytes, and so much is left of the page, which is not in the
        // pipe yet, so that nobody else accesses it. What others may do to `bytes` meanwhile
        // changes only what is copied.
        unsafe {
            bindings::memcpy_to_page(piece.page.as_ptr(), piece.len, bytes.as_ptr().cast(), len)
        };
        piece.len += len;
        self.room -= len;
        len
    }

    fn fault_in(&mut self, _len: usize) -> Result {
        // SAFETY: The pipe is valid and locked by the type invariant.
        let max = unsafe { (*self.pipe).max_usage } as usize;
        if self.pieces.len() >= max || self.room == 0 {
            return Err(EIO);
        }
        let piece = Piece {
            page: Page::alloc_page(GFP_KERNEL)?,
            len: 0,
        };
        Ok(self.pieces.push(piece, GFP_KERNEL)?)
    }
}

/// One message that was taken out of a pipe.
///
/// # Invariants
///
/// `pipe` is valid for `'a`, and not locked by the current task. Each element of `buffers` is a
/// buffer of it, and owns a reference to its page.
pub(crate) struct PipeSource<'a> {
    pipe: *mut bindings::pipe_inode_info,
    buffers: KVVec<bindings::pipe_buffer>,
    /// The buffer to copy from next, and whether its content is confirmed.
    at: usize,
    confirmed: bool,
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
    pub(super) unsafe fn new(pipe: *mut bindings::pipe_inode_info, len: usize) -> Result<Self> {
        // INVARIANT: As the caller promises; there are no buffers yet.
        let mut source = Self {
            pipe,
            buffers: KVVec::new(),
            at: 0,
            confirmed: false,
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

    fn copy_nofault(&mut self, bytes: &mut [u8]) -> usize {
        let Some(buffer) = self.buffers.get_mut(self.at) else {
            return 0;
        };
        if !self.confirmed {
            return 0;
        }
        let len = bytes.len().min(buffer.len as usize);
        // SAFETY: The buffer owns a reference to its page, and its range lies within it; `bytes`
        // has room for `len` bytes. What others may do to the page meanwhile changes only what is
        // copied.
        unsafe {
            bindings::memcpy_from_page(
                bytes.as_mut_ptr().cast(),
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
            self.confirmed = false;
        }
        len
    }

    fn fault_in(&mut self, _len: usize) -> Result {
        let buffer = self.buffers.get_mut(self.at).ok_or(EIO)?;
        // SAFETY: The buffer is valid by the type invariant.
        to_result(unsafe { bindings::pipe_buf_confirm(self.pipe, buffer) })?;
        self.confirmed = true;
        Ok(())
    }
}

impl Drop for PipeSource<'_> {
    fn drop(&mut self) {
        // SAFETY: The pipe is valid and not locked by the type invariant.
        unsafe { bindings::pipe_lock(self.pipe) };
        for buffer in self.buffers.iter_mut() {
            // SAFETY: The buffer owns a reference by the type invariant; this is its last use.
            unsafe { bindings::pipe_buf_release(self.pipe, buffer) };
        }
        // SAFETY: Locked above.
        unsafe { bindings::pipe_unlock(self.pipe) };
    }
}
