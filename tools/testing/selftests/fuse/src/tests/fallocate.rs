// SPDX-License-Identifier: GPL-2.0

//! FALLOCATE: space is allocated, zeroed or given back by the server, and the page cache forgets what is not true any more.

use crate::mockd::*;

crate::tests![
    request,
    makes_the_file_longer,
    within_the_file_it_stays_as_long,
    keep_size,
    other_modes_are_not_sent,
    error_is_passed_on,
    hole_is_zero_without_asking,
    zeroed_range_makes_the_file_longer,
    zeroed_range_that_keeps_the_size,
    behind_the_end_is_zero,
    size_of_other_replies_does_not_count,
    too_long_for_the_caller,
    too_long_for_any_file,
    users_lose_the_id_bits,
    server_that_drops_the_id_bits_is_not_told,
    dirty_pages_are_written_before_a_hole,
    dirty_pages_are_not_written_before_space,
    stores_to_a_hole_come_back,
];

const PAGE: usize = 4096;
const KEEP_SIZE: i32 = libc::FALLOC_FL_KEEP_SIZE;
const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | KEEP_SIZE;
const ZERO: i32 = libc::FALLOC_FL_ZERO_RANGE;

/// Opens "f" for reading and writing, runs `with`, and closes.
pub fn with_open<T: Ship>(fs: &Fs, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let t = with(m, f);
        close(f).unwrap();
        t
    })
}

/// Answers what that asks first: "f" is node 2 of this size, opened with handle 5.
pub fn opened(fs: &Fs, size: u64) {
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, 0);
}

/// The next request that is not about the file's capabilities, which a change takes away.
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

#[track_caller]
fn expect_fallocate(fs: &Fs, mode: i32, offset: usize, length: usize) -> Request {
    let r = expect(fs, FALLOCATE);
    let expected = FallocateIn {
        fh: 5,
        offset: offset as u64,
        length: length as u64,
        mode: mode as u32,
        padding: 0,
    };
    assert_eq!(r.arg::<FallocateIn>(), expected);
    r
}

/// The size that the kernel believes, without asking.
fn believed_size(m: &Side) -> Result<u64> {
    statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC)
}

/// One fallocate(2) of "f" with `size` bytes, which the server answers; what came of it, and the size believed then.
#[track_caller]
fn one(
    size: u64,
    mode: i32,
    offset: usize,
    length: usize,
    answer: Result<()>,
) -> (Result<()>, u64) {
    let fs = Fs::new();
    let c = with_open(&fs, |m, f| {
        let result = fallocate_range(f, mode, offset as i64, length as i64);
        (result, believed_size(m).unwrap())
    });
    opened(&fs, size);
    let r = expect_fallocate(&fs, mode, offset, length);
    match answer {
        Ok(()) => r.reply(&[]),
        Err(e) => r.err(e),
    }
    fs.flush_and_release(2, 5);
    c.wait()
}

/// FALLOCATE carries handle, offset, length and mode; what it changes is asked for again.
fn request() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        (fallocate_range(f, 0, 100, 50), fstat(f).map(|s| s.size))
    });
    opened(&fs, 1000);
    expect_fallocate(&fs, 0, 100, 50).reply(&[]);
    fs.getattr(file(2).size(1000));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(()), Ok(1000)));
}

/// What is allocated behind the end makes the file longer at once.
fn makes_the_file_longer() {
    assert_eq!(one(100, 0, 50, 100, Ok(())), (Ok(()), 150));
}

/// What is allocated before it does not.
fn within_the_file_it_stays_as_long() {
    assert_eq!(one(1000, 0, 50, 100, Ok(())), (Ok(()), 1000));
}

/// With FALLOC_FL_KEEP_SIZE nothing makes it longer.
fn keep_size() {
    assert_eq!(one(100, KEEP_SIZE, 50, 100, Ok(())), (Ok(()), 100));
}

/// Modes that the protocol does not have are EOPNOTSUPP, and the server does not hear of them.
fn other_modes_are_not_sent() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let modes = [
            libc::FALLOC_FL_COLLAPSE_RANGE,
            libc::FALLOC_FL_INSERT_RANGE,
            libc::FALLOC_FL_UNSHARE_RANGE,
        ];
        modes
            .map(|mode| fallocate_range(f, mode, 0, 4096).unwrap_err())
            .to_vec()
    });
    opened(&fs, 8192);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), [EOPNOTSUPP; 3]);
}

/// What the server answers is what fallocate(2) fails with, and the file is as long as it was.
fn error_is_passed_on() {
    for mode in [0, KEEP_SIZE, PUNCH, ZERO] {
        assert_eq!(one(100, mode, 50, 100, Err(ENOSPC)), (Err(ENOSPC), 100));
    }
}

/// Reads three pages of sevens, has `mode` done to what is from 10 bytes before the second to 10 bytes into the third,
/// and reads again: the pages that the range fills are asked for, of the others only the range is zero.
fn hole_is_zero_without_asking() {
    for mode in [PUNCH, ZERO, ZERO | KEEP_SIZE] {
        let fs = Fs::new();
        let c = with_open(&fs, |_, f| {
            let before = pread(f, 3 * PAGE, 0).unwrap();
            fallocate_range(f, mode, PAGE as i64 - 10, PAGE as i64 + 20).unwrap();
            let after = pread(f, 3 * PAGE, 0).unwrap();
            (before, after)
        });
        opened(&fs, 3 * PAGE as u64);
        for page in 0..3 {
            fs.expect_read(5, page * 4096, 4096).reply(&[7; PAGE]);
        }
        expect_fallocate(&fs, mode, PAGE - 10, PAGE + 20).reply(&[]);
        fs.expect_read(5, 4096, 4096).reply(&[9; PAGE]);
        fs.flush_and_release(2, 5);
        let mut now = vec![7; 3 * PAGE];
        now[PAGE - 10..2 * PAGE + 10].fill(0);
        now[PAGE..2 * PAGE].fill(9);
        let (before, after) = c.wait();
        assert!(before == [7; 3 * PAGE] && after == now);
    }
}

/// A range that is zeroed behind the end makes the file longer.
fn zeroed_range_makes_the_file_longer() {
    assert_eq!(one(100, ZERO, 50, 100, Ok(())), (Ok(()), 150));
}

/// Unless it is to keep its size.
fn zeroed_range_that_keeps_the_size() {
    assert_eq!(one(100, ZERO | KEEP_SIZE, 50, 100, Ok(())), (Ok(()), 100));
}

/// What was stored behind the end is gone when the file becomes longer.
fn behind_the_end_is_zero() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, PAGE).unwrap();
        map.store(200, b"out");
        fallocate_range(f, 0, 5000, 100).unwrap();
        let seen = map.load(200, 3);
        map.unmap();
        seen
    });
    opened(&fs, 100);
    fs.expect_read(5, 0, 4096).reply(&[7; 100]);
    expect_fallocate(&fs, 0, 5000, 100).reply(&[]);
    let r = expect(&fs, WRITE);
    let mut now = vec![7; PAGE];
    now[100..].fill(0);
    assert!(r.body[size_of::<WriteIn>()..] == now);
    r.ok(WriteOut {
        size: PAGE as u32,
        padding: 0,
    });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), vec![0; 3]);
}

/// While the file becomes longer, what GETATTR says of its size may be from before: it is shown, but not kept.
fn size_of_other_replies_does_not_count() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| fallocate_range(f, 0, 0, 100));
    fs.lookup(ROOT, "f", file(2).size(10).attr_valid(0, 0));
    fs.open(2, 5, 0);
    let r = expect_fallocate(&fs, 0, 0, 100);
    let d = fs.call(|m| (m.stat("f").map(|s| s.size), believed_size(m)));
    fs.getattr(file(2).attr_valid(0, 0).size(77));
    assert_eq!(d.wait(), (Ok(77), Ok(10)));
    r.reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// A file longer than the caller may make one is EFBIG, before the server is asked.
fn too_long_for_the_caller() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        ignore(libc::SIGXFSZ);
        let limit = libc::rlimit {
            rlim_cur: 5000,
            rlim_max: 5000,
        };
        // SAFETY: a limit to read.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
        (
            fallocate_range(f, 0, 0, 5001),
            fallocate_range(f, KEEP_SIZE, 0, 5001),
        )
    });
    opened(&fs, 100);
    expect_fallocate(&fs, KEEP_SIZE, 0, 5001).reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(EFBIG), Ok(())));
}

/// The VFS lets no range end where no file can.
fn too_long_for_any_file() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        (
            fallocate_range(f, 0, i64::MAX, 1),
            fallocate_range(f, 0, -1, 1),
            fallocate_range(f, 0, 0, 0),
        )
    });
    opened(&fs, 100);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(EFBIG), Err(EINVAL), Err(EINVAL)));
}

/// Who may not keep id bits takes them from the file, before anything else.
fn users_lose_the_id_bits() {
    for mode in [0, PUNCH] {
        let fs = Setup::new().option("allow_other").start();
        let c = fs.call(|m| {
            become_user(1000, 1000);
            let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
            let result = fallocate_range(f, mode, 0, 10);
            close(f).unwrap();
            result
        });
        let node = file(2).size(100).perm(0o4777);
        fs.lookup(ROOT, "f", node);
        fs.open(2, 5, 0);
        let mut r = next(&fs);
        // The server has the mode that counts.
        if r.head.opcode == GETATTR {
            r.ok(node.attr_out());
            r = next(&fs);
        }
        assert_eq!(r.head.opcode, SETATTR, "{r:?} came");
        let a: SetattrIn = r.arg();
        assert_eq!((a.valid & 1, a.mode & 0o7777), (1, 0o777));
        r.ok(node.perm(0o777).attr_out());
        expect_fallocate(&fs, mode, 0, 10).reply(&[]);
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), Ok(()));
    }
}

/// A server that drops them by itself is not asked to: a SETATTR that may come changes nothing.
fn server_that_drops_the_id_bits_is_not_told() {
    let fs = Setup::new()
        .option("allow_other")
        .flags(init::HANDLE_KILLPRIV)
        .start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let result = fallocate_range(f, 0, 0, 10);
        close(f).unwrap();
        result
    });
    fs.lookup(ROOT, "f", file(2).size(100).perm(0o4777));
    fs.open(2, 5, 0);
    let r = expect(&fs, SETATTR);
    assert_eq!(r.arg::<SetattrIn>().valid, 0);
    r.ok(file(2).size(100).perm(0o4777).attr_out());
    expect_fallocate(&fs, 0, 0, 10).reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

fn written_back() -> Fs {
    Setup::new()
        .flags(init::WRITEBACK_CACHE | init::BIG_WRITES)
        .start()
}

/// WRITE of this many sevens comes, and is answered.
#[track_caller]
fn serve_write(fs: &Fs, offset: usize, len: usize) {
    let r = expect(fs, WRITE);
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (offset as u64, len as u32));
    assert!(r.body[size_of::<WriteIn>()..].iter().all(|b| *b == 7));
    r.ok(WriteOut {
        size: len as u32,
        padding: 0,
    });
}

/// SETATTR with times of the kernel may come; then the file is closed.
#[track_caller]
fn closed_after_times(fs: &Fs) {
    let mut r = next(fs);
    while r.head.opcode == SETATTR {
        r.ok(file(2).attr_out());
        r = next(fs);
    }
    assert_eq!(r.head.opcode, FLUSH, "{r:?} came");
    r.reply(&[]);
    fs.release(2, 5);
}

/// All that is dirty from the hole on is written before it: the server must know how long the file is.
fn dirty_pages_are_written_before_a_hole() {
    for mode in [PUNCH, ZERO | KEEP_SIZE] {
        let fs = written_back();
        let c = with_open(&fs, |_, f| {
            pwrite(f, &[7; PAGE], 0).unwrap();
            pwrite(f, &[7; PAGE], 4 * PAGE as i64).unwrap();
            fallocate_range(f, mode, 2 * PAGE as i64, PAGE as i64)
        });
        opened(&fs, 0);
        serve_write(&fs, 4 * PAGE, PAGE);
        let mut r = next(&fs);
        // What is dirty before it may stay.
        if r.head.opcode == SETATTR {
            r.ok(file(2).attr_out());
            r = next(&fs);
        }
        assert_eq!(r.head.opcode, FALLOCATE, "{r:?} came");
        r.reply(&[]);
        let mut r = next(&fs);
        if r.head.opcode == SETATTR {
            r.ok(file(2).attr_out());
            r = next(&fs);
        }
        assert_eq!(r.head.opcode, WRITE, "{r:?} came");
        assert_eq!(WriteIn::from_bytes(&r.body).offset, 0);
        r.ok(WriteOut {
            size: PAGE as u32,
            padding: 0,
        });
        closed_after_times(&fs);
        assert_eq!(c.wait(), Ok(()));
    }
}

/// Plain allocation writes nothing before, and the pages that are dirty stay.
fn dirty_pages_are_not_written_before_space() {
    let fs = written_back();
    let c = with_open(&fs, |m, f| {
        pwrite(f, &[7; PAGE], 0).unwrap();
        let result = fallocate_range(f, 0, 0, 10 * PAGE as i64);
        (result, believed_size(m))
    });
    opened(&fs, 0);
    expect_fallocate(&fs, 0, 0, 10 * PAGE).reply(&[]);
    let mut r = next(&fs);
    if r.head.opcode == SETATTR {
        r.ok(file(2).attr_out());
        r = next(&fs);
    }
    assert_eq!(r.head.opcode, WRITE, "{r:?} came");
    assert_eq!(WriteIn::from_bytes(&r.body).size as usize, PAGE);
    r.ok(WriteOut {
        size: PAGE as u32,
        padding: 0,
    });
    closed_after_times(&fs);
    assert_eq!(c.wait(), (Ok(()), Ok(10 * PAGE as u64)));
}

/// A mapping shows a hole at once, and what is stored to it after is written.
fn stores_to_a_hole_come_back() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, PAGE).unwrap();
        let before = map.load(0, 1);
        fallocate_range(f, PUNCH, 0, PAGE as i64).unwrap();
        let after = map.load(0, 1);
        map.store(0, b"new");
        map.unmap();
        (before, after)
    });
    opened(&fs, PAGE as u64);
    fs.expect_read(5, 0, 4096).reply(&[7; PAGE]);
    expect_fallocate(&fs, PUNCH, 0, PAGE).reply(&[]);
    // The page was dropped as a whole, so it is asked for.
    fs.expect_read(5, 0, 4096).reply(&[0; PAGE]);
    let r = expect(&fs, WRITE);
    assert!(r.body[size_of::<WriteIn>()..][..4] == *b"new\0");
    r.ok(WriteOut {
        size: PAGE as u32,
        padding: 0,
    });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (vec![7], vec![0]));
}
