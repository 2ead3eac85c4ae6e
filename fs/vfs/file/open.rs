// SPDX-License-Identifier: GPL-2.0

//! Open files, and a read or write on one.
//!
//! [`Opening`] is a file while its `open` runs, [`File`] one that is open: only the latter has the
//! file system's data. The functions of the page cache are in [`crate::vfs::mm::mapping`].
//!
//! Locks: none of its own; the VFS guards the position of a file (`f_pos_lock`), which is accessed
//! through [`Kiocb`] only.
//!
//! C headers: `include/linux/fs.h`.

use crate::vfs::{
    bindings,
    file::{
        count::{
            count,
            count_of, //
        },
        deferred::{
            Deferred,
            Served, //
        },
    },
    mount::sb::FileSystem,
    node::{
        dentry::DEntry,
        inode::{
            keep_times_dirty,
            INode,
            INodeLock,
            INodeSharedLock, //
        },
    },
    once::read_once, //
};
use core::{
    ffi::c_int,
    marker::PhantomData, //
};
use kernel::{
    bindings::pipe_inode_info,
    error::to_result,
    fs::file::flags::{
        O_DSYNC,
        O_SYNC, //
    },
    impl_flags,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    types::{
        ForeignOwnable,
        NotThreadSafe,
        Opaque, //
    }, //
};

/// An open file of the file system `T`.
///
/// # Invariants
///
/// A valid file of an inode of `T` whose `open` has succeeded: `private_data` is a `T::FileData`
/// until `release`. It stays referenced while it is borrowed.
#[repr(transparent)]
pub(crate) struct File<T: FileSystem> {
    file: Opaque<bindings::file>,
    _p: PhantomData<T>,
    /// `fdget()` takes no reference for a file of the task's own table, so a borrow stays on its
    /// task.
    _task: NotThreadSafe,
}

impl<T: FileSystem> File<T> {
    /// Borrows a file of C.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `ptr` during `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(ptr: *mut bindings::file) -> &'a Self {
        // SAFETY: The type is transparent; the rest is the caller's promise.
        unsafe { &*ptr.cast() }
    }

    /// The C object.
    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::file {
        self.file.get()
    }

    /// The inode.
    pub(crate) fn inode(&self) -> &INode<T> {
        // SAFETY: `f_inode` is constant, and the file holds a reference to its inode.
        unsafe { INode::from_raw((*self.as_ptr()).f_inode) }
    }

    /// The dentry that it was opened by.
    pub(in crate::vfs) fn dentry(&self) -> &DEntry<T> {
        // SAFETY: The path is constant while the file is open, and the file holds a reference to
        // its dentry, which is one of the inode.
        unsafe { DEntry::from_raw((*self.as_ptr()).__bindgen_anon_1.f_path.dentry) }
    }

    /// The data that `open` returned.
    pub(crate) fn data(&self) -> <T::FileData as ForeignOwnable>::Borrowed<'_> {
        // SAFETY: By the type invariant it is a `T::FileData`, which is not dropped while the file
        // is borrowed, since `release` runs after the last reference.
        unsafe { <T::FileData as ForeignOwnable>::borrow((*self.as_ptr()).private_data) }
    }

    /// The current `O_*` flags; `fcntl(F_SETFL)` changes some.
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { read_once(&raw const (*self.as_ptr()).f_flags) }
    }

    /// `lseek` with the VFS's knowledge of the file: its size and its position.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the new position is negative or too large, `ENXIO` if there is no data there.
    pub(crate) fn generic_llseek(&self, offset: i64, whence: Whence) -> Result<i64> {
        // SAFETY: Valid by the type invariant; may be called with and without the inode's lock.
        let pos = unsafe { bindings::generic_file_llseek(self.as_ptr(), offset, whence as c_int) };
        if pos < 0 {
            return Err(Error::from_errno(pos as i32));
        }
        Ok(pos)
    }

    /// Writes dirty pages back and waits for it. May sleep.
    ///
    /// # Errors
    ///
    /// The first writeback error that was not reported through this file yet.
    pub(crate) fn write_and_wait(&self, range: SyncRange) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe {
            bindings::file_write_and_wait_range(self.as_ptr(), range.start, range.end)
        })
    }

    /// # Errors
    ///
    /// As [`Self::write_and_wait`], for earlier writeback only.
    pub(crate) fn check_writeback(&self) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe { bindings::file_check_and_advance_wb_err(self.as_ptr()) })
    }

    /// # Errors
    ///
    /// The last writeback error since the file was opened, or since an error was reported through
    /// it; this does not count as a report.
    pub(crate) fn last_writeback_error(&self) -> Result {
        let inode = self.inode().as_ptr();
        // SAFETY: Both are valid by the type invariant; `i_mapping` does not change once the inode
        // is in use, and the function reads its error atomically.
        to_result(unsafe {
            bindings::errseq_check(
                &raw mut (*(*inode).i_mapping).wb_err,
                (*self.as_ptr()).f_wb_err,
            )
        })
    }

    /// Sets the position.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the super block's files cannot have such a position.
    pub(crate) fn set_pos(&self, pos: i64) -> Result<i64> {
        let inode = self.inode().as_ptr();
        // SAFETY: Valid by the type invariant; a super block outlives its inodes.
        let pos = unsafe { bindings::vfs_setpos(self.as_ptr(), pos, (*(*inode).i_sb).s_maxbytes) };
        if pos < 0 {
            return Err(Error::from_errno(pos as i32));
        }
        Ok(pos)
    }

    /// Removes privileges that the file must not keep when its contents change, and updates its
    /// times if the VFS keeps them. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the file system's `setattr`; `EINVAL` if the lock is another inode's.
    pub(crate) fn modified(&self, lock: &INodeLock<'_, T>) -> Result {
        lock.check(self.inode())?;
        // SAFETY: Valid by the type invariant, and the inode is locked.
        to_result(unsafe { bindings::file_modified(self.as_ptr()) })
    }

    /// Updates the times of the file's last change, if the VFS keeps them. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the file system's `update_time`; `EINVAL` if the lock is another inode's.
    pub(crate) fn update_time(&self, lock: &INodeLock<'_, T>) -> Result {
        lock.check(self.inode())?;
        // SAFETY: Valid by the type invariant, and the inode is locked.
        let updated = to_result(unsafe { bindings::file_update_time(self.as_ptr()) });
        self.inode().keep_times_dirty();
        updated
    }
}

/// The part of a file that is to be made durable.
#[derive(Clone, Copy)]
pub(crate) struct SyncRange {
    /// Its first byte.
    pub(crate) start: i64,
    /// Its last byte.
    pub(crate) end: i64,
    /// Whether only the data and what is needed to read it have to be durable (`fdatasync`).
    pub(crate) data_only: bool,
}

/// A file while its `open` is running.
///
/// # Invariants
///
/// A valid file of an inode of `T`, used by its `open` alone.
pub(crate) struct Opening<'a, T: FileSystem> {
    file: *mut bindings::file,
    _call: PhantomData<&'a mut bindings::file>,
    _p: PhantomData<T>,
}

impl<'a, T: FileSystem> Opening<'a, T> {
    /// Wraps the argument of an `open` call.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `'a`.
    pub(in crate::vfs) unsafe fn from_raw(file: *mut bindings::file) -> Self {
        Self {
            file,
            _call: PhantomData,
            _p: PhantomData,
        }
    }

    /// The C object.
    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::file {
        self.file
    }

    /// The inode.
    pub(crate) fn inode(&self) -> &'a INode<T> {
        // SAFETY: `f_inode` is constant, and the file holds a reference to its inode.
        unsafe { INode::from_raw((*self.file).f_inode) }
    }

    /// `O_*` of the open.
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { read_once(&raw const (*self.file).f_flags) }
    }

    /// A check that every file system has to do: that the opener can represent the file's size.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW`.
    pub(crate) fn check_large_file(&self) -> Result {
        // SAFETY: Both are valid by the type invariant.
        to_result(unsafe { bindings::generic_file_open(self.inode().as_ptr(), self.file) })
    }

    /// Whether it is being opened for writing.
    pub(crate) fn may_write(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let mode = unsafe { read_once(&raw const (*self.file).f_mode) };
        mode & bindings::FMODE_WRITE != 0
    }

    /// See [`File::update_time`].
    pub(crate) fn update_time(&self) {
        // SAFETY: Valid by the type invariant. An error is ignored, as the contents have changed
        // already.
        unsafe { bindings::file_update_time(self.file) };
        // SAFETY: The file has a reference to its inode.
        unsafe { keep_times_dirty((*self.file).f_inode) };
    }

    /// Makes the file one with a position that cannot be changed by `lseek`.
    pub(crate) fn set_nonseekable(&self) {
        // SAFETY: Both are valid and the file is ours by the type invariant. Cannot fail.
        unsafe { bindings::nonseekable_open(self.inode().as_ptr(), self.file) };
    }

    /// Makes the file one without a position.
    pub(crate) fn set_stream(&self) {
        // SAFETY: Both are valid and the file is ours by the type invariant. Cannot fail.
        unsafe { bindings::stream_open(self.inode().as_ptr(), self.file) };
    }
}

impl_flags!(
    /// The options of `fallocate` (`FALLOC_FL_*`); without any of them it allocates.
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct FallocateMode(u32);

    /// One option of `fallocate`.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Fallocate {
        /// The size of the file does not change.
        KeepSize = bindings::FALLOC_FL_KEEP_SIZE,
        /// The space is freed, and reads as zero.
        PunchHole = bindings::FALLOC_FL_PUNCH_HOLE,
        /// The range is removed; the data behind it moves there.
        CollapseRange = bindings::FALLOC_FL_COLLAPSE_RANGE,
        /// The space reads as zero.
        ZeroRange = bindings::FALLOC_FL_ZERO_RANGE,
        /// The data in the range and behind it moves up, to make room.
        InsertRange = bindings::FALLOC_FL_INSERT_RANGE,
        /// The space is not shared with any other file.
        UnshareRange = bindings::FALLOC_FL_UNSHARE_RANGE,
        /// Zeroes are written to the space.
        WriteZeroes = bindings::FALLOC_FL_WRITE_ZEROES,
    }
);

impl FallocateMode {
    /// The VFS lets no other bits through.
    pub(in crate::vfs) fn from_raw(mode: u32) -> Self {
        Self(mode)
    }
}

/// The origin of an offset given to `lseek`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Whence {
    /// The start.
    Set = bindings::SEEK_SET,
    /// The position.
    Cur = bindings::SEEK_CUR,
    /// The end.
    End = bindings::SEEK_END,
    /// The next byte of data.
    Data = bindings::SEEK_DATA,
    /// The next hole.
    Hole = bindings::SEEK_HOLE,
}

impl TryFrom<c_int> for Whence {
    type Error = Error;

    fn try_from(whence: c_int) -> Result<Self> {
        Ok(match u32::try_from(whence)? {
            bindings::SEEK_SET => Self::Set,
            bindings::SEEK_CUR => Self::Cur,
            bindings::SEEK_END => Self::End,
            bindings::SEEK_DATA => Self::Data,
            bindings::SEEK_HOLE => Self::Hole,
            _ => return Err(EINVAL),
        })
    }
}

/// The address of a table of open files, which stands for a lock owner in the VFS; never to be
/// shown.
#[derive(Clone, Copy)]
pub(crate) struct FilesId(usize);

impl FilesId {
    pub(in crate::vfs) fn from_raw(id: bindings::fl_owner_t) -> Self {
        Self(id as usize)
    }

    /// That of the current task.
    pub(crate) fn current() -> Self {
        // SAFETY: `current` is valid, and only the task itself changes its `files`.
        Self(unsafe { (*bindings::get_current()).files } as usize)
    }

    /// Its value, which must be scrambled before it is shown.
    pub(crate) fn get(self) -> u64 {
        self.0 as u64
    }
}

/// A read or write call.
///
/// # Invariants
///
/// A valid `struct kiocb` of an open file of `T`, used by the running call alone. If there is a
/// `served`, it belongs to the call.
pub(crate) struct Kiocb<'a, T: FileSystem> {
    iocb: *mut bindings::kiocb,
    served: Option<&'a Served>,
    _call: PhantomData<&'a mut bindings::kiocb>,
    _p: PhantomData<T>,
}

impl<'a, T: FileSystem> Kiocb<'a, T> {
    /// Wraps the argument of a call.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `'a`.
    pub(in crate::vfs) unsafe fn from_raw(
        iocb: *mut bindings::kiocb,
        served: Option<&'a Served>,
    ) -> Self {
        Self {
            iocb,
            served,
            _call: PhantomData,
            _p: PhantomData,
        }
    }

    /// The C object.
    pub(in crate::vfs) fn as_ptr(&self) -> *mut bindings::kiocb {
        self.iocb
    }

    /// Hands the call to a callee, which completes it, perhaps before the code that uses the result
    /// of this has returned. Returns the C object with its flags (`IOCB_*`).
    ///
    /// # Errors
    ///
    /// `EBUSY` if the call was [deferred](Self::defer); `EINVAL` if the code that serves it goes on
    /// with it afterwards.
    pub(in crate::vfs) fn pass_on(self) -> Result<(*mut bindings::kiocb, c_int)> {
        let served = self.served.ok_or(EINVAL)?;
        // SAFETY: By the type invariant, and `self` is consumed.
        unsafe { served.pass_on(self.iocb) }?;
        // SAFETY: Valid by the type invariant: the callee does not have it yet.
        Ok((self.iocb, unsafe { (*self.iocb).ki_flags }))
    }

    /// The file.
    pub(crate) fn file(&self) -> &'a File<T> {
        // SAFETY: By the type invariant; the call holds a reference to the file.
        unsafe { File::from_raw((*self.iocb).ki_filp) }
    }

    /// The position to read or write at.
    pub(crate) fn pos(&self) -> i64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.iocb).ki_pos }
    }

    /// Sets the position; a negative one becomes 0.
    pub(crate) fn set_pos(&mut self, pos: i64) {
        // SAFETY: Valid and ours alone by the type invariant.
        unsafe { (*self.iocb).ki_pos = pos.max(0) };
    }

    /// Reads through the page cache, or by the mapping's `direct_read` for `O_DIRECT`. Moves the
    /// position.
    ///
    /// # Errors
    ///
    /// `EIO` if a folio could not be read in, `EFAULT`, and those of `direct_read`.
    pub(crate) fn generic_read(&mut self, to: &mut IovIterDest<'_>) -> Result<usize> {
        // SAFETY: The call is valid, and `to` a valid destination.
        count(unsafe { bindings::generic_file_read_iter(self.iocb, to.as_raw()) })
    }

    fn raw_flags(&self) -> u32 {
        // SAFETY: Valid and ours alone by the type invariant.
        unsafe { (*self.iocb).ki_flags as u32 }
    }

    /// Whether the page cache is bypassed.
    pub(crate) fn is_direct(&self) -> bool {
        self.raw_flags() & bindings::IOCB_DIRECT != 0
    }

    /// Whether the caller waits for the call to end; if not, it may be [deferred](Self::defer).
    pub(crate) fn caller_waits(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.iocb).ki_complete.is_none() }
    }

    /// Whether the data is written to the end of the file, wherever that is.
    pub(crate) fn is_append(&self) -> bool {
        self.raw_flags() & bindings::IOCB_APPEND != 0
    }

    /// Lets the call complete later, for a function that then returns `EIOCBQUEUED`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the caller waits; `EBUSY` on a second call; `ENOMEM`.
    pub(crate) fn defer(&mut self) -> Result<Deferred> {
        // SAFETY: By the type invariant; the trampolines serve their calls by `serve()`.
        unsafe { Deferred::new(self.iocb) }
    }

    /// `O_*` of the file, and those of this write if it has to be more durable.
    pub(crate) fn write_flags(&self) -> u32 {
        // SAFETY: Valid by the type invariant.
        unsafe { write_flags(self.iocb) }
    }

    /// Checks that every file system has to do before it writes: shortens `from` to what may be
    /// written, moves to the end for `O_APPEND`, and returns the remaining length, which may be 0.
    ///
    /// # Errors
    ///
    /// `EFBIG` beyond the limit of the caller or of the file; `ETXTBSY`; `EINVAL`, also if the lock
    /// is another inode's.
    pub(crate) fn write_checks(
        &mut self,
        lock: &INodeLock<'_, T>,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        lock.check(self.file().inode())?;
        // SAFETY: The call is valid, `from` a valid source, and the inode is locked.
        let left = count(unsafe { bindings::generic_write_checks(self.iocb, from.as_raw()) })?;
        Ok(left)
    }

    /// Whether the file has id bits that a write of the caller clears.
    pub(crate) fn drops_id_bits(&self) -> bool {
        // SAFETY: The call and its file are valid; the file keeps its mount and its inode.
        unsafe {
            let file = (*self.iocb).ki_filp;
            bindings::setattr_should_drop_suidgid(bindings::file_mnt_idmap(file), (*file).f_inode)
                != 0
        }
    }

    /// As [`Self::write_checks`], for concurrent writers, which must not append.
    ///
    /// # Errors
    ///
    /// Those of [`Self::write_checks`].
    pub(crate) fn shared_write_checks(
        &mut self,
        lock: &INodeSharedLock<'_, T>,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        lock.check(self.file().inode())?;
        // SAFETY: The call is valid, `from` a valid source, and the inode is locked.
        count(unsafe { bindings::generic_write_checks(self.iocb, from.as_raw()) })
    }

    /// Removes privileges that the file must not keep when it is written, and updates its times if
    /// the VFS keeps them. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the file system's `setattr`; `EINVAL` if the lock is another inode's.
    pub(crate) fn modified(&self, lock: &INodeLock<'_, T>) -> Result {
        lock.check(self.file().inode())?;
        // SAFETY: The call is valid, and the inode is locked.
        to_result(unsafe { bindings::kiocb_modified(self.iocb) })
    }

    /// Writes without the page cache, by the mapping's `direct_write`, and drops cached pages of
    /// the range. Moves the position. May sleep.
    ///
    /// Nothing is written if a cached page could not be dropped.
    ///
    /// # Errors
    ///
    /// Those of `direct_write`; `EINVAL` if the call is not [direct](Self::is_direct), or the lock
    /// another inode's.
    pub(crate) fn generic_direct_write(
        &mut self,
        lock: &INodeLock<'_, T>,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        lock.check(self.file().inode())?;
        if !self.is_direct() {
            return Err(EINVAL);
        }
        // SAFETY: The call is valid, `from` a valid source, and the inode is locked. The mapping
        // has a `direct_IO`: without one, neither `open(2)` nor `fcntl(2)` lets a file be direct.
        count(unsafe { bindings::generic_file_direct_write(self.iocb, from.as_raw()) })
    }

    /// Combines the two parts of a direct write whose second part went through the page cache:
    /// writes that part back and drops it. May sleep.
    ///
    /// # Errors
    ///
    /// That of the second part if the first part wrote nothing.
    pub(crate) fn direct_write_fallback(
        &mut self,
        from: &mut IovIterSource<'_>,
        direct: usize,
        cached: Result<usize>,
    ) -> Result<usize> {
        // SAFETY: The call is valid, and `from` a valid source. No part is longer than
        // MAX_RW_COUNT bytes.
        count(unsafe {
            bindings::direct_write_fallback(
                self.iocb,
                from.as_raw(),
                direct as isize,
                count_of(cached),
            )
        })
    }

    /// Makes the last `written` bytes before the position durable if the call asks for it. The
    /// inode must not be locked. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `fsync`.
    pub(crate) fn write_sync(&self, written: usize) -> Result<usize> {
        // SAFETY: The call is valid. No call moves more than MAX_RW_COUNT bytes.
        count(unsafe { bindings::generic_write_sync(self.iocb, written as isize) })
    }
}

/// `O_*` of the file of a write, and those of the write itself if it has to be more durable.
///
/// # Safety
///
/// `iocb` must be valid.
pub(in crate::vfs) unsafe fn write_flags(iocb: *mut bindings::kiocb) -> u32 {
    // SAFETY: Promised by the caller; the call holds a reference to the file.
    let mut flags = unsafe { read_once(&raw const (*(*iocb).ki_filp).f_flags) };
    // SAFETY: Promised by the caller.
    if unsafe { bindings::iocb_is_dsync(iocb) } {
        flags |= O_DSYNC;
    }
    // SAFETY: Promised by the caller.
    if unsafe { (*iocb).ki_flags } as u32 & bindings::IOCB_SYNC != 0 {
        flags |= O_SYNC;
    }
    flags
}

/// Accounts `bytes` of writes to the current task.
pub(crate) fn account_write(bytes: usize) {
    // SAFETY: Changes counters of the current task.
    unsafe { bindings::task_io_account_write(bytes) };
}

/// Runs the function that serves a call of a file of `T`, and returns the value for C.
///
/// # Safety
///
/// `iocb` is a valid call of an open file of `T`, and only the caller uses it until this returns or
/// the call is completed.
pub(in crate::vfs) unsafe fn serve<T: FileSystem>(
    iocb: *mut bindings::kiocb,
    serve: impl FnOnce(Kiocb<'_, T>) -> Result<usize>,
) -> isize {
    // SAFETY: Promised by the caller.
    let served = unsafe { Served::begin(iocb) };
    // SAFETY: As above, and it is served here.
    let result = serve(unsafe { Kiocb::from_raw(iocb, Some(&served)) });
    // SAFETY: It is the call that was begun.
    unsafe { served.end(iocb, result) }
}

/// Faults in the next `len` bytes of a source, as far as possible. May sleep and fault.
///
/// Returns how many of them are present; 0 if not even the first byte can be read.
pub(crate) fn fault_in_source(from: &mut IovIterSource<'_>, len: usize) -> usize {
    let len = len.min(from.len());
    // SAFETY: A valid source.
    let missing = unsafe { bindings::fault_in_iov_iter_readable(from.as_raw(), len) };
    len.saturating_sub(missing)
}

/// A copy of `len` bytes between two files, or within one.
///
/// # Invariants
///
/// `from` and `to` are the files of a running `copy_file_range` call, both open files of `T`,
/// `from` for reading and `to` for writing; a freeze of the super block of `to` waits for the call.
pub(crate) struct CopyRange<'a, T: FileSystem> {
    from: *mut bindings::file,
    to: *mut bindings::file,
    /// The position to read from, in bytes; not negative.
    pub(crate) from_pos: i64,
    /// The position to write to, in bytes; not negative.
    pub(crate) to_pos: i64,
    /// The maximum length, in bytes; it is positive and not beyond the end of the source. All
    /// positions in the copy are valid file offsets.
    pub(crate) len: usize,
    /// Flags of the call; none are defined so far.
    pub(crate) flags: u32,
    _call: PhantomData<&'a T>,
}

impl<'a, T: FileSystem> CopyRange<'a, T> {
    /// Wraps the arguments of a call: file and position to read, file and position to write.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `'a`.
    pub(in crate::vfs) unsafe fn new(
        (from, from_pos): (*mut bindings::file, i64),
        (to, to_pos): (*mut bindings::file, i64),
        len: usize,
        flags: u32,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            from,
            to,
            from_pos,
            to_pos,
            len,
            flags,
            _call: PhantomData,
        }
    }

    /// The file to read.
    pub(crate) fn from(&self) -> &'a File<T> {
        // SAFETY: By the type invariant; the call holds a reference to the file.
        unsafe { File::from_raw(self.from) }
    }

    /// The file to write, which may be the same.
    pub(crate) fn to(&self) -> &'a File<T> {
        // SAFETY: As in `from()`.
        unsafe { File::from_raw(self.to) }
    }

    /// Reads and writes through the page cache, as the VFS does for file systems that cannot copy.
    /// No inode may be locked. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `splice_read` and `write_iter`; `EINVAL` if a position was made negative.
    pub(crate) fn splice(&self) -> Result<usize> {
        let (mut from_pos, mut to_pos) = (self.from_pos, self.to_pos);
        if from_pos < 0 || to_pos < 0 {
            return Err(EINVAL);
        }
        // SAFETY: The files are those of the call, by the type invariant; the positions are not
        // negative.
        count(unsafe {
            bindings::splice_file_range(self.from, &mut from_pos, self.to, &mut to_pos, self.len)
        })
    }
}

/// A `splice` out of a file into a pipe.
///
/// # Invariants
///
/// The pointers are the arguments of a running `splice_read` call on an open file of `T`.
pub(crate) struct SpliceRead<'a, T: FileSystem> {
    file: *mut bindings::file,
    pos: *mut bindings::loff_t,
    pipe: *mut pipe_inode_info,
    len: usize,
    flags: u32,
    _call: PhantomData<&'a T>,
}

impl<'a, T: FileSystem> SpliceRead<'a, T> {
    /// Wraps the arguments of a call.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `'a`.
    pub(in crate::vfs) unsafe fn new(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut pipe_inode_info,
        len: usize,
        flags: u32,
    ) -> Self {
        Self {
            file,
            pos,
            pipe,
            len,
            flags,
            _call: PhantomData,
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &'a File<T> {
        // SAFETY: By the type invariant; the call holds a reference to the file.
        unsafe { File::from_raw(self.file) }
    }

    /// The arguments of the call: position, pipe, length and flags.
    pub(in crate::vfs) fn into_raw(
        self,
    ) -> (*mut bindings::loff_t, *mut pipe_inode_info, usize, u32) {
        (self.pos, self.pipe, self.len, self.flags)
    }

    /// Puts references to folios of the page cache into the pipe.
    ///
    /// # Errors
    ///
    /// `EIO` if a folio could not be read in.
    pub(crate) fn filemap(self) -> Result<usize> {
        // SAFETY: By the type invariant.
        count(unsafe {
            bindings::filemap_splice_read(self.file, self.pos, self.pipe, self.len, self.flags)
        })
    }

    /// Reads with `read_iter` into new pages, which go into the pipe. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `read_iter`, with `EAGAIN` for `EFAULT`; `ENOMEM`.
    pub(crate) fn copy(self) -> Result<usize> {
        // SAFETY: By the type invariant.
        count(unsafe {
            bindings::copy_splice_read(self.file, self.pos, self.pipe, self.len, self.flags)
        })
    }
}

/// A `splice` out of a pipe into a file.
///
/// # Invariants
///
/// The pointers are the arguments of a running `splice_write` call on an open file of `T`.
pub(crate) struct SpliceWrite<'a, T: FileSystem> {
    pipe: *mut pipe_inode_info,
    file: *mut bindings::file,
    pos: *mut bindings::loff_t,
    len: usize,
    flags: u32,
    _call: PhantomData<&'a T>,
}

impl<'a, T: FileSystem> SpliceWrite<'a, T> {
    /// Wraps the arguments of a call.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `'a`.
    pub(in crate::vfs) unsafe fn new(
        pipe: *mut pipe_inode_info,
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: u32,
    ) -> Self {
        Self {
            pipe,
            file,
            pos,
            len,
            flags,
            _call: PhantomData,
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &'a File<T> {
        // SAFETY: By the type invariant; the call holds a reference to the file.
        unsafe { File::from_raw(self.file) }
    }

    /// The arguments of the call: position, pipe, length and flags.
    pub(in crate::vfs) fn into_raw(
        self,
    ) -> (*mut bindings::loff_t, *mut pipe_inode_info, usize, u32) {
        (self.pos, self.pipe, self.len, self.flags)
    }

    /// Writes the contents of the pipe with `write_iter`. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `write_iter`.
    pub(crate) fn iter_file(self) -> Result<usize> {
        // SAFETY: By the type invariant.
        count(unsafe {
            bindings::iter_file_splice_write(self.pipe, self.file, self.pos, self.len, self.flags)
        })
    }
}
