// SPDX-License-Identifier: GPL-2.0

//! The memory that a server reads requests into and writes answers from: it may have to be fetched first, by the very
//! server or from another one, and it may turn out not to be there. A request that is being copied meanwhile can end
//! in every way.

use super::control::Control;
use crate::mockd::*;

crate::tests![
    request_into_a_file_of_this_mount,
    request_into_a_file_of_this_mount_and_abort,
    answer_from_a_file_of_this_mount,
    answer_from_a_file_of_this_mount_and_abort,
    notification_from_a_file_of_this_mount,
    killed_while_it_is_copied,
    killed_while_it_is_answered,
    interrupted_while_it_is_copied,
    resend_passes_over_what_is_copied,
    closed_while_it_is_copied,
    closed_while_it_is_answered,
    abort_while_it_is_copied_elsewhere,
    abort_while_it_is_answered_elsewhere,
    request_into_memory_that_ends,
    answer_from_memory_that_ends,
    pages_from_memory_that_ends,
    forgets_into_memory_that_ends,
];

/// Bytes of the file that a server's buffer lies in.
const LEN: usize = 128 << 10;
/// Its node and handle.
const NODE: u64 = 90;
const FH: u64 = 91;

/// What a written answer has.
const ANSWER: Result<u64> = Ok((OUT_HEADER + size_of::<EntryOut>()) as u64);

/// A mount on which names can be looked up side by side.
fn serving() -> Fs {
    Setup::new().flags(init::PARALLEL_DIROPS).start()
}

/// What the buffer is for.
#[derive(Clone, Copy)]
enum Use {
    Read,
    /// The answer to this id: "no such name", with the time for which that holds.
    Answer(u64),
    /// INVAL_INODE of a node that nobody knows.
    Notify,
}

/// A process of a server, and what it got: the id of the request that it has read, or the bytes that it has written.
type Server = Caller<Result<u64>>;

/// A process of the server of `fs` which has its buffer in the file "buffer" of the mount `of`, and pauses when it has.
fn server_with_buffer_in(fs: &Fs, of: &Fs, what: Use) -> Server {
    let fd = fs.dev().fd();
    let path = format!("{}/buffer", of.dir);
    let c = Caller::start_with_devices(&fs.dir, |m| {
        let f = sys::open(&path, libc::O_RDONLY).unwrap();
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let map = Map::new(f, LEN, prot, libc::MAP_PRIVATE).unwrap();
        close(f).unwrap();
        m.pause();
        let written = match what {
            Use::Read => {
                let n = readv(fd, &[map.part(0, LEN)])?;
                let head = InHeader::from_bytes(&map.load(0, IN_HEADER));
                assert_eq!(n, head.len as usize);
                return Ok(head.unique);
            }
            Use::Answer(unique) => {
                let len = OUT_HEADER + size_of::<EntryOut>();
                let head = OutHeader {
                    len: len as u32,
                    error: 0,
                    unique,
                }
                .bytes();
                let body = map.part(0, size_of::<EntryOut>());
                writev(fd, &[(head.as_ptr() as usize, OUT_HEADER), body])
            }
            Use::Notify => {
                let head = OutHeader {
                    len: OUT_HEADER as u32 + 24,
                    error: 2,
                    unique: 0,
                }
                .bytes();
                writev(fd, &[(head.as_ptr() as usize, OUT_HEADER), map.part(0, 24)])
            }
        };
        written.map(|n| n as u64)
    });
    of.lookup(ROOT, "buffer", file(NODE).size(LEN as u64));
    // The mapping keeps the file open; nothing is flushed while it does.
    of.open(NODE, FH, FOPEN_NOFLUSH);
    c.paused();
    c
}

/// The page fault of the server asks for the first page of its buffer.
fn fault(of: &Fs) -> Request {
    of.expect_read(FH, 0, 4096).node(NODE)
}

/// The file of the buffer is closed with its last mapping.
fn buffer_is_released(of: &Fs) {
    of.release(NODE, FH);
}

/// stat("f"), asleep.
fn asking(fs: &Fs) -> Caller<Result<()>> {
    let c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    c.until_interruptible();
    c
}

/// asking(), with the LOOKUP half way in a buffer of a server which has to be fetched from `of` first.
fn being_copied(fs: &Fs, of: &Fs) -> (Caller<Result<()>>, Server, Request) {
    let server = server_with_buffer_in(fs, of, Use::Read);
    let c = asking(fs);
    assert!(fs.dev().readable());
    server.go();
    // It has the LOOKUP when it sleeps in its page fault; before that, we might read it.
    server.until_asleep();
    let page = fault(of);
    (c, server, page)
}

/// asking(), with the answer to its LOOKUP half way out of such a buffer.
fn being_answered(fs: &Fs, of: &Fs) -> (Caller<Result<()>>, Server, Request) {
    let c = asking(fs);
    let unique = fs.expect_lookup(ROOT, "f").unique();
    let server = server_with_buffer_in(fs, of, Use::Answer(unique));
    server.go();
    let page = fault(of);
    server.until_asleep();
    (c, server, page)
}

/// A page of an answer: "no such name", which may not be believed.
fn page_of_zeros(page: Request) {
    page.reply(&[0; 4096]);
}

/// A buffer may lie in a file of the mount that is served: the page fault is a request like any other.
fn request_into_a_file_of_this_mount() {
    let fs = serving();
    let (c, server, page) = being_copied(&fs, &fs);
    c.stays_asleep();
    page_of_zeros(page);
    let unique = server.wait().unwrap();
    buffer_is_released(&fs);
    fs.dev().reply(unique, -libc::ENOENT, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// If nobody answers that page fault, an abort ends both: the caller need not wait for the copier.
fn request_into_a_file_of_this_mount_and_abort() {
    let mut fs = serving();
    let (c, server, page) = being_copied(&fs, &fs);
    fs.force_unmount();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(server.wait(), Err(ENODEV));
    assert_eq!(page.try_reply(&[0; 4096]), Err(ENOENT));
}

/// So for an answer.
fn answer_from_a_file_of_this_mount() {
    let fs = serving();
    let (c, server, page) = being_answered(&fs, &fs);
    c.stays_asleep();
    page_of_zeros(page);
    assert_eq!(server.wait(), ANSWER);
    buffer_is_released(&fs);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// And for an abort while an answer is on its way: the server is told that nobody waits for it.
fn answer_from_a_file_of_this_mount_and_abort() {
    let mut fs = serving();
    let (c, server, page) = being_answered(&fs, &fs);
    fs.force_unmount();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(server.wait(), Err(ENOENT));
    assert_eq!(page.try_reply(&[0; 4096]), Err(ENOENT));
}

/// A notification may come from there, too.
fn notification_from_a_file_of_this_mount() {
    let fs = serving();
    let server = server_with_buffer_in(&fs, &fs, Use::Notify);
    server.go();
    page_of_zeros(fault(&fs));
    // Node 0 is none.
    assert_eq!(server.wait(), Err(ENOENT));
    buffer_is_released(&fs);

    let mut fs = serving();
    let server = server_with_buffer_in(&fs, &fs, Use::Notify);
    server.go();
    let _page = fault(&fs);
    server.until_asleep();
    fs.force_unmount();
    assert_eq!(server.wait(), Err(EFAULT));
}

/// A caller that is killed while its request is being copied is as one whose request the server has: INTERRUPT comes
/// right after the request.
fn killed_while_it_is_copied() {
    let (fs, other) = (serving(), serving());
    let (mut c, server, page) = being_copied(&fs, &other);
    c.signal(libc::SIGKILL);
    if is_rust() {
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    } else {
        c.until_uninterruptible();
        c.stays_asleep();
    }
    page_of_zeros(page);
    let unique = server.wait().unwrap();
    buffer_is_released(&other);
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, unique);
    fs.dev().reply(unique, -libc::EINTR, &[]).unwrap();
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// A caller that is killed while its answer is being copied disturbs nothing; there is no INTERRUPT any more.
fn killed_while_it_is_answered() {
    let (fs, other) = (serving(), serving());
    let (mut c, server, page) = being_answered(&fs, &other);
    c.signal(libc::SIGKILL);
    if is_rust() {
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    } else {
        c.until_uninterruptible();
        c.stays_asleep();
    }
    fs.quiet();
    page_of_zeros(page);
    assert_eq!(server.wait(), ANSWER);
    buffer_is_released(&other);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
}

/// A signal while the request is being copied makes an INTERRUPT once it is.
fn interrupted_while_it_is_copied() {
    let (fs, other) = (serving(), serving());
    let (c, server, page) = being_copied(&fs, &other);
    c.signal(libc::SIGUSR1);
    c.until_uninterruptible();
    fs.quiet();
    page_of_zeros(page);
    let unique = server.wait().unwrap();
    buffer_is_released(&other);
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, unique);
    fs.dev().reply(unique, -libc::EINTR, &[]).unwrap();
    assert_eq!(c.wait(), Err(EINTR));
}

/// RESEND is about what the server has: not what is still on its way to it, nor what it is just answering.
fn resend_passes_over_what_is_copied() {
    use crate::mockd::notice::RESEND;
    let (fs, other) = (serving(), serving());
    let (c, server, page) = being_copied(&fs, &other);
    fs.dev().reply(0, RESEND, &[]).unwrap();
    fs.quiet();
    page_of_zeros(page);
    let unique = server.wait().unwrap();
    buffer_is_released(&other);
    fs.dev().reply(unique, -libc::ENOENT, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));

    let (fs, other) = (serving(), serving());
    let (c, server, page) = being_answered(&fs, &other);
    fs.dev().reply(0, RESEND, &[]).unwrap();
    fs.quiet();
    page_of_zeros(page);
    assert_eq!(server.wait(), ANSWER);
    buffer_is_released(&other);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// The reader keeps its device open until it is back; then the request that it took is lost with the device.
fn closed_while_it_is_copied() {
    let (mut fs, other) = (serving(), serving());
    let (c, server, page) = being_copied(&fs, &other);
    fs.die();
    c.stays_asleep();
    page_of_zeros(page);
    server.wait().unwrap();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    buffer_is_released(&other);
}

/// So does the writer, whose answer still counts.
fn closed_while_it_is_answered() {
    let (mut fs, other) = (serving(), serving());
    let (c, server, page) = being_answered(&fs, &other);
    fs.die();
    c.stays_asleep();
    page_of_zeros(page);
    assert_eq!(server.wait(), ANSWER);
    assert_eq!(c.wait(), Err(ENOENT));
    buffer_is_released(&other);
}

/// What fusectl says while a copier has an ended request in its hands: C counts it until the copier lets go, and an
/// unmount waits for that.
fn ended_but_held() -> Result<String> {
    Ok(if is_rust() { "0\n" } else { "1\n" }.into())
}

/// By fusectl, too: the caller is free at once, however long the page fault takes, and no request is left meanwhile.
fn abort_while_it_is_copied_elsewhere() {
    let ctl = Control::new();
    let (fs, other) = (serving(), serving());
    let (c, server, page) = being_copied(&fs, &other);
    ctl.set(&fs, "abort", "1").unwrap();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(ctl.get(&fs, "waiting"), ended_but_held());
    server.stays_asleep();
    page_of_zeros(page);
    assert_eq!(server.wait(), Err(ENODEV));
    buffer_is_released(&other);
}

/// So for an answer.
fn abort_while_it_is_answered_elsewhere() {
    let ctl = Control::new();
    let (fs, other) = (serving(), serving());
    let (c, server, page) = being_answered(&fs, &other);
    ctl.set(&fs, "abort", "1").unwrap();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    assert_eq!(ctl.get(&fs, "waiting"), ended_but_held());
    server.stays_asleep();
    page_of_zeros(page);
    assert_eq!(server.wait(), Err(ENOENT));
    buffer_is_released(&other);
}

/// An address where there is no memory.
const NOWHERE: usize = 8;

/// Room for a request of which only the first bytes are there is EFAULT for the server, and EIO for the caller.
fn request_into_memory_that_ends() {
    let fs = serving();
    for len in [1, 40, 41] {
        let c = asking(&fs);
        let mut good = vec![0u8; len];
        let parts = [(good.as_mut_ptr() as usize, len), (NOWHERE, 1 << 17)];
        assert_eq!(readv(fs.dev().fd(), &parts), Err(EFAULT), "{len} bytes");
        assert_eq!(c.wait(), Err(EIO));
        fs.quiet();
    }
    // What is not used need not be there.
    let c = asking(&fs);
    let mut good = vec![0u8; 42];
    let parts = [(good.as_mut_ptr() as usize, 42), (NOWHERE, 1 << 17)];
    assert_eq!(readv(fs.dev().fd(), &parts), Ok(42));
    let head = InHeader::from_bytes(&good);
    assert_eq!(head.opcode, LOOKUP);
    fs.dev().reply(head.unique, -libc::ENOENT, &[]).unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// An answer of which only the first bytes are there is EFAULT for the server, and EIO for the caller; nothing that it
/// said counts.
fn answer_from_memory_that_ends() {
    let fs = serving();
    let entry = file(2).entry().bytes();
    for len in [1, 64, 127] {
        let c = asking(&fs);
        let r = fs.expect_lookup(ROOT, "f");
        let head = OutHeader {
            len: (OUT_HEADER + entry.len()) as u32,
            error: 0,
            unique: r.unique(),
        }
        .bytes();
        let parts = [
            (head.as_ptr() as usize, OUT_HEADER),
            (entry.as_ptr() as usize, len),
            (NOWHERE, entry.len() - len),
        ];
        assert_eq!(writev(fs.dev().fd(), &parts), Err(EFAULT), "{len} bytes");
        assert_eq!(c.wait(), Err(EIO));
    }
}

/// So for the pages of a READ: they were not read. They are asked for again, at once because the first READ was only ahead
/// of the reader, then by the next read.
fn pages_from_memory_that_ends() {
    let fs = serving();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let reads = (pread(f, 4096, 0).map(drop), pread(f, 4096, 0));
        close(f).unwrap();
        (reads.0, reads.1.map(|data| data == [b'.'; 4096]))
    });
    fs.lookup(ROOT, "f", file(2).size(4096));
    fs.open(2, 5, 0);
    for _ in 0..2 {
        let r = fs.expect_read(5, 0, 4096);
        let head = OutHeader {
            len: OUT_HEADER as u32 + 4096,
            error: 0,
            unique: r.unique(),
        }
        .bytes();
        let half = [b'!'; 2048];
        let parts = [
            (head.as_ptr() as usize, OUT_HEADER),
            (half.as_ptr() as usize, 2048),
            (NOWHERE, 2048),
        ];
        assert_eq!(writev(fs.dev().fd(), &parts), Err(EFAULT));
    }
    fs.expect_read(5, 0, 4096).reply(&[b'.'; 4096]);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(EIO), Ok(true)));
}

/// INTERRUPT and FORGET that cannot be read whole are EFAULT for the server, and gone.
fn forgets_into_memory_that_ends() {
    let fs = serving();
    let c = asking(&fs);
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(()));
    drop_caches();
    let mut good = [0u8; 44];
    let parts = [(good.as_mut_ptr() as usize, 44), (NOWHERE, 1 << 17)];
    assert_eq!(readv(fs.dev().fd(), &parts), Err(EFAULT));
    assert_eq!(InHeader::from_bytes(&good).opcode, FORGET);
    fs.quiet();

    let c = asking(&fs);
    let r = fs.expect_lookup(ROOT, "f");
    c.signal(libc::SIGUSR1);
    c.until_uninterruptible();
    assert_eq!(readv(fs.dev().fd(), &parts), Err(EFAULT));
    assert_eq!(InHeader::from_bytes(&good).opcode, INTERRUPT);
    fs.quiet();
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}
