// SPDX-License-Identifier: GPL-2.0

//! Shared mappings: what is stored to them becomes WRITE.

use crate::mockd::*;

crate::tests![
    msync_writes,
    read_sees_stores,
    mapping_sees_writes,
    unmapping_writes,
    outlives_the_descriptor,
    end_of_the_file,
    behind_the_end_is_zeroed_by_a_longer_file,
    behind_the_end_is_zeroed_by_setattr,
    behind_the_end_is_zeroed_by_a_direct_write,
    behind_the_end_is_zeroed_by_a_copy,
    write_from_its_own_mapping,
    store_waits_for_writeback,
    no_page_is_a_signal,
    server_dies_with_dirty_pages,
    private_stores_stay_private,
    read_only_file,
    direct_is_refused,
    direct_can_be_private,
    direct_is_allowed_by_agreement,
];

/// The next request, which is a WRITE of dirty pages: offset and data, and the request.
#[track_caller]
fn next_write(fs: &Fs) -> (u64, Vec<u8>, Request) {
    let r = fs.expect(WRITE).node(2);
    let a = WriteIn::from_bytes(&r.body);
    let data = r.body[size_of::<WriteIn>()..].to_vec();
    assert_eq!(data.len(), a.size as usize);
    assert_eq!(
        (a.fh, a.write_flags, a.lock_owner, a.flags),
        (5, WRITE_CACHE, 0, 0),
        "handle, flags, lock owner and open flags of WRITE"
    );
    (a.offset, data, r)
}

fn wrote(r: Request, size: usize) {
    r.ok(WriteOut {
        size: size as u32,
        padding: 0,
    });
}

/// A WRITE comes for exactly this, and is answered.
#[track_caller]
fn serve_write(fs: &Fs, offset: u64, data: &[u8]) {
    let (at, came, r) = next_write(fs);
    assert_eq!((at, came.len()), (offset, data.len()));
    assert!(came == data, "data of WRITE");
    wrote(r, data.len());
}

/// Opens "f" for reading and writing, runs `with`, and closes.
fn with_open<T: Ship>(fs: &Fs, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let t = with(m, f);
        close(f).unwrap();
        t
    })
}

/// "f" has `size` bytes, and is opened.
fn opened(fs: &Fs, size: u64, fopen: u32) {
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, fopen);
}

/// A page of sevens, with these bytes at 10.
fn page(bytes: &[u8]) -> Vec<u8> {
    let mut page = vec![7; 4096];
    page[10..10 + bytes.len()].copy_from_slice(bytes);
    page
}

/// msync(2) writes the page that was stored to, with FUSE_WRITE_CACHE; then comes FSYNC.
fn msync_writes() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"stored");
        let synced = map.sync();
        map.unmap();
        synced
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    let (at, data, r) = next_write(&fs);
    assert_eq!(at, 0);
    assert!(data == page(b"stored"));
    wrote(r, 4096);
    fs.expect(FSYNC).node(2).reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// read(2) sees what was stored, before anything is written.
fn read_sees_stores() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"stored");
        let seen = pread(f, 6, 10);
        map.unmap();
        seen
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    serve_write(&fs, 0, &page(b"stored"));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(b"stored".to_vec()));
}

/// A mapping sees what write(2) wrote.
fn mapping_sees_writes() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.load(0, 1);
        lseek(f, 10, libc::SEEK_SET).unwrap();
        write(f, b"written").unwrap();
        let seen = map.load(10, 7);
        map.unmap();
        seen
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    let mut r = fs.dev().next();
    if r.head.opcode == GETXATTR {
        r.err(ENOSYS);
        r = fs.expect(WRITE);
    }
    assert_eq!(WriteIn::from_bytes(&r.body).write_flags, 0);
    wrote(r, 7);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"written".to_vec());
}

/// munmap(2) writes what is dirty, and waits for it.
fn unmapping_writes() {
    let fs = Fs::new();
    let c = with_open(&fs, |m, f| {
        let map = Map::shared(f, 8192).unwrap();
        map.store(10, b"a");
        map.store(4106, b"b");
        map.unmap();
        m.pause();
    });
    opened(&fs, 8192, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    fs.expect_read(5, 4096, 4096).reply(&[7; 4096]);
    let (at, data, r) = next_write(&fs);
    assert_eq!((at, data.len()), (0, 8192));
    assert!(data == [page(b"a"), page(b"b")].concat());
    c.stays_asleep();
    wrote(r, 8192);
    c.paused();
    fs.quiet();
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
}

/// What is stored after the descriptor was closed is written through the same handle, which is released last.
fn outlives_the_descriptor() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let map = Map::shared(f, 4096).unwrap();
        close(f).unwrap();
        map.store(10, b"late");
        map.unmap();
    });
    opened(&fs, 4096, 0);
    fs.flush(2, 5);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    serve_write(&fs, 0, &page(b"late"));
    fs.release(2, 5);
    c.wait();
}

/// What is stored behind the end of the file, in its last page, is not written.
fn end_of_the_file() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"in");
        map.store(100, b"out");
        map.unmap();
    });
    opened(&fs, 100, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 100]);
    serve_write(&fs, 0, &page(b"in")[..100]);
    fs.flush_and_release(2, 5);
    c.wait();
}

/// What was stored behind the end is gone when a write makes the file longer.
fn behind_the_end_is_zeroed_by_a_longer_file() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"in");
        map.store(200, b"out");
        lseek(f, 300, libc::SEEK_SET).unwrap();
        write(f, b"longer").unwrap();
        let seen = map.load(200, 3);
        map.unmap();
        seen
    });
    opened(&fs, 100, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 100]);
    let mut r = fs.dev().next();
    if r.head.opcode == GETXATTR {
        r.err(ENOSYS);
        r = fs.expect(WRITE);
    }
    // The page is known as a whole, but for what is written to it.
    let a = WriteIn::from_bytes(&r.body);
    assert_eq!((a.offset, a.size), (300, 6));
    wrote(r, 6);
    let mut now = page(b"in")[..306].to_vec();
    now[100..300].fill(0);
    now[300..].copy_from_slice(b"longer");
    serve_write(&fs, 0, &now);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), vec![0; 3]);
}

/// Stores behind the end of "f", which has 100 bytes and is opened with this FOPEN flag, makes it longer by `longer`, and
/// loads what was stored there. The server gets `opcode` for it, and never what was stored.
#[track_caller]
fn longer_by(flags: u64, fopen: u32, open_flags: i32, opcode: u32, longer: fn(&Side, i32)) {
    let fs = Setup::new().flags(flags).start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let g = sys::open(&m.path("f"), libc::O_RDWR | open_flags).unwrap();
        let map = Map::shared(f, 4096).unwrap();
        map.store(200, b"out");
        longer(m, g);
        let seen = map.load(200, 3);
        map.unmap();
        close(g).unwrap();
        close(f).unwrap();
        seen
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, fopen);
    fs.open(2, 6, fopen | FOPEN_KEEP_CACHE);
    let mut asked = false;
    let mut open = 2;
    while open != 0 {
        let r = fs.dev().next();
        asked |= r.head.opcode == opcode;
        match r.head.opcode {
            GETXATTR => r.err(ENOSYS),
            LOOKUP => r.ok(file(3).size(100).entry()),
            OPEN => {
                open += 1;
                r.ok(OpenOut::default());
            }
            READ => {
                let at: ReadIn = r.arg();
                let data = [vec![7; 100], vec![0; 3996]].concat();
                assert!(at.offset == 0, "READ of the first page");
                // The file may have become longer by then.
                let len = if asked { 4096 } else { 100 };
                r.reply(&data[..len]);
            }
            WRITE => {
                let at = WriteIn::from_bytes(&r.body);
                let data = &r.body[size_of::<WriteIn>()..];
                if at.offset == 0 {
                    assert!(
                        data.iter().skip(100).all(|b| *b == 0),
                        "what was stored is written"
                    );
                }
                r.ok(WriteOut {
                    size: at.size,
                    padding: 0,
                });
            }
            SETATTR => r.ok(file(2).size(10_000).attr_out()),
            GETATTR => r.ok(file(2).size(if asked { 10_000 } else { 100 }).attr_out()),
            COPY_FILE_RANGE_64 => r.ok(CopyFileRangeOut { bytes_copied: 10 }),
            FLUSH => r.reply(&[]),
            RELEASE => {
                open -= 1;
                r.reply(&[]);
            }
            _ => panic!("{r:?} came"),
        }
    }
    assert!(asked, "no {}", opcode_name(opcode));
    assert_eq!(c.wait(), vec![0; 3]);
}

/// So it is when a truncation does.
fn behind_the_end_is_zeroed_by_setattr() {
    longer_by(0, 0, 0, SETATTR, |_, g| ftruncate(g, 10_000).unwrap());
}

/// So it is when a write does that goes past the cache, into another page.
fn behind_the_end_is_zeroed_by_a_direct_write() {
    skip_on_c("a direct write behind the end uncovers what was stored there");
    let longer = |_: &Side, g| assert_eq!(pwrite(g, &[7; 10], 9990), Ok(10));
    longer_by(0, 0, libc::O_DIRECT, WRITE, longer);
    longer_by(
        init::DIRECT_IO_ALLOW_MMAP,
        FOPEN_DIRECT_IO,
        0,
        WRITE,
        longer,
    );
}

/// So it is when a copy does, into another page.
fn behind_the_end_is_zeroed_by_a_copy() {
    skip_on_c("a copy behind the end uncovers what was stored there");
    longer_by(0, 0, 0, COPY_FILE_RANGE_64, |m, g| {
        let other = m.open("other").unwrap();
        assert_eq!(copy_file_range((other, 0), (g, 9990), 10), Ok(10));
        close(other).unwrap();
    });
}

/// A write whose source is a mapping of the very page that it writes to ends.
fn write_from_its_own_mapping() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::new(f, 4096, libc::PROT_READ, libc::MAP_SHARED).unwrap();
        lseek(f, 1000, libc::SEEK_SET).unwrap();
        let written = map.write_to(f, 10, 100);
        map.unmap();
        written
    });
    opened(&fs, 4096, 0);
    // The page is read because the source needs it, before or after the file's capabilities.
    let mut reads = 0;
    let r = loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETXATTR => r.err(ENOSYS),
            READ => {
                reads += 1;
                r.reply(&page(b"source"));
            }
            _ => break r,
        }
    };
    assert_eq!((reads, r.head.opcode), (1, WRITE), "{r:?} came");
    assert!(r.body[size_of::<WriteIn>()..] == page(b"source")[10..110]);
    wrote(r, 100);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(100));
}

/// A store to a page that is being written waits until the server has it.
fn store_waits_for_writeback() {
    let fs = Fs::new();
    let c = with_open(&fs, |m, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"1");
        m.pause();
        map.store(10, b"2");
        m.pause();
        map.unmap();
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    c.paused();
    let syncer = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let synced = fsync(f);
        close(f).unwrap();
        synced
    });
    fs.open(2, 6, FOPEN_KEEP_CACHE);
    let (_, data, r) = next_write(&fs);
    assert!(data == page(b"1"));
    c.go();
    c.stays_asleep();
    wrote(r, 4096);
    c.paused();
    // The second store may be written by the other's close, or by the unmapping.
    c.go();
    let mut fsyncs = 0;
    let mut writes = 0;
    for _ in 0..6 {
        let r = fs.dev().next();
        match r.head.opcode {
            FSYNC => {
                fsyncs += 1;
                r.reply(&[]);
            }
            FLUSH | RELEASE => r.reply(&[]),
            WRITE => {
                writes += 1;
                assert!(r.body[size_of::<WriteIn>()..] == page(b"2"));
                wrote(r, 4096);
            }
            _ => panic!("unexpected request: {r:?}"),
        }
    }
    assert_eq!((fsyncs, writes), (1, 1));
    assert_eq!(syncer.wait(), Ok(()));
    c.wait();
}

/// A page that cannot be read is SIGBUS, and so is one that is behind the end, from the start or since a truncation. What
/// was stored to that before is not written.
fn no_page_is_a_signal() {
    let never: fn(&Map, i32) = |_, _| ();
    let cut: fn(&Map, i32) = |map, f| {
        map.store(4096, b"lost");
        ftruncate(f, 4096).unwrap();
    };
    for (at, size, before) in [(0, 4096, never), (4096, 4096, never), (4096, 8192, cut)] {
        let fs = Fs::new();
        let mut c = with_open(&fs, |_, f| {
            let map = Map::shared(f, 8192).unwrap();
            before(&map, f);
            map.store(at, b"x");
        });
        opened(&fs, size, 0);
        let end = loop {
            let r = fs.dev().next();
            match r.head.opcode {
                READ if at == 0 => r.err(EIO),
                READ => r.reply(&[7; 4096]),
                SETATTR => r.ok(file(2).size(4096).attr_out()),
                GETXATTR => r.err(ENOSYS),
                _ => break r,
            }
        };
        assert_eq!(end.head.opcode, FLUSH, "{end:?} came");
        end.reply(&[]);
        fs.release(2, 5);
        assert_eq!(c.death(), Death::Signal(libc::SIGBUS));
    }
}

/// When the server dies, nobody waits for its dirty pages, and msync(2) tells of it.
fn server_dies_with_dirty_pages() {
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"lost");
        let synced = map.sync();
        map.unmap();
        let _ = close(f);
        synced
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    let (_, _, r) = next_write(&fs);
    // It keeps the device open.
    drop(r);
    fs.die();
    assert!(c.wait().is_err());
}

/// What is stored to a private mapping is never written.
fn private_stores_stay_private() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        let map = Map::new(
            f,
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE,
        )
        .unwrap();
        map.store(10, b"mine");
        let seen = (map.load(10, 4), pread(f, 4, 10));
        map.unmap();
        seen
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (b"mine".to_vec(), Ok(vec![7; 4])));
}

/// A file that is open for reading can be mapped shared, but not for stores.
fn read_only_file() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let refused = Map::shared(f, 4096).err();
        let map = Map::new(f, 4096, libc::PROT_READ, libc::MAP_SHARED).unwrap();
        let seen = map.load(0, 3);
        map.unmap();
        close(f).unwrap();
        (refused, seen)
    });
    opened(&fs, 4096, 0);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Some(EACCES), vec![7; 3]));
}

/// Without agreement, a file that is used past the page cache cannot be mapped shared.
fn direct_is_refused() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| Map::shared(f, 4096).err());
    opened(&fs, 4096, FOPEN_DIRECT_IO);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Some(ENODEV));
}

/// A private mapping of one needs no agreement. It shows what the server has when it is made, not what was cached before.
fn direct_can_be_private() {
    let fs = Fs::new();
    let c = with_open(&fs, |m, f| {
        let g = m.open("f").unwrap();
        let cached = pread(f, 3, 0);
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let map = Map::new(g, 4096, prot, libc::MAP_PRIVATE).unwrap();
        map.store(10, b"mine");
        let seen = (map.load(0, 3), map.load(10, 4));
        map.unmap();
        close(g).unwrap();
        (cached, seen)
    });
    opened(&fs, 4096, 0);
    fs.open(2, 6, FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    fs.expect_read(6, 0, 4096).reply(&[8; 4096]);
    fs.flush_and_release(2, 6);
    fs.flush_and_release(2, 5);
    let seen = (vec![8; 3], b"mine".to_vec());
    assert_eq!(c.wait(), (Ok(vec![7; 3]), seen));
}

/// With FUSE_DIRECT_IO_ALLOW_MMAP it can, and what is stored is written.
fn direct_is_allowed_by_agreement() {
    let fs = Setup::new().flags(init::DIRECT_IO_ALLOW_MMAP).start();
    let c = with_open(&fs, |_, f| {
        let map = Map::shared(f, 4096).unwrap();
        map.store(10, b"stored");
        map.unmap();
    });
    opened(&fs, 4096, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    serve_write(&fs, 0, &page(b"stored"));
    fs.flush_and_release(2, 5);
    c.wait();
}
