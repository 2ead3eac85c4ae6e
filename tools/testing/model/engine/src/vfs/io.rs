// SPDX-License-Identifier: GPL-2.0

//! Files of devices and pipes.

pub(crate) mod miscdev;
pub(crate) mod pipe;
#[path = "../../../../../../fs/vfs/io/uring.rs"]
pub(crate) mod uring;
pub(crate) mod uring_pages;
