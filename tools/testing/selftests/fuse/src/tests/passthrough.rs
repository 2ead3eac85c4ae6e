// SPDX-License-Identifier: GPL-2.0

//! Passthrough: what is read, written, spliced and mapped of a file goes to one that the server has registered.
//!
//! The mock server answers what a test expects and nothing else, so each test shows that there is no READ and no WRITE.

use crate::mockd::*;
use std::os::fd::AsRawFd;

crate::tests![
    who_may_register,
    what_can_be_registered,
    what_can_be_taken_back,
    registered_before_the_mount,
    ids_are_used_again_late,
    what_init_must_say,
    stacked_too_deep,
    stacked_twice,
    stacked_twice_and_written,
    read_sends_nothing,
    read_makes_the_access_time_stale,
    write_goes_to_the_backing_file,
    write_makes_the_file_longer,
    append,
    write_that_fails,
    direct_reads_and_writes,
    callers_that_do_not_wait,
    rings,
    splice_out_and_in,
    copy_through_the_kernel,
    mapping_for_reading,
    mapping_for_writing,
    mapping_outlives_the_file,
    direct_io_goes_to_the_server,
    direct_io_is_mapped_from_the_backing_file,
    flags_that_do_not_go_together,
    flags_that_go_together,
    ids_that_are_none,
    not_agreed_on,
    directory_has_no_backing_file,
    created_file,
    file_without_a_name,
    truncated_by_open,
    cached_file_excludes_it,
    it_excludes_cached_and_direct_files,
    waiting_cached_open_is_told,
    mapped_direct_file_excludes_it,
    direct_file_cannot_be_mapped_meanwhile,
    one_backing_file_at_a_time,
    taken_back_while_open,
    rights_are_the_server_s,
    rights_to_write_are_the_server_s,
    other_requests_go_to_the_server,
    killed_opener_leaves_nothing,
    server_dies,
    connection_ends,
    closed_while_a_request_is_out,
];

const IOC_BACKING_OPEN: u32 = 0x4010_e501;
const IOC_BACKING_CLOSE: u32 = 0x4004_e502;

const PASS: u32 = FOPEN_PASSTHROUGH;
const RD: i32 = libc::O_RDONLY;
const RW: i32 = libc::O_RDWR;
const PAGE: usize = 4096;

/// A file system that backing files are on.
struct Place(String);

impl Place {
    fn new() -> Self {
        let dir = mount_point();
        sys::mount("backing", &dir, "tmpfs", 0, "mode=755").expect("tmpfs");
        Place(dir)
    }

    /// A new file there.
    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = format!("{}/{name}", self.0);
        std::fs::write(&path, content).expect("a backing file");
        path
    }

    /// Unmounts it as soon as nobody uses it.
    #[track_caller]
    fn unmount(self) {
        soon(patience(), "somebody uses the backing file", || {
            sys::umount(&self.0, 0).is_ok()
        });
    }

    /// Checks that it is in use.
    #[track_caller]
    fn in_use(&self) {
        sleep_ms(50);
        assert_eq!(sys::umount(&self.0, 0), Err(EBUSY));
    }
}

fn setup() -> Setup {
    Setup::new()
        .flags(init::PASSTHROUGH)
        .init(|out| out.max_stack_depth = 1)
}

/// Mounts for passthrough. The server has no extended attributes, so that no write asks for any.
fn start(setup: Setup) -> Fs {
    let fs = setup.start();
    let c = fs.call(|m| sys::getxattr(&m.path(""), "user.none").map(drop));
    fs.expect(GETXATTR).err(ENOSYS);
    assert_eq!(c.wait(), Err(EOPNOTSUPP));
    fs
}

fn map(fd: i32, flags: u32, padding: u64) -> [u8; 16] {
    let mut map = [0; 16];
    map[..4].copy_from_slice(&fd.to_ne_bytes());
    map[4..8].copy_from_slice(&flags.to_ne_bytes());
    map[8..].copy_from_slice(&padding.to_ne_bytes());
    map
}

fn register_fd(device: i32, fd: i32) -> Result<i32> {
    sys::ioctl_on(device, IOC_BACKING_OPEN, &mut map(fd, 0, 0))
}

/// Registers the file at `path`, which is only open as long.
fn register(fs: &Fs, path: &str) -> i32 {
    let fd = sys::open(path, RW).expect("a backing file");
    let id = register_fd(fs.dev().fd(), fd).expect("an id");
    close(fd).unwrap();
    id
}

fn take_back_by(device: i32, id: i32) -> Result<i32> {
    sys::ioctl_on(device, IOC_BACKING_CLOSE, &mut id.to_ne_bytes())
}

fn take_back(fs: &Fs, id: i32) -> Result<i32> {
    take_back_by(fs.dev().fd(), id)
}

/// OPEN of node 2 comes and is answered with handle `fh`, FOPEN flags and the id of a backing file.
#[track_caller]
fn open_with(fs: &Fs, fh: u64, open_flags: u32, backing_id: i32) {
    fs.expect(OPEN).node(2).ok(OpenOut {
        fh,
        open_flags,
        backing_id,
    });
}

/// A mount with one file "f", `size` long by its server's word, that a caller opens with `flags` to do something with it,
/// passed through to a file with this content. Returns what came of it, and what the backing file has then.
#[track_caller]
fn passed_through<T: Ship>(
    content: &[u8],
    flags: i32,
    with: impl FnOnce(&Side, i32) -> T,
) -> (T, Vec<u8>) {
    let place = Place::new();
    let path = place.file("b", content);
    let mut fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, flags, with);
    fs.lookup(ROOT, "f", file(2).size(content.len() as u64));
    open_with(&fs, 5, PASS, id);
    fs.flush_and_release(2, 5);
    let result = c.wait();
    let content = std::fs::read(&path).unwrap();
    fs.unmount_when_free();
    fs.die();
    place.unmount();
    (result, content)
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 3 + i / 4096) as u8).collect()
}

/// Backing files are for administrators, and for connections that have agreed on them: EPERM.
fn who_may_register() {
    let place = Place::new();
    let path = place.file("b", b"x");
    let fd = sys::open(&path, RD).unwrap();

    let fs = Fs::new();
    assert_eq!(register_fd(fs.dev().fd(), fd), Err(EPERM));
    assert_eq!(take_back(&fs, 1), Err(EPERM));
    // Who may not do it is not told what else is wrong.
    assert_eq!(register_fd(fs.dev().fd(), -1), Err(EPERM));

    let fs = setup().start();
    let device = fs.dev().fd();
    let id = register_fd(device, fd).unwrap();
    let c = Caller::start_with_devices(&fs.dir, move |_| {
        sys::become_user(1000, 1000);
        (register_fd(device, fd), take_back_by(device, id))
    });
    assert_eq!(c.wait(), (Err(EPERM), Err(EPERM)));
    assert_eq!(take_back(&fs, id), Ok(0));
}

/// Only a regular file can be registered, by any descriptor of it; what is not understood is EINVAL.
fn what_can_be_registered() {
    let place = Place::new();
    let path = place.file("b", b"x");
    let link = format!("{path}-link");
    sys::symlink("b", &link).unwrap();
    let fs = setup().start();
    let device = fs.dev().fd();
    let by = |path: &str, flags| {
        let fd = sys::open(path, flags).unwrap();
        let result = register_fd(device, fd);
        close(fd).unwrap();
        result
    };
    assert_eq!(register_fd(device, -1), Err(EBADF));
    assert_eq!(register_fd(device, 1 << 20), Err(EBADF));
    assert_eq!(by(&place.0, RD), Err(EISDIR));
    assert_eq!(by("/dev/null", RD), Err(EINVAL));
    assert_eq!(by(&link, libc::O_PATH | libc::O_NOFOLLOW), Err(EINVAL));
    let (out, into) = sys::pipe();
    assert_eq!(register_fd(device, out.as_raw_fd()), Err(EINVAL));
    assert_eq!(register_fd(device, into.as_raw_fd()), Err(EINVAL));
    assert_eq!(register_fd(device, device), Err(EINVAL));

    let fd = sys::open(&path, RD).unwrap();
    for mut bad in [map(fd, 1, 0), map(fd, 1 << 31, 0), map(fd, 0, 1)] {
        assert_eq!(
            sys::ioctl_on(device, IOC_BACKING_OPEN, &mut bad),
            Err(EINVAL)
        );
    }
    assert_eq!(sys::ioctl_number(device, IOC_BACKING_OPEN, 8), Err(EFAULT));

    assert_eq!(by(&path, RD), Ok(1));
    assert_eq!(by(&path, libc::O_WRONLY), Ok(2));
    assert_eq!(by(&path, libc::O_PATH), Ok(3));
}

/// Only what is registered can be taken back, once.
fn what_can_be_taken_back() {
    let place = Place::new();
    let path = place.file("b", b"x");
    let fs = setup().start();
    let id = register(&fs, &path);
    assert_eq!(take_back(&fs, 0), Err(EINVAL));
    assert_eq!(take_back(&fs, -id), Err(EINVAL));
    assert_eq!(take_back(&fs, id + 1), Err(ENOENT));
    assert_eq!(
        sys::ioctl_number(fs.dev().fd(), IOC_BACKING_CLOSE, 8),
        Err(EFAULT)
    );
    assert_eq!(take_back(&fs, id), Ok(0));
    assert_eq!(take_back(&fs, id), Err(ENOENT));
    place.unmount();
}

/// A device that serves nobody has no backing files: EPERM.
fn registered_before_the_mount() {
    let dev = Device::open();
    assert_eq!(register_fd(dev.fd(), 0), Err(EPERM));
    assert_eq!(take_back_by(dev.fd(), 1), Err(EPERM));
}

/// Ids count up, so that one that was taken back does not soon mean another file.
fn ids_are_used_again_late() {
    let place = Place::new();
    let path = place.file("b", b"x");
    let fs = setup().start();
    let ids: Vec<_> = (0..5).map(|_| register(&fs, &path)).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    for id in [2, 5, 1] {
        take_back(&fs, id).unwrap();
    }
    assert_eq!(register(&fs, &path), 6);
    assert_eq!(take_back(&fs, 2), Err(ENOENT));
    // Another connection has its own.
    let other = setup().start();
    assert_eq!(register(&other, &path), 1);
}

/// INIT has to say how deep the mount is stacked, within the limits of the kernel; and it does not go with write-back.
fn what_init_must_say() {
    let place = Place::new();
    let fd = sys::open(&place.file("b", b"x"), RD).unwrap();
    let agreed = |setup: Setup| register_fd(setup.start().dev().fd(), fd);
    let deep = |depth| {
        Setup::new()
            .flags(init::PASSTHROUGH)
            .init(|out| out.max_stack_depth = depth)
    };
    for depth in [0, 3, u32::MAX, 1 << 31] {
        assert_eq!(agreed(deep(depth)), Err(EPERM), "depth {depth}");
    }
    for depth in [1, 2] {
        assert_eq!(agreed(deep(depth)), Ok(1), "depth {depth}");
        let both = deep(depth).flags(init::WRITEBACK_CACHE);
        assert_eq!(agreed(both), Err(EPERM), "depth {depth} with write-back");
    }
    // The depth alone says nothing.
    let depth_alone = Setup::new()
        .flags(init::BIG_WRITES)
        .init(|out| out.max_stack_depth = 1);
    assert_eq!(agreed(depth_alone), Err(EPERM));
}

/// A descriptor of the file "f" of `fs` that is good for nothing but to be registered.
fn path_in(fs: &Fs, node: Node) -> i32 {
    let c = fs.call(|m| {
        let fd = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        m.pause();
        close(fd).unwrap();
        let _ = fd;
    });
    fs.lookup(ROOT, "f", node);
    c.paused();
    let fds = format!("/proc/{}/fd", c.pid);
    let f = format!("{}/f", fs.dir);
    let found = std::fs::read_dir(&fds).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        (std::fs::read_link(&path).ok()?.to_str()? == f).then(|| path.to_str().unwrap().to_string())
    });
    let fd = sys::open(&found.expect("the descriptor"), libc::O_PATH).unwrap();
    c.go();
    c.wait();
    fd
}

/// A file whose file system is stacked as deep as this one cannot stand behind it: ELOOP. Its own files never can.
fn stacked_too_deep() {
    let plain = Fs::new();
    let in_plain = path_in(&plain, file(2));
    let one = setup().start();
    let in_one = path_in(&one, file(2));
    let two = setup().init(|out| out.max_stack_depth = 2).start();
    let in_two = path_in(&two, file(2));

    let by = |fs: &Fs, fd| register_fd(fs.dev().fd(), fd);
    assert_eq!(by(&one, in_plain), Ok(1));
    assert_eq!(by(&one, in_one), Err(ELOOP));
    assert_eq!(by(&one, in_two), Err(ELOOP));
    assert_eq!(by(&two, in_plain), Ok(1));
    assert_eq!(by(&two, in_one), Ok(2));
    assert_eq!(by(&two, in_two), Err(ELOOP));
    for fd in [in_plain, in_one, in_two] {
        close(fd).unwrap();
    }
    // What they have registered of each other goes with their connections.
    for mut fs in [two, one, plain] {
        fs.unmount_when_free();
        fs.die();
    }
}

/// Opens "f" of one mount, which is passed through to "f" of another, which is passed through to a file. Returns what
/// came of `with`, and what that file has then.
fn stacked<T: Ship>(content: &[u8], with: impl FnOnce(&Side, i32) -> T) -> (T, Vec<u8>) {
    let place = Place::new();
    let path = place.file("b", content);
    let node = file(2).size(content.len() as u64);
    let lower = start(setup());
    let lower_id = register(&lower, &path);
    let upper = start(setup().init(|out| out.max_stack_depth = 2));
    let fd = path_in(&lower, node);
    let upper_id = register_fd(upper.dev().fd(), fd).unwrap();
    close(fd).unwrap();

    let c = with_open(&upper, RW, with);
    upper.lookup(ROOT, "f", node);
    open_with(&upper, 5, PASS, upper_id);
    // The open of the backing file is one of the lower mount.
    open_with(&lower, 6, PASS, lower_id);
    upper.flush_and_release(2, 5);
    lower.release(2, 6);
    let result = c.wait();
    let content = std::fs::read(&path).unwrap();
    for mut fs in [upper, lower] {
        fs.unmount_when_free();
        fs.die();
    }
    place.unmount();
    (result, content)
}

/// A file that is passed through can stand behind another: a read goes all the way down, and a mapping is one of there.
fn stacked_twice() {
    let (seen, _) = stacked(b"at the bottom", |_, f| {
        let map = Map::shared(f, PAGE).unwrap();
        (sys::read(f, 100).unwrap(), map.load(0, 6))
    });
    assert_eq!(seen, (b"at the bottom".to_vec(), b"at the".to_vec()));
}

/// So does a write, which makes the files on the way longer; the locks of one mount are inside those of the other.
fn stacked_twice_and_written() {
    let (size, content) = stacked(b"0123", |m, f| {
        pwrite(f, b"written", 2).unwrap();
        let (out, into) = sys::pipe();
        sys::write(into.as_raw_fd(), b"spliced").unwrap();
        sys::lseek(f, 9, libc::SEEK_SET).unwrap();
        assert_eq!(splice(out.as_raw_fd(), f, 7), Ok(7));
        sys::statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap()
    });
    assert_eq!(content, b"01writtenspliced");
    assert_eq!(size, 16);
}

/// A read has the bytes of the backing file, whatever size the server tells.
fn read_sends_nothing() {
    let content = pattern(3 * PAGE + 100);
    let wanted = content.clone();
    let (read, _) = passed_through(&content, RD, |_, f| {
        let all = sys::read(f, 1 << 20).unwrap();
        let end = sys::read(f, 100).unwrap();
        (all, sys::pread(f, 10, 4090).unwrap(), end)
    });
    assert!(read.0 == wanted, "the bytes of the backing file");
    assert_eq!(read.1, wanted[4090..4100]);
    assert_eq!(read.2, b"");
}

/// The access time is asked for anew after a read; nothing else is.
fn read_makes_the_access_time_stale() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"hello"));
    let c = with_open(&fs, RD, |_, f| {
        sys::fstat(f).unwrap();
        sys::read(f, 5).unwrap();
        sys::fstat(f).unwrap().atime[0]
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    open_with(&fs, 5, PASS, id);
    fs.getattr(file(2).size(5).with(|a| a.atime = 77));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 77);
}

/// What is written is in the backing file when the write returns.
fn write_goes_to_the_backing_file() {
    let (n, content) = passed_through(&pattern(2 * PAGE), RW, |_, f| {
        (
            pwrite(f, b"abc", 4095).unwrap(),
            sys::write(f, b"").unwrap(),
        )
    });
    let mut wanted = pattern(2 * PAGE);
    wanted[4095..4098].copy_from_slice(b"abc");
    assert_eq!(n, (3, 0));
    assert!(content == wanted, "the bytes of the backing file");
}

/// A write beyond the end makes the file longer at once, and size and times are asked for anew.
fn write_makes_the_file_longer() {
    let place = Place::new();
    let path = place.file("b", b"0123");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, RW, |m, f| {
        let size = || sys::statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap();
        let before = size();
        pwrite(f, b"xy", 10).unwrap();
        let after = size();
        pwrite(f, b"z", 1).unwrap();
        let stat = sys::fstat(f).unwrap();
        (vec![before, after, size()], stat.mtime[0])
    });
    fs.lookup(ROOT, "f", file(2).size(4));
    open_with(&fs, 5, PASS, id);
    fs.getattr(file(2).size(12).with(|a| a.mtime = 99));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (vec![4, 12, 12], 99));
    assert_eq!(std::fs::read(&path).unwrap(), b"0z23\0\0\0\0\0\0xy");
}

/// O_APPEND appends to what the backing file has, not to what the server says it has.
fn append() {
    let (pos, content) = passed_through(b"0123", RW | libc::O_APPEND, |_, f| {
        sys::write(f, b"45").unwrap();
        sys::lseek(f, 0, libc::SEEK_CUR).unwrap()
    });
    assert_eq!(content, b"012345");
    assert_eq!(pos, 6);
}

/// A write that the backing file refuses fails so, and leaves the size as it was.
fn write_that_fails() {
    let dir = mount_point();
    sys::mount("small", &dir, "tmpfs", 0, "size=64k").unwrap();
    let place = Place(dir);
    let mut fs = start(setup());
    let id = register(&fs, &place.file("b", &[7; 100]));
    let c = with_open(&fs, RW, |m, f| {
        // As far as there is room, and then not at all.
        let some = pwrite(f, &[1; 128 << 10], 0).unwrap();
        let none = pwrite(f, &[1; PAGE], 1 << 20);
        let size = sys::statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap();
        (some as u64, none.map(|n| n as u64), size)
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    open_with(&fs, 5, PASS, id);
    fs.flush_and_release(2, 5);
    let (some, none, size) = c.wait();
    assert!(some <= 64 << 10, "more than there is room for: {some}");
    assert_eq!(none, Err(ENOSPC));
    assert_eq!(size, some);
    fs.unmount_when_free();
    fs.die();
    place.unmount();
}

/// O_DIRECT is the backing file's.
fn direct_reads_and_writes() {
    let content = pattern(4 * PAGE);
    let wanted = content.clone();
    let (read, content) = passed_through(&content, RW | libc::O_DIRECT, |_, f| {
        let memory = aligned(2 * PAGE, 0);
        assert_eq!(memory.read_from(f, 0, 2 * PAGE), Ok(2 * PAGE));
        sys::lseek(f, 3 * PAGE as i64, libc::SEEK_SET).unwrap();
        let read = memory.load(0, 2 * PAGE);
        memory.store(0, &[9; PAGE]);
        assert_eq!(memory.write_to(f, 0, PAGE), Ok(PAGE));
        read
    });
    assert!(read == wanted[..2 * PAGE]);
    assert!(content[..3 * PAGE] == wanted[..3 * PAGE]);
    assert!(content[3 * PAGE..] == [9; PAGE]);
}

/// A mount whose "f" is passed through to a file on a disk, where what is direct really takes its time.
#[track_caller]
fn on_disk<T: Ship>(
    content: &[u8],
    flags: i32,
    with: impl FnOnce(&Side, i32) -> T,
) -> (T, Vec<u8>) {
    let path = format!("/var/tmp/passthrough-{}", std::process::id());
    std::fs::write(&path, content).expect("a file on the disk");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, flags, with);
    fs.lookup(ROOT, "f", file(2).size(content.len() as u64));
    open_with(&fs, 5, PASS, id);
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            // io_uring asks whether it would have to wait.
            POLL => r.err(ENOSYS),
            FLUSH => break r.reply(&[]),
            _ => panic!("unexpected: {r:?}"),
        }
    }
    fs.release(2, 5);
    let result = c.wait();
    let content = std::fs::read(&path).unwrap();
    sys::unlink(&path).unwrap();
    (result, content)
}

fn aligned(len: usize, byte: u8) -> Map {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let memory = Map::new(-1, len, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).unwrap();
    memory.store(0, &vec![byte; len]);
    memory
}

/// aio(7) on the backing file: the caller is told when it has ended, and then the size is that of the file.
fn callers_that_do_not_wait() {
    let content = pattern(4 * PAGE);
    let flags = RW | libc::O_DIRECT;
    let ((written, size), content_after) = on_disk(&content, flags, |m, f| {
        let memory = aligned(2 * PAGE, 3);
        let mut aio = Aio::new();
        // Within the file, and beyond its end.
        for at in [PAGE, 6 * PAGE] {
            aio.write_part(f, memory.part(0, 2 * PAGE), at as i64)
                .unwrap();
        }
        let written: Vec<_> = (0..2).map(|_| aio.wait().0.unwrap() as u64).collect();
        let size = sys::statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap();
        // Not aligned: an error of the other file system.
        let refused = aio
            .write_part(f, memory.part(1, 10), 1)
            .and_then(|()| aio.wait().0.map(drop));
        assert_eq!(refused, Err(EINVAL));
        (written, size)
    });
    assert_eq!(written, [2 * PAGE as u64; 2]);
    assert_eq!(size, 8 * PAGE as u64);
    let mut wanted = content;
    wanted[PAGE..3 * PAGE].fill(3);
    wanted.resize(6 * PAGE, 0);
    wanted.resize(8 * PAGE, 3);
    assert!(content_after == wanted, "the bytes of the backing file");
}

/// io_uring on the backing file, whose callers do not wait either.
fn rings() {
    let content = pattern(4 * PAGE);
    let ((read, size), content_after) = on_disk(&content, RW, |m, f| {
        let mut ring = Uring::new();
        ring.read(f, 5 * PAGE, 0).unwrap();
        let (result, mut bytes) = ring.wait();
        bytes.truncate(result.unwrap());
        ring.write(f, b"written", 4 * PAGE as u64).unwrap();
        assert_eq!(ring.wait().0, Ok(7));
        let size = sys::statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap();
        (bytes, size)
    });
    assert!(read == content, "the bytes that were read");
    assert_eq!(size, 4 * PAGE as u64 + 7);
    assert!(content_after == [content, b"written".to_vec()].concat());
}

/// splice(2) out of the file and into it.
fn splice_out_and_in() {
    let content = pattern(3 * PAGE);
    let wanted = content.clone();
    let (read, content) = passed_through(&content, RW, |m, f| {
        let (out, into) = sys::pipe();
        assert_eq!(splice(f, into.as_raw_fd(), 2 * PAGE), Ok(2 * PAGE));
        let read = sys::read(out.as_raw_fd(), 2 * PAGE).unwrap();
        sys::write(into.as_raw_fd(), b"spliced").unwrap();
        sys::lseek(f, 3 * PAGE as i64 - 2, libc::SEEK_SET).unwrap();
        assert_eq!(splice(out.as_raw_fd(), f, 7), Ok(7));
        let pos = sys::lseek(f, 0, libc::SEEK_CUR).unwrap();
        let size = sys::statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC).unwrap();
        assert_eq!((pos, size), (3 * PAGE as i64 + 5, 3 * PAGE as u64 + 5));
        read
    });
    assert!(read == wanted[..2 * PAGE]);
    assert!(content[..3 * PAGE - 2] == wanted[..3 * PAGE - 2]);
    assert_eq!(content[3 * PAGE - 2..], *b"spliced");
}

/// copy_file_range(2) is the server's; one without it has the kernel copy from backing file to backing file.
fn copy_through_the_kernel() {
    let place = Place::new();
    let path = place.file("b", b"0123456789");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, RW, |_, f| {
        copy_file_range((f, 0), (f, 20), 10).map(|n| n as u64)
    });
    fs.lookup(ROOT, "f", file(2).size(10));
    open_with(&fs, 5, PASS, id);
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            COPY_FILE_RANGE | COPY_FILE_RANGE_64 => r.err(ENOSYS),
            FLUSH => break r.reply(&[]),
            _ => panic!("unexpected: {r:?}"),
        }
    }
    fs.release(2, 5);
    assert_eq!(c.wait(), Ok(10));
    let content = std::fs::read(&path).unwrap();
    assert_eq!(content, b"0123456789\0\0\0\0\0\0\0\0\0\x000123456789");
}

/// A mapping shows the backing file, and what is stored there by others.
fn mapping_for_reading() {
    let content = pattern(2 * PAGE);
    let wanted = content.clone();
    let (seen, _) = passed_through(&content, RW, |_, f| {
        let shared = Map::new(f, 2 * PAGE, libc::PROT_READ, libc::MAP_SHARED).unwrap();
        let private = Map::new(
            f,
            2 * PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE,
        )
        .unwrap();
        private.store(10, b"mine");
        let before = shared.load(0, 2 * PAGE);
        pwrite(f, b"written", PAGE as i64).unwrap();
        (before, shared.load(PAGE, 7))
    });
    assert!(seen.0 == wanted);
    assert_eq!(seen.1, b"written");
}

/// What is stored to a shared mapping is in the backing file.
fn mapping_for_writing() {
    let (_, content) = passed_through(&pattern(2 * PAGE), RW, |_, f| {
        let map = Map::shared(f, 2 * PAGE).unwrap();
        map.store(PAGE - 1, b"ab");
        assert_eq!(sys::pread(f, 2, PAGE as i64 - 1).unwrap(), b"ab");
        map.sync()
    });
    let mut wanted = pattern(2 * PAGE);
    wanted[PAGE - 1..PAGE + 1].copy_from_slice(b"ab");
    assert!(content == wanted);
}

/// A mapping keeps the backing file, not the open file; and the mount, whose name it is shown with.
fn mapping_outlives_the_file() {
    let place = Place::new();
    let path = place.file("b", &[b'a'; PAGE]);
    let mut fs = start(setup());
    let id = register(&fs, &path);
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), RW).unwrap();
        let map = Map::shared(f, PAGE).unwrap();
        close(f).unwrap();
        m.pause();
        map.store(0, b"late");
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let named = maps.contains(&m.path("f"));
        map.unmap();
        named
    });
    fs.lookup(ROOT, "f", file(2).size(PAGE as u64));
    open_with(&fs, 5, PASS, id);
    fs.flush_and_release(2, 5);
    c.paused();
    assert_eq!(sys::umount(&fs.dir, 0), Err(EBUSY));
    place.in_use();
    // The inode itself is free for other uses.
    let cached = with_open(&fs, RD, |_, _| ());
    fs.open(2, 6, 0);
    fs.flush_and_release(2, 6);
    cached.wait();
    c.go();
    assert!(c.wait(), "the mapping has the name of the file");
    assert_eq!(std::fs::read(&path).unwrap()[..5], *b"latea");
    fs.unmount_when_free();
    fs.die();
    place.unmount();
}

/// With FOPEN_DIRECT_IO as well, reads and writes are the server's.
fn direct_io_goes_to_the_server() {
    let place = Place::new();
    let path = place.file("b", b"backing");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, RW, |_, f| {
        let read = sys::pread(f, 7, 0).unwrap();
        pwrite(f, b"written", 0).unwrap();
        read
    });
    fs.lookup(ROOT, "f", file(2).size(7));
    open_with(&fs, 5, PASS | FOPEN_DIRECT_IO, id);
    fs.expect_read(5, 0, 7).reply(b"server!");
    fs.expect(WRITE).ok(WriteOut {
        size: 7,
        padding: 0,
    });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"server!");
    assert_eq!(std::fs::read(&path).unwrap(), b"backing");
}

/// With FOPEN_DIRECT_IO as well, a mapping is still of the backing file, also a shared one.
fn direct_io_is_mapped_from_the_backing_file() {
    let place = Place::new();
    let path = place.file("b", b"backing");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, RW, |_, f| {
        let map = Map::shared(f, PAGE).unwrap();
        let seen = map.load(0, 7);
        map.store(0, b"B");
        seen
    });
    fs.lookup(ROOT, "f", file(2).size(7));
    open_with(&fs, 5, PASS | FOPEN_DIRECT_IO, id);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"backing");
    assert_eq!(std::fs::read(&path).unwrap(), b"Backing");
}

/// An open that the server answers so fails with EIO, and the handle is released.
#[track_caller]
fn open_refused(fs: &Fs, open_flags: u32, id: i32) {
    let c = fs.call(|m| m.open("f").and_then(close));
    open_with(fs, 7, open_flags, id);
    fs.release(2, 7);
    assert_eq!(c.wait(), Err(EIO), "flags {open_flags:#x}, id {id}");
}

/// An open that the server answers so succeeds.
#[track_caller]
fn open_granted(fs: &Fs, open_flags: u32, id: i32) {
    let c = fs.call(|m| m.open("f").and_then(close));
    open_with(fs, 7, open_flags, id);
    if open_flags & FOPEN_NOFLUSH == 0 {
        fs.flush(2, 7);
    }
    fs.release(2, 7);
    assert_eq!(c.wait(), Ok(()), "flags {open_flags:#x}, id {id}");
}

/// Makes "f" known.
#[track_caller]
fn known(fs: &Fs, node: Node) {
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", node);
    assert_eq!(c.wait(), Ok(()));
}

/// What has to do with the page cache or the position, and what nobody knows, does not go with passthrough: EIO.
fn flags_that_do_not_go_together() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2));
    let cache_dir = 1 << 3;
    for with in [
        FOPEN_KEEP_CACHE,
        FOPEN_NONSEEKABLE,
        cache_dir,
        FOPEN_STREAM,
        1 << 9,
        1 << 31,
    ] {
        open_refused(&fs, PASS | with, id);
        open_refused(&fs, PASS | FOPEN_DIRECT_IO | with, id);
    }
    // None of them has left the inode in another use.
    open_granted(&fs, 0, 0);
}

/// What goes with passthrough.
fn flags_that_go_together() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2));
    for direct in [0, FOPEN_DIRECT_IO] {
        for parallel in [0, FOPEN_PARALLEL_DIRECT_WRITES] {
            for noflush in [0, FOPEN_NOFLUSH] {
                open_granted(&fs, PASS | direct | parallel | noflush, id);
            }
        }
    }
}

/// An id that is none, or none any more: EIO.
fn ids_that_are_none() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2));
    for bad in [0, -1, i32::MIN, i32::MAX, id + 1] {
        open_refused(&fs, PASS, bad);
    }
    open_granted(&fs, PASS, id);
    take_back(&fs, id).unwrap();
    open_refused(&fs, PASS, id);
    place.unmount();
}

/// Passthrough that was not agreed on: EIO.
fn not_agreed_on() {
    let fs = start(Setup::new());
    known(&fs, file(2));
    open_refused(&fs, PASS, 1);
    let fs = start(Setup::new().flags(init::PASSTHROUGH));
    known(&fs, file(2));
    open_refused(&fs, PASS, 1);
    open_granted(&fs, 0, 1);
}

/// For a directory the flag means nothing.
fn directory_has_no_backing_file() {
    let fs = start(setup());
    let c = fs.call(|m| m.opendir("").and_then(close));
    fs.expect(OPENDIR).node(ROOT).ok(OpenOut {
        fh: 5,
        open_flags: PASS,
        backing_id: 77,
    });
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// The answer to CREATE and TMPFILE: node 2, opened with a backing file.
fn created(open_flags: u32, backing_id: i32) -> Vec<u8> {
    let mut body = file(2).entry().bytes();
    let opened = OpenOut {
        fh: 5,
        open_flags,
        backing_id,
    };
    body.extend(opened.bytes());
    body
}

/// A file that is made may be passed through from the beginning. If the server gets it wrong it is there, but not open.
fn created_file() {
    let place = Place::new();
    let path = place.file("b", b"");
    let mut fs = start(setup());
    let id = register(&fs, &path);
    for (named, wanted) in [(id + 1, Err(EIO)), (id, Ok(7))] {
        let name = format!("f{named}");
        let c = fs.call(|m| {
            let f = sys::open(&m.path(&name), RW | libc::O_CREAT | libc::O_EXCL)?;
            let n = sys::write(f, b"created").map(|n| n as u64);
            close(f).and(n)
        });
        fs.expect_lookup(ROOT, &name).ok(absent(0, 0));
        fs.expect(CREATE).node(ROOT).reply(&created(PASS, named));
        if wanted.is_ok() {
            fs.flush(2, 5);
        }
        fs.release(2, 5);
        assert_eq!(c.wait(), wanted);
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"created");
    fs.unmount_when_free();
    fs.die();
    place.unmount();
}

/// So may one without a name.
fn file_without_a_name() {
    let place = Place::new();
    let path = place.file("b", b"");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = fs.call(|m| {
        let f = sys::open(&m.path(""), RW | libc::O_TMPFILE).unwrap();
        sys::write(f, b"unnamed").unwrap();
        close(f)
    });
    fs.expect(TMPFILE).node(ROOT).reply(&created(PASS, id));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(std::fs::read(&path).unwrap(), b"unnamed");
    while let Some(r) = fs.dev().next_within(0) {
        assert!(matches!(r.head.opcode, FORGET | BATCH_FORGET), "{r:?}");
    }
}

/// O_TRUNC is the server's, also where it comes with OPEN: the backing file is not opened with it.
fn truncated_by_open() {
    let place = Place::new();
    let path = place.file("b", b"content");
    let fs = start(setup().flags(init::ATOMIC_O_TRUNC));
    let id = register(&fs, &path);
    let c = with_open(&fs, RW | libc::O_TRUNC, |_, f| sys::read(f, 10).unwrap());
    fs.lookup(ROOT, "f", file(2).size(7));
    let r = fs.expect(OPEN).node(2);
    assert_ne!(r.arg::<OpenIn>().flags & libc::O_TRUNC as u32, 0);
    r.ok(OpenOut {
        fh: 5,
        open_flags: PASS,
        backing_id: id,
    });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"content");
}

/// Keeps "f" open, answered with these flags and id, as handle `fh`, until the caller is told to go on.
#[track_caller]
fn holding(fs: &Fs, fh: u64, open_flags: u32, id: i32, with: impl FnOnce(i32)) -> Caller<()> {
    let c = with_open(fs, RW, |m, f| {
        with(f);
        m.pause();
    });
    open_with(fs, fh, open_flags, id);
    c.paused();
    c
}

#[track_caller]
fn let_go(fs: &Fs, c: Caller<()>, fh: u64) {
    c.go();
    fs.flush_and_release(2, fh);
    c.wait();
}

/// While the inode is open for cached use it cannot be passed through: EIO.
fn cached_file_excludes_it() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2));
    let cached = holding(&fs, 5, 0, 0, |_| ());
    open_refused(&fs, PASS, id);
    open_refused(&fs, PASS | FOPEN_DIRECT_IO, id);
    open_granted(&fs, FOPEN_DIRECT_IO, 0);
    let_go(&fs, cached, 5);
    open_granted(&fs, PASS, id);
}

/// While the inode is passed through, every open of it has to be: others fail with EIO.
fn it_excludes_cached_and_direct_files() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2));
    for flags in [PASS, PASS | FOPEN_DIRECT_IO] {
        let passing = holding(&fs, 5, flags, id, |_| ());
        open_refused(&fs, 0, 0);
        open_refused(&fs, FOPEN_KEEP_CACHE, id);
        open_refused(&fs, FOPEN_DIRECT_IO, id);
        open_granted(&fs, PASS, id);
        open_granted(&fs, PASS | FOPEN_DIRECT_IO, id);
        // The one that is left still counts.
        open_refused(&fs, 0, 0);
        let_go(&fs, passing, 5);
        open_granted(&fs, 0, 0);
        open_granted(&fs, FOPEN_DIRECT_IO, 0);
    }
}

/// A cached open that waits for a parallel direct write fails as soon as the inode is passed through.
fn waiting_cached_open_is_told() {
    skip_on_c("the opener waits until nobody passes through any more");
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2).size(PAGE as u64));
    let writer = with_open(&fs, RW, |_, f| pwrite(f, b"direct", 0).map(|n| n as u64));
    open_with(&fs, 5, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0);
    let write = fs.expect(WRITE);
    let cached = fs.call(|m| m.open("f").and_then(close));
    open_with(&fs, 6, 0, 0);
    cached.until_uninterruptible();
    let passing = holding(&fs, 7, PASS, id, |_| ());
    fs.release(2, 6);
    assert_eq!(cached.wait(), Err(EIO));
    write.ok(WriteOut {
        size: 6,
        padding: 0,
    });
    fs.flush_and_release(2, 5);
    assert_eq!(writer.wait(), Ok(6));
    let_go(&fs, passing, 7);
    // Nothing is left of the one that has waited.
    open_granted(&fs, PASS, id);
    open_granted(&fs, 0, 0);
}

/// A direct file that is mapped uses the cache of the inode, until it is closed.
fn mapped_direct_file_excludes_it() {
    let place = Place::new();
    let fs = start(setup().flags(init::DIRECT_IO_ALLOW_MMAP));
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2).size(10));
    let direct = holding(&fs, 5, FOPEN_DIRECT_IO, 0, |f| {
        Map::shared(f, PAGE).unwrap().unmap();
    });
    open_refused(&fs, PASS, id);
    let_go(&fs, direct, 5);
    open_granted(&fs, PASS, id);
}

/// A direct file that was open before cannot be mapped while the inode is passed through: ENODEV.
fn direct_file_cannot_be_mapped_meanwhile() {
    let place = Place::new();
    let fs = start(setup().flags(init::DIRECT_IO_ALLOW_MMAP));
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2).size(10));
    let direct = with_open(&fs, RW, |m, f| {
        let map = |flags| Map::new(f, PAGE, libc::PROT_READ, flags).map(Map::unmap);
        m.pause();
        let meanwhile = (map(libc::MAP_SHARED), map(libc::MAP_PRIVATE));
        m.pause();
        (meanwhile, map(libc::MAP_SHARED))
    });
    open_with(&fs, 5, FOPEN_DIRECT_IO, 0);
    direct.paused();
    let passing = holding(&fs, 6, PASS, id, |_| ());
    direct.go();
    direct.paused();
    let_go(&fs, passing, 6);
    direct.go();
    fs.flush_and_release(2, 5);
    assert_eq!(direct.wait(), ((Err(ENODEV), Err(ENODEV)), Ok(())));
}

/// All opens of an inode go to the same backing file: to the same id, not only to the same file.
fn one_backing_file_at_a_time() {
    let place = Place::new();
    let path = place.file("b", b"x");
    let mut fs = start(setup());
    let (one, same) = (register(&fs, &path), register(&fs, &path));
    let other = register(&fs, &place.file("c", b"y"));
    known(&fs, file(2).size(1));
    let passing = holding(&fs, 5, PASS, one, |_| ());
    open_refused(&fs, PASS, other);
    open_refused(&fs, PASS, same);
    open_granted(&fs, PASS, one);
    let_go(&fs, passing, 5);
    let c = with_open(&fs, RD, |_, f| sys::read(f, 10).unwrap());
    open_with(&fs, 5, PASS, other);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"y");
    fs.unmount_when_free();
    fs.die();
    place.unmount();
}

/// A backing file that is taken back stays as long as a file is open that it stands behind.
fn taken_back_while_open() {
    let place = Place::new();
    let path = place.file("b", b"x");
    let fs = start(setup());
    let id = register(&fs, &path);
    known(&fs, file(2).size(1));
    let c = with_open(&fs, RD, |m, f| {
        m.pause();
        sys::read(f, 10).unwrap()
    });
    open_with(&fs, 5, PASS, id);
    c.paused();
    place.in_use();
    take_back(&fs, id).unwrap();
    place.in_use();
    open_refused(&fs, PASS, id);
    c.go();
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"x");
    place.unmount();
}

/// The backing file is read with the rights of whoever registered it, not of the reader.
fn rights_are_the_server_s() {
    let place = Place::new();
    let path = place.file("b", b"secret");
    sys::chmod(&path, 0o600).unwrap();
    let fs = start(setup().option("allow_other"));
    let id = register(&fs, &path);
    let c = fs.call(|m| {
        sys::become_user(1000, 1000);
        let f = m.open("f").unwrap();
        let read = sys::read(f, 10).unwrap();
        close(f).unwrap();
        read
    });
    fs.lookup(ROOT, "f", file(2).size(6));
    open_with(&fs, 5, PASS, id);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), b"secret");
}

/// It is also written with them: into what is kept for the administrator, with a capability that the writer lacks.
fn rights_to_write_are_the_server_s() {
    let place = Place::new();
    let path = place.file("b", b"12345");
    sys::chmod(&path, 0o4755).unwrap();
    let fs = start(setup().option("allow_other"));
    let id = register(&fs, &path);
    let c = fs.call(|m| {
        sys::become_user(1000, 1000);
        let f = sys::open(&m.path("f"), RW).unwrap();
        sys::write(f, b"abc").unwrap();
        close(f)
    });
    fs.lookup(ROOT, "f", file(2).size(5).perm(0o666));
    open_with(&fs, 5, PASS, id);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
    // The id bit of the backing file stays: the administrator may keep it.
    assert_eq!(sys::stat(&path).unwrap().mode & 0o7777, 0o4755);
    assert_eq!(std::fs::read(&path).unwrap(), b"abc45");
}

/// Everything else is still the server's: attributes, sizes, space, holes, durability.
fn other_requests_go_to_the_server() {
    let place = Place::new();
    let path = place.file("b", b"content");
    let fs = start(setup());
    let id = register(&fs, &path);
    let c = with_open(&fs, RW, |_, f| {
        sys::fsync(f).unwrap();
        sys::ftruncate(f, 3).unwrap();
        sys::fallocate(f, 100).unwrap();
        sys::lseek(f, 1, libc::SEEK_DATA).unwrap()
    });
    fs.lookup(ROOT, "f", file(2).size(7));
    open_with(&fs, 5, PASS, id);
    fs.expect(FSYNC).reply(&[]);
    fs.expect(SETATTR).ok(file(2).size(3).attr_out());
    fs.expect(FALLOCATE).reply(&[]);
    fs.expect(LSEEK).reply(&42u64.to_ne_bytes());
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 42);
    assert_eq!(std::fs::read(&path).unwrap(), b"content");
}

/// An opener that is killed before the answer leaves nothing open, and no use of the inode.
fn killed_opener_leaves_nothing() {
    let place = Place::new();
    let fs = start(setup());
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2));
    let mut c = fs.call(|m| m.open("f").and_then(close));
    let r = fs.expect(OPEN).node(2);
    c.signal(libc::SIGKILL);
    r.ok(OpenOut {
        fh: 5,
        open_flags: PASS,
        backing_id: id,
    });
    let mut r = fs.dev().next();
    if r.head.opcode == FLUSH {
        // It was open for a moment.
        r.reply(&[]);
        r = fs.dev().next();
    }
    assert_eq!(r.head.opcode, RELEASE, "{r:?}");
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    open_granted(&fs, 0, 0);
    take_back(&fs, id).unwrap();
    place.unmount();
}

/// A file that is open when its server dies is still there: nobody is asked. Then it goes with the mount.
fn server_dies() {
    let place = Place::new();
    let path = place.file("b", b"still here");
    let mut fs = start(setup());
    let id = register(&fs, &path);
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), RW).unwrap();
        let map = Map::shared(f, PAGE).unwrap();
        m.pause();
        let read = sys::pread(f, 20, 0).unwrap();
        pwrite(f, b"S", 0).unwrap();
        (read, map.load(0, 1), m.open("f").map(drop))
    });
    fs.lookup(ROOT, "f", file(2).size(10));
    open_with(&fs, 5, PASS, id);
    c.paused();
    fs.die();
    place.in_use();
    c.go();
    assert_eq!(
        c.wait(),
        (b"still here".to_vec(), b"S".to_vec(), Err(ENOTCONN))
    );
    fs.unmount_when_free();
    assert_eq!(std::fs::read(&path).unwrap(), b"Still here");
    place.unmount();
}

/// What is registered last is given back with the connection: when its mount and its devices are gone.
fn connection_ends() {
    for first in ["mount", "device"] {
        let place = Place::new();
        let mut fs = start(setup());
        for name in ["a", "b", "c"] {
            register(&fs, &place.file(name, b"x"));
        }
        place.in_use();
        if first == "mount" {
            fs.unmount_when_free();
            fs.die();
        } else {
            fs.die();
            fs.unmount_when_free();
        }
        place.unmount();
    }
}

/// A file that is closed while a request of it is out does not keep others from being passed through for ever.
fn closed_while_a_request_is_out() {
    let place = Place::new();
    let mut fs = start(setup().flags(init::ASYNC_DIO));
    let id = register(&fs, &place.file("b", b"x"));
    known(&fs, file(2).size(PAGE as u64));
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), RW | libc::O_DIRECT).unwrap();
        let mut aio = Aio::new();
        aio.read(f, PAGE, 0).unwrap();
        close(f).unwrap();
        aio.wait().0.map(|n| n as u64)
    });
    open_with(&fs, 5, PASS | FOPEN_DIRECT_IO, id);
    let read = fs.expect_read(5, 0, PAGE as u32);
    fs.flush(2, 5);
    read.reply(&[1; PAGE]);
    fs.release(2, 5);
    assert_eq!(c.wait(), Ok(PAGE as u64));
    open_granted(&fs, 0, 0);
    fs.unmount_when_free();
    fs.die();
    place.unmount();
}
