// SPDX-License-Identifier: GPL-2.0

//! What the server has opened, until it is told that nobody uses it any more.
//!
//! An [`Opened`] is what an open file has of the server: whom to ask, and by which names. Files of
//! a mount have an inode besides ([`handle`](super::handle)); those of a character device have
//! nothing else. Whoever drops it sends RELEASE or RELEASEDIR. On the walk: made from the answer to
//! OPEN, used by what reads, writes, polls and controls open files.
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

/// What was opened; the server keeps the handles of the two apart.
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
    /// Whether the server has opened something and is owed a RELEASE.
    owed: bool,
    /// `O_*` of the file when it was closed.
    release_flags: Atomic<u32>,
    /// Who has locked the file by `flock(2)`, as the server knows them; valid once `flocked` is.
    flock_owner: Atomic<u64>,
    /// Whether the server has given a BSD lock to this handle. Never cleared: giving up one that is
    /// gone already does no harm.
    flocked: Atomic<bool>,
    pollers: PollersSlot,
}

impl Opened {
    /// What the server answered with when it was asked to open `node`, or [`None`] if it does not
    /// implement opening: then nothing is owed to it, and everything may stay cached.
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
                // The records of a directory have no page cache to go past.
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

    /// The server's name of it; 0 if the server does not implement opening.
    pub(crate) fn fh(&self) -> FileHandle {
        self.fh
    }

    /// Whether the server wants it used in this way.
    pub(crate) fn wants(&self, flag: FopenFlag) -> bool {
        self.open_flags.contains(flag)
    }

    /// Whether the server wants it used in a way that is not one of `flags`, or in one that nobody
    /// knows.
    pub(crate) fn wants_more_than(&self, flags: FopenFlags) -> bool {
        u32::from(self.open_flags) & !u32::from(flags) != 0
    }

    /// Who polls the file. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn pollers(&self) -> Result<&Pollers> {
        self.mount.conn().channel().polled().enter(&self.pollers)
    }

    /// The file is closed, with `flags` (`O_*`): what the server is told in the end.
    pub(crate) fn close(&self, flags: u32) {
        self.release_flags.store(flags, Relaxed);
    }

    /// The server has given `owner`, which is this open file, a BSD lock: RELEASE has to take it
    /// back.
    pub(crate) fn flocked_by(&self, owner: LockOwner) {
        self.flock_owner.store(owner.get(), Relaxed);
        self.flocked.store(true, Release);
    }

    /// Nobody uses it any more: tells the server, and waits for its answer, unless that was done.
    pub(crate) fn release_and_wait(&mut self) {
        self.forget_pollers();
        if core::mem::take(&mut self.owed) {
            let (node, args) = (self.node, self.release_args());
            // What the server says to that helps nobody.
            let _ = match self.kind {
                Kind::File => self.mount.call(op::Release { node, args }),
                Kind::Directory => self.mount.call(op::Releasedir { node, args }),
            };
        }
    }

    /// Nobody uses it any more: tells the server, unless that was done; what `keep` returns is kept
    /// until it has answered.
    pub(super) fn release_keeping<K: Send + 'static>(&mut self, keep: impl FnOnce() -> K) {
        self.forget_pollers();
        if !core::mem::take(&mut self.owed) {
            return;
        }
        let (node, args) = (self.node, self.release_args());
        let done = Released { _kept: keep() };
        match self.kind {
            Kind::File => self.mount.call_background(op::Release { node, args }, done),
            Kind::Directory => self
                .mount
                .call_background(op::Releasedir { node, args }, done),
        }
    }

    fn forget_pollers(&self) {
        self.mount.conn().channel().polled().remove(&self.pollers);
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
