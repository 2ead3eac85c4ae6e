// SPDX-License-Identifier: GPL-2.0

//! From a record to the reader of a directory (`fuse_emit()`).
//!
//! `dir/readdir.rs` and `dir/readdir_cache.rs` come in here, the VFS is next. No locks.

use crate::{
    fuse::abi::node::Dirent,
    vfs::file::dir_context::DirContext, //
};

/// Hands one record to the reader; `false` if the reader is full, and will ask for it again.
pub(super) fn emit(entry: &Dirent, name: &[u8], ctx: &mut DirContext) -> bool {
    let taken = ctx.emit(name, entry.ino, entry.kind);
    if taken {
        ctx.set_pos(entry.off as i64);
    }
    taken
}
