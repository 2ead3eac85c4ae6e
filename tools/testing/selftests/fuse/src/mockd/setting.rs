// SPDX-License-Identifier: GPL-2.0

//! What the administrator sets: module parameters and sysctls.

use super::sys::close;
use super::sys::mount;
use super::sys::open;
use super::sys::stat;
use super::sys::write;
use super::sys::Result;

const PARAMETERS: &str = "/sys/module/fuse/parameters";
const SYSCTLS: &str = "/proc/sys/fs/fuse";

/// Writes a setting of this path as the caller.
pub fn write_setting(path: &str, text: &str) -> Result<usize> {
    let fd = open(path, libc::O_WRONLY)?;
    let written = write(fd, text.as_bytes());
    close(fd)?;
    written
}

/// What a setting of this path is.
pub fn read_setting(path: &str) -> String {
    std::fs::read_to_string(path)
        .expect(path)
        .trim()
        .to_string()
}

/// A setting of the whole module, put back at the end of the test.
pub struct Setting {
    path: String,
    before: String,
}

impl Setting {
    pub fn parameter(name: &str) -> Self {
        Self::of(format!("{PARAMETERS}/{name}"))
    }

    /// Sets a parameter that the C module does not have.
    pub fn of_rust(name: &str, text: &str) -> Option<Self> {
        super::is_rust().then(|| {
            let setting = Self::parameter(name);
            setting.set(text).expect(name);
            setting
        })
    }

    pub fn sysctl(name: &str) -> Self {
        Self::of(format!("{SYSCTLS}/{name}"))
    }

    fn of(path: String) -> Self {
        if stat(&path).is_err() {
            let _ = mount("sysfs", "/sys", "sysfs", 0, "");
        }
        let before = read_setting(&path);
        Setting { path, before }
    }

    pub fn get(&self) -> String {
        read_setting(&self.path)
    }

    pub fn set(&self, text: &str) -> Result<()> {
        write_setting(&self.path, text).map(drop)
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = write_setting(&self.path, &self.before);
    }
}
