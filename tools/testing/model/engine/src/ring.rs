// SPDX-License-Identifier: GPL-2.0

//! A server that takes requests over a ring.

use crate::{
    fuse::{
        abi::{
            header::{
                InHeader,
                OutHeader, //
            },
            uring::{
                RingCmd,
                RingCmdReq,
                RingEntInOut,
                RingReqHeader, //
            },
            Unique, //
        },
        channel::Limits,
        transport::dev::Device, //
    },
    vfs::io::miscdev::Device as _,
    world::{
        Server,
        World,
        ANSWER,
        MESSAGE,
        MINOR, //
    },
};
use core::mem::offset_of;
use kernel::{
    error::code::name,
    rt,
    uring::{
        Ring,
        Submission, //
    },
};
use std::sync::Arc;
use zerocopy::{
    FromBytes as _,
    FromZeros as _,
    IntoBytes as _, //
};

/// Bytes that an entry has room for behind its headers.
const PAYLOAD: usize = 64;
/// Entries that a server has.
const ENTRIES: usize = 2;
/// What ADD_QUEUE is known by.
const NO_ENTRY: usize = ENTRIES;

impl World {
    /// INIT is answered, and a ring agreed on.
    pub(crate) fn agree_on_ring(&self) {
        let limits = Limits {
            minor: MINOR,
            max_write: 4096,
        };
        self.channel.set_initialized_with_ring(limits, PAYLOAD);
    }
}

/// Memory of an entry, which the engine writes and reads by its address.
struct Memory(*mut [u8; size_of::<RingReqHeader>() + PAYLOAD]);

// SAFETY: It is memory of its own; who accesses it when is what the commands say.
unsafe impl Send for Memory {}
// SAFETY: As above.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Self {
        let memory = Box::into_raw(Box::new([0; size_of::<RingReqHeader>() + PAYLOAD]));
        memory.expose_provenance();
        Self(memory)
    }

    fn address(&self) -> usize {
        self.0.addr()
    }

    fn read<const N: usize>(&self, at: usize) -> [u8; N] {
        // SAFETY: The command that has it is the server's just now.
        let bytes = unsafe { &*self.0 };
        bytes[at..at + N].try_into().unwrap()
    }

    fn write(&self, at: usize, from: &[u8]) {
        // SAFETY: As above.
        let bytes = unsafe { &mut *self.0 };
        bytes[at..at + from.len()].copy_from_slice(from);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: It came from a box.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// A server with a ring.
pub(crate) struct RingServer {
    server: Server,
    ring: Arc<Ring>,
    memory: Arc<[Memory; ENTRIES]>,
}

impl RingServer {
    /// One with the open file of `server`.
    pub(crate) fn new(server: &Server) -> Self {
        Self {
            server: server.share(),
            ring: Ring::new(),
            memory: Arc::new(core::array::from_fn(|_| Memory::new())),
        }
    }

    fn submit(&self, command: RingCmd, entry: usize, commit_id: u64) {
        rt::step(|| format!("submits {command:?} as command {entry}"));
        let mut req = RingCmdReq::default();
        req.commit_id = commit_id;
        let mut bytes = [0; 80];
        bytes[..size_of::<RingCmdReq>()].copy_from_slice(req.as_bytes());
        let base = self.memory.get(entry).map_or(0, Memory::address);
        let headers = size_of::<RingReqHeader>();
        let submission = Submission {
            number: command as u32,
            bytes,
            vectors: [(base, headers), (base + headers, PAYLOAD)],
            user_data: entry,
        };
        self.ring.submit(submission, |cmd, flags| {
            let device = self.server.device.as_arc_borrow();
            Device::table().uring_cmd(device, &self.server.file, cmd, flags)
        });
    }

    /// Registers an entry; a request, or an error, comes by [`Self::next`].
    pub(crate) fn register(&self, entry: usize) {
        self.submit(RingCmd::Register, entry, 0);
    }

    /// Makes the queue; 0 or a negative errno. For a server that has nothing else in its ring.
    pub(crate) fn add_queue(&self) -> i32 {
        self.submit(RingCmd::AddQueue, NO_ENTRY, 0);
        let completion = self.ring.wait();
        assert_eq!(completion.user_data, NO_ENTRY);
        completion.code
    }

    /// The next request: its entry and its id; or the errno with which a command has ended.
    pub(crate) fn next(&self) -> Result<(usize, u64), i32> {
        let completion = self.ring.wait();
        if completion.code != 0 {
            return Err(completion.code);
        }
        let entry = completion.user_data;
        let memory = &self.memory[entry];
        let header = memory.read::<{ size_of::<InHeader>() }>(0);
        let header = InHeader::read_from_bytes(&header).unwrap();
        let ent = memory
            .read::<{ size_of::<RingEntInOut>() }>(offset_of!(RingReqHeader, ring_ent_in_out));
        let ent = RingEntInOut::read_from_bytes(&ent).unwrap();
        assert!(
            header.unique.get() == ent.commit_id,
            "the headers of an entry are of two requests"
        );
        let message: [u8; 8] = memory.read(size_of::<RingReqHeader>());
        assert!(message == *MESSAGE, "a message is not what was sent");
        Ok((entry, ent.commit_id))
    }

    /// Answers a request, and fetches the next.
    pub(crate) fn commit(&self, (entry, unique): (usize, u64), error: i32) {
        let memory = &self.memory[entry];
        let payload = if error == 0 { ANSWER } else { &[] };
        let header = OutHeader {
            len: (size_of::<OutHeader>() + payload.len()) as u32,
            error,
            unique: Unique::new(unique),
        };
        memory.write(0, header.as_bytes());
        let ent = RingEntInOut {
            payload_sz: payload.len() as u32,
            ..RingEntInOut::new_zeroed()
        };
        memory.write(offset_of!(RingReqHeader, ring_ent_in_out), ent.as_bytes());
        memory.write(size_of::<RingReqHeader>(), payload);
        self.submit(RingCmd::CommitAndFetch, entry, unique);
    }

    /// Answers what comes until a command ends otherwise: its errno.
    pub(crate) fn serve(&self) -> i32 {
        loop {
            match self.next() {
                Ok(request) => self.commit(request, 0),
                Err(error) => {
                    rt::step(|| format!("its command ends: {}", name(error)));
                    return error;
                }
            }
        }
    }

    /// Its task goes.
    pub(crate) fn close(self) {
        self.ring.close(|cmd, flags| {
            let device = self.server.device.as_arc_borrow();
            Device::table().uring_cmd(device, &self.server.file, cmd, flags);
        });
    }
}
