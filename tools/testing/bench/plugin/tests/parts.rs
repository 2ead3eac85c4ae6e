// SPDX-License-Identifier: GPL-2.0

//! Runs the tests of the parts that need no QEMU.

#![allow(dead_code)]

#[path = "../src/lines.rs"]
mod lines;
#[path = "../src/locks.rs"]
mod locks;
#[path = "../src/symbols.rs"]
mod symbols;
