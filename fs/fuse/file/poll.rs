// SPDX-License-Identifier: GPL-2.0

//! POLL: whether an open file is ready is for the server to say (`fuse_file_poll()`).
//!
//! The VFS comes in through [`poll`]. A caller that is going to wait is registered on the file's
//! queue before the server is asked, so that no news is missed; `notify` wakes the queue.
//!
//! Locks: none.

use crate::{
    fuse::{
        abi::file::{
            PollFlag,
            PollFlags,
            PollIn, //
        },
        op::{
            self,
            Opcode, //
        },
        Fuse, //
    },
    vfs::poll::{
        PollEvents,
        Polling, //
    },
};
use kernel::prelude::*;

/// What holds for the file now. Sleeps.
///
/// A file of a server that does not implement POLL is always ready, and one whose server fails is
/// in error.
pub(super) fn poll(polling: &Polling<'_, Fuse>) -> PollEvents {
    ask(polling).unwrap_or(PollEvents::ERROR)
}

fn ask(polling: &Polling<'_, Fuse>) -> Result<PollEvents> {
    let handle = polling.file().data();
    let mount = handle.mount();
    if mount.conn().unimplemented().contains(Opcode::Poll) {
        return Ok(PollEvents::ALWAYS);
    }
    // The server need not tell unless somebody waits for it.
    let flags = if polling.register()? {
        PollFlag::ScheduleNotify.into()
    } else {
        PollFlags::default()
    };
    let out = mount.call(op::Poll {
        node: handle.inode().data().node_id(),
        args: PollIn {
            fh: handle.fh(),
            kh: handle.pollers()?.kh(),
            flags,
            events: polling.wanted().to_user(),
        },
    })?;
    Ok(out.map_or(PollEvents::ALWAYS, |out| PollEvents::from_user(out.revents)))
}
