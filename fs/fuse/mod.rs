// SPDX-License-Identifier: GPL-2.0

//! The house: FUSE, without `unsafe`.

pub(crate) mod abi;
pub(crate) mod op;
pub(crate) mod trace;
