// SPDX-License-Identifier: GPL-2.0

//! virtiofs: the server is a device of virtio.
//!
//! [`instance`] has what a device is: its tag, by which it is mounted, its queues, and what sysfs shows
//! of both.

pub(crate) mod instance;
