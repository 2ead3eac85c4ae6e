// SPDX-License-Identifier: GPL-2.0

//! Ferrofuse: the FUSE client in Rust.
//!
//! Two layers: [`vfs`] is the foundation, generic over a file system, and has all `unsafe` code,
//! except for [`glue`], the tracepoints and parameters; [`fuse`] builds on it and has none.

use kernel::prelude::*;

mod glue;
mod vfs;

#[forbid(unsafe_code)]
mod fuse;

module! {
    type: Ferrofuse,
    name: "fuse",
    authors: ["Ferrofuse developers"],
    description: "Filesystem in Userspace",
    license: "GPL",
    alias: [
        "char-major-10-229",
        "devname:fuse",
        "fs-fuse",
        "fs-fuseblk",
        "fs-fusectl",
        "char-major-10-203",
        "devname:cuse",
        // The name of the module that CUSE is elsewhere.
        "cuse",
        // The same for the driver of a device, which has a type of file system, too.
        "virtiofs",
        "fs-virtiofs",
        "virtio:d0000001Av*",
    ],
}

/// The registrations of the module while it is loaded.
#[pin_data]
struct Ferrofuse {
    params: glue::params::Registration,
    expiry: vfs::node::dentry_expiry::Registration,
    types: vfs::mount::fs_type::Registration<fuse::Fuse>,
    #[pin]
    device: vfs::io::miscdev::Registration<fuse::transport::dev::Device>,
    #[pin]
    cuse: vfs::io::miscdev::Registration<fuse::fstype::cuse::Server>,
    cuse_class: vfs::io::chrdev::ClassRegistration<fuse::file::device::Front>,
    sysctls: vfs::control::sysctl::Registration,
    mount_point: vfs::control::sysfs::MountPoint,
    control: vfs::control::control_fs::Registration<fuse::conn::Connection>,
    #[cfg(CONFIG_VIRTIO)]
    virtiofs: vfs::io::virtio::Registration<fuse::transport::virtio::instance::Instance>,
    // Dropped last: all of the others may have requests.
    requests: vfs::sync::entry::Registration<fuse::request::Request>,
}

impl kernel::InPlaceModule for Ferrofuse {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pr_info!(
            "init (API version {}.{})\n",
            fuse::abi::KERNEL_VERSION,
            fuse::abi::KERNEL_MINOR_VERSION,
        );
        try_pin_init!(Self {
            // SAFETY: It is dropped with the module, after everything that makes requests.
            requests: unsafe { vfs::sync::entry::Registration::new() }?,
            // Before the first mount, whose dentries expire.
            expiry: vfs::node::dentry_expiry::Registration::new()?,
            // After the worker that it controls.
            params: glue::params::Registration::new(),
            // Before the first mount, which adds its connection.
            // SAFETY: It is dropped with the module.
            control: unsafe { vfs::control::control_fs::Registration::new(&fuse::fstype::fusectl::FUSECTL) }?,
            // SAFETY: As above.
            types: unsafe { vfs::mount::fs_type::Registration::new(&fuse::fstype::TYPES) }?,
            sysctls: vfs::control::sysctl::Registration::new(&fuse::fstype::sysctl::TABLE)?,
            device <- vfs::io::miscdev::Registration::new(),
            // Before the first server, whose device belongs to it.
            // SAFETY: It is dropped with the module. Every open of the device that servers use
            // keeps the module, and the character device of a server is removed with that open.
            cuse_class: unsafe { vfs::io::chrdev::ClassRegistration::new(&fuse::file::device::CUSE) }?,
            cuse <- vfs::io::miscdev::Registration::new(),
            #[cfg(CONFIG_VIRTIO)]
            // SAFETY: It is dropped with the module.
            virtiofs: unsafe { vfs::io::virtio::Registration::new(&fuse::transport::virtio::instance::DRIVER) }?,
            mount_point: vfs::control::sysfs::MountPoint::new(c"fuse", c"connections")?,
        })
    }
}
