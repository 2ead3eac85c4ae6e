// SPDX-License-Identifier: GPL-2.0

//! What servers of ordinary users may have: the module's share of memory, so that no user's server
//! can take it all.

use crate::vfs::mm::total_ram_bytes;

/// Bytes of memory for which an ordinary user's server may have one background request: so that
/// all of them take 1/2^13 of it at 392 bytes each.
const BYTES_PER_REQUEST: u64 = 392 << 13;

/// Most background requests that may be outstanding.
pub(crate) fn max_user_background() -> u32 {
    share_of_memory()
}

/// Highest congestion threshold.
pub(crate) fn max_user_congestion_threshold() -> u32 {
    share_of_memory()
}

fn share_of_memory() -> u32 {
    let limit = total_ram_bytes() / BYTES_PER_REQUEST;
    u32::from(u16::try_from(limit).unwrap_or(u16::MAX))
}
