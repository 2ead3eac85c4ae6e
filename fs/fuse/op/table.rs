// SPDX-License-Identifier: GPL-2.0

//! Every operation of protocol 7.46, once.

use super::codec::*;
use super::data::{
    BothWays,
    Exchange,
    FromServer,
    Goes,
    ToServer,
    Typed, //
};
use super::declare::operations;
use super::enosys::{
    self,
    Rule, //
};
use super::{
    Creds,
    Enosys,
    Gate,
    InArgs,
    Operation,
    OutArgs,
    OutSpec,
    Reply, //
};
use crate::fuse::abi::attr::*;
use crate::fuse::abi::cuse::*;
use crate::fuse::abi::file::*;
use crate::fuse::abi::init::*;
use crate::fuse::abi::node::*;
use crate::fuse::abi::notify::NotifyRetrieveIn;
use crate::fuse::abi::NodeId;
#[cfg(any(CONFIG_KUNIT = "y", fuzzing))]
use crate::vfs::mm::segment::FolioSegments;
use crate::vfs::mm::{
    cached::CachedRanges,
    writeback::DirtyRanges, //
};
use core::marker::PhantomData;
use kernel::page::PAGE_SIZE;
use kernel::prelude::*;
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// The structure of NOTIFY_REPLY, which is not its head.
pub(crate) type NotifyReplyIn = Unsplit<NotifyRetrieveIn>;

/// The structure of REMOVEMAPPING, which is not its head.
pub(crate) type RemovemappingHead = Unsplit<RemovemappingIn>;

/// Maximum length of the target of a symbolic link: a page with its NUL.
const LINK_MAX: u32 = (PAGE_SIZE - 1) as u32;

/// Minimum room for the data of an IOCTL, in bytes: a server that needs other data than it was sent
/// answers with a list of it.
const IOCTL_OUT_MIN: u32 = PAGE_SIZE as u32;

// Columns, in this order; `-` is "none":
//
// - type, name and number of the operation (`<'a>` if it borrows names or bytes, `[D]` if its data
//   may be of several types);
// - the object it is on, which names a field: a directory and its entry, a node, or the connection;
// - the structure it sends, field `args`;
// - the names that follow, a field each;
// - the bytes or extensions that follow, with their field;
// - the parts of the reply: structures; `Bytes`, or `Pages` for those that go into its data, with
//   their maximum number; `Xattr`, `AnyInitOut`;
// - whether there is a reply; gate; whose ids it has; what ENOSYS means (see `enosys`);
// - its data, field `data`: its direction and its type (see `data`);
// - `share` and a field that says whether a server over io_uring may have the pages of the data;
// - shorter forms: `in <length> before <minor>` of the structure it sends, `out <structure>
//   as <length> before <minor>` of the first structure of the reply.
operations! {
    /// Finds a name in a directory.
    Lookup<'a> "LOOKUP" = 1: dir, -, name, -, EntryOut,
        Expected, Normal, Caller, Pass, out EntryOut as COMPAT_ENTRY_OUT_SIZE before 9;

    /// Returns lookups of a node.
    ///
    /// Has a queue of its own, see `channel::forget`.
    Forget "FORGET" = 2: node, ForgetIn, -, -, -,
        None, HighPriority, Nobody, Pass;

    /// Reads attributes.
    Getattr "GETATTR" = 3: node, GetattrIn, -, -, AttrOut,
        Expected, Normal, Caller, Pass, out AttrOut as COMPAT_ATTR_OUT_SIZE before 9;

    /// Changes attributes.
    Setattr "SETATTR" = 4: node, SetattrIn, -, -, AttrOut,
        Expected, Normal, Caller, Pass, out AttrOut as COMPAT_ATTR_OUT_SIZE before 9;

    /// Reads the target of a symbolic link, without NUL.
    Readlink "READLINK" = 5: node, -, -, -, Bytes(|_| LINK_MAX),
        Expected, Normal, Caller, Pass;

    /// Makes a symbolic link.
    Symlink<'a> "SYMLINK" = 6: dir, -, name target, Ext(ext), EntryOut,
        Expected, Normal, Creator, Pass, out EntryOut as COMPAT_ENTRY_OUT_SIZE before 9;

    /// Makes a node that is not a directory or symbolic link.
    Mknod<'a> "MKNOD" = 8: dir, MknodIn, name, Ext(ext), EntryOut,
        Expected, Normal, Creator, Pass,
        in COMPAT_MKNOD_IN_SIZE before 12, out EntryOut as COMPAT_ENTRY_OUT_SIZE before 9;

    /// Makes a directory.
    Mkdir<'a> "MKDIR" = 9: dir, MkdirIn, name, Ext(ext), EntryOut,
        Expected, Normal, Creator, Pass, out EntryOut as COMPAT_ENTRY_OUT_SIZE before 9;

    /// Removes a name of a node that is not a directory.
    Unlink<'a> "UNLINK" = 10: dir, -, name, -, -,
        Expected, Normal, Caller, Pass;

    /// Removes an empty directory.
    Rmdir<'a> "RMDIR" = 11: dir, -, name, -, -,
        Expected, Normal, Caller, Pass;

    /// Moves a name.
    Rename<'a> "RENAME" = 12: dir, RenameIn, old_name new_name, -, -,
        Expected, Normal, Caller, Pass;

    /// Makes another name of a node, in the directory it is on.
    Link<'a> "LINK" = 13: dir, LinkIn, name, -, EntryOut,
        Expected, Normal, Caller, Eperm, out EntryOut as COMPAT_ENTRY_OUT_SIZE before 9;

    /// Opens a file; a server that lacks it does not need to be told.
    Open "OPEN" = 14: node, OpenIn, -, -, OpenOut,
        Expected, Normal, Caller, Fallback;

    /// Reads from an open file.
    Read[D] "READ" = 15: node, ReadIn, -, -, Pages(|op| op.args.size),
        Expected, Normal, Caller, Pass, data FromServer<D>, share zero_copy;

    /// Writes to an open file.
    Write[D] "WRITE" = 16: node, WriteIn, -, -, WriteOut,
        Expected, Normal, Caller, Pass, data ToServer<D>, share zero_copy,
        in COMPAT_WRITE_IN_SIZE before 9;

    /// Describes the file system.
    Statfs "STATFS" = 17: node, -, -, -, StatfsOut,
        Expected, Normal, Caller, Pass, out StatfsOut as COMPAT_STATFS_SIZE before 4;

    /// Tells that an open file is not used any more.
    Release "RELEASE" = 18: node, ReleaseIn, -, -, -,
        Expected, Force, Nobody, Pass;

    /// Makes a file durable.
    Fsync "FSYNC" = 20: node, FsyncIn, -, -, -,
        Expected, Normal, Caller, Done;

    /// Sets an extended attribute.
    Setxattr<'a> "SETXATTR" = 21: node, SetxattrHead, name, Bytes(value), -,
        Expected, Normal, Caller, Eopnotsupp;

    /// Reads an extended attribute.
    Getxattr<'a> "GETXATTR" = 22: node, GetxattrIn, name, -, Xattr(|op| op.args.size),
        Expected, Normal, Caller, Eopnotsupp;

    /// Lists the extended attributes, each followed by a NUL.
    Listxattr "LISTXATTR" = 23: node, GetxattrIn, -, -, Xattr(|op| op.args.size),
        Expected, Normal, Caller, Eopnotsupp;

    /// Removes an extended attribute.
    Removexattr<'a> "REMOVEXATTR" = 24: node, -, name, -, -,
        Expected, Normal, Caller, Eopnotsupp;

    /// Tells that a descriptor of an open file is closed, and asks for errors of writing.
    Flush "FLUSH" = 25: node, FlushIn, -, -, -,
        Expected, Force, Caller, Done;

    /// Negotiates.
    Init "INIT" = 26: -, InitIn, -, -, AnyInitOut,
        Expected, Force, Nobody, Pass;

    /// Opens a directory; a server that lacks it does not need to be told.
    Opendir "OPENDIR" = 27: node, OpenIn, -, -, OpenOut,
        Expected, Normal, Caller, Fallback;

    /// Reads records of an open directory.
    Readdir "READDIR" = 28: node, ReadIn, -, -, Bytes(|op| op.args.size),
        Expected, Normal, Caller, Pass;

    /// Tells that an open directory is not used any more.
    Releasedir "RELEASEDIR" = 29: node, ReleaseIn, -, -, -,
        Expected, Force, Nobody, Pass;

    /// Makes a directory durable.
    Fsyncdir "FSYNCDIR" = 30: node, FsyncIn, -, -, -,
        Expected, Normal, Caller, Done;

    /// Asks for a conflicting lock.
    Getlk "GETLK" = 31: node, LkIn, -, -, LkOut,
        Expected, Normal, Caller, Pass;

    /// Locks or unlocks, or fails at once.
    Setlk "SETLK" = 32: node, LkIn, -, -, -,
        Expected, Normal, Caller, Pass;

    /// Locks, and waits for it.
    Setlkw "SETLKW" = 33: node, LkIn, -, -, -,
        Expected, Normal, Caller, Pass;

    /// Checks permissions.
    Access "ACCESS" = 34: node, AccessIn, -, -, -,
        Expected, Normal, Caller, Done;

    /// Makes a file and opens it; without it there are MKNOD and OPEN.
    Create<'a> "CREATE" = 35: dir, CreateIn, name, Ext(ext), EntryOut OpenOut,
        Expected, Normal, Creator, Fallback,
        in COMPAT_CREATE_IN_SIZE before 12, out EntryOut as COMPAT_ENTRY_OUT_SIZE before 9;

    /// Tells that no caller waits for a request any more.
    ///
    /// The channel makes it when it is read. A server that answers EAGAIN gets it again, one that
    /// answers ENOSYS never.
    Interrupt "INTERRUPT" = 36: -, InterruptIn, -, -, -,
        None, HighPriority, Nobody, Done;

    /// Finds a block of a file on the device.
    Bmap "BMAP" = 37: node, BmapIn, -, -, BmapOut,
        Expected, Normal, Caller, Fallback;

    /// Ends the session.
    Destroy "DESTROY" = 38: -, -, -, -, -,
        Expected, Force, Nobody, Pass;

    /// An operation that only the server understands. The answer may name other data that it needs.
    Ioctl "IOCTL" = 39: node, IoctlIn, -, -, IoctlOut Pages(|op| op.args.out_size.max(IOCTL_OUT_MIN)),
        Expected, Normal, Caller, Pass, data BothWays<Exchange>;

    /// Asks whether a file is ready; without it, it always is.
    Poll "POLL" = 40: node, PollIn, -, -, PollOut,
        Expected, Normal, Caller, Fallback;

    /// Answers NOTIFY_RETRIEVE. Its unique is the server's.
    NotifyReply "NOTIFY_REPLY" = 41: node, NotifyReplyIn, -, -, -,
        None, Normal, Caller, Pass, data ToServer<CachedRanges>;

    /// Returns lookups of many nodes; the bytes are so many
    /// [`ForgetOne`](crate::fuse::abi::node::ForgetOne).
    ///
    /// The channel makes it when it is read, for servers from 7.16 on.
    BatchForget<'a> "BATCH_FORGET" = 42: -, BatchForgetIn, -, Bytes(nodes), -,
        None, HighPriority, Nobody, Pass;

    /// Allocates or frees space of a file.
    Fallocate "FALLOCATE" = 43: node, FallocateIn, -, -, -,
        Expected, Normal, Caller, Eopnotsupp;

    /// Reads records of an open directory together with the nodes they name.
    Readdirplus "READDIRPLUS" = 44: node, ReadIn, -, -, Bytes(|op| op.args.size),
        Expected, Normal, Caller, Pass;

    /// Moves a name, with flags. For servers from 7.23 on.
    Rename2<'a> "RENAME2" = 45: dir, Rename2In, old_name new_name, -, -,
        Expected, Normal, Creator, Einval;

    /// Finds data or a hole; without it the file is all data.
    Lseek "LSEEK" = 46: node, LseekIn, -, -, LseekOut,
        Expected, Normal, Caller, Fallback;

    /// Copies from file to file, less than 4 GiB.
    CopyFileRange "COPY_FILE_RANGE" = 47: node, CopyFileRangeIn, -, -, WriteOut,
        Expected, Normal, Caller, Eopnotsupp;

    /// Maps a part of a file into the DAX window.
    Setupmapping "SETUPMAPPING" = 48: node, SetupmappingIn, -, -, -,
        Expected, Normal, Caller, Pass;

    /// Unmaps parts of the DAX window; the bytes are so many
    /// [`RemovemappingOne`](crate::fuse::abi::file::RemovemappingOne).
    Removemapping<'a> "REMOVEMAPPING" = 49: node, RemovemappingHead, -, Bytes(mappings), -,
        Expected, Normal, Caller, Pass;

    /// Makes the file system durable.
    Syncfs "SYNCFS" = 50: node, SyncfsIn, -, -, -,
        Expected, Normal, Caller, Done;

    /// Makes a file without a name and opens it.
    Tmpfile<'a> "TMPFILE" = 51: dir, CreateIn, name, Ext(ext), EntryOut OpenOut,
        Expected, Normal, Creator, Eopnotsupp;

    /// Reads attributes that GETATTR does not have.
    Statx "STATX" = 52: node, StatxIn, -, -, StatxOut,
        Expected, Normal, Caller, Fallback;

    /// Copies from file to file; without it there is COPY_FILE_RANGE.
    CopyFileRange64 "COPY_FILE_RANGE_64" = 53: node, CopyFileRangeIn, -, -, CopyFileRangeOut,
        Expected, Normal, Caller, Fallback;

    /// Negotiates a character device.
    CuseInit "CUSE_INIT" = 4096: -, CuseInitIn, -, -,
        CuseInitOut Bytes(|_| CUSE_INIT_INFO_MAX),
        Expected, Force, Caller, Pass;
}

/// An operation that is sent in another way than its row tells.
pub(crate) trait Variant: Sized {
    /// The operation.
    type Of: Operation;

    /// What it waits for.
    const GATE: Gate;
    /// Whose ids it has.
    const CREDS: Creds = Self::Of::CREDS;

    /// The operation.
    fn of(&self) -> &Self::Of;

    /// Returns the operation.
    fn into_of(self) -> Self::Of;
}

impl<V: Variant> Operation for V {
    const OPCODE: Opcode = V::Of::OPCODE;
    const REPLY: Reply = V::Of::REPLY;
    const GATE: Gate = <V as Variant>::GATE;
    const CREDS: Creds = <V as Variant>::CREDS;
    const ENOSYS: Enosys = V::Of::ENOSYS;

    type Data = <V::Of as Operation>::Data;
    type Out = <V::Of as Operation>::Out;

    fn node(&self) -> NodeId {
        self.of().node()
    }

    fn encode(&self, minor: u32, args: &mut InArgs) -> Result {
        self.of().encode(minor, args)
    }

    fn into_data(self) -> Self::Data {
        self.into_of().into_data()
    }

    fn shares_pages(&self) -> bool {
        self.of().shares_pages()
    }

    fn out_spec(&self, minor: u32) -> OutSpec {
        self.of().out_spec(minor)
    }

    fn decode(minor: u32, out: &mut OutArgs) -> Result<Self::Out> {
        V::Of::decode(minor, out)
    }

    fn lacking() -> Result<Self::Out> {
        V::Of::lacking()
    }
}

/// WRITE of the page cache: on the kernel's own behalf, and it cannot be cancelled.
pub(crate) struct Writeback(pub(crate) Write<DirtyRanges>);

impl Variant for Writeback {
    type Of = Write<DirtyRanges>;

    const GATE: Gate = Gate::Force;
    const CREDS: Creds = Creds::Nobody;

    fn of(&self) -> &Self::Of {
        &self.0
    }

    fn into_of(self) -> Self::Of {
        self.0
    }
}

/// SETLK that gives back the lock of a killed caller: on the kernel's own behalf.
pub(crate) struct Unlock(pub(crate) Setlk);

impl Variant for Unlock {
    type Of = Setlk;

    const GATE: Gate = Gate::Force;
    const CREDS: Creds = Creds::Nobody;

    fn of(&self) -> &Self::Of {
        &self.0
    }

    fn into_of(self) -> Self::Of {
        self.0
    }
}

/// An operation of the mount itself: INIT of one that waits for the answer, and DESTROY to a server
/// that may be dead, for which an unmount that is killed does not wait.
pub(crate) struct OfMount<O>(pub(crate) O);

impl<O: Operation> Variant for OfMount<O> {
    type Of = O;

    const GATE: Gate = Gate::Mount;

    fn of(&self) -> &Self::Of {
        &self.0
    }

    fn into_of(self) -> Self::Of {
        self.0
    }
}

/// IOCTL that the kernel makes itself: on its own data, and with an answer that has exactly the
/// length of a `T`.
pub(crate) struct OwnIoctl<'a, T> {
    node: NodeId,
    args: IoctlIn,
    sent: &'a [u8],
    answer: PhantomData<T>,
}

impl<'a, T: FromBytes + IntoBytes> OwnIoctl<'a, T> {
    /// An ioctl on `sent`; the lengths of `args` are filled in here.
    ///
    /// # Errors
    ///
    /// EINVAL if one of the lengths does not fit into 32 bits.
    pub(crate) fn new(node: NodeId, args: IoctlIn, sent: &'a [u8]) -> Result<Self> {
        Ok(Self {
            node,
            args: IoctlIn {
                in_size: sent.len().try_into()?,
                out_size: size_of::<T>().try_into()?,
                ..args
            },
            sent,
            answer: PhantomData,
        })
    }
}

impl<T: FromBytes + IntoBytes> Operation for OwnIoctl<'_, T> {
    const OPCODE: Opcode = Ioctl::OPCODE;
    const REPLY: Reply = Ioctl::REPLY;
    const GATE: Gate = Ioctl::GATE;
    const CREDS: Creds = Ioctl::CREDS;
    const ENOSYS: Enosys = Ioctl::ENOSYS;

    type Data = ();
    type Out = (IoctlOut, T);

    fn node(&self) -> NodeId {
        self.node
    }

    fn encode(&self, _minor: u32, args: &mut InArgs) -> Result {
        args.push(&self.args)?;
        args.push_bytes(self.sent)
    }

    fn into_data(self) {}

    fn out_spec(&self, _minor: u32) -> OutSpec {
        <IoctlOut as Part>::spec(0).then(<T as Part>::spec(0))
    }

    fn decode(_minor: u32, out: &mut OutArgs) -> Result<Self::Out> {
        Ok((<IoctlOut as Part>::take(out)?, <T as Part>::take(out)?))
    }

    fn lacking() -> Result<Self::Out> {
        Err(ENOSYS)
    }
}

impl Opcode {
    /// Whether a caller may leave the request and send it again later: the operation changes
    /// nothing, and every function that sends it returns its error to the system call.
    ///
    /// READ is none: a fault cannot begin again, and a stream gives its bytes once. GETXATTR is
    /// none: security modules take its failure for a file without the attribute.
    pub(crate) const fn only_asks(self) -> bool {
        matches!(
            self,
            Self::Lookup
                | Self::Getattr
                | Self::Statx
                | Self::Access
                | Self::Listxattr
                | Self::Readlink
                | Self::Readdir
                | Self::Readdirplus
                | Self::Open
                | Self::Opendir
                | Self::Statfs
                | Self::Lseek
                | Self::Getlk
        )
    }
}
