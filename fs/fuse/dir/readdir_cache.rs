// SPDX-License-Identifier: GPL-2.0

//! Names of a directory from its page cache (`FOPEN_CACHE_DIR`).
//!
//! `dir/readdir.rs` appends what the server sends, record by record, as long as each is the one
//! after the last. When the server says that there are no more, the cache is complete, and readers
//! are served from it from then on. `inode/dir_cache.rs` knows how much of it is valid.
//!
//! A record lies within one page, and the rest of a page is zero. Records longer than a page are
//! not cached, and then the cache never becomes complete.
//!
//! Locks: that of a folio of the directory, and inside it that of its `DirCache`. Neither is held
//! while a record is passed to the reader: records are copied first.

use super::{
    emit::emit,
    records::{
        Record,
        Records, //
    }, //
};
use crate::{
    fuse::{
        abi::{
            header::rec_align,
            node::Dirent, //
        },
        attr::getattr::update_attributes,
        inode::{
            dir_cache::Found,
            handle::OpenHandle, //
        },
        Fuse, //
    },
    vfs::{
        file::dir_context::DirContext,
        node::{
            attr::Statx,
            inode::INode, //
        },
    },
};
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};
use zerocopy::IntoBytes;

/// Passes names on from the cache; returns whether the read is done. If not, the server has to be
/// asked from the reader's position on. May sleep.
///
/// # Errors
///
/// `ENOMEM`; those of fetching the time of the directory's last change.
pub(super) fn read(handle: &OpenHandle, ctx: &mut DirContext) -> Result<bool> {
    let dir = handle.inode();
    let conn = handle.mount().conn();
    if ctx.pos() == 0 && conn.features().auto_inval_data {
        // The check of the cache below uses the modification time.
        update_attributes(dir, None, Statx::Mtime.into())?;
    }

    let mut place = handle.place();
    if place.pos != ctx.pos() {
        // The reader has moved: its record is searched from the start.
        (place.pos, place.offset) = (0, 0);
    }
    let cache = &dir.data().names;
    let mut records: KVVec<u8> = KVVec::new();
    let done = loop {
        records.clear();
        let end = match cache.find(dir, conn.epoch(), ctx.pos(), &mut place) {
            Found::Nothing => break false,
            Found::End => break true,
            Found::Records(end) => end,
        };
        records.reserve(PAGE_SIZE, GFP_KERNEL)?;
        let Some(page) = dir.find_dir_page(place.page()) else {
            cache.lost(place.version);
            continue;
        };
        if !cache.is_current(place.version) {
            continue;
        }
        page.with_bytes(|bytes| {
            let bytes = bytes.get(place.offset_in_page()..end).unwrap_or(&[]);
            // There is room for a page.
            records.extend_from_slice(bytes, GFP_NOWAIT)
        })
        .unwrap_or(Ok(()))?;
        drop(page);

        let page_start = place.page().saturating_mul(PAGE_SIZE);
        let mut full = false;
        // The rest of the page is zero, which is not a record.
        for Record { entry, name } in Records(&records).map_while(Result::ok) {
            if place.pos == ctx.pos() && !emit(&entry, name, ctx) {
                full = true;
                break;
            }
            place.pos = entry.off as i64;
            place.offset = place.offset.saturating_add(record_len(&entry).unwrap_or(0));
        }
        if full {
            break true;
        }
        place.offset = page_start.saturating_add(end);
    };
    handle.set_place(place);
    Ok(done)
}

/// Appends the record whose position is `pos`, if it is the next one. May sleep.
///
/// A cache that cannot be filled stays incomplete, which is not an error.
pub(super) fn append(dir: &INode<Fuse>, pos: i64, entry: &Dirent, name: &[u8]) {
    let cache = &dir.data().names;
    let Some(room) = record_len(entry).and_then(|len| cache.room_for(pos, len)) else {
        return;
    };
    let is_first = room.at.offset_in_page() == 0;
    let page = if is_first {
        dir.make_dir_page(room.at.page())
    } else {
        dir.find_dir_page(room.at.page())
    };
    let Some(mut page) = page else {
        return;
    };
    cache.fill(&room, entry.off as i64, || {
        if is_first {
            page.clear();
        }
        page.with_bytes_mut(|bytes| put(bytes, room.at.offset_in_page(), entry, name))
            .flatten()
            .is_some()
    });
}

/// Notes that the server has no record at `pos`. May sleep.
pub(super) fn end(dir: &INode<Fuse>, pos: i64) {
    if let Some(size) = dir.data().names.end(pos) {
        // Drops pages of a version that was longer.
        dir.truncate_pagecache(size as i64);
    }
}

fn put(bytes: &mut [u8], at: usize, entry: &Dirent, name: &[u8]) -> Option<()> {
    let (head, rest) = bytes
        .get_mut(at..)?
        .split_at_mut_checked(size_of::<Dirent>())?;
    let space = rest.get_mut(..name.len())?;
    head.copy_from_slice(entry.as_bytes());
    space.copy_from_slice(name);
    Some(())
}

/// Length of a record, padding included.
fn record_len(entry: &Dirent) -> Option<usize> {
    rec_align(size_of::<Dirent>().checked_add(entry.namelen as usize)?)
}
