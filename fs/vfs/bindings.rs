// SPDX-License-Identifier: GPL-2.0

//! The C side: `kernel::bindings` plus what our own bindgen run adds to it.
//!
//! Private to `vfs`. Types that `kernel::bindings` has are taken from there, so a `file` or an
//! `inode` is one type everywhere; only headers it lacks are bound here (see `Kbuild`).
#![allow(unknown_lints)]
#![allow(
    clippy::all,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    rustdoc::all,
    unnecessary_transmutes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn,
    unused_imports
)]

// Each layer's own items shadow those of the layer below: where `kernel::bindings` only declares a
// type, the name means the full one here.
mod raw {
    pub(crate) use kernel::bindings::*;
    use kernel::ffi;

    /// A request of io_uring, which only C looks into.
    #[repr(C)]
    pub(crate) struct io_kiocb {
        _opaque: [u8; 0],
    }

    include!(concat!(
        env!("FERROFUSE_BINDINGS"),
        "/bindings_generated.rs"
    ));
}

mod helpers {
    pub(crate) use crate::vfs::bindings::raw::*;
    use kernel::ffi;

    include!(concat!(
        env!("FERROFUSE_BINDINGS"),
        "/bindings_helpers_generated.rs"
    ));
}

pub(crate) use crate::vfs::bindings::helpers::*;
