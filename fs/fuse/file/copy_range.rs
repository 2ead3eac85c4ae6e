// SPDX-License-Identifier: GPL-2.0

//! COPY_FILE_RANGE_64 and COPY_FILE_RANGE: the server copies from file to file.
//!
//! The VFS calls [`copy_file_range`]. If the server knows neither, or the copy is to another
//! server, the kernel reads and writes.
//!
//! Locks: the inode's of the source while its dirty pages are written back, then that of the
//! destination for the rest; never both.

use super::range::{
    advanced,
    zero_gap, //
};
use crate::{
    fuse::{
        abi::file::CopyFileRangeIn,
        inode::attr_cache,
        op,
        Fuse, //
    },
    vfs::file::open::CopyRange, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// The maximum length of a COPY_FILE_RANGE, in bytes: its reply has 32 bits, and the rest begins
/// with a whole page.
const LEGACY_MAX: usize = (u32::MAX as usize) & !(PAGE_SIZE - 1);

/// Copies, and returns how much. Sleeps.
///
/// # Errors
///
/// The server's error, or `EIO` if it claims to have copied more than it was asked to; those of
/// reading and writing.
pub(super) fn copy_file_range(range: CopyRange<'_, Fuse>) -> Result<usize> {
    match by_server(&range) {
        Err(EOPNOTSUPP | EXDEV) => range.splice(),
        result => result,
    }
}

/// Lets the server copy.
///
/// # Errors
///
/// `EOPNOTSUPP` if it cannot, `EXDEV` if the files are not on one super block.
fn by_server(range: &CopyRange<'_, Fuse>) -> Result<usize> {
    let (from, to) = (range.from().data(), range.to().data());
    let (source, target) = (from.inode(), to.inode());
    let conn = from.mount().conn();
    if conn.unimplemented().contains(op::Opcode::CopyFileRange) {
        return Err(EOPNOTSUPP);
    }
    if !core::ptr::eq(source.sb(), target.sb()) {
        return Err(EXDEV);
    }
    advanced(range.from_pos, range.len)?;
    advanced(range.to_pos, range.len)?;
    {
        let _lock = source.lock();
        // Not only the range: the file may only be so long because of dirty pages behind it.
        source.write_and_wait_range(range.from_pos, i64::MAX)?;
        source.data().writes.wait();
    }
    let copied = copy(range);
    // Only now: before, the target was not changed in a way that its times would show.
    attr_cache::flush_times(target);
    copied
}

/// Lets the server copy, which has all data of the source.
///
/// # Errors
///
/// As [`by_server`].
fn copy(range: &CopyRange<'_, Fuse>) -> Result<usize> {
    let (from, to) = (range.from().data(), range.to().data());
    let (source, target) = (from.inode(), to.inode());
    let mount = from.mount();
    let to_end = advanced(range.to_pos, range.len)?;

    let lock = target.lock();
    range.to().modified(&lock)?;
    // Stores through a mapping from here on, into a page that is partly overwritten by the copy,
    // are lost with the page.
    target.write_and_wait_range(range.to_pos, i64::MAX)?;
    target.data().writes.wait();
    zero_gap(target, range.to_pos);
    let _size = (to_end > target.size()).then(|| attr_cache::hold_size(target));

    let node = source.data().node_id();
    let mut args = CopyFileRangeIn {
        fh_in: from.fh(),
        // Positions are not negative.
        off_in: range.from_pos as u64,
        nodeid_out: target.data().node_id(),
        fh_out: to.fh(),
        off_out: range.to_pos as u64,
        len: range.len as u64,
        flags: range.flags.into(),
    };
    let copied = match mount.call(op::CopyFileRange64 { node, args })? {
        Some(reply) => reply.bytes_copied,
        None => {
            args.len = range.len.min(LEGACY_MAX) as u64;
            mount.call(op::CopyFileRange { node, args })?.size.into()
        }
    };
    if copied > args.len {
        return Err(EIO);
    }
    let copied = usize::try_from(copied).map_err(|_| EIO)?;
    let end = advanced(range.to_pos, copied)?;
    if copied != 0 {
        target.drop_pages(range.to_pos, end.saturating_sub(1));
    }
    // The copy was made, whether or not the times can be updated.
    let _ = range.to().update_time(&lock);
    attr_cache::written(target, (copied != 0).then_some(end));
    Ok(copied)
}
