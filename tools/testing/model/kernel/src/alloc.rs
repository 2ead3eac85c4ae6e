// SPDX-License-Identifier: GPL-2.0

//! Memory. It is never short, and what is freed under a spin lock fails.

use core::{
    marker::Unsize,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::{
        CoerceUnsized,
        Deref,
        DerefMut,
        DispatchFromDyn, //
    },
    ptr::NonNull,
};

/// There is no memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// How memory is wanted; all is the same here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags;

/// The usual ones.
pub mod flags {
    use super::Flags;
    pub const GFP_KERNEL: Flags = Flags;
    pub const GFP_KERNEL_ACCOUNT: Flags = Flags;
    pub const GFP_NOFS: Flags = Flags;
}

/// A box.
pub struct KBox<T: ?Sized>(NonNull<T>);

// SAFETY: It owns its content.
unsafe impl<T: ?Sized + Send> Send for KBox<T> {}
// SAFETY: As above.
unsafe impl<T: ?Sized + Sync> Sync for KBox<T> {}

impl<T: ?Sized + Unsize<U>, U: ?Sized> CoerceUnsized<KBox<U>> for KBox<T> {}
impl<T: ?Sized + Unsize<U>, U: ?Sized> DispatchFromDyn<KBox<U>> for KBox<T> {}

impl<T> KBox<T> {
    #[allow(clippy::new_ret_no_self)]
    pub fn new(value: T, _: Flags) -> Result<Self, AllocError> {
        Ok(Self::from_std(Box::new(value)))
    }

    pub fn new_uninit(_: Flags) -> Result<KBox<MaybeUninit<T>>, AllocError> {
        Ok(KBox::from_std(Box::new(MaybeUninit::uninit())))
    }

    pub fn into_inner(this: Self) -> T {
        *this.into_std()
    }
}

impl<T> KBox<MaybeUninit<T>> {
    pub fn write(self, value: T) -> KBox<T> {
        let raw = Self::into_raw(self).cast::<T>();
        // SAFETY: The memory is for a `T`, and of a box.
        unsafe {
            raw.write(value);
            KBox::from_raw(raw)
        }
    }
}

impl<T: ?Sized> KBox<T> {
    pub(crate) fn from_std(std: Box<T>) -> Self {
        crate::rt::count_box(1);
        Self(NonNull::from(Box::leak(std)))
    }

    fn into_std(self) -> Box<T> {
        let raw = Self::into_raw(self);
        crate::rt::count_box(-1);
        // SAFETY: It was leaked.
        unsafe { Box::from_raw(raw) }
    }

    pub fn into_raw(this: Self) -> *mut T {
        ManuallyDrop::new(this).0.as_ptr()
    }

    /// # Safety
    ///
    /// It came from [`KBox::into_raw`].
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: As the caller says.
        Self(unsafe { NonNull::new_unchecked(raw) })
    }
}

impl<T: ?Sized> Drop for KBox<T> {
    fn drop(&mut self) {
        crate::rt::freeing("a box");
        crate::rt::count_box(-1);
        // SAFETY: It was leaked, and this is the end of it.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<T: ?Sized> Deref for KBox<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: It owns it.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: It owns it.
        unsafe { self.0.as_mut() }
    }
}

/// A vector.
pub struct KVec<T>(Vec<T>);

/// A vector that may be large.
pub type KVVec<T> = KVec<T>;

impl<T> KVec<T> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }
    pub fn with_capacity(capacity: usize, _: Flags) -> Result<Self, AllocError> {
        Ok(Self(Vec::with_capacity(capacity)))
    }
    pub fn zeroed(len: usize, _: Flags) -> Result<Self, AllocError>
    where
        T: Clone + zerocopy::FromZeros,
    {
        Ok(Self(vec![T::new_zeroed(); len]))
    }
    pub fn push(&mut self, value: T, _: Flags) -> Result<(), AllocError> {
        self.0.push(value);
        Ok(())
    }
    pub fn push_within_capacity(&mut self, value: T) -> Result<(), T> {
        if self.0.len() == self.0.capacity() {
            return Err(value);
        }
        self.0.push(value);
        Ok(())
    }
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop()
    }
    pub fn reserve(&mut self, additional: usize, _: Flags) -> Result<(), AllocError> {
        self.0.reserve(additional);
        Ok(())
    }
    pub fn extend_from_slice(&mut self, other: &[T], _: Flags) -> Result<(), AllocError>
    where
        T: Clone,
    {
        self.0.extend_from_slice(other);
        Ok(())
    }
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
    pub fn clear(&mut self) {
        self.0.clear();
    }
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        self.0.retain_mut(|item| keep(item));
    }
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }
    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for KVec<T> {
    fn drop(&mut self) {
        if self.0.capacity() != 0 {
            crate::rt::freeing("a vector");
        }
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> IntoIterator for KVec<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(mut self) -> Self::IntoIter {
        core::mem::take(&mut self.0).into_iter()
    }
}

impl<'a, T> IntoIterator for &'a KVec<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut KVec<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}
