// SPDX-License-Identifier: GPL-2.0

//! Notifications: what a server says without being asked.

use crate::mockd::*;

crate::tests![
    not_before_init,
    unknown_codes,
    inval_inode_drops_attributes,
    inval_inode_drops_data,
    inval_inode_of_a_range,
    inval_inode_of_no_node,
    inval_inode_of_a_wrong_length,
    inval_entry_drops_a_name,
    inval_entry_drops_a_negative_name,
    inval_entry_expires_a_name,
    inval_entry_of_no_name,
    inval_entry_of_bad_names,
    delete_drops_a_name,
    delete_wants_the_right_child,
    delete_of_a_directory_in_use,
    new_epoch,
    prune_gives_nodes_back,
    prune_of_a_wrong_count,
    resend,
    resend_comes_first,
    resend_of_nothing,
];

pub(super) use crate::mockd::notice::DELETE;
pub use crate::mockd::notice::INC_EPOCH;
pub(super) use crate::mockd::notice::INVAL_ENTRY;
pub(super) use crate::mockd::notice::INVAL_INODE;
use crate::mockd::notice::PRUNE;
use crate::mockd::notice::RESEND;

/// Marks the id of a request that is sent again.
const UNIQUE_RESEND: u64 = 1 << 63;

/// Sends a notification.
pub(super) fn notify(dev: &Device, code: i32, parts: &[&[u8]]) -> Result<()> {
    dev.reply(0, code, &parts.concat())
}

pub(super) fn inval_inode(node: u64, off: i64, len: i64) -> Vec<u8> {
    [node.to_ne_bytes(), off.to_ne_bytes(), len.to_ne_bytes()].concat()
}

/// Body of INVAL_ENTRY: the name's length is told apart from the name, to be wrong on purpose.
pub(super) fn inval_entry(parent: u64, namelen: u32, flags: u32) -> Vec<u8> {
    [
        &parent.to_ne_bytes()[..],
        &namelen.to_ne_bytes(),
        &flags.to_ne_bytes(),
    ]
    .concat()
}

pub(super) fn delete(parent: u64, child: u64, namelen: u32) -> Vec<u8> {
    [
        &parent.to_ne_bytes()[..],
        &child.to_ne_bytes(),
        &namelen.to_ne_bytes(),
        &0u32.to_ne_bytes(),
    ]
    .concat()
}

/// A server has nothing to say before it has answered INIT: EINVAL.
fn not_before_init() {
    let mut fs = Setup::new().mount();
    assert_eq!(notify(fs.dev(), INC_EPOCH, &[]), Err(EINVAL));
    fs.expect(INIT).ok(fs.setup.init_out());
    assert_eq!(notify(fs.dev(), INC_EPOCH, &[]), Ok(()));
    fs.unmount();
    assert_eq!(notify(fs.dev(), INC_EPOCH, &[]), Err(EINVAL));
}

/// Codes that the protocol does not have are refused: EINVAL.
fn unknown_codes() {
    let fs = Fs::new();
    for code in [0, -1, 10, 1000, i32::MAX, i32::MIN] {
        assert_eq!(notify(fs.dev(), code, &[]), Err(EINVAL), "{code}");
    }
}

/// INVAL_INODE makes cached attributes stale: the next stat asks.
fn inval_inode_drops_attributes() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let before = m.stat("f").unwrap().size;
        m.pause();
        (before, m.stat("f").unwrap().size)
    });
    fs.lookup(ROOT, "f", file(2).size(1));
    c.paused();
    assert_eq!(
        notify(fs.dev(), INVAL_INODE, &[&inval_inode(2, -1, 0)]),
        Ok(())
    );
    c.go();
    fs.getattr(file(2).size(7));
    assert_eq!(c.wait(), (1, 7));
}

/// INVAL_INODE with an offset drops the cached data from there on: the next read asks.
fn inval_inode_drops_data() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let before = pread(f, 3, 0).unwrap();
        m.pause();
        (before, pread(f, 3, 0).unwrap())
    });
    fs.lookup(ROOT, "f", file(2).size(3));
    fs.open(2, 5, 0);
    fs.expect_read(5, 0, 4096).reply(b"old");
    c.paused();
    assert_eq!(
        notify(fs.dev(), INVAL_INODE, &[&inval_inode(2, 0, 0)]),
        Ok(())
    );
    c.go();
    let r = loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETATTR => r.ok(file(2).size(3).attr_out()),
            _ => break r,
        }
    };
    assert_eq!(r.head.opcode, READ);
    r.reply(b"new");
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (b"old".to_vec(), b"new".to_vec()));
}

/// INVAL_INODE with a length drops no data behind it: that is read without asking.
fn inval_inode_of_a_range() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let read = pread(f, 1, 0).unwrap().len() + pread(f, 1, 4096).unwrap().len();
        m.pause();
        (read, pread(f, 1, 4096).unwrap())
    });
    fs.lookup(ROOT, "f", file(2).size(8192));
    fs.open(2, 5, 0);
    let mut covered = 0;
    while covered < 8192 {
        let r = fs.expect(READ);
        let arg: ReadIn = r.arg();
        r.reply(&vec![7; arg.size as usize]);
        covered += arg.size;
    }
    c.paused();
    assert_eq!(
        notify(fs.dev(), INVAL_INODE, &[&inval_inode(2, 0, 4096)]),
        Ok(())
    );
    c.go();
    let flush = loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETATTR => r.ok(file(2).size(8192).attr_out()),
            _ => break r,
        }
    };
    assert_eq!(flush.head.opcode, FLUSH);
    flush.reply(&[]);
    fs.release(2, 5);
    assert_eq!(c.wait(), (2, vec![7]));
}

/// INVAL_INODE of a node that the kernel does not know: ENOENT.
fn inval_inode_of_no_node() {
    let fs = Fs::new();
    for node in [0, 99, u64::MAX] {
        assert_eq!(
            notify(fs.dev(), INVAL_INODE, &[&inval_inode(node, 0, 0)]),
            Err(ENOENT)
        );
    }
}

/// INVAL_INODE has one length: EINVAL for any other.
fn inval_inode_of_a_wrong_length() {
    let fs = Fs::new();
    let body = inval_inode(1, 0, 0);
    assert_eq!(notify(fs.dev(), INVAL_INODE, &[&body[..23]]), Err(EINVAL));
    assert_eq!(notify(fs.dev(), INVAL_INODE, &[&body, &[0]]), Err(EINVAL));
    assert_eq!(notify(fs.dev(), INVAL_INODE, &[]), Err(EINVAL));
}

/// INVAL_ENTRY drops a cached name: the next use looks it up.
fn inval_entry_drops_a_name() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("f").unwrap();
        m.pause();
        m.stat("f").unwrap().ino
    });
    fs.lookup(ROOT, "f", file(2));
    c.paused();
    assert_eq!(
        notify(fs.dev(), INVAL_ENTRY, &[&inval_entry(ROOT, 1, 0), b"f\0"]),
        Ok(())
    );
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    c.go();
    fs.lookup(ROOT, "f", file(3));
    assert_eq!(c.wait(), 3);
}

/// INVAL_ENTRY drops a name that is known not to exist, too.
fn inval_entry_drops_a_negative_name() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        assert_eq!(m.stat("f").map(drop), Err(ENOENT));
        m.pause();
        m.stat("f").unwrap().ino
    });
    fs.expect_lookup(ROOT, "f").ok(absent(3600, 0));
    c.paused();
    assert_eq!(
        notify(fs.dev(), INVAL_ENTRY, &[&inval_entry(ROOT, 1, 0), b"f\0"]),
        Ok(())
    );
    c.go();
    fs.lookup(ROOT, "f", file(3));
    assert_eq!(c.wait(), 3);
}

/// With EXPIRE_ONLY the name stays, and is confirmed at its next use: the node is not given back.
fn inval_entry_expires_a_name() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("f").unwrap();
        m.pause();
        m.stat("f").unwrap().ino
    });
    fs.lookup(ROOT, "f", file(2));
    c.paused();
    assert_eq!(
        notify(fs.dev(), INVAL_ENTRY, &[&inval_entry(ROOT, 1, 1), b"f\0"]),
        Ok(())
    );
    fs.quiet();
    c.go();
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), 2);
}

/// INVAL_ENTRY of a name that is not cached: ENOENT; of a directory that is not known: ENOENT; in a file: ENOTDIR.
fn inval_entry_of_no_name() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("f").unwrap();
        m.pause();
    });
    fs.lookup(ROOT, "f", file(2));
    c.paused();
    for (parent, e) in [(ROOT, ENOENT), (99, ENOENT), (2, ENOTDIR)] {
        assert_eq!(
            notify(fs.dev(), INVAL_ENTRY, &[&inval_entry(parent, 1, 0), b"g\0"]),
            Err(e)
        );
    }
    c.go();
    c.wait();
}

/// The length of the name must be true and its NUL there: EINVAL; a name longer than names may be: ENAMETOOLONG.
fn inval_entry_of_bad_names() {
    let fs = Fs::new();
    let send =
        |len, name: &[u8]| notify(fs.dev(), INVAL_ENTRY, &[&inval_entry(ROOT, len, 0), name]);
    assert_eq!(send(1, b""), Err(EINVAL));
    assert_eq!(send(1, b"f"), Err(EINVAL));
    assert_eq!(send(1, b"fg\0"), Err(EINVAL));
    assert_eq!(send(2, b"f\0"), Err(EINVAL));
    assert_eq!(send(4096, &[b'a'; 4097]), Err(ENAMETOOLONG));
    assert_eq!(send(u32::MAX, b"f\0"), Err(ENAMETOOLONG));
    assert_eq!(
        notify(fs.dev(), INVAL_ENTRY, &[&inval_entry(ROOT, 1, 0)[..15]]),
        Err(EINVAL)
    );
}

/// DELETE removes a name: the next use looks it up, and the node is given back.
fn delete_drops_a_name() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("f").unwrap();
        m.pause();
        m.stat("f").map(drop)
    });
    fs.lookup(ROOT, "f", file(2));
    c.paused();
    assert_eq!(
        notify(fs.dev(), DELETE, &[&delete(ROOT, 2, 1), b"f\0"]),
        Ok(())
    );
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    c.go();
    fs.expect_lookup(ROOT, "f").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// DELETE names the child, and says that no other was removed: ENOENT.
fn delete_wants_the_right_child() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_PATH).unwrap();
        m.pause();
        fstat(f).map(|s| s.ino)
    });
    fs.lookup(ROOT, "f", file(2));
    c.paused();
    assert_eq!(
        notify(fs.dev(), DELETE, &[&delete(ROOT, 3, 1), b"f\0"]),
        Err(ENOENT)
    );
    c.go();
    assert_eq!(c.wait(), Ok(2));
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
}

/// DELETE of a directory in which a name is in use: ENOTEMPTY.
fn delete_of_a_directory_in_use() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("d/f"), libc::O_PATH).unwrap();
        m.pause();
        f
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.lookup(2, "f", file(3));
    c.paused();
    assert_eq!(
        notify(fs.dev(), DELETE, &[&delete(ROOT, 2, 1), b"d\0"]),
        Err(ENOTEMPTY)
    );
    c.go();
    c.wait();
}

/// A new epoch makes every cached name be looked up anew.
fn new_epoch() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("f").unwrap();
        m.stat("f").unwrap();
        m.pause();
        m.stat("f").unwrap().ino
    });
    fs.lookup(ROOT, "f", file(2));
    c.paused();
    fs.quiet();
    assert_eq!(notify(fs.dev(), INC_EPOCH, &[]), Ok(()));
    c.go();
    let given_back = loop {
        let r = fs.dev().next();
        match r.head.opcode {
            LOOKUP => r.ok(file(3).entry()),
            _ => break r,
        }
        if c.wait() == 3 {
            break fs.dev().next();
        }
    };
    assert_eq!(forgotten(&given_back), [(2, 1)]);
}

/// PRUNE makes the kernel give back the listed nodes that nobody uses; unknown ones are passed over.
fn prune_gives_nodes_back() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("f").unwrap();
        let g = sys::open(&m.path("g"), libc::O_PATH).unwrap();
        m.pause();
        g
    });
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "g", file(3));
    c.paused();
    let head = [2u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
    let nodes = [2u64.to_ne_bytes(), 99u64.to_ne_bytes()].concat();
    assert_eq!(notify(fs.dev(), PRUNE, &[&head, &nodes]), Ok(()));
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    let one = [1u32.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
    assert_eq!(
        notify(fs.dev(), PRUNE, &[&one, &3u64.to_ne_bytes()]),
        Ok(())
    );
    fs.quiet();
    c.go();
    c.wait();
}

/// The count of PRUNE must be true: EINVAL, also where it would wrap.
fn prune_of_a_wrong_count() {
    let fs = Fs::new();
    for count in [1u32, 3, 1 << 29, 0x2000_0002, u32::MAX] {
        let head = [count.to_ne_bytes(), [0; 4], [0; 4], [0; 4]].concat();
        let nodes = [7u64.to_ne_bytes(), 8u64.to_ne_bytes()].concat();
        assert_eq!(
            notify(fs.dev(), PRUNE, &[&head, &nodes]),
            Err(EINVAL),
            "{count}"
        );
    }
}

/// RESEND sends a request again that was read and not answered, with a mark in its id; the old id is unknown.
fn resend() {
    let fs = Fs::new();
    let a = fs.call(|m| m.stat("a").map(drop));
    let first = fs.expect_lookup(ROOT, "a");
    let unique = first.unique();
    assert_eq!(notify(fs.dev(), RESEND, &[]), Ok(()));
    assert_eq!(first.try_reply(&[]), Err(ENOENT));
    let again = fs.expect_lookup(ROOT, "a");
    assert_eq!(again.unique(), unique | UNIQUE_RESEND);
    again.err(ENOENT);
    assert_eq!(a.wait(), Err(ENOENT));
}

/// What is sent again comes before what was not read yet.
fn resend_comes_first() {
    let fs = Fs::new();
    let a = fs.call(|m| m.stat("a").map(drop));
    drop(fs.expect_lookup(ROOT, "a"));
    let b = fs.call(|m| m.access("", libc::R_OK));
    b.until_asleep();
    while !fs.dev().readable() {
        std::thread::yield_now();
    }
    assert_eq!(notify(fs.dev(), RESEND, &[]), Ok(()));
    fs.expect_lookup(ROOT, "a").err(ENOENT);
    fs.expect(ACCESS).reply(&[]);
    assert_eq!((a.wait(), b.wait()), (Err(ENOENT), Ok(())));
}

/// RESEND without anything to send is fine.
fn resend_of_nothing() {
    let fs = Fs::new();
    assert_eq!(notify(fs.dev(), RESEND, &[]), Ok(()));
    fs.quiet();
}
