// SPDX-License-Identifier: GPL-2.0

//! FLUSH, FSYNC and FSYNCDIR: a descriptor is closed, or a file or directory made durable.
//!
//! The VFS calls [`flush`], [`fsync`] and [`fsync_dir`]. A server that answers ENOSYS to one of
//! them has nothing to do there, and does not get it again.
//!
//! Locks: the inode's, while it is made durable, so that no write comes in between.

use crate::{
    fuse::{
        abi::file::{
            FlushIn,
            FopenFlag,
            FsyncFlag,
            FsyncFlags,
            FsyncIn, //
        },
        conn::call::OnAnswer,
        inode::{
            check_good,
            dirops,
            handle::{
                AbandonedDir,
                OpenHandle, //
            }, //
        },
        op,
        Fuse, //
    },
    vfs::{
        file::open::{
            File,
            FilesId,
            SyncRange, //
        },
        node::attr::Statx,
        sync::signal::is_current_killed, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// A descriptor of `file` is closed by `owner`. Sleeps. If the caller is killed, FLUSH goes on
/// without it: the server releases the owner's locks here.
///
/// # Errors
///
/// `EIO` for a bad inode; `ENOSPC` or `EIO` if writeback has failed, `ENOTCONN` if it failed
/// because the connection has ended; the server's error, unless it does not know FLUSH.
pub(super) fn flush(file: &File<Fuse>, owner: FilesId) -> Result {
    let handle = file.data();
    let inode = handle.inode();
    check_good(inode)?;
    let mount = handle.mount();
    let writeback = mount.conn().features().writeback_cache;
    if handle.wants(FopenFlag::Noflush) && !writeback {
        return Ok(());
    }
    if let Err(error) = inode.write_now().and_then(|()| inode.check_writeback()) {
        // The VFS knows only two errors here. A write that was never sent is reported as FLUSH
        // would be, which cannot be sent, either.
        return Err(match file.last_writeback_error() {
            Err(ENOTCONN) => ENOTCONN,
            _ => error,
        });
    }
    // Before the owner is scrambled, which costs more than all the rest of a close.
    if !mount.conn().unimplemented().contains(op::Opcode::Flush) {
        let flush = op::Flush {
            node: inode.data().node_id(),
            args: FlushIn {
                fh: handle.fh(),
                lock_owner: mount.conn().lock_owner_key().scramble(owner),
                ..FlushIn::default()
            },
        };
        if is_current_killed() {
            // It exits, and no signal reaches it any more. The file stays open until the answer.
            mount.call_background(flush, KeptOpen(Arc::from(handle)));
            return Ok(());
        }
        mount.call_or_abandon(flush, || Arc::from(handle))?;
    }
    if writeback {
        // The server has allocated space only now.
        inode.data().attrs.invalidate(Statx::Blocks.into());
    }
    Ok(())
}

/// Keeps a file open until its FLUSH is answered, for which no caller waits.
struct KeptOpen(#[allow(dead_code)] Arc<OpenHandle>);

impl OnAnswer<op::Flush> for KeptOpen {
    fn answered(self, _result: Result) {}
}

/// Makes a regular file durable. Sleeps.
///
/// # Errors
///
/// `EIO` for a bad inode; the error of a failed writeback; the server's error, unless it does not
/// know FSYNC.
pub(super) fn fsync(file: &File<Fuse>, range: SyncRange) -> Result {
    let handle = file.data();
    let inode = handle.inode();
    check_good(inode)?;

    let _lock = inode.lock();
    file.write_and_wait(range)?;
    inode.data().writes.wait();
    file.check_writeback()?;
    inode.sync_metadata()?;
    let query = op::Fsync {
        node: inode.data().node_id(),
        args: fsync_args(&handle, range),
    };
    handle.mount().call_or_abandon(query, || Arc::from(handle))
}

/// Makes a directory durable. Sleeps.
///
/// # Errors
///
/// `EIO` for a bad inode; `EINTR`; the server's error, unless it does not know FSYNCDIR.
pub(crate) fn fsync_dir(file: &File<Fuse>, range: SyncRange) -> Result {
    let handle = file.data();
    let inode = handle.inode();
    check_good(inode)?;

    let _lock = inode.lock();
    // One that is abandoned keeps the directory for itself.
    let mut turn = dirops::turn(inode)?;
    let query = op::Fsyncdir {
        node: inode.data().node_id(),
        args: fsync_args(&handle, range),
    };
    handle
        .mount()
        .call_or_abandon(query, || AbandonedDir::new(handle, turn.take()))
}

fn fsync_args(handle: &OpenHandle, range: SyncRange) -> FsyncIn {
    FsyncIn {
        fh: handle.fh(),
        fsync_flags: if range.data_only {
            FsyncFlag::Fdatasync.into()
        } else {
            FsyncFlags::default()
        },
        ..FsyncIn::default()
    }
}
