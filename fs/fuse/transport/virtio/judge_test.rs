// SPDX-License-Identifier: GPL-2.0

//! What a device gets of a request, and what is taken for an answer.

use super::judge::judge;
use crate::fuse::{
    abi::{
        header::{
            InHeader,
            OutHeader, //
        },
        Unique, //
    },
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
        outcome::Outcome,
        state::{
            Given,
            Pending, //
        },
        Request, //
    },
};
use crate::vfs::{
    io::virtqueue::{
        lengths,
        Message, //
    },
    mm::segment::FolioSegments,
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// A request with `args` and then `input` bytes, whose reply has two bytes and then up to `output`.
fn request(opcode: Opcode, args: usize, input: usize, output: usize) -> Result<Pending> {
    let parts = Parts {
        header: InHeader::default(),
        connection: 0,
        expects_reply: true,
        opcode,
        shares_pages: false,
        output: OutSpace::new(OutSpec {
            fixed: 2,
            var: output,
            data: true,
        })?,
    };
    let data = Exchange {
        sent: FolioSegments::alloc(input)?,
        filled: FolioSegments::alloc(output)?,
    };
    let args = KVVec::from_elem(0, args, GFP_KERNEL)?;
    let pending = Request::reserve()?.make(parts, |input| {
        input.push_bytes(&args)?;
        Ok::<_, Error>(Some(Data::Exchanged(data)))
    })?;
    pending.request().assign_unique(Unique::new(8));
    Ok(pending)
}

/// How an answer ends a request of up to 100 bytes of data.
fn ends(opcode: Opcode, written: u32, header: OutHeader) -> Result<Outcome> {
    let pending = request(opcode, 10, 1, 100)?;
    Ok(judge(pending.request(), &header, written).0)
}

fn header(len: u32, error: i32) -> OutHeader {
    OutHeader {
        len,
        error,
        unique: Unique::new(8),
    }
}

#[kernel::macros::kunit_tests(ferrofuse_virtio)]
mod tests {
    use super::*;

    /// Each part of both messages, in order, and no more of the room than the reply may have.
    #[test]
    fn parts() -> Result {
        let pending = request(Opcode::Ioctl, 10, 2 * PAGE_SIZE + 1, PAGE_SIZE + 1)?;
        let mut memory = pending.give().map_err(|_| EINVAL)?.into_memory();
        let page = PAGE_SIZE as u32;
        assert!(lengths(&mut memory, 7)?.is_none());
        let (lengths, read) = lengths(&mut memory, 8)?.ok_or(EINVAL)?;
        assert_eq!(*lengths, [50, page, page, 1, 16, 2, page, 1]);
        assert_eq!(read, 4);
        assert!(Given::from_memory(memory).withdraw().is_some());
        Ok(())
    }

    /// An error has nothing behind it, and success what the operation can have.
    #[test]
    fn answers() -> Result {
        for len in [18, 19, 118] {
            let outcome = ends(Opcode::Ioctl, len, header(len, 0))?;
            assert!(matches!(outcome, Outcome::Answered { len: all, .. } if all == len));
            assert_eq!(outcome.errno(), 0);
        }
        let outcome = ends(Opcode::Ioctl, 16, header(16, ENOENT.to_errno()))?;
        assert_eq!(outcome.errno(), ENOENT.to_errno());
        Ok(())
    }

    /// Everything else is none.
    #[test]
    fn no_answers() -> Result {
        let other = OutHeader {
            unique: Unique::new(10),
            ..header(18, 0)
        };
        for (written, header) in [
            // Less than a header, nothing, and what it has not written.
            (15, header(15, 0)),
            (0, OutHeader::default()),
            (16, header(18, 0)),
            (18, header(16, 0)),
            (u32::MAX, header(u32::MAX, 0)),
            (18, other),
            // Errors that are none, and one with more behind it.
            (16, header(16, 1)),
            (16, header(16, -512)),
            (16, header(16, i32::MIN)),
            (18, header(18, ENOENT.to_errno())),
            // Too short, and too long.
            (16, header(16, 0)),
            (17, header(17, 0)),
            (119, header(119, 0)),
        ] {
            assert!(ends(Opcode::Ioctl, written, header)? == Outcome::Io);
        }
        Ok(())
    }

    /// Servers answer DESTROY with nothing.
    #[test]
    fn destroy() -> Result {
        assert!(ends(Opcode::Destroy, 0, OutHeader::default())? == Outcome::Delivered);
        Ok(())
    }
}
