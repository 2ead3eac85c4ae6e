// SPDX-License-Identifier: GPL-2.0

//! Advisory locks: what a task asks for, and the locks that the kernel keeps by itself.
//!
//! A [`LockRequest`] is one `fcntl(F_SETLK)`, `fcntl(F_GETLK)`, `flock(2)` or the like. The file
//! system either passes it on to somewhere else and says what came of it, or leaves it to the
//! kernel ([`LockRequest::set_here`], [`LockRequest::test_here`]). Before it on the walk is
//! `file_ops`.
//!
//! Locks: none of its own; the VFS holds none when it comes in here.
//!
//! C headers: `include/linux/filelock.h`.

use crate::vfs::{
    bindings,
    file::open::{
        File,
        FilesId, //
    },
    mount::sb::FileSystem, //
};
use core::{
    ffi::c_int,
    marker::PhantomData, //
};
use kernel::{
    pid_namespace::PidNamespace,
    prelude::*,
    sync::rcu, //
};

/// What is wanted of a POSIX lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockCommand {
    /// The lock that is in the way of this one (`F_GETLK`).
    Get,
    /// Lock or unlock (`F_SETLK`, `F_SETLKW`).
    Set,
    /// Whoever waited for this lock does so no longer (`F_CANCELLK`).
    Cancel,
}

impl LockCommand {
    /// The VFS has no other commands than these.
    pub(in crate::vfs) fn from_raw(command: c_int) -> Self {
        match command as u32 {
            bindings::F_CANCELLK => Self::Cancel,
            bindings::F_GETLK => Self::Get,
            _ => Self::Set,
        }
    }
}

/// What a lock keeps others from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum LockType {
    /// From changing: others may lock it so, too.
    Read = bindings::F_RDLCK,
    /// From everything.
    Write = bindings::F_WRLCK,
    /// From nothing: the range is given up, or nothing is in the way.
    Unlock = bindings::F_UNLCK,
}

impl TryFrom<u32> for LockType {
    type Error = Error;

    /// # Errors
    ///
    /// `EINVAL` if there is no such type.
    fn try_from(value: u32) -> Result<Self> {
        Ok(match value {
            bindings::F_RDLCK => Self::Read,
            bindings::F_WRLCK => Self::Write,
            bindings::F_UNLCK => Self::Unlock,
            _ => return Err(EINVAL),
        })
    }
}

/// The bytes of a file that a lock covers, both ends included.
///
/// # Invariants
///
/// `0 <= start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LockRange {
    start: i64,
    end: i64,
}

impl LockRange {
    /// The range from the byte at `start` to the byte at `end`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the end is before the start, or one of them is an offset that no file has.
    pub(crate) fn new(start: u64, end: u64) -> Result<Self> {
        let (start, end) = (i64::try_from(start)?, i64::try_from(end)?);
        if end < start {
            return Err(EINVAL);
        }
        // INVARIANT: Checked just now.
        Ok(Self { start, end })
    }

    /// The offset of its first byte.
    pub(crate) fn start(self) -> i64 {
        self.start
    }

    /// The offset of its last byte; [`i64::MAX`] stands for the end of the file, wherever it is.
    pub(crate) fn end(self) -> i64 {
        self.end
    }
}

/// What came of a lock that the kernel keeps by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    /// It is locked, or given up.
    Done,
    /// Somebody else is in the way: the VFS waits for them, and comes again.
    Deferred,
}

/// One request for a lock on an open file.
///
/// # Invariants
///
/// `file` and `lock` are the arguments of a running `lock` or `flock` call on an open file of `T`.
/// The lock is the caller's own, and on no list until `waits`: then others that hold locks know it,
/// and it does not change.
pub(crate) struct LockRequest<'a, T: FileSystem> {
    file: *mut bindings::file,
    lock: *mut bindings::file_lock,
    /// Whether the kernel has put it where the caller waits for somebody else's.
    waits: bool,
    _call: PhantomData<&'a mut T>,
}

impl<'a, T: FileSystem> LockRequest<'a, T> {
    /// Wraps the arguments of a call.
    ///
    /// # Safety
    ///
    /// The type invariant holds for `'a`.
    pub(in crate::vfs) unsafe fn new(
        file: *mut bindings::file,
        lock: *mut bindings::file_lock,
    ) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            file,
            lock,
            waits: false,
            _call: PhantomData,
        }
    }

    /// What a `lock` or `flock` call returns to C that came to `result`.
    pub(in crate::vfs) fn into_raw(self, result: Result<Locking>) -> Result<c_int> {
        if self.waits {
            // Whatever is said of it: only then the caller takes it off the list again.
            return Ok(bindings::FILE_LOCK_DEFERRED as c_int);
        }
        match result? {
            Locking::Done => Ok(0),
            // It would wait for nobody, and come again at once.
            Locking::Deferred => Err(EIO),
        }
    }

    /// Whether it asks for a lock of this kind (`FL_*`), and is not on a list.
    fn may_change(&self, kind: u32) -> bool {
        // SAFETY: Valid by the type invariant.
        !self.waits && unsafe { (*self.lock).c.flc_flags } & kind != 0
    }

    /// The file.
    pub(crate) fn file(&self) -> &'a File<T> {
        // SAFETY: By the type invariant; the call holds a reference to the file.
        unsafe { File::from_raw(self.file) }
    }

    /// What is asked for.
    ///
    /// # Errors
    ///
    /// `EINVAL`; the VFS lets no other types through.
    pub(crate) fn lock_type(&self) -> Result<LockType> {
        // SAFETY: Valid by the type invariant.
        LockType::try_from(u32::from(unsafe { (*self.lock).c.flc_type }))
    }

    /// Which bytes.
    pub(crate) fn range(&self) -> LockRange {
        // SAFETY: Valid by the type invariant.
        let (start, end) = unsafe { ((*self.lock).fl_start, (*self.lock).fl_end) };
        // INVARIANT: The VFS lets no other ranges through.
        LockRange { start, end }
    }

    /// Who locks: a table of open files, or an open file.
    pub(crate) fn owner(&self) -> FilesId {
        // SAFETY: Valid by the type invariant.
        FilesId::from_raw(unsafe { (*self.lock).c.flc_owner })
    }

    /// Whether the caller waits for the lock if somebody else has it.
    pub(crate) fn may_wait(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.lock).c.flc_flags & bindings::FL_SLEEP != 0 }
    }

    /// Whether the caller wants to be told later that it has the lock (a lock manager that serves
    /// other machines).
    pub(crate) fn wants_grant(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let manager = unsafe { (*self.lock).fl_lmops };
        // SAFETY: The operations of a lock's manager are valid as long as the lock.
        !manager.is_null() && unsafe { (*manager).lm_grant.is_some() }
    }

    /// Nothing is in the way of the POSIX lock that was asked about.
    pub(crate) fn set_free(&mut self) {
        if self.may_change(bindings::FL_POSIX) {
            // SAFETY: Valid, the call's own and on no list by the type invariant.
            unsafe { (*self.lock).c.flc_type = bindings::F_UNLCK as u8 };
        }
    }

    /// This lock is in the way of the POSIX lock that was asked about. `pid` is who has it, as `ns`
    /// counts; nobody that the kernel knows if there is none.
    pub(crate) fn set_conflict(
        &mut self,
        lock_type: LockType,
        range: LockRange,
        pid: u32,
        ns: &PidNamespace,
    ) {
        if !self.may_change(bindings::FL_POSIX) {
            return;
        }
        // What is more than a pid can be is nobody's.
        let pid = global_pid(i32::try_from(pid).unwrap_or(0), ns);
        let lock = self.lock;
        // SAFETY: Valid, the call's own and on no list by the type invariant. There are three
        // types.
        unsafe {
            (*lock).fl_start = range.start;
            (*lock).fl_end = range.end;
            (*lock).c.flc_pid = pid;
            (*lock).c.flc_type = lock_type as u8;
        }
    }

    /// Looks among the POSIX locks that the kernel keeps for one that is in the way, and says so
    /// in the request. Does nothing for a BSD lock.
    pub(crate) fn test_here(&mut self) {
        if self.may_change(bindings::FL_POSIX) {
            // SAFETY: Both are valid, and the lock is the call's own and on no list, by the type
            // invariant.
            unsafe { bindings::posix_test_lock(self.file, self.lock) };
        }
    }

    /// Sets a POSIX lock in the kernel alone. May sleep, but not for the lock.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if somebody else is in the way of one who does not wait, `EDEADLK` of one who
    /// does; `ENOMEM`, `ENOLCK`; `EINVAL` for a BSD lock, and once it is deferred.
    pub(crate) fn set_here(&mut self) -> Result<Locking> {
        if !self.may_change(bindings::FL_POSIX) {
            return Err(EINVAL);
        }
        // SAFETY: Both are valid, and the lock is the call's own, a POSIX lock and on no list, by
        // the type invariant and as just looked at.
        let result =
            unsafe { bindings::posix_lock_file(self.file, self.lock, core::ptr::null_mut()) };
        match result {
            0 => Ok(Locking::Done),
            error @ ..=-1 => Err(Error::from_errno(error)),
            _ => {
                // INVARIANT: It is on a list now.
                self.waits = true;
                Ok(Locking::Deferred)
            }
        }
    }

    /// Sets a lock in the kernel alone, and waits for it if that was asked for. Sleeps.
    ///
    /// # Errors
    ///
    /// As [`Self::set_here`]; `EWOULDBLOCK`, `ERESTARTSYS`; `EINVAL` once it is deferred.
    pub(crate) fn set_here_and_wait(&mut self) -> Result {
        if !self.may_change(bindings::FL_POSIX | bindings::FL_FLOCK) {
            return Err(EINVAL);
        }
        // SAFETY: The lock is the call's own, of a kind that the function knows, and on no list by
        // the type invariant; the inode is that of an open file.
        let result = unsafe { bindings::locks_lock_inode_wait((*self.file).f_inode, self.lock) };
        kernel::error::to_result(result)
    }
}

/// The pid by which the first namespace knows the process that is `pid` in `ns`; 0 if there is no
/// such process.
fn global_pid(pid: i32, ns: &PidNamespace) -> i32 {
    let _rcu = rcu::read_lock();
    // SAFETY: The namespace is valid, and the caller is in an RCU read section.
    let found = unsafe { bindings::find_pid_ns(pid, ns.as_ptr()) };
    // SAFETY: The process id is null or, in this RCU read section, valid; the first namespace is
    // static.
    unsafe { bindings::pid_nr_ns(found, &raw mut bindings::init_pid_ns) }
}
