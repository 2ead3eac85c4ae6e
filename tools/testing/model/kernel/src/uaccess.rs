// SPDX-License-Identifier: GPL-2.0

//! Small pieces of user memory: the memory of the host, always present.

use crate::error::Result;

/// A user's pointer.
pub struct UserPtr(usize);

impl UserPtr {
    pub fn from_addr(addr: usize) -> Self {
        Self(addr)
    }
}

/// User memory.
pub struct UserSlice(usize, usize);

/// It is read.
pub struct UserSliceReader(usize, usize);

impl UserSlice {
    pub fn new(ptr: UserPtr, len: usize) -> Self {
        Self(ptr.0, len)
    }
    pub fn reader(self) -> UserSliceReader {
        UserSliceReader(self.0, self.1)
    }
}

impl UserSliceReader {
    pub fn read_slice(&mut self, out: &mut [u8]) -> Result {
        let len = out.len().min(self.1);
        // SAFETY: Who makes a system call in a scenario says where its memory is.
        unsafe {
            out.as_mut_ptr()
                .copy_from_nonoverlapping(core::ptr::with_exposed_provenance(self.0), len);
        }
        Ok(())
    }
}
