// SPDX-License-Identifier: GPL-2.0

//! Fields that others use at the same time.

/// Reads a field that others may be changing, whole and once, as `READ_ONCE` does.
///
/// # Safety
///
/// `field` must be valid for reads; only writes of the whole field may happen at the same time.
pub(crate) unsafe fn read_once<F: Copy>(field: *const F) -> F {
    // SAFETY: The caller promises validity. A volatile access is what the kernel's memory model
    // takes for a marked one.
    unsafe { field.read_volatile() }
}

/// Writes a field that others may be reading, whole and once, as `WRITE_ONCE` does.
///
/// # Safety
///
/// `field` must be valid for writes, and be accessed at the same time only as a whole.
pub(crate) unsafe fn write_once<F: Copy>(field: *mut F, value: F) {
    // SAFETY: As in `read_once`.
    unsafe { field.write_volatile(value) }
}
