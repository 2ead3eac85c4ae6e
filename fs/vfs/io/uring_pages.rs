// SPDX-License-Identifier: GPL-2.0

//! Pages that a server gets as a registered buffer of its ring, instead of a copy of them.
//!
//! A server reads and writes them by io_uring's operations on fixed buffers. To take them back
//! empties the slot of the buffer; io_uring lets go of the pages when the last operation on them has
//! ended, which may be later, and after the module has let go of everything else. So pages are held
//! by references of their own, and the bytes in them are never anything but
//! [`SharedBytes`](crate::vfs::mm::iov::SharedBytes) and [`Room`](crate::vfs::mm::iov::Room): others
//! may change them. An [`Anchor`] keeps the module loaded until then.
//!
//! Locks: takes the lock of the ring, unless the call holds it.
//!
//! C header: `include/linux/io_uring/cmd.h`.

use crate::vfs::{
    bindings,
    io::uring::Access,
    mm::piece::HeldPieces, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    ffi,
    fs::File,
    module::this_module,
    prelude::*,
    sync::aref::ARef,
    types::ForeignOwnable,
    ModuleMetadata, //
};

/// Keeps the module loaded, by an open file that nothing else uses.
///
/// What io_uring calls to let go of pages is code of the module. When it drops the last anchor, the
/// file is closed by the kernel, later: a reference to the module itself could end before that call
/// has returned.
#[derive(Clone)]
pub(crate) struct Anchor {
    _file: ARef<File>,
}

/// The operations of such a file: none.
struct Table<M>(PhantomData<M>);

impl<M: ModuleMetadata> Table<M> {
    const OPS: &'static bindings::file_operations = &bindings::file_operations {
        owner: this_module::<M>().as_ptr(),
        ..pin_init::zeroed()
    };
}

impl Anchor {
    /// Keeps the module `M` loaded from now on. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new<M: ModuleMetadata>() -> Result<Self> {
        // SAFETY: The name and the table are static, and files of the table have nothing private.
        let file = from_err_ptr(unsafe {
            bindings::anon_inode_getfile(
                c"[fuse]".as_char_ptr(),
                Table::<M>::OPS,
                core::ptr::null_mut(),
                0,
            )
        })?;
        let file = NonNull::new(file.cast::<File>()).ok_or(ENOMEM)?;
        // SAFETY: A new file, whose only reference this takes over; it was never a descriptor.
        let file = unsafe { ARef::from_raw(file) };
        Ok(Self { _file: file })
    }
}

/// What io_uring has, until it calls [`release`].
struct Lent {
    pages: HeldPieces,
    /// Dropped last.
    _anchor: Anchor,
}

/// io_uring lets go of pages.
///
/// # Safety
///
/// `lent` is from [`KBox::into_foreign`] of a [`Lent`], and is not used any more.
unsafe extern "C" fn release(lent: *mut ffi::c_void) {
    // SAFETY: By the safety requirement.
    let lent = unsafe { <KBox<Lent> as ForeignOwnable>::from_foreign(lent) };
    let Lent { pages, _anchor } = KBox::into_inner(lent);
    drop(pages);
}

/// Where pages are among the registered buffers of a ring.
pub(crate) struct Slot {
    /// The ring, to compare only (`io_uring_cmd_ctx_handle()`).
    ring: usize,
    index: u16,
}

impl Access<'_> {
    fn ring_of(cmd: NonNull<bindings::io_uring_cmd>) -> usize {
        // SAFETY: A command that an `Access` has is valid.
        unsafe { bindings::io_uring_cmd_ring(cmd.as_ptr()) }.addr()
    }

    /// Makes `pages` the registered buffer `index` of the ring, for the server to write if it
    /// `fills` them, else to read. Sleeps.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the ring has no such slot, or the call is another ring's; `EBUSY` if it has a
    /// buffer in the slot; `ENOMEM`.
    pub(crate) fn lend_pages(
        &self,
        index: u16,
        pages: HeldPieces,
        fills: bool,
        anchor: &Anchor,
    ) -> Result<Slot> {
        let cmd = self.command().ok_or(EINVAL)?;
        let count = u32::try_from(pages.vectors().len()).map_err(|_| EINVAL)?;
        let direction = if fills {
            bindings::ITER_DEST
        } else {
            bindings::ITER_SOURCE
        };
        let vectors = pages.vectors().as_ptr();
        let lent = KBox::new(
            Lent {
                pages,
                _anchor: anchor.clone(),
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let lent = lent.into_foreign();
        // SAFETY: The command and the flags are those of a call that lasts. The list has `count`
        // entries, and is copied; its pages are held until `release`.
        let result = to_result(unsafe {
            bindings::io_buffer_register_bvec(
                cmd.as_ptr(),
                vectors,
                count,
                Some(release),
                lent,
                1 << direction,
                index.into(),
                self.flags(),
            )
        });
        match result {
            Ok(()) => Ok(Slot {
                ring: Self::ring_of(cmd),
                index,
            }),
            Err(error) => {
                // SAFETY: Nothing has it.
                unsafe { release(lent) };
                Err(error)
            }
        }
    }

    /// Empties a slot, if this is a call of its ring; one of another ring stays as it is until that
    /// ring ends, or the server empties it. Sleeps.
    pub(crate) fn take_pages_back(&self, slot: Slot) {
        let Some(cmd) = self
            .command()
            .filter(|cmd| Self::ring_of(*cmd) == slot.ring)
        else {
            return;
        };
        // It fails if the server has emptied the slot, or has another buffer there by now.
        // SAFETY: The command and the flags are those of a call that lasts.
        let _ = unsafe {
            bindings::io_buffer_unregister(cmd.as_ptr(), slot.index.into(), self.flags())
        };
    }
}
