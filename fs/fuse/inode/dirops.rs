// SPDX-License-Identifier: GPL-2.0

//! Directory operations one at a time, for servers that cannot run them in parallel.
//!
//! The VFS runs lookups and readers of one directory in parallel. A server that has not set
//! PARALLEL_DIROPS at INIT gets them one after the other: each is a [`DirTurn`]
//! (`fuse_lock_inode()`). Changes of a directory are exclusive already, by the lock of the VFS.
//!
//! A caller that is killed while the server has its LOOKUP abandons that (`conn/call.rs`), and
//! releases its lock of the VFS. The LOOKUP keeps the turn ([`DirTurn::keep`]), and passes it on
//! when the server has answered. So the turn also stands in for the lock of the VFS: a change of
//! the directory waits for it ([`wait_for_turn`]).
//!
//! A turn is a lock, outside every other lock of this file system but inside the directory's lock
//! of the VFS. A waiter for it can be killed.

use crate::{
    fuse::Fuse,
    vfs::{
        node::inode::{
            INode,
            Kept, //
        },
        sync::{
            guard::{
                Guard,
                OnDrop, //
            },
            wait::{
                new_wait_queue,
                WaitQueue, //
            },
        },
    },
};
use core::ops::Deref;
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Release, //
    },
};

/// Whether an operation runs in a directory that excludes the others, and the queue on which those
/// wait.
#[pin_data]
pub(super) struct Turns {
    taken: Atomic<bool>,
    #[pin]
    free: WaitQueue,
}

impl Turns {
    /// No operation is running.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            taken: Atomic::new(false),
            free <- new_wait_queue!("FuseInode::turns"),
        })
    }

    /// Whether no operation runs in the directory. Its end happens before what follows.
    fn is_free(&self) -> bool {
        !self.taken.load(Acquire)
    }

    fn try_take(&self) -> bool {
        self.taken.cmpxchg(false, true, Acquire).is_ok()
    }
}

/// An operation runs in the directory, and no other; dropping it lets the next one run.
pub(crate) struct DirTurn<D: Deref<Target = INode<Fuse>>>(Guard<D, NextTurn>);

impl DirTurn<&INode<Fuse>> {
    /// The same, for an operation that outlives its caller.
    pub(super) fn keep(self) -> DirTurn<Kept<Fuse>> {
        DirTurn(Guard::new(Kept::from(self.0.dismiss())))
    }
}

/// Lets the next operation run.
struct NextTurn;

impl<D: Deref<Target = INode<Fuse>>> OnDrop<D> for NextTurn {
    fn run(dir: D) {
        let turns = &dir.data().turns;
        turns.taken.store(false, Release);
        // A full barrier comes first: the waiter sees the store, or this sees the waiter.
        turns.free.wake_up_if_waiting();
    }
}

fn takes_turns(dir: &INode<Fuse>) -> bool {
    !dir.sb().data().conn().features().parallel_dirops
}

/// Waits for the turn of a LOOKUP or READDIR in `dir`. [`None`] if the server has said that it runs
/// them in parallel. Sleeps.
///
/// # Errors
///
/// `EINTR` if the caller is being killed, `ERESTARTNOINTR` if it is to be frozen or stopped.
pub(crate) fn turn(dir: &INode<Fuse>) -> Result<Option<DirTurn<&INode<Fuse>>>> {
    if !takes_turns(dir) {
        return Ok(None);
    }
    let turns = &dir.data().turns;
    turns.free.wait_stoppable_exclusive(|| turns.try_take())?;
    Ok(Some(DirTurn(Guard::new(dir))))
}

/// Waits until no LOOKUP runs in `dir` that its caller has abandoned, for a server that takes
/// turns. `dir` is locked exclusively, so that none can begin. Sleeps.
///
/// # Errors
///
/// `EINTR` if the caller is being killed.
pub(crate) fn wait_for_turn(dir: &INode<Fuse>) -> Result {
    if !takes_turns(dir) {
        return Ok(());
    }
    let turns = &dir.data().turns;
    turns
        .free
        .wait_killable(|| turns.is_free())
        .map_err(|_| EINTR)
}
