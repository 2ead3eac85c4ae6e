// SPDX-License-Identifier: GPL-2.0

//! BMAP: where a block of a file is on the block device.

use super::fuseblk::block_device;
use crate::mockd::*;

crate::tests![
    of_a_block,
    without_bmap,
    that_fails,
    of_a_block_too_far,
    without_a_block_device,
];

const FIBMAP: u64 = 1;

/// Mounts a block device with blocks of 1024 bytes, opens "f" in it as node 2 and runs `with` on it.
/// Returns the mount, and the process, which unmounts in the end.
fn with_block_device<T: Ship>(with: impl FnOnce(i32) -> T) -> (Fs, Caller<T>) {
    let (device, keep) = block_device();
    let mut fs = Setup::new()
        .on_block_device(&device)
        .option("blksize=1024")
        .start();
    drop(keep);
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let result = with(f);
        close(f).unwrap();
        umount(&m.path(""), 0).unwrap();
        result
    });
    fs.lookup(ROOT, "f", file(2).size(10_000));
    fs.open(2, 5, 0);
    fs.unmounted();
    (fs, c)
}

/// Answers what comes until the unmount.
fn end<T: Ship>(fs: Fs, c: Caller<T>) -> T {
    fs.flush(2, 5);
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            RELEASE | SYNCFS => r.reply(&[]),
            FORGET | BATCH_FORGET => (),
            DESTROY => break r.reply(&[]),
            _ => panic!("{r:?}"),
        }
    }
    c.wait()
}

/// FIBMAP asks the server, with the block size of the mount, and gives its answer.
fn of_a_block() {
    let (fs, c) = with_block_device(|f| ioctl_int(f, FIBMAP, 7));
    let r = fs.expect(BMAP).node(2);
    let expected = BmapIn {
        block: 7,
        blocksize: 1024,
        padding: 0,
    };
    assert_eq!(r.arg::<BmapIn>(), expected);
    r.ok(BmapOut { block: 4711 });
    assert_eq!(end(fs, c), Ok(4711));
}

/// A server that lacks BMAP is asked once; every block is nowhere then.
fn without_bmap() {
    let (fs, c) = with_block_device(|f| (ioctl_int(f, FIBMAP, 7), ioctl_int(f, FIBMAP, 8)));
    fs.expect(BMAP).err(ENOSYS);
    assert_eq!(end(fs, c), (Ok(0), Ok(0)));
}

/// A block that the server fails to find is nowhere; it is asked for the next.
fn that_fails() {
    let (fs, c) = with_block_device(|f| (ioctl_int(f, FIBMAP, 7), ioctl_int(f, FIBMAP, 8)));
    fs.expect(BMAP).err(EPERM);
    fs.expect(BMAP).ok(BmapOut { block: 1 });
    assert_eq!(end(fs, c), (Ok(0), Ok(1)));
}

/// A block whose number FIBMAP cannot express: ERANGE.
fn of_a_block_too_far() {
    let (fs, c) = with_block_device(|f| ioctl_int(f, FIBMAP, 7));
    fs.expect(BMAP).ok(BmapOut { block: u64::MAX });
    assert_eq!(end(fs, c), Err(ERANGE));
}

/// Without a block device there is nothing to ask for: every block is nowhere.
fn without_a_block_device() {
    let fs = Fs::new();
    let c = fs.call(|m| ioctl_int(m.open("f").unwrap(), FIBMAP, 7));
    fs.lookup(ROOT, "f", file(2).size(10_000));
    fs.open(2, 5, 0);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(0));
}
