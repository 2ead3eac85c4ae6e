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
];

fn pipe() -> (i32, i32) {
    let mut ends = [0; 2];
    // SAFETY: room for two numbers.
    assert_eq!(
        unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) },
        0
    );
    // SAFETY: changes the size of a pipe of ours.
    assert!(unsafe { libc::fcntl(ends[1], libc::F_SETPIPE_SZ, 1 << 20) } > 0);
    (ends[0], ends[1])
}

fn splice(from: i32, to: i32, len: usize) -> Result<usize> {
    let none = std::ptr::null_mut();
    // SAFETY: no offsets are passed.
    match unsafe { libc::splice(from, none, to, none, len, libc::SPLICE_F_MOVE) } {
        -1 => Err(sys::errno()),
        n => Ok(n as usize),
    }
}

fn header(len: usize, error: i32, unique: u64) -> Vec<u8> {
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
