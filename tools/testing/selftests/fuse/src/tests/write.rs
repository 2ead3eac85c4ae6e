// SPDX-License-Identifier: GPL-2.0

//! WRITE and FSYNC: through the page cache, and past it.

use crate::mockd::*;
use std::os::fd::AsRawFd;

crate::tests![
    request,
    page_by_page_without_big_writes,
    big_writes,
    split_at_max_write,
    split_at_max_pages,
    append,
    synchronous,
    full_pages_are_cached,
    part_of_a_page_is_not_cached,
    part_of_a_cached_page,
    partial_page_is_locked_until_written,
    grows_the_file,
    makes_attributes_stale,
    short_reply,
    short_reply_after_data,
    too_large_reply,
    error_is_passed_on,
    error_after_data,
    bad_memory,
    splice_into_the_file,
    direct_request,
    direct_is_split_at_max_write,
    direct_short_reply,
    direct_too_large_reply,
    direct_drops_what_is_cached,
    o_direct,
    fsync_request,
    fdatasync_request,
    fsync_error,
];

fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len)
        .map(|i| (i / 7 + i / 4096) as u8)
        .collect()
}

/// The next request, which is WRITE: its structure, its data, and itself.
///
/// Before the first one the VFS may look for capabilities of the file.
#[track_caller]
fn next_write(fs: &Fs) -> (WriteIn, Vec<u8>, Request) {
    let mut r = fs.dev().next();
    if r.head.opcode == GETXATTR {
        r.err(ENOSYS);
        r = fs.dev().next();
    }
    assert_eq!(r.head.opcode, WRITE, "WRITE expected, {r:?} came");
    let r = r.node(2);
    let a = WriteIn::from_bytes(&r.body);
    let data = r.body[size_of::<WriteIn>()..].to_vec();
    assert_eq!(
        data.len(),
        a.size as usize,
        "WRITE has as much data as it says"
    );
    (a, data, r)
}

/// WRITE comes for exactly these bytes of the pattern.
#[track_caller]
fn expect_write(fs: &Fs, offset: usize, size: usize) -> Request {
    let (a, data, r) = next_write(fs);
    assert_eq!(
        (a.fh, a.offset, a.size as usize),
        (5, offset as u64, size),
        "handle, offset and size of WRITE"
    );
    assert!(data == pattern(offset, size), "data of WRITE at {offset}");
    r
}

fn wrote(r: Request, size: usize) {
    r.ok(WriteOut {
        size: size as u32,
        padding: 0,
    });
}

/// WRITE comes for exactly these bytes of the pattern, and is answered.
#[track_caller]
fn serve_write(fs: &Fs, offset: usize, size: usize) {
    wrote(expect_write(fs, offset, size), size);
}

/// Opens "f" with these flags, runs `with` on the descriptor, and closes.
fn with_open<T: Ship>(fs: &Fs, flags: i32, with: impl FnOnce(i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = sys::open(&m.path("f"), flags).unwrap();
        let t = with(f);
        close(f).unwrap();
        t
    })
}

/// Writes the pattern at `offset`.
fn put(f: i32, offset: usize, len: usize) -> Result<usize> {
    lseek(f, offset as i64, libc::SEEK_SET).unwrap();
    write(f, &pattern(offset, len))
}

fn big() -> Setup {
    Setup::new().flags(init::BIG_WRITES)
}

/// The file is found with `size` bytes, and opened.
fn opened(fs: &Fs, size: u64, fopen: u32) {
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, fopen);
}

/// WRITE carries handle, offset, size, open flags and the data, and no lock owner when it goes through the page cache.
fn request() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_RDWR, |f| put(f, 5, 10));
    fs.lookup(ROOT, "f", file(2).size(100));
    let r = fs.expect(OPEN);
    let flags = r.arg::<OpenIn>().flags;
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let (a, data, r) = next_write(&fs);
    let expected = WriteIn {
        fh: 5,
        offset: 5,
        size: 10,
        write_flags: 0,
        lock_owner: 0,
        flags,
        padding: 0,
    };
    assert_eq!(a, expected);
    assert_eq!(data, pattern(5, 10));
    wrote(r, 10);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(10));
}

/// Without BIG_WRITES no WRITE goes beyond a page.
fn page_by_page_without_big_writes() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 4000, 5000));
    opened(&fs, 0, 0);
    serve_write(&fs, 4000, 96);
    serve_write(&fs, 4096, 4096);
    serve_write(&fs, 8192, 808);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(5000));
}

/// With BIG_WRITES a WRITE goes on until a page is not known to the end.
fn big_writes() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 4096, 20000));
    opened(&fs, 0, 0);
    serve_write(&fs, 4096, 20000);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(20000));
}

/// A WRITE has no more data than max_write.
fn split_at_max_write() {
    let fs = big().init(|i| i.max_write = 8192).start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 20000));
    opened(&fs, 0, 0);
    serve_write(&fs, 0, 8192);
    serve_write(&fs, 8192, 8192);
    serve_write(&fs, 16384, 3616);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(20000));
}

/// A WRITE has no more pages than max_pages.
fn split_at_max_pages() {
    let fs = Setup::new()
        .flags(init::BIG_WRITES | init::MAX_PAGES)
        .init(|i| {
            i.max_pages = 2;
            i.max_write = 65536;
        })
        .start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 16384));
    opened(&fs, 0, 0);
    serve_write(&fs, 0, 8192);
    serve_write(&fs, 8192, 8192);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(16384));
}

/// O_APPEND writes to where the file is known to end.
fn append() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY | libc::O_APPEND, |f| {
        let written = write(f, &pattern(8192, 100));
        (written, lseek(f, 0, libc::SEEK_CUR))
    });
    opened(&fs, 8192, 0);
    serve_write(&fs, 8192, 100);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(100), Ok(8292)));
}

/// A write to a file that is open with O_SYNC says so, and is followed by FSYNC.
fn synchronous() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY | libc::O_SYNC, |f| put(f, 0, 4096));
    opened(&fs, 4096, 0);
    let (a, _, r) = next_write(&fs);
    assert_eq!(a.flags as i32 & libc::O_SYNC, libc::O_SYNC);
    wrote(r, 4096);
    let r = fs.expect(FSYNC).node(2);
    assert_eq!(
        r.arg::<FsyncIn>(),
        FsyncIn {
            fh: 5,
            fsync_flags: 0,
            padding: 0
        }
    );
    r.reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(4096));
}

/// A page that was written whole is in the cache, and is not read.
fn full_pages_are_cached() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_RDWR, |f| {
        (
            put(f, 0, 8192),
            pread(f, 8192, 0).unwrap() == pattern(0, 8192),
        )
    });
    opened(&fs, 8192, 0);
    serve_write(&fs, 0, 8192);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(8192), true));
}

/// A page of which a part was written is read as a whole when it is needed.
fn part_of_a_page_is_not_cached() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_RDWR, |f| {
        (
            put(f, 100, 50),
            pread(f, 4096, 0).unwrap() == pattern(7, 4096),
        )
    });
    opened(&fs, 4096, 0);
    serve_write(&fs, 100, 50);
    fs.expect_read(5, 0, 4096).reply(&pattern(7, 4096));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(50), true));
}

/// A write into a page that is cached changes what is cached.
fn part_of_a_cached_page() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_RDWR, |f| {
        pread(f, 1, 0).unwrap();
        let written = put(f, 100, 50);
        (written, pread(f, 4096, 0).unwrap())
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[9; 4096]);
    serve_write(&fs, 100, 50);
    fs.flush_and_release(2, 5);
    let mut now = vec![9; 4096];
    now[100..150].copy_from_slice(&pattern(100, 50));
    assert_eq!(c.wait(), (Ok(50), now));
}

/// While a part of an unknown page is being written, nobody reads the page.
fn partial_page_is_locked_until_written() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 100, 50));
    opened(&fs, 4096, 0);
    let r = expect_write(&fs, 100, 50);
    let reader = fs.call(|m| {
        let f = m.open("f").unwrap();
        let data = pread(f, 10, 0);
        close(f).unwrap();
        data
    });
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    reader.stays_asleep();
    fs.quiet();
    wrote(r, 50);
    // Which of the two goes on first is open.
    for _ in 0..5 {
        let r = fs.dev().next();
        match r.head.opcode {
            READ => r.reply(&[3; 4096]),
            GETATTR => r.ok(file(2).size(4096).attr_out()),
            FLUSH | RELEASE => r.reply(&[]),
            _ => panic!("unexpected request: {r:?}"),
        }
    }
    assert_eq!(c.wait(), Ok(50));
    assert_eq!(reader.wait(), Ok(vec![3; 10]));
}

/// A write beyond the end makes the file longer at once.
fn grows_the_file() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY | libc::O_APPEND, |f| {
        (write(f, &pattern(10, 90)), write(f, &pattern(100, 50)))
    });
    opened(&fs, 10, 0);
    serve_write(&fs, 10, 90);
    serve_write(&fs, 100, 50);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(90), Ok(50)));
}

/// After a write size and times are asked for again.
fn makes_attributes_stale() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| {
        let written = put(f, 0, 10);
        (written, fstat(f).map(|s| s.size))
    });
    opened(&fs, 100, 0);
    serve_write(&fs, 0, 10);
    fs.getattr(file(2).size(777));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(10), Ok(777)));
}

/// A server that takes less than it was sent has the write end there.
fn short_reply() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| {
        let written = put(f, 0, 8192);
        (written, lseek(f, 0, libc::SEEK_CUR))
    });
    opened(&fs, 0, 0);
    wrote(expect_write(&fs, 0, 8192), 5000);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(5000), Ok(5000)));
}

/// It ends there in a later WRITE, too.
fn short_reply_after_data() {
    let fs = big().init(|i| i.max_write = 8192).start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 30000));
    opened(&fs, 0, 0);
    serve_write(&fs, 0, 8192);
    wrote(expect_write(&fs, 8192, 8192), 1);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(8193));
}

/// A server that claims to have taken more than it was sent causes EIO.
fn too_large_reply() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 10));
    opened(&fs, 0, 0);
    wrote(expect_write(&fs, 0, 10), 11);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// What the server answers is what write(2) fails with.
fn error_is_passed_on() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 10));
    opened(&fs, 0, 0);
    expect_write(&fs, 0, 10).err(ODD);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(ODD));
}

/// After some data has been written, an error ends the write without being told.
fn error_after_data() {
    let fs = big().init(|i| i.max_write = 4096).start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 12000));
    opened(&fs, 0, 0);
    serve_write(&fs, 0, 4096);
    expect_write(&fs, 4096, 4096).err(ODD);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(4096));
}

/// Memory that cannot be read ends a write before it: no byte of it is sent.
fn bad_memory() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| {
        let good = pattern(0, 100);
        (
            sys::writev(f, &[(good.as_ptr() as usize, 100), (8, 100)]),
            sys::writev(f, &[(8, 100)]),
        )
    });
    opened(&fs, 0, 0);
    serve_write(&fs, 0, 100);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(100), Err(EFAULT)));
}

/// splice(2) out of a pipe is a write.
fn splice_into_the_file() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| {
        let (from, to) = sys::pipe();
        write(to.as_raw_fd(), &pattern(0, 3000)).unwrap();
        splice(from.as_raw_fd(), f, 5000)
    });
    opened(&fs, 0, 0);
    serve_write(&fs, 0, 3000);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(3000));
}

/// A direct write carries a lock owner; one by root leaves set-user-id alone.
fn direct_request() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 3, 5000));
    opened(&fs, 100, FOPEN_DIRECT_IO);
    let (a, data, r) = next_write(&fs);
    assert_eq!((a.fh, a.offset, a.size), (5, 3, 5000));
    assert_eq!(a.write_flags, WRITE_LOCKOWNER);
    assert_ne!(a.lock_owner, 0);
    assert!(data == pattern(3, 5000));
    wrote(r, 5000);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(5000));
}

/// A direct write is split at max_write, not at pages of the file.
fn direct_is_split_at_max_write() {
    let fs = big().init(|i| i.max_write = 8192).start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 3, 20000));
    opened(&fs, 100, FOPEN_DIRECT_IO);
    serve_write(&fs, 3, 8192);
    serve_write(&fs, 8195, 8192);
    serve_write(&fs, 16387, 3616);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(20000));
}

/// A server that takes less of a direct write has it end there.
fn direct_short_reply() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| {
        let written = put(f, 0, 5000);
        (written, lseek(f, 0, libc::SEEK_CUR))
    });
    opened(&fs, 100, FOPEN_DIRECT_IO);
    wrote(expect_write(&fs, 0, 5000), 7);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(7), Ok(7)));
}

/// A server that claims to have taken more of a direct write than it was sent causes EIO.
fn direct_too_large_reply() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_WRONLY, |f| put(f, 0, 10));
    opened(&fs, 100, FOPEN_DIRECT_IO);
    wrote(expect_write(&fs, 0, 10), 11);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// A direct write drops the pages that it changes from the cache.
fn direct_drops_what_is_cached() {
    let fs = big().start();
    let c = fs.call(|m| {
        let cached = m.open("f").unwrap();
        let before = pread(cached, 10, 0);
        let direct = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        put(direct, 0, 10).unwrap();
        let after = pread(cached, 10, 0);
        close(direct).unwrap();
        close(cached).unwrap();
        (before, after)
    });
    fs.lookup(ROOT, "f", file(2).size(4096));
    fs.open(2, 6, 0);
    fs.expect_read(6, 0, 4096).reply(&[1; 4096]);
    fs.open(2, 5, FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE);
    serve_write(&fs, 0, 10);
    fs.expect_read(6, 0, 4096).reply(&[2; 4096]);
    fs.flush_and_release(2, 5);
    fs.flush_and_release(2, 6);
    assert_eq!(c.wait(), (Ok(vec![1; 10]), Ok(vec![2; 10])));
}

/// O_DIRECT writes of a file that may be cached go past the cache, too.
fn o_direct() {
    let fs = big().start();
    let c = with_open(&fs, libc::O_RDWR | libc::O_DIRECT, |f| {
        (put(f, 0, 5000), pread(f, 10, 0))
    });
    opened(&fs, 8192, 0);
    let (a, data, r) = next_write(&fs);
    assert_eq!((a.offset, a.size), (0, 5000));
    assert_eq!(a.write_flags, WRITE_LOCKOWNER);
    assert!(data == pattern(0, 5000));
    wrote(r, 5000);
    fs.expect_read(5, 0, 10).reply(&[4; 10]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(5000), Ok(vec![4; 10])));
}

fn serve_fsync(fs: &Fs) -> FsyncIn {
    let r = fs.expect(FSYNC).node(2);
    let a = r.arg();
    r.reply(&[]);
    a
}

/// fsync(2) is FSYNC without flags.
fn fsync_request() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDWR, fsync);
    opened(&fs, 0, 0);
    let a = serve_fsync(&fs);
    assert_eq!((a.fh, a.fsync_flags, a.padding), (5, 0, 0));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// fdatasync(2) is FSYNC with FUSE_FSYNC_FDATASYNC.
fn fdatasync_request() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDWR, |f| {
        // SAFETY: no memory involved.
        unsafe { libc::fdatasync(f) }
    });
    opened(&fs, 0, 0);
    let a = serve_fsync(&fs);
    assert_eq!((a.fh, a.fsync_flags, a.padding), (5, 1, 0));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 0);
}

/// An error of FSYNC is what fsync(2) fails with, and it is asked again the next time.
fn fsync_error() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDWR, |f| (fsync(f), fsync(f)));
    opened(&fs, 0, 0);
    fs.expect(FSYNC).err(ODD);
    serve_fsync(&fs);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(ODD), Ok(())));
}
