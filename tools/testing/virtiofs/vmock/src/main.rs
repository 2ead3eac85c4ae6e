// SPDX-License-Identifier: GPL-2.0

//! vmock: a virtiofs device for QEMU that answers wrongly when the guest's test tells it to.
//!
//! `vmock SOCKET` listens there for one QEMU, speaks vhost-user, serves files from memory, and ends
//! with QEMU. Its one thread reads messages and queues in turn. The file `.vmock` of the mount
//! takes orders (see `script::order`), and reads as what the device has counted. No order lies to
//! requests for that file.
//!
//! It speaks the protocol over libc, because the queues of the crate virtio-queue refuse to give
//! back a descriptor beyond the ring. QEMU's `docs/interop/vhost-user.rst` has the messages.

mod files;
mod ring;
mod script;

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::time::Instant;

use files::Files;
use files::Parse;
use ring::Chain;
use ring::Memory;
use ring::Region;
use ring::Ring;
use script::Lie;
use script::Order;

/// Hiprio and this many less one for requests.
const RINGS: usize = 5;

const GET_FEATURES: u32 = 1;
const SET_MEM_TABLE: u32 = 5;
const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
const GET_VRING_BASE: u32 = 11;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const GET_PROTOCOL_FEATURES: u32 = 15;
const GET_QUEUE_NUM: u32 = 17;

/// RING_INDIRECT_DESC, the vhost-user protocol's features, VERSION_1.
const FEATURES: u64 = (1 << 28) | (1 << 30) | (1 << 32);
/// MQ and REPLY_ACK.
const PROTOCOL_FEATURES: u64 = (1 << 0) | (1 << 3);
const REPLY: u32 = 1 | 4;
const NEED_REPLY: u32 = 8;

const HEADER: usize = 16;

/// An answer that is not given yet.
struct Held {
    ring: usize,
    chain: Chain,
    answer: Vec<u8>,
    used: u32,
    lie: Lie,
    /// When it is due, if that is a matter of time.
    due: Option<Instant>,
    /// The ring was reset since: only the descriptor's number is left.
    reset: bool,
}

struct Device {
    memory: Memory,
    rings: Vec<Ring>,
    files: Files,
    rules: Vec<(u32, u32, Lie)>,
    held: Vec<Held>,
    stopped: Option<Instant>,
}

impl Device {
    fn new() -> Self {
        Self {
            memory: Memory::default(),
            rings: (0..RINGS).map(|_| Ring::default()).collect(),
            files: Files::new(),
            rules: Vec::new(),
            held: Vec::new(),
            stopped: None,
        }
    }

    fn counts(&self) -> Vec<u8> {
        let mut text = format!("held {}\nknown {}\n", self.held.len(), self.files.known());
        for (number, ring) in self.rings.iter().enumerate() {
            text += &format!("queue{number} {}\n", ring.requests);
        }
        text.into_bytes()
    }

    fn give(&mut self, held: Held) {
        let Some(ring) = self.rings.get_mut(held.ring) else {
            return;
        };
        if !held.reset {
            held.chain.write(&self.memory, &held.answer);
        }
        let head = match held.lie {
            Lie::Head(off) => held.chain.head.wrapping_add_signed(off),
            _ => held.chain.head,
        };
        ring.push(&self.memory, head, held.used);
        if held.lie == Lie::Twice {
            ring.push(&self.memory, head, held.used);
        }
    }

    /// Gives every held answer that `ready` picks, in the order in which it was asked for.
    fn give_held(&mut self, reverse: bool, ready: impl Fn(&Held) -> bool) {
        let (mut now, later) = std::mem::take(&mut self.held)
            .into_iter()
            .partition::<Vec<_>, _>(ready);
        self.held = later;
        if reverse {
            now.reverse();
        }
        now.into_iter().for_each(|held| self.give(held));
    }

    fn obey(&mut self, line: &str) -> Result<(), i32> {
        match script::order(line).ok_or(libc::EINVAL)? {
            Order::Rule { opcode, times, lie } => self.rules.push((opcode, times, lie)),
            Order::Release { reverse } => self.give_held(reverse, |held| held.lie == Lie::Hold),
            Order::Stop(time) => self.stopped = Some(Instant::now() + Duration::from_millis(time)),
            Order::Timeout(seconds) => self.files.timeout = seconds,
        }
        Ok(())
    }

    fn control(&mut self, opcode: u32, mut body: Parse<'_>) -> files::Answer {
        body.skip(8)?;
        let (offset, size) = (body.u64()?, body.u32()?);
        if opcode == files::READ {
            let text = self.counts();
            let text = text.get(offset as usize..).unwrap_or_default();
            return Ok(text.get(..size as usize).unwrap_or(text).to_vec());
        }
        body.skip(20)?;
        let text = String::from_utf8_lossy(body.0).into_owned();
        text.lines().try_for_each(|line| self.obey(line))?;
        Ok(files::Build::default().u32(size).u32(0).0)
    }

    fn lie_for(&mut self, opcode: u32, id: u64) -> Option<Lie> {
        if id == files::CONTROL {
            return None;
        }
        let at = self.rules.iter().position(|rule| rule.0 == opcode)?;
        let rule = self.rules.get_mut(at)?;
        let lie = rule.2;
        rule.1 = rule.1.saturating_sub(1);
        if rule.1 == 0 {
            self.rules.remove(at);
        }
        Some(lie)
    }

    /// Answers a request, or keeps it.
    fn serve(&mut self, ring: usize, chain: Chain) -> Result<(), i32> {
        let mut header = Parse(&chain.request);
        let (_, opcode) = (header.u32()?, header.u32()?);
        let (unique, id) = (header.u64()?, header.u64()?);
        header.skip(16)?;
        let mut held = Held {
            ring,
            chain: Chain {
                head: chain.head,
                request: Vec::new(),
                room: Vec::new(),
            },
            answer: Vec::new(),
            used: 0,
            lie: Lie::Length(0),
            due: None,
            reset: false,
        };
        if matches!(opcode, files::FORGET | files::BATCH_FORGET) {
            let told = self.files.tell(opcode, id, header);
            self.give(held);
            return told;
        }
        let name = header.0.starts_with(b".vmock\0");
        let lie = if opcode == files::LOOKUP && name {
            None
        } else {
            self.lie_for(opcode, id)
        };
        let steers = id == files::CONTROL && matches!(opcode, files::READ | files::WRITE);
        let body = if steers {
            self.control(opcode, header)
        } else {
            self.files.ask(opcode, id, header)
        };
        let (mut error, mut body) = match body {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        held.lie = lie.unwrap_or(Lie::Length(0));
        let (mut used, mut length, mut off) = (0, 0, 0);
        match held.lie {
            Lie::Used(by) => used = by,
            Lie::Length(by) => length = by,
            Lie::Both(by) => (used, length) = (by, by),
            Lie::Unique(by) => off = by,
            Lie::Error(other) => (error, body) = (other, Vec::new()),
            Lie::LongError(other) => error = other,
            Lie::Delay(time) => {
                held.due = Some(Instant::now() + Duration::from_millis(time.unsigned_abs().into()));
            }
            Lie::Hold | Lie::Stale | Lie::Twice | Lie::Head(_) => {}
        }
        let size = (HEADER + body.len()) as u32;
        let answer = files::Build::default().u32(size.wrapping_add_signed(length));
        held.answer = answer
            .u32(error as u32)
            .u64(unique.wrapping_add_signed(off.into()))
            .0;
        held.answer.extend(body);
        held.used = size.wrapping_add_signed(used);
        held.chain = chain;
        if held.due.is_some() || matches!(held.lie, Lie::Hold | Lie::Stale) {
            self.held.push(held);
        } else {
            self.give(held);
        }
        Ok(())
    }

    /// Serves whatever is in the queues and is due.
    fn work(&mut self) {
        let now = Instant::now();
        self.give_held(false, |held| held.due.is_some_and(|due| due <= now));
        if self.stopped.is_some_and(|until| now < until) {
            return;
        }
        self.stopped = None;
        for number in 0..RINGS {
            while let Some(chain) = self
                .rings
                .get_mut(number)
                .and_then(|ring| ring.pop(&self.memory))
            {
                self.give_held(false, |held| held.reset && held.ring == number);
                if let Err(error) = self.serve(number, chain) {
                    eprintln!("a request that cannot be read: {error}");
                }
            }
        }
    }

    /// Does what QEMU says; the answer's body, if it has one.
    fn message(
        &mut self,
        request: u32,
        body: &[u8],
        mut fds: Vec<File>,
    ) -> Result<Option<Vec<u8>>, i32> {
        let number = |value: u64| Ok(Some(value.to_le_bytes().to_vec()));
        let mut parse = Parse(body);
        match request {
            GET_FEATURES => return number(FEATURES),
            GET_PROTOCOL_FEATURES => return number(PROTOCOL_FEATURES),
            GET_QUEUE_NUM => return number(RINGS as u64),
            SET_MEM_TABLE => {
                let count = parse.u32()?;
                parse.skip(4)?;
                self.memory.0.clear();
                for file in fds.iter().take(count as usize) {
                    let (guest, size) = (parse.u64()?, parse.u64()?);
                    let region = Region::new(file, guest, size, parse.u64()?, parse.u64()?);
                    self.memory.0.push(region.map_err(|_| libc::ENOMEM)?);
                }
                return Ok(None);
            }
            SET_VRING_NUM..=SET_VRING_CALL => {}
            _ => return Ok(None),
        }
        let at = (parse.u32()? & 0xff) as usize;
        let ring = self.rings.get_mut(at).ok_or(libc::EINVAL)?;
        match request {
            SET_VRING_NUM => ring.size = parse.u32()? as u16,
            SET_VRING_ADDR => {
                parse.skip(4)?;
                let mut place = || self.memory.guest(parse.u64()?).ok_or(libc::EFAULT);
                (ring.desc, ring.used, ring.avail) = (place()?, place()?, place()?);
                ring.start(&self.memory);
            }
            SET_VRING_BASE => ring.taken = parse.u32()? as u16,
            GET_VRING_BASE => {
                ring.kick = None;
                let taken = ring.taken;
                self.held
                    .retain(|held| held.ring != at || held.lie == Lie::Stale);
                self.held
                    .iter_mut()
                    .filter(|held| held.ring == at)
                    .for_each(|held| held.reset = true);
                return Ok(Some(
                    files::Build::default().u32(at as u32).u32(taken.into()).0,
                ));
            }
            SET_VRING_KICK => ring.kick = fds.pop(),
            _ => ring.call = fds.pop(),
        }
        Ok(None)
    }
}

/// Reads bytes and the descriptors with them; false at the end.
fn receive(socket: &UnixStream, to: &mut [u8], fds: &mut Vec<File>) -> bool {
    let mut done = 0;
    while let Some(room) = to.get_mut(done..).filter(|room| !room.is_empty()) {
        let mut part = libc::iovec {
            iov_base: room.as_mut_ptr().cast(),
            iov_len: room.len(),
        };
        let mut control = [0u64; 32];
        // SAFETY: All zeros are a message header without anything.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = &mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = std::mem::size_of_val(&control);
        // SAFETY: The message names two buffers that are borrowed until the call returns.
        let got =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
        if got <= 0 {
            return false;
        }
        // SAFETY: The kernel has filled in the header, whose control buffer is still there.
        let first = unsafe { libc::CMSG_FIRSTHDR(&message).as_ref() };
        if let Some(first) = first.filter(|first| first.cmsg_type == libc::SCM_RIGHTS) {
            // SAFETY: It only counts on from the header, within the control buffer.
            let data = unsafe { libc::CMSG_DATA(first) }.cast::<i32>();
            for at in 0..(first.cmsg_len - std::mem::size_of::<libc::cmsghdr>()) / 4 {
                // SAFETY: The kernel wrote `cmsg_len` bytes, and each number is a descriptor that
                // it has just made for this process and that nothing else owns.
                fds.push(unsafe { File::from_raw_fd(data.add(at).read_unaligned()) });
            }
        }
        done += got as usize;
    }
    true
}

/// Handles one message of QEMU; false when QEMU has ended.
fn converse(device: &mut Device, mut socket: &UnixStream) -> bool {
    let (mut header, mut fds) = ([0; 12], Vec::new());
    if !receive(socket, &mut header, &mut fds) {
        return false;
    }
    let mut parse = Parse(&header);
    let (Ok(request), Ok(flags), Ok(size)) = (parse.u32(), parse.u32(), parse.u32()) else {
        return false;
    };
    let mut body = vec![0; size.min(4096) as usize];
    if !receive(socket, &mut body, &mut fds) {
        return false;
    }
    let done = device.message(request, &body, fds);
    let answer = match done {
        Ok(Some(answer)) => answer,
        Ok(None) if flags & NEED_REPLY == 0 => return true,
        Ok(None) => 0u64.to_le_bytes().to_vec(),
        Err(error) => {
            eprintln!("message {request}: {error}");
            if flags & NEED_REPLY == 0 {
                return true;
            }
            1u64.to_le_bytes().to_vec()
        }
    };
    let mut message = files::Build::default()
        .u32(request)
        .u32(REPLY)
        .u32(answer.len() as u32)
        .0;
    message.extend(answer);
    std::io::Write::write_all(&mut socket, &message).is_ok()
}

fn main() {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: vmock SOCKET");
        std::process::exit(2)
    };
    let socket = match UnixListener::bind(path).and_then(|listener| listener.accept()) {
        Ok((socket, _)) => socket,
        Err(error) => {
            eprintln!("vmock: {error}");
            std::process::exit(1)
        }
    };
    let mut device = Device::new();
    loop {
        let mut files = vec![socket.as_raw_fd()];
        files.extend(
            device
                .rings
                .iter()
                .filter_map(|ring| ring.kick.as_ref())
                .map(|f| f.as_raw_fd()),
        );
        let event = |&fd: &i32| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut polls: Vec<_> = files.iter().map(event).collect();
        let pending = device.stopped.is_some() || device.held.iter().any(|held| held.due.is_some());
        // SAFETY: The array has as many entries as the call is told.
        unsafe {
            libc::poll(
                polls.as_mut_ptr(),
                polls.len() as u64,
                if pending { 10 } else { -1 },
            )
        };
        for ring in &device.rings {
            let Some(mut kick) = ring.kick.as_ref() else {
                continue;
            };
            if polls
                .iter()
                .any(|poll| poll.fd == kick.as_raw_fd() && poll.revents != 0)
            {
                let _ = std::io::Read::read(&mut kick, &mut [0; 8]);
            }
        }
        if polls.first().is_some_and(|poll| poll.revents != 0) && !converse(&mut device, &socket) {
            return;
        }
        device.work();
    }
}

#[cfg(test)]
mod test;
