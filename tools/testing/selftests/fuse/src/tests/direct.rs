// SPDX-License-Identifier: GPL-2.0

//! Direct I/O: writers side by side, requests that are sent at once, callers that do not wait, and whose memory it is.

use crate::mockd::*;

crate::tests![
    writers_take_turns,
    writers_side_by_side,
    side_by_side_needs_direct_io,
    writers_beyond_the_end_take_turns,
    writers_that_append_take_turns,
    cached_file_makes_writers_take_turns,
    cached_open_waits_for_writers,
    mapping_waits_for_writers,
    mapping_waits_for_no_writer_that_faults,
    writers_after_a_cached_file_was_closed,
    failed_write_beyond_the_end_is_cut_back,
    failed_write_within_the_file_is_not,
    cutting_back_drops_id_bits,
    killed_while_it_cuts_back,
    memory_that_cannot_be_written,
    memory_that_cannot_be_read,
    memory_is_as_it_was_behind_a_short_reply,
    pieces_of_memory_share_a_request,
    one_after_the_other_without_async_dio,
    all_at_once_with_async_dio,
    short_reply_to_one_of_many,
    error_of_one_of_many,
    short_write_of_one_of_many,
    reader_does_not_wait,
    writer_does_not_wait,
    writer_that_grows_the_file_waits,
    truncated_before_it_is_written,
    error_for_who_does_not_wait,
    nobody_waits_and_the_server_dies,
    read_nothing_beyond_the_end,
    max_pages_that_is_no_power_of_two,
    max_pages_counts_in_every_way,
    late_write_drops_what_was_read_meanwhile,
    late_write_makes_attributes_stale,
    position_of_a_ring_moves,
    closed_before_it_ends,
    killed_reader_waits_and_its_memory_is_filled,
    killed_writer_waits,
    killed_before_the_request_is_read,
    killed_while_nobody_waits,
    rings_are_told_when_the_server_has_answered,
    killed_with_a_ring,
    memory_is_given_back,
    loop_device_with_memory_of_kmalloc,
];

const DIRECT: u32 = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES;
const PAGE: usize = 4096;
const SIZE: u64 = 16 * PAGE as u64;

fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len)
        .map(|i| (i / 7 + i / 4096) as u8)
        .collect()
}

/// The next request, which is no look at capabilities, nor at whether a file is ready, as a ring first takes.
#[track_caller]
fn next(fs: &Fs) -> Request {
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETXATTR | POLL => r.err(ENOSYS),
            _ => return r,
        }
    }
}

/// WRITE comes for exactly these bytes of the pattern.
#[track_caller]
fn expect_write(fs: &Fs, offset: usize, size: usize) -> Request {
    let r = next(fs);
    assert_eq!(r.head.opcode, WRITE, "WRITE expected, {r:?} came");
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size as usize), (offset as u64, size));
    assert!(r.body[size_of::<WriteIn>()..] == pattern(offset, size));
    r
}

fn wrote(r: Request, size: usize) {
    r.ok(WriteOut {
        size: size as u32,
        padding: 0,
    });
}

/// READ comes for exactly these bytes.
#[track_caller]
fn expect_read(fs: &Fs, offset: usize, size: usize) -> Request {
    let r = next(fs);
    assert_eq!(r.head.opcode, READ, "READ expected, {r:?} came");
    let a: ReadIn = r.arg();
    assert_eq!((a.offset, a.size as usize), (offset as u64, size));
    r
}

/// What a last close makes, of any handle.
#[track_caller]
fn closed(fs: &Fs) {
    fs.expect(FLUSH).reply(&[]);
    fs.expect(RELEASE).reply(&[]);
}

/// A process that has "f" open, and writes 100 bytes of the pattern at `at` when it is told to go.
fn writer(fs: &Fs, flags: i32, at: usize, fopen: u32) -> Caller<Result<usize>> {
    let c = with_open(fs, libc::O_RDWR | flags, |m, f| {
        m.pause();
        pwrite(f, &pattern(at, 100), at as i64)
    });
    let r = fs.dev().next();
    let r = match r.head.opcode {
        LOOKUP => {
            r.ok(file(2).size(SIZE).entry());
            fs.expect(OPEN)
        }
        _ => r,
    };
    assert_eq!(r.head.opcode, OPEN, "OPEN expected, {r:?} came");
    r.ok(OpenOut {
        fh: 5,
        open_flags: fopen,
        backing_id: 0,
    });
    c.paused();
    c
}

/// Two writers, and nothing of the second before the first is answered.
#[track_caller]
fn take_turns(fs: &Fs, one: &Caller<Result<usize>>, two: &Caller<Result<usize>>, at: [usize; 2]) {
    one.go();
    let r = expect_write(fs, at[0], 100);
    two.go();
    two.stays_asleep();
    fs.quiet();
    wrote(r, 100);
    // The first one closes, and the second one writes, in any order.
    let mut seen = Vec::new();
    for _ in 0..5 {
        let r = next(fs);
        seen.push(r.head.opcode);
        match r.head.opcode {
            WRITE => {
                assert_eq!(WriteIn::from_bytes(&r.body).offset, at[1] as u64);
                wrote(r, 100);
            }
            _ => r.reply(&[]),
        }
    }
    seen.sort();
    assert_eq!(seen, [WRITE, RELEASE, RELEASE, FLUSH, FLUSH]);
    assert_eq!((one.wait(), two.wait()), (Ok(100), Ok(100)));
}

/// Two writers, and both WRITEs before the first is answered.
#[track_caller]
fn side_by_side(fs: &Fs, one: &Caller<Result<usize>>, two: &Caller<Result<usize>>) {
    one.go();
    let r = expect_write(fs, 0, 100);
    two.go();
    let s = expect_write(fs, 200, 100);
    wrote(s, 100);
    closed(fs);
    assert_eq!(two.wait(), Ok(100));
    wrote(r, 100);
    closed(fs);
    assert_eq!(one.wait(), Ok(100));
}

/// Direct writers of a file take turns.
fn writers_take_turns() {
    let fs = Fs::new();
    let one = writer(&fs, 0, 0, FOPEN_DIRECT_IO);
    let two = writer(&fs, 0, 200, FOPEN_DIRECT_IO);
    take_turns(&fs, &one, &two, [0, 200]);
}

/// With FOPEN_PARALLEL_DIRECT_WRITES they do not.
fn writers_side_by_side() {
    let fs = Fs::new();
    let one = writer(&fs, 0, 0, DIRECT);
    let two = writer(&fs, 0, 200, DIRECT);
    side_by_side(&fs, &one, &two);
}

/// FOPEN_PARALLEL_DIRECT_WRITES means nothing without FOPEN_DIRECT_IO, even for O_DIRECT.
fn side_by_side_needs_direct_io() {
    let fs = Fs::new();
    let one = writer(&fs, libc::O_DIRECT, 0, FOPEN_PARALLEL_DIRECT_WRITES);
    let two = writer(&fs, libc::O_DIRECT, 200, FOPEN_PARALLEL_DIRECT_WRITES);
    take_turns(&fs, &one, &two, [0, 200]);
}

/// Writers that make the file longer take turns all the same.
fn writers_beyond_the_end_take_turns() {
    let fs = Fs::new();
    let end = SIZE as usize;
    let one = writer(&fs, 0, end - 99, DIRECT);
    let two = writer(&fs, 0, end + 100, DIRECT);
    take_turns(&fs, &one, &two, [end - 99, end + 100]);
}

/// So do writers that append.
fn writers_that_append_take_turns() {
    let fs = Fs::new();
    let end = SIZE as usize;
    let one = with_open(&fs, libc::O_WRONLY | libc::O_APPEND, |m, f| {
        m.pause();
        write(f, &pattern(end, 100))
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, DIRECT);
    one.paused();
    let two = with_open(&fs, libc::O_WRONLY | libc::O_APPEND, |m, f| {
        m.pause();
        write(f, &pattern(end + 100, 100))
    });
    fs.open(2, 5, DIRECT);
    two.paused();
    take_turns(&fs, &one, &two, [end, end + 100]);
}

/// While somebody has the file open for cached use, writers take turns.
fn cached_file_makes_writers_take_turns() {
    let fs = Fs::new();
    let reader = writer(&fs, 0, 400, 0);
    let one = writer(&fs, 0, 0, DIRECT);
    let two = writer(&fs, 0, 200, DIRECT);
    take_turns(&fs, &one, &two, [0, 200]);
    reader.go();
    wrote(expect_write(&fs, 400, 100), 100);
    closed(&fs);
    assert_eq!(reader.wait(), Ok(100));
}

/// Opens "f" with this FOPEN flag and does `what`, which waits until no WRITEs are side by side, keeps new ones from that,
/// and comes to a pause then.
fn waits_for_writers(fs: &Fs, fopen: u32, what: fn(&Side, i32)) {
    let one = writer(fs, 0, 0, DIRECT);
    let two = writer(fs, 0, 200, DIRECT);
    one.go();
    let r = expect_write(fs, 0, 100);
    let waiter = with_open(fs, libc::O_RDWR, what);
    fs.open(2, 6, fopen);
    waiter.stays_asleep();
    two.go();
    two.stays_asleep();
    fs.quiet();
    wrote(r, 100);
    waiter.paused();
    // The first one closes, and the second one writes.
    let mut last = None;
    for _ in 0..3 {
        let r = next(fs);
        match r.head.opcode {
            WRITE => last = Some(r),
            _ => r.reply(&[]),
        }
    }
    wrote(last.expect("the WRITE of the second"), 100);
    closed(fs);
    waiter.go();
    closed(fs);
    waiter.wait();
    assert_eq!((one.wait(), two.wait()), (Ok(100), Ok(100)));
}

/// An open for cached use waits until no WRITEs are side by side, and keeps new ones from that.
fn cached_open_waits_for_writers() {
    waits_for_writers(&Fs::new(), FOPEN_KEEP_CACHE, |m, _| m.pause());
}

/// So does the first shared mapping of a file that is used past the cache.
fn mapping_waits_for_writers() {
    let fs = Setup::new().flags(init::DIRECT_IO_ALLOW_MMAP).start();
    waits_for_writers(&fs, DIRECT, |m, f| {
        let map = Map::shared(f, PAGE).unwrap();
        m.pause();
        map.unmap();
    });
}

/// A mapping does not wait for one that needs the address space meanwhile, because not all of its memory is there yet.
fn mapping_waits_for_no_writer_that_faults() {
    skip_on_c("who maps and who writes side by side wait for each other");
    for (setup, submits) in [(Setup::new(), false), (async_dio(), true)] {
        let fs = setup
            .flags(init::DIRECT_IO_ALLOW_MMAP)
            .init(|out| (out.max_write, out.max_background) = (4096, 1))
            .start();
        let c = with_open(&fs, libc::O_RDWR, |m, f| {
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let len = 3 * PAGE;
            let memory = Map::new(-1, len, libc::PROT_READ | libc::PROT_WRITE, anonymous).unwrap();
            // Of what is submitted two pages are taken before the first is written.
            memory.store(0, &vec![0; if submits { 2 } else { 1 } * PAGE]);
            let part = memory.part(0, len);
            let writer = std::thread::spawn(move || {
                if submits {
                    let mut aio = Aio::new();
                    aio.write_part(f, part, 0).unwrap();
                    aio.wait().0
                } else {
                    writev(f, &[part])
                }
            });
            m.pause();
            let map = Map::shared(f, PAGE).unwrap();
            let written = writer.join().unwrap();
            map.unmap();
            memory.unmap();
            written
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, DIRECT);
        c.paused();
        let next_write = |at: usize| {
            let r = next(&fs);
            assert_eq!(r.head.opcode, WRITE, "WRITE expected, {r:?} came");
            let a = WriteIn::from_bytes(&r.body);
            assert_eq!((a.offset, a.size), (at as u64, 4096));
            r
        };
        let r = next_write(0);
        c.go();
        c.stays_asleep();
        wrote(r, PAGE);
        for at in [PAGE, 2 * PAGE] {
            wrote(next_write(at), PAGE);
        }
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), Ok(3 * PAGE));
    }
}

/// When the last file for cached use is closed, writers are side by side again.
fn writers_after_a_cached_file_was_closed() {
    let fs = Fs::new();
    let one = writer(&fs, 0, 0, DIRECT);
    let two = writer(&fs, 0, 200, DIRECT);
    let reader = writer(&fs, 0, 400, 0);
    reader.go();
    wrote(expect_write(&fs, 400, 100), 100);
    closed(&fs);
    assert_eq!(reader.wait(), Ok(100));
    // RELEASE was sent after the file had let go of the inode.
    side_by_side(&fs, &one, &two);
}

/// Writes 8 KiB at `at` of an O_DIRECT file, of which the server refuses the second half.
fn write_and_fail(fs: &Fs, at: usize) -> Caller<Result<usize>> {
    let c = with_open(fs, libc::O_RDWR | libc::O_DIRECT, |_, f| {
        pwrite(f, &pattern(at, 2 * PAGE), at as i64)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let r = expect_write(fs, at, PAGE);
    let s = expect_write(fs, at + PAGE, PAGE);
    s.err(ENOSPC);
    wrote(r, PAGE);
    c
}

fn async_dio() -> Setup {
    Setup::new()
        .option("max_read=4096")
        .flags(init::ASYNC_DIO | init::BIG_WRITES)
        .init(|out| out.max_write = 4096)
}

/// If a part of an O_DIRECT write beyond the end fails, the server is told to cut the file back to what it was.
fn failed_write_beyond_the_end_is_cut_back() {
    let fs = async_dio().start();
    let c = write_and_fail(&fs, SIZE as usize);
    let r = next(&fs).node(2);
    assert_eq!(r.head.opcode, SETATTR, "SETATTR expected, {r:?} came");
    let a: SetattrIn = r.arg();
    // Size, handle and lock owner.
    assert_eq!(
        (a.valid, a.size, a.fh),
        ((1 << 3) | (1 << 6) | (1 << 9), SIZE, 5)
    );
    r.ok(file(2).size(SIZE).attr_out());
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(ENOSPC));
}

/// Within the file there is nothing to cut.
fn failed_write_within_the_file_is_not() {
    let fs = async_dio().start();
    let c = write_and_fail(&fs, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(ENOSPC));
}

/// With HANDLE_KILLPRIV_V2 it is told to drop the id bits with that, unless the caller may keep them.
fn cutting_back_drops_id_bits() {
    for user in [false, true] {
        let fs = async_dio()
            .flags(init::HANDLE_KILLPRIV_V2)
            .option("allow_other")
            .start();
        let c = fs.call(|m| {
            if user {
                become_user(1000, 1000);
            }
            let f = sys::open(&m.path("f"), libc::O_RDWR | libc::O_DIRECT).unwrap();
            let written = pwrite(f, &pattern(SIZE as usize, 2 * PAGE), SIZE as i64);
            close(f).unwrap();
            written
        });
        let node = file(2).size(SIZE).perm(0o6777);
        fs.lookup(ROOT, "f", node);
        fs.open(2, 5, 0);
        let mut cut = None;
        loop {
            let r = next(&fs);
            match r.head.opcode {
                WRITE => r.err(ENOSPC),
                SETATTR => {
                    let a: SetattrIn = r.arg();
                    // The kernel may drop the bits of its own copy before it writes.
                    if a.valid & (1 << 3) != 0 {
                        cut = Some(a.valid & (1 << 11) != 0);
                    }
                    r.ok(node.attr_out());
                }
                FLUSH => r.reply(&[]),
                RELEASE => break r.reply(&[]),
                _ => panic!("unexpected request: {r:?}"),
            }
        }
        assert_eq!((c.wait(), cut), (Err(ENOSPC), Some(user)));
    }
}

/// If the writer is killed before the server has read that, nothing that is known of the file counts any more.
fn killed_while_it_cuts_back() {
    // The server may still be faster than the killed process.
    let withdrawn = (0..20).any(|_| {
        let fs = async_dio().start();
        let mut c = with_open(&fs, libc::O_RDWR | libc::O_DIRECT, |_, f| {
            pwrite(f, &pattern(SIZE as usize, PAGE), SIZE as i64)
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, 0);
        let r = expect_write(&fs, SIZE as usize, PAGE);
        c.until_uninterruptible();
        c.signal(libc::SIGKILL);
        c.stays_asleep();
        r.err(ENOSPC);
        sleep_ms(ms(20) as u64);
        let r = next(&fs);
        let withdrawn = r.head.opcode == FLUSH;
        if withdrawn {
            r.reply(&[]);
        } else {
            assert_eq!(r.head.opcode, SETATTR, "{r:?} came");
            r.ok(file(2).size(SIZE).attr_out());
            fs.expect(FLUSH).reply(&[]);
        }
        fs.release(2, 5);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
        if withdrawn {
            // The mode is nothing that a write could have changed.
            let d = fs.call(|m| statx_mode(&m.path("f")));
            fs.getattr(file(2).size(SIZE));
            assert_eq!(d.wait(), Ok(0o644));
        }
        withdrawn
    });
    assert!(
        withdrawn,
        "the server always has it before the process is gone"
    );
}

/// What cannot be written to is EFAULT before the server is asked; behind good memory it ends the read.
fn memory_that_cannot_be_written() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        let mut good = [0u8; 100];
        let bad = (PAGE, 100);
        let base = good.as_mut_ptr() as usize;
        (readv(f, &[bad]), readv(f, &[(base, 100), bad]))
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    expect_read(&fs, 0, 100).reply(&[1; 100]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(EFAULT), Ok(100)));
}

/// What cannot be read is EFAULT before the server is asked; behind good memory it ends the write.
fn memory_that_cannot_be_read() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_WRONLY, |_, f| {
        let good = pattern(0, 100);
        let bad = (PAGE, 100);
        let base = good.as_ptr() as usize;
        (writev(f, &[bad]), writev(f, &[(base, 100), bad]))
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    wrote(expect_write(&fs, 0, 100), 100);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(EFAULT), Ok(100)));
}

/// A short reply leaves the rest of the caller's memory alone.
fn memory_is_as_it_was_behind_a_short_reply() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        let mut room = [9u8; 10];
        let n = readv(f, &[(room.as_mut_ptr() as usize, 10)]);
        (n, room.to_vec())
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    expect_read(&fs, 0, 10).reply(&[1; 4]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(4), vec![1, 1, 1, 1, 9, 9, 9, 9, 9, 9]));
}

/// The pieces of one readv(2) or writev(2), wherever they are, go into one request.
fn pieces_of_memory_share_a_request() {
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        let data = pattern(0, 9000);
        let base = data.as_ptr() as usize;
        let w = writev(
            f,
            &[
                (base, 1),
                (base + 1, 0),
                (base + 1, 4999),
                (base + 5000, 4000),
            ],
        );
        let mut room = vec![0u8; 9000];
        let base = room.as_mut_ptr() as usize;
        lseek(f, 0, libc::SEEK_SET).unwrap();
        let r = readv(f, &[(base, 4097), (base + 4097, 3), (base + 4100, 4900)]);
        (w, r, room == data)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    wrote(expect_write(&fs, 0, 9000), 9000);
    expect_read(&fs, 0, 9000).reply(&pattern(0, 9000));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(9000), Ok(9000), true));
}

/// Reads three pages of an O_DIRECT file.
fn read_three(fs: &Fs) -> Caller<Result<Vec<u8>>> {
    let c = with_open(fs, libc::O_RDONLY | libc::O_DIRECT, |_, f| {
        pread(f, 3 * PAGE, 0)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    c
}

/// Without ASYNC_DIO a request is sent when the one before it is answered.
fn one_after_the_other_without_async_dio() {
    let fs = Setup::new().option("max_read=4096").start();
    let c = read_three(&fs);
    for page in 0..3 {
        let r = expect_read(&fs, page * PAGE, PAGE);
        c.stays_asleep();
        fs.quiet();
        r.reply(&pattern(page * PAGE, PAGE));
    }
    fs.flush_and_release(2, 5);
    assert!(c.wait() == Ok(pattern(0, 3 * PAGE)));
}

/// The three READs of [`read_three`].
#[track_caller]
fn three_reads(fs: &Fs) -> [Request; 3] {
    [0, 1, 2].map(|page| expect_read(fs, page * PAGE, PAGE))
}

/// With ASYNC_DIO all requests of a transfer are sent at once, and answered in any order.
fn all_at_once_with_async_dio() {
    let fs = async_dio().start();
    let c = read_three(&fs);
    let [a, b, d] = three_reads(&fs);
    d.reply(&pattern(2 * PAGE, PAGE));
    a.reply(&pattern(0, PAGE));
    c.stays_asleep();
    b.reply(&pattern(PAGE, PAGE));
    fs.flush_and_release(2, 5);
    assert!(c.wait() == Ok(pattern(0, 3 * PAGE)));
}

/// The first part that comes short is where the read ends, whatever comes behind it.
fn short_reply_to_one_of_many() {
    let fs = async_dio().start();
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        let mut aio = Aio::new();
        aio.read(f, 3 * PAGE, 0).unwrap();
        let (n, data) = aio.wait();
        (n, data[..PAGE + 10] == pattern(0, PAGE + 10))
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    let [a, b, d] = three_reads(&fs);
    d.reply(&pattern(2 * PAGE, 7));
    b.reply(&pattern(PAGE, 10));
    a.reply(&pattern(0, PAGE));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(PAGE + 10), true));
}

/// An error of one part is the error of all.
fn error_of_one_of_many() {
    let fs = async_dio().start();
    let c = read_three(&fs);
    let [a, b, d] = three_reads(&fs);
    a.reply(&pattern(0, PAGE));
    b.reply(&pattern(PAGE, PAGE));
    d.err(ODD);
    fs.flush_and_release(2, 5);
    assert!(c.wait() == Err(ODD));
}

/// A part that is not written to its end is EIO.
fn short_write_of_one_of_many() {
    let fs = async_dio().start();
    let c = with_open(&fs, libc::O_RDWR | libc::O_DIRECT, |_, f| {
        pwrite(f, &pattern(0, 2 * PAGE), 0)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let a = expect_write(&fs, 0, PAGE);
    let b = expect_write(&fs, PAGE, PAGE);
    wrote(a, PAGE);
    wrote(b, PAGE - 1);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// Who reads by io_submit(2) goes on, and is told when the last part has been answered; FOPEN_DIRECT_IO or O_DIRECT.
fn reader_does_not_wait() {
    for (flags, fopen) in [(libc::O_DIRECT, 0), (0, FOPEN_DIRECT_IO)] {
        let fs = async_dio().start();
        let c = with_open(&fs, libc::O_RDONLY | flags, |m, f| {
            let mut aio = Aio::new();
            aio.read(f, 3 * PAGE, 0).unwrap();
            m.pause();
            let (n, data) = aio.wait();
            (n, data == pattern(0, 3 * PAGE))
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, fopen);
        let [a, b, d] = three_reads(&fs);
        c.paused();
        c.go();
        a.reply(&pattern(0, PAGE));
        d.reply(&pattern(2 * PAGE, PAGE));
        c.stays_asleep();
        b.reply(&pattern(PAGE, PAGE));
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), (Ok(3 * PAGE), true));
    }
}

/// Who writes by io_submit(2) within the file goes on, too.
fn writer_does_not_wait() {
    for (flags, fopen) in [(libc::O_DIRECT, 0), (0, FOPEN_DIRECT_IO)] {
        let fs = async_dio().start();
        let c = with_open(&fs, libc::O_RDWR | flags, |m, f| {
            let mut aio = Aio::new();
            aio.write(f, &pattern(0, 2 * PAGE), 0).unwrap();
            m.pause();
            aio.wait().0
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, fopen);
        let a = expect_write(&fs, 0, PAGE);
        let b = expect_write(&fs, PAGE, PAGE);
        c.paused();
        c.go();
        c.stays_asleep();
        wrote(b, PAGE);
        wrote(a, PAGE);
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), Ok(2 * PAGE));
    }
}

/// A write that makes the file longer is waited for by io_submit(2).
fn writer_that_grows_the_file_waits() {
    let fs = async_dio().start();
    let c = with_open(&fs, libc::O_RDWR | libc::O_DIRECT, |m, f| {
        let mut aio = Aio::new();
        aio.write(f, &pattern(SIZE as usize, PAGE), SIZE as i64)
            .unwrap();
        let size = statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC);
        (aio.wait().0, size)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let r = expect_write(&fs, SIZE as usize, PAGE);
    c.stays_asleep();
    wrote(r, PAGE);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(PAGE), Ok(SIZE + PAGE as u64)));
}

/// The end of the file that the kernel knows.
fn known_size(m: &Side) -> u64 {
    statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap()
}

/// A file that is truncated while a write of io_submit(2) waits for its memory and for its turn is as long for the
/// kernel as for the server afterwards, whichever of the two the server gets first.
fn truncated_before_it_is_written() {
    const AT: usize = 2 * PAGE;
    let (fs, other) = (async_dio().start(), Fs::new());
    let c = fs.call(|m| getxattr(&m.path("f"), "user.x").map(drop));
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.expect(GETXATTR).err(ENOSYS);
    assert_eq!(c.wait(), Err(EOPNOTSUPP));
    let memory = format!("{}/m", other.dir);
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let g = sys::open(&memory, libc::O_RDONLY).unwrap();
        let map = Map::new(g, PAGE, libc::PROT_READ, libc::MAP_PRIVATE).unwrap();
        let mut aio = Aio::new();
        aio.write_part(f, map.part(0, PAGE), AT as i64).unwrap();
        let written = aio.wait().0;
        m.pause();
        let known = known_size(m);
        map.unmap();
        close(g).unwrap();
        close(f).unwrap();
        (written, known)
    });
    fs.open(2, 5, DIRECT);
    other.lookup(ROOT, "m", file(9).size(PAGE as u64));
    other.open(9, 6, 0);
    // The writer has its lock, and needs its memory.
    let r = other.expect_read(6, 0, PAGE as u32);
    let reader = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        close(f).unwrap();
    });
    fs.open(2, 7, 0);
    // It may use the cache, so that writers take turns; C lets it wait for the writer.
    reader.until_asleep();
    if is_rust() {
        reader.paused();
    }
    let truncates = fs.call(|m| {
        let path = std::ffi::CString::new(m.path("f")).unwrap();
        // SAFETY: a C string.
        unsafe { libc::truncate(path.as_ptr(), 0) }
    });
    truncates.until_uninterruptible();
    r.reply(&pattern(AT, PAGE));

    let (mut size, mut seen) = (SIZE, 0);
    while seen != 3 {
        let r = next(&fs);
        match r.head.opcode {
            WRITE => {
                let a = WriteIn::from_bytes(&r.body);
                assert_eq!((a.offset, a.size), (AT as u64, PAGE as u32));
                size = size.max((AT + PAGE) as u64);
                seen |= 1;
                wrote(r, PAGE);
            }
            SETATTR => {
                let a: SetattrIn = r.arg();
                assert_eq!((a.valid & (1 << 3), a.size), (1 << 3, 0));
                size = 0;
                seen |= 2;
                r.ok(file(2).size(0).attr_out());
            }
            _ => panic!("unexpected request: {r:?}"),
        }
    }
    assert_eq!(truncates.wait(), 0);
    c.paused();
    c.go();
    if !is_rust() {
        reader.paused();
    }
    other.flush_and_release(9, 6);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(PAGE), size));
    reader.go();
    fs.flush_and_release(2, 7);
    reader.wait();
}

/// An error is told to who does not wait.
fn error_for_who_does_not_wait() {
    let fs = async_dio().start();
    let c = with_open(&fs, libc::O_RDWR | libc::O_DIRECT, |_, f| {
        let mut aio = Aio::new();
        aio.read(f, PAGE, 0).unwrap();
        let read = aio.wait().0;
        aio.write(f, &pattern(0, PAGE), 0).unwrap();
        (read, aio.wait().0)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    expect_read(&fs, 0, PAGE).err(ODD);
    expect_write(&fs, 0, PAGE).err(ENOSPC);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(ODD), Err(ENOSPC)));
}

/// A server that dies ends what nobody waits for.
fn nobody_waits_and_the_server_dies() {
    let mut fs = async_dio().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR | libc::O_DIRECT).unwrap();
        let mut aio = Aio::new();
        aio.read(f, 2 * PAGE, 0).unwrap();
        aio.write(f, &pattern(0, PAGE), 0).unwrap();
        m.pause();
        (aio.wait().0, aio.wait().0)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let sent = [
        expect_read(&fs, 0, PAGE),
        expect_read(&fs, PAGE, PAGE),
        expect_write(&fs, 0, PAGE),
    ];
    c.paused();
    // Each keeps the device open.
    drop(sent);
    fs.die();
    c.go();
    assert_eq!(c.wait(), (Err(ECONNABORTED), Err(ECONNABORTED)));
}

/// O_DIRECT reads nothing at and beyond the end, and not much more than there is before it.
fn read_nothing_beyond_the_end() {
    let fs = async_dio()
        .flags(init::MAX_PAGES)
        .init(|out| out.max_pages = 1)
        .start();
    let c = with_open(&fs, libc::O_RDONLY | libc::O_DIRECT, |_, f| {
        (
            pread(f, 100, 5000).map(|b| b.len()),
            pread(f, 10 * PAGE, 0).map(|b| b.len()),
        )
    });
    fs.lookup(ROOT, "f", file(2).size(5000));
    fs.open(2, 5, 0);
    let a = expect_read(&fs, 0, PAGE);
    let b = expect_read(&fs, PAGE, PAGE);
    a.reply(&pattern(0, PAGE));
    b.reply(&pattern(PAGE, 5000 - PAGE));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(0), Ok(5000)));
}

/// With a max_pages of 3, an O_DIRECT read asks for what there is before the end, rounded as C does; nothing it asks for
/// has more pages.
fn max_pages_that_is_no_power_of_two() {
    for (size, reads) in [
        (1, &[3][..]),
        (3 * PAGE, &[3]),
        (3 * PAGE + 1, &[3, 1]),
        (4 * PAGE + 1, &[3, 3, 1]),
        (7 * PAGE, &[3, 3, 1]),
    ] {
        let fs = Setup::new()
            .flags(init::ASYNC_DIO | init::MAX_PAGES)
            .init(|out| out.max_pages = 3)
            .start();
        let c = with_open(&fs, libc::O_RDONLY | libc::O_DIRECT, |_, f| {
            pread(f, 20 * PAGE, 0).map(|b| b.len())
        });
        fs.lookup(ROOT, "f", file(2).size(size as u64));
        fs.open(2, 5, 0);
        let mut at = 0;
        let mut held = Vec::new();
        for pages in reads {
            held.push(expect_read(&fs, at, pages * PAGE));
            at += pages * PAGE;
        }
        c.stays_asleep();
        fs.quiet();
        for r in held {
            let a: ReadIn = r.arg();
            let len = size.saturating_sub(a.offset as usize).min(a.size as usize);
            r.reply(&pattern(a.offset as usize, len));
        }
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), Ok(size));
    }
}

/// A max_pages of 3 counts for what is read and written through the cache, past it, and in both ways at once.
fn max_pages_counts_in_every_way() {
    const PAGES: usize = 8;
    let plain = init::MAX_PAGES | init::BIG_WRITES;
    for (flags, open, fopen) in [
        (plain, 0, 0),
        (plain, libc::O_DIRECT, 0),
        (plain | init::ASYNC_DIO, libc::O_DIRECT, 0),
        (plain, 0, FOPEN_DIRECT_IO),
        (plain | init::WRITEBACK_CACHE, 0, 0),
    ] {
        let fs = Setup::new()
            .flags(flags)
            .init(|out| (out.max_pages, out.max_readahead) = (3, 1 << 17))
            .start();
        let c = fs.call(|m| {
            let f = sys::open(&m.path("f"), libc::O_RDWR | open).unwrap();
            let read = pread(f, PAGES * PAGE, 0).map(|data| data == pattern(0, PAGES * PAGE));
            let anonymous = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let memory = Map::new(-1, PAGES * PAGE, prot, anonymous).unwrap();
            let written = memory.write_to(f, 0, PAGES * PAGE);
            memory.unmap();
            close(f).unwrap();
            (read, written)
        });
        fs.lookup(ROOT, "f", file(2).size((PAGES * PAGE) as u64));
        fs.open(2, 5, fopen);
        let (mut read, mut written) = (Vec::new(), Vec::new());
        loop {
            let r = next(&fs);
            match r.head.opcode {
                READ => {
                    let a: ReadIn = r.arg();
                    read.push(a.size as usize / PAGE);
                    r.reply(&pattern(a.offset as usize, a.size as usize));
                }
                WRITE => {
                    let a = WriteIn::from_bytes(&r.body);
                    written.push(a.size as usize / PAGE);
                    wrote(r, a.size as usize);
                }
                SETATTR => r.ok(file(2).size((PAGES * PAGE) as u64).attr_out()),
                FLUSH => r.reply(&[]),
                RELEASE => break r.reply(&[]),
                _ => panic!("unexpected request: {r:?}"),
            }
        }
        assert_eq!(c.wait(), (Ok(true), Ok(PAGES * PAGE)));
        let what = (open, fopen, flags);
        assert_eq!((read, written), (vec![3, 3, 2], vec![3, 3, 2]), "{what:?}");
    }
}

/// What is read into the cache while a write that nobody waits for runs is dropped when it ends.
fn late_write_drops_what_was_read_meanwhile() {
    let fs = async_dio().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR | libc::O_DIRECT).unwrap();
        let g = sys::open(&m.path("f"), libc::O_RDONLY).unwrap();
        let mut aio = Aio::new();
        aio.write(f, &pattern(0, PAGE), 0).unwrap();
        let before = pread(g, 1, 0);
        m.pause();
        let n = aio.wait().0;
        let after = pread(g, 1, 0);
        close(g).unwrap();
        close(f).unwrap();
        (n, before, after)
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    fs.open(2, 6, 0);
    let w = expect_write(&fs, 0, PAGE);
    fs.expect_read(6, 0, PAGE as u32).reply(&[7; PAGE]);
    c.paused();
    wrote(w, PAGE);
    c.go();
    fs.expect_read(6, 0, PAGE as u32).reply(&[8; PAGE]);
    fs.flush_and_release(2, 6);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(PAGE), Ok(vec![7]), Ok(vec![8])));
}

/// Attributes that the server said while it had such a write are asked for again after it.
fn late_write_makes_attributes_stale() {
    skip_on_c("attributes from before the end of a write that nobody waits for stay good");
    let fs = async_dio().start();
    let c = with_open(&fs, libc::O_RDWR | libc::O_DIRECT, |m, f| {
        let mut aio = Aio::new();
        aio.write(f, &pattern(0, PAGE), 0).unwrap();
        let before = m.stat("f").unwrap().mtime[0];
        m.pause();
        let n = aio.wait().0;
        (n, before, m.stat("f").unwrap().mtime[0])
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let w = expect_write(&fs, 0, PAGE);
    let changed = |mtime| file(2).size(SIZE).with(|attr| attr.mtime = mtime);
    fs.getattr(changed(7));
    c.paused();
    wrote(w, PAGE);
    c.go();
    fs.getattr(changed(8));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(PAGE), 7, 8));
}

/// With FOPEN_DIRECT_IO and without ASYNC_DIO, what a ring reads and writes where the file stands moves that on.
fn position_of_a_ring_moves() {
    skip_on_c("what is read and written where the file stands does not move that");
    const WHERE_IT_STANDS: u64 = u64::MAX;
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        let mut ring = Uring::new();
        let mut done = Vec::new();
        ring.read(f, PAGE, WHERE_IT_STANDS).unwrap();
        done.push(ring.wait().0);
        for at in [PAGE, 2 * PAGE] {
            ring.write(f, &pattern(at, PAGE), WHERE_IT_STANDS).unwrap();
            done.push(ring.wait().0);
        }
        (done, lseek(f, 0, libc::SEEK_CUR))
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    expect_read(&fs, 0, PAGE).reply(&pattern(0, PAGE));
    for at in [PAGE, 2 * PAGE] {
        wrote(expect_write(&fs, at, PAGE), PAGE);
    }
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (vec![Ok(PAGE); 3], Ok(3 * PAGE as i64)));
}

/// A file that is closed while nobody waits is released when its last request has ended.
fn closed_before_it_ends() {
    let fs = async_dio().start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDONLY | libc::O_DIRECT).unwrap();
        let mut aio = Aio::new();
        aio.read(f, PAGE, 0).unwrap();
        close(f).unwrap();
        m.pause();
        let (n, data) = aio.wait();
        (n, data == pattern(0, PAGE))
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let r = expect_read(&fs, 0, PAGE);
    fs.flush(2, 5);
    c.paused();
    fs.quiet();
    r.reply(&pattern(0, PAGE));
    fs.release(2, 5);
    c.go();
    assert_eq!(c.wait(), (Ok(PAGE), true));
}

/// A caller that does `what` with a mapping that it shares with the test, and with "f".
fn with_shared(fs: &Fs, flags: i32, what: fn(i32, &Map)) -> (Map, Caller<()>) {
    let anonymous = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    let shared = Map::new(-1, PAGE, libc::PROT_READ | libc::PROT_WRITE, anonymous).unwrap();
    // Pages that are there before the fork are there in both.
    shared.store(0, &[1; PAGE]);
    let c = with_open(fs, flags, |_, f| what(f, &shared));
    (shared, c)
}

/// INTERRUPT may come, for who has got a signal; then the file of a dead process is closed.
#[track_caller]
fn closed_by_death(fs: &Fs) {
    let mut r = fs.dev().next();
    while r.head.opcode == INTERRUPT {
        r = fs.dev().next();
    }
    assert_eq!(r.head.opcode, FLUSH, "{r:?} came");
    r.reply(&[]);
    fs.expect(RELEASE).reply(&[]);
}

/// A reader that is killed while the server has its READ waits for the answer with the C module. The answer fills memory
/// that others see in any case.
fn killed_reader_waits_and_its_memory_is_filled() {
    for (setup, flags, fopen) in [
        (Setup::new(), 0, FOPEN_DIRECT_IO),
        (async_dio(), libc::O_DIRECT, 0),
    ] {
        let fs = setup.start();
        let (shared, mut c) = with_shared(&fs, libc::O_RDONLY | flags, |f, shared| {
            shared.read_from(f, 0, PAGE).unwrap();
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, fopen);
        let r = expect_read(&fs, 0, PAGE);
        c.until_asleep();
        c.signal(libc::SIGKILL);
        // The request has the memory, whatever becomes of its reader.
        if is_rust() {
            soon(patience(), "it waits", || c.is_gone());
        } else {
            c.stays_asleep();
        }
        r.reply(&pattern(0, PAGE));
        closed_by_death(&fs);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
        assert!(shared.load(0, PAGE) == pattern(0, PAGE));
        shared.unmap();
    }
}

/// So does a writer, and what it wrote counts.
fn killed_writer_waits() {
    for (setup, flags, fopen) in [
        (Setup::new(), 0, FOPEN_DIRECT_IO),
        (async_dio(), libc::O_DIRECT, 0),
    ] {
        let fs = setup.start();
        let mut c = with_open(&fs, libc::O_RDWR | flags, |_, f| {
            pwrite(f, &pattern(0, PAGE), 0).unwrap();
        });
        fs.lookup(ROOT, "f", file(2));
        fs.open(2, 5, fopen);
        let r = expect_write(&fs, 0, PAGE);
        c.until_asleep();
        c.signal(libc::SIGKILL);
        c.stays_asleep();
        wrote(r, PAGE);
        closed_by_death(&fs);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
        let c = fs.call(|m| statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC));
        assert_eq!(c.wait(), Ok(PAGE as u64));
    }
}

/// One that is killed before anybody has read its request is gone at once, and the request with it.
fn killed_before_the_request_is_read() {
    for write in [false, true] {
        let fs = Fs::new();
        let mut c = with_open(&fs, libc::O_RDWR, |m, f| {
            m.pause();
            match write {
                true => pwrite(f, &[7; PAGE], 0).map(drop),
                false => pread(f, PAGE, 0).map(drop),
            }
            .unwrap();
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, FOPEN_DIRECT_IO);
        c.paused();
        c.go();
        // Only looked at, not read.
        assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) & libc::POLLIN != 0);
        c.until_interruptible();
        c.signal(libc::SIGKILL);
        // With the C module it waits for FLUSH now.
        if is_rust() {
            soon(patience(), "it waits", || c.is_gone());
        } else {
            c.until_uninterruptible();
        }
        closed_by_death(&fs);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    }
}

/// A process that is killed while its aio is with the server is gone when the last of it is answered.
fn killed_while_nobody_waits() {
    let fs = async_dio().start();
    let mut c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR | libc::O_DIRECT).unwrap();
        let mut aio = Aio::new();
        aio.read(f, PAGE, 0).unwrap();
        aio.write(f, &pattern(PAGE, PAGE), PAGE as i64).unwrap();
        m.pause();
        m.pause();
    });
    fs.lookup(ROOT, "f", file(2).size(SIZE));
    fs.open(2, 5, 0);
    let r = expect_read(&fs, 0, PAGE);
    let w = expect_write(&fs, PAGE, PAGE);
    c.paused();
    c.signal(libc::SIGKILL);
    // Its memory goes when nobody writes to it any more; its files go after that, or before. A look at
    // its state in /proc might take over the last reference to that memory, and wait here for the
    // answers that are still to be given.
    sleep_ms(ms(100) as u64);
    assert!(!c.is_gone(), "the caller is gone");
    let early = fs.dev().readable();
    if early {
        fs.expect(FLUSH).reply(&[]);
    }
    wrote(w, PAGE);
    r.reply(&pattern(0, PAGE));
    if !early {
        fs.expect(FLUSH).reply(&[]);
    }
    fs.expect(RELEASE).reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// Who reads and writes by io_uring goes on, too, and is told what came of it. A read through the page cache alone waits
/// in the call, because the file is always ready.
fn rings_are_told_when_the_server_has_answered() {
    for (flags, fopen) in [(0, 0), (libc::O_DIRECT, 0), (0, FOPEN_DIRECT_IO)] {
        let waits = (flags, fopen) == (0, 0);
        let fs = async_dio().start();
        let c = with_open(&fs, libc::O_RDWR | flags, |m, f| {
            let mut ring = Uring::new();
            ring.read(f, 3 * PAGE, 0).unwrap();
            m.pause();
            let (n, data) = ring.wait();
            ring.write(f, &pattern(PAGE, 2 * PAGE), PAGE as u64)
                .unwrap();
            m.pause();
            (n, data == pattern(0, 3 * PAGE), ring.wait().0)
        });
        let submitted = || {
            c.paused();
            c.go();
        };
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, fopen);
        let mut done = 0;
        while done < 3 * PAGE {
            let r = next(&fs);
            let a: ReadIn = r.arg();
            assert_eq!((r.head.opcode, a.fh), (READ, 5), "{r:?} came");
            if done == 0 && !waits {
                submitted();
            }
            c.stays_asleep();
            done += a.size as usize;
            r.reply(&pattern(a.offset as usize, a.size as usize));
        }
        if waits {
            submitted();
        }
        let r = expect_write(&fs, PAGE, PAGE);
        submitted();
        c.stays_asleep();
        wrote(r, PAGE);
        wrote(expect_write(&fs, 2 * PAGE, PAGE), PAGE);
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), (Ok(3 * PAGE), true, Ok(2 * PAGE)));
    }
}

/// A process that is killed while the server has what its ring sent is gone when the last of it is answered.
fn killed_with_a_ring() {
    for (flags, fopen) in [(libc::O_DIRECT, 0), (0, FOPEN_DIRECT_IO)] {
        let fs = async_dio().start();
        let mut c = with_open(&fs, libc::O_RDWR | flags, |m, f| {
            let mut ring = Uring::new();
            ring.read(f, PAGE, 0).unwrap();
            m.pause();
            ring.write(f, &pattern(PAGE, PAGE), PAGE as u64).unwrap();
            m.pause();
            m.pause();
        });
        fs.lookup(ROOT, "f", file(2).size(SIZE));
        fs.open(2, 5, fopen);
        let r = expect_read(&fs, 0, PAGE);
        c.paused();
        c.go();
        let w = expect_write(&fs, PAGE, PAGE);
        c.paused();
        c.signal(libc::SIGKILL);
        // The ring's end may sleep, or look again and again whether all has come back.
        sleep_ms(ms(100) as u64);
        // With the C module it waits for FLUSH, too.
        assert!(is_rust() || !c.is_gone(), "the caller is gone");
        wrote(w, PAGE);
        r.reply(&pattern(0, PAGE));
        closed_by_death(&fs);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    }
}

/// How many pages of user memory the kernel has ever pinned, and how many of them it has given back.
fn pins() -> [u64; 2] {
    // Each processor counts by itself for a while.
    std::fs::read("/proc/sys/vm/stat_refresh").unwrap();
    let all = std::fs::read_to_string("/proc/vmstat").unwrap();
    ["nr_foll_pin_acquired ", "nr_foll_pin_released "].map(|name| {
        let line = all.lines().find_map(|line| line.strip_prefix(name));
        line.expect("a count of pins").parse().unwrap()
    })
}

/// Memory that requests had is given back, however those ended.
fn memory_is_given_back() {
    for ends in [
        one_after_the_other_without_async_dio,
        all_at_once_with_async_dio,
        error_of_one_of_many,
        error_for_who_does_not_wait,
        memory_that_cannot_be_written,
        memory_that_cannot_be_read,
        killed_reader_waits_and_its_memory_is_filled,
        killed_writer_waits,
        killed_before_the_request_is_read,
        killed_while_nobody_waits,
        killed_with_a_ring,
        nobody_waits_and_the_server_dies,
    ] {
        let [taken, given] = pins();
        ends();
        let [taken_since, given_since] = pins();
        assert!(taken_since > taken, "nothing was pinned");
        assert_eq!(taken_since - taken, given_since - given);
    }
}

/// A loop device may send memory of kmalloc, of which no references can be taken: here blocks that ext4 has to copy
/// before they go to its journal, because they begin as those of the journal do.
fn loop_device_with_memory_of_kmalloc() {
    const LEN: usize = 8 << 20;
    const MAGIC: u32 = 0xc03b_3998;
    let block = [&MAGIC.to_be_bytes()[..], &pattern(4, 1020)].concat();
    let mut log = KernelLog::from_now();

    let fs = Fs::new();
    let written = block.clone();
    let c = fs.call(|m| {
        let (device, keep) = loop_device(&m.path("f"))?;
        let made = std::process::Command::new("/sbin/mkfs.ext4")
            .args(["-q", "-b", "1024", &device])
            .status();
        assert!(made.is_ok_and(|status| status.success()));
        let place = mount_point();
        mount(&device, &place, "ext4", 0, "data=journal")?;
        drop(keep);
        for i in 0..16 {
            let f = sys::open(&format!("{place}/{i}"), libc::O_RDWR | libc::O_CREAT)?;
            assert_eq!(sys::write(f, &written)?, written.len());
            fsync(f)?;
            close(f)?;
        }
        umount(&place, 0)
    });
    let mut image = vec![0u8; LEN];
    let node = file(2).size(LEN as u64);
    let answer = |r: Request| match r.head.opcode {
        LOOKUP => r.ok(node.entry()),
        GETATTR | SETATTR => r.ok(node.attr_out()),
        OPEN => r.ok(OpenOut {
            fh: 5,
            open_flags: FOPEN_DIRECT_IO,
            backing_id: 0,
        }),
        READ => {
            let a = ReadIn::from_bytes(&r.body);
            let at = a.offset as usize;
            r.reply(&image[at..at + a.size as usize])
        }
        WRITE => {
            let (a, data) = (
                WriteIn::from_bytes(&r.body),
                &r.body[size_of::<WriteIn>()..],
            );
            let at = a.offset as usize;
            image[at..at + data.len()].copy_from_slice(data);
            r.ok(WriteOut {
                size: a.size,
                padding: 0,
            })
        }
        FLUSH | RELEASE | FSYNC => r.reply(&[]),
        FORGET | BATCH_FORGET => (),
        _ => r.err(ENOSYS),
    };
    serve_until(fs.dev(), answer, || !c.running());
    assert_eq!(c.wait(), Ok(()));
    assert!(image.chunks(1024).filter(|b| *b == block).count() >= 16);
    for line in log.lines() {
        assert!(!line.contains("BUG") && !line.contains("WARNING"), "{line}");
    }
}
