// SPDX-License-Identifier: GPL-2.0

//! A check that runs periodically in a worker, until it returns that it is done; or once, whenever
//! it is triggered.
//!
//! `kernel::workqueue` has delayed work but cannot cancel it.

use crate::vfs::bindings;
use kernel::{
    container_of,
    prelude::*,
    static_lock_class,
    sync::atomic::{
        Atomic,
        Full,
        Relaxed, //
    },
    time::Jiffies,
    types::Opaque, //
};

/// The check.
pub(crate) trait Check: Send + Sync + 'static {
    /// Checks; returns whether to check again. Runs in a worker, one call at a time. May sleep.
    /// Must not drop or stop its [`Watchdog`], which waits for it.
    fn check(&self) -> bool;
}

/// Runs the check `C` once in a period, or when it is triggered. Dropping it ends this, and waits
/// for a running check.
///
/// # Invariants
///
/// `work` is initialised with `run` of this type, and only this queues it. If `stopped`, it is
/// disabled: it neither runs nor can be queued.
#[pin_data(PinnedDrop)]
pub(crate) struct Watchdog<C: Check> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    check: C,
    period: Jiffies,
    stopped: Atomic<bool>,
}

// SAFETY: Delayed work may be used in any thread, and so may a `C`.
unsafe impl<C: Check> Send for Watchdog<C> {}
// SAFETY: As above.
unsafe impl<C: Check> Sync for Watchdog<C> {}

impl<C: Check> Watchdog<C> {
    /// The first check is after one period.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn start(check: C, period: Jiffies) -> Result<Pin<KBox<Self>>> {
        let this = Self::new(check, period)?;
        this.queue(period);
        Ok(this)
    }

    /// Checks when it is triggered, and then once in a period, until `C` is done.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn idle(check: C, period: Jiffies) -> Result<Pin<KBox<Self>>> {
        Self::new(check, period)
    }

    fn new(check: C, period: Jiffies) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            // INVARIANT: It is initialised here.
            pin_init!(Self {
                work <- Opaque::ffi_init(|work: *mut bindings::delayed_work| {
                    // SAFETY: The work is pinned, and is disabled before it is dropped. The timer
                    // is that of delayed work.
                    unsafe {
                        bindings::init_work_with_key(
                            &raw mut (*work).work,
                            Some(Self::run),
                            false,
                            c"Watchdog::work".as_char_ptr(),
                            static_lock_class!().as_ptr(),
                        );
                        bindings::timer_init_key(
                            &raw mut (*work).timer,
                            Some(bindings::delayed_work_timer_fn),
                            bindings::TIMER_IRQSAFE,
                            c"Watchdog::timer".as_char_ptr(),
                            static_lock_class!().as_ptr(),
                        );
                    }
                }),
                check,
                period,
                stopped: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Has a worker check soon, unless one is about to, or the watchdog was stopped.
    pub(crate) fn look(&self) {
        self.queue(0);
    }

    /// As [`Self::look`], after one period.
    pub(crate) fn look_later(&self) {
        self.queue(self.period);
    }

    /// The check.
    pub(crate) fn check(&self) -> &C {
        &self.check
    }

    fn queue(&self, delay: Jiffies) {
        // SAFETY: The queue is made at boot. The work is initialised, and is disabled before it is
        // dropped: then this does nothing.
        unsafe {
            bindings::queue_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                bindings::system_percpu_wq,
                self.work.get(),
                delay,
            )
        };
    }

    /// Ends it for good; a running check has ended when this returns. Sleeps.
    pub(crate) fn stop(&self) {
        // SAFETY: The work is initialised.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
        // INVARIANT: It is disabled, and stays so.
        self.stopped.xchg(true, Full);
    }

    /// # Safety
    ///
    /// Called by a worker with the work of a `Watchdog<C>`.
    unsafe extern "C" fn run(work: *mut bindings::work_struct) {
        // SAFETY: The work is part of delayed work, which is the field of a `Watchdog<C>`. The drop
        // of that disables the work, if it was not stopped before, and either waits for this call.
        let this = unsafe {
            let work = container_of!(work, bindings::delayed_work, work);
            let work: *mut Opaque<bindings::delayed_work> = work.cast();
            &*container_of!(work, Self, work)
        };
        if this.check.check() {
            this.queue(this.period);
        }
    }
}

#[pinned_drop]
impl<C: Check> PinnedDrop for Watchdog<C> {
    fn drop(self: Pin<&mut Self>) {
        // One that was stopped may be dropped in a context that must not sleep.
        if !self.stopped.load(Relaxed) {
            self.stop();
        }
    }
}

#[kunit_tests(vfs_watchdog)]
mod tests {
    use crate::vfs::sync::watchdog::*;
    use kernel::{
        sync::Arc,
        time::{
            delay::fsleep,
            Delta, //
        },
    };

    /// Counts the checks.
    struct Looks(Arc<Atomic<u32>>);

    impl Check for Looks {
        fn check(&self) -> bool {
            self.0.add(1, Relaxed);
            false
        }
    }

    #[test]
    fn stopped_for_good() -> Result {
        let looks = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let watchdog = Watchdog::idle(Looks(looks.clone()), 0)?;
        watchdog.look();
        while looks.load(Relaxed) == 0 {
            fsleep(Delta::from_millis(1));
        }
        watchdog.stop();
        watchdog.look();
        fsleep(Delta::from_millis(20));
        assert_eq!(looks.load(Relaxed), 1);
        Ok(())
    }
}
