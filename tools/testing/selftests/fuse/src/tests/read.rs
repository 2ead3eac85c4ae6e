// SPDX-License-Identifier: GPL-2.0

//! READ: through the page cache, and past it.

use crate::mockd::*;
use std::os::fd::AsRawFd;

crate::tests![
    request,
    page_by_page_without_readahead,
    only_the_pages_asked_for,
    readahead_covers_the_file_once,
    readahead_keeps_the_node,
    readahead_stays_within_max_pages,
    readahead_stays_within_max_readahead,
    cached_pages_are_not_read_again,
    open_drops_the_cache,
    keep_cache_keeps_it,
    two_readers_of_a_page,
    short_reply_is_the_end_of_file,
    rest_of_the_last_page_is_zero,
    grown_file_needs_fresh_attributes,
    nothing_is_read_beyond_the_end,
    error_is_eio,
    too_long_reply,
    makes_atime_stale,
    changed_size_drops_the_cache,
    changed_mtime_keeps_the_cache,
    changed_mtime_drops_it_with_auto_inval_data,
    changed_size_keeps_it_with_explicit_inval_data,
    mapped_file,
    splice_out_of_the_file,
    splice_out_of_a_file_of_size_0,
    splice_past_the_page_cache,
    direct_request,
    direct_is_not_cached,
    direct_ignores_the_size,
    direct_short_reply,
    direct_is_split_at_max_pages,
    direct_is_split_at_max_read,
    direct_error_after_data,
    direct_too_long_reply,
    o_direct,
];

fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len)
        .map(|i| (i / 7 + i / 4096) as u8)
        .collect()
}

/// Answers READs of a file of `size` bytes until `c` is back and nothing is left; returns offsets and sizes.
fn serve_reads<T: Ship>(fs: &Fs, c: &Caller<T>, size: usize) -> Vec<(u64, u32)> {
    let mut seen = Vec::new();
    loop {
        // Looked at first: what a caller that is back has caused is there to read.
        let back = !c.running();
        let Some(r) = fs.dev().next_within(if back { 0 } else { 1 }) else {
            if back {
                return seen;
            }
            continue;
        };
        assert_eq!(r.head.opcode, READ, "READ expected, {r:?} came");
        let a: ReadIn = r.arg();
        seen.push((a.offset, a.size));
        let start = (a.offset as usize).min(size);
        let end = (start + a.size as usize).min(size);
        r.reply(&pattern(start, end - start));
    }
}

/// READ carries handle, offset, size and open flags, and no lock owner when it fills the page cache.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let data = pread(f, 10, 5);
        close(f).unwrap();
        data
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    let r = fs.expect(OPEN);
    let flags = r.arg::<OpenIn>().flags;
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let r = fs.expect(READ).node(2);
    let expected = ReadIn {
        fh: 5,
        offset: 0,
        size: 4096,
        read_flags: 0,
        lock_owner: 0,
        flags,
        padding: 0,
    };
    assert_eq!(r.arg::<ReadIn>(), expected);
    r.reply(&pattern(0, 100));
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(pattern(5, 10)));
    fs.release(2, 5);
}

/// Opens "f" with these FOPEN flags, runs `with` on the descriptor, and closes.
fn with_open<T: Ship>(fs: &Fs, with: impl FnOnce(i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = m.open("f").unwrap();
        let t = with(f);
        close(f).unwrap();
        t
    })
}

/// Without readahead each page is one READ of a page, the last one too.
fn page_by_page_without_readahead() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| read(f, 20000));
    fs.lookup(ROOT, "f", file(2).size(10000));
    fs.open(2, 5, 0);
    // More was asked than there is, so the size is made sure of; it is still to be believed.
    for page in 0..3usize {
        let off = page * 4096;
        fs.expect_read(5, off as u64, 4096)
            .reply(&pattern(off, (10000 - off).min(4096)));
    }
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(pattern(0, 10000)));
}

/// Only the pages that a read touches are read.
fn only_the_pages_asked_for() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| pread(f, 100, 8190));
    fs.lookup(ROOT, "f", file(2).size(1 << 20));
    fs.open(2, 5, 0);
    fs.expect_read(5, 4096, 4096).reply(&pattern(4096, 4096));
    fs.expect_read(5, 8192, 4096).reply(&pattern(8192, 4096));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(pattern(8190, 100)));
}

#[track_caller]
fn assert_covers_once(mut seen: Vec<(u64, u32)>, size: u64) {
    seen.sort();
    let mut at = 0;
    for (offset, len) in seen {
        assert_eq!(offset, at, "READs follow each other without gap or overlap");
        assert_eq!(offset % 4096, 0, "READs start at a page");
        at += u64::from(len);
    }
    assert!(
        at >= size && at <= size.next_multiple_of(4096),
        "READs end with the page of the end of file: {at}"
    );
}

/// With readahead a file that is read from end to end is asked for once, in pieces of whole pages.
fn readahead_covers_the_file_once() {
    for flags in [0, init::ASYNC_READ] {
        let fs = Setup::new()
            .flags(flags)
            .init(|i| i.max_readahead = 128 << 10)
            .start();
        let size = 1_000_000;
        let c = fs.call(|m| {
            let f = m.open("f").unwrap();
            let mut all = Vec::new();
            loop {
                let data = read(f, 30000).unwrap();
                if data.is_empty() {
                    m.pause();
                    close(f).unwrap();
                    return all == pattern(0, size);
                }
                all.extend(data);
            }
        });
        fs.lookup(ROOT, "f", file(2).size(size as u64));
        fs.open(2, 5, 0);
        let seen = serve_reads(&fs, &c, size);
        assert!(seen.len() > 5 && seen.len() < 60, "{} READs", seen.len());
        assert_covers_once(seen, size as u64);
        c.paused();
        c.go();
        fs.flush_and_release(2, 5);
        assert!(c.wait());
    }
}

/// A node that is read ahead stays until the READ is answered, though its file is closed and the server, who does not
/// know OPEN, makes room in the caches meanwhile (CVE-2025-68821).
fn readahead_keeps_the_node() {
    let fs = Setup::new()
        .flags(init::ASYNC_READ)
        .init(|i| i.max_readahead = 128 << 10)
        .start();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        // SAFETY: no memory involved.
        unsafe { libc::posix_fadvise(f, 0, 0, libc::POSIX_FADV_WILLNEED) };
        close(f)
    });
    fs.lookup(ROOT, "f", file(2).size(8192));
    fs.expect(OPEN).err(ENOSYS);
    let r = fs.expect_read(0, 0, 8192);
    fs.flush(2, 0);
    assert_eq!(c.wait(), Ok(()));
    drop_caches();
    fs.quiet();
    r.reply(&[7; 8192]);
    drop_caches();
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// Reads the first MiB of a big file sequentially and returns the READs.
fn reads_of_a_mebibyte(setup: Setup) -> Vec<(u64, u32)> {
    let fs = setup.start();
    let size = 1 << 20;
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let data = read(f, size).unwrap();
        m.pause();
        close(f).unwrap();
        data == pattern(0, size)
    });
    fs.lookup(ROOT, "f", file(2).size(size as u64));
    fs.open(2, 5, 0);
    let seen = serve_reads(&fs, &c, size);
    c.paused();
    c.go();
    fs.flush_and_release(2, 5);
    assert!(c.wait());
    seen
}

/// A READ has at most max_pages pages: 32 unless INIT says otherwise.
fn readahead_stays_within_max_pages() {
    let big = Setup::new()
        .flags(init::ASYNC_READ | init::MAX_PAGES)
        .init(|i| i.max_readahead = 128 << 10);
    for (max_pages, limit) in [(0, 4096), (1, 4096), (4, 16384), (32, 128 << 10)] {
        let seen = reads_of_a_mebibyte(big.clone().init(|i| i.max_pages = max_pages));
        let largest = seen.iter().map(|r| r.1).max().unwrap();
        assert_eq!(largest, limit, "max_pages {max_pages}");
        assert_covers_once(seen, 1 << 20);
    }
}

/// A single read of much data is asked for in pieces of at most max_readahead, or of max_pages if that is less.
fn readahead_stays_within_max_readahead() {
    for max_readahead in [8192, 65536, 128 << 10] {
        let setup = Setup::new()
            .flags(init::ASYNC_READ)
            .init(|i| i.max_readahead = max_readahead);
        let seen = reads_of_a_mebibyte(setup);
        let largest = seen.iter().map(|r| r.1).max().unwrap();
        assert!(largest <= 128 << 10, "{largest} for {max_readahead}");
        assert_covers_once(seen, 1 << 20);
    }
}

/// What is in the page cache is not read again, by this or another open file.
fn cached_pages_are_not_read_again() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let (a, b) = (m.open("f").unwrap(), m.open("f").unwrap());
        let data = (
            read(a, 5).unwrap(),
            read(b, 5).unwrap(),
            pread(a, 5, 0).unwrap(),
        );
        close(a).unwrap();
        close(b).unwrap();
        data
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    fs.open(2, 6, 0);
    fs.expect_read(5, 0, 4096).reply(b"hello");
    fs.flush_and_release(2, 5);
    fs.flush_and_release(2, 6);
    let hello = b"hello".to_vec();
    assert_eq!(c.wait(), (hello.clone(), hello.clone(), hello));
}

/// Opens and reads "f" twice; the second time it is opened with `flags`.
fn read_twice(fs: &Fs, flags: u32, again: bool) {
    let c = fs.call(|m| {
        let once = || {
            let f = m.open("f").unwrap();
            let data = read(f, 5).unwrap();
            close(f).unwrap();
            data
        };
        (once(), once())
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    fs.expect_read(5, 0, 4096).reply(b"hello");
    fs.flush_and_release(2, 5);
    fs.open(2, 6, flags);
    if again {
        fs.expect_read(6, 0, 4096).reply(b"world");
    }
    fs.flush_and_release(2, 6);
    let second = if again { b"world" } else { b"hello" };
    assert_eq!(c.wait(), (b"hello".to_vec(), second.to_vec()));
}

/// An open drops what is cached of the file.
fn open_drops_the_cache() {
    read_twice(&Fs::new(), 0, true);
}

/// With FOPEN_KEEP_CACHE it stays.
fn keep_cache_keeps_it() {
    read_twice(&Fs::new(), FOPEN_KEEP_CACHE, false);
}

/// Two readers of a page that is being read share one READ.
fn two_readers_of_a_page() {
    let fs = Fs::new();
    let reader = |m: &Side| {
        let f = m.open("f").unwrap();
        m.pause();
        let data = read(f, 5).unwrap();
        m.pause();
        close(f).unwrap();
        data
    };
    let (a, b) = (fs.call(reader), fs.call(|m| m.stat("f").is_ok()));
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    assert!(b.wait());
    let b = fs.call(reader);
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    a.paused();
    b.paused();
    a.go();
    let r = fs.expect_read(5, 0, 4096);
    b.go();
    b.until_asleep();
    fs.quiet();
    r.reply(b"hello");
    for (c, fh) in [(a, 5), (b, 6)] {
        c.paused();
        c.go();
        fs.flush_and_release(2, fh);
        assert_eq!(c.wait(), b"hello");
    }
}

/// The size that the kernel believes, without asking.
fn known_size(fd: i32) -> u64 {
    statx_size(&format!("/proc/self/fd/{fd}"), libc::AT_STATX_DONT_SYNC).unwrap()
}

/// A reply shorter than the READ means the end of file: the reader gets less, and the file is shorter from now on.
fn short_reply_is_the_end_of_file() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| {
        (
            read(f, 8192).unwrap(),
            read(f, 8192).unwrap(),
            known_size(f),
        )
    });
    fs.lookup(ROOT, "f", file(2).size(8192));
    fs.open(2, 5, 0);
    fs.expect_read(5, 0, 4096).reply(&pattern(0, 1000));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (pattern(0, 1000), vec![], 1000));
}

/// What a short reply leaves of a page is zero, as a mapping shows.
fn rest_of_the_last_page_is_zero() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| mmap_read(f, 4096).unwrap());
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    fs.expect_read(5, 0, 4096).reply(b"hello");
    fs.flush_and_release(2, 5);
    let mut expected = b"hello".to_vec();
    expected.resize(4096, 0);
    assert_eq!(c.wait(), expected);
}

/// A read beyond the known size asks for the attributes if they have expired, by handle, and reads what has grown.
fn grown_file_needs_fresh_attributes() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| (read(f, 100).unwrap(), read(f, 100).unwrap()));
    fs.lookup(ROOT, "f", file(2).size(3).attr_valid(0, 0));
    fs.open(2, 5, 0);
    for (size, data) in [(3, "abc"), (5, "abcde")] {
        let r = fs.expect(GETATTR).node(2);
        assert_eq!(
            r.arg::<GetattrIn>(),
            GetattrIn {
                getattr_flags: GETATTR_FH,
                dummy: 0,
                fh: 5
            }
        );
        r.ok(file(2).size(size).attr_valid(0, 0).attr_out());
        // The growth has dropped the page.
        fs.expect_read(5, 0, 4096).reply(data.as_bytes());
    }
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (b"abc".to_vec(), b"de".to_vec()));
}

/// A read at or beyond a size that may be believed returns nothing, without asking.
fn nothing_is_read_beyond_the_end() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| {
        (pread(f, 10, 5).unwrap(), pread(f, 10, 50000).unwrap())
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (vec![], vec![]));
}

/// A page that readahead could not get is read once more by itself; whatever the error then is, the reader gets EIO.
fn error_is_eio() {
    for flags in [0, init::ASYNC_READ] {
        let fs = Setup::new().flags(flags).start();
        let c = with_open(&fs, |f| (read(f, 5), read(f, 5)));
        fs.lookup(ROOT, "f", file(2).size(5));
        fs.open(2, 5, 0);
        fs.expect_read(5, 0, 4096).err(ODD);
        fs.expect_read(5, 0, 4096).err(ODD);
        // The next read(2) tries again.
        fs.expect_read(5, 0, 4096).reply(b"hello");
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), (Err(EIO), Ok(b"hello".to_vec())));
    }
}

/// A reply longer than the READ is refused, and counts as an error.
fn too_long_reply() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| read(f, 5));
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    assert_eq!(
        fs.expect_read(5, 0, 4096).try_reply(&[0; 4097]),
        Err(EINVAL)
    );
    assert_eq!(
        fs.expect_read(5, 0, 4096).try_reply(&[0; 5000]),
        Err(EINVAL)
    );
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// Reading makes the access time stale: the next stat(2) asks.
fn makes_atime_stale() {
    for flags in [0, FOPEN_DIRECT_IO] {
        let fs = Fs::new();
        let c = with_open(&fs, |f| {
            (pread(f, 5, 0).unwrap(), fstat(f).unwrap().atime[0])
        });
        fs.lookup(ROOT, "f", file(2).size(5));
        fs.open(2, 5, flags);
        fs.expect(READ).reply(b"hello");
        fs.getattr(file(2).size(5).with(|a| a.atime = 9));
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), (b"hello".to_vec(), 9));
    }
}

/// Reads "f" in an open file, gets new attributes by stat(2), and reads again; whether the server was asked again.
fn read_stat_read(flags: u64, old: Node, new: Node, again: bool) {
    let fs = Setup::new().flags(flags).start();
    let c = with_open(&fs, |f| {
        let one = pread(f, 3, 0).unwrap();
        fstat(f).unwrap();
        (one, pread(f, 3, 0).unwrap())
    });
    fs.lookup(ROOT, "f", old.attr_valid(0, 0));
    fs.open(2, 5, 0);
    if flags & init::AUTO_INVAL_DATA != 0 {
        fs.getattr(old.attr_valid(0, 0));
    }
    fs.expect_read(5, 0, 4096).reply(b"abcde");
    fs.getattr(new);
    if again {
        fs.expect_read(5, 0, 4096).reply(b"ABCDE");
    }
    fs.flush_and_release(2, 5);
    let second = if again { b"ABC" } else { b"abc" };
    assert_eq!(c.wait(), (b"abc".to_vec(), second.to_vec()));
}

/// New attributes with another size drop the cached pages.
fn changed_size_drops_the_cache() {
    read_stat_read(0, file(2).size(5), file(2).size(6), true);
}

/// New attributes with another mtime only do not.
fn changed_mtime_keeps_the_cache() {
    read_stat_read(
        0,
        file(2).size(5),
        file(2).size(5).with(|a| a.mtime = 9),
        false,
    );
}

/// With AUTO_INVAL_DATA another mtime drops the cached pages too, and each read makes sure of the attributes.
fn changed_mtime_drops_it_with_auto_inval_data() {
    let auto = init::AUTO_INVAL_DATA;
    read_stat_read(
        auto,
        file(2).size(5),
        file(2).size(5).with(|a| a.mtime = 9),
        true,
    );
    read_stat_read(auto, file(2).size(5), file(2).size(5), false);
}

/// With EXPLICIT_INVAL_DATA not even another size drops the pages that are still in the file.
fn changed_size_keeps_it_with_explicit_inval_data() {
    read_stat_read(
        init::EXPLICIT_INVAL_DATA,
        file(2).size(5),
        file(2).size(6),
        false,
    );
}

/// A mapped file is read page by page as it is touched, from the same cache.
fn mapped_file() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| {
        let data = mmap_read(f, 8192).unwrap();
        (data == pattern(0, 8192), pread(f, 8192, 0).unwrap() == data)
    });
    fs.lookup(ROOT, "f", file(2).size(8192));
    fs.open(2, 5, 0);
    fs.expect_read(5, 0, 4096).reply(&pattern(0, 4096));
    fs.expect_read(5, 4096, 4096).reply(&pattern(4096, 4096));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (true, true));
}

/// splice(2) into a pipe is a read, through the cache or past it.
fn splice_out_of_the_file() {
    for fopen in [0, FOPEN_DIRECT_IO] {
        let fs = Fs::new();
        let c = fs.call(|m| {
            let f = m.open("f").unwrap();
            let (from, to) = pipe();
            let mut data = Vec::new();
            while let Ok(n @ 1..) = splice(f, to.as_raw_fd(), 10_000) {
                data.extend(read(from.as_raw_fd(), n).unwrap());
            }
            // Through the cache it is there now.
            let again = pread(f, 100, 4000);
            close(f).unwrap();
            (data, again)
        });
        fs.lookup(ROOT, "f", file(2).size(6000));
        fs.open(2, 5, fopen);
        let mut read = 0;
        let end = loop {
            let r = fs.dev().next();
            if r.head.opcode != READ {
                break r;
            }
            let a: ReadIn = r.arg();
            assert_eq!(a.fh, 5);
            let at = (a.offset as usize).min(6000);
            let size = (a.size as usize).min(6000 - at);
            read += size;
            r.reply(&pattern(at, size));
        };
        assert_eq!(end.head.opcode, FLUSH, "{end:?} came");
        end.reply(&[]);
        fs.release(2, 5);
        assert_eq!(c.wait(), (pattern(0, 6000), Ok(pattern(4000, 100))));
        assert_eq!(read, if fopen == 0 { 6000 } else { 6100 });
    }
}

/// The size of a file that is made when it is read may be 0. With FOPEN_DIRECT_IO splice(2) and sendfile(2) read it to its
/// end all the same, as read(2) does.
fn splice_out_of_a_file_of_size_0() {
    skip_on_c("splices go by the size of the file even with FOPEN_DIRECT_IO");
    const LEN: usize = 9000;
    let ways: [fn(i32, i32) -> Result<usize>; 3] = [
        |f, to| splice(f, to, 1 << 20),
        |f, to| sendfile(to, f, 1 << 20),
        |f, to| splice(f, to, 1000),
    ];
    for way in ways {
        let fs = Fs::new();
        let c = with_open(&fs, |f| {
            let (from, to) = pipe();
            let mut data = Vec::new();
            while let n @ 1.. = way(f, to.as_raw_fd()).unwrap() {
                data.extend(read(from.as_raw_fd(), n).unwrap());
            }
            (data, lseek(f, 0, libc::SEEK_CUR))
        });
        fs.lookup(ROOT, "f", file(2).size(0));
        fs.open(2, 5, FOPEN_DIRECT_IO);
        let end = loop {
            let r = fs.dev().next();
            if r.head.opcode != READ {
                break r;
            }
            let a: ReadIn = r.arg();
            let at = (a.offset as usize).min(LEN);
            r.reply(&pattern(at, (a.size as usize).min(LEN - at)));
        };
        assert_eq!(end.head.opcode, FLUSH, "{end:?} came");
        end.reply(&[]);
        fs.release(2, 5);
        assert_eq!(c.wait(), (pattern(0, LEN), Ok(LEN as i64)));
    }
}

/// With FOPEN_DIRECT_IO a splice is not answered from the page cache, and leaves nothing there.
fn splice_past_the_page_cache() {
    skip_on_c("splices go through the page cache even with FOPEN_DIRECT_IO");
    let fs = Fs::new();
    let c = with_open(&fs, |f| {
        let (from, to) = pipe();
        let once = || {
            lseek(f, 0, libc::SEEK_SET).unwrap();
            let n = splice(f, to.as_raw_fd(), 4096).unwrap();
            read(from.as_raw_fd(), n).unwrap()
        };
        (once(), once())
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 4096).reply(b"first");
    fs.expect_read(5, 0, 4096).reply(b"second");
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (b"first".to_vec(), b"second".to_vec()));
}

/// With FOPEN_DIRECT_IO a READ is what the caller asked for, and names the owner of locks.
fn direct_request() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| pread(f, 10, 3));
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    let r = fs.expect_read(5, 3, 10);
    let a: ReadIn = r.arg();
    assert_eq!((a.read_flags, a.padding), (READ_LOCKOWNER, 0));
    assert_ne!(a.lock_owner, 0);
    r.reply(&pattern(3, 10));
    let flush = fs.expect(FLUSH);
    assert_eq!(flush.arg::<FlushIn>().lock_owner, a.lock_owner);
    flush.reply(&[]);
    fs.release(2, 5);
    assert_eq!(c.wait(), Ok(pattern(3, 10)));
}

/// With FOPEN_DIRECT_IO each read(2) is a READ.
fn direct_is_not_cached() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| (pread(f, 5, 0), pread(f, 5, 0)));
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 5).reply(b"hello");
    fs.expect_read(5, 0, 5).reply(b"world");
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(b"hello".to_vec()), Ok(b"world".to_vec())));
}

/// With FOPEN_DIRECT_IO the server says where the file ends, not the attributes: a size of 0 hides nothing.
fn direct_ignores_the_size() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| {
        (read(f, 100).unwrap(), read(f, 100).unwrap(), known_size(f))
    });
    fs.lookup(ROOT, "f", file(2).size(0));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 100).reply(b"hello");
    fs.expect_read(5, 5, 100).reply(b"");
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (b"hello".to_vec(), vec![], 0));
}

/// A short reply to a direct READ is a short read(2): nothing more is asked for.
fn direct_short_reply() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| read(f, 300_000).unwrap().len());
    fs.lookup(ROOT, "f", file(2).size(1 << 20));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 128 << 10)
        .reply(&pattern(0, 128 << 10));
    fs.expect_read(5, 128 << 10, 128 << 10)
        .reply(&pattern(0, 1000));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (128 << 10) + 1000);
}

/// A direct READ covers at most max_pages pages of the caller's buffer.
fn direct_is_split_at_max_pages() {
    let fs = Setup::new()
        .flags(init::MAX_PAGES)
        .init(|i| i.max_pages = 4)
        .start();
    let c = with_open(&fs, |f| {
        (pread(f, 40000, 7), pread_misaligned(f, 20000, 7, 100))
    });
    fs.lookup(ROOT, "f", file(2).size(1 << 20));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    for (off, size) in [(7, 16384), (7 + 16384, 16384), (7 + 32768, 40000 - 32768)] {
        fs.expect_read(5, off, size)
            .reply(&pattern(off as usize, size as usize));
    }
    for (off, size) in [(7, 16384 - 100), (7 + 16384 - 100, 20000 - 16384 + 100)] {
        fs.expect_read(5, off, size)
            .reply(&pattern(off as usize, size as usize));
    }
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(pattern(7, 40000)), Ok(pattern(7, 20000))));
}

/// The mount option max_read limits a direct READ in bytes.
fn direct_is_split_at_max_read() {
    let fs = Setup::new().option("max_read=5000").start();
    let c = with_open(&fs, |f| pread(f, 12000, 0));
    fs.lookup(ROOT, "f", file(2).size(1 << 20));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    for (off, size) in [(0, 5000), (5000, 5000), (10000, 2000)] {
        fs.expect_read(5, off, size)
            .reply(&pattern(off as usize, size as usize));
    }
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(pattern(0, 12000)));
}

/// An error of a later direct READ leaves the caller with what came before; of the first one it is the caller's error.
fn direct_error_after_data() {
    let fs = Setup::new().option("max_read=4096").start();
    let c = with_open(&fs, |f| (pread(f, 8192, 0), pread(f, 8192, 0)));
    fs.lookup(ROOT, "f", file(2).size(1 << 20));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 4096).reply(&pattern(0, 4096));
    fs.expect_read(5, 4096, 4096).err(ODD);
    fs.expect_read(5, 0, 4096).err(ODD);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(pattern(0, 4096)), Err(ODD)));
}

/// A reply longer than a direct READ is refused, and the reader gets EIO.
fn direct_too_long_reply() {
    let fs = Fs::new();
    let c = with_open(&fs, |f| read(f, 5));
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    assert_eq!(fs.expect_read(5, 0, 5).try_reply(b"hello!"), Err(EINVAL));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// O_DIRECT goes past the cache within the known size.
fn o_direct() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDONLY | libc::O_DIRECT).unwrap();
        let r = (pread(f, 4096, 0), pread(f, 4096, 0), pread(f, 4096, 8192));
        close(f).unwrap();
        r
    });
    fs.lookup(ROOT, "f", file(2).size(4096));
    fs.open(2, 5, 0);
    fs.expect_read(5, 0, 4096).reply(&pattern(0, 4096));
    fs.expect_read(5, 0, 4096).reply(&pattern(1, 4096));
    fs.flush_and_release(2, 5);
    assert_eq!(
        c.wait(),
        (Ok(pattern(0, 4096)), Ok(pattern(1, 4096)), Ok(vec![]))
    );
}
