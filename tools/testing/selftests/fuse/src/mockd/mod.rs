// SPDX-License-Identifier: GPL-2.0

//! A mock FUSE server on the raw device, and processes that call into its mount.
//!
//! The test is the server: it runs in one thread, reads one request at a time
//! and says what it must be. Nothing is answered by itself, and a request that
//! the test does not expect fails it, at once or when the mount goes away. File
//! system calls run in forked processes ([`Caller`]), so that they can block, be
//! signalled and die while the test looks on.

pub mod bytes;
pub mod caller;
pub mod cgroup;
pub mod crowd;
pub mod device;
pub mod fs;
pub mod lock;
pub mod log;
pub mod model;
pub mod random;
pub mod ring;
pub mod setting;
pub mod sys;
pub mod uring;
pub mod wire;

pub use bytes::*;
pub use caller::*;
pub use cgroup::*;
pub use device::*;
pub use fs::*;
pub use lock::*;
pub use log::*;
pub use model::*;
pub use random::*;
pub use ring::*;
pub use setting::*;
pub use sys::*;
pub use uring::*;
pub use wire::*;

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

static SLOWNESS: AtomicU64 = AtomicU64::new(1);

/// Makes every timeout `factor` times as long, for slow kernels.
pub fn set_slowness(factor: u64) {
    SLOWNESS.store(factor.max(1), Ordering::Relaxed);
}

/// Whether the kernel checks everything that it does, and takes its time.
pub fn kernel_checks_everything() -> bool {
    std::path::Path::new("/proc/lockdep_stats").exists()
}

static RUST: AtomicBool = AtomicBool::new(false);

/// Says whether the Rust module is loaded, or else the C module.
pub fn set_rust(rust: bool) {
    RUST.store(rust, Ordering::Relaxed);
}

/// Whether the Rust module is loaded: for the laws that the C module is known to be too weak for, each of which says so.
pub fn is_rust() -> bool {
    RUST.load(Ordering::Relaxed)
}

/// Ends the test as skipped on the C module, which does not have this.
pub fn skip_without_rust(what: &str) {
    if !is_rust() {
        crate::harness::skip(format!("the C module does not have {what}"));
    }
}

static STRESS: AtomicU64 = AtomicU64::new(0);

/// Sets how many seconds the stress test takes.
pub fn set_stress(seconds: u64) {
    STRESS.store(seconds, Ordering::Relaxed);
}

/// Seconds that the stress test takes.
pub fn stress() -> u64 {
    STRESS.load(Ordering::Relaxed)
}

/// Milliseconds, stretched for slow kernels.
pub fn ms(n: i64) -> i64 {
    n * SLOWNESS.load(Ordering::Relaxed) as i64
}

/// Ends the test as skipped on the C module, which has this bug.
pub fn skip_on_c(bug: &str) {
    if !is_rust() {
        crate::harness::skip(format!("a bug of the C module: {bug}"));
    }
}

/// How long to wait for what must happen; only a failing test waits as long.
pub fn patience() -> i64 {
    ms(8_000)
}

/// Waits until it has happened, `ms` milliseconds at most.
#[track_caller]
pub fn soon(ms: i64, what: &str, mut happened: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !happened() {
        assert!((start.elapsed().as_millis() as i64) < ms, "{what}");
        sleep_ms(5);
    }
}
