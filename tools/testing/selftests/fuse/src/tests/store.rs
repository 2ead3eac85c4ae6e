// SPDX-License-Identifier: GPL-2.0

//! STORE: the server puts data into the page cache.

use super::splice::pattern;
use crate::mockd::*;

crate::tests![
    is_read_without_asking,
    makes_the_file_longer,
    of_nothing,
    behind_the_end_is_zero,
    of_a_part_is_read_all_the_same,
    into_a_page_that_is_cached,
    over_several_pages,
    is_seen_by_a_mapping,
    of_no_file,
    of_a_wrong_length,
    of_impossible_offsets,
    up_to_the_largest_size,
    from_bad_memory,
];

use crate::mockd::notice::INVAL_INODE;
use crate::mockd::notice::STORE;

const PAGE: usize = 4096;

fn store_out(node: u64, offset: u64, size: usize) -> Vec<u8> {
    NotifyStoreOut {
        nodeid: node,
        offset,
        size: size as u32,
        padding: 0,
    }
    .bytes()
}

fn store(fs: &Fs, node: u64, offset: u64, data: &[u8]) -> Result<()> {
    let body = [&store_out(node, offset, data.len()), data].concat();
    fs.dev().reply(0, STORE, &body)
}

/// Opens "f" of `size` bytes as node 2 with handle 5, and runs `with` on it after a pause.
fn paused<T: Ship>(fs: &Fs, size: u64, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        m.pause();
        with(m, f)
    });
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, 0);
    c.paused();
    c
}

/// What was stored is read without asking the server.
fn is_read_without_asking() {
    let fs = Fs::new();
    let data = pattern(PAGE);
    let c = paused(&fs, PAGE as u64, |_, f| pread(f, PAGE, 0).unwrap());
    assert_eq!(store(&fs, 2, 0, &data), Ok(()));
    c.go();
    fs.flush_and_release(2, 5);
    assert!(c.wait() == data);
}

/// What is stored behind the end makes the file longer, and its size and times be asked for.
fn makes_the_file_longer() {
    let fs = Fs::new();
    let data = pattern(5000);
    let c = paused(&fs, 3, |_, f| {
        (pread(f, 5000, 0).unwrap(), fstat(f).unwrap().size)
    });
    assert_eq!(store(&fs, 2, 0, &data), Ok(()));
    c.go();
    fs.getattr(file(2).size(5000));
    fs.flush_and_release(2, 5);
    let (read, size) = c.wait();
    assert!(read == data);
    assert_eq!(size, 5000);
}

/// To store nothing is fine, and makes no file longer.
fn of_nothing() {
    let fs = Fs::new();
    let c = paused(&fs, 3, |_, f| pread(f, 3, 0).unwrap());
    assert_eq!(store(&fs, 2, 0, &[]), Ok(()));
    assert_eq!(store(&fs, 2, 100, &[]), Ok(()));
    c.go();
    fs.expect_read(5, 0, PAGE as u32).reply(b"abc");
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"abc");
}

/// The rest of the page in which the file ends reads as zeroes, whatever the memory held before (CVE-2024-44947).
fn behind_the_end_is_zero() {
    let fs = Fs::new();
    let c = paused(&fs, 1, |m, f| {
        let mut seen = Vec::new();
        for _ in 0..8 {
            // Memory that is given back in a moment, and was not zero.
            drop(std::hint::black_box(vec![0xa5u8; 1 << 20]));
            m.pause();
            seen.push(mmap_read(f, PAGE).unwrap());
        }
        seen
    });
    for _ in 0..8 {
        c.go();
        c.paused();
        let all = [2u64.to_ne_bytes(), [0; 8], [0; 8]].concat();
        assert_eq!(fs.dev().reply(0, INVAL_INODE, &all), Ok(()));
        assert_eq!(store(&fs, 2, 0, b"x"), Ok(()));
    }
    c.go();
    fs.flush_and_release(2, 5);
    let mut page = vec![0; PAGE];
    page[0] = b'x';
    for seen in c.wait() {
        assert!(seen == page);
    }
}

/// A page of which only a part was stored is read, and what the server says then is what counts.
fn of_a_part_is_read_all_the_same() {
    let fs = Fs::new();
    let data = pattern(2 * PAGE);
    let c = paused(&fs, 2 * PAGE as u64, |_, f| {
        [
            pread(f, PAGE, 0).unwrap(),
            pread(f, PAGE, PAGE as i64).unwrap(),
        ]
        .concat()
    });
    // The first bytes of a page that goes on, and the last bytes of the file without the first ones of the page.
    assert_eq!(store(&fs, 2, 0, &[b'x'; 100]), Ok(()));
    assert_eq!(store(&fs, 2, 2 * PAGE as u64 - 100, &[b'x'; 100]), Ok(()));
    c.go();
    fs.expect_read(5, 0, PAGE as u32).reply(&data[..PAGE]);
    fs.expect_read(5, PAGE as u64, PAGE as u32)
        .reply(&data[PAGE..]);
    fs.flush_and_release(2, 5);
    assert!(c.wait() == data);
}

/// Part of a page that is cached may be stored: the rest stays.
fn into_a_page_that_is_cached() {
    let fs = Fs::new();
    let mut data = pattern(PAGE);
    let c = paused(&fs, PAGE as u64, |m, f| {
        pread(f, 1, 0).unwrap();
        m.pause();
        pread(f, PAGE, 0).unwrap()
    });
    c.go();
    fs.expect_read(5, 0, PAGE as u32).reply(&data);
    c.paused();
    data[100..103].copy_from_slice(b"new");
    assert_eq!(store(&fs, 2, 100, b"new"), Ok(()));
    c.go();
    fs.flush_and_release(2, 5);
    assert!(c.wait() == data);
}

/// What is stored over several pages is cached in those that it fills, and in the one that the file ends in.
fn over_several_pages() {
    let fs = Fs::new();
    let data = pattern(4 * PAGE + 10);
    let c = paused(&fs, data.len() as u64, |_, f| {
        let cached = pread(f, 3 * PAGE + 10, PAGE as i64).unwrap();
        (pread(f, PAGE, 0).unwrap(), cached)
    });
    assert_eq!(store(&fs, 2, 100, &data[100..]), Ok(()));
    c.go();
    fs.expect_read(5, 0, PAGE as u32).reply(&data[..PAGE]);
    fs.flush_and_release(2, 5);
    let (first, cached) = c.wait();
    assert!(first == data[..PAGE]);
    assert!(cached == data[PAGE..]);
}

/// Who has the page mapped sees what is stored into it.
fn is_seen_by_a_mapping() {
    let fs = Fs::new();
    let c = paused(&fs, PAGE as u64, |m, f| {
        // SAFETY: a new mapping where the kernel likes.
        let p = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                libc::PROT_READ,
                libc::MAP_PRIVATE,
                f,
                0,
            )
        };
        assert!(p != libc::MAP_FAILED);
        let byte = p.cast::<u8>();
        // SAFETY: mapped above; the kernel changes it, so it is read anew each time.
        let before = unsafe { byte.read_volatile() };
        m.pause();
        // SAFETY: as above.
        (before, unsafe { byte.read_volatile() })
    });
    c.go();
    fs.expect_read(5, 0, PAGE as u32).reply(&[b'a'; PAGE]);
    c.paused();
    assert_eq!(store(&fs, 2, 0, b"b"), Ok(()));
    c.go();
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (b'a', b'b'));
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
        assert_eq!(store(&fs, node, 0, b"x"), Err(error), "{node}");
    }
    c.go();
    c.wait();
}

/// The size must be that of the data: EINVAL.
fn of_a_wrong_length() {
    let fs = Fs::new();
    let c = paused(&fs, 1, |_, _| ());
    for size in [0, 1, 3, 1 << 31, u32::MAX as usize] {
        let body = [&store_out(2, 0, size)[..], b"xx"].concat();
        assert_eq!(fs.dev().reply(0, STORE, &body), Err(EINVAL), "{size}");
    }
    for len in [0, 1, 23] {
        let body = &store_out(2, 0, 0)[..len];
        assert_eq!(fs.dev().reply(0, STORE, body), Err(EINVAL), "{len}");
    }
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
}

/// No file has a byte there: EINVAL, whether the node is known or not.
fn of_impossible_offsets() {
    let fs = Fs::new();
    let c = paused(&fs, 1, |_, _| ());
    for offset in [i64::MAX as u64, 1 << 63, u64::MAX] {
        for node in [2, 99] {
            assert_eq!(store(&fs, node, offset, b"xy"), Err(EINVAL), "{offset:x}");
        }
    }
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
}

/// What would be behind the largest size of a file is left out.
fn up_to_the_largest_size() {
    let fs = Fs::new();
    let c = paused(&fs, 1, |_, f| pread(f, 1, i64::MAX - 1));
    assert_eq!(store(&fs, 2, i64::MAX as u64 - 1, b"xy"), Ok(()));
    c.go();
    // The end of that page only: it is read in.
    let r = fs.expect(READ);
    assert_eq!(r.arg::<ReadIn>().offset, i64::MAX as u64 - 4095);
    r.reply(&[b'a'; 4095]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(b"a".to_vec()));
}

/// Data that is not there is EFAULT, and the page is not in anybody's way afterwards.
fn from_bad_memory() {
    let fs = Fs::new();
    let c = paused(&fs, PAGE as u64, |_, f| pread(f, 2, 0).unwrap());
    let head = [
        OutHeader {
            len: 16 + 24 + PAGE as u32,
            error: STORE,
            unique: 0,
        }
        .bytes(),
        store_out(2, 0, PAGE),
    ]
    .concat();
    let parts = [(head.as_ptr() as usize, head.len()), (4096, PAGE)];
    assert_eq!(writev(fs.dev().fd(), &parts), Err(EFAULT));
    c.go();
    fs.expect_read(5, 0, PAGE as u32).reply(&[b'a'; PAGE]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"aa");
}
