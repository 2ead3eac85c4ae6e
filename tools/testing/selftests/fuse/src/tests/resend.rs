// SPDX-License-Identifier: GPL-2.0

//! RESEND against everything else that may happen to a request: signals, kills, answers, other devices, the end.
//!
//! What was sent and not answered waits to be read again, as if nobody had read it, under a new id.

use super::clone::clone_of;
use super::control::Control;
use crate::mockd::*;

crate::tests![
    killed_before_it_is_read_again,
    interrupted_before,
    interrupted_and_killed_before,
    interrupted_after,
    killed_and_waiting_before,
    killed_and_gone_before,
    of_an_unread_interrupt,
    answers_to_the_old_interrupt,
    abort_before_it_is_read_again,
    death_before_it_is_read_again,
    unmount_before_it_is_read_again,
    from_every_device,
    again_and_again,
    what_nobody_answers_is_not_sent_again,
    of_background_requests,
    wakes_as_many_readers_as_there_are_requests,
    requests_in_any_order,
];

use crate::mockd::notice::RESEND;
/// Marks the id of a request that is sent again.
const AGAIN: u64 = 1 << 63;

#[track_caller]
fn resend(dev: &Device) {
    dev.reply(0, RESEND, &[]).expect("RESEND");
}

/// stat(name), asleep in its LOOKUP, which the server has read.
fn asking_for(fs: &Fs, name: &'static str) -> (Caller<Result<()>>, Request) {
    let c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat(name).map(drop)
    });
    let r = fs.expect_lookup(ROOT, name);
    c.until_interruptible();
    (c, r)
}

/// The LOOKUP of `name` comes again.
#[track_caller]
fn expect_again(fs: &Fs, name: &str, first: &Request) -> Request {
    let r = fs.expect_lookup(ROOT, name);
    assert_eq!(r.unique(), first.unique() | AGAIN);
    r
}

/// INTERRUPT comes, and is about this request.
#[track_caller]
fn expect_interrupt(fs: &Fs, of: &Request) -> Request {
    let i = fs.expect(INTERRUPT);
    assert_eq!(i.arg::<InterruptIn>().unique, of.unique());
    assert_eq!(i.unique(), of.unique() | INTERRUPT_BIT);
    i
}

/// A caller that is killed now is one whose request nobody has read: it dies at once, and nothing is left to read.
fn killed_before_it_is_read_again() {
    let fs = Fs::new();
    let (mut c, r) = asking_for(&fs, "f");
    resend(fs.dev());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
    assert_eq!(r.try_reply(&[]), Err(ENOENT));
}

/// A signal before RESEND is told the server again, after the request and with its new id.
fn interrupted_before() {
    let fs = Fs::new();
    let (c, r) = asking_for(&fs, "f");
    c.signal(libc::SIGUSR1);
    let _ = expect_interrupt(&fs, &r);
    c.until_uninterruptible();
    resend(fs.dev());
    let again = expect_again(&fs, "f", &r);
    let _ = expect_interrupt(&fs, &again);
    again.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// A caller that was interrupted, and is killed after RESEND, leaves neither a request nor an INTERRUPT behind
/// (CVE-2026-64265).
fn interrupted_and_killed_before() {
    for unread in [true, false] {
        let fs = Fs::new();
        let (mut c, r) = asking_for(&fs, "f");
        c.signal(libc::SIGUSR1);
        c.until_uninterruptible();
        assert!(fs.dev().readable());
        if !unread {
            let _ = expect_interrupt(&fs, &r);
        }
        resend(fs.dev());
        c.signal(libc::SIGKILL);
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
        fs.quiet();
        assert_eq!(fs.dev().read(1 << 17), Err(EAGAIN));
        // The queue is as good as new.
        let (c, r) = asking_for(&fs, "g");
        c.signal(libc::SIGUSR1);
        let _ = expect_interrupt(&fs, &r);
        r.err(EINTR);
        assert_eq!(c.wait(), Err(EINTR));
    }
}

/// A signal after RESEND waits until the request is read again.
fn interrupted_after() {
    let fs = Fs::new();
    let (c, r) = asking_for(&fs, "f");
    resend(fs.dev());
    c.signal(libc::SIGUSR1);
    c.until_uninterruptible();
    let again = expect_again(&fs, "f", &r);
    let _ = expect_interrupt(&fs, &again);
    again.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// A killed caller that waits for an answer goes on waiting, now for the answer to what is read again.
fn killed_and_waiting_before() {
    let fs = Fs::new();
    let mut c = fs.call(|m| mkdir(&m.path("d")));
    fs.expect_lookup(ROOT, "d").ok(absent(0, 0));
    let r = fs.expect(MKDIR);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    let _ = expect_interrupt(&fs, &r);
    c.until_uninterruptible();
    resend(fs.dev());
    c.stays_asleep();
    let again = fs.expect(MKDIR);
    assert_eq!(again.unique(), r.unique() | AGAIN);
    let _ = expect_interrupt(&fs, &again);
    again.err(EINTR);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// The request of a caller that has left is sent again as well, and counts as waiting until it is answered.
fn killed_and_gone_before() {
    let ctl = Control::new();
    let fs = Fs::new();
    let (mut c, r) = asking_for(&fs, "f");
    c.signal(libc::SIGKILL);
    if is_rust() {
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    } else {
        c.until_uninterruptible();
    }
    let _ = expect_interrupt(&fs, &r);
    resend(fs.dev());
    assert_eq!(ctl.get(&fs, "waiting"), Ok("1\n".into()));
    let again = expect_again(&fs, "f", &r);
    let _ = expect_interrupt(&fs, &again);
    again.err(EINTR);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
}

/// An INTERRUPT that was not read yet goes with the old id: the server does not hear of a request that it has not.
fn of_an_unread_interrupt() {
    let fs = Fs::new();
    let (c, r) = asking_for(&fs, "f");
    c.signal(libc::SIGUSR1);
    c.until_uninterruptible();
    assert!(fs.dev().readable());
    resend(fs.dev());
    let again = expect_again(&fs, "f", &r);
    let _ = expect_interrupt(&fs, &again);
    fs.quiet();
    again.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// EAGAIN for an INTERRUPT of the old id finds nothing; for one of the new id it asks for another.
fn answers_to_the_old_interrupt() {
    let fs = Fs::new();
    let (c, r) = asking_for(&fs, "f");
    c.signal(libc::SIGUSR1);
    let old = expect_interrupt(&fs, &r);
    resend(fs.dev());
    assert_eq!(old.answer_interrupt(EAGAIN), Err(ENOENT));
    let again = expect_again(&fs, "f", &r);
    let i = expect_interrupt(&fs, &again);
    fs.quiet();
    assert_eq!(i.answer_interrupt(EAGAIN), Ok(()));
    let _ = expect_interrupt(&fs, &again);
    again.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// Several callers, one of them interrupted, whose requests wait to be read again but for the last.
fn three_sent_again(fs: &Fs) -> Vec<Caller<Result<()>>> {
    let (callers, requests): (Vec<_>, Vec<_>) = ["a", "b", "c"]
        .map(|name| asking_for(fs, name))
        .into_iter()
        .unzip();
    callers[1].signal(libc::SIGUSR1);
    let _ = expect_interrupt(fs, &requests[1]);
    callers[1].until_uninterruptible();
    resend(fs.dev());
    callers
}

fn parallel() -> Fs {
    Setup::new().flags(init::PARALLEL_DIROPS).start()
}

/// An abort ends what waits to be read again like anything else (CVE-2024-38626).
fn abort_before_it_is_read_again() {
    let ctl = Control::new();
    for read in 0..3 {
        let mut fs = parallel();
        let callers = three_sent_again(&fs);
        for _ in 0..read {
            let r = fs.dev().next();
            assert!(matches!(r.head.opcode, LOOKUP | INTERRUPT));
        }
        ctl.set(&fs, "abort", "1").unwrap();
        for c in callers {
            assert_eq!(c.wait(), Err(ECONNABORTED));
        }
        assert_eq!(fs.dev().read(1 << 17), Err(ENODEV));
        assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
        fs.die();
        fs.unmount();
    }
}

/// So does the death of the server.
fn death_before_it_is_read_again() {
    let mut fs = parallel();
    let callers = three_sent_again(&fs);
    fs.die();
    for c in callers {
        assert_eq!(c.wait(), Err(ECONNABORTED));
    }
}

/// So does a forced unmount.
fn unmount_before_it_is_read_again() {
    let mut fs = parallel();
    let callers = three_sent_again(&fs);
    fs.force_unmount();
    for c in callers {
        assert_eq!(c.wait(), Err(ECONNABORTED));
    }
}

/// RESEND through any device is about the requests of all; whoever reads one again has to answer it.
fn from_every_device() {
    let fs = parallel();
    let clone = clone_of(fs.dev().fd()).unwrap();
    let (a, ra) = asking_for(&fs, "a");
    let b = fs.call(|m| m.stat("b").map(drop));
    let rb = clone.expect(LOOKUP);
    resend(&clone);
    assert_eq!(ra.try_reply(&[]), Err(ENOENT));
    assert_eq!(rb.try_reply(&[]), Err(ENOENT));
    // Each is read by the other device.
    let (mut on_clone, mut on_first) = (clone.expect(LOOKUP), fs.expect(LOOKUP));
    if on_clone.name() == "b" {
        std::mem::swap(&mut on_clone, &mut on_first);
    }
    let mut uniques = [on_clone.unique(), on_first.unique()];
    let mut expected = [ra.unique() | AGAIN, rb.unique() | AGAIN];
    uniques.sort();
    expected.sort();
    assert_eq!(uniques, expected);
    on_clone.err(ENOENT);
    on_first.err(ENOENT);
    assert_eq!((a.wait(), b.wait()), (Err(ENOENT), Err(ENOENT)));
}

/// A request may be sent again any number of times; its id does not change any more.
fn again_and_again() {
    let fs = Fs::new();
    let (c, r) = asking_for(&fs, "f");
    for _ in 0..5 {
        resend(fs.dev());
        // Twice is as good as once while it is not read.
        resend(fs.dev());
        let again = expect_again(&fs, "f", &r);
        fs.quiet();
        drop(again);
    }
    fs.dev()
        .reply(r.unique() | AGAIN, -libc::ENOENT, &[])
        .unwrap();
    assert_eq!(c.wait(), Err(ENOENT));
}

/// FORGET, and what a server has for a notification, owe no answer, and are not sent again.
fn what_nobody_answers_is_not_sent_again() {
    let fs = Fs::new();
    let c = fs.call(|m| m.stat("f").map(drop));
    fs.lookup(ROOT, "f", file(2));
    assert_eq!(c.wait(), Ok(()));
    drop_caches();
    assert_eq!(forgotten(&fs.dev().next()), [(2, 1)]);
    resend(fs.dev());
    fs.quiet();
}

/// Requests that nobody waits for are sent again, too.
fn of_background_requests() {
    let fs = Fs::new();
    let c = fs.call(|m| m.open("f").and_then(close));
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.flush(2, 5);
    let r = fs.expect(RELEASE);
    assert_eq!(c.wait(), Ok(()));
    resend(fs.dev());
    assert_eq!(r.try_reply(&[]), Err(ENOENT));
    let again = fs.expect(RELEASE);
    assert_eq!(again.unique(), r.unique() | AGAIN);
    again.reply(&[]);
}

/// Each of the threads of a server that sleep in a read gets one: the first may not come back before the second has
/// answered.
fn wakes_as_many_readers_as_there_are_requests() {
    skip_on_c("RESEND of several requests wakes one reader");
    let fs = parallel();
    let callers = ["a", "b"].map(|name| asking_for(&fs, name).0);
    let readers = [(), ()].map(|()| {
        let clone = clone_of(fs.dev().fd()).unwrap();
        set_nonblock(clone.fd(), false);
        let reader = Caller::start_with_devices(&fs.dir, |_| clone.read(1 << 20).map(drop));
        reader.until_interruptible();
        (reader, clone)
    });
    resend(fs.dev());
    for (reader, clone) in readers {
        assert_eq!(reader.wait(), Ok(()));
        // What it has read ends with its device.
        drop(clone);
    }
    drop(fs);
    for c in callers {
        assert_eq!(c.wait(), Err(ECONNABORTED));
    }
}

/// One of the callers of [`requests_in_any_order`].
struct One {
    caller: Caller<Result<()>>,
    killed: bool,
}

impl One {
    /// Whether it has ended; it was killed then, or had its answer.
    fn is_gone(&mut self) -> bool {
        let gone = self.caller.is_gone();
        if gone && !self.killed {
            assert_eq!(self.caller.wait(), Err(ENOENT));
        }
        gone
    }
}

/// Answers what was read, through the device that read it. What was answered already, or sent again, is not found.
fn answer(r: Request) {
    if r.head.opcode == INTERRUPT {
        let _ = r.answer_interrupt(EAGAIN);
    } else {
        let _ = r.raw_reply(OUT_HEADER as u32, -libc::ENOENT, r.unique(), &[]);
    }
}

/// Whatever comes in which order (signals, kills, RESEND, reads by two devices, answers, INTERRUPTs that are not wanted
/// now), every caller is answered or dies, and nothing is left (CVE-2026-80860).
fn requests_in_any_order() {
    const STEPS: usize = 400;
    // Here, so that no signal comes before a caller is ready for it.
    catch(libc::SIGUSR1);
    let ctl = Control::new();
    let fs = parallel();
    let devices = [fs.dev().clone(), clone_of(fs.dev().fd()).unwrap()];
    let mut dice = Dice::new(0);
    let mut callers: Vec<One> = Vec::new();
    let mut requests: Vec<Request> = Vec::new();
    for step in 0..STEPS {
        match dice.below(10) {
            0 | 1 if callers.len() < 12 => callers.push(One {
                caller: fs.call(|m| m.stat(&step.to_string()).map(drop)),
                killed: false,
            }),
            2 | 3 if !callers.is_empty() => {
                let at = dice.index(callers.len());
                callers[at].caller.signal(libc::SIGUSR1);
            }
            4 if !callers.is_empty() => {
                let at = dice.index(callers.len());
                callers[at].killed = true;
                callers[at].caller.signal(libc::SIGKILL);
            }
            5 => resend(&devices[dice.index(2)]),
            6 if !requests.is_empty() => answer(requests.swap_remove(dice.index(requests.len()))),
            _ => requests.extend(devices[dice.index(2)].next_within(0)),
        }
        callers.retain_mut(|one| !one.is_gone());
    }
    serve_until(fs.dev(), answer, || {
        requests.drain(..).for_each(answer);
        callers.retain_mut(|one| !one.is_gone());
        callers.is_empty()
    });
    assert_eq!(ctl.get(&fs, "waiting"), Ok("0\n".into()));
}
