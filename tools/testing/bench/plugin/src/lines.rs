// SPDX-License-Identifier: GPL-2.0

//! Lines of cache that go from processor to processor: a line is where it was stored to last.

use std::collections::HashMap;
use std::io::Write;

/// Bits of an address within a line.
const LINE_BITS: u32 = 6;

/// Where lines are, and which places in the module have moved how many since the window was opened.
#[derive(Default)]
pub struct Lines {
    at: HashMap<u64, usize>,
    moved: HashMap<u64, u64>,
}

impl Lines {
    /// The lines stay where they are; what was counted is forgotten.
    pub fn clear(&mut self) {
        self.moved.clear();
    }

    /// The processor stores to `address`, on behalf of the instruction at `site`.
    pub fn store(&mut self, cpu: usize, address: u64, site: u64) {
        if self
            .at
            .insert(address >> LINE_BITS, cpu)
            .is_some_and(|last| last != cpu)
        {
            *self.moved.entry(site).or_default() += 1;
        }
    }

    /// Lines `moved SITE COUNT`.
    pub fn write(&self, out: &mut impl Write) {
        let mut moved: Vec<_> = self.moved.iter().collect();
        moved.sort();
        for (site, count) in moved {
            let _ = writeln!(out, "moved {site:x} {count}");
        }
    }
}

/// Whether these bytes are an instruction that stores to the stack, which belongs to no object: a push, a call, or one
/// that addresses memory by the stack's pointer.
pub fn on_stack(bytes: &[u8]) -> bool {
    let mut at = 0;
    let mut rex = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            0x26 | 0x2e | 0x36 | 0x3e | 0x64..=0x67 | 0xf0 | 0xf2 | 0xf3 => rex = 0,
            0x40..=0x4f => rex = *byte,
            _ => break,
        }
        at += 1;
    }
    let byte = |n: usize| bytes.get(at + n).copied();
    match byte(0) {
        Some(0x50..=0x57 | 0x68 | 0x6a | 0xe8) => return true,
        Some(0x0f) => at += 1,
        _ => (),
    }
    let byte = |n: usize| bytes.get(at + n).copied();
    let (Some(opcode), Some(modrm)) = (byte(0), byte(1)) else {
        return false;
    };
    // Calls and pushes of what lies in memory.
    if opcode == 0xff && matches!((modrm >> 3) & 7, 2 | 6) {
        return true;
    }
    let by_sib = modrm >> 6 != 3 && modrm & 7 == 4;
    by_sib && rex & 1 == 0 && byte(2).is_some_and(|sib| sib & 7 == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_moves_with_the_processor() {
        let mut lines = Lines::default();
        lines.store(0, 0x1000, 1);
        lines.store(0, 0x1038, 1);
        lines.store(1, 0x1008, 2);
        lines.store(1, 0x1010, 2);
        lines.store(0, 0x1040, 3);
        lines.store(0, 0x1000, 4);
        let mut out = Vec::new();
        lines.write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "moved 2 1\nmoved 4 1\n");
    }

    #[test]
    fn stores_to_the_stack_are_known() {
        // push %rbx; push %r12; call; mov %rax,0x8(%rsp); lock incl (%rsp)
        assert!(on_stack(&[0x53]) && on_stack(&[0x41, 0x54]) && on_stack(&[0xe8, 0, 0, 0, 0]));
        assert!(on_stack(&[0x48, 0x89, 0x44, 0x24, 0x08]));
        assert!(on_stack(&[0xf0, 0xff, 0x04, 0x24]));
        // mov %rax,(%rdi); mov %rax,(%r12); lock cmpxchg %ecx,(%rdi); movzbl
        assert!(!on_stack(&[0x48, 0x89, 0x07]));
        assert!(!on_stack(&[0x49, 0x89, 0x04, 0x24]));
        assert!(!on_stack(&[0xf0, 0x0f, 0xb1, 0x0f]));
        assert!(!on_stack(&[0x0f, 0xb6, 0x07]));
    }
}
