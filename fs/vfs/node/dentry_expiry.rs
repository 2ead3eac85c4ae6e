// SPDX-License-Identifier: GPL-2.0

//! Dentries ordered by the time at which they expire, and the worker that drops expired ones.
//!
//! Without it an expired dentry stays in the cache, and keeps its inode, until a task looks up its
//! name or memory is short. While there is a period ([`set_period`]), the file system tells when
//! each dentry expires, and the worker looks once per period.
//!
//! Locks: `EXPIRING`, around one tree of all dentries; `d_lock` is taken inside. The worker does
//! not hold it while it throws dentries out, which sleeps.
//!
//! C headers: `include/linux/rbtree.h`, `include/linux/dcache.h`.

use crate::vfs::{
    bindings,
    sync::deadline::Deadline, //
};
use core::ptr::NonNull;
use kernel::{
    container_of,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        global_lock, //
    },
    types::Opaque, //
};

/// Maximum number of dentries that one run of the worker drops.
const BATCH: usize = 64;

/// Seconds between two runs of the worker; 0 if it is off.
static PERIOD: Atomic<u32> = Atomic::new(0);

fn period() -> u32 {
    PERIOD.load(Relaxed)
}

/// Has the worker, if there is a [`Registration`], run every `seconds`; 0 turns it off. Sleeps.
pub(crate) fn set_period(seconds: u32) {
    PERIOD.store(seconds, Relaxed);
    if !READY.load(Acquire) {
        return;
    }
    if seconds != 0 {
        EXPIRING.lock().queue();
    } else {
        // SAFETY: The worker is initialised. A run that saw the old period does not queue itself
        // again after this returns.
        unsafe { bindings::cancel_delayed_work_sync(WORKER.0.get()) };
    }
}

/// The node of a dentry in the tree of those that expire.
///
/// # Invariants
///
/// `node` is in the tree, or is empty; `EXPIRING` guards it and `deadline`. Its dentry is not
/// released while it is in the tree, and when it is taken out, not freed before the RCU grace
/// period after that.
#[repr(C)]
pub(in crate::vfs) struct ExpiryNode {
    node: bindings::rb_node,
    deadline: Deadline,
    dentry: *mut bindings::dentry,
}

/// The tree of the dentries that expire.
struct Expiring {
    tree: bindings::rb_root,
    /// Whether the worker may be started.
    running: bool,
}

// SAFETY: A tree belongs to no thread.
unsafe impl Send for Expiring {}

/// Whether [`Registration::new`] has initialised `EXPIRING` and `WORKER`, which stay valid from
/// then on.
static READY: Atomic<bool> = Atomic::new(false);

/// Whether [`Registration::new`] was called.
static STARTED: Atomic<bool> = Atomic::new(false);

global_lock! {
    // SAFETY: `Registration::new` initialises it, and it is locked only when `READY` says so.
    unsafe(uninit) static EXPIRING: SpinLock<Expiring> = Expiring {
        tree: bindings::rb_root {
            rb_node: core::ptr::null_mut(),
        },
        running: false,
    };
}

/// The worker.
struct Worker(Opaque<bindings::delayed_work>);

// SAFETY: Delayed work may be used in any thread.
unsafe impl Sync for Worker {}

static WORKER: Worker = Worker(Opaque::uninit());

impl ExpiryNode {
    /// Initialises the node of `dentry`, which is in no tree.
    pub(in crate::vfs) fn init(&mut self, dentry: *mut bindings::dentry) {
        self.dentry = dentry;
        self.deadline = Deadline::PAST;
        self.clear();
    }

    fn clear(&mut self) {
        // As RB_CLEAR_NODE: its own parent.
        self.node.__rb_parent_color = &raw const self.node as usize;
    }

    fn is_empty(&self) -> bool {
        self.node.__rb_parent_color == &raw const self.node as usize
    }

    /// Takes it out of the tree.
    ///
    /// # Safety
    ///
    /// `this` must be valid, and initialised by [`Self::init`]; `expiring` is the tree that is
    /// locked.
    unsafe fn remove(this: *mut Self, expiring: &mut Expiring) {
        // SAFETY: It is valid, and guarded by the lock.
        unsafe {
            if !(*this).is_empty() {
                bindings::rb_erase(&raw mut (*this).node, &mut expiring.tree);
                (*this).clear();
            }
        }
    }

    /// Notes that the dentry expires at `deadline`. Does nothing while the worker is off.
    ///
    /// # Safety
    ///
    /// `this` must be the node of a dentry with a reference. `d_lock` must not be held.
    pub(in crate::vfs) unsafe fn set(this: *mut Self, deadline: Deadline) {
        if period() == 0 || !READY.load(Acquire) {
            // SAFETY: Valid by the safety requirement.
            let word = unsafe { &raw const (*this).node.__rb_parent_color };
            // SAFETY: A racy read of one word; writers change it under the lock.
            if unsafe { word.read_volatile() } == this as usize {
                return;
            }
        }
        let mut expiring = EXPIRING.lock();
        // SAFETY: It is valid, and locked.
        unsafe { Self::remove(this, &mut expiring) };
        if period() == 0 {
            return;
        }
        // SAFETY: It is guarded by the lock.
        unsafe { (*this).deadline = deadline };
        let mut parent: *mut bindings::rb_node = core::ptr::null_mut();
        let mut link: *mut *mut bindings::rb_node = &mut expiring.tree.rb_node;
        // SAFETY: `link` is that of the root or of a node; nodes in the tree are those of
        // `ExpiryNode`s.
        while let Some(node) = NonNull::new(unsafe { *link }) {
            parent = node.as_ptr();
            // SAFETY: As above.
            let other: *mut ExpiryNode = unsafe { container_of!(parent, ExpiryNode, node) };
            // SAFETY: As above.
            unsafe {
                link = if deadline.is_before((*other).deadline) {
                    &raw mut (*parent).rb_left
                } else {
                    &raw mut (*parent).rb_right
                };
            }
        }
        // SAFETY: The node is in no tree, and `link` is the place below its parent, or the root,
        // where it belongs.
        unsafe {
            bindings::rb_link_node(&raw mut (*this).node, parent, link);
            bindings::rb_insert_color(&raw mut (*this).node, &mut expiring.tree);
        }
    }

    /// Takes a dentry that is being released out of the tree.
    ///
    /// # Safety
    ///
    /// `this` must be the node of a dentry that is being released.
    pub(in crate::vfs) unsafe fn release(this: *mut Self) {
        // SAFETY: A dentry that is being released is not put into the tree again. The worker may
        // remove it at the same time, and read the dentry after that: it does so in an RCU
        // read-side critical section, and the memory released here is freed a grace period later.
        if unsafe { (&raw const (*this).node.__rb_parent_color).read_volatile() } != this as usize {
            let mut expiring = EXPIRING.lock();
            // SAFETY: It is valid, and locked.
            unsafe { Self::remove(this, &mut expiring) };
        }
    }
}

impl Expiring {
    /// Starts the worker, unless it is off.
    fn queue(&self) {
        let period = period();
        if self.running && period != 0 {
            // SAFETY: The worker is initialised before it runs, and is cancelled before the module
            // is unloaded. The queue is made at boot.
            unsafe {
                bindings::queue_delayed_work_on(
                    bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                    bindings::system_percpu_wq,
                    WORKER.0.get(),
                    bindings::secs_to_jiffies(period),
                )
            };
        }
    }

    /// Takes the first dentry out if it has expired, and puts it on `dispose` if it is unused.
    ///
    /// # Safety
    ///
    /// `dispose` must be an initialised list that only the caller uses.
    unsafe fn take(&mut self, dispose: *mut bindings::list_head) -> bool {
        // SAFETY: The tree is valid, and locked.
        let Some(node) = NonNull::new(unsafe { bindings::rb_first(&self.tree) }) else {
            return false;
        };
        let node = node.as_ptr();
        // SAFETY: Nodes in the tree are those of `ExpiryNode`s.
        let place: *mut ExpiryNode = unsafe { container_of!(node, ExpiryNode, node) };
        // SAFETY: It is in the tree, which is locked.
        unsafe {
            if !(*place).deadline.has_passed() {
                return false;
            }
            ExpiryNode::remove(place, self);
            // It was in the tree, so it was not released before the lock was taken. The lock is an
            // RCU read-side critical section, so it is not freed before the unlock. One that is
            // released meanwhile is dead, and `d_expire` does not put it on the list.
            bindings::d_expire((*place).dentry, dispose);
        }
        true
    }
}

/// # Safety
///
/// Called by a worker, with `WORKER`.
unsafe extern "C" fn run(_work: *mut bindings::work_struct) {
    let mut dispose = bindings::list_head::default();
    let dispose = &raw mut dispose;
    loop {
        // SAFETY: The list is local, and does not move.
        unsafe {
            (*dispose).next = dispose;
            (*dispose).prev = dispose;
        }
        let mut taken = 0;
        {
            let mut expiring = EXPIRING.lock();
            // SAFETY: The list is initialised.
            while taken < BATCH && unsafe { expiring.take(dispose) } {
                taken += 1;
            }
        }
        // SAFETY: The list has dentries from `__move_to_shrink_list` only. May sleep here.
        unsafe { bindings::shrink_dentry_list(dispose) };
        if taken < BATCH {
            break;
        }
    }
    EXPIRING.lock().queue();
}

/// Whether the worker drops expired dentries; otherwise they stay until a task looks up their
/// names.
pub(crate) fn is_wanted() -> bool {
    period() != 0
}

/// Permission for the worker to run; dropping it stops the worker.
pub(crate) struct Registration(());

impl Registration {
    /// Sets up tree and worker, once in the life of the module. Dentries whose deadline was set
    /// before are not dropped by it.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was done before.
    pub(crate) fn new() -> Result<Self> {
        if STARTED.xchg(true, Full) {
            return Err(EBUSY);
        }
        let work = WORKER.0.get();
        // SAFETY: This runs once, and the statics are not used before `READY` is set; they live as
        // long as the module, and the work is cancelled before that is unloaded.
        unsafe {
            EXPIRING.init();
            bindings::init_work_with_key(
                &raw mut (*work).work,
                Some(run),
                false,
                c"dentry_expiry::WORKER".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
            bindings::timer_init_key(
                &raw mut (*work).timer,
                Some(bindings::delayed_work_timer_fn),
                bindings::TIMER_IRQSAFE,
                c"dentry_expiry::timer".as_char_ptr(),
                static_lock_class!().as_ptr(),
            );
        }
        READY.store(true, Release);
        let mut expiring = EXPIRING.lock();
        expiring.running = true;
        expiring.queue();
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // It may be dropped at any time: without the worker no expired dentry is dropped early.
        EXPIRING.lock().running = false;
        // SAFETY: It was initialised, and cannot be queued any more.
        unsafe { bindings::cancel_delayed_work_sync(WORKER.0.get()) };
    }
}
