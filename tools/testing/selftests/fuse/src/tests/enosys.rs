// SPDX-License-Identifier: GPL-2.0

//! Operations that a server does not have: what their callers see.
//!
//! The server answers ENOSYS to the operation. Whether the kernel remembers that is the operation's own affair; what
//! the caller sees is the same the first time and the second.

use super::create::created;
use crate::mockd::*;

crate::tests![
    making_names,
    removing_names,
    moving_names,
    hard_links,
    changing_attributes,
    reading_xattrs,
    writing_xattrs,
    fsync_succeeds,
    fsync_of_a_directory_succeeds,
    fallocate_is_unsupported,
    seek_for_data,
    statx_falls_back,
    what_was_opened_is_released_without_open,
];

/// Answers ENOSYS to requests with one of `opcodes` until `c` is back; any other request fails the test.
fn lacking<T: Ship>(fs: &Fs, opcodes: &[u32], c: &Caller<T>) -> T {
    loop {
        let back = !c.running();
        match fs.dev().next_within(if back { 0 } else { 1 }) {
            Some(r) if opcodes.contains(&r.head.opcode) => r.err(ENOSYS),
            Some(r) => panic!("unexpected request: {r:?}"),
            None if back => return c.wait(),
            None => (),
        }
    }
}

/// Makes "f" known as file 2 and "d" as directory 3, so that only the operation itself is sent.
fn with_names() -> Fs {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").is_ok(), m.stat("d").is_ok()));
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.lookup(ROOT, "d", dir(3));
    assert_eq!(c.wait(), (true, true));
    fs
}

fn twice<T>(f: impl Fn() -> Result<T>) -> Vec<Result<()>> {
    vec![f().map(drop), f().map(drop)]
}

/// mkdir(2), mknod(2) and symlink(2) fail with ENOSYS.
fn making_names() {
    let fs = Fs::new();
    type Make = fn(&str) -> Result<()>;
    let make: [(u32, Make); 3] = [
        (MKDIR, mkdir),
        (MKNOD, |p| mknod(p, libc::S_IFIFO | 0o600)),
        (SYMLINK, |p| symlink("x", p)),
    ];
    for (opcode, f) in make {
        let c = fs.call(|m| f(&m.path("new")));
        fs.expect_lookup(ROOT, "new").ok(absent(0, 0));
        assert_eq!(lacking(&fs, &[opcode], &c), Err(ENOSYS));
    }
}

/// unlink(2) and rmdir(2) fail with ENOSYS, and the names stay.
fn removing_names() {
    let fs = with_names();
    let c = fs.call(|m| (unlink(&m.path("f")), rmdir(&m.path("d"))));
    assert_eq!(
        lacking(&fs, &[UNLINK, RMDIR], &c),
        (Err(ENOSYS), Err(ENOSYS))
    );
    assert!(fs.call_quietly(|m| m.stat("f").is_ok() && m.stat("d").is_ok()));
}

/// rename(2) fails with ENOSYS.
fn moving_names() {
    let fs = with_names();
    let c = fs.call(|m| rename(&m.path("f"), &m.path("g")));
    fs.expect_lookup(ROOT, "g").ok(absent(0, 0));
    assert_eq!(lacking(&fs, &[RENAME], &c), Err(ENOSYS));
}

/// link(2) fails with EPERM, as on a file system without hard links.
fn hard_links() {
    let fs = with_names();
    for _ in 0..2 {
        let c = fs.call(|m| link(&m.path("f"), &m.path("g")));
        fs.expect_lookup(ROOT, "g").ok(absent(0, 0));
        assert_eq!(lacking(&fs, &[LINK], &c), Err(EPERM));
    }
}

/// chmod(2) fails with ENOSYS.
fn changing_attributes() {
    let fs = with_names();
    let c = fs.call(|m| twice(|| chmod(&m.path("f"), 0o600)));
    assert_eq!(lacking(&fs, &[SETATTR], &c), [Err(ENOSYS); 2]);
}

/// getxattr(2) and listxattr(2) fail with EOPNOTSUPP.
fn reading_xattrs() {
    let fs = with_names();
    let c = fs.call(|m| twice(|| getxattr(&m.path("f"), "user.x")));
    assert_eq!(lacking(&fs, &[GETXATTR], &c), [Err(EOPNOTSUPP); 2]);
    let c = fs.call(|m| twice(|| listxattr(&m.path("f"))));
    assert_eq!(lacking(&fs, &[LISTXATTR], &c), [Err(EOPNOTSUPP); 2]);
}

/// setxattr(2) and removexattr(2) fail with EOPNOTSUPP.
fn writing_xattrs() {
    let fs = with_names();
    let c = fs.call(|m| twice(|| setxattr(&m.path("f"), "user.x", b"y")));
    assert_eq!(lacking(&fs, &[SETXATTR], &c), [Err(EOPNOTSUPP); 2]);
    let c = fs.call(|m| twice(|| removexattr(&m.path("f"), "user.x")));
    assert_eq!(lacking(&fs, &[REMOVEXATTR], &c), [Err(EOPNOTSUPP); 2]);
}

/// fsync(2) succeeds: the server has nothing to synchronise.
fn fsync_succeeds() {
    let fs = with_names();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        let r = twice(|| fsync(f));
        m.pause();
        close(f).unwrap();
        r
    });
    fs.open(2, 5, 0);
    c.paused();
    c.go();
    serve_until_paused(&fs, &[FSYNC], &c);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), [Ok(()); 2]);
}

/// Answers ENOSYS to requests with one of `opcodes` until `c` pauses, and lets it go on.
fn serve_until_paused<T: Ship>(fs: &Fs, opcodes: &[u32], c: &Caller<T>) {
    loop {
        let back = !c.running();
        match fs.dev().next_within(if back { 0 } else { 1 }) {
            Some(r) if opcodes.contains(&r.head.opcode) => r.err(ENOSYS),
            Some(r) => panic!("unexpected request: {r:?}"),
            None if back => break,
            None => (),
        }
    }
    c.paused();
    c.go();
}

/// fsync(2) of a directory succeeds too.
fn fsync_of_a_directory_succeeds() {
    let fs = with_names();
    let c = fs.call(|m| {
        let d = m.opendir("d").unwrap();
        let r = twice(|| fsync(d));
        m.pause();
        close(d).unwrap();
        r
    });
    fs.opendir(3, 5);
    serve_until_paused(&fs, &[FSYNCDIR], &c);
    fs.releasedir(3, 5);
    assert_eq!(c.wait(), [Ok(()); 2]);
}

/// fallocate(2) fails with EOPNOTSUPP.
fn fallocate_is_unsupported() {
    let fs = with_names();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let r = twice(|| fallocate(f, 10));
        m.pause();
        close(f).unwrap();
        r
    });
    fs.open(2, 5, 0);
    // GETXATTR because a change of the file takes its capabilities away.
    serve_until_paused(&fs, &[FALLOCATE, GETXATTR], &c);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), [Err(EOPNOTSUPP); 2]);
}

/// lseek(2) for data and holes takes the whole file for data.
fn seek_for_data() {
    let fs = with_names();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let r = (
            lseek(f, 10, libc::SEEK_DATA),
            lseek(f, 10, libc::SEEK_HOLE),
            lseek(f, 100, libc::SEEK_DATA),
        );
        m.pause();
        close(f).unwrap();
        r
    });
    fs.open(2, 5, 0);
    serve_until_paused(&fs, &[LSEEK], &c);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(10), Ok(100), Err(Errno(libc::ENXIO))));
}

/// statx(2) for the birth time shows the other attributes, which are cached or asked for by GETATTR.
fn statx_falls_back() {
    let fs = with_names();
    for _ in 0..2 {
        let c = fs.call(|m| statx_btime(&m.path("f")));
        assert_eq!(lacking(&fs, &[STATX], &c), Ok((100, false)));
    }
}

/// What CREATE, or OPEN before, has opened is released, whatever OPEN answers by then.
fn what_was_opened_is_released_without_open() {
    skip_on_c("without OPEN, RELEASE is never sent, also for what CREATE and OPEN have opened");
    let fs = with_names();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let made = sys::open(&m.path("new"), libc::O_WRONLY | libc::O_CREAT).unwrap();
        // From here on OPEN is unknown.
        let g = m.open("f").unwrap();
        m.pause();
        close(g).unwrap();
        m.pause();
        close(made).unwrap();
        m.pause();
        close(f).unwrap();
    });
    fs.open(2, 5, FOPEN_NOFLUSH);
    fs.expect_lookup(ROOT, "new").ok(absent(0, 0));
    let r = fs.expect(CREATE).node(ROOT);
    r.reply(&created(file(4), 6));
    fs.expect(OPEN).node(2).err(ENOSYS);
    c.paused();
    c.go();
    // Nothing was opened, but the server may keep locks.
    let r = fs.expect(FLUSH).node(2);
    r.reply(&[]);
    c.paused();
    fs.quiet();
    c.go();
    fs.flush_and_release(4, 6);
    c.paused();
    c.go();
    fs.release(2, 5);
    c.wait();
}
