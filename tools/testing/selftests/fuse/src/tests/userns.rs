// SPDX-License-Identifier: GPL-2.0

//! Mounts that somebody made inside of a user namespace: all ids are those of the namespace.

use crate::mockd::*;

crate::tests![
    requests_carry_ids_of_the_namespace,
    owners_are_ids_of_the_namespace,
    root_of_the_namespace_may_change_owners,
    lists_are_not_translated_without_the_flag,
    lists_are_translated_with_the_flag,
    extended_attributes_are_the_servers,
    set_id_bits_count_in_the_namespace,
    set_id_bits_of_nobody_count_nowhere,
    set_id_bits_do_not_count_outside,
];

const ACCESS_NAME: &str = "system.posix_acl_access";

/// SETATTR of `node` comes, after the VFS has looked for capabilities and id bits to drop.
fn expect_setattr(fs: &Fs, node: Node) -> Request {
    loop {
        let r = fs.dev().next().node(node.id);
        match r.head.opcode {
            GETXATTR => r.err(ENODATA),
            GETATTR => r.ok(node.attr_out()),
            SETATTR => return r,
            _ => panic!("{r:?} came"),
        }
    }
}

/// Runs `test`, a server with its callers, as root of a user namespace in which 1 to 999 are 100001 to 100999. It gets
/// a directory to mount on.
fn in_namespace(test: impl FnOnce(&str)) {
    let place = mount_point();
    let inner: Caller<()> = Caller::start_with_devices(&place, |m| {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).expect("unshare");
        m.pause();
        test(&m.path(""));
    });
    inner.paused();
    for file in ["uid_map", "gid_map"] {
        std::fs::write(
            format!("/proc/{}/{file}", inner.pid),
            "0 0 1\n1 100001 999\n",
        )
        .expect("a map of ids");
    }
    inner.go();
    inner.wait();
}

fn allowing_others() -> Setup {
    Setup::new().option("allow_other")
}

/// Who asks is named by the ids of the namespace.
fn requests_carry_ids_of_the_namespace() {
    in_namespace(|place| {
        let fs = allowing_others().start_at(place.to_string());
        let c = fs.call(|m| {
            become_user(5, 6);
            m.stat("f").map(drop)
        });
        let r = fs.expect_lookup(ROOT, "f");
        assert_eq!((r.head.uid, r.head.gid), (5, 6));
        r.ok(file(2).entry());
        assert_eq!(c.wait(), Ok(()));
    });
}

/// The server's ids are those of the namespace; what it has no name for is nobody's.
fn owners_are_ids_of_the_namespace() {
    in_namespace(|place| {
        let fs = allowing_others().start_at(place.to_string());
        let c = fs.call(|m| {
            ["f", "g"]
                .map(|name| m.stat(name).map(|s| (s.uid, s.gid)))
                .to_vec()
        });
        fs.lookup(ROOT, "f", file(2).owner(7, 8));
        fs.lookup(ROOT, "g", file(3).owner(1000, 100_001));
        assert_eq!(c.wait(), [Ok((7, 8)), Ok((65534, 65534))]);
    });
}

/// Root of the namespace may change owners, to ids of the namespace.
fn root_of_the_namespace_may_change_owners() {
    in_namespace(|place| {
        let fs = allowing_others()
            .option("default_permissions")
            .start_at(place.to_string());
        let c = fs.call(|m| chown(&m.path("f"), 9, 10));
        fs.getattr(dir(ROOT));
        fs.lookup(ROOT, "f", file(2).owner(7, 8));
        let r = expect_setattr(&fs, file(2).owner(7, 8));
        let word = |at: usize| u32::from_le_bytes(r.body[at..at + 4].try_into().unwrap());
        assert_eq!((word(76), word(80)), (9, 10));
        r.ok(file(2).owner(9, 10).attr_out());
        assert_eq!(c.wait(), Ok(()));
    });
}

/// A list for `uid`, as the value of an extended attribute.
fn list(uid: u32) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0];
    for (tag, perm, id) in [
        (1u16, 6u16, u32::MAX),
        (2, 4, uid),
        (4, 0, u32::MAX),
        (16, 4, u32::MAX),
        (32, 0, u32::MAX),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Without FUSE_POSIX_ACL there are no ACLs in such a mount: the server's ids might not be the caller's.
fn lists_are_not_translated_without_the_flag() {
    in_namespace(|place| {
        let fs = allowing_others().start_at(place.to_string());
        let c = fs.call(|m| {
            let f = m.path("f");
            (
                getxattr(&f, ACCESS_NAME),
                setxattr(&f, ACCESS_NAME, &list(5)),
                removexattr(&f, ACCESS_NAME),
            )
        });
        fs.lookup(ROOT, "f", file(2));
        assert_eq!(
            c.wait(),
            (Err(EOPNOTSUPP), Err(EOPNOTSUPP), Err(EOPNOTSUPP))
        );
    });
}

/// With FUSE_POSIX_ACL lists travel with the ids of the namespace, and count for its users.
fn lists_are_translated_with_the_flag() {
    in_namespace(|place| {
        let fs = allowing_others()
            .flags(init::POSIX_ACL)
            .start_at(place.to_string());
        let c = fs.call(|m| setxattr(&m.path("f"), ACCESS_NAME, &list(5)));
        fs.getattr(dir(ROOT).perm(0o705));
        fs.lookup(ROOT, "f", file(2).perm(0o640));
        let r = fs.expect(SETXATTR).node(2);
        assert!(r.body.ends_with(&list(5)), "the list of {r:?}");
        r.reply(&[]);
        assert_eq!(c.wait(), Ok(()));

        let c = fs.call(|m| {
            become_user(5, 5);
            m.access("f", libc::R_OK)
        });
        fs.getattr(file(2).perm(0o640));
        let r = fs.expect(GETXATTR).node(2);
        r.reply(&list(5));
        assert_eq!(c.wait(), Ok(()));
    });
}

/// Other extended attributes are the server's as they are, but root of a namespace has no trusted ones.
fn extended_attributes_are_the_servers() {
    in_namespace(|place| {
        let fs = allowing_others().start_at(place.to_string());
        let c = fs.call(|m| {
            let f = m.path("f");
            (
                getxattr(&f, "user.a"),
                getxattr(&f, "trusted.a"),
                setxattr(&f, "trusted.a", b"x"),
            )
        });
        fs.lookup(ROOT, "f", file(2));
        let r = fs.expect(GETXATTR).node(2);
        assert_eq!(&r.body[8..], b"user.a\0");
        r.reply(b"value");
        assert_eq!(c.wait(), (Ok(b"value".to_vec()), Err(ENODATA), Err(EPERM)));
    });
}

/// A program that exits with its effective user id.
fn who_am_i() -> Vec<u8> {
    const ADDRESS: u64 = 0x40_0000;
    const HEAD: u64 = 64 + 56;
    // geteuid(); exit(its result).
    let code = [
        0xb8, 107, 0, 0, 0, 0x0f, 0x05, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05,
    ];
    let len = HEAD + code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    // An executable for x86-64; entry, program headers, no section headers.
    elf.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [ADDRESS + HEAD, 64, 0] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    // One segment to load, to be read and executed.
    elf.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    for word in [0, ADDRESS, ADDRESS, len, len, 4096] {
        elf.extend(u64::to_le_bytes(word));
    }
    elf.extend(code);
    elf
}

/// Serves `node` as "f", which is [`who_am_i`], until `c` has ended; how it did.
fn serve_program<T: Ship>(fs: &Fs, node: Node, c: &mut Caller<T>) -> Death {
    let program = who_am_i();
    let node = node.size(program.len() as u64);
    let answer = |r: Request| match r.head.opcode {
        LOOKUP => r.ok(node.entry()),
        GETATTR if r.head.nodeid == ROOT => r.ok(dir(ROOT).attr_out()),
        GETATTR => r.ok(node.attr_out()),
        GETXATTR => r.err(ENODATA),
        OPEN => r.ok(OpenOut::default()),
        READ => r.reply(&program),
        ACCESS | FLUSH | RELEASE => r.reply(&[]),
        _ => drop(forgotten(&r)),
    };
    serve_until(fs.dev(), answer, || c.is_gone());
    while let Some(r) = fs.dev().next_within(1) {
        answer(r);
    }
    c.death()
}

/// Lets set-id bits count on the mount at `place`; that is the mounter's to decide.
fn allow_set_id(place: &str) {
    let flags = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NODEV;
    mount("none", place, "none", flags, "").expect("remount");
}

/// In the namespace of the mount, and with its ids, a set-user-id program is one.
fn set_id_bits_count_in_the_namespace() {
    in_namespace(|place| {
        let fs = allowing_others().start_at(place.to_string());
        for (allowed, id) in [(false, 5), (true, 7)] {
            if allowed {
                allow_set_id(place);
            }
            let mut c = fs.call(|m| {
                become_user(5, 6);
                exec(&m.path("f"))
            });
            let death = serve_program(&fs, file(2).perm(0o4755).owner(7, 8), &mut c);
            assert_eq!(death, Death::Exit(id), "allowed: {allowed}");
        }
    });
}

/// One whose owner has no id in the namespace is none.
fn set_id_bits_of_nobody_count_nowhere() {
    in_namespace(|place| {
        let fs = allowing_others().start_at(place.to_string());
        allow_set_id(place);
        let mut c = fs.call(|m| {
            become_user(5, 6);
            exec(&m.path("f"))
        });
        let death = serve_program(&fs, file(2).perm(0o4755).owner(5000, 8), &mut c);
        assert_eq!(death, Death::Exit(5));
    });
}

/// For who comes from outside of the namespace, if he is let in at all, it is none either.
fn set_id_bits_do_not_count_outside() {
    let place = mount_point();
    let _on = super::permissions::AdminAccess::on();
    let server: Caller<()> = Caller::start_with_devices(&place, |m| {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).expect("unshare");
        m.pause();
        let place = m.path("");
        let fs = allowing_others().start_at(place.clone());
        allow_set_id(&place);
        // Keeps the place in the namespace findable from outside.
        m.pause();
        let program = who_am_i();
        let node = file(2).perm(0o4755).owner(7, 8).size(program.len() as u64);
        loop {
            let r = fs.dev().next();
            match r.head.opcode {
                LOOKUP => r.ok(node.entry()),
                GETATTR if r.head.nodeid == ROOT => r.ok(dir(ROOT).attr_out()),
                GETATTR => r.ok(node.attr_out()),
                GETXATTR => r.err(ENODATA),
                OPEN => r.ok(OpenOut::default()),
                READ => r.reply(&program),
                RELEASE => break r.reply(&[]),
                ACCESS | FLUSH => r.reply(&[]),
                _ => drop(forgotten(&r)),
            }
        }
    });
    server.paused();
    for file in ["uid_map", "gid_map"] {
        std::fs::write(
            format!("/proc/{}/{file}", server.pid),
            "0 0 1\n1 100001 999\n",
        )
        .expect("a map of ids");
    }
    server.go();
    server.paused();
    server.go();
    let path = format!("/proc/{}/root{place}/f", server.pid);
    let mut c: Caller<Errno> = Caller::start(&place, |_| exec(&path));
    // root stays root.
    assert_eq!(c.death(), Death::Exit(0));
    server.wait();
}
