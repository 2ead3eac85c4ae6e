// SPDX-License-Identifier: GPL-2.0

//! FORGET and BATCH_FORGET: every lookup that found a node is given back, exactly once, when the kernel drops the node.

use crate::mockd::*;

crate::tests![
    counts_every_lookup,
    names_of_one_node_add_up,
    children_go_with_their_directory,
    nobody_sends_it,
    takes_no_reply,
    open_file_keeps_its_node,
    not_for_failed_lookups,
    not_for_another_node_found_again,
    none_at_unmount,
    on_cache_pressure,
    storm,
];

/// Finds node 10 as directory "d" `n` times and once each of its children 11, 12 and so on, then makes "d" vanish: the
/// kernel drops them all at once. Returns the messages that give them back.
pub fn forget_a_directory_of(fs: &Fs, n: u64) -> Vec<Request> {
    let c = fs.call(|m| {
        for i in 0..n {
            m.stat(&format!("d/{i}")).unwrap();
        }
        m.stat("d/0")
    });
    for i in 0..n {
        fs.lookup(ROOT, "d", dir(10).entry_valid(0, 0));
        fs.lookup(10, &i.to_string(), file(11 + i));
    }
    // Asked once because the name has expired, and once more because it is gone from the cache now.
    fs.expect_lookup(ROOT, "d").err(ENOENT);
    let mut seen = Vec::new();
    loop {
        let r = fs.dev().next();
        if r.head.opcode == LOOKUP {
            r.err(ENOENT);
            break;
        }
        seen.push(r);
    }
    assert_eq!(c.wait(), Err(ENOENT));
    while fs.dev().readable() {
        seen.push(fs.dev().next());
    }
    seen
}

/// Makes the cached name `name` of the root vanish, and returns what is given back for it.
pub fn vanish(fs: &Fs, name: &str) -> Vec<(u64, u64)> {
    let c = fs.call(|m| m.stat(name));
    fs.expect_lookup(ROOT, name).err(ENOENT);
    let mut nodes = Vec::new();
    loop {
        let r = fs.dev().next();
        if r.head.opcode == LOOKUP {
            r.err(ENOENT);
            break;
        }
        nodes.extend(forgotten(&r));
    }
    assert_eq!(c.wait(), Err(ENOENT));
    while fs.dev().readable() {
        nodes.extend(forgotten(&fs.dev().next()));
    }
    nodes
}

/// FORGET gives back as many lookups as found the node: the first, and each that confirmed it.
fn counts_every_lookup() {
    let fs = Fs::new();
    for n in 1..=5 {
        let c = fs.call(|m| (0..n).all(|_| m.stat("f").is_ok()));
        for _ in 0..n {
            fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
        }
        assert!(c.wait());
        assert_eq!(vanish(&fs, "f"), [(2, n)]);
    }
}

/// Two names of one node are one node: it is given back once, after both names are gone, with the sum.
fn names_of_one_node_add_up() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("a").unwrap().ino, m.stat("b").unwrap().ino));
    fs.lookup(ROOT, "a", file(2).entry_valid(0, 0));
    fs.lookup(ROOT, "b", file(2).entry_valid(0, 0));
    assert_eq!(c.wait(), (2, 2));
    assert_eq!(vanish(&fs, "a"), []);
    assert_eq!(vanish(&fs, "b"), [(2, 2)]);
}

/// When a directory vanishes, all below it is given back too; several at once come as BATCH_FORGET.
fn children_go_with_their_directory() {
    let fs = Fs::new();
    let seen = forget_a_directory_of(&fs, 20);
    assert!(seen.iter().any(|r| r.head.opcode == BATCH_FORGET));
    let mut nodes: Vec<_> = seen.iter().flat_map(forgotten).collect();
    nodes.sort();
    let mut expected = vec![(10, 20)];
    expected.extend((11..31).map(|id| (id, 1)));
    assert_eq!(nodes, expected);
}

/// FORGET is sent by the kernel itself: it names no user and no process.
fn nobody_sends_it() {
    let fs = Fs::new();
    for r in forget_a_directory_of(&fs, 1) {
        assert_eq!((r.head.uid, r.head.gid, r.head.pid), (0, 0, 0));
    }
}

/// FORGET and BATCH_FORGET are not waited for: their unique numbers mean nothing to the device.
fn takes_no_reply() {
    for minor in [15, 46] {
        let fs = Setup::new().minor(minor).start();
        for r in forget_a_directory_of(&fs, 2) {
            assert_eq!(r.try_reply(&[]), Err(ENOENT));
        }
    }
}

/// A node is not given back while a file of it is open, even when its name is gone.
fn open_file_keeps_its_node() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        close(f)
    });
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    fs.open(2, 5, 0);
    c.paused();
    assert_eq!(vanish(&fs, "f"), []);
    c.go();
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(()));
    fs.release(2, 5);
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// A lookup that finds nothing, or nothing usable, is not given back.
fn not_for_failed_lookups() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        [m.stat("a"), m.stat("b"), m.stat("c")]
            .map(|r| r.unwrap_err())
            .to_vec()
    });
    fs.expect_lookup(ROOT, "a").err(ENOENT);
    fs.expect_lookup(ROOT, "b").ok(absent(0, 0));
    fs.expect_lookup(ROOT, "c")
        .ok(file(2).with(|a| a.mode = 0).entry());
    assert_eq!(c.wait(), [ENOENT, ENOENT, EIO]);
}

/// Where a name turns out to mean another node, the lookup that told so is given back, and so is the old node.
fn not_for_another_node_found_again() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.stat("f").unwrap().ino, m.stat("f").unwrap().ino));
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    fs.lookup(ROOT, "f", file(3));
    // The caller looks again now; whether the device gives that or a FORGET first is left open.
    let (mut nodes, mut asked) = (Vec::new(), false);
    while nodes.len() < 2 || !asked {
        let r = fs.dev().next();
        if r.head.opcode == LOOKUP {
            assert!(!std::mem::replace(&mut asked, true));
            r.ok(file(3).entry());
        } else {
            nodes.extend(forgotten(&r));
        }
    }
    nodes.sort();
    assert_eq!(nodes, [(2, 1), (3, 1)]);
    assert_eq!(c.wait(), (2, 3));
}

/// At unmount nothing is given back: the end of the connection gives back everything.
fn none_at_unmount() {
    let mut fs = Fs::new();
    let c = fs.call(|m| m.stat("d/f").is_ok());
    fs.lookup(ROOT, "d", dir(2));
    fs.lookup(2, "f", file(3));
    assert!(c.wait());
    fs.unmount();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
}

/// When the kernel drops caches it gives back every node that nobody uses.
fn on_cache_pressure() {
    let fs = Fs::new();
    let c = fs.call(|m| (0..5).all(|i| m.stat(&i.to_string()).is_ok()));
    for i in 0..5 {
        fs.lookup(ROOT, &i.to_string(), file(2 + i));
    }
    assert!(c.wait());
    drop_caches();
    let mut nodes = Vec::new();
    while let Some(r) = fs
        .dev()
        .next_within(if nodes.len() < 5 { patience() } else { 0 })
    {
        nodes.extend(forgotten(&r));
    }
    nodes.sort();
    assert_eq!(nodes, [(2, 1), (3, 1), (4, 1), (5, 1), (6, 1)]);
}

/// Nodes of [`storm`]. Fewer where each takes longer: a kernel that checks everything needs several milliseconds for each,
/// and what more of them would show is the same.
fn many() -> usize {
    if kernel_checks_everything() {
        5_000
    } else {
        100_000
    }
}

/// However many nodes are dropped at once, each is given back once with all its lookups, in batches as large as the
/// server's buffer.
fn storm() {
    const LOOKED_UP_AGAIN: usize = 1000;
    const LONGEST: usize = size_of::<EntryOut>() + size_of::<DirentHead>() + 8;
    let nodes = many();
    let fs = Setup::new()
        .flags(init::PARALLEL_DIROPS | init::DO_READDIRPLUS)
        .init(|i| i.max_write = 4096)
        .start();
    let mut c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        while !getdents(d, 128 << 10).unwrap().is_empty() {}
        close(d).unwrap();
        for i in (0..nodes).step_by(LOOKED_UP_AGAIN) {
            m.stat(&i.to_string()).unwrap();
        }
    });
    let id = |i: usize| 10 + i as u64;
    let node = |i: usize| {
        let valid = if i % LOOKED_UP_AGAIN == 0 { 0 } else { 3600 };
        file(id(i)).entry_valid(valid, 0)
    };
    let mut owed = vec![0; nodes];
    serve_until(
        fs.dev(),
        |r| match r.head.opcode {
            OPENDIR => r.ok(OpenOut::default()),
            RELEASEDIR => r.reply(&[]),
            LOOKUP => {
                let i: usize = r.name().parse().unwrap();
                owed[i] += 1;
                r.ok(node(i).entry());
            }
            READDIRPLUS => {
                let at: ReadIn = r.arg();
                let mut entries = Dirents::new();
                for (i, owed) in owed.iter_mut().enumerate().skip(at.offset as usize) {
                    // None is longer.
                    if entries.0.len() + LONGEST > at.size as usize {
                        break;
                    }
                    entries = entries.plus(node(i).entry(), id(i), i as u64 + 1, i.to_string());
                    *owed += 1;
                }
                r.reply(&entries.0);
            }
            _ => panic!("{r:?} came"),
        },
        || c.is_gone(),
    );
    let total: u64 = owed.iter().sum();
    assert_eq!(total as usize, nodes + nodes.div_ceil(LOOKED_UP_AGAIN));

    // The smallest buffer that the device takes here, and what fits.
    let room = 8192;
    let batch = (room - IN_HEADER - size_of::<BatchForgetIn>()) / size_of::<ForgetOne>();
    let mut returned = 0;
    for _ in 0..20 {
        std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
        let mut sizes = Vec::new();
        while fs.dev().readable() {
            let r = fs.dev().next_with(room);
            let ones = forgotten(&r);
            sizes.push(ones.len());
            for (node, count) in ones {
                let i = (node - id(0)) as usize;
                assert_eq!(count, owed[i], "lookups of node {node}");
                owed[i] = 0;
                returned += count;
            }
        }
        sizes.pop();
        assert!(sizes.iter().all(|&n| n == batch), "{sizes:?}");
        if returned == total {
            return;
        }
    }
    panic!("{returned} of {total} lookups are given back");
}
