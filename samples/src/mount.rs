// SPDX-License-Identifier: GPL-2.0

//! Two ways to a mounted file system and its opened /dev/fuse.

use std::ffi::CString;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Mounts with mount(2), which needs privilege. The file system type may have a subtype after a
/// dot; the options tell the kernel which opened device to talk to, the type of the root directory
/// and the owner of the mount.
pub fn direct(name: &str, mount_point: &str) -> io::Result<File> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/fuse")?;
    let options = format!(
        "fd={},rootmode=40000,user_id={},group_id={}",
        device.as_raw_fd(),
        // SAFETY: no arguments, no memory.
        unsafe { libc::getuid() },
        // SAFETY: no arguments, no memory.
        unsafe { libc::getgid() },
    );
    let (source, target) = (CString::new(name)?, CString::new(mount_point)?);
    let (kind, options) = (
        CString::new(format!("fuse.{name}"))?,
        CString::new(options)?,
    );
    // SAFETY: four C strings.
    let failed = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            libc::MS_NOSUID | libc::MS_NODEV,
            options.as_ptr().cast(),
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(device)
}

/// Lets fusermount3 mount, which an ordinary user may run. It opens the device, mounts, and sends
/// the descriptor through the socket that the environment names.
pub fn fusermount(name: &str, mount_point: &str) -> io::Result<File> {
    let (ours, theirs) = UnixStream::pair()?;
    // The child inherits its end: it must not be closed on exec.
    // SAFETY: no memory involved.
    unsafe { libc::fcntl(theirs.as_raw_fd(), libc::F_SETFD, 0) };
    let mut child = Command::new("fusermount3")
        .args([
            "-o",
            &format!("fsname={name},subtype={name}"),
            "--",
            mount_point,
        ])
        .env("_FUSE_COMMFD", theirs.as_raw_fd().to_string())
        .spawn()?;
    drop(theirs);
    let device = receive_descriptor(&ours);
    if !child.wait()?.success() {
        return Err(io::Error::other("fusermount3 failed"));
    }
    Ok(File::from(device?))
}

/// Receives one byte and, beside it, one descriptor.
fn receive_descriptor(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = 0u8;
    let mut iov = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let mut control = [0u64; 8];
    // SAFETY: all zeros is a valid `msghdr`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut iov;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    // SAFETY: the message points to live buffers with their lengths.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut message, libc::MSG_CMSG_CLOEXEC) };
    if n < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `message` was filled by recvmsg(2); the header is checked before its data is read.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Err(io::Error::other("fusermount3 sent no descriptor"));
        }
        Ok(OwnedFd::from_raw_fd(
            libc::CMSG_DATA(header).cast::<i32>().read_unaligned(),
        ))
    }
}
