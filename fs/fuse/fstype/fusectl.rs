// SPDX-License-Identifier: GPL-2.0

//! The type `fusectl`: a directory for each connection, to observe it and to end it.
//!
//! Usually mounted on `/sys/fs/fuse/connections`. A directory is named by the device number of its
//! mount and belongs to the owner of that mount, which needs no privilege to use it.
//! `fstype/super_block.rs` adds connections when they are mounted, and removes them at the unmount.
//!
//! Locks: that of [`ControlFs`], taken inside `s_umount`; no request is waited for under it.

use super::{
    latency,
    requests, //
};
use crate::{
    fuse::conn::Connection,
    glue::params,
    vfs::{
        control::control_fs::{
            ControlFs,
            File,
            Knob,
            Object,
            Written, //
        },
        cred::{
            capable,
            Capability,
            Kgid,
            Kuid, //
        },
    }, //
};
use kernel::{
    prelude::*,
    seq_file::SeqFile, //
};

/// The magic number for `statfs(2)` (`FUSE_CTL_SUPER_MAGIC`).
const SUPER_MAGIC: u32 = 0x6573_5543;

/// The type, with every connection that is mounted.
pub(crate) static FUSECTL: ControlFs<Connection> = ControlFs::new(c"fusectl", SUPER_MAGIC, &FILES);

static FILES: [File<Connection>; 6] = [
    File::new::<Waiting>(),
    File::new::<Abort>(),
    File::new::<MaxBackground>(),
    File::new::<CongestionThreshold>(),
    File::new::<Requests>(),
    File::new::<LatencyTable>(),
];

impl Object for Connection {
    type OwnerModule = crate::LocalModule;

    fn number(&self) -> u32 {
        self.dev()
    }

    fn owner(&self) -> (Kuid, Kgid) {
        (self.options().user_id, self.options().group_id)
    }
}

/// `waiting`: requests that have not ended yet. One that stays indicates a server that hangs.
struct Waiting;

#[vtable]
impl Knob<Connection> for Waiting {
    const NAME: &'static CStr = c"waiting";
    const MODE: u32 = 0o400;
    const STEADY: bool = true;

    fn read(conn: &Connection) -> u32 {
        conn.channel().num_waiting()
    }
}

/// `abort`: any write ends the connection.
struct Abort;

#[vtable]
impl Knob<Connection> for Abort {
    const NAME: &'static CStr = c"abort";
    const MODE: u32 = 0o200;

    fn parse(_text: &Written<'_>) -> Result<u32> {
        Ok(0)
    }

    fn write(conn: &Connection, _value: u32) -> Result {
        conn.abort_by_hand();
        Ok(())
    }
}

/// `max_background`: the maximum number of outstanding background requests.
struct MaxBackground;

#[vtable]
impl Knob<Connection> for MaxBackground {
    const NAME: &'static CStr = c"max_background";
    const MODE: u32 = 0o600;

    fn read(conn: &Connection) -> u32 {
        conn.channel().max_background()
    }

    fn parse(text: &Written<'_>) -> Result<u32> {
        limit(text, params::max_user_background())
    }

    fn write(conn: &Connection, value: u32) -> Result {
        conn.channel().set_max_background(value);
        Ok(())
    }
}

/// `congestion_threshold`: the number of background requests that is a congestion.
struct CongestionThreshold;

#[vtable]
impl Knob<Connection> for CongestionThreshold {
    const NAME: &'static CStr = c"congestion_threshold";
    const MODE: u32 = 0o600;

    fn read(conn: &Connection) -> u32 {
        conn.congestion_threshold()
    }

    fn parse(text: &Written<'_>) -> Result<u32> {
        limit(text, params::max_user_congestion_threshold())
    }

    fn write(conn: &Connection, value: u32) -> Result {
        conn.set_congestion_threshold(value);
        Ok(())
    }
}

/// `requests`: the requests in flight, a line for each; see `Documentation/observing.rst`.
struct Requests;

#[vtable]
impl Knob<Connection> for Requests {
    const NAME: &'static CStr = c"requests";
    const MODE: u32 = 0o400;

    fn show(conn: &Connection, m: &SeqFile) -> Result {
        requests::show(conn, m)
    }
}

/// `latency`: how long requests take, if that is switched on; see `Documentation/observing.rst`.
struct LatencyTable;

#[vtable]
impl Knob<Connection> for LatencyTable {
    const NAME: &'static CStr = c"latency";
    const MODE: u32 = 0o600;

    fn show(conn: &Connection, m: &SeqFile) -> Result {
        latency::show(conn.channel().latency(), m);
        Ok(())
    }

    fn parse(text: &Written<'_>) -> Result<u32> {
        match text.number()? {
            on @ 0..=1 => Ok(on as u32),
            _ => Err(EINVAL),
        }
    }

    fn write(conn: &Connection, value: u32) -> Result {
        let latency = conn.channel().latency();
        if value == 0 {
            latency.stop();
            return Ok(());
        }
        latency.start()
    }
}

/// A limit that is being written: limited to what INIT could set, and for unprivileged writers to
/// `user_limit`.
///
/// # Errors
///
/// `EINVAL` beyond that; those of [`Written::number`].
fn limit(text: &Written<'_>, user_limit: u32) -> Result<u32> {
    let value = text.number()?;
    let most = if capable(Capability::SysAdmin) {
        u16::MAX.into()
    } else {
        user_limit.min(u16::MAX.into())
    };
    match u32::try_from(value) {
        Ok(value) if value <= most => Ok(value),
        _ => Err(EINVAL),
    }
}
