// SPDX-License-Identifier: GPL-2.0

//! How a request ended, and the only conversion of that to an errno.

use crate::fuse::abi::header::OutHeader;
use kernel::{
    error::to_result,
    prelude::*, //
};

/// The lowest kernel-internal errno (`ERESTARTSYS` of `linux/errno.h`); a server may answer with
/// smaller ones only.
const FIRST_INTERNAL_ERRNO: i32 = 512;

/// The errno of a server's reply: -511 to 0, where 0 is success.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerErrno(Option<Error>);

impl ServerErrno {
    /// Success.
    pub(crate) const OK: Self = Self(None);

    /// Checks the `error` field of a reply header.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is positive, or a code that the kernel uses internally.
    pub(crate) fn new(error: i32) -> Result<Self> {
        if error > 0 || error <= -FIRST_INTERNAL_ERRNO {
            return Err(EINVAL);
        }
        Ok(Self(to_result(error).err()))
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server replied; `len` is the length of its message.
    Answered {
        /// The errno of the reply.
        errno: ServerErrno,
        /// Length of the reply, header included, in bytes.
        len: u32,
    },
    /// Delivered, and no reply is expected.
    Delivered,
    /// The connection was gone before the request could be queued.
    NotConnected,
    /// The connection was aborted, or the server closed its device.
    Aborted,
    /// The caller was killed before the server read it.
    Interrupted,
    /// The server's buffer was too small for the request.
    TooLarge,
    /// A copy failed, or the reply had a length that the operation does not allow.
    Io,
    /// The memory of its ring entry is not accessible.
    Fault,
    /// The reply in its ring entry is malformed.
    Malformed,
    /// The reply in its ring entry belongs to another request.
    Misdirected,
    /// The slot for its pages in the server's ring is not free.
    Occupied,
    /// There was no memory to give its pages away.
    NoMemory,
    /// The task that was to receive it is exiting.
    Canceled,
}

impl Outcome {
    /// The outcome of a server's reply with this header.
    pub(crate) fn answered(errno: ServerErrno, header: &OutHeader) -> Self {
        Self::Answered {
            errno,
            len: header.len,
        }
    }

    /// A copy from or to a ring entry failed with `error`.
    pub(crate) fn not_copied(error: Error) -> Self {
        match error {
            EFAULT => Self::Fault,
            EINVAL => Self::Malformed,
            EBUSY => Self::Occupied,
            ENOMEM => Self::NoMemory,
            _ => Self::Io,
        }
    }

    fn error(self) -> Option<Error> {
        match self {
            Self::Answered { errno, .. } => errno.0,
            Self::Delivered => None,
            Self::NotConnected => Some(ENOTCONN),
            Self::Aborted => Some(ECONNABORTED),
            Self::Interrupted => Some(EINTR),
            Self::TooLarge => Some(E2BIG),
            Self::Io => Some(EIO),
            Self::Fault => Some(EFAULT),
            Self::Malformed => Some(EINVAL),
            Self::Misdirected => Some(ENOENT),
            Self::Occupied => Some(EBUSY),
            Self::NoMemory => Some(ENOMEM),
            Self::Canceled => Some(ECANCELED),
        }
    }

    /// 0 or a negative errno.
    pub(crate) fn errno(self) -> i32 {
        self.error().map_or(0, Error::to_errno)
    }

    /// Length of the server's reply in bytes; 0 if there was none.
    pub(crate) fn reply_len(self) -> u32 {
        match self {
            Self::Answered { len, .. } => len,
            _ => 0,
        }
    }
}

impl From<Outcome> for Result {
    fn from(outcome: Outcome) -> Result {
        outcome.error().map_or(Ok(()), Err)
    }
}
