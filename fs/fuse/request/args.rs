// SPDX-License-Identifier: GPL-2.0

//! What a request owns, and how it is lent to a copier.
//!
//! [`Body`] sits in the request's spinlock. A loan is one hold of that lock: the copier's closure
//! runs inside it and can neither fault nor sleep. A loan is refused once the request has ended,
//! so nothing is copied out of, or into, a request whose caller has gone on. Between two loans the
//! copier may fault its buffer in, and an abort may end the request.

use super::{
    completion::Completion,
    outcome::Outcome, //
};
use crate::fuse::{
    abi::header::InHeader,
    op::{
        InArgs,
        OutArgs,
        OutSpace, //
    },
};
use crate::vfs::mm::{
    cached::CachedRanges,
    caller::CallerPages,
    folio::{
        FolioSegments,
        FreePage,
        UsedPage, //
    },
    iov::{
        Room,
        SharedBytes, //
    },
    writeback::DirtyRanges, //
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use zerocopy::IntoBytes;

/// Bytes that one loan copies at most, so that the lock is not held for long.
const LOAN_MAX: usize = 32 * 1024;

/// What a request carries besides its structure and names.
#[derive(Default)]
pub(crate) enum InData {
    /// Nothing.
    #[default]
    None,
    /// Parts of the page cache, in the order of the message's bytes.
    Cached(CachedRanges),
    /// Memory of its own.
    Folios(FolioSegments),
    /// Dirty parts of the page cache, whose writeback ends with the request.
    Dirty(DirtyRanges),
    /// Pages of the caller's memory.
    Caller(CallerPages),
}

impl InData {
    /// Length in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Cached(ranges) => ranges.len(),
            Self::Folios(segments) => segments.len(),
            Self::Dirty(ranges) => ranges.len(),
            Self::Caller(pages) => pages.len(),
        }
    }

    /// Calls `f` with the bytes from `at` on, as many as lie together. Never sleeps, and nor may
    /// `f`. [`None`] if there are none.
    fn with_bytes<R>(&mut self, at: usize, f: impl FnOnce(SharedBytes<'_>) -> R) -> Option<R> {
        match self {
            Self::None => None,
            Self::Cached(ranges) => ranges.with_bytes(at, f),
            Self::Folios(segments) => segments.with_bytes(at, |bytes| f(bytes.into())),
            Self::Dirty(ranges) => ranges.with_bytes(at, f),
            Self::Caller(pages) => pages.with_bytes(at, f),
        }
    }
}

/// What a reply fills besides its fixed and variable parts.
#[derive(Default)]
pub(crate) enum OutData {
    /// Nothing.
    #[default]
    None,
    /// Parts of folios, in the order of the reply's bytes.
    Folios(FolioSegments),
    /// Pages of the caller's memory. What a short reply leaves out stays as it was.
    Caller(CallerPages),
}

impl OutData {
    /// Room in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Folios(segments) => segments.len(),
            Self::Caller(pages) => pages.room(),
        }
    }
}

/// The data of a request, in both directions.
#[derive(Default)]
pub(crate) struct Data {
    /// What it carries.
    pub(crate) input: InData,
    /// What its reply fills.
    pub(crate) output: OutData,
}

impl From<InData> for Data {
    fn from(input: InData) -> Self {
        Self {
            input,
            output: OutData::None,
        }
    }
}

impl From<OutData> for Data {
    fn from(output: OutData) -> Self {
        Self {
            input: InData::None,
            output,
        }
    }
}

/// How far a copier is with one message; kept between its loans.
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
}

/// Everything of a request that is lent.
///
/// # Invariants
///
/// `outcome` changes once, from `None`; after that nothing here is lent any more.
pub(super) struct Body {
    outcome: Option<Outcome>,
    input: InArgs,
    output: OutArgs,
    data: Data,
    /// Bytes of the reply's data that are filled.
    written: usize,
    completion: Option<KBox<dyn Completion>>,
}

impl Body {
    /// What `encode` makes of the input, and the rest as given; all made where it stays.
    #[inline]
    pub(super) fn init(
        encode: impl FnOnce(&mut InArgs),
        output: OutSpace,
        data: Data,
    ) -> impl Init<Self> {
        init!(Self {
            outcome: None,
            input <- InArgs::init().chain(|args| {
                encode(args);
                Ok(())
            }),
            output <- OutArgs::init(output),
            data,
            written: 0,
            completion: None,
        })
    }

    /// Sets the outcome; the first one stays. Returns whether this was it.
    pub(super) fn finish(&mut self, outcome: Outcome) -> bool {
        let first = self.outcome.is_none();
        if first {
            self.outcome = Some(outcome);
        }
        first
    }

    fn lendable(&self) -> Result {
        match self.outcome {
            None => Ok(()),
            Some(_) => Err(ENOENT),
        }
    }

    /// Copies from `progress` on into `sink`, up to [`LOAN_MAX`] bytes.
    pub(super) fn send(
        &mut self,
        header: &InHeader,
        progress: &mut Progress,
        mut sink: impl FnMut(SharedBytes<'_>) -> usize,
    ) -> Result<usize> {
        self.lendable()?;
        let [fixed, rest] = self.input.parts();
        let mut start = 0usize;
        let mut copied = 0usize;
        for part in [header.as_bytes(), fixed, rest] {
            let skip = progress.done.saturating_sub(start);
            start = start.saturating_add(part.len());
            let Some(left) = part.get(skip..) else {
                continue;
            };
            let room = LOAN_MAX.saturating_sub(copied);
            let piece = left.get(..room).unwrap_or(left);
            if piece.is_empty() {
                continue;
            }
            let taken = sink(piece.into()).min(piece.len());
            copied += taken;
            progress.done += taken;
            if taken < left.len() {
                return Ok(copied);
            }
        }
        while copied < LOAN_MAX {
            let at = progress.done.saturating_sub(start);
            let room = LOAN_MAX - copied;
            let Some((given, taken)) = self.data.input.with_bytes(at, |bytes| {
                let piece = bytes.first(room);
                (piece.len(), sink(piece).min(piece.len()))
            }) else {
                break;
            };
            copied += taken;
            progress.done += taken;
            if taken < given {
                break;
            }
        }
        Ok(copied)
    }

    /// Checks the length of a payload against what the operation allows.
    pub(super) fn expect(&mut self, len: usize) -> Result {
        self.lendable()?;
        self.output.accept(len)?;
        if self.output.data_len() > self.data.output.len() {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Fills the reply space from `progress` on, up to [`LOAN_MAX`] bytes.
    pub(super) fn receive(
        &mut self,
        progress: &mut Progress,
        mut source: impl FnMut(Room<'_>) -> usize,
    ) -> Result<usize> {
        self.lendable()?;
        let mut start = 0usize;
        let mut copied = 0usize;
        for part in self.output.parts_mut() {
            let skip = progress.done.saturating_sub(start);
            start = start.saturating_add(part.len());
            let room = LOAN_MAX.saturating_sub(copied);
            let Some(left) = part.get_mut(skip..) else {
                continue;
            };
            let wanted = left.len();
            let piece = match left.get_mut(..room) {
                Some(piece) => piece,
                None => left,
            };
            if piece.is_empty() {
                continue;
            }
            let taken = source((&mut *piece).into()).min(piece.len());
            copied += taken;
            progress.done += taken;
            if taken < wanted {
                return Ok(copied);
            }
        }
        let want = (self.output.data_len().saturating_sub(self.written))
            .min(LOAN_MAX.saturating_sub(copied));
        let taken = match &mut self.data.output {
            OutData::None => return Ok(copied),
            OutData::Folios(segments) => {
                segments.fill(self.written, want, |bytes| source(bytes.into()))
            }
            OutData::Caller(pages) => pages.fill(self.written, want, source),
        };
        self.written += taken;
        progress.done += taken;
        Ok(copied + taken)
    }

    /// Whether there are data that the reply which was accepted does not fill, and which have to be
    /// zeroed then.
    pub(super) fn is_short(&self) -> bool {
        match &self.data.output {
            OutData::Folios(segments) => self.output.data_len() < segments.len(),
            OutData::None | OutData::Caller(_) => false,
        }
    }

    /// Where in the data `progress` is, if everything before the data is done and `len` bytes of
    /// the reply are still to come into it.
    fn place_in_data(&mut self, progress: &Progress, len: usize) -> Option<usize> {
        let [fixed, var] = self.output.parts_mut();
        let before = fixed.len().saturating_add(var.len());
        let left = self.output.data_len().saturating_sub(self.written);
        (progress.done == before.saturating_add(self.written) && left >= len)
            .then_some(self.written)
    }

    /// Whether the next bytes may be given as a page of their own.
    pub(super) fn takes_page(&mut self, progress: &Progress) -> Result<bool> {
        self.lendable()?;
        let Some(at) = self.place_in_data(progress, PAGE_SIZE) else {
            return Ok(false);
        };
        Ok(match &mut self.data.output {
            OutData::Folios(segments) => segments.is_replaceable(at),
            OutData::None | OutData::Caller(_) => false,
        })
    }

    /// Takes the next bytes as a page of their own. The page comes back if it cannot be taken.
    pub(super) fn receive_page(
        &mut self,
        progress: &mut Progress,
        page: FreePage,
    ) -> Result<UsedPage, (Error, FreePage)> {
        if let Err(error) = self.lendable() {
            return Err((error, page));
        }
        let place = self.place_in_data(progress, PAGE_SIZE);
        let (Some(at), OutData::Folios(segments)) = (place, &mut self.data.output) else {
            return Err((EIO, page));
        };
        let used = segments.take_page(at, page).map_err(|page| (EIO, page))?;
        self.written += PAGE_SIZE;
        progress.done += PAGE_SIZE;
        Ok(used)
    }

    /// Zeroes the next piece of what a short reply left of the data, `done` bytes of which are zero
    /// already. `false` if nothing is left after that.
    pub(super) fn zero_piece(&mut self, done: &mut usize) -> Result<bool> {
        self.lendable()?;
        let OutData::Folios(segments) = &mut self.data.output else {
            return Ok(false);
        };
        let zeroed = segments.fill(self.written.saturating_add(*done), LOAN_MAX, |bytes| {
            bytes.fill(0);
            bytes.len()
        });
        *done = done.saturating_add(zeroed);
        Ok(zeroed == LOAN_MAX)
    }

    /// Whether the request has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }

    /// Who is told of the end, instead of a waiter.
    pub(super) fn set_completion(&mut self, completion: KBox<dyn Completion>) {
        self.completion = Some(completion);
    }

    /// The completion; `None` if somebody waits instead.
    pub(super) fn take_completion(&mut self) -> Option<KBox<dyn Completion>> {
        self.completion.take()
    }

    /// How it ended, the reply, what was lent and how much of that the reply filled.
    pub(super) fn reply(&mut self) -> (Outcome, &mut OutArgs, &mut Data, usize) {
        (
            // Only a request that has ended is taken apart.
            self.outcome.unwrap_or(Outcome::Io),
            &mut self.output,
            &mut self.data,
            self.written,
        )
    }

    /// Takes what was lent out of a request that was not sent.
    pub(super) fn take_data(&mut self) -> Data {
        core::mem::take(&mut self.data)
    }
}
