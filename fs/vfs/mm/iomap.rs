// SPDX-License-Identifier: GPL-2.0

//! iomap: reading the page cache in, and writing to it.
//!
//! iomap walks the folios, skips those up to date, zeroes bytes beyond the end of the file, and
//! asks a [`Reader`] for the ranges in between, each as a [`FolioSegment`]. The file is one mapping
//! (no blocks to look up), so the mapping side has no trait. A write fills folios and leaves them
//! dirty ([`super::writeback`] writes them to the file); the part of a block that it does not fill
//! is read in first, by a [`RangeReader`].
//!
//! Calling context: [`super::mapping`]'s `read_folio` and `readahead`, in process context with the
//! folios locked and the mapping's `invalidate_lock` held shared. May sleep; allocations must not
//! recurse into the file system, which C sees to for readahead.

use crate::vfs::{
    bindings,
    file::{
        count::count,
        open::Kiocb, //
    },
    mm::{
        folio::{
            Folio,
            Locked,
            Mapped, //
        },
        iov::Room,
        segment::{
            FolioSegment,
            FolioSegments, //
        }, //
    },
    mount::sb::FileSystem,
    node::inode::INodeLock, //
};
use core::{
    ffi::c_int,
    marker::PhantomData,
    ptr, //
};
use kernel::{
    error::from_result,
    iov::IovIterSource,
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef, //
};

/// A readahead in progress: folios that the VFS wants to be read in.
///
/// # Invariants
///
/// `raw` is the control block of a running `readahead` call, for `'a`, which nothing else uses
/// while this value is borrowed mutably.
pub(in crate::vfs) struct Control<'a> {
    raw: *mut bindings::readahead_control,
    _call: PhantomData<&'a mut bindings::readahead_control>,
}

impl Control<'_> {
    /// Wraps the argument of a `readahead` call.
    ///
    /// # Safety
    ///
    /// `raw` is valid for `'a` and only the caller uses it.
    pub(in crate::vfs) unsafe fn from_raw(raw: *mut bindings::readahead_control) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            raw,
            _call: PhantomData,
        }
    }

    /// The C object.
    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::readahead_control {
        self.raw
    }
}

/// The rest of a readahead when one of its ranges is requested.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// Number of pages from the current folio on.
    pub(crate) pages: u32,
    /// Whether no task waits for any of them: a busy file system may leave them out.
    pub(crate) only_async: bool,
}

impl Ahead {
    /// # Safety
    ///
    /// `rac` is null, or valid and only used by this task.
    unsafe fn of(rac: *const bindings::readahead_control) -> Option<Self> {
        if rac.is_null() {
            return None;
        }
        // SAFETY: Valid by the safety requirement.
        let pages = unsafe { bindings::readahead_count(rac) };
        // SAFETY: As above; `ra` is set for the duration of a readahead.
        let async_pages = unsafe { (*(*rac).ra).async_size };
        Some(Self {
            pages,
            only_async: async_pages >= pages,
        })
    }
}

/// The file system's part of reading folios in.
pub(crate) trait Reader {
    /// Reads `segment`, whose first byte is at `pos` of the file, now or later.
    ///
    /// The holder of the segment finishes it when the read has ended (see
    /// [`FolioSegment::finish`]), which may be before or long after this function returns. `ahead`
    /// is [`None`] if a reader waits for exactly this folio.
    ///
    /// # Errors
    ///
    /// Returning `segment` refuses the read: iomap stops here, and the rest of a readahead is left
    /// out without an error for a reader.
    fn read_folio_range(
        &mut self,
        segment: FolioSegment,
        pos: i64,
        ahead: Option<Ahead>,
    ) -> Result<(), (Error, FolioSegment)>;
}

/// Our state in a call of iomap.
struct Reading<'a, R> {
    reader: &'a mut R,
    /// The current folio of a readahead. iomap has no reference to it, and it may be replaced in
    /// the page cache before iomap has finished with it.
    current: Option<ARef<Folio>>,
}

/// Reads one folio in. The folio is unlocked when its read has ended, which may be later.
///
/// Tasks that wait for the folio get the error: it is not up to date then.
pub(crate) fn read_folio<R: Reader>(folio: Locked<&Folio>, reader: &mut R) {
    let mut reading = Reading {
        reader,
        current: None,
    };
    let mut ctx = bindings::iomap_read_folio_ctx {
        ops: &Ops::<R>::READ,
        cur_folio: folio.into_locked().as_ptr(),
        read_ctx: ptr::from_mut(&mut reading).cast(),
        ..Default::default()
    };
    // SAFETY: The folio is in the page cache and locked, and `iomap_read_folio()` takes over its
    // unlock. Both tables are static, `read_ctx` is the `Reading<R>` that `Ops<R>` expects,
    // borrowed for this call.
    unsafe { bindings::iomap_read_folio(&WHOLE_FILE, &mut ctx, ptr::null_mut()) };
}

/// Reads the folios of a readahead in, as far as `reader` takes them.
pub(in crate::vfs) fn readahead<R: Reader>(control: &mut Control<'_>, reader: &mut R) {
    let mut reading = Reading {
        reader,
        current: None,
    };
    let mut ctx = bindings::iomap_read_folio_ctx {
        ops: &Ops::<R>::READ,
        rac: control.as_ptr(),
        read_ctx: ptr::from_mut(&mut reading).cast(),
        ..Default::default()
    };
    // SAFETY: The control block is valid and ours for this call, its folios are locked. Both
    // tables are static, `read_ctx` is the `Reading<R>` that `Ops<R>` expects, borrowed for this
    // call.
    unsafe { bindings::iomap_readahead(&WHOLE_FILE, &mut ctx, ptr::null_mut()) };
}

/// The file system's part of writing a part of a block that is not in the page cache.
pub(crate) trait RangeReader {
    /// Reads `len` bytes at `pos` of the file, and waits for them. They are within one folio, which
    /// is locked. There must be exactly `len` bytes, zeroes behind the end of the file: they become
    /// contents of the folio.
    ///
    /// # Errors
    ///
    /// That of the write. Another length makes it `EIO`.
    fn read_range(&mut self, pos: i64, len: usize) -> Result<FolioSegments>;
}

impl<T: FileSystem> Kiocb<'_, T> {
    /// Writes to the page cache, and moves the position. The file becomes longer if necessary, and
    /// its folios dirty. May sleep, also until there are fewer dirty pages.
    ///
    /// # Errors
    ///
    /// `EFAULT`, `ENOMEM`, those of `reader`; `EINTR` if the caller is being killed; `EINVAL` if
    /// this is not a regular file, or the lock another inode's.
    pub(crate) fn write_page_cache<R: RangeReader>(
        &mut self,
        lock: &INodeLock<'_, T>,
        from: &mut IovIterSource<'_>,
        reader: &mut R,
    ) -> Result<usize> {
        lock.check(self.file().inode())?;
        if !self.file().inode().is_reg() {
            return Err(EINVAL);
        }
        // SAFETY: The call is valid, `from` a valid source, the inode is locked, and the page cache
        // of regular files is always served by iomap. Both tables are static; `private` is the `R`
        // that `WriteOps<R>` expects, borrowed for this call.
        count(unsafe {
            bindings::iomap_file_buffered_write(
                self.as_ptr(),
                from.as_raw(),
                &WHOLE_FILE,
                &WriteOps::<R>::TABLE,
                ptr::from_mut(reader).cast(),
            )
        })
    }
}

/// The table for a writer whose reader is of type `R`.
struct WriteOps<R>(PhantomData<R>);

impl<R: RangeReader> WriteOps<R> {
    const TABLE: bindings::iomap_write_ops = bindings::iomap_write_ops {
        get_folio: None,
        put_folio: None,
        iomap_valid: None,
        read_folio_range: Some(Self::read_folio_range),
    };

    /// # Safety
    ///
    /// Called by iomap below [`Kiocb::write_page_cache`], with an iterator that has its reader, and
    /// the locked folio with `len` bytes at `pos`, which are not up to date.
    unsafe extern "C" fn read_folio_range(
        iter: *const bindings::iomap_iter,
        folio: *mut bindings::folio,
        pos: bindings::loff_t,
        len: usize,
    ) -> c_int {
        // SAFETY: `private` is an `R` that is borrowed mutably for the duration of the write; iomap
        // calls us one at a time.
        let reader = unsafe { &mut *(*iter).private.cast::<R>() };
        // SAFETY: iomap has a reference to the folio.
        let folio = unsafe { Folio::from_raw(folio) };
        from_result(|| {
            let mut data = reader.read_range(pos, len)?;
            let offset = pos as usize & folio.size().wrapping_sub(1);
            if folio.size().saturating_sub(offset) < len || data.len() != len {
                return Err(EIO);
            }
            // SAFETY: The range is within the folio, which is locked, and not up to date, so that
            // it is not accessed elsewhere.
            unsafe { fill(folio, offset, &mut data) };
            Ok(0)
        })
    }
}

/// Copies all of `data` to `offset` of `folio`.
///
/// # Safety
///
/// As many bytes must follow `offset` in the folio, and only the caller may use them.
unsafe fn fill(folio: &Folio, offset: usize, data: &mut FolioSegments) {
    let mut done = 0usize;
    // `None` behind the last byte.
    while let Some(copied) = data.with_bytes(done, |bytes| {
        let at = offset + done;
        let len = bytes.len().min(PAGE_SIZE - at % PAGE_SIZE);
        // SAFETY: The byte at `done` of `data` exists, so by the contract this one is within the
        // folio. It ends before the mapping of `data`.
        let page = unsafe { Mapped::new(folio, at) };
        // SAFETY: Within `data`, so by the contract within the folio, and within one page of it,
        // all of which is mapped; the caller promises that it is the only user.
        unsafe { Room::new(page.addr, len) }.copy_from(bytes)
    }) {
        done += copied;
    }
    // SAFETY: The folio is alive.
    unsafe { bindings::flush_dcache_folio(folio.as_ptr()) };
}

/// The mapping side: every range of a file is mapped, as one piece.
static WHOLE_FILE: bindings::iomap_ops = bindings::iomap_ops {
    iomap_begin: None,
    iomap_end: None,
    iomap_next: Some(whole_file),
};

/// # Safety
///
/// Called by `iomap_iter()` with pointers that are valid for the call; `iomap` and `srcmap` are
/// the iterator's own.
unsafe extern "C" fn whole_file(
    iter: *const bindings::iomap_iter,
    iomap: *mut bindings::iomap,
    srcmap: *mut bindings::iomap,
) -> c_int {
    // SAFETY: Valid by the caller's promise.
    if unsafe { (*iomap).length } != 0 {
        // SAFETY: As above; there was nothing to undo for the last mapping.
        let more = unsafe { bindings::iomap_iter_continue(iter, iomap, srcmap, 0) };
        if more <= 0 {
            return more;
        }
    }
    // SAFETY: As above.
    unsafe {
        (*iomap).type_ = bindings::IOMAP_MAPPED as u16;
        (*iomap).offset = (*iter).pos;
        (*iomap).length = (*iter).len;
    }
    1
}

/// The table for a reader of type `R`.
struct Ops<R>(PhantomData<R>);

impl<R: Reader> Ops<R> {
    const READ: bindings::iomap_read_ops = bindings::iomap_read_ops {
        read_folio_range: Some(Self::read_folio_range),
        submit_read: None,
        bio_set: ptr::null_mut(),
    };

    /// # Safety
    ///
    /// Called by iomap below [`read_folio`] or [`readahead`], with the context that they made, the
    /// iterator at the position to read and the locked folio of that position in `cur_folio`. The
    /// folio has `len` bytes or more from the position on.
    unsafe extern "C" fn read_folio_range(
        iter: *const bindings::iomap_iter,
        ctx: *mut bindings::iomap_read_folio_ctx,
        len: usize,
    ) -> c_int {
        // SAFETY: The context is that of the functions above, so `read_ctx` is a `Reading<R>` that
        // is borrowed mutably for their duration; iomap calls us one at a time.
        let reading = unsafe { &mut *(*ctx).read_ctx.cast::<Reading<'_, R>>() };
        // SAFETY: The context is valid.
        let raw = unsafe { (*ctx).cur_folio };
        // SAFETY: The context is valid, and its `rac` is null or that of this readahead.
        let ahead = unsafe { Ahead::of((*ctx).rac) };
        // SAFETY: The iterator is valid.
        let pos = unsafe { (*iter).pos };
        // SAFETY: iomap has a locked folio of the page cache here, which keeps it referenced.
        let folio = unsafe { Folio::from_raw(raw) };
        // A folio's size is a power of two, less than 4 GiB.
        let offset = (pos as usize & folio.size().wrapping_sub(1)) as u32;
        if ahead.is_some() {
            // iomap has finished with the folio of the call before.
            reading.current = Some(folio.into());
        }
        // SAFETY: The range is within the locked folio and not up to date, and if this returns 0,
        // iomap counts it as pending. Readers look up a folio that is read ahead, and iomap itself,
        // which accesses its current one once more, has our reference.
        let segment =
            unsafe { FolioSegment::pending_read(folio, offset, len as u32, ahead.is_some()) };
        match reading.reader.read_folio_range(segment, pos, ahead) {
            Ok(()) => 0,
            Err((error, segment)) => {
                if segment.refuse(raw, offset) {
                    error.to_errno()
                } else {
                    // Another segment was returned, which its drop has finished just now. Ours is
                    // pending, and will be finished.
                    0
                }
            }
        }
    }
}
