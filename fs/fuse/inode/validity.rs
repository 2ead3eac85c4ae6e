// SPDX-License-Identifier: GPL-2.0

//! Until when the kernel may use what a reply says: its seconds and nanoseconds from now on
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
    /// Until when its name may be used without asking the server again.
    pub(crate) fn entry_valid_until(&self) -> Deadline {
        Deadline::after(self.entry_valid, self.entry_valid_nsec)
    }

    /// Until when its attributes may be used.
    pub(crate) fn attr_valid_until(&self) -> Deadline {
        Deadline::after(self.attr_valid, self.attr_valid_nsec)
    }
}

impl AttrOut {
    /// Until when its attributes may be used.
    pub(crate) fn attr_valid_until(&self) -> Deadline {
        Deadline::after(self.attr_valid, self.attr_valid_nsec)
    }
}

impl StatxOut {
    /// Until when its attributes may be used.
    pub(crate) fn attr_valid_until(&self) -> Deadline {
        Deadline::after(self.attr_valid, self.attr_valid_nsec)
    }
}
