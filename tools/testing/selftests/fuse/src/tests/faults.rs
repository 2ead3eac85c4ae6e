// SPDX-License-Identifier: GPL-2.0

//! Memory that is not there: each allocation of each operation fails once, on the caller's side, on the server's, and
//! of the mount.
//!
//! What fails may fail with any error. The law is that the call comes back, that the next one works, and that neither a
//! request nor memory is left. Needs a kernel that can make allocations fail (`CONFIG_FAILSLAB`).

use super::clone::clone_of;
use super::control::Control;
use super::cuse;
use crate::harness::skip;
use crate::mockd::crowd;
use crate::mockd::*;

crate::tests![
    of_each_operation,
    of_each_operation_with_everything,
    of_a_server,
    of_a_mount,
    of_a_device,
    of_a_character_device,
    of_users_of_a_character_device,
    of_anybody,
];

const FAILSLAB: &str = "/sys/kernel/debug/failslab";
const STOP: &str = "/mnt/stop";

/// Allocations may fail from now on, of those processes which ask for it, until this is dropped.
struct Faults;

impl Faults {
    fn enable() -> Self {
        if stat(FAILSLAB).is_err() {
            skip("this kernel cannot make allocations fail");
        }
        for (name, value) in [
            ("ignore-gfp-wait", "N"),
            ("verbose", "0"),
            ("task-filter", "Y"),
            ("probability", "0"),
            ("times", "-1"),
        ] {
            Self::set(name, value);
        }
        Faults
    }

    fn set(name: &str, value: &str) {
        std::fs::write(format!("{FAILSLAB}/{name}"), value).expect(name);
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        Self::set("probability", "0");
        Self::set("ignore-gfp-wait", "Y");
    }
}

/// Makes one allocation of this thread fail.
struct Nth(i32);

impl Nth {
    fn new() -> Self {
        Nth(sys::open("/proc/thread-self/fail-nth", libc::O_RDWR).expect("fail-nth"))
    }

    /// Runs `f`, whose allocation number `n` fails. Whether there was one.
    fn fails<T>(&self, n: u32, f: impl FnOnce() -> T) -> (T, bool) {
        self.set(n);
        let result = f();
        // Before anything else allocates.
        let left = pread(self.0, 16, 0).unwrap();
        self.set(0);
        (result, left == b"0\n")
    }

    fn set(&self, n: u32) {
        let mut text = [0u8; 12];
        let len = {
            let mut rest = &mut text[..];
            std::io::Write::write_fmt(&mut rest, format_args!("{n}")).unwrap();
            12 - rest.len()
        };
        pwrite(self.0, &text[..len], 0).expect("fail-nth");
    }
}

/// A process that serves as the model says until the connection ends, and where allocations fail if `faulty`.
fn serve(fs: &Fs, model: Model, faulty: bool) -> Caller<()> {
    let fd = fs.dev().fd();
    Caller::start_with_devices(&fs.dir, |_| {
        set_nonblock(fd, false);
        if faulty {
            make_it_fail();
        }
        loop {
            let bytes = match read(fd, 1 << 17) {
                Ok(bytes) => bytes,
                Err(ENODEV | ECONNABORTED) => return,
                Err(_) => continue,
            };
            if let Some(reply) = model.reply_to(&bytes) {
                while write(fd, &reply) == Err(ENOMEM) {}
            }
        }
    })
}

/// Allocations of this process fail from now on, as often as is set.
fn make_it_fail() {
    std::fs::write("/proc/self/make-it-fail", "1").unwrap();
}

type Act = fn(&Side) -> Result<()>;

fn with_file(m: &Side, flags: i32, f: impl FnOnce(i32) -> Result<()>) -> Result<()> {
    let fd = sys::open(&m.path("f1"), flags)?;
    let result = f(fd);
    close(fd)?;
    result
}

/// What a caller can ask for; all of it succeeds with the model.
const ACTS: &[(&str, Act)] = &[
    ("stat", |m| m.stat("f1").map(drop)),
    ("stat of nothing", |m| match m.stat("nothing") {
        Err(ENOENT) => Ok(()),
        other => other.map(drop),
    }),
    ("stat in a directory", |m| m.stat("d1/f1").map(drop)),
    ("statx", |m| statx_btime(&m.path("f1")).map(drop)),
    ("access", |m| m.access("f1", libc::R_OK)),
    ("statfs", |m| m.statfs("f1").map(drop)),
    ("readlink", |m| m.readlink("l1").map(drop)),
    ("readdir", |m| {
        let fd = m.opendir("d1")?;
        let result = getdents(fd, 4096).and_then(|_| getdents(fd, 4096));
        close(fd)?;
        result.map(drop)
    }),
    ("fsyncdir", |m| {
        let fd = m.opendir("d1")?;
        let result = fsync(fd);
        close(fd)?;
        result
    }),
    ("mkdir", |m| mkdir(&m.path("new"))),
    ("rmdir", |m| rmdir(&m.path("d5"))),
    ("mknod", |m| mknod(&m.path("new"), libc::S_IFREG | 0o600)),
    ("unlink", |m| unlink(&m.path("f5"))),
    ("create", |m| {
        close(sys::open(&m.path("new"), libc::O_RDWR | libc::O_CREAT)?)
    }),
    ("tmpfile", |m| {
        close(sys::open(&m.path(""), libc::O_RDWR | libc::O_TMPFILE)?)
    }),
    ("symlink", |m| symlink("f1", &m.path("new"))),
    ("link", |m| link(&m.path("f1"), &m.path("new"))),
    ("rename", |m| rename(&m.path("f1"), &m.path("new"))),
    ("chmod", |m| chmod(&m.path("f1"), 0o600)),
    ("xattr", |m| {
        setxattr(&m.path("f1"), "user.a", b"value")?;
        getxattr(&m.path("f1"), "user.a")?;
        listxattr(&m.path("f1"))?;
        removexattr(&m.path("f1"), "user.a")
    }),
    ("read", |m| {
        with_file(m, libc::O_RDONLY, |fd| pread(fd, 20_000, 0).map(drop))
    }),
    ("direct read", |m| {
        with_file(m, libc::O_RDONLY | libc::O_DIRECT, |fd| {
            pread(fd, 20_000, 0).map(drop)
        })
    }),
    ("mapped read", |m| {
        with_file(m, libc::O_RDONLY, |fd| {
            let map = Map::new(fd, 8192, libc::PROT_READ, libc::MAP_SHARED)?;
            // A page that cannot be read is an error of this, not a signal.
            let result = sys::open(crowd::SCRATCH, libc::O_RDWR | libc::O_CREAT).and_then(|to| {
                let result = map.write_to(to, 0, 8192);
                close(to)?;
                result
            });
            map.unmap();
            result.map(drop)
        })
    }),
    ("write", |m| {
        with_file(m, libc::O_RDWR, |fd| {
            pwrite(fd, &[7; 10_000], 100).map(drop)
        })
    }),
    ("direct write", |m| {
        with_file(m, libc::O_RDWR | libc::O_DIRECT, |fd| {
            pwrite(fd, &[7; 10_000], 0).map(drop)
        })
    }),
    ("truncating open", |m| {
        with_file(m, libc::O_RDWR | libc::O_TRUNC, |_| Ok(()))
    }),
    ("fsync", |m| {
        with_file(m, libc::O_RDWR, |fd| {
            pwrite(fd, &[7; 100], 0)?;
            fsync(fd)
        })
    }),
    ("ftruncate", |m| {
        with_file(m, libc::O_RDWR, |fd| ftruncate(fd, FILE_SIZE as i64))
    }),
    ("fallocate", |m| {
        with_file(m, libc::O_RDWR, |fd| fallocate(fd, 4096))
    }),
    ("lseek", |m| {
        with_file(m, libc::O_RDONLY, |fd| {
            lseek(fd, 0, libc::SEEK_DATA).map(drop)
        })
    }),
    ("locks", |m| {
        with_file(m, libc::O_RDWR, |fd| {
            fcntl_lock(fd, libc::F_SETLK, lock(libc::F_WRLCK, 0, 10))?;
            fcntl_lock(fd, libc::F_GETLK, lock(libc::F_WRLCK, 0, 10))?;
            flock(fd, libc::LOCK_SH)
        })
    }),
    ("ioctl", |m| {
        with_file(m, libc::O_RDWR, |fd| {
            ioctl_on(fd, 0xc010_7801, &mut [0; 16]).map(drop)
        })
    }),
    ("attributes", |m| {
        with_file(m, libc::O_RDONLY, |fd| {
            ioctl_on(fd, 0x8008_6601, &mut [0; 8]).map(drop)
        })
    }),
    ("poll", |m| {
        with_file(m, libc::O_RDONLY, |fd| {
            poll(fd, libc::POLLIN, 0);
            Ok(())
        })
    }),
    ("copy", |m| {
        with_file(m, libc::O_RDONLY, |from| {
            let to = sys::open(&m.path("f2"), libc::O_RDWR)?;
            let result = copy_file_range((from, 0), (to, 0), 5000);
            close(to)?;
            result.map(drop)
        })
    }),
    ("asynchronous read", |m| {
        with_file(m, libc::O_RDONLY | libc::O_DIRECT, |fd| {
            let mut aio = Aio::try_new()?;
            aio.read(fd, 8192, 0)?;
            aio.wait().0.map(drop)
        })
    }),
];

/// The model's server, on a mount where nothing is believed; what `f` finds with it. Nothing is left afterwards.
fn with_model<T: Ship>(setup: Setup, model: Model, f: impl FnOnce(&Side) -> T) -> T {
    let ctl = Control::new();
    let mut fs = setup.start();
    let mut server = serve(&fs, model, false);
    let c = fs.call(f);
    // The test's time is its limit.
    while poll(c.done(), libc::POLLIN, 1000) == 0 {}
    let result = c.wait();
    soon(patience(), "requests are left", || {
        ctl.get(&fs, "waiting") == Ok("0\n".into())
    });
    drop(c);
    fs.unmount_when_free();
    fs.die();
    server.death();
    result
}

const NOTHING_BELIEVED: Model = Model {
    entry_valid: 0,
    attr_valid: 0,
    open_flags: 0,
};

/// Most allocations that one act may make.
const MOST: u32 = 400;

/// Fails each allocation of each act in turn, until the act gets through; then it must have succeeded.
fn fail_each(m: &Side) -> u64 {
    let nth = Nth::new();
    let mut failed = 0;
    let mut wrong = Vec::new();
    for (what, act) in ACTS {
        let mut n = 1;
        loop {
            let (result, injected) = nth.fails(n, || act(m));
            if !injected {
                if let Err(e) = result {
                    wrong.push(format!("{what}: {e:?} after {} failed allocations", n - 1));
                }
                break;
            }
            failed += 1;
            n += 1;
            assert!(n < MOST, "{what} does not end");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    failed
}

/// Whichever allocation fails, the call comes back, and the next one is as if nothing had happened.
fn of_each_operation() {
    let _faults = Faults::enable();
    let failed = with_model(Setup::new(), NOTHING_BELIEVED, fail_each);
    assert!(failed > ACTS.len() as u64, "{failed} allocations failed");
}

/// The same with what INIT can add to it: write-back, READDIRPLUS, ACLs, large requests, cached links.
fn of_each_operation_with_everything() {
    let _faults = Faults::enable();
    let setup = Setup::new()
        .flags(
            init::WRITEBACK_CACHE
                | init::DO_READDIRPLUS
                | init::PARALLEL_DIROPS
                | init::POSIX_ACL
                | init::POSIX_LOCKS
                | init::FLOCK_LOCKS
                | init::BIG_WRITES
                | init::MAX_PAGES
                | init::ASYNC_READ
                | init::ASYNC_DIO
                | init::CACHE_SYMLINKS,
        )
        .init(|i| {
            i.max_pages = 64;
            i.max_readahead = 1 << 16;
        });
    with_model(setup, NOTHING_BELIEVED, fail_each);
}

/// A server whose reads, answers and notifications run out of memory serves on.
fn of_a_server() {
    let _faults = Faults::enable();
    let fs = Setup::new()
        .flags(init::ASYNC_READ | init::ASYNC_DIO)
        .init(|i| i.max_readahead = 1 << 16)
        .start();
    let nth = Nth::new();
    let model = NOTHING_BELIEVED;
    let mut c = fs.call(|m| {
        for _ in 0..3 {
            // What the notifications are about: not what the server still has to answer for.
            let _ = m.stat("f3");
            for (_, act) in ACTS {
                let _ = act(m);
            }
        }
    });
    let words = |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|w| w.to_ne_bytes()).collect() };
    let store = [words(&[FILES | 3, 100, 5000]), vec![7; 5000]].concat();
    let notifications = [
        (2, words(&[FILES | 3, 0, 0])),
        (4, store),
        (5, words(&[99, FILES | 3, 0, 10_000])),
        (7, Vec::new()),
        (8, Vec::new()),
        (9, words(&[1, 0, FILES | 3])),
    ];
    let (mut n, mut count) = (0u32, 0usize);
    while !c.is_gone() {
        n = n % 7 + 1;
        let (bytes, _) = nth.fails(n, || fs.dev().read(1 << 17));
        let Ok(bytes) = bytes else {
            poll(fs.dev().fd(), libc::POLLIN, 1);
            continue;
        };
        let (code, body) = &notifications[count % notifications.len()];
        count += 1;
        let _ = nth.fails(n, || fs.dev().reply(0, *code, body));
        let Some(reply) = model.reply_to(&bytes) else {
            continue;
        };
        let (sent, _) = nth.fails(n, || fs.dev().write(&reply));
        // The caller may have gone meanwhile.
        if sent != Err(ENOENT) && sent != Ok(reply.len()) {
            let what = opcode_name(InHeader::from_bytes(&bytes).opcode);
            assert_eq!(sent, Err(ENOMEM), "{what}");
            assert_eq!(fs.dev().write(&reply), Ok(reply.len()), "{what}");
        }
    }
    while fs.dev().readable() {
        let r = fs.dev().next();
        if !matches!(r.head.opcode, FORGET | BATCH_FORGET | NOTIFY_REPLY) {
            let _ = r.try_reply(&[]);
        }
    }
}

/// A mount that runs out of memory fails and leaves nothing; the next one works, on the same device if that was not
/// taken.
fn of_a_mount() {
    let _faults = Faults::enable();
    let nth = Nth::new();
    let dir = mount_point();
    let mut n = 1;
    loop {
        let dev = Device::open();
        let data = Setup::new().data(dev.fd());
        let (mounted, injected) = nth.fails(n, || mount("mock", &dir, "fuse", 0, &data));
        if mounted.is_ok() {
            let r = dev.expect(INIT);
            // The answer may fail, too.
            let (answered, _) = nth.fails(n, || r.try_reply(&Setup::new().init_out().bytes()));
            if answered.is_err() {
                let _ = r.try_reply(&Setup::new().init_out().bytes());
            }
            let (unmounted, _) = nth.fails(n, || umount(&dir, 0));
            if unmounted.is_err() {
                umount(&dir, 0).unwrap();
            }
        }
        if !injected {
            assert_eq!(mounted, Ok(()));
            return;
        }
        n += 1;
        assert!(n < MOST, "the mount does not end");
    }
}

/// A device that cannot be opened or cloned leaves nothing.
fn of_a_device() {
    let _faults = Faults::enable();
    let nth = Nth::new();
    let fs = Fs::new();
    for n in 1.. {
        let (opened, injected) = nth.fails(n, || sys::open("/dev/fuse", libc::O_RDWR));
        if let Ok(fd) = opened {
            close(fd).unwrap();
        }
        if !injected {
            break;
        }
        assert!(n < MOST);
    }
    for n in 1.. {
        let (cloned, injected) = nth.fails(n, || clone_of(fs.dev().fd()).map(drop));
        if !injected {
            assert_eq!(cloned, Ok(()));
            break;
        }
        assert!(n < MOST);
    }
}

/// A server of a character device that runs out of memory gets none, or one that works, and leaves nothing.
fn of_a_character_device() {
    let _faults = Faults::enable();
    let nth = Nth::new();
    let gone = |file: &str| stat(file).map(drop) == Err(ENOENT);
    for n in 1.. {
        let (opened, open_injected) = nth.fails(n, cuse::open_server_fd);
        let mut injected = open_injected;
        if let Ok(fd) = opened {
            let dev = Device::from_fd(fd);
            let r = dev.expect(CUSE_INIT);
            let body = cuse::answer_to_init();
            let (answered, answer_injected) = nth.fails(n, || r.try_reply(&body));
            injected |= answer_injected;
            if !injected {
                assert_eq!(answered, Ok(()));
                assert!(!gone("/dev/mock"));
            }
        }
        assert!(gone("/dev/mock") && gone("/sys/class/cuse/mock"));
        if !injected {
            return;
        }
        assert!(n < MOST, "the answer does not end");
    }
}

/// Whoever uses a character device and runs out of memory gets an error; the next one does not.
fn of_users_of_a_character_device() {
    let _faults = Faults::enable();
    let nth = Nth::new();
    let dev = Device::from_fd(cuse::open_server_fd().unwrap());
    dev.expect(CUSE_INIT).reply(&cuse::answer_to_init());
    let fd = dev.fd();
    let server = Caller::start_with_devices("", |_| {
        set_nonblock(fd, false);
        while let Ok(request) = read(fd, 1 << 17) {
            let _ = write(fd, &cuse::answer_to(&request));
        }
    });
    let acts: [fn(i32) -> Result<()>; 4] = [
        |fd| read(fd, 10_000).map(drop),
        |fd| write(fd, &[0; 10_000]).map(drop),
        |fd| {
            let mut memory = [0u8; 8];
            ioctl_number(fd, 1, memory.as_mut_ptr() as usize).map(drop)
        },
        |fd| match poll(fd, libc::POLLIN, 0) {
            libc::POLLIN => Ok(()),
            _ => Err(EIO),
        },
    ];
    for (at, act) in acts.into_iter().enumerate() {
        for n in 1.. {
            let (result, injected) = nth.fails(n, || {
                let fd = sys::open("/dev/mock", libc::O_RDWR)?;
                let result = act(fd);
                close(fd)?;
                result
            });
            if !injected {
                assert_eq!(result, Ok(()), "act {at}");
                break;
            }
            assert!(n < MOST, "act {at} does not end");
        }
    }
    std::fs::write("/sys/class/cuse/mock/abort", "1").unwrap();
    server.wait();
}

/// Callers and servers that all run out of memory now and then come to an end.
fn of_anybody() {
    let _faults = Faults::enable();
    let ctl = Control::new();
    let mut fs = Setup::new()
        .flags(init::PARALLEL_DIROPS | init::ASYNC_READ | init::WRITEBACK_CACHE)
        .init(|i| i.max_readahead = 1 << 16)
        .start();
    let servers: Vec<_> = (0..3).map(|_| serve(&fs, NOTHING_BELIEVED, true)).collect();
    let mut callers: Vec<_> = (0..6)
        .map(|player| {
            fs.call(|m| {
                let mut dice = Dice::new(player);
                make_it_fail();
                while access(STOP, libc::F_OK) == Err(ENOENT) {
                    crowd::act(m, &mut dice);
                }
            })
        })
        .collect();
    Faults::set("probability", "5");
    sleep_ms(ms(1000) as u64);
    Faults::set("probability", "0");
    std::fs::write(STOP, "").unwrap();
    soon(2 * patience(), "callers or requests are left", || {
        callers.iter_mut().all(Caller::is_gone) && ctl.get(&fs, "waiting") == Ok("0\n".into())
    });
    fs.unmount_when_free();
    fs.die();
    for mut server in servers {
        server.death();
    }
}
