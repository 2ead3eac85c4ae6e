// SPDX-License-Identifier: GPL-2.0

//! The server's thread of one queue of FUSE over io_uring: each call of the kernel answers a request and waits for the
//! next.

use crate::server::MEBIBYTE;
use crate::sys;
use crate::wire;
use crate::wire::Wire;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Release;

const SETUP_SQE128: u32 = 1 << 10;
const OFF_SQES: u64 = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1;
const URING_CMD: u8 = 46;
const REGISTER: u64 = 1;
const COMMIT_AND_FETCH: u64 = 2;

/// Bytes of the area for headers, and where the operation's structure and what is the entry's lie in it.
const HEADERS: usize = 288;
const OP: usize = 128;
const ENT: usize = 256;

/// Bytes of a submission, and where the command is in it.
const SQE: usize = 128;
const COMMAND: usize = 48;

/// `struct io_uring_params`, as words, and where it has the offsets of these words of the rings.
const PARAMS: usize = 30;
const FLAGS: usize = 2;
const SQ_TAIL: usize = 11;
const SQ_ARRAY: usize = 16;
const CQ_HEAD: usize = 20;
const CQ_TAIL: usize = 21;
const CQ_CQES: usize = 25;

/// Memory that begins a page.
#[repr(align(4096))]
struct Pages<const N: usize>([u8; N]);

/// A ring with one entry.
pub struct Ring {
    fd: i32,
    params: [u32; PARAMS],
    rings: *mut u8,
    sqe: *mut u8,
    headers: Box<Pages<4096>>,
    /// Whatever is written there: READ sends what was there before.
    payload: Box<Pages<MEBIBYTE>>,
    vectors: Box<[usize; 4]>,
    device: i32,
    queue: u16,
}

impl Ring {
    pub fn new(device: i32, queue: u16) -> Self {
        let mut params = [0u32; PARAMS];
        params[FLAGS] = SETUP_SQE128;
        // SAFETY: room for the parameters.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
        assert!(
            fd >= 0,
            "io_uring_setup: {}",
            std::io::Error::last_os_error()
        );
        let fd = fd as i32;
        let rings = sys::Mapping::new(fd, 0, sys::PAGE, true);
        let sqes = sys::Mapping::new(fd, OFF_SQES, SQE, true);
        let headers = Box::new(Pages([0; 4096]));
        let payload = Box::new(Pages([b'x'; MEBIBYTE]));
        let vectors = Box::new([
            headers.0.as_ptr().addr(),
            HEADERS,
            payload.0.as_ptr().addr(),
            MEBIBYTE,
        ]);
        let ring = Ring {
            fd,
            params,
            rings: rings.start(),
            sqe: sqes.start(),
            headers,
            payload,
            vectors,
            device,
            queue,
        };
        // They stay as long as the process.
        std::mem::forget((rings, sqes));
        ring
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the kernel says where its words are in the rings, which stay mapped.
        unsafe { &*self.rings.add(self.params[at] as usize).cast::<AtomicU32>() }
    }

    /// Submits a command, and waits for the next request: whether there is one, or the connection is gone.
    fn call(&mut self, number: u64, commit_id: u64) -> bool {
        let mut sqe = [0u8; SQE];
        sqe[0] = URING_CMD;
        sqe[4..8].copy_from_slice(&self.device.to_ne_bytes());
        sqe[8..16].copy_from_slice(&number.to_ne_bytes());
        if number == REGISTER {
            sqe[16..24].copy_from_slice(&self.vectors.as_ptr().addr().to_ne_bytes());
            sqe[24..28].copy_from_slice(&2u32.to_ne_bytes());
        }
        let command = wire::RingCmdReq {
            commit_id,
            qid: self.queue,
            ..Default::default()
        };
        let command = command.bytes();
        sqe[COMMAND..COMMAND + command.len()].copy_from_slice(&command);
        // SAFETY: the one submission that there is room for, which the kernel has read.
        unsafe { std::ptr::copy_nonoverlapping(sqe.as_ptr(), self.sqe, SQE) };
        // SAFETY: the array of the ring, which has one index.
        unsafe {
            self.rings
                .add(self.params[SQ_ARRAY] as usize)
                .cast::<u32>()
                .write(0)
        };
        let tail = self.word(SQ_TAIL);
        tail.store(tail.load(Acquire).wrapping_add(1), Release);
        let mut submit = 1;
        let (head, end) = (self.word(CQ_HEAD), self.word(CQ_TAIL));
        while head.load(Acquire) == end.load(Acquire) {
            let none = std::ptr::null::<libc::sigset_t>();
            // SAFETY: what the command names lives as long as the ring.
            let done = unsafe {
                libc::syscall(
                    libc::SYS_io_uring_enter,
                    self.fd,
                    submit,
                    1,
                    ENTER_GETEVENTS,
                    none,
                    0,
                )
            };
            if done > 0 {
                submit = 0;
            }
        }
        let at = head.load(Acquire) as usize % self.params[1] as usize;
        let cqe = self.params[CQ_CQES] as usize + 16 * at;
        // SAFETY: a completion of the ring: eight bytes of the submitter's, then the result.
        let result = unsafe { self.rings.add(cqe + 8).cast::<i32>().read() };
        head.store(head.load(Acquire).wrapping_add(1), Release);
        assert!(
            matches!(-result, 0 | libc::ENOTCONN | libc::ECONNABORTED),
            "a command of the ring fails: {result}"
        );
        result == 0
    }

    /// Serves until the connection is gone. `answer` gives what a write of `/dev/fuse` would be.
    pub fn serve(mut self, mut answer: impl FnMut(&wire::InHeader, &[u8], &mut dyn FnMut(&[u8]))) {
        let mut is_there = self.call(REGISTER, 0);
        while is_there {
            let header = wire::InHeader::from_bytes(&self.headers.0[..wire::IN_HEADER]);
            let mut ent = wire::RingEntInOut::from_bytes(
                &self.headers.0[ENT..ENT + size_of::<wire::RingEntInOut>()],
            );
            let Ring {
                headers, payload, ..
            } = &mut self;
            // Names are in the payload, structures beside the header.
            let mut body = [0; OP];
            let len = match header.opcode {
                wire::LOOKUP => OP.min(ent.payload_sz as usize),
                _ => OP,
            };
            body[..len].copy_from_slice(match header.opcode {
                wire::LOOKUP => &payload.0[..len],
                _ => &headers.0[OP..ENT],
            });
            answer(&header, &body[..len], &mut |message| {
                let (head, body) = message.split_at(wire::OUT_HEADER);
                headers.0[..wire::OUT_HEADER].copy_from_slice(head);
                headers.0[8..16].copy_from_slice(&header.unique.to_ne_bytes());
                ent.payload_sz = body.len() as u32;
                // The data of READ is there.
                if header.opcode != wire::READ {
                    payload.0[..body.len()].copy_from_slice(body);
                }
            });
            let bytes = ent.bytes();
            self.headers.0[ENT..ENT + bytes.len()].copy_from_slice(&bytes);
            is_there = self.call(COMMIT_AND_FETCH, ent.commit_id);
        }
        // It goes with the process, which waits.
        std::mem::forget(self);
    }
}
