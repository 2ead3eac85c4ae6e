// SPDX-License-Identifier: GPL-2.0

//! OPEN, FLUSH and RELEASE, and their kin for directories: handles from first to last use.

use crate::mockd::*;

crate::tests![
    requests_of_a_file,
    requests_of_a_directory,
    flags_of_open,
    lock_owner_is_the_process,
    each_open_has_its_handle,
    flush_at_each_close,
    release_at_the_last_close,
    release_is_not_waited_for,
    release_error_is_ignored,
    flush_error_is_the_error_of_close,
    flush_enosys_is_remembered,
    noflush,
    open_error_is_passed_on,
    open_enosys_is_remembered,
    opendir_error_is_passed_on,
    opendir_enosys_is_remembered,
    path_handle_opens_nothing,
    nonseekable,
    stream,
    stream_is_read_and_written_at_once,
    nonseekable_reader_and_writer_take_turns,
    directory_is_not_a_file,
    exit_closes,
    special_file_is_not_opened_here,
];

/// An open file's life: OPEN gives a handle, FLUSH comes at close, RELEASE after it, by nobody.
fn requests_of_a_file() {
    let fs = Fs::new();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    let r = fs.expect(OPEN).node(2);
    let flags = r.arg::<OpenIn>().flags;
    assert_eq!(r.arg::<OpenIn>().open_flags, 0);
    assert_eq!((r.head.uid, r.head.pid), (0, c.pid as u32));
    r.ok(OpenOut {
        fh: 0xdead_beef_0000_0005,
        open_flags: 0,
        backing_id: 0,
    });

    let r = fs.expect(FLUSH).node(2);
    let a: FlushIn = r.arg();
    assert_eq!((a.fh, a.unused, a.padding), (0xdead_beef_0000_0005, 0, 0));
    assert_ne!(a.lock_owner, 0);
    r.reply(&[]);

    let r = fs.expect(RELEASE).node(2);
    let expected = ReleaseIn {
        fh: 0xdead_beef_0000_0005,
        flags,
        release_flags: 0,
        lock_owner: 0,
    };
    assert_eq!(r.arg::<ReleaseIn>(), expected);
    assert_eq!((r.head.uid, r.head.gid), (0, 0));
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
}

/// An open directory's life: OPENDIR and RELEASEDIR, without FLUSH.
fn requests_of_a_directory() {
    let fs = Fs::new();
    let c = fs.call(|m| m.opendir("").and_then(close));
    let r = fs.expect(OPENDIR).node(ROOT);
    let flags = r.arg::<OpenIn>().flags;
    assert_eq!(flags & libc::O_DIRECTORY as u32, libc::O_DIRECTORY as u32);
    r.ok(OpenOut {
        fh: 5,
        ..Default::default()
    });
    let r = fs.expect(RELEASEDIR).node(ROOT);
    assert_eq!(
        r.arg::<ReleaseIn>(),
        ReleaseIn {
            fh: 5,
            flags,
            release_flags: 0,
            lock_owner: 0
        }
    );
    r.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
}

/// OPEN carries the flags of open(2), but not those that are the kernel's own affair: creation, O_NOCTTY, O_CLOEXEC.
fn flags_of_open() {
    let fs = Fs::new();
    let large = 0o100000;
    for (given, sent) in [
        (libc::O_RDONLY, libc::O_RDONLY),
        (libc::O_WRONLY, libc::O_WRONLY),
        (libc::O_RDWR | libc::O_APPEND, libc::O_RDWR | libc::O_APPEND),
        (
            libc::O_RDONLY | libc::O_NOCTTY | libc::O_NONBLOCK,
            libc::O_RDONLY | libc::O_NONBLOCK,
        ),
        (
            libc::O_RDONLY | libc::O_NOATIME,
            libc::O_RDONLY | libc::O_NOATIME,
        ),
        (libc::O_RDWR | libc::O_SYNC, libc::O_RDWR | libc::O_SYNC),
    ] {
        let c = fs.call(|m| sys::open(&m.path("f"), given).and_then(close));
        if given == libc::O_RDONLY {
            fs.lookup(ROOT, "f", file(2));
        }
        let r = fs.expect(OPEN);
        assert_eq!(
            r.arg::<OpenIn>().flags,
            (sent | large) as u32,
            "open(2) with {given:#o}"
        );
        r.ok(OpenOut {
            fh: 5,
            ..Default::default()
        });
        fs.flush(2, 5);
        assert_eq!(c.wait(), Ok(()));
        fs.release(2, 5);
    }
}

/// The lock owner in FLUSH is the same for all files of a process, and differs between processes.
fn lock_owner_is_the_process() {
    let fs = Fs::new();
    let owners: Vec<Vec<u64>> = (0..2)
        .map(|i| {
            let c = fs.call(|m| (0..2).try_for_each(|_| m.open("f").and_then(close)));
            if i == 0 {
                fs.lookup(ROOT, "f", file(2));
            }
            let owners = (0..2)
                .map(|_| {
                    fs.open(2, 5, 0);
                    let r = fs.expect(FLUSH);
                    let owner = r.arg::<FlushIn>().lock_owner;
                    r.reply(&[]);
                    fs.release(2, 5);
                    owner
                })
                .collect();
            // The first process lives on, so that the second cannot have its files_struct.
            assert_eq!(c.wait(), Ok(()));
            owners
        })
        .collect();
    assert_eq!(owners[0][0], owners[0][1]);
    assert_eq!(owners[1][0], owners[1][1]);
}

/// Each open(2) has a handle of its own, and each request carries the handle of its file.
fn each_open_has_its_handle() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let (a, b) = (m.open("f").unwrap(), m.open("f").unwrap());
        let data = (read(b, 4096).unwrap(), read(a, 4096).unwrap());
        close(a).unwrap();
        close(b).unwrap();
        data
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    fs.open(2, 6, FOPEN_DIRECT_IO);
    fs.expect_read(6, 0, 4096).reply(b"six");
    fs.expect_read(5, 0, 4096).reply(b"five");
    fs.flush_and_release(2, 5);
    fs.flush_and_release(2, 6);
    assert_eq!(c.wait(), (b"six".to_vec(), b"five".to_vec()));
}

/// FLUSH comes at every close(2) of a descriptor, of duplicates as well.
fn flush_at_each_close() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let a = m.open("f").unwrap();
        let b = dup(a).unwrap();
        close(a).unwrap();
        m.pause();
        close(b)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush(2, 5);
    c.paused();
    fs.quiet();
    c.go();
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(()));
    fs.release(2, 5);
}

/// RELEASE comes once, when the last descriptor in any process is closed.
fn release_at_the_last_close() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let heir = Caller::start("", |h| {
            h.pause();
            close(f)
        });
        heir.paused();
        close(f).unwrap();
        m.pause();
        heir.go();
        heir.wait()
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush(2, 5);
    c.paused();
    fs.quiet();
    c.go();
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(()));
    fs.release(2, 5);
}

/// close(2) returns before RELEASE is answered.
fn release_is_not_waited_for() {
    let fs = Fs::new();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush(2, 5);
    assert_eq!(c.wait(), Ok(()));
    fs.release(2, 5);
}

/// An error of RELEASE or RELEASEDIR is nobody's error.
fn release_error_is_ignored() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.open("f").and_then(close), m.opendir("").and_then(close)));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush(2, 5);
    fs.expect(RELEASE).err(EIO);
    fs.opendir(ROOT, 6);
    fs.expect(RELEASEDIR).err(ENOSYS);
    assert_eq!(c.wait(), (Ok(()), Ok(())));
}

/// close(2) returns the error of FLUSH, and the descriptor is closed all the same.
fn flush_error_is_the_error_of_close() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        (close(f), close(f))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.expect(FLUSH).err(ODD);
    assert_eq!(c.wait(), (Err(ODD), Err(EBADF)));
    fs.release(2, 5);
}

/// After ENOSYS, which is no error, FLUSH is never sent again; RELEASE is.
fn flush_enosys_is_remembered() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.open("f").and_then(close), m.open("f").and_then(close)));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.expect(FLUSH).err(ENOSYS);
    fs.release(2, 5);
    fs.open(2, 6, 0);
    fs.release(2, 6);
    assert_eq!(c.wait(), (Ok(()), Ok(())));
}

/// A file opened with FOPEN_NOFLUSH is not flushed.
fn noflush() {
    let fs = Fs::new();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FOPEN_NOFLUSH);
    fs.release(2, 5);
    assert_eq!(c.wait(), Ok(()));
}

/// An error of OPEN is the caller's error, and there is nothing to release.
fn open_error_is_passed_on() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.open("f"), m.open("f")));
    fs.lookup(ROOT, "f", file(2));
    fs.expect(OPEN).err(EACCES);
    fs.expect(OPEN).err(ODD);
    assert_eq!(c.wait(), (Err(EACCES), Err(ODD)));
}

/// After ENOSYS, OPEN and RELEASE are never sent again: files are open with handle 0 and keep their cache.
fn open_enosys_is_remembered() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let once = || {
            let f = m.open("f")?;
            let data = read(f, 4096);
            close(f)?;
            data
        };
        (once(), once())
    });
    fs.lookup(ROOT, "f", file(2).size(3));
    fs.expect(OPEN).err(ENOSYS);
    fs.expect_read(0, 0, 4096).reply(b"abc");
    fs.flush(2, 0);
    fs.flush(2, 0);
    assert_eq!(c.wait(), (Ok(b"abc".to_vec()), Ok(b"abc".to_vec())));
}

/// An error of OPENDIR is the caller's error, and there is nothing to release.
fn opendir_error_is_passed_on() {
    let fs = Fs::new();
    let c = fs.call(|m| (m.opendir(""), m.opendir("")));
    fs.expect(OPENDIR).err(EACCES);
    fs.expect(OPENDIR).err(ODD);
    assert_eq!(c.wait(), (Err(EACCES), Err(ODD)));
}

/// After ENOSYS, OPENDIR and RELEASEDIR are never sent again: directories are open with handle 0.
fn opendir_enosys_is_remembered() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let entries = getdents(d, 4096);
        close(d).unwrap();
        m.opendir("").and_then(close).unwrap();
        entries.map(|e| e.len())
    });
    fs.expect(OPENDIR).err(ENOSYS);
    fs.expect_readdir(0, 0)
        .reply(&Dirents::new().add(9, 1, libc::DT_REG, "x").0);
    assert_eq!(c.wait(), Ok(1));
}

/// O_PATH opens nothing in the server.
fn path_handle_opens_nothing() {
    let fs = Fs::new();
    let c = fs.call(|m| sys::open(&m.path("f"), libc::O_PATH).and_then(close));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(()));
}

/// A file opened with FOPEN_NONSEEKABLE has a position that only reading moves.
fn nonseekable() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let r = (
            lseek(f, 0, libc::SEEK_SET),
            pread(f, 1, 0),
            (read(f, 4).unwrap(), read(f, 4).unwrap()),
        );
        close(f).unwrap();
        r
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_NONSEEKABLE | FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 4).reply(b"abcd");
    fs.expect_read(5, 4, 4).reply(b"efgh");
    fs.flush(2, 5);
    let expected = (
        Err(ESPIPE),
        Err(ESPIPE),
        (b"abcd".to_vec(), b"efgh".to_vec()),
    );
    assert_eq!(c.wait(), expected);
    fs.release(2, 5);
}

/// A file opened with FOPEN_STREAM has no position at all: each read is at offset 0.
fn stream() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let r = (
            lseek(f, 0, libc::SEEK_SET),
            pread(f, 1, 0),
            (read(f, 4).unwrap(), read(f, 4).unwrap()),
        );
        close(f).unwrap();
        r
    });
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_STREAM | FOPEN_DIRECT_IO);
    fs.expect_read(5, 0, 4).reply(b"abcd");
    fs.expect_read(5, 0, 4).reply(b"efgh");
    fs.flush(2, 5);
    let expected = (
        Err(ESPIPE),
        Err(ESPIPE),
        (b"abcd".to_vec(), b"efgh".to_vec()),
    );
    assert_eq!(c.wait(), expected);
    fs.release(2, 5);
}

/// A process that shares the open file "f" with a child: the child reads, and when told to go it writes.
fn reader_and_writer(fs: &Fs) -> Caller<(Result<usize>, i32)> {
    fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        // SAFETY: this process has one thread, so the child may do anything.
        let reader = unsafe { libc::fork() };
        if reader == 0 {
            let read = read(f, 4) == Ok(b"read".to_vec());
            // SAFETY: ends the process.
            unsafe { libc::_exit(i32::from(!read)) };
        }
        m.pause();
        let written = write(f, b"written");
        let mut status = 0;
        // SAFETY: room for one status.
        unsafe { libc::waitpid(reader, &mut status, 0) };
        close(f).unwrap();
        (written, status)
    })
}

/// WRITE of 7 bytes comes at `offset`, and is answered.
#[track_caller]
fn serve_seven(fs: &Fs, offset: u64) {
    let w = fs.expect(WRITE);
    let a = WriteIn::from_bytes(&w.body);
    assert_eq!((a.fh, a.offset, a.size), (5, offset, 7));
    w.ok(WriteOut {
        size: 7,
        padding: 0,
    });
}

/// What has no position has nothing to take turns for: a stream is written while somebody waits to read from it.
fn stream_is_read_and_written_at_once() {
    let fs = Fs::new();
    let c = reader_and_writer(&fs);
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_STREAM | FOPEN_DIRECT_IO);
    let r = fs.expect_read(5, 0, 4);
    c.paused();
    c.go();
    serve_seven(&fs, 0);
    r.reply(b"read");
    fs.expect(FLUSH).node(2).reply(&[]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Ok(7), 0));
}

/// A position that two processes share is moved by one after the other, even if it cannot be set.
fn nonseekable_reader_and_writer_take_turns() {
    let fs = Fs::new();
    let c = reader_and_writer(&fs);
    fs.lookup(ROOT, "f", file(2).size(100));
    fs.open(2, 5, FOPEN_NONSEEKABLE | FOPEN_DIRECT_IO);
    let r = fs.expect_read(5, 0, 4);
    c.paused();
    c.go();
    c.stays_asleep();
    fs.quiet();
    r.reply(b"read");
    let mut r = fs.dev().next();
    let mut flushed = 0;
    // The reader may end before the writer begins.
    if r.head.opcode == FLUSH {
        flushed += 1;
        r.reply(&[]);
        r = fs.expect(WRITE);
    }
    assert_eq!(r.head.opcode, WRITE, "{r:?} came");
    assert_eq!(WriteIn::from_bytes(&r.body).offset, 4);
    r.ok(WriteOut {
        size: 7,
        padding: 0,
    });
    for _ in flushed..2 {
        fs.flush(2, 5);
    }
    fs.release(2, 5);
    assert_eq!(c.wait(), (Ok(7), 0));
}

/// O_DIRECTORY on a file and writing to a directory fail before the server is asked.
fn directory_is_not_a_file() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            m.opendir("f"),
            sys::open(&m.path("d"), libc::O_RDWR),
            sys::open(&m.path(""), libc::O_WRONLY),
        )
    });
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "d", dir(3));
    assert_eq!(c.wait(), (Err(ENOTDIR), Err(EISDIR), Err(EISDIR)));
}

/// A process that ends closes its files: FLUSH and RELEASE come.
fn exit_closes() {
    let fs = Fs::new();
    let mut c = fs.call(|m| m.open("f").map(drop));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    assert_eq!(c.wait(), Ok(()));
    fs.flush_and_release(2, 5);
    assert_eq!(c.death(), Death::Exit(0));
}

/// A pipe that lives on the mount is the kernel's own: the server is not asked to open it.
fn special_file_is_not_opened_here() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let p = sys::open(&m.path("p"), libc::O_RDWR).unwrap();
        write(p, b"through").unwrap();
        read(p, 100)
    });
    fs.lookup(ROOT, "p", file(2).with(|a| a.mode = libc::S_IFIFO | 0o600));
    assert_eq!(c.wait(), Ok(b"through".to_vec()));
}
