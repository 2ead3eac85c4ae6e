// SPDX-License-Identifier: GPL-2.0

//! References to the tables of functions that the VFS calls.
//!
//! A module makes the table of its functions, and the module of an object stores it there: they
//! need not know each other. A [`Table`] tells what the table is for, and that its functions are
//! sound for objects of `T`.

use crate::vfs::bindings;
use core::marker::PhantomData;

/// A static table of the C type `C`, for the objects that `K` names, of the file system `T`.
///
/// # Invariants
///
/// The functions of the table are sound for these objects of `T`.
pub(crate) struct Table<C: 'static, K, T> {
    table: &'static C,
    _p: PhantomData<fn(K, T)>,
}

impl<C, K, T> Table<C, K, T> {
    /// # Safety
    ///
    /// The type invariant holds.
    pub(in crate::vfs) const unsafe fn from_table(table: &'static C) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            table,
            _p: PhantomData,
        }
    }

    /// The table, for objects of `T`.
    pub(in crate::vfs) const fn table(self) -> &'static C {
        self.table
    }
}

impl<C, K, T> Clone for Table<C, K, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, K, T> Copy for Table<C, K, T> {}

/// The uses of a [`Table`].
pub(crate) mod of {
    /// Open files.
    pub(crate) struct Files;
    /// The page cache.
    pub(crate) struct Pages;
    /// The page cache of symbolic links: the contents of a folio have a NUL within the first page.
    pub(crate) struct Targets;
    /// Directories.
    pub(crate) struct Dirs;
    /// Inodes that are neither directories nor symbolic links.
    pub(crate) struct Others;
    /// Symbolic links.
    pub(crate) struct Symlinks;
    /// File handles.
    pub(crate) struct Handles;
    /// Extended attributes.
    pub(crate) struct Xattrs;
}

/// The file operations of a kind of file, as `file_ops` makes them.
pub(crate) type FileOps<T> = Table<bindings::file_operations, of::Files, T>;
/// The address space operations of a kind of file, as `mm::mapping` makes them.
pub(crate) type AddressSpaceOps<T> = Table<bindings::address_space_operations, of::Pages, T>;
/// The address space operations of symbolic links, as `mm::mapping` makes them.
pub(crate) type TargetOps<T> = Table<bindings::address_space_operations, of::Targets, T>;
/// The inode operations of directories, as `inode_ops` makes them.
pub(crate) type DirOps<T> = Table<bindings::inode_operations, of::Dirs, T>;
/// The inode operations of files that are neither directories nor symbolic links.
pub(crate) type CommonOps<T> = Table<bindings::inode_operations, of::Others, T>;
/// The inode operations of symbolic links.
pub(crate) type SymlinkOps<T> = Table<bindings::inode_operations, of::Symlinks, T>;
/// How file handles are made and found, as `export` makes it.
pub(crate) type ExportOps<T> = Table<bindings::export_operations, of::Handles, T>;
/// The handlers of extended attributes, a list with a null at its end, as `xattr` makes it.
pub(crate) type Handlers<T> = Table<[*const bindings::xattr_handler; 2], of::Xattrs, T>;
