// SPDX-License-Identifier: GPL-2.0

//! A character device whose server is in user space, and its open files: bytes without an inode.
//!
//! `fstype/cuse.rs` makes the device; `vfs/io/chrdev.rs` calls its operations. Such a file has only
//! the server's part ([`Opened`]), so every operation goes to the server: nothing is cached, every
//! read and write begins at 0, and every task that may open the device may do what the server
//! permits.
//!
//! Locks: none.

use super::{
    direct,
    ioctl,
    open,
    poll, //
};
use crate::{
    fuse::{
        conn::mount::Mount,
        inode::opened::Opened, //
    },
    vfs::{
        file::{
            ioctl::Ioctl,
            poll::{
                PollEvents,
                Polling, //
            },
        },
        io::chrdev::{
            self,
            Attribute,
            AttributeEntry,
            Class, //
        },
    },
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    sync::Arc, //
};

/// The class of the devices: a directory in sysfs for each, with the files that fusectl has for a
/// mount.
pub(crate) static CUSE: Class<Front> = Class::new(c"cuse", &ATTRIBUTES);

static ATTRIBUTES: [AttributeEntry<Front>; 2] = [
    AttributeEntry::new::<Waiting>(),
    AttributeEntry::new::<Abort>(),
];

/// `waiting`: requests that have not ended yet.
struct Waiting;

#[vtable]
impl Attribute<Front> for Waiting {
    const NAME: &'static CStr = c"waiting";
    const MODE: u16 = 0o400;

    fn show(front: &Front) -> u32 {
        front.mount.conn().channel().num_waiting()
    }
}

/// `abort`: any write ends the connection.
struct Abort;

#[vtable]
impl Attribute<Front> for Abort {
    const NAME: &'static CStr = c"abort";
    const MODE: u16 = 0o200;

    fn store(front: &Front) -> Result {
        front.mount.conn().abort();
        Ok(())
    }
}

/// The device as its users see it.
pub(crate) struct Front {
    mount: Arc<Mount>,
}

impl Front {
    /// That of the server behind `mount`.
    pub(crate) fn new(mount: Arc<Mount>) -> Self {
        Self { mount }
    }
}

impl chrdev::Device for Front {
    type OwnerModule = crate::LocalModule;
    type File = Opened;

    fn class() -> &'static Class<Self> {
        &CUSE
    }

    fn open(front: &Arc<Self>, flags: u32) -> Result<Arc<Opened>> {
        let opened = open::open_device(&front.mount, flags)?;
        Ok(Arc::new(opened, GFP_KERNEL_ACCOUNT)?)
    }

    /// Waits for the server's answer.
    fn release(opened: Arc<Opened>, flags: u32) {
        opened.close(flags);
        // There is no other reference: no request of such a file outlives its call.
        if let Some(opened) = Arc::into_unique_or_drop(opened) {
            Pin::into_inner(opened).release_and_wait();
        }
    }

    fn read_iter(opened: &Opened, flags: u32, to: &mut IovIterDest<'_>) -> Result<usize> {
        direct::read_from_start(opened, flags, to)
    }

    /// The server orders concurrent writers.
    fn write_iter(opened: &Opened, flags: u32, from: &mut IovIterSource<'_>) -> Result<usize> {
        direct::write_from_start(opened, flags, from)
    }

    fn ioctl(opened: &Opened, call: Ioctl) -> Result<i32> {
        ioctl::device_ioctl(opened, call)
    }

    fn poll(polling: &Polling<'_, Arc<Opened>>) -> PollEvents {
        poll::poll(polling, polling.data())
    }
}
