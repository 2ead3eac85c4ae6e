// SPDX-License-Identifier: GPL-2.0

//! What is remembered of owners of locks, which takes no lock.

use crate::{
    fuse::conn::lock_owner::LockOwnerKey,
    vfs::file::open::FilesId, //
};
use kernel::{
    prelude::*,
    rt::spawn,
    sync::Arc, //
};

super::scenarios! {
    2 lock_owner: "an owner is shown to the server under one number, whatever is remembered meanwhile";
    2 lock_owner_two: "of two owners that are remembered in one place at once the place has one, or none";
}

/// Two owners that are remembered in one place: the products by which it is chosen are 0 and 1.
const OWNERS: [u64; 2] = [0, 0xf1de_83e1_9937_733d];

/// A key, and a check that it shows an owner, by its index, under the number of that owner.
fn key() -> (
    Arc<LockOwnerKey>,
    impl Fn(&LockOwnerKey, usize) + Copy + Send,
) {
    // Keys are the same here, and this one remembers nothing else.
    let wanted = OWNERS.map(|owner| LockOwnerKey::random().scramble(FilesId(owner)).get());
    let same = move |key: &LockOwnerKey, owner: usize| {
        let shown = key.scramble(FilesId(OWNERS[owner])).get();
        assert!(
            shown == wanted[owner],
            "the server is shown the number of another owner"
        );
    };
    (Arc::new(LockOwnerKey::random(), GFP_KERNEL).unwrap(), same)
}

fn lock_owner() {
    let (key, same) = key();
    same(&key, 0);
    let threads = ["caller 1", "caller 2"].map(|name| {
        let key = key.clone();
        spawn(name, move || same(&key, 1))
    });
    same(&key, 0);
    for thread in threads {
        thread.join();
    }
}

fn lock_owner_two() {
    let (key, same) = key();
    let threads = [("caller 1", 0), ("caller 2", 1)].map(|(name, owner)| {
        let key = key.clone();
        spawn(name, move || same(&key, owner))
    });
    for thread in threads {
        thread.join();
    }
    // The place has kept an owner with the number of the same owner.
    same(&key, 1);
    same(&key, 0);
}
