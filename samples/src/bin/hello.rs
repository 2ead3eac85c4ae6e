// SPDX-License-Identifier: GPL-2.0

//! A read-only file system of two files. What it answers to the kernel is in `read_only`.
//!
//! ```text
//! hello [--direct|--fusermount] MOUNTPOINT    serve until it is unmounted
//! hello --content hello|big                   print what the file holds, to compare
//! ```

use fuse_samples::mount;
use fuse_samples::read_only::Entry;
use fuse_samples::read_only::ReadOnly;
use std::io;
use std::io::Write;

fn files() -> Vec<Entry> {
    // 2 MiB of numbered lines, 16 bytes each: `seq -f %015.0f 0 131071` gives the same.
    let numbers = (0..131_072).flat_map(|n| format!("{n:015}\n").into_bytes());
    vec![
        Entry {
            name: "hello",
            content: b"Hello from /dev/fuse!\n".to_vec(),
            direct: false,
        },
        Entry {
            name: "big",
            content: numbers.collect(),
            direct: false,
        },
    ]
}

fn usage() -> ! {
    eprintln!("usage: hello [--direct|--fusermount] MOUNTPOINT\n       hello --content hello|big");
    std::process::exit(2)
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let device = match arguments[..] {
        ["--content", name] => {
            let files = files();
            let file = files.iter().find(|f| f.name == name);
            return io::stdout().write_all(&file.unwrap_or_else(|| usage()).content);
        }
        ["--fusermount", mount_point] => mount::fusermount("hello", mount_point)?,
        ["--direct", mount_point] => mount::direct("hello", mount_point)?,
        [mount_point] if !mount_point.starts_with('-') => mount::direct("hello", mount_point)?,
        _ => usage(),
    };
    ReadOnly(files()).serve(device, |_| false)
}
