// SPDX-License-Identifier: GPL-2.0

//! Inode operations, by kind of file.
//!
//! [`Node`] has the operations of every inode, [`Dir`] and [`Symlink`] those of these kinds only;
//! an implementation becomes a table ([`DirOps`], [`CommonOps`], [`SymlinkOps`]) that a new inode
//! is given. Each method is the C method of its name and tells what the VFS holds. A method that an
//! implementation leaves out is null in the table, and the VFS uses its default. The file system
//! implements the traits.
//!
//! C header: `include/linux/fs.h`; the contracts are in `Documentation/filesystems/{vfs,locking}`.

use crate::vfs::{
    bindings,
    cred::Idmap,
    file::{
        ioctl::{
            self,
            FileAttr,
            Form, //
        },
        open::Opening, //
    },
    mount::sb::FileSystem,
    node::{
        acl::{
            self,
            Acl, //
        },
        atomic_open::{
            self,
            AtomicOpen,
            TmpFile, //
        },
        attr::{
            Access,
            IAttr,
            KStat,
            May,
            StatSync,
            StatxMask, //
        },
        dentry::{
            DEntry,
            LookupFlags,
            Named,
            Unhashed,
            Vacant, //
        },
        held::Held,
        inode::{
            Dev,
            INode, //
        },
        walk::Walk,
        xattr, //
    },
    tables::{
        CommonOps,
        DirOps,
        SymlinkOps, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    error::{
        from_result,
        VTABLE_DEFAULT_ERROR, //
    },
    impl_flags,
    prelude::*,
    sync::aref::ARef, //
};

impl_flags!(
    /// How a name is moved (`RENAME_*`).
    #[derive(Clone, Copy, Default, PartialEq, Eq)]
    pub(crate) struct RenameFlags(u32);

    /// One option of moving a name.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) enum RenameFlag {
        /// An existing name must not be replaced.
        NoReplace = bindings::RENAME_NOREPLACE,
        /// Both names exist, and are exchanged.
        Exchange = bindings::RENAME_EXCHANGE,
        /// The old name becomes a whiteout.
        Whiteout = bindings::RENAME_WHITEOUT,
    }
);

/// The target of a symbolic link, for the VFS to follow.
pub(crate) struct Link(Target);

enum Target {
    /// These bytes, with a NUL at the end.
    Owned(KVVec<u8>),
    /// The contents of the link's page cache.
    Cached,
}

impl Link {
    /// The target in the page cache of the inode; if it is not there, the inode's
    /// [`Targets`](crate::vfs::mm::mapping::Targets) read it in, in ref walk.
    pub(crate) fn cached() -> Self {
        Self(Target::Cached)
    }

    /// `target`, up to the first NUL if there is one; the VFS frees it when it has followed it.
    /// `ENOMEM` if there is no room for the NUL at the end.
    pub(crate) fn owned(mut target: KVVec<u8>) -> Result<Self> {
        target.push(0, GFP_KERNEL)?;
        Ok(Self(Target::Owned(target)))
    }
}

/// A name that is to be moved.
pub(crate) struct Rename<'a, T: FileSystem> {
    /// The directory of the old name.
    pub(crate) old_dir: &'a INode<T>,
    /// The old name.
    pub(crate) old: Named<'a, T>,
    /// What it stands for.
    pub(crate) moved: &'a INode<T>,
    /// The directory of the new name, which may be the same.
    pub(crate) new_dir: &'a INode<T>,
    /// The new name.
    pub(crate) new: Named<'a, T>,
    /// What it stands for now: it is replaced, unless the names are exchanged.
    pub(crate) replaced: Option<&'a INode<T>>,
    /// The options.
    pub(crate) flags: RenameFlags,
}

/// The operations of every inode.
#[vtable]
pub(crate) trait Node<T: FileSystem> {
    /// Fills in the attributes that `request` asks for. No locks; may sleep.
    fn getattr(
        _idmap: &Idmap,
        _inode: &INode<T>,
        _stat: &mut KStat,
        _request: StatxMask,
        _sync: StatSync,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Checks whether the caller may do what `mask` asks for. No locks; may sleep in ref walk.
    fn permission(_idmap: &Idmap, _inode: Walk<'_, INode<T>>, _mask: Access) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes the attributes that `attr` names. Without this method the VFS would change them in
    /// the inode alone. The inode is locked exclusively; may sleep.
    fn setattr(_idmap: &Idmap, _dentry: &DEntry<T>, _attr: &mut IAttr<T>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The names of the extended attributes, each followed by a NUL; up to `room` bytes, or the
    /// length if `room` is 0. No locks; may sleep.
    fn listxattr(_inode: &INode<T>, _room: usize) -> Result<xattr::Answer> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The ACL that the VFS checks an access against. Without this method there is none. No locks;
    /// may sleep in ref walk.
    fn get_inode_acl(_inode: Walk<'_, INode<T>>, _kind: acl::Kind) -> Result<Option<ARef<Acl>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The ACL that a caller asks for by name. Without this method it is that of `get_inode_acl`.
    /// No locks; may sleep.
    fn get_acl(_inode: &INode<T>, _kind: acl::Kind) -> Result<Option<ARef<Acl>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Sets the ACL, or removes it. The inode is locked exclusively; may sleep.
    fn set_acl(_idmap: &Idmap, _inode: &INode<T>, _acl: Option<&Acl>, _kind: acl::Kind) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// The attributes of `FS_IOC_GETFLAGS` or `FS_IOC_FSGETXATTR`. The inode may be locked; may
    /// sleep.
    fn fileattr_get(_inode: &INode<T>, _form: Form) -> Result<FileAttr> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Changes them; the VFS has checked that the caller may. The inode is locked exclusively; may
    /// sleep.
    fn fileattr_set(_idmap: &Idmap, _inode: &INode<T>, _attr: FileAttr) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The operations of directories only. The parent's lock is its `i_rwsem`.
#[vtable]
pub(crate) trait Dir<T: FileSystem>: Node<T> {
    /// Looks up a name: splices its inode, or none, into `dentry`, and returns the result of the
    /// splice. Parent locked shared or exclusively; may sleep.
    fn lookup<'a>(
        _dir: &INode<T>,
        _dentry: Unhashed<'a, T>,
        _flags: LookupFlags,
    ) -> Result<Option<Held<'a, DEntry<T>>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a regular file. Parent locked exclusively; may sleep.
    fn create(_idmap: &Idmap, _dir: &INode<T>, _dentry: Vacant<'_, T>, _mode: u16) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a regular or special file; `mode` has its kind, and `dev` is the device of a device
    /// node. Parent locked exclusively; may sleep.
    fn mknod(
        _idmap: &Idmap,
        _dir: &INode<T>,
        _dentry: Vacant<'_, T>,
        _mode: u16,
        _dev: Dev,
    ) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a directory, and returns the dentry to use instead of `dentry`, if there is one, or if
    /// the splice returned one. Parent locked exclusively; may sleep.
    fn mkdir<'a>(
        _idmap: &Idmap,
        _dir: &INode<T>,
        _dentry: Vacant<'a, T>,
        _mode: u16,
    ) -> Result<Option<Held<'a, DEntry<T>>>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes a symbolic link to `target`. Parent locked exclusively; may sleep.
    fn symlink(_idmap: &Idmap, _dir: &INode<T>, _dentry: Vacant<'_, T>, _target: &[u8]) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Gives `inode`, which is not a directory, another name. Parent and inode locked exclusively;
    /// may sleep.
    fn link(_inode: &INode<T>, _dir: &INode<T>, _dentry: Vacant<'_, T>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes a name of `inode`, which is not a directory. Parent and inode locked exclusively;
    /// may sleep.
    fn unlink(_dir: &INode<T>, _dentry: Named<'_, T>, _inode: &INode<T>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Removes the directory `inode`. Parent and inode locked exclusively; may sleep.
    fn rmdir(_dir: &INode<T>, _dentry: Named<'_, T>, _inode: &INode<T>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Moves `moved`, or exchanges two names. Both parents are locked exclusively, and so are the
    /// inodes of the names if the names are exchanged or the inodes are not directories; may sleep.
    fn rename(_idmap: &Idmap, _rename: Rename<'_, T>) -> Result {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Opens a name that may stand for nothing: looks it up, makes and opens the file, or leaves
    /// the last one or two of these steps to the VFS. Without this method the VFS does the three in
    /// turn. Parent locked shared, exclusively with `O_CREAT`; may sleep.
    fn atomic_open<'a>(
        _dir: &INode<T>,
        _call: AtomicOpen<'a, T>,
    ) -> Result<atomic_open::Done<'a, T>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }

    /// Makes and opens a file without a name in `dir`. No locks; may sleep.
    fn tmpfile<'a>(
        _idmap: &Idmap,
        _dir: &INode<T>,
        _call: TmpFile<'a, T>,
    ) -> Result<Opening<'a, T>> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// The operations of symbolic links only. Of [`Node`] they have `getattr`, `setattr` and
/// `listxattr`: the VFS lets every task follow a link, and links have neither ACLs nor the
/// attributes of [`FileAttr`].
#[vtable]
pub(crate) trait Symlink<T: FileSystem>: Node<T> {
    /// The target. No locks; may sleep in ref walk.
    fn get_link(_inode: Walk<'_, INode<T>>) -> Result<Link> {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

impl<T: FileSystem> DirOps<T> {
    /// The table of the methods of `U`.
    pub(crate) const fn new<U: Dir<T>>() -> Self {
        // SAFETY: The trampolines ask for what the VFS promises to a directory of `T`.
        unsafe { Self::from_table(DirTable::<T, U>::TABLE) }
    }
}

impl<T: FileSystem> CommonOps<T> {
    /// The table of the methods of `U`.
    pub(crate) const fn new<U: Node<T>>() -> Self {
        // SAFETY: As for directories.
        unsafe { Self::from_table(NodeTable::<T, U>::TABLE) }
    }
}

impl<T: FileSystem> SymlinkOps<T> {
    /// The table of the methods of `U`.
    pub(crate) const fn new<U: Symlink<T>>() -> Self {
        // SAFETY: As for directories.
        unsafe { Self::from_table(SymlinkTable::<T, U>::TABLE) }
    }
}

struct NodeTable<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Node<T>> NodeTable<T, U> {
    const TABLE: &'static bindings::inode_operations = &Self::ALL;

    /// All methods of [`Node`].
    const ALL: bindings::inode_operations = bindings::inode_operations {
        getattr: if U::HAS_GETATTR {
            Some(Self::getattr)
        } else {
            None
        },
        permission: if U::HAS_PERMISSION {
            Some(Self::permission)
        } else {
            None
        },
        setattr: if U::HAS_SETATTR {
            Some(Self::setattr)
        } else {
            None
        },
        listxattr: if U::HAS_LISTXATTR {
            Some(Self::listxattr)
        } else {
            None
        },
        get_inode_acl: if U::HAS_GET_INODE_ACL {
            Some(Self::get_inode_acl)
        } else {
            Some(get_no_acl)
        },
        get_acl: if U::HAS_GET_ACL {
            Some(Self::get_acl)
        } else {
            None
        },
        set_acl: if U::HAS_SET_ACL {
            Some(Self::set_acl)
        } else {
            None
        },
        fileattr_get: if U::HAS_FILEATTR_GET {
            Some(Self::fileattr_get)
        } else {
            None
        },
        fileattr_set: if U::HAS_FILEATTR_SET {
            Some(Self::fileattr_set)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// As [`getattr`].
    unsafe extern "C" fn getattr(
        idmap: *mut bindings::mnt_idmap,
        path: *const bindings::path,
        stat: *mut bindings::kstat,
        request: u32,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { getattr(U::getattr, idmap, path, stat, request, flags) }
    }

    /// # Safety
    ///
    /// As [`permission`].
    unsafe extern "C" fn permission(
        idmap: *mut bindings::mnt_idmap,
        inode: *mut bindings::inode,
        mask: c_int,
    ) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { permission(U::permission, idmap, inode, mask) }
    }

    /// # Safety
    ///
    /// As [`setattr`].
    unsafe extern "C" fn setattr(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        attr: *mut bindings::iattr,
    ) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { setattr(U::setattr, idmap, dentry, attr) }
    }

    /// # Safety
    ///
    /// As [`listxattr`].
    unsafe extern "C" fn listxattr(
        dentry: *mut bindings::dentry,
        list: *mut c_char,
        size: usize,
    ) -> isize {
        // SAFETY: The caller promises it.
        unsafe { listxattr(U::listxattr, dentry, list, size) }
    }

    /// # Safety
    ///
    /// As [`acl::get_inode_acl`].
    unsafe extern "C" fn get_inode_acl(
        inode: *mut bindings::inode,
        kind: c_int,
        rcu: bindings::bool_,
    ) -> *mut kernel::bindings::posix_acl {
        // SAFETY: The caller promises it.
        unsafe { acl::get_inode_acl(U::get_inode_acl, inode, kind, rcu) }
    }

    /// # Safety
    ///
    /// As [`acl::get_acl`].
    unsafe extern "C" fn get_acl(
        _idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        kind: c_int,
    ) -> *mut kernel::bindings::posix_acl {
        // SAFETY: The caller promises it.
        unsafe { acl::get_acl(U::get_acl, dentry, kind) }
    }

    /// # Safety
    ///
    /// As [`acl::set_acl`].
    unsafe extern "C" fn set_acl(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        list: *mut kernel::bindings::posix_acl,
        kind: c_int,
    ) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { acl::set_acl(U::set_acl, idmap, dentry, list, kind) }
    }

    /// # Safety
    ///
    /// As [`ioctl::fileattr_get`].
    unsafe extern "C" fn fileattr_get(
        dentry: *mut bindings::dentry,
        fa: *mut kernel::bindings::file_kattr,
    ) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { ioctl::fileattr_get(U::fileattr_get, dentry, fa) }
    }

    /// # Safety
    ///
    /// As [`ioctl::fileattr_set`].
    unsafe extern "C" fn fileattr_set(
        idmap: *mut bindings::mnt_idmap,
        dentry: *mut bindings::dentry,
        fa: *mut kernel::bindings::file_kattr,
    ) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { ioctl::fileattr_set(U::fileattr_set, idmap, dentry, fa) }
    }
}

struct DirTable<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Dir<T>> DirTable<T, U> {
    const TABLE: &'static bindings::inode_operations = &bindings::inode_operations {
        lookup: if U::HAS_LOOKUP {
            Some(Self::lookup)
        } else {
            None
        },
        create: if U::HAS_CREATE {
            Some(Self::create)
        } else {
            None
        },
        mknod: if U::HAS_MKNOD {
            Some(Self::mknod)
        } else {
            None
        },
        mkdir: if U::HAS_MKDIR {
            Some(Self::mkdir)
        } else {
            None
        },
        symlink: if U::HAS_SYMLINK {
            Some(Self::symlink)
        } else {
            None
        },
        link: if U::HAS_LINK { Some(Self::link) } else { None },
        unlink: if U::HAS_UNLINK {
            Some(Self::unlink)
        } else {
            None
        },
        rmdir: if U::HAS_RMDIR {
            Some(Self::rmdir)
        } else {
            None
        },
        rename: if U::HAS_RENAME {
            Some(Self::rename)
        } else {
            None
        },
        atomic_open: if U::HAS_ATOMIC_OPEN {
            Some(Self::atomic_open)
        } else {
            None
        },
        tmpfile: if U::HAS_TMPFILE {
            Some(Self::tmpfile)
        } else {
            None
        },
        ..NodeTable::<T, U>::ALL
    };

    /// # Safety
    ///
    /// Called by `lookup_open`, `__lookup_slow` and `lookup_one_qstr_excl` with a directory of `T`
    /// whose `i_rwsem` is held, and a dentry in it that is negative, unhashed, and looked up by the
    /// caller alone.
    unsafe extern "C" fn lookup(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        flags: c_uint,
    ) -> *mut bindings::dentry {
        // SAFETY: The caller holds references.
        let (dir, dentry) = unsafe { (INode::from_raw(dir), DEntry::from_raw(dentry)) };
        // SAFETY: The caller promises what the type's invariant asks for.
        let unhashed = unsafe { Unhashed::new(dentry) };
        dentry_or_error(dentry, U::lookup(dir, unhashed, LookupFlags::from_c(flags)))
    }

    /// # Safety
    ///
    /// Called by `vfs_create` and `lookup_open` as [`making`] asks.
    unsafe extern "C" fn create(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
    ) -> c_int {
        // SAFETY: The caller promises it.
        let (idmap, dir, dentry) = unsafe { making(idmap, dir, dentry) };
        from_result(|| {
            U::create(idmap, dir, dentry, mode)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `vfs_mknod` as [`making`] asks.
    unsafe extern "C" fn mknod(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
        dev: bindings::dev_t,
    ) -> c_int {
        // SAFETY: The caller promises it.
        let (idmap, dir, dentry) = unsafe { making(idmap, dir, dentry) };
        from_result(|| {
            U::mknod(idmap, dir, dentry, mode, Dev::from_c(dev))?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `vfs_mkdir` as [`making`] asks.
    unsafe extern "C" fn mkdir(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        mode: bindings::umode_t,
    ) -> *mut bindings::dentry {
        // SAFETY: The caller promises it.
        let (idmap, dir, vacant) = unsafe { making(idmap, dir, dentry) };
        let dentry = vacant.dentry();
        dentry_or_error(dentry, U::mkdir(idmap, dir, vacant, mode))
    }

    /// # Safety
    ///
    /// Called by `vfs_symlink` as [`making`] asks, with a string.
    unsafe extern "C" fn symlink(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        target: *const c_char,
    ) -> c_int {
        // SAFETY: The caller promises it.
        let (idmap, dir, dentry) = unsafe { making(idmap, dir, dentry) };
        // SAFETY: A string that does not change during the call.
        let target = unsafe { CStr::from_char_ptr(target) };
        from_result(|| {
            U::symlink(idmap, dir, dentry, target.to_bytes())?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `vfs_link` with a positive dentry of `T` that it holds a reference to and whose
    /// inode is locked exclusively; with directory and new dentry as [`making`] asks.
    unsafe extern "C" fn link(
        old: *mut bindings::dentry,
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
    ) -> c_int {
        // SAFETY: The caller holds references.
        let (old, dir) = unsafe { (DEntry::<T>::from_raw(old), INode::from_raw(dir)) };
        // SAFETY: The caller promises what the type's invariant asks for.
        let dentry = unsafe { Vacant::new(DEntry::from_raw(dentry)) };
        from_result(|| {
            U::link(old.inode().ok_or(ENOENT)?, dir, dentry)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `vfs_unlink` as [`removing`] asks.
    unsafe extern "C" fn unlink(dir: *mut bindings::inode, dentry: *mut bindings::dentry) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { removing(U::unlink, dir, dentry) }
    }

    /// # Safety
    ///
    /// Called by `vfs_rmdir` as [`removing`] asks.
    unsafe extern "C" fn rmdir(dir: *mut bindings::inode, dentry: *mut bindings::dentry) -> c_int {
        // SAFETY: The caller promises it.
        unsafe { removing(U::rmdir, dir, dentry) }
    }

    /// # Safety
    ///
    /// Called by `vfs_rename` with references to two directories of `T`, whose `i_rwsem` is held
    /// exclusively, and to a dentry in each. The first dentry is positive; the second is positive,
    /// too, if `flags` ask for an exchange.
    unsafe extern "C" fn rename(
        idmap: *mut bindings::mnt_idmap,
        old_dir: *mut bindings::inode,
        old: *mut bindings::dentry,
        new_dir: *mut bindings::inode,
        new: *mut bindings::dentry,
        flags: c_uint,
    ) -> c_int {
        // SAFETY: The mount keeps its map for the call.
        let idmap = unsafe { Idmap::from_ptr(idmap) };
        // SAFETY: The caller holds references.
        let (old_dir, new_dir) = unsafe { (INode::from_raw(old_dir), INode::from_raw(new_dir)) };
        // SAFETY: As above.
        let (old, new) = unsafe { (DEntry::<T>::from_raw(old), DEntry::<T>::from_raw(new)) };
        from_result(|| {
            let rename = Rename {
                old_dir,
                moved: old.inode().ok_or(ENOENT)?,
                new_dir,
                replaced: new.inode(),
                // SAFETY: The caller promises what the type's invariant asks for.
                old: unsafe { Named::new(old) },
                // SAFETY: As above.
                new: unsafe { Named::new(new) },
                flags: RenameFlags(flags),
            };
            U::rename(idmap, rename)?;
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by `atomic_open` with a reference to a directory of `T`, whose `i_rwsem` is held,
    /// exclusively if `flags` contain `O_CREAT`; to a dentry in it that has no inode and only the
    /// caller uses as such; and to a new file, for which nothing has been opened.
    unsafe extern "C" fn atomic_open(
        dir: *mut bindings::inode,
        dentry: *mut bindings::dentry,
        file: *mut bindings::file,
        flags: c_uint,
        mode: bindings::umode_t,
    ) -> c_int {
        // SAFETY: The caller holds references.
        let (dir, dentry) = unsafe { (INode::from_raw(dir), DEntry::from_raw(dentry)) };
        // SAFETY: The caller promises what the type's invariant asks for.
        let call = unsafe { AtomicOpen::new(dentry, file, flags, mode) };
        match U::atomic_open(dir, call) {
            Ok(atomic_open::Done::Opened(_)) => 0,
            Ok(atomic_open::Done::Found(other)) => {
                // SAFETY: The file is valid, and the call's alone.
                if unsafe { (*file).f_mode } & bindings::FMODE_OPENED != 0 {
                    // The file owns a reference to its dentry, which must stay with it.
                    return EIO.to_errno();
                }
                // SAFETY: The file was not opened; the reference to the dentry is taken over.
                unsafe { bindings::finish_no_open(file, dentry_or_error(dentry, Ok(other))) }
            }
            Err(error) => error.to_errno(),
        }
    }

    /// # Safety
    ///
    /// Called by `vfs_tmpfile` with a reference to a directory of `T`, and with a new file, for
    /// which nothing has been opened, whose dentry it has just made in that directory.
    unsafe extern "C" fn tmpfile(
        idmap: *mut bindings::mnt_idmap,
        dir: *mut bindings::inode,
        file: *mut bindings::file,
        mode: bindings::umode_t,
    ) -> c_int {
        // SAFETY: The mount keeps its map for the call.
        let idmap = unsafe { Idmap::from_ptr(idmap) };
        // SAFETY: The caller holds a reference.
        let dir = unsafe { INode::from_raw(dir) };
        // SAFETY: The caller promises what the type's invariant asks for.
        let call = unsafe { TmpFile::new(file, mode) };
        from_result(|| U::tmpfile(idmap, dir, call).map(|_opened| 0))
    }
}

struct SymlinkTable<T, U>(PhantomData<(T, U)>);

impl<T: FileSystem, U: Symlink<T>> SymlinkTable<T, U> {
    const TABLE: &'static bindings::inode_operations = &bindings::inode_operations {
        get_link: if U::HAS_GET_LINK {
            Some(Self::get_link)
        } else {
            None
        },
        getattr: NodeTable::<T, U>::ALL.getattr,
        setattr: NodeTable::<T, U>::ALL.setattr,
        listxattr: NodeTable::<T, U>::ALL.listxattr,
        get_inode_acl: Some(get_no_acl),
        ..pin_init::zeroed()
    };

    /// # Safety
    ///
    /// Called by `pick_link` and `vfs_get_link` with a symbolic link of `T`: with a null dentry in
    /// an RCU read-side critical section, and with a reference to dentry and inode otherwise.
    unsafe extern "C" fn get_link(
        dentry: *mut bindings::dentry,
        inode: *mut bindings::inode,
        done: *mut bindings::delayed_call,
    ) -> *const c_char {
        let walk = if dentry.is_null() {
            // SAFETY: In the section of the caller, which has found the inode in a dentry.
            unsafe { INode::in_rcu(inode) }
        } else {
            // SAFETY: The caller holds a reference.
            Walk::Ref(unsafe { INode::from_raw(inode) })
        };
        match U::get_link(walk) {
            Ok(Link(Target::Cached)) => {
                // SAFETY: The mapping of a link has what `TargetOps` says, which ends with a NUL.
                unsafe { bindings::page_get_link_raw(dentry, inode, done) }
            }
            Ok(Link(Target::Owned(target))) => {
                let link = target.into_raw_parts().0;
                // SAFETY: The caller runs the call when it has used the link.
                unsafe {
                    (*done).fn_ = Some(free_link);
                    (*done).arg = link.cast();
                }
                link.cast()
            }
            Err(error) => error.to_ptr::<c_char>(),
        }
    }
}

/// # Safety
///
/// Called by `do_delayed_call` with what `get_link` returned; the walk still holds a reference to
/// the link's dentry.
unsafe extern "C" fn free_link(link: *mut c_void) {
    // SAFETY: It is the buffer of a `KVVec`, which was given up for this.
    unsafe { bindings::kvfree(link) };
}

/// # Safety
///
/// Called by `vfs_getattr_nosec` with a path to a positive dentry of `T` that it holds a reference
/// to, and with a zeroed `stat` that only the caller uses.
unsafe fn getattr<T: FileSystem>(
    method: impl FnOnce(&Idmap, &INode<T>, &mut KStat, StatxMask, StatSync) -> Result,
    idmap: *mut bindings::mnt_idmap,
    path: *const bindings::path,
    stat: *mut bindings::kstat,
    request: u32,
    flags: c_uint,
) -> c_int {
    // SAFETY: The mount keeps its map for the call.
    let idmap = unsafe { Idmap::from_ptr(idmap) };
    // SAFETY: The path is valid, and the caller holds a reference to its dentry.
    let dentry = unsafe { DEntry::<T>::from_raw((*path).dentry) };
    // SAFETY: It is valid, only the caller uses it, and the type is transparent.
    let stat = unsafe { &mut *stat.cast::<KStat>() };
    from_result(|| {
        let inode = dentry.inode().ok_or(ENOENT)?;
        method(
            idmap,
            inode,
            stat,
            StatxMask::from_bits(request),
            StatSync::from_c(flags),
        )?;
        Ok(0)
    })
}

/// # Safety
///
/// Called by `do_inode_permission` with an inode of `T`: in an RCU read-side critical section if
/// `MAY_NOT_BLOCK` is set, and with a reference otherwise.
unsafe fn permission<T: FileSystem>(
    method: impl FnOnce(&Idmap, Walk<'_, INode<T>>, Access) -> Result,
    idmap: *mut bindings::mnt_idmap,
    inode: *mut bindings::inode,
    mask: c_int,
) -> c_int {
    // SAFETY: The mount keeps its map for the call.
    let idmap = unsafe { Idmap::from_ptr(idmap) };
    let mask = Access::from_c(mask as u32);
    let inode = if mask.contains(May::NotBlock) {
        // SAFETY: In the section of the caller, which has found the inode in a dentry.
        unsafe { INode::in_rcu(inode) }
    } else {
        // SAFETY: The caller holds a reference.
        Walk::Ref(unsafe { INode::from_raw(inode) })
    };
    from_result(|| {
        method(idmap, inode, mask)?;
        Ok(0)
    })
}

/// # Safety
///
/// Called by `vfs_listxattr` with a positive dentry of `T` that the caller holds a reference to,
/// and room for `size` bytes at `list`.
unsafe fn listxattr<T: FileSystem>(
    method: impl FnOnce(&INode<T>, usize) -> Result<xattr::Answer>,
    dentry: *mut bindings::dentry,
    list: *mut c_char,
    size: usize,
) -> isize {
    // SAFETY: The caller holds a reference.
    let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
    let answer = || method(dentry.inode().ok_or(ENOENT)?, size);
    // SAFETY: The caller promises the room.
    unsafe { xattr::list(answer, list, size) }
}

/// # Safety
///
/// Called by `notify_change` with a positive dentry of `T` that it holds a reference to, whose
/// inode is locked exclusively, and with an `attr` that only the caller uses.
unsafe fn setattr<T: FileSystem>(
    method: impl FnOnce(&Idmap, &DEntry<T>, &mut IAttr<T>) -> Result,
    idmap: *mut bindings::mnt_idmap,
    dentry: *mut bindings::dentry,
    attr: *mut bindings::iattr,
) -> c_int {
    // SAFETY: The mount keeps its map for the call.
    let idmap = unsafe { Idmap::from_ptr(idmap) };
    // SAFETY: The caller holds a reference.
    let dentry = unsafe { DEntry::<T>::from_raw(dentry) };
    // SAFETY: It is valid for the call, only the caller uses it, and the type is transparent. The
    // file of a truncation is one of the inode, which is a regular file.
    let attr = unsafe { &mut *attr.cast::<IAttr<T>>() };
    from_result(|| {
        method(idmap, dentry, attr)?;
        Ok(0)
    })
}

/// Converts the dentry to use instead of `dentry`, that of the call, to the C return value. The
/// parent is locked.
///
/// The dentry has to be in the directory of the call: the VFS unlocks the parent that it finds
/// there, and puts the dentry below the mount that it came through. `EIO` if it is not.
fn dentry_or_error<T: FileSystem>(
    dentry: &DEntry<T>,
    result: Result<Option<Held<'_, DEntry<T>>>>,
) -> *mut bindings::dentry {
    match result {
        Ok(None) => core::ptr::null_mut(),
        Ok(Some(alias)) if !alias.is_sibling(dentry) => EIO.to_ptr(),
        // The caller of the operation takes over the reference.
        Ok(Some(alias)) => alias.into_raw().as_ptr().cast(),
        Err(error) => error.to_ptr(),
    }
}

/// Converts the arguments of the operations that make something.
///
/// # Safety
///
/// The caller has a mount's map, and references to a directory of `T`, whose `i_rwsem` is held
/// exclusively, and to a negative dentry in it that only the caller uses as such, for `'a`.
unsafe fn making<'a, T: FileSystem>(
    idmap: *mut bindings::mnt_idmap,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> (&'a Idmap, &'a INode<T>, Vacant<'a, T>) {
    // SAFETY: The caller promises it.
    unsafe {
        (
            Idmap::from_ptr(idmap),
            INode::from_raw(dir),
            Vacant::new(DEntry::from_raw(dentry)),
        )
    }
}

/// # Safety
///
/// Called with references to a directory of `T` and to a positive dentry in it; `i_rwsem` of both
/// inodes is held exclusively.
unsafe fn removing<T: FileSystem>(
    method: impl FnOnce(&INode<T>, Named<'_, T>, &INode<T>) -> Result,
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
) -> c_int {
    // SAFETY: The caller holds references.
    let (dir, dentry) = unsafe { (INode::from_raw(dir), DEntry::<T>::from_raw(dentry)) };
    from_result(|| {
        let inode = dentry.inode().ok_or(ENOENT)?;
        // SAFETY: The caller promises what the type's invariant asks for.
        method(dir, unsafe { Named::new(dentry) }, inode)?;
        Ok(0)
    })
}

/// There are no ACLs. Every table without a `get_inode_acl` has this one, because the VFS calls it
/// unconditionally if ACLs are on for the super block and are not cached for the inode.
///
/// # Safety
///
/// Called by `get_cached_acl_rcu` and `__get_acl`.
unsafe extern "C" fn get_no_acl(
    _inode: *mut bindings::inode,
    _kind: c_int,
    _rcu: bindings::bool_,
) -> *mut kernel::bindings::posix_acl {
    core::ptr::null_mut()
}
