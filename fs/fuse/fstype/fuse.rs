// SPDX-License-Identifier: GPL-2.0

//! The types `fuse` and `fuseblk`: how a mount begins, what it shows of itself, how it ends.
//!
//! Owns the mount context, and `impl FileSystem for Fuse`, the one place that names the tables of
//! `dir` and `file`. It stands at both ends of the walk: mounting ties an opened `/dev/fuse` (wire
//! side) to a connection and a super block (file-system side), and sends INIT.
//!
//! The VFS holds `s_umount` while a mount is made and killed. The lock of `conn/registry.rs` is
//! taken inside it, when the device is tied to the connection.

use crate::{
    fuse::{
        abi::node::SyncfsIn,
        attr::{
            setattr::flush_times,
            xattr::Xattrs, //
        },
        channel::Channel,
        conn::{
            access::is_caller_allowed,
            init,
            mount::Mount,
            options::{
                self,
                Builder,
                Opt, //
            },
            Connection, //
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
        notify::Notifications,
        op,
        transport::dev::{
            DevTransport,
            Device, //
        },
        Fuse, //
    },
    vfs::{
        cred::{
            current_pid_ns,
            UserNs, //
        },
        mount::{
            fs_param::{
                OwnedStr,
                Param,
                Value, //
            },
            fs_type::{
                FsContext,
                FsFlag,
                FsFlags,
                FsType,
                Mounting,
                Tree, //
            },
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
    fs::File,
    prelude::*,
    seq_file::SeqFile,
    sync::Arc, //
};

/// What `statfs(2)` says the file system is (`FUSE_SUPER_MAGIC`).
const SUPER_MAGIC: u32 = 0x65735546;
/// The share of dirty memory that one mount may have, in percent, unless root raises it.
const MAX_RATIO: u32 = 1;

/// Where the major number begins in a device number of the kernel (`MINORBITS`).
const MINOR_BITS: u32 = 20;

static POOLS: Pools<Fuse> = Pools::new(c"fuse_inode");

/// The type `fuse`: mounted on an opened `/dev/fuse`, by anybody in a user namespace of theirs.
static FUSE: FsType<Fuse> = FsType::new(
    c"fuse",
    FsFlags::of(&[FsFlag::HasSubtype, FsFlag::UsernsMount, FsFlag::AllowIdmap]),
    &options::PARAMS,
    &POOLS,
);

/// The type `fuseblk`: mounted on an opened `/dev/fuse` too, and on the block device that the
/// server works on, by root alone. Nobody else can mount the device then, and the server is asked
/// to make everything durable (SYNCFS) and told when it may go (DESTROY).
static FUSEBLK: FsType<Fuse> = FsType::new_bdev(
    c"fuseblk",
    FsFlags::of(&[FsFlag::RequiresDev, FsFlag::HasSubtype, FsFlag::AllowIdmap]),
    &options::PARAMS,
    &POOLS,
);

/// All types of this file system, in the order in which they are registered.
pub(crate) static TYPES: [&FsType<Fuse>; 2] = [&FUSEBLK, &FUSE];

/// A mount that is being described.
pub(crate) struct Context {
    device: Option<Arc<Device>>,
    /// Of the connection that the new super block gets.
    transport: Option<Arc<DevTransport>>,
    subtype: Option<OwnedStr>,
    options: Builder,
}

impl Context {
    /// Takes the server's end of the mount.
    fn set_device(&mut self, fc: &FsContext<Fuse>, file: &File) -> Result {
        if self.device.is_some() {
            return Err(fc.invalf(fmt!("Multiple fd specified")));
        }
        let Some(device) = Device::from_file(file) else {
            return Err(fc.invalf(fmt!("fd is not a fuse device")));
        };
        // A device from elsewhere would let its opener act on users it has no power over.
        if UserNs::of_opener(file) != fc.user_ns() {
            return Err(fc.invalf(fmt!("wrong user namespace for fuse device")));
        }
        self.device = Some(device);
        Ok(())
    }
}

impl Mounting for Fuse {
    type Context = Context;
    type Key = Arc<Device>;

    fn init_fs_context(fc: &FsContext<Self>) -> Result<Context> {
        Ok(Context {
            device: None,
            transport: None,
            subtype: None,
            options: if fc.is_type(&FUSEBLK) {
                Builder::for_block_device()
            } else {
                Builder::new()
            },
        })
    }

    fn parse_param(ctx: &mut Context, fc: &FsContext<Self>, param: Param<'_>) -> Result {
        if fc.is_reconfigure() {
            // mount(8) repeats all options when it remounts by mount(2); they change nothing.
            if fc.is_oldapi() {
                return Ok(());
            }
            return Err(fc.invalf(fmt!("No changes allowed in reconfigure")));
        }

        match fc.parse(param, &options::PARAMS)? {
            (Opt::Source, Value::String(source)) => {
                if fc.has_source() {
                    return Err(fc.invalf(fmt!("Multiple sources specified")));
                }
                fc.set_source(source);
                Ok(())
            }
            (Opt::Subtype, Value::String(subtype)) => {
                if ctx.subtype.is_some() {
                    return Err(fc.invalf(fmt!("Multiple subtypes specified")));
                }
                ctx.subtype = Some(subtype);
                Ok(())
            }
            (Opt::Fd, Value::File(file)) => ctx.set_device(fc, &file),
            (Opt::RootMode, Value::U32(mode)) => ctx.options.root_mode(fc, mode),
            (Opt::UserId, Value::Uid(id)) => ctx.options.user_id(fc, id),
            (Opt::GroupId, Value::Gid(id)) => ctx.options.group_id(fc, id),
            (Opt::DefaultPermissions, Value::Flag) => {
                ctx.options.default_permissions();
                Ok(())
            }
            (Opt::AllowOther, Value::Flag) => {
                ctx.options.allow_other();
                Ok(())
            }
            (Opt::MaxRead, Value::U32(bytes)) => {
                ctx.options.max_read(bytes);
                Ok(())
            }
            (Opt::BlockSize, Value::U32(bytes)) => ctx.options.block_size(fc, bytes),
            #[cfg(CONFIG_KUNIT = "y")]
            (Opt::AutoSubmounts, Value::Flag) => {
                ctx.options.auto_submounts();
                Ok(())
            }
            // The table says which option has which kind of value.
            _ => Err(EINVAL),
        }
    }

    fn reconfigure(_ctx: &mut Context, fc: &FsContext<Self>, sb: &SuperBlock<Self>) -> Result {
        // What cannot be written keeps nobody from mounting read-only, of all things.
        let _ = sb.sync_filesystem();
        if fc.sb_flags().contains(SbFlag::MandLock) {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn get_tree(ctx: &mut Context, fc: &FsContext<Self>) -> Result<Tree<Self>> {
        let on_block_device = fc.is_type(&FUSEBLK);
        let options = if on_block_device {
            // If the block device is mounted already, this is one more mount of that, which needs
            // neither a server nor options; if not, `fill_super` asks for them.
            ctx.options.build_unused(fc)
        } else {
            let device = ctx.device.as_ref().ok_or(EINVAL)?;
            if device.is_serving() {
                // The server mounts its file system once more. If it is gone, nothing may take its
                // place: the device serves one connection for life.
                return Ok(Tree::Existing {
                    key: device.clone(),
                    otherwise: ENOTCONN,
                });
            }
            ctx.options.build(fc)?
        };
        let transport = Arc::pin_init(DevTransport::new(), GFP_KERNEL)?;
        let channel = Arc::pin_init(Channel::new(transport.clone()), GFP_KERNEL)?;
        let conn = Connection::new(
            channel,
            options,
            fc.user_ns().into(),
            current_pid_ns().ok_or(EINVAL)?,
        );
        let conn = Arc::pin_init(conn, GFP_KERNEL)?;
        let mount = Arc::new(Mount::new(conn)?, GFP_KERNEL)?;
        ctx.transport = Some(transport);
        Ok(if on_block_device {
            Tree::Bdev(mount)
        } else {
            Tree::Nodev(mount)
        })
    }

    fn test_super(mount: &Arc<Mount>, device: &Arc<Device>) -> bool {
        // The server's own one: what walks have mounted within it is no answer to who mounts it
        // again.
        !mount.is_submount() && device.serves(mount.conn().channel())
    }

    fn fill_super<'a>(
        sb: NewSuper<'a, Self>,
        ctx: &mut Context,
        fc: &FsContext<Self>,
    ) -> Result<&'a SuperBlock<Self>> {
        let device = ctx.device.as_ref().ok_or(EINVAL)?;
        ctx.options.build(fc)?;
        let transport = ctx.transport.take().ok_or(EINVAL)?;
        let mount: Arc<Mount> = sb.data().clone();
        let conn = mount.conn();
        if sb.flags().contains(SbFlag::MandLock) {
            return Err(EINVAL);
        }

        if sb.flags().contains(SbFlag::PosixAcl) {
            conn.leave_umask_to_server();
        }
        // Or the VFS would apply the umask before the server could.
        sb.add_flags(SbFlag::PosixAcl.into());

        sb.set_magic(SUPER_MAGIC);
        sb.set_xattr_handlers(Handlers::new::<Xattrs>());
        sb.set_maxbytes(SuperBlock::<Self, New>::MAX_LFS_FILESIZE);
        sb.set_time_gran(1);
        sb.set_export_ops(export::OPS);
        match conn.options().block_size {
            Some(bytes) => sb.set_bdev_blocksize(bytes)?,
            None => sb.set_blocksize_bits(SuperBlock::<Self, New>::PAGE_SHIFT)?,
        }
        sb.clear_flags(SbFlag::NoSec | SbFlag::IVersion);
        sb.add_iflags(
            SbIFlag::ImaUnverifiableSignature | SbIFlag::NoIdmap | SbIFlag::NoDataIntegrity,
        );
        if sb.user_ns() != UserNs::init() {
            sb.add_iflags(SbIFlag::UntrustedMounter.into());
        }
        if let Some(subtype) = ctx.subtype.take() {
            sb.set_subtype(subtype);
        }
        let (major, minor) = sb.dev();
        sb.setup_bdi(
            fmt!(
                "{major}:{minor}{}",
                // The block device has one of its own.
                if sb.has_bdev() { "-fuseblk" } else { "" }
            ),
            Bdi {
                strict_limit: true,
                max_ratio: MAX_RATIO,
            },
        )?;

        conn.set_dev(major << MINOR_BITS | minor);
        let root = sb.make_root(inode::root(&sb, conn.options().root_mode)?)?;
        let notifications = Arc::new(Notifications::new(mount.clone())?, GFP_KERNEL)?;
        conn.mounts().add(sb.handle())?;
        FUSECTL.add(mount.conn_arc().clone())?;
        let sb = device
            .install(conn.channel().clone(), transport, notifications, conn.dev())
            .and_then(|()| sb.set_root(root))
            // Without a root it will not be killed.
            .inspect_err(|_| FUSECTL.remove(conn))?;
        init::send(sb, device.is_sync_init(), export::IDENTIFY_ONLY)?;
        Ok(sb)
    }
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
            // The connection lives on with the others. What is dirty here cannot be written later,
            // and requests that are under way hold inodes. The server may take its time; a forced
            // unmount ends the connection.
            let _ = sb.sync_filesystem();
            mount.wait_unkept();
            return;
        }
        if conn.options().block_size.is_some() && conn.is_negotiated() {
            // The server is gone if it does not answer; that is as good.
            let _ = mount.call(op::Destroy {});
        }
        conn.shut_down();
        FUSECTL.remove(conn);
    }

    fn alloc_inode(_sb: &SuperBlock<Self, Seen>) -> impl PinInit<Inode, Error> {
        Inode::new()
    }

    fn write_inode(inode: &INodeView<Self>) -> Result {
        flush_times(inode)
    }

    fn evict_inode(inode: &INodeView<Self>) {
        inode::evict(inode);
    }

    fn sync_fs(sb: &SuperBlock<Self>) -> Result {
        // A server that has no device of its own cannot be trusted to end this.
        if !sb.has_bdev() {
            return Ok(());
        }
        let root = sb.root().and_then(|root| root.inode()).ok_or(EIO)?;
        sb.data().conn().channel().sync_writes.wait();
        sb.data().call(op::Syncfs {
            node: root.data().node_id(),
            args: SyncfsIn::default(),
        })
    }

    fn umount_begin(sb: &SuperBlock<Self>) {
        sb.data().conn().abort();
        // Its device can be mounted again, although this is not gone yet.
        sb.retire();
    }

    fn statfs(dentry: &DEntry<Self>) -> Result<StatFs> {
        let mount = dentry.sb().data();
        let mut stat = StatFs {
            magic: SUPER_MAGIC,
            ..StatFs::default()
        };
        // Everybody may know what is mounted; df(1) should not fail for it.
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
        options::show(sb.data().conn(), m);
        Ok(())
    }
}

impl NodeTables for Fuse {
    fn set_type(inode: &mut NewInode<'_, Self>, file_type: FileType, device: Dev) -> Result {
        match file_type {
            FileType::Regular => inode.init_regular(
                CommonOps::new::<dir::FileOps>(),
                file::regular_ops(),
                file::mapping_ops(),
            ),
            FileType::Directory => {
                inode.init_dir(DirOps::new::<dir::DirOps>(), dir::readdir::dir_ops());
            }
            FileType::Symlink => {
                inode.init_symlink(SymlinkOps::new::<dir::SymlinkOps>(), dir::link_targets())
            }
            FileType::CharDevice | FileType::BlockDevice | FileType::Fifo | FileType::Socket => {
                inode.init_special(file_type, CommonOps::new::<dir::FileOps>(), device)?;
            }
        }
        Ok(())
    }
}
