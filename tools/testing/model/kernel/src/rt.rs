// SPDX-License-Identifier: GPL-2.0

//! What is behind the stand-ins: a scheduler, tasks, signals, and what is found out about a run.
//!
//! The scheduler is that of `loom` or `shuttle`; without one of these features threads are those of
//! the host. A *run* is one execution of a scenario, in one order of its steps.

use std::{
    cell::{
        RefCell,
        UnsafeCell, //
    },
    sync::{
        atomic::{
            AtomicBool,
            AtomicI64,
            AtomicU32,
            AtomicU64 as Count,
            Ordering::SeqCst, //
        },
        Arc,
        Mutex as Plain, //
    },
};

/// The scheduler's primitives.
pub mod raw {
    #[cfg(feature = "loom")]
    pub use loom::{
        sync::{
            atomic::{
                fence,
                AtomicU64,
                Ordering, //
            },
            Condvar,
            Mutex,
            MutexGuard, //
        },
        thread, thread_local,
    };
    #[cfg(all(feature = "shuttle", not(feature = "loom")))]
    pub use shuttle::{
        sync::{
            atomic::{
                fence,
                AtomicU64,
                Ordering, //
            },
            Condvar,
            Mutex,
            MutexGuard, //
        },
        thread, thread_local,
    };
    #[cfg(not(any(feature = "loom", feature = "shuttle")))]
    pub use std::{
        sync::{
            atomic::{
                fence,
                AtomicU64,
                Ordering, //
            },
            Condvar,
            Mutex,
            MutexGuard, //
        },
        thread, thread_local,
    };

    #[track_caller]
    pub(crate) fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
        mutex
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A full barrier.
#[track_caller]
pub fn full_barrier() {
    raw::fence(raw::Ordering::SeqCst);
}

static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether a run goes on, which is when the scheduler can be asked.
pub fn is_running() -> bool {
    cfg!(not(any(feature = "loom", feature = "shuttle"))) || RUNNING.load(SeqCst)
}

pub(crate) fn note<T>(last: &UnsafeCell<T>, value: T) {
    if cfg!(any(feature = "loom", feature = "shuttle")) {
        // SAFETY: These schedulers run one thread at a time, and do not change threads here.
        unsafe { *last.get() = value };
    }
}

// --- what went on ---

static STEPS: Plain<Vec<String>> = Plain::new(Vec::new());

/// Notes a step of the run.
pub fn step(text: impl FnOnce() -> String) {
    let text = format!("{:>10}  {}", name(), text());
    STEPS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .push(text);
}

/// The steps of the run so far.
pub fn steps() -> Vec<String> {
    STEPS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
        .clone()
}

/// Objects of slabs that are there.
static LIVE: Plain<Vec<(usize, std::alloc::Layout)>> = Plain::new(Vec::new());
/// What was freed in this run, kept until it ends so that a use of it is seen.
static FREED: Plain<Vec<(usize, std::alloc::Layout)>> = Plain::new(Vec::new());
static BOXES: AtomicI64 = AtomicI64::new(0);
static CLOCK: Count = Count::new(0);

/// What the memory of a freed object is filled with.
const POISON: u8 = 0x6b;

pub(crate) fn allocated(at: *mut u8, layout: std::alloc::Layout) {
    LIVE.lock().unwrap().push((at.addr(), layout));
}

pub(crate) fn freed(at: *mut u8) {
    freeing("an object of a slab");
    let layout = {
        let mut live = LIVE.lock().unwrap();
        let found = live.iter().position(|(live, _)| *live == at.addr());
        found.map(|found| live.swap_remove(found).1)
    };
    let Some(layout) = layout else {
        panic!("memory was freed that is not there, or freed before");
    };
    // SAFETY: It is memory of this layout, of which nobody has a reference.
    unsafe { at.write_bytes(POISON, layout.size()) };
    at.expose_provenance();
    FREED.lock().unwrap().push((at.addr(), layout));
}

/// Something is freed: not under a spin lock.
pub fn freeing(what: &str) {
    if std::thread::panicking() || !is_running() {
        return;
    }
    with_task(|task| {
        if let Some(lock) = task.spins().last() {
            panic!("{what} is freed under the spin lock {lock}");
        }
    });
}

pub(crate) fn count_box(change: i64) {
    BOXES.fetch_add(change, SeqCst);
}

/// Begins a run. What the last one has left is forgotten.
pub fn begin() {
    RUNNING.store(true, SeqCst);
    STEPS.lock().unwrap_or_else(|p| p.into_inner()).clear();
    CLOCK.store(1, SeqCst);
    BOXES.store(0, SeqCst);
    held(|held| *held = None);
    let mut freed = FREED.lock().unwrap_or_else(|p| p.into_inner());
    for (at, layout) in freed.drain(..) {
        // SAFETY: It was allocated with this layout, and nobody has looked at it since.
        unsafe { std::alloc::dealloc(core::ptr::with_exposed_provenance_mut(at), layout) };
    }
    // A run that failed leaves objects, and ends the process.
    LIVE.lock().unwrap_or_else(|p| p.into_inner()).clear();
}

/// Ends a run.
///
/// # Panics
///
/// If an object is left.
pub fn end() {
    let left = LIVE.lock().unwrap().len();
    assert!(
        left == 0,
        "memory does not come back: {left} requests are left"
    );
    let boxes = BOXES.load(SeqCst);
    assert!(
        boxes == 0,
        "memory does not come back: {boxes} boxes are left"
    );
    for (at, layout) in FREED.lock().unwrap().iter() {
        let at = core::ptr::with_exposed_provenance::<u8>(*at);
        // SAFETY: The memory is kept until the next run begins.
        let bytes = unsafe { core::slice::from_raw_parts(at, layout.size()) };
        assert!(
            bytes.iter().all(|byte| *byte == POISON),
            "a request was written to after its memory was freed"
        );
    }
    RUNNING.store(false, SeqCst);
}

/// Requests that are there.
pub fn requests() -> usize {
    LIVE.lock().unwrap_or_else(|p| p.into_inner()).len()
}

/// Boxes that are there.
pub fn boxes() -> i64 {
    BOXES.load(SeqCst)
}

/// The clocks, in milliseconds.
pub fn now() -> u64 {
    CLOCK.load(SeqCst)
}

/// Time goes by.
pub fn advance(milliseconds: u64) {
    CLOCK.fetch_add(milliseconds, SeqCst);
}

// --- tasks ---

pub(crate) const RUNNABLE: u32 = 0;
/// The state flags of `include/linux/sched.h`.
pub const TASK_INTERRUPTIBLE: u32 = 0x1;
pub const TASK_UNINTERRUPTIBLE: u32 = 0x2;
pub const TASK_WAKEKILL: u32 = 0x100;
pub const TASK_FREEZABLE: u32 = 0x2000;
pub const TASK_KILLABLE: u32 = TASK_WAKEKILL | TASK_UNINTERRUPTIBLE;
pub const TASK_NORMAL: u32 = TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE;

/// A signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// One that can be handled.
    Any,
    /// One that ends the task.
    Fatal,
    /// None: the task is to be frozen.
    Freeze,
}

/// A task.
pub struct Task {
    name: &'static str,
    /// Guards the two below, as the lock of a run queue does.
    lock: raw::Mutex<()>,
    woken: raw::Condvar,
    state: AtomicU32,
    /// 1 for a signal, 2 for a fatal one, 4 for what is none.
    pending: AtomicU32,
    /// The spin locks that it holds.
    spins: Plain<Vec<&'static str>>,
    nofault: AtomicU32,
}

impl Task {
    fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self {
            name,
            lock: raw::Mutex::new(()),
            woken: raw::Condvar::new(),
            state: AtomicU32::new(RUNNABLE),
            pending: AtomicU32::new(0),
            spins: Plain::new(Vec::new()),
            nofault: AtomicU32::new(0),
        })
    }

    fn spins(&self) -> Vec<&'static str> {
        self.spins
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone()
    }

    /// `set_current_state()`, with its full barrier.
    pub(crate) fn set_state(&self, state: u32) {
        {
            let _lock = raw::lock(&self.lock);
            self.state.store(state, SeqCst);
        }
        if state != RUNNABLE {
            full_barrier();
        }
    }

    fn has_signal_for(&self, state: u32) -> bool {
        let pending = self.pending.load(SeqCst);
        pending != 0
            && state & (TASK_INTERRUPTIBLE | TASK_WAKEKILL) != 0
            && (state & TASK_INTERRUPTIBLE != 0 || pending & 2 != 0)
    }

    /// Whether it was woken without a signal.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.pending.load(SeqCst) == 4
    }

    /// `signal_pending_state()`.
    pub(crate) fn signal_pending(&self, state: u32) -> bool {
        let _lock = raw::lock(&self.lock);
        self.has_signal_for(state)
    }

    /// `try_to_wake_up()`: whether it was asleep in one of these states.
    pub(crate) fn wake(&self, states: u32) -> bool {
        let _lock = raw::lock(&self.lock);
        self.wake_locked(states)
    }

    fn wake_locked(&self, states: u32) -> bool {
        let asleep = self.state.load(SeqCst) & states != 0;
        if asleep {
            self.state.store(RUNNABLE, SeqCst);
            self.woken.notify_one();
        }
        asleep
    }

    /// `schedule()`: sleeps until it is woken, unless it is not to.
    pub(crate) fn schedule(&self) {
        let mut lock = raw::lock(&self.lock);
        loop {
            let state = self.state.load(SeqCst);
            if state == RUNNABLE {
                return;
            }
            if self.has_signal_for(state) {
                self.state.store(RUNNABLE, SeqCst);
                return;
            }
            lock = self
                .woken
                .wait(lock)
                .unwrap_or_else(|poisoned| poisoned.into_inner());
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        step(|| match signal {
            Signal::Any => format!("sends a signal to {}", self.name),
            Signal::Fatal => format!("kills {}", self.name),
            Signal::Freeze => format!("freezes {}", self.name),
        });
        let states = match signal {
            Signal::Any | Signal::Freeze => TASK_INTERRUPTIBLE,
            Signal::Fatal => TASK_INTERRUPTIBLE | TASK_WAKEKILL,
        };
        let _lock = raw::lock(&self.lock);
        let bits = match signal {
            Signal::Any => 1,
            Signal::Fatal => 3,
            Signal::Freeze => 4,
        };
        self.pending.fetch_or(bits, SeqCst);
        self.wake_locked(states);
    }
}

raw::thread_local! {
    static CURRENT: RefCell<Option<Arc<Task>>> = RefCell::new(None);
}

/// The task that runs.
pub fn current() -> Arc<Task> {
    CURRENT.with(|current| {
        current
            .borrow_mut()
            .get_or_insert_with(|| Task::new("main"))
            .clone()
    })
}

fn with_task<R>(f: impl FnOnce(&Task) -> R) -> R {
    f(&current())
}

fn name() -> &'static str {
    if is_running() {
        current().name
    } else {
        "main"
    }
}

/// Forgets the task of the thread that begins a run: schedulers use one thread for many.
pub fn adopt(name: &'static str) {
    let task = Task::new(name);
    CURRENT.with(|current| *current.borrow_mut() = Some(task));
}

/// A thread that was started.
pub struct Thread<R> {
    task: Arc<Task>,
    handle: raw::thread::JoinHandle<R>,
}

impl<R> Thread<R> {
    /// Its task.
    pub fn task(&self) -> Arc<Task> {
        self.task.clone()
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// If it has panicked.
    pub fn join(self) -> R {
        match self.handle.join() {
            Ok(result) => result,
            Err(_) => panic!("{} has panicked", self.task.name),
        }
    }
}

/// Starts a thread.
pub fn spawn<R: 'static + Send>(
    name: &'static str,
    run: impl FnOnce() -> R + Send + 'static,
) -> Thread<R> {
    let task = Task::new(name);
    let own = task.clone();
    let handle = raw::thread::spawn(move || {
        CURRENT.with(|current| *current.borrow_mut() = Some(own.clone()));
        let result = run();
        let held = own.spins();
        assert!(held.is_empty(), "{name} ends with {held:?} locked");
        result
    });
    Thread { task, handle }
}

// --- rules of context ---

/// The task counts as holding a lock while this lives.
pub struct Held {
    spin: bool,
}

impl Held {
    pub(crate) fn spin(name: &'static str) -> Self {
        with_task(|task| {
            task.spins
                .lock()
                .unwrap_or_else(|p| p.into_inner())
                .push(name)
        });
        Self { spin: true }
    }

    pub(crate) fn mutex(_: &'static str) -> Self {
        Self { spin: false }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.spin {
            with_task(|task| task.spins.lock().unwrap_or_else(|p| p.into_inner()).pop());
        }
    }
}

pub(crate) fn before_spinlock(name: &'static str) {
    with_task(|task| {
        assert!(
            !task.spins().contains(&name),
            "the spin lock {name} is taken inside itself"
        );
    });
}

pub(crate) fn before_mutex(_: &'static str) {
    might_sleep();
}

#[track_caller]
pub(crate) fn might_sleep() {
    with_task(|task| {
        if let Some(lock) = task.spins().last() {
            panic!("a task may sleep under the spin lock {lock}");
        }
        assert!(
            task.nofault.load(SeqCst) == 0,
            "a task may sleep with page faults off"
        );
    });
}

/// Page faults go off (`true`) or on.
pub(crate) fn nofault(off: bool) {
    with_task(|task| {
        let change = if off { 1 } else { u32::MAX };
        task.nofault.fetch_add(change, SeqCst);
    });
}

/// The task that sleeps in a page fault, where faults last until [`release_faults`].
static HELD: Plain<Option<Option<Arc<Task>>>> = Plain::new(None);

fn held<R>(f: impl FnOnce(&mut Option<Option<Arc<Task>>>) -> R) -> R {
    f(&mut HELD.lock().unwrap_or_else(|p| p.into_inner()))
}

/// The next page fault lasts until [`release_faults`]. One task may take one.
pub fn hold_faults() {
    held(|held| *held = Some(None));
}

/// Page faults end at once again, and so does the one that lasts.
pub fn release_faults() {
    step(|| "the page is there".into());
    if let Some(task) = held(Option::take).flatten() {
        task.wake(TASK_NORMAL);
    }
}

/// A task takes a page fault.
pub(crate) fn page_fault() {
    if held(|held| held.is_none()) {
        return;
    }
    let task = current();
    task.set_state(TASK_UNINTERRUPTIBLE);
    let lasts = held(|held| {
        if let Some(sleeper) = held {
            *sleeper = Some(task.clone());
        }
        held.is_some()
    });
    if lasts {
        task.schedule();
    } else {
        task.set_state(RUNNABLE);
    }
}

/// The spin locks that the task holds.
pub fn spin_locks() -> Vec<&'static str> {
    with_task(|task| task.spins())
}
