// SPDX-License-Identifier: GPL-2.0

//! The types `fuse` and `fuseblk`, which are mounted on an opened `/dev/fuse`: how a mount begins.
//!
//! Owns the mount context. Mounting connects an opened `/dev/fuse` (the wire side) to a connection
//! and a super block (the file-system side), and sends INIT.
//!
//! The VFS holds `s_umount` while a super block is set up. The lock of the device is taken inside
//! it, when it is connected.

use crate::{
    fuse::{
        channel::Channel,
        conn::{
            init,
            mount::Mount,
            options::MountOptions,
            Connection, //
        },
        fstype::{
            export,
            options::{
                Builder,
                Opt,
                PARAMS, //
            },
            super_block, //
        },
        notify::Notifications,
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
                ParamList,
                Value, //
            },
            fs_type::{
                FsContext,
                FsFlag,
                FsFlags,
                Mounting,
                Tree, //
            },
            sb::{
                NewSuper,
                SbFlag,
                SuperBlock, //
            },
        },
    },
};
use core::convert::Infallible;
use kernel::{
    fs::File,
    prelude::*,
    sync::Arc, //
};

/// A mount whose options are being set.
pub(crate) struct Context {
    device: Option<Arc<Device>>,
    /// The transport of the connection that the new super block gets.
    transport: Option<Arc<DevTransport>>,
    subtype: Option<OwnedStr>,
    options: Builder,
}

impl Context {
    /// A context with only the options that the type itself sets.
    fn new(options: Builder) -> Self {
        Self {
            device: None,
            transport: None,
            subtype: None,
            options,
        }
    }

    /// Sets the device, the server's end of the mount.
    fn set_device<M>(&mut self, fc: &FsContext<M>, file: &File) -> Result
    where
        M: Mounting<Fs = Fuse>,
    {
        if self.device.is_some() {
            return Err(fc.invalf(fmt!("Multiple fd specified")));
        }
        let Some(device) = Device::from_file(file) else {
            return Err(fc.invalf(fmt!("fd is not a fuse device")));
        };
        // A device opened in another user namespace would let its opener act on users over which it
        // has no power.
        if UserNs::of_opener(file) != fc.user_ns() {
            return Err(fc.invalf(fmt!("wrong user namespace for fuse device")));
        }
        self.device = Some(device);
        Ok(())
    }

    /// Sets one option.
    fn parse_param<M>(&mut self, fc: &FsContext<M>, param: Param<'_>) -> Result
    where
        M: Mounting<Fs = Fuse>,
    {
        if fc.is_reconfigure() {
            // mount(8) repeats all options when it remounts by mount(2); they change nothing.
            if fc.is_oldapi() {
                return Ok(());
            }
            return Err(fc.invalf(fmt!("No changes allowed in reconfigure")));
        }

        match fc.parse(param, &PARAMS)? {
            (Opt::Source, Value::String(source)) => {
                if fc.has_source() {
                    return Err(fc.invalf(fmt!("Multiple sources specified")));
                }
                fc.set_source(source);
                Ok(())
            }
            (Opt::Subtype, Value::String(subtype)) => {
                if self.subtype.is_some() {
                    return Err(fc.invalf(fmt!("Multiple subtypes specified")));
                }
                self.subtype = Some(subtype);
                Ok(())
            }
            (Opt::Fd, Value::File(file)) => self.set_device(fc, &file),
            (Opt::RootMode, Value::U32(mode)) => self.options.root_mode(fc, mode),
            (Opt::UserId, Value::Uid(id)) => self.options.user_id(fc, id),
            (Opt::GroupId, Value::Gid(id)) => self.options.group_id(fc, id),
            (Opt::DefaultPermissions, Value::Flag) => {
                self.options.default_permissions();
                Ok(())
            }
            (Opt::AllowOther, Value::Flag) => {
                self.options.allow_other();
                Ok(())
            }
            (Opt::MaxRead, Value::U32(bytes)) => {
                self.options.max_read(bytes);
                Ok(())
            }
            (Opt::BlockSize, Value::U32(bytes)) => self.options.block_size(fc, bytes),
            #[cfg(CONFIG_KUNIT = "y")]
            (Opt::AutoSubmounts, Value::Flag) => {
                self.options.auto_submounts();
                Ok(())
            }
            // The table assigns the kind of value to each option.
            _ => Err(EINVAL),
        }
    }

    /// A connection with `options`, and its first mount.
    fn connection<M>(&mut self, fc: &FsContext<M>, options: MountOptions) -> Result<Arc<Mount>>
    where
        M: Mounting<Fs = Fuse>,
    {
        let transport = Arc::pin_init(DevTransport::new(), GFP_KERNEL)?;
        let channel = Arc::pin_init(Channel::new(transport.clone()), GFP_KERNEL)?;
        let conn = Connection::new(
            channel,
            options,
            fc.user_ns().into(),
            current_pid_ns().ok_or(EINVAL)?,
        );
        let conn = Arc::pin_init(conn, GFP_KERNEL)?;
        let mount = Arc::new(Mount::new(conn), GFP_KERNEL)?;
        self.transport = Some(transport);
        Ok(mount)
    }

    /// Sets up the super block of that mount, and sends INIT.
    fn fill_super<'a, M>(
        &mut self,
        sb: NewSuper<'a, Fuse>,
        fc: &FsContext<M>,
    ) -> Result<&'a SuperBlock<Fuse>>
    where
        M: Mounting<Fs = Fuse>,
    {
        let device = self.device.as_ref().ok_or(EINVAL)?;
        self.options.build(fc.user_ns())?;
        let transport = self.transport.take().ok_or(EINVAL)?;
        let sb = super_block::fill(sb, self.subtype.take(), |mount| {
            let conn = mount.conn();
            let notifications = Arc::new(Notifications::new(mount.clone())?, GFP_KERNEL)?;
            device.install(conn.channel().clone(), transport, notifications, conn.dev())
        })?;
        init::send(sb, device.is_sync_init(), export::IDENTIFY_ONLY)?;
        Ok(sb)
    }
}

/// A remount, besides what the VFS does by itself.
fn reconfigure<M: Mounting<Fs = Fuse>>(fc: &FsContext<M>, sb: &SuperBlock<Fuse>) -> Result {
    // A failed write must not prevent a read-only remount, of all things.
    let _ = sb.sync_filesystem();
    if fc.sb_flags().contains(SbFlag::MandLock) {
        return Err(EINVAL);
    }
    Ok(())
}

/// The type `fuse`: every user may mount it in a user namespace of its own.
pub(super) struct FuseType;

impl Mounting for FuseType {
    type Fs = Fuse;
    type Context = Context;
    type Key = Arc<Device>;

    const NAME: &'static CStr = c"fuse";
    const FLAGS: FsFlags =
        FsFlags::of(&[FsFlag::HasSubtype, FsFlag::UsernsMount, FsFlag::AllowIdmap]);
    const PARAMS: ParamList = PARAMS.list();
    const ON_BLOCK_DEVICE: bool = false;

    fn init_fs_context(_fc: &FsContext<Self>) -> Result<Context> {
        Ok(Context::new(Builder::new()))
    }

    fn parse_param(ctx: &mut Context, fc: &FsContext<Self>, param: Param<'_>) -> Result {
        ctx.parse_param(fc, param)
    }

    fn reconfigure(_ctx: &mut Context, fc: &FsContext<Self>, sb: &SuperBlock<Fuse>) -> Result {
        reconfigure(fc, sb)
    }

    fn get_tree(ctx: &mut Context, fc: &FsContext<Self>) -> Result<Tree<Self>> {
        let device = ctx.device.as_ref().ok_or(EINVAL)?;
        if device.is_serving() {
            // The server mounts its file system once more. If that is gone, nothing may take its
            // place: the device serves only one connection in its life.
            return Ok(Tree::Keyed {
                key: device.clone(),
                otherwise: Err(ENOTCONN),
            });
        }
        let options = ctx.options.build(fc.user_ns())?;
        Ok(Tree::New(ctx.connection(fc, options)?))
    }

    fn test_super(mount: &Arc<Mount>, device: &Arc<Device>) -> bool {
        // Only the server's own super block: a submount that a walk has made must not be found by a
        // new mount.
        !mount.is_submount() && device.serves(mount.conn().channel())
    }

    fn fill_super<'a>(
        sb: NewSuper<'a, Fuse>,
        ctx: &mut Context,
        fc: &FsContext<Self>,
    ) -> Result<&'a SuperBlock<Fuse>> {
        ctx.fill_super(sb, fc)
    }
}

/// The type `fuseblk`: mounted on the block device that the server works on, by root alone. No
/// other mount can use the device then. The server is asked to make everything durable (SYNCFS) and
/// told when the mount ends (DESTROY).
pub(super) struct FuseblkType;

impl Mounting for FuseblkType {
    type Fs = Fuse;
    type Context = Context;
    /// The block device determines the super block.
    type Key = Infallible;

    const NAME: &'static CStr = c"fuseblk";
    const FLAGS: FsFlags =
        FsFlags::of(&[FsFlag::RequiresDev, FsFlag::HasSubtype, FsFlag::AllowIdmap]);
    const PARAMS: ParamList = PARAMS.list();
    const ON_BLOCK_DEVICE: bool = true;

    fn init_fs_context(_fc: &FsContext<Self>) -> Result<Context> {
        Ok(Context::new(Builder::for_block_device()))
    }

    fn parse_param(ctx: &mut Context, fc: &FsContext<Self>, param: Param<'_>) -> Result {
        ctx.parse_param(fc, param)
    }

    fn reconfigure(_ctx: &mut Context, fc: &FsContext<Self>, sb: &SuperBlock<Fuse>) -> Result {
        reconfigure(fc, sb)
    }

    fn get_tree(ctx: &mut Context, fc: &FsContext<Self>) -> Result<Tree<Self>> {
        // If the block device is mounted already, this is another mount of that, which needs
        // neither a server nor options; if not, `fill_super` requires them.
        let options = ctx.options.build_unused(fc.user_ns());
        Ok(Tree::New(ctx.connection(fc, options)?))
    }

    fn test_super(_mount: &Arc<Mount>, key: &Infallible) -> bool {
        match *key {}
    }

    fn fill_super<'a>(
        sb: NewSuper<'a, Fuse>,
        ctx: &mut Context,
        fc: &FsContext<Self>,
    ) -> Result<&'a SuperBlock<Fuse>> {
        ctx.fill_super(sb, fc)
    }
}
