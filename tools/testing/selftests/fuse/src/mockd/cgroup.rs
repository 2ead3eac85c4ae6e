// SPDX-License-Identifier: GPL-2.0

//! A memory cgroup of one process, and what the kernel has on its account.

use super::fs::mount_point;
use super::patience;
use super::soon;
use super::sys;

/// A memory cgroup.
pub struct Cgroup(String);

impl Cgroup {
    /// A new one without a limit.
    pub fn new() -> Self {
        let root = mount_point();
        sys::mount("none", &root, "cgroup2", 0, "").expect("cgroup2");
        std::fs::write(format!("{root}/cgroup.subtree_control"), "+memory").expect("+memory");
        // Process ids are those of the test's namespace, the cgroups are those of all.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let dir = format!("{root}/fuse-selftest-{}", now.expect("a time").as_nanos());
        std::fs::create_dir(&dir).expect("a cgroup");
        Self(dir)
    }

    /// How a process enters it: by writing "0" there.
    pub fn procs(&self) -> String {
        format!("{}/cgroup.procs", self.0)
    }

    /// Bytes of kernel objects on its account.
    pub fn objects(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("{}/memory.stat", self.0)).expect("stat");
        let line = stat.lines().find_map(|line| line.strip_prefix("slab "));
        line.expect("slab").parse().expect("a number")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            soon(patience(), "the cgroup stays in use", || {
                std::fs::remove_dir(&self.0).is_ok()
            });
        }
    }
}

/// How many kernel objects of each size are on nobody's account.
pub fn objects_of_nobody() -> Vec<(String, u64)> {
    let all = std::fs::read_to_string("/proc/slabinfo").expect("slabinfo");
    let each = all.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let size = name.strip_prefix("kmalloc-")?;
        // Those of the accounts, and of what can be reclaimed, have more words in their names.
        if !size.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        Some((name.to_string(), words.next()?.parse().ok()?))
    });
    each.collect()
}
