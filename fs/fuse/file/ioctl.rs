// SPDX-License-Identifier: GPL-2.0

//! IOCTL: what only the server understands.
//!
//! The VFS comes in through [`ioctl`] and [`dir_ioctl`]. How much memory an ioctl reads and writes
//! is in its number, except for the two of fs-verity, whose argument says it; the server gets no
//! more of the caller than that, and it cannot ask for more (only CUSE servers can). What is read
//! is copied into memory of the request, and what is answered out of it.
//!
//! Takes no lock, and holds none while the caller's memory is used.

use crate::{
    fuse::{
        abi::file::{
            IoctlFlag,
            IoctlFlags,
            IoctlIn,
            IoctlOut, //
        },
        attr::permission::is_caller_allowed,
        inode::{
            check_good,
            handle::OpenHandle, //
        },
        op,
        request::args::{
            InData,
            OutData, //
        },
        Fuse, //
    },
    vfs::{
        file::File,
        ioctl::{
            Abi,
            Ioctl, //
        },
        mm::folio::FolioSegments,
    },
};
use kernel::{
    ioctl::{
        _IOC_DIR,
        _IOC_SIZE,
        _IOW,
        _IOWR, //
    },
    page::PAGE_SIZE,
    prelude::*,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
    uapi,
};

/// The first minor version of the protocol that has ioctls on directories.
const DIR_MINOR: u32 = 18;

/// Asks for the digest of a file (`FS_IOC_MEASURE_VERITY`, on `struct fsverity_digest`).
const MEASURE_VERITY: u32 = _IOWR::<[u8; 4]>(b'f' as u32, 134);
/// Where a `struct fsverity_digest` says how many bytes there are behind it.
const DIGEST_SIZE_AT: usize = 2;

/// Makes a file one of fs-verity (`FS_IOC_ENABLE_VERITY`, on `struct fsverity_enable_arg`).
const ENABLE_VERITY: u32 = _IOW::<[u8; ENABLE_LEN]>(b'f' as u32, 133);
/// Length of a `struct fsverity_enable_arg`, in bytes.
const ENABLE_LEN: usize = 128;
/// Where it has length and address of the salt, and of the signature.
const ENABLE_POINTERS: [(usize, usize); 2] = [(12, 16), (24, 32)];
/// Most bytes of either (`FUSE_VERITY_ENABLE_ARG_MAX_PAGES`).
const ENABLE_MAX: usize = 256 * PAGE_SIZE;

/// Whether an ioctl with this number reads its argument.
fn reads(cmd: u32) -> bool {
    _IOC_DIR(cmd) & uapi::_IOC_WRITE != 0
}

/// Whether an ioctl with this number writes to its argument.
fn writes(cmd: u32) -> bool {
    _IOC_DIR(cmd) & uapi::_IOC_READ != 0
}

/// The VFS has an ioctl on an open file that it does not know. Returns what the server returns,
/// also if that is an error. May sleep.
///
/// # Errors
///
/// `EACCES` for callers who may not use the mount, `EIO` for a bad inode or an answer that does not
/// belong to the number, `EFAULT`, `ENOMEM` also if it is about more memory than a request may
/// carry, `ENOTTY` if the server knows no ioctls, else what the server answers.
pub(crate) fn ioctl(file: &File<Fuse>, call: Ioctl) -> Result<i32> {
    restricted(file, call, IoctlFlags::default())
}

/// As [`ioctl`], on an open directory.
///
/// # Errors
///
/// As [`ioctl`].
pub(crate) fn dir_ioctl(file: &File<Fuse>, call: Ioctl) -> Result<i32> {
    if file.data().mount().conn().features().minor < DIR_MINOR {
        return Err(ENOTTY);
    }
    restricted(file, call, IoctlFlag::Dir.into())
}

/// A piece of the caller's memory.
#[derive(Clone, Copy)]
struct Area {
    base: usize,
    len: usize,
}

/// What an ioctl reads and writes.
struct Areas {
    input: KVec<Area>,
    output: Option<Area>,
}

impl Areas {
    /// What the number says, and for fs-verity the argument.
    fn of(call: Ioctl) -> Result<Self> {
        let mut area = Area {
            base: call.arg,
            len: _IOC_SIZE(call.cmd),
        };
        if call.cmd == MEASURE_VERITY {
            area.len = area.len.saturating_add(digest_size(call.arg)?);
        }
        let mut input = KVec::new();
        if reads(call.cmd) {
            input.push(area, GFP_KERNEL)?;
        }
        if call.cmd == ENABLE_VERITY {
            push_enable_pointers(&mut input, call.arg)?;
        }
        Ok(Self {
            input,
            output: writes(call.cmd).then_some(area),
        })
    }

    /// Bytes that are read.
    fn input_len(&self) -> usize {
        self.input
            .iter()
            .fold(0, |sum, area| sum.saturating_add(area.len))
    }
}

/// How many bytes the caller has for a digest.
fn digest_size(arg: usize) -> Result<usize> {
    let mut size = [0; 2];
    UserSlice::new(UserPtr::from_addr(arg).wrapping_byte_add(DIGEST_SIZE_AT), 2)
        .reader()
        .read_slice(&mut size)?;
    Ok(u16::from_ne_bytes(size).into())
}

/// Adds what a `struct fsverity_enable_arg` points to.
fn push_enable_pointers(input: &mut KVec<Area>, arg: usize) -> Result {
    let mut enable = [0; ENABLE_LEN];
    UserSlice::new(UserPtr::from_addr(arg), ENABLE_LEN)
        .reader()
        .read_slice(&mut enable)?;
    for (len_at, base_at) in ENABLE_POINTERS {
        let len = enable.get(len_at..).and_then(|bytes| bytes.first_chunk());
        let base = enable.get(base_at..).and_then(|bytes| bytes.first_chunk());
        let (Some(len), Some(base)) = (len, base) else {
            return Err(EINVAL);
        };
        let len = u32::from_ne_bytes(*len) as usize;
        if len > ENABLE_MAX {
            return Err(ENOMEM);
        }
        if len > 0 {
            let base = usize::try_from(u64::from_ne_bytes(*base)).map_err(|_| EFAULT)?;
            input.push(Area { base, len }, GFP_KERNEL)?;
        }
    }
    Ok(())
}

fn restricted(file: &File<Fuse>, call: Ioctl, flags: IoctlFlags) -> Result<i32> {
    let handle = file.data();
    if !is_caller_allowed(handle.mount().conn()) {
        return Err(EACCES);
    }
    check_good(file.inode())?;

    let areas = Areas::of(call)?;
    let room = areas.output.map_or(0, |area| area.len);
    check_len(&handle, areas.input_len().max(room))?;
    let mut input = KVVec::new();
    for area in &areas.input {
        UserSlice::new(UserPtr::from_addr(area.base), area.len).read_all(&mut input, GFP_KERNEL)?;
    }
    let mut answer = send(
        &handle,
        IoctlIn {
            cmd: call.cmd,
            arg: call.arg as u64,
            flags: match call.abi {
                Abi::Native => flags,
                Abi::Compat => flags | IoctlFlag::Compat | IoctlFlag::Bits32,
                Abi::X32 => flags | IoctlFlag::Compat | IoctlFlag::Bits32 | IoctlFlag::CompatX32,
            },
            ..IoctlIn::default()
        },
        &input,
        room,
    )?;
    if answer.out.flags.contains(IoctlFlag::Retry) || answer.len > room {
        return Err(EIO);
    }
    if let Some(area) = areas.output {
        answer.give(area)?;
    }
    Ok(answer.out.result)
}

/// Checks that a request may carry data of `len` bytes.
///
/// # Errors
///
/// `ENOMEM`.
fn check_len(handle: &OpenHandle, len: usize) -> Result {
    let max_pages = handle.mount().conn().features().max_pages as usize;
    if len.div_ceil(PAGE_SIZE) > max_pages {
        return Err(ENOMEM);
    }
    Ok(())
}

/// What a server answered to IOCTL.
struct Answer {
    out: IoctlOut,
    data: FolioSegments,
    /// Bytes of data.
    len: usize,
}

impl Answer {
    /// Copies the data to the caller.
    fn give(&mut self, area: Area) -> Result {
        let mut to = UserSlice::new(UserPtr::from_addr(area.base), area.len).writer();
        self.copy(|bytes| to.write_slice(bytes))
    }

    /// Calls `sink` with the data, piece by piece.
    fn copy(&mut self, mut sink: impl FnMut(&[u8]) -> Result) -> Result {
        let mut done = 0usize;
        while done < self.len {
            let left = self.len - done;
            let piece = self.data.with_bytes(done, |bytes| {
                let bytes = bytes.get(..left).unwrap_or(bytes);
                sink(bytes).map(|()| bytes.len())
            });
            done = done.saturating_add(piece.ok_or(EIO)??);
        }
        Ok(())
    }
}

/// Sends `input` with `args`, whose handle and lengths are filled in here; there is room for an
/// answer of `room` bytes, and in any case of a page. May sleep.
///
/// # Errors
///
/// `ENOMEM`, `ENOTTY` if the server knows no ioctls, else what the server answers.
fn send(handle: &OpenHandle, args: IoctlIn, input: &[u8], room: usize) -> Result<Answer> {
    let data = if input.is_empty() {
        InData::None
    } else {
        InData::Folios(filled(input)?)
    };
    let space = OutData::Folios(memory(room.max(PAGE_SIZE))?);
    let op = op::Ioctl {
        node: handle.inode().data().node_id(),
        args: IoctlIn {
            fh: handle.fh(),
            in_size: input.len().try_into()?,
            out_size: room.try_into()?,
            ..args
        },
    };
    let (result, data) = handle.mount().call_in_out(op, data, space);
    let ((mut out, ()), len) = result.map_err(no_ioctl)?;
    if out.result == ENOSYS.to_errno() {
        out.result = ENOTTY.to_errno();
    }
    let OutData::Folios(data) = data else {
        return Err(EIO);
    };
    Ok(Answer { out, data, len })
}

/// No system call "ENOSYS" is meant, but no such ioctl.
pub(super) fn no_ioctl(error: Error) -> Error {
    if error == ENOSYS {
        ENOTTY
    } else {
        error
    }
}

/// Memory of exactly `len` bytes.
fn memory(len: usize) -> Result<FolioSegments> {
    let memory = FolioSegments::alloc(len)?;
    if memory.len() < len {
        return Err(ENOMEM);
    }
    Ok(memory)
}

/// Memory with a copy of `bytes`.
fn filled(bytes: &[u8]) -> Result<FolioSegments> {
    let mut memory = memory(bytes.len())?;
    let mut rest = bytes;
    memory.fill(0, bytes.len(), |room| {
        let len = room.len().min(rest.len());
        let (piece, behind) = rest.split_at(len);
        if let Some(room) = room.get_mut(..len) {
            room.copy_from_slice(piece);
        }
        rest = behind;
        len
    });
    Ok(memory)
}

#[kunit_tests(ferrofuse_ioctl)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_fs_verity() {
        assert_eq!(MEASURE_VERITY, 0xc004_6686);
        assert_eq!(ENABLE_VERITY, 0x4080_6685);
        assert!(reads(MEASURE_VERITY) && writes(MEASURE_VERITY));
        assert!(reads(ENABLE_VERITY) && !writes(ENABLE_VERITY));
    }

    #[test]
    fn memory_holds_what_it_was_filled_with() -> Result {
        let mut bytes = KVVec::new();
        for i in 0..PAGE_SIZE + 3 {
            bytes.push(i as u8, GFP_KERNEL)?;
        }
        let data = filled(&bytes)?;
        let mut answer = Answer {
            out: IoctlOut::default(),
            len: data.len(),
            data,
        };
        let mut copy = KVVec::new();
        answer.copy(|piece| Ok(copy.extend_from_slice(piece, GFP_KERNEL)?))?;
        assert!(bytes.as_slice() == copy.as_slice());
        Ok(())
    }
}
