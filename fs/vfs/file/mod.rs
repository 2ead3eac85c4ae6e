// SPDX-License-Identifier: GPL-2.0

//! Open files: reading and writing, directories, locks, ioctls, polling.

pub(crate) mod count;
pub(crate) mod deferred;
pub(crate) mod dir_context;
pub(crate) mod file_ops;
pub(crate) mod ioctl;
pub(crate) mod lock;
pub(crate) mod open;
pub(crate) mod poll;
