// SPDX-License-Identifier: GPL-2.0

//! Backing files: files of other file systems that back a file of ours.
//!
//! A privileged caller lends a file ([`Backing`]): later accesses to it use the caller's
//! credentials at that time. It is opened once more for each open file of ours that it backs
//! ([`BackingFile`]), so that both have the same flags, and paths that are shown to other tasks are
//! ours. Reads, writes, splices and mappings are then passed on to it, and the file system handles
//! their effects on the inode ([`Backed`]).
//!
//! The file system calls this; this calls the kernel's `fs/backing-file.c`, which calls the other
//! file system. Both objects can be dropped in any context: the last reference to a file is always
//! dropped later, in a context that may sleep.
//!
//! Locks: none of its own. A write needs our inode's lock, inside of which the other file system
//! takes its own; the stack depth of the super blocks, which is checked when a file is lent, orders
//! the two and prevents a cycle.
//!
//! C header: `include/linux/backing-file.h`.

use crate::vfs::{
    bindings,
    cred,
    file::{
        count::count,
        open::{
            File,
            Kiocb,
            Opening,
            SpliceRead,
            SpliceWrite, //
        },
    },
    mm::vm::NewArea,
    mount::sb::FileSystem,
    node::inode::{
        INode,
        INodeLock, //
    }, //
};
use core::{
    ffi::c_int,
    ptr::NonNull, //
};
use kernel::{
    cred::Credential,
    error::{
        from_err_ptr,
        to_result, //
    },
    fs,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// A regular file that a caller has lent, and the credentials for accesses to it.
pub(crate) struct Backing {
    file: ARef<fs::File>,
    cred: ARef<Credential>,
}

impl Backing {
    /// The file behind a descriptor of the caller, which may be open with `O_PATH`, and the
    /// caller's credentials.
    ///
    /// # Errors
    ///
    /// `EBADF`; `EISDIR` for a directory; `EINVAL` for every other file that is not regular.
    pub(crate) fn of_caller(fd: i32) -> Result<Self> {
        // SAFETY: Any number is valid: a negative one is above all descriptors.
        let file = NonNull::new(unsafe { bindings::fget_raw(fd as u32) }).ok_or(EBADF)?;
        // SAFETY: The reference is ours. No running call of this task uses the position of the
        // file: the call is on another file, whose argument has the number of a descriptor.
        let file: ARef<fs::File> = unsafe { ARef::from_raw(file.cast()) };
        // SAFETY: The path of an open file is constant.
        let dentry = unsafe { (*file.as_ptr()).__bindgen_anon_1.f_path.dentry };
        // SAFETY: The file keeps its dentry.
        if unsafe { !bindings::d_is_reg(dentry) } {
            // SAFETY: As above.
            return Err(match unsafe { bindings::d_is_dir(dentry) } {
                true => EISDIR,
                false => EINVAL,
            });
        }
        Ok(Self {
            file,
            cred: cred::current(),
        })
    }

    /// How many file systems are stacked below that of the file.
    pub(crate) fn stack_depth(&self) -> u32 {
        // SAFETY: The file keeps its inode, which keeps its super block. The depth is set before a
        // file can be opened there.
        let depth = unsafe { (*(*(*self.file.as_ptr()).f_inode).i_sb).s_stack_depth };
        // It is never negative.
        u32::try_from(depth).unwrap_or(u32::MAX)
    }

    /// Opens the file once more, with the flags of `user`, which it is to back. May sleep.
    ///
    /// # Errors
    ///
    /// `EPERM` if the file may not be written in this way; `ENOMEM`; those of the other file system
    /// and of security modules.
    pub(crate) fn open<T: FileSystem>(&self, user: &Opening<'_, T>) -> Result<BackingFile> {
        // SAFETY: Our file has its path while its `open` runs; path and credentials are kept by
        // `self`.
        let file = from_err_ptr(unsafe {
            bindings::backing_file_open(
                user.as_ptr(),
                user.flags() as c_int,
                &raw const (*self.file.as_ptr()).__bindgen_anon_1.f_path,
                self.cred.as_ptr(),
            )
        })?;
        let file = NonNull::new(file).ok_or(ENOMEM)?;
        // INVARIANT: Opened just now.
        // SAFETY: The reference is ours, and the file is in no table.
        Ok(BackingFile(unsafe { ARef::from_raw(file.cast()) }))
    }
}

/// The reaction of a file system to calls that were passed on.
pub(crate) trait Backed<T: FileSystem> {
    /// The inode was read, or is going to be. Process context; no lock is held except `mmap_lock`,
    /// in a call of `mmap`.
    fn accessed(inode: &INode<T>);

    /// A write of the inode has ended, at the position `end` behind the data, or with nothing
    /// written. Process context; the inode is locked if the writer waits.
    fn written(inode: &INode<T>, end: Option<i64>);
}

/// An open file that backs one of ours.
///
/// # Invariants
///
/// It was opened by `backing_file_open()`, so its `f_cred` are the credentials it was lent with.
pub(crate) struct BackingFile(ARef<fs::File>);

impl BackingFile {
    fn as_ptr(&self) -> *mut bindings::file {
        self.0.as_ptr()
    }

    fn context<T: FileSystem, U: Backed<T>>(&self) -> bindings::backing_file_ctx {
        bindings::backing_file_ctx {
            cred: self.0.cred().as_ptr(),
            accessed: Some(accessed::<T, U>),
            end_write: Some(end_write::<T, U>),
        }
    }

    /// Reads the file, and moves the position. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the other file system; `EINVAL` if the call is direct and the other file does not
    /// support that; `EIOCBQUEUED` if the call completes later.
    pub(crate) fn read_iter<T: FileSystem, U: Backed<T>>(
        &self,
        iocb: Kiocb<'_, T>,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        let (iocb, flags) = iocb.pass_on()?;
        let mut ctx = self.context::<T, U>();
        // SAFETY: Call and destination are valid, and the call is not used here any more; the file
        // is one of `backing_file_open()`.
        count(unsafe {
            bindings::backing_file_read_iter(self.as_ptr(), to.as_raw(), iocb, flags, &mut ctx)
        })
    }

    /// Writes the file, and moves the position. Before, it removes privileges that our file must
    /// not keep when it is written. Sleeps.
    ///
    /// # Errors
    ///
    /// As [`Self::read_iter`]; `EPERM` if the file can only be appended to; those of removing
    /// privileges; `EINVAL` if the lock is another inode's.
    pub(crate) fn write_iter<T: FileSystem, U: Backed<T>>(
        &self,
        lock: &INodeLock<'_, T>,
        iocb: Kiocb<'_, T>,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        lock.check(iocb.file().inode())?;
        let (iocb, flags) = iocb.pass_on()?;
        let mut ctx = self.context::<T, U>();
        // SAFETY: Call and source are valid, and the call is not used here any more; the inode is
        // locked; the file is one of `backing_file_open()`.
        count(unsafe {
            bindings::backing_file_write_iter(self.as_ptr(), from.as_raw(), iocb, flags, &mut ctx)
        })
    }

    /// Splices out of the file into the pipe. May sleep.
    ///
    /// # Errors
    ///
    /// Those of the other file system.
    pub(crate) fn splice_read<T: FileSystem, U: Backed<T>>(
        &self,
        splice: SpliceRead<'_, T>,
    ) -> Result<usize> {
        let file = splice.file();
        let (pos, pipe, len, flags) = splice.into_raw();
        let (this, pipe, mut ctx) = (self.as_ptr(), pipe.cast(), self.context::<T, U>());
        let call = |iocb: &mut bindings::kiocb| {
            // SAFETY: The pipe is one of the running call, `iocb` is of its file, and this file is
            // one of `backing_file_open()`.
            unsafe { bindings::backing_file_splice_read(this, iocb, pipe, len, flags, &mut ctx) }
        };
        // SAFETY: The position is one of the running call.
        count(unsafe { at_position(file, pos, call) })
    }

    /// Splices out of the pipe into the file. Privileges are removed as by [`Self::write_iter`].
    /// Sleeps.
    ///
    /// # Errors
    ///
    /// Those of the other file system; `EPERM` if the file can only be appended to; those of
    /// removing privileges; `EINVAL` if the lock is another inode's, or the other file system
    /// cannot splice.
    pub(crate) fn splice_write<T: FileSystem, U: Backed<T>>(
        &self,
        lock: &INodeLock<'_, T>,
        splice: SpliceWrite<'_, T>,
    ) -> Result<usize> {
        lock.check(splice.file().inode())?;
        let file = splice.file();
        let (pos, pipe, len, flags) = splice.into_raw();
        let (this, pipe, mut ctx) = (self.as_ptr(), pipe.cast(), self.context::<T, U>());
        let call = |iocb: &mut bindings::kiocb| {
            // SAFETY: The pipe is one of the running call, `iocb` is of its file, whose inode is
            // locked, and this file is one of `backing_file_open()`.
            unsafe { bindings::backing_file_splice_write(pipe, this, iocb, len, flags, &mut ctx) }
        };
        // SAFETY: The position is one of the running call.
        count(unsafe { at_position(file, pos, call) })
    }

    /// Maps the file instead of ours: faults go to its file system.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the file cannot be mapped; `EACCES` if it can only be appended to; those of the
    /// other file system and of security modules.
    pub(crate) fn mmap<T: FileSystem, U: Backed<T>>(&self, area: NewArea<'_, T>) -> Result {
        let mut ctx = self.context::<T, U>();
        // SAFETY: The area is being set up for a file of `T`, which the caller of `mmap` keeps even
        // when the area drops its reference; this file is one of `backing_file_open()`.
        to_result(unsafe { bindings::backing_file_mmap(self.as_ptr(), area.into_raw(), &mut ctx) })
    }
}

/// Makes a synchronous call on `file`, at the position `pos`, and moves that.
///
/// # Safety
///
/// `pos` must be valid, and only the caller may use it.
unsafe fn at_position<T: FileSystem>(
    file: &File<T>,
    pos: *mut bindings::loff_t,
    call: impl FnOnce(&mut bindings::kiocb) -> isize,
) -> isize {
    let mut iocb = bindings::kiocb::default();
    // SAFETY: The file is open.
    unsafe { bindings::init_sync_kiocb(&mut iocb, file.as_ptr()) };
    // SAFETY: Promised by the caller.
    iocb.ki_pos = unsafe { *pos };
    let done = call(&mut iocb);
    // SAFETY: As above.
    unsafe { *pos = iocb.ki_pos };
    done
}

/// # Safety
///
/// Called by the functions of `fs/backing-file.c` with the file of ours that was passed to them, of
/// `T`, which their caller keeps.
unsafe extern "C" fn accessed<T: FileSystem, U: Backed<T>>(file: *mut bindings::file) {
    // SAFETY: By the safety requirement.
    U::accessed(unsafe { File::<T>::from_raw(file) }.inode());
}

/// # Safety
///
/// Called by the functions of `fs/backing-file.c` with the call that was passed to them, one on an
/// open file of `T`, before the call is completed; by a worker if its caller does not wait.
unsafe extern "C" fn end_write<T: FileSystem, U: Backed<T>>(
    iocb: *mut bindings::kiocb,
    written: isize,
) {
    // SAFETY: By the safety requirement: the call keeps its file.
    let file = unsafe { File::<T>::from_raw((*iocb).ki_filp) };
    // SAFETY: As above; the position is that of the end already.
    let end = unsafe { (*iocb).ki_pos };
    U::written(file.inode(), (written > 0).then_some(end));
}
