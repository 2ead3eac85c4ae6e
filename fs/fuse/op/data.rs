// SPDX-License-Identifier: GPL-2.0

//! The data of an operation, which goes to the server or comes from it, besides structures and
//! names.
//!
//! The row of the operation tells the direction of its data: [`ToServer`], [`FromServer`], or
//! [`BothWays`]. The operation has the data as a field of its own type, and a call returns it as
//! that, whatever the result is. In between the request owns it, as [`Data`].
//!
//! The file system makes the data, `conn` takes it out of the operation, `request` owns it and
//! lends it to a transport. No locks.

#[cfg(CONFIG_VIRTIO)]
use crate::vfs::mm::piece::{
    in_turn,
    PieceMut, //
};
use crate::vfs::mm::{
    cached::CachedRanges,
    caller::CallerPages,
    iov::{
        Room,
        Rooms,
        SharedBytes, //
    },
    piece::Piece,
    segment::FolioSegments,
    writeback::DirtyRanges, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// The data of one request, of any type.
pub(crate) enum Data {
    /// Parts of the page cache, in the order of the message's bytes.
    SentCached(CachedRanges),
    /// Memory of the request's own.
    SentFolios(FolioSegments),
    /// Dirty parts of the page cache, whose writeback ends with the request.
    SentDirty(DirtyRanges),
    /// Pages of the caller's memory, to be read.
    SentCaller(CallerPages),
    /// Parts of folios that the reply fills, in the order of its bytes.
    FilledFolios(FolioSegments),
    /// Pages of the caller's memory, to be written. Bytes beyond a short reply keep their contents.
    FilledCaller(CallerPages),
    /// Both ways.
    Exchanged(Exchange),
}

/// Memory that goes to the server, and memory that its reply fills.
#[derive(Default)]
pub(crate) struct Exchange {
    /// What goes to the server; may be empty.
    pub(crate) sent: FolioSegments,
    /// What the reply fills.
    pub(crate) filled: FolioSegments,
}

impl Data {
    /// Number of its bytes in the message to the server.
    pub(crate) fn sent_len(&self) -> usize {
        match self {
            Self::SentCached(ranges) => ranges.len(),
            Self::SentFolios(segments) => segments.len(),
            Self::SentDirty(ranges) => ranges.len(),
            Self::SentCaller(pages) => pages.len(),
            Self::Exchanged(exchange) => exchange.sent.len(),
            Self::FilledFolios(_) | Self::FilledCaller(_) => 0,
        }
    }

    /// The contiguous bytes of the message at `at`. [`None`] if there are none.
    pub(crate) fn sent_piece(&self, at: usize) -> Option<Piece<'_>> {
        match self {
            Self::SentCached(ranges) => Sent::Cached(ranges),
            Self::SentFolios(segments) => Sent::Folios(segments),
            Self::SentDirty(ranges) => Sent::Dirty(ranges),
            Self::SentCaller(pages) => Sent::Caller(pages),
            Self::Exchanged(exchange) => Sent::Folios(&exchange.sent),
            Self::FilledFolios(_) | Self::FilledCaller(_) => Sent::Nothing,
        }
        .piece(at)
    }

    /// Calls `f` with bytes of the message from `at` on, as many as can be mapped at once. `f` may
    /// run with them mapped for this CPU's task only. [`None`] if there are none.
    #[inline]
    pub(crate) fn with_sent<R>(
        &self,
        at: usize,
        f: impl FnOnce(SharedBytes<'_>) -> R,
    ) -> Option<R> {
        match self {
            Self::SentCaller(pages) => pages.with_bytes(at, f),
            _ => Some(self.sent_piece(at)?.with_bytes(f)),
        }
    }

    /// The bytes of the message, and the room for those of the reply.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn pieces(
        &mut self,
    ) -> (
        impl Iterator<Item = Piece<'_>>,
        impl Iterator<Item = PieceMut<'_>>,
    ) {
        let (sent, folios, caller) = match self {
            Self::SentCached(ranges) => (Sent::Cached(ranges), None, None),
            Self::SentFolios(segments) => (Sent::Folios(segments), None, None),
            Self::SentDirty(ranges) => (Sent::Dirty(ranges), None, None),
            Self::SentCaller(pages) => (Sent::Caller(pages), None, None),
            Self::Exchanged(Exchange { sent, filled }) => (Sent::Folios(sent), Some(filled), None),
            Self::FilledFolios(segments) => (Sent::Nothing, Some(segments), None),
            Self::FilledCaller(pages) => (Sent::Nothing, None, Some(pages)),
        };
        let folios = folios.into_iter().flat_map(FolioSegments::room_pieces);
        let caller = caller.into_iter().flat_map(CallerPages::room_pieces);
        let room = Iterator::chain(folios, caller);
        (in_turn(move |at| sent.piece(at)), room)
    }

    /// The contiguous room for the bytes of a reply at `at`. [`None`] if there is none.
    pub(crate) fn room_piece(&self, at: usize) -> Option<Piece<'_>> {
        match self {
            Self::FilledFolios(segments) => segments.piece(at),
            Self::FilledCaller(pages) => pages.room_piece(at),
            Self::Exchanged(exchange) => exchange.filled.piece(at),
            Self::SentCached(_)
            | Self::SentFolios(_)
            | Self::SentDirty(_)
            | Self::SentCaller(_) => None,
        }
    }

    /// Number of bytes that a reply can fill.
    pub(crate) fn room(&self) -> usize {
        match self {
            Self::FilledFolios(segments) => segments.len(),
            Self::FilledCaller(pages) => pages.room(),
            Self::Exchanged(exchange) => exchange.filled.len(),
            Self::SentCached(_)
            | Self::SentFolios(_)
            | Self::SentDirty(_)
            | Self::SentCaller(_) => 0,
        }
    }

    /// Fills up to `want` bytes from `at` on with `source`, which gets a buffer and returns the
    /// number of bytes used; a short one ends it. Returns the number of bytes filled. Never sleeps,
    /// and nor may `source`.
    pub(crate) fn fill(
        &mut self,
        at: usize,
        want: usize,
        source: impl FnMut(Room<'_>) -> usize,
    ) -> usize {
        match self {
            Self::FilledCaller(pages) => pages.fill(at, want, source),
            _ => match self.filled_folios() {
                Some(folios) => folios.fill(at, want, source),
                None => 0,
            },
        }
    }

    /// The folios that a reply fills, if there are any.
    pub(crate) fn filled_folios(&mut self) -> Option<&mut FolioSegments> {
        match self {
            Self::FilledFolios(segments) => Some(segments),
            Self::Exchanged(exchange) => Some(&mut exchange.filled),
            _ => None,
        }
    }
}

/// What goes to the server.
#[derive(Clone, Copy)]
enum Sent<'a> {
    Nothing,
    Cached(&'a CachedRanges),
    Folios(&'a FolioSegments),
    Dirty(&'a DirtyRanges),
    Caller(&'a CallerPages),
}

impl<'a> Sent<'a> {
    #[inline]
    fn piece(self, at: usize) -> Option<Piece<'a>> {
        match self {
            Self::Nothing => None,
            Self::Cached(ranges) => ranges.piece(at),
            Self::Folios(segments) => segments.piece(at),
            Self::Dirty(ranges) => ranges.piece(at),
            Self::Caller(pages) => pages.piece(at),
        }
    }
}

/// The data goes to the server.
pub(crate) enum ToServer {}

/// The reply fills the data.
pub(crate) enum FromServer {}

/// Part of the data goes to the server, and the reply fills the other part.
pub(crate) enum BothWays {}

/// Memory that can be the data of a request in direction `W`.
pub(crate) trait Goes<W>: Default + Send + 'static {
    /// Makes it the data of a request.
    fn store(self) -> Data;

    /// Returns what [`Self::store`] was given; empty for data of another type.
    fn restore(data: Data) -> Self;
}

/// Declares the types of memory for each direction, and their variants of [`Data`].
macro_rules! ways {
    ($( $way:ident: $($memory:ident as $kind:ident),+; )+) => {$($(
        impl Goes<$way> for $memory {
            #[inline]
            fn store(self) -> Data {
                Data::$kind(self)
            }

            #[inline]
            fn restore(data: Data) -> Self {
                match data {
                    Data::$kind(memory) => memory,
                    _ => Self::default(),
                }
            }
        }
    )+)+};
}

ways! {
    ToServer: CachedRanges as SentCached,
        FolioSegments as SentFolios,
        DirtyRanges as SentDirty,
        CallerPages as SentCaller;
    FromServer: FolioSegments as FilledFolios,
        CallerPages as FilledCaller;
    BothWays: Exchange as Exchanged;
}

/// The data of an operation; `()` if it has none.
pub(crate) trait OpData: Sized {
    /// The return value of a call that has a `T` as its result.
    type With<T>;

    /// The data of the request.
    fn store(self) -> Option<Data>;

    /// Takes the data of the request, without dropping any.
    fn take(data: &mut Option<Data>) -> Option<Data>;

    /// Returns what [`Self::store`] was given.
    fn restore(data: Option<Data>) -> Self;

    /// Combines it with the result of the call.
    fn with<T>(self, result: Result<T>) -> Self::With<T>;
}

impl OpData for () {
    type With<T> = Result<T>;

    #[inline]
    fn store(self) -> Option<Data> {
        None
    }

    #[inline]
    fn take(_data: &mut Option<Data>) -> Option<Data> {
        None
    }

    #[inline]
    fn restore(_data: Option<Data>) {}

    #[inline]
    fn with<T>(self, result: Result<T>) -> Result<T> {
        result
    }
}

/// Memory of the type `D` for direction `W`.
pub(crate) struct Typed<D, W>(D, PhantomData<W>);

impl<D, W> Typed<D, W> {
    /// The data of an operation.
    #[inline]
    pub(super) fn new(memory: D) -> Self {
        Self(memory, PhantomData)
    }
}

impl<D: Goes<W>, W> OpData for Typed<D, W> {
    type With<T> = (Result<T>, D);

    #[inline]
    fn store(self) -> Option<Data> {
        Some(self.0.store())
    }

    #[inline]
    fn take(data: &mut Option<Data>) -> Option<Data> {
        data.take()
    }

    #[inline]
    fn restore(data: Option<Data>) -> Self {
        Self::new(data.map(D::restore).unwrap_or_default())
    }

    #[inline]
    fn with<T>(self, result: Result<T>) -> (Result<T>, D) {
        (result, self.0)
    }
}
