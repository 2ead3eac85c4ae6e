// SPDX-License-Identifier: GPL-2.0

//! The file system types: where the file-system side and the wire side meet.

pub(crate) mod cuse;
mod export;
mod fuse;
pub(crate) mod fusectl;
mod latency;
mod options;
mod requests;
mod super_block;
pub(crate) mod sysctl;
#[cfg(CONFIG_VIRTIO)]
mod virtiofs;

#[cfg(CONFIG_VIRTIO)]
use self::virtiofs::VirtiofsType;
use self::{
    fuse::{
        FuseType,
        FuseblkType, //
    },
    super_block::POOLS, //
};
use crate::{
    fuse::Fuse,
    vfs::mount::fs_type::FsType, //
};

/// How many types there are.
const COUNT: usize = if cfg!(CONFIG_VIRTIO) { 3 } else { 2 };

/// All types of the file system, in the order in which they are registered.
pub(crate) static TYPES: [FsType<Fuse>; COUNT] = [
    FsType::new::<FuseblkType>(&POOLS),
    FsType::new::<FuseType>(&POOLS),
    #[cfg(CONFIG_VIRTIO)]
    FsType::new::<VirtiofsType>(&POOLS),
];
