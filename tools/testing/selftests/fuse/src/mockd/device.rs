// SPDX-License-Identifier: GPL-2.0

//! The server's end: /dev/fuse, the requests read from it and the replies written to it.
//!
//! A device may have a ring ([`Device::start_ring`]). What comes over it is seen as if it had been read from the device, and
//! an answer to it goes back over it, so that a test need not know.

use super::patience;
use super::ring::Ring;
use super::sys;
use super::sys::Errno;
use super::sys::Result;
use super::sys::EAGAIN;
use super::wire;
use super::wire::InHeader;
use super::wire::OutHeader;
use super::wire::Wire;
use super::wire::IN_HEADER;
use super::wire::OUT_HEADER;
use std::cell::RefCell;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Instant;

thread_local! {
    /// Every device this process has open. A caller closes them, or a dead server's connection would live on in it.
    static OPEN: RefCell<Vec<RawFd>> = const { RefCell::new(Vec::new()) };
}

/// Closes every open device; for callers, right after the fork.
pub fn close_all() {
    for fd in OPEN.with_borrow_mut(std::mem::take) {
        let _ = sys::close(fd);
    }
}

struct Opened {
    fd: RawFd,
    ring: RefCell<Option<Served>>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        let ring = self.ring.take();
        let ring_fd = ring.as_ref().map(|served| served.ring.fd());
        OPEN.with_borrow_mut(|open| open.retain(|&fd| fd != self.fd && Some(fd) != ring_fd));
        drop(ring);
        let _ = sys::close(self.fd);
    }
}

/// A ring whose requests the test has read.
struct Served {
    ring: Ring,
    /// Ids of requests that are not answered, and their entries.
    taken: Vec<(u64, usize)>,
}

impl Served {
    /// Takes the next request of the ring: as `/dev/fuse` would give it.
    fn read(&mut self) -> Option<Vec<u8>> {
        let index = self.ring.next()?;
        let entry = &self.ring.entries[index];
        let (head, ent) = (entry.head(), entry.ent());
        assert_eq!(
            ent.commit_id, head.unique,
            "the ring's id is that of the request"
        );
        self.taken.push((head.unique, index));
        let body = (head.len as usize)
            .checked_sub(IN_HEADER)
            .expect("a header");
        let payload = ent.payload_sz as usize;
        let op = body
            .checked_sub(payload)
            .expect("the payload is part of the body");
        let mut bytes = head.bytes();
        bytes.extend(entry.op(op));
        bytes.extend(entry.payload(payload));
        Some(bytes)
    }

    /// Writes an answer to what came over the ring; `None` if this did not.
    fn write(&mut self, data: &[u8]) -> Option<Result<usize>> {
        let unique = (data.len() >= OUT_HEADER).then(|| OutHeader::from_bytes(data).unique)?;
        let at = self.taken.iter().position(|&(id, _)| id == unique)?;
        let index = self.taken[at].1;
        let result = self
            .ring
            .reply(index, OutHeader::from_bytes(data), &data[OUT_HEADER..]);
        if result.is_ok() {
            self.taken.remove(at);
        }
        Some(result.map(|()| data.len()))
    }
}

/// An opened /dev/fuse.
#[derive(Clone)]
pub struct Device(Rc<Opened>);

impl Device {
    /// Opens the device for non-blocking use: reads wait by poll(2), with a limit.
    pub fn open() -> Self {
        Self::from_fd(sys::open("/dev/fuse", libc::O_RDWR | libc::O_NONBLOCK).expect("/dev/fuse"))
    }

    pub fn from_fd(fd: RawFd) -> Self {
        OPEN.with_borrow_mut(|open| open.push(fd));
        Device(Rc::new(Opened {
            fd,
            ring: RefCell::new(None),
        }))
    }

    pub fn fd(&self) -> RawFd {
        self.0.fd
    }

    /// Registers `depth` entries with room for `payload` bytes on each queue: from then on requests come over the ring.
    pub fn start_ring(&self, depth: usize, payload: usize) {
        let mut ring = Ring::new(self.fd());
        ring.register_all(depth, payload);
        self.serve_ring(ring);
    }

    /// Takes requests from this ring, too.
    pub fn serve_ring(&self, ring: Ring) {
        OPEN.with_borrow_mut(|open| open.push(ring.fd()));
        let taken = Vec::new();
        *self.0.ring.borrow_mut() = Some(Served { ring, taken });
    }

    /// Looks at the ring.
    #[track_caller]
    pub fn with_ring<T>(&self, f: impl FnOnce(&mut Ring) -> T) -> T {
        f(&mut self.0.ring.borrow_mut().as_mut().expect("a ring").ring)
    }

    /// Waits until the device or its ring has something to read, `ms` milliseconds at most.
    fn wait_readable(&self, ms: i64) -> bool {
        let start = Instant::now();
        let mut served = self.0.ring.borrow_mut();
        let ring_fd = served.as_ref().map_or(-1, |served| served.ring.fd());
        let mut has_next = || served.as_mut().is_some_and(|served| served.ring.has_next());
        loop {
            let left = (ms - start.elapsed().as_millis() as i64).max(0);
            let wait = if has_next() { 0 } else { left };
            let device = sys::poll_two([self.fd(), ring_fd], libc::POLLIN, wait)[0];
            if device & libc::POLLIN != 0 || has_next() {
                return true;
            }
            if device != 0 || left == 0 {
                return false;
            }
        }
    }

    /// Another descriptor of the same opened device.
    pub fn dup(&self) -> Self {
        Self::from_fd(sys::dup(self.fd()).expect("dup"))
    }

    /// One read(2) with a buffer of `len` bytes.
    pub fn read(&self, len: usize) -> Result<Vec<u8>> {
        let over_ring = self.0.ring.borrow_mut().as_mut().and_then(Served::read);
        over_ring.map_or_else(|| sys::read(self.fd(), len), Ok)
    }

    pub fn write(&self, data: &[u8]) -> Result<usize> {
        let mut served = self.0.ring.borrow_mut();
        let over_ring = served.as_mut().and_then(|served| served.write(data));
        over_ring.unwrap_or_else(|| sys::write(self.fd(), data))
    }

    /// The events that hold right now.
    pub fn poll(&self) -> i16 {
        sys::poll(
            self.fd(),
            libc::POLLIN | libc::POLLOUT | libc::POLLRDNORM | libc::POLLWRNORM,
            0,
        )
    }

    /// Whether there is something to read right now. Once a caller is back, all that it has caused is here.
    pub fn readable(&self) -> bool {
        self.wait_readable(0)
    }

    /// Waits for the next request and reads it.
    pub fn next(&self) -> Request {
        self.next_within(patience()).expect("no request comes")
    }

    /// As `next`, but gives up after `ms` milliseconds.
    pub fn next_within(&self, ms: i64) -> Option<Request> {
        let start = Instant::now();
        loop {
            let left = (ms - start.elapsed().as_millis() as i64).max(0);
            if !self.wait_readable(left) {
                return None;
            }
            match self.read(1 << 20) {
                Ok(bytes) => return Some(Request::parse(self.clone(), bytes)),
                // Between the two a caller was killed, and its request withdrawn.
                Err(EAGAIN) if left > 0 || ms == 0 => (),
                Err(e) => panic!("read of a readable device: {e:?}"),
            }
        }
    }

    /// Reads the request that is there with a buffer of `len` bytes.
    pub fn next_with(&self, len: usize) -> Request {
        Request::parse(self.clone(), self.read(len).expect("a request"))
    }

    /// Checks that there is no request to read.
    pub fn assert_quiet(&self) {
        if self.readable() {
            panic!("unexpected request: {:?}", self.next());
        }
    }

    /// Waits for the next request, which must be `opcode`.
    pub fn expect(&self, opcode: u32) -> Request {
        let Some(r) = self.next_within(patience()) else {
            panic!(
                "{} expected, but no request comes",
                wire::opcode_name(opcode)
            );
        };
        assert!(
            r.head.opcode == opcode,
            "{} expected, {r:?} came",
            wire::opcode_name(opcode)
        );
        r
    }

    /// As [`Self::expect`], of a request that must come by the device and not over its ring.
    #[track_caller]
    pub fn expect_here(&self, opcode: u32) -> Request {
        let events = sys::poll(self.fd(), libc::POLLIN, patience());
        assert!(events & libc::POLLIN != 0, "nothing comes by the device");
        let bytes = sys::read(self.fd(), 1 << 20).expect("a request");
        let r = Request::parse(self.clone(), bytes);
        assert_eq!(r.head.opcode, opcode, "{r:?} came");
        r
    }

    /// Writes a reply to `unique`: header with the right length, then `body`.
    pub fn reply(&self, unique: u64, error: i32, body: &[u8]) -> Result<()> {
        let head = OutHeader {
            len: (OUT_HEADER + body.len()) as u32,
            error,
            unique,
        };
        let mut m = head.bytes();
        m.extend(body);
        let n = self.write(&m)?;
        assert_eq!(n, m.len(), "the device takes replies whole");
        Ok(())
    }
}

/// Serves with `answer` until `done`; a request that comes meanwhile is never left waiting.
pub fn serve_until(dev: &Device, mut answer: impl FnMut(Request), mut done: impl FnMut() -> bool) {
    while !done() {
        // Looked for only when there is nothing to do, because that takes longer than most answers.
        while let Some(r) = dev.next_within(1) {
            answer(r);
        }
    }
}

/// A request as it was read.
#[must_use = "check it, and answer it or leave it to be answered later"]
pub struct Request {
    pub head: InHeader,
    /// Structures, names and data.
    pub body: Vec<u8>,
    /// What comes behind them.
    pub ext: Vec<u8>,
    dev: Device,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let h = &self.head;
        write!(
            f,
            "{} node {} unique {} len {}",
            wire::opcode_name(h.opcode),
            h.nodeid,
            h.unique,
            h.len
        )?;
        if h.opcode == wire::LOOKUP {
            write!(f, " name {:?}", self.name())?;
        }
        Ok(())
    }
}

impl Request {
    /// Splits what one read gave; the laws that hold for every request are checked here, so in every test.
    fn parse(dev: Device, bytes: Vec<u8>) -> Self {
        let head = InHeader::from_bytes(&bytes);
        assert_eq!(
            head.len as usize,
            bytes.len(),
            "one read gives one request, whose header says its length"
        );
        assert!(head.unique != 0, "unique 0 means a notification");
        assert_eq!(
            head.unique & 1,
            u64::from(head.opcode == wire::INTERRUPT),
            "bit 0 of unique marks interrupts only"
        );
        assert_eq!(head.padding, 0, "zero padding");
        let extensible = [
            wire::CREATE,
            wire::MKNOD,
            wire::MKDIR,
            wire::SYMLINK,
            wire::TMPFILE,
        ];
        assert!(
            head.total_extlen == 0 || extensible.contains(&head.opcode),
            "only what makes something has extensions"
        );
        let mut body = bytes[IN_HEADER..].to_vec();
        let ext_len = usize::from(head.total_extlen) * 8;
        assert!(ext_len <= body.len(), "extensions are part of the body");
        let ext = body.split_off(body.len() - ext_len);
        Request {
            head,
            body,
            ext,
            dev,
        }
    }

    pub fn unique(&self) -> u64 {
        self.head.unique
    }

    /// Checks the node.
    #[track_caller]
    pub fn node(self, node: u64) -> Self {
        assert_eq!(self.head.nodeid, node, "node of {self:?}");
        self
    }

    /// Checks that the body is one `T` and no more, and returns it.
    #[track_caller]
    pub fn arg<T: Wire>(&self) -> T {
        assert_eq!(
            self.body.len(),
            size_of::<T>(),
            "length of the body of {self:?}"
        );
        T::from_bytes(&self.body)
    }

    /// Checks that the body is one name with its NUL, and returns it.
    #[track_caller]
    pub fn name(&self) -> String {
        let (last, name) = self.body.split_last().expect("a name");
        assert_eq!(*last, 0, "a name ends in NUL");
        assert!(!name.contains(&0), "a name has one NUL, at its end");
        String::from_utf8_lossy(name).into_owned()
    }

    /// Answers with success and `body`; the device must take it.
    #[track_caller]
    pub fn reply(self, body: &[u8]) {
        self.try_reply(body).expect("a good reply is taken");
    }

    /// Answers with success and one struct.
    #[track_caller]
    pub fn ok<T: Wire>(self, body: T) {
        self.reply(&body.bytes());
    }

    /// Answers with an error; the device must take it.
    #[track_caller]
    pub fn err(self, e: Errno) {
        self.dev
            .reply(self.head.unique, -e.0, &[])
            .expect("a good error reply is taken");
    }

    /// Answers with success and `body`, which the device may refuse; the request can be answered again.
    pub fn try_reply(&self, body: &[u8]) -> Result<()> {
        self.dev.reply(self.head.unique, 0, body)
    }

    /// Writes a reply with any header fields and body.
    pub fn raw_reply(&self, len: u32, error: i32, unique: u64, body: &[u8]) -> Result<usize> {
        let mut m = OutHeader { len, error, unique }.bytes();
        m.extend(body);
        self.dev.write(&m)
    }

    /// Writes the answer to an INTERRUPT message.
    pub fn answer_interrupt(self, e: Errno) -> Result<()> {
        assert_eq!(self.head.opcode, wire::INTERRUPT);
        self.dev.reply(self.head.unique, -e.0, &[])
    }
}
