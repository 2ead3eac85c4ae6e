// SPDX-License-Identifier: GPL-2.0

//! Reading the device: Pending, Copying, Sent.

use super::{
    Link, //
};
use crate::fuse::{
    abi::{
        device::MIN_READ_BUFFER,
        file::WriteIn,
        header::InHeader,
        node::{
            BatchForgetIn,
            ForgetIn,
            ForgetOne,
            InterruptIn, //
        },
        Unique, //
    },
    channel::{
        forget::ForgetList,
        input_queue::{
            ForgetRoom,
            Work, //
        },
        processing::Processing, //
    },
    op::Opcode,
    request::{
        outcome::Outcome,
        state::{
            Copying,
            Pending, //
        },
        Request, //
    },
    trace,
    transport::copy::{
        copy_bytes,
        copy_request,
        Lent, //
    },
};
use crate::vfs::mm::iov::Dest;
use kernel::{
    fs::{
        file::flags::O_NONBLOCK,
        File, //
    },
    prelude::*, //
};
use zerocopy::IntoBytes;

/// Nodes of a BATCH_FORGET that are copied at once.
const FORGETS_AT_ONCE: usize = 16;

/// First minor version with BATCH_FORGET.
const MINOR_BATCH_FORGET: u32 = 16;

impl Link {
    /// Passes the next message to the server; sleeps until there is one.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the buffer is too small for what was negotiated;
    /// `EAGAIN`; `ERESTARTSYS`; `ENODEV` or `ECONNABORTED` after the end of the connection;
    /// `EFAULT`.
    pub(super) fn read(&self, file: &File, to: &mut impl Dest) -> Result<usize> {
        let room = to.len();
        let limits = self.channel.limits();
        let least = (size_of::<InHeader>() + size_of::<WriteIn>())
            .saturating_add(limits.max_write as usize)
            .max(MIN_READ_BUFFER);
        if room < least {
            return Err(EINVAL);
        }
        let forgets = ForgetRoom {
            max: if limits.minor < MINOR_BATCH_FORGET {
                1
            } else {
                (room - size_of::<InHeader>() - size_of::<BatchForgetIn>()) / size_of::<ForgetOne>()
            },
        };
        let nonblocking = file.flags() & O_NONBLOCK != 0;
        loop {
            let work = self
                .transport
                .input
                .next(self.channel.ids(), forgets, nonblocking)
                .map_err(|error| match error {
                    ENODEV => self.transport.abort_errno(),
                    other => other,
                })?;
            match work {
                Work::Interrupt(unique) => {
                    let len = send_interrupt(unique, to)?;
                    trace::interrupt_sent(self.connection, unique);
                    return Ok(len);
                }
                Work::Forgets {
                    unique,
                    list,
                    count,
                } => {
                    let len = send_forgets(limits.minor, unique, list, count, to)?;
                    trace::forget_sent(self.connection, unique, count);
                    return Ok(len);
                }
                Work::Request(request) => {
                    if let Some(request) = fitting(request, room) {
                        return self.send(request, to);
                    }
                }
            }
        }
    }

    /// Moves one request to the server.
    fn send(&self, request: Pending, to: &mut impl Dest) -> Result<usize> {
        let mut copying = self.processing.start(request);
        let request = copying.request();
        self.channel.latency().taken(request);
        let len = request.len();
        let expects_reply = request.expects_reply();
        let reading = Reading {
            processing: &self.processing,
            copying: &mut copying,
        };
        let copied = copy_request(reading, to);
        if copied.is_ok() && expects_reply {
            return match self.processing.park(copying) {
                Ok(interrupted) => {
                    if let Some(request) = interrupted {
                        self.transport.input.push_interrupt(&request);
                    }
                    Ok(len)
                }
                Err(copying) => {
                    copying.fail(Outcome::Aborted);
                    Err(self.transport.abort_errno())
                }
            };
        }
        if !self.processing.end_copying(&copying) {
            copying.fail(Outcome::Aborted);
            return Err(self.transport.abort_errno());
        }
        match copied {
            Ok(()) => {
                copying.delivered();
                Ok(len)
            }
            Err(error) => {
                copying.fail(Outcome::Io);
                Err(error)
            }
        }
    }
}

/// A request on its way to a server that reads this device.
struct Reading<'a> {
    processing: &'a Processing,
    copying: &'a mut Copying,
}

impl Lent for Reading<'_> {
    fn request(&self) -> &Request {
        self.copying.request()
    }

    fn show(&mut self) -> Result {
        self.processing.show_copying(self.copying)
    }
}

/// Returns the request if it fits the server's buffer, and ends it otherwise.
fn fitting(request: Pending, room: usize) -> Option<Pending> {
    let (len, opcode) = (request.request().len(), request.request().opcode());
    if len <= room {
        return Some(request);
    }
    request.refuse(if opcode == Opcode::Setxattr {
        // An attribute may be larger than any buffer; the caller then gets its own error.
        Outcome::TooLarge
    } else {
        Outcome::Io
    });
    None
}

/// Length of a header and `T`.
fn message_len<T>() -> usize {
    size_of::<InHeader>() + size_of::<T>()
}

/// Sends the INTERRUPT for a request; its id is that of the request plus one.
fn send_interrupt(unique: Unique, to: &mut impl Dest) -> Result<usize> {
    let len = message_len::<InterruptIn>();
    let header = InHeader {
        len: len as u32,
        opcode: Opcode::Interrupt as u32,
        unique: Unique::new(unique.get() | Unique::INTERRUPT),
        ..InHeader::default()
    };
    copy_bytes(header.as_bytes(), to)?;
    copy_bytes(InterruptIn { unique }.as_bytes(), to)?;
    Ok(len)
}

/// Sends one FORGET, or several as a BATCH_FORGET.
fn send_forgets(
    minor: u32,
    unique: Unique,
    list: ForgetList,
    count: usize,
    to: &mut impl Dest,
) -> Result<usize> {
    let mut list = list;
    if minor < MINOR_BATCH_FORGET || count <= 1 {
        let Some(forget) = list.next() else {
            return Err(EIO);
        };
        let len = message_len::<ForgetIn>();
        let header = InHeader {
            len: len as u32,
            opcode: Opcode::Forget as u32,
            unique,
            nodeid: forget.node,
            ..InHeader::default()
        };
        copy_bytes(header.as_bytes(), to)?;
        copy_bytes(
            ForgetIn {
                nlookup: forget.nlookup,
            }
            .as_bytes(),
            to,
        )?;
        return Ok(len);
    }
    let len = message_len::<BatchForgetIn>() + count * size_of::<ForgetOne>();
    let header = InHeader {
        len: len as u32,
        opcode: Opcode::BatchForget as u32,
        unique,
        ..InHeader::default()
    };
    copy_bytes(header.as_bytes(), to)?;
    copy_bytes(
        BatchForgetIn {
            count: count as u32,
            dummy: 0,
        }
        .as_bytes(),
        to,
    )?;
    // Copied in groups, because a copy has a fixed cost.
    let mut some = [ForgetOne::default(); FORGETS_AT_ONCE];
    loop {
        let mut filled = 0;
        for (place, forget) in some.iter_mut().zip(&mut list) {
            *place = ForgetOne {
                nodeid: forget.node,
                nlookup: forget.nlookup,
            };
            filled += 1;
        }
        let filled = some.get(..filled).unwrap_or_default();
        if filled.is_empty() {
            return Ok(len);
        }
        copy_bytes(filled.as_bytes(), to)?;
    }
}
