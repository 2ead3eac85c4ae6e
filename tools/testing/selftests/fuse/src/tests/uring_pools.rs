// SPDX-License-Identifier: GPL-2.0

//! Pools: buffers for payload that the entries of a queue of the ring share.

use super::uring::accepted;
use super::uring::enable;
use super::uring::move_data;
use crate::mockd::*;

crate::tests![
    data_in_memory,
    data_in_a_registered_buffer,
    entries_bring_no_payload,
    entries_and_commits_name_the_registered_buffer,
    requests_wait_for_a_buffer,
    what_has_no_payload_takes_no_buffer,
];

/// A mount with `count` buffers and `depth` entries on each queue.
fn mount(count: usize, depth: usize, registered: bool) -> Fs {
    let fs = accepted();
    let size = fs.setup.ring_payload();
    let mut ring = Ring::new(fs.dev().fd());
    for qid in 0..possible_cpus() {
        ring.run(&add_queue(qid)).expect("ADD_QUEUE");
    }
    // The ring has one registered buffer, so only one queue can have its pool in it.
    for qid in 0..possible_cpus() {
        let pool = ring.add_pool(qid, count, size, registered && qid == 0);
        for _ in 0..depth {
            ring.register(RingEntry::in_pool(qid, &pool))
                .expect("REGISTER");
        }
    }
    fs.dev().serve_ring(ring);
    fs
}

fn add_queue(qid: u16) -> Command {
    Command {
        op: CMD_ADD_QUEUE,
        req: RingCmdReq {
            qid,
            ..Default::default()
        },
        ..Default::default()
    }
}

fn with_data(registered: bool) {
    let _on = enable();
    let fs = mount(2, 3, registered);
    move_data(&fs, [3, 30_000], || on_cpu(0));
}

/// Data goes to and comes from a buffer of the pool, at the offset that the entry says.
fn data_in_memory() {
    with_data(false);
}

/// The pool may be a registered buffer of the server's ring.
fn data_in_a_registered_buffer() {
    with_data(true);
}

/// REGISTER on a queue with a pool gets EINVAL for an entry that has memory for payload of its own.
fn entries_bring_no_payload() {
    let _on = enable();
    let fs = accepted();
    let size = fs.setup.ring_payload();
    let mut ring = Ring::new(fs.dev().fd());
    ring.run(&add_queue(0)).unwrap();
    let _pool = ring.add_pool(0, 1, size, false);
    assert_eq!(ring.register(RingEntry::new(0, size)), Err(EINVAL));
}

/// If the pool is a registered buffer, REGISTER and COMMIT_AND_FETCH get EINVAL unless they name it.
fn entries_and_commits_name_the_registered_buffer() {
    let _on = enable();
    for wrong in [None, Some(1)] {
        let fs = accepted();
        let mut ring = Ring::new(fs.dev().fd());
        ring.run(&add_queue(0)).unwrap();
        let pool = ring.add_pool(0, 1, fs.setup.ring_payload(), true);
        let mut bad = RingEntry::in_pool(0, &pool);
        bad.fixed = wrong;
        assert_eq!(ring.register(bad), Err(EINVAL), "REGISTER with {wrong:?}");
    }
    let fs = mount(1, 1, true);
    let c = fs.call(|m| {
        on_cpu(0);
        m.stat("f").map(|s| s.ino)
    });
    let r = fs.expect_lookup(ROOT, "f");
    for wrong in [None, Some(1)] {
        let got = fs.dev().with_ring(|ring| {
            let mut commit = ring.commit(ring.entry_of(r.unique()));
            commit.fixed = wrong;
            ring.run(&commit)
        });
        assert_eq!(got, Err(EINVAL), "COMMIT with {wrong:?}");
    }
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(2));
}

fn stat_on_0(fs: &Fs, name: &'static str) -> Caller<Result<u64>> {
    let c = fs.call(move |m| {
        on_cpu(0);
        m.stat(name).map(|s| s.ino)
    });
    c.until_asleep();
    c
}

/// While each buffer has a request, others wait, though entries do not have one.
fn requests_wait_for_a_buffer() {
    let _on = enable();
    let fs = mount(2, 4, false);
    let callers: Vec<_> = ["a", "b", "c", "d"].map(|name| stat_on_0(&fs, name)).into();
    let first = fs.expect_lookup(ROOT, "a");
    let second = fs.expect_lookup(ROOT, "b");
    fs.quiet();
    second.ok(file(3).entry());
    let third = fs.expect_lookup(ROOT, "c");
    fs.quiet();
    first.ok(file(2).entry());
    fs.lookup(ROOT, "d", file(5));
    third.ok(file(4).entry());
    let inodes: Vec<_> = callers.iter().map(Caller::wait).collect();
    assert_eq!(inodes, [Ok(2), Ok(3), Ok(4), Ok(5)]);
}

/// A request without payload in either direction goes without a buffer, and leaves the one of an entry to others.
fn what_has_no_payload_takes_no_buffer() {
    let _on = enable();
    let fs = mount(1, 3, false);
    let holder = with_open(&fs, libc::O_RDONLY, |m, _| {
        on_cpu(0);
        m.pause();
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    holder.paused();
    let c = stat_on_0(&fs, "a");
    let lookup = fs.expect_lookup(ROOT, "a");
    // It closes the file.
    holder.go();
    let flush = fs.expect(FLUSH);
    // Its entry has no buffer, so this one waits for that of the first.
    let d = stat_on_0(&fs, "b");
    flush.reply(&[]);
    holder.wait();
    fs.quiet();
    lookup.ok(file(3).entry());
    fs.lookup(ROOT, "b", file(4));
    fs.release(2, 5);
    assert_eq!((c.wait(), d.wait()), (Ok(3), Ok(4)));
}
