// SPDX-License-Identifier: GPL-2.0

//! The system calls that are measured, with as little around them as can be, and those that prepare them. A call that
//! fails ends the bench: a figure of what went wrong is worth nothing.

use std::ffi::CStr;
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Ends the bench with what failed and why.
#[cold]
fn fail(what: &str) -> ! {
    let why = io::Error::last_os_error();
    panic!("{what}: {why}")
}

fn check(n: isize, what: &str) -> usize {
    if n < 0 {
        fail(what)
    }
    n as usize
}

/// A path as the kernel takes it.
pub fn c_path(path: impl AsRef<Path>) -> CString {
    CString::new(path.as_ref().as_os_str().as_encoded_bytes()).expect("no NUL in paths")
}

/// A descriptor that is closed with the value.
pub struct Fd(pub i32);

impl Drop for Fd {
    fn drop(&mut self) {
        close(self.0);
    }
}

pub fn open(path: &CStr, flags: i32) -> Fd {
    // SAFETY: a C string.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o644) };
    Fd(check(fd as isize, "open") as i32)
}

pub fn close(fd: i32) {
    // SAFETY: nobody else closes it.
    if unsafe { libc::close(fd) } < 0 {
        fail("close")
    }
}

pub fn fstat(fd: i32) -> u64 {
    let mut st = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for the result.
    if unsafe { libc::fstat(fd, st.as_mut_ptr()) } < 0 {
        fail("fstat")
    }
    // SAFETY: filled by the call.
    unsafe { st.assume_init() }.st_dev
}

/// Whether fstat(2) succeeds.
pub fn has_attributes(fd: i32) -> bool {
    let mut st = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for the result.
    unsafe { libc::fstat(fd, st.as_mut_ptr()) == 0 }
}

pub fn dup(fd: i32) -> Fd {
    // SAFETY: no memory involved.
    let fd = unsafe { libc::dup(fd) };
    Fd(check(fd as isize, "dup") as i32)
}

pub fn stat(path: &CStr) {
    if !exists(path) {
        fail("stat")
    }
}

/// Whether stat(2) finds it.
pub fn exists(path: &CStr) -> bool {
    let mut st = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a C string, and room for the result.
    unsafe { libc::stat(path.as_ptr(), st.as_mut_ptr()) == 0 }
}

pub fn unlink(path: &CStr) {
    // SAFETY: a C string.
    if unsafe { libc::unlink(path.as_ptr()) } < 0 {
        fail("unlink")
    }
}

pub fn pread(fd: i32, buffer: &mut [u8], offset: u64) {
    // SAFETY: the buffer is as long as is said.
    let n = unsafe {
        libc::pread(
            fd,
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            offset as libc::off_t,
        )
    };
    assert_eq!(check(n, "pread"), buffer.len(), "a short read");
}

pub fn pwrite(fd: i32, buffer: &[u8], offset: u64) {
    // SAFETY: the buffer is as long as is said.
    let n = unsafe {
        libc::pwrite(
            fd,
            buffer.as_ptr().cast(),
            buffer.len(),
            offset as libc::off_t,
        )
    };
    assert_eq!(check(n, "pwrite"), buffer.len(), "a short write");
}

/// Reads some; 0 at the end.
pub fn read(fd: i32, buffer: &mut [u8]) -> usize {
    // SAFETY: the buffer is as long as is said.
    let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    check(n, "read")
}

pub fn write(fd: i32, buffer: &[u8]) {
    // SAFETY: the buffer is as long as is said.
    let n = unsafe { libc::write(fd, buffer.as_ptr().cast(), buffer.len()) };
    assert_eq!(check(n, "write"), buffer.len(), "a short write");
}

pub fn fsync(fd: i32) {
    // SAFETY: no memory involved.
    if unsafe { libc::fsync(fd) } < 0 {
        fail("fsync")
    }
}

/// Says that a file will be read here and there, so that nothing is read ahead.
pub fn advise_random(fd: i32) {
    // SAFETY: no memory involved.
    unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_RANDOM) };
}

/// Reads a directory from its start; the number of entries.
pub fn list(fd: i32, buffer: &mut [u64]) -> u64 {
    // SAFETY: no memory involved.
    unsafe { libc::lseek(fd, 0, libc::SEEK_SET) };
    let mut entries = 0;
    loop {
        // SAFETY: the buffer is as long as is said.
        let n = unsafe {
            libc::syscall(
                libc::SYS_getdents64,
                fd,
                buffer.as_mut_ptr(),
                size_of_val(buffer),
            )
        };
        let n = check(n as isize, "getdents64");
        if n == 0 {
            return entries;
        }
        let mut at = 0;
        while at < n {
            // An entry's length stands in its bytes 16 and 17; entries are aligned.
            at += (buffer[at / 8 + 2] & 0xffff) as usize;
            entries += 1;
        }
    }
}

/// A part of a file in memory.
pub struct Mapping {
    start: *mut u8,
    len: usize,
}

pub const PAGE: usize = 4096;

impl Mapping {
    pub fn new(fd: i32, offset: u64, len: usize, writable: bool) -> Self {
        let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
        // SAFETY: a new mapping, wherever there is room.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                prot,
                libc::MAP_SHARED,
                fd,
                offset as libc::off_t,
            )
        };
        if start == libc::MAP_FAILED {
            fail("mmap")
        }
        Mapping {
            start: start.cast(),
            len,
        }
    }

    /// Memory that forked processes share.
    pub fn shared(len: usize) -> Self {
        // SAFETY: a new mapping, wherever there is room.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            fail("mmap")
        }
        Mapping {
            start: start.cast(),
            len,
        }
    }

    pub fn start(&self) -> *mut u8 {
        self.start
    }

    pub fn advise_random(&self) {
        // SAFETY: this value's own mapping.
        unsafe { libc::madvise(self.start.cast(), self.len, libc::MADV_RANDOM) };
    }

    /// Reads a byte of each page.
    pub fn read_pages(&self) {
        for at in (0..self.len).step_by(PAGE) {
            // SAFETY: within the mapping.
            unsafe { self.start.add(at).read_volatile() };
        }
    }

    /// Writes a byte of each page.
    pub fn write_pages(&self) {
        for at in (0..self.len).step_by(PAGE) {
            // SAFETY: within the mapping, which is writable where this is called.
            unsafe { self.start.add(at).write_volatile(1) };
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this value's own mapping, to which no reference is left.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// Both ends of a pipe: to read, to write.
pub fn pipe() -> (Fd, Fd) {
    let mut fds = [0; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe(fds.as_mut_ptr()) } < 0 {
        fail("pipe")
    }
    (Fd(fds[0]), Fd(fds[1]))
}

/// Runs `child` in a process of its own, which ends with it; its number.
pub fn fork(child: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread whenever this is called.
    match unsafe { libc::fork() } {
        0 => {
            child();
            // SAFETY: ends this process.
            unsafe { libc::_exit(0) }
        }
        -1 => fail("fork"),
        pid => pid,
    }
}

/// Many tasks that share this one's memory, each with a small stack: a process of its own costs too much, and so does a
/// thread.
pub struct Crowd<'a> {
    stacks: Mapping,
    used: usize,
    tasks: Vec<i32>,
    _work: std::marker::PhantomData<&'a ()>,
}

impl<'a> Crowd<'a> {
    /// Bytes of one stack.
    const STACK: usize = 4 * PAGE;

    /// Room for `n` tasks.
    pub fn new(n: usize) -> Self {
        Crowd {
            stacks: Mapping::shared(n * Self::STACK),
            used: 0,
            tasks: Vec::with_capacity(n),
            _work: std::marker::PhantomData,
        }
    }

    /// Lets another task run `work`, which does no more than calls of this module.
    pub fn add<F: Fn()>(&mut self, work: &'a F) {
        extern "C" fn run<F: Fn()>(work: *mut libc::c_void) -> libc::c_int {
            // SAFETY: what `add` has passed on, which outlives the task.
            unsafe { (*work.cast::<F>())() };
            0
        }
        self.used += Self::STACK;
        assert!(self.used <= self.stacks.len, "no stack is left");
        let flags = libc::CLONE_VM | libc::CLONE_FILES | libc::CLONE_FS | libc::SIGCHLD;
        let work = std::ptr::from_ref(work).cast_mut().cast();
        // SAFETY: a stack that no other task has, by its upper end, and a function that takes `work`. The tasks take
        // turns on one processor, and look at no `errno`, which they share.
        let task = unsafe {
            libc::clone(
                run::<F>,
                self.stacks.start.add(self.used).cast(),
                flags,
                work,
            )
        };
        if task < 0 {
            fail("clone")
        }
        self.tasks.push(task);
    }

    /// Waits for the end of all.
    pub fn wait(self) {
        self.tasks.into_iter().for_each(wait);
    }
}

/// Waits for the end of a child.
pub fn wait(pid: i32) {
    let mut status = 0;
    // SAFETY: room for the status.
    if unsafe { libc::waitpid(pid, &mut status, 0) } < 0 {
        fail("waitpid")
    }
    assert_eq!(status, 0, "a process of the bench failed");
}

pub fn mount(kind: &str, dir: &str, options: &str) {
    mount_from(kind, kind, dir, options)
}

pub fn mount_from(source: &str, kind: &str, dir: &str, options: &str) {
    std::fs::create_dir_all(dir).ok();
    let (source, kind, dir, options) = (c_path(source), c_path(kind), c_path(dir), c_path(options));
    // SAFETY: C strings.
    let failed = unsafe {
        libc::mount(
            source.as_ptr(),
            dir.as_ptr(),
            kind.as_ptr(),
            0,
            options.as_ptr().cast(),
        )
    };
    if failed < 0 {
        fail(&format!("mount of {kind:?}"))
    }
}

pub fn umount(dir: &CStr) {
    // SAFETY: a C string.
    if unsafe { libc::umount(dir.as_ptr()) } < 0 {
        fail("umount")
    }
}

/// As [`umount`], where what was left to RCU and workers may use the mount for another moment.
pub fn umount_soon(dir: &CStr) {
    for _ in 0..100 {
        // SAFETY: a C string.
        if unsafe { libc::umount(dir.as_ptr()) } == 0 {
            return;
        }
        rcu_barrier();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    umount(dir)
}

/// Loads a module from a file.
pub fn insmod(path: &str) {
    let file = open(&c_path(path), libc::O_RDONLY);
    // SAFETY: a descriptor, a C string, no flags.
    if unsafe { libc::syscall(libc::SYS_finit_module, file.0, c"".as_ptr(), 0) } < 0 {
        fail("finit_module")
    }
}

pub fn rmmod(name: &CStr) {
    // SAFETY: a C string, flags.
    while unsafe { libc::syscall(libc::SYS_delete_module, name.as_ptr(), libc::O_NONBLOCK) } < 0 {
        // What the last unmount left to a worker may hold it for a moment.
        if io::Error::last_os_error().raw_os_error() != Some(libc::EAGAIN) {
            fail("delete_module")
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Switches the machine off.
pub fn power_off() -> ! {
    // SAFETY: ends the machine.
    unsafe {
        libc::sync();
        libc::reboot(libc::LINUX_REBOOT_CMD_POWER_OFF);
    }
    std::process::exit(1)
}

/// Writes to a file of the kernel's.
pub fn set(path: &str, value: &str) {
    if let Err(why) = std::fs::write(path, value) {
        panic!("{path}: {why}")
    }
}

/// Waits until RCU has freed what was left to it: otherwise that happens while something else is measured.
pub fn rcu_barrier() {
    set("/sys/module/rcutree/parameters/do_rcu_barrier", "1");
}

/// Makes memory what it was at the start, as far as can be: what a page costs depends on how it was freed before.
pub fn settle() {
    // SAFETY: no memory involved.
    unsafe { libc::sync() };
    set("/proc/sys/vm/drop_caches", "3");
    rcu_barrier();
    shrink_slabs();
    set("/proc/sys/vm/compact_memory", "1");
}

/// Bytes of the machine's memory that nobody has.
pub fn free_memory() -> u64 {
    let table = std::fs::read_to_string("/proc/meminfo").expect("/proc/meminfo");
    let free = table.lines().find_map(|line| {
        line.strip_prefix("MemFree:")?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    free.map_or(0, |kibibytes: u64| kibibytes << 10)
}

/// Gives back what the caches of objects keep for later.
pub fn shrink_slabs() {
    let caches = std::fs::read_dir("/sys/kernel/slab").expect("the caches of objects");
    for cache in caches.flatten() {
        // Some are only names of others.
        let _ = std::fs::write(cache.path().join("shrink"), "1");
    }
}

/// This process and those that it makes run until they sleep: what the scheduler does to be fair depends on how long
/// they ran before, and would be in the figures.
pub fn run_in_real_time() {
    set("/proc/sys/kernel/sched_rt_runtime_us", "-1");
    // Nor do the others get their twentieth of each second.
    set("/sys/kernel/debug/sched/fair_server/cpu0/runtime", "0");
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: a parameter that lives as long as the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) } < 0 {
        fail("sched_setscheduler")
    }
}
