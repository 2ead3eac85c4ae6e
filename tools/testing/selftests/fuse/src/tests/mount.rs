// SPDX-License-Identifier: GPL-2.0

//! Mounting: both mount APIs, every option with its errors, what is shown of them, and unmounting.

use crate::mockd::*;
use std::os::fd::AsRawFd;

crate::tests![
    required_options,
    bad_options,
    bad_descriptors,
    repeated_descriptor,
    other_kinds_of_root,
    shown_options,
    shown_options_all,
    shown_max_read,
    shown_subtype,
    new_api_fd_as_number,
    new_api_fd_as_file,
    new_api_bad_options,
    new_api_repeated_options,
    new_api_messages,
    remount_ignores_options,
    reconfigure_refuses_options,
    second_mount_shares,
    second_mount_after_the_first_is_gone,
    closed_device,
    closed_device_of_a_file_system,
    user_namespace,
    device_of_another_user_namespace,
    device_number,
    backing_device,
    unmount_ends_the_connection,
    unmount_of_a_busy_mount,
    detached_mount_lives_on,
];

/// What mount(2) answers to `data`; FD stands for a new device.
fn try_mount(data: &str) -> Result<()> {
    let dev = Device::open();
    let dir = mount_point();
    mount(
        "mock",
        &dir,
        "fuse",
        0,
        &data.replace("FD", &dev.fd().to_string()),
    )
}

/// The line of a mount point in mountinfo: type, source and the options of the file system.
fn mountinfo(dir: &str) -> (String, String, String) {
    let all = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = all
        .lines()
        .find(|l| l.split(' ').nth(4) == Some(dir))
        .expect("a line in mountinfo");
    let mut f = line
        .split(" - ")
        .nth(1)
        .unwrap()
        .split(' ')
        .map(str::to_string);
    (f.next().unwrap(), f.next().unwrap(), f.next().unwrap())
}

/// fd, rootmode, user_id and group_id must all be given.
fn required_options() {
    let all = ["fd=FD", "rootmode=40000", "user_id=0", "group_id=0"];
    for missing in all {
        let rest: Vec<_> = all.into_iter().filter(|o| *o != missing).collect();
        assert_eq!(try_mount(&rest.join(",")), Err(EINVAL), "without {missing}");
    }
    assert_eq!(try_mount(""), Err(EINVAL));
    assert_eq!(try_mount(&all.join(",")), Ok(()));
}

/// An unknown option, or a known one with a value it cannot have, makes the mount fail with EINVAL.
fn bad_options() {
    for bad in [
        "rootmode=0",
        "rootmode=644",
        "rootmode=40008",
        "rootmode=xyz",
        "rootmode",
        "user_id=",
        "user_id=root",
        "user_id=-1",
        "user_id=4294967295",
        "user_id=4294967296",
        "group_id=",
        "group_id=root",
        "group_id=4294967295",
        "max_read=",
        "max_read=many",
        "max_read=-1",
        "max_read=4294967296",
        "default_permissions=1",
        "allow_other=yes",
        "blksize=4096",
        "no_such_option",
        "no_such_option=1",
        "dax",
    ] {
        let data = format!("fd=FD,rootmode=40000,user_id=0,group_id=0,{bad}");
        assert_eq!(try_mount(&data), Err(EINVAL), "with {bad}");
    }
}

/// fd must be an open descriptor of /dev/fuse: EBADF if it is not open, EINVAL if it is something else.
fn bad_descriptors() {
    let rest = "rootmode=40000,user_id=0,group_id=0";
    let null = open("/dev/null", libc::O_RDWR).unwrap();
    let path = open("/dev/fuse", libc::O_PATH).unwrap();
    for (fd, e) in [
        ("555".to_string(), EBADF),
        (path.to_string(), EBADF),
        ("-1".to_string(), EINVAL),
        ("".to_string(), EINVAL),
        ("x".to_string(), EINVAL),
        (null.to_string(), EINVAL),
        ("0x".to_string(), EINVAL),
    ] {
        assert_eq!(
            try_mount(&format!("fd={fd},{rest}")),
            Err(e),
            "with fd={fd}"
        );
    }
}

/// A mount has one device: fd given twice is refused, be it the same or another.
fn repeated_descriptor() {
    let other = Device::open();
    for second in ["FD".to_string(), other.fd().to_string()] {
        let data = format!("fd=FD,fd={second},rootmode=40000,user_id=0,group_id=0");
        assert_eq!(try_mount(&data), Err(EINVAL));
    }
}

/// rootmode gives the type of the root, with any permission bits; a root that is a file is mounted on a file.
fn other_kinds_of_root() {
    assert_eq!(
        try_mount("fd=FD,rootmode=040755,user_id=0,group_id=0"),
        Ok(())
    );
    assert_eq!(
        try_mount("fd=FD,rootmode=100644,user_id=0,group_id=0"),
        Err(ENOTDIR)
    );

    let dev = Device::open();
    let target = format!("{PLACE}/file");
    std::fs::write(&target, "").unwrap();
    let data = |fd: i32| format!("fd={fd},rootmode=100644,user_id=0,group_id=0");
    assert_eq!(mount("mock", &target, "fuse", 0, &data(dev.fd())), Ok(()));
    dev.expect(INIT).ok(Setup::new().init_out());
    let c = Caller::start(&target, |m| m.stat(""));
    dev.expect(GETATTR)
        .node(ROOT)
        .ok(file(ROOT).size(11).attr_out());
    let s = c.wait().unwrap();
    assert_eq!((s.mode & libc::S_IFMT, s.size), (libc::S_IFREG, 11));
    umount(&target, 0).unwrap();
}

/// mountinfo shows type fuse, the source, and always user_id and group_id.
fn shown_options() {
    let fs = Setup::new().owner(1, 2).start();
    let expected = (
        "fuse".into(),
        "mock".into(),
        "rw,user_id=1,group_id=2".into(),
    );
    assert_eq!(mountinfo(&fs.dir), expected);
}

/// The options that are set are shown in one order, whatever the order in which they were given.
fn shown_options_all() {
    let fs = Setup::new()
        .option("max_read=8192,allow_other,default_permissions")
        .start();
    let options = "rw,user_id=0,group_id=0,default_permissions,allow_other,max_read=8192";
    assert_eq!(mountinfo(&fs.dir).2, options);
}

/// max_read is shown if given, and at least 4096.
fn shown_max_read() {
    for (given, shown) in [
        ("0", "4096"),
        ("1000", "4096"),
        ("4097", "4097"),
        ("4294967294", "4294967294"),
    ] {
        let fs = Setup::new().option(&format!("max_read={given}")).start();
        assert_eq!(
            mountinfo(&fs.dir).2,
            format!("rw,user_id=0,group_id=0,max_read={shown}")
        );
    }
    let fs = Setup::new().option("max_read=4294967295").start();
    assert_eq!(mountinfo(&fs.dir).2, "rw,user_id=0,group_id=0");
}

/// A subtype is part of the shown type, given as an option or after a dot in the type's name.
fn shown_subtype() {
    let fs = Setup::new().option("subtype=sshfs").start();
    assert_eq!(mountinfo(&fs.dir).0, "fuse.sshfs");

    let (dev, dir) = (Device::open(), mount_point());
    mount("src", &dir, "fuse.other", 0, &Setup::new().data(dev.fd())).unwrap();
    assert_eq!(mountinfo(&dir).0, "fuse.other");
    assert_eq!(mountinfo(&dir).1, "src");

    let twice = "fd=FD,rootmode=40000,user_id=0,group_id=0,subtype=a,subtype=b";
    assert_eq!(try_mount(twice), Err(EINVAL));
}

fn set(ctx: &std::os::fd::OwnedFd, key: &str, value: &str) -> Result<()> {
    fsconfig(ctx, FSCONFIG_SET_STRING, Some(key), Some(value), 0)
}

/// A context of the new API with all required options but fd.
fn context() -> std::os::fd::OwnedFd {
    context_of("fuse", "mock")
}

/// The same for this type of file system, and with this source.
fn context_of(kind: &str, source: &str) -> std::os::fd::OwnedFd {
    let ctx = fsopen(kind).unwrap();
    set(&ctx, "source", source).unwrap();
    set(&ctx, "rootmode", "40000").unwrap();
    set(&ctx, "user_id", "0").unwrap();
    set(&ctx, "group_id", "0").unwrap();
    ctx
}

/// Makes the file system of `ctx`, attaches it, and checks that it works.
fn finish(ctx: &std::os::fd::OwnedFd, dev: &Device) {
    fsconfig(ctx, FSCONFIG_CMD_CREATE, None, None, 0).unwrap();
    dev.expect(INIT).ok(Setup::new().init_out());
    let dir = mount_point();
    move_mount(&fsmount(ctx).unwrap(), &dir).unwrap();
    let c = Caller::start(&dir, |m| m.stat("f"));
    let r = dev.expect(LOOKUP).node(ROOT);
    assert_eq!(r.name(), "f");
    r.ok(file(2).size(3).entry());
    assert_eq!(c.wait().unwrap().size, 3);
    umount(&dir, 0).unwrap();
}

/// The new mount API takes fd as a number in a string.
fn new_api_fd_as_number() {
    let (ctx, dev) = (context(), Device::open());
    set(&ctx, "fd", &dev.fd().to_string()).unwrap();
    fsconfig(&ctx, FSCONFIG_SET_FLAG, Some("allow_other"), None, 0).unwrap();
    finish(&ctx, &dev);
}

/// The new mount API takes fd as a file; its number may be closed before the file system is made.
fn new_api_fd_as_file() {
    let (ctx, dev) = (context(), Device::open());
    let dup = dev.dup();
    fsconfig(&ctx, FSCONFIG_SET_FD, Some("fd"), None, dup.fd()).unwrap();
    drop(dup);
    finish(&ctx, &dev);
}

/// With the new mount API each bad option fails where it is given, and missing ones fail at the end.
fn new_api_bad_options() {
    let ctx = context();
    let null = open("/dev/null", libc::O_RDWR).unwrap();
    assert_eq!(set(&ctx, "rootmode", "0"), Err(EINVAL));
    assert_eq!(set(&ctx, "user_id", "x"), Err(EINVAL));
    assert_eq!(set(&ctx, "blksize", "4096"), Err(EINVAL));
    assert_eq!(set(&ctx, "no_such_option", "1"), Err(EINVAL));
    assert_eq!(set(&ctx, "fd", "555"), Err(EBADF));
    assert_eq!(set(&ctx, "fd", &null.to_string()), Err(EINVAL));
    assert_eq!(
        fsconfig(&ctx, FSCONFIG_SET_FD, Some("fd"), None, null),
        Err(EINVAL)
    );
    assert_eq!(
        fsconfig(&ctx, FSCONFIG_SET_FD, Some("fd"), None, 555),
        Err(EBADF)
    );
    assert_eq!(
        fsconfig(&ctx, FSCONFIG_CMD_CREATE, None, None, 0),
        Err(EINVAL)
    );
}

/// Source, subtype and fd can be given once; of the others the last one counts.
fn new_api_repeated_options() {
    let (ctx, dev) = (context(), Device::open());
    set(&ctx, "subtype", "a").unwrap();
    set(&ctx, "fd", &dev.fd().to_string()).unwrap();
    assert_eq!(set(&ctx, "source", "again"), Err(EINVAL));
    assert_eq!(set(&ctx, "subtype", "b"), Err(EINVAL));
    assert_eq!(set(&ctx, "fd", &dev.fd().to_string()), Err(EINVAL));
    assert_eq!(
        fsconfig(&ctx, FSCONFIG_SET_FD, Some("fd"), None, dev.fd()),
        Err(EINVAL)
    );
    set(&ctx, "user_id", "1").unwrap();
    set(&ctx, "user_id", "0").unwrap();
    set(&ctx, "max_read", "4096").unwrap();
    set(&ctx, "max_read", "8192").unwrap();
    finish(&ctx, &dev);
}

/// The context says in words what was wrong with an option.
fn new_api_messages() {
    let ctx = context();
    let null = open("/dev/null", libc::O_RDWR).unwrap();
    for (key, value, text) in [
        ("fd", null.to_string(), "e fuse: fd is not a fuse device"),
        ("rootmode", "0".into(), "e fuse: Invalid rootmode"),
        (
            "blksize",
            "512".into(),
            "e fuse: blksize only supported for fuseblk",
        ),
        ("source", "x".into(), "e fuse: Multiple sources specified"),
        (
            "no_such_option",
            "1".into(),
            "e fuse: Unknown parameter 'no_such_option'",
        ),
    ] {
        assert_eq!(set(&ctx, key, &value), Err(EINVAL));
        let said = read(ctx.as_raw_fd(), 256).unwrap();
        assert_eq!(String::from_utf8_lossy(&said).trim_end(), text);
    }
}

/// A remount by mount(2) changes the generic flags, and ignores options of FUSE's.
fn remount_ignores_options() {
    let fs = Fs::new();
    mount(
        "x",
        &fs.dir,
        "fuse",
        libc::MS_REMOUNT | libc::MS_RDONLY,
        "max_read=4096,allow_other,user_id=7",
    )
    .unwrap();
    assert_eq!(mountinfo(&fs.dir).2, "ro,user_id=0,group_id=0");
    mount("x", &fs.dir, "fuse", libc::MS_REMOUNT, "").unwrap();
    assert_eq!(mountinfo(&fs.dir).2, "rw,user_id=0,group_id=0");
}

/// A reconfiguration by the new API changes the generic flags, and refuses options of FUSE's.
fn reconfigure_refuses_options() {
    let fs = Fs::new();
    let ctx = fspick(&fs.dir).unwrap();
    for (key, value) in [("max_read", "4096"), ("user_id", "0"), ("fd", "3")] {
        assert_eq!(set(&ctx, key, value), Err(EINVAL));
    }
    assert_eq!(
        fsconfig(&ctx, FSCONFIG_SET_FLAG, Some("allow_other"), None, 0),
        Err(EINVAL)
    );
    fsconfig(&ctx, FSCONFIG_SET_FLAG, Some("ro"), None, 0).unwrap();
    fsconfig(&ctx, FSCONFIG_CMD_RECONFIGURE, None, None, 0).unwrap();
    assert_eq!(mountinfo(&fs.dir).2, "ro,user_id=0,group_id=0");
}

/// A second mount with a device in use is the same file system at another place: no second INIT, one cache.
fn second_mount_shares() {
    let fs = Fs::new();
    let dir2 = mount_point();
    // Its options are those of the first, whatever is given.
    let data = format!(
        "fd={},rootmode=100000,user_id=5,group_id=5,allow_other",
        fs.dev().fd()
    );
    mount("other", &dir2, "fuse", 0, &data.replace("100000", "40000")).unwrap();
    fs.quiet();
    let c = fs.call(|m| m.stat("f"));
    fs.lookup(ROOT, "f", file(2));
    let one = c.wait().unwrap();
    let two = fs.call_quietly(|_| stat(&format!("{dir2}/f"))).unwrap();
    assert_eq!(one, two);
    assert_eq!(mountinfo(&dir2).2, "rw,user_id=0,group_id=0");
    // The first goes; the connection lives on in the second.
    umount(&dir2, 0).unwrap();
    assert_eq!(fs.call_quietly(|m| m.stat("f")), Ok(one));
}

/// A device whose file system is gone cannot be mounted again: ENOTCONN.
fn second_mount_after_the_first_is_gone() {
    let mut fs = Fs::new();
    fs.unmount();
    let data = fs.setup.data(fs.dev().fd());
    assert_eq!(mount("mock", &fs.dir, "fuse", 0, &data), Err(ENOTCONN));
}

/// What becomes of a mount by the new API whose device `close` closes before the file system is made.
fn create_without(ctx: &std::os::fd::OwnedFd, fd: i32, close: impl FnOnce()) -> Result<()> {
    fsconfig(ctx, FSCONFIG_SET_FD, Some("fd"), None, fd).unwrap();
    close();
    fsconfig(ctx, FSCONFIG_CMD_CREATE, None, None, 0)
}

/// A device that is closed before the file system is made serves nothing: ENOTCONN.
fn closed_device() {
    let dev = Device::open();
    assert_eq!(
        create_without(&context(), dev.fd(), || drop(dev)),
        Err(ENOTCONN)
    );

    let (block, _keep) = super::fuseblk::block_device();
    for _ in 0..2 {
        let (ctx, dev) = (context_of("fuseblk", &block), Device::open());
        assert_eq!(create_without(&ctx, dev.fd(), || drop(dev)), Err(ENOTCONN));
    }
    // The block device is free again.
    let mut fs = Setup::new().on_block_device(&block).mount();
    umount(&fs.dir, libc::MNT_FORCE).unwrap();
    fs.unmounted();
}

/// The same for a device that has served a file system, whether that is still mounted or not.
fn closed_device_of_a_file_system() {
    for mounted in [true, false] {
        let mut fs = Fs::new();
        if !mounted {
            fs.unmount();
        }
        let fd = fs.dev().fd();
        assert_eq!(create_without(&context(), fd, || fs.die()), Err(ENOTCONN));
    }
}

/// An ordinary user mounts in a user namespace of his own; ids on the wire are those of the namespace.
fn user_namespace() {
    let dir = mount_point();
    let c: Caller<Result<()>> = Caller::start_with_devices(&dir, |m| {
        become_user(1000, 1000);
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        m.pause();
        let dev = Device::open();
        mount(
            "mock",
            &m.path(""),
            "fuse",
            libc::MS_NOSUID | libc::MS_NODEV,
            &Setup::new().data(dev.fd()),
        )?;
        dev.expect(INIT).ok(Setup::new().init_out());
        let inner = Caller::start(&m.path(""), |m| m.stat("f"));
        let r = dev.expect(LOOKUP);
        assert_eq!((r.head.uid, r.head.gid, r.name().as_str()), (0, 0, "f"));
        r.ok(file(2).owner(0, 5).entry());
        let s = inner.wait()?;
        // Root of the namespace, and a group that it does not have.
        assert_eq!((s.uid, s.gid), (0, 65534));
        Ok(())
    });
    c.paused();
    for (file, map) in [
        ("setgroups", "deny"),
        ("uid_map", "0 1000 1"),
        ("gid_map", "0 1000 1"),
    ] {
        std::fs::write(format!("/proc/{}/{file}", c.pid), map).unwrap();
    }
    c.go();
    assert_eq!(c.wait(), Ok(()));
}

/// The device must be opened in the user namespace that mounts: EINVAL.
fn device_of_another_user_namespace() {
    let dir = mount_point();
    let dev = Device::open();
    let c: Caller<Result<()>> = Caller::start_with_devices(&dir, |m| {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        m.pause();
        mount(
            "mock",
            &m.path(""),
            "fuse",
            libc::MS_NOSUID | libc::MS_NODEV,
            &Setup::new().data(dev.fd()),
        )
    });
    c.paused();
    for (file, map) in [
        ("setgroups", "deny"),
        ("uid_map", "0 0 1"),
        ("gid_map", "0 0 1"),
    ] {
        std::fs::write(format!("/proc/{}/{file}", c.pid), map).unwrap();
    }
    c.go();
    assert_eq!(c.wait(), Err(EINVAL));
}

/// Each mount has a device number of its own, and stat(2) shows it for every file.
fn device_number() {
    let (a, b) = (Fs::new(), Fs::new());
    let devs: Vec<_> = [&a, &b]
        .iter()
        .map(|fs| {
            let c = fs.call(|m| (m.stat("").unwrap().dev, m.stat("f").unwrap().dev));
            fs.getattr(dir(ROOT));
            fs.lookup(ROOT, "f", file(2));
            let (root, f) = c.wait();
            assert_eq!(root, f);
            root
        })
        .collect();
    assert_ne!(devs[0], devs[1]);
}

/// Unmounting ends the connection: the device reads ENODEV, and polls as broken.
fn unmount_ends_the_connection() {
    let mut fs = Fs::new();
    fs.unmount();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    assert_eq!(fs.dev().poll(), libc::POLLERR);
}

/// A mount with an open file is busy; after the file's RELEASE is sent it is not, even if RELEASE is never answered.
fn unmount_of_a_busy_mount() {
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        close(f)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    assert_eq!(umount(&fs.dir, 0), Err(EBUSY));
    c.go();
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(()));
    let _unanswered = fs.expect(RELEASE);
    fs.unmount();
}

/// A detached mount works for those who have a file in it open, and the connection ends with the last of them.
fn detached_mount_lives_on() {
    let mut fs = Setup::new().start();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        let data = pread(f, 4096, 0);
        close(f).unwrap();
        data
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    c.paused();
    umount(&fs.dir, libc::MNT_DETACH).unwrap();
    fs.unmounted();
    fs.quiet();
    c.go();
    fs.expect_read(5, 0, 4096).reply(b"hello");
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(b"hello".to_vec()));
    let gone = poll(fs.dev().fd(), libc::POLLERR, patience());
    assert_eq!(gone & libc::POLLERR, libc::POLLERR);
}

/// A device number as sysfs writes it.
pub(super) fn numbers(dev: u64) -> String {
    let major = (dev >> 8) & 0xfff;
    let minor = (dev & 0xff) | ((dev >> 12) & 0xf_ff00);
    format!("{major}:{minor}")
}

/// Checks the limits of the backing device with this name, and how far it is read ahead, in KiB.
#[track_caller]
pub(super) fn check_backing_device(name: &str, read_ahead: u32) {
    let _ = mount("none", "/sys", "sysfs", 0, "");
    for (file, value) in [
        ("max_ratio", "1"),
        ("min_ratio", "0"),
        ("strict_limit", "1"),
        ("read_ahead_kb", &read_ahead.to_string()),
    ] {
        let path = format!("/sys/class/bdi/{name}/{file}");
        let found = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(found.trim(), value, "{path}");
    }
}

/// The mount has a backing device with strict limits: 1 % of the dirty memory. INIT may make readahead less, not more.
fn backing_device() {
    for (answer, read_ahead) in [(0, 0), (5000, 4), (64 << 10, 64), (1 << 30, 128)] {
        let fs = Setup::new().init(|i| i.max_readahead = answer).start();
        let c = fs.call(|m| m.stat("f").map(|s| s.dev));
        fs.lookup(ROOT, "f", file(2));
        check_backing_device(&numbers(c.wait().unwrap()), read_ahead);
    }
}
