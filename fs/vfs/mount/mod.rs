// SPDX-License-Identifier: GPL-2.0

//! Mounts: file system types, their options, super blocks, and the ways to a super block.

pub(crate) mod export;
pub(crate) mod fs_param;
pub(crate) mod fs_type;
pub(crate) mod pools;
pub(crate) mod sb;
pub(crate) mod submount;
