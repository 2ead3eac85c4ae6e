// SPDX-License-Identifier: GPL-2.0

//! IOCTL: requests that only the server understands.
//!
//! The VFS calls [`ioctl`] and [`dir_ioctl`]. An ioctl's number tells how much memory it reads and
//! writes, except for the two of fs-verity, whose argument tells it; the server gets no more of the
//! caller's memory than that, and cannot ask for more. Input is copied into memory of the request,
//! and the answer out of it.
//!
//! Devices call [`device_ioctl`], and may be *unrestricted*: then the number tells nothing. The
//! server gets number and argument first, and answers with a list of the areas of the caller's
//! memory that it needs, to read and to write; it is asked again with these, as often as it wants.
//!
//! Takes no lock, and holds none while the caller's memory is used.

use crate::{
    fuse::{
        abi::file::{
            IoctlFlag,
            IoctlFlags,
            IoctlIn,
            IoctlIovec,
            IoctlOut,
            IOCTL_MAX_IOV, //
        },
        conn::access::is_caller_allowed,
        inode::{
            check_good,
            handle::OpenFile,
            opened::Opened, //
        },
        op::{
            self,
            data::Exchange, //
        },
        Fuse, //
    },
    vfs::{
        file::{
            ioctl::{
                Abi,
                Ioctl, //
            },
            open::File, //
        },
        mm::{
            iov::{
                Room,
                Rooms, //
            },
            segment::FolioSegments, //
        },
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
    uapi, //
};
use zerocopy::FromBytes;

/// The first minor version of the protocol that has ioctls on directories.
const DIR_MINOR: u32 = 18;
/// The first minor version in which a server asks for memory by [`IoctlIovec`].
const IOVEC_MINOR: u32 = 16;

/// Asks for the digest of a file (`FS_IOC_MEASURE_VERITY`, on `struct fsverity_digest`).
const MEASURE_VERITY: u32 = _IOWR::<[u8; 4]>(b'f' as u32, 134);
/// The offset of the number of bytes that follow in a `struct fsverity_digest`.
const DIGEST_SIZE_AT: usize = 2;

/// Enables fs-verity for a file (`FS_IOC_ENABLE_VERITY`, on `struct fsverity_enable_arg`).
const ENABLE_VERITY: u32 = _IOW::<[u8; ENABLE_LEN]>(b'f' as u32, 133);
/// Length of a `struct fsverity_enable_arg`, in bytes.
const ENABLE_LEN: usize = 128;
/// The offsets of length and address of the salt, and of the signature.
const ENABLE_POINTERS: [(usize, usize); 2] = [(12, 16), (24, 32)];
/// Maximum number of bytes of either (`FUSE_VERITY_ENABLE_ARG_MAX_PAGES`).
const ENABLE_MAX: usize = 256 * PAGE_SIZE;

/// Whether an ioctl with this number reads its argument.
fn reads(cmd: u32) -> bool {
    _IOC_DIR(cmd) & uapi::_IOC_WRITE != 0
}

/// Whether an ioctl with this number writes to its argument.
fn writes(cmd: u32) -> bool {
    _IOC_DIR(cmd) & uapi::_IOC_READ != 0
}

/// An ioctl on an open file that the VFS does not know. Returns the server's result, even if that
/// is an error. May sleep.
///
/// # Errors
///
/// `EACCES` for callers that may not use the mount, `EIO` for a bad inode or an answer that does
/// not match the number, `EFAULT`, `ENOMEM` also for more memory than a request may have, `ENOTTY`
/// if the server knows no ioctls, otherwise the server's error.
pub(crate) fn ioctl(file: &File<Fuse>, call: Ioctl) -> Result<i32> {
    on_mount(file, call, IoctlFlags::default())
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
    on_mount(file, call, IoctlFlag::Dir.into())
}

fn on_mount(file: &File<Fuse>, call: Ioctl, flags: IoctlFlags) -> Result<i32> {
    let handle = file.data();
    if !is_caller_allowed(handle.mount().conn()) {
        return Err(EACCES);
    }
    check_good(file.inode())?;
    restricted(OpenFile::from(handle), call, flags)
}

/// As [`ioctl`], on the open file of a device. Every task that may open the device may do what the
/// server permits.
///
/// # Errors
///
/// `EFAULT`; `ENOMEM` also for more memory than a request may have, or too many areas; `EIO` for an
/// invalid answer, `EINVAL` for one of a server of another word size; `ENOTTY` if the server knows
/// no ioctls; otherwise the server's error.
pub(super) fn device_ioctl(opened: &Opened, call: Ioctl) -> Result<i32> {
    if opened.mount().conn().features().unrestricted_ioctl {
        unrestricted(OpenFile::from(opened), call)
    } else {
        restricted(OpenFile::from(opened), call, IoctlFlags::default())
    }
}

/// An area of the caller's memory.
#[derive(Clone, Copy)]
struct Area {
    base: usize,
    len: usize,
}

impl Area {
    fn user_slice(self) -> UserSlice {
        UserSlice::new(UserPtr::from_addr(self.base), self.len)
    }
}

/// The areas that an ioctl reads and writes.
struct Areas {
    input: KVec<Area>,
    output: KVec<Area>,
}

impl Areas {
    /// Those that the number tells, and for fs-verity the argument.
    fn of(call: Ioctl) -> Result<Self> {
        let mut area = Area {
            base: call.arg,
            len: _IOC_SIZE(call.cmd),
        };
        if call.cmd == MEASURE_VERITY {
            area.len = area.len.saturating_add(digest_size(call.arg)?);
        }
        let mut areas = Self::none();
        if reads(call.cmd) {
            areas.input.push(area, GFP_KERNEL)?;
        }
        if writes(call.cmd) {
            areas.output.push(area, GFP_KERNEL)?;
        }
        if call.cmd == ENABLE_VERITY {
            push_enable_pointers(&mut areas.input, call.arg)?;
        }
        Ok(areas)
    }

    fn none() -> Self {
        Self {
            input: KVec::new(),
            output: KVec::new(),
        }
    }
}

/// Bytes of all areas.
fn total(areas: &[Area]) -> usize {
    areas
        .iter()
        .fold(0, |sum, area| sum.saturating_add(area.len))
}

/// The formats in which a server asks for memory.
#[derive(Clone, Copy)]
enum Form {
    /// As [`IoctlIovec`], since the protocol has it.
    Iovec,
    /// As the `struct iovec` of a 64-bit server.
    Native,
    /// As the `struct iovec` of a 32-bit server, which only the length distinguishes.
    Old32,
}

impl Form {
    /// The format of `count` areas in `len` bytes, from a server that speaks 7.`minor`.
    ///
    /// # Errors
    ///
    /// `EIO` for another length; `EINVAL` if a 32-bit server cannot express addresses of a 64-bit
    /// caller.
    fn of(minor: u32, count: usize, len: usize, abi: Abi) -> Result<Self> {
        let form = match minor {
            IOVEC_MINOR.. => Self::Iovec,
            _ if count.checked_mul(Self::Old32.size()) == Some(len) => Self::Old32,
            _ => Self::Native,
        };
        if count.checked_mul(form.size()) != Some(len) {
            return Err(EIO);
        }
        if matches!(form, Self::Old32) && abi == Abi::Native {
            return Err(EINVAL);
        }
        Ok(form)
    }

    /// Bytes of one area.
    const fn size(self) -> usize {
        match self {
            Self::Iovec | Self::Native => size_of::<IoctlIovec>(),
            Self::Old32 => size_of::<[u32; 2]>(),
        }
    }

    /// Decodes an area.
    ///
    /// # Errors
    ///
    /// `EIO` if the caller cannot have such an area.
    fn area(self, bytes: &[u8], abi: Abi) -> Result<Area> {
        let (base, len) = match self {
            Self::Iovec | Self::Native => {
                let iovec = IoctlIovec::read_from_bytes(bytes).map_err(|_| EIO)?;
                (iovec.base, iovec.len)
            }
            Self::Old32 => {
                let [base, len] = <[u32; 2]>::read_from_bytes(bytes).map_err(|_| EIO)?;
                (base.into(), len.into())
            }
        };
        let most = match (self, abi) {
            (Self::Iovec, Abi::Compat | Abi::X32) => u32::MAX.into(),
            _ => u64::MAX,
        };
        if base > most || len > most {
            return Err(EIO);
        }
        Ok(Area {
            base: usize::try_from(base).map_err(|_| EIO)?,
            len: usize::try_from(len).map_err(|_| EIO)?,
        })
    }
}

/// The number of bytes that the caller has for a digest.
fn digest_size(arg: usize) -> Result<usize> {
    let mut size = [0; 2];
    UserSlice::new(UserPtr::from_addr(arg).wrapping_byte_add(DIGEST_SIZE_AT), 2)
        .reader()
        .read_slice(&mut size)?;
    Ok(u16::from_ne_bytes(size).into())
}

/// Adds the areas that a `struct fsverity_enable_arg` points to.
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

/// An ioctl on the areas of its number.
fn restricted(opened: OpenFile<'_>, call: Ioctl, flags: IoctlFlags) -> Result<i32> {
    let areas = Areas::of(call)?;
    let mut answer = ask(opened, call, flags, &areas)?;
    if answer.asks_for_more() {
        return Err(EIO);
    }
    answer.give(&areas.output)
}

/// An ioctl on the areas that the server asks for.
fn unrestricted(opened: OpenFile<'_>, call: Ioctl) -> Result<i32> {
    let mut areas = Areas::none();
    loop {
        let mut answer = ask(opened, call, IoctlFlag::Unrestricted.into(), &areas)?;
        if !answer.asks_for_more() {
            return answer.give(&areas.output);
        }
        areas = answer.wanted(&opened, call.abi)?;
    }
}

/// Sends the input from the caller's memory, with room for the output.
fn ask(opened: OpenFile<'_>, call: Ioctl, flags: IoctlFlags, areas: &Areas) -> Result<Answer> {
    let room = total(&areas.output);
    check_len(&opened, total(&areas.input).max(room))?;
    let mut input = KVVec::new();
    for area in &areas.input {
        area.user_slice().read_all(&mut input, GFP_KERNEL)?;
    }
    send(
        opened,
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
    )
}

/// Checks that a request may have data of `len` bytes.
///
/// # Errors
///
/// `ENOMEM`.
fn check_len(opened: &Opened, len: usize) -> Result {
    let max_pages = opened.mount().conn().features().max_pages as usize;
    if len.div_ceil(PAGE_SIZE) > max_pages {
        return Err(ENOMEM);
    }
    Ok(())
}

/// Size of the buffer through which an answer is read, in bytes.
const PIECE: usize = 128;

/// A server's answer to IOCTL.
struct Answer {
    out: IoctlOut,
    data: FolioSegments,
    /// Bytes of data.
    len: usize,
}

impl Answer {
    /// Whether the server needs other memory of the caller than it has got.
    fn asks_for_more(&self) -> bool {
        self.out.flags.contains(IoctlFlag::Retry)
    }

    /// The memory that the server asks for.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, also for too many areas; those of [`Form`].
    fn wanted(&mut self, opened: &Opened, abi: Abi) -> Result<Areas> {
        let (inputs, outputs) = (self.out.in_iovs, self.out.out_iovs);
        let count = match inputs.checked_add(outputs) {
            Some(count @ ..=IOCTL_MAX_IOV) => count as usize,
            _ => return Err(ENOMEM),
        };
        let form = Form::of(opened.mount().conn().features().minor, count, self.len, abi)?;
        let mut list = KVec::with_capacity(self.len, GFP_KERNEL)?;
        self.copy(|bytes| Ok(list.extend_from_slice(bytes, GFP_KERNEL)?))?;
        let mut areas = Areas::none();
        for (at, bytes) in list.chunks_exact(form.size()).enumerate() {
            let area = form.area(bytes, abi)?;
            let side = match at < inputs as usize {
                true => &mut areas.input,
                false => &mut areas.output,
            };
            side.push(area, GFP_KERNEL)?;
        }
        Ok(areas)
    }

    /// Copies the data to the caller, and returns what the ioctl returns.
    ///
    /// # Errors
    ///
    /// `EIO` if it is more than there is room for, `EFAULT`.
    fn give(&mut self, areas: &[Area]) -> Result<i32> {
        if self.len > total(areas) {
            return Err(EIO);
        }
        let mut areas = areas.iter();
        let mut to = UserSlice::new(UserPtr::from_addr(0), 0).writer();
        self.copy(|mut bytes| {
            while !bytes.is_empty() {
                if to.is_empty() {
                    to = areas.next().ok_or(EIO)?.user_slice().writer();
                }
                let (piece, rest) = bytes.split_at(bytes.len().min(to.len()));
                to.write_slice(piece)?;
                bytes = rest;
            }
            Ok(())
        })?;
        Ok(self.out.result)
    }

    /// Calls `sink` with the data, piece by piece.
    fn copy(&mut self, mut sink: impl FnMut(&[u8]) -> Result) -> Result {
        let mut done = 0usize;
        while done < self.len {
            let mut piece = [0; PIECE];
            let room = Room::from(&mut piece[..]).first(self.len - done);
            let copied = self.data.with_bytes(done, |bytes| room.copy_from(bytes));
            let len = copied.ok_or(EIO)?;
            sink(piece.get(..len).ok_or(EIO)?)?;
            done = done.saturating_add(len);
        }
        Ok(())
    }
}

/// Sends `input` with `args`, whose handle and lengths are filled in here; there is room for an
/// answer of `room` bytes, and of one page in any case. May sleep.
///
/// # Errors
///
/// `ENOMEM`, `ENOTTY` if the server knows no ioctls, otherwise the server's error.
fn send(opened: OpenFile<'_>, args: IoctlIn, input: &[u8], room: usize) -> Result<Answer> {
    let data = Exchange {
        sent: match input.is_empty() {
            true => FolioSegments::default(),
            false => filled(input)?,
        },
        filled: FolioSegments::alloc(room.max(PAGE_SIZE))?,
    };
    let op = op::Ioctl {
        node: opened.node(),
        args: IoctlIn {
            fh: opened.fh(),
            in_size: input.len().try_into()?,
            out_size: room.try_into()?,
            ..args
        },
        data,
    };
    let (result, data) = opened.call(op);
    let (mut out, len) = result.map_err(no_ioctl)?;
    if out.result == ENOSYS.to_errno() {
        out.result = ENOTTY.to_errno();
    }
    Ok(Answer {
        out,
        data: data.filled,
        len,
    })
}

/// ENOSYS does not stand for a missing system call here, but for a missing ioctl.
pub(super) fn no_ioctl(error: Error) -> Error {
    if error == ENOSYS {
        ENOTTY
    } else {
        error
    }
}

/// Memory with a copy of `bytes`.
fn filled(bytes: &[u8]) -> Result<FolioSegments> {
    let mut memory = FolioSegments::alloc(bytes.len())?;
    let mut rest = bytes;
    memory.fill(0, bytes.len(), |room| {
        let len = room.copy_from(rest.into());
        rest = rest.get(len..).unwrap_or_default();
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
    fn old_servers_are_told_by_their_word_size() {
        let is = |minor, count, len, abi| Form::of(minor, count, len, abi).map(Form::size);
        assert_eq!(is(16, 2, 32, Abi::Native), Ok(16));
        assert_eq!(is(16, 2, 16, Abi::Compat), Err(EIO));
        assert_eq!(is(15, 2, 32, Abi::Native), Ok(16));
        assert_eq!(is(15, 2, 16, Abi::Compat), Ok(8));
        assert_eq!(is(15, 2, 16, Abi::Native), Err(EINVAL));
        assert_eq!(is(15, 2, 24, Abi::Compat), Err(EIO));
        // Neither format has this length.
        assert_eq!(is(15, 0, 0, Abi::Native), Err(EINVAL));
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
