// SPDX-License-Identifier: GPL-2.0

//! A mount with its connection, and the replies that most tests need.

use super::caller::Caller;
use super::caller::Ship;
use super::caller::Side;
use super::device::Device;
use super::device::Request;
use super::patience;
use super::sys;
use super::sys::Errno;
use super::sys::Result;
use super::sys::EBUSY;
use super::wire::*;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Where the tests mount: a tmpfs in the test's own mount namespace.
pub const PLACE: &str = "/mnt";

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Makes a directory to mount on.
pub fn mount_point() -> String {
    let dir = format!("{PLACE}/m{}", COUNT.fetch_add(1, Ordering::Relaxed));
    sys::mkdir(&dir).expect("mkdir of a mount point");
    dir
}

static RING: AtomicUsize = AtomicUsize::new(0);

/// Has the requests of every mount go over a ring with `depth` entries on each queue.
pub fn set_default_ring(depth: usize) {
    RING.store(depth, Ordering::Relaxed);
}

fn default_ring() -> Option<usize> {
    Some(RING.load(Ordering::Relaxed)).filter(|&depth| depth > 0)
}

/// How to mount, and what to answer to INIT.
#[derive(Clone)]
pub struct Setup {
    /// Mount options after `fd=,rootmode=,user_id=,group_id=`.
    pub options: String,
    pub user: u32,
    pub group: u32,
    pub flags: u64,
    pub init: InitOut,
    /// The block device to mount, if it is to be one. The unmount then waits for the server, so the test has to do it.
    pub block_device: Option<String>,
    /// Entries on each queue of a ring, if requests go over one.
    pub ring: Option<usize>,
}

impl Setup {
    /// Mounted by root for root; no optional feature, and no readahead, so that each page is one READ.
    pub fn new() -> Self {
        Setup {
            options: String::new(),
            user: 0,
            group: 0,
            flags: 0,
            init: InitOut {
                major: 7,
                minor: 46,
                max_write: 65536,
                ..Default::default()
            },
            block_device: None,
            ring: default_ring(),
        }
    }

    /// Requests go over a ring with `depth` entries on each queue. The parameter `enable_uring` has to be set.
    pub fn ring(mut self, depth: usize) -> Self {
        self.ring = Some(depth);
        self
    }

    /// Bytes that each entry of a ring needs for what comes after the headers.
    pub fn ring_payload(&self) -> usize {
        let pages = match self.flags & init::MAX_PAGES {
            0 => 32,
            _ => usize::from(self.init.max_pages).clamp(1, 256),
        };
        (self.init.max_write as usize).max(4096 * pages).max(8192)
    }

    /// Adds a mount option.
    pub fn option(mut self, o: &str) -> Self {
        self.options = format!("{},{o}", self.options);
        self
    }

    /// Mounts this block device.
    pub fn on_block_device(mut self, path: &str) -> Self {
        self.block_device = Some(path.to_string());
        self
    }

    /// Mounts for this user and group instead of root.
    pub fn owner(mut self, user: u32, group: u32) -> Self {
        (self.user, self.group) = (user, group);
        self
    }

    /// Sets bits of [`init`].
    pub fn flags(mut self, flags: u64) -> Self {
        self.flags |= flags;
        self
    }

    pub fn minor(mut self, minor: u32) -> Self {
        self.init.minor = minor;
        self
    }

    /// Sets other fields of the INIT reply.
    pub fn init(mut self, f: impl FnOnce(&mut InitOut)) -> Self {
        f(&mut self.init);
        self
    }

    /// The reply to INIT.
    pub fn init_out(&self) -> InitOut {
        let mut out = self.init;
        if self.flags != 0 {
            out.flags = (self.flags | init::INIT_EXT) as u32;
            out.flags2 = (self.flags >> 32) as u32;
        }
        out
    }

    /// The data of mount(2).
    pub fn data(&self, fd: i32) -> String {
        format!(
            "fd={fd},rootmode=40000,user_id={},group_id={}{}",
            self.user, self.group, self.options
        )
    }

    /// Mounts, and leaves INIT unread.
    pub fn mount(self) -> Fs {
        self.mount_at(&mount_point())
    }

    /// As `mount`, on this directory.
    pub fn mount_at(self, dir: &str) -> Fs {
        self.mount_with(Device::open(), dir)
    }

    /// As `mount_at`, with this device.
    pub fn mount_with(self, dev: Device, dir: &str) -> Fs {
        let (source, kind) = match &self.block_device {
            Some(path) => (path.as_str(), "fuseblk"),
            None => ("mock", "fuse"),
        };
        sys::mount(
            source,
            dir,
            kind,
            libc::MS_NOSUID | libc::MS_NODEV,
            &self.data(dev.fd()),
        )
        .expect("mount");
        Fs {
            dev: Some(dev),
            dir: dir.to_string(),
            setup: self,
            mounted: true,
        }
    }

    /// Mounts and answers INIT.
    pub fn start(self) -> Fs {
        self.start_at(mount_point())
    }

    /// Mounts on this directory and answers INIT.
    pub fn start_at(mut self, dir: String) -> Fs {
        // A server of an older protocol has none.
        self.ring = self
            .ring
            .filter(|_| self.init.minor == 46 && self.block_device.is_none());
        if self.ring.is_some() {
            self = self.flags(init::OVER_IO_URING);
        }
        let fs = self.mount_at(&dir);
        let reply = fs.setup.init_out();
        fs.expect(INIT).ok(reply);
        if let Some(depth) = fs.setup.ring {
            fs.dev().start_ring(depth, fs.setup.ring_payload());
        }
        fs
    }
}

/// A mounted file system whose server is the test. Dropping it checks that nothing is left to read, and unmounts.
pub struct Fs {
    dev: Option<Device>,
    pub dir: String,
    pub setup: Setup,
    mounted: bool,
}

impl Fs {
    /// The plain mount of most tests.
    pub fn new() -> Self {
        Setup::new().start()
    }

    pub fn dev(&self) -> &Device {
        self.dev.as_ref().expect("the server lives")
    }

    /// Runs `f` in a process of its own.
    pub fn call<T: Ship>(&self, f: impl FnOnce(&Side) -> T) -> Caller<T> {
        Caller::start(&self.dir, f)
    }

    /// Runs `f` in a process of its own, and lets it end before anything else happens: it must cause no request.
    #[track_caller]
    pub fn call_quietly<T: Ship>(&self, f: impl FnOnce(&Side) -> T) -> T {
        let result = self.call(f).wait();
        self.dev().assert_quiet();
        result
    }

    /// Waits for the next request, which must be `opcode`.
    #[track_caller]
    pub fn expect(&self, opcode: u32) -> Request {
        self.dev().expect(opcode)
    }

    /// Checks that nothing is to be read.
    #[track_caller]
    pub fn quiet(&self) {
        self.dev().assert_quiet();
    }

    /// LOOKUP of `name` in `dir` comes.
    #[track_caller]
    pub fn expect_lookup(&self, dir: u64, name: &str) -> Request {
        let r = self.expect(LOOKUP).node(dir);
        assert_eq!(r.name(), name, "name of {r:?}");
        r
    }

    /// LOOKUP of `name` in `dir` comes and finds `node`.
    #[track_caller]
    pub fn lookup(&self, dir: u64, name: &str, node: Node) {
        self.expect_lookup(dir, name).ok(node.entry());
    }

    /// GETATTR of `node` comes and is answered with it.
    #[track_caller]
    pub fn getattr(&self, node: Node) {
        self.expect(GETATTR).node(node.id).ok(node.attr_out());
    }

    /// OPEN of `node` comes and is answered with handle `fh` and FOPEN flags.
    #[track_caller]
    pub fn open(&self, node: u64, fh: u64, flags: u32) {
        self.expect(OPEN).node(node).ok(OpenOut {
            fh,
            open_flags: flags,
            backing_id: 0,
        });
    }

    /// OPENDIR of `node` comes and is answered with handle `fh`.
    #[track_caller]
    pub fn opendir(&self, node: u64, fh: u64) {
        self.expect(OPENDIR).node(node).ok(OpenOut {
            fh,
            ..Default::default()
        });
    }

    /// READ comes with handle `fh`, for exactly these bytes.
    #[track_caller]
    pub fn expect_read(&self, fh: u64, offset: u64, size: u32) -> Request {
        let r = self.expect(READ);
        let a: ReadIn = r.arg();
        assert_eq!(
            (a.fh, a.offset, a.size),
            (fh, offset, size),
            "handle, offset and size of READ"
        );
        r
    }

    /// READDIR comes with handle `fh` and offset `offset`.
    #[track_caller]
    pub fn expect_readdir(&self, fh: u64, offset: u64) -> Request {
        let r = self.expect(READDIR);
        let a: ReadIn = r.arg();
        assert_eq!(
            (a.fh, a.offset),
            (fh, offset),
            "handle and offset of READDIR"
        );
        r
    }

    /// READDIRPLUS comes with handle `fh` and offset `offset`.
    #[track_caller]
    pub fn expect_readdirplus(&self, fh: u64, offset: u64) -> Request {
        let r = self.expect(READDIRPLUS);
        let a: ReadIn = r.arg();
        assert_eq!(
            (a.fh, a.offset),
            (fh, offset),
            "handle and offset of READDIRPLUS"
        );
        r
    }

    /// FLUSH of `fh` comes and is answered.
    #[track_caller]
    pub fn flush(&self, node: u64, fh: u64) {
        let r = self.expect(FLUSH).node(node);
        assert_eq!(r.arg::<FlushIn>().fh, fh, "handle of FLUSH");
        r.reply(&[]);
    }

    /// RELEASE of `fh` comes and is answered.
    #[track_caller]
    pub fn release(&self, node: u64, fh: u64) {
        let r = self.expect(RELEASE).node(node);
        assert_eq!(r.arg::<ReleaseIn>().fh, fh, "handle of RELEASE");
        r.reply(&[]);
    }

    /// RELEASEDIR of `fh` comes and is answered.
    #[track_caller]
    pub fn releasedir(&self, node: u64, fh: u64) {
        let r = self.expect(RELEASEDIR).node(node);
        assert_eq!(r.arg::<ReleaseIn>().fh, fh, "handle of RELEASEDIR");
        r.reply(&[]);
    }

    /// What a last close of a file makes: FLUSH and RELEASE.
    #[track_caller]
    pub fn flush_and_release(&self, node: u64, fh: u64) {
        self.flush(node, fh);
        self.release(node, fh);
    }

    /// The server dies: its device is closed.
    pub fn die(&mut self) {
        self.dev = None;
    }

    /// Unmounts now, and checks that this succeeds.
    #[track_caller]
    pub fn unmount(&mut self) {
        self.mounted = false;
        sys::umount(&self.dir, 0).expect("umount");
    }

    /// Unmounts as soon as nothing is in use.
    #[track_caller]
    pub fn unmount_when_free(&mut self) {
        self.mounted = false;
        unmount_when_free(&self.dir).expect("umount");
    }

    /// Aborts by a forced unmount. It also unmounts, if the callers that it frees are gone by then.
    #[track_caller]
    pub fn force_unmount(&mut self) {
        match sys::umount(&self.dir, libc::MNT_FORCE) {
            Ok(()) => self.mounted = false,
            Err(EBUSY) => (),
            Err(e) => panic!("forced umount: {e:?}"),
        }
    }

    /// Declares that the test has unmounted by itself.
    pub fn unmounted(&mut self) {
        self.mounted = false;
    }
}

/// Unmounts as soon as nothing is in use: a caller that has told its result may still be exiting.
fn unmount_when_free(dir: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        match sys::umount(dir, 0) {
            Err(EBUSY) if (start.elapsed().as_millis() as i64) < patience() => {
                std::thread::sleep(Duration::from_millis(5));
            }
            result => return result,
        }
    }
}

impl Drop for Fs {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if let Some(dev) = self.dev.as_ref().filter(|_| self.mounted) {
            dev.assert_quiet();
        }
        if self.mounted {
            unmount_when_free(&self.dir).expect("umount at the end of the test");
        }
    }
}

/// Opens "f" in a process of its own with these flags, runs `with` on the descriptor, and closes.
pub fn with_open<T: Ship>(fs: &Fs, flags: i32, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    fs.call(|m| {
        let f = sys::open(&m.path("f"), flags).unwrap();
        let t = with(m, f);
        sys::close(f).unwrap();
        t
    })
}

/// A node as the mock server describes it; times are good for an hour unless the test says otherwise.
#[derive(Clone, Copy)]
pub struct Node {
    pub id: u64,
    pub generation: u64,
    /// Seconds and nanoseconds that the name, and the attributes, may be believed.
    pub entry_valid: (u64, u32),
    pub attr_valid: (u64, u32),
    pub attr: Attr,
}

fn node(id: u64, mode: u32, nlink: u32) -> Node {
    let attr = Attr {
        ino: id,
        mode,
        nlink,
        blksize: 4096,
        ..Default::default()
    };
    Node {
        id,
        generation: 0,
        entry_valid: (3600, 0),
        attr_valid: (3600, 0),
        attr,
    }
}

/// A regular file, 0644, of root.
pub fn file(id: u64) -> Node {
    node(id, libc::S_IFREG | 0o644, 1)
}

/// A directory, 0755, of root.
pub fn dir(id: u64) -> Node {
    node(id, libc::S_IFDIR | 0o755, 2)
}

/// A symbolic link, of root.
pub fn symlink_node(id: u64) -> Node {
    node(id, libc::S_IFLNK | 0o777, 1)
}

impl Node {
    pub fn size(mut self, size: u64) -> Self {
        self.attr.size = size;
        self
    }

    /// Sets the permission bits, and keeps the type.
    pub fn perm(mut self, perm: u32) -> Self {
        self.attr.mode = (self.attr.mode & libc::S_IFMT) | perm;
        self
    }

    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        (self.attr.uid, self.attr.gid) = (uid, gid);
        self
    }

    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    pub fn entry_valid(mut self, sec: u64, nsec: u32) -> Self {
        self.entry_valid = (sec, nsec);
        self
    }

    pub fn attr_valid(mut self, sec: u64, nsec: u32) -> Self {
        self.attr_valid = (sec, nsec);
        self
    }

    /// Changes any attribute.
    pub fn with(mut self, f: impl FnOnce(&mut Attr)) -> Self {
        f(&mut self.attr);
        self
    }

    pub fn entry(&self) -> EntryOut {
        EntryOut {
            nodeid: self.id,
            generation: self.generation,
            entry_valid: self.entry_valid.0,
            attr_valid: self.attr_valid.0,
            entry_valid_nsec: self.entry_valid.1,
            attr_valid_nsec: self.attr_valid.1,
            attr: self.attr,
        }
    }

    pub fn attr_out(&self) -> AttrOut {
        AttrOut {
            attr_valid: self.attr_valid.0,
            attr_valid_nsec: self.attr_valid.1,
            dummy: 0,
            attr: self.attr,
        }
    }

    /// The answer to STATX, with what `mask` says.
    pub fn statx_out(&self, mask: u32, birth: (i64, u32)) -> Vec<u8> {
        let a = self.attr;
        let time = |sec: u64, nsec: u32| {
            let mut b = sec.to_ne_bytes().to_vec();
            b.extend(nsec.to_ne_bytes());
            b.extend([0; 4]);
            b
        };
        let mut b = self.attr_valid.0.to_ne_bytes().to_vec();
        b.extend(self.attr_valid.1.to_ne_bytes());
        b.extend([0; 4 + 16]);
        b.extend(mask.to_ne_bytes());
        b.extend(a.blksize.to_ne_bytes());
        b.extend([0; 8]);
        for n in [a.nlink, a.uid, a.gid, a.mode] {
            b.extend(n.to_ne_bytes());
        }
        for n in [a.ino, a.size, a.blocks, 0] {
            b.extend(n.to_ne_bytes());
        }
        b.extend(time(a.atime, a.atimensec));
        b.extend(time(birth.0 as u64, birth.1));
        b.extend(time(a.ctime, a.ctimensec));
        b.extend(time(a.mtime, a.mtimensec));
        b.resize(32 + 256, 0);
        b
    }
}

/// An answer to LOOKUP that says "no such name" and how long that may be believed.
pub fn absent(sec: u64, nsec: u32) -> EntryOut {
    EntryOut {
        entry_valid: sec,
        entry_valid_nsec: nsec,
        ..Default::default()
    }
}

/// Nodes and counts that one FORGET or BATCH_FORGET gives back.
pub fn forgotten(r: &Request) -> Vec<(u64, u64)> {
    if r.head.opcode == FORGET {
        return vec![(r.head.nodeid, r.arg::<ForgetIn>().nlookup)];
    }
    assert_eq!(
        r.head.opcode, BATCH_FORGET,
        "FORGET or BATCH_FORGET expected, {r:?} came"
    );
    assert_eq!(r.head.nodeid, 0, "BATCH_FORGET is about no single node");
    let head = BatchForgetIn::from_bytes(&r.body);
    let size = size_of::<ForgetOne>();
    let ones: Vec<_> = r.body[size_of::<BatchForgetIn>()..]
        .chunks(size)
        .map(|b| {
            let one = ForgetOne::from_bytes(b);
            (one.nodeid, one.nlookup)
        })
        .collect();
    assert_eq!(ones.len(), head.count as usize, "the count of BATCH_FORGET");
    ones
}

/// An error that a server must not answer with in the tests that pass one on: none of the kernel's own.
pub const ODD: Errno = Errno(libc::EXDEV);
