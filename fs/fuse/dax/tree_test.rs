// SPDX-License-Identifier: GPL-2.0

//! The mapped parts of files, against a server that knows what the window shows.

use super::{
    ranges::Pool,
    reclaim,
    tree::{
        extent,
        part_of,
        Access,
        Found,
        Retired,
        Tree, //
    },
    Failed,
    Server,
    LEN, //
};
use crate::fuse::abi::file::{
    RemovemappingOne,
    SetupmappingFlag,
    SetupmappingIn, //
};
use core::cell::Cell;
use kernel::{
    page::PAGE_SIZE,
    prelude::*,
    sync::Arc, //
};

/// The number of ranges that the windows of the tests have at most.
const RANGES: usize = 32;

/// What a range shows: a part of a file, and whether it is writable.
type Shown = Option<(u64, u64, bool)>;

/// What the servers of all files share.
struct Host {
    window: Cell<[Shown; RANGES]>,
    /// How the next questions are answered.
    set_up: Cell<Result<(), Failed>>,
    remove: Cell<Result>,
    asked: Cell<usize>,
    /// How many REMOVEMAPPINGs there were, and how many mappings they named.
    removals: Cell<(usize, usize)>,
    /// A question that a right caller does not ask was asked.
    is_wronged: Cell<bool>,
}

impl Host {
    fn new() -> Self {
        Self {
            window: Cell::new([None; RANGES]),
            set_up: Cell::new(Ok(())),
            remove: Cell::new(Ok(())),
            asked: Cell::new(0),
            removals: Cell::new((0, 0)),
            is_wronged: Cell::new(false),
        }
    }

    /// The server of this file.
    fn of(&self, file: u64) -> OfFile<'_> {
        OfFile { host: self, file }
    }

    fn shows(&self, offset: u64) -> Shown {
        let window = self.window.get();
        let range = window.get((offset / LEN) as usize);
        range.copied().flatten()
    }
}

/// The server of one file.
struct OfFile<'a> {
    host: &'a Host,
    file: u64,
}

impl Server for OfFile<'_> {
    fn set_up(&self, args: SetupmappingIn) -> Result<(), Failed> {
        let host = self.host;
        host.asked.set(host.asked.get() + 1);
        host.set_up.get()?;
        let part = args.foffset / LEN;
        let writable = args.flags.contains(SetupmappingFlag::Write);
        let mut window = host.window.get();
        let Some(shown) = window.get_mut((args.moffset / LEN) as usize) else {
            host.is_wronged.set(true);
            return Ok(());
        };
        let is_upgrade = *shown == Some((self.file, part, false)) && writable;
        let is_whole = args.len == LEN && args.foffset % LEN == 0 && args.moffset % LEN == 0;
        let is_readable = args.flags.contains(SetupmappingFlag::Read);
        if !(shown.is_none() || is_upgrade) || !is_whole || !is_readable {
            host.is_wronged.set(true);
        }
        *shown = Some((self.file, part, writable));
        host.window.set(window);
        Ok(())
    }

    fn remove(&self, mappings: &[RemovemappingOne]) -> Result {
        let host = self.host;
        let (requests, named) = host.removals.get();
        host.removals.set((requests + 1, named + mappings.len()));
        host.remove.get()?;
        let mut window = host.window.get();
        for mapping in mappings {
            let shown = window.get_mut((mapping.moffset / LEN) as usize);
            let shown = shown.and_then(Option::take);
            let is_its_own = shown.is_some_and(|(file, _, _)| file == self.file);
            if !is_its_own || mapping.len != LEN {
                host.is_wronged.set(true);
            }
        }
        host.window.set(window);
        Ok(())
    }
}

type Window = Arc<Pool<u64>>;

fn window(ranges: u64) -> Result<Window> {
    Arc::pin_init(Pool::new(ranges * LEN)?, GFP_KERNEL)
}

/// Maps a part and ends the access at once; returns where it is in the window.
fn map(tree: &mut Tree, pool: &Window, of: &OfFile<'_>, part: u64, access: Access) -> Result<u64> {
    let range = pool.take().ok_or(ENOSPC)?;
    let held = tree.set_up(pool, of, of.file, range, part, access)?;
    Ok(held.offset())
}

/// The number of free ranges; they are not free any more.
fn drain(pool: &Window) -> usize {
    let mut count = 0;
    while let Some(range) = pool.take() {
        drop(range);
        count += 1;
    }
    count
}

#[kernel::macros::kunit_tests(ferrofuse_dax_tree)]
mod tests {
    use super::*;

    #[test]
    fn an_extent_ends_with_its_part_and_with_the_file() {
        assert_eq!(part_of(LEN - 1), 0);
        assert_eq!(part_of(LEN), 1);
        let page = PAGE_SIZE as u64;
        for (pos, len, size, read, fault) in [
            (0, 10, 100, 10, page),
            (0, 3 * LEN, 4 * LEN, LEN, LEN),
            (LEN - 1, 10, 4 * LEN, 1, page),
            (LEN + 5, 10, LEN + 8, 3, page),
            (0, LEN, page + 1, page + 1, 2 * page),
            (8, 10, 8, 0, 0),
            (8, 10, 7, 0, 0),
            (u64::MAX, u64::MAX, 0, 0, 0),
            (u64::MAX - 1, u64::MAX, u64::MAX, 1, page),
        ] {
            assert_eq!(extent(pos, len, size, false), read);
            assert_eq!(extent(pos, len, size, true), fault);
        }
    }

    #[test]
    fn a_part_is_mapped_once_and_made_writable_in_place() -> Result {
        let (pool, host) = (window(4)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        assert!(matches!(tree.find(&pool, 3, Access::Read), Found::Missing));
        let at = map(&mut tree, &pool, &of, 3, Access::Read)?;
        assert_eq!(host.shows(at), Some((1, 3, false)));
        match tree.find(&pool, 3, Access::Read) {
            Found::Mapped(held) => assert_eq!(held.offset(), at),
            _ => return Err(EIO),
        }
        assert!(matches!(
            tree.find(&pool, 3, Access::Write),
            Found::ReadOnly
        ));
        let held = tree.upgrade(&pool, &of, 3)?.ok_or(EIO)?;
        assert_eq!(held.offset(), at);
        assert_eq!(host.shows(at), Some((1, 3, true)));
        assert!(tree.upgrade(&pool, &of, 3)?.is_some());
        assert!(tree.upgrade(&pool, &of, 4)?.is_none());
        assert_eq!(host.asked.get(), 2);
        assert!(!host.is_wronged.get());
        drop(held);
        assert_eq!(tree.first_idle(&pool), Some(3));
        Ok(())
    }

    #[test]
    fn one_that_comes_second_uses_what_the_first_has_mapped() -> Result {
        let (pool, host) = (window(4)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        let at = map(&mut tree, &pool, &of, 0, Access::Read)?;
        assert_eq!(map(&mut tree, &pool, &of, 0, Access::Read)?, at);
        assert_eq!(host.asked.get(), 1);
        // A write must not use what is mapped for reading only.
        assert_eq!(map(&mut tree, &pool, &of, 0, Access::Write)?, at);
        assert_eq!(host.shows(at), Some((1, 0, true)));
        assert_eq!(map(&mut tree, &pool, &of, 0, Access::Read)?, at);
        assert_eq!(host.asked.get(), 2);
        assert_eq!(drain(&pool), 3);
        Ok(())
    }

    #[test]
    fn a_refused_range_is_free_and_an_unanswered_one_is_not() -> Result {
        let (pool, host) = (window(4)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        host.set_up.set(Err(Failed::Refused(EIO)));
        let result = map(&mut tree, &pool, &of, 0, Access::Read);
        assert_eq!(result.err(), Some(EIO));
        assert_eq!(pool.lost(), 0);
        host.set_up.set(Err(Failed::Unanswered(EINTR)));
        let result = map(&mut tree, &pool, &of, 0, Access::Read);
        assert_eq!(result.err(), Some(EINTR));
        assert_eq!(pool.lost(), 1);
        let result = map(&mut tree, &pool, &of, u64::MAX / LEN + 1, Access::Read);
        assert_eq!(result.err(), Some(EFBIG));
        assert_eq!(host.asked.get(), 2);
        assert!(tree.is_empty());
        host.set_up.set(Ok(()));
        map(&mut tree, &pool, &of, 0, Access::Read)?;
        host.set_up.set(Err(Failed::Refused(EACCES)));
        assert_eq!(tree.upgrade(&pool, &of, 0).err(), Some(EACCES));
        assert!(matches!(
            tree.find(&pool, 0, Access::Write),
            Found::ReadOnly
        ));
        assert_eq!(tree.first_idle(&pool), Some(0));
        assert_eq!(drain(&pool), 2);
        Ok(())
    }

    #[test]
    fn a_part_in_use_or_that_cannot_be_cleaned_stays() -> Result {
        let (pool, host) = (window(4)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        map(&mut tree, &pool, &of, 0, Access::Read)?;
        let Found::Mapped(held) = tree.find(&pool, 0, Access::Read) else {
            return Err(EIO);
        };
        assert_eq!(tree.first_idle(&pool), None);
        let retired = tree.retire(&pool, &of, 0, || Err(EIO))?;
        assert!(matches!(retired, Retired::Stays));
        drop(held);
        let retired = tree.retire(&pool, &of, 0, || Err(EIO));
        assert_eq!(retired.err(), Some(EIO));
        assert!(matches!(
            tree.find(&pool, 0, Access::Read),
            Found::Mapped(_)
        ));
        assert_eq!(host.removals.get(), (0, 0));
        let retired = tree.retire(&pool, &of, 0, || Ok(()))?;
        assert!(matches!(retired, Retired::Free(range) if range.offset() == 0));
        assert_eq!(host.shows(0), None);
        let retired = tree.retire(&pool, &of, 0, || Ok(()))?;
        assert!(matches!(retired, Retired::Stays));
        assert!(tree.is_empty());
        assert_eq!(pool.next_idle(), None);
        Ok(())
    }

    #[test]
    fn a_range_that_the_server_keeps_is_lost() -> Result {
        let (pool, host) = (window(2)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        map(&mut tree, &pool, &of, 0, Access::Read)?;
        host.remove.set(Err(EBUSY));
        let retired = tree.retire(&pool, &of, 0, || Ok(()))?;
        assert!(matches!(retired, Retired::Lost(EBUSY)));
        assert_eq!(pool.lost(), 1);
        assert_eq!(map(&mut tree, &pool, &of, 0, Access::Read)?, LEN);
        assert_eq!(drain(&pool), 0);
        Ok(())
    }

    #[test]
    fn an_eviction_takes_all_parts_in_few_requests() -> Result {
        let (pool, host) = (window(20)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        tree.retire_all(&pool, &of)?;
        for part in 0..20 {
            map(&mut tree, &pool, &of, part * 3, Access::Write)?;
        }
        tree.retire_all(&pool, &of)?;
        assert!(tree.is_empty() && !host.is_wronged.get());
        assert_eq!(host.removals.get(), (2, 20));
        for part in 0..20 {
            map(&mut tree, &pool, &of, part, Access::Write)?;
        }
        host.remove.set(Err(ENOTCONN));
        assert_eq!(tree.retire_all(&pool, &of).err(), Some(ENOTCONN));
        assert!(tree.is_empty());
        assert_eq!(pool.lost(), 20);
        assert_eq!(pool.wait().err(), Some(EIO));
        Ok(())
    }

    #[test]
    fn a_pass_ends_when_enough_are_free() -> Result {
        let (pool, host) = (window(20)?, Host::new());
        let (mut tree, of) = (Tree::new(), host.of(1));
        for part in 0..20 {
            map(&mut tree, &pool, &of, part, Access::Read)?;
        }
        let mut left = 0;
        let again = reclaim::pass(&pool, |file, part| {
            assert_eq!(file, 1);
            left += 1;
            match tree.retire(&pool, &of, part, || Ok(()))? {
                Retired::Free(range) => pool.give(range),
                _ => return Err(EIO),
            }
            Ok(())
        })?;
        assert!(!again);
        // A fifth of 20.
        assert_eq!(left, 4);
        // All others are in use.
        let mut looked = 0;
        while pool.take().is_some() {}
        let again = reclaim::pass(&pool, |_, _| {
            looked += 1;
            Ok(())
        })?;
        assert!(again);
        assert_eq!(looked, 10);
        let failed = reclaim::pass(&pool, |_, _| Err(EIO));
        assert_eq!(failed.err(), Some(EIO));
        Ok(())
    }

    /// Whatever happens, the window shows a caller the part that it asked for.
    #[test]
    fn the_window_never_shows_another_part() -> Result {
        let (pool, host) = (window(8)?, Host::new());
        let mut trees = [Tree::new(), Tree::new(), Tree::new()];
        let mut seed: u32 = 1;
        let mut random = |below: u32| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 16) % below
        };
        for _ in 0..3000 {
            let file = random(3) as usize;
            let part = u64::from(random(6));
            let access = match random(2) {
                0 => Access::Read,
                _ => Access::Write,
            };
            let Some(tree) = trees.get_mut(file) else {
                return Err(EIO);
            };
            let of = OfFile {
                host: &host,
                file: file as u64,
            };
            // Two ranges are lost at most, so that the test does not run dry.
            let keeps = pool.lost() < 2 && random(50) == 0;
            host.remove.set(if keeps { Err(EIO) } else { Ok(()) });
            let refuses = random(20) == 0;
            host.set_up.set(match refuses {
                true => Err(Failed::Refused(EIO)),
                false => Ok(()),
            });
            if random(8) == 0 {
                if let Retired::Free(range) = tree.retire(&pool, &of, part, || Ok(()))? {
                    pool.give(range);
                }
                continue;
            }
            if random(100) == 0 && !keeps {
                tree.retire_all(&pool, &of)?;
                continue;
            }
            let found = match tree.find(&pool, part, access) {
                Found::Mapped(held) => Ok(held),
                Found::ReadOnly => tree
                    .upgrade(&pool, &of, part)
                    .and_then(|held| held.ok_or(EIO)),
                Found::Missing => match (pool.take(), tree.first_idle(&pool)) {
                    (Some(range), _) => tree.set_up(&pool, &of, of.file, range, part, access),
                    (None, Some(other)) => match tree.retire(&pool, &of, other, || Ok(()))? {
                        Retired::Free(range) => {
                            tree.set_up(&pool, &of, of.file, range, part, access)
                        }
                        _ => continue,
                    },
                    (None, None) => {
                        let Some((owner, other)) = pool.next_idle() else {
                            return Err(EIO);
                        };
                        let server = OfFile {
                            host: &host,
                            file: owner,
                        };
                        let tree = trees.get_mut(owner as usize).ok_or(EIO)?;
                        if let Retired::Free(range) =
                            tree.retire(&pool, &server, other, || Ok(()))?
                        {
                            pool.give(range);
                        }
                        continue;
                    }
                },
            };
            match found {
                Ok(held) => {
                    let shown = host.shows(held.offset()).ok_or(EIO)?;
                    assert_eq!((shown.0, shown.1), (of.file, part));
                    assert!(shown.2 || access == Access::Read);
                }
                Err(error) => assert!(refuses && error == EIO),
            }
        }
        assert!(!host.is_wronged.get());
        assert!(pool.lost() > 0);
        Ok(())
    }
}
