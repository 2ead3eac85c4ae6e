// SPDX-License-Identifier: GPL-2.0

//! Messages through a pipe: splice(2) out of the device and into it.

use crate::mockd::*;

crate::tests![
    request_into_a_pipe,
    room_that_is_too_small,
    reply_out_of_a_pipe,
    reply_with_data,
    more_than_the_pipe_has,
    bad_reply_out_of_a_pipe,
    before_a_mount,
    written_pages_into_a_pipe,
    written_part_of_a_page_into_a_pipe,
    pipe_outlives_the_mount,
    direct_write_into_a_pipe,
    retrieved_pages_into_a_pipe,
    pipe_without_room,
    read_ahead_from_whole_pages,
    read_ahead_from_other_pieces,
    read_ahead_from_shared_pages,
    read_ahead_from_given_memory,
    read_ahead_from_pages_of_a_file,
    moved_pages_are_not_the_pipe_s,
    two_readers_of_a_moved_page,
    bad_reply_of_moved_pages,
    abort_while_pages_move,
];

pub(super) fn pipe() -> (i32, i32) {
    pipe_of(1 << 20)
}

pub(super) fn pipe_of(bytes: i32) -> (i32, i32) {
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    assert_eq!(
        unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
        0
    );
    // SAFETY: changes the size of a pipe of ours.
    assert!(unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, bytes) } > 0);
    (ends[0], ends[1])
}

pub(super) fn header(len: usize, error: i32, unique: u64) -> Vec<u8> {
    [
        &(16 + len as u32).to_ne_bytes()[..],
        &error.to_ne_bytes(),
        &unique.to_ne_bytes(),
    ]
    .concat()
}

/// Reads the next request through a pipe.
fn next(fs: &Fs) -> (InHeader, Vec<u8>) {
    let (out, into) = pipe();
    while !fs.dev().readable() {
        std::thread::yield_now();
    }
    let n = splice(fs.dev().fd(), into, 1 << 20).unwrap();
    let message = sys::read(out, 1 << 20).unwrap();
    assert_eq!(message.len(), n);
    let head = InHeader::from_bytes(&message);
    assert_eq!(head.len as usize, n);
    (head, message[40..].to_vec())
}

/// Writes a message through a pipe, in pieces.
fn send(fs: &Fs, pieces: &[&[u8]]) -> Result<usize> {
    let (out, into) = pipe();
    let len = pieces
        .iter()
        .map(|piece| sys::write(into, piece).unwrap())
        .sum();
    splice(out, fs.dev().fd(), len)
}

/// A request that is spliced into a pipe is the one that a read would have given.
fn request_into_a_pipe() {
    let fs = Fs::new();
    let name = "n".repeat(255);
    let wanted = name.clone();
    let c = fs.call(move |m| m.stat(&wanted).map(drop));
    let (head, body) = next(&fs);
    assert_eq!(head.opcode, LOOKUP);
    assert_eq!(body, [name.as_bytes(), &[0]].concat());
    fs.dev().reply(head.unique, -2, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// The room asked for must hold any request, as with read(2): EINVAL.
fn room_that_is_too_small() {
    let fs = Fs::new();
    let (_out, into) = pipe();
    assert_eq!(splice(fs.dev().fd(), into, 4096), Err(EINVAL));
}

/// A reply may come out of a pipe, from any number of its buffers.
fn reply_out_of_a_pipe() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "f");
    let entry = file(2).entry().bytes();
    let head = header(entry.len(), 0, r.unique());
    let len = 16 + entry.len();
    assert_eq!(
        send(&fs, &[&head[..7], &head[7..], &entry[..50], &entry[50..]]),
        Ok(len)
    );
    drop(r);
    assert_eq!(c.wait(), Ok(2));
}

/// The data of a READ may come out of a pipe.
fn reply_with_data() {
    let fs = Fs::new();
    let data: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        pread(f, 10_000, 0).unwrap()
    });
    fs.lookup(ROOT, "f", file(2).size(10_000));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    let r = fs.expect(READ);
    let head = header(data.len(), 0, r.unique());
    assert_eq!(
        send(
            &fs,
            &[&head, &data[..4096], &data[4096..4099], &data[4099..]]
        ),
        Ok(10_016)
    );
    drop(r);
    fs.flush_and_release(2, 5);
    assert!(c.wait() == data);
}

/// A message that says to be longer than what the pipe has is refused, and takes nothing: EINVAL.
fn more_than_the_pipe_has() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    let (out, into) = pipe();
    sys::write(into, &header(0, -2, r.unique())).unwrap();
    assert_eq!(splice(out, fs.dev().fd(), 17), Err(EINVAL));
    assert_eq!(splice(out, fs.dev().fd(), 16), Ok(16));
    drop(r);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A malformed reply is as bad out of a pipe as from memory: EINVAL to the server, EIO to the caller.
fn bad_reply_out_of_a_pipe() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    assert_eq!(send(&fs, &[&header(3, 0, r.unique()), b"abc"]), Err(EINVAL));
    drop(r);
    assert_eq!(c.wait(), Err(EIO));
}

/// Without a mount there is nobody to talk to: EPERM.
fn before_a_mount() {
    let dev = Device::open();
    let (out, into) = pipe();
    sys::write(into, &[0; 16]).unwrap();
    assert_eq!(splice(out, dev.fd(), 16), Err(EPERM));
    assert_eq!(splice(dev.fd(), into, 1 << 17), Err(EPERM));
}

pub(super) const PAGE: usize = 4096;

pub(super) fn pattern(len: usize) -> Vec<u8> {
    pattern_from(0, len)
}

/// What such a file has from `start` on.
pub(super) fn pattern_from(start: usize, len: usize) -> Vec<u8> {
    (start..start + len)
        .map(|i| (i / 7 + i / PAGE + 1) as u8)
        .collect()
}

/// Reads everything that is in a pipe.
pub(super) fn drain(out: i32, len: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < len {
        let piece = sys::read(out, len - all.len()).unwrap();
        assert!(
            !piece.is_empty(),
            "the pipe has {} bytes of {len}",
            all.len()
        );
        all.extend(piece);
    }
    all
}

/// Splices the next request into a new pipe; returns its header, its length and the pipe. Before the first WRITE the VFS
/// may look for capabilities of the file.
pub(super) fn next_into_pipe(fs: &Fs) -> (InHeader, usize, i32) {
    loop {
        let (out, into) = pipe();
        while !fs.dev().readable() {
            std::thread::yield_now();
        }
        let n = splice(fs.dev().fd(), into, 1 << 20).unwrap();
        // A look at it, which leaves it in the pipe.
        let (copy, copy_into) = pipe();
        // SAFETY: no memory involved.
        let teed = unsafe { libc::tee(out, copy_into, IN_HEADER, 0) };
        assert_eq!(teed, IN_HEADER as isize);
        let head = InHeader::from_bytes(&drain(copy, IN_HEADER));
        for fd in [into, copy, copy_into] {
            sys::close(fd).unwrap();
        }
        if head.opcode != GETXATTR {
            return (head, n, out);
        }
        fs.dev().reply(head.unique, -libc::ENOSYS, &[]).unwrap();
        sys::close(out).unwrap();
    }
}

/// The structure and the data of a WRITE.
pub(super) fn parse_write(message: &[u8]) -> (WriteIn, Vec<u8>) {
    let head = InHeader::from_bytes(message);
    assert_eq!((head.opcode, head.nodeid), (WRITE, 2));
    assert_eq!(head.len as usize, message.len());
    let arg = WriteIn::from_bytes(&message[IN_HEADER..]);
    let data = message[IN_HEADER + size_of::<WriteIn>()..].to_vec();
    assert_eq!(arg.size as usize, data.len());
    (arg, data)
}

pub(super) fn written(fs: &Fs, unique: u64, size: usize) {
    let out = WriteOut {
        size: size as u32,
        padding: 0,
    };
    fs.dev().reply(unique, 0, &out.bytes()).unwrap();
}

/// Writes `data` at `offset` of "f", which has `size` bytes and is open with these flags; returns the mount and the caller, which pauses then.
fn writing(data: &[u8], offset: i64, size: u64, fopen: u32) -> (Fs, Caller<Result<usize>>) {
    writing_at_most(256 << 10, data, offset, size, fopen)
}

/// The same with a limit of the data of one WRITE.
fn writing_at_most(
    max_write: usize,
    data: &[u8],
    offset: i64,
    size: u64,
    fopen: u32,
) -> (Fs, Caller<Result<usize>>) {
    let fs = Setup::new()
        .flags(init::BIG_WRITES | init::MAX_PAGES)
        .init(|i| {
            i.max_pages = 64;
            i.max_write = max_write as u32;
        })
        .start();
    let c = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        lseek(f, offset, libc::SEEK_SET).unwrap();
        let mut buf = data.to_vec();
        let n = write(f, &buf);
        buf.fill(b'!');
        std::hint::black_box(&buf);
        m.pause();
        n
    });
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, fopen);
    (fs, c)
}

fn end_of_writing(fs: &Fs, c: &Caller<Result<usize>>) {
    c.go();
    fs.flush_and_release(2, 5);
}

/// The data of a WRITE into a pipe is what was written, also of many pages.
fn written_pages_into_a_pipe() {
    for len in [PAGE, 3 * PAGE, 60 * PAGE] {
        let data = pattern(len);
        let (fs, c) = writing(&data, 0, 0, 0);
        let (head, n, out) = next_into_pipe(&fs);
        let (arg, got) = parse_write(&drain(out, n));
        assert_eq!(arg.offset, 0);
        assert!(got == data);
        written(&fs, head.unique, len);
        c.paused();
        end_of_writing(&fs, &c);
        assert_eq!(c.wait(), Ok(len));
    }
}

/// So is a part of a page.
fn written_part_of_a_page_into_a_pipe() {
    for (offset, len) in [(0, 10), (100, 10), (PAGE - 3, 3), (PAGE + 1, 4000)] {
        let data = pattern(len);
        let (fs, c) = writing(&data, offset as i64, 0, 0);
        let (head, n, out) = next_into_pipe(&fs);
        let (arg, got) = parse_write(&drain(out, n));
        assert_eq!(arg.offset, offset as u64);
        assert!(got == data);
        written(&fs, head.unique, len);
        c.paused();
        end_of_writing(&fs, &c);
        assert_eq!(c.wait(), Ok(len));
    }
}

/// A pipe has its message whatever becomes of the request, the file and the mount.
fn pipe_outlives_the_mount() {
    let data = pattern(5 * PAGE);
    let (mut fs, c) = writing(&data, 0, 0, 0);
    let (_, n, out) = next_into_pipe(&fs);
    fs.force_unmount();
    c.paused();
    c.go();
    c.wait().unwrap_err();
    drop(c);
    drop(fs);
    let (_, got) = parse_write(&drain(out, n));
    assert!(got == data);
}

/// A write past the page cache is copied into the pipe: the memory is the caller's again after it (CVE-2022-1011).
fn direct_write_into_a_pipe() {
    let data = pattern(3 * PAGE);
    let (fs, c) = writing(&data, 0, 0, FOPEN_DIRECT_IO);
    let (head, n, out) = next_into_pipe(&fs);
    written(&fs, head.unique, data.len());
    c.paused();
    let (_, got) = parse_write(&drain(out, n));
    assert!(got == data);
    end_of_writing(&fs, &c);
    assert_eq!(c.wait(), Ok(data.len()));
}

/// The answer to a RETRIEVE may go into a pipe.
fn retrieved_pages_into_a_pipe() {
    use crate::mockd::notice::RETRIEVE;
    use crate::mockd::notice::STORE;
    let fs = Fs::new();
    let data = pattern(4 * PAGE);
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        m.pause();
        f
    });
    fs.lookup(ROOT, "f", file(2).size(data.len() as u64));
    fs.open(2, 5, 0);
    c.paused();
    let store = NotifyStoreOut {
        nodeid: 2,
        offset: 0,
        size: data.len() as u32,
        padding: 0,
    };
    let body = [&store.bytes()[..], &data].concat();
    fs.dev().reply(0, STORE, &body).unwrap();
    let retrieve = NotifyRetrieveOut {
        notify_unique: 42,
        nodeid: 2,
        offset: 100,
        size: u32::MAX,
        padding: 0,
    };
    fs.dev().reply(0, RETRIEVE, &retrieve.bytes()).unwrap();
    let (head, n, out) = next_into_pipe(&fs);
    let message = drain(out, n);
    assert_eq!((head.opcode, head.unique), (NOTIFY_REPLY, 42));
    assert!(message[IN_HEADER + size_of::<NotifyRetrieveIn>()..] == data[100..]);
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
}

/// A request that needs more buffers than the pipe has left is lost: EIO to the server and to the caller.
fn pipe_without_room() {
    // With its headers the data is two pages long, but it needs two buffers without them.
    let data = pattern(2 * PAGE - 80);
    let (fs, c) = writing_at_most(data.len(), &data, 0, 0, 0);
    let (out, into) = pipe_of(2 * PAGE as i32);
    loop {
        while !fs.dev().readable() {
            std::thread::yield_now();
        }
        match splice(fs.dev().fd(), into, 1 << 20) {
            // What the VFS may ask before has room.
            Ok(n) => {
                let head = InHeader::from_bytes(&drain(out, n));
                assert_eq!(head.opcode, GETXATTR);
                fs.dev().reply(head.unique, -libc::ENOSYS, &[]).unwrap();
            }
            Err(e) => {
                assert_eq!(e, EIO);
                break;
            }
        }
    }
    c.paused();
    end_of_writing(&fs, &c);
    assert_eq!(c.wait(), Err(EIO));
}

/// What a caller read at first, and later.
type TwoReads = (Vec<u8>, Vec<u8>);

/// A mount that reads ahead, and a caller that reads all of "f", which has `size` bytes, pauses, and reads it again.
fn reading_ahead(size: usize) -> (Fs, Caller<TwoReads>) {
    let fs = Setup::new()
        .flags(init::ASYNC_READ)
        .init(|i| i.max_readahead = 128 << 10)
        .start();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let first = pread(f, size, 0).unwrap();
        m.pause();
        let second = mmap_read(f, size).unwrap();
        close(f).unwrap();
        (first, second)
    });
    fs.lookup(ROOT, "f", file(2).size(size as u64));
    fs.open(2, 5, 0);
    (fs, c)
}

/// Answers every READ with `answer`, which gets the id and the bytes, until the caller pauses; then checks what it read.
#[track_caller]
pub(super) fn serve(size: usize, answer: impl Fn(&Fs, u64, &[u8])) {
    let data = pattern(size);
    let (fs, c) = reading_ahead(size);
    let mut reads = 0;
    loop {
        let back = !c.running();
        let Some(r) = fs.dev().next_within(if back { 0 } else { 1 }) else {
            if back {
                break;
            }
            continue;
        };
        assert_eq!(r.head.opcode, READ, "READ expected, {r:?} came");
        let a: ReadIn = r.arg();
        let start = (a.offset as usize).min(size);
        let end = (start + a.size as usize).min(size);
        answer(&fs, r.unique(), &data[start..end]);
        reads += 1;
    }
    assert!(reads != 0);
    c.paused();
    c.go();
    // What was read is cached: nothing is read again.
    fs.flush_and_release(2, 5);
    let (first, second) = c.wait();
    assert!(first == data, "the data is right");
    assert!(second == data, "and stays so");
}

/// Splices a whole message, of which the header is in the pipe already.
#[track_caller]
fn send_all(fs: &Fs, out: i32, data: usize) {
    assert_eq!(splice(out, fs.dev().fd(), 16 + data), Ok(16 + data));
}

/// Pages that a server gives away are what is read, with the end of the file in a page of its own or not.
fn read_ahead_from_whole_pages() {
    for size in [PAGE, 2 * PAGE, 40 * PAGE, 5 * PAGE + 10, 10] {
        serve(size, |fs, unique, data| {
            let (out, into) = pipe();
            sys::write(into, &header(data.len(), 0, unique)).unwrap();
            for page in data.chunks(PAGE) {
                sys::write(into, page).unwrap();
            }
            send_all(fs, out, data.len());
            sys::close(out).unwrap();
            sys::close(into).unwrap();
        });
    }
}

/// Pieces that are no whole pages are copied, and whole ones between them are found.
fn read_ahead_from_other_pieces() {
    for cut in [1, 100, PAGE - 1, PAGE + 1, 3 * PAGE + 5] {
        serve(12 * PAGE + 7, |fs, unique, data| {
            let (out, into) = pipe();
            sys::write(into, &header(data.len(), 0, unique)).unwrap();
            for piece in data.chunks(cut) {
                sys::write(into, piece).unwrap();
            }
            send_all(fs, out, data.len());
            sys::close(out).unwrap();
            sys::close(into).unwrap();
        });
    }
    // Pages and pieces in turn, and the header together with data.
    serve(12 * PAGE, |fs, unique, data| {
        let (out, into) = pipe();
        let head = header(data.len(), 0, unique);
        sys::write(into, &[&head[..], &data[..PAGE - 16]].concat()).unwrap();
        sys::write(into, &data[PAGE - 16..PAGE]).unwrap();
        for (i, page) in data[PAGE..].chunks(PAGE).enumerate() {
            let (a, b) = page.split_at(if i % 2 == 0 {
                page.len()
            } else {
                page.len() / 2
            });
            sys::write(into, a).unwrap();
            if !b.is_empty() {
                sys::write(into, b).unwrap();
            }
        }
        send_all(fs, out, data.len());
        sys::close(out).unwrap();
        sys::close(into).unwrap();
    });
}

/// Pages that another pipe has as well are copied: each has its own data afterwards.
fn read_ahead_from_shared_pages() {
    serve(8 * PAGE, |fs, unique, data| {
        let (out, into) = pipe();
        let (copy, copy_into) = pipe();
        sys::write(into, &header(data.len(), 0, unique)).unwrap();
        for page in data.chunks(PAGE) {
            sys::write(into, page).unwrap();
        }
        // SAFETY: no memory involved.
        let teed = unsafe { libc::tee(out, copy_into, 16 + data.len(), 0) };
        assert_eq!(teed, 16 + data.len() as isize);
        send_all(fs, out, data.len());
        assert!(drain(copy, teed as usize)[16..] == *data);
        for fd in [out, into, copy, copy_into] {
            sys::close(fd).unwrap();
        }
    });
}

/// Memory that was given to a pipe may end up in the page cache; while it is mapped it does not.
fn read_ahead_from_given_memory() {
    for keep in [false, true] {
        serve(8 * PAGE, |fs, unique, data| {
            let (out, into) = pipe();
            sys::write(into, &header(data.len(), 0, unique)).unwrap();
            let len = data.len().next_multiple_of(PAGE);
            // SAFETY: a new mapping where the kernel likes.
            let p = unsafe {
                libc::mmap(
                    std::ptr::null_mut(),
                    len,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                )
            };
            assert!(p != libc::MAP_FAILED);
            // SAFETY: just mapped with this length.
            let memory = unsafe { std::slice::from_raw_parts_mut(p.cast::<u8>(), len) };
            memory[..data.len()].copy_from_slice(data);
            let part = libc::iovec {
                iov_base: p,
                iov_len: data.len(),
            };
            // SAFETY: one valid part.
            let n = unsafe { libc::vmsplice(into, &part, 1, libc::SPLICE_F_GIFT) };
            assert_eq!(n, data.len() as isize);
            if !keep {
                // SAFETY: nothing refers to the mapping any more.
                assert_eq!(unsafe { libc::munmap(p, len) }, 0);
            }
            send_all(fs, out, data.len());
            if keep {
                memory.fill(b'!');
                // SAFETY: as above.
                assert_eq!(unsafe { libc::munmap(p, len) }, 0);
            }
            sys::close(out).unwrap();
            sys::close(into).unwrap();
        });
    }
}

/// Pages of another file may be given away; that file keeps its data.
fn read_ahead_from_pages_of_a_file() {
    let path = format!("{PLACE}/source");
    serve(8 * PAGE + 10, |fs, unique, data| {
        let f = open(&path, libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC).unwrap();
        sys::write(f, data).unwrap();
        lseek(f, 0, libc::SEEK_SET).unwrap();
        let (out, into) = pipe();
        sys::write(into, &header(data.len(), 0, unique)).unwrap();
        let mut left = data.len();
        while left != 0 {
            left -= splice(f, into, left).unwrap();
        }
        send_all(fs, out, data.len());
        assert!(pread(f, data.len(), 0).unwrap() == data);
        for fd in [f, out, into] {
            sys::close(fd).unwrap();
        }
    });
}

/// What goes through the pipe later does not touch the pages that were moved out of it.
fn moved_pages_are_not_the_pipe_s() {
    serve(8 * PAGE, |fs, unique, data| {
        let (out, into) = pipe();
        sys::write(into, &header(data.len(), 0, unique)).unwrap();
        for page in data.chunks(PAGE) {
            sys::write(into, page).unwrap();
        }
        send_all(fs, out, data.len());
        for _ in 0..2 {
            let other = vec![b'!'; 12 * PAGE];
            sys::write(into, &other).unwrap();
            assert!(drain(out, other.len()) == other);
        }
        sys::close(out).unwrap();
        sys::close(into).unwrap();
    });
}

/// Everybody who waits for a page gets the one that came in its place.
fn two_readers_of_a_moved_page() {
    let size = 8 * PAGE;
    let data = pattern(size);
    let (fs, c) = reading_ahead(size);
    let first = fs.expect(READ);
    // They find the page there, and wait for it.
    let others: Vec<Caller<Vec<u8>>> = (0..2)
        .map(|i| {
            let wanted = data.len();
            fs.call(move |m| {
                let f = m.open("f").unwrap();
                if i == 0 {
                    pread(f, wanted, 0).unwrap()
                } else {
                    mmap_read(f, wanted).unwrap()
                }
            })
        })
        .collect();
    for fh in [6, 7] {
        fs.open(2, fh, FOPEN_KEEP_CACHE);
    }
    others.iter().for_each(Caller::until_asleep);
    let mut r = Some(first);
    while let Some(read) = r.take() {
        let a: ReadIn = read.arg();
        let start = (a.offset as usize).min(size);
        let end = (start + a.size as usize).min(size);
        let (out, into) = pipe();
        sys::write(into, &header(end - start, 0, read.unique())).unwrap();
        for page in data[start..end].chunks(PAGE) {
            sys::write(into, page).unwrap();
        }
        send_all(&fs, out, end - start);
        sys::close(out).unwrap();
        sys::close(into).unwrap();
        if end != size {
            r = Some(fs.expect(READ));
        }
    }
    let mut open = 2;
    while open != 0 {
        let r = fs.dev().next();
        match r.head.opcode {
            FLUSH => (),
            RELEASE => open -= 1,
            _ => panic!("FLUSH or RELEASE expected, {r:?} came"),
        }
        r.reply(&[]);
    }
    for other in others {
        assert!(other.wait() == data);
    }
    c.paused();
    c.go();
    fs.flush_and_release(2, 5);
    let (one, two) = c.wait();
    assert!(one == data && two == data);
}

/// A reply that is longer than what was asked for is refused before any page moves: EINVAL to the server, EIO to the reader.
fn bad_reply_of_moved_pages() {
    let size = 4 * PAGE;
    let fs = Setup::new()
        .flags(init::ASYNC_READ)
        .init(|i| i.max_readahead = 128 << 10)
        .start();
    let c = fs.call(|m| pread(m.open("f").unwrap(), size, 0));
    fs.lookup(ROOT, "f", file(2).size(size as u64));
    fs.open(2, 5, 0);
    let flush = loop {
        let r = fs.dev().next();
        if r.head.opcode != READ {
            break r;
        }
        let asked = r.arg::<ReadIn>().size as usize;
        let pages = pattern(asked + PAGE);
        let (out, into) = pipe();
        sys::write(into, &header(pages.len(), 0, r.unique())).unwrap();
        for page in pages.chunks(PAGE) {
            sys::write(into, page).unwrap();
        }
        assert_eq!(splice(out, fs.dev().fd(), 16 + pages.len()), Err(EINVAL));
        sys::close(out).unwrap();
        sys::close(into).unwrap();
    };
    assert_eq!(flush.head.opcode, FLUSH);
    flush.reply(&[]);
    fs.release(2, 5);
    assert_eq!(c.wait(), Err(EIO));
}

/// An abort while pages move ends the read at once, with what is right or not at all (CVE-2026-53388).
fn abort_while_pages_move() {
    for round in 0..10 {
        let size = 32 * PAGE;
        let data = pattern(size);
        let mut fs = Setup::new()
            .flags(init::ASYNC_READ)
            .init(|i| i.max_readahead = 128 << 10)
            .start();
        let c = fs.call(|m| pread(m.open("f").unwrap(), size, 0));
        fs.lookup(ROOT, "f", file(2).size(size as u64));
        fs.open(2, 5, 0);
        let r = fs.expect(READ);
        let len = r.arg::<ReadIn>().size as usize;
        let (out, into) = pipe();
        sys::write(into, &header(len, 0, r.unique())).unwrap();
        for page in data[..len].chunks(PAGE) {
            sys::write(into, page).unwrap();
        }
        let fd = fs.dev().fd();
        let server = Caller::start_with_devices(&fs.dir, move |m| {
            m.pause();
            splice(out, fd, 16 + len).map(drop)
        });
        server.paused();
        server.go();
        for _ in 0..round * 20 {
            std::thread::yield_now();
        }
        fs.force_unmount();
        match server.wait() {
            Ok(()) | Err(ENOENT | ENODEV | EPERM) => (),
            Err(e) => panic!("{e:?} from the reply"),
        }
        if let Ok(read) = c.wait() {
            assert!(read[..] == data[..read.len()]);
        }
        sys::close(out).unwrap();
        sys::close(into).unwrap();
    }
}
