// SPDX-License-Identifier: GPL-2.0

//! POLL: asks the server whether an open file is ready (`fuse_file_poll()`).
//!
//! The VFS calls [`poll`]. A caller that is going to wait is registered on the file's queue before
//! the server is asked, so that no event is missed; `notify` wakes the queue.
//!
//! Locks: none.

use crate::{
    fuse::{
        abi::file::{
            PollFlag,
            PollFlags,
            PollIn, //
        },
        inode::opened::Opened,
        op::{
            self,
            Opcode, //
        },
    },
    vfs::file::poll::{
        PollEvents,
        Pollable,
        Polling, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The current events of the file that the server has `opened`. Sleeps.
///
/// A file of a server that does not implement POLL is always ready, and one whose server fails has
/// `EPOLLERR`.
pub(super) fn poll<D: Pollable + Send + Sync>(
    polling: &Polling<'_, Arc<D>>,
    opened: &Opened,
) -> PollEvents {
    ask(polling, opened).unwrap_or(PollEvents::ERROR)
}

fn ask<D: Pollable + Send + Sync>(
    polling: &Polling<'_, Arc<D>>,
    opened: &Opened,
) -> Result<PollEvents> {
    let mount = opened.mount();
    if mount.conn().unimplemented().contains(Opcode::Poll) {
        return Ok(PollEvents::ALWAYS);
    }
    // The server need not send notifications if no task waits.
    let flags = if polling.register()? {
        PollFlag::ScheduleNotify.into()
    } else {
        PollFlags::default()
    };
    let query = op::Poll {
        node: opened.node(),
        args: PollIn {
            fh: opened.fh(),
            kh: opened.pollers()?.kh(),
            flags,
            events: polling.wanted().to_user(),
        },
    };
    let out = mount.call_or_abandon(query, || Arc::from(*polling.data()))?;
    Ok(out.map_or(PollEvents::ALWAYS, |out| PollEvents::from_user(out.revents)))
}
