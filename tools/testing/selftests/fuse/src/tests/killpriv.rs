// SPDX-License-Identifier: GPL-2.0

//! HANDLE_KILLPRIV and HANDLE_KILLPRIV_V2: whose it is to drop the id bits of a file.

use super::create::created;
use crate::mockd::*;

crate::tests![
    chown_without_asking_for_the_mode,
    chown_says_so,
    chown_of_a_directory_does_not,
    truncate_says_so_for_users,
    open_says_so_for_users,
    create_says_so_for_users,
    write_says_so_for_users,
    write_does_not_look_for_capabilities_twice,
    write_back_of_a_file_with_id_bits,
    chown_asks_for_the_mode,
    set_gid_without_group_exec_stays,
    truncation_drops_them_for_users,
    write_drops_them_for_users,
    nothing_to_drop_by_then,
];

const V1: u64 = init::HANDLE_KILLPRIV;
const V2: u64 = init::HANDLE_KILLPRIV_V2;
const MODE: u32 = 1 << 0;
const OWNER: u32 = (1 << 1) | (1 << 2);
const SIZE: u32 = 1 << 3;
const LOCKOWNER: u32 = 1 << 9;
const KILL_SUIDGID: u32 = 1 << 11;
const OPEN_KILL_SUIDGID: u32 = 1 << 0;
const WRITE_KILL_SUIDGID: u32 = 1 << 2;

fn start(flags: u64) -> Fs {
    Setup::new().flags(flags).option("allow_other").start()
}

/// The number at `at` in the body.
fn number(r: &Request, at: usize) -> u32 {
    u32::from_ne_bytes(r.body[at..at + 4].try_into().expect("four bytes"))
}

/// The next request that is not about the file's capabilities, of which there are none. Counts those in `asked`.
#[track_caller]
fn after_xattrs(fs: &Fs, opcode: u32, asked: &mut u32) -> Request {
    loop {
        let r = fs.dev().next();
        if r.head.opcode == GETXATTR {
            *asked += 1;
            r.err(ENODATA);
            continue;
        }
        assert_eq!(r.head.opcode, opcode, "{r:?} came");
        return r;
    }
}

#[track_caller]
fn expect(fs: &Fs, opcode: u32) -> Request {
    after_xattrs(fs, opcode, &mut 0)
}

/// What a close makes.
#[track_caller]
fn closed(fs: &Fs) {
    expect(fs, FLUSH).reply(&[]);
    expect(fs, RELEASE).reply(&[]);
}

fn io<T>(r: std::io::Result<T>) -> Result<()> {
    match r {
        Ok(_) => Ok(()),
        Err(e) => Err(Errno(e.raw_os_error().unwrap())),
    }
}

/// Runs `f` once as root, who may keep id bits, and once as a user, who may not.
fn each<T: Ship>(fs: &Fs, f: impl Fn(&Side) -> T, serve: impl Fn(bool)) {
    for user in [false, true] {
        let c = fs.call(|m| {
            if user {
                become_user(1000, 1000);
            }
            f(m)
        });
        serve(user);
        c.wait();
    }
}

/// A chown sends owner and group alone: the server need not be asked for the mode before.
fn chown_without_asking_for_the_mode() {
    let fs = start(V1);
    let c = fs.call(|m| io(std::os::unix::fs::chown(m.path("f"), Some(7), Some(8))));
    fs.lookup(ROOT, "f", file(2).perm(0o6755));
    let r = expect(&fs, SETATTR).node(2);
    assert_eq!(number(&r, 0), OWNER);
    r.ok(file(2).owner(7, 8).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// With V2 a chown of a file tells the server to drop the id bits, whoever does it.
fn chown_says_so() {
    let fs = start(V2);
    let c = fs.call(|m| io(std::os::unix::fs::chown(m.path("f"), Some(7), Some(8))));
    fs.lookup(ROOT, "f", file(2).perm(0o6755));
    let r = expect(&fs, SETATTR).node(2);
    assert_eq!(number(&r, 0), OWNER | KILL_SUIDGID);
    r.ok(file(2).owner(7, 8).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// A chown of a directory does not.
fn chown_of_a_directory_does_not() {
    let fs = start(V2);
    let c = fs.call(|m| io(std::os::unix::fs::chown(m.path("d"), Some(7), Some(8))));
    fs.lookup(ROOT, "d", dir(2));
    let r = expect(&fs, SETATTR).node(2);
    assert_eq!(number(&r, 0), OWNER);
    r.ok(dir(2).owner(7, 8).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// With V2 a truncation tells the server to drop them, unless the caller may keep them.
fn truncate_says_so_for_users() {
    let fs = start(V2);
    let truncate = |m: &Side| {
        let p = std::ffi::CString::new(m.path("f")).unwrap();
        // SAFETY: A C string.
        assert_eq!(unsafe { libc::truncate(p.as_ptr(), 5) }, 0);
    };
    let node = || file(2).perm(0o6777).size(100).entry_valid(0, 0);
    each(&fs, truncate, |user| {
        fs.lookup(ROOT, "f", node());
        let r = expect(&fs, SETATTR);
        let kill = if user { KILL_SUIDGID } else { 0 };
        assert_eq!(
            number(&r, 0) & (SIZE | LOCKOWNER | KILL_SUIDGID),
            SIZE | LOCKOWNER | kill
        );
        r.ok(node().size(5).attr_out());
    });
}

/// With V2 an OPEN that truncates does the same.
fn open_says_so_for_users() {
    let fs = start(V2 | init::ATOMIC_O_TRUNC);
    let open = |m: &Side| {
        let f = sys::open(&m.path("f"), libc::O_WRONLY | libc::O_TRUNC).unwrap();
        close(f).unwrap();
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        close(f).unwrap();
    };
    each(&fs, open, |user| {
        for truncates in [true, false] {
            fs.lookup(ROOT, "f", file(2).perm(0o6777).entry_valid(0, 0));
            let r = expect(&fs, OPEN);
            let kill = if user && truncates {
                OPEN_KILL_SUIDGID
            } else {
                0
            };
            assert_eq!(r.arg::<OpenIn>().open_flags, kill, "{user} {truncates}");
            r.ok(OpenOut {
                fh: 5,
                ..Default::default()
            });
            closed(&fs);
        }
    });
}

/// With V2 a CREATE that could truncate does the same; one that must make the file cannot.
fn create_says_so_for_users() {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
    for user in [false, true] {
        let fs = start(V2);
        let c = fs.call(|m| {
            if user {
                become_user(1000, 1000);
            }
            for (name, flags) in [("f", flags), ("g", flags | libc::O_EXCL)] {
                let f = sys::open(&m.path(name), flags).unwrap();
                close(f).unwrap();
            }
        });
        for (name, node, exclusive) in [("f", 2, false), ("g", 3, true)] {
            fs.expect_lookup(ROOT, name).ok(absent(0, 0));
            let r = expect(&fs, CREATE);
            let kill = if user && !exclusive {
                OPEN_KILL_SUIDGID
            } else {
                0
            };
            assert_eq!(number(&r, 12), kill, "{user} {exclusive}");
            r.reply(&created(file(node).perm(0o777), 5));
            closed(&fs);
        }
        c.wait();
    }
}

/// With V2 a WRITE does the same.
fn write_says_so_for_users() {
    let fs = start(V2);
    let write = |m: &Side| {
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        write(f, b"x").unwrap();
        close(f).unwrap();
    };
    each(&fs, write, |user| {
        fs.lookup(ROOT, "f", file(2).perm(0o6777).entry_valid(0, 0));
        fs.open(2, 5, 0);
        let r = loop {
            let r = fs.dev().next();
            match r.head.opcode {
                GETXATTR => r.err(ENODATA),
                SETATTR => {
                    // The kernel does not drop them by itself.
                    assert_eq!(number(&r, 0) & MODE, 0);
                    r.ok(file(2).perm(0o777).attr_out());
                }
                _ => break r,
            }
        };
        assert_eq!(r.head.opcode, WRITE);
        let flags = WriteIn::from_bytes(&r.body).write_flags;
        let kill = if user { WRITE_KILL_SUIDGID } else { 0 };
        assert_eq!(flags & WRITE_KILL_SUIDGID, kill, "{user}");
        r.ok(WriteOut {
            size: 1,
            padding: 0,
        });
        closed(&fs);
    });
}

/// With V2 a file that was found to have no capabilities is not asked for them at its next write.
fn write_does_not_look_for_capabilities_twice() {
    let fs = start(V2);
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        write(f, b"x").unwrap();
        write(f, b"y").unwrap();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    let mut asked = 0;
    for _ in 0..2 {
        after_xattrs(&fs, WRITE, &mut asked).ok(WriteOut {
            size: 1,
            padding: 0,
        });
    }
    fs.flush_and_release(2, 5);
    c.wait();
    assert!(asked <= 1, "asked {asked} times");
}

/// With V2 and WRITEBACK_CACHE a write that takes id bits away goes to the server at once, so that it is told.
fn write_back_of_a_file_with_id_bits() {
    let fs = start(V2 | init::WRITEBACK_CACHE);
    let c = fs.call(|m| {
        become_user(1000, 1000);
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        write(f, b"x").unwrap();
        m.pause();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "f", file(2).perm(0o6777).size(1));
    fs.open(2, 5, 0);
    let r = loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETXATTR => r.err(ENODATA),
            SETATTR => r.ok(file(2).perm(0o777).size(1).attr_out()),
            _ => break r,
        }
    };
    assert_eq!(r.head.opcode, WRITE);
    let flags = WriteIn::from_bytes(&r.body).write_flags;
    assert_eq!(flags & WRITE_KILL_SUIDGID, WRITE_KILL_SUIDGID);
    r.ok(WriteOut {
        size: 1,
        padding: 0,
    });
    c.paused();
    c.go();
    let mut ended = false;
    while !ended {
        let r = fs.dev().next();
        ended = r.head.opcode == RELEASE;
        match r.head.opcode {
            // The times are written back.
            SETATTR => r.ok(file(2).perm(0o777).size(1).attr_out()),
            _ => r.reply(&[]),
        }
    }
    c.wait();
}

/// A server that leaves it to the kernel.
fn start_plain() -> Fs {
    start(0)
}

/// The mode that a SETATTR sets, if it sets one.
fn mode_set(r: &Request) -> Option<u32> {
    (number(r, 0) & MODE != 0).then(|| number(r, 68))
}

/// A server that handles none of this is asked for the mode, and is told the one without id bits.
fn chown_asks_for_the_mode() {
    let fs = start_plain();
    let c = fs.call(|m| io(std::os::unix::fs::chown(m.path("f"), Some(7), Some(8))));
    // The kernel believes in other permissions than the server has by now.
    fs.lookup(ROOT, "f", file(2).perm(0o6755));
    expect(&fs, GETATTR).ok(file(2).perm(0o6711).attr_out());
    let r = expect(&fs, SETATTR).node(2);
    assert_eq!(number(&r, 0) & (OWNER | KILL_SUIDGID), OWNER);
    assert_eq!(mode_set(&r), Some(libc::S_IFREG | 0o711));
    r.ok(file(2).perm(0o711).owner(7, 8).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// Without execution by the group, the set-group-id bit is no privilege, and stays.
fn set_gid_without_group_exec_stays() {
    let fs = start_plain();
    let c = fs.call(|m| io(std::os::unix::fs::chown(m.path("f"), Some(7), Some(8))));
    fs.lookup(ROOT, "f", file(2).perm(0o6755));
    expect(&fs, GETATTR).ok(file(2).perm(0o6745).attr_out());
    let r = expect(&fs, SETATTR).node(2);
    assert_eq!(mode_set(&r), Some(libc::S_IFREG | 0o2745));
    r.ok(file(2).perm(0o2745).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// A truncation drops them, unless the caller may keep them.
fn truncation_drops_them_for_users() {
    let fs = start_plain();
    let truncate = |m: &Side| {
        let p = std::ffi::CString::new(m.path("f")).unwrap();
        // SAFETY: A C string.
        assert_eq!(unsafe { libc::truncate(p.as_ptr(), 5) }, 0);
    };
    let node = || file(2).perm(0o6777).size(100).entry_valid(0, 0);
    each(&fs, truncate, |user| {
        fs.lookup(ROOT, "f", node());
        if user {
            expect(&fs, GETATTR).ok(node().attr_out());
        }
        let r = expect(&fs, SETATTR);
        let mode = user.then_some(libc::S_IFREG | 0o777);
        assert_eq!((number(&r, 0) & SIZE, mode_set(&r)), (SIZE, mode));
        r.ok(node().size(5).attr_out());
    });
}

/// So does a write, before it is sent.
fn write_drops_them_for_users() {
    let fs = start_plain();
    let write = |m: &Side| {
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        write(f, b"x").unwrap();
        close(f).unwrap();
    };
    each(&fs, write, |user| {
        let node = file(2).perm(0o6777).entry_valid(0, 0);
        fs.lookup(ROOT, "f", node);
        fs.open(2, 5, 0);
        if user {
            expect(&fs, GETATTR).ok(node.attr_out());
            let r = expect(&fs, SETATTR);
            assert_eq!(mode_set(&r), Some(libc::S_IFREG | 0o777));
            r.ok(file(2).perm(0o777).attr_out());
        }
        let r = expect(&fs, WRITE);
        let flags = WriteIn::from_bytes(&r.body).write_flags;
        assert_eq!(flags & WRITE_KILL_SUIDGID, 0);
        r.ok(WriteOut {
            size: 1,
            padding: 0,
        });
        closed(&fs);
    });
}

/// If the server has dropped them already, it is not told a mode.
fn nothing_to_drop_by_then() {
    let fs = start_plain();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        write(f, b"x").unwrap();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "f", file(2).perm(0o6777));
    fs.open(2, 5, 0);
    expect(&fs, GETATTR).ok(file(2).perm(0o777).attr_out());
    let r = expect(&fs, SETATTR);
    assert_eq!(mode_set(&r), None);
    r.ok(file(2).perm(0o777).attr_out());
    expect(&fs, WRITE).ok(WriteOut {
        size: 1,
        padding: 0,
    });
    closed(&fs);
    c.wait();
}
