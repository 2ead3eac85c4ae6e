// SPDX-License-Identifier: GPL-2.0

//! Lock owners, made unrecognisable.
//!
//! The VFS names the owner of a lock by the address of its table of open files. The server has to
//! tell owners apart, but must not learn addresses of the kernel: it gets the address enciphered
//! by XTEA, with a key that is the connection's own. Equal owners stay equal, and different ones
//! different.
//!
//! The cipher costs more than all the rest of a small request's text, and its result depends on
//! nothing but key and address: the results for the last owners are remembered.
//!
//! Locks: none. What is remembered is guarded by a sequence number in each place: a reader that
//! meets a writer, and a writer that meets another, does without.

use crate::{
    fuse::abi::LockOwner,
    vfs::{
        file::open::FilesId,
        random::random_u32, //
    },
};
use kernel::sync::{
    atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    barrier::{
        smp_mb,
        Read,
        Write, //
    },
};

/// Rounds of the cipher, two halves each.
const ROUNDS: usize = 32;
/// What the sum of a round grows by: 2^32 divided by the golden ratio.
const DELTA: u32 = 0x9e37_79b9;

/// Bits of the number of a place for an owner.
const PLACE_BITS: u32 = 4;

/// The key of one connection, and what has been enciphered with it.
pub(crate) struct LockOwnerKey {
    key: [u32; 4],
    places: [Place; 1 << PLACE_BITS],
}

impl LockOwnerKey {
    /// A new key.
    pub(crate) fn random() -> Self {
        Self {
            key: core::array::from_fn(|_| random_u32()),
            places: core::array::from_fn(|_| Place::empty()),
        }
    }

    /// What the server gets to know of `owner`.
    pub(crate) fn scramble(&self, owner: FilesId) -> LockOwner {
        LockOwner::new(self.remember(owner.get()))
    }

    /// As [`Self::encipher`], which is only asked if the answer is not known.
    pub(super) fn remember(&self, plain: u64) -> u64 {
        let Some(place) = self.places.get(place_of(plain)) else {
            return self.encipher(plain);
        };
        place.find(plain).unwrap_or_else(|| {
            let cipher = self.encipher(plain);
            place.keep(plain, cipher);
            cipher
        })
    }

    /// A word of the key; the cipher chooses by two bits of its sum.
    fn word(&self, bits: u32) -> u32 {
        let [a, b, c, d] = self.key;
        match bits & 3 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        }
    }

    #[inline(never)]
    pub(super) fn encipher(&self, plain: u64) -> u64 {
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

/// The place of an owner: by the upper bits of a product, because addresses end in zeroes.
fn place_of(plain: u64) -> usize {
    (plain.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACE_BITS)) as usize
}

/// One owner, and what it was enciphered to.
///
/// `sequence` is 0 as long as there is none, odd while the two are written, and even otherwise; it
/// grows by 2 with each owner.
struct Place {
    sequence: Atomic<u32>,
    plain: Atomic<u64>,
    cipher: Atomic<u64>,
}

impl Place {
    fn empty() -> Self {
        Self {
            sequence: Atomic::new(0),
            plain: Atomic::new(0),
            cipher: Atomic::new(0),
        }
    }

    /// What `plain` was enciphered to, if it is the owner that is here.
    fn find(&self, plain: u64) -> Option<u64> {
        // Pairs with the release in `keep`: its two words come with the number.
        let before = self.sequence.load(Acquire);
        let found = (self.plain.load(Relaxed), self.cipher.load(Relaxed));
        // Pairs with the barrier in `keep`: a word of the next owner comes with that one's number.
        smp_mb(Read);
        let whole = before != 0 && before % 2 == 0 && self.sequence.load(Relaxed) == before;
        (whole && found.0 == plain).then_some(found.1)
    }

    /// Takes the place of the owner that was here, unless another does.
    fn keep(&self, plain: u64, cipher: u64) {
        let before = self.sequence.load(Relaxed);
        let odd = before.wrapping_add(1);
        if before % 2 != 0 || self.sequence.cmpxchg(before, odd, Relaxed).is_err() {
            return;
        }
        smp_mb(Write);
        self.plain.store(plain, Relaxed);
        self.cipher.store(cipher, Relaxed);
        // After 2^32 the place counts as empty once.
        self.sequence.store(odd.wrapping_add(1), Release);
    }
}
