// SPDX-License-Identifier: GPL-2.0

//! Stand-ins for the attributes of the kernel's `macros`.

use proc_macro::TokenStream;

/// Leaves the trait or its implementation as it is: no stand-in asks which methods are there.
#[proc_macro_attribute]
pub fn vtable(_: TokenStream, item: TokenStream) -> TokenStream {
    item
}

/// Leaves the unit tests out: they run inside the kernel.
#[proc_macro_attribute]
pub fn kunit_tests(_: TokenStream, _: TokenStream) -> TokenStream {
    TokenStream::new()
}
