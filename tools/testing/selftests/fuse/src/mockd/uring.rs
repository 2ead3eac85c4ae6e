// SPDX-License-Identifier: GPL-2.0

//! io_uring of a process, for calls on files of the mount.

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

const ENTRIES: usize = 4;
const OFF_SQES: i64 = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1;
const OP_READ: u8 = 22;
const OP_WRITE: u8 = 23;

/// One entry of the submission queue, as far as reads and writes have it.
#[repr(C)]
#[derive(Default)]
struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    rw_flags: u32,
    user_data: u64,
    rest: [u64; 3],
}

/// Two rings of this process.
pub struct Uring {
    fd: OwnedFd,
    /// Both of them.
    rings: Map,
    /// The entries of the first.
    sqes: Map,
    /// `struct io_uring_params`, as words.
    params: [u32; 30],
    /// Buffers of what was started.
    buffers: Vec<Vec<u8>>,
}

/// Where `params` has the offsets of these words.
const SQ_TAIL: usize = 11;
const SQ_ARRAY: usize = 16;
const CQ_HEAD: usize = 20;
const CQ_ENTRIES: usize = CQ_HEAD + 5;

impl Uring {
    pub fn new() -> Self {
        let mut params = [0u32; 30];
        // SAFETY: room for the parameters.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, params.as_mut_ptr()) };
        let fd = check(fd).expect("io_uring_setup") as RawFd;
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let len = params[SQ_ARRAY] as usize + 4 * params[0] as usize;
        let len = len.max(params[CQ_ENTRIES] as usize + 16 * params[1] as usize);
        let sqes = ENTRIES * size_of::<Sqe>();
        Uring {
            rings: Map::new(fd, len, prot, libc::MAP_SHARED).expect("the rings"),
            sqes: Map::at(fd, OFF_SQES, sqes, prot, libc::MAP_SHARED).expect("the entries"),
            // SAFETY: nobody else has it.
            fd: unsafe { OwnedFd::from_raw_fd(fd) },
            params,
            buffers: Vec::new(),
        }
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

    fn enter(&self, submit: u32, wait: u32) -> Result<()> {
        let flags = if wait != 0 { ENTER_GETEVENTS } else { 0 };
        let fd = self.fd.as_raw_fd();
        let none = std::ptr::null::<libc::sigset_t>();
        // SAFETY: the entries that are submitted name memory that lives as long as the rings.
        let ret =
            unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, submit, wait, flags, none, 0) };
        check(ret).map(drop)
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
        let tail = self.word(SQ_TAIL);
        let index = tail as usize % ENTRIES;
        // SAFETY: a structure without gaps.
        let bytes: [u8; size_of::<Sqe>()] = unsafe { std::mem::transmute(sqe) };
        self.sqes.store(index * bytes.len(), &bytes);
        let slot = self.params[SQ_ARRAY] as usize + 4 * index;
        self.rings.store(slot, &(index as u32).to_le_bytes());
        self.set_word(SQ_TAIL, tail.wrapping_add(1));
        self.enter(1, 0)
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
        let head = self.word(CQ_HEAD);
        while self.word(CQ_HEAD + 1) == head {
            if let Err(error) = self.enter(0, 1) {
                assert_eq!(error, sys::EINTR, "io_uring_enter");
            }
        }
        let index = head as usize % self.params[1] as usize;
        let cqe = self
            .rings
            .load(self.params[CQ_ENTRIES] as usize + 16 * index, 16);
        self.set_word(CQ_HEAD, head.wrapping_add(1));
        let buffer = u64::from_le_bytes(cqe[..8].try_into().expect("8 bytes"));
        let buffer = std::mem::take(&mut self.buffers[buffer as usize]);
        let result = match i32::from_le_bytes(cqe[8..12].try_into().expect("4 bytes")) {
            error @ ..=-1 => Err(Errno(-error)),
            n => Ok(n as usize),
        };
        (result, buffer)
    }
}
