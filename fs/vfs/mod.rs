// SPDX-License-Identifier: GPL-2.0

//! The foundation: what a file system needs of the VFS, as safe types.
//!
//! Everything `unsafe` in this crate is here, and no word of FUSE. A file system is an
//! implementation of the traits of this module; each trait method is the C method of the same
//! name, with the same calling context.

mod bindings;

pub(crate) mod dir_context;

pub(crate) mod io;
pub(crate) mod mm;
pub(crate) mod random;
pub(crate) mod sync;
pub(crate) mod trace;
