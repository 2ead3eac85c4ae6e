// SPDX-License-Identifier: GPL-2.0

//! The type `virtiofs`: mounted by the tag of a device, by root alone.
//!
//! There is one super block for a device, however often that is mounted. The options that the other
//! types have are settled: everybody may use it, and the kernel checks permissions. The server is
//! told when it may go (DESTROY), and is asked to make everything durable (SYNCFS).
//!
//! The VFS holds `s_umount` while a super block is set up.

use crate::{
    fuse::{
        channel::Channel,
        conn::{
            init,
            mount::Mount,
            options::{
                Dax,
                MountOptions, //
            },
            Connection, //
        },
        fstype::{
            export,
            super_block, //
        },
        transport::virtio::{
            instance::{
                Instance,
                DRIVER, //
            },
            VirtioTransport, //
        },
        Fuse, //
    },
    vfs::{
        cred::current_pid_ns,
        io::virtio::Bound,
        mount::{
            fs_param::{
                Param,
                ParamList,
                ParamSpec,
                ParamTable,
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
                SuperBlock, //
            },
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Pieces of a request that are not pages: header and arguments, of the question and of the answer
/// (`FUSE_HEADER_OVERHEAD`).
const OTHER_PIECES: usize = 4;

/// The options by name.
#[derive(Clone, Copy)]
enum Opt {
    /// `dax`: as `dax=always`.
    Dax,
    /// `dax=`: whether files are mapped in memory of the device.
    DaxMode,
}

static PARAMS: ParamTable<Opt, 2> = ParamTable::new([
    ParamSpec::flag(c"dax", Opt::Dax),
    ParamSpec::string(c"dax", Opt::DaxMode),
]);

/// A mount that is being described.
#[derive(Default)]
pub(super) struct Context {
    dax: Option<Dax>,
    /// Of the connection that the new super block gets.
    transport: Option<Arc<VirtioTransport>>,
}

/// The type.
pub(super) struct VirtiofsType;

impl VirtiofsType {
    /// The device whose tag is the source.
    fn find(fc: &FsContext<Self>) -> Result<Arc<Bound<Instance>>> {
        let Some(tag) = fc.source() else {
            return Err(fc.invalf(fmt!("No source specified")));
        };
        let device = DRIVER.find(|device| device.tag() == tag);
        device.ok_or_else(|| {
            pr_info!("virtiofs: tag <{}> not found\n", tag);
            EINVAL
        })
    }

    /// The options of a mount whose requests have `max_pages` pages at most.
    fn options(max_pages: u32, dax: Option<Dax>) -> MountOptions {
        MountOptions {
            default_permissions: true,
            max_pages_limit: max_pages,
            auto_submounts: true,
            destroy: true,
            sync_fs: true,
            no_control: true,
            no_force_umount: true,
            delete_stale: true,
            dax,
            ..MountOptions::of_root()
        }
    }
}

impl Mounting for VirtiofsType {
    type Fs = Fuse;
    type Context = Context;
    type Key = Arc<Bound<Instance>>;

    const NAME: &'static CStr = c"virtiofs";
    const FLAGS: FsFlags = FsFlags::of(&[FsFlag::AllowIdmap]);
    const PARAMS: ParamList = PARAMS.list();
    const ON_BLOCK_DEVICE: bool = false;

    fn init_fs_context(_fc: &FsContext<Self>) -> Result<Context> {
        Ok(Context::default())
    }

    fn parse_param(ctx: &mut Context, fc: &FsContext<Self>, param: Param<'_>) -> Result {
        let mode = match fc.parse(param, &PARAMS)? {
            (Opt::Dax, Value::Flag) => Dax::Always,
            (Opt::DaxMode, Value::String(mode)) => match mode.as_bytes() {
                b"always" => Dax::Always,
                b"never" => Dax::Never,
                b"inode" => Dax::Inode,
                _ => return Err(fc.invalf(fmt!("Bad value for 'dax'"))),
            },
            // The table says which option has which kind of value.
            _ => return Err(EINVAL),
        };
        ctx.dax = Some(mode);
        Ok(())
    }

    fn reconfigure(_ctx: &mut Context, _fc: &FsContext<Self>, _sb: &SuperBlock<Fuse>) -> Result {
        Ok(())
    }

    fn get_tree(ctx: &mut Context, fc: &FsContext<Self>) -> Result<Tree<Self>> {
        let device = Self::find(fc)?;
        let pieces = device.max_pieces();
        if pieces == 0 {
            // It was reset, or is gone by now.
            return Err(EINVAL);
        }
        let pages = pieces.saturating_sub(OTHER_PIECES);
        if pages == 0 {
            pr_warn!("virtiofs: the queue has no room for a request\n");
            return Err(EIO);
        }
        let options = Self::options(u32::try_from(pages).unwrap_or(u32::MAX), ctx.dax);
        let transport = Arc::new(VirtioTransport::new(device.clone()), GFP_KERNEL)?;
        let channel = Arc::pin_init(Channel::new(transport.clone()), GFP_KERNEL)?;
        let conn = Connection::new(
            channel,
            options,
            fc.user_ns().into(),
            current_pid_ns().ok_or(EINVAL)?,
        );
        let conn = Arc::pin_init(conn, GFP_KERNEL)?;
        let mount = Arc::new(Mount::new(conn), GFP_KERNEL)?;
        ctx.transport = Some(transport);
        Ok(Tree::Keyed {
            key: device,
            otherwise: Ok(mount),
        })
    }

    fn test_super(mount: &Arc<Mount>, device: &Arc<Bound<Instance>>) -> bool {
        // Submounts of it, which walks make, are no answer to a mount of the tag.
        !mount.is_submount()
            && mount
                .conn()
                .channel()
                .is_of_device(Arc::as_ptr(device).addr())
    }

    fn fill_super<'a>(
        sb: NewSuper<'a, Fuse>,
        ctx: &mut Context,
        _fc: &FsContext<Self>,
    ) -> Result<&'a SuperBlock<Fuse>> {
        let transport = ctx.transport.take().ok_or(EINVAL)?;
        if ctx.dax == Some(Dax::Always) {
            pr_err!("virtiofs: files cannot be mapped in memory of the device\n");
            return Err(EINVAL);
        }
        let conn = sb.data().conn_arc().clone();
        let begin = |mount: &Arc<Mount>| transport.begin(mount.conn().channel().clone());
        // A super block without a root is not shut down.
        let sb = super_block::fill(sb, None, begin).inspect_err(|_| conn.abort())?;
        init::send(sb, false, export::IDENTIFY_ONLY)?;
        Ok(sb)
    }
}
