// SPDX-License-Identifier: GPL-2.0

//! The attributes of `chattr(1)` and `lsattr(1)`, and of XFS's ioctls.
//!
//! The VFS handles these four ioctls itself, checks them, and calls [`fileattr_get`] and
//! [`fileattr_set`] with an inode; the server knows them as ioctls on an open file. So the file is
//! opened for each (`OPEN`, `IOCTL`, `RELEASE`). They are ioctls of the kernel: the server has to
//! answer with exactly the attribute.
//!
//! The VFS holds the inode's lock around a change. No lock is taken here.

use super::ioctl::no_ioctl;
use crate::{
    fuse::{
        abi::file::{
            FsXattr,
            IoctlFlag,
            IoctlFlags,
            IoctlIn,
            OpenIn, //
        },
        conn::access::is_caller_allowed,
        inode::{
            check_good,
            handle::OpenHandle,
            mount,
            opened::Kind, //
        },
        op,
        Fuse, //
    },
    vfs::{
        file::ioctl::{
            ExtendedAttr,
            FileAttr,
            Form, //
        },
        node::inode::INode, //
    },
};
use kernel::{
    ioctl::{
        _IOR,
        _IOW, //
    },
    prelude::*,
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// `FS_IOC_GETFLAGS`; its argument has 32 bits nevertheless.
const GETFLAGS: u32 = _IOR::<usize>(b'f' as u32, 1);
/// `FS_IOC_SETFLAGS`.
const SETFLAGS: u32 = _IOW::<usize>(b'f' as u32, 2);
/// `FS_IOC_FSGETXATTR`.
const FSGETXATTR: u32 = _IOR::<FsXattr>(b'X' as u32, 31);
/// `FS_IOC_FSSETXATTR`.
const FSSETXATTR: u32 = _IOW::<FsXattr>(b'X' as u32, 32);

/// Returns the attributes of `inode`. May sleep.
///
/// # Errors
///
/// `EACCES` for callers that may not use the mount, `EIO` for a bad inode or an answer of another
/// length, `ENOTTY` for an inode that is neither file nor directory, `ENOMEM`, otherwise the
/// server's error.
pub(crate) fn fileattr_get(inode: &INode<Fuse>, form: Form) -> Result<FileAttr> {
    with_handle(inode, |handle| match form {
        Form::Flags => Ok(FileAttr::Flags(send(handle, GETFLAGS, &[])?)),
        Form::Extended => {
            let attr: FsXattr = send(handle, FSGETXATTR, &[])?;
            Ok(FileAttr::Extended(ExtendedAttr {
                xflags: attr.xflags,
                extsize: attr.extsize,
                nextents: attr.nextents,
                projid: attr.projid,
                cowextsize: attr.cowextsize,
            }))
        }
    })
}

/// Changes the attributes of `inode`. May sleep.
///
/// # Errors
///
/// As [`fileattr_get`].
pub(crate) fn fileattr_set(inode: &INode<Fuse>, attr: FileAttr) -> Result {
    with_handle(inode, |handle| match attr {
        FileAttr::Flags(flags) => send(handle, SETFLAGS, flags.as_bytes()),
        FileAttr::Extended(attr) => {
            let attr = FsXattr {
                xflags: attr.xflags,
                extsize: attr.extsize,
                nextents: attr.nextents,
                projid: attr.projid,
                cowextsize: attr.cowextsize,
                ..FsXattr::default()
            };
            send(handle, FSSETXATTR, attr.as_bytes())
        }
    })
}

/// Opens `inode`, calls `f`, and releases the handle.
fn with_handle<R>(inode: &INode<Fuse>, f: impl FnOnce(&OpenHandle) -> Result<R>) -> Result<R> {
    let mut handle = open(inode)?;
    let result = f(&handle);
    handle.close_unshared();
    result
}

/// Opens `inode` for one ioctl.
fn open(inode: &INode<Fuse>) -> Result<OpenHandle> {
    let mount = mount(inode);
    if !is_caller_allowed(mount.conn()) {
        return Err(EACCES);
    }
    check_good(inode)?;
    let node = inode.data().node_id();
    // O_RDONLY.
    let args = OpenIn::default();
    if inode.is_reg() {
        let answer = mount.call(op::Open { node, args })?;
        Ok(OpenHandle::new(inode, Kind::File, answer))
    } else if inode.is_dir() {
        let answer = mount.call(op::Opendir { node, args })?;
        Ok(OpenHandle::new(inode, Kind::Directory, answer))
    } else {
        Err(ENOTTY)
    }
}

/// Sends the ioctl with `data`, and returns the attribute of the answer.
fn send<T: FromBytes + IntoBytes>(handle: &OpenHandle, cmd: u32, data: &[u8]) -> Result<T> {
    let args = IoctlIn {
        fh: handle.fh(),
        cmd,
        flags: if handle.inode().is_dir() {
            IoctlFlag::Dir.into()
        } else {
            IoctlFlags::default()
        },
        ..IoctlIn::default()
    };
    let node = handle.inode().data().node_id();
    let (out, value) = handle
        .mount()
        .call(op::OwnIoctl::new(node, args, data)?)
        .map_err(no_ioctl)?;
    if out.result < 0 {
        return Err(no_ioctl(error_of(out.result)));
    }
    if out.flags.contains(IoctlFlag::Retry) {
        return Err(EIO);
    }
    Ok(value)
}

/// Converts a server's result to an error; `EIO` for a number that is not an errno.
fn error_of(result: i32) -> Error {
    /// `MAX_ERRNO` of the kernel.
    const MAX: i32 = 4095;

    if (-MAX..0).contains(&result) {
        Error::from_errno(result)
    } else {
        EIO
    }
}

#[kunit_tests(ferrofuse_fileattr)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_linux_fs_h() {
        assert_eq!(GETFLAGS, 0x8008_6601);
        assert_eq!(SETFLAGS, 0x4008_6602);
        assert_eq!(FSGETXATTR, 0x801c_581f);
        assert_eq!(FSSETXATTR, 0x401c_5820);
    }

    #[test]
    fn a_result_that_is_no_error_is_eio() {
        assert!(error_of(-1) == EPERM);
        assert!(error_of(-4096) == EIO);
        assert!(error_of(i32::MIN) == EIO);
    }
}
