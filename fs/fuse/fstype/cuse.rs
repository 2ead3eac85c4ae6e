// SPDX-License-Identifier: GPL-2.0

//! `/dev/cuse`: character devices whose server is in user space.
//!
//! Opening it makes a connection at once, without a mount, and sends CUSE_INIT. The answer names
//! the device that is then made, `/dev/NAME`, and that is removed when `/dev/cuse` is closed. The
//! device and its open files are in `file/device.rs`; the server's end works as that of `/dev/fuse`
//! (`transport/dev`), except that it cannot be cloned.
//!
//! A connection needs no super block, and neither does a [`Mount`], so there is one here for its
//! operations. Notifications about nodes find none.
//!
//! Locks: that of a server's slot for its device; nothing is done with it held.

use crate::{
    fuse::{
        abi::{
            cuse::{
                CuseInitFlag,
                CuseInitIn,
                CuseInitOut, //
            },
            KERNEL_MINOR_VERSION,
            KERNEL_VERSION, //
        },
        channel::{
            Channel,
            Limits, //
        },
        conn::{
            call::OnAnswer,
            features::Features,
            mount::Mount,
            options::MountOptions,
            Connection, //
        },
        file::device::Front,
        notify::Notifications,
        op,
        transport::dev::{
            DevTransport,
            Device, //
        }, //
    },
    vfs::{
        cred::{
            current_pid_ns,
            UserNs, //
        },
        file::poll::PollEvents,
        io::{
            chrdev::{
                Number,
                Registration, //
            },
            miscdev::{
                self,
                FileOps, //
            },
            pipe::{
                PipeDest,
                PipeSource, //
            },
        },
        sync::{
            fasync::Fasync,
            wait::WaitQueue, //
        },
    },
};
use kernel::{
    fs::File,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    new_mutex,
    prelude::*,
    seq_file::SeqFile,
    str::{
        BStr,
        CString, //
    },
    sync::{
        Arc,
        ArcBorrow,
        Mutex, //
    }, //
};

/// Minimum `max_read` and `max_write`, in bytes.
const LEAST_MAX: u32 = 4096;
/// The first minor version of the protocol that has CUSE_INIT.
const FIRST_MINOR: u32 = 11;

/// The device of a server, once it is made.
#[pin_data]
struct Slot {
    #[pin]
    device: Mutex<Option<Registration<Front>>>,
}

/// An open file of `/dev/cuse`: the server's end.
pub(crate) struct Server {
    device: Arc<Device>,
    slot: Arc<Slot>,
}

static SERVER_OPS: FileOps<Server> = FileOps::new();

#[vtable]
impl miscdev::Device for Server {
    const NAME: &'static CStr = c"cuse";
    const MINOR: i32 = 203;

    fn table() -> &'static FileOps<Self> {
        &SERVER_OPS
    }

    fn open(file: &File) -> Result<Arc<Self>> {
        let transport = Arc::pin_init(DevTransport::new(), GFP_KERNEL)?;
        let channel = Arc::pin_init(Channel::new(transport.clone()), GFP_KERNEL)?;
        let conn = Connection::new(
            channel.clone(),
            MountOptions::of_root(),
            // A task without ids in that namespace cannot use the device.
            UserNs::of_opener(file).into(),
            current_pid_ns().ok_or(EINVAL)?,
        );
        let conn = Arc::pin_init(conn, GFP_KERNEL)?;
        let mount = Arc::new(Mount::new(conn), GFP_KERNEL)?;
        let notifications = Arc::new(Notifications::new(mount.clone())?, GFP_KERNEL)?;
        let slot = Arc::pin_init(
            pin_init!(Slot {
                device <- new_mutex!(None, "CuseSlot::device"),
            }),
            GFP_KERNEL,
        )?;
        let server = Arc::new(
            Self {
                device: Device::new()?,
                slot,
            },
            GFP_KERNEL,
        )?;
        server
            .device
            .install(channel, transport, notifications, mount.conn().dev())?;
        server.send_init(mount);
        Ok(server)
    }

    fn release(server: Arc<Self>, flags: u32) {
        let device = server.slot.device.lock().take();
        drop(device);
        Device::release(server.device.clone(), flags);
    }

    fn read_iter(
        server: ArcBorrow<'_, Self>,
        file: &File,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        Device::read_iter(server.device.as_arc_borrow(), file, to)
    }

    fn write_iter(
        server: ArcBorrow<'_, Self>,
        file: &File,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        Device::write_iter(server.device.as_arc_borrow(), file, from)
    }

    fn splice_read(
        server: ArcBorrow<'_, Self>,
        file: &File,
        to: &mut PipeDest<'_>,
    ) -> Result<usize> {
        Device::splice_read(server.device.as_arc_borrow(), file, to)
    }

    fn splice_write(
        server: ArcBorrow<'_, Self>,
        file: &File,
        from: &mut PipeSource<'_>,
    ) -> Result<usize> {
        Device::splice_write(server.device.as_arc_borrow(), file, from)
    }

    fn pollers(&self) -> Result<&WaitQueue> {
        self.device.pollers()
    }

    fn poll(&self) -> PollEvents {
        self.device.poll()
    }

    fn fasync(&self) -> Result<&Fasync> {
        self.device.fasync()
    }

    fn show_fdinfo(server: ArcBorrow<'_, Self>, m: &SeqFile, file: &File) {
        Device::show_fdinfo(server.device.as_arc_borrow(), m, file);
    }
}

impl Server {
    /// Offers the protocol; the answer makes the device.
    fn send_init(&self, mount: Arc<Mount>) {
        let offer = op::CuseInit {
            args: CuseInitIn {
                major: KERNEL_VERSION,
                minor: KERNEL_MINOR_VERSION,
                flags: CuseInitFlag::UnrestrictedIoctl.into(),
                ..CuseInitIn::default()
            },
        };
        let done = InitDone {
            mount: mount.clone(),
            slot: self.slot.clone(),
        };
        mount.call_background(offer, done);
    }
}

/// Processes the answer, in the context of the server, whose file is open. A device is made only
/// here.
struct InitDone {
    mount: Arc<Mount>,
    slot: Arc<Slot>,
}

impl OnAnswer<op::CuseInit> for InitDone {
    fn answered(self, result: Result<(CuseInitOut, KVVec<u8>)>) {
        let made = result.and_then(|(out, info)| self.accept(&out, &info));
        if made.is_err() {
            self.mount.conn().abort();
        }
    }
}

impl InitDone {
    /// Agrees on the protocol, and makes the device.
    ///
    /// # Errors
    ///
    /// `EPROTO` for another version of the protocol; `EINVAL` if the server's description of the
    /// device is invalid; those of [`Registration::new`].
    fn accept(&self, out: &CuseInitOut, info: &[u8]) -> Result {
        if out.major != KERNEL_VERSION || out.minor < FIRST_MINOR {
            return Err(EPROTO);
        }
        let name = device_name(info)?;
        let number = Number::new(out.dev_major, out.dev_minor)?;
        let conn = self.mount.conn();
        conn.set_features(Features {
            minor: out.minor,
            max_read: out.max_read.max(LEAST_MAX),
            max_write: out.max_write.max(LEAST_MAX),
            unrestricted_ioctl: out.flags.contains(CuseInitFlag::UnrestrictedIoctl),
            ..Features::UNTIL_INIT
        });
        conn.channel().set_initialized(Limits {
            minor: out.minor,
            // By convention, these servers are not told how long their buffer has to be.
            max_write: 0,
        });
        let front = Arc::new(Front::new(self.mount.clone()), GFP_KERNEL)?;
        let device = Registration::new(&name, number, &front).inspect_err(|error| {
            pr_err!("CUSE: no device {}: {:?}\n", &*name, error);
        })?;
        *self.slot.device.lock() = Some(device);
        Ok(())
    }
}

/// The name of the device in the server's description: strings `KEY=VALUE`, each followed by a NUL.
/// Blanks around either are ignored; the last of several names counts. Errors also go to the kernel
/// log: the server only sees the end of its device.
///
/// # Errors
///
/// `EINVAL` if the last string has no NUL, a key is empty, or there is no name.
fn device_name(info: &[u8]) -> Result<CString> {
    let mut name: &[u8] = &[];
    let mut rest = info;
    while let Some(begin) = rest.iter().position(|byte| *byte != 0) {
        rest = rest.get(begin..).unwrap_or_default();
        if !rest.ends_with(&[0]) {
            pr_err!("CUSE: info not properly terminated\n");
            return Err(EINVAL);
        }
        let end = rest.iter().position(|byte| *byte == 0).ok_or(EINVAL)?;
        let (text, behind) = rest.split_at(end);
        rest = behind;

        let (key, value) = match text.iter().position(|byte| *byte == b'=') {
            Some(at) => (text.get(..at), text.get(at.saturating_add(1)..)),
            None => (Some(text), None),
        };
        let (key, value) = (trimmed(key), trimmed(value));
        match key {
            [] => {
                pr_err!("CUSE: zero length info key specified\n");
                return Err(EINVAL);
            }
            b"DEVNAME" => name = value,
            _ => pr_warn!("CUSE: unknown device info \"{}\"\n", BStr::from_bytes(key)),
        }
    }
    if name.is_empty() {
        pr_err!("CUSE: DEVNAME unspecified\n");
        return Err(EINVAL);
    }
    let mut copy = KVec::with_capacity(name.len().saturating_add(1), GFP_KERNEL)?;
    copy.extend_from_slice(name, GFP_KERNEL)?;
    copy.push(0, GFP_KERNEL)?;
    let name = CStr::from_bytes_with_nul(&copy).map_err(|_| EINVAL)?;
    Ok(CString::try_from(name)?)
}

/// `text` without the blanks around it; empty if there is none.
fn trimmed(text: Option<&[u8]>) -> &[u8] {
    let mut text = text.unwrap_or_default();
    while let [first, rest @ ..] = text {
        if !is_blank(*first) {
            break;
        }
        text = rest;
    }
    while let [rest @ .., last] = text {
        if !is_blank(*last) {
            break;
        }
        text = rest;
    }
    text
}

/// As `isspace()` of the kernel.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0xa0)
}

#[kunit_tests(ferrofuse_cuse)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found() -> Result {
        let is = |info: &[u8], name: &[u8]| Ok::<_, Error>(device_name(info)?.to_bytes() == name);
        assert!(is(b"DEVNAME=x\0", b"x")?);
        assert!(is(b"\0\0DEVNAME=x\0\0\0", b"x")?);
        assert!(is(b" DEVNAME\t= a b \0", b"a b")?);
        assert!(is(b"DEVNAME=x\0DEVNAME=y\0", b"y")?);
        assert!(is(b"DEVNAME=a=b\0", b"a=b")?);
        Ok(())
    }

    #[test]
    fn nonsense_is_refused() {
        for info in [
            &b""[..],
            b"\0",
            b"DEVNAME=x",
            b"DEVNAME=\0",
            b"DEVNAME\0",
            b"DEVNAME=  \0",
            b"DEVNAME=x\0DEVNAME=\0",
            b"=x\0",
            b" =x\0DEVNAME=x\0",
        ] {
            assert!(device_name(info).is_err());
        }
    }
}
