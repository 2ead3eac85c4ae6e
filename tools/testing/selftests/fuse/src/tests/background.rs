// SPDX-License-Identifier: GPL-2.0

//! Requests that nobody waits for: how many of them the server has at once, and who waits for their turn.

use super::control::Control;
use crate::mockd::*;

crate::tests![
    no_more_than_the_limit,
    callers_wait_for_a_slot,
    one_slot_for_one_caller,
    killed_at_the_gate,
    who_is_killed_takes_no_slot_along,
    a_higher_limit_lets_them_go,
    abort_lets_them_go,
    a_limit_of_zero_ends_with_the_mount,
    a_limit_after_the_end,
];

/// A file system with `n` slots, whose files are read in the background, however busy it is.
fn with_slots(n: u16) -> Fs {
    Setup::new()
        .flags(init::ASYNC_READ | init::PARALLEL_DIROPS)
        .init(|i| {
            i.max_readahead = 1 << 16;
            i.max_background = n;
            i.congestion_threshold = 100;
        })
        .start()
}

/// A caller that opens `name`, and reads its only page when it is told to go.
fn reader(fs: &Fs, name: &'static str, id: u64) -> Caller<Result<usize>> {
    let c = fs.call(move |m| {
        let f = m.open(name)?;
        m.pause();
        pread(f, 4096, 0).map(|data| data.len())
    });
    fs.lookup(ROOT, name, file(id).size(4096));
    fs.open(id, 100 + id, FOPEN_NOFLUSH);
    c.paused();
    c
}

/// The READ that this reader causes.
#[track_caller]
fn expect_read_of(fs: &Fs, id: u64) -> Request {
    fs.expect_read(100 + id, 0, 4096)
}

/// What the end of a reader causes.
#[track_caller]
fn expect_release_of(fs: &Fs, id: u64) {
    fs.release(id, 100 + id);
}

/// The server gets no more background requests than the limit before it answers one; others are not held up by that.
fn no_more_than_the_limit() {
    let fs = with_slots(2);
    let c = fs.call(|m| {
        for i in 0..5 {
            close(m.open(&i.to_string()).unwrap()).unwrap();
        }
    });
    let mut held = Vec::new();
    for i in 0..5 {
        let r = loop {
            let r = fs.dev().next();
            match r.head.opcode {
                RELEASE => held.push(r),
                _ => break r,
            }
        };
        assert_eq!((r.head.opcode, r.name()), (LOOKUP, i.to_string()));
        r.ok(file(2 + i).entry());
        let r = loop {
            let r = fs.dev().next();
            match r.head.opcode {
                RELEASE => held.push(r),
                _ => break r,
            }
        };
        assert_eq!(r.head.opcode, OPEN);
        r.ok(OpenOut {
            fh: 10 + i,
            open_flags: FOPEN_NOFLUSH,
            backing_id: 0,
        });
    }
    c.wait();
    while fs.dev().readable() {
        held.push(fs.expect(RELEASE));
    }
    assert_eq!(held.len(), 2);
    let other = fs.call(|m| m.stat("other").map(drop));
    fs.expect_lookup(ROOT, "other").err(ENOENT);
    assert_eq!(other.wait(), Err(ENOENT));
    for next in 2..5 {
        held.remove(0).reply(&[]);
        let r = fs.expect(RELEASE);
        assert_eq!(r.arg::<ReleaseIn>().fh, 10 + next, "in their order");
        held.push(r);
        fs.quiet();
    }
    held.into_iter().for_each(|r| r.reply(&[]));
}

/// While all slots are taken, who needs one waits before it asks anything; others go on.
fn callers_wait_for_a_slot() {
    let fs = with_slots(1);
    let a = reader(&fs, "a", 2);
    let b = reader(&fs, "b", 3);
    a.go();
    let held = expect_read_of(&fs, 2);
    b.go();
    b.until_uninterruptible();
    fs.quiet();
    let c = fs.call(|m| m.stat("c").map(drop));
    fs.expect_lookup(ROOT, "c").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    b.stays_asleep();
    held.reply(&[1; 4096]);
    // RELEASE of the first may take the slot in between.
    let mut released = 0;
    let r = loop {
        let r = fs.dev().next();
        if r.head.opcode != RELEASE {
            break r;
        }
        r.reply(&[]);
        released += 1;
    };
    assert_eq!((r.head.opcode, r.arg::<ReadIn>().fh), (READ, 103));
    r.reply(&[1; 4096]);
    assert_eq!((a.wait(), b.wait()), (Ok(4096), Ok(4096)));
    for _ in released..2 {
        fs.expect(RELEASE).reply(&[]);
    }
}

/// One slot that becomes free lets one caller go.
fn one_slot_for_one_caller() {
    let fs = with_slots(1);
    let [a, b, c] = [("a", 2), ("b", 3), ("c", 4)].map(|(name, id)| reader(&fs, name, id));
    a.go();
    let held = expect_read_of(&fs, 2);
    for waiting in [&b, &c] {
        waiting.go();
        waiting.until_uninterruptible();
    }
    held.reply(&[1; 4096]);
    // RELEASE of the first may take the slot in between, and who was let go for it then waits behind the other.
    let mut readers = Vec::new();
    while readers.len() < 2 {
        let r = fs.dev().next();
        fs.quiet();
        match r.head.opcode {
            RELEASE => r.reply(&[]),
            _ => {
                readers.push(r.arg::<ReadIn>().fh);
                r.reply(&[1; 4096]);
            }
        }
    }
    readers.sort();
    assert_eq!(readers, [103, 104]);
    for c in [a, b, c] {
        assert_eq!(c.wait(), Ok(4096));
    }
    while let Some(r) = fs.dev().next_within(0) {
        assert_eq!(r.head.opcode, RELEASE);
        r.reply(&[]);
    }
}

/// Who waits for a slot and is killed dies at once, and has asked nothing.
fn killed_at_the_gate() {
    let fs = with_slots(1);
    let a = reader(&fs, "a", 2);
    let mut b = reader(&fs, "b", 3);
    a.go();
    let held = expect_read_of(&fs, 2);
    b.go();
    b.until_uninterruptible();
    b.signal(libc::SIGKILL);
    assert_eq!(b.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
    held.reply(&[1; 4096]);
    assert_eq!(a.wait(), Ok(4096));
    // Its RELEASE, which it cannot be spared, has waited for the slot instead.
    expect_release_of(&fs, 3);
    expect_release_of(&fs, 2);
}

/// A slot that becomes free just as one of two waiting callers is killed goes to the other.
fn who_is_killed_takes_no_slot_along() {
    let fs = with_slots(1);
    for i in 0..20 {
        let ids = [2, 3, 4].map(|id| id + 3 * i);
        let names = ["a", "b", "c"];
        let [a, mut b, c] = [0, 1, 2].map(|at| {
            let name = names[at];
            let path = format!("{name}{i}");
            let wanted = path.clone();
            let c = fs.call(move |m| {
                let f = m.open(&wanted)?;
                m.pause();
                pread(f, 4096, 0).map(|data| data.len())
            });
            fs.lookup(ROOT, &path, file(ids[at]).size(4096));
            fs.open(ids[at], 100 + ids[at], FOPEN_NOFLUSH);
            c.paused();
            c
        });
        a.go();
        let held = expect_read_of(&fs, ids[0]);
        b.go();
        b.until_uninterruptible();
        c.go();
        c.until_uninterruptible();
        if i % 2 == 0 {
            b.signal(libc::SIGKILL);
            held.reply(&[1; 4096]);
        } else {
            held.reply(&[1; 4096]);
            b.signal(libc::SIGKILL);
        }
        // The killed one's READ if it had the slot already, and the other's.
        while c.running() {
            if let Some(r) = fs.dev().next_within(1) {
                match r.head.opcode {
                    READ => r.reply(&[1; 4096]),
                    INTERRUPT => (),
                    _ => {
                        assert_eq!(r.head.opcode, RELEASE);
                        r.reply(&[]);
                    }
                }
            }
        }
        assert_eq!((a.wait(), c.wait()), (Ok(4096), Ok(4096)));
        assert_eq!(b.death(), Death::Signal(libc::SIGKILL));
        drop((a, b, c));
        while let Some(r) = fs.dev().next_within(0) {
            match r.head.opcode {
                INTERRUPT => (),
                READ => r.reply(&[1; 4096]),
                _ => r.reply(&[]),
            }
        }
    }
}

/// A limit that is raised by fusectl lets waiting callers go, as many as it has room for.
fn a_higher_limit_lets_them_go() {
    let ctl = Control::new();
    let fs = with_slots(1);
    let [a, b, c] = [("a", 2), ("b", 3), ("c", 4)].map(|(name, id)| reader(&fs, name, id));
    a.go();
    let held = expect_read_of(&fs, 2);
    for waiting in [&b, &c] {
        waiting.go();
        waiting.until_uninterruptible();
    }
    ctl.set(&fs, "max_background", "2").unwrap();
    let second = expect_read_of(&fs, 3);
    c.stays_asleep();
    fs.quiet();
    ctl.set(&fs, "max_background", "3").unwrap();
    expect_read_of(&fs, 4).reply(&[1; 4096]);
    assert_eq!(c.wait(), Ok(4096));
    held.reply(&[1; 4096]);
    second.reply(&[1; 4096]);
    assert_eq!((a.wait(), b.wait()), (Ok(4096), Ok(4096)));
    for _ in 0..3 {
        fs.expect(RELEASE).reply(&[]);
    }
}

/// An abort frees who waits for a slot.
fn abort_lets_them_go() {
    let ctl = Control::new();
    let mut fs = with_slots(1);
    let a = reader(&fs, "a", 2);
    let b = reader(&fs, "b", 3);
    a.go();
    let _held = expect_read_of(&fs, 2);
    b.go();
    b.until_uninterruptible();
    ctl.set(&fs, "abort", "1").unwrap();
    assert!(a.wait().is_err() && b.wait().is_err());
    fs.die();
}

/// With a limit of 0 nothing is sent in the background, and an unmount ends what waits.
fn a_limit_of_zero_ends_with_the_mount() {
    let ctl = Control::new();
    let mut fs = with_slots(1);
    ctl.set(&fs, "max_background", "0").unwrap();
    let c = fs.call(|m| m.open("a").and_then(close));
    fs.lookup(ROOT, "a", file(2));
    fs.open(2, 5, FOPEN_NOFLUSH);
    assert_eq!(c.wait(), Ok(()));
    let mut c = c;
    let _ = c.death();
    fs.quiet();
    assert_eq!(ctl.get(&fs, "waiting"), Ok("1\n".into()));
    fs.unmount();
}

/// A limit that is set after an abort holds nothing back: what needs a slot then ends at once.
fn a_limit_after_the_end() {
    let ctl = Control::new();
    let mut fs = with_slots(1);
    let a = reader(&fs, "a", 2);
    ctl.set(&fs, "abort", "1").unwrap();
    ctl.set(&fs, "max_background", "0").unwrap();
    a.signal(libc::SIGKILL);
    let mut a = a;
    assert_eq!(a.death(), Death::Signal(libc::SIGKILL));
    assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
    fs.die();
    fs.unmount();
}
