// SPDX-License-Identifier: GPL-2.0

//! CUSE: character devices whose server is in user space, with ioctls that ask for what they need.

use crate::mockd::*;

crate::tests![
    numbers,
    module_of_the_device,
    init_comes_at_once,
    the_answer_makes_the_device,
    the_device_goes_with_its_server,
    the_number_can_be_asked_for,
    what_is_said_of_the_device,
    a_name_with_a_directory,
    answers_that_make_no_device,
    what_is_wrong_is_in_the_log,
    answers_of_a_wrong_length,
    numbers_that_there_are_not,
    names_that_no_file_can_have,
    a_name_is_taken_once,
    a_number_is_taken_once,
    an_open_file,
    flags_of_an_open,
    an_open_that_fails,
    a_server_without_open,
    close_waits_for_the_server,
    there_is_no_position,
    long_transfers_come_in_pieces,
    limits_have_a_floor,
    a_small_buffer_will_do,
    writes_say_how_durable,
    an_interrupt,
    a_killed_opener,
    restricted_ioctls,
    unrestricted_ioctls_carry_nothing,
    an_ioctl_that_asks,
    an_ioctl_that_asks_in_steps,
    asking_for_less,
    many_pieces,
    asking_for_too_many_pieces,
    asking_for_too_much,
    asking_in_a_wrong_length,
    asking_for_bad_memory,
    more_than_there_is_room_for,
    asking_a_32_bit_caller,
    asking_as_old_servers_do,
    ioctls_of_a_server_without_any,
    polling,
    a_server_that_dies,
    the_node_of_a_dead_server,
    waiting_counts_requests,
    abort_ends_the_connection,
    notifications_find_no_nodes,
    no_clones_and_no_mounts,
    an_event_says_when_it_is_there,
    opened_and_closed_often,
];

/// The node of a device that a server with this name makes.
fn node(name: &str) -> String {
    format!("/dev/{name}")
}

fn sysfs(name: &str, file: &str) -> String {
    format!("/sys/class/cuse/{name}/{file}")
}

fn major(rdev: u64) -> u32 {
    // SAFETY: calculates.
    unsafe { libc::major(rdev) }
}

fn minor(rdev: u64) -> u32 {
    // SAFETY: calculates.
    unsafe { libc::minor(rdev) }
}

/// The descriptor of a server's end: an open `/dev/cuse`.
pub fn open_server_fd() -> Result<i32> {
    sys::open("/dev/cuse", libc::O_RDWR | libc::O_NONBLOCK)
}

fn open_server() -> Device {
    Device::from_fd(open_server_fd().expect("/dev/cuse"))
}

/// An answer to CUSE_INIT that makes the device `mock`.
pub fn answer_to_init() -> Vec<u8> {
    with_info(init_out(), "DEVNAME=mock\0")
}

/// What a server that likes everything answers to a request of a file; to an ioctl by asking for its memory once.
pub fn answer_to(request: &[u8]) -> Vec<u8> {
    let head = InHeader::from_bytes(request);
    let body = &request[IN_HEADER..];
    let reply = match head.opcode {
        OPEN => OpenOut::default().bytes(),
        READ => vec![0; ReadIn::from_bytes(body).size as usize],
        WRITE => WriteOut {
            size: WriteIn::from_bytes(body).size,
            padding: 0,
        }
        .bytes(),
        IOCTL => {
            let arg = IoctlIn::from_bytes(body);
            match arg.in_size {
                0 => retry(1, 1, &iovecs(&[(arg.arg, 8), (arg.arg, 8)])),
                _ => answer(0, &[0; 8]),
            }
        }
        POLL => PollOut {
            revents: libc::POLLIN as u32,
            padding: 0,
        }
        .bytes(),
        _ => vec![],
    };
    let head = OutHeader {
        len: (OUT_HEADER + reply.len()) as u32,
        error: 0,
        unique: head.unique,
    };
    [head.bytes(), reply].concat()
}

/// What a server answers to CUSE_INIT.
fn init_out() -> CuseInitOut {
    CuseInitOut {
        major: 7,
        minor: 46,
        flags: CUSE_UNRESTRICTED_IOCTL,
        max_read: 1 << 17,
        max_write: 1 << 17,
        ..Default::default()
    }
}

fn with_info(out: CuseInitOut, info: impl AsRef<[u8]>) -> Vec<u8> {
    [&out.bytes(), info.as_ref()].concat()
}

/// A server that has answered CUSE_INIT so.
fn server_of(out: CuseInitOut, info: impl AsRef<[u8]>) -> Device {
    let dev = open_server();
    dev.expect(CUSE_INIT).reply(&with_info(out, info));
    dev
}

/// A server of the device `mock`.
fn server() -> Device {
    server_of(init_out(), "DEVNAME=mock\0")
}

/// The server is refused: nothing is there, and nothing will be.
#[track_caller]
fn assert_refused(dev: &Device, what: &str) {
    assert_eq!(dev.read(1 << 17), Err(ENODEV), "{what}");
    assert_eq!(dev.poll(), libc::POLLERR, "{what}");
    assert_eq!(stat(&node("mock")).map(drop), Err(ENOENT), "{what}");
    assert_eq!(stat(&sysfs("mock", "")).map(drop), Err(ENOENT), "{what}");
}

/// Opens `mock` elsewhere and calls `f` with it; the server answers with handle 5.
fn opened<T: Ship>(dev: &Device, f: impl FnOnce(i32) -> T) -> Caller<T> {
    let c = Caller::start("", |_| {
        let fd = sys::open(&node("mock"), libc::O_RDWR).expect("open");
        let result = f(fd);
        close(fd).expect("close");
        result
    });
    dev.expect(OPEN).ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    c
}

/// RELEASE of handle 5 comes, and is answered.
#[track_caller]
fn released(dev: &Device) {
    let r = dev.expect(RELEASE).node(0);
    let arg = r.arg::<ReleaseIn>();
    assert_eq!((arg.fh, arg.release_flags, arg.lock_owner), (5, 0, 0));
    r.reply(&[]);
}

/// The device is the misc device 203.
fn numbers() {
    let s = stat("/dev/cuse").unwrap();
    assert_eq!(
        (s.mode & libc::S_IFMT, s.rdev),
        (libc::S_IFCHR, libc::makedev(10, 203))
    );
}

/// The device is there without a module of that name: it is a part of this one.
fn module_of_the_device() {
    skip_without_rust("the device in the same module");
    assert!(!std::path::Path::new("/sys/module/cuse").exists());
    drop(open_server());
}

/// Who opens the device is sent CUSE_INIT, as himself, and nothing else; there is no device before the answer.
fn init_comes_at_once() {
    let dev = open_server();
    assert!(dev.readable());
    let r = dev.expect(CUSE_INIT).node(0);
    assert_eq!(
        (r.head.uid, r.head.gid, r.head.pid),
        (0, 0, getpid() as u32)
    );
    assert_eq!(
        r.arg::<CuseInitIn>(),
        CuseInitIn {
            major: 7,
            minor: 46,
            unused: 0,
            flags: CUSE_UNRESTRICTED_IOCTL,
        }
    );
    dev.assert_quiet();
    assert_eq!(stat(&node("mock")).map(drop), Err(ENOENT));
}

/// With the answer the device is there, in /dev and in sysfs, where it has the attributes of a connection.
fn the_answer_makes_the_device() {
    let _dev = server();
    let s = stat(&node("mock")).unwrap();
    assert_eq!(s.mode & libc::S_IFMT, libc::S_IFCHR);
    assert_eq!(
        std::fs::read_to_string(sysfs("mock", "dev")).unwrap(),
        format!("{}:{}\n", major(s.rdev), minor(s.rdev))
    );
    assert_ne!(major(s.rdev), 0);
    assert_eq!(minor(s.rdev), 0);
    for (file, mode) in [("waiting", 0o400), ("abort", 0o200)] {
        assert_eq!(stat(&sysfs("mock", file)).unwrap().mode & 0o7777, mode);
    }
    let devices = std::fs::read_to_string("/proc/devices").unwrap();
    let line = format!("{} mock", major(s.rdev));
    assert!(devices.lines().any(|l| l.trim() == line), "{devices}");
}

/// The device goes when the server closes its end, and the name and number are free again.
fn the_device_goes_with_its_server() {
    for _ in 0..3 {
        let dev = server_of(
            CuseInitOut {
                dev_major: 240,
                dev_minor: 9,
                ..init_out()
            },
            "DEVNAME=mock\0",
        );
        assert!(stat(&node("mock")).is_ok());
        drop(dev);
        assert_eq!(stat(&node("mock")).map(drop), Err(ENOENT));
        assert_eq!(stat(&sysfs("mock", "")).map(drop), Err(ENOENT));
    }
}

/// A server can ask for a number, or only for a minor one.
fn the_number_can_be_asked_for() {
    let asks = |dev_major, dev_minor| {
        server_of(
            CuseInitOut {
                dev_major,
                dev_minor,
                ..init_out()
            },
            "DEVNAME=mock\0",
        )
    };
    let dev = asks(240, 0xfffff);
    assert_eq!(
        stat(&node("mock")).unwrap().rdev,
        libc::makedev(240, 0xfffff)
    );
    drop(dev);
    let _dev = asks(0, 77);
    let rdev = stat(&node("mock")).unwrap().rdev;
    assert_ne!(major(rdev), 0);
    assert_eq!(minor(rdev), 77);
}

/// Of what is said of the device only the name counts: unknown keys are passed over, blanks do not matter, and the last
/// one holds.
fn what_is_said_of_the_device() {
    for info in [
        "DEVNAME=mock\0",
        "\0\0DEVNAME=mock\0\0\0",
        "FOO=bar\0DEVNAME=mock\0BAR\0",
        " \t DEVNAME \n=  mock \x0b\0",
        "DEVNAME=other\0DEVNAME=mock\0",
        "DEVNAME\0DEVNAME=mock\0",
    ] {
        let dev = server_of(init_out(), info);
        assert!(stat(&node("mock")).is_ok(), "{info:?}");
        assert_eq!(stat(&node("other")).map(drop), Err(ENOENT), "{info:?}");
        drop(dev);
    }
    let mut longest = b"DEVNAME=mock\0".to_vec();
    longest.resize(4096, 0);
    let dev = server_of(init_out(), longest);
    assert!(stat(&node("mock")).is_ok());
    drop(dev);
}

/// A slash in the name makes a directory of /dev.
fn a_name_with_a_directory() {
    let dev = server_of(init_out(), "DEVNAME=mockdir/mock\0");
    assert!(stat(&node("mockdir/mock")).is_ok());
    assert!(stat(&sysfs("mockdir!mock", "waiting")).is_ok());
    // It is the same name for sysfs.
    let other = server_of(init_out(), "DEVNAME=mockdir!mock\0");
    assert_eq!(other.read(1 << 17), Err(ENODEV));
    drop(dev);
    assert_eq!(stat(&node("mockdir/mock")).map(drop), Err(ENOENT));
}

/// A server that answers with an error, another protocol, or nonsense is refused, and there is no device.
fn answers_that_make_no_device() {
    let dev = open_server();
    dev.expect(CUSE_INIT).err(EIO);
    assert_refused(&dev, "an error");
    let good = "DEVNAME=mock\0";
    for (out, info) in [
        (
            CuseInitOut {
                major: 8,
                ..init_out()
            },
            good,
        ),
        (
            CuseInitOut {
                minor: 10,
                ..init_out()
            },
            good,
        ),
        (
            CuseInitOut {
                dev_major: 512,
                ..init_out()
            },
            good,
        ),
        (init_out(), ""),
        (init_out(), "\0"),
        (init_out(), "DEVNAME=mock"),
        (init_out(), "FOO=bar\0DEVNAME=mock"),
        (init_out(), "DEVNAME=\0"),
        (init_out(), "DEVNAME= \0"),
        (init_out(), "DEVNAME\0"),
        (init_out(), "DEVNAME=mock\0DEVNAME=\0"),
        (init_out(), "devname=mock\0"),
        (init_out(), "=mock\0"),
        (init_out(), "DEVNAME=mock\0 =\0"),
    ] {
        let dev = server_of(out, info);
        assert_refused(&dev, &format!("{out:?} {info:?}"));
    }
    // The name is still free.
    let _dev = server();
    assert!(stat(&node("mock")).is_ok());
}

/// What is wrong with what a server says of its device is in the kernel's log.
fn what_is_wrong_is_in_the_log() {
    for (info, said) in [
        ("DEVNAME=mock", "CUSE: info not properly terminated"),
        ("=x\0DEVNAME=mock", "CUSE: info not properly terminated"),
        ("=mock\0", "CUSE: zero length info key specified"),
        (
            " =mock\0DEVNAME=mock\0",
            "CUSE: zero length info key specified",
        ),
        ("\0", "CUSE: DEVNAME unspecified"),
        ("DEVNAME= \0", "CUSE: DEVNAME unspecified"),
        ("OTHER=1\0DEVNAME=\0", "CUSE: unknown device info \"OTHER\""),
    ] {
        let mut log = KernelLog::from_now();
        let dev = server_of(init_out(), info);
        assert_refused(&dev, info);
        let lines = log.lines();
        assert!(
            lines.iter().any(|line| line.ends_with(said)),
            "{info:?}: {lines:?}"
        );
    }
}

/// An answer that is too short or too long is refused, and the server with it.
fn answers_of_a_wrong_length() {
    let short = init_out().bytes()[..71].to_vec();
    let long = with_info(
        init_out(),
        [b"DEVNAME=mock\0".to_vec(), vec![0; 4084]].concat(),
    );
    assert_eq!(long.len(), 72 + 4097);
    for body in [vec![], short, long] {
        let dev = open_server();
        let r = dev.expect(CUSE_INIT);
        assert_eq!(r.try_reply(&body), Err(EINVAL), "{} bytes", body.len());
        assert_refused(&dev, &format!("{} bytes", body.len()));
    }
}

/// A number that does not exist is not cut to one that does.
fn numbers_that_there_are_not() {
    skip_on_c("the bits of a number that are too many become those of another");
    for (dev_major, dev_minor) in [(0, 240 << 20), (240, 1 << 20), (240 + 4096, 0), (!0, !0)] {
        let dev = server_of(
            CuseInitOut {
                dev_major,
                dev_minor,
                ..init_out()
            },
            "DEVNAME=mock\0",
        );
        assert_refused(&dev, &format!("{dev_major}:{dev_minor}"));
    }
}

/// A name that is too long for a file makes no device.
fn names_that_no_file_can_have() {
    let longest = "x".repeat(255);
    let dev = server_of(init_out(), format!("DEVNAME={longest}\0"));
    assert!(stat(&node(&longest)).is_ok());
    drop(dev);
    skip_on_c("the event about a device has no room for its name, which warns");
    for len in [256, 4087] {
        let dev = server_of(init_out(), format!("DEVNAME={}\0", "x".repeat(len)));
        assert_eq!(dev.read(1 << 17), Err(ENODEV), "{len} bytes");
    }
}

/// Who asks for a name that is there is refused; the device that has it stays.
fn a_name_is_taken_once() {
    let dev = server();
    let rdev = stat(&node("mock")).unwrap().rdev;
    let other = server();
    assert_eq!(other.read(1 << 17), Err(ENODEV));
    assert_eq!(stat(&node("mock")).unwrap().rdev, rdev);
    drop(other);
    assert_eq!(stat(&node("mock")).unwrap().rdev, rdev);
    let c = opened(&dev, |_| ());
    released(&dev);
    c.wait();
    let third = server_of(init_out(), "DEVNAME=mock2\0");
    assert!(stat(&node("mock2")).is_ok());
    drop((dev, third));
}

/// Who asks for a number that is taken is refused.
fn a_number_is_taken_once() {
    let asks = |dev_major, dev_minor, name: &str| {
        server_of(
            CuseInitOut {
                dev_major,
                dev_minor,
                ..init_out()
            },
            format!("DEVNAME={name}\0"),
        )
    };
    // That of /dev/null.
    assert_refused(&asks(1, 3, "mock"), "1:3");
    let _other = asks(240, 1, "mock2");
    assert_refused(&asks(240, 1, "mock"), "240:1");
    let _next = asks(240, 2, "mock");
    assert!(stat(&node("mock")).is_ok());
}

/// Open, read, write and close are OPEN, READ, WRITE and RELEASE of node 0, from 0 on.
fn an_open_file() {
    let dev = server();
    let c = Caller::start("", |_| {
        let fd = sys::open(&node("mock"), libc::O_RDWR).expect("open");
        let read = sys::read(fd, 100);
        let written = sys::write(fd, b"hello");
        close(fd).expect("close");
        (read, written)
    });
    let r = dev.expect(OPEN).node(0);
    let arg = r.arg::<OpenIn>();
    assert_eq!(arg.flags & libc::O_ACCMODE as u32, libc::O_RDWR as u32);
    assert_eq!(arg.open_flags, 0);
    assert_eq!((r.head.uid, r.head.pid), (0, c.pid as u32));
    let flags = arg.flags;
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });

    let r = dev.expect(READ).node(0);
    let arg = r.arg::<ReadIn>();
    assert_eq!((arg.fh, arg.offset, arg.size), (5, 0, 100));
    assert_eq!((arg.read_flags, arg.flags), (READ_LOCKOWNER, flags));
    assert_ne!(arg.lock_owner, 0);
    let owner = arg.lock_owner;
    r.reply(b"data");

    let r = dev.expect(WRITE).node(0);
    let arg = WriteIn::from_bytes(&r.body);
    assert_eq!((arg.fh, arg.offset, arg.size), (5, 0, 5));
    assert_eq!((arg.write_flags, arg.flags), (WRITE_LOCKOWNER, flags));
    assert_eq!(arg.lock_owner, owner);
    assert_eq!(&r.body[size_of::<WriteIn>()..], b"hello");
    r.ok(WriteOut {
        size: 3,
        padding: 0,
    });

    let r = dev.expect(RELEASE).node(0);
    let arg = r.arg::<ReleaseIn>();
    assert_eq!((arg.fh, arg.flags), (5, flags));
    assert_eq!((arg.release_flags, arg.lock_owner), (0, 0));
    r.reply(&[]);
    assert_eq!(c.wait(), (Ok(b"data".to_vec()), Ok(3)));
    dev.assert_quiet();
}

/// What only makes or empties a file is not told to the server.
fn flags_of_an_open() {
    let dev = server();
    let not_told = libc::O_CREAT | libc::O_NOCTTY | libc::O_TRUNC;
    let c = Caller::start("", move |_| {
        sys::open(&node("mock"), libc::O_WRONLY | libc::O_NONBLOCK | not_told)
            .map(|fd| close(fd).expect("close"))
    });
    let r = dev.expect(OPEN);
    let flags = r.arg::<OpenIn>().flags as i32;
    assert_eq!(flags & not_told, 0);
    assert_eq!(flags & libc::O_ACCMODE, libc::O_WRONLY);
    assert_ne!(flags & libc::O_NONBLOCK, 0);
    r.ok(OpenOut {
        fh: 5,
        open_flags: !0,
        ..Default::default()
    });
    released(&dev);
    assert_eq!(c.wait(), Ok(()));
}

/// An error of the server is that of the open, and nothing is to be released.
fn an_open_that_fails() {
    let dev = server();
    let c = Caller::start("", |_| sys::open(&node("mock"), libc::O_RDWR).map(drop));
    dev.expect(OPEN).err(EACCES);
    assert_eq!(c.wait(), Err(EACCES));
    dev.assert_quiet();
}

/// A server that lacks OPEN is asked once; every file has handle 0, and is not released.
fn a_server_without_open() {
    let dev = server();
    for asked in [true, false] {
        let c = Caller::start("", |_| {
            let fd = sys::open(&node("mock"), libc::O_RDWR).expect("open");
            let read = sys::read(fd, 1);
            close(fd).expect("close");
            read
        });
        if asked {
            dev.expect(OPEN).err(ENOSYS);
        }
        let r = dev.expect(READ);
        assert_eq!(r.arg::<ReadIn>().fh, 0);
        r.reply(b"x");
        assert_eq!(c.wait(), Ok(b"x".to_vec()));
        dev.assert_quiet();
    }
}

/// Who closes the device waits until the server knows.
fn close_waits_for_the_server() {
    let dev = server();
    let c = opened(&dev, |_| ());
    let r = dev.expect(RELEASE);
    c.until_asleep();
    c.stays_asleep();
    assert!(c.running());
    r.err(EIO);
    c.wait();
}

/// Every read and write begins at 0, whatever position it names; seeking leaves the position where it is.
fn there_is_no_position() {
    let dev = server();
    let c = opened(&dev, |fd| {
        let sought = [
            lseek(fd, 100, libc::SEEK_SET),
            lseek(fd, -5, libc::SEEK_CUR),
            lseek(fd, 0, libc::SEEK_END),
        ];
        (sought.to_vec(), pread(fd, 1, 4096), sys::read(fd, 1))
    });
    for _ in 0..2 {
        let r = dev.expect(READ);
        assert_eq!(r.arg::<ReadIn>().offset, 0);
        r.reply(b"x");
    }
    released(&dev);
    assert_eq!(
        c.wait(),
        (vec![Ok(0); 3], Ok(b"x".to_vec()), Ok(b"x".to_vec()))
    );
}

/// What is too long for one request comes in several, until one is answered short.
fn long_transfers_come_in_pieces() {
    let dev = server_of(
        CuseInitOut {
            max_read: 8192,
            max_write: 12288,
            ..init_out()
        },
        "DEVNAME=mock\0",
    );
    let c = opened(&dev, |fd| {
        let data: Vec<u8> = (0..30_000u32).map(|i| i as u8).collect();
        let read = pread_misaligned(fd, 30_000, 0, 8);
        (read, sys::write(fd, &data), sys::read(fd, 10_000))
    });
    let mut given: Vec<u8> = Vec::new();
    for (offset, size) in [(0, 8192), (8192, 8192), (16384, 8192), (24576, 5424)] {
        let r = dev.expect(READ);
        let arg = r.arg::<ReadIn>();
        assert_eq!((arg.offset, arg.size), (offset, size));
        let piece = vec![offset as u8 + (offset >> 8) as u8; size as usize];
        given.extend(&piece);
        r.reply(&piece);
    }
    let mut taken: Vec<u8> = Vec::new();
    for (offset, size) in [(0, 12288), (12288, 12288), (24576, 5424)] {
        let r = dev.expect(WRITE);
        let arg = WriteIn::from_bytes(&r.body);
        assert_eq!((arg.offset, arg.size), (offset, size));
        taken.extend(&r.body[size_of::<WriteIn>()..]);
        r.ok(WriteOut { size, padding: 0 });
    }
    assert_eq!(taken, (0..30_000u32).map(|i| i as u8).collect::<Vec<_>>());
    dev.expect(READ).reply(&[7; 100]);
    released(&dev);
    assert_eq!(c.wait(), (Ok(given), Ok(30_000), Ok(vec![7; 100])));
}

/// No server can have its reads and writes come in less than 4096 bytes.
fn limits_have_a_floor() {
    let dev = server_of(
        CuseInitOut {
            max_read: 1,
            max_write: 0,
            ..init_out()
        },
        "DEVNAME=mock\0",
    );
    let c = opened(&dev, |fd| (sys::read(fd, 5000), sys::write(fd, &[1; 5000])));
    for (offset, size) in [(0, 4096), (4096, 904)] {
        let r = dev.expect(READ);
        let arg = r.arg::<ReadIn>();
        assert_eq!((arg.offset, arg.size), (offset, size));
        r.reply(&vec![3; size as usize]);
    }
    for size in [4096, 904] {
        let r = dev.expect(WRITE);
        assert_eq!(WriteIn::from_bytes(&r.body).size, size);
        r.ok(WriteOut { size, padding: 0 });
    }
    released(&dev);
    assert_eq!(c.wait(), (Ok(vec![3; 5000]), Ok(5000)));
}

/// A server may read with the smallest buffer, whatever its largest write.
fn a_small_buffer_will_do() {
    let dev = server();
    let c = Caller::start("", |_| sys::open(&node("mock"), libc::O_RDWR).map(drop));
    while !dev.readable() {
        sleep_ms(1);
    }
    assert_eq!(dev.read(8191).map(drop), Err(EINVAL));
    dev.next_with(8192).err(EBUSY);
    assert_eq!(c.wait(), Err(EBUSY));
}

/// A write says by its flags how durable it has to be.
fn writes_say_how_durable() {
    let dev = server();
    let c = Caller::start("", |_| {
        let fd = sys::open(&node("mock"), libc::O_WRONLY | libc::O_SYNC).expect("open");
        let written = sys::write(fd, b"x");
        close(fd).expect("close");
        written
    });
    dev.expect(OPEN).ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let r = dev.expect(WRITE);
    let flags = WriteIn::from_bytes(&r.body).flags as i32;
    assert_eq!(flags & libc::O_SYNC, libc::O_SYNC);
    r.ok(WriteOut {
        size: 1,
        padding: 0,
    });
    released(&dev);
    assert_eq!(c.wait(), Ok(1));
}

/// A signal interrupts a read that the server has, as on a file.
fn an_interrupt() {
    let dev = server();
    let c = opened(&dev, |fd| {
        catch(libc::SIGUSR1);
        sys::read(fd, 1)
    });
    let r = dev.expect(READ);
    c.until_interruptible();
    c.signal(libc::SIGUSR1);
    let i = dev.expect(INTERRUPT);
    assert_eq!(i.arg::<InterruptIn>().unique, r.unique());
    r.err(EINTR);
    released(&dev);
    assert_eq!(c.wait(), Err(EINTR));
}

/// What is opened for somebody who is killed meanwhile is released.
fn a_killed_opener() {
    let dev = server();
    let mut c = Caller::start("", |_| sys::open(&node("mock"), libc::O_RDWR).map(drop));
    let r = dev.expect(OPEN);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    let i = dev.expect(INTERRUPT);
    assert_eq!(i.arg::<InterruptIn>().unique, r.unique());
    if is_rust() {
        // On C it waits for the answer.
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    }
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    released(&dev);
    soon(patience(), "the opener does not die", || c.is_gone());
}

/// The number of an ioctl, as `_IOC()` makes it.
const fn ioc(dir: u32, size: u32) -> u32 {
    (dir << 30) | (size << 16) | ((b'E' as u32) << 8) | 1
}

const CMD: u32 = ioc(3, 8);

/// IOCTL of handle 5 comes with these flags; returns it, its argument and its data.
#[track_caller]
fn expect_ioctl(dev: &Device, flags: u32, room: u32) -> (Request, u64, Vec<u8>) {
    let r = dev.expect(IOCTL).node(0);
    let arg = IoctlIn::from_bytes(&r.body);
    assert_eq!((arg.fh, arg.cmd, arg.flags), (5, CMD, flags));
    assert_eq!(arg.out_size, room, "room for the answer");
    let data = r.body[size_of::<IoctlIn>()..].to_vec();
    assert_eq!(arg.in_size as usize, data.len(), "length of the data");
    (r, arg.arg, data)
}

fn answer(result: i32, data: &[u8]) -> Vec<u8> {
    let head = IoctlOut {
        result,
        ..Default::default()
    };
    [&head.bytes(), data].concat()
}

/// An answer that asks for memory: so many pieces to read and to write, in a list.
fn retry(in_iovs: u32, out_iovs: u32, list: &[u8]) -> Vec<u8> {
    let head = IoctlOut {
        result: 0,
        flags: IOCTL_RETRY,
        in_iovs,
        out_iovs,
    };
    [&head.bytes(), list].concat()
}

fn iovecs(pieces: &[(u64, u64)]) -> Vec<u8> {
    pieces
        .iter()
        .flat_map(|&(base, len)| IoctlIovec { base, len }.bytes())
        .collect()
}

/// An ioctl on this memory of the caller; returns what it is afterwards.
fn on_memory(dev: &Device, memory: Vec<u8>) -> Caller<(Result<i32>, Vec<u8>)> {
    opened(dev, move |fd| {
        let mut memory = memory;
        let result = ioctl_number(fd, CMD, memory.as_mut_ptr() as usize);
        (result, memory)
    })
}

/// A server that did not accept unrestricted ioctls gets what the number says, and may not ask for more.
fn restricted_ioctls() {
    let dev = server_of(
        CuseInitOut {
            flags: 0,
            ..init_out()
        },
        "DEVNAME=mock\0",
    );
    let c = on_memory(&dev, b"hello world".to_vec());
    let (r, _, data) = expect_ioctl(&dev, 0, 8);
    assert_eq!(data, b"hello wo");
    r.reply(&answer(3, b"HELLO"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(3), b"HELLO world".to_vec()));

    let c = on_memory(&dev, vec![0; 8]);
    let (r, arg, _) = expect_ioctl(&dev, 0, 8);
    r.reply(&retry(1, 0, &iovecs(&[(arg, 8)])));
    released(&dev);
    assert_eq!(c.wait().0, Err(EIO));
}

/// An unrestricted ioctl says nothing but its number and argument, whatever the number means elsewhere.
fn unrestricted_ioctls_carry_nothing() {
    let dev = server();
    let c = opened(&dev, |fd| ioctl_number(fd, CMD, 0x1234_5678));
    let (r, arg, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    assert_eq!((arg, data), (0x1234_5678, vec![]));
    r.reply(&answer(-5, &[]));
    released(&dev);
    assert_eq!(c.wait(), Err(EIO));
}

/// The server gets the memory that it asks for, and writes where it said.
fn an_ioctl_that_asks() {
    let dev = server();
    let c = on_memory(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(
        2,
        2,
        &iovecs(&[(at + 6, 3), (at, 2), (at + 8, 2), (at + 1, 3)]),
    ));
    let (r, again, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 5);
    assert_eq!((again, &data[..]), (at, &b"67801"[..]));
    r.reply(&answer(7, b"abcde"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(7), b"0cde4567ab".to_vec()));

    // An answer may be shorter than the room for it.
    let c = on_memory(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(0, 2, &iovecs(&[(at, 2), (at + 8, 2)])));
    let (r, _, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 4);
    r.reply(&answer(0, b"abc"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(0), b"ab234567c9".to_vec()));
}

/// It can ask again, for what it has found there; each time it gets what it asked for last.
fn an_ioctl_that_asks_in_steps() {
    let dev = server();
    let c = opened(&dev, |fd| {
        let text = b"deep".to_vec();
        let place = [0u8; 4];
        let pointers = [text.as_ptr() as u64, place.as_ptr() as u64];
        let result = ioctl_number(fd, CMD, pointers.as_ptr() as usize);
        // SAFETY: the memory is there; the kernel has written to it.
        let place = unsafe { std::ptr::read_volatile(&place) };
        (result, place.to_vec())
    });
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(1, 0, &iovecs(&[(at, 16)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    let text = u64::from_ne_bytes(data[..8].try_into().unwrap());
    let place = u64::from_ne_bytes(data[8..].try_into().unwrap());
    r.reply(&retry(2, 1, &iovecs(&[(at, 16), (text, 4), (place, 4)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 4);
    assert_eq!(&data[16..], b"deep");
    r.reply(&retry(1, 1, &iovecs(&[(text + 2, 2), (place, 4)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 4);
    assert_eq!(data, b"ep");
    r.reply(&answer(0, b"done"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(0), b"done".to_vec()));
}

/// It can ask for something to read, and then no more for it.
fn asking_for_less() {
    skip_on_c("the memory of what was read before is sent in place of the arguments");
    let dev = server();
    let c = on_memory(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(1, 0, &iovecs(&[(at, 4)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    assert_eq!(data, b"0123");
    r.reply(&retry(0, 1, &iovecs(&[(at, 4)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 4);
    assert_eq!(data, []);
    r.reply(&retry(0, 0, &[]));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    assert_eq!(data, []);
    r.reply(&answer(1, &[]));
    released(&dev);
    assert_eq!(c.wait(), (Ok(1), b"0123456789".to_vec()));
}

/// 256 pieces may be asked for, of as many bytes as a request may carry; pieces of nothing count as well.
fn many_pieces() {
    const MAX: usize = 32 * 4096;
    let dev = server();
    let memory: Vec<u8> = (0..MAX).map(|i| (i / 512) as u8).collect();
    let c = on_memory(&dev, memory.clone());
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    let all: Vec<_> = (0..256).rev().map(|i| (at + i * 512, 512)).collect();
    r.reply(&retry(256, 0, &iovecs(&all)));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    assert_eq!(data, memory.iter().rev().copied().collect::<Vec<_>>());
    r.reply(&retry(1, 1, &iovecs(&[(at, 1), (at, MAX as u64)])));
    let (r, _, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, MAX as u32);
    r.reply(&answer(0, &vec![9; MAX]));
    released(&dev);
    assert_eq!(c.wait(), (Ok(0), vec![9; MAX]));

    let c = on_memory(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(2, 2, &iovecs(&[(1, 0), (at, 1), (1, 0), (at, 1)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 1);
    assert_eq!(data, b"0");
    r.reply(&answer(0, b"x"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(0), b"x123456789".to_vec()));
}

/// Asks for memory in this way; returns what the caller's ioctl returns.
fn asked(dev: &Device, in_iovs: u32, out_iovs: u32, list: &dyn Fn(u64) -> Vec<u8>) -> Result<i32> {
    let c = on_memory(dev, vec![0; 64]);
    let (r, at, _) = expect_ioctl(dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(in_iovs, out_iovs, &list(at)));
    released(dev);
    c.wait().0
}

/// More than 256 pieces, also by a sum that overflows, are ENOMEM.
fn asking_for_too_many_pieces() {
    let dev = server();
    for (in_iovs, out_iovs) in [(257, 0), (0, 257), (128, 129), (!0, 0), (1, !0), (!0, !0)] {
        let list = |at| iovecs(&[(at, 1); 255]);
        assert_eq!(
            asked(&dev, in_iovs, out_iovs, &list),
            Err(ENOMEM),
            "{in_iovs} and {out_iovs}"
        );
    }
}

/// More bytes than a request may carry, also by a sum that overflows, are ENOMEM; nothing is copied.
fn asking_for_too_much() {
    const MAX: u64 = 32 * 4096;
    let dev = server();
    for (in_iovs, out_iovs, lens) in [
        (1, 0, &[MAX + 1][..]),
        (0, 1, &[MAX + 1]),
        (2, 0, &[MAX, 1]),
        (0, 2, &[1, MAX]),
        (1, 0, &[u64::MAX]),
        (2, 0, &[u64::MAX, 2]),
        (0, 2, &[u64::MAX - 8, 16]),
        (1, 1, &[1, 1 << 32]),
    ] {
        let list = |at| iovecs(&lens.iter().map(|&len| (at, len)).collect::<Vec<_>>());
        assert_eq!(
            asked(&dev, in_iovs, out_iovs, &list),
            Err(ENOMEM),
            "{lens:?}"
        );
    }
}

/// A list that is not as long as its number of pieces is EIO.
fn asking_in_a_wrong_length() {
    let dev = server();
    for (count, len) in [(0, 16), (1, 0), (1, 8), (1, 15), (1, 17), (1, 32), (2, 16)] {
        let list = |at| {
            let mut list = iovecs(&[(at, 1); 3]);
            list.truncate(len);
            list
        };
        assert_eq!(asked(&dev, count, 0, &list), Err(EIO), "{count} in {len}");
    }
}

/// Memory that the caller does not have is EFAULT: before the server hears of it, or when it has answered.
fn asking_for_bad_memory() {
    let dev = server();
    for base in [8, u64::MAX - 7, 1 << 63] {
        assert_eq!(
            asked(&dev, 1, 0, &|_| iovecs(&[(base, 8)])),
            Err(EFAULT),
            "{base:#x}"
        );
    }
    assert_eq!(
        asked(&dev, 2, 0, &|at| iovecs(&[(at, 8), (8, 8)])),
        Err(EFAULT)
    );
    let c = on_memory(&dev, vec![0; 8]);
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(0, 2, &iovecs(&[(at, 4), (8, 8)])));
    let (r, _, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 12);
    r.reply(&answer(0, b"abcdefgh"));
    released(&dev);
    assert_eq!(c.wait().0, Err(EFAULT));
}

/// More data than was asked for is EIO, also if nothing was.
fn more_than_there_is_room_for() {
    let dev = server();
    let c = on_memory(&dev, vec![0; 8]);
    let (r, _, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&answer(0, b"x"));
    released(&dev);
    assert_eq!(c.wait(), (Err(EIO), vec![0; 8]));

    let c = on_memory(&dev, vec![0; 8]);
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(0, 1, &iovecs(&[(at, 4)])));
    let (r, _, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 4);
    r.reply(&answer(0, b"12345"));
    released(&dev);
    assert_eq!(c.wait(), (Err(EIO), vec![0; 8]));
}

/// As `on_memory`, from a 32-bit program.
fn on_memory_32(dev: &Device, memory: Vec<u8>) -> Caller<(Result<i32>, Vec<u8>)> {
    opened(dev, move |fd| {
        let mut memory = memory;
        let result = ioctl_on_32(fd, CMD, &mut memory);
        (result, memory)
    })
}

/// A 32-bit caller is told apart, and can be asked only for what it can have.
fn asking_a_32_bit_caller() {
    const FLAGS: u32 = IOCTL_UNRESTRICTED | IOCTL_COMPAT | IOCTL_32BIT;
    let dev = server();
    let c = on_memory_32(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, FLAGS, 0);
    assert!(at != 0 && at >> 32 == 0, "an address of 32 bits: {at:#x}");
    r.reply(&retry(1, 1, &iovecs(&[(at + 2, 3), (at, 2)])));
    let (r, _, data) = expect_ioctl(&dev, FLAGS, 2);
    assert_eq!(data, b"234");
    r.reply(&answer(1, b"ab"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(1), b"ab23456789".to_vec()));

    for bad in [(1 << 32, 1), ((1 << 32) | 4096, 0), (4096, 1 << 32)] {
        let c = on_memory_32(&dev, vec![0; 8]);
        let (r, _, _) = expect_ioctl(&dev, FLAGS, 0);
        r.reply(&retry(1, 0, &iovecs(&[bad])));
        released(&dev);
        assert_eq!(c.wait().0, Err(EIO), "{bad:x?}");
    }
}

/// Servers before 7.16 ask by the `struct iovec` of their word size, which nothing but the length tells; a 32-bit one
/// cannot ask for what a 64-bit caller has.
fn asking_as_old_servers_do() {
    const FLAGS: u32 = IOCTL_UNRESTRICTED | IOCTL_COMPAT | IOCTL_32BIT;
    let old = |base: u64, len: u32| [(base as u32).to_ne_bytes(), len.to_ne_bytes()].concat();
    let dev = server_of(
        CuseInitOut {
            minor: 15,
            ..init_out()
        },
        "DEVNAME=mock\0",
    );
    let c = on_memory(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    r.reply(&retry(1, 0, &iovecs(&[(at + 4, 4)])));
    let (r, _, data) = expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0);
    assert_eq!(data, b"4567");
    r.reply(&answer(0, &[]));
    released(&dev);
    assert_eq!(c.wait().0, Ok(0));

    let c = on_memory_32(&dev, b"0123456789".to_vec());
    let (r, at, _) = expect_ioctl(&dev, FLAGS, 0);
    r.reply(&retry(1, 1, &[old(at + 4, 4), old(at, 1)].concat()));
    let (r, _, data) = expect_ioctl(&dev, FLAGS, 1);
    assert_eq!(data, b"4567");
    r.reply(&answer(0, b"x"));
    released(&dev);
    assert_eq!(c.wait(), (Ok(0), b"x123456789".to_vec()));

    assert_eq!(asked(&dev, 1, 0, &|at| old(at, 4)), Err(EINVAL));
    assert_eq!(asked(&dev, 0, 0, &|_| vec![]), Err(EINVAL));
    assert_eq!(asked(&dev, 1, 0, &|_| vec![0; 12]), Err(EIO));
}

/// A server that knows no ioctls, or not this one, makes it ENOTTY.
fn ioctls_of_a_server_without_any() {
    let dev = server();
    let c = on_memory(&dev, vec![0; 8]);
    expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0).0.err(ENOSYS);
    released(&dev);
    assert_eq!(c.wait().0, Err(ENOTTY));
    let c = on_memory(&dev, vec![0; 8]);
    expect_ioctl(&dev, IOCTL_UNRESTRICTED, 0)
        .0
        .reply(&answer(-ENOSYS.0, &[]));
    released(&dev);
    assert_eq!(c.wait().0, Err(ENOTTY));
}

const NOTIFY_INVAL_INODE: i32 = 2;
const NOTIFY_POLL: i32 = 1;
const NOTIFY_RESEND: i32 = 7;
const NOTIFY_INC_EPOCH: i32 = 8;

/// Who polls the device waits until the server notifies, and it is asked again then.
fn polling() {
    let dev = server();
    let c = opened(&dev, |fd| {
        i32::from(sys::poll(fd, libc::POLLIN, patience()))
    });
    let r = dev.expect(POLL).node(0);
    let first = r.arg::<PollIn>();
    assert_eq!((first.fh, first.flags), (5, POLL_SCHEDULE_NOTIFY));
    r.ok(PollOut {
        revents: 0,
        padding: 0,
    });
    c.until_interruptible();
    assert_eq!(dev.reply(0, NOTIFY_POLL, &first.kh.to_ne_bytes()), Ok(()));
    let r = dev.expect(POLL);
    assert_eq!(r.arg::<PollIn>(), first);
    r.ok(PollOut {
        revents: libc::POLLIN as u32,
        padding: 0,
    });
    released(&dev);
    assert_eq!(c.wait(), libc::POLLIN.into());
}

/// When the server dies, whoever waits for it gets an error, and so does all that is done with an open file later; to
/// close it is safe. Pollers wake.
fn a_server_that_dies() {
    let dev = server();
    let reader = Caller::start("", |m| {
        let fd = sys::open(&node("mock"), libc::O_RDWR).expect("open");
        let aborted = sys::read(fd, 1).map(drop);
        m.pause();
        let polled = i32::from(sys::poll(fd, libc::POLLIN, patience()));
        let later = [
            sys::read(fd, 1).map(drop),
            sys::write(fd, b"x").map(drop),
            ioctl_number(fd, CMD, 0).map(drop),
        ];
        close(fd).expect("close");
        (aborted, polled, later.to_vec())
    });
    dev.expect(OPEN).ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let _read = dev.expect(READ);
    let poller = Caller::start("", |_| {
        let fd = sys::open(&node("mock"), libc::O_RDWR).expect("open");
        let polled = i32::from(sys::poll(fd, libc::POLLIN, patience()));
        close(fd).expect("close");
        polled
    });
    dev.expect(OPEN).ok(OpenOut {
        fh: 6,
        ..Default::default()
    });
    dev.expect(POLL).ok(PollOut {
        revents: 0,
        padding: 0,
    });
    reader.until_interruptible();
    poller.until_interruptible();
    drop(_read);
    drop(dev);
    reader.paused();
    assert_eq!(stat(&node("mock")).map(drop), Err(ENOENT));
    // Another server may have the name meanwhile; the old files do not reach it.
    let other = server();
    reader.go();
    assert_eq!(
        reader.wait(),
        (
            Err(ECONNABORTED),
            libc::POLLERR.into(),
            vec![Err(ENOTCONN); 3]
        )
    );
    assert_eq!(poller.wait(), libc::POLLERR.into());
    other.assert_quiet();
}

/// A node that outlives its device opens nothing, unless the number is given out again.
fn the_node_of_a_dead_server() {
    let asks = || {
        server_of(
            CuseInitOut {
                dev_major: 240,
                dev_minor: 3,
                ..init_out()
            },
            "DEVNAME=mock\0",
        )
    };
    let other = format!("{PLACE}/node");
    mknod_device(&other, libc::S_IFCHR | 0o600, libc::makedev(240, 3)).unwrap();
    let try_open = |dev: &Device| {
        let c = Caller::start("", |_| {
            sys::open(&other, libc::O_RDWR).map(|fd| close(fd).expect("close"))
        });
        dev.expect(OPEN).ok(OpenOut {
            fh: 5,
            ..Default::default()
        });
        released(dev);
        assert_eq!(c.wait(), Ok(()));
    };
    let dev = asks();
    try_open(&dev);
    drop(dev);
    assert_eq!(sys::open(&other, libc::O_RDWR), Err(ENXIO));
    let dev = asks();
    try_open(&dev);
}

/// `waiting` counts the requests that have not ended.
fn waiting_counts_requests() {
    let waiting = || std::fs::read_to_string(sysfs("mock", "waiting")).unwrap();
    let dev = server();
    assert_eq!(waiting(), "0\n");
    let c = opened(&dev, |fd| sys::read(fd, 1));
    let r = dev.expect(READ);
    assert_eq!(waiting(), "1\n");
    r.reply(b"x");
    let r = dev.expect(RELEASE);
    assert_eq!(waiting(), "1\n");
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(b"x".to_vec()));
    assert_eq!(waiting(), "0\n");
    assert!(std::fs::write(sysfs("mock", "waiting"), "1").is_err());
}

/// Whatever is written to `abort` ends the connection; the device is there until its server goes, and opens no more.
fn abort_ends_the_connection() {
    let dev = server();
    let c = opened(&dev, |fd| sys::read(fd, 1));
    let _r = dev.expect(READ);
    std::fs::write(sysfs("mock", "abort"), "nonsense").unwrap();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(dev.read(1 << 17), Err(ENODEV));
    assert_eq!(sys::open(&node("mock"), libc::O_RDWR), Err(ENOTCONN));
    assert_eq!(
        std::fs::read_to_string(sysfs("mock", "waiting")).unwrap(),
        "0\n"
    );
    std::fs::write(sysfs("mock", "abort"), "again").unwrap();
    drop(_r);
    drop(dev);
    assert_eq!(stat(&node("mock")).map(drop), Err(ENOENT));
}

/// There are no nodes that a notification could be about; those about the connection are heard.
fn notifications_find_no_nodes() {
    let dev = server();
    let inode = [1u64.to_ne_bytes(), [0; 8], [0; 8]].concat();
    assert_eq!(dev.reply(0, NOTIFY_INVAL_INODE, &inode), Err(ENOENT));
    assert_eq!(dev.reply(0, NOTIFY_INC_EPOCH, &[]), Ok(()));
    let c = opened(&dev, |fd| sys::read(fd, 1));
    let first = dev.expect(READ);
    assert_eq!(dev.reply(0, NOTIFY_RESEND, &[]), Ok(()));
    let again = dev.expect(READ);
    assert_eq!(again.unique(), first.unique() | (1 << 63));
    again.reply(b"x");
    released(&dev);
    assert_eq!(c.wait(), Ok(b"x".to_vec()));
}

/// A server's end cannot be cloned, and is none of a mount.
fn no_clones_and_no_mounts() {
    const CLONE: u64 = 0x8004_e500;
    let dev = server();
    assert_eq!(ioctl_int(open_server().fd(), CLONE, dev.fd()), Err(ENOTTY));
    assert_eq!(ioctl_int(Device::open().fd(), CLONE, dev.fd()), Err(EINVAL));
    let dir = mount_point();
    let data = Setup::new().data(dev.fd());
    assert_eq!(mount("mock", &dir, "fuse", 0, &data), Err(EINVAL));
}

/// Whoever hears of the device can open it: there is one event when it comes, and one when it goes.
fn an_event_says_when_it_is_there() {
    let events = Uevents::new();
    let dev = server();
    let heard = events.of("cuse");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].starts_with("add@/devices/virtual/cuse/mock"),
        "{heard:?}"
    );
    assert!(heard[0].contains("DEVNAME=mock"), "{heard:?}");
    drop(dev);
    let heard = events.of("cuse");
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert!(
        heard[0].starts_with("remove@/devices/virtual/cuse/mock"),
        "{heard:?}"
    );
    // Who is refused is not heard of.
    drop(server_of(init_out(), "FOO=bar\0"));
    assert_eq!(events.of("cuse"), Vec::<String>::new());
}

/// A server may come and go at any time, with CUSE_INIT unread, read, answered, or refused; nothing stays.
fn opened_and_closed_often() {
    for i in 0..100 {
        let dev = open_server();
        match i % 4 {
            0 => (),
            1 => drop(dev.expect(CUSE_INIT)),
            2 => dev.expect(CUSE_INIT).err(EPROTO),
            _ => {
                dev.expect(CUSE_INIT).reply(&answer_to_init());
                let c = opened(&dev, |_| ());
                released(&dev);
                c.wait();
            }
        }
    }
    assert_eq!(stat(&node("mock")).map(drop), Err(ENOENT));
}
