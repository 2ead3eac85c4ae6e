// SPDX-License-Identifier: GPL-2.0

//! Requests and replies as they cross the device: integers in the machine's byte order, one after
//! the other.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;

/// The operations; the numbers are part of the kernel's interface (include/uapi/linux/fuse.h).
pub mod opcode {
    pub const LOOKUP: u32 = 1;
    pub const FORGET: u32 = 2;
    pub const GETATTR: u32 = 3;
    pub const OPEN: u32 = 14;
    pub const READ: u32 = 15;
    pub const STATFS: u32 = 17;
    pub const RELEASE: u32 = 18;
    pub const FLUSH: u32 = 25;
    pub const INIT: u32 = 26;
    pub const OPENDIR: u32 = 27;
    pub const READDIR: u32 = 28;
    pub const RELEASEDIR: u32 = 29;
    pub const INTERRUPT: u32 = 36;
    pub const DESTROY: u32 = 38;
    pub const BATCH_FORGET: u32 = 42;
}

/// A request: the fields of its header that matter here, and what follows the header.
pub struct Request<'a> {
    pub opcode: u32,
    /// The id of the request, which its reply repeats.
    pub unique: u64,
    /// The file or directory of the request.
    pub node: u64,
    pub body: &'a [u8],
}

const IN_HEADER: usize = 40;

impl<'a> Request<'a> {
    /// Reads the next request into `buffer`. `None` when the file system was unmounted.
    pub fn read(device: &mut File, buffer: &'a mut [u8]) -> io::Result<Option<Self>> {
        let len = loop {
            match device.read(buffer) {
                Ok(len) => break len,
                Err(e) => match e.raw_os_error() {
                    Some(libc::ENODEV) => return Ok(None),
                    // Nothing was read: the request was withdrawn meanwhile, or a signal came.
                    Some(libc::ENOENT | libc::EINTR | libc::EAGAIN) => (),
                    _ => return Err(e),
                },
            }
        };
        let bytes = &buffer[..len];
        if len < IN_HEADER {
            return Err(io::Error::other("a request shorter than its header"));
        }
        Ok(Some(Request {
            opcode: u32_at(bytes, 4),
            unique: u64_at(bytes, 8),
            node: u64_at(bytes, 16),
            body: &bytes[IN_HEADER..],
        }))
    }

    /// The name in the body, which ends in NUL.
    pub fn name(&self) -> &[u8] {
        self.body.split(|&b| b == 0).next().unwrap_or_default()
    }
}

/// The integer at byte `at`; 0 beyond the end, as for fields that an older kernel does not send.
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .map_or(0, |b| u32::from_ne_bytes(b.try_into().unwrap_or_default()))
}

/// The integer at byte `at`; 0 beyond the end.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..at + 8)
        .map_or(0, |b| u64::from_ne_bytes(b.try_into().unwrap_or_default()))
}

/// A reply's body, put together field by field.
#[derive(Default)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn u16(&mut self, n: u16) -> &mut Self {
        self.0.extend(n.to_ne_bytes());
        self
    }

    pub fn u32(&mut self, n: u32) -> &mut Self {
        self.0.extend(n.to_ne_bytes());
        self
    }

    pub fn u64(&mut self, n: u64) -> &mut Self {
        self.0.extend(n.to_ne_bytes());
        self
    }

    pub fn zeros(&mut self, n: usize) -> &mut Self {
        self.0.resize(self.0.len() + n, 0);
        self
    }

    pub fn bytes(&mut self, b: &[u8]) -> &mut Self {
        self.0.extend(b);
        self
    }

    /// Adds zeros up to a multiple of 8 bytes.
    pub fn pad(&mut self) -> &mut Self {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self
    }
}

/// Writes the reply to `unique`, whole, with one write(2): a header of length, negative errno and
/// unique number, then, if there is no error, the body.
pub fn reply(device: &mut File, unique: u64, result: Result<&[u8], i32>) -> io::Result<()> {
    let (error, body) = match result {
        Ok(body) => (0, body),
        Err(errno) => (-errno, &[][..]),
    };
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(error.to_ne_bytes());
    message.extend(unique.to_ne_bytes());
    message.extend(body);
    match device.write(&message) {
        Ok(_) => Ok(()),
        // The caller has left, or the file system was unmounted.
        Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => Ok(()),
        Err(e) => Err(e),
    }
}
