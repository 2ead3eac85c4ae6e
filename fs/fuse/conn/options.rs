// SPDX-License-Identifier: GPL-2.0

//! What a mount was asked to be.
//!
//! Owns the names of the mount options, the rules for their values, and [`MountOptions`], which
//! never change once the mount exists. `fstype/fuse.rs` feeds the options in, one at a time from
//! either mount API, and keeps those that are not the connection's (the device, source and
//! subtype).

use super::Connection;
use crate::{
    fuse::Fuse,
    vfs::{
        cred::{
            Kgid,
            Kuid,
            UserNs, //
        },
        mount::{
            fs_param::{
                ParamSpec,
                ParamTable, //
            },
            fs_type::FsContext, //
        },
        node::inode::FileType, //
    },
};
use kernel::{
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

/// The options by name.
#[derive(Clone, Copy)]
pub(crate) enum Opt {
    /// `source=`: the name shown as the device.
    Source,
    /// `subtype=`: shown after the type, as in `fuse.sshfs`.
    Subtype,
    /// `fd=`: the open `/dev/fuse` of the server.
    Fd,
    /// `rootmode=`: type and permissions of the root, octal.
    RootMode,
    /// `user_id=`: the owner of the mount.
    UserId,
    /// `group_id=`: the group of the mount.
    GroupId,
    /// `default_permissions`: the kernel checks permissions.
    DefaultPermissions,
    /// `allow_other`: users other than the owner may use the mount.
    AllowOther,
    /// `max_read=`: the largest READ, in bytes.
    MaxRead,
    /// `blksize=`: the block size of a mount on a block device.
    BlockSize,
    /// `auto_submounts`: submounts that the server announces are mounted. Only a module that is built
    /// for a kernel with KUnit has this option, for the selftests: submounts are for virtiofs, and
    /// were never offered to servers on `/dev/fuse`.
    #[cfg(CONFIG_KUNIT = "y")]
    AutoSubmounts,
}

/// How many options there are.
const OPTIONS: usize = if cfg!(CONFIG_KUNIT = "y") { 11 } else { 10 };

/// What the VFS needs to parse the options.
pub(crate) static PARAMS: ParamTable<Opt, OPTIONS> = ParamTable::new([
    ParamSpec::string(c"source", Opt::Source),
    ParamSpec::fd(c"fd", Opt::Fd),
    ParamSpec::u32_octal(c"rootmode", Opt::RootMode),
    ParamSpec::uid(c"user_id", Opt::UserId),
    ParamSpec::gid(c"group_id", Opt::GroupId),
    ParamSpec::flag(c"default_permissions", Opt::DefaultPermissions),
    ParamSpec::flag(c"allow_other", Opt::AllowOther),
    ParamSpec::u32(c"max_read", Opt::MaxRead),
    ParamSpec::u32(c"blksize", Opt::BlockSize),
    ParamSpec::string(c"subtype", Opt::Subtype),
    #[cfg(CONFIG_KUNIT = "y")]
    ParamSpec::flag(c"auto_submounts", Opt::AutoSubmounts),
]);

/// The smallest `max_read` that is taken; less is raised to it.
const MIN_MAX_READ: u32 = 4096;

/// The block size of a mount on a block device for which none is given, in bytes
/// (`FUSE_DEFAULT_BLKSIZE`).
const DEFAULT_BLOCK_SIZE: u32 = 512;

/// The options of a mount.
pub(crate) struct MountOptions {
    /// Type and permissions of the root until its attributes are known.
    pub(crate) root_mode: u16,
    /// The owner of the mount.
    pub(crate) user_id: Kuid,
    /// The group of the mount.
    pub(crate) group_id: Kgid,
    /// Whether the kernel checks permissions; the server may ask for it too, see
    /// `Connection::default_permissions`.
    pub(crate) default_permissions: bool,
    /// Whether users other than the owner may use the mount.
    pub(crate) allow_other: bool,
    /// The largest READ, in bytes, at least [`MIN_MAX_READ`]; `u32::MAX` if none was given.
    pub(crate) max_read: u32,
    /// The block size of a mount on a block device, in bytes; `None` for every other mount.
    pub(crate) block_size: Option<u32>,
    /// Whether submounts that the server announces are mounted. A matter of the transport.
    pub(crate) auto_submounts: bool,
}

impl MountOptions {
    /// Those of a connection that nobody mounts: it belongs to root, and has nothing that could be
    /// asked for.
    pub(crate) fn not_mounted() -> Self {
        Self {
            root_mode: 0,
            user_id: Kuid::new(UserNs::init(), 0),
            group_id: Kgid::new(UserNs::init(), 0),
            default_permissions: false,
            allow_other: true,
            max_read: u32::MAX,
            block_size: None,
            auto_submounts: false,
        }
    }
}

/// Shows the options of a mount as `/proc/mounts` does, ids as its user namespace sees them.
pub(crate) fn show(conn: &Connection, m: &SeqFile) {
    let options = conn.options();
    let ns = conn.user_ns();
    seq_print!(m, ",user_id={}", options.user_id.in_ns_munged(ns));
    seq_print!(m, ",group_id={}", options.group_id.in_ns_munged(ns));
    // Also shown when it is the server that asked for it.
    if conn.default_permissions() {
        seq_print!(m, ",default_permissions");
    }
    if options.allow_other {
        seq_print!(m, ",allow_other");
    }
    if options.max_read != u32::MAX {
        seq_print!(m, ",max_read={}", options.max_read);
    }
    if let Some(bytes) = options.block_size {
        if bytes != DEFAULT_BLOCK_SIZE {
            seq_print!(m, ",blksize={}", bytes);
        }
    }
}

/// The options given so far.
pub(crate) struct Builder {
    root_mode: Option<u16>,
    user_id: Option<Kuid>,
    group_id: Option<Kgid>,
    default_permissions: bool,
    allow_other: bool,
    max_read: u32,
    block_size: Option<u32>,
    auto_submounts: bool,
}

impl Builder {
    /// None, for a mount on a block device.
    pub(crate) fn for_block_device() -> Self {
        Self {
            block_size: Some(DEFAULT_BLOCK_SIZE),
            ..Self::new()
        }
    }

    /// None.
    pub(crate) fn new() -> Self {
        Self {
            root_mode: None,
            user_id: None,
            group_id: None,
            default_permissions: false,
            allow_other: false,
            max_read: u32::MAX,
            block_size: None,
            auto_submounts: false,
        }
    }

    /// `auto_submounts` was given.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn auto_submounts(&mut self) {
        self.auto_submounts = true;
    }

    /// `default_permissions` was given.
    pub(crate) fn default_permissions(&mut self) {
        self.default_permissions = true;
    }

    /// `allow_other` was given.
    pub(crate) fn allow_other(&mut self) {
        self.allow_other = true;
    }

    /// `max_read=` was given.
    pub(crate) fn max_read(&mut self, bytes: u32) {
        self.max_read = bytes;
    }

    /// `blksize=` was given.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a message for the mounter, if the mount is not on a block device.
    pub(crate) fn block_size(&mut self, fc: &FsContext<Fuse>, bytes: u32) -> Result {
        if self.block_size.is_none() {
            return Err(fc.invalf(fmt!("blksize only supported for fuseblk")));
        }
        self.block_size = Some(bytes);
        Ok(())
    }

    /// `rootmode=` was given.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a message for the mounter, for a mode without a file type.
    pub(crate) fn root_mode(&mut self, fc: &FsContext<Fuse>, mode: u32) -> Result {
        if FileType::of(mode).is_none() {
            return Err(fc.invalf(fmt!("Invalid rootmode")));
        }
        // The higher bits have no meaning in a mode.
        self.root_mode = Some(mode as u16);
        Ok(())
    }

    /// `user_id=` was given.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a message for the mounter, for an id that the mount's user namespace cannot
    /// express.
    pub(crate) fn user_id(&mut self, fc: &FsContext<Fuse>, id: Kuid) -> Result {
        if !id.has_mapping(fc.user_ns()) {
            return Err(fc.invalf(fmt!("Invalid user_id")));
        }
        self.user_id = Some(id);
        Ok(())
    }

    /// `group_id=` was given.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a message for the mounter, for an id that the mount's user namespace cannot
    /// express.
    pub(crate) fn group_id(&mut self, fc: &FsContext<Fuse>, id: Kgid) -> Result {
        if !id.has_mapping(fc.user_ns()) {
            return Err(fc.invalf(fmt!("Invalid group_id")));
        }
        self.group_id = Some(id);
        Ok(())
    }

    /// Fills in what is missing, for a mount that is not to be: of a block device that is mounted
    /// already, which has the options of that mount.
    pub(crate) fn build_unused(&self, fc: &FsContext<Fuse>) -> MountOptions {
        let ns = fc.user_ns();
        MountOptions {
            root_mode: self.root_mode.unwrap_or(FileType::Directory.bits()),
            user_id: self.user_id.unwrap_or(Kuid::new(ns, 0)),
            group_id: self.group_id.unwrap_or(Kgid::new(ns, 0)),
            default_permissions: self.default_permissions,
            allow_other: self.allow_other,
            max_read: self.max_read.max(MIN_MAX_READ),
            block_size: self.block_size,
            auto_submounts: self.auto_submounts,
        }
    }

    /// The options of the mount, now that all have been given.
    ///
    /// # Errors
    ///
    /// `EINVAL` if one is missing that every mount needs.
    pub(crate) fn build(&self, fc: &FsContext<Fuse>) -> Result<MountOptions> {
        if self.root_mode.is_none() || self.user_id.is_none() || self.group_id.is_none() {
            return Err(EINVAL);
        }
        Ok(self.build_unused(fc))
    }
}
