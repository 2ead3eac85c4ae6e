// SPDX-License-Identifier: GPL-2.0

//! A read-only file system of two files, spoken directly to /dev/fuse.
//!
//! ```text
//! hello [--direct|--fusermount] MOUNTPOINT    serve until it is unmounted
//! hello --content hello|big                   print what the file holds, to compare
//! ```
//!
//! The kernel asks one thing at a time: which node a name stands for (LOOKUP), what a node looks like (GETATTR), what is
//! in it (OPEN, READ, RELEASE; OPENDIR, READDIR, RELEASEDIR). Nodes are numbers that the server chooses; 1 is the root.

use fuse_samples::mount;
use fuse_samples::wire::opcode::*;
use fuse_samples::wire::reply;
use fuse_samples::wire::u32_at;
use fuse_samples::wire::u64_at;
use fuse_samples::wire::Body;
use fuse_samples::wire::Request;
use std::fs::File;
use std::io;
use std::io::Write;

const ROOT: u64 = 1;
/// How long the kernel may believe names and attributes, in seconds: nothing here ever changes.
const VALID: u64 = 3600;
/// The largest WRITE we would take. The buffer must hold it, though nobody writes here.
const MAX_WRITE: u32 = 128 << 10;
const BUFFER: usize = MAX_WRITE as usize + 4096;

/// A file: its name and what it holds. Its node is its place in `FILES`, counted from 2.
struct Entry {
    name: &'static str,
    content: fn() -> Vec<u8>,
}

const FILES: [Entry; 2] = [
    Entry {
        name: "hello",
        content: || b"Hello from /dev/fuse!\n".to_vec(),
    },
    // 2 MiB of numbered lines, 16 bytes each: `seq -f %015.0f 0 131071` gives the same.
    Entry {
        name: "big",
        content: || {
            (0..131_072)
                .flat_map(|n| format!("{n:015}\n").into_bytes())
                .collect()
        },
    },
];

struct Hello {
    device: File,
    contents: Vec<Vec<u8>>,
}

impl Hello {
    /// What the file `node` holds.
    fn content(&self, node: u64) -> Result<&[u8], i32> {
        let place = node.checked_sub(2).ok_or(libc::EISDIR)? as usize;
        Ok(self.contents.get(place).ok_or(libc::ENOENT)?)
    }

    /// struct fuse_attr of a node.
    fn attr(&self, node: u64, out: &mut Body) -> Result<(), i32> {
        let (mode, links, size) = match node {
            ROOT => (libc::S_IFDIR | 0o555, 2, 0),
            _ => (libc::S_IFREG | 0o444, 1, self.content(node)?.len() as u64),
        };
        out.u64(node).u64(size).u64(size.div_ceil(512));
        out.zeros(3 * 8 + 3 * 4); // times of last access, modification and change: the epoch
        out.u32(mode).u32(links);
        // SAFETY: no arguments, no memory.
        let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
        out.u32(uid).u32(gid);
        out.u32(0).u32(4096).u32(0); // device number, preferred block size, flags
        Ok(())
    }

    /// What this file system answers; `None` where no answer is expected.
    fn answer(&self, request: &Request<'_>) -> Option<Result<Body, i32>> {
        let mut out = Body::default();
        let result = match request.opcode {
            INIT => self.init(request, &mut out),
            LOOKUP => self.lookup(request, &mut out),
            GETATTR => self.getattr(request, &mut out),
            STATFS => self.statfs(&mut out),
            // A handle of our own, a u64, could come back in READ and RELEASE. None is needed: it stays 0. The kernel
            // may keep what it has cached of a file (FOPEN_KEEP_CACHE).
            OPEN | OPENDIR => {
                out.u64(0).u32(1 << 1).u32(0);
                Ok(())
            }
            READ => self.read(request, &mut out),
            READDIR => self.readdir(request, &mut out),
            FLUSH | RELEASE | RELEASEDIR | DESTROY => Ok(()),
            // Nobody waits for these. Node numbers are ours for ever, and nothing takes long enough to be interrupted.
            FORGET | BATCH_FORGET | INTERRUPT => return None,
            // For most operations the kernel remembers this answer and does not ask again.
            _ => Err(libc::ENOSYS),
        };
        Some(result.map(|()| out))
    }

    /// The first request: both sides say their version and what they can do.
    fn init(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let (major, minor) = (u32_at(request.body, 0), u32_at(request.body, 4));
        let (max_readahead, flags) = (u32_at(request.body, 8), u32_at(request.body, 12));
        if major != 7 || minor < 31 {
            eprintln!("hello: the kernel speaks FUSE {major}.{minor}; 7.31 or later is needed");
            return Err(libc::EPROTO);
        }
        // Only what the kernel offered may be asked for: reads ahead of the reader (ASYNC_READ), several lookups at once
        // (PARALLEL_DIROPS).
        let wanted = flags & ((1 << 0) | (1 << 18));
        out.u32(7).u32(31).u32(max_readahead).u32(wanted);
        out.u16(0).u16(0); // limits on background requests: the kernel's own
        out.u32(MAX_WRITE).u32(1); // times have a granularity of 1 ns
        out.zeros(64 - 28);
        Ok(())
    }

    /// Which node is `name` in the directory? With it go its attributes, and how long both may be believed.
    fn lookup(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let place = FILES
            .iter()
            .position(|f| f.name.as_bytes() == request.name());
        let node = place.filter(|_| request.node == ROOT).ok_or(libc::ENOENT)? as u64 + 2;
        out.u64(node).u64(0); // the generation tells nodes apart whose number is used again: never
        out.u64(VALID).u64(VALID).u32(0).u32(0);
        self.attr(node, out)
    }

    fn getattr(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        out.u64(VALID).u32(0).u32(0);
        self.attr(request.node, out)
    }

    fn statfs(&self, out: &mut Body) -> Result<(), i32> {
        let blocks = self
            .contents
            .iter()
            .map(|c| c.len().div_ceil(4096) as u64)
            .sum();
        out.u64(blocks).u64(0).u64(0); // all, free, free for users
        out.u64(1 + FILES.len() as u64).u64(0); // files, and how many more there could be
        out.u32(4096).u32(255).u32(4096); // block size, longest name, fragment size
        out.zeros(7 * 4);
        Ok(())
    }

    /// Offset and size lie after the handle. Less than was asked for means the end of the file.
    fn read(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let content = self.content(request.node)?;
        let start = content.len().min(u64_at(request.body, 8) as usize);
        let end = content
            .len()
            .min(start.saturating_add(u32_at(request.body, 16) as usize));
        out.bytes(&content[start..end]);
        Ok(())
    }

    /// As many entries as fit, from an offset that is ours to define: here the number of entries before it. Each entry
    /// says the offset of the next one. No entries means the end.
    fn readdir(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        if request.node != ROOT {
            return Err(libc::ENOTDIR);
        }
        let (offset, size) = (u64_at(request.body, 8), u32_at(request.body, 16) as usize);
        let dots = [(".", ROOT, libc::DT_DIR), ("..", ROOT, libc::DT_DIR)].into_iter();
        let files = FILES
            .iter()
            .zip(2..)
            .map(|(f, node)| (f.name, node, libc::DT_REG));
        for (next, (name, node, kind)) in (1..).zip(dots.chain(files)).skip(offset as usize) {
            if out.0.len() + (24 + name.len()).next_multiple_of(8) > size {
                break;
            }
            out.u64(node)
                .u64(next)
                .u32(name.len() as u32)
                .u32(kind.into());
            out.bytes(name.as_bytes()).pad();
        }
        Ok(())
    }

    /// Reads, answers, and again, until the file system is unmounted.
    fn serve(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while let Some(request) = Request::read(&mut self.device, &mut buffer)? {
            if let Some(answer) = self.answer(&request) {
                let answer = answer.as_ref().map(|body| &body.0[..]).map_err(|e| *e);
                reply(&mut self.device, request.unique, answer)?;
            }
        }
        Ok(())
    }
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
            let file = FILES
                .iter()
                .find(|f| f.name == name)
                .unwrap_or_else(|| usage());
            return io::stdout().write_all(&(file.content)());
        }
        ["--fusermount", mount_point] => mount::fusermount("hello", mount_point)?,
        ["--direct", mount_point] => mount::direct("hello", mount_point)?,
        [mount_point] if !mount_point.starts_with('-') => mount::direct("hello", mount_point)?,
        _ => usage(),
    };
    let contents = FILES.iter().map(|f| (f.content)()).collect();
    Hello { device, contents }.serve()
}
