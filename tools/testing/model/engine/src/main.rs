// SPDX-License-Identifier: GPL-2.0

//! The request engine of `fs/fuse`, as it is, under a scheduler that a checker controls.
//!
//! `engine` runs all scenarios and reports in TAP; `engine PATTERN` those with that in their names;
//! `engine --list` says what there is; `engine --one NAME` runs one in this process.
#![feature(arbitrary_self_types)]
#![cfg_attr(feature = "fuzz", no_main)]
#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    unused_variables,
    unreachable_code
)]

/// What the module is called in the tree.
struct LocalModule;

mod fuse;
#[cfg(feature = "fuzz")]
mod fuzz;
mod glue;
mod ring;
mod scenarios;
mod vfs;
mod witness;
mod world;

use kernel::rt;
use scenarios::Scenario;
use std::{
    io::Write,
    process::{
        Command,
        ExitCode, //
    },
    sync::atomic::{
        AtomicUsize,
        Ordering::Relaxed, //
    },
    time::Instant,
};

/// Orders that were tried.
static ORDERS: AtomicUsize = AtomicUsize::new(0);

/// A number of the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What random orders come from: the same ones again if it is given.
fn seed() -> u64 {
    static SEED: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *SEED.get_or_init(|| {
        number("SEED").unwrap_or_else(|| {
            let now = std::time::SystemTime::now();
            let since = now.duration_since(std::time::UNIX_EPOCH);
            since.map_or(1, |since| since.as_nanos() as u64)
        })
    })
}

/// One order.
fn once(run: fn()) {
    ORDERS.fetch_add(1, Relaxed);
    rt::begin();
    witness::begin();
    rt::adopt("main");
    run();
    rt::end();
}

#[cfg(feature = "loom")]
const CHECKER: &str = "loom";
#[cfg(feature = "shuttle")]
const CHECKER: &str = "shuttle";
#[cfg(not(any(feature = "loom", feature = "shuttle")))]
const CHECKER: &str = "host";

#[cfg(feature = "loom")]
fn explore(scenario: &Scenario) {
    let mut model = loom::model::Builder::new();
    let preemptions = std::env::var("PREEMPTIONS")
        .ok()
        .and_then(|n| n.parse().ok());
    model.preemption_bound = Some(preemptions.unwrap_or(scenario.preemptions));
    model.max_branches = 20_000;
    let run = scenario.run;
    model.check(move || once(run));
}

/// Seconds that each scenario is tried for, in random orders.
#[cfg(all(feature = "shuttle", not(feature = "loom")))]
const SECONDS: u64 = 2;

#[cfg(all(feature = "shuttle", not(feature = "loom")))]
fn explore(scenario: &Scenario) {
    use shuttle::scheduler::{
        PctScheduler,
        RandomScheduler, //
    };
    let run = scenario.run;
    let seconds = number("SECONDS_EACH").unwrap_or(SECONDS);
    let seed = seed();
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(100_000);
    config.max_time = Some(std::time::Duration::from_millis(seconds * 1000 / 2));
    config.silence_warnings = true;
    // Half of the time for orders in which each thread runs for long.
    let pct = PctScheduler::new_from_seed(seed, 3, usize::MAX);
    shuttle::Runner::new(pct, config.clone()).run(move || once(run));
    let random = RandomScheduler::new_from_seed(seed, usize::MAX);
    shuttle::Runner::new(random, config).run(move || once(run));
}

#[cfg(not(any(feature = "loom", feature = "shuttle")))]
fn explore(scenario: &Scenario) {
    for _ in 0..1000 {
        once(scenario.run);
    }
}

/// Runs one scenario in all orders; a failure ends the process.
fn one(scenario: &'static Scenario) {
    // SAFETY: It is dropped when all runs have ended.
    let _slab = unsafe { vfs::sync::entry::Registration::<fuse::request::Request>::new() };
    std::panic::set_hook(Box::new(move |panic| {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(
            out,
            "in order {} of {}:",
            ORDERS.load(Relaxed),
            scenario.name
        );
        for step in rt::steps() {
            let _ = writeln!(out, "  {step}");
        }
        let _ = writeln!(out, "  and then: {panic}");
        let seed = match CHECKER {
            "shuttle" => format!("SEED={} ", seed()),
            _ => String::new(),
        };
        let name = scenario.name;
        let _ = writeln!(
            out,
            "to replay it: env {seed}/build/out/model/{CHECKER} --one {name}"
        );
        let _ = out.flush();
        std::process::exit(101);
    }));
    explore(scenario);
    println!("{} orders", ORDERS.load(Relaxed));
}

#[cfg(not(feature = "fuzz"))]
fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--list"] => {
            for scenario in scenarios::all() {
                println!("{}: {}", scenario.name, scenario.property);
            }
            ExitCode::SUCCESS
        }
        ["--one", name] => match scenarios::all().find(|scenario| scenario.name == name) {
            Some(scenario) => {
                one(scenario);
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("no such scenario: {name}");
                ExitCode::FAILURE
            }
        },
        [] => report(""),
        [pattern] => report(pattern),
        _ => {
            eprintln!("usage: engine [PATTERN | --list | --one NAME]");
            ExitCode::FAILURE
        }
    }
}

/// Scenarios that run at a time.
const AT_A_TIME: usize = 2;

/// Runs those that match, each in a process of its own, and reports in TAP.
fn report(pattern: &str) -> ExitCode {
    let chosen: Vec<_> = scenarios::all()
        .filter(|scenario| matches(scenario.name, pattern))
        .collect();
    println!("1..{}", chosen.len());
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(scenario) = chosen.get(next.fetch_add(1, Relaxed)) {
                    if !child(scenario) {
                        failed.fetch_add(1, Relaxed);
                    }
                }
            });
        }
    });
    if failed.into_inner() != 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Whether the name has the pattern in it, where `*` stands for anything.
fn matches(name: &str, pattern: &str) -> bool {
    let name = &format!("{CHECKER}/{name}");
    let mut rest = name.as_str();
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

/// Runs one scenario in a process of its own and reports it.
fn child(scenario: &Scenario) -> bool {
    let begin = Instant::now();
    let done = std::env::current_exe()
        .and_then(|this| Command::new(this).args(["--one", scenario.name]).output());
    let (good, out) = match done {
        Ok(done) => (
            done.status.success(),
            String::from_utf8_lossy(&done.stdout).into_owned(),
        ),
        Err(error) => (false, error.to_string()),
    };
    let took = begin.elapsed().as_secs_f32();
    let mut report = format!(
        "{}ok - {CHECKER}/{}: {} ({took:.1} s",
        if good { "" } else { "not " },
        scenario.name,
        scenario.property,
    );
    if good {
        report += &format!(", {})\n", out.trim());
    } else {
        report += ")\n";
        for line in out.lines() {
            report += &format!("# {line}\n");
        }
    }
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(report.as_bytes()).is_ok() && good
}
