// SPDX-License-Identifier: GPL-2.0

//! The foundation: what a file system needs of the VFS, as safe types.
//!
//! Everything `unsafe` in this crate is here, and no word of FUSE. A file system is an
//! implementation of the traits of this module; each trait method is the C method of the same
//! name, with the same calling context.
//!
//! [`mount::sb::FileSystem`] names the types that a file system hangs on the VFS's objects, and
//! holds the methods of the super block. How it is mounted is [`mount::fs_type::Mounting`]. The
//! tables of inodes, dentries and files are traits of `inode_ops`, `dentry` and `file_ops`.
//!
//! Some objects are seen in two ways. The RCU walk, and callbacks under a spinlock, see an inode or
//! a dentry that nobody holds a reference to for them: they get a *view*
//! ([`node::inode::INodeView`], [`node::dentry::DEntryView`]), whose methods are the ones that are
//! sound on an object which may be going away. Whoever holds a reference gets the object itself
//! ([`node::inode::INode`], [`node::dentry::DEntry`]), which derefs to its view.
//!
//! # What the types hold, and what they do not
//!
//! Safe code outside of this layer cannot cause undefined behaviour. What that needs of it is a
//! type: a reference that outlives the call of the VFS is counted and waited for
//! ([`node::inode::Kept`]), what only `fill_super` may do needs its [`mount::sb::NewSuper`], what
//! only the RCU walk has comes as an [`node::walk::InRcu`]. Or it is `unsafe` to accept, as a
//! registration that must stay as long as the module is; `scripts/check-unsafe` looks for what is
//! neither.
//!
//! Safe code can make the kernel wait for ever, and has to keep these rules by itself; the methods
//! they are about say so:
//!
//! - What is called under a spinlock, in RCU walk or in an RCU callback does not sleep, and locks
//!   are taken in the order of `Documentation/locking.rst`.
//! - What a file system keeps of its super block is given back after
//!   [`mount::sb::FileSystem::kill_sb`], whose caller waits for that.
//! - A duty is not forgotten (`core::mem::forget`): a folio would stay locked or under writeback,
//!   a name in lookup, and a super block kept.

pub(crate) mod bindings;

pub(crate) mod control;
pub(crate) mod cpu;
pub(crate) mod cred;
pub(crate) mod file;
pub(crate) mod io;
pub(crate) mod mm;
pub(crate) mod mount;
pub(crate) mod node;
pub(crate) mod once;
pub(crate) mod random;
pub(crate) mod sync;
pub(crate) mod tables;
