// SPDX-License-Identifier: GPL-2.0

//! The C side, see `kernel::bindings`.

pub(crate) use kernel::bindings::*;
