// SPDX-License-Identifier: GPL-2.0

//! READ and WRITE past the page cache: for files whose server wants it, and `O_DIRECT`.
//!
//! A request refers to pages of the caller's memory, so the data is copied once, between them and
//! the server. Each is as large as the limits of the mount allow, counted in pages of the caller.
//! One is sent after the other, or, if the server has agreed to that in INIT, all at once
//! ([`transfer`](super::transfer)), and then a caller need not wait for them. Memory of the kernel
//! that does not consist of pages, or whose pages cannot be pinned, is copied to the request
//! instead.
//!
//! Locks: the inode's, for writes; shared with other writers if the server can take them in
//! parallel (`inode/io_mode.rs`). A task that maps the file waits for those, with its address space
//! locked, so a parallel write must not fault its pages in.

use super::{
    range::{
        advanced,
        page_of,
        read_args,
        write_args,
        zero_gap, //
    },
    transfer::{
        Absent,
        Transfer, //
    },
};
use crate::{
    fuse::{
        abi::{
            file::{
                FopenFlag,
                ReadFlag,
                ReadFlags,
                ReadIn,
                WriteFlag,
                WriteFlags,
                WriteIn, //
            },
            LockOwner, //
        },
        attr::setattr,
        inode::{
            attr_cache,
            handle::{
                OpenFile,
                OpenHandle, //
            },
            io_mode::ParallelWrite,
            opened::Opened, //
        },
        op,
        Fuse, //
    },
    vfs::{
        cred::{
            capable,
            Capability, //
        },
        file::open::{
            account_write,
            FilesId,
            Kiocb, //
        },
        mm::{
            caller::{
                CallerBuffer,
                CallerPages, //
            },
            iov::{
                copy_to_iter,
                Rooms,
                Taking, //
            },
            segment::FolioSegments,
        },
        node::inode::{
            INode,
            INodeLock,
            INodeSharedLock, //
        },
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::ArcBorrow, //
};

/// Reads a file whose server bypasses the page cache, and moves the position. May sleep.
///
/// # Errors
///
/// Those of the first request, if that failed: `EFAULT`, `ENOMEM`, the server's error;
/// `EIOCBQUEUED` if the call completes later.
pub(super) fn read_iter(iocb: &mut Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let read = if iocb.caller_waits() {
        read(iocb, to)?
    } else {
        direct_read(iocb, to)?
    };
    iocb.set_pos(advanced(iocb.pos(), read)?);
    Ok(read)
}

/// Reads a file with `O_DIRECT`, or for a caller that does not wait; the caller moves the position.
/// May sleep.
///
/// # Errors
///
/// As [`read_iter`].
pub(super) fn direct_read(iocb: &mut Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let handle = iocb.file().data();
    if iocb.pos() >= handle.inode().size() {
        return Ok(0);
    }
    if !handle.mount().conn().features().async_dio {
        return read(iocb, to);
    }
    write_back(&handle, iocb.pos(), to.len())?;
    let result = match CallerBuffer::of_dest(to) {
        Some(buffer) => read_at_once(iocb, buffer),
        None => read_memory(&DirectRead::new(handle, iocb), to),
    };
    attr_cache::invalidate_atime(handle.inode());
    result
}

/// Reads, one request after the other.
fn read(iocb: &Kiocb<'_, Fuse>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let handle = iocb.file().data();
    let reading = DirectRead::new(handle, iocb);
    write_back(&handle, reading.start, to.len())?;
    let result = read_in_turn(&reading, to);
    attr_cache::invalidate_atime(handle.inode());
    result
}

/// Reads from the start of the file on, one request after the other; `flags` (`O_*`) are those of
/// the file. May sleep.
///
/// # Errors
///
/// Those of the first request, if that failed: `EFAULT`, `ENOMEM`, the server's error.
pub(super) fn read_from_start(
    opened: &Opened,
    flags: u32,
    to: &mut IovIterDest<'_>,
) -> Result<usize> {
    let reading = DirectRead {
        opened: opened.into(),
        start: 0,
        flags,
    };
    read_in_turn(&reading, to)
}

fn read_in_turn(reading: &DirectRead<'_>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let opened = reading.opened;
    match CallerBuffer::of_dest(to) {
        Some(mut buffer) => each(
            &opened,
            &mut buffer,
            DirectRead::max(&opened),
            None,
            |done, pages| {
                // The pages are the request's, whatever becomes of the caller.
                let (read, _pages) = opened.call(reading.op(done, pages.len(), pages)?);
                read
            },
        ),
        None => read_memory(reading, to),
    }
}

/// Writes dirty pages of a range back, if the server bypasses the page cache: with `O_DIRECT` the
/// VFS does that.
fn write_back(handle: &OpenHandle, start: i64, len: usize) -> Result {
    if len != 0 && handle.wants(FopenFlag::DirectIo) {
        let last = advanced(start, len)?.saturating_sub(1);
        handle.inode().write_and_wait_range(start, last)?;
    }
    Ok(())
}

/// Takes the caller's next pages, up to `max_bytes`, and sends them with `send`, until there are
/// no more, or less was done than sent. `send` gets the number of bytes done before. A writer's
/// `lock` lets it write in parallel from then on, but not while the pages are taken. Returns the
/// number of bytes done in the end.
///
/// # Errors
///
/// Those of the first round; later ones only end it.
fn each(
    opened: &Opened,
    buffer: &mut CallerBuffer<'_>,
    max_bytes: usize,
    mut lock: Option<&mut WriteLock<'_>>,
    mut send: impl FnMut(usize, CallerPages) -> Result<usize>,
) -> Result<usize> {
    let max_pages = opened.mount().conn().features().max_pages as usize;
    let mut done = 0usize;
    while buffer.left() != 0 {
        let mut sent = 0usize;
        if let Some(lock) = &mut lock {
            lock.pause();
        }
        let result = buffer.pages(max_bytes, max_pages).and_then(|pages| {
            sent = pages.len();
            if let Some(lock) = &mut lock {
                lock.write_on(done);
            }
            send(done, pages)
        });
        match result {
            Ok(moved) => {
                done = done.saturating_add(moved);
                if moved < sent {
                    buffer.give_back(sent - moved);
                    break;
                }
            }
            Err(error) => {
                buffer.give_back(sent);
                if done == 0 {
                    return Err(error);
                }
                break;
            }
        }
    }
    Ok(done)
}

/// The common arguments of the READs of one call.
struct DirectRead<'a> {
    opened: OpenFile<'a>,
    start: i64,
    /// `O_*` of the file.
    flags: u32,
}

impl<'a> DirectRead<'a> {
    fn new(handle: ArcBorrow<'a, OpenHandle>, iocb: &Kiocb<'_, Fuse>) -> Self {
        Self {
            opened: handle.into(),
            start: iocb.pos(),
            flags: iocb.file().flags(),
        }
    }

    /// Maximum number of bytes of one READ.
    fn max(opened: &Opened) -> usize {
        opened.mount().conn().features().max_read as usize
    }

    /// The READ of `len` bytes, `done` bytes from the start, into `data`.
    fn op<D>(&self, done: usize, len: usize, data: D) -> Result<op::Read<D>> {
        let pos = advanced(self.start, done)?;
        Ok(op::Read {
            node: self.opened.node(),
            args: ReadIn {
                read_flags: ReadFlags::from(ReadFlag::LockOwner),
                lock_owner: current_owner(&self.opened),
                ..read_args(&self.opened, pos, len, self.flags)
            },
            data,
            zero_copy: self.opened.shares_pages(),
        })
    }
}

/// The common arguments of the WRITEs of one call.
struct Writing<'a> {
    opened: &'a Opened,
    start: i64,
    /// `O_*` of the call.
    flags: u32,
}

impl<'a> Writing<'a> {
    fn new(opened: &'a Opened, iocb: &Kiocb<'_, Fuse>) -> Self {
        Self {
            opened,
            start: iocb.pos(),
            flags: iocb.write_flags(),
        }
    }

    /// Maximum number of bytes of one WRITE.
    fn max(opened: &Opened) -> usize {
        opened.mount().conn().features().max_write as usize
    }

    /// The WRITE of the `len` bytes of `data`, `done` bytes from the start.
    fn op<D>(&self, done: usize, len: usize, data: D) -> Result<op::Write<D>> {
        let mut write_flags = WriteFlags::from(WriteFlag::LockOwner);
        // The kernel does not check the mode of a file that bypasses the cache: the server does.
        if !capable(Capability::Fsetid) {
            write_flags |= WriteFlag::KillSuidgid;
        }
        let pos = advanced(self.start, done)?;
        Ok(op::Write {
            node: self.opened.node(),
            args: WriteIn {
                write_flags,
                lock_owner: current_owner(self.opened),
                ..write_args(self.opened, pos, len, self.flags)
            },
            data,
            zero_copy: self.opened.shares_pages(),
        })
    }
}

/// The lock owner by which the server knows the current task.
fn current_owner(opened: &Opened) -> LockOwner {
    opened
        .mount()
        .conn()
        .lock_owner_key()
        .scramble(FilesId::current())
}

/// The number of bytes that the server says it has written, of `sent`.
///
/// # Errors
///
/// `EIO` if that is more.
fn written_of(sent: usize, reply: Result<crate::fuse::abi::file::WriteOut>) -> Result<usize> {
    let done = reply?.size as usize;
    if done > sent {
        return Err(EIO);
    }
    Ok(done)
}

/// Reads with all requests at once.
fn read_at_once(iocb: &mut Kiocb<'_, Fuse>, mut buffer: CallerBuffer<'_>) -> Result<usize> {
    let (start, file) = (iocb.pos(), iocb.file());
    let handle = file.data();
    let (inode, mount) = (handle.inode(), handle.mount());

    // Behind the end there is probably nothing to read.
    let step = (mount.conn().features().max_pages as usize).saturating_mul(PAGE_SIZE);
    let known = usize::try_from(inode.size().saturating_sub(start)).unwrap_or(usize::MAX);
    buffer.limit(rounded_up(known, step));

    let absent = match iocb.caller_waits() {
        true => None,
        false => Some(Absent {
            deferred: iocb.defer()?,
            handle: handle.into(),
        }),
    };
    let waits = absent.is_none();
    let transfer = Transfer::new(false, start, absent)?;
    let reading = DirectRead::new(handle, iocb);
    let sent = each(
        &handle,
        &mut buffer,
        DirectRead::max(&handle),
        None,
        |done, pages| {
            let len = pages.len();
            let op = reading.op(done, len, pages)?;
            mount.call_background(op, transfer.part(done, len));
            Ok(len)
        },
    );
    transfer.all_sent(sent.err());
    if waits {
        transfer.wait_or_leave(handle)
    } else {
        Err(EIOCBQUEUED)
    }
}

/// `len` rounded up to `step`, the way that C does it (`fuse_round_up()`): if that is not a power
/// of two, the result need not be a multiple of it, but it is never less than `len`.
fn rounded_up(len: usize, step: usize) -> usize {
    match len.checked_sub(1) {
        Some(last) => (last | step.saturating_sub(1)).saturating_add(1),
        None => 0,
    }
}

/// Reads into memory of the kernel that does not consist of pages.
fn read_memory(reading: &DirectRead<'_>, to: &mut IovIterDest<'_>) -> Result<usize> {
    let opened = reading.opened;
    let features = opened.mount().conn().features();
    let max = (features.max_pages as usize)
        .saturating_mul(PAGE_SIZE)
        .min(DirectRead::max(&opened));
    let mut done = 0usize;
    while !to.is_empty() {
        let result = FolioSegments::alloc_some(to.len().min(max))
            .and_then(|memory| reading.op(done, memory.len(), memory))
            .and_then(|op| read_copied(opened, op, to));
        match result {
            Ok((asked, read)) => {
                done = done.saturating_add(read);
                if read < asked {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Sends one READ and copies its answer to the reader; returns the bytes requested, and read.
fn read_copied(
    opened: OpenFile<'_>,
    op: op::Read<FolioSegments>,
    to: &mut IovIterDest<'_>,
) -> Result<(usize, usize)> {
    let asked = op.data.len();
    let (result, memory) = opened.call(op);
    let read = result?;
    let mut copied = 0usize;
    while copied < read {
        let Some((given, taken)) = memory.with_bytes(copied, |bytes| {
            let bytes = bytes.first(read - copied);
            (bytes.len(), copy_to_iter(to, bytes))
        }) else {
            break;
        };
        copied = copied.saturating_add(taken);
        if taken < given {
            return Err(EFAULT);
        }
    }
    Ok((asked, copied))
}

/// The lock of an inode that is written directly: shared with other writers or not.
///
/// The fields are dropped in this order: a task that waits for the last parallel write does not
/// hold the lock.
struct WriteLock<'a> {
    /// A parallel write, while it runs.
    parallel: Option<ParallelWrite<'a>>,
    shared: Option<INodeSharedLock<'a, Fuse>>,
    alone: Option<INodeLock<'a, Fuse>>,
    inode: &'a INode<Fuse>,
    /// The position where the write begins, in bytes.
    start: i64,
}

impl<'a> WriteLock<'a> {
    /// Takes the lock in the mode that the server supports, and returns how many bytes may be
    /// written. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of the VFS: `EFBIG` and the like.
    fn take(
        handle: &'a OpenHandle,
        iocb: &mut Kiocb<'_, Fuse>,
        from: &mut IovIterSource<'_>,
    ) -> Result<(Self, usize)> {
        let inode = handle.inode();
        let io_mode = &inode.data().io_mode;
        let beside = handle.writes_in_parallel()
            // An appending writer has to know the end.
            && !iocb.is_append()
            && !io_mode.is_caching()
            && !grows(inode, iocb.pos(), from.len());
        let shared = beside
            .then(|| inode.lock_shared())
            // The size was checked without the lock, and may have changed.
            .filter(|_| !grows(inode, iocb.pos(), from.len()));
        let (alone, count) = match &shared {
            Some(lock) => (None, iocb.shared_write_checks(lock, from)?),
            None => {
                let lock = inode.lock();
                let count = iocb.write_checks(&lock, from)?;
                (Some(lock), count)
            }
        };
        let this = Self {
            parallel: None,
            shared,
            alone,
            inode,
            start: iocb.pos(),
        };
        Ok((this, count))
    }

    /// Whether no other writer has the lock.
    fn is_alone(&self) -> bool {
        self.alone.is_some()
    }

    /// Ends the parallel write for now, so that no task waits for one that cannot continue.
    fn pause(&mut self) {
        self.parallel = None;
    }

    /// Goes on, `done` bytes from the start: in parallel, or exclusively from here on, if a file
    /// may use the page cache. Sleeps.
    fn write_on(&mut self, done: usize) {
        if self.alone.is_some() || self.parallel.is_some() {
            return;
        }
        self.parallel = self.inode.data().io_mode.enter_parallel();
        if self.parallel.is_none() {
            self.shared = None;
            self.alone = Some(self.inode.lock());
            // The file may have become shorter between the locks.
            if let Ok(pos) = advanced(self.start, done) {
                zero_gap(self.inode, pos);
            }
        }
    }
}

/// Whether a write would make the file longer.
fn grows(inode: &INode<Fuse>, pos: i64, len: usize) -> bool {
    advanced(pos, len).map_or(true, |end| end > inode.size())
}

/// Writes a file whose server bypasses the page cache, and moves the position. Sleeps.
///
/// # Errors
///
/// Those of the first request, if that failed: `EFAULT`, `ENOMEM`, the server's error; `EBUSY` if a
/// page of the range is cached and cannot be dropped; `EIOCBQUEUED` if the call completes later.
pub(super) fn write_iter(
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    let handle = iocb.file().data();
    let inode = handle.inode();

    let (mut lock, count) = WriteLock::take(&handle, iocb, from)?;
    if count == 0 {
        return Ok(0);
    }
    account_write(count);
    let start = iocb.pos();
    zero_gap(inode, start);
    let written = if iocb.caller_waits() {
        let result = write(iocb, from, Some(&mut lock));
        let end = result.and_then(|written| advanced(start, written));
        attr_cache::written(inode, end.ok().filter(|end| *end != start));
        result?
    } else {
        write_locked(iocb, from, Some(&mut lock))?
    };
    let end = advanced(start, written)?;
    if end != start {
        iocb.set_pos(end);
        // A read may have cached old pages meanwhile. Pages in use stay: their users see what they
        // saw when they began.
        let _ = inode.invalidate_range(page_of(start), page_of(end - 1));
    }
    Ok(written)
}

/// Writes a file with `O_DIRECT`, or for a caller that does not wait; the caller moves the
/// position. The inode is locked. Sleeps.
///
/// # Errors
///
/// As [`write_iter`].
pub(super) fn direct_write(
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    write_locked(iocb, from, None)
}

/// Writes with the inode locked, by the `lock` of [`write_iter`] or by the VFS. Sleeps.
fn write_locked(
    iocb: &mut Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
    lock: Option<&mut WriteLock<'_>>,
) -> Result<usize> {
    let handle = iocb.file().data();
    let inode = handle.inode();
    let start = iocb.pos();
    let mut grows = grows(inode, start, from.len());

    let result = if handle.mount().conn().features().async_dio {
        prepare_write(&handle, start, from.len()).and_then(|()| {
            match CallerBuffer::of_source(from) {
                Some(buffer) => write_at_once(iocb, buffer, &mut grows, lock),
                None => write_memory(&Writing::new(&handle, iocb), from, lock),
            }
        })
    } else {
        write(iocb, from, lock)
    };
    if result == Err(EIOCBQUEUED) {
        return result;
    }
    let end = match result {
        Ok(written) if written != 0 => Some(advanced(start, written)?),
        _ => None,
    };
    attr_cache::written(inode, end);
    if result.is_err() && grows {
        // Part of it may have been written, behind the end that the caller knows.
        let _ = setattr::truncate_to_size(&handle);
    }
    result
}

/// Writes back and drops cached pages of a range of a file whose server bypasses the page cache:
/// with `O_DIRECT` the VFS does that.
fn prepare_write(handle: &OpenHandle, start: i64, len: usize) -> Result {
    if len != 0 && handle.wants(FopenFlag::DirectIo) {
        write_back(handle, start, len)?;
        let last = advanced(start, len)?.saturating_sub(1);
        handle
            .inode()
            .invalidate_range(page_of(start), page_of(last))?;
    }
    Ok(())
}

/// Writes, one request after the other.
fn write(
    iocb: &Kiocb<'_, Fuse>,
    from: &mut IovIterSource<'_>,
    lock: Option<&mut WriteLock<'_>>,
) -> Result<usize> {
    let handle = iocb.file().data();
    let writing = Writing::new(&handle, iocb);
    prepare_write(&handle, writing.start, from.len())?;
    write_in_turn(&writing, from, lock)
}

/// Writes from the start of the file on, one request after the other; `flags` (`O_*`) are those of
/// the call. Sleeps.
///
/// # Errors
///
/// Those of the first request, if that failed: `EFAULT`, `ENOMEM`, the server's error.
pub(super) fn write_from_start(
    opened: &Opened,
    flags: u32,
    from: &mut IovIterSource<'_>,
) -> Result<usize> {
    let writing = Writing {
        opened,
        start: 0,
        flags,
    };
    write_in_turn(&writing, from, None)
}

fn write_in_turn(
    writing: &Writing<'_>,
    from: &mut IovIterSource<'_>,
    lock: Option<&mut WriteLock<'_>>,
) -> Result<usize> {
    let opened = writing.opened;
    match CallerBuffer::of_source(from) {
        Some(mut buffer) => each(
            opened,
            &mut buffer,
            Writing::max(opened),
            lock,
            |done, pages| {
                let sent = pages.len();
                let (reply, _pages) = opened.mount().call(writing.op(done, sent, pages)?);
                written_of(sent, reply)
            },
        ),
        None => write_memory(writing, from, lock),
    }
}

/// Writes with all requests at once. A caller waits if it wants to, and if the file `grows`, which
/// is possible only after the lock was released and taken again.
fn write_at_once(
    iocb: &mut Kiocb<'_, Fuse>,
    mut buffer: CallerBuffer<'_>,
    grows: &mut bool,
    mut lock: Option<&mut WriteLock<'_>>,
) -> Result<usize> {
    let (start, file) = (iocb.pos(), iocb.file());
    let len = buffer.left();
    let handle = file.data();
    let (inode, mount) = (handle.inode(), handle.mount());

    let absent = if *grows || iocb.caller_waits() {
        None
    } else {
        // Here, because the end must not fail.
        inode.sb().dio_done_queue()?;
        Some(Absent {
            deferred: iocb.defer()?,
            handle: handle.into(),
        })
    };
    let mut waits = absent.is_none();
    let transfer = Transfer::new(true, start, absent)?;
    let writing = Writing::new(&handle, iocb);
    let sent = each(
        &handle,
        &mut buffer,
        Writing::max(&handle),
        lock.as_deref_mut(),
        |done, pages| {
            let len = pages.len();
            let op = writing.op(done, len, pages)?;
            mount.call_background(op, transfer.part(done, len));
            Ok(len)
        },
    );
    if !waits && lock.is_some_and(|lock| lock.is_alone()) && self::grows(inode, start, len) {
        // The file was made shorter while the lock was not held. The return value tells the caller
        // the result.
        drop(transfer.take_absent());
        (*grows, waits) = (true, true);
    }
    transfer.all_sent(sent.err());
    if waits {
        transfer.wait()
    } else {
        attr_cache::data_changed(inode);
        Err(EIOCBQUEUED)
    }
}

/// Writes from memory of the kernel that does not consist of pages.
fn write_memory(
    writing: &Writing<'_>,
    from: &mut IovIterSource<'_>,
    lock: Option<&mut WriteLock<'_>>,
) -> Result<usize> {
    if let Some(lock) = lock {
        // No memory is faulted in.
        lock.write_on(0);
    }
    let opened = writing.opened;
    let features = opened.mount().conn().features();
    let max = (features.max_pages as usize)
        .saturating_mul(PAGE_SIZE)
        .min(Writing::max(opened));
    let mut done = 0usize;
    while !from.is_empty() {
        match write_copied(writing, done, max, from) {
            Ok((sent, written)) => {
                done = done.saturating_add(written);
                if written < sent {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Sends one WRITE with the writer's next data, and advances the writer by what the server took;
/// returns the bytes sent, and written.
fn write_copied(
    writing: &Writing<'_>,
    done: usize,
    max: usize,
    from: &mut IovIterSource<'_>,
) -> Result<(usize, usize)> {
    let mut memory = FolioSegments::alloc_some(from.len().min(max))?;
    let mut taking = Taking::new(from);
    let sent = memory.fill(0, memory.len(), |room| taking.copy(room));
    if sent == 0 {
        return Err(EFAULT);
    }
    memory.truncate(sent);
    let op = writing.op(done, sent, memory)?;
    let (reply, _memory) = writing.opened.mount().call(op);
    let written = written_of(sent, reply)?;
    taking.keep(written);
    Ok((sent, written))
}
