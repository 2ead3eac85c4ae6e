// SPDX-License-Identifier: GPL-2.0

//! What the file must hold, and what of it must survive the loss of the file system.

/// The file in memory.
pub struct Model {
    /// As long as the file may become; what is behind its end is zero.
    bytes: Vec<u8>,
    size: usize,
    /// The file as it was when it was last synced.
    synced: Vec<u8>,
    synced_size: usize,
    /// What was changed since, byte by byte, and whether the size was.
    touched: Vec<bool>,
    resized: bool,
}

impl Model {
    /// An empty file, which was synced.
    pub fn new(max: usize) -> Self {
        Model {
            bytes: vec![0; max],
            size: 0,
            synced: vec![0; max],
            synced_size: 0,
            touched: vec![false; max],
            resized: false,
        }
    }

    pub fn max(&self) -> usize {
        self.bytes.len()
    }

    pub fn size(&self) -> usize {
        self.size
    }

    /// What a read of `len` bytes at `at` gives.
    pub fn read(&self, at: usize, len: usize) -> &[u8] {
        let end = self.size.min(at.saturating_add(len));
        &self.bytes[at.min(end)..end]
    }

    /// An operation that changes this range begins: from here on nobody knows.
    pub fn touch(&mut self, at: usize, len: usize) {
        self.touched[at..at + len].fill(true);
    }

    /// An operation that may change the size begins.
    pub fn touch_size(&mut self, new: usize) {
        if new != self.size {
            self.resized = true;
            let (low, high) = (self.size.min(new), self.size.max(new));
            self.touched[low..high].fill(true);
        }
    }

    pub fn write(&mut self, at: usize, data: &[u8]) {
        self.bytes[at..at + data.len()].copy_from_slice(data);
        self.size = self.size.max(at + data.len());
    }

    /// Zeroes what of the range is in the file.
    pub fn zero(&mut self, at: usize, len: usize) {
        let end = self.size.min(at + len);
        self.bytes[at.min(end)..end].fill(0);
    }

    pub fn resize(&mut self, size: usize) {
        if size < self.size {
            self.bytes[size..self.size].fill(0);
        }
        self.size = size;
    }

    /// The file has been synced.
    pub fn sync(&mut self) {
        self.synced.copy_from_slice(&self.bytes);
        self.synced_size = self.size;
        self.touched.fill(false);
        self.resized = false;
    }

    /// Compares what a new server shows with what must have survived; how many bytes that were.
    pub fn survived(&self, found: &[u8]) -> Result<usize, String> {
        if !self.resized && found.len() != self.synced_size {
            return Err(format!(
                "the size was synced as {}, and is {}",
                self.synced_size,
                found.len()
            ));
        }
        let mut kept = 0;
        for at in (0..self.synced_size).filter(|&at| !self.touched[at]) {
            match found.get(at) {
                Some(&byte) if byte == self.synced[at] => kept += 1,
                byte => {
                    let was = self.synced[at];
                    return Err(format!("at {at:#x} {was:#04x} was synced, and {byte:?} is"));
                }
            }
        }
        Ok(kept)
    }
}
