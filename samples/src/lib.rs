// SPDX-License-Identifier: GPL-2.0

//! Shared by the samples: a mount, requests and replies as bytes, and a file system of a few files.

pub mod mount;
pub mod read_only;
pub mod wire;
