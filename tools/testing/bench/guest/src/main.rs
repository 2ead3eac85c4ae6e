// SPDX-License-Identifier: GPL-2.0

//! The first and only program of a machine that is booted to measure what operations over FUSE cost.
//!
//! `/bench` says what to do, a word and its values on each line: `sequence` the runs in their order,
//! `c` and `r` with the module in `/c.ko` or `/r.ko` loaded, `t` on tmpfs for the floor; `cells` which
//! cells; `blocks` how often the whole sequence is run; `real-time` that the scheduler need not be
//! fair; `scale` how many times as many calls as usual clients make. The results are lines on the
//! second serial port, which `scripts/bench-report` reads; the last is `done`, or `error` and why.

mod cells;
mod floor;
mod library;
mod ring;
mod server;
mod slab;
mod sys;
mod window;
#[allow(dead_code)]
#[path = "../../../selftests/fuse/src/mockd/wire.rs"]
mod wire;

use std::fs::OpenOptions;
use window::Report;

struct Plan {
    sequence: String,
    cells: Vec<&'static cells::Cell>,
    blocks: u64,
    real_time: bool,
    scale: u64,
}

impl Plan {
    fn read() -> Self {
        let mut plan = Plan {
            sequence: String::new(),
            cells: Vec::new(),
            blocks: 1,
            real_time: false,
            scale: 1,
        };
        for line in std::fs::read_to_string("/bench").expect("/bench").lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("sequence") => plan.sequence = words.collect(),
                Some("blocks") => {
                    plan.blocks = words.next().and_then(|n| n.parse().ok()).expect("a number")
                }
                Some("scale") => {
                    plan.scale = words.next().and_then(|n| n.parse().ok()).expect("a number")
                }
                Some("real-time") => plan.real_time = true,
                Some("cells") => {
                    for name in words {
                        plan.cells.push(
                            cells::CELLS
                                .iter()
                                .find(|c| c.name == name)
                                .unwrap_or_else(|| panic!("no such cell: {name}")),
                        )
                    }
                }
                _ => panic!("what is '{line}'?"),
            }
        }
        plan
    }
}

fn prepare() {
    sys::mount("proc", "/proc", "");
    sys::mount("sysfs", "/sys", "");
    sys::mount("debugfs", "/sys/kernel/debug", "");
    // Nothing happens in the background that was not asked for.
    sys::set("/proc/sys/vm/dirty_writeback_centisecs", "0");
    sys::set("/proc/sys/vm/stat_interval", "1000000");
    // How many free pages a processor keeps to itself depends on what was freed before, unless it is said.
    sys::set("/proc/sys/vm/percpu_pagelist_high_fraction", "1000");
    sys::set("/proc/sys/kernel/randomize_va_space", "0");
}

/// A processor that copies by `rep movsb` would make copies eight times as dear: each repetition is an instruction.
fn check_processor() {
    let text = std::fs::read_to_string("/proc/cpuinfo").expect("/proc/cpuinfo");
    for flag in ["erms", "fsrm"] {
        assert!(
            !text.split_whitespace().any(|word| word == flag),
            "the processor has {flag}"
        );
    }
}

fn load(letter: char, report: &mut Report) {
    sys::insmod(&format!("/{letter}.ko"));
    sys::mount("fusectl", "/sys/fs/fuse/connections", "");
    // Where its code lies, for who knows only addresses.
    for entry in std::fs::read_dir("/sys/module/fuse/sections").expect("sections") {
        let entry = entry.expect("a section");
        let section = entry.file_name().to_string_lossy().into_owned();
        if section.contains("text") {
            let address = std::fs::read_to_string(entry.path()).expect("an address");
            report.line(&format!("section {section} {}", address.trim()));
        }
    }
}

fn unload() {
    sys::umount(c"/sys/fs/fuse/connections");
    sys::rmmod(c"fuse");
}

fn bench(report: &mut Report) {
    prepare();
    check_processor();
    let plan = Plan::read();
    if plan.real_time {
        sys::run_in_real_time();
    }
    floor::run(report);
    for _ in 0..plan.blocks {
        for letter in plan.sequence.chars() {
            report.line(&format!("run {letter}"));
            if letter == 't' {
                for cell in plan.cells.iter().filter(|c| c.floor) {
                    cells::run_floor(cell, report);
                }
            } else {
                load(letter, report);
                for cell in &plan.cells {
                    cells::run(cell, plan.scale, report);
                }
                unload();
            }
        }
    }
    report.line("done");
}

/// Runs cells on the kernel that is there, for who works on this program; the directory should be an empty one.
fn here(cells: &[String]) {
    let report = &mut Report::new(
        OpenOptions::new()
            .write(true)
            .open("/dev/stdout")
            .expect("an output"),
    );
    for cell in cells::CELLS
        .iter()
        .filter(|c| cells.iter().any(|name| name == c.name))
    {
        if cell.floor {
            cells::run_floor(cell, report);
        }
        cells::run(cell, 1, report);
    }
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    match args.split_first() {
        Some((first, _)) if first == "--list" => {
            for cell in cells::CELLS {
                println!("{}", cell.name);
            }
            return;
        }
        Some((first, cells)) if first == "--here" => return here(cells),
        _ if std::process::id() != 1 => {
            eprintln!("fuse-bench: the first process of a machine of its own; see scripts/bench");
            std::process::exit(2);
        }
        _ => (),
    }
    sys::mount("devtmpfs", "/dev", "");
    let port = OpenOptions::new()
        .write(true)
        .open("/dev/ttyS1")
        .expect("the second serial port");
    let again = Report::new(port.try_clone().expect("a descriptor"));
    std::panic::set_hook(Box::new(move |why| {
        let text = why.to_string().replace('\n', " ");
        eprintln!("{text}");
        again.line(&format!("error {text}"));
        if std::process::id() == 1 {
            sys::power_off()
        }
    }));
    bench(&mut Report::new(port));
    sys::power_off()
}
