// SPDX-License-Identifier: GPL-2.0

//! Numbers for tests that throw dice: from a seed, so that a failure can be thrown again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

static SEED: AtomicU64 = AtomicU64::new(0);

/// Sets the seed of the run.
pub fn set_seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
}

/// A generator of pseudo-random numbers (splitmix64).
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// One of its own for each `player` of a test; the same seed and player throw the same.
    pub fn new(player: u64) -> Self {
        let mut d = Dice(SEED.load(Ordering::Relaxed) ^ player.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        d.any();
        d
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.any() % n
    }

    /// An index of something with `len` elements, which are not none.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Whether it happens: once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.index(all.len())]
    }

    /// That many bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.any() as u8).collect()
    }
}
