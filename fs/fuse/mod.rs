// SPDX-License-Identifier: GPL-2.0

//! The house: FUSE, without `unsafe`.
//!
//! Rooms in walking order; each imports only those above it, and `vfs`.

pub(crate) mod abi;
pub(crate) mod op;
pub(crate) mod trace;

pub(crate) mod request;

pub(crate) mod channel;

pub(crate) mod transport;
