// SPDX-License-Identifier: GPL-2.0

//! Payload buffers that the entries of a queue share (`struct fuse_bufpool`).

use kernel::prelude::*;

/// The right to one buffer of a pool. [`Pool::put`] returns it.
pub(super) struct Lease(u32);

/// Buffers of the same size, adjacent in the server's memory.
pub(super) struct Pool {
    base: usize,
    size: usize,
    count: u32,
    /// A bit for each buffer, set while it is free.
    free: KVec<u64>,
    /// The registered buffer of the server's ring that contains them, if any.
    fixed: Option<u16>,
}

impl Pool {
    /// As many buffers of `size` bytes as fit into the `len` bytes at `base`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if none fits, `ENOMEM`.
    pub(super) fn new(base: usize, len: u32, size: usize, fixed: Option<u16>) -> Result<Self> {
        let count = u32::try_from(len as usize / size.max(1)).unwrap_or(u32::MAX);
        if count == 0 {
            return Err(EINVAL);
        }
        let mut free = KVec::with_capacity(count.div_ceil(u64::BITS) as usize, GFP_KERNEL_ACCOUNT)?;
        let mut left = count;
        while left > 0 {
            let here = left.min(u64::BITS);
            free.push(u64::MAX >> (u64::BITS - here), GFP_KERNEL_ACCOUNT)?;
            left -= here;
        }
        Ok(Self {
            base,
            size,
            count,
            free,
            fixed,
        })
    }

    /// Whether a command that names this registered buffer may access them.
    pub(super) fn is_named(&self, fixed: Option<u16>) -> bool {
        self.fixed.is_none() || self.fixed == fixed
    }

    /// Whether they are in a registered buffer.
    pub(super) fn is_fixed(&self) -> bool {
        self.fixed.is_some()
    }

    /// Takes the first free buffer.
    pub(super) fn take(&mut self) -> Option<Lease> {
        let (at, word) = self
            .free
            .iter_mut()
            .enumerate()
            .find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros();
        *word &= *word - 1;
        Some(Lease(at as u32 * u64::BITS + bit))
    }

    /// Returns a buffer.
    pub(super) fn put(&mut self, lease: Lease) {
        let Lease(number) = lease;
        debug_assert!(number < self.count);
        if let Some(word) = self.free.get_mut((number / u64::BITS) as usize) {
            *word |= 1 << (number % u64::BITS);
        }
    }

    /// The place of a buffer: its address, its length, and its offset in the pool, in bytes.
    pub(super) fn place(&self, lease: &Lease) -> (usize, usize, u32) {
        let offset = lease.0 as usize * self.size;
        // The pool is shorter than 4 GiB.
        (self.base.wrapping_add(offset), self.size, offset as u32)
    }
}
