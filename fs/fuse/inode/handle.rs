// SPDX-License-Identifier: GPL-2.0

//! Open handles: an open file or directory, and what the server has opened for it.
//!
//! An [`OpenHandle`] is the data of an open file (`struct fuse_file`): the server's part
//! ([`opened`](super::opened)), and the inode that it belongs to. Requests that outlive the file,
//! such as readahead, may share it; the last one to drop it sends RELEASE or RELEASEDIR.
//! `file/open.rs` makes it, and all requests that name a file handle use it.
//!
//! The handle keeps its inode, and the RELEASE keeps it until the server has answered. Otherwise
//! memory reclaim could evict the inode while the server still works on one of its requests, and
//! then wait in vain for that server (which may be the task that reclaims).
//!
//! Locks: none. The last reference may be dropped in the context of a server's own thread, so
//! nothing here waits for an answer, except [`OpenHandle::release_now`] and
//! [`OpenHandle::close_file`].

use super::opened::{
    Kind,
    Opened, //
};
use crate::{
    fuse::{
        abi::file::{
            FopenFlag,
            OpenOut, //
        },
        conn::{
            call::Abandoned,
            mount::Mount, //
        },
        inode::{
            dir_cache::Place,
            dirops::DirTurn,
            io_mode::Use, //
        },
        op::{
            Answer,
            Operation, //
        },
        Fuse, //
    },
    vfs::{
        file::poll::Pollable,
        io::backing::{
            Backing,
            BackingFile, //
        },
        node::inode::{
            INode,
            Kept, //
        },
        sync::wait::WaitQueue, //
    },
};
use core::{
    mem::MaybeUninit,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        UniqueArc, //
    },
};

/// An open file or directory.
pub(crate) struct OpenHandle {
    inode: Kept<Fuse>,
    opened: Opened,
    /// Its place in `inode/write_files.rs`, which guards it; 0 if it is not there.
    write_key: Atomic<u64>,
    /// The position of the reader of a directory in its cache: the parts of a [`Place`]. The VFS
    /// lets only one task at a time read an open directory.
    place: (Atomic<i64>, Atomic<usize>, Atomic<u64>),
    /// Whether reads go to the page cache without asking the server anything first.
    plain: bool,
    /// How it uses the inode.
    io_use: Use,
    /// The backing file that the server has named, with [`FopenFlag::Passthrough`].
    backing_id: i32,
    /// That file, opened like this one.
    backing: Option<BackingFile>,
}

impl Deref for OpenHandle {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        &self.opened
    }
}

impl OpenHandle {
    /// Memory for a handle, so that what the server opens has one. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn reserve() -> Result<UniqueArc<MaybeUninit<Self>>> {
        Ok(UniqueArc::new_uninit(GFP_KERNEL_ACCOUNT)?)
    }

    /// The handle of `inode` for the server's answer, or [`None`] if it does not implement opening:
    /// then it gets no RELEASE, and everything may stay cached.
    #[inline]
    pub(crate) fn new(inode: &INode<Fuse>, kind: Kind, answer: Option<OpenOut>) -> Self {
        let node = inode.data().node_id();
        let opened = Opened::new(Mount::of(inode).clone(), node, kind, answer);
        Self {
            inode: inode.into(),
            plain: !opened.wants(FopenFlag::DirectIo)
                && !opened.mount().conn().features().auto_inval_data,
            opened,
            write_key: Atomic::new(0),
            place: (Atomic::new(0), Atomic::new(0), Atomic::new(0)),
            io_use: Use::new(),
            backing_id: answer.map_or(0, |answer| answer.backing_id),
            backing: None,
        }
    }

    /// The inode.
    pub(crate) fn inode(&self) -> &INode<Fuse> {
        &self.inode
    }

    /// Its key in the inode's write files, whose lock is held.
    pub(super) fn write_key(&self) -> Option<u64> {
        Some(self.write_key.load(Relaxed)).filter(|key| *key != 0)
    }

    /// Sets [`Self::write_key`]. The lock of the inode's write files is held.
    pub(super) fn set_write_key(&self, key: Option<u64>) {
        self.write_key.store(key.unwrap_or(0), Relaxed);
    }

    /// The position of the reader in the cache of the directory.
    pub(crate) fn place(&self) -> Place {
        let (pos, offset, version) = &self.place;
        Place {
            pos: pos.load(Relaxed),
            offset: offset.load(Relaxed),
            version: version.load(Relaxed),
        }
    }

    /// Sets the position of the reader in the cache of the directory.
    pub(crate) fn set_place(&self, place: Place) {
        let (pos, offset, version) = &self.place;
        pos.store(place.pos, Relaxed);
        offset.store(place.offset, Relaxed);
        version.store(place.version, Relaxed);
    }

    /// Whether the server can take direct writes in parallel.
    pub(crate) fn writes_in_parallel(&self) -> bool {
        self.wants(FopenFlag::DirectIo) && self.wants(FopenFlag::ParallelDirectWrites)
    }

    /// Marks the file as a user of the page cache, until the handle is closed. Waits for writes of
    /// the inode that run in parallel.
    ///
    /// # Errors
    ///
    /// `ETXTBSY` if the inode is passed through.
    pub(crate) fn use_cache(&self) -> Result {
        self.inode.data().io_mode.enter_cached(&self.io_use)
    }

    /// The backing file that the server has named.
    pub(crate) fn backing_id(&self) -> i32 {
        self.backing_id
    }

    /// Passes the file through to `file`, an opened `backing`, until the handle is closed.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the inode is passed through to another file; `ETXTBSY` if an open file may use
    /// its page cache.
    pub(crate) fn pass_through(&mut self, backing: &Arc<Backing>, file: BackingFile) -> Result {
        let io_mode = &self.inode.data().io_mode;
        io_mode.enter_passing(&self.io_use, backing)?;
        self.backing = Some(file);
        self.plain = false;
        Ok(())
    }

    /// Whether a read within the known size goes to the page cache without further checks.
    pub(crate) fn reads_plainly(&self) -> bool {
        self.plain
    }

    /// The file that it is passed through to: for mappings, and for reads and writes unless the
    /// server wants [`FopenFlag::DirectIo`] as well.
    pub(crate) fn backing(&self) -> Option<&BackingFile> {
        self.backing.as_ref()
    }

    /// Closes the file, with `flags` (`O_*`): the last user of the handle releases it. Sleeps.
    ///
    /// If its super block can be shut down while the connection stays, RELEASE is answered before
    /// the close returns: locks and opened files there have to be released before the unmount.
    pub(crate) fn close_file(this: Arc<Self>, flags: u32) {
        this.close(flags);
        if !this.mount().conn().options().auto_submounts {
            return;
        }
        // Background requests may still use it; the last one to end releases it then.
        if let Some(handle) = Arc::into_unique_or_drop(this) {
            let mut handle = Pin::into_inner(handle);
            handle.close_unshared();
        }
    }

    /// As [`Self::close_file`], for a handle that is not shared. Sleeps.
    pub(crate) fn close_unshared(&mut self) {
        if self.mount().conn().options().auto_submounts {
            self.leave();
            self.opened.release_and_wait();
        }
    }

    /// Ends the use of the inode.
    fn leave(&self) {
        self.inode.data().io_mode.leave(&self.io_use);
    }

    /// Releases a handle that has never been used, and waits for the answer.
    pub(crate) fn release_now(&mut self, flags: u32) {
        self.close(flags);
        self.opened.release_and_wait();
    }
}

/// An open file of a mount, or of a device of CUSE, whose user asks the server for something that
/// needs nothing of it but that it stays open.
#[derive(Clone, Copy)]
pub(crate) enum OpenFile<'a> {
    /// That of a mount.
    Mounted(ArcBorrow<'a, OpenHandle>),
    /// That of a device.
    Device(&'a Opened),
}

impl<'a> From<ArcBorrow<'a, OpenHandle>> for OpenFile<'a> {
    fn from(handle: ArcBorrow<'a, OpenHandle>) -> Self {
        Self::Mounted(handle)
    }
}

impl<'a> From<&'a Opened> for OpenFile<'a> {
    fn from(opened: &'a Opened) -> Self {
        Self::Device(opened)
    }
}

impl Deref for OpenFile<'_> {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        match self {
            Self::Mounted(handle) => handle,
            Self::Device(opened) => opened,
        }
    }
}

impl OpenFile<'_> {
    /// Sends the operation and waits for its answer. A caller that is killed abandons it, if the
    /// file is that of a mount; then the data that come back are empty.
    ///
    /// # Errors
    ///
    /// Those of [`Mount::call_or_abandon`](crate::fuse::conn::mount::Mount::call_or_abandon).
    pub(crate) fn call<O>(&self, op: O) -> Answer<O>
    where
        O: Operation,
        O::Out: 'static,
        O::Data: 'static,
    {
        match self {
            Self::Mounted(handle) => handle.mount().call_or_abandon(op, || Arc::from(*handle)),
            Self::Device(opened) => opened.mount().call(op),
        }
    }
}

/// A READDIR or FSYNCDIR whose caller was killed: the directory stays open until it is answered,
/// and is its own, if the server takes one operation at a time.
pub(crate) struct AbandonedDir {
    handle: Arc<OpenHandle>,
    _turn: Option<DirTurn<Kept<Fuse>>>,
}

impl AbandonedDir {
    /// Of a request on `handle` whose turn it was. Does not sleep.
    pub(crate) fn new(
        handle: ArcBorrow<'_, OpenHandle>,
        turn: Option<DirTurn<&INode<Fuse>>>,
    ) -> Self {
        Self {
            handle: handle.into(),
            _turn: turn.map(DirTurn::keep),
        }
    }

    /// The open directory.
    pub(crate) fn handle(&self) -> &OpenHandle {
        &self.handle
    }
}

impl<A> Abandoned<A> for AbandonedDir {
    fn answered(self, _answer: A) {}
}

impl Pollable for OpenHandle {
    fn pollers(&self) -> Result<&WaitQueue> {
        Pollable::pollers(&self.opened)
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        self.leave();
        self.opened.release_keeping(|| self.inode.clone());
    }
}
