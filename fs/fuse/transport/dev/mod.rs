// SPDX-License-Identifier: GPL-2.0

//! `/dev/fuse`: the transport in which a server reads requests and writes replies.
//!
//! Each open file is a [`Device`]; a mount installs a connection in it. Several devices may serve
//! one connection, which has one [`DevTransport`].
//!
//! Locks: `DevTransport::devices`, outside everything else here; it may sleep. `Device::closed`, a
//! leaf.

mod ioctl;
mod read;
mod uring;
mod write;

use crate::fuse::{
    channel::{
        forget::{
            Forget,
            ForgetTicket, //
        },
        input_queue::InputQueue,
        owner::ChannelOwner,
        processing::Processing,
        transport::{
            Transport,
            Wake, //
        },
        unique::UniqueIds,
        Building,
        Channel, //
    },
    request::{
        outcome::Outcome,
        snapshot::Snapshot,
        state::{
            Pending,
            SentQueue, //
        },
        Handle, //
    },
    transport::uring::Ring, //
};
use crate::vfs::{
    file::poll::PollEvents,
    io::{
        miscdev::{
            self,
            FileOps, //
        },
        pipe::{
            PipeDest,
            PipeSource, //
        },
    },
    mm::iov::{
        UserDest,
        UserSource, //
    },
    sync::{
        fasync::Fasync,
        wait::{
            new_wait_queue,
            WaitQueue, //
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
    new_spinlock,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce,
        SpinLock, //
    }, //
};

/// The devices of a connection.
struct Devices {
    /// The open devices; `None` after the abort.
    open: Option<KVec<Arc<Processing>>>,
    /// How many devices have been attached: the number of the next.
    attached: u32,
}

/// The transport of one connection over opened devices.
#[pin_data]
pub(crate) struct DevTransport {
    #[pin]
    input: InputQueue,
    #[pin]
    devices: Mutex<Devices>,
    /// Whether reads fail with `ECONNABORTED` after the abort, instead of `ENODEV`.
    abort_with_error: Atomic<bool>,
    /// The ring that requests may use, if the server has agreed to one.
    ring: SetOnce<Arc<Ring>>,
}

impl DevTransport {
    /// A transport without a device yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            input <- InputQueue::new(),
            devices <- new_mutex!(
                Devices {
                    open: Some(KVec::new()),
                    attached: 0,
                },
                "FuseDevTransport::devices"
            ),
            abort_with_error: Atomic::new(false),
            ring: SetOnce::new(),
        })
    }

    /// The ring, if requests use it.
    fn ready_ring(&self) -> Option<&Arc<Ring>> {
        self.ring.as_ref().filter(|ring| ring.is_ready())
    }

    /// The error of reads and writes of the device after the abort.
    fn abort_errno(&self) -> Error {
        if self.abort_with_error.load(Relaxed) {
            ECONNABORTED
        } else {
            ENODEV
        }
    }

    /// Adds a device; `false` if the connection was aborted.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn add(&self, processing: &Arc<Processing>) -> Result<bool> {
        let mut devices = self.devices.lock();
        let number = devices.attached;
        let Some(open) = devices.open.as_mut() else {
            return Ok(false);
        };
        open.push(processing.clone(), GFP_KERNEL)?;
        processing.set_device(number);
        devices.attached = number.wrapping_add(1);
        Ok(true)
    }

    /// Removes a device; returns whether it was the last.
    fn remove(&self, processing: &Arc<Processing>) -> bool {
        match self.devices.lock().open.as_mut() {
            Some(devices) => {
                devices.retain(|device| !Arc::ptr_eq(device, processing));
                devices.is_empty()
            }
            None => false,
        }
    }
}

impl Transport for DevTransport {
    fn send_request(&self, request: Pending, ids: &UniqueIds, wake: Wake) -> Result<(), Pending> {
        let left = match self.ready_ring() {
            Some(ring) if request.request().goes_over_ring() => ring.send(request, ids, wake),
            _ => Err(request),
        };
        left.or_else(|request| self.input.push(request, ids, wake))
    }

    fn send_forget(&self, ticket: ForgetTicket, forget: Forget) {
        self.input.push_forget(ticket, forget);
    }

    fn send_interrupt(&self, request: &Handle) {
        self.input.push_interrupt(request);
    }

    fn cancel_interrupt(&self, request: &Handle) {
        self.input.remove_interrupt(request);
    }

    fn cancel_request(&self, request: &Handle) -> Option<Pending> {
        let queued = self.input.remove(request);
        queued.or_else(|| self.ready_ring()?.cancel(request))
    }

    fn resend(&self) {
        let mut lost = SentQueue::default();
        if let Some(devices) = self.devices.lock().open.as_ref() {
            for device in devices.iter() {
                device.drain_sent(&mut lost);
            }
        }
        self.input.push_again(lost);
    }

    fn has_older(&self, age: u64) -> bool {
        self.input.has_older(age)
            || self
                .devices
                .lock()
                .open
                .as_ref()
                .is_some_and(|devices| devices.iter().any(|device| device.has_older(age)))
            || self.ready_ring().is_some_and(|ring| ring.has_older(age))
    }

    fn look(&self, seen: &mut Snapshot) {
        self.input.look(seen);
        seen.begin_devices();
        if let Some(devices) = self.devices.lock().open.as_ref() {
            for device in devices {
                device.look(seen);
            }
        }
        if let Some(ring) = self.ready_ring() {
            ring.look(seen);
        }
    }

    fn build_ring(&self, max_payload: usize) -> Result {
        self.ring.populate(Ring::new(max_payload)?);
        Ok(())
    }

    fn settle_later(&self, building: Building) {
        if let Some(ring) = self.ring.as_ref() {
            ring.hold(building);
        }
    }

    fn set_abort_error(&self, with_error: bool) {
        self.abort_with_error.store(with_error, Relaxed);
    }

    fn abort(&self) {
        let devices = self.devices.lock().open.take();
        for device in devices.into_iter().flatten() {
            device.close();
        }
        self.input.close().refuse_all(Outcome::Aborted);
        if let Some(ring) = self.ring.as_ref() {
            ring.abort();
        }
    }
}

/// A connection as a device sees it.
struct Link {
    channel: Arc<Channel>,
    transport: Arc<DevTransport>,
    owner: Arc<dyn ChannelOwner>,
    /// Device number of the mount, for fdinfo.
    connection: u32,
    /// The requests that this device has read.
    processing: Arc<Processing>,
}

impl Link {
    /// The device is closed: its unanswered requests end, and with the last device the connection.
    /// Sleeps.
    fn close(&self) {
        let last = self.transport.remove(&self.processing);
        // First: a caller that is told that its request was lost finds the connection ended.
        if last {
            self.channel.abort(false);
        }
        self.processing.close();
    }
}

/// An open file of `/dev/fuse` (`struct fuse_dev`).
#[pin_data]
pub(crate) struct Device {
    /// Set once, by the mount, under `closed`.
    link: SetOnce<Link>,
    /// Whether the file was closed.
    #[pin]
    closed: SpinLock<bool>,
    /// The server asked for the mount to wait for the reply to INIT, and for its reads to wait for
    /// the mount.
    sync_init: Atomic<bool>,
    /// Where those reads wait.
    #[pin]
    mounted: WaitQueue,
}

impl Device {
    /// A device that serves no connection, and has allocated no memory for one.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                link: SetOnce::new(),
                closed <- new_spinlock!(false, "FuseDevice::closed"),
                sync_init: Atomic::new(false),
                mounted <- new_wait_queue!("FuseDevice::mounted"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// The device behind `file`, if it is an open file of `/dev/fuse`.
    pub(crate) fn from_file(file: &File) -> Option<Arc<Device>> {
        DEVICE_OPS.device_of(file).map(Arc::from)
    }

    /// Whether a mount has installed a connection.
    fn is_installed(&self) -> bool {
        self.link.as_ref().is_some()
    }

    /// Whether the file is open, and a mount has installed a connection.
    pub(crate) fn is_serving(&self) -> bool {
        self.is_installed() && !*self.closed.lock()
    }

    /// Whether the file is open, and `channel` is the installed connection's. Does not sleep.
    pub(crate) fn serves(&self, channel: &Arc<Channel>) -> bool {
        match self.link.as_ref() {
            Some(link) => Arc::ptr_eq(&link.channel, channel) && !*self.closed.lock(),
            None => false,
        }
    }

    /// Makes the device serve a connection whose mount has device number `connection`; `owner`
    /// receives its notifications.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it serves one already; `ENOTCONN` if it was closed; `ENOMEM`.
    pub(crate) fn install(
        &self,
        channel: Arc<Channel>,
        transport: Arc<DevTransport>,
        owner: Arc<dyn ChannelOwner>,
        connection: u32,
    ) -> Result {
        self.check_vacant(*self.closed.lock())?;
        let link = Link {
            channel,
            transport,
            owner,
            connection,
            processing: Arc::pin_init(Processing::new()?, GFP_KERNEL_ACCOUNT)?,
        };
        // First, so that an abort finds every request that is read.
        if !link.transport.add(&link.processing)? {
            // Aborted: reads of the device will fail.
            link.processing.close();
        }
        match self.set_link(link) {
            Ok(()) => {
                self.mounted.wake_up_all();
                Ok(())
            }
            Err((error, link)) => {
                link.close();
                Err(error)
            }
        }
    }

    /// Installs `link` in the device, or returns it with the error.
    fn set_link(&self, link: Link) -> Result<(), (Error, Link)> {
        let closed = self.closed.lock();
        match self.check_vacant(*closed) {
            Ok(()) => {
                self.link.populate(link);
                Ok(())
            }
            Err(error) => Err((error, link)),
        }
    }

    /// Fails as [`Self::install`] does if no connection can be installed.
    fn check_vacant(&self, closed: bool) -> Result {
        if closed {
            Err(ENOTCONN)
        } else if self.is_installed() {
            Err(EINVAL)
        } else {
            Ok(())
        }
    }

    /// Whether the mount must wait for the reply to INIT.
    pub(crate) fn is_sync_init(&self) -> bool {
        self.sync_init.load(Relaxed)
    }

    /// The connection.
    ///
    /// # Errors
    ///
    /// `EPERM` before the mount.
    fn link(&self) -> Result<&Link> {
        self.link.as_ref().ok_or(EPERM)
    }

    /// The connection; waits for the mount if the server asked for it.
    ///
    /// # Errors
    ///
    /// `EPERM` before the mount, `ERESTARTSYS`.
    #[inline]
    fn link_or_wait(&self) -> Result<&Link> {
        match self.link.as_ref() {
            Some(link) => Ok(link),
            None => self.wait_for_link(),
        }
    }

    #[cold]
    fn wait_for_link(&self) -> Result<&Link> {
        if self.is_sync_init() {
            self.mounted.wait_interruptible(|| self.is_installed())?;
        }
        self.link()
    }

    /// The last reference to the file is gone: its unanswered requests end, and with the last
    /// device the connection.
    fn close(&self) {
        *self.closed.lock() = true;
        if let Some(link) = self.link.as_ref() {
            link.close();
        }
    }
}

/// The only table of `/dev/fuse`: a mount recognises its files by this address.
static DEVICE_OPS: FileOps<Device> = FileOps::with_uring();

#[vtable]
impl miscdev::Device for Device {
    const NAME: &'static CStr = c"fuse";
    const MINOR: i32 = 229;

    fn table() -> &'static FileOps<Self> {
        &DEVICE_OPS
    }

    fn open(_file: &File) -> Result<Arc<Device>> {
        Device::new()
    }

    fn release(device: Arc<Device>, _flags: u32) {
        device.close();
    }

    fn read_iter(
        device: ArcBorrow<'_, Device>,
        file: &File,
        to: &mut IovIterDest<'_>,
    ) -> Result<usize> {
        // A missing mount is reported before a bad buffer.
        let link = device.link_or_wait()?;
        link.read(file, &mut UserDest::new(to)?)
    }

    fn write_iter(
        device: ArcBorrow<'_, Device>,
        _file: &File,
        from: &mut IovIterSource<'_>,
    ) -> Result<usize> {
        let link = device.link()?;
        link.write(&mut UserSource::new(from)?)
    }

    fn splice_read(
        device: ArcBorrow<'_, Device>,
        file: &File,
        to: &mut PipeDest<'_>,
    ) -> Result<usize> {
        device.link_or_wait()?.read(file, to)
    }

    fn check_write(device: ArcBorrow<'_, Device>) -> Result {
        device.link().map(|_| ())
    }

    fn splice_write(
        device: ArcBorrow<'_, Device>,
        _file: &File,
        from: &mut PipeSource<'_>,
    ) -> Result<usize> {
        device.link()?.write(from)
    }

    fn pollers(&self) -> Result<&WaitQueue> {
        Ok(self.link_or_wait()?.transport.input.readers())
    }

    fn poll(&self) -> PollEvents {
        let Ok(link) = self.link() else {
            return PollEvents::ERROR;
        };
        match link.transport.input.status() {
            (_, false) => PollEvents::ERROR,
            (true, true) => PollEvents::WRITABLE | PollEvents::READABLE,
            (false, true) => PollEvents::WRITABLE,
        }
    }

    fn fasync(&self) -> Result<&Fasync> {
        Ok(self.link_or_wait()?.transport.input.fasync())
    }

    fn ioctl(
        device: ArcBorrow<'_, Device>,
        _file: &File,
        command: u32,
        argument: usize,
    ) -> Result<isize> {
        device.ioctl(command, argument)
    }

    fn show_fdinfo(device: ArcBorrow<'_, Device>, m: &SeqFile, _file: &File) {
        if let Ok(link) = device.link() {
            seq_print!(m, "fuse_connection:\t{}\n", link.connection);
        }
    }
}
