// SPDX-License-Identifier: GPL-2.0

//! Creating a file and opening it in one call, with a name or without.
//!
//! With a name, the VFS passes the name's dentry and an empty file; [`AtomicOpen`] is all three.
//! `inode_ops` builds it, and the file system takes its parts in turn: the dentry to look up, the
//! dentry to make something for, the file to open. Without a name ([`TmpFile`]) there is nothing to
//! look up.
//!
//! Locks: none of its own; the VFS holds the directory's, except for a file without a name.
//!
//! C header: `include/linux/fs.h`.

use crate::vfs::{
    bindings,
    cred::Idmap,
    file::{
        file_ops,
        open::Opening, //
    },
    mount::sb::FileSystem,
    node::{
        dentry::{
            DEntry,
            Unhashed,
            Unnamed,
            Vacant, //
        },
        held::Held, //
    }, //
};
use core::{
    ffi::c_int,
    marker::PhantomData, //
};
use kernel::{
    error::to_result,
    fs::file::flags::O_CREAT,
    prelude::*, //
};

/// How the call ends if it does not fail.
pub(crate) enum Done<'a, T: FileSystem> {
    /// The file is open.
    Opened(
        /// The proof.
        #[expect(dead_code, reason = "that there is one is all that the VFS is told")]
        Opening<'a, T>,
    ),
    /// The VFS goes on as after a lookup, with this dentry, if any, instead of its own.
    Found(Option<Held<'a, DEntry<T>>>),
}

/// A file that is to be opened on the inode that its dentry is given.
///
/// # Invariants
///
/// It belongs to a running call: `file` is new, unopened, and the call's alone. `dentry` has no
/// inode unless this call has given it one.
pub(crate) struct NewFile<'a, T: FileSystem> {
    dentry: &'a DEntry<T>,
    file: *mut bindings::file,
    _call: PhantomData<&'a mut bindings::file>,
}

impl<'a, T: FileSystem> NewFile<'a, T> {
    /// The dentry.
    pub(crate) fn dentry(&self) -> &'a DEntry<T> {
        self.dentry
    }

    /// Opens the file on the inode that the dentry has now, a regular file. `open` takes the place
    /// of the file's own method, and what it returns becomes the file's data.
    ///
    /// # Errors
    ///
    /// Those of `open`, of the VFS, and of security modules; `ENOENT` if the dentry has no regular
    /// file.
    pub(crate) fn finish<F>(self, open: F) -> Result<Opening<'a, T>>
    where
        F: FnOnce(&Opening<'_, T>) -> Result<T::FileData>,
    {
        if !self.dentry.inode().is_some_and(|inode| inode.is_reg()) {
            return Err(ENOENT);
        }
        let mut open = Some(open);
        // SAFETY: The file is ours alone by the type invariant.
        unsafe { (*self.file).private_data = (&raw mut open).cast() };
        // SAFETY: The file is new, and the dentry has an inode. `open` outlives the call.
        to_result(unsafe {
            bindings::finish_open(self.file, self.dentry.as_ptr(), Some(open_by::<T, F>))
        })
        .inspect_err(|_| {
            // SAFETY: As above.
            let opened = unsafe { (*self.file).f_mode } & bindings::FMODE_OPENED != 0;
            // If it was opened and then refused, `release` drops the data.
            if !opened {
                // SAFETY: As above.
                unsafe { (*self.file).private_data = core::ptr::null_mut() };
            }
        })?;
        // SAFETY: It is open, on an inode of `T`, and no other task can see it until the call
        // returns.
        Ok(unsafe { Opening::from_raw(self.file) })
    }
}

/// One call for a name.
///
/// # Invariants
///
/// The call is running, and no other lookup has the dentry. The parent is locked, exclusively if
/// `flags` contain `O_CREAT`. While `lookup` is there, nothing else that was handed out of here can
/// splice the dentry.
pub(crate) struct AtomicOpen<'a, T: FileSystem> {
    new: NewFile<'a, T>,
    lookup: Option<Unhashed<'a, T>>,
    made: bool,
    flags: u32,
    mode: u16,
}

impl<'a, T: FileSystem> AtomicOpen<'a, T> {
    /// Wraps the arguments of a call.
    ///
    /// # Safety
    ///
    /// The invariants of this type and of [`NewFile`] hold for `'a`.
    pub(in crate::vfs) unsafe fn new(
        dentry: &'a DEntry<T>,
        file: *mut bindings::file,
        flags: u32,
        mode: u16,
    ) -> Self {
        let lookup = if dentry.in_lookup() {
            // SAFETY: A dentry in lookup is not hashed, has no inode, and is spliced only by the
            // task that looks it up; its parent is locked.
            Some(unsafe { Unhashed::new(dentry) })
        } else {
            None
        };
        Self {
            new: NewFile {
                dentry,
                file,
                _call: PhantomData,
            },
            lookup,
            made: false,
            flags,
            mode,
        }
    }

    /// `O_*` of the open.
    pub(crate) fn flags(&self) -> u32 {
        self.flags
    }

    /// Kind and permissions of the file to be made.
    pub(crate) fn mode(&self) -> u16 {
        self.mode
    }

    /// The dentry.
    pub(crate) fn dentry(&self) -> &'a DEntry<T> {
        self.new.dentry
    }

    /// The dentry to be looked up; `None` if the name is known to stand for nothing, or on a second
    /// call.
    pub(crate) fn lookup(&mut self) -> Option<Unhashed<'a, T>> {
        self.lookup.take()
    }

    /// The dentry to make something for; `None` if nothing is to be made, if the name has not been
    /// looked up or stands for something, or on a second call.
    pub(crate) fn vacant(&mut self) -> Option<Vacant<'a, T>> {
        let dentry = self.new.dentry;
        let creates = self.flags & O_CREAT != 0;
        if !creates || self.made || dentry.in_lookup() || dentry.inode().is_some() {
            return None;
        }
        self.made = true;
        // SAFETY: It has no inode, and the parent is locked exclusively by the type invariant. What
        // `lookup` handed out has been spliced, since the dentry is not in lookup any more.
        Some(unsafe { Vacant::new(dentry) })
    }

    /// Tells the VFS that this call created the file.
    pub(crate) fn set_created(&self) {
        // SAFETY: The file is ours alone by the type invariant.
        unsafe { (*self.new.file).f_mode |= bindings::FMODE_CREATED };
    }

    /// The id map of the mount that the name was reached through.
    pub(crate) fn idmap(&self) -> &'a Idmap {
        // SAFETY: The file is valid, and has its mount already, which keeps its map for the call.
        unsafe { Idmap::from_ptr(bindings::file_mnt_idmap(self.new.file)) }
    }

    /// The file to be opened.
    pub(crate) fn into_file(self) -> NewFile<'a, T> {
        self.new
    }
}

/// One call for a file without a name (`O_TMPFILE`).
///
/// # Invariants
///
/// The dentry is new and not hashed, and only the call has it.
pub(crate) struct TmpFile<'a, T: FileSystem> {
    new: NewFile<'a, T>,
    mode: u16,
}

impl<'a, T: FileSystem> TmpFile<'a, T> {
    /// Wraps the arguments of a call.
    ///
    /// # Safety
    ///
    /// The invariants of this type and of [`NewFile`] hold for `'a`, with the dentry of the file.
    pub(in crate::vfs) unsafe fn new(file: *mut bindings::file, mode: u16) -> Self {
        Self {
            new: NewFile {
                // SAFETY: The caller promises it, and that the path does not change.
                dentry: unsafe { DEntry::from_raw((*file).__bindgen_anon_1.f_path.dentry) },
                file,
                _call: PhantomData,
            },
            mode,
        }
    }

    /// `O_*` of the open.
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: The file is valid, and ours alone.
        unsafe { (*self.new.file).f_flags }
    }

    /// Kind and permissions of the file to be made.
    pub(crate) fn mode(&self) -> u16 {
        self.mode
    }

    /// Splits the call into the dentry that the file will have, and the file.
    pub(crate) fn into_parts(self) -> (Unnamed<'a, T>, NewFile<'a, T>) {
        // SAFETY: By the type invariant.
        (unsafe { Unnamed::new(self.new.dentry) }, self.new)
    }
}

/// # Safety
///
/// Called by `finish_open`, not more than once, instead of the file's `open`, with an inode of `T`
/// and a file of it that only the caller uses, whose private data is a function to open it by.
unsafe extern "C" fn open_by<T, F>(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int
where
    T: FileSystem,
    F: FnOnce(&Opening<'_, T>) -> Result<T::FileData>,
{
    // SAFETY: By the safety requirement.
    let function = unsafe { (*(*file).private_data.cast::<Option<F>>()).take() };
    // SAFETY: This is an `open` trampoline.
    unsafe {
        file_ops::open::<T>(file, |opening| match function {
            Some(function) => function(opening),
            None => Err(EINVAL),
        })
    }
}
