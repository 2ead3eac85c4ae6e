// SPDX-License-Identifier: GPL-2.0

//! Which ranges leave their files when few are free.
//!
//! Locks: none; a pass calls its caller for each range, who may sleep.

use super::ranges::Pool;
use kernel::prelude::*;

/// Maximum number of ranges that one pass looks at (`FUSE_DAX_RECLAIM_CHUNK`).
const PASS_MAX: usize = 10;

/// Makes ranges leave by `retire`, which gets a file and the part that is mapped, until enough are
/// free, none is idle, or it has looked at [`PASS_MAX`]. Sleeps if `retire` does. Returns whether
/// another pass is needed.
///
/// # Errors
///
/// Those of `retire`, which end the pass.
pub(super) fn pass<O: Copy>(
    pool: &Pool<O>,
    mut retire: impl FnMut(O, u64) -> Result,
) -> Result<bool> {
    for _ in 0..PASS_MAX {
        if !pool.is_low() {
            return Ok(false);
        }
        let Some((owner, part)) = pool.next_idle() else {
            break;
        };
        retire(owner, part)?;
    }
    Ok(pool.is_low())
}
