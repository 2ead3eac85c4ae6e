// SPDX-License-Identifier: GPL-2.0

//! How bytes move between a channel and a server.

pub(crate) mod copy;
#[cfg(CONFIG_KUNIT = "y")]
mod copy_test;
pub(crate) mod dev;
pub(crate) mod uring;
#[cfg(CONFIG_VIRTIO)]
pub(crate) mod virtio;
