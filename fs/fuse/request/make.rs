// SPDX-License-Identifier: GPL-2.0

//! Makes a request: memory first, then the whole request at once, in place.

use super::{
    args::Body,
    clock::Clock,
    completion::End,
    phase::Phase,
    state::Pending,
    Request, //
};
use crate::{
    fuse::{
        abi::header::InHeader,
        op::{
            data::Data,
            InArgs,
            Opcode,
            OutSpace, //
        },
    },
    vfs::sync::{
        deadline::Jiffies,
        entry::{
            Entry,
            Reserved, //
        },
        give_lock::new_give_lock,
        wait::new_wait_queue, //
    },
};
use core::cell::Cell;
use kernel::{
    prelude::*,
    sync::atomic::Atomic, //
};

/// The values that a new request is made of.
pub(crate) struct Parts {
    /// The header; lengths are filled in later, and so is `unique` except for NOTIFY_REPLY.
    pub(crate) header: InHeader,
    /// Device number of the mount, for the tracepoints.
    pub(crate) connection: u32,
    /// Whether the server has to answer.
    pub(crate) expects_reply: bool,
    /// The operation, as in the header.
    pub(crate) opcode: Opcode,
    /// Whether a server over io_uring may have the pages of its data.
    pub(crate) shares_pages: bool,
    /// Space for the reply.
    pub(crate) output: OutSpace,
}

/// Memory for a request.
///
/// Allocated before the request takes ownership of anything, so that making the request cannot fail
/// and lose what it was to own.
pub(crate) struct ReservedRequest(Reserved<Request>);

impl ReservedRequest {
    /// Makes the request, ready to be queued. `encode` writes the bytes after the header in place;
    /// the data that it returns follow them.
    ///
    /// # Errors
    ///
    /// The error of `encode`.
    #[inline]
    pub(crate) fn make<E>(
        self,
        parts: Parts,
        encode: impl FnOnce(&mut InArgs) -> Result<Option<Data>, E>,
    ) -> Result<Pending, E> {
        let Parts {
            header,
            connection,
            expects_reply,
            opcode,
            shares_pages,
            output,
        } = parts;
        let has_reply_body = output.has_room();
        let (loaded, failed) = (&Cell::new((0, 0)), &Cell::new(None));
        let entry = self.0.fill(pin_init!(Request {
            // First, because it determines the length of the message.
            body <- new_give_lock!(
                End::default(),
                Body::init(header, output).chain(|body| {
                    match body.load(encode) {
                        Ok(lengths) => loaded.set(lengths),
                        Err(error) => failed.set(Some(error)),
                    }
                    Ok(())
                }),
                "FuseRequest::body"
            ),
            len: loaded.get().0,
            head_len: loaded.get().1,
            has_reply_body,
            shares_pages,
            nodeid: header.nodeid,
            pid: header.pid,
            opcode,
            created: Jiffies::now(),
            clock: Clock::new(),
            unique: Atomic::new(header.unique.get()),
            connection,
            expects_reply,
            phase: Atomic::new(Phase::Pending as i32),
            interrupted: Atomic::new(false),
            ended <- new_wait_queue!("FuseRequest::ended"),
        }));
        match failed.take() {
            None => Ok(Pending::new(entry)),
            Some(error) => Err(error),
        }
    }
}

impl Request {
    /// Allocates memory for a request. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reserve() -> Result<ReservedRequest> {
        Entry::reserve().map(ReservedRequest)
    }

    /// A request without content, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn sample() -> Result<Pending> {
        Self::reserve()?.make(Self::sample_parts(), |_| Ok(None))
    }

    /// The parts of that request.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn sample_parts() -> Parts {
        Parts {
            header: InHeader::default(),
            connection: 0,
            expects_reply: true,
            opcode: Opcode::Getattr,
            shares_pages: false,
            output: OutSpace::default(),
        }
    }
}
