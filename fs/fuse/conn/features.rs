// SPDX-License-Identifier: GPL-2.0

//! The result of INIT: written once, read everywhere.

use kernel::page::PAGE_SIZE;

/// Maximum number of pages of a request until INIT sets another (`FUSE_DEFAULT_MAX_PAGES_PER_REQ`).
pub(crate) const DEFAULT_MAX_PAGES: u32 = 32;

/// The negotiated protocol.
#[derive(Clone, Copy)]
pub(crate) struct Features {
    /// Minor version that the server speaks.
    pub(crate) minor: u32,
    /// Maximum number of bytes of data in one READ.
    pub(crate) max_read: u32,
    /// Maximum number of bytes of data in one WRITE.
    pub(crate) max_write: u32,
    /// Maximum number of pages of data in one request.
    pub(crate) max_pages: u32,
    /// Names may be as long as a path.
    pub(crate) long_names: bool,
    /// Readahead is sent in the background, so its requests may be answered in any order.
    pub(crate) async_read: bool,
    /// The requests of one direct transfer are sent at once, and may be answered in any order.
    pub(crate) async_dio: bool,
    /// A WRITE may carry more than a page.
    pub(crate) big_writes: bool,
    /// OPEN truncates; no SETATTR before it.
    pub(crate) atomic_o_trunc: bool,
    /// The server applies the umask of callers that make a node.
    pub(crate) dont_mask: bool,
    /// A change of time or size seen in attributes invalidates cached data.
    pub(crate) auto_inval_data: bool,
    /// Only the server invalidates cached data.
    pub(crate) explicit_inval_data: bool,
    /// Targets of symbolic links may be cached.
    pub(crate) cache_symlinks: bool,
    /// The server keeps POSIX locks and those of open files; otherwise only the kernel does.
    pub(crate) posix_locks: bool,
    /// The server keeps BSD locks; otherwise only the kernel does.
    pub(crate) flock_locks: bool,
    /// Writes stay in the page cache; the kernel owns size and times of files.
    pub(crate) writeback_cache: bool,
    /// Reads and writes may be passed through to files that the server registers; this is the depth
    /// of the mount above their file systems.
    pub(crate) passthrough: Option<u32>,
    /// Files that bypass the page cache can have shared mappings.
    pub(crate) direct_io_allow_mmap: bool,
    /// The server has READDIRPLUS.
    pub(crate) readdirplus: bool,
    /// READDIRPLUS is sent only where it seems useful.
    pub(crate) readdirplus_auto: bool,
    /// LOOKUP and READDIR of one directory may run at the same time.
    pub(crate) parallel_dirops: bool,
    /// The kernel checks POSIX ACLs.
    pub(crate) posix_acl: bool,
    /// The server answers LOOKUP of "." and "..".
    pub(crate) export_support: bool,
    /// Files cannot be found by their handles.
    pub(crate) no_export_support: bool,
    /// Mounts may map ids.
    pub(crate) allow_idmap: bool,
    /// SETXATTR has its long form.
    pub(crate) setxattr_ext: bool,
    /// The server clears the id bits and capabilities of a file that is written, truncated, or
    /// given to another owner.
    pub(crate) handle_killpriv: bool,
    /// The same, for writes and truncations when a flag of the request asks for it.
    pub(crate) handle_killpriv_v2: bool,
    /// Requests that make a node have its security context.
    pub(crate) security_context: bool,
    /// Requests that make a node have the group of its directory, if the caller is in that.
    pub(crate) create_supp_group: bool,
    /// Reads of the device after an abort by fusectl return `ECONNABORTED`.
    pub(crate) abort_error: bool,
    /// An ioctl may ask for memory that its number does not describe. Only of character devices.
    pub(crate) unrestricted_ioctl: bool,
    /// Requests go over a ring once the server has set it up: the payload size of each of its
    /// entries, in bytes.
    pub(crate) ring: Option<usize>,
}

impl Features {
    /// The state until INIT is answered.
    pub(crate) const UNTIL_INIT: Self = Self {
        minor: 0,
        max_read: 0,
        max_write: 0,
        max_pages: DEFAULT_MAX_PAGES,
        long_names: false,
        async_read: false,
        async_dio: false,
        big_writes: false,
        atomic_o_trunc: false,
        dont_mask: false,
        auto_inval_data: false,
        explicit_inval_data: false,
        cache_symlinks: false,
        posix_locks: false,
        flock_locks: false,
        writeback_cache: false,
        passthrough: None,
        direct_io_allow_mmap: false,
        readdirplus: false,
        readdirplus_auto: false,
        parallel_dirops: false,
        posix_acl: false,
        export_support: false,
        no_export_support: false,
        allow_idmap: false,
        setxattr_ext: false,
        handle_killpriv: false,
        handle_killpriv_v2: false,
        security_context: false,
        create_supp_group: false,
        abort_error: false,
        unrestricted_ioctl: false,
        ring: None,
    };

    /// The number of pages for `len` bytes at `pos`, as far as one request can carry them, and how
    /// many of the bytes are in these. The offset in the first page counts: the bytes may touch one
    /// page more than they fill.
    pub(crate) fn within_pages(&self, pos: u64, len: usize) -> (usize, usize) {
        let in_page = pos as usize % PAGE_SIZE;
        let pages = in_page
            .saturating_add(len)
            .div_ceil(PAGE_SIZE)
            .min(self.max_pages as usize);
        let room = pages.saturating_mul(PAGE_SIZE).saturating_sub(in_page);
        (pages, len.min(room))
    }

    /// The maximum order of folios that can cache a file: a folio has to go into one READ, and,
    /// because a writable mapping can dirty it, into one WRITE.
    ///
    /// 0 if writes stay in the page cache. The kernel limits the dirty pages of an untrusted
    /// server; a store to a large folio makes all of it dirty, and a few of them would exceed the
    /// limit.
    pub(crate) fn max_folio_order(&self) -> u32 {
        if self.writeback_cache || !self.big_writes {
            return 0;
        }
        let bytes = self.max_read.min(self.max_write) as usize;
        let pages = (bytes / PAGE_SIZE).min(self.max_pages as usize);
        pages.checked_ilog2().unwrap_or(0)
    }
}

#[kernel::macros::kunit_tests(ferrofuse_features)]
mod tests {
    use super::*;

    const SOME: Features = Features {
        max_read: u32::MAX,
        max_write: 1 << 20,
        max_pages: 4,
        big_writes: true,
        ..Features::UNTIL_INIT
    };

    #[test]
    fn what_a_request_carries() {
        let size = PAGE_SIZE as u64;
        assert_eq!(SOME.within_pages(0, 0), (0, 0));
        assert_eq!(SOME.within_pages(0, 1), (1, 1));
        assert_eq!(SOME.within_pages(size - 1, 2), (2, 2));
        assert_eq!(SOME.within_pages(0, 4 * PAGE_SIZE), (4, 4 * PAGE_SIZE));
        assert_eq!(SOME.within_pages(1, 4 * PAGE_SIZE), (4, 4 * PAGE_SIZE - 1));
        assert_eq!(SOME.within_pages(1, usize::MAX), (4, 4 * PAGE_SIZE - 1));
    }

    #[test]
    fn folios_go_into_a_request() {
        let order = |change: fn(&mut Features)| {
            let mut features = SOME;
            change(&mut features);
            features.max_folio_order()
        };
        assert_eq!(order(|_| ()), 2);
        assert_eq!(order(|features| features.max_pages = 7), 2);
        assert_eq!(order(|features| features.max_pages = 256), 8);
        assert_eq!(
            order(|features| features.max_read = 3 * PAGE_SIZE as u32),
            1
        );
        assert_eq!(order(|features| features.max_read = 512), 0);
        assert_eq!(order(|features| features.max_write = 512), 0);
        assert_eq!(order(|features| features.writeback_cache = true), 0);
        assert_eq!(order(|features| features.big_writes = false), 0);
        assert_eq!(Features::UNTIL_INIT.max_folio_order(), 0);
    }
}
