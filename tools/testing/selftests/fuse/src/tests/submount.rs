// SPDX-License-Identifier: GPL-2.0

//! Submounts: directories that the server announces as file systems of their own, and that a walk mounts.
//!
//! Servers on /dev/fuse are not offered this, by either module: it is for virtiofs. The Rust module has a mount option
//! for it when it is built for a kernel with KUnit, and all but the first tests need that.

use super::notify::inval_entry;
use super::notify::inval_inode;
use super::notify::notify;
use super::notify::INVAL_ENTRY;
use super::notify::INVAL_INODE;
use crate::mockd::*;
use std::path::Path;

crate::tests![
    not_offered,
    announced_to_who_was_not_offered_it,
    offered,
    a_walk_mounts_it,
    a_look_does_not_mount_it,
    anybody_may_walk_there,
    a_file_is_no_submount,
    within_each_other,
    its_nodes_are_forgotten_with_it,
    its_root_is_forgotten_last,
    gone_with_the_name,
    gone_with_the_mount,
    lives_on_without_the_mount,
    a_directory_by_now,
    a_submount_by_now,
    close_waits_for_release,
    attributes_wait_for_release,
    unmount_waits_for_what_is_under_way,
    unmount_waits_for_the_orphans,
    forced_unmount_ends_the_connection,
    notifications_find_its_nodes,
    mounted_again_it_is_the_whole,
    without_memory,
];

const OPTION: &str = "auto_submounts";
/// FUSE_ATTR_SUBMOUNT.
const SUBMOUNT: u32 = 1;

/// What INIT offers on a mount with this setup, which is answered.
fn offer(setup: Setup) -> u64 {
    let fs = setup.mount();
    let r = fs.expect(INIT);
    let arg: InitIn = r.arg();
    r.ok(fs.setup.init_out());
    u64::from(arg.flags) | (u64::from(arg.flags2) << 32)
}

/// A setup with submounts; the test is skipped where there is none, which must not be in a module for KUnit.
fn with_submounts() -> Setup {
    let has_kunit = Path::new("/sys/module/kunit").exists();
    if !is_rust() {
        crate::harness::skip("the C module has submounts on virtiofs only");
    }
    if !has_kunit {
        crate::harness::skip("the option is in modules for kernels with KUnit only");
    }
    Setup::new().option(OPTION)
}

fn start() -> Fs {
    with_submounts().start()
}

/// A directory that is announced as a submount.
fn announced(id: u64) -> Node {
    dir(id).with(|a| a.flags = SUBMOUNT)
}

/// What is mounted at `path`, topmost last: type, and options of the super block.
fn mounted_at(path: &str) -> Vec<(String, String)> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    table
        .lines()
        .filter(|line| line.split(' ').nth(4) == Some(path))
        .filter_map(|line| {
            let (_, rest) = line.split_once(" - ")?;
            let mut words = rest.split(' ');
            let kind = words.next()?.to_string();
            Some((kind, words.nth(1)?.to_string()))
        })
        .collect()
}

impl Fs {
    fn sub(&self) -> String {
        format!("{}/sub", self.dir)
    }
}

/// Looks at "sub/f" from a process of its own, for the first time: nodes 2 and 3.
#[track_caller]
fn walk(fs: &Fs) {
    let c = fs.call(|m| m.stat("sub/f").map(|s| s.ino));
    fs.lookup(ROOT, "sub", announced(2));
    fs.lookup(2, "f", file(3).size(5));
    assert_eq!(c.wait(), Ok(3));
}

/// FORGETs come that give all of these back, in any order.
#[track_caller]
fn expect_forgotten(fs: &Fs, nodes: &[(u64, u64)]) {
    let mut left = nodes.to_vec();
    while !left.is_empty() {
        for one in forgotten(&fs.dev().next()) {
            let at = left.iter().position(|node| *node == one);
            left.remove(at.unwrap_or_else(|| panic!("{one:?} was forgotten, not one of {left:?}")));
        }
    }
    fs.quiet();
}

/// Without the option submounts are not offered.
fn not_offered() {
    assert_eq!(offer(Setup::new()) & init::SUBMOUNTS, 0);
}

/// A server that announces them all the same has a directory like any other there.
fn announced_to_who_was_not_offered_it() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("").unwrap().dev, m.stat("sub/f").unwrap().dev));
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "sub", announced(2));
    fs.lookup(2, "f", file(3));
    let (outside, inside) = c.wait();
    assert_eq!(outside, inside);
    assert_eq!(mounted_at(&fs.sub()), []);
}

/// With the option they are.
fn offered() {
    assert_ne!(offer(with_submounts()) & init::SUBMOUNTS, 0);
}

/// A walk into an announced directory mounts it: a device of its own, with the options of the mount it is in.
fn a_walk_mounts_it() {
    let fs = with_submounts()
        .option("max_read=8192,subtype=thing")
        .start();
    let c = fs.call(|m| {
        ["", "sub", "sub/f", "sub/.", "sub/.."]
            .map(|name| m.stat(name).map(|s| s.dev))
            .to_vec()
    });
    fs.getattr(dir(ROOT));
    fs.lookup(ROOT, "sub", announced(2));
    fs.lookup(2, "f", file(3));
    // What is known of the directory that it stands on is not taken for true.
    fs.getattr(dir(2));
    let devices = c.wait().into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(devices[0], devices[1]);
    assert_ne!(devices[0], devices[2]);
    assert_eq!(devices[2], devices[3]);
    assert_eq!(devices[4], devices[0]);
    let outer = mounted_at(&fs.dir);
    assert_eq!(mounted_at(&fs.sub()), outer);
    assert_eq!(outer[0].0, "fuse.thing");
}

/// Who only looks at the directory itself does not mount it.
fn a_look_does_not_mount_it() {
    let fs = start();
    let c = fs.call(|m| (m.stat("sub").unwrap().ino, m.lstat("sub").unwrap().ino));
    fs.lookup(ROOT, "sub", announced(2));
    assert_eq!(c.wait(), (2, 2));
    assert_eq!(mounted_at(&fs.sub()), []);
}

/// It takes no privilege; whose requests come is who walks.
fn anybody_may_walk_there() {
    let fs = with_submounts().option("allow_other").start();
    let c = fs.call(|m| {
        become_user(1000, 1001);
        m.stat("sub/f").map(drop)
    });
    fs.lookup(ROOT, "sub", announced(2));
    let r = fs.expect_lookup(2, "f");
    assert_eq!((r.head.uid, r.head.gid), (1000, 1001));
    r.ok(file(3).entry());
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(mounted_at(&fs.sub()).len(), 1);
}

/// Only a directory can be announced.
fn a_file_is_no_submount() {
    let fs = start();
    let c = fs.call(|m| m.open("sub").and_then(close));
    fs.lookup(ROOT, "sub", file(2).with(|a| a.flags = SUBMOUNT));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(()));
    assert_eq!(mounted_at(&fs.sub()), []);
}

/// A submount can have submounts. All go with the mount.
fn within_each_other() {
    let fs = start();
    let c = fs.call(|m| {
        ["sub", "sub/deep", "sub/deep/f"]
            .map(|name| m.stat(name).map(|s| s.dev))
            .to_vec()
    });
    fs.lookup(ROOT, "sub", announced(2));
    fs.lookup(2, "deep", announced(3));
    fs.lookup(3, "f", file(4));
    let devices = c.wait().into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert!(devices[0] != devices[1] && devices[1] != devices[2] && devices[0] != devices[2]);
    assert_eq!(mounted_at(&format!("{}/deep", fs.sub())).len(), 1);
}

/// Unmounting it gives the nodes in it back, but not its root: the directory that it stood on is still known.
fn its_nodes_are_forgotten_with_it() {
    let fs = start();
    walk(&fs);
    umount(&fs.sub(), 0).unwrap();
    expect_forgotten(&fs, &[(3, 1)]);
    assert_eq!(mounted_at(&fs.sub()), []);
    // The next walk mounts it again.
    let c = fs.call(|m| m.stat("sub/f").map(|s| s.ino));
    fs.lookup(2, "f", file(4));
    assert_eq!(c.wait(), Ok(4));
    assert_eq!(mounted_at(&fs.sub()).len(), 1);
}

/// Directory and root are one lookup, which is given back when both are gone.
fn its_root_is_forgotten_last() {
    let fs = start();
    walk(&fs);
    umount(&fs.sub(), 0).unwrap();
    expect_forgotten(&fs, &[(3, 1)]);
    drop_caches();
    expect_forgotten(&fs, &[(2, 1)]);
}

/// INVAL_ENTRY of the directory unmounts it.
fn gone_with_the_name() {
    let fs = start();
    walk(&fs);
    let message = [&inval_entry(ROOT, 3, 0)[..], b"sub\0"].concat();
    assert_eq!(notify(fs.dev(), INVAL_ENTRY, &[&message]), Ok(()));
    expect_forgotten(&fs, &[(2, 1), (3, 1)]);
    assert_eq!(mounted_at(&fs.sub()), []);
}

/// Unmounting the mount unmounts what walks have mounted in it, and ends the connection.
fn gone_with_the_mount() {
    let mut fs = start();
    walk(&fs);
    fs.unmount();
    loop {
        match fs.dev().read(1 << 17) {
            Ok(_) => (),
            Err(e) => break assert_eq!(e, ENODEV),
        }
    }
}

/// One that is also mounted elsewhere lives on, and the connection with it.
fn lives_on_without_the_mount() {
    let mut fs = start();
    walk(&fs);
    let other = mount_point();
    mount(&fs.sub(), &other, "none", libc::MS_BIND, "").unwrap();
    fs.unmount();
    expect_forgotten(&fs, &[(ROOT, 1)]);
    let c: Caller<_> = Caller::start(&other, |m| (m.stat("f"), m.stat("g").map(|s| s.ino)));
    fs.lookup(2, "g", file(4));
    let (f, g) = c.wait();
    assert_eq!((f.unwrap().size, g), (5, Ok(4)));
    // It is no mount that the server made.
    let again = mount_point();
    let data = fs.setup.data(fs.dev().fd());
    assert_eq!(mount("mock", &again, "fuse", 0, &data), Err(ENOTCONN));
    umount(&other, 0).unwrap();
    loop {
        match fs.dev().read(1 << 17) {
            Ok(_) => (),
            Err(e) => break assert_eq!(e, ENODEV),
        }
    }
}

/// A submount that the server no longer announces is unmounted, and the directory looked up anew.
fn a_directory_by_now() {
    let fs = start();
    let c = fs.call(|m| {
        m.stat("sub/f").unwrap();
        m.pause();
        m.stat("sub/f").map(|s| s.dev) == m.stat("").map(|s| s.dev)
    });
    fs.lookup(ROOT, "sub", announced(2).entry_valid(0, 0));
    fs.lookup(2, "f", file(3));
    c.paused();
    c.go();
    // The lookup that shows it, and the one that makes it a directory.
    fs.lookup(ROOT, "sub", dir(2));
    let mut given_back = Vec::new();
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            LOOKUP if r.head.nodeid == 2 => break r.ok(file(3).entry()),
            LOOKUP => r.node(ROOT).ok(dir(2).entry()),
            GETATTR => r.node(ROOT).ok(dir(ROOT).attr_out()),
            _ => given_back.extend(forgotten(&r)),
        }
    }
    // What was mounted there may still be going.
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETATTR => break r.node(ROOT).ok(dir(ROOT).attr_out()),
            _ => given_back.extend(forgotten(&r)),
        }
    }
    assert!(c.wait());
    while fs.dev().readable() {
        given_back.extend(forgotten(&fs.dev().next()));
    }
    given_back.sort();
    assert_eq!(given_back, [(2, 1), (2, 1), (3, 1)]);
    assert_eq!(mounted_at(&fs.sub()), []);
}

/// A directory that the server announces later is mounted from then on.
fn a_submount_by_now() {
    let fs = start();
    let c = fs.call(|m| {
        m.stat("sub").unwrap();
        m.pause();
        m.stat("sub/f").unwrap();
    });
    fs.lookup(ROOT, "sub", dir(2).entry_valid(0, 0));
    c.paused();
    c.go();
    fs.lookup(ROOT, "sub", announced(2));
    let mut given_back = Vec::new();
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            LOOKUP if r.head.nodeid == 2 => break r.ok(file(3).entry()),
            LOOKUP => r.node(ROOT).ok(announced(2).entry()),
            _ => given_back.extend(forgotten(&r)),
        }
    }
    c.wait();
    given_back.sort();
    assert_eq!(given_back, [(2, 1), (2, 1)]);
    assert_eq!(mounted_at(&fs.sub()).len(), 1);
}

/// Where there are submounts, a close ends when the server has released the file.
fn close_waits_for_release() {
    let fs = start();
    for name in ["f", "sub/f", "sub/."] {
        let c = fs.call(|m| {
            let fd = m.open(name).unwrap();
            close(fd).unwrap();
        });
        let release = loop {
            let r = fs.dev().next();
            match r.head.opcode {
                LOOKUP if r.head.nodeid == ROOT && r.name() == "sub" => r.ok(announced(2).entry()),
                LOOKUP => r.ok(file(3).entry_valid(0, 0).entry()),
                OPEN | OPENDIR => r.ok(OpenOut::default()),
                FLUSH => r.reply(&[]),
                _ => break r,
            }
        };
        assert!(matches!(release.head.opcode, RELEASE | RELEASEDIR));
        c.until_asleep();
        assert!(c.running());
        release.reply(&[]);
        c.wait();
        while fs.dev().readable() {
            let _ = forgotten(&fs.dev().next());
        }
    }
}

/// What is opened to ask for the attributes of lsattr(1) is released before the caller has them, for the same reason.
fn attributes_wait_for_release() {
    /// FS_IOC_GETFLAGS.
    const GETFLAGS: u32 = 0x8008_6601;

    let fs = start();
    for name in ["sub/f", "sub/."] {
        let c = fs.call(|m| {
            let fd = m.open(name).unwrap();
            let mut flags = [0; 8];
            let result = ioctl_on(fd, GETFLAGS, &mut flags);
            close(fd).unwrap();
            (result, flags[0])
        });
        let answer = |r: Request| match r.head.opcode {
            LOOKUP if r.head.nodeid == ROOT => r.ok(announced(2).entry()),
            LOOKUP => r.ok(file(3).entry_valid(0, 0).entry()),
            OPEN | OPENDIR => r.ok(OpenOut::default()),
            IOCTL => r.reply(&[IoctlOut::default().bytes(), vec![6, 0, 0, 0]].concat()),
            FLUSH | RELEASE | RELEASEDIR => r.reply(&[]),
            other => panic!("opcode {other}"),
        };
        let release = loop {
            let r = fs.dev().next();
            if matches!(r.head.opcode, RELEASE | RELEASEDIR) {
                break r;
            }
            answer(r);
        };
        c.until_asleep();
        assert!(c.running());
        assert!(!fs.dev().readable());
        release.reply(&[]);
        loop {
            let r = fs.dev().next();
            let last = matches!(r.head.opcode, RELEASE | RELEASEDIR);
            answer(r);
            if last {
                break;
            }
        }
        assert_eq!(c.wait(), (Ok(0), 6));
        while fs.dev().readable() {
            let _ = forgotten(&fs.dev().next());
        }
    }
}

/// Opens "sub/f" with handle 5 and runs `with` on it in a process of its own.
fn with_open<T: Ship>(fs: &Fs, flags: i32, with: impl FnOnce(i32) -> T) -> Caller<T> {
    let c = fs.call(|m| with(sys::open(&m.path("sub/f"), flags).unwrap()));
    fs.lookup(ROOT, "sub", announced(2));
    fs.lookup(2, "f", file(3).size(64 << 10));
    fs.open(3, 5, 0);
    c
}

/// Unmounts what is at "sub" from a process of its own.
fn unmount_sub(fs: &Fs) -> Caller<Result<()>> {
    fs.call(|m| umount(&m.path("sub"), 0))
}

/// It is unmounted when the last request has ended that was made for it: one that still reads ahead has the inode, and
/// releases the file when it is done.
fn unmount_waits_for_what_is_under_way() {
    let fs = with_submounts()
        .flags(init::ASYNC_READ)
        .init(|i| i.max_readahead = 128 << 10)
        .start();
    let c = with_open(&fs, libc::O_RDONLY, |fd| {
        // SAFETY: No memory involved.
        assert_eq!(unsafe { libc::readahead(fd, 0, 4096) }, 0);
        close(fd).unwrap();
    });
    let read = fs.expect(READ);
    fs.flush(3, 5);
    c.wait();
    let u = unmount_sub(&fs);
    u.until_uninterruptible();
    let size = read.arg::<ReadIn>().size as usize;
    read.reply(&vec![7; size]);
    let release = fs.expect(RELEASE);
    u.until_uninterruptible();
    assert!(u.running());
    release.reply(&[]);
    assert_eq!(u.wait(), Ok(()));
    expect_forgotten(&fs, &[(3, 1)]);
}

/// A caller who was killed leaves its request behind, with the inode that it is about.
fn unmount_waits_for_the_orphans() {
    let fs = start();
    walk(&fs);
    let mut c = fs.call(|m| m.stat("sub/.").map(drop));
    let r = fs.expect(GETATTR).node(2);
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    let interrupt = fs.expect(INTERRUPT);
    drop(interrupt);
    let u = unmount_sub(&fs);
    u.until_uninterruptible();
    assert!(u.running());
    r.ok(dir(2).attr_out());
    assert_eq!(u.wait(), Ok(()));
    expect_forgotten(&fs, &[(3, 1)]);
}

/// A forced unmount of it ends the whole connection.
fn forced_unmount_ends_the_connection() {
    let mut fs = start();
    walk(&fs);
    umount(&fs.sub(), libc::MNT_FORCE).unwrap();
    let c = fs.call(|m| m.stat("g").map(drop));
    assert_eq!(c.wait(), Err(ENOTCONN));
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    fs.die();
}

/// INVAL_INODE and INVAL_ENTRY find what is in a submount, and still what is not.
fn notifications_find_its_nodes() {
    let fs = start();
    let c = fs.call(|m| {
        m.stat("sub/f").unwrap();
        m.stat("g").unwrap();
        m.pause();
        (m.stat("sub/f").unwrap().size, m.stat("g").unwrap().size)
    });
    fs.lookup(ROOT, "sub", announced(2));
    fs.lookup(2, "f", file(3).size(5));
    fs.lookup(ROOT, "g", file(4).size(5));
    c.paused();
    for node in [3, 4] {
        let message = inval_inode(node, -1, 0);
        assert_eq!(notify(fs.dev(), INVAL_INODE, &[&message]), Ok(()), "{node}");
    }
    let message = inval_inode(5, -1, 0);
    assert_eq!(notify(fs.dev(), INVAL_INODE, &[&message]), Err(ENOENT));
    c.go();
    fs.getattr(file(3).size(6));
    fs.getattr(file(4).size(7));
    assert_eq!(c.wait(), (6, 7));
    let message = [&inval_entry(2, 1, 0)[..], b"f\0"].concat();
    assert_eq!(notify(fs.dev(), INVAL_ENTRY, &[&message]), Ok(()));
    expect_forgotten(&fs, &[(3, 1)]);
}

/// Who mounts the server's file system again gets that, not what a walk has mounted in it.
fn mounted_again_it_is_the_whole() {
    let fs = start();
    walk(&fs);
    let again = mount_point();
    mount("mock", &again, "fuse", 0, &fs.setup.data(fs.dev().fd())).unwrap();
    let c: Caller<_> = Caller::start(&again, |m| m.stat("").map(|s| s.ino));
    fs.getattr(dir(ROOT));
    assert_eq!(c.wait(), Ok(ROOT));
    umount(&again, 0).unwrap();
}

/// Whatever allocation fails on the way, the walk fails and nothing is left behind; then it works.
fn without_memory() {
    let setup = with_submounts();
    if !Path::new("/proc/self/fail-nth").exists() {
        crate::harness::skip("the kernel has no fault injection");
    }
    let failslab = "/sys/kernel/debug/failslab";
    let _ = mount("none", "/sys/kernel/debug", "debugfs", 0, "");
    for (file, value) in [("ignore-gfp-wait", "0"), ("verbose", "0")] {
        std::fs::write(format!("{failslab}/{file}"), value).expect("a knob of failslab");
    }
    let fs = setup.start();
    let c = fs.call(|m| m.stat("sub").map(drop));
    fs.lookup(ROOT, "sub", announced(2));
    assert_eq!(c.wait(), Ok(()));
    let mut failed = 0;
    loop {
        let nth = failed + 1;
        let c = fs.call(move |m| {
            let path = m.path("sub/.");
            let fail = sys::open("/proc/self/fail-nth", libc::O_RDWR).unwrap();
            sys::write(fail, nth.to_string().as_bytes()).unwrap();
            let result = access(&path, libc::F_OK);
            // What is left of the count: none, if one has failed.
            let left = pread(fail, 16, 0).unwrap();
            let _ = sys::write(fail, b"0");
            (result, left)
        });
        // ACCESS of the root, if the walk came so far.
        let (result, left) = loop {
            match fs.dev().next_within(ms(50)) {
                Some(r) if r.head.opcode == ACCESS => r.reply(&[]),
                Some(r) => drop(forgotten(&r)),
                None if !c.running() => break c.wait(),
                None => (),
            }
        };
        let all_used = String::from_utf8_lossy(&left).trim() == "0";
        if !all_used {
            assert_eq!(result, Ok(()));
            break;
        }
        assert!(matches!(result, Ok(()) | Err(ENOMEM)), "{nth}: {result:?}");
        failed = nth;
        let _ = umount(&fs.sub(), 0);
        assert_eq!(mounted_at(&fs.sub()), []);
    }
    assert!(failed > 5, "only {failed} allocations");
    assert_eq!(mounted_at(&fs.sub()).len(), 1);
}
