// SPDX-License-Identifier: GPL-2.0

//! GETXATTR, SETXATTR, LISTXATTR and REMOVEXATTR: what is sent, and which answers are believed.
//!
//! Lists of who may do what are in `acl.rs`; what ENOSYS means for each of the four, in `enosys.rs`.

use crate::mockd::*;
use std::ffi::CString;

crate::tests![
    get_has_the_name_and_the_room,
    length_is_asked_for_without_room,
    length_is_cut_to_what_a_caller_may_have,
    room_is_cut_to_what_there_may_be,
    short_and_empty_values,
    value_that_is_too_long,
    length_of_another_form,
    asked_each_time,
    errors_are_passed_on,
    set_has_size_flags_name_and_value,
    set_is_longer_by_agreement,
    set_of_an_empty_value_removes_nothing,
    set_of_the_longest,
    remove_has_the_name,
    names_go_as_they_are,
    of_a_symbolic_link,
    list_has_the_room,
    list_without_names,
    list_that_is_none,
    values_are_not_lists,
    change_makes_the_ctime_stale,
    others_list_nothing,
    not_of_a_bad_inode,
];

const NAME: &str = "user.a";
/// XATTR_SIZE_MAX, and XATTR_LIST_MAX.
const MAX: usize = 65536;

/// What a call returned: a length, or an error.
fn length(n: isize) -> Result<usize> {
    usize::try_from(n).map_err(|_| errno())
}

/// The bytes that a call left in `buf`.
fn bytes(n: isize, mut buf: Vec<u8>) -> Result<Vec<u8>> {
    buf.truncate(length(n)?);
    Ok(buf)
}

/// fgetxattr(2) of `name` with `room` bytes.
fn get(fd: i32, name: &str, room: usize) -> Result<Vec<u8>> {
    let (name, mut buf) = (CString::new(name).unwrap(), vec![0xee; room]);
    // SAFETY: a C string, and a buffer with its length.
    let n = unsafe { libc::fgetxattr(fd, name.as_ptr(), buf.as_mut_ptr().cast(), room) };
    bytes(n, buf)
}

/// The length of attribute `name`.
fn get_length(fd: i32, name: &str) -> Result<usize> {
    let name = CString::new(name).unwrap();
    // SAFETY: a C string, and no buffer.
    length(unsafe { libc::fgetxattr(fd, name.as_ptr(), std::ptr::null_mut(), 0) })
}

/// flistxattr(2) with `room` bytes.
fn list(fd: i32, room: usize) -> Result<Vec<u8>> {
    let mut buf = vec![0xee; room];
    // SAFETY: a buffer with its length.
    bytes(
        unsafe { libc::flistxattr(fd, buf.as_mut_ptr().cast(), room) },
        buf,
    )
}

/// The length of the list of names.
fn list_length(fd: i32) -> Result<usize> {
    // SAFETY: no buffer.
    length(unsafe { libc::flistxattr(fd, std::ptr::null_mut(), 0) })
}

/// fsetxattr(2).
fn set(fd: i32, name: &str, value: &[u8], flags: i32) -> Result<()> {
    let name = CString::new(name).unwrap();
    // SAFETY: a C string, and a value with its length.
    match unsafe { libc::fsetxattr(fd, name.as_ptr(), value.as_ptr().cast(), value.len(), flags) } {
        0 => Ok(()),
        _ => Err(errno()),
    }
}

/// fremovexattr(2).
fn remove(fd: i32, name: &str) -> Result<()> {
    let name = CString::new(name).unwrap();
    // SAFETY: a C string.
    match unsafe { libc::fremovexattr(fd, name.as_ptr()) } {
        0 => Ok(()),
        _ => Err(errno()),
    }
}

/// A caller that has file 2 open and does `f` with it.
fn with_file<T: Ship>(fs: &Fs, f: impl FnOnce(i32) -> T + 'static) -> Caller<T> {
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        f(fd)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    c
}

/// The caller has gone, and its file with it.
fn closed(fs: &Fs) {
    fs.flush_and_release(2, 7);
}

/// GETXATTR or LISTXATTR of node 2 comes with this room; returns it and the bytes behind the structure.
#[track_caller]
fn expect_room(fs: &Fs, opcode: u32, room: usize) -> (Request, Vec<u8>) {
    let r = fs.expect(opcode).node(2);
    let arg = GetxattrIn::from_bytes(&r.body);
    assert_eq!((arg.size as usize, arg.padding), (room, 0));
    let rest = r.body[size_of::<GetxattrIn>()..].to_vec();
    (r, rest)
}

/// GETXATTR of `NAME` comes.
#[track_caller]
fn expect_get(fs: &Fs, room: usize) -> Request {
    let (r, name) = expect_room(fs, GETXATTR, room);
    assert_eq!(name, [NAME.as_bytes(), b"\0"].concat());
    r
}

/// LISTXATTR comes.
#[track_caller]
fn expect_list(fs: &Fs, room: usize) -> Request {
    let (r, rest) = expect_room(fs, LISTXATTR, room);
    assert_eq!(rest, []);
    r
}

/// The answer to who asks for a length.
fn length_out(size: u32) -> Vec<u8> {
    [size.to_ne_bytes(), [0; 4]].concat()
}

/// GETXATTR says how much room the caller has, and the whole name; the answer is the value.
fn get_has_the_name_and_the_room() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| get(fd, NAME, 100));
    expect_get(&fs, 100).reply(b"value");
    closed(&fs);
    assert_eq!(c.wait(), Ok(b"value".to_vec()));
}

/// Who offers no room is told the length, in an answer of its own form.
fn length_is_asked_for_without_room() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| (get_length(fd, NAME), list_length(fd)));
    expect_get(&fs, 0).reply(&length_out(5));
    expect_list(&fs, 0).reply(&length_out(0));
    closed(&fs);
    assert_eq!(c.wait(), (Ok(5), Ok(0)));
}

/// A length is believed up to 64 KiB.
fn length_is_cut_to_what_a_caller_may_have() {
    for (said, seen) in [
        (MAX, MAX),
        (MAX + 1, MAX),
        (i32::MAX as usize + 1, MAX),
        (u32::MAX as usize, MAX),
    ] {
        let fs = Fs::new();
        let c = with_file(&fs, |fd| (get_length(fd, NAME), list_length(fd)));
        expect_get(&fs, 0).reply(&length_out(said as u32));
        expect_list(&fs, 0).reply(&length_out(said as u32));
        closed(&fs);
        assert_eq!(c.wait(), (Ok(seen), Ok(seen)));
    }
}

/// More room than there may be bytes is not told the server.
fn room_is_cut_to_what_there_may_be() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        (
            get(fd, NAME, MAX + 1).map(|value| value.len()),
            list(fd, MAX + 1).map(|list| list.len()),
        )
    });
    expect_get(&fs, MAX).reply(&vec![b'v'; MAX]);
    expect_list(&fs, MAX).reply(&[vec![b'n'; MAX - 1], vec![0]].concat());
    closed(&fs);
    assert_eq!(c.wait(), (Ok(MAX), Ok(MAX)));
}

/// The value is as long as the answer, which may be empty; the caller's memory behind it is left alone.
fn short_and_empty_values() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        let name = CString::new(NAME).unwrap();
        let mut buf = [0xee_u8; 6];
        // SAFETY: a C string, and a buffer with its length.
        let n = unsafe { libc::fgetxattr(fd, name.as_ptr(), buf.as_mut_ptr().cast(), 5) };
        (length(n), buf.to_vec(), get(fd, NAME, 5))
    });
    expect_get(&fs, 5).reply(b"val");
    expect_get(&fs, 5).reply(b"");
    closed(&fs);
    assert_eq!(
        c.wait(),
        (Ok(3), b"val\xee\xee\xee".to_vec(), Ok(Vec::new()))
    );
}

/// A value or a list for which there is no room is refused, and EIO for the caller.
fn value_that_is_too_long() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| (get(fd, NAME, 5), list(fd, 5)));
    assert_eq!(expect_get(&fs, 5).try_reply(b"values"), Err(EINVAL));
    assert_eq!(expect_list(&fs, 5).try_reply(b"names\0"), Err(EINVAL));
    closed(&fs);
    assert_eq!(c.wait(), (Err(EIO), Err(EIO)));
}

/// A length in any other form than its own is refused, and EIO for the caller.
fn length_of_another_form() {
    for answer in [&b""[..], b"\x05\0\0\0", b"\x05\0\0\0\0\0\0\0\0", b"value"] {
        let fs = Fs::new();
        let c = with_file(&fs, |fd| (get_length(fd, NAME), list_length(fd)));
        assert_eq!(expect_get(&fs, 0).try_reply(answer), Err(EINVAL));
        assert_eq!(expect_list(&fs, 0).try_reply(answer), Err(EINVAL));
        closed(&fs);
        assert_eq!(c.wait(), (Err(EIO), Err(EIO)));
    }
}

/// Nothing is remembered: neither values nor their absence, nor the list.
fn asked_each_time() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        let both = || (get(fd, NAME, 9), list(fd, 9));
        [both(), both()].to_vec()
    });
    expect_get(&fs, 9).err(ENODATA);
    expect_list(&fs, 9).reply(b"");
    expect_get(&fs, 9).reply(b"now");
    expect_list(&fs, 9).reply(b"user.a\0");
    closed(&fs);
    assert_eq!(
        c.wait(),
        [
            (Err(ENODATA), Ok(Vec::new())),
            (Ok(b"now".to_vec()), Ok(b"user.a\0".to_vec()))
        ]
    );
}

/// The server's errors are the caller's.
fn errors_are_passed_on() {
    for e in [ENODATA, ERANGE, EOPNOTSUPP, ODD] {
        let fs = Fs::new();
        let c = with_file(&fs, |fd| {
            [
                get(fd, NAME, 9).map(drop),
                get_length(fd, NAME).map(drop),
                list(fd, 9).map(drop),
                list_length(fd).map(drop),
                set(fd, NAME, b"v", 0),
                remove(fd, NAME),
            ]
            .to_vec()
        });
        for opcode in [
            GETXATTR,
            GETXATTR,
            LISTXATTR,
            LISTXATTR,
            SETXATTR,
            REMOVEXATTR,
        ] {
            fs.expect(opcode).node(2).err(e);
        }
        closed(&fs);
        assert_eq!(c.wait(), [Err(e); 6]);
    }
}

/// SETXATTR has the length of the value and the caller's flags in eight bytes, then name and value.
fn set_has_size_flags_name_and_value() {
    for flags in [0, libc::XATTR_CREATE, libc::XATTR_REPLACE] {
        let fs = Fs::new();
        let c = with_file(&fs, move |fd| set(fd, NAME, b"val\0ue", flags));
        let r = fs.expect(SETXATTR).node(2);
        let expected = [
            &6u32.to_ne_bytes()[..],
            &flags.to_ne_bytes(),
            NAME.as_bytes(),
            b"\0val\0ue",
        ];
        assert_eq!(r.body, expected.concat());
        r.reply(&[]);
        closed(&fs);
        assert_eq!(c.wait(), Ok(()));
    }
}

/// By FUSE_SETXATTR_EXT there are eight bytes more, which are zero for what is no ACL.
fn set_is_longer_by_agreement() {
    let fs = Setup::new().flags(init::SETXATTR_EXT).start();
    let c = with_file(&fs, move |fd| set(fd, NAME, b"v", libc::XATTR_CREATE));
    let r = fs.expect(SETXATTR).node(2);
    let arg = SetxattrIn::from_bytes(&r.body);
    assert_eq!(
        (arg.size, arg.flags, arg.setxattr_flags, arg.padding),
        (1, libc::XATTR_CREATE as u32, 0, 0)
    );
    assert_eq!(
        r.body[size_of::<SetxattrIn>()..],
        [NAME.as_bytes(), b"\0v"].concat()
    );
    r.reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
}

/// An attribute that is set to nothing is set, and not removed.
fn set_of_an_empty_value_removes_nothing() {
    let fs = Fs::new();
    let c = with_file(&fs, move |fd| set(fd, NAME, b"", 0));
    let r = fs.expect(SETXATTR).node(2);
    assert_eq!(r.body, [&[0; 8], NAME.as_bytes(), b"\0"].concat());
    r.reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
}

/// 64 KiB and a name of 255 bytes travel; one byte more of either does not reach the server.
fn set_of_the_longest() {
    let fs = Fs::new();
    let name = |len: usize| format!("user.{}", "n".repeat(len - 5));
    let c = with_file(&fs, move |fd| {
        (
            set(fd, &name(255), &[7; MAX], 0),
            set(fd, NAME, &[7; MAX + 1], 0),
            set(fd, &name(256), b"v", 0),
        )
    });
    let r = fs.expect(SETXATTR).node(2);
    assert_eq!(r.body.len(), 8 + 256 + MAX);
    assert_eq!(r.body[..4], (MAX as u32).to_ne_bytes());
    assert_eq!(r.body[8..8 + 255], *name(255).as_bytes());
    assert!(r.body[8 + 256..].iter().all(|byte| *byte == 7));
    r.reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), (Ok(()), Err(E2BIG), Err(ERANGE)));
}

/// REMOVEXATTR is the name alone.
fn remove_has_the_name() {
    let fs = Fs::new();
    let c = with_file(&fs, move |fd| remove(fd, NAME));
    let r = fs.expect(REMOVEXATTR).node(2);
    assert_eq!(r.name(), NAME);
    r.reply(&[]);
    closed(&fs);
    assert_eq!(c.wait(), Ok(()));
}

/// Names of every name space, and of none, go to the server whole: it knows what there is.
fn names_go_as_they_are() {
    for name in [
        "user.a",
        "trusted.a",
        "security.a",
        "system.a",
        "unheard-of.a",
        "a",
        "user..",
    ] {
        let fs = Fs::new();
        let c = with_file(&fs, move |fd| {
            (get(fd, name, 9), set(fd, name, b"v", 0), remove(fd, name))
        });
        let with_nul = [name.as_bytes(), b"\0"].concat();
        let (r, sent) = expect_room(&fs, GETXATTR, 9);
        assert_eq!(sent, with_nul);
        r.reply(b"v");
        let r = fs.expect(SETXATTR).node(2);
        assert_eq!(r.body[8..], [&with_nul[..], b"v"].concat());
        r.reply(&[]);
        let r = fs.expect(REMOVEXATTR).node(2);
        assert_eq!(r.name(), name);
        r.reply(&[]);
        closed(&fs);
        assert_eq!(c.wait(), (Ok(b"v".to_vec()), Ok(()), Ok(())), "{name}");
    }
}

/// A symbolic link has attributes of its own, but for those of users.
fn of_a_symbolic_link() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let path = CString::new(m.path("l")).unwrap();
        let of_link = |name: &std::ffi::CStr| {
            let mut buf = vec![0; 9];
            // SAFETY: two C strings, and a buffer with its length.
            let n = unsafe {
                libc::lgetxattr(
                    path.as_ptr(),
                    name.as_ptr(),
                    buf.as_mut_ptr().cast(),
                    buf.len(),
                )
            };
            bytes(n, buf)
        };
        let mut buf = vec![0; 9];
        // SAFETY: a C string, and a buffer with its length.
        let n = unsafe { libc::llistxattr(path.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) };
        (bytes(n, buf), of_link(c"trusted.a"), of_link(c"user.a"))
    });
    let link = file(2).with(|a| a.mode = libc::S_IFLNK | 0o777);
    fs.lookup(ROOT, "l", link);
    expect_list(&fs, 9).reply(b"x.a\0");
    let (r, name) = expect_room(&fs, GETXATTR, 9);
    assert_eq!(name, b"trusted.a\0");
    r.reply(b"v");
    assert_eq!(
        c.wait(),
        (Ok(b"x.a\0".to_vec()), Ok(b"v".to_vec()), Err(ENODATA))
    );
}

/// LISTXATTR says how much room the caller has; all names of the answer are shown, whatever they are.
fn list_has_the_room() {
    let fs = Fs::new();
    let names = b"user.a\0trusted.b\0a\0";
    let c = with_file(&fs, |fd| list(fd, 64));
    expect_list(&fs, 64).reply(names);
    closed(&fs);
    assert_eq!(c.wait(), Ok(names.to_vec()));
}

/// A list may be empty.
fn list_without_names() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| list(fd, 64));
    expect_list(&fs, 64).reply(b"");
    closed(&fs);
    assert_eq!(c.wait(), Ok(Vec::new()));
}

/// A list whose last name has no NUL, or with a name of no bytes, is EIO: programs would walk out of it.
fn list_that_is_none() {
    for bad in [
        &b"a"[..],
        b"\0",
        b"\0\0",
        b"user.a\0user.b",
        b"\0user.a\0",
        b"user.a\0\0",
        b"user.a\0\0user.b\0",
    ] {
        let fs = Fs::new();
        let c = with_file(&fs, |fd| list(fd, 64));
        expect_list(&fs, 64).reply(bad);
        closed(&fs);
        assert_eq!(c.wait(), Err(EIO), "{bad:?}");
    }
}

/// A value is any bytes, also such as would be no list; a list that exactly fits is one.
fn values_are_not_lists() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| (get(fd, NAME, 3), list(fd, 4)));
    expect_get(&fs, 3).reply(b"\0a\0");
    expect_list(&fs, 4).reply(b"a\0b\0");
    closed(&fs);
    assert_eq!(c.wait(), (Ok(b"\0a\0".to_vec()), Ok(b"a\0b\0".to_vec())));
}

/// After a change the time of change is asked for again, and nothing else; after one that failed nothing is.
fn change_makes_the_ctime_stale() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        let after = |result| (result, fstat(fd).map(|s| s.ctime[0]));
        [
            after(set(fd, NAME, b"v", 0)),
            after(remove(fd, NAME)),
            after(set(fd, NAME, b"v", 0)),
            after(remove(fd, NAME)),
        ]
        .to_vec()
    });
    fs.expect(SETXATTR).node(2).reply(&[]);
    fs.getattr(file(2).with(|a| a.ctime = 11));
    fs.expect(REMOVEXATTR).node(2).reply(&[]);
    fs.getattr(file(2).with(|a| a.ctime = 12));
    fs.expect(SETXATTR).node(2).err(ODD);
    fs.expect(REMOVEXATTR).node(2).err(ODD);
    closed(&fs);
    assert_eq!(
        c.wait(),
        [
            (Ok(()), Ok(11)),
            (Ok(()), Ok(12)),
            (Err(ODD), Ok(12)),
            (Err(ODD), Ok(12))
        ]
    );
}

/// Who may not use the mount has no list, and no attributes of users, even of an open file: EACCES. What the kernel's
/// security modules may ask for at any time is not kept from him.
fn others_list_nothing() {
    let fs = Fs::new();
    let c = with_file(&fs, |fd| {
        become_user(1000, 1000);
        let refused = [
            list(fd, 9).map(drop),
            list_length(fd).map(drop),
            get(fd, NAME, 9).map(drop),
            set(fd, NAME, b"v", 0),
            remove(fd, NAME),
        ];
        (refused.to_vec(), get(fd, "security.a", 9))
    });
    let (r, name) = expect_room(&fs, GETXATTR, 9);
    assert_eq!(name, b"security.a\0");
    r.reply(b"v");
    closed(&fs);
    assert_eq!(c.wait(), (vec![Err(EACCES); 5], Ok(b"v".to_vec())));
}

/// Of an inode that the server has contradicted itself about it is not asked: EIO.
fn not_of_a_bad_inode() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let fd = m.open("f").expect("open");
        let bad = fstat(fd).map(drop);
        let results = [
            list(fd, 9).map(drop),
            list_length(fd).map(drop),
            get(fd, "security.a", 9).map(drop),
            get_length(fd, NAME).map(drop),
            set(fd, "security.a", b"v", 0),
            set(fd, NAME, b"v", 0),
            remove(fd, NAME),
        ];
        (bad, results.to_vec())
    });
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.open(2, 7, 0);
    fs.getattr(dir(2));
    fs.release(2, 7);
    assert_eq!(c.wait(), (Err(EIO), vec![Err(EIO); 7]));
    while fs.dev().readable() {
        assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    }
}
