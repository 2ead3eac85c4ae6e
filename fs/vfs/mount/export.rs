// SPDX-License-Identifier: GPL-2.0

//! File handles that outlive names, for `name_to_handle_at(2)`, NFS, and fanotify.
//!
//! Owns the format of a handle: the [`Identity`] of an inode, and that of a directory with a name
//! of it if the handle is to be connectable (`FILEID_INO64_GEN` and `FILEID_INO64_GEN_PARENT`). The
//! file system defines the identity of an inode and finds the inode by it. The words of a handle
//! come from user space: any of them may be wrong.
//!
//! Locks: none of its own.
//!
//! C header: `include/linux/exportfs.h`.

use crate::vfs::{
    bindings,
    mount::sb::{
        FileSystem,
        SuperBlock, //
    },
    node::{
        dentry::DEntry,
        held::Held,
        inode::{
            INode,
            INodeView, //
        }, //
    },
    tables::ExportOps, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*, //
};

/// Identifies an inode as long as its file exists.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// A number that no other file of the file system has at present.
    pub(crate) number: u64,
    /// Distinguishes it from earlier files with that number.
    pub(crate) generation: u32,
}

/// Words of an identity.
const WORDS: usize = 3;

impl Identity {
    fn to_words(self) -> [u32; WORDS] {
        [
            (self.number >> 32) as u32,
            self.number as u32,
            self.generation,
        ]
    }

    fn from_words(words: [u32; WORDS]) -> Self {
        let [high, low, generation] = words;
        Self {
            number: u64::from(high) << 32 | u64::from(low),
            generation,
        }
    }
}

/// How a file system makes handles, and finds inodes by them.
pub(crate) trait Export<T: FileSystem> {
    /// The identity of an inode. Must not sleep.
    fn identity(inode: &INodeView<T>) -> Identity;

    /// A dentry of the inode with this identity: an existing one, or a new one without a name.
    /// `ESTALE` if there is no such inode. May sleep.
    fn find(sb: &SuperBlock<T>, identity: Identity) -> Result<Held<'_, DEntry<T>>>;

    /// A dentry of the parent of the directory `child`. May sleep.
    fn parent(child: &INode<T>) -> Result<Held<'_, DEntry<T>>>;
}

impl<T: FileSystem> ExportOps<T> {
    /// For a file system that finds files by their handles.
    pub(crate) const fn new<U: Export<T>>() -> Self {
        // SAFETY: The functions require what `fs/exportfs` promises for a super block of `T`.
        unsafe { Self::from_table(&Table::<T, U>::FULL) }
    }

    /// For one that makes handles for comparison only, and does not find files by them.
    pub(crate) const fn identify_only<U: Export<T>>() -> Self {
        // SAFETY: As in `new`.
        unsafe { Self::from_table(&Table::<T, U>::IDENTIFY_ONLY) }
    }
}

impl<T: FileSystem> INode<T> {
    /// A dentry of `inode`: an existing one, or a new one without a name. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn obtain_alias<'a>(inode: Held<'a, Self>) -> Result<Held<'a, DEntry<T>>> {
        let inode = inode.into_raw().as_ptr();
        // SAFETY: `d_obtain_alias` consumes the reference to the inode, also on failure.
        let dentry = from_err_ptr(unsafe { bindings::d_obtain_alias(inode.cast()) })?;
        let dentry = NonNull::new(dentry).ok_or(ENOMEM)?;
        // SAFETY: The caller of `d_obtain_alias` owns the reference.
        Ok(unsafe { Held::from_raw(dentry.cast()) })
    }
}

struct Table<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Export<T>> Table<T, U> {
    const EMPTY: bindings::export_operations = {
        // SAFETY: A table of pointers to functions, which may be null, and of flags.
        unsafe { core::mem::zeroed() }
    };

    const IDENTIFY_ONLY: bindings::export_operations = bindings::export_operations {
        encode_fh: Some(Self::encode_fh),
        ..Self::EMPTY
    };

    const FULL: bindings::export_operations = bindings::export_operations {
        encode_fh: Some(Self::encode_fh),
        fh_to_dentry: Some(Self::fh_to_dentry),
        fh_to_parent: Some(Self::fh_to_parent),
        get_parent: Some(Self::get_parent),
        ..Self::EMPTY
    };

    /// # Safety
    ///
    /// Called by `exportfs_encode_inode_fh` with an inode of `T` and null or another one, which
    /// stay valid for the call, and with room for `max_len` words at `words`.
    unsafe extern "C" fn encode_fh(
        inode: *mut bindings::inode,
        words: *mut u32,
        max_len: *mut c_int,
        parent: *mut bindings::inode,
    ) -> c_int {
        let needed = if parent.is_null() { WORDS } else { 2 * WORDS };
        // SAFETY: The caller lets this read and write `max_len`.
        let room = unsafe { core::ptr::replace(max_len, needed as c_int) };
        if usize::try_from(room).map_or(true, |room| room < needed) {
            return bindings::fid_type_FILEID_INVALID as c_int;
        }
        // SAFETY: The inode is valid for the call.
        let identity = U::identity(unsafe { INodeView::from_raw(inode) });
        // SAFETY: There is room for that many words, which need not be aligned.
        unsafe {
            words
                .cast::<[u32; WORDS]>()
                .write_unaligned(identity.to_words())
        };
        if parent.is_null() {
            return bindings::fid_type_FILEID_INO64_GEN as c_int;
        }
        // SAFETY: The parent is valid for the call.
        let identity = U::identity(unsafe { INodeView::from_raw(parent) });
        // SAFETY: There is room for twice as many.
        unsafe {
            words
                .cast::<[u32; WORDS]>()
                .add(1)
                .write_unaligned(identity.to_words())
        };
        bindings::fid_type_FILEID_INO64_GEN_PARENT as c_int
    }

    /// # Safety
    ///
    /// Called by `exportfs_decode_fh_raw` with a mounted super block of `T` and `len` words at
    /// `fid`.
    unsafe extern "C" fn fh_to_dentry(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        len: c_int,
        kind: c_int,
    ) -> *mut bindings::dentry {
        let kind = kind as c_uint;
        if kind != bindings::fid_type_FILEID_INO64_GEN
            && kind != bindings::fid_type_FILEID_INO64_GEN_PARENT
        {
            return core::ptr::null_mut();
        }
        // SAFETY: The caller promises it.
        unsafe { Self::find(sb, fid, len, 0) }
    }

    /// # Safety
    ///
    /// As [`Self::fh_to_dentry`].
    unsafe extern "C" fn fh_to_parent(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        len: c_int,
        kind: c_int,
    ) -> *mut bindings::dentry {
        if kind as c_uint != bindings::fid_type_FILEID_INO64_GEN_PARENT {
            return core::ptr::null_mut();
        }
        // SAFETY: The caller promises it.
        unsafe { Self::find(sb, fid, len, 1) }
    }

    /// A dentry of the inode whose identity is at this index in the handle; null if the handle is
    /// too short.
    ///
    /// # Safety
    ///
    /// As [`Self::fh_to_dentry`].
    unsafe fn find(
        sb: *mut bindings::super_block,
        fid: *mut bindings::fid,
        len: c_int,
        index: usize,
    ) -> *mut bindings::dentry {
        let needed = WORDS * (index + 1);
        if usize::try_from(len).map_or(true, |len| len < needed) {
            return core::ptr::null_mut();
        }
        // SAFETY: There are that many words, which need not be aligned.
        let words = unsafe { fid.cast::<[u32; WORDS]>().add(index).read_unaligned() };
        // SAFETY: The mount keeps the super block for the call.
        let sb = unsafe { SuperBlock::from_raw(sb) };
        dentry_or_error(sb, U::find(sb, Identity::from_words(words)))
    }

    /// # Safety
    ///
    /// Called by `reconnect_one` with a dentry of a directory of `T` that it holds a reference to.
    unsafe extern "C" fn get_parent(child: *mut bindings::dentry) -> *mut bindings::dentry {
        // SAFETY: The caller holds a reference.
        let child = unsafe { DEntry::<T>::from_raw(child) };
        dentry_or_error(child.sb(), child.inode().ok_or(ESTALE).and_then(U::parent))
    }
}

/// Converts to the C return value: the reference goes to the caller, which puts the dentry below a
/// mount of `sb`. `ESTALE` if it belongs to another super block.
fn dentry_or_error<T: FileSystem>(
    sb: &SuperBlock<T>,
    result: Result<Held<'_, DEntry<T>>>,
) -> *mut bindings::dentry {
    match result {
        Ok(dentry) if !core::ptr::eq(dentry.sb(), sb) => ESTALE.to_ptr(),
        Ok(dentry) => dentry.into_raw().as_ptr().cast(),
        Err(error) => error.to_ptr(),
    }
}
