// SPDX-License-Identifier: GPL-2.0

//! How long requests take, by operation and by part of their life, for one connection.
//!
//! Off unless its owner switches it on: then each request has a running
//! [clock](crate::fuse::request::clock), and the times of its parts are counted in powers of two.
//! Each CPU counts in its own memory, so that no cache line bounces; the reader of the table adds
//! the counters up.
//!
//! Neighbours: the channel starts the clock of a request that it sends. A transport reports that a
//! request was taken, answered or ended, and the waiter that it runs. `fstype/latency.rs` prints
//! the table.
//!
//! Locks: `switch`, a leaf that may sleep.

use crate::fuse::{
    op::Opcode,
    request::{
        clock::Part,
        Request, //
    },
};
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex,
        SetOnce, //
    },
};

/// Times below two to the power of this many nanoseconds share a class.
pub(crate) const SHORTEST: u32 = 10;

/// Times from two to the power of this many nanoseconds on share a class.
pub(crate) const LONGEST: u32 = 33;

/// Classes of times: one below each power from `SHORTEST` to `LONGEST`, and one for the rest.
pub(crate) const CLASSES: usize = (LONGEST - SHORTEST + 2) as usize;

/// Parts of a life.
const PARTS: usize = 3;

/// Operations that have their own counters, by number.
const OPCODES: usize = 64;

// All FUSE opcodes are below that; CUSE_INIT is counted as 0, which is no opcode.
const _: () = {
    let mut i = 0;
    while i < Opcode::ALL.len() {
        let number = Opcode::ALL[i] as u32;
        assert!(number < OPCODES as u32 || number == Opcode::CuseInit as u32);
        i += 1;
    }
};

/// The class of a time in nanoseconds.
fn class(nanoseconds: u64) -> usize {
    let bits = u64::BITS - nanoseconds.leading_zeros();
    (bits.saturating_sub(SHORTEST) as usize).min(CLASSES - 1)
}

/// How long one part of one operation took on one CPU.
struct Counter {
    total: Atomic<u64>,
    classes: [Atomic<u64>; CLASSES],
}

impl Counter {
    fn new() -> Self {
        Self {
            total: Atomic::new(0),
            classes: [const { Atomic::new(0) }; CLASSES],
        }
    }

    fn add(&self, nanoseconds: u64) {
        self.total.add(nanoseconds, Relaxed);
        if let Some(count) = self.classes.get(class(nanoseconds)) {
            count.add(1u64, Relaxed);
        }
    }

    fn reset(&self) {
        self.total.store(0, Relaxed);
        for count in &self.classes {
            count.store(0, Relaxed);
        }
    }
}

/// How long one part of one operation took, on all CPUs.
#[derive(Default)]
pub(crate) struct Sum {
    /// Sum in nanoseconds.
    pub(crate) total: u64,
    /// Requests in each class.
    pub(crate) classes: [u64; CLASSES],
}

impl Sum {
    /// Number of requests.
    pub(crate) fn count(&self) -> u64 {
        self.classes
            .iter()
            .fold(0, |sum, count| sum.wrapping_add(*count))
    }
}

/// The counters of one CPU; those of one operation are adjacent.
struct OneCpu(KVVec<Counter>);

impl OneCpu {
    fn new() -> Result<Self> {
        // A user may switch this on: the memory is charged to the user's memory cgroup.
        let mut counters = KVVec::with_capacity(OPCODES * PARTS, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..OPCODES * PARTS {
            counters.push(Counter::new(), GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Self(counters))
    }

    fn counter(&self, opcode: Opcode, part: Part) -> Option<&Counter> {
        let number = match opcode as usize {
            number if number < OPCODES => number,
            _ => 0,
        };
        self.0.get(number * PARTS + (part as usize - 1))
    }
}

/// The table of one connection.
#[pin_data]
pub(crate) struct Latency {
    on: Atomic<bool>,
    /// By CPU number; allocated when it is switched on for the first time.
    cpus: SetOnce<KVec<OneCpu>>,
    /// Held while it is switched.
    #[pin]
    switch: Mutex<()>,
}

impl Latency {
    /// An empty table, off.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            on: Atomic::new(false),
            cpus: SetOnce::new(),
            switch <- new_mutex!((), "FuseLatency::switch"),
        })
    }

    /// Whether the clocks of new requests run.
    #[inline(always)]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Empties the table and counts from now on. Sleeps.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn start(&self) -> Result {
        let _switch = self.switch.lock();
        if self.cpus.as_ref().is_none() {
            let mut cpus = KVec::with_capacity(nr_cpu_ids() as usize, GFP_KERNEL_ACCOUNT)?;
            for _ in 0..nr_cpu_ids() {
                cpus.push(OneCpu::new()?, GFP_KERNEL_ACCOUNT)?;
            }
            self.cpus.populate(cpus);
        }
        for counter in self
            .cpus
            .as_ref()
            .into_iter()
            .flatten()
            .flat_map(|cpu| &cpu.0)
        {
            counter.reset();
        }
        self.on.store(true, Relaxed);
        Ok(())
    }

    /// Stops the clocks of new requests; requests in flight are still counted. Sleeps.
    pub(crate) fn stop(&self) {
        let _switch = self.switch.lock();
        self.on.store(false, Relaxed);
    }

    /// The times of `part` of `opcode` so far.
    pub(crate) fn sum(&self, opcode: Opcode, part: Part) -> Sum {
        let mut sum = Sum::default();
        let cpus = self.cpus.as_ref().into_iter().flatten();
        for counter in cpus.filter_map(|cpu| cpu.counter(opcode, part)) {
            sum.total = sum.total.wrapping_add(counter.total.load(Relaxed));
            for (class, count) in sum.classes.iter_mut().zip(&counter.classes) {
                *class = class.wrapping_add(count.load(Relaxed));
            }
        }
        sum
    }

    /// `request` is queued.
    #[inline(always)]
    pub(super) fn queued(&self, request: &Request) {
        if self.is_on() {
            begin(request);
        }
    }

    /// A reader has taken `request`.
    #[inline(always)]
    pub(crate) fn taken(&self, request: &Request) {
        if request.clock().runs() {
            self.count(request, Part::Queue, Some(Part::Service));
        }
    }

    /// The answer to `request` has come.
    #[inline(always)]
    pub(crate) fn answered(&self, request: &Request) {
        if request.clock().runs() {
            self.count(request, Part::Service, None);
        }
    }

    /// `request` ends now.
    #[inline(always)]
    pub(crate) fn ending(&self, request: &Request) {
        if request.clock().runs() {
            request.clock().begin(Part::Wakeup);
        }
    }

    /// The waiter of `request` runs.
    #[inline(always)]
    pub(super) fn woken(&self, request: &Request) {
        if request.clock().runs() {
            self.count(request, Part::Wakeup, None);
        }
    }

    /// `part` of `request` ends now, and `next` begins. The choice of the CPU matters only for
    /// speed: the counters are right even if the thread migrates meanwhile.
    #[cold]
    #[inline(never)]
    fn count(&self, request: &Request, part: Part, next: Option<Part>) {
        let Some(took) = request.clock().end(part, next) else {
            return;
        };
        let cpu = CpuId::current().as_u32() as usize;
        let cpus = self.cpus.as_ref();
        if let Some(counter) = cpus
            .and_then(|cpus| cpus.get(cpu))
            .and_then(|cpu| cpu.counter(request.opcode(), part))
        {
            counter.add(took);
        }
    }
}

#[cold]
#[inline(never)]
fn begin(request: &Request) {
    request.clock().begin(Part::Queue);
}

#[kunit_tests(ferrofuse_latency)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_powers_of_two() {
        assert_eq!(class(0), 0);
        assert_eq!(class((1 << SHORTEST) - 1), 0);
        assert_eq!(class(1 << SHORTEST), 1);
        assert_eq!(class((1 << LONGEST) - 1), CLASSES - 2);
        assert_eq!(class(1 << LONGEST), CLASSES - 1);
        assert_eq!(class(u64::MAX), CLASSES - 1);
    }

    #[test]
    fn every_operation_has_its_counters() -> Result {
        let cpu = OneCpu::new()?;
        for opcode in Opcode::ALL {
            for (part, other) in [(Part::Queue, Part::Service), (Part::Service, Part::Wakeup)] {
                let one = cpu.counter(*opcode, part).ok_or(EINVAL)?;
                let two = cpu.counter(*opcode, other).ok_or(EINVAL)?;
                one.add(5);
                assert_eq!(one.classes[0].load(Relaxed), 1);
                assert!(!core::ptr::eq(one, two));
                one.reset();
                assert_eq!(one.total.load(Relaxed), 0);
            }
        }
        Ok(())
    }
}
