// SPDX-License-Identifier: GPL-2.0

//! Objects as a path walk sees them.

use core::ops::Deref;
use kernel::{
    prelude::*,
    types::NotThreadSafe, //
};

/// An object as a path walk sees it: only the view of it in RCU walk, the object itself in ref
/// walk.
pub(crate) enum Walk<'a, O: Deref> {
    /// RCU walk: nothing may sleep, and the object may be going away.
    Rcu(InRcu<'a, O::Target>),
    /// Ref walk: the walk holds a reference.
    Ref(&'a O),
}

/// A view in RCU walk. Only the VFS can make one.
///
/// # Invariants
///
/// The current task is in an RCU read-side critical section for `'a`.
pub(crate) struct InRcu<'a, V: ?Sized> {
    view: &'a V,
    _task: NotThreadSafe,
}

impl<'a, V: ?Sized> InRcu<'a, V> {
    /// # Safety
    ///
    /// The current task must be in an RCU read-side critical section for `'a`.
    pub(in crate::vfs) unsafe fn new(view: &'a V) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            view,
            _task: NotThreadSafe,
        }
    }
}

impl<V: ?Sized> Clone for InRcu<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V: ?Sized> Copy for InRcu<'_, V> {}

impl<O: Deref> Clone for Walk<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Deref> Copy for Walk<'_, O> {}

impl<'a, O: Deref> Walk<'a, O> {
    /// The view, which both walks may use.
    pub(crate) fn view(self) -> &'a O::Target {
        match self {
            Self::Rcu(InRcu { view, .. }) => view,
            Self::Ref(object) => object,
        }
    }

    /// The object, whose user may sleep and take references; `ECHILD` in RCU walk, which makes the
    /// VFS start again in ref walk.
    pub(crate) fn may_block(self) -> Result<&'a O> {
        match self {
            Self::Rcu(_) => Err(ECHILD),
            Self::Ref(object) => Ok(object),
        }
    }
}
