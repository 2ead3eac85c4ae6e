// SPDX-License-Identifier: GPL-2.0

//! io_uring commands to the device: the checks before the ring gets them.

use super::{
    DevTransport,
    Device,
    Link, //
};
use crate::fuse::{
    abi::uring::RingCmdReq,
    channel::{
        latency::Latency,
        transport::{
            Transport,
            Wake, //
        },
        Channel, //
    },
    request::{
        outcome::Outcome,
        state::PendingQueue,
        Handle, //
    },
    transport::uring::{
        Host,
        Queue,
        Ring, //
    }, //
};
use crate::vfs::io::{
    miscdev::UringDevice,
    uring::{
        Command,
        Verdict, //
    }, //
};
use kernel::{
    fs::File,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
};
use zerocopy::FromBytes;

impl UringDevice for Device {
    type Queue = Queue;

    fn uring_cmd<'a>(
        device: ArcBorrow<'_, Self>,
        _file: &File,
        command: Command<'a, Queue>,
    ) -> Verdict<'a> {
        match device.ring_for(&command) {
            Ok((link, ring, req)) => ring.command(command, &req, || link.host()),
            Err(error) => command.done(Err(error)),
        }
    }
}

impl Device {
    /// The ring that a command is for, and its content (`fuse_uring_cmd()`).
    ///
    /// # Errors
    ///
    /// `EINVAL` for an entry of 64 bytes, `EPERM` before the mount, `EAGAIN` before the reply to
    /// INIT, `ECONNABORTED` or `ENOTCONN` after the end of the connection, `EOPNOTSUPP` without a
    /// ring.
    fn ring_for(&self, command: &Command<'_, Queue>) -> Result<(&Link, &Ring, RingCmdReq)> {
        let bytes = command.bytes().ok_or(EINVAL)?;
        let (req, _) = RingCmdReq::read_from_prefix(&bytes).map_err(|_| EINVAL)?;
        let link = self.link()?;
        if !link.channel.is_initialized() {
            return Err(EAGAIN);
        }
        if !link.channel.is_connected() {
            return Err(match link.transport.abort_errno() {
                ECONNABORTED => ECONNABORTED,
                _ => ENOTCONN,
            });
        }
        let ring = link.transport.ring.as_ref();
        let ring = ring.filter(|ring| !ring.is_given_up()).ok_or(EOPNOTSUPP)?;
        Ok((link, ring, req))
    }
}

impl Link {
    /// The host of a ring's entries for this device.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn host(&self) -> Result<Arc<dyn Host>> {
        let host: Arc<RingHost> = Arc::new(
            RingHost {
                channel: self.channel.clone(),
                transport: self.transport.clone(),
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(host)
    }
}

/// The connection as the entries of a ring see it; the entries do not outlive it.
struct RingHost {
    channel: Arc<Channel>,
    transport: Arc<DevTransport>,
}

impl Host for RingHost {
    fn interrupt(&self, request: &Handle) {
        self.transport.input.push_interrupt(request);
    }

    fn send_elsewhere(&self, mut requests: PendingQueue) {
        while let Some(request) = requests.pop_front() {
            let sent = self
                .transport
                .send_request(request, self.channel.ids(), Wake::Normal);
            if let Err(refused) = sent {
                refused.refuse(Outcome::Aborted);
            }
        }
    }

    fn latency(&self) -> &Latency {
        self.channel.latency()
    }
}
