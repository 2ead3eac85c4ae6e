// SPDX-License-Identifier: GPL-2.0

//! Requests over io_uring: the headers in the server's memory and the commands in its ring.
//!
//! All of it is in memory that the server can change at any time: a field is read once.
//!
//! The uring transport uses it. No locks, no logic.

use super::wire::*;

/// Room for the in- or out-header in [`RingReqHeader`] (`FUSE_URING_IN_OUT_HEADER_SZ`).
pub(crate) const RING_IN_OUT_HEADER_SZ: usize = 128;

/// Room for the fixed structure of an operation in [`RingReqHeader`] (`FUSE_URING_OP_IN_OUT_SZ`).
pub(crate) const RING_OP_IN_OUT_SZ: usize = 128;

wire_flags! {
    /// Flags of a ring entry ([`RingEntInOut::flags`]).
    RingEntFlags(u64);
    /// One of [`RingEntFlags`].
    RingEntFlag {
        /// The payload is not copied (`FUSE_URING_ENT_ZERO_COPY`).
        ZeroCopy = 0,
    }
}

/// The ring's part in the header of a request (`fuse_uring_ent_in_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RingEntInOut {
    /// Flags.
    pub(crate) flags: RingEntFlags,
    /// Id for the reply.
    pub(crate) commit_id: u64,
    /// Length of the payload in bytes.
    pub(crate) payload_sz: u32,
    /// Offset of the payload in the buffer pool, if there is one.
    pub(crate) offset: u32,
    /// Unused.
    pub(crate) reserved: u64,
}

/// Header of a request or reply on the ring (`fuse_uring_req_header`).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RingReqHeader {
    /// [`InHeader`](super::header::InHeader) or [`OutHeader`](super::header::OutHeader).
    pub(crate) in_out: [u8; RING_IN_OUT_HEADER_SZ],
    /// The fixed structure of the operation.
    pub(crate) op_in: [u8; RING_OP_IN_OUT_SZ],
    /// The ring's part.
    pub(crate) ring_ent_in_out: RingEntInOut,
}

/// Commands in the server's ring (`fuse_uring_cmd`).
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingCmd {
    /// Registers an entry and takes a request.
    Register = 1,
    /// Answers a request and takes the next one.
    CommitAndFetch = 2,
    /// Makes a queue.
    AddQueue = 3,
    /// Gives a buffer pool to a queue.
    AddBufpool = 4,
}

impl RingCmd {
    /// The command with this number, if there is one.
    pub(crate) const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Register,
            2 => Self::CommitAndFetch,
            3 => Self::AddQueue,
            4 => Self::AddBufpool,
            _ => return None,
        })
    }
}

wire_flags! {
    /// Flags of [`RingCmd::AddQueue`] ([`RingCmdReq::flags`]).
    RingQueueFlags(u64);
    /// One of [`RingQueueFlags`].
    RingQueueFlag {
        /// Payloads are not copied; for privileged servers with a buffer pool
        /// (`FUSE_URING_ZERO_COPY`).
        ZeroCopy = 0,
    }
}

/// A command, in the 80 bytes of the submission entry (`fuse_uring_cmd_req`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RingCmdReq {
    /// Flags.
    pub(crate) flags: RingQueueFlags,
    /// The entry that is answered.
    pub(crate) commit_id: u64,
    /// The queue.
    pub(crate) qid: u16,
    /// Must be zero.
    pub(crate) padding: [u8; 6],
    /// The last 16 bytes, whose meaning depends on the command.
    pub(super) arg: RingBufpool,
}

/// Argument of [`RingCmd::AddBufpool`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct RingBufpool {
    /// Address of the pool in the server's memory.
    pub(crate) uaddr: u64,
    /// Its length in bytes.
    pub(crate) len: u32,
    /// Must be zero.
    pub(crate) reserved: u32,
}

impl RingCmdReq {
    /// The pool, for [`RingCmd::AddBufpool`].
    pub(crate) const fn bufpool(&self) -> RingBufpool {
        self.arg
    }

    /// Slot of the entry in the server's table of registered buffers, for [`RingCmd::Register`]:
    /// the first two bytes of the union.
    pub(crate) const fn ent_zero_copy_buf_index(&self) -> u16 {
        let bytes = self.arg.uaddr.to_ne_bytes();

        u16::from_ne_bytes([bytes[0], bytes[1]])
    }
}
