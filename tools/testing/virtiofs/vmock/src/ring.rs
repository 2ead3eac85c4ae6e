// SPDX-License-Identifier: GPL-2.0

//! The guest's memory, and the split virtqueues in it.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::fence;
use std::sync::atomic::Ordering;

const DESC_NEXT: u16 = 1;
const DESC_WRITE: u16 = 2;
const DESC_INDIRECT: u16 = 4;

/// A part of the guest's memory, mapped until it is dropped.
pub struct Region {
    guest: u64,
    user: u64,
    size: u64,
    /// Where byte 0 of the file is mapped, and how much of it.
    base: *mut u8,
    mapped: usize,
    offset: usize,
}

impl Region {
    /// Maps `size` bytes of `file` from `offset`. QEMU calls them `user` and the guest `guest`.
    pub fn new(
        file: &File,
        guest: u64,
        size: u64,
        user: u64,
        offset: u64,
    ) -> std::io::Result<Self> {
        let mapped = (size + offset) as usize;
        // SAFETY: The kernel chooses the place, so this mapping replaces no other.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Self {
            guest,
            user,
            size,
            base: base.cast(),
            mapped,
            offset: offset as usize,
        })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `new` made this mapping, and pointers into it live only as long as a call here.
        unsafe { libc::munmap(self.base.cast(), self.mapped) };
    }
}

/// All of the guest's memory.
#[derive(Default)]
pub struct Memory(pub Vec<Region>);

impl Memory {
    /// The guest's address of what QEMU has at `user`.
    pub fn guest(&self, user: u64) -> Option<u64> {
        let region = self
            .0
            .iter()
            .find(|r| user >= r.user && user - r.user < r.size)?;
        Some(region.guest + (user - region.user))
    }

    fn at(&self, guest: u64, len: usize) -> Option<*mut u8> {
        let inside = |r: &&Region| {
            guest >= r.guest
                && guest - r.guest <= r.size
                && len as u64 <= r.size - (guest - r.guest)
        };
        let region = self.0.iter().find(inside)?;
        Some(
            region
                .base
                .wrapping_add(region.offset + (guest - region.guest) as usize),
        )
    }

    /// Reads bytes; `None` if the guest has no memory there.
    pub fn read(&self, guest: u64, to: &mut [u8]) -> Option<()> {
        let from = self.at(guest, to.len())?;
        // SAFETY: `at` found so many bytes in a mapping that lives as long as `self`.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Some(())
    }

    /// Writes bytes; `None` if the guest has no memory there.
    pub fn write(&self, guest: u64, from: &[u8]) -> Option<()> {
        let to = self.at(guest, from.len())?;
        // SAFETY: `at` found so many bytes in a mapping that lives as long as `self`.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()) };
        Some(())
    }

    fn u16(&self, guest: u64) -> Option<u16> {
        let mut bytes = [0; 2];
        self.read(guest, &mut bytes)?;
        Some(u16::from_le_bytes(bytes))
    }
}

/// A request: what the device reads, and where it may write the answer.
pub struct Chain {
    pub head: u32,
    pub request: Vec<u8>,
    pub room: Vec<(u64, usize)>,
}

impl Chain {
    /// Writes an answer as far as there is room.
    pub fn write(&self, memory: &Memory, mut answer: &[u8]) {
        for &(at, len) in &self.room {
            let (now, rest) = answer.split_at(len.min(answer.len()));
            let _ = memory.write(at, now);
            answer = rest;
        }
    }
}

/// One virtqueue.
#[derive(Default)]
pub struct Ring {
    pub size: u16,
    pub desc: u64,
    pub avail: u64,
    pub used: u64,
    /// How many requests were taken, and how many answers were given, modulo 2^16.
    pub taken: u16,
    given: u16,
    pub kick: Option<File>,
    pub call: Option<File>,
    /// Of the time since the server started.
    pub requests: u64,
}

impl Ring {
    /// Begins anew after a reset, where the driver's ring says that it begins.
    pub fn start(&mut self, memory: &Memory) {
        self.given = memory.u16(self.used + 2).unwrap_or(0);
    }

    /// The next request, if there is one and all of it is in the guest's memory.
    pub fn pop(&mut self, memory: &Memory) -> Option<Chain> {
        if self.kick.is_none() || self.size == 0 || memory.u16(self.avail + 2)? == self.taken {
            return None;
        }
        fence(Ordering::Acquire);
        let head = memory.u16(self.avail + 4 + 2 * u64::from(self.taken % self.size))?;
        self.taken = self.taken.wrapping_add(1);
        self.requests += 1;
        let mut chain = Chain {
            head: head.into(),
            request: Vec::new(),
            room: Vec::new(),
        };
        let (mut table, mut count, mut at) = (self.desc, u32::from(self.size), head);
        // A chain that is longer than this is a circle.
        for _ in 0..4096 {
            if u32::from(at) >= count {
                return None;
            }
            let mut entry = [0; 16];
            memory.read(table + 16 * u64::from(at), &mut entry)?;
            let (place, rest) = entry.split_first_chunk::<8>()?;
            let (len, rest) = rest.split_first_chunk::<4>()?;
            let (flags, next) = rest.split_first_chunk::<2>()?;
            let (place, len) = (u64::from_le_bytes(*place), u32::from_le_bytes(*len));
            let flags = u16::from_le_bytes(*flags);
            if flags & DESC_INDIRECT != 0 {
                (table, count, at) = (place, len / 16, 0);
                continue;
            }
            if flags & DESC_WRITE != 0 {
                chain.room.push((place, len as usize));
            } else {
                let start = chain.request.len();
                chain.request.resize(start + len as usize, 0);
                memory.read(place, chain.request.get_mut(start..)?)?;
            }
            if flags & DESC_NEXT == 0 {
                return Some(chain);
            }
            at = u16::from_le_bytes(next.try_into().ok()?);
        }
        None
    }

    /// Gives a request back: its first descriptor, and how many bytes the device claims to have
    /// written. Both may be lies.
    pub fn push(&mut self, memory: &Memory, head: u32, len: u32) {
        if self.size == 0 {
            return;
        }
        let at = self.used + 4 + 8 * u64::from(self.given % self.size);
        let _ = memory.write(at, &head.to_le_bytes());
        let _ = memory.write(at + 4, &len.to_le_bytes());
        fence(Ordering::Release);
        self.given = self.given.wrapping_add(1);
        let _ = memory.write(self.used + 2, &self.given.to_le_bytes());
        fence(Ordering::SeqCst);
        if let Some(mut call) = self.call.as_ref() {
            let _ = call.write(&1u64.to_ne_bytes());
        }
    }
}
