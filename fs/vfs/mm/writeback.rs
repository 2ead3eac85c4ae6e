// SPDX-License-Identifier: GPL-2.0

//! Writeback: dirty folios of the page cache on their way to the file.
//!
//! iomap walks the dirty folios of an inode and passes their ranges to a [`Writer`], each as a
//! [`DirtyRange`]. The range has the obligation to end the writeback of its folio: its holder
//! reports the result, or drops it, and then the file has lost data and its users get `EIO`. So no
//! folio stays under writeback forever, or counts as written without having been.
//!
//! Calling context: [`super::mapping`]'s `writepages`, in process context, with each folio locked
//! while its ranges are passed. May sleep; no allocation recurses into a file system, because the
//! memory that it would wait for may be what is being written.

use crate::vfs::{
    bindings,
    mm::{
        folio::Folio,
        piece::{
            Cursor,
            Piece, //
        },
    },
    mount::sb::FileSystem,
    node::inode::INodeView, //
};
use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// Runs `f`, in which no allocation recurses into a file system.
pub(crate) fn without_fs_recursion<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: Sets a flag of the current task.
    let old = unsafe { bindings::memalloc_nofs_save() };
    let result = f();
    // SAFETY: Undoes the call above, by the same task, in reverse order.
    unsafe { bindings::memalloc_nofs_restore(old) };
    result
}

/// The dirty folios of an inode that are to be written: as many as the VFS wants, or one.
pub(crate) struct DirtyPages<'a, T: FileSystem> {
    inode: &'a INodeView<T>,
    what: What,
}

/// The folios.
///
/// # Invariants
///
/// The pointer is valid for the call that the [`DirtyPages`] belongs to. A folio is locked, and in
/// the page cache of the inode.
enum What {
    Control(*mut bindings::writeback_control),
    Folio(*mut bindings::folio),
}

impl<'a, T: FileSystem> DirtyPages<'a, T> {
    /// Wraps the arguments of a `writepages` call.
    ///
    /// # Safety
    ///
    /// `control` is valid for the call, and only the caller uses it; `inode`'s page cache is served
    /// by iomap.
    pub(super) unsafe fn controlled(
        inode: &'a INodeView<T>,
        control: *mut bindings::writeback_control,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            inode,
            what: What::Control(control),
        }
    }

    /// Wraps the arguments of a `launder_folio` call.
    ///
    /// # Safety
    ///
    /// `folio` is in the page cache of `inode`, which is served by iomap, and locked for the call.
    pub(super) unsafe fn one(inode: &'a INodeView<T>, folio: *mut bindings::folio) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            inode,
            what: What::Folio(folio),
        }
    }

    /// The inode, to which only the call need hold a reference.
    pub(crate) fn inode(&self) -> &'a INodeView<T> {
        self.inode
    }

    /// Whether no task waits for any of them: a busy file system may leave them for later.
    pub(crate) fn is_background(&self) -> bool {
        match self.what {
            // SAFETY: Valid by the type invariant.
            What::Control(control) => unsafe {
                (*control).sync_mode == bindings::writeback_sync_modes_WB_SYNC_NONE
            },
            What::Folio(_) => false,
        }
    }

    /// Passes all ranges to `writer`, which has all of them when this returns.
    ///
    /// # Errors
    ///
    /// The first error with which `writer` refused a range.
    pub(crate) fn write<W: Writer>(self, writer: &mut W) -> Result {
        let mut wpc = bindings::iomap_writepage_ctx {
            iomap: bindings::iomap {
                type_: bindings::IOMAP_MAPPED as u16,
                ..Default::default()
            },
            inode: self.inode.as_ptr(),
            ops: &Ops::<W>::WRITEBACK,
            wb_ctx: ptr::from_mut(writer).cast(),
            ..Default::default()
        };
        match self.what {
            What::Control(control) => {
                wpc.wbc = control;
                // SAFETY: The control block is valid and ours by the type invariant. The table is
                // static, and `wb_ctx` is the `W` that it expects, borrowed for this call.
                to_result(unsafe { bindings::iomap_writepages(&mut wpc) })
            }
            What::Folio(folio) => {
                // SAFETY: The folio is locked and in the page cache, by the type invariant.
                if !unsafe { bindings::folio_clear_dirty_for_io(folio) } {
                    return Ok(());
                }
                // SAFETY: As above, and the folio is neither dirty nor under writeback: the caller
                // of `launder_folio` has waited for that. Table and context as above.
                to_result(unsafe { bindings::iomap_writeback_folio(&mut wpc, folio) })
            }
        }
    }
}

/// The file system's part of writing dirty folios.
pub(crate) trait Writer {
    /// Takes `range`, whose first byte is at `pos` of the file, to write it now or later.
    ///
    /// Ranges come in the order of the file, as far as the VFS wants that; they may reach beyond
    /// the end of the file. The holder of the range ends it when it is written (see
    /// [`DirtyRanges::finish`]).
    ///
    /// # Errors
    ///
    /// Returning `range` refuses it: the error is that of the writeback, and of the next `fsync`.
    fn writeback_range(&mut self, range: DirtyRange, pos: i64) -> Result<(), (Error, DirtyRange)>;
}

/// The table for a writer of type `W`.
struct Ops<W>(PhantomData<W>);

impl<W: Writer> Ops<W> {
    const WRITEBACK: bindings::iomap_writeback_ops = bindings::iomap_writeback_ops {
        writeback_range: Some(Self::writeback_range),
        writeback_submit: Some(Self::writeback_submit),
    };

    /// # Safety
    ///
    /// Called by iomap below [`DirtyPages::write`], with the context that it made and a locked
    /// folio under writeback, in which `len` bytes follow `pos`.
    unsafe extern "C" fn writeback_range(
        wpc: *mut bindings::iomap_writepage_ctx,
        folio: *mut bindings::folio,
        pos: u64,
        len: c_uint,
        _end: u64,
    ) -> isize {
        // SAFETY: The context is that of `write()`, so `wb_ctx` is a `W` that is borrowed mutably
        // for its duration; iomap calls us one at a time.
        let writer = unsafe { &mut *(*wpc).wb_ctx.cast::<W>() };
        let Some(folio) = NonNull::new(folio) else {
            return EINVAL.to_errno() as isize;
        };
        // SAFETY: The page cache references its locked folios.
        let size = unsafe { Folio::from_raw(folio.as_ptr()) }.size();
        // A folio's size is a power of two, less than 4 GiB.
        let offset = (pos as usize & size.wrapping_sub(1)) as u32;
        // INVARIANT: If this returns `len`, iomap has counted the range as being written; the folio
        // is under writeback already.
        let range = DirtyRange { folio, offset, len };
        // Positions of files are never negative.
        match writer.writeback_range(range, pos as i64) {
            Ok(()) => len as isize,
            Err((error, range)) => {
                if range.refuse(folio, offset) {
                    error.to_errno() as isize
                } else {
                    // Another range was returned, which its drop has ended just now. Ours is
                    // pending, and will be ended.
                    len as isize
                }
            }
        }
    }

    /// # Safety
    ///
    /// Called by `iomap_writepages()` at its end. The writer sends the gathered ranges itself.
    unsafe extern "C" fn writeback_submit(
        _wpc: *mut bindings::iomap_writepage_ctx,
        error: c_int,
    ) -> c_int {
        error
    }
}

/// Bytes of a folio under writeback, and the obligation to end that for them.
///
/// # Invariants
///
/// - `offset + len` is within the folio.
/// - `iomap_finish_folio_write()` has to be called for exactly this range. Until then the folio is
///   under writeback, and so stays in the page cache of its inode, which is not freed, and is not
///   split.
pub(crate) struct DirtyRange {
    folio: NonNull<bindings::folio>,
    offset: u32,
    len: u32,
}

// SAFETY: A folio belongs to no thread, and writeback may be ended by any.
unsafe impl Send for DirtyRange {}

impl DirtyRange {
    /// Number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Gives the obligation back to iomap, which does not count the range after all.
    ///
    /// Returns whether this was the range of that folio and offset. If not, it is dropped as any
    /// other.
    fn refuse(self, folio: NonNull<bindings::folio>, offset: u32) -> bool {
        // Only one writeback of a folio runs at a time, so there is no other range like ours.
        let same = self.folio == folio && self.offset == offset;
        if same {
            core::mem::forget(self);
        }
        same
    }

    /// The bytes from `at` on, which may be referred to. [`None`] if the range ends at or before
    /// it.
    fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let left = self.len().checked_sub(at)?;
        // SAFETY: The page cache has a reference to the folio, by the type invariant.
        let folio = unsafe { Folio::from_raw(self.folio.as_ptr()) };
        // SAFETY: Within the range, so by the type invariant within the folio.
        unsafe { Piece::of_folio(folio, self.offset as usize + at, left, true) }
    }

    /// Ends the writeback of the range with `result`.
    fn finish(self, result: Result) {
        ManuallyDrop::new(self).end(result);
    }

    /// Ends the writeback; called once.
    fn end(&mut self, result: Result) {
        let folio = self.folio.as_ptr();
        // SAFETY: The folio is in the page cache of an inode, by the type invariant.
        let mapping = unsafe { (*folio).__bindgen_anon_1.__bindgen_anon_1.mapping };
        if let Err(error) = result {
            // SAFETY: As above.
            unsafe { bindings::mapping_set_error(mapping, error.to_errno()) };
        }
        // SAFETY: It has to be called for exactly this range by the type invariant, and not again.
        unsafe {
            bindings::iomap_finish_folio_write((*mapping).host, folio, self.len as usize);
        }
    }
}

impl Drop for DirtyRange {
    /// It was not written.
    fn drop(&mut self) {
        self.end(Err(EIO));
    }
}

/// Adjacent ranges, one after the other: the data of a write request.
#[derive(Default)]
pub(crate) struct DirtyRanges {
    list: KVVec<DirtyRange>,
    /// Number of bytes of all.
    total: usize,
    /// Number of bytes to be written: those behind are beyond the end of the file.
    len: usize,
    cursor: Cursor,
}

impl DirtyRanges {
    /// No ranges. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if there is no room for the first.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            list: KVVec::with_capacity(1, GFP_KERNEL)?,
            total: 0,
            len: 0,
            cursor: Cursor::default(),
        })
    }

    /// Adds a range at the end. May sleep.
    ///
    /// # Errors
    ///
    /// The range is returned if there is no memory for it.
    pub(crate) fn push(&mut self, range: DirtyRange) -> Result<(), DirtyRange> {
        let Some(total) = self.total.checked_add(range.len()) else {
            return Err(range);
        };
        if self.list.reserve(1, GFP_KERNEL).is_err() {
            return Err(range);
        }
        self.list
            .push_within_capacity(range)
            .map_err(|full| full.0)?;
        self.total = total;
        self.len = total;
        Ok(())
    }

    /// Leaves the bytes behind the first `len` unwritten. They count as written nevertheless.
    pub(crate) fn crop(&mut self, len: usize) {
        self.len = self.total.min(len);
    }

    /// Number of bytes to be written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Number of ranges.
    pub(crate) fn ranges(&self) -> usize {
        self.list.len()
    }

    /// The contiguous bytes at `at`. [`None`] if there is nothing to be written at or behind it.
    pub(crate) fn piece(&self, at: usize) -> Option<Piece<'_>> {
        let left = self.len.checked_sub(at).filter(|left| *left != 0)?;
        let (index, start) = self
            .cursor
            .locate(at, |index| self.list.get(index).map(DirtyRange::len))?;
        let piece = self.list.get(index)?.piece(at - start)?;
        Some(piece.first(left))
    }

    /// Ends the writeback of all of them with `result`.
    ///
    /// Tasks that wait for the folios run; an error is that of the next `fsync` of each open file.
    pub(crate) fn finish(mut self, result: Result) {
        for range in self.list.drain_all() {
            range.finish(result);
        }
    }
}
