// SPDX-License-Identifier: GPL-2.0

//! The reader of a directory: where it stands, and handing it entries.
//!
//! Calling context: `iterate_shared`, with the directory's `i_rwsem` held shared and the file's
//! position lock held. Emitting may fault on the reader's buffer. [`SharedDir`] is the directory
//! while that lasts: its entries can be put into the dentry cache without looking them up.

use crate::vfs::{
    bindings,
    file::open::File,
    mount::sb::FileSystem,
    node::dentry::Child, //
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
/// `i_rwsem` of the directory is held, at least shared, for `'a`, and the directory is not dead.
pub(crate) struct SharedDir<'a, T: FileSystem>(&'a File<T>);

impl<'a, T: FileSystem> SharedDir<'a, T> {
    /// # Safety
    ///
    /// The type's invariants must hold for `file` for `'a`.
    pub(in crate::vfs) unsafe fn new(file: &'a File<T>) -> Self {
        Self(file)
    }

    /// The child with this name: the one that is in the dentry cache, or a new one that only the
    /// caller looks up. Waits for others who look it up. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is no name, `ENOMEM`.
    pub(crate) fn child(&self, name: &[u8]) -> Result<Child<'_, T>> {
        // SAFETY: The lock is held by the type invariant, and as long as what is returned lives.
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
/// Wraps the `struct dir_context` of the running call; nobody else uses it meanwhile.
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
    /// `raw` is valid and used by nobody else for `'a`.
    pub(in crate::vfs) unsafe fn from_raw<'a>(raw: *mut bindings::dir_context) -> &'a mut Self {
        // SAFETY: The type is transparent; the rest is the caller's promise.
        unsafe { &mut *raw.cast() }
    }

    /// The position in the directory: 0, or what was set last. The file system gives it meaning.
    pub(crate) fn pos(&self) -> i64 {
        // SAFETY: Valid by the type invariant.
        unsafe { (*self.inner.get()).pos }
    }

    /// Moves on: the next call starts there.
    pub(crate) fn set_pos(&mut self, pos: i64) {
        // SAFETY: Valid, and ours alone, by the type invariant.
        unsafe { (*self.inner.get()).pos = pos };
    }

    /// How many bytes the reader has room for; a hint, as its entries are not the file system's.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: Valid by the type invariant.
        let count = unsafe { (*self.inner.get()).count };
        // C reads it as an unsigned number, too: `INT_MAX` and more mean "plenty".
        count as u32 as usize
    }

    /// Hands one entry over: its name, inode number and type (`DT_*`; a reader that is told 0 has
    /// to find out).
    ///
    /// The reader will not stop for a signal between entries, so that one call hands over all
    /// that its server was asked for.
    ///
    /// `false` if the reader takes no more: the entry was not taken.
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
