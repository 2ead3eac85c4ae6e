// SPDX-License-Identifier: GPL-2.0

//! Buffers of users.

use crate::bindings::iov_iter;
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};

/// Where a user buffer faults: bytes that are present at first, and those that each fault brings in.
/// Without more of those, a fault is `EFAULT`.
#[derive(Clone, Copy)]
pub struct Presence<'a> {
    pub at_first: usize,
    pub faults: &'a [usize],
}

impl Presence<'_> {
    /// It is all there.
    pub const ALL: Self = Self {
        at_first: usize::MAX,
        faults: &[],
    };
}

macro_rules! buffer {
    ($(#[$doc:meta])* $name:ident, $bytes:ty) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name<'a> {
            iter: UnsafeCell<iov_iter>,
            _bytes: PhantomData<$bytes>,
        }

        impl<'a> $name<'a> {
            /// The buffer; `copied` is told of each copy.
            pub fn new(bytes: $bytes, presence: Presence<'_>, copied: Option<fn(usize)>) -> Self {
                let mut faults = presence.faults.to_vec();
                faults.reverse();
                Self {
                    iter: UnsafeCell::new(iov_iter {
                        bytes: bytes.as_ptr().cast_mut(),
                        len: bytes.len(),
                        present: presence.at_first,
                        faults,
                        copied,
                    }),
                    _bytes: PhantomData,
                }
            }

            /// # Safety
            ///
            /// It is valid, and nobody else's, for as long as this is used.
            pub unsafe fn from_raw(iter: *mut iov_iter) -> &'a mut Self {
                // SAFETY: This is nothing but an iterator.
                unsafe { &mut *iter.cast() }
            }

            /// Bytes that are left.
            pub fn len(&self) -> usize {
                // SAFETY: One thread has it.
                unsafe { (*self.iter.get()).len }
            }

            /// Whether none are.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            pub fn as_raw(&self) -> *mut iov_iter {
                self.iter.get()
            }
        }
    };
}

buffer! {
    /// To copy to.
    IovIterDest, &'a mut [u8]
}

buffer! {
    /// To copy from.
    IovIterSource, &'a [u8]
}
