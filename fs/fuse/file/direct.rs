// SPDX-License-Identifier: GPL-2.0

//! READ past the page cache: files that the server wants read so, and `O_DIRECT`.
//!
//! The data goes through memory of the request and is copied to the reader: no page of the reader
//! is lent to the server. One request is sent after the other, each as large as the limits of the
//! mount allow, counted in pages of the reader. (C pins the reader's pages and saves the copy; what servers and readers see is the
//! same, except that nobody can see a part of a read that failed.)
//!
//! Locks: none. Direct writes are not here yet.

use super::read::read_args;
use crate::{
    fuse::{
        abi::file::{
            ReadFlag,
            ReadFlags,
            ReadIn, //
        },
        inode::{
            attr_cache,
            handle::OpenHandle, //
        },
        op,
        request::args::OutData,
        Fuse, //
    },
    vfs::{
        file::{
            bytes_in_pages,
            fault_in,
            FilesId,
            Kiocb, //
        },
        mm::folio::FolioSegments,
    },
};
use kernel::{
    iov::IovIterDest,
    prelude::*, //
};

/// Reads a file whose server asked for it, and moves the position. May sleep.
///
/// # Errors
///
/// Those of the first request, if that failed: `EFAULT`, `ENOMEM`, what the server answers.
pub(super) fn read_iter(iocb: &mut Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let read = read(iocb, to)?;
    let pos = i64::try_from(read)
        .ok()
        .and_then(|read| iocb.pos().checked_add(read));
    if let Some(pos) = pos {
        iocb.set_pos(pos);
    }
    Ok(read)
}

/// Reads a file whose reader asked for it by `O_DIRECT`; the caller moves the position. May sleep.
///
/// # Errors
///
/// As [`read_iter`].
pub(super) fn direct_read(iocb: &Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
    if iocb.pos() >= iocb.file().inode().size() {
        return Ok(0);
    }
    read(iocb, to)
}

fn read(iocb: &Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let file = iocb.file();
    let handle = file.data();
    let result = read_all(&handle, iocb.pos(), file.flags(), to);
    attr_cache::invalidate_atime(handle.inode());
    result
}

/// Reads until the reader has what it wants, or the server has no more.
fn read_all(
    handle: &OpenHandle,
    start: i64,
    flags: u32,
    to: &mut IovIterDest<'_>,
) -> Result<usize> {
    let conn = handle.mount().conn();
    let max_pages = conn.features().max_pages as usize;
    let max_read = conn.options().max_read as usize;
    let owner = conn.lock_owner_key().scramble(FilesId::current());

    let mut done = 0usize;
    while !to.is_empty() {
        let pos = i64::try_from(done)
            .ok()
            .and_then(|done| start.checked_add(done));
        let result = pos.ok_or(EINVAL).and_then(|pos| {
            let max = bytes_in_pages(to, max_pages).min(max_read);
            // What cannot be delivered is not asked for: the server may not have it twice.
            let want = fault_in(to, max);
            if want == 0 {
                return Err(EFAULT);
            }
            let memory = FolioSegments::alloc(want)?;
            let args = ReadIn {
                read_flags: ReadFlags::from(ReadFlag::LockOwner),
                lock_owner: owner,
                ..read_args(handle, pos, memory.len(), flags)
            };
            read_one(handle, args, memory, to)
        });
        match result {
            Ok(Read::Full(read)) => done = done.saturating_add(read),
            Ok(Read::Short(read)) => return Ok(done.saturating_add(read)),
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// How much one request delivered.
enum Read {
    /// All it asked for.
    Full(usize),
    /// Less: it was the last one.
    Short(usize),
}

/// Sends one READ and copies its answer to the reader.
fn read_one(
    handle: &OpenHandle,
    args: ReadIn,
    memory: FolioSegments,
    to: &mut IovIterDest<'_>,
) -> Result<Read> {
    let asked = memory.len();
    let (result, data) = handle.mount().call_out(
        op::Read {
            node: handle.inode().data().node_id(),
            args,
        },
        OutData::Folios(memory),
    );
    let read = result?;
    let OutData::Folios(mut memory) = data else {
        return Err(EIO);
    };

    let mut copied = 0usize;
    while copied < read {
        let Some((given, taken)) = memory.with_bytes(copied, |bytes| {
            let bytes = bytes.get(..read - copied).unwrap_or(bytes);
            (bytes.len(), to.copy_to_iter(bytes))
        }) else {
            break;
        };
        copied = copied.saturating_add(taken);
        if taken < given {
            // The reader's memory went away meanwhile.
            return if copied == 0 {
                Err(EFAULT)
            } else {
                Ok(Read::Short(copied))
            };
        }
    }
    Ok(if copied < asked {
        Read::Short(copied)
    } else {
        Read::Full(copied)
    })
}
