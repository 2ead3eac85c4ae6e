// SPDX-License-Identifier: GPL-2.0

//! READ and WRITE past the page cache: files that the server wants used so, and `O_DIRECT`.
//!
//! The data goes through memory of the request and is copied to the reader, or from the writer: no
//! page of theirs is lent to the server. One request is sent after the other, each as large as the
//! limits of the mount allow, counted in pages of the caller. (C pins the caller's pages and saves
//! the copy; what servers and callers see is the same, except that nobody can see a part of a read
//! that failed.)
//!
//! Locks: the inode's, for writes, whether or not the server would let them run in parallel.

use super::{
    read::read_args,
    write::{
        advanced,
        write_args, //
    },
};
use crate::{
    fuse::{
        abi::file::{
            FopenFlag,
            ReadFlag,
            ReadFlags,
            ReadIn,
            WriteFlag,
            WriteFlags,
            WriteIn, //
        },
        inode::{
            attr_cache,
            handle::OpenHandle, //
        },
        op,
        request::args::{
            InData,
            OutData, //
        },
        Fuse, //
    },
    vfs::{
        cred::{
            capable,
            Capability, //
        },
        file::{
            account_write,
            bytes_in_pages,
            fault_in,
            fault_in_source,
            source_bytes_in_pages,
            FilesId,
            Kiocb,
            Taking, //
        },
        mm::folio::FolioSegments,
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
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

/// Writes a file whose server asked for it, and moves the position. Sleeps.
///
/// # Errors
///
/// Those of the first request, if that failed: `EFAULT`, `ENOMEM`, what the server answers; `EBUSY`
/// if a page of the range is cached and cannot be dropped.
pub(super) fn write_iter(
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    let handle = iocb.file().data();
    let inode = handle.inode();
    let lock = inode.lock();

    let count = iocb.write_checks(&lock, from)?;
    if count == 0 {
        return Ok(0);
    }
    account_write(count);
    let start = iocb.pos();
    let result = write_all(&handle, iocb, from);
    let end = match result {
        Ok(written) => Some(advanced(start, written)?),
        Err(_) => None,
    };
    attr_cache::written(inode, end.filter(|end| *end != start));
    if let Some(end) = end.filter(|end| *end != start) {
        iocb.set_pos(end);
        // A read may have brought pages of before into the cache meanwhile. Those that are busy
        // stay: their users see what they saw when they began.
        let _ = inode.invalidate_range(page_of(start), page_of(end - 1));
    }
    result
}

/// Writes a file whose writer asked for it by `O_DIRECT`; the caller moves the position. The inode
/// is locked. Sleeps.
///
/// # Errors
///
/// As [`write_iter`].
pub(super) fn direct_write(iocb: &Kiocb<'_, Fuse>, from: &mut IovIterSource<'_>) -> Result<usize> {
    let handle = iocb.file().data();
    let result = write_all(&handle, iocb, from);
    let end = match result {
        Ok(written) if written != 0 => Some(advanced(iocb.pos(), written)?),
        _ => None,
    };
    attr_cache::written(handle.inode(), end);
    result
}

/// The page that the byte at `pos`, which is not negative, is in.
fn page_of(pos: i64) -> u64 {
    pos as u64 / PAGE_SIZE as u64
}

/// Writes until the writer has no more, or the server takes no more.
fn write_all(
    handle: &OpenHandle,
    iocb: &Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    let inode = handle.inode();
    let start = iocb.pos();
    if handle.wants(FopenFlag::DirectIo) && !from.is_empty() {
        let last = advanced(start, from.len())?.saturating_sub(1);
        inode.write_and_wait_range(start, last)?;
        inode.invalidate_range(page_of(start), page_of(last))?;
    }
    let owner = handle
        .mount()
        .conn()
        .lock_owner_key()
        .scramble(FilesId::current());

    let mut done = 0usize;
    while !from.is_empty() {
        let result = advanced(start, done).and_then(|pos| {
            let mut write_flags = WriteFlags::from(WriteFlag::LockOwner);
            // Nobody here looks at the mode of a file that goes past the cache: the server does.
            if !capable(Capability::Fsetid) {
                write_flags |= WriteFlag::KillSuidgid;
            }
            write_one(handle, from, |size| WriteIn {
                write_flags,
                lock_owner: owner,
                ..write_args(handle, iocb, pos, size)
            })
        });
        match result {
            Ok(written) => {
                done = done.saturating_add(written.done);
                if written.done < written.sent {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// How much one request wrote.
struct Written {
    sent: usize,
    done: usize,
}

/// Sends one WRITE with what the writer has next; takes from the writer what the server took.
fn write_one(
    handle: &OpenHandle,
    from: &mut IovIterSource<'_>,
    args: impl FnOnce(usize) -> WriteIn,
) -> Result<Written> {
    let features = handle.mount().conn().features();
    let max =
        source_bytes_in_pages(from, features.max_pages as usize).min(features.max_write as usize);
    let want = fault_in_source(from, max);
    if want == 0 {
        return Err(EFAULT);
    }
    let mut memory = FolioSegments::alloc(want)?;
    let mut taking = Taking::new(from);
    let sent = memory.fill(0, memory.len(), |room| taking.copy(room));
    if sent == 0 {
        return Err(EFAULT);
    }
    memory.truncate(sent);

    let (result, _memory) = handle.mount().call_in(
        op::Write {
            node: handle.inode().data().node_id(),
            args: args(sent),
        },
        InData::Folios(memory),
    );
    let done = result?.size as usize;
    if done > sent {
        return Err(EIO);
    }
    taking.keep(done);
    Ok(Written { sent, done })
}
