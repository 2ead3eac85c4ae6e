// SPDX-License-Identifier: GPL-2.0

//! Parts of the page cache: bytes of our own.

use super::iov::SharedBytes;

/// Bytes.
#[derive(Default)]
pub(crate) struct CachedRanges(pub(crate) Vec<u8>);

impl CachedRanges {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn with_bytes<R>(
        &mut self,
        at: usize,
        f: impl FnOnce(SharedBytes<'_>) -> R,
    ) -> Option<R> {
        let bytes = self.0.get(at..).filter(|bytes| !bytes.is_empty())?;
        Some(f(bytes.into()))
    }
}
