// SPDX-License-Identifier: GPL-2.0

//! File handles: `name_to_handle_at(2)`, `open_by_handle_at(2)`, and NFS exports.
//!
//! A handle is a node's number and generation. A cached inode is found by these; otherwise a server
//! that offered it at INIT (`FUSE_EXPORT_SUPPORT`) is asked for the name "." in the node, and for
//! ".." to find the way from a directory to the root. `vfs/mount/export.rs` calls this;
//! `dir/lookup.rs` asks the server. A server that reuses a number without a new generation would
//! have wrong handles, and says so at INIT (`FUSE_NO_EXPORT_SUPPORT`): then handles can only be
//! compared.
//!
//! Takes no lock.

use crate::{
    fuse::{
        abi::NodeId,
        dir::{
            entry::expire,
            lookup::lookup_node, //
        },
        inode::{
            self,
            mount, //
        },
        Fuse, //
    },
    vfs::{
        mount::{
            export::{
                Export,
                Identity, //
            },
            sb::SuperBlock, //
        },
        node::{
            dentry::DEntry,
            held::Held,
            inode::{
                INode,
                INodeView, //
            }, //
        },
        tables::ExportOps, //
    },
};
use kernel::prelude::*;

/// The table for servers whose handles stay valid.
pub(crate) const OPS: ExportOps<Fuse> = ExportOps::new::<Handles>();

/// The table for the others.
pub(crate) const IDENTIFY_ONLY: ExportOps<Fuse> = ExportOps::identify_only::<Handles>();

/// The implementation of file handles.
struct Handles;

impl Export<Fuse> for Handles {
    fn identity(inode: &INodeView<Fuse>) -> Identity {
        Identity {
            number: inode.data().node_id().get(),
            generation: inode.generation(),
        }
    }

    /// # Errors
    ///
    /// `ESTALE` if the node is unknown or another one by now, `EIO` if the server answers with
    /// another one, `ENOMEM`.
    fn find(sb: &SuperBlock<Fuse>, identity: Identity) -> Result<Held<'_, DEntry<Fuse>>> {
        let node = NodeId::new(identity.number);
        if node == NodeId::NONE {
            return Err(ESTALE);
        }
        let inode = match inode::cached(sb, node) {
            Some(inode) => inode,
            None => {
                if !sb.data().conn().features().export_support {
                    return Err(ESTALE);
                }
                let root = sb.root().and_then(|root| root.inode()).ok_or(ESTALE)?;
                let inode = ask(root, node, b".")?;
                if inode.data().node_id() != node {
                    return Err(EIO);
                }
                inode
            }
        };
        if inode.generation() != identity.generation {
            return Err(ESTALE);
        }
        alias(inode)
    }

    /// # Errors
    ///
    /// `ESTALE` if the server does not know, or cannot be asked; otherwise its error.
    fn parent(child: &INode<Fuse>) -> Result<Held<'_, DEntry<Fuse>>> {
        if !mount(child).conn().features().export_support {
            return Err(ESTALE);
        }
        alias(ask(child, child.data().node_id(), b"..")?)
    }
}

/// Asks the server for `name` in `node`; a node that does not exist any more is stale.
fn ask<'a>(anchor: &'a INode<Fuse>, node: NodeId, name: &[u8]) -> Result<Held<'a, INode<Fuse>>> {
    match lookup_node(anchor, node, name) {
        Ok(Some(inode)) => Ok(inode),
        Ok(None) => Err(ESTALE),
        Err(error) if error == ENOENT => Err(ESTALE),
        Err(error) => Err(error),
    }
}

/// A dentry of `inode`. Its name has to be looked up, except for the root, which has none.
fn alias(inode: Held<'_, INode<Fuse>>) -> Result<Held<'_, DEntry<Fuse>>> {
    let is_root = inode.data().node_id() == NodeId::ROOT;
    let dentry = INode::obtain_alias(inode)?;
    if !is_root {
        expire(&dentry);
    }
    Ok(dentry)
}
