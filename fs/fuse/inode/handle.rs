// SPDX-License-Identifier: GPL-2.0

//! Open handles: what the server opened, until it is told that nobody uses it any more.
//!
//! An [`OpenHandle`] is the data of an open file (`struct fuse_file`). Requests that outlive the
//! file, as readahead may, share it; the last one to let go sends RELEASE or RELEASEDIR. On the
//! walk: made by `file/open.rs`, used by everything that has to name a file handle to the server.
//!
//! The handle keeps its inode, and the RELEASE keeps it until the server has answered. Otherwise
//! memory reclaim could evict the inode while the server still works on one of its requests, and
//! then wait in vain for that server (which may be the one who reclaims).
//!
//! Locks: none. The last reference may go in the context of a server's own thread, so nothing here
//! waits for an answer, but [`OpenHandle::release_now`] and [`OpenHandle::close_file`].

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
            LockOwner, //
        },
        channel::polled::{
            Pollers,
            PollersSlot, //
        },
        conn::{
            call::Completion,
            mount::Mount, //
        },
        inode::{
            self,
            dir_cache::Place,
            io_mode::Use, //
        },
        op,
        request::args::{
            Data,
            OutData, //
        },
        Fuse, //
    },
    vfs::{
        inode::INode,
        io::backing::{
            Backing,
            BackingFile, //
        },
        poll::Pollable,
        sync::wait::WaitQueue, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
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
pub(crate) struct OpenHandle {
    inode: ARef<INode<Fuse>>,
    mount: Arc<Mount>,
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
    /// Its place in `inode/write_files.rs`, which guards it; 0 if it is not there.
    write_key: Atomic<u64>,
    pollers: PollersSlot,
    /// Where the reader of a directory is in its cache: the parts of a [`Place`]. The VFS lets one
    /// task at a time read an open directory.
    place: (Atomic<i64>, Atomic<usize>, Atomic<u64>),
    /// How it uses the inode.
    io_use: Use,
    /// The file that the server has named to pass through to, with [`FopenFlag::Passthrough`].
    backing_id: i32,
    /// That file, opened like this one.
    backing: Option<BackingFile>,
}

impl OpenHandle {
    /// The handle of `inode` that the server answered with, or [`None`] if it does not implement
    /// opening: then nothing is owed to it, and everything may stay cached.
    pub(crate) fn new(inode: &INode<Fuse>, kind: Kind, answer: Option<OpenOut>) -> Self {
        let cached = match kind {
            Kind::File => FopenFlags::from(FopenFlag::KeepCache),
            Kind::Directory => FopenFlag::KeepCache | FopenFlag::CacheDir,
        };
        let (fh, flags, backing_id) = match answer {
            Some(answer) => (answer.fh, answer.open_flags, answer.backing_id),
            None => (FileHandle::new(0), cached, 0),
        };
        Self {
            inode: inode.into(),
            mount: inode::mount(inode).clone(),
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
            write_key: Atomic::new(0),
            pollers: PollersSlot::new(),
            place: (Atomic::new(0), Atomic::new(0), Atomic::new(0)),
            io_use: Use::new(),
            backing_id,
            backing: None,
        }
    }

    /// The inode.
    pub(crate) fn inode(&self) -> &INode<Fuse> {
        &self.inode
    }

    /// The mount it was opened through.
    pub(crate) fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// The server's name of it; 0 if the server does not implement opening.
    pub(crate) fn fh(&self) -> FileHandle {
        self.fh
    }

    /// Whether the server wants it used in this way.
    pub(crate) fn wants(&self, flag: FopenFlag) -> bool {
        self.open_flags.contains(flag)
    }

    /// Its place among the inode's write files, whose lock is held.
    pub(super) fn write_key(&self) -> Option<u64> {
        Some(self.write_key.load(Relaxed)).filter(|key| *key != 0)
    }

    /// Sets [`Self::write_key`]. The lock of the inode's write files is held.
    pub(super) fn set_write_key(&self, key: Option<u64>) {
        self.write_key.store(key.unwrap_or(0), Relaxed);
    }

    /// Who polls the file. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn pollers(&self) -> Result<&Pollers> {
        self.mount.conn().channel().polled().enter(&self.pollers)
    }

    /// Where the reader is in the cache of the directory.
    pub(crate) fn place(&self) -> Place {
        let (pos, offset, version) = &self.place;
        Place {
            pos: pos.load(Relaxed),
            offset: offset.load(Relaxed),
            version: version.load(Relaxed),
        }
    }

    /// Sets where the reader is in the cache of the directory.
    pub(crate) fn set_place(&self, place: Place) {
        let (pos, offset, version) = &self.place;
        pos.store(place.pos, Relaxed);
        offset.store(place.offset, Relaxed);
        version.store(place.version, Relaxed);
    }

    /// Whether the server can take direct writes side by side.
    pub(crate) fn writes_in_parallel(&self) -> bool {
        self.wants(FopenFlag::DirectIo) && self.wants(FopenFlag::ParallelDirectWrites)
    }

    /// The file is going to use the page cache, until the handle goes. Waits for writes of the
    /// inode that run in parallel.
    ///
    /// # Errors
    ///
    /// `ETXTBSY` if the inode is passed through.
    pub(crate) fn use_cache(&self) -> Result {
        self.inode.data().io_mode.enter_cached(&self.io_use)
    }

    /// Whether the server wants it used in a way that is not one of `flags`, or in one that nobody
    /// knows.
    pub(crate) fn wants_more_than(&self, flags: FopenFlags) -> bool {
        u32::from(self.open_flags) & !u32::from(flags) != 0
    }

    /// The file that the server has named to pass through to.
    pub(crate) fn backing_id(&self) -> i32 {
        self.backing_id
    }

    /// The file is going to be passed through to `file`, an opened `backing`, until the handle goes.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the inode is passed through to another file; `ETXTBSY` if somebody may use its
    /// page cache.
    pub(crate) fn pass_through(&mut self, backing: &Arc<Backing>, file: BackingFile) -> Result {
        let io_mode = &self.inode.data().io_mode;
        io_mode.enter_passing(&self.io_use, backing)?;
        self.backing = Some(file);
        Ok(())
    }

    /// What it is passed through to: mappings, and what is read and written unless the server wants
    /// [`FopenFlag::DirectIo`] as well.
    pub(crate) fn backing(&self) -> Option<&BackingFile> {
        self.backing.as_ref()
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

    /// The file is closed, with `flags` (`O_*`): the last user of the handle releases it. Sleeps.
    ///
    /// If its super block can go while the connection stays, that is done before the close is: what
    /// is locked or open there has to be given back before the unmount.
    pub(crate) fn close_file(this: Arc<Self>, flags: u32) {
        this.close(flags);
        if !this.mount.conn().options().auto_submounts {
            return;
        }
        // Requests in the background may still use it; then their end releases it.
        if let Some(handle) = Arc::into_unique_or_drop(this) {
            let mut handle = Pin::into_inner(handle);
            handle.close_unshared();
        }
    }

    /// As [`Self::close_file`], for a handle that nobody shares. Sleeps.
    pub(crate) fn close_unshared(&mut self) {
        if self.mount.conn().options().auto_submounts {
            self.detach();
            self.release_and_wait();
        }
    }

    /// Nobody uses the file any more.
    fn detach(&self) {
        self.mount.conn().channel().polled().remove(&self.pollers);
        self.inode.data().io_mode.leave(&self.io_use);
    }

    /// Releases a handle that has never been used, and waits for the answer.
    pub(crate) fn release_now(mut self, flags: u32) {
        self.close(flags);
        self.release_and_wait();
    }

    fn release_and_wait(&mut self) {
        if core::mem::take(&mut self.owed) {
            let node = self.inode.data().node_id();
            let args = self.release_args();
            // What the server says to that helps nobody.
            let _ = match self.kind {
                Kind::File => self.mount.call(op::Release { node, args }),
                Kind::Directory => self.mount.call(op::Releasedir { node, args }),
            };
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

impl Pollable for OpenHandle {
    fn pollers(&self) -> Result<&WaitQueue> {
        OpenHandle::pollers(self).map(Pollers::queue)
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        self.detach();
        if !self.owed {
            return;
        }
        let node = self.inode.data().node_id();
        let args = self.release_args();
        let done = Released {
            _inode: self.inode.clone(),
        };
        match self.kind {
            Kind::File => {
                self.mount
                    .call_background(op::Release { node, args }, OutData::None, done)
            }
            Kind::Directory => {
                self.mount
                    .call_background(op::Releasedir { node, args }, OutData::None, done)
            }
        }
    }
}

/// Keeps the inode until its handle is released.
struct Released {
    _inode: ARef<INode<Fuse>>,
}

impl Completion<op::Release> for Released {
    fn complete(self, _result: Result, _data: Data, _written: usize) {}
}

impl Completion<op::Releasedir> for Released {
    fn complete(self, _result: Result, _data: Data, _written: usize) {}
}
