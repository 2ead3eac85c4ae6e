// SPDX-License-Identifier: GPL-2.0

//! SETATTR: what changes of attributes ask for, and what the replies do.

use crate::mockd::*;

crate::tests![
    chmod_request,
    chown_request,
    truncate_request,
    ftruncate_request,
    utimes_request,
    times_of_the_call,
    reply_has_the_attributes,
    error_changes_nothing,
    reply_of_another_type,
    mode_of_a_directory_is_looked_up_again,
    truncated_by_open,
];

const MODE: u32 = 1 << 0;
const UID: u32 = 1 << 1;
const GID: u32 = 1 << 2;
const SIZE: u32 = 1 << 3;
const ATIME: u32 = 1 << 4;
const MTIME: u32 = 1 << 5;
const FH: u32 = 1 << 6;
const ATIME_NOW: u32 = 1 << 7;
const MTIME_NOW: u32 = 1 << 8;
const LOCKOWNER: u32 = 1 << 9;

/// The body of SETATTR.
#[derive(Debug)]
struct Body {
    valid: u32,
    fh: u64,
    size: u64,
    times: [(u64, u32); 2],
    mode: u32,
    owner: (u32, u32),
}

#[track_caller]
fn body(r: &Request) -> Body {
    assert_eq!(r.body.len(), 88, "length of {r:?}");
    let b = &r.body;
    let n32 = |at: usize| u32::from_ne_bytes(b[at..at + 4].try_into().unwrap());
    let n64 = |at: usize| u64::from_ne_bytes(b[at..at + 8].try_into().unwrap());
    Body {
        valid: n32(0),
        fh: n64(8),
        size: n64(16),
        times: [(n64(32), n32(56)), (n64(40), n32(60))],
        mode: n32(68),
        owner: (n32(76), n32(80)),
    }
}

/// Makes "f" known as file 2, of 100 bytes.
fn with_file() -> Fs {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").is_ok());
    fs.lookup(ROOT, "f", file(2).size(100));
    assert!(c.wait());
    fs
}

/// The next request that is not about the file's capabilities, which a change of owner or size takes away.
#[track_caller]
fn expect_after_xattrs(fs: &Fs, opcode: u32) -> Request {
    loop {
        let r = fs.dev().next();
        if r.head.opcode == GETXATTR {
            r.err(ENOSYS);
            continue;
        }
        assert_eq!(r.head.opcode, opcode, "{r:?} came");
        return r;
    }
}

fn io<T>(r: std::io::Result<T>) -> Result<()> {
    match r {
        Ok(_) => Ok(()),
        Err(e) => Err(Errno(e.raw_os_error().unwrap())),
    }
}

/// utimensat(2) with these seconds and nanoseconds.
fn utimes(path: &str, times: [(i64, i64); 2]) -> Result<()> {
    let p = std::ffi::CString::new(path).unwrap();
    let times = times.map(|(tv_sec, tv_nsec)| libc::timespec { tv_sec, tv_nsec });
    // SAFETY: A C string and an array of two.
    if unsafe { libc::utimensat(libc::AT_FDCWD, p.as_ptr(), times.as_ptr(), 0) } == 0 {
        Ok(())
    } else {
        Err(errno())
    }
}

/// chmod(2) sends the mode with its type.
fn chmod_request() {
    let fs = with_file();
    let c = fs.call(|m| chmod(&m.path("f"), 0o600));
    let r = fs.expect(SETATTR).node(2);
    let b = body(&r);
    assert_eq!((b.valid, b.mode), (MODE, libc::S_IFREG | 0o600));
    r.ok(file(2).size(100).perm(0o600).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// chown(2) sends owner and group.
fn chown_request() {
    let fs = with_file();
    let c = fs.call(|m| io(std::os::unix::fs::chown(m.path("f"), Some(7), Some(8))));
    // The set-id bits are the server's to know.
    expect_after_xattrs(&fs, GETATTR).ok(file(2).size(100).attr_out());
    let r = expect_after_xattrs(&fs, SETATTR).node(2);
    let b = body(&r);
    assert_eq!((b.valid, b.owner), (UID | GID, (7, 8)));
    r.ok(file(2).size(100).owner(7, 8).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// truncate(2) sends the size and who locks; the time of modification is the server's to change.
fn truncate_request() {
    let fs = with_file();
    let c = fs.call(|m| {
        let p = std::ffi::CString::new(m.path("f")).unwrap();
        // SAFETY: A C string.
        unsafe { libc::truncate(p.as_ptr(), 10) }
    });
    let r = expect_after_xattrs(&fs, SETATTR).node(2);
    let b = body(&r);
    assert_eq!((b.valid, b.size), (SIZE | LOCKOWNER, 10));
    r.ok(file(2).size(10).attr_out());
    assert_eq!(c.wait(), 0);
    assert_eq!(fs.call_quietly(|m| m.stat("f").map(|s| s.size)), Ok(10));
}

/// ftruncate(2) sends the handle, and no time of modification.
fn ftruncate_request() {
    let fs = with_file();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
        // SAFETY: No memory involved.
        let r = unsafe { libc::ftruncate(f, 10) };
        close(f).unwrap();
        r
    });
    fs.open(2, 5, 0);
    let r = expect_after_xattrs(&fs, SETATTR).node(2);
    let b = body(&r);
    assert_eq!((b.valid, b.size, b.fh), (SIZE | FH | LOCKOWNER, 10, 5));
    r.ok(file(2).size(10).attr_out());
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 0);
}

/// utimensat(2) sends the times that the caller chose.
fn utimes_request() {
    let fs = with_file();
    let c = fs.call(|m| utimes(&m.path("f"), [(-1, 2), (3, 4)]));
    let r = fs.expect(SETATTR).node(2);
    let b = body(&r);
    assert_eq!((b.valid, b.times), (ATIME | MTIME, [(u64::MAX, 2), (3, 4)]));
    r.ok(file(2).size(100).attr_out());
    assert_eq!(c.wait(), Ok(()));
}

/// utimensat(2) with the time of the call says so, of each time by itself.
fn times_of_the_call() {
    const NOW: i64 = libc::UTIME_NOW;
    const OMIT: i64 = libc::UTIME_OMIT;

    for (atime, mtime, valid) in [
        (NOW, OMIT, ATIME | ATIME_NOW),
        (OMIT, NOW, MTIME | MTIME_NOW),
        (NOW, NOW, ATIME | ATIME_NOW | MTIME | MTIME_NOW),
        (NOW, 5, ATIME | ATIME_NOW | MTIME),
    ] {
        let fs = with_file();
        let c = fs.call(move |m| utimes(&m.path("f"), [(0, atime), (0, mtime)]));
        let r = fs.expect(SETATTR).node(2);
        assert_eq!(body(&r).valid, valid);
        r.ok(file(2).size(100).attr_out());
        assert_eq!(c.wait(), Ok(()));
    }
}

/// What stat(2) shows afterwards is what the reply says, whatever was asked for.
fn reply_has_the_attributes() {
    let fs = with_file();
    let c = fs.call(|m| chmod(&m.path("f"), 0o600));
    fs.expect(SETATTR)
        .ok(file(2).size(50).perm(0o640).owner(7, 8).attr_out());
    assert_eq!(c.wait(), Ok(()));
    let s = fs.call_quietly(|m| m.stat("f")).unwrap();
    assert_eq!((s.mode & 0o777, s.uid, s.gid, s.size), (0o640, 7, 8, 50));
}

/// An error is passed on, and changes nothing.
fn error_changes_nothing() {
    let fs = with_file();
    let c = fs.call(|m| chmod(&m.path("f"), 0o600));
    fs.expect(SETATTR).err(ODD);
    assert_eq!(c.wait(), Err(ODD));
    assert_eq!(
        fs.call_quietly(|m| m.stat("f").map(|s| s.mode & 0o777)),
        Ok(0o644)
    );
}

/// A reply that describes another type is EIO, now and later.
fn reply_of_another_type() {
    let fs = with_file();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        (chmod(&m.path("f"), 0o600), fstat(f).map(drop), close(f))
    });
    fs.open(2, 5, 0);
    fs.expect(SETATTR).ok(dir(2).attr_out());
    // FLUSH is not sent on a bad inode.
    fs.release(2, 5);
    assert_eq!(c.wait(), (Err(EIO), Err(EIO), Err(EIO)));
    while fs.dev().next_within(100).is_some() {}
}

/// After a change of its mode a directory's name is looked up again.
fn mode_of_a_directory_is_looked_up_again() {
    let fs = Fs::new();
    let c = fs.call(|m| chmod(&m.path("d"), 0o700));
    fs.lookup(ROOT, "d", dir(2));
    fs.expect(SETATTR).node(2).ok(dir(2).perm(0o700).attr_out());
    assert_eq!(c.wait(), Ok(()));
    let c = fs.call(|m| m.stat("d").is_ok());
    fs.lookup(ROOT, "d", dir(2).perm(0o700));
    assert!(c.wait());
}

/// open(2) with `O_TRUNC` sends OPEN without it, and then SETATTR with the size alone.
fn truncated_by_open() {
    let fs = with_file();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_WRONLY | libc::O_TRUNC).unwrap();
        close(f).unwrap();
    });
    let r = fs.expect(OPEN).node(2);
    assert_eq!(r.arg::<OpenIn>().flags & libc::O_TRUNC as u32, 0);
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let r = expect_after_xattrs(&fs, SETATTR).node(2);
    let b = body(&r);
    assert_eq!((b.valid, b.size), (SIZE | LOCKOWNER, 0));
    r.ok(file(2).attr_out());
    fs.flush_and_release(2, 5);
    c.wait();
}
