// SPDX-License-Identifier: GPL-2.0

//! Devices and pipes: what a server talks through. And the files of other file systems that it has
//! stand behind its own.

pub(crate) mod backing;
pub(crate) mod chrdev;
pub(crate) mod miscdev;
pub(crate) mod pipe;
pub(crate) mod uring;
#[cfg(CONFIG_VIRTIO)]
pub(crate) mod virtio;
