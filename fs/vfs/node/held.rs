// SPDX-License-Identifier: GPL-2.0

//! References to what belongs to a super block: inodes and dentries.
//!
//! Such an object keeps itself, but not its super block, which may be shut down while there is a
//! reference. So a [`Held`] is good for a time in which something else keeps that: a call of the
//! VFS, as a rule. What goes on for longer needs a [`Kept`](crate::vfs::node::inode::Kept), which
//! the shutdown waits for.

use core::{
    marker::PhantomData,
    ops::Deref,
    ptr::NonNull, //
};

/// An object that counts the references to it.
///
/// # Safety
///
/// The object must be there as long as it is counted once, but for the end of its super block.
pub(in crate::vfs) unsafe trait Counted {
    /// Counts one more.
    fn get(&self);

    /// Counts one less.
    ///
    /// # Safety
    ///
    /// The caller gives up a reference of its own.
    unsafe fn put(object: NonNull<Self>);
}

/// A reference of one's own to an inode or a dentry; its super block is not shut down for `'a`.
///
/// # Invariants
///
/// `object` is counted once for this, and its super block is kept for `'a`.
#[allow(private_bounds)]
pub(crate) struct Held<'a, O: Counted> {
    object: NonNull<O>,
    _super: PhantomData<&'a O>,
}

// SAFETY: It is a reference, and one to give back, which any thread that may sleep can do.
unsafe impl<O: Counted + Send + Sync> Send for Held<'_, O> {}
// SAFETY: As above.
unsafe impl<O: Counted + Send + Sync> Sync for Held<'_, O> {}

#[allow(private_bounds)]
impl<O: Counted> Held<'_, O> {
    /// Takes a reference over.
    ///
    /// # Safety
    ///
    /// `object` must be counted once for what is returned, and its super block be kept for the
    /// lifetime that the caller gives to it.
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
        // INVARIANT: Counted just now.
        Self { ..*self }
    }
}

impl<'a, O: Counted> From<&'a O> for Held<'a, O> {
    fn from(object: &'a O) -> Self {
        object.get();
        // INVARIANT: Counted just now. What is borrowed keeps its super block.
        Self {
            object: object.into(),
            _super: PhantomData,
        }
    }
}

impl<O: Counted> Drop for Held<'_, O> {
    fn drop(&mut self) {
        // SAFETY: The reference is this one's.
        unsafe { O::put(self.object) };
    }
}
