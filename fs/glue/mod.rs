// SPDX-License-Identifier: GPL-2.0

//! Glue: the parts of FUSE that need C, as safe functions.
//!
//! The tracepoints with the names of the operations, and the parameters of the module, each a C
//! file and the Rust one that calls it. `fs/vfs` knows nothing of this; `fs/fuse` uses it.

pub(crate) mod params;
pub(crate) mod trace;
