// SPDX-License-Identifier: GPL-2.0

//! Advisory locks: the requests of tasks, and the locks that the kernel keeps by itself.
//!
//! A [`LockRequest`] is one `fcntl(F_SETLK)`, `fcntl(F_GETLK)`, `flock(2)` or the like. The file
//! system either passes it on, to its server for example, and sets the answer, or leaves it to the
//! kernel ([`LockRequest::set_here`], [`LockRequest::test_here`]).
//!
//! Locks: none of its own; the VFS holds none when it calls.
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

/// The command of a POSIX lock request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockCommand {
    /// Find a lock that conflicts with this one (`F_GETLK`).
    Get,
    /// Lock or unlock (`F_SETLK`, `F_SETLKW`).
    Set,
    /// The waiter for this lock has given up (`F_CANCELLK`).
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

/// What a lock excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum LockType {
    /// Write locks: it is shared with other readers.
    Read = bindings::F_RDLCK,
    /// All other locks.
    Write = bindings::F_WRLCK,
    /// Nothing: the range is unlocked, or there is no conflict.
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
    /// `EINVAL` if the end is before the start, or one of them exceeds the maximum file offset.
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

    /// The offset of its last byte; [`i64::MAX`] stands for the end of the file, wherever that is.
    pub(crate) fn end(self) -> i64 {
        self.end
    }
}

/// The result for a lock that the kernel keeps by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locking {
    /// It is locked or unlocked.
    Done,
    /// Another owner's lock conflicts: the VFS waits for that owner, and tries again.
    Deferred,
}

/// One request for a lock on an open file.
///
/// # Invariants
///
/// `file` and `lock` are the arguments of a running `lock` or `flock` call on an open file of `T`.
/// The lock belongs to the call, and is on no list until `waits` is set: from then on holders of
/// other locks can see it, and it does not change.
pub(crate) struct LockRequest<'a, T: FileSystem> {
    file: *mut bindings::file,
    lock: *mut bindings::file_lock,
    /// Whether the kernel has queued it behind a conflicting lock.
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

    /// Converts the `result` of a `lock` or `flock` call to its return value for C.
    pub(in crate::vfs) fn into_raw(self, result: Result<Locking>) -> Result<c_int> {
        if self.waits {
            // Whatever the result is: only for this value the caller takes it off the list again.
            return Ok(bindings::FILE_LOCK_DEFERRED as c_int);
        }
        match result? {
            Locking::Done => Ok(0),
            // The caller would not wait, and would try again at once.
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

    /// The requested type.
    ///
    /// # Errors
    ///
    /// `EINVAL`; the VFS lets no other types through.
    pub(crate) fn lock_type(&self) -> Result<LockType> {
        // SAFETY: Valid by the type invariant.
        LockType::try_from(u32::from(unsafe { (*self.lock).c.flc_type }))
    }

    /// The bytes to lock.
    pub(crate) fn range(&self) -> LockRange {
        // SAFETY: Valid by the type invariant.
        let (start, end) = unsafe { ((*self.lock).fl_start, (*self.lock).fl_end) };
        // INVARIANT: The VFS lets no other ranges through.
        LockRange { start, end }
    }

    /// The owner of the lock: a table of open files, or an open file.
    pub(crate) fn owner(&self) -> FilesId {
        // SAFETY: Valid by the type invariant.
        FilesId::from_raw(unsafe { (*self.lock).c.flc_owner })
    }

    /// Whether it is that of an open file, and not of a table of open files.
    pub(crate) fn is_of_open_file(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.lock).c.flc_flags & (bindings::FL_OFDLCK | bindings::FL_FLOCK) != 0 }
    }

    /// Whether the caller waits for the lock if another owner has it.
    pub(crate) fn may_wait(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.lock).c.flc_flags & bindings::FL_SLEEP != 0 }
    }

    /// Whether the caller wants to be notified later that it has the lock (a lock manager that
    /// serves other machines).
    pub(crate) fn wants_grant(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let manager = unsafe { (*self.lock).fl_lmops };
        // SAFETY: The operations of a lock's manager are valid as long as the lock.
        !manager.is_null() && unsafe { (*manager).lm_grant.is_some() }
    }

    /// Answers that nothing conflicts with the POSIX lock that was asked about.
    pub(crate) fn set_free(&mut self) {
        if self.may_change(bindings::FL_POSIX) {
            // SAFETY: Valid, the call's own and on no list by the type invariant.
            unsafe { (*self.lock).c.flc_type = bindings::F_UNLCK as u8 };
        }
    }

    /// Answers that this lock conflicts with the POSIX lock that was asked about. `pid` is its
    /// owner in `ns`; if the kernel does not know such a process, the owner is 0.
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
        // A number that is too large for a pid has no process.
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

    /// Searches the POSIX locks that the kernel keeps for a conflict, and sets the answer in the
    /// request. Does nothing for a BSD lock.
    pub(crate) fn test_here(&mut self) {
        if self.may_change(bindings::FL_POSIX) {
            // SAFETY: Both are valid, and the lock is the call's own and on no list, by the type
            // invariant.
            unsafe { bindings::posix_test_lock(self.file, self.lock) };
        }
    }

    /// Sets a POSIX lock in the kernel only. May sleep, but does not wait for the lock.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if another owner's lock conflicts and the caller does not wait; `EDEADLK` if
    /// waiting would deadlock; `ENOMEM`, `ENOLCK`; `EINVAL` for a BSD lock, and once it is
    /// deferred.
    pub(crate) fn set_here(&mut self) -> Result<Locking> {
        if !self.may_change(bindings::FL_POSIX) {
            return Err(EINVAL);
        }
        // SAFETY: Both are valid, and the lock is the call's own, a POSIX lock and on no list, by
        // the type invariant and the check above.
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

    /// Sets a lock in the kernel only, and waits for it if the caller wants that. Sleeps.
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

/// The pid in the initial namespace of the process that is `pid` in `ns`; 0 if there is no such
/// process.
fn global_pid(pid: i32, ns: &PidNamespace) -> i32 {
    let _rcu = rcu::read_lock();
    // SAFETY: The namespace is valid, and the caller is in an RCU read section.
    let found = unsafe { bindings::find_pid_ns(pid, ns.as_ptr()) };
    // SAFETY: The process id is null or, in this RCU read section, valid; the initial namespace is
    // static.
    unsafe { bindings::pid_nr_ns(found, &raw mut bindings::init_pid_ns) }
}
