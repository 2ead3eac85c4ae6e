// SPDX-License-Identifier: GPL-2.0

//! A read-only file system of a few files in one directory, spoken directly to /dev/fuse.
//!
//! The kernel sends one request at a time: for the node of a name (LOOKUP), the attributes of a
//! node (GETATTR), its contents (OPEN, READ, RELEASE; OPENDIR, READDIR, RELEASEDIR). Nodes are
//! numbers that the server chooses; 1 is the root.

use crate::wire::opcode::*;
use crate::wire::reply;
use crate::wire::u32_at;
use crate::wire::u64_at;
use crate::wire::Body;
use crate::wire::Request;
use std::fs::File;
use std::io;

const ROOT: u64 = 1;
/// How long the kernel may cache names and attributes, in seconds: nothing here ever changes.
const VALID: u64 = 3600;
/// The maximum WRITE that we would take. The buffer must hold it, though there are no writes here.
const MAX_WRITE: u32 = 128 << 10;
const BUFFER: usize = MAX_WRITE as usize + 4096;

/// A file: its name and what it holds. Its node is its place among the files, counted from
/// [`FIRST_FILE`].
pub struct Entry {
    pub name: &'static str,
    pub content: Vec<u8>,
    /// Reads go to the server each time, past the page cache (FOPEN_DIRECT_IO).
    pub direct: bool,
}

/// The node of the first file.
pub const FIRST_FILE: u64 = 2;

/// The file system: its files.
pub struct ReadOnly(pub Vec<Entry>);

impl ReadOnly {
    fn file(&self, node: u64) -> Result<&Entry, i32> {
        let place = node.checked_sub(FIRST_FILE).ok_or(libc::EISDIR)? as usize;
        self.0.get(place).ok_or(libc::ENOENT)
    }

    /// struct fuse_attr of a node.
    fn attr(&self, node: u64, out: &mut Body) -> Result<(), i32> {
        let (mode, links, size) = match node {
            ROOT => (libc::S_IFDIR | 0o555, 2, 0),
            _ => (
                libc::S_IFREG | 0o444,
                1,
                self.file(node)?.content.len() as u64,
            ),
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

    /// The answer of this file system; `None` if none is expected.
    pub fn answer(&self, request: &Request<'_>) -> Option<Result<Body, i32>> {
        let mut out = Body::default();
        let result = match request.opcode {
            INIT => self.init(request, &mut out),
            LOOKUP => self.lookup(request, &mut out),
            GETATTR => self.getattr(request, &mut out),
            STATFS => self.statfs(&mut out),
            OPEN | OPENDIR => self.open(request, &mut out),
            READ => self.read(request, &mut out),
            READDIR => self.readdir(request, &mut out),
            FLUSH | RELEASE | RELEASEDIR | DESTROY => Ok(()),
            // No caller waits for these. Nodes live forever, and no operation takes long enough to
            // be interrupted.
            FORGET | BATCH_FORGET | INTERRUPT => return None,
            // For most operations the kernel remembers this answer and does not ask again.
            _ => Err(libc::ENOSYS),
        };
        Some(result.map(|()| out))
    }

    /// The first request: both sides tell their version and their features.
    fn init(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let (major, minor) = (u32_at(request.body, 0), u32_at(request.body, 4));
        let (max_readahead, flags) = (u32_at(request.body, 8), u32_at(request.body, 12));
        if major != 7 || minor < 31 {
            eprintln!("the kernel speaks FUSE {major}.{minor}; 7.31 or later is needed");
            return Err(libc::EPROTO);
        }
        // Only what the kernel offered may be asked for: reads ahead of the reader (ASYNC_READ),
        // several lookups at once (PARALLEL_DIROPS).
        let wanted = flags & ((1 << 0) | (1 << 18));
        out.u32(7).u32(31).u32(max_readahead).u32(wanted);
        out.u16(0).u16(0); // limits on background requests: the kernel's own
        out.u32(MAX_WRITE).u32(1); // times have a granularity of 1 ns
        out.zeros(64 - 28);
        Ok(())
    }

    /// Returns the node of `name` in the directory, its attributes, and how long both may be
    /// cached.
    fn lookup(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let mut names = self.0.iter().map(|f| f.name.as_bytes());
        let place = names.position(|name| name == request.name());
        let place = place.filter(|_| request.node == ROOT).ok_or(libc::ENOENT)?;
        let node = place as u64 + FIRST_FILE;
        out.u64(node).u64(0); // the generation distinguishes nodes whose number is reused: never
        out.u64(VALID).u64(VALID).u32(0).u32(0);
        self.attr(node, out)
    }

    /// A handle of our own, a u64, could come back in READ and RELEASE. None is needed: it stays 0.
    /// The kernel may keep what it has cached of a file (FOPEN_KEEP_CACHE), unless nothing is to be
    /// cached (FOPEN_DIRECT_IO).
    fn open(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let direct = request.node != ROOT && self.file(request.node)?.direct;
        let flags = if direct { 1 << 0 } else { 1 << 1 };
        out.u64(0).u32(flags).u32(0);
        Ok(())
    }

    fn getattr(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        out.u64(VALID).u32(0).u32(0);
        self.attr(request.node, out)
    }

    fn statfs(&self, out: &mut Body) -> Result<(), i32> {
        let blocks = |f: &Entry| f.content.len().div_ceil(4096) as u64;
        out.u64(self.0.iter().map(blocks).sum()).u64(0).u64(0); // all, free, free for users
        out.u64(1 + self.0.len() as u64).u64(0); // files, and how many more there could be
        out.u32(4096).u32(255).u32(4096); // block size, longest name, fragment size
        out.zeros(7 * 4);
        Ok(())
    }

    /// Offset and size lie after the handle. Less than was asked for means the end of the file.
    fn read(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        let content = &self.file(request.node)?.content;
        let start = content.len().min(u64_at(request.body, 8) as usize);
        let end = content
            .len()
            .min(start.saturating_add(u32_at(request.body, 16) as usize));
        out.bytes(&content[start..end]);
        Ok(())
    }

    /// As many entries as fit, from an offset that is ours to define: here the number of entries
    /// before it. Each entry says the offset of the next one. No entries means the end.
    fn readdir(&self, request: &Request<'_>, out: &mut Body) -> Result<(), i32> {
        if request.node != ROOT {
            return Err(libc::ENOTDIR);
        }
        let (offset, size) = (u64_at(request.body, 8), u32_at(request.body, 16) as usize);
        let dots = [(".", ROOT, libc::DT_DIR), ("..", ROOT, libc::DT_DIR)].into_iter();
        let files = self
            .0
            .iter()
            .zip(FIRST_FILE..)
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

    /// Reads requests and answers them until the file system is unmounted, except those that
    /// `forgets` selects.
    pub fn serve(
        &self,
        mut device: File,
        mut forgets: impl FnMut(&Request<'_>) -> bool,
    ) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while let Some(request) = Request::read(&mut device, &mut buffer)? {
            if forgets(&request) {
                continue;
            }
            if let Some(answer) = self.answer(&request) {
                let answer = answer.as_ref().map(|body| &body.0[..]).map_err(|e| *e);
                reply(&mut device, request.unique, answer)?;
            }
        }
        Ok(())
    }
}
