// SPDX-License-Identifier: GPL-2.0

//! Who may use a mount, and who decides in it.

use crate::mockd::*;

crate::tests![
    others_are_kept_out,
    root_is_kept_out_too,
    owner_may_with_all_ids,
    mixed_ids_are_kept_out,
    descriptors_do_not_help,
    allow_other_lets_all_in,
    allow_other_ends_at_the_user_namespace,
    server_decides_by_default,
    default_permissions_decide_by_mode,
    default_permissions_know_the_group,
    default_permissions_let_root_do_all,
    refusal_is_checked_with_fresh_attributes,
    permission_may_be_believed_until_it_expires,
    execution_needs_an_x_bit,
    directories_need_no_x_bit_by_default,
    the_administrator_can_let_his_kind_in,
    his_kind_are_not_those_of_a_namespace,
];

/// Without allow_other only the mount's owner may use it: EACCES for others, and the server does not hear of them.
fn others_are_kept_out() {
    let fs = Fs::new();
    let got = fs.call_quietly(|m| {
        become_user(1000, 1000);
        [
            m.stat("f").map(drop),
            m.stat("").map(drop),
            m.opendir("").map(drop),
            chdir(&m.path("")),
            m.access("", 4),
        ]
        .to_vec()
    });
    assert_eq!(got, [Err(EACCES); 5]);
}

/// root has no privilege on the mount of another user.
fn root_is_kept_out_too() {
    let fs = Setup::new().owner(1000, 1000).start();
    assert_eq!(fs.call_quietly(|m| m.stat("f")), Err(EACCES));
}

/// The owner is who has the mount's user and group as real, effective and saved ids.
fn owner_may_with_all_ids() {
    let fs = Setup::new().owner(1000, 1001).start();
    let c = fs.call(|m| {
        become_user(1000, 1001);
        m.stat("f").map(|s| s.ino)
    });
    let r = fs.expect_lookup(ROOT, "f");
    assert_eq!((r.head.uid, r.head.gid), (1000, 1001));
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
}

/// One id that differs, as in a set-user-id program, keeps a process out.
fn mixed_ids_are_kept_out() {
    let fs = Setup::new().owner(1000, 1000).start();
    for i in 0..6 {
        let got = fs.call_quietly(|m| {
            let mut ids = [1000; 6];
            ids[i] = 0;
            become_ids(ids[..3].try_into().unwrap(), ids[3..].try_into().unwrap());
            m.stat("f")
        });
        assert_eq!(got, Err(EACCES), "id {i}");
    }
}

/// A path held open does not let others look at attributes or below.
fn descriptors_do_not_help() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        let d = sys::open(&m.path(""), libc::O_PATH).unwrap();
        become_user(1000, 1000);
        (fstat(f).map(drop), openat(d, "f", libc::O_RDONLY))
    });
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), (Err(EACCES), Err(EACCES)));
}

/// With allow_other everybody may, under his own ids.
fn allow_other_lets_all_in() {
    let fs = Setup::new().owner(5, 5).option("allow_other").start();
    for (uid, gid) in [(0, 0), (1000, 100), (5, 6)] {
        let c = fs.call(|m| {
            become_user(uid, gid);
            m.stat("f").map(drop)
        });
        let r = fs.expect_lookup(ROOT, "f");
        assert_eq!((r.head.uid, r.head.gid), (uid, gid));
        r.err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// allow_other means everybody in the mount's user namespace and those below it, not those above.
fn allow_other_ends_at_the_user_namespace() {
    let place = mount_point();
    let server: Caller<Result<()>> = Caller::start_with_devices(&place, |m| {
        unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
        m.pause();
        let dev = Device::open();
        let data = Setup::new().option("allow_other").data(dev.fd());
        mount(
            "mock",
            &m.path(""),
            "fuse",
            libc::MS_NOSUID | libc::MS_NODEV,
            &data,
        )?;
        dev.expect(INIT).ok(Setup::new().init_out());
        m.pause();
        dev.assert_quiet();
        Ok(())
    });
    server.paused();
    for (file, map) in [
        ("setgroups", "deny"),
        ("uid_map", "0 0 1"),
        ("gid_map", "0 0 1"),
    ] {
        std::fs::write(format!("/proc/{}/{file}", server.pid), map).unwrap();
    }
    server.go();
    server.paused();
    // The same mount, seen from the namespace above.
    let outside = Caller::start(&format!("/proc/{}/root{place}", server.pid), |m| {
        m.stat("f").map(drop)
    });
    assert_eq!(outside.wait(), Err(EACCES));
    server.go();
    assert_eq!(server.wait(), Ok(()));
}

/// Without default_permissions modes are only shown: the server decides in each operation.
fn server_decides_by_default() {
    let fs = Setup::new().option("allow_other").start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        (m.open("d/f").and_then(close), m.open("d/f"))
    });
    fs.lookup(ROOT, "d", dir(2).perm(0o700));
    fs.lookup(2, "f", file(3).perm(0o600));
    fs.open(3, 5, 0);
    fs.flush_and_release(3, 5);
    let r = fs.expect(OPEN);
    assert_eq!((r.head.uid, r.head.gid), (1000, 1000));
    r.err(EACCES);
    assert_eq!(c.wait(), (Ok(()), Err(EACCES)));
}

/// With default_permissions owner, group and mode decide, and a refused operation is not sent.
fn default_permissions_decide_by_mode() {
    let fs = Setup::new()
        .option("default_permissions,allow_other")
        .start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        (
            m.open("mine").and_then(close),
            sys::open(&m.path("mine"), libc::O_WRONLY),
            m.open("roots"),
        )
    });
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "mine", file(2).owner(1000, 1000).perm(0o400));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    // A refusal is made sure of.
    fs.getattr(file(2).owner(1000, 1000).perm(0o400));
    fs.lookup(ROOT, "roots", file(3).perm(0o600));
    fs.getattr(file(3).perm(0o600));
    assert_eq!(c.wait(), (Ok(()), Err(EACCES), Err(EACCES)));
}

/// With default_permissions the bits of group and others count as on any file system.
fn default_permissions_know_the_group() {
    let fs = Setup::new()
        .option("default_permissions,allow_other")
        .start();
    let c = fs.call(|m| {
        become_user(1000, 55);
        [m.access("f", 4), m.access("f", 2), m.access("f", 1)].to_vec()
    });
    fs.getattr(dir(ROOT));
    let f = file(2).owner(7, 55).perm(0o642);
    fs.lookup(ROOT, "f", f);
    fs.getattr(f);
    fs.getattr(f);
    assert_eq!(c.wait(), [Ok(()), Err(EACCES), Err(EACCES)]);
}

/// With default_permissions root may all, but execute only what has an x bit.
fn default_permissions_let_root_do_all() {
    let fs = Setup::new().option("default_permissions").start();
    let c = fs.call(|m| [m.access("f", 6), m.access("f", 1)].to_vec());
    fs.getattr(dir(ROOT).perm(0));
    // The search of a directory without any bit is made sure of for all but root.
    let f = file(2).owner(7, 7).perm(0);
    fs.lookup(ROOT, "f", f);
    fs.getattr(f);
    assert_eq!(c.wait(), [Ok(()), Err(EACCES)]);
}

/// A refusal by attributes that may still be believed is checked with fresh ones before it stands.
fn refusal_is_checked_with_fresh_attributes() {
    let fs = Setup::new()
        .option("default_permissions,allow_other")
        .start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        m.access("f", 4)
    });
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "f", file(2).perm(0o600));
    fs.getattr(file(2).perm(0o644));
    assert_eq!(c.wait(), Ok(()));
}

/// A permission by attributes that may be believed stands; expired ones are asked for first.
fn permission_may_be_believed_until_it_expires() {
    let fs = Setup::new()
        .option("default_permissions,allow_other")
        .start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        (m.access("f", 4), m.access("f", 4), m.access("g", 4))
    });
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "f", file(2).perm(0o644));
    fs.lookup(ROOT, "g", file(3).perm(0o644).attr_valid(0, 0));
    fs.getattr(file(3).perm(0o600));
    assert_eq!(c.wait(), (Ok(()), Ok(()), Err(EACCES)));
}

/// Whoever decides: a regular file without any x bit is not executed, and this is made sure of.
fn execution_needs_an_x_bit() {
    let fs = Fs::new();
    let c = fs.call(|m| (exec(&m.path("f")), m.access("f", 1)));
    fs.lookup(ROOT, "f", file(2).perm(0o644));
    fs.getattr(file(2).perm(0o644));
    // access(2) is for the server to decide, whatever the mode says.
    fs.expect(ACCESS).reply(&[]);
    assert_eq!(c.wait(), (EACCES, Ok(())));
}

/// Directories can be searched without an x bit unless default_permissions is set.
fn directories_need_no_x_bit_by_default() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("d/f").map(|s| s.ino));
    fs.lookup(ROOT, "d", dir(2).perm(0));
    fs.lookup(2, "f", file(3));
    assert_eq!(c.wait(), Ok(3));
}

/// Sets the module's parameter allow_sys_admin_access until it is dropped.
pub(super) struct AdminAccess(());

impl AdminAccess {
    const PARAMETER: &'static str = "/sys/module/fuse/parameters/allow_sys_admin_access";

    pub(super) fn on() -> Self {
        // The test has a mount namespace of its own, and maybe no sysfs in it.
        let _ = mount("none", "/sys", "sysfs", 0, "");
        std::fs::write(Self::PARAMETER, "Y").expect("the parameter");
        AdminAccess(())
    }
}

impl Drop for AdminAccess {
    fn drop(&mut self) {
        std::fs::write(Self::PARAMETER, "N").expect("the parameter");
    }
}

/// With the parameter allow_sys_admin_access, who has CAP_SYS_ADMIN may use every mount, and nobody else.
fn the_administrator_can_let_his_kind_in() {
    let fs = Setup::new().owner(1000, 1000).start();
    {
        let _on = AdminAccess::on();
        let c = fs.call(|m| m.stat("f").map(|s| s.ino));
        let r = fs.expect_lookup(ROOT, "f");
        assert_eq!((r.head.uid, r.head.gid), (0, 0));
        r.ok(file(2).entry());
        assert_eq!(c.wait(), Ok(2));
        let got = fs.call_quietly(|m| {
            become_user(1001, 1001);
            m.stat("f").map(drop)
        });
        assert_eq!(got, Err(EACCES));
    }
    assert_eq!(fs.call_quietly(|m| m.stat("f").map(drop)), Err(EACCES));
}

/// The capability is that of the whole system: root of a user namespace is not let in.
fn his_kind_are_not_those_of_a_namespace() {
    let fs = Setup::new().owner(1000, 1000).start();
    let _on = AdminAccess::on();
    let got = fs.call_quietly(|m| {
        unshare(libc::CLONE_NEWUSER).unwrap();
        m.stat("f").map(drop)
    });
    assert_eq!(got, Err(EACCES));
}
