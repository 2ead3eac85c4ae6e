// SPDX-License-Identifier: GPL-2.0

//! READLINK: reading and following symbolic links.

use crate::mockd::*;

crate::tests![
    request,
    asked_each_time,
    asked_once_with_cache_symlinks,
    longest_target,
    too_long_target,
    empty_target,
    target_ends_at_nul,
    error_is_passed_on,
    followed_within_the_mount,
    followed_out_of_the_mount,
    loop_ends,
    makes_atime_stale,
    not_followed,
];

/// READLINK names the link's node and has no body; the reply is the target, without NUL.
fn request() {
    let fs = Fs::new();
    let c = fs.call(|m| m.readlink("l"));
    fs.lookup(ROOT, "l", symlink_node(2));
    let r = fs.expect(READLINK).node(2);
    assert_eq!(r.body, []);
    r.reply(b"some/where");
    assert_eq!(c.wait(), Ok(b"some/where".to_vec()));
}

/// A link is read anew each time.
fn asked_each_time() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.readlink("l"), m.readlink("l")));
    fs.lookup(ROOT, "l", symlink_node(2));
    fs.expect(READLINK).reply(b"one");
    fs.expect(READLINK).reply(b"two");
    assert_eq!(c.wait(), (Ok(b"one".to_vec()), Ok(b"two".to_vec())));
}

/// With CACHE_SYMLINKS a link is read once.
fn asked_once_with_cache_symlinks() {
    let fs = Setup::new().flags(init::CACHE_SYMLINKS).start();
    let c = fs.call(|m| m.readlink("l"));
    fs.lookup(ROOT, "l", symlink_node(2).size(3));
    fs.expect(READLINK).reply(b"one");
    assert_eq!(c.wait(), Ok(b"one".to_vec()));
    assert_eq!(fs.call_quietly(|m| m.readlink("l")), Ok(b"one".to_vec()));
}

/// A target may have 4095 bytes.
fn longest_target() {
    for flags in [0, init::CACHE_SYMLINKS] {
        let fs = Setup::new().flags(flags).start();
        let target = vec![b'x'; 4095];
        let c = fs.call(|m| m.readlink("l"));
        fs.lookup(ROOT, "l", symlink_node(2));
        fs.expect(READLINK).reply(&target);
        assert_eq!(c.wait(), Ok(target));
    }
}

/// A target of a page or more is refused, and the caller gets EIO.
fn too_long_target() {
    for (flags, len) in [(0, 4096), (0, 5000), (init::CACHE_SYMLINKS, 4096)] {
        let fs = Setup::new().flags(flags).start();
        let c = fs.call(|m| m.readlink("l"));
        fs.lookup(ROOT, "l", symlink_node(2));
        assert_eq!(fs.expect(READLINK).try_reply(&vec![b'x'; len]), Err(EINVAL));
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// An empty target reads as empty, and leads to the directory that the link is in.
fn empty_target() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.readlink("d/l"), m.stat("d/l").map(|s| s.ino)));
    fs.lookup(ROOT, "d", dir(2));
    fs.lookup(2, "l", symlink_node(3));
    fs.expect(READLINK).reply(b"");
    fs.expect(READLINK).reply(b"");
    assert_eq!(c.wait(), (Ok(vec![]), Ok(2)));
}

/// A NUL in a target ends it.
fn target_ends_at_nul() {
    for flags in [0, init::CACHE_SYMLINKS] {
        let fs = Setup::new().flags(flags).start();
        let c = fs.call(|m| m.readlink("l"));
        fs.lookup(ROOT, "l", symlink_node(2));
        fs.expect(READLINK).reply(b"one\0two");
        assert_eq!(c.wait(), Ok(b"one".to_vec()));
    }
}

/// An error of READLINK is the caller's error, for reading as for following.
fn error_is_passed_on() {
    for flags in [0, init::CACHE_SYMLINKS] {
        let fs = Setup::new().flags(flags).start();
        for e in [EPERM, ENOSYS, ODD] {
            let c = fs.call(|m| (m.readlink("l"), m.stat("l/x")));
            if e == EPERM {
                fs.lookup(ROOT, "l", symlink_node(2));
            }
            fs.expect(READLINK).err(e);
            fs.expect(READLINK).err(e);
            assert_eq!(c.wait(), (Err(e), Err(e)));
        }
    }
}

/// A relative target goes on in the link's directory, and what follows the link comes after it.
fn followed_within_the_mount() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("d/l/y").map(|s| s.ino));
    fs.lookup(ROOT, "d", dir(2));
    fs.lookup(2, "l", symlink_node(3));
    fs.expect(READLINK).node(3).reply(b"../e/f");
    fs.lookup(ROOT, "e", dir(4));
    fs.lookup(4, "f", dir(5));
    fs.lookup(5, "y", file(6));
    assert_eq!(c.wait(), Ok(6));
}

/// An absolute target starts at the caller's root.
fn followed_out_of_the_mount() {
    let fs = Fs::new();
    std::fs::write(format!("{PLACE}/outside"), "12345").unwrap();
    let c = fs.call(|m| m.stat("l").map(|s| s.size));
    fs.lookup(ROOT, "l", symlink_node(2));
    fs.expect(READLINK)
        .node(2)
        .reply(format!("{PLACE}/outside").as_bytes());
    assert_eq!(c.wait(), Ok(5));
}

/// A link to itself is followed forty times, then gives ELOOP.
fn loop_ends() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("l").map(drop));
    fs.lookup(ROOT, "l", symlink_node(2));
    for _ in 0..40 {
        fs.expect(READLINK).reply(b"l");
    }
    assert_eq!(c.wait(), Err(ELOOP));
}

/// Reading a link makes its access time stale: the next stat(2) of it asks.
fn makes_atime_stale() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.readlink("l").is_ok(), m.lstat("l").map(|s| s.atime[0])));
    fs.lookup(ROOT, "l", symlink_node(2));
    fs.expect(READLINK).reply(b"x");
    fs.getattr(symlink_node(2).with(|a| a.atime = 9));
    assert_eq!(c.wait(), (true, Ok(9)));
}

/// lstat(2) and O_NOFOLLOW do not read the link.
fn not_followed() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let opened = sys::open(&m.path("l"), libc::O_NOFOLLOW);
        (m.lstat("l").map(|s| s.mode & libc::S_IFMT), opened)
    });
    fs.lookup(ROOT, "l", symlink_node(2));
    assert_eq!(c.wait(), (Ok(libc::S_IFLNK), Err(ELOOP)));
}
