// SPDX-License-Identifier: GPL-2.0

//! Mounts of block devices: the type fuseblk.

use crate::mockd::*;
use std::os::fd::OwnedFd;

crate::tests![
    destroy_is_the_last_request,
    no_destroy_before_init,
    block_sizes,
    shown_block_size,
    one_device_is_one_file_system,
    a_device_in_use_is_not_mounted_by_another,
    syncfs_asks_the_server,
    syncfs_without_it,
    remount_writes_first,
    remount_without_a_server,
    forced_unmount_frees_the_device,
    backing_device,
];

/// A block device of 1 MiB, and what keeps it.
pub(super) fn block_device() -> (String, OwnedFd) {
    let image = format!("{PLACE}/image");
    let fd = open(&image, libc::O_RDWR | libc::O_CREAT).unwrap();
    ftruncate(fd, 1 << 20).unwrap();
    close(fd).unwrap();
    loop_device(&image).unwrap()
}

/// The last column but two of /proc/self/mounts for `place`.
fn options(place: &str) -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let line = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(place));
    line.and_then(|line| line.split(' ').nth(3))
        .expect("a mount")
        .to_string()
}

/// Unmounts, while the server says goodbye.
#[track_caller]
fn end(fs: &mut Fs) {
    let c = fs.call(|m| umount(&m.path(""), 0));
    loop {
        let r = fs.dev().next();
        match r.head.opcode {
            DESTROY => break r.reply(&[]),
            _ => drop(forgotten(&r)),
        }
    }
    assert_eq!(c.wait(), Ok(()));
    fs.unmounted();
}

/// The unmount sends DESTROY and waits for the answer; then nothing comes any more, and the device is free.
fn destroy_is_the_last_request() {
    let (device, _keep) = block_device();
    for _ in 0..2 {
        let mut fs = Setup::new().on_block_device(&device).start();
        let c = fs.call(|m| umount(&m.path(""), 0));
        let r = fs.expect(DESTROY);
        assert_eq!((r.head.nodeid, r.body.len()), (0, 0));
        c.until_asleep();
        assert!(c.running());
        r.reply(&[]);
        assert_eq!(c.wait(), Ok(()));
        fs.unmounted();
        assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
    }
}

/// A server that has never answered INIT is not told to go.
fn no_destroy_before_init() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).mount();
    let _unanswered = fs.expect(INIT);
    umount(&fs.dir, libc::MNT_FORCE).unwrap();
    fs.unmounted();
    assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
}

/// Blocks have 512 bytes, or what blksize says: a power of two up to a page, or EINVAL.
fn block_sizes() {
    let (device, _keep) = block_device();
    for bytes in [0, 1, 256, 511, 1000, 8192, u32::MAX] {
        let dev = Device::open();
        let data = Setup::new()
            .option(&format!("blksize={bytes}"))
            .data(dev.fd());
        let result = mount(&device, &mount_point(), "fuseblk", 0, &data);
        assert_eq!(result, Err(EINVAL), "{bytes}");
    }
    for (option, bytes) in [
        ("", 512),
        ("blksize=512", 512),
        ("blksize=1024", 1024),
        ("blksize=4096", 4096),
    ] {
        let setup = Setup::new().on_block_device(&device);
        let mut fs = if option.is_empty() {
            setup
        } else {
            setup.option(option)
        }
        .start();
        let c = fs.call(|m| m.stat("f").map(|s| s.blksize));
        // A server that does not say how large blocks are leaves it to the mount.
        fs.lookup(ROOT, "f", file(2).with(|a| a.blksize = 0));
        assert_eq!(c.wait(), Ok(bytes), "{option}");
        end(&mut fs);
    }
}

/// The block size is shown unless it is 512.
fn shown_block_size() {
    let (device, _keep) = block_device();
    let common = "rw,nosuid,nodev,relatime,user_id=0,group_id=0";
    for (option, shown) in [
        ("allow_other", format!("{common},allow_other")),
        ("blksize=512", common.to_string()),
        ("blksize=1024", format!("{common},blksize=1024")),
        (
            "max_read=8192,blksize=4096,default_permissions",
            format!("{common},default_permissions,max_read=8192,blksize=4096"),
        ),
    ] {
        let mut fs = Setup::new().on_block_device(&device).option(option).start();
        assert_eq!(options(&fs.dir), shown);
        end(&mut fs);
    }
}

/// Mounting the device again gives the file system that is there: no option matters, and no server is needed.
fn one_device_is_one_file_system() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).start();
    let other = Device::open();
    for data in [
        String::new(),
        "user_id=7".to_string(),
        Setup::new().option("allow_other").data(other.fd()),
    ] {
        let again = mount_point();
        mount(&device, &again, "fuseblk", 0, &data).unwrap();
        let c: Caller<_> = Caller::start(&again, |m| m.stat("f").map(|s| s.ino));
        fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
        assert_eq!(c.wait(), Ok(2));
        assert!(options(&again).ends_with(",user_id=0,group_id=0"));
        umount(&again, 0).unwrap();
        while fs.dev().readable() {
            let _ = forgotten(&fs.dev().next());
        }
    }
    // The other server has not been taken.
    assert_eq!(other.read(1 << 17), Err(EPERM));
    end(&mut fs);
    // Now both are needed.
    let data = "user_id=0,group_id=0,rootmode=40000";
    assert_eq!(
        mount(&device, &mount_point(), "fuseblk", 0, data),
        Err(EINVAL)
    );
    let data = format!("fd={}", other.fd());
    assert_eq!(
        mount(&device, &mount_point(), "fuseblk", 0, &data),
        Err(EINVAL)
    );
}

/// While it is mounted nobody else gets the device for himself.
fn a_device_in_use_is_not_mounted_by_another() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).start();
    assert_eq!(open(&device, libc::O_RDONLY | libc::O_EXCL), Err(EBUSY));
    assert_eq!(mount(&device, &mount_point(), "ext4", 0, ""), Err(EBUSY));
    end(&mut fs);
    let fd = open(&device, libc::O_RDONLY | libc::O_EXCL).unwrap();
    close(fd).unwrap();
}

/// syncfs(2) asks the server by SYNCFS of the root, and passes its error on.
fn syncfs_asks_the_server() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).start();
    for result in [Ok(()), Err(ENOSPC), Ok(())] {
        let c = fs.call(|m| {
            let fd = open(&m.path(""), libc::O_PATH | libc::O_DIRECTORY).unwrap();
            let fd = openat(fd, ".", libc::O_RDONLY).unwrap();
            let result = syncfs(fd);
            close(fd).unwrap();
            result
        });
        fs.opendir(ROOT, 5);
        let r = fs.expect(SYNCFS).node(ROOT);
        match result {
            Ok(()) => r.reply(&[]),
            Err(e) => r.err(e),
        }
        fs.releasedir(ROOT, 5);
        assert_eq!(c.wait(), result);
    }
    end(&mut fs);
}

/// A server without SYNCFS is asked once.
fn syncfs_without_it() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).start();
    let c = fs.call(|m| {
        let fd = m.opendir("").unwrap();
        let result = (syncfs(fd), syncfs(fd));
        close(fd).unwrap();
        result
    });
    fs.opendir(ROOT, 5);
    fs.expect(SYNCFS).node(ROOT).err(ENOSYS);
    fs.releasedir(ROOT, 5);
    assert_eq!(c.wait(), (Ok(()), Ok(())));
    let c = fs.call(|m| umount(&m.path(""), 0));
    fs.expect(DESTROY).reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    fs.unmounted();
}

/// Remounts with these flags.
fn remount(m: &Side, flags: u64) -> Result<()> {
    mount("none", &m.path(""), "none", libc::MS_REMOUNT | flags, "")
}

/// A remount makes durable what there is before it takes effect.
fn remount_writes_first() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).start();
    let c = fs.call(|m| (remount(m, libc::MS_RDONLY), mkdir(&m.path("d"))));
    fs.expect(SYNCFS).node(ROOT).reply(&[]);
    let mut syncs = 0;
    loop {
        match fs.dev().next_within(ms(100)) {
            Some(r) if r.head.opcode == SYNCFS => {
                syncs += 1;
                r.reply(&[]);
            }
            Some(r) => r.node(ROOT).ok(absent(0, 0)),
            None if !c.running() => break,
            None => (),
        }
    }
    assert!(syncs < 4, "{syncs} more SYNCFS");
    assert_eq!(c.wait(), (Ok(()), Err(EROFS)));
    end(&mut fs);
}

/// That it cannot be made durable any more is no reason to refuse.
fn remount_without_a_server() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new().on_block_device(&device).start();
    fs.die();
    let c = fs.call(|m| remount(m, libc::MS_RDONLY));
    assert_eq!(c.wait(), Ok(()));
    assert!(options(&fs.dir).starts_with("ro,"), "{}", options(&fs.dir));
    fs.unmount();
}

/// After a forced unmount who mounts the device does not get the dead file system, though somebody is still in it: the
/// device is busy until he leaves, and then free.
fn forced_unmount_frees_the_device() {
    let (device, _keep) = block_device();
    let mut old = Setup::new().on_block_device(&device).start();
    let c = old.call(|m| {
        let fd = m.opendir("").unwrap();
        m.pause();
        close(fd)
    });
    old.opendir(ROOT, 5);
    c.paused();
    assert_eq!(umount(&old.dir, libc::MNT_FORCE), Err(EBUSY));
    umount(&old.dir, libc::MNT_DETACH).unwrap();
    old.unmounted();
    let dev = Device::open();
    let data = Setup::new().data(dev.fd());
    assert_eq!(
        mount(&device, &mount_point(), "fuseblk", 0, &data),
        Err(EBUSY)
    );
    c.go();
    assert_eq!(c.wait(), Ok(()));
    let mut new = Setup::new().on_block_device(&device).start();
    let d = new.call(|m| m.stat("f").map(|s| s.ino));
    new.lookup(ROOT, "f", file(2));
    assert_eq!(d.wait(), Ok(2));
    end(&mut new);
}

/// It has a backing device of its own beside that of the block device, with the limits of FUSE.
fn backing_device() {
    let (device, _keep) = block_device();
    let mut fs = Setup::new()
        .on_block_device(&device)
        .init(|i| i.max_readahead = 40_000)
        .start();
    let c = fs.call(|m| m.stat("f").map(|s| s.dev));
    fs.lookup(ROOT, "f", file(2));
    let dev = c.wait().unwrap();
    super::mount::check_backing_device(&format!("{}-fuseblk", super::mount::numbers(dev)), 36);
    end(&mut fs);
}
