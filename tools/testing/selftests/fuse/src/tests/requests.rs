// SPDX-License-Identifier: GPL-2.0

//! fusectl's requests: what is in flight, where, for whom and since when.
//!
//! The C module does not have it.

use super::clone::clone_of;
use super::control::Control;
use crate::mockd::*;

crate::tests![
    header_and_permissions,
    pending_and_sent,
    interrupted,
    caller_that_has_gone,
    in_the_background,
    lent_to_a_reader,
    lent_to_a_writer,
    devices_have_numbers,
    over_a_ring,
    sent_again,
    not_yet_answered_init,
    names_are_words,
    read_in_pieces,
    no_more_than_the_bound,
    while_it_is_aborted,
    of_a_connection_that_is_gone,
];

const HEADER: [&str; 10] = [
    "unique",
    "opcode",
    "nodeid",
    "pid",
    "comm",
    "state",
    "where",
    "age_ms",
    "interrupted",
    "bytes",
];

/// Most lines between the header and the sign that there are more.
const BOUND: usize = 1024;

/// One line.
#[derive(Debug, PartialEq)]
struct Line {
    unique: u64,
    opcode: String,
    node: u64,
    pid: i32,
    comm: String,
    state: String,
    place: String,
    age: u64,
    interrupted: bool,
    bytes: u64,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [unique, opcode, node, pid, comm, state, place, age, interrupted, bytes] = words[..]
        else {
            return None;
        };
        if !["pending", "copying", "sent", "replying"].contains(&state) {
            return None;
        }
        Some(Self {
            unique: unique.parse().ok()?,
            opcode: opcode.into(),
            node: node.parse().ok()?,
            pid: pid.parse().ok()?,
            comm: comm.into(),
            state: state.into(),
            place: place.into(),
            age: age.parse().ok()?,
            interrupted: match interrupted {
                "yes" => true,
                "-" => false,
                _ => return None,
            },
            bytes: bytes.parse().ok()?,
        })
    }

    /// State, and where.
    fn at(&self) -> (&str, &str) {
        (&self.state, &self.place)
    }
}

/// The lines of a text that has the right form, and whether there was more than it shows.
fn parse(text: &str) -> Option<(Vec<Line>, bool)> {
    let mut lines = text.lines();
    if !text.ends_with('\n') || lines.next()?.split_ascii_whitespace().ne(HEADER) {
        return None;
    }
    let mut lines: Vec<_> = lines.collect();
    let more = lines.last() == Some(&"...");
    if more {
        lines.pop();
    }
    let lines: Option<Vec<_>> = lines.into_iter().map(Line::parse).collect();
    Some((lines?, more))
}

fn all(ctl: &Control, fs: &Fs) -> (Vec<Line>, bool) {
    let text = std::fs::read_to_string(ctl.file(fs, "requests")).expect("requests");
    parse(&text).unwrap_or_else(|| panic!("{text}"))
}

/// All lines, of which there are less than the bound.
fn lines(ctl: &Control, fs: &Fs) -> Vec<Line> {
    let (lines, more) = all(ctl, fs);
    assert!(!more);
    lines
}

fn only_line(ctl: &Control, fs: &Fs) -> Line {
    let mut lines = lines(ctl, fs);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.remove(0)
}

fn control() -> Control {
    skip_without_rust("a file of the requests in flight");
    Control::new()
}

/// Only the owner of the mount may look; without a request there is only the header.
fn header_and_permissions() {
    let ctl = control();
    let fs = Setup::new().owner(1000, 1001).start();
    let path = ctl.file(&fs, "requests");
    let s = stat(&path).unwrap();
    assert_eq!((s.mode, s.uid, s.gid), (libc::S_IFREG | 0o400, 1000, 1001));
    let read_as = |user| {
        fs.call_quietly(|_| {
            become_user(user, 1001);
            open(&path, libc::O_RDONLY).and_then(|fd| read(fd, 1000))
        })
    };
    assert_eq!(read_as(1002), Err(EACCES));
    let text = String::from_utf8(read_as(1000).unwrap()).unwrap();
    assert_eq!(parse(&text), Some((vec![], false)));
}

/// A request is pending on the input queue, and then sent, with the device; it is gone when it is answered.
fn pending_and_sent() {
    let ctl = control();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    sleep_ms(50);
    let line = only_line(&ctl, &fs);
    assert!((50..60_000).contains(&line.age), "{line:?}");
    let expected = Line {
        unique: 4,
        opcode: "LOOKUP".into(),
        node: ROOT,
        pid: c.pid,
        comm: "fuse-selftests".into(),
        state: "pending".into(),
        place: "input".into(),
        age: line.age,
        interrupted: false,
        bytes: 42,
    };
    assert_eq!(line, expected);
    let r = fs.expect_lookup(ROOT, "f");
    let line = only_line(&ctl, &fs);
    assert_eq!((line.unique, line.at()), (r.unique(), ("sent", "device:0")));
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(lines(&ctl, &fs), []);
}

/// A caller that got a signal while it waits is interrupted.
fn interrupted() {
    let ctl = control();
    let fs = Fs::new();
    let c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    assert!(!only_line(&ctl, &fs).interrupted);
    c.signal(libc::SIGUSR1);
    let _ = fs.expect(INTERRUPT);
    assert!(only_line(&ctl, &fs).interrupted);
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// A request whose killed caller has gone stays until it is answered, and nobody has a name any more.
fn caller_that_has_gone() {
    let ctl = control();
    let fs = Fs::new();
    let mut c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    let _ = fs.expect(INTERRUPT);
    let line = only_line(&ctl, &fs);
    assert_eq!(
        (line.pid, &line.comm[..], line.interrupted),
        (c.pid, "-", true)
    );
    r.err(EINTR);
    assert_eq!(lines(&ctl, &fs), []);
}

/// Opens and closes `count` files, and reads each RELEASE that comes without answering it.
fn release_many(fs: &Fs, count: usize) {
    let c = fs.call(move |m| (0..count).try_for_each(|_| m.open("f").and_then(close)));
    fs.lookup(ROOT, "f", file(2));
    let mut opened = 0;
    while opened < count {
        let r = fs.dev().next();
        if r.head.opcode == OPEN {
            opened += 1;
            r.ok(OpenOut {
                open_flags: FOPEN_NOFLUSH,
                ..Default::default()
            });
        } else {
            assert_eq!(r.head.opcode, RELEASE);
        }
    }
    assert_eq!(c.wait(), Ok(()));
    while fs.dev().readable() {
        let _ = fs.expect(RELEASE);
    }
}

/// Answers all that was sent.
fn answer_all(fs: &Fs, sent: &[Line]) {
    for l in sent.iter().filter(|l| l.state == "sent") {
        fs.dev().reply(l.unique, 0, &[]).unwrap();
    }
}

/// What waits for a slot has no id yet, and is in the background.
fn in_the_background() {
    let ctl = control();
    let fs = Fs::new();
    ctl.set(&fs, "max_background", "1").unwrap();
    let c = fs.call(|m| {
        let (a, b) = (m.open("f")?, m.open("f")?);
        close(a).and(close(b))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FOPEN_NOFLUSH);
    fs.open(2, 6, FOPEN_NOFLUSH);
    assert_eq!(c.wait(), Ok(()));
    let both = lines(&ctl, &fs);
    let mut seen: Vec<_> = both
        .iter()
        .map(|l| (l.unique != 0, l.at(), &l.opcode[..]))
        .collect();
    seen.sort();
    let expected = [
        (false, ("pending", "background"), "RELEASE"),
        (true, ("pending", "input"), "RELEASE"),
    ];
    assert_eq!(seen, expected, "{both:#?}");
    fs.release(2, 5);
    assert_eq!(only_line(&ctl, &fs).place, "input");
    fs.release(2, 6);
    assert_eq!(lines(&ctl, &fs), []);
}

/// A file on a mount of its own, whose pages come when the test says so: a buffer that faults for long.
fn slow_file() -> Fs {
    Fs::new()
}

/// Maps the file and runs `f` with the mapping's address.
pub fn with_slow_map<R>(m: &Side, len: usize, f: impl FnOnce(usize) -> Result<R>) -> Result<R> {
    let fd = m.open("buffer")?;
    let map = Map::new(
        fd,
        len,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE,
    )?;
    let result = f(map.part(0, len).0);
    map.unmap();
    close(fd)?;
    result
}

const SLOW_LEN: usize = 1 << 17;

fn open_slow(slow: &Fs) {
    slow.lookup(ROOT, "buffer", file(2).size(SLOW_LEN as u64));
    slow.open(2, 5, FOPEN_NOFLUSH);
}

/// Over a ring, a request waits on a queue, and is sent in an entry of it.
fn over_a_ring() {
    let ctl = control();
    let _on = super::uring::enable();
    let fs = super::uring::parallel().ring(1).start();
    let [a, b] = ["a", "b"].map(|name| {
        let c = fs.call(move |m| {
            on_cpu(1);
            m.stat(name).map(drop)
        });
        c.until_interruptible();
        c
    });
    let r = fs.expect_lookup(ROOT, "a");
    let both = lines(&ctl, &fs);
    let at: Vec<_> = both.iter().map(Line::at).collect();
    assert_eq!(at, [("sent", "ring:1/0"), ("pending", "ring:1")]);
    r.err(ENOENT);
    fs.expect_lookup(ROOT, "b").err(ENOENT);
    assert_eq!((a.wait(), b.wait()), (Err(ENOENT), Err(ENOENT)));
}

/// While it is copied to a reader whose buffer is not there, a request is copying.
fn lent_to_a_reader() {
    let ctl = control();
    let fs = Fs::new();
    let slow = slow_file();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    let dev = fs.dev().fd();
    let reader = Caller::start_with_devices(&slow.dir, |m| {
        with_slow_map(m, SLOW_LEN, |at| read_to(dev, at, SLOW_LEN))
    });
    open_slow(&slow);
    let fault = slow.expect_read(5, 0, 4096);
    let line = only_line(&ctl, &fs);
    assert_eq!((line.unique, line.at()), (4, ("copying", "device:0")));
    fault.reply(&[0; 4096]);
    slow.release(2, 5);
    assert_eq!(reader.wait(), Ok(42));
    let line = only_line(&ctl, &fs);
    assert_eq!((line.unique, line.at()), (4, ("sent", "device:0")));
    fs.dev().reply(4, -2, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// While its answer is copied from a writer whose buffer is not there, a request is replying.
fn lent_to_a_writer() {
    let ctl = control();
    let fs = Fs::new();
    let slow = slow_file();
    let c = fs.call(|m| m.stat("f").map(drop));
    let unique = fs.expect_lookup(ROOT, "f").unique();
    let dev = fs.dev().fd();
    let body = file(2).entry().bytes();
    let len = body.len();
    let writer = Caller::start_with_devices(&slow.dir, |m| {
        let head = OutHeader {
            len: (OUT_HEADER + len) as u32,
            error: 0,
            unique,
        };
        let head = head.bytes();
        with_slow_map(m, SLOW_LEN, |at| {
            writev(dev, &[(head.as_ptr() as usize, head.len()), (at, len)])
        })
    });
    open_slow(&slow);
    let fault = slow.expect_read(5, 0, 4096);
    let line = only_line(&ctl, &fs);
    assert_eq!((line.unique, line.at()), (unique, ("replying", "device:0")));
    let mut page = body;
    page.resize(4096, 0);
    fault.reply(&page);
    slow.release(2, 5);
    assert_eq!(writer.wait(), Ok(OUT_HEADER + len));
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(lines(&ctl, &fs), []);
}

/// The devices of a connection count from 0, in the order in which they came.
fn devices_have_numbers() {
    let ctl = control();
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let one = clone_of(fs.dev().fd()).unwrap();
    let two = clone_of(fs.dev().fd()).unwrap();
    drop(one);
    let three = clone_of(fs.dev().fd()).unwrap();
    let mut read = Vec::new();
    for (dev, place) in [
        (&three, "device:3"),
        (fs.dev(), "device:0"),
        (&two, "device:2"),
    ] {
        let c = fs.call(|m| m.stat(place).map(drop));
        read.push((c, dev.expect(LOOKUP), place));
    }
    let lines = lines(&ctl, &fs);
    for (c, r, place) in read {
        let line = lines.iter().find(|l| l.unique == r.unique());
        assert_eq!(line.unwrap().at(), ("sent", place));
        r.err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// What is to be sent again is pending, under its marked id, and was made when it was made.
fn sent_again() {
    use crate::mockd::notice::RESEND;
    let ctl = control();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let unique = fs.expect_lookup(ROOT, "f").unique();
    sleep_ms(50);
    fs.dev().reply(0, RESEND, &[]).unwrap();
    let line = only_line(&ctl, &fs);
    assert_eq!(
        (line.unique, line.at()),
        (unique | (1 << 63), ("pending", "input"))
    );
    assert!(line.age >= 50);
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// INIT is a request, too; who waits for it has none yet.
fn not_yet_answered_init() {
    let ctl = control();
    let fs = Setup::new().mount();
    let c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    assert_eq!(only_line(&ctl, &fs).opcode, "INIT");
    assert_eq!(ctl.get(&fs, "waiting"), Ok("2\n".into()));
    fs.expect(INIT).ok(fs.setup.init_out());
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// Whatever name a thread gives itself, it is one word.
fn names_are_words() {
    let ctl = control();
    let fs = Fs::new();
    for (name, word) in [
        ("two words", "two\\040words"),
        ("a\nb\\", "a\\012b\\134"),
        ("\u{e4}", "\\303\\244"),
        ("-", "\\055"),
        ("--", "--"),
        ("", "\\000"),
        ("fifteen  bytes!", "fifteen\\040\\040bytes!"),
    ] {
        let c = fs.call(|m| {
            name_thread(name);
            m.stat("f").map(drop)
        });
        let r = fs.expect_lookup(ROOT, "f");
        assert_eq!(only_line(&ctl, &fs).comm, word);
        r.err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// Who reads in pieces gets the pieces of one look; who goes back to the beginning looks again.
fn read_in_pieces() {
    let ctl = control();
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    let fd = open(&ctl.file(&fs, "requests"), libc::O_RDONLY).unwrap();
    let mut text = read(fd, 7).unwrap();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    loop {
        let piece = read(fd, 7).unwrap();
        if piece.is_empty() {
            break;
        }
        text.extend(piece);
    }
    let (first, _) = parse(&String::from_utf8(text).unwrap()).expect("the form");
    assert_eq!(first.len(), 1);
    lseek(fd, 0, libc::SEEK_SET).unwrap();
    let text = read(fd, 1000).unwrap();
    let (second, _) = parse(&String::from_utf8(text).unwrap()).expect("the form");
    assert_eq!(second, []);
    close(fd).unwrap();
}

/// A quarter of the bound may come from each queue that nobody has read, the whole of it from the devices; the last
/// line says if there are more, and the oldest come first.
fn no_more_than_the_bound() {
    let ctl = control();
    let fs = Fs::new();
    ctl.set(&fs, "max_background", "1").unwrap();
    release_many(&fs, BOUND / 4 + 2);
    let (some, more) = all(&ctl, &fs);
    let waiting = some.iter().filter(|l| l.place == "background").count();
    assert_eq!(
        (some.len(), waiting, more),
        (BOUND / 4 + 1, BOUND / 4, true)
    );
    answer_all(&fs, &some);
    for _ in 0..BOUND / 4 + 1 {
        fs.expect(RELEASE).reply(&[]);
    }
    assert_eq!(lines(&ctl, &fs), []);

    let fs = Fs::new();
    ctl.set(&fs, "max_background", "65535").unwrap();
    release_many(&fs, BOUND + 40);
    let (sent, more) = all(&ctl, &fs);
    assert_eq!((sent.len(), more), (BOUND, true));
    assert!(sent.iter().all(|l| l.at() == ("sent", "device:0")));
    assert!(sent.windows(2).all(|two| two[0].age >= two[1].age));
    let oldest = sent.iter().map(|l| l.unique).min().unwrap();
    answer_all(&fs, &sent);
    let (rest, more) = all(&ctl, &fs);
    assert_eq!((rest.len(), more), (40, false));
    assert!(rest.iter().all(|l| l.unique > oldest));
    answer_all(&fs, &rest);
    assert_eq!(lines(&ctl, &fs), []);
}

/// Reading it while connections come, are aborted and go gives right lines at any time, and harms nobody.
fn while_it_is_aborted() {
    let ctl = control();
    let home = Fs::new();
    let place = ctl.path().to_string();
    let stop = format!("{PLACE}/stop");
    let stopped = stop.clone();
    let reader = home.call(move |_| {
        let (mut texts, mut lines) = (0u64, 0u64);
        while stat(&stopped).is_err() {
            for entry in std::fs::read_dir(&place).unwrap().flatten() {
                let Ok(text) = std::fs::read_to_string(entry.path().join("requests")) else {
                    continue;
                };
                // Empty if the connection went after the file was opened.
                if !text.is_empty() {
                    let (found, _) = parse(&text).unwrap_or_else(|| panic!("{text}"));
                    texts += 1;
                    lines += found.len() as u64;
                }
            }
        }
        (texts, lines)
    });
    for _ in 0..15 {
        let mut fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
        let mut callers = Vec::new();
        for i in 0..4 {
            let name = i.to_string();
            let c = fs.call(move |m| m.stat(&name).map(drop));
            if i % 2 == 0 {
                drop(fs.expect(LOOKUP));
            }
            callers.push(c);
        }
        ctl.set(&fs, "abort", "1").unwrap();
        for c in callers {
            assert!([Err(ECONNABORTED), Err(ENOTCONN)].contains(&c.wait()));
        }
        fs.die();
        fs.unmount();
    }
    mkdir(&stop).unwrap();
    let (texts, lines) = reader.wait();
    assert!(texts > 0);
    println!("# {texts} texts with {lines} lines");
    rmdir(&stop).unwrap();
}

/// The open file of a connection that is gone is empty.
fn of_a_connection_that_is_gone() {
    let ctl = control();
    let mut fs = Fs::new();
    let fd = open(&ctl.file(&fs, "requests"), libc::O_RDONLY).unwrap();
    fs.unmount();
    assert_eq!(read(fd, 100), Ok(vec![]));
    close(fd).unwrap();
}
