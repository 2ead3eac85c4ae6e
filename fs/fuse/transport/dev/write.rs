// SPDX-License-Identifier: GPL-2.0

//! Writing the device: a reply finds its request by id, and ends it.

use super::{
    Link, //
};
use crate::fuse::{
    abi::{
        header::OutHeader,
        Unique, //
    },
    channel::{
        owner::Payload,
        processing::Processing, //
    },
    request::{
        outcome::{
            Outcome,
            ServerErrno, //
        },
        state::Replying,
        Request, //
    },
    trace::{
        self,
        Direction, //
    },
    transport::copy::{
        copy_reply,
        take_bytes,
        Lent, //
    },
};
use crate::vfs::mm::iov::Source;
use kernel::prelude::*;
use zerocopy::IntoBytes;

impl Link {
    /// Takes one reply or notification from the server.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the message is malformed, or the operation does not allow its length; `ENOENT`
    /// if no request waits for it; `EFAULT`.
    pub(super) fn write(&self, from: &mut impl Source) -> Result<usize> {
        let len = from.len();
        if len < size_of::<OutHeader>() {
            return Err(EINVAL);
        }
        let mut header = OutHeader::default();
        take_bytes(header.as_mut_bytes(), from)?;
        if header.len as usize != len {
            return Err(EINVAL);
        }
        if header.unique == Unique::new(0) {
            if !self.channel.is_initialized() || !self.channel.is_connected() {
                return Err(EINVAL);
            }
            trace::notify(self.connection, header.error, from.len());
            let heard = self.owner.notify(header.error, &mut Rest(from));
            trace::notify_end(self.connection, header.error, &heard);
            return heard.map(|()| len);
        }
        let errno = ServerErrno::new(header.error)?;
        if header.unique.get() & Unique::INTERRUPT != 0 {
            self.interrupt_answered(&header, len)?;
        } else {
            self.reply(&header, errno, from)?;
        }
        Ok(len)
    }

    /// The reply to an INTERRUPT: only its errno matters.
    fn interrupt_answered(&self, header: &OutHeader, len: usize) -> Result {
        let unique = Unique::new(header.unique.get() & !Unique::INTERRUPT);
        let request = self.processing.find(unique).ok_or(ENOENT)?;
        if len != size_of::<OutHeader>() {
            return Err(EINVAL);
        }
        if header.error == ENOSYS.to_errno() {
            self.channel.set_no_interrupt();
        } else if header.error == EAGAIN.to_errno() {
            if !request.is_interrupted() {
                return Err(EINVAL);
            }
            self.transport.input.push_interrupt(&request);
        }
        Ok(())
    }

    /// The reply to a request: Replying, Finished.
    fn reply(&self, header: &OutHeader, errno: ServerErrno, from: &mut impl Source) -> Result {
        let mut replying = self.processing.take(header.unique).ok_or(ENOENT)?;
        self.channel.latency().answered(replying.request());
        let copied = if errno == ServerErrno::OK {
            let mut writing = Writing {
                processing: &self.processing,
                replying: &mut replying,
            };
            copy_reply(&mut writing, from)
        } else {
            no_payload(replying.request(), from)
        };
        self.channel.latency().ending(replying.request());
        // No other thread can have ended a request that was never shown.
        let connected =
            (copied.is_ok() && !replying.is_shown()) || self.processing.end_replying(&replying);
        replying.finish(match copied {
            _ if !connected => Outcome::Aborted,
            Ok(()) => Outcome::answered(errno, header),
            Err(_) => Outcome::Io,
        });
        if connected {
            copied
        } else {
            Err(ENOENT)
        }
    }
}

/// A request whose reply the server writes to this device.
struct Writing<'a> {
    processing: &'a Processing,
    replying: &'a mut Replying,
}

impl Lent for Writing<'_> {
    fn request(&self) -> &Request {
        self.replying.request()
    }

    fn show(&mut self) -> Result {
        self.processing.show_replying(self.replying)
    }
}

/// A reply with an error has only a header.
///
/// # Errors
///
/// `EINVAL` if it has a payload.
fn no_payload(request: &Request, from: &impl Source) -> Result {
    let right = if from.len() == 0 { Ok(()) } else { Err(EINVAL) };
    trace::request_copy(request, Direction::In, 0, &right);
    right
}

/// The rest of a message.
struct Rest<'a, S>(&'a mut S);

impl<S: Source> Payload for Rest<'_, S> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, bytes: &mut [u8]) -> Result {
        if bytes.len() > self.0.len() {
            return Err(EINVAL);
        }
        take_bytes(bytes, self.0)
    }
}
