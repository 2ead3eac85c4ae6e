// SPDX-License-Identifier: GPL-2.0

//! What `fs/glue` has, as far as the engine uses it.

pub(crate) mod trace;
