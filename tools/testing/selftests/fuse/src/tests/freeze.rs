// SPDX-License-Identifier: GPL-2.0

//! Freezing callers while the server has their requests: the server may be frozen already, or is going to be.

use crate::mockd::*;

crate::tests![
    callers_that_only_ask_are_frozen,
    callers_that_wait_for_their_turn_are_frozen,
    callers_with_more_are_frozen_when_the_server_has_answered,
    answer_that_comes_while_they_are_frozen,
];

/// Answers what comes beside the operation that a test is about.
fn serve(r: Request) {
    match r.head.opcode {
        LOOKUP => match &*r.name() {
            "f" => r.ok(file(2).size(10).entry()),
            "stale" => r.ok(file(5).attr_valid(0, 0).entry()),
            "d" => r.ok(dir(3).entry()),
            _ => r.err(ENOENT),
        },
        OPEN | OPENDIR => r.ok(OpenOut {
            fh: 5,
            open_flags: 0,
            backing_id: 0,
        }),
        GETATTR => {
            let id = r.head.nodeid;
            r.ok(file(id).attr_out());
        }
        STATFS => r.ok(StatfsOut::default()),
        READDIR | FLUSH | RELEASE | RELEASEDIR | ACCESS => r.reply(&[]),
        READ => r.reply(&[7; 10]),
        INTERRUPT | FORGET | BATCH_FORGET => (),
        _ => panic!("{r:?} came"),
    }
}

/// Serves until the caller is gone.
fn serve_to_the_end<T: Ship>(fs: &Fs, c: &mut Caller<T>) {
    while c.running() {
        if let Some(r) = fs.dev().next_within(5) {
            serve(r);
        }
    }
    // What it has caused is there by now: a RELEASE, or a FORGET of what the first answer brought.
    while let Some(r) = fs.dev().next_within(0) {
        serve(r);
    }
}

/// Runs `call` in a cgroup of its own until the server has the operation.
fn hold<T: Ship>(
    fs: &Fs,
    opcode: u32,
    call: impl FnOnce(&Side) -> T,
) -> (Freezer, Caller<T>, Request) {
    let group = Freezer::new();
    let c = fs.call(|m| {
        std::fs::write(group.procs(), "0").unwrap();
        call(m)
    });
    loop {
        let r = fs.dev().next();
        if r.head.opcode == opcode {
            c.until_asleep();
            return (group, c, r);
        }
        serve(r);
    }
}

type Call = fn(&Side) -> Result<()>;

/// A call that has only asked is frozen while the server has its request, and asks again when it is thawed. With the C
/// module it is frozen when the server has answered.
fn callers_that_only_ask_are_frozen() {
    const DIR: i32 = libc::O_RDONLY | libc::O_DIRECTORY;
    let calls: [(u32, Call); 6] = [
        (LOOKUP, |m| m.stat("f").map(drop)),
        (GETATTR, |m| m.stat("stale").map(drop)),
        (ACCESS, |m| m.access("f", libc::R_OK)),
        (OPEN, |m| m.open("f").and_then(close)),
        (READDIR, |m| {
            let d = sys::open(&m.path("d"), DIR).unwrap();
            getdents(d, 4096).map(drop)?;
            close(d)
        }),
        (STATFS, |m| m.statfs("f").map(drop)),
    ];
    for (opcode, call) in calls {
        // Else it asks again when the first is answered, if that is in the directory.
        let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
        let (group, mut c, r) = hold(&fs, opcode, call);
        group.freeze();
        if is_rust() {
            group.until_frozen();
        } else {
            group.stays_unfrozen();
        }
        // The server hears of it as of a signal.
        let _ = fs.expect(INTERRUPT);
        if is_rust() {
            group.thaw();
            // The first is answered, or not, at any time.
            let again = loop {
                let again = fs.dev().next();
                if again.head.opcode == opcode {
                    break again;
                }
                serve(again);
            };
            assert_ne!(again.head.unique, r.head.unique);
            serve(r);
            serve(again);
        } else {
            serve(r);
            while !group.is_frozen() {
                if let Some(r) = fs.dev().next_within(5) {
                    serve(r);
                }
            }
            group.thaw();
        }
        serve_to_the_end(&fs, &mut c);
        assert_eq!(c.wait(), Ok(()), "{opcode}");
    }
}

/// A caller that waits until the server has answered another one in the same directory can be frozen, too.
fn callers_that_wait_for_their_turn_are_frozen() {
    let fs = Fs::new();
    let first = fs.call(|m| m.stat("x").map(drop));
    let r = fs.expect_lookup(ROOT, "x");
    first.until_asleep();
    let group = Freezer::new();
    let mut second = fs.call(|m| {
        std::fs::write(group.procs(), "0").unwrap();
        m.stat("f").map(drop)
    });
    second.until_asleep();
    group.freeze();
    if is_rust() {
        group.until_frozen();
    } else {
        group.stays_unfrozen();
    }
    serve(r);
    assert_eq!(first.wait(), Err(ENOENT));
    while !group.is_frozen() {
        if let Some(r) = fs.dev().next_within(5) {
            serve(r);
        }
    }
    group.thaw();
    serve_to_the_end(&fs, &mut second);
    assert_eq!(second.wait(), Ok(()));
}

/// What has more to it than a question is waited for, also by a caller that is to be frozen, and is done once.
fn callers_with_more_are_frozen_when_the_server_has_answered() {
    let calls: [(u32, Call); 2] = [
        (READ, |m| {
            let f = m.open("f")?;
            assert_eq!(pread(f, 10, 0)?, [7; 10]);
            close(f)
        }),
        (FLUSH, |m| m.open("f").and_then(close)),
    ];
    for (opcode, call) in calls {
        let fs = Fs::new();
        let (group, mut c, r) = hold(&fs, opcode, call);
        group.freeze();
        group.stays_unfrozen();
        serve(r);
        while !group.is_frozen() {
            if let Some(r) = fs.dev().next_within(5) {
                assert_ne!(r.head.opcode, opcode);
                serve(r);
            }
        }
        group.thaw();
        serve_to_the_end(&fs, &mut c);
        assert_eq!(c.wait(), Ok(()));
    }
}

/// What the server answers while the caller is frozen is given back: the caller asks again.
fn answer_that_comes_while_they_are_frozen() {
    skip_without_rust("callers that are frozen before the server has answered");
    let fs = Fs::new();
    let (group, mut c, r) = hold(&fs, LOOKUP, |m| m.stat("f").map(|s| s.ino));
    group.freeze();
    group.until_frozen();
    let _ = fs.expect(INTERRUPT);
    r.ok(file(9).entry());
    assert_eq!(forgotten(&fs.dev().next()), [(9, 1)]);
    group.thaw();
    serve(fs.expect_lookup(ROOT, "f"));
    serve_to_the_end(&fs, &mut c);
    assert_eq!(c.wait(), Ok(2));
}
