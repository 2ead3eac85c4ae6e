// SPDX-License-Identifier: GPL-2.0

//! /dev/fuse as a file: reading, polling, signals, and what it says before and after a mount.

use crate::mockd::*;

crate::tests![
    numbers,
    version_in_the_log,
    before_a_mount,
    before_a_mount_of_bad_options,
    costs_little_before_a_mount,
    idle,
    poll_states,
    poll_wakes,
    smallest_buffer,
    buffer_is_checked_first,
    blocking_read_wakes,
    blocking_read_is_interruptible,
    each_request_goes_to_one_reader,
    requests_come_in_order,
    read_to_pieces_of_memory,
    sigio,
    sigio_at_the_end,
    unknown_ioctl,
    fdinfo,
    pid_of_the_caller,
    two_connections,
];

/// The device is the misc device 229.
fn numbers() {
    let s = stat("/dev/fuse").unwrap();
    assert_eq!(
        (s.mode & libc::S_IFMT, s.rdev),
        (libc::S_IFCHR, libc::makedev(10, 229))
    );
}

/// The kernel's log says which version of the protocol the module speaks.
fn version_in_the_log() {
    let records = KernelLog::from_the_start().records();
    if records
        .iter()
        .any(|(_, line)| line == "fuse: init (API version 7.46)")
    {
        return;
    }
    assert_ne!(
        records.first().map(|(number, _)| *number),
        Some(0),
        "nothing is said"
    );
    crate::harness::skip("the log does not go back so far");
}

/// Without a mount there is nobody to talk to: EPERM, and poll says error.
fn before_a_mount() {
    let dev = Device::open();
    assert_eq!(dev.read(1 << 17), Err(EPERM));
    assert_eq!(dev.read(1), Err(EPERM));
    assert_eq!(dev.write(&[0; 16]), Err(EPERM));
    assert_eq!(dev.poll(), libc::POLLERR);
    assert_eq!(async_io(dev.fd()), Err(EPERM));
}

/// A mount that fails leaves the device as it was, to be mounted later.
fn before_a_mount_of_bad_options() {
    let dev = Device::open();
    let dir = mount_point();
    let good = Setup::new().data(dev.fd());
    for bad in ["no_such_option", "rootmode=0", "user_id=x"] {
        assert_eq!(
            mount("mock", &dir, "fuse", 0, &format!("{good},{bad}")),
            Err(EINVAL)
        );
        assert_eq!(dev.read(1 << 17), Err(EPERM));
    }
    assert_eq!(mount("mock", &dir, "fuse", 0, &good), Ok(()));
    dev.expect(INIT).ok(Setup::new().init_out());
    umount(&dir, 0).unwrap();
}

/// Memory of the kernel in slabs, in bytes.
fn slabs() -> i64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = info.lines().find(|l| l.starts_with("Slab:")).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<i64>().unwrap() << 10
}

/// An opened device that is not mounted takes no memory for requests: hardly more than a file of any other device.
fn costs_little_before_a_mount() {
    // Where everything is checked, each object has more around it, and takes longer.
    let (files, most) = match kernel_checks_everything() {
        true => (500, 2048),
        false => (4_000, 1024),
    };
    allow_descriptors(files as u64 + 100);
    let cost_of_one = |path| {
        let before = slabs();
        let opened: Vec<_> = (0..files)
            .map(|_| open(path, libc::O_RDWR).unwrap())
            .collect();
        let cost = (slabs() - before) / files;
        opened.into_iter().for_each(|fd| close(fd).unwrap());
        cost
    };
    // What is kept from the first time on is not counted. What the kernel does by the way is in each
    // measurement, and can only be in all of them if it is the device's own.
    cost_of_one("/dev/null");
    let costs: Vec<_> = (0..3)
        .map(|_| (cost_of_one("/dev/null"), cost_of_one("/dev/fuse")))
        .collect();
    assert!(
        costs.iter().any(|(other, own)| own - other < most),
        "(bytes for another, for one): {costs:?}"
    );
}

/// With nothing to read a non-blocking read says EAGAIN.
fn idle() {
    let fs = Fs::new();
    assert_eq!(fs.dev().read(1 << 17), Err(EAGAIN));
}

/// The device can always be written; it can be read when there is a request, and poll says error when it has ended.
fn poll_states() {
    let writable = libc::POLLOUT | libc::POLLWRNORM;
    let readable = writable | libc::POLLIN | libc::POLLRDNORM;
    let mut fs = Setup::new().mount();
    assert_eq!(fs.dev().poll(), readable);
    fs.expect(INIT).ok(fs.setup.init_out());
    assert_eq!(fs.dev().poll(), writable);
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert_eq!(fs.dev().poll(), readable);
    let r = fs.expect(LOOKUP);
    assert_eq!(fs.dev().poll(), writable);
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    fs.unmount();
    assert_eq!(fs.dev().poll(), libc::POLLERR);
}

/// A poll that sleeps wakes for a request, and for the end.
fn poll_wakes() {
    let mut fs = Fs::new();
    let fd = fs.dev().fd();
    let poller =
        |fd| Caller::start_with_devices("", move |_| poll(fd, libc::POLLIN, patience()) as u32);
    let p = poller(fd);
    p.until_interruptible();
    let c = fs.call(|m| m.stat("f").map(drop));
    assert_eq!(p.wait(), libc::POLLIN as u32);
    fs.expect(LOOKUP).err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    let p = poller(fd);
    p.until_interruptible();
    fs.unmount();
    assert_eq!(p.wait(), libc::POLLERR as u32);
}

/// A buffer of less than 8192 bytes is refused with EINVAL even for the smallest request, which stays.
fn smallest_buffer() {
    let fs = Setup::new().mount();
    for len in [0, 1, 104, 8191] {
        assert_eq!(
            fs.dev().read(len).map(|b| b.len()),
            Err(EINVAL),
            "{len} bytes"
        );
    }
    assert_eq!(fs.dev().read(8192).map(|b| b.len()), Ok(104));
}

/// Too small a buffer is refused even when there is nothing to read.
fn buffer_is_checked_first() {
    let fs = Fs::new();
    assert_eq!(fs.dev().read(8191), Err(EINVAL));
}

/// A blocking read waits for a request.
fn blocking_read_wakes() {
    let fs = Fs::new();
    let fd = fs.dev().fd();
    set_nonblock(fd, false);
    let reader = Caller::start_with_devices("", |_| read(fd, 1 << 17));
    reader.until_interruptible();
    let c = fs.call(|m| m.stat("f").map(drop));
    let bytes = reader.wait().unwrap();
    let head = InHeader::from_bytes(&bytes);
    assert_eq!((head.opcode, head.nodeid), (LOOKUP, ROOT));
    fs.dev().reply(head.unique, -libc::ENOENT, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A signal ends a blocking read with EINTR.
fn blocking_read_is_interruptible() {
    let fs = Fs::new();
    let fd = fs.dev().fd();
    set_nonblock(fd, false);
    let reader = Caller::start_with_devices("", |_| {
        catch(libc::SIGUSR1);
        read(fd, 1 << 17)
    });
    reader.until_interruptible();
    reader.signal(libc::SIGUSR1);
    assert_eq!(reader.wait(), Err(EINTR));
}

/// Of several readers each gets another request.
fn each_request_goes_to_one_reader() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let fd = fs.dev().fd();
    set_nonblock(fd, false);
    let readers: Vec<_> = (0..3)
        .map(|_| Caller::start_with_devices("", |_| read(fd, 1 << 17).unwrap()))
        .collect();
    readers.iter().for_each(Caller::until_interruptible);
    let callers: Vec<_> = (0..3)
        .map(|i| fs.call(move |m| m.stat(&i.to_string()).map(drop)))
        .collect();
    let mut uniques: Vec<_> = readers
        .iter()
        .map(|r| InHeader::from_bytes(&r.wait()).unique)
        .collect();
    for &u in &uniques {
        fs.dev().reply(u, -libc::ENOENT, &[]).unwrap();
    }
    uniques.sort();
    assert_eq!(uniques, [4, 6, 8]);
    assert!(callers.iter().all(|c| c.wait() == Err(ENOENT)));
}

/// Requests are read in the order in which they were sent, and can be answered in any.
fn requests_come_in_order() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let callers: Vec<_> = (0..5)
        .map(|i| {
            let c = fs.call(move |m| m.stat(&i.to_string()).map(|s| s.ino));
            c.until_interruptible();
            c
        })
        .collect();
    let mut requests: Vec<_> = (0..5)
        .map(|i| fs.expect_lookup(ROOT, &i.to_string()))
        .collect();
    for i in [3, 0, 2, 1, 0] {
        let r = requests.remove(i);
        let n: u64 = r.name().parse().unwrap();
        r.ok(file(10 + n).entry());
    }
    for (i, c) in callers.iter().enumerate() {
        assert_eq!(c.wait(), Ok(10 + i as u64));
    }
}

/// A request may be read into any number of pieces of memory.
fn read_to_pieces_of_memory() {
    let fs = Setup::new().mount();
    let mut buf = vec![0u8; 8192];
    let mut iov: Vec<_> = buf
        .chunks_mut(13)
        .map(|p| libc::iovec {
            iov_base: p.as_mut_ptr().cast(),
            iov_len: p.len(),
        })
        .collect();
    // SAFETY: pieces of one buffer that lives on.
    let n = unsafe { libc::readv(fs.dev().fd(), iov.as_mut_ptr(), iov.len() as i32) };
    assert_eq!(n, 104);
    let head = InHeader::from_bytes(&buf);
    assert_eq!((head.len, head.opcode), (104, INIT));
    assert_eq!(InitIn::from_bytes(&buf[IN_HEADER..]).minor, 46);
    fs.dev()
        .reply(head.unique, 0, &fs.setup.init_out().bytes())
        .unwrap();
}

/// A server that asked for SIGIO gets it for each request.
fn sigio() {
    let fs = Fs::new();
    block_signal(libc::SIGIO);
    assert_eq!(async_io(fs.dev().fd()), Ok(()));
    for _ in 0..2 {
        assert!(!await_signal(libc::SIGIO, 0));
        let c = fs.call(|m| m.stat("f").map(drop));
        assert!(await_signal(libc::SIGIO, patience()));
        fs.expect(LOOKUP).err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// A server that asked for SIGIO gets it at the end of the connection.
fn sigio_at_the_end() {
    let mut fs = Fs::new();
    block_signal(libc::SIGIO);
    assert_eq!(async_io(fs.dev().fd()), Ok(()));
    fs.unmount();
    assert!(await_signal(libc::SIGIO, patience()));
}

/// An ioctl that is none of the device's gives ENOTTY, mounted or not.
fn unknown_ioctl() {
    let fs = Fs::new();
    for dev in [fs.dev(), &Device::open()] {
        assert_eq!(ioctl(dev.fd(), 0xe5ff), Err(ENOTTY));
        assert_eq!(ioctl(dev.fd(), libc::TIOCGWINSZ), Err(ENOTTY));
    }
}

/// /proc/PID/fdinfo names the connection by the device number of its mount.
fn fdinfo() {
    let line = |dev: &Device| {
        let all = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", dev.fd())).unwrap();
        all.lines()
            .find_map(|l| l.strip_prefix("fuse_connection:\t").map(str::to_string))
    };
    assert_eq!(line(&Device::open()), None);
    let fs = Fs::new();
    let info = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let number = info
        .lines()
        .find(|l| l.contains(&fs.dir))
        .and_then(|l| l.split(' ').nth(2))
        .unwrap();
    let (major, minor) = number.split_once(':').unwrap();
    let dev = (major.parse::<u32>().unwrap() << 20) | minor.parse::<u32>().unwrap();
    assert_eq!(line(fs.dev()), Some(dev.to_string()));
}

/// A request names the process of its caller, as numbered in the pid namespace that mounted; 0 if it has no number.
fn pid_of_the_caller() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect(LOOKUP);
    assert_eq!(r.head.pid, c.pid as u32);
    r.err(ENOENT);
    let _ = c.wait();

    // A process in a namespace below has a number in ours.
    let c = fs.call(|m| {
        unshare(libc::CLONE_NEWPID).unwrap();
        let inner = Caller::start(&m.path(""), |m| (getpid(), m.stat("f").map(drop)));
        (inner.wait().0, inner.pid)
    });
    let r = fs.expect(LOOKUP);
    let seen = r.head.pid;
    r.err(ENOENT);
    let (inside, outside) = c.wait();
    assert_eq!((inside, outside as u32), (1, seen));
}

/// Two mounts are two connections, whose requests are numbered apart.
fn two_connections() {
    let (a, b) = (Fs::new(), Fs::new());
    let (ca, cb) = (
        a.call(|m| m.stat("a").map(drop)),
        b.call(|m| m.stat("b").map(drop)),
    );
    let (ra, rb) = (a.expect_lookup(ROOT, "a"), b.expect_lookup(ROOT, "b"));
    assert_eq!((ra.unique(), rb.unique()), (4, 4));
    ra.err(ENOENT);
    assert_eq!(ca.wait(), Err(ENOENT));
    assert!(cb.running());
    rb.err(EPERM);
    assert_eq!(cb.wait(), Err(EPERM));
}
