// SPDX-License-Identifier: GPL-2.0

//! Tracepoints: fuse_request_send, fuse_request_sent and fuse_request_end of the system fuse.

use crate::harness::skip;
use crate::mockd::*;
use std::fs::read_to_string;

crate::tests![
    formats,
    life_of_a_request,
    request_that_is_withdrawn,
    background_and_forget
];

const T: &str = "/mnt/tracing";

/// Mounts tracefs with an instance of its own, so that nobody else's tracing is disturbed.
struct Trace(String);

impl Trace {
    fn start() -> Self {
        mkdir(T).unwrap();
        if mount("tracefs", T, "tracefs", 0, "").is_err() {
            skip("no tracefs");
        }
        let dir = format!("{T}/instances/fuse-selftests-{}", std::process::id());
        let _ = std::fs::remove_dir(&dir);
        std::fs::create_dir(&dir).unwrap();
        let t = Trace(dir);
        std::fs::write(format!("{}/events/fuse/enable", t.0), "1")
            .expect("events of the system fuse");
        t
    }

    /// The events so far, without what comes before the name.
    fn lines(&self) -> Vec<String> {
        let all = read_to_string(format!("{}/trace", self.0)).unwrap();
        let event = |l: &str| {
            l.find(": fuse_request_")
                .map(|i| l[i + 2..].trim_end().to_string())
        };
        all.lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(event)
            .collect()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("{}/events/fuse/enable", self.0), "0");
        let _ = std::fs::remove_dir(&self.0);
        let _ = umount(T, libc::MNT_DETACH);
    }
}

/// Each event has the fields that tools know.
fn formats() {
    let t = Trace::start();
    for (event, fields) in [
        (
            "fuse_request_send",
            "field:dev_t connection; field:uint64_t unique; field:enum fuse_opcode opcode; field:uint32_t len;",
        ),
        ("fuse_request_sent", "field:dev_t connection; field:uint64_t unique; field:enum fuse_opcode opcode;"),
        ("fuse_request_end", "field:dev_t connection; field:uint64_t unique; field:uint32_t len; field:int32_t error;"),
    ] {
        let format = read_to_string(format!("{}/events/fuse/{event}/format", t.0)).unwrap();
        let own: Vec<_> = format
            .lines()
            .map(str::trim)
            .filter(|l| l.starts_with("field:") && !l.contains("common_"))
            .map(|l| format!("{};", l.split(';').next().unwrap()))
            .collect();
        assert_eq!(own.join(" "), fields, "{event}");
    }
}

/// A request is sent, read and ended; the events say on which connection, its number, opcode, lengths and error.
fn life_of_a_request() {
    let t = Trace::start();
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").map(drop), m.stat("f").map(drop)));
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    fs.lookup(ROOT, "f", file(2));
    let _ = c.wait();
    let lines = t.lines();
    let connection = lines[0].split(' ').nth(2).unwrap().to_string();
    let expected = [
        format!("fuse_request_send: connection {connection} req 2 opcode 26 (FUSE_INIT) len 104"),
        format!("fuse_request_sent: connection {connection} req 2 opcode 26 (FUSE_INIT)"),
        format!("fuse_request_end: connection {connection} req 2 len 80 error 0"),
        format!("fuse_request_send: connection {connection} req 4 opcode 1 (FUSE_LOOKUP) len 42"),
        format!("fuse_request_sent: connection {connection} req 4 opcode 1 (FUSE_LOOKUP)"),
        format!("fuse_request_end: connection {connection} req 4 len 16 error -2"),
        format!("fuse_request_send: connection {connection} req 6 opcode 1 (FUSE_LOOKUP) len 42"),
        format!("fuse_request_sent: connection {connection} req 6 opcode 1 (FUSE_LOOKUP)"),
        format!("fuse_request_end: connection {connection} req 6 len 144 error 0"),
    ];
    assert_eq!(lines, expected);
}

/// A request that is withdrawn before it is read was sent, and neither read nor ended.
fn request_that_is_withdrawn() {
    let t = Trace::start();
    let fs = Fs::new();
    let mut c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    let kinds: Vec<_> = t
        .lines()
        .iter()
        .skip(3)
        .map(|l| l.split(':').next().unwrap().to_string())
        .collect();
    assert_eq!(kinds, ["fuse_request_send"]);
}

/// RELEASE is traced as any request; FORGET and INTERRUPT, which nobody waits for, are not.
fn background_and_forget() {
    let t = Trace::start();
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.open("f").and_then(close).unwrap();
        m.stat("f").map(drop)
    });
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    let (a, b) = (fs.dev().next(), fs.dev().next());
    let (lookup, forget) = if a.head.opcode == LOOKUP {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!(forgotten(&forget), [(2, 1)]);
    lookup.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    let sent: Vec<_> = t
        .lines()
        .iter()
        .filter(|l| l.starts_with("fuse_request_sent"))
        .map(|l| l[l.find('(').unwrap() + 1..l.len() - 1].to_string())
        .collect();
    let expected = [
        "FUSE_INIT",
        "FUSE_LOOKUP",
        "FUSE_OPEN",
        "FUSE_FLUSH",
        "FUSE_RELEASE",
        "FUSE_LOOKUP",
        "FUSE_LOOKUP",
    ];
    assert_eq!(sent, expected);
}
