// SPDX-License-Identifier: GPL-2.0

//! What every sample needs: a mount, and requests and replies as bytes.

pub mod mount;
pub mod wire;
