// SPDX-License-Identifier: GPL-2.0

//! Windows: what is measured lies between two marks, and each window is a line of the report.
//!
//! In the deterministic machine the processor's time stamp is the number of executed instructions, and the marks tell
//! QEMU's plugin (`../plugin`) where to count. Elsewhere the marks do nothing and the clock counts.

use crate::server::Server;
use crate::sys;
use std::arch::x86_64::_rdtsc;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering::Relaxed;

/// The no-operation that the plugin knows; a macro, because the number is part of the instruction.
macro_rules! mark {
    ($n:literal) => {
        // SAFETY: an instruction without effect.
        unsafe {
            std::arch::asm!(concat!(
                ".byte 0x0f, 0x1f, 0x84, 0x00, ",
                $n,
                ", 0x4e, 0x42, 0x46"
            ))
        }
    };
}

/// Where the results go: lines on the second serial port.
pub struct Report(File);

impl Report {
    pub fn new(file: File) -> Self {
        Report(file)
    }

    pub fn line(&self, text: &str) {
        // Whoever reads it sees that the last line is missing.
        let _ = (&self.0).write_all(format!("{text}\n").as_bytes());
    }
}

/// One cell being measured: where it calls, who serves, where its windows are told.
pub struct Bench<'a> {
    pub cell: &'static str,
    pub dir: String,
    /// None where there is nothing but tmpfs.
    pub server: Option<Server>,
    pub batches: u64,
    /// How many times as many calls as usual clients make.
    pub scale: u64,
    pub report: &'a mut Report,
    statistics: File,
}

impl<'a> Bench<'a> {
    pub fn new(
        cell: &'static str,
        dir: String,
        server: Option<Server>,
        batches: u64,
        report: &'a mut Report,
    ) -> Self {
        Bench {
            cell,
            dir,
            server,
            batches,
            scale: 1,
            report,
            statistics: File::open("/proc/stat").expect("/proc/stat"),
        }
    }

    pub fn path(&self, name: &str) -> std::ffi::CString {
        sys::c_path(format!("{}/{name}", self.dir))
    }

    /// Measures `work`, which does `ops` operations.
    pub fn window(&mut self, ops: u64, work: impl FnOnce(&Self)) {
        sys::rcu_barrier();
        let requests = self.requests();
        let switches = self.switches();
        let time = std::time::Instant::now();
        // SAFETY: reads the time stamp.
        let start = unsafe { _rdtsc() };
        mark!("1");
        work(self);
        mark!("2");
        // SAFETY: reads the time stamp.
        let ticks = unsafe { _rdtsc() } - start;
        let ns = time.elapsed().as_nanos();
        let switches = self.switches() - switches;
        let requests = self.requests() - requests;
        let cell = self.cell;
        self.report.line(&format!(
            "window {cell} {ops} {ticks} {ns} {requests} {switches}"
        ));
    }

    /// One window for each batch; `work` gets the number of operations done before.
    pub fn windows(&mut self, ops: u64, mut work: impl FnMut(&Self, u64)) {
        // What is done for the first time only is not measured.
        work(self, 0);
        for batch in 1..=self.batches {
            self.window(ops, |b| work(b, batch * ops));
        }
    }

    fn requests(&self) -> u64 {
        self.server
            .as_ref()
            .map_or(0, |s| s.tally().requests.load(Relaxed))
    }

    /// Context switches since the start.
    fn switches(&self) -> u64 {
        let mut text = [0; 8192];
        let n = self.statistics.read_at(&mut text, 0).unwrap_or(0);
        String::from_utf8_lossy(&text[..n])
            .lines()
            .find_map(|l| l.strip_prefix("ctxt ")?.parse().ok())
            .unwrap_or(0)
    }
}
