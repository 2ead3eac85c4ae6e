// SPDX-License-Identifier: GPL-2.0

//! The kinds of a caller's memory that can be taken as pages.

use crate::vfs::{
    bindings,
    mm::caller::CallerBuffer, //
};
use core::mem::MaybeUninit;
use kernel::{
    iov::IovIterSource,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Bytes of the memory.
const LEN: usize = 64;

/// Calls `f` with the source of a write call that has the first bytes of `memory`, as a page.
///
/// # Safety
///
/// `memory` must be in the kernel's direct mapping, with [`LEN`] bytes in one page.
unsafe fn with_source<R>(memory: *const u8, f: impl FnOnce(&mut IovIterSource<'_>) -> R) -> R {
    let bvec = bindings::bio_vec {
        // SAFETY: The caller promises it.
        bv_page: unsafe { bindings::virt_to_page(memory.cast()) },
        bv_len: LEN as u32,
        bv_offset: (memory as usize % PAGE_SIZE) as u32,
    };
    let mut iter = MaybeUninit::<bindings::iov_iter>::zeroed();
    // SAFETY: `bvec` lives until the end of this function, and `iter` is memory for an iterator.
    unsafe {
        bindings::iov_iter_bvec(iter.as_mut_ptr(), bindings::ITER_SOURCE, &bvec, 1, LEN);
    }
    // SAFETY: Initialised above, as a source, and only `f` uses it.
    f(unsafe { IovIterSource::from_raw(iter.as_mut_ptr()) })
}

#[kunit_tests(vfs_caller)]
mod tests {
    use crate::vfs::mm::caller_test::*;

    #[test]
    fn pages_are_taken_with_references() -> Result {
        // SAFETY: It may be called here; the page is given back below.
        let page = unsafe { bindings::get_free_pages_noprof(bindings::GFP_KERNEL, 0) };
        if page == 0 {
            return Err(ENOMEM);
        }
        // SAFETY: A page of the direct mapping.
        let taken = unsafe {
            with_source(page as *const u8, |from| {
                let mut buffer = CallerBuffer::of_source(from)?;
                buffer.pages(LEN, 1).ok().map(|pages| pages.len())
            })
        };
        // SAFETY: Allocated above, and all other references are gone.
        unsafe { bindings::free_pages(page, 0) };
        assert_eq!(taken, Some(LEN));
        Ok(())
    }

    #[test]
    fn memory_of_the_slab_is_not_taken() -> Result {
        let memory = KBox::new([0u8; LEN], GFP_KERNEL)?;
        // SAFETY: Memory of kmalloc, which does not cross pages.
        let taken = unsafe {
            with_source(memory.as_ptr(), |from| {
                CallerBuffer::of_source(from).is_some()
            })
        };
        assert!(!taken);
        Ok(())
    }
}
