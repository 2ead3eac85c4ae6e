// SPDX-License-Identifier: GPL-2.0

//! The options of `fuse` and `fuseblk`.
//!
//! Owns their names and the rules for their values. `fuse.rs` passes them here, one at a time from
//! either mount API, and keeps those that do not belong to the connection (the device, source and
//! subtype).

use crate::{
    fuse::{
        conn::options::{
            MountOptions,
            DEFAULT_BLOCK_SIZE, //
        },
        Fuse, //
    },
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
            fs_type::{
                FsContext,
                Mounting, //
            },
        },
        node::inode::FileType, //
    },
};
use kernel::prelude::*;

/// The options by name.
#[derive(Clone, Copy)]
pub(super) enum Opt {
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
    /// `max_read=`: the maximum length of a READ, in bytes.
    MaxRead,
    /// `blksize=`: the block size of a mount on a block device.
    BlockSize,
    /// `auto_submounts`: submounts that the server announces are mounted. Only a module that is
    /// built for a kernel with KUnit has this option, for the selftests: submounts are for
    /// virtiofs, and were never offered to servers on `/dev/fuse`.
    #[cfg(CONFIG_KUNIT = "y")]
    AutoSubmounts,
}

/// The number of options.
const OPTIONS: usize = if cfg!(CONFIG_KUNIT = "y") { 11 } else { 10 };

/// The table with which the VFS parses the options.
pub(super) static PARAMS: ParamTable<Opt, OPTIONS> = ParamTable::new([
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

/// The minimum `max_read`; a smaller one is raised to it.
const MIN_MAX_READ: u32 = 4096;

/// The options given so far.
pub(super) struct Builder {
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
    /// No options, for a mount on a block device.
    pub(super) fn for_block_device() -> Self {
        Self {
            block_size: Some(DEFAULT_BLOCK_SIZE),
            ..Self::new()
        }
    }

    /// No options.
    pub(super) fn new() -> Self {
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
    pub(super) fn auto_submounts(&mut self) {
        self.auto_submounts = true;
    }

    /// `default_permissions` was given.
    pub(super) fn default_permissions(&mut self) {
        self.default_permissions = true;
    }

    /// `allow_other` was given.
    pub(super) fn allow_other(&mut self) {
        self.allow_other = true;
    }

    /// `max_read=` was given.
    pub(super) fn max_read(&mut self, bytes: u32) {
        self.max_read = bytes;
    }

    /// `blksize=` was given.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a message for the mounting task, if the mount is not on a block device.
    pub(super) fn block_size<M>(&mut self, fc: &FsContext<M>, bytes: u32) -> Result
    where
        M: Mounting<Fs = Fuse>,
    {
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
    /// `EINVAL`, with a message for the mounting task, for a mode without a file type.
    pub(super) fn root_mode<M>(&mut self, fc: &FsContext<M>, mode: u32) -> Result
    where
        M: Mounting<Fs = Fuse>,
    {
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
    /// `EINVAL`, with a message for the mounting task, for an id that the mount's user namespace
    /// cannot express.
    pub(super) fn user_id<M>(&mut self, fc: &FsContext<M>, id: Kuid) -> Result
    where
        M: Mounting<Fs = Fuse>,
    {
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
    /// `EINVAL`, with a message for the mounting task, for an id that the mount's user namespace
    /// cannot express.
    pub(super) fn group_id<M>(&mut self, fc: &FsContext<M>, id: Kgid) -> Result
    where
        M: Mounting<Fs = Fuse>,
    {
        if !id.has_mapping(fc.user_ns()) {
            return Err(fc.invalf(fmt!("Invalid group_id")));
        }
        self.group_id = Some(id);
        Ok(())
    }

    /// Fills in what is missing, for a super block that is not used: the block device is mounted
    /// already, with the options of that mount. `ns` is the user namespace of the mount.
    pub(super) fn build_unused(&self, ns: &UserNs) -> MountOptions {
        let on_block_device = self.block_size.is_some();
        MountOptions {
            root_mode: self.root_mode.unwrap_or(FileType::Directory.bits()),
            user_id: self.user_id.unwrap_or(Kuid::new(ns, 0)),
            group_id: self.group_id.unwrap_or(Kgid::new(ns, 0)),
            default_permissions: self.default_permissions,
            allow_other: self.allow_other,
            max_read: self.max_read.max(MIN_MAX_READ),
            block_size: self.block_size,
            uring: true,
            auto_submounts: self.auto_submounts,
            // Root has mounted it, on a block device of the server.
            destroy: on_block_device,
            sync_fs: on_block_device,
            legacy_opts_show: true,
            ..MountOptions::of_root()
        }
    }

    /// The options of the mount, after all have been given.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a mandatory one is missing.
    pub(super) fn build(&self, ns: &UserNs) -> Result<MountOptions> {
        if self.root_mode.is_none() || self.user_id.is_none() || self.group_id.is_none() {
            return Err(EINVAL);
        }
        Ok(self.build_unused(ns))
    }
}
