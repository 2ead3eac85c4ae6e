// SPDX-License-Identifier: GPL-2.0

//! What is measured: one function for each kind of work, one row for each cell.
//!
//! The same function runs on a mount of the null server and, for the floor, on tmpfs: what the call costs where there
//! is no server. What only a server makes sense for is left out there.

use crate::library::Library;
use crate::server::name;
use crate::server::Profile;
use crate::server::Server;
use crate::server::ENTRIES;
use crate::server::MEBIBYTE;
use crate::slab::Slabs;
use crate::sys;
use crate::sys::PAGE;
use crate::window::Bench;
use crate::wire;
use std::sync::atomic::Ordering::Relaxed;

/// A row of the table.
pub struct Cell {
    pub name: &'static str,
    pub profile: Profile,
    /// Served by libfuse's passthrough_hp instead, with these options.
    pub library: Option<&'static [&'static str]>,
    /// Whether tmpfs can do it, too.
    pub floor: bool,
    /// Windows in each run; what makes its state anew for each takes one.
    pub batches: u64,
    pub run: fn(&mut Bench),
}

const CACHED: Profile = Profile::CACHED;
const UNCACHED: Profile = Profile {
    attributes_last: false,
    names_last: false,
    ..CACHED
};
/// Attributes do not last, but names do: a stat asks once.
const ATTRIBUTES: Profile = Profile {
    attributes_last: false,
    ..CACHED
};
const DIRECT: Profile = Profile {
    open_flags: wire::FOPEN_DIRECT_IO,
    ..CACHED
};
const WRITE_BACK: Profile = Profile {
    init: wire::init::WRITEBACK_CACHE,
    ..CACHED
};
const NO_OPEN: Profile = Profile {
    init: wire::init::NO_OPEN_SUPPORT,
    opens: false,
    ..CACHED
};
const PLUS: Profile = Profile {
    init: wire::init::DO_READDIRPLUS,
    ..CACHED
};
const SILENT: Profile = Profile {
    answers: false,
    ..ATTRIBUTES
};
/// A server that has extended attributes, though not of this file.
const XATTRS: Profile = Profile {
    xattrs: true,
    ..CACHED
};
const FLUSHES: Profile = Profile {
    flushes: true,
    ..CACHED
};
const PASSED: Profile = Profile {
    init: wire::init::PASSTHROUGH,
    passes_through: true,
    ..CACHED
};
/// A directory that is listed by one call of the cell.
const LISTED: u64 = 10_000;
const SMALLER: Profile = Profile {
    entries: LISTED,
    ..CACHED
};
/// Many FORGETs take some reads of such a server, which has libfuse's usual buffer.
const STORM: Profile = Profile {
    init: wire::init::DO_READDIRPLUS,
    max_write: LIBFUSE,
    entries: STORMING,
    ..ATTRIBUTES
};
/// FORGETs that wait at once.
const STORMING: u64 = 20_000;
/// Bytes of a read or write as programs and libfuse like them.
const LIBFUSE: usize = 128 << 10;

const fn threads(threads: usize, clones: bool) -> Profile {
    Profile {
        threads,
        clones,
        ..ATTRIBUTES
    }
}

const fn over_ring(profile: Profile) -> Profile {
    Profile {
        ring: true,
        ..profile
    }
}

const fn cell(name: &'static str, profile: Profile, run: fn(&mut Bench)) -> Cell {
    Cell {
        name,
        profile,
        library: None,
        floor: true,
        batches: 5,
        run,
    }
}

/// A cell that has no meaning without a server.
const fn served(name: &'static str, profile: Profile, run: fn(&mut Bench)) -> Cell {
    Cell {
        floor: false,
        ..cell(name, profile, run)
    }
}

/// A cell with a server of libfuse's.
const fn library(
    name: &'static str,
    options: &'static [&'static str],
    run: fn(&mut Bench),
) -> Cell {
    Cell {
        library: Some(options),
        floor: false,
        ..cell(name, CACHED, run)
    }
}

// A row on each line.
#[rustfmt::skip]
pub const CELLS: &[Cell] = &[
    cell("getattr", ATTRIBUTES, getattr),
    cell("lookup", Profile { names_last: false, ..CACHED }, stat),
    cell("lookup-negative", UNCACHED, lookup_negative),
    cell("open-release", CACHED, open_close),
    // Making a file on tmpfs is no floor: that has a node to make, too.
    served("create-unlink", CACHED, create_unlink),
    cell("close", FLUSHES, close),
    cell("stat-cached", CACHED, stat),
    cell("open-cached", NO_OPEN, open_close),
    cell("read-4k-miss", CACHED, read_miss::<PAGE, 1000>),
    cell("read-4k-hit", CACHED, read_hit::<PAGE, 500>),
    cell("read-4k-direct", DIRECT, read_hit::<PAGE, 200>),
    cell("read-1m-miss", CACHED, read_miss::<MEBIBYTE, 8>),
    cell("read-1m-hit", CACHED, read_hit::<MEBIBYTE, 8>),
    cell("read-1m-direct", DIRECT, read_hit::<MEBIBYTE, 8>),
    cell("seq-128k-miss", CACHED, read_miss::<LIBFUSE, 64>),
    cell("write-4k-miss", CACHED, write_miss::<PAGE, 1000>),
    cell("write-4k-hit", CACHED, write_hit::<PAGE, 200>),
    cell("write-4k-hit-xattr", XATTRS, write_hit::<PAGE, 200>),
    cell("write-4k-direct", DIRECT, write_hit::<PAGE, 200>),
    cell("write-4k-back", WRITE_BACK, write_hit::<PAGE, 500>),
    cell("write-128k-hit", CACHED, write_hit::<LIBFUSE, 50>),
    cell("write-128k-direct", DIRECT, write_hit::<LIBFUSE, 50>),
    cell("write-1m-miss", CACHED, write_miss::<MEBIBYTE, 8>),
    cell("write-1m-hit", CACHED, write_hit::<MEBIBYTE, 8>),
    cell("write-1m-direct", DIRECT, write_hit::<MEBIBYTE, 8>),
    Cell { batches: 2, ..cell("write-back-64m", WRITE_BACK, write_back) },
    Cell { batches: 2, ..cell("readdir", CACHED, readdir) },
    Cell { batches: 2, ..cell("readdir-10k", SMALLER, readdir_whole) },
    Cell { batches: 1, ..cell("readdirplus", PLUS, readdir_once) },
    cell("fault-read-miss", CACHED, fault_read_miss),
    cell("fault-read-hit", CACHED, fault_read_hit),
    cell("fault-write", WRITE_BACK, fault_write),
    cell("passthrough-read-4k", PASSED, read_hit::<PAGE, 500>),
    cell("passthrough-read-1m", PASSED, read_hit::<MEBIBYTE, 8>),
    cell("passthrough-write-4k", PASSED, write_hit::<PAGE, 500>),
    cell("passthrough-write-1m", PASSED, write_hit::<MEBIBYTE, 8>),
    cell("passthrough-mmap", PASSED, fault_read_hit),
    Cell { batches: 1, ..served("forget", PLUS, forget) },
    Cell { batches: 1, ..served("forget-storm", STORM, forget_storm) },
    served("clients-1", threads(1, false), clients::<1>),
    served("clients-2-shared", threads(2, false), clients::<2>),
    served("clients-4-shared", threads(4, false), clients::<4>),
    served("clients-8-shared", threads(8, false), clients::<8>),
    served("clients-2-cloned", threads(2, true), clients::<2>),
    served("clients-4-cloned", threads(4, true), clients::<4>),
    served("clients-8-cloned", threads(8, true), clients::<8>),
    served("ring-getattr", over_ring(ATTRIBUTES), getattr),
    served("ring-create-unlink", over_ring(CACHED), create_unlink),
    served("ring-read-4k-direct", over_ring(DIRECT), read_hit::<PAGE, 200>),
    served("ring-read-1m-direct", over_ring(DIRECT), read_hit::<MEBIBYTE, 8>),
    served("ring-write-4k-direct", over_ring(DIRECT), write_hit::<PAGE, 200>),
    served("ring-seq-128k-miss", over_ring(CACHED), read_miss::<LIBFUSE, 64>),
    Cell { batches: 1, ..served("abort", SILENT, abort) },
    Cell { batches: 1, ..served("memory-inode", CACHED, memory_inode) },
    Cell { batches: 1, ..served("memory-requests", SILENT, memory_requests) },
    Cell { batches: 1, ..served("memory-connection", CACHED, memory_connection) },
    library("hp-getattr", &["--nocache"], getattr),
    library("hp-lookup", &["--nocache"], stat),
    library("hp-open-release", &[], open_close),
    library("hp-create-unlink", &[], create_unlink),
    library("hp-read-4k-direct", &["--direct-io"], read_hit::<PAGE, 200>),
    library("hp-read-1m-miss", &[], read_miss::<MEBIBYTE, 8>),
    library("hp-write-4k-direct", &["--direct-io"], write_hit::<PAGE, 200>),
    library("hp-write-1m-direct", &["--direct-io"], write_hit::<MEBIBYTE, 8>),
];

/// Calls that cost a request or nothing.
const CALLS: u64 = 300;

fn getattr(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_PATH);
    b.windows(CALLS, |_, _| {
        for _ in 0..CALLS {
            sys::fstat(file.0);
        }
    });
}

fn stat(b: &mut Bench) {
    let path = b.path("f");
    b.windows(CALLS, |_, _| {
        for _ in 0..CALLS {
            sys::stat(&path);
        }
    });
}

fn lookup_negative(b: &mut Bench) {
    let path = b.path("none");
    b.windows(CALLS, |_, _| {
        for _ in 0..CALLS {
            sys::exists(&path);
        }
    });
}

/// Waits until the server has seen all that was sent before.
fn drain(b: &Bench) {
    if b.server.is_some() {
        sys::exists(&b.path("none"));
    }
}

fn open_close(b: &mut Bench) {
    let path = b.path("f");
    b.windows(CALLS, |b, _| {
        for _ in 0..CALLS {
            drop(sys::open(&path, libc::O_RDONLY));
        }
        drain(b);
    });
}

/// Closes one of two descriptors of an open file: the server is told (FLUSH), and the file stays open.
fn close(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_RDONLY);
    b.windows(CALLS, |_, _| {
        for _ in 0..CALLS {
            drop(sys::dup(file.0));
        }
    });
}

fn create_unlink(b: &mut Bench) {
    let path = b.path("c");
    b.windows(CALLS, |b, _| {
        for _ in 0..CALLS {
            drop(sys::open(&path, libc::O_CREAT | libc::O_WRONLY));
            sys::unlink(&path);
        }
        drain(b);
    });
}

// Free pages come by the dozen: windows that take new ones are long enough for many such.

fn read_miss<const LEN: usize, const OPS: u64>(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_RDONLY);
    if LEN == PAGE {
        sys::advise_random(file.0);
    }
    let mut buffer = vec![1; LEN];
    b.windows(OPS, |_, before| {
        for n in before..before + OPS {
            sys::pread(file.0, &mut buffer, n * LEN as u64);
        }
    });
}

fn read_hit<const LEN: usize, const OPS: u64>(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_RDONLY);
    let mut buffer = vec![1; LEN];
    b.windows(OPS, |_, _| {
        for _ in 0..OPS {
            sys::pread(file.0, &mut buffer, 0);
        }
    });
}

fn write_miss<const LEN: usize, const OPS: u64>(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_WRONLY);
    let buffer = vec![1; LEN];
    b.windows(OPS, |_, before| {
        for n in before..before + OPS {
            sys::pwrite(file.0, &buffer, n * LEN as u64);
        }
    });
}

fn write_hit<const LEN: usize, const OPS: u64>(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_WRONLY);
    let buffer = vec![1; LEN];
    b.windows(OPS, |_, _| {
        for _ in 0..OPS {
            sys::pwrite(file.0, &buffer, 0);
        }
    });
}

/// 64 MiB into the page cache and to the server; an operation is a mebibyte.
fn write_back(b: &mut Bench) {
    const OPS: u64 = 64;
    let file = sys::open(&b.path("f"), libc::O_WRONLY);
    if b.server.is_some() {
        // The writer must not be put to sleep to slow it down.
        let bdi = format!("/sys/class/bdi/0:{}", minor(file.0));
        sys::set(&format!("{bdi}/max_ratio"), "100");
        sys::set(&format!("{bdi}/strict_limit"), "0");
    }
    let buffer = vec![1; MEBIBYTE];
    b.windows(OPS, |_, before| {
        for n in before..before + OPS {
            sys::pwrite(file.0, &buffer, n * MEBIBYTE as u64);
        }
        sys::fsync(file.0);
    });
}

/// The minor number of the file system's device, which names its connection, too.
fn minor(fd: i32) -> u64 {
    sys::fstat(fd) & 0xff
}

/// An operation is an entry.
fn readdir(b: &mut Bench) {
    let dir = sys::open(&b.path("d"), libc::O_RDONLY | libc::O_DIRECTORY);
    let mut buffer = vec![0; 32768 / 8];
    b.windows(ENTRIES, |_, _| list(&dir, &mut buffer, ENTRIES));
}

/// An operation is a listing of the whole directory.
fn readdir_whole(b: &mut Bench) {
    let dir = sys::open(&b.path("d"), libc::O_RDONLY | libc::O_DIRECTORY);
    let mut buffer = vec![0; 32768 / 8];
    b.windows(1, |_, _| list(&dir, &mut buffer, LISTED));
}

/// Entries make nodes the first time that they are read.
fn readdir_once(b: &mut Bench) {
    let dir = sys::open(&b.path("d"), libc::O_RDONLY | libc::O_DIRECTORY);
    let mut buffer = vec![0; 32768 / 8];
    b.window(ENTRIES, |_| list(&dir, &mut buffer, ENTRIES));
}

fn list(dir: &sys::Fd, buffer: &mut [u64], wanted: u64) {
    // tmpfs shows its own and its parent's name.
    let entries = sys::list(dir.0, buffer);
    assert!(
        (wanted..=wanted + 2).contains(&entries),
        "{entries} entries"
    );
}

/// Makes a node of each name.
fn look_at_all(b: &Bench, names: u64) {
    let dir = sys::open(&b.path("d"), libc::O_RDONLY | libc::O_DIRECTORY);
    list(&dir, &mut vec![0; 32768 / 8], names);
}

const FAULTS: u64 = 1024;
const FAULTED: usize = FAULTS as usize * PAGE;

fn fault_read_miss(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_RDONLY);
    b.windows(FAULTS, |_, before| {
        let mapping = sys::Mapping::new(file.0, before * PAGE as u64, FAULTED, false);
        mapping.advise_random();
        mapping.read_pages();
    });
}

fn fault_read_hit(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_RDONLY);
    let mut buffer = vec![1; FAULTED];
    sys::pread(file.0, &mut buffer, 0);
    b.windows(FAULTS, |_, _| {
        sys::Mapping::new(file.0, 0, FAULTED, false).read_pages();
    });
}

/// The first write to each page of a mapping.
fn fault_write(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_RDWR);
    let mut buffer = vec![1; FAULTED];
    for batch in 0..=b.batches {
        sys::pread(file.0, &mut buffer, batch * FAULTED as u64);
    }
    b.windows(FAULTS, |_, before| {
        sys::Mapping::new(file.0, before * PAGE as u64, FAULTED, true).write_pages();
    });
}

/// All nodes of the large directory are thrown out; an operation is a node. On the way, what they and their names take
/// when there are so many: in the caches of objects, and of the machine's memory.
fn forget(b: &mut Bench) {
    let before = Slabs::now();
    let free = sys::free_memory();
    look_at_all(b, ENTRIES);
    let taken = free.saturating_sub(sys::free_memory());
    let line = before.grown("inode-of-100000", ENTRIES, &Slabs::now());
    b.report.line(&line);
    let each = taken / ENTRIES;
    b.report
        .line(&format!("memory inode-of-100000-with-all {each}"));
    let tally = b.server.as_ref().expect("a server").tally();
    tally
        .wake_at
        .store(tally.forgotten.load(Relaxed) + ENTRIES, Relaxed);
    b.window(ENTRIES, |b| {
        sys::set("/proc/sys/vm/drop_caches", "2");
        b.server.as_ref().expect("a server").sleep();
    });
}

/// Attributes are asked for while 20 000 FORGETs wait, of which the server takes a buffer full at a time.
fn forget_storm(b: &mut Bench) {
    const ASKED: u64 = 32;
    look_at_all(b, STORMING);
    let file = sys::open(&b.path("f"), libc::O_PATH);
    sys::set("/proc/sys/vm/drop_caches", "2");
    b.window(ASKED, |_| {
        for _ in 0..ASKED {
            sys::fstat(file.0);
        }
    });
}

/// N processes that ask for attributes, and as many threads that answer.
fn clients<const N: u64>(b: &mut Bench) {
    let path = b.path("f");
    let ops = (CALLS * b.scale).next_multiple_of(N);
    for _ in 0..b.batches {
        let (ready, say_ready) = sys::pipe();
        let (go, say_go) = sys::pipe();
        let (done, say_done) = sys::pipe();
        let children: Vec<_> = (0..N)
            .map(|_| {
                sys::fork(|| {
                    let file = sys::open(&path, libc::O_PATH);
                    sys::fstat(file.0);
                    sys::write(say_ready.0, &[1]);
                    sys::read(go.0, &mut [0]);
                    for _ in 0..ops / N {
                        sys::fstat(file.0);
                    }
                    sys::write(say_done.0, &[1]);
                    // Its end is not part of it.
                    sys::read(go.0, &mut [0]);
                })
            })
            .collect();
        let wait_for_all = |end: &sys::Fd| {
            for _ in 0..N {
                sys::read(end.0, &mut [0]);
            }
        };
        wait_for_all(&ready);
        b.window(ops, |_| {
            sys::write(say_go.0, &[1; 8][..N as usize]);
            wait_for_all(&done);
        });
        sys::write(say_go.0, &[1; 8][..N as usize]);
        children.into_iter().for_each(sys::wait);
    }
}

/// Requests in flight when the connection is aborted.
const FLYING: u64 = 1000;

/// From the abort until all callers are back; an operation is a request. On the way, what a request takes in memory.
fn abort(b: &mut Bench) {
    let file = sys::open(&b.path("f"), libc::O_PATH);
    let server = b.server.take().expect("a server");
    let (ready, say_ready) = sys::pipe();
    let (go, say_go) = sys::pipe();
    let (done, say_done) = sys::pipe();
    let wait_for_all = |end: &sys::Fd| {
        for _ in 0..FLYING {
            sys::read(end.0, &mut [0]);
        }
    };
    let children: Vec<_> = (0..FLYING)
        .map(|_| {
            sys::fork(|| {
                sys::write(say_ready.0, &[1]);
                sys::read(go.0, &mut [0]);
                let answered = sys::has_attributes(file.0);
                sys::write(say_done.0, &[1]);
                sys::read(go.0, &mut [0]);
                assert!(!answered, "nobody answers");
            })
        })
        .collect();
    wait_for_all(&ready);
    server.tally().wake_at.store(FLYING, Relaxed);
    let before = Slabs::now();
    sys::write(say_go.0, &vec![1; FLYING as usize]);
    server.sleep();
    b.report
        .line(&before.grown("request", FLYING, &Slabs::now()));
    let control = format!("/sys/fs/fuse/connections/{}/abort", minor_of(&b.dir));
    b.window(FLYING, |_| {
        sys::set(&control, "1");
        wait_for_all(&done);
    });
    sys::write(say_go.0, &vec![1; FLYING as usize]);
    children.into_iter().for_each(sys::wait);
    drop(file);
    server.stop();
}

/// The minor number of what is mounted there, from the table of mounts: nobody is asked.
fn minor_of(dir: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    let here = std::env::current_dir().expect("a directory");
    let dir = here.join(dir);
    table
        .lines()
        .find_map(|line| {
            let mut words = line.split(' ');
            let device = words.nth(2)?;
            (dir.to_str() == words.nth(1)).then(|| device.split(':').nth(1)?.parse().ok())?
        })
        .expect("a mount")
}

/// What a node takes, without the name.
fn memory_inode(b: &mut Bench) {
    const NODES: u64 = 5000;
    let look_up = |from: u64| {
        for n in from..from + NODES {
            let path = format!("d/{}", String::from_utf8_lossy(&name(n)));
            sys::stat(&b.path(&path));
        }
    };
    look_up(0);
    let before = Slabs::now();
    look_up(NODES);
    let line = before.grown("inode", NODES, &Slabs::now());
    b.report.line(&line);
}

/// What a request takes when 10 000 are in flight.
fn memory_requests(b: &mut Bench) {
    const REQUESTS: usize = 10_000;
    let file = sys::open(&b.path("f"), libc::O_PATH);
    let server = b.server.take().expect("a server");
    server.tally().wake_at.store(REQUESTS as u64, Relaxed);
    let (ready, say_ready) = sys::pipe();
    let (go, say_go) = sys::pipe();
    let caller = || {
        sys::write(say_ready.0, &[1]);
        sys::read(go.0, &mut [0]);
        assert!(!sys::has_attributes(file.0), "nobody answers");
    };
    let mut crowd = sys::Crowd::new(REQUESTS);
    for _ in 0..REQUESTS {
        crowd.add(&caller);
    }
    for _ in 0..REQUESTS {
        sys::read(ready.0, &mut [0]);
    }
    let before = Slabs::now();
    sys::write(say_go.0, &vec![1; REQUESTS]);
    server.sleep();
    let line = before.grown("request-of-10000", REQUESTS as u64, &Slabs::now());
    b.report.line(&line);
    let control = format!("/sys/fs/fuse/connections/{}/abort", minor_of(&b.dir));
    sys::set(&control, "1");
    crowd.wait();
    drop(file);
    server.stop();
}

/// What a mount takes, before it is used.
fn memory_connection(b: &mut Bench) {
    const MOUNTS: u64 = 32;
    let dir = |n| format!("many/{n}");
    for n in 0..MOUNTS {
        std::fs::create_dir_all(dir(n)).expect("a directory");
    }
    let mount = |n| fuse_samples::mount::direct("bench", &dir(n)).expect("a mount");
    drop(mount(0));
    sys::umount(&sys::c_path(dir(0)));
    let before = Slabs::now();
    let devices: Vec<_> = (0..MOUNTS).map(mount).collect();
    let line = before.grown("connection", MOUNTS, &Slabs::now());
    b.report.line(&line);
    drop(devices);
    for n in 0..MOUNTS {
        sys::umount(&sys::c_path(dir(n)));
    }
}

/// The names that the null server has, on tmpfs; of the large directory as many as are listed.
pub fn populate(dir: &str, listed: u64) {
    let file = std::fs::File::create(format!("{dir}/f")).expect("a file");
    file.set_len(1 << 34).expect("a large file");
    std::fs::create_dir_all(format!("{dir}/d")).expect("a directory");
    for n in 0..listed {
        let path = format!("{dir}/d/{}", String::from_utf8_lossy(&name(n)));
        std::fs::File::create(path).expect("a file");
    }
}

/// Runs one cell on a mount of its own.
pub fn run(cell: &Cell, scale: u64, report: &mut crate::window::Report) {
    sys::settle();
    if let Some(options) = cell.library {
        let (library, dir) = Library::start(options);
        (cell.run)(&mut Bench::new(cell.name, dir, None, cell.batches, report));
        return library.stop();
    }
    let dir = "mnt".to_string();
    if cell.profile.passes_through {
        sys::mount("tmpfs", FLOOR, "size=90%");
        populate(FLOOR, 0);
    }
    let server = Server::start(cell.profile, &dir);
    let mut bench = Bench::new(cell.name, dir, Some(server), cell.batches, report);
    bench.scale = scale;
    (cell.run)(&mut bench);
    if let Some(server) = bench.server.take() {
        server.stop();
    }
    if cell.profile.passes_through {
        sys::umount_soon(&sys::c_path(FLOOR));
    }
}

/// Where tmpfs is mounted, to be measured itself or to be passed through to.
const FLOOR: &str = "floor";

/// Runs one cell on tmpfs.
pub fn run_floor(cell: &Cell, report: &mut crate::window::Report) {
    sys::settle();
    let dir = FLOOR.to_string();
    sys::mount("tmpfs", &dir, "size=90%,nr_inodes=0");
    let lists = cell.name.starts_with("readdir");
    populate(&dir, if lists { cell.profile.entries } else { 0 });
    (cell.run)(&mut Bench::new(
        cell.name,
        dir.clone(),
        None,
        cell.batches,
        report,
    ));
    sys::umount(&sys::c_path(&dir));
}
