// SPDX-License-Identifier: GPL-2.0

//! STORE: the server puts data of a file into the page cache (`fuse_notify_store()`).
//!
//! The device calls this with the rest of the message; `vfs/mm/cached.rs` puts the folios into the
//! cache.
//!
//! Locks: the super block's handle, then one folio at a time, with trylock: a locked page is not
//! waited for, but invalidated. The data is taken from the server before the folio is locked: its
//! buffer may be a mapping of this very file.

use super::{
    cached_file,
    Notifications, //
};
use crate::{
    fuse::{
        abi::NodeId,
        channel::owner::Payload,
        inode::attr_cache, //
    },
    vfs::mm::cached::{
        self,
        Stored, //
    },
};
use core::ops::Range;
use kernel::{
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*, //
};

impl Notifications {
    /// Stores data at `range` of a file, in bytes.
    ///
    /// The file becomes as long as that, if it was shorter. A folio that is stored in part and was
    /// never read in stays unread, unless the file ends in it.
    pub(super) fn store(
        &self,
        node: NodeId,
        range: Range<u64>,
        payload: &mut dyn Payload,
    ) -> Result {
        let (mut pos, end) = (range.start, range.end);
        let mut left = end - pos;

        self.with_super(|sb| {
            let inode = cached_file(sb, node)?;
            // Both fit: the offset is limited to the maximum size of a file.
            let file_end = inode.size().max(0) as u64;
            if end > file_end {
                attr_cache::written(&inode, (left != 0).then_some(end as i64));
            }
            let mut page = KVVec::zeroed(PAGE_SIZE, GFP_KERNEL)?;
            while left != 0 {
                let in_page = PAGE_SIZE - pos as usize % PAGE_SIZE;
                let bytes = page
                    .get_mut(..in_page.min(left as usize))
                    .unwrap_or_default();
                payload.take(bytes)?;

                let mut bytes = &*bytes;
                while !bytes.is_empty() {
                    let at_end = end >= file_end && bytes.len() as u64 == left;
                    let stored = match cached::try_store(&inode, pos, bytes, at_end)? {
                        Stored::Bytes(len) => len,
                        // The holder of its lock may be waiting for this server. The page is read
                        // again after that: the server has the stored data.
                        Stored::Busy => {
                            let page = pos >> PAGE_SHIFT;
                            self.inval_data(&inode, page, page);
                            bytes.len()
                        }
                    };
                    bytes = bytes.get(stored..).unwrap_or_default();
                    pos += stored as u64;
                    left -= stored as u64;
                }
            }
            Ok(())
        })
    }
}
