// SPDX-License-Identifier: GPL-2.0

//! The memory of a request, and how it is lent to a copier.
//!
//! [`Body`] is protected by the request's spinlock. A loan is one hold of that lock: the copier's
//! closure runs under it and can neither fault nor sleep. A loan is refused once the request has
//! ended, so no byte is copied out of or into a request whose caller has gone. Between two loans
//! the copier may fault its buffer in, and an abort may end the request.
//!
//! A device that accesses memory on its own gets the whole body, see
//! [`Given`](super::state::Given).

use crate::fuse::{
    abi::{
        header::{
            InHeader,
            OutHeader, //
        },
        Unique, //
    },
    op::{
        data::Data,
        InArgs,
        OutArgs,
        OutSpace, //
    },
};
use crate::vfs::mm::{
    folio::FreePage,
    iov::{
        Room,
        Rooms,
        SharedBytes, //
    },
    piece::{
        in_turn,
        merged,
        Piece, //
    },
    segment::{
        FolioSegments,
        UsedPage, //
    },
};
#[cfg(CONFIG_VIRTIO)]
use crate::vfs::{
    io::virtqueue::{
        Parts,
        Scatter, //
    },
    mm::piece::PieceMut, //
};
use core::ops::Range;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// Bytes after which a loan ends, to bound the time the lock is held. A loan of outgoing data ends
/// at a page boundary: a page split in a pipe needs two buffers, and no device accepts that.
const LOAN_MAX: usize = 32 * 1024;

/// The progress of a copier in one message; kept between its loans.
#[derive(Default)]
pub(crate) struct Progress {
    /// Bytes done, from the start of the message's payload.
    done: usize,
}

impl Progress {
    /// Bytes done.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Nothing was done, and `copied` bytes of the `len` that are all have been copied now.
    #[inline]
    fn one_part(&mut self, len: usize, copied: usize) -> LoanEnd {
        self.done = copied.min(len);
        if copied < len {
            LoanEnd::Short
        } else {
            LoanEnd::Complete
        }
    }
}

/// Why a loan has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum LoanEnd {
    /// Nothing is left to copy.
    Complete,
    /// The copier has copied the maximum of one loan.
    Full,
    /// The copier took, or had, less than requested: its buffer is incomplete.
    Short,
}

/// One loan: where it continues a message, and how much it may copy.
struct Loan<'a> {
    progress: &'a mut Progress,
    /// Offset in the rest of the message where the loan continues.
    at: usize,
    /// Bytes that the loan may still copy.
    room: usize,
}

impl<'a> Loan<'a> {
    #[inline]
    fn new(progress: &'a mut Progress) -> Self {
        Self {
            at: progress.done,
            progress,
            room: LOAN_MAX,
        }
    }

    /// Continues with the next part of the message, which is `len` bytes long: `copy` gets the
    /// range to copy, and returns how many of its bytes it has copied.
    #[inline]
    fn part(&mut self, len: usize, copy: impl FnOnce(Range<usize>) -> usize) -> LoanEnd {
        let start = self.at.min(len);
        self.at -= start;
        let left = len - start;
        let given = left.min(self.room);
        let copied = if given == 0 {
            0
        } else {
            copy(start..start.saturating_add(given)).min(given)
        };
        self.copied(copied);
        if copied < given {
            LoanEnd::Short
        } else if given < left {
            LoanEnd::Full
        } else {
            LoanEnd::Complete
        }
    }

    #[inline]
    fn copied(&mut self, len: usize) {
        self.room = self.room.saturating_sub(len);
        self.progress.done = self.progress.done.saturating_add(len);
    }
}

/// The memory of a request that is lent, or given to a device.
pub(crate) struct Body {
    input: InArgs,
    output: OutArgs,
    /// Usually there are none.
    data: Option<Data>,
    /// Bytes of the reply's data that are filled.
    written: usize,
    /// Where a device writes the header of the reply.
    reply_header: OutHeader,
}

/// The pieces of a vector.
#[cfg(CONFIG_KUNIT = "y")]
fn pieces_of(bytes: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    in_turn(move |at| Piece::of_bytes(bytes.get(at..)?))
}

impl Body {
    /// A body with only a header, initialized in place.
    #[inline]
    pub(super) fn init(header: InHeader, output: OutSpace) -> impl Init<Self> {
        init!(Self {
            input <- InArgs::init(header),
            output <- OutArgs::init(output),
            data: None,
            written: 0,
            reply_header: OutHeader::default(),
        })
    }

    /// Stores what `encode` writes and the data that it returns, and sets the length in the header;
    /// returns that length, and the length of the first structure.
    ///
    /// # Errors
    ///
    /// The error of `encode`.
    #[inline]
    pub(super) fn load<E>(
        &mut self,
        encode: impl FnOnce(&mut InArgs) -> Result<Option<Data>, E>,
    ) -> Result<(u32, u8), E> {
        let data = encode(&mut self.input)?;
        let mut len = size_of::<InHeader>().saturating_add(self.input.len());
        if let Some(data) = data {
            len = len.saturating_add(data.sent_len());
            self.data = Some(data);
        }
        // `InArgs` does not grow beyond what the header can say, and the limits of the mount keep
        // data far below that.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        let total_extlen = self.input.total_extlen();
        let header = self.input.header_mut();
        header.len = len;
        header.total_extlen = total_extlen;
        // It is in the inline part, which is shorter.
        let head_len = u8::try_from(self.input.head_len()).unwrap_or(u8::MAX);
        Ok((len, head_len))
    }

    /// Copies from `progress` on into `sink` under this id, until [`LOAN_MAX`] bytes are done.
    pub(super) fn send(
        &mut self,
        unique: Unique,
        progress: &mut Progress,
        mut sink: impl FnMut(SharedBytes<'_>) -> usize,
    ) -> Result<LoanEnd> {
        self.input.header_mut().unique = unique;
        let parts = self.input.message();
        // Usually one short part is all.
        if let ([part, []], None) = (parts, &self.data) {
            if progress.done == 0 && part.len() <= LOAN_MAX {
                return Ok(progress.one_part(part.len(), sink(part.into())));
            }
        }
        let mut loan = Loan::new(progress);
        let mut copy = |bytes: Option<&[u8]>| bytes.map_or(0, |bytes| sink(bytes.into()));
        for part in parts {
            let end = loan.part(part.len(), |range| copy(part.get(range)));
            if end != LoanEnd::Complete {
                return Ok(end);
            }
        }
        let Some(data) = &self.data else {
            return Ok(LoanEnd::Complete);
        };
        while loan.room > 0 {
            let (at, room) = (loan.at, loan.room);
            let copied = data.with_sent(at, |bytes| {
                let bytes = bytes.first_pages(room);
                let bytes = if at == 0 {
                    bytes.beginning_page()
                } else {
                    bytes
                };
                (bytes.len(), sink(bytes).min(bytes.len()))
            });
            let Some((given, taken)) = copied else {
                return Ok(LoanEnd::Complete);
            };
            loan.at = loan.at.saturating_add(taken);
            loan.copied(taken);
            if taken < given {
                return Ok(LoanEnd::Short);
            }
        }
        Ok(LoanEnd::Full)
    }

    /// The whole message in as few pieces as possible, for a device.
    ///
    /// A part in memory without pages ends it: no request owns such a part.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn message_pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let [front, spill] = self.input.message();
        let data = in_turn(|at| self.data.as_ref()?.sent_piece(at));
        let vectors = Iterator::chain(pieces_of(front), pieces_of(spill));
        merged(Iterator::chain(vectors, data))
    }

    /// The data in as few pieces as possible: those of the message, or the room for those of a reply.
    pub(super) fn data_pieces(&self, of_reply: bool) -> impl Iterator<Item = Piece<'_>> {
        merged(in_turn(move |at| {
            let data = self.data.as_ref()?;
            if of_reply {
                data.room_piece(at)
            } else {
                data.sent_piece(at)
            }
        }))
    }

    /// Checks the length of a payload against what the operation allows.
    pub(super) fn expect(&mut self, len: usize) -> Result {
        self.output.accept(len)?;
        let room = self.data.as_ref().map_or(0, Data::room);
        if self.output.data_len() > room {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Fills the reply space from `progress` on, up to [`LOAN_MAX`] bytes.
    pub(super) fn receive(
        &mut self,
        progress: &mut Progress,
        mut source: impl FnMut(Room<'_>) -> usize,
    ) -> Result<LoanEnd> {
        let data_len = self.output.data_len();
        let mut parts = self.output.parts_mut();
        if let ([part, []], 0) = (&mut parts, data_len) {
            if progress.done == 0 && part.len() <= LOAN_MAX {
                let len = part.len();
                return Ok(progress.one_part(len, source((&mut **part).into())));
            }
        }
        let mut loan = Loan::new(progress);
        let mut copy = |bytes: Option<&mut [u8]>| bytes.map_or(0, |bytes| source(bytes.into()));
        for part in parts {
            let end = loan.part(part.len(), |range| copy(part.get_mut(range)));
            if end != LoanEnd::Complete {
                return Ok(end);
            }
        }
        let left = data_len.saturating_sub(self.written);
        let Some(data) = self.data.as_mut().filter(|_| left != 0) else {
            return Ok(LoanEnd::Complete);
        };
        let want = left.min(loan.room);
        let taken = data.fill(self.written, want, source);
        self.written += taken;
        loan.copied(taken);
        Ok(if taken < want {
            LoanEnd::Short
        } else if want < left {
            LoanEnd::Full
        } else {
            LoanEnd::Complete
        })
    }

    /// The data of the reply that was accepted are in their place.
    pub(super) fn filled_in_place(&mut self) {
        self.written = self.output.data_len();
    }

    /// The folios that the reply fills, if any.
    fn folios(&mut self) -> Option<&mut FolioSegments> {
        self.data.as_mut()?.filled_folios()
    }

    /// Whether the accepted reply leaves data unfilled that then must be zeroed.
    pub(super) fn is_short(&mut self) -> bool {
        let filled = self.output.data_len();
        self.folios().is_some_and(|folios| filled < folios.len())
    }

    /// The offset of `progress` in the data, if everything before the data is done and `len` bytes
    /// of the reply still have to be stored there.
    fn place_in_data(&mut self, progress: &Progress, len: usize) -> Option<usize> {
        let [fixed, var] = self.output.parts_mut();
        let before = fixed.len().saturating_add(var.len());
        let left = self.output.data_len().saturating_sub(self.written);
        (progress.done == before.saturating_add(self.written) && left >= len)
            .then_some(self.written)
    }

    /// Whether the next bytes may be replaced by a whole page.
    pub(super) fn takes_page(&mut self, progress: &Progress) -> Result<bool> {
        let Some(at) = self.place_in_data(progress, PAGE_SIZE) else {
            return Ok(false);
        };
        Ok(self
            .folios()
            .is_some_and(|folios| folios.is_replaceable(at)))
    }

    /// Replaces the next bytes by a whole page. Returns the page if that fails.
    pub(super) fn receive_page(
        &mut self,
        progress: &mut Progress,
        page: FreePage,
    ) -> Result<UsedPage, (Error, FreePage)> {
        let place = self.place_in_data(progress, PAGE_SIZE);
        let (Some(at), Some(folios)) = (place, self.folios()) else {
            return Err((EIO, page));
        };
        let used = folios.take_page(at, page).map_err(|page| (EIO, page))?;
        self.written += PAGE_SIZE;
        progress.done += PAGE_SIZE;
        Ok(used)
    }

    /// Zeroes the next piece of the data that a short reply did not fill; `done` bytes of it are
    /// zero already. `false` if nothing is left after that.
    pub(super) fn zero_piece(&mut self, done: &mut usize) -> Result<bool> {
        let at = self.written.saturating_add(*done);
        let Some(folios) = self.folios() else {
            return Ok(false);
        };
        let zeroed = folios.fill(at, LOAN_MAX, |room| room.zero());
        *done = done.saturating_add(zeroed);
        Ok(zeroed == LOAN_MAX)
    }

    /// The reply, and the lent data.
    pub(super) fn reply(&mut self) -> (&mut OutArgs, &mut Option<Data>) {
        (&mut self.output, &mut self.data)
    }

    /// A device has filled the reply space with a payload of `len` bytes. Says whether the reply
    /// leaves out data that have to be zeroed.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the operation's reply cannot have that length.
    #[cfg(CONFIG_VIRTIO)]
    pub(super) fn filled(&mut self, len: usize) -> Result<bool> {
        self.expect(len)?;
        self.written = self.output.data_len();
        Ok(self.is_short())
    }

    /// Whether what was lent takes locks of others when it is given back.
    #[cfg(CONFIG_VIRTIO)]
    pub(super) fn has_pages_of_caller(&self) -> bool {
        matches!(self.data, Some(Data::FilledCaller(_)))
    }

    /// Has the message go under this id.
    pub(super) fn set_unique(&mut self, unique: Unique) {
        self.input.header_mut().unique = unique;
    }

    /// The space for the reply's header that a device writes.
    pub(super) fn reply_header(&mut self) -> &mut OutHeader {
        &mut self.reply_header
    }
}

#[cfg(CONFIG_VIRTIO)]
impl Scatter for Body {
    fn scatter<'a>(&'a mut self, parts: &mut Parts<'_, 'a>) {
        let Self {
            input,
            output,
            data,
            reply_header,
            ..
        } = self;
        for part in input.message() {
            parts.device_reads(in_turn(move |at| Piece::of_bytes(part.get(at..)?)));
        }
        let (sent, room) = data.as_mut().map(Data::pieces).unzip();
        parts.device_reads(merged(sent.into_iter().flatten()));
        parts.device_writes(PieceMut::of_bytes(reply_header.as_mut_bytes()));
        let data_max = output.data_max();
        for part in output.whole_mut() {
            parts.device_writes(PieceMut::of_bytes(part));
        }
        parts.device_writes(PieceMut::first(room.into_iter().flatten(), data_max));
    }
}
