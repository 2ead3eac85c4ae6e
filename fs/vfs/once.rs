// SPDX-License-Identifier: GPL-2.0

//! Accesses to fields that other tasks access concurrently.

/// Reads a field that other tasks may be changing, whole and once, as `READ_ONCE` does.
///
/// # Safety
///
/// `field` must be valid for reads; concurrent writes must be of the whole field.
pub(crate) unsafe fn read_once<F: Copy>(field: *const F) -> F {
    // SAFETY: The caller promises validity. The kernel's memory model takes a volatile access as a
    // marked one.
    unsafe { field.read_volatile() }
}

/// Writes a field that other tasks may be reading, whole and once, as `WRITE_ONCE` does.
///
/// # Safety
///
/// `field` must be valid for writes, and concurrent accesses must be of the whole field.
pub(crate) unsafe fn write_once<F: Copy>(field: *mut F, value: F) {
    // SAFETY: As in `read_once`.
    unsafe { field.write_volatile(value) }
}
