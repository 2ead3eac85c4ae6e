// SPDX-License-Identifier: GPL-2.0

//! Positions and ranges of files, and what READ and WRITE say of them.

use crate::{
    fuse::{
        abi::file::{
            ReadIn,
            WriteIn, //
        },
        inode::opened::Opened,
        Fuse, //
    },
    vfs::node::inode::INode,
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// The page that the byte at `pos`, which is not negative, is in.
pub(super) fn page_of(pos: i64) -> u64 {
    pos as u64 / PAGE_SIZE as u64
}

/// `len` bytes behind `pos`.
///
/// # Errors
///
/// `EFBIG`; the VFS lets nobody write so far.
pub(super) fn advanced(pos: i64, len: usize) -> Result<i64> {
    i64::try_from(len)
        .ok()
        .and_then(|len| pos.checked_add(len))
        .ok_or(EFBIG)
}

/// Zeroes what is cached between the end of the file and `start`, where a write begins. The inode
/// is locked.
///
/// That is not zero for sure: a mapping may have been stored to behind the end. It is about to
/// become part of the file. (C forgets it but for writes that go through the page cache.)
pub(super) fn zero_gap(inode: &INode<Fuse>, start: i64) {
    let end = inode.size();
    if start > end {
        inode.truncate_pagecache_range(end, start - 1);
    }
}

/// What READ sends.
pub(super) fn read_args(opened: &Opened, pos: i64, size: usize, flags: u32) -> ReadIn {
    ReadIn {
        fh: opened.fh(),
        // Positions are never negative, and no READ is longer than the wire can say: `max_read`
        // and `max_pages` see to that.
        offset: pos as u64,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        flags,
        ..ReadIn::default()
    }
}

/// What WRITE sends; `flags` (`O_*`) are those of the call.
pub(super) fn write_args(opened: &Opened, pos: i64, size: usize, flags: u32) -> WriteIn {
    WriteIn {
        fh: opened.fh(),
        // Positions are never negative, and no WRITE is longer than the wire can say: `max_write`
        // sees to that.
        offset: pos as u64,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        flags,
        ..WriteIn::default()
    }
}
