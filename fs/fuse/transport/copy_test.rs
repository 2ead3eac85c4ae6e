// SPDX-License-Identifier: GPL-2.0

//! Only the absent part of a server's buffer is faulted in, however many loans a copy takes.

use super::copy::{
    copy_reply,
    copy_request, //
};
use crate::fuse::{
    abi::header::InHeader,
    op::{
        data::{
            Data,
            Exchange, //
        },
        Opcode,
        OutSpace,
        OutSpec, //
    },
    request::{
        make::Parts,
        state::Pending,
        Request, //
    },
};
use crate::vfs::mm::{
    iov::{
        Dest,
        Room,
        SharedBytes,
        Source, //
    },
    segment::FolioSegments,
};
use kernel::prelude::*;

/// Bytes of data: several loans, the last one partial.
const DATA: usize = 100_000;

/// A server's buffer that is partly present; each fault makes more of it present.
struct Buffer {
    /// Bytes still to be copied.
    left: usize,
    /// How many of these are present.
    present: usize,
    /// Bytes that one fault makes present.
    step: usize,
    faults: usize,
}

impl Buffer {
    fn new(left: usize, present: usize, step: usize) -> Self {
        Self {
            left,
            present,
            step,
            faults: 0,
        }
    }

    fn copy(&mut self, asked: usize) -> usize {
        let len = asked.min(self.present).min(self.left);
        self.present -= len;
        self.left -= len;
        len
    }

    fn fault(&mut self) -> Result {
        // Present bytes must not be faulted in.
        if self.present != 0 {
            return Err(EDEADLK);
        }
        self.faults += 1;
        self.present = self.step;
        Ok(())
    }
}

impl Dest for Buffer {
    fn len(&self) -> usize {
        self.left
    }

    fn copy_nofault(&mut self, bytes: SharedBytes<'_>) -> usize {
        self.copy(bytes.len())
    }

    fn fault_in(&mut self, _len: usize) -> Result {
        self.fault()
    }
}

impl Source for Buffer {
    fn len(&self) -> usize {
        self.left
    }

    fn copy_nofault(&mut self, room: Room<'_>) -> usize {
        self.copy(room.len())
    }

    fn fault_in(&mut self, _len: usize) -> Result {
        self.fault()
    }
}

/// A request that carries `input` bytes, and whose reply has two bytes and then up to `output`
/// more.
fn request(input: usize, output: usize) -> Result<Pending> {
    let spec = OutSpec {
        fixed: 2,
        var: output,
        data: true,
    };
    let parts = Parts {
        header: InHeader::default(),
        connection: 0,
        expects_reply: true,
        opcode: Opcode::Ioctl,
        shares_pages: false,
        output: OutSpace::new(spec)?,
    };
    let data = Exchange {
        sent: FolioSegments::alloc(input)?,
        filled: FolioSegments::alloc(output)?,
    };
    Request::reserve()?.make(parts, |args| {
        args.push_bytes(&[0; 300])?;
        Ok(Some(Data::Exchanged(data)))
    })
}

/// How often `buffer` was faulted in while a whole message was copied to it.
fn faults_out(present: usize, step: usize) -> Result<usize> {
    let pending = request(DATA, 1)?;
    let request = pending.request();
    let mut buffer = Buffer::new(request.len(), present, step);
    copy_request(request, &mut buffer)?;
    assert_eq!(buffer.left, 0);
    Ok(buffer.faults)
}

/// The same for a reply with `len` bytes behind its header.
fn faults_in(len: usize, present: usize, step: usize) -> Result<usize> {
    let pending = request(1, DATA)?;
    let request = pending.request();
    let mut buffer = Buffer::new(len, present, step);
    copy_reply(&mut &*request, &mut buffer)?;
    assert_eq!(buffer.left, 0);
    Ok(buffer.faults)
}

#[kernel::macros::kunit_tests(ferrofuse_copy)]
mod tests {
    use super::*;

    /// A present buffer is never faulted in.
    #[test]
    fn present() -> Result {
        assert_eq!(faults_out(usize::MAX, 0)?, 0);
        for len in [2, 3, 2 + 32 * 1024, 2 + DATA] {
            assert_eq!(faults_in(len, usize::MAX, 0)?, 0);
        }
        Ok(())
    }

    /// An absent buffer is faulted in once for each short loan.
    #[test]
    fn absent() -> Result {
        let message = size_of::<InHeader>() + 300 + DATA;
        assert_eq!(faults_out(0, usize::MAX)?, 1);
        assert_eq!(faults_out(message - 1, 1)?, 1);
        assert_eq!(faults_out(39, 1000)?, (message - 39).div_ceil(1000));
        let reply = 2 + DATA;
        assert_eq!(faults_in(reply, 0, usize::MAX)?, 1);
        assert_eq!(faults_in(reply, reply - 1, 1)?, 1);
        assert_eq!(faults_in(reply, 1, 1000)?, (reply - 1).div_ceil(1000));
        Ok(())
    }

    /// A buffer that cannot be faulted in is an error, and so is a reply that is too long.
    #[test]
    fn never() -> Result {
        assert_eq!(faults_in(3 + DATA, usize::MAX, 0), Err(EINVAL));
        assert_eq!(faults_in(1, usize::MAX, 0), Err(EINVAL));
        Ok(())
    }
}
