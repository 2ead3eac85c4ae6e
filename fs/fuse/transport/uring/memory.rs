// SPDX-License-Identifier: GPL-2.0

//! The server's memory of an entry, as the source and destination of messages.
//!
//! A message to the server has three parts: the in-header, the structure of the operation, and the
//! rest. A reply has two: the out-header, and the payload. The memory may change at any time, and
//! may not be present.

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
        RingDest,
        RingSource, //
    },
    mm::iov::{
        Dest,
        SharedBytes, //
    },
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::IntoBytes;

/// The memory of an entry: addresses in the task that registered it.
pub(super) struct Area {
    /// Address of a [`RingReqHeader`].
    headers: usize,
    payload: Payload,
}

/// The place for the part that does not fit into the headers.
struct Payload {
    /// Its address, or that in the registered buffer.
    address: usize,
    /// Its length in bytes; 0 while there is none.
    len: usize,
    /// Whether it is in a registered buffer.
    fixed: bool,
    /// The pool's buffer, if it is one; `offset` is its place in the pool.
    lease: Option<Lease>,
    offset: u32,
}

impl Area {
    /// The memory of an entry with headers at this address and its own room for `payload`; without
    /// that, it gets a buffer when it needs one.
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

    /// Uses this buffer of `pool` from now on.
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

    /// Removes its buffer of the pool.
    pub(super) fn take_lease(&mut self) -> Option<Lease> {
        let lease = self.payload.lease.take()?;
        self.payload.len = 0;
        self.payload.offset = 0;
        Some(lease)
    }

    /// Copies a request into the memory. In the server's task; sleeps.
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
            header: RingDest::of_user(self.headers, head)?,
            op: RingDest::of_user(self.headers.wrapping_add(RING_IN_OUT_HEADER_SZ), op)?,
            payload: match self.payload.fixed && payload_len > 0 {
                true => access.dest(self.payload.address, payload_len)?,
                false => RingDest::of_user(self.payload.address, payload_len)?,
            },
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

    fn ent_area(&self) -> Result<RingDest<'_>> {
        RingDest::of_user(self.ent(), size_of::<RingEntInOut>())
    }

    /// Reads the header of a reply.
    ///
    /// # Errors
    ///
    /// `EFAULT`.
    pub(super) fn answer(&self) -> Result<OutHeader> {
        let mut header = OutHeader::default();
        let mut from = RingSource::of_user(self.headers, size_of::<OutHeader>())?;
        take_bytes(header.as_mut_bytes(), &mut from)?;
        Ok(header)
    }

    /// Copies the payload of a reply into `request`.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` if the operation does not allow its length; `ENOENT` if the request has
    /// ended.
    pub(super) fn take(&self, request: &Request, access: &Access<'_>) -> Result {
        let mut ent = RingEntInOut::default();
        let mut from = RingSource::of_user(self.ent(), size_of::<RingEntInOut>())?;
        take_bytes(ent.as_mut_bytes(), &mut from)?;
        let (address, len) = (self.payload.address, ent.payload_sz as usize);
        if len > self.payload.len {
            return Err(EINVAL);
        }
        if self.payload.fixed && len > 0 {
            return copy_reply(request, &mut access.source(address, len)?);
        }
        copy_reply(request, &mut RingSource::of_user(address, len)?)
    }
}

/// A message to the server, split into its three places.
struct Message<'a> {
    header: RingDest<'a>,
    op: RingDest<'a>,
    /// The rest.
    payload: RingDest<'a>,
}

impl<'a> Message<'a> {
    /// The part that contains the next byte, if there is one.
    fn next(&mut self) -> Option<&mut RingDest<'a>> {
        let parts = [&mut self.header, &mut self.op, &mut self.payload];
        parts.into_iter().find(|part| part.len() > 0)
    }
}

impl Dest for Message<'_> {
    fn len(&self) -> usize {
        self.header.len() + self.op.len() + self.payload.len()
    }

    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let Some(part) = self.next() else { break };
            let piece = bytes.after(done).first(part.len());
            let copied = part.copy_nofault(piece);
            done += copied;
            if copied < piece.len() {
                break;
            }
        }
        done
    }

    fn fault_in(&mut self, len: usize) -> Result {
        match self.next() {
            Some(part) => part.fault_in(len.min(part.len())),
            None => Ok(()),
        }
    }
}

/// The id of the answered request, without the INTERRUPT bit.
pub(super) fn answered(header: &OutHeader) -> Unique {
    Unique::new(header.unique.get() & !Unique::INTERRUPT)
}
