// SPDX-License-Identifier: GPL-2.0

//! The kernel's log.

use super::sys;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::fd::AsRawFd;

/// The kernel's log from some record on.
pub struct KernelLog(File);

impl KernelLog {
    /// All that the kernel still knows of.
    pub fn from_the_start() -> Self {
        let file = File::open("/dev/kmsg").expect("/dev/kmsg");
        sys::set_nonblock(file.as_raw_fd(), true);
        Self(file)
    }

    /// What is said from now on.
    pub fn from_now() -> Self {
        let mut log = Self::from_the_start();
        log.0.seek(SeekFrom::End(0)).expect("the log's end");
        log
    }

    /// The records that have come: number and text.
    pub fn records(&mut self) -> Vec<(u64, String)> {
        let mut records = Vec::new();
        let mut said = [0u8; 8192];
        while let Ok(len) = self.0.read(&mut said) {
            let record = String::from_utf8_lossy(&said[..len]);
            // Level, number, time; then the text, and what belongs to it in lines of their own.
            let (head, text) = record.split_once(';').expect("a record");
            let number = head.split(',').nth(1).and_then(|n| n.parse().ok());
            let line = text.lines().next().unwrap_or_default();
            records.push((number.expect("a number"), line.to_string()));
        }
        records
    }

    /// The texts that have come.
    pub fn lines(&mut self) -> Vec<String> {
        self.records().into_iter().map(|(_, text)| text).collect()
    }
}
