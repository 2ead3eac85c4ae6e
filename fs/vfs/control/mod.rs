// SPDX-License-Identifier: GPL-2.0

//! The administrator's view of a file system, besides its mounts.

pub(crate) mod control_fs;
pub(crate) mod sysctl;
pub(crate) mod sysfs;
