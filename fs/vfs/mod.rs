// SPDX-License-Identifier: GPL-2.0

//! The foundation: the VFS for a file system, as safe types.
//!
//! All `unsafe` code of this crate, except for that of `glue`, is here, and nothing that is
//! specific to FUSE. A file system implements the traits of this module; each trait method is the C
//! method of the same name, with the same calling context.
//!
//! [`mount::sb::FileSystem`] names the types of the file system's data in the VFS's objects, and
//! has the methods of the super block. [`mount::fs_type::Mounting`] is how it is mounted. The
//! tables of inodes, dentries and files are traits of `inode_ops`, `dentry` and `file_ops`.
//!
//! Some objects have two types. The RCU walk, and callbacks under a spinlock, see an inode or a
//! dentry without a reference to it: they get a *view* ([`node::inode::INodeView`],
//! [`node::dentry::DEntryView`]), whose methods are those that are sound on an object which may be
//! going away. The holder of a reference gets the object itself ([`node::inode::INode`],
//! [`node::dentry::DEntry`]), which derefs to its view.
//!
//! # What the types ensure, and what they do not
//!
//! Safe code outside of this layer cannot cause undefined behaviour. A rule that this depends on is
//! a type: a reference that outlives the call of the VFS is counted and waited for
//! ([`node::inode::Kept`]), what only `fill_super` may do needs its [`mount::sb::NewSuper`], what
//! only the RCU walk may access comes as an [`node::walk::InRcu`]. Or the rule is the safety
//! requirement of an `unsafe` function, as for a registration that must stay as long as the module;
//! `scripts/check-unsafe` searches for cases that are neither.
//!
//! Safe code can make the kernel hang, and has to keep these rules by itself; the documentation of
//! the methods states them:
//!
//! - Methods that are called under a spinlock, in RCU walk or in an RCU callback do not sleep, and
//!   locks are taken in the order of `Documentation/locking.rst`.
//! - A file system gives up the references that keep its super block after
//!   [`mount::sb::FileSystem::kill_sb`], whose caller waits for them.
//! - An obligation is not forgotten (`core::mem::forget`): a folio would stay locked or under
//!   writeback, a name in lookup, and a super block kept.

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
