// SPDX-License-Identifier: GPL-2.0

//! The server's memory of an entry, as a place for messages.
//!
//! A message to the server is cut in three: the in-header, the structure of the operation, and all
//! else. An answer is in two: the out-header, and the payload. All of it may change at any time, and
//! need not be there.

use super::pool::{
    Lease,
    Pool, //
};
use crate::fuse::{
    abi::{
        header::{
            InHeader,
            OutHeader, //
        },
        uring::{
            RingEntFlags,
            RingEntInOut,
            RingReqHeader,
            RING_IN_OUT_HEADER_SZ,
            RING_OP_IN_OUT_SZ, //
        },
        Unique, //
    },
    request::Request,
    transport::copy::{
        copy_bytes,
        copy_reply,
        copy_request,
        take_bytes, //
    },
};
use crate::vfs::{
    io::uring::{
        Access,
        FixedArea,
        UserArea,
        UserText, //
    },
    mm::iov::{
        Dest,
        SharedBytes, //
    },
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::IntoBytes;

/// Where an entry's memory is: addresses in the task that registered it.
pub(super) struct Area {
    /// Of a [`RingReqHeader`].
    headers: usize,
    payload: Payload,
}

/// The place for what does not fit into the headers.
struct Payload {
    /// Its address, or that in the registered buffer.
    address: usize,
    /// Its length in bytes; 0 while there is none.
    len: usize,
    /// Whether it is in a registered buffer.
    fixed: bool,
    /// The buffer of the pool that it is, and where that is in the pool.
    lease: Option<Lease>,
    offset: u32,
}

impl Area {
    /// The memory of an entry with headers at this address, and with this room of its own for
    /// payload; without, it gets a buffer when it needs one.
    pub(super) fn new(headers: usize, payload: Option<(usize, usize)>) -> Self {
        let (address, len) = payload.unwrap_or((0, 0));
        Self {
            headers,
            payload: Payload {
                address,
                len,
                fixed: false,
                lease: None,
                offset: 0,
            },
        }
    }

    /// Whether it has a buffer of the pool.
    pub(super) fn is_leased(&self) -> bool {
        self.payload.lease.is_some()
    }

    /// Its place is this buffer of `pool` from now on.
    pub(super) fn set_lease(&mut self, pool: &Pool, lease: Lease) {
        let (address, len, offset) = pool.place(&lease);
        self.payload = Payload {
            address,
            len,
            fixed: pool.is_fixed(),
            lease: Some(lease),
            offset,
        };
    }

    /// Takes its buffer of the pool away.
    pub(super) fn take_lease(&mut self) -> Option<Lease> {
        let lease = self.payload.lease.take()?;
        self.payload.len = 0;
        self.payload.offset = 0;
        Some(lease)
    }

    /// Copies a request into it. In the server's task; sleeps.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `ENOENT` if the request has ended.
    pub(super) fn put(&self, request: &Request, access: &Access<'_>) -> Result {
        let head = size_of::<InHeader>();
        let op = request.head_len();
        let payload_len = request.len().saturating_sub(head + op);
        if op > RING_OP_IN_OUT_SZ || payload_len > self.payload.len {
            return Err(EINVAL);
        }
        let mut to = Message {
            header: UserArea::new(self.headers, head)?,
            op: UserArea::new(self.headers.wrapping_add(RING_IN_OUT_HEADER_SZ), op)?,
            payload: match self.payload.fixed && payload_len > 0 {
                true => Some(access.area(self.payload.address, payload_len)?),
                false => None,
            },
            user: UserArea::new(self.payload.address, payload_len)?,
        };
        copy_request(request, &mut to)?;
        let ent = RingEntInOut {
            flags: RingEntFlags::default(),
            commit_id: request.unique().get(),
            payload_sz: payload_len as u32,
            offset: self.payload.offset,
            reserved: 0,
        };
        copy_bytes(ent.as_bytes(), &mut self.ent_area()?)
    }

    fn ent(&self) -> usize {
        self.headers
            .wrapping_add(offset_of!(RingReqHeader, ring_ent_in_out))
    }

    fn ent_area(&self) -> Result<UserArea> {
        UserArea::new(self.ent(), size_of::<RingEntInOut>())
    }

    /// The header of an answer.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(super) fn answer(&self) -> Result<OutHeader> {
        let mut header = OutHeader::default();
        let mut from = UserText::new(self.headers, size_of::<OutHeader>())?;
        take_bytes(header.as_mut_bytes(), &mut from)?;
        Ok(header)
    }

    /// Copies the payload of an answer into `request`.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` if it has a length that the operation does not allow; `ENOENT` if the
    /// request has ended.
    pub(super) fn take(&self, request: &Request, access: &Access<'_>) -> Result {
        let mut ent = RingEntInOut::default();
        let mut from = UserText::new(self.ent(), size_of::<RingEntInOut>())?;
        take_bytes(ent.as_mut_bytes(), &mut from)?;
        let (address, len) = (self.payload.address, ent.payload_sz as usize);
        if len > self.payload.len {
            return Err(EINVAL);
        }
        if self.payload.fixed && len > 0 {
            return copy_reply(request, &mut access.text(address, len)?);
        }
        copy_reply(request, &mut UserText::new(address, len)?)
    }
}

/// A message to the server, cut in its three places.
struct Message<'a> {
    header: UserArea,
    op: UserArea,
    /// All else, if it goes to a registered buffer.
    payload: Option<FixedArea<'a>>,
    /// All else, if it does not.
    user: UserArea,
}

impl Message<'_> {
    /// Calls `f` with the part that has the next byte, if there is one.
    fn with_next<R>(&mut self, f: impl FnOnce(&mut dyn Dest) -> R) -> Option<R> {
        let payload: &mut dyn Dest = match &mut self.payload {
            Some(payload) => payload,
            None => &mut self.user,
        };
        let parts: [&mut dyn Dest; 3] = [&mut self.header, &mut self.op, payload];
        parts.into_iter().find(|part| part.len() > 0).map(f)
    }
}

impl Dest for Message<'_> {
    fn len(&self) -> usize {
        let payload = match &self.payload {
            Some(payload) => payload.len(),
            None => self.user.len(),
        };
        self.header.len() + self.op.len() + payload
    }

    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let copied = self.with_next(|part| {
                let piece = bytes.after(done).first(part.len());
                (part.copy_nofault(piece), piece.len())
            });
            match copied {
                Some((copied, len)) if copied == len => done += copied,
                Some((copied, _)) => return done + copied,
                None => break,
            }
        }
        done
    }

    fn fault_in(&mut self, len: usize) -> Result {
        let faulted = self.with_next(|part| {
            let len = len.min(part.len());
            part.fault_in(len)
        });
        faulted.unwrap_or(Ok(()))
    }
}

/// The id that an answer is for, without the bit of INTERRUPT.
pub(super) fn answered(header: &OutHeader) -> Unique {
    Unique::new(header.unique.get() & !Unique::INTERRUPT)
}
