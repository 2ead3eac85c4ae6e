// SPDX-License-Identifier: GPL-2.0

//! What of `conn` needs no mount.

#[path = "../../../../../../fs/fuse/conn/lock_owner.rs"]
pub(crate) mod lock_owner;
