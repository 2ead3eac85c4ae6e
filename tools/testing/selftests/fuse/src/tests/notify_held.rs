// SPDX-License-Identifier: GPL-2.0

//! Notifications about what the server has a request of: none waits for its answer, and no later caller sees what is
//! older than the notification. With the C module the writer hangs until that answer comes.

use super::notify::delete;
use super::notify::inval_entry;
use super::notify::notify;
use super::notify::DELETE;
use super::notify::INVAL_ENTRY;
use crate::mockd::*;

crate::tests![
    inval_entry_waits_for_no_request,
    inval_entry_of_a_name_that_is_looked_up_again,
    inval_entry_of_a_name_in_a_listing,
    delete_waits_for_no_request,
];

/// The next request that is no FORGET.
#[track_caller]
fn next(fs: &Fs) -> Request {
    loop {
        let r = fs.dev().next();
        if !matches!(r.head.opcode, FORGET | BATCH_FORGET) {
            return r;
        }
    }
}

/// `opcode` comes; FORGETs are passed over.
#[track_caller]
fn expect(fs: &Fs, opcode: u32) -> Request {
    let r = next(fs);
    assert_eq!(r.head.opcode, opcode, "{r:?} came");
    r
}

/// Takes the FORGETs that are on their way.
fn take_forgets(fs: &Fs) {
    while let Some(r) = fs.dev().next_within(ms(10)) {
        assert!(matches!(r.head.opcode, FORGET | BATCH_FORGET), "{r:?} came");
    }
}

/// Sends a notification while the server holds something back that `answer` gives. It returns `expected` at once; the
/// writer in C sleeps until the answer, whatever signal it gets, and is told `in_c`.
#[track_caller]
fn notify_held(
    fs: &Fs,
    (code, body): (i32, Vec<u8>),
    (expected, in_c): (Result<()>, Result<()>),
    answer: impl FnOnce(),
) {
    let device = fs.dev().dup();
    let mut writer =
        Caller::start_with_devices(&fs.dir, move |_| notify(&device, code, &[&body]));
    if is_rust() {
        assert_eq!(writer.wait(), expected);
        answer();
    } else {
        writer.until_uninterruptible();
        writer.stays_asleep();
        answer();
        assert_eq!(writer.wait(), in_c);
    }
    assert_eq!(writer.death(), Death::Exit(0));
}

/// A change of the root, or a question about a name in it, that the server holds back.
struct Held {
    /// The requests that come before, each answered with ENOENT.
    before: &'static [u32],
    opcode: u32,
    call: fn(&Side) -> Result<()>,
    /// The name that it is about.
    name: &'static str,
    /// Whether that name is in the cache.
    is_cached: bool,
    answer: fn(Request),
}

fn created(r: Request) {
    r.reply(&[file(9).entry().bytes(), OpenOut::default().bytes()].concat());
}

/// `f` and `d` are cached as nodes 2 and 3, and `n` as a name of nothing.
const HELD: [Held; 11] = [
    Held {
        before: &[],
        opcode: LOOKUP,
        call: |m| m.stat("x").map(drop),
        name: "x",
        is_cached: false,
        answer: |r| r.ok(file(9).entry()),
    },
    Held {
        before: &[],
        opcode: LOOKUP,
        call: |m| match m.stat("x") {
            Err(ENOENT) => Ok(()),
            other => panic!("{other:?}"),
        },
        name: "x",
        is_cached: false,
        answer: |r| r.ok(absent(3600, 0)),
    },
    Held {
        before: &[LOOKUP],
        opcode: MKDIR,
        call: |m| mkdir(&m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(dir(9).entry()),
    },
    Held {
        before: &[LOOKUP],
        opcode: MKNOD,
        call: |m| mknod(&m.path("n"), libc::S_IFREG),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(file(9).entry()),
    },
    Held {
        before: &[LOOKUP],
        opcode: SYMLINK,
        call: |m| symlink("t", &m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(symlink_node(9).entry()),
    },
    Held {
        before: &[LOOKUP],
        opcode: LINK,
        call: |m| link(&m.path("f"), &m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(file(2).entry()),
    },
    Held {
        before: &[],
        opcode: CREATE,
        call: |m| open(&m.path("n"), libc::O_CREAT | libc::O_WRONLY).map(drop),
        name: "n",
        is_cached: true,
        answer: created,
    },
    Held {
        before: &[],
        opcode: UNLINK,
        call: |m| unlink(&m.path("f")),
        name: "f",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
    Held {
        before: &[],
        opcode: RMDIR,
        call: |m| rmdir(&m.path("d")),
        name: "d",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
    Held {
        before: &[LOOKUP],
        opcode: RENAME,
        call: |m| rename(&m.path("f"), &m.path("n")),
        name: "f",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
    Held {
        before: &[LOOKUP],
        opcode: RENAME,
        call: |m| rename(&m.path("f"), &m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
];

/// A mount on which `f`, `d` and `n` are cached as [`HELD`] says.
fn with_names() -> Fs {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").map(drop), m.stat("d").map(drop), m.stat("n").err()));
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "d", dir(3));
    fs.expect_lookup(ROOT, "n").ok(absent(3600, 0));
    assert_eq!(c.wait(), (Ok(()), Ok(()), Some(ENOENT)));
    fs
}

/// INVAL_ENTRY of a name returns at once while the server has a request about it, or has not heard of the name yet
/// (ENOENT); what it answers to that request is not believed any longer: the next use looks the name up.
fn inval_entry_waits_for_no_request() {
    for held in HELD {
        let fs = with_names();
        let mut c = fs.call(held.call);
        for opcode in held.before {
            expect(&fs, *opcode).err(ENOENT);
        }
        let r = expect(&fs, held.opcode);
        let body = [inval_entry(ROOT, 1, 0), [held.name.as_bytes(), b"\0"].concat()].concat();
        let expected = match held.is_cached {
            true => Ok(()),
            false => Err(ENOENT),
        };
        // What UNLINK, RMDIR and RENAME have done to the name is over by the time that C looks for it.
        let in_c = match held.opcode {
            RENAME if held.name == "f" => Err(ENOENT),
            _ => Ok(()),
        };
        let mut r = Some(r);
        notify_held(&fs, (INVAL_ENTRY, body), (expected, in_c), || {
            (held.answer)(r.take().unwrap());
            // The caller of CREATE closes.
            if held.opcode == CREATE {
                expect(&fs, FLUSH).reply(&[]);
                expect(&fs, RELEASE).reply(&[]);
            }
        });
        assert_eq!(c.wait(), Ok(()), "{} of {}", held.opcode, held.name);
        assert_eq!(c.death(), Death::Exit(0));

        let c = fs.call(|m| m.lstat(held.name).map(|s| s.ino));
        let r = expect(&fs, LOOKUP);
        assert_eq!(r.name(), held.name);
        r.ok(file(77).entry());
        assert_eq!(c.wait(), Ok(77), "{} of {}", held.opcode, held.name);
        take_forgets(&fs);
    }
}

/// INVAL_ENTRY, also with EXPIRE_ONLY, of a name that is being looked up again: what the server answers to that holds
/// for the one who has asked, and the next one asks again.
fn inval_entry_of_a_name_that_is_looked_up_again() {
    skip_on_c("an answer from before a notification makes the name good again");
    for flags in [0, 1] {
        let fs = Fs::new();
        let c = fs.call(|m| m.stat("f").map(drop));
        fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
        assert_eq!(c.wait(), Ok(()));

        let c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        let body = [inval_entry(ROOT, 1, flags), b"f\0".to_vec()].concat();
        assert_eq!(notify(fs.dev(), INVAL_ENTRY, &[&body]), Ok(()));
        r.ok(file(2).entry());
        // The name was taken away, so that it is looked up by a new entry.
        loop {
            match fs.dev().next_within(if c.running() { 5 } else { 0 }) {
                Some(r) if r.head.opcode == LOOKUP => r.ok(file(2).entry_valid(0, 0).entry()),
                Some(r) => assert!(matches!(r.head.opcode, FORGET | BATCH_FORGET), "{r:?} came"),
                None if c.running() => continue,
                None => break,
            }
        }
        assert_eq!(c.wait(), Ok(()));

        let c = fs.call(|m| m.stat("f").map(|s| s.ino));
        expect(&fs, LOOKUP).ok(file(2).entry());
        assert_eq!(c.wait(), Ok(2));
        take_forgets(&fs);
    }
}

/// INVAL_ENTRY of a name that a listing brings which the server has not answered yet: the name is listed, and looked up
/// when it is used.
fn inval_entry_of_a_name_in_a_listing() {
    let fs = Setup::new()
        .flags(init::DO_READDIRPLUS | init::PARALLEL_DIROPS)
        .start();
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let names: Vec<_> = getdents(d, 4096).unwrap().into_iter().map(|e| e.name).collect();
        close(d).unwrap();
        names
    });
    fs.opendir(ROOT, 5);
    let r = fs.expect_readdirplus(5, 0);
    let reply = Dirents::new().plus(file(2).entry(), 2, 1, "f");
    let body = [inval_entry(ROOT, 1, 0), b"f\0".to_vec()].concat();
    notify_held(&fs, (INVAL_ENTRY, body), (Err(ENOENT), Ok(())), || {
        r.reply(&reply.0);
    });
    loop {
        let r = next(&fs);
        match r.head.opcode {
            READDIRPLUS => r.reply(&[]),
            RELEASEDIR => break r.reply(&[]),
            _ => panic!("{r:?} came"),
        }
        if !c.running() {
            break;
        }
    }
    assert_eq!(c.wait(), ["f"]);
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    loop {
        let r = next(&fs);
        match r.head.opcode {
            READDIRPLUS | RELEASEDIR => r.reply(&[]),
            LOOKUP => break r.ok(file(77).entry()),
            _ => panic!("{r:?} came"),
        }
    }
    assert_eq!(c.wait(), Ok(77));
    take_forgets(&fs);
}

/// DELETE returns at once while the server has a change of that directory, or of what was removed; the name is gone.
fn delete_waits_for_no_request() {
    type Change = (u32, fn(&Side) -> Result<()>, fn(Request));
    let changes: [Change; 4] = [
        (UNLINK, |m| unlink(&m.path("f")), |r| r.reply(&[])),
        (CREATE, |m| open(&m.path("n"), libc::O_CREAT | libc::O_WRONLY).map(drop), created),
        (SETATTR, |m| chmod(&m.path("f"), 0o600), |r| r.ok(file(2).perm(0o600).attr_out())),
        (SETXATTR, |m| setxattr(&m.path("f"), "user.x", b"x"), |r| r.reply(&[])),
    ];
    for (opcode, call, answer) in changes {
        let fs = with_names();
        let mut c = fs.call(call);
        let mut r = Some(expect(&fs, opcode));
        let body = [delete(ROOT, 2, 1), b"f\0".to_vec()].concat();
        notify_held(&fs, (DELETE, body), (Ok(()), Ok(())), || {
            answer(r.take().unwrap());
            if opcode == CREATE {
                expect(&fs, FLUSH).reply(&[]);
                expect(&fs, RELEASE).reply(&[]);
            }
        });
        assert_eq!(c.wait(), Ok(()), "{opcode}");
        assert_eq!(c.death(), Death::Exit(0));
        let c = fs.call(|m| m.stat("f").map(drop));
        expect(&fs, LOOKUP).err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT), "{opcode}");
        take_forgets(&fs);
    }
}
