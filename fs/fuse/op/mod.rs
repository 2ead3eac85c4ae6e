// SPDX-License-Identifier: GPL-2.0

//! Operations as data: what each one sends and receives, and the rules for it.
//!
//! An operation is a value of a type that [`table`] declares, one row each. Its caller fills it in
//! and passes it to the connection, which follows the constants of [`Operation`]:
//!
//! ```text
//! let entry = mount.call(op::Lookup { dir, name })?;
//! ```
//!
//! The file system makes operations; `conn` calls them and encodes them into a request with
//! [`codec`]. No locks.

use self::data::OpData;
use crate::fuse::abi::NodeId;
// Not the whole prelude: it has another `Init`.
use kernel::prelude::{
    Error,
    Result, //
};

mod codec;
#[cfg(CONFIG_KUNIT = "y")]
mod codec_test;
pub(crate) mod data;
mod declare;
mod enosys;
mod table;
#[cfg(CONFIG_KUNIT = "y")]
mod table_test;

pub(crate) use codec::{
    InArgs,
    OutArgs,
    OutSpace,
    OutSpec,
    SetxattrHead,
    Unsplit,
    Xattr, //
};
pub(crate) use table::*;

/// Whether the server answers an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It does.
    Expected,
    /// It does not: the request ends when it has been read.
    None,
}

/// What an operation waits for before it is queued, and what may end it early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// For the answer to INIT. It can be killed until the server has read it.
    Normal,
    /// For nothing, and it cannot be killed: otherwise the server would leak a node, handle or
    /// lock.
    Force,
    /// For nothing, and the mount waits for it: if that is killed, the connection ends.
    Mount,
    /// For nothing; it bypasses the queue of requests, and no caller waits for it.
    HighPriority,
}

/// The user and group ids in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creds {
    /// The caller's; "invalid" if the mount is idmapped, where they would be meaningless.
    Caller,
    /// The caller's as mapped by the mount, because a node is created.
    Creator,
    /// Zero: the kernel acts on its own behalf.
    Nobody,
}

/// The meaning of ENOSYS from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enosys {
    /// An error, for this one call.
    Pass,
    /// The server lacks the operation: from now on every call fails with this error.
    Remember(Error),
    /// The server has nothing to do there: from now on every call succeeds.
    RememberOk,
    /// The server lacks the operation and the caller has an alternative: from now on every call
    /// returns `None`.
    Fallback,
}

/// An operation of the protocol, ready to be sent.
///
/// The constants and functions follow from its row in [`table`].
pub(crate) trait Operation: Sized {
    /// Its number.
    const OPCODE: Opcode;
    /// Whether it is answered.
    const REPLY: Reply;
    /// What it waits for.
    const GATE: Gate;
    /// Whose ids it has.
    const CREDS: Creds;
    /// What ENOSYS means.
    const ENOSYS: Enosys;

    /// The data that it sends or that the reply fills.
    type Data: OpData;

    /// The caller's part of the reply.
    type Out;

    /// The node that it is on; [`NodeId::NONE`] if it is on the connection.
    fn node(&self) -> NodeId;

    /// Copies structure, names and bytes into `args`, in the form of protocol 7.`minor`.
    ///
    /// # Errors
    ///
    /// ENOMEM; E2BIG if they do not fit into a request.
    fn encode(&self, minor: u32, args: &mut InArgs) -> Result;

    /// The data, after the rest was encoded.
    fn into_data(self) -> Self::Data;

    /// Whether a server over io_uring may have the pages of its data instead of a copy.
    fn shares_pages(&self) -> bool {
        false
    }

    /// The possible lengths of the reply in protocol 7.`minor`.
    fn out_spec(&self, minor: u32) -> OutSpec;

    /// Decodes the caller's part of the reply.
    ///
    /// # Errors
    ///
    /// EIO if the reply does not contain it.
    fn decode(minor: u32, out: &mut OutArgs) -> Result<Self::Out>;

    /// The caller's result when the server is known to lack the operation, see
    /// [`Operation::ENOSYS`].
    ///
    /// # Errors
    ///
    /// The error to remember; ENOSYS for [`Enosys::Pass`].
    fn lacking() -> Result<Self::Out>;
}

/// The return value of a call: its result, with the operation's data, if it has some.
pub(crate) type Answer<O> = <<O as Operation>::Data as OpData>::With<<O as Operation>::Out>;

/// A visitor of every row of the table, for tests.
#[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
pub(crate) trait Visitor {
    /// Visits a row.
    fn visit<O: Operation>(&mut self, op: O);
}
