// SPDX-License-Identifier: GPL-2.0

//! Devices and pipes, through which a server talks to the kernel; and files of other file systems
//! that back its own.

pub(crate) mod backing;
pub(crate) mod chrdev;
pub(crate) mod miscdev;
pub(crate) mod pipe;
pub(crate) mod uring;
pub(crate) mod uring_pages;
#[cfg(CONFIG_VIRTIO)]
pub(crate) mod virtio;
#[cfg(CONFIG_VIRTIO)]
pub(crate) mod virtqueue;
