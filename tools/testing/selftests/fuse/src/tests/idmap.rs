// SPDX-License-Identifier: GPL-2.0

//! Mounts that map ids: who the server hears of, and whom callers see.

use crate::mockd::*;

crate::tests![
    servers_have_to_allow_it,
    only_the_kernel_can_check_permissions_then,
    owners_are_mapped_for_who_looks,
    what_is_made_belongs_to_the_mapped_caller,
    a_plain_mount_names_the_maker_too,
    nothing_else_says_who_asks,
    new_owners_are_mapped_back,
    the_map_decides_who_may,
    ids_without_a_place_make_nothing,
];

/// Ids 0 to 999 of the server are 10000 to 10999 of the mount.
const MAP: &str = "0 10000 1000";
const INVALID: u32 = u32::MAX;

/// A mount whose server allows maps, and a copy of it with one.
fn mapped() -> (Fs, String) {
    let fs = Setup::new()
        .option("allow_other,default_permissions")
        .flags(init::ALLOW_IDMAP)
        .start();
    let place = map(&fs).expect("a mount with a map");
    (fs, place)
}

/// Mounts a copy with a map.
fn map(fs: &Fs) -> Result<String> {
    let copy = clone_mount(&fs.dir)?;
    map_ids(&copy, &user_namespace(MAP))?;
    let place = mount_point();
    move_mount(&copy, &place)?;
    Ok(place)
}

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

/// Runs `f` below the mapped mount.
fn call_at<T: Ship>(place: &str, f: impl FnOnce(&Side) -> T) -> Caller<T> {
    Caller::start(place, f)
}

fn done(fs: Fs, place: &str) {
    umount(place, 0).expect("umount of the copy");
    drop(fs);
}

/// Without FUSE_ALLOW_IDMAP a mount cannot have a map.
fn servers_have_to_allow_it() {
    let fs = Setup::new()
        .option("allow_other,default_permissions")
        .start();
    assert_eq!(map(&fs).map(drop), Err(EINVAL));
}

/// FUSE_ALLOW_IDMAP of a server that checks permissions itself fails INIT; FUSE_POSIX_ACL makes it one that does not.
fn only_the_kernel_can_check_permissions_then() {
    let fs = Setup::new().flags(init::ALLOW_IDMAP).start();
    assert_eq!(
        fs.call_quietly(|m| m.stat("f").map(drop)),
        Err(ECONNREFUSED)
    );

    let fs = Setup::new()
        .flags(init::ALLOW_IDMAP | init::POSIX_ACL)
        .start();
    let place = map(&fs).expect("a mount with a map");
    done(fs, &place);
}

/// The server's ids are seen as the mount has them.
fn owners_are_mapped_for_who_looks() {
    let (fs, place) = mapped();
    let c = call_at(&place, |m| m.stat("f").map(|s| (s.uid, s.gid)));
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "f", file(2).owner(5, 6));
    assert_eq!(c.wait(), Ok((10005, 10006)));
    let c = fs.call(|m| m.stat("f").map(|s| (s.uid, s.gid)));
    assert_eq!(c.wait(), Ok((5, 6)));

    // Nobody's, if the mount has no name for them.
    let c = call_at(&place, |m| m.stat("g").map(|s| (s.uid, s.gid)));
    fs.lookup(ROOT, "g", file(3).owner(1000, 2000));
    assert_eq!(c.wait(), Ok((65534, 65534)));
    done(fs, &place);
}

/// Who makes something is named as the mount has it, for each way to make something.
fn what_is_made_belongs_to_the_mapped_caller() {
    let (fs, place) = mapped();
    let c = call_at(&place, |m| {
        become_user(10005, 10006);
        [
            mkdir(&m.path("d")),
            symlink("target", &m.path("s")),
            mknod(&m.path("p"), libc::S_IFIFO | 0o644),
            open(&m.path("f"), libc::O_CREAT | libc::O_RDWR).and_then(close),
        ]
        .to_vec()
    });
    fs.getattr(dir(ROOT).perm(0o777));
    for (opcode, name, node) in [
        (MKDIR, "d", dir(2)),
        (SYMLINK, "s", symlink_node(3)),
        (MKNOD, "p", file(4).with(|a| a.mode = libc::S_IFIFO | 0o644)),
        (CREATE, "f", file(5)),
    ] {
        fs.expect_lookup(ROOT, name).err(ENOENT);
        let r = fs.expect(opcode).node(ROOT);
        assert_eq!((r.head.uid, r.head.gid), (5, 6), "maker in {r:?}");
        if opcode == CREATE {
            r.reply(&[node.entry().bytes(), OpenOut::default().bytes()].concat());
        } else {
            r.ok(node.entry());
        }
        if opcode != CREATE {
            continue;
        }
        fs.flush_and_release(5, 0);
    }
    assert_eq!(c.wait(), [Ok(()); 4]);
    done(fs, &place);
}

/// On a mount without a map who makes something is named as ever.
fn a_plain_mount_names_the_maker_too() {
    let (fs, place) = mapped();
    let c = fs.call(|m| {
        become_user(1000, 1001);
        mkdir(&m.path("d"))
    });
    fs.getattr(dir(ROOT).perm(0o777));
    fs.expect_lookup(ROOT, "d").err(ENOENT);
    let r = fs.expect(MKDIR).node(ROOT);
    assert_eq!((r.head.uid, r.head.gid), (1000, 1001));
    r.ok(dir(2).entry());
    assert_eq!(c.wait(), Ok(()));
    done(fs, &place);
}

/// No other request says who asks, through whatever mount it comes: the kernel has checked it.
fn nothing_else_says_who_asks() {
    let (fs, place) = mapped();
    for at in [fs.dir.clone(), place.clone()] {
        let c = call_at(&at, |m| {
            become_user(10005, 10006);
            let fd = m.open("f").expect("open");
            (chmod(&m.path("f"), 0o600), read(fd, 1), close(fd))
        });
        let mut asked = Vec::new();
        let node = file(2).owner(if at == place { 5 } else { 10005 }, 6);
        while let Some(r) = fs
            .dev()
            .next_within(if c.running() { patience() } else { 0 })
        {
            assert_eq!(
                (r.head.uid, r.head.gid),
                (INVALID, INVALID),
                "asker in {r:?}"
            );
            asked.push(r.head.opcode);
            match r.head.opcode {
                GETATTR if r.head.nodeid == ROOT => r.ok(dir(ROOT).attr_out()),
                GETATTR | SETATTR => r.ok(node.attr_out()),
                LOOKUP => r.ok(node.entry_valid(0, 0).attr_valid(0, 0).entry()),
                OPEN => r.ok(OpenOut::default()),
                READ | FLUSH => r.reply(&[]),
                RELEASE => {
                    // The kernel's own.
                    unreachable!("RELEASE carries no ids");
                }
                _ => panic!("{r:?} came"),
            }
            if asked.last() == Some(&FLUSH) {
                break;
            }
        }
        assert!(asked.contains(&LOOKUP) && asked.contains(&SETATTR) && asked.contains(&OPEN));
        let r = fs.expect(RELEASE);
        assert_eq!((r.head.uid, r.head.gid), (0, 0), "nobody asks for RELEASE");
        r.reply(&[]);
        assert_eq!(c.wait(), (Ok(()), Ok(vec![]), Ok(())));
    }
    done(fs, &place);
}

/// chown through the mount gives the server its own ids.
fn new_owners_are_mapped_back() {
    let (fs, place) = mapped();
    let c = call_at(&place, |m| {
        (
            chown(&m.path("f"), 10007, 10008),
            // Ids that the map does not have cannot be kept.
            chown(&m.path("f"), 7, 8),
        )
    });
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "f", file(2));
    let r = expect_setattr(&fs, file(2));
    // valid, at 0; uid and gid, at 76 and 80.
    let word = |at: usize| u32::from_le_bytes(r.body[at..at + 4].try_into().unwrap());
    assert_eq!((word(0) & 6, word(76), word(80)), (6, 7, 8));
    r.ok(file(2).owner(7, 8).attr_out());
    // What a new owner would take away is asked for before the ids are looked at.
    fs.expect(GETXATTR).node(2).err(ENODATA);
    assert_eq!(c.wait(), (Ok(()), Err(EOVERFLOW)));
    done(fs, &place);
}

/// The owner is who is so through the mount.
fn the_map_decides_who_may() {
    let (fs, place) = mapped();
    for (uid, at, may) in [
        (10005, &place, true),
        (5, &place, false),
        (5, &fs.dir, true),
        (10005, &fs.dir, false),
    ] {
        let c = call_at(at, move |m| {
            become_user(uid, uid);
            m.access("f", libc::R_OK)
        });
        let node = file(2).owner(5, 5).perm(0o400);
        loop {
            match fs.dev().next_within(if c.running() { 20 } else { 0 }) {
                Some(r) if r.head.opcode == LOOKUP => r.ok(node.entry()),
                Some(r) if r.head.nodeid == ROOT => r.ok(dir(ROOT).attr_out()),
                Some(r) => r.ok(node.attr_out()),
                None if c.running() => (),
                None => break,
            }
        }
        assert_eq!(
            c.wait(),
            if may { Ok(()) } else { Err(EACCES) },
            "user {uid} at {at}"
        );
    }
    done(fs, &place);
}

/// Who has no id in the map cannot make anything: EOVERFLOW.
fn ids_without_a_place_make_nothing() {
    let (fs, place) = mapped();
    let c = call_at(&place, |m| {
        become_user(1000, 1000);
        mkdir(&m.path("d"))
    });
    fs.getattr(dir(ROOT).perm(0o777));
    fs.expect_lookup(ROOT, "d").err(ENOENT);
    assert_eq!(c.wait(), Err(EOVERFLOW));
    done(fs, &place);
}
