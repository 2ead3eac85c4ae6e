// SPDX-License-Identifier: GPL-2.0

//! The FUSE client's behaviour, checked by a mock server on the raw device.
//!
//! `fuse-selftests [--list] [OPTION...] [FILTER...]` prints TAP. Needs root, /dev/fuse and a kernel
//! with FUSE loaded. Every test passes on the C module of the same kernel: that is where the laws come from. The first
//! line of a test's doc is the law that it holds; read in order, the files in `tests/` are the protocol.

mod harness;
mod mockd;
mod tests;

use harness::Outcome;
use harness::Test;
use std::time::Instant;

const USAGE: &str = "usage: fuse-selftests [--list] [OPTION...] [FILTER...]
  --list      print the names of the tests and end
  --module M  say which module is loaded (c); for rust, the tests in rust.todo are expected to fail
  --slow N    make every timeout N times as long (5 on a kernel with lockdep, else 1)
  --seed N    throw the dice of the tests by chance as in the run that printed N
  --ring N    have requests go over a ring with N entries on each queue; without the tests in by_device
  --stress N  seconds that the stress test takes (60 on a kernel with lockdep, else 10)
  --part K/N  only every Nth of the tests, beginning with the Kth
  FILTER      run the tests whose name contains one of these, where * stands for anything";

fn usage() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2)
}

fn number(argument: Option<String>) -> u64 {
    argument
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(|| usage())
}

/// `K/N`, where K is 1 to N.
fn part_of(argument: Option<String>) -> (usize, usize) {
    argument
        .and_then(|s| {
            let (part, parts) = s.split_once('/')?;
            Some((part.parse().ok()?, parts.parse().ok()?))
        })
        .filter(|(part, parts)| (1..=*parts).contains(part))
        .unwrap_or_else(|| usage())
}

fn main() {
    let mut list = false;
    let mut module = String::from("c");
    let (mut slow, mut stress) = if mockd::kernel_checks_everything() {
        (5, 60)
    } else {
        (1, 10)
    };
    let mut seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |t| t.as_nanos() as u64 % 1_000_000_007);
    let mut ring = 0;
    let mut part = (1, 1);
    let mut filters = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--list" => list = true,
            "--module" => match args.next().as_deref() {
                Some(m @ ("c" | "rust")) => module = m.to_string(),
                _ => usage(),
            },
            "--slow" => slow = number(args.next()),
            "--seed" => seed = number(args.next()),
            "--stress" => stress = number(args.next()),
            "--ring" => ring = number(args.next()) as usize,
            "--part" => part = part_of(args.next()),
            _ if a.starts_with('-') => usage(),
            _ => filters.push(a),
        }
    }
    mockd::set_slowness(slow);
    mockd::set_rust(module == "rust");
    mockd::set_seed(seed);
    mockd::set_stress(stress);
    // Put back at the end of the run.
    let enabled = (ring > 0).then(|| {
        mockd::set_default_ring(ring);
        let uring = mockd::Setting::parameter("enable_uring");
        uring.set("Y").expect("the parameter enable_uring");
        uring
    });

    let short = |t: &Test| {
        t.name
            .trim_start_matches("fuse_selftests::tests::")
            .to_string()
    };
    let by_device = listed(include_str!("../by_device"));
    let chosen: Vec<&Test> = tests::ALL
        .iter()
        .flat_map(|t| t.iter())
        .filter(|t| filters.is_empty() || filters.iter().any(|f| is_in(&short(t), f)))
        .filter(|t| ring == 0 || !by_device.iter().any(|(name, _)| short(t).starts_with(name)))
        .skip(part.0 - 1)
        .step_by(part.1)
        .collect();
    if list {
        chosen.iter().for_each(|t| println!("{}", short(t)));
        return;
    }
    if chosen.is_empty() {
        eprintln!("no test matches");
        std::process::exit(2);
    }
    // SAFETY: no memory involved. Resident pages keep callers from sleeping in page faults; not vital.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) };

    println!("TAP version 13");
    println!("1..{}", chosen.len());
    println!("# module {module}, timeouts times {slow}, seed {seed}");
    let todo = if module == "rust" { todo() } else { Vec::new() };
    let start = Instant::now();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (i, t) in chosen.iter().enumerate() {
        // Tells which test it is, should the guest hang in it.
        println!("# begin {}", short(t));
        let begun = Instant::now();
        let outcome = harness::run(t, mockd::ms(30_000) + 3000 * stress as i64);
        let took = begun.elapsed().as_millis();
        let (n, name) = (i + 1, short(t));
        let expected_to_fail = todo.iter().find(|(listed, _)| *listed == name);
        match (outcome, expected_to_fail) {
            (Outcome::Passed, None) => {
                passed += 1;
                println!("ok {n} {name}");
            }
            (Outcome::Passed, Some(_)) => {
                failed += 1;
                println!("not ok {n} {name}\n# passes now: take it off rust.todo");
            }
            (Outcome::Skipped(why), _) => {
                skipped += 1;
                println!("ok {n} {name} # SKIP {why}");
            }
            (Outcome::Failed(_), Some((_, why))) => {
                skipped += 1;
                println!("ok {n} {name} # SKIP not yet: {why}");
            }
            (Outcome::Failed(why), None) => {
                failed += 1;
                println!("not ok {n} {name}");
                why.lines().for_each(|l| println!("# {l}"));
            }
        }
        if took > mockd::ms(3000) as u128 {
            println!("# took {took} ms");
        }
    }
    let took = start.elapsed().as_millis();
    println!("# {passed} passed, {failed} failed, {skipped} skipped in {took} ms");
    drop(enabled);
    std::process::exit(i32::from(failed > 0));
}

/// Whether `name` contains this pattern.
fn is_in(name: &str, pattern: &str) -> bool {
    let mut rest = name;
    pattern.split('*').all(|piece| {
        let found = rest.find(piece);
        rest = found.map_or("", |at| &rest[at + piece.len()..]);
        found.is_some()
    })
}

/// The names and reasons of a list.
fn listed(text: &'static str) -> Vec<(&'static str, &'static str)> {
    text.lines()
        .filter(|l| !l.starts_with('#'))
        .filter_map(|l| l.split_once(' '))
        .map(|(n, why)| (n, why.trim()))
        .collect()
}

/// The tests that the Rust module does not pass yet, with the reasons.
fn todo() -> Vec<(&'static str, &'static str)> {
    let todo = listed(include_str!("../rust.todo"));
    for (name, _) in &todo {
        let full = format!("fuse_selftests::tests::{name}");
        let known = tests::ALL
            .iter()
            .any(|table| table.iter().any(|t| t.name == full));
        assert!(known, "rust.todo names {name}, which is no test");
    }
    todo
}
