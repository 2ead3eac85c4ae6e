// SPDX-License-Identifier: GPL-2.0

//! What is looked at now and then: a scenario looks when it wants to.

use kernel::{
    prelude::*,
    time::Jiffies, //
};

/// What is looked at.
pub(crate) trait Check: Send + Sync + 'static {
    /// Looks; returns whether to look again.
    fn check(&self) -> bool;
}

/// Looks at `C` when the scenario says so.
pub(crate) struct Watchdog<C: Check> {
    check: C,
}

impl<C: Check> Watchdog<C> {
    pub(crate) fn start(check: C, _period: Jiffies) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(Self { check }, GFP_KERNEL)
    }

    /// One period has gone by.
    pub(crate) fn look(&self) -> bool {
        self.check.check()
    }
}
