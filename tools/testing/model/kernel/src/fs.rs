// SPDX-License-Identifier: GPL-2.0

//! Open files.

use crate::{
    error::{
        code::EBADF,
        Result, //
    },
    sync::Arc,
};
use core::{
    any::Any,
    ops::Deref, //
};
use std::{
    collections::HashMap,
    sync::Mutex, //
};

/// A file.
pub mod file {
    pub use super::{
        File,
        LocalFile, //
    };
    /// Its flags.
    pub mod flags {
        pub const O_NONBLOCK: u32 = 0o4000;
    }
}

/// A file, as its own task sees it.
pub struct LocalFile {
    /// The table of its operations, by address.
    ops: usize,
    device: Box<dyn Any + Send + Sync>,
    flags: u32,
}

/// A file.
#[repr(transparent)]
pub struct File(LocalFile);

/// What a descriptor is of, while it is looked at.
pub struct Fetched(std::sync::Arc<File>);

static DESCRIPTORS: Mutex<Option<HashMap<u32, std::sync::Arc<File>>>> = Mutex::new(None);

impl File {
    /// A file of this device, whose operations are at `ops`.
    pub fn new<T: Send + Sync + 'static>(ops: usize, device: Arc<T>, flags: u32) -> Self {
        Self(LocalFile {
            ops,
            device: Box::new(device),
            flags,
        })
    }

    pub fn as_ptr(&self) -> *mut File {
        core::ptr::from_ref(self).cast_mut()
    }
}

impl LocalFile {
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The device, if these are its operations.
    pub fn device<T: 'static>(&self, ops: usize) -> Option<&Arc<T>> {
        (self.ops == ops)
            .then(|| self.device.downcast_ref())
            .flatten()
    }

    /// What the descriptor is of.
    ///
    /// # Errors
    ///
    /// `EBADF`.
    pub fn fget(fd: u32) -> Result<Fetched> {
        let descriptors = DESCRIPTORS.lock().unwrap();
        let file = descriptors.as_ref().and_then(|table| table.get(&fd));
        file.cloned().map(Fetched).ok_or(EBADF)
    }
}

impl Deref for File {
    type Target = LocalFile;
    fn deref(&self) -> &LocalFile {
        &self.0
    }
}

impl Deref for Fetched {
    type Target = LocalFile;
    fn deref(&self) -> &LocalFile {
        &self.0 .0
    }
}

/// Gives the file a descriptor, or takes it away.
pub fn set_descriptor(fd: u32, file: Option<std::sync::Arc<File>>) {
    let mut descriptors = DESCRIPTORS.lock().unwrap();
    let table = descriptors.get_or_insert_with(HashMap::new);
    let old = match file {
        Some(file) => table.insert(fd, file),
        None => table.remove(&fd),
    };
    drop(descriptors);
    drop(old);
}
