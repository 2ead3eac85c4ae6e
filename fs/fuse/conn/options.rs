// SPDX-License-Identifier: GPL-2.0

//! The options of a mount.
//!
//! Owns [`MountOptions`], which never change once the mount exists: the options that were given,
//! and the differences between the types of the file system. Code that depends on one of these
//! reads its field, and never the type. `fstype` fills them in, a file for each type.

use crate::vfs::{
    cred::{
        Kgid,
        Kuid,
        UserNs, //
    },
    node::inode::FileType, //
};

/// The block size of a mount on a block device for which none is given, in bytes
/// (`FUSE_DEFAULT_BLKSIZE`).
pub(crate) const DEFAULT_BLOCK_SIZE: u32 = 512;

/// The options of a mount. [`Self::of_root`] has the defaults; a type sets the fields that differ.
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
    /// The maximum length of a READ, in bytes; `u32::MAX` if none was given.
    pub(crate) max_read: u32,
    /// The block size of a mount on a block device, in bytes; `None` for every other mount.
    pub(crate) block_size: Option<u32>,
    /// The maximum number of pages of one request that the transport can carry; `u32::MAX` if it
    /// can carry any. The administrator's limit applies as well.
    pub(crate) max_pages_limit: u32,
    /// Whether the server may take requests by io_uring. A matter of the transport.
    pub(crate) uring: bool,
    /// Whether submounts that the server announces are mounted.
    pub(crate) auto_submounts: bool,
    /// Whether the unmount waits for the server, which gets DESTROY.
    pub(crate) destroy: bool,
    /// Whether the server is asked to make everything durable (SYNCFS). It has to be trusted to
    /// answer: `sync(2)` waits for it.
    pub(crate) sync_fs: bool,
    /// Whether the connection has no directory in the file system of `fusectl`.
    pub(crate) no_control: bool,
    /// Whether an unmount by force does not end the connection.
    pub(crate) no_force_umount: bool,
    /// Whether `/proc/mounts` shows the options.
    pub(crate) legacy_opts_show: bool,
    /// Whether a name that the server has to be asked about anyway goes when its last user does.
    pub(crate) delete_stale: bool,
    /// What `dax=` said, which `/proc/mounts` always shows.
    pub(crate) dax: Option<Dax>,
}

/// Which files are mapped in memory of the device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dax {
    /// All.
    Always,
    /// None.
    Never,
    /// Those of which the server says so.
    Inode,
}

impl MountOptions {
    /// Options of a connection that belongs to root, for all users, with nothing else set. They are
    /// those of a CUSE device, which is not mounted.
    pub(crate) fn of_root() -> Self {
        Self {
            root_mode: FileType::Directory.bits(),
            user_id: Kuid::new(UserNs::init(), 0),
            group_id: Kgid::new(UserNs::init(), 0),
            default_permissions: false,
            allow_other: true,
            max_read: u32::MAX,
            block_size: None,
            max_pages_limit: u32::MAX,
            uring: false,
            auto_submounts: false,
            destroy: false,
            sync_fs: false,
            no_control: false,
            no_force_umount: false,
            legacy_opts_show: false,
            delete_stale: false,
            dax: None,
        }
    }
}
