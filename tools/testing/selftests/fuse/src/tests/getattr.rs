// SPDX-License-Identifier: GPL-2.0

//! GETATTR: what stat(2) shows, how long attributes are believed, and what a change of type or a bad size does.

use crate::mockd::*;

crate::tests![
    request,
    all_fields_are_shown,
    fields_come_from_lookup_too,
    believed_until_they_expire,
    fractions_of_a_second_count,
    error_is_passed_on,
    error_keeps_the_file_usable,
    changed_type,
    bad_mode,
    bad_size,
    largest_size,
    block_size_is_a_power_of_two,
    nanoseconds_stay_below_a_second,
    unknown_owner,
    statx_force_sync,
    statx_dont_sync,
    seek_to_the_end_asks_by_handle,
    root_starts_without_attributes,
    special_files,
    a_reply_that_a_change_has_overtaken,
    a_reply_that_the_server_has_overtaken,
];

/// GETATTR names the node; stat(2) asks without a handle, even of an open file.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let s = fstat(f);
        close(f).unwrap();
        s.is_ok()
    });
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.open(2, 5, 0);
    let r = fs.expect(GETATTR).node(2);
    assert_eq!(r.arg::<GetattrIn>(), GetattrIn::default());
    assert_eq!((r.head.uid, r.head.pid), (0, c.pid as u32));
    r.ok(file(2).attr_out());
    fs.flush(2, 5);
    assert!(c.wait());
    fs.release(2, 5);
}

fn sample() -> Attr {
    Attr {
        ino: 0x1234_5678_9abc,
        size: 5_000_000_000,
        blocks: 77,
        atime: 1,
        mtime: 2,
        ctime: 3,
        atimensec: 11,
        mtimensec: 22,
        ctimensec: 33,
        mode: libc::S_IFREG | 0o7641,
        nlink: 9,
        uid: 101,
        gid: 202,
        rdev: 0,
        blksize: 8192,
        flags: 0,
    }
}

#[track_caller]
fn assert_sample(s: Stat) {
    assert_eq!(
        (s.ino, s.size, s.blocks, s.blksize),
        (0x1234_5678_9abc, 5_000_000_000, 77, 8192)
    );
    assert_eq!((s.atime, s.mtime, s.ctime), ([1, 11], [2, 22], [3, 33]));
    assert_eq!(
        (s.mode, s.nlink, s.uid, s.gid),
        (libc::S_IFREG | 0o7641, 9, 101, 202)
    );
}

/// stat(2) shows every attribute as the server gave it, inode number and sticky bit included; from the cache as well.
fn all_fields_are_shown() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f"));
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.getattr(file(2).with(|a| *a = sample()));
    assert_sample(c.wait().unwrap());
    assert_sample(fs.call_quietly(|m| m.stat("f")).unwrap());
}

/// The reply to LOOKUP carries the same attributes, and stat(2) needs no GETATTR.
fn fields_come_from_lookup_too() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f"));
    fs.lookup(ROOT, "f", file(2).with(|a| *a = sample()));
    assert_sample(c.wait().unwrap());
}

/// Attributes are asked for again exactly when their time is over; a time of zero is over at once.
fn believed_until_they_expire() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        [m.stat("f"), m.stat("f"), m.stat("f"), m.stat("f")]
            .map(|s| s.unwrap().size)
            .to_vec()
    });
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.getattr(file(2).size(1).attr_valid(0, 0));
    fs.getattr(file(2).size(2).attr_valid(0, 0));
    fs.getattr(file(2).size(3));
    assert_eq!(c.wait(), [1, 2, 3, 3]);
}

/// The time to believe attributes counts in nanoseconds, apart from that of the name.
fn fractions_of_a_second_count() {
    let fs = Fs::new();
    let valid = ms(1000) as u64;
    let c = fs.call(|m| m.stat("f").is_ok());
    fs.lookup(
        ROOT,
        "f",
        file(2).attr_valid(valid / 1000, (valid % 1000) as u32 * 1_000_000),
    );
    assert!(c.wait());
    assert!(fs.call_quietly(|m| m.stat("f")).is_ok());
    sleep_ms(valid + 50);
    let c = fs.call(|m| m.stat("f").is_ok());
    fs.getattr(file(2));
    assert!(c.wait());
}

/// An error of GETATTR is the caller's error.
fn error_is_passed_on() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("").map(drop));
    fs.expect(GETATTR).err(ODD);
    assert_eq!(c.wait(), Err(ODD));
    let c = fs.call(|m| m.stat("").map(drop));
    fs.expect(GETATTR).err(ENOSYS);
    assert_eq!(c.wait(), Err(ENOSYS));
}

/// After an error the next stat(2) asks again.
fn error_keeps_the_file_usable() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").map(drop), m.stat("f").map(|s| s.size)));
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.expect(GETATTR).err(EIO);
    fs.getattr(file(2).size(6));
    assert_eq!(c.wait(), (Err(EIO), Ok(6)));
}

/// A GETATTR that tells another type makes the file bad: EIO now and from then on, without asking.
fn changed_type() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        let first = fstat(f).map(drop);
        (first, fstat(f).map(drop))
    });
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.getattr(dir(2));
    assert_eq!(c.wait(), (Err(EIO), Err(EIO)));
    // By name it is looked up anew.
    assert_eq!(forgotten_after_lookup(&fs), [(2, 1)]);
}

/// A bad file's name is dropped when it is used next, and the node given back.
fn forgotten_after_lookup(fs: &Fs) -> Vec<(u64, u64)> {
    let c = fs.call(|m| m.stat("f").map(drop));
    let (a, b) = (fs.dev().next(), fs.dev().next());
    let (lookup, other) = if a.head.opcode == LOOKUP {
        (a, b)
    } else {
        (b, a)
    };
    lookup.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    forgotten(&other)
}

/// A mode that is of no type at all makes the file bad.
fn bad_mode() {
    for mode in [0, 0o644, 0o030644, 0o110644, 0o170000] {
        let fs = Fs::new();
        let c = fs.call(|m| m.stat("f").map(drop));
        fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
        fs.getattr(file(2).with(|a| a.mode = mode));
        assert_eq!(c.wait(), Err(EIO), "mode {mode:o}");
        assert_eq!(forgotten_after_lookup(&fs), [(2, 1)]);
    }
}

/// A size that is negative as a signed number makes the file bad.
fn bad_size() {
    for size in [1 << 63, u64::MAX] {
        let fs = Fs::new();
        let c = fs.call(|m| m.stat("f").map(drop));
        fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
        fs.getattr(file(2).size(size));
        assert_eq!(c.wait(), Err(EIO));
        assert_eq!(forgotten_after_lookup(&fs), [(2, 1)]);
    }
}

/// The largest size is 2^63 - 1.
fn largest_size() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(|s| s.size));
    fs.lookup(ROOT, "f", file(2).size(u64::MAX >> 1));
    assert_eq!(c.wait(), Ok(i64::MAX));
}

/// A block size is rounded down to a power of two, and zero stands for the page size.
fn block_size_is_a_power_of_two() {
    let fs = Fs::new();
    for (given, shown) in [
        (0, 4096),
        (1, 1),
        (512, 512),
        (5000, 4096),
        (1 << 20, 1 << 20),
    ] {
        let c = fs.call(|m| (m.stat("").unwrap().blksize, m.stat("").unwrap().blksize));
        fs.getattr(dir(ROOT).with(|a| a.blksize = given).attr_valid(0, 0));
        fs.getattr(dir(ROOT).with(|a| a.blksize = given).attr_valid(0, 0));
        assert_eq!(c.wait(), (shown, shown));
    }
}

/// Nanoseconds of a second and more are cut to 999999999.
fn nanoseconds_stay_below_a_second() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat(""));
    fs.getattr(dir(ROOT).with(|a| {
        (a.atimensec, a.mtimensec, a.ctimensec) = (1_000_000_000, u32::MAX, 999_999_999)
    }));
    let s = c.wait().unwrap();
    assert_eq!([s.atime[1], s.mtime[1], s.ctime[1]], [999_999_999; 3]);
}

/// Owner and group -1, which nobody is, are shown as the overflow ids.
fn unknown_owner() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat(""));
    fs.getattr(dir(ROOT).owner(u32::MAX, u32::MAX));
    let s = c.wait().unwrap();
    assert_eq!((s.uid, s.gid), (65534, 65534));
}

/// statx(2) with AT_STATX_FORCE_SYNC asks even while the attributes may be believed.
fn statx_force_sync() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            m.stat("f").unwrap().size,
            statx_size(&m.path("f"), libc::AT_STATX_FORCE_SYNC),
        )
    });
    fs.lookup(ROOT, "f", file(2).size(1));
    fs.getattr(file(2).size(2));
    assert_eq!(c.wait(), (1, Ok(2)));
}

/// statx(2) with AT_STATX_DONT_SYNC never asks.
fn statx_dont_sync() {
    let fs = Fs::new();
    let c = fs.call(|m| statx_size(&m.path("f"), libc::AT_STATX_DONT_SYNC));
    fs.lookup(ROOT, "f", file(2).size(1).attr_valid(0, 0));
    assert_eq!(c.wait(), Ok(1));
}

/// lseek(2) from the end asks for an expired size, by the open handle.
fn seek_to_the_end_asks_by_handle() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let end = (lseek(f, -1, libc::SEEK_END), lseek(f, 0, libc::SEEK_END));
        close(f).unwrap();
        end
    });
    fs.lookup(ROOT, "f", file(2).size(4).attr_valid(0, 0));
    fs.open(2, 5, 0);
    let r = fs.expect(GETATTR).node(2);
    assert_eq!(
        r.arg::<GetattrIn>(),
        GetattrIn {
            getattr_flags: GETATTR_FH,
            dummy: 0,
            fh: 5
        }
    );
    r.ok(file(2).size(9).attr_out());
    fs.flush(2, 5);
    assert_eq!(c.wait(), (Ok(8), Ok(9)));
    fs.release(2, 5);
}

/// Nobody looks up the root: its attributes are asked for when they are first needed.
fn root_starts_without_attributes() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat(""));
    fs.getattr(dir(ROOT).owner(3, 4).perm(0o751));
    let s = c.wait().unwrap();
    assert_eq!(
        (s.mode, s.uid, s.gid, s.ino),
        (libc::S_IFDIR | 0o751, 3, 4, 1)
    );
    assert_eq!(fs.call_quietly(|m| m.stat("")), Ok(s));
}

/// Devices, pipes and sockets are shown with their type, and devices with their numbers.
fn special_files() {
    let fs = Fs::new();
    for (i, kind) in [libc::S_IFCHR, libc::S_IFBLK, libc::S_IFIFO, libc::S_IFSOCK]
        .into_iter()
        .enumerate()
    {
        let (name, id) = (i.to_string(), 2 + i as u64);
        let c = fs.call(|m| m.stat(&name));
        fs.lookup(
            ROOT,
            &name,
            file(id).with(|a| (a.mode, a.rdev) = (kind | 0o600, 0x0105)),
        );
        let s = c.wait().unwrap();
        assert_eq!(s.mode, kind | 0o600);
        if matches!(kind, libc::S_IFCHR | libc::S_IFBLK) {
            assert_eq!(s.rdev, libc::makedev(1, 5));
        }
    }
}

/// Attributes that were asked for before a chmod and come after it are for who asked, and not for others.
fn a_reply_that_a_change_has_overtaken() {
    let fs = Fs::new();
    let early = fs.call(|m| m.stat("f").map(|s| s.mode & 0o7777));
    fs.lookup(ROOT, "f", file(2).perm(0o644).attr_valid(0, 0));
    let r = fs.expect(GETATTR).node(2);
    let c = fs.call(|m| chmod(&m.path("f"), 0o600));
    fs.expect(SETATTR)
        .node(2)
        .ok(file(2).perm(0o600).attr_out());
    assert_eq!(c.wait(), Ok(()));
    r.ok(file(2).perm(0o644).attr_out());
    assert_eq!(early.wait(), Ok(0o644));
    let got = fs.call_quietly(|m| m.stat("f").map(|s| s.mode & 0o7777));
    assert_eq!(got, Ok(0o600));
}

/// The same if the server says meanwhile, by INVAL_INODE, that they have changed.
fn a_reply_that_the_server_has_overtaken() {
    let fs = Fs::new();
    let early = fs.call(|m| m.stat("f").map(|s| s.size));
    fs.lookup(ROOT, "f", file(2).size(1).attr_valid(0, 0));
    let r = fs.expect(GETATTR).node(2);
    use super::notify;
    let message = notify::inval_inode(2, -1, 0);
    assert_eq!(
        notify::notify(fs.dev(), notify::INVAL_INODE, &[&message]),
        Ok(())
    );
    r.ok(file(2).size(2).attr_out());
    assert_eq!(early.wait(), Ok(2));
    let c = fs.call(|m| m.stat("f").map(|s| s.size));
    fs.getattr(file(2).size(3));
    assert_eq!(c.wait(), Ok(3));
}
