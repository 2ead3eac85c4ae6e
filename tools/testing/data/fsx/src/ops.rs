// SPDX-License-Identifier: GPL-2.0

//! The operations, and who throws the dice for them.

use crate::model::Model;
use std::collections::VecDeque;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;

macro_rules! kinds {
    ($($name:ident = $weight:expr),* $(,)?) => {
        /// What can be done to the file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types)]
        pub enum Kind { $($name),* }
        /// Each kind, and how often it is done.
        const KINDS: &[(Kind, u64)] = &[$((Kind::$name, $weight)),*];
    };
}

kinds! {
    read = 40, write = 40, append = 2, mapread = 15, mapwrite = 15, truncate = 5, allocate = 2, keepsize = 1,
    punch = 3, zero = 2, copy = 4, otherfile = 2, sync = 1, datasync = 1, forget = 2, reopen = 1, whole = 1,
}

impl Kind {
    pub fn named(name: &str) -> Option<Self> {
        let mut kinds = KINDS.iter().map(|(kind, _)| *kind);
        kinds.find(|kind| format!("{kind:?}") == name)
    }
}

/// Why a run ends early.
pub enum Failure {
    /// What failed.
    Call(String, io::Error),
    /// What is not as it must be.
    Differs(String),
}

type Result<T = ()> = std::result::Result<T, Failure>;

/// Throws the dice, and plays.
pub struct Player {
    path: String,
    file: Option<File>,
    model: Model,
    longest: usize,
    dice: u64,
    weights: Vec<(Kind, u64)>,
    done: u64,
    syncs: u64,
    last: VecDeque<String>,
}

fn check(result: i64) -> io::Result<i64> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        n => Ok(n),
    }
}

fn open(path: &str, options: &mut OpenOptions) -> Result<File> {
    let opened = options.open(path);
    opened.map_err(|e| Failure::Call(format!("open of {path}"), e))
}

/// Where two pieces that should be alike are not.
fn compare(at: usize, found: &[u8], wanted: &[u8]) -> Result {
    if found == wanted {
        return Ok(());
    }
    let mut bytes = found.iter().zip(wanted);
    let first = bytes.position(|(a, b)| a != b);
    let first = first.unwrap_or(found.len().min(wanted.len()));
    Err(Failure::Differs(format!(
        "at {:#x} there is {:02x?}, and should be {:02x?} ({} and {} bytes from {at:#x})",
        at + first,
        &found[first..found.len().min(first + 16)],
        &wanted[first..wanted.len().min(first + 16)],
        found.len(),
        wanted.len()
    )))
}

/// A part of the file, mapped.
struct Map {
    at: *mut libc::c_void,
    len: usize,
}

impl Map {
    /// Maps the pages from `page` on that have `len` bytes behind it.
    fn new(file: &File, prot: i32, page: usize, len: usize) -> io::Result<Self> {
        let (fd, offset) = (file.as_raw_fd(), page as i64);
        // SAFETY: a new mapping where the kernel likes.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                prot,
                libc::MAP_SHARED,
                fd,
                offset,
            )
        };
        match at {
            libc::MAP_FAILED => Err(io::Error::last_os_error()),
            at => Ok(Map { at, len }),
        }
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: mapped for that long; nobody else changes the file, and it is as long as that.
        unsafe { std::slice::from_raw_parts_mut(self.at.cast(), self.len) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this mapping, and nobody refers to it any more.
        unsafe { libc::munmap(self.at, self.len) };
    }
}

const PAGE: usize = 4096;

impl Player {
    pub fn new(
        path: &str,
        model: Model,
        longest: usize,
        seed: u64,
        often: &[Kind],
        never: &[Kind],
    ) -> Self {
        let weight = |(kind, weight): &(Kind, u64)| {
            let weight = if often.contains(kind) {
                weight * 10
            } else {
                *weight
            };
            (*kind, if never.contains(kind) { 0 } else { weight })
        };
        Player {
            path: path.to_string(),
            file: None,
            model,
            longest,
            dice: seed,
            weights: KINDS.iter().map(weight).collect(),
            done: 0,
            syncs: 0,
            last: VecDeque::new(),
        }
    }

    /// A number below `n`, which is not 0 (splitmix64).
    fn below(&mut self, n: usize) -> usize {
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    /// A range with something in it: of the whole room for the file, or `within` this many bytes.
    fn range(&mut self, within: usize) -> (usize, usize) {
        let at = self.below(within);
        let len = 1 + self.below(self.longest.min(within - at));
        (at, len)
    }

    /// Bytes that tell which operation wrote them, and where.
    fn pattern(&self, at: usize, len: usize) -> Vec<u8> {
        let salt = self.done.wrapping_mul(31) as usize;
        (at..at + len)
            .map(|i| (i ^ (i >> 8) ^ salt) as u8 | 1)
            .collect()
    }

    fn kind(&mut self) -> Kind {
        let sum: u64 = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut throw = self.below(sum as usize) as u64;
        for (kind, weight) in &self.weights {
            match throw.checked_sub(*weight) {
                Some(rest) => throw = rest,
                None => return *kind,
            }
        }
        Kind::read
    }

    pub fn play(&mut self, count: u64) -> Result {
        let options = &mut OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = open(&self.path, options)?;
        file.sync_all()
            .map_err(|e| Failure::Call("fsync".into(), e))?;
        self.file = Some(file);
        while self.done < count {
            self.done += 1;
            let kind = self.kind();
            match self.one(kind) {
                // The server cannot do this: not again.
                Err(Failure::Call(_, e))
                    if matches!(e.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS)) =>
                {
                    println!("without {kind:?}: {e}");
                    self.weights.retain(|(other, _)| *other != kind);
                }
                result => result?,
            }
        }
        self.one(Kind::reopen)?;
        self.one(Kind::whole)
    }

    fn one(&mut self, kind: Kind) -> Result {
        let max = self.model.max();
        // What is done to what is there needs something to be there.
        let size = self.model.size();
        let kind = match kind {
            Kind::mapread | Kind::copy if size == 0 => Kind::write,
            kind => kind,
        };
        let (at, len) = match kind {
            Kind::mapread => self.range(size),
            _ => self.range(max),
        };
        let to = self.below(max);
        if self.last.len() == 40 {
            self.last.pop_front();
        }
        let line = format!(
            "{} {kind:?} {at:#x} {len:#x} {to:#x} of {size:#x}",
            self.done
        );
        self.last.push_back(line);
        let file = match self.file.take() {
            Some(file) if kind != Kind::reopen => file,
            // Closed before it is opened again.
            old => {
                drop(old);
                open(&self.path, OpenOptions::new().read(true).write(true))?
            }
        };
        let result = self.on(&file, kind, at, len, to);
        self.file = Some(file);
        result.map_err(|failure| match failure {
            Done::Failed(error) => Failure::Call(format!("{kind:?}"), error),
            Done::Ended(failure) => failure,
        })
    }

    fn on(
        &mut self,
        file: &File,
        kind: Kind,
        at: usize,
        len: usize,
        to: usize,
    ) -> std::result::Result<(), Done> {
        let (fd, before) = (file.as_raw_fd(), self.model.size());
        let allocate = |mode: i32| {
            // SAFETY: no memory involved.
            check(unsafe { libc::fallocate(fd, mode, at as i64, len as i64) }.into())
        };
        match kind {
            Kind::read => self.read(file, at, len)?,
            Kind::otherfile => {
                let other = open(&self.path, OpenOptions::new().read(true))?;
                self.read(&other, at, len)?;
            }
            Kind::write => {
                let data = self.pattern(at, len);
                self.model.touch(at, len);
                self.model.touch_size(self.model.size().max(at + len));
                file.write_all_at(&data, at as u64)?;
                self.model.write(at, &data);
            }
            Kind::append => {
                let at = self.model.size();
                let len = len.min(self.model.max() - at);
                let data = self.pattern(at, len);
                self.model.touch_size(at + len);
                let options = &mut OpenOptions::new();
                let other = open(
                    &self.path,
                    options.append(true).custom_flags(libc::O_CLOEXEC),
                )?;
                io::Write::write_all(&mut &other, &data)?;
                self.model.write(at, &data);
            }
            Kind::mapread => {
                let (page, before) = (at - at % PAGE, at % PAGE);
                let mut map = Map::new(
                    file,
                    libc::PROT_READ,
                    page,
                    (before + len).next_multiple_of(PAGE),
                )?;
                compare(
                    at,
                    &map.bytes()[before..before + len],
                    self.model.read(at, len),
                )?;
                // The rest of the page that the file ends in is zero.
                let rest = self.model.size().next_multiple_of(PAGE) - self.model.size();
                let end = map.len.min(self.model.size() - page);
                let rest = rest.min(map.len - end);
                compare(page + end, &map.bytes()[end..end + rest], &vec![0; rest])?;
            }
            Kind::mapwrite => {
                if at + len > self.model.size() {
                    self.model.touch_size(at + len);
                    file.set_len((at + len) as u64)?;
                    self.model.resize(at + len);
                }
                let data = self.pattern(at, len);
                self.model.touch(at, len);
                let (page, before) = (at - at % PAGE, at % PAGE);
                let prot = libc::PROT_READ | libc::PROT_WRITE;
                let mut map = Map::new(file, prot, page, before + len)?;
                map.bytes()[before..].copy_from_slice(&data);
                if len % 4 == 0 {
                    // SAFETY: the mapping.
                    check(unsafe { libc::msync(map.at, map.len, libc::MS_SYNC) }.into())?;
                }
                self.model.write(at, &data);
            }
            Kind::truncate => {
                self.model.touch_size(to);
                file.set_len(to as u64)?;
                self.model.resize(to);
            }
            Kind::allocate => {
                let size = self.model.size().max(at + len);
                self.model.touch_size(size);
                allocate(0)?;
                self.model.resize(size);
            }
            Kind::keepsize => {
                allocate(libc::FALLOC_FL_KEEP_SIZE)?;
            }
            Kind::punch => {
                self.model.touch(at, len);
                allocate(libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE)?;
                self.model.zero(at, len);
            }
            Kind::zero => {
                let keep = to % 2 == 0;
                self.model.touch(at, len);
                let size = self.model.size().max(at + len);
                self.model
                    .touch_size(if keep { self.model.size() } else { size });
                let mode = libc::FALLOC_FL_ZERO_RANGE;
                allocate(mode | if keep { libc::FALLOC_FL_KEEP_SIZE } else { 0 })?;
                self.model.zero(at, len);
                if !keep {
                    self.model.resize(size);
                }
            }
            Kind::copy => self.copy(fd, at, len, to)?,
            Kind::sync | Kind::datasync => {
                if kind == Kind::sync {
                    file.sync_all()?;
                } else {
                    file.sync_data()?;
                }
                self.syncs += 1;
                self.model.sync();
            }
            Kind::forget => {
                // SAFETY: no memory involved.
                unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
            }
            Kind::reopen | Kind::whole => self.read(file, 0, self.model.max())?,
        }
        // It is asked for often enough if only some of those look who cannot have changed it.
        let size = self.model.size();
        if size == before && self.done % 16 != 0 {
            return Ok(());
        }
        let found = file.metadata()?.len();
        if found != size as u64 {
            let what = format!("the file has {found:#x} bytes, and should have {size:#x}");
            return Err(Done::Ended(Failure::Differs(what)));
        }
        Ok(())
    }

    fn read(&self, file: &File, at: usize, len: usize) -> std::result::Result<(), Done> {
        let mut found = vec![0; len];
        let mut done = 0;
        while done < len {
            match file.read_at(&mut found[done..], (at + done) as u64)? {
                0 => break,
                n => done += n,
            }
        }
        Ok(compare(at, &found[..done], self.model.read(at, len))?)
    }

    /// Copies within the file, between ranges that are apart.
    fn copy(&mut self, fd: i32, at: usize, len: usize, to: usize) -> std::result::Result<(), Done> {
        let at = at.min(self.model.size() - 1);
        let apart = to.abs_diff(at).max(1);
        let len = len
            .min(self.model.size() - at)
            .min(self.model.max() - to)
            .min(apart);
        let to = if to == at {
            (at + len).min(self.model.max() - len)
        } else {
            to
        };
        if to.abs_diff(at) < len {
            return Ok(());
        }
        self.model.touch(to, len);
        self.model.touch_size(self.model.size().max(to + len));
        let (mut from, mut target) = (at as i64, to as i64);
        let mut left = len;
        while left != 0 {
            // SAFETY: both positions are there for the call.
            let n = check(
                unsafe { libc::copy_file_range(fd, &mut from, fd, &mut target, left, 0) } as i64,
            )?;
            if n == 0 {
                let what = format!("the copy ends {left:#x} bytes early");
                return Err(Done::Ended(Failure::Differs(what)));
            }
            left -= n as usize;
        }
        let data = self.model.read(at, len).to_vec();
        self.model.write(to, &data);
        Ok(())
    }

    pub fn close(&mut self) {
        self.file = None;
    }

    /// Looks at the file on the file system that has come back.
    pub fn survived(&mut self) -> Result<String> {
        let found = std::fs::read(&self.path)
            .map_err(|e| Failure::Call(format!("read of {}", self.path), e))?;
        let kept = self.model.survived(&found).map_err(Failure::Differs)?;
        Ok(format!(
            "{kept} bytes were synced and not touched since, {}",
            self.summary()
        ))
    }

    pub fn summary(&self) -> String {
        format!(
            "{} syncs, {} bytes at the end",
            self.syncs,
            self.model.size()
        )
    }

    pub fn last_words(&self) -> impl Iterator<Item = &String> {
        self.last.iter()
    }
}

/// How an operation did not succeed.
enum Done {
    Failed(io::Error),
    Ended(Failure),
}

impl From<io::Error> for Done {
    fn from(error: io::Error) -> Self {
        Done::Failed(error)
    }
}

impl From<Failure> for Done {
    fn from(failure: Failure) -> Self {
        Done::Ended(failure)
    }
}
