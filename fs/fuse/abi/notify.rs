// SPDX-License-Identifier: GPL-2.0

//! Notifications of the server: a reply to request zero, whose error is the code.
//!
//! Neighbours: the notify room. No locks, no logic.

use super::wire::*;

/// The code of a notification (`fuse_notify_code`).
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotifyCode {
    /// A file is ready: [`NotifyPollWakeupOut`].
    Poll = 1,
    /// A node has changed: [`NotifyInvalInodeOut`].
    InvalInode = 2,
    /// A name has changed: [`NotifyInvalEntryOut`] and the name.
    InvalEntry = 3,
    /// Here is content: [`NotifyStoreOut`] and the data.
    Store = 4,
    /// Send content: [`NotifyRetrieveOut`].
    Retrieve = 5,
    /// A name is gone: [`NotifyDeleteOut`] and the name.
    Delete = 6,
    /// Send unanswered requests again.
    Resend = 7,
    /// All names have changed.
    IncEpoch = 8,
    /// Forget nodes: [`NotifyPruneOut`] and their ids.
    Prune = 9,
}

impl NotifyCode {
    /// The notification with this number, if there is one.
    pub(crate) const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Poll,
            2 => Self::InvalInode,
            3 => Self::InvalEntry,
            4 => Self::Store,
            5 => Self::Retrieve,
            6 => Self::Delete,
            7 => Self::Resend,
            8 => Self::IncEpoch,
            9 => Self::Prune,
            _ => return None,
        })
    }
}

/// Body of [`NotifyCode::Poll`] (`fuse_notify_poll_wakeup_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyPollWakeupOut {
    /// The file, as it was named in POLL.
    pub(crate) kh: KernelHandle,
}

/// Body of [`NotifyCode::InvalInode`] (`fuse_notify_inval_inode_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyInvalInodeOut {
    /// The node.
    pub(crate) nodeid: NodeId,
    /// First byte that has changed; negative if only the attributes have.
    pub(crate) off: i64,
    /// Number of changed bytes; zero or less for all that follow.
    pub(crate) len: i64,
}

wire_flags! {
    /// Flags of [`NotifyCode::InvalEntry`] ([`NotifyInvalEntryOut::flags`]).
    InvalEntryFlags(u32);
    /// One of [`InvalEntryFlags`].
    InvalEntryFlag {
        /// The name is to be looked up again when next used, not dropped (`FUSE_EXPIRE_ONLY`).
        ExpireOnly = 0,
    }
}

/// Body of [`NotifyCode::InvalEntry`]; the name with NUL follows (`fuse_notify_inval_entry_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyInvalEntryOut {
    /// The directory.
    pub(crate) parent: NodeId,
    /// Length of the name in bytes, without NUL.
    pub(crate) namelen: u32,
    /// Flags.
    pub(crate) flags: InvalEntryFlags,
}

/// Body of [`NotifyCode::Delete`]; the name with NUL follows (`fuse_notify_delete_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyDeleteOut {
    /// The directory.
    pub(crate) parent: NodeId,
    /// The node that the name stood for.
    pub(crate) child: NodeId,
    /// Length of the name in bytes, without NUL.
    pub(crate) namelen: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Body of [`NotifyCode::Store`]; the data follows (`fuse_notify_store_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyStoreOut {
    /// The file.
    pub(crate) nodeid: NodeId,
    /// Offset in bytes.
    pub(crate) offset: u64,
    /// Length in bytes.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Body of [`NotifyCode::Retrieve`] (`fuse_notify_retrieve_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyRetrieveOut {
    /// Id for the NOTIFY_REPLY; issued by the server.
    pub(crate) notify_unique: Unique,
    /// The file.
    pub(crate) nodeid: NodeId,
    /// Offset in bytes.
    pub(crate) offset: u64,
    /// Maximum length in bytes.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) padding: u32,
}

/// Request NOTIFY_REPLY; the data follows. As long as a WRITE (`fuse_notify_retrieve_in`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyRetrieveIn {
    /// Unused.
    pub(crate) dummy1: u64,
    /// Offset in bytes.
    pub(crate) offset: u64,
    /// Length of the data that follows, in bytes.
    pub(crate) size: u32,
    /// Unused.
    pub(crate) dummy2: u32,
    /// Unused.
    pub(crate) dummy3: u64,
    /// Unused.
    pub(crate) dummy4: u64,
}

/// Body of [`NotifyCode::Prune`]; `count` [`NodeId`] follow (`fuse_notify_prune_out`).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub(crate) struct NotifyPruneOut {
    /// Number of nodes.
    pub(crate) count: u32,
    /// Unused.
    pub(crate) padding: u32,
    /// Unused.
    pub(crate) spare: u64,
}
