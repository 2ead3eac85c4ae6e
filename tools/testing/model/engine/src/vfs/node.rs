// SPDX-License-Identifier: GPL-2.0

//! What of nodes and names needs no inode.

#[path = "../../../../../../fs/vfs/node/entry_name.rs"]
pub(crate) mod entry_name;
