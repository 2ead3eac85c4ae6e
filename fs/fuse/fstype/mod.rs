// SPDX-License-Identifier: GPL-2.0

//! The file system types: where the file-system side and the wire side meet.

pub(crate) mod cuse;
mod export;
pub(crate) mod fuse;
pub(crate) mod fusectl;
mod latency;
mod requests;
pub(crate) mod sysctl;
