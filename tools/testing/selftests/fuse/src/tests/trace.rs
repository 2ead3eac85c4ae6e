// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of the system fuse: three that tools know, and those that tell the rest of a request's life.
//!
//! The C module has the three only.

use crate::harness::skip;
use crate::mockd::*;
use std::collections::BTreeSet;
use std::fs::read_to_string;

crate::tests![
    formats,
    life_of_a_request,
    request_that_is_withdrawn,
    background_and_forget,
    set_of_events,
    formats_of_the_rest,
    every_step_of_a_request,
    every_step_in_the_background,
    answer_that_is_refused,
    signals_and_kills,
    sent_again,
    the_gate,
    abort_and_forget,
    filtered_by_node,
];

const T: &str = "/mnt/tracing";

/// What tools know.
const KNOWN: [&str; 3] = ["fuse_request_send", "fuse_request_sent", "fuse_request_end"];

/// What every other event of a request says.
const SUBJECT: &str =
    "field:dev_t connection; field:uint64_t unique; field:enum fuse_opcode opcode; \
    field:uint64_t nodeid; field:uint32_t pid; field:pid_t tgid; field:uint32_t len;";

/// The other events: what they say besides `SUBJECT`, or instead if that begins with a field of theirs.
const REST: [(&str, &str); 21] = [
    ("fuse_request_background", "+ field:const void * request;"),
    ("fuse_request_queue", "+ field:const void * request;"),
    ("fuse_request_start", "+ field:uint32_t device;"),
    ("fuse_request_reply", "+ field:uint32_t device;"),
    ("fuse_request_copy", "+ field:uint8_t out; field:uint32_t bytes; field:int32_t error;"),
    ("fuse_request_wake", "+ field:int32_t error;"),
    ("fuse_request_interrupt", "+"),
    ("fuse_interrupt_queue", "+"),
    ("fuse_request_kill", "+"),
    ("fuse_request_cancel", "+"),
    ("fuse_request_abandon", "+"),
    ("fuse_request_resend", "+"),
    ("fuse_request_timeout", "+ field:uint64_t age;"),
    (
        "fuse_interrupt_sent",
        "field:dev_t connection; field:uint64_t unique; field:pid_t tgid;",
    ),
    (
        "fuse_gate_wait",
        "field:dev_t connection; field:pid_t tgid; field:uint8_t background; field:uint8_t initialized;",
    ),
    (
        "fuse_gate_pass",
        "field:dev_t connection; field:pid_t tgid; field:uint8_t background; field:int32_t error;",
    ),
    (
        "fuse_connection_abort",
        "field:dev_t connection; field:pid_t tgid; field:uint32_t waiting;",
    ),
    (
        "fuse_forget_queue",
        "field:dev_t connection; field:uint64_t nodeid; field:uint64_t nlookup; field:pid_t tgid;",
    ),
    (
        "fuse_forget_sent",
        "field:dev_t connection; field:uint64_t unique; field:uint32_t count; field:pid_t tgid;",
    ),
    (
        "fuse_notify",
        "field:dev_t connection; field:int32_t code; field:uint32_t len; field:pid_t tgid;",
    ),
    (
        "fuse_notify_end",
        "field:dev_t connection; field:int32_t code; field:int32_t error; field:pid_t tgid;",
    ),
];

/// Mounts tracefs with an instance of its own, so that nobody else's tracing is disturbed.
struct Trace(String);

impl Trace {
    /// Traces what tools know.
    fn start() -> Self {
        let t = Self::off();
        for event in KNOWN {
            t.set(event, "enable", "1");
        }
        t
    }

    /// Traces everything.
    fn start_all() -> Self {
        skip_without_rust("more than three tracepoints");
        let t = Self::off();
        std::fs::write(format!("{}/events/fuse/enable", t.0), "1").unwrap();
        t
    }

    fn off() -> Self {
        mkdir(T).unwrap();
        if mount("tracefs", T, "tracefs", 0, "").is_err() {
            skip("no tracefs");
        }
        let dir = format!("{T}/instances/fuse-selftests-{}", std::process::id());
        let _ = std::fs::remove_dir(&dir);
        std::fs::create_dir(&dir).unwrap();
        Trace(dir)
    }

    fn set(&self, event: &str, file: &str, text: &str) {
        std::fs::write(format!("{}/events/fuse/{event}/{file}", self.0), text)
            .unwrap_or_else(|e| panic!("{file} of {event}: {e}"));
    }

    /// The fields of an event that are its own.
    fn fields(&self, event: &str) -> String {
        let format = read_to_string(format!("{}/events/fuse/{event}/format", self.0)).unwrap();
        let own: Vec<_> = format
            .lines()
            .map(str::trim)
            .filter(|l| l.starts_with("field:") && !l.contains("common_"))
            .map(|l| format!("{};", l.split(';').next().unwrap()))
            .collect();
        own.join(" ")
    }

    /// The events so far, without what comes before the name.
    fn lines(&self) -> Vec<String> {
        let all = read_to_string(format!("{}/trace", self.0)).unwrap();
        let event = |l: &str| l.find(": fuse_").map(|i| l[i + 2..].trim_end().to_string());
        all.lines()
            .filter(|l| !l.starts_with('#'))
            .filter_map(event)
            .collect()
    }

    /// The events from the first one that begins with `first` on: what they say, with what nobody can know
    /// (processes outside, addresses) replaced by `*`.
    fn told_since(&self, first: &str) -> Vec<String> {
        let lines = self.lines();
        let from = lines.iter().position(|l| l.starts_with(first));
        let from = from.unwrap_or_else(|| panic!("no {first} in {lines:#?}"));
        lines[from..].iter().map(|l| masked(l)).collect()
    }

    /// The names of the events since the first `first`, without `fuse_`.
    fn names_since(&self, first: &str) -> Vec<String> {
        let told = self.told_since(first);
        let name = |l: &String| l.split(':').next().unwrap()["fuse_".len()..].to_string();
        told.iter().map(name).collect()
    }

    /// The connection that the events are of.
    fn connection(&self) -> String {
        word_after(&self.lines()[0], "connection").to_string()
    }
}

/// The word that follows `key`.
fn word_after<'a>(line: &'a str, key: &str) -> &'a str {
    let mut words = line.split(' ').skip_while(|w| *w != key);
    words.nth(1).unwrap_or_else(|| panic!("{key} in {line}"))
}

fn masked(line: &str) -> String {
    let mut hide = false;
    let word = |w: &str| {
        let shown = if hide { "*" } else { w }.to_string();
        hide = ["tgid", "request"].contains(&w);
        shown
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
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
        assert_eq!(t.fields(event), fields, "{event}");
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

/// There are these events and no others.
fn set_of_events() {
    let t = Trace::off();
    let there: BTreeSet<_> = std::fs::read_dir(format!("{}/events/fuse", t.0))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("fuse_"))
        .collect();
    let mut expected: BTreeSet<String> = KNOWN.iter().map(|e| e.to_string()).collect();
    if is_rust() {
        expected.extend(REST.iter().map(|(e, _)| e.to_string()));
    }
    assert_eq!(there, expected);
}

/// Each event of a request says who asks for what, and then what is its own.
fn formats_of_the_rest() {
    skip_without_rust("more than three tracepoints");
    let t = Trace::off();
    for (event, fields) in REST {
        let expected = match fields.strip_prefix('+') {
            Some(own) => format!("{SUBJECT}{own}"),
            None => fields.to_string(),
        };
        assert_eq!(t.fields(event), expected, "{event}");
    }
}

/// From the queue to the answer, each step is an event; all of them say whose request it is, and each in whose context
/// it happens.
fn every_step_of_a_request() {
    let t = Trace::start_all();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2));
    c.wait().unwrap();
    let (connection, pid) = (t.connection(), c.pid);
    let told = t.told_since("fuse_request_send: connection");
    // After those of INIT.
    let told = &told[told
        .iter()
        .position(|l| l.contains("FUSE_LOOKUP"))
        .expect("LOOKUP")..];
    let short = format!("connection {connection} req 4 opcode 1 (FUSE_LOOKUP)");
    let subject = format!("{short} nodeid 1 pid {pid} tgid * len 42");
    let expected = [
        format!("fuse_request_send: {short} len 42"),
        format!("fuse_request_queue: {subject} request *"),
        format!("fuse_request_start: {subject} device 0"),
        format!("fuse_request_copy: {subject} direction out bytes 42 error 0"),
        format!("fuse_request_sent: {short}"),
        format!("fuse_request_reply: {subject} device 0"),
        format!("fuse_request_copy: {subject} direction in bytes 128 error 0"),
        format!("fuse_request_end: connection {connection} req 4 len 144 error 0"),
        format!("fuse_request_wake: {subject} error 0"),
    ];
    assert_eq!(told, expected);

    let lines = t.lines();
    let process = |event: &str| {
        let line = lines
            .iter()
            .find(|l| l.starts_with(event) && l.contains("LOOKUP"));
        word_after(line.expect(event), "tgid").to_string()
    };
    let (caller, server) = (process("fuse_request_queue"), process("fuse_request_start"));
    assert_ne!(caller, server);
    assert_eq!(process("fuse_request_reply"), server);
    assert_eq!(process("fuse_request_wake"), caller);
}

/// What nobody waits for starts on the background queue, without an id; its address says which one it becomes.
fn every_step_in_the_background() {
    let t = Trace::start_all();
    let fs = Fs::new();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    c.wait().unwrap();
    let told = t.told_since("fuse_request_background");
    // INIT is the first.
    let last = told
        .iter()
        .rposition(|l| l.starts_with("fuse_request_background"));
    let told = &told[last.unwrap()..];
    let names: Vec<_> = told.iter().map(|l| l.split(':').next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "fuse_request_background",
            "fuse_request_send",
            "fuse_request_queue",
            "fuse_request_start",
            "fuse_request_copy",
            "fuse_request_sent",
            "fuse_request_reply",
            "fuse_request_copy",
            "fuse_request_end",
        ]
    );
    assert!(
        told[0].contains(" req 0 opcode 18 (FUSE_RELEASE) nodeid 2 "),
        "{}",
        told[0]
    );
    let lines = t.lines();
    let address = |event: &str| {
        let line = lines.iter().rfind(|l| l.starts_with(event)).expect(event);
        assert!(line.contains("RELEASE"), "{line}");
        word_after(line, "request").to_string()
    };
    assert_eq!(
        address("fuse_request_background"),
        address("fuse_request_queue")
    );
}

/// An answer that does not fit is an error of the copy, and then of the request.
fn answer_that_is_refused() {
    let t = Trace::start_all();
    let fs = Fs::new();
    for (body, error, end) in [(&b"short"[..], 0, -5), (b"surplus", -2, -5), (b"", -2, -2)] {
        let c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        let refused = r.raw_reply(16 + body.len() as u32, error, r.unique(), body);
        assert_eq!(refused.is_err(), !body.is_empty());
        assert_eq!(c.wait(), Err(Errno(-end)));
        let lines = t.lines();
        let last = |event: &str| lines.iter().rfind(|l| l.starts_with(event)).unwrap();
        let copied = if body.is_empty() { 0 } else { -22 };
        let copy = last("fuse_request_copy");
        assert!(
            copy.ends_with(&format!("direction in bytes 0 error {copied}")),
            "{copy}"
        );
        let ended = last("fuse_request_end");
        assert!(ended.ends_with(&format!(" error {end}")), "{ended}");
        let wake = last("fuse_request_wake");
        assert!(wake.ends_with(&format!(" error {end}")), "{wake}");
    }
}

/// A signal, the INTERRUPT that it makes, and the three ways in which a killed caller goes.
fn signals_and_kills() {
    let t = Trace::start_all();
    let fs = Fs::new();
    let interrupted = [
        "request_interrupt",
        "interrupt_queue",
        "request_kill",
        "request_abandon",
        "interrupt_sent",
        "request_reply",
        "request_copy",
        "request_end",
    ];
    let mut c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    let unique = r.unique();
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, unique);
    r.err(EINTR);
    assert_eq!(
        t.names_since("fuse_request_interrupt"),
        interrupted,
        "left to an heir"
    );
    let read = t.told_since("fuse_interrupt_sent");
    assert!(read[0].contains(&format!(" req {unique} ")), "{}", read[0]);

    let mut c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    let cancelled = ["request_cancel", "request_wake"];
    assert_eq!(
        t.names_since("fuse_request_cancel"),
        cancelled,
        "taken back"
    );

    let mut c = fs.call(|m| mkdir(&m.path("d")));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    let r = fs.expect(MKDIR);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    let _ = fs.expect(INTERRUPT);
    c.until_uninterruptible();
    r.err(EINTR);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    let all = t.lines();
    let kill = all.iter().rposition(|l| l.starts_with("fuse_request_kill"));
    let after = &all[kill.expect("a kill")..];
    let says = |event: &str| after.iter().any(|l| l.starts_with(event));
    assert!(
        !says("fuse_request_abandon") && !says("fuse_request_cancel"),
        "{after:#?}"
    );
    assert!(
        says("fuse_request_end") && says("fuse_request_wake"),
        "it waits: {after:#?}"
    );
}

/// RESEND is a notification with two ends; what is sent again has a mark in its id, and starts once more.
fn sent_again() {
    use crate::mockd::notice::RESEND;
    let t = Trace::start_all();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let unique = fs.expect_lookup(ROOT, "f").unique();
    assert_eq!(fs.dev().reply(0, RESEND, &[]), Ok(()));
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    // A code that there is not.
    assert_eq!(fs.dev().reply(0, 77, &[0]), Err(EINVAL));
    let told = t.told_since("fuse_notify");
    let connection = t.connection();
    let marked = unique | (1 << 63);
    assert_eq!(
        told[0],
        format!("fuse_notify: connection {connection} code 7 (FUSE_NOTIFY_RESEND) len 0 tgid *")
    );
    assert!(told[1].starts_with("fuse_request_resend: "), "{}", told[1]);
    assert!(told[1].contains(&format!(" req {marked} ")), "{}", told[1]);
    assert_eq!(
        told[2],
        format!(
            "fuse_notify_end: connection {connection} code 7 (FUSE_NOTIFY_RESEND) error 0 tgid *"
        )
    );
    assert!(told[3].starts_with("fuse_request_start: "), "{}", told[3]);
    assert!(told[3].contains(&format!(" req {marked} ")), "{}", told[3]);
    let last = told.last().unwrap();
    assert_eq!(
        *last,
        format!("fuse_notify_end: connection {connection} code 77 (0x4d) error -22 tgid *")
    );
}

/// Who has to wait for INIT says so, and what became of it.
fn the_gate() {
    let t = Trace::start_all();
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let mut killed = fs.call(|m| m.stat("f").map(drop));
    killed.until_uninterruptible();
    killed.signal(libc::SIGKILL);
    assert_eq!(killed.death(), Death::Signal(libc::SIGKILL));
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    init.ok(fs.setup.init_out());
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    let connection = t.connection();
    let told = t.told_since("fuse_gate");
    let at_gate: Vec<_> = told.iter().filter(|l| l.starts_with("fuse_gate")).collect();
    let gate =
        |name, end| format!("fuse_gate_{name}: connection {connection} tgid * background 0 {end}");
    assert_eq!(
        at_gate,
        [
            &gate("wait", "initialized 0"),
            &gate("pass", "error -4"),
            &gate("wait", "initialized 0"),
            &gate("pass", "error 0"),
        ]
    );
}

/// An abort says how much it ends; a FORGET is told when it is queued and when it is read.
fn abort_and_forget() {
    let t = Trace::start_all();
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    c.wait().unwrap();
    drop_caches();
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    let connection = t.connection();
    let forgets = t.told_since("fuse_forget");
    assert_eq!(
        forgets[0],
        format!("fuse_forget_queue: connection {connection} nodeid 2 nlookup 1 tgid *")
    );
    assert!(
        forgets[1].starts_with(&format!("fuse_forget_sent: connection {connection} req "))
            && forgets[1].ends_with(" count 1 tgid *"),
        "{}",
        forgets[1]
    );

    let sent = fs.call(|m| m.stat("f").map(drop));
    let _ = fs.expect_lookup(ROOT, "f");
    let pending = fs.call(|m| m.statfs("").map(drop));
    pending.until_asleep();
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    fs.force_unmount();
    assert_eq!(sent.wait(), Err(ECONNABORTED));
    assert_eq!(pending.wait(), Err(ECONNABORTED));
    let told = t.told_since("fuse_connection_abort");
    assert_eq!(
        told[0],
        format!("fuse_connection_abort: connection {connection} tgid * waiting 2")
    );
    let ends = told.iter().filter(|l| l.starts_with("fuse_request_end"));
    assert_eq!(ends.filter(|l| l.ends_with(" error -103")).count(), 2);
}

/// Each event can be filtered by the node that it is about.
fn filtered_by_node() {
    skip_without_rust("more than three tracepoints");
    let t = Trace::off();
    for event in ["fuse_request_queue", "fuse_request_wake"] {
        t.set(event, "filter", "nodeid == 2 && opcode == 3");
        t.set(event, "enable", "1");
    }
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.getattr(file(2));
    c.wait().unwrap();
    let told = t.lines();
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(
        told.iter().all(|l| l.contains("(FUSE_GETATTR) nodeid 2 ")),
        "{told:#?}"
    );
}
