// SPDX-License-Identifier: GPL-2.0

//! Replies that no server should send: refused on the device, and never the caller's misfortune beyond EIO.

use crate::mockd::*;

crate::tests![
    shorter_than_a_header,
    wrong_length_in_the_header,
    unknown_unique,
    error_out_of_range,
    largest_error,
    error_with_a_body,
    body_too_short,
    body_too_long,
    body_where_none_belongs,
    answered_twice,
    answered_on_another_connection,
    answer_in_pieces,
    answer_from_bad_memory,
    header_from_bad_memory,
    read_into_bad_memory,
    notification_of_no_kind,
    notification_before_init,
    lookup_finds_node_zero_with_attributes,
    lookup_finds_bad_modes,
    lookup_finds_bad_sizes,
    lookup_confirms_bad_attributes,
    flags_of_the_future,
];

/// stat("f"), asleep in its LOOKUP that the server has read.
fn lookup_of_f(fs: &Fs) -> (Caller<Result<u64>>, Request) {
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "f");
    (c, r)
}

/// The request is still there to be answered.
#[track_caller]
fn finish(c: Caller<Result<u64>>, r: Request) {
    assert!(c.running());
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
}

/// A write of less than a header is refused with EINVAL; nothing happens to any request.
fn shorter_than_a_header() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    let header = OutHeader {
        len: 16,
        error: -libc::ENOENT,
        unique: r.unique(),
    }
    .bytes();
    for len in [0, 1, 15] {
        assert_eq!(fs.dev().write(&header[..len]), Err(EINVAL), "{len} bytes");
    }
    finish(c, r);
}

/// A header whose length is not that of the write is refused with EINVAL; the request stays.
fn wrong_length_in_the_header() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    let entry = file(2).entry().bytes();
    for len in [0, 1, 15, 16, 143, 145, u32::MAX] {
        assert_eq!(
            r.raw_reply(len, 0, r.unique(), &entry),
            Err(EINVAL),
            "len {len}"
        );
    }
    assert_eq!(
        r.raw_reply(144, -libc::ENOENT, r.unique(), &[]),
        Err(EINVAL)
    );
    finish(c, r);
}

/// A unique number that no request in the server's hands has is refused with ENOENT.
fn unknown_unique() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    for unique in [
        r.unique() + 2,
        r.unique() - 2,
        1,
        u64::MAX,
        1 << 63,
        r.unique() | (1 << 63),
        r.unique() + (1 << 32),
    ] {
        assert_eq!(
            r.raw_reply(16, -libc::EIO, unique, &[]),
            Err(ENOENT),
            "unique {unique}"
        );
    }
    finish(c, r);
}

/// An error that is positive or below -511 is refused with EINVAL; the request stays.
fn error_out_of_range() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    for error in [1, libc::EIO, i32::MAX, -512, -513, -4095, i32::MIN] {
        assert_eq!(
            r.raw_reply(16, error, r.unique(), &[]),
            Err(EINVAL),
            "error {error}"
        );
    }
    finish(c, r);
}

/// -511 is the last error that is taken; the caller gets it.
fn largest_error() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    assert_eq!(r.raw_reply(16, -511, r.unique(), &[]), Ok(16));
    assert_eq!(c.wait(), Err(Errno(511)));
}

/// An error has no body: EINVAL, and the request ends with EIO.
fn error_with_a_body() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    assert_eq!(
        r.raw_reply(16 + 8, -libc::ENOENT, r.unique(), &[0; 8]),
        Err(EINVAL)
    );
    assert_eq!(c.wait(), Err(EIO));
}

/// A body shorter than the operation's reply is refused with EINVAL, and the request ends with EIO.
fn body_too_short() {
    let fs = Fs::new();
    for len in [0, 1, 64, 120, 127] {
        let (c, r) = lookup_of_f(&fs);
        assert_eq!(
            r.try_reply(&file(2).entry().bytes()[..len]),
            Err(EINVAL),
            "{len} bytes"
        );
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// A body longer than the operation's reply is refused with EINVAL, and the request ends with EIO.
fn body_too_long() {
    let fs = Fs::new();
    for extra in [1, 8, 4096, 200_000] {
        let (c, r) = lookup_of_f(&fs);
        let mut body = file(2).entry().bytes();
        body.resize(body.len() + extra, 0);
        assert_eq!(r.try_reply(&body), Err(EINVAL), "{extra} bytes more");
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// FLUSH and RELEASE are answered without a body: EINVAL, and for close(2) EIO.
fn body_where_none_belongs() {
    let fs = Fs::new();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    assert_eq!(fs.expect(FLUSH).try_reply(&[0; 8]), Err(EINVAL));
    assert_eq!(c.wait(), Err(EIO));
    assert_eq!(fs.expect(RELEASE).try_reply(&[0; 8]), Err(EINVAL));
}

/// The second answer to a request finds nothing: ENOENT.
fn answered_twice() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    assert_eq!(r.try_reply(&file(2).entry().bytes()), Ok(()));
    assert_eq!(r.try_reply(&file(2).entry().bytes()), Err(ENOENT));
    assert_eq!(c.wait(), Ok(2));
}

/// A device answers the requests of its own connection only.
fn answered_on_another_connection() {
    let (a, b) = (Fs::new(), Fs::new());
    let (c, r) = lookup_of_f(&a);
    assert_eq!(b.dev().reply(r.unique(), -libc::ENOENT, &[]), Err(ENOENT));
    finish(c, r);
}

/// A reply may lie in any number of pieces of memory.
fn answer_in_pieces() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    let mut m = OutHeader {
        len: 144,
        error: 0,
        unique: r.unique(),
    }
    .bytes();
    m.extend(file(2).entry().bytes());
    let parts: Vec<_> = m
        .chunks(7)
        .map(|p| (p.as_ptr() as usize, p.len()))
        .collect();
    assert_eq!(writev(fs.dev().fd(), &parts), Ok(144));
    assert_eq!(c.wait(), Ok(2));
}

/// A body that cannot be read from the server's memory is EFAULT for the server, and EIO for the caller.
fn answer_from_bad_memory() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    let header = OutHeader {
        len: 144,
        error: 0,
        unique: r.unique(),
    }
    .bytes();
    assert_eq!(
        writev(fs.dev().fd(), &[(header.as_ptr() as usize, 16), (8, 128)]),
        Err(EFAULT)
    );
    assert_eq!(c.wait(), Err(EIO));
}

/// A header that cannot be read is EFAULT for the server; the request stays.
fn header_from_bad_memory() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    assert_eq!(writev(fs.dev().fd(), &[(8, 144)]), Err(EFAULT));
    finish(c, r);
}

/// A request that cannot be written to the server's memory is EFAULT for the server, and EIO for the caller.
fn read_into_bad_memory() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    // SAFETY: a bad address on purpose; the kernel refuses to write there.
    let n = unsafe { libc::read(fs.dev().fd(), 8 as *mut libc::c_void, 1 << 17) };
    assert_eq!((n, errno()), (-1, EFAULT));
    assert_eq!(c.wait(), Err(EIO));
    fs.quiet();
}

/// unique 0 marks a notification, whose kind is in place of the error; a kind that does not exist is EINVAL.
fn notification_of_no_kind() {
    let fs = Fs::new();
    for kind in [0, 100, -1, i32::MAX, i32::MIN] {
        assert_eq!(
            fs.dev().reply(0, kind, &[0; 64]),
            Err(EINVAL),
            "kind {kind}"
        );
    }
}

/// Before INIT is answered there are no notifications: EINVAL.
fn notification_before_init() {
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    for kind in 0..12 {
        assert_eq!(
            fs.dev().reply(0, kind, &[0; 64]),
            Err(EINVAL),
            "kind {kind}"
        );
    }
    init.ok(fs.setup.init_out());
}

/// Node 0 means "no such name", whatever else the reply says.
fn lookup_finds_node_zero_with_attributes() {
    let fs = Fs::new();
    let (c, r) = lookup_of_f(&fs);
    r.ok(EntryOut {
        nodeid: 0,
        entry_valid: 0,
        ..file(2).entry()
    });
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A mode that is of no type gives EIO, and the name is not cached.
fn lookup_finds_bad_modes() {
    let fs = Fs::new();
    for mode in [0, 0o777, 0o010000 | 0o020000, 0o110000, 0o160000, 0o170000] {
        let (c, r) = lookup_of_f(&fs);
        r.ok(file(2).with(|a| a.mode = mode).entry());
        assert_eq!(c.wait(), Err(EIO), "mode {mode:o}");
    }
}

/// A size that is negative as a signed number gives EIO, and the name is not cached.
fn lookup_finds_bad_sizes() {
    let fs = Fs::new();
    for size in [1 << 63, u64::MAX] {
        let (c, r) = lookup_of_f(&fs);
        r.ok(file(2).size(size).entry());
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// Bad attributes in the reply that confirms a name drop it; the node is given back with both lookups.
fn lookup_confirms_bad_attributes() {
    for bad in [file(2).with(|a| a.mode = 0), file(2).size(u64::MAX)] {
        let fs = Fs::new();
        let (c, r) = lookup_of_f(&fs);
        r.ok(file(2).entry_valid(0, 0).entry());
        assert_eq!(c.wait(), Ok(2));
        let (c, r) = lookup_of_f(&fs);
        r.ok(bad.entry());
        let (a, b) = (fs.dev().next(), fs.dev().next());
        let (lookup, forget) = if a.head.opcode == LOOKUP {
            (a, b)
        } else {
            (b, a)
        };
        assert_eq!(forgotten(&forget), [(2, 2)]);
        lookup.err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// Bits that INIT did not offer, and FOPEN and attribute flags that do not exist, mean nothing.
fn flags_of_the_future() {
    let fs = Setup::new()
        .flags((1 << 2) | (1 << 31) | (1 << 55) | (1 << 63))
        .start();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2).with(|a| a.flags = 1 << 30));
    fs.open(2, 5, 0xffff_fe00);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}
