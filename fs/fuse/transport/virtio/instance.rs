// SPDX-License-Identifier: GPL-2.0

//! A virtiofs device (`struct virtio_fs`), from its probe until its removal.
//!
//! `/sys/fs/virtiofs/NUMBER` shows it, with the same files as in C:
//!
//! - `tag`, by which it is mounted;
//! - `device`, the virtio device;
//! - `mqs/QUEUE/name` and `mqs/QUEUE/cpu_list`: its queues, and which processors use each.
//!
//! Its uevents carry the tag.
//!
//! Locks: `shown`, which may sleep.

use super::{
    forget::ForgetQueue,
    late::Late,
    queue::RequestQueue,
    served::Served, //
};
use crate::fuse::{
    channel::Channel,
    request::outcome::Outcome, //
};
use crate::vfs::{
    control::sysfs::{
        Event,
        Node,
        Object,
        Parent,
        Text, //
    },
    cpu, //
    io::virtio::{
        Bound,
        Config,
        Device,
        Driver,
        Ids,
        Place, //
    },
    io::virtqueue,
};
use core::fmt::Write;
use kernel::{
    cpu::nr_cpu_ids,
    new_mutex,
    prelude::*,
    str::CString,
    sync::{
        Arc,
        Mutex,
        SetOnce, //
    },
    time::{
        delay::fsleep,
        Delta, //
    },
};

/// The device number (`VIRTIO_ID_FS`).
const DEVICE_ID: u32 = 26;
/// Length of the tag in the configuration, in bytes.
const TAG_LEN: usize = 36;
/// Offset of the number of request queues in the configuration.
const REQUEST_QUEUES_AT: u32 = TAG_LEN as u32;
/// The first request queue; the one before is for FORGETs.
const FIRST_REQUEST_QUEUE: u32 = 1;

static IDS: Ids = Ids::new(DEVICE_ID);

/// The driver.
pub(crate) static DRIVER: Driver<Instance> = Driver::new(c"virtiofs", &IDS);

/// Milliseconds that a device which is removed has to give back what it has.
const REMOVAL_PATIENCE: usize = 5000;

/// Milliseconds between two looks for that.
const REMOVAL_PERIOD: usize = 10;

/// A device.
#[pin_data]
pub(crate) struct Instance {
    tag: CString,
    served: Arc<Served>,
    late: Arc<Late>,
    forgets: ForgetQueue,
    /// In the order of their numbers, which begin with [`FIRST_REQUEST_QUEUE`].
    requests: KVec<RequestQueue>,
    /// The queue that each processor uses; set when the device appears.
    map: SetOnce<KVec<u32>>,
    /// Its sysfs objects, while they exist.
    #[pin]
    shown: Mutex<KVec<Arc<Object>>>,
}

/// The tag from its field in the configuration, where a tag of full length has no terminator.
///
/// # Errors
///
/// `EINVAL` if it is empty or has a line feed: it is a word of mount(8), of a sysfs file, and of
/// uevents.
fn tag_of(bytes: &[u8]) -> Result<CString> {
    let tag = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    if tag.is_empty() || tag.contains(&b'\n') {
        return Err(EINVAL);
    }
    let mut ended = KVec::with_capacity(tag.len() + 1, GFP_KERNEL)?;
    ended.extend_from_slice(tag, GFP_KERNEL)?;
    ended.push(0, GFP_KERNEL)?;
    let tag = CStr::from_bytes_with_nul(&ended).map_err(|_| EINVAL)?;
    Ok(CString::try_from(tag)?)
}

impl Device for Instance {
    type OwnerModule = crate::LocalModule;

    const SPARE_QUEUES: u32 = FIRST_REQUEST_QUEUE;

    fn driver() -> &'static Driver<Self> {
        &DRIVER
    }

    fn probe(config: &Config<'_>) -> Result<impl PinInit<Self, Error>> {
        let tag = tag_of(&config.bytes::<TAG_LEN>(0))?;
        let requests = config.le32(REQUEST_QUEUES_AT).min(nr_cpu_ids());
        if requests == 0 {
            return Err(EINVAL);
        }
        let served = Arc::pin_init(Served::new(), GFP_KERNEL)?;
        let late = Late::new(&served)?;
        let forgets = ForgetQueue::new(CString::try_from_fmt(fmt!("hiprio"))?, &served)?;
        let mut queues = KVec::with_capacity(requests as usize, GFP_KERNEL)?;
        for queue in 0..requests {
            let name = CString::try_from_fmt(fmt!("requests.{queue}"))?;
            let queue = RequestQueue::new(FIRST_REQUEST_QUEUE + queue, name, &served, &late)?;
            queues.push(queue, GFP_KERNEL)?;
        }
        Ok(try_pin_init!(Self {
            tag,
            served,
            late,
            forgets,
            requests: queues,
            map: SetOnce::new(),
            shown <- new_mutex!(KVec::new(), "FuseInstance::shown"),
        }))
    }

    fn queues(&self) -> Result<KVec<Arc<dyn virtqueue::Queue>>> {
        let mut queues = KVec::with_capacity(1 + self.requests.len(), GFP_KERNEL)?;
        queues.push(self.forgets.queue(), GFP_KERNEL)?;
        for queue in &self.requests {
            queues.push(queue.queue(), GFP_KERNEL)?;
        }
        Ok(queues)
    }

    fn interrupted(&self, number: u32) {
        match number.checked_sub(FIRST_REQUEST_QUEUE) {
            None => self.forgets.look(),
            Some(queue) => {
                if let Some(queue) = self.requests.get(queue as usize) {
                    queue.look();
                }
            }
        }
    }

    fn quiesce(&self) {
        self.stop(Outcome::NotConnected);
        for _ in 0..REMOVAL_PATIENCE / REMOVAL_PERIOD {
            if !self.is_given() {
                return;
            }
            fsleep(Delta::from_millis(REMOVAL_PERIOD as i64));
        }
    }

    fn was_reset(&self) {
        self.served.look();
    }

    fn gone(&self) {
        self.forgets.stop_worker();
        for queue in &self.requests {
            queue.stop_worker();
        }
        // They have left their last requests there.
        self.late.stop_worker();
        self.served.look();
    }

    fn is_same(&self, other: &Self) -> bool {
        *self.tag == *other.tag
    }

    fn appear(bound: &Arc<Bound<Self>>, place: &Place<'_>) -> Result {
        bound.map.populate(bound.spread(FIRST_REQUEST_QUEUE)?);
        let mut shown = bound.shown.lock();
        let top = Object::new(
            Parent::Set(place.set()),
            fmt!("{}", place.index()),
            bound.clone(),
        )?;
        shown.push(top.clone(), GFP_KERNEL)?;
        place.link(&top, c"device")?;
        let queues = Object::new(
            Parent::Object(top.clone()),
            fmt!("mqs"),
            Arc::new(Queues, GFP_KERNEL)?,
        )?;
        for number in 0..=bound.requests.len() {
            let queue = Queue {
                bound: bound.clone(),
                number,
            };
            let queue = Object::new(
                Parent::Object(queues.clone()),
                fmt!("{number}"),
                Arc::new(queue, GFP_KERNEL)?,
            )?;
            shown.push(queue, GFP_KERNEL)?;
        }
        pr_info!("virtiofs: discovered new tag: {}\n", &*bound.tag);
        top.announce();
        Ok(())
    }

    fn vanish(&self) {
        let shown = core::mem::take(&mut *self.shown.lock());
        drop(shown);
    }
}

impl Instance {
    /// Its tag.
    pub(crate) fn tag(&self) -> &CStr {
        &self.tag
    }

    fn queue_name(&self, number: usize) -> &CStr {
        let request = number.checked_sub(FIRST_REQUEST_QUEUE as usize);
        match request.and_then(|queue| self.requests.get(queue)) {
            Some(queue) => queue.name(),
            None => self.forgets.name(),
        }
    }

    /// The queue for FORGETs.
    pub(super) fn forgets(&self) -> &ForgetQueue {
        &self.forgets
    }

    /// The queues for requests.
    pub(super) fn requests(&self) -> &[RequestQueue] {
        &self.requests
    }

    /// The queue for requests of the processor that this runs on, or has just run on.
    pub(super) fn request_queue(&self) -> Option<&RequestQueue> {
        let map = self.map.as_ref();
        let used = map.and_then(|map| map.get(cpu::current())).copied();
        let used = used.unwrap_or(FIRST_REQUEST_QUEUE);
        self.requests
            .get(used.saturating_sub(FIRST_REQUEST_QUEUE) as usize)
    }

    /// How many pieces a request can have.
    pub(crate) fn max_pieces(&self) -> usize {
        let sizes = self.requests.iter().map(RequestQueue::max_pieces);
        sizes.min().unwrap_or(0)
    }

    /// A mount uses it from now on.
    ///
    /// # Errors
    ///
    /// `EBUSY` if another does; `EINVAL` if it is gone, or was reset.
    pub(super) fn begin(&self, channel: Arc<Channel>) -> Result {
        let other = self.served.replace(Some(channel));
        if other.is_some() {
            drop(self.served.replace(other));
            return Err(EBUSY);
        }
        self.forgets.serve();
        if self.requests.iter().all(RequestQueue::serve) {
            return Ok(());
        }
        self.stop(Outcome::NotConnected);
        self.end_service();
        Err(EINVAL)
    }

    /// The mount does not use it any more.
    pub(super) fn end_service(&self) {
        drop(self.served.replace(None));
    }

    /// Nothing is sent any more; requests that wait for room end so. Sleeps.
    pub(super) fn stop(&self, outcome: Outcome) {
        self.forgets.stop();
        for queue in &self.requests {
            queue.stop(outcome);
        }
    }

    /// Whether it has something.
    pub(super) fn is_given(&self) -> bool {
        self.forgets.is_given() || self.requests.iter().any(RequestQueue::is_given)
    }

    /// Waits until it has nothing, or the caller is killed. Sleeps.
    pub(super) fn settle(&self) {
        // One that is killed resets the device.
        let _ = self.served.idle.wait_killable(|| {
            self.forgets.is_idle() && self.requests.iter().all(RequestQueue::is_idle)
        });
    }
}

impl Node for Bound<Instance> {
    fn files(&self) -> &'static [&'static CStr] {
        &[c"tag"]
    }

    fn show(&self, _file: usize, text: &mut Text<'_>) -> Result {
        text.push(self.tag.to_bytes());
        text.push(b"\n");
        Ok(())
    }

    fn describe(&self, event: &mut Event<'_>) -> Result {
        event.set(c"TAG", &self.tag)
    }
}

/// The directory of the queues, which has no files.
struct Queues;

impl Node for Queues {}

/// A queue, as sysfs shows it.
struct Queue {
    bound: Arc<Bound<Instance>>,
    number: usize,
}

impl Queue {
    /// Whether a processor uses it; all processors send FORGETs by the same queue.
    fn is_used_by(&self, cpu: usize) -> bool {
        let first = FIRST_REQUEST_QUEUE as usize;
        let used = self.bound.map.as_ref().and_then(|map| map.get(cpu));
        self.number < first || used.is_some_and(|used| *used as usize == self.number)
    }
}

impl Node for Queue {
    fn files(&self) -> &'static [&'static CStr] {
        &[c"name", c"cpu_list"]
    }

    fn show(&self, file: usize, text: &mut Text<'_>) -> Result {
        if file == 0 {
            text.push(self.bound.queue_name(self.number).to_bytes());
        } else {
            let mut separator = "";
            for cpu in (0..nr_cpu_ids() as usize).filter(|cpu| self.is_used_by(*cpu)) {
                write!(text, "{separator}{cpu}").map_err(|_| EIO)?;
                separator = ", ";
            }
        }
        text.push(b"\n");
        Ok(())
    }
}
