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

/// The memory of one entry.
pub struct RingEntry {
    pub qid: u16,
    headers: Map,
    payload: Map,
    /// Two vectors: headers and payload.
    iov: Map,
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
            payload: memory(payload),
            iov: memory(4096),
        };
        entry.set_iov(HEADERS, payload);
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
                ..Default::default()
            },
            iov: (self.iov.address(), 2),
            fixed: None,
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

    pub fn payload(&self, len: usize) -> Vec<u8> {
        self.payload.load(0, len)
    }

    /// Puts an answer into it.
    pub fn answer(&self, head: OutHeader, body: &[u8], claimed: u32) {
        self.headers.store(0, &head.bytes());
        self.payload.store(0, body);
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
            ..Default::default()
        }
    }

    /// Answers the request in this entry, and takes the next; the error if the module refuses the command.
    pub fn reply(&mut self, index: usize, head: OutHeader, body: &[u8]) -> Result<()> {
        let command = self.commit(index);
        self.entries[index].answer(head, body, body.len() as u32);
        self.submit(&command, index as u64);
        self.refusal(index)
    }
}
