// SPDX-License-Identifier: GPL-2.0

//! A server with a bug, for an exercise: it never answers the first READ of the file `letter`.
//!
//! ```text
//! stuck MOUNTPOINT    serve until it is unmounted
//! ```
//!
//! The first reader of `letter` waits forever. All other requests are answered, even later READs of
//! the same file, as when a busy server has lost one. `Documentation/debug-a-hang.rst` finds this
//! from the outside.

use fuse_samples::mount;
use fuse_samples::read_only::Entry;
use fuse_samples::read_only::ReadOnly;
use fuse_samples::read_only::FIRST_FILE;
use fuse_samples::wire::opcode::READ;
use std::io;

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [mount_point] = &arguments[..] else {
        eprintln!("usage: stuck MOUNTPOINT");
        std::process::exit(2)
    };
    // Nothing is cached of the letter, so that each read(2) is a READ that its caller waits for.
    let files = ["letter", "postcard"].map(|name| Entry {
        name,
        content: format!("This is the {name}.\n").into_bytes(),
        direct: name == "letter",
    });
    let mut lost = false;
    ReadOnly(files.into()).serve(mount::direct("stuck", mount_point)?, |request| {
        // The bug.
        let loses = !lost && request.opcode == READ && request.node == FIRST_FILE;
        lost |= loses;
        loses
    })
}
