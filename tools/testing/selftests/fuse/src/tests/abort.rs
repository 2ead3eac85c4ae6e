// SPDX-License-Identifier: GPL-2.0

//! Forced unmount: the connection is aborted, whoever uses it.

use crate::mockd::*;

crate::tests![
    frees_all_callers,
    of_a_busy_mount,
    of_one_of_many_mounts,
    before_init_is_read,
    with_init_unanswered,
    device_afterwards,
    reply_afterwards,
    wakes_a_blocked_reader,
    lazy_unmount_does_not_abort,
    read_only_remount_is_no_abort,
    fresh_mount_is_not_touched,
];

/// umount -f ends pending and read requests with ECONNABORTED.
fn frees_all_callers() {
    let mut fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let a = fs.call(|m| m.stat("a").map(drop));
    let _read = fs.expect_lookup(ROOT, "a");
    let b = fs.call(|m| m.stat("b").map(drop));
    b.until_interruptible();
    a.until_interruptible();
    // The callers make it busy, which does not save them.
    let _ = umount(&fs.dir, libc::MNT_FORCE);
    assert_eq!((a.wait(), b.wait()), (Err(ECONNABORTED), Err(ECONNABORTED)));
    drop((a, b));
    fs.unmounted();
    let _ = umount(&fs.dir, 0);
}

/// umount -f of a busy mount says EBUSY, and has aborted the connection all the same.
fn of_a_busy_mount() {
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        (pread(f, 10, 0), close(f))
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    c.paused();
    fs.force_unmount();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    c.go();
    assert_eq!(c.wait(), (Err(ENOTCONN), Err(ENOTCONN)));
    assert_eq!(fs.call(|m| m.stat("g").map(drop)).wait(), Err(ENOTCONN));
}

/// umount -f of one mount of a file system ends it in all, other names and other mount namespaces included: the kernel
/// tells the file system that it happens, but not to which.
fn of_one_of_many_mounts() {
    let fs = Fs::new();
    let other = mount_point();
    mount(&fs.dir, &other, "none", libc::MS_BIND, "").unwrap();
    let elsewhere = fs.call(|m| {
        unshare(libc::CLONE_NEWNS).unwrap();
        m.pause();
        m.stat("f").map(drop)
    });
    elsewhere.paused();
    assert_eq!(umount(&other, libc::MNT_FORCE), Ok(()));
    assert_eq!(fs.call_quietly(|m| m.stat("f").map(drop)), Err(ENOTCONN));
    elsewhere.go();
    assert_eq!(elsewhere.wait(), Err(ENOTCONN));
}

/// An abort before INIT is read frees the callers that wait for INIT.
fn before_init_is_read() {
    let mut fs = Setup::new().mount();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    fs.force_unmount();
    assert_eq!(c.wait(), Err(ENOTCONN));
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
}

/// An abort while INIT is unanswered frees them too, and INIT's answer finds nothing.
fn with_init_unanswered() {
    let mut fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    fs.force_unmount();
    assert_eq!(c.wait(), Err(ENOTCONN));
    assert_eq!(init.try_reply(&fs.setup.init_out().bytes()), Err(ENOENT));
}

/// After an abort the device reads ENODEV and polls as broken.
fn device_afterwards() {
    let mut fs = Fs::new();
    umount(&fs.dir, libc::MNT_FORCE).unwrap();
    fs.unmounted();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    assert_eq!(fs.dev().poll(), libc::POLLERR);
    // Too small a buffer is still the first thing that is wrong.
    assert_eq!(fs.dev().read(100), Err(EINVAL));
}

/// A reply to a request that the abort has ended finds nothing: ENOENT.
fn reply_afterwards() {
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    fs.force_unmount();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(r.try_reply(&file(2).entry().bytes()), Err(ENOENT));
    drop(c);
}

/// A server that is blocked in read(2) of the device wakes with ENODEV.
fn wakes_a_blocked_reader() {
    let mut fs = Fs::new();
    set_nonblock(fs.dev().fd(), false);
    let fd = fs.dev().fd();
    let reader = Caller::start_with_devices(&fs.dir, |_| read(fd, 1 << 17).map(drop));
    reader.until_interruptible();
    fs.unmount();
    assert_eq!(reader.wait(), Err(ENODEV));
}

/// umount -l takes the mount out of sight, and leaves the connection to those who use it.
fn lazy_unmount_does_not_abort() {
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "f");
    umount(&fs.dir, libc::MNT_DETACH).unwrap();
    fs.unmounted();
    c.stays_asleep();
    fs.quiet();
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
    assert!(poll(fs.dev().fd(), 0, patience()) & libc::POLLERR != 0);
}

/// A remount to read-only leaves waiting callers alone.
fn read_only_remount_is_no_abort() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "f");
    mount("x", &fs.dir, "fuse", libc::MS_REMOUNT | libc::MS_RDONLY, "").unwrap();
    c.stays_asleep();
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
}

/// An abort touches its own connection only.
fn fresh_mount_is_not_touched() {
    let (mut a, b) = (Fs::new(), Fs::new());
    let c = b.call(|m| m.stat("f").map(|s| s.ino));
    let r = b.expect_lookup(ROOT, "f");
    umount(&a.dir, libc::MNT_FORCE).unwrap();
    a.unmounted();
    c.stays_asleep();
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
}
