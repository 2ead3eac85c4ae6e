// SPDX-License-Identifier: GPL-2.0

//! System calls as functions that return `Result<_, Errno>`: what callers run, and what the mock server itself needs.

use super::wire::Wire;
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::os::raw::c_int;

/// An errno; printed by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

pub type Result<T> = std::result::Result<T, Errno>;

macro_rules! errnos {
    ($($name:ident)*) => {
        $(#[allow(dead_code)] pub const $name: Errno = Errno(libc::$name);)*
        const ERRNOS: &[(i32, &str)] = &[$((libc::$name, stringify!($name))),*];
    };
}

errnos! {
    EPERM ENOENT EINTR EIO E2BIG EBADF EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV ENODEV ENOTDIR EISDIR EINVAL
    ENOTTY EFBIG ENOSPC ESPIPE EROFS ERANGE ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW EOPNOTSUPP
    ECONNABORTED ENOTCONN ECONNREFUSED ETIMEDOUT ESTALE ENXIO EPROTO
}

impl std::fmt::Debug for Errno {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match ERRNOS.iter().find(|(n, _)| *n == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

/// The errno of the call that just failed.
pub fn errno() -> Errno {
    Errno(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

pub(super) fn check(ret: i64) -> Result<i64> {
    if ret < 0 {
        Err(errno())
    } else {
        Ok(ret)
    }
}

fn c(s: &str) -> CString {
    CString::new(s).expect("a path without NUL")
}

fn own(fd: i64) -> OwnedFd {
    // SAFETY: a descriptor that the kernel has just made and nobody else has.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// A raw system call.
///
/// # Safety
///
/// The arguments must be what the call with number `nr` allows.
unsafe fn syscall(nr: i64, a: [usize; 6]) -> Result<i64> {
    // SAFETY: promised by the caller.
    check(unsafe { libc::syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]) })
}

pub fn open(path: &str, flags: c_int) -> Result<RawFd> {
    let p = c(path);
    // SAFETY: `p` is a C string.
    check(unsafe { libc::open(p.as_ptr(), flags | libc::O_CLOEXEC, 0o644) }.into())
        .map(|fd| fd as RawFd)
}

pub fn openat(dir: RawFd, path: &str, flags: c_int) -> Result<RawFd> {
    let p = c(path);
    // SAFETY: `p` is a C string.
    check(unsafe { libc::openat(dir, p.as_ptr(), flags | libc::O_CLOEXEC, 0o644) }.into())
        .map(|fd| fd as RawFd)
}

pub fn close(fd: RawFd) -> Result<()> {
    // SAFETY: closes a number; the tests own what they close.
    check(unsafe { libc::close(fd) }.into()).map(drop)
}

/// A file in memory, without a name.
pub fn memfd() -> RawFd {
    // SAFETY: the name is a C string.
    let fd = unsafe { libc::memfd_create(c"memory".as_ptr(), libc::MFD_CLOEXEC) };
    check(fd.into()).expect("memfd_create") as RawFd
}

pub fn dup(fd: RawFd) -> Result<RawFd> {
    // SAFETY: no memory involved.
    check(unsafe { libc::dup(fd) }.into()).map(|fd| fd as RawFd)
}

/// One read(2); the buffer is page aligned, so that direct I/O is split the same way each time.
pub fn read(fd: RawFd, len: usize) -> Result<Vec<u8>> {
    read_with(len, 0, |p| {
        // SAFETY: `read_with` gives room for `len` bytes.
        unsafe { libc::read(fd, p, len) }
    })
}

pub fn pread(fd: RawFd, len: usize, off: i64) -> Result<Vec<u8>> {
    // SAFETY: as in `read`.
    read_with(len, 0, |p| unsafe { libc::pread(fd, p, len, off) })
}

/// pread(2) into a buffer that starts `misalign` bytes after a page boundary.
pub fn pread_misaligned(fd: RawFd, len: usize, off: i64, misalign: usize) -> Result<Vec<u8>> {
    // SAFETY: as in `read`.
    read_with(len, misalign, |p| unsafe { libc::pread(fd, p, len, off) })
}

fn read_with(
    len: usize,
    misalign: usize,
    f: impl Fn(*mut libc::c_void) -> isize,
) -> Result<Vec<u8>> {
    let mut buf = vec![0u8; len + misalign + 4096];
    let skip = buf.as_ptr().align_offset(4096) + misalign;
    let n = check(f(buf[skip..].as_mut_ptr().cast()) as i64)? as usize;
    Ok(buf[skip..skip + n].to_vec())
}

pub fn write(fd: RawFd, data: &[u8]) -> Result<usize> {
    // SAFETY: the slice is valid for its length.
    check(unsafe { libc::write(fd, data.as_ptr().cast(), data.len()) } as i64).map(|n| n as usize)
}

/// writev(2) of parts given as address and length, which may be bad on purpose.
pub fn writev(fd: RawFd, parts: &[(usize, usize)]) -> Result<usize> {
    let iov: Vec<_> = parts
        .iter()
        .map(|&(base, len)| libc::iovec {
            iov_base: base as *mut libc::c_void,
            iov_len: len,
        })
        .collect();
    // SAFETY: the vector is valid; bad addresses in it only make the call fail.
    check(unsafe { libc::writev(fd, iov.as_ptr(), iov.len() as c_int) } as i64).map(|n| n as usize)
}

/// read(2) to an address, which may be bad on purpose.
pub fn read_to(fd: RawFd, at: usize, len: usize) -> Result<usize> {
    // SAFETY: where the memory is not the caller's to write the call fails; the caller refers to none of it meanwhile.
    check(unsafe { libc::read(fd, at as *mut libc::c_void, len) } as i64).map(|n| n as usize)
}

/// Gives the thread this name.
pub fn name_thread(name: &str) {
    let name = c(name);
    // SAFETY: a C string, which the call copies.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

pub fn lseek(fd: RawFd, off: i64, whence: c_int) -> Result<i64> {
    // SAFETY: no memory involved.
    check(unsafe { libc::lseek(fd, off, whence) })
}

/// What stat(2) shows, without the parts that no test looks at.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub size: i64,
    pub blocks: i64,
    pub atime: [i64; 2],
    pub mtime: [i64; 2],
    pub ctime: [i64; 2],
    pub rdev: u64,
    pub mode: u32,
    pub nlink: u32,
    pub uid: u32,
    pub gid: u32,
    pub blksize: i64,
}
// SAFETY: `repr(C)` of integers, eight-byte ones first and an even number of four-byte ones.
unsafe impl Wire for Stat {}

fn to_stat(s: &libc::stat) -> Stat {
    Stat {
        dev: s.st_dev,
        ino: s.st_ino,
        size: s.st_size,
        blocks: s.st_blocks,
        atime: [s.st_atime, s.st_atime_nsec],
        mtime: [s.st_mtime, s.st_mtime_nsec],
        ctime: [s.st_ctime, s.st_ctime_nsec],
        rdev: s.st_rdev,
        mode: s.st_mode,
        nlink: s.st_nlink as u32,
        uid: s.st_uid,
        gid: s.st_gid,
        blksize: s.st_blksize,
    }
}

fn stat_with(f: impl Fn(*mut libc::stat) -> c_int) -> Result<Stat> {
    // SAFETY: all zeros is a valid `stat`.
    let mut s: libc::stat = unsafe { std::mem::zeroed() };
    check(f(&mut s).into())?;
    Ok(to_stat(&s))
}

pub fn stat(path: &str) -> Result<Stat> {
    let p = c(path);
    // SAFETY: a C string, and a `stat` to fill.
    stat_with(|s| unsafe { libc::stat(p.as_ptr(), s) })
}

pub fn lstat(path: &str) -> Result<Stat> {
    let p = c(path);
    // SAFETY: as above.
    stat_with(|s| unsafe { libc::lstat(p.as_ptr(), s) })
}

pub fn fstat(fd: RawFd) -> Result<Stat> {
    // SAFETY: as above.
    stat_with(|s| unsafe { libc::fstat(fd, s) })
}

/// statx(2) for the basic attributes with one of `AT_STATX_*`; returns the size.
pub fn statx_size(path: &str, sync: c_int) -> Result<u64> {
    let p = c(path);
    // SAFETY: all zeros is a valid `statx`.
    let mut s: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a `statx` to fill.
    check(
        unsafe {
            libc::statx(
                libc::AT_FDCWD,
                p.as_ptr(),
                sync,
                libc::STATX_BASIC_STATS,
                &mut s,
            )
        }
        .into(),
    )?;
    Ok(s.stx_size)
}

/// statx(2) for the mode alone, which may be what is known already; returns its lower bits.
pub fn statx_mode(path: &str) -> Result<u32> {
    let p = c(path);
    // SAFETY: all zeros is a valid `statx`.
    let mut s: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a `statx` to fill.
    check(unsafe { libc::statx(libc::AT_FDCWD, p.as_ptr(), 0, libc::STATX_MODE, &mut s) }.into())?;
    Ok(u32::from(s.stx_mode) & 0o7777)
}

/// statx(2) for the basic attributes and the birth time; returns the size, and whether there is a birth time.
pub fn statx_btime(path: &str) -> Result<(u64, bool)> {
    let p = c(path);
    // SAFETY: all zeros is a valid `statx`.
    let mut s: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: a C string, and a `statx` to fill.
    check(unsafe { libc::statx(libc::AT_FDCWD, p.as_ptr(), 0, mask, &mut s) }.into())?;
    Ok((s.stx_size, s.stx_mask & libc::STATX_BTIME != 0))
}

/// What statfs(2) shows.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statfs {
    pub kind: i64,
    pub bsize: i64,
    pub blocks: u64,
    pub bfree: u64,
    pub bavail: u64,
    pub files: u64,
    pub ffree: u64,
    pub namelen: i64,
    pub frsize: i64,
    pub fsid: [i32; 2],
}
// SAFETY: `repr(C)` of integers without a gap.
unsafe impl Wire for Statfs {}

pub fn statfs(path: &str) -> Result<Statfs> {
    let p = c(path);
    // SAFETY: all zeros is a valid `statfs`.
    let mut s: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a `statfs` to fill.
    check(unsafe { libc::statfs(p.as_ptr(), &mut s) }.into())?;
    Ok(Statfs {
        kind: s.f_type,
        bsize: s.f_bsize,
        blocks: s.f_blocks,
        bfree: s.f_bfree,
        bavail: s.f_bavail,
        files: s.f_files,
        ffree: s.f_ffree,
        namelen: s.f_namelen,
        frsize: s.f_frsize,
        // SAFETY: `fsid_t` is two ints.
        fsid: unsafe { std::mem::transmute::<libc::fsid_t, [i32; 2]>(s.f_fsid) },
    })
}

pub fn access(path: &str, mode: c_int) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::access(p.as_ptr(), mode) }.into()).map(drop)
}

pub fn chdir(path: &str) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::chdir(p.as_ptr()) }.into()).map(drop)
}

pub fn mkdir(path: &str) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::mkdir(p.as_ptr(), 0o755) }.into()).map(drop)
}

pub fn rmdir(path: &str) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::rmdir(p.as_ptr()) }.into()).map(drop)
}

pub fn unlink(path: &str) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::unlink(p.as_ptr()) }.into()).map(drop)
}

pub fn mknod(path: &str, mode: u32) -> Result<()> {
    mknod_device(path, mode, 0)
}

/// mknod(2) of the node of a device.
pub fn mknod_device(path: &str, mode: u32, rdev: u64) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::mknod(p.as_ptr(), mode, rdev) }.into()).map(drop)
}

pub fn symlink(target: &str, path: &str) -> Result<()> {
    let (t, p) = (c(target), c(path));
    // SAFETY: two C strings.
    check(unsafe { libc::symlink(t.as_ptr(), p.as_ptr()) }.into()).map(drop)
}

pub fn rename(from: &str, to: &str) -> Result<()> {
    let (f, t) = (c(from), c(to));
    // SAFETY: two C strings.
    check(unsafe { libc::rename(f.as_ptr(), t.as_ptr()) }.into()).map(drop)
}

pub fn link(from: &str, to: &str) -> Result<()> {
    let (f, t) = (c(from), c(to));
    // SAFETY: two C strings.
    check(unsafe { libc::link(f.as_ptr(), t.as_ptr()) }.into()).map(drop)
}

pub fn chown(path: &str, uid: u32, gid: u32) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::chown(p.as_ptr(), uid, gid) }.into()).map(drop)
}

pub fn chmod(path: &str, mode: u32) -> Result<()> {
    let p = c(path);
    // SAFETY: a C string.
    check(unsafe { libc::chmod(p.as_ptr(), mode) }.into()).map(drop)
}

pub fn getxattr(path: &str, name: &str) -> Result<Vec<u8>> {
    let (p, n) = (c(path), c(name));
    let mut buf = vec![0u8; 256];
    // SAFETY: two C strings and a buffer with its length.
    let got =
        check(
            unsafe { libc::getxattr(p.as_ptr(), n.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) }
                as i64,
        )?;
    buf.truncate(got as usize);
    Ok(buf)
}

pub fn setxattr(path: &str, name: &str, value: &[u8]) -> Result<()> {
    let (p, n) = (c(path), c(name));
    // SAFETY: two C strings and a buffer with its length.
    check(
        unsafe {
            libc::setxattr(
                p.as_ptr(),
                n.as_ptr(),
                value.as_ptr().cast(),
                value.len(),
                0,
            )
        }
        .into(),
    )
    .map(drop)
}

pub fn listxattr(path: &str) -> Result<Vec<u8>> {
    let p = c(path);
    let mut buf = vec![0u8; 256];
    // SAFETY: a C string and a buffer with its length.
    let got =
        check(unsafe { libc::listxattr(p.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) } as i64)?;
    buf.truncate(got as usize);
    Ok(buf)
}

pub fn removexattr(path: &str, name: &str) -> Result<()> {
    let (p, n) = (c(path), c(name));
    // SAFETY: two C strings.
    check(unsafe { libc::removexattr(p.as_ptr(), n.as_ptr()) }.into()).map(drop)
}

/// sendfile(2) of up to `len` bytes from the position of `from` on.
pub fn sendfile(to: RawFd, from: RawFd, len: usize) -> Result<usize> {
    // SAFETY: no memory involved.
    check(unsafe { libc::sendfile(to, from, std::ptr::null_mut(), len) } as i64).map(|n| n as usize)
}

pub fn fsync(fd: RawFd) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::fsync(fd) }.into()).map(drop)
}

pub fn fallocate(fd: RawFd, len: i64) -> Result<()> {
    fallocate_range(fd, 0, 0, len)
}

/// fallocate(2) with any mode and range.
pub fn fallocate_range(fd: RawFd, mode: c_int, off: i64, len: i64) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::fallocate(fd, mode, off, len) }.into()).map(drop)
}

pub fn readlink(path: &str) -> Result<Vec<u8>> {
    let p = c(path);
    let mut buf = vec![0u8; 8192];
    // SAFETY: a C string and a buffer with its length.
    let n =
        check(unsafe { libc::readlink(p.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) } as i64)?;
    buf.truncate(n as usize);
    Ok(buf)
}

/// An entry as getdents64(2) gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub ino: u64,
    pub off: i64,
    pub kind: u8,
    pub name: String,
}

/// One getdents64(2) with a buffer of `len` bytes.
pub fn getdents(fd: RawFd, len: usize) -> Result<Vec<Entry>> {
    let mut buf = vec![0u8; len];
    // SAFETY: a buffer with its length.
    let n = unsafe {
        syscall(
            libc::SYS_getdents64,
            [fd as usize, buf.as_mut_ptr() as usize, len, 0, 0, 0],
        )
    }? as usize;
    Ok(entries(&buf[..n]))
}

/// The same, as a 32-bit program calls it.
pub fn getdents_32(fd: RawFd, len: usize) -> Result<Vec<Entry>> {
    let memory = Map::low(len)?;
    // SAFETY: a buffer with its length.
    let n = unsafe { syscall_32(220, [fd as u32, memory.address() as u32, len as u32]) }?;
    Ok(entries(&memory.load(0, n as usize)))
}

/// The records in a buffer of getdents64(2).
fn entries(mut rest: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let reclen = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
        let name = &rest[19..reclen];
        let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
        entries.push(Entry {
            ino: u64::from_le_bytes(rest[..8].try_into().unwrap()),
            off: i64::from_le_bytes(rest[8..16].try_into().unwrap()),
            kind: rest[18],
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
        });
        rest = &rest[reclen..];
    }
    entries
}

/// Maps `len` bytes of `fd` for reading and copies them out; the loads are what faults the pages in.
pub fn mmap_read(fd: RawFd, len: usize) -> Result<Vec<u8>> {
    // SAFETY: a new mapping where the kernel likes.
    let p = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            len,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            fd,
            0,
        )
    };
    if p == libc::MAP_FAILED {
        return Err(errno());
    }
    // SAFETY: just mapped with this length.
    let copy = unsafe { std::slice::from_raw_parts(p.cast::<u8>(), len) }.to_vec();
    // SAFETY: the mapping made above; nothing refers to it any more.
    unsafe { libc::munmap(p, len) };
    Ok(copy)
}

pub fn syncfs(fd: RawFd) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::syncfs(fd) }.into()).map(drop)
}

/// sync_file_range(2) of the whole file: writes its dirty pages, and waits for that.
pub fn sync_range(fd: RawFd) -> Result<()> {
    let all = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: no memory involved.
    check(unsafe { libc::sync_file_range(fd, 0, 0, all) }.into()).map(drop)
}

pub fn ftruncate(fd: RawFd, len: i64) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::ftruncate(fd, len) }.into()).map(drop)
}

pub fn fchmod(fd: RawFd, mode: u32) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::fchmod(fd, mode) }.into()).map(drop)
}

/// A mapping of a file that is stored to and read by volatile accesses, byte by byte.
pub struct Map {
    start: *mut u8,
    len: usize,
}

impl Map {
    /// Maps the first `len` bytes of `fd` with these `PROT_` and `MAP_` flags.
    pub fn new(fd: RawFd, len: usize, prot: c_int, flags: c_int) -> Result<Self> {
        Self::at(fd, 0, len, prot, flags)
    }

    /// As [`Self::new`], from `offset` on.
    pub fn at(fd: RawFd, offset: i64, len: usize, prot: c_int, flags: c_int) -> Result<Self> {
        // SAFETY: a new mapping where the kernel likes.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, fd, offset) };
        if p == libc::MAP_FAILED {
            return Err(errno());
        }
        Ok(Map {
            start: p.cast(),
            len,
        })
    }

    /// Maps it shared, for loads and stores.
    pub fn shared(fd: RawFd, len: usize) -> Result<Self> {
        Self::new(
            fd,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
        )
    }

    /// Maps memory whose addresses a 32-bit program could have.
    pub fn low(len: usize) -> Result<Self> {
        Self::new(
            -1,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT,
        )
    }

    /// The address of its first byte.
    pub fn address(&self) -> usize {
        self.start as usize
    }

    pub fn store(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len);
        for (i, b) in bytes.iter().enumerate() {
            // SAFETY: within the mapping.
            unsafe { self.start.add(at + i).write_volatile(*b) };
        }
    }

    pub fn load(&self, at: usize, len: usize) -> Vec<u8> {
        assert!(at + len <= self.len);
        (at..at + len)
            // SAFETY: within the mapping.
            .map(|i| unsafe { self.start.add(i).read_volatile() })
            .collect()
    }

    /// write(2) of a part of it.
    pub fn write_to(&self, fd: RawFd, at: usize, len: usize) -> Result<usize> {
        assert!(at + len <= self.len);
        // SAFETY: within the mapping.
        check(unsafe { libc::write(fd, self.start.add(at).cast(), len) } as i64).map(|n| n as usize)
    }

    /// pread(2) from the start of `fd` into a part of it.
    pub fn read_from(&self, fd: RawFd, at: usize, len: usize) -> Result<usize> {
        assert!(at + len <= self.len);
        // SAFETY: within the mapping.
        check(unsafe { libc::pread(fd, self.start.add(at).cast(), len, 0) } as i64)
            .map(|n| n as usize)
    }

    /// Address and length of a part of it, for [`writev`] and the like.
    pub fn part(&self, at: usize, len: usize) -> (usize, usize) {
        assert!(at + len <= self.len);
        (self.start as usize + at, len)
    }

    pub fn sync(&self) -> Result<()> {
        // SAFETY: the whole of the mapping.
        check(unsafe { libc::msync(self.start.cast(), self.len, libc::MS_SYNC) }.into()).map(drop)
    }

    /// Keeps it out of the children of this process.
    pub fn not_in_children(self) -> Self {
        // SAFETY: the whole of the mapping, which this process keeps.
        let ret = unsafe { libc::madvise(self.start.cast(), self.len, libc::MADV_DONTFORK) };
        assert_eq!(ret, 0, "madvise: {:?}", errno());
        self
    }

    /// Takes the mapping, and leaves one of nothing.
    pub fn take(&mut self) -> Self {
        let start = std::mem::replace(&mut self.start, std::ptr::null_mut());
        let len = std::mem::take(&mut self.len);
        Map { start, len }
    }

    pub fn unmap(self) {
        // SAFETY: the mapping, which nothing refers to any more.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// execve(2) of a path; comes back only if it fails.
pub fn exec(path: &str) -> Errno {
    let p = c(path);
    let argv = [p.as_ptr(), std::ptr::null()];
    let env = [std::ptr::null()];
    // SAFETY: C strings in arrays that end in null.
    unsafe { libc::execve(p.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    errno()
}

pub fn mount(source: &str, target: &str, fstype: &str, flags: u64, data: &str) -> Result<()> {
    let (s, t, f, d) = (c(source), c(target), c(fstype), c(data));
    // SAFETY: four C strings.
    check(
        unsafe { libc::mount(s.as_ptr(), t.as_ptr(), f.as_ptr(), flags, d.as_ptr().cast()) }.into(),
    )
    .map(drop)
}

pub fn umount(target: &str, flags: c_int) -> Result<()> {
    let t = c(target);
    // SAFETY: a C string.
    check(unsafe { libc::umount2(t.as_ptr(), flags) }.into()).map(drop)
}

pub const FSCONFIG_SET_FLAG: u32 = 0;
pub const FSCONFIG_SET_STRING: u32 = 1;
pub const FSCONFIG_SET_FD: u32 = 5;
pub const FSCONFIG_CMD_CREATE: u32 = 6;
pub const FSCONFIG_CMD_RECONFIGURE: u32 = 7;

pub fn fsopen(fstype: &str) -> Result<OwnedFd> {
    let f = c(fstype);
    // SAFETY: a C string; flag 1 is FSOPEN_CLOEXEC.
    unsafe { syscall(libc::SYS_fsopen, [f.as_ptr() as usize, 1, 0, 0, 0, 0]) }.map(own)
}

pub fn fspick(path: &str) -> Result<OwnedFd> {
    let p = c(path);
    // SAFETY: a C string; flag 1 is FSPICK_CLOEXEC.
    unsafe {
        syscall(
            libc::SYS_fspick,
            [libc::AT_FDCWD as usize, p.as_ptr() as usize, 1, 0, 0, 0],
        )
    }
    .map(own)
}

/// fsconfig(2): `cmd` with an optional key and string value, and `aux`.
pub fn fsconfig(
    fs: &OwnedFd,
    cmd: u32,
    key: Option<&str>,
    value: Option<&str>,
    aux: i32,
) -> Result<()> {
    let (k, v) = (key.map(c), value.map(c));
    let ptr = |s: &Option<CString>| s.as_ref().map_or(0, |s| s.as_ptr() as usize);
    let a = [
        fs.as_raw_fd() as usize,
        cmd as usize,
        ptr(&k),
        ptr(&v),
        aux as usize,
        0,
    ];
    // SAFETY: null or C strings.
    unsafe { syscall(libc::SYS_fsconfig, a) }.map(drop)
}

pub fn fsmount(fs: &OwnedFd) -> Result<OwnedFd> {
    // SAFETY: no memory involved; flag 1 is FSMOUNT_CLOEXEC.
    unsafe { syscall(libc::SYS_fsmount, [fs.as_raw_fd() as usize, 1, 0, 0, 0, 0]) }.map(own)
}

/// Attaches what `fsmount` gave.
pub fn move_mount(mnt: &OwnedFd, target: &str) -> Result<()> {
    let (empty, t) = (c(""), c(target));
    let from = mnt.as_raw_fd() as usize;
    // 4 is MOVE_MOUNT_F_EMPTY_PATH.
    let a = [
        from,
        empty.as_ptr() as usize,
        libc::AT_FDCWD as usize,
        t.as_ptr() as usize,
        4,
        0,
    ];
    // SAFETY: two C strings.
    unsafe { syscall(libc::SYS_move_mount, a) }.map(drop)
}

/// Waits until one of `events` holds on `fd`, at most `ms` milliseconds; what holds, or 0.
pub fn poll(fd: RawFd, events: i16, ms: i64) -> i16 {
    let mut p = libc::pollfd {
        fd,
        events,
        revents: 0,
    };
    // SAFETY: one valid `pollfd`.
    let n = unsafe { libc::poll(&mut p, 1, ms as c_int) };
    if n <= 0 {
        0
    } else {
        p.revents
    }
}

/// As [`poll`] on two descriptors, of which one that is -1 is left out.
pub fn poll_two(fds: [RawFd; 2], events: i16, ms: i64) -> [i16; 2] {
    let mut p = fds.map(|fd| libc::pollfd {
        fd,
        events,
        revents: 0,
    });
    // SAFETY: two valid `pollfd`.
    unsafe { libc::poll(p.as_mut_ptr(), 2, ms as c_int) };
    p.map(|p| p.revents)
}

pub fn pipe() -> (OwnedFd, OwnedFd) {
    let mut p = [0; 2];
    // SAFETY: room for two descriptors.
    check(unsafe { libc::pipe2(p.as_mut_ptr(), libc::O_CLOEXEC) }.into()).expect("pipe");
    (own(p[0].into()), own(p[1].into()))
}

pub fn pidfd(pid: i32) -> OwnedFd {
    // SAFETY: no memory involved.
    own(
        unsafe { syscall(libc::SYS_pidfd_open, [pid as usize, 0, 0, 0, 0, 0]) }
            .expect("pidfd_open"),
    )
}

pub fn getpid() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::getpid() }
}

pub fn kill(pid: i32, sig: c_int) {
    // SAFETY: no memory involved.
    check(unsafe { libc::kill(pid, sig) }.into()).expect("kill");
}

/// Lets this process have `n` descriptors open.
pub fn allow_descriptors(n: u64) {
    let limit = libc::rlimit {
        rlim_cur: n,
        rlim_max: n,
    };
    // SAFETY: a valid limit.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }.into()).expect("setrlimit");
}

/// Runs this process on one processor from now on, if there is such a processor.
pub fn run_on(processor: usize) -> Result<()> {
    // SAFETY: all zeros is an empty set, and one bit of it is set.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        check(libc::sched_setaffinity(0, size_of_val(&set), &set).into()).map(drop)
    }
}

/// Runs this process before all others of its processor, whenever it can run.
pub fn run_first() {
    let priority = libc::sched_param { sched_priority: 1 };
    // SAFETY: valid parameters.
    check(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &priority) }.into())
        .expect("sched_setscheduler");
}

extern "C" fn nothing(_: c_int) {}

/// Catches `sig` with a handler that does nothing, without SA_RESTART: the call that it interrupts ends with EINTR.
pub fn catch(sig: c_int) {
    set_handler(sig, nothing as extern "C" fn(c_int) as usize);
}

pub fn ignore(sig: c_int) {
    set_handler(sig, libc::SIG_IGN);
}

/// Gives every signal its default action: what started the tests may have ignored some.
pub fn default_signals() {
    for sig in 1..32 {
        // SAFETY: sets a default action; refused for SIGKILL and SIGSTOP, which have no other.
        unsafe { libc::signal(sig, libc::SIG_DFL) };
    }
}

/// Catches `sig` with a handler that does nothing: the call that it interrupts goes on, if it can.
pub fn catch_and_restart(sig: c_int) {
    let handler = nothing as extern "C" fn(c_int) as usize;
    set_handler_with(sig, handler, libc::SA_RESTART);
}

fn set_handler(sig: c_int, handler: usize) {
    set_handler_with(sig, handler, 0);
}

fn set_handler_with(sig: c_int, handler: usize, flags: c_int) {
    // SAFETY: all zeros is a valid `sigaction`.
    let mut sa: libc::sigaction = unsafe { std::mem::zeroed() };
    sa.sa_sigaction = handler;
    sa.sa_flags = flags;
    // SAFETY: a valid action; the handler touches nothing.
    check(unsafe { libc::sigaction(sig, &sa, std::ptr::null_mut()) }.into()).expect("sigaction");
}

/// Blocks `sig` and returns a set with it.
fn block(sig: c_int) -> libc::sigset_t {
    // SAFETY: the set is initialised by sigemptyset before its first use.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, sig);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        set
    }
}

pub fn block_signal(sig: c_int) {
    block(sig);
}

/// Waits for the blocked signal `sig`, at most `ms` milliseconds; whether it came.
pub fn await_signal(sig: c_int, ms: i64) -> bool {
    let set = block(sig);
    let ts = libc::timespec {
        tv_sec: ms / 1000,
        tv_nsec: ms % 1000 * 1_000_000,
    };
    // SAFETY: a valid set and time.
    unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &ts) == sig }
}

/// Asks for SIGIO from `fd`.
pub fn async_io(fd: RawFd) -> Result<()> {
    // SAFETY: no memory involved.
    unsafe {
        check(libc::fcntl(fd, libc::F_SETOWN, libc::getpid()).into())?;
        let flags = check(libc::fcntl(fd, libc::F_GETFL).into())? as c_int;
        check(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_ASYNC).into()).map(drop)
    }
}

pub fn set_nonblock(fd: RawFd, on: bool) {
    // SAFETY: no memory involved.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        let flags = if on {
            flags | libc::O_NONBLOCK
        } else {
            flags & !libc::O_NONBLOCK
        };
        libc::fcntl(fd, libc::F_SETFL, flags);
    }
}

/// An ioctl(2) without argument.
pub fn ioctl(fd: RawFd, cmd: u64) -> Result<()> {
    // SAFETY: the command takes no pointer, or is unknown.
    check(unsafe { libc::ioctl(fd, cmd, 0) }.into()).map(drop)
}

/// An ioctl(2) with a number as argument.
pub fn ioctl_number(fd: RawFd, cmd: u32, arg: usize) -> Result<i32> {
    // SAFETY: the tests pass numbers, or addresses that make the call fail.
    check(unsafe { libc::ioctl(fd, cmd.into(), arg) }.into()).map(|n| n as i32)
}

/// A system call as a 32-bit program makes it, by its number for those. Numbers and addresses have 32 bits.
///
/// # Safety
///
/// The arguments must be what the call with number `nr` allows.
unsafe fn syscall_32(nr: u32, a: [u32; 3]) -> Result<i32> {
    let mut result = nr;
    // SAFETY: promised by the caller. The compiler keeps `rbx` for itself, so it is put back; the kernel may clear the
    // registers that 32-bit programs do not have.
    unsafe {
        std::arch::asm!(
            "mov {saved}, rbx",
            "mov ebx, {first:e}",
            "int 0x80",
            "mov rbx, {saved}",
            saved = out(reg) _,
            first = in(reg) a[0],
            inout("eax") result,
            in("ecx") a[1],
            in("edx") a[2],
            out("r8") _,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        )
    };
    match result as i32 {
        error @ -4095..0 => Err(Errno(-error)),
        value => Ok(value),
    }
}

/// An ioctl(2) as a 32-bit program makes it, with a number as argument.
pub fn ioctl_number_32(fd: RawFd, cmd: u32, arg: u32) -> Result<i32> {
    // SAFETY: the tests pass numbers, or addresses of memory that is as long as `cmd` says.
    unsafe { syscall_32(54, [fd as u32, cmd, arg]) }
}

/// An ioctl(2) as a 32-bit program makes it, on memory.
pub fn ioctl_on_32(fd: RawFd, cmd: u32, memory: &mut [u8]) -> Result<i32> {
    assert!(memory.len() >= ((cmd >> 16) & 0x3fff) as usize);
    let low = Map::low(memory.len().max(1))?;
    low.store(0, memory);
    let result = ioctl_number_32(fd, cmd, low.address() as u32);
    memory.copy_from_slice(&low.load(0, memory.len()));
    result
}

/// An ioctl(2) on memory, which must be as long as `cmd` says.
pub fn ioctl_on(fd: RawFd, cmd: u32, memory: &mut [u8]) -> Result<i32> {
    assert!(memory.len() >= ((cmd >> 16) & 0x3fff) as usize);
    ioctl_number(fd, cmd, memory.as_mut_ptr() as usize)
}

/// An ioctl(2) as a program of 32 bits makes it, on memory that it can reach.
pub fn ioctl_32(fd: RawFd, cmd: u32, memory: &mut [u8]) -> Result<i32> {
    const NR_IOCTL: u64 = 54;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    let low = {
        // SAFETY: a new mapping, below 2 GiB.
        let p = unsafe { libc::mmap(std::ptr::null_mut(), memory.len(), prot, flags, -1, 0) };
        assert_ne!(p, libc::MAP_FAILED, "{:?}", errno());
        Map {
            start: p.cast(),
            len: memory.len(),
        }
    };
    low.store(0, memory);
    let ret: i64;
    // SAFETY: the kernel's other entry; it reads and writes no memory but what the call is about. rbx may not be named.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "mov ebx, {fd:e}",
            "int 0x80",
            "pop rbx",
            fd = in(reg) fd,
            inlateout("rax") NR_IOCTL => ret,
            in("rcx") u64::from(cmd),
            in("rdx") low.start,
            lateout("r8") _, lateout("r9") _, lateout("r10") _, lateout("r11") _,
        );
    }
    memory.copy_from_slice(&low.load(0, memory.len()));
    low.unmap();
    match ret as i32 {
        error @ -4095..=-1 => Err(Errno(-error)),
        value => Ok(value),
    }
}

/// An ioctl(2) that takes a number and puts another one in its place.
pub fn ioctl_int(fd: RawFd, cmd: u64, value: i32) -> Result<i32> {
    let mut value = value;
    // SAFETY: the command reads and writes one number.
    check(unsafe { libc::ioctl(fd, cmd, &raw mut value) }.into())?;
    Ok(value)
}

/// A block device over the file at `path`, until the descriptor is closed and nothing has it mounted.
pub fn loop_device(path: &str) -> Result<(String, OwnedFd)> {
    const LOOP_CTL_GET_FREE: u64 = 0x4c82;
    const LOOP_CONFIGURE: u64 = 0x4c0a;
    const LO_FLAGS_AUTOCLEAR: u32 = 4;
    let control = own(open("/dev/loop-control", libc::O_RDWR)?.into());
    let file = own(open(path, libc::O_RDWR)?.into());
    // Another test may take the free one first.
    loop {
        // SAFETY: the command takes no pointer.
        let nr = check(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE, 0) }.into())?;
        let name = format!("/dev/loop{nr}");
        let device = own(open(&name, libc::O_RDWR)?.into());
        // `struct loop_config`: the descriptor, and far behind it, in `struct loop_info64`, the flags.
        let mut config = [0u32; 76];
        config[0] = file.as_raw_fd() as u32;
        config[2 + 13] = LO_FLAGS_AUTOCLEAR;
        // SAFETY: the command reads a `struct loop_config`, which is this long.
        match check(
            unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, config.as_ptr()) }.into(),
        ) {
            Ok(_) => return Ok((name, device)),
            Err(EBUSY) => (),
            Err(e) => return Err(e),
        }
    }
}

/// name_to_handle_at(2): the type of the handle, and its words.
pub fn name_to_handle(path: &str, flags: c_int) -> Result<(i32, Vec<u32>)> {
    let p = c(path);
    // The length of what follows, the type, and room for the largest handle.
    let mut handle = [0u32; 2 + 32];
    handle[0] = 128;
    let mut mount = 0i32;
    let a = [
        libc::AT_FDCWD as usize,
        p.as_ptr() as usize,
        handle.as_mut_ptr() as usize,
        &mut mount as *mut i32 as usize,
        flags as usize,
        0,
    ];
    // SAFETY: a C string, a handle that says how much room it has, and a number to fill.
    unsafe { syscall(libc::SYS_name_to_handle_at, a) }?;
    let words = handle[0] as usize / 4;
    Ok((handle[1] as i32, handle[2..2 + words].to_vec()))
}

/// open_by_handle_at(2) on the mount that `dir` is in.
pub fn open_by_handle(dir: RawFd, kind: i32, words: &[u32], flags: c_int) -> Result<RawFd> {
    let mut handle = vec![4 * words.len() as u32, kind as u32];
    handle.extend(words);
    let a = [
        dir as usize,
        handle.as_ptr() as usize,
        flags as usize,
        0,
        0,
        0,
    ];
    // SAFETY: a handle that says how long it is.
    unsafe { syscall(libc::SYS_open_by_handle_at, a) }.map(|fd| fd as RawFd)
}

/// A copy of the mount at `path`, attached nowhere.
pub fn clone_mount(path: &str) -> Result<OwnedFd> {
    let p = c(path);
    let flags = 1 | libc::O_CLOEXEC as usize; // OPEN_TREE_CLONE
    let a = [libc::AT_FDCWD as usize, p.as_ptr() as usize, flags, 0, 0, 0];
    // SAFETY: a C string.
    unsafe { syscall(libc::SYS_open_tree, a) }.map(own)
}

/// Maps the ids of a mount that is attached nowhere as those of a user namespace.
pub fn map_ids(mount: &OwnedFd, user_ns: &OwnedFd) -> Result<()> {
    // `struct mount_attr`: what to set, what to clear, propagation, the namespace.
    let attr = [0x0010_0000u64, 0, 0, user_ns.as_raw_fd() as u64];
    let empty = c("");
    let a = [
        mount.as_raw_fd() as usize,
        empty.as_ptr() as usize,
        libc::AT_EMPTY_PATH as usize,
        attr.as_ptr() as usize,
        size_of_val(&attr),
        0,
    ];
    // SAFETY: a C string and a structure with its length.
    unsafe { syscall(libc::SYS_mount_setattr, a) }.map(drop)
}

/// A user namespace with this map of user ids and of group ids, and nobody in it.
pub fn user_namespace(map: &str) -> OwnedFd {
    let (wait, go) = pipe();
    let (hear, say) = pipe();
    // SAFETY: the test process has one thread, so the child may do anything.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {:?}", errno());
    if pid == 0 {
        drop((go, hear));
        let made = unshare(libc::CLONE_NEWUSER).is_ok();
        let _ = write(say.as_raw_fd(), &[u8::from(made)]);
        let _ = read(wait.as_raw_fd(), 1);
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    drop((wait, say));
    assert_eq!(read(hear.as_raw_fd(), 1), Ok(vec![1]), "unshare");
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{file}"), map).expect("a map of ids");
    }
    let ns = open(&format!("/proc/{pid}/ns/user"), libc::O_RDONLY).expect("the namespace");
    drop(go);
    // SAFETY: the child is ours; no memory involved.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
    own(ns.into())
}

/// Lets this process run on one processor only.
pub fn on_cpu(cpu: usize) {
    // SAFETY: all zeros is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a valid set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a valid set.
    let ret = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    check(ret.into()).expect("sched_setaffinity");
}

/// Becomes another user for good: real, effective and saved ids, and no supplementary groups.
pub fn become_user(uid: u32, gid: u32) {
    become_ids([uid; 3], [gid; 3]);
}

/// Sets real, effective and saved ids.
pub fn become_ids(uids: [u32; 3], gids: [u32; 3]) {
    // SAFETY: no memory involved but an empty group list. Raw calls, because this process has one thread.
    unsafe {
        syscall(libc::SYS_setgroups, [0; 6]).expect("setgroups");
        syscall(
            libc::SYS_setresgid,
            [
                gids[0] as usize,
                gids[1] as usize,
                gids[2] as usize,
                0,
                0,
                0,
            ],
        )
        .expect("gids");
        syscall(
            libc::SYS_setresuid,
            [
                uids[0] as usize,
                uids[1] as usize,
                uids[2] as usize,
                0,
                0,
                0,
            ],
        )
        .expect("uids");
    }
}

pub fn unshare(flags: c_int) -> Result<()> {
    // SAFETY: no memory involved.
    check(unsafe { libc::unshare(flags) }.into()).map(drop)
}

pub fn sleep_ms(ms: u64) {
    std::thread::sleep(std::time::Duration::from_millis(ms));
}

/// Throws every name and node out of the kernel's caches that nobody uses.
pub fn drop_caches() {
    // More than once, because a name that was used lately is passed over the first time.
    for _ in 0..4 {
        std::fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    }
}

/// What the kernel tells of devices.
pub struct Uevents(OwnedFd);

impl Uevents {
    /// From now on.
    pub fn new() -> Self {
        const NETLINK_KOBJECT_UEVENT: c_int = 15;
        let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: no memory involved.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, NETLINK_KOBJECT_UEVENT) };
        let fd = own(check(fd.into()).expect("a netlink socket"));
        // SAFETY: plain numbers may be zero.
        let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        address.nl_family = libc::AF_NETLINK as u16;
        address.nl_groups = 1;
        let len = size_of::<libc::sockaddr_nl>() as u32;
        // SAFETY: an address with its length.
        let bound = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) };
        check(bound.into()).expect("bind");
        Uevents(fd)
    }

    /// Those of one subsystem that have come, as text with commas.
    pub fn of(&self, subsystem: &str) -> Vec<String> {
        let mut events = Vec::new();
        while let Ok(event) = read(self.0.as_raw_fd(), 8192) {
            let text = String::from_utf8_lossy(&event).replace('\0', ",");
            if text.contains(&format!(",SUBSYSTEM={subsystem},")) {
                events.push(text);
            }
        }
        events
    }
}
