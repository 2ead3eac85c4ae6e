// SPDX-License-Identifier: GPL-2.0

//! The sysctls under `fs.fuse`; `conn/limits.rs` has the numbers and documents them.

use crate::{
    fuse::conn::limits::{
        DEFAULT_REQUEST_TIMEOUT,
        MAX_PAGES_LIMIT,
        MAX_REQUEST_TIMEOUT, //
    },
    vfs::control::sysctl::Table, //
};

/// All of them.
pub(crate) static TABLE: Table<3> = Table::new(
    c"fs/fuse",
    [
        (c"max_pages_limit", &MAX_PAGES_LIMIT),
        (c"default_request_timeout", &DEFAULT_REQUEST_TIMEOUT),
        (c"max_request_timeout", &MAX_REQUEST_TIMEOUT),
    ],
);
