// SPDX-License-Identifier: GPL-2.0

//! Tables of open files, by which owners of locks are known.

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct FilesId(pub(crate) u64);

impl FilesId {
    pub(crate) fn get(self) -> u64 {
        self.0
    }
}
