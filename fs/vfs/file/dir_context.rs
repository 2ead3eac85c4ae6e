// SPDX-License-Identifier: GPL-2.0

//! The reader of a directory: its position, and passing entries to it.
//!
//! Calling context: `iterate_shared`, with the directory's `i_rwsem` held shared and the file's
//! position lock held. Emitting may fault on the reader's buffer. [`SharedDir`] is the directory
//! during the call: its entries can be put into the dentry cache without a lookup.

use crate::vfs::{
    bindings,
    file::open::File,
    mount::sb::FileSystem,
    node::{
        dentry::Child,
        entry_name::EntryName, //
    }, //
};
use core::{
    marker::PhantomData,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The open directory of one call of `iterate_shared`.
///
/// # Invariants
///
/// `i_rwsem` of the directory is held, shared or exclusively, for `'a`, and the directory is not
/// dead.
pub(crate) struct SharedDir<'a, T: FileSystem>(&'a File<T>);

impl<'a, T: FileSystem> SharedDir<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `file` for `'a`.
    pub(in crate::vfs) unsafe fn new(file: &'a File<T>) -> Self {
        Self(file)
    }

    /// The child with this name: the one in the dentry cache, or a new one that only the caller
    /// looks up. Waits for concurrent lookups of the name. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no child can have the name, `ENOMEM`.
    pub(crate) fn child(&self, name: EntryName<'_>) -> Result<Child<'_, T>> {
        // SAFETY: By the type invariant the lock is held, for longer than the child is borrowed.
        unsafe { self.0.dentry().alloc_parallel(name) }
    }
}

impl<T: FileSystem> Deref for SharedDir<'_, T> {
    type Target = File<T>;

    fn deref(&self) -> &File<T> {
        self.0
    }
}

/// One call of `iterate_shared`.
///
/// # Invariants
///
/// Wraps the `struct dir_context` of the running call, which only this uses during the call.
#[repr(transparent)]
pub(crate) struct DirContext {
    inner: Opaque<bindings::dir_context>,
    _task: PhantomData<*mut ()>,
}

impl DirContext {
    /// Wraps the argument of a call.
    ///
    /// # Safety
    ///
    /// `raw` is valid and only the caller uses it for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(raw: *mut bindings::dir_context) -> &'a mut Self {
        // SAFETY: The type is transparent; the rest is the caller's promise.
        unsafe { &mut *raw.cast() }
    }

    /// The position in the directory: 0, or the one set last. Its meaning is up to the file system.
    pub(crate) fn pos(&self) -> i64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.inner.get()).pos }
    }

    /// Sets the position: the next call starts there.
    pub(crate) fn set_pos(&mut self, pos: i64) {
        // SAFETY: Valid, and ours alone, by the type invariant.
        unsafe { (*self.inner.get()).pos = pos };
    }

    /// The size of the reader's buffer, in bytes; a hint, as its entries have another format.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: Valid by the type invariant.
        let count = unsafe { (*self.inner.get()).count };
        // C reads it as an unsigned number, too: `INT_MAX` and more mean "plenty".
        count as u32 as usize
    }

    /// Passes an entry to the reader: its name, inode number and type (`DT_*`; with 0 the reader
    /// has to find it out).
    ///
    /// The reader does not stop for a signal between entries, so that one call passes on all
    /// entries that the file system asked its server for.
    ///
    /// `false` if the reader does not take the entry, because its buffer is full.
    pub(crate) fn emit(&mut self, name: &[u8], ino: u64, kind: u32) -> bool {
        let Ok(len) = i32::try_from(name.len()) else {
            return false;
        };
        // SAFETY: The context is valid and ours alone, `name` is readable for `len` bytes.
        unsafe {
            bindings::dir_emit(
                self.inner.get(),
                name.as_ptr().cast(),
                len,
                ino,
                kind | bindings::FILLDIR_FLAG_NOINTR,
            )
        }
    }
}
