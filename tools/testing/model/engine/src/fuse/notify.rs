// SPDX-License-Identifier: GPL-2.0

//! What of `notify` looks at no inode: what a notification says.

#[path = "../../../../../../fs/fuse/notify/message.rs"]
mod message;

use self::message::{
    Bounds,
    Message,
    NameOf, //
};
use crate::fuse::channel::owner::Payload;
use kernel::error::Result;

/// Takes a notification, and checks what the rest of the room relies on. Nothing is done about it.
pub(crate) fn take(code: i32, payload: &mut dyn Payload) -> Result {
    let bounds = Bounds {
        name: 1024,
        file: i64::MAX as u64,
    };
    let before = payload.len();
    match Message::take(code, payload, bounds)? {
        Message::InvalInode { pages, .. } => {
            if let Some(pages) = pages {
                assert!(pages.start() <= pages.end(), "{pages:?}");
            }
        }
        Message::InvalEntry { name, .. } | Message::Delete { name, .. } => {
            let NameOf { name, .. } = &name;
            assert!(name.len() <= bounds.name && name.len() < before && payload.len() == 0);
        }
        Message::Store { pos, .. } => {
            assert!(pos.start <= pos.end && pos.end <= bounds.file, "{pos:?}");
            assert!(pos.end - pos.start <= payload.len() as u64);
        }
        Message::Retrieve { offset, .. } => assert!(offset < bounds.file),
        Message::Prune { count } => assert!(count * 8 == payload.len()),
        Message::Poll(_) => assert!(payload.len() == 0),
        Message::Resend | Message::IncEpoch => assert!(payload.len() == before),
    }
    Ok(())
}
