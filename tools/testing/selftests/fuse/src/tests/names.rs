// SPDX-License-Identifier: GPL-2.0

//! MKNOD, MKDIR, SYMLINK, LINK, UNLINK, RMDIR and RENAME: names that come, go and move.

use crate::mockd::*;

crate::tests![
    mknod_request,
    mkdir_request,
    symlink_request,
    link_request,
    removal_requests,
    rename_request,
    rename2_request,
    rename_flags_are_the_callers,
    exchanged_names_are_known,
    replaced_node_is_stale,
    umask_is_applied,
    umask_is_left_to_the_server,
    umask_is_left_to_the_server_by_all,
    new_name_is_known,
    new_node_of_another_type,
    new_node_without_id,
    new_node_is_forgotten,
    existing_name_is_looked_up_again,
    removed_name_is_looked_up_again,
    missing_name_is_looked_up_again,
    refused_removal_keeps_the_name,
    making_makes_the_directory_stale,
    removal_makes_directory_and_ctime_stale,
    link_brings_attributes,
    moved_name_is_known,
    flags_need_minor_23,
    rename2_is_asked_once,
];

/// The number at the start of `b`.
fn number(b: &[u8]) -> u32 {
    u32::from_ne_bytes(b[..4].try_into().expect("four bytes"))
}

/// The `u32` fields of a structure of `len` bytes, and the names behind it.
#[track_caller]
fn parts(r: &Request, len: usize) -> (Vec<u32>, Vec<String>) {
    let (head, names) = r.body.split_at(len);
    let numbers = head.chunks(4).map(number).collect();
    let mut names: Vec<_> = names
        .split(|&b| b == 0)
        .map(|n| String::from_utf8_lossy(n).into_owned())
        .collect();
    assert_eq!(
        names.pop().as_deref(),
        Some(""),
        "the last name ends in NUL"
    );
    (numbers, names)
}

fn with_umask(umask: u32) {
    // SAFETY: No memory involved.
    unsafe { libc::umask(umask) };
}

/// renameat2(2).
fn rename2(from: &str, to: &str, flags: u32) -> Result<()> {
    let c = |s: &str| std::ffi::CString::new(s).unwrap();
    let (from, to) = (c(from), c(to));
    // SAFETY: Two C strings.
    let r = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            flags,
        )
    };
    if r == 0 {
        Ok(())
    } else {
        Err(errno())
    }
}

/// Makes "f" known as file 2 and "d" as directory 3.
fn with_names(setup: Setup) -> Fs {
    let fs = setup.start();
    let c = fs.call(|m| m.stat("f").is_ok() && m.stat("d").is_ok());
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "d", dir(3));
    assert!(c.wait());
    fs
}

/// MKNOD names the directory, mode, device, umask and name; the reply is a node.
fn mknod_request() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        with_umask(0);
        mknod(&m.path("p"), libc::S_IFIFO | 0o640)
    });
    fs.expect_lookup(ROOT, "p").ok(absent(0, 0));
    let r = fs.expect(MKNOD).node(ROOT);
    assert_eq!(
        parts(&r, 16),
        (vec![libc::S_IFIFO | 0o640, 0, 0, 0], vec!["p".into()])
    );
    r.ok(file(2).with(|a| a.mode = libc::S_IFIFO | 0o640).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// MKDIR names the directory, permissions without the type, umask and name.
fn mkdir_request() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        with_umask(0);
        mkdir(&m.path("d"))
    });
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    let r = fs.expect(MKDIR).node(ROOT);
    assert_eq!(parts(&r, 8), (vec![0o755, 0], vec!["d".into()]));
    r.ok(dir(2).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// SYMLINK is the name and the target.
fn symlink_request() {
    let fs = Fs::new();
    let c = fs.call(|m| symlink("some/where", &m.path("l")));
    fs.expect_lookup(ROOT, "l").ok(absent(0, 0));
    let r = fs.expect(SYMLINK).node(ROOT);
    assert_eq!(parts(&r, 0).1, ["l", "some/where"]);
    r.ok(symlink_node(2).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// LINK is sent on the new directory, and has the node and the new name.
fn link_request() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| link(&m.path("f"), &m.path("d/g")));
    fs.expect_lookup(3, "g").ok(absent(0, 0));
    let r = fs.expect(LINK).node(3);
    assert_eq!(parts(&r, 8), (vec![2, 0], vec!["g".into()]));
    r.ok(file(2).with(|a| a.nlink = 2).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// UNLINK and RMDIR are the name alone.
fn removal_requests() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| unlink(&m.path("f")));
    let r = fs.expect(UNLINK).node(ROOT);
    assert_eq!(r.name(), "f");
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    let c = fs.call(|m| rmdir(&m.path("d")));
    let r = fs.expect(RMDIR).node(ROOT);
    assert_eq!(r.name(), "d");
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(forgotten(&fs.dev().next()), [(3, 1)]);
}

/// RENAME is sent on the old directory, and has the new directory and both names.
fn rename_request() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| rename(&m.path("f"), &m.path("d/g")));
    fs.expect_lookup(3, "g").ok(absent(0, 0));
    let r = fs.expect(RENAME).node(ROOT);
    assert_eq!(parts(&r, 8), (vec![3, 0], vec!["f".into(), "g".into()]));
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
}

/// A rename with flags is RENAME2, which has the flags too.
fn rename2_request() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| rename2(&m.path("f"), &m.path("d/g"), libc::RENAME_NOREPLACE));
    fs.expect_lookup(3, "g").ok(absent(0, 0));
    let r = fs.expect(RENAME2).node(ROOT);
    assert_eq!(
        parts(&r, 16),
        (vec![3, 0, 1, 0], vec!["f".into(), "g".into()])
    );
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
}

/// Each flag of renameat2(2) goes to the server; combinations that mean nothing, and others, do not.
fn rename_flags_are_the_callers() {
    for (flags, to) in [
        (libc::RENAME_NOREPLACE, "g"),
        (libc::RENAME_EXCHANGE, "d"),
        (libc::RENAME_WHITEOUT, "g"),
        (libc::RENAME_NOREPLACE | libc::RENAME_WHITEOUT, "g"),
    ] {
        let fs = with_names(Setup::new());
        let c = fs.call(move |m| rename2(&m.path("f"), &m.path(to), flags));
        if to == "g" {
            fs.expect_lookup(ROOT, "g").ok(absent(0, 0));
        }
        let r = fs.expect(RENAME2).node(ROOT);
        assert_eq!(
            parts(&r, 16),
            (
                vec![ROOT as u32, 0, flags, 0],
                vec!["f".into(), to.to_string()]
            )
        );
        r.err(ODD);
        assert_eq!(c.wait(), Err(ODD));
    }
    for flags in [libc::RENAME_NOREPLACE | libc::RENAME_EXCHANGE, 1 << 3, !0] {
        let fs = with_names(Setup::new());
        let c = fs.call(move |m| rename2(&m.path("f"), &m.path("g"), flags));
        assert_eq!(c.wait(), Err(EINVAL));
    }
}

/// Names that were exchanged are each the other's, without a LOOKUP; their change times are the server's.
fn exchanged_names_are_known() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| {
        rename2(&m.path("f"), &m.path("d"), libc::RENAME_EXCHANGE).unwrap();
        (
            m.stat("f").map(|s| (s.ino, s.ctime[0])),
            m.stat("d").map(|s| (s.ino, s.ctime[0])),
        )
    });
    fs.expect(RENAME2).reply(&[]);
    fs.getattr(dir(3).with(|a| a.ctime = 13));
    fs.getattr(file(2).with(|a| a.ctime = 12));
    assert_eq!(c.wait(), (Ok((3, 13)), Ok((2, 12))));
}

/// A name that may be replaced is looked up again, however long it was good for; the node that has lost it has other
/// attributes by then.
fn replaced_node_is_stale() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| {
        let g = m.open("g").unwrap();
        rename(&m.path("f"), &m.path("g")).unwrap();
        let links = fstat(g).map(|s| s.nlink);
        close(g).unwrap();
        (links, m.stat("g").map(|s| s.ino))
    });
    fs.lookup(ROOT, "g", file(4));
    fs.open(4, 5, 0);
    fs.lookup(ROOT, "g", file(4));
    fs.expect(RENAME).reply(&[]);
    fs.getattr(file(4).with(|a| a.nlink = 0));
    fs.flush_and_release(4, 5);
    // Its last user is gone; when it is given back is not said.
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETATTR => break r.node(2).ok(file(2).attr_out()),
            _ => assert_eq!(forgotten(&r), [(4, 2)]),
        }
    }
    assert_eq!(c.wait(), (Ok(0), Ok(2)));
    while fs.dev().readable() {
        assert_eq!(forgotten(&fs.dev().next()), [(4, 2)]);
    }
}

/// The mode of MKDIR has the umask applied, and the umask is sent.
fn umask_is_applied() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        with_umask(0o27);
        mkdir(&m.path("d"))
    });
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    let r = fs.expect(MKDIR);
    assert_eq!(parts(&r, 8).0, [0o750, 0o27]);
    r.ok(dir(2).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// With DONT_MASK the mode is the caller's, and the umask is sent.
fn umask_is_left_to_the_server() {
    let fs = Setup::new().flags(init::DONT_MASK).start();
    let c = fs.call(|m| {
        with_umask(0o27);
        mkdir(&m.path("d"))
    });
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    let r = fs.expect(MKDIR);
    assert_eq!(parts(&r, 8).0, [0o755, 0o27]);
    r.ok(dir(2).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// So it is with everything that has a mode.
fn umask_is_left_to_the_server_by_all() {
    let fs = Setup::new().flags(init::DONT_MASK).start();
    let c = fs.call(|m| {
        with_umask(0o27);
        let made = mknod(&m.path("p"), libc::S_IFIFO | 0o666);
        let created = sys::open(&m.path("f"), libc::O_WRONLY | libc::O_CREAT).and_then(close);
        let unnamed = sys::open(&m.path(""), libc::O_RDWR | libc::O_TMPFILE).and_then(close);
        (made, created, unnamed)
    });
    fs.expect_lookup(ROOT, "p").ok(absent(0, 0));
    let r = fs.expect(MKNOD);
    assert_eq!(parts(&r, 16).0, [libc::S_IFIFO | 0o666, 0, 0o27, 0]);
    r.err(ODD);
    fs.expect_lookup(ROOT, "f").ok(absent(0, 0));
    for opcode in [CREATE, TMPFILE] {
        let r = fs.expect(opcode);
        assert_eq!(parts(&r, 16).0[1..], [libc::S_IFREG | 0o644, 0o27, 0]);
        r.err(ODD);
    }
    assert_eq!(c.wait(), (Err(ODD), Err(ODD), Err(ODD)));
}

/// The reply makes name and attributes known for its times.
fn new_name_is_known() {
    let fs = Fs::new();
    let c = fs.call(|m| mkdir(&m.path("d")));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    fs.expect(MKDIR).ok(dir(2).owner(7, 8).entry());
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(fs.call_quietly(|m| m.stat("d").map(|s| s.ino)), Ok(2));
}

/// A reply of another type than was asked for is refused: the caller gets EIO, and nothing is owed.
fn new_node_of_another_type() {
    let fs = Fs::new();
    let c = fs.call(|m| mkdir(&m.path("d")));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    fs.expect(MKDIR).ok(file(2).entry());
    assert_eq!(c.wait(), Err(EIO));
    fs.quiet();
}

/// A reply that names no node, or the root, is refused: the caller gets EIO.
fn new_node_without_id() {
    for id in [0, ROOT] {
        let fs = Fs::new();
        let c = fs.call(|m| mkdir(&m.path("d")));
        fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
        fs.expect(MKDIR).ok(dir(id).entry());
        assert_eq!(c.wait(), Err(EIO));
        fs.quiet();
    }
}

/// A new node counts as looked up once; it is forgotten once when its name and last user are gone.
fn new_node_is_forgotten() {
    let fs = Fs::new();
    let c = fs.call(|m| mkdir(&m.path("d")).and_then(|()| rmdir(&m.path("d"))));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    fs.expect(MKDIR).ok(dir(2).entry());
    fs.expect(RMDIR).reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// After EEXIST the name is looked up again, however long it was good for.
fn existing_name_is_looked_up_again() {
    let fs = Fs::new();
    let c = fs.call(|m| mkdir(&m.path("d")));
    fs.expect_lookup(ROOT, "d").ok(absent(3600, 0));
    fs.expect(MKDIR).err(Errno(libc::EEXIST));
    assert_eq!(c.wait(), Err(Errno(libc::EEXIST)));
    let c = fs.call(|m| m.stat("d").map(|s| s.ino));
    fs.lookup(ROOT, "d", dir(2));
    assert_eq!(c.wait(), Ok(2));
}

/// A removed name is looked up again: for how long it stays away nobody has said.
fn removed_name_is_looked_up_again() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| rmdir(&m.path("d")));
    fs.expect(RMDIR).reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(forgotten(&fs.dev().next()), [(3, 1)]);
    let c = fs.call(|m| m.stat("d").map(drop));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A name that the server says is not there is looked up again.
fn missing_name_is_looked_up_again() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| rmdir(&m.path("d")));
    fs.expect(RMDIR).err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(forgotten(&fs.dev().next()), [(3, 1)]);
    let c = fs.call(|m| m.stat("d").map(|s| s.ino));
    fs.lookup(ROOT, "d", dir(4));
    assert_eq!(c.wait(), Ok(4));
}

/// Another error leaves the name as it was.
fn refused_removal_keeps_the_name() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| rmdir(&m.path("d")));
    fs.expect(RMDIR).err(ODD);
    assert_eq!(c.wait(), Err(ODD));
    assert!(fs.call_quietly(|m| m.stat("d").is_ok()));
}

/// After MKDIR the directory's attributes are asked for again.
fn making_makes_the_directory_stale() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("").map(drop));
    fs.getattr(dir(ROOT));
    assert_eq!(c.wait(), Ok(()));
    let c = fs.call(|m| (mkdir(&m.path("d")), m.stat("").map(|s| s.nlink as u64)));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    fs.expect(MKDIR).ok(dir(2).entry());
    fs.getattr(dir(ROOT).with(|a| a.nlink = 3));
    assert_eq!(c.wait(), (Ok(()), Ok(3)));
}

/// After UNLINK the attributes of the directory and of a file with other names are asked for again.
fn removal_makes_directory_and_ctime_stale() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let known = m.stat("").is_ok() && m.stat("f").is_ok() && m.stat("g").is_ok();
        let gone = unlink(&m.path("f"));
        let dir = m.stat("").is_ok();
        (known && dir, gone, m.stat("g").map(|s| s.nlink as u64))
    });
    let linked = file(2).with(|a| a.nlink = 2);
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "f", linked);
    fs.lookup(ROOT, "g", linked);
    fs.expect(UNLINK).reply(&[]);
    fs.getattr(dir(ROOT));
    fs.getattr(file(2));
    assert_eq!(c.wait(), (true, Ok(()), Ok(1)));
}

/// The reply to LINK brings the node's new attributes.
fn link_brings_attributes() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| link(&m.path("f"), &m.path("g")));
    fs.expect_lookup(ROOT, "g").ok(absent(0, 0));
    fs.expect(LINK).ok(file(2).with(|a| a.nlink = 2).entry());
    assert_eq!(c.wait(), Ok(()));
    let nlink = fs.call_quietly(|m| {
        let nlink = |n| m.stat(n).map(|s| s.nlink as u64);
        (nlink("f"), nlink("g"))
    });
    assert_eq!(nlink, (Ok(2), Ok(2)));
}

/// A moved name is known by its new name.
fn moved_name_is_known() {
    let fs = with_names(Setup::new());
    let c = fs.call(|m| rename(&m.path("d"), &m.path("e")));
    fs.expect_lookup(ROOT, "e").ok(absent(0, 0));
    fs.expect(RENAME).reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    // Its change time is the server's.
    let c = fs.call(|m| m.stat("e").map(|s| s.ino));
    fs.getattr(dir(3));
    assert_eq!(c.wait(), Ok(3));
}

/// Before 7.23 a rename with flags fails with EINVAL, and the server is not asked.
fn flags_need_minor_23() {
    let fs = with_names(Setup::new().minor(22));
    let c = fs.call(|m| rename2(&m.path("f"), &m.path("g"), libc::RENAME_NOREPLACE));
    fs.expect_lookup(ROOT, "g").ok(absent(0, 0));
    assert_eq!(c.wait(), Err(EINVAL));
}

/// A server without RENAME2 is asked once; callers get EINVAL.
fn rename2_is_asked_once() {
    let fs = with_names(Setup::new());
    let exchange = |m: &Side| rename2(&m.path("f"), &m.path("d"), libc::RENAME_EXCHANGE);
    for first in [true, false] {
        let c = fs.call(exchange);
        if first {
            fs.expect(RENAME2).err(ENOSYS);
        }
        assert_eq!(c.wait(), Err(EINVAL));
    }
}
