// SPDX-License-Identifier: GPL-2.0

//! GETLK, SETLK and SETLKW: POSIX locks, those of open files, and BSD locks.
//!
//! The VFS calls [`lock`] and [`flock`]. A server that has said in INIT that it keeps locks is
//! asked, and the kernel keeps none; for others the kernel keeps them, visible on this machine
//! only. The server releases the locks of an owner at FLUSH, and a BSD lock at a RELEASE with the
//! flag for it.
//!
//! Locks: none are held while the server is asked.

use crate::{
    fuse::{
        abi::node::{
            FileLock,
            LkFlag,
            LkFlags,
            LkIn, //
        },
        conn::call::{
            Abandoned,
            OnAnswer, //
        },
        inode::handle::OpenHandle,
        op,
        Fuse, //
    },
    vfs::{
        cred::current_tgid_in,
        file::lock::{
            LockCommand,
            LockRange,
            LockRequest,
            LockType,
            Locking, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Tests, sets or releases a POSIX lock, or one of an open file. Sleeps.
///
/// # Errors
///
/// `EIO` if the server answers with an invalid lock; `ENOLCK` for a lock manager that does not
/// wait; `ERESTARTSYS` if a signal ended the wait; the server's error.
pub(super) fn lock(request: &mut LockRequest<'_, Fuse>, command: LockCommand) -> Result<Locking> {
    let by_server = request.file().data().mount().conn().features().posix_locks;
    match command {
        // A waiter for a lock sleeps in its own request, so there is no waiter to cancel.
        LockCommand::Cancel => Ok(Locking::Done),
        LockCommand::Get => {
            if by_server {
                ask(request)?;
            } else {
                request.test_here();
            }
            Ok(Locking::Done)
        }
        LockCommand::Set if by_server => {
            set(request, LkFlags::default())?;
            Ok(Locking::Done)
        }
        LockCommand::Set => request.set_here(),
    }
}

/// Sets or releases a BSD lock. Sleeps.
///
/// # Errors
///
/// As [`lock`].
pub(super) fn flock(request: &mut LockRequest<'_, Fuse>) -> Result {
    let handle = request.file().data();
    let conn = handle.mount().conn();
    if !conn.features().flock_locks {
        return request.set_here_and_wait();
    }
    set(request, LkFlag::Flock.into())?;
    handle.flocked_by(conn.lock_owner_key().scramble(request.owner()));
    Ok(())
}

/// The owner of a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// A table of open files: that of the caller, which has given up all its locks by the time that
    /// it is gone.
    Files,
    /// The open file, which may be that of others, too. It is given up with that.
    OpenFile,
}

/// A SETLK or SETLKW whose caller was killed: a lock that it gets is given back, unless the
/// end of the file does that.
struct AbandonedLock {
    handle: Arc<OpenHandle>,
    args: LkIn,
    owner: Owner,
}

impl Abandoned<Result> for AbandonedLock {
    fn answered(self, result: Result) {
        let Self {
            handle,
            args,
            owner,
        } = self;
        if result.is_err() || args.lk.kind == LockType::Unlock as u32 {
            return;
        }
        if args.lk_flags.contains(LkFlag::Flock) {
            // RELEASE says that it has to be taken back.
            handle.flocked_by(args.owner);
        }
        if owner == Owner::Files {
            let unlock = op::Unlock(op::Setlk {
                node: handle.inode().data().node_id(),
                args: LkIn {
                    lk: FileLock {
                        kind: LockType::Unlock as u32,
                        pid: 0,
                        ..args.lk
                    },
                    ..args
                },
            });
            let mount = handle.mount().clone();
            mount.call_background(unlock, Unlocked(handle));
        }
    }
}

/// Keeps the file open until a lock is given back.
struct Unlocked(#[allow(dead_code)] Arc<OpenHandle>);

impl OnAnswer<op::Unlock> for Unlocked {
    fn answered(self, _result: Result) {}
}

/// The arguments for the server; `pid` is the process that asks.
fn lk_args(
    handle: &OpenHandle,
    request: &LockRequest<'_, Fuse>,
    lk_flags: LkFlags,
    pid: u32,
) -> Result<LkIn> {
    let range = request.range();
    Ok(LkIn {
        fh: handle.fh(),
        owner: handle
            .mount()
            .conn()
            .lock_owner_key()
            .scramble(request.owner()),
        lk: FileLock {
            // Neither is negative.
            start: range.start() as u64,
            end: range.end() as u64,
            kind: request.lock_type()? as u32,
            pid,
        },
        lk_flags,
        ..LkIn::default()
    })
}

/// Asks the server for a conflicting lock.
fn ask(request: &mut LockRequest<'_, Fuse>) -> Result {
    let handle = request.file().data();
    let query = op::Getlk {
        node: handle.inode().data().node_id(),
        args: lk_args(&handle, request, LkFlags::default(), 0)?,
    };
    let found = handle
        .mount()
        .call_or_abandon(query, || Arc::from(handle))?
        .lk;

    let kind = LockType::try_from(found.kind).map_err(|_| EIO)?;
    if kind == LockType::Unlock {
        request.set_free();
        return Ok(());
    }
    let range = LockRange::new(found.start, found.end).map_err(|_| EIO)?;
    request.set_conflict(kind, range, found.pid, handle.mount().conn().pid_ns());
    Ok(())
}

/// Lets the server set or release a lock.
fn set(request: &LockRequest<'_, Fuse>, lk_flags: LkFlags) -> Result {
    if request.wants_grant() {
        // The server cannot notify the kernel later that the lock is set.
        return Err(ENOLCK);
    }
    let handle = request.file().data();
    let mount = handle.mount();
    // An unlock has no process: it may happen after the process is gone.
    let pid = match request.lock_type()? {
        LockType::Unlock => 0,
        _ => u32::try_from(current_tgid_in(mount.conn().pid_ns())).unwrap_or(0),
    };
    let node = handle.inode().data().node_id();
    let args = lk_args(&handle, request, lk_flags, pid)?;
    let abandoned = || AbandonedLock {
        handle: handle.into(),
        args,
        owner: match request.is_of_open_file() {
            true => Owner::OpenFile,
            false => Owner::Files,
        },
    };
    let result = if request.may_wait() {
        mount.call_or_abandon(op::Setlkw { node, args }, abandoned)
    } else {
        mount.call_or_abandon(op::Setlk { node, args }, abandoned)
    };
    // A wait for a lock is restarted after a signal whose handler has `SA_RESTART`.
    result.map_err(|error| match error {
        EINTR => ERESTARTSYS,
        other => other,
    })
}
