// SPDX-License-Identifier: GPL-2.0

//! Lock owners, made unrecognisable.
//!
//! The VFS names the owner of a lock by the address of its table of open files. The server has to
//! tell owners apart, but must not learn addresses of the kernel: it gets the address enciphered
//! by XTEA, with a key that is the connection's own. Equal owners stay equal, and different ones
//! different. No locks.

use crate::{
    fuse::abi::LockOwner,
    vfs::{
        file::open::FilesId,
        random::random_u32, //
    },
};

/// Rounds of the cipher, two halves each.
const ROUNDS: usize = 32;
/// What the sum of a round grows by: 2^32 divided by the golden ratio.
const DELTA: u32 = 0x9e37_79b9;

/// The key of one connection.
pub(crate) struct LockOwnerKey([u32; 4]);

impl LockOwnerKey {
    /// A new key.
    pub(crate) fn random() -> Self {
        Self(core::array::from_fn(|_| random_u32()))
    }

    /// What the server gets to know of `owner`.
    pub(crate) fn scramble(&self, owner: FilesId) -> LockOwner {
        LockOwner::new(self.encipher(owner.get()))
    }

    /// A word of the key; the cipher chooses by two bits of its sum.
    fn word(&self, bits: u32) -> u32 {
        let [a, b, c, d] = self.0;
        match bits & 3 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }

    fn encipher(&self, plain: u64) -> u64 {
        let (mut low, mut high) = (plain as u32, (plain >> 32) as u32);
        let mut sum = 0u32;

        for _ in 0..ROUNDS {
            low = low.wrapping_add(Self::mix(high) ^ sum.wrapping_add(self.word(sum)));
            sum = sum.wrapping_add(DELTA);
            high = high.wrapping_add(Self::mix(low) ^ sum.wrapping_add(self.word(sum >> 11)));
        }
        u64::from(low) | u64::from(high) << 32
    }

    fn mix(half: u32) -> u32 {
        ((half << 4) ^ (half >> 5)).wrapping_add(half)
    }
}
