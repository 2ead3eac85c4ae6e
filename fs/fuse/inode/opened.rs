// SPDX-License-Identifier: GPL-2.0

//! A file that the server has opened, until the server is told that it is closed.
//!
//! An [`Opened`] is the server's part of an open file: the mount and the handles for requests on
//! it. Files of a mount have an inode besides ([`handle`](super::handle)); those of a character
//! device have nothing else. Dropping it sends RELEASE or RELEASEDIR. It is made from the answer to
//! OPEN; reads, writes, polls and ioctls of open files use it.
//!
//! Locks: none. Dropping it does not wait for an answer; [`Opened::release_and_wait`] does.

use crate::{
    fuse::{
        abi::{
            file::{
                FopenFlag,
                FopenFlags,
                OpenOut,
                ReleaseFlag,
                ReleaseIn, //
            },
            FileHandle,
            LockOwner,
            NodeId, //
        },
        channel::polled::{
            Pollers,
            PollersSlot, //
        },
        conn::{
            call::OnAnswer,
            mount::Mount, //
        },
        op,
    },
    vfs::{
        file::poll::Pollable,
        sync::wait::WaitQueue, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    },
};

/// The kinds of opened objects, whose handles the server keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By OPEN.
    File,
    /// By OPENDIR.
    Directory,
}

/// An open file or directory of the server.
pub(crate) struct Opened {
    mount: Arc<Mount>,
    node: NodeId,
    kind: Kind,
    fh: FileHandle,
    open_flags: FopenFlags,
    /// Whether the server has opened something and is to get a RELEASE.
    owed: bool,
    /// `O_*` of the file when it was closed.
    release_flags: Atomic<u32>,
    /// The owner of a `flock(2)` lock on the file, as the server knows it; valid once `flocked` is
    /// set.
    flock_owner: Atomic<u64>,
    /// Whether the server has given a BSD lock to this handle. Never cleared: it does no harm to
    /// release a lock that is gone already.
    flocked: Atomic<bool>,
    pollers: PollersSlot,
}

impl Opened {
    /// Made of the server's answer to opening `node`, or [`None`] if it does not implement opening:
    /// then it gets no RELEASE, and everything may stay cached.
    #[inline]
    pub(crate) fn new(
        mount: Arc<Mount>,
        node: NodeId,
        kind: Kind,
        answer: Option<OpenOut>,
    ) -> Self {
        let cached = match kind {
            Kind::File => FopenFlags::from(FopenFlag::KeepCache),
            Kind::Directory => FopenFlag::KeepCache | FopenFlag::CacheDir,
        };
        let (fh, flags) = match answer {
            Some(answer) => (answer.fh, answer.open_flags),
            None => (FileHandle::new(0), cached),
        };
        Self {
            mount,
            node,
            kind,
            fh,
            open_flags: match kind {
                Kind::File => flags,
                // The records of a directory have no page cache to bypass.
                Kind::Directory => flags & !FopenFlags::from(FopenFlag::DirectIo),
            },
            owed: answer.is_some(),
            release_flags: Atomic::new(0),
            flock_owner: Atomic::new(0),
            flocked: Atomic::new(false),
            pollers: PollersSlot::new(),
        }
    }

    /// The mount it was opened through.
    pub(crate) fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The node it was opened by.
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// The server's handle; 0 if the server does not implement opening.
    pub(crate) fn fh(&self) -> FileHandle {
        self.fh
    }

    /// Whether the server has set `flag`.
    pub(crate) fn wants(&self, flag: FopenFlag) -> bool {
        self.open_flags.contains(flag)
    }

    /// Whether a server over io_uring may have the pages of what is read and written.
    pub(crate) fn shares_pages(&self) -> bool {
        self.wants(FopenFlag::IoUringZeroCopy)
    }

    /// Whether the server has set a flag that is not in `flags`, or an unknown one.
    pub(crate) fn wants_more_than(&self, flags: FopenFlags) -> bool {
        u32::from(self.open_flags) & !u32::from(flags) != 0
    }

    /// The pollers of the file. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn pollers(&self) -> Result<&Pollers> {
        self.mount.conn().channel().polled().enter(&self.pollers)
    }

    /// Notes the `flags` (`O_*`) of the closed file, which RELEASE tells the server.
    pub(crate) fn close(&self, flags: u32) {
        self.release_flags.store(flags, Relaxed);
    }

    /// The server has given `owner`, which is this open file, a BSD lock: RELEASE has to release
    /// it.
    pub(crate) fn flocked_by(&self, owner: LockOwner) {
        self.flock_owner.store(owner.get(), Relaxed);
        self.flocked.store(true, Release);
    }

    /// Tells the server that it is not used any more, and waits for the answer, unless that was
    /// done.
    pub(crate) fn release_and_wait(&mut self) {
        self.forget_pollers();
        if core::mem::take(&mut self.owed) {
            let (node, args) = (self.node, self.release_args());
            // An error of the server has no consequence.
            let _ = match self.kind {
                Kind::File => self.mount.call(op::Release { node, args }),
                Kind::Directory => self.mount.call(op::Releasedir { node, args }),
            };
        }
    }

    /// Tells the server that it is not used any more, unless that was done; the result of `keep` is
    /// kept until the server has answered.
    #[inline]
    pub(super) fn release_keeping<K: Send + 'static>(&mut self, keep: impl FnOnce() -> K) {
        self.forget_pollers();
        if core::mem::take(&mut self.owed) {
            self.send_release(Released { _kept: keep() });
        }
    }

    /// Tells the server that it is not used any more; `done` is dropped when the server has
    /// answered.
    #[inline(never)]
    fn send_release<K: Send + 'static>(&self, done: Released<K>) {
        let (node, args) = (self.node, self.release_args());
        match self.kind {
            Kind::File => self.mount.call_background(op::Release { node, args }, done),
            Kind::Directory => self
                .mount
                .call_background(op::Releasedir { node, args }, done),
        }
    }

    #[inline]
    fn forget_pollers(&self) {
        if self.pollers.as_ref().is_some() {
            self.mount.conn().channel().polled().remove(&self.pollers);
        }
    }

    fn release_args(&self) -> ReleaseIn {
        let args = ReleaseIn {
            fh: self.fh,
            flags: self.release_flags.load(Relaxed),
            ..ReleaseIn::default()
        };
        if !self.flocked.load(Acquire) {
            return args;
        }
        ReleaseIn {
            release_flags: ReleaseFlag::FlockUnlock.into(),
            lock_owner: LockOwner::new(self.flock_owner.load(Relaxed)),
            ..args
        }
    }
}

impl Pollable for Opened {
    fn pollers(&self) -> Result<&WaitQueue> {
        Opened::pollers(self).map(Pollers::queue)
    }
}

impl Drop for Opened {
    #[inline]
    fn drop(&mut self) {
        self.release_keeping(|| ());
    }
}

/// Keeps what a RELEASE needs until it is answered.
struct Released<K> {
    _kept: K,
}

impl<K: Send + 'static> OnAnswer<op::Release> for Released<K> {
    fn answered(self, _result: Result) {}
}

impl<K: Send + 'static> OnAnswer<op::Releasedir> for Released<K> {
    fn answered(self, _result: Result) {}
}
