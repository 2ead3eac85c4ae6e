// SPDX-License-Identifier: GPL-2.0

//! What a server asks of its device besides messages.

use super::{
    Device,
    DEVICE_OPS, //
};
use crate::fuse::abi::device::{
    IOC_BACKING_CLOSE,
    IOC_BACKING_OPEN,
    IOC_CLONE,
    IOC_SYNC_INIT, //
};
use kernel::{
    fs::LocalFile,
    prelude::*,
    sync::atomic::Relaxed,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

impl Device {
    /// `ioctl(2)`.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for an unknown command; `EFAULT`; `EINVAL` if the device serves a connection
    /// already, or the descriptor is not one of `/dev/fuse`; `EPERM` if that one serves none;
    /// `EOPNOTSUPP` for backing files, which this module does not have yet.
    pub(super) fn ioctl(&self, command: u32, argument: usize) -> Result<isize> {
        match command {
            IOC_CLONE => {
                let fd = UserSlice::new(UserPtr::from_addr(argument), size_of::<u32>())
                    .reader()
                    .read::<u32>()?;
                self.clone_of(fd)?;
            }
            IOC_BACKING_OPEN | IOC_BACKING_CLOSE => {
                self.link_or_wait()?;
                return Err(EOPNOTSUPP);
            }
            IOC_SYNC_INIT => {
                if self.is_installed() {
                    return Err(EINVAL);
                }
                self.sync_init.store(true, Relaxed);
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }

    /// Installs the connection of another device of the caller's here as well. What this device
    /// reads has to be answered through it.
    fn clone_of(&self, fd: u32) -> Result {
        let file = LocalFile::fget(fd).map_err(|_| EINVAL)?;
        let other = DEVICE_OPS.device_of(&file).ok_or(EINVAL)?;
        let link = other.link_or_wait()?;
        self.install(
            link.channel.clone(),
            link.transport.clone(),
            link.owner.clone(),
            link.connection,
        )
    }
}
