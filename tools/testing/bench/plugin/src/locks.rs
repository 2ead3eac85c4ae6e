// SPDX-License-Identifier: GPL-2.0

//! How long spin locks are held, in instructions: from the locked operation that takes one to the store that gives it
//! back; how often they are taken, and how often that takes the slow path. By whom is told by the module's instruction
//! that the processor executed last before, if that is close enough.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io::Write;

/// So many instructions of the kernel may lie between the module's call and the lock that it takes: a function that
/// only takes it (`__wake_up`, a helper), not one that goes on to other locks.
const NEAR: u64 = 64;

/// What a processor did last.
#[derive(Clone, Copy, Default)]
struct Processor {
    /// The module's instruction by which it left the module's text, and how many it had executed by then.
    site: u64,
    site_at: u64,
    /// The lock that it went for last, and on whose behalf.
    wanted: Option<(u64, u64)>,
}

/// A lock that is held: on whose behalf, and how many instructions the processor had executed then.
struct Held {
    site: u64,
    since: u64,
}

/// What was seen of a lock and a place that takes it.
#[derive(Default)]
struct Taken {
    count: u64,
    instructions: u64,
    slow: u64,
}

/// Locks by address, since the window was opened.
#[derive(Default)]
pub struct Locks {
    processors: Vec<Processor>,
    held: HashMap<u64, Held>,
    taken: HashMap<(u64, u64), Taken>,
}

impl Locks {
    pub fn clear(&mut self) {
        *self = Locks::default();
    }

    fn processor(&mut self, cpu: usize) -> &mut Processor {
        if cpu >= self.processors.len() {
            self.processors.resize(cpu + 1, Processor::default());
        }
        &mut self.processors[cpu]
    }

    /// The module leaves its text by the instruction at `address`, as the processor's `now`th.
    pub fn leave(&mut self, cpu: usize, address: u64, now: u64) {
        let processor = self.processor(cpu);
        processor.site = address;
        processor.site_at = now;
    }

    /// From where in the module the processor has come, if that was a moment ago.
    pub fn near(&mut self, cpu: usize, now: u64) -> Option<u64> {
        let processor = self.processor(cpu);
        let near = processor.site != 0 && now - processor.site_at <= NEAR;
        near.then_some(processor.site)
    }

    /// A processor goes for a lock, and has it, unless it then goes the slow path.
    pub fn acquire(&mut self, cpu: usize, lock: u64, now: u64) {
        let near = self.near(cpu, now);
        self.processor(cpu).wanted = near.map(|site| (lock, site));
        if let Some(site) = near {
            self.held.insert(lock, Held { site, since: now });
            self.taken.entry((lock, site)).or_default().count += 1;
        } else {
            self.held.remove(&lock);
        }
    }

    /// The lock that the processor went for last was taken.
    pub fn wait(&mut self, cpu: usize) {
        if let Some(wanted) = self.processor(cpu).wanted {
            self.taken.entry(wanted).or_default().slow += 1;
        }
    }

    /// A store to `address`: the end of a hold, if that is a lock.
    pub fn release(&mut self, address: u64, now: u64) {
        if let Some(held) = self.held.remove(&address) {
            let taken = self.taken.entry((address, held.site)).or_default();
            taken.instructions += now.saturating_sub(held.since);
        }
    }

    /// Lines `held LOCK SITE COUNT INSTRUCTIONS SLOW`. Each node and each request has locks of its own: those that the
    /// same places take are one, under the address of one of them.
    pub fn write(&self, out: &mut impl Write) {
        let mut places: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (lock, site) in self.taken.keys() {
            places.entry(*lock).or_default().push(*site);
        }
        let mut names = HashMap::new();
        let mut total: BTreeMap<(u64, u64), Taken> = BTreeMap::new();
        for (lock, mut sites) in places {
            sites.sort_unstable();
            let name = *names.entry(sites.clone()).or_insert(lock);
            for site in sites {
                let taken = &self.taken[&(lock, site)];
                let sum = total.entry((name, site)).or_default();
                sum.count += taken.count;
                sum.instructions += taken.instructions;
                sum.slow += taken.slow;
            }
        }
        for ((lock, site), seen) in total {
            let Taken {
                count,
                instructions,
                slow,
            } = seen;
            let _ = writeln!(out, "held {lock:x} {site:x} {count} {instructions} {slow}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(locks: &Locks) -> String {
        let mut out = Vec::new();
        locks.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_hold_lasts_from_lock_to_store() {
        let mut locks = Locks::default();
        locks.leave(0, 0x10, 100);
        locks.acquire(0, 0xa0, 110);
        // A lock that what the module called takes much later is not the module's.
        locks.acquire(0, 0xb0, 100 + NEAR + 1);
        locks.release(0xb0, 170);
        locks.release(0xa0, 200);
        locks.release(0xa0, 300);
        assert_eq!(written(&locks), "held a0 10 1 90 0\n");
    }

    #[test]
    fn locks_that_the_same_places_take_are_one() {
        let mut locks = Locks::default();
        for (site, lock) in [(0x10, 0xc0), (0x10, 0xa0), (0x10, 0xb0), (0x20, 0xb0)] {
            locks.leave(0, site, 100);
            locks.acquire(0, lock, 101);
            locks.release(lock, 111);
        }
        let wanted = "held a0 10 2 20 0\nheld b0 10 1 10 0\nheld b0 20 1 10 0\n";
        assert_eq!(written(&locks), wanted);
    }

    #[test]
    fn processors_do_not_mix() {
        let mut locks = Locks::default();
        locks.leave(0, 0x10, 100);
        locks.leave(1, 0x20, 1000);
        locks.acquire(0, 0xa0, 101);
        locks.acquire(1, 0xa0, 1001);
        locks.wait(1);
        assert_eq!(written(&locks), "held a0 10 1 0 0\nheld a0 20 1 0 1\n");
    }
}
