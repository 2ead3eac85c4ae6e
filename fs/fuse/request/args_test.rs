// SPDX-License-Identifier: GPL-2.0

//! A message as pieces: each part in order, and every byte once.

use super::Request;
use crate::{
    fuse::op::data::{
        Data,
        Exchange, //
    },
    vfs::mm::{
        piece::Piece,
        segment::FolioSegments, //
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Notes the lengths of pieces, as far as room is left.
fn note<'a>(lengths: &mut KVec<usize>, pieces: impl Iterator<Item = Piece<'a>>) {
    for piece in pieces {
        let _ = lengths.push_within_capacity(piece.len());
    }
}

/// The lengths of the pieces of a request with `args` bytes behind its header and `data` bytes in
/// each direction: those of the message, and those of the room for its reply.
fn lengths(args: usize, data: usize) -> Result<(KVec<usize>, KVec<usize>)> {
    let bytes = KVVec::from_elem(0, args, GFP_KERNEL)?;
    let exchange = Exchange {
        sent: FolioSegments::alloc(data)?,
        filled: FolioSegments::alloc(data)?,
    };
    let pending = Request::reserve()?.make(Request::sample_parts(), |args| {
        args.push_bytes(&bytes)?;
        Ok::<_, Error>(Some(Data::Exchanged(exchange)))
    })?;
    let request = pending.request();
    let mut sent = KVec::with_capacity(64, GFP_KERNEL)?;
    let mut room = KVec::with_capacity(64, GFP_KERNEL)?;
    let mut locked = request.body.lock();
    let body = locked.value().ok_or(EINVAL)?;
    note(&mut sent, body.message_pieces());
    note(&mut room, body.data_pieces(true));
    drop(locked);
    assert_eq!(sent.iter().sum::<usize>(), request.len());
    Ok((sent, room))
}

#[kernel::macros::kunit_tests(ferrofuse_args)]
mod tests {
    use super::*;

    /// A short input is in one piece with the header.
    #[test]
    fn inline() -> Result {
        let (sent, room) = lengths(10, 0)?;
        assert_eq!((&*sent, &*room), (&[50][..], &[][..]));
        Ok(())
    }

    /// A long input has its own memory.
    #[test]
    fn long() -> Result {
        assert_eq!(*lengths(3000, 0)?.0, [40, 3000]);
        Ok(())
    }

    /// Data follows the input, in its own pages.
    #[test]
    fn data() -> Result {
        let (sent, room) = lengths(10, 2 * PAGE_SIZE + 1)?;
        assert_eq!(*sent, [50, PAGE_SIZE, PAGE_SIZE, 1]);
        assert_eq!(*room, [PAGE_SIZE, PAGE_SIZE, 1]);
        assert_eq!(*lengths(1000, 1)?.0, [40, 1000, 1]);
        Ok(())
    }
}
