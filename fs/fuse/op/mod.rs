// SPDX-License-Identifier: GPL-2.0

//! Operations as data: what each one sends, what it gets back, and what the rules around it are.
//!
//! An operation is a value of a type that [`table`] declares, one row each. Its caller fills it in
//! and hands it to the connection, which does the rest by the constants of [`Operation`]:
//!
//! ```text
//! let entry = mount.call(op::Lookup { dir, name })?;
//! ```
//!
//! Neighbours on the walk: the rooms of the file system make operations; `conn` calls them and
//! puts their bytes, by way of [`codec`], into a request. No locks.

use self::data::OpData;
use crate::fuse::abi::NodeId;
// Not the whole prelude: its `Init` is another one than ours.
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
    /// For INIT to be answered, and not killable only once the server has read it.
    Normal,
    /// For nothing, and it cannot be killed: the server would leak what it stands for.
    Force,
    /// For nothing, and the mount waits for it: if that is killed, the connection ends.
    Mount,
    /// For nothing; it goes past the queue of requests and has nobody who waits for it.
    HighPriority,
}

/// Whose user and group ids a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creds {
    /// The caller's; "invalid" if the mount is idmapped, where they would say nothing.
    Caller,
    /// The caller's as the idmapping of the mount has them, because something is created.
    Creator,
    /// Zero: the kernel acts on its own account.
    Nobody,
}

/// What it means that the server answers ENOSYS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enosys {
    /// What it says, for this one call.
    Pass,
    /// The server lacks the operation: from now on every call fails with this error.
    Remember(Error),
    /// The server has nothing to do there: from now on every call succeeds.
    RememberOk,
    /// The server lacks the operation and the caller has another way: from now on every call
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
    /// On whose behalf it is sent.
    const CREDS: Creds;
    /// What ENOSYS means.
    const ENOSYS: Enosys;

    /// The data it carries or has filled.
    type Data: OpData;

    /// What the caller gets of the reply.
    type Out;

    /// What it is on; [`NodeId::NONE`] if on the connection.
    fn node(&self) -> NodeId;

    /// Copies structure, names and bytes into `args`, in the form of protocol 7.`minor`.
    ///
    /// # Errors
    ///
    /// ENOMEM; E2BIG if they do not fit into a request.
    fn encode(&self, minor: u32, args: &mut InArgs) -> Result;

    /// What is left of it when it is encoded.
    fn into_data(self) -> Self::Data;

    /// How long the reply may be in protocol 7.`minor`.
    fn out_spec(&self, minor: u32) -> OutSpec;

    /// Takes what was asked for out of the reply.
    ///
    /// # Errors
    ///
    /// EIO if the reply does not contain it.
    fn decode(minor: u32, out: &mut OutArgs) -> Result<Self::Out>;

    /// What the caller gets when the server is known to lack the operation, see
    /// [`Operation::ENOSYS`].
    ///
    /// # Errors
    ///
    /// The error to remember; ENOSYS for [`Enosys::Pass`].
    fn lacking() -> Result<Self::Out>;
}

/// What a call returns: what came of it, and the operation's data, if it has some.
pub(crate) type Answer<O> = <<O as Operation>::Data as OpData>::With<<O as Operation>::Out>;

/// Sees every row of the table, for tests.
#[cfg(CONFIG_KUNIT = "y")]
trait Visitor {
    /// Sees one.
    fn visit<O: Operation>(&mut self, op: O);
}
