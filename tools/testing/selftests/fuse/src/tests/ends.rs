// SPDX-License-Identifier: GPL-2.0

//! Ends that have no file of their own: a request too large for its reader, one device closed of several, a server that
//! dies with its pid namespace, and what keeps the module from being unloaded.

use super::clone::clone_of;
use super::control::Control;
use crate::mockd::*;

crate::tests![
    too_large_for_the_reader,
    too_large_an_attribute_for_the_reader,
    too_large_for_one_reader_but_not_for_another,
    too_large_before_others,
    a_device_loses_only_what_it_has_read,
    answers_of_a_device_that_is_closed,
    last_device_of_a_process_with_the_last_mount,
    server_is_init_of_a_pid_namespace,
    server_and_callers_die_with_their_pid_namespace,
    server_that_waits_for_itself_dies_with_its_pid_namespace,
    module_in_use,
];

/// Asks the server for least buffers of 8192 bytes, so that there are requests which are larger.
fn with_small_buffers() -> Fs {
    Setup::new().init(|i| i.max_write = 4096).start()
}

/// An ioctl that takes this many bytes to the server, on "f" with handle 5, asleep in it.
fn in_a_large_ioctl(fs: &Fs, len: u32) -> Caller<Result<i32>> {
    let c = fs.call(move |m| {
        let f = m.open("f").unwrap();
        let mut memory = vec![7; len as usize];
        let result = ioctl_on(f, (1 << 30) | (len << 16) | 0x7801, &mut memory);
        m.pause();
        close(f).unwrap();
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.until_interruptible();
    assert!(fs.dev().readable());
    c
}

/// The rest of what it does.
fn end_of_ioctl(fs: &Fs, c: Caller<Result<i32>>) -> Result<i32> {
    c.paused();
    c.go();
    fs.flush_and_release(2, 5);
    c.wait()
}

/// A request that does not fit the reader's buffer ends with EIO, and the read goes on to the next.
fn too_large_for_the_reader() {
    let fs = with_small_buffers();
    let c = in_a_large_ioctl(&fs, 9000);
    assert_eq!(fs.dev().read(8192), Err(EAGAIN));
    assert_eq!(end_of_ioctl(&fs, c), Err(EIO));
}

/// For SETXATTR the error says what is wrong: E2BIG.
fn too_large_an_attribute_for_the_reader() {
    let fs = with_small_buffers();
    let c = fs.call(|m| setxattr(&m.path("f"), "user.x", &[7; 9000]));
    fs.lookup(ROOT, "f", file(2));
    c.until_interruptible();
    assert_eq!(fs.dev().read(8192), Err(EAGAIN));
    assert_eq!(c.wait(), Err(E2BIG));
}

/// What counts is the buffer of who reads it.
fn too_large_for_one_reader_but_not_for_another() {
    let fs = with_small_buffers();
    let c = in_a_large_ioctl(&fs, 9000);
    let r = fs.dev().next_with(IN_HEADER + size_of::<IoctlIn>() + 9000);
    assert_eq!(r.head.opcode, IOCTL);
    r.ok(IoctlOut::default());
    assert_eq!(end_of_ioctl(&fs, c), Ok(0));

    let c = fs.call(|m| setxattr(&m.path("f"), "user.x", &[7; 9000]));
    let r = fs.expect(SETXATTR);
    assert!(r.body.ends_with(&[7; 9000]));
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
}

/// A reader that waits passes over what is too large, and gets what comes after it.
fn too_large_before_others() {
    let fs = with_small_buffers();
    let c = in_a_large_ioctl(&fs, 9000);
    let other = fs.call(|m| m.stat("g").map(drop));
    other.until_interruptible();
    let r = fs.dev().next_with(8192);
    assert_eq!((r.head.opcode, r.name()), (LOOKUP, "g".into()));
    r.err(ENOENT);
    assert_eq!(other.wait(), Err(ENOENT));
    assert_eq!(end_of_ioctl(&fs, c), Err(EIO));
}

/// With a device go the requests that it has read and not answered; those of another, and those that nobody has read,
/// are as before, interrupted or not.
fn a_device_loses_only_what_it_has_read() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let ask = |name: &'static str| {
        let c = fs.call(|m| {
            catch(libc::SIGUSR1);
            m.stat(name).map(drop)
        });
        c.until_interruptible();
        c
    };
    let first = ask("first");
    let of_first = fs.expect_lookup(ROOT, "first");
    let second = ask("second");
    let of_clone = clone.expect(LOOKUP);
    let third = ask("third");
    let of_clone_too = clone.expect(LOOKUP);
    let unread = ask("unread");
    // One of them with an INTERRUPT that nobody has read.
    third.signal(libc::SIGUSR1);
    third.until_uninterruptible();
    assert!(fs.dev().readable());
    drop((of_clone, of_clone_too));
    drop(clone);
    assert_eq!(second.wait(), Err(ECONNABORTED));
    assert_eq!(third.wait(), Err(ECONNABORTED));
    first.stays_asleep();
    of_first.err(ENOENT);
    assert_eq!(first.wait(), Err(ENOENT));
    // The INTERRUPT is gone with its request.
    fs.expect_lookup(ROOT, "unread").err(ENOENT);
    assert_eq!(unread.wait(), Err(ENOENT));
}

/// What a closed device has read cannot be answered through another.
fn answers_of_a_device_that_is_closed() {
    let fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let c = fs.call(|m| m.stat("f").map(drop));
    let unique = clone.expect(LOOKUP).unique();
    drop(clone);
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(fs.dev().reply(unique, -libc::ENOENT, &[]), Err(ENOENT));
}

/// A process that serves its own mount namespace and dies: device, mount and caller go together.
fn last_device_of_a_process_with_the_last_mount() {
    for _ in 0..5 {
        let mut c = Caller::start(&mount_point(), |m| {
            unshare(libc::CLONE_NEWNS).unwrap();
            let fs = Setup::new().start_at(m.path(""));
            let _caller = fs.call(|m| m.stat("f").map(drop));
            let _r = fs.expect_lookup(ROOT, "f");
            m.pause();
            m.pause();
        });
        c.paused();
        c.signal(libc::SIGKILL);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    }
}

/// Runs `f`, which does not end, as first process of a pid namespace, until its pause, and kills that process as soon as
/// the test lets the caller go on.
fn in_pid_namespace(fs: &Fs, f: impl FnOnce(&Side)) -> Caller<()> {
    Caller::start_with_devices(&fs.dir, |m| {
        unshare(libc::CLONE_NEWPID).unwrap();
        let mut first = Caller::<()>::start_with_devices(&m.path(""), f);
        close_all();
        first.paused();
        m.pause();
        first.signal(libc::SIGKILL);
        assert_eq!(first.death(), Death::Signal(libc::SIGKILL));
    })
}

/// A server that is the first process of its pid namespace takes everything there with it, its own callers included,
/// whatever state they are in (CVE-2019-20794).
fn server_is_init_of_a_pid_namespace() {
    let ctl = Control::new();
    let mut fs = Fs::new();
    let server = in_pid_namespace(&fs, |m| {
        let _closes = Caller::start(&m.path(""), |m| m.open("f").and_then(close));
        fs.lookup(ROOT, "f", file(2));
        fs.open(2, 5, 0);
        let _flush = fs.expect(FLUSH);
        let _makes = Caller::start(&m.path(""), |m| mkdir(&m.path("d")));
        fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
        let _mkdir = fs.expect(MKDIR);
        m.pause();
    });
    server.paused();
    fs.die();
    assert_eq!(ctl.get(&fs, "waiting"), Ok("2\n".into()));
    server.go();
    server.wait();
    assert_eq!(fs.call(|m| m.stat("g").map(drop)).wait(), Err(ENOTCONN));
    fs.unmount();
}

/// So does the first process when the server is another one: both it and its callers are killed at once.
fn server_and_callers_die_with_their_pid_namespace() {
    let mut fs = Fs::new();
    let first = in_pid_namespace(&fs, |m| {
        let server = Caller::<()>::start_with_devices(&m.path(""), |m| {
            let _caller = Caller::start(&m.path(""), |m| m.open("f").and_then(close));
            fs.lookup(ROOT, "f", file(2));
            fs.open(2, 5, 0);
            let _flush = fs.expect(FLUSH);
            m.pause();
            m.pause();
        });
        server.paused();
        close_all();
        m.pause();
    });
    first.paused();
    fs.die();
    first.go();
    first.wait();
    assert_eq!(fs.call(|m| m.stat("g").map(drop)).wait(), Err(ENOTCONN));
    fs.unmount();
}

/// Even a server one of whose threads waits for the server itself ends when its pid namespace does: who only asks leaves,
/// and so the device is closed.
fn server_that_waits_for_itself_dies_with_its_pid_namespace() {
    skip_on_c("a thread that asks its own process and is killed keeps the device open");
    let mut fs = Fs::new();
    let path = format!("{}/f", fs.dir);
    let first = in_pid_namespace(&fs, |m| {
        let other = path.clone();
        std::thread::spawn(move || stat(&other).map(drop));
        let _r = fs.expect_lookup(ROOT, "f");
        m.pause();
    });
    first.paused();
    fs.die();
    first.go();
    first.wait();
    assert_eq!(fs.call(|m| m.stat("g").map(drop)).wait(), Err(ENOTCONN));
    fs.unmount();
}

/// References to the module.
fn uses_of_the_module() -> i64 {
    if stat("/sys/module/fuse/refcnt").is_err() {
        mount("sysfs", "/sys", "sysfs", 0, "").unwrap();
    }
    let count = std::fs::read_to_string("/sys/module/fuse/refcnt").unwrap();
    count.trim().parse().unwrap()
}

/// The module cannot be unloaded while a device is open or anything is mounted, the server dead or alive: EAGAIN.
fn module_in_use() {
    let before = uses_of_the_module();
    let used = |least: i64| {
        let now = uses_of_the_module();
        assert!(now >= before + least, "{now} uses, {before} before");
        // SAFETY: a C string.
        let ret =
            unsafe { libc::syscall(libc::SYS_delete_module, c"fuse".as_ptr(), libc::O_NONBLOCK) };
        assert_eq!((ret, errno()), (-1, EAGAIN));
    };
    let dev = Device::open();
    used(1);
    drop(dev);
    let mut fs = Fs::new();
    used(2);
    fs.die();
    used(1);
    fs.unmount();
    // A file that was open when its mount went keeps the mount, so the module.
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let _f = m.open("f");
        m.pause();
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    umount(&fs.dir, libc::MNT_DETACH).unwrap();
    fs.unmounted();
    fs.die();
    used(1);
    c.go();
    c.wait();
    drop(c);
    soon(patience(), "the module is still in use", || {
        uses_of_the_module() == before
    });
}
