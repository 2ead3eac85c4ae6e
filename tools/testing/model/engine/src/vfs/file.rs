// SPDX-License-Identifier: GPL-2.0

//! Open files.

pub(crate) mod open;
pub(crate) mod poll;
