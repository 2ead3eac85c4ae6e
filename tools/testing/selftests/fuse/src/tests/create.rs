// SPDX-License-Identifier: GPL-2.0

//! CREATE: making and opening a file by one request.

use crate::mockd::*;

crate::tests![
    request,
    known_absent_name,
    found_name_is_opened,
    without_o_creat,
    server_lacks_it,
    exists_meanwhile,
    reply_of_another_type,
    attributes_are_known,
];

/// The number at the start of `b`.
fn number(b: &[u8]) -> u32 {
    u32::from_ne_bytes(b[..4].try_into().expect("four bytes"))
}

const WR: i32 = libc::O_WRONLY | libc::O_CREAT;

/// The reply to CREATE: a node and a handle.
pub fn created(node: Node, fh: u64) -> Vec<u8> {
    let mut b = node.entry().bytes();
    b.extend(
        OpenOut {
            fh,
            ..Default::default()
        }
        .bytes(),
    );
    b
}

/// Opens `name` and closes it at once.
fn touch(m: &Side, name: &str, flags: i32) -> Result<()> {
    // SAFETY: No memory involved.
    unsafe { libc::umask(0o22) };
    sys::open(&m.path(name), flags).and_then(close)
}

/// After a LOOKUP that finds nothing CREATE has flags, mode, umask and name; it opens the file too.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| touch(m, "f", WR));
    fs.expect_lookup(ROOT, "f").ok(absent(0, 0));
    let r = fs.expect(CREATE).node(ROOT);
    let n: Vec<_> = r.body[..16].chunks(4).map(number).collect();
    assert_eq!(n[0] as i32 & (libc::O_ACCMODE | libc::O_CREAT), WR);
    assert_eq!(n[1..], [libc::S_IFREG | 0o644, 0o22, 0]);
    assert_eq!(&r.body[16..], b"f\0");
    r.reply(&created(file(2), 5));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// A name that is known to be absent is created without a LOOKUP.
fn known_absent_name() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").map(drop), touch(m, "f", WR)));
    fs.expect_lookup(ROOT, "f").ok(absent(3600, 0));
    fs.expect(CREATE).reply(&created(file(2), 5));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(ENOENT), Ok(())));
}

/// A name that LOOKUP finds is opened by OPEN.
fn found_name_is_opened() {
    let fs = Fs::new();
    let c = fs.call(|m| touch(m, "f", WR));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// Without `O_CREAT` nothing is created.
fn without_o_creat() {
    let fs = Fs::new();
    let c = fs.call(|m| touch(m, "f", libc::O_WRONLY));
    fs.expect_lookup(ROOT, "f").ok(absent(0, 0));
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A server without CREATE is asked once, and gets MKNOD and OPEN.
fn server_lacks_it() {
    let fs = Fs::new();
    for (first, name, node) in [(true, "f", 2), (false, "g", 3)] {
        let c = fs.call(|m| touch(m, name, WR));
        fs.expect_lookup(ROOT, name).ok(absent(0, 0));
        if first {
            fs.expect(CREATE).err(ENOSYS);
        }
        let r = fs.expect(MKNOD).node(ROOT);
        let mode = number(&r.body);
        assert_eq!(mode, libc::S_IFREG | 0o644);
        r.ok(file(node).entry());
        fs.open(node, 5, 0);
        fs.flush_and_release(node, 5);
        assert_eq!(c.wait(), Ok(()));
    }
}

/// After EEXIST the name is looked up again.
fn exists_meanwhile() {
    let fs = Fs::new();
    let c = fs.call(|m| touch(m, "f", WR | libc::O_EXCL));
    fs.expect_lookup(ROOT, "f").ok(absent(3600, 0));
    fs.expect(CREATE).err(Errno(libc::EEXIST));
    assert_eq!(c.wait(), Err(Errno(libc::EEXIST)));
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(2));
}

/// A reply that is not about a regular file is refused: the caller gets EIO.
fn reply_of_another_type() {
    let fs = Fs::new();
    let c = fs.call(|m| touch(m, "f", WR));
    fs.expect_lookup(ROOT, "f").ok(absent(0, 0));
    fs.expect(CREATE).reply(&created(dir(2), 5));
    assert_eq!(c.wait(), Err(EIO));
    fs.quiet();
}

/// The reply makes name and attributes known for its times.
fn attributes_are_known() {
    let fs = Fs::new();
    let c = fs.call(|m| touch(m, "f", WR));
    fs.expect_lookup(ROOT, "f").ok(absent(0, 0));
    fs.expect(CREATE).reply(&created(file(2).size(7), 5));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(fs.call_quietly(|m| m.stat("f").map(|s| s.size)), Ok(7));
}
