// SPDX-License-Identifier: GPL-2.0

//! Notifications about what the server has a request of: none waits for its answer, and no later caller sees what is
//! older than the notification. With the C module the writer hangs until that answer comes.

use super::notify::delete;
use super::notify::inval_entry;
use super::notify::inval_inode;
use super::notify::notify;
use super::notify::DELETE;
use super::notify::INVAL_ENTRY;
use super::notify::INVAL_INODE;
use crate::mockd::*;

crate::tests![
    inval_entry_waits_for_no_request,
    inval_entry_of_a_name_that_is_looked_up_again,
    inval_entry_of_a_name_in_a_listing,
    delete_waits_for_no_request,
    inval_inode_waits_for_no_read,
    inval_inode_waits_for_no_write,
    inval_inode_of_dirty_pages,
    inval_inode_waits_for_no_dirty_page,
    inval_inode_of_a_link_that_is_read,
    inval_inode_of_many_files,
    store_into_a_page_that_is_read,
];

/// The next request that is no FORGET.
#[track_caller]
fn next(fs: &Fs) -> Request {
    loop {
        let r = fs.dev().next();
        if !matches!(r.head.opcode, FORGET | BATCH_FORGET) {
            return r;
        }
    }
}

/// `opcode` comes; FORGETs are passed over.
#[track_caller]
fn expect(fs: &Fs, opcode: u32) -> Request {
    let r = next(fs);
    assert_eq!(r.head.opcode, opcode, "{r:?} came");
    r
}

/// Takes the FORGETs that are on their way.
fn take_forgets(fs: &Fs) {
    while let Some(r) = fs.dev().next_within(ms(10)) {
        assert!(matches!(r.head.opcode, FORGET | BATCH_FORGET), "{r:?} came");
    }
}

/// Sends a notification while the server holds something back that `answer` gives. It returns `expected` at once; the
/// writer in C sleeps until the answer, whatever signal it gets, and is told `in_c`.
#[track_caller]
fn notify_held(
    fs: &Fs,
    (code, body): (i32, Vec<u8>),
    (expected, in_c): (Result<()>, Result<()>),
    answer: impl FnOnce(),
) {
    let device = fs.dev().dup();
    let mut writer = Caller::start_with_devices(&fs.dir, move |_| notify(&device, code, &[&body]));
    if is_rust() {
        assert_eq!(writer.wait(), expected);
        answer();
    } else {
        writer.until_uninterruptible();
        writer.stays_asleep();
        answer();
        assert_eq!(writer.wait(), in_c);
    }
    assert_eq!(writer.death(), Death::Exit(0));
}

/// A change of the root, or a question about a name in it, that the server holds back.
struct Held {
    /// The requests that come before, each answered with ENOENT.
    before: &'static [u32],
    opcode: u32,
    call: fn(&Side) -> Result<()>,
    /// The name that it is about.
    name: &'static str,
    /// Whether that name is in the cache.
    is_cached: bool,
    answer: fn(Request),
}

fn created(r: Request) {
    r.reply(&[file(9).entry().bytes(), OpenOut::default().bytes()].concat());
}

/// `f` and `d` are cached as nodes 2 and 3, and `n` as a name of nothing.
const HELD: [Held; 11] = [
    Held {
        before: &[],
        opcode: LOOKUP,
        call: |m| m.stat("x").map(drop),
        name: "x",
        is_cached: false,
        answer: |r| r.ok(file(9).entry()),
    },
    Held {
        before: &[],
        opcode: LOOKUP,
        call: |m| match m.stat("x") {
            Err(ENOENT) => Ok(()),
            other => panic!("{other:?}"),
        },
        name: "x",
        is_cached: false,
        answer: |r| r.ok(absent(3600, 0)),
    },
    Held {
        before: &[LOOKUP],
        opcode: MKDIR,
        call: |m| mkdir(&m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(dir(9).entry()),
    },
    Held {
        before: &[LOOKUP],
        opcode: MKNOD,
        call: |m| mknod(&m.path("n"), libc::S_IFREG),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(file(9).entry()),
    },
    Held {
        before: &[LOOKUP],
        opcode: SYMLINK,
        call: |m| symlink("t", &m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(symlink_node(9).entry()),
    },
    Held {
        before: &[LOOKUP],
        opcode: LINK,
        call: |m| link(&m.path("f"), &m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.ok(file(2).entry()),
    },
    Held {
        before: &[],
        opcode: CREATE,
        call: |m| open(&m.path("n"), libc::O_CREAT | libc::O_WRONLY).map(drop),
        name: "n",
        is_cached: true,
        answer: created,
    },
    Held {
        before: &[],
        opcode: UNLINK,
        call: |m| unlink(&m.path("f")),
        name: "f",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
    Held {
        before: &[],
        opcode: RMDIR,
        call: |m| rmdir(&m.path("d")),
        name: "d",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
    Held {
        before: &[LOOKUP],
        opcode: RENAME,
        call: |m| rename(&m.path("f"), &m.path("n")),
        name: "f",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
    Held {
        before: &[LOOKUP],
        opcode: RENAME,
        call: |m| rename(&m.path("f"), &m.path("n")),
        name: "n",
        is_cached: true,
        answer: |r| r.reply(&[]),
    },
];

/// A mount on which `f`, `d` and `n` are cached as [`HELD`] says.
fn with_names() -> Fs {
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            m.stat("f").map(drop),
            m.stat("d").map(drop),
            m.stat("n").err(),
        )
    });
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "d", dir(3));
    fs.expect_lookup(ROOT, "n").ok(absent(3600, 0));
    assert_eq!(c.wait(), (Ok(()), Ok(()), Some(ENOENT)));
    fs
}

/// INVAL_ENTRY of a name returns at once while the server has a request about it, or has not heard of the name yet
/// (ENOENT); what it answers to that request is not believed any longer: the next use looks the name up.
fn inval_entry_waits_for_no_request() {
    for held in HELD {
        let fs = with_names();
        let mut c = fs.call(held.call);
        for opcode in held.before {
            expect(&fs, *opcode).err(ENOENT);
        }
        let r = expect(&fs, held.opcode);
        let body = [
            inval_entry(ROOT, 1, 0),
            [held.name.as_bytes(), b"\0"].concat(),
        ]
        .concat();
        let expected = match held.is_cached {
            true => Ok(()),
            false => Err(ENOENT),
        };
        // What UNLINK, RMDIR and RENAME have done to the name is over by the time that C looks for it.
        let in_c = match held.opcode {
            RENAME if held.name == "f" => Err(ENOENT),
            _ => Ok(()),
        };
        let mut r = Some(r);
        notify_held(&fs, (INVAL_ENTRY, body), (expected, in_c), || {
            (held.answer)(r.take().unwrap());
            // The caller of CREATE closes.
            if held.opcode == CREATE {
                expect(&fs, FLUSH).reply(&[]);
                expect(&fs, RELEASE).reply(&[]);
            }
        });
        assert_eq!(c.wait(), Ok(()), "{} of {}", held.opcode, held.name);
        assert_eq!(c.death(), Death::Exit(0));

        let c = fs.call(|m| m.lstat(held.name).map(|s| s.ino));
        let r = expect(&fs, LOOKUP);
        assert_eq!(r.name(), held.name);
        r.ok(file(77).entry());
        assert_eq!(c.wait(), Ok(77), "{} of {}", held.opcode, held.name);
        take_forgets(&fs);
    }
}

/// INVAL_ENTRY, also with EXPIRE_ONLY, of a name that is being looked up again: what the server answers to that holds
/// for the one who has asked, and the next one asks again.
fn inval_entry_of_a_name_that_is_looked_up_again() {
    skip_on_c("an answer from before a notification makes the name good again");
    for flags in [0, 1] {
        let fs = Fs::new();
        let c = fs.call(|m| m.stat("f").map(drop));
        fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
        assert_eq!(c.wait(), Ok(()));

        let c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        let body = [inval_entry(ROOT, 1, flags), b"f\0".to_vec()].concat();
        assert_eq!(notify(fs.dev(), INVAL_ENTRY, &[&body]), Ok(()));
        r.ok(file(2).entry());
        // The name was taken away, so that it is looked up by a new entry.
        loop {
            match fs.dev().next_within(if c.running() { 5 } else { 0 }) {
                Some(r) if r.head.opcode == LOOKUP => r.ok(file(2).entry_valid(0, 0).entry()),
                Some(r) => assert!(matches!(r.head.opcode, FORGET | BATCH_FORGET), "{r:?} came"),
                None if c.running() => continue,
                None => break,
            }
        }
        assert_eq!(c.wait(), Ok(()));

        let c = fs.call(|m| m.stat("f").map(|s| s.ino));
        expect(&fs, LOOKUP).ok(file(2).entry());
        assert_eq!(c.wait(), Ok(2));
        take_forgets(&fs);
    }
}

/// INVAL_ENTRY of a name that a listing brings which the server has not answered yet: the name is listed, and looked up
/// when it is used.
fn inval_entry_of_a_name_in_a_listing() {
    let fs = Setup::new()
        .flags(init::DO_READDIRPLUS | init::PARALLEL_DIROPS)
        .start();
    let c = fs.call(|m| {
        let d = m.opendir("").unwrap();
        let names: Vec<_> = getdents(d, 4096)
            .unwrap()
            .into_iter()
            .map(|e| e.name)
            .collect();
        close(d).unwrap();
        names
    });
    fs.opendir(ROOT, 5);
    let r = fs.expect_readdirplus(5, 0);
    let reply = Dirents::new().plus(file(2).entry(), 2, 1, "f");
    let body = [inval_entry(ROOT, 1, 0), b"f\0".to_vec()].concat();
    notify_held(&fs, (INVAL_ENTRY, body), (Err(ENOENT), Ok(())), || {
        r.reply(&reply.0);
    });
    loop {
        let r = next(&fs);
        match r.head.opcode {
            READDIRPLUS => r.reply(&[]),
            RELEASEDIR => break r.reply(&[]),
            _ => panic!("{r:?} came"),
        }
        if !c.running() {
            break;
        }
    }
    assert_eq!(c.wait(), ["f"]);
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    loop {
        let r = next(&fs);
        match r.head.opcode {
            READDIRPLUS | RELEASEDIR => r.reply(&[]),
            LOOKUP => break r.ok(file(77).entry()),
            _ => panic!("{r:?} came"),
        }
    }
    assert_eq!(c.wait(), Ok(77));
    take_forgets(&fs);
}

/// DELETE returns at once while the server has a change of that directory, or of what was removed; the name is gone.
fn delete_waits_for_no_request() {
    type Change = (u32, fn(&Side) -> Result<()>, fn(Request));
    let changes: [Change; 4] = [
        (UNLINK, |m| unlink(&m.path("f")), |r| r.reply(&[])),
        (
            CREATE,
            |m| open(&m.path("n"), libc::O_CREAT | libc::O_WRONLY).map(drop),
            created,
        ),
        (
            SETATTR,
            |m| chmod(&m.path("f"), 0o600),
            |r| r.ok(file(2).perm(0o600).attr_out()),
        ),
        (
            SETXATTR,
            |m| setxattr(&m.path("f"), "user.x", b"x"),
            |r| r.reply(&[]),
        ),
    ];
    for (opcode, call, answer) in changes {
        let fs = with_names();
        let mut c = fs.call(call);
        let mut r = Some(expect(&fs, opcode));
        let body = [delete(ROOT, 2, 1), b"f\0".to_vec()].concat();
        notify_held(&fs, (DELETE, body), (Ok(()), Ok(())), || {
            answer(r.take().unwrap());
            if opcode == CREATE {
                expect(&fs, FLUSH).reply(&[]);
                expect(&fs, RELEASE).reply(&[]);
            }
        });
        assert_eq!(c.wait(), Ok(()), "{opcode}");
        assert_eq!(c.death(), Death::Exit(0));
        let c = fs.call(|m| m.stat("f").map(drop));
        expect(&fs, LOOKUP).err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT), "{opcode}");
        take_forgets(&fs);
    }
}

const PAGE: usize = 4096;

/// All of node 2 is not true any more.
fn all_of(node: u64) -> (i32, Vec<u8>) {
    (INVAL_INODE, inval_inode(node, 0, 0))
}

fn wrote(r: Request) {
    let size = WriteIn::from_bytes(&r.body).size;
    r.ok(WriteOut { size, padding: 0 });
}

/// Plays the server of node 2, a file of `size` bytes each of which is `byte`, until `c` has paused or ended. Returns
/// how many READs came.
fn serve<T: Ship>(fs: &Fs, c: &Caller<T>, size: u64, byte: u8) -> usize {
    let mut reads = 0;
    let mut answer = |r: Request| match r.head.opcode {
        READ => {
            reads += 1;
            let size = r.arg::<ReadIn>().size as usize;
            r.reply(&vec![byte; size]);
        }
        WRITE => wrote(r),
        GETATTR => r.ok(file(2).size(size).attr_out()),
        SETATTR => r.ok(file(2).size(size).attr_out()),
        GETXATTR => r.err(ENODATA),
        FLUSH | RELEASE | FSYNC => r.reply(&[]),
        _ => panic!("{r:?} came"),
    };
    loop {
        match fs.dev().next_within(if c.running() { 5 } else { 0 }) {
            Some(r) => answer(r),
            None if c.running() => continue,
            None => return reads,
        }
    }
}

/// Serves `c` to its end, and what comes of that.
fn serve_to_the_end<T: Ship>(fs: &Fs, c: &mut Caller<T>, size: u64, byte: u8) -> (T, usize) {
    let mut reads = serve(fs, c, size, byte);
    let result = c.wait();
    assert_eq!(c.death(), Death::Exit(0));
    reads += serve(fs, c, size, byte);
    (result, reads)
}

/// INVAL_INODE returns at once while the server has a READ of those pages, of one page, of several ahead, or for a
/// mapping: who waits for that READ may get what it brings, who reads later does not.
fn inval_inode_waits_for_no_read() {
    type Use = (u64, fn(&Side) -> u8, fn(&Side) -> u8);
    fn first_byte(m: &Side) -> u8 {
        let f = m.open("f").unwrap();
        let byte = pread(f, 1, 0).unwrap()[0];
        close(f).unwrap();
        byte
    }
    fn mapped(m: &Side) -> u8 {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        let map = Map::shared(f, PAGE).unwrap();
        let byte = map.load(0, 1)[0];
        map.unmap();
        close(f).unwrap();
        byte
    }
    let uses: [Use; 5] = [
        (0, first_byte, first_byte),
        (init::ASYNC_READ, first_byte, first_byte),
        (0, mapped, first_byte),
        (0, first_byte, mapped),
        (0, mapped, mapped),
    ];
    for (flags, first, later) in uses {
        let size = 16 * PAGE as u64;
        let setup = Setup::new().flags(flags);
        let fs = match flags {
            0 => setup,
            _ => setup.init(|i| i.max_readahead = 128 << 10),
        }
        .start();
        let mut a = fs.call(first);
        fs.lookup(ROOT, "f", file(2).size(size));
        fs.open(2, 5, 2);
        let r = fs.expect(READ);
        let len = r.arg::<ReadIn>().size as usize;
        notify_held(&fs, all_of(2), (Ok(()), Ok(())), || r.reply(&vec![1; len]));
        // It may have to ask again, because the page is gone already.
        let (byte, _) = serve_to_the_end(&fs, &mut a, size, 2);
        assert!(matches!(byte, 1 | 2), "{byte}");

        let mut b = fs.call(later);
        fs.open(2, 5, 2);
        assert_eq!(serve_to_the_end(&fs, &mut b, size, 2).0, 2);
    }
}

/// INVAL_INODE returns at once while the server has a WRITE of a part of a page that is not cached.
fn inval_inode_waits_for_no_write() {
    let fs = Fs::new();
    let mut a = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        lseek(f, 10, libc::SEEK_SET).unwrap();
        write(f, b"abc").unwrap();
        m.pause();
        let seen = pread(f, 13, 0).unwrap();
        close(f).unwrap();
        seen
    });
    fs.lookup(ROOT, "f", file(2).size(PAGE as u64));
    fs.open(2, 5, 0);
    let r = loop {
        let r = fs.dev().next();
        match r.head.opcode {
            GETXATTR => r.err(ENODATA),
            _ => break r,
        }
    };
    assert_eq!(r.head.opcode, WRITE);
    notify_held(&fs, all_of(2), (Ok(()), Ok(())), || wrote(r));
    a.paused();
    a.go();
    let (seen, reads) = serve_to_the_end(&fs, &mut a, PAGE as u64, 7);
    assert_eq!((seen, reads), (vec![7; 13], 1));
}

/// INVAL_INODE of dirty pages returns at once; they are written at once, and read again when that is over. Until then
/// they are what the file has.
fn inval_inode_of_dirty_pages() {
    let fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let size = PAGE as u64;
    let mut a = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        write(f, &[3; PAGE]).unwrap();
        m.pause();
        let held = pread(f, 1, 0).unwrap()[0];
        m.pause();
        let later = pread(f, 1, 0).unwrap()[0];
        close(f).unwrap();
        (held, later)
    });
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, 0);
    serve(&fs, &a, size, 7);
    a.paused();
    let device = fs.dev().dup();
    let (code, body) = all_of(2);
    let writer = Caller::start_with_devices(&fs.dir, move |_| notify(&device, code, &[&body]));
    let r = expect(&fs, WRITE);
    if is_rust() {
        assert_eq!(writer.wait(), Ok(()));
        a.go();
        serve(&fs, &a, size, 7);
        a.paused();
        wrote(r);
    } else {
        writer.until_uninterruptible();
        writer.stays_asleep();
        wrote(r);
        assert_eq!(writer.wait(), Ok(()));
        a.go();
        serve(&fs, &a, size, 7);
        a.paused();
    }
    a.go();
    let ((held, later), _) = serve_to_the_end(&fs, &mut a, size, 7);
    assert_eq!((held, later), (if is_rust() { 3 } else { 7 }, 7));
}

/// INVAL_INODE of dirty pages returns at once while the server has their WRITE.
fn inval_inode_waits_for_no_dirty_page() {
    let fs = Setup::new().flags(init::WRITEBACK_CACHE).start();
    let size = PAGE as u64;
    let mut a = fs.call(|m| {
        let f = sys::open(&m.path("f"), libc::O_RDWR).unwrap();
        write(f, &[3; PAGE]).unwrap();
        m.pause();
        sys::fsync(f).unwrap();
        m.pause();
        let later = pread(f, 1, 0).unwrap()[0];
        close(f).unwrap();
        later
    });
    fs.lookup(ROOT, "f", file(2).size(size));
    fs.open(2, 5, 0);
    serve(&fs, &a, size, 7);
    a.paused();
    a.go();
    let r = expect(&fs, WRITE);
    notify_held(&fs, all_of(2), (Ok(()), Ok(())), || wrote(r));
    serve(&fs, &a, size, 7);
    a.paused();
    a.go();
    assert_eq!(serve_to_the_end(&fs, &mut a, size, 7).0, 7);
}

/// INVAL_INODE of a link whose target the server is asked for returns at once; the target is asked for again.
fn inval_inode_of_a_link_that_is_read() {
    let fs = Setup::new().flags(init::CACHE_SYMLINKS).start();
    let c = fs.call(|m| m.readlink("l"));
    fs.lookup(ROOT, "l", symlink_node(2));
    let r = fs.expect(READLINK);
    notify_held(&fs, all_of(2), (Ok(()), Ok(())), || r.reply(b"old"));
    let seen = match is_rust() {
        true => b"new",
        false => b"old",
    };
    if is_rust() {
        fs.expect(READLINK).reply(b"new");
    }
    assert_eq!(c.wait(), Ok(seen.to_vec()));
    let c = fs.call(|m| m.readlink("l"));
    if !is_rust() {
        fs.expect(READLINK).reply(b"new");
    }
    assert_eq!(c.wait(), Ok(b"new".to_vec()));
    // One that is not being read is forgotten.
    let (code, body) = all_of(2);
    assert_eq!(notify(fs.dev(), code, &[&body]), Ok(()));
    let c = fs.call(|m| m.readlink("l"));
    fs.expect(READLINK).reply(b"newest");
    assert_eq!(c.wait(), Ok(b"newest".to_vec()));
}

/// However many files the server has READs of, INVAL_INODE of each returns at once, and none is seen as it was.
fn inval_inode_of_many_files() {
    skip_on_c("INVAL_INODE waits for a READ of those pages");
    const FILES: u64 = 80;
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let name = |i: u64| format!("f{i}");
    let read = |m: &Side, i: u64| {
        let f = m.open(&name(i)).unwrap();
        let byte = pread(f, 1, 0).unwrap()[0];
        close(f).unwrap();
        byte
    };
    let mut held = Vec::new();
    let mut callers = Vec::new();
    for i in 0..FILES {
        callers.push(fs.call(|m| read(m, i)));
        fs.lookup(ROOT, &name(i), file(100 + i).size(PAGE as u64));
        fs.open(100 + i, i, 2);
        held.push(fs.expect(READ));
    }
    for i in 0..FILES {
        let (code, body) = all_of(100 + i);
        assert_eq!(notify(fs.dev(), code, &[&body]), Ok(()));
    }
    for r in held {
        r.reply(&[1; PAGE]);
    }
    // A caller that is slow finds that the page was dropped meanwhile, and has it read again.
    let mut again = Vec::new();
    let mut ends = 0;
    while ends < 2 * FILES {
        let r = fs.dev().next();
        if r.head.opcode == READ {
            again.push(r.head.nodeid);
            r.reply(&[2; PAGE]);
            continue;
        }
        assert!(matches!(r.head.opcode, FLUSH | RELEASE), "{r:?} came");
        r.reply(&[]);
        ends += 1;
    }
    for (node, c) in (100..).zip(&callers) {
        assert_eq!(c.wait(), if again.contains(&node) { 2 } else { 1 });
    }
    for i in 0..FILES {
        let c = fs.call(|m| read(m, i));
        fs.open(100 + i, i, 2);
        let mut asked = again.contains(&(100 + i));
        loop {
            let r = fs.dev().next();
            match r.head.opcode {
                READ => {
                    asked = true;
                    r.reply(&[2; PAGE]);
                }
                FLUSH => r.reply(&[]),
                RELEASE => {
                    r.reply(&[]);
                    break;
                }
                _ => panic!("{r:?} came"),
            }
        }
        assert!(asked, "what was dropped is asked for");
        assert_eq!(c.wait(), 2);
    }
}

/// STORE into a page that the server has a READ of returns at once; who reads later sees what was stored, from the page
/// cache or from the server.
fn store_into_a_page_that_is_read() {
    use crate::mockd::notice::STORE;
    let fs = Fs::new();
    let mut a = fs.call(|m| {
        let f = m.open("f").unwrap();
        let first = pread(f, 1, 0).unwrap()[0];
        m.pause();
        let later = pread(f, 1, 0).unwrap()[0];
        close(f).unwrap();
        (first, later)
    });
    fs.lookup(ROOT, "f", file(2).size(PAGE as u64));
    fs.open(2, 5, 0);
    let r = fs.expect_read(5, 0, PAGE as u32);
    let head = NotifyStoreOut {
        nodeid: 2,
        offset: 0,
        size: PAGE as u32,
        padding: 0,
    };
    let body = [head.bytes(), vec![2; PAGE]].concat();
    notify_held(&fs, (STORE, body), (Ok(()), Ok(())), || r.reply(&[1; PAGE]));
    serve(&fs, &a, PAGE as u64, 2);
    a.paused();
    a.go();
    let ((first, later), _) = serve_to_the_end(&fs, &mut a, PAGE as u64, 2);
    assert!(first == 1 || !is_rust() && first == 2);
    assert_eq!(later, 2);
}
