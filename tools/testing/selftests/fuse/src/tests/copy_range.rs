// SPDX-License-Identifier: GPL-2.0

//! COPY_FILE_RANGE_64 and COPY_FILE_RANGE: the server copies from file to file, or the kernel does it for one that cannot.

use crate::mockd::*;

crate::tests![
    request,
    short_copy,
    nothing_copied,
    too_large_reply,
    error_is_passed_on,
    not_beyond_the_source,
    older_operation,
    older_operation_has_32_bits,
    neither_operation,
    server_that_cannot_copy_these,
    between_two_mounts,
    within_one_file,
    grows_the_destination,
    size_of_other_replies_does_not_count,
    drops_the_pages_that_were_copied_over,
    nothing_copied_drops_nothing,
    source_is_as_long_for_the_server,
    times_stay_where_nothing_is_copied,
];

const FROM: u64 = 5;
const TO: u64 = 6;

/// Opens "f" to read and "g" to read and write, and runs `with` on the descriptors.
fn with_both<T: Ship>(fs: &Fs, with: impl FnOnce(i32, i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = m.open("f").unwrap();
        let g = sys::open(&m.path("g"), libc::O_RDWR).unwrap();
        let t = with(f, g);
        close(g).unwrap();
        close(f).unwrap();
        t
    })
}

/// "f" and "g" are found with these sizes, and opened.
fn opened(fs: &Fs, from: u64, to: u64) {
    fs.lookup(ROOT, "f", file(2).size(from));
    fs.open(2, FROM, 0);
    fs.lookup(ROOT, "g", file(3).size(to));
    fs.open(3, TO, FOPEN_KEEP_CACHE);
}

fn closed(fs: &Fs) {
    fs.flush_and_release(3, TO);
    fs.flush_and_release(2, FROM);
}

/// The next request but for looks at the destination's capabilities.
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

/// The copy comes as `opcode`, on the source, with these positions and this length.
#[track_caller]
fn expect_copy(fs: &Fs, opcode: u32, off_in: u64, off_out: u64, len: u64) -> Request {
    let r = next(fs);
    assert_eq!(
        r.head.opcode,
        opcode,
        "{} expected, {r:?} came",
        opcode_name(opcode)
    );
    let r = r.node(2);
    let expected = CopyFileRangeIn {
        fh_in: FROM,
        off_in,
        nodeid_out: 3,
        fh_out: TO,
        off_out,
        len,
        flags: 0,
    };
    assert_eq!(r.arg::<CopyFileRangeIn>(), expected);
    r
}

fn copied(r: Request, bytes_copied: u64) {
    r.ok(CopyFileRangeOut { bytes_copied });
}

/// What copy_file_range(2) of 100 bytes from 10 to 20 makes of this answer.
#[track_caller]
fn answered(answer: std::result::Result<u64, Errno>) -> Result<usize> {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| copy_file_range((f, 10), (g, 20), 100));
    opened(&fs, 1000, 1000);
    let r = expect_copy(&fs, COPY_FILE_RANGE_64, 10, 20, 100);
    match answer {
        Ok(bytes_copied) => r.ok(CopyFileRangeOut { bytes_copied }),
        Err(e) => r.err(e),
    }
    closed(&fs);
    c.wait()
}

/// COPY_FILE_RANGE_64 is sent to the source, and names both handles, both positions and the length.
fn request() {
    assert_eq!(answered(Ok(100)), Ok(100));
}

/// The server may copy less than it was asked to.
fn short_copy() {
    assert_eq!(answered(Ok(3)), Ok(3));
}

/// It may copy nothing, which is no error.
fn nothing_copied() {
    assert_eq!(answered(Ok(0)), Ok(0));
}

/// A server that claims to have copied more than it was asked to causes EIO.
fn too_large_reply() {
    for claim in [101, 1 << 32, u64::MAX] {
        assert_eq!(answered(Ok(claim)), Err(EIO));
    }
}

/// What the server answers is what copy_file_range(2) fails with.
fn error_is_passed_on() {
    assert_eq!(answered(Err(ENOSPC)), Err(ENOSPC));
}

/// No more is asked for than the source is known to have.
fn not_beyond_the_source() {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| {
        (
            copy_file_range((f, 40), (g, 0), 1 << 20),
            copy_file_range((f, 50), (g, 0), 1 << 20),
        )
    });
    opened(&fs, 50, 0);
    copied(expect_copy(&fs, COPY_FILE_RANGE_64, 40, 0, 10), 10);
    closed(&fs);
    assert_eq!(c.wait(), (Ok(10), Ok(0)));
}

/// After ENOSYS to COPY_FILE_RANGE_64, COPY_FILE_RANGE is sent at once, and from then on.
fn older_operation() {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| {
        (
            copy_file_range((f, 0), (g, 0), 50),
            copy_file_range((f, 50), (g, 50), 50),
        )
    });
    opened(&fs, 100, 0);
    expect_copy(&fs, COPY_FILE_RANGE_64, 0, 0, 50).err(ENOSYS);
    expect_copy(&fs, COPY_FILE_RANGE, 0, 0, 50).ok(WriteOut {
        size: 50,
        padding: 0,
    });
    expect_copy(&fs, COPY_FILE_RANGE, 50, 50, 50).ok(WriteOut {
        size: 20,
        padding: 0,
    });
    closed(&fs);
    assert_eq!(c.wait(), (Ok(50), Ok(20)));
}

/// COPY_FILE_RANGE is asked for no more than its answer can say, in whole pages; and may not claim more.
fn older_operation_has_32_bits() {
    const HUGE: u64 = 5 << 30;
    const MOST: u32 = 0xffff_f000;
    for (claim, result) in [(MOST, Ok(MOST as usize)), (MOST + 1, Err(EIO))] {
        let fs = Fs::new();
        let c = with_both(&fs, |f, g| copy_file_range((f, 0), (g, 0), HUGE as usize));
        opened(&fs, HUGE, 0);
        expect_copy(&fs, COPY_FILE_RANGE_64, 0, 0, HUGE).err(ENOSYS);
        expect_copy(&fs, COPY_FILE_RANGE, 0, 0, MOST.into()).ok(WriteOut {
            size: claim,
            padding: 0,
        });
        closed(&fs);
        assert_eq!(c.wait(), result);
    }
}

/// The kernel reads 10 bytes of `data` from the source at 0, and writes them to the destination at `at`.
#[track_caller]
fn serve_by_hand(from: &Fs, to: &Fs, node: u64, at: u64) {
    let r = from.expect(READ).node(2);
    let a: ReadIn = r.arg();
    assert_eq!((a.fh, a.offset), (FROM, 0));
    r.reply(b"0123456789");
    let r = next(to).node(node);
    assert_eq!(r.head.opcode, WRITE, "WRITE expected, {r:?} came");
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (at, 10));
    assert_eq!(&r.body[size_of::<WriteIn>()..], b"0123456789");
    r.ok(WriteOut {
        size: 10,
        padding: 0,
    });
}

/// For a server that has neither, the kernel reads and writes, and it is never asked again.
fn neither_operation() {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| {
        (
            copy_file_range((f, 0), (g, 5), 10),
            copy_file_range((f, 0), (g, 15), 10),
        )
    });
    opened(&fs, 10, 100);
    expect_copy(&fs, COPY_FILE_RANGE_64, 0, 5, 10).err(ENOSYS);
    expect_copy(&fs, COPY_FILE_RANGE, 0, 5, 10).err(ENOSYS);
    serve_by_hand(&fs, &fs, 3, 5);
    // What was read is cached.
    let r = next(&fs).node(3);
    assert_eq!(r.head.opcode, WRITE, "WRITE expected, {r:?} came");
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (15, 10));
    r.ok(WriteOut {
        size: 10,
        padding: 0,
    });
    closed(&fs);
    assert_eq!(c.wait(), (Ok(10), Ok(10)));
}

/// EOPNOTSUPP and EXDEV are about these files: the kernel reads and writes, and asks again the next time.
fn server_that_cannot_copy_these() {
    for errno in [EOPNOTSUPP, EXDEV] {
        let fs = Fs::new();
        let c = with_both(&fs, |f, g| {
            (
                copy_file_range((f, 0), (g, 5), 10),
                copy_file_range((f, 0), (g, 15), 10),
            )
        });
        opened(&fs, 10, 100);
        expect_copy(&fs, COPY_FILE_RANGE_64, 0, 5, 10).err(errno);
        serve_by_hand(&fs, &fs, 3, 5);
        copied(expect_copy(&fs, COPY_FILE_RANGE_64, 0, 15, 10), 10);
        closed(&fs);
        assert_eq!(c.wait(), (Ok(10), Ok(10)));
    }
}

/// Between two servers the kernel reads and writes; neither is asked to copy.
fn between_two_mounts() {
    let (one, two) = (Fs::new(), Fs::new());
    let other = format!("{}/g", two.dir);
    let c = one.call(|m| {
        let f = m.open("f").unwrap();
        let g = sys::open(&other, libc::O_WRONLY).unwrap();
        let n = copy_file_range((f, 0), (g, 7), 10);
        close(g).unwrap();
        close(f).unwrap();
        n
    });
    one.lookup(ROOT, "f", file(2).size(10));
    one.open(2, FROM, 0);
    two.lookup(ROOT, "g", file(9));
    two.open(9, TO, 0);
    serve_by_hand(&one, &two, 9, 7);
    two.flush_and_release(9, TO);
    one.flush_and_release(2, FROM);
    assert_eq!(c.wait(), Ok(10));
}

/// Source and destination may be one file, if the ranges are apart.
fn within_one_file() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let apart = copy_file_range((f, 0), (f, 50), 50);
        let mixed = copy_file_range((f, 0), (f, 49), 50);
        close(f).unwrap();
        (apart, mixed)
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, FROM, 0);
    let r = next(&fs).node(2);
    assert_eq!(r.head.opcode, COPY_FILE_RANGE_64, "{r:?}");
    let a: CopyFileRangeIn = r.arg();
    assert_eq!((a.fh_in, a.off_in, a.len), (FROM, 0, 50));
    assert_eq!((a.nodeid_out, a.fh_out, a.off_out), (2, FROM, 50));
    copied(r, 50);
    fs.flush_and_release(2, FROM);
    assert_eq!(c.wait(), (Ok(50), Err(EINVAL)));
}

/// The size that the kernel believes the file to have, without asking.
fn believed_size(m: &Side, name: &str) -> Result<u64> {
    statx_size(&m.path(name), libc::AT_STATX_DONT_SYNC)
}

/// The destination is as long as what was copied to it needs, and its attributes are asked for again.
fn grows_the_destination() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let g = sys::open(&m.path("g"), libc::O_RDWR).unwrap();
        let n = copy_file_range((f, 0), (g, 80), 100);
        let believed = believed_size(m, "g");
        let told = fstat(g).map(|s| s.size);
        close(g).unwrap();
        close(f).unwrap();
        (n, believed, told)
    });
    opened(&fs, 100, 100);
    copied(expect_copy(&fs, COPY_FILE_RANGE_64, 0, 80, 100), 60);
    fs.getattr(file(3).size(140));
    closed(&fs);
    assert_eq!(c.wait(), (Ok(60), Ok(140), Ok(140)));
}

/// While a copy makes the destination longer, what GETATTR says of its size may be from before: it is shown, but not kept.
fn size_of_other_replies_does_not_count() {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| copy_file_range((f, 0), (g, 0), 100));
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, FROM, 0);
    fs.lookup(ROOT, "g", file(3).attr_valid(0, 0).size(10));
    fs.open(3, TO, FOPEN_KEEP_CACHE);
    let r = expect_copy(&fs, COPY_FILE_RANGE_64, 0, 0, 100);
    let d = fs.call(|m| (m.stat("g").map(|s| s.size), believed_size(m, "g")));
    fs.getattr(file(3).attr_valid(0, 0).size(77));
    assert_eq!(d.wait(), (Ok(77), Ok(10)));
    copied(r, 100);
    closed(&fs);
    assert_eq!(c.wait(), Ok(100));
}

/// Reads a byte of each page of "g".
fn touch(g: i32, pages: std::ops::Range<i64>) {
    for page in pages {
        assert_eq!(pread(g, 1, page * 4096).map(|b| b.len()), Ok(1));
    }
}

/// READ of a page of "g" comes, and is answered.
#[track_caller]
fn serve_page(fs: &Fs, page: u64) {
    fs.expect_read(TO, page * 4096, 4096).reply(&[7; 4096]);
}

/// Pages that were copied over, even in part, are read again; their neighbours are not.
fn drops_the_pages_that_were_copied_over() {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| {
        touch(g, 0..4);
        let n = copy_file_range((f, 0), (g, 4096 + 4095), 4096);
        touch(g, 0..4);
        n
    });
    opened(&fs, 4096, 4 * 4096);
    (0..4).for_each(|page| serve_page(&fs, page));
    copied(
        expect_copy(&fs, COPY_FILE_RANGE_64, 0, 4096 + 4095, 4096),
        4096,
    );
    serve_page(&fs, 1);
    serve_page(&fs, 2);
    closed(&fs);
    assert_eq!(c.wait(), Ok(4096));
}

/// If nothing was copied, nothing is dropped.
fn nothing_copied_drops_nothing() {
    let fs = Fs::new();
    let c = with_both(&fs, |f, g| {
        touch(g, 0..2);
        let n = copy_file_range((f, 0), (g, 0), 4096);
        touch(g, 0..2);
        n
    });
    opened(&fs, 4096, 2 * 4096);
    (0..2).for_each(|page| serve_page(&fs, page));
    copied(expect_copy(&fs, COPY_FILE_RANGE_64, 0, 0, 4096), 0);
    closed(&fs);
    assert_eq!(c.wait(), Ok(0));
}

/// With write-back the server learns how long the source is before it copies: what is dirty behind the range, too, is
/// written first.
fn source_is_as_long_for_the_server() {
    let fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let g = sys::open(&m.path("g"), libc::O_RDWR).unwrap();
        pwrite(f, &[7; 4096], 40960).unwrap();
        let n = copy_file_range((f, 0), (g, 0), 100);
        close(g).unwrap();
        close(f).unwrap();
        n
    });
    opened(&fs, 0, 100);
    let (mut written, mut released) = (false, 0);
    while released < 2 {
        let r = next(&fs);
        match r.head.opcode {
            WRITE => {
                assert_eq!(WriteIn::from_bytes(&r.body).offset, 40960);
                written = true;
                r.ok(WriteOut {
                    size: 4096,
                    padding: 0,
                });
            }
            COPY_FILE_RANGE_64 => {
                assert!(written, "the server knows no byte of the source yet");
                copied(r, 100);
            }
            SETATTR => {
                let node = file(r.head.nodeid);
                r.ok(node.size(45056).attr_out());
            }
            FLUSH => r.reply(&[]),
            RELEASE => {
                released += 1;
                r.reply(&[]);
            }
            _ => panic!("{r:?} came"),
        }
    }
    assert_eq!(c.wait(), Ok(100));
}

/// With write-back a copy that the kernel does by itself leaves it to others to send the times of the destination.
fn times_stay_where_nothing_is_copied() {
    let fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let g = sys::open(&m.path("g"), libc::O_RDWR).unwrap();
        // Here the server says that it cannot copy at all.
        copy_file_range((f, 0), (g, 0), 10).unwrap();
        m.pause();
        pwrite(g, b"0123456789", 20).unwrap();
        let n = copy_file_range((f, 0), (g, 40), 10);
        m.pause();
        close(g).unwrap();
        close(f).unwrap();
        n
    });
    opened(&fs, 10, 0);
    let answer = |r: Request| match r.head.opcode {
        COPY_FILE_RANGE_64 | COPY_FILE_RANGE => r.err(ENOSYS),
        GETXATTR => r.err(ENODATA),
        READ => r.reply(b"0123456789"),
        WRITE => {
            let size = WriteIn::from_bytes(&r.body).size;
            r.ok(WriteOut { size, padding: 0 });
        }
        SETATTR | GETATTR => {
            let node = file(r.head.nodeid);
            r.ok(node.size(50).attr_out());
        }
        FLUSH | RELEASE => r.reply(&[]),
        _ => panic!("unexpected request: {r:?}"),
    };
    serve_until(fs.dev(), answer, || !c.running());
    c.paused();
    c.go();
    let mut seen = Vec::new();
    serve_until(
        fs.dev(),
        |r| {
            seen.push(r.head.opcode);
            answer(r);
        },
        || !c.running(),
    );
    c.paused();
    assert!(!seen.contains(&SETATTR), "{seen:?}");
    c.go();
    serve_until(fs.dev(), answer, || !c.running());
    assert_eq!(c.wait(), Ok(10));
    serve_until(fs.dev(), answer, || !fs.dev().readable());
}
