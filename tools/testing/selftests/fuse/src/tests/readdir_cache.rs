// SPDX-License-Identifier: GPL-2.0

//! FOPEN_CACHE_DIR: when names come from the cache, and when the server is asked again.

use crate::mockd::*;

crate::tests![
    listed_once,
    not_without_the_flag,
    next_open_keeps_it,
    next_open_drops_it,
    readdirplus_fills_it,
    only_from_the_start_to_the_end,
    many_pages,
    seeking,
    unknown_position,
    empty_directory,
    changed_by_the_server,
    changed_by_this_kernel,
    changed_while_it_is_read,
    attributes_are_asked_for_first,
    invalidated,
    new_epoch,
    page_is_dropped,
    names_longer_than_a_page,
];

const CACHE_DIR: u32 = 1 << 3;
const KEEP: u32 = CACHE_DIR | FOPEN_KEEP_CACHE;
use crate::mockd::notice::INC_EPOCH;
use crate::mockd::notice::INVAL_INODE;

fn opendir(fs: &Fs, fh: u64, open_flags: u32) {
    fs.expect(OPENDIR).node(ROOT).ok(OpenOut {
        fh,
        open_flags,
        backing_id: 0,
    });
}

/// Opens the root with handle 5 and these flags, runs `with` on the descriptor, and closes.
fn with_dir<T: Ship>(fs: &Fs, flags: u32, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let t = with(m, d);
        close(d).unwrap();
        t
    });
    opendir(fs, 5, flags);
    c
}

fn names(e: Result<Vec<Entry>>) -> Vec<String> {
    e.unwrap().into_iter().map(|e| e.name).collect()
}

/// Lists from the start to the end by buffers of `len` bytes.
fn all(d: i32, len: usize) -> Vec<String> {
    lseek(d, 0, libc::SEEK_SET).unwrap();
    let mut seen = vec![];
    loop {
        let more = names(getdents(d, len));
        if more.is_empty() {
            return seen;
        }
        seen.extend(more);
    }
}

fn ab() -> Dirents {
    Dirents::new().add(2, 10, 8, "a").add(3, 20, 8, "b")
}

/// The whole directory "a", "b" is asked for.
#[track_caller]
fn serve(fs: &Fs) {
    fs.expect_readdir(5, 0).reply(&ab().0);
    fs.expect_readdir(5, 20).reply(&[]);
}

/// Lists the root twice on one descriptor, doing something between. Returns how often the server was asked.
fn twice(setup: Setup, between: impl FnOnce(&Fs), sure: bool) {
    let fs = setup.start();
    let c = with_dir(&fs, CACHE_DIR, |m, d| {
        let first = all(d, 4096);
        m.pause();
        (first, all(d, 4096))
    });
    serve(&fs);
    c.paused();
    fs.quiet();
    between(&fs);
    c.go();
    if sure {
        serve(&fs);
    }
    fs.releasedir(ROOT, 5);
    let ab: Vec<_> = ["a", "b"].map(String::from).into();
    assert_eq!(c.wait(), (ab.clone(), ab));
}

/// A directory that was read to its end is read again without asking: names, numbers, types and offsets are the same.
fn listed_once() {
    let fs = Fs::new();
    let c = with_dir(&fs, CACHE_DIR, |_, d| {
        let first = getdents(d, 4096);
        let end = getdents(d, 4096);
        lseek(d, 0, libc::SEEK_SET).unwrap();
        (first == getdents(d, 4096), end, getdents(d, 4096))
    });
    serve(&fs);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (true, Ok(vec![]), Ok(vec![])));
}

/// Without FOPEN_CACHE_DIR nothing is cached.
fn not_without_the_flag() {
    let fs = Fs::new();
    let c = with_dir(&fs, FOPEN_KEEP_CACHE, |_, d| {
        (all(d, 4096).len(), all(d, 4096).len())
    });
    serve(&fs);
    serve(&fs);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (2, 2));
}

/// The next open with FOPEN_KEEP_CACHE uses what an earlier one has cached.
fn next_open_keeps_it() {
    let fs = Fs::new();
    for asked in [true, false] {
        let c = with_dir(&fs, KEEP, |_, d| all(d, 4096).len());
        if asked {
            serve(&fs);
        }
        fs.releasedir(ROOT, 5);
        assert_eq!(c.wait(), 2);
    }
}

/// The next open without FOPEN_KEEP_CACHE drops what is cached.
fn next_open_drops_it() {
    let fs = Fs::new();
    for _ in 0..2 {
        let c = with_dir(&fs, CACHE_DIR, |_, d| all(d, 4096).len());
        serve(&fs);
        fs.releasedir(ROOT, 5);
        assert_eq!(c.wait(), 2);
    }
}

/// What READDIRPLUS lists is cached as what READDIR lists.
fn readdirplus_fills_it() {
    let fs = Setup::new().flags(init::DO_READDIRPLUS).start();
    let c = with_dir(&fs, CACHE_DIR, |_, d| (all(d, 4096), all(d, 4096)));
    let reply = Dirents::new().plus(EntryOut::default(), 2, 10, "a");
    fs.expect_readdirplus(5, 0).reply(&reply.0);
    fs.expect_readdirplus(5, 10).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (vec!["a".into()], vec!["a".into()]));
}

/// What was read in part, or not from the start, is asked for again.
fn only_from_the_start_to_the_end() {
    let fs = Fs::new();
    let c = with_dir(&fs, CACHE_DIR, |_, d| {
        // From the middle to the end.
        lseek(d, 10, libc::SEEK_SET).unwrap();
        getdents(d, 4096).unwrap();
        getdents(d, 4096).unwrap();
        // The start alone.
        lseek(d, 0, libc::SEEK_SET).unwrap();
        getdents(d, 4096).unwrap();
        all(d, 4096).len()
    });
    fs.expect_readdir(5, 10).reply(&ab().0[32..]);
    fs.expect_readdir(5, 20).reply(&[]);
    fs.expect_readdir(5, 0).reply(&ab().0);
    serve(&fs);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), 2);
}

/// A directory of many pages is cached whole; readers with small and large buffers see the same.
fn many_pages() {
    let fs = Fs::new();
    let name = |i: u64| format!("{i:03}{}", "x".repeat(i as usize % 250));
    let c = with_dir(&fs, CACHE_DIR, |_, d| {
        let first = all(d, 4096);
        let same = [300, 4096, 1 << 20].map(|len| all(d, len) == first);
        (first, same.to_vec())
    });
    let mut at = 0;
    loop {
        let r = fs.expect_readdir(5, at);
        // Each reply is a few entries; they fit into the caller's buffer, so that it comes back for the next.
        let end = (at + 10).min(400);
        let reply = (at..end).fold(Dirents::new(), |d, i| d.add(i + 10, i + 1, 8, name(i)));
        r.reply(&reply.0);
        if at == end {
            break;
        }
        at = end;
    }
    fs.releasedir(ROOT, 5);
    let (first, same) = c.wait();
    assert_eq!(first, (0..400).map(name).collect::<Vec<_>>());
    assert_eq!(same, [true; 3]);
}

/// A seek to any offset that an entry gave goes on there, without asking.
fn seeking() {
    let fs = Fs::new();
    let c = with_dir(&fs, CACHE_DIR, |_, d| {
        all(d, 4096);
        lseek(d, 10, libc::SEEK_SET).unwrap();
        let from_10 = names(getdents(d, 4096));
        lseek(d, 0, libc::SEEK_SET).unwrap();
        // Room for one.
        let one = names(getdents(d, 24));
        (from_10, one, names(getdents(d, 4096)))
    });
    serve(&fs);
    fs.releasedir(ROOT, 5);
    let s = |n: &str| vec![n.to_string()];
    assert_eq!(c.wait(), (s("b"), s("a"), s("b")));
}

/// For an offset that no cached entry gave the server is asked.
fn unknown_position() {
    let fs = Fs::new();
    let c = with_dir(&fs, CACHE_DIR, |_, d| {
        all(d, 4096);
        lseek(d, 15, libc::SEEK_SET).unwrap();
        (names(getdents(d, 4096)), all(d, 4096).len())
    });
    serve(&fs);
    fs.expect_readdir(5, 15)
        .reply(&Dirents::new().add(9, 20, 8, "z").0);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (vec!["z".into()], 2));
}

/// That there is nothing is cached, too.
fn empty_directory() {
    let fs = Fs::new();
    let c = with_dir(&fs, CACHE_DIR, |_, d| (all(d, 4096), all(d, 4096)));
    fs.expect_readdir(5, 0).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (vec![], vec![]));
}

/// Another time of modification than when the directory was cached: the server is asked again.
fn changed_by_the_server() {
    let stat = |mtime: u64| {
        move |fs: &Fs| {
            let c = fs.call(|m| statx_size(&m.path(""), libc::AT_STATX_FORCE_SYNC).is_ok());
            fs.getattr(dir(ROOT).with(|a| a.mtime = mtime));
            assert!(c.wait());
        }
    };
    twice(Setup::new(), stat(7), true);
    twice(Setup::new(), stat(0), false);
}

/// After a name was made in the directory the server is asked again.
fn changed_by_this_kernel() {
    let make = |fs: &Fs| {
        let c = fs.call(|m| mkdir(&m.path("c")));
        fs.expect_lookup(ROOT, "c").ok(absent(0, 0));
        fs.expect(MKDIR).ok(dir(4).entry());
        assert_eq!(c.wait(), Ok(()));
    };
    twice(Setup::new(), make, true);
}

/// A reader that is half-way when the cache is given up goes on with the server, from where it is.
fn changed_while_it_is_read() {
    let fs = Fs::new();
    let c = with_dir(&fs, KEEP, |m, d| {
        let whole = all(d, 4096).len();
        lseek(d, 0, libc::SEEK_SET).unwrap();
        let a = names(getdents(d, 24));
        m.pause();
        (whole, a, names(getdents(d, 4096)))
    });
    serve(&fs);
    c.paused();
    fs.dev().reply(0, INC_EPOCH, &[]).unwrap();
    let other = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let n = names(getdents(d, 4096));
        close(d).unwrap();
        n
    });
    opendir(&fs, 6, KEEP);
    fs.expect_readdir(6, 0).reply(&ab().0);
    fs.releasedir(ROOT, 6);
    assert_eq!(other.wait().len(), 2);
    c.go();
    fs.expect_readdir(5, 10)
        .reply(&Dirents::new().add(9, 20, 8, "z").0);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (2, vec!["a".into()], vec!["z".into()]));
}

/// With AUTO_INVAL_DATA the start of a directory asks for stale attributes: a new time of modification counts.
fn attributes_are_asked_for_first() {
    for (mtime, asked) in [(0, false), (7, true)] {
        let fs = Setup::new().flags(init::AUTO_INVAL_DATA).start();
        let root = || dir(ROOT).attr_valid(0, 0);
        let c = with_dir(&fs, CACHE_DIR, |_, d| {
            (all(d, 4096).len(), all(d, 4096).len())
        });
        fs.getattr(root());
        serve(&fs);
        fs.getattr(root().with(|a| a.mtime = mtime));
        if asked {
            serve(&fs);
        }
        fs.releasedir(ROOT, 5);
        assert_eq!(c.wait(), (2, 2));
    }
}

/// INVAL_INODE with an offset drops the cached names.
fn invalidated() {
    let inval = |fs: &Fs| {
        let body = [ROOT.to_ne_bytes(), 0i64.to_ne_bytes(), 0i64.to_ne_bytes()].concat();
        fs.dev().reply(0, INVAL_INODE, &body).unwrap();
    };
    twice(Setup::new(), inval, true);
}

/// Names that were cached in an earlier epoch are asked for again.
fn new_epoch() {
    let bump = |fs: &Fs| fs.dev().reply(0, INC_EPOCH, &[]).unwrap();
    twice(Setup::new(), bump, true);
}

/// When the kernel drops the cache the server is asked again.
fn page_is_dropped() {
    let drop = |_: &Fs| std::fs::write("/proc/sys/vm/drop_caches", "1").unwrap();
    twice(Setup::new(), drop, true);
}

/// Names of which two do not fit into a page, or one does not, are listed right, each time.
fn names_longer_than_a_page() {
    for len in [2000, 4072, 4073, NAME_MAX] {
        let fs = Fs::new();
        let c = with_dir(&fs, CACHE_DIR, |_, d| (all(d, 65536), all(d, 65536)));
        let long = |c: &str| c.repeat(len);
        let reply = ["a", "b", "c"]
            .iter()
            .enumerate()
            .fold(Dirents::new(), |d, (i, c)| {
                d.add(i as u64 + 2, i as u64 + 1, 8, long(c))
            });
        // A record of 24 bytes and the name, in 8-byte steps.
        let asked = if len + 24 > 4096 { 2 } else { 1 };
        for _ in 0..asked {
            fs.expect_readdir(5, 0).reply(&reply.0);
            fs.expect_readdir(5, 3).reply(&[]);
        }
        fs.releasedir(ROOT, 5);
        let expected = vec![long("a"), long("b"), long("c")];
        assert_eq!(c.wait(), (expected.clone(), expected), "{len}");
    }
}
