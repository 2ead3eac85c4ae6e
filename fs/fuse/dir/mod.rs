// SPDX-License-Identifier: GPL-2.0

//! Names: the VFS's operations on directories and directory entries.
//!
//! Owns the operations on names, the private part of a directory entry, and the tables of inode and
//! entry operations, which `fstype/super_block.rs` passes to the VFS. `vfs/node/inode_ops.rs` and
//! `vfs/node/dentry.rs` call these; these call `attr`, `inode` and `conn/call.rs`.

mod atomic_open;
mod create;
mod create_ext;
mod emit;
pub(crate) mod entry;
mod link;
pub(crate) mod lookup;
pub(crate) mod readdir;
mod readdir_cache;
#[cfg(CONFIG_KUNIT = "y")]
mod readdir_test;
mod readdirplus;
pub(crate) mod readlink;
mod records;
mod remove;
mod rename;
pub(crate) mod revalidate;
mod submount;

use self::entry::Entry;
use crate::fuse::{
    attr::{
        acl,
        getattr,
        permission,
        setattr,
        xattr, //
    },
    file::fileattr,
    inode::dirops::wait_for_turn,
    Fuse, //
};
use crate::vfs::{
    cred::Idmap,
    file::{
        ioctl::{
            FileAttr,
            Form, //
        },
        open::Opening, //
    },
    mount::sb::{
        Seen,
        SuperBlock, //
    },
    node::{
        acl::{
            Acl,
            Kind, //
        },
        atomic_open::{
            AtomicOpen,
            Done,
            TmpFile, //
        },
        attr::{
            Access,
            AttrChange,
            IAttr,
            KStat,
            StatSync,
            StatxMask, //
        },
        dentry::{
            self,
            Automount,
            DEntry,
            DEntryView,
            LookupFlags,
            Mounted,
            Named,
            Unhashed,
            Vacant, //
        },
        held::Held,
        inode::{
            Dev,
            INode, //
        },
        inode_ops::{
            Dir,
            Link,
            Node,
            Rename,
            Symlink, //
        },
        walk::Walk,
        xattr::Answer, //
    },
    tables::TargetOps, //
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// The operations of inodes of every kind.
pub(crate) struct InodeOps;

#[vtable]
impl Node<Fuse> for InodeOps {
    fn getattr(
        idmap: &Idmap,
        inode: &INode<Fuse>,
        stat: &mut KStat,
        request: StatxMask,
        sync: StatSync,
    ) -> Result {
        getattr::getattr(idmap, inode, stat, request, sync)
    }

    fn permission(idmap: &Idmap, inode: Walk<'_, INode<Fuse>>, wanted: Access) -> Result {
        permission::permission(idmap, inode, wanted)
    }

    fn setattr(idmap: &Idmap, entry: &DEntry<Fuse>, attr: &mut IAttr<Fuse>) -> Result {
        let dir = entry.inode().filter(|inode| inode.is_dir());
        if let Some(dir) = dir {
            wait_for_turn(dir)?;
        }
        let changes_mode = attr.changes().contains(AttrChange::Mode);
        setattr::setattr(idmap, entry, attr)?;
        if dir.is_some() && changes_mode {
            // The permission to walk here has to be checked again.
            entry::expire(entry);
        }
        Ok(())
    }

    fn listxattr(inode: &INode<Fuse>, room: usize) -> Result<Answer> {
        xattr::listxattr(inode, room)
    }

    fn get_inode_acl(inode: Walk<'_, INode<Fuse>>, kind: Kind) -> Result<Option<ARef<Acl>>> {
        acl::get_inode_acl(inode, kind)
    }

    fn get_acl(inode: &INode<Fuse>, kind: Kind) -> Result<Option<ARef<Acl>>> {
        acl::get_acl(inode, kind)
    }

    fn set_acl(idmap: &Idmap, inode: &INode<Fuse>, list: Option<&Acl>, kind: Kind) -> Result {
        acl::set_acl(idmap, inode, list, kind)
    }

    fn fileattr_get(inode: &INode<Fuse>, form: Form) -> Result<FileAttr> {
        fileattr::fileattr_get(inode, form)
    }

    fn fileattr_set(_idmap: &Idmap, inode: &INode<Fuse>, attr: FileAttr) -> Result {
        if inode.is_dir() {
            wait_for_turn(inode)?;
        }
        fileattr::fileattr_set(inode, attr)
    }
}

#[vtable]
impl Dir<Fuse> for InodeOps {
    fn lookup<'a>(
        dir: &INode<Fuse>,
        entry: Unhashed<'a, Fuse>,
        flags: LookupFlags,
    ) -> Result<Option<Held<'a, DEntry<Fuse>>>> {
        lookup::lookup(dir, entry, flags)
    }

    fn create(idmap: &Idmap, dir: &INode<Fuse>, entry: Vacant<'_, Fuse>, mode: u16) -> Result {
        create::mknod(idmap, dir, entry, mode, Dev::default())
    }

    fn mknod(
        idmap: &Idmap,
        dir: &INode<Fuse>,
        entry: Vacant<'_, Fuse>,
        mode: u16,
        device: Dev,
    ) -> Result {
        create::mknod(idmap, dir, entry, mode, device)
    }

    fn mkdir<'a>(
        idmap: &Idmap,
        dir: &INode<Fuse>,
        entry: Vacant<'a, Fuse>,
        mode: u16,
    ) -> Result<Option<Held<'a, DEntry<Fuse>>>> {
        create::mkdir(idmap, dir, entry, mode)
    }

    fn symlink(idmap: &Idmap, dir: &INode<Fuse>, entry: Vacant<'_, Fuse>, target: &[u8]) -> Result {
        create::symlink(idmap, dir, entry, target)
    }

    fn link(inode: &INode<Fuse>, dir: &INode<Fuse>, entry: Vacant<'_, Fuse>) -> Result {
        link::link(inode, dir, entry)
    }

    fn unlink(dir: &INode<Fuse>, entry: Named<'_, Fuse>, inode: &INode<Fuse>) -> Result {
        remove::unlink(dir, entry, inode)
    }

    fn rmdir(dir: &INode<Fuse>, entry: Named<'_, Fuse>, inode: &INode<Fuse>) -> Result {
        remove::rmdir(dir, entry, inode)
    }

    fn rename(idmap: &Idmap, names: Rename<'_, Fuse>) -> Result {
        rename::rename(idmap, names)
    }

    fn tmpfile<'a>(
        idmap: &Idmap,
        dir: &INode<Fuse>,
        call: TmpFile<'a, Fuse>,
    ) -> Result<Opening<'a, Fuse>> {
        atomic_open::tmpfile(idmap, dir, call)
    }

    fn atomic_open<'a>(dir: &INode<Fuse>, call: AtomicOpen<'a, Fuse>) -> Result<Done<'a, Fuse>> {
        atomic_open::atomic_open(dir, call)
    }
}

#[vtable]
impl Symlink<Fuse> for InodeOps {
    fn get_link(inode: Walk<'_, INode<Fuse>>) -> Result<Link> {
        readlink::get_link(inode)
    }
}

/// The table that reads the targets of symbolic links into the page cache.
pub(crate) const fn link_targets() -> TargetOps<Fuse> {
    TargetOps::new::<readlink::Targets>()
}

/// The operations of directory entries.
pub(crate) struct EntryOps;

#[vtable]
impl dentry::Operations<Fuse> for EntryOps {
    fn d_init(_sb: &SuperBlock<Fuse, Seen>) -> Result<Entry> {
        Ok(Entry::new())
    }

    #[inline]
    fn d_revalidate(
        dir: Walk<'_, INode<Fuse>>,
        name: &[u8],
        entry: Walk<'_, DEntry<Fuse>>,
        flags: LookupFlags,
    ) -> Result<bool> {
        revalidate::d_revalidate(dir, name, entry, flags)
    }

    fn d_delete(entry: &DEntryView<Fuse>) -> bool {
        entry::d_delete(entry)
    }

    fn d_automount(at: Automount<'_, Fuse>) -> Result<Mounted> {
        submount::d_automount(at)
    }
}
