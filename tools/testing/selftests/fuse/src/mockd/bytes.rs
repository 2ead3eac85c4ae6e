// SPDX-License-Identifier: GPL-2.0

//! System calls that move the bytes of files, beyond read(2) and write(2).

use super::sys::check;
use super::sys::Result;
use std::os::fd::RawFd;

/// copy_file_range(2) from one descriptor and offset to another.
pub fn copy_file_range(from: (RawFd, i64), to: (RawFd, i64), len: usize) -> Result<usize> {
    let (mut at, mut into) = (from.1, to.1);
    // SAFETY: two valid offsets.
    let n = unsafe { libc::copy_file_range(from.0, &mut at, to.0, &mut into, len, 0) };
    check(n as i64).map(|n| n as usize)
}
