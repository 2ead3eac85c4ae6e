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

/// Seconds between two looks for expired dentries (`inval_wq`); 0 if nobody looks.
pub(super) fn inval_period() -> u32 {
    // SAFETY: As above.
    unsafe { read_once(&raw const bindings::fuse_param_inval_period) }
}

/// Has `changed` called after each change of [`inval_period`]; waits for a call that is running.
pub(super) fn watch_inval_period(changed: Option<unsafe extern "C" fn()>) {
    // SAFETY: It may be called in process context, as at the init and exit of the module. Whoever
    // is called asks for no more than the setter promises.
    unsafe { bindings::fuse_param_watch_inval_period(changed) };
}
