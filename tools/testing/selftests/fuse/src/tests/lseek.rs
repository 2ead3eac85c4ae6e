// SPDX-License-Identifier: GPL-2.0

//! LSEEK: the server says where there are data and holes.

use super::fallocate::opened;
use super::fallocate::with_open;
use crate::mockd::*;

crate::tests![
    request,
    position_is_where_the_server_says,
    error_leaves_the_position,
    answer_that_is_no_position,
    negative_offset_is_the_servers_affair,
    set_and_cur_ask_nothing,
    end_is_where_the_file_ends,
    end_makes_sure_of_the_size,
    of_a_file_that_is_written_back,
    killed_while_the_server_seeks,
];

#[track_caller]
fn expect_lseek(fs: &Fs, offset: i64, whence: i32) -> Request {
    let r = fs.expect(LSEEK).node(2);
    let expected = LseekIn {
        fh: 5,
        offset: offset as u64,
        whence: whence as u32,
        padding: 0,
    };
    assert_eq!(r.arg::<LseekIn>(), expected);
    r
}

/// LSEEK carries handle, offset and whence; lseek(2) returns what the server says.
fn request() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        (
            lseek(f, 100, libc::SEEK_DATA),
            lseek(f, 5000, libc::SEEK_HOLE),
        )
    });
    opened(&fs, 10_000);
    expect_lseek(&fs, 100, libc::SEEK_DATA).ok(LseekOut { offset: 4096 });
    expect_lseek(&fs, 5000, libc::SEEK_HOLE).ok(LseekOut { offset: 8192 });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(4096), Ok(8192)));
}

/// What is read next is read from there, even if that is behind the end.
fn position_is_where_the_server_says() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        lseek(f, 0, libc::SEEK_DATA).unwrap();
        let data = read(f, 3).unwrap();
        lseek(f, 0, libc::SEEK_HOLE).unwrap();
        (data, lseek(f, 1, libc::SEEK_CUR))
    });
    opened(&fs, 4097);
    expect_lseek(&fs, 0, libc::SEEK_DATA).ok(LseekOut { offset: 4090 });
    fs.expect_read(5, 0, 4096).reply(&[7; 4096]);
    expect_lseek(&fs, 0, libc::SEEK_HOLE).ok(LseekOut { offset: 1 << 40 });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (vec![7; 3], Ok((1 << 40) + 1)));
}

/// What the server answers is what lseek(2) fails with, and the position is where it was.
fn error_leaves_the_position() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        lseek(f, 10, libc::SEEK_SET).unwrap();
        (
            lseek(f, 20, libc::SEEK_DATA),
            lseek(f, 20, libc::SEEK_HOLE),
            lseek(f, 0, libc::SEEK_CUR),
        )
    });
    opened(&fs, 10);
    expect_lseek(&fs, 20, libc::SEEK_DATA).err(Errno(libc::ENXIO));
    expect_lseek(&fs, 20, libc::SEEK_HOLE).err(ODD);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(Errno(libc::ENXIO)), Err(ODD), Ok(10)));
}

/// A place that no file has is EINVAL; the last that one may have is not.
fn answer_that_is_no_position() {
    for (offset, result) in [
        (i64::MAX as u64, Ok(i64::MAX)),
        (1 << 63, Err(EINVAL)),
        (u64::MAX, Err(EINVAL)),
    ] {
        let fs = Fs::new();
        let c = with_open(&fs, |_, f| {
            lseek(f, 10, libc::SEEK_SET).unwrap();
            let found = lseek(f, 0, libc::SEEK_DATA);
            (found, lseek(f, 0, libc::SEEK_CUR))
        });
        opened(&fs, 10);
        expect_lseek(&fs, 0, libc::SEEK_DATA).ok(LseekOut { offset });
        fs.flush_and_release(2, 5);
        assert_eq!(c.wait(), (result, Ok(result.unwrap_or(10))));
    }
}

/// The kernel does not judge from where to look: a negative offset is sent.
fn negative_offset_is_the_servers_affair() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| lseek(f, -5, libc::SEEK_DATA));
    opened(&fs, 10);
    expect_lseek(&fs, -5, libc::SEEK_DATA).err(Errno(libc::ENXIO));
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Err(Errno(libc::ENXIO)));
}

/// SEEK_SET and SEEK_CUR ask nobody, and may go behind the end.
fn set_and_cur_ask_nothing() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| {
        (
            lseek(f, 1 << 50, libc::SEEK_SET),
            lseek(f, -1, libc::SEEK_CUR),
            lseek(f, -1, libc::SEEK_SET),
        )
    });
    fs.lookup(ROOT, "f", file(2).size(10).attr_valid(0, 0));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(1 << 50), Ok((1 << 50) - 1), Err(EINVAL)));
}

/// SEEK_END counts from the size, which is not asked for while it may be believed.
fn end_is_where_the_file_ends() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| lseek(f, -3, libc::SEEK_END));
    opened(&fs, 100);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(97));
}

/// A size that may not be believed any more is asked for, by handle.
fn end_makes_sure_of_the_size() {
    let fs = Fs::new();
    let c = with_open(&fs, |_, f| lseek(f, 2, libc::SEEK_END));
    fs.lookup(ROOT, "f", file(2).size(100).attr_valid(0, 0));
    fs.open(2, 5, 0);
    let r = fs.expect(GETATTR).node(2);
    let a: GetattrIn = r.arg();
    assert_eq!((a.getattr_flags, a.fh), (GETATTR_FH, 5));
    r.ok(file(2).size(200).attr_out());
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(202));
}

/// With write-back the end is the kernel's; data and holes are still the server's, who does not know all of them yet.
fn of_a_file_that_is_written_back() {
    let fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let c = with_open(&fs, |_, f| {
        pwrite(f, &[7; 10], 0).unwrap();
        let found = (lseek(f, 0, libc::SEEK_END), lseek(f, 0, libc::SEEK_HOLE));
        ftruncate(f, 0).unwrap();
        found
    });
    opened(&fs, 0);
    let mut r = fs.dev().next();
    if r.head.opcode == GETXATTR {
        r.err(ENOSYS);
        r = fs.dev().next();
    }
    assert_eq!(r.head.opcode, LSEEK, "{r:?} came");
    r.ok(LseekOut { offset: 0 });
    fs.expect(SETATTR).node(2).ok(file(2).attr_out());
    // Times that the write and the truncation have left.
    let mut r = fs.dev().next();
    if r.head.opcode == SETATTR {
        r.ok(file(2).attr_out());
        r = fs.dev().next();
    }
    assert_eq!(r.head.opcode, FLUSH, "{r:?} came");
    r.reply(&[]);
    fs.release(2, 5);
    assert_eq!(c.wait(), (Ok(10), Ok(0)));
}

/// Who is killed while the server seeks is gone after its answer, and leaves a file that can be used.
fn killed_while_the_server_seeks() {
    let fs = Fs::new();
    let mut c = with_open(&fs, |_, f| lseek(f, 0, libc::SEEK_DATA));
    opened(&fs, 10);
    let r = expect_lseek(&fs, 0, libc::SEEK_DATA);
    c.until_asleep();
    c.signal(libc::SIGKILL);
    fs.expect(INTERRUPT).node(0).answer_interrupt(EAGAIN).ok();
    r.ok(LseekOut { offset: 5 });
    let mut r = fs.dev().next();
    while r.head.opcode == INTERRUPT {
        r = fs.dev().next();
    }
    assert_eq!(r.head.opcode, FLUSH, "{r:?} came");
    r.reply(&[]);
    fs.release(2, 5);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    let c = with_open(&fs, |_, f| lseek(f, 0, libc::SEEK_DATA));
    fs.open(2, 5, 0);
    expect_lseek(&fs, 0, libc::SEEK_DATA).ok(LseekOut { offset: 5 });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(5));
}
