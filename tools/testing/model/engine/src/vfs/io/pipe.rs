// SPDX-License-Identifier: GPL-2.0

//! Pipes: no server splices.

use crate::vfs::mm::iov::{
    Dest,
    Room,
    SharedBytes,
    Source, //
};
use kernel::prelude::*;

/// To splice to.
pub(crate) enum PipeDest<'a> {
    #[doc(hidden)]
    Never(core::convert::Infallible, &'a ()),
}

/// To splice from.
pub(crate) enum PipeSource<'a> {
    #[doc(hidden)]
    Never(core::convert::Infallible, &'a ()),
}

impl PipeDest<'_> {
    fn never(&self) -> ! {
        match self {
            Self::Never(never, _) => match *never {},
        }
    }
}

impl PipeSource<'_> {
    fn never(&self) -> ! {
        match self {
            Self::Never(never, _) => match *never {},
        }
    }
}

impl Dest for PipeDest<'_> {
    fn len(&self) -> usize {
        self.never()
    }
    fn copy_nofault(&mut self, _: SharedBytes<'_>) -> usize {
        self.never()
    }
    fn fault_in(&mut self, _: usize) -> Result {
        self.never()
    }
}

impl Source for PipeSource<'_> {
    fn len(&self) -> usize {
        self.never()
    }
    fn copy_nofault(&mut self, _: Room<'_>) -> usize {
        self.never()
    }
    fn fault_in(&mut self, _: usize) -> Result {
        self.never()
    }
}
