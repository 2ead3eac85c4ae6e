// SPDX-License-Identifier: GPL-2.0

//! Encoding operations as bytes, and decoding replies.
//!
//! [`InArgs`] owns the bytes that a request sends, [`OutArgs`] the space for the reply after its
//! header; both belong to the request, so that no memory of the caller is accessed by another
//! thread. Pages are not here: they are segments of the request.
//!
//! [`declare`](super::declare) makes operations use this, `request` owns the buffers, the
//! transports copy them. No locks.

use crate::fuse::abi::node::{
    CompatSetxattrIn,
    GetxattrOut,
    SetxattrIn, //
};
use crate::fuse::abi::{
    header::InHeader,
    init::InitOut, //
};
use kernel::prelude::*;
use zerocopy::Immutable;

/// Bytes of [`InArgs`] that need no allocation: any structure, also with names unless they are
/// long.
pub(super) const IN_INLINE: usize = 128;

/// The beginning of a message, and usually all of it: one piece to copy.
#[derive(IntoBytes, zerocopy_derive::Immutable)]
#[repr(C)]
struct Front {
    header: InHeader,
    inline: [u8; IN_INLINE],
}

/// The bytes that a request sends: its header, one structure, then names, bytes or extensions.
///
/// # Invariants
///
/// - `inline_len <= IN_INLINE`, `head_len <= inline_len`, and `ext_len <= len()`.
/// - The bytes to send after the header are `front.inline[..inline_len]`, then `spill`.
/// - There is no `spill` unless its first piece did not fit into `inline`.
/// - `len() <= u32::MAX - size_of::<InHeader>()`.
pub(crate) struct InArgs {
    front: Front,
    inline_len: usize,
    head_len: usize,
    ext_len: usize,
    // Here and below `None` instead of an empty vector, which would have to be freed by a call,
    // too.
    spill: Option<KVVec<u8>>,
}

impl InArgs {
    /// Maximum number of bytes after the header, whose length field has 32 bits.
    const MAX_LEN: usize = u32::MAX as usize - size_of::<InHeader>();

    /// Nothing to send yet, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn new() -> Self {
        // INVARIANT: All is empty.
        Self {
            front: Front {
                header: InHeader::default(),
                inline: [0; IN_INLINE],
            },
            inline_len: 0,
            head_len: 0,
            ext_len: 0,
            spill: None,
        }
    }

    /// Nothing to send yet except a header, initialised in place.
    #[inline]
    pub(crate) fn init(header: InHeader) -> impl Init<Self> {
        // INVARIANT: All is empty.
        init!(Self {
            front <- init!(Front {
                header,
                inline: [0; IN_INLINE],
            }),
            inline_len: 0,
            head_len: 0,
            ext_len: 0,
            spill: None,
        })
    }

    /// Encodes `op` in the form of protocol 7.`minor`, for tests.
    ///
    /// # Errors
    ///
    /// As of [`Operation::encode`](super::Operation::encode).
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn encode<O: super::Operation>(op: &O, minor: u32) -> Result<Self> {
        let mut args = Self::new();

        op.encode(minor, &mut args)?;
        Ok(args)
    }

    /// Adds a structure. If it comes first, it becomes the head.
    ///
    /// # Errors
    ///
    /// As of [`InArgs::push_bytes`].
    pub(crate) fn push<T: IntoBytes + Immutable>(&mut self, value: &T) -> Result {
        self.push_head(value.as_bytes())
    }

    /// Adds the bytes of a structure. If they come first, they become the head, which io_uring
    /// passes apart from the rest.
    ///
    /// # Errors
    ///
    /// As of [`InArgs::push_bytes`].
    pub(super) fn push_head(&mut self, bytes: &[u8]) -> Result {
        let first = self.is_empty();

        self.push_bytes(bytes)?;
        if first {
            // INVARIANT: The bytes went into `inline` if they fit; only those there count.
            self.head_len = self.inline_len;
        }
        Ok(())
    }

    /// Adds a name, with a NUL behind it.
    ///
    /// # Errors
    ///
    /// As of [`InArgs::push_bytes`].
    pub(crate) fn push_name(&mut self, name: &[u8]) -> Result {
        // A name and its NUL stay together, so that a transport sees them as one piece.
        if self.spill.is_none() && name.len() >= IN_INLINE.saturating_sub(self.inline_len) {
            self.spill
                .get_or_insert_default()
                .reserve(name.len().checked_add(1).ok_or(E2BIG)?, GFP_KERNEL)?;
            self.push_spill(name)?;
            return self.push_spill(&[0]);
        }
        self.push_bytes(name)?;
        self.push_bytes(&[0])
    }

    /// Adds bytes unchanged.
    ///
    /// # Errors
    ///
    /// ENOMEM; E2BIG if the request becomes too long for its header.
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Result {
        if self.spill.is_none() {
            let space = self
                .front
                .inline
                .get_mut(self.inline_len..)
                .and_then(|space| space.get_mut(..bytes.len()));

            if let Some(space) = space {
                space.copy_from_slice(bytes);
                // INVARIANT: The slice above ends within `inline`.
                self.inline_len += bytes.len();
                return Ok(());
            }
        }
        self.push_spill(bytes)
    }

    /// Adds extensions: they come last, and the header has their length.
    ///
    /// # Errors
    ///
    /// As of [`InArgs::push_bytes`]; EINVAL if their length is not a multiple of 8 bytes, or does
    /// not fit into the header.
    pub(crate) fn push_ext(&mut self, ext: &[u8]) -> Result {
        if ext.len() % 8 != 0 || ext.len() / 8 > usize::from(u16::MAX) {
            return Err(EINVAL);
        }
        self.push_bytes(ext)?;
        // INVARIANT: They are part of the bytes to send.
        self.ext_len = ext.len();
        Ok(())
    }

    fn push_spill(&mut self, bytes: &[u8]) -> Result {
        let len = self.len().checked_add(bytes.len()).ok_or(E2BIG)?;

        if len > Self::MAX_LEN {
            return Err(E2BIG);
        }
        // INVARIANT: The length was checked, and the callers have found `inline` to be full.
        let spill = self.spill.get_or_insert_default();
        Ok(spill.extend_from_slice(bytes, GFP_KERNEL)?)
    }

    /// Number of bytes to send after the header, without pages.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.inline_len.saturating_add(slice(&self.spill).len())
    }

    /// Whether there is nothing to send except the header.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of the structure at the beginning, in bytes; zero if there is none.
    #[inline]
    pub(crate) fn head_len(&self) -> usize {
        self.head_len
    }

    /// Length of the extensions at the end, in the units of
    /// [`InHeader::total_extlen`](crate::fuse::abi::header::InHeader).
    #[inline]
    pub(crate) fn total_extlen(&self) -> u16 {
        // `push_ext()` has checked that it fits.
        u16::try_from(self.ext_len / 8).unwrap_or(u16::MAX)
    }

    /// The header.
    #[inline]
    pub(crate) fn header_mut(&mut self) -> &mut InHeader {
        &mut self.front.header
    }

    /// The message, in this order; pages follow. The second part may be empty.
    #[inline]
    pub(crate) fn message(&self) -> [&[u8]; 2] {
        let len = size_of::<InHeader>().saturating_add(self.inline_len);
        let front = self.front.as_bytes();
        [front.get(..len).unwrap_or(front), slice(&self.spill)]
    }

    /// The two parts of the message without the header, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let [front, spill] = self.message();
        [front.get(size_of::<InHeader>()..).unwrap_or(&[]), spill]
    }
}

/// The bytes of an optional vector.
#[inline]
fn slice(vec: &Option<KVVec<u8>>) -> &[u8] {
    vec.as_ref().map_or(&[], |vec| vec.as_slice())
}

/// As [`slice()`], for writing.
#[inline]
fn slice_mut(vec: &mut Option<KVVec<u8>>) -> &mut [u8] {
    vec.as_mut().map_or(&mut [], |vec| vec.as_mut_slice())
}

/// The first part of a request after its header.
///
/// Structures are sent whole, or only the part that old servers know.
pub(crate) trait Head {
    /// Adds it to `args`, up to `limit` bytes of it.
    ///
    /// # Errors
    ///
    /// As of [`InArgs::push_bytes`].
    fn push(&self, limit: usize, args: &mut InArgs) -> Result;

    /// A value for the test that visits the table.
    #[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
    fn sample() -> Self;
}

impl<T: IntoBytes + Immutable + FromBytes> Head for T {
    #[inline]
    fn push(&self, limit: usize, args: &mut InArgs) -> Result {
        let bytes = self.as_bytes();

        args.push_head(bytes.get(..limit).unwrap_or(bytes))
    }

    #[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
    fn sample() -> Self {
        T::new_zeroed()
    }
}

/// A structure that comes after an empty head: io_uring passes it with the rest.
pub(crate) struct Unsplit<T>(pub(crate) T);

impl<T: IntoBytes + Immutable + FromBytes> Head for Unsplit<T> {
    #[inline]
    fn push(&self, _limit: usize, args: &mut InArgs) -> Result {
        args.push_bytes(self.0.as_bytes())
    }

    #[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
    fn sample() -> Self {
        Self(T::new_zeroed())
    }
}

/// The two forms of SETXATTR. `FUSE_SETXATTR_EXT` selects one, not the minor version.
#[derive(Clone, Copy)]
pub(crate) enum SetxattrHead {
    /// The original form.
    Compat(CompatSetxattrIn),
    /// The form with more flags.
    Ext(SetxattrIn),
}

impl Head for SetxattrHead {
    #[inline]
    fn push(&self, limit: usize, args: &mut InArgs) -> Result {
        match self {
            Self::Compat(head) => Head::push(head, limit, args),
            Self::Ext(head) => Head::push(head, limit, args),
        }
    }

    #[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
    fn sample() -> Self {
        Self::Ext(SetxattrIn::default())
    }
}

/// The part after the names, which is copied into the request.
pub(crate) trait Tail {
    /// Adds it to `args`.
    ///
    /// # Errors
    ///
    /// As of [`InArgs::push_bytes`] or [`InArgs::push_ext`].
    fn push(bytes: &[u8], args: &mut InArgs) -> Result;
}

impl Tail for Bytes {
    #[inline]
    fn push(bytes: &[u8], args: &mut InArgs) -> Result {
        args.push_bytes(bytes)
    }
}

/// Extensions, whose length is in the in-header.
pub(crate) struct Ext;

impl Tail for Ext {
    #[inline]
    fn push(bytes: &[u8], args: &mut InArgs) -> Result {
        args.push_ext(bytes)
    }
}

/// The possible lengths of the reply to a request, without its header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OutSpec {
    /// Bytes that a successful reply always has.
    pub(crate) fixed: usize,
    /// Maximum number of bytes that may follow.
    pub(crate) var: usize,
    /// Whether those go into the pages of the caller instead of [`OutArgs`].
    pub(crate) data: bool,
}

impl OutSpec {
    /// This, then `next`.
    ///
    /// Only the last part of a reply may vary, so there is only one to pass on.
    #[inline]
    pub(super) fn then(self, next: Self) -> Self {
        Self {
            fixed: self.fixed.saturating_add(next.fixed),
            var: self.var.saturating_add(next.var),
            data: self.data || next.data,
        }
    }

    /// The same with the first structure shortened from `full` to `compat` bytes.
    #[inline]
    pub(super) fn shortened(self, full: usize, compat: usize) -> Self {
        Self {
            fixed: self.fixed.saturating_sub(full.saturating_sub(compat)),
            ..self
        }
    }

    /// Maximum length of a reply, in bytes.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn max_len(&self) -> usize {
        self.fixed.saturating_add(self.var)
    }

    /// Checks the length of a reply before any of it is copied; returns the length of the varying
    /// part.
    ///
    /// # Errors
    ///
    /// EINVAL if it is shorter than the minimum or longer than the maximum.
    #[inline]
    pub(crate) fn check(&self, len: usize) -> Result<usize> {
        let var = len.checked_sub(self.fixed).ok_or(EINVAL)?;

        if var > self.var {
            return Err(EINVAL);
        }
        Ok(var)
    }
}

/// Bytes of [`OutArgs`] that need no allocation: all structures except that of STATX.
const OUT_INLINE: usize = 160;

/// The contents of a reply after its header, without pages.
///
/// Allocated for the maximum length before the request is sent; filled by the transport; read by
/// the operation.
///
/// # Invariants
///
/// `var_len <= spec.var`. `pos <= spec.fixed`.
pub(crate) struct OutArgs {
    space: OutSpace,
    /// The space for the structures, if they fit.
    inline: [u8; OUT_INLINE],
    /// Number of bytes of the varying part that were written.
    var_len: usize,
    /// Number of bytes of the structures that were read.
    pos: usize,
    /// Length of the next structure, if old servers send less of it.
    compat_len: Option<usize>,
}

/// Memory for the parts of a reply that do not fit into [`OutArgs`] itself.
///
/// # Invariants
///
/// `fixed` holds `spec.fixed` bytes, unless they fit into [`OutArgs`]; `var` holds `spec.var`
/// bytes, or none if `spec.data` or if it was taken.
#[derive(Default)]
pub(crate) struct OutSpace {
    spec: OutSpec,
    fixed: Option<KVVec<u8>>,
    var: Option<KVVec<u8>>,
}

impl OutSpace {
    /// Whether a reply may have more than a header.
    pub(crate) fn has_room(&self) -> bool {
        self.spec.fixed > 0 || self.spec.var > 0
    }

    /// Memory for a reply.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    // Where the operation is known, so is its `spec`, and most of this is optimised out.
    #[inline(always)]
    pub(crate) fn new(spec: OutSpec) -> Result<Self> {
        let zeroed = |len: usize| match len {
            0 => Ok(None),
            _ => KVVec::zeroed(len, GFP_KERNEL).map(Some),
        };

        // INVARIANT: The vectors have the lengths of `spec`.
        Ok(Self {
            spec,
            fixed: zeroed(if spec.fixed <= OUT_INLINE {
                0
            } else {
                spec.fixed
            })?,
            var: zeroed(if spec.data { 0 } else { spec.var })?,
        })
    }
}

impl OutArgs {
    /// Space for no reply.
    #[cold]
    pub(crate) fn empty() -> Self {
        // INVARIANT: Nothing is written or read.
        Self {
            space: OutSpace::default(),
            inline: [0; OUT_INLINE],
            var_len: 0,
            pos: 0,
            compat_len: None,
        }
    }

    /// Space for a reply, initialised in place.
    #[inline]
    pub(crate) fn init(space: OutSpace) -> impl Init<Self> {
        // INVARIANT: Nothing is written or read.
        init!(Self {
            space,
            inline: [0; OUT_INLINE],
            var_len: 0,
            pos: 0,
            compat_len: None,
        })
    }

    /// Space for a reply, for tests.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) fn new(spec: OutSpec) -> Result<Self> {
        // INVARIANT: As in `init()`.
        Ok(Self {
            space: OutSpace::new(spec)?,
            ..Self::empty()
        })
    }

    /// The space for the structures.
    #[inline]
    fn fixed(&self) -> &[u8] {
        match &self.space.fixed {
            Some(fixed) => fixed.as_slice(),
            None => &self.inline,
        }
    }

    /// The possible lengths of the reply.
    #[inline]
    pub(crate) fn spec(&self) -> OutSpec {
        self.space.spec
    }

    /// Begins a reply of `len` bytes, without its header.
    ///
    /// After this [`OutArgs::parts_mut`] is as long as the reply, and [`OutArgs::data_len`] is the
    /// part of it for the pages of the caller.
    ///
    /// # Errors
    ///
    /// EINVAL if a reply to this request cannot have this length.
    pub(crate) fn accept(&mut self, len: usize) -> Result {
        // INVARIANT: `check()` returns no more than `spec.var`.
        self.var_len = self.space.spec.check(len)?;
        Ok(())
    }

    /// The space for the accepted reply: structures, then the varying part.
    #[inline]
    pub(crate) fn parts_mut(&mut self) -> [&mut [u8]; 2] {
        let OutSpace { spec, fixed, var } = &mut self.space;
        let fixed = match fixed {
            Some(fixed) => fixed.as_mut_slice(),
            None => &mut self.inline,
        };

        [
            fixed.get_mut(..spec.fixed).unwrap_or(&mut []),
            // Empty if it goes into the pages of the caller.
            slice_mut(var).get_mut(..self.var_len).unwrap_or(&mut []),
        ]
    }

    /// All of the space for a reply: structures, then what varies, unless that goes into the pages of
    /// the caller.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn whole_mut(&mut self) -> [&mut [u8]; 2] {
        let OutSpace { spec, fixed, var } = &mut self.space;
        let fixed = match fixed {
            Some(fixed) => fixed.as_mut_slice(),
            None => &mut self.inline,
        };
        [
            fixed.get_mut(..spec.fixed).unwrap_or(&mut []),
            slice_mut(var),
        ]
    }

    /// Most bytes that a reply has for the pages of the caller.
    #[cfg(CONFIG_VIRTIO)]
    pub(crate) fn data_max(&self) -> usize {
        match self.space.spec.data {
            true => self.space.spec.var,
            false => 0,
        }
    }

    /// Length of the part of the accepted reply that is for the pages of the caller.
    #[inline]
    pub(crate) fn data_len(&self) -> usize {
        if self.space.spec.data {
            self.var_len
        } else {
            0
        }
    }

    /// Length of the varying part of the reply, wherever it went: for the tests and the model.
    #[allow(dead_code, reason = "the caller knows where it went")]
    pub(crate) fn var_len(&self) -> usize {
        self.var_len
    }

    /// Makes the next structure only `len` bytes long; the rest of it reads as zero.
    #[inline]
    pub(super) fn shorten_next(&mut self, len: usize) {
        self.compat_len = Some(len);
    }

    /// The next structure of the reply.
    ///
    /// # Errors
    ///
    /// EIO if there is no such structure left in it.
    pub(crate) fn read<T: FromBytes + IntoBytes>(&mut self) -> Result<T> {
        let len = self.compat_len.take().unwrap_or(size_of::<T>());
        let end = self.pos.checked_add(len).ok_or(EIO)?;

        if end > self.space.spec.fixed {
            return Err(EIO);
        }

        let bytes = self.fixed().get(self.pos..end).ok_or(EIO)?;
        let value = zero_extended(bytes);

        // INVARIANT: Checked above.
        self.pos = end;
        value
    }

    /// The varying part of the reply, as long as the server made it.
    #[inline]
    pub(crate) fn var(&self) -> &[u8] {
        let var = slice(&self.space.var);

        var.get(..self.var_len).unwrap_or(var)
    }

    /// Takes the varying part of the reply. Empty if it went into the pages of the caller.
    #[inline]
    pub(crate) fn take_var(&mut self) -> KVVec<u8> {
        let mut var = self.space.var.take().unwrap_or_default();

        // INVARIANT: It is taken.
        var.truncate(self.var_len);
        var
    }

    /// Whether all structures were read, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn is_read(&self) -> bool {
        self.pos == self.space.spec.fixed
    }
}

/// A structure that begins with `bytes`, and is zero behind them.
///
/// # Errors
///
/// EIO if there are too many.
fn zero_extended<T: FromBytes + IntoBytes>(bytes: &[u8]) -> Result<T> {
    if let Ok(value) = T::read_from_bytes(bytes) {
        return Ok(value);
    }
    let mut value = T::new_zeroed();

    value
        .as_mut_bytes()
        .get_mut(..bytes.len())
        .ok_or(EIO)?
        .copy_from_slice(bytes);
    Ok(value)
}

/// One part of a reply, as the table names it.
pub(crate) trait Part {
    /// The value that the caller gets.
    type Value;

    /// Its possible lengths. `max` is the maximum in the row for a varying part, otherwise zero.
    fn spec(max: u32) -> OutSpec;

    /// Takes it out of the reply.
    ///
    /// # Errors
    ///
    /// EIO if the reply does not contain it.
    fn take(out: &mut OutArgs) -> Result<Self::Value>;
}

impl<T: FromBytes + IntoBytes> Part for T {
    type Value = T;

    #[inline]
    fn spec(_max: u32) -> OutSpec {
        OutSpec {
            fixed: size_of::<T>(),
            ..OutSpec::default()
        }
    }

    #[inline]
    fn take(out: &mut OutArgs) -> Result<T> {
        out.read()
    }
}

/// Bytes, as many as the server sends.
pub(crate) struct Bytes;

impl Part for Bytes {
    type Value = KVVec<u8>;

    #[inline]
    fn spec(max: u32) -> OutSpec {
        OutSpec {
            var: max as usize,
            ..OutSpec::default()
        }
    }

    #[inline]
    fn take(out: &mut OutArgs) -> Result<KVVec<u8>> {
        Ok(out.take_var())
    }
}

/// Bytes, as many as the server sends, into the data of the operation; the caller gets the number.
pub(crate) struct Pages;

impl Part for Pages {
    type Value = usize;

    #[inline]
    fn spec(max: u32) -> OutSpec {
        OutSpec {
            var: max as usize,
            data: true,
            ..OutSpec::default()
        }
    }

    #[inline]
    fn take(out: &mut OutArgs) -> Result<usize> {
        Ok(out.data_len())
    }
}

/// [`InitOut`], as far as the server knows it; the rest is zero.
pub(crate) struct AnyInitOut;

impl Part for AnyInitOut {
    type Value = InitOut;

    #[inline]
    fn spec(_max: u32) -> OutSpec {
        OutSpec {
            var: size_of::<InitOut>(),
            ..OutSpec::default()
        }
    }

    fn take(out: &mut OutArgs) -> Result<InitOut> {
        zero_extended(out.var())
    }
}

/// The result of GETXATTR and LISTXATTR, which depends on the space that they offer.
pub(crate) enum Xattr {
    /// The length, if they offered none.
    Size(u32),
    /// The value.
    Value(KVVec<u8>),
}

impl Part for Xattr {
    type Value = Self;

    #[inline]
    fn spec(max: u32) -> OutSpec {
        if max == 0 {
            <GetxattrOut as Part>::spec(0)
        } else {
            Bytes::spec(max)
        }
    }

    fn take(out: &mut OutArgs) -> Result<Self> {
        if out.spec().var == 0 {
            Ok(Self::Size(out.read::<GetxattrOut>()?.size))
        } else {
            Ok(Self::Value(out.take_var()))
        }
    }
}
