// SPDX-License-Identifier: GPL-2.0

//! What the kernel's caches of objects hold, from /proc/slabinfo.

use crate::sys;
use std::collections::BTreeMap;

/// By name: bytes of an object, objects in use.
pub struct Slabs(BTreeMap<String, (u64, u64)>);

impl Slabs {
    pub fn now() -> Self {
        // A cache counts what its processors keep to themselves as in use.
        sys::shrink_slabs();
        let text = std::fs::read_to_string("/proc/slabinfo").expect("/proc/slabinfo");
        let row = |line: &str| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_string();
            let used = words.next()?.parse().ok()?;
            let size = words.nth(1)?.parse().ok()?;
            Some((name, (size, used)))
        };
        Slabs(text.lines().filter_map(row).collect())
    }

    /// A line of the report: by how much they have grown since for each of `n` things that were made, and which caches
    /// hold that.
    pub fn grown(&self, thing: &str, n: u64, now: &Slabs) -> String {
        let mut total = 0.0;
        let mut caches = String::new();
        for (name, (size, used)) in &now.0 {
            let before = self.0.get(name).map_or(0, |(_, used)| *used);
            let each = (*used as f64 - before as f64) / n as f64;
            // Less is what others do meanwhile.
            if each.abs() >= 0.05 {
                total += each * *size as f64;
                caches += &format!(" {name}:{size}x{each:.2}");
            }
        }
        format!("memory {thing} {total:.0}{caches}")
    }
}
