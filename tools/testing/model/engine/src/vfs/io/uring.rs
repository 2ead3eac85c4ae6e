// SPDX-License-Identifier: GPL-2.0

//! Commands of io_uring, as `fs/vfs/io/uring.rs` has them. No scenario has a ring, so there are none
//! of these values; the ring of the tree is compiled, and its queues stay empty.

use crate::vfs::mm::iov::{
    Dest,
    Room,
    SharedBytes,
    Source, //
};
use core::{
    convert::Infallible,
    marker::PhantomData, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Bytes of a command in a submission entry of 128 bytes.
pub(crate) const COMMAND_LEN: usize = 80;

/// A party that parks commands.
pub(crate) trait Commands: Send + Sync + Sized + 'static {
    type Filled;

    fn cancel(&self, id: CommandId) -> Option<Parked<Self>>;
    fn in_task(
        &self,
        command: Parked<Self>,
        filled: Self::Filled,
        issue: &Issue<'_>,
        cancelled: bool,
    );
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandId(usize);

pub(crate) struct Issue<'a>(Infallible, PhantomData<&'a ()>);

pub(crate) struct Verdict<'a>(Infallible, PhantomData<&'a ()>);

pub(crate) struct Command<'a, Q>(Infallible, PhantomData<(&'a (), fn(Q))>);

impl<'a, Q: Commands> Command<'a, Q> {
    pub(crate) fn number(&self) -> u32 {
        match self.0 {}
    }

    pub(crate) fn bytes(&self) -> Option<[u8; COMMAND_LEN]> {
        match self.0 {}
    }

    pub(crate) fn fixed_buffer(&self) -> Option<u16> {
        match self.0 {}
    }

    pub(crate) fn two_vectors(&self) -> Result<[(usize, usize); 2]> {
        match self.0 {}
    }

    pub(crate) fn access(&self) -> Access<'_> {
        match self.0 {}
    }

    pub(crate) fn done(self, _result: Result) -> Verdict<'a> {
        match self.0 {}
    }

    pub(crate) fn park(self, _queue: Arc<Q>) -> (Parked<Q>, Issue<'a>, Verdict<'a>) {
        match self.0 {}
    }
}

pub(crate) struct Parked<Q>(Infallible, PhantomData<fn(Q)>);

impl<Q: Commands> Parked<Q> {
    pub(crate) fn id(&self) -> CommandId {
        match self.0 {}
    }

    pub(crate) fn access<'i>(&'i self, _issue: &'i Issue<'_>) -> Access<'i> {
        match self.0 {}
    }

    pub(crate) fn complete(self, _result: Result, _issue: &Issue<'_>) {
        match self.0 {}
    }

    pub(crate) fn dispatch(self, _filled: Q::Filled) {
        match self.0 {}
    }

    pub(crate) fn end(self, _result: Result) {
        match self.0 {}
    }
}

pub(crate) struct Access<'a>(Infallible, PhantomData<&'a ()>);

impl<'a> Access<'a> {
    pub(crate) fn area(&self, _address: usize, _len: usize) -> Result<FixedArea<'a>> {
        match self.0 {}
    }

    pub(crate) fn text(&self, _address: usize, _len: usize) -> Result<FixedText<'a>> {
        match self.0 {}
    }
}

macro_rules! area {
    ($($name:ident: $trait:ident($bytes:ty)),* $(,)?) => {$(
        pub(crate) struct $name<'a>(Infallible, PhantomData<&'a ()>);

        impl $trait for $name<'_> {
            fn len(&self) -> usize {
                match self.0 {}
            }

            fn copy_nofault(&mut self, _bytes: $bytes) -> usize {
                match self.0 {}
            }

            fn fault_in(&mut self, _len: usize) -> Result {
                match self.0 {}
            }
        }
    )*};
}

area! {
    FixedArea: Dest(SharedBytes<'_>),
    FixedText: Source(Room<'_>),
    Area: Dest(SharedBytes<'_>),
    Text: Source(Room<'_>),
}

/// Memory of the current task that a message goes to.
pub(crate) type UserArea = Area<'static>;
/// Memory of the current task that a message comes from.
pub(crate) type UserText = Text<'static>;

impl UserArea {
    pub(crate) fn new(_address: usize, _len: usize) -> Result<Self> {
        Err(EFAULT)
    }
}

impl UserText {
    pub(crate) fn new(_address: usize, _len: usize) -> Result<Self> {
        Err(EFAULT)
    }
}
