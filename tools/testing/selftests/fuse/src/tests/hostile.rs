// SPDX-License-Identifier: GPL-2.0

//! A server that says whatever comes to its mind, by dice: 20 000 messages that are wrong in their lengths, ids, codes,
//! errors, names, sizes, offsets and counts, while callers go on using the file system.
//!
//! What the kernel makes of each is its own affair. The law is that the callers come back, that no request, inode or
//! memory is left, and that the kernel's log has nothing to say. `bad_server` has the messages one by one, with what
//! each must lead to.

use super::control::Control;
use crate::mockd::crowd;
use crate::mockd::*;
use std::time::Instant;

crate::tests![
    answers,
    answers_about_directories,
    answers_to_writes_behind,
    answers_about_access,
    answers_past_the_cache,
    answers_to_init,
];

/// Bad messages of each of the first five tests.
const MESSAGES: u64 = 4000;
/// Processes that use the file system.
const CALLERS: u64 = 5;
/// Processes that answer.
const ANSWERERS: u64 = 4;
/// What each of the processes that answer sends, and the one that notifies.
const SHARE: u64 = MESSAGES / (ANSWERERS + 1);

const STOP: &str = "/mnt/stop";

/// Numbers at which something ends.
const EDGES: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    39,
    40,
    127,
    128,
    255,
    256,
    511,
    512,
    1000,
    1023,
    1024,
    1025,
    4072,
    4095,
    4096,
    4097,
    8191,
    8192,
    65_535,
    65_536,
    131_072,
    131_073,
    1 << 20,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_f000,
    0xffff_ffff,
    1 << 32,
    1 << 40,
    (1 << 63) - 4096,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 4095,
    u64::MAX - 1,
    u64::MAX,
];

fn edge(dice: &mut Dice) -> u64 {
    match dice.below(4) {
        0 => dice.any(),
        1 => dice.any() >> dice.below(64),
        _ => dice.one_of(EDGES),
    }
}

/// A node: mostly one that there is.
fn node(dice: &mut Dice) -> u64 {
    match dice.below(8) {
        0 => edge(dice),
        1 => ROOT,
        2 | 3 => DIRECTORIES | dice.below(6),
        4 => LINKS | dice.below(6),
        _ => FILES | dice.below(6),
    }
}

/// A name: mostly one that there is.
fn name(dice: &mut Dice) -> Vec<u8> {
    match dice.below(10) {
        0 => Vec::new(),
        1 => vec![b'n'; dice.one_of(&[255, 256, 1023, 1024, 1025, 4095, 4096, 5000])],
        2 => b"f/0".to_vec(),
        3 => b"f\x000".to_vec(),
        4 => dice.one_of(&[".", ".."]).into(),
        5 => {
            let len = dice.index(20);
            dice.bytes(len)
        }
        _ => format!("{}{}", dice.one_of(&["f", "d", "l"]), dice.below(6)).into(),
    }
}

/// Puts a number of this many bytes somewhere it fits.
fn poke(dice: &mut Dice, bytes: &mut [u8]) {
    let width = dice.one_of(&[2, 4, 8]);
    if bytes.len() < width {
        return;
    }
    // Fields are aligned, and most of them are near the start.
    let reach = if dice.once_in(4) {
        bytes.len()
    } else {
        bytes.len().min(160)
    };
    let at = dice.index(reach - width + 1) / width * width;
    let value = edge(dice).to_ne_bytes();
    bytes[at..at + width].copy_from_slice(&value[..width]);
}

/// Makes a body something else.
fn spoil(dice: &mut Dice, body: &mut Vec<u8>) {
    match dice.below(8) {
        0 => body.truncate(dice.index(body.len() + 1)),
        1 => {
            let more = dice.one_of(&[1, 8, 16, 100, 4096, 70_000]);
            let more = dice.bytes(more);
            body.extend(more);
        }
        2 => {
            let len = body.len();
            *body = dice.bytes(len);
        }
        _ => (0..=dice.below(4)).for_each(|_| poke(dice, body)),
    }
}

/// Entries of a directory that no file system has.
fn entries(dice: &mut Dice, size: usize, plus: bool) -> Vec<u8> {
    let mut out = Dirents::new();
    while out.0.len() < size && !dice.once_in(20) {
        let (ino, off, name) = (node(dice), edge(dice), name(dice));
        if plus {
            let mut entry = dir(ino).entry().bytes();
            if dice.once_in(2) {
                spoil(dice, &mut entry);
            }
            out.0.extend(entry);
        }
        out = match dice.below(3) {
            0 => out.add_claiming(edge(dice) as u32, off, &name),
            _ => out.add(ino, off, dice.below(20) as u8, name),
        };
    }
    if !dice.once_in(3) {
        out.0.truncate(size);
    }
    out.0
}

/// A message to the device.
fn message(len: u64, error: i32, unique: u64, body: &[u8]) -> Vec<u8> {
    let head = OutHeader {
        len: len as u32,
        error,
        unique,
    };
    [&head.bytes()[..], body].concat()
}

fn well(error: i32, unique: u64, body: &[u8]) -> Vec<u8> {
    message((OUT_HEADER + body.len()) as u64, error, unique, body)
}

/// A bad answer to a request.
fn bad(dice: &mut Dice, model: &Model, head: &InHeader, body: &[u8]) -> Vec<u8> {
    let unique = head.unique;
    let mut answer = match model.answer(head, body) {
        Some(Ok(answer)) => answer,
        _ => {
            let len = dice.one_of(&[0, 8, 128, 144]);
            dice.bytes(len)
        }
    };
    if matches!(head.opcode, READDIR | READDIRPLUS) && !dice.once_in(4) {
        let size = ReadIn::from_bytes(body).size as usize;
        answer = entries(dice, size, head.opcode == READDIRPLUS);
        return well(0, unique, &answer);
    }
    match dice.below(12) {
        // The header is wrong.
        0 => message(edge(dice), 0, unique, &answer),
        1 => well(edge(dice) as i32, unique, &answer),
        2 => well(-(dice.below(600) as i32), unique, &[]),
        // The id is that of something else: an INTERRUPT, a notification, another request, what was sent again.
        3 => {
            let id = match dice.below(5) {
                0 => 0,
                1 => unique ^ 1,
                2 => unique ^ (1 << 63),
                3 => unique.wrapping_add(2 * dice.below(5)).wrapping_sub(4),
                _ => edge(dice),
            };
            let error = match dice.below(3) {
                0 => 0,
                1 => dice.below(12) as i32,
                _ => -(dice.below(40) as i32),
            };
            if dice.once_in(2) {
                answer.clear();
            }
            well(error, id, &answer)
        }
        4 => {
            let len = dice.index(OUT_HEADER + 1);
            dice.bytes(len)
        }
        _ => {
            spoil(dice, &mut answer);
            well(0, unique, &answer)
        }
    }
}

/// A notification, right or wrong.
fn notification(dice: &mut Dice) -> Vec<u8> {
    use crate::mockd::notice::DELETE;
    use crate::mockd::notice::INVAL_ENTRY;
    use crate::mockd::notice::INVAL_INODE;
    use crate::mockd::notice::POLL;
    use crate::mockd::notice::PRUNE;
    use crate::mockd::notice::RETRIEVE;
    use crate::mockd::notice::STORE;
    let code = dice.below(10) as i32;
    let words = |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|w| w.to_ne_bytes()).collect() };
    let pair = |low: u64, high: u64| (low & 0xffff_ffff) | (high << 32);
    let mut name = name(dice);
    // Mostly the truth.
    let truth = |n: usize, dice: &mut Dice| match dice.below(4) {
        0 => edge(dice),
        _ => n as u64,
    };
    let mut body = match code {
        POLL => words(&[edge(dice)]),
        INVAL_INODE => words(&[node(dice), edge(dice), edge(dice)]),
        INVAL_ENTRY => {
            let len = truth(name.len(), dice);
            name.push(0);
            [words(&[node(dice), pair(len, dice.below(4))]), name].concat()
        }
        DELETE => {
            let len = truth(name.len(), dice);
            name.push(0);
            [words(&[node(dice), node(dice), pair(len, 0)]), name].concat()
        }
        STORE => {
            let len = dice.one_of(&[0, 1, 100, 4095, 4096, 5000, 20_000]);
            let size = truth(len, dice);
            let at = match dice.below(3) {
                0 => edge(dice),
                _ => dice.below(FILE_SIZE),
            };
            [words(&[node(dice), at, pair(size, 0)]), dice.bytes(len)].concat()
        }
        RETRIEVE => {
            let at = match dice.below(3) {
                0 => edge(dice),
                _ => dice.below(FILE_SIZE),
            };
            words(&[edge(dice), node(dice), at, pair(edge(dice), 0)])
        }
        PRUNE => {
            let len = dice.one_of(&[0, 1, 3, 64, 65, 600]);
            let count = truth(len, dice);
            let nodes: Vec<u64> = (0..len).map(|_| node(dice)).collect();
            [words(&[pair(count, 0), 0]), words(&nodes)].concat()
        }
        // RESEND and INC_EPOCH have none, and the last is no code.
        _ => Vec::new(),
    };
    if dice.once_in(3) {
        spoil(dice, &mut body);
    }
    match dice.below(20) {
        0 => well(edge(dice) as i32, 0, &body),
        1 => message(edge(dice), code, 0, &body),
        _ => well(code, 0, &body),
    }
}

/// Sends a message: whole, in pieces, by a pipe, or with an end that is not there. Whether the device has taken it.
fn send(dice: &mut Dice, fd: i32, message: &[u8]) -> Result<usize> {
    let (start, len) = (message.as_ptr() as usize, message.len());
    match dice.below(16) {
        0 => {
            let at = dice.index(len + 1);
            writev(fd, &[(start, at), (start + at, len - at)])
        }
        1 => {
            let at = dice.index(len + 1);
            writev(fd, &[(start, at), (8, len - at)])
        }
        2 if len <= 60_000 => {
            let (out, into) = pipe();
            for piece in message.chunks(dice.one_of(&[16, 4096, 60_000])) {
                // A pipe with too many pieces takes no more.
                set_nonblock(std::os::fd::AsRawFd::as_raw_fd(&into), true);
                let _ = write(std::os::fd::AsRawFd::as_raw_fd(&into), piece);
            }
            splice(std::os::fd::AsRawFd::as_raw_fd(&out), fd, len)
        }
        _ => write(fd, message),
    }
}

/// How many bad messages each process of the server has sent, over all mounts of a test.
struct Tally(Map);

impl Tally {
    fn new() -> Self {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        Tally(Map::new(-1, 4096, prot, flags).unwrap())
    }

    fn of(&self, server: u64) -> u64 {
        let bytes = self.0.load(8 * server as usize, 8);
        u64::from_ne_bytes(bytes.try_into().unwrap())
    }

    /// One more of that server; it has no other.
    fn count(&self, server: u64) {
        let sent = self.of(server) + 1;
        self.0.store(8 * server as usize, &sent.to_ne_bytes());
    }

    fn total(&self) -> u64 {
        (0..=ANSWERERS).map(|server| self.of(server)).sum()
    }
}

/// A process of the server: answers each request badly, as often as it may, and then well, until the connection ends.
fn answerer(fs: &Fs, tally: &Tally, player: u64, number: u64, model: Model) -> Caller<()> {
    let fd = fs.dev().fd();
    Caller::start_with_devices(&fs.dir, |_| {
        let mut dice = Dice::new(player + number);
        loop {
            let bytes = match read(fd, 1 << 17) {
                Ok(bytes) => bytes,
                Err(ENODEV | ECONNABORTED | EPERM) => return,
                Err(_) => continue,
            };
            let head = InHeader::from_bytes(&bytes);
            let body = &bytes[IN_HEADER..];
            // Some answers are good, or nothing would ever be open.
            for _ in 1..dice.below(5) {
                if tally.of(number) == SHARE {
                    break;
                }
                let message = bad(&mut dice, &model, &head, body);
                let _ = send(&mut dice, fd, &message);
                tally.count(number);
            }
            let last = match model.answer(&head, body) {
                None => continue,
                Some(Ok(answer)) => well(0, head.unique, &answer),
                Some(Err(e)) => well(-e.0, head.unique, &[]),
            };
            // Mostly it has ended by now.
            if matches!(write(fd, &last), Err(EFAULT | EAGAIN)) {
                let _ = write(fd, &well(-libc::EIO, head.unique, &[]));
            }
        }
    })
}

/// A process of the server that says what nobody has asked. It waits where callers hold what it needs.
fn notifier(fs: &Fs, tally: &Tally, player: u64) -> Caller<()> {
    let fd = fs.dev().fd();
    Caller::start_with_devices(&fs.dir, |_| {
        let mut dice = Dice::new(player + ANSWERERS);
        while tally.of(ANSWERERS) < SHARE && access(STOP, libc::F_OK).is_err() {
            let message = notification(&mut dice);
            let _ = send(&mut dice, fd, &message);
            tally.count(ANSWERERS);
        }
    })
}

/// What the crowd does not do.
fn more(m: &Side, dice: &mut Dice) {
    let path = m.path(&format!(
        "{}{}",
        dice.one_of(&["f", "d", "l"]),
        dice.below(6)
    ));
    if dice.once_in(6) {
        let _ = statx_btime(&path);
        return;
    }
    let Ok(fd) = sys::open(&path, dice.one_of(&[libc::O_RDONLY, libc::O_RDWR])) else {
        return;
    };
    match dice.below(6) {
        0 => {
            let len = dice.one_of(&[0u32, 4, 8, 100, 4096, 9000]);
            let cmd = ((dice.below(4) as u32) << 30) | (len << 16) | 0x7800 | dice.below(3) as u32;
            let _ = ioctl_on(fd, cmd, &mut vec![0; len as usize]);
        }
        // FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR.
        1 => drop(ioctl_on(fd, 0x8008_6601, &mut [0; 8])),
        2 => drop(ioctl_on(fd, 0x801c_581f, &mut [0; 28])),
        3 => {
            let kind = dice.one_of(&[libc::F_RDLCK, libc::F_WRLCK, libc::F_UNLCK]);
            let command = dice.one_of(&[libc::F_SETLK, libc::F_GETLK]);
            let _ = fcntl_lock(fd, command, lock(kind, 0, dice.below(100) as i64));
            let _ = flock(fd, libc::LOCK_EX | libc::LOCK_NB);
        }
        4 => drop(poll(fd, libc::POLLIN, 0)),
        _ => {
            if let Ok(to) = sys::open(&m.path("f0"), libc::O_RDWR) {
                let _ = copy_file_range((fd, 0), (to, 4096), 10_000);
                let _ = close(to);
            }
        }
    }
    let _ = close(fd);
}

fn caller(fs: &Fs, player: u64) -> Caller<()> {
    fs.call(|m| {
        let mut dice = Dice::new(player);
        while access(STOP, libc::F_OK).is_err() {
            match dice.below(3) {
                0 => more(m, &mut dice),
                _ => crowd::act(m, &mut dice),
            }
        }
    })
}

/// Mounts whose servers send [`MESSAGES`] bad messages in all. Each `test` has its own dice.
fn hostile(test: u64, setup: Setup, model: Model) {
    // Here, so that no signal comes before a caller is ready for it.
    catch(libc::SIGUSR1);
    let ctl = Control::new();
    let tally = Tally::new();
    let setup = setup.init(|i| i.max_readahead = 1 << 16);
    for life in 0.. {
        one_life(&ctl, &setup, model, &tally, 1_000_000 * test + 1000 * life);
        if tally.total() == SHARE * (ANSWERERS + 1) {
            return;
        }
    }
}

/// One mount, until all is sent, or the server has made it so that no request comes any more: by telling that the root is
/// no directory, say.
fn one_life(ctl: &Control, setup: &Setup, model: Model, tally: &Tally, player: u64) {
    let mut fs = setup.clone().start();
    set_nonblock(fs.dev().fd(), false);
    let mut callers: Vec<_> = (0..CALLERS)
        .map(|i| caller(&fs, player + 100 + i))
        .collect();
    let mut servers: Vec<_> = (0..ANSWERERS)
        .map(|i| answerer(&fs, tally, player, i, model))
        .collect();
    servers.push(notifier(&fs, tally, player));
    let mut dice = Dice::new(player + 200);
    let (mut sent, mut since) = (0, Instant::now());
    while sent < SHARE * (ANSWERERS + 1) && (since.elapsed().as_millis() as i64) < ms(500) {
        callers[dice.index(CALLERS as usize)].signal(libc::SIGUSR1);
        sleep_ms(5);
        if tally.total() != sent {
            (sent, since) = (tally.total(), Instant::now());
        }
    }
    std::fs::write(STOP, "").unwrap();
    all_end(&mut callers, patience());
    soon(patience(), "requests are left", || {
        ctl.get(&fs, "waiting") == Ok("0\n".into())
    });
    fs.unmount_when_free();
    fs.die();
    all_end(&mut servers, patience());
    unlink(STOP).unwrap();
}

const MODEL: Model = Model {
    entry_valid: 1,
    attr_valid: 1,
    open_flags: 0,
};

/// Bad answers and notifications on a plain mount.
fn answers() {
    hostile(1, Setup::new().flags(init::ASYNC_READ), MODEL);
}

/// With READDIRPLUS and parallel lookups, names that are believed and names that are not.
fn answers_about_directories() {
    let flags = init::PARALLEL_DIROPS | init::DO_READDIRPLUS | init::CACHE_SYMLINKS;
    let model = Model {
        entry_valid: 0,
        attr_valid: 0,
        // FOPEN_CACHE_DIR.
        open_flags: FOPEN_KEEP_CACHE | (1 << 3),
    };
    hostile(2, Setup::new().flags(flags | init::MAX_PAGES), model);
}

/// With dirty pages that are written later.
fn answers_to_writes_behind() {
    let flags = init::WRITEBACK_CACHE | init::BIG_WRITES | init::ASYNC_READ | init::MAX_PAGES;
    hostile(
        3,
        Setup::new().flags(flags).init(|i| i.max_pages = 32),
        MODEL,
    );
}

/// With ACLs, locks, and everything that INIT may ask for about names and access.
fn answers_about_access() {
    let flags = init::POSIX_ACL
        | init::POSIX_LOCKS
        | init::FLOCK_LOCKS
        | init::SETXATTR_EXT
        | init::HANDLE_KILLPRIV_V2
        | init::DONT_MASK
        | init::HAS_IOCTL_DIR
        | init::EXPORT_SUPPORT
        | init::READDIRPLUS_AUTO
        | init::DO_READDIRPLUS
        | init::AUTO_INVAL_DATA;
    hostile(4, Setup::new().option("allow_other").flags(flags), MODEL);
}

/// With files whose data is never cached.
fn answers_past_the_cache() {
    let flags = init::ASYNC_DIO | init::PARALLEL_DIROPS | init::ATOMIC_O_TRUNC;
    let model = Model {
        open_flags: FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
        ..MODEL
    };
    hostile(5, Setup::new().flags(flags), model);
}

/// Bad answers to INIT: the mount is refused, or works within what it can.
fn answers_to_init() {
    const MOUNTS: u64 = 60;
    let all = !init::OVER_IO_URING;
    for number in 0..MOUNTS {
        let mut dice = Dice::new(number);
        let mut fs = Setup::new().flags(dice.any() & all).mount();
        let r = fs.expect(INIT);
        for _ in 0..=dice.below(3) {
            let mut body = fs.setup.init_out().bytes();
            spoil(&mut dice, &mut body);
            let error = if dice.once_in(8) {
                -(dice.below(600) as i32)
            } else {
                0
            };
            let message = well(error, r.unique(), &body);
            let _ = send(&mut dice, fs.dev().fd(), &message);
        }
        let _ = r.try_reply(&fs.setup.init_out().bytes());
        let mut c = fs.call(|m| {
            let _ = m.stat("f");
            let _ = m.opendir("").and_then(close);
        });
        let mut given_up = false;
        soon(patience(), "the caller does not come back", || {
            // A server that has asked for messages larger than memory cannot read them.
            match fs.dev().read(1 << 20) {
                Ok(bytes) => {
                    let unique = InHeader::from_bytes(&bytes).unique;
                    let _ = fs.dev().reply(unique, -libc::ENOENT, &[]);
                }
                Err(EINVAL) if !given_up => {
                    given_up = true;
                    fs.force_unmount();
                }
                Err(_) => (),
            }
            c.is_gone()
        });
        fs.die();
    }
}
