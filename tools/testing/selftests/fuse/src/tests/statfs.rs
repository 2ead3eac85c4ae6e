// SPDX-License-Identifier: GPL-2.0

//! STATFS: what statfs(2) shows.

use crate::mockd::*;

crate::tests![
    fields,
    asked_of_the_path,
    asked_each_time,
    error_is_passed_on,
    others_see_the_type_only
];

/// statfs(2) shows the reply, the magic number of FUSE, and no id.
fn fields() {
    let fs = Fs::new();
    let c = fs.call(|m| m.statfs(""));
    let r = fs.expect(STATFS).node(ROOT);
    assert_eq!(r.body, []);
    r.ok(StatfsOut {
        blocks: 1 << 40,
        bfree: 2,
        bavail: 3,
        files: 4,
        ffree: 5,
        bsize: 6,
        namelen: 7,
        frsize: 8,
        padding: 99,
        spare: [99; 6],
    });
    let expected = Statfs {
        kind: SUPER_MAGIC,
        blocks: 1 << 40,
        bfree: 2,
        bavail: 3,
        files: 4,
        ffree: 5,
        bsize: 6,
        namelen: 7,
        frsize: 8,
        fsid: [0; 2],
    };
    assert_eq!(c.wait(), Ok(expected));
}

/// STATFS names the node of the path that was asked.
fn asked_of_the_path() {
    let fs = Fs::new();
    let c = fs.call(|m| m.statfs("d/f").map(|s| s.namelen));
    fs.lookup(ROOT, "d", dir(2));
    fs.lookup(2, "f", file(3));
    fs.expect(STATFS).node(3).ok(StatfsOut {
        namelen: 55,
        ..Default::default()
    });
    assert_eq!(c.wait(), Ok(55));
}

/// The reply is not cached.
fn asked_each_time() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.statfs("").unwrap().files, m.statfs("").unwrap().files));
    fs.expect(STATFS).ok(StatfsOut {
        files: 1,
        ..Default::default()
    });
    fs.expect(STATFS).ok(StatfsOut {
        files: 2,
        ..Default::default()
    });
    assert_eq!(c.wait(), (1, 2));
}

/// An error of STATFS is the caller's error, ENOSYS too.
fn error_is_passed_on() {
    let fs = Fs::new();
    for e in [ENOSYS, EIO, ODD] {
        let c = fs.call(|m| m.statfs("").map(drop));
        fs.expect(STATFS).err(e);
        assert_eq!(c.wait(), Err(e));
    }
}

/// One who may not use the mount sees its type and zeros, and the server is not asked.
fn others_see_the_type_only() {
    let fs = Fs::new();
    let seen = fs.call_quietly(|m| {
        let fd = sys::open(&m.path(""), libc::O_PATH).unwrap();
        become_user(1000, 1000);
        statfs(&format!("/proc/self/fd/{fd}"))
    });
    assert_eq!(
        seen,
        Ok(Statfs {
            kind: SUPER_MAGIC,
            ..Default::default()
        })
    );
}
