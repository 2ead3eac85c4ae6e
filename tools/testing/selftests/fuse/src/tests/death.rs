// SPDX-License-Identifier: GPL-2.0

//! The server's death: its last descriptor of the device is closed, at any point of a request's life.

use crate::mockd::*;

crate::tests![
    before_init_is_read,
    with_init_unanswered,
    with_a_request_pending,
    with_a_request_read,
    with_many_requests,
    with_an_interrupted_caller,
    later_calls,
    what_is_cached_stays,
    open_files,
    close_of_an_open_file,
    forgets_and_releases_are_dropped,
    killed_server_process,
    another_descriptor_keeps_it_alive,
    reader_process_keeps_it_alive,
    unmount_after_it,
    device_before_any_mount,
];

/// Before INIT is read: callers that wait for it get ENOTCONN, later ones ECONNREFUSED.
fn before_init_is_read() {
    let mut fs = Setup::new().mount();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    fs.die();
    assert_eq!(c.wait(), Err(ENOTCONN));
    assert_eq!(fs.call(|m| m.stat("f").map(drop)).wait(), Err(ECONNREFUSED));
}

/// With INIT read and not answered: callers that wait are freed, and later ones get ECONNREFUSED.
fn with_init_unanswered() {
    let mut fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    drop(init);
    fs.die();
    // INIT ends before the connection does, and what a waiting caller does in between is left open.
    let got = c.wait();
    assert!(
        matches!(got, Err(ENOTCONN | ECONNABORTED | ECONNREFUSED)),
        "{got:?}"
    );
    assert_eq!(fs.call(|m| m.stat("f").map(drop)).wait(), Err(ECONNREFUSED));
}

/// The caller of a request that nobody has read gets ECONNABORTED.
fn with_a_request_pending() {
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    fs.die();
    assert_eq!(c.wait(), Err(ECONNABORTED));
}

/// The caller of a request that the server had read gets ECONNABORTED.
fn with_a_request_read() {
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    drop(fs.expect_lookup(ROOT, "f"));
    c.until_interruptible();
    fs.die();
    assert_eq!(c.wait(), Err(ECONNABORTED));
}

/// All callers are freed at once, whatever state their requests are in.
fn with_many_requests() {
    let mut fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let callers: Vec<_> = (0..8)
        .map(|i| fs.call(move |m| m.stat(&i.to_string()).map(drop)))
        .collect();
    let read: Vec<_> = (0..4).map(|_| fs.expect(LOOKUP)).collect();
    callers.iter().for_each(Caller::until_interruptible);
    drop(read);
    fs.die();
    for c in callers {
        assert_eq!(c.wait(), Err(ECONNABORTED));
    }
}

/// A caller that was interrupted or killed, and waits for the answer, is freed too.
fn with_an_interrupted_caller() {
    let mut fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let a = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("a").map(drop)
    });
    drop(fs.expect_lookup(ROOT, "a"));
    a.until_interruptible();
    a.signal(libc::SIGUSR1);
    // One INTERRUPT read, the other not.
    drop(fs.expect(INTERRUPT));
    let mut b = fs.call(|m| mkdir(&m.path("d/b")));
    fs.lookup(ROOT, "d", dir(3));
    fs.expect_lookup(3, "b").ok(absent(0, 0));
    drop(fs.expect(MKDIR));
    b.until_interruptible();
    b.signal(libc::SIGKILL);
    b.until_uninterruptible();
    fs.die();
    assert_eq!(a.wait(), Err(ECONNABORTED));
    assert_eq!(b.death(), Death::Signal(libc::SIGKILL));
}

/// Whatever needs the server afterwards fails with ENOTCONN.
fn later_calls() {
    let mut fs = Fs::new();
    fs.die();
    let c = fs.call(|m| {
        [
            m.stat("f").map(drop),
            m.stat("").map(drop),
            m.statfs("").map(drop),
            m.opendir("").map(drop),
            m.access("", 4),
        ]
        .to_vec()
    });
    assert_eq!(c.wait(), [Err(ENOTCONN); 5]);
}

/// Names and attributes that may be believed still are.
fn what_is_cached_stays() {
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("f"));
    fs.lookup(ROOT, "f", file(2).size(3));
    let before = c.wait();
    fs.die();
    assert_eq!(fs.call(|m| m.stat("f")).wait(), before);
}

/// An open file still gives what is cached; other pages give EIO, and direct reads ENOTCONN.
fn open_files() {
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let (f, g) = (m.open("f").unwrap(), m.open("g").unwrap());
        read(f, 10).unwrap();
        m.pause();
        let cached = (pread(f, 10, 0).map(|d| d.len()), pread(f, 10, 4096));
        let direct = pread(g, 10, 0);
        (cached.0, cached.1, direct)
    });
    fs.lookup(ROOT, "f", file(2).size(8192));
    fs.open(2, 5, 0);
    fs.lookup(ROOT, "g", file(3).size(8192));
    fs.open(3, 6, FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 4096).reply(&[1; 4096]);
    c.paused();
    fs.die();
    c.go();
    assert_eq!(c.wait(), (Ok(10), Err(EIO), Err(ENOTCONN)));
}

/// close(2) of an open file fails with ENOTCONN, and the file is closed all the same.
fn close_of_an_open_file() {
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        (close(f), close(f))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    fs.die();
    c.go();
    assert_eq!(c.wait(), (Err(ENOTCONN), Err(EBADF)));
}

/// What nobody waits for is dropped: unread RELEASE and FORGET keep nothing busy.
fn forgets_and_releases_are_dropped() {
    let mut fs = Fs::new();
    let c = fs.call(|m| {
        let d = m.opendir("d").and_then(close);
        (d, m.stat("d").map(drop))
    });
    fs.lookup(ROOT, "d", dir(2).entry_valid(0, 0));
    fs.opendir(2, 5);
    // RELEASEDIR waits unread before LOOKUP, or is read and left.
    let r = fs.dev().next();
    let (release, lookup) = if r.head.opcode == RELEASEDIR {
        (r, fs.expect(LOOKUP))
    } else {
        (fs.expect(RELEASEDIR), r)
    };
    lookup.err(ENOENT);
    drop(release);
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    fs.die();
    let (d, again) = c.wait();
    assert_eq!(d, Ok(()));
    assert!(matches!(again, Err(ECONNABORTED | ENOTCONN)), "{again:?}");
}

/// A server process that is killed closes its device: the same.
fn killed_server_process() {
    let mut fs = Fs::new();
    let mut server = Caller::start_with_devices(&fs.dir, |m| {
        m.pause();
        m.pause();
    });
    server.paused();
    let c = fs.call(|m| m.stat("f").map(drop));
    drop(fs.expect_lookup(ROOT, "f"));
    // Ours is not the last descriptor.
    fs.die();
    c.stays_asleep();
    server.signal(libc::SIGKILL);
    assert_eq!(server.death(), Death::Signal(libc::SIGKILL));
    assert_eq!(c.wait(), Err(ECONNABORTED));
}

/// The connection lives as long as one descriptor of the device does.
fn another_descriptor_keeps_it_alive() {
    let mut fs = Fs::new();
    let dup = fs.dev().dup();
    let c = fs.call(|m| m.stat("f").map(drop));
    let unique = fs.expect_lookup(ROOT, "f").unique();
    fs.die();
    c.stays_asleep();
    dup.reply(unique, -libc::ENOENT, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A thread of the server that is blocked in read(2) of the device keeps it alive, and can be interrupted.
fn reader_process_keeps_it_alive() {
    let mut fs = Fs::new();
    set_nonblock(fs.dev().fd(), false);
    let fd = fs.dev().fd();
    let reader = Caller::start_with_devices(&fs.dir, |_| {
        catch(libc::SIGUSR1);
        read(fd, 1 << 17).map(drop)
    });
    reader.until_interruptible();
    fs.die();
    let c = fs.call(|m| m.stat("f").map(drop));
    // It reads the request and ends, and the device with it.
    assert_eq!(reader.wait(), Ok(()));
    assert_eq!(c.wait(), Err(ECONNABORTED));
}

/// The mount stays, and can be unmounted as any other.
fn unmount_after_it() {
    let mut fs = Fs::new();
    fs.die();
    assert_eq!(fs.call(|m| m.stat("f").map(drop)).wait(), Err(ENOTCONN));
    fs.unmount();
}

/// A device that was never mounted is closed like any file: it keeps the module no longer.
fn device_before_any_mount() {
    let users = || std::fs::read_to_string("/sys/module/fuse/refcnt").unwrap();
    let before = users();
    let devices: Vec<_> = (0..100).map(|_| Device::open()).collect();
    assert_ne!(users(), before);
    drop(devices);
    assert_eq!(users(), before);
}
