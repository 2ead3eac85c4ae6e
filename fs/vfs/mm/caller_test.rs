// SPDX-License-Identifier: GPL-2.0

//! The kinds of a caller's memory that can be taken as pages.

use crate::vfs::{
    bindings,
    mm::{
        caller::CallerBuffer,
        iov::Room, //
    }, //
};
use core::mem::MaybeUninit;
use kernel::{
    iov::IovIterSource,
    page::PAGE_SIZE,
    prelude::*, //
};

/// Bytes of the memory.
const LEN: usize = 64;

/// Calls `f` with the source of a write call that has the first `len` bytes of `memory`, as pages.
///
/// # Safety
///
/// `memory` must be in the kernel's direct mapping, with `len` bytes.
unsafe fn with_source<R>(
    memory: *const u8,
    len: usize,
    f: impl FnOnce(&mut IovIterSource<'_>) -> R,
) -> R {
    let bvec = bindings::bio_vec {
        // SAFETY: The caller promises it.
        bv_page: unsafe { bindings::virt_to_page(memory.cast()) },
        bv_len: len as u32,
        bv_offset: (memory as usize % PAGE_SIZE) as u32,
    };
    let mut iter = MaybeUninit::<bindings::iov_iter>::zeroed();
    // SAFETY: `bvec` lives until the end of this function, and `iter` is memory for an iterator.
    unsafe {
        bindings::iov_iter_bvec(iter.as_mut_ptr(), bindings::ITER_SOURCE, &bvec, 1, len);
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
            with_source(page as *const u8, LEN, |from| {
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
    fn pages_that_lie_together_are_copied_at_once() -> Result {
        const PAGES: usize = 4;
        const SIZE: usize = PAGES * PAGE_SIZE;
        // In the middle of a page, and not all of the last one.
        const FROM: usize = PAGE_SIZE / 2;
        const ALL: usize = SIZE - FROM - 8;

        // SAFETY: It may be called here; the pages, each on its own, are given back below.
        let block = unsafe { bindings::alloc_pages_exact_noprof(SIZE, bindings::GFP_KERNEL) };
        if block.is_null() {
            return Err(ENOMEM);
        }
        let start = block.cast::<u8>().wrapping_add(FROM);
        for at in 0..ALL {
            // SAFETY: Within the pages, which only this uses.
            unsafe { start.add(at).write((at % 251) as u8) };
        }
        // SAFETY: Pages of the direct mapping.
        let steps = unsafe {
            with_source(start, ALL, |from| {
                let pages = CallerBuffer::of_source(from)?.pages(ALL, PAGES).ok()?;
                let (mut at, mut steps) = (0, 0);
                while let Some(right) = pages.with_bytes(at, |bytes| {
                    let mut copy = KVec::from_elem(0u8, bytes.len(), GFP_KERNEL).ok()?;
                    Room::from(copy.as_mut_slice()).copy_from(bytes);
                    let expected = (at..).map(|at| (at % 251) as u8);
                    let right = copy.iter().copied().eq(expected.take(copy.len()));
                    right.then_some(copy.len())
                }) {
                    at += right?;
                    steps += 1;
                }
                (at == ALL).then_some(steps)
            })
        };
        // SAFETY: Allocated above, and all other references are gone.
        unsafe { bindings::free_pages_exact(block, SIZE) };
        // A kernel that maps each page on its own needs a step for each.
        assert!(steps == Some(1) || steps == Some(PAGES));
        Ok(())
    }

    #[test]
    fn memory_of_the_slab_is_not_taken() -> Result {
        let memory = KBox::new([0u8; LEN], GFP_KERNEL)?;
        // SAFETY: Memory of kmalloc, which does not cross pages.
        let taken = unsafe {
            with_source(memory.as_ptr(), LEN, |from| {
                CallerBuffer::of_source(from).is_some()
            })
        };
        assert!(!taken);
        Ok(())
    }
}
