// SPDX-License-Identifier: GPL-2.0

//! INTERRUPT: a signal for a caller whose request the server has; and what signals do to waiting callers before that.

use crate::mockd::*;

crate::tests![
    message,
    server_answers_eintr,
    server_answers_as_if_nothing_happened,
    sent_once_for_many_signals,
    signal_before_the_request_is_read,
    answered_before_it_is_read,
    read_before_other_requests,
    eagain_sends_it_again,
    eagain_for_a_finished_request,
    enosys_turns_it_off,
    other_answers_are_ignored,
    answer_with_a_body,
    ignored_and_blocked_signals,
    close_is_interruptible_in_name_only,
    each_request_has_its_own,
    reads_into_the_page_cache,
    fatal_signal,
];

const SIG: i32 = libc::SIGUSR1;

/// A caller of stat("f") that catches `SIG`; asleep in its LOOKUP, which the server has read and not answered.
fn waiting_in_lookup(fs: &Fs) -> (Caller<Result<()>>, Request) {
    let c = fs.call(|m| {
        catch(SIG);
        m.stat("f").map(drop)
    });
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    (c, r)
}

/// INTERRUPT names the unique number of the request; its own is that number with bit 0 set; nobody sends it.
fn message() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let i = fs.expect(INTERRUPT).node(0);
    assert_eq!(i.arg::<InterruptIn>().unique, r.unique());
    assert_eq!(i.unique(), r.unique() | INTERRUPT_BIT);
    assert_eq!((i.head.uid, i.head.gid, i.head.pid), (0, 0, 0));
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A server that gives up answers the request with EINTR, and the call ends with EINTR.
fn server_answers_eintr() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// The caller waits for the answer to its request all the same, and gets what it says.
fn server_answers_as_if_nothing_happened() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    c.until_uninterruptible();
    c.stays_asleep();
    r.ok(file(2).entry());
    assert_eq!(c.wait(), Ok(()));
}

/// However many signals come, INTERRUPT is sent once for a request.
fn sent_once_for_many_signals() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    c.until_uninterruptible();
    for _ in 0..5 {
        c.signal(SIG);
    }
    c.stays_asleep();
    fs.quiet();
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// A signal before the server has read the request leaves it to be read; INTERRUPT comes right after it.
fn signal_before_the_request_is_read() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        catch(SIG);
        m.stat("f").map(drop)
    });
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    c.until_interruptible();
    c.signal(SIG);
    c.until_uninterruptible();
    let r = fs.expect_lookup(ROOT, "f");
    let i = fs.expect(INTERRUPT);
    assert_eq!(i.arg::<InterruptIn>().unique, r.unique());
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// An INTERRUPT that the server has not read is withdrawn by its answer to the request: there is nothing to read then.
fn answered_before_it_is_read() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    r.err(ENOENT);
    assert!(!fs.dev().readable());
    assert_eq!(fs.dev().read(1 << 17), Err(EAGAIN));
    assert_eq!(c.wait(), Err(ENOENT));
}

/// INTERRUPT is read before requests that have waited longer.
fn read_before_other_requests() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let (c, r) = waiting_in_lookup(&fs);
    let other = fs.call(|m| m.stat("g").map(drop));
    other.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(SIG);
    c.until_uninterruptible();
    let _ = fs.expect(INTERRUPT);
    fs.expect_lookup(ROOT, "g").err(ENOENT);
    r.err(EINTR);
    assert_eq!((c.wait(), other.wait()), (Err(EINTR), Err(ENOENT)));
}

/// EAGAIN as the answer to INTERRUPT, under its own unique number, asks to be told again.
fn eagain_sends_it_again() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    for _ in 0..3 {
        let i = fs.expect(INTERRUPT);
        assert_eq!(i.arg::<InterruptIn>().unique, r.unique());
        fs.quiet();
        assert_eq!(i.answer_interrupt(EAGAIN), Ok(()));
    }
    let _ = fs.expect(INTERRUPT);
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// An answer to INTERRUPT after the answer to its request finds nothing: ENOENT.
fn eagain_for_a_finished_request() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let i = fs.expect(INTERRUPT);
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
    assert_eq!(i.answer_interrupt(EAGAIN), Err(ENOENT));
}

/// ENOSYS as the answer to INTERRUPT turns it off for good; signals then do nothing to waiting callers.
fn enosys_turns_it_off() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    assert_eq!(fs.expect(INTERRUPT).answer_interrupt(ENOSYS), Ok(()));
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));

    let c = fs.call(|m| {
        catch(SIG);
        m.stat("f").map(drop)
    });
    let r = fs.expect_lookup(ROOT, "f");
    c.until_asleep();
    c.signal(SIG);
    c.until_uninterruptible();
    c.stays_asleep();
    fs.quiet();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// Any other answer to INTERRUPT is taken and means nothing.
fn other_answers_are_ignored() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let i = fs.expect(INTERRUPT);
    for e in [0, EINTR.0, EIO.0] {
        assert_eq!(fs.dev().reply(i.unique(), -e, &[]), Ok(()));
    }
    c.stays_asleep();
    fs.quiet();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// An answer to INTERRUPT has no body: EINVAL.
fn answer_with_a_body() {
    let fs = Fs::new();
    let (c, r) = waiting_in_lookup(&fs);
    c.signal(SIG);
    let i = fs.expect(INTERRUPT);
    assert_eq!(fs.dev().reply(i.unique(), 0, &[0; 8]), Err(EINVAL));
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// Signals that the caller ignores or blocks interrupt nothing.
fn ignored_and_blocked_signals() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        ignore(libc::SIGUSR1);
        catch(libc::SIGUSR2);
        block_signal(libc::SIGUSR2);
        m.stat("f").map(drop)
    });
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    c.signal(libc::SIGUSR1);
    c.signal(libc::SIGUSR2);
    c.stays_asleep();
    assert_eq!(c.state(), 'S');
    fs.quiet();
    r.err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// FLUSH in close(2) is announced as interrupted too, and waited for whatever comes.
fn close_is_interruptible_in_name_only() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        catch(SIG);
        m.open("f").and_then(close)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    let flush = fs.expect(FLUSH);
    c.until_interruptible();
    c.signal(SIG);
    assert_eq!(
        fs.expect(INTERRUPT).arg::<InterruptIn>().unique,
        flush.unique()
    );
    c.stays_asleep();
    flush.reply(&[]);
    assert_eq!(c.wait(), Ok(()));
    fs.release(2, 5);
}

/// Two interrupted callers are two INTERRUPTs, and answering one does not touch the other.
fn each_request_has_its_own() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let (a, ra) = waiting_in_lookup(&fs);
    let b = fs.call(|m| {
        catch(SIG);
        m.stat("g").map(drop)
    });
    let rb = fs.expect_lookup(ROOT, "g");
    b.until_interruptible();
    a.signal(SIG);
    a.until_uninterruptible();
    b.signal(SIG);
    b.until_uninterruptible();
    for r in [&ra, &rb] {
        assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
    }
    rb.err(EINTR);
    assert_eq!(b.wait(), Err(EINTR));
    a.stays_asleep();
    ra.ok(file(2).entry());
    assert_eq!(a.wait(), Ok(()));
}

/// A direct read that is answered with EINTR ends so; one that has data keeps it.
fn reads_into_the_page_cache() {
    let fs = Setup::new().option("max_read=4096").start();
    let c = fs.call(|m| {
        catch(SIG);
        let f = m.open("f").unwrap();
        let r = (pread(f, 4096, 0), pread(f, 8192, 0).map(|d| d.len()));
        close(f).unwrap();
        r
    });
    fs.lookup(ROOT, "f", file(2).size(8192));
    fs.open(2, 5, FOPEN_DIRECT_IO);
    let r = fs.expect_read(5, 0, 4096);
    c.until_interruptible();
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    r.err(EINTR);
    fs.expect_read(5, 0, 4096).reply(&[1; 4096]);
    let r = fs.expect_read(5, 4096, 4096);
    c.until_interruptible();
    c.signal(SIG);
    let _ = fs.expect(INTERRUPT);
    r.err(EINTR);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (Err(EINTR), Ok(4096)));
}

/// A fatal signal sends INTERRUPT like any other once the server has the request.
fn fatal_signal() {
    let fs = Fs::new();
    let (mut c, r) = waiting_in_lookup(&fs);
    c.signal(libc::SIGTERM);
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
    // Whether the caller waits for the answer is another matter: see `kill`.
    if !is_rust() {
        c.stays_asleep();
    }
    r.err(EINTR);
    assert_eq!(c.death(), Death::Signal(libc::SIGTERM));
}
