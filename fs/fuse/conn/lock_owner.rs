// SPDX-License-Identifier: GPL-2.0

//! Scrambled lock owners.
//!
//! The VFS names the owner of a lock by the address of its table of open files. The server has to
//! distinguish owners, but must not learn addresses of the kernel: it gets the address encrypted
//! with XTEA, with a key of the connection. Equal owners stay equal, and different ones different.
//!
//! The cipher costs more than encoding the rest of a small request, and its result depends only on
//! key and address: the results for recent owners are cached.
//!
//! Locks: none. Each place of the cache has a sequence number: a reader that races with a writer,
//! and a writer that races with another, do without the cache.

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
/// The increment of the sum per round: 2^32 divided by the golden ratio.
const DELTA: u32 = 0x9e37_79b9;

/// Bits of the index of an owner's place.
const PLACE_BITS: u32 = 4;

/// The key of a connection, and the cached results for it.
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

    /// The server's number for `owner`.
    pub(crate) fn scramble(&self, owner: FilesId) -> LockOwner {
        LockOwner::new(self.remember(owner.get()))
    }

    /// As [`Self::encipher`], which is called only if the result is not cached.
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

    /// A word of the key; the cipher selects it by two bits of its sum.
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

/// The place of an owner: the upper bits of a product, because addresses end in zeroes.
fn place_of(plain: u64) -> usize {
    (plain.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACE_BITS)) as usize
}

/// An owner, and its encrypted number.
///
/// `sequence` is 0 as long as there is none, odd while the two are written, and even otherwise; it
/// is incremented by 2 with each owner.
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

    /// The encrypted number of `plain`, if that is the owner in this place.
    fn find(&self, plain: u64) -> Option<u64> {
        // Pairs with the release in `keep`: the two words belong to this number.
        let before = self.sequence.load(Acquire);
        let found = (self.plain.load(Relaxed), self.cipher.load(Relaxed));
        // Pairs with the barrier in `keep`: a word of the next owner is seen with that owner's
        // number.
        smp_mb(Read);
        let whole = before != 0 && before % 2 == 0 && self.sequence.load(Relaxed) == before;
        (whole && found.0 == plain).then_some(found.1)
    }

    /// Replaces the owner in this place, unless another task does.
    fn keep(&self, plain: u64, cipher: u64) {
        let before = self.sequence.load(Relaxed);
        let odd = before.wrapping_add(1);
        // Pairs with the release of the task that kept the owner before: its words do not come after
        // those of this one.
        if before % 2 != 0 || self.sequence.cmpxchg(before, odd, Acquire).is_err() {
            return;
        }
        smp_mb(Write);
        self.plain.store(plain, Relaxed);
        self.cipher.store(cipher, Relaxed);
        // After 2^32 the place counts as empty once.
        self.sequence.store(odd.wrapping_add(1), Release);
    }
}

#[kernel::macros::kunit_tests(ferrofuse_lock_owner)]
mod tests {
    use crate::fuse::conn::lock_owner::LockOwnerKey;

    /// Possible addresses of tables of files, and impossible ones.
    fn owners() -> impl Iterator<Item = u64> + Clone {
        let addresses = (0..1000u64).map(|n| 0xffff_8880_0000_0000 + n * 704);
        Iterator::chain(addresses, [0, 1, u64::MAX, 1 << 63])
    }

    /// More owners than places, so that owners replace each other repeatedly.
    #[test]
    fn every_owner_gets_what_the_cipher_says() {
        let key = LockOwnerKey::random();
        for _ in 0..3 {
            for owner in owners() {
                let cipher = key.encipher(owner);
                assert_eq!(key.remember(owner), cipher);
                assert_eq!(key.remember(owner), cipher);
            }
        }
    }

    #[test]
    fn keys_do_not_know_of_each_other() {
        let (one, other) = (LockOwnerKey::random(), LockOwnerKey::random());
        for owner in owners() {
            assert_eq!(one.remember(owner), one.encipher(owner));
            assert_eq!(other.remember(owner), other.encipher(owner));
        }
    }
}
