// SPDX-License-Identifier: GPL-2.0

//! Who may do what: every kind of mount, caller, file, mode and access, against the law.
//!
//! The law is written down in [`may`]; the server answers whatever it is asked about any file, whose name says what it
//! is.

use crate::mockd::*;

crate::tests![
    owners_alone_ask_the_server,
    owners_alone_go_by_the_mode,
    all_ask_the_server,
    all_go_by_the_mode,
    all_go_by_the_mode_where_there_is_no_list,
    all_go_by_the_list,
];

/// The mount's user and group, which are those of every file, too.
const UID: u32 = 1000;
const GID: u32 = 1000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Who {
    /// The owner of the mount and of the files.
    Owner,
    /// In the files' group, and named in their lists.
    Group,
    Other,
    Root,
    /// Another, who is root of a user namespace of its own.
    RootElsewhere,
}

const ALL: [Who; 5] = [
    Who::Owner,
    Who::Group,
    Who::Other,
    Who::Root,
    Who::RootElsewhere,
];

impl Who {
    fn ids(self) -> (u32, u32) {
        match self {
            Who::Owner => (UID, GID),
            Who::Group => (1001, GID),
            Who::Other | Who::RootElsewhere => (1002, 1002),
            Who::Root => (0, 0),
        }
    }

    /// Makes the calling process be it.
    fn become_it(self) {
        let (uid, gid) = self.ids();
        become_user(uid, gid);
        if self == Who::RootElsewhere {
            unshare(libc::CLONE_NEWUSER).expect("unshare");
            // SAFETY: no memory involved. Or /proc/self would be root's.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
            for (file, text) in [
                ("setgroups", "deny".to_string()),
                ("uid_map", format!("0 {uid} 1")),
                ("gid_map", format!("0 {gid} 1")),
            ] {
                std::fs::write(format!("/proc/self/{file}"), text).expect("a map of ids");
            }
        }
    }
}

/// Who decides in a mount.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// The server, which forbids writing.
    Server,
    /// The mode.
    Mode,
    /// A list that lets user 1001 do everything that its mask does.
    List,
}

/// A file as its name and its node number say it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct What {
    is_dir: bool,
    perm: u32,
}

impl What {
    /// Both kinds of files, with every choice of these permissions for owner, group and others.
    fn all() -> Vec<What> {
        const PERMS: [u32; 4] = [0, 1, 2, 5];
        let mut all = Vec::new();
        for is_dir in [false, true] {
            for owner in PERMS {
                for group in PERMS {
                    for others in PERMS {
                        let perm = (owner << 6) | (group << 3) | others;
                        all.push(What { is_dir, perm });
                    }
                }
            }
        }
        all
    }

    fn name(self) -> String {
        format!("{}-{:o}", if self.is_dir { 'd' } else { 'f' }, self.perm)
    }

    fn node(self) -> Node {
        let id = 2 + u64::from(self.perm) + if self.is_dir { 512 } else { 0 };
        let node = if self.is_dir { dir(id) } else { file(id) };
        node.perm(self.perm).owner(UID, GID)
    }

    fn of_node(id: u64) -> What {
        What {
            is_dir: id >= 2 + 512,
            perm: ((id - 2) % 512) as u32,
        }
    }

    /// Its list: the mode, but that the group's bits are the mask, the group has none, and user 1001 has all.
    fn list(self) -> Vec<u8> {
        let bits = |shift: u32| ((self.perm >> shift) & 7) as u16;
        let mut bytes = vec![2, 0, 0, 0];
        for (tag, perm, id) in [
            (1u16, bits(6), u32::MAX),
            (2, 7, 1001),
            (4, 0, u32::MAX),
            (16, bits(3), u32::MAX),
            (32, bits(0), u32::MAX),
        ] {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(perm.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }
}

/// The law.
fn may(allow_other: bool, rule: Rule, who: Who, what: What, access: u32) -> bool {
    // Only the owner has a mount that is not opened to others; not even root does.
    if !allow_other && who != Who::Owner {
        return false;
    }
    if rule == Rule::Server {
        return access & 2 == 0;
    }
    let granted = match who {
        // Root reads and writes everything, searches every directory, and executes what somebody may execute.
        Who::Root => 6 | u32::from(what.is_dir || what.perm & 0o111 != 0),
        Who::Owner => what.perm >> 6,
        // Named in the list with all permissions, of which the mask leaves the group's bits; without a list, in the
        // group.
        Who::Group => what.perm >> 3,
        // Root of another namespace has no power over ids that are not in it.
        Who::Other | Who::RootElsewhere => what.perm,
    };
    access & !granted == 0
}

/// Answers whatever comes until the caller is back.
fn serve<T: Ship>(fs: &Fs, c: &Caller<T>, rule: Rule) {
    loop {
        let running = c.running();
        let Some(r) = fs.dev().next_within(if running { 20 } else { 0 }) else {
            if running {
                continue;
            }
            return;
        };
        let node = r.head.nodeid;
        match r.head.opcode {
            LOOKUP => {
                let name = r.name();
                let (kind, perm) = name.split_once('-').expect("a name of the test's");
                let what = What {
                    is_dir: kind == "d",
                    perm: u32::from_str_radix(perm, 8).expect("permissions"),
                };
                r.ok(what.node().entry());
            }
            GETATTR if node == ROOT => r.ok(dir(ROOT).perm(0o705).attr_out()),
            GETATTR => r.ok(What::of_node(node).node().attr_out()),
            ACCESS if r.arg::<AccessIn>().mask & 2 != 0 => r.err(EACCES),
            ACCESS => r.reply(&[]),
            GETXATTR if rule == Rule::List && node != ROOT => r.reply(&What::of_node(node).list()),
            GETXATTR => r.err(ENODATA),
            _ => panic!("{r:?} came"),
        }
    }
}

/// Tries every access to every file as everybody, and compares.
fn check(allow_other: bool, rule: Rule, setup: Setup) {
    const ACCESSES: [u32; 4] = [1, 2, 4, 6];
    let setup = if allow_other {
        setup.option("allow_other")
    } else {
        setup
    };
    let fs = setup.owner(UID, GID).start();
    let mut wrong = Vec::new();
    for who in ALL {
        let c = fs.call(move |m| {
            who.become_it();
            let mut seen = Vec::new();
            for what in What::all() {
                for access in ACCESSES {
                    seen.push(match m.access(&what.name(), access as i32) {
                        Ok(()) => 0,
                        Err(e) => e.0,
                    });
                }
            }
            seen
        });
        serve(&fs, &c, rule);
        let mut seen = c.wait().into_iter();
        for what in What::all() {
            for access in ACCESSES {
                let want = if may(allow_other, rule, who, what, access) {
                    0
                } else {
                    EACCES.0
                };
                let got = seen.next().expect("a verdict for each");
                if got != want {
                    wrong.push(format!(
                        "{who:?} {} access {access}: {:?}",
                        what.name(),
                        Errno(got)
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong verdicts, as {:?}",
        wrong.len(),
        wrong.first()
    );
}

/// Without allow_other and default_permissions the owner is judged by the server, and nobody else gets in.
fn owners_alone_ask_the_server() {
    check(false, Rule::Server, Setup::new());
}

/// Without allow_other the owner is judged by the mode under default_permissions, and nobody else gets in.
fn owners_alone_go_by_the_mode() {
    check(
        false,
        Rule::Mode,
        Setup::new().option("default_permissions"),
    );
}

/// With allow_other everybody, root included, is judged by the server.
fn all_ask_the_server() {
    check(true, Rule::Server, Setup::new());
}

/// With allow_other and default_permissions everybody is judged by the mode.
fn all_go_by_the_mode() {
    check(true, Rule::Mode, Setup::new().option("default_permissions"));
}

/// Under FUSE_POSIX_ACL the mode judges files without a list, though the mount has no default_permissions.
fn all_go_by_the_mode_where_there_is_no_list() {
    check(true, Rule::Mode, Setup::new().flags(init::POSIX_ACL));
}

/// Under FUSE_POSIX_ACL a list judges whom it names.
fn all_go_by_the_list() {
    check(true, Rule::List, Setup::new().flags(init::POSIX_ACL));
}
