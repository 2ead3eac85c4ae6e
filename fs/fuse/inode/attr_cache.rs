// SPDX-License-Identifier: GPL-2.0

//! The attributes of a node as the server last gave them, and for how long they may be used.
//!
//! Most attributes live in the VFS inode, where the VFS looks for them; [`AttrCache`] adds those
//! that the VFS has no field for (the unmasked mode, the unsquashed inode number), which of them
//! are known to be stale, the deadline of the rest, and the version that orders replies.
//!
//! Two replies can overtake each other. Every change draws a new version from the connection; a
//! request samples the connection's version before it is sent, and its reply is ignored if the node
//! has changed since. A second counter tells a LOOKUP that an inode was evicted while it ran: what
//! was known to be stale of the evicted inode is lost then, and nothing may be trusted.
//!
//! Takes the lock of one inode's attributes ([`Attrs`]), which has the version of the last change
//! (0 before the first) and under which nothing sleeps; the page cache is truncated and invalidated
//! after it is released. It sends no requests, except that it makes the VFS write times that the
//! kernel has set, which `attr` does.
//!
//! If writes stay in the page cache, the server does not know the size of a file, nor when it was
//! changed: the kernel owns these then ([`owns_times`]), and the only reply that changes them is
//! that of a SETATTR that was to change them.

use crate::{
    fuse::{
        abi::{
            self,
            attr::Attr, //
        },
        conn::Connection,
        Fuse, //
    },
    vfs::{
        cred::{
            Kgid,
            Kuid, //
        },
        node::{
            attr::{
                Statx,
                StatxMask, //
            },
            inode::{
                Attrs,
                Dev,
                FileType,
                INode,
                INodeView,
                NewInode,
                Timespec, //
            },
        },
        sync::{
            change_bits,
            deadline::{
                AtomicDeadline,
                Deadline, //
            },
        },
    },
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed,
        Release, //
    },
};

/// Groups of attributes.
pub(crate) mod mask {
    use crate::vfs::node::attr::{
        Statx,
        StatxMask, //
    };

    /// The size, for tests.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(crate) const SIZE: StatxMask = StatxMask::from_bits(Statx::Size as u32);

    /// The attributes that access checks use.
    pub(crate) const PERMISSION: StatxMask =
        StatxMask::from_bits(Statx::Mode as u32 | Statx::Uid as u32 | Statx::Gid as u32);

    /// The attributes that the kernel keeps by itself if writes stay in the page cache.
    pub(crate) const OWNED: StatxMask =
        StatxMask::from_bits(Statx::Mtime as u32 | Statx::Ctime as u32 | Statx::Size as u32);

    /// The attributes that the server changes on a write that does not make the file longer.
    pub(crate) const DATA_WRITTEN: StatxMask =
        StatxMask::from_bits(Statx::Mtime as u32 | Statx::Ctime as u32 | Statx::Blocks as u32);

    /// The attributes that a change of the data changes.
    pub(crate) const DATA_CHANGED: StatxMask = StatxMask::from_bits(
        Statx::Mtime as u32 | Statx::Ctime as u32 | Statx::Size as u32 | Statx::Blocks as u32,
    );

    /// The attributes that a change of its entries changes in a directory.
    pub(crate) const DIR_CHANGED: StatxMask =
        StatxMask::from_bits(DATA_CHANGED.bits() | Statx::Nlink as u32);
}

/// The sticky bit of a mode.
const STICKY: u16 = 0o1000;

/// The time of birth in a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Birth {
    /// The reply has no field for it.
    Unasked,
    /// The server does not know it.
    Unknown,
    /// This is it.
    Known(Timespec),
}

/// Attributes of a reply, checked: the type exists and the size is valid.
pub(crate) struct CheckedAttr<'a> {
    wire: &'a Attr,
    file_type: FileType,
    size: i64,
    birth: Birth,
}

impl<'a> CheckedAttr<'a> {
    /// Checks the attributes that a server sent.
    ///
    /// # Errors
    ///
    /// `EIO` for a mode without a known file type and for a size above the maximum file offset.
    #[inline]
    pub(crate) fn new(wire: &'a Attr) -> Result<Self> {
        Ok(Self {
            file_type: FileType::of(wire.mode).ok_or(EIO)?,
            size: i64::try_from(wire.size).map_err(|_| EIO)?,
            wire,
            birth: Birth::Unasked,
        })
    }

    /// The attributes that are known of `inode`, as a server would send them.
    pub(super) fn known_of(inode: &INode<Fuse>) -> Attr {
        let cache = &inode.data().attrs;
        let ns = inode.sb().data().conn().user_ns();
        let (atime, mtime, ctime) = (inode.atime(), inode.mtime(), inode.ctime());
        Attr {
            ino: cache.ino(),
            // Sizes are not negative.
            size: inode.size() as u64,
            blocks: inode.blocks(),
            // The seconds of a time are signed.
            atime: atime.sec() as u64,
            mtime: mtime.sec() as u64,
            ctime: ctime.sec() as u64,
            atimensec: atime.nsec(),
            mtimensec: mtime.nsec(),
            ctimensec: ctime.nsec(),
            mode: cache.mode().into(),
            nlink: inode.nlink(),
            uid: inode.uid().in_ns(ns).unwrap_or(u32::MAX),
            gid: inode.gid().in_ns(ns).unwrap_or(u32::MAX),
            rdev: inode.rdev().encoded(),
            blksize: cache.block_size(),
            ..Attr::default()
        }
    }

    /// The attributes that a server sent for STATX, in the form of the others. A type that they do
    /// not have is taken from `mode`.
    pub(crate) fn wire_of_statx(statx: &abi::attr::Statx, mode: u16) -> Attr {
        let mask = StatxMask::from_bits(statx.mask);
        let has = |what: Statx| mask.contains(what);
        let file_type = if has(Statx::Type) { statx.mode } else { mode } & FileType::MASK;
        Attr {
            ino: statx.ino,
            size: if has(Statx::Size) { statx.size } else { 0 },
            blocks: statx.blocks,
            // The seconds of a time are signed.
            atime: statx.atime.tv_sec as u64,
            mtime: statx.mtime.tv_sec as u64,
            ctime: statx.ctime.tv_sec as u64,
            atimensec: statx.atime.tv_nsec,
            mtimensec: statx.mtime.tv_nsec,
            ctimensec: statx.ctime.tv_nsec,
            mode: (file_type | (statx.mode & !FileType::MASK)).into(),
            nlink: statx.nlink,
            uid: statx.uid,
            gid: statx.gid,
            rdev: Dev::new(statx.rdev_major, statx.rdev_minor).encoded(),
            blksize: statx.blksize,
            ..Attr::default()
        }
    }

    /// Checks the attributes that a server sent for STATX, in this form ([`Self::wire_of_statx`]). A
    /// size that they do not have is not checked, and may be negative.
    ///
    /// # Errors
    ///
    /// As [`Self::new`].
    pub(crate) fn from_statx(statx: &abi::attr::Statx, wire: &'a Attr) -> Result<Self> {
        let mask = StatxMask::from_bits(statx.mask);
        let has = |what: Statx| mask.contains(what);
        let attr = Self::new(wire)?;
        Ok(Self {
            size: if has(Statx::Size) {
                attr.size
            } else {
                statx.size as i64
            },
            birth: if has(Statx::Btime) {
                Birth::Known(Timespec::new(statx.btime.tv_sec, statx.btime.tv_nsec))
            } else {
                Birth::Unknown
            },
            ..attr
        })
    }

    /// The time of birth.
    pub(crate) fn birth(&self) -> Birth {
        self.birth
    }

    /// The attributes as the server sent them.
    pub(crate) fn wire(&self) -> &Attr {
        self.wire
    }

    /// The type of the node.
    pub(crate) fn file_type(&self) -> FileType {
        self.file_type
    }

    /// The size in bytes; not negative, except as [`Self::from_statx`] says.
    pub(crate) fn size(&self) -> i64 {
        self.size
    }

    /// The mode; a mode has 16 bits.
    pub(crate) fn mode(&self) -> u16 {
        self.wire.mode as u16
    }

    /// The time of last access. The seconds of a time are signed.
    pub(crate) fn atime(&self) -> Timespec {
        Timespec::new(self.wire.atime as i64, self.wire.atimensec)
    }

    /// The time of last modification.
    pub(crate) fn mtime(&self) -> Timespec {
        Timespec::new(self.wire.mtime as i64, self.wire.mtimensec)
    }

    /// The time of last status change.
    pub(crate) fn ctime(&self) -> Timespec {
        Timespec::new(self.wire.ctime as i64, self.wire.ctimensec)
    }

    /// The preferred I/O size as a power of two, or `default` if the server names none.
    pub(crate) fn block_bits(&self, default: u32) -> u32 {
        self.wire.blksize.checked_ilog2().unwrap_or(default)
    }
}

/// The state of a connection before a request was sent whose reply has attributes.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// The newest attribute version then; 0 accepts the reply whatever has happened since.
    version: u64,
    /// The number of evictions then; 0 if they do not matter.
    evictions: u64,
}

impl Sample {
    /// For attributes that no other reply can have overtaken: the first ones of a new node.
    pub(crate) const FIRST: Self = Self {
        version: 0,
        evictions: 0,
    };

    /// Before a request on an inode that the caller holds.
    pub(crate) fn of_attributes(conn: &Connection) -> Self {
        Self {
            version: conn.attr_version().load(Relaxed),
            evictions: 0,
        }
    }

    /// Before a request whose reply may name an inode that the kernel does not hold yet.
    pub(crate) fn of_entry(conn: &Connection) -> Self {
        Self {
            version: conn.attr_version().load(Relaxed),
            evictions: conn.evict_counter().load(Relaxed),
        }
    }
}

/// Attributes that the VFS inode has no field for.
pub(crate) struct AttrCache {
    /// The attributes known to be stale, whatever the deadline, as a [`StatxMask`].
    stale: Atomic<u32>,
    /// A request of this kernel is changing the size: the size in other replies may be from before
    /// or after. Set and cleared with the inode locked exclusively.
    size_unstable: Atomic<bool>,
    /// Whether the server is known to have no file capability of the node. Written with the lock
    /// held.
    no_caps: Atomic<bool>,
    /// The deadline of the others.
    valid_until: AtomicDeadline,
    /// The inode number of the server.
    ino: Atomic<u64>,
    /// The mode of the server, with the sticky bit that the VFS may not see.
    mode: Atomic<u32>,
    /// The preferred I/O size, as a power of two.
    block_bits: Atomic<u32>,
    /// The time of birth: seconds, and nanoseconds with [`HAS_BIRTH`] if it is known.
    birth: (Atomic<i64>, Atomic<u32>),
}

/// Marks the nanoseconds of a known time.
const HAS_BIRTH: u32 = 1 << 31;

impl AttrCache {
    /// An empty cache.
    pub(crate) const fn new() -> Self {
        Self {
            stale: Atomic::new(u32::MAX),
            size_unstable: Atomic::new(false),
            no_caps: Atomic::new(false),
            valid_until: AtomicDeadline::new(Deadline::PAST),
            ino: Atomic::new(0),
            mode: Atomic::new(0),
            block_bits: Atomic::new(0),
            birth: (Atomic::new(0), Atomic::new(0)),
        }
    }

    /// Whether one of `wanted` has to be fetched; the kernel itself keeps those in `owned`.
    fn is_stale(&self, wanted: StatxMask, owned: impl FnOnce() -> StatxMask) -> bool {
        let stale = self.stale.load(Relaxed) & wanted.bits();
        // Usually nothing is stale, and then `owned` need not be computed.
        (stale != 0 && stale & !owned().bits() != 0) || self.valid_until.load().has_passed()
    }

    /// Marks `attrs` stale, so that their next user fetches them.
    pub(crate) fn invalidate(&self, attrs: StatxMask) {
        self.change_stale(|stale| stale | attrs.bits());
    }

    fn change_stale(&self, change: impl Fn(u32) -> u32) {
        change_bits(&self.stale, change);
    }

    /// The inode number of the server.
    pub(crate) fn ino(&self) -> u64 {
        self.ino.load(Relaxed)
    }

    /// The mode of the server.
    pub(crate) fn mode(&self) -> u16 {
        self.mode.load(Relaxed) as u16
    }

    /// The time of birth, if it is known. It never changes.
    pub(crate) fn birth(&self) -> Option<Timespec> {
        let nsec = self.birth.1.load(Acquire);
        (nsec & HAS_BIRTH != 0)
            .then(|| Timespec::new(self.birth.0.load(Relaxed), nsec & !HAS_BIRTH))
    }

    fn set_birth(&self, birth: Timespec) {
        self.birth.0.store(birth.sec(), Relaxed);
        self.birth.1.store(birth.nsec() | HAS_BIRTH, Release);
    }

    /// The preferred I/O size in bytes.
    pub(crate) fn block_size(&self) -> u32 {
        1u32.checked_shl(self.block_bits.load(Relaxed)).unwrap_or(0)
    }
}

/// Whether the kernel owns size, modification time and change time of `inode`, and those of the
/// server may be old: its writes stay in the page cache for a while.
pub(crate) fn owns_times(inode: &INodeView<Fuse>) -> bool {
    inode.is_reg() && inode.sb().data().conn().features().writeback_cache
}

/// Whether one of `wanted` has to be fetched before it is used.
pub(crate) fn is_stale(inode: &INodeView<Fuse>, wanted: StatxMask) -> bool {
    inode
        .data()
        .attrs
        .is_stale(wanted, || match owns_times(inode) {
            true => mask::OWNED,
            false => StatxMask::default(),
        })
}

/// Notes that the server has no file capability of `inode`, unless it may have got one since
/// `sample`, which is from before the server was asked.
pub(crate) fn found_no_caps(inode: &INode<Fuse>, sample: Sample) {
    let cache = &inode.data().attrs;
    let attrs = inode.lock_attrs();
    if *attrs <= sample.version {
        cache.no_caps.store(true, Relaxed);
    }
}

/// Whether `inode` is known to have no file capability: for as long as its id bits are known, and
/// until attributes come from the server, or an extended attribute is changed through this kernel.
pub(crate) fn has_no_caps(inode: &INode<Fuse>) -> bool {
    let cache = &inode.data().attrs;
    if !cache.no_caps.load(Relaxed) {
        return false;
    }
    // Attributes are refreshed, and the capability becomes unknown, under this lock.
    let _attrs = inode.lock_attrs();
    cache.no_caps.load(Relaxed) && !is_stale(inode, Statx::Mode.into())
}

/// An extended attribute of `inode` was changed, or may have been: answers that are under way are
/// from before.
pub(crate) fn xattrs_changed(inode: &INode<Fuse>) {
    let cache = &inode.data().attrs;
    let mut attrs = inode.lock_attrs();
    *attrs = next_version(inode.sb().data().conn());
    cache.no_caps.store(false, Relaxed);
}

/// Marks the access time of `inode` stale after the server has seen a read of it.
pub(crate) fn invalidate_atime(inode: &INodeView<Fuse>) {
    // The access time of a read-only file system is not updated.
    if !inode.is_rdonly() {
        inode.data().attrs.invalidate(Statx::Atime.into());
    }
}

/// Marks the attributes that a change of the data changes stale, during the change.
pub(crate) fn data_changed(inode: &INodeView<Fuse>) {
    inode.data().attrs.invalidate(mask::DATA_CHANGED);
}

/// Marks everything that is known of `inode` stale.
pub(crate) fn invalidate(inode: &INodeView<Fuse>) {
    inode.data().attrs.invalidate(StatxMask::BASIC);
}

/// Stores the attributes of a reply, unless the node has changed since `sample`.
///
/// If a regular file's data changed on the server, the pages that show the old data are dropped.
/// May sleep.
pub(crate) fn update(
    inode: &INode<Fuse>,
    attr: &CheckedAttr<'_>,
    valid_until: Deadline,
    sample: Sample,
) {
    if let Some(old) = take_over(inode, attr, valid_until, sample) {
        if inode.is_reg() && !owns_times(inode) {
            refresh_pages(inode, attr, old.size, old.mtime);
        }
    }
}

/// As [`update`], for an inode that has no pages yet.
pub(super) fn update_new(
    inode: &NewInode<'_, Fuse>,
    attr: &CheckedAttr<'_>,
    valid_until: Deadline,
    sample: Sample,
) {
    take_over(inode, attr, valid_until, sample);
}

/// The size and modification time that the pages were read with.
struct Old {
    size: i64,
    mtime: Timespec,
}

/// Stores the attributes of a reply; [`None`] if the node has changed since `sample`.
fn take_over(
    inode: &INodeView<Fuse>,
    attr: &CheckedAttr<'_>,
    valid_until: Deadline,
    sample: Sample,
) -> Option<Old> {
    let conn = inode.sb().data().conn();
    let cache = &inode.data().attrs;
    let mut attrs = inode.lock_attrs();
    if (sample.version != 0 && *attrs > sample.version) || cache.size_unstable.load(Relaxed) {
        return None;
    }
    let old = Old {
        size: inode.size(),
        mtime: inode.mtime(),
    };
    // A new inode may replace one that was evicted while the request ran, with some of these
    // attributes known to be stale: they stay stale then.
    if sample.evictions == 0
        || *attrs != 0
        || sample.evictions == conn.evict_counter().load(Relaxed)
    {
        cache.change_stale(|stale| stale & !StatxMask::BASIC.bits());
    }
    *attrs = next_version(conn);
    cache.valid_until.store(valid_until);
    store(inode, &mut attrs, attr);
    if !owns_times(inode) {
        attrs.set_size(attr.size());
    }
    Some(old)
}

/// While it exists, replies to other requests do not change the size of the inode.
pub(crate) struct SizeHeld<'a>(&'a AttrCache);

impl Drop for SizeHeld<'_> {
    fn drop(&mut self) {
        self.0.size_unstable.store(false, Relaxed);
    }
}

/// Keeps other replies from changing the size of `inode`, which is locked exclusively.
pub(crate) fn hold_size(inode: &INode<Fuse>) -> SizeHeld<'_> {
    let cache = &inode.data().attrs;
    cache.size_unstable.store(true, Relaxed);
    SizeHeld(cache)
}

/// The attributes owned by the kernel that a SETATTR was to change, see [`mask::OWNED`].
pub(crate) struct Changed {
    /// The size.
    pub(crate) truncated: bool,
    /// The modification time.
    pub(crate) mtime: Option<Timespec>,
    /// The change time.
    pub(crate) ctime: Option<Timespec>,
}

/// A file has a new size, which its pages do not reflect yet.
#[must_use]
pub(crate) struct Resized<'a> {
    inode: &'a INode<Fuse>,
    old_size: i64,
    new_size: i64,
}

impl Resized<'_> {
    /// Drops the pages behind the end. The gate of the inode is open, since dirty pages are written
    /// first. Sleeps.
    pub(crate) fn drop_pages(self) {
        let Self {
            inode,
            old_size,
            new_size,
        } = self;
        if new_size > old_size {
            // The end of the file may be within a page, which has to be zero behind it.
            inode.truncate_pagecache_range(old_size, new_size.saturating_sub(1));
        }
        inode.truncate_pagecache(new_size);
        // Pages that cannot be dropped are in use; their users see what they saw when they began.
        let _ = inode.invalidate_pages();
    }
}

/// Stores the attributes that a SETATTR has returned, even while the size is held.
///
/// If the node has changed since `sample`, they are shown to callers that wait for the change, but
/// are stale at once.
pub(crate) fn changed_by_setattr<'a>(
    inode: &'a INode<Fuse>,
    changed: Changed,
    attr: &CheckedAttr<'_>,
    valid_until: Deadline,
    sample: Sample,
) -> Option<Resized<'a>> {
    let conn = inode.sb().data().conn();
    let cache = &inode.data().attrs;
    let owned = owns_times(inode);
    let old_size;
    {
        let mut attrs = inode.lock_attrs();
        let overtaken = *attrs > sample.version;
        cache.change_stale(|stale| stale & !StatxMask::BASIC.bits());
        *attrs = next_version(conn);
        cache.valid_until.store(if overtaken {
            Deadline::PAST
        } else {
            valid_until
        });
        if owned {
            if let Some(time) = changed.mtime {
                inode.set_mtime(time);
            }
            if let Some(time) = changed.ctime {
                inode.set_ctime(time);
            }
        }
        store(inode, &mut attrs, attr);
        old_size = inode.size();
        if !owned || changed.truncated {
            attrs.set_size(attr.size());
        }
    }

    let resized = inode.is_reg() && attr.size() != old_size && (!owned || changed.truncated);
    resized.then(|| Resized {
        inode,
        old_size,
        new_size: attr.size(),
    })
}

/// A name of `inode` was removed.
pub(crate) fn unlinked(inode: &INode<Fuse>) {
    {
        let mut attrs = inode.lock_attrs();
        *attrs = next_version(inode.sb().data().conn());
        // A faulty server may have reported no links already.
        attrs.set_nlink(if inode.is_dir() {
            0
        } else {
            inode.nlink().saturating_sub(1)
        });
    }
    ctime_changed(inode);
}

/// Called when the server has changed the change time of `inode`. If the kernel owns that time, it
/// is set here and sent. May sleep.
pub(crate) fn ctime_changed(inode: &INode<Fuse>) {
    inode.data().attrs.invalidate(Statx::Ctime.into());
    touch_owned_ctime(inode);
}

/// Sets the change time of `inode` to now and sends it, if the kernel owns it. May sleep.
pub(crate) fn touch_owned_ctime(inode: &INode<Fuse>) {
    if owns_times(inode) {
        inode.touch_ctime();
        flush_times(inode);
    }
}

/// Sends the times that the kernel has changed, if there are any. May sleep.
///
/// An error is one of writeback: the next `fsync` reports it.
pub(crate) fn flush_times(inode: &INode<Fuse>) {
    if let Err(error) = inode.sync_metadata() {
        inode.set_writeback_error(error);
    }
}

/// The server says that the attributes have changed: replies that are under way are too old.
pub(crate) fn changed_by_server(inode: &INode<Fuse>) {
    let cache = &inode.data().attrs;
    *inode.lock_attrs() = next_version(inode.sb().data().conn());
    cache.invalidate(StatxMask::BASIC);
}

/// A name in the directory was added, removed or changed.
pub(crate) fn dir_changed(dir: &INode<Fuse>) {
    dir.data().attrs.invalidate(mask::DIR_CHANGED);
    // The cached names are not complete any more.
    dir.inc_version();
}

/// Shrinks a file that is shorter than the server said, unless it changed since `sample`.
///
/// Called when a short read has found the end of the file.
pub(crate) fn found_end(inode: &INode<Fuse>, end: i64, sample: Sample) {
    if owns_times(inode) {
        // The data behind it has not been written yet.
        return;
    }
    let mount = inode.sb().data();
    let cache = &inode.data().attrs;
    let mut attrs = inode.lock_attrs();
    if sample.version >= *attrs && end < inode.size() && !cache.size_unstable.load(Relaxed) {
        *attrs = next_version(mount.conn());
        attrs.set_size(end);
    }
}

/// Notes that the file was written up to `end`, or that a write failed and may have been done in
/// part ([`None`]). Returns whether the file has become longer.
pub(crate) fn written(inode: &INode<Fuse>, end: Option<i64>) -> bool {
    let cache = &inode.data().attrs;
    let grown = {
        let mut attrs = inode.lock_attrs();
        *attrs = next_version(inode.sb().data().conn());
        let longer = end.filter(|end| *end > inode.size());
        if let Some(end) = longer {
            attrs.set_size(end);
        }
        longer.is_some()
    };
    cache.invalidate(mask::DATA_CHANGED);
    grown
}

/// Notes that an OPEN with `O_TRUNC` has emptied the file. The caller truncates the page cache.
pub(crate) fn truncated_by_open(inode: &INode<Fuse>) {
    let cache = &inode.data().attrs;
    {
        let mut attrs = inode.lock_attrs();
        *attrs = next_version(inode.sb().data().conn());
        attrs.set_size(0);
    }
    cache.invalidate(mask::DATA_CHANGED);
}

fn next_version(conn: &Connection) -> u64 {
    conn.attr_version().fetch_add(1, Full).wrapping_add(1)
}

/// Writes the attributes, except the size.
fn store(inode: &INodeView<Fuse>, attrs: &mut Attrs<'_, Fuse>, attr: &CheckedAttr<'_>) {
    let sb = inode.sb();
    let conn = sb.data().conn();
    let cache = &inode.data().attrs;
    let wire = attr.wire();

    let mode = (inode.mode() & FileType::MASK) | (attr.mode() & !FileType::MASK);
    inode.set_ino(wire.ino);
    attrs.set_nlink(wire.nlink);
    inode.set_uid(Kuid::new(conn.user_ns(), wire.uid));
    inode.set_gid(Kgid::new(conn.user_ns(), wire.gid));
    inode.set_blocks(wire.blocks);
    inode.set_atime(attr.atime());
    if !owns_times(inode) {
        inode.set_mtime(attr.mtime());
        inode.set_ctime(attr.ctime());
    }
    // The VFS checks the sticky bit before it asks us to remove a name. It may do so only if it is
    // the VFS that checks permissions.
    inode.set_permissions(if conn.default_permissions() {
        mode
    } else {
        mode & !STICKY
    });
    // Another client may have set an id bit or a file capability.
    inode.clear_nosec();
    cache.no_caps.store(false, Relaxed);

    if attr.birth() != Birth::Unasked {
        cache.change_stale(|stale| stale & !(Statx::Btime as u32));
    }
    if let Birth::Known(time) = attr.birth() {
        cache.set_birth(time);
    }

    cache.ino.store(wire.ino, Relaxed);
    cache.mode.store(mode.into(), Relaxed);
    cache
        .block_bits
        .store(attr.block_bits(sb.blocksize_bits().into()), Relaxed);
}

/// Drops the pages of a regular file that the new attributes show to be old.
fn refresh_pages(inode: &INode<Fuse>, attr: &CheckedAttr<'_>, old_size: i64, old_mtime: Timespec) {
    let features = inode.sb().data().conn().features();
    let changed = if old_size != attr.size() {
        inode.truncate_pagecache(attr.size());
        !features.explicit_inval_data
    } else {
        features.auto_inval_data && old_mtime != attr.mtime()
    };
    if changed {
        // Pages that cannot be dropped are in use; their users see what they saw when they began.
        let _ = inode.invalidate_pages();
    }
}

#[kunit_tests(ferrofuse_attr)]
mod tests {
    use super::*;

    fn attr(mode: u32, size: u64) -> Attr {
        Attr {
            mode,
            size,
            ..Attr::default()
        }
    }

    #[test]
    fn every_type_of_file_is_taken() {
        for mode in [
            0o010000, 0o020000, 0o040000, 0o060000, 0o100000, 0o120000, 0o140000,
        ] {
            assert!(CheckedAttr::new(&attr(mode | 0o644, 0)).is_ok());
        }
    }

    #[test]
    fn no_other_type_is() {
        for mode in [
            0, 0o644, 0o030000, 0o050000, 0o070000, 0o110000, 0o130000, 0o150000, 0o160000,
            0o170000,
        ] {
            assert!(CheckedAttr::new(&attr(mode, 0)).is_err());
        }
    }

    #[test]
    fn a_size_is_a_file_offset() {
        const REGULAR: u32 = 0o100644;

        let largest = attr(REGULAR, i64::MAX as u64);
        assert!(CheckedAttr::new(&largest).is_ok_and(|attr| attr.size() == i64::MAX));
        assert!(CheckedAttr::new(&attr(REGULAR, 1 << 63)).is_err());
        assert!(CheckedAttr::new(&attr(REGULAR, u64::MAX)).is_err());
    }

    #[test]
    fn times_are_cut_to_what_they_can_be() {
        let wire = Attr {
            mode: 0o100644,
            mtime: -5i64 as u64,
            mtimensec: u32::MAX,
            ..Attr::default()
        };
        let attr = CheckedAttr::new(&wire);

        assert!(attr.is_ok_and(|attr| attr.mtime() == Timespec::new(-5, 999_999_999)));
    }

    #[test]
    fn the_block_size_is_a_power_of_two() {
        for (blksize, bits) in [(0, 12), (1, 0), (511, 8), (512, 9), (u32::MAX, 31)] {
            let wire = Attr {
                mode: 0o100644,
                blksize,
                ..Attr::default()
            };

            assert!(CheckedAttr::new(&wire).is_ok_and(|attr| attr.block_bits(12) == bits));
        }
    }

    #[test]
    fn what_is_stale_is_asked_for() {
        let cache = AttrCache::new();
        let size = mask::SIZE;
        let mode = StatxMask::from(Statx::Mode);
        let none = StatxMask::default();

        // Nothing is known at first, whatever the deadline.
        cache.valid_until.store(Deadline::after(1000, 0));
        assert!(cache.is_stale(size, || none));

        cache.change_stale(|_| 0);
        assert!(!cache.is_stale(size, || none));

        // Attributes that the kernel owns are never marked stale, but their deadline passes.
        cache.invalidate(size);
        assert!(cache.is_stale(size, || none));
        assert!(!cache.is_stale(size, || mask::OWNED));
        cache.change_stale(|_| 0);

        cache.invalidate(mode);
        assert!(cache.is_stale(mode, || none));
        assert!(!cache.is_stale(size, || none));

        cache.valid_until.store(Deadline::PAST);
        assert!(cache.is_stale(size, || none));
    }
}
