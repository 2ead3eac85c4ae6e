// SPDX-License-Identifier: GPL-2.0

//! The text of the file `latency` of `fusectl`: how long the requests of a connection take.
//!
//! `Documentation/observing.rst` has the format.
//!
//! No locks: the counters change concurrently.

use crate::fuse::{
    channel::latency::{
        Latency,
        LONGEST,
        SHORTEST, //
    },
    op::Opcode,
    request::clock::Part, //
};
use kernel::{
    seq_file::SeqFile,
    seq_print, //
};

/// The parts by their names in the file.
const PARTS: [(Part, &str); 3] = [
    (Part::Queue, "queue"),
    (Part::Service, "service"),
    (Part::Wakeup, "wakeup"),
];

/// Prints the table: a row for each part of each operation that was counted.
pub(super) fn show(latency: &Latency, m: &SeqFile) {
    let on = if latency.is_on() { "on" } else { "off" };
    seq_print!(m, "counting {on}\n");
    seq_print!(
        m,
        "{:<15} {:<7} {:>8} {:>12}",
        "opcode",
        "time",
        "count",
        "total_ns"
    );
    for power in SHORTEST..=LONGEST {
        seq_print!(m, "  <2^{power}");
    }
    seq_print!(m, "   more\n");
    for opcode in Opcode::ALL {
        for (part, name) in PARTS {
            let sum = latency.sum(*opcode, part);
            let count = sum.count();
            if count == 0 {
                continue;
            }
            seq_print!(
                m,
                "{:<15} {:<7} {:>8} {:>12}",
                opcode.name(),
                name,
                count,
                sum.total
            );
            for class in &sum.classes {
                seq_print!(m, " {class:>6}");
            }
            seq_print!(m, "\n");
        }
    }
}
