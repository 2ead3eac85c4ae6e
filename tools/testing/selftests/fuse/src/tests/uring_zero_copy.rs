// SPDX-License-Identifier: GPL-2.0

//! Zero copy: the server of a ring gets the pages of READ and WRITE as a registered buffer.

use super::uring::accepted;
use super::uring::enable;
use crate::mockd::*;

crate::tests![
    entries_need_a_pool,
    a_read_fills_the_pages,
    a_write_is_in_the_pages,
    pages_of_the_cache,
    a_short_answer_leaves_zeros,
    an_answer_longer_than_asked_for,
    other_files_are_copied,
    a_read_takes_no_buffer,
    the_slot_is_free_again,
    slots_that_cannot_be_had,
    an_answer_over_another_ring,
    pages_outlive_the_connection,
];

/// The flag of an entry that has the pages.
const ENT_ZERO_COPY: u64 = 1;

const FLAGS: u32 = FOPEN_DIRECT_IO | FOPEN_IO_URING_ZERO_COPY;

fn command(op: u32, qid: u16, flags: u64) -> Command {
    Command {
        op,
        req: RingCmdReq {
            qid,
            flags,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// A mount whose queues give pages away, with `count` buffers and `depth` entries each. The slot of an entry is its index,
/// plus `shift`; there are `slots` of them.
fn mount_with(count: usize, depth: usize, slots: usize, shift: usize) -> Fs {
    let fs = accepted();
    let size = fs.setup.ring_payload();
    let mut ring = Ring::new(fs.dev().fd());
    if slots > 0 {
        ring.register_slots(slots);
    }
    for qid in 0..possible_cpus() {
        ring.run(&command(CMD_ADD_QUEUE, qid, QUEUE_ZERO_COPY))
            .expect("ADD_QUEUE");
        let pool = ring.add_pool(qid, count, size, false);
        for _ in 0..depth {
            let mut entry = RingEntry::in_pool(qid, &pool);
            entry.slot = (ring.entries.len() + shift) as u16;
            ring.register(entry).expect("REGISTER");
        }
    }
    fs.dev().serve_ring(ring);
    fs
}

fn mount() -> Fs {
    let depth = 2;
    mount_with(2, depth, depth * usize::from(possible_cpus()), 0)
}

/// The entry that has this request: its index and slot, and whether it has pages.
fn entry_of(fs: &Fs, r: &Request) -> (usize, u16, bool) {
    fs.dev().with_ring(|ring| {
        let index = ring.entry_of(r.unique());
        let entry = &ring.entries[index];
        (index, entry.slot, entry.ent().flags & ENT_ZERO_COPY != 0)
    })
}

/// Answers READ with `len` bytes, which are in the pages.
fn answer_read(fs: &Fs, r: Request, len: usize) {
    let head = OutHeader {
        len: 0,
        error: 0,
        unique: r.unique(),
    };
    fs.dev().with_ring(|ring| {
        let index = ring.entry_of(r.unique());
        ring.reply_claiming(index, head, &[], len as u32)
            .expect("COMMIT");
    });
}

/// Moves what this file has into the pages of a request, from byte `at` on; the number of bytes.
fn fill(fs: &Fs, slot: u16, at: u64, data: &[u8]) -> Result<usize> {
    let file = memory_file(data);
    let got = fs
        .dev()
        .with_ring(|ring| ring.move_fixed(Fixed::Read, file, slot, at, data.len() as u32));
    close(file).unwrap();
    got
}

/// A file in memory with these bytes.
fn memory_file(data: &[u8]) -> i32 {
    let file = memfd();
    assert_eq!(pwrite(file, data, 0), Ok(data.len()));
    file
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// On a queue that gives pages away, REGISTER gets EINVAL for an entry with memory for payload of its own.
fn entries_need_a_pool() {
    let _on = enable();
    let fs = accepted();
    let mut ring = Ring::new(fs.dev().fd());
    ring.run(&command(CMD_ADD_QUEUE, 0, QUEUE_ZERO_COPY))
        .unwrap();
    let entry = RingEntry::new(0, fs.setup.ring_payload());
    assert_eq!(ring.register(entry), Err(EINVAL));
}

/// READ of a file that was opened for it comes with its pages, which the server fills; the answer has the length only.
fn a_read_fills_the_pages() {
    let _on = enable();
    let fs = mount();
    let data = pattern(20_003);
    let c = with_open(&fs, libc::O_RDONLY, |_, f| pread(f, 20_003, 5));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
    let r = fs.expect_read(5, 5, 20_003);
    let (index, slot, has_pages) = entry_of(&fs, &r);
    assert!(has_pages);
    fs.dev()
        .with_ring(|ring| assert_eq!(ring.entries[index].ent().payload_sz, 0));
    assert_eq!(fill(&fs, slot, 0, &data[..7]), Ok(7));
    assert_eq!(fill(&fs, slot, 7, &data[7..]), Ok(20_003 - 7));
    let out = memfd();
    let written = fs
        .dev()
        .with_ring(|ring| ring.move_fixed(Fixed::Write, out, slot, 0, 1));
    assert_eq!(written, Err(EFAULT), "they are not to be read");
    answer_read(&fs, r, 20_003);
    fs.release(2, 5);
    assert!(c.wait() == Ok(data));
}

/// WRITE comes with its pages, which the server reads; the length of the payload counts them.
fn a_write_is_in_the_pages() {
    let _on = enable();
    let fs = mount();
    let data = pattern(20_003);
    let sent = data.clone();
    let c = with_open(&fs, libc::O_WRONLY, move |_, f| pwrite(f, &sent, 5));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
    let r = fs.expect(WRITE);
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (5, 20_003));
    let (index, slot, has_pages) = entry_of(&fs, &r);
    assert!(has_pages);
    fs.dev()
        .with_ring(|ring| assert_eq!(ring.entries[index].ent().payload_sz, 20_003));
    let out = memfd();
    let moved = fs
        .dev()
        .with_ring(|ring| ring.move_fixed(Fixed::Write, out, slot, 0, 20_003));
    assert_eq!(moved, Ok(20_003));
    assert!(pread(out, 20_004, 0) == Ok(data));
    let filled = fs
        .dev()
        .with_ring(|ring| ring.move_fixed(Fixed::Read, out, slot, 0, 1));
    assert_eq!(filled, Err(EFAULT), "they are not to be written");
    r.ok(WriteOut {
        size: 20_003,
        padding: 0,
    });
    fs.release(2, 5);
    assert_eq!(c.wait(), Ok(20_003));
}

/// So it is for the page cache: what is read ahead, and what is written through.
fn pages_of_the_cache() {
    let _on = enable();
    let fs = mount();
    let data = pattern(4096);
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        let got = pread(f, 4096, 0);
        (got, pwrite(f, b"new", 1000))
    });
    fs.lookup(ROOT, "f", file(2).size(4096));
    fs.open(2, 5, FOPEN_IO_URING_ZERO_COPY | FOPEN_NOFLUSH);
    let r = fs.expect_read(5, 0, 4096);
    let (_, slot, has_pages) = entry_of(&fs, &r);
    assert!(has_pages);
    assert_eq!(fill(&fs, slot, 0, &data), Ok(4096));
    answer_read(&fs, r, 4096);
    // Whether the write takes rights away.
    fs.expect(GETXATTR).err(ENODATA);
    let r = fs.expect(WRITE);
    let (_, slot, has_pages) = entry_of(&fs, &r);
    assert!(has_pages);
    let out = memfd();
    let moved = fs
        .dev()
        .with_ring(|ring| ring.move_fixed(Fixed::Write, out, slot, 0, 3));
    assert_eq!(moved, Ok(3));
    assert_eq!(pread(out, 8, 0), Ok(b"new".to_vec()));
    r.ok(WriteOut {
        size: 3,
        padding: 0,
    });
    fs.release(2, 5);
    let (read, written) = c.wait();
    assert!(read == Ok(data));
    assert_eq!(written, Ok(3));
}

/// What an answer leaves out of pages of the cache reads as zero, whatever the server has put there.
fn a_short_answer_leaves_zeros() {
    let _on = enable();
    let fs = mount();
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        // All of it, as it is cached.
        let map = Map::new(f, 4096, libc::PROT_READ, libc::MAP_SHARED).unwrap();
        map.load(0, 4096)
    });
    fs.lookup(ROOT, "f", file(2).size(4096));
    fs.open(2, 5, FOPEN_IO_URING_ZERO_COPY | FOPEN_NOFLUSH);
    let r = fs.expect_read(5, 0, 4096);
    let (_, slot, _) = entry_of(&fs, &r);
    assert_eq!(fill(&fs, slot, 0, &[7; 4096]), Ok(4096));
    answer_read(&fs, r, 100);
    fs.release(2, 5);
    let mut expected = vec![7; 100];
    expected.resize(4096, 0);
    assert!(c.wait() == expected);
}

/// An answer that is longer than what was asked for ends the request with EINVAL.
fn an_answer_longer_than_asked_for() {
    let _on = enable();
    let fs = mount();
    let c = with_open(&fs, libc::O_RDONLY, |_, f| pread(f, 100, 0));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
    let r = fs.expect_read(5, 0, 100);
    answer_read(&fs, r, 101);
    fs.release(2, 5);
    assert_eq!(c.wait(), Err(EINVAL));
}

/// READ and WRITE of a file that was not opened for it are copied, and so are other operations.
fn other_files_are_copied() {
    let _on = enable();
    let fs = mount();
    let c = with_open(&fs, libc::O_RDWR, |_, f| {
        (pwrite(f, b"abc", 0), pread(f, 3, 0))
    });
    let r = fs.expect_lookup(ROOT, "f");
    assert!(!entry_of(&fs, &r).2);
    r.ok(file(2).entry());
    fs.open(2, 5, FOPEN_DIRECT_IO | FOPEN_NOFLUSH);
    let r = fs.expect(WRITE);
    assert!(!entry_of(&fs, &r).2);
    assert_eq!(&r.body[size_of::<WriteIn>()..], b"abc");
    r.ok(WriteOut {
        size: 3,
        padding: 0,
    });
    let r = fs.expect_read(5, 0, 3);
    assert!(!entry_of(&fs, &r).2);
    r.reply(b"xyz");
    fs.release(2, 5);
    assert_eq!(c.wait(), (Ok(3), Ok(b"xyz".to_vec())));
}

/// A READ that comes with its pages needs no buffer of the pool.
fn a_read_takes_no_buffer() {
    let _on = enable();
    let fs = mount_with(1, 2, 2 * usize::from(possible_cpus()), 0);
    let c = with_open(&fs, libc::O_RDONLY, |m, f| {
        on_cpu(0);
        m.pause();
        pread(f, 3, 0)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
    c.paused();
    let other = fs.call(|m| {
        on_cpu(0);
        m.stat("g").map(|s| s.ino)
    });
    let lookup = fs.expect_lookup(ROOT, "g");
    c.go();
    let r = fs.expect_read(5, 0, 3);
    let (_, slot, _) = entry_of(&fs, &r);
    assert_eq!(fill(&fs, slot, 0, b"abc"), Ok(3));
    answer_read(&fs, r, 3);
    assert_eq!(c.wait(), Ok(b"abc".to_vec()));
    lookup.ok(file(3).entry());
    assert_eq!(other.wait(), Ok(3));
    fs.release(2, 5);
}

/// The slot is empty when the request has ended, whatever came of it, and takes the next.
fn the_slot_is_free_again() {
    let _on = enable();
    let fs = mount_with(1, 1, possible_cpus().into(), 0);
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        on_cpu(0);
        (pread(f, 3, 0), pread(f, 3, 0), pread(f, 3, 0))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
    let r = fs.expect_read(5, 0, 3);
    let (_, slot, _) = entry_of(&fs, &r);
    assert_eq!(fill(&fs, slot, 0, b"abc"), Ok(3));
    answer_read(&fs, r, 3);
    let r = fs.expect_read(5, 0, 3);
    r.err(ODD);
    let r = fs.expect_read(5, 0, 3);
    let (_, slot, has_pages) = entry_of(&fs, &r);
    assert!(has_pages);
    assert_eq!(fill(&fs, slot, 0, b"xyz"), Ok(3));
    answer_read(&fs, r, 3);
    fs.release(2, 5);
    assert_eq!(
        c.wait(),
        (Ok(b"abc".to_vec()), Err(ODD), Ok(b"xyz".to_vec()))
    );
    assert_eq!(fill(&fs, slot, 0, b"late"), Err(EFAULT));
}

/// A slot that the ring does not have fails the request with EINVAL, and one that is taken with EBUSY.
fn slots_that_cannot_be_had() {
    let _on = enable();
    let read = |fs: &Fs| {
        let c = with_open(fs, libc::O_RDONLY, |_, f| {
            on_cpu(0);
            pread(f, 3, 0)
        });
        fs.lookup(ROOT, "f", file(2));
        fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
        // The server's task has to look.
        fs.release(2, 5);
        c.wait()
    };
    assert_eq!(read(&mount_with(1, 1, 0, 0)), Err(EINVAL), "no buffers");
    let beyond = usize::from(possible_cpus());
    assert_eq!(
        read(&mount_with(1, 1, beyond, beyond)),
        Err(EINVAL),
        "too few"
    );
    let fs = accepted();
    let size = fs.setup.ring_payload();
    let mut ring = Ring::new(fs.dev().fd());
    let memory = RingEntry::new(0, 4096);
    ring.register_buffer((memory.payload_address(), 4096));
    for qid in 0..possible_cpus() {
        ring.run(&command(CMD_ADD_QUEUE, qid, QUEUE_ZERO_COPY))
            .unwrap();
        let pool = ring.add_pool(qid, 1, size, false);
        ring.register(RingEntry::in_pool(qid, &pool)).unwrap();
    }
    fs.dev().serve_ring(ring);
    assert_eq!(read(&fs), Err(EBUSY), "another buffer");
}

/// An answer may come over another ring, which does not have the pages: they stay in the first.
fn an_answer_over_another_ring() {
    let _on = enable();
    let fs = mount_with(1, 1, possible_cpus().into(), 0);
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        on_cpu(0);
        pread(f, 3, 0)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FLAGS | FOPEN_NOFLUSH);
    let r = fs.expect_read(5, 0, 3);
    let (index, slot, _) = entry_of(&fs, &r);
    assert_eq!(fill(&fs, slot, 0, b"abc"), Ok(3));
    let head = OutHeader {
        len: 0,
        error: 0,
        unique: r.unique(),
    };
    let mut other = Ring::new(fs.dev().fd());
    let commit = fs.dev().with_ring(|ring| {
        ring.entries[index].answer(head, &[], 3);
        ring.commit(index)
    });
    other.submit(&commit, 0);
    assert_eq!(c.wait(), Ok(b"abc".to_vec()));
    assert_eq!(fill(&fs, slot, 0, b"xyz"), Ok(3));
    drop(r);
    // The entry waits there now.
    assert_eq!(other.wait(), 0);
    let commit = fs.dev().with_ring(|ring| {
        let entry = &ring.entries[index];
        let head = entry.head();
        assert_eq!(head.opcode, RELEASE);
        let answer = OutHeader {
            len: 0,
            error: 0,
            unique: head.unique,
        };
        entry.answer(answer, &[], 0);
        ring.commit(index)
    });
    other.submit(&commit, 0);
}

/// Pages that the server has stay what they are when the connection ends; it may write them, and nothing comes of it.
fn pages_outlive_the_connection() {
    let _on = enable();
    for (flags, error) in [(FLAGS, ECONNABORTED), (FOPEN_IO_URING_ZERO_COPY, EIO)] {
        let mut fs = mount();
        let c = with_open(&fs, libc::O_RDONLY, |m, f| {
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let map = Map::new(-1, 8192, prot, flags).unwrap();
            let got = read_to(f, map.address(), 8192);
            map.unmap();
            m.pause();
            got
        });
        fs.lookup(ROOT, "f", file(2).size(8192));
        fs.open(2, 5, flags | FOPEN_NOFLUSH);
        let r = fs.expect(READ);
        let (_, slot, has_pages) = entry_of(&fs, &r);
        assert!(has_pages);
        fs.force_unmount();
        c.paused();
        assert_eq!(fill(&fs, slot, 0, &[1; 4096]), Ok(4096));
        c.go();
        assert_eq!(c.wait(), Err(error));
        assert_eq!(fill(&fs, slot, 0, &[2; 4096]), Ok(4096));
        drop(r);
    }
}
