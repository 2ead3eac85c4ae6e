// SPDX-License-Identifier: GPL-2.0

//! Before a write the kernel wants to know whether the file has a capability to take away: how often the server is
//! asked (GETXATTR of `security.capability`), and after what it is asked again.

use super::notify::{inval_inode, notify, INVAL_INODE};
use crate::mockd::*;

crate::tests![
    asked_once,
    asked_again_after_a_change_of_attributes,
    asked_again_after_a_change_that_failed,
    asked_again_when_attributes_have_come,
    asked_again_when_the_server_says_so,
    asked_again_when_attributes_are_too_old,
    asked_each_time_if_attributes_do_not_last,
    asked_until_there_is_none,
    an_answer_from_before_a_change_is_not_kept,
    asked_each_time_if_the_parameter_says_so,
];

const NAME: &str = "security.capability";
const ON_C: &str = "each write asks for a capability that the file does not have";
/// Bytes of a capability (`struct vfs_cap_data`).
const CAPABILITY: u32 = 20;

/// Serves `c` until its file is closed; the opcodes of writes and of what has to do with attributes. GETXATTR is
/// answered with what `get` says: the length of the capability, or an error.
#[track_caller]
fn serve(fs: &Fs, node: Node, mut get: impl FnMut() -> Result<u32>) -> Vec<u32> {
    let mut seen = Vec::new();
    loop {
        let r = fs.dev().next();
        let opcode = r.head.opcode;
        if matches!(opcode, GETXATTR | SETXATTR | REMOVEXATTR | GETATTR | WRITE) {
            seen.push(opcode);
        }
        match opcode {
            LOOKUP => r.ok(node.entry()),
            OPEN => r.ok(OpenOut::default()),
            GETATTR | SETATTR => r.ok(node.attr_out()),
            GETXATTR => match get() {
                Ok(length) => r.reply(&[length.to_ne_bytes(), [0; 4]].concat()),
                Err(errno) => r.err(errno),
            },
            WRITE => {
                let size = WriteIn::from_bytes(&r.body).size;
                r.ok(WriteOut { size, padding: 0 })
            }
            SETXATTR if r.body.ends_with(b"user.refused\0v") => r.err(ENOSPC),
            SETXATTR | REMOVEXATTR | FLUSH => r.reply(&[]),
            RELEASE => {
                r.reply(&[]);
                return seen;
            }
            _ => panic!("{r:?} came"),
        }
    }
}

fn lasting() -> Node {
    file(2).size(100)
}

/// Runs `f` with "f" open for writing.
fn with_file(fs: &Fs, f: impl FnOnce(i32) + 'static) -> Caller<()> {
    fs.call(move |m| {
        let fd = sys::open(&m.path("f"), libc::O_WRONLY).expect("open");
        f(fd);
        close(fd).expect("close");
    })
}

fn put(fd: i32) {
    assert_eq!(lseek(fd, 0, libc::SEEK_SET), Ok(0));
    assert_eq!(write(fd, b"some bytes"), Ok(10));
}

fn set(m: i32, name: &str) -> Result<()> {
    let path = format!("/proc/self/fd/{m}");
    setxattr(&path, name, b"v")
}

/// What came while `f` ran, with a server that finds no capability.
#[track_caller]
fn seen(fs: &Fs, node: Node, f: impl FnOnce(i32) + 'static) -> Vec<u32> {
    let c = with_file(fs, f);
    let seen = serve(fs, node, || Err(ENODATA));
    c.wait();
    seen
}

/// A server that has no capability of the file is asked before the first write alone.
fn asked_once() {
    skip_on_c(ON_C);
    let fs = Fs::new();
    let three = |fd| (0..3).for_each(|_| put(fd));
    assert_eq!(seen(&fs, lasting(), three), [GETXATTR, WRITE, WRITE, WRITE]);
    // It is the file that is known, not who has it open.
    assert_eq!(seen(&fs, lasting(), three), [WRITE; 3]);
}

/// A change of any extended attribute, which is how a file gets a capability.
fn asked_again_after_a_change_of_attributes() {
    let fs = Fs::new();
    let got = seen(&fs, lasting(), |fd| {
        put(fd);
        set(fd, "user.a").expect("set");
        put(fd);
        removexattr(&format!("/proc/self/fd/{fd}"), "user.a").expect("remove");
        put(fd);
    });
    let wanted = [
        GETXATTR,
        WRITE,
        SETXATTR,
        GETXATTR,
        WRITE,
        REMOVEXATTR,
        GETXATTR,
        WRITE,
    ];
    assert_eq!(got, wanted);
}

/// Nobody knows what a server has done that says it has failed.
fn asked_again_after_a_change_that_failed() {
    let fs = Fs::new();
    let got = seen(&fs, lasting(), |fd| {
        put(fd);
        assert_eq!(set(fd, "user.refused"), Err(ENOSPC));
        put(fd);
    });
    assert_eq!(got, [GETXATTR, WRITE, SETXATTR, GETXATTR, WRITE]);
}

/// Attributes that come from the server may be those of a file that another client has changed.
fn asked_again_when_attributes_have_come() {
    let fs = Fs::new();
    let got = seen(&fs, lasting(), |fd| {
        put(fd);
        // The write has made its times stale.
        fstat(fd).expect("stat");
        put(fd);
    });
    assert_eq!(got, [GETXATTR, WRITE, GETATTR, GETXATTR, WRITE]);
}

/// INVAL_INODE.
fn asked_again_when_the_server_says_so() {
    let fs = Fs::new();
    assert_eq!(seen(&fs, lasting(), put), [GETXATTR, WRITE]);
    assert_eq!(
        notify(fs.dev(), INVAL_INODE, &[&inval_inode(2, -1, 0)]),
        Ok(())
    );
    assert_eq!(seen(&fs, lasting(), put), [GETXATTR, WRITE]);
}

/// What is known of the capability gets old with what is known of the id bits.
fn asked_again_when_attributes_are_too_old() {
    let fs = Fs::new();
    let node = lasting().attr_valid(1, 0);
    assert_eq!(seen(&fs, node, put)[..2], [GETXATTR, WRITE]);
    sleep_ms(1100);
    let got = seen(&fs, node, put);
    assert_eq!(got[got.len() - 2..], [GETXATTR, WRITE]);
}

/// Attributes that may not be used twice.
fn asked_each_time_if_attributes_do_not_last() {
    let fs = Fs::new();
    let got = seen(&fs, lasting().attr_valid(0, 0), |fd| {
        put(fd);
        put(fd);
    });
    let got: Vec<_> = got
        .into_iter()
        .filter(|opcode| *opcode != GETATTR)
        .collect();
    assert_eq!(got, [GETXATTR, WRITE, GETXATTR, WRITE]);
}

/// A capability is taken away, before which the VFS looks twice, and is looked for again.
fn asked_until_there_is_none() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        put(fd);
        put(fd);
    });
    let mut answers = [Ok(CAPABILITY), Ok(CAPABILITY)].into_iter();
    let got = serve(&fs, lasting(), || answers.next().unwrap_or(Err(ENODATA)));
    c.wait();
    let wanted = [GETXATTR, GETXATTR, REMOVEXATTR, WRITE, GETXATTR, WRITE];
    assert_eq!(got, wanted);
}

/// The server has answered that there is none, and sets one before it is heard.
fn an_answer_from_before_a_change_is_not_kept() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        let path = format!("/proc/self/fd/{fd}");
        let name = std::ffi::CString::new(NAME).unwrap();
        let path = std::ffi::CString::new(path).unwrap();
        // SAFETY: C strings, and no buffer.
        let n = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), std::ptr::null_mut(), 0) };
        assert_eq!((n, errno()), (-1, ENODATA));
        put(fd);
    });
    fs.lookup(ROOT, "f", lasting());
    fs.open(2, 0, 0);
    let asked = fs.expect(GETXATTR).node(2);
    let other = fs.call(|m| setxattr(&m.path("f"), "user.a", b"v"));
    fs.expect(SETXATTR).node(2).reply(&[]);
    assert_eq!(other.wait(), Ok(()));
    asked.err(ENODATA);
    let got = serve(&fs, lasting(), || Err(ENODATA));
    c.wait();
    assert_eq!(got, [GETXATTR, WRITE]);
}

fn asked_each_time_if_the_parameter_says_so() {
    let fs = Fs::new();
    // The C module has no such parameter, and does so always.
    let _each = Setting::of_rust("cache_no_caps", "N");
    let got = seen(&fs, lasting(), |fd| {
        put(fd);
        put(fd);
    });
    assert_eq!(got, [GETXATTR, WRITE, GETXATTR, WRITE]);
}
