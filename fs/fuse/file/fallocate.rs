// SPDX-License-Identifier: GPL-2.0

//! FALLOCATE: allocates, zeroes or frees space of a file.
//!
//! The VFS calls [`fallocate`]. The server does it; afterwards the page cache drops outdated pages.
//!
//! Locks: the inode's.

use crate::{
    fuse::{
        abi::file::FallocateIn,
        inode::{
            attr_cache::{
                self,
                mask, //
            },
            handle::OpenHandle, //
        },
        op,
        Fuse, //
    },
    vfs::{
        file::open::{
            Fallocate,
            FallocateMode,
            File, //
        },
        node::inode::INodeLock, //
    },
};
use kernel::prelude::*;

/// Allocates, zeroes or frees `len` bytes at `offset`. Sleeps.
///
/// # Errors
///
/// `EOPNOTSUPP` for a mode that the protocol does not know, or if the server does not know
/// FALLOCATE; `EFBIG` and the like; the server's error.
pub(super) fn fallocate(file: &File<Fuse>, mode: FallocateMode, offset: i64, len: i64) -> Result {
    let known = Fallocate::KeepSize | Fallocate::PunchHole | Fallocate::ZeroRange;
    if mode.contains_any(!known) {
        return Err(EOPNOTSUPP);
    }
    let handle = file.data();
    let conn = handle.mount().conn();
    if conn.unimplemented().contains(op::Opcode::Fallocate) {
        return Err(EOPNOTSUPP);
    }
    let lock = handle.inode().lock();
    let result = locked(file, &handle, &lock, mode, offset, len);
    drop(lock);
    attr_cache::flush_times(handle.inode());
    result
}

fn locked(
    file: &File<Fuse>,
    handle: &OpenHandle,
    lock: &INodeLock<'_, Fuse>,
    mode: FallocateMode,
    offset: i64,
    len: i64,
) -> Result {
    let inode = handle.inode();
    let end = offset.checked_add(len).ok_or(EFBIG)?;
    let zeroes = mode.contains_any(Fallocate::PunchHole | Fallocate::ZeroRange);
    let may_grow = !mode.contains(Fallocate::KeepSize);

    if zeroes {
        // Not only the range: the file may only be so long because of dirty pages behind it.
        inode.write_and_wait_range(offset, i64::MAX)?;
        inode.data().writes.wait();
    }
    if may_grow && end > inode.size() {
        inode.check_new_size(end)?;
    }
    file.modified(lock)?;

    let _size = may_grow.then(|| attr_cache::hold_size(inode));
    handle.mount().call(op::Fallocate {
        node: inode.data().node_id(),
        args: FallocateIn {
            fh: handle.fh(),
            // Neither is negative.
            offset: offset as u64,
            length: len as u64,
            mode: mode.into(),
            ..FallocateIn::default()
        },
    })?;

    if may_grow {
        let old_size = inode.size();
        if end > old_size {
            inode.truncate_pagecache_range(old_size, end - 1);
        }
        if attr_cache::written(inode, Some(end)) {
            // The file is longer even if this fails.
            let _ = file.update_time(lock);
        }
    }
    if zeroes {
        inode.truncate_pagecache_range(offset, end - 1);
    }
    inode.data().attrs.invalidate(mask::DATA_CHANGED);
    Ok(())
}
