// SPDX-License-Identifier: GPL-2.0

//! The module's parameters, which `fs/glue/params.c` defines. Each may change at any time.

use crate::vfs::{
    bindings,
    node::dentry_expiry,
    once::read_once, //
};

/// Maximum number of background requests of a server without privilege (`max_user_bgreq`).
pub(crate) fn max_user_background() -> u32 {
    // SAFETY: It may be called in any context.
    unsafe { bindings::fuse_param_max_user_bgreq() }
}

/// Maximum congestion threshold of a server without privilege (`max_user_congthresh`).
pub(crate) fn max_user_congestion_threshold() -> u32 {
    // SAFETY: As above.
    unsafe { bindings::fuse_param_max_user_congthresh() }
}

/// Whether tasks with `CAP_SYS_ADMIN` may use every mount (`allow_sys_admin_access`).
pub(crate) fn allow_sys_admin_access() -> bool {
    // SAFETY: The variable lives as long as the module, and is written as a whole.
    unsafe { read_once(&raw const bindings::fuse_param_allow_sys_admin_access) }
}

/// Whether servers may take requests by io_uring (`enable_uring`).
pub(crate) fn enable_uring() -> bool {
    // SAFETY: The variable lives as long as the module, and is written as a whole.
    unsafe { read_once(&raw const bindings::fuse_param_enable_uring) }
}

/// Whether the knowledge that a file has no capability is cached (`cache_no_caps`).
pub(crate) fn cache_no_caps() -> bool {
    // SAFETY: As above.
    unsafe { read_once(&raw const bindings::fuse_param_cache_no_caps) }
}

/// The maximum order of folios that cache files (`max_folio_order`).
pub(crate) fn max_folio_order() -> u32 {
    // SAFETY: As above.
    unsafe { read_once(&raw const bindings::fuse_param_max_folio_order) }
}

/// Passes the parameter `inval_wq`, seconds between two runs of the worker, to [`dentry_expiry`];
/// dropping it ends that, and turns the worker off.
pub(crate) struct Registration(());

impl Registration {
    /// Passes it now, and after each change. Needs a [`dentry_expiry::Registration`] to have an
    /// effect.
    pub(crate) fn new() -> Self {
        // SAFETY: It may be called in process context. The function requires no more than the
        // setter promises.
        unsafe { bindings::fuse_param_watch_inval_period(Some(inval_period_changed)) };
        // SAFETY: The variable lives as long as the module, and is written as a whole.
        let period = unsafe { read_once(&raw const bindings::fuse_param_inval_period) };
        dentry_expiry::set_period(period);
        Self(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // It may be dropped at any time: this waits for a running call, and there is no other after
        // it.
        // SAFETY: As in `new`.
        unsafe { bindings::fuse_param_watch_inval_period(None) };
        dentry_expiry::set_period(0);
    }
}

/// # Safety
///
/// Called by the setter of the parameter, with the lock of the module's parameters held.
unsafe extern "C" fn inval_period_changed() {
    // SAFETY: As in `Registration::new`.
    dentry_expiry::set_period(unsafe { read_once(&raw const bindings::fuse_param_inval_period) });
}
