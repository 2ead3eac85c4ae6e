// SPDX-License-Identifier: GPL-2.0

//! fusectl's latency: how long requests wait for a reader, for their answer, and to be woken.
//!
//! The C module does not have it.

use super::control::Control;
use crate::mockd::*;

crate::tests![
    permissions_and_switch,
    every_part_is_counted,
    times_are_right,
    nobody_waits_in_the_background,
    off_and_on_again,
    only_whole_lives,
    what_is_aborted_is_not_answered,
    callers_side_by_side,
    one_connection_only,
    of_a_connection_that_is_gone,
];

/// Powers of two of nanoseconds between which times are told apart.
const POWERS: std::ops::RangeInclusive<u32> = 10..=33;

/// One row.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    opcode: String,
    time: String,
    count: u64,
    total: u64,
    classes: Vec<u64>,
}

impl Row {
    /// Times that were not less than two to `power`.
    fn not_below(&self, power: u32) -> u64 {
        self.classes[(power - POWERS.start() + 1) as usize..]
            .iter()
            .sum()
    }
}

fn control() -> Control {
    skip_without_rust("a file of latencies");
    Control::new()
}

/// Whether it counts, and the rows of a table that has the right form.
fn table(ctl: &Control, fs: &Fs) -> (bool, Vec<Row>) {
    let text = std::fs::read_to_string(ctl.file(fs, "latency")).expect("latency");
    let mut lines = text.lines();
    let on = match lines.next() {
        Some("counting on") => true,
        Some("counting off") => false,
        other => panic!("{other:?}"),
    };
    let mut header: Vec<_> = ["opcode", "time", "count", "total_ns"]
        .map(String::from)
        .into();
    header.extend(POWERS.map(|p| format!("<2^{p}")));
    header.push("more".into());
    let head: Vec<_> = lines
        .next()
        .expect("a header")
        .split_ascii_whitespace()
        .collect();
    assert_eq!(head, header);
    let number = |w: &&str| w.parse::<u64>().unwrap_or_else(|_| panic!("{text}"));
    let rows = lines.map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        assert_eq!(words.len(), header.len(), "{line}");
        let row = Row {
            opcode: words[0].into(),
            time: words[1].into(),
            count: number(&words[2]),
            total: number(&words[3]),
            classes: words[4..].iter().map(number).collect(),
        };
        assert_eq!(row.classes.iter().sum::<u64>(), row.count, "{line}");
        row
    });
    (on, rows.collect())
}

/// The rows of an operation, which are in the order queue, service, wakeup.
fn rows_of(ctl: &Control, fs: &Fs, opcode: &str) -> Vec<Row> {
    let (_, mut rows) = table(ctl, fs);
    rows.retain(|r| r.opcode == opcode);
    let times: Vec<_> = rows.iter().map(|r| &r.time[..]).collect();
    assert!(
        ["queue", "service", "wakeup"].starts_with(&times),
        "{times:?}"
    );
    rows
}

fn counts(rows: &[Row]) -> Vec<u64> {
    rows.iter().map(|r| r.count).collect()
}

/// One LOOKUP that is answered ENOENT.
fn lookup(fs: &Fs) {
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// The owner of the mount may read it, and write 1 or 0 to switch it on or off, which it is at first.
fn permissions_and_switch() {
    let ctl = control();
    let fs = Setup::new().owner(1000, 1001).option("allow_other").start();
    let s = stat(&ctl.file(&fs, "latency")).unwrap();
    assert_eq!((s.mode, s.uid, s.gid), (libc::S_IFREG | 0o600, 1000, 1001));
    assert_eq!(table(&ctl, &fs), (false, vec![]));
    lookup(&fs);
    assert_eq!(table(&ctl, &fs), (false, vec![]));
    for (text, on) in [
        ("1\n", true),
        ("1", true),
        ("0", false),
        ("0\n", false),
        ("0x1", true),
    ] {
        assert_eq!(ctl.set(&fs, "latency", text), Ok(text.len()));
        assert_eq!(table(&ctl, &fs), (on, vec![]), "{text:?}");
    }
    for text in ["2", "-1", "", "on", "1 1"] {
        assert_eq!(ctl.set(&fs, "latency", text), Err(EINVAL), "{text:?}");
    }
    assert_eq!(table(&ctl, &fs), (true, vec![]));
}

/// Each request is counted once in each part of its life.
fn every_part_is_counted() {
    let ctl = control();
    let fs = Fs::new();
    ctl.set(&fs, "latency", "1").unwrap();
    for n in 1..=3 {
        lookup(&fs);
        assert_eq!(counts(&rows_of(&ctl, &fs, "LOOKUP")), [n, n, n]);
    }
    let (on, rows) = table(&ctl, &fs);
    assert!(on);
    assert!(rows.iter().all(|r| r.opcode == "LOOKUP"), "{rows:#?}");
}

/// The time until it is read is queue, the time until it is answered service; the classes are powers of two.
fn times_are_right() {
    const WAIT_MS: u64 = 70;
    // 67 ms.
    const POWER: u32 = 26;
    let ctl = control();
    let fs = Fs::new();
    ctl.set(&fs, "latency", "1").unwrap();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    sleep_ms(WAIT_MS);
    let r = fs.expect_lookup(ROOT, "f");
    let rows = rows_of(&ctl, &fs, "LOOKUP");
    assert_eq!(counts(&rows), [1]);
    assert!(rows[0].total >= WAIT_MS * 1_000_000, "{rows:#?}");
    assert_eq!(rows[0].not_below(POWER), 1);
    sleep_ms(WAIT_MS);
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    let rows = rows_of(&ctl, &fs, "LOOKUP");
    assert_eq!(counts(&rows), [1, 1, 1]);
    assert!(rows[1].total >= WAIT_MS * 1_000_000, "{rows:#?}");
    assert_eq!(rows[1].not_below(POWER), 1);
    for row in &rows {
        let class = row.classes.iter().position(|n| *n == 1).unwrap() as u32;
        let below = POWERS.start() + class;
        assert!(row.total < 1 << below, "{row:?}");
        assert!(class == 0 || row.total >= 1 << (below - 1), "{row:?}");
    }
}

/// Who releases a file does not wait, and is not woken.
fn nobody_waits_in_the_background() {
    let ctl = control();
    let fs = Fs::new();
    ctl.set(&fs, "latency", "1").unwrap();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(counts(&rows_of(&ctl, &fs, "RELEASE")), [1, 1]);
    for opcode in ["LOOKUP", "OPEN", "FLUSH"] {
        assert_eq!(counts(&rows_of(&ctl, &fs, opcode)), [1, 1, 1], "{opcode}");
    }
}

/// What was counted stays after the end of the counting, until it begins again.
fn off_and_on_again() {
    let ctl = control();
    let fs = Fs::new();
    ctl.set(&fs, "latency", "1").unwrap();
    lookup(&fs);
    ctl.set(&fs, "latency", "0").unwrap();
    let before = table(&ctl, &fs);
    assert_eq!((before.0, before.1.len()), (false, 3));
    lookup(&fs);
    assert_eq!(table(&ctl, &fs), before);
    ctl.set(&fs, "latency", "1").unwrap();
    assert_eq!(table(&ctl, &fs), (true, vec![]));
    lookup(&fs);
    assert_eq!(counts(&rows_of(&ctl, &fs, "LOOKUP")), [1, 1, 1]);
}

/// A request that was made before it was switched on is not counted; one that was made before it was switched off is.
fn only_whole_lives() {
    let ctl = control();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    ctl.set(&fs, "latency", "1").unwrap();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(table(&ctl, &fs), (true, vec![]));

    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    ctl.set(&fs, "latency", "0").unwrap();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(counts(&rows_of(&ctl, &fs, "LOOKUP")), [1, 1, 1]);
}

/// A request that ends otherwise than by an answer is counted as far as it came.
fn what_is_aborted_is_not_answered() {
    let ctl = control();
    let mut fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    ctl.set(&fs, "latency", "1").unwrap();
    let sent = fs.call(|m| m.stat("a").map(drop));
    let _ = fs.expect_lookup(ROOT, "a");
    let pending = fs.call(|m| m.stat("b").map(drop));
    pending.until_interruptible();
    assert!(fs.dev().readable());
    ctl.set(&fs, "abort", "1").unwrap();
    assert_eq!(sent.wait(), Err(ECONNABORTED));
    assert_eq!(pending.wait(), Err(ECONNABORTED));
    assert_eq!(counts(&rows_of(&ctl, &fs, "LOOKUP")), [1]);
    fs.die();
    fs.unmount();
}

/// What happens on all CPUs at a time is counted, all of it.
fn callers_side_by_side() {
    const CALLERS: u64 = 4;
    const CALLS: u64 = 25;
    let ctl = control();
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    ctl.set(&fs, "latency", "1").unwrap();
    let callers: Vec<_> = (0..CALLERS)
        .map(|i| {
            fs.call(move |m| {
                (0..CALLS)
                    .filter(|_| m.stat(&i.to_string()).is_err())
                    .count()
            })
        })
        .collect();
    for _ in 0..CALLERS * CALLS {
        fs.expect(LOOKUP).err(ENOENT);
    }
    for c in callers {
        assert_eq!(c.wait() as u64, CALLS);
    }
    let all = CALLERS * CALLS;
    assert_eq!(counts(&rows_of(&ctl, &fs, "LOOKUP")), [all, all, all]);
}

/// Each connection has a switch and a table of its own.
fn one_connection_only() {
    let ctl = control();
    let (on, off) = (Fs::new(), Fs::new());
    ctl.set(&on, "latency", "1").unwrap();
    lookup(&off);
    assert_eq!(table(&ctl, &off), (false, vec![]));
    assert_eq!(table(&ctl, &on), (true, vec![]));
    lookup(&on);
    assert_eq!(table(&ctl, &off), (false, vec![]));
}

/// The open file of a connection that is gone is empty, and takes what would have been right.
fn of_a_connection_that_is_gone() {
    let ctl = control();
    let mut fs = Fs::new();
    let fd = open(&ctl.file(&fs, "latency"), libc::O_RDWR).unwrap();
    fs.unmount();
    assert_eq!(read(fd, 100), Ok(vec![]));
    assert_eq!(write(fd, b"1"), Ok(1));
    assert_eq!(write(fd, b"2"), Err(EINVAL));
    close(fd).unwrap();
}
