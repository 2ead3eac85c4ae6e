// SPDX-License-Identifier: GPL-2.0

//! Extensions of the operations that create a node, for a server that asks for them.
//!
//! The security context of the node (`FUSE_SECURITY_CTX`), so that it is never visible without it;
//! and the group of the directory if the caller is in it (`FUSE_CREATE_SUPP_GROUP`), so that the
//! server can act with the caller's permissions. They follow the names of a request, whose header
//! has their length. Takes no lock.

use crate::{
    fuse::{
        abi::header::{
            rec_align,
            ExtHeader,
            Secctx,
            SecctxHeader,
            SuppGroups,
            EXT_GROUPS, //
        },
        inode::mount,
        Fuse, //
    },
    vfs::{
        cred::{
            current_fsgid,
            in_group,
            Idmap, //
        },
        node::{
            dentry::SecurityContext,
            inode::INode, //
        },
    },
};
use kernel::prelude::*;
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// The extensions for a node that is created in `dir`; `context` returns its security context.
/// Empty if the server wants none. May sleep.
///
/// # Errors
///
/// Those of `context`; `EIO` for one that cannot be encoded, `ENOMEM`.
pub(super) fn extensions(
    idmap: &Idmap,
    dir: &INode<Fuse>,
    context: impl FnOnce() -> Result<Option<SecurityContext>>,
) -> Result<KVec<u8>> {
    let features = mount(dir).conn().features();
    let mut ext = KVec::new();
    if features.security_context {
        push_context(&mut ext, context()?)?;
    }
    if features.create_supp_group {
        push_group(&mut ext, idmap, dir)?;
    }
    Ok(ext)
}

/// Encodes one context, or that there is none.
fn push_context(ext: &mut KVec<u8>, context: Option<SecurityContext>) -> Result {
    let Some(context) = context.filter(|context| !context.value().is_empty()) else {
        return push(
            ext,
            &SecctxHeader {
                size: size_of::<SecctxHeader>() as u32,
                nr_secctx: 0,
            },
        );
    };
    let (name, value) = (context.name().to_bytes_with_nul(), context.value());
    let one = size_of::<Secctx>()
        .checked_add(name.len())
        .and_then(|len| rec_align(len.checked_add(value.len())?))
        .ok_or(EIO)?;
    let all = size_of::<SecctxHeader>().checked_add(one).ok_or(EIO)?;
    push(
        ext,
        &SecctxHeader {
            size: u32::try_from(all).map_err(|_| EIO)?,
            nr_secctx: 1,
        },
    )?;
    push(
        ext,
        &Secctx {
            size: u32::try_from(value.len()).map_err(|_| EIO)?,
            padding: 0,
        },
    )?;
    ext.extend_from_slice(name, GFP_KERNEL)?;
    ext.extend_from_slice(value, GFP_KERNEL)?;
    ext.resize(all, 0, GFP_KERNEL)?;
    Ok(())
}

/// Encodes the group of `dir`, unless that is the caller's group anyway, or the caller is not in
/// it.
fn push_group(ext: &mut KVec<u8>, idmap: &Idmap, dir: &INode<Fuse>) -> Result {
    let ns = mount(dir).conn().user_ns();
    let seen = idmap.gid_into_mnt(ns, dir.gid());
    let Some(gid) = dir.gid().in_ns(ns) else {
        return Ok(());
    };
    if seen == current_fsgid() || !in_group(seen) {
        return Ok(());
    }
    let len = size_of::<ExtHeader>() + size_of::<SuppGroups>() + size_of::<u32>();
    push(
        ext,
        &ExtHeader {
            size: len as u32,
            kind: EXT_GROUPS,
        },
    )?;
    push(ext, &SuppGroups { nr_groups: 1 })?;
    push(ext, &gid)
}

fn push<T: IntoBytes + Immutable>(ext: &mut KVec<u8>, value: &T) -> Result {
    Ok(ext.extend_from_slice(value.as_bytes(), GFP_KERNEL)?)
}
