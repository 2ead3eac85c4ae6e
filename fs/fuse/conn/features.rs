// SPDX-License-Identifier: GPL-2.0

//! What INIT settled: written once, read everywhere.

/// Pages that a request may carry until INIT says otherwise (`FUSE_DEFAULT_MAX_PAGES_PER_REQ`).
pub(crate) const DEFAULT_MAX_PAGES: u32 = 32;

/// The negotiated protocol.
#[derive(Clone, Copy)]
pub(crate) struct Features {
    /// Minor version that the server speaks.
    pub(crate) minor: u32,
    /// Most bytes of data in one READ.
    pub(crate) max_read: u32,
    /// Most bytes of data in one WRITE.
    pub(crate) max_write: u32,
    /// Most pages of data in one request.
    pub(crate) max_pages: u32,
    /// Names may be as long as a path.
    pub(crate) long_names: bool,
    /// Readahead is sent in the background, and so are its requests answered in any order.
    pub(crate) async_read: bool,
    /// The requests of one direct transfer are sent at once, and so answered in any order.
    pub(crate) async_dio: bool,
    /// A WRITE may carry more than a page.
    pub(crate) big_writes: bool,
    /// OPEN truncates; no SETATTR before it.
    pub(crate) atomic_o_trunc: bool,
    /// The server applies the umask of whoever makes something.
    pub(crate) dont_mask: bool,
    /// A change of time or size seen in attributes invalidates cached data.
    pub(crate) auto_inval_data: bool,
    /// Only the server invalidates cached data.
    pub(crate) explicit_inval_data: bool,
    /// Targets of symbolic links may be cached.
    pub(crate) cache_symlinks: bool,
    /// The server keeps POSIX locks and those of open files; otherwise the kernel does by itself.
    pub(crate) posix_locks: bool,
    /// The server keeps BSD locks; otherwise the kernel does by itself.
    pub(crate) flock_locks: bool,
    /// Writes stay in the page cache; size and times of files are the kernel's.
    pub(crate) writeback_cache: bool,
    /// Reads and writes may be passed through to files that the server registers; this is how deep
    /// the mount is stacked on their file systems.
    pub(crate) passthrough: Option<u32>,
    /// Files that go past the page cache can have shared mappings.
    pub(crate) direct_io_allow_mmap: bool,
    /// The server has READDIRPLUS.
    pub(crate) readdirplus: bool,
    /// READDIRPLUS is sent only where it seems worth it.
    pub(crate) readdirplus_auto: bool,
    /// LOOKUP and READDIR of one directory may run at the same time.
    pub(crate) parallel_dirops: bool,
    /// The kernel checks POSIX ACLs.
    pub(crate) posix_acl: bool,
    /// The server answers LOOKUP of "." and "..".
    pub(crate) export_support: bool,
    /// Nothing can be found by a file handle.
    pub(crate) no_export_support: bool,
    /// Mounts may map ids.
    pub(crate) allow_idmap: bool,
    /// SETXATTR has its long form.
    pub(crate) setxattr_ext: bool,
    /// The server drops the id bits and capabilities of a file that is written, truncated, or given
    /// to another owner.
    pub(crate) handle_killpriv: bool,
    /// The same, for writes and truncations when it is told to.
    pub(crate) handle_killpriv_v2: bool,
    /// What is made carries its security context.
    pub(crate) security_context: bool,
    /// What is made carries the group of its directory, if the caller is in that.
    pub(crate) create_supp_group: bool,
    /// Reads of the device after an abort by fusectl say `ECONNABORTED`.
    pub(crate) abort_error: bool,
    /// An ioctl may ask for memory that its number does not tell. Only of character devices.
    pub(crate) unrestricted_ioctl: bool,
    /// Requests go over a ring once the server has set it up: the bytes that each of its entries
    /// has room for.
    pub(crate) ring: Option<usize>,
}

impl Features {
    /// What holds until INIT is answered.
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
}
