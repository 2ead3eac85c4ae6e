// SPDX-License-Identifier: GPL-2.0

//! The functions of C that the engine calls, as `kernel/sched/wait.c` and the others say.
#![allow(non_camel_case_types, clippy::missing_safety_doc)]

use crate::{
    fs,
    rt::{
        self,
        raw,
        Task, //
    },
    sync::LockClassKey,
};
use core::{
    ffi::{
        c_char,
        c_int,
        c_long,
        c_void,
        CStr, //
    },
    mem::ManuallyDrop,
    ptr::null_mut,
};
use std::{
    alloc::Layout,
    sync::Arc, //
};

pub use crate::rt::{
    TASK_FREEZABLE,
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_NORMAL,
    TASK_UNINTERRUPTIBLE, //
};

pub use crate::uring::{
    __io_uring_cmd_do_in_task,
    __io_uring_cmd_done,
    io_tw_req,
    io_tw_token_t,
    io_uring_cmd,
    io_uring_cmd_bytes,
    io_uring_cmd_fixed_index,
    io_uring_cmd_mark_cancelable,
    io_uring_cmd_of_work,
    io_uring_cmd_ring,
    io_uring_cmd_two_vectors,
    iovec,
    IO_URING_F_CANCEL,
    IO_URING_F_COMPLETE_DEFER,
    IO_URING_F_SQE128, //
};

pub const GFP_KERNEL: u32 = 0;
pub const WQ_FLAG_EXCLUSIVE: u32 = 1;
pub const SIGIO: u32 = 29;
pub const POLL_IN: u32 = 1;
const ERESTARTSYS: c_long = 512;

// --- wait queues ---

/// Entries are linked in both directions; nothing of a queue needs to be given back.
pub struct wait_queue_head {
    name: &'static str,
    lock: ManuallyDrop<raw::Mutex<()>>,
    /// Whether an entry is listed, for who looks without the lock.
    active: ManuallyDrop<raw::AtomicU64>,
    first: *mut wait_queue_entry,
    last: *mut wait_queue_entry,
}

pub struct wait_queue_entry {
    flags: u32,
    task: *const Task,
    listed: bool,
    next: *mut wait_queue_entry,
    prev: *mut wait_queue_entry,
}

pub unsafe fn __init_waitqueue_head(
    head: *mut wait_queue_head,
    name: *const c_char,
    _key: *const LockClassKey,
) {
    // SAFETY: The name is a literal, and `head` memory for a queue.
    unsafe {
        head.write(wait_queue_head {
            name: CStr::from_ptr::<'static>(name).to_str().unwrap_or("?"),
            lock: ManuallyDrop::new(raw::Mutex::new(())),
            active: ManuallyDrop::new(raw::AtomicU64::new(0)),
            first: null_mut(),
            last: null_mut(),
        });
    }
}

impl wait_queue_head {
    unsafe fn add(&mut self, entry: *mut wait_queue_entry) {
        // SAFETY: The lock is held, and all entries that are listed are alive.
        unsafe {
            let tail = (*entry).flags & WQ_FLAG_EXCLUSIVE != 0;
            (*entry).listed = true;
            (*entry).next = if tail { null_mut() } else { self.first };
            (*entry).prev = if tail { self.last } else { null_mut() };
            match (*entry).prev.as_mut() {
                Some(prev) => prev.next = entry,
                None => self.first = entry,
            }
            match (*entry).next.as_mut() {
                Some(next) => next.prev = entry,
                None => self.last = entry,
            }
        }
        self.active.store(1, raw::Ordering::Relaxed);
    }

    unsafe fn del(&mut self, entry: *mut wait_queue_entry) {
        // SAFETY: As above.
        unsafe {
            if !(*entry).listed {
                return;
            }
            (*entry).listed = false;
            match (*entry).prev.as_mut() {
                Some(prev) => prev.next = (*entry).next,
                None => self.first = (*entry).next,
            }
            match (*entry).next.as_mut() {
                Some(next) => next.prev = (*entry).prev,
                None => self.last = (*entry).prev,
            }
        }
        if self.first.is_null() {
            self.active.store(0, raw::Ordering::Relaxed);
        }
    }
}

pub unsafe fn init_wait_entry(entry: *mut wait_queue_entry, flags: c_int) {
    // SAFETY: Memory for an entry.
    unsafe {
        entry.write(wait_queue_entry {
            flags: flags as u32,
            task: Arc::as_ptr(&rt::current()),
            listed: false,
            next: null_mut(),
            prev: null_mut(),
        });
    }
}

pub unsafe fn prepare_to_wait_event(
    head: *mut wait_queue_head,
    entry: *mut wait_queue_entry,
    state: c_int,
) -> c_long {
    let task = rt::current();
    // SAFETY: The queue is initialised; what is behind the lock is accessed under it.
    unsafe {
        let _lock = raw::lock(&(*head).lock);
        if task.signal_pending(state as u32) {
            // Who wakes from now on does not see it and wakes another.
            (*head).del(entry);
            return -ERESTARTSYS;
        }
        if !(*entry).listed {
            (*head).add(entry);
        }
        task.set_state(state as u32);
    }
    0
}

pub unsafe fn current_is_killed() -> bool {
    false
}

pub unsafe fn current_is_to_stop() -> bool {
    rt::current().is_to_stop()
}

pub unsafe fn restart_syscall() {}

pub unsafe fn schedule() {
    rt::current().schedule();
}

pub unsafe fn finish_wait(head: *mut wait_queue_head, entry: *mut wait_queue_entry) {
    rt::current().set_state(rt::RUNNABLE);
    // SAFETY: As above. Only a waker takes it off meanwhile, under the lock.
    unsafe {
        let _lock = raw::lock(&(*head).lock);
        (*head).del(entry);
    }
}

pub unsafe fn __wake_up(
    head: *mut wait_queue_head,
    states: u32,
    mut exclusive: c_int,
    _key: *mut c_void,
) {
    // SAFETY: The queue is initialised, and its entries are alive while the lock is held.
    unsafe {
        // Waiters of these look at what the ender wrote, and free it.
        if (*head).name == "FuseRequest::ended" {
            let held = rt::spin_locks();
            assert!(held.is_empty(), "a waiter is woken under {held:?}");
        }
        let _lock = raw::lock(&(*head).lock);
        let mut next = (*head).first;
        while let Some(entry) = next.as_mut() {
            next = entry.next;
            if !(*entry.task).wake(states) {
                continue;
            }
            (*head).del(entry);
            if entry.flags & WQ_FLAG_EXCLUSIVE != 0 {
                exclusive -= 1;
                if exclusive == 0 {
                    break;
                }
            }
        }
    }
}

pub unsafe fn __wake_up_sync(head: *mut wait_queue_head, states: u32) {
    // SAFETY: As above.
    unsafe { __wake_up(head, states, 1, null_mut()) };
}

pub unsafe fn wq_has_sleeper(head: *mut wait_queue_head) -> bool {
    rt::full_barrier();
    // SAFETY: As above.
    unsafe { (*head).active.load(raw::Ordering::Relaxed) != 0 }
}

pub unsafe fn schedule_timeout_uninterruptible(_timeout: c_long) -> c_long {
    rt::might_sleep();
    raw::thread::yield_now();
    0
}

// --- slabs ---

/// A slab.
pub struct kmem_cache(Layout);

pub unsafe fn slab_create(
    _name: *const c_char,
    size: u32,
    align: u32,
    _at_hand: u32,
) -> *mut kmem_cache {
    let Ok(layout) = Layout::from_size_align(size as usize, align as usize) else {
        return null_mut();
    };
    Box::into_raw(Box::new(kmem_cache(layout)))
}

pub unsafe fn kmem_cache_destroy(slab: *mut kmem_cache) {
    if !slab.is_null() {
        // SAFETY: It was made above.
        drop(unsafe { Box::from_raw(slab) });
    }
}

pub unsafe fn kmem_cache_alloc_noprof(slab: *mut kmem_cache, _flags: u32) -> *mut c_void {
    rt::might_sleep();
    // SAFETY: The slab is alive, and its objects are not empty.
    unsafe {
        let layout = (*slab).0;
        let memory = std::alloc::alloc(layout);
        rt::allocated(memory, layout);
        memory.cast()
    }
}

pub unsafe fn kfree(memory: *mut c_void) {
    rt::freed(memory.cast());
}

// --- clocks: a jiffy is a millisecond ---

pub struct timespec64 {
    pub tv_sec: i64,
    pub tv_nsec: c_long,
}

pub unsafe fn ktime_get() -> i64 {
    rt::now() as i64 * 1_000_000
}

pub unsafe fn get_jiffies_64() -> u64 {
    rt::now()
}

pub unsafe fn jiffies64_to_msecs(jiffies: u64) -> u64 {
    jiffies
}

pub unsafe fn timespec64_to_jiffies(span: *const timespec64) -> usize {
    // SAFETY: The caller's.
    let span = unsafe { &*span };
    let max = (usize::MAX >> 1) - 1;
    usize::try_from(span.tv_sec)
        .ok()
        .and_then(|secs| secs.checked_mul(1000))
        .map_or(max, |jiffies| jiffies.min(max))
}

// --- SIGIO: nobody wants it ---

pub struct fasync_struct;

pub unsafe fn fasync_helper(
    _fd: c_int,
    _file: *mut fs::File,
    _on: c_int,
    _head: *mut *mut fasync_struct,
) -> c_int {
    0
}

pub unsafe fn kill_fasync(_head: *mut *mut fasync_struct, _signal: c_int, _band: c_int) {}

// --- user memory ---

/// A buffer of a user, and where it is not present.
pub struct iov_iter {
    pub(crate) bytes: *mut u8,
    pub(crate) len: usize,
    /// Bytes that can be copied before the next page fault.
    pub(crate) present: usize,
    /// Bytes that each fault brings in; after the last there is `EFAULT`.
    pub(crate) faults: Vec<usize>,
    /// Called for each copy, with its length.
    pub(crate) copied: Option<fn(usize)>,
}

impl Default for iov_iter {
    fn default() -> Self {
        Self {
            bytes: null_mut(),
            len: 0,
            present: 0,
            faults: Vec::new(),
            copied: None,
        }
    }
}

pub const ITER_DEST: u32 = 0;
pub const ITER_SOURCE: u32 = 1;

/// The memory is all there.
pub unsafe fn import_ubuf(
    _direction: c_int,
    start: *mut c_void,
    len: usize,
    iter: *mut iov_iter,
) -> c_int {
    let bytes = core::ptr::with_exposed_provenance_mut(start.addr());
    // SAFETY: There is room for one.
    unsafe {
        *iter = iov_iter {
            bytes,
            len,
            present: usize::MAX,
            ..iov_iter::default()
        };
    }
    0
}

/// No server has registered buffers.
pub unsafe fn io_uring_cmd_import(
    _cmd: *mut io_uring_cmd,
    _address: u64,
    _len: usize,
    _direction: c_int,
    _iter: *mut iov_iter,
    _flags: u32,
) -> c_int {
    -22
}

pub unsafe fn pagefault_disable() {
    rt::nofault(true);
}

pub unsafe fn pagefault_enable() {
    rt::nofault(false);
}

pub unsafe fn user_backed_iter(_iter: *const iov_iter) -> bool {
    true
}

impl iov_iter {
    fn take(&mut self, len: usize) -> (*mut u8, usize) {
        let len = len.min(self.len).min(self.present);
        if len != 0 {
            if let Some(copied) = self.copied {
                copied(len);
            }
        }
        let at = self.bytes;
        // SAFETY: Not beyond the end of the buffer.
        self.bytes = unsafe { at.add(len) };
        self.len -= len;
        self.present -= len;
        (at, len)
    }

    fn fault(&mut self, len: usize) -> usize {
        rt::might_sleep();
        rt::step(|| "takes a page fault in its buffer".into());
        rt::page_fault();
        // Whatever else happens may happen while the task sleeps.
        raw::thread::yield_now();
        if self.present != 0 || len == 0 {
            return 0;
        }
        match self.faults.pop() {
            Some(bytes) => {
                self.present = bytes;
                len.saturating_sub(bytes)
            }
            None => len,
        }
    }
}

pub unsafe fn _copy_to_iter(from: *const c_void, len: usize, iter: *mut iov_iter) -> usize {
    // SAFETY: Both are the caller's.
    unsafe {
        let (to, len) = (*iter).take(len);
        to.copy_from_nonoverlapping(from.cast(), len);
        len
    }
}

pub unsafe fn _copy_from_iter(to: *mut c_void, len: usize, iter: *mut iov_iter) -> usize {
    // SAFETY: Both are the caller's.
    unsafe {
        let (from, len) = (*iter).take(len);
        to.cast::<u8>().copy_from_nonoverlapping(from, len);
        len
    }
}

/// All memory is present.
pub unsafe fn copy_to_user_present(to: *mut c_void, from: *const c_void, len: usize) -> usize {
    // SAFETY: Both are the caller's.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(from.cast(), len) };
    0
}

/// As above.
pub unsafe fn copy_from_user_present(to: *mut c_void, from: *const c_void, len: usize) -> usize {
    // SAFETY: Both are the caller's.
    unsafe { to.cast::<u8>().copy_from_nonoverlapping(from.cast(), len) };
    0
}

pub unsafe fn iov_iter_revert(iter: *mut iov_iter, len: usize) {
    // SAFETY: The caller's, who has taken so many bytes before.
    unsafe {
        (*iter).bytes = (*iter).bytes.sub(len);
        (*iter).len += len;
    }
}

pub unsafe fn fault_in_iov_iter_writeable(iter: *mut iov_iter, len: usize) -> usize {
    // SAFETY: The caller's.
    unsafe { (*iter).fault(len) }
}

pub unsafe fn fault_in_iov_iter_readable(iter: *mut iov_iter, len: usize) -> usize {
    // SAFETY: The caller's.
    unsafe { (*iter).fault(len) }
}
