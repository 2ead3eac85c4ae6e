// SPDX-License-Identifier: GPL-2.0

//! io_uring of a process: its two rings, and calls on files of the mount by them.

use super::sys;
use super::sys::check;
use super::sys::Errno;
use super::sys::Map;
use super::sys::Result;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::sync::atomic::fence;
use std::sync::atomic::Ordering;

const OFF_SQES: i64 = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1;
const OP_READ: u8 = 22;
const OP_WRITE: u8 = 23;

/// Entries of the submission queue have twice their size.
pub const SETUP_SQE128: u32 = 1 << 10;

/// The first 48 bytes of an entry of the submission queue.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Sqe {
    pub opcode: u8,
    pub flags: u8,
    pub ioprio: u16,
    pub fd: i32,
    /// The offset in the file; for a command its number.
    pub offset: u64,
    pub address: u64,
    pub len: u32,
    /// Flags of reads and writes, and of commands.
    pub rw_flags: u32,
    pub user_data: u64,
    pub buf_index: u16,
    pub personality: u16,
    pub splice_fd: i32,
}

/// What came of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cqe {
    pub user_data: u64,
    pub result: i32,
}

/// Both rings of an io_uring.
pub struct Rings {
    fd: OwnedFd,
    /// Both of them.
    rings: Map,
    /// The entries of the first.
    sqes: Map,
    sqe_len: usize,
    /// `struct io_uring_params`, as words.
    params: [u32; 30],
}

/// Where `params` has the flags, and the offsets of these words.
const FLAGS: usize = 2;
const SQ_TAIL: usize = 11;
const SQ_ARRAY: usize = 16;
const CQ_HEAD: usize = 20;
const CQ_ENTRIES: usize = CQ_HEAD + 5;

impl Rings {
    /// Makes them with room for `entries` submissions, with `IORING_SETUP_` flags.
    pub fn new(entries: u32, flags: u32) -> Self {
        let mut params = [0u32; 30];
        params[FLAGS] = flags;
        // SAFETY: room for the parameters.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr()) };
        let fd = check(fd).expect("io_uring_setup") as RawFd;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let len = params[SQ_ARRAY] as usize + 4 * params[0] as usize;
        let len = len.max(params[CQ_ENTRIES] as usize + 16 * params[1] as usize);
        let sqe_len = if flags & SETUP_SQE128 != 0 { 128 } else { 64 };
        let sqes = params[0] as usize * sqe_len;
        Rings {
            rings: Map::new(fd, len, prot, libc::MAP_SHARED)
                .expect("the rings")
                .not_in_children(),
            sqes: Map::at(fd, OFF_SQES, sqes, prot, libc::MAP_SHARED)
                .expect("the entries")
                .not_in_children(),
            sqe_len,
            // SAFETY: nobody else has it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            params,
        }
    }

    /// Its descriptor, which is readable when there is a completion.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The word of the rings whose offset the parameters have here.
    fn word(&self, at: usize) -> u32 {
        fence(Ordering::SeqCst);
        let word = self.rings.load(self.params[at] as usize, 4);
        u32::from_le_bytes(word.try_into().expect("4 bytes"))
    }

    fn set_word(&self, at: usize, word: u32) {
        fence(Ordering::SeqCst);
        self.rings
            .store(self.params[at] as usize, &word.to_le_bytes());
    }

    /// Registers this stretch of memory as its only buffer, and returns the buffer's number.
    pub fn register_buffer(&self, buffer: (usize, usize)) -> u16 {
        self.register_buffers(&[buffer]);
        0
    }

    /// Registers these stretches of memory as its buffers; those of no length are empty slots.
    pub fn register_buffers(&self, buffers: &[(usize, usize)]) {
        const REGISTER_BUFFERS: u32 = 0;
        // SAFETY: each pair is an iovec, and its memory lives as long as the rings.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_io_uring_register,
                self.fd(),
                REGISTER_BUFFERS,
                buffers.as_ptr(),
                buffers.len(),
            )
        };
        check(ret).expect("io_uring_register");
    }

    /// io_uring_enter(2).
    pub fn enter(&self, submit: u32, wait: u32) -> Result<()> {
        let flags = if wait != 0 { ENTER_GETEVENTS } else { 0 };
        let none = std::ptr::null::<libc::sigset_t>();
        // SAFETY: the entries that are submitted name memory that lives as long as the rings.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                self.fd(),
                submit,
                wait,
                flags,
                none,
                0,
            )
        };
        check(ret).map(drop)
    }

    /// Submits one entry, whose last bytes are `command`.
    pub fn submit(&self, sqe: Sqe, command: &[u8]) -> Result<()> {
        let tail = self.word(SQ_TAIL);
        let index = tail as usize % self.params[0] as usize;
        // SAFETY: a structure without gaps.
        let head: [u8; size_of::<Sqe>()] = unsafe { std::mem::transmute(sqe) };
        let mut bytes = head.to_vec();
        bytes.extend(command);
        bytes.resize(self.sqe_len, 0);
        self.sqes.store(index * self.sqe_len, &bytes);
        let slot = self.params[SQ_ARRAY] as usize + 4 * index;
        self.rings.store(slot, &(index as u32).to_le_bytes());
        self.set_word(SQ_TAIL, tail.wrapping_add(1));
        self.enter(1, 0)
    }

    /// Takes the first completion that is there.
    pub fn completion(&self) -> Option<Cqe> {
        let head = self.word(CQ_HEAD);
        if self.word(CQ_HEAD + 1) == head {
            return None;
        }
        let index = head as usize % self.params[1] as usize;
        let cqe = self
            .rings
            .load(self.params[CQ_ENTRIES] as usize + 16 * index, 16);
        self.set_word(CQ_HEAD, head.wrapping_add(1));
        Some(Cqe {
            user_data: u64::from_le_bytes(cqe[..8].try_into().expect("8 bytes")),
            result: i32::from_le_bytes(cqe[8..12].try_into().expect("4 bytes")),
        })
    }

    /// Waits for a completion and takes it.
    pub fn wait(&self) -> Cqe {
        loop {
            if let Some(cqe) = self.completion() {
                return cqe;
            }
            if let Err(error) = self.enter(0, 1) {
                assert_eq!(error, sys::EINTR, "io_uring_enter");
            }
        }
    }
}

impl Drop for Rings {
    fn drop(&mut self) {
        // The mappings keep the rings alive as the descriptor does.
        self.rings.take().unmap();
        self.sqes.take().unmap();
    }
}

/// Reads and writes by an io_uring of this process.
pub struct Uring {
    rings: Rings,
    /// Buffers of what was started.
    buffers: Vec<Vec<u8>>,
}

impl Uring {
    pub fn new() -> Self {
        Uring {
            rings: Rings::new(4, 0),
            buffers: Vec::new(),
        }
    }

    fn submit(&mut self, opcode: u8, fd: RawFd, buffer: Vec<u8>, offset: u64) -> Result<()> {
        let sqe = Sqe {
            opcode,
            fd,
            offset,
            address: buffer.as_ptr() as u64,
            len: buffer.len() as u32,
            user_data: self.buffers.len() as u64,
            ..Default::default()
        };
        self.buffers.push(buffer);
        self.rings.submit(sqe, &[])
    }

    /// Starts to read `len` bytes at `offset`.
    pub fn read(&mut self, fd: RawFd, len: usize, offset: u64) -> Result<()> {
        self.submit(OP_READ, fd, vec![0; len], offset)
    }

    /// Starts to write `data` at `offset`.
    pub fn write(&mut self, fd: RawFd, data: &[u8], offset: u64) -> Result<()> {
        self.submit(OP_WRITE, fd, data.to_vec(), offset)
    }

    /// Waits for one to end: what came of it, and its buffer.
    pub fn wait(&mut self) -> (Result<usize>, Vec<u8>) {
        let cqe = self.rings.wait();
        let buffer = std::mem::take(&mut self.buffers[cqe.user_data as usize]);
        let result = match cqe.result {
            error @ ..=-1 => Err(Errno(-error)),
            n => Ok(n as usize),
        };
        (result, buffer)
    }
}
