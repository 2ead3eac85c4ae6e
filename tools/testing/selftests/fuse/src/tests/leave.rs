// SPDX-License-Identifier: GPL-2.0

//! Killing the caller of every operation while the server has it: one that need not wait is gone within a second, and
//! whatever the server answers later is undone. With the C module all wait for the answer.

use super::notify::inval_inode;
use super::notify::notify;
use super::notify::INVAL_INODE;
use crate::mockd::*;
use libc::F_SETLKW;
use libc::F_WRLCK;

crate::tests![
    callers_of_every_operation,
    lock_of_a_killed_caller_is_given_back,
    bsd_lock_of_a_killed_caller_ends_with_the_file,
    nodes_of_a_killed_reader_are_forgotten,
    page_of_a_killed_reader_can_be_read,
    close_goes_on_by_itself,
    process_that_faults_can_be_looked_at,
    store_to_a_page_that_is_written_back_can_be_killed,
];

const PAGE: usize = 4096;

/// An operation that the server holds back.
struct Held {
    opcode: u32,
    /// Of INIT.
    flags: u64,
    /// Of OPEN.
    fopen: u32,
    call: fn(&Side) -> Result<()>,
    /// Whether its caller leaves when it is killed.
    leaves: bool,
}

fn opened(m: &Side, flags: i32) -> i32 {
    sys::open(&m.path("f"), flags).unwrap()
}

fn rw(m: &Side) -> i32 {
    opened(m, libc::O_RDWR)
}

const fn leaves(opcode: u32, flags: u64, call: fn(&Side) -> Result<()>) -> Held {
    Held {
        opcode,
        flags,
        fopen: 0,
        call,
        leaves: true,
    }
}

const fn waits(opcode: u32, flags: u64, call: fn(&Side) -> Result<()>) -> Held {
    Held {
        opcode,
        flags,
        fopen: 0,
        call,
        leaves: false,
    }
}

const fn direct(held: Held) -> Held {
    Held {
        fopen: FOPEN_DIRECT_IO,
        ..held
    }
}

/// Every operation whose caller waits. Those that change something keep their caller: their lock, or folios, would be
/// free before the server has answered (Documentation/lifecycle.rst).
fn all() -> Vec<Held> {
    const DIR: i32 = libc::O_RDONLY | libc::O_DIRECTORY;
    vec![
        leaves(LOOKUP, 0, |m| m.stat("x").map(drop)),
        leaves(GETATTR, 0, |m| m.stat("stale").map(drop)),
        leaves(GETATTR, init::AUTO_INVAL_DATA, |m| {
            let f = sys::open(&m.path("stale"), libc::O_RDONLY).unwrap();
            pread(f, 1, 0).map(drop)
        }),
        leaves(READLINK, 0, |m| m.readlink("l").map(drop)),
        leaves(OPEN, 0, |m| m.open("f").map(drop)),
        leaves(OPENDIR, 0, |m| m.opendir("d").map(drop)),
        leaves(READ, 0, |m| pread(rw(m), 1, 0).map(drop)),
        leaves(READ, 0, |m| {
            Map::shared(rw(m), PAGE)?.load(0, 1);
            Ok(())
        }),
        leaves(READ, init::WRITEBACK_CACHE, |m| {
            // A part of a page, of which the rest is read.
            let f = rw(m);
            lseek(f, 10, libc::SEEK_SET)?;
            write(f, b"abc").map(drop)
        }),
        direct(leaves(READ, 0, |m| pread(rw(m), PAGE, 0).map(drop))),
        direct(leaves(READ, init::ASYNC_DIO, |m| {
            pread(opened(m, libc::O_RDWR | libc::O_DIRECT), PAGE, 0).map(drop)
        })),
        leaves(READDIR, 0, |m| {
            getdents(sys::open(&m.path("d"), DIR).unwrap(), 4096).map(drop)
        }),
        leaves(READDIRPLUS, init::DO_READDIRPLUS, |m| {
            getdents(sys::open(&m.path("d"), DIR).unwrap(), 4096).map(drop)
        }),
        leaves(FSYNC, 0, |m| sys::fsync(rw(m))),
        leaves(FSYNCDIR, 0, |m| {
            sys::fsync(sys::open(&m.path("d"), DIR).unwrap())
        }),
        leaves(FLUSH, 0, |m| close(rw(m))),
        leaves(LSEEK, 0, |m| lseek(rw(m), 0, libc::SEEK_DATA).map(drop)),
        leaves(POLL, 0, |m| {
            sys::poll(rw(m), libc::POLLIN, 0);
            Ok(())
        }),
        leaves(IOCTL, 0, |m| sys::ioctl_number(rw(m), 0x7801, 0).map(drop)),
        leaves(GETLK, init::POSIX_LOCKS, |m| {
            fcntl_lock(rw(m), libc::F_GETLK, lock(F_WRLCK, 0, 1)).map(drop)
        }),
        leaves(SETLK, init::POSIX_LOCKS, |m| {
            fcntl_lock(rw(m), libc::F_SETLK, lock(F_WRLCK, 0, 1)).map(drop)
        }),
        leaves(SETLKW, init::POSIX_LOCKS, |m| {
            fcntl_lock(rw(m), F_SETLKW, lock(F_WRLCK, 0, 1)).map(drop)
        }),
        leaves(SETLKW, init::FLOCK_LOCKS, |m| flock(rw(m), libc::LOCK_EX)),
        leaves(STATFS, 0, |m| m.statfs("f").map(drop)),
        leaves(ACCESS, 0, |m| m.access("f", libc::R_OK)),
        leaves(GETXATTR, 0, |m| getxattr(&m.path("f"), "user.x").map(drop)),
        leaves(LISTXATTR, 0, |m| listxattr(&m.path("f")).map(drop)),
        waits(OPEN, init::ATOMIC_O_TRUNC, |m| {
            opened(m, libc::O_WRONLY | libc::O_TRUNC);
            Ok(())
        }),
        waits(READLINK, init::CACHE_SYMLINKS, |m| {
            m.readlink("l").map(drop)
        }),
        waits(SETATTR, 0, |m| chmod(&m.path("f"), 0o600)),
        waits(SETXATTR, 0, |m| setxattr(&m.path("f"), "user.x", b"x")),
        waits(REMOVEXATTR, 0, |m| removexattr(&m.path("f"), "user.x")),
        waits(MKDIR, 0, |m| mkdir(&m.path("n"))),
        waits(MKNOD, 0, |m| mknod(&m.path("n"), libc::S_IFIFO)),
        waits(SYMLINK, 0, |m| symlink("t", &m.path("n"))),
        waits(LINK, 0, |m| link(&m.path("f"), &m.path("n"))),
        waits(UNLINK, 0, |m| unlink(&m.path("f"))),
        waits(RMDIR, 0, |m| rmdir(&m.path("d"))),
        waits(RENAME, 0, |m| rename(&m.path("f"), &m.path("n"))),
        waits(CREATE, 0, |m| {
            sys::open(&m.path("n"), libc::O_CREAT | libc::O_WRONLY).map(drop)
        }),
        waits(WRITE, 0, |m| write(rw(m), b"abc").map(drop)),
        direct(waits(WRITE, 0, |m| write(rw(m), b"abc").map(drop))),
        waits(WRITE, init::WRITEBACK_CACHE, |m| {
            let f = rw(m);
            write(f, &[1; PAGE])?;
            sys::fsync(f)
        }),
        waits(FALLOCATE, 0, |m| sys::fallocate(rw(m), 10)),
    ]
}

/// Answers what comes beside the operation that a test is about.
fn serve(r: Request, fopen: u32) {
    let node = |name: &str| match name {
        "d" => Some(dir(3)),
        "l" => Some(symlink_node(4)),
        "f" => Some(file(2).size(2 * PAGE as u64)),
        "stale" => Some(file(5).size(PAGE as u64).attr_valid(0, 0)),
        _ => None,
    };
    match r.head.opcode {
        LOOKUP => match node(&r.name()) {
            Some(node) => r.ok(node.entry()),
            None => r.ok(absent(3600, 0)),
        },
        OPEN | OPENDIR => r.ok(OpenOut {
            fh: 5,
            open_flags: fopen,
            backing_id: 0,
        }),
        GETATTR => {
            let id = r.head.nodeid;
            r.ok(file(id).size(2 * PAGE as u64).attr_out());
        }
        GETXATTR => r.err(ENODATA),
        READDIR | READDIRPLUS | READ => r.reply(&[]),
        FLUSH | RELEASE | RELEASEDIR | FSYNC | FSYNCDIR | SETLK | SETLKW | SETATTR => {
            if r.head.opcode == SETATTR {
                r.ok(file(2).size(2 * PAGE as u64).attr_out());
            } else {
                r.reply(&[]);
            }
        }
        INTERRUPT | FORGET | BATCH_FORGET => (),
        WRITE => {
            let size = WriteIn::from_bytes(&r.body).size;
            r.ok(WriteOut { size, padding: 0 });
        }
        _ => panic!("{r:?} came"),
    }
}

/// Serves until `done`, and what is on its way then.
fn serve_until(fs: &Fs, fopen: u32, mut done: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    loop {
        match fs.dev().next_within(ms(20)) {
            Some(r) => serve(r, fopen),
            None if done() => return,
            None => assert!(
                (start.elapsed().as_millis() as i64) < patience(),
                "not done"
            ),
        }
    }
}

/// Runs `call` until the server has the operation.
fn hold<T: Ship>(fs: &Fs, held: &Held, call: impl FnOnce(&Side) -> T) -> (Caller<T>, Request) {
    let c = fs.call(call);
    loop {
        let r = fs.dev().next();
        if r.head.opcode == held.opcode {
            return (c, r);
        }
        serve(r, held.fopen);
    }
}

/// Kills `c` while the server has its request: it is gone within a second, and before `answer`.
fn kill(c: &mut Caller<()>, what: &str, answer: impl FnOnce()) {
    c.until_asleep();
    c.signal(libc::SIGKILL);
    soon(ms(1000), what, || c.is_gone());
    answer();
}

/// A killed caller of any operation is gone within a second while the server has it; one that changes something
/// when the server has answered.
fn callers_of_every_operation() {
    for held in all() {
        let fs = Setup::new().flags(held.flags).start();
        let what = format!("{} leaves with flags {:x}", held.opcode, held.flags);
        let (mut c, r) = hold(&fs, &held, |m| {
            let _ = (held.call)(m);
        });
        c.until_asleep();
        c.signal(libc::SIGKILL);
        if held.leaves && is_rust() {
            // What was changed in the page cache, be it the times, is written before the process is gone.
            let writes = held.flags & init::WRITEBACK_CACHE != 0;
            soon(ms(1000), &what, || {
                while let Some(r) = writes.then(|| fs.dev().next_within(0)).flatten() {
                    serve(r, held.fopen);
                }
                c.is_gone()
            });
        } else {
            c.until_uninterruptible();
            if !held.leaves {
                c.stays_asleep();
            }
        }
        r.err(EINTR);
        serve_until(&fs, held.fopen, || c.is_gone());
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL), "{what}");
    }
}

/// Answers the FLUSH that a dying process sends, and reads over INTERRUPTs before it.
fn flush_of_the_dying(fs: &Fs) {
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            INTERRUPT => continue,
            FLUSH => break r.reply(&[]),
            _ => panic!("{r:?} came"),
        }
    }
}

/// A POSIX lock that a killed caller gets is given back at once: its owner is gone.
fn lock_of_a_killed_caller_is_given_back() {
    skip_without_rust("callers that leave");
    let fs = Setup::new().flags(init::POSIX_LOCKS).start();
    let held = leaves(SETLKW, 0, |_| Ok(()));
    let (mut c, r) = hold(&fs, &held, |m| {
        let _ = fcntl_lock(rw(m), F_SETLKW, lock(F_WRLCK, 7, 3));
    });
    let asked: LkIn = r.arg();
    kill(&mut c, "SETLKW leaves", || {
        // What the dying process closes is not released before.
        flush_of_the_dying(&fs);
        fs.quiet();
        r.reply(&[]);
    });
    let r = fs.expect(SETLK).node(2);
    let given_back: LkIn = r.arg();
    assert_eq!(given_back.owner, asked.owner);
    assert_eq!(
        (given_back.lk.start, given_back.lk.end, given_back.lk.kind),
        (7, 9, libc::F_UNLCK as u32)
    );
    r.reply(&[]);
    fs.release(2, 5);
}

/// A BSD lock that a killed caller gets is given up by the RELEASE of its file, which comes after that.
fn bsd_lock_of_a_killed_caller_ends_with_the_file() {
    skip_without_rust("callers that leave");
    let fs = Setup::new().flags(init::FLOCK_LOCKS).start();
    let held = leaves(SETLKW, 0, |_| Ok(()));
    let (mut c, r) = hold(&fs, &held, |m| {
        let _ = flock(rw(m), libc::LOCK_EX);
    });
    let asked: LkIn = r.arg();
    kill(&mut c, "SETLKW leaves", || {
        flush_of_the_dying(&fs);
        fs.quiet();
        r.reply(&[]);
    });
    let r = fs.expect(RELEASE).node(2);
    let release: ReleaseIn = r.arg();
    const FLOCK_UNLOCK: u32 = 2;
    assert_eq!(
        (release.release_flags, release.lock_owner),
        (FLOCK_UNLOCK, asked.owner)
    );
    r.reply(&[]);
}

/// The nodes that READDIRPLUS brings a killed reader are forgotten.
fn nodes_of_a_killed_reader_are_forgotten() {
    skip_without_rust("callers that leave");
    let fs = Setup::new().flags(init::DO_READDIRPLUS).start();
    let held = leaves(READDIRPLUS, 0, |_| Ok(()));
    let (mut c, r) = hold(&fs, &held, |m| {
        let _ = getdents(m.opendir("").unwrap(), 4096);
    });
    let reply = Dirents::new()
        .plus(dir(ROOT).entry(), 1, 1, ".")
        .plus(file(20).entry(), 20, 2, "a")
        .plus(file(21).entry(), 21, 3, "b");
    kill(&mut c, "READDIRPLUS leaves", || {
        let _ = fs.expect(INTERRUPT);
        r.reply(&reply.0);
    });
    let mut back = Vec::new();
    let mut released = false;
    while back.len() < 2 || !released {
        let r = fs.dev().next();
        match r.head.opcode {
            RELEASEDIR => {
                r.reply(&[]);
                released = true;
            }
            _ => back.extend(forgotten(&r)),
        }
    }
    back.sort_unstable();
    assert_eq!(back, [(20, 1), (21, 1)]);
}

/// A page whose READ lost its reader is there for others when the server answers, and read again if that failed.
fn page_of_a_killed_reader_can_be_read() {
    skip_without_rust("callers that leave");
    for fails in [false, true] {
        let fs = Fs::new();
        let held = leaves(READ, 0, |_| Ok(()));
        let (mut c, r) = hold(&fs, &held, |m| {
            let _ = pread(rw(m), 1, 0);
        });
        let mut other = None;
        kill(&mut c, "READ leaves", || {
            let o = fs.call(|m| {
                let f = rw(m);
                let byte = pread(f, 1, 0).unwrap()[0];
                close(f).unwrap();
                byte
            });
            loop {
                let r = fs.dev().next();
                let is_open = r.head.opcode == OPEN;
                // The page cache is kept.
                serve(r, 2);
                if is_open {
                    break;
                }
            }
            o.until_asleep();
            match fails {
                true => r.err(EIO),
                false => r.reply(&[7; PAGE]),
            }
            other = Some(o);
        });
        let mut o = other.unwrap();
        let mut asked = 0;
        while o.running() {
            match fs.dev().next_within(5) {
                Some(r) if r.head.opcode == READ => {
                    asked += 1;
                    r.reply(&[8; PAGE]);
                }
                Some(r) => serve(r, 2),
                None => (),
            }
        }
        assert_eq!((o.wait(), asked), if fails { (8, 1) } else { (7, 0) });
        serve_until(&fs, 2, || o.is_gone());
    }
}

/// A process that is killed while it closes, or with files open, is gone at once; FLUSH comes all the same, and RELEASE
/// after its answer.
fn close_goes_on_by_itself() {
    skip_without_rust("callers that leave");
    for closes in [true, false] {
        let fs = Fs::new();
        let mut c = fs.call(|m| {
            let f = rw(m);
            m.pause();
            if closes {
                let _ = close(f);
            }
            m.pause();
        });
        fs.lookup(ROOT, "f", file(2));
        fs.open(2, 5, 0);
        c.paused();
        let mut flush = None;
        if closes {
            c.go();
            flush = Some(fs.expect(FLUSH));
            c.until_asleep();
        }
        c.signal(libc::SIGKILL);
        soon(ms(1000), "the closer leaves", || c.is_gone());
        let flush = match flush {
            Some(r) => {
                let _ = fs.expect(INTERRUPT);
                r
            }
            None => fs.expect(FLUSH),
        };
        fs.quiet();
        flush.reply(&[]);
        fs.release(2, 5);
    }
}

/// The memory map and the command line of a process can be read while it waits in a fault for a READ, be that its own,
/// that of another process, or one that has to end before a page is dropped.
fn process_that_faults_can_be_looked_at() {
    const KEEP_CACHE: u32 = 2;
    for (another, notified) in [(false, false), (true, false), (true, true)] {
        if notified && !is_rust() {
            // The notification waits for the READ there.
            continue;
        }
        let fs = Fs::new();
        let held = Held {
            fopen: KEEP_CACHE,
            ..leaves(READ, 0, |_| Ok(()))
        };
        let fault = |m: &Side| {
            let f = rw(m);
            let map = Map::shared(f, PAGE).unwrap();
            let byte = map.load(0, 1)[0];
            map.unmap();
            close(f).unwrap();
            byte
        };
        let (mut first, r) = hold(&fs, &held, |m| match another {
            false => fault(m),
            true => {
                let f = rw(m);
                let byte = pread(f, 1, 0).unwrap()[0];
                close(f).unwrap();
                byte
            }
        });
        if notified {
            let body = inval_inode(2, 0, 0);
            assert_eq!(notify(fs.dev(), INVAL_INODE, &[&body]), Ok(()));
        }
        let mut second = another.then(|| {
            let c = fs.call(fault);
            serve(fs.expect(OPEN), KEEP_CACHE);
            c.until_asleep();
            c
        });
        first.until_asleep();
        let pid = second.as_ref().map_or(first.pid, |c| c.pid);
        let look = Caller::start(&fs.dir, move |_| {
            let read = |what| std::fs::read(format!("/proc/{pid}/{what}")).map(|b| b.len());
            read("cmdline").unwrap() + read("maps").unwrap()
        });
        assert!(look.wait() > 0);

        r.reply(&[7; PAGE]);
        let ended = |c: &mut Caller<u8>| {
            while c.running() {
                match fs.dev().next_within(5) {
                    Some(r) if r.head.opcode == READ => r.reply(&[8; PAGE]),
                    Some(r) => serve(r, KEEP_CACHE),
                    None => (),
                }
            }
            c.wait()
        };
        let byte = ended(&mut first);
        assert!(byte == 7 || notified && byte == 8, "{byte}");
        if let Some(c) = &mut second {
            assert_eq!(ended(c), if notified { 8 } else { 7 });
        }
        serve_until(&fs, KEEP_CACHE, || {
            first.is_gone() && second.as_mut().is_none_or(|c| c.is_gone())
        });
    }
}

/// A process that stores to a mapped page while the server has its WRITE waits in the fault, and leaves when it is
/// killed. The store is that of another process, which has no mapping that has to be written before it is gone.
fn store_to_a_page_that_is_written_back_can_be_killed() {
    let fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let held = leaves(WRITE, 0, |_| Ok(()));
    let (mut mapper, r) = hold(&fs, &held, |m| {
        let f = rw(m);
        let map = Map::shared(f, PAGE).unwrap();
        map.store(0, &[1]);
        // SAFETY: no memory involved.
        unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        m.pause();
        let byte = map.load(0, 1)[0];
        map.unmap();
        close(f).unwrap();
        byte
    });
    mapper.paused();
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", mapper.pid)).unwrap();
    let line = maps.lines().find(|line| line.ends_with("/f")).unwrap();
    let (start, _) = line.split_once('-').unwrap();
    let start = u64::from_str_radix(start, 16).unwrap();
    let pid = mapper.pid;
    let mut storer = Caller::start(&fs.dir, move |_| {
        use std::os::unix::fs::FileExt;
        let memory = std::fs::File::options()
            .write(true)
            .open(format!("/proc/{pid}/mem"))
            .unwrap();
        memory.write_at(&[2], start).unwrap();
    });
    storer.until_uninterruptible();
    storer.signal(libc::SIGKILL);
    if is_rust() {
        soon(ms(1000), "a storer leaves", || storer.is_gone());
    } else {
        storer.stays_asleep();
    }
    serve(r, 0);
    mapper.go();
    serve_until(&fs, 0, || storer.is_gone() && mapper.is_gone());
    assert_eq!(storer.death(), Death::Signal(libc::SIGKILL));
}
