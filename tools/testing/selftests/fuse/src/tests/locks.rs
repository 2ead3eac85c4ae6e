// SPDX-License-Identifier: GPL-2.0

//! GETLK, SETLK and SETLKW: locks that the server keeps, and what the kernel does for one that keeps none.

use crate::mockd::*;
use libc::F_GETLK;
use libc::F_RDLCK;
use libc::F_SETLK;
use libc::F_SETLKW;
use libc::F_UNLCK;
use libc::F_WRLCK;

crate::tests![
    getlk_request,
    getlk_that_finds_nothing,
    getlk_to_the_end_of_the_file,
    getlk_of_a_process_that_is_not_here,
    getlk_error,
    getlk_hostile_reply,
    setlk_request,
    setlk_error,
    unlock_is_nobodys,
    setlkw_waits_for_the_answer,
    setlkw_is_interrupted,
    setlkw_is_restarted,
    setlkw_killed_before_it_is_read,
    locks_of_an_open_file,
    flock_request,
    flock_waits_and_is_interrupted,
    flock_that_was_refused,
    flock_of_each_open_file,
    flock_of_a_directory,
    without_posix_locks,
    without_flock_locks,
    flock_of_old_servers,
    locks_of_the_oldest_servers,
    lease,
];

/// Offsets end here.
const END: u64 = i64::MAX as u64;
const SIG: i32 = libc::SIGUSR1;

fn keeper() -> Fs {
    Setup::new()
        .flags(init::POSIX_LOCKS | init::FLOCK_LOCKS)
        .start()
}

/// Opens "f", runs `with` on the descriptor, and closes.
fn with_open<T: Ship>(fs: &Fs, with: impl FnOnce(i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let t = with(f);
        close(f).unwrap();
        t
    })
}

/// "f" is found and opened.
fn opened(fs: &Fs) {
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, 0);
}

/// The next request is `opcode`, on the open file, with this lock: its owner, and itself.
#[track_caller]
fn expect_lock(fs: &Fs, opcode: u32, lk: FileLock, lk_flags: u32) -> (u64, Request) {
    let r = fs.expect(opcode).node(2);
    let a: LkIn = r.arg();
    assert_eq!((a.fh, a.lk, a.lk_flags, a.padding), (5, lk, lk_flags, 0));
    assert_eq!(r.body.len(), size_of::<LkIn>());
    (a.owner, r)
}

fn range(kind: i32, start: u64, end: u64, pid: i32) -> FileLock {
    FileLock {
        start,
        end,
        kind: kind as u32,
        pid: pid as u32,
    }
}

/// FLUSH comes: the owner of the locks that the server gives up then.
#[track_caller]
fn flushed_by(fs: &Fs) -> u64 {
    let r = fs.expect(FLUSH).node(2);
    let owner = r.arg::<FlushIn>().lock_owner;
    r.reply(&[]);
    owner
}

/// RELEASE comes: its flags and the owner in it.
#[track_caller]
fn released_by(fs: &Fs) -> (u32, u64) {
    let r = fs.expect(RELEASE).node(2);
    let a: ReleaseIn = r.arg();
    r.reply(&[]);
    (a.release_flags, a.lock_owner)
}

/// GETLK names the file, the owner, the range with both its ends and the type, and no process; its answer is the caller's.
fn getlk_request() {
    let fs = keeper();
    let c = with_open(&fs, |f| fcntl_lock(f, F_GETLK, lock(F_WRLCK, 10, 5)));
    opened(&fs);
    let (owner, r) = expect_lock(&fs, GETLK, range(F_WRLCK, 10, 14, 0), 0);
    r.ok(LkOut {
        lk: range(F_RDLCK, 12, 13, c.pid),
    });
    assert_eq!(flushed_by(&fs), owner);
    assert_eq!(released_by(&fs), (0, 0));
    let found = Lock {
        pid: c.pid,
        ..lock(F_RDLCK, 12, 2)
    };
    assert_eq!(c.wait(), Ok(found));
}

/// Asks for a write lock of bytes 10 to 14, gets this answer, and closes.
#[track_caller]
fn getlk(answer: std::result::Result<FileLock, Errno>) -> Result<Lock> {
    let fs = keeper();
    let c = with_open(&fs, |f| fcntl_lock(f, F_GETLK, lock(F_WRLCK, 10, 5)));
    opened(&fs);
    let (_, r) = expect_lock(&fs, GETLK, range(F_WRLCK, 10, 14, 0), 0);
    match answer {
        Ok(lk) => r.ok(LkOut { lk }),
        Err(e) => r.err(e),
    }
    fs.flush_and_release(2, 5);
    c.wait()
}

/// An answer of type F_UNLCK says that nothing is in the way; what else is in it does not matter.
fn getlk_that_finds_nothing() {
    assert_eq!(
        getlk(Ok(range(F_UNLCK, u64::MAX, 3, 77))),
        Ok(lock(F_UNLCK, 10, 5))
    );
}

/// A lock that ends at the largest offset goes to the end of the file.
fn getlk_to_the_end_of_the_file() {
    let found = getlk(Ok(range(F_WRLCK, 11, END, 0)));
    assert_eq!(found, Ok(lock(F_WRLCK, 11, 0)));
}

/// A lock of a process that the kernel does not know has pid 0.
fn getlk_of_a_process_that_is_not_here() {
    for pid in [4_000_000, -1] {
        let found = getlk(Ok(range(F_RDLCK, 10, 10, pid)));
        assert_eq!(found, Ok(lock(F_RDLCK, 10, 1)));
    }
}

/// An error of GETLK is the caller's; even ENOSYS, and it is asked again.
fn getlk_error() {
    assert_eq!(getlk(Err(ODD)), Err(ODD));
    let fs = keeper();
    let c = with_open(&fs, |f| {
        (0..2)
            .map(|_| fcntl_lock(f, F_GETLK, lock(F_WRLCK, 0, 1)))
            .collect::<Vec<_>>()
    });
    opened(&fs);
    fs.expect(GETLK).err(ENOSYS);
    fs.expect(GETLK).err(ENOSYS);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), [Err(ENOSYS); 2]);
}

/// A lock of no known type, or whose ends are the wrong way round or no offsets, causes EIO.
fn getlk_hostile_reply() {
    for lk in [
        range(3, 10, 14, 0),
        range(-1, 10, 14, 0),
        range(F_RDLCK | 0x100, 10, 14, 0),
        range(F_RDLCK, 14, 13, 0),
        range(F_RDLCK, END + 1, u64::MAX, 0),
        range(F_WRLCK, 0, END + 1, 0),
    ] {
        assert_eq!(getlk(Ok(lk)), Err(EIO), "{lk:?}");
    }
}

/// SETLK names the process that locks, and the owner whose locks FLUSH gives up.
fn setlk_request() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        fcntl_lock(f, F_SETLK, lock(F_RDLCK, 0, 0)).map(drop)
    });
    opened(&fs);
    let (owner, r) = expect_lock(&fs, SETLK, range(F_RDLCK, 0, END, c.pid), 0);
    assert_eq!(r.head.pid, c.pid as u32);
    r.reply(&[]);
    assert_eq!(flushed_by(&fs), owner);
    assert_eq!(released_by(&fs), (0, 0));
    assert_eq!(c.wait(), Ok(()));
}

/// Somebody else has the lock if the server says so, with whatever errno.
fn setlk_error() {
    for errno in [EAGAIN, EACCES, ODD, ENOSYS] {
        let fs = keeper();
        let c = with_open(&fs, |f| {
            fcntl_lock(f, F_SETLK, lock(F_WRLCK, 7, 1)).map(drop)
        });
        opened(&fs);
        let (_, r) = expect_lock(&fs, SETLK, range(F_WRLCK, 7, 7, c.pid), 0);
        r.err(errno);
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), Err(errno));
    }
}

/// Giving up a lock is SETLK of type F_UNLCK, which names no process.
fn unlock_is_nobodys() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        fcntl_lock(f, F_SETLK, lock(F_UNLCK, 1, 2)).map(drop)
    });
    opened(&fs);
    let (_, r) = expect_lock(&fs, SETLK, range(F_UNLCK, 1, 2, 0), 0);
    r.reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// F_SETLKW is SETLKW, and waits as long as the server does not answer.
fn setlkw_waits_for_the_answer() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        fcntl_lock(f, F_SETLKW, lock(F_WRLCK, 0, 1)).map(drop)
    });
    opened(&fs);
    let (_, r) = expect_lock(&fs, SETLKW, range(F_WRLCK, 0, 0, c.pid), 0);
    c.stays_asleep();
    r.reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// A signal makes an INTERRUPT of SETLKW; if the server answers EINTR, so does fcntl(2).
fn setlkw_is_interrupted() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        catch(SIG);
        fcntl_lock(f, F_SETLKW, lock(F_WRLCK, 0, 1)).map(drop)
    });
    opened(&fs);
    let (_, r) = expect_lock(&fs, SETLKW, range(F_WRLCK, 0, 0, c.pid), 0);
    c.until_interruptible();
    c.signal(SIG);
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
    r.err(EINTR);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(EINTR));
}

/// After a handler that wants calls restarted, SETLKW comes again.
fn setlkw_is_restarted() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        catch_and_restart(SIG);
        fcntl_lock(f, F_SETLKW, lock(F_WRLCK, 0, 1)).map(drop)
    });
    opened(&fs);
    let (owner, r) = expect_lock(&fs, SETLKW, range(F_WRLCK, 0, 0, c.pid), 0);
    c.until_interruptible();
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    r.err(EINTR);
    let (again, r) = expect_lock(&fs, SETLKW, range(F_WRLCK, 0, 0, c.pid), 0);
    assert_eq!(again, owner);
    r.reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// A caller that is killed before the server has read its SETLKW takes that back.
fn setlkw_killed_before_it_is_read() {
    let fs = keeper();
    let mut c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        m.pause();
        fcntl_lock(f, F_SETLKW, lock(F_WRLCK, 0, 1)).map(drop)
    });
    opened(&fs);
    c.paused();
    c.go();
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    // It has taken SETLKW back when it closes its file. In C a dying process waits for FLUSH.
    if is_rust() {
        soon(patience(), "it waits", || c.is_gone());
    } else {
        c.until_uninterruptible();
    }
    fs.flush_and_release(2, 5);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// A lock of an open file has that as its owner, not the process; it goes with the file, which the server sees by RELEASE.
fn locks_of_an_open_file() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        fcntl_lock(f, libc::F_OFD_SETLK, lock(F_WRLCK, 0, 8))
            .and_then(|_| fcntl_lock(f, libc::F_OFD_GETLK, lock(F_RDLCK, 0, 8)))
    });
    opened(&fs);
    let (owner, r) = expect_lock(&fs, SETLK, range(F_WRLCK, 0, 7, c.pid), 0);
    r.reply(&[]);
    let (again, r) = expect_lock(&fs, GETLK, range(F_RDLCK, 0, 7, 0), 0);
    assert_eq!(again, owner);
    r.ok(LkOut {
        lk: range(F_WRLCK, 3, 3, c.pid),
    });
    assert_ne!(flushed_by(&fs), owner);
    assert_eq!(released_by(&fs), (0, 0));
    let found = Lock {
        pid: -1,
        ..lock(F_WRLCK, 3, 1)
    };
    assert_eq!(c.wait(), Ok(found));
}

/// flock(2) is SETLK of the whole file with FUSE_LK_FLOCK, owned by the open file; RELEASE says that it goes.
fn flock_request() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        flock(f, libc::LOCK_EX | libc::LOCK_NB).and_then(|()| flock(f, libc::LOCK_UN))
    });
    opened(&fs);
    let (owner, r) = expect_lock(&fs, SETLK, range(F_WRLCK, 0, END, c.pid), LK_FLOCK);
    r.reply(&[]);
    let r = fs.dev().next().node(2);
    assert!(
        matches!(r.head.opcode, SETLK | SETLKW),
        "SETLK or SETLKW expected, {r:?} came"
    );
    let a: LkIn = r.arg();
    assert_eq!((a.lk, a.lk_flags), (range(F_UNLCK, 0, END, 0), LK_FLOCK));
    assert_eq!(a.owner, owner);
    r.reply(&[]);
    assert_ne!(flushed_by(&fs), owner);
    assert_eq!(released_by(&fs), (RELEASE_FLOCK_UNLOCK, owner));
    assert_eq!(c.wait(), Ok(()));
}

/// flock(2) that waits is SETLKW, and a signal can end it.
fn flock_waits_and_is_interrupted() {
    let fs = keeper();
    let c = with_open(&fs, |f| {
        catch(SIG);
        flock(f, libc::LOCK_SH)
    });
    opened(&fs);
    let (_, r) = expect_lock(&fs, SETLKW, range(F_RDLCK, 0, END, c.pid), LK_FLOCK);
    c.until_interruptible();
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    r.err(EINTR);
    fs.flush(2, 5);
    assert_eq!(released_by(&fs), (0, 0));
    assert_eq!(c.wait(), Err(EINTR));
}

/// RELEASE gives nothing up if flock(2) has failed.
fn flock_that_was_refused() {
    let fs = keeper();
    let c = with_open(&fs, |f| flock(f, libc::LOCK_EX | libc::LOCK_NB));
    opened(&fs);
    let (_, r) = expect_lock(&fs, SETLK, range(F_WRLCK, 0, END, c.pid), LK_FLOCK);
    r.err(EAGAIN);
    fs.flush(2, 5);
    assert_eq!(released_by(&fs), (0, 0));
    assert_eq!(c.wait(), Err(EAGAIN));
}

/// Each open file is an owner of its own; its duplicates are not.
fn flock_of_each_open_file() {
    let fs = keeper();
    let c = fs.call(|m| {
        let path = m.path("f");
        let one = sys::open(&path, libc::O_RDWR)?;
        let two = sys::open(&path, libc::O_RDWR)?;
        let dup = dup(one)?;
        [one, two, dup]
            .into_iter()
            .try_for_each(|f| flock(f, libc::LOCK_SH | libc::LOCK_NB))
    });
    opened(&fs);
    fs.open(2, 5, 0);
    let owners: Vec<u64> = (0..3)
        .map(|_| {
            let (owner, r) = expect_lock(&fs, SETLK, range(F_RDLCK, 0, END, c.pid), LK_FLOCK);
            r.reply(&[]);
            owner
        })
        .collect();
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(owners[0], owners[2]);
    assert_ne!(owners[0], owners[1]);
    let mut gone = Vec::new();
    for _ in 0..5 {
        let r = fs.dev().next().node(2);
        match r.head.opcode {
            FLUSH => (),
            RELEASE => gone.push(r.arg::<ReleaseIn>()),
            _ => panic!("FLUSH or RELEASE expected, {r:?} came"),
        }
        r.reply(&[]);
    }
    let mut gone: Vec<_> = gone
        .iter()
        .map(|a| (a.release_flags, a.lock_owner))
        .collect();
    gone.sort();
    let mut expected = vec![
        (RELEASE_FLOCK_UNLOCK, owners[0]),
        (RELEASE_FLOCK_UNLOCK, owners[1]),
    ];
    expected.sort();
    assert_eq!(gone, expected);
}

/// The kernel keeps the locks of directories by itself.
fn flock_of_a_directory() {
    let fs = keeper();
    let c = fs.call(|m| {
        let d = m.opendir("")?;
        let e = m.opendir("")?;
        let both = (
            flock(d, libc::LOCK_EX | libc::LOCK_NB),
            flock(e, libc::LOCK_EX | libc::LOCK_NB),
        );
        close(d)?;
        close(e)?;
        Ok(both)
    });
    fs.opendir(ROOT, 5);
    fs.opendir(ROOT, 6);
    fs.releasedir(ROOT, 5);
    fs.releasedir(ROOT, 6);
    assert_eq!(c.wait(), Ok((Ok(()), Err(EAGAIN))));
}

/// Two processes lock "f", one after the other; what the second one gets. The server must not be asked.
fn lock_twice(fs: &Fs, lock_it: fn(i32) -> Result<()>) -> Result<()> {
    let body = |m: &Side| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let got = lock_it(f);
        m.pause();
        got
    };
    let first = fs.call(body);
    opened(fs);
    first.paused();
    let second = fs.call(body);
    fs.open(2, 6, 0);
    second.paused();
    second.go();
    let got = second.wait();
    fs.flush_and_release(2, 6);
    first.go();
    assert_eq!(first.wait(), Ok(()));
    fs.flush_and_release(2, 5);
    got
}

fn lock_posix(f: i32) -> Result<()> {
    fcntl_lock(f, F_SETLK, lock(F_WRLCK, 0, 1)).map(drop)
}

fn lock_bsd(f: i32) -> Result<()> {
    flock(f, libc::LOCK_EX | libc::LOCK_NB)
}

/// For a server without POSIX_LOCKS the kernel keeps those by itself, and tells who has them.
fn without_posix_locks() {
    let fs = Setup::new().flags(init::FLOCK_LOCKS).start();
    assert_eq!(lock_twice(&fs, lock_posix), Err(EAGAIN));

    let first = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        lock_posix(f).unwrap();
        m.pause();
        close(f)
    });
    fs.open(2, 5, 0);
    first.paused();
    let second = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let found = fcntl_lock(f, F_GETLK, lock(F_WRLCK, 0, 4));
        m.pause();
        fcntl_lock(f, F_SETLKW, lock(F_WRLCK, 0, 4)).unwrap();
        found
    });
    fs.open(2, 6, 0);
    second.paused();
    second.go();
    second.stays_asleep();
    first.go();
    fs.flush_and_release(2, 5);
    assert_eq!(first.wait(), Ok(()));
    let found = Lock {
        pid: first.pid,
        ..lock(F_WRLCK, 0, 1)
    };
    assert_eq!(second.wait(), Ok(found));
    fs.flush_and_release(2, 6);
}

/// For a server without FLOCK_LOCKS the kernel keeps those by itself, and RELEASE does not speak of them.
fn without_flock_locks() {
    let fs = Setup::new().flags(init::POSIX_LOCKS).start();
    assert_eq!(lock_twice(&fs, lock_bsd), Err(EAGAIN));
    let c = with_open(&fs, |f| flock(f, libc::LOCK_EX));
    fs.open(2, 5, 0);
    fs.flush(2, 5);
    assert_eq!(released_by(&fs), (0, 0));
    assert_eq!(c.wait(), Ok(()));
}

/// A server before 7.17 that keeps POSIX locks keeps the others, too.
fn flock_of_old_servers() {
    let fs = Setup::new().minor(16).flags(init::POSIX_LOCKS).start();
    let c = with_open(&fs, |f| flock(f, libc::LOCK_EX | libc::LOCK_NB));
    opened(&fs);
    let (owner, r) = expect_lock(&fs, SETLK, range(F_WRLCK, 0, END, c.pid), LK_FLOCK);
    r.reply(&[]);
    fs.flush(2, 5);
    assert_eq!(released_by(&fs), (RELEASE_FLOCK_UNLOCK, owner));
    assert_eq!(c.wait(), Ok(()));
    drop(fs);
    let fs = Setup::new().minor(16).flags(init::FLOCK_LOCKS).start();
    assert_eq!(lock_twice(&fs, lock_bsd), Err(EAGAIN));
}

/// A server before 7.6 keeps no locks, whatever the bits of its answer to INIT.
fn locks_of_the_oldest_servers() {
    for lock_it in [lock_posix, lock_bsd] {
        let fs = Setup::new()
            .minor(5)
            .init(|out| out.flags = (init::POSIX_LOCKS | init::FLOCK_LOCKS) as u32)
            .start();
        let body = |m: &Side| {
            let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
            let got = lock_it(f);
            m.pause();
            got
        };
        let c = fs.call(body);
        let r = fs.expect_lookup(ROOT, "f");
        // Entries were shorter then.
        r.reply(&file(2).entry().bytes()[..120]);
        fs.open(2, 5, 0);
        c.paused();
        fs.quiet();
        c.go();
        assert_eq!(c.wait(), Ok(()));
        fs.flush_and_release(2, 5);
    }
}

/// Leases are the kernel's alone: the server is not asked, and another process breaks them.
fn lease() {
    let fs = keeper();
    let c = fs.call(|m| {
        block_signal(libc::SIGIO);
        let f = m.open("f").unwrap();
        let got = fcntl(f, libc::F_SETLEASE, F_RDLCK);
        let is = fcntl(f, libc::F_GETLEASE, 0);
        m.pause();
        let told = await_signal(libc::SIGIO, patience());
        fcntl(f, libc::F_SETLEASE, F_UNLCK).unwrap();
        (got, is, told)
    });
    opened(&fs);
    c.paused();
    let d = fs.call(|m| sys::open(&m.path("f"), libc::O_WRONLY).map(drop));
    c.go();
    assert_eq!(c.wait(), (Ok(0), Ok(F_RDLCK), true));
    let mut seen = Vec::new();
    for _ in 0..5 {
        let r = fs.dev().next().node(2);
        seen.push(r.head.opcode);
        match r.head.opcode {
            OPEN => r.ok(OpenOut {
                fh: 6,
                ..Default::default()
            }),
            _ => r.reply(&[]),
        }
    }
    seen.sort();
    assert_eq!(seen, [OPEN, RELEASE, RELEASE, FLUSH, FLUSH]);
    assert_eq!(d.wait(), Ok(()));
}
