// SPDX-License-Identifier: GPL-2.0

//! System calls that lock files.

use super::sys::check;
use super::sys::Result;
use super::wire::Wire;
use std::os::fd::RawFd;
use std::os::raw::c_int;

/// A lock as fcntl(2) has it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub kind: i32,
    /// Who holds it, where fcntl(2) says so.
    pub pid: i32,
    pub start: i64,
    /// 0 goes to the end of the file, wherever that is.
    pub len: i64,
}

// SAFETY: `repr(C)` of plain integers, which leave no padding.
unsafe impl Wire for Lock {}

/// What is asked for of `len` bytes from `start` on.
pub fn lock(kind: c_int, start: i64, len: i64) -> Lock {
    Lock {
        kind,
        pid: 0,
        start,
        len,
    }
}

/// fcntl(2) with one of the commands for locks; the lock as it is afterwards.
pub fn fcntl_lock(fd: RawFd, command: c_int, lock: Lock) -> Result<Lock> {
    // SAFETY: all zeros is a valid `flock`.
    let mut arg: libc::flock = unsafe { std::mem::zeroed() };
    arg.l_type = lock.kind as i16;
    arg.l_start = lock.start;
    arg.l_len = lock.len;
    arg.l_pid = lock.pid;
    // SAFETY: a valid `flock`.
    check(unsafe { libc::fcntl(fd, command, &mut arg) }.into())?;
    Ok(Lock {
        kind: arg.l_type.into(),
        pid: arg.l_pid,
        start: arg.l_start,
        len: arg.l_len,
    })
}

pub fn flock(fd: RawFd, operation: c_int) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::flock(fd, operation) }.into()).map(drop)
}

/// fcntl(2) with a number as argument; what it returns.
pub fn fcntl(fd: RawFd, command: c_int, arg: c_int) -> Result<i32> {
    // SAFETY: no memory involved.
    check(unsafe { libc::fcntl(fd, command, arg) }.into()).map(|n| n as i32)
}
