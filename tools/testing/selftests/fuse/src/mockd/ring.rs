// SPDX-License-Identifier: GPL-2.0

//! The server's end over io_uring: commands of the protocol, and entries that take requests and carry answers.
//!
//! One io_uring of the test serves all queues: a command's queue is a number in it. Task work, in which the module copies a
//! request, runs when the test enters the kernel, so a request is there when the ring's descriptor is readable.

use super::sys;
use super::sys::Errno;
use super::sys::Map;
use super::sys::Result;
use super::uring::Cqe;
use super::uring::Rings;
use super::uring::Sqe;
use super::uring::SETUP_SQE128;
use super::wire::InHeader;
use super::wire::OutHeader;
use super::wire::RingCmdReq;
use super::wire::RingEntInOut;
use super::wire::Wire;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::rc::Rc;

/// The operation of io_uring that is a command to a file.
pub const OP_URING_CMD: u8 = 46;

/// The command's buffer is a registered one.
pub const URING_CMD_FIXED: u32 = 1;

pub const CMD_REGISTER: u32 = 1;
pub const CMD_COMMIT_AND_FETCH: u32 = 2;
pub const CMD_ADD_QUEUE: u32 = 3;
pub const CMD_ADD_BUFPOOL: u32 = 4;

/// Flag of ADD_QUEUE.
pub const QUEUE_ZERO_COPY: u64 = 1;

/// Bytes of the area for headers: in- or out-header, operation, entry.
pub const HEADERS: usize = 288;
const OP: usize = 128;
const ENT: usize = 256;

/// Processors that the kernel may ever have, each of which has a queue.
pub fn possible_cpus() -> u16 {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/possible")
        .or_else(|_| {
            let _ = sys::mount("sysfs", "/sys", "sysfs", 0, "");
            std::fs::read_to_string("/sys/devices/system/cpu/possible")
        })
        .expect("possible processors");
    let last = text.trim().rsplit(['-', ',']).next().expect("a number");
    last.parse::<u16>().expect("a number") + 1
}

/// A command with everything that a server can say in it.
#[derive(Clone, Copy, Default)]
pub struct Command {
    pub op: u32,
    pub req: RingCmdReq,
    /// Address and number of the vectors for REGISTER.
    pub iov: (usize, u32),
    /// The registered buffer, if it names one.
    pub fixed: Option<u16>,
}

/// Buffers for payload that the entries of a queue share.
#[derive(Clone)]
pub struct Pool {
    memory: Rc<Map>,
    len: usize,
    /// The registered buffer that it is, if it is one.
    pub fixed: Option<u16>,
}

impl Pool {
    /// The command that gives it to this queue.
    pub fn add_to(&self, qid: u16) -> Command {
        Command {
            op: CMD_ADD_BUFPOOL,
            req: RingCmdReq {
                qid,
                uaddr: self.memory.address() as u64,
                len: self.len as u32,
                ..Default::default()
            },
            fixed: self.fixed,
            ..Default::default()
        }
    }
}

/// The memory of one entry.
pub struct RingEntry {
    pub qid: u16,
    headers: Map,
    /// Of its own, or the whole pool.
    payload: Rc<Map>,
    /// Two vectors: headers and payload.
    iov: Map,
    /// Whether its payload is where the module says that it is.
    pooled: bool,
    /// The registered buffer that its commands name.
    pub fixed: Option<u16>,
    /// The registered buffer that pages of its requests become.
    pub slot: u16,
}

fn slot_bytes(slot: u16) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&slot.to_ne_bytes());
    bytes
}

fn memory(len: usize) -> Map {
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    Map::new(-1, len, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).expect("memory")
}

impl RingEntry {
    /// Memory for an entry of this queue, with room for `payload` bytes.
    pub fn new(qid: u16, payload: usize) -> Self {
        let entry = RingEntry {
            qid,
            headers: memory(4096),
            payload: Rc::new(memory(payload)),
            iov: memory(4096),
            pooled: false,
            fixed: None,
            slot: 0,
        };
        entry.set_iov(HEADERS, payload);
        entry
    }

    /// Memory for an entry of this queue, whose payload is in buffers of the queue's pool.
    pub fn in_pool(qid: u16, pool: &Pool) -> Self {
        let entry = RingEntry {
            qid,
            headers: memory(4096),
            payload: pool.memory.clone(),
            iov: memory(4096),
            pooled: true,
            fixed: pool.fixed,
            slot: 0,
        };
        entry.set_iov_at((entry.headers.address(), HEADERS), (0, 0));
        entry
    }

    /// Says other lengths of headers and payload.
    pub fn set_iov(&self, headers: usize, payload: usize) {
        self.set_iov_at(
            (self.headers.address(), headers),
            (self.payload.address(), payload),
        );
    }

    /// Says other addresses and lengths.
    pub fn set_iov_at(&self, headers: (usize, usize), payload: (usize, usize)) {
        for (i, word) in [headers.0, headers.1, payload.0, payload.1]
            .iter()
            .enumerate()
        {
            self.iov.store(8 * i, &word.to_ne_bytes());
        }
    }

    /// The command that registers it.
    pub fn register(&self) -> Command {
        Command {
            op: CMD_REGISTER,
            req: RingCmdReq {
                qid: self.qid,
                // Its first bytes, in a union.
                uaddr: u64::from_ne_bytes(slot_bytes(self.slot)),
                ..Default::default()
            },
            iov: (self.iov.address(), 2),
            fixed: self.fixed,
        }
    }

    /// Where its memory for payload is.
    pub fn payload_address(&self) -> usize {
        self.payload.address()
    }

    /// The in-header of the request in it.
    pub fn head(&self) -> InHeader {
        InHeader::from_bytes(&self.headers.load(0, size_of::<InHeader>()))
    }

    /// What is specific to the ring.
    pub fn ent(&self) -> RingEntInOut {
        RingEntInOut::from_bytes(&self.headers.load(ENT, size_of::<RingEntInOut>()))
    }

    /// The first structure of the operation, as long as the header says that the body is, `OP` bytes at most.
    pub fn op(&self, len: usize) -> Vec<u8> {
        self.headers.load(OP, len.min(ENT - OP))
    }

    /// Where its memory for headers is.
    pub fn headers_address(&self) -> usize {
        self.headers.address()
    }

    /// Where its payload begins in the memory for it.
    fn offset(&self) -> usize {
        match self.pooled {
            true => self.ent().offset as usize,
            false => 0,
        }
    }

    pub fn payload(&self, len: usize) -> Vec<u8> {
        self.payload.load(self.offset(), len)
    }

    /// Puts an answer into it.
    pub fn answer(&self, head: OutHeader, body: &[u8], claimed: u32) {
        self.headers.store(0, &head.bytes());
        self.payload.store(self.offset(), body);
        let ent = RingEntInOut {
            payload_sz: claimed,
            ..self.ent()
        };
        self.headers.store(ENT, &ent.bytes());
    }
}

/// A server's ring.
pub struct Ring {
    rings: Rings,
    dev: RawFd,
    pub entries: Vec<RingEntry>,
    /// Entries that have a request nobody has looked at.
    filled: VecDeque<usize>,
    /// Commands that failed, with their entries.
    failed: VecDeque<Cqe>,
}

/// Which way [`Ring::move_fixed`] moves bytes: the operation of io_uring.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Fixed {
    /// From the file to the buffer.
    Read = 4,
    /// From the buffer to the file.
    Write = 5,
}

/// `user_data` of a command that is no entry's.
pub const NO_ENTRY: u64 = u64::MAX;

impl Ring {
    /// A ring without entries for commands on this device.
    pub fn new(dev: RawFd) -> Self {
        Ring {
            rings: Rings::new(64, SETUP_SQE128),
            dev,
            entries: Vec::new(),
            filled: VecDeque::new(),
            failed: VecDeque::new(),
        }
    }

    pub fn fd(&self) -> RawFd {
        self.rings.fd()
    }

    /// Gives `count` buffers of `size` bytes to a queue, whose entries share them; as a registered buffer, if `registered`.
    pub fn add_pool(&mut self, qid: u16, count: usize, size: usize, registered: bool) -> Pool {
        let len = count * size;
        let memory = Rc::new(memory(len));
        let fixed = registered.then(|| self.rings.register_buffer((memory.address(), len)));
        let pool = Pool { memory, len, fixed };
        self.run(&pool.add_to(qid)).expect("ADD_BUFPOOL");
        pool
    }

    /// Registers this stretch of memory as its only buffer, which has number 0.
    pub fn register_buffer(&self, buffer: (usize, usize)) {
        self.rings.register_buffer(buffer);
    }

    /// Makes room for `count` registered buffers, which are empty.
    pub fn register_slots(&self, count: usize) {
        self.rings.register_buffers(&vec![(0, 0); count]);
    }

    /// Moves `len` bytes between this file, at its start, and a registered buffer, from its byte `at` on.
    pub fn move_fixed(
        &mut self,
        way: Fixed,
        fd: RawFd,
        slot: u16,
        at: u64,
        len: u32,
    ) -> Result<usize> {
        let sqe = Sqe {
            opcode: way as u8,
            fd,
            address: at,
            len,
            buf_index: slot,
            user_data: NO_ENTRY,
            ..Default::default()
        };
        self.rings.submit(sqe, &[]).expect("io_uring_enter");
        loop {
            self.take_completions();
            let ours = self.failed.iter().position(|cqe| cqe.user_data == NO_ENTRY);
            match ours.and_then(|at| self.failed.remove(at)) {
                Some(cqe) if cqe.result < 0 => return Err(Errno(-cqe.result)),
                Some(cqe) => return Ok(cqe.result as usize),
                None => self.rings.enter(0, 1).expect("io_uring_enter"),
            }
        }
    }

    /// Submits a command, without waiting for what comes of it.
    pub fn submit(&self, command: &Command, user_data: u64) {
        let sqe = Sqe {
            opcode: OP_URING_CMD,
            fd: self.dev,
            offset: command.op.into(),
            address: command.iov.0 as u64,
            len: command.iov.1,
            rw_flags: command.fixed.map_or(0, |_| URING_CMD_FIXED),
            buf_index: command.fixed.unwrap_or(0),
            user_data,
            ..Default::default()
        };
        self.rings
            .submit(sqe, &command.req.bytes())
            .expect("io_uring_enter");
    }

    /// The entry that has the request with this id.
    #[track_caller]
    pub fn entry_of(&self, unique: u64) -> usize {
        let has_it = |entry: &RingEntry| entry.ent().commit_id == unique;
        self.entries.iter().position(has_it).expect("its entry")
    }

    /// Waits until an entry has a request.
    pub fn wait(&mut self) -> usize {
        while !self.has_next() {
            let _ = self.rings.enter(0, 1);
        }
        self.filled.pop_front().expect("there")
    }

    /// What comes of a command that does not wait for a request.
    #[track_caller]
    pub fn run(&mut self, command: &Command) -> Result<()> {
        self.submit(command, NO_ENTRY);
        let failed = self.failed.len();
        self.take_completions();
        match self.failed.drain(failed..).next() {
            None => panic!("command {} does not end", command.op),
            Some(Cqe { result: 0, .. }) => Ok(()),
            Some(cqe) => Err(Errno(-cqe.result)),
        }
    }

    /// As [`Self::run`], of a command that the kernel passes on to another of its threads.
    pub fn run_slowly(&mut self, command: &Command) -> Result<()> {
        self.submit(command, NO_ENTRY);
        let cqe = self.rings.wait();
        assert_eq!(cqe.user_data, NO_ENTRY, "of another command");
        match cqe.result {
            0 => Ok(()),
            error => Err(Errno(-error)),
        }
    }

    /// Registers an entry; the error if the module refuses it at once.
    pub fn register(&mut self, entry: RingEntry) -> Result<usize> {
        let index = self.entries.len();
        let command = entry.register();
        self.entries.push(entry);
        self.submit(&command, index as u64);
        self.refusal(index).map(|()| index)
    }

    /// Registers `depth` entries on each queue, which makes the ring ready.
    pub fn register_all(&mut self, depth: usize, payload: usize) {
        for qid in 0..possible_cpus() {
            for _ in 0..depth {
                self.register(RingEntry::new(qid, payload))
                    .expect("REGISTER");
            }
        }
    }

    /// How the command of this entry that was just submitted was refused.
    fn refusal(&mut self, index: usize) -> Result<()> {
        self.take_completions();
        let is_ours = |cqe: &Cqe| cqe.user_data == index as u64;
        match self.failed.iter().position(is_ours) {
            Some(at) => {
                let cqe = self.failed.remove(at).expect("there");
                Err(Errno(-cqe.result))
            }
            None => Ok(()),
        }
    }

    fn take_completions(&mut self) {
        while let Some(cqe) = self.rings.completion() {
            if cqe.user_data != NO_ENTRY && cqe.result == 0 {
                self.filled.push_back(cqe.user_data as usize);
            } else {
                self.failed.push_back(cqe);
            }
        }
    }

    /// The next entry that has a request, if there is one now.
    pub fn next(&mut self) -> Option<usize> {
        self.take_completions();
        self.filled.pop_front()
    }

    /// Whether some entry has a request now.
    pub fn has_next(&mut self) -> bool {
        self.take_completions();
        !self.filled.is_empty()
    }

    /// The command that failed first among those that were parked: its entry and the error.
    pub fn next_failed(&mut self) -> Option<(usize, Errno)> {
        self.take_completions();
        let cqe = self.failed.pop_front()?;
        Some((cqe.user_data as usize, Errno(-cqe.result)))
    }

    /// The command that answers what is in this entry.
    pub fn commit(&self, index: usize) -> Command {
        let entry = &self.entries[index];
        Command {
            op: CMD_COMMIT_AND_FETCH,
            req: RingCmdReq {
                qid: entry.qid,
                commit_id: entry.ent().commit_id,
                ..Default::default()
            },
            fixed: entry.fixed,
            ..Default::default()
        }
    }

    /// Answers the request in this entry, and takes the next; the error if the module refuses the command.
    pub fn reply(&mut self, index: usize, head: OutHeader, body: &[u8]) -> Result<()> {
        self.reply_claiming(index, head, body, body.len() as u32)
    }

    /// As [`Self::reply`], but says that the body has `claimed` bytes.
    pub fn reply_claiming(
        &mut self,
        index: usize,
        head: OutHeader,
        body: &[u8],
        claimed: u32,
    ) -> Result<()> {
        let command = self.commit(index);
        self.entries[index].answer(head, body, claimed);
        self.submit(&command, index as u64);
        self.refusal(index)
    }
}
