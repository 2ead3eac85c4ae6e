// SPDX-License-Identifier: GPL-2.0

//! The functions of the kernel that are watched, by their addresses in its `System.map`.

use std::ops::Range;

/// What a watched function does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Takes the spin lock that its locked operation is on.
    Lock,
    /// Gives a spin lock back by a store.
    Unlock,
    /// Touches a byte of each page of a user's buffer.
    Touch,
    /// Is called once for each page of a user's buffer.
    FaultIn,
    /// Waits for a spin lock.
    Wait,
    /// Is only counted, when it is called, under this number of [`CALLS`].
    Call(usize),
}

/// Functions whose calls are counted, and under what names.
pub const CALLS: [(&str, &str); 5] = [
    ("sysvec_reschedule_ipi", "ipi"),
    ("sysvec_call_function_single", "ipi"),
    ("sysvec_call_function", "ipi"),
    ("default_idle_call", "idle"),
    ("try_to_wake_up", "wake"),
];

fn kind(name: &str) -> Option<Kind> {
    match name {
        "fault_in_readable" | "fault_in_writeable" => Some(Kind::Touch),
        "fixup_user_fault" => Some(Kind::FaultIn),
        "queued_spin_lock_slowpath" | "native_queued_spin_lock_slowpath" => Some(Kind::Wait),
        _ => {
            if let Some(number) = CALLS.iter().position(|(function, _)| *function == name) {
                return Some(Kind::Call(number));
            }
            let spin = name.strip_prefix("_raw_spin_")?;
            if spin.starts_with("lock") || spin.starts_with("trylock") {
                Some(Kind::Lock)
            } else {
                spin.starts_with("unlock").then_some(Kind::Unlock)
            }
        }
    }
}

/// Watched functions, in the order of their addresses.
pub struct Symbols(Vec<(Range<u64>, Kind)>);

impl Symbols {
    /// From the lines `ADDRESS KIND NAME` of a `System.map`, which is sorted: a function ends where the next begins.
    pub fn parse(map: &str) -> Self {
        let mut found = Vec::new();
        let mut lines = map.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            Some((address, words.nth(1)?))
        });
        let mut last = lines.next();
        for (address, name) in lines {
            if let Some((start, kind)) = last.and_then(|(start, name)| Some((start, kind(name)?))) {
                if start < address {
                    found.push((start..address, kind));
                }
            }
            // Of names for one address, the first that is watched counts.
            if last.is_none_or(|(start, name)| start != address || kind(name).is_none()) {
                last = Some((address, name));
            }
        }
        Symbols(found)
    }

    /// What the function does that `address` is in, and whether it begins there.
    pub fn at(&self, address: u64) -> Option<(Kind, bool)> {
        let next = self.0.partition_point(|(range, _)| range.start <= address);
        let (range, kind) = self.0.get(next.checked_sub(1)?)?;
        range
            .contains(&address)
            .then_some((*kind, range.start == address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_their_addresses() {
        let map = "\
ffffffff81000000 T _stext
ffffffff81000010 T fixup_user_fault
ffffffff81000020 t other
ffffffff81000030 T _raw_spin_lock
ffffffff81000030 T __alias
ffffffff81000040 T _raw_spin_unlock_irqrestore
ffffffff81000050 T end
";
        let symbols = Symbols::parse(map);
        let at = |low: u64| symbols.at(0xffff_ffff_8100_0000 + low);
        assert!(at(0x10) == Some((Kind::FaultIn, true)));
        assert!(at(0x1f) == Some((Kind::FaultIn, false)));
        assert!(at(0x0f).is_none() && at(0x20).is_none());
        assert!(at(0x38) == Some((Kind::Lock, false)));
        assert!(at(0x40) == Some((Kind::Unlock, true)));
        assert!(at(0x50).is_none());
    }
}
