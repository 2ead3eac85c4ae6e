// SPDX-License-Identifier: GPL-2.0

//! What the administrator sees of a file system besides its mounts.

pub(crate) mod control_fs;
pub(crate) mod sysctl;
pub(crate) mod sysfs;
