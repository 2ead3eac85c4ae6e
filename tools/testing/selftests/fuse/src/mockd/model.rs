// SPDX-License-Identifier: GPL-2.0

//! A server that answers every request well by itself: for tests in which only the crowd matters.
//!
//! It remembers nothing. What a name means is in the name: "f7" is a file, "d7" a directory (of the root), "l7" a link,
//! anything else is not there until it is made. What a node is, is in its number.

use super::fs::absent;
use super::fs::dir;
use super::fs::file;
use super::fs::symlink_node;
use super::fs::Node;
use super::sys::Errno;
use super::sys::ENOENT;
use super::sys::ENOSYS;
use super::wire::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Numbers of nodes: what they are, above what tells them apart (6 of a kind are in use, as far as names go).
pub const FILES: u64 = 1 << 32;
pub const DIRECTORIES: u64 = 2 << 32;
pub const LINKS: u64 = 3 << 32;

/// Bytes that a file has.
pub const FILE_SIZE: u64 = 64 << 10;
/// What the files are full of.
pub const CONTENT: u8 = b'm';

static MADE: AtomicU64 = AtomicU64::new(1 << 16);

fn made() -> u64 {
    MADE.fetch_add(1, Ordering::Relaxed)
}

/// The name at the start of `b`.
fn name(b: &[u8]) -> &[u8] {
    b.split(|&c| c == 0).next().unwrap_or_default()
}

/// How the model's nodes may be believed.
#[derive(Clone, Copy)]
pub struct Model {
    /// Seconds that a name is good for.
    pub entry_valid: u64,
    /// Seconds that attributes are good for.
    pub attr_valid: u64,
    /// Flags of OPEN.
    pub open_flags: u32,
}

impl Model {
    pub fn node(&self, id: u64) -> Node {
        let node = match id {
            ROOT => dir(id),
            _ if id & !0xffff_ffff == DIRECTORIES => dir(id),
            _ if id & !0xffff_ffff == LINKS => symlink_node(id),
            _ => file(id).size(FILE_SIZE),
        };
        node.entry_valid(self.entry_valid, 0)
            .attr_valid(self.attr_valid, 0)
    }

    fn named(&self, parent: u64, name: &[u8]) -> Option<Node> {
        let number = std::str::from_utf8(name.get(1..)?)
            .ok()?
            .parse::<u32>()
            .ok()?;
        let id = match name[0] {
            b'f' => FILES,
            // A directory has one parent.
            b'd' if parent == ROOT => DIRECTORIES,
            b'l' => LINKS,
            _ => return None,
        };
        Some(self.node(id | u64::from(number)))
    }

    fn opened(&self) -> OpenOut {
        OpenOut {
            fh: 7,
            open_flags: self.open_flags,
            backing_id: 0,
        }
    }

    fn directory(&self, at: &ReadIn, plus: bool) -> Vec<u8> {
        let mut out = Vec::new();
        let skip = usize::try_from(at.offset).unwrap_or(usize::MAX);
        for (i, name) in ["f0", "f1", "f2", "l0", "l1"].iter().enumerate().skip(skip) {
            let node = self.named(0, name.as_bytes()).expect("one of the model's");
            let kind = (node.attr.mode >> 12) as u8;
            let entry = Dirents::new().add(node.id, i as u64 + 1, kind, name).0;
            let entry = match plus {
                true => [node.entry().bytes(), entry].concat(),
                false => entry,
            };
            if out.len() + entry.len() > at.size as usize {
                break;
            }
            out.extend(entry);
        }
        out
    }

    /// The whole message that answers the one that a server has read; `None` if that takes no answer.
    pub fn reply_to(&self, message: &[u8]) -> Option<Vec<u8>> {
        let head = InHeader::from_bytes(message);
        let (error, body) = match self.answer(&head, &message[IN_HEADER..])? {
            Ok(body) => (0, body),
            Err(e) => (-e.0, Vec::new()),
        };
        let mut reply = OutHeader {
            len: (OUT_HEADER + body.len()) as u32,
            error,
            unique: head.unique,
        }
        .bytes();
        reply.extend(body);
        Some(reply)
    }

    /// The answer to a request; `None` if it takes none.
    pub fn answer(&self, head: &InHeader, body: &[u8]) -> Option<Result<Vec<u8>, Errno>> {
        Some(Ok(match head.opcode {
            FORGET | BATCH_FORGET | INTERRUPT | NOTIFY_REPLY => return None,
            LOOKUP => match self.named(head.nodeid, name(body)) {
                Some(node) => node.entry().bytes(),
                None if self.entry_valid != 0 => absent(self.entry_valid, 0).bytes(),
                None => return Some(Err(ENOENT)),
            },
            GETATTR | SETATTR => self.node(head.nodeid).attr_out().bytes(),
            STATX => self
                .node(head.nodeid)
                .statx_out(libc::STATX_BASIC_STATS | libc::STATX_BTIME, (1, 1)),
            READLINK => b"f0".to_vec(),
            SYMLINK => self.node(LINKS | made()).entry().bytes(),
            MKDIR => self.node(DIRECTORIES | made()).entry().bytes(),
            MKNOD => self.node(FILES | made()).entry().bytes(),
            LINK => {
                let old = body.first_chunk().map_or(ROOT, |b| u64::from_ne_bytes(*b));
                self.node(old).entry().bytes()
            }
            CREATE | TMPFILE => [
                self.node(FILES | made()).entry().bytes(),
                self.opened().bytes(),
            ]
            .concat(),
            OPEN | OPENDIR => self.opened().bytes(),
            READ => {
                let at = ReadIn::from_bytes(body);
                let len = FILE_SIZE.saturating_sub(at.offset).min(at.size.into());
                vec![CONTENT; len as usize]
            }
            READDIR => self.directory(&ReadIn::from_bytes(body), false),
            READDIRPLUS => self.directory(&ReadIn::from_bytes(body), true),
            WRITE => WriteOut {
                size: WriteIn::from_bytes(body).size,
                padding: 0,
            }
            .bytes(),
            COPY_FILE_RANGE => WriteOut::default().bytes(),
            COPY_FILE_RANGE_64 => CopyFileRangeOut { bytes_copied: 100 }.bytes(),
            IOCTL => {
                let len = IoctlIn::from_bytes(body).out_size as usize;
                [IoctlOut::default().bytes(), vec![0; len]].concat()
            }
            GETLK => LkOut {
                lk: LkIn::from_bytes(body).lk,
            }
            .bytes(),
            STATFS => StatfsOut {
                bsize: 4096,
                namelen: 255,
                frsize: 4096,
                ..Default::default()
            }
            .bytes(),
            GETXATTR | LISTXATTR => {
                let size = body.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
                let value = b"user.a\0user.b\0";
                match size as usize {
                    0 => WriteOut {
                        size: value.len() as u32,
                        padding: 0,
                    }
                    .bytes(),
                    n if n < value.len() => return Some(Err(Errno(libc::ERANGE))),
                    _ => value.to_vec(),
                }
            }
            LSEEK | BMAP => 0u64.to_ne_bytes().to_vec(),
            POLL => WriteOut::default().bytes(),
            UNLINK | RMDIR | RENAME | RENAME2 | RELEASE | RELEASEDIR | FLUSH | FSYNC | FSYNCDIR
            | SETXATTR | REMOVEXATTR | ACCESS | FALLOCATE | SYNCFS | SETLK | SETLKW | DESTROY => {
                Vec::new()
            }
            _ => return Some(Err(ENOSYS)),
        }))
    }
}
