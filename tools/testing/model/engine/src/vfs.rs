// SPDX-License-Identifier: GPL-2.0

//! What the engine uses of `fs/vfs`: files of the tree where they do not reach further, else
//! stand-ins.

pub(crate) mod bindings;
pub(crate) mod cpu;
pub(crate) mod cred;
pub(crate) mod file;
pub(crate) mod io;
pub(crate) mod mm;
pub(crate) mod node;
pub(crate) mod random;
pub(crate) mod sync;
