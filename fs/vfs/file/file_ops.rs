// SPDX-License-Identifier: GPL-2.0

//! `file_operations`: the operations of open files, one trait per kind of file.
//!
//! A method that an implementation leaves out is NULL in its table, and the VFS does what it does
//! for any file system without it. The traits' methods are the C methods of the same names; they
//! run in process context and may sleep.
//!
//! The tables have no owner module: an open file keeps its mount, which keeps the module.
//!
//! C headers: `include/linux/fs.h`.

use crate::vfs::{
    bindings,
    file::{
        count::count_of,
        dir_context::{
            DirContext,
            SharedDir, //
        },
        ioctl::{
            self,
            Ioctl, //
        },
        lock::{
            LockCommand,
            LockRequest,
            Locking, //
        },
        open::{
            serve,
            CopyRange,
            FallocateMode,
            File,
            FilesId,
            Kiocb,
            Opening,
            SpliceRead,
            SpliceWrite,
            SyncRange,
            Whence, //
        },
        poll::{
            PollEvents,
            Polling, //
        },
    },
    mm::vm::NewArea,
    mount::sb::FileSystem,
    node::inode::INode,
    tables::FileOps, //
};
use core::{
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    marker::PhantomData, //
};
use kernel::{
    bindings::{
        // The tables of the VFS are of the types that are only declared there.
        file_lease,
        file_lock,
        pipe_inode_info, //
    },
    error::from_result,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    mm::virt::VmaNew,
    prelude::*,
    types::ForeignOwnable, //
};

/// Regular files.
#[vtable]
pub(crate) trait Regular<T: FileSystem> {
    /// `open(2)`. No lock is held. The return value becomes the file's data.
    fn open(file: &Opening<'_, T>) -> Result<T::FileData>;

    /// Called after the last reference to the file is gone; `flags` are its `O_*` at this time. No
    /// lock is held, and the current task may be unrelated to the file, and may be one that must
    /// not wait for a server.
    fn release(inode: &INode<T>, flags: u32, data: T::FileData);

    /// One descriptor of the file was closed by `owner`. The result is that of `close(2)`.
    fn flush(file: &File<T>, owner: FilesId) -> Result;

    /// `read(2)` and the like. No lock is held (but `f_pos_lock`).
    fn read_iter(iocb: Kiocb<'_, T>, to: &mut IovIterDest<'_>) -> Result<usize>;

    /// Whether a read of `len` bytes at `pos` only has to go to the page cache: the VFS then reads
    /// there without [`Regular::read_iter`]. Not called for `O_DIRECT`. Must not sleep.
    fn reads_cache(file: &File<T>, pos: i64, len: usize) -> bool;

    /// `write(2)` and the like. No lock is held (but `f_pos_lock`).
    fn write_iter(iocb: Kiocb<'_, T>, from: &mut IovIterSource<'_>) -> Result<usize>;

    /// `lseek(2)`. No lock is held (but `f_pos_lock`). Returns the new position.
    fn llseek(file: &File<T>, offset: i64, whence: Whence) -> Result<i64>;

    /// `mmap(2)`. The address space is locked for writing: this must not fault on user memory.
    fn mmap(area: NewArea<'_, T>) -> Result;

    /// `splice(2)` and `sendfile(2)` out of the file. Only the caller uses the pipe.
    fn splice_read(splice: SpliceRead<'_, T>) -> Result<usize>;

    /// `splice(2)` and `sendfile(2)` into the file. The pipe is not locked.
    fn splice_write(splice: SpliceWrite<'_, T>) -> Result<usize>;

    /// `fallocate(2)` of `len` bytes at `offset`; both are positive (`offset` may be 0), and so is
    /// their sum. No lock is held.
    fn fallocate(file: &File<T>, mode: FallocateMode, offset: i64, len: i64) -> Result;

    /// `fsync(2)`, `fdatasync(2)` and synchronous writes. No lock is held.
    fn fsync(file: &File<T>, range: SyncRange) -> Result;

    /// `copy_file_range(2)` from a file of `T` to a file of `T`, which may be on another mount or
    /// super block. No lock is held.
    fn copy_file_range(range: CopyRange<'_, T>) -> Result<usize>;

    /// POSIX locks and those of open files: `fcntl(F_SETLK)` and the like. No lock is held.
    fn lock(request: &mut LockRequest<'_, T>, command: LockCommand) -> Result<Locking>;

    /// `flock(2)`: the whole file, for an open file. No lock is held.
    fn flock(request: &mut LockRequest<'_, T>) -> Result;

    /// `ioctl(2)` with a number that the VFS does not know. No lock is held. The system call
    /// returns the value, even a negative one.
    fn ioctl(file: &File<T>, call: Ioctl) -> Result<i32>;

    /// `poll(2)` and its kin: returns the current events. To be woken for later ones, the caller is
    /// registered with [`Polling::register`] first. No lock is held.
    fn poll(polling: &Polling<'_, T::FileData>) -> PollEvents;
}

/// Directories.
#[vtable]
pub(crate) trait Dir<T: FileSystem> {
    /// See [`Regular::open`].
    fn open(file: &Opening<'_, T>) -> Result<T::FileData>;

    /// See [`Regular::release`].
    fn release(inode: &INode<T>, flags: u32, data: T::FileData);

    /// `getdents(2)`: passes on entries from the context's position on, and moves the position
    /// behind each. The inode is locked shared, and `f_pos_lock` is held.
    fn iterate_shared(dir: &SharedDir<'_, T>, ctx: &mut DirContext) -> Result;

    /// See [`Regular::fsync`].
    fn fsync(file: &File<T>, range: SyncRange) -> Result;

    /// See [`Regular::ioctl`].
    fn ioctl(file: &File<T>, call: Ioctl) -> Result<i32>;
}

impl<T: FileSystem> FileOps<T> {
    /// The table of regular files.
    pub(crate) const fn regular<U: Regular<T>>() -> Self {
        // SAFETY: The trampolines require what the VFS promises for the files of an inode of `T`.
        unsafe { Self::from_table(&RegularTable::<T, U>::TABLE) }
    }

    /// The table of directories.
    pub(crate) const fn dir<U: Dir<T>>() -> Self {
        // SAFETY: As in `regular()`.
        unsafe { Self::from_table(&DirTable::<T, U>::TABLE) }
    }
}

/// Stores the data that `open` returns in the file.
///
/// # Safety
///
/// Called by an `open` trampoline, with its file.
pub(in crate::vfs) unsafe fn open<T: FileSystem>(
    file: *mut bindings::file,
    open: impl FnOnce(&Opening<'_, T>) -> Result<T::FileData>,
) -> c_int {
    from_result(|| {
        // SAFETY: The file is being opened by the caller, on an inode of `T`.
        let data = open(&unsafe { Opening::from_raw(file) })?;
        // SAFETY: Only the caller uses the file before its `open` has returned.
        unsafe { (*file).private_data = data.into_foreign().cast() };
        Ok(0)
    })
}

/// Takes the data out of a file whose last reference is gone.
///
/// # Safety
///
/// Called by a `release` trampoline, with its arguments: the file was opened by [`open`].
unsafe fn release<T: FileSystem>(
    inode: *mut bindings::inode,
    file: *mut bindings::file,
    release: impl FnOnce(&INode<T>, u32, T::FileData),
) -> c_int {
    // SAFETY: Only the caller uses the file now, and `open` made its data.
    let data = unsafe { T::FileData::from_foreign((*file).private_data.cast()) };
    // SAFETY: The file is still valid.
    let flags = unsafe { (*file).f_flags };
    // SAFETY: The file still holds a reference to its inode, which is one of `T`.
    release(unsafe { INode::from_raw(inode) }, flags, data);
    0
}

struct RegularTable<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Regular<T>> RegularTable<T, U> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        release: Some(Self::release),
        flush: if U::HAS_FLUSH {
            Some(Self::flush)
        } else {
            None
        },
        read_iter: if U::HAS_READ_ITER {
            Some(Self::read_iter)
        } else {
            None
        },
        write_iter: if U::HAS_WRITE_ITER {
            Some(Self::write_iter)
        } else {
            None
        },
        llseek: if U::HAS_LLSEEK {
            Some(Self::llseek)
        } else {
            None
        },
        mmap: if U::HAS_MMAP { Some(Self::mmap) } else { None },
        // Large folios of the page cache can be mapped as such only at aligned addresses.
        #[cfg(CONFIG_TRANSPARENT_HUGEPAGE)]
        get_unmapped_area: if U::HAS_MMAP {
            Some(bindings::thp_get_unmapped_area)
        } else {
            None
        },
        splice_read: if U::HAS_SPLICE_READ {
            Some(Self::splice_read)
        } else {
            None
        },
        fallocate: if U::HAS_FALLOCATE {
            Some(Self::fallocate)
        } else {
            None
        },
        splice_write: if U::HAS_SPLICE_WRITE {
            Some(Self::splice_write)
        } else {
            None
        },
        fsync: if U::HAS_FSYNC {
            Some(Self::fsync)
        } else {
            None
        },
        lock: if U::HAS_LOCK { Some(Self::lock) } else { None },
        flock: if U::HAS_FLOCK {
            Some(Self::flock)
        } else {
            None
        },
        copy_file_range: if U::HAS_COPY_FILE_RANGE {
            Some(Self::copy_file_range)
        } else {
            None
        },
        setlease: Some(Self::setlease),
        unlocked_ioctl: if U::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: if U::HAS_IOCTL {
            Some(Self::compat_ioctl)
        } else {
            None
        },
        poll: if U::HAS_POLL { Some(Self::poll) } else { None },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by `vfs_copy_file_range()`, inside `file_start_write()`, with a file that is open for
    /// reading and one that is open for writing, both of which have this very function, and with a
    /// valid range of each.
    unsafe extern "C" fn copy_file_range(
        from: *mut bindings::file,
        from_pos: bindings::loff_t,
        to: *mut bindings::file,
        to_pos: bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: A file that has this function is one of `T`; the rest is the caller's promise.
        count_of(U::copy_file_range(unsafe {
            CopyRange::new((from, from_pos), (to, to_pos), len, flags)
        }))
    }

    /// # Safety
    ///
    /// Called by `vfs_lock_file()`, `vfs_test_lock()` or `vfs_cancel_lock()` with an open file and
    /// a lock of the caller's.
    unsafe extern "C" fn lock(
        file: *mut bindings::file,
        command: c_int,
        lock: *mut file_lock,
    ) -> c_int {
        // SAFETY: These are the arguments of a running call.
        let mut request = unsafe { LockRequest::new(file, lock.cast()) };
        let result = U::lock(&mut request, LockCommand::from_raw(command));
        from_result(|| request.into_raw(result))
    }

    /// # Safety
    ///
    /// Called by `flock(2)`, or by `locks_remove_file()` with a file that is about to be released;
    /// with a lock of the caller's.
    unsafe extern "C" fn flock(
        file: *mut bindings::file,
        _command: c_int,
        lock: *mut file_lock,
    ) -> c_int {
        // SAFETY: These are the arguments of a running call; a file that is about to be released
        // is still open.
        let mut request = unsafe { LockRequest::new(file, lock.cast()) };
        let result = U::flock(&mut request).map(|()| Locking::Done);
        from_result(|| request.into_raw(result))
    }

    /// Leases are kept by the VFS alone; without this method there would be none.
    ///
    /// # Safety
    ///
    /// Called by `kernel_setlease()` with an open file, and with a lease and the manager's data as
    /// `arg` has them.
    unsafe extern "C" fn setlease(
        file: *mut bindings::file,
        arg: c_int,
        lease: *mut *mut file_lease,
        manager_data: *mut *mut c_void,
    ) -> c_int {
        // SAFETY: All arguments are passed on unchanged.
        unsafe { bindings::generic_setlease(file, arg, lease.cast(), manager_data) }
    }

    /// # Safety
    ///
    /// Called by `do_dentry_open()` with an inode of `T` and a file of it that only the caller
    /// uses.
    unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: This is an `open` trampoline.
        unsafe { open::<T>(file, U::open) }
    }

    /// # Safety
    ///
    /// Called by `__fput()` with a file that `open` succeeded for, and its inode.
    unsafe extern "C" fn release(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: This is a `release` trampoline.
        unsafe { release::<T>(inode, file, U::release) }
    }

    /// # Safety
    ///
    /// As [`ioctl::ioctl`].
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller promises it.
        unsafe { ioctl::ioctl(U::ioctl, file, cmd, arg) }
    }

    /// # Safety
    ///
    /// As [`ioctl::compat_ioctl`].
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The caller promises it.
        unsafe { ioctl::compat_ioctl(U::ioctl, file, cmd, arg) }
    }

    /// # Safety
    ///
    /// Called by `filp_flush()` with an open file.
    unsafe extern "C" fn flush(file: *mut bindings::file, id: bindings::fl_owner_t) -> c_int {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        from_result(|| U::flush(file, FilesId::from_raw(id)).map(|()| 0))
    }

    /// # Safety
    ///
    /// Called by the VFS with a request on an open file that is its own for the call, and with a
    /// destination.
    unsafe extern "C" fn read_iter(
        raw: *mut bindings::kiocb,
        to: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: The request is valid and ours for the call.
        let iocb = unsafe { Kiocb::<T>::from_raw(raw, None) };
        // SAFETY: `read_iter` is called with a destination, which is ours for the call.
        let len = unsafe { IovIterDest::from_raw(to) }.len();
        let plain = U::HAS_READS_CACHE && !iocb.is_direct();
        if plain && U::reads_cache(iocb.file(), iocb.pos(), len) {
            // SAFETY: The arguments are passed on unchanged.
            return unsafe { bindings::filemap_read(raw, to, 0) };
        }
        // SAFETY: As above.
        unsafe { Self::serve_read(raw, to) }
    }

    /// Reads by [`Regular::read_iter`].
    ///
    /// # Safety
    ///
    /// As `read_iter`.
    #[inline(never)]
    unsafe fn serve_read(raw: *mut bindings::kiocb, to: *mut bindings::iov_iter) -> isize {
        // SAFETY: `read_iter` is called with a destination, which is ours for the call.
        let to = unsafe { IovIterDest::from_raw(to) };
        // SAFETY: The request is valid and ours for the call.
        unsafe { serve(raw, |iocb| U::read_iter(iocb, to)) }
    }

    /// # Safety
    ///
    /// Called by the VFS with a request on an open file that is its own for the call, and with a
    /// source.
    unsafe extern "C" fn write_iter(
        raw: *mut bindings::kiocb,
        from: *mut bindings::iov_iter,
    ) -> isize {
        // SAFETY: `write_iter` is called with a source, which is ours for the call.
        let from = unsafe { IovIterSource::from_raw(from) };
        // SAFETY: The request is valid and ours for the call.
        unsafe { serve(raw, |iocb| U::write_iter(iocb, from)) }
    }

    /// # Safety
    ///
    /// Called by `vfs_poll()` with an open file and a table that is valid for the call, or none.
    unsafe extern "C" fn poll(
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> bindings::__poll_t {
        // SAFETY: The caller has a reference to the open file.
        let data = unsafe { File::<T>::from_raw(file) }.data();
        // SAFETY: The table is null or valid, and this is a call on the file, whose data it is.
        U::poll(&unsafe { Polling::new(file, data, table) }).into_raw()
    }

    /// # Safety
    ///
    /// Called by `vfs_fallocate()` with an open file.
    unsafe extern "C" fn fallocate(
        file: *mut bindings::file,
        mode: c_int,
        offset: bindings::loff_t,
        len: bindings::loff_t,
    ) -> c_long {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        let mode = FallocateMode::from_raw(mode as u32);
        match U::fallocate(file, mode, offset, len) {
            Ok(()) => 0,
            Err(error) => error.to_errno() as c_long,
        }
    }

    /// # Safety
    ///
    /// Called by `do_splice_from()` with a pipe, an open file and a position of the caller's.
    unsafe extern "C" fn splice_write(
        pipe: *mut pipe_inode_info,
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: These are the arguments of a running call.
        count_of(U::splice_write(unsafe {
            SpliceWrite::new(pipe, file, pos, len, flags)
        }))
    }

    /// # Safety
    ///
    /// Called by `vfs_llseek()` with an open file.
    unsafe extern "C" fn llseek(
        file: *mut bindings::file,
        offset: bindings::loff_t,
        whence: c_int,
    ) -> bindings::loff_t {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        match Whence::try_from(whence).and_then(|whence| U::llseek(file, offset, whence)) {
            Ok(pos) => pos,
            Err(error) => error.to_errno().into(),
        }
    }

    /// # Safety
    ///
    /// Called by `mmap_file()` with an open file and an area that is being set up for it, with
    /// the address space locked for writing.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        // SAFETY: The area is being set up, with the lock held for writing.
        let vma = unsafe { VmaNew::from_raw(vma) };
        // SAFETY: These are the arguments of a running call.
        from_result(|| U::mmap(unsafe { NewArea::new(file, vma) }).map(|()| 0))
    }

    /// # Safety
    ///
    /// Called by `do_splice_read()` with an open file, a position of the caller's and a pipe that
    /// the current task has locked, or that only it can reach.
    unsafe extern "C" fn splice_read(
        file: *mut bindings::file,
        pos: *mut bindings::loff_t,
        pipe: *mut pipe_inode_info,
        len: usize,
        flags: c_uint,
    ) -> isize {
        // SAFETY: These are the arguments of a running call.
        count_of(U::splice_read(unsafe {
            SpliceRead::new(file, pos, pipe, len, flags)
        }))
    }

    /// # Safety
    ///
    /// Called by `vfs_fsync_range()` with an open file.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        start: bindings::loff_t,
        end: bindings::loff_t,
        datasync: c_int,
    ) -> c_int {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        let range = SyncRange {
            start,
            end,
            data_only: datasync != 0,
        };
        from_result(|| U::fsync(file, range).map(|()| 0))
    }
}

struct DirTable<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Dir<T>> DirTable<T, U> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        open: Some(Self::open),
        release: Some(Self::release),
        iterate_shared: if U::HAS_ITERATE_SHARED {
            Some(Self::iterate_shared)
        } else {
            None
        },
        fsync: if U::HAS_FSYNC {
            Some(Self::fsync)
        } else {
            None
        },
        llseek: Some(bindings::generic_file_llseek),
        read: Some(bindings::generic_read_dir),
        unlocked_ioctl: if U::HAS_IOCTL {
            Some(Self::ioctl)
        } else {
            None
        },
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: if U::HAS_IOCTL {
            Some(Self::compat_ioctl)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by `do_dentry_open()` with an inode of `T` and a file of it that only the caller
    /// uses.
    unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: This is an `open` trampoline.
        unsafe { open::<T>(file, U::open) }
    }

    /// # Safety
    ///
    /// Called by `__fput()` with a file that `open` succeeded for, and its inode.
    unsafe extern "C" fn release(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: This is a `release` trampoline.
        unsafe { release::<T>(inode, file, U::release) }
    }

    /// # Safety
    ///
    /// As [`ioctl::ioctl`].
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller promises it.
        unsafe { ioctl::ioctl(U::ioctl, file, cmd, arg) }
    }

    /// # Safety
    ///
    /// As [`ioctl::compat_ioctl`].
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The caller promises it.
        unsafe { ioctl::compat_ioctl(U::ioctl, file, cmd, arg) }
    }

    /// # Safety
    ///
    /// Called by `iterate_dir()` with an open directory that is not dead, whose `i_rwsem` is held
    /// shared, and with a context of the caller's.
    unsafe extern "C" fn iterate_shared(
        file: *mut bindings::file,
        ctx: *mut bindings::dir_context,
    ) -> c_int {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        // SAFETY: The caller holds its lock for the call.
        let dir = unsafe { SharedDir::new(file) };
        // SAFETY: The context is valid and ours for the call.
        let ctx = unsafe { DirContext::from_raw(ctx) };
        from_result(|| U::iterate_shared(&dir, ctx).map(|()| 0))
    }

    /// # Safety
    ///
    /// Called by `vfs_fsync_range()` with an open file.
    unsafe extern "C" fn fsync(
        file: *mut bindings::file,
        start: bindings::loff_t,
        end: bindings::loff_t,
        datasync: c_int,
    ) -> c_int {
        // SAFETY: The caller has a reference to the open file.
        let file = unsafe { File::from_raw(file) };
        let range = SyncRange {
            start,
            end,
            data_only: datasync != 0,
        };
        from_result(|| U::fsync(file, range).map(|()| 0))
    }
}
