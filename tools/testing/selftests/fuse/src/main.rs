// SPDX-License-Identifier: GPL-2.0

//! The FUSE client's behaviour, checked by a mock server on the raw device.
//!
//! `fuse-selftests [--list] [--module c|rust] [--slow N] [FILTER...]` prints TAP. Needs root, /dev/fuse and a kernel
//! with FUSE loaded. Every test passes on the C module of the same kernel: that is where the laws come from. The first
//! line of a test's doc is the law that it holds; read in order, the files in `tests/` are the protocol.

mod harness;
mod mockd;
mod tests;

use harness::Outcome;
use harness::Test;
use std::time::Instant;

const USAGE: &str = "usage: fuse-selftests [--list] [--module c|rust] [--slow N] [FILTER...]
  --list      print the names of the tests and end
  --module M  say which module is loaded; goes into the output only
  --slow N    make every timeout N times as long (a debug kernel wants 5); FUSE_SELFTESTS_SLOW=N does the same
  FILTER      run the tests whose name contains one of these";

fn usage() -> ! {
    eprintln!("{USAGE}");
    std::process::exit(2)
}

fn main() {
    let mut list = false;
    let mut module = None;
    let mut slow: u64 = std::env::var("FUSE_SELFTESTS_SLOW")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(1);
    let mut filters = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        match a.as_str() {
            "--list" => list = true,
            "--module" => match args.next().as_deref() {
                Some(m @ ("c" | "rust")) => module = Some(m.to_string()),
                _ => usage(),
            },
            "--slow" => {
                slow = args
                    .next()
                    .and_then(|s| s.parse().ok())
                    .unwrap_or_else(|| usage())
            }
            _ if a.starts_with('-') => usage(),
            _ => filters.push(a),
        }
    }
    mockd::set_slowness(slow);

    let short = |t: &Test| {
        t.name
            .trim_start_matches("fuse_selftests::tests::")
            .to_string()
    };
    let chosen: Vec<&Test> = tests::ALL
        .iter()
        .flat_map(|t| t.iter())
        .filter(|t| filters.is_empty() || filters.iter().any(|f| short(t).contains(f.as_str())))
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
    if let Some(m) = module {
        println!("# module: {m}");
    }
    let start = Instant::now();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (i, t) in chosen.iter().enumerate() {
        let begun = Instant::now();
        let outcome = harness::run(t, mockd::ms(30_000));
        let took = begun.elapsed().as_millis();
        let (n, name) = (i + 1, short(t));
        match outcome {
            Outcome::Passed => {
                passed += 1;
                println!("ok {n} {name}");
            }
            Outcome::Skipped(why) => {
                skipped += 1;
                println!("ok {n} {name} # SKIP {why}");
            }
            Outcome::Failed(why) => {
                failed += 1;
                println!("not ok {n} {name}");
                why.lines().for_each(|l| println!("# {l}"));
            }
        }
        if took > 3000 {
            println!("# took {took} ms");
        }
    }
    println!(
        "# {passed} passed, {failed} failed, {skipped} skipped in {} ms",
        start.elapsed().as_millis()
    );
    std::process::exit(i32::from(failed > 0));
}
