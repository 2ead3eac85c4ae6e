// SPDX-License-Identifier: GPL-2.0

//! The cache of lock owners returns what the cipher returns.

use kernel::prelude::*;

#[kunit_tests(ferrofuse_lock_owner)]
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
