// SPDX-License-Identifier: GPL-2.0

//! ACCESS: sent for access(2) and chdir(2), and for nothing else.

use crate::mockd::*;

crate::tests![
    masks,
    real_ids_ask,
    error_is_passed_on,
    enosys_allows_for_good,
    change_of_directory,
    walking_does_not_ask,
    not_under_default_permissions,
];

/// access(2) sends what it asks for: 4 read, 2 write, 1 execute, 0 for mere existence.
fn masks() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        [4, 2, 6, 0, 7]
            .map(|mask| m.access("d", mask).is_ok())
            .to_vec()
    });
    fs.lookup(ROOT, "d", dir(2));
    for mask in [4, 2, 6, 0, 7] {
        let r = fs.expect(ACCESS).node(2);
        assert_eq!(r.arg::<AccessIn>(), AccessIn { mask, padding: 0 });
        r.reply(&[]);
    }
    assert_eq!(c.wait(), [true; 5]);
}

/// access(2) is asked for the real user, not the effective one.
fn real_ids_ask() {
    let fs = Setup::new().option("allow_other").start();
    let c = fs.call(|m| {
        become_ids([7, 0, 0], [8, 0, 0]);
        m.access("d", 4)
    });
    let r = fs.expect_lookup(ROOT, "d");
    assert_eq!((r.head.uid, r.head.gid), (7, 8));
    r.ok(dir(2).entry());
    let r = fs.expect(ACCESS);
    assert_eq!((r.head.uid, r.head.gid), (7, 8));
    r.err(EACCES);
    assert_eq!(c.wait(), Err(EACCES));
}

/// An error of ACCESS is the caller's error, and is not remembered.
fn error_is_passed_on() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.access("", 4), m.access("", 4), m.access("", 4)));
    fs.expect(ACCESS).node(ROOT).err(EACCES);
    fs.expect(ACCESS).node(ROOT).err(ODD);
    fs.expect(ACCESS).node(ROOT).reply(&[]);
    assert_eq!(c.wait(), (Err(EACCES), Err(ODD), Ok(())));
}

/// ENOSYS means that the server allows all: ACCESS is never sent again.
fn enosys_allows_for_good() {
    let fs = Fs::new();
    let c = fs.call(|m| m.access("", 7));
    fs.expect(ACCESS).err(ENOSYS);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(
        fs.call_quietly(|m| (m.access("", 7), chdir(&m.path("")))),
        (Ok(()), Ok(()))
    );
}

/// chdir(2) asks for execution.
fn change_of_directory() {
    let fs = Fs::new();
    let c = fs.call(|m| (chdir(&m.path("d")), chdir(&m.path("d"))));
    fs.lookup(ROOT, "d", dir(2));
    for answer in [true, false] {
        let r = fs.expect(ACCESS).node(2);
        assert_eq!(r.arg::<AccessIn>().mask, 1);
        if answer {
            r.reply(&[]);
        } else {
            r.err(EACCES);
        }
    }
    assert_eq!(c.wait(), (Ok(()), Err(EACCES)));
}

/// Neither walking through a directory nor opening asks for access: the server decides in each operation.
fn walking_does_not_ask() {
    let fs = Fs::new();
    let c = fs.call(|m| m.open("d/f").and_then(close));
    fs.lookup(ROOT, "d", dir(2).perm(0));
    fs.lookup(2, "f", file(3).perm(0));
    fs.open(3, 5, 0);
    fs.flush(3, 5);
    assert_eq!(c.wait(), Ok(()));
    fs.release(3, 5);
}

/// With default_permissions the kernel decides by the mode, and never sends ACCESS.
fn not_under_default_permissions() {
    let fs = Setup::new()
        .option("default_permissions,allow_other")
        .start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        (m.access("f", 4), m.access("f", 2), chdir(&m.path("")))
    });
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "f", file(2));
    // A refusal is checked against fresh attributes.
    fs.getattr(file(2));
    assert_eq!(c.wait(), (Ok(()), Err(EACCES), Ok(())));
}
