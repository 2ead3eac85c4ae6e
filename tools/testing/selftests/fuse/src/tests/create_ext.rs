// SPDX-License-Identifier: GPL-2.0

//! Extensions of the operations that make something: security context, and the group of the directory.

use super::create::created;
use crate::mockd::*;

crate::tests![
    none_unless_asked_for,
    security_context,
    group_of_the_directory,
    not_a_group_that_the_caller_is_not_in,
    not_the_group_that_the_caller_acts_as,
    both,
    behind_long_names,
];

const SECURITY_CTX: u64 = init::SECURITY_CTX;
const GROUP: u64 = init::CREATE_SUPP_GROUP;

/// Group 77, as an extension.
fn group_77() -> Vec<u8> {
    [16u32, 32, 1, 77]
        .iter()
        .flat_map(|n| n.to_ne_bytes())
        .collect()
}

fn number(b: &[u8], at: usize) -> usize {
    u32::from_ne_bytes(b[at..at + 4].try_into().expect("four bytes")) as usize
}

/// Whether SELinux runs, with a policy or without.
fn selinux() -> bool {
    std::fs::read_to_string("/proc/filesystems").is_ok_and(|list| list.contains("selinuxfs"))
}

/// Takes the security contexts off the start of `ext`: none, if no security module has any, or one.
fn take_contexts(ext: &[u8]) -> &[u8] {
    let (size, count) = (number(ext, 0), number(ext, 4));
    if count == 0 {
        assert!(!selinux(), "SELinux has a context for everything");
        assert_eq!(size, 8, "no context");
        return &ext[8..];
    }
    assert_eq!(count, 1);
    let len = number(ext, 8);
    let name_end = 16 + ext[16..].iter().position(|b| *b == 0).expect("a NUL") + 1;
    assert!(ext[16..name_end].starts_with(b"security."));
    if selinux() {
        assert_eq!(&ext[16..name_end], b"security.selinux\0");
        // With its NUL, as the attribute has it.
        assert_eq!(ext[name_end + len - 1], 0);
    }
    assert!(len > 0);
    assert_eq!(size, 8 + (name_end - 8 + len).next_multiple_of(8));
    assert!(
        ext[name_end + len..size].iter().all(|b| *b == 0),
        "zero padding"
    );
    &ext[size..]
}

fn serve_all(fs: &Fs, check: impl Fn(&Request)) {
    let mut made = 0;
    while made < 5 {
        let r = fs.dev().next();
        match r.head.opcode {
            LOOKUP => {
                r.ok(absent(0, 0));
                continue;
            }
            FLUSH | RELEASE => {
                r.reply(&[]);
                continue;
            }
            FORGET | BATCH_FORGET => continue,
            _ => (),
        }
        check(&r);
        made += 1;
        match r.head.opcode {
            MKDIR => r.ok(dir(11).entry()),
            MKNOD => r.ok(file(12).with(|a| a.mode = libc::S_IFIFO | 0o644).entry()),
            SYMLINK => r.ok(symlink_node(13).entry()),
            CREATE => r.reply(&created(file(14), 5)),
            TMPFILE => r.reply(&created(file(15), 5)),
            other => panic!("{} came", opcode_name(other)),
        }
    }
    for r in [FLUSH, RELEASE] {
        fs.expect(r).reply(&[]);
    }
}

/// Runs each operation that makes something in directory "d", node 10 of group 77, as user 1000 who acts as `group` and
/// is in `also`; `check` sees each request.
fn make_all(flags: u64, group: u32, also: u32, check: impl Fn(&Request)) {
    let fs = Setup::new().flags(flags).option("allow_other").start();
    let c = fs.call(|m| {
        become_user(0, group);
        let groups = [also];
        // SAFETY: A list of one group; the process has one thread. Then the user changes for good.
        unsafe {
            assert_eq!(libc::setgroups(1, groups.as_ptr()), 0);
            assert_eq!(libc::setresuid(1000, 1000, 1000), 0);
        }
        let d = |name| m.path(&format!("d/{name}"));
        mkdir(&d("dir")).unwrap();
        mknod(&d("fifo"), libc::S_IFIFO | 0o644).unwrap();
        symlink("target", &d("link")).unwrap();
        let f = sys::open(&d("file"), libc::O_WRONLY | libc::O_CREAT).unwrap();
        close(f).unwrap();
        let f = sys::open(&m.path("d"), libc::O_WRONLY | libc::O_TMPFILE).unwrap();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "d", dir(10).owner(0, 77).perm(0o777));
    serve_all(&fs, check);
    c.wait();
    while fs.dev().readable() {
        let _ = forgotten(&fs.dev().next());
    }
}

/// A server that asks for none gets none.
fn none_unless_asked_for() {
    make_all(0, 100, 77, |r| assert!(r.ext.is_empty(), "{r:?}"));
}

/// With SECURITY_CTX there is word of the security context, also that there is none.
fn security_context() {
    make_all(SECURITY_CTX, 100, 77, |r| {
        assert!(take_contexts(&r.ext).is_empty(), "{r:?}");
    });
}

/// With CREATE_SUPP_GROUP there is the group of the directory, if it is one of the caller's further groups.
fn group_of_the_directory() {
    make_all(GROUP, 100, 77, |r| assert_eq!(r.ext, group_77(), "{r:?}"));
}

/// A group that the caller is not in is not told.
fn not_a_group_that_the_caller_is_not_in() {
    make_all(GROUP, 100, 78, |r| assert!(r.ext.is_empty(), "{r:?}"));
}

/// The group that the caller acts as is in the header already.
fn not_the_group_that_the_caller_acts_as() {
    make_all(GROUP, 77, 78, |r| assert!(r.ext.is_empty(), "{r:?}"));
}

/// The group comes after the security contexts.
fn both() {
    make_all(SECURITY_CTX | GROUP, 100, 77, |r| {
        assert_eq!(take_contexts(&r.ext), group_77(), "{r:?}");
    });
}

/// Extensions come behind the names, however long those are.
fn behind_long_names() {
    let fs = Setup::new().flags(SECURITY_CTX).start();
    for len in [1, 97, 110, 111, 112, 120, 255] {
        let name = "n".repeat(len);
        let c = fs.call(|m| mkdir(&m.path(&name)));
        fs.expect(LOOKUP).ok(absent(0, 0));
        let r = fs.expect(MKDIR).node(ROOT);
        assert_eq!(&r.body[8..], format!("{name}\0").as_bytes());
        assert!(take_contexts(&r.ext).is_empty());
        r.ok(dir(10 + len as u64).entry());
        assert_eq!(c.wait(), Ok(()));
    }
}
