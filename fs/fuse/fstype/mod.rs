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

/// All types of the file system, in the order in which they are registered.
pub(crate) static TYPES: [FsType<Fuse>; 2] = [
    FsType::new::<FuseblkType>(&POOLS),
    FsType::new::<FuseType>(&POOLS),
];
