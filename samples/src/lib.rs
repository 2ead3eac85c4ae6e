// SPDX-License-Identifier: GPL-2.0

//! What every sample needs: a mount, requests and replies as bytes, and a file system of a few files.

pub mod mount;
pub mod read_only;
pub mod wire;
