// SPDX-License-Identifier: GPL-2.0

//! The connection: one server, as the file system sees it (`struct fuse_conn`).
//!
//! Owns the options of the mount ([`options`]), the result of INIT ([`features`]), the operations
//! that the server lacks ([`mod@unimplemented`]), the files it has registered ([`backing`]), and
//! the counters that order attributes. The file system calls [`mount::Mount::call`]; this module
//! calls `channel`. It does not depend on any transport.
//!
//! Locks: those of [`mounts`] and [`backing`], leaves.

pub(crate) mod access;
mod backing;
pub(crate) mod call;
pub(crate) mod creds;
pub(crate) mod features;
pub(crate) mod init;
pub(crate) mod limits;
pub(crate) mod lock_owner;
pub(crate) mod mount;
pub(crate) mod mounts;
pub(crate) mod options;
pub(crate) mod unimplemented;

use self::{
    backing::BackingFiles,
    features::Features,
    lock_owner::LockOwnerKey,
    mounts::Mounts,
    options::{
        Dax,
        MountOptions,
        DEFAULT_BLOCK_SIZE, //
    },
    unimplemented::Unimplemented, //
};
use crate::fuse::{
    abi::device::BackingMap,
    channel::{
        timeout::Expiry,
        Channel, //
    }, //
};
use crate::vfs::{
    cred::UserNs,
    io::backing::Backing,
    sync::watchdog::Watchdog, //
};
use kernel::{
    pid_namespace::PidNamespace,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        SetOnce, //
    },
};

/// Maximum length of a name until INIT allows more than one page, in bytes (`FUSE_NAME_LOW_MAX`).
const NAME_LOW_MAX: usize = 1024;
/// Maximum length of a name, in bytes (`FUSE_NAME_MAX`): a path with its NUL.
const NAME_MAX: usize = 4095;

/// Congestion threshold unless the server says otherwise: three quarters of the background
/// requests.
const DEFAULT_CONGESTION_THRESHOLD: u32 = 9;

/// One server, from the mount until the last user of it is gone.
#[pin_data]
pub(crate) struct Connection {
    channel: Arc<Channel>,
    options: MountOptions,
    /// Its super blocks.
    #[pin]
    mounts: Mounts,
    /// The user namespace of the ids in requests and replies.
    user_ns: ARef<UserNs>,
    /// The pid namespace of the callers' pids in requests.
    pid_ns: ARef<PidNamespace>,
    features: SetOnce<Features>,
    /// The mount was made for a server that applies umasks, whatever INIT says.
    keep_umask: Atomic<bool>,
    /// INIT failed: nothing is sent any more.
    failed: Atomic<bool>,
    unimplemented: Unimplemented,
    congestion_threshold: Atomic<u32>,
    /// Incremented with every observed change of attributes; orders replies against it.
    attr_version: Atomic<u64>,
    /// Incremented with every eviction; tells a LOOKUP that an inode was evicted while it ran.
    evict_counter: Atomic<u64>,
    /// Names that were cached in an earlier epoch are looked up again.
    epoch: Atomic<u32>,
    lock_owner_key: LockOwnerKey,
    /// The files that reads and writes can be passed through to.
    #[pin]
    backing: BackingFiles,
    /// The maximum number of pages of one request: the administrator's limit at the mount, and the
    /// transport's.
    max_pages_limit: u32,
    /// Enforces the timeout of requests, if there is one.
    watchdog: SetOnce<Pin<KBox<Watchdog<Expiry>>>>,
}

impl Connection {
    /// A connection over `channel` for a mount with these options.
    pub(crate) fn new(
        channel: Arc<Channel>,
        options: MountOptions,
        user_ns: ARef<UserNs>,
        pid_ns: ARef<PidNamespace>,
    ) -> impl PinInit<Self> {
        let max_pages_limit = limits::MAX_PAGES_LIMIT.get().min(options.max_pages_limit);
        pin_init!(Self {
            channel,
            options,
            mounts <- Mounts::new(),
            user_ns,
            pid_ns,
            features: SetOnce::new(),
            keep_umask: Atomic::new(false),
            failed: Atomic::new(false),
            unimplemented: Unimplemented::new(),
            congestion_threshold: Atomic::new(DEFAULT_CONGESTION_THRESHOLD),
            attr_version: Atomic::new(1),
            evict_counter: Atomic::new(1),
            epoch: Atomic::new(1),
            lock_owner_key: LockOwnerKey::random(),
            backing <- BackingFiles::new(),
            max_pages_limit,
            watchdog: SetOnce::new(),
        })
    }

    /// The queues.
    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// The options of the mount.
    pub(crate) fn options(&self) -> &MountOptions {
        &self.options
    }

    /// Shows the options as `/proc/mounts` does, ids as the mount's user namespace sees them.
    pub(crate) fn show_options(&self, m: &SeqFile) {
        let options = &self.options;
        match options.dax {
            Some(Dax::Always) => seq_print!(m, ",dax=always"),
            Some(Dax::Never) => seq_print!(m, ",dax=never"),
            Some(Dax::Inode) => seq_print!(m, ",dax=inode"),
            None => {}
        }
        if !options.legacy_opts_show {
            return;
        }
        let ns = self.user_ns();
        seq_print!(m, ",user_id={}", options.user_id.in_ns_munged(ns));
        seq_print!(m, ",group_id={}", options.group_id.in_ns_munged(ns));
        // Also shown when it was the server that asked for it.
        if self.default_permissions() {
            seq_print!(m, ",default_permissions");
        }
        if options.allow_other {
            seq_print!(m, ",allow_other");
        }
        if options.max_read != u32::MAX {
            seq_print!(m, ",max_read={}", options.max_read);
        }
        if let Some(bytes) = options.block_size {
            if bytes != DEFAULT_BLOCK_SIZE {
                seq_print!(m, ",blksize={}", bytes);
            }
        }
    }

    /// Its super blocks.
    pub(crate) fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    /// The user namespace of the ids in requests and replies.
    pub(crate) fn user_ns(&self) -> &UserNs {
        &self.user_ns
    }

    /// The pid namespace of the callers' pids in requests.
    pub(crate) fn pid_ns(&self) -> &PidNamespace {
        &self.pid_ns
    }

    /// Device number of the mount, as tracepoints and fdinfo show it.
    pub(crate) fn dev(&self) -> u32 {
        self.channel.connection()
    }

    /// Names the connection after the device number of its mount.
    pub(crate) fn set_dev(&self, dev: u32) {
        self.channel.set_connection(dev);
    }

    /// The result of INIT; the defaults before.
    pub(crate) fn features(&self) -> &Features {
        self.features.as_ref().unwrap_or(&Features::UNTIL_INIT)
    }

    /// Notes that INIT has succeeded.
    pub(crate) fn set_features(&self, features: Features) {
        self.features.populate(features);
    }

    /// The mount was made for a server that applies umasks itself.
    pub(crate) fn leave_umask_to_server(&self) {
        self.keep_umask.store(true, Relaxed);
    }

    /// Whether the server applies the umask of callers that make a node.
    pub(crate) fn dont_mask(&self) -> bool {
        self.features().dont_mask || self.keep_umask.load(Relaxed)
    }

    /// Registers a file of the server, to pass reads and writes through to it; returns its id. The
    /// errors are those of `BackingFiles::open`; without INIT's agreement, `EPERM`. May sleep.
    pub(crate) fn backing_open(&self, map: BackingMap) -> Result<i32> {
        self.backing.open(self.features().passthrough, map)
    }

    /// Unregisters the server's file with this id. Open files keep it. The errors are those of
    /// `BackingFiles::close`.
    pub(crate) fn backing_close(&self, id: i32) -> Result {
        self.backing.close(self.features().passthrough, id)
    }

    /// The file that the server has registered with this id. The errors are those of
    /// `BackingFiles::get`; without INIT's agreement, `EINVAL`.
    pub(crate) fn backing(&self, id: i32) -> Result<Arc<Backing>> {
        self.backing.get(self.features().passthrough, id)
    }

    /// The operations that the server lacks.
    pub(crate) fn unimplemented(&self) -> &Unimplemented {
        &self.unimplemented
    }

    /// Whether INIT has succeeded.
    pub(crate) fn is_negotiated(&self) -> bool {
        self.features.as_ref().is_some() && !self.has_failed()
    }

    /// Whether INIT failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Acquire)
    }

    fn set_failed(&self) {
        self.failed.store(true, Release);
    }

    /// Whether the kernel checks permissions.
    pub(crate) fn default_permissions(&self) -> bool {
        self.options.default_permissions || self.features().posix_acl
    }

    /// Maximum length of a name that is passed to the server, in bytes.
    pub(crate) fn name_max(&self) -> usize {
        if self.features().long_names {
            NAME_MAX
        } else {
            NAME_LOW_MAX
        }
    }

    /// The number of background requests from which on readahead is limited.
    pub(crate) fn congestion_threshold(&self) -> u32 {
        self.congestion_threshold.load(Relaxed)
    }

    /// Sets [`Self::congestion_threshold`].
    pub(crate) fn set_congestion_threshold(&self, threshold: u32) {
        self.congestion_threshold.store(threshold, Relaxed);
    }

    /// The number of outstanding background requests.
    pub(crate) fn num_background(&self) -> u32 {
        self.channel.num_background()
    }

    /// Orders attributes: see `inode/attr_cache.rs`.
    pub(crate) fn attr_version(&self) -> &Atomic<u64> {
        &self.attr_version
    }

    /// Counts evicted inodes: see `inode/attr_cache.rs`.
    pub(crate) fn evict_counter(&self) -> &Atomic<u64> {
        &self.evict_counter
    }

    /// The epoch for names that are cached now.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    /// Begins a new epoch: every cached name is looked up again.
    pub(crate) fn inc_epoch(&self) {
        self.epoch.fetch_add(1, Relaxed);
    }

    /// The key that scrambles lock owners.
    pub(crate) fn lock_owner_key(&self) -> &LockOwnerKey {
        &self.lock_owner_key
    }

    /// Maximum number of pages of one request that INIT can agree on.
    pub(crate) fn max_pages_limit(&self) -> u32 {
        self.max_pages_limit
    }

    /// Keeps the watchdog of the requests, until the unmount.
    pub(crate) fn set_watchdog(&self, watchdog: Pin<KBox<Watchdog<Expiry>>>) {
        self.watchdog.populate(watchdog);
    }

    /// Ends every request and the connection (forced unmount). Sleeps.
    pub(crate) fn abort(&self) {
        self.channel.abort(false);
    }

    /// Ends every request and the connection at an administrator's or owner's request. A server
    /// that asked for it at INIT is told so. Sleeps.
    pub(crate) fn abort_by_hand(&self) {
        self.channel.abort(self.features().abort_error);
    }

    /// The last mount is shut down: ends the connection and waits until no request is left.
    pub(crate) fn shut_down(&self) {
        self.channel.abort(false);
        self.channel.wait_aborted();
        // The watchdog is not started any more: INIT has ended.
        if let Some(watchdog) = self.watchdog.as_ref() {
            watchdog.stop();
        }
    }
}
