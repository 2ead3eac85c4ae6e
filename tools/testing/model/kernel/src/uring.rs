// SPDX-License-Identifier: GPL-2.0

//! io_uring, as far as commands to files need it: a ring, its lock, and what its task has to do.
//!
//! A command lives from [`Ring::submit`] to its end, when its memory is poisoned: to end it twice, or
//! to touch it after, fails the run. The ring's lock is held where io_uring holds it.

use crate::{
    error::code::EIOCBQUEUED,
    rt::{
        self,
        raw, //
    },
};
use core::{
    ffi::{
        c_int,
        c_void, //
    },
    ptr::NonNull,
};
use std::{
    alloc::Layout,
    collections::VecDeque,
    sync::{
        Arc,
        Mutex as Plain, //
    },
};

/// Bytes of a command in an entry of 128 bytes.
const COMMAND_LEN: usize = 80;

pub const IO_URING_F_SQE128: u32 = 1 << 8;
pub const IO_URING_F_CANCEL: u32 = 1 << 11;
pub const IO_URING_F_COMPLETE_DEFER: u32 = 1 << 0;

/// A command.
#[repr(C)]
pub struct io_uring_cmd {
    pub cmd_op: u32,
    /// The file's private bytes.
    pub pdu: [u64; 4],
    ring: *const Ring,
    bytes: [u8; COMMAND_LEN],
    vectors: [(usize, usize); 2],
    user_data: usize,
}

/// What a task is to do for a command.
#[repr(transparent)]
pub struct io_tw_req(*mut io_uring_cmd);

/// In which way it does it.
#[repr(C)]
pub struct io_tw_token_t {
    pub cancel: bool,
}

type Work = unsafe extern "C" fn(io_tw_req, io_tw_token_t);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct iovec {
    pub iov_base: *mut c_void,
    pub iov_len: usize,
}

impl Default for iovec {
    fn default() -> Self {
        Self {
            iov_base: core::ptr::null_mut(),
            iov_len: 0,
        }
    }
}

/// What a server submits.
pub struct Submission {
    pub number: u32,
    pub bytes: [u8; COMMAND_LEN],
    /// Stretches of memory that it names, by address and length.
    pub vectors: [(usize, usize); 2],
    pub user_data: usize,
}

/// How a command ended.
pub struct Completion {
    pub user_data: usize,
    pub code: i32,
}

#[derive(Default)]
struct State {
    /// Commands that have not ended, by address; and those that may be cancelled.
    open: Vec<usize>,
    cancelable: Vec<usize>,
    works: VecDeque<(usize, Work)>,
    completions: VecDeque<Completion>,
}

/// A ring of one task.
pub struct Ring {
    /// `uring_lock`, under which files are called.
    calls: raw::Mutex<()>,
    lock: raw::Mutex<()>,
    news: raw::Condvar,
    /// Accessed under `lock`.
    state: Plain<State>,
}

impl Ring {
    /// A ring that has nothing to do.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            calls: raw::Mutex::new(()),
            lock: raw::Mutex::new(()),
            news: raw::Condvar::new(),
            state: Plain::default(),
        })
    }

    fn plain<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock().unwrap_or_else(|p| p.into_inner()))
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let _lock = raw::lock(&self.lock);
        self.plain(f)
    }

    /// Submits a command: `issue` is the file's.
    pub fn submit(
        self: &Arc<Self>,
        submission: Submission,
        issue: impl FnOnce(NonNull<io_uring_cmd>, u32) -> c_int,
    ) {
        let layout = Layout::new::<io_uring_cmd>();
        // SAFETY: The layout is not empty.
        let memory = unsafe { std::alloc::alloc(layout) };
        rt::allocated(memory, layout);
        let Some(cmd) = NonNull::new(memory.cast::<io_uring_cmd>()) else {
            unreachable!("memory is never short");
        };
        // SAFETY: It is memory for a command.
        unsafe {
            cmd.write(io_uring_cmd {
                cmd_op: submission.number,
                pdu: [0; 4],
                ring: Arc::as_ptr(self),
                bytes: submission.bytes,
                vectors: submission.vectors,
                user_data: submission.user_data,
            });
        }
        rt::might_sleep();
        let _calls = raw::lock(&self.calls);
        self.with(|state| state.open.push(cmd.as_ptr().expose_provenance()));
        let code = issue(cmd, IO_URING_F_SQE128);
        if code != EIOCBQUEUED.to_errno() {
            // SAFETY: The file has not kept it.
            unsafe { __io_uring_cmd_done(cmd.as_ptr(), code, 0, 0, false) };
        }
    }

    /// Does what is to be done in its task, if there is something.
    fn work(&self, cancel: bool) {
        loop {
            if self.with(|state| state.works.is_empty()) {
                return;
            }
            rt::might_sleep();
            let _calls = raw::lock(&self.calls);
            let Some((cmd, run)) = self.with(|state| state.works.pop_front()) else {
                return;
            };
            let cmd = core::ptr::with_exposed_provenance_mut(cmd);
            // SAFETY: It was sent with this function, once.
            unsafe { run(io_tw_req(cmd), io_tw_token_t { cancel }) };
        }
    }

    /// Sleeps until `find` finds something, or there is work; its task does that.
    fn wait_for<R>(&self, cancel: bool, mut find: impl FnMut(&mut State) -> Option<R>) -> R {
        loop {
            self.work(cancel);
            rt::might_sleep();
            let mut lock = raw::lock(&self.lock);
            loop {
                if let Some(found) = self.plain(&mut find) {
                    return found;
                }
                if self.plain(|state| !state.works.is_empty()) {
                    break;
                }
                lock = self
                    .news
                    .wait(lock)
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
    }

    /// Waits for the next command that ends.
    pub fn wait(&self) -> Completion {
        self.wait_for(false, |state| state.completions.pop_front())
    }

    /// The task of the ring goes: cancels what can be cancelled, by `cancel` of the file, and waits
    /// until every command has ended.
    pub fn close(&self, cancel: impl Fn(NonNull<io_uring_cmd>, u32)) {
        rt::step(|| "its ring ends".into());
        {
            rt::might_sleep();
            let _calls = raw::lock(&self.calls);
            let waiting = self.with(|state| state.cancelable.clone());
            for address in waiting {
                let listed = self.with(|state| state.cancelable.contains(&address));
                let cmd = NonNull::new(core::ptr::with_exposed_provenance_mut(address));
                if let Some(cmd) = cmd.filter(|_| listed) {
                    cancel(cmd, IO_URING_F_CANCEL);
                }
            }
        }
        self.wait_for(true, |state| state.open.is_empty().then_some(()));
    }
}

pub unsafe fn io_uring_cmd_ring(cmd: *mut io_uring_cmd) -> *mut c_void {
    // SAFETY: The command is valid.
    unsafe { (*cmd).ring.cast_mut().cast() }
}

pub unsafe fn io_uring_cmd_bytes(cmd: *mut io_uring_cmd, bytes: *mut u8) {
    // SAFETY: The command is valid, and there is room for so many bytes.
    unsafe { bytes.copy_from_nonoverlapping((*cmd).bytes.as_ptr(), COMMAND_LEN) };
}

pub unsafe fn io_uring_cmd_fixed_index(_cmd: *mut io_uring_cmd) -> c_int {
    -1
}

pub unsafe fn io_uring_cmd_two_vectors(cmd: *mut io_uring_cmd, vectors: *mut iovec) -> c_int {
    // SAFETY: The command is valid, and there is room for two.
    unsafe {
        for (at, (address, len)) in (*cmd).vectors.into_iter().enumerate() {
            *vectors.add(at) = iovec {
                iov_base: core::ptr::with_exposed_provenance_mut(address),
                iov_len: len,
            };
        }
    }
    0
}

pub unsafe fn io_uring_cmd_mark_cancelable(cmd: *mut io_uring_cmd, _flags: u32) {
    // SAFETY: The command is valid, and its ring outlives it.
    unsafe { (*(*cmd).ring).with(|state| state.cancelable.push(cmd.expose_provenance())) };
}

pub unsafe fn __io_uring_cmd_done(
    cmd: *mut io_uring_cmd,
    code: c_int,
    _res2: u64,
    _flags: u32,
    _is_cqe32: bool,
) {
    let address = cmd.expose_provenance();
    // SAFETY: The command is valid, for the last time; its ring outlives it.
    unsafe {
        let (ring, user_data) = (&*(*cmd).ring, (*cmd).user_data);
        rt::step(|| {
            format!(
                "command {user_data} ends: {}",
                crate::error::code::name(code)
            )
        });
        ring.with(|state| {
            let open = state.open.iter().position(|open| *open == address);
            assert!(open.is_some(), "a command ends twice");
            state.open.retain(|open| *open != address);
            state.cancelable.retain(|waiting| *waiting != address);
            state.completions.push_back(Completion { user_data, code });
        });
        ring.news.notify_all();
        rt::freed(cmd.cast());
    }
}

pub unsafe fn __io_uring_cmd_do_in_task(cmd: *mut io_uring_cmd, run: Option<Work>, _flags: u32) {
    let Some(run) = run else { return };
    // SAFETY: The command is valid; its ring outlives it.
    let ring = unsafe { &*(*cmd).ring };
    ring.with(|state| state.works.push_back((cmd.expose_provenance(), run)));
    ring.news.notify_all();
}

pub unsafe fn io_uring_cmd_of_work(req: io_tw_req) -> *mut io_uring_cmd {
    req.0
}
