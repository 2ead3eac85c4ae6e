// SPDX-License-Identifier: GPL-2.0

//! Killing callers: at once while the server has not read their request, and after its answer when it has.

use crate::mockd::*;

crate::tests![
    before_the_request_is_read,
    any_fatal_signal_before_the_request_is_read,
    interrupted_then_killed_before_the_request_is_read,
    among_other_pending_requests,
    after_the_request_is_read,
    after_an_interrupt,
    before_init_is_answered,
    handled_signal_before_init_is_answered,
    close_is_not_cut_short,
    files_of_a_killed_process_are_released,
    waiting_for_the_answer_of_another,
    reader_of_the_page_cache,
];

/// A killed caller whose request nobody has read dies at once, and the request is never seen.
fn before_the_request_is_read() {
    let fs = Fs::new();
    let mut c = fs.call(|m| m.stat("f").map(drop));
    c.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
    // The mount goes on.
    let c = fs.call(|m| m.stat("g").map(drop));
    fs.expect_lookup(ROOT, "g").err(ENOENT);
    assert_eq!(c.wait(), Err(ENOENT));
}

/// A signal that ends the process because it is not caught is as good as SIGKILL.
fn any_fatal_signal_before_the_request_is_read() {
    let fs = Fs::new();
    for sig in [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1] {
        let mut c = fs.call(|m| m.stat("f").map(drop));
        c.until_interruptible();
        assert!(fs.dev().readable());
        c.signal(sig);
        assert_eq!(c.death(), Death::Signal(sig));
        fs.quiet();
    }
}

/// A caller that has taken a harmless signal first can still be killed.
fn interrupted_then_killed_before_the_request_is_read() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    c.until_interruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGUSR1);
    c.until_uninterruptible();
    assert!(fs.dev().readable());
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.quiet();
}

/// Only the killed caller's request is withdrawn; those before and after it stay in order.
fn among_other_pending_requests() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let mut callers: Vec<_> = (0..3)
        .map(|i| {
            let c = fs.call(|m| m.stat(&i.to_string()).map(drop));
            c.until_interruptible();
            c
        })
        .collect();
    let mut victim = callers.remove(1);
    victim.signal(libc::SIGKILL);
    assert_eq!(victim.death(), Death::Signal(libc::SIGKILL));
    for (c, name) in callers.iter().zip(["0", "2"]) {
        fs.expect_lookup(ROOT, name).err(ENOENT);
        assert_eq!(c.wait(), Err(ENOENT));
    }
}

/// A killed caller whose request the server has waits for the answer; what it says is all the same.
fn after_the_request_is_read() {
    for answer in [Err(EINTR), Err(EIO), Ok(file(2))] {
        let fs = Fs::new();
        let mut c = fs.call(|m| m.stat("f").map(drop));
        let r = fs.expect_lookup(ROOT, "f");
        c.until_interruptible();
        c.signal(libc::SIGKILL);
        assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
        c.until_uninterruptible();
        c.stays_asleep();
        match answer {
            Ok(node) => r.ok(node.entry()),
            Err(e) => r.err(e),
        }
        assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    }
}

/// SIGKILL after INTERRUPT sends nothing more, and the caller still waits for the answer.
fn after_an_interrupt() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    let r = fs.expect_lookup(ROOT, "f");
    c.until_interruptible();
    c.signal(libc::SIGUSR1);
    let _ = fs.expect(INTERRUPT);
    c.until_uninterruptible();
    c.signal(libc::SIGKILL);
    c.stays_asleep();
    fs.quiet();
    r.err(EINTR);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// A caller that waits for INIT can be killed, and its request is never sent.
fn before_init_is_answered() {
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let mut c = fs.call(|m| m.stat("f").map(drop));
    c.until_uninterruptible();
    c.signal(libc::SIGKILL);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    init.ok(fs.setup.init_out());
    fs.quiet();
}

/// A signal that the caller handles does not end its waiting for INIT.
fn handled_signal_before_init_is_answered() {
    let fs = Setup::new().mount();
    let init = fs.expect(INIT);
    let c = fs.call(|m| {
        catch(libc::SIGUSR1);
        m.stat("f").map(drop)
    });
    c.until_uninterruptible();
    c.signal(libc::SIGUSR1);
    c.stays_asleep();
    init.ok(fs.setup.init_out());
    // The signal is still pending, and interrupts the request as it is sent.
    let r = fs.expect_lookup(ROOT, "f");
    assert_eq!(fs.expect(INTERRUPT).arg::<InterruptIn>().unique, r.unique());
    r.err(EINTR);
    assert_eq!(c.wait(), Err(EINTR));
}

/// FLUSH is not withdrawn when its caller is killed, even if nobody has read it; RELEASE follows.
fn close_is_not_cut_short() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        let f = m.open("f")?;
        m.pause();
        close(f)
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    c.go();
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    c.until_uninterruptible();
    c.stays_asleep();
    let r = fs.expect(FLUSH).node(2);
    let _ = fs.expect(INTERRUPT);
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
    fs.release(2, 5);
}

/// A killed process closes its files: FLUSH and RELEASE come, and it is dead when FLUSH is answered.
fn files_of_a_killed_process_are_released() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        let _f = m.open("f")?;
        m.pause();
        Ok(())
    });
    fs.lookup(ROOT, "f", file(2));
    fs.open(2, 5, 0);
    c.paused();
    c.signal(libc::SIGKILL);
    let flush = fs.expect(FLUSH);
    flush.reply(&[]);
    let r = fs.dev().next();
    // The dying process may have its signal still pending, and so interrupt its own FLUSH.
    let r = if r.head.opcode == INTERRUPT {
        fs.expect(RELEASE)
    } else {
        r
    };
    assert_eq!(r.head.opcode, RELEASE);
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));
}

/// One who waits for a LOOKUP that another has sent dies only after the answer to it.
fn waiting_for_the_answer_of_another() {
    let fs = Setup::new().flags(init::PARALLEL_DIROPS).start();
    let a = fs.call(|m| m.stat("f").map(drop));
    let r = fs.expect_lookup(ROOT, "f");
    let mut b = fs.call(|m| m.stat("f").map(drop));
    b.until_uninterruptible();
    b.signal(libc::SIGKILL);
    b.stays_asleep();
    r.ok(file(2).entry());
    assert_eq!(a.wait(), Ok(()));
    assert_eq!(b.death(), Death::Signal(libc::SIGKILL));
}

/// A killed reader of a page whose READ nobody has read is gone at once, and leaves a page that can be read.
fn reader_of_the_page_cache() {
    let fs = Fs::new();
    let mut c = fs.call(|m| {
        let f = m.open("f")?;
        m.pause();
        read(f, 5)
    });
    fs.lookup(ROOT, "f", file(2).size(5));
    fs.open(2, 5, 0);
    c.paused();
    c.go();
    assert!(poll(fs.dev().fd(), libc::POLLIN, patience()) != 0);
    c.until_interruptible();
    c.signal(libc::SIGKILL);
    // It waits for FLUSH now, like any dying process that has a file open.
    c.until_uninterruptible();
    fs.flush(2, 5);
    let r = fs.dev().next();
    let r = if r.head.opcode == INTERRUPT {
        fs.dev().next()
    } else {
        r
    };
    assert_eq!(r.head.opcode, RELEASE);
    r.reply(&[]);
    assert_eq!(c.death(), Death::Signal(libc::SIGKILL));

    let c = fs.call(|m| {
        let f = m.open("f")?;
        let data = read(f, 5);
        close(f)?;
        data
    });
    fs.open(2, 6, 0);
    fs.expect_read(6, 0, 4096).reply(b"hello");
    fs.flush_and_release(2, 6);
    assert_eq!(c.wait(), Ok(b"hello".to_vec()));
}
