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
//!
//! The interface is QEMU's stable plugin API, version 4; no package carries its header, so what is used is declared here.

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

/// Version of the interface that the declarations below are of.
#[no_mangle]
pub static qemu_plugin_version: c_int = 4;

#[repr(C)]
pub struct Tb {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Insn {
    _opaque: [u8; 0],
}

#[repr(C)]
pub struct Scoreboard {
    _opaque: [u8; 0],
}

/// A 64-bit number for each processor, at some offset of its scoreboard.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Counter {
    score: *mut Scoreboard,
    offset: usize,
}

/// `QEMU_PLUGIN_INLINE_ADD_U64`.
const ADD: c_int = 0;
/// `QEMU_PLUGIN_CB_NO_REGS`: a callback that looks at no register.
const NO_REGS: c_int = 0;

extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, cb: extern "C" fn(u64, *mut Tb));
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        tb: *mut Tb,
        cb: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_vaddr(tb: *const Tb) -> u64;
    fn qemu_plugin_tb_n_insns(tb: *const Tb) -> usize;
    fn qemu_plugin_tb_get_insn(tb: *const Tb, index: usize) -> *mut Insn;
    fn qemu_plugin_insn_vaddr(insn: *const Insn) -> u64;
    fn qemu_plugin_insn_data(insn: *const Insn, dest: *mut c_void, len: usize) -> usize;
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut Insn,
        cb: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        insn: *mut Insn,
        op: c_int,
        entry: Counter,
        n: u64,
    );
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut Scoreboard;
    fn qemu_plugin_u64_sum(entry: Counter) -> u64;
}

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
                for site in self.sites.values().chain(pieces) {
                    // SAFETY: the processor that counts is the one that called.
                    unsafe { *site.count.get() = 0 };
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
    for i in 0..unsafe { qemu_plugin_tb_n_insns(tb) } {
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
        if place == IN_MODULE {
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
    for i in 0..argc as usize {
        // SAFETY: `argv` has `argc` strings, by this function's contract.
        let arg = unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy();
        if let Some(path) = arg.strip_prefix("out=") {
            out = File::create(path).ok();
        } else if arg == "kernel=on" {
            pieces = Some(HashMap::new());
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
    });
    // SAFETY: the id is the one that QEMU gave.
    unsafe { qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation) };
    0
}
