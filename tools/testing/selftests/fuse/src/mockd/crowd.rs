// SPDX-License-Identifier: GPL-2.0

//! A process that does everything a file system can be asked for, at random.

use super::caller::Side;
use super::random::Dice;
use super::sys;

/// Where the crowd writes what it maps; outside of the mount.
pub const SCRATCH: &str = "/mnt/scratch";

fn some_name(dice: &mut Dice) -> String {
    let kind = dice.one_of(&["f", "f", "f", "l", "d", "n"]);
    let name = format!("{kind}{}", dice.below(6));
    match dice.below(4) {
        0 => format!("d{}/{name}", dice.below(3)),
        _ => name,
    }
}

/// Writes the mapped file somewhere: a page that cannot be read is an error of that write, not a signal.
fn copy_mapped(fd: i32, writable: bool) {
    let len = 32 << 10;
    let prot = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: a new mapping where the kernel likes.
    let p = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_PRIVATE, fd, 0) };
    if p == libc::MAP_FAILED {
        return;
    }
    if let Ok(to) = sys::open(SCRATCH, libc::O_RDWR | libc::O_CREAT) {
        // SAFETY: the mapping made above; the kernel copies.
        unsafe { libc::pwrite(to, p, len, 0) };
        if writable {
            // SAFETY: as above.
            unsafe { libc::pread(to, p, len, 0) };
        }
        let _ = sys::close(to);
    }
    // SAFETY: the mapping made above; nothing refers to it.
    unsafe { libc::munmap(p, len) };
}

fn with_file(path: &str, dice: &mut Dice) {
    let flags = dice.one_of(&[
        libc::O_RDONLY,
        libc::O_RDWR,
        libc::O_RDWR | libc::O_CREAT,
        libc::O_RDWR | libc::O_TRUNC,
        libc::O_RDWR | libc::O_DIRECT,
        libc::O_WRONLY | libc::O_APPEND,
    ]);
    let Ok(fd) = sys::open(path, flags) else {
        return;
    };
    for _ in 0..dice.below(5) {
        let at = dice.one_of(&[0, 1, 4095, 4096, 30_000, 65_536, 1 << 40]);
        let len = dice.one_of(&[1usize, 100, 4096, 20_000, 65_536]);
        match dice.below(9) {
            0..=2 => drop(sys::pread(fd, len, at)),
            3 => drop(sys::lseek(fd, at, libc::SEEK_SET).and_then(|_| sys::write(fd, &[7; 5000]))),
            4 => copy_mapped(fd, dice.once_in(2)),
            5 => drop(sys::fsync(fd)),
            6 => drop(sys::fallocate(fd, 4096)),
            7 => drop(sys::lseek(
                fd,
                at,
                dice.one_of(&[libc::SEEK_DATA, libc::SEEK_HOLE, libc::SEEK_END]),
            )),
            _ => drop(sys::fstat(fd)),
        }
    }
    let _ = sys::close(fd);
}

fn with_directory(path: &str, dice: &mut Dice) {
    let Ok(fd) = sys::open(path, libc::O_RDONLY | libc::O_DIRECTORY) else {
        return;
    };
    for _ in 0..3 {
        let size = dice.one_of(&[64, 1000, 4096, 40_000]);
        // What does not fit is no entry.
        let _ = sys::getdents(fd, size);
    }
    let _ = sys::fsync(fd);
    let _ = sys::close(fd);
}

/// One thing done to the mount.
pub fn act(m: &Side, dice: &mut Dice) {
    let path = m.path(&some_name(dice));
    match dice.below(22) {
        0..=3 => drop(sys::stat(&path)),
        4..=9 => with_file(&path, dice),
        10 | 11 => with_directory(&m.path(dice.one_of(&["", "d0", "d1"])), dice),
        12 => drop(sys::readlink(&m.path(dice.one_of(&["l0", "l1", "d0/l0"])))),
        13 => drop((sys::getxattr(&path, "user.a"), sys::listxattr(&path))),
        14 => {
            let _ = sys::setxattr(&path, "user.a", &dice.bytes(20));
            let _ = sys::removexattr(&path, "user.a");
        }
        15 => drop((sys::statfs(&path), sys::access(&path, libc::R_OK))),
        16 => drop((sys::mkdir(&path), sys::rmdir(&path))),
        17 => drop((sys::mknod(&path, libc::S_IFREG | 0o600), sys::unlink(&path))),
        18 => drop(sys::rename(&path, &m.path(&some_name(dice)))),
        19 => drop(sys::link(&path, &m.path(&some_name(dice)))),
        20 => drop((sys::symlink("f0", &path), sys::lstat(&path))),
        _ => drop(sys::chmod(&path, 0o600)),
    }
}
