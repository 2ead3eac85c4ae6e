// SPDX-License-Identifier: GPL-2.0

//! FUSE over io_uring: the commands of a server's ring, and requests that come over it.

use crate::mockd::*;

crate::tests![
    offered_where_the_administrator_says_so,
    commands_need_large_entries,
    commands_need_a_mount,
    commands_need_the_reply_to_init,
    commands_need_a_ring_that_was_agreed_on,
    a_ring_stays_when_the_parameter_goes,
    unknown_commands,
    register_refusals,
    add_queue,
    add_queue_with_zero_copy_needs_privilege,
    add_bufpool,
    commit_refusals,
    requests_wait_for_the_ring,
    a_refused_register_opens_the_gate,
    a_register_that_is_refused_later_fails_alone,
    fewer_queues_than_processors,
    requests_come_by_the_device_without_entries,
    a_background_request_goes_where_an_entry_waits,
    one_lookup,
    data_in_both_directions,
    replies_with_errors,
    malformed_replies,
    forgets_and_interrupts_come_by_the_device,
    requests_wait_for_an_entry,
    commands_after_an_abort,
    parked_commands_end_with_the_connection,
    death_of_the_server,
    killed_before_and_after_it_is_taken,
];

pub fn enable() -> Setting {
    let uring = Setting::parameter("enable_uring");
    uring.set("Y").expect("the parameter enable_uring");
    uring
}

/// A mount on which one directory has several lookups at a time.
pub fn parallel() -> Setup {
    Setup::new().flags(init::PARALLEL_DIROPS)
}

/// Such a mount whose server has accepted the ring, and has registered nothing.
pub fn accepted() -> Fs {
    parallel().flags(init::OVER_IO_URING).start()
}

fn ring(fs: &Fs) -> Ring {
    Ring::new(fs.dev().fd())
}

/// An entry as it should be.
fn entry(fs: &Fs, qid: u16) -> RingEntry {
    RingEntry::new(qid, fs.setup.ring_payload())
}

fn command(op: u32, qid: u16) -> Command {
    Command {
        op,
        req: RingCmdReq {
            qid,
            ..Default::default()
        },
        ..Default::default()
    }
}

/// What comes of REGISTER that must fail at once.
#[track_caller]
fn refused(fs: &Fs, entry: RingEntry) -> Errno {
    ring(fs).register(entry).expect_err("REGISTER is refused")
}

/// INIT offers the ring, and pools of buffers for it, while the parameter `enable_uring` is set.
fn offered_where_the_administrator_says_so() {
    let offered = |fs: &Fs| {
        let r = fs.expect(INIT);
        let a: InitIn = r.arg();
        r.ok(Setup::new().init_out());
        (u64::from(a.flags2) << 32) & (init::OVER_IO_URING | init::HAS_IO_URING_BUFPOOL)
    };
    assert_eq!(offered(&Setup::new().mount()), 0);
    let _on = enable();
    let both = init::OVER_IO_URING | init::HAS_IO_URING_BUFPOOL;
    assert_eq!(offered(&Setup::new().mount()), both);
}

/// A command takes 128 bytes: in an entry of 64 it gets EINVAL.
fn commands_need_large_entries() {
    let _on = enable();
    let fs = accepted();
    let rings = Rings::new(4, 0);
    let sqe = Sqe {
        opcode: OP_URING_CMD,
        fd: fs.dev().fd(),
        offset: CMD_ADD_QUEUE.into(),
        ..Default::default()
    };
    rings.submit(sqe, &[]).unwrap();
    assert_eq!(rings.wait().result, -EINVAL.0);
}

/// On a device that is no mount's, a command gets EPERM, as a read does.
fn commands_need_a_mount() {
    let _on = enable();
    let dev = Device::open();
    let mut ring = Ring::new(dev.fd());
    assert_eq!(ring.run(&command(CMD_ADD_QUEUE, 0)), Err(EPERM));
}

/// Before INIT is answered, a command gets EAGAIN.
fn commands_need_the_reply_to_init() {
    let _on = enable();
    let fs = Setup::new().mount();
    let mut ring = ring(&fs);
    let add = command(CMD_ADD_QUEUE, 0);
    assert_eq!(ring.run_slowly(&add), Err(EAGAIN));
    fs.expect(INIT).ok(Setup::new().init_out());
}

/// Where the server has not accepted the ring, a command gets EOPNOTSUPP, whatever the parameter says.
fn commands_need_a_ring_that_was_agreed_on() {
    let fs = Fs::new();
    for op in [
        CMD_REGISTER,
        CMD_COMMIT_AND_FETCH,
        CMD_ADD_QUEUE,
        CMD_ADD_BUFPOOL,
        99,
    ] {
        assert_eq!(ring(&fs).run(&command(op, 0)), Err(EOPNOTSUPP), "{op}");
    }
    let _on = enable();
    assert_eq!(ring(&fs).run(&command(CMD_ADD_QUEUE, 0)), Err(EOPNOTSUPP));
}

/// The parameter is looked at when INIT is sent and answered: a ring that was agreed on goes on without it.
fn a_ring_stays_when_the_parameter_goes() {
    let on = enable();
    let fs = accepted();
    drop(on);
    fs.dev().start_ring(1, fs.setup.ring_payload());
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(2));
}

/// A number that is no command's gets EINVAL.
fn unknown_commands() {
    let _on = enable();
    let fs = accepted();
    for op in [0, 5, u32::MAX] {
        assert_eq!(ring(&fs).run(&command(op, 0)), Err(EINVAL), "{op}");
    }
}

/// REGISTER wants a queue that there can be, two vectors, room for the headers, and for the largest payload.
fn register_refusals() {
    let _on = enable();
    let fresh = || {
        let fs = accepted();
        let entry = entry(&fs, 0);
        (fs, entry)
    };

    let (fs, mut e) = fresh();
    e.qid = possible_cpus();
    assert_eq!(refused(&fs, e), EINVAL, "the queue");

    for count in [0, 1, 3] {
        let (fs, e) = fresh();
        let mut register = e.register();
        register.iov.1 = count;
        assert_eq!(ring(&fs).run(&register), Err(EINVAL), "{count} vectors");
    }

    let (fs, e) = fresh();
    let mut register = e.register();
    register.iov.0 = 4096;
    assert_eq!(ring(&fs).run(&register), Err(EFAULT), "no vectors there");

    let (fs, e) = fresh();
    e.set_iov(HEADERS - 1, fs.setup.ring_payload());
    assert_eq!(refused(&fs, e), EINVAL, "the headers");

    let (fs, e) = fresh();
    e.set_iov(HEADERS, fs.setup.ring_payload() - 1);
    assert_eq!(refused(&fs, e), EINVAL, "the payload");

    let (fs, e) = fresh();
    let mut register = e.register();
    register.req.uaddr = 1;
    assert_eq!(
        ring(&fs).run(&register),
        Err(EINVAL),
        "a slot for pages on a queue that copies"
    );
}

/// ADD_QUEUE makes a queue once, and knows one flag.
fn add_queue() {
    let _on = enable();
    let fs = accepted();
    let mut ring = ring(&fs);
    let add = command(CMD_ADD_QUEUE, 0);
    assert_eq!(
        ring.run(&command(CMD_ADD_QUEUE, possible_cpus())),
        Err(EINVAL)
    );
    let mut odd = add;
    odd.req.flags = 2;
    assert_eq!(ring.run(&odd), Err(EINVAL));
    assert_eq!(ring.run(&add), Ok(()));
    assert_eq!(ring.run(&add), Err(EEXIST));
    let last = command(CMD_ADD_QUEUE, possible_cpus() - 1);
    assert_eq!(ring.run(&last), Ok(()));
    // REGISTER makes a queue, too.
    let fs = accepted();
    fs.dev().start_ring(1, fs.setup.ring_payload());
    assert_eq!(fs.dev().with_ring(|ring| ring.run(&add)), Err(EEXIST));
}

/// Only who has CAP_SYS_ADMIN in the first user namespace may have a queue whose payloads are not copied.
fn add_queue_with_zero_copy_needs_privilege() {
    let _on = enable();
    let fs = accepted();
    let mut add = command(CMD_ADD_QUEUE, 0);
    add.req.flags = QUEUE_ZERO_COPY;
    let fd = fs.dev().fd();
    let device = dup(fd).unwrap();
    let got = fs
        .call(move |_| {
            become_user(1000, 1000);
            Ring::new(device).run(&add)
        })
        .wait();
    assert_eq!(got, Err(EPERM));
    assert_eq!(ring(&fs).run(&add), Ok(()));
}

/// ADD_BUFPOOL gives buffers to a queue that there is, once, before the first entry, and at least one.
fn add_bufpool() {
    let _on = enable();
    let fs = accepted();
    let mut ring = ring(&fs);
    let one = fs.setup.ring_payload() as u32;
    let memory = RingEntry::new(0, 4 * one as usize);
    let pool = |qid: u16, len: u32| {
        let mut add = command(CMD_ADD_BUFPOOL, qid);
        add.req.uaddr = memory.payload_address() as u64;
        add.req.len = len;
        add
    };
    assert_eq!(ring.run(&pool(0, one)), Err(EINVAL), "no queue yet");
    assert_eq!(ring.run(&command(CMD_ADD_QUEUE, 0)), Ok(()));
    assert_eq!(ring.run(&pool(possible_cpus(), one)), Err(EINVAL), "queue");
    assert_eq!(ring.run(&pool(0, one - 1)), Err(EINVAL), "too short");
    let mut odd = pool(0, one);
    odd.req.reserved = 1;
    assert_eq!(ring.run(&odd), Err(EINVAL), "reserved");
    let mut odd = pool(0, one);
    odd.req.flags = 1;
    assert_eq!(ring.run(&odd), Err(EINVAL), "flags");
    assert_eq!(ring.run(&pool(0, one)), Ok(()));
    assert_eq!(ring.run(&pool(0, one)), Err(EINVAL), "a second one");

    let fs = accepted();
    fs.dev().start_ring(1, fs.setup.ring_payload());
    let late = fs.dev().with_ring(|ring| ring.run(&pool(0, one)));
    assert_eq!(late, Err(EINVAL), "after an entry with a buffer of its own");
}

/// COMMIT_AND_FETCH wants a queue, and the id of a request that this queue has given to the server.
fn commit_refusals() {
    let _on = enable();
    let fs = accepted();
    let mut ring = ring(&fs);
    let commit = |qid, commit_id| {
        let mut commit = command(CMD_COMMIT_AND_FETCH, qid);
        commit.req.commit_id = commit_id;
        commit
    };
    assert_eq!(ring.run(&commit(0, 2)), Err(ENOTCONN), "no queue");
    assert_eq!(ring.run(&commit(possible_cpus(), 2)), Err(EINVAL));
    ring.register_all(1, fs.setup.ring_payload());
    fs.dev().serve_ring(ring);
    assert_eq!(
        fs.dev().with_ring(|ring| ring.run(&commit(0, 0))),
        Err(ENOENT)
    );
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "f");
    let qid = fs.dev().with_ring(|ring| ring.entries[0].qid);
    for (qid, id) in [(qid, r.unique() + 2), (qid, r.unique() + 1)] {
        let got = fs.dev().with_ring(|ring| ring.run(&commit(qid, id)));
        assert_eq!(got, Err(ENOENT), "id {id}");
    }
    let unique = r.unique();
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
    for qid in 0..possible_cpus() {
        let again = fs.dev().with_ring(|ring| ring.run(&commit(qid, unique)));
        assert_eq!(again, Err(ENOENT), "answered already");
    }
}

/// A server that has accepted the ring gets requests when its queues have entries.
fn requests_wait_for_the_ring() {
    let _on = enable();
    let fs = accepted();
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    c.until_asleep();
    fs.quiet();
    fs.dev().start_ring(1, fs.setup.ring_payload());
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(2));
}

/// A REGISTER that fails before the ring is complete gives the ring up: requests come by the device.
fn a_refused_register_opens_the_gate() {
    let _on = enable();
    let fs = accepted();
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    c.until_asleep();
    let bad = entry(&fs, 0);
    bad.set_iov(0, 0);
    assert_eq!(refused(&fs, bad), EINVAL);
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(2));
    assert_eq!(
        ring(&fs).run(&command(CMD_ADD_QUEUE, 0)),
        Err(EOPNOTSUPP),
        "it stays given up"
    );
}

/// Once requests go over the ring, a REGISTER that fails fails alone.
fn a_register_that_is_refused_later_fails_alone() {
    skip_on_c("the ring is given up, and what the server has cannot be answered any more");
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "f");
    let bad = entry(&fs, 0);
    bad.set_iov(0, 0);
    assert_eq!(refused(&fs, bad), EINVAL);
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
    let c = fs.call(|m| m.stat("g").map(|s| s.ino));
    fs.lookup(ROOT, "g", file(3));
    assert_eq!(c.wait(), Ok(3));
    let more = entry(&fs, 0);
    assert!(fs.dev().with_ring(|ring| ring.register(more)).is_ok());
}

fn stat_on(fs: &Fs, cpu: usize, name: &'static str) -> Caller<Result<u64>> {
    fs.call(move |m| {
        on_cpu(cpu);
        m.stat(name).map(|s| s.ino)
    })
}

/// A queue serves the processors, too, whose queues have no entry.
fn fewer_queues_than_processors() {
    skip_on_c("a mount with fewer queues than processors waits for the others");
    let _on = enable();
    let fs = accepted();
    let mut ring = ring(&fs);
    let last = possible_cpus() - 1;
    ring.register(entry(&fs, last)).unwrap();
    fs.dev().serve_ring(ring);
    for (cpu, name) in ["e", "f"].into_iter().enumerate() {
        let c = stat_on(&fs, cpu, name);
        let r = fs.expect_lookup(ROOT, name);
        fs.dev()
            .with_ring(|ring| assert_eq!(ring.entry_of(r.unique()), 0));
        r.ok(file(2).entry());
        assert_eq!(c.wait(), Ok(2));
    }
    // An own queue comes first, as soon as there is one.
    let own = entry(&fs, 0);
    fs.dev().with_ring(|ring| ring.register(own)).unwrap();
    let c = stat_on(&fs, 0, "g");
    let r = fs.expect_lookup(ROOT, "g");
    fs.dev()
        .with_ring(|ring| assert_eq!(ring.entry_of(r.unique()), 1));
    r.ok(file(3).entry());
    assert_eq!(c.wait(), Ok(3));
}

/// When the last entry is gone, requests come by the device, until there is one again.
fn requests_come_by_the_device_without_entries() {
    skip_on_c("requests wait for an entry for ever");
    let _on = enable();
    let fs = accepted();
    let mut one = ring(&fs);
    one.register(entry(&fs, 0)).unwrap();
    drop(one);
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    let r = fs.dev().expect_here(LOOKUP);
    fs.dev()
        .reply(r.unique(), 0, &file(2).entry().bytes())
        .unwrap();
    assert_eq!(c.wait(), Ok(2));
    let mut again = ring(&fs);
    again.register(entry(&fs, 0)).unwrap();
    fs.dev().serve_ring(again);
    let c = fs.call(|m| m.stat("g").map(|s| s.ino));
    let r = fs.expect_lookup(ROOT, "g");
    fs.dev()
        .with_ring(|ring| assert_eq!(ring.entry_of(r.unique()), 0));
    r.ok(file(3).entry());
    assert_eq!(c.wait(), Ok(3));
}

/// A request whose caller goes on does not wait behind others while an entry of another queue waits.
fn a_background_request_goes_where_an_entry_waits() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let closer = with_open(&fs, libc::O_RDONLY, |m, _| {
        on_cpu(0);
        m.pause();
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, FOPEN_NOFLUSH);
    closer.paused();
    let c = stat_on(&fs, 0, "a");
    let lookup = fs.expect_lookup(ROOT, "a");
    closer.go();
    closer.wait();
    if is_rust() {
        fs.release(2, 5);
        lookup.ok(file(3).entry());
    } else {
        fs.quiet();
        lookup.ok(file(3).entry());
        fs.release(2, 5);
    }
    assert_eq!(c.wait(), Ok(3));
}

/// A request lies in the entry: in-header, first structure, and all else in the payload; the id to answer is its unique.
fn one_lookup() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let c = fs.call(|m| {
        let fd = open(&m.path("f"), libc::O_RDONLY)?;
        close(fd)?;
        Ok(())
    });
    let r = fs.expect_lookup(ROOT, "f");
    assert_eq!(r.body, b"f\0");
    assert_eq!(r.head.uid, 0);
    r.ok(file(2).entry());
    let r = fs.expect(OPEN).node(2);
    assert_eq!(r.arg::<OpenIn>().flags & 3, libc::O_RDONLY as u32);
    r.ok(OpenOut {
        fh: 7,
        ..Default::default()
    });
    fs.flush_and_release(2, 7);
    assert_eq!(c.wait(), Ok(()));
}

/// A caller writes the same bytes at each of `places`, past the cache, and reads what is there up to the end of the first;
/// `before` runs in it first. All of it arrives as it was sent.
pub(super) fn move_data<const N: usize>(fs: &Fs, places: [u64; N], before: impl FnOnce()) {
    let data: Vec<u8> = (0..20_000).map(|i| (i % 251) as u8).collect();
    let sent = data.clone();
    let c = with_open(fs, libc::O_RDWR, move |_, f| {
        before();
        for at in places {
            assert_eq!(pwrite(f, &sent, at as i64), Ok(sent.len()));
        }
        pread(f, 20_003, 0)
    });
    fs.lookup(ROOT, "f", file(2).size(0));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    for at in places {
        let r = fs.expect(WRITE);
        let a = WriteIn::from_bytes(&r.body);
        assert_eq!((a.offset, a.size), (at, 20_000));
        assert!(r.body[size_of::<WriteIn>()..] == data);
        r.ok(WriteOut {
            size: 20_000,
            padding: 0,
        });
    }
    let mut answer = vec![0; 3];
    answer.extend(&data);
    fs.expect_read(5, 0, 20_003).reply(&answer);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), Ok(answer));
}

/// Data of WRITE is in the payload, and that of READ goes there.
fn data_in_both_directions() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    move_data(&fs, [3], || ());
}

/// An error goes to the caller, and the payload is not looked at.
fn replies_with_errors() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    r.raw_reply(16, -ODD.0, r.unique(), &[1; 400]).unwrap();
    assert_eq!(c.wait(), Err(ODD));
}

/// A reply that makes no sense ends the request with an error, and the entry takes the next one all the same.
fn malformed_replies() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let good = file(2).entry().bytes();
    let ask = |len: u32, error: i32, unique: u64, body: &[u8]| {
        let c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        let unique = if unique == 1 { r.unique() } else { unique };
        fs.dev().with_ring(|ring| {
            let head = OutHeader { len, error, unique };
            ring.reply(ring.entry_of(r.unique()), head, body)
                .expect("COMMIT");
        });
        c.wait()
    };
    assert_eq!(ask(0, 1, 1, &[]), Err(EINVAL), "a positive error");
    assert_eq!(
        ask(0, -512, 1, &[]),
        Err(EINVAL),
        "an error of the kernel's own"
    );
    assert_eq!(ask(0, 0, 0, &good), Err(EINVAL), "a notification");
    assert_eq!(
        ask(0, 0, 1 << 40, &good),
        Err(ENOENT),
        "another request's id"
    );
    assert_eq!(ask(0, 0, 1, &good[..100]), Err(EINVAL), "too short");
    assert_eq!(ask(0, 0, 1, &[0; 129]), Err(EINVAL), "too long");
    let c = fs.call(|m| m.stat("f").map(|s| s.ino));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(2));
}

/// FORGET and INTERRUPT do not come over the ring.
fn forgets_and_interrupts_come_by_the_device() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    let lookup = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    c.signal(libc::SIGUSR1);
    let i = fs.dev().expect_here(INTERRUPT);
    assert_eq!(i.arg::<InterruptIn>().unique, lookup.unique());
    lookup.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// While each entry of a queue has a request, others wait, in the order in which they came.
fn requests_wait_for_an_entry() {
    let _on = enable();
    let fs = parallel().ring(1).start();
    let on_one = |name: &'static str| {
        fs.call(move |m| {
            on_cpu(0);
            m.stat(name).map(|s| s.ino)
        })
    };
    let a = on_one("a");
    a.until_asleep();
    let first = fs.expect_lookup(ROOT, "a");
    let b = on_one("b");
    b.until_asleep();
    let c = on_one("c");
    c.until_asleep();
    fs.quiet();
    first.ok(file(2).entry());
    fs.lookup(ROOT, "b", file(3));
    fs.lookup(ROOT, "c", file(4));
    assert_eq!((a.wait(), b.wait(), c.wait()), (Ok(2), Ok(3), Ok(4)));
}

/// When the connection is gone commands get ENOTCONN.
fn commands_after_an_abort() {
    let _on = enable();
    let mut fs = Setup::new().ring(1).start();
    fs.force_unmount();
    for op in [
        CMD_REGISTER,
        CMD_COMMIT_AND_FETCH,
        CMD_ADD_QUEUE,
        CMD_ADD_BUFPOOL,
    ] {
        let got = fs.dev().with_ring(|ring| ring.run(&command(op, 0)));
        assert_eq!(got, Err(ENOTCONN), "{op}");
    }
}

/// A command that waits for a request ends with ENOTCONN when the connection does, and the caller of one that the server has
/// with ECONNABORTED.
fn parked_commands_end_with_the_connection() {
    let _on = enable();
    let mut fs = Setup::new().ring(2).start();
    let c = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    fs.force_unmount();
    assert_eq!(c.wait(), Err(ECONNABORTED));
    let parked = 2 * usize::from(possible_cpus()) - 1;
    let mut ended = 0;
    soon(patience(), "parked commands stay", || {
        while let Some((_, error)) = fs.dev().with_ring(Ring::next_failed) {
            assert_eq!(error, ENOTCONN);
            ended += 1;
        }
        ended == parked
    });
    assert_eq!(r.try_reply(&[]), Err(ENOTCONN));
}

/// When the ring and the device are closed, the connection is gone.
fn death_of_the_server() {
    let _on = enable();
    let mut fs = Setup::new().ring(1).start();
    let a = fs.call(|m| m.stat("a").map(drop));
    let r = fs.expect_lookup(ROOT, "a");
    a.until_asleep();
    drop(r);
    fs.die();
    assert_eq!(a.wait(), Err(ECONNABORTED));
    let b = fs.call(|m| m.stat("b").map(drop));
    assert_eq!(b.wait(), Err(ENOTCONN));
}

/// A caller that is killed takes back what waits for an entry; what the server has is waited for.
fn killed_before_and_after_it_is_taken() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let mut a = fs.call(|m| {
        on_cpu(0);
        mkdir(&m.path("a")).map(drop)
    });
    a.until_asleep();
    fs.expect_lookup(ROOT, "a").ok(absent(0, 0));
    let r = fs.expect(MKDIR);
    a.until_asleep();
    let mut b = fs.call(|m| {
        on_cpu(0);
        m.statfs(".").map(drop)
    });
    b.until_asleep();
    b.signal(libc::SIGKILL);
    assert_eq!(b.death(), Death::Signal(libc::SIGKILL));
    a.signal(libc::SIGKILL);
    let i = fs.dev().expect_here(INTERRUPT);
    assert_eq!(i.arg::<InterruptIn>().unique, r.unique());
    assert!(!a.is_gone(), "the server may still make it");
    r.ok(dir(2).entry());
    assert_eq!(a.death(), Death::Signal(libc::SIGKILL));
}
