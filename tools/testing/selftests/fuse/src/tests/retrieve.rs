// SPDX-License-Identifier: GPL-2.0

//! RETRIEVE: the server asks for what the page cache has, and gets it as NOTIFY_REPLY.

use super::splice::pattern;
use crate::mockd::*;

crate::tests![
    what_is_cached,
    of_nothing_cached,
    ends_at_the_first_gap,
    ends_with_the_file,
    no_more_than_max_write,
    no_more_than_max_pages,
    not_what_is_being_read,
    not_what_failed_to_be_read,
    not_what_was_stored_in_part,
    several_in_a_row,
    outlives_the_cache,
    unread_at_the_end,
    of_no_file,
    of_a_wrong_length,
    of_impossible_offsets,
];

use crate::mockd::notice::INVAL_INODE;
use crate::mockd::notice::RETRIEVE;
use crate::mockd::notice::STORE;

const PAGE: usize = 4096;

fn retrieve_out(unique: u64, node: u64, offset: u64, size: u32) -> Vec<u8> {
    NotifyRetrieveOut {
        notify_unique: unique,
        nodeid: node,
        offset,
        size,
        padding: 0,
    }
    .bytes()
}

fn retrieve(fs: &Fs, unique: u64, node: u64, offset: u64, size: u32) -> Result<()> {
    fs.dev()
        .reply(0, RETRIEVE, &retrieve_out(unique, node, offset, size))
}

/// Reads the answer to a RETRIEVE of node 2, which must begin at `offset`; returns the data.
#[track_caller]
fn answer(fs: &Fs, unique: u64, offset: u64) -> Vec<u8> {
    let r = fs.expect(NOTIFY_REPLY).node(2);
    assert_eq!(r.unique(), unique, "the id is the server's");
    let head = NotifyRetrieveIn::from_bytes(&r.body);
    let data = r.body[size_of::<NotifyRetrieveIn>()..].to_vec();
    let expected = NotifyRetrieveIn {
        offset,
        size: data.len() as u32,
        ..Default::default()
    };
    assert_eq!(head, expected);
    data
}

/// Retrieves from node 2.
#[track_caller]
fn get(fs: &Fs, offset: u64, size: u32) -> Vec<u8> {
    assert_eq!(retrieve(fs, 42, 2, offset, size), Ok(()));
    answer(fs, 42, offset)
}

/// A caller that keeps "f" open as node 2, of as many bytes as `data` has, of which `pages` are read in.
fn opened(fs: &Fs, data: &[u8], pages: &[usize]) -> Caller<()> {
    let wanted = pages.to_vec();
    let c = fs.call(move |m| {
        let f = m.open("f").unwrap();
        for page in wanted {
            pread(f, 1, (page * PAGE) as i64).unwrap();
        }
        m.pause();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "f", file(2).size(data.len() as u64));
    fs.open(2, 5, 0);
    for page in pages {
        let start = page * PAGE;
        let end = data.len().min(start + PAGE);
        fs.expect_read(5, start as u64, PAGE as u32)
            .reply(&data[start..end]);
    }
    c.paused();
    c
}

fn closed(fs: &Fs, c: Caller<()>) {
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
}

/// The answer has the bytes that were asked for, under the id that the server gave, and wants no reply.
fn what_is_cached() {
    let fs = Fs::new();
    let data = pattern(3 * PAGE);
    let c = opened(&fs, &data, &[0, 1, 2]);
    assert!(get(&fs, 0, 3 * PAGE as u32) == data);
    assert!(get(&fs, 100, 5000) == data[100..5100]);
    assert!(get(&fs, 2 * PAGE as u64 - 1, 2) == data[2 * PAGE - 1..2 * PAGE + 1]);
    assert_eq!(retrieve(&fs, 42, 2, 0, 1), Ok(()));
    let r = fs.expect(NOTIFY_REPLY);
    assert_eq!(r.try_reply(&[]), Err(ENOENT));
    closed(&fs, c);
}

/// Where nothing is cached, or nothing was asked for, the answer has no data.
fn of_nothing_cached() {
    let fs = Fs::new();
    let data = pattern(2 * PAGE);
    let c = opened(&fs, &data, &[1]);
    assert_eq!(get(&fs, 0, 2 * PAGE as u32), []);
    assert_eq!(get(&fs, PAGE as u64, 0), []);
    closed(&fs, c);
}

/// The answer ends where the cache has a gap.
fn ends_at_the_first_gap() {
    let fs = Fs::new();
    let data = pattern(4 * PAGE);
    let c = opened(&fs, &data, &[0, 1, 3]);
    assert!(get(&fs, 10, 4 * PAGE as u32) == data[10..2 * PAGE]);
    closed(&fs, c);
}

/// The answer ends where the file ends, and behind it there is nothing.
fn ends_with_the_file() {
    let fs = Fs::new();
    let data = pattern(PAGE + 10);
    let c = opened(&fs, &data, &[0, 1]);
    assert!(get(&fs, 1, u32::MAX) == data[1..]);
    assert!(get(&fs, PAGE as u64 + 9, 2) == data[PAGE + 9..]);
    for offset in [PAGE + 10, PAGE + 11, 2 * PAGE, 1 << 40] {
        assert_eq!(get(&fs, offset as u64, 4096), []);
    }
    closed(&fs, c);
}

/// The answer is no longer than a WRITE may be.
fn no_more_than_max_write() {
    let fs = Setup::new()
        .flags(init::BIG_WRITES)
        .init(|i| i.max_write = 2 * PAGE as u32)
        .start();
    let data = pattern(4 * PAGE);
    let c = opened(&fs, &data, &[0, 1, 2, 3]);
    assert!(get(&fs, 0, u32::MAX) == data[..2 * PAGE]);
    assert!(get(&fs, 7, u32::MAX) == data[7..7 + 2 * PAGE]);
    closed(&fs, c);
}

/// The answer has no more pages than a request may have, the first one counted from its start (CVE-2025-39888).
fn no_more_than_max_pages() {
    for pages in [1, 2] {
        let fs = Setup::new()
            .flags(init::MAX_PAGES)
            .init(|i| i.max_pages = pages as u16)
            .start();
        let data = pattern(4 * PAGE);
        let c = opened(&fs, &data, &[0, 1, 2, 3]);
        for offset in [0, 1, PAGE - 1, PAGE] {
            let end = offset - offset % PAGE + pages * PAGE;
            for size in [4 * PAGE as u32, u32::MAX] {
                assert!(get(&fs, offset as u64, size) == data[offset..end]);
            }
        }
        closed(&fs, c);
    }
}

/// A page that is being read in is not cached: its memory may hold anything (CVE-2026-53167).
fn not_what_is_being_read() {
    let fs = Fs::new();
    let c = fs.call(|m| pread(m.open("f").unwrap(), 2, 0));
    fs.lookup(ROOT, "f", file(2).size(PAGE as u64));
    fs.open(2, 5, 0);
    let r = fs.expect_read(5, 0, PAGE as u32);
    assert_eq!(get(&fs, 0, PAGE as u32), []);
    r.reply(&[b'a'; PAGE]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(b"aa".to_vec()));
}

/// Nor is one that could not be read in.
fn not_what_failed_to_be_read() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let read = pread(f, 2, 0);
        m.pause();
        read
    });
    fs.lookup(ROOT, "f", file(2).size(PAGE as u64));
    fs.open(2, 5, 0);
    // The first may have been made ahead of the reader, who then asks once more.
    while c.running() {
        if let Some(r) = fs.dev().next_within(1) {
            assert_eq!(r.head.opcode, READ);
            r.err(EPERM);
        }
    }
    c.paused();
    assert_eq!(get(&fs, 0, PAGE as u32), []);
    c.go();
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// Nor is one of which only a part was stored: the answer does not even have that part.
fn not_what_was_stored_in_part() {
    let fs = Fs::new();
    let c = opened(&fs, &pattern(PAGE), &[]);
    let head = NotifyStoreOut {
        nodeid: 2,
        offset: 0,
        size: 3,
        padding: 0,
    };
    assert_eq!(
        fs.dev()
            .reply(0, STORE, &[&head.bytes()[..], b"abc"].concat()),
        Ok(())
    );
    assert_eq!(get(&fs, 0, 3), []);
    closed(&fs, c);
}

/// Each RETRIEVE is answered, in order and among other requests.
fn several_in_a_row() {
    let fs = Fs::new();
    let data = pattern(PAGE);
    let c = opened(&fs, &data, &[0]);
    assert_eq!(retrieve(&fs, 2, 2, 0, 10), Ok(()));
    let other = fs.call(|m| m.stat("g").map(drop));
    other.until_asleep();
    assert_eq!(retrieve(&fs, 2, 2, 10, 10), Ok(()));
    assert_eq!(retrieve(&fs, 1 << 40, 2, 20, 10), Ok(()));
    let mut answers = Vec::new();
    let mut looked_up = false;
    while answers.len() < 3 || !looked_up {
        let r = fs.dev().next();
        match r.head.opcode {
            LOOKUP => {
                looked_up = true;
                r.err(ENOENT);
            }
            _ => {
                let head = NotifyRetrieveIn::from_bytes(&r.body);
                answers.push((r.unique(), head.offset, head.size));
            }
        }
    }
    assert_eq!(answers, [(2, 0, 10), (2, 10, 10), (1 << 40, 20, 10)]);
    other.wait().unwrap_err();
    closed(&fs, c);
}

/// An answer that is not read yet has its data, whatever becomes of the cache and of the file.
fn outlives_the_cache() {
    let fs = Fs::new();
    let data = pattern(2 * PAGE);
    let c = opened(&fs, &data, &[0, 1]);
    assert_eq!(retrieve(&fs, 2, 2, 0, 2 * PAGE as u32), Ok(()));
    let all = [2u64.to_ne_bytes(), [0; 8], [0; 8]].concat();
    assert_eq!(fs.dev().reply(0, INVAL_INODE, &all), Ok(()));
    assert!(answer(&fs, 2, 0) == data);
    // It is gone from the cache now.
    assert_eq!(get(&fs, 0, 1), []);
    closed(&fs, c);
}

/// An answer that nobody reads does not keep the file system.
fn unread_at_the_end() {
    let mut fs = Fs::new();
    let data = pattern(PAGE);
    let c = opened(&fs, &data, &[0]);
    closed(&fs, c);
    assert_eq!(retrieve(&fs, 2, 2, 0, 10), Ok(()));
    fs.unmount();
}

/// A node that the kernel does not know: ENOENT; one that is no regular file: EINVAL.
fn of_no_file() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("l"), libc::O_PATH | libc::O_NOFOLLOW).unwrap();
        m.pause();
        f
    });
    fs.lookup(ROOT, "l", symlink_node(2));
    c.paused();
    for (node, error) in [(0, ENOENT), (99, ENOENT), (ROOT, EINVAL), (2, EINVAL)] {
        assert_eq!(retrieve(&fs, 2, node, 0, 1), Err(error), "{node}");
    }
    c.go();
    c.wait();
}

/// RETRIEVE has one length: EINVAL for any other.
fn of_a_wrong_length() {
    let fs = Fs::new();
    let c = opened(&fs, &pattern(1), &[]);
    let body = retrieve_out(2, 2, 0, 1);
    for wrong in [&body[..0], &body[..31], &[&body[..], &[0]].concat()] {
        assert_eq!(fs.dev().reply(0, RETRIEVE, wrong), Err(EINVAL));
    }
    closed(&fs, c);
}

/// No file has a byte there: EINVAL, whether the node is known or not.
fn of_impossible_offsets() {
    let fs = Fs::new();
    let c = opened(&fs, &pattern(1), &[]);
    for offset in [i64::MAX as u64, 1 << 63, u64::MAX] {
        for node in [2, 99] {
            assert_eq!(retrieve(&fs, 2, node, offset, 1), Err(EINVAL));
        }
    }
    closed(&fs, c);
}
