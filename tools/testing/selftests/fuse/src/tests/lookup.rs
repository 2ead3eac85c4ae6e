// SPDX-License-Identifier: GPL-2.0

//! LOOKUP: names become nodes; what is believed for how long, and what a name that changed its meaning does.

use crate::mockd::*;

crate::tests![
    request,
    absent_by_error_is_not_cached,
    absent_by_node_zero_is_cached,
    absent_by_node_zero_expires,
    found_name_is_cached,
    found_name_expires,
    fractions_of_a_second_count,
    expired_name_is_confirmed,
    expired_name_takes_new_attributes,
    expired_name_is_gone,
    expired_name_is_another_node,
    error_at_confirmation,
    new_generation,
    new_generation_of_an_open_file,
    new_type,
    two_names_of_a_node,
    through_directories,
    below_a_file,
    dots_are_not_looked_up,
    error_is_passed_on,
    one_request_for_two_callers,
    parallel_in_one_directory,
    serial_without_parallel_dirops,
    creation_expects_absence,
    root_has_no_name,
    timeouts_beyond_measure,
    attributes_from_before_the_node_was_dropped,
    generation_of_the_root,
];

/// LOOKUP names the directory's node and carries the name with its NUL, and the caller's ids.
fn request() {
    let fs = Setup::new().option("allow_other").start();
    let c = fs.call(|m| {
        become_user(12, 34);
        m.stat("some name")
    });
    let r = fs.expect_lookup(ROOT, "some name");
    assert_eq!(r.head.len as usize, IN_HEADER + "some name".len() + 1);
    assert_eq!((r.head.uid, r.head.gid, r.head.pid), (12, 34, c.pid as u32));
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// ENOENT is an answer for once: the name is looked up again each time.
fn absent_by_error_is_not_cached() {
    let fs = Fs::new();
    for _ in 0..3 {
        let c = fs.call(|m| m.stat("f"));
        fs.expect_lookup(ROOT, "f").err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// Node 0 says "no such name", and that may be believed as long as the reply says.
fn absent_by_node_zero_is_cached() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f"));
    fs.expect_lookup(ROOT, "f").ok(absent(3600, 0));
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(fs.call_quietly(|m| m.stat("f")), Err(ENOENT));
    assert_eq!(fs.call_quietly(|m| m.stat("f/g")), Err(ENOENT));
}

/// Absence that has expired, or was never to be believed, is asked for again.
fn absent_by_node_zero_expires() {
    let fs = Fs::new();
    for validity in [0, 0, 1_000_000] {
        let c = fs.call(|m| m.stat("f"));
        fs.expect_lookup(ROOT, "f").ok(absent(0, validity));
        assert_eq!(c.wait(), Err(ENOENT));
    }
    sleep_ms(30);
    let c = fs.call(|m| m.stat("f"));
    fs.lookup(ROOT, "f", file(2));
    assert!(c.wait().is_ok());
}

/// While a name may be believed it is not looked up again.
fn found_name_is_cached() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f"));
    fs.lookup(ROOT, "f", file(2).size(4));
    let first = c.wait().unwrap();
    for _ in 0..3 {
        assert_eq!(fs.call_quietly(|m| m.stat("f")), Ok(first));
    }
}

/// A name that may not be believed is looked up on every walk.
fn found_name_expires() {
    let fs = Fs::new();
    for _ in 0..3 {
        let c = fs.call(|m| m.stat("f").is_ok());
        fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
        assert!(c.wait());
    }
}

/// The time to believe a name counts in nanoseconds, and nothing is sent before it is over.
fn fractions_of_a_second_count() {
    let fs = Fs::new();
    let valid = ms(1000) as u64;
    let entry = file(2).entry_valid(valid / 1000, (valid % 1000) as u32 * 1_000_000);
    let c = fs.call(|m| m.stat("f").is_ok());
    fs.lookup(ROOT, "f", entry);
    assert!(c.wait());
    assert!(fs.call_quietly(|m| m.stat("f")).is_ok());
    sleep_ms(valid + 50);
    let c = fs.call(|m| m.stat("f").is_ok());
    fs.lookup(ROOT, "f", entry);
    assert!(c.wait());
}

/// The same node under an expired name is the same file: one inode, nothing given back.
fn expired_name_is_confirmed() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let one = fstat(f).unwrap();
        m.pause();
        let by_name = m.stat("f").unwrap();
        let by_file = fstat(f).unwrap();
        close(f).unwrap();
        (one, by_name, by_file)
    });
    fs.lookup(ROOT, "f", file(2).size(4).entry_valid(0, 0));
    fs.open(2, 5, 0);
    c.paused();
    c.go();
    fs.lookup(ROOT, "f", file(2).size(4).entry_valid(0, 0));
    fs.flush(2, 5);
    let (one, by_name, by_file) = c.wait();
    assert_eq!(one, by_name);
    assert_eq!(one, by_file);
    fs.release(2, 5);
}

/// The reply that confirms a name brings new attributes and times, for an open file too.
fn expired_name_takes_new_attributes() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        m.stat("f").unwrap();
        m.pause();
        (m.stat("f").unwrap().size, fstat(f).unwrap().size)
    });
    fs.lookup(ROOT, "f", file(2).size(4).entry_valid(0, 0));
    fs.lookup(ROOT, "f", file(2).size(5));
    c.paused();
    c.go();
    assert_eq!(c.wait(), (5, 5));
}

/// If an expired name is gone, the kernel asks once more, as for a name never seen, before it says ENOENT.
fn expired_name_is_gone() {
    let fs = Fs::new();
    for answer in [None, Some(absent(0, 0)), Some(absent(3600, 0))] {
        let c = fs.call(|m| (m.stat("f").is_ok(), m.stat("f")));
        fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
        for _ in 0..2 {
            let r = loop {
                let r = fs.dev().next();
                if r.head.opcode == LOOKUP {
                    break r;
                }
                assert_eq!(forgotten(&r), [(2, 1)]);
            };
            match answer {
                None => r.err(ENOENT),
                Some(a) => r.ok(a),
            }
        }
        assert_eq!(c.wait(), (true, Err(ENOENT)));
        while fs.dev().readable() {
            assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
        }
    }
}

/// An expired name that now means another node is looked up anew, and the old file stays open as it was.
fn expired_name_is_another_node() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        let new = m.stat("f").unwrap();
        (fstat(f).unwrap().ino, new.ino, m.stat("f").unwrap().ino)
    });
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    fs.lookup(ROOT, "f", file(3));
    assert_eq!(forgotten(&next_but_lookup(&fs, "f", file(3))), [(3, 1)]);
    assert_eq!(c.wait(), (2, 3, 3));
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// Reads LOOKUP of `name` and one other request, in either order; answers the first and returns the other.
pub(super) fn next_but_lookup(fs: &Fs, name: &str, node: Node) -> Request {
    let (a, b) = (fs.dev().next(), fs.dev().next());
    let (lookup, other) = if a.head.opcode == LOOKUP {
        (a, b)
    } else {
        (b, a)
    };
    assert_eq!((lookup.head.opcode, lookup.name().as_str()), (LOOKUP, name));
    lookup.ok(node.entry());
    other
}

/// Any other error at the confirmation of a name drops the name too; the second LOOKUP decides.
fn error_at_confirmation() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        let r = m.stat("f");
        (r, fstat(f).map(|s| s.ino))
    });
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    fs.expect_lookup(ROOT, "f").err(EPERM);
    fs.expect_lookup(ROOT, "f").err(ODD);
    assert_eq!(c.wait(), (Err(EXDEV), Ok(2)));
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// The same node number with a new generation is another file: the old one is given back before it counts anew.
fn new_generation() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").unwrap().size, m.stat("f").unwrap().size));
    fs.lookup(ROOT, "f", file(2).size(1).entry_valid(0, 0));
    fs.lookup(ROOT, "f", file(2).size(2).generation(1));
    let given_back = next_but_lookup(&fs, "f", file(2).size(2).generation(1));
    assert_eq!(forgotten(&given_back), [(2, 2)]);
    assert_eq!(c.wait(), (1, 2));
}

/// A node number that is used again makes the old file, if still open, a bad one: EIO for all but its end.
fn new_generation_of_an_open_file() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let new = m.stat("f").unwrap();
        let old = (fstat(f).map(|s| s.size), pread(f, 1, 0));
        (new.size, old, close(f))
    });
    fs.lookup(ROOT, "f", file(2).size(1).entry_valid(0, 0));
    fs.open(2, 5, 0);
    fs.lookup(ROOT, "f", file(2).size(2).generation(1));
    fs.lookup(ROOT, "f", file(2).size(2).generation(1));
    assert_eq!(c.wait(), (2, (Err(EIO), Err(EIO)), Err(EIO)));
    fs.release(2, 5);
    assert_eq!(forgotten(&fs.dev().next()), [(2, 2)]);
}

/// A node whose type changed is another file too: a name never seen before makes the old one bad.
fn new_type() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        let new = m.stat("other").unwrap();
        (new.mode & libc::S_IFMT, fstat(f).map(|s| s.size))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "other", dir(2));
    assert_eq!(c.wait(), (libc::S_IFDIR, Err(EIO)));
    // The old name leads to a bad file, so it is dropped and looked up anew.
    let c = fs.call(|m| m.stat("f").map(|s| s.mode & libc::S_IFMT));
    assert_eq!(forgotten(&next_but_lookup(&fs, "f", dir(2))), [(2, 1)]);
    assert_eq!(c.wait(), Ok(libc::S_IFDIR));
}

/// Two names of one node and generation are one file: the same inode, and one set of attributes.
fn two_names_of_a_node() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            m.stat("a").unwrap(),
            m.stat("b").unwrap(),
            m.stat("a").unwrap(),
        )
    });
    fs.lookup(ROOT, "a", file(2).size(1));
    fs.lookup(ROOT, "b", file(2).size(2));
    let (a, b, again) = c.wait();
    assert_eq!((a.size, b.size, again.size), (1, 2, 2));
    assert_eq!(b, again);
}

/// A path is looked up name by name, each in the node of the one before.
fn through_directories() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("a/b/c").map(|s| s.ino));
    fs.lookup(ROOT, "a", dir(10));
    fs.lookup(10, "b", dir(20));
    fs.lookup(20, "c", file(30));
    assert_eq!(c.wait(), Ok(30));
}

/// Nothing is looked up below what is no directory: ENOTDIR, also if the name is to be a directory.
fn below_a_file() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f/g"), m.stat("f/").is_err()));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), (Err(ENOTDIR), true));
}

/// "." and ".." are the kernel's affair.
fn dots_are_not_looked_up() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("d").map(|s| s.ino));
    fs.lookup(ROOT, "d", dir(2));
    assert_eq!(c.wait(), Ok(2));
    for path in ["d/.", "./d", "d/../d", "d/../../m0/d"] {
        assert_eq!(fs.call_quietly(|m| m.stat(path)).unwrap().ino, 2);
    }
}

/// Any error of the server's is the caller's error.
fn error_is_passed_on() {
    let fs = Fs::new();
    for e in [
        EPERM,
        EACCES,
        EIO,
        ENOSYS,
        ENOMEM,
        EINTR,
        ESTALE,
        ODD,
        Errno(511),
    ] {
        let c = fs.call(|m| m.stat("f"));
        fs.expect_lookup(ROOT, "f").err(e);
        if e == ESTALE {
            // The VFS walks once more after ESTALE.
            fs.expect_lookup(ROOT, "f").err(e);
        }
        assert_eq!(c.wait(), Err(e));
    }
}

/// Two callers that look for one name at one time share one LOOKUP.
fn one_request_for_two_callers() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let a = fs.call(|m| m.stat("f"));
    let r = fs.expect_lookup(ROOT, "f");
    let b = fs.call(|m| m.stat("f"));
    b.until_uninterruptible();
    fs.quiet();
    r.ok(file(2).entry());
    assert_eq!(a.wait().unwrap(), b.wait().unwrap());
}

/// With PARALLEL_DIROPS several names of one directory are looked up at once.
fn parallel_in_one_directory() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let a = fs.call(|m| m.stat("a"));
    let b = fs.call(|m| m.stat("b"));
    let (one, two) = (fs.expect(LOOKUP), fs.expect(LOOKUP));
    let mut names = [one.name(), two.name()];
    names.sort();
    assert_eq!(names, ["a", "b"]);
    // Answered in the other order.
    two.err(ENOENT);
    one.err(ENOENT);
    assert_eq!((a.wait(), b.wait()), (Err(ENOENT), Err(ENOENT)));
}

/// Without PARALLEL_DIROPS the LOOKUPs of one directory come one after the other; other directories do not wait.
fn serial_without_parallel_dirops() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("d").is_ok());
    fs.lookup(ROOT, "d", dir(2));
    assert!(c.wait());
    let a = fs.call(|m| m.stat("a"));
    let first = fs.expect_lookup(ROOT, "a");
    let b = fs.call(|m| m.stat("b"));
    b.until_asleep();
    fs.quiet();
    let c = fs.call(|m| m.stat("d/c"));
    fs.expect_lookup(2, "c").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    first.err(ENOENT);
    fs.expect_lookup(ROOT, "b").err(ENOENT);
    assert_eq!((a.wait(), b.wait()), (Err(ENOENT), Err(ENOENT)));
}

/// To create a name that is cached as present or absent, it is looked up even if its time is not over.
fn creation_expects_absence() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").is_ok(), sys::mkdir(&m.path("f"))));
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), (true, Err(EEXIST)));
}

/// The root is reached by the mount only: a name that is said to be node 1 gives EIO.
fn root_has_no_name() {
    let fs = Fs::new();
    for generation in [0, 5] {
        let c = fs.call(|m| m.stat("f"));
        fs.lookup(ROOT, "f", dir(ROOT).generation(generation));
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// Times beyond what the kernel can count, and fractions beyond a second, mean for long.
fn timeouts_beyond_measure() {
    let fs = Fs::new();
    for (i, (sec, nsec)) in [(u64::MAX >> 1, 0), (1 << 40, u32::MAX), (3600, u32::MAX)]
        .into_iter()
        .enumerate()
    {
        let name = i.to_string();
        let c = fs.call(|m| m.stat(&name));
        fs.lookup(
            ROOT,
            &name,
            file(2 + i as u64)
                .entry_valid(sec, nsec)
                .attr_valid(sec, nsec),
        );
        let s = c.wait();
        assert!(s.is_ok());
        assert_eq!(fs.call_quietly(|m| m.stat(&name)), s);
    }
}

/// A LOOKUP was sent, then its node changed and was dropped: what the LOOKUP brings of attributes may be older.
fn attributes_from_before_the_node_was_dropped() {
    use super::notify;
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2).size(1));
    assert_eq!(c.wait(), Ok(()));
    let late = fs.call(|m| m.stat("g").map(|s| s.size));
    let r = fs.expect_lookup(ROOT, "g");
    let changed = notify::inval_inode(2, -1, 0);
    assert_eq!(
        notify::notify(fs.dev(), notify::INVAL_INODE, &[&changed]),
        Ok(())
    );
    drop_caches();
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    r.ok(file(2).size(1).entry());
    fs.getattr(file(2).size(9));
    assert_eq!(late.wait(), Ok(9));
}

/// The root has generation 0, whatever a server says of it where it names it: what it is called by ".." is still it.
fn generation_of_the_root() {
    let fs = Setup::new().flags(init::EXPORT_SUPPORT).start();
    let c = fs.call(|m| {
        let root = m.opendir("").unwrap();
        // FILEID_INO64_GEN of node 5.
        let result = open_by_handle(root, 0x81, &[0, 5, 0], libc::O_RDONLY).and_then(close);
        close(root).unwrap();
        (result, m.stat("").map(|s| s.ino))
    });
    fs.opendir(ROOT, 1);
    fs.lookup(5, ".", dir(5));
    fs.lookup(5, "..", dir(ROOT).generation(77));
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            // By which name the root has it.
            OPENDIR => r.ok(OpenOut::default()),
            READDIR => r.reply(&[]),
            GETATTR => {
                let node = r.head.nodeid;
                r.ok(dir(node).attr_out())
            }
            RELEASEDIR if r.arg::<ReleaseIn>().fh == 1 => break r.reply(&[]),
            RELEASEDIR => r.reply(&[]),
            _ => drop(forgotten(&r)),
        }
    }
    let mut root = None;
    while root.is_none() {
        match fs.dev().next_within(ms(50)) {
            Some(r) if r.head.opcode == GETATTR => r.ok(dir(ROOT).attr_out()),
            Some(r) => drop(forgotten(&r)),
            None if !c.running() => root = Some(c.wait().1),
            None => (),
        }
    }
    // A bad inode would give EIO.
    assert_eq!(root, Some(Ok(ROOT)));
}
