// SPDX-License-Identifier: GPL-2.0

//! Several devices that serve one connection, and the mount that waits for INIT.

use crate::mockd::*;

crate::tests![
    clone_serves_too,
    answer_through_the_device_that_read,
    clone_outlives_the_first,
    last_device_ends_the_connection,
    lost_with_its_device,
    clone_of_the_unmounted,
    clone_of_something_else,
    clone_twice,
    clone_by_a_program_of_32_bits,
    sync_init_waits_for_the_mount,
    sync_init_lets_all_wait_for_the_mount,
    sync_init_waits_are_interruptible,
    sync_init_writes_do_not_wait,
    sync_init_waits_for_the_answer,
    sync_init_killed,
    sync_init_of_a_mounted_device,
    sync_init_closed_instead_of_mounted,
];

const IOC_CLONE: libc::Ioctl = 0x8004_e500;
const IOC_SYNC_INIT: libc::Ioctl = 0xe503;

fn ioctl(dev: &Device, command: libc::Ioctl, arg: *const u32) -> Result<()> {
    // SAFETY: both commands read at most the one number that `arg` points to.
    match unsafe { libc::ioctl(dev.fd(), command, arg) } {
        0 => Ok(()),
        _ => Err(sys::errno()),
    }
}

/// Another device for the connection of `fd`.
pub fn clone_of(fd: i32) -> Result<Device> {
    let flags = libc::O_RDWR | libc::O_NONBLOCK;
    let dev = Device::from_fd(sys::open("/dev/fuse", flags)?);
    ioctl(&dev, IOC_CLONE, &(fd as u32))?;
    Ok(dev)
}

/// A clone reads requests and answers them like the device that was mounted.
fn clone_serves_too() {
    let fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let c = fs.call(|m| m.stat("f").map(drop));
    clone.expect(LOOKUP).err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A request is answered through the device that it was read from; elsewhere nobody knows it: ENOENT.
fn answer_through_the_device_that_read() {
    let fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = clone.expect(LOOKUP);
    assert_eq!(fs.dev().reply(r.unique(), -2, &[]), Err(ENOENT));
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// The connection lives as long as any of its devices is open.
fn clone_outlives_the_first() {
    let mut fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let c = fs.call(|m| {
        m.pause();
        m.stat("f").map(drop)
    });
    c.paused();
    fs.die();
    c.go();
    clone.expect(LOOKUP).err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    drop(clone);
}

/// When the last device is closed the connection ends.
fn last_device_ends_the_connection() {
    let mut fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let c = fs.call(|m| {
        m.pause();
        m.stat("f").map(drop)
    });
    c.paused();
    fs.die();
    drop(clone);
    c.go();
    assert_eq!(c.wait(), Err(ENOTCONN));
}

/// What a device has read and not answered is lost when it is closed: ECONNABORTED, though the connection lives.
fn lost_with_its_device() {
    let fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = clone.expect(LOOKUP);
    drop(r);
    drop(clone);
    assert_eq!(c.wait(), Err(ECONNABORTED));
    let c = fs.call(|m| m.stat("g").map(drop));
    fs.expect_lookup(ROOT, "g").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A device that is not mounted cannot be cloned: EPERM.
fn clone_of_the_unmounted() {
    let dev = Device::open();
    assert_eq!(clone_of(dev.fd()).map(drop), Err(EPERM));
}

/// Only a fuse device can be cloned: EINVAL; so for a descriptor that is not open.
fn clone_of_something_else() {
    let null = sys::open("/dev/null", libc::O_RDWR).unwrap();
    assert_eq!(clone_of(null).map(drop), Err(EINVAL));
    assert_eq!(clone_of(9999).map(drop), Err(EINVAL));
    assert_eq!(clone_of(-1).map(drop), Err(EINVAL));
}

/// A device serves one connection for life: EINVAL.
fn clone_twice() {
    let fs = Fs::new();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let fd = fs.dev().fd() as u32;
    assert_eq!(ioctl(&clone, IOC_CLONE, &fd), Err(EINVAL));
    assert_eq!(ioctl(fs.dev(), IOC_CLONE, &fd), Err(EINVAL));
}

/// The ioctls of the device are the same for programs of 32 bits.
fn clone_by_a_program_of_32_bits() {
    let fs = Fs::new();
    let clone = Device::open();
    let mut number = fs.dev().fd().to_ne_bytes();
    assert_eq!(ioctl_32(clone.fd(), IOC_CLONE as u32, &mut number), Ok(0));
    let c = fs.call(|m| m.stat("f").map(drop));
    clone.expect(LOOKUP).err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(
        ioctl_32(clone.fd(), IOC_CLONE as u32, &mut number),
        Err(EINVAL)
    );
    assert_eq!(
        ioctl_32(clone.fd(), IOC_SYNC_INIT as u32, &mut number),
        Err(EINVAL)
    );
    assert_eq!(ioctl_32(clone.fd(), 0xe5ff, &mut number), Err(ENOTTY));
}

/// With SYNC_INIT a read that comes before the mount waits for it.
fn sync_init_waits_for_the_mount() {
    let dev = Device::open();
    ioctl(&dev, IOC_SYNC_INIT, std::ptr::null()).unwrap();
    let path = mount_point();
    let data = Setup::new().data(dev.fd());
    let target = path.clone();
    let c = Caller::start_with_devices(&path, move |_| mount("mock", &target, "fuse", 0, &data));
    dev.expect(INIT).ok(Setup::new().init_out());
    assert_eq!(c.wait(), Ok(()));
    umount(&path, 0).unwrap();
}

/// So do poll, a request for SIGIO, and a clone of the device: all that needs to know the connection.
fn sync_init_lets_all_wait_for_the_mount() {
    let dev = Device::open();
    ioctl(&dev, IOC_SYNC_INIT, std::ptr::null()).unwrap();
    let fd = dev.fd();
    let path = mount_point();
    let poller = Caller::start_with_devices(&path, |_| {
        poll(fd, libc::POLLIN, patience()) as u32 & libc::POLLIN as u32
    });
    let asker = Caller::start_with_devices(&path, |_| {
        // What it asks for comes with INIT, maybe before it has ended.
        ignore(libc::SIGIO);
        async_io(fd)
    });
    let cloner = Caller::start_with_devices(&path, |_| clone_of(fd).map(drop));
    for c in [&asker, &cloner] {
        c.stays_asleep();
    }
    poller.stays_asleep();
    mount_in_background(&dev, &path, || {
        assert_eq!(poller.wait(), libc::POLLIN as u32);
        assert_eq!((asker.wait(), cloner.wait()), (Ok(()), Ok(())));
    });
    umount(&path, 0).unwrap();
}

/// Mounts `dev` in a process of its own; `meanwhile` runs before INIT is read and answered.
fn mount_in_background(dev: &Device, path: &str, meanwhile: impl FnOnce()) {
    let data = Setup::new().data(dev.fd());
    let target = path.to_string();
    let c = Caller::start_with_devices(path, move |_| mount("mock", &target, "fuse", 0, &data));
    meanwhile();
    dev.expect(INIT).ok(Setup::new().init_out());
    assert_eq!(c.wait(), Ok(()));
}

/// Who waits for the mount can be interrupted; poll says error then. Nothing of it is left for the mount.
fn sync_init_waits_are_interruptible() {
    let dev = Device::open();
    ioctl(&dev, IOC_SYNC_INIT, std::ptr::null()).unwrap();
    let fd = dev.fd();
    let path = mount_point();
    let waits: [fn(i32) -> Result<()>; 3] = [
        |fd| read(fd, 1 << 17).map(drop),
        |fd| async_io(fd),
        |fd| clone_of(fd).map(drop),
    ];
    for wait in waits {
        let c = Caller::start_with_devices(&path, |_| {
            catch(libc::SIGUSR1);
            wait(fd)
        });
        c.until_interruptible();
        c.signal(libc::SIGUSR1);
        assert_eq!(c.wait(), Err(EINTR));
    }
    let c = Caller::start_with_devices(&path, |_| {
        catch(libc::SIGUSR1);
        poll(fd, libc::POLLIN, patience()) as u32
    });
    c.until_interruptible();
    c.signal(libc::SIGUSR1);
    assert_eq!(c.wait(), libc::POLLERR as u32);
    mount_in_background(&dev, &path, || ());
    umount(&path, 0).unwrap();
}

/// Before the mount there is nothing to answer: a write does not wait, but says EPERM.
fn sync_init_writes_do_not_wait() {
    let dev = Device::open();
    ioctl(&dev, IOC_SYNC_INIT, std::ptr::null()).unwrap();
    assert_eq!(dev.write(&[0; 16]), Err(EPERM));
}

/// With SYNC_INIT the mount returns when INIT is answered, not before.
fn sync_init_waits_for_the_answer() {
    let dev = Device::open();
    ioctl(&dev, IOC_SYNC_INIT, std::ptr::null()).unwrap();
    let path = mount_point();
    let data = Setup::new().data(dev.fd());
    let target = path.clone();
    let c = Caller::start_with_devices(&path, move |_| mount("mock", &target, "fuse", 0, &data));
    let init = dev.expect(INIT);
    c.stays_asleep();
    init.ok(Setup::new().init_out());
    assert_eq!(c.wait(), Ok(()));
    umount(&path, 0).unwrap();
}

/// A mount that is killed while it waits ends the connection.
fn sync_init_killed() {
    let dev = Device::open();
    ioctl(&dev, IOC_SYNC_INIT, std::ptr::null()).unwrap();
    let path = mount_point();
    let data = Setup::new().data(dev.fd());
    let target = path.clone();
    let mut c =
        Caller::start_with_devices(&path, move |_| mount("mock", &target, "fuse", 0, &data));
    let init = dev.expect(INIT);
    c.signal(libc::SIGKILL);
    let _ = c.death();
    assert_eq!(
        init.try_reply(&Setup::new().init_out().bytes()),
        Err(ENOENT)
    );
    assert_eq!(dev.read(1 << 17), Err(ENODEV));
}

/// SYNC_INIT comes before the mount: EINVAL after it.
fn sync_init_of_a_mounted_device() {
    let fs = Fs::new();
    assert_eq!(
        ioctl(fs.dev(), IOC_SYNC_INIT, std::ptr::null()),
        Err(EINVAL)
    );
}

/// A device that was opened for signals, and that waits for its mount, can be closed without one.
fn sync_init_closed_instead_of_mounted() {
    skip_on_c("to close it waits for the mount");
    let fd = sys::open("/dev/fuse", libc::O_RDWR | libc::O_ASYNC).unwrap();
    sys::ioctl(fd, IOC_SYNC_INIT).unwrap();
    assert_eq!(sys::close(fd), Ok(()));
}
