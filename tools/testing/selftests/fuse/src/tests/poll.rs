// SPDX-License-Identifier: GPL-2.0

//! POLL: whether a file is ready is for the server to say.

use crate::mockd::*;

crate::tests![
    asks_the_server,
    waits_to_be_notified,
    unknown_events,
    without_poll,
    that_fails,
    one_of_two_files,
    one_number_for_all_pollers,
    many_pollers,
    epoll_is_notified,
    closed_while_in_an_epoll_set,
    of_no_number,
    of_a_wrong_length,
    after_the_release,
    abort_wakes_pollers,
    death_wakes_pollers,
];

const NOTIFY_POLL: i32 = 1;

const IN: i16 = libc::POLLIN;
const OUT: i16 = libc::POLLOUT;
const ERR: i16 = libc::POLLERR;
const HUP: i16 = libc::POLLHUP;
const ALL: i16 = IN | OUT | libc::POLLRDNORM | libc::POLLWRNORM;

/// Opens "f" and polls it for `events`, with a limit that only a failing test meets.
fn opened<T: Ship>(fs: &Fs, with: impl FnOnce(&Side, i32) -> T) -> Caller<T> {
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        with(m, f)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c
}

fn wait(fd: i32, events: i16) -> i32 {
    sys::poll(fd, events, patience()).into()
}

/// POLL of handle 5 comes; returns it and its struct.
#[track_caller]
fn expect(fs: &Fs) -> (Request, PollIn) {
    let r = fs.expect(POLL).node(2);
    let arg = r.arg::<PollIn>();
    assert_eq!(arg.fh, 5);
    (r, arg)
}

fn ready(r: Request, events: i16) {
    r.ok(PollOut {
        revents: events as u16 as u32,
        padding: 0,
    });
}

fn notify(fs: &Fs, kh: u64) -> Result<()> {
    fs.dev().reply(0, NOTIFY_POLL, &kh.to_ne_bytes())
}

/// POLL carries what is asked for; who does not wait asks for no notification.
fn asks_the_server() {
    let fs = Fs::new();
    let c = opened(&fs, |_, f| i32::from(sys::poll(f, IN | OUT, 0)));
    let (r, arg) = expect(&fs);
    assert_eq!(arg.flags, 0);
    assert_eq!(arg.events, (IN | OUT | ERR | HUP) as u32);
    ready(r, OUT);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), OUT.into());
}

/// Who waits has the server notify, and it is asked again then.
fn waits_to_be_notified() {
    let fs = Fs::new();
    let c = opened(&fs, |_, f| wait(f, IN));
    let (r, first) = expect(&fs);
    assert_eq!(first.flags, POLL_SCHEDULE_NOTIFY);
    ready(r, 0);
    for _ in 0..3 {
        c.until_interruptible();
        fs.quiet();
        assert_eq!(notify(&fs, first.kh), Ok(()));
        let (r, again) = expect(&fs);
        assert_eq!(again, first);
        ready(r, OUT);
    }
    c.until_interruptible();
    assert_eq!(notify(&fs, first.kh), Ok(()));
    ready(expect(&fs).0, IN | OUT);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), IN.into());
}

/// A caller gets the events that it asked for, and errors, whatever the server says.
fn unknown_events() {
    let fs = Fs::new();
    let c = opened(&fs, |_, f| i32::from(sys::poll(f, IN, 0)));
    expect(&fs).0.ok(PollOut {
        revents: u32::MAX,
        padding: 0,
    });
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (IN | ERR | HUP).into());
}

/// A server that lacks POLL is asked once; every file is always ready then.
fn without_poll() {
    let fs = Fs::new();
    let c = opened(&fs, |_, f| {
        [wait(f, ALL), wait(f, ALL), wait(f, libc::POLLPRI | OUT)].to_vec()
    });
    expect(&fs).0.err(ENOSYS);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), [ALL.into(), ALL.into(), OUT.into()]);
}

/// An error of the server is one of the file.
fn that_fails() {
    let fs = Fs::new();
    let c = opened(&fs, |_, f| (wait(f, IN), i32::from(sys::poll(f, IN, 0))));
    expect(&fs).0.err(EIO);
    ready(expect(&fs).0, IN);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), (ERR.into(), IN.into()));
}

/// Answers what comes until `files` files are released, in any order.
#[track_caller]
fn closed(fs: &Fs, files: usize) {
    let mut left = files;
    while left != 0 {
        let r = fs.dev().next();
        match r.head.opcode {
            FLUSH => (),
            RELEASE => left -= 1,
            _ => panic!("FLUSH or RELEASE expected, {r:?} came"),
        }
        r.reply(&[]);
    }
}

/// Each open file has its own number, and only its pollers are woken.
fn one_of_two_files() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        let f = m.open("f").unwrap();
        let g = m.open("f").unwrap();
        let mut p = [f, g].map(|fd| libc::pollfd {
            fd,
            events: IN,
            revents: 0,
        });
        // SAFETY: two valid `pollfd`.
        let n = unsafe { libc::poll(p.as_mut_ptr(), 2, patience() as i32) };
        (n, i32::from(p[0].revents), i32::from(p[1].revents))
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    fs.open(2, 6, 0);
    let (r, first) = expect(&fs);
    ready(r, 0);
    let r = fs.expect(POLL);
    let second = r.arg::<PollIn>();
    ready(r, 0);
    assert_eq!(second.fh, 6);
    assert_ne!(first.kh, second.kh);
    c.until_interruptible();
    assert_eq!(notify(&fs, second.kh), Ok(()));
    // Who polls several files looks at all of them.
    ready(expect(&fs).0, 0);
    let r = fs.expect(POLL);
    assert_eq!(r.arg::<PollIn>().kh, second.kh);
    ready(r, IN);
    assert_eq!(c.wait(), (1, 0, IN.into()));
    closed(&fs, 2);
}

/// The number of an open file stays the same, whoever polls it.
fn one_number_for_all_pollers() {
    let fs = Fs::new();
    let c = opened(&fs, |_, f| {
        let first = sys::poll(f, IN, 0);
        let f = dup(f).unwrap();
        i32::from(first) + wait(f, IN)
    });
    let (r, first) = expect(&fs);
    ready(r, IN);
    let (r, second) = expect(&fs);
    ready(r, IN);
    assert_eq!(first.kh, second.kh);
    fs.flush(2, 5);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 2 * i32::from(IN));
}

/// One notification wakes every poller of the file.
fn many_pollers() {
    let fs = Fs::new();
    let c = opened(&fs, |m, f| {
        let root = m.path("");
        let children: Vec<Caller<i32>> = (0..3)
            .map(|_| Caller::start(&root, |_| wait(f, IN)))
            .collect();
        m.pause();
        children.iter().map(|c| c.wait()).collect::<Vec<_>>()
    });
    c.paused();
    let mut kh = 0;
    for _ in 0..3 {
        let (r, arg) = expect(&fs);
        kh = arg.kh;
        ready(r, 0);
    }
    c.go();
    assert_eq!(notify(&fs, kh), Ok(()));
    let mut woken = 0;
    while woken < 3 {
        let r = fs.dev().next();
        match r.head.opcode {
            POLL => {
                ready(r, IN);
                woken += 1;
            }
            FLUSH => r.reply(&[]),
            _ => panic!("{r:?}"),
        }
    }
    closed(&fs, 1);
    assert_eq!(c.wait(), [i32::from(IN); 3]);
}

fn epoll_on(f: i32) -> i32 {
    // SAFETY: no memory involved.
    let set = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: 7,
    };
    // SAFETY: one valid event.
    assert_eq!(
        unsafe { libc::epoll_ctl(set, libc::EPOLL_CTL_ADD, f, &mut event) },
        0
    );
    set
}

fn epoll_wait(set: i32, ms: i64) -> i32 {
    let mut event = libc::epoll_event { events: 0, u64: 0 };
    // SAFETY: room for one event.
    unsafe { libc::epoll_wait(set, &mut event, 1, ms as i32) }
}

/// A file in an epoll set has the server notify from the start.
fn epoll_is_notified() {
    let fs = Fs::new();
    let c = opened(&fs, |m, f| {
        let set = epoll_on(f);
        m.pause();
        epoll_wait(set, patience())
    });
    let (r, arg) = expect(&fs);
    assert_eq!(arg.flags, POLL_SCHEDULE_NOTIFY);
    ready(r, 0);
    c.paused();
    assert_eq!(notify(&fs, arg.kh), Ok(()));
    c.go();
    ready(expect(&fs).0, IN);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 1);
}

/// A file may be closed while it is in an epoll set; its number means nothing then.
fn closed_while_in_an_epoll_set() {
    let fs = Fs::new();
    let c = opened(&fs, |m, f| {
        let set = epoll_on(f);
        close(f).unwrap();
        m.pause();
        epoll_wait(set, 0)
    });
    let (r, arg) = expect(&fs);
    ready(r, 0);
    fs.flush_and_release(2, 5);
    c.paused();
    assert_eq!(notify(&fs, arg.kh), Ok(()));
    fs.quiet();
    c.go();
    assert_eq!(c.wait(), 0);
}

/// A number that no file has is passed over.
fn of_no_number() {
    let fs = Fs::new();
    for kh in [0, 1, 1 << 32, u64::MAX] {
        assert_eq!(notify(&fs, kh), Ok(()));
    }
    fs.quiet();
}

/// The notification has one length: EINVAL for any other.
fn of_a_wrong_length() {
    let fs = Fs::new();
    for len in [0, 7, 9, 16] {
        assert_eq!(
            fs.dev().reply(0, NOTIFY_POLL, &vec![0; len]),
            Err(EINVAL),
            "{len}"
        );
    }
}

/// A released file is not found any more, and a new one has another number.
fn after_the_release() {
    let fs = Fs::new();
    let c = opened(&fs, |m, f| {
        let first = wait(f, IN);
        close(f).unwrap();
        first + wait(m.open("f").unwrap(), IN)
    });
    let (r, first) = expect(&fs);
    ready(r, IN);
    fs.flush_and_release(2, 5);
    fs.open(2, 5, 0);
    let (r, second) = expect(&fs);
    assert_ne!(first.kh, second.kh);
    ready(r, 0);
    c.until_interruptible();
    assert_eq!(notify(&fs, first.kh), Ok(()));
    c.stays_asleep();
    fs.quiet();
    assert_eq!(notify(&fs, second.kh), Ok(()));
    ready(expect(&fs).0, IN);
    fs.flush_and_release(2, 5);
    assert_eq!(c.wait(), 2 * i32::from(IN));
}

/// The end of the connection is an error of every file that is polled.
fn abort_wakes_pollers() {
    let mut fs = Fs::new();
    let c = opened(&fs, |_, f| wait(f, IN));
    ready(expect(&fs).0, 0);
    c.until_interruptible();
    fs.force_unmount();
    assert_eq!(c.wait(), ERR.into());
}

/// So is the death of the server.
fn death_wakes_pollers() {
    let mut fs = Fs::new();
    let c = opened(&fs, |_, f| wait(f, IN));
    ready(expect(&fs).0, 0);
    c.until_interruptible();
    fs.die();
    assert_eq!(c.wait(), ERR.into());
}
