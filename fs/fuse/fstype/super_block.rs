// SPDX-License-Identifier: GPL-2.0

//! Super blocks of all types: how one is set up, shown and shut down.
//!
//! Owns `impl FileSystem for Fuse`, the only place that names the tables of `dir` and `file`. The
//! types are in files of their own, which call [`fill`]: a type differs by its
//! [`MountOptions`](crate::fuse::conn::options::MountOptions), and by the way it reaches the
//! server.
//!
//! The VFS holds `s_umount` while a super block is set up and shut down.

use crate::{
    fuse::{
        abi::node::SyncfsIn,
        attr::{
            setattr::write_times,
            xattr::Xattrs, //
        },
        conn::{
            access::is_caller_allowed,
            mount::Mount, //
        },
        dir::{
            self,
            entry::Entry, //
        },
        file,
        fstype::{
            export,
            fusectl::FUSECTL, //
        },
        inode::{
            self,
            handle::OpenHandle,
            Inode,
            NodeTables, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::UserNs,
        mount::{
            fs_param::OwnedStr,
            pools::Pools,
            sb::{
                Bdi,
                FileSystem,
                New,
                NewSuper,
                SbFlag,
                SbIFlag,
                Seen,
                StatFs,
                SuperBlock, //
            },
        },
        node::{
            dentry::DEntry,
            inode::{
                Dev,
                FileType,
                INodeView,
                Kept,
                NewInode, //
            },
        },
        tables::{
            CommonOps,
            DirOps,
            Handlers,
            SymlinkOps, //
        },
    },
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

/// The magic number for `statfs(2)` (`FUSE_SUPER_MAGIC`).
const SUPER_MAGIC: u32 = 0x65735546;
/// The maximum share of dirty memory of one mount, in percent, unless root raises it.
const MAX_RATIO: u32 = 1;

/// The shift of the major number in a device number of the kernel (`MINORBITS`).
const MINOR_BITS: u32 = 20;

/// The resources that all types share.
pub(super) static POOLS: Pools<Fuse> = Pools::new(c"fuse_inode");

/// Sets up the super block of a new connection, with its options. `connect` connects the server.
/// INIT has to be sent after this.
///
/// # Errors
///
/// `EINVAL` for mandatory locks, and for a block size that the device does not support; `ENOMEM`;
/// those of `connect`.
pub(super) fn fill<'a>(
    sb: NewSuper<'a, Fuse>,
    subtype: Option<OwnedStr>,
    connect: impl FnOnce(&Arc<Mount>) -> Result,
) -> Result<&'a SuperBlock<Fuse>> {
    let mount: Arc<Mount> = sb.data().clone();
    let conn = mount.conn();
    if sb.flags().contains(SbFlag::MandLock) {
        return Err(EINVAL);
    }

    if sb.flags().contains(SbFlag::PosixAcl) {
        conn.leave_umask_to_server();
    }
    // Otherwise the VFS would apply the umask before the server could.
    sb.add_flags(SbFlag::PosixAcl.into());

    sb.set_magic(SUPER_MAGIC);
    sb.set_xattr_handlers(Handlers::new::<Xattrs>());
    sb.set_maxbytes(SuperBlock::<Fuse, New>::MAX_LFS_FILESIZE);
    sb.set_time_gran(1);
    sb.set_export_ops(export::OPS);
    match conn.options().block_size {
        Some(bytes) => sb.set_bdev_blocksize(bytes)?,
        None => sb.set_blocksize_bits(SuperBlock::<Fuse, New>::PAGE_SHIFT)?,
    }
    sb.clear_flags(SbFlag::NoSec | SbFlag::IVersion);
    sb.add_iflags(SbIFlag::ImaUnverifiableSignature | SbIFlag::NoIdmap | SbIFlag::NoDataIntegrity);
    if sb.user_ns() != UserNs::init() {
        sb.add_iflags(SbIFlag::UntrustedMounter.into());
    }
    if let Some(subtype) = subtype {
        sb.set_subtype(subtype);
    }
    let (major, minor) = sb.dev();
    sb.setup_bdi(
        fmt!(
            "{major}:{minor}{}",
            // The block device has a backing device of its own.
            if sb.has_bdev() { "-fuseblk" } else { "" }
        ),
        Bdi {
            strict_limit: true,
            max_ratio: MAX_RATIO,
        },
    )?;

    conn.set_dev(major << MINOR_BITS | minor);
    let root = sb.make_root(inode::root(&sb, conn.options().root_mode)?)?;
    conn.mounts().add(sb.handle())?;
    if !conn.options().no_control {
        FUSECTL.add(mount.conn_arc().clone())?;
    }
    connect(&mount)
        .and_then(|()| sb.set_root(root))
        // Without a root `kill_sb` is not called for it.
        .inspect_err(|_| FUSECTL.remove(conn))
}

impl FileSystem for Fuse {
    type OwnerModule = crate::LocalModule;
    type SuperData = Arc<Mount>;
    type InodeData = Inode;
    /// The version of the last change of the attributes; 0 before the first.
    type AttrState = u64;
    type DentryData = Entry;
    type FileData = Arc<OpenHandle>;
    type Dentries = dir::EntryOps;

    fn kill_sb(sb: &SuperBlock<Self>) {
        let mount = sb.data();
        let conn = mount.conn();
        if !conn.mounts().remove(&sb.handle()) {
            // The connection stays for the others. Dirty data of this mount cannot be written
            // later. After this, the VFS waits for requests that refer to the super block. The
            // server may take its time; a forced unmount ends the connection.
            let _ = sb.sync_filesystem();
            return;
        }
        if conn.options().destroy && conn.is_negotiated() {
            // If it does not answer, the server is gone, which is just as good. Where no unmount by
            // force ends the connection, one that is killed does.
            let _ = match conn.options().no_force_umount {
                true => mount.call(op::OfMount(op::Destroy {})),
                false => mount.call(op::Destroy {}),
            };
        }
        conn.channel().settle();
        conn.shut_down();
        FUSECTL.remove(conn);
    }

    fn alloc_inode(_sb: &SuperBlock<Self, Seen>) -> impl PinInit<Inode, Error> {
        Inode::new()
    }

    fn write_inode(inode: &INodeView<Self>) -> Result {
        write_times(inode)
    }

    fn evict_inode(inode: &INodeView<Self>) {
        inode::evict(inode);
    }

    fn sync_fs(sb: &SuperBlock<Self>) -> Result {
        let conn = sb.data().conn();
        if !conn.options().sync_fs {
            return Ok(());
        }
        let root = sb.root().and_then(|root| root.inode()).ok_or(EIO)?;
        conn.channel().sync_writes.wait();
        let query = op::Syncfs {
            node: root.data().node_id(),
            args: SyncfsIn::default(),
        };
        sb.data().call_or_abandon(query, || Kept::from(root))
    }

    fn umount_begin(sb: &SuperBlock<Self>) {
        let conn = sb.data().conn();
        if conn.options().no_force_umount {
            return;
        }
        conn.abort();
        // Its device can be mounted again, although this super block still exists.
        sb.retire();
    }

    fn statfs(dentry: &DEntry<Self>) -> Result<StatFs> {
        let mount = dentry.sb().data();
        let mut stat = StatFs {
            magic: SUPER_MAGIC,
            ..StatFs::default()
        };
        // All tasks may see what is mounted; df(1) should not fail for it.
        if !is_caller_allowed(mount.conn()) {
            return Ok(stat);
        }
        let inode = dentry.inode().ok_or(ENOENT)?;
        let query = op::Statfs {
            node: inode.data().node_id(),
        };
        let reply = mount.call_or_abandon(query, || Kept::from(inode))?;
        stat.bsize = reply.st.bsize;
        stat.frsize = reply.st.frsize;
        stat.blocks = reply.st.blocks;
        stat.bfree = reply.st.bfree;
        stat.bavail = reply.st.bavail;
        stat.files = reply.st.files;
        stat.ffree = reply.st.ffree;
        stat.namelen = reply.st.namelen;
        Ok(stat)
    }

    fn show_options(sb: &SuperBlock<Self>, m: &SeqFile) -> Result {
        sb.data().conn().show_options(m);
        Ok(())
    }
}

impl NodeTables for Fuse {
    fn set_type(inode: &mut NewInode<'_, Self>, file_type: FileType, device: Dev) -> Result {
        match file_type {
            FileType::Regular => inode.init_regular(
                CommonOps::new::<dir::InodeOps>(),
                file::regular_ops(),
                file::mapping_ops(),
            ),
            FileType::Directory => {
                inode.init_dir(DirOps::new::<dir::InodeOps>(), dir::readdir::dir_ops());
            }
            FileType::Symlink => {
                inode.init_symlink(SymlinkOps::new::<dir::InodeOps>(), dir::link_targets())
            }
            FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => {
                inode.init_special(file_type, CommonOps::new::<dir::InodeOps>(), device)?;
            }
        }
        Ok(())
    }
}
