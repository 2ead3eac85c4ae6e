// SPDX-License-Identifier: GPL-2.0

//! COPY_FILE_RANGE_64 and COPY_FILE_RANGE: the server copies from file to file.
//!
//! The VFS comes in through [`copy_file_range`]. A server that knows neither, and one that is to
//! copy to another server, is spared: the kernel reads and writes.
//!
//! Locks: the inode's of the source while what is dirty of it is written back, then that of the
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

/// The most that COPY_FILE_RANGE copies, in bytes: its reply has 32 bits, and whole pages are left
/// to go on with.
const LEGACY_MAX: usize = (u32::MAX as usize) & !(PAGE_SIZE - 1);

/// Copies, and returns how much. Sleeps.
///
/// # Errors
///
/// What the server answers, or `EIO` if it claims to have copied more than it was asked to; those
/// of reading and writing.
pub(super) fn copy_file_range(range: CopyRange<'_, Fuse>) -> Result<usize> {
    match by_server(&range) {
        Err(EOPNOTSUPP | EXDEV) => range.splice(),
        result => result,
    }
}

/// Has the server copy.
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
        // Not only the range: what is dirty behind it may be what makes the file so long.
        source.write_and_wait_range(range.from_pos, i64::MAX)?;
        source.data().writes.wait();
    }
    let copied = copy(range);
    // Only now: up to here nothing was done to the target that its times would tell of.
    attr_cache::flush_times(target);
    copied
}

/// Has the server copy what it knows all of from the source.
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
    // What is stored to the pages through a mapping from here on, and lies beside what is copied in
    // the same page, is lost with the page.
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
    // Times that the kernel does not keep are none of its business; the copy was made.
    let _ = range.to().update_time(&lock);
    attr_cache::written(target, (copied != 0).then_some(end));
    Ok(copied)
}
