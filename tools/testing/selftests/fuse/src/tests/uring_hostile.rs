// SPDX-License-Identifier: GPL-2.0

//! Commands of the ring that no good server makes: at odd times, from odd places, again and again.

use super::requests::with_slow_map;
use super::uring::accepted;
use super::uring::enable;
use crate::mockd::*;

crate::tests![
    lengths_that_no_entry_has,
    answered_by_another_task_over_another_ring,
    the_ring_that_has_the_entry_is_closed,
    what_waits_goes_elsewhere_with_the_last_entry,
    answered_while_it_is_copied,
    signal_while_it_is_copied,
    memory_that_is_gone,
    registered_and_aborted_again_and_again,
];

/// A payload that is longer than the entry has room for ends the request with EINVAL.
fn lengths_that_no_entry_has() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let room = fs.setup.ring_payload() as u32;
    for claimed in [room + 1, i32::MAX as u32, u32::MAX] {
        let c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        let head = OutHeader {
            len: 0,
            error: 0,
            unique: r.unique(),
        };
        fs.dev().with_ring(|ring| {
            let index = ring.entry_of(r.unique());
            ring.reply_claiming(index, head, &[], claimed).unwrap();
        });
        assert_eq!(c.wait(), Err(EINVAL), "{claimed}");
    }
}

fn stat_on_0(fs: &Fs, name: &'static str) -> Caller<Result<u64>> {
    fs.call(move |m| {
        on_cpu(0);
        m.stat(name).map(|s| s.ino)
    })
}

/// Any task may answer, over any ring: the answer is in its memory. The entry waits there then.
fn answered_by_another_task_over_another_ring() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let c = stat_on_0(&fs, "f");
    let r = fs.expect_lookup(ROOT, "f");
    let (unique, device) = (r.unique(), dup(fs.dev().fd()).unwrap());
    let entry = fs.dev().with_ring(|ring| {
        let index = ring.entry_of(unique);
        ring.entries.remove(index)
    });
    let other = Caller::start_with_devices(&fs.dir, move |m| {
        let mut ring = Ring::new(device);
        ring.entries.push(entry);
        let answer = |ring: &mut Ring, unique, node: Node| {
            let head = OutHeader {
                len: 0,
                error: 0,
                unique,
            };
            ring.reply(0, head, &node.entry().bytes())
        };
        answer(&mut ring, unique, file(2)).unwrap();
        m.pause();
        assert_eq!(ring.wait(), 0);
        let unique = ring.entries[0].ent().commit_id;
        answer(&mut ring, unique, file(3)).unwrap();
        m.pause();
    });
    other.paused();
    assert_eq!(c.wait(), Ok(2));
    let c = stat_on_0(&fs, "g");
    other.go();
    other.paused();
    assert_eq!(c.wait(), Ok(3));
    other.go();
    other.wait();
    drop(r);
}

/// When a ring is closed that entries wait in, they are gone; another is registered in their place.
fn the_ring_that_has_the_entry_is_closed() {
    let _on = enable();
    let fs = Setup::new().ring(1).start();
    let payload = fs.setup.ring_payload();
    let mut one = Ring::new(fs.dev().fd());
    one.register(RingEntry::new(0, payload)).unwrap();
    drop(one);
    fs.dev().with_ring(|ring| ring.register_all(1, payload));
    let callers = ["a", "b"].map(|name| {
        let c = stat_on_0(&fs, name);
        c.until_asleep();
        c
    });
    fs.lookup(ROOT, "a", file(2));
    fs.lookup(ROOT, "b", file(2));
    assert_eq!(callers.map(|c| c.wait()), [Ok(2), Ok(2)]);
}

/// What is on its way to a task that is killed ends with ECANCELED; what waits behind it goes to another queue.
fn what_waits_goes_elsewhere_with_the_last_entry() {
    skip_on_c("what waits on a queue without entries waits for ever");
    let _on = enable();
    let fs = accepted();
    let (device, payload) = (dup(fs.dev().fd()).unwrap(), fs.setup.ring_payload());
    let mut killed = Caller::<()>::start_with_devices(&fs.dir, move |m| {
        let mut ring = Ring::new(device);
        ring.register(RingEntry::new(0, payload)).unwrap();
        m.pause();
        m.pause();
    });
    killed.paused();
    let mut ring = Ring::new(fs.dev().fd());
    ring.register(RingEntry::new(1, payload)).unwrap();
    fs.dev().serve_ring(ring);
    killed.signal(libc::SIGSTOP);
    soon(patience(), "it does not stop", || killed.state() == 'T');
    let a = stat_on_0(&fs, "a");
    a.until_asleep();
    let b = stat_on_0(&fs, "b");
    b.until_asleep();
    fs.quiet();
    killed.signal(libc::SIGKILL);
    assert_eq!(killed.death(), Death::Signal(libc::SIGKILL));
    assert_eq!(a.wait(), Err(Errno(libc::ECANCELED)));
    fs.lookup(ROOT, "b", file(3));
    assert_eq!(b.wait(), Ok(3));
}

/// A server whose entry on queue 0 has memory for payload that comes when the test says so. It waits for a request, and
/// gives its id; then it answers with ENOENT.
fn slow_server(fs: &Fs, slow: &Fs) -> Caller<u64> {
    let (device, payload) = (dup(fs.dev().fd()).unwrap(), fs.setup.ring_payload());
    Caller::start_with_devices(&slow.dir, move |m| {
        let mut ring = Ring::new(device);
        for qid in 1..possible_cpus() {
            ring.register(RingEntry::new(qid, payload)).unwrap();
        }
        let served = with_slow_map(m, payload, |at| {
            let entry = RingEntry::new(0, payload);
            entry.set_iov_at((entry.headers_address(), HEADERS), (at, payload));
            let index = ring.register(entry).unwrap();
            m.pause();
            assert_eq!(ring.wait(), index);
            let unique = ring.entries[index].ent().commit_id;
            m.pause();
            let head = OutHeader {
                len: 16,
                error: -ENOENT.0,
                unique,
            };
            ring.reply(index, head, &[]).unwrap();
            m.pause();
            Ok(unique)
        });
        served.unwrap()
    })
}

/// A mount with such a server, and a caller whose request is being copied: the page that is to come.
fn being_copied(fs: &Fs, slow: &Fs) -> (Caller<u64>, Caller<Result<u64>>, Request) {
    let server = slow_server(fs, slow);
    slow.lookup(ROOT, "buffer", file(2).size(fs.setup.ring_payload() as u64));
    slow.open(2, 5, FOPEN_NOFLUSH);
    server.paused();
    let c = fs.call(|m| {
        on_cpu(0);
        catch(libc::SIGUSR1);
        m.stat("f").map(|s| s.ino)
    });
    c.until_interruptible();
    server.go();
    let fault = slow.expect_read(5, 0, 4096);
    (server, c, fault)
}

/// Ends what [`being_copied`] has begun, and gives the id of the request.
fn end(slow: &Fs, server: Caller<u64>) -> u64 {
    server.go();
    slow.release(2, 5);
    server.wait()
}

/// A request that is being copied cannot be answered, though its id may be guessed: ENOENT.
fn answered_while_it_is_copied() {
    let _on = enable();
    let (fs, slow) = (accepted(), Setup::new().start());
    let (server, c, fault) = being_copied(&fs, &slow);
    let mut ring = Ring::new(fs.dev().fd());
    for id in 0..64 {
        let commit = Command {
            op: CMD_COMMIT_AND_FETCH,
            req: RingCmdReq {
                commit_id: id,
                ..Default::default()
            },
            ..Default::default()
        };
        assert_eq!(ring.run(&commit), Err(ENOENT), "{id}");
    }
    fault.reply(&[0; 4096]);
    server.paused();
    server.go();
    server.paused();
    assert_eq!(c.wait(), Err(ENOENT));
    assert!(end(&slow, server) < 64);
}

/// A signal that comes while a request is copied is told to the server when it has the request.
fn signal_while_it_is_copied() {
    skip_on_c("the signal is lost");
    let _on = enable();
    let (fs, slow) = (accepted(), Setup::new().start());
    let (server, c, fault) = being_copied(&fs, &slow);
    c.signal(libc::SIGUSR1);
    // It has left its sleep, and sleeps again.
    sleep_ms(20);
    c.until_asleep();
    fault.reply(&[0; 4096]);
    server.paused();
    let i = fs.dev().expect_here(INTERRUPT);
    server.go();
    server.paused();
    assert_eq!(c.wait(), Err(ENOENT));
    assert_eq!(i.arg::<InterruptIn>().unique, end(&slow, server));
}

/// A request whose place is not there ends with EFAULT, and so does an answer that is not there.
fn memory_that_is_gone() {
    let _on = enable();
    let fs = accepted();
    let payload = fs.setup.ring_payload();
    let mut ring = Ring::new(fs.dev().fd());
    for qid in 0..possible_cpus() {
        let entry = RingEntry::new(qid, payload);
        entry.set_iov_at((entry.headers_address(), HEADERS), (4096, payload));
        ring.register(entry).unwrap();
    }
    fs.dev().serve_ring(ring);
    for _ in 0..2 {
        let c = stat_on_0(&fs, "f");
        // The server's task has to look.
        soon(patience(), "the request stays", || {
            assert!(!fs.dev().with_ring(Ring::has_next));
            !c.running()
        });
        assert_eq!(c.wait(), Err(EFAULT));
    }
}

/// Rings that are registered and aborted over and over leave nothing: kmemleak and the unload of the module tell.
fn registered_and_aborted_again_and_again() {
    let _on = enable();
    for turn in 0..(25 * stress() / 60).max(10) {
        let mut fs = Setup::new().ring(2).start();
        let c = stat_on_0(&fs, "f");
        let r = fs.expect_lookup(ROOT, "f");
        let payload = fs.setup.ring_payload();
        // Of another ring, which goes before the mount, or after it.
        let mut other = Ring::new(fs.dev().fd());
        other.register(RingEntry::new(0, payload)).unwrap();
        let left = if turn % 2 == 0 {
            drop(other);
            None
        } else {
            Some(other)
        };
        match turn % 3 {
            0 => fs.force_unmount(),
            1 => {
                // Both have the device open.
                drop((r, left));
                fs.die();
            }
            _ => r.err(ENOENT),
        }
        assert!(c.wait().is_err());
    }
}
