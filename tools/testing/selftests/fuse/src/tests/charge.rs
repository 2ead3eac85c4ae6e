// SPDX-License-Identifier: GPL-2.0

//! Memory cgroups: what a process can have the kernel pile up is on its own account.

use crate::mockd::*;

crate::tests![
    opened_files,
    files_opened_for_writing,
    opened_directories,
    polled_files,
    closed_files,
    found_names,
    opened_devices,
];

/// Of everything, so many.
const MANY: usize = 1500;

/// Lets a process have that many descriptors.
fn allow_descriptors(n: usize) {
    let limit = libc::rlimit {
        rlim_cur: n as u64,
        rlim_max: n as u64,
    };
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
}

/// What a server that likes everything answers; "1000" is node 1000.
fn answer(r: Request) {
    match r.head.opcode {
        LOOKUP => {
            let name = r.name();
            let node = match name.parse() {
                Ok(id) => file(id),
                Err(_) if name == "d" => dir(3),
                Err(_) => file(2),
            };
            r.ok(node.entry());
        }
        OPEN | OPENDIR => r.ok(OpenOut {
            fh: 5,
            open_flags: FOPEN_NOFLUSH,
            backing_id: 0,
        }),
        POLL => r.ok(PollOut {
            revents: libc::POLLIN as u32,
            padding: 0,
        }),
        GETXATTR => r.err(ENODATA),
        FLUSH | RELEASE | RELEASEDIR => r.reply(&[]),
        FORGET | BATCH_FORGET => (),
        _ => panic!("unexpected request: {r:?}"),
    }
}

/// Stops where the test looks at the account of the process.
fn pause_to_be_counted(m: &Side) {
    // The kernel adds an account up when it is read only if it has changed by many pages, and else every two seconds:
    // these come and go, and make it so.
    const ENOUGH: usize = 16 << 20;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE;
    Map::new(-1, ENOUGH, prot, flags).unwrap().unmap();
    m.pause();
}

/// Since there were `before` objects on nobody's account, nothing has come that there is one of for each.
#[track_caller]
fn none_of_nobody(before: &[(String, u64)]) {
    for (now, before) in objects_of_nobody().iter().zip(before) {
        // A processor takes some hundred at once.
        let more = now.1.saturating_sub(before.1);
        assert!(more < MANY as u64 / 2, "{more} more of {}", now.0);
    }
}

/// Bytes for each that a process in a cgroup of its own has on its account after it has done `what` many times, having
/// done `before`; nothing of it may be on nobody's account.
#[track_caller]
fn charged<T>(setup: Setup, before: impl FnOnce(&Side), what: impl Fn(&Side, usize) -> T) -> u64 {
    let group = Cgroup::new();
    let mut fs = setup.start();
    let mut c = fs.call(|m| {
        std::fs::write(group.procs(), "0").unwrap();
        allow_descriptors(3 * MANY);
        before(m);
        // What every first one makes.
        let _ = what(m, 0);
        pause_to_be_counted(m);
        for i in 1..=MANY {
            let _ = what(m, i);
        }
        pause_to_be_counted(m);
    });
    serve_until(fs.dev(), answer, || !c.running());
    c.paused();
    let (ours, nobodys) = (group.objects(), objects_of_nobody());
    c.go();
    serve_until(fs.dev(), answer, || !c.running());
    c.paused();
    let ours = group.objects().saturating_sub(ours);
    none_of_nobody(&nobodys);
    c.go();
    serve_until(fs.dev(), answer, || c.is_gone());
    fs.die();
    ours / MANY as u64
}

/// Opened files.
fn opened_files() {
    let elsewhere = charged(
        Setup::new(),
        |m| std::fs::write(format!("{}.file", m.path("")), "").unwrap(),
        |m, _| sys::open(&format!("{}.file", m.path("")), libc::O_RDONLY).unwrap(),
    );
    let here = charged(Setup::new(), |_| (), |m, _| m.open("f").unwrap());
    assert!(
        here > elsewhere + 16,
        "{here} bytes here, {elsewhere} elsewhere"
    );
}

/// Those that dirty pages may be written through.
fn files_opened_for_writing() {
    charged(
        Setup::new().flags(init::WRITEBACK_CACHE),
        |_| (),
        |m, _| sys::open(&m.path("f"), libc::O_RDWR).unwrap(),
    );
}

/// Opened directories.
fn opened_directories() {
    charged(Setup::new(), |_| (), |m, _| m.opendir("d").unwrap());
}

/// Files that are polled.
fn polled_files() {
    charged(
        Setup::new(),
        |_| (),
        |m, _| {
            let f = m.open("f").unwrap();
            assert_eq!(sys::poll(f, libc::POLLIN, 0), libc::POLLIN);
        },
    );
}

/// Files that are closed, but that the server does not release: what is kept for that.
fn closed_files() {
    let group = Cgroup::new();
    let mut fs = Setup::new().init(|out| out.max_background = 1).start();
    let c = fs.call(|m| {
        std::fs::write(group.procs(), "0").unwrap();
        let open_and_close = || close(m.open("f").unwrap()).unwrap();
        open_and_close();
        pause_to_be_counted(m);
        (0..MANY).for_each(|_| open_and_close());
        pause_to_be_counted(m);
    });
    let held = std::cell::RefCell::new(Vec::new());
    let hold = |r: Request| match r.head.opcode {
        RELEASE => held.borrow_mut().push(r),
        _ => answer(r),
    };
    serve_until(fs.dev(), hold, || !c.running());
    c.paused();
    let (ours, nobodys) = (group.objects(), objects_of_nobody());
    c.go();
    serve_until(fs.dev(), hold, || !c.running());
    c.paused();
    let ours = group.objects().saturating_sub(ours);
    none_of_nobody(&nobodys);
    held.borrow_mut().clear();
    fs.die();
    c.go();
    let each = ours / MANY as u64;
    // The requests themselves are on nobody's account, with C as well: they come from a slab of their own. What belongs
    // to each is small here.
    assert!(each > 8, "{each} bytes each");
}

/// Names and nodes that the kernel knows, and what it has to say when it forgets them.
fn found_names() {
    let each = charged(
        Setup::new(),
        |_| (),
        |m, i| m.stat(&(1000 + i).to_string()).unwrap(),
    );
    assert!(each > 600, "{each} bytes each");
}

/// Open devices that serve nothing yet.
fn opened_devices() {
    skip_on_c("open devices are on nobody's account");
    charged(
        Setup::new(),
        |_| (),
        |_, _| sys::open("/dev/fuse", libc::O_RDWR).unwrap(),
    );
}
