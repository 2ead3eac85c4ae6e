// SPDX-License-Identifier: GPL-2.0

//! Byte counts in the form that C returns them.

use kernel::prelude::*;

/// Converts a byte count of C, negative for an error, to a result.
pub(in crate::vfs) fn count(result: isize) -> Result<usize> {
    usize::try_from(result).map_err(|_| Error::from_errno(result as i32))
}

/// Converts a result to a byte count of C.
pub(in crate::vfs) fn count_of(result: Result<usize>) -> isize {
    match result {
        // No call moves more than MAX_RW_COUNT bytes.
        Ok(count) => isize::try_from(count).unwrap_or(isize::MAX),
        Err(error) => error.to_errno() as isize,
    }
}
