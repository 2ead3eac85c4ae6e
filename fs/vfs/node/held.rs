// SPDX-License-Identifier: GPL-2.0

//! References to objects of a super block: inodes and dentries.
//!
//! Such an object keeps itself, but not its super block, which may be shut down while there is a
//! reference. So a [`Held`] is good only while something else keeps the super block, usually a call
//! of the VFS. Longer use needs a [`Kept`](crate::vfs::node::inode::Kept), which the shutdown waits
//! for.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

/// An object that counts the references to it.
///
/// # Safety
///
/// The object must stay valid while there is a reference, unless its super block is shut down.
pub(in crate::vfs) unsafe trait Counted {
    /// Takes a reference.
    fn get(&self);

    /// Gives up a reference.
    ///
    /// # Safety
    ///
    /// The caller gives up a reference of its own.
    unsafe fn put(object: NonNull<Self>);
}

/// An owned reference to an inode or a dentry, whose super block is not shut down for `'a`.
///
/// # Invariants
///
/// It owns one reference to `object`, whose super block is kept for `'a`.
#[allow(private_bounds)]
pub(crate) struct Held<'a, O: Counted> {
    object: NonNull<O>,
    _super: PhantomData<&'a O>,
}

// SAFETY: It only reads the object and gives a reference back, which any thread that may sleep can
// do.
unsafe impl<O: Counted + Send + Sync> Send for Held<'_, O> {}
// SAFETY: As above.
unsafe impl<O: Counted + Send + Sync> Sync for Held<'_, O> {}

#[allow(private_bounds)]
impl<O: Counted> Held<'_, O> {
    /// Takes a reference over.
    ///
    /// # Safety
    ///
    /// The caller must own a reference to `object`, which this takes over, and `object`'s super
    /// block must be kept for the lifetime that the caller gives to the value.
    pub(in crate::vfs) unsafe fn from_raw(object: NonNull<O>) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            object,
            _super: PhantomData,
        }
    }

    /// Gives the reference to the caller.
    pub(in crate::vfs) fn into_raw(self) -> NonNull<O> {
        core::mem::ManuallyDrop::new(self).object
    }
}

impl<O: Counted> Deref for Held<'_, O> {
    type Target = O;

    fn deref(&self) -> &O {
        // SAFETY: By the type invariant; what is returned does not outlive `'a`, nor this.
        unsafe { self.object.as_ref() }
    }
}

impl<O: Counted> Clone for Held<'_, O> {
    fn clone(&self) -> Self {
        self.get();
        // INVARIANT: The reference was taken just now.
        Self { ..*self }
    }
}

impl<'a, O: Counted> From<&'a O> for Held<'a, O> {
    fn from(object: &'a O) -> Self {
        object.get();
        // INVARIANT: The reference was taken just now. The borrow keeps the super block.
        Self {
            object: object.into(),
            _super: PhantomData,
        }
    }
}

impl<O: Counted> Drop for Held<'_, O> {
    fn drop(&mut self) {
        // SAFETY: The value owns the reference.
        unsafe { O::put(self.object) };
    }
}
