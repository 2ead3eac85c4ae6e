// SPDX-License-Identifier: GPL-2.0

//! Files that are cached in folios of several pages: nothing that a caller or a server sees depends on how large they are.

use super::notify::inval_inode;
use super::notify::notify;
use super::splice::pattern_from;
use crate::mockd::*;

crate::tests![
    parameter_has_a_bound,
    content_is_the_same,
    notifications_of_a_part,
    no_larger_than_a_request,
    not_where_writes_stay_in_the_cache,
];

use crate::mockd::notice::INVAL_INODE;
use crate::mockd::notice::RETRIEVE;
use crate::mockd::notice::STORE;

const PAGE: usize = 4096;
const SIZE: usize = 300_001;

/// How large a folio may be, in powers of two of pages: single pages, small ones, and the largest.
const ORDERS: [&str; 3] = ["0", "2", "9"];

/// Sets the module's parameter. The C module has none, and has single pages.
fn set_order(order: &str) -> Option<Setting> {
    Setting::of_rust("max_folio_order", order)
}

/// A server that reads ahead and writes much at once.
fn setup() -> Setup {
    let flags = init::ASYNC_READ | init::BIG_WRITES | init::MAX_PAGES;
    Setup::new().flags(flags).init(|i| {
        i.max_readahead = 128 << 10;
        i.max_pages = 128;
        i.max_write = 512 << 10;
    })
}

/// Opens "f" as node 2 with handle 5, and runs `with` on it.
fn with_open<T: Ship>(fs: &Fs, size: usize, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        with(m, f)
    });
    fs.lookup(ROOT, "f", file(2).size(size as u64));
    fs.open(2, 5, 0);
    c
}

/// A file of the server.
struct Content {
    bytes: Vec<u8>,
    /// Offset and size of each READ.
    reads: Vec<(u64, u32)>,
    /// Sizes of the WRITEs.
    writes: Vec<u32>,
}

impl Content {
    fn new() -> Self {
        Content {
            bytes: pattern_from(0, SIZE),
            reads: Vec::new(),
            writes: Vec::new(),
        }
    }

    fn node(&self) -> Node {
        file(2).size(self.bytes.len() as u64)
    }

    fn answer(&mut self, r: Request) {
        match r.head.opcode {
            READ => {
                let a = ReadIn::from_bytes(&r.body);
                self.reads.push((a.offset, a.size));
                let start = (a.offset as usize).min(self.bytes.len());
                let end = (start + a.size as usize).min(self.bytes.len());
                r.reply(&self.bytes[start..end]);
            }
            WRITE => {
                let a = WriteIn::from_bytes(&r.body);
                let data = &r.body[size_of::<WriteIn>()..];
                assert_eq!(data.len(), a.size as usize);
                self.writes.push(a.size);
                let (start, end) = (a.offset as usize, a.offset as usize + data.len());
                // What a mapping has behind the end of the file is not part of it.
                let len = self.bytes.len().max(if a.write_flags & WRITE_CACHE == 0 {
                    end
                } else {
                    0
                });
                self.bytes.resize(len, 0);
                let end = end.min(len);
                self.bytes[start..end].copy_from_slice(&data[..end - start]);
                r.ok(WriteOut {
                    size: a.size,
                    padding: 0,
                });
            }
            SETATTR => {
                let a = SetattrIn::from_bytes(&r.body);
                if a.valid & (1 << 3) != 0 {
                    self.bytes.resize(a.size as usize, 0);
                }
                r.ok(self.node().attr_out());
            }
            GETATTR => r.ok(self.node().attr_out()),
            FLUSH | FSYNC | RELEASE => r.reply(&[]),
            _ => r.err(ENOSYS),
        }
    }

    /// Serves until the caller pauses or ends.
    fn serve<T: Ship>(&mut self, fs: &Fs, c: &Caller<T>) {
        serve_until(fs.dev(), |r| self.answer(r), || !c.running());
    }
}

/// The whole file, in pieces of `step` bytes.
fn read_all(f: i32, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let data = pread(f, step, all.len() as i64).unwrap();
        if data.is_empty() {
            return all;
        }
        all.extend(data);
    }
}

/// A folio has to go into a request of any server, and the kernel has a bound of its own.
fn parameter_has_a_bound() {
    skip_without_rust("a bound for the folios of files");
    let setting = Setting::parameter("max_folio_order");
    assert_eq!(setting.get(), "5");
    assert_eq!(setting.set("10"), Err(EINVAL));
    assert_eq!(setting.set("-1"), Err(EINVAL));
    assert_eq!(setting.set("9"), Ok(()));
    assert_eq!(setting.get(), "9");
}

/// Writes `data` at `pos`, in the file and in what it should be.
fn put(f: i32, shadow: &mut Vec<u8>, pos: usize, data: &[u8]) {
    lseek(f, pos as i64, libc::SEEK_SET).unwrap();
    assert_eq!(write(f, data), Ok(data.len()));
    if shadow.len() < pos + data.len() {
        shadow.resize(pos + data.len(), 0);
    }
    shadow[pos..pos + data.len()].copy_from_slice(data);
}

/// Reads, writes, mappings and changes of the size, across the folios and within them.
fn content_is_the_same() {
    for order in ORDERS {
        let _set = set_order(order);
        let fs = setup().start();
        let c = with_open(&fs, SIZE, |_, f| {
            let mut shadow = pattern_from(0, SIZE);
            assert!(read_all(f, 30_000) == shadow, "read ahead");
            put(f, &mut shadow, 41_003, &[b'x'; 5000]);
            put(f, &mut shadow, 3 * PAGE, &[b'y'; 1]);
            // New folios, and a hole behind the end.
            put(f, &mut shadow, SIZE + 70_000, &pattern_from(5, 200_000));
            assert!(read_all(f, 65_536) == shadow, "written");
            for size in [123_457, 200_000, 5 * PAGE, 250_000] {
                ftruncate(f, size as i64).unwrap();
                shadow.resize(size, 0);
                assert!(read_all(f, 50_001) == shadow, "made {size} bytes long");
                put(f, &mut shadow, size / 2, b"middle");
            }
            let map = Map::shared(f, shadow.len()).unwrap();
            for at in [0, 60_001, 249_990] {
                map.store(at, b"stored");
                shadow[at..at + 6].copy_from_slice(b"stored");
            }
            put(f, &mut shadow, 60_004, b"over");
            assert!(map.load(0, shadow.len()) == shadow, "mapped");
            map.sync().unwrap();
            map.unmap();
            assert!(read_all(f, 100_000) == shadow, "stored");
            close(f).unwrap();
            shadow
        });
        let mut content = Content::new();
        content.serve(&fs, &c);
        let shadow = c.wait();
        assert!(content.bytes == shadow, "the server has it, order {order}");
    }
}

/// INVAL_INODE, STORE and RETRIEVE of a part of a folio.
fn notifications_of_a_part() {
    for order in ORDERS {
        let _set = set_order(order);
        let fs = setup().start();
        let c = with_open(&fs, SIZE, |m, f| {
            let first = read_all(f, 30_000);
            m.pause();
            let second = read_all(f, 30_000);
            close(f).unwrap();
            (first, second)
        });
        let mut content = Content::new();
        content.serve(&fs, &c);
        c.paused();
        let first = content.bytes.clone();
        content.reads.clear();

        // The server changes a part, and says so for it alone; another part it tells at once.
        content.bytes[90_000..90_100].fill(b'i');
        let range = inval_inode(2, 90_000, 100);
        assert_eq!(notify(fs.dev(), INVAL_INODE, &[&range]), Ok(()));
        content.bytes[70_003..75_003].fill(b's');
        let out = NotifyStoreOut {
            nodeid: 2,
            offset: 70_003,
            size: 5000,
            padding: 0,
        };
        assert_eq!(
            notify(fs.dev(), STORE, &[&out.bytes(), &[b's'; 5000]]),
            Ok(())
        );
        let out = NotifyRetrieveOut {
            notify_unique: 42,
            nodeid: 2,
            offset: 69_999,
            size: 10_000,
            padding: 0,
        };
        assert_eq!(notify(fs.dev(), RETRIEVE, &[&out.bytes()]), Ok(()));
        let r = fs.expect(NOTIFY_REPLY).node(2);
        let data = &r.body[size_of::<NotifyRetrieveIn>()..];
        assert!(
            data == &content.bytes[69_999..79_999],
            "retrieved, order {order}"
        );

        c.go();
        content.serve(&fs, &c);
        let (one, two) = c.wait();
        assert!(one == first, "at first, order {order}");
        assert!(two == content.bytes, "after, order {order}");
        let reads = &content.reads;
        assert!(
            reads
                .iter()
                .any(|(at, size)| (*at..*at + u64::from(*size)).contains(&90_000)),
            "what was dropped is read again: {reads:?}"
        );
        assert!(
            reads.iter().all(|(at, size)| *at != 0 || *size == 0),
            "what was not is not: {reads:?}"
        );
    }
}

/// The folios of a server that takes little at once are small, too: no READ and no WRITE is longer than it has said.
fn no_larger_than_a_request() {
    let _set = set_order("9");
    let most = 3 * PAGE;
    let fs = Setup::new()
        .flags(init::ASYNC_READ | init::BIG_WRITES)
        .init(|i| {
            i.max_readahead = 128 << 10;
            i.max_write = most as u32;
        })
        .option(&format!("max_read={most}"))
        .start();
    let c = with_open(&fs, SIZE, |_, f| {
        let mut shadow = pattern_from(0, SIZE);
        assert!(read_all(f, 30_000) == shadow);
        let map = Map::shared(f, SIZE).unwrap();
        for at in (0..SIZE - 6).step_by(50_000) {
            map.store(at, b"stored");
            shadow[at..at + 6].copy_from_slice(b"stored");
        }
        map.sync().unwrap();
        map.unmap();
        put(f, &mut shadow, 1000, &pattern_from(1, 100_000));
        assert!(read_all(f, 100_000) == shadow);
        close(f).unwrap();
        shadow
    });
    let mut content = Content::new();
    content.serve(&fs, &c);
    assert!(content.bytes == c.wait());
    let read = content.reads.iter().map(|(_, size)| *size).max();
    let written = content.writes.iter().copied().max();
    assert!(read.is_some_and(|size| size as usize <= most), "{read:?}");
    assert!(
        written.is_some_and(|size| size as usize <= most),
        "{written:?}"
    );
}

/// If writes stay in the page cache a store makes one page dirty, whatever the parameter says.
fn not_where_writes_stay_in_the_cache() {
    let _set = set_order("9");
    let fs = setup().flags(init::WRITEBACK_CACHE).start();
    let c = with_open(&fs, SIZE, |_, f| {
        read_all(f, 30_000);
        let map = Map::shared(f, SIZE).unwrap();
        map.store(100_000, b"stored");
        map.sync().unwrap();
        map.unmap();
        close(f).unwrap();
    });
    let mut content = Content::new();
    content.serve(&fs, &c);
    c.wait();
    assert_eq!(content.writes, [PAGE as u32]);
}
