// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the `kernel` crate, on the host and under a scheduler that a checker controls.
//!
//! What the engine uses of `kernel` is here under the same names; [`rt`] has what is behind it: the
//! scheduler, tasks and their signals. `README.md` beside the workspace says what the stand-ins
//! promise and what they leave out. Where a file of the kernel can be compiled as it is, it is.
#![feature(arbitrary_self_types, coerce_unsized, dispatch_from_dyn, unsize)]
#![feature(core_intrinsics, const_eval_select)]
#![allow(internal_features, missing_docs)]

#[path = "/usr/src/linux-source-7.3/rust/kernel/impl_flags.rs"]
mod impl_flags;

pub mod alloc;
pub mod bindings;
pub mod error;
pub mod fs;
pub mod iov;
pub mod rt;
pub mod sync;
pub mod uaccess;
#[allow(non_camel_case_types, clippy::missing_safety_doc)]
pub mod uring;

/// Plain types of C.
pub mod ffi {
    pub use core::ffi::*;
}

/// Attributes.
pub mod macros {
    pub use ::macros::*;
}

/// The size of a page.
pub mod page {
    /// In bytes.
    pub const PAGE_SIZE: usize = 1 << PAGE_SHIFT;
    /// As a power of two.
    pub const PAGE_SHIFT: usize = 12;
}

/// Numbers of ioctls, as on x86.
pub mod ioctl {
    const fn number(dir: u32, ty: u32, nr: u32, size: usize) -> u32 {
        (dir << 30) | ((size as u32) << 16) | (ty << 8) | nr
    }
    #[allow(non_snake_case)]
    pub const fn _IO(ty: u32, nr: u32) -> u32 {
        number(0, ty, nr, 0)
    }
    #[allow(non_snake_case)]
    pub const fn _IOR<T>(ty: u32, nr: u32) -> u32 {
        number(2, ty, nr, size_of::<T>())
    }
    #[allow(non_snake_case)]
    pub const fn _IOW<T>(ty: u32, nr: u32) -> u32 {
        number(1, ty, nr, size_of::<T>())
    }
}

/// Raw memory of a C type.
pub mod types {
    use core::{
        cell::UnsafeCell,
        marker::PhantomPinned,
        mem::MaybeUninit, //
    };
    use pin_init::{
        pin_init_from_closure,
        PinInit, //
    };

    /// What can be given to C, and comes back.
    pub trait ForeignOwnable: Sized {
        fn into_foreign(self) -> *mut core::ffi::c_void;

        /// # Safety
        ///
        /// It came from [`Self::into_foreign`], and comes back once.
        unsafe fn from_foreign(foreign: *mut core::ffi::c_void) -> Self;
    }

    impl<T> ForeignOwnable for crate::alloc::KBox<T> {
        fn into_foreign(self) -> *mut core::ffi::c_void {
            Self::into_raw(self).cast()
        }

        unsafe fn from_foreign(foreign: *mut core::ffi::c_void) -> Self {
            // SAFETY: As the caller says.
            unsafe { Self::from_raw(foreign.cast()) }
        }
    }

    /// Memory whose content C looks after. Nothing is dropped.
    #[repr(transparent)]
    pub struct Opaque<T> {
        value: UnsafeCell<MaybeUninit<T>>,
        _pin: PhantomPinned,
    }

    impl<T> Opaque<T> {
        pub const fn uninit() -> Self {
            Self {
                value: UnsafeCell::new(MaybeUninit::uninit()),
                _pin: PhantomPinned,
            }
        }

        pub fn ffi_init(init: impl FnOnce(*mut T)) -> impl PinInit<Self> {
            // SAFETY: `init` fills the slot, as the caller promises by using this.
            unsafe {
                pin_init_from_closure(move |slot: *mut Self| {
                    init(slot.cast());
                    Ok(())
                })
            }
        }

        pub const fn get(&self) -> *mut T {
            UnsafeCell::get(&self.value).cast()
        }
    }
}

/// What a task may do.
pub mod task {
    /// Fails where a spin lock is held or page faults are off.
    #[track_caller]
    pub fn might_sleep() {
        crate::rt::might_sleep();
    }
}

/// CPUs: there is one.
pub mod cpu {
    /// The number of one.
    pub struct CpuId;
    impl CpuId {
        pub fn current() -> Self {
            Self
        }
        pub fn as_u32(&self) -> u32 {
            0
        }
    }
    pub fn nr_cpu_ids() -> u32 {
        1
    }
}

/// The coarse clock.
pub mod time {
    pub type Jiffies = core::ffi::c_ulong;
    /// A jiffy is a millisecond.
    pub fn msecs_to_jiffies(msecs: u32) -> Jiffies {
        Jiffies::from(msecs)
    }
}

/// Files of `/proc`: nothing is printed.
pub mod seq_file {
    /// One of them.
    pub struct SeqFile;
}

/// A tree by key.
pub mod rbtree {
    use crate::alloc::{
        AllocError,
        Flags, //
    };
    use std::collections::BTreeMap;

    /// The memory of a node, which counts as a box.
    struct Room;

    impl Drop for Room {
        fn drop(&mut self) {
            crate::rt::freeing("a node of a tree");
            crate::rt::count_box(-1);
        }
    }

    /// Memory for a node.
    pub struct RBTreeNodeReservation<K, V>(Room, core::marker::PhantomData<(K, V)>);
    /// A key and its value.
    pub struct RBTreeNode<K, V>(K, (V, Room));
    /// A tree.
    pub struct RBTree<K, V>(BTreeMap<K, (V, Room)>);
    /// A place in a tree.
    pub struct Cursor<'a, K, V>(&'a K, &'a V);

    impl<K, V> RBTreeNodeReservation<K, V> {
        pub fn new(_: Flags) -> Result<Self, AllocError> {
            crate::rt::count_box(1);
            Ok(Self(Room, core::marker::PhantomData))
        }
        pub fn into_node(self, key: K, value: V) -> RBTreeNode<K, V> {
            RBTreeNode(key, (value, self.0))
        }
    }

    impl<K: Ord + Clone, V> RBTree<K, V> {
        pub fn new() -> Self {
            Self(BTreeMap::new())
        }
        pub fn insert(&mut self, node: RBTreeNode<K, V>) -> Option<RBTreeNode<K, V>> {
            let key = node.0.clone();
            let old = self.0.insert(node.0, node.1);
            old.map(|old| RBTreeNode(key, old))
        }
        pub fn get(&self, key: &K) -> Option<&V> {
            self.0.get(key).map(|(value, _)| value)
        }
        pub fn remove_node(&mut self, key: &K) -> Option<RBTreeNode<K, V>> {
            self.0
                .remove_entry(key)
                .map(|(key, value)| RBTreeNode(key, value))
        }
        pub fn cursor_lower_bound(&self, key: &K) -> Option<Cursor<'_, K, V>> {
            self.0
                .range(key..)
                .next()
                .map(|(key, (value, _))| Cursor(key, value))
        }
    }

    impl<K: Ord + Clone, V> Default for RBTree<K, V> {
        fn default() -> Self {
            Self::new()
        }
    }

    impl<'a, K, V> Cursor<'a, K, V> {
        pub fn current(&self) -> (&'a K, &'a V) {
            (self.0, self.1)
        }
    }
}

/// Strings of C.
pub mod str {
    pub use core::ffi::CStr;

    /// What the kernel adds to them.
    pub trait CStrExt {
        fn as_char_ptr(&self) -> *const core::ffi::c_char;
    }

    impl CStrExt for CStr {
        fn as_char_ptr(&self) -> *const core::ffi::c_char {
            self.as_ptr()
        }
    }
}

/// What every file has.
pub mod prelude {
    pub use crate::{
        alloc::{
            flags::*,
            KBox,
            KVVec,
            KVec, //
        },
        error::{
            code::*,
            Error,
            Result, //
        },
        init_traits::InPlaceInit,
        str::{
            CStr,
            CStrExt as _, //
        },
        try_pin_init,
    };
    pub use ::macros::{
        kunit_tests,
        vtable, //
    };
    pub use core::{
        ffi::{
            c_char,
            c_int,
            c_long,
            c_uint,
            c_ulong,
            c_void, //
        },
        mem::{
            align_of,
            size_of, //
        },
        pin::Pin,
    };
    pub use pin_init::{
        init,
        pin_data,
        pin_init,
        pinned_drop,
        Init,
        PinInit, //
    };
    pub use zerocopy::{
        FromBytes,
        IntoBytes, //
    };
    pub use zerocopy_derive::{
        FromBytes,
        IntoBytes, //
    };
}

/// Things that are made in memory of their own.
pub mod init_traits {
    use crate::{
        alloc::{
            Flags,
            KBox, //
        },
        error::{
            Error,
            Result, //
        },
        sync::Arc,
    };
    use core::{
        mem::MaybeUninit,
        pin::Pin, //
    };
    use pin_init::PinInit;

    /// Memory in which a `T` can be made.
    pub trait InPlaceInit<T>: Sized {
        /// What it is then.
        type PinnedSelf;

        /// Makes one.
        fn pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Self::PinnedSelf>
        where
            Error: From<E>;
    }

    fn place<T, E>(init: impl PinInit<T, E>) -> Result<Box<T>>
    where
        Error: From<E>,
    {
        let mut memory: Box<MaybeUninit<T>> = Box::new(MaybeUninit::uninit());
        // SAFETY: The memory is that of the box, which is not moved out of.
        unsafe { pin_init::raw_try_init(memory.as_mut_ptr(), init) }?;
        // SAFETY: Initialised just now.
        Ok(unsafe { Box::from_raw(Box::into_raw(memory).cast()) })
    }

    impl<T> InPlaceInit<T> for KBox<T> {
        type PinnedSelf = Pin<Self>;

        fn pin_init<E>(init: impl PinInit<T, E>, _: Flags) -> Result<Pin<Self>>
        where
            Error: From<E>,
        {
            // SAFETY: The content of a box does not move with it.
            Ok(unsafe { Pin::new_unchecked(KBox::from_std(place(init)?)) })
        }
    }

    impl<T> InPlaceInit<T> for Arc<T> {
        type PinnedSelf = Self;

        fn pin_init<E>(init: impl PinInit<T, E>, _: Flags) -> Result<Self>
        where
            Error: From<E>,
        {
            Ok(Arc::place(init)?)
        }
    }
}

/// As the kernel's.
#[macro_export]
macro_rules! try_pin_init {
    ($($args:tt)*) => {
        ::pin_init::pin_init!(#[default_error($crate::error::Error)] $($args)*)
    }
}

/// A string of C.
#[macro_export]
macro_rules! c_str {
    ($str:expr) => {
        match ::core::ffi::CStr::from_bytes_with_nul(concat!($str, "\0").as_bytes()) {
            Ok(str) => str,
            Err(_) => unreachable!(),
        }
    };
}

/// A lock class: all are the same.
#[macro_export]
macro_rules! static_lock_class {
    () => {
        ::core::pin::Pin::static_ref(&$crate::sync::LockClassKey)
    };
}

/// Prints nothing.
#[macro_export]
macro_rules! seq_print {
    ($m:expr, $($arg:tt)+) => {{
        let _: &$crate::seq_file::SeqFile = $m;
        let _ = ::core::format_args!($($arg)+);
    }};
}
