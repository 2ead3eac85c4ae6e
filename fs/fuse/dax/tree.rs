// SPDX-License-Identifier: GPL-2.0

//! The mapped parts of one file (`struct fuse_inode_dax`).
//!
//! Part `n` begins `n` times [`LEN`] bytes into the file, and one range maps it. A caller that
//! accesses a part finds it with the shared side of the tree's lock ([`Tree::find`]); if it is
//! missing, or must be writable and is not, the caller takes the exclusive side and asks the server
//! ([`Tree::set_up`]). A part leaves by [`Tree::retire`], only with the exclusive side and without
//! any access, so the type `&mut Tree` and the count of accesses prove that it is idle.
//!
//! Nothing is allocated here: a range brings the memory for its place.

use super::{
    ranges::{
        Leaving,
        Mapping,
        Pool,
        Range,
        Use, //
    },
    Failed,
    Server,
    LEN,
    SHIFT, //
};
use crate::fuse::abi::{
    file::{
        RemovemappingOne,
        SetupmappingFlag,
        SetupmappingFlags,
        SetupmappingIn, //
    },
    FileHandle, //
};
use kernel::{
    page::page_align,
    prelude::*,
    rbtree::RBTree, //
};

/// Maximum number of mappings in one REMOVEMAPPING of [`Tree::retire_all`]. They are on the stack:
/// an eviction must not depend on memory.
const BATCH: usize = 16;

/// How a part is accessed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// It is read.
    Read,
    /// It is written, or read.
    Write,
}

impl Access {
    /// SETUPMAPPING of `part` at `offset` of the window.
    fn question(self, part: u64, offset: u64) -> Result<SetupmappingIn> {
        let flags: SetupmappingFlags = match self {
            Self::Read => SetupmappingFlag::Read.into(),
            Self::Write => SetupmappingFlag::Read | SetupmappingFlag::Write,
        };
        Ok(SetupmappingIn {
            fh: FileHandle::new(u64::MAX),
            foffset: part.checked_mul(LEN).ok_or(EFBIG)?,
            len: LEN,
            flags,
            moffset: offset,
        })
    }
}

/// The part of a file that has byte `pos`.
pub(super) fn part_of(pos: u64) -> u64 {
    pos >> SHIFT
}

/// How many bytes of `len` from `pos` on one mapping gives a file of `size` bytes; 0 if `pos` is
/// beyond the end. A fault gets whole pages.
pub(super) fn extent(pos: u64, len: u64, size: u64, is_fault: bool) -> u64 {
    let rest_of_part = LEN - (pos & (LEN - 1));
    let len = len.min(rest_of_part).min(size.saturating_sub(pos));
    match usize::try_from(len).ok().filter(|_| is_fault) {
        Some(len) => page_align(len).map_or(0, |len| len as u64),
        None => len,
    }
}

/// What [`Tree::find`] found.
pub(super) enum Found<'p> {
    /// The part is mapped, and stays so until this is dropped.
    Mapped(Use<'p>),
    /// The part is mapped for reading only.
    ReadOnly,
    /// The part is not mapped.
    Missing,
}

/// What became of a part that was to leave.
pub(super) enum Retired {
    /// The server has unmapped it: its range is free.
    Free(Range),
    /// It is accessed now, or not there any more.
    Stays,
    /// It has left, but the server has not unmapped it: its range is lost.
    Lost(Error),
}

/// The mapped parts of one file.
pub(super) struct Tree {
    parts: RBTree<u64, Mapping>,
}

impl Tree {
    /// Nothing is mapped.
    pub(super) fn new() -> Self {
        Self {
            parts: RBTree::new(),
        }
    }

    /// Whether nothing is mapped.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Looks for a part, and counts an access to it.
    pub(super) fn find<'p, O>(&self, pool: &'p Pool<O>, part: u64, access: Access) -> Found<'p> {
        match self.parts.get(&part) {
            Some(mapping) if access == Access::Write && !mapping.writable => Found::ReadOnly,
            Some(mapping) => pool
                .hold(mapping.number)
                .map_or(Found::Missing, Found::Mapped),
            None => Found::Missing,
        }
    }

    /// Maps a part for `access` into `range`, and counts an access to it. If it is there by now,
    /// `range` goes back to `pool`; if it is for reading only by now, it becomes writable where it
    /// is. Sleeps.
    ///
    /// # Errors
    ///
    /// The server's, or why there is no answer. `range` is back in the pool then, or lost if the
    /// server may map it later. `EFBIG` if no file has such a part.
    pub(super) fn set_up<'p, O>(
        &mut self,
        pool: &'p Pool<O>,
        server: &impl Server,
        owner: O,
        range: Range,
        part: u64,
        access: Access,
    ) -> Result<Use<'p>> {
        match self.find(pool, part, access) {
            Found::Missing => {}
            Found::Mapped(access) => {
                pool.give(range);
                return Ok(access);
            }
            Found::ReadOnly => {
                pool.give(range);
                return self.upgrade(pool, server, part)?.ok_or(EIO);
            }
        }
        let asked = access.question(part, range.offset());
        let asked = asked.map_err(Failed::Refused);
        match asked.and_then(|question| server.set_up(question)) {
            Ok(()) => {}
            Err(Failed::Refused(error)) => {
                pool.give(range);
                return Err(error);
            }
            Err(Failed::Unanswered(error)) => {
                pool.lose(range);
                return Err(error);
            }
        }
        let (number, node) = range.into_parts();
        let mapping = Mapping {
            number,
            writable: access == Access::Write,
        };
        // It was missing, and nothing else could put it there.
        self.parts.insert(node.into_node(part, mapping));
        pool.enter(number, owner, part);
        pool.hold(number).ok_or(EIO)
    }

    /// Makes a part writable where it is, and counts an access to it; `None` if it is not there any
    /// more. Sleeps.
    ///
    /// # Errors
    ///
    /// The server's, or why there is no answer. The part is still mapped for reading then.
    pub(super) fn upgrade<'p, O>(
        &mut self,
        pool: &'p Pool<O>,
        server: &impl Server,
        part: u64,
    ) -> Result<Option<Use<'p>>> {
        let Some(mapping) = self.parts.get_mut(&part) else {
            return Ok(None);
        };
        let held = pool.hold(mapping.number).ok_or(EIO)?;
        if !mapping.writable {
            let question = Access::Write.question(part, held.offset())?;
            server.set_up(question).map_err(|failed| match failed {
                Failed::Refused(error) | Failed::Unanswered(error) => error,
            })?;
            mapping.writable = true;
        }
        Ok(Some(held))
    }

    /// The first part that has no access now.
    pub(super) fn first_idle<O>(&self, pool: &Pool<O>) -> Option<u64> {
        let mut parts = self.parts.iter();
        let idle = parts.find(|(_, mapping)| pool.is_idle(mapping.number));
        idle.map(|(part, _)| *part)
    }

    /// Makes a part leave. `clean` writes its pages back, and takes them from the page cache; no
    /// caller can fault them in again before this returns. Sleeps.
    ///
    /// # Errors
    ///
    /// Those of `clean`: the part stays mapped.
    pub(super) fn retire<O>(
        &mut self,
        pool: &Pool<O>,
        server: &impl Server,
        part: u64,
        clean: impl FnOnce() -> Result,
    ) -> Result<Retired> {
        let mapping = self.parts.get(&part);
        if !mapping.is_some_and(|mapping| pool.is_idle(mapping.number)) {
            return Ok(Retired::Stays);
        }
        clean()?;
        let Some(leaving) = self.take_off(pool, part) else {
            return Ok(Retired::Stays);
        };
        let answer = server.remove(&[leaving.named()]);
        Ok(match leaving.removed(answer, pool) {
            Ok(range) => Retired::Free(range),
            Err(error) => Retired::Lost(error),
        })
    }

    /// Makes all parts leave, and their ranges free; none has an access any more, and their pages
    /// are gone. For an inode that is evicted. Sleeps.
    ///
    /// # Errors
    ///
    /// The first of the server's, or why there is no answer. The ranges of that REMOVEMAPPING are
    /// lost.
    pub(super) fn retire_all<O>(&mut self, pool: &Pool<O>, server: &impl Server) -> Result {
        let mut result = Ok(());
        while !self.is_empty() {
            let mut leaving = [const { None::<Leaving> }; BATCH];
            let mut named = [RemovemappingOne::default(); BATCH];
            let mut count = 0;
            for (slot, name) in leaving.iter_mut().zip(&mut named) {
                let first = self.parts.iter().next().map(|(part, _)| *part);
                let Some(next) = first.and_then(|part| self.take_off(pool, part)) else {
                    break;
                };
                *name = next.named();
                *slot = Some(next);
                count += 1;
            }
            let answer = server.remove(named.get(..count).unwrap_or_default());
            result = result.and(answer);
            for left in leaving.into_iter().flatten() {
                if let Ok(range) = left.removed(answer, pool) {
                    pool.give(range);
                }
            }
        }
        result
    }

    /// Takes a part off the tree.
    fn take_off<O>(&mut self, pool: &Pool<O>, part: u64) -> Option<Leaving> {
        let number = self.parts.get(&part)?.number;
        let node = self.parts.remove_node(&part)?;
        pool.leave(number);
        Some(Leaving::new(number, node.into_reservation()))
    }
}
