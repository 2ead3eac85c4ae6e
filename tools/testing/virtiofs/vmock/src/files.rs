// SPDX-License-Identifier: GPL-2.0

//! The files: one directory of them, each a memfd. `uapi/linux/fuse.h` has the messages.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;

pub const ROOT: u64 = 1;
/// The file that the guest's test steers the device by.
pub const CONTROL: u64 = 2;
const CONTROL_NAME: &[u8] = b".vmock";

pub const LOOKUP: u32 = 1;
pub const FORGET: u32 = 2;
pub const GETATTR: u32 = 3;
pub const SETATTR: u32 = 4;
pub const UNLINK: u32 = 10;
pub const OPEN: u32 = 14;
pub const READ: u32 = 15;
pub const WRITE: u32 = 16;
pub const STATFS: u32 = 17;
pub const RELEASE: u32 = 18;
pub const FSYNC: u32 = 20;
pub const FLUSH: u32 = 25;
pub const INIT: u32 = 26;
pub const OPENDIR: u32 = 27;
pub const READDIR: u32 = 28;
pub const RELEASEDIR: u32 = 29;
pub const CREATE: u32 = 35;
pub const DESTROY: u32 = 38;
pub const BATCH_FORGET: u32 = 42;

const FATTR_MODE: u32 = 1;
const FATTR_SIZE: u32 = 8;
const FOPEN_DIRECT_IO: u32 = 1;
const ASYNC_READ: u64 = 1;
const BIG_WRITES: u64 = 1 << 5;
const PARALLEL_DIROPS: u64 = 1 << 18;
const MAX_PAGES: u64 = 1 << 22;
const INIT_EXT: u64 = 1 << 30;
const REQUEST_TIMEOUT: u64 = 1 << 42;

/// An answer's body, or an errno.
pub type Answer = Result<Vec<u8>, i32>;

/// Reads numbers from a message, one after the other.
pub struct Parse<'a>(pub &'a [u8]);

impl Parse<'_> {
    pub fn u32(&mut self) -> Result<u32, i32> {
        let (now, rest) = self.0.split_first_chunk().ok_or(libc::EINVAL)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*now))
    }

    pub fn u64(&mut self) -> Result<u64, i32> {
        let (now, rest) = self.0.split_first_chunk().ok_or(libc::EINVAL)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*now))
    }

    pub fn skip(&mut self, len: usize) -> Result<(), i32> {
        self.0 = self.0.get(len..).ok_or(libc::EINVAL)?;
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        self.0
            .iter()
            .copied()
            .take_while(|&byte| byte != 0)
            .collect()
    }
}

/// Writes numbers of a message, one after the other.
#[derive(Default)]
pub struct Build(pub Vec<u8>);

impl Build {
    fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }
}

struct Node {
    /// None for the directory and for the control file.
    file: Option<File>,
    mode: u32,
    /// How often the guest has looked it up and not forgotten it.
    lookups: u64,
    linked: bool,
}

impl Node {
    fn size(&self) -> u64 {
        self.file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |data| data.len())
    }
}

/// The file system.
pub struct Files {
    names: BTreeMap<Vec<u8>, u64>,
    nodes: BTreeMap<u64, Node>,
    last: u64,
    /// The seconds that INIT gives a request; 0 for as long as it takes.
    pub timeout: u16,
}

fn memfd() -> Result<File, i32> {
    // SAFETY: The name ends with a NUL and lives as long as the program.
    let file = unsafe { libc::memfd_create(c"vmock".as_ptr(), libc::MFD_CLOEXEC) };
    if file < 0 {
        return Err(libc::ENOMEM);
    }
    // SAFETY: The kernel has just made it, and nothing else knows its number.
    Ok(unsafe { File::from_raw_fd(file) })
}

impl Files {
    pub fn new() -> Self {
        let special = |mode| Node {
            file: None,
            mode,
            lookups: 1,
            linked: true,
        };
        Self {
            names: BTreeMap::from([(CONTROL_NAME.to_vec(), CONTROL)]),
            nodes: BTreeMap::from([
                (ROOT, special(libc::S_IFDIR | 0o755)),
                (CONTROL, special(libc::S_IFREG | 0o600)),
            ]),
            last: CONTROL,
            timeout: 0,
        }
    }

    /// How many nodes the guest knows of.
    pub fn known(&self) -> usize {
        self.nodes.len()
    }

    fn attr(&self, id: u64, message: Build) -> Answer {
        let node = self.nodes.get(&id).ok_or(libc::ENOENT)?;
        let size = node.size();
        let message = message
            .u64(id)
            .u64(size)
            .u64(size.div_ceil(512))
            .u64(0)
            .u64(0)
            .u64(0);
        let message = message
            .u32(0)
            .u32(0)
            .u32(0)
            .u32(node.mode)
            .u32(1)
            .u32(0)
            .u32(0);
        Ok(message.u32(0).u32(4096).u32(0).0)
    }

    fn entry(&mut self, id: u64) -> Answer {
        self.nodes.get_mut(&id).ok_or(libc::ENOENT)?.lookups += 1;
        self.attr(
            id,
            Build::default().u64(id).u64(0).u64(0).u64(0).u32(0).u32(0),
        )
    }

    fn forget(&mut self, id: u64, count: u64) {
        if id <= CONTROL {
            return;
        }
        let Some(node) = self.nodes.get_mut(&id) else {
            eprintln!("FORGET of a node that there is not: {id}");
            return;
        };
        if node.lookups < count {
            eprintln!(
                "FORGET of more than was looked up: {id}, {count} of {}",
                node.lookups
            );
        }
        node.lookups = node.lookups.saturating_sub(count);
        if node.lookups == 0 && !node.linked {
            self.nodes.remove(&id);
        }
    }

    /// What a request without an answer does.
    pub fn tell(&mut self, opcode: u32, id: u64, mut body: Parse<'_>) -> Result<(), i32> {
        if opcode == FORGET {
            self.forget(id, body.u64()?);
        } else {
            let count = body.u32()?;
            body.skip(4)?;
            for _ in 0..count {
                self.forget(body.u64()?, body.u64()?);
            }
        }
        Ok(())
    }

    fn file(&self, id: u64) -> Result<&File, i32> {
        self.nodes
            .get(&id)
            .and_then(|node| node.file.as_ref())
            .ok_or(libc::EBADF)
    }

    fn init(&self, mut body: Parse<'_>) -> Answer {
        body.skip(8)?;
        let (readahead, _) = (body.u32()?, body.u32()?);
        let mut flags = ASYNC_READ | BIG_WRITES | PARALLEL_DIROPS | MAX_PAGES | INIT_EXT;
        if self.timeout != 0 {
            flags |= REQUEST_TIMEOUT;
        }
        let message = Build::default()
            .u32(7)
            .u32(46)
            .u32(readahead)
            .u32(flags as u32);
        let message = message.u16(0).u16(0).u32(1 << 20).u32(1).u16(256).u16(0);
        let mut message = message.u32((flags >> 32) as u32).u32(0).u16(self.timeout).0;
        message.resize(64, 0);
        Ok(message)
    }

    fn open(&self, id: u64) -> Vec<u8> {
        let flags = if id == CONTROL { FOPEN_DIRECT_IO } else { 0 };
        Build::default().u64(0).u32(flags).u32(0).0
    }

    fn readdir(&self, offset: u64, size: usize) -> Vec<u8> {
        let mut list = Build::default();
        for (number, (name, id)) in (1u64..).zip(&self.names).skip(offset as usize) {
            if list.0.len() + 24 + name.len().next_multiple_of(8) > size {
                break;
            }
            let kind = libc::DT_REG.into();
            list = list.u64(*id).u64(number).u32(name.len() as u32).u32(kind);
            list.0.extend(name);
            list.0.resize(list.0.len().next_multiple_of(8), 0);
        }
        list.0
    }

    /// Answers a request to `id`, whose header is taken off.
    pub fn ask(&mut self, opcode: u32, id: u64, mut body: Parse<'_>) -> Answer {
        match opcode {
            INIT => self.init(body),
            LOOKUP => {
                let id = *self.names.get(&body.name()).ok_or(libc::ENOENT)?;
                self.entry(id)
            }
            GETATTR => self.attr(id, Build::default().u64(0).u64(0)),
            SETATTR => {
                let valid = body.u32()?;
                body.skip(12)?;
                let size = body.u64()?;
                body.skip(44)?;
                let mode = body.u32()?;
                if valid & FATTR_SIZE != 0 && id != CONTROL {
                    self.file(id)?.set_len(size).map_err(|_| libc::EIO)?;
                }
                let node = self.nodes.get_mut(&id).ok_or(libc::ENOENT)?;
                if valid & FATTR_MODE != 0 {
                    node.mode = node.mode & libc::S_IFMT | mode & 0o7777;
                }
                self.attr(id, Build::default().u64(0).u64(0))
            }
            CREATE => {
                body.skip(4)?;
                let mode = body.u32()?;
                body.skip(8)?;
                if self.names.contains_key(&body.name()) {
                    return Err(libc::EEXIST);
                }
                let file = Some(memfd()?);
                self.last += 1;
                self.nodes.insert(
                    self.last,
                    Node {
                        file,
                        mode,
                        lookups: 0,
                        linked: true,
                    },
                );
                self.names.insert(body.name(), self.last);
                let mut answer = self.entry(self.last)?;
                answer.extend(self.open(self.last));
                Ok(answer)
            }
            UNLINK => {
                let gone = self.names.remove(&body.name()).ok_or(libc::ENOENT)?;
                if let Some(node) = self.nodes.get_mut(&gone) {
                    node.linked = false;
                }
                self.forget(gone, 0);
                Ok(Vec::new())
            }
            OPEN | OPENDIR => Ok(self.open(id)),
            READ => {
                body.skip(8)?;
                let (offset, size) = (body.u64()?, body.u32()?);
                let mut data = vec![0; size.min(1 << 20) as usize];
                let got = self
                    .file(id)?
                    .read_at(&mut data, offset)
                    .map_err(|_| libc::EIO)?;
                data.truncate(got);
                Ok(data)
            }
            WRITE => {
                body.skip(8)?;
                let (offset, size) = (body.u64()?, body.u32()?);
                body.skip(20)?;
                let data = body.0.get(..size as usize).ok_or(libc::EINVAL)?;
                self.file(id)?
                    .write_all_at(data, offset)
                    .map_err(|_| libc::ENOSPC)?;
                Ok(Build::default().u32(size).u32(0).0)
            }
            READDIR => {
                body.skip(8)?;
                Ok(self.readdir(body.u64()?, body.u32()? as usize))
            }
            STATFS => {
                let blocks = Build::default().u64(1 << 20).u64(1 << 20).u64(1 << 20);
                let mut message = blocks
                    .u64(1 << 20)
                    .u64(1 << 20)
                    .u32(4096)
                    .u32(255)
                    .u32(4096)
                    .0;
                message.resize(80, 0);
                Ok(message)
            }
            RELEASE | RELEASEDIR | FSYNC | FLUSH | DESTROY => Ok(Vec::new()),
            _ => Err(libc::ENOSYS),
        }
    }
}
