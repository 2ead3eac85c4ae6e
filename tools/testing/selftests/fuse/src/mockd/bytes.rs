// SPDX-License-Identifier: GPL-2.0

//! System calls that move the bytes of files, beyond read(2) and write(2).

use super::sys::check;
use super::sys::errno;
use super::sys::Errno;
use super::sys::Result;
use std::os::fd::RawFd;

/// copy_file_range(2) from one descriptor and offset to another.
pub fn copy_file_range(from: (RawFd, i64), to: (RawFd, i64), len: usize) -> Result<usize> {
    let (mut at, mut into) = (from.1, to.1);
    // SAFETY: two valid offsets.
    let n = unsafe { libc::copy_file_range(from.0, &mut at, to.0, &mut into, len, 0) };
    check(n as i64).map(|n| n as usize)
}

/// splice(2) from one descriptor to another, at their positions; one of them is a pipe.
pub fn splice(from: RawFd, to: RawFd, len: usize) -> Result<usize> {
    let none = std::ptr::null_mut();
    // SAFETY: no offsets are passed.
    let n = unsafe { libc::splice(from, none, to, none, len, libc::SPLICE_F_MOVE) };
    check(n as i64).map(|n| n as usize)
}

pub fn pwrite(fd: RawFd, data: &[u8], off: i64) -> Result<usize> {
    // SAFETY: the slice is valid for its length.
    let n = unsafe { libc::pwrite(fd, data.as_ptr().cast(), data.len(), off) };
    check(n as i64).map(|n| n as usize)
}

/// The control block of io_submit(2), little endian.
#[repr(C)]
#[derive(Default)]
struct Iocb {
    data: u64,
    key: u32,
    rw_flags: u32,
    opcode: u16,
    reqprio: i16,
    fd: u32,
    buf: u64,
    nbytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    resfd: u32,
}

/// Asynchronous I/O of this process.
pub struct Aio {
    context: u64,
    /// Buffers of what is under way.
    buffers: Vec<Vec<u8>>,
}

impl Aio {
    pub fn new() -> Self {
        Self::try_new().expect("io_setup")
    }

    /// As `new`, where memory may run out.
    pub fn try_new() -> Result<Self> {
        let mut context = 0u64;
        // SAFETY: room for one context.
        let ret = unsafe { libc::syscall(libc::SYS_io_setup, 8, &mut context) };
        check(ret)?;
        Ok(Aio {
            context,
            buffers: Vec::new(),
        })
    }

    fn submit(&mut self, opcode: u16, fd: RawFd, buffer: Vec<u8>, offset: i64) -> Result<()> {
        let part = (buffer.as_ptr() as usize, buffer.len());
        self.buffers.push(buffer);
        self.submit_part(opcode, fd, part, offset)
    }

    /// For the last of the buffers.
    fn submit_part(
        &mut self,
        opcode: u16,
        fd: RawFd,
        (base, len): (usize, usize),
        offset: i64,
    ) -> Result<()> {
        let iocb = Iocb {
            data: self.buffers.len() as u64 - 1,
            opcode,
            fd: fd as u32,
            buf: base as u64,
            nbytes: len as u64,
            offset,
            ..Default::default()
        };
        let list = [&iocb as *const Iocb];
        // SAFETY: one valid control block, whose memory lives as long as the context.
        let ret = unsafe { libc::syscall(libc::SYS_io_submit, self.context, 1, list.as_ptr()) };
        check(ret).map(drop)
    }

    /// Starts to read `len` bytes at `offset`.
    pub fn read(&mut self, fd: RawFd, len: usize, offset: i64) -> Result<()> {
        self.submit(0, fd, vec![0; len], offset)
    }

    /// Starts to write `data` at `offset`.
    pub fn write(&mut self, fd: RawFd, data: &[u8], offset: i64) -> Result<()> {
        self.submit(1, fd, data.to_vec(), offset)
    }

    /// Starts to write memory of the caller's, which stays until then, given as address and length.
    pub fn write_part(&mut self, fd: RawFd, part: (usize, usize), offset: i64) -> Result<()> {
        self.buffers.push(Vec::new());
        self.submit_part(1, fd, part, offset)
    }

    /// Waits for one to end: what came of it, and its buffer.
    pub fn wait(&mut self) -> (Result<usize>, Vec<u8>) {
        let mut event = [0i64; 4];
        loop {
            let none = std::ptr::null::<libc::timespec>();
            // SAFETY: room for one event.
            let ret = unsafe {
                libc::syscall(
                    libc::SYS_io_getevents,
                    self.context,
                    1,
                    1,
                    event.as_mut_ptr(),
                    none,
                )
            };
            match ret {
                1 => break,
                _ => assert_eq!(errno(), super::sys::EINTR, "io_getevents"),
            }
        }
        let buffer = std::mem::take(&mut self.buffers[event[0] as usize]);
        let result = match event[2] {
            error @ ..=-1 => Err(Errno(-error as i32)),
            n => Ok(n as usize),
        };
        (result, buffer)
    }
}

/// readv(2) into parts given as address and length, which may be bad on purpose.
pub fn readv(fd: RawFd, parts: &[(usize, usize)]) -> Result<usize> {
    let iov: Vec<_> = parts
        .iter()
        .map(|&(base, len)| libc::iovec {
            iov_base: base as *mut libc::c_void,
            iov_len: len,
        })
        .collect();
    // SAFETY: the callers give memory that they own or none; bad addresses only make the call fail.
    check(unsafe { libc::readv(fd, iov.as_ptr(), iov.len() as i32) } as i64).map(|n| n as usize)
}
