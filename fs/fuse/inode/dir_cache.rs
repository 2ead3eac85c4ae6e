// SPDX-License-Identifier: GPL-2.0

//! How far the names of a directory are cached, and whether what is cached still holds.
//!
//! The records themselves are in the page cache of the directory, where `dir/readdir_cache.rs`
//! puts and finds them; this says which of its bytes count. The cache is filled from the start of
//! the directory on, by whoever reads it, and is of use once it is complete. What makes it useless
//! gives it a new version, and it is filled from the start again.
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

/// What is cached of the names of a directory.
#[pin_data]
pub(crate) struct DirCache {
    #[pin]
    state: SpinLock<State>,
}

#[derive(Default)]
struct State {
    /// Whether the last name is cached, too.
    complete: bool,
    /// Changes whenever what was cached is given up.
    version: u64,
    /// Bytes that count.
    size: usize,
    /// The position after the last record, which is that of the next one.
    pos: i64,
    /// What the directory was like when the first record was asked for.
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

/// What a directory is like; after a change of it something of this differs.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Snapshot {
    mtime: Timespec,
    /// Counts the changes that this kernel made.
    changes: u64,
    epoch: u32,
}

/// Where the reader of an open directory is in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The position of the record at `offset`.
    pub(crate) pos: i64,
    /// Where the record is, in bytes.
    pub(crate) offset: usize,
    /// The version of the cache that this is true of.
    pub(crate) version: u64,
}

impl Place {
    /// Index of its page.
    pub(crate) fn page(&self) -> usize {
        self.offset / PAGE_SIZE
    }

    /// Where in the page it is, in bytes.
    pub(crate) fn offset_in_page(&self) -> usize {
        self.offset % PAGE_SIZE
    }
}

/// What there is at a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The cache is of no use: the server has to be asked.
    Nothing,
    /// The end of the directory.
    End,
    /// Records, up to this offset in the page of the place.
    Records(usize),
}

impl DirCache {
    /// Nothing is cached.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock!(State::default(), "DirCache::state"),
        })
    }

    /// What is cached at `place`, for a reader of `dir` who is at position `pos`. A place that is
    /// not one of this version becomes the start of the cache.
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

    /// Whether `version` is the one that counts. It stays so far as a page goes whose folio the
    /// caller has locked.
    pub(crate) fn is_current(&self, version: u64) -> bool {
        self.state.lock().version == version
    }

    /// A page of this version is gone: the cache is given up.
    pub(crate) fn lost(&self, version: u64) {
        let mut state = self.state.lock();
        if state.version == version {
            state.give_up();
        }
    }

    /// Where a record of `len` bytes goes whose position is `pos`; [`None`] if it is not the next
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

    /// Puts a record where [`Self::room_for`] said, unless somebody else was faster: `put` writes
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

    /// There is no record at `pos`: if all before it are cached, the cache is complete. Returns
    /// how many bytes of the page cache it needs then.
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
    /// Where it is.
    pub(crate) at: Place,
    /// Bytes that counted before.
    size: usize,
    /// Bytes that will count.
    end: usize,
}
