// SPDX-License-Identifier: GPL-2.0

//! Buffers of pipes that are not one page of their own, on their way into the device and into
//! files: parts of the folios of a socket, memory of a process, and buffers that two pipes have.
//! And what a request looks like in a pipe: its data begins a buffer, and is in whole pages.

use super::splice::drain;
use super::splice::header;
use super::splice::next_into_pipe;
use super::splice::parse_write;
use super::splice::pattern;
use super::splice::pipe;
use super::splice::pipe_of;
use super::splice::serve;
use super::splice::written;
use super::splice::PAGE;
use crate::mockd::*;
use std::os::fd::RawFd;

crate::tests![
    direct_read_from_buffers_of_any_shape,
    read_ahead_from_buffers_of_any_shape,
    entry_and_names_from_a_socket,
    bad_reply_from_a_socket,
    direct_write_of_buffers_of_any_shape,
    cached_write_of_buffers_of_any_shape,
    direct_data_is_in_whole_pages,
    cached_data_is_in_whole_pages,
    ioctl_data_is_in_whole_pages,
    retrieved_data_is_in_its_pages,
    data_of_odd_memory_begins_a_page,
];

const SIZES: [usize; 5] = [1, 4095, 4097, 20_000, 128 << 10];

/// A pipe that is full of what its maker says.
struct Filled {
    out: RawFd,
    into: RawFd,
    /// What has to stay until all is read.
    memory: Option<Map>,
    /// Another pipe that has the same buffers.
    other: Option<(RawFd, usize)>,
}

impl Filled {
    /// All bytes have been read: so can they be out of the other pipe.
    fn done(self, bytes: &[u8]) {
        if let Some((other, len)) = self.other {
            assert!(drain(other, len) == bytes, "the other pipe has its bytes");
            sys::close(other).unwrap();
        }
        sys::close(self.out).unwrap();
        sys::close(self.into).unwrap();
        if let Some(memory) = self.memory {
            memory.unmap();
        }
    }
}

/// Sends through a stream socket, whose buffers are parts of folios of several pages.
fn from_socket(bytes: &[u8]) -> Filled {
    let (out, into) = pipe();
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    let made = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, ends.as_mut_ptr()) };
    assert_eq!(made, 0);
    let room: i32 = 1 << 20;
    // SAFETY: a valid number of that size.
    let set = unsafe {
        libc::setsockopt(
            ends[0],
            libc::SOL_SOCKET,
            libc::SO_SNDBUFFORCE,
            std::ptr::from_ref(&room).cast(),
            size_of::<i32>() as u32,
        )
    };
    assert_eq!(set, 0);
    assert_eq!(sys::write(ends[0], bytes), Ok(bytes.len()));
    let mut left = bytes.len();
    while left != 0 {
        left -= splice(ends[1], into, left).unwrap();
    }
    ends.map(|end| sys::close(end).unwrap());
    Filled {
        out,
        into,
        memory: None,
        other: None,
    }
}

/// Lends memory of this process, which begins somewhere in a page, and is in large pages if there are some.
fn from_memory(bytes: &[u8]) -> Filled {
    const LARGE: usize = 2 << 20;
    let (out, into) = pipe();
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let memory = Map::new(-1, 2 * LARGE, prot, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).unwrap();
    let start = memory.address().next_multiple_of(LARGE) - memory.address() + PAGE + 100;
    // SAFETY: the mapping, whose contents do not matter. It is only a wish.
    unsafe { libc::madvise(memory.address() as *mut _, 2 * LARGE, libc::MADV_HUGEPAGE) };
    memory.store(start, bytes);
    let (mut at, mut left) = memory.part(start, bytes.len());
    while left != 0 {
        let part = libc::iovec {
            iov_base: at as *mut _,
            iov_len: left,
        };
        // SAFETY: one valid part.
        let n = unsafe { libc::vmsplice(into, &part, 1, 0) };
        assert!(n > 0);
        (at, left) = (at + n as usize, left - n as usize);
    }
    Filled {
        out,
        into,
        memory: Some(memory),
        other: None,
    }
}

/// The buffers of a socket in two pipes.
fn from_tee(bytes: &[u8]) -> Filled {
    let first = from_socket(bytes);
    let (out, into) = pipe();
    // SAFETY: no memory involved.
    let teed = unsafe { libc::tee(first.out, into, bytes.len(), 0) };
    assert_eq!(teed, bytes.len() as isize);
    sys::close(first.into).unwrap();
    Filled {
        out,
        into,
        memory: None,
        other: Some((first.out, bytes.len())),
    }
}

type Fill = fn(&[u8]) -> Filled;

const FILLS: [Fill; 3] = [from_socket, from_memory, from_tee];

/// Answers with a message whose buffers `fill` makes.
#[track_caller]
fn answer(fs: &Fs, unique: u64, data: &[u8], fill: Fill) {
    let message = [&header(data.len(), 0, unique)[..], data].concat();
    let from = fill(&message);
    assert_eq!(
        splice(from.out, fs.dev().fd(), message.len()),
        Ok(message.len())
    );
    from.done(&message);
}

/// The data of a READ past the page cache is what came, however it lay in the pipe.
fn direct_read_from_buffers_of_any_shape() {
    for fill in FILLS {
        for size in SIZES {
            let data = pattern(size);
            let fs = Fs::new();
            let c = with_open(&fs, libc::O_RDONLY, |_, f| pread(f, size, 0).unwrap());
            fs.lookup(ROOT, "f", file(2).size(size as u64));
            fs.open(2, 5, FOPEN_DIRECT_IO);
            let mut done = 0;
            while done < size {
                let r = fs.expect(READ);
                let a: ReadIn = r.arg();
                assert_eq!(a.offset, done as u64);
                let part = &data[done..done + a.size as usize];
                answer(&fs, r.unique(), part, fill);
                done += part.len();
            }
            fs.flush_and_release(2, 5);
            assert!(c.wait() == data);
        }
    }
}

/// So is that of a readahead, into whose pages none of these can be moved.
fn read_ahead_from_buffers_of_any_shape() {
    for fill in FILLS {
        for size in SIZES {
            serve(size, |fs, unique, data| answer(fs, unique, data, fill));
        }
    }
}

/// And so are replies that are no pages at all.
fn entry_and_names_from_a_socket() {
    let fs = Fs::new();
    let c = fs.call(|m| m.readlink("l"));
    let r = fs.expect_lookup(ROOT, "l");
    answer(
        &fs,
        r.unique(),
        &symlink_node(2).entry().bytes(),
        from_socket,
    );
    drop(r);
    let target = "t".repeat(4095);
    let r = fs.expect(READLINK);
    answer(&fs, r.unique(), target.as_bytes(), from_socket);
    drop(r);
    assert_eq!(c.wait(), Ok(target.into_bytes()));
}

/// A reply that is too long is refused, wherever it lies: EINVAL to the server, EIO to the caller.
fn bad_reply_from_a_socket() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    let message = [&header(20_000, 0, r.unique())[..], &pattern(20_000)].concat();
    let from = from_socket(&message);
    assert_eq!(splice(from.out, fs.dev().fd(), message.len()), Err(EINVAL));
    from.done(&message);
    drop(r);
    assert_eq!(c.wait(), Err(EIO));
}

/// Writes to "f" what is in pipes of each kind and size; the server reads, and splices in turn.
#[track_caller]
fn write_all(fopen: u32) {
    for fill in FILLS {
        for (i, size) in SIZES.into_iter().enumerate() {
            let fs = Setup::new()
                .flags(init::BIG_WRITES | init::MAX_PAGES)
                .init(|i| {
                    i.max_pages = 64;
                    i.max_write = 256 << 10;
                })
                .start();
            let data = pattern(size);
            let c = fs.call(|m| {
                let f = sys::open(&m.path("f"), libc::O_WRONLY).unwrap();
                let from = fill(&data);
                let mut left = size;
                while left != 0 {
                    left -= splice(from.out, f, left).unwrap();
                }
                from.done(&data);
                m.pause();
            });
            fs.lookup(ROOT, "f", file(2));
            fs.open(2, 5, fopen);
            let mut got: Vec<u8> = Vec::new();
            while got.len() < size {
                let (unique, message) = if i % 2 == 0 {
                    let (head, n, out) = next_into_pipe(&fs);
                    let message = drain(out, n);
                    sys::close(out).unwrap();
                    (head.unique, message)
                } else {
                    while !fs.dev().readable() {
                        std::thread::yield_now();
                    }
                    let message = fs.dev().read(1 << 20).unwrap();
                    let head = InHeader::from_bytes(&message);
                    if head.opcode == GETXATTR {
                        fs.dev().reply(head.unique, -libc::ENOSYS, &[]).unwrap();
                        continue;
                    }
                    (head.unique, message)
                };
                let (arg, part) = parse_write(&message);
                assert_eq!(arg.offset, got.len() as u64);
                got.extend(&part);
                written(&fs, unique, part.len());
            }
            assert!(got == data);
            c.paused();
            c.go();
            fs.flush_and_release(2, 5);
            c.wait();
        }
    }
}

/// A write past the page cache carries what was in the pipe, however it lay there.
fn direct_write_of_buffers_of_any_shape() {
    write_all(FOPEN_DIRECT_IO);
}

/// So does one through the page cache.
fn cached_write_of_buffers_of_any_shape() {
    write_all(0);
}

/// Takes a pipe apart; returns how long each buffer is, and all bytes.
fn take_apart(out: RawFd, len: usize) -> (Vec<usize>, Vec<u8>) {
    // It has room for one buffer.
    let (one_out, one_into) = pipe_of(PAGE as i32);
    let (mut lengths, mut bytes) = (Vec::new(), Vec::new());
    while bytes.len() < len {
        let n = splice(out, one_into, len - bytes.len()).unwrap();
        lengths.push(n);
        bytes.extend(drain(one_out, n));
    }
    for fd in [one_out, one_into] {
        sys::close(fd).unwrap();
    }
    (lengths, bytes)
}

/// Length of header and structure of a WRITE.
const WRITE_HEAD: usize = IN_HEADER + size_of::<WriteIn>();

/// Writes `len` bytes that begin at `skip` in a page of memory; returns the buffers of the request.
fn buffers_of_write(fopen: u32, skip: usize, len: usize) -> Vec<usize> {
    let fs = Setup::new()
        .flags(init::BIG_WRITES | init::MAX_PAGES)
        .init(|i| {
            i.max_pages = 64;
            i.max_write = 256 << 10;
        })
        .start();
    let data = pattern(len);
    let c = with_open(&fs, libc::O_WRONLY, |_, f| {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let memory = Map::new(-1, skip + len, prot, flags).unwrap();
        memory.store(skip, &data);
        memory.write_to(f, skip, len)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, fopen);
    let (head, n, out) = next_into_pipe(&fs);
    let (lengths, message) = take_apart(out, n);
    let (arg, got) = parse_write(&message);
    assert_eq!(arg.offset, 0);
    assert!(got == data);
    written(&fs, head.unique, len);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(len));
    sys::close(out).unwrap();
    lengths
}

/// What follows `head` bytes is in whole pages, but for the last.
fn in_pages(head: usize, len: usize) -> Vec<usize> {
    let mut lengths = vec![head];
    lengths.extend(vec![PAGE; len / PAGE]);
    if len % PAGE != 0 {
        lengths.push(len % PAGE);
    }
    lengths
}

/// The pages of a direct write are pages in the pipe: the server can pass them on to a file that it
/// has open with O_DIRECT.
fn direct_data_is_in_whole_pages() {
    for len in [1, PAGE, 3 * PAGE, 40 * PAGE, 2 * PAGE + 100] {
        let lengths = buffers_of_write(FOPEN_DIRECT_IO, 0, len);
        assert_eq!(lengths, in_pages(WRITE_HEAD, len));
    }
}

/// So are those of a write through the page cache.
fn cached_data_is_in_whole_pages() {
    for len in [1, PAGE, 3 * PAGE, 40 * PAGE, 2 * PAGE + 100] {
        let lengths = buffers_of_write(0, 0, len);
        assert_eq!(lengths, in_pages(WRITE_HEAD, len));
    }
}

/// Data that lies anywhere in the memory of the caller begins a page nevertheless.
fn data_of_odd_memory_begins_a_page() {
    for (skip, len) in [(512, PAGE), (100, 3 * PAGE), (PAGE - 1, 2)] {
        let lengths = buffers_of_write(FOPEN_DIRECT_IO, skip, len);
        assert_eq!(lengths[0], WRITE_HEAD);
        assert_eq!(lengths[1..].iter().sum::<usize>(), len);
        if is_rust() {
            // C cuts the pages of the pipe where those of the caller are cut.
            assert_eq!(lengths, in_pages(WRITE_HEAD, len));
        }
    }
}

/// What an ioctl carries is in pages, too.
fn ioctl_data_is_in_whole_pages() {
    // `_IOW('E', 1, 10000 bytes)`
    const LEN: usize = 10_000;
    const CMD: u32 = (1 << 30) | ((LEN as u32) << 16) | ((b'E' as u32) << 8) | 1;
    let fs = Fs::new();
    let c = with_open(&fs, libc::O_RDONLY, |_, f| {
        ioctl_on(f, CMD, &mut pattern(LEN))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    let (head, n, out) = next_into_pipe(&fs);
    let (lengths, message) = take_apart(out, n);
    let before = IN_HEADER + size_of::<IoctlIn>();
    assert_eq!(lengths, in_pages(before, LEN));
    assert!(message[before..] == pattern(LEN));
    fs.dev()
        .reply(head.unique, 0, &IoctlOut::default().bytes())
        .unwrap();
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(0));
    sys::close(out).unwrap();
}

/// What a RETRIEVE takes from the page cache lies in the pipe as it lies there.
fn retrieved_data_is_in_its_pages() {
    use crate::mockd::notice::RETRIEVE;
    use crate::mockd::notice::STORE;
    const SKIP: usize = 100;
    let fs = Fs::new();
    let data = pattern(4 * PAGE);
    let c = with_open(&fs, libc::O_RDONLY, |m, _| m.pause());
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
        offset: SKIP as u64,
        size: u32::MAX,
        padding: 0,
    };
    fs.dev().reply(0, RETRIEVE, &retrieve.bytes()).unwrap();
    let (head, n, out) = next_into_pipe(&fs);
    assert_eq!((head.opcode, head.unique), (NOTIFY_REPLY, 42));
    let (lengths, message) = take_apart(out, n);
    let before = IN_HEADER + size_of::<NotifyRetrieveIn>();
    assert_eq!(lengths, [before, PAGE - SKIP, PAGE, PAGE, PAGE]);
    assert!(message[before..] == data[SKIP..]);
    c.go();
    fs.flush_and_release(2, 5);
    c.wait();
    sys::close(out).unwrap();
}
