// SPDX-License-Identifier: GPL-2.0

//! FUSE_WRITEBACK_CACHE: writes stay in the page cache, and size and times are the kernel's.

use crate::mockd::*;

crate::tests![
    request,
    adjacent_writes_are_one,
    gap_is_two,
    split_at_max_write,
    split_at_max_pages,
    part_of_a_page_is_read_first,
    page_behind_the_end_is_not_read,
    short_read_does_not_shrink,
    write_is_cached,
    append,
    size_is_the_kernels,
    mtime_is_the_kernels,
    mtime_set_by_the_caller,
    mtime_of_the_same_tick_is_sent,
    write_handle_of_another_file,
    newest_write_handle,
    fsync_waits,
    error_is_told_by_fsync,
    error_is_told_by_close,
    short_reply_is_an_error,
    written_again_before_the_answer,
    late_answer_is_waited_for_by_nobody_else,
    one_of_two_fails,
    failed_pages_are_not_written_again,
    invalidation_writes_first,
    read_past_the_cache_writes_first,
    truncation_waits_for_writes,
    truncation_drops_dirty_pages,
    writes_queue_up_behind_a_truncation,
    truncation_that_fails,
    truncated_by_open,
    chmod_comes_after_writes,
    noflush_flushes,
    fallocate_comes_after_writes,
    server_dies_with_dirty_pages,
    abort_with_dirty_pages,
    dirty_pages_of_an_ended_connection,
    dirty_pages_are_not_dropped_in_silence,
    unanswered_write_of_an_ended_connection,
    killed_in_fsync,
    gap_is_zero,
    write_from_its_own_mapping,
    syncfs_comes_after_writes,
    syncfs_does_not_wait_for_later_writes,
    ctime_of_a_link_is_the_kernels,
];

const MTIME: u32 = 1 << 5;
const SIZE: u32 = 1 << 3;
const MODE: u32 = 1 << 0;
const FH: u32 = 1 << 6;
const LOCKOWNER: u32 = 1 << 9;
const CTIME: u32 = 1 << 10;

fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len)
        .map(|i| (i / 7 + i / 4096) as u8)
        .collect()
}

fn cached() -> Setup {
    Setup::new()
        .flags(init::WRITEBACK_CACHE | init::MAX_PAGES | init::BIG_WRITES)
        .init(|i| i.max_pages = 16)
}

/// The next request that is not about the file's capabilities, which a write takes away.
#[track_caller]
fn next(fs: &Fs) -> Request {
    loop {
        let r = fs.dev().next();
        if r.head.opcode != GETXATTR {
            return r;
        }
        r.err(ENOSYS);
    }
}

/// The next request, which is `opcode`.
#[track_caller]
fn expect(fs: &Fs, opcode: u32) -> Request {
    let r = next(fs);
    assert_eq!(
        r.head.opcode,
        opcode,
        "{} expected, {r:?} came",
        opcode_name(opcode)
    );
    r.node(2)
}

/// WRITE of dirty pages comes for exactly these bytes of the pattern.
#[track_caller]
fn expect_write(fs: &Fs, offset: usize, size: usize) -> Request {
    let r = expect(fs, WRITE);
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!(
        (a.fh, a.offset, a.size as usize, a.write_flags),
        (5, offset as u64, size, WRITE_CACHE),
        "handle, offset, size and flags of WRITE"
    );
    assert!(
        r.body[size_of::<WriteIn>()..] == pattern(offset, size),
        "data of WRITE at {offset}"
    );
    r
}

fn wrote(r: Request, size: usize) {
    r.ok(WriteOut {
        size: size as u32,
        padding: 0,
    });
}

#[track_caller]
fn serve_write(fs: &Fs, offset: usize, size: usize) {
    wrote(expect_write(fs, offset, size), size);
}

/// SETATTR comes that sends the times of the kernel, and nothing else.
#[track_caller]
fn serve_times(fs: &Fs) -> SetattrIn {
    let r = expect(fs, SETATTR);
    let a: SetattrIn = r.arg();
    assert_eq!(
        (a.valid, a.fh),
        (MTIME | CTIME | FH, 5),
        "times of a SETATTR"
    );
    // What the server makes of it is of no interest.
    r.ok(file(2).attr_out());
    a
}

/// Writes the pattern at `offset`.
fn put(f: i32, offset: usize, len: usize) -> Result<usize> {
    lseek(f, offset as i64, libc::SEEK_SET).unwrap();
    write(f, &pattern(offset, len))
}

/// "f" has `size` bytes, and is opened.
fn opened(fs: &Fs, size: u64) {
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, 0);
}

/// The writer comes to its pause, and at most asks for the file's capabilities before.
#[track_caller]
fn paused<T: Ship>(fs: &Fs, c: &Caller<T>) {
    while !fs.dev().readable() && c.running() {
        sleep_ms(1);
    }
    if fs.dev().readable() {
        fs.expect(GETXATTR).err(ENOSYS);
    }
    c.paused();
}

/// FLUSH and RELEASE come, and nothing before.
#[track_caller]
fn closed(fs: &Fs) {
    fs.flush_and_release(2, 5);
}

/// The WRITE comes when the file is closed, with FUSE_WRITE_CACHE and nobody's ids; then the times, then FLUSH.
fn request() {
    let fs = cached().option("allow_other").start();
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        become_user(1000, 1000);
        let written = put(f, 0, 4096);
        m.pause();
        written
    });
    opened(&fs, 0);
    paused(&fs, &c);
    fs.quiet();
    c.go();
    let r = expect_write(&fs, 0, 4096);
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.lock_owner, a.flags, a.padding), (0, 0, 0));
    assert_eq!((r.head.uid, r.head.gid), (0, 0));
    wrote(r, 4096);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(4096));
}

/// Adjacent pages of several write(2)s are one WRITE, whatever their order was.
fn adjacent_writes_are_one() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        put(f, 8192, 4000).unwrap();
        put(f, 4096, 4096).unwrap();
    });
    opened(&fs, 0);
    serve_write(&fs, 0, 12192);
    serve_times(&fs);
    closed(&fs);
    c.wait();
}

/// Pages that are not adjacent are two WRITEs, and both are with the server at once.
fn gap_is_two() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        put(f, 8192, 4096).unwrap();
    });
    opened(&fs, 0);
    let first = expect_write(&fs, 0, 4096);
    let second = expect_write(&fs, 8192, 4096);
    wrote(second, 4096);
    wrote(first, 4096);
    serve_times(&fs);
    closed(&fs);
    c.wait();
}

/// No WRITE has more data than max_write.
fn split_at_max_write() {
    let fs = cached().init(|i| i.max_write = 8192).start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| put(f, 0, 20000));
    opened(&fs, 0);
    serve_write(&fs, 0, 8192);
    serve_write(&fs, 8192, 8192);
    serve_write(&fs, 16384, 3616);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(20000));
}

/// No WRITE has more pages than max_pages.
fn split_at_max_pages() {
    let fs = cached().init(|i| i.max_pages = 2).start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| put(f, 0, 16384));
    opened(&fs, 0);
    serve_write(&fs, 0, 8192);
    serve_write(&fs, 8192, 8192);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(16384));
}

/// What a write leaves of a page is read first, by the writer's handle, and goes with the WRITE.
fn part_of_a_page_is_read_first() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| put(f, 100, 50));
    opened(&fs, 4096);
    let r = expect(&fs, READ);
    let a: ReadIn = r.arg();
    assert_eq!((a.fh, a.offset, a.size), (5, 0, 4096));
    r.reply(&[9; 4096]);
    let r = expect(&fs, WRITE);
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (0, 4096));
    let mut now = vec![9; 4096];
    now[100..150].copy_from_slice(&pattern(100, 50));
    assert!(r.body[size_of::<WriteIn>()..] == now);
    wrote(r, 4096);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(50));
}

/// A page behind the end of the file is not read, and what is not written of it is zero.
fn page_behind_the_end_is_not_read() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| put(f, 4096 + 10, 20));
    opened(&fs, 4096);
    let r = expect(&fs, WRITE);
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (4096, 30));
    let data = &r.body[size_of::<WriteIn>()..];
    assert!(data[..10] == [0; 10] && data[10..] == pattern(4106, 20));
    wrote(r, 30);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(20));
}

/// A READ that ends early does not shorten the file: what is behind may not be with the server yet.
fn short_read_does_not_shrink() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        let written = put(f, 100, 50);
        (written, fstat(f).map(|s| s.size))
    });
    opened(&fs, 4096);
    expect(&fs, READ).reply(&[9; 10]);
    let r = expect(&fs, WRITE);
    let mut now = vec![0; 4096];
    now[..10].fill(9);
    now[100..150].copy_from_slice(&pattern(100, 50));
    assert!(r.body[size_of::<WriteIn>()..] == now);
    wrote(r, 4096);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), (Ok(50), Ok(4096)));
}

/// What was written is read from the cache.
fn write_is_cached() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 5000).unwrap();
        pread(f, 5000, 0).unwrap() == pattern(0, 5000)
    });
    opened(&fs, 0);
    serve_write(&fs, 0, 5000);
    serve_times(&fs);
    closed(&fs);
    assert!(c.wait());
}

/// O_APPEND writes to where the file ends for the kernel.
fn append() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR | libc::O_APPEND, |_, f| {
        write(f, &pattern(4096, 4096)).unwrap();
        write(f, &pattern(8192, 100)).unwrap();
        lseek(f, 0, libc::SEEK_CUR)
    });
    opened(&fs, 4096);
    serve_write(&fs, 4096, 4196);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(8292));
}

/// The server's word on the size is not taken: not by GETATTR, not by LOOKUP.
fn size_is_the_kernels() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        put(f, 0, 8192).unwrap();
        let by_handle = fstat(f).map(|s| s.size);
        let by_name = m.stat("f").map(|s| s.size);
        (by_handle, by_name)
    });
    // Attributes and names are never believed.
    fs.lookup(
        ROOT,
        "f",
        file(2).size(100).attr_valid(0, 0).entry_valid(0, 0),
    );
    fs.open(2, 5, 0);
    let stale = file(2).size(100).attr_valid(0, 0).entry_valid(0, 0);
    expect(&fs, GETATTR).ok(stale.attr_out());
    expect(&fs, GETATTR).ok(stale.attr_out());
    let r = next(&fs);
    assert_eq!(r.head.opcode, LOOKUP);
    r.ok(stale.entry());
    expect(&fs, GETATTR).ok(stale.attr_out());
    serve_write(&fs, 0, 8192);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), (Ok(8192), Ok(8192)));
}

/// The times of a write are the kernel's: stat shows them, GETATTR does not change them, SETATTR sends them.
fn mtime_is_the_kernels() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        let now = fstat(f).unwrap();
        (now.mtime[0], now.mtime[1])
    });
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0).with(|a| a.mtime = 1000));
    fs.open(2, 5, 0);
    let old = file(2).attr_valid(0, 0).with(|a| a.mtime = 1000);
    expect(&fs, GETATTR).ok(old.attr_out());
    expect(&fs, GETATTR).ok(old.attr_out());
    serve_write(&fs, 0, 4096);
    let sent = serve_times(&fs);
    closed(&fs);
    let (sec, nsec) = c.wait();
    assert!(sec > 1_000_000, "mtime is of now: {sec}");
    assert_eq!((sent.mtime, sent.mtimensec), (sec as u64, nsec as u32));
    assert_eq!((sent.ctime, sent.ctimensec), (sent.mtime, sent.mtimensec));
}

/// A time that the caller sets comes after the writes, and stays.
fn mtime_set_by_the_caller() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        let times = [5i64, 0, 6, 0];
        // SAFETY: two timespecs.
        let set = unsafe { libc::futimens(f, times.as_ptr().cast()) };
        (set, fstat(f).map(|s| s.mtime[0]))
    });
    opened(&fs, 0);
    serve_write(&fs, 0, 4096);
    serve_times(&fs);
    let r = expect(&fs, SETATTR);
    let a: SetattrIn = r.arg();
    assert_eq!(a.valid & (MTIME | CTIME), MTIME | CTIME);
    assert_eq!((a.mtime, a.mtimensec), (6, 0));
    r.ok(file(2).size(0).with(|a| a.mtime = 77).attr_out());
    closed(&fs);
    assert_eq!(c.wait(), (0, Ok(6)));
}

/// A write that leaves the times as they are, because the clock has not moved on, has them sent all the same: the
/// server's own are those of its write.
fn mtime_of_the_same_tick_is_sent() {
    skip_on_c("a write in the tick of the last change leaves the server with a time of its own");
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        let hit = (0..1000).any(|_| {
            // SAFETY: no times, so that both become now.
            assert_eq!(unsafe { libc::futimens(f, std::ptr::null()) }, 0);
            let before = fstat(f).unwrap().mtime;
            put(f, 0, 4096).unwrap();
            let hit = fstat(f).unwrap().mtime == before;
            if !hit {
                fsync(f).unwrap();
            }
            hit
        });
        m.pause();
        (hit, fsync(f))
    });
    opened(&fs, 4096);
    while c.running() {
        let Some(r) = fs.dev().next_within(1) else {
            continue;
        };
        match r.head.opcode {
            SETATTR | GETATTR => r.ok(file(2).size(4096).attr_out()),
            WRITE => wrote(r, 4096),
            FSYNC => r.reply(&[]),
            GETXATTR => r.err(ENOSYS),
            other => panic!("{} came", opcode_name(other)),
        }
    }
    c.paused();
    c.go();
    serve_write(&fs, 0, 4096);
    serve_times(&fs);
    expect(&fs, FSYNC).reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), (true, Ok(())), "(a write hit its tick, fsync)");
}

/// The data of a file is written through a handle that may write, also if a reader asks for it.
fn write_handle_of_another_file() {
    let fs = cached().start();
    let writer = with_open(&fs, libc::O_RDWR, |m, f| {
        put(f, 0, 4096).unwrap();
        m.pause();
    });
    opened(&fs, 0);
    paused(&fs, &writer);
    let reader = fs.call(|m| {
        let f = m.open("f").unwrap();
        let synced = fsync(f);
        close(f).unwrap();
        synced
    });
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    serve_write(&fs, 0, 4096);
    serve_times(&fs);
    let r = expect(&fs, FSYNC);
    assert_eq!(r.arg::<FsyncIn>().fh, 6);
    r.reply(&[]);
    fs.flush_and_release(2, 6);
    assert_eq!(reader.wait(), Ok(()));
    writer.go();
    closed(&fs);
    writer.wait();
}

/// Of several handles that may write, one that is open is used.
fn newest_write_handle() {
    let fs = cached().start();
    let c = fs.call(|m| {
        let first = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let second = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        close(second).unwrap();
        put(first, 0, 4096).unwrap();
        close(first).unwrap();
    });
    opened(&fs, 0);
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    fs.flush_and_release(2, 6);
    serve_write(&fs, 0, 4096);
    serve_times(&fs);
    closed(&fs);
    c.wait();
}

/// fsync(2) waits for the WRITEs, then the times, then FSYNC.
fn fsync_waits() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        fsync(f)
    });
    opened(&fs, 0);
    let r = expect_write(&fs, 0, 4096);
    c.stays_asleep();
    fs.quiet();
    wrote(r, 4096);
    serve_times(&fs);
    expect(&fs, FSYNC).reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
}

/// A WRITE that fails is told by the next fsync(2) of each open file, once.
fn error_is_told_by_fsync() {
    let fs = cached().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let other = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 4096).unwrap();
        let told = (fsync(f), fsync(f), fsync(other));
        let _ = close(other);
        let _ = close(f);
        told
    });
    opened(&fs, 0);
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    let r = expect(&fs, WRITE);
    r.err(ENOSPC);
    let r = expect(&fs, SETATTR);
    r.ok(file(2).attr_out());
    expect(&fs, FSYNC).reply(&[]);
    fs.flush_and_release(2, 6);
    closed(&fs);
    assert_eq!(c.wait(), (Err(ENOSPC), Ok(()), Err(ENOSPC)));
}

/// A WRITE that fails while the file is closed is what close(2) fails with.
fn error_is_told_by_close() {
    let fs = cached().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 4096).unwrap();
        close(f)
    });
    opened(&fs, 0);
    expect_write(&fs, 0, 4096).err(ENOSPC);
    // No FLUSH for what is not written.
    let r = next(&fs);
    if r.head.opcode == SETATTR {
        r.ok(file(2).attr_out());
        fs.release(2, 5);
    } else {
        assert_eq!(r.head.opcode, RELEASE, "{r:?} came");
        r.reply(&[]);
    }
    assert_eq!(c.wait(), Err(ENOSPC));
}

/// A server that takes less than it was sent has lost data: fsync(2) says so.
fn short_reply_is_an_error() {
    skip_on_c("a short reply to a WRITE of dirty pages counts as success");
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 8192).unwrap();
        fsync(f)
    });
    opened(&fs, 0);
    wrote(expect_write(&fs, 0, 8192), 100);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Err(EIO));
}

/// A page can be written again while its WRITE is with the server, and is sent again afterwards.
fn written_again_before_the_answer() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        pwrite(f, &[1; 4096], 0).unwrap();
        // SAFETY: no memory involved.
        unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        m.pause();
        pwrite(f, &[2; 4096], 0).unwrap();
        let seen = pread(f, 1, 0);
        m.pause();
        seen
    });
    opened(&fs, 0);
    let first = expect(&fs, WRITE);
    assert!(first.body[size_of::<WriteIn>()..].iter().all(|b| *b == 1));
    c.paused();
    c.go();
    c.paused();
    fs.quiet();
    wrote(first, 4096);
    c.go();
    let second = expect(&fs, WRITE);
    assert!(second.body[size_of::<WriteIn>()..].iter().all(|b| *b == 2));
    wrote(second, 4096);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(vec![2]));
}

/// While a WRITE is with the server, other pages are written, read and sent; only fsync(2) waits for all.
fn late_answer_is_waited_for_by_nobody_else() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        put(f, 0, 4096).unwrap();
        // SAFETY: no memory involved.
        unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        put(f, 40960, 4096).unwrap();
        let seen = (pread(f, 1, 0), pread(f, 1, 40960));
        m.pause();
        (seen, fsync(f))
    });
    opened(&fs, 0);
    let late = expect_write(&fs, 0, 4096);
    paused(&fs, &c);
    c.go();
    serve_write(&fs, 40960, 4096);
    c.stays_asleep();
    fs.quiet();
    wrote(late, 4096);
    serve_times(&fs);
    expect(&fs, FSYNC).reply(&[]);
    closed(&fs);
    let first = |at| Ok(pattern(at, 1));
    assert_eq!(c.wait(), ((first(0), first(40960)), Ok(())));
}

/// If one of two WRITEs fails, fsync(2) fails, whichever is answered first.
fn one_of_two_fails() {
    for failed_first in [false, true] {
        let fs = cached().start();
        let c = with_open(&fs, libc::O_RDWR, |_, f| {
            put(f, 0, 4096).unwrap();
            put(f, 40960, 4096).unwrap();
            (fsync(f), fsync(f))
        });
        opened(&fs, 0);
        let a = expect_write(&fs, 0, 4096);
        let b = expect_write(&fs, 40960, 4096);
        if failed_first {
            a.err(ENOSPC);
            wrote(b, 4096);
        } else {
            wrote(b, 4096);
            a.err(ENOSPC);
        }
        // The first fsync(2) goes no further.
        serve_times(&fs);
        expect(&fs, FSYNC).reply(&[]);
        closed(&fs);
        assert_eq!(c.wait(), (Err(ENOSPC), Ok(())));
    }
}

/// What could not be written is still what a read sees, but is not sent again until it is written to again.
fn failed_pages_are_not_written_again() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        let told = fsync(f);
        let seen = pread(f, 8, 0).map(|b| b == pattern(0, 8));
        let again = fsync(f);
        put(f, 0, 10).unwrap();
        ((told, again, fsync(f)), seen)
    });
    opened(&fs, 0);
    expect_write(&fs, 0, 4096).err(ODD);
    serve_times(&fs);
    expect(&fs, FSYNC).reply(&[]);
    serve_write(&fs, 0, 4096);
    // The times may be the same as before.
    let mut r = next(&fs);
    if r.head.opcode == SETATTR {
        r.ok(file(2).attr_out());
        r = next(&fs);
    }
    assert_eq!(r.head.opcode, FSYNC, "{r:?} came");
    r.reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), ((Err(ODD), Ok(()), Ok(())), Ok(true)));
}

/// INVAL_INODE of a range with dirty pages has them written. In C it comes back when the server has them.
fn invalidation_writes_first() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        put(f, 0, 4096).unwrap();
        m.pause();
        pread(f, 1, 0)
    });
    opened(&fs, 0);
    paused(&fs, &c);
    // Another thread of the server.
    let device = fs.dev().dup();
    let notifier = Caller::start_with_devices(&fs.dir, move |_| {
        let body = [2u64.to_ne_bytes(), 0i64.to_ne_bytes(), 0i64.to_ne_bytes()].concat();
        use crate::mockd::notice::INVAL_INODE;
        device.reply(0, INVAL_INODE, &body)
    });
    let r = expect_write(&fs, 0, 4096);
    if is_rust() {
        assert_eq!(notifier.wait(), Ok(()));
        wrote(r, 4096);
    } else {
        notifier.stays_asleep();
        wrote(r, 4096);
        assert_eq!(notifier.wait(), Ok(()));
    }
    c.go();
    // The page is gone. Who is to read it may ask for the attributes before, which are stale.
    let mut r = next(&fs);
    while r.head.opcode != READ {
        assert!(matches!(r.head.opcode, GETATTR | SETATTR), "{r:?} came");
        r.ok(file(2).size(4096).attr_out());
        r = next(&fs);
    }
    r.reply(&[9; 4096]);
    let mut r = next(&fs);
    if r.head.opcode == SETATTR {
        r.ok(file(2).size(4096).attr_out());
        r = next(&fs);
    }
    assert_eq!(r.head.opcode, FLUSH, "{r:?} came");
    r.reply(&[]);
    fs.release(2, 5);
    assert_eq!(c.wait(), Ok(vec![9]));
}

/// A read past the cache has what is dirty of its range written before.
fn read_past_the_cache_writes_first() {
    for (open, fopen) in [(libc::O_DIRECT, FOPEN_KEEP_CACHE), (0, FOPEN_DIRECT_IO)] {
        let fs = cached().start();
        let c = with_open(&fs, libc::O_RDWR, |m, f| {
            put(f, 0, 4096).unwrap();
            let g = sys::open(&m.path("f"), libc::O_RDONLY | open).unwrap();
            let seen = pread(g, 4096, 0).map(|b| b == [9; 4096]);
            close(g).unwrap();
            seen
        });
        opened(&fs, 0);
        let mut r = next(&fs);
        assert_eq!(r.head.opcode, OPEN, "{r:?} came");
        r.ok(OpenOut {
            fh: 6,
            open_flags: fopen | FOPEN_KEEP_CACHE,
            backing_id: 0,
        });
        serve_write(&fs, 0, 4096);
        r = next(&fs);
        while r.head.opcode != READ {
            assert!(matches!(r.head.opcode, GETATTR | SETATTR), "{r:?} came");
            r.ok(file(2).size(4096).attr_out());
            r = next(&fs);
        }
        assert_eq!(r.arg::<ReadIn>().fh, 6);
        r.reply(&[9; 4096]);
        let mut released = 0;
        while released < 2 {
            let r = next(&fs);
            match r.head.opcode {
                SETATTR => r.ok(file(2).size(4096).attr_out()),
                FLUSH => r.reply(&[]),
                RELEASE => {
                    released += 1;
                    r.reply(&[]);
                }
                _ => panic!("{r:?} came"),
            }
        }
        assert_eq!(c.wait(), Ok(true));
    }
}

/// A SETATTR that changes the size comes when no WRITE is with the server.
fn truncation_waits_for_writes() {
    let fs = cached().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 8192).unwrap();
        m.pause();
        let truncated = ftruncate(f, 4096);
        close(f).unwrap();
        truncated
    });
    opened(&fs, 0);
    paused(&fs, &c);
    // The pages are sent off by somebody who does not hold the inode's lock meanwhile.
    let starter = fs.call(|m| {
        let f = m.open("f").unwrap();
        // SAFETY: no memory involved.
        let started = unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        m.pause();
        close(f).unwrap();
        started
    });
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    let r = expect_write(&fs, 0, 8192);
    starter.paused();
    c.go();
    c.stays_asleep();
    fs.quiet();
    wrote(r, 8192);
    let r = expect(&fs, SETATTR);
    let a: SetattrIn = r.arg();
    assert_eq!(a.valid, SIZE | FH | LOCKOWNER | MTIME | CTIME);
    assert_eq!(a.size, 4096);
    r.ok(file(2).size(4096).attr_out());
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
    starter.go();
    fs.flush_and_release(2, 6);
    assert_eq!(starter.wait(), 0);
}

/// Dirty pages behind the new end are never written, and those before it only as far as the file goes.
fn truncation_drops_dirty_pages() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 12288).unwrap();
        (ftruncate(f, 100), fstat(f).map(|s| s.size))
    });
    opened(&fs, 0);
    let r = expect(&fs, SETATTR);
    assert_eq!(r.arg::<SetattrIn>().size, 100);
    r.ok(file(2).size(100).attr_out());
    serve_write(&fs, 0, 100);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), (Ok(()), Ok(100)));
}

/// Dirty pages that are to be written while the size changes wait, and go as far as the new size.
fn writes_queue_up_behind_a_truncation() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 8192).unwrap();
        ftruncate(f, 5000)
    });
    opened(&fs, 0);
    let truncation = expect(&fs, SETATTR);
    let starter = fs.call(|m| {
        let f = m.open("f").unwrap();
        // SAFETY: no memory involved.
        let started = unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        m.pause();
        close(f).unwrap();
        started
    });
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    starter.paused();
    fs.quiet();
    truncation.ok(file(2).size(5000).attr_out());
    serve_write(&fs, 0, 5000);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
    starter.go();
    fs.flush_and_release(2, 6);
    assert_eq!(starter.wait(), 0);
}

/// A truncation that the server refuses leaves everything as it was.
fn truncation_that_fails() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 8192).unwrap();
        (ftruncate(f, 100), fstat(f).map(|s| s.size))
    });
    opened(&fs, 0);
    expect(&fs, SETATTR).err(ODD);
    serve_write(&fs, 0, 8192);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), (Err(ODD), Ok(8192)));
}

/// Dirty pages of a file that OPEN truncates are not written.
fn truncated_by_open() {
    let fs = cached().flags(init::ATOMIC_O_TRUNC).start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 8192).unwrap();
        let again = sys::open(&m.path("f"), libc::O_RDWR | libc::O_TRUNC).unwrap();
        let size = fstat(f).map(|s| s.size);
        close(f).unwrap();
        close(again).unwrap();
        size
    });
    opened(&fs, 0);
    let r = expect(&fs, OPEN);
    assert_ne!(r.arg::<OpenIn>().flags as i32 & libc::O_TRUNC, 0);
    r.ok(OpenOut {
        fh: 6,
        ..Default::default()
    });
    expect_any_getattr_then_times(&fs);
    fs.flush_and_release(2, 5);
    fs.flush_and_release(2, 6);
    assert_eq!(c.wait(), Ok(0));
}

/// GETATTR may come for what is not the kernel's; then SETATTR comes with the times.
#[track_caller]
fn expect_any_getattr_then_times(fs: &Fs) {
    let mut r = next(fs);
    if r.head.opcode == GETATTR {
        r.ok(file(2).attr_out());
        r = next(fs);
    }
    assert_eq!(r.head.opcode, SETATTR, "{r:?} came");
    assert_eq!(r.arg::<SetattrIn>().valid, MTIME | CTIME | FH);
    r.ok(file(2).attr_out());
}

/// A change of the mode comes after the data and the times.
fn chmod_comes_after_writes() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        fchmod(f, 0o600)
    });
    opened(&fs, 0);
    serve_write(&fs, 0, 4096);
    serve_times(&fs);
    let r = expect(&fs, SETATTR);
    let a: SetattrIn = r.arg();
    assert_eq!(a.valid & (MODE | SIZE), MODE);
    assert_eq!(a.mode & 0o7777, 0o600);
    r.ok(file(2).perm(0o600).attr_out());
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
}

/// FOPEN_NOFLUSH does not keep dirty pages from being written at close, nor FLUSH.
fn noflush_flushes() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| put(f, 0, 4096));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FOPEN_NOFLUSH);
    serve_write(&fs, 0, 4096);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(4096));
}

/// FALLOCATE that punches a hole comes after the data behind it.
fn fallocate_comes_after_writes() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 8192).unwrap();
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: no memory involved.
        unsafe { libc::fallocate(f, mode, 0, 4096) }
    });
    opened(&fs, 0);
    serve_write(&fs, 0, 8192);
    expect(&fs, FALLOCATE).reply(&[]);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), 0);
}

/// When the server dies nobody waits for dirty pages any more, and fsync(2) tells of them.
fn server_dies_with_dirty_pages() {
    let mut fs = cached().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 8192).unwrap();
        put(f, 40960, 8192).unwrap();
        let synced = fsync(f);
        let _ = close(f);
        synced
    });
    opened(&fs, 0);
    let r = expect_write(&fs, 0, 8192);
    // It keeps the device open.
    drop(r);
    fs.die();
    assert!(c.wait().is_err());
}

/// A forced unmount ends the WRITEs that are with the server, and those who wait for them.
fn abort_with_dirty_pages() {
    let mut fs = cached().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 8192).unwrap();
        let synced = fsync(f);
        let _ = close(f);
        synced
    });
    opened(&fs, 0);
    let _r = expect_write(&fs, 0, 8192);
    fs.force_unmount();
    assert!(c.wait().is_err());
}

/// What is dirty when the connection has ended is lost, and close(2) and fsync(2) say ENOTCONN.
fn dirty_pages_of_an_ended_connection() {
    for dies in [true, false] {
        for syncs in [true, false] {
            let mut fs = cached().start();
            let c = fs.call(|m| {
                let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
                put(f, 0, 8192).unwrap();
                m.pause();
                let synced = if syncs { fsync(f) } else { Ok(()) };
                (synced, close(f))
            });
            opened(&fs, 0);
            paused(&fs, &c);
            if dies {
                fs.die();
            } else {
                fs.force_unmount();
            }
            c.go();
            let synced = if syncs { Err(ENOTCONN) } else { Ok(()) };
            assert_eq!(c.wait(), (synced, Err(ENOTCONN)), "{dies} {syncs}");
        }
    }
}

/// That is told by whatever asks, also if it needs no server for that.
fn dirty_pages_are_not_dropped_in_silence() {
    skip_on_c("what is dirty when the connection has ended is dropped without a word");
    let mut fs = cached().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        put(f, 0, 8192).unwrap();
        m.pause();
        (sync_range(f), close(f))
    });
    opened(&fs, 0);
    paused(&fs, &c);
    fs.die();
    c.go();
    assert_eq!(c.wait(), (Err(ENOTCONN), Err(ENOTCONN)));
}

/// What the server has not answered when it ends is told as ECONNABORTED by fsync(2), and as EIO by close(2).
fn unanswered_write_of_an_ended_connection() {
    for dies in [true, false] {
        for syncs in [true, false] {
            let mut fs = cached().start();
            let c = fs.call(|m| {
                let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
                put(f, 0, 8192).unwrap();
                let synced = if syncs { fsync(f) } else { Ok(()) };
                (synced, close(f))
            });
            opened(&fs, 0);
            let r = expect_write(&fs, 0, 8192);
            c.until_asleep();
            if dies {
                // It keeps the device open.
                drop(r);
                fs.die();
            } else {
                fs.force_unmount();
            }
            let told = if syncs {
                (Err(ECONNABORTED), Err(ENOTCONN))
            } else {
                (Ok(()), Err(EIO))
            };
            let mut seen = c.wait();
            if dies && syncs && !is_rust() && seen.1 == Err(ECONNABORTED) {
                // C ends what the server has read before the connection: FLUSH may still be queued between the two, and
                // is ended with that.
                seen.1 = Err(ENOTCONN);
            }
            assert_eq!(seen, told, "{dies} {syncs}");
        }
    }
}

/// Who is killed while the server writes waits for it, and the data is not lost.
fn killed_in_fsync() {
    let fs = cached().start();
    let mut c = with_open(&fs, libc::O_RDWR, |_, f| {
        put(f, 0, 4096).unwrap();
        fsync(f)
    });
    opened(&fs, 0);
    let r = expect_write(&fs, 0, 4096);
    c.until_asleep();
    c.signal(libc::SIGKILL);
    c.stays_asleep();
    wrote(r, 4096);
    // A dying caller sends no FSYNC, but closes its file.
    loop {
        let r = next(&fs);
        match r.head.opcode {
            SETATTR => r.ok(file(2).attr_out()),
            FSYNC => r.reply(&[]),
            FLUSH => r.reply(&[]),
            RELEASE => {
                r.reply(&[]);
                break;
            }
            INTERRUPT => (),
            _ => panic!("unexpected request: {r:?}"),
        }
    }
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// What was stored behind the end is gone when a write makes the file longer.
fn gap_is_zero() {
    skip_on_c("a write with a gap behind the end uncovers what was stored there");
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(200, b"out");
        put(f, 300, 10).unwrap();
        let seen = map.load(200, 3);
        map.unmap();
        seen
    });
    opened(&fs, 100);
    expect(&fs, READ).reply(&[7; 100]);
    let r = expect(&fs, WRITE);
    let data = &r.body[size_of::<WriteIn>()..];
    assert!(data[..100] == [7; 100] && data[100..300] == [0; 200]);
    assert!(data[300..] == pattern(300, 10));
    wrote(r, 310);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), vec![0; 3]);
}

/// A write whose source is a mapping of the very page that it writes to ends.
fn write_from_its_own_mapping() {
    let fs = cached().start();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        let map = Map::new(f, 4096, libc::PROT_READ, libc::MAP_SHARED).unwrap();
        lseek(f, 1000, libc::SEEK_SET).unwrap();
        let written = map.write_to(f, 0, 100);
        map.unmap();
        written
    });
    opened(&fs, 4096);
    expect(&fs, READ).reply(&[7; 4096]);
    let r = expect(&fs, WRITE);
    assert!(r.body[size_of::<WriteIn>()..] == [7; 4096]);
    wrote(r, 4096);
    serve_times(&fs);
    closed(&fs);
    assert_eq!(c.wait(), Ok(100));
}

/// Writes a page, and has it sent.
fn put_and_send(f: i32) {
    put(f, 0, 4096).unwrap();
    // SAFETY: no memory involved.
    unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

/// A process calls syncfs(2) while a WRITE of "f" is with the server, does `meanwhile`, and answers that WRITE. Then
/// comes SYNCFS.
fn syncfs_after_a_write<T>(meanwhile: impl FnOnce(&Fs) -> T, end: impl FnOnce(&Fs, T)) {
    let image = format!("{PLACE}/image");
    std::fs::write(&image, vec![0; 1 << 20]).unwrap();
    let (device, keep) = loop_device(&image).unwrap();
    let mut fs = cached().on_block_device(&device).start();
    drop(keep);
    let c = with_open(&fs, libc::O_RDWR, |m, f| {
        put_and_send(f);
        m.pause();
        syncfs(f)
    });
    opened(&fs, 0);
    let r = expect_write(&fs, 0, 4096);
    c.paused();
    c.go();
    serve_times(&fs);
    c.stays_asleep();
    fs.quiet();
    let held = meanwhile(&fs);
    wrote(r, 4096);
    fs.expect(SYNCFS).node(ROOT).reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
    end(&fs, held);
    let unmount = Caller::start(&fs.dir, |m| sys::umount(&m.path(""), 0));
    fs.expect(DESTROY).reply(&[]);
    assert_eq!(unmount.wait(), Ok(()));
    fs.unmounted();
}

/// SYNCFS, which file systems on block devices get, comes when the WRITEs that began before it are answered.
fn syncfs_comes_after_writes() {
    syncfs_after_a_write(|_| (), |_, ()| ());
}

/// It does not wait for those that began since.
fn syncfs_does_not_wait_for_later_writes() {
    let later = |fs: &Fs| {
        let c = fs.call(|m| {
            let g = sys::open(&m.path("g"), libc::O_RDWR).unwrap();
            put_and_send(g);
            m.pause();
            close(g).unwrap();
        });
        fs.lookup(ROOT, "g", file(3));
        fs.open(3, 6, 0);
        let r = next(fs).node(3);
        assert_eq!(r.head.opcode, WRITE, "WRITE expected, {r:?} came");
        c.paused();
        (c, r)
    };
    syncfs_after_a_write(later, |fs, (c, r)| {
        c.go();
        c.stays_asleep();
        wrote(r, 4096);
        let r = next(fs).node(3);
        assert_eq!(r.head.opcode, SETATTR, "SETATTR expected, {r:?} came");
        r.ok(file(3).attr_out());
        fs.flush_and_release(3, 6);
        c.wait();
    });
}

/// A link changes the ctime of the file, which is the kernel's: it is now, whatever LINK answers, and is sent.
fn ctime_of_a_link_is_the_kernels() {
    let fs = cached().start();
    let c = fs.call(|m| {
        link(&m.path("f"), &m.path("g")).unwrap();
        let now = m.stat("f").unwrap();
        (now.ctime[0], now.ctime[1])
    });
    let old = || file(2).with(|a| (a.ctime, a.mtime) = (1000, 500));
    fs.lookup(ROOT, "f", old());
    fs.expect_lookup(ROOT, "g").ok(absent(0, 0));
    fs.expect(LINK).node(ROOT).ok(old().entry());
    let r = fs.expect(SETATTR).node(2);
    let sent: SetattrIn = r.arg();
    assert_eq!(sent.valid & (MTIME | CTIME), MTIME | CTIME);
    r.ok(old().attr_out());
    let (sec, nsec) = c.wait();
    assert!(sec > 1_000_000, "ctime is of now: {sec}");
    assert_eq!((sent.ctime, sent.ctimensec), (sec as u64, nsec as u32));
    assert_eq!(sent.mtime, 500);
}
