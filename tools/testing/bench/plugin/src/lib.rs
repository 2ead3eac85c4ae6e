// SPDX-License-Identifier: GPL-2.0

//! Counts the instructions and locked operations that a guest executes between two marks, by where they lie: in user
//! space, in the kernel's own text, in a module's. Of a module's, each one by itself.
//!
//! A mark is a no-operation with a number in it that no compiler makes (`nop dword [rax + rax + MARK + n]`): the guest
//! needs no device for it, and without the plugin it does nothing. Mark 1 starts a window, 2 ends it and writes its counts.
//!
//! Lines written to the file that `out=` names: `window USER KERNEL MODULE KERNEL-LOCKED MODULE-LOCKED`, then
//! `at ADDRESS COUNT LOCKED` for each instruction of a module that was executed, then `end`. With `kernel=on` also
//! `in ADDRESS COUNT` for each piece of the kernel's text without a jump in it: the instructions executed from there.
//! With `map=FILE`, the kernel's System.map, also `locked ADDRESS COUNT` for each locked operation of the kernel,
//! `faulted COUNT` for the pages of users' buffers that were faulted in before a copy, present or not, and
//! `held LOCK SITE COUNT INSTRUCTIONS SLOW` for each spin lock that the module's instruction at SITE led to.
//!
//! With `contend=on`, for a machine of several processors, there are no lines `at`, `in`, `locked`, but `call NAME
//! COUNT` for functions whose calls are counted, and `moved SITE COUNT` for lines of cache that the module's store or
//! locked operation at SITE, or the lock that it led to, took from another processor.

mod api;
mod lines;
mod locks;
mod symbols;

use api::*;
use lines::on_stack;
use lines::Lines;
use locks::Locks;
use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_uint;
use std::ffi::c_void;
use std::ffi::CStr;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write;
use std::sync::Mutex;
use symbols::Kind;
use symbols::Symbols;
use symbols::CALLS;

/// Where modules' text is loaded when the kernel is not moved about (`nokaslr`).
const MODULES: std::ops::Range<u64> = 0xffff_ffff_a000_0000..0xffff_ffff_ff00_0000;
const KERNEL: u64 = 1 << 63;
/// What is added to the number of a mark.
const MARK: u32 = 0x4642_4e00;

const USER: usize = 0;
const IN_KERNEL: usize = 1;
const IN_MODULE: usize = 2;
const KERNEL_LOCKED: usize = 3;
const MODULE_LOCKED: usize = 4;
const COUNTERS: usize = 5;

/// What is counted of one instruction of a module.
struct Site {
    address: u64,
    locked: bool,
    count: UnsafeCell<u64>,
}

impl Site {
    fn new(address: u64, locked: bool) -> &'static Self {
        Box::leak(Box::new(Site {
            address,
            locked,
            count: UnsafeCell::new(0),
        }))
    }
}

struct State {
    score: *mut Scoreboard,
    /// The counters at the last start of a window.
    start: [u64; COUNTERS],
    open: bool,
    out: BufWriter<File>,
    /// By address; never freed, because translated code refers to them.
    sites: HashMap<(u64, bool), &'static Site>,
    /// The same for pieces of the kernel, by address and length, if they are wanted.
    pieces: Option<HashMap<(u64, usize), &'static Site>>,
    /// The kernel's locked operations, and what is watched of its functions, if its map was given.
    locked: HashMap<u64, &'static Site>,
    symbols: Option<Symbols>,
    locks: Locks,
    /// Pages of users' buffers that were faulted in.
    faulted: u64,
    /// Calls of [`CALLS`].
    calls: [u64; CALLS.len()],
    /// Where lines of cache are, if there are several processors.
    lines: Option<Lines>,
}

// SAFETY: the pointer is QEMU's and lives as long as it does; the sites' counts are touched by the one processor that
// runs, or when it does not.
unsafe impl Send for State {}

static STATE: Mutex<Option<State>> = Mutex::new(None);

impl State {
    fn counter(&self, which: usize) -> Counter {
        Counter {
            score: self.score,
            offset: which * 8,
        }
    }

    fn counters(&self) -> [u64; COUNTERS] {
        // SAFETY: the scoreboard was made with room for all counters.
        std::array::from_fn(|i| unsafe { qemu_plugin_u64_sum(self.counter(i)) })
    }

    fn mark(&mut self, number: usize) {
        match number {
            1 => {
                let pieces = self.pieces.iter().flat_map(|p| p.values());
                let kernel = self.locked.values().chain(pieces);
                for site in self.sites.values().chain(kernel) {
                    // SAFETY: the processor that counts is the one that called.
                    unsafe { *site.count.get() = 0 };
                }
                self.locks.clear();
                self.faulted = 0;
                self.calls = [0; CALLS.len()];
                if let Some(lines) = &mut self.lines {
                    lines.clear();
                }
                self.start = self.counters();
                self.open = true;
            }
            2 if self.open => {
                self.open = false;
                let now = self.counters();
                let _ = write!(self.out, "window");
                for (now, start) in now.iter().zip(self.start) {
                    let _ = write!(self.out, " {}", now - start);
                }
                let _ = writeln!(self.out);
                let mut sites: Vec<_> = self.sites.values().collect();
                sites.sort_by_key(|s| s.address);
                for site in sites {
                    // SAFETY: as above.
                    let count = unsafe { *site.count.get() };
                    if count > 0 {
                        let _ = writeln!(
                            self.out,
                            "at {:x} {} {}",
                            site.address,
                            count,
                            u8::from(site.locked)
                        );
                    }
                }
                for ((address, len), site) in self.pieces.iter().flatten() {
                    // SAFETY: as above.
                    let count = unsafe { *site.count.get() } * *len as u64;
                    if count > 0 {
                        let _ = writeln!(self.out, "in {address:x} {count}");
                    }
                }
                for (address, site) in &self.locked {
                    // SAFETY: as above.
                    let count = unsafe { *site.count.get() };
                    if count > 0 {
                        let _ = writeln!(self.out, "locked {address:x} {count}");
                    }
                }
                if self.symbols.is_some() {
                    let _ = writeln!(self.out, "faulted {}", self.faulted);
                    self.locks.write(&mut self.out);
                }
                if let Some(lines) = &self.lines {
                    lines.write(&mut self.out);
                    for ((_, name), count) in CALLS.iter().zip(self.calls) {
                        let _ = writeln!(self.out, "call {name} {count}");
                    }
                }
                let _ = writeln!(self.out, "end");
                let _ = self.out.flush();
            }
            _ => (),
        }
    }
}

/// Whether these bytes are an instruction that locks the bus: one with the prefix, or an exchange with memory.
fn locks(bytes: &[u8]) -> bool {
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        match byte {
            0xf0 => return true,
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf2 | 0xf3 | 0x40..=0x4f => i += 1,
            0x86 | 0x87 => return bytes.get(i + 1).is_some_and(|modrm| modrm >> 6 != 3),
            _ => return false,
        }
    }
    false
}

/// The number of the mark that these bytes are.
fn mark_number(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(&[0x0f, 0x1f, 0x84, 0x00])?;
    let n = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
    (n & !0xff == MARK).then_some((n & 0xff) as usize)
}

extern "C" fn on_mark(_cpu: c_uint, number: *mut c_void) {
    if let Some(state) = STATE.lock().unwrap().as_mut() {
        state.mark(number as usize);
    }
}

extern "C" fn on_site(_cpu: c_uint, site: *mut c_void) {
    // SAFETY: registered with a site that is never freed; one processor at a time runs.
    unsafe { *(*site.cast::<Site>()).count.get() += 1 };
}

/// Runs `work` with the state while a window is open, and with the number of instructions that the processor has
/// executed so far.
fn in_window(cpu: c_uint, work: impl FnOnce(&mut State, usize, u64)) {
    if let Some(state) = STATE.lock().unwrap().as_mut().filter(|state| state.open) {
        let places = [USER, IN_KERNEL, IN_MODULE].into_iter();
        // SAFETY: counters of the scoreboard, of the processor that calls.
        let now = places
            .map(|i| unsafe { qemu_plugin_u64_get(state.counter(i), cpu) })
            .sum();
        work(state, cpu as usize, now);
    }
}

extern "C" fn on_leave(cpu: c_uint, address: *mut c_void) {
    in_window(cpu, |state, cpu, now| {
        state.locks.leave(cpu, address as u64, now)
    });
}

extern "C" fn on_lock(cpu: c_uint, _info: c_uint, address: u64, _data: *mut c_void) {
    in_window(cpu, |state, cpu, now| {
        state.locks.acquire(cpu, address, now);
        if let (Some(site), Some(lines)) = (state.locks.near(cpu, now), &mut state.lines) {
            lines.store(cpu, address, site);
        }
    });
}

extern "C" fn on_unlock(cpu: c_uint, _info: c_uint, address: u64, _data: *mut c_void) {
    in_window(cpu, |state, _, now| state.locks.release(address, now));
}

extern "C" fn on_store(cpu: c_uint, _info: c_uint, address: u64, site: *mut c_void) {
    if address >= KERNEL {
        in_window(cpu, |state, cpu, _| {
            if let Some(lines) = &mut state.lines {
                lines.store(cpu, address, site as u64);
            }
        });
    }
}

extern "C" fn on_touch(cpu: c_uint, _info: c_uint, address: u64, _data: *mut c_void) {
    if address < KERNEL {
        in_window(cpu, |state, _, _| state.faulted += 1);
    }
}

extern "C" fn on_fault_in(cpu: c_uint, _data: *mut c_void) {
    in_window(cpu, |state, _, _| state.faulted += 1);
}

extern "C" fn on_wait(cpu: c_uint, _data: *mut c_void) {
    in_window(cpu, |state, cpu, _| state.locks.wait(cpu));
}

extern "C" fn on_call(cpu: c_uint, number: *mut c_void) {
    in_window(cpu, |state, _, _| state.calls[number as usize] += 1);
}

/// Watches an instruction of the kernel's, which the map says something of.
fn watch(insn: *mut Insn, locked: bool, (kind, first): (Kind, bool)) {
    let on_access = |cb: OnAccess, accesses| {
        // SAFETY: an instruction of the block that is translated; the callback takes nothing.
        unsafe {
            qemu_plugin_register_vcpu_mem_cb(insn, cb, NO_REGS, accesses, std::ptr::null_mut())
        }
    };
    let on_entry = |cb: OnExec, data: usize| {
        if first {
            // SAFETY: as above; the callback takes a number.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_cb(insn, cb, NO_REGS, data as *mut c_void)
            }
        }
    };
    match kind {
        Kind::Lock if locked => on_access(on_lock, STORES),
        Kind::Lock => (),
        Kind::Unlock => on_access(on_unlock, STORES),
        Kind::Touch => on_access(on_touch, LOADS_AND_STORES),
        Kind::FaultIn => on_entry(on_fault_in, 0),
        Kind::Wait => on_entry(on_wait, 0),
        Kind::Call(number) => on_entry(on_call, number),
    }
}

extern "C" fn on_translation(_id: u64, tb: *mut Tb) {
    let mut guard = STATE.lock().unwrap();
    let Some(state) = guard.as_mut() else { return };
    if let Some(pieces) = &mut state.pieces {
        // SAFETY: `tb` is QEMU's for the time of this call.
        let (address, len) = unsafe { (qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb)) };
        if address >= KERNEL {
            let piece = *pieces
                .entry((address, len))
                .or_insert_with(|| Site::new(address, false));
            // SAFETY: as above; the site is never freed.
            unsafe {
                qemu_plugin_register_vcpu_tb_exec_cb(
                    tb,
                    on_site,
                    NO_REGS,
                    std::ptr::from_ref(piece).cast_mut().cast(),
                )
            };
        }
    }
    // SAFETY: `tb` is QEMU's for the time of this call.
    let insns = unsafe { qemu_plugin_tb_n_insns(tb) };
    for i in 0..insns {
        let mut bytes = [0u8; 16];
        // SAFETY: below the number of instructions; the buffer is as long as is said.
        let (insn, address, len) = unsafe {
            let insn = qemu_plugin_tb_get_insn(tb, i);
            let len = qemu_plugin_insn_data(insn, bytes.as_mut_ptr().cast(), bytes.len());
            (insn, qemu_plugin_insn_vaddr(insn), len)
        };
        let bytes = &bytes[..len.min(bytes.len())];
        let locked = locks(bytes);
        let (place, place_locked) = if address < KERNEL {
            (USER, None)
        } else if MODULES.contains(&address) {
            (IN_MODULE, Some(MODULE_LOCKED))
        } else {
            (IN_KERNEL, Some(KERNEL_LOCKED))
        };
        // SAFETY: an instruction of this block, a counter of the scoreboard.
        unsafe {
            qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, ADD, state.counter(place), 1)
        };
        if let (true, Some(place)) = (locked, place_locked) {
            // SAFETY: as above.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
                    insn,
                    ADD,
                    state.counter(place),
                    1,
                )
            };
        }
        if place == IN_MODULE && state.lines.is_some() {
            if !on_stack(bytes) {
                // SAFETY: as above; the address is passed as it is.
                unsafe {
                    qemu_plugin_register_vcpu_mem_cb(
                        insn,
                        on_store,
                        NO_REGS,
                        STORES,
                        address as *mut c_void,
                    )
                };
            }
        } else if place == IN_MODULE {
            let site = *state
                .sites
                .entry((address, locked))
                .or_insert_with(|| Site::new(address, locked));
            // SAFETY: as above; the site is never freed.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_cb(
                    insn,
                    on_site,
                    NO_REGS,
                    std::ptr::from_ref(site).cast_mut().cast(),
                )
            };
        }
        if state.symbols.is_some() && place == IN_MODULE && i + 1 == insns {
            // A call ends its block.
            // SAFETY: as above; the address is passed as it is.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_cb(
                    insn,
                    on_leave,
                    NO_REGS,
                    address as *mut c_void,
                )
            };
        }
        if let (IN_KERNEL, Some(symbols)) = (place, &state.symbols) {
            if let Some(watched) = symbols.at(address) {
                watch(insn, locked, watched);
            }
            if locked && state.lines.is_none() {
                let site = *state
                    .locked
                    .entry(address)
                    .or_insert_with(|| Site::new(address, true));
                // SAFETY: as above; the site is never freed.
                unsafe {
                    qemu_plugin_register_vcpu_insn_exec_cb(
                        insn,
                        on_site,
                        NO_REGS,
                        std::ptr::from_ref(site).cast_mut().cast(),
                    )
                };
            }
        }
        if let (USER, Some(number)) = (place, mark_number(bytes)) {
            // SAFETY: as above; the number is passed as it is.
            unsafe {
                qemu_plugin_register_vcpu_insn_exec_cb(
                    insn,
                    on_mark,
                    NO_REGS,
                    number as *mut c_void,
                )
            };
        }
    }
}

/// QEMU's first call.
///
/// # Safety
///
/// As QEMU calls it: `argv` has `argc` strings.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    let mut out = None;
    let mut pieces = None;
    let mut symbols = None;
    let mut lines = None;
    for i in 0..argc as usize {
        // SAFETY: `argv` has `argc` strings, by this function's contract.
        let arg = unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy();
        if let Some(path) = arg.strip_prefix("out=") {
            out = File::create(path).ok();
        } else if arg == "kernel=on" {
            pieces = Some(HashMap::new());
        } else if arg == "contend=on" {
            lines = Some(Lines::default());
        } else if let Some(path) = arg.strip_prefix("map=") {
            match std::fs::read_to_string(path) {
                Ok(map) => symbols = Some(Symbols::parse(&map)),
                Err(why) => {
                    eprintln!("bench-plugin: {path}: {why}");
                    return 1;
                }
            }
        }
    }
    let Some(out) = out else {
        eprintln!("bench-plugin: out=FILE is missing, or the file cannot be made");
        return 1;
    };
    // SAFETY: any size.
    let score = unsafe { qemu_plugin_scoreboard_new(COUNTERS * 8) };
    *STATE.lock().unwrap() = Some(State {
        score,
        start: [0; COUNTERS],
        open: false,
        out: BufWriter::new(out),
        sites: HashMap::new(),
        pieces,
        locked: HashMap::new(),
        symbols,
        locks: Locks::default(),
        faulted: 0,
        calls: [0; CALLS.len()],
        lines,
    });
    // SAFETY: the id is the one that QEMU gave.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation) };
    0
}
