// SPDX-License-Identifier: GPL-2.0

//! POSIX ACLs: bytes of the server's without FUSE_POSIX_ACL, and the kernel's to check with it.

use crate::mockd::*;

crate::tests![
    acls_are_opaque_without_the_flag,
    the_flag_makes_the_kernel_check,
    a_refusal_is_checked_with_fresh_lists,
    lists_are_kept_until_attributes_are_fetched,
    a_file_without_list_is_asked_once,
    a_change_of_mode_drops_the_list,
    set_sends_the_list_and_drops_what_is_known,
    set_says_whether_set_group_id_must_go,
    set_is_short_for_old_servers,
    remove_is_removexattr,
    default_lists_have_their_own_name,
    a_failed_change_drops_what_is_known,
    servers_without_getxattr_have_no_lists,
    servers_without_setxattr_take_no_lists,
    a_list_is_at_most_a_page,
    a_broken_list_lets_nobody_in,
    empty_values_are_no_lists,
];

const ACCESS_NAME: &str = "system.posix_acl_access";
const DEFAULT_NAME: &str = "system.posix_acl_default";
const NOBODY: u32 = u32::MAX;

/// What a list says of whom: `ACL_USER_OBJ` and so on.
const OWNER: u16 = 1;
const USER: u16 = 2;
const OWNING_GROUP: u16 = 4;
const MASK: u16 = 16;
const OTHER: u16 = 32;

/// The extended attribute of a list: a version, then tag, permissions and id of each entry.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(perm.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Lets user 1000 do `perm` with a file of mode 0640.
fn list_for_1000(perm: u16) -> Vec<u8> {
    list(&[
        (OWNER, 6, NOBODY),
        (USER, perm, 1000),
        (OWNING_GROUP, 0, NOBODY),
        (MASK, 4, NOBODY),
        (OTHER, 0, NOBODY),
    ])
}

/// A root that everybody may search, without a look at lists: its group has no bits.
fn open_root() -> Node {
    dir(ROOT).perm(0o705)
}

/// A mount of a server that leaves ACLs to the kernel.
fn checked() -> Fs {
    Setup::new()
        .option("allow_other")
        .flags(init::POSIX_ACL | init::SETXATTR_EXT)
        .start()
}

/// GETXATTR of an ACL comes, with room for a page.
#[track_caller]
fn expect_list(fs: &Fs, node: u64, name: &str) -> Request {
    let r = fs.expect(GETXATTR).node(node);
    let arg = GetxattrIn::from_bytes(&r.body);
    assert_eq!((arg.size, arg.padding), (4096, 0), "room for a list");
    assert_eq!(&r.body[8..], [name.as_bytes(), b"\0"].concat());
    r
}

/// User 1000 asks whether it may read `f`, `times` times.
fn reads(fs: &Fs, times: usize) -> Caller<Vec<Result<()>>> {
    fs.call(move |m| {
        become_user(1000, 1000);
        (0..times).map(|_| m.access("f", libc::R_OK)).collect()
    })
}

/// Without FUSE_POSIX_ACL a list is shown and set, but nothing is checked against it.
fn acls_are_opaque_without_the_flag() {
    let fs = Setup::new()
        .option("allow_other,default_permissions")
        .start();
    let c = reads(&fs, 1);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    fs.getattr(file(2).perm(0o640));
    assert_eq!(c.wait(), [Err(EACCES)]);

    let c = fs.call(|m| {
        let f = m.path("f");
        (
            getxattr(&f, ACCESS_NAME),
            getxattr(&f, ACCESS_NAME),
            setxattr(&f, ACCESS_NAME, &list_for_1000(4)),
        )
    });
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(6));
    // Nothing is kept.
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    let r = fs.expect(SETXATTR).node(2);
    assert_eq!(
        r.body[8..],
        [ACCESS_NAME.as_bytes(), b"\0", &list_for_1000(4)].concat()
    );
    r.reply(&[]);
    assert_eq!(
        c.wait(),
        (Ok(list_for_1000(6)), Ok(list_for_1000(4)), Ok(()))
    );
}

/// With FUSE_POSIX_ACL the kernel checks permissions, and lists are part of them.
fn the_flag_makes_the_kernel_check() {
    let fs = checked();
    let c = reads(&fs, 1);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(())]);
}

/// What a list forbids is checked again with fresh attributes and a fresh list.
fn a_refusal_is_checked_with_fresh_lists() {
    let fs = checked();
    let c = reads(&fs, 1);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(0));
    fs.getattr(file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(())]);
}

/// A list is asked for once, and again after the attributes have been.
fn lists_are_kept_until_attributes_are_fetched() {
    let fs = checked();
    let c = reads(&fs, 3);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(()); 3]);

    let c = fs.call(|m| statx_size(&m.path("f"), libc::AT_STATX_FORCE_SYNC));
    fs.getattr(file(2).perm(0o640));
    assert_eq!(c.wait(), Ok(0));

    let c = reads(&fs, 2);
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(()); 2]);
}

/// That there is no list (ENODATA) is kept too; then the mode decides.
fn a_file_without_list_is_asked_once() {
    let fs = checked();
    let c = reads(&fs, 2);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o644));
    expect_list(&fs, 2, ACCESS_NAME).err(ENODATA);
    assert_eq!(c.wait(), [Ok(()); 2]);
}

/// SETATTR may change the list: it is asked for again.
fn a_change_of_mode_drops_the_list() {
    let fs = checked();
    let c = reads(&fs, 1);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(())]);

    let c = fs.call(|m| chmod(&m.path("f"), 0o660));
    fs.expect(SETATTR)
        .node(2)
        .ok(file(2).perm(0o660).attr_out());
    assert_eq!(c.wait(), Ok(()));

    let c = reads(&fs, 1);
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(6));
    assert_eq!(c.wait(), [Ok(())]);
}

/// A list is set by SETXATTR without flags of setxattr(2); then list and attributes are fetched afresh.
fn set_sends_the_list_and_drops_what_is_known() {
    let fs = checked();
    let c = fs.call(|m| setxattr(&m.path("f"), ACCESS_NAME, &list_for_1000(4)));
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o600));
    let r = fs.expect(SETXATTR).node(2);
    let arg = SetxattrIn::from_bytes(&r.body);
    let value = list_for_1000(4);
    assert_eq!(
        (arg.size as usize, arg.flags, arg.setxattr_flags),
        (value.len(), 0, 0)
    );
    assert_eq!(
        r.body[size_of::<SetxattrIn>()..],
        [ACCESS_NAME.as_bytes(), b"\0", &value].concat()
    );
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));

    let c = reads(&fs, 1);
    fs.getattr(file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&value);
    assert_eq!(c.wait(), [Ok(())]);
}

/// SETXATTR asks to drop the set-group-id bit if the caller is not in the file's group.
fn set_says_whether_set_group_id_must_go() {
    for (gid, flags) in [(1000, SETXATTR_ACL_KILL_SGID), (2000, 0)] {
        let fs = checked();
        let c = fs.call(move |m| {
            become_user(1000, gid);
            setxattr(&m.path("f"), ACCESS_NAME, &list_for_1000(4))
        });
        fs.getattr(open_root());
        fs.lookup(ROOT, "f", file(2).owner(1000, 2000).perm(0o2750));
        let r = fs.expect(SETXATTR).node(2);
        assert_eq!(SetxattrIn::from_bytes(&r.body).setxattr_flags, flags);
        r.reply(&[]);
        assert_eq!(c.wait(), Ok(()));
    }
}

/// Without FUSE_SETXATTR_EXT a list comes with the short form, which has no room for the wish.
fn set_is_short_for_old_servers() {
    let fs = Setup::new()
        .option("allow_other")
        .flags(init::POSIX_ACL)
        .start();
    let c = fs.call(|m| {
        become_user(1000, 1000);
        setxattr(&m.path("f"), ACCESS_NAME, &list_for_1000(4))
    });
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).owner(1000, 2000).perm(0o2750));
    let r = fs.expect(SETXATTR).node(2);
    assert_eq!(
        r.body[8..],
        [ACCESS_NAME.as_bytes(), b"\0", &list_for_1000(4)].concat()
    );
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
}

/// A list is removed by REMOVEXATTR; then list and attributes are fetched afresh.
fn remove_is_removexattr() {
    let fs = checked();
    let c = fs.call(|m| removexattr(&m.path("f"), ACCESS_NAME));
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    let r = fs.expect(REMOVEXATTR).node(2);
    assert_eq!(r.name(), ACCESS_NAME);
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));

    let c = reads(&fs, 1);
    fs.getattr(file(2).perm(0o644));
    expect_list(&fs, 2, ACCESS_NAME).err(ENODATA);
    assert_eq!(c.wait(), [Ok(())]);
}

/// The list for what is made in a directory is an attribute of its own.
fn default_lists_have_their_own_name() {
    let fs = checked();
    let c = fs.call(|m| getxattr(&m.path("d"), DEFAULT_NAME));
    fs.getattr(open_root());
    fs.lookup(ROOT, "d", dir(2));
    expect_list(&fs, 2, DEFAULT_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), Ok(list_for_1000(4)));
}

/// When a change fails, nobody knows what was done: list and attributes are fetched afresh.
fn a_failed_change_drops_what_is_known() {
    let fs = checked();
    let c = reads(&fs, 1);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(())]);

    let c = fs.call(|m| setxattr(&m.path("f"), ACCESS_NAME, &list_for_1000(0)));
    fs.expect(SETXATTR).node(2).err(ODD);
    assert_eq!(c.wait(), Err(ODD));

    let c = reads(&fs, 1);
    fs.getattr(file(2).perm(0o640));
    expect_list(&fs, 2, ACCESS_NAME).reply(&list_for_1000(4));
    assert_eq!(c.wait(), [Ok(())]);
}

/// ENOSYS to GETXATTR is remembered: no file has a list then.
fn servers_without_getxattr_have_no_lists() {
    let fs = checked();
    let c = reads(&fs, 1);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o644));
    expect_list(&fs, 2, ACCESS_NAME).err(ENOSYS);
    assert_eq!(c.wait(), [Ok(())]);

    let c = fs.call(|m| (m.stat("g").map(drop), getxattr(&m.path("g"), ACCESS_NAME)));
    fs.lookup(ROOT, "g", file(3).perm(0o644));
    assert_eq!(c.wait(), (Ok(()), Err(ENODATA)));
}

/// ENOSYS to SETXATTR is remembered: no list is set, and none is removed.
fn servers_without_setxattr_take_no_lists() {
    let fs = checked();
    let c = fs.call(|m| {
        let f = m.path("f");
        (
            setxattr(&f, ACCESS_NAME, &list_for_1000(4)),
            setxattr(&f, ACCESS_NAME, &list_for_1000(4)),
            removexattr(&f, ACCESS_NAME),
        )
    });
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o640));
    fs.expect(SETXATTR).node(2).err(ENOSYS);
    assert_eq!(
        c.wait(),
        (Err(EOPNOTSUPP), Err(EOPNOTSUPP), Err(EOPNOTSUPP))
    );
}

/// A server whose list does not fit into a page says ERANGE; the caller sees E2BIG.
fn a_list_is_at_most_a_page() {
    let fs = checked();
    let c = fs.call(|m| getxattr(&m.path("f"), ACCESS_NAME));
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2));
    expect_list(&fs, 2, ACCESS_NAME).err(ERANGE);
    assert_eq!(c.wait(), Err(E2BIG));
}

/// A value that is no list fails the access with EINVAL, and is asked for again.
fn a_broken_list_lets_nobody_in() {
    let fs = checked();
    let c = reads(&fs, 2);
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2).perm(0o644));
    expect_list(&fs, 2, ACCESS_NAME).reply(&[2, 0, 0, 0, 1]);
    expect_list(&fs, 2, ACCESS_NAME).reply(&[0xff; 64]);
    assert_eq!(c.wait(), [Err(EINVAL), Err(EOPNOTSUPP)]);
}

/// A value of no bytes, or with a version and no entries, is no list.
fn empty_values_are_no_lists() {
    let fs = checked();
    let c = fs.call(|m| {
        let f = m.path("f");
        (getxattr(&f, ACCESS_NAME), getxattr(&f, DEFAULT_NAME))
    });
    fs.getattr(open_root());
    fs.lookup(ROOT, "f", file(2));
    expect_list(&fs, 2, ACCESS_NAME).reply(&[]);
    expect_list(&fs, 2, DEFAULT_NAME).reply(&[2, 0, 0, 0]);
    assert_eq!(c.wait(), (Err(ENODATA), Err(ENODATA)));
}
