// SPDX-License-Identifier: GPL-2.0

//! Processes that make system calls on the mount while the test plays the server.

use super::device;
use super::lock::Lock;
use super::ms;
use super::patience;
use super::sleep_ms;
use super::sys;
use super::sys::Entry;
use super::sys::Errno;
use super::sys::Result;
use super::sys::Stat;
use super::sys::Statfs;
use super::wire::Wire;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;

/// A value that a caller can send back through its pipe.
pub trait Ship: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Self;
}

fn split<'a>(from: &mut &'a [u8], n: usize) -> &'a [u8] {
    let (head, tail) = from.split_at(n);
    *from = tail;
    head
}

macro_rules! ship_ints {
    ($($ty:ty)*) => {$(
        impl Ship for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
            fn take(from: &mut &[u8]) -> Self {
                Self::from_le_bytes(split(from, size_of::<Self>()).try_into().unwrap())
            }
        }
    )*};
}
ship_ints!(u8 i32 u32 i64 u64 usize);

macro_rules! ship_wire {
    ($($ty:ty)*) => {$(
        impl Ship for $ty {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.bytes());
            }
            fn take(from: &mut &[u8]) -> Self {
                Self::from_bytes(split(from, size_of::<Self>()))
            }
        }
    )*};
}
ship_wire!(Stat Statfs Lock);

impl Ship for () {
    fn put(&self, _: &mut Vec<u8>) {}
    fn take(_: &mut &[u8]) -> Self {}
}

impl Ship for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }
    fn take(from: &mut &[u8]) -> Self {
        u8::take(from) != 0
    }
}

impl Ship for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_bytes().to_vec().put(out);
    }
    fn take(from: &mut &[u8]) -> Self {
        String::from_utf8_lossy(&Vec::take(from)).into_owned()
    }
}

impl Ship for Errno {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
    fn take(from: &mut &[u8]) -> Self {
        Errno(i32::take(from))
    }
}

impl Ship for Entry {
    fn put(&self, out: &mut Vec<u8>) {
        (self.ino, self.off, self.kind).put(out);
        self.name.put(out);
    }
    fn take(from: &mut &[u8]) -> Self {
        let (ino, off, kind) = Ship::take(from);
        Entry {
            ino,
            off,
            kind,
            name: String::take(from),
        }
    }
}

impl<T: Ship> Ship for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.len().put(out);
        self.iter().for_each(|x| x.put(out));
    }
    fn take(from: &mut &[u8]) -> Self {
        (0..usize::take(from)).map(|_| T::take(from)).collect()
    }
}

impl<T: Ship> Ship for Result<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(t) => t.put(out),
            Err(e) => e.put(out),
        }
    }
    fn take(from: &mut &[u8]) -> Self {
        if bool::take(from) {
            Ok(T::take(from))
        } else {
            Err(Errno::take(from))
        }
    }
}

impl<A: Ship, B: Ship> Ship for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }
    fn take(from: &mut &[u8]) -> Self {
        (A::take(from), B::take(from))
    }
}

impl<A: Ship, B: Ship, C: Ship> Ship for (A, B, C) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
        self.2.put(out);
    }
    fn take(from: &mut &[u8]) -> Self {
        (A::take(from), B::take(from), C::take(from))
    }
}

impl<T: Ship> Ship for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        self.iter().for_each(|x| x.put(out));
    }
    fn take(from: &mut &[u8]) -> Self {
        bool::take(from).then(|| T::take(from))
    }
}

/// What the code in the forked process has: the mount, and a way to wait for the test.
pub struct Side {
    root: String,
    say: OwnedFd,
    go: OwnedFd,
}

impl Side {
    /// The path of `name` in the mount; the mount point itself for "".
    pub fn path(&self, name: &str) -> String {
        if name.is_empty() {
            self.root.clone()
        } else {
            format!("{}/{name}", self.root)
        }
    }

    /// Stops here until the test says [`Caller::go`].
    pub fn pause(&self) {
        message(&self.say, b'p', &[]);
        let _ = sys::read(self.go.as_raw_fd(), 1);
    }

    pub fn stat(&self, name: &str) -> Result<Stat> {
        sys::stat(&self.path(name))
    }

    pub fn lstat(&self, name: &str) -> Result<Stat> {
        sys::lstat(&self.path(name))
    }

    pub fn open(&self, name: &str) -> Result<RawFd> {
        sys::open(&self.path(name), libc::O_RDONLY)
    }

    pub fn opendir(&self, name: &str) -> Result<RawFd> {
        sys::open(&self.path(name), libc::O_RDONLY | libc::O_DIRECTORY)
    }

    pub fn readlink(&self, name: &str) -> Result<Vec<u8>> {
        sys::readlink(&self.path(name))
    }

    pub fn access(&self, name: &str, mode: i32) -> Result<()> {
        sys::access(&self.path(name), mode)
    }

    pub fn statfs(&self, name: &str) -> Result<Statfs> {
        sys::statfs(&self.path(name))
    }
}

fn message(to: &OwnedFd, tag: u8, body: &[u8]) {
    let mut m = vec![tag];
    m.extend((body.len() as u64).to_le_bytes());
    m.extend(body);
    let mut rest = &m[..];
    while let Ok(n) = sys::write(to.as_raw_fd(), rest) {
        rest = &rest[n..];
        if rest.is_empty() {
            return;
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    Exit(i32),
    Signal(i32),
}

/// A process that runs one closure against the mount.
pub struct Caller<T> {
    pub pid: i32,
    pidfd: OwnedFd,
    hear: OwnedFd,
    go: OwnedFd,
    death: Option<Death>,
    result: std::marker::PhantomData<T>,
}

impl<T: Ship> Caller<T> {
    /// Forks a process that runs `f` on the mount at `root`. It has no device open, so it keeps no connection alive.
    pub fn start<F: FnOnce(&Side) -> T>(root: &str, f: F) -> Self {
        Self::fork(root, true, f)
    }

    /// As `start`, but the process keeps the devices that the test has open: it can be a server.
    pub fn start_with_devices<F: FnOnce(&Side) -> T>(root: &str, f: F) -> Self {
        Self::fork(root, false, f)
    }

    fn fork<F: FnOnce(&Side) -> T>(root: &str, close_devices: bool, f: F) -> Self {
        let (hear, say) = sys::pipe();
        let (wait, go) = sys::pipe();
        // SAFETY: the test process has one thread, so the child may do anything.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {:?}", sys::errno());
        if pid == 0 {
            drop((hear, go));
            if close_devices {
                device::close_all();
            }
            let side = Side {
                root: root.to_string(),
                say,
                go: wait,
            };
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(&side))) {
                Ok(t) => {
                    let mut body = Vec::new();
                    t.put(&mut body);
                    message(&side.say, b'r', &body);
                }
                Err(_) => message(&side.say, b'x', crate::harness::last_panic().as_bytes()),
            }
            // SAFETY: ends the process without running the test's destructors.
            unsafe { libc::_exit(0) };
        }
        Self {
            pid,
            pidfd: sys::pidfd(pid),
            hear,
            go,
            death: None,
            result: std::marker::PhantomData,
        }
    }

    fn hear(&self) -> Option<(u8, Vec<u8>)> {
        let fd = self.hear.as_raw_fd();
        assert!(
            sys::poll(fd, libc::POLLIN, patience()) != 0,
            "the caller does not come back: {}",
            self.whereabouts()
        );
        let mut head = Vec::new();
        while head.len() < 9 {
            match sys::read(fd, 9 - head.len()) {
                Ok(b) if !b.is_empty() => head.extend(b),
                _ => return None,
            }
        }
        let len = u64::from_le_bytes(head[1..].try_into().unwrap()) as usize;
        let mut body = Vec::new();
        while body.len() < len {
            match sys::read(fd, len - body.len()) {
                Ok(b) if !b.is_empty() => body.extend(b),
                _ => return None,
            }
        }
        if head[0] == b'x' {
            panic!("in the caller: {}", String::from_utf8_lossy(&body));
        }
        Some((head[0], body))
    }

    /// Waits for the result of the closure.
    pub fn wait(&self) -> T {
        match self.hear() {
            Some((b'r', body)) => T::take(&mut &body[..]),
            Some(_) => panic!("the caller paused where its result was awaited"),
            None => panic!("the caller died without a result"),
        }
    }

    /// Waits until the closure is at its next [`Side::pause`].
    pub fn paused(&self) {
        match self.hear() {
            Some((b'p', _)) => (),
            Some(_) => panic!("the caller ended where its pause was awaited"),
            None => panic!("the caller died before its pause"),
        }
    }

    /// Lets a paused closure go on.
    pub fn go(&self) {
        sys::write(self.go.as_raw_fd(), b"g").expect("go");
    }

    /// A descriptor that can be read once the closure has paused or ended.
    pub fn done(&self) -> RawFd {
        self.hear.as_raw_fd()
    }

    /// Whether the closure has neither paused nor ended so far.
    pub fn running(&self) -> bool {
        sys::poll(self.hear.as_raw_fd(), libc::POLLIN, 0) == 0
    }

    pub fn signal(&self, sig: i32) {
        sys::kill(self.pid, sig);
    }

    /// The state letter of /proc/PID/stat: S interruptible, D killable or uninterruptible, R running, Z dead.
    pub fn state(&self) -> char {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        stat.rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next())
            .unwrap_or('Z')
    }

    /// What the process does, for messages.
    pub fn whereabouts(&self) -> String {
        let wchan =
            std::fs::read_to_string(format!("/proc/{}/wchan", self.pid)).unwrap_or_default();
        let stack =
            std::fs::read_to_string(format!("/proc/{}/stack", self.pid)).unwrap_or_default();
        let places: Vec<_> = stack
            .lines()
            .filter_map(|l| l.split_whitespace().nth(1))
            .collect();
        format!("state {} in {wchan}: {}", self.state(), places.join(" "))
    }

    fn until(&self, what: &str, wanted: &[char]) {
        let mut in_a_row = 0;
        // Not a number of looks: where each takes long, nobody would hear what was awaited.
        let start = std::time::Instant::now();
        while (start.elapsed().as_millis() as i64) < 2 * patience() {
            in_a_row = if wanted.contains(&self.state()) {
                in_a_row + 1
            } else {
                0
            };
            if in_a_row == 3 {
                return;
            }
            sys::sleep_ms(1);
        }
        panic!("the caller is not {what}: {}", self.whereabouts());
    }

    /// Waits until the process sleeps where any signal wakes it.
    pub fn until_interruptible(&self) {
        self.until("in an interruptible sleep", &['S']);
    }

    /// Waits until the process sleeps where at most a fatal signal wakes it.
    pub fn until_uninterruptible(&self) {
        self.until("in an uninterruptible sleep", &['D']);
    }

    /// Waits until the process sleeps.
    pub fn until_asleep(&self) {
        self.until("asleep", &['S', 'D']);
    }

    /// Checks for a while that the process goes on sleeping and comes back with nothing.
    pub fn stays_asleep(&self) {
        self.until_asleep();
        sys::sleep_ms(ms(30) as u64);
        assert!(self.running(), "the caller came back");
        assert!(
            matches!(self.state(), 'S' | 'D'),
            "the caller does not sleep: {}",
            self.whereabouts()
        );
    }

    /// Waits for the end of the process.
    pub fn death(&mut self) -> Death {
        if self.death.is_none() {
            let ended = sys::poll(self.pidfd.as_raw_fd(), libc::POLLIN, patience()) != 0;
            assert!(ended, "the caller does not die: {}", self.whereabouts());
            self.reap();
        }
        self.death.expect("reaped")
    }

    /// Whether the process has ended by now.
    pub fn is_gone(&mut self) -> bool {
        if self.death.is_none() && sys::poll(self.pidfd.as_raw_fd(), libc::POLLIN, 0) != 0 {
            self.reap();
        }
        self.death.is_some()
    }

    fn reap(&mut self) {
        let mut status = 0;
        // SAFETY: room for one status; the child is ours and not yet waited for.
        if unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } == self.pid {
            self.death = Some(if libc::WIFSIGNALED(status) {
                Death::Signal(libc::WTERMSIG(status))
            } else {
                Death::Exit(libc::WEXITSTATUS(status))
            });
        }
    }
}

impl<T> Drop for Caller<T> {
    fn drop(&mut self) {
        if self.death.is_none() && !std::thread::panicking() {
            // Gone by itself in all but failing tests; what is left dies with the test's pid namespace.
            sys::poll(self.pidfd.as_raw_fd(), libc::POLLIN, ms(200));
            // SAFETY: the child is ours; no memory involved.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), libc::WNOHANG) };
        }
    }
}

/// Waits until all of them have ended, `ms` milliseconds at most; says of those that have not where they are.
#[track_caller]
pub fn all_end(callers: &mut [Caller<()>], ms: i64) {
    let start = std::time::Instant::now();
    while !callers.iter_mut().all(Caller::is_gone) {
        if (start.elapsed().as_millis() as i64) >= ms {
            let left = callers
                .iter_mut()
                .filter_map(|c| (!c.is_gone()).then(|| c.whereabouts()));
            panic!("they do not end: {}", left.collect::<Vec<_>>().join("; "));
        }
        sleep_ms(5);
    }
}
