// SPDX-License-Identifier: GPL-2.0

//! Runs each test in a process, a pid namespace and a mount namespace of its own, and prints TAP.
//!
//! A test that fails by panic leaves its mounts, its callers and its device to the end of its namespaces: the first
//! process of a pid namespace takes all others with it, and the last descriptor of a device aborts the connection.
//! A test that hangs is ended by a forced unmount from outside, then by SIGKILL.

use crate::mockd::sys;
use crate::mockd::PLACE;
use std::cell::RefCell;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::time::Instant;

/// One test: its name, and what runs.
pub struct Test {
    pub name: &'static str,
    pub run: fn(),
}

/// The table of a file: the functions that are its tests. One that is not listed does not compile (dead code).
#[macro_export]
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        pub const TESTS: &[$crate::harness::Test] = &[$(
            $crate::harness::Test { name: concat!(module_path!(), "::", stringify!($name)), run: $name }
        ),*];
    };
}

/// What a test says to be skipped: the payload of its panic.
struct Skip(String);

/// Ends the test as skipped, because this kernel cannot run it.
pub fn skip(why: impl Into<String>) -> ! {
    std::panic::panic_any(Skip(why.into()))
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Message and place of the last panic.
pub fn last_panic() -> String {
    LAST_PANIC.with_borrow(Clone::clone)
}

fn note_panic(info: &std::panic::PanicHookInfo<'_>) {
    let p = info.payload();
    let text = p
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| p.downcast_ref::<&str>().map(|s| (*s).to_string()));
    let place = info
        .location()
        .map(|l| format!("{}:{}", l.file(), l.line()))
        .unwrap_or_default();
    LAST_PANIC.set(format!("{place}: {}", text.unwrap_or_default()));
}

/// How a test ended.
pub enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Runs one test.
pub fn run(test: &Test, timeout_ms: i64) -> Outcome {
    let (hear, say) = sys::pipe();
    let start = Instant::now();
    // SAFETY: this process has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {:?}", sys::errno());
    if pid == 0 {
        drop(hear);
        in_namespaces(test, &say);
    }
    drop(say);
    let mut said = Vec::new();
    let failure = loop {
        let left = timeout_ms - start.elapsed().as_millis() as i64;
        if left <= 0 || sys::poll(hear.as_raw_fd(), libc::POLLIN, left) == 0 {
            break Some("timed out");
        }
        match sys::read(hear.as_raw_fd(), 4096) {
            Ok(b) if !b.is_empty() => said.extend(b),
            // All writers are gone: the test has ended, and so must its processes.
            _ => break (!reap_within(pid, timeout_ms)).then_some("ended, but its processes stay"),
        }
    };
    if let Some(why) = failure {
        abort_mounts(pid);
        sys::kill(pid, libc::SIGKILL);
        reap(pid);
        let after = start.elapsed().as_millis();
        return Outcome::Failed(format!("{why} after {after} ms; it said: {}", text(&said)));
    }
    let text = text(&said);
    match said.first() {
        Some(b'k') => Outcome::Passed,
        Some(b's') => Outcome::Skipped(text),
        Some(_) => Outcome::Failed(text),
        None => Outcome::Failed("the test died without a word".into()),
    }
}

/// What a test has said, without the letter that says how it ended.
fn text(said: &[u8]) -> String {
    String::from_utf8_lossy(said.get(1..).unwrap_or_default()).into_owned()
}

fn reap(pid: i32) {
    // SAFETY: the child is ours; no memory involved.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

fn reap_within(pid: i32, ms: i64) -> bool {
    let fd = sys::pidfd(pid);
    if sys::poll(fd.as_raw_fd(), libc::POLLIN, ms) == 0 {
        return false;
    }
    reap(pid);
    true
}

/// Aborts every FUSE connection of a test that hangs: a process in its mount namespace unmounts all by force.
fn abort_mounts(of: i32) {
    let Ok(ns) = sys::open(&format!("/proc/{of}/ns/mnt"), libc::O_RDONLY) else {
        return;
    };
    // SAFETY: this process has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: no memory involved.
        unsafe { libc::setns(ns, libc::CLONE_NEWNS) };
        for i in (0..64).rev() {
            let _ = sys::umount(&format!("{PLACE}/m{i}"), libc::MNT_FORCE);
        }
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    let _ = sys::close(ns);
    reap_within(pid, 2000);
}

/// The first child: makes the namespaces, and forks the test as first process of the new pid namespace.
fn in_namespaces(test: &Test, say: &OwnedFd) -> ! {
    sys::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID).expect("unshare");
    // SAFETY: this process has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {:?}", sys::errno());
    if pid == 0 {
        // SAFETY: no memory involved; the test dies with its parent.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        run_here(test, say);
    }
    reap(pid);
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) };
}

/// The second child: the test itself.
fn run_here(test: &Test, say: &OwnedFd) -> ! {
    sys::default_signals();
    sys::mount("none", "/", "none", libc::MS_REC | libc::MS_PRIVATE, "").expect("private mounts");
    sys::mount("proc", "/proc", "proc", 0, "").expect("proc");
    sys::mount("tmpfs", PLACE, "tmpfs", 0, "mode=755").expect("tmpfs");
    std::panic::set_hook(Box::new(note_panic));
    let message = match std::panic::catch_unwind(test.run) {
        Ok(()) => "k".to_string(),
        Err(p) => match p.downcast_ref::<Skip>() {
            Some(Skip(why)) => format!("s{why}"),
            None => format!("f{}", last_panic()),
        },
    };
    let _ = sys::write(say.as_raw_fd(), message.as_bytes());
    // SAFETY: ends the process, and with it every other of the pid namespace.
    unsafe { libc::_exit(0) };
}
