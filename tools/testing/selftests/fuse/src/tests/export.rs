// SPDX-License-Identifier: GPL-2.0

//! File handles: what is in them, and how a file is found again by one.

use crate::mockd::*;

crate::tests![
    a_handle_is_node_and_generation,
    a_cached_node_is_found_without_asking,
    a_node_that_is_not_cached_is_stale,
    servers_that_can_are_asked_for_dot,
    nodes_that_are_gone_are_stale,
    a_reused_number_is_stale,
    another_node_in_the_answer_is_stale,
    no_node_and_no_handle_are_stale,
    a_directory_is_connected_by_dot_dot,
    without_a_way_up_a_directory_is_stale,
    unexportable_servers_have_handles_to_compare,
];

/// FILEID_INO64_GEN and FILEID_INO64_GEN_PARENT.
const PLAIN: i32 = 0x81;
const WITH_PARENT: i32 = 0x82;
const AT_HANDLE_FID: i32 = 0x200;

/// A mount whose directories need no OPENDIR, as the one that a handle is opened with does.
fn start(setup: Setup) -> Fs {
    let fs = setup.start();
    let c = fs.call(|m| m.opendir("").and_then(close));
    fs.expect(OPENDIR).node(ROOT).err(ENOSYS);
    assert_eq!(c.wait(), Ok(()));
    fs
}

fn exportable() -> Fs {
    start(Setup::new().flags(init::EXPORT_SUPPORT))
}

/// Opens a handle that was made by hand, for what it can be read as.
fn open_handle(m: &Side, kind: i32, words: &[u32]) -> Result<()> {
    let root = m.opendir("")?;
    let fd = open_by_handle(root, kind, words, libc::O_RDONLY)?;
    close(fd)
}

/// A handle is the node's number, the upper half first, and the lower half of its generation.
fn a_handle_is_node_and_generation() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            name_to_handle(&m.path("f"), 0),
            name_to_handle(&m.path(""), 0),
        )
    });
    let node = file(0x1_2345_6789).generation(0x5_0000_0007);
    fs.lookup(ROOT, "f", node);
    assert_eq!(
        c.wait(),
        (
            Ok((PLAIN, vec![1, 0x2345_6789, 7])),
            Ok((PLAIN, vec![0, 1, 0]))
        )
    );
}

/// As long as the inode is cached, it is found by its handle without the server.
fn a_cached_node_is_found_without_asking() {
    let fs = start(Setup::new());
    let c = fs.call(|m| {
        let held = m.open("f").expect("open");
        let result = (
            open_handle(m, PLAIN, &[0, 2, 7]),
            // The parent is only looked at to find a name.
            open_handle(m, WITH_PARENT, &[0, 2, 7, 0, 1, 0]),
            open_handle(m, PLAIN, &[0, 2, 8]),
        );
        close(held).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2).generation(7));
    fs.open(2, 1, 0);
    for fh in [2, 3] {
        fs.open(2, fh, 0);
        fs.flush_and_release(2, fh);
    }
    fs.flush_and_release(2, 1);
    assert_eq!(c.wait(), (Ok(()), Ok(()), Err(ESTALE)));
}

/// A server that has not offered FUSE_EXPORT_SUPPORT is not asked: ESTALE.
fn a_node_that_is_not_cached_is_stale() {
    let fs = start(Setup::new());
    let got = fs.call_quietly(|m| open_handle(m, PLAIN, &[0, 2, 0]));
    assert_eq!(got, Err(ESTALE));
}

/// With FUSE_EXPORT_SUPPORT a node is asked for by the name "." in itself.
fn servers_that_can_are_asked_for_dot() {
    let fs = exportable();
    let c = fs.call(|m| open_handle(m, PLAIN, &[0, 2, 7]));
    fs.lookup(2, ".", file(2).generation(7));
    fs.open(2, 1, 0);
    fs.flush_and_release(2, 1);
    // It has no name by which it could be found again.
    let r = fs.expect(FORGET);
    assert_eq!(forgotten(&r), [(2, 1)]);
    assert_eq!(c.wait(), Ok(()));
}

/// A node that the server does not know, or that it cannot tell, is ESTALE.
fn nodes_that_are_gone_are_stale() {
    for error in [ENOENT, EIO, ESTALE] {
        let fs = exportable();
        let c = fs.call(|m| open_handle(m, PLAIN, &[0, 2, 7]));
        fs.expect_lookup(2, ".").err(error);
        assert_eq!(c.wait(), Err(ESTALE));
    }
    let fs = exportable();
    let c = fs.call(|m| open_handle(m, PLAIN, &[0, 2, 7]));
    fs.expect_lookup(2, ".").ok(absent(3600, 0));
    assert_eq!(c.wait(), Err(ESTALE));
}

/// A number that stands for something else by now, which its generation says, is ESTALE; the lookup is paid back.
fn a_reused_number_is_stale() {
    let fs = exportable();
    let c = fs.call(|m| open_handle(m, PLAIN, &[0, 2, 7]));
    fs.lookup(2, ".", file(2).generation(8));
    let r = fs.expect(FORGET);
    assert_eq!(forgotten(&r), [(2, 1)]);
    assert_eq!(c.wait(), Err(ESTALE));
}

/// An answer about another node is ESTALE; the lookup is paid back.
fn another_node_in_the_answer_is_stale() {
    let fs = exportable();
    let c = fs.call(|m| open_handle(m, PLAIN, &[0, 2, 0]));
    fs.lookup(2, ".", file(3));
    let r = fs.expect(FORGET);
    assert_eq!(forgotten(&r), [(3, 1)]);
    assert_eq!(c.wait(), Err(ESTALE));
}

/// Node 0, a handle that is too short and one of another kind are ESTALE, and nobody is asked.
fn no_node_and_no_handle_are_stale() {
    let fs = exportable();
    let got = fs.call_quietly(|m| {
        [
            open_handle(m, PLAIN, &[0, 0, 0]),
            open_handle(m, PLAIN, &[0, 2]),
            open_handle(m, 1, &[0, 2, 0]),
            open_handle(m, 0x61, &[0, 2, 0]),
        ]
        .to_vec()
    });
    assert_eq!(got, [Err(ESTALE); 4]);
}

/// A directory is looked for by "." and its parents by ".."; then the parent is read for its name.
fn a_directory_is_connected_by_dot_dot() {
    let fs = exportable();
    let c = fs.call(|m| open_handle(m, PLAIN, &[0, 5, 0]));
    fs.lookup(5, ".", dir(5));
    fs.lookup(5, "..", dir(ROOT));
    let records = Dirents::new()
        .add(4, 1, libc::DT_DIR, "other")
        .add(5, 2, libc::DT_DIR, "wanted");
    fs.expect_readdir(0, 0).node(ROOT).reply(&records.0);
    fs.lookup(ROOT, "wanted", dir(5));
    assert_eq!(c.wait(), Ok(()));
}

/// A directory whose parents cannot be found is ESTALE.
fn without_a_way_up_a_directory_is_stale() {
    let fs = exportable();
    let c = fs.call(|m| open_handle(m, PLAIN, &[0, 5, 0]));
    fs.lookup(5, ".", dir(5));
    fs.expect_lookup(5, "..").err(ENOENT);
    let r = fs.expect(FORGET);
    assert_eq!(forgotten(&r), [(5, 1)]);
    assert_eq!(c.wait(), Err(ESTALE));
}

/// With FUSE_NO_EXPORT_SUPPORT there are handles to compare files by, but none to open.
fn unexportable_servers_have_handles_to_compare() {
    let fs = start(Setup::new().flags(init::NO_EXPORT_SUPPORT | init::EXPORT_SUPPORT));
    let c = fs.call(|m| {
        (
            name_to_handle(&m.path("f"), 0),
            name_to_handle(&m.path("f"), AT_HANDLE_FID),
            open_handle(m, PLAIN, &[0, 2, 7]),
        )
    });
    fs.lookup(ROOT, "f", file(2).generation(7));
    assert_eq!(
        c.wait(),
        (Err(EOPNOTSUPP), Ok((PLAIN, vec![0, 2, 7])), Err(ESTALE))
    );
}
