// SPDX-License-Identifier: GPL-2.0

//! INIT: what the kernel offers, what it takes for an answer, and what it does with an unusable one.

use super::forget::forget_a_directory_of;
use crate::mockd::*;

crate::tests![
    first_request,
    offered_flags,
    offered_notifications,
    asynchronous_and_once,
    requests_wait_for_the_reply,
    short_replies,
    long_reply,
    empty_reply,
    error_reply,
    error_reply_before_the_mount_is_made,
    major_mismatch,
    newer_minor,
    extra_reply,
    entry_size_by_minor,
    attr_size_by_minor,
    statfs_size_by_minor,
    sizes_of_what_is_made_by_minor,
    forget_batches_by_minor,
    max_write_floor,
    name_length_limit,
    ids_are_even_and_grow,
];

/// What a caller gets from a file system whose INIT went wrong.
#[track_caller]
fn assert_refused(fs: &Fs) {
    assert_eq!(fs.call_quietly(|m| m.stat("f")), Err(ECONNREFUSED));
    assert_eq!(fs.call_quietly(|m| m.statfs("")), Err(ECONNREFUSED));
}

/// The first request is INIT: 7.46, on no node and by nobody, with the default readahead and zeros in what is unused.
fn first_request() {
    let fs = Setup::new().mount();
    let r = fs.expect(INIT).node(0);
    let a: InitIn = r.arg();
    assert_eq!((a.major, a.minor), (7, 46));
    assert_eq!(a.max_readahead, 128 << 10);
    assert_eq!(a.unused, [0; 11]);
    assert_eq!((r.head.uid, r.head.gid), (0, 0));
    r.ok(fs.setup.init_out());
}

/// INIT says that the kernel knows INVAL_ENTRY with EXPIRE_ONLY, and RESEND: libfuse does not send them to others.
fn offered_notifications() {
    let fs = Setup::new().mount();
    let r = fs.expect(INIT);
    let a: InitIn = r.arg();
    let offered = u64::from(a.flags) | (u64::from(a.flags2) << 32);
    let both = init::HAS_EXPIRE_ONLY | init::HAS_RESEND;
    assert_eq!(offered & both, both);
    r.ok(fs.setup.init_out());
}

/// INIT offers every feature that this client has, and no other.
fn offered_flags() {
    use init::*;
    let fs = Setup::new().mount();
    let r = fs.expect(INIT);
    let a: InitIn = r.arg();
    let offered = u64::from(a.flags) | (u64::from(a.flags2) << 32);
    let known = [
        (ASYNC_READ, "ASYNC_READ"),
        (POSIX_LOCKS, "POSIX_LOCKS"),
        (ATOMIC_O_TRUNC, "ATOMIC_O_TRUNC"),
        (EXPORT_SUPPORT, "EXPORT_SUPPORT"),
        (BIG_WRITES, "BIG_WRITES"),
        (DONT_MASK, "DONT_MASK"),
        (SPLICE_WRITE, "SPLICE_WRITE"),
        (SPLICE_MOVE, "SPLICE_MOVE"),
        (SPLICE_READ, "SPLICE_READ"),
        (FLOCK_LOCKS, "FLOCK_LOCKS"),
        (HAS_IOCTL_DIR, "HAS_IOCTL_DIR"),
        (AUTO_INVAL_DATA, "AUTO_INVAL_DATA"),
        (DO_READDIRPLUS, "DO_READDIRPLUS"),
        (READDIRPLUS_AUTO, "READDIRPLUS_AUTO"),
        (ASYNC_DIO, "ASYNC_DIO"),
        (WRITEBACK_CACHE, "WRITEBACK_CACHE"),
        (NO_OPEN_SUPPORT, "NO_OPEN_SUPPORT"),
        (PARALLEL_DIROPS, "PARALLEL_DIROPS"),
        (HANDLE_KILLPRIV, "HANDLE_KILLPRIV"),
        (POSIX_ACL, "POSIX_ACL"),
        (ABORT_ERROR, "ABORT_ERROR"),
        (MAX_PAGES, "MAX_PAGES"),
        (CACHE_SYMLINKS, "CACHE_SYMLINKS"),
        (NO_OPENDIR_SUPPORT, "NO_OPENDIR_SUPPORT"),
        (EXPLICIT_INVAL_DATA, "EXPLICIT_INVAL_DATA"),
        (HANDLE_KILLPRIV_V2, "HANDLE_KILLPRIV_V2"),
        (SETXATTR_EXT, "SETXATTR_EXT"),
        (INIT_EXT, "INIT_EXT"),
        (SECURITY_CTX, "SECURITY_CTX"),
        (CREATE_SUPP_GROUP, "CREATE_SUPP_GROUP"),
        (HAS_EXPIRE_ONLY, "HAS_EXPIRE_ONLY"),
        (DIRECT_IO_ALLOW_MMAP, "DIRECT_IO_ALLOW_MMAP"),
        (PASSTHROUGH, "PASSTHROUGH"),
        (NO_EXPORT_SUPPORT, "NO_EXPORT_SUPPORT"),
        (HAS_RESEND, "HAS_RESEND"),
        (ALLOW_IDMAP, "ALLOW_IDMAP"),
        (REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
    ];
    let missing: Vec<_> = known
        .iter()
        .filter(|(bit, _)| offered & bit == 0)
        .map(|(_, name)| name)
        .collect();
    let all = known.iter().fold(0, |all, (bit, _)| all | bit);
    // Only where the module parameter enable_uring is set.
    let mut optional = OVER_IO_URING | HAS_IO_URING_BUFPOOL;
    if !is_rust() {
        // C offers it to servers that cannot have it, as without virtiofs there is no such memory.
        optional |= HAS_INODE_DAX;
    }
    let unknown = offered & !all & !optional;
    assert!(
        missing.is_empty() && unknown == 0,
        "not offered: {missing:?}; offered but unknown: {unknown:#x}"
    );
    r.ok(fs.setup.init_out());
}

/// mount(2) returns before INIT is read, and INIT is sent once.
fn asynchronous_and_once() {
    let fs = Setup::new().mount();
    assert!(fs.dev().readable());
    let r = fs.expect(INIT);
    fs.quiet();
    r.ok(fs.setup.init_out());
    fs.quiet();
}

/// No request but INIT is sent before INIT is answered; callers wait, and go on after it.
fn requests_wait_for_the_reply() {
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let c = fs.call(|m| m.stat("f"));
    c.until_uninterruptible();
    fs.quiet();
    init.ok(fs.setup.init_out());
    fs.lookup(ROOT, "f", file(2).size(7));
    assert_eq!(c.wait().unwrap().size, 7);
}

/// A reply to INIT may be shorter than today's: what it leaves out is zero.
fn short_replies() {
    // 8: major and minor, enough for 7.4; 24: the reply of 7.5 to 7.22; then fields that came one by one.
    for (len, minor) in [
        (8, 4),
        (24, 5),
        (24, 22),
        (28, 31),
        (32, 35),
        (36, 36),
        (40, 40),
        (42, 43),
        (63, 46),
    ] {
        let setup = Setup::new().minor(minor);
        let fs = setup.mount();
        let reply = fs.setup.init_out().bytes();
        fs.expect(INIT).reply(&reply[..len]);
        let c = fs.call(|m| m.stat("f"));
        let entry = file(2).size(7).entry().bytes();
        fs.expect_lookup(ROOT, "f")
            .reply(if minor < 9 { &entry[..120] } else { &entry });
        assert_eq!(c.wait().unwrap().size, 7, "with a reply of {len} bytes");
    }
}

/// A reply to INIT that is longer than today's is refused, and INIT has failed.
fn long_reply() {
    let fs = Setup::new().mount();
    let mut reply = fs.setup.init_out().bytes();
    reply.push(0);
    assert_eq!(fs.expect(INIT).try_reply(&reply), Err(EINVAL));
    assert_refused(&fs);
}

/// A reply to INIT without a body says version 0.0, which is none.
fn empty_reply() {
    let fs = Setup::new().mount();
    fs.expect(INIT).reply(&[]);
    assert_refused(&fs);
}

/// After an error reply to INIT every call fails with ECONNREFUSED.
fn error_reply() {
    for e in [EPERM, EIO, ENOSYS] {
        let fs = Setup::new().mount();
        fs.expect(INIT).err(e);
        assert_refused(&fs);
    }
}

/// INIT that fails before mount(2) has returned does not make that fail: nobody has waited for it.
fn error_reply_before_the_mount_is_made() {
    run_on(0).unwrap();
    for _ in 0..20 {
        let dev = Device::open();
        // The server sleeps when INIT is queued, and then runs at once, in place of the task that mounts.
        let server = Caller::start_with_devices("", |_| {
            let _ = run_on(1);
            while dev.poll() == libc::POLLERR {}
            run_first();
            run_on(0).unwrap();
            dev.expect(INIT).err(EIO);
        });
        let fs = Setup::new().mount_with(dev, &mount_point());
        server.wait();
        assert_refused(&fs);
    }
}

/// A reply with another major number, older or newer, is no agreement: no second INIT, and ECONNREFUSED.
fn major_mismatch() {
    for major in [0, 6, 8, u32::MAX] {
        let fs = Setup::new().init(|i| i.major = major).mount();
        fs.expect(INIT).ok(fs.setup.init_out());
        fs.quiet();
        assert_refused(&fs);
    }
}

/// A server with a newer minor number is taken as one of 7.46.
fn newer_minor() {
    for minor in [47, 1000, u32::MAX] {
        let fs = Setup::new().minor(minor).start();
        let c = fs.call(|m| m.stat("f"));
        fs.lookup(ROOT, "f", file(2).size(7));
        assert_eq!(c.wait().unwrap().size, 7);
    }
}

/// INIT is answered once: its unique number means nothing afterwards.
fn extra_reply() {
    let fs = Setup::new().mount();
    let r = fs.expect(INIT);
    let reply = fs.setup.init_out().bytes();
    r.try_reply(&reply).unwrap();
    assert_eq!(r.try_reply(&reply), Err(ENOENT));
}

/// The reply to LOOKUP has 120 bytes before 7.9 and 128 since, and no other length is taken.
fn entry_size_by_minor() {
    for minor in [1, 8, 9, 12, 46] {
        let fs = Setup::new().minor(minor).start();
        let entry = file(2).size(7).entry().bytes();
        let (good, bad) = if minor < 9 { (120, 128) } else { (128, 120) };
        let c = fs.call(|m| (m.stat("f"), m.stat("g")));
        fs.expect_lookup(ROOT, "f").reply(&entry[..good]);
        assert_eq!(
            fs.expect_lookup(ROOT, "g").try_reply(&entry[..bad]),
            Err(EINVAL)
        );
        let (f, g) = c.wait();
        assert_eq!((f.unwrap().size, g), (7, Err(EIO)), "7.{minor}");
    }
}

/// The reply to GETATTR has 96 bytes before 7.9 and 104 since, and no other length is taken.
fn attr_size_by_minor() {
    for minor in [1, 8, 9, 12, 46] {
        let fs = Setup::new().minor(minor).start();
        let attr = dir(ROOT)
            .attr_valid(0, 0)
            .with(|a| a.ino = 77)
            .attr_out()
            .bytes();
        let (good, bad) = if minor < 9 { (96, 104) } else { (104, 96) };
        let c = fs.call(|m| (m.stat(""), m.stat("")));
        fs.expect(GETATTR).node(ROOT).reply(&attr[..good]);
        assert_eq!(fs.expect(GETATTR).try_reply(&attr[..bad]), Err(EINVAL));
        let (one, two) = c.wait();
        assert_eq!((one.unwrap().ino, two), (77, Err(EIO)), "7.{minor}");
    }
}

/// MKNOD and CREATE have 8 bytes before their names before 7.12, without the umask, and 16 since.
fn sizes_of_what_is_made_by_minor() {
    for minor in [8, 9, 11, 12, 46] {
        let fs = Setup::new().minor(minor).start();
        let c = fs.call(|m| {
            mknod(&m.path("p"), libc::S_IFIFO | 0o644).unwrap();
            mkdir(&m.path("d")).unwrap();
            let f = open(&m.path("f"), libc::O_WRONLY | libc::O_CREAT).unwrap();
            close(f).unwrap();
        });
        let entry_size = if minor < 9 { 120 } else { 128 };
        let head = if minor < 12 { 8 } else { 16 };
        let entry = |node: Node| node.entry().bytes()[..entry_size].to_vec();
        fs.expect_lookup(ROOT, "p").err(ENOENT);
        let r = fs.expect(MKNOD);
        assert_eq!(&r.body[head..], b"p\0", "7.{minor}");
        r.reply(&entry(file(2).with(|a| a.mode = libc::S_IFIFO | 0o644)));
        fs.expect_lookup(ROOT, "d").err(ENOENT);
        let r = fs.expect(MKDIR);
        // Mode and umask, in all versions.
        assert_eq!(&r.body[8..], b"d\0", "7.{minor}");
        r.reply(&entry(dir(3)));
        fs.expect_lookup(ROOT, "f").err(ENOENT);
        let r = fs.expect(CREATE);
        assert_eq!(&r.body[head..], b"f\0", "7.{minor}");
        r.reply(&[entry(file(4)), OpenOut::default().bytes()].concat());
        fs.flush_and_release(4, 0);
        c.wait();
    }
}

/// The reply to STATFS has 48 bytes before 7.4 and 80 since, and no other length is taken.
fn statfs_size_by_minor() {
    for minor in [1, 3, 4, 46] {
        let fs = Setup::new().minor(minor).start();
        let out = StatfsOut {
            blocks: 9,
            bsize: 512,
            namelen: 99,
            ..Default::default()
        }
        .bytes();
        let (good, bad) = if minor < 4 { (48, 80) } else { (80, 48) };
        let c = fs.call(|m| (m.statfs(""), m.statfs("")));
        fs.expect(STATFS).reply(&out[..good]);
        assert_eq!(fs.expect(STATFS).try_reply(&out[..bad]), Err(EINVAL));
        let (one, two) = c.wait();
        assert_eq!((one.unwrap().namelen, two), (99, Err(EIO)), "7.{minor}");
    }
}

/// BATCH_FORGET is for servers of 7.16 and later; older ones get one FORGET per node.
fn forget_batches_by_minor() {
    for (minor, batched) in [(15, false), (16, true)] {
        let fs = Setup::new().minor(minor).start();
        let seen = forget_a_directory_of(&fs, 3);
        assert_eq!(
            seen.iter().any(|r| r.head.opcode == BATCH_FORGET),
            batched,
            "7.{minor}"
        );
        let mut nodes: Vec<_> = seen.iter().flat_map(forgotten).collect();
        nodes.sort();
        assert_eq!(nodes, [(10, 3), (11, 1), (12, 1), (13, 1)]);
    }
}

/// A max_write below 4096 counts as 4096; the device asks for buffers of max_write and 80 bytes, at least 8192.
fn max_write_floor() {
    for (max_write, least) in [
        (0, 8192),
        (4096, 8192),
        (8112, 8192),
        (8113, 8193),
        (65536, 65616),
    ] {
        let fs = Setup::new().init(|i| i.max_write = max_write).start();
        assert_eq!(
            fs.dev().read(least - 1),
            Err(EINVAL),
            "max_write {max_write}"
        );
        assert_eq!(fs.dev().read(least), Err(EAGAIN), "max_write {max_write}");
    }
}

/// Names have at most 1024 bytes, or 4095 when requests may have more than one page; longer ones are not sent.
fn name_length_limit() {
    for (setup, limit) in [
        (Setup::new(), 1024),
        (
            Setup::new()
                .flags(init::MAX_PAGES)
                .init(|i| i.max_pages = 1),
            1024,
        ),
        (
            Setup::new()
                .flags(init::MAX_PAGES)
                .init(|i| i.max_pages = 2),
            4000,
        ),
    ] {
        let fs = setup.start();
        let c = fs.call(|m| {
            chdir(&m.path(""))?;
            stat(&"n".repeat(limit))
        });
        fs.expect(ACCESS).node(ROOT).reply(&[]);
        let r = fs.expect(LOOKUP);
        assert_eq!(r.name().len(), limit);
        r.err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
        if limit == 1024 {
            assert_eq!(
                fs.call_quietly(|m| m.stat(&"n".repeat(1025))),
                Err(ENAMETOOLONG)
            );
        }
    }
}

/// Requests are numbered 2, 4, 6 and so on, in the order in which they are sent.
fn ids_are_even_and_grow() {
    let fs = Setup::new().mount();
    let r = fs.expect(INIT);
    assert_eq!(r.unique(), 2);
    r.ok(fs.setup.init_out());
    let c = fs.call(|m| {
        [m.stat("a"), m.stat("b"), m.stat("c")]
            .map(|r| r.is_err())
            .to_vec()
    });
    for unique in [4, 6, 8] {
        let r = fs.expect(LOOKUP);
        assert_eq!(r.unique(), unique);
        r.err(ENOENT);
    }
    assert_eq!(c.wait(), [true; 3]);
}
