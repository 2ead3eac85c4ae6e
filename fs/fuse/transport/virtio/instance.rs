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

use crate::vfs::{
    control::sysfs::{
        Event,
        Node,
        Object,
        Parent,
        Text, //
    },
    io::virtio::{
        Bound,
        Config,
        Device,
        Driver,
        Ids,
        Place, //
    },
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
    }, //
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

/// A device.
#[pin_data]
pub(crate) struct Instance {
    tag: CString,
    /// The names of its queues.
    queues: KVec<CString>,
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
        let mut queues = KVec::with_capacity(1 + requests as usize, GFP_KERNEL)?;
        queues.push(CString::try_from_fmt(fmt!("hiprio"))?, GFP_KERNEL)?;
        for queue in 0..requests {
            queues.push(CString::try_from_fmt(fmt!("requests.{queue}"))?, GFP_KERNEL)?;
        }
        Ok(try_pin_init!(Self {
            tag,
            queues,
            map: SetOnce::new(),
            shown <- new_mutex!(KVec::new(), "FuseInstance::shown"),
        }))
    }

    fn queue_names(&self) -> &[CString] {
        &self.queues
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
        for number in 0..bound.queues.len() {
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
            let name = self.bound.queues.get(self.number).ok_or(EINVAL)?;
            text.push(name.to_bytes());
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
