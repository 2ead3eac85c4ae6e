// SPDX-License-Identifier: GPL-2.0

//! The text of the file `requests` of `fusectl`: a line for each request in flight.
//!
//! `Documentation/observing.rst` has the format. Its columns stay: new ones are added at the end.
//!
//! No locks: threads are looked up after the queues have been read.

use crate::{
    fuse::{
        conn::Connection,
        request::snapshot::Place, //
    },
    vfs::cred::{
        thread_name,
        ThreadName, //
    },
};
use kernel::{
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print, //
};

/// Prints the requests in flight on `conn`. May sleep.
///
/// # Errors
///
/// `ENOMEM`.
pub(super) fn show(conn: &Connection, m: &SeqFile) -> Result {
    let mut seen = conn.channel().look()?;
    seq_print!(
        m,
        "{:<10} {:<15} {:<10} {:<7} {:<16} {:<8} {:<10} {:<9} {:<11} bytes\n",
        "unique",
        "opcode",
        "nodeid",
        "pid",
        "comm",
        "state",
        "where",
        "age_ms",
        "interrupted"
    );
    for sight in seen.sorted() {
        let place = match sight.place {
            Place::Background => Word::plain("background"),
            Place::Input => Word::plain("input"),
            Place::Device(number) => Word::formatted(fmt!("device:{number}")),
            Place::Ring(queue) => Word::formatted(fmt!("ring:{queue}")),
            Place::RingEntry(queue, entry) => Word::formatted(fmt!("ring:{queue}/{entry}")),
            #[cfg(CONFIG_VIRTIO)]
            Place::Queue(queue) => Word::formatted(fmt!("queue:{queue}")),
        };
        seq_print!(
            m,
            "{:<10} {:<15} {:<10} {:<7} {:<16} {:<8} {:<10} {:<9} {:<11} {}\n",
            sight.unique.get(),
            sight.opcode.name(),
            sight.node.get(),
            sight.pid,
            Word::of_thread(thread_name(sight.pid, conn.pid_ns())),
            sight.state,
            place,
            sight.age,
            if sight.interrupted { "yes" } else { "-" },
            sight.len
        );
    }
    if seen.is_incomplete() {
        seq_print!(m, "...\n");
    }
    Ok(())
}

/// A word of a line, which has a width.
struct Word {
    bytes: [u8; Self::ROOM],
    len: usize,
}

impl Word {
    /// The maximum length of a thread's name if all its bytes are escaped, to four each.
    const ROOM: usize = size_of::<ThreadName>() * 4;

    fn empty() -> Self {
        Self {
            bytes: [0; Self::ROOM],
            len: 0,
        }
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }

    fn plain(text: &str) -> Self {
        let mut word = Self::empty();
        text.bytes().for_each(|byte| word.push(byte));
        word
    }

    fn formatted(text: fmt::Arguments<'_>) -> Self {
        let mut word = Self::empty();
        // There is room for every number.
        let _ = fmt::Write::write_fmt(&mut word, text);
        word
    }

    /// The name of a thread as one word: blanks and other bytes that cannot be part of it, and
    /// those that are not ASCII, are printed as `\ooo`. A thread that is gone is `-`.
    fn of_thread(name: Option<ThreadName>) -> Self {
        let Some(name) = name else {
            return Self::plain("-");
        };
        let mut word = Self::empty();
        let used = name.iter().take_while(|byte| **byte != 0).count();
        // It must be neither empty nor look like a thread that is gone.
        let odd = used == 0 || name.starts_with(b"-\0");
        for byte in name.iter().copied().take(used.max(1)) {
            if byte.is_ascii_graphic() && byte != b'\\' && !odd {
                word.push(byte);
            } else {
                word.push(b'\\');
                for shift in [6, 3, 0] {
                    word.push(b'0' + ((byte >> shift) & 7));
                }
            }
        }
        word
    }
}

impl fmt::Write for Word {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.bytes.get(..self.len).unwrap_or(&[]);
        // It is ASCII.
        f.pad(core::str::from_utf8(text).unwrap_or("?"))
    }
}
