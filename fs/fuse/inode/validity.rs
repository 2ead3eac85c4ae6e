// SPDX-License-Identifier: GPL-2.0

//! How long the kernel may use a reply: for its seconds and nanoseconds, from now on
//! (`ATTR_TIMEOUT()`, `entry_valid` and `attr_valid` of the uapi header).
//!
//! No locks.

use crate::{
    fuse::abi::attr::{
        AttrOut,
        EntryOut,
        StatxOut, //
    },
    vfs::sync::deadline::Deadline,
};

impl EntryOut {
    /// The time until which its name may be used without asking the server again.
    pub(crate) fn entry_valid_until(&self) -> Deadline {
        Deadline::after(self.entry_valid, self.entry_valid_nsec)
    }

    /// The time until which its attributes may be used.
    pub(crate) fn attr_valid_until(&self) -> Deadline {
        Deadline::after(self.attr_valid, self.attr_valid_nsec)
    }
}

impl AttrOut {
    /// The time until which its attributes may be used.
    pub(crate) fn attr_valid_until(&self) -> Deadline {
        Deadline::after(self.attr_valid, self.attr_valid_nsec)
    }
}

impl StatxOut {
    /// The time until which its attributes may be used.
    pub(crate) fn attr_valid_until(&self) -> Deadline {
        Deadline::after(self.attr_valid, self.attr_valid_nsec)
    }
}
