// SPDX-License-Identifier: GPL-2.0

//! TMPFILE: files that are made and opened without a name.

use super::create::created;
use crate::mockd::*;

crate::tests![
    request,
    server_lacks_it,
    error_is_passed_on,
    reply_of_another_type,
    given_back_when_closed,
    named_later,
];

fn tmpfile(m: &Side, flags: i32) -> Result<i32> {
    // SAFETY: No memory involved.
    unsafe { libc::umask(0o22) };
    sys::open(&m.path(""), libc::O_TMPFILE | flags)
}

/// A node that has no name.
fn unnamed(id: u64) -> Node {
    file(id).with(|a| a.nlink = 0)
}

/// TMPFILE has flags, mode, umask and the name "/"; it opens the file too, and makes its attributes known.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = tmpfile(m, libc::O_RDWR).unwrap();
        let size = fstat(f).unwrap().size;
        close(f).unwrap();
        size
    });
    let r = fs.expect(TMPFILE).node(ROOT);
    let n: Vec<_> = r.body[..16]
        .chunks(4)
        .map(|b| u32::from_ne_bytes(b.try_into().unwrap()))
        .collect();
    let kept = libc::O_TMPFILE | libc::O_ACCMODE;
    assert_eq!(n[0] as i32 & kept, libc::O_TMPFILE | libc::O_RDWR);
    assert_eq!(n[1..], [libc::S_IFREG | 0o644, 0o22, 0]);
    assert_eq!(&r.body[16..], b"/\0");
    r.reply(&created(unnamed(2).size(7), 5));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 7);
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// A server without TMPFILE is asked once; the caller gets EOPNOTSUPP.
fn server_lacks_it() {
    let fs = Fs::new();
    let c = fs.call(|m| tmpfile(m, libc::O_RDWR).map(drop));
    fs.expect(TMPFILE).err(ENOSYS);
    assert_eq!(c.wait(), Err(EOPNOTSUPP));
    assert_eq!(
        fs.call_quietly(|m| tmpfile(m, libc::O_RDWR).map(drop)),
        Err(EOPNOTSUPP)
    );
}

/// An error of TMPFILE is the caller's error.
fn error_is_passed_on() {
    let fs = Fs::new();
    let c = fs.call(|m| tmpfile(m, libc::O_RDWR).map(drop));
    fs.expect(TMPFILE).err(ODD);
    assert_eq!(c.wait(), Err(ODD));
}

/// A reply that is not about a new regular file is refused: the caller gets EIO.
fn reply_of_another_type() {
    for node in [dir(2), file(0), file(ROOT), unnamed(2).size(1 << 63)] {
        let fs = Fs::new();
        let c = fs.call(|m| tmpfile(m, libc::O_RDWR).map(drop));
        fs.expect(TMPFILE).reply(&created(node, 5));
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// The node is given back when the last file of it is closed.
fn given_back_when_closed() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = tmpfile(m, libc::O_WRONLY).unwrap();
        let g = dup(f).unwrap();
        close(f).unwrap();
        m.pause();
        close(g).unwrap();
    });
    fs.expect(TMPFILE).reply(&created(unnamed(2), 5));
    fs.flush(2, 5);
    c.paused();
    fs.quiet();
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// linkat(2) gives the file a name, by LINK.
fn named_later() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = tmpfile(m, libc::O_RDWR).unwrap();
        let to = std::ffi::CString::new(m.path("f")).unwrap();
        // SAFETY: C strings.
        let r = unsafe { libc::linkat(f, c"".as_ptr(), -1, to.as_ptr(), libc::AT_EMPTY_PATH) };
        let linked = if r == 0 { Ok(()) } else { Err(errno()) };
        close(f).unwrap();
        linked
    });
    fs.expect(TMPFILE).reply(&created(unnamed(2), 5));
    fs.expect_lookup(ROOT, "f").ok(absent(0, 0));
    let r = fs.expect(LINK).node(ROOT);
    assert_eq!(&r.body[8..], b"f\0");
    r.ok(file(2).entry());
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(fs.call_quietly(|m| m.stat("f").unwrap().ino), 2);
}
