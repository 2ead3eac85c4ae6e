// SPDX-License-Identifier: GPL-2.0

//! The module's parameters, which `fs/params.c` defines. Each may change at any time.

use super::{
    bindings,
    read_once, //
};

/// Most background requests of a server without privilege (`max_user_bgreq`).
pub(crate) fn max_user_background() -> u32 {
    // SAFETY: It may be called in any context.
    unsafe { bindings::fuse_param_max_user_bgreq() }
}

/// Highest congestion threshold of a server without privilege (`max_user_congthresh`).
pub(crate) fn max_user_congestion_threshold() -> u32 {
    // SAFETY: As above.
    unsafe { bindings::fuse_param_max_user_congthresh() }
}

/// Whether the system's administrators may use every mount (`allow_sys_admin_access`).
pub(crate) fn allow_sys_admin_access() -> bool {
    // SAFETY: The variable lives as long as the module, and is written as a whole.
    unsafe { read_once(&raw const bindings::fuse_param_allow_sys_admin_access) }
}
