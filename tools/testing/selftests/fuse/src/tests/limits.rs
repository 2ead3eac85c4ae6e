// SPDX-License-Identifier: GPL-2.0

//! What the administrator allows servers: module parameters and sysctls.

use crate::mockd::*;

crate::tests![
    user_limits,
    user_limits_at_init,
    administrators_of_the_system,
    io_uring_switch,
    sysctl_bounds,
    max_pages_limit,
    sync_waits_for_no_server_that_cannot_tell,
    silent_server_loses_its_connection,
];

/// max_user_bgreq and max_user_congthresh have 16 bits; 0 makes them follow from the size of memory.
fn user_limits() {
    for name in ["max_user_bgreq", "max_user_congthresh"] {
        let s = Setting::parameter(name);
        s.set("100").unwrap();
        assert_eq!(s.get(), "100");
        s.set("65536").unwrap();
        assert_eq!(s.get(), "65535");
        s.set("0").unwrap();
        let computed: u32 = s.get().parse().unwrap();
        assert!((1..65536).contains(&computed), "{computed}");
        assert_eq!(s.set("x"), Err(EINVAL));
    }
}

/// A server without privilege gets no more at INIT, and its owner no more by fusectl.
fn user_limits_at_init() {
    let limit = Setting::parameter("max_user_bgreq");
    limit.set("20").unwrap();
    let ctl = mount_point();
    mount("ctl", &ctl, "fusectl", 0, "").unwrap();
    let fs = Setup::new().owner(1000, 1000).mount();
    let directory = std::fs::read_dir(&ctl)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .max_by_key(|n| n.parse::<u32>().unwrap())
        .unwrap();
    let path = format!("{ctl}/{directory}/max_background");
    fs.expect(INIT).ok(fs.setup.init_out());
    let result = fs.call_quietly(|_| {
        become_user(1000, 1000);
        (write_setting(&path, "20"), write_setting(&path, "21"))
    });
    assert_eq!(result, (Ok(2), Err(EINVAL)));
    assert_eq!(read_setting(&path), "20");
    umount(&ctl, 0).unwrap();
}

/// With allow_sys_admin_access root may use the mounts of others.
fn administrators_of_the_system() {
    let s = Setting::parameter("allow_sys_admin_access");
    let fs = Setup::new().owner(1000, 1000).start();
    s.set("0").unwrap();
    assert_eq!(fs.call_quietly(|m| m.stat("f").map(drop)), Err(EACCES));
    s.set("1").unwrap();
    assert_eq!(s.get(), "Y");
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    // Who has no privilege is as before.
    let user = fs.call_quietly(|m| {
        become_user(1001, 1001);
        m.stat("f").map(drop)
    });
    assert_eq!(user, Err(EACCES));
}

/// The parameter `enable_uring` is a truth value that may be changed.
fn io_uring_switch() {
    let uring = Setting::parameter("enable_uring");
    for (text, shown) in [("1", "Y"), ("N", "N"), ("y", "Y"), ("0", "N")] {
        assert_eq!(uring.set(text), Ok(()), "{text}");
        assert_eq!(uring.get(), shown);
    }
    assert_eq!(uring.set("2"), Err(EINVAL));
}

/// Sysctls keep to what fits INIT's reply; there is at least one page.
fn sysctl_bounds() {
    for (name, least) in [
        ("max_pages_limit", 1),
        ("default_request_timeout", 0),
        ("max_request_timeout", 0),
    ] {
        let s = Setting::sysctl(name);
        assert_eq!(s.set("65535"), Ok(()));
        assert_eq!(s.get(), "65535");
        assert_eq!(s.set("65536"), Err(EINVAL));
        assert_eq!(s.set(&least.to_string()), Ok(()));
        assert_eq!(s.get(), least.to_string());
        assert_eq!(s.set("-1"), Err(EINVAL));
    }
    let s = Setting::sysctl("max_pages_limit");
    assert_eq!(s.set("0"), Err(EINVAL));
}

/// max_pages_limit at the mount bounds what the server may ask for.
fn max_pages_limit() {
    let s = Setting::sysctl("max_pages_limit");
    s.set("2").unwrap();
    let fs = Setup::new()
        .flags(init::MAX_PAGES)
        .init(|i| i.max_pages = 32)
        .mount();
    s.set("16").unwrap();
    fs.expect(INIT).ok(fs.setup.init_out());
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let data = pread(f, 16384, 0).map(|d| d.len());
        close(f).unwrap();
        data
    });
    fs.lookup(ROOT, "f", file(2).size(16384));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 8192).reply(&[1; 8192]);
    fs.expect_read(5, 8192, 8192).reply(&[1; 8192]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(16384));
}

/// A process that syncs: its errors of syncfs(2) and close(2).
type Syncer = Caller<(Result<()>, Result<()>)>;

/// A process that has written a page, and calls syncfs(2) when it is let go. The server has the WRITE.
fn syncer(fs: &Fs) -> (Syncer, Request) {
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        write(f, &[1; 4096]).unwrap();
        // SAFETY: no memory involved.
        unsafe { libc::sync_file_range(f, 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
        m.pause();
        let synced = syncfs(f);
        m.pause();
        (synced, close(f))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    let r = loop {
        let r = fs.dev().next();
        if r.head.opcode == WRITE {
            break r;
        }
        r.err(ENOSYS);
    };
    c.paused();
    (c, r)
}

/// sync(2) and syncfs(2) wait for no WRITE if the server is not asked to make anything durable.
fn sync_waits_for_no_server_that_cannot_tell() {
    let mut fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let (c, unanswered) = syncer(&fs);
    // SAFETY: no memory involved.
    Caller::start(&fs.dir, |_| unsafe { libc::sync() }).wait();
    c.go();
    // The times of the file are written by the thread that syncfs(2) waits for.
    serve_until(fs.dev(), |r| r.ok(file(2).attr_out()), || !c.running());
    c.paused();
    // It keeps the device open.
    drop(unanswered);
    fs.die();
    c.go();
    assert_eq!(c.wait(), (Ok(()), Err(EIO)));
}

/// A server that leaves a request unanswered for longer than it promised, or than the administrator allows, is cut off,
/// whether it has read the request or not; one that answers is not. A caller of sync(2) or syncfs(2) goes on then.
fn silent_server_loses_its_connection() {
    // The shortest timeout there is, and the kernel looks only now and then.
    let most = Setting::sysctl("max_request_timeout");
    most.set("1").unwrap();
    let promised = Setup::new()
        .flags(init::REQUEST_TIMEOUT)
        .init(|i| i.request_timeout = 60)
        .start();
    let (device, _keep) = super::fuseblk::block_device();
    let synced = Setup::new()
        .flags(init::REQUEST_TIMEOUT | init::WRITEBACK_CACHE)
        .init(|i| i.request_timeout = 60)
        .on_block_device(&device)
        .start();
    most.set("0").unwrap();
    let default = Setting::sysctl("default_request_timeout");
    default.set("1").unwrap();
    let unread = Fs::new();
    let idle = Fs::new();
    default.set("0").unwrap();
    let ask = |fs: &Fs| {
        let c = fs.call(|m| m.stat("f").map(drop));
        c.until_interruptible();
        c
    };

    let callers = [ask(&promised), ask(&unread), ask(&idle)];
    let r = promised.expect_lookup(ROOT, "f");
    idle.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(callers[2].wait(), Err(ENOENT));
    let (c, _unanswered) = syncer(&synced);
    c.go();
    c.until_uninterruptible();
    // SAFETY: no memory involved.
    let all = Caller::start(&synced.dir, |_| unsafe { libc::sync() });
    all.until_uninterruptible();
    for fs in [&promised, &unread, &synced] {
        let broken = poll(fs.dev().fd(), 0, 3 * 15_000 + patience());
        assert!(broken & libc::POLLERR != 0, "{broken:#x}");
        assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    }
    assert_eq!(callers[0].wait(), Err(ECONNABORTED));
    assert_eq!(callers[1].wait(), Err(ECONNABORTED));
    all.wait();
    c.paused();
    c.go();
    let (synced_as, closed) = c.wait();
    assert!(synced_as.is_err(), "{synced_as:?}");
    assert_eq!(closed, Err(EIO));
    assert_eq!(r.try_reply(&[]), Err(ENOENT));
    let c = ask(&idle);
    idle.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    for mut fs in [promised, unread, synced] {
        fs.die();
        fs.unmount();
    }
}
