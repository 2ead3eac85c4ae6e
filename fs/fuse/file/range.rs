// SPDX-License-Identifier: GPL-2.0

//! Positions and ranges of files, and their encoding in READ and WRITE.

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

/// The page with the byte at `pos`, which is not negative.
pub(super) fn page_of(pos: i64) -> u64 {
    pos as u64 / PAGE_SIZE as u64
}

/// The position `len` bytes behind `pos`.
///
/// # Errors
///
/// `EFBIG`; the VFS does not let callers write so far.
pub(super) fn advanced(pos: i64, len: usize) -> Result<i64> {
    i64::try_from(len)
        .ok()
        .and_then(|len| pos.checked_add(len))
        .ok_or(EFBIG)
}

/// Zeroes cached bytes between the end of the file and `start`, where a write begins. The inode is
/// locked.
///
/// They are not zero for sure: a mapping may have been stored to behind the end. They are about to
/// become part of the file. (C does this only for writes that go through the page cache.)
pub(super) fn zero_gap(inode: &INode<Fuse>, start: i64) {
    let end = inode.size();
    if start > end {
        inode.truncate_pagecache_range(end, start - 1);
    }
}

/// The arguments of READ.
pub(super) fn read_args(opened: &Opened, pos: i64, size: usize, flags: u32) -> ReadIn {
    ReadIn {
        fh: opened.fh(),
        // Positions are never negative, and `max_read` and `max_pages` limit a READ to a length
        // that fits into the field.
        offset: pos as u64,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        flags,
        ..ReadIn::default()
    }
}

/// The arguments of WRITE; `flags` (`O_*`) are those of the call.
pub(super) fn write_args(opened: &Opened, pos: i64, size: usize, flags: u32) -> WriteIn {
    WriteIn {
        fh: opened.fh(),
        // Positions are never negative, and `max_write` limits a WRITE to a length that fits into
        // the field.
        offset: pos as u64,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        flags,
        ..WriteIn::default()
    }
}
