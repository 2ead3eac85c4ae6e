// SPDX-License-Identifier: GPL-2.0

//! Sysctls: numbers under `/proc/sys` that the administrator can change.
//!
//! C header: `include/linux/sysctl.h`.

use crate::vfs::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// A number with a minimum and a maximum. Lives in a `static`.
pub(crate) struct Number {
    value: Atomic<u32>,
    min: u32,
    max: u32,
}

impl Number {
    /// A number that starts at `value` and can be set to `min` to `max`.
    pub(crate) const fn new(value: u32, min: u32, max: u32) -> Self {
        Self {
            value: Atomic::new(value),
            min,
            max,
        }
    }

    /// The current value.
    pub(crate) fn get(&self) -> u32 {
        self.value.load(Relaxed)
    }
}

/// The names of `N` numbers in one directory.
///
/// # Invariants
///
/// Each of `entries` is for a `u32` that lives as long as the module, with bounds that do too.
pub(crate) struct Table<const N: usize> {
    path: &'static CStr,
    entries: [bindings::ctl_table; N],
}

// SAFETY: It is never changed; the numbers are atomic.
unsafe impl<const N: usize> Sync for Table<N> {}

impl<const N: usize> Table<N> {
    /// A table of these numbers, in the directory `path` of `/proc/sys`.
    pub(crate) const fn new(
        path: &'static CStr,
        numbers: [(&'static CStr, &'static Number); N],
    ) -> Self {
        let mut entries = [const { pin_init::zeroed::<bindings::ctl_table>() }; N];
        let mut i = 0;
        while i < N {
            let (name, number) = numbers[i];
            entries[i].procname = name.to_bytes_with_nul().as_ptr().cast();
            entries[i].data = core::ptr::from_ref(&number.value).cast_mut().cast();
            entries[i].maxlen = size_of::<u32>() as c_int;
            entries[i].mode = 0o644;
            entries[i].proc_handler = Some(bindings::proc_douintvec_minmax);
            entries[i].extra1 = core::ptr::from_ref(&number.min).cast_mut().cast();
            entries[i].extra2 = core::ptr::from_ref(&number.max).cast_mut().cast();
            i += 1;
        }
        Self { path, entries }
    }
}

/// A registered [`Table`]; dropping it removes the names.
///
/// # Invariants
///
/// The header is that of a registered table.
pub(crate) struct Registration(NonNull<bindings::ctl_table_header>);

// SAFETY: Any thread may unregister a table.
unsafe impl Send for Registration {}
// SAFETY: Nothing can be done through a shared reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Registers the table.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also if a name exists already.
    pub(crate) fn new<const N: usize>(table: &'static Table<N>) -> Result<Self> {
        // SAFETY: The table is static, and valid by its invariant.
        let header = unsafe {
            bindings::register_sysctl_sz(table.path.as_char_ptr(), table.entries.as_ptr(), N)
        };
        // INVARIANT: It is registered.
        NonNull::new(header).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It is registered. It may be removed at any time: this waits for tasks that use
        // it.
        unsafe { bindings::unregister_sysctl_table(self.0.as_ptr()) };
    }
}
