// SPDX-License-Identifier: GPL-2.0

//! virtiofs: the server is a virtio device.
//!
//! [`instance`] has the device: its tag, by which it is mounted, its queues, and what sysfs shows
//! of both.

pub(crate) mod instance;
