// SPDX-License-Identifier: GPL-2.0

//! IOCTL: how much of the caller's memory travels, and what comes back; and the attributes that the VFS asks for.

use crate::mockd::*;

crate::tests![
    a_number_that_says_nothing_carries_nothing,
    the_number_says_how_much_is_read,
    the_number_says_how_much_is_written,
    a_short_answer_leaves_the_rest_alone,
    one_that_reads_and_writes_does_both,
    the_result_is_what_the_server_says,
    data_arrives_with_a_failed_result_too,
    more_data_than_the_number_says_is_an_error,
    enosys_is_no_such_ioctl,
    a_server_may_not_ask_for_more,
    bad_memory_is_found_before_the_server_hears,
    bad_memory_for_the_answer_is_an_error,
    on_directories_it_says_so,
    old_servers_hear_of_no_directories,
    large_ones_travel_whole,
    verity_digests_have_the_length_the_caller_says,
    verity_salt_and_signature_travel_too,
    verity_has_limits,
    others_have_no_ioctls,
    flags_are_asked_for_through_a_file_of_their_own,
    flags_are_set_through_a_file_of_their_own,
    extended_attributes_are_a_structure,
    extended_attributes_are_set_after_a_look,
    attributes_of_directories_come_from_opendir,
    attribute_errors_release_the_file,
    an_attribute_of_another_length_is_an_error,
    attributes_of_a_server_without_open,
    attribute_answers_that_ask_for_more,
    attribute_results_above_zero,
    errors_of_the_open_are_errors_of_the_attribute,
    attributes_by_path,
    only_files_and_directories_have_attributes,
    no_attributes_of_a_bad_inode,
    a_32_bit_caller_is_told_apart,
    on_directories_a_32_bit_caller_too,
    flags_of_a_32_bit_caller_are_the_same,
    memory_that_a_32_bit_caller_lacks,
];

/// The number of an ioctl that reads (2) and writes (1) so many bytes, as `_IOC()` makes it.
const fn ioc(dir: u32, kind: u8, nr: u32, size: u32) -> u32 {
    (dir << 30) | (size << 16) | ((kind as u32) << 8) | nr
}

const NONE: u32 = 0;
const TO_SERVER: u32 = 1;
const FROM_SERVER: u32 = 2;

const GETFLAGS: u32 = ioc(FROM_SERVER, b'f', 1, 8);
const SETFLAGS: u32 = ioc(TO_SERVER, b'f', 2, 8);
const FSGETXATTR: u32 = ioc(FROM_SERVER, b'X', 31, 28);
const FSSETXATTR: u32 = ioc(TO_SERVER, b'X', 32, 28);
const MEASURE_VERITY: u32 = ioc(TO_SERVER | FROM_SERVER, b'f', 134, 4);
const ENABLE_VERITY: u32 = ioc(TO_SERVER, b'f', 133, 128);

/// What an ioctl returned, and its memory afterwards.
type Answer = (Result<i32>, Vec<u8>);

/// One ioctl on file `f`, which was opened with handle 7.
fn on_file(cmd: u32, memory: Vec<u8>) -> (Fs, Caller<Answer>) {
    on_file_of(Fs::new(), cmd, memory)
}

fn on_file_of(fs: Fs, cmd: u32, memory: Vec<u8>) -> (Fs, Caller<Answer>) {
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let mut memory = memory;
        let result = ioctl_on(fd, cmd, &mut memory);
        close(fd).expect("close");
        (result, memory)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    (fs, c)
}

/// IOCTL comes with this number, handle and lengths; returns it and its data.
#[track_caller]
fn expect_ioctl(fs: &Fs, cmd: u32, fh: u64, flags: u32, room: u32) -> (Request, Vec<u8>) {
    let r = fs.expect(IOCTL).node(2);
    let arg = IoctlIn::from_bytes(&r.body);
    assert_eq!((arg.cmd, arg.fh, arg.flags), (cmd, fh, flags));
    assert_eq!(arg.out_size, room, "room for the answer");
    let data = r.body[size_of::<IoctlIn>()..].to_vec();
    assert_eq!(arg.in_size as usize, data.len(), "length of the data");
    (r, data)
}

fn answer(result: i32, data: &[u8]) -> Vec<u8> {
    let head = IoctlOut {
        result,
        ..Default::default()
    };
    [&head.bytes(), data].concat()
}

/// An ioctl whose number has no size gets its argument to the server as a number, and no memory.
fn a_number_that_says_nothing_carries_nothing() {
    let fs = Fs::new();
    let cmd = ioc(NONE, b'E', 1, 0);
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let result = ioctl_number(fd, cmd, 0x1234_5678);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    let (r, data) = expect_ioctl(&fs, cmd, 7, 0, 0);
    assert_eq!(IoctlIn::from_bytes(&r.body).arg, 0x1234_5678);
    assert_eq!(data, []);
    r.reply(&answer(0, &[]));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), Ok(0));
}

/// What an ioctl reads goes to the server, as much as its number says.
fn the_number_says_how_much_is_read() {
    let cmd = ioc(TO_SERVER, b'E', 2, 5);
    let (fs, c) = on_file(cmd, b"hello world".to_vec());
    let (r, data) = expect_ioctl(&fs, cmd, 7, 0, 0);
    assert_eq!(data, b"hello");
    r.reply(&answer(0, &[]));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), b"hello world".to_vec()));
}

/// What an ioctl writes comes from the server, as much as its number says.
fn the_number_says_how_much_is_written() {
    let cmd = ioc(FROM_SERVER, b'E', 3, 5);
    let (fs, c) = on_file(cmd, b"xxxxxxxx".to_vec());
    let (r, data) = expect_ioctl(&fs, cmd, 7, 0, 5);
    assert_eq!(data, []);
    r.reply(&answer(0, b"HELLO"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), b"HELLOxxx".to_vec()));
}

/// A server may answer with less; the rest of the caller's memory stays as it is.
fn a_short_answer_leaves_the_rest_alone() {
    let cmd = ioc(FROM_SERVER, b'E', 3, 5);
    let (fs, c) = on_file(cmd, b"xxxxxxxx".to_vec());
    let (r, _) = expect_ioctl(&fs, cmd, 7, 0, 5);
    r.reply(&answer(0, b"HE"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), b"HExxxxxx".to_vec()));
}

/// An ioctl can carry data in both directions.
fn one_that_reads_and_writes_does_both() {
    let cmd = ioc(TO_SERVER | FROM_SERVER, b'E', 4, 4);
    let (fs, c) = on_file(cmd, b"ping".to_vec());
    let (r, data) = expect_ioctl(&fs, cmd, 7, 0, 4);
    assert_eq!(data, b"ping");
    r.reply(&answer(0, b"pong"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), b"pong".to_vec()));
}

/// The system call returns the server's result: a number, or an error.
fn the_result_is_what_the_server_says() {
    let cmd = ioc(NONE, b'E', 5, 0);
    for (result, seen) in [
        (42, Ok(42)),
        (i32::MAX, Ok(i32::MAX)),
        (-ODD.0, Err(ODD)),
        (-ENOSYS.0, Err(ENOTTY)),
    ] {
        let (fs, c) = on_file(cmd, Vec::new());
        expect_ioctl(&fs, cmd, 7, 0, 0)
            .0
            .reply(&answer(result, &[]));
        fs.flush_and_release(2, 7);
        assert_eq!(c.wait().0, seen);
    }
}

/// The data of an answer arrives whatever its result is.
fn data_arrives_with_a_failed_result_too() {
    let cmd = ioc(FROM_SERVER, b'E', 3, 4);
    let (fs, c) = on_file(cmd, b"xxxx".to_vec());
    let (r, _) = expect_ioctl(&fs, cmd, 7, 0, 4);
    r.reply(&answer(-ODD.0, b"data"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Err(ODD), b"data".to_vec()));
}

/// More data than the number says, though not more than a page, is EIO for the caller, who sees none of it.
fn more_data_than_the_number_says_is_an_error() {
    let cmd = ioc(FROM_SERVER, b'E', 3, 4);
    let (fs, c) = on_file(cmd, b"xxxxxxxx".to_vec());
    let (r, _) = expect_ioctl(&fs, cmd, 7, 0, 4);
    r.reply(&answer(0, b"12345"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Err(EIO), b"xxxxxxxx".to_vec()));
}

/// ENOSYS as the answer means "no such ioctl" (ENOTTY), this time: the next one is sent, too.
fn enosys_is_no_such_ioctl() {
    let fs = Fs::new();
    let cmd = ioc(NONE, b'E', 1, 0);
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let result = (ioctl_number(fd, cmd, 0), ioctl_number(fd, cmd, 0));
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    expect_ioctl(&fs, cmd, 7, 0, 0).0.err(ENOSYS);
    expect_ioctl(&fs, cmd, 7, 0, 0).0.reply(&answer(1, &[]));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Err(ENOTTY), Ok(1)));
}

/// Asking for other memory than the number says (FUSE_IOCTL_RETRY) is EIO: only CUSE servers may.
fn a_server_may_not_ask_for_more() {
    let cmd = ioc(TO_SERVER, b'E', 2, 4);
    let (fs, c) = on_file(cmd, b"ping".to_vec());
    let (r, _) = expect_ioctl(&fs, cmd, 7, 0, 0);
    let head = IoctlOut {
        flags: IOCTL_RETRY,
        in_iovs: 1,
        ..Default::default()
    };
    r.reply(&[head.bytes(), vec![0; 16]].concat());
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Err(EIO));
}

/// An argument that cannot be read is EFAULT, and the server does not hear of it.
fn bad_memory_is_found_before_the_server_hears() {
    let fs = Fs::new();
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let result = [
            ioctl_number(fd, ioc(TO_SERVER, b'E', 2, 4), 0),
            ioctl_number(fd, MEASURE_VERITY, 0),
            ioctl_number(fd, ENABLE_VERITY, 0),
        ]
        .to_vec();
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), [Err(EFAULT); 3]);
}

/// An argument that cannot be written is EFAULT, after the server has answered.
fn bad_memory_for_the_answer_is_an_error() {
    let fs = Fs::new();
    let cmd = ioc(FROM_SERVER, b'E', 3, 4);
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let result = ioctl_number(fd, cmd, 0);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    expect_ioctl(&fs, cmd, 7, 0, 4).0.reply(&answer(0, b"data"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), Err(EFAULT));
}

/// An ioctl on an open directory is marked as one.
fn on_directories_it_says_so() {
    let fs = Fs::new();
    let cmd = ioc(NONE, b'E', 1, 0);
    let c = fs.call(move |m| {
        let fd = m.opendir("d").expect("opendir");
        let result = ioctl_number(fd, cmd, 0);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.opendir(2, 7);
    expect_ioctl(&fs, cmd, 7, IOCTL_DIR, 0)
        .0
        .reply(&answer(3, &[]));
    fs.releasedir(2, 7);
    assert_eq!(c.wait(), Ok(3));
}

/// Servers before 7.18 are not asked about directories: ENOTTY.
fn old_servers_hear_of_no_directories() {
    let fs = Setup::new().minor(17).start();
    let c = fs.call(move |m| {
        let fd = m.opendir("d").expect("opendir");
        let result = ioctl_number(fd, ioc(NONE, b'E', 1, 0), 0);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.opendir(2, 7);
    fs.releasedir(2, 7);
    assert_eq!(c.wait(), Err(ENOTTY));
}

/// The largest size that a number can have travels in both directions.
fn large_ones_travel_whole() {
    let len = 0x3fff;
    let cmd = ioc(TO_SERVER | FROM_SERVER, b'E', 6, len);
    let there: Vec<u8> = (0..len).map(|i| (i % 251) as u8).collect();
    let back: Vec<u8> = (0..len).map(|i| (i % 241) as u8).collect();
    let (fs, c) = on_file(cmd, there.clone());
    let (r, data) = expect_ioctl(&fs, cmd, 7, 0, len);
    assert!(data == there, "the data is what the caller has");
    r.reply(&answer(0, &back));
    fs.flush_and_release(2, 7);
    let (result, memory) = c.wait();
    assert_eq!(result, Ok(0));
    assert!(memory == back, "the answer is what the server said");
}

/// FS_IOC_MEASURE_VERITY carries a header and as many bytes as the header says, both ways.
fn verity_digests_have_the_length_the_caller_says() {
    let mut memory = vec![0xee; 4 + 32 + 4];
    memory[..4].copy_from_slice(&[0, 0, 32, 0]);
    let (fs, c) = on_file(MEASURE_VERITY, memory.clone());
    let (r, data) = expect_ioctl(&fs, MEASURE_VERITY, 7, 0, 36);
    assert_eq!(data, memory[..36]);
    let digest = [&[1, 0, 32, 0][..], &[0xdd; 32]].concat();
    r.reply(&answer(0, &digest));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), [&digest[..], &[0xee; 4]].concat()));
}

/// The argument of FS_IOC_ENABLE_VERITY, with salt and signature of these lengths at these addresses.
fn enable(salt: (usize, u32), signature: (usize, u32)) -> Vec<u8> {
    let mut arg = vec![0; 128];
    arg[0] = 1;
    arg[12..16].copy_from_slice(&salt.1.to_le_bytes());
    arg[16..24].copy_from_slice(&(salt.0 as u64).to_le_bytes());
    arg[24..28].copy_from_slice(&signature.1.to_le_bytes());
    arg[32..40].copy_from_slice(&(signature.0 as u64).to_le_bytes());
    arg
}

/// FS_IOC_ENABLE_VERITY carries its structure, the salt and the signature, one behind the other.
fn verity_salt_and_signature_travel_too() {
    static SALT: [u8; 5] = *b"salty";
    static SIGNATURE: [u8; 9] = *b"signature";
    let arg = enable(
        (SALT.as_ptr() as usize, 5),
        (SIGNATURE.as_ptr() as usize, 9),
    );
    let (fs, c) = on_file(ENABLE_VERITY, arg.clone());
    let (r, data) = expect_ioctl(&fs, ENABLE_VERITY, 7, 0, 0);
    assert_eq!(data, [&arg[..], &SALT, &SIGNATURE].concat());
    r.reply(&answer(0, &[]));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Ok(0));
}

/// Salt and signature have at most 256 pages, and all together what a request may carry: ENOMEM.
fn verity_has_limits() {
    for arg in [
        enable((0, (256 << 12) + 1), (0, 0)),
        enable((0, 0), (0, (256 << 12) + 1)),
    ] {
        let (fs, c) = on_file(ENABLE_VERITY, arg);
        fs.flush_and_release(2, 7);
        assert_eq!(c.wait().0, Err(ENOMEM));
    }
    // 32 pages are what a request may carry unless INIT says more.
    static SALT: [u8; 32 << 12] = [1; 32 << 12];
    for arg in [
        enable((SALT.as_ptr() as usize, SALT.len() as u32), (0, 0)),
        // The lengths are looked at before what they are the lengths of.
        enable((0, SALT.len() as u32), (0, 0)),
        enable((0, 20 << 12), (0, 20 << 12)),
    ] {
        let (fs, c) = on_file(ENABLE_VERITY, arg);
        fs.flush_and_release(2, 7);
        assert_eq!(c.wait().0, Err(ENOMEM));
    }
    // Salt and signature that cannot be read.
    for arg in [enable((8, 5), (0, 0)), enable((0, 0), (8, 5))] {
        let (fs, c) = on_file(ENABLE_VERITY, arg);
        fs.flush_and_release(2, 7);
        assert_eq!(c.wait().0, Err(EFAULT));
    }
}

/// Who may not use the mount has no ioctl on it, even with an open file: EACCES.
fn others_have_no_ioctls() {
    let (fs, c) = {
        let fs = Fs::new();
        let c = fs.call(move |m| {
            let fd = m.open("f").expect("open");
            become_user(1000, 1000);
            let result = (
                ioctl_number(fd, ioc(NONE, b'E', 1, 0), 0),
                ioctl_on(fd, GETFLAGS, &mut [0; 8]),
            );
            close(fd).expect("close");
            result
        });
        (fs, c)
    };
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Err(EACCES), Err(EACCES)));
}

/// FS_IOC_GETFLAGS opens the file once more, without any flags, and releases it.
fn flags_are_asked_for_through_a_file_of_their_own() {
    let (fs, c) = on_file(GETFLAGS, vec![0xee; 8]);
    let r = fs.expect(OPEN).node(2);
    assert_eq!(r.arg::<OpenIn>().flags, 0);
    r.ok(OpenOut {
        fh: 9,
        ..Default::default()
    });
    let (r, data) = expect_ioctl(&fs, GETFLAGS, 9, 0, 4);
    assert_eq!((data, IoctlIn::from_bytes(&r.body).arg), (vec![], 0));
    r.reply(&answer(0, &0x10u32.to_le_bytes()));
    fs.release(2, 9);
    fs.flush_and_release(2, 7);
    assert_eq!(
        c.wait(),
        (Ok(0), [&[0x10, 0, 0, 0][..], &[0xee; 4]].concat())
    );
}

/// FS_IOC_SETFLAGS looks at the extended attributes first, then sets the flags; each through a file of its own.
fn flags_are_set_through_a_file_of_their_own() {
    let (fs, c) = on_file(SETFLAGS, 0x40u64.to_le_bytes().to_vec());
    fs.open(2, 9, 0);
    expect_ioctl(&fs, FSGETXATTR, 9, 0, 28)
        .0
        .reply(&answer(0, &fsxattr(0, 0, 0, 0, 0)));
    fs.release(2, 9);
    fs.open(2, 10, 0);
    let (r, data) = expect_ioctl(&fs, SETFLAGS, 10, 0, 0);
    assert_eq!(data, 0x40u32.to_le_bytes());
    r.reply(&answer(0, &[]));
    fs.release(2, 10);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Ok(0));
}

/// What FS_IOC_FSGETXATTR has, little endian.
fn fsxattr(xflags: u32, extsize: u32, nextents: u32, projid: u32, cowextsize: u32) -> Vec<u8> {
    let words = [xflags, extsize, nextents, projid, cowextsize, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// FS_IOC_FSGETXATTR is a structure of the server's.
fn extended_attributes_are_a_structure() {
    let (fs, c) = on_file(FSGETXATTR, vec![0; 28]);
    fs.open(2, 9, 0);
    let attr = fsxattr(0x40, 4096, 3, 77, 8192);
    expect_ioctl(&fs, FSGETXATTR, 9, 0, 28)
        .0
        .reply(&answer(0, &attr));
    fs.release(2, 9);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), attr));
}

/// FS_IOC_FSSETXATTR looks at the attributes first, then sets them as the caller gave them.
fn extended_attributes_are_set_after_a_look() {
    let (fs, c) = on_file(FSSETXATTR, fsxattr(0x40, 0, 3, 78, 0));
    fs.open(2, 9, 0);
    expect_ioctl(&fs, FSGETXATTR, 9, 0, 28)
        .0
        .reply(&answer(0, &fsxattr(0, 0, 3, 77, 0)));
    fs.release(2, 9);
    fs.open(2, 10, 0);
    let (r, data) = expect_ioctl(&fs, FSSETXATTR, 10, 0, 0);
    assert_eq!(data, fsxattr(0x40, 0, 3, 78, 0));
    r.reply(&answer(0, &[]));
    fs.release(2, 10);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Ok(0));
}

/// What comes of FS_IOC_GETFLAGS, and the caller's memory after it; `fd` is closed.
fn flags_of(fd: i32) -> (Result<i32>, Vec<u8>) {
    let mut flags = [0; 8];
    let result = ioctl_on(fd, GETFLAGS, &mut flags);
    close(fd).expect("close");
    (result, flags.to_vec())
}

/// The attributes of a directory are asked for through OPENDIR, and marked.
fn attributes_of_directories_come_from_opendir() {
    let fs = Fs::new();
    let c = fs.call(move |m| flags_of(m.opendir("d").expect("opendir")));
    fs.lookup(ROOT, "d", dir(2));
    fs.opendir(2, 7);
    fs.opendir(2, 9);
    expect_ioctl(&fs, GETFLAGS, 9, IOCTL_DIR, 4)
        .0
        .reply(&answer(0, &1u32.to_le_bytes()));
    fs.releasedir(2, 9);
    fs.releasedir(2, 7);
    assert_eq!(c.wait(), (Ok(0), vec![1, 0, 0, 0, 0, 0, 0, 0]));
}

/// Whatever the server says to the ioctl, the file that was opened for it is released.
fn attribute_errors_release_the_file() {
    for (reply, seen) in [
        (answer(-ODD.0, &[0; 4]), ODD),
        (answer(-ENOSYS.0, &[0; 4]), ENOTTY),
    ] {
        let (fs, c) = on_file(GETFLAGS, vec![0; 8]);
        fs.open(2, 9, 0);
        expect_ioctl(&fs, GETFLAGS, 9, 0, 4).0.reply(&reply);
        fs.release(2, 9);
        fs.flush_and_release(2, 7);
        assert_eq!(c.wait().0, Err(seen));
    }
}

/// The kernel knows how long the answer is: another length is refused with EINVAL, and EIO for the caller.
fn an_attribute_of_another_length_is_an_error() {
    for (cmd, right) in [(GETFLAGS, 4), (FSGETXATTR, 28)] {
        for len in [0, right - 1, right + 1, 4096] {
            let (fs, c) = on_file(cmd, vec![0; 28]);
            fs.open(2, 9, 0);
            let (r, _) = expect_ioctl(&fs, cmd, 9, 0, right as u32);
            assert_eq!(r.try_reply(&answer(0, &vec![0; len])), Err(EINVAL), "{len}");
            fs.release(2, 9);
            fs.flush_and_release(2, 7);
            assert_eq!(c.wait().0, Err(EIO));
        }
    }
    // Nothing comes back from one that sets.
    let (fs, c) = on_file(SETFLAGS, vec![0; 8]);
    fs.open(2, 9, 0);
    expect_ioctl(&fs, FSGETXATTR, 9, 0, 28)
        .0
        .reply(&answer(0, &fsxattr(0, 0, 0, 0, 0)));
    fs.release(2, 9);
    fs.open(2, 10, 0);
    let (r, _) = expect_ioctl(&fs, SETFLAGS, 10, 0, 0);
    assert_eq!(r.try_reply(&answer(0, &[0; 4])), Err(EINVAL));
    fs.release(2, 10);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Err(EIO));
}

/// A server without OPEN is asked with handle 0, and nothing is released.
fn attributes_of_a_server_without_open() {
    let fs = Fs::new();
    let c = fs.call(|m| flags_of(m.open("f").expect("open")));
    fs.lookup(ROOT, "f", file(2));
    fs.expect(OPEN).node(2).err(ENOSYS);
    expect_ioctl(&fs, GETFLAGS, 0, 0, 4)
        .0
        .reply(&answer(0, &2u32.to_le_bytes()));
    fs.flush(2, 0);
    assert_eq!(c.wait(), (Ok(0), vec![2, 0, 0, 0, 0, 0, 0, 0]));

    // The same of directories.
    let c = fs.call(|m| {
        let fd = m.opendir("d").expect("opendir");
        let result = ioctl_on(fd, GETFLAGS, &mut [0; 8]);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.expect(OPENDIR).node(2).err(ENOSYS);
    expect_ioctl(&fs, GETFLAGS, 0, IOCTL_DIR, 4)
        .0
        .reply(&answer(0, &2u32.to_le_bytes()));
    assert_eq!(c.wait(), Ok(0));
}

/// Asking for other memory (FUSE_IOCTL_RETRY) is EIO, unless there is an error anyway.
fn attribute_answers_that_ask_for_more() {
    for (result, seen) in [(0, EIO), (-ODD.0, ODD)] {
        let (fs, c) = on_file(GETFLAGS, vec![0; 8]);
        fs.open(2, 9, 0);
        let head = IoctlOut {
            result,
            flags: IOCTL_RETRY,
            in_iovs: 1,
            ..Default::default()
        };
        expect_ioctl(&fs, GETFLAGS, 9, 0, 4)
            .0
            .reply(&[head.bytes(), vec![0; 4]].concat());
        fs.release(2, 9);
        fs.flush_and_release(2, 7);
        assert_eq!(c.wait().0, Err(seen));
    }
}

/// A result above zero is success, and not what the caller gets.
fn attribute_results_above_zero() {
    let (fs, c) = on_file(GETFLAGS, vec![0; 8]);
    fs.open(2, 9, 0);
    expect_ioctl(&fs, GETFLAGS, 9, 0, 4)
        .0
        .reply(&answer(42, &3u32.to_le_bytes()));
    fs.release(2, 9);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(0), vec![3, 0, 0, 0, 0, 0, 0, 0]));
}

/// If the file cannot be opened once more, that is the error, and there is nothing to release.
fn errors_of_the_open_are_errors_of_the_attribute() {
    let (fs, c) = on_file(GETFLAGS, vec![0; 8]);
    fs.expect(OPEN).node(2).err(ODD);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Err(ODD));
}

/// file_getattr(2), and file_setattr(2) with these flags, of the node at `path` itself.
fn by_path(m: &Side, path: &str, set: Option<u64>) -> Result<u64> {
    const FILE_GETATTR: libc::c_long = 468;
    const FILE_SETATTR: libc::c_long = 469;

    let path = std::ffi::CString::new(m.path(path)).unwrap();
    // `struct file_attr`, whose first word has the flags.
    let mut attr = [0u64; 3];
    let call = match set {
        Some(flags) => {
            attr[0] = flags;
            FILE_SETATTR
        }
        None => FILE_GETATTR,
    };
    // SAFETY: a C string, and 24 bytes that are ours.
    let result = unsafe {
        libc::syscall(
            call,
            libc::AT_FDCWD,
            path.as_ptr(),
            attr.as_mut_ptr(),
            size_of_val(&attr),
            libc::AT_SYMLINK_NOFOLLOW,
        )
    };
    match result {
        0 => Ok(attr[0]),
        _ => Err(errno()),
    }
}

/// FS_XFLAG_NODUMP and FS_NODUMP_FL.
const NODUMP: (u32, u32) = (1 << 7, 1 << 6);

/// file_getattr(2) asks for the flags, file_setattr(2) for the structure first; nothing needs to be open before.
fn attributes_by_path() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            by_path(m, "f", None),
            by_path(m, "f", Some(NODUMP.0.into())),
        )
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 9, 0);
    expect_ioctl(&fs, GETFLAGS, 9, 0, 4)
        .0
        .reply(&answer(0, &NODUMP.1.to_le_bytes()));
    fs.release(2, 9);
    fs.open(2, 10, 0);
    expect_ioctl(&fs, FSGETXATTR, 10, 0, 28)
        .0
        .reply(&answer(0, &fsxattr(0, 0, 0, 0, 0)));
    fs.release(2, 10);
    fs.open(2, 11, 0);
    let (r, data) = expect_ioctl(&fs, FSSETXATTR, 11, 0, 0);
    assert_eq!(data, fsxattr(NODUMP.0, 0, 0, 0, 0));
    r.reply(&answer(0, &[]));
    fs.release(2, 11);
    assert_eq!(c.wait(), (Ok(NODUMP.0.into()), Ok(NODUMP.0.into())));
}

/// Of symbolic links and special files the server is not asked.
fn only_files_and_directories_have_attributes() {
    for mode in [libc::S_IFLNK, libc::S_IFIFO, libc::S_IFCHR, libc::S_IFSOCK] {
        let fs = Fs::new();
        let c = fs.call(|m| (by_path(m, "n", None), by_path(m, "n", Some(0))));
        fs.lookup(ROOT, "n", file(2).with(|a| a.mode = mode | 0o644));
        assert_eq!(c.wait(), (Err(EOPNOTSUPP), Err(EOPNOTSUPP)), "{mode:o}");
    }
}

/// Of an inode that the server has contradicted itself about, it is not asked: EIO.
fn no_attributes_of_a_bad_inode() {
    let (fs, c) = {
        let fs = Fs::new();
        let c = fs.call(|m| {
            let fd = m.open("f").expect("open");
            let bad = fstat(fd).map(drop);
            let results = [
                ioctl_on(fd, GETFLAGS, &mut [0; 8]),
                ioctl_on(fd, SETFLAGS, &mut [0; 8]),
                ioctl_number(fd, ioc(NONE, b'E', 1, 0), 0),
            ];
            let _ = close(fd);
            (bad, results.to_vec())
        });
        (fs, c)
    };
    fs.lookup(ROOT, "f", file(2).attr_valid(0, 0));
    fs.open(2, 7, 0);
    fs.getattr(dir(2));
    fs.release(2, 7);
    assert_eq!(c.wait(), (Err(EIO), vec![Err(EIO); 3]));
    while fs.dev().readable() {
        assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    }
}

/// FUSE_IOCTL_COMPAT, FUSE_IOCTL_32BIT and FUSE_IOCTL_DIR.
const COMPAT: u32 = 1 << 0;
const BITS_32: u32 = 1 << 3;
const DIR: u32 = 1 << 4;

/// As `on_file`, from a 32-bit program.
fn on_file_32(cmd: u32, memory: Vec<u8>) -> (Fs, Caller<Answer>) {
    let fs = Fs::new();
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let mut memory = memory;
        let result = ioctl_on_32(fd, cmd, &mut memory);
        close(fd).expect("close");
        (result, memory)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    (fs, c)
}

/// The server is told that a caller is a 32-bit program, whose structures have another layout; data goes both ways.
fn a_32_bit_caller_is_told_apart() {
    let cmd = ioc(TO_SERVER | FROM_SERVER, b'E', 4, 5);
    let (fs, c) = on_file_32(cmd, b"hello world".to_vec());
    let (r, data) = expect_ioctl(&fs, cmd, 7, COMPAT | BITS_32, 5);
    assert_eq!(data, b"hello");
    let arg = IoctlIn::from_bytes(&r.body).arg;
    assert!(
        arg != 0 && arg >> 32 == 0,
        "an address of 32 bits: {arg:#x}"
    );
    r.reply(&answer(3, b"HELLO"));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), (Ok(3), b"HELLO world".to_vec()));

    // A number is one of 32 bits, without a sign.
    let fs = Fs::new();
    let cmd = ioc(NONE, b'E', 1, 0);
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let result = ioctl_number_32(fd, cmd, 0xfedc_ba98);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    let (r, _) = expect_ioctl(&fs, cmd, 7, COMPAT | BITS_32, 0);
    assert_eq!(IoctlIn::from_bytes(&r.body).arg, 0xfedc_ba98);
    r.reply(&answer(0, &[]));
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), Ok(0));
}

/// On a directory it is told both.
fn on_directories_a_32_bit_caller_too() {
    let fs = Fs::new();
    let cmd = ioc(FROM_SERVER, b'E', 3, 5);
    let c = fs.call(move |m| {
        let fd = m.opendir("d").expect("opendir");
        let mut memory = *b"xxxxx";
        let result = ioctl_on_32(fd, cmd, &mut memory);
        close(fd).expect("close");
        (result, memory.to_vec())
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.opendir(2, 7);
    let (r, _) = expect_ioctl(&fs, cmd, 7, COMPAT | BITS_32 | DIR, 5);
    r.reply(&answer(0, b"HELLO"));
    fs.releasedir(2, 7);
    assert_eq!(c.wait(), (Ok(0), b"HELLO".to_vec()));

    // Servers before 7.18 hear of none.
    let fs = Setup::new().minor(17).start();
    let c = fs.call(move |m| {
        let fd = m.opendir("d").expect("opendir");
        let result = ioctl_number_32(fd, ioc(NONE, b'E', 1, 0), 0);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.opendir(2, 7);
    fs.releasedir(2, 7);
    assert_eq!(c.wait(), Err(ENOTTY));
}

/// FS_IOC32_GETFLAGS and FS_IOC32_SETFLAGS reach the server as those of 64 bits: it is the kernel that asks.
fn flags_of_a_32_bit_caller_are_the_same() {
    let (fs, c) = on_file_32(ioc(FROM_SERVER, b'f', 1, 4), vec![0xee; 8]);
    fs.open(2, 9, 0);
    let (r, _) = expect_ioctl(&fs, GETFLAGS, 9, 0, 4);
    r.reply(&answer(0, &0x10u32.to_le_bytes()));
    fs.release(2, 9);
    fs.flush_and_release(2, 7);
    assert_eq!(
        c.wait(),
        (Ok(0), [&[0x10, 0, 0, 0][..], &[0xee; 4]].concat())
    );

    let (fs, c) = on_file_32(ioc(TO_SERVER, b'f', 2, 4), 0x40u32.to_le_bytes().to_vec());
    fs.open(2, 9, 0);
    expect_ioctl(&fs, FSGETXATTR, 9, 0, 28)
        .0
        .reply(&answer(0, &fsxattr(0, 0, 0, 0, 0)));
    fs.release(2, 9);
    fs.open(2, 10, 0);
    let (r, data) = expect_ioctl(&fs, SETFLAGS, 10, 0, 0);
    assert_eq!(data, 0x40u32.to_le_bytes());
    r.reply(&answer(0, &[]));
    fs.release(2, 10);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait().0, Ok(0));
}

/// Memory that is not there is EFAULT for a 32-bit program, too.
fn memory_that_a_32_bit_caller_lacks() {
    let fs = Fs::new();
    let c = fs.call(move |m| {
        let fd = m.open("f").expect("open");
        let result = ioctl_number_32(fd, ioc(TO_SERVER, b'E', 2, 5), 8);
        close(fd).expect("close");
        result
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 7, 0);
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), Err(EFAULT));
}
