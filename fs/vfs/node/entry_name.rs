// SPDX-License-Identifier: GPL-2.0

//! Names of entries that were checked.

/// A name that an entry of a directory can have: it is not empty, and no path.
#[derive(Clone, Copy)]
pub(crate) struct EntryName<'a>(&'a [u8]);

impl<'a> EntryName<'a> {
    /// The name, if it is one.
    #[inline]
    pub(crate) fn new(name: &'a [u8]) -> Option<Self> {
        if name.is_empty() || name.contains(&b'/') {
            return None;
        }
        Some(Self(name))
    }

    /// Its bytes.
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether it stands for the directory itself, or for its parent.
    pub(crate) fn is_dots(self) -> bool {
        matches!(self.0, b"." | b"..")
    }
}
