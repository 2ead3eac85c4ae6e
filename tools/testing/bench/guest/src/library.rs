// SPDX-License-Identifier: GPL-2.0

//! A server of libfuse's, from the guest's image: what a real server makes of the difference.

use crate::cells::populate;
use crate::sys;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;

/// Where the image is mounted, and its server with a directory of tmpfs to show.
const IMAGE: &str = "guest";
const SERVER: &str = "/opt/libfuse/build/example/passthrough_hp";
const SHOWN: &str = "/srv";
const MOUNTED: &str = "/mnt";

pub struct Library {
    server: Child,
}

impl Library {
    /// Mounts the image, and in it the server with these options; the directory it shows things in.
    pub fn start(options: &[&str]) -> (Self, String) {
        if !std::path::Path::new("guest/srv").exists() {
            sys::mount_from("/dev/vda", "ext4", IMAGE, "");
            sys::mount("devtmpfs", "guest/dev", "");
            sys::mount("proc", "guest/proc", "");
        }
        sys::mount("tmpfs", "guest/srv", "size=50%");
        populate("guest/srv", 0);
        let mut command = Command::new(SERVER);
        command
            .args(["--foreground", "--single", "--nopassthrough"])
            .args(options)
            .args([SHOWN, MOUNTED]);
        let root = sys::c_path(IMAGE);
        // SAFETY: only system calls that a forked process may make.
        unsafe {
            command.pre_exec(move || {
                if libc::chroot(root.as_ptr()) < 0 || libc::chdir(c"/".as_ptr()) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            })
        };
        let library = Library {
            server: command.spawn().expect("passthrough_hp"),
        };
        let here = "/guest/mnt";
        for _ in 0..500 {
            let table = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
            if table.lines().any(|l| l.split(' ').nth(4) == Some(here)) {
                return (library, here.into());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("passthrough_hp does not mount")
    }

    pub fn stop(mut self) {
        sys::umount(c"/guest/mnt");
        self.server.wait().expect("its end");
        sys::umount(c"guest/srv");
    }
}
