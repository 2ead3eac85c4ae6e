// SPDX-License-Identifier: GPL-2.0

//! fusectl: each connection has a directory, in which its owner looks after it.

use crate::mockd::*;

crate::tests![
    is_a_type_of_its_own,
    a_directory_for_each_connection,
    owner_and_permissions,
    waiting_counts_requests,
    waiting_is_steady_for_one_reader,
    abort_ends_the_connection,
    abort_error,
    abort_without_abort_error,
    last_abort_decides,
    files_of_a_connection_that_is_gone,
    limits_are_numbers,
    max_background_of_init,
];

const SUPER_MAGIC: i64 = 0x65735543;

/// fusectl, mounted for a test.
pub struct Control(String);

impl Control {
    pub fn new() -> Self {
        let dir = mount_point();
        mount("ctl", &dir, "fusectl", 0, "").expect("mount of fusectl");
        Control(dir)
    }

    /// Where it is.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// The path of a file of this connection.
    pub fn file(&self, fs: &Fs, name: &str) -> String {
        format!("{}/{}/{name}", self.0, number(fs))
    }

    /// What a file of this connection says.
    pub fn get(&self, fs: &Fs, name: &str) -> Result<String> {
        let fd = open(&self.file(fs, name), libc::O_RDONLY)?;
        let text = read(fd, 100);
        close(fd)?;
        text.map(|t| String::from_utf8(t).unwrap())
    }

    /// Writes to a file of this connection.
    pub fn set(&self, fs: &Fs, name: &str, text: &str) -> Result<usize> {
        let fd = open(&self.file(fs, name), libc::O_WRONLY)?;
        let written = write(fd, text.as_bytes());
        close(fd)?;
        written
    }

    pub fn has(&self, number: u32) -> bool {
        stat(&format!("{}/{number}", self.0)).is_ok()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            umount(&self.0, 0).expect("umount of fusectl");
        }
    }
}

/// The device number of a mount, as the kernel counts: without a request to its server.
fn number(fs: &Fs) -> u32 {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = mounts
        .lines()
        .find(|l| l.split(' ').nth(4) == Some(&fs.dir))
        .expect("the mount is listed");
    let (major, minor) = line.split(' ').nth(2).unwrap().split_once(':').unwrap();
    (major.parse::<u32>().unwrap() << 20) | minor.parse::<u32>().unwrap()
}

/// fusectl says what it is, and has a place in sysfs to be mounted on.
fn is_a_type_of_its_own() {
    let ctl = Control::new();
    assert_eq!(statfs(&ctl.0).unwrap().kind, SUPER_MAGIC);
    assert_eq!(stat(&ctl.0).unwrap().mode, libc::S_IFDIR | 0o755);
    let types = std::fs::read_to_string("/proc/filesystems").unwrap();
    assert!(types.lines().any(|l| l == "nodev\tfusectl"), "{types}");
    if stat("/sys/fs").is_err() {
        let _ = mount("sysfs", "/sys", "sysfs", 0, "");
    }
    assert!(stat("/sys/fs/fuse/connections").is_ok());
}

/// A connection has a directory from its mount to its unmount, whether fusectl was mounted before it or after.
fn a_directory_for_each_connection() {
    let mut early = Fs::new();
    let ctl = Control::new();
    let late = Setup::new().mount();
    let (a, b) = (number(&early), number(&late));
    assert!(ctl.has(a) && ctl.has(b));
    early.unmount();
    assert!(!ctl.has(a) && ctl.has(b));
    late.expect(INIT).ok(late.setup.init_out());
    drop(late);
    assert!(!ctl.has(b));
}

/// Directory and files belong to the user and group of the mount, and nobody else may use them.
fn owner_and_permissions() {
    let ctl = Control::new();
    let fs = Setup::new().owner(1000, 1001).start();
    let modes = [
        ("", libc::S_IFDIR | 0o500),
        ("waiting", libc::S_IFREG | 0o400),
        ("abort", libc::S_IFREG | 0o200),
        ("max_background", libc::S_IFREG | 0o600),
        ("congestion_threshold", libc::S_IFREG | 0o600),
    ];
    // Their own tests are in requests.rs and latency.rs.
    for name in ["requests", "latency"] {
        assert_eq!(stat(&ctl.file(&fs, name)).is_ok(), is_rust(), "{name}");
    }
    for (name, mode) in modes {
        let s = stat(&ctl.file(&fs, name)).unwrap();
        assert_eq!((s.mode, s.uid, s.gid), (mode, 1000, 1001), "{name}");
    }
    assert_eq!(stat(&ctl.file(&fs, "other")).err(), Some(ENOENT));
    let waiting = ctl.file(&fs, "waiting");
    let other = fs.call_quietly(|_| {
        become_user(1002, 1001);
        open(&waiting, libc::O_RDONLY).map(drop)
    });
    assert_eq!(other, Err(EACCES));
    let owner = fs.call_quietly(|_| {
        become_user(1000, 1001);
        open(&waiting, libc::O_RDONLY).and_then(|fd| read(fd, 100))
    });
    assert_eq!(owner, Ok(b"0\n".to_vec()));
}

/// waiting tells how many requests have not ended, INIT and callers that wait for it included.
fn waiting_counts_requests() {
    let ctl = Control::new();
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).mount();
    assert_eq!(ctl.get(&fs, "waiting"), Ok("1\n".into()));
    let a = fs.call(|m| m.stat("a").map(drop));
    a.until_uninterruptible();
    assert_eq!(ctl.get(&fs, "waiting"), Ok("2\n".into()));
    fs.expect(INIT).ok(fs.setup.init_out());
    let r = fs.expect_lookup(ROOT, "a");
    let b = fs.call(|m| m.stat("b").map(drop));
    b.until_interruptible();
    assert_eq!(ctl.get(&fs, "waiting"), Ok("2\n".into()));
    r.err(ENOENT);
    assert_eq!(a.wait(), Err(ENOENT));
    assert_eq!(ctl.get(&fs, "waiting"), Ok("1\n".into()));
    fs.expect_lookup(ROOT, "b").err(ENOENT);
    assert_eq!(b.wait(), Err(ENOENT));
    assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
}

/// Who reads waiting in pieces gets the pieces of one number.
fn waiting_is_steady_for_one_reader() {
    let ctl = Control::new();
    let fs = Fs::new();
    let fd = open(&ctl.file(&fs, "waiting"), libc::O_RDONLY).unwrap();
    assert_eq!(read(fd, 1), Ok(b"0".to_vec()));
    assert_eq!(read(fd, 10), Ok(b"\n".to_vec()));
    assert_eq!(read(fd, 10), Ok(vec![]));
    assert_eq!(pread(fd, 10, 0), Err(ESPIPE));
    assert_eq!(lseek(fd, 0, libc::SEEK_SET), Err(ESPIPE));
    close(fd).unwrap();
}

/// Whatever is written to abort ends every request; the mount stays, and says ENOTCONN.
fn abort_ends_the_connection() {
    let ctl = Control::new();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    assert_eq!(ctl.set(&fs, "abort", "?"), Ok(1));
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(r.try_reply(&file(2).entry().bytes()), Err(ENOENT));
    assert_eq!(fs.call(|m| m.stat("f").map(drop)).wait(), Err(ENOTCONN));
    assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
    // Once more changes nothing.
    assert_eq!(ctl.set(&fs, "abort", "1\n"), Ok(2));
    close_quietly(fs);
}

/// A server that asked for ABORT_ERROR reads ECONNABORTED after an abort by fusectl.
fn abort_error() {
    let ctl = Control::new();
    let fs = Setup::new().flags(init::ABORT_ERROR).start();
    ctl.set(&fs, "abort", "1").unwrap();
    assert_eq!(fs.dev().read(1 << 17), Err(ECONNABORTED));
    close_quietly(fs);
}

/// One that did not reads ENODEV.
fn abort_without_abort_error() {
    let ctl = Control::new();
    let fs = Fs::new();
    ctl.set(&fs, "abort", "1").unwrap();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    close_quietly(fs);
}

/// Of several aborts the last one says what the device reads: ECONNABORTED by fusectl, ENODEV by an unmount.
fn last_abort_decides() {
    let ctl = Control::new();
    let mut fs = Setup::new().flags(init::ABORT_ERROR).start();
    // The mount is busy, so that it outlives a forced unmount.
    let busy = open(&fs.dir, libc::O_PATH).unwrap();
    for _ in 0..2 {
        ctl.set(&fs, "abort", "1").unwrap();
        assert_eq!(fs.dev().read(1 << 17), Err(ECONNABORTED));
        assert_eq!(umount(&fs.dir, libc::MNT_FORCE), Err(EBUSY));
        assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    }
    ctl.set(&fs, "abort", "1").unwrap();
    assert_eq!(fs.dev().read(1 << 17), Err(ECONNABORTED));
    close(busy).unwrap();
    fs.unmount();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
}

/// Unmounts a file system whose connection was aborted.
fn close_quietly(mut fs: Fs) {
    fs.die();
    fs.unmount();
}

/// Open files of a connection that is gone are empty, and take what would have been right.
fn files_of_a_connection_that_is_gone() {
    let ctl = Control::new();
    let mut fs = Fs::new();
    let path = |name| ctl.file(&fs, name);
    let waiting = open(&path("waiting"), libc::O_RDONLY).unwrap();
    let max = open(&path("max_background"), libc::O_RDWR).unwrap();
    let abort = open(&path("abort"), libc::O_WRONLY).unwrap();
    fs.unmount();
    assert_eq!(read(waiting, 10), Ok(vec![]));
    assert_eq!(read(max, 10), Ok(vec![]));
    assert_eq!(write(max, b"12"), Ok(2));
    assert_eq!(write(max, b"x"), Err(EINVAL));
    assert_eq!(write(abort, b"1"), Ok(1));
    for fd in [waiting, max, abort] {
        close(fd).unwrap();
    }
}

/// max_background and congestion_threshold are numbers of 16 bits: 12 and 9 unless somebody says otherwise.
fn limits_are_numbers() {
    let ctl = Control::new();
    let fs = Fs::new();
    assert_eq!(ctl.get(&fs, "max_background"), Ok("12\n".into()));
    assert_eq!(ctl.get(&fs, "congestion_threshold"), Ok("9\n".into()));
    for name in ["max_background", "congestion_threshold"] {
        for (text, value) in [
            ("65535\n", "65535\n"),
            ("0x10", "16\n"),
            ("0", "0\n"),
            ("010\n", "8\n"),
        ] {
            assert_eq!(ctl.set(&fs, name, text), Ok(text.len()), "{name} {text:?}");
            assert_eq!(ctl.get(&fs, name), Ok(value.into()));
        }
        for text in ["65536", "-1", "", "x", "1 2", "4294967296"] {
            assert_eq!(ctl.set(&fs, name, text), Err(EINVAL), "{name} {text:?}");
        }
        assert_eq!(ctl.set(&fs, name, "18446744073709551616"), Err(ERANGE));
        assert_eq!(ctl.get(&fs, name), Ok("8\n".into()));
        let fd = open(&ctl.file(&fs, name), libc::O_RDWR).unwrap();
        read(fd, 1).unwrap();
        assert_eq!(write(fd, b"1"), Err(EINVAL), "not at the beginning");
        close(fd).unwrap();
    }
}

/// What the server says at INIT is what is shown.
fn max_background_of_init() {
    let ctl = Control::new();
    let fs = Setup::new()
        .init(|i| (i.max_background, i.congestion_threshold) = (65000, 64000))
        .start();
    assert_eq!(ctl.get(&fs, "max_background"), Ok("65000\n".into()));
    assert_eq!(ctl.get(&fs, "congestion_threshold"), Ok("64000\n".into()));
}
