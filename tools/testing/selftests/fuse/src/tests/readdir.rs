// SPDX-License-Identifier: GPL-2.0

//! READDIR: offsets, ends, seeking, and hostile replies.

use crate::mockd::*;

crate::tests![
    request,
    entries_are_shown_as_they_come,
    next_request_starts_after_the_last_entry,
    entries_that_do_not_fit_are_asked_for_again,
    size_follows_the_callers_buffer,
    size_stays_within_max_pages,
    seeking,
    end_is_asked_for_each_time,
    offsets_need_not_grow,
    dot_entries_are_the_servers,
    makes_atime_stale,
    error_is_passed_on,
    incomplete_last_entry,
    incomplete_only_entry,
    name_of_no_bytes,
    name_too_long,
    name_with_slash,
    bad_name_after_good_ones,
    long_names,
    too_long_reply,
    not_for_read,
    offsets_of_a_32_bit_reader,
    one_reader_at_a_time,
    readers_side_by_side,
    fsync_request,
    fsync_error,
];

/// READDIR carries handle, offset, size and open flags, and no lock owner.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let e = getdents(d, 8192);
        close(d).unwrap();
        e
    });
    let r = fs.expect(OPENDIR).node(ROOT);
    let flags = r.arg::<OpenIn>().flags;
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let r = fs.expect(READDIR).node(ROOT);
    let expected = ReadIn {
        fh: 5,
        offset: 0,
        size: 8192,
        read_flags: 0,
        lock_owner: 0,
        flags,
        padding: 0,
    };
    assert_eq!(r.arg::<ReadIn>(), expected);
    r.reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(vec![]));
}

/// Opens the root with handle 5, runs `with` on the descriptor, and closes.
fn with_dir<T: Ship>(fs: &Fs, with: impl FnOnce(i32) -> T) -> Caller<T> {
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let t = with(d);
        close(d).unwrap();
        t
    });
    fs.opendir(ROOT, 5);
    c
}

fn names(e: Result<Vec<Entry>>) -> Result<Vec<String>> {
    e.map(|e| e.into_iter().map(|e| e.name).collect())
}

/// Name, inode number, type and offset are shown as the server gave them.
fn entries_are_shown_as_they_come() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| getdents(d, 4096));
    let reply = Dirents::new().add(7, 100, libc::DT_DIR, "one").add(
        1 << 40,
        1 << 41,
        libc::DT_LNK,
        "a longer name",
    );
    fs.expect_readdir(5, 0).reply(&reply.0);
    fs.releasedir(ROOT, 5);
    let e = |ino, off, kind, name: &str| Entry {
        ino,
        off,
        kind,
        name: name.into(),
    };
    let expected = [
        e(7, 100, libc::DT_DIR, "one"),
        e(1 << 40, 1 << 41, libc::DT_LNK, "a longer name"),
    ];
    assert_eq!(c.wait(), Ok(expected.to_vec()));
}

/// The next READDIR starts at the offset that the last entry gave, and an empty reply is the end.
fn next_request_starts_after_the_last_entry() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        (
            names(getdents(d, 4096)),
            names(getdents(d, 4096)),
            names(getdents(d, 4096)),
        )
    });
    fs.expect_readdir(5, 0)
        .reply(&Dirents::new().add(1, 10, 8, "a").add(2, 20, 8, "b").0);
    fs.expect_readdir(5, 20)
        .reply(&Dirents::new().add(3, 30, 8, "c").0);
    fs.expect_readdir(5, 30).reply(&[]);
    fs.releasedir(ROOT, 5);
    let s = |n: &[&str]| Ok(n.iter().map(|n| n.to_string()).collect());
    assert_eq!(c.wait(), (s(&["a", "b"]), s(&["c"]), s(&[])));
}

/// Entries beyond the caller's buffer are dropped, and asked for again from where the caller is.
fn entries_that_do_not_fit_are_asked_for_again() {
    let fs = Fs::new();
    // A directory entry with a name of one byte takes 24 bytes of the caller's buffer.
    let c = with_dir(&fs, |d| (names(getdents(d, 48)), names(getdents(d, 48))));
    fs.expect_readdir(5, 0).reply(
        &Dirents::new()
            .add(1, 10, 8, "a")
            .add(2, 20, 8, "b")
            .add(3, 30, 8, "c")
            .0,
    );
    fs.expect_readdir(5, 20)
        .reply(&Dirents::new().add(3, 30, 8, "c").0);
    fs.releasedir(ROOT, 5);
    assert_eq!(
        c.wait(),
        (Ok(vec!["a".into(), "b".into()]), Ok(vec!["c".into()]))
    );
}

/// READDIR asks for as much as the caller's buffer has, at least a page.
fn size_follows_the_callers_buffer() {
    let fs = Fs::new();
    let sizes = [48, 4096, 5000, 32768];
    let c = with_dir(&fs, |d| sizes.map(|s| getdents(d, s).is_ok()).to_vec());
    for asked in [4096, 4096, 5000, 32768] {
        let r = fs.expect_readdir(5, 0);
        assert_eq!(r.arg::<ReadIn>().size, asked);
        r.reply(&[]);
    }
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), [true; 4]);
}

/// READDIR asks for at most max_pages pages.
fn size_stays_within_max_pages() {
    for (setup, limit) in [
        (Setup::new(), 128 << 10),
        (
            Setup::new()
                .flags(init::MAX_PAGES)
                .init(|i| i.max_pages = 2),
            8192,
        ),
    ] {
        let fs = setup.start();
        let c = with_dir(&fs, |d| getdents(d, 1 << 20).is_ok());
        let r = fs.expect_readdir(5, 0);
        assert_eq!(r.arg::<ReadIn>().size, limit);
        r.reply(&[]);
        fs.releasedir(ROOT, 5);
        assert!(c.wait());
    }
}

/// A seek goes to any offset that an entry gave, and rewinding to 0.
fn seeking() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        getdents(d, 4096).unwrap();
        let at = lseek(d, 0, libc::SEEK_CUR);
        lseek(d, 10, libc::SEEK_SET).unwrap();
        getdents(d, 4096).unwrap();
        lseek(d, 0, libc::SEEK_SET).unwrap();
        getdents(d, 4096).unwrap();
        at
    });
    let all = Dirents::new().add(1, 10, 8, "a").add(2, 20, 8, "b").0;
    fs.expect_readdir(5, 0).reply(&all);
    fs.expect_readdir(5, 10).reply(&all[32..]);
    fs.expect_readdir(5, 0).reply(&all);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(20));
}

/// The end of a directory is not remembered.
fn end_is_asked_for_each_time() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        (0..3)
            .map(|_| getdents(d, 4096).unwrap().len())
            .sum::<usize>()
    });
    for _ in 0..3 {
        fs.expect_readdir(5, 0).reply(&[]);
    }
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), 0);
}

/// Offsets are the server's own: any number, in any order.
fn offsets_need_not_grow() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        (
            getdents(d, 4096).unwrap().len(),
            getdents(d, 4096).unwrap().len(),
        )
    });
    let far = (1 << 62) + 5;
    fs.expect_readdir(5, 0).reply(
        &Dirents::new()
            .add(1, far, 8, "a")
            .add(2, 3, 8, "b")
            .add(3, far, 8, "c")
            .0,
    );
    fs.expect_readdir(5, far).reply(&[]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (3, 0));
}

/// "." and ".." are shown if the server lists them, and only then.
fn dot_entries_are_the_servers() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| names(getdents(d, 4096)));
    fs.expect_readdir(5, 0).reply(
        &Dirents::new()
            .add(1, 1, 4, ".")
            .add(1, 2, 4, "..")
            .add(2, 3, 8, "f")
            .0,
    );
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Ok(vec![".".into(), "..".into(), "f".into()]));
}

/// Listing makes the directory's access time stale: the next stat(2) of it asks.
fn makes_atime_stale() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        (
            fstat(d).unwrap().atime[0],
            getdents(d, 4096).is_ok(),
            fstat(d).unwrap().atime[0],
        )
    });
    fs.getattr(dir(ROOT));
    fs.expect_readdir(5, 0).reply(&[]);
    fs.getattr(dir(ROOT).with(|a| a.atime = 9));
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (0, true, 9));
}

/// An error of READDIR is the caller's error.
fn error_is_passed_on() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        [getdents(d, 4096), getdents(d, 4096)]
            .map(|r| r.map(drop))
            .to_vec()
    });
    fs.expect_readdir(5, 0).err(ENOSYS);
    fs.expect_readdir(5, 0).err(ODD);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), [Err(ENOSYS), Err(ODD)]);
}

/// Runs one getdents(2) whose READDIR is answered with these bytes.
fn list(reply: &[u8]) -> Result<Vec<String>> {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| names(getdents(d, 65536)));
    fs.expect_readdir(5, 0).reply(reply);
    fs.releasedir(ROOT, 5);
    c.wait()
}

/// An entry that the reply's end cuts off is left out; what came before counts.
fn incomplete_last_entry() {
    let whole = Dirents::new()
        .add(1, 10, 8, "a")
        .add(2, 20, 8, "bbbbbbbbbbbb")
        .0;
    for cut in [1, 8, 15, whole.len() - 32] {
        assert_eq!(
            list(&whole[..whole.len() - cut]),
            Ok(vec!["a".to_string()]),
            "{cut} bytes cut off"
        );
    }
}

/// A reply that holds no complete entry looks like the end.
fn incomplete_only_entry() {
    let whole = Dirents::new().add(1, 10, 8, "a").0;
    for len in [1, 23, 24, 31] {
        assert_eq!(list(&whole[..len]), Ok(vec![]), "{len} bytes");
    }
}

/// A name of no bytes is an error: EIO.
fn name_of_no_bytes() {
    assert_eq!(list(&Dirents::new().add(1, 10, 8, "").0), Err(EIO));
}

/// A name of more than 4095 bytes is an error: EIO, whether the reply holds it or only claims it.
fn name_too_long() {
    assert_eq!(
        list(&Dirents::new().add(1, 10, 8, vec![b'x'; NAME_MAX + 1]).0),
        Err(EIO)
    );
    for claim in [
        NAME_MAX as u32 + 1,
        65536,
        u32::MAX - 24,
        u32::MAX - 7,
        u32::MAX,
    ] {
        assert_eq!(
            list(&Dirents::new().add_claiming(claim, 10, b"name").0),
            Err(EIO),
            "namelen {claim}"
        );
    }
}

/// A name with a slash is an error: EIO.
fn name_with_slash() {
    for bad in ["/", "a/b", "a/", "/a", "../x"] {
        assert_eq!(
            list(&Dirents::new().add(1, 10, 8, bad).0),
            Err(EIO),
            "{bad}"
        );
    }
}

/// What came before a bad name is shown first; the error comes when the caller is at it.
fn bad_name_after_good_ones() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        (names(getdents(d, 4096)), names(getdents(d, 4096)))
    });
    let reply = Dirents::new().add(1, 10, 8, "a").add(2, 20, 8, "b/c").0;
    fs.expect_readdir(5, 0).reply(&reply);
    fs.expect_readdir(5, 10).reply(&reply[32..]);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (Ok(vec!["a".into()]), Err(EIO)));
}

/// Names up to 4095 bytes are shown.
fn long_names() {
    for len in [255, 256, 1024, 4095] {
        let name = "n".repeat(len);
        assert_eq!(list(&Dirents::new().add(1, 10, 8, &name).0), Ok(vec![name]));
    }
}

/// A reply longer than READDIR asked for is refused, and the caller gets EIO.
fn too_long_reply() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| getdents(d, 4096).map(drop));
    assert_eq!(
        fs.expect_readdir(5, 0).try_reply(&vec![0; 4097]),
        Err(EINVAL)
    );
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// read(2) of a directory gives EISDIR, and the server is not asked.
fn not_for_read() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| read(d, 10).map(drop));
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), Err(EISDIR));
}

/// A 32-bit program gets the server's offsets as they are, all 64 bits, and can go back to one.
fn offsets_of_a_32_bit_reader() {
    let fs = Fs::new();
    let c = with_dir(&fs, |d| {
        let first = getdents_32(d, 4096).unwrap();
        lseek(d, first[0].off, libc::SEEK_SET).unwrap();
        (first, names(getdents_32(d, 4096)))
    });
    let reply = Dirents::new()
        .add(7, (5 << 40) + 3, libc::DT_REG, "one")
        .add(8, (5 << 40) + 4, libc::DT_REG, "two");
    fs.expect_readdir(5, 0).reply(&reply.0);
    let reply = Dirents::new().add(8, (5 << 40) + 4, libc::DT_REG, "two");
    fs.expect_readdir(5, (5 << 40) + 3).reply(&reply.0);
    fs.releasedir(ROOT, 5);
    let (first, second) = c.wait();
    let seen: Vec<_> = first.iter().map(|e| (e.ino, e.off)).collect();
    assert_eq!(seen, [(7, (5 << 40) + 3), (8, (5 << 40) + 4)]);
    assert_eq!(second, Ok(vec!["two".to_string()]));
}

/// Two processes that read the root by handles of their own; the first is asked for.
fn two_readers(fs: &Fs) -> [Caller<Result<()>>; 2] {
    let read = |m: &Side| {
        let d = m.opendir("").unwrap();
        m.pause();
        let result = getdents(d, 4096).map(drop);
        close(d).unwrap();
        result
    };
    let callers = [fs.call(read), fs.call(read)];
    for fh in [5, 6] {
        fs.opendir(ROOT, fh);
    }
    callers.each_ref().map(Caller::paused);
    callers
}

/// Without PARALLEL_DIROPS a directory is read by one at a time.
fn one_reader_at_a_time() {
    let fs = Fs::new();
    let [a, b] = two_readers(&fs);
    a.go();
    let first = fs.expect(READDIR).node(ROOT);
    b.go();
    b.until_asleep();
    fs.quiet();
    first.reply(&[]);
    // In which order the first closes and the second reads is not said.
    let mut came: Vec<_> = (0..3)
        .map(|_| {
            let r = fs.dev().next();
            let opcode = r.head.opcode;
            r.node(ROOT).reply(&[]);
            opcode
        })
        .collect();
    came.sort();
    assert_eq!(came, [READDIR, RELEASEDIR, RELEASEDIR]);
    assert_eq!((a.wait(), b.wait()), (Ok(()), Ok(())));
}

/// With it, by as many as there are.
fn readers_side_by_side() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let [a, b] = two_readers(&fs);
    a.go();
    b.go();
    let (one, two) = (fs.expect(READDIR), fs.expect(READDIR));
    let mut handles = [&one, &two].map(|r| r.arg::<ReadIn>().fh);
    handles.sort();
    assert_eq!(handles, [5, 6]);
    two.reply(&[]);
    one.reply(&[]);
    for _ in 0..2 {
        fs.expect(RELEASEDIR).node(ROOT).reply(&[]);
    }
    assert_eq!((a.wait(), b.wait()), (Ok(()), Ok(())));
}

/// Calls `f` with the open root.
fn with_root<T: Ship>(fs: &Fs, f: impl FnOnce(i32) -> T + 'static) -> Caller<T> {
    let c = fs.call(move |m| {
        let d = m.opendir("").unwrap();
        let result = f(d);
        close(d).unwrap();
        result
    });
    fs.opendir(ROOT, 5);
    c
}

/// FSYNCDIR says by its flag whether only the data matters: fdatasync(2).
fn fsync_request() {
    let fs = Fs::new();
    let c = with_root(&fs, |d| {
        // SAFETY: no memory involved.
        (fsync(d), unsafe { libc::fdatasync(d) })
    });
    for flags in [0, 1] {
        let r = fs.expect(FSYNCDIR).node(ROOT);
        let arg: FsyncIn = r.arg();
        assert_eq!((arg.fh, arg.fsync_flags, arg.padding), (5, flags, 0));
        r.reply(&[]);
    }
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (Ok(()), 0));
}

/// Its error is the caller's, each time.
fn fsync_error() {
    let fs = Fs::new();
    let c = with_root(&fs, |d| (fsync(d), fsync(d)));
    fs.expect(FSYNCDIR).err(ODD);
    fs.expect(FSYNCDIR).err(ODD);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (Err(ODD), Err(ODD)));
}
