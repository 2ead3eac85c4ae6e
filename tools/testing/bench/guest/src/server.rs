// SPDX-License-Identifier: GPL-2.0

//! A server that does nothing: it answers from messages made before, so that what is measured is the kernel's work.
//!
//! There is one directory of many names, one file of a tebibyte, and room for one name to be made and removed.

use crate::ring::Ring;
use crate::sys;
use crate::wire;
use crate::wire::Wire;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Names in the large directory, if the cell does not say otherwise.
pub const ENTRIES: u64 = 100_000;
/// Bytes of the file.
pub const SIZE: u64 = 1 << 40;
/// Most bytes of one READ or WRITE.
pub const MEBIBYTE: usize = 1 << 20;

const FILE: u64 = 2;
const DIRECTORY: u64 = 3;
const MADE: u64 = 4;
/// Node of the first name in the directory.
const FIRST: u64 = 1000;
/// Seconds that are as good as for ever.
const EVER: u64 = 1 << 30;

/// How a server answers.
#[derive(Clone, Copy)]
pub struct Profile {
    /// What INIT agrees to beside what all servers do.
    pub init: u64,
    /// Whether attributes and names are good for ever, or not at all.
    pub attributes_last: bool,
    pub names_last: bool,
    /// Of an opened file.
    pub open_flags: u32,
    /// Whether OPEN is left to the kernel.
    pub opens: bool,
    /// Whether GETATTR is answered.
    pub answers: bool,
    /// Threads that serve, and whether each has a device of its own.
    pub threads: usize,
    pub clones: bool,
    /// Whether GETXATTR finds no attribute, or is not known at all.
    pub xattrs: bool,
    /// Whether FLUSH is known.
    pub flushes: bool,
    /// Whether the file is passed through to the one in [`BACKED_BY`].
    pub passes_through: bool,
    /// Names in the large directory.
    pub entries: u64,
    /// Whether requests go over io_uring, by one entry of one queue.
    pub ring: bool,
    /// Maximum number of bytes of one WRITE, and in each buffer for requests beside the header.
    pub max_write: usize,
}

impl Profile {
    /// Everything lasts, everything is answered, one thread.
    pub const CACHED: Profile = Profile {
        init: 0,
        attributes_last: true,
        names_last: true,
        open_flags: wire::FOPEN_KEEP_CACHE,
        opens: true,
        answers: true,
        threads: 1,
        clones: false,
        xattrs: false,
        flushes: false,
        passes_through: false,
        entries: ENTRIES,
        ring: false,
        max_write: MEBIBYTE,
    };
}

/// The file that is behind one that is passed through.
pub const BACKED_BY: &std::ffi::CStr = c"floor/f";

/// What the server tells the caller: counts, in memory that both see.
#[derive(Default)]
pub struct Tally {
    pub requests: AtomicU64,
    /// Nodes forgotten, requests left unanswered.
    pub forgotten: AtomicU64,
    pub held: AtomicU64,
    /// The caller is woken when `forgotten` or `held` reaches this.
    pub wake_at: AtomicU64,
}

/// A mounted file system, and the process that serves it.
pub struct Server {
    dir: String,
    pid: i32,
    shared: sys::Mapping,
    woken: sys::Fd,
    /// Both ends of the pipe on which a server that has lost its file system waits, before it ends.
    leave: (sys::Fd, sys::Fd),
}

impl Server {
    pub fn start(profile: Profile, dir: &str) -> Self {
        std::fs::create_dir_all(dir).ok();
        let shared = sys::Mapping::shared(sys::PAGE);
        let (woken, wake) = sys::pipe();
        let (stay, leave) = sys::pipe();
        let device = fuse_samples::mount::direct("bench", dir)
            .unwrap_or_else(|why| panic!("mount of fuse: {why}"));
        let enabled = "/sys/module/fuse/parameters/enable_uring";
        if profile.ring {
            sys::set(enabled, "Y");
        }
        let tally = shared.start();
        let pid = sys::fork(|| {
            // SAFETY: zeroed shared memory that lives as long as this process, aligned and large enough.
            let tally = unsafe { &*tally.cast::<Tally>() };
            serve(profile, device, tally, &wake);
            // Its end is not part of what is measured.
            sys::read(stay.0, &mut [0]);
        });
        let server = Server {
            dir: dir.into(),
            pid,
            shared,
            woken,
            leave: (stay, leave),
        };
        // INIT is answered when something else is.
        sys::stat(&sys::c_path(dir));
        if profile.ring {
            sys::set(enabled, "N");
        }
        server
    }

    pub fn tally(&self) -> &Tally {
        // SAFETY: zeroed shared memory that lives as long as `self`, aligned and large enough.
        unsafe { &*self.shared.start().cast::<Tally>() }
    }

    /// Sleeps until the server has forgotten, or holds, as many as was asked for by `wake_at`.
    pub fn sleep(&self) {
        sys::read(self.woken.0, &mut [0]);
    }

    pub fn stop(self) {
        sys::umount(&sys::c_path(&self.dir));
        self.wait();
    }

    /// Lets a server end whose file system is gone, and waits for that.
    pub fn wait(self) {
        sys::write(self.leave.1 .0, &[1]);
        sys::wait(self.pid);
    }
}

fn serve(profile: Profile, device: File, tally: &'static Tally, wake: &sys::Fd) {
    std::thread::scope(|scope| {
        if profile.ring {
            // The ring can be set up once INIT is answered, which comes by the device.
            let first = device.try_clone().expect("a descriptor");
            Answers::new(profile).serve(first, tally, wake, true);
            let fd = device.as_raw_fd();
            scope.spawn(move || Answers::new(profile).serve_ring(fd, tally, wake));
        }
        for _ in 1..profile.threads {
            let device = if profile.clones {
                clone(&device)
            } else {
                device.try_clone().expect("a descriptor")
            };
            scope.spawn(move || Answers::new(profile).serve(device, tally, wake, false));
        }
        let device = device.try_clone().expect("a descriptor");
        Answers::new(profile).serve(device, tally, wake, false);
    });
}

/// A device of its own on the same connection (`FUSE_DEV_IOC_CLONE`).
fn clone(device: &File) -> File {
    const CLONE: libc::Ioctl = 0x8004_e500;
    let new = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")
        .expect("/dev/fuse");
    let fd = device.as_raw_fd() as u32;
    // SAFETY: the command reads a number of 32 bits.
    let failed = unsafe { libc::ioctl(new.as_raw_fd(), CLONE, &fd) };
    assert_eq!(failed, 0, "FUSE_DEV_IOC_CLONE");
    new
}

/// The number of [`BACKED_BY`] on this connection (`FUSE_DEV_IOC_BACKING_OPEN`).
fn register(device: &File) -> i32 {
    const BACKING_OPEN: libc::Ioctl = 0x4010_e501;
    let file = sys::open(BACKED_BY, libc::O_RDWR);
    // A descriptor, flags, padding.
    let map = [file.0, 0, 0, 0];
    // SAFETY: the command reads 16 bytes.
    let id = unsafe { libc::ioctl(device.as_raw_fd(), BACKING_OPEN, &map) };
    assert!(id > 0, "FUSE_DEV_IOC_BACKING_OPEN");
    id
}

/// The answers of one thread, each with its header, in which only the unique number is missing.
struct Answers {
    profile: Profile,
    error: Message,
    file_attr: Message,
    dir_attr: Message,
    file_entry: Message,
    dir_entry: Message,
    name_entry: Message,
    made: Message,
    open: Message,
    opendir: Message,
    init: Message,
    written: Message,
    empty: Message,
    /// A header, and what READ sends.
    data: Vec<u8>,
    /// What READDIR sends.
    listing: wire::Dirents,
}

/// A short message, which lies in one page wherever it is: C pins the pages of a message, and one
/// that lay in two would cost it 600 instructions, or not, from run to run.
struct Message {
    bytes: Box<InOnePage>,
    len: usize,
}

#[repr(align(256))]
struct InOnePage([u8; 256]);

impl std::ops::Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes.0[..self.len]
    }
}

impl std::ops::DerefMut for Message {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes.0[..self.len]
    }
}

fn message(body: &[u8]) -> Message {
    let header = wire::OutHeader {
        len: (wire::OUT_HEADER + body.len()) as u32,
        error: 0,
        unique: 0,
    };
    let whole = [&header.bytes()[..], body].concat();
    let mut bytes = Box::new(InOnePage([0; 256]));
    bytes.0[..whole.len()].copy_from_slice(&whole);
    Message {
        bytes,
        len: whole.len(),
    }
}

fn attr(node: u64) -> wire::Attr {
    let dir = node == wire::ROOT || node == DIRECTORY;
    wire::Attr {
        ino: node,
        size: if node == FILE { SIZE } else { 0 },
        mode: if dir {
            libc::S_IFDIR | 0o755
        } else {
            libc::S_IFREG | 0o644
        },
        nlink: 1,
        blksize: 4096,
        ..Default::default()
    }
}

impl Answers {
    fn new(profile: Profile) -> Self {
        let attr_out = |node| {
            message(
                &wire::AttrOut {
                    attr_valid: if profile.attributes_last { EVER } else { 0 },
                    attr: attr(node),
                    ..Default::default()
                }
                .bytes(),
            )
        };
        let open = wire::OpenOut {
            fh: 1,
            open_flags: profile.open_flags,
            backing_id: 0,
        };
        let made = [
            entry(&profile, MADE).bytes(),
            wire::OpenOut::default().bytes(),
        ]
        .concat();
        let flags = wire::init::ASYNC_READ
            | wire::init::BIG_WRITES
            | wire::init::MAX_PAGES
            | wire::init::PARALLEL_DIROPS
            | wire::init::INIT_EXT
            | if profile.ring {
                wire::init::OVER_IO_URING
            } else {
                0
            }
            | profile.init;
        let init = wire::InitOut {
            major: 7,
            minor: 46,
            max_readahead: MEBIBYTE as u32,
            flags: flags as u32,
            flags2: (flags >> 32) as u32,
            max_background: 64,
            congestion_threshold: 48,
            max_write: profile.max_write as u32,
            max_stack_depth: profile.passes_through.into(),
            time_gran: 1,
            max_pages: (MEBIBYTE / sys::PAGE) as u16,
            ..Default::default()
        };
        Answers {
            profile,
            error: message(&[]),
            file_attr: attr_out(FILE),
            dir_attr: attr_out(wire::ROOT),
            file_entry: message(&entry(&profile, FILE).bytes()),
            dir_entry: message(&entry(&profile, DIRECTORY).bytes()),
            name_entry: message(&[]),
            made: message(&made),
            open: message(&open.bytes()),
            opendir: message(&wire::OpenOut::default().bytes()),
            init: message(&init.bytes()),
            written: message(&wire::WriteOut::default().bytes()),
            empty: message(&[]),
            data: vec![b'x'; wire::OUT_HEADER + MEBIBYTE],
            listing: wire::Dirents(Vec::with_capacity(wire::OUT_HEADER + MEBIBYTE)),
        }
    }

    /// Serves what comes over the ring.
    fn serve_ring(mut self, device: i32, tally: &Tally, wake: &sys::Fd) {
        Ring::new(device, 0).serve(|header, body, send| {
            tally.requests.fetch_add(1, Relaxed);
            // What is not answered would keep the only entry.
            let answer = self.answer(header, body, tally, wake);
            send(answer.expect("an answer"));
        });
        std::mem::forget(self);
    }

    /// Serves what comes by the device; only INIT, if `only_init`.
    fn serve(mut self, mut device: File, tally: &Tally, wake: &sys::Fd, only_init: bool) {
        let mut buffer = vec![0; self.profile.max_write + sys::PAGE];
        loop {
            let len = match device.read(&mut buffer) {
                Ok(len) => len,
                Err(e) => match e.raw_os_error() {
                    Some(libc::ENODEV) => {
                        // They go with the process, which waits.
                        std::mem::forget((self, buffer));
                        return;
                    }
                    // The request was withdrawn meanwhile, or the connection aborted.
                    Some(libc::ENOENT | libc::EINTR | libc::EAGAIN | libc::ECONNABORTED) => {
                        continue
                    }
                    _ => panic!("read of /dev/fuse: {e}"),
                },
            };
            tally.requests.fetch_add(1, Relaxed);
            let request = &buffer[..len];
            let header = wire::InHeader::from_bytes(request);
            if header.opcode == wire::OPEN && self.profile.passes_through {
                self.pass_through(&device);
            }
            let Some(answer) = self.answer(&header, &request[wire::IN_HEADER..], tally, wake)
            else {
                continue;
            };
            answer[8..16].copy_from_slice(&header.unique.to_ne_bytes());
            match device.write(answer) {
                Ok(_) if only_init && header.opcode == wire::INIT => return,
                Ok(_) => (),
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT)) => (),
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENODEV)) => return,
                Err(e) => panic!("write to /dev/fuse: {e}"),
            }
        }
    }

    /// From now on, opened files are passed through.
    fn pass_through(&mut self, device: &File) {
        self.profile.passes_through = false;
        let open = wire::OpenOut {
            fh: 1,
            open_flags: wire::FOPEN_PASSTHROUGH,
            backing_id: register(device),
        };
        self.open = message(&open.bytes());
    }

    fn refuse(&mut self, errno: i32) -> &mut [u8] {
        self.error[4..8].copy_from_slice(&(-errno).to_ne_bytes());
        &mut self.error
    }

    fn answer(
        &mut self,
        header: &wire::InHeader,
        body: &[u8],
        tally: &Tally,
        wake: &sys::Fd,
    ) -> Option<&mut [u8]> {
        let reached = |counter: &AtomicU64, n: u64| {
            let before = counter.fetch_add(n, Relaxed);
            let at = tally.wake_at.load(Relaxed);
            if before < at && at <= before + n {
                sys::write(wake.0, &[1]);
            }
        };
        Some(match header.opcode {
            wire::GETATTR if header.nodeid == FILE && !self.profile.answers => {
                reached(&tally.held, 1);
                return None;
            }
            wire::GETATTR if header.nodeid == FILE => &mut self.file_attr,
            wire::GETATTR => &mut self.dir_attr,
            wire::LOOKUP => match body {
                b"f\0" => &mut self.file_entry,
                b"d\0" => &mut self.dir_entry,
                [b'n', digits @ .., 0] if header.nodeid == DIRECTORY => {
                    let n = digits
                        .iter()
                        .fold(0, |n, d| n * 10 + u64::from(d.wrapping_sub(b'0')));
                    self.name_entry = message(&entry(&self.profile, FIRST + n).bytes());
                    &mut self.name_entry
                }
                _ => self.refuse(libc::ENOENT),
            },
            wire::FORGET => {
                reached(&tally.forgotten, 1);
                return None;
            }
            wire::BATCH_FORGET => {
                let count = wire::BatchForgetIn::from_bytes(body).count;
                reached(&tally.forgotten, count.into());
                return None;
            }
            wire::INTERRUPT => return None,
            wire::OPEN if !self.profile.opens => self.refuse(libc::ENOSYS),
            wire::OPEN => &mut self.open,
            wire::OPENDIR => &mut self.opendir,
            wire::READ => {
                let size = wire::ReadIn::from_bytes(body).size as usize;
                self.data(size)
            }
            wire::WRITE => {
                let size = wire::WriteIn::from_bytes(body).size;
                self.written[16..20].copy_from_slice(&size.to_ne_bytes());
                &mut self.written
            }
            wire::READDIR | wire::READDIRPLUS => {
                let read = wire::ReadIn::from_bytes(body);
                let plus = header.opcode == wire::READDIRPLUS;
                self.entries(read.offset, read.size as usize, plus)
            }
            wire::GETXATTR if self.profile.xattrs => self.refuse(libc::ENODATA),
            wire::FLUSH if self.profile.flushes => &mut self.empty,
            wire::CREATE => &mut self.made,
            wire::SETATTR => &mut self.file_attr,
            wire::UNLINK | wire::RELEASE | wire::RELEASEDIR | wire::FSYNC | wire::DESTROY => {
                &mut self.empty
            }
            wire::INIT => &mut self.init,
            _ => self.refuse(libc::ENOSYS),
        })
    }

    /// The first `len` bytes of the data, with their header.
    fn data(&mut self, len: usize) -> &mut [u8] {
        let message = &mut self.data[..wire::OUT_HEADER + len];
        message[..4].copy_from_slice(&((wire::OUT_HEADER + len) as u32).to_ne_bytes());
        message[4..8].fill(0);
        message
    }

    /// The entries from `offset` on, as many as fit in `size` bytes.
    fn entries(&mut self, offset: u64, size: usize, plus: bool) -> &mut [u8] {
        let mut listing = std::mem::take(&mut self.listing);
        listing.0.clear();
        listing.0.resize(wire::OUT_HEADER, 0);
        let fixed = if plus { 128 + 24 + 8 } else { 24 + 8 };
        for n in offset..self.profile.entries {
            if listing.0.len() - wire::OUT_HEADER + fixed > size {
                break;
            }
            let name = name(n);
            listing = if plus {
                listing.plus(entry(&self.profile, FIRST + n), FIRST + n, n + 1, name)
            } else {
                listing.add(FIRST + n, n + 1, libc::DT_REG, name)
            };
        }
        let len = listing.0.len() as u32;
        listing.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.listing = listing;
        &mut self.listing.0
    }
}

fn entry(profile: &Profile, node: u64) -> wire::EntryOut {
    wire::EntryOut {
        nodeid: node,
        generation: 1,
        entry_valid: if profile.names_last { EVER } else { 0 },
        attr_valid: if profile.attributes_last { EVER } else { 0 },
        attr: attr(node),
        ..Default::default()
    }
}

/// The name of the directory's entry `n`.
pub fn name(n: u64) -> [u8; 7] {
    let mut name = *b"n000000";
    let mut n = n;
    for digit in name[1..].iter_mut().rev() {
        *digit = b'0' + (n % 10) as u8;
        n /= 10;
    }
    name
}
