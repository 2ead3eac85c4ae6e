// SPDX-License-Identifier: GPL-2.0

//! Devices of virtio: a driver, and its devices.
//!
//! A [`Driver`] is registered with the module. Each device of its kind is probed: its configuration
//! is read ([`Config`]), its queues are made, and it becomes a [`Bound`] device, which is in the
//! driver's list until it is removed. Other code may hold a `Bound` for any time; when the device
//! is removed, its queues are closed first, and then the `Bound` gives no access to it.
//!
//! Locks: the list of a driver, outside of all here; it may sleep, and is held while a device
//! appears and vanishes. `Bound::life`, which may sleep.
//!
//! C headers: `include/linux/virtio.h`, `include/linux/virtio_config.h`.

use crate::vfs::{
    bindings,
    control::sysfs::{
        Object,
        Set, //
    },
    io::virtqueue::Queue,
    sync::static_mutex::StaticMutex, //
};
use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    cpu::nr_cpu_ids,
    error::{
        from_result,
        to_result, //
    },
    module::{
        this_module,
        ModuleMetadata, //
    },
    new_mutex,
    prelude::*,
    static_lock_class,
    sync::{
        lock::mutex::MutexBackend,
        rcu,
        Arc,
        GlobalLockBackend,
        LockClassKey,
        Mutex, //
    },
    types::Opaque, //
};

/// Devices of any vendor (`VIRTIO_DEV_ANY_ID`).
const ANY_VENDOR: u32 = u32::MAX;

/// The data of a device of one kind. Methods may sleep.
pub(crate) trait Device: Sized + Send + Sync + 'static {
    /// The module with this code.
    type OwnerModule: ModuleMetadata;

    /// The one driver of these devices.
    fn driver() -> &'static Driver<Self>;

    /// Probes a device with this configuration; its queues do not exist yet.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used.
    fn probe(config: &Config<'_>) -> Result<impl PinInit<Self, Error>>;

    /// Its queues, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn queues(&self) -> Result<KVec<Arc<dyn Queue>>>;

    /// The device has used something of the queue with this number. Called by an interrupt, and so must
    /// not sleep.
    fn interrupted(&self, queue: u32);

    /// It is about to be reset for good. Called without a lock.
    fn quiesce(&self);

    /// It was reset, and what it had was dropped. Called without a lock.
    fn was_reset(&self);

    /// It was reset for good, and [`Self::interrupted`] is not called any more. Called without a lock.
    fn gone(&self);

    /// How many of the first queues have no processor of their own.
    const SPARE_QUEUES: u32;

    /// Whether `other` has the same identity.
    fn is_same(&self, other: &Self) -> bool;

    /// The device can be used from now on. Called with the driver's list locked.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be used: it is removed then.
    fn appear(bound: &Arc<Bound<Self>>, place: &Place<'_>) -> Result;

    /// The device cannot be found any more, and is about to be removed. Called with the driver's
    /// list locked.
    fn vanish(&self);
}

/// The configuration of a device that is being probed.
///
/// # Invariants
///
/// `vdev` is valid for `'a`, and only the driver that probes it uses it.
pub(crate) struct Config<'a> {
    vdev: NonNull<bindings::virtio_device>,
    _probe: PhantomData<&'a ()>,
}

impl Config<'_> {
    /// The bytes from `offset` on.
    pub(crate) fn bytes<const N: usize>(&self, offset: u32) -> [u8; N] {
        let mut bytes = [0; N];
        // SAFETY: By the type invariant, and there is room.
        unsafe {
            bindings::virtio_read_bytes(self.vdev.as_ptr(), offset, bytes.as_mut_ptr().cast(), N)
        };
        bytes
    }

    /// The 32-bit number at `offset`.
    pub(crate) fn le32(&self, offset: u32) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::virtio_read_le32(self.vdev.as_ptr(), offset) }
    }
}

/// The place of a device that appears.
///
/// # Invariants
///
/// `vdev` is valid for `'a`.
pub(crate) struct Place<'a> {
    vdev: NonNull<bindings::virtio_device>,
    set: &'a Set,
}

impl Place<'_> {
    /// Its number among all virtio devices.
    pub(crate) fn index(&self) -> i32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::virtio_index(self.vdev.as_ptr()) }
    }

    /// The directory of its kind in `/sys/fs`.
    pub(crate) fn set(&self) -> &Set {
        self.set
    }

    /// Makes a link to the device in `object`.
    ///
    /// # Errors
    ///
    /// `EEXIST` if there is such a file, `ENOMEM`.
    pub(crate) fn link(&self, object: &Object, name: &CStr) -> Result {
        // SAFETY: By the type invariant; a device that a driver is bound to is in sysfs.
        unsafe { object.link(name, bindings::virtio_kobj(self.vdev.as_ptr())) }
    }
}

/// The C side of a device.
///
/// # Invariants
///
/// `vdev` is valid while it is there, and so are its queues. It accesses what they have only if it is
/// `running`.
struct Life {
    vdev: Option<NonNull<bindings::virtio_device>>,
    running: bool,
}

// SAFETY: The device belongs to no thread.
unsafe impl Send for Life {}

/// A device that a driver is bound to, or was.
#[pin_data]
pub(crate) struct Bound<T: Device> {
    #[pin]
    device: T,
    queues: KVec<Arc<dyn Queue>>,
    #[pin]
    life: Mutex<Life>,
}

impl<T: Device> Deref for Bound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.device
    }
}

impl<T: Device> Bound<T> {
    /// # Safety
    ///
    /// C calls this with a queue of a device whose private data is a `Bound<T>`. An interrupt may.
    unsafe extern "C" fn interrupted(queue: *mut bindings::virtqueue) {
        // SAFETY: The queue is valid.
        let private = unsafe { bindings::virtqueue_device_private(queue) };
        // SAFETY: It was put there before the queues were made, and is taken away when they are gone.
        let this = unsafe { &*private.cast::<Self>() };
        // SAFETY: As above.
        let number = unsafe { bindings::virtqueue_index(queue) };
        this.device.interrupted(number);
    }

    /// Makes the queues of the device, and starts it.
    ///
    /// # Errors
    ///
    /// `ENOENT` if the device has fewer queues, `ENOMEM`. Nothing is left then.
    ///
    /// # Safety
    ///
    /// `vdev` is being probed, and its private data is this. Unless this fails, [`Self::end`] must be
    /// called before it is removed.
    unsafe fn begin(&self, vdev: NonNull<bindings::virtio_device>) -> Result {
        let count = self.queues.len();
        let mut queues = KVec::from_elem(core::ptr::null_mut(), count, GFP_KERNEL)?;
        let mut infos = KVec::with_capacity(count, GFP_KERNEL)?;
        for queue in &self.queues {
            let info = bindings::virtqueue_info {
                name: queue.name().as_char_ptr(),
                callback: Some(Self::interrupted),
                ctx: false,
            };
            infos.push(info, GFP_KERNEL)?;
        }
        // SAFETY: The device is valid, and both arrays have that many elements. The names live as
        // long as this, and so as long as the queues.
        to_result(unsafe {
            bindings::virtio_find_queues(
                vdev.as_ptr(),
                u32::try_from(count)?,
                queues.as_mut_ptr(),
                infos.as_mut_ptr(),
                T::SPARE_QUEUES,
            )
        })?;
        {
            let mut life = self.life.lock();
            // INVARIANT: They are there, and the device works when it is told so below.
            life.vdev = Some(vdev);
            life.running = true;
        }
        for (queue, made) in self.queues.iter().zip(queues) {
            let made = NonNull::new(made).ok_or(ENOENT);
            // SAFETY: It is new, and deleted in `end` only, after it was drained.
            let opened = made.and_then(|made| unsafe { queue.open(made) });
            opened.inspect_err(|_| self.end())?;
        }
        // SAFETY: The device is valid, and its queues are made.
        unsafe { bindings::virtio_ready(vdev.as_ptr()) };
        Ok(())
    }

    /// Resets the device: what it has comes back, and it is dead from then on. Sleeps.
    pub(crate) fn kill(&self) {
        self.reset(&mut self.life.lock());
        self.drop_left();
        self.device.was_reset();
    }

    fn reset(&self, life: &mut Life) {
        let Some(vdev) = life.vdev.filter(|_| life.running) else {
            return;
        };
        for queue in &self.queues {
            queue.close();
        }
        rcu::synchronize_rcu();
        // SAFETY: By the type invariant of `Life`.
        unsafe { bindings::virtio_break_device(vdev.as_ptr()) };
        // SAFETY: As above.
        unsafe { bindings::virtio_reset_device(vdev.as_ptr()) };
        // INVARIANT: A device that was reset accesses nothing.
        life.running = false;
        for queue in &self.queues {
            // SAFETY: It is closed, and the device was reset.
            unsafe { queue.drain() };
        }
    }

    /// What the queues had is dropped without the lock: that may come to the device.
    fn drop_left(&self) {
        for queue in &self.queues {
            queue.drop_left();
        }
    }

    /// Ends the use of the device: it does nothing any more when this returns, and has no queues.
    fn end(&self) {
        {
            let mut life = self.life.lock();
            self.reset(&mut life);
            if let Some(vdev) = life.vdev.take() {
                // SAFETY: By the type invariant of `Life`; the queues are drained.
                unsafe { bindings::virtio_delete_queues(vdev.as_ptr()) };
            }
        }
        self.drop_left();
    }

    /// The nearest queue for each processor, of those from `first` on: the one whose interrupts it
    /// gets, or otherwise one of its group. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `ENODEV` if the device was removed.
    pub(crate) fn spread(&self, first: u32) -> Result<KVec<u32>> {
        let count = u32::try_from(self.queues.len())?.saturating_sub(first);
        let mut map = KVec::from_elem(first, usize::try_from(nr_cpu_ids())?, GFP_KERNEL)?;
        let life = self.life.lock();
        let vdev = life.vdev.ok_or(ENODEV)?;
        let mut known = true;
        for queue in first..first.saturating_add(count) {
            // SAFETY: By the type invariant of `Life`.
            let cpus = unsafe { bindings::virtio_queue_cpus(vdev.as_ptr(), queue as c_int) };
            known = !cpus.is_null();
            if !known {
                break;
            }
            // SAFETY: A mask that lives as long as the queues.
            unsafe { assign(&mut map, cpus, 0, queue) };
        }
        if known {
            return Ok(map);
        }
        let mut groups = 0;
        // SAFETY: Makes `groups` masks, which the caller has to free.
        let masks = unsafe { bindings::group_cpus_evenly(count, &mut groups) };
        if masks.is_null() || groups == 0 {
            return Ok(map);
        }
        for queue in 0..count {
            // SAFETY: There are `groups` of them.
            unsafe { assign(&mut map, masks, queue % groups, first.saturating_add(queue)) };
        }
        // SAFETY: They were allocated by the function above.
        unsafe { bindings::kfree(masks.cast()) };
        Ok(map)
    }
}

/// Assigns `queue` to the processors of mask number `at`.
///
/// # Safety
///
/// There are more than `at` masks at `masks`.
unsafe fn assign(map: &mut [u32], masks: *const bindings::cpumask, at: u32, queue: u32) {
    for (cpu, used) in (0..).zip(map) {
        // SAFETY: By the safety requirement; there are so many processors.
        if unsafe { bindings::cpumask_at_has(masks, at, cpu) } {
            *used = queue;
        }
    }
}

/// The state of a registered driver.
struct State<T: Device> {
    set: Option<Set>,
    devices: KVec<Arc<Bound<T>>>,
}

/// The lock around a [`State`].
struct Table<T>(PhantomData<T>);

impl<T: Device> GlobalLockBackend for Table<T> {
    const NAME: &'static CStr = c"virtio::Driver::state";
    type Item = State<T>;
    type Backend = MutexBackend;

    fn get_lock_class() -> Pin<&'static LockClassKey> {
        static_lock_class!()
    }
}

/// A driver of devices of one kind. One `static` for each.
///
/// # Invariants
///
/// The functions of `driver` are those of `T`; C changes it while it is registered.
pub(crate) struct Driver<T: Device> {
    driver: Opaque<bindings::virtio_driver>,
    /// The name of the set of its devices.
    name: &'static CStr,
    state: StaticMutex<Table<T>>,
}

// SAFETY: Only C changes the driver, under its own locks; the rest is locked.
unsafe impl<T: Device> Sync for Driver<T> {}

/// The numbers of the devices of a driver, and an end.
#[repr(transparent)]
pub(crate) struct Ids([bindings::virtio_device_id; 2]);

impl Ids {
    /// This number, of any vendor.
    pub(crate) const fn new(device: u32) -> Self {
        Self([
            bindings::virtio_device_id {
                device,
                vendor: ANY_VENDOR,
            },
            bindings::virtio_device_id {
                device: 0,
                vendor: 0,
            },
        ])
    }
}

impl<T: Device> Driver<T> {
    /// The driver `name` of the devices with these numbers, which have a directory of that name in
    /// `/sys/fs`.
    pub(crate) const fn new(name: &'static CStr, ids: &'static Ids) -> Self {
        Self {
            driver: Opaque::new(bindings::virtio_driver {
                driver: bindings::device_driver {
                    name: name.to_bytes_with_nul().as_ptr().cast(),
                    ..pin_init::zeroed()
                },
                id_table: ids.0.as_ptr(),
                feature_table: core::ptr::null(),
                feature_table_size: 0,
                feature_table_legacy: core::ptr::null(),
                feature_table_size_legacy: 0,
                validate: None,
                probe: Some(Self::probe),
                scan: None,
                remove: Some(Self::remove),
                config_changed: None,
                freeze: Some(Self::freeze),
                restore: Some(Self::restore),
                reset_prepare: None,
                reset_done: None,
                shutdown: None,
            }),
            name,
            // SAFETY: The marker is private to this module, which guards no other data with it.
            state: unsafe {
                StaticMutex::new(State {
                    set: None,
                    devices: KVec::new(),
                })
            },
        }
    }

    /// A device that is bound, and for which `is_wanted` says so. May sleep.
    pub(crate) fn find(&'static self, is_wanted: impl Fn(&T) -> bool) -> Option<Arc<Bound<T>>> {
        let state = self.state.lock().ok()?;
        let mut devices = state.devices.iter();
        devices.find(|bound| is_wanted(bound)).cloned()
    }

    /// # Safety
    ///
    /// The bus calls this with a device of this driver, which nothing else uses. If it succeeds,
    /// [`Self::remove`] is called before the device or the driver is removed. May sleep.
    unsafe extern "C" fn probe(vdev: *mut bindings::virtio_device) -> c_int {
        from_result(|| {
            let vdev = NonNull::new(vdev).ok_or(EINVAL)?;
            // INVARIANT: It is being probed.
            let config = Config {
                vdev,
                _probe: PhantomData,
            };
            let device = T::probe(&config)?;
            let bound = Arc::pin_init(
                // INVARIANT: `vdev` is not there yet.
                try_pin_init!(Bound {
                    device <- device,
                    queues: device.queues()?,
                    life <- new_mutex!(
                        Life {
                            vdev: None,
                            running: false,
                        },
                        "virtio::Bound::life"
                    ),
                }),
                GFP_KERNEL,
            )?;
            let private = Arc::as_ptr(&bound).cast_mut().cast();
            // SAFETY: The device is valid, and its private data is the driver's.
            unsafe { bindings::virtio_set_private(vdev.as_ptr(), private) };
            // SAFETY: It is being probed. If the next fails it is ended below, else by `remove`.
            let added = unsafe { bound.begin(vdev) }
                .and_then(|()| T::driver().add(&bound, vdev).inspect_err(|_| bound.end()));
            match added {
                Ok(()) => {
                    // The device has the reference from now on.
                    let _ = Arc::into_raw(bound);
                }
                // SAFETY: As above.
                Err(_) => unsafe {
                    bindings::virtio_set_private(vdev.as_ptr(), core::ptr::null_mut())
                },
            }
            added.map(|()| 0)
        })
    }

    /// Adds a device to the list.
    ///
    /// # Errors
    ///
    /// `EEXIST` if another one has the same identity, `ENOMEM`, and those of [`Device::appear`].
    fn add(&'static self, bound: &Arc<Bound<T>>, vdev: NonNull<bindings::virtio_device>) -> Result {
        let mut state = self.state.lock()?;
        if state.devices.iter().any(|other| other.is_same(bound)) {
            return Err(EEXIST);
        }
        state.devices.reserve(1, GFP_KERNEL)?;
        let place = Place {
            vdev,
            set: state.set.as_ref().ok_or(ENODEV)?,
        };
        T::appear(bound, &place).inspect_err(|_| bound.vanish())?;
        state.devices.push(bound.clone(), GFP_KERNEL)?;
        Ok(())
    }

    /// # Safety
    ///
    /// The bus calls this once with a device that [`Self::probe`] has succeeded for. May sleep.
    unsafe extern "C" fn remove(vdev: *mut bindings::virtio_device) {
        // SAFETY: The device is valid.
        let private = unsafe { bindings::virtio_private(vdev) };
        // SAFETY: `probe` has put it there.
        let bound = unsafe { Arc::from_raw(private.cast::<Bound<T>>().cast_const()) };
        if let Ok(mut state) = T::driver().state.lock() {
            state.devices.retain(|other| !Arc::ptr_eq(other, &bound));
            bound.vanish();
        }
        bound.quiesce();
        bound.end();
        bound.gone();
        // SAFETY: As above.
        unsafe { bindings::virtio_set_private(vdev, core::ptr::null_mut()) };
    }

    /// The state in a device's memory cannot be saved, so the machine does not sleep.
    ///
    /// # Safety
    ///
    /// The bus calls this with a device that [`Self::probe`] has succeeded for.
    unsafe extern "C" fn freeze(_vdev: *mut bindings::virtio_device) -> c_int {
        EOPNOTSUPP.to_errno()
    }

    /// # Safety
    ///
    /// As [`Self::freeze`].
    unsafe extern "C" fn restore(_vdev: *mut bindings::virtio_device) -> c_int {
        0
    }
}

/// A registered [`Driver`]; dropping it removes all its devices.
///
/// # Invariants
///
/// `driver` is registered.
pub(crate) struct Registration<T: Device> {
    driver: &'static Driver<T>,
    /// Dropped last.
    _set: SetOf<T>,
}

impl<T: Device> Registration<T> {
    /// Registers the driver, once in the life of the module; it probes the existing devices.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was registered before, or if there is a set with the name, `ENOMEM`.
    ///
    /// # Safety
    ///
    /// The return value must be dropped only when the module is unloaded or fails to load.
    pub(crate) unsafe fn new(driver: &'static Driver<T>) -> Result<Self> {
        driver.state.start()?;
        driver.state.lock()?.set = Some(Set::new(driver.name)?);
        let set = SetOf(driver);
        // SAFETY: The driver is static, and its functions can be called from now on.
        to_result(unsafe {
            bindings::__register_virtio_driver(
                driver.driver.get(),
                this_module::<T::OwnerModule>().as_ptr(),
            )
        })?;
        // INVARIANT: It is registered.
        Ok(Self { driver, _set: set })
    }
}

impl<T: Device> Drop for Registration<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant. It removes all devices first.
        unsafe { bindings::unregister_virtio_driver(self.driver.driver.get()) };
    }
}

/// The set of a driver, which has no devices any more when this is dropped.
struct SetOf<T: Device>(&'static Driver<T>);

impl<T: Device> Drop for SetOf<T> {
    fn drop(&mut self) {
        let set = match self.0.state.lock() {
            Ok(mut state) => state.set.take(),
            Err(_) => None,
        };
        drop(set);
    }
}
