// SPDX-License-Identifier: GPL-2.0

//! What a notification says: its fields, checked.
//!
//! [`Message::take`] takes them from the server's message, before any inode is looked at. What may
//! be long stays in the payload: the data of STORE, the nodes of PRUNE.
//!
//! Neighbours: the files of this room act on a [`Message`]. No locks.

use crate::fuse::{
    abi::{
        notify::{
            InvalEntryFlag,
            NotifyCode,
            NotifyDeleteOut,
            NotifyInvalEntryOut,
            NotifyInvalInodeOut,
            NotifyPollWakeupOut,
            NotifyPruneOut,
            NotifyRetrieveOut,
            NotifyStoreOut, //
        },
        KernelHandle,
        NodeId,
        Unique, //
    },
    channel::owner::Payload, //
};
use core::ops::{
    Range,
    RangeInclusive, //
};
use kernel::{
    page::PAGE_SHIFT,
    prelude::*, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// What the fields are checked against.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Maximum length of a name in bytes.
    pub(super) name: usize,
    /// Maximum size of a file in bytes.
    pub(super) file: u64,
}

/// A notification (`fuse_notify()`).
pub(super) enum Message {
    /// This file is ready.
    Poll(KernelHandle),
    /// The attributes of a node have changed, and the data of these pages unless it is `None`.
    InvalInode {
        /// The node.
        node: NodeId,
        /// The pages, the last one included.
        pages: Option<RangeInclusive<u64>>,
    },
    /// A name has changed.
    InvalEntry {
        /// The name.
        name: NameOf,
        /// It is to be looked up again when next used, not dropped.
        expire_only: bool,
    },
    /// A name was removed.
    Delete {
        /// The name.
        name: NameOf,
        /// The node that it stood for, if the server says it.
        child: Option<NodeId>,
    },
    /// The rest of the payload, of `pos.end - pos.start` bytes or more, is content of a file.
    Store {
        /// The file.
        node: NodeId,
        /// Where it belongs, in bytes; within the maximum size of a file.
        pos: Range<u64>,
    },
    /// The server wants content of a file.
    Retrieve {
        /// The id of the answer.
        unique: Unique,
        /// The file.
        node: NodeId,
        /// Offset in bytes, below the maximum size of a file.
        offset: u64,
        /// Maximum length in bytes.
        size: usize,
    },
    /// The server wants unanswered requests again.
    Resend,
    /// All names have changed.
    IncEpoch,
    /// Nodes are to be forgotten that are not in use. The rest of the payload are as many ids.
    Prune {
        /// Number of nodes.
        count: usize,
    },
}

/// A name in a directory.
pub(super) struct NameOf {
    /// The directory.
    pub(super) parent: NodeId,
    /// The name, without NUL.
    pub(super) name: KVVec<u8>,
}

impl Message {
    /// Takes a notification with this code.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the code is unknown, the payload is longer or shorter than it has to be, or an
    /// offset is beyond all files; `ENAMETOOLONG`; `ENOMEM`; `EFAULT`.
    pub(super) fn take(code: i32, payload: &mut dyn Payload, bounds: Bounds) -> Result<Self> {
        Ok(match NotifyCode::from_number(code).ok_or(EINVAL)? {
            NotifyCode::Poll => {
                let out: NotifyPollWakeupOut = take_all(payload)?;
                Self::Poll(out.kh)
            }
            NotifyCode::InvalInode => {
                let out: NotifyInvalInodeOut = take_all(payload)?;
                Self::InvalInode {
                    node: out.nodeid,
                    pages: changed_pages(out.off, out.len),
                }
            }
            NotifyCode::InvalEntry => {
                let out: NotifyInvalEntryOut = take(payload)?;
                Self::InvalEntry {
                    name: NameOf::take(out.parent, out.namelen, payload, bounds)?,
                    expire_only: out.flags.contains(InvalEntryFlag::ExpireOnly),
                }
            }
            NotifyCode::Delete => {
                let out: NotifyDeleteOut = take(payload)?;
                Self::Delete {
                    name: NameOf::take(out.parent, out.namelen, payload, bounds)?,
                    child: (out.child != NodeId::NONE).then_some(out.child),
                }
            }
            NotifyCode::Store => {
                let out: NotifyStoreOut = take(payload)?;
                if payload.len() != out.size as usize {
                    return Err(EINVAL);
                }
                let start = bounds.offset(out.offset)?;
                let len = u64::from(out.size).min(bounds.file - start);
                Self::Store {
                    node: out.nodeid,
                    pos: start..start + len,
                }
            }
            NotifyCode::Retrieve => {
                let out: NotifyRetrieveOut = take_all(payload)?;
                Self::Retrieve {
                    unique: out.notify_unique,
                    node: out.nodeid,
                    offset: bounds.offset(out.offset)?,
                    size: out.size as usize,
                }
            }
            NotifyCode::Resend => Self::Resend,
            NotifyCode::IncEpoch => Self::IncEpoch,
            NotifyCode::Prune => {
                let out: NotifyPruneOut = take(payload)?;
                let count = out.count as usize;
                if Some(payload.len()) != count.checked_mul(size_of::<NodeId>()) {
                    return Err(EINVAL);
                }
                Self::Prune { count }
            }
        })
    }
}

impl NameOf {
    /// Takes the name at the end of the payload, with its NUL.
    ///
    /// # Errors
    ///
    /// `ENAMETOOLONG`; `EINVAL` if the payload is longer or shorter; `ENOMEM`; `EFAULT`.
    fn take(parent: NodeId, len: u32, payload: &mut dyn Payload, bounds: Bounds) -> Result<Self> {
        let len = len as usize;
        if len > bounds.name {
            return Err(ENAMETOOLONG);
        }
        if payload.len() != len + 1 {
            return Err(EINVAL);
        }
        let mut name = KVVec::zeroed(len + 1, GFP_KERNEL)?;
        payload.take(&mut name)?;
        name.truncate(len);
        Ok(Self { parent, name })
    }
}

impl Bounds {
    /// Checks an offset that a server sent.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no file can have such a byte.
    fn offset(self, offset: u64) -> Result<u64> {
        if offset >= self.file {
            return Err(EINVAL);
        }
        Ok(offset)
    }
}

/// The pages that INVAL_INODE names, if it names data. No length means up to the end, and so does
/// one that is too large.
fn changed_pages(off: i64, len: i64) -> Option<RangeInclusive<u64>> {
    let first = u64::try_from(off).ok()?;
    let last = match u64::try_from(len) {
        Ok(len @ 1..) => first
            .checked_add(len - 1)
            .map_or(u64::MAX, |last| last >> PAGE_SHIFT),
        _ => u64::MAX,
    };
    Some(first >> PAGE_SHIFT..=last)
}

/// Takes a struct from the payload.
///
/// # Errors
///
/// `EINVAL` if the payload is shorter, `EFAULT`.
fn take<T: FromBytes + IntoBytes>(payload: &mut dyn Payload) -> Result<T> {
    let mut value = T::new_zeroed();
    payload.take(value.as_mut_bytes())?;
    Ok(value)
}

/// Takes a struct that is the whole payload.
///
/// # Errors
///
/// `EINVAL` if the payload has another length, `EFAULT`.
fn take_all<T: FromBytes + IntoBytes>(payload: &mut dyn Payload) -> Result<T> {
    if payload.len() != size_of::<T>() {
        return Err(EINVAL);
    }
    take(payload)
}
