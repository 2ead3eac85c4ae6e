// SPDX-License-Identifier: GPL-2.0

//! QEMU's stable plugin interface, version 4: no package carries its header, so what is used is declared here.

use std::ffi::c_int;
use std::ffi::c_uint;
use std::ffi::c_void;

/// Version of the interface that the declarations below are of.
#[no_mangle]
pub static qemu_plugin_version: c_int = 4;

/// A translated block, for the time of the translation's callback.
#[repr(C)]
pub struct Tb {
    _opaque: [u8; 0],
}

/// An instruction of a translated block, for the same time.
#[repr(C)]
pub struct Insn {
    _opaque: [u8; 0],
}

/// Room for numbers of each processor.
#[repr(C)]
pub struct Scoreboard {
    _opaque: [u8; 0],
}

/// A 64-bit number for each processor, at some offset of its scoreboard.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Counter {
    pub score: *mut Scoreboard,
    pub offset: usize,
}

/// `QEMU_PLUGIN_INLINE_ADD_U64`.
pub const ADD: c_int = 0;
/// `QEMU_PLUGIN_CB_NO_REGS`: a callback that looks at no register.
pub const NO_REGS: c_int = 0;
/// `QEMU_PLUGIN_MEM_W`: stores.
pub const STORES: c_int = 2;
/// `QEMU_PLUGIN_MEM_RW`: loads and stores.
pub const LOADS_AND_STORES: c_int = 3;

/// What an instruction's execution calls: the processor, and what was registered with it.
pub type OnExec = extern "C" fn(c_uint, *mut c_void);
/// What an access to memory calls: the processor, what kind of access, the address, what was registered.
pub type OnAccess = extern "C" fn(c_uint, c_uint, u64, *mut c_void);

extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, cb: extern "C" fn(u64, *mut Tb));
    pub fn qemu_plugin_register_vcpu_tb_exec_cb(
        tb: *mut Tb,
        cb: OnExec,
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_tb_vaddr(tb: *const Tb) -> u64;
    pub fn qemu_plugin_tb_n_insns(tb: *const Tb) -> usize;
    pub fn qemu_plugin_tb_get_insn(tb: *const Tb, index: usize) -> *mut Insn;
    pub fn qemu_plugin_insn_vaddr(insn: *const Insn) -> u64;
    pub fn qemu_plugin_insn_data(insn: *const Insn, dest: *mut c_void, len: usize) -> usize;
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        insn: *mut Insn,
        cb: OnExec,
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        insn: *mut Insn,
        op: c_int,
        entry: Counter,
        n: u64,
    );
    pub fn qemu_plugin_register_vcpu_mem_cb(
        insn: *mut Insn,
        cb: OnAccess,
        flags: c_int,
        accesses: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_scoreboard_new(size: usize) -> *mut Scoreboard;
    pub fn qemu_plugin_u64_get(entry: Counter, cpu: c_uint) -> u64;
    pub fn qemu_plugin_u64_sum(entry: Counter) -> u64;
}
