// SPDX-License-Identifier: GPL-2.0

//! The ioctls of a server on its device.

use super::{
    Device,
    DEVICE_OPS, //
};
use crate::fuse::abi::device::{
    BackingMap,
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
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

impl Device {
    /// `ioctl(2)`.
    ///
    /// # Errors
    ///
    /// `ENOTTY` for an unknown command; `EFAULT`; `EINVAL` if the device serves a connection
    /// already, or the descriptor is not of `/dev/fuse`; `EPERM` if the other device serves no
    /// connection; for backing files, the error of the connection.
    pub(super) fn ioctl(&self, command: u32, argument: usize) -> Result<isize> {
        match command {
            IOC_CLONE => {
                self.clone_of(read_argument(argument)?)?;
            }
            IOC_BACKING_OPEN => {
                let owner = &self.link_or_wait()?.owner;
                let map: BackingMap = read_argument(argument)?;
                return Ok(owner.backing_open(map)? as isize);
            }
            IOC_BACKING_CLOSE => {
                let owner = &self.link_or_wait()?.owner;
                owner.backing_close(read_argument(argument)?)?;
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

    /// Installs the connection of another of the caller's devices here as well. Requests that this
    /// device reads must be answered through it.
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

/// Reads the argument that an ioctl points to.
fn read_argument<T: FromBytes + IntoBytes>(argument: usize) -> Result<T> {
    let mut value = T::new_zeroed();
    UserSlice::new(UserPtr::from_addr(argument), size_of::<T>())
        .reader()
        .read_slice(value.as_mut_bytes())?;
    Ok(value)
}
