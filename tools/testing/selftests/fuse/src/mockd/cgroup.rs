// SPDX-License-Identifier: GPL-2.0

//! Cgroups of one process: what the kernel has on its account, and freezing it.

use super::fs::mount_point;
use super::ms;
use super::patience;
use super::soon;
use super::sys;

/// A cgroup.
pub struct Cgroup(String);

impl Cgroup {
    /// A new one with an account of its memory, without a limit.
    pub fn new() -> Self {
        Self::with("+memory")
    }

    /// A new one with `controllers`.
    fn with(controllers: &str) -> Self {
        let root = mount_point();
        sys::mount("none", &root, "cgroup2", 0, "").expect("cgroup2");
        std::fs::write(format!("{root}/cgroup.subtree_control"), controllers).expect(controllers);
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

    /// Limits its memory, in bytes.
    pub fn limit(&self, bytes: usize) {
        std::fs::write(format!("{}/memory.max", self.0), bytes.to_string()).expect("memory.max");
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

/// A cgroup whose processes can be frozen; they are thawed with its end.
pub struct Freezer(Cgroup);

impl Freezer {
    /// A new one, not frozen.
    pub fn new() -> Self {
        Self(Cgroup::with(""))
    }

    /// How a process enters it: by writing "0" there.
    pub fn procs(&self) -> String {
        self.0.procs()
    }

    fn set(&self, frozen: &str) {
        std::fs::write(format!("{}/cgroup.freeze", self.0 .0), frozen).expect("cgroup.freeze");
    }

    /// Its processes are to be frozen; each is when it comes back from the kernel.
    pub fn freeze(&self) {
        self.set("1");
    }

    /// Its processes go on.
    pub fn thaw(&self) {
        self.set("0");
    }

    /// Whether all are frozen.
    pub fn is_frozen(&self) -> bool {
        let events = std::fs::read_to_string(format!("{}/cgroup.events", self.0 .0));
        events
            .expect("cgroup.events")
            .lines()
            .any(|line| line == "frozen 1")
    }

    /// All are frozen soon.
    #[track_caller]
    pub fn until_frozen(&self) {
        soon(patience(), "the cgroup is not frozen", || self.is_frozen());
    }

    /// One of them is not frozen, and stays so.
    #[track_caller]
    pub fn stays_unfrozen(&self) {
        std::thread::sleep(std::time::Duration::from_millis(ms(100) as u64));
        assert!(!self.is_frozen());
    }
}

impl Drop for Freezer {
    fn drop(&mut self) {
        self.thaw();
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
