// SPDX-License-Identifier: GPL-2.0

//! The parameter `inval_wq`: names that have expired are thrown out, and their nodes given back.

use crate::mockd::*;

crate::tests![
    values,
    expired_names_are_given_back,
    names_in_use_go_with_their_last_user,
    names_that_hold_again_stay,
    new_epoch_gives_names_back,
    new_epoch_of_a_mount_that_goes,
];

use crate::mockd::notice::INC_EPOCH;

const PARAMETER: &str = "/sys/module/fuse/parameters/inval_wq";

fn set(value: &str) -> Result<()> {
    match std::fs::write(PARAMETER, value) {
        Ok(()) => Ok(()),
        Err(e) => Err(Errno(e.raw_os_error().unwrap())),
    }
}

/// The worker looks each five seconds, which is the least, until this is dropped.
struct Looking;

impl Looking {
    fn start() -> Self {
        set("5").unwrap();
        Looking
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        let _ = set("0");
    }
}

/// The worker's next look gives something back.
#[track_caller]
fn expect_forget(fs: &Fs) -> Request {
    fs.dev()
        .next_within(patience() + 5_000)
        .expect("nothing is given back")
}

/// It is off, or from 5 to 65535 seconds; other values are refused with EINVAL.
fn values() {
    let _off_again = Looking::start();
    for good in ["0", "5", "65535", "0x10", "0"] {
        assert_eq!(set(good), Ok(()), "{good}");
    }
    for bad in ["1", "4", "65536", "-1", "4294967296", "x"] {
        assert!(set(bad).is_err(), "{bad}");
        assert_eq!(std::fs::read_to_string(PARAMETER).unwrap(), "0\n");
    }
    assert_eq!(set("4"), Err(EINVAL));
    assert_eq!(set("65536"), Err(EINVAL));
}

/// A name that has expired is given back though nobody asks for it; one that holds is not.
fn expired_names_are_given_back() {
    let _looking = Looking::start();
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            m.stat("a").is_ok(),
            m.stat("b").is_ok(),
            m.stat("c").is_ok(),
        )
    });
    fs.lookup(ROOT, "a", file(2).entry_valid(0, 1_000_000));
    fs.lookup(ROOT, "b", file(3));
    fs.lookup(ROOT, "c", file(4).entry_valid(0, 0));
    assert_eq!(c.wait(), (true, true, true));
    let mut back = forgotten(&expect_forget(&fs));
    if back.len() < 2 {
        back.extend(forgotten(&expect_forget(&fs)));
    }
    back.sort();
    assert_eq!(back, [(2, 1), (4, 1)]);
    assert_eq!(fs.call_quietly(|m| m.stat("b").unwrap().ino), 3);
}

/// A name in use stays when it expires, and goes when it is not used any more.
fn names_in_use_go_with_their_last_user() {
    let _looking = Looking::start();
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("other").unwrap();
        let f = m.open("f").unwrap();
        m.pause();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "other", file(3).entry_valid(0, 2_000_000));
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 1_000_000));
    fs.open(2, 5, 0);
    c.paused();
    // The one that is not in use shows that the worker was here.
    assert_eq!(forgotten(&expect_forget(&fs)), [(3, 1)]);
    fs.quiet();
    c.go();
    fs.flush_and_release(2, 5);
    assert_eq!(forgotten(&expect_forget(&fs)), [(2, 1)]);
    c.wait();
}

/// A name that was confirmed before the worker came stays.
fn names_that_hold_again_stay() {
    let _looking = Looking::start();
    let fs = Fs::new();
    let c = fs.call(|m| {
        (
            m.stat("f").is_ok(),
            m.stat("f").is_ok(),
            m.stat("g").is_ok(),
        )
    });
    fs.lookup(ROOT, "f", file(2).entry_valid(0, 0));
    fs.lookup(ROOT, "f", file(2));
    fs.lookup(ROOT, "g", file(3).entry_valid(0, 0));
    assert_eq!(c.wait(), (true, true, true));
    assert_eq!(forgotten(&expect_forget(&fs)), [(3, 1)]);
    assert_eq!(fs.call_quietly(|m| m.stat("f").unwrap().ino), 2);
}

/// While the worker is wanted, a new epoch throws all names out at once that are not in use, however long they were good
/// for; else they wait to be asked for.
fn new_epoch_gives_names_back() {
    let fs = Fs::new();
    let c = fs.call(|m| {
        m.stat("d/a").unwrap();
        m.stat("b").unwrap();
        let f = m.open("f").unwrap();
        m.pause();
        m.stat("f").unwrap();
        close(f).unwrap();
    });
    fs.lookup(ROOT, "d", dir(2));
    fs.lookup(2, "a", file(3));
    fs.lookup(ROOT, "b", file(4));
    fs.lookup(ROOT, "f", file(5));
    fs.open(5, 7, 0);
    c.paused();
    fs.dev().reply(0, INC_EPOCH, &[]).unwrap();
    sleep_ms(ms(50) as u64);
    fs.quiet();

    let _looking = Looking::start();
    fs.dev().reply(0, INC_EPOCH, &[]).unwrap();
    let mut back = Vec::new();
    while back.len() < 3 {
        back.extend(forgotten(&fs.dev().next()));
    }
    back.sort();
    assert_eq!(back, [(2, 1), (3, 1), (4, 1)]);
    c.go();
    fs.lookup(ROOT, "f", file(5));
    fs.flush_and_release(5, 7);
    c.wait();
    fs.quiet();
}

/// The worker does not mind that the mount goes, or the server.
fn new_epoch_of_a_mount_that_goes() {
    let _looking = Looking::start();
    for unmount in [Fs::unmount, Fs::die] {
        let mut fs = Fs::new();
        let c = fs.call(|m| m.stat("f").map(drop));
        fs.lookup(ROOT, "f", file(2));
        assert_eq!(c.wait(), Ok(()));
        for _ in 0..5 {
            fs.dev().reply(0, INC_EPOCH, &[]).unwrap();
        }
        unmount(&mut fs);
    }
}
