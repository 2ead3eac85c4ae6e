// SPDX-License-Identifier: GPL-2.0

//! STATX: the time of birth, and what else its replies say.

use crate::mockd::*;

crate::tests![
    request,
    only_for_the_time_of_birth,
    remembered,
    server_does_not_know_it,
    reply_without_all_attributes,
    reply_without_a_size,
    size_is_the_kernels_in_write_back,
    nanoseconds_of_more_than_a_second,
    hostile_replies,
    forced_and_not,
];

const BASIC: u32 = libc::STATX_BASIC_STATS;
const BTIME: u32 = libc::STATX_BTIME;

/// statx(2) that asks for everything.
fn all(m: &Side, name: &str, flags: i32) -> Result<libc::statx> {
    let p = std::ffi::CString::new(m.path(name)).unwrap();
    // SAFETY: all zeros is a valid `statx`.
    let mut s: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a `statx` to fill.
    match unsafe { libc::statx(libc::AT_FDCWD, p.as_ptr(), flags, BASIC | BTIME, &mut s) } {
        0 => Ok(s),
        _ => Err(errno()),
    }
}

/// The size, and the time of birth if it is told.
fn statx(m: &Side, name: &str, flags: i32) -> Result<(u64, Option<(i64, u32)>)> {
    let s = all(m, name, flags)?;
    let birth = (s.stx_btime.tv_sec, s.stx_btime.tv_nsec);
    Ok((s.stx_size, (s.stx_mask & BTIME != 0).then_some(birth)))
}

/// STATX of node 2 comes.
#[track_caller]
fn expect(fs: &Fs) -> Request {
    fs.expect(STATX).node(2)
}

/// STATX asks for all attributes, whatever the caller asks for, and leaves the way to the server.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| statx(m, "f", 0));
    fs.lookup(ROOT, "f", file(2).size(1));
    let r = expect(&fs);
    let mut expected = [0; 24];
    expected[20..].copy_from_slice(&(BASIC | BTIME).to_ne_bytes());
    assert_eq!(r.body, expected);
    r.reply(&file(2).size(7).statx_out(BASIC | BTIME, (-5, 6)));
    assert_eq!(c.wait(), Ok((7, Some((-5, 6)))));
}

/// stat(2) asks by GETATTR.
fn only_for_the_time_of_birth() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").unwrap().size);
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.getattr(file(2).size(7));
    assert_eq!(c.wait(), 7);
}

/// The time of birth is remembered for as long as the attributes are, and they come with it.
fn remembered() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        statx(m, "f", 0).unwrap();
        (m.stat("f").unwrap().size, statx(m, "f", 0))
    });
    fs.lookup(ROOT, "f", file(2).size(1));
    expect(&fs).reply(&file(2).size(7).statx_out(BASIC | BTIME, (5, 6)));
    assert_eq!(c.wait(), (7, Ok((7, Some((5, 6))))));
}

/// That the server does not know the time of birth is remembered, too.
fn server_does_not_know_it() {
    let fs = Fs::new();
    let c = fs.call(|m| (statx(m, "f", 0), statx(m, "f", 0)));
    fs.lookup(ROOT, "f", file(2));
    expect(&fs).reply(&file(2).size(7).statx_out(BASIC, (5, 6)));
    assert_eq!(c.wait(), (Ok((7, None)), Ok((7, None))));
}

/// A reply without all of what GETATTR gives is for its caller alone.
fn reply_without_all_attributes() {
    let fs = Fs::new();
    let c = fs.call(|m| (statx(m, "f", 0), m.stat("f").unwrap().size));
    fs.lookup(ROOT, "f", file(2).size(1));
    expect(&fs).reply(
        &file(2)
            .size(7)
            .statx_out((BASIC | BTIME) & !libc::STATX_UID, (5, 6)),
    );
    assert_eq!(c.wait(), (Ok((7, Some((5, 6)))), 1));
}

/// What stands for a size that the server does not say is shown as it stands, whatever it is, with a mask that says so;
/// nothing takes it for a size.
fn reply_without_a_size() {
    for there in [0, 7, 1 << 63, u64::MAX] {
        let fs = Fs::new();
        let c = fs.call(|m| {
            let shown = all(m, "f", 0).map(|s| (s.stx_size, s.stx_mask & libc::STATX_SIZE));
            (shown, m.stat("f").unwrap().size)
        });
        fs.lookup(ROOT, "f", file(2).size(1));
        expect(&fs).reply(
            &file(2)
                .size(there)
                .statx_out((BASIC | BTIME) & !libc::STATX_SIZE, (5, 6)),
        );
        assert_eq!(c.wait(), (Ok((there, 0)), 1));
    }
}

/// The size of a file that is written back is the kernel's, whatever a reply says, whole or not. (The C module shows the
/// server's if the reply lacks anything of what GETATTR gives, and the kernel's right afterwards.)
fn size_is_the_kernels_in_write_back() {
    for (mask, seen) in [
        (BASIC | BTIME, 100),
        (
            (BASIC | BTIME) & !libc::STATX_UID,
            if is_rust() { 100 } else { 7 },
        ),
    ] {
        let fs = Setup::new()
            .flags(init::WRITEBACK_CACHE | init::BIG_WRITES)
            .start();
        let c = fs.call(|m| {
            let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
            write(f, &[1; 100]).unwrap();
            let shown = all(m, "f", 0).map(|s| s.stx_size);
            let plain = m.stat("f").map(|s| s.size);
            close(f).unwrap();
            (shown, plain)
        });
        let node = || file(2).size(7).attr_valid(1000, 0);
        let answer = |r: Request| match r.head.opcode {
            LOOKUP => r.ok(file(2).entry()),
            OPEN => r.ok(OpenOut::default()),
            GETXATTR => r.err(ENODATA),
            STATX => r.reply(&node().statx_out(mask, (5, 6))),
            GETATTR | SETATTR => r.ok(node().attr_out()),
            WRITE => {
                let size = WriteIn::from_bytes(&r.body).size;
                r.ok(WriteOut { size, padding: 0 });
            }
            FLUSH | RELEASE => r.reply(&[]),
            _ => panic!("{r:?} came"),
        };
        serve_until(fs.dev(), answer, || !c.running());
        assert_eq!(c.wait(), (Ok(seen), Ok(100)), "{mask:x}");
        while fs.dev().readable() {
            answer(fs.dev().next());
        }
    }
}

/// A time has less than a second of nanoseconds.
fn nanoseconds_of_more_than_a_second() {
    let fs = Fs::new();
    let c = fs.call(|m| (statx(m, "f", 0), statx(m, "f", 0)));
    fs.lookup(ROOT, "f", file(2));
    expect(&fs).reply(&file(2).statx_out(BASIC | BTIME, (5, u32::MAX)));
    let expected = Ok((0, Some((5, 999_999_999))));
    assert_eq!(c.wait(), (expected, expected));
}

/// A reply about another kind of file, or with a size that no file has, gives EIO, now and later.
fn hostile_replies() {
    for bad in [
        dir(2),
        file(2).with(|a| a.mode = 0o644),
        file(2).size(1 << 63),
    ] {
        let fs = Fs::new();
        let c = fs.call(|m| {
            let f = m.open("f").unwrap();
            let first = statx(m, "f", 0).map(drop);
            let later = fstat(f).map(drop);
            let _ = close(f);
            (first, later)
        });
        fs.lookup(ROOT, "f", file(2));
        fs.open(2, 5, 0);
        expect(&fs).reply(&bad.statx_out(BASIC | BTIME, (0, 0)));
        fs.release(2, 5);
        assert_eq!(c.wait(), (Err(EIO), Err(EIO)));
        while fs.dev().readable() {
            assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
        }
    }
}

/// AT_STATX_FORCE_SYNC asks though all is known, AT_STATX_DONT_SYNC does not ask though the time of birth is not.
fn forced_and_not() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let not = statx(m, "f", libc::AT_STATX_DONT_SYNC);
        statx(m, "f", 0).unwrap();
        (not, statx(m, "f", libc::AT_STATX_FORCE_SYNC))
    });
    fs.lookup(ROOT, "f", file(2).size(1));
    expect(&fs).reply(&file(2).size(7).statx_out(BASIC | BTIME, (5, 6)));
    expect(&fs).reply(&file(2).size(8).statx_out(BASIC | BTIME, (5, 6)));
    assert_eq!(c.wait(), (Ok((1, None)), Ok((8, Some((5, 6))))));
}
