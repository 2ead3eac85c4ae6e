// SPDX-License-Identifier: GPL-2.0

//! Nodes of the server as inodes of the kernel.
//!
//! Owns the private part of an inode, how an inode is found or made for a node, and its eviction.
//! `dir/lookup.rs` asks for inodes; `conn` and `channel` send the FORGET.
//!
//! A node is identified by its [`NodeId`]. A server may use the number of a dead node again; the
//! generation, and the file type, distinguish the two. The inode of a node that the server has
//! replaced is *bad*: every operation on it fails with `EIO`, and a new inode takes its place.
//!
//! Locks: those of [`LookupCount`], [`AttrCache`], [`DirCache`], [`Outdated`], [`WriteGate`] and
//! [`WriteFiles`] are leaves. The turns of a directory ([`dirops`]) are outside every other lock of
//! this file system.

pub(crate) mod attr_cache;
pub(crate) mod dir_cache;
pub(crate) mod dirops;
pub(crate) mod handle;
pub(crate) mod io_mode;
pub(crate) mod lookup_count;
pub(crate) mod opened;
pub(crate) mod outdated;
mod validity;
pub(crate) mod write_files;
pub(crate) mod write_gate;

use self::{
    attr_cache::{
        AttrCache,
        CheckedAttr,
        Sample, //
    },
    dir_cache::DirCache,
    dirops::Turns,
    io_mode::IoMode,
    lookup_count::{
        Debt,
        LookupCount, //
    },
    outdated::{
        Mark,
        Outdated, //
    },
    write_files::WriteFiles,
    write_gate::WriteGate, //
};
use crate::{
    fuse::{
        abi::{
            attr::{
                Attr,
                AttrFlag, //
            },
            Generation,
            NodeId, //
        },
        conn::{
            call::Abandoned,
            mount::Mount, //
        },
        Fuse, //
    },
    glue::params,
    vfs::{
        mount::sb::{
            Live,
            New,
            SuperBlock, //
        },
        node::{
            held::Held,
            inode::{
                Dev,
                FileType,
                IGet,
                INode,
                INodeFlag,
                INodeKey,
                INodeView,
                Kept,
                NewInode, //
            },
        },
        sync::{
            change_bits,
            deadline::Deadline, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    }, //
};

/// The operations of each type of node.
///
/// The tables of operations come from modules that import this one; `fstype` knows them all and
/// implements this for [`Fuse`].
pub(crate) trait NodeTables: Sized {
    /// Makes `inode` one of `file_type`; `device` is the device of a device node.
    ///
    /// # Errors
    ///
    /// `EINVAL`, never for the types of [`FileType`].
    fn set_type(inode: &mut NewInode<'_, Fuse>, file_type: FileType, device: Dev) -> Result;
}

/// The server has reused the node's identity for something else. Never cleared.
const BAD: u32 = 1;

/// Pages are marked in [`Outdated`], whose lock guards this.
const OUTDATED: u32 = 2;

/// The private part of an inode.
#[pin_data]
pub(crate) struct Inode {
    /// The node of the server. Set before the inode can be found, and never changed.
    node: NodeId,
    /// Bits like [`BAD`] that need a check before the inode is used.
    trouble: Atomic<u32>,
    /// A name in this directory was looked up since it was last read.
    readdirplus_advised: Atomic<bool>,
    /// Its attributes came by READDIRPLUS, and were not used yet.
    prefetched: Atomic<bool>,
    /// How often the server has invalidated a name in this directory, or the target of this
    /// symbolic link.
    names_invalidated: Atomic<u32>,
    /// The lookups owed to the server.
    #[pin]
    pub(crate) lookups: LookupCount,
    /// The attributes.
    #[pin]
    pub(crate) attrs: AttrCache,
    /// Sends the dirty pages of a file to the server.
    #[pin]
    pub(crate) writes: WriteGate,
    /// The open files through which they are written.
    #[pin]
    pub(crate) write_files: WriteFiles,
    /// The names of a directory.
    #[pin]
    pub(crate) names: DirCache,
    /// The pages that are outdated.
    #[pin]
    outdated: Outdated,
    /// How its bytes are used.
    #[pin]
    pub(crate) io_mode: IoMode,
    /// The operations of a directory that run one at a time.
    #[pin]
    turns: Turns,
}

impl Inode {
    /// The private part of an inode without a node.
    ///
    /// # Errors
    ///
    /// `ENOMEM` when there is no memory for the FORGET of the inode.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            node: NodeId::NONE,
            trouble: Atomic::new(0),
            readdirplus_advised: Atomic::new(false),
            prefetched: Atomic::new(false),
            names_invalidated: Atomic::new(0),
            lookups <- LookupCount::new(),
            attrs: AttrCache::new(),
            writes <- WriteGate::new(),
            write_files <- WriteFiles::new(),
            names <- DirCache::new(),
            outdated <- Outdated::new(),
            io_mode <- IoMode::new(),
            turns <- Turns::new(),
        })
    }

    /// The node of the server.
    pub(crate) fn node_id(&self) -> NodeId {
        self.node
    }

    /// Whether the server has replaced the node; see the module's documentation.
    pub(crate) fn is_bad(&self) -> bool {
        self.trouble.load(Relaxed) & BAD != 0
    }

    /// Whether pages of it are outdated, and must not be used.
    pub(crate) fn is_outdated(&self) -> bool {
        self.trouble.load(Relaxed) & OUTDATED != 0
    }

    /// Whether it is neither bad nor has outdated pages.
    pub(crate) fn is_untroubled(&self) -> bool {
        self.trouble.load(Relaxed) == 0
    }

    /// Marks the pages `first` to `last` as outdated.
    pub(crate) fn mark_outdated(&self, first: u64, last: u64) {
        self.outdated
            .add(first, last, || self.set_trouble(OUTDATED, true));
    }

    /// The outdated pages.
    pub(crate) fn outdated(&self) -> Option<Mark> {
        match self.is_outdated() {
            true => self.outdated.get(),
            false => None,
        }
    }

    /// Notes that all pages of `mark` were dropped; does nothing if pages were added meanwhile.
    pub(crate) fn unmark_outdated(&self, mark: Mark) {
        self.outdated
            .remove(mark, || self.set_trouble(OUTDATED, false));
    }

    fn set_trouble(&self, bit: u32, on: bool) {
        change_bits(&self.trouble, |old| if on { old | bit } else { old & !bit });
    }

    /// Notes that READDIRPLUS would have helped in this directory.
    pub(crate) fn advise_readdirplus(&self) {
        self.readdirplus_advised.store(true, Relaxed);
    }

    /// Whether READDIRPLUS would have helped since the last call.
    pub(crate) fn take_readdirplus_advice(&self) -> bool {
        self.readdirplus_advised.load(Relaxed) && self.readdirplus_advised.xchg(false, Relaxed)
    }

    /// Notes that the attributes of the inode came by READDIRPLUS.
    pub(crate) fn set_prefetched(&self) {
        self.prefetched.store(true, Relaxed);
    }

    /// Whether the attributes of the inode came by READDIRPLUS, and were not used yet.
    pub(crate) fn is_prefetched(&self) -> bool {
        self.prefetched.load(Relaxed)
    }

    /// The same, and marks them as used.
    pub(crate) fn take_prefetched(&self) -> bool {
        self.is_prefetched() && self.prefetched.xchg(false, Relaxed)
    }

    /// How often the server has invalidated a name in this directory, or the target of this link.
    pub(crate) fn names_invalidated(&self) -> u32 {
        self.names_invalidated.load(Relaxed)
    }

    /// The server has invalidated a name in this directory: its answers about a name to earlier
    /// requests are too old. A full barrier.
    pub(crate) fn invalidate_names(&self) {
        self.names_invalidated.fetch_add(1, Full);
    }

    /// Makes every later operation on this inode fail.
    pub(crate) fn make_bad(&self) {
        self.set_trouble(BAD, true);
    }
}

/// The mount that `inode` belongs to.
pub(crate) fn mount(inode: &INodeView<Fuse>) -> &Arc<Mount> {
    Mount::of(inode)
}

/// Fails with `EIO` if `inode` is bad.
pub(crate) fn check_good(inode: &INodeView<Fuse>) -> Result {
    if inode.data().is_bad() {
        return Err(EIO);
    }
    Ok(())
}

/// An abandoned request that changes nothing keeps the inode: it is not forgotten before the server
/// has answered.
impl<A> Abandoned<A> for Kept<Fuse> {
    fn answered(self, _answer: A) {}
}

/// The key of inodes in the inode cache: the node.
struct ByNode(NodeId);

impl INodeKey<Fuse> for ByNode {
    fn hash(&self) -> u64 {
        self.0.get()
    }

    fn matches(&self, inode: &Inode) -> bool {
        inode.node == self.0
    }

    fn set(&self, inode: Pin<&mut Inode>) {
        *inode.project().node = self.0;
    }
}

/// The part of a generation that an inode keeps.
fn vfs_generation(generation: Generation) -> u32 {
    generation.get() as u32
}

/// Whether the server has given the node id of `inode` to something else, as a reply about it shows
/// (`fuse_stale_inode()`).
pub(crate) fn is_reused(
    inode: &INodeView<Fuse>,
    generation: Generation,
    attr: &CheckedAttr<'_>,
) -> bool {
    inode.generation() != vfs_generation(generation) || inode.wrong_type(attr.wire().mode)
}

/// The inode of a node that a reply has named; `debt` is credited to it.
///
/// May sleep.
///
/// # Errors
///
/// `ENOMEM` when there is no memory for an inode; the debt is then paid at once.
pub(crate) fn iget<'a, S: Live>(
    sb: &'a SuperBlock<Fuse, S>,
    debt: Debt<'_>,
    node: NodeId,
    generation: Generation,
    attr: &CheckedAttr<'_>,
    valid_until: Deadline,
    sample: Sample,
) -> Result<Held<'a, INode<Fuse>>> {
    let is_submount = sb.data().conn().options().auto_submounts
        && attr.wire().flags.contains(AttrFlag::Submount)
        && attr.file_type() == FileType::Directory;
    if is_submount {
        // The node is the root of the submount to come. This inode stands for the directory below
        // it, and lookups of the node must not find it.
        let mut new = sb.new_inode(&ByNode(node))?;
        initialise(&mut new, generation, attr)?;
        new.data().lookups.set_shared(debt.share()?);
        new.set_automount();
        attr_cache::update_new(&new, attr, valid_until, sample);
        return Ok(new.unlock());
    }
    loop {
        match sb.iget5_locked(&ByNode(node))? {
            IGet::New(mut new) => {
                initialise(&mut new, generation, attr)?;
                debt.credit(&new.data().lookups);
                attr_cache::update_new(&new, attr, valid_until, sample);
                return Ok(new.unlock());
            }
            IGet::Cached(inode) => {
                if is_reused(&inode, generation, attr) {
                    inode.data().make_bad();
                    // The root cannot be replaced: it stays, and is bad.
                    if !inode.is_root() {
                        inode.remove_hash();
                        continue;
                    }
                }
                debt.credit(&inode.data().lookups);
                attr_cache::update(&inode, attr, valid_until, sample);
                return Ok(inode);
            }
        }
    }
}

/// The inode of a node, if it is in the cache.
pub(crate) fn cached(sb: &SuperBlock<Fuse>, node: NodeId) -> Option<Held<'_, INode<Fuse>>> {
    sb.ilookup5(&ByNode(node))
}

/// Sets the properties that a new inode keeps for its whole life.
fn initialise(
    inode: &mut NewInode<'_, Fuse>,
    generation: Generation,
    attr: &CheckedAttr<'_>,
) -> Result {
    Fuse::set_type(inode, attr.file_type(), Dev::from_encoded(attr.wire().rdev))?;
    let regular = attr.file_type() == FileType::Regular;
    let features = inode.sb().data().conn().features();
    let (writeback, acl) = (features.writeback_cache, features.posix_acl);
    let order = regular.then(|| features.max_folio_order());
    // Only the server knows the access and modification times of its files, unless writes stay in
    // the page cache.
    if writeback && regular {
        inode.add_flags(INodeFlag::NoAtime.into());
        // Replies set them for other nodes.
        inode.set_size(attr.size());
        inode.set_mtime(attr.mtime());
        inode.set_ctime(attr.ctime());
    } else {
        inode.add_flags(INodeFlag::NoAtime | INodeFlag::NoCmtime);
    }
    if let Some(order) = order {
        // Without write-back, too: stores to a mapping make its pages dirty.
        inode.writeback_may_deadlock_on_reclaim();
        inode.set_max_folio_order(order.min(params::max_folio_order()));
    }
    inode.set_generation(vfs_generation(generation));
    // The root is made before INIT, so that its ACLs are requested each time.
    if !acl {
        // The server checks its ACLs itself; the kernel must not cache them.
        inode.dont_cache_acls();
    }
    Ok(())
}

/// The root inode of a new mount.
///
/// The server is not asked: a mount appears before its server answers. The root has no attributes
/// except its type until a caller needs them.
///
/// # Errors
///
/// `ENOMEM` when there is no memory for an inode, `EINVAL` when `mode` has no file type.
pub(crate) fn root(sb: &SuperBlock<Fuse, New>, mode: u16) -> Result<Held<'_, INode<Fuse>>> {
    let known = Attr {
        ino: NodeId::ROOT.get(),
        nlink: 1,
        mode: mode.into(),
        ..Attr::default()
    };
    let attr = CheckedAttr::new(&known).map_err(|_| EINVAL)?;
    // The server keeps the root without a LOOKUP, yet it is counted as one.
    let mut ticket = Some(lookup_count::new_ticket()?);
    let debt = Debt::new(sb.data(), NodeId::ROOT, &mut ticket);
    iget(
        sb,
        debt,
        NodeId::ROOT,
        Generation::new(0),
        &attr,
        Deadline::PAST,
        Sample::FIRST,
    )
}

/// The root inode of the submount for `point`: the same node, with the attributes known of it.
///
/// # Errors
///
/// `ENOMEM`; `EIO` if `point` is not the place of a submount.
pub(crate) fn submount_root<'a>(
    sb: &'a SuperBlock<Fuse, New>,
    point: &INode<Fuse>,
) -> Result<Held<'a, INode<Fuse>>> {
    let data = point.data();
    let shared = data.lookups.shared().ok_or(EIO)?;
    let known = CheckedAttr::known_of(point);
    let attr = CheckedAttr::new(&known)?;
    let IGet::New(mut new) = sb.iget5_locked(&ByNode(data.node_id()))? else {
        // No LOOKUP has found anything there yet.
        return Err(EIO);
    };
    initialise(&mut new, Generation::new(point.generation().into()), &attr)?;
    new.data().lookups.set_shared(shared);
    // They are stale, so that the server is asked before they are used.
    attr_cache::update_new(&new, &attr, Deadline::PAST, Sample::FIRST);
    Ok(new.unlock())
}

/// Pays the lookups of an inode that the VFS evicts.
///
/// At unmount nothing is sent: the server knows that everything is forgotten.
pub(crate) fn evict(inode: &INodeView<Fuse>) {
    let sb = inode.sb();
    if sb.data().conn().options().auto_submounts {
        inode.data().lookups.drop_shared();
    }
    if !sb.is_active() {
        return;
    }
    let mount = sb.data();
    let data = inode.data();
    data.lookups.forget(mount, data.node_id());
    // A running LOOKUP may bring this node back; it must not take its attributes for the newest. A
    // node without names cannot come back.
    if inode.nlink() > 0 {
        mount.conn().evict_counter().fetch_add(1, Full);
    }
}
