// SPDX-License-Identifier: GPL-2.0

//! Passes a record to the reader of a directory (`fuse_emit()`).
//!
//! Called by `dir/readdir.rs` and `dir/readdir_cache.rs`; calls the VFS. No locks.

use crate::{
    fuse::abi::node::Dirent,
    vfs::file::dir_context::DirContext, //
};

/// Passes one record to the reader; `false` if the reader is full, and will ask for it again.
pub(super) fn emit(entry: &Dirent, name: &[u8], ctx: &mut DirContext) -> bool {
    let taken = ctx.emit(name, entry.ino, entry.kind);
    if taken {
        ctx.set_pos(entry.off as i64);
    }
    taken
}
