// SPDX-License-Identifier: GPL-2.0

//! Buffers of pipes that are not one page of their own, on their way into the device and into
//! files: parts of the folios of a socket, memory of a process, and buffers that two pipes have.

use super::splice::drain;
use super::splice::header;
use super::splice::next_into_pipe;
use super::splice::parse_write;
use super::splice::pattern;
use super::splice::pipe;
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

const FILLS: [(&str, Fill); 3] = [
    ("socket", from_socket),
    ("memory", from_memory),
    ("tee", from_tee),
];

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
    for (kind, fill) in FILLS {
        for size in SIZES {
            eprintln!("# {kind} {size}");
            let data = pattern(size);
            let fs = Fs::new();
            let c = fs.call(|m| pread(m.open("f").unwrap(), size, 0).unwrap());
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
    for (_, fill) in FILLS {
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
    for (kind, fill) in FILLS {
        for (i, size) in SIZES.into_iter().enumerate() {
            eprintln!("# {kind} {size}");
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
