// SPDX-License-Identifier: GPL-2.0

//! Operations that the server lacks: one bit an operation, set once and never cleared.

use crate::fuse::op::Opcode;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Opcodes below this have a bit; CUSE_INIT has none and needs none.
const OPCODES: u32 = 64;

/// The operations that the server answered with ENOSYS, where the table says to remember that.
pub(crate) struct Unimplemented(Atomic<u64>);

impl Unimplemented {
    /// No operation is known to be lacking.
    pub(super) fn new() -> Self {
        Self(Atomic::new(0))
    }

    fn bit(opcode: Opcode) -> u64 {
        let number = opcode as u32;
        if number < OPCODES {
            1 << number
        } else {
            0
        }
    }

    /// Whether the server lacks the operation.
    pub(crate) fn contains(&self, opcode: Opcode) -> bool {
        self.0.load(Relaxed) & Self::bit(opcode) != 0
    }

    /// Notes that the server lacks the operation.
    pub(crate) fn insert(&self, opcode: Opcode) {
        let mut seen = self.0.load(Relaxed);
        while let Err(now) = self.0.cmpxchg(seen, seen | Self::bit(opcode), Relaxed) {
            seen = now;
        }
    }
}
