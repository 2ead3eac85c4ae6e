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
            RingEntFlag,
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
        copy_bytes_while,
        copy_front,
        copy_reply,
        take_bytes_while,
        Lent, //
    },
};
use crate::vfs::{
    io::{
        uring::Access,
        uring_pages::{
            Anchor,
            Slot, //
        },
    },
    mm::iov::{
        Dest,
        SharedBytes,
        UserRange, //
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
    /// The registered buffer that takes pages of requests, if the queue gives them away.
    pages: Option<Pages>,
}

/// Where pages of requests go instead of a copy.
struct Pages {
    index: u16,
    anchor: Anchor,
    /// Where those of the request are that the entry has, if it has some.
    lent: Option<Slot>,
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
    /// that, it gets a buffer when it needs one. `pages` is
    /// the registered buffer for pages of requests.
    pub(super) fn new(
        headers: usize,
        payload: Option<(usize, usize)>,
        pages: Option<(u16, Anchor)>,
    ) -> Self {
        let (address, len) = payload.unwrap_or((0, 0));
        Self {
            headers,
            pages: pages.map(|(index, anchor)| Pages {
                index,
                anchor,
                lent: None,
            }),
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

    /// Whether `request` needs a place for payload here.
    pub(super) fn needs_place(&self, request: &Request) -> bool {
        if self.gives_pages_of(request) {
            request.has_payload_beside_pages()
        } else {
            request.has_payload()
        }
    }

    /// Whether the server gets the pages of its data (`can_zero_copy_req()`).
    fn gives_pages_of(&self, request: &Request) -> bool {
        self.pages.is_some() && request.shares_pages()
    }

    /// Copies a request into the memory. In the server's task; sleeps.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `ENOENT` if the request, or the connection, ended; what io_uring says of the slot
    /// for its pages.
    pub(super) fn put(&mut self, lent: &mut impl Lent, access: &Access<'_>) -> Result {
        let flags = match &mut self.pages {
            Some(pages) if lent.request().shares_pages() => {
                lent.show()?;
                let (held, fills) = lent.request().hold_pages()?;
                let slot = access.lend_pages(pages.index, held, fills, &pages.anchor)?;
                pages.lent = Some(slot);
                RingEntFlag::ZeroCopy.into()
            }
            _ => RingEntFlags::default(),
        };
        let put = self.put_message(lent, flags, access);
        if put.is_err() {
            self.take_pages_back(access);
        }
        put
    }

    /// Takes the pages of the request out of the slot, if they are there (`zero_copy_unregister()`).
    pub(super) fn take_pages_back(&mut self, access: &Access<'_>) {
        if let Some(slot) = self.pages.as_mut().and_then(|pages| pages.lent.take()) {
            access.take_pages_back(slot);
        }
    }

    /// Whether the server has the pages of the request.
    pub(super) fn has_lent_pages(&self) -> bool {
        self.pages
            .as_ref()
            .is_some_and(|pages| pages.lent.is_some())
    }

    fn put_message(
        &self,
        lent: &mut impl Lent,
        flags: RingEntFlags,
        access: &Access<'_>,
    ) -> Result {
        let request = lent.request();
        let commit_id = request.unique().get();
        let head = size_of::<InHeader>();
        let op = request.head_len();
        let payload_len = request.len().saturating_sub(head + op);
        // All that READ and WRITE have behind the structure is data.
        let copied_len = if self.has_lent_pages() {
            0
        } else {
            payload_len
        };
        if op > RING_OP_IN_OUT_SZ || copied_len > self.payload.len {
            return Err(EINVAL);
        }
        let (address, len) = (self.payload.address, head + op + copied_len);
        let header = UserRange::new(self.headers, head);
        let op = UserRange::new(self.headers.wrapping_add(RING_IN_OUT_HEADER_SZ), op);
        if self.payload.fixed && copied_len > 0 {
            let payload = access.dest(address, copied_len)?;
            copy_front(lent, &mut Message(header, op, payload), len)?;
        } else {
            let payload = UserRange::new(address, copied_len);
            copy_front(lent, &mut Message(header, op, payload), len)?;
        }
        let ent = RingEntInOut {
            flags,
            commit_id,
            payload_sz: payload_len as u32,
            offset: self.payload.offset,
            reserved: 0,
        };
        copy_bytes_while(|| lent.show(), ent.as_bytes(), &mut self.ent())
    }

    /// The ring's part of the headers.
    fn ent(&self) -> UserRange {
        let at = offset_of!(RingReqHeader, ring_ent_in_out);
        UserRange::new(self.headers.wrapping_add(at), size_of::<RingEntInOut>())
    }

    /// Reads the header of a reply.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `ENOENT` if the connection has ended.
    pub(super) fn answer(&self, lent: &mut impl Lent) -> Result<OutHeader> {
        let mut header = OutHeader::default();
        let mut from = UserRange::new(self.headers, size_of::<OutHeader>());
        take_bytes_while(|| lent.show(), header.as_mut_bytes(), &mut from)?;
        Ok(header)
    }

    /// Copies the payload of a reply into the request.
    ///
    /// # Errors
    ///
    /// `EFAULT`; `EINVAL` if the operation does not allow its length; `ENOENT` if the request, or
    /// the connection, ended.
    pub(super) fn take(&self, lent: &mut impl Lent, access: &Access<'_>) -> Result {
        let mut ent = RingEntInOut::default();
        take_bytes_while(|| lent.show(), ent.as_mut_bytes(), &mut self.ent())?;
        let (address, len) = (self.payload.address, ent.payload_sz as usize);
        if self.has_lent_pages() && !lent.request().has_payload_beside_pages() {
            return lent.request().filled_in_place(len);
        }
        if len > self.payload.len {
            return Err(EINVAL);
        }
        if self.payload.fixed && len > 0 {
            return copy_reply(lent, &mut access.source(address, len)?);
        }
        copy_reply(lent, &mut UserRange::new(address, len))
    }
}

/// The three places of a message to the server: for the header, the structure of the operation, and
/// the rest.
struct Message<P>(UserRange, UserRange, P);

/// Copies to `place` what of `bytes` belongs there, if the `done` bytes before it are copied.
#[inline(always)]
fn copy_part(place: &mut impl Dest, bytes: SharedBytes<'_>, done: &mut usize) {
    let part = bytes.after(*done).first(place.len());
    if part.len() > 0 {
        *done = done.saturating_add(place.copy_nofault(part));
    }
}

impl<P: Dest> Dest for Message<P> {
    #[inline]
    fn len(&self) -> usize {
        let headers = Dest::len(&self.0).saturating_add(Dest::len(&self.1));
        headers.saturating_add(self.2.len())
    }

    #[inline]
    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        let mut done = 0;
        copy_part(&mut self.0, bytes, &mut done);
        if Dest::len(&self.0) == 0 {
            copy_part(&mut self.1, bytes, &mut done);
            if Dest::len(&self.1) == 0 {
                copy_part(&mut self.2, bytes, &mut done);
            }
        }
        done
    }

    fn fault_in(&mut self, len: usize) -> Result {
        for place in [&mut self.0, &mut self.1] {
            let room = Dest::len(place);
            if room > 0 {
                return Dest::fault_in(place, len.min(room));
            }
        }
        self.2.fault_in(len.min(self.2.len()))
    }
}

/// The id of the answered request, without the INTERRUPT bit.
pub(super) fn answered(header: &OutHeader) -> Unique {
    Unique::new(header.unique.get() & !Unique::INTERRUPT)
}
