// SPDX-License-Identifier: GPL-2.0

//! Sleeping, queueing and deadlines: what `kernel::sync` does not have yet.

pub(crate) mod deadline;
pub(crate) mod fasync;
pub(crate) mod queue;
pub(crate) mod wait;
