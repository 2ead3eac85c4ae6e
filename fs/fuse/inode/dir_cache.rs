// SPDX-License-Identifier: GPL-2.0

//! How much of the names of a directory is cached, and whether the cache is still valid.
//!
//! The records themselves are in the page cache of the directory, where `dir/readdir_cache.rs` puts
//! and finds them; this tells which of its bytes are valid. Readers of the directory fill the cache
//! from its start, and it is usable once it is complete. An invalidation gives it a new version,
//! and it is filled from the start again.
//!
//! Locks: that of one [`DirCache`], inside the lock of a folio of the directory; a leaf.

use crate::{
    fuse::Fuse,
    vfs::node::inode::{
        INode,
        Timespec, //
    },
};
use kernel::{
    new_spinlock,
    page::PAGE_SIZE,
    prelude::*,
    sync::SpinLock, //
};

/// The state of the cached names of a directory.
#[pin_data]
pub(crate) struct DirCache {
    #[pin]
    state: SpinLock<State>,
}

#[derive(Default)]
struct State {
    /// Whether the last name is cached, too.
    complete: bool,
    /// Changes whenever the cached names are dropped.
    version: u64,
    /// Number of valid bytes.
    size: usize,
    /// The position after the last record, which is that of the next one.
    pos: i64,
    /// The state of the directory when the first record was requested.
    made_of: Option<Snapshot>,
}

impl State {
    fn give_up(&mut self) {
        *self = Self {
            version: self.version.wrapping_add(1),
            ..Self::default()
        };
    }
}

/// A state of a directory; a change of the directory changes a field of this.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Snapshot {
    mtime: Timespec,
    /// Counts the changes that this kernel made.
    changes: u64,
    epoch: u32,
}

/// The position of the reader of an open directory in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The position of the record at `offset`.
    pub(crate) pos: i64,
    /// The offset of the record, in bytes.
    pub(crate) offset: usize,
    /// The version of the cache that this belongs to.
    pub(crate) version: u64,
}

impl Place {
    /// Index of its page.
    pub(crate) fn page(&self) -> usize {
        self.offset / PAGE_SIZE
    }

    /// Its offset in the page, in bytes.
    pub(crate) fn offset_in_page(&self) -> usize {
        self.offset % PAGE_SIZE
    }
}

/// The result of a search at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The cache cannot be used: the server has to be asked.
    Nothing,
    /// The end of the directory.
    End,
    /// Records, up to this offset in the page of the place.
    Records(usize),
}

impl DirCache {
    /// An empty cache.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State::default(), "DirCache::state"),
        })
    }

    /// Finds the records at `place`, for a reader of `dir` that is at position `pos`. A place of
    /// another version becomes the start of the cache.
    ///
    /// A reader at the start of the directory finds nothing that is older than the last change.
    pub(crate) fn find(&self, dir: &INode<Fuse>, epoch: u32, pos: i64, place: &mut Place) -> Found {
        let mut state = self.state.lock();
        if pos == 0 {
            let now = Snapshot {
                mtime: dir.mtime(),
                changes: dir.query_version(),
                epoch,
            };
            if state.complete && state.made_of != Some(now) {
                state.give_up();
            }
            if !state.complete && state.size == 0 {
                state.made_of = Some(now);
            }
        }
        if !state.complete {
            return Found::Nothing;
        }
        if place.version != state.version {
            *place = Place {
                version: state.version,
                ..Place::default()
            };
        }
        if place.offset >= state.size {
            return if place.pos == pos {
                Found::End
            } else {
                Found::Nothing
            };
        }
        Found::Records(if place.page() == state.size / PAGE_SIZE {
            state.size % PAGE_SIZE
        } else {
            PAGE_SIZE
        })
    }

    /// Whether `version` is the current one. For a page whose folio the caller has locked, it stays
    /// so.
    pub(crate) fn is_current(&self, version: u64) -> bool {
        self.state.lock().version == version
    }

    /// A page of this version was dropped: so is the cache.
    pub(crate) fn lost(&self, version: u64) {
        let mut state = self.state.lock();
        if state.version == version {
            state.give_up();
        }
    }

    /// The room for a record of `len` bytes whose position is `pos`; [`None`] if it is not the next
    /// one, or longer than a page.
    pub(crate) fn room_for(&self, pos: i64, len: usize) -> Option<Room> {
        let state = self.state.lock();
        if state.complete || state.pos != pos || len > PAGE_SIZE {
            return None;
        }
        let used = state.size % PAGE_SIZE;
        let at = if used.checked_add(len)? > PAGE_SIZE {
            state.size.checked_next_multiple_of(PAGE_SIZE)?
        } else {
            state.size
        };
        Some(Room {
            at: Place {
                pos,
                offset: at,
                version: state.version,
            },
            size: state.size,
            end: at.checked_add(len)?,
        })
    }

    /// Puts a record into the [room](Self::room_for), unless another task has done so: `put` writes
    /// it, under a spinlock, and returns whether it could. The record after it is at `next`.
    ///
    /// The caller has locked the folio of the room.
    pub(crate) fn fill(&self, room: &Room, next: i64, put: impl FnOnce() -> bool) {
        let mut state = self.state.lock();
        let current = state.version == room.at.version && state.size == room.size;
        if current && !state.complete && state.pos == room.at.pos && put() {
            state.size = room.end;
            state.pos = next;
        }
    }

    /// Notes that there is no record at `pos`: if all before it are cached, the cache is complete,
    /// and the number of bytes that it needs in the page cache is returned.
    pub(crate) fn end(&self, pos: i64) -> Option<usize> {
        let mut state = self.state.lock();
        if state.pos != pos {
            return None;
        }
        state.complete = true;
        state.size.checked_next_multiple_of(PAGE_SIZE)
    }
}

/// Room for one record in one page.
pub(crate) struct Room {
    /// Its place.
    pub(crate) at: Place,
    /// Number of valid bytes before.
    size: usize,
    /// Number of valid bytes with the record.
    end: usize,
}
